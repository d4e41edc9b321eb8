//! What attackers send: raw, through real sockets. Framing is compared with nginx in the same run, in front of the
//! same app.

use crate::support::*;
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use types::EdgeLimits;

/// How the edge takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// 400, and the connection is closed: nothing after it is read.
    Refuses,
    /// One request reaches the app, and what follows is the next one.
    Serves,
}

#[allow(clippy::print_stdout)]
#[tokio::test]
async fn ambiguous_framing_is_refused_before_an_app_sees_it() {
    use Takes::{Refuses, Serves};
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let nginx = Nginx::before(app.address).await;
    let (mut laxer, mut stricter) = (Vec::new(), Vec::new());
    let post = |headers: &str, body: &str| format!("POST /size HTTP/1.1\r\nHost: blog.test\r\n{headers}\r\n{body}");
    let next = "GET /next HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n";
    let chunks = "3\r\nabc\r\n0\r\n\r\n";
    for (what, request, takes) in [
        (
            "both lengths",
            post("Content-Length: 13\r\nTransfer-Encoding: chunked\r\n", chunks),
            Refuses,
        ),
        (
            "both, other order",
            post("Transfer-Encoding: chunked\r\nContent-Length: 13\r\n", chunks),
            Refuses,
        ),
        (
            "two different lengths",
            post("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"),
            Refuses,
        ),
        ("a list of lengths", post("Content-Length: 3, 4\r\n", "abc"), Refuses),
        ("a signed length", post("Content-Length: +3\r\n", "abc"), Refuses),
        ("a negative length", post("Content-Length: -1\r\n", ""), Refuses),
        ("a hexadecimal length", post("Content-Length: 0x3\r\n", "abc"), Refuses),
        ("an empty length", post("Content-Length: \r\n", ""), Refuses),
        ("a huge length", post("Content-Length: 99999999999999999999999\r\n", ""), Refuses),
        ("another coding", post("Transfer-Encoding: gzip\r\n", chunks), Refuses),
        ("two codings", post("Transfer-Encoding: gzip, chunked\r\n", chunks), Refuses),
        (
            "chunked twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunks),
            Refuses,
        ),
        (
            "chunked, then more",
            post("Transfer-Encoding: chunked, identity\r\n", chunks),
            Refuses,
        ),
        ("xchunked", post("Transfer-Encoding: xchunked\r\n", chunks), Refuses),
        ("a quoted coding", post("Transfer-Encoding: \"chunked\"\r\n", chunks), Refuses),
        ("a space before the colon", post("Transfer-Encoding : chunked\r\n", chunks), Refuses),
        (
            "a length with a space before the colon",
            post("Content-Length : 3\r\n", "abc"),
            Refuses,
        ),
        ("a folded header", post("Content-Length: 3\r\nX-A: b\r\n c\r\n", "abc"), Refuses),
        ("a folded coding", post("Transfer-Encoding:\r\n chunked\r\n", chunks), Refuses),
        (
            "a header without a colon",
            post("Content-Length: 3\r\nnonsense\r\n", "abc"),
            Refuses,
        ),
        ("a NUL in a value", post("Content-Length: 3\r\nX-A: b\0c\r\n", "abc"), Refuses),
        ("a lone CR in a value", post("Content-Length: 3\r\nX-A: b\rc\r\n", "abc"), Refuses),
        (
            "a header that begins with a space",
            "POST /size HTTP/1.1\r\n Host: blog.test\r\n\r\n".to_owned(),
            Refuses,
        ),
        ("two hosts", post("Host: shop.test\r\nContent-Length: 3\r\n", "abc"), Refuses),
        ("two equal hosts", post("Host: blog.test\r\nContent-Length: 3\r\n", "abc"), Refuses),
        ("no host", "POST /size HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(), Refuses),
        (
            "a coding in HTTP/1.0",
            format!("POST /size HTTP/1.0\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
            Refuses,
        ),
        ("version 1.2", "GET / HTTP/1.2\r\nHost: blog.test\r\n\r\n".to_owned(), Refuses),
        ("version 2.0", "GET / HTTP/2.0\r\nHost: blog.test\r\n\r\n".to_owned(), Refuses),
        ("no version", "GET /\r\n\r\n".to_owned(), Refuses),
        // nginx refuses it; here the app gets `/a%20b`.
        (
            "a space in the path",
            "GET /a b HTTP/1.1\r\nHost: blog.test\r\n\r\n".to_owned(),
            Serves,
        ),
        (
            "a chunk with a bad size",
            post("Transfer-Encoding: chunked\r\n", "zz\r\nabc\r\n0\r\n\r\n"),
            Refuses,
        ),
        (
            "a chunk with a huge size",
            post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
            Refuses,
        ),
        (
            "a chunk longer than it says",
            post("Transfer-Encoding: chunked\r\n", "2\r\nabc\r\n0\r\n\r\n"),
            Refuses,
        ),
        ("chunked in capitals", post("Transfer-Encoding: CHUNKED\r\n", chunks), Serves),
        ("one length", post("Content-Length: 3\r\n", "abc"), Serves),
        (
            "an absolute form",
            "POST http://blog.test/size HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
            Serves,
        ),
    ] {
        let before = app.requests.load(SeqCst);
        let ours = how_it_takes(stand.http, &format!("{request}{next}"), what).await;
        assert_eq!(ours, takes, "{what}");
        if takes == Refuses && !what.contains("chunk with") && !what.contains("chunk longer") {
            assert_eq!(app.requests.load(SeqCst), before, "{what}: the app saw it");
        }
        let theirs = how_it_takes(nginx.address, &format!("{request}{next}"), what).await;
        if ours == Serves && theirs == Refuses {
            laxer.push(what);
        }
        if ours == Refuses && theirs == Serves {
            stricter.push(what);
        }
    }
    println!("nginx serves what is refused here: {stricter:?}");
    assert_eq!(laxer, ["a space in the path"], "nginx refuses these");
}

async fn how_it_takes(address: SocketAddr, bytes: &str, what: &str) -> Takes {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let answers = read_all(&mut stream).await;
    let first: u16 = answers.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    match (first, answers.matches("HTTP/1.1 ").count()) {
        (200, 2) => Takes::Serves,
        (0 | 400 | 405 | 413 | 501 | 505, 0 | 1) => Takes::Refuses,
        _ => panic!("{what}: {answers}"),
    }
}

/// Debian's nginx in front of the same app, as its package configures it.
struct Nginx {
    address: SocketAddr,
    process: std::process::Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    async fn before(app: SocketAddr) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let own = folder.path().display();
        let config = format!(
            "pid {own}/pid; error_log {own}/error.log; events {{}} http {{ access_log off; proxy_http_version 1.1; \
             client_body_temp_path {own}/body; proxy_temp_path {own}/proxy; fastcgi_temp_path {own}/fastcgi; \
             uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi; \
             server {{ listen {address}; server_name blog.test; location / {{ proxy_pass http://{app}; proxy_set_header Host $http_host; }} }} }}"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let process = std::process::Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/bin")
            .args(["-g", "daemon off;", "-c"])
            .arg(folder.path().join("nginx.conf"))
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("tests/run.sh installs nginx");
        eventually("nginx listens", || std::net::TcpStream::connect(address).is_ok()).await;
        Nginx {
            address,
            process,
            _folder: folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that its workers go too.
        let _ = std::process::Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_bare_line_feed_ends_no_request_early() {
    // RFC 9112, 2.2 lets a server take a bare LF as a line end; then everybody must agree where the head ends.
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    for request in [
        "GET /target HTTP/1.1\nHost: blog.test\nConnection: close\n\n",
        "POST /size HTTP/1.1\nHost: blog.test\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: blog.test\r\n\r\n",
        "GET /target HTTP/1.1\r\nHost: blog.test\r\nX-A: b\nContent-Length: 40\r\nConnection: close\r\n\r\n",
    ] {
        let answer = raw(stand.http, request).await;
        assert!(
            !answer.body.contains("smuggled") && answer.body.matches("HTTP/1.1").count() == 0,
            "{request:?}: {answer:?}"
        );
        assert!(matches!(answer.status, 0 | 200 | 400 | 408), "{request:?}: {answer:?}");
    }
}

#[tokio::test]
async fn an_absolute_form_and_a_host_that_disagree_lead_to_one_site() {
    let (stand, blog, shop) = (Stand::start(), App::start("blog").await, App::start("shop").await);
    stand.apply(&[
        ("blog.test", with_policy(to(&blog), json!({"access": {"deny": ["0.0.0.0/0"]}}))),
        ("shop.test", to(&shop)),
    ]);
    let answer = raw(
        stand.http,
        "GET http://blog.test/headers HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n",
    )
    .await;
    // Whatever is chosen, the app of that site is the one that sees it, under that name.
    match answer.status {
        200 => assert!(answer.body.contains("host: shop.test"), "{answer:?}"),
        status => assert!(matches!(status, 400 | 403), "{answer:?}"),
    }
    assert_eq!(blog.requests.load(SeqCst), 0);
    // Over TLS the name in the greeting must be the host's.
    let mut stream = stand.tls(stand.https, "shop.test", &["http/1.1"]).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 421 "));
}

#[tokio::test]
async fn floods_of_headers_and_long_addresses_are_cut_off() {
    let limits = EdgeLimits {
        header_bytes: 16 << 10,
        ..EdgeLimits::default()
    };
    let (stand, app) = (Stand::with_limits(limits), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let head = |line: &str, headers: &str| format!("{line}\r\nHost: blog.test\r\n{headers}Connection: close\r\n\r\n");
    let long = "a".repeat(20 << 10);
    let many: String = (0..5000).map(|n| format!("X-{n}: 1\r\n")).collect();
    for (what, request) in [
        ("a long path", head(&format!("GET /{long} HTTP/1.1"), "")),
        ("a long header", head("GET / HTTP/1.1", &format!("X-Long: {long}\r\n"))),
        ("a long cookie", head("GET / HTTP/1.1", &format!("Cookie: a={long}\r\n"))),
        ("many headers", head("GET / HTTP/1.1", &many)),
    ] {
        let answer = raw(stand.http, request).await;
        assert!(matches!(answer.status, 400 | 414 | 431), "{what}: {answer:?}");
    }
    // Without an end: answered while it comes, and then only drained.
    let mut stream = TcpStream::connect(stand.http).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: blog.test\r\n").await.unwrap();
    for _ in 0..250 {
        if stream.write_all(&[b"X-A: ", &[b'a'; 4000][..], b"\r\n"].concat()).await.is_err() {
            break;
        }
    }
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // Over HTTP/2 as well.
    let client = stand.client();
    let answer = client.get(stand.https_url("/")).header("x-long", long.as_str()).send().await;
    assert!(answer.is_err() || matches!(answer.unwrap().status().as_u16(), 400 | 431));
    assert_eq!(client.get(stand.https_url("/")).send().await.unwrap().status(), 200);
    assert_eq!(app.requests.load(SeqCst), 1);
}

#[tokio::test]
async fn slow_heads_and_bodies_end() {
    let limits = EdgeLimits {
        header_timeout: Duration::from_millis(500),
        response_timeout: Duration::from_millis(700),
        ..EdgeLimits::default()
    };
    let (stand, app) = (Stand::with_limits(limits), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    // A byte now and then does not help.
    let mut stream = TcpStream::connect(stand.http).await.unwrap();
    let began = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nHost: blog.test\r\nX: aaaaaaaaaaaaaaaaaaaa".iter().cycle() {
        if stream.write_all(&[*byte]).await.is_err() || began.elapsed() > Duration::from_secs(5) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // A body that stops.
    let mut stream = TcpStream::connect(stand.http).await.unwrap();
    let head = "POST /size HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 100\r\n\r\nabc";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // A greeting of TLS that does not come.
    let mut stream = TcpStream::connect(stand.https).await.unwrap();
    stream.write_all(&[22, 3, 1]).await.unwrap();
    let began = Instant::now();
    assert_eq!(stream.read(&mut [0; 10]).await.unwrap_or(0), 0);
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let mut config = stand.config(&[("blog.test", to(&app))]);
    config.options.connections_per_address = 10;
    stand.edge.apply(config).unwrap();
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(stand.http).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        open.push(stream);
    }
    for _ in 0..3 {
        assert_eq!(stand.get("blog.test", "/").await.status, 0, "closed at once");
    }
    assert_eq!(stand.edge.report().refused_connections, 3);
    open.truncate(5);
    eventually("room again", || stand.edge.report().connections <= 6).await;
    assert_eq!(stand.get("blog.test", "/").await.status, 200);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `:method GET, :scheme https, :path /never, :authority blog.test` in HPACK without Huffman.
fn head_block(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x87];
    block.extend([0x04, u8::try_from(path.len()).unwrap()]);
    block.extend(path.as_bytes());
    block.extend([0x01, 9]);
    block.extend(b"blog.test");
    block
}

#[tokio::test]
async fn floods_over_http_2_end_their_connection_only() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    let begin = async || {
        let mut stream = stand.tls(stand.https, "blog.test", &["h2"]).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
        stream
    };
    // Rapid reset (CVE-2023-44487): streams opened and reset without end.
    let mut stream = begin().await;
    let mut cut = false;
    for n in 0..20_000u32 {
        let id = 2 * n + 1;
        let both = [frame(1, 5, id, &head_block("/never")), frame(3, 0, id, &8u32.to_be_bytes())].concat();
        if stream.write_all(&both).await.is_err() {
            cut = true;
            break;
        }
    }
    let rest = read_all_bytes(&mut stream).await;
    assert!(
        cut || rest.windows(9).any(|frame| frame[3] == 7),
        "a flood of resets ends the connection"
    );
    eventually("nothing is left at the app", || stand.edge.active(&app.upstream()) == 0).await;
    // CONTINUATION without end (CVE-2024-27316).
    let mut stream = begin().await;
    stream.write_all(&frame(1, 1, 1, &head_block("/"))).await.unwrap();
    let mut sent = 0;
    let filler = [&[0x00, 0x03][..], b"x-a", &[0x7f, 0x81, 0x7e], &[b'a'; 16_000][..]].concat();
    while sent < 64 << 20 && stream.write_all(&frame(9, 0, 1, &filler)).await.is_ok() {
        sent += filler.len();
    }
    assert!(sent < 64 << 20, "it read headers on and on");
    // Floods of PING and SETTINGS: answered or cut off, and nobody else notices.
    for flood in [frame(6, 0, 0, &[0; 8]), frame(4, 0, 0, &[])] {
        let mut stream = begin().await;
        let many = flood.repeat(100);
        for _ in 0..200 {
            let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(2), stream.write_all(&many)).await else {
                break;
            };
        }
    }
    let began = Instant::now();
    assert_eq!(stand.client().get(stand.https_url("/")).send().await.unwrap().status(), 200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

async fn read_all_bytes(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut all)).await;
    all
}

#[tokio::test]
async fn no_spelling_of_a_path_goes_around_a_rule() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let mut site = to(&app);
    let mut closed = rule(
        1,
        json!({"path": {"kind": "prefix", "path": "/admin"}}),
        types::EdgeAction::Serve {
            app: None,
            name: "admin".into(),
            target: types::Target::Upstreams(vec![app.upstream()]),
            path: types::PathChange::default(),
        },
    );
    closed.policy = policy(json!({"access": {"deny": ["0.0.0.0/0"]}}));
    site.rules = vec![closed];
    stand.apply(&[("blog.test", site)]);
    for path in [
        "/admin",
        "/admin/x",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/%61dmin",
        "/%2e/admin",
        "/x/%2e%2e/admin",
        "/x%2f..%2fadmin",
        "/admin/../admin/",
        "/admin?x",
        "/../admin",
        "/x/../../admin",
        "/%00/../admin",
    ] {
        let status = stand.get("blog.test", path).await.status;
        assert!(matches!(status, 403 | 400), "{path}: {status}");
    }
    assert_eq!(app.requests.load(SeqCst), 0);
    assert_eq!(stand.get("blog.test", "/administrator").await.status, 200);
}

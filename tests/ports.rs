//! Traffic that is not HTTP, set through the API and seen through real sockets: TCP and UDP by port, TLS by its name, and
//! who asks, told to the app by the PROXY protocol.

use crate::deploy::app_of;
use serde_json::json;
use std::{net::SocketAddr, time::Duration};
use testkit::{GitFixture, TestAuthority, TestPanel, eventually_ok, free_port, tls};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

const SOON: Duration = Duration::from_secs(20);

/// The sample `ports`, with a certificate for `inner.test` in it.
pub fn sample() -> GitFixture {
    let repository = GitFixture::sample("ports");
    let (chain, key) = TestAuthority::new().issue(&["inner.test", "deep.inner.test"], 30);
    repository.commit(&[("chain.pem", &chain), ("key.pem", &key)], "a certificate");
    repository
}

/// What a UDP port answers to this text, which stands at its end; asked again when it is lost, as UDP may.
pub async fn datagram(socket: &UdpSocket, text: &str) -> Result<String, String> {
    socket.send(text.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut bytes = vec![0; 65_536];
    loop {
        let size = timeout(Duration::from_secs(2), socket.recv(&mut bytes)).await;
        let size = size.map_err(|_| "silence".to_owned())?.map_err(|error| error.to_string())?;
        let answer = String::from_utf8_lossy(&bytes[..size]).into_owned();
        if answer.ends_with(text) {
            return Ok(answer);
        }
    }
}

pub async fn udp_client(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(("127.0.0.1", port)).await.unwrap();
    socket
}

/// All that a TCP port says to `text`, up to its end of the line.
async fn line(port: u16, text: &str) -> Result<(String, SocketAddr), String> {
    line_at("127.0.0.1", port, text).await
}

async fn line_at(address: &str, port: u16, text: &str) -> Result<(String, SocketAddr), String> {
    let words = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect((address, port)).await.map_err(words)?;
    let local = stream.local_addr().map_err(words)?;
    stream.write_all(text.as_bytes()).await.map_err(words)?;
    let mut answer = String::new();
    timeout(Duration::from_secs(5), stream.read_to_string(&mut answer))
        .await
        .map_err(|_| "silence".to_owned())?
        .map_err(words)?;
    if answer.is_empty() {
        Err("it was closed".into())
    } else {
        Ok((answer, local))
    }
}

/// A page over TLS, who asked for it, and the certificate that was shown.
async fn through(port: u16, name: &str) -> Result<(String, SocketAddr, Vec<u8>), String> {
    let words = |error: std::io::Error| error.to_string();
    let (mut stream, shown) = timeout(Duration::from_secs(5), tls(port, name))
        .await
        .map_err(|_| "silence".to_owned())?
        .map_err(words)?;
    let local = stream.get_ref().0.local_addr().map_err(words)?;
    stream
        .write_all(format!("GET / HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .map_err(words)?;
    let mut page = Vec::new();
    // An app that closes without a goodbye has said all the same.
    let _ = stream.read_to_end(&mut page).await;
    Ok((String::from_utf8_lossy(&page).into_owned(), local, shown))
}

/// What is open, by `tcp/5000 to 9000`.
async fn open_ports(panel: &TestPanel) -> Vec<String> {
    let ports = panel.list("/api/v1/ports").await;
    let mut open: Vec<String> = ports
        .iter()
        .map(|port| format!("{} to {}", port["listen"].as_str().unwrap(), port["target_port"]))
        .collect();
    open.sort();
    open
}

#[tokio::test]
async fn docker_ports_are_part_of_a_release() {
    let panel = TestPanel::docker().await;
    let repository = sample();
    let mut app = app_of("wires", &repository);
    app["deploy"] = json!(false);
    panel.create_app(app).await;
    let [former, later, own] = [free_port(), free_port(), free_port()];
    let open = async |port: u16, more: serde_json::Value| {
        let mut wish = json!({"listen": format!("udp/{port}"), "app": "wires", "target_port": 9001});
        for (key, value) in more.as_object().unwrap() {
            wish[key] = value.clone();
        }
        panel.post("/api/v1/ports", wish).await.expect(201);
    };
    open(former, json!({"max_connections": 7})).await;
    panel.cli(&["deploy", "wires", "--wait"]).await.expect(0);
    let before = open_ports(&panel).await;
    let release = panel.list("/api/v1/apps/wires/releases").await[0].clone();
    assert_eq!(release["ports"], json!([format!("udp/{former}")]), "{release}");

    // The port moves while the next release serves, another one comes.
    panel.cli(&["deploy", "wires", "--wait"]).await.expect(0);
    panel.cli(&["--yes", "port", "close", &format!("udp/{former}")]).await.expect(0);
    open(later, json!({})).await;
    open(own, json!({"target_port": 9002})).await;
    let diff = panel
        .get("/api/v1/apps/wires/diff?from=1&to=live")
        .await
        .expect(200)
        .json()
        .to_string();
    for what in [
        format!("server port udp/{former}"),
        format!("server port udp/{later}"),
        format!("server port udp/{own}"),
        "to 9001, at most 7 connections".to_owned(),
    ] {
        assert!(diff.contains(&what), "no {what} in {diff}");
    }

    // It moves back with its limits, and works; the one that came since stays.
    panel.cli(&["rollback", "wires", "1", "--wait"]).await.expect(0);
    let mut wanted = before.clone();
    wanted.push(format!("udp/{own} to 9002"));
    wanted.sort();
    assert_eq!(open_ports(&panel).await, wanted);
    let ports = panel.list("/api/v1/ports").await;
    assert!(ports.iter().any(|port| port["max_connections"] == 7), "{ports:?}");
    let client = udp_client(former).await;
    eventually_ok("the app answers on its former port", SOON, || datagram(&client, "ping")).await;
    // Forward again: what release #2 had when it was replaced.
    panel.cli(&["rollback", "wires", "2", "--wait"]).await.expect(0);
    let has = async |wanted: u16, other: u16| {
        let listens = open_ports(&panel).await.join(" ");
        assert!(
            listens.contains(&wanted.to_string()) && !listens.contains(&other.to_string()),
            "{listens}"
        );
    };
    has(later, former).await;

    // Somebody who may not open ports brings none back, and is told.
    let developer = panel.member("developer", "admin").await;
    let asked = developer
        .post("/api/v1/apps/wires/rollback", json!({"to": "1"}))
        .await
        .expect(202)
        .json();
    assert!(
        asked["kept"].to_string().contains("ports of the server stay as they are"),
        "{asked}"
    );
    panel.live(asked["id"].as_str().unwrap()).await;
    has(later, former).await;
    // Who does not wish it, neither.
    panel.cli(&["--yes", "port", "close", &format!("udp/{later}")]).await.expect(0);
    open(former, json!({})).await;
    panel.cli(&["rollback", "wires", "2", "--keep-routes", "--wait"]).await.expect(0);
    has(former, later).await;
}

#[tokio::test]
async fn docker_udp_tcp_and_tls_reach_the_app_as_they_came() {
    let panel = TestPanel::docker().await;
    let repository = sample();
    panel.live_app(app_of("wires", &repository)).await;

    // UDP: each client has its own way, both directions, and keeps it.
    let udp = free_port();
    let opened = panel
        .cli(&["port", "open", &format!("udp/{udp}"), "wires", "--target", "9001"])
        .await
        .expect(0);
    assert!(opened.stdout.contains(&format!("udp/{udp}")), "{}", opened.stdout);
    let (one, two) = (udp_client(udp).await, udp_client(udp).await);
    let way = async |client: &UdpSocket| {
        let answer = eventually_ok("the app answers datagrams", SOON, || datagram(client, "ping")).await;
        let (way, echoed) = answer.split_once(' ').unwrap();
        assert_eq!(echoed, "ping");
        way.to_owned()
    };
    let (first, other) = (way(&one).await, way(&two).await);
    assert_ne!(first, other, "each client has a way of its own");
    assert_eq!(way(&one).await, first);
    let six = UdpSocket::bind("[::1]:0").await.unwrap();
    six.connect(("::1", udp)).await.unwrap();
    assert!(![&first, &other].contains(&&way(&six).await), "IPv6 clients too");
    let large = "x".repeat(8000);
    let answer = eventually_ok("a large datagram comes whole", SOON, || datagram(&one, &large)).await;
    assert!(answer.ends_with(&large));
    let ports = panel.list("/api/v1/ports").await;
    let report = &ports[0]["report"];
    assert!(
        report["connections"].as_u64() >= Some(2) && report["bytes_in"].as_u64() > Some(8000),
        "{ports:?}"
    );

    // TCP: the app is told who asks.
    let tcp = free_port();
    let wish = json!({"listen": format!("tcp/{tcp}"), "app": "wires", "target_port": 9000, "proxy_protocol": "v1"});
    panel.post("/api/v1/ports", wish).await.expect(201);
    let (said, local) = eventually_ok("the app answers on its port", SOON, || line(tcp, "hello\n")).await;
    let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {tcp}|hello", local.port());
    assert_eq!(said.trim_end(), expected);
    let (said, local) = line_at("::1", tcp, "hello\n").await.expect("by IPv6 too");
    assert_eq!(said.trim_end(), format!("PROXY TCP6 ::1 ::1 {} {tcp}|hello", local.port()));
    // Whom the list does not name is not let in; UDP has no PROXY protocol.
    panel.delete(&format!("/api/v1/ports/tcp-{tcp}")).await.expect(204);
    let wish = json!({"listen": format!("tcp/{tcp}"), "app": "wires", "target_port": 9000, "allow": ["10.0.0.0/8"]});
    panel.post("/api/v1/ports", wish).await.expect(201);
    eventually_ok("nobody else may come", SOON, || async {
        match line(tcp, "hello\n").await {
            Err(_) => Ok(()),
            Ok((said, _)) => Err(said),
        }
    })
    .await;
    let wish = json!({"listen": format!("udp/{}", free_port()), "app": "wires", "target_port": 1, "proxy_protocol": "v2"});
    panel.post("/api/v1/ports", wish).await.expect(422);

    // TLS: the app's own certificate, by the name in the greeting; other names are the edge's own business.
    for host in ["inner.test", "*.inner.test"] {
        panel.post("/api/v1/apps/wires/domains", json!({"host": host})).await.expect(201);
        let wish = json!({"port": 8443, "proxy_protocol": "v2"});
        panel.put(&format!("/api/v1/domains/{host}/passthrough"), wish).await.expect(200);
    }
    let mut shown = Vec::new();
    for name in ["inner.test", "deep.inner.test"] {
        let (page, local, certificate) = eventually_ok("TLS reaches the app", SOON, || async {
            let (page, local, certificate) = through(panel.https_port, name).await?;
            if page.contains("through ") {
                Ok((page, local, certificate))
            } else {
                Err(page)
            }
        })
        .await;
        assert!(page.ends_with(&format!("through 127.0.0.1:{}", local.port())), "{page}");
        shown.push(certificate);
    }
    assert_eq!(shown[0], shown[1], "both show the app's certificate");
    let (page, _, certificate) = through(panel.https_port, "wires.test").await.unwrap();
    assert!(page.ends_with("plain") && certificate != shown[0], "{page}");
    // Without a port it is over.
    panel.put("/api/v1/domains/inner.test/passthrough", json!({})).await.expect(200);
    eventually_ok("the edge ends TLS itself again", SOON, || async {
        let (page, _, certificate) = through(panel.https_port, "inner.test").await?;
        if page.ends_with("plain") && certificate != shown[0] {
            Ok(())
        } else {
            Err(page)
        }
    })
    .await;
}

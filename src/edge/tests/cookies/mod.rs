//! The panel's cookies: browsers show them to every port of its host, so no app may see or set them.

use crate::support::*;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixListener},
};
use types::{Route, Target};

const SHOWN: &str = "serverkit_session=stolen; own=1; __Host-serverkit_session=stolen; theirs=2";
const SET: &str = "Set-Cookie: serverkit_session=fixed; Path=/\r\nSet-Cookie: own=3\r\nSet-Cookie: __Host-serverkit_session=fixed\r\n";

/// An app that sets cookies and says what it was asked.
async fn curious() -> Script {
    Script::start(|head| {
        if head.to_lowercase().contains("upgrade: websocket") {
            return format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{SET}\r\n");
        }
        match head.split(' ').nth(1) {
            Some("/chunks") => {
                format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{SET}\r\n{:x}\r\n{head}\r\n0\r\n\r\n",
                    head.len()
                )
            }
            _ => reply(200, SET, head),
        }
    })
    .await
}

fn check(seen: &str, set: &[&str]) {
    assert!(!seen.contains("stolen") && seen.contains("own=1; theirs=2"), "{seen}");
    assert_eq!(set, ["own=3"]);
}

async fn asked(client: &reqwest::Client, stand: &Stand, path: &str) -> (String, Vec<String>) {
    let answer = client.get(stand.https_url(path)).header("cookie", SHOWN).send().await.unwrap();
    let set = answer.headers().get_all("set-cookie").iter();
    let set = set.map(|value| value.to_str().unwrap().to_owned()).collect();
    (answer.text().await.unwrap(), set)
}

#[tokio::test]
async fn apps_neither_see_nor_set_the_panels_cookies() {
    let (stand, app) = (Stand::start(), curious().await);
    for site in [
        app.route(),
        with_policy(app.route(), json!({"response_headers": {"set": {"X-A": "b"}}})),
    ] {
        stand.apply(&[("blog.test", site)]);
        for client in [stand.client(), stand.client_builder().http1_only().build().unwrap()] {
            for path in ["/", "/chunks"] {
                let (seen, set) = asked(&client, &stand, path).await;
                check(&seen, &set.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
    }
    // Nothing is left of a header that has nothing else.
    let answer = stand.get_with("blog.test", "/", "Cookie: serverkit_refresh=stolen\r\n").await;
    assert!(!answer.body.to_lowercase().contains("cookie"), "{}", answer.body);
}

#[tokio::test]
async fn nor_does_an_app_behind_a_websocket() {
    let (stand, app) = (Stand::start(), curious().await);
    stand.apply(&[("blog.test", app.route())]);
    let mut stream = TcpStream::connect(stand.http).await.unwrap();
    let upgrade =
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let head = format!("GET /ws HTTP/1.1\r\nHost: blog.test\r\nCookie: {SHOWN}\r\n{upgrade}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        assert!(
            stream.read_buf(&mut answer).await.unwrap() > 0,
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let lines = answer.lines().filter_map(|line| line.split_once(": "));
    let set: Vec<&str> = lines
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .map(|(_, value)| value)
        .collect();
    check(&app.last(), &set);
}

/// Whose server it is, the panel does not know.
#[tokio::test]
async fn nor_does_the_server_that_decides_who_may_pass() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let judge = Script::start(|head| match head.contains("own=1") {
        true => reply(403, SET, "no"),
        false => reply(200, "", ""),
    })
    .await;
    let url = format!("http://{}/check", judge.address);
    stand.apply(&[("blog.test", with_policy(to(&app), json!({"forward_auth": {"url": url}})))]);
    let (_, set) = asked(&stand.client(), &stand, "/").await;
    check(&judge.last(), &set.iter().map(String::as_str).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_panel_gets_and_sets_its_own() {
    let (stand, panel) = (Stand::start(), curious().await);
    let socket = UnixListener::bind(stand.folder.path().join("api.sock")).unwrap();
    let target = panel.address;
    tokio::spawn(async move {
        loop {
            let (mut unix, _) = socket.accept().await.unwrap();
            tokio::spawn(async move {
                let mut tcp = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut unix, &mut tcp).await;
            });
        }
    });
    stand.apply(&[("blog.test", Route::plain(None, "panel", false, Target::Panel))]);
    let (seen, set) = asked(&stand.client(), &stand, "/").await;
    assert!(seen.contains(SHOWN), "{seen}");
    assert_eq!(set.len(), 3, "{set:?}");
}

//! The API over its real sockets, on a real store.
#![allow(clippy::unwrap_used)]

mod kit;

use kit::{Answer, PASSWORD, Served, raw};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

#[tokio::test]
async fn only_the_machines_own_socket_knows_the_machine() {
    let (served, _) = Served::claimed().await;
    let known = served.machine("GET", "/api/v1/session", &[], None).await;
    assert_eq!((known.status, &known.json()["user"]["role"]), (200, &json!("owner")));
    assert_eq!(known.json()["csrf"], "");
    // The edge is the same process, so its credentials are the machine's; they must not count.
    assert_eq!(
        served.edge("GET", "/api/v1/session", &[], None).await.problem(),
        (401, "unauthenticated".into())
    );
    let body = Some(json!({ "name": "shop" }));
    assert_eq!(served.edge("POST", "/api/v1/projects", &[], body).await.status, 401);
    // Who names somebody else means it.
    let wrong = [("authorization", "Bearer sk_wrong")];
    assert_eq!(served.machine("GET", "/api/v1/session", &wrong, None).await.status, 401);
    let wrong = [("authorization", "Basic YTpi")];
    assert_eq!(served.machine("GET", "/api/v1/session", &wrong, None).await.status, 401);
}

#[tokio::test]
async fn before_the_claim_the_machine_is_told_what_to_do() {
    let served = Served::start().await;
    let answer = served.machine("GET", "/api/v1/apps", &[], None).await;
    assert_eq!(answer.problem(), (409, "busy".into()));
    assert!(answer.text.contains("serverkit setup"));
    let body = json!({ "token": "", "email": "ada@example.com", "name": "Ada", "password": PASSWORD });
    assert_eq!(served.edge("POST", "/api/v1/setup", &[], Some(body.clone())).await.status, 403);
    assert_eq!(served.machine("POST", "/api/v1/setup", &[], Some(body.clone())).await.status, 201);
    assert_eq!(
        served.machine("POST", "/api/v1/setup", &[], Some(body)).await.problem(),
        (409, "busy".into())
    );
    let state = served.edge("GET", "/api/v1/setup", &[], None).await.json();
    assert_eq!(state["claimed"], true);
}

#[tokio::test]
async fn cookies_are_locked_up_and_need_the_csrf_word() {
    let (served, browser) = Served::claimed().await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let signed = served.edge("POST", "/api/v1/session", &[], Some(body)).await;
    assert_eq!(signed.status, 201, "{}", signed.text);
    for cookie in &signed.headers["set-cookie"] {
        for part in ["HttpOnly", "Secure", "SameSite=Strict"] {
            assert!(cookie.contains(part), "{cookie}");
        }
    }
    assert!(
        signed.headers["set-cookie"]
            .iter()
            .any(|cookie| cookie.starts_with("serverkit_refresh=") && cookie.contains("Path=/api/v1/session"))
    );

    let body = || Some(json!({ "name": "shop" }));
    let without = served.edge("POST", "/api/v1/projects", &browser.reads(), body()).await;
    assert_eq!(without.problem(), (403, "forbidden".into()));
    let wrong = [browser.reads()[0], ("x-csrf-token", "wrong")];
    assert_eq!(served.edge("POST", "/api/v1/projects", &wrong, body()).await.status, 403);
    for (method, path) in [
        ("PATCH", "/api/v1/account"),
        ("DELETE", "/api/v1/session"),
        ("PUT", "/api/v1/apps/x/variables"),
    ] {
        let answer = served.edge(method, path, &browser.reads(), Some(json!({ "items": [] }))).await;
        assert_eq!(answer.problem(), (403, "forbidden".into()), "{method} {path}");
    }
    assert_eq!(served.edge("POST", "/api/v1/projects", &browser.writes(), body()).await.status, 201);
    assert_eq!(served.edge("GET", "/api/v1/projects", &browser.reads(), None).await.status, 200);
}

#[tokio::test]
async fn sessions_are_renewed_listed_and_ended() {
    let (served, browser) = Served::claimed().await;
    let renewed = served.edge("POST", "/api/v1/session/refresh", &browser.reads(), None).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    assert!(renewed.cookies().contains("__Host-serverkit_session=") && renewed.cookies().contains("serverkit_refresh="));
    assert_eq!(served.edge("POST", "/api/v1/session/refresh", &[], None).await.status, 401);

    let list = served.edge("GET", "/api/v1/sessions", &browser.reads(), None).await.json();
    assert_eq!(list["items"][0]["address"], "192.0.2.7");
    assert_eq!(list["items"][0]["current"], true);

    let ended = served.edge("DELETE", "/api/v1/session", &browser.writes(), None).await;
    assert_eq!(ended.status, 204);
    assert!(ended.headers["set-cookie"].iter().all(|cookie| cookie.contains("Max-Age=0")));
    assert_eq!(
        served.edge("GET", "/api/v1/session", &browser.reads(), None).await.problem(),
        (401, "unauthenticated".into())
    );
}

#[tokio::test]
async fn tokens_reach_as_far_as_their_scope() {
    let (served, browser) = Served::claimed().await;
    let body = json!({ "name": "ci", "scope": "read", "expires_in_days": null });
    let made = served.edge("POST", "/api/v1/tokens", &browser.writes(), Some(body)).await.json();
    assert_eq!(made["token"]["expires_at"], Value::Null);
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    let token = [("authorization", bearer.as_str())];
    assert_eq!(served.edge("GET", "/api/v1/projects", &token, None).await.status, 200);
    let refused = served
        .edge("POST", "/api/v1/projects", &token, Some(json!({ "name": "shop" })))
        .await;
    assert_eq!(refused.problem(), (403, "forbidden".into()));
    assert!(refused.text.contains("scope write"), "{}", refused.text);
    let metrics = served.edge("GET", "/metrics", &token, None).await;
    assert!(
        metrics.status == 200 && metrics.text.contains("serverkit_info{version="),
        "{}",
        metrics.text
    );
    assert_eq!(served.edge("GET", "/metrics", &[], None).await.status, 401);
}

#[tokio::test]
async fn the_same_post_is_done_once() {
    let (served, browser) = Served::claimed().await;
    let post = async |key: &str, name: &str| {
        let headers = [browser.writes()[0], browser.writes()[1], ("idempotency-key", key)];
        served
            .edge("POST", "/api/v1/projects", &headers, Some(json!({ "name": name })))
            .await
    };
    let first = post("k1", "shop").await;
    let again = post("k1", "shop").await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json());
    assert_eq!(
        (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
        (None, Some("true"))
    );
    assert_eq!(post("k1", "other").await.problem(), (422, "invalid".into()));
    assert_eq!(post("k2", "shop").await.problem(), (409, "taken".into()));
    // A refusal did nothing, so it is not kept: the same request may succeed later.
    assert_eq!(post("k2", "free").await.status, 201);
    assert_eq!(post("", "x").await.problem(), (422, "invalid".into()));
    // Another actor's key is another key.
    let headers = [("idempotency-key", "k1")];
    let other = served
        .machine("POST", "/api/v1/projects", &headers, Some(json!({ "name": "theirs" })))
        .await;
    assert_eq!(other.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_post_at_the_same_time_is_done_once() {
    let (served, browser) = Served::claimed().await;
    let headers = [browser.writes()[0], browser.writes()[1], ("idempotency-key", "k1")];
    let posts = (0..12).map(|_| served.edge("POST", "/api/v1/tokens", &headers, Some(json!({ "name": "ci", "scope": "read" }))));
    let answers = futures::future::join_all(posts).await;
    let secrets: std::collections::BTreeSet<String> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.json()["secret"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(secrets.len(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.problem(), (409, "busy".into()));
    }
    let list = served.edge("GET", "/api/v1/tokens", &browser.reads(), None).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let (served, browser) = Served::claimed().await;
    let edge = served.socket("edge.sock");
    let json_kind = ("content-type", "application/json");
    let signed = [browser.writes()[0], browser.writes()[1], json_kind];
    let plain = [browser.writes()[0], browser.writes()[1], ("content-type", "text/plain")];
    let large = vec![b'a'; crate::BODY_BYTES + 1];
    for (method, path, headers, body, status) in [
        ("GET", "/api/v1/nowhere", &signed, &b""[..], 404),
        ("GET", "/api/nowhere", &signed, b"", 404),
        ("GET", "/nowhere.js", &signed, b"", 404),
        ("PUT", "/api/v1/projects", &signed, b"{}", 405),
        ("POST", "/api/v1/projects", &signed, b"{", 400),
        ("POST", "/api/v1/projects", &signed, b"\xff\xfe", 400),
        ("POST", "/api/v1/projects", &signed, b"[]", 422),
        ("POST", "/api/v1/projects", &signed, b"{\"name\": {}}", 422),
        ("POST", "/api/v1/projects", &signed, b"{\"name\": \"a\", \"b\": 1}", 422),
        ("POST", "/api/v1/projects", &signed, b"{\"name\": \"../x\"}", 422),
        ("POST", "/api/v1/projects", &plain, b"{}", 415),
        ("POST", "/api/v1/projects", &signed, &large, 413),
        ("GET", "/api/v1/projects?limit=0", &signed, b"", 422),
        ("GET", "/api/v1/projects?limit=-1", &signed, b"", 422),
        ("GET", "/api/v1/projects?cursor=zzz", &signed, b"", 422),
        ("GET", "/api/v1/apps/nowhere", &signed, b"", 404),
        ("GET", "/api/v1/apps/%2e%2e%2fetc", &signed, b"", 404),
        ("GET", "/api/v1/deployments/dep_x/log/stream", &signed, b"", 403),
    ] {
        let answer = raw(edge.clone(), method, path, headers, body).await;
        assert_eq!(answer.problem().0, status, "{method} {path}: {}", answer.text);
    }
}

/// The edge keeps its connections to the panel: what one request leaves in one must not end it under the next.
#[tokio::test]
async fn a_body_that_nobody_asked_for_does_not_end_the_connection() {
    let (served, _) = Served::claimed().await;
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        let mut stream = UnixStream::connect(served.socket("edge.sock")).await.unwrap();
        let first = format!("{method} /api/v1/apps HTTP/1.1\r\nhost: panel.test\r\ncontent-length: 12\r\n\r\n{{\"name\": \"\"}}");
        stream.write_all(first.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{method}: no answer");
        }
        stream
            .write_all(b"GET /health HTTP/1.1\r\nhost: panel.test\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("HTTP/1.1 200"), "{method}: {rest}");
    }
    // Where nobody reads, nothing else comes on the connection.
    let mut stream = UnixStream::connect(served.socket("edge.sock")).await.unwrap();
    let upload =
        "PUT /api/v1/apps/blog/upload HTTP/1.1\r\nhost: panel.test\r\ncontent-type: application/zip\r\ncontent-length: 2\r\n\r\nPK";
    stream.write_all(upload.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_page_names_what_it_needs_and_what_it_asks_first_to_who_has_a_session() {
    let (served, browser) = Served::claimed().await;
    let links = async |path: &str, headers: &[(&str, &str)]| {
        let answer = served.edge("GET", path, headers, None).await;
        let named = answer.headers.get("link").into_iter().flatten();
        let named = named
            .flat_map(|line| line.split(", "))
            .filter_map(|link| link.strip_prefix('<')?.split_once('>'));
        named.map(|(path, _)| path.to_owned()).collect::<Vec<_>>()
    };
    let all = links("/apps", &browser.reads()).await;
    assert!(
        all.contains(&"/first.js".to_owned()) && all.contains(&"/first.css".to_owned()),
        "{all:?}"
    );
    for (path, asked) in [("/", "/api/v1/overview"), ("/marketplace", "/api/v1/catalog?limit=500")] {
        let named = links(path, &browser.reads()).await;
        assert_eq!(named, [all.clone(), vec![asked.to_owned()]].concat());
        for path in named {
            assert_eq!(served.edge("GET", &path, &browser.reads(), None).await.status, 200, "{path}");
        }
        assert_eq!(links(path, &[]).await, all, "nobody asks without a session");
    }
    assert!(links("/app.js", &[]).await.is_empty());
}

#[tokio::test]
async fn answers_are_protected() {
    let (served, browser) = Served::claimed().await;
    for path in ["/api/v1/session", "/api/v1/nowhere", "/api/docs", "/health", "/"] {
        let answer = served.edge("GET", path, &browser.reads(), None).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("script-src 'self' 'unsafe-inline'"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 20), "{path}");
        // `panel.test` will never have a public certificate.
        assert_eq!(answer.header("strict-transport-security"), None, "{path}");
    }
    assert_eq!(
        served
            .edge("GET", "/api/v1/session", &browser.reads(), None)
            .await
            .header("cache-control"),
        Some("no-store")
    );
    let request = |proto: &'static str, host: &'static str| {
        let headers = [("x-forwarded-proto", proto), ("host", host)];
        let request = format!(
            "GET /health HTTP/1.1\r\n{}: {}\r\n{}: {}\r\nconnection: close\r\n\r\n",
            headers[0].0, headers[0].1, headers[1].0, headers[1].1
        );
        let socket = served.socket("edge.sock");
        async move {
            let mut stream = UnixStream::connect(socket).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer.to_lowercase().contains("strict-transport-security")
        }
    };
    assert!(request("https", "panel.example.com:9443").await);
    assert!(!request("http", "panel.example.com").await);
    assert!(!request("https", "192.0.2.1:9443").await);
}

#[tokio::test]
async fn large_answers_are_compressed_where_it_is_wanted() {
    let (served, browser) = Served::claimed().await;
    for number in 0..20 {
        let body = json!({ "name": format!("project-{number}"), "description": "x".repeat(100) });
        assert_eq!(
            served.edge("POST", "/api/v1/projects", &browser.writes(), Some(body)).await.status,
            201
        );
    }
    let plain = served.edge("GET", "/api/v1/projects", &browser.reads(), None).await;
    let headers = [browser.reads()[0], ("accept-encoding", "gzip, br")];
    let small = served.edge("GET", "/api/v1/projects", &headers, None).await;
    assert_eq!(
        (plain.header("content-encoding"), small.header("content-encoding")),
        (None, Some("gzip"))
    );
    let length = |answer: &Answer| answer.header("content-length").unwrap().parse::<usize>().unwrap();
    assert!(length(&small) * 3 < length(&plain));
}

#[tokio::test]
async fn a_listener_that_comes_back_gets_what_it_missed() {
    let (served, browser) = Served::claimed().await;
    let post = async |name: &str| {
        let answer = served
            .edge("POST", "/api/v1/projects", &browser.writes(), Some(json!({ "name": name })))
            .await;
        assert_eq!(answer.status, 201);
    };
    post("first").await;
    let history = served
        .edge("GET", "/api/v1/events/history?limit=1", &browser.reads(), None)
        .await
        .json();
    let last = history["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(history["next"].is_string());
    post("missed").await;

    let mut stream = UnixStream::connect(served.socket("edge.sock")).await.unwrap();
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nhost: panel.test\r\ncookie: {}\r\nlast-event-id: {last}\r\n\r\n",
        browser.cookie
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    let mut posted = false;
    while !text.contains("\"name\":\"live\"") {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert!(read > 0, "{text}");
        text += &String::from_utf8_lossy(&buffer[..read]);
        if !posted && text.contains("\"name\":\"missed\"") {
            posted = true;
            post("live").await;
        }
    }
    assert!(!text.contains("\"name\":\"first\""), "{text}");
    assert!(text.contains("event: project_created") && text.contains("event: metrics"), "{text}");

    served.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    });
    ended.await.unwrap();
}

#[tokio::test]
async fn a_socket_closes_when_its_token_is_revoked() {
    let (served, browser) = Served::claimed().await;
    let body = json!({ "name": "ci", "scope": "read" });
    let token = served.edge("POST", "/api/v1/tokens", &browser.writes(), Some(body)).await.json();
    let body = json!({ "name": "web", "source": { "kind": "image", "reference": "nginx" } });
    let app = served.edge("POST", "/api/v1/apps", &browser.writes(), Some(body)).await.json();
    let deployment = app["deployment"]["id"].as_str().unwrap();

    let mut stream = UnixStream::connect(served.socket("edge.sock")).await.unwrap();
    let request = format!(
        "GET /api/v1/deployments/{deployment}/log/stream HTTP/1.1\r\nhost: panel.test\r\nauthorization: Bearer {}\r\n\
         upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        token["secret"].as_str().unwrap()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).await.unwrap();
    assert!(
        buffer[..read].starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&buffer[..read])
    );
    let quiet = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut buffer)).await;
    assert!(quiet.is_err(), "open while the token stands");

    let path = format!("/api/v1/tokens/{}", token["token"]["id"].as_str().unwrap());
    assert_eq!(served.edge("DELETE", &path, &browser.writes(), None).await.status, 204);
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    // A close frame (RFC 6455, 5.5.1) with code 1008, policy.
    assert_eq!((buffer[0], &buffer[2..4]), (0x88, &[0x03, 0xf0][..]), "{:?}", &buffer[..read]);
}

//! What a policy does to requests and answers.

use crate::support::*;
use serde_json::json;
use std::{
    io::Read,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

#[tokio::test]
async fn headers_of_answers() {
    let stand = Stand::start();
    let app = Script::start(|_| reply(200, "X-Powered-By: secret\r\nX-Own: old\r\n", "ok")).await;
    let site = with_policy(
        app.route(),
        json!({"response_headers": {
            "hsts": {"max_age_seconds": 300, "include_subdomains": true},
            "content_security_policy": "default-src 'self'",
            "set": {"X-Own": "new", "X-Frame-Options": "DENY"},
            "remove": ["X-Powered-By"],
        }}),
    );
    stand.apply(&[("blog.test", site)]);
    let plain = stand.get("blog.test", "/").await;
    for (name, value) in [
        ("x-own", Some("new")),
        ("x-frame-options", Some("DENY")),
        ("content-security-policy", Some("default-src 'self'")),
        ("x-powered-by", None),
        ("strict-transport-security", None),
    ] {
        assert_eq!(plain.header(name), value, "{name}");
    }
    let secure = stand.client().get(stand.https_url("/")).send().await.unwrap();
    assert_eq!(secure.headers()["strict-transport-security"], "max-age=300; includeSubDomains");
}

#[tokio::test]
async fn cross_origin_requests() {
    let (stand, app) = (Stand::start(), App::start("api").await);
    let site = with_policy(
        to(&app),
        json!({"cors": {"origins": ["https://a.test"], "methods": ["GET", "PUT"], "headers": ["x-token"], "expose": ["x-count"],
            "credentials": true, "max_age_seconds": 60}}),
    );
    stand.apply(&[("blog.test", site)]);
    let preflight = |origin: &str| {
        format!(
            "OPTIONS / HTTP/1.1\r\nHost: blog.test\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\nConnection: close\r\n\r\n"
        )
    };
    let answer = raw(stand.http, preflight("https://a.test")).await;
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://a.test"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-token"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "60"),
        ("vary", "Origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let answer = raw(stand.http, preflight("https://evil.test")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, None));
    assert_eq!(app.requests.load(SeqCst), 0, "the edge answers these itself");
    let answer = stand.get_with("blog.test", "/", "Origin: https://a.test\r\n").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.test"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("x-count"));
}

#[tokio::test]
async fn addresses_are_let_in_or_kept_out() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    for (access, status) in [
        (json!({"deny": ["127.0.0.0/8"]}), 403),
        (json!({"allow": ["10.0.0.0/8"]}), 403),
        (json!({"allow": ["127.0.0.1/32"]}), 200),
        (json!({"allow": ["127.0.0.1/32"], "deny": ["127.0.0.1/32"]}), 403),
        (json!({"deny": ["::1/128"]}), 200),
    ] {
        stand.apply(&[("blog.test", with_policy(to(&app), json!({"access": access})))]);
        assert_eq!(stand.get("blog.test", "/").await.status, status, "{access}");
        // What a client says of itself does not matter.
        let answer = stand
            .get_with("blog.test", "/", "X-Forwarded-For: 10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\n")
            .await;
        assert_eq!(answer.status, status, "{access}");
    }
    let report = stand.edge.report();
    assert_eq!(report.domains[0].denied, 6);
}

#[tokio::test]
async fn names_and_passwords() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let hash = types::PasswordHash::of("open sesame", [3; 16]).unwrap();
    let site = with_policy(
        to(&app),
        json!({"basic_auth": {"realm": "the \"cave\"", "users": [{"name": "ali", "hash": hash.0}]}}),
    );
    stand.apply(&[("blog.test", site)]);
    let answer = stand.get("blog.test", "/").await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Basic realm=\"the cave\", charset=\"UTF-8\"")
    );
    let client = stand.client();
    let ask = async |name: &str, password: &str| {
        let request = client.get(stand.https_url("/")).basic_auth(name, Some(password));
        request.send().await.unwrap().status().as_u16()
    };
    for (name, password, status) in [
        ("ali", "open sesame", 200),
        ("ali", "open barley", 401),
        ("cassim", "open sesame", 401),
        ("", "", 401),
    ] {
        assert_eq!(ask(name, password).await, status, "{name}:{password}");
    }
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(ask("ali", "open sesame").await, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "remembered: {:?}", began.elapsed());
    for broken in ["Basic", "Basic !!!", "Bearer x", "Basic bm9jb2xvbg=="] {
        let answer = stand.get_with("blog.test", "/", &format!("Authorization: {broken}\r\n")).await;
        assert_eq!(answer.status, 401, "{broken}");
    }
}

#[tokio::test]
async fn another_server_decides_who_may_pass() {
    let stand = Stand::start();
    let app = Script::start(|head| reply(200, "", head)).await;
    let judge = Script::start(|head| {
        if head.contains("cookie: good") || head.contains("Cookie: good") {
            reply(200, "X-User: ada\r\nX-Other: no\r\n", "")
        } else {
            reply(302, "Location: https://login.test/\r\nX-Inner: secret\r\n", "sign in")
        }
    })
    .await;
    let site = |address: std::net::SocketAddr| {
        with_policy(
            app.route(),
            json!({"forward_auth": {"url": format!("http://{address}/check?a=1"), "pass_headers": ["x-user"]}}),
        )
    };
    stand.apply(&[("blog.test", site(judge.address))]);
    let answer = stand.get("blog.test", "/secret?q=1").await;
    assert_eq!((answer.status, answer.body.as_str()), (302, "sign in"));
    assert_eq!(answer.header("location"), Some("https://login.test/"));
    assert_eq!(answer.header("x-inner"), None);
    let asked = judge.last().to_lowercase();
    for part in [
        "get /check?a=1 http/1.1",
        "x-forwarded-uri: /secret?q=1",
        "x-forwarded-method: get",
        "x-forwarded-host: blog.test",
        "x-forwarded-for: 127.0.0.1",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let answer = stand.get_with("blog.test", "/", "Cookie: good\r\nX-User: mallory\r\n").await;
    assert_eq!(answer.status, 200);
    let seen = answer.body.to_lowercase();
    assert!(
        seen.contains("x-user: ada") && !seen.contains("mallory") && !seen.contains("x-other"),
        "{seen}"
    );
    judge.close();
    let dead: std::net::SocketAddr = "127.0.0.1:9".parse().unwrap();
    stand.apply(&[("blog.test", site(dead))]);
    assert_eq!(stand.get("blog.test", "/").await.status, 502, "closed when nobody can be asked");
}

#[tokio::test]
async fn rates_are_limited_by_key_and_shown() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let limit = |key: serde_json::Value, dry: bool| json!({"rate_limits": [{"name": "few", "key": key, "requests": 3, "period_seconds": 3600, "dry_run": dry}]});
    stand.apply(&[("blog.test", with_policy(to(&app), limit(json!({"kind": "address"}), false)))]);
    let statuses = async |headers: &str, path: &str| {
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(stand.get_with("blog.test", path, headers).await.status);
        }
        all
    };
    assert_eq!(statuses("", "/").await, [200, 200, 200, 429, 429]);
    let answer = stand.get("blog.test", "/").await;
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((600..=1201).contains(&wait), "{wait}");
    // A swap does not forgive.
    stand.apply(&[("blog.test", with_policy(to(&app), limit(json!({"kind": "address"}), false)))]);
    assert_eq!(stand.get("blog.test", "/").await.status, 429);
    let report = stand.edge.report();
    let limited = &report.limited[0];
    assert_eq!(
        (limited.limit.as_str(), limited.key.as_str(), limited.refused),
        ("few", "127.0.0.1", 4)
    );
    // By header, then by path.
    stand.apply(&[(
        "blog.test",
        with_policy(to(&app), limit(json!({"kind": "header", "name": "x-key"}), false)),
    )]);
    assert_eq!(statuses("X-Key: a\r\n", "/").await, [200, 200, 200, 429, 429]);
    assert_eq!(statuses("X-Key: b\r\n", "/").await, [200, 200, 200, 429, 429]);
    stand.apply(&[("blog.test", with_policy(to(&app), limit(json!({"kind": "path"}), false)))]);
    assert_eq!(statuses("", "/a").await, [200, 200, 200, 429, 429]);
    assert_eq!(statuses("", "/%61").await, [429; 5], "another spelling is the same path");
    assert_eq!(statuses("", "/b").await, [200, 200, 200, 429, 429]);
    // Tried only.
    stand.apply(&[("blog.test", with_policy(to(&app), limit(json!({"kind": "address"}), true)))]);
    assert_eq!(statuses("", "/").await, [200; 5]);
    assert_eq!(stand.edge.report().domains[0].would_limit, 2);
}

#[tokio::test]
async fn bodies_and_times_have_limits_of_their_own() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let site = with_policy(to(&app), json!({"limits": {"body_bytes": 10, "response_seconds": 1}}));
    stand.apply(&[("blog.test", site), ("shop.test", to(&app))]);
    let post = |host: &str, size: usize| {
        format!(
            "POST /size HTTP/1.1\r\nHost: {host}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n{}",
            "x".repeat(size)
        )
    };
    assert_eq!(raw(stand.http, post("blog.test", 10)).await.status, 200);
    assert_eq!(raw(stand.http, post("blog.test", 11)).await.status, 413);
    assert_eq!(raw(stand.http, post("shop.test", 11)).await.status, 200);
    let chunked =
        "POST /size HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nb\r\nhello world\r\n0\r\n\r\n";
    assert_eq!(raw(stand.http, chunked).await.status, 413);
    assert_eq!(stand.get("blog.test", "/never").await.status, 504);
    // A long upload over HTTP/2 is answered before it was read.
    for size in [11, 200 << 10, 20 << 20] {
        let answer = stand
            .client()
            .post(stand.https_url("/size"))
            .body(vec![0; size])
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 413, "{size}");
    }
}

#[tokio::test]
async fn maintenance_and_pages_for_errors() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let page = json!({"statuses": [502, 503], "body": "<h1>{status} {title}</h1>", "replace_app": true});
    let site = |allow: serde_json::Value, pages: serde_json::Value| {
        with_policy(
            to(&app),
            json!({"maintenance": {"message": "Back at <noon>", "allow": allow, "retry_after_seconds": 60}, "error_pages": pages}),
        )
    };
    stand.apply(&[("blog.test", site(json!([]), json!([])))]);
    let answer = stand.get_with("blog.test", "/", "Accept: text/html\r\n").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("60")));
    assert!(answer.body.contains("Back at &lt;noon&gt;"), "{}", answer.body);
    stand.apply(&[("blog.test", site(json!(["127.0.0.1/32"]), json!([])))]);
    assert_eq!(stand.get("blog.test", "/").await.status, 200);
    stand.apply(&[("blog.test", site(json!([]), json!([page])))]);
    let answer = stand.get("blog.test", "/").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "<h1>503 Service Unavailable</h1>"));
    // In place of what an app says, whole or in chunks, over both protocols.
    let failing = Script::start(|head| {
        if head.contains("/chunks") {
            "HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ninner\r\n0\r\n\r\n".to_owned()
        } else {
            reply(502, "", "inner details")
        }
    })
    .await;
    stand.apply(&[("blog.test", with_policy(failing.route(), json!({"error_pages": [page]})))]);
    for (path, status, body) in [
        ("/", 502, "<h1>502 Bad Gateway</h1>"),
        ("/chunks", 503, "<h1>503 Service Unavailable</h1>"),
    ] {
        let answer = stand.get("blog.test", path).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body));
        let answer = stand.client().get(stand.https_url(path)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.text().await.unwrap(), body);
        let answer = stand.client().head(stand.https_url(path)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
}

fn unpacked(coding: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "br" => drop(brotli::Decompressor::new(bytes, 4096).read_to_string(&mut text)),
        "zstd" => drop(zstd::stream::read::Decoder::new(bytes).unwrap().read_to_string(&mut text)),
        "gzip" => drop(flate2::read::GzDecoder::new(bytes).read_to_string(&mut text)),
        other => panic!("{other}"),
    }
    text
}

#[tokio::test]
async fn answers_are_compressed_as_the_client_takes_them() {
    let stand = Stand::start();
    let text = "serverkit ".repeat(20_000);
    let body = text.clone();
    let app = Script::start(move |head| match head.split(' ').nth(1).unwrap() {
        "/text" => reply(200, "Content-Type: text/html\r\nETag: \"1\"\r\n", &body),
        "/small" => reply(200, "Content-Type: text/html\r\n", "small"),
        "/image" => reply(200, "Content-Type: image/png\r\n", &body),
        "/packed" => reply(200, "Content-Type: text/html\r\nContent-Encoding: gzip\r\n", &body),
        "/fixed" => reply(200, "Content-Type: text/html\r\nCache-Control: no-transform\r\n", &body),
        _ => format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ),
    })
    .await;
    stand.apply(&[("blog.test", with_policy(app.route(), json!({"compression": true})))]);
    for client in [stand.client(), stand.client_builder().http1_only().build().unwrap()] {
        for coding in ["br", "zstd", "gzip"] {
            for path in ["/text", "/chunks"] {
                let answer = client
                    .get(stand.https_url(path))
                    .header("accept-encoding", coding)
                    .send()
                    .await
                    .unwrap();
                assert_eq!(answer.headers()["content-encoding"], coding);
                assert_eq!(answer.headers()["vary"], "Accept-Encoding");
                if path == "/text" {
                    assert_eq!(answer.headers()["etag"], "W/\"1\"");
                }
                let bytes = answer.bytes().await.unwrap();
                assert!(bytes.len() < text.len() / 10, "{}", bytes.len());
                assert_eq!(unpacked(coding, &bytes), text);
            }
        }
        for (path, coding) in [("/small", None), ("/image", None), ("/packed", Some("gzip")), ("/fixed", None)] {
            let answer = client
                .get(stand.https_url(path))
                .header("accept-encoding", "gzip, br")
                .send()
                .await
                .unwrap();
            let found = answer
                .headers()
                .get("content-encoding")
                .map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(found.as_deref(), coding, "{path}");
        }
        let answer = client.get(stand.https_url("/text")).send().await.unwrap();
        assert!(answer.headers().get("content-encoding").is_none());
        assert_eq!(answer.text().await.unwrap(), text);
        let answer = client
            .head(stand.https_url("/text"))
            .header("accept-encoding", "br")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn compressed_pieces_flow_as_they_come() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", with_policy(to(&app), json!({"compression": true})))]);
    // Events stay as they are.
    let mut answer = stand
        .client()
        .get(stand.https_url("/ticks"))
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert!(answer.headers().get("content-encoding").is_none());
    let began = Instant::now();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "tick 0\n");
    assert!(began.elapsed() < Duration::from_millis(900));
}

#[tokio::test]
async fn bandwidth_is_shared_by_all_clients() {
    let stand = Stand::start();
    let body = "x".repeat(200_000);
    let app = Script::start(move |_| reply(200, "", &body)).await;
    stand.apply(&[("blog.test", with_policy(app.route(), json!({"bandwidth": 400_000})))]);
    let began = Instant::now();
    let (one, two) = tokio::join!(stand.get("blog.test", "/"), stand.get("blog.test", "/"));
    assert_eq!((one.body.len(), two.body.len()), (200_000, 200_000));
    let took = began.elapsed();
    assert!(took > Duration::from_millis(600) && took < Duration::from_secs(5), "{took:?}");
}

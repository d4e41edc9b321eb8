//! Kept answers: what is kept, for whom, how long, and that it can be thrown away.

use crate::support::*;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use types::Purge;

/// Counts its answers: the body says which one it is.
async fn counting(headers: &'static str) -> Script {
    let n = AtomicUsize::new(0);
    Script::start(move |_| reply(200, headers, &format!("answer {}", n.fetch_add(1, SeqCst)))).await
}

#[tokio::test]
async fn an_answer_is_kept_while_it_is_fresh() {
    let (stand, app) = (Stand::start(), counting("Cache-Control: max-age=60\r\nETag: \"e\"\r\n").await);
    stand.apply(&[("blog.test", with_policy(app.route(), json!({"cache": {}})))]);
    let first = stand.get("blog.test", "/a?x=1").await;
    assert_eq!(
        (first.body.as_str(), first.header("cache-status")),
        ("answer 0", Some("serverkit; fwd=miss"))
    );
    let second = stand.get("blog.test", "/a?x=1").await;
    assert_eq!(
        (second.body.as_str(), second.header("cache-status")),
        ("answer 0", Some("serverkit; hit"))
    );
    assert!(second.header("age").is_some());
    assert_eq!(
        stand.get("blog.test", "/a?x=2").await.body,
        "answer 1",
        "another query is another answer"
    );
    let known = stand.get_with("blog.test", "/a?x=1", "If-None-Match: \"e\"\r\n").await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    let head = raw(stand.http, "HEAD /a?x=1 HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("8")));
    assert_eq!(app.count(), 2);
    let https = stand.client().get(stand.https_url("/a?x=1")).send().await.unwrap();
    assert_eq!(https.text().await.unwrap(), "answer 2", "https may be another site");
    // Other methods go past it.
    let post = "POST /a?x=1 HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(stand.http, post).await.body, "answer 3");
    let report = stand.edge.report();
    assert_eq!((report.domains[0].cache_hits, report.cache.objects), (3, 3));
    // By path, by beginning, all.
    let purge = |path: Option<&str>| {
        stand.edge.purge(&Purge {
            host: Some("blog.test".parse().unwrap()),
            path: path.map(str::to_owned),
        })
    };
    assert_eq!(purge(Some("/b")), 0);
    assert_eq!(purge(Some("/a?x=2")), 1);
    assert_eq!(purge(Some("/a*")), 2);
    assert_eq!(stand.get("blog.test", "/a?x=1").await.body, "answer 4");
    assert_eq!(purge(None), 1);
}

#[tokio::test]
async fn what_is_private_is_not_kept() {
    let stand = Stand::start();
    let n = AtomicUsize::new(0);
    let app = Script::start(move |head| {
        let headers = match head.split(' ').nth(1).unwrap() {
            "/private" => "Cache-Control: private, max-age=60\r\n",
            "/cookie" => "Cache-Control: max-age=60\r\nSet-Cookie: a=b\r\n",
            "/silent" => "",
            "/varies" => "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n",
            _ => "Cache-Control: max-age=60\r\n",
        };
        reply(200, headers, &format!("{}", n.fetch_add(1, SeqCst)))
    })
    .await;
    stand.apply(&[("blog.test", with_policy(app.route(), json!({"cache": {}})))]);
    for (path, headers, kept) in [
        ("/private", "", false),
        ("/cookie", "", false),
        ("/silent", "", false),
        ("/open", "", true),
        ("/range", "Range: bytes=0-1\r\n", false),
        ("/authorized", "Authorization: Basic eA==\r\n", false),
        ("/nostore", "Cache-Control: no-store\r\n", false),
    ] {
        let one = stand.get_with("blog.test", path, headers).await.body;
        let two = stand.get_with("blog.test", path, headers).await.body;
        assert_eq!(one == two, kept, "{path}");
    }
    let speak = async |language: &str| {
        let headers = format!("Accept-Language: {language}\r\n");
        stand.get_with("blog.test", "/varies", &headers).await.body
    };
    let (german, english) = (speak("de").await, speak("en").await);
    assert_ne!(german, english);
    assert_eq!((speak("de").await, speak("en").await), (german, english));
}

#[tokio::test]
async fn a_stale_answer_is_given_while_a_new_one_is_fetched_and_when_the_app_fails() {
    let stand = Stand::start();
    let (n, broken) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let breaks = broken.clone();
    let app = Script::start(move |_| {
        if breaks.load(SeqCst) {
            return String::new();
        }
        reply(200, "Cache-Control: max-age=1\r\n", &format!("{}", n.fetch_add(1, SeqCst)))
    })
    .await;
    let policy = json!({"cache": {"stale_while_revalidate_seconds": 2, "stale_if_error_seconds": 60}});
    stand.apply(&[("blog.test", with_policy(app.route(), policy))]);
    assert_eq!(stand.get("blog.test", "/").await.body, "0");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let stale = stand.get("blog.test", "/").await;
    assert_eq!(
        (stale.body.as_str(), stale.header("cache-status")),
        ("0", Some("serverkit; hit; detail=stale"))
    );
    eventually("it is fetched anew", || app.count() == 2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(stand.get("blog.test", "/").await.body, "1");
    broken.store(true, SeqCst);
    tokio::time::sleep(Duration::from_millis(3200)).await;
    let stale = stand.get("blog.test", "/").await;
    assert_eq!(
        (stale.status, stale.body.as_str(), stale.header("cache-status")),
        (200, "1", Some("serverkit; hit; detail=stale-if-error"))
    );
}

#[tokio::test]
async fn kept_answers_are_compressed_and_memory_is_bounded() {
    let stand = Stand::start();
    let body = "hello ".repeat(10_000);
    let app = Script::start(move |_| reply(200, "Cache-Control: max-age=60\r\nContent-Type: text/plain\r\n", &body)).await;
    let policy = json!({"cache": {"max_bytes": 1_000_000}, "compression": true});
    stand.apply(&[("blog.test", with_policy(app.route(), policy))]);
    for _ in 0..3 {
        let answer = stand
            .client()
            .get(stand.https_url("/"))
            .header("accept-encoding", "gzip")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["content-encoding"], "gzip");
        assert!(answer.bytes().await.unwrap().len() < 1000);
    }
    assert_eq!(app.count(), 1);
    for n in 0..100 {
        stand.get("blog.test", &format!("/{n}")).await;
    }
    let cache = stand.edge.report().cache;
    assert!(cache.bytes <= 1_000_000 && cache.objects > 2 && cache.objects < 30, "{cache:?}");
}

/// An app that knows what its answers are called: what a client names in If-None-Match it does not send again.
async fn tagged(headers: &'static str, tag: Arc<AtomicUsize>) -> Script {
    Script::start(move |head| {
        let own = format!("\"v{}\"", tag.load(SeqCst));
        let headers = format!("{headers}ETag: {own}\r\nX-Seen: now\r\n");
        if head.to_lowercase().contains(&format!("if-none-match: {own}")) {
            return format!("HTTP/1.1 304 Not Modified\r\n{headers}\r\n");
        }
        reply(200, &headers, &format!("body {own}"))
    })
    .await
}

#[tokio::test]
async fn what_is_too_old_is_asked_for_by_its_tag_and_not_sent_again() {
    let (stand, tag) = (Stand::start(), Arc::new(AtomicUsize::new(1)));
    let app = tagged("Cache-Control: no-cache\r\n", tag.clone()).await;
    stand.apply(&[("blog.test", with_policy(app.route(), json!({"cache": {}, "compression": true})))]);
    let first = stand.get("blog.test", "/").await;
    assert_eq!((first.status, first.body.as_str()), (200, "body \"v1\""));
    let again = stand.get("blog.test", "/").await;
    assert_eq!(
        (again.status, again.body.as_str(), again.header("cache-status")),
        (200, "body \"v1\"", Some("serverkit; hit; detail=revalidated"))
    );
    assert!(app.last().to_lowercase().contains("if-none-match: \"v1\""), "{}", app.last());
    assert_eq!((app.count(), again.header("content-length")), (2, Some("9")));
    // Two in a row on one connection: the framing is right.
    let twice = "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\nGET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n";
    let both = raw(stand.http, twice).await;
    assert_eq!(
        format!("{}{}", both.head, both.body).matches("body \"v1\"").count(),
        2,
        "{} {}",
        both.head,
        both.body
    );
    // A client that has it gets 304, whether it is kept or not.
    for path in ["/", "/never-seen"] {
        let known = stand.get_with("blog.test", path, "If-None-Match: \"v1\"\r\n").await;
        assert_eq!((known.status, known.body.as_str()), (304, ""), "{path}");
        assert_eq!(known.header("transfer-encoding"), None, "{}", known.head);
    }
    let head = raw(stand.http, "HEAD / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    // By HTTP/2 too.
    let client = stand.client();
    for _ in 0..2 {
        let answer = client.get(stand.https_url("/")).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
            (200, "body \"v1\"")
        );
    }
    let known = client
        .get(stand.https_url("/else"))
        .header("if-none-match", "\"v1\"")
        .send()
        .await
        .unwrap();
    assert_eq!(known.status(), 304);
    tag.store(2, SeqCst);
    let changed = stand.get("blog.test", "/").await;
    assert_eq!(
        (changed.body.as_str(), changed.header("cache-status")),
        ("body \"v2\"", Some("serverkit; fwd=stale"))
    );
    let lines = || stand.log_lines().iter().filter(|line| line["status"] == 304).count();
    eventually("the log tells what clients got", || lines() == 3).await;
}

#[tokio::test]
async fn what_still_holds_is_fresh_again() {
    let (stand, tag) = (Stand::start(), Arc::new(AtomicUsize::new(1)));
    let app = tagged("Cache-Control: max-age=1\r\n", tag).await;
    stand.apply(&[(
        "blog.test",
        with_policy(app.route(), json!({"cache": {"stale_while_revalidate_seconds": 60}})),
    )]);
    stand.get("blog.test", "/").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(
        stand.get("blog.test", "/").await.header("cache-status"),
        Some("serverkit; hit; detail=stale")
    );
    eventually("it is asked for", || app.count() == 2).await;
    assert!(app.last().to_lowercase().contains("if-none-match: \"v1\""), "{}", app.last());
    let mut fresh = None;
    for _ in 0..40 {
        let answer = stand.get("blog.test", "/").await;
        if answer.header("cache-status") == Some("serverkit; hit") {
            fresh = Some(answer.body);
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fresh.as_deref(), Some("body \"v1\""));
}

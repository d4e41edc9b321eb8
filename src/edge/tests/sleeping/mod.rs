//! Sites whose app sleeps: who wakes it, who waits, and what is lost on the way (nothing).

use crate::support::*;
use futures::{SinkExt, StreamExt};
use serde_json::json;
use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use types::{EdgeAction, EdgePart, PathChange, Route, Target};

fn asleep() -> Target {
    Target::Asleep {
        wait: Duration::from_secs(20),
    }
}

/// The next app that is wanted; `None`: nobody wants one.
async fn wanted(wishes: &mut (impl StreamExt<Item = types::AppId> + Unpin), limit: Duration) -> Option<types::AppId> {
    tokio::time::timeout(limit, wishes.next()).await.ok().flatten()
}

const SOON: Duration = Duration::from_secs(10);
/// Long enough for a wish that is there to come.
const NEVER: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_requests_wait_and_none_is_lost() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", route(1, asleep()))]);
    let mut wishes = Box::pin(stand.edge.wanted());
    let client = stand.client();
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..20_usize {
        let (client, url) = (client.clone(), stand.https_url("/size"));
        asked.spawn(async move {
            let answer = client.post(url).body(vec![b'x'; n * 100_000]).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.text().await.unwrap(), (n * 100_000).to_string());
        });
    }
    let plain = stand.http;
    asked.spawn(async move {
        let mut stream = TcpStream::connect(plain).await.unwrap();
        let head = "POST /echo HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhello";
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        stream.write_all(b"world").await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert!(all.ends_with("helloworld"), "{all}");
    });
    assert_eq!(wanted(&mut wishes, SOON).await, Some(app_id(1)));
    // It is said once, not by each of them.
    assert_eq!(wanted(&mut wishes, NEVER).await, None);
    assert_eq!(app.requests.load(SeqCst), 0);
    stand.apply(&[("blog.test", to(&app))]);
    while let Some(done) = asked.join_next().await {
        done.unwrap();
    }
    assert_eq!(app.requests.load(SeqCst), 21);
    let uses = stand.edge.uses();
    let own = uses.iter().find(|one| one.upstream == app.upstream()).unwrap();
    assert_eq!((own.begun, own.active), (21, 0));
}

#[tokio::test]
async fn a_wish_is_repeated_while_somebody_waits() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", route(1, asleep()))]);
    let http = stand.http;
    // Nobody listened when it was said first.
    let asking = tokio::spawn(async move { raw(http, "GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n").await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut wishes = Box::pin(stand.edge.wanted());
    assert_eq!(wanted(&mut wishes, SOON).await, Some(app_id(1)));
    // Another table in which it still sleeps changes nothing.
    stand.apply(&[("blog.test", route(1, asleep())), ("shop.test", to(&app))]);
    assert_eq!(wanted(&mut wishes, SOON).await, Some(app_id(1)));
    stand.apply(&[("blog.test", to(&app))]);
    assert_eq!(asking.await.unwrap().body, "blog");
}

#[tokio::test]
async fn a_websocket_wakes_it_and_counts_as_use() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", route(1, asleep()))]);
    let mut wishes = Box::pin(stand.edge.wanted());
    let stream = TcpStream::connect(stand.http).await.unwrap();
    let opening = tokio::spawn(async move { tokio_tungstenite::client_async("ws://blog.test/ws", stream).await });
    assert_eq!(wanted(&mut wishes, SOON).await, Some(app_id(1)));
    stand.apply(&[("blog.test", to(&app))]);
    let (mut socket, _) = opening.await.unwrap().unwrap();
    socket.send("hello".into()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), "hello");
    let uses = stand.edge.uses();
    let own = uses.iter().find(|one| one.upstream == app.upstream()).unwrap();
    assert_eq!((own.begun, own.active), (1, 1));
}

#[tokio::test]
async fn who_waits_too_long_is_told_to_come_again() {
    let stand = Stand::start();
    let short = Target::Asleep {
        wait: Duration::from_millis(300),
    };
    stand.apply(&[("blog.test", route(1, short))]);
    let began = Instant::now();
    let page = stand.get_with("blog.test", "/", "Accept: text/html\r\n").await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!((page.status, page.header("retry-after")), (503, Some("5")));
    assert!(
        page.body.contains("app1 was asleep and is not awake yet") && page.body.contains("http-equiv=\"refresh\""),
        "{}",
        page.body
    );
    // It could not be woken: those who wait are told why.
    stand.apply(&[("blog.test", route(1, asleep()))]);
    let mut wishes = Box::pin(stand.edge.wanted());
    let http = stand.http;
    let asking = tokio::spawn(async move { raw(http, "GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n").await });
    assert!(wanted(&mut wishes, SOON).await.is_some());
    let why = "it could not be woken: exited with code 1".to_owned();
    stand.apply(&[("blog.test", route(1, Target::Down { why }))]);
    let told = asking.await.unwrap();
    assert_eq!(told.status, 503);
    assert!(told.body.contains("exited with code 1"), "{}", told.body);
}

#[tokio::test]
async fn only_requests_that_may_pass_wake_it() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let guarded = with_policy(route(1, asleep()), json!({"access": {"deny": ["127.0.0.0/8"]}}));
    let busy = with_policy(
        route(2, asleep()),
        json!({"maintenance": {"message": "Back soon.", "retry_after_seconds": 5}}),
    );
    let forced = Route {
        force_https: true,
        ..route(3, asleep())
    };
    stand.apply(&[("blog.test", guarded), ("shop.test", busy), ("other.test", forced)]);
    let mut wishes = Box::pin(stand.edge.wanted());
    for (host, status) in [("blog.test", 403), ("shop.test", 503), ("other.test", 308), ("unknown.test", 404)] {
        assert_eq!(stand.get(host, "/").await.status, status, "{host}");
    }
    let large = "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n";
    stand.apply(&[("blog.test", route(1, asleep()))]);
    assert_eq!(raw(stand.http, large).await.status, 413);
    assert_eq!(wanted(&mut wishes, NEVER).await, None);
    drop(app);
}

#[tokio::test]
async fn rules_lead_to_apps_that_sleep() {
    let (stand, app, shop) = (Stand::start(), App::start("blog").await, App::start("shop").await);
    let serve = |target: Target| EdgeAction::Serve {
        app: Some(app_id(2)),
        name: "shop".into(),
        target,
        path: PathChange::default(),
    };
    let split = |target: Target| EdgeAction::Split {
        parts: vec![
            EdgePart {
                weight: 0,
                app: Some(app_id(1)),
                name: "blog".into(),
                target: Target::Upstreams(vec![app.upstream()]),
            },
            EdgePart {
                weight: 1,
                app: Some(app_id(2)),
                name: "shop".into(),
                target,
            },
        ],
        path: PathChange::default(),
    };
    let mut wishes = Box::pin(stand.edge.wanted());
    let awake = || Target::Upstreams(vec![shop.upstream()]);
    for (asleep, awake) in [(serve(asleep()), serve(awake())), (split(asleep()), split(awake()))] {
        let site = |action: EdgeAction| Route {
            rules: vec![rule(1, json!({"path": {"kind": "prefix", "path": "/shop"}}), action)],
            ..to(&app)
        };
        stand.apply(&[("blog.test", site(asleep))]);
        assert_eq!(stand.get("blog.test", "/").await.body, "blog");
        let http = stand.http;
        let head = "GET /shop HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n";
        let asking = tokio::spawn(async move { raw(http, head).await });
        assert_eq!(wanted(&mut wishes, SOON).await, Some(app_id(2)));
        stand.apply(&[("blog.test", site(awake))]);
        assert_eq!(asking.await.unwrap().body, "shop");
    }
}

#[tokio::test]
async fn an_edge_that_ends_keeps_nobody_waiting() {
    let stand = Stand::start();
    stand.apply(&[("blog.test", route(1, asleep()))]);
    let mut wishes = Box::pin(stand.edge.wanted());
    let http = stand.http;
    let asking = tokio::spawn(async move { raw(http, "GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n").await });
    assert!(wanted(&mut wishes, SOON).await.is_some());
    stand.edge.stop(Duration::from_secs(5)).await;
    assert_eq!(asking.await.unwrap().status, 503);
}

//! How requests are shared out, who is well, canaries, and what is spoken with upstreams.

use crate::support::*;
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use types::{EdgeCanary, ReleaseId, Route, Target, Time, Upstream, UpstreamState, World};

fn dead() -> Upstream {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Upstream {
        address: listener.local_addr().unwrap(),
    }
}

fn over(upstreams: Vec<Upstream>, policy: serde_json::Value) -> Route {
    with_policy(route(1, Target::Upstreams(upstreams)), policy)
}

async fn counts(stand: &Stand, n: usize, path: &str, headers: &str) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    for _ in 0..n {
        *found.entry(stand.get_with("blog.test", path, headers).await.body).or_default() += 1;
    }
    found
}

#[tokio::test]
async fn the_same_key_finds_the_same_upstream() {
    let stand = Stand::start();
    let (one, two, three) = (App::start("one").await, App::start("two").await, App::start("three").await);
    let all = vec![one.upstream(), two.upstream(), three.upstream()];
    let by_path = json!({"balancing": {"kind": "consistent_hash", "key": {"kind": "path"}}});
    stand.apply(&[("blog.test", over(all.clone(), by_path.clone()))]);
    let mut before = HashMap::new();
    for n in 0..30 {
        let path = format!("/{n}");
        let found = counts(&stand, 2, &path, "").await;
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        before.insert(path, found.into_keys().next().unwrap());
    }
    let used: std::collections::HashSet<_> = before.values().collect();
    assert_eq!(used.len(), 3, "{before:?}");
    // Without one upstream only its keys move.
    stand.apply(&[("blog.test", over(all[..2].to_vec(), by_path))]);
    for (path, name) in before {
        let now = stand.get("blog.test", &path).await.body;
        assert!(now == name || name == "three", "{path} was {name} and is {now}");
    }
    // By cookie: the first answer sets it.
    stand.apply(&[(
        "blog.test",
        over(all.clone(), json!({"balancing": {"kind": "sticky_cookie", "name": "lane"}})),
    )]);
    for _ in 0..6 {
        let first = stand.get("blog.test", "/").await;
        let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        assert!(!cookie.contains("127.0.0.1"), "{cookie}");
        let headers = format!("Cookie: other=1; {cookie}\r\n");
        for _ in 0..4 {
            let again = stand.get_with("blog.test", "/", &headers).await;
            assert_eq!((&again.body, again.header("set-cookie")), (&first.body, None));
        }
    }
    // To whom has least to do: two slow requests leave one free.
    stand.apply(&[("blog.test", over(all, json!({"balancing": {"kind": "least_connections"}})))]);
    let stand = Arc::new(stand);
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let stand = stand.clone();
            tokio::spawn(async move { stand.get("blog.test", "/slow").await })
        })
        .collect();
    let busy = || {
        [&one, &two, &three]
            .iter()
            .filter(|app| stand.edge.active(&app.upstream()) > 0)
            .count()
    };
    eventually("two are busy", || busy() == 2).await;
    let free = counts(&stand, 5, "/", "").await;
    assert_eq!(free.len(), 1, "{free:?}");
    for request in slow {
        assert_eq!(request.await.unwrap().body, "slow");
    }
}

#[tokio::test]
async fn upstreams_that_fail_their_checks_get_nothing() {
    let stand = Stand::start();
    let well = Arc::new(AtomicBool::new(true));
    let flag = well.clone();
    let sick = Script::start(move |head| match (head.contains("/healthz"), flag.load(SeqCst)) {
        (true, false) => reply(500, "", ""),
        _ => reply(200, "", "sick"),
    })
    .await;
    let fine = App::start("fine").await;
    let policy = json!({"active_health": {"probe": {"kind": "http", "path": "/healthz", "status": null}, "interval_seconds": 1,
        "timeout_seconds": 1, "healthy_after": 1, "unhealthy_after": 1}});
    stand.apply(&[("blog.test", over(vec![sick.upstream(), fine.upstream()], policy))]);
    assert_eq!(counts(&stand, 10, "/", "").await.len(), 2);
    well.store(false, SeqCst);
    let state = |stand: &Stand| {
        let report = stand.edge.report();
        let place = sick.address.to_string();
        report.upstreams.into_iter().find(|upstream| upstream.place == place).unwrap().state
    };
    eventually(
        "it is unhealthy",
        || matches!(state(&stand), UpstreamState::Unhealthy { why } if why == "/healthz answers 500"),
    )
    .await;
    assert_eq!(counts(&stand, 10, "/", "").await, HashMap::from([("fine".to_owned(), 10)]));
    well.store(true, SeqCst);
    eventually("it is well again", || state(&stand) == UpstreamState::Well).await;
    assert_eq!(counts(&stand, 10, "/", "").await.len(), 2);
}

/// Checks by TCP ask only for a connection.
#[tokio::test]
async fn upstreams_that_take_no_connection_get_nothing() {
    let stand = Stand::start();
    let (fine, closed) = (App::start("fine").await, dead());
    let policy = json!({"active_health": {"probe": {"kind": "tcp"}, "interval_seconds": 1, "timeout_seconds": 1, "healthy_after": 1,
        "unhealthy_after": 1}});
    stand.apply(&[("blog.test", over(vec![closed.clone(), fine.upstream()], policy))]);
    let state = |stand: &Stand| {
        let report = stand.edge.report();
        let found = report.upstreams.into_iter().find(|one| one.place == closed.address.to_string());
        found.unwrap().state
    };
    eventually(
        "it is unhealthy",
        || matches!(state(&stand), UpstreamState::Unhealthy { why } if why.starts_with("no connection: ")),
    )
    .await;
    assert_eq!(counts(&stand, 6, "/", "").await, HashMap::from([("fine".to_owned(), 6)]));
    let _back = App::start_on("back", closed.address).await;
    eventually("it is well again", || state(&stand) == UpstreamState::Well).await;
    assert_eq!(counts(&stand, 6, "/", "").await["back"], 3);
}

#[tokio::test]
async fn upstreams_that_fail_on_requests_are_sent_away_and_safe_requests_are_tried_again() {
    let stand = Stand::start();
    let (fine, breaks) = (App::start("fine").await, Script::start(|_| String::new()).await);
    let both = vec![breaks.upstream(), fine.upstream(), dead()];
    let retries = json!({"retries": {"attempts": 2}});
    stand.apply(&[("blog.test", over(both.clone(), retries))]);
    assert_eq!(counts(&stand, 12, "/", "").await, HashMap::from([("fine".to_owned(), 12)]));
    let seen = breaks.count();
    assert!(seen >= 4, "{seen}");
    // What may have had an effect is not sent twice.
    let post = "POST /size HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab";
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(raw(stand.http, post).await.status);
    }
    assert!(statuses.contains(&502) && statuses.contains(&200), "{statuses:?}");
    let unavailable = Script::start(|_| reply(503, "", "later")).await;
    let pair = vec![unavailable.upstream(), fine.upstream()];
    stand.apply(&[("blog.test", over(pair.clone(), json!({"retries": {"attempts": 1}})))]);
    assert_eq!(counts(&stand, 4, "/", "").await.len(), 2);
    let policy = json!({"retries": {"attempts": 1, "on_unavailable": true}});
    stand.apply(&[("blog.test", over(pair, policy))]);
    assert_eq!(counts(&stand, 4, "/", "").await, HashMap::from([("fine".to_owned(), 4)]));
    // Ejection.
    let policy = json!({"ejection": {"failures": 2, "seconds": 60, "max_percent": 50}});
    stand.apply(&[("blog.test", over(vec![breaks.upstream(), fine.upstream()], policy))]);
    counts(&stand, 8, "/", "").await;
    let report = stand.edge.report();
    let ejected = report.upstreams.iter().find(|one| one.place == breaks.address.to_string()).unwrap();
    assert!(
        matches!(ejected.state, UpstreamState::Ejected { seconds } if seconds > 50),
        "{ejected:?}"
    );
    let before = breaks.count();
    assert_eq!(counts(&stand, 8, "/", "").await, HashMap::from([("fine".to_owned(), 8)]));
    assert_eq!(breaks.count(), before);
}

#[tokio::test]
async fn a_canary_gets_its_share_until_it_fails() {
    let stand = Stand::start();
    let (stable, fails) = (App::start("stable").await, Arc::new(AtomicBool::new(false)));
    let flag = fails.clone();
    let canary = Script::start(move |_| {
        if flag.load(SeqCst) {
            reply(500, "", "broken")
        } else {
            reply(200, "", "canary")
        }
    })
    .await;
    let site = |percent| {
        let mut site = to(&stable);
        site.canary = Some(Box::new(EdgeCanary {
            app: app_id(2),
            name: "next".into(),
            target: Target::Upstreams(vec![canary.upstream()]),
            percent,
            header: Some(serde_json::from_value(json!({"name": "x-canary", "test": {"kind": "present"}})).unwrap()),
            limits: serde_json::from_value(json!({"min_requests": 5, "max_error_percent": 20})).unwrap(),
            since: Time(0),
            release: None,
        }));
        site
    };
    stand.apply(&[("blog.test", site(20))]);
    assert_eq!(counts(&stand, 50, "/", "").await["canary"], 10);
    assert_eq!(counts(&stand, 5, "/", "X-Canary: 1\r\n").await["canary"], 5);
    fails.store(true, SeqCst);
    let found = counts(&stand, 100, "/", "").await;
    assert!(found["broken"] < 10, "{found:?}");
    assert_eq!(
        counts(&stand, 20, "/", "X-Canary: 1\r\n").await,
        HashMap::from([("stable".to_owned(), 20)])
    );
    let report = stand.edge.report();
    let failed = report.canaries[0].failed.clone().unwrap();
    assert!(failed.contains("of 100 requests failed"), "{failed}");
    // The same wish is no second chance; another one is.
    fails.store(false, SeqCst);
    stand.apply(&[("blog.test", site(20))]);
    assert_eq!(counts(&stand, 10, "/", "").await.len(), 1);
    // Nor are other containers of its app.
    let moved = App::start("moved").await;
    let mut redeployed = site(20);
    if let Some(canary) = &mut redeployed.canary {
        canary.target = Target::Upstreams(vec![moved.upstream()]);
    }
    stand.apply(&[("blog.test", redeployed)]);
    assert_eq!(counts(&stand, 10, "/", "").await.len(), 1);
    stand.apply(&[("blog.test", site(50))]);
    assert_eq!(counts(&stand, 10, "/", "").await["canary"], 5);
    // Setting the same one again is another try.
    let mut again = site(20);
    if let Some(canary) = &mut again.canary {
        canary.since = Time(1);
    }
    stand.apply(&[("blog.test", again)]);
    assert_eq!(counts(&stand, 10, "/", "").await["canary"], 2);
}

/// A release that is tried at several hosts of its app is one canary: counted together, and taken back everywhere at once.
#[tokio::test]
async fn a_release_that_is_tried_fails_at_all_hosts_at_once() {
    let stand = Stand::start();
    let (old, new) = (App::start("old").await, Script::start(|_| reply(500, "", "broken")).await);
    let site = |release: Option<ReleaseId>| {
        let mut site = to(&old);
        site.canary = Some(Box::new(EdgeCanary {
            app: app_id(1),
            name: "blog".into(),
            target: Target::Upstreams(vec![new.upstream()]),
            percent: 50,
            header: None,
            limits: serde_json::from_value(json!({"min_requests": 4, "max_error_percent": 5})).unwrap(),
            since: Time(0),
            release,
        }));
        site
    };
    let tried: ReleaseId = World::system().id();
    stand.apply(&[
        ("blog.test", site(Some(tried.clone()))),
        ("www.blog.test", site(Some(tried.clone()))),
    ]);
    let mut broken = 0;
    for _ in 0..4 {
        for host in ["blog.test", "www.blog.test"] {
            broken += u32::from(stand.get(host, "/").await.status == 500);
        }
    }
    // Half of eight, of both hosts together.
    assert_eq!(broken, 4);
    eventually("it has failed", || {
        stand.edge.report().canaries.iter().all(|one| one.failed.is_some())
    })
    .await;
    let report = stand.edge.report().canaries;
    assert_eq!(report.len(), 2);
    for one in report {
        assert_eq!((one.release.as_ref(), one.requests, one.errors), (Some(&tried), 4, 4));
        assert_eq!(one.failed.as_deref(), Some("100 of 100 requests failed, and 5 may"));
    }
    for host in ["blog.test", "www.blog.test"] {
        for _ in 0..4 {
            assert_eq!(stand.get(host, "/").await.body, "old");
        }
    }
    // The next release is another canary.
    stand.apply(&[("blog.test", site(Some(World::system().id())))]);
    assert_eq!(stand.edge.report().canaries[0].failed, None);
}

#[tokio::test]
async fn https_upstreams_must_have_the_right_name() {
    let stand = Stand::start();
    let inner = Stand::start();
    let app = App::start("inner").await;
    inner.apply(&[("inner.test", to(&app))]);
    let upstream = Upstream { address: inner.https };
    let site = |name: &str, ca: Option<String>| {
        over(
            vec![upstream.clone()],
            json!({"upstream": {"kind": "https", "name": name, "ca_pem": ca}}),
        )
    };
    // The inner edge finds its site by the host that it is asked for.
    for (name, ca, status) in [
        ("inner.test", Some(inner.authority_pem()), 200),
        ("other.test", Some(inner.authority_pem()), 502),
        ("inner.test", Some(stand.authority_pem()), 502),
        ("inner.test", None, 502),
    ] {
        stand.apply(&[("inner.test", site(name, ca))]);
        for _ in 0..3 {
            assert_eq!(stand.get("inner.test", "/").await.status, status, "{name}");
        }
        if status == 200 {
            let post = "POST /echo HTTP/1.1\r\nHost: inner.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
            assert_eq!(raw(stand.http, post).await.body, "hello");
        }
    }
    // Under another name outside than inside.
    let mut renamed = site("inner.test", Some(inner.authority_pem()));
    if let Some(policy) = &mut renamed.policy {
        policy.upstream_host = Some("inner.test".parse().unwrap());
    }
    stand.apply(&[("outer.test", renamed)]);
    let answer = stand.get("outer.test", "/headers").await;
    assert!(answer.body.contains("host: inner.test\n") && answer.status == 200, "{answer:?}");
    let error = stand
        .edge
        .apply(stand.config(&[("inner.test", site("a.test", Some("nonsense".into())))]));
    assert_eq!(
        error.unwrap_err().to_string(),
        "route of inner.test: upstream: the authority holds no certificate"
    );
}

/// One that is slow fails as well, by the p95 of its answers.
#[tokio::test]
async fn a_canary_that_is_slow_is_taken_back() {
    let stand = Stand::start();
    let (stable, slow) = (App::start("stable").await, App::start("canary").await);
    let site = |p95: u32| {
        let mut site = to(&stable);
        site.canary = Some(Box::new(EdgeCanary {
            app: app_id(2),
            name: "next".into(),
            target: Target::Upstreams(vec![slow.upstream()]),
            percent: 100,
            header: None,
            limits: serde_json::from_value(json!({"min_requests": 4, "max_p95_millis": p95})).unwrap(),
            since: Time(0),
            release: None,
        }));
        site
    };
    // The slow path takes 700 ms: within a limit of ten seconds.
    stand.apply(&[("blog.test", site(10_000))]);
    for _ in 0..4 {
        assert_eq!(stand.get("blog.test", "/slow").await.body, "slow");
    }
    assert_eq!(stand.get("blog.test", "/").await.body, "canary");
    assert_eq!(stand.edge.report().canaries[0].failed, None);
    stand.apply(&[("blog.test", site(300))]);
    for n in 0..4 {
        assert_eq!(stand.edge.report().canaries[0].failed, None, "after {n} requests");
        assert_eq!(stand.get("blog.test", "/slow").await.status, 200);
    }
    eventually("it has failed", || stand.edge.report().canaries[0].failed.is_some()).await;
    let report = stand.edge.report();
    let why = report.canaries[0].failed.clone().unwrap();
    assert!(why.contains("and 300 ms is the limit"), "{why}");
    assert_eq!(report.canaries[0].errors, 0);
    assert_eq!(counts(&stand, 10, "/", "").await, HashMap::from([("stable".to_owned(), 10)]));
}

/// One that is new gets its full share only after a while, the others theirs meanwhile.
#[tokio::test]
async fn a_new_upstream_starts_slowly() {
    const SPAN: Duration = Duration::from_secs(4);
    let stand = Stand::start();
    let (one, two, new) = (App::start("one").await, App::start("two").await, App::start("new").await);
    let slowly = |balancing: &str| json!({"balancing": {"kind": balancing}, "slow_start_seconds": SPAN.as_secs()});
    let even = async |n: usize| {
        let found = counts(&stand, 3 * n, "/", "").await;
        found.len() == 3 && found.values().all(|count| *count == n)
    };
    stand.apply(&[("blog.test", over(vec![one.upstream(), two.upstream()], slowly("round_robin")))]);
    // Both are new: between them it is even at once.
    counts(&stand, 2, "/", "").await;
    tokio::time::sleep(SPAN + Duration::from_millis(200)).await;
    assert_eq!(counts(&stand, 20, "/", "").await["one"], 10);
    let all = vec![one.upstream(), two.upstream(), new.upstream()];
    stand.apply(&[("blog.test", over(all.clone(), slowly("round_robin")))]);
    let began = Instant::now();
    let found = counts(&stand, 60, "/", "").await;
    // As much of its 20 as it is warm by then, and some, since shares are rough.
    let warm = began.elapsed().as_secs_f64() / SPAN.as_secs_f64();
    let few = found.get("new").copied().unwrap_or_default();
    assert!((few as f64) <= 20.0 * warm + 4.0, "{few} of 60 at {warm:.2} of its time: {found:?}");
    tokio::time::sleep((SPAN + Duration::from_millis(200)).saturating_sub(began.elapsed())).await;
    assert!(even(10).await, "its share is full");
    // By who has least to do, a new one counts as busier than it is.
    let newer = App::start("newer").await;
    let four = [all, vec![newer.upstream()]].concat();
    stand.apply(&[("blog.test", over(four.clone(), slowly("least_connections")))]);
    let began = Instant::now();
    let found = counts(&stand, 40, "/", "").await;
    assert!(
        began.elapsed() > SPAN || !found.contains_key("newer"),
        "all others have nothing to do: {found:?}"
    );
    // Without slow start it takes part at once.
    stand.apply(&[("blog.test", over(four, json!({})))]);
    assert_eq!(counts(&stand, 40, "/", "").await["newer"], 10);
}

/// A health check of gRPC asks the service by its own protocol, and believes its status.
#[tokio::test]
async fn a_grpc_service_says_how_it_is() {
    let stand = Stand::start();
    let serving = Arc::new(AtomicBool::new(true));
    let (one, two) = (
        grpc_server(serving.clone()).await,
        grpc_server(Arc::new(AtomicBool::new(true))).await,
    );
    let policy = json!({"upstream": {"kind": "h2c"}, "active_health": {"probe": {"kind": "grpc", "service": "blog"}, "interval_seconds": 1,
        "timeout_seconds": 1, "healthy_after": 1, "unhealthy_after": 1}});
    let both = [one, two].map(|address| Upstream { address }).to_vec();
    stand.apply(&[("blog.test", over(both, policy.clone()))]);
    let state = |stand: &Stand, place: std::net::SocketAddr| {
        let report = stand.edge.report();
        report
            .upstreams
            .into_iter()
            .find(|one| one.place == place.to_string())
            .unwrap()
            .state
    };
    serving.store(false, SeqCst);
    let not_serving = |why: &str| why == "its status is 2, not SERVING";
    eventually(
        "it is known not to serve",
        || matches!(state(&stand, one), UpstreamState::Unhealthy { why } if not_serving(&why)),
    )
    .await;
    assert_eq!(state(&stand, two), UpstreamState::Well);
    serving.store(true, SeqCst);
    eventually("it serves again", || state(&stand, one) == UpstreamState::Well).await;
    // What speaks no HTTP/2 is not well either.
    let plain = App::start("plain").await;
    stand.apply(&[("blog.test", over(vec![plain.upstream()], policy))]);
    eventually("it is no gRPC service", || {
        matches!(state(&stand, plain.address), UpstreamState::Unhealthy { .. })
    })
    .await;
}

/// A server of HTTP/2 without TLS that echoes messages and ends with trailers, as gRPC does. To health checks it says
/// whether it is serving.
async fn grpc_server(serving: Arc<AtomicBool>) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serving = serving.clone();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let status = if serving.load(SeqCst) { 1 } else { 2 };
                    tokio::spawn(async move {
                        let te = request.headers().get("te").cloned();
                        let path = request.uri().path().to_owned();
                        let mut body = request.into_body();
                        let head = http::Response::builder()
                            .header("content-type", "application/grpc")
                            .header("x-te", te.unwrap_or(http::HeaderValue::from_static("none")));
                        let mut answer = respond.send_response(head.body(()).unwrap(), false).unwrap();
                        if path.ends_with("/Check") {
                            answer.send_data(vec![0, 0, 0, 0, 2, 8, status].into(), false).unwrap();
                        }
                        while let Some(Ok(data)) = body.data().await {
                            let _ = body.flow_control().release_capacity(data.len());
                            if !path.ends_with("/Check") {
                                answer.send_data(data, false).unwrap();
                            }
                        }
                        let mut trailers = http::HeaderMap::new();
                        trailers.insert("grpc-status", "0".parse().unwrap());
                        answer.send_trailers(trailers).unwrap();
                    });
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn grpc_passes_with_its_trailers() {
    let stand = Stand::start();
    let upstream = Upstream {
        address: grpc_server(Arc::new(AtomicBool::new(true))).await,
    };
    stand.apply(&[("blog.test", over(vec![upstream], json!({"upstream": {"kind": "h2c"}})))]);
    let tls = stand.tls(stand.https, "blog.test", &["h2"]).await.unwrap();
    let (sender, connection) = h2::client::handshake(tls).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    for n in 0..3 {
        let mut sender = sender.clone().ready().await.unwrap();
        let request = http::Request::post("https://blog.test/pkg.Service/Echo")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let (answer, mut body) = sender.send_request(request, false).unwrap();
        // Both ways at once: the answer begins before the request has ended.
        body.send_data(format!("message {n}").into_bytes().into(), false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.headers()["x-te"], "trailers");
        let mut echoed = answer.into_body();
        assert_eq!(echoed.data().await.unwrap().unwrap(), format!("message {n}"));
        body.send_data("the end".into(), true).unwrap();
        assert_eq!(echoed.data().await.unwrap().unwrap(), "the end");
        assert!(echoed.data().await.is_none());
        assert_eq!(echoed.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    }
    // A client of HTTP/1.1 gets the answer without trailers.
    let post = "POST /x HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let answer = raw(stand.http, post).await;
    assert!(answer.status == 200 && answer.body.contains("hello"), "{answer:?}");
}

#[tokio::test]
async fn connections_may_change_to_any_protocol_but_http_2() {
    let stand = Stand::start();
    let app = Script::start(|head| {
        let upgrade = head.lines().find(|line| line.to_lowercase().starts_with("upgrade:"));
        match upgrade {
            Some(upgrade) => format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{upgrade}\r\n\r\nwelcome"),
            None => reply(200, "", "no upgrade"),
        }
    })
    .await;
    stand.apply(&[("blog.test", app.route())]);
    for (protocol, passes) in [
        ("chat/2", true),
        ("tcp", true),
        ("h2c", false),
        ("HTTP/2.0", false),
        ("a, b", false),
    ] {
        let mut stream = tokio::net::TcpStream::connect(stand.http).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut seen = String::new();
        while !seen.contains("welcome") && !seen.contains("no upgrade") {
            let mut bytes = [0; 1024];
            let n = stream.read(&mut bytes).await.unwrap();
            assert!(n > 0, "{protocol}: {seen}");
            seen.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
        assert_eq!(seen.starts_with("HTTP/1.1 101 "), passes, "{protocol}: {seen}");
    }
}

#[tokio::test]
async fn the_proxy_protocol_tells_upstreams_who_asks() {
    let stand = Stand::start();
    for (version, begin) in [
        ("v1", &b"PROXY TCP4 127.0.0.1 127.0.0.1 "[..]),
        ("v2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream {
            address: listener.local_addr().unwrap(),
        };
        stand.apply(&[("blog.test", over(vec![upstream], json!({"proxy_protocol": version})))]);
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 4096];
            let mut n = 0;
            while !bytes[..n].ends_with(b"\r\n\r\n") || n < 60 {
                n += stream.read(&mut bytes[n..]).await.unwrap();
            }
            stream.write_all(reply(200, "", "ok").as_bytes()).await.unwrap();
            bytes.truncate(n);
            bytes
        });
        assert_eq!(stand.get("blog.test", "/").await.body, "ok");
        let bytes = server.await.unwrap();
        assert!(bytes.starts_with(begin), "{}", String::from_utf8_lossy(&bytes));
    }
}

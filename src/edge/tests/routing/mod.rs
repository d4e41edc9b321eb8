//! Wildcards, rules, changed paths, redirects; and that the explanation says what the edge does.

use crate::support::*;
use serde_json::json;
use std::sync::atomic::Ordering::SeqCst;
use types::{EdgeAction, EdgeConfig, EdgePart, Origin, PathChange, Question, Redirect, Rewrite, Route, Target};

fn serve(target: Target, path: PathChange) -> EdgeAction {
    EdgeAction::Serve {
        app: Some(app_id(7)),
        name: "other".into(),
        target,
        path,
    }
}

fn strip(prefix: &str) -> PathChange {
    PathChange {
        strip_prefix: Some(prefix.into()),
        rewrite: None,
    }
}

#[tokio::test]
async fn wildcards_stand_behind_exact_hosts() {
    let (stand, any, exact) = (Stand::start(), App::start("any").await, App::start("exact").await);
    let mut config = stand.config(&[("*.apps.test", to(&any)), ("blog.apps.test", to(&exact))]);
    config.routes.insert("shop.test".parse().unwrap(), to(&exact));
    stand.edge.apply(config).unwrap();
    for (host, status, body) in [
        ("one.apps.test", 200, "any"),
        ("TWO.apps.test:80", 200, "any"),
        ("blog.apps.test", 200, "exact"),
        ("a.b.apps.test", 404, ""),
        ("apps.test", 404, ""),
        (".apps.test", 404, ""),
    ] {
        let answer = stand.get(host, "/").await;
        assert_eq!(answer.status, status, "{host}");
        assert!(body.is_empty() || answer.body == body, "{host}: {}", answer.body);
    }
    // The certificate of the wildcard serves a name below it.
    stand.tls(stand.https, "three.apps.test", &[]).await.unwrap();
    assert!(stand.tls(stand.https, "a.b.apps.test", &[]).await.is_err());
}

#[tokio::test]
async fn rules_lead_parts_of_a_site_elsewhere_as_explained() {
    let (stand, blog, api, beta) = (
        Stand::start(),
        App::start("blog").await,
        App::start("api").await,
        App::start("beta").await,
    );
    let upstreams = |app: &App| Target::Upstreams(vec![app.upstream()]);
    let redirect = |pattern: Option<&str>, to: &str, status| {
        EdgeAction::Redirect(Redirect {
            pattern: pattern.map(str::to_owned),
            to: to.into(),
            status,
        })
    };
    let mut site = to(&blog);
    site.rules = vec![
        rule(
            1,
            json!({"path": {"kind": "prefix", "path": "/api"}}),
            serve(upstreams(&api), strip("/api")),
        ),
        rule(
            2,
            json!({"headers": [{"name": "x-beta", "test": {"kind": "equals", "value": "yes"}}]}),
            serve(upstreams(&beta), PathChange::default()),
        ),
        rule(
            3,
            json!({"path": {"kind": "prefix", "path": "/v1"}, "methods": ["GET"]}),
            serve(
                upstreams(&api),
                PathChange {
                    strip_prefix: None,
                    rewrite: Some(Rewrite {
                        pattern: "^/v1/(.*)$".into(),
                        to: "/target/$1".into(),
                    }),
                },
            ),
        ),
        rule(4, json!({}), redirect(Some("^/old/(.*)$"), "/new/$1", 301)),
        rule(
            5,
            json!({"path": {"kind": "exact", "path": "/robots.txt"}}),
            EdgeAction::Respond {
                status: 200,
                content_type: "text/plain".into(),
                body: "User-agent: *\n".into(),
            },
        ),
    ];
    let mut config = stand.config(&[("blog.test", site)]);
    let mut www = Route::plain(None, "www", false, Target::Starting);
    www.rules = vec![rule(6, json!({}), redirect(None, "https://blog.test{uri}", 308))];
    config.routes.insert("www.blog.test".parse().unwrap(), www);
    stand.edge.apply(config.clone()).unwrap();
    let explain = |config: &EdgeConfig, host: &str, path: &str, beta: bool| {
        let question = Question {
            url: format!("http://{host}{path}").parse().unwrap(),
            method: "GET".into(),
            headers: if beta { vec![("X-Beta".into(), "yes".into())] } else { vec![] },
            client: None,
        };
        config.explain(&question).rule.map(|id| id.to_string())
    };
    for (host, path, is_beta, status, wanted, rule) in [
        ("blog.test", "/", false, 200, "blog", 0),
        ("blog.test", "/", true, 200, "beta", 2),
        ("blog.test", "/api/target?x=1", false, 200, "/target?x=1", 1),
        ("blog.test", "/%61pi//target", false, 200, "/target", 1),
        ("blog.test", "/x/../api/target", false, 200, "/target", 1),
        ("blog.test", "/apix", false, 200, "blog", 0),
        ("blog.test", "/old/a%20b?q", false, 301, "/new/a%20b", 4),
        ("blog.test", "/robots.txt", false, 200, "User-agent: *\n", 5),
        ("www.blog.test", "/a?b=c", false, 308, "https://blog.test/a?b=c", 6),
        ("www.blog.test", "//evil.test/", false, 308, "https://blog.test//evil.test/", 6),
    ] {
        let headers = if is_beta { "X-Beta: yes\r\n" } else { "" };
        let answer = stand.get_with(host, path, headers).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let found = answer.header("location").unwrap_or(&answer.body);
        assert_eq!(found, wanted, "{path}");
        let said = explain(&config, host, path, is_beta);
        assert_eq!(said, (rule > 0).then(|| format!("rul_{rule:026}")), "{path}");
    }
    // Climbing above the root is refused where rules could be gone around.
    assert_eq!(stand.get("blog.test", "/../api").await.status, 400);
    let answer = stand.get("blog.test", "/api/headers").await;
    assert!(answer.body.contains("x-forwarded-prefix: /api\n"), "{}", answer.body);
    // Requests of a rule count for its app and for the domain.
    let traffic = stand.edge.traffic();
    assert!(
        traffic
            .iter()
            .any(|(app, counted)| *app == Some(app_id(7)) && counted.requests >= 4)
    );
    let report = stand.edge.report();
    let domain = report.domains.iter().find(|domain| domain.host.as_str() == "blog.test").unwrap();
    assert!(
        domain.requests >= 10 && domain.statuses[1] >= 7 && domain.statuses[2] == 1,
        "{domain:?}"
    );
    assert!(domain.top_paths.iter().any(|(path, _)| path == "/robots.txt"), "{domain:?}");
}

#[tokio::test]
async fn origins_by_name_and_unix_socket() {
    let (stand, app) = (Stand::start(), App::start("named").await);
    let origin = |origin| route(1, Target::Origin(origin));
    let path = stand.folder.path().join("app.sock");
    let socket = tokio::net::UnixListener::bind(&path).unwrap();
    let target = app.address;
    tokio::spawn(async move {
        while let Ok((mut unix, _)) = socket.accept().await {
            tokio::spawn(async move {
                let mut tcp = tokio::net::TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut unix, &mut tcp).await;
            });
        }
    });
    stand.apply(&[
        (
            "blog.test",
            origin(Origin::Host {
                host: "localhost".parse().unwrap(),
                port: app.address.port(),
            }),
        ),
        ("shop.test", origin(Origin::Socket { path })),
    ]);
    for host in ["blog.test", "shop.test"] {
        assert_eq!(stand.get(host, "/").await.body, "named", "{host}");
        let post = format!("POST /echo HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
        assert_eq!(raw(stand.http, post).await.body, "hello", "{host}");
    }
    assert_eq!(app.requests.load(SeqCst), 4);
}

#[tokio::test]
async fn a_bad_rule_changes_nothing() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    stand.apply(&[("blog.test", to(&app))]);
    for (action, words) in [
        (
            EdgeAction::Redirect(Redirect {
                pattern: Some("(".into()),
                to: "/x".into(),
                status: 301,
            }),
            "route of blog.test: rule rule1: redirect: the pattern cannot be used",
        ),
        (
            EdgeAction::Redirect(Redirect {
                pattern: Some("(.*)".into()),
                to: "https://$1".into(),
                status: 301,
            }),
            "route of blog.test: rule rule1: redirect: the host must be fixed",
        ),
        (
            serve(Target::Upstreams(vec![]), PathChange::default()),
            "route of blog.test: rule rule1: has no upstream",
        ),
    ] {
        let mut site = to(&app);
        site.rules = vec![rule(1, json!({}), action)];
        let error = stand.edge.apply(stand.config(&[("blog.test", site)])).unwrap_err().to_string();
        assert!(error.starts_with(words), "{error}");
    }
    assert_eq!(stand.get("blog.test", "/").await.body, "blog");
}

#[tokio::test]
async fn the_certificate_of_a_challenge_is_for_authorities_only() {
    let (stand, app) = (Stand::start(), App::start("blog").await);
    let mut config = stand.config(&[("blog.test", to(&app))]);
    let challenge = stand.certificate("blog.test");
    config.alpn_challenges.insert("blog.test".parse().unwrap(), challenge);
    stand.edge.apply(config.clone()).unwrap();
    let serial = async |alpn: &[&str]| {
        let stream = stand.tls(stand.https, "blog.test", alpn).await?;
        let session = stream.get_ref().1;
        let leaf = session.peer_certificates().unwrap()[0].to_vec();
        std::io::Result::Ok((session.alpn_protocol().map(<[u8]>::to_vec), leaf))
    };
    let (alpn, authority_sees) = serial(&["acme-tls/1"]).await.unwrap();
    assert_eq!(alpn.as_deref(), Some(&b"acme-tls/1"[..]));
    for others in [&["h2", "http/1.1"][..], &["http/1.1", "acme-tls/1"], &[]] {
        let (alpn, seen) = serial(others).await.unwrap();
        assert_ne!(seen, authority_sees, "{others:?}");
        assert_ne!(alpn.as_deref(), Some(&b"acme-tls/1"[..]));
    }
    config.alpn_challenges.clear();
    stand.edge.apply(config).unwrap();
    assert!(
        serial(&["acme-tls/1"]).await.is_err(),
        "without a challenge there is nothing to show"
    );
}

fn part(weight: u32, name: &str, target: Target) -> EdgePart {
    EdgePart {
        weight,
        app: Some(app_id(9)),
        name: name.into(),
        target,
    }
}

fn split(parts: Vec<EdgePart>) -> EdgeAction {
    EdgeAction::Split {
        parts,
        path: strip("/both"),
    }
}

#[tokio::test]
async fn several_apps_answer_as_often_as_their_weights_say() {
    let (stand, one, two) = (Stand::start(), App::start("one").await, App::start("two").await);
    let to = |app: &App| Target::Upstreams(vec![app.upstream()]);
    let config = |parts: Vec<EdgePart>, how: serde_json::Value| {
        let mut route = with_policy(to_route(&one), how);
        route.rules = vec![rule(1, json!({"path": {"kind": "prefix", "path": "/both"}}), split(parts))];
        stand.config(&[("blog.test", route)])
    };
    fn to_route(app: &App) -> Route {
        route(1, Target::Upstreams(vec![app.upstream()]))
    }
    let shares = async |count: usize, headers: &str| {
        let mut second = 0;
        for _ in 0..count {
            let answer = stand.get_with("blog.test", "/both/", headers).await;
            second += usize::from(answer.body == "two");
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        second
    };
    let both = || vec![part(90, "one", to(&one)), part(10, "two", to(&two))];
    stand.edge.apply(config(both(), json!({}))).unwrap();
    assert_eq!(shares(100, "").await, 10);
    // What does not run is passed over; when nothing does, its page says so.
    let down = || Target::Down {
        why: "it is stopped".into(),
    };
    stand
        .edge
        .apply(config(vec![part(90, "one", down()), part(10, "two", to(&two))], json!({})))
        .unwrap();
    assert_eq!(shares(20, "").await, 20);
    stand
        .edge
        .apply(config(vec![part(1, "one", down()), part(1, "two", Target::Starting)], json!({})))
        .unwrap();
    assert_eq!(stand.get("blog.test", "/both/").await.status, 503);
    // Weight 0 gets nothing.
    stand
        .edge
        .apply(config(vec![part(0, "one", to(&one)), part(3, "two", to(&two))], json!({})))
        .unwrap();
    assert_eq!(shares(10, "").await, 10);
    // A client stays where it is, by hash and by cookie.
    let hashed = json!({"balancing": {"kind": "consistent_hash", "key": {"kind": "header", "name": "x-user"}}});
    stand
        .edge
        .apply(config(vec![part(1, "one", to(&one)), part(1, "two", to(&two))], hashed))
        .unwrap();
    let mut seen = std::collections::HashSet::new();
    for user in 0..40 {
        let second = shares(3, &format!("X-User: {user}\r\n")).await;
        assert!(second == 0 || second == 3, "{user}: {second}");
        seen.insert(second);
    }
    assert_eq!(seen.len(), 2);
    let sticky = json!({"balancing": {"kind": "sticky_cookie", "name": "place"}});
    stand
        .edge
        .apply(config(vec![part(1, "one", to(&one)), part(1, "two", to(&two))], sticky))
        .unwrap();
    for _ in 0..4 {
        let first = stand.get("blog.test", "/both/").await;
        let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let same = shares(4, &format!("Cookie: {cookie}\r\n")).await;
        assert_eq!(same, if first.body == "two" { 4 } else { 0 });
    }
    // As explained; and nothing without a weight is taken.
    let told = config(both(), json!({})).explain(&Question {
        url: "http://blog.test/both/x".parse().unwrap(),
        method: "GET".into(),
        headers: vec![],
        client: None,
    });
    assert_eq!(told.answer, "one of one, two answers, by weight, which sees /x");
    assert!(
        told.steps
            .iter()
            .any(|step| step.what == "part two" && step.why.starts_with("10 of 100 requests")),
        "{told:?}"
    );
    stand
        .edge
        .apply(config(vec![part(0, "one", to(&one)), part(0, "two", to(&two))], json!({})))
        .unwrap_err();
}

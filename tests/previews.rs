//! Previews of pull requests: from what a forge sends to a site of its own and back to nothing, with forks, labels, limits, secrets,
//! and requests that are closed while nobody listens.

mod data;

use crate::{
    deploy::text,
    identity_providers::Peer,
    webhooks::{Hook, app_and_hook, commit},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use testkit::{Api, GitFixture, GitServer, TestPanel, docker, docker_host, eventually_ok};

const TOKEN: &str = "forge-token-0123456789";
const SOON: Duration = Duration::from_secs(150);

/// Previews get names below it.
async fn apps_domain(panel: &TestPanel) {
    panel
        .patch("/api/v1/settings", json!({"apps_domain": "apps.test"}))
        .await
        .expect(200);
}

/// A delivery of GitHub's about a request.
fn request(action: &str, number: u64, head: &str, more: Value) -> Value {
    let closed = action == "closed";
    let from = if more["fork"] == true { "eve/blog" } else { "ada/blog" };
    let labels: Vec<Value> = more["labels"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|name| json!({"name": name}))
        .collect();
    json!({"action": action, "number": number, "pull_request": {
        "number": number, "title": format!("Change {number}"), "html_url": format!("https://forge.test/ada/blog/pulls/{number}"),
        "state": if closed { "closed" } else { "open" }, "merged": closed && more["merged"] == true,
        "user": {"login": "ada"}, "labels": labels, "head": {"ref": format!("change-{number}"), "sha": head, "repo": {"full_name": from}},
        "base": {"ref": "main", "repo": {"full_name": "ada/blog"}},
    }})
}

/// Sends it, and answers the decision and why.
async fn send(panel: &TestPanel, hook: &Hook, body: &Value) -> (String, String) {
    let sent = hook.github(panel, "pull_request", &delivery_id(), body).await.expect(200).json();
    (text(&sent, "decision"), text(&sent, "why"))
}

/// Each delivery has an id of its own.
fn delivery_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed).to_string()
}

async fn rules(panel: &TestPanel, app: &str, body: Value) -> Value {
    panel
        .patch(&format!("/api/v1/apps/{app}/preview-rules"), body)
        .await
        .expect(200)
        .json()
}

/// Waits until a preview is so.
async fn preview(panel: &TestPanel, app: &str, number: u64, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually_ok(&format!("the preview of #{number} is {what}"), SOON, || async {
        let one = panel.get(&format!("/api/v1/apps/{app}/previews/{number}")).await.expect(200).json();
        match wanted(&one) {
            true => Ok(one),
            false if one["phase"] == "failed" => Err(format!("{one}: {}", panel.build_log(&text(&one, "deployment")).await)),
            false => Err(one.to_string()),
        }
    })
    .await
}

/// Opens #7 with a change of one file on a branch of its own. Answers its commit.
async fn open_seven(panel: &TestPanel, hook: &Hook, repository: &GitFixture, file: &str, from: &str, to: &str) -> String {
    repository.git(&["checkout", "-q", "-b", "change-7"]);
    let head = repository.edit(file, from, to);
    assert_eq!(send(panel, hook, &request("opened", 7, &head, json!({}))).await.0, "preview_made");
    head
}

async fn live(panel: &TestPanel, app: &str, number: u64, head: &str) -> Value {
    let is_it = |one: &Value| one["state"] == "up" && one["phase"] == "live" && one["deployed"] == head;
    preview(panel, app, number, "live", is_it).await
}

#[tokio::test]
async fn what_becomes_of_requests() {
    let panel = TestPanel::start().await;
    let hook = app_and_hook(&panel, "blog").await;
    let opened = |number: u32| request("opened", number.into(), &commit(number), json!({}));
    // Nobody asked for previews.
    let (decision, why) = send(&panel, &hook, &opened(1)).await;
    assert_eq!(
        (decision.as_str(), why.contains("previews are off")),
        ("other_event", true),
        "{why}"
    );
    let at = "/api/v1/apps/blog/preview-rules";
    let nowhere = panel.patch(at, json!({"enabled": true})).await.expect(422);
    assert!(nowhere.detail().contains("there is no domain for apps"), "{}", nowhere.detail());
    apps_domain(&panel).await;
    for (wrong, words) in [
        (json!({"host": "pr.{domain}", "enabled": true}), "must have {number} in it"),
        (json!({"most": 0}), "must be between 1 and 100"),
        (json!({"memory_bytes": 5}), "at least 6 MiB"),
        (json!({"secrets": ["no key"]}), "`no key`"),
        (json!({"variables": [{"key": "A"}]}), "has no value yet"),
        (json!({"database": {"app": "blog"}}), "must be another app"),
    ] {
        let refused = panel.patch(at, wrong).await.expect(422);
        assert!(refused.detail().contains(words), "{}", refused.detail());
    }
    let set = rules(&panel, "blog", json!({"enabled": true, "most": 1, "never_label": "no-preview"})).await;
    assert_eq!(
        (&set["example"], &set["connected"]),
        (&json!("pr-42.blog.apps.test"), &json!(false)),
        "{set}"
    );

    let (decision, why) = send(&panel, &hook, &opened(1)).await;
    assert_eq!(
        (decision.as_str(), why.as_str()),
        ("preview_made", "making a preview of #1 from 0000000000")
    );
    let made = preview(&panel, "blog", 1, "made", |one| {
        one["app"].is_object() && one["deployment"].is_string()
    })
    .await;
    assert_eq!(
        made["url"].as_str().map(|url| url.contains("pr-1.blog.apps.test")),
        Some(true),
        "{made}"
    );
    assert_eq!(send(&panel, &hook, &opened(1)).await.0, "unchanged");
    // The app's own name still means the app.
    let own = panel.get("/api/v1/apps/blog").await.expect(200).json();
    assert_eq!(own["environment"]["name"], "production");
    let copy = panel
        .get(&format!("/api/v1/apps/{}", text(&made["app"], "id")))
        .await
        .expect(200)
        .json();
    assert_eq!(copy["environment"]["name"], "blog-pr-1");

    for (body, expected, words) in [
        (
            request("synchronize", 1, &commit(11), json!({})),
            "preview_renewed",
            "renewing the preview of #1",
        ),
        (opened(2), "preview_full", "there are 1, and at most 1"),
        (
            request("opened", 3, &commit(3), json!({"labels": ["No-Preview"]})),
            "preview_left_out",
            "the label `no-preview`",
        ),
        (
            request("opened", 4, &commit(4), json!({"fork": true})),
            "preview_waits",
            "comes from eve/blog",
        ),
        (
            request("closed", 4, &commit(4), json!({"fork": true})),
            "preview_removed",
            "it was closed",
        ),
        (
            request("closed", 9, &commit(9), json!({"merged": true})),
            "other_event",
            "was merged, and has no preview",
        ),
        (
            request("assigned", 1, &commit(1), json!({})),
            "other_event",
            "pull_request assigned",
        ),
    ] {
        let (decision, why) = send(&panel, &hook, &body).await;
        assert_eq!(decision, expected, "{why}");
        assert!(why.contains(words), "{why}");
    }
    panel.post("/api/v1/apps/blog/previews/2/deploy", json!({})).await.expect(409);
    panel.post("/api/v1/apps/blog/previews/77/deploy", json!({})).await.expect(404);
    panel.delete("/api/v1/apps/blog/previews/x").await.expect(404);
    let listed = panel.cli(&["preview", "list", "blog"]).await.expect(0).stdout;
    assert!(listed.contains("Change 1") && listed.contains("#2"), "{listed}");
    let preview_of_preview = panel
        .patch(
            &format!("/api/v1/apps/{}/preview-rules", text(&made["app"], "id")),
            json!({"enabled": true}),
        )
        .await
        .expect(409);
    assert!(
        preview_of_preview.detail().contains("is a preview itself"),
        "{}",
        preview_of_preview.detail()
    );
    let passed = panel
        .patch("/api/v1/apps/blog/webhook", json!({"environments": ["blog-pr-1"]}))
        .await
        .expect(422);
    assert!(passed.detail().contains("is a preview"), "{}", passed.detail());
    // Nothing is sent after this: they go all the same. Without an engine they cannot be taken away, and say so.
    rules(&panel, "blog", json!({"enabled": false})).await;
    preview(&panel, "blog", 1, "going", |one| one["state"] == "going").await;
    let inbox = panel.list("/api/v1/apps/blog/deliveries").await;
    assert!(
        inbox.iter().any(|one| one["decision"] == "preview_full"),
        "the inbox shows each decision"
    );
}

#[tokio::test]
async fn who_may_and_what_forks_may_not() {
    let panel = TestPanel::start().await;
    let hook = app_and_hook(&panel, "blog").await;
    apps_domain(&panel).await;
    let viewer = panel.member("viewer", "read").await;
    viewer
        .patch("/api/v1/apps/blog/preview-rules", json!({"enabled": true}))
        .await
        .expect(403);
    panel
        .patch(
            "/api/v1/apps/blog/variables",
            json!({"set": [{"key": "API_KEY", "value": "production-secret", "secret": true}, {"key": "OTHER", "value": "hidden-too", "secret": true},
                {"key": "COLOR", "value": "blue"}], "unset": []}),
        )
        .await
        .expect(200);
    let shared =
        json!({"set": [{"key": "SHARED", "value": "of-the-project", "secret": true}, {"key": "PLAIN", "value": "seen"}], "unset": []});
    panel.patch("/api/v1/variables?owner=organization", shared).await.expect(200);
    let set = json!({"enabled": true, "secrets": ["API_KEY"], "variables": [
        {"key": "GREETING", "value": "hello"}, {"key": "KEY_FOR_PREVIEWS", "value": "quiet", "secret": true}]});
    let set = rules(&panel, "blog", set).await;
    assert!(!set.to_string().contains("quiet"), "{set}");
    let fork = |action: &str, head: u32| request(action, 5, &commit(head), json!({"fork": true}));
    assert_eq!(send(&panel, &hook, &fork("opened", 5)).await.0, "preview_waits");
    let waiting = panel.get("/api/v1/apps/blog/previews/5").await.expect(200).json();
    assert!(waiting["app"].is_null() && waiting["fork"] == true, "{waiting}");
    let early = panel.post("/api/v1/apps/blog/previews/5/deploy", json!({})).await.expect(409);
    assert!(early.detail().contains("nobody has allowed it"), "{}", early.detail());
    let approve = "/api/v1/apps/blog/previews/5/approve";
    viewer.post(approve, json!({"commit": commit(5)})).await.expect(403);
    let other = panel.post(approve, json!({"commit": commit(6)})).await.expect(409);
    assert!(other.detail().contains("look at that one first"), "{}", other.detail());
    panel.post(approve, json!({"commit": commit(5)})).await.expect(202);
    let made = preview(&panel, "blog", 5, "made", |one| one["deployed"] == commit(5)).await;
    let keys = async |made: &Value| -> BTreeSet<String> {
        let owner = format!("app:{}", text(&made["app"], "id"));
        let all = panel.list(&format!("/api/v1/variables?owner={owner}&inherited=true")).await;
        all.iter().map(|one| text(one, "key")).collect()
    };
    assert_eq!(
        keys(&made).await,
        BTreeSet::from(["COLOR", "GREETING", "PLAIN"].map(str::to_owned)),
        "no secret reaches a fork"
    );
    // Its next commit waits again, and the one that was allowed stays.
    assert_eq!(send(&panel, &hook, &fork("synchronize", 6)).await.0, "preview_waits");
    let still = panel.get("/api/v1/apps/blog/previews/5").await.expect(200).json();
    assert_eq!(
        (&still["state"], &still["deployed"]),
        (&json!("waiting"), &json!(commit(5))),
        "{still}"
    );

    assert_eq!(
        send(&panel, &hook, &request("opened", 6, &commit(7), json!({}))).await.0,
        "preview_made"
    );
    let own = preview(&panel, "blog", 6, "made", |one| one["deployed"] == commit(7)).await;
    let expected = ["API_KEY", "COLOR", "GREETING", "KEY_FOR_PREVIEWS", "PLAIN"].map(str::to_owned);
    assert_eq!(
        keys(&own).await,
        BTreeSet::from(expected),
        "of the secrets only the one that was marked"
    );
    let audit = panel.list("/api/v1/audit").await;
    let told = |words: &str| audit.iter().any(|one| one.to_string().contains(words));
    assert!(told("preview") && !told("production-secret"), "{audit:?}");
}

/// All that the engine has of this panel.
async fn objects(panel: &Api) -> BTreeSet<String> {
    let organization = text(&panel.list("/api/v1/organizations").await[0], "id");
    let filter = format!("label=serverkit.organization={organization}");
    let mut all = BTreeSet::new();
    for (kind, arguments) in [
        ("container", vec!["ps", "-a", "--format", "{{.Names}}"]),
        ("volume", vec!["volume", "ls", "--format", "{{.Name}}"]),
        ("network", vec!["network", "ls", "--format", "{{.Name}}"]),
        ("image", vec!["images", "--no-trunc", "--format", "{{.ID}}"]),
    ] {
        let listed = docker(&docker_host(), &[arguments, vec!["--filter", &filter]].concat()).unwrap();
        all.extend(listed.lines().map(|name| format!("{kind} {name}")));
    }
    all
}

async fn at_forge(panel: &TestPanel, peer: &Peer) -> Value {
    let client = panel.anonymous();
    let asked = client.request(Method::GET, &format!("{}/test/seen", peer.issuer));
    let seen = client.send(asked).await.expect(200).json();
    let wrong: Vec<_> = seen["seen"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| !one["wrong"].is_null())
        .collect();
    assert!(wrong.is_empty(), "against the forge's API: {wrong:?}");
    seen
}

/// What the comment beside a request says, in all its versions.
async fn comment(panel: &TestPanel, peer: &Peer, number: u64, wanted: &str) -> Vec<String> {
    eventually_ok(&format!("the comment of #{number} says {wanted:?}"), SOON, || async {
        let seen = at_forge(panel, peer).await;
        let own: Vec<&Value> = seen["comments"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["number"] == number)
            .collect();
        assert!(own.len() < 2, "there is one comment: {own:?}");
        let texts: Vec<String> = own
            .iter()
            .flat_map(|one| one["texts"].as_array().unwrap())
            .map(|text| text.as_str().unwrap().to_owned())
            .collect();
        match texts.last() {
            Some(last) if last.contains(wanted) => Ok(texts),
            last => Err(format!("{last:?}")),
        }
    })
    .await
}

/// One comment at each forge, by its own API: made, and written anew in place.
#[tokio::test]
async fn comments_at_each_forge() {
    let panel = TestPanel::start().await;
    let peer = Peer::start("forges.mjs", &[]).await;
    apps_domain(&panel).await;
    for (number, kind) in (71..).zip(["github", "gitlab", "bitbucket", "bitbucket_data_center", "gitea"]) {
        let app = &kind.replace('_', "-");
        let mut forge = json!({"name": kind, "kind": kind, "url": format!("{}/{kind}", peer.issuer), "token": TOKEN});
        if kind == "bitbucket" {
            forge["owner"] = "ada".into();
        }
        if kind == "bitbucket_data_center" {
            forge["user"] = "ada".into();
        }
        panel.post("/api/v1/forges", forge).await.expect(201);
        let source = json!({"kind": "git", "forge": kind, "repository": "ada/blog", "branch": "main"});
        panel
            .create_app(json!({"name": app, "source": source, "domains": [format!("{app}.test")], "deploy": false}))
            .await;
        rules(&panel, app, json!({"enabled": true})).await;
        let hook = Hook::of(&panel, app).await;
        let fork = |action: &str, head: &str| request(action, number, &head.repeat(40), json!({"fork": true}));
        assert_eq!(send(&panel, &hook, &fork("opened", "a")).await.0, "preview_waits");
        let first = comment(&panel, &peer, number, "waits until somebody allows it").await;
        assert!(first[0].starts_with(&format!("**Preview of {app}**")), "{first:?}");
        send(&panel, &hook, &fork("synchronize", "b")).await;
        let both = comment(&panel, &peer, number, "`bbbbbbbbbb` comes from a fork").await;
        assert_eq!(both.len(), 2, "written anew in place: {both:?}");
        let open = json!({"forge": kind, "repository": "ada/blog", "numbers": [number]});
        peer.tell(&panel, "/test/open", open).await;
        let compared = panel.post(&format!("/api/v1/apps/{app}/preview-comparison"), json!({})).await;
        assert_eq!(compared.expect(200).json()["removed"], 0, "{kind} says that it is open");
        send(&panel, &hook, &fork("closed", "b")).await;
        comment(&panel, &peer, number, "removed").await;
    }
}

#[tokio::test]
async fn docker_a_request_from_its_opening_to_its_end() {
    let repository = GitFixture::sample("hello");
    let server = GitServer::open(repository.root()).await;
    let panel = TestPanel::docker().await;
    let peer = Peer::start("forges.mjs", &[server.url("").trim_end_matches('/')]).await;
    let forge = json!({"name": "gitea", "kind": "gitea", "url": format!("{}/gitea", peer.issuer), "token": TOKEN});
    panel.post("/api/v1/forges", forge).await.expect(201);
    apps_domain(&panel).await;
    let health = json!({"kind": "tcp", "interval_seconds": 1, "timeout_seconds": 2, "start_seconds": 8});
    panel
        .live_app(json!({
            "name": "blog", "source": {"kind": "git", "forge": "gitea", "repository": "ada/blog", "branch": "main"},
            "domains": ["blog.test"], "health": health, "grace_seconds": 2, "mounts": [{"volume": "data", "path": "/data"}],
            "variables": [{"key": "TOKEN", "value": "production-token", "secret": true}, {"key": "COLOR", "value": "red"}],
        }))
        .await;
    panel
        .live_app(json!({
            "name": "cache", "source": {"kind": "image", "reference": "redis:7"}, "domains": [], "health": health, "grace_seconds": 2,
            "mounts": [{"volume": "cache", "path": "/data"}], "variables": [{"key": "CACHE_PASSWORD", "value": "production-cache", "secret": true}],
        }))
        .await;
    let set = json!({"enabled": true, "most": 2, "memory_bytes": 134_217_728, "database": {"app": "cache"},
        "variables": [{"key": "COLOR", "value": "green"}, {"key": "CACHE_URL", "value": "redis://:${CACHE_PASSWORD}@cache"}]});
    let set = rules(&panel, "blog", set).await;
    assert_eq!(
        (&set["webhook"], &set["problem"]),
        (&json!(true), &Value::Null),
        "made at the forge: {set}"
    );
    let hooks = at_forge(&panel, &peer).await;
    assert!(hooks["hooks"]["gitea ada/blog"].to_string().contains("pull_request"), "{hooks}");
    let hook = Hook::of(&panel, "blog").await;
    let before = objects(&panel).await;

    // Opened.
    let first = open_seven(&panel, &hook, &repository, "app.py", "\"one\"", "\"seven\"").await;
    live(&panel, "blog", 7, &first).await;
    assert_eq!(panel.visit("pr-7.blog.apps.test", "/").await.expect(200).text(), "hello seven");
    assert_eq!(panel.visit("blog.test", "/").await.expect(200).text(), "hello one");
    let seen = panel.visit("pr-7.blog.apps.test", "/environment").await.expect(200).json();
    let decoded = |key: &str| seen[key].as_str().map(plain);
    assert_eq!(decoded("COLOR").as_deref(), Some("green"));
    assert_eq!(decoded("TOKEN"), None, "production's secrets stay there");
    let url = decoded("CACHE_URL").expect("it is there");
    assert!(
        url.len() > 30 && !url.contains("production") && !url.contains('$'),
        "a password of its own: {url}"
    );
    let texts = comment(&panel, &peer, 7, "live").await;
    assert!(
        texts.last().unwrap().contains("pr-7.blog.apps.test") && texts.last().unwrap().contains(&first[..10]),
        "{texts:?}"
    );

    // Pushed to.
    let second = repository.edit("app.py", "\"seven\"", "\"seven again\"");
    assert_eq!(
        send(&panel, &hook, &request("synchronize", 7, &second, json!({}))).await.0,
        "preview_renewed"
    );
    live(&panel, "blog", 7, &second).await;
    eventually_ok("the new one serves", SOON, || async {
        let page = panel.visit("pr-7.blog.apps.test", "/").await.text();
        if page == "hello seven again" { Ok(()) } else { Err(page) }
    })
    .await;
    comment(&panel, &peer, 7, &second[..10]).await;

    // From a fork: its commit is not on any branch of the repository.
    repository.git(&["checkout", "-q", "-b", "change-8", "main"]);
    let path = repository.tree().join("app.py");
    let changed = std::fs::read_to_string(&path).unwrap().replace("\"one\"", "\"eight\"");
    std::fs::write(&path, changed).unwrap();
    repository.git(&["commit", "-q", "-a", "-m", "from afar"]);
    repository.git(&["push", "-q", "origin", "HEAD:refs/pull/8/head"]);
    let foreign = repository.git(&["rev-parse", "HEAD"]);
    assert_eq!(
        send(&panel, &hook, &request("opened", 8, &foreign, json!({"fork": true}))).await.0,
        "preview_waits"
    );
    comment(&panel, &peer, 8, "waits until somebody allows it").await;
    panel
        .post("/api/v1/apps/blog/previews/8/approve", json!({"commit": foreign}))
        .await
        .expect(202);
    live(&panel, "blog", 8, &foreign).await;
    assert_eq!(panel.visit("pr-8.blog.apps.test", "/").await.expect(200).text(), "hello eight");

    // No room for a third; it follows when the forge says that #7 was closed, which nobody has told.
    assert_eq!(
        send(&panel, &hook, &request("opened", 9, &first, json!({}))).await.0,
        "preview_full"
    );
    peer.tell(
        &panel,
        "/test/open",
        json!({"forge": "gitea", "repository": "ada/blog", "numbers": [8, 9]}),
    )
    .await;
    let compared = panel
        .post("/api/v1/apps/blog/preview-comparison", json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(compared["removed"], 1, "{compared}");
    preview(&panel, "blog", 7, "gone", |one| one["state"] == "gone").await;
    assert_ne!(panel.visit("pr-7.blog.apps.test", "/").await.text(), "hello seven again");
    comment(&panel, &peer, 7, "removed").await;
    live(&panel, "blog", 9, &first).await;

    // Closed: nothing is left, and what was there before is as it was.
    for (number, body) in [
        (8, request("closed", 8, &foreign, json!({"fork": true}))),
        (9, request("closed", 9, &first, json!({"merged": true}))),
    ] {
        assert_eq!(send(&panel, &hook, &body).await.0, "preview_removed");
        preview(&panel, "blog", number, "gone", |one| one["state"] == "gone").await;
    }
    eventually_ok("nothing is left on the engine", SOON, || async {
        let now = objects(&panel).await;
        if now == before {
            Ok(())
        } else {
            Err(format!("{:?}", now.symmetric_difference(&before).collect::<Vec<_>>()))
        }
    })
    .await;
    let hosts: Vec<String> = panel.list("/api/v1/domains").await.iter().map(|one| text(one, "host")).collect();
    assert_eq!(hosts, ["blog.test"]);
    let project = &panel.list("/api/v1/projects").await[0];
    assert_eq!(project["environments"].as_array().unwrap().len(), 1, "{project}");
    let certificates = panel.list("/api/v1/certificates").await;
    assert!(certificates.iter().all(|one| !one.to_string().contains("pr-")), "{certificates:?}");
    assert_eq!(panel.visit("blog.test", "/").await.expect(200).text(), "hello one");
}

/// As the sample app shows bytes.
fn plain(base64: &str) -> String {
    let decoding = std::process::Command::new("sh")
        .args(["-c", "printf %s \"$0\" | base64 -d", base64])
        .output()
        .unwrap();
    String::from_utf8(decoding.stdout).unwrap()
}

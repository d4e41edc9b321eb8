//! Webhooks: what comes in, who is believed, what is decided and told, and the way from a push to a live site.

use crate::deploy::{app_of, text};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;
use testkit::{GitFixture, GitServer, OWNER, Reply, TestPanel, eventually_ok};

const OLD: &str = "1111111111111111111111111111111111111111";
const ZERO: &str = "0000000000000000000000000000000000000000";

/// An app's webhook as a forge has it in its settings.
pub struct Hook {
    path: String,
    secret: String,
    /// Where the app's repository is, if it must be there.
    _server: Option<GitServer>,
}

impl Hook {
    pub async fn of(panel: &TestPanel, app: &str) -> Hook {
        let made = panel
            .post(&format!("/api/v1/apps/{app}/webhook/rotate"), json!({}))
            .await
            .expect(200)
            .json();
        let url = text(&made, "url");
        assert!(url.starts_with("https://") && url.contains("/hooks/"), "{url}");
        Hook {
            path: url[url.find("/hooks/").unwrap()..].to_owned(),
            secret: text(&made, "secret"),
            _server: None,
        }
    }
    fn signed(&self, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(body);
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
    /// Sends it as nobody, as forges do.
    async fn send(&self, panel: &TestPanel, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Reply {
        let api = panel.anonymous();
        let mut request = api
            .request(reqwest::Method::POST, &self.path)
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        api.send(request.body(body.into())).await
    }
    pub async fn github(&self, panel: &TestPanel, event: &str, id: &str, body: &Value) -> Reply {
        let body = body.to_string();
        let signature = format!("sha256={}", self.signed(body.as_bytes()));
        let headers = [
            ("x-github-event", event),
            ("x-github-delivery", id),
            ("x-hub-signature-256", &signature),
        ];
        self.send(panel, &headers, body).await
    }
    /// One delivery of several pushes: branches and their commits.
    async fn bitbucket(&self, panel: &TestPanel, id: &str, changes: &[(&str, String)]) -> Reply {
        let target = |name: &str, hash: &str| json!({"type": "branch", "name": name, "target": {"hash": hash, "message": "x"}});
        let each = |(branch, after): &(&str, String)| json!({"old": target(branch, OLD), "new": target(branch, after)});
        let changes: Vec<Value> = changes.iter().map(each).collect();
        let body = json!({"actor": {"nickname": "ada"}, "push": {"changes": changes}}).to_string();
        let signature = format!("sha256={}", self.signed(body.as_bytes()));
        let headers = [
            ("x-event-key", "repo:push"),
            ("x-request-uuid", id),
            ("x-hub-signature", &signature),
        ];
        self.send(panel, &headers, body).await
    }
}

pub fn pushed(branch: &str, after: &str, files: &[&str], message: &str) -> Value {
    json!({
        "ref": format!("refs/heads/{branch}"), "before": OLD, "after": after, "deleted": after == ZERO,
        "repository": {"default_branch": "main"}, "pusher": {"name": "ada"},
        "head_commit": {"id": after, "message": message},
        "commits": [{"id": after, "message": message, "added": files, "modified": [], "removed": []}],
    })
}

/// A commit that nobody has.
pub fn commit(number: u32) -> String {
    format!("{number:040x}")
}

/// The app's repository is so slow that no deployment ends while the test looks.
pub async fn app_and_hook(panel: &TestPanel, name: &str) -> Hook {
    let repository = GitFixture::of(&[("a", "b")]);
    let server = GitServer::slow(repository.root(), Duration::from_secs(120)).await;
    let mut body = app_of(name, &repository);
    body["source"]["url"] = server.url("app.git").into();
    body["deploy"] = false.into();
    panel.create_app(body).await;
    Hook {
        _server: Some(server),
        ..Hook::of(panel, name).await
    }
}

/// The app `blog` in production, which follows main, and in staging, which follows dev, with one webhook for both; with their ids.
pub async fn blog_in_two_environments(panel: &TestPanel) -> (String, String, Hook) {
    let repository = GitFixture::of(&[("a", "b")]);
    let server = GitServer::slow(repository.root(), Duration::from_secs(120)).await;
    let mut body = app_of("blog", &repository);
    body["source"]["url"] = server.url("app.git").into();
    body["source"]["branch"] = "main".into();
    body["domains"] = json!([]);
    body["deploy"] = false.into();
    let production = text(&panel.create_app(body.clone()).await, "id");
    let project = text(&panel.list("/api/v1/projects").await[0], "id");
    let environments = format!("/api/v1/projects/{project}/environments");
    panel.post(&environments, json!({"name": "staging"})).await.expect(201);
    body["environment"] = "staging".into();
    body["source"]["branch"] = "dev".into();
    let staging = text(&panel.create_app(body).await, "id");
    let hook = Hook::of(panel, &production).await;
    let both = json!({"environments": ["staging"]});
    panel.patch(&format!("/api/v1/apps/{production}/webhook"), both).await.expect(200);
    let hook = Hook {
        _server: Some(server),
        ..hook
    };
    (production, staging, hook)
}

/// Only the first that deploys was decided on, and the others were lost.
#[tokio::test]
async fn each_push_of_a_delivery_is_decided_on() {
    let panel = TestPanel::start().await;
    let (production, staging, hook) = blog_in_two_environments(&panel).await;
    let apps = async |inbox: &[Value]| {
        let mut apps = Vec::new();
        for one in inbox.iter().filter_map(|one| one["deployment"].as_str()) {
            apps.push(text(&panel.deployment(one).await["app"], "id"));
        }
        apps.sort();
        apps
    };
    let mut both = [production.clone(), staging.clone()];
    both.sort();
    let at = format!("/api/v1/apps/{production}/deliveries");

    let first = [("main", commit(1)), ("dev", commit(2))];
    let told = hook.bitbucket(&panel, "1", &first).await.expect(202).json();
    assert_eq!(
        told["why"],
        "deploying 0000000000 of branch main as #1; deploying 0000000000 of branch dev in staging as #1"
    );
    assert_eq!(panel.deployment(&text(&told, "deployment")).await["app"]["id"], production);
    let inbox = panel.list(&at).await;
    assert_eq!(inbox.len(), 2, "{inbox:?}");
    assert_eq!(apps(&inbox).await, both);
    for one in &inbox {
        assert_eq!((&one["decision"], &one["forge_id"]), (&json!("deployed"), &json!("1")), "{one}");
    }
    let again = hook.bitbucket(&panel, "1", &first).await.expect(200).json();
    assert_eq!(again["decision"], "repeated", "{again}");
    assert_eq!(apps(&panel.list(&at).await).await, both);

    // One of them is locked; the same delivery again brings only that one.
    let lock = json!({"why": "release week", "minutes": 60});
    panel.put(&format!("/api/v1/apps/{staging}/lock"), lock).await.expect(200);
    let second = [("feature", commit(3)), ("dev", commit(4)), ("main", commit(5))];
    let told = hook.bitbucket(&panel, "2", &second).await.expect(202).json();
    let why = text(&told, "why");
    assert!(
        why.contains("feature is not main") && why.contains("release week") && why.ends_with("of branch main as #2"),
        "{why}"
    );
    panel.delete(&format!("/api/v1/apps/{staging}/lock")).await;
    let told = hook.bitbucket(&panel, "2", &second).await.expect(202).json();
    let why = text(&told, "why");
    assert!(
        why.contains("of branch dev in staging as #2") && why.ends_with("and has deployed"),
        "{why}"
    );
    assert_eq!(panel.deployment(&text(&told, "deployment")).await["app"]["id"], staging);
    assert_eq!(panel.list(&format!("/api/v1/apps/{production}/deployments")).await.len(), 2);
    assert_eq!(panel.list(&format!("/api/v1/apps/{staging}/deployments")).await.len(), 2);
}

#[tokio::test]
async fn one_webhook_serves_the_environments_of_an_app() {
    let panel = TestPanel::start().await;
    let repository = GitFixture::of(&[("a", "b")]);
    let server = GitServer::slow(repository.root(), Duration::from_secs(120)).await;
    let mut body = app_of("blog", &repository);
    body["source"]["url"] = server.url("app.git").into();
    body["source"]["branch"] = "main".into();
    body["deploy"] = false.into();
    let blog = text(&panel.create_app(body.clone()).await, "id");
    let projects = panel.get("/api/v1/projects").await.expect(200).json();
    let project = text(&projects["items"][0], "id");
    let environments = format!("/api/v1/projects/{project}/environments");
    let make = async |environment: &str, branch: Option<&str>, url: String| {
        panel.post(&environments, json!({"name": environment})).await.expect(201);
        let mut body = body.clone();
        body["environment"] = environment.into();
        body["domains"] = json!([]);
        body["source"]["branch"] = branch.map_or(Value::Null, Value::from);
        body["source"]["url"] = url.into();
        text(&panel.create_app(body).await, "id")
    };
    let staging = make("staging", Some("dev"), server.url("app.git")).await;
    make("nowhere", None, server.url("app.git")).await;
    make("same", Some("main"), server.url("app.git")).await;
    make("other", Some("dev"), "https://git.example.com/other.git".into()).await;
    let hook = Hook::of(&panel, &blog).await;
    let at = format!("/api/v1/apps/{blog}/webhook");
    for (environment, words) in [
        ("nowhere", "name the branch of blog in `nowhere` first"),
        ("same", "follows main as this app does"),
        ("other", "from another repository"),
    ] {
        let refused = panel.patch(&at, json!({"environments": [environment]})).await.expect(422);
        assert!(refused.detail().contains(words), "{}", refused.detail());
    }
    panel.patch(&at, json!({"environments": ["missing"]})).await.expect(404);
    let alone = hook
        .github(&panel, "push", "1", &pushed("dev", &commit(1), &["a"], "x"))
        .await
        .expect(200)
        .json();
    assert_eq!(alone["decision"], "branch_filter", "{alone}");
    let set = panel
        .patch(&at, json!({"environments": ["staging"], "paths": ["a", "!docs"]}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&set["environments"][0]["branch"], &set["environments"][0]["app"]["id"]),
        (&json!("dev"), &json!(staging))
    );
    for (id, branch, files, decision, words, to) in [
        ("2", "dev", "a", "deployed", "of branch dev in staging as #1", Some(&staging)),
        ("2", "dev", "a", "repeated", "has deployed", None),
        ("3", "main", "a", "deployed", "of branch main as #1", Some(&blog)),
        ("4", "dev", "docs/a", "path_filter", "changed only docs/ in staging", None),
        ("5", "feature", "a", "branch_filter", "feature is not main", None),
    ] {
        let number = u32::from(id.as_bytes()[0]);
        let reply = hook
            .github(&panel, "push", id, &pushed(branch, &commit(number), &[files], "x"))
            .await
            .json();
        assert_eq!(reply["decision"], decision, "{reply}");
        assert!(text(&reply, "why").contains(words), "{reply}");
        match (to, reply["deployment"].as_str()) {
            (Some(to), Some(deployment)) => assert_eq!(panel.deployment(deployment).await["app"]["id"], *to),
            (None, None) => {}
            other => panic!("{other:?} {reply}"),
        }
    }
    // What is locked there is not deployed from here.
    let lock = json!({"why": "release week", "minutes": 60});
    panel.put(&format!("/api/v1/apps/{staging}/lock"), lock).await.expect(200);
    let kept = hook
        .github(&panel, "push", "6", &pushed("dev", &commit(99), &["a"], "x"))
        .await
        .json();
    assert_eq!(
        (kept["decision"].as_str(), kept["deployment"].as_str()),
        (Some("locked"), None),
        "{kept}"
    );
    let shown = panel.cli(&["webhook", "show", &blog]).await;
    assert!(shown.stdout.contains("dev to staging"), "{}", shown.stdout);
    // Whoever may only change this app cannot pass pushes on to another.
    let none = panel.patch(&at, json!({"environments": []})).await.expect(200).json();
    assert_eq!(none["environments"], json!([]));
    let bound = json!({"name": "ci", "scope": "admin", "places": [format!("app:{blog}")]});
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let made = owner.post("/api/v1/tokens", bound).await.expect(201).json();
    let script = panel.with_token(text(&made, "secret"));
    script.patch(&at, json!({"enabled": true})).await.expect(200);
    for other in ["staging", &staging] {
        script.patch(&at, json!({"environments": [other]})).await.expect(404);
    }
}

#[tokio::test]
async fn each_kind_of_delivery_has_its_own_decision() {
    let panel = TestPanel::start().await;
    let hook = app_and_hook(&panel, "blog").await;
    let rules = json!({"branches": ["main", "release/*"], "tags": ["v*", "!v0.*"], "paths": ["services/web", "!**/*.md"]});
    panel.patch("/api/v1/apps/blog/webhook", rules).await.expect(200);
    let web = &["services/web/a.js"][..];
    let tag = |name: &str| json!({"ref": format!("refs/tags/{name}"), "before": ZERO, "after": commit(70), "commits": []});
    let mut seen = std::collections::BTreeSet::new();
    for (event, id, body, status, decision, words) in [
        (
            "push",
            "1",
            pushed("main", &commit(1), web, "fix"),
            202,
            "deployed",
            "deploying 0000000000 of branch main as #1",
        ),
        (
            "push",
            "1",
            pushed("main", &commit(1), web, "fix"),
            200,
            "repeated",
            "the same delivery came",
        ),
        (
            "push",
            "2",
            pushed("main", &commit(1), web, "fix"),
            200,
            "unchanged",
            "is deployed already as #1",
        ),
        (
            "push",
            "3",
            pushed("dev", &commit(2), web, "fix"),
            200,
            "branch_filter",
            "dev does not fit main, release/*",
        ),
        ("push", "4", tag("v0.1"), 200, "tag_filter", "v0.1 does not fit v*, !v0.*"),
        (
            "push",
            "5",
            pushed("main", &commit(3), &["docs/a", "docs/b"], "fix"),
            200,
            "path_filter",
            "path filter; changed only docs/",
        ),
        (
            "push",
            "6",
            pushed("main", &commit(4), web, "wip [skip deploy]"),
            200,
            "skipped_by_commit",
            "[skip deploy]",
        ),
        (
            "push",
            "7",
            pushed("main", ZERO, &[], ""),
            200,
            "deleted",
            "branch main was deleted",
        ),
        ("ping", "8", json!({"zen": "x"}), 200, "ping", "reaches this panel"),
        ("issues", "9", json!({}), 200, "other_event", "`issues` does not deploy"),
        ("push", "10", json!({"ref": 7}), 422, "unreadable", "not understood"),
        ("push", "11", tag("v1.0"), 202, "deployed", "of tag v1.0 as #2"),
        (
            "push",
            "12",
            pushed("release/1", &commit(5), &["services/web/x.md", "services/web/b"], "x"),
            202,
            "deployed",
            "#3",
        ),
        (
            "push",
            "13",
            pushed("main", &commit(6), &["services/web/x.md"], "x"),
            200,
            "path_filter",
            "only services/",
        ),
    ] {
        let reply = hook.github(&panel, event, id, &body).await.expect(status).json();
        assert_eq!(reply["decision"], decision, "{id}: {reply}");
        assert!(text(&reply, "why").contains(words), "{id}: {reply}");
        assert_eq!(reply["deployment"].is_string(), decision == "deployed", "{reply}");
        seen.insert(decision);
    }
    panel
        .patch("/api/v1/apps/blog/webhook", json!({"enabled": false}))
        .await
        .expect(200);
    let off = hook
        .github(&panel, "push", "14", &pushed("main", &commit(8), web, "x"))
        .await
        .expect(200)
        .json();
    assert_eq!(off["decision"], "disabled");
    // The same id may come again when nothing was deployed before: the forge's button `Redeliver`.
    panel.patch("/api/v1/apps/blog/webhook", json!({"enabled": true})).await.expect(200);
    let again = hook
        .github(&panel, "push", "14", &pushed("main", &commit(8), web, "x"))
        .await
        .expect(202)
        .json();
    assert_eq!(again["decision"], "deployed");
    let wrong = hook
        .send(
            &panel,
            &[
                ("x-github-event", "push"),
                ("x-github-delivery", "15"),
                ("x-hub-signature-256", "sha256=00"),
            ],
            "{}",
        )
        .await;
    assert_eq!(wrong.expect(401).json()["decision"], "bad_signature");
    seen.extend(["disabled", "bad_signature"]);
    assert!(seen.len() >= 12, "{seen:?}");

    // All of it is in the inbox, newest first, and who may not know the secret does not.
    let inbox = panel.list("/api/v1/apps/blog/deliveries").await;
    assert_eq!(inbox.len(), 17);
    assert_eq!(
        (inbox[0]["decision"].as_str(), inbox[0]["can_replay"].as_bool()),
        (Some("bad_signature"), Some(false))
    );
    assert_eq!(inbox[1]["push"]["by"], "ada");
    let viewer = panel.member("viewer", "admin").await;
    assert_eq!(
        viewer.get("/api/v1/apps/blog/webhook").await.expect(200).json()["secret"],
        Value::Null
    );
    viewer.get("/api/v1/apps/blog/webhook?reveal=true").await.expect(403);
    assert!(!panel.printed().contains(&hook.secret));
    let id = text(&inbox[0], "id");
    panel
        .post(&format!("/api/v1/deliveries/{id}/replay"), json!({}))
        .await
        .expect(409)
        .code("busy");

    // What was left out by a rule goes through after the rule has changed.
    let docs = inbox
        .iter()
        .find(|one| one["why"].as_str().unwrap().contains("only docs/"))
        .unwrap();
    panel.patch("/api/v1/apps/blog/webhook", json!({"paths": []})).await.expect(200);
    let replayed = panel
        .post(&format!("/api/v1/deliveries/{}/replay", text(docs, "id")), json!({}))
        .await
        .expect(202)
        .json();
    assert_eq!(
        (replayed["decision"].as_str(), replayed["replay_of"].as_str()),
        (Some("deployed"), docs["id"].as_str())
    );
    let newest = panel.newest("blog").await;
    assert_eq!(newest["cause"], "push");
    assert_eq!(newest["delivery"], replayed["id"]);
    assert!(
        panel
            .cli(&["webhook", "inbox", "blog"])
            .await
            .stdout
            .contains("path filter; changed only docs/")
    );
    for (delivery, words) in [
        (docs, ["path_filter", "refs/heads/main", "2 files", "docs/a, docs/b"]),
        (
            &replayed,
            ["deployed", "refs/heads/main", "docs/a, docs/b", docs["id"].as_str().unwrap()],
        ),
    ] {
        let shown = panel.cli(&["webhook", "delivery", &text(delivery, "id")]).await.expect(0).stdout;
        for word in words {
            assert!(shown.contains(word), "{word}: {shown}");
        }
    }
    panel.cli(&["webhook", "delivery", "dlv_0"]).await.expect(4);
}

#[tokio::test]
async fn every_forge_is_believed_only_with_its_secret() {
    let panel = TestPanel::start().await;
    let hook = app_and_hook(&panel, "blog").await;
    let bitbucket = json!({"actor": {"nickname": "ada"}, "push": {"changes": [{"old": {"type": "branch", "name": "main", "target": {"hash": OLD}},
        "new": {"type": "branch", "name": "main", "target": {"hash": commit(31), "message": "x"}}}]}});
    let center = json!({"actor": {"name": "ada"}, "changes": [{"ref": {"id": "refs/heads/main"}, "fromHash": OLD, "toHash": commit(32), "type": "UPDATE"}]});
    let gitlab = json!({"ref": "refs/heads/main", "before": OLD, "after": commit(33), "checkout_sha": commit(33), "user_username": "ada",
        "project": {"default_branch": "main"}, "commits": [], "total_commits_count": 0});
    panel
        .patch("/api/v1/apps/blog/webhook", json!({"branches": ["main"]}))
        .await
        .expect(200);
    for (forge, event, header, prefix, body) in [
        (
            "github",
            ("x-github-event", "push"),
            "x-hub-signature-256",
            "sha256=",
            pushed("main", &commit(34), &["a"], "x"),
        ),
        (
            "gitea",
            ("x-gitea-event", "push"),
            "x-gitea-signature",
            "",
            pushed("main", &commit(35), &["a"], "x"),
        ),
        (
            "gitea",
            ("x-forgejo-event", "push"),
            "x-forgejo-signature",
            "",
            pushed("main", &commit(36), &["a"], "x"),
        ),
        ("bitbucket", ("x-event-key", "repo:push"), "x-hub-signature", "sha256=", bitbucket),
        (
            "bitbucket",
            ("x-event-key", "repo:refs_changed"),
            "x-hub-signature",
            "sha256=",
            center,
        ),
        ("gitlab", ("x-gitlab-event", "Push Hook"), "x-gitlab-token", "", gitlab),
        (
            "generic",
            ("x-event", "deploy"),
            "x-signature-256",
            "sha256=",
            json!({"ref": "main", "commit": commit(37)}),
        ),
    ] {
        let body = body.to_string();
        let right = match forge {
            "gitlab" => hook.secret.clone(),
            _ => format!("{prefix}{}", hook.signed(body.as_bytes())),
        };
        let mut wrong = right.clone().into_bytes();
        *wrong.last_mut().unwrap() ^= 1;
        let wrong = String::from_utf8(wrong).unwrap();
        for (headers, status, decision) in [
            (vec![event], 401, "bad_signature"),
            (vec![event, (header, &wrong)], 401, "bad_signature"),
            (vec![event, (header, "")], 401, "bad_signature"),
            (vec![event, (header, &right)], 202, "deployed"),
        ] {
            let reply = hook.send(&panel, &headers, body.clone()).await.expect(status).json();
            assert_eq!(reply["decision"], decision, "{forge} {headers:?} {reply}");
        }
        let newest = panel.list("/api/v1/apps/blog/deliveries").await.remove(0);
        assert_eq!(
            (newest["forge"].as_str(), newest["decision"].as_str()),
            (Some(forge), Some("deployed"))
        );
        // The body of another delivery does not fit.
        let moved = hook.send(&panel, &[event, (header, &right)], format!("{body} ")).await;
        assert_eq!(moved.status.as_u16(), if forge == "gitlab" { 200 } else { 401 }, "{forge}");
    }
}

#[tokio::test]
async fn a_script_is_judged_by_what_it_tells() {
    let panel = TestPanel::start().await;
    let hook = app_and_hook(&panel, "blog").await;
    let rules = json!({"branches": ["main"], "paths": ["src/**"]});
    panel.patch("/api/v1/apps/blog/webhook", rules).await.expect(200);
    // In the forges' shape, by a script.
    let commits = |message: &str, file: &str| json!([{"message": message, "modified": [file]}]);
    for (body, status, decision, words) in [
        (
            json!({"ref": "refs/heads/main", "after": commit(1), "commits": commits("x [skip deploy]", "src/a")}),
            200,
            "skipped_by_commit",
            "[skip deploy]",
        ),
        (
            json!({"ref": "main", "after": commit(2), "commits": commits("x", "docs/a")}),
            200,
            "path_filter",
            "changed only docs/",
        ),
        (
            json!({"ref": "main", "files": ["docs/b"]}),
            200,
            "path_filter",
            "changed only docs/",
        ),
        (
            json!({"ref": "main", "commit": commit(3), "commits": commits("x", "src/a")}),
            202,
            "deployed",
            "of branch main as #1",
        ),
        // What it does not tell is not held against it, and said.
        (
            json!({"ref": "main"}),
            202,
            "deployed",
            "deploying branch main (without the path filter: the call tells neither of `files`",
        ),
        (json!({"commit": commit(4)}), 202, "deployed", "without the path filter"),
    ] {
        let body = body.to_string();
        let signature = format!("sha256={}", hook.signed(body.as_bytes()));
        let headers = [("x-event", "deploy"), ("x-signature-256", signature.as_str())];
        let reply = hook.send(&panel, &headers, body.clone()).await.expect(status).json();
        assert_eq!(reply["decision"], decision, "{body}: {reply}");
        assert!(text(&reply, "why").contains(words), "{body}: {reply}");
    }
    // Where all counts, nothing is to be said.
    panel.patch("/api/v1/apps/blog/webhook", json!({"paths": []})).await.expect(200);
    let body = json!({"ref": "main", "commit": commit(5)}).to_string();
    let signature = format!("sha256={}", hook.signed(body.as_bytes()));
    let headers = [("x-event", "deploy"), ("x-signature-256", signature.as_str())];
    let plain = hook.send(&panel, &headers, body).await.expect(202).json();
    assert!(!text(&plain, "why").contains("path filter"), "{plain}");
}

#[tokio::test]
async fn addresses_bodies_and_floods() {
    let panel = TestPanel::start().await;
    let hook = app_and_hook(&panel, "blog").await;
    let nobody = panel.anonymous();
    nobody
        .post("/hooks/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", json!({}))
        .await
        .expect(404)
        .code("not_found");
    let reply = nobody.get(&hook.path).await.expect(405).json();
    assert_eq!(reply["detail"], "webhooks come by POST", "{reply}");
    // As large as forges send them; an address that nobody listens at takes less.
    let large = json!({"ref": "refs/heads/main", "after": commit(1), "commits": [], "repository": {"default_branch": "main"}, "filler": "x".repeat(20 << 20)});
    let reply = hook.github(&panel, "push", "large", &large).await.expect(202).json();
    assert_eq!(reply["decision"], "deployed", "{reply}");
    let too_large = vec![b' '; 26 << 20];
    hook.send(&panel, &[("x-github-event", "push")], too_large).await.expect(413);
    let large = large.to_string();
    let elsewhere = nobody
        .request(reqwest::Method::POST, "/hooks/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
        .body(large);
    nobody.send(elsewhere).await.expect(413);
    // What nobody has signed does not push out what somebody has.
    for number in 0..60 {
        let id = format!("flood-{number}");
        hook.send(&panel, &[("x-github-event", "push"), ("x-github-delivery", &id)], "{}")
            .await
            .expect(401);
    }
    let inbox = panel.list("/api/v1/apps/blog/deliveries").await;
    assert_eq!(inbox.len(), 51);
    assert_eq!(inbox.last().unwrap()["decision"], "deployed");
    // A new address ends the old one; none at all too.
    let renewed = Hook::of(&panel, "blog").await;
    assert!(renewed.path != hook.path && renewed.secret != hook.secret);
    hook.github(&panel, "ping", "1", &json!({})).await.expect(404);
    renewed.github(&panel, "ping", "2", &json!({})).await.expect(200);
    panel.delete("/api/v1/apps/blog/webhook").await.expect(204);
    renewed.github(&panel, "ping", "3", &json!({})).await.expect(404);
    for (change, field) in [
        (json!({"paths": ["["]}), "paths"),
        (json!({"branches": ["!"]}), "branches"),
        (json!({"poll_seconds": 3}), "poll_seconds"),
        (json!({"secret": "short"}), "secret"),
    ] {
        let refused = panel.patch("/api/v1/apps/blog/webhook", change).await.expect(422).code("invalid");
        assert!(refused.detail().starts_with(field), "{}", refused.detail());
    }
}

/// Two of the same at once are one deployment.
#[tokio::test]
async fn the_same_delivery_twice_at_once() {
    let panel = TestPanel::start().await;
    let hook = app_and_hook(&panel, "blog").await;
    let body = pushed("main", &commit(1), &["a"], "x");
    let all = futures::future::join_all((0..8).map(|_| hook.github(&panel, "push", "same", &body))).await;
    let deployed = all.iter().filter(|reply| reply.json()["decision"] == "deployed").count();
    assert_eq!(deployed, 1);
    assert_eq!(panel.list("/api/v1/apps/blog/deployments").await.len(), 1);
}

/// Those who change different things at once meet neither a conflict nor each other, also where the webhook is made by it.
#[tokio::test]
async fn changes_at_once_are_all_kept() {
    let panel = TestPanel::start().await;
    for name in ["one", "two", "three"] {
        panel
            .create_app(json!({"name": name, "source": {"kind": "image", "reference": "nginx"}}))
            .await;
        let path = format!("/api/v1/apps/{name}/webhook");
        let wishes = [
            json!({"branches": ["main"]}),
            json!({"tags": ["v*"]}),
            json!({"paths": ["src/**"]}),
            json!({"enabled": false}),
        ];
        let all = futures::future::join_all(wishes.iter().map(|wish| panel.patch(&path, wish.clone()))).await;
        for (reply, wish) in all.iter().zip(&wishes) {
            assert_eq!(reply.status.as_u16(), 200, "{wish}: {}", reply.text());
        }
        let kept = panel.get(&path).await.expect(200).json();
        for wish in &wishes {
            for (field, wanted) in wish.as_object().expect("an object") {
                assert_eq!(&kept[field], wanted, "{kept}");
            }
        }
    }
}

#[tokio::test]
async fn docker_a_push_goes_live_by_a_webhook_and_by_polling() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let server = GitServer::open(repository.root()).await;
    let mut body = app_of("hello", &repository);
    body["source"]["url"] = server.url("app.git").into();
    panel.live_app(body).await;
    let hook = Hook::of(&panel, "hello").await;
    let before = repository.git(&["rev-parse", "HEAD"]);
    let after = repository.edit("app.py", "\"one\"", "\"two\"");
    let mut push = pushed("main", &after, &["app.py"], "change app.py");
    push["before"] = before.into();
    let reply = hook.github(&panel, "push", "1", &push).await.expect(202).json();
    let done = panel.live(&text(&reply, "deployment")).await;
    assert_eq!(
        (done["commit"]["id"].as_str(), done["by"].as_str()),
        (Some(after.as_str()), Some("ada (GitHub)"))
    );
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello two");

    // A forge that does not tell the files: the repository is asked.
    panel
        .patch("/api/v1/apps/hello/webhook", json!({"paths": ["app.py"]}))
        .await
        .expect(200);
    let changed = |before: &str, after: &str| {
        json!({"push": {"changes": [{"old": {"type": "branch", "name": "main", "target": {"hash": before}},
            "new": {"type": "branch", "name": "main", "target": {"hash": after, "message": "x"}}}]}})
        .to_string()
    };
    let readme = repository.commit(&[("docs/README.md", "words")], "words");
    let told = changed(&after, &readme);
    let signature = format!("sha256={}", hook.signed(told.as_bytes()));
    let reply = hook
        .send(&panel, &[("x-event-key", "repo:push"), ("x-hub-signature", &signature)], told)
        .await
        .expect(200)
        .json();
    assert_eq!(reply["why"], "ignored: path filter; changed only docs/");

    // Nobody sends anything: the panel asks.
    panel
        .patch("/api/v1/apps/hello/webhook", json!({"poll_seconds": 15}))
        .await
        .expect(200);
    tokio::time::sleep(Duration::from_secs(8)).await;
    repository.commit(&[("docs/README.md", "more words")], "more words");
    repository.edit("app.py", "\"two\"", "\"three\"");
    eventually_ok("polling finds the push", Duration::from_secs(90), || async {
        let page = panel.visit("hello.test", "/").await;
        if page.text() == "hello three" { Ok(()) } else { Err(page.text()) }
    })
    .await;
    let newest = panel.list("/api/v1/apps/hello/deliveries").await.remove(0);
    assert_eq!(
        (newest["forge"].as_str(), newest["decision"].as_str()),
        (Some("poll"), Some("deployed")),
        "{newest}"
    );
    assert_eq!(newest["push"]["message"].as_str().map(str::trim), Some("change app.py"));
}

#[tokio::test]
async fn locked_deployments_wait_in_the_inbox() {
    let panel = TestPanel::start().await;
    let hook = app_and_hook(&panel, "blog").await;
    let locked = panel
        .put("/api/v1/apps/blog/lock", json!({"why": "release week", "minutes": 60}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (locked["lock"]["why"].as_str(), locked["lock"]["until"].is_string()),
        (Some("release week"), true)
    );
    let refused = panel
        .post("/api/v1/apps/blog/deployments", json!({}))
        .await
        .expect(409)
        .code("busy");
    assert!(refused.detail().contains("release week"), "{}", refused.detail());
    let body = pushed("main", &commit(1), &["a"], "x");
    let kept = hook.github(&panel, "push", "1", &body).await.expect(200).json();
    assert_eq!(kept["decision"], "locked", "{kept}");
    hook.github(&panel, "ping", "2", &json!({})).await.expect(200);
    assert!(panel.cli(&["app", "unlock", "blog"]).await.stdout.contains("unlocked"));
    let replayed = panel
        .post(&format!("/api/v1/deliveries/{}/replay", text(&kept, "delivery")), json!({}))
        .await
        .expect(202)
        .json();
    assert_eq!(replayed["decision"], "deployed");
    panel.cli(&["app", "lock", "blog", "--for", "1h", "--why", "again"]).await;
    assert_eq!(panel.get("/api/v1/apps/blog").await.expect(200).json()["lock"]["why"], "again");
    panel
        .put("/api/v1/apps/blog/lock", json!({"minutes": 0}))
        .await
        .expect(422)
        .code("invalid");
}

//! Webhooks: what comes in, who is believed, and the way from a push to a live site.

mod decisions;
mod environments;

use crate::deploy::{app_of, text};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;
use testkit::{GitFixture, GitServer, Reply, TestPanel, eventually_ok};

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

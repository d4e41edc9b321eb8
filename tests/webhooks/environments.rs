//! One webhook for the app in several environments.

use super::{Hook, blog_in_two_environments, commit, pushed};
use crate::deploy::{app_of, text};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, GitServer, OWNER, TestPanel};

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

/// The app `blog` on main and, in `staging`, on dev; their ids. Beside them are some that its webhook cannot serve.
async fn blog_and_others(panel: &TestPanel, repository: &GitFixture, server: &GitServer) -> (String, String) {
    let mut body = app_of("blog", repository);
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
    (blog, staging)
}

#[tokio::test]
async fn one_webhook_serves_the_environments_of_an_app() {
    let panel = TestPanel::start().await;
    let repository = GitFixture::of(&[("a", "b")]);
    let server = GitServer::slow(repository.root(), Duration::from_secs(120)).await;
    let (blog, staging) = blog_and_others(&panel, &repository, &server).await;
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
    pushes_are_decided_on(&panel, &hook, &blog, &staging).await;
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
    only_who_may_there_passes_on(&panel, &at, &blog, &staging).await;
}

/// What becomes of pushes to the branches of both.
async fn pushes_are_decided_on(panel: &TestPanel, hook: &Hook, blog: &str, staging: &str) {
    for (id, branch, files, decision, words, to) in [
        ("2", "dev", "a", "deployed", "of branch dev in staging as #1", Some(staging)),
        ("2", "dev", "a", "repeated", "has deployed", None),
        ("3", "main", "a", "deployed", "of branch main as #1", Some(blog)),
        ("4", "dev", "docs/a", "path_filter", "changed only docs/ in staging", None),
        ("5", "feature", "a", "branch_filter", "feature is not main", None),
    ] {
        let number = u32::from(id.as_bytes()[0]);
        let reply = hook
            .github(panel, "push", id, &pushed(branch, &commit(number), &[files], "x"))
            .await
            .json();
        assert_eq!(reply["decision"], decision, "{reply}");
        assert!(text(&reply, "why").contains(words), "{reply}");
        match (to, reply["deployment"].as_str()) {
            (Some(to), Some(deployment)) => assert_eq!(panel.deployment(deployment).await["app"]["id"], to),
            (None, None) => {}
            other => panic!("{other:?} {reply}"),
        }
    }
}

/// Whoever may only change this app cannot pass pushes on to another.
async fn only_who_may_there_passes_on(panel: &TestPanel, at: &str, blog: &str, staging: &str) {
    let none = panel.patch(at, json!({"environments": []})).await.expect(200).json();
    assert_eq!(none["environments"], json!([]));
    let bound = json!({"name": "ci", "scope": "admin", "places": [format!("app:{blog}")]});
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let made = owner.post("/api/v1/tokens", bound).await.expect(201).json();
    let script = panel.with_token(text(&made, "secret"));
    script.patch(at, json!({"enabled": true})).await.expect(200);
    for other in ["staging", staging] {
        script.patch(at, json!({"environments": [other]})).await.expect(404);
    }
}

//! Apps from forges, and what the forges are told of their deployments.

use super::{DATA_CENTER, Stand, TOKEN, app, cloned};
use crate::deploy::text;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, GitServer, TestPanel, eventually_ok};

const SOON: Duration = Duration::from_secs(60);

/// What an app of this forge is called.
fn named(kind: &str) -> String {
    kind.replace('_', "-")
}

async fn reported(panel: &TestPanel, deployment: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually_ok("the forge is told", SOON, || async {
        let report = panel
            .get(&format!("/api/v1/deployments/{deployment}/forge-report"))
            .await
            .expect(200)
            .json();
        if wanted(&report["report"]) {
            Ok(report["report"].clone())
        } else {
            Err(report.to_string())
        }
    })
    .await
}

/// States beside commits, as a forge was told them: `(state, context, words)`.
fn told(seen: &Value, kind: &str, commit: &str) -> Vec<(String, String, String)> {
    let all = seen["statuses"].as_array().unwrap();
    let own = all.iter().filter(|one| one["forge"] == kind && one["commit"] == commit);
    let context = |body: &Value| {
        ["context", "name"]
            .iter()
            .find_map(|key| body[*key].as_str().map(str::to_owned))
            .unwrap()
    };
    own.map(|one| {
        (
            text(&one["body"], "state"),
            context(&one["body"]),
            text(&one["body"], "description"),
        )
    })
    .collect()
}

/// The app's webhook at its forge: registered, again, and with another address there is one. Answers what the forge has seen.
async fn has_one_webhook(stand: &Stand, kind: &str, name: &str) -> Value {
    let panel = &stand.panel;
    let hook = panel
        .post(&format!("/api/v1/apps/{name}/webhook/register"), json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(hook["registered"], "ada/blog");
    // Again, and with another address: there is still one.
    panel
        .post(&format!("/api/v1/apps/{name}/webhook/register"), json!({}))
        .await
        .expect(200);
    let hook = panel
        .post(&format!("/api/v1/apps/{name}/webhook/rotate"), json!({}))
        .await
        .expect(200)
        .json();
    let seen = stand.seen().await;
    let there = seen["hooks"][format!("{kind} ada/blog")].as_array().unwrap();
    assert_eq!(there.len(), 1, "{there:?}");
    let body = there[0]["body"].to_string();
    assert!(
        body.contains(&text(&hook, "url")) && body.contains(&text(&hook, "secret")),
        "{body}"
    );
    seen
}

/// The states of the app's one deployment, and by whose login its source was fetched.
fn is_told_of_a_failure(seen: &Value, kind: &str, commit: &str, states: &[&str; 2], login: &str) {
    let name = named(kind);
    let told = told(seen, kind, commit);
    // What was queued and over within one turn is told once.
    assert_eq!(told.last().unwrap().0, states[1], "{told:?}");
    assert!(told.iter().all(|one| states.contains(&one.0.as_str())), "{told:?}");
    assert_eq!(told[0].1, format!("serverkit/production/{name}"));
    assert!(told.last().unwrap().2.contains(&format!("{name} #1 failed")), "{told:?}");
    let fetched = seen["seen"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["method"] == "git" && one["forge"] == kind);
    let logins: Vec<_> = fetched.filter_map(|one| one["auth"].as_str()).collect();
    assert!(
        !logins.is_empty() && logins.iter().all(|one| *one == format!("{login}:{TOKEN}")),
        "{logins:?}"
    );
}

fn keeps_deployments(seen: &Value, commit: &str) {
    let records = seen["deployments"].as_array().unwrap();
    assert_eq!(records.len(), 3, "GitHub, GitLab and Data Center keep deployments: {records:?}");
    for (record, environment, state) in [
        (&records[0], "production/github", "failure"),
        (&records[1], "production/gitlab", "failed"),
    ] {
        assert_eq!(record["environment"], environment);
        assert_eq!(record["states"].as_array().unwrap().last().unwrap()["state"], state, "{record}");
    }
    let center = &records[2];
    assert_eq!(
        (&center["key"], &center["environment"]["key"], &center["environment"]["type"]),
        (
            &json!("serverkit/production/bitbucket-data-center"),
            &json!("production/bitbucket-data-center"),
            &json!("PRODUCTION")
        )
    );
    assert_eq!(
        (
            &center["deploymentSequenceNumber"],
            &center["states"].as_array().unwrap().last().unwrap()["state"]
        ),
        (&json!(1), &json!("FAILED")),
        "{center}"
    );
    let gitlab = &records[1];
    assert_eq!(
        (&gitlab["sha"], &gitlab["ref"], &gitlab["tag"]),
        (&json!(commit), &json!("main"), &json!(false))
    );
}

/// The forge went on sending to the address that the panel had before, and pushes did nothing without a word.
#[tokio::test]
async fn webhooks_at_forges_follow_the_panels_domain() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    for kind in ["github", "gitea"] {
        stand.connect(kind, json!({"token": TOKEN})).await;
        panel.create_app(app(kind, kind)).await;
        let register = format!("/api/v1/apps/{kind}/webhook/register");
        panel.post(&register, json!({})).await.expect(200);
    }
    panel
        .patch("/api/v1/settings", json!({"panel_domain": "panel.test"}))
        .await
        .expect(200);
    for kind in ["github", "gitea"] {
        let path = format!("/api/v1/apps/{kind}/webhook");
        let address = text(&panel.get(&path).await.expect(200).json(), "url");
        assert!(address.starts_with("https://panel.test"), "{address}");
        eventually_ok("the forge sends there", SOON, || async {
            let seen = stand.seen().await;
            let there = seen["hooks"][format!("{kind} ada/blog")].as_array().unwrap();
            match there.as_slice() {
                [one] if one["body"].to_string().contains(&address) => Ok(()),
                others => Err(format!("{others:?}")),
            }
        })
        .await;
    }
}

/// No engine answers here, so every deployment fails when it has its source: the commit is known by then.
#[tokio::test]
async fn an_app_from_each_forge() {
    let repository = GitFixture::of(&[("Dockerfile", "FROM scratch")]);
    let server = GitServer::open(repository.root()).await;
    let stand = Stand::new(Some(&server)).await;
    let panel = &stand.panel;
    for (kind, states, login) in [
        ("github", ["pending", "failure"], "x-access-token"),
        ("gitlab", ["running", "failed"], "oauth2"),
        ("bitbucket", ["INPROGRESS", "FAILED"], "x-token-auth"),
        ("gitea", ["pending", "failure"], "oauth2"),
        (DATA_CENTER, ["INPROGRESS", "FAILED"], "ada"),
    ] {
        let name = &named(kind);
        stand.connect(kind, json!({"token": TOKEN})).await;
        let inspected = json!({"source": {"kind": "git", "forge": kind, "repository": "ada/blog"}});
        let inside = panel.post("/api/v1/sources/inspect", inspected).await.expect(200).json();
        assert_eq!(inside["plan"]["preset"], "dockerfile", "{inside}");
        let made = panel.create_app(app(name, kind)).await;
        assert_eq!(made["source"]["repository"], "ada/blog");
        assert_eq!(made["source"]["url"], format!("{}/{}", stand.peer.issuer, cloned(kind, "ada/blog")));
        let deployment = text(&panel.newest(name).await, "id");
        panel.fails(&deployment).await;
        let report = reported(panel, &deployment, |report| report["told"] == "failure").await;
        assert!(report["problem"].is_null() && report["next_at"].is_null(), "{report}");

        let seen = has_one_webhook(&stand, kind, name).await;
        let commit = text(&report, "commit");
        is_told_of_a_failure(&seen, kind, &commit, &states, login);
        let used = panel.delete(&format!("/api/v1/forges/{kind}")).await.expect(409);
        assert!(
            used.detail().contains(&format!("apps are made from it: {name}")),
            "{}",
            used.detail()
        );
        panel.delete(&format!("/api/v1/apps/{name}/webhook")).await.expect(204);
        assert_eq!(stand.seen().await["hooks"][format!("{kind} ada/blog")], json!([]));
    }
    keeps_deployments(&stand.seen().await, &repository.git(&["rev-parse", "HEAD"]));
}

/// GitLab takes no state that a deployment has already, wants branches and tags told apart, and may have no deployments at all.
#[tokio::test]
async fn deployments_at_gitlab() {
    let repository = GitFixture::of(&[("Dockerfile", "FROM scratch")]);
    repository.git(&["tag", "v1"]);
    repository.git(&["push", "-q", "origin", "v1"]);
    let server = GitServer::open(repository.root()).await;
    let stand = Stand::new(Some(&server)).await;
    let panel = &stand.panel;
    stand.connect("gitlab", json!({"token": TOKEN})).await;
    let mut body = app("blog", "gitlab");
    body["deploy"] = false.into();
    panel.create_app(body).await;
    let deploy = async |reference: &str| {
        let asked = json!({"reference": reference});
        panel.post("/api/v1/apps/blog/deployments", asked).await.expect(202);
        let deployment = text(&panel.newest("blog").await, "id");
        panel.fails(&deployment).await;
        let report = reported(panel, &deployment, |report| report["told"] == "failure").await;
        assert!(report["problem"].is_null() && report["failures"] == 0, "{report}");
        deployment
    };
    let records = async || stand.seen().await["deployments"].as_array().unwrap().clone();
    let first = deploy("v1").await;
    let one = records().await;
    assert_eq!((&one[0]["ref"], &one[0]["tag"]), (&json!("v1"), &json!(true)), "{one:?}");
    // Told once more, it stays one.
    let again = format!("/api/v1/deployments/{first}/forge-report");
    panel.post(&again, json!({})).await.expect(200);
    reported(panel, &first, |report| report["next_at"].is_null()).await;
    assert_eq!(records().await.len(), 1);
    let commit = repository.git(&["rev-parse", "HEAD"]);
    deploy(&commit).await;
    let two = records().await;
    assert_eq!((&two[1]["ref"], &two[1]["tag"]), (&json!("main"), &json!(false)), "{two:?}");
    let none = json!({"status": 403, "body": {"message": "403 Forbidden"}, "times": 1000, "path": "/deployments"});
    stand.next(none).await;
    deploy("main").await;
    assert_eq!(records().await.len(), 2);
}

#[tokio::test]
async fn a_forge_that_cannot_be_told_holds_nothing_up() {
    let repository = GitFixture::of(&[("Dockerfile", "FROM scratch")]);
    let server = GitServer::open(repository.root()).await;
    let mut stand = Stand::new(Some(&server)).await;
    stand.connect("gitea", json!({"token": TOKEN})).await;
    let failing = json!({"status": 500, "body": {"message": "the disk is full"}, "times": 1000, "path": "/statuses/"});
    stand.next(failing).await;
    let panel = &stand.panel;
    panel.create_app(app("blog", "gitea")).await;
    let deployment = text(&panel.newest("blog").await, "id");
    panel.fails(&deployment).await;
    let report = reported(panel, &deployment, |report| report["failures"].as_u64() > Some(1)).await;
    assert!(report["told"].is_null() && report["next_at"].is_string(), "{report}");
    assert!(text(&report, "problem").contains("answers 500: the disk is full"), "{report}");
    let shown = panel.cli(&["forge", "report", &deployment]).await;
    let shown = shown.stdout;
    assert!(shown.contains("was not told of") && shown.contains("the disk is full"), "{shown}");
    // It is not forgotten over a restart, and told when somebody asks.
    stand.panel.stop().await;
    stand.panel.start_again().await;
    stand.next(json!({"times": 0})).await;
    let panel = &stand.panel;
    panel
        .post(&format!("/api/v1/deployments/{deployment}/forge-report"), json!({}))
        .await
        .expect(200);
    let report = reported(panel, &deployment, |report| report["told"] == "failure").await;
    assert_eq!((&report["failures"], &report["problem"]), (&json!(0), &Value::Null));
    let nothing = json!({"name": "image", "source": {"kind": "image", "reference": "nginx:1"}});
    panel.create_app(nothing).await;
    let other = text(&panel.newest("image").await, "id");
    let none = panel
        .get(&format!("/api/v1/deployments/{other}/forge-report"))
        .await
        .expect(200)
        .json();
    assert!(none["report"].is_null());
    panel
        .post(&format!("/api/v1/deployments/{other}/forge-report"), json!({}))
        .await
        .expect(409);
}

/// The source cannot be fetched, so no commit is known: the forge shows the failure beside what the branch has.
#[tokio::test]
async fn a_deployment_without_a_source_is_told_too() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    for (kind, state) in [
        ("github", "failure"),
        ("gitlab", "failed"),
        ("bitbucket", "FAILED"),
        ("gitea", "failure"),
        (DATA_CENTER, "FAILED"),
    ] {
        let name = &named(kind);
        let more = if kind == "bitbucket" {
            json!({"token": TOKEN, "user": "ada@example.com"})
        } else {
            json!({"token": TOKEN})
        };
        stand.connect(kind, more).await;
        panel.create_app(app(name, kind)).await;
        let deployment = panel.newest(name).await;
        panel.fails(&text(&deployment, "id")).await;
        let report = reported(panel, &text(&deployment, "id"), |report| report["told"] == "failure").await;
        let commit = "a".repeat(40);
        assert_eq!(report["commit"], json!(commit), "{report}");
        let told = told(&stand.seen().await, kind, &commit);
        assert_eq!(told.iter().map(|one| one.0.as_str()).collect::<Vec<_>>(), [state], "{told:?}");
    }
}

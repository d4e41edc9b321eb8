//! Freeze windows and hours: what is refused, what waits, who may all the same, and apps that run by the clock.

use crate::{
    deploy::text,
    webhooks::{app_and_hook, blog_in_two_environments, commit, pushed},
};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{TestPanel, eventually_ok};

const SOON: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(100);

async fn deliveries(panel: &TestPanel) -> Vec<Value> {
    panel.list("/api/v1/apps/hello/deliveries").await
}

#[tokio::test]
async fn a_push_waits_for_the_end_of_a_freeze() {
    let panel = TestPanel::start().await;
    let hook = app_and_hook(&panel, "hello").await;
    // It begins each minute and lasts an hour: always.
    let words = [
        "freeze",
        "add",
        "weekend",
        "--environment",
        "production",
        "--at",
        "* * * * *",
        "--for",
        "1h",
        "--zone",
        "Europe/Berlin",
    ];
    let made = panel.cli(&words).await.expect(0).stdout;
    assert!(made.contains("the freeze weekend holds now, until 20"), "{made}");
    let listed = panel.cli(&["freeze", "list"]).await.expect(0).stdout;
    assert!(
        listed.contains("default / production") && listed.contains("holds until"),
        "{listed}"
    );
    let shown = panel.get("/api/v1/apps/hello").await.expect(200).json();
    assert_eq!(shown["frozen"]["name"], "weekend");

    for (number, message) in [(1, "one"), (2, "two")] {
        hook.github(
            &panel,
            "push",
            &format!("id-{number}"),
            &pushed("main", &commit(number), &["a"], message),
        )
        .await;
    }
    let held = deliveries(&panel).await;
    for one in &held {
        assert_eq!(one["decision"], "held", "{one}");
        assert!(text(one, "why").starts_with("held: deployments are frozen until 20"), "{one}");
    }
    assert!(panel.list("/api/v1/apps/hello/deployments").await.is_empty());

    // People are told, and who may does it anyway with a reason.
    let refused = panel.cli(&["deploy", "hello"]).await.expect(1).stderr;
    assert!(refused.contains("frozen until") && refused.contains("weekend"), "{refused}");
    let created = json!({"name": "b", "source": {"kind": "image", "reference": "nginx"}});
    panel.post("/api/v1/apps", created).await.expect(409);
    let user = json!({"email": "bob@example.test", "name": "Bob", "role": "developer", "password": "eleven green kettles boil"});
    panel.post("/api/v1/users", user).await.expect(201);
    let bob = panel.signed_in("bob@example.test", "eleven green kettles boil").await;
    bob.post("/api/v1/apps/hello/deployments", json!({"anyway": "I want to"}))
        .await
        .expect(403);
    bob.post(
        "/api/v1/freezes",
        json!({"name": "x", "everywhere": true, "cron": "@daily", "minutes": 1}),
    )
    .await
    .expect(403);
    panel
        .post("/api/v1/apps/hello/deployments", json!({"anyway": " "}))
        .await
        .expect(422);
    panel.cli(&["deploy", "hello", "--anyway", "mend the checkout"]).await.expect(0);
    let audit = panel.get("/api/v1/audit").await.expect(200).text();
    assert!(
        audit.contains("deployed hello in spite of the freeze weekend: mend the checkout"),
        "{audit}"
    );

    // When it ends, the newest is deployed.
    panel.cli(&["freeze", "remove", "weekend"]).await.expect(0);
    eventually_ok("it is taken up", SOON, || async {
        let all = deliveries(&panel).await;
        let newest = all.first().cloned().unwrap_or_default();
        let released = all.iter().filter(|one| one["decision"] == "released").count();
        match newest["decision"] == "deployed" && newest["replay_of"] == held[0]["id"] && released == 2 {
            true => Ok(()),
            false => Err(format!("{all:?}")),
        }
    })
    .await;
    assert_eq!(deliveries(&panel).await.len(), 3);
}

/// The freeze of the webhook's own app was heeded in place of the one that is deployed.
#[tokio::test]
async fn a_push_that_is_passed_on_heeds_the_freeze_of_where_it_goes() {
    let panel = TestPanel::start().await;
    let (production, staging, hook) = blog_in_two_environments(&panel).await;
    let inbox = format!("/api/v1/apps/{production}/deliveries");
    let mut number = 0;
    for (environment, held, app, free) in [("staging", "dev", &staging, "main"), ("production", "main", &production, "dev")] {
        let always = json!({"name": environment, "environment": environment, "cron": "* * * * *", "minutes": 60});
        let freeze = panel.post("/api/v1/freezes", always).await.expect(201).json();
        let mut told = Vec::new();
        for branch in [held, free] {
            number += 1;
            let push = pushed(branch, &commit(number), &["a"], "x");
            told.push(hook.github(&panel, "push", &format!("id-{number}"), &push).await.json());
        }
        assert_eq!(
            (&told[0]["decision"], &told[1]["decision"]),
            (&json!("held"), &json!("deployed")),
            "{told:?}"
        );
        assert!(text(&told[0], "why").contains(environment), "{}", told[0]);
        // Some turns of the timetable, which must not take it up yet.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let id = &told[0]["delivery"];
        let shown = panel.get(&format!("/api/v1/deliveries/{}", id.as_str().unwrap())).await;
        assert_eq!(shown.expect(200).json()["decision"], "held");
        panel.delete(&format!("/api/v1/freezes/{}", text(&freeze, "id"))).await.expect(204);
        let taken = eventually_ok("it is taken up", SOON, || async {
            let all = panel.list(&inbox).await;
            let again = all.iter().find(|one| one["replay_of"] == *id);
            again.cloned().ok_or_else(|| format!("{all:?}"))
        })
        .await;
        assert_eq!(taken["decision"], "deployed", "{taken}");
        assert_eq!(panel.deployment(&text(&taken, "deployment")).await["app"]["id"], *app);
    }
}

/// Only the newest of all was taken up: the other branches, the tag and what is passed on were dropped, and so was what came before one
/// that a filter then left out.
#[tokio::test]
async fn all_that_a_freeze_has_held_is_taken_up() {
    let panel = TestPanel::start().await;
    let (production, staging, hook) = blog_in_two_environments(&panel).await;
    let at = |what: &str| format!("/api/v1/apps/{production}/{what}");
    let rules = json!({"branches": ["main", "release/*"], "tags": ["v*"]});
    panel.patch(&at("webhook"), rules).await.expect(200);
    let always = json!({"name": "weekend", "everywhere": true, "cron": "* * * * *", "minutes": 60});
    let freeze = panel.post("/api/v1/freezes", always).await.expect(201).json();
    let tag = json!({"ref": "refs/tags/v1", "before": "0".repeat(40), "after": commit(4), "commits": []});
    let pushes = [
        pushed("main", &commit(1), &["a"], "x"),
        pushed("main", &commit(2), &["a"], "x"),
        pushed("release/1", &commit(3), &["a"], "x"),
        tag,
        pushed("dev", &commit(5), &["a"], "x"),
        pushed("main", &commit(6), &["docs/a"], "x"),
    ];
    let mut held = Vec::new();
    for (number, push) in pushes.iter().enumerate() {
        let told = hook.github(&panel, "push", &format!("id-{number}"), push).await.json();
        assert_eq!(told["decision"], "held", "{told}");
        held.push(text(&told, "delivery"));
    }
    // What it changes does not deploy any more.
    panel.patch(&at("webhook"), json!({"paths": ["a"]})).await.expect(200);
    panel.delete(&format!("/api/v1/freezes/{}", text(&freeze, "id"))).await.expect(204);
    let all = eventually_ok("nothing waits any more", SOON, || async {
        let all = panel.list(&at("deliveries")).await;
        let released = all.iter().filter(|one| one["decision"] == "released").count();
        match released == held.len() {
            true => Ok(all),
            false => Err(format!("{all:?}")),
        }
    })
    .await;
    let decided: Vec<&str> = held
        .iter()
        .map(|id| {
            let again = all.iter().find(|one| one["replay_of"] == *id.as_str());
            again.map_or("in a newer one", |one| one["decision"].as_str().unwrap())
        })
        .collect();
    let expected = ["in a newer one", "deployed", "deployed", "deployed", "deployed", "path_filter"];
    assert_eq!(decided, expected, "{all:?}");
    assert_eq!(all.len(), 11);
    let older = all.iter().find(|one| one["id"] == *held[0]).unwrap();
    assert!(text(older, "why").ends_with("a newer one was taken up when that ended"), "{older}");
    // In the order in which the newest of each came.
    let mut deployments = panel.list(&at("deployments")).await;
    deployments.sort_by_key(|one| one["number"].as_u64());
    let references: Vec<&str> = deployments.iter().filter_map(|one| one["reference"].as_str()).collect();
    assert_eq!(references, [commit(3), commit(4), commit(2)]);
    assert_eq!(panel.list(&format!("/api/v1/apps/{staging}/deployments")).await.len(), 1);
}

#[tokio::test]
async fn what_is_no_freeze() {
    let panel = TestPanel::start().await;
    for (body, field) in [
        (json!({"name": "", "cron": "@daily", "minutes": 1}), "name"),
        (json!({"name": "x"}), "when"),
        (json!({"name": "x", "cron": "@daily"}), "when"),
        (json!({"name": "x", "cron": "@daily", "minutes": 0}), "minutes"),
        (json!({"name": "x", "cron": "nonsense", "minutes": 1}), "cron"),
        (json!({"name": "x", "cron": "@daily", "minutes": 1, "zone": "Mars"}), "zone"),
        (
            json!({"name": "x", "from": "2030-01-02T00:00:00Z", "until": "2030-01-01T00:00:00Z"}),
            "until",
        ),
        (
            json!({"name": "x", "from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}),
            "until",
        ),
    ] {
        let reply = panel.post("/api/v1/freezes", body.clone()).await.expect(422);
        assert!(reply.text().contains(&format!("\"{field}\"")), "{body}: {}", reply.text());
    }
    let missing = json!({"name": "x", "cron": "@daily", "minutes": 1, "environment": "nowhere"});
    panel.post("/api/v1/freezes", missing).await.expect(404);
    panel.delete("/api/v1/freezes/frz_00000000000000000000000000").await.expect(404);
    // One goes with its environment.
    let environment = panel.list("/api/v1/projects").await[0]["id"].clone();
    let made = panel
        .post(
            &format!("/api/v1/projects/{}/environments", environment.as_str().unwrap()),
            json!({"name": "staging"}),
        )
        .await
        .expect(201)
        .json();
    let freeze = json!({"name": "x", "cron": "@daily", "minutes": 1, "environment": "staging"});
    panel.post("/api/v1/freezes", freeze).await.expect(201);
    panel
        .delete(&format!("/api/v1/environments/{}", text(&made, "id")))
        .await
        .expect(204);
    assert!(panel.list("/api/v1/freezes").await.is_empty());
}

#[tokio::test]
async fn docker_an_app_that_runs_by_the_clock() {
    let mut panel = TestPanel::docker().await;
    let body = json!({"name": "site", "source": {"kind": "image", "reference": "nginx:1.22"}, "port": 80, "domains": ["site.test"]});
    panel.live_app(body).await;
    let hours = async |panel: &TestPanel, start: &str, stop: &str| {
        let words = ["app", "hours", "site", "--start", start, "--stop", stop, "--zone", "Europe/Berlin"];
        panel.cli(&words).await.expect(0).stdout
    };
    let state = async |panel: &TestPanel, wanted: &str| {
        eventually_ok(&format!("it is {wanted}"), MINUTE, || async {
            let app = panel.get("/api/v1/apps/site").await.expect(200).json();
            match app["state"] == wanted {
                true => Ok(()),
                false => Err(app["state"].to_string()),
            }
        })
        .await
    };
    let said = hours(&panel, "0 0 1 1 *", "* * * * *").await;
    assert!(
        said.contains("is started next at 20") && said.contains("stopped next at 20"),
        "{said}"
    );
    panel.stop().await;
    panel.start_again_before_a_minute().await;
    state(&panel, "stopped").await;
    let history = panel.get("/api/v1/events/history").await.expect(200).text();
    assert!(history.contains("site is stopped: its hours"), "{history}");
    hours(&panel, "* * * * *", "0 0 1 1 *").await;
    panel.stop().await;
    panel.start_again_before_a_minute().await;
    state(&panel, "running").await;
    panel.cli(&["app", "hours", "site", "--always"]).await.expect(0);
    assert!(panel.get("/api/v1/apps/site").await.expect(200).json()["hours"].is_null());
    let wrong = panel
        .patch("/api/v1/apps/site", json!({"hours": {"start": "x", "stop": "@daily"}}))
        .await
        .expect(422);
    assert!(wrong.text().contains("\"start\""), "{}", wrong.text());
}

#[tokio::test]
async fn a_window_is_changed() {
    let panel = TestPanel::start().await;
    let always = ["freeze", "add", "weekend", "--everywhere", "--at", "* * * * *", "--for", "1h"];
    panel.cli(&always).await.expect(0);
    panel
        .create_app(json!({"name": "hello", "source": {"kind": "image", "reference": "nginx:1"}, "deploy": false}))
        .await;
    panel.post("/api/v1/apps/hello/deployments", json!({})).await.expect(409);
    let made = panel.list("/api/v1/freezes").await.remove(0);
    // What is not said stays.
    let changed = panel
        .cli(&["freeze", "update", "weekend", "--name", "nights", "--at", "0 0 29 2 *"])
        .await
        .expect(0)
        .stdout;
    assert!(changed.contains("the freeze nights holds next at"), "{changed}");
    let now = panel.list("/api/v1/freezes").await.remove(0);
    for same in ["id", "minutes", "zone", "by", "created_at", "environment"] {
        assert_eq!(now[same], made[same], "{same}");
    }
    panel.post("/api/v1/apps/hello/deployments", json!({})).await.expect(202);
    panel
        .cli(&["freeze", "update", "nights", "--environment", "production"])
        .await
        .expect(0);
    let until = [
        "freeze",
        "update",
        "nights",
        "--from",
        "2030-01-01T00:00:00Z",
        "--until",
        "2030-01-02T00:00:00Z",
    ];
    panel.cli(&until).await.expect(0);
    let now = panel.list("/api/v1/freezes").await.remove(0);
    assert_eq!((text(&now, "from").as_str(), &now["cron"]), ("2030-01-01T00:00:00Z", &Value::Null));
    assert_eq!(now["environment"]["name"], "production");
    let path = format!("/api/v1/freezes/{}", text(&now, "id"));
    let over = json!({"name": "x", "everywhere": true, "from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"});
    panel.put(&path, over).await.expect(422);
    panel
        .put(
            "/api/v1/freezes/frz_none",
            json!({"name": "x", "everywhere": true, "cron": "@daily", "minutes": 1}),
        )
        .await
        .expect(404);
}

//! Jobs of apps: commands once and at times, their history, limits, and what a crash does to them.

use crate::deploy::{app_of, text};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{GitFixture, TestPanel, docker, docker_host, eventually_ok};

const SOON: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(90);

/// Containers of runs of an app, ended or not.
fn run_containers(app: &Value) -> String {
    let filter = format!("label=serverkit.run={}", text(app, "id"));
    docker(&docker_host(), &["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]).unwrap()
}

async fn newest_run(panel: &TestPanel, job: &str) -> Option<Value> {
    panel.list(&format!("/api/v1/apps/hello/runs?job={job}")).await.first().cloned()
}

#[tokio::test]
async fn docker_commands_run_in_the_image_of_the_app() {
    let mut panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    body["variables"] = json!([{"key": "COLOUR", "value": "green"}, {"key": "PASSWORD", "value": "ibex-4711-canary", "secret": true}]);
    body["mounts"] = json!([{"volume": "data", "path": "/data"}]);
    let app = panel.live_app(body).await;
    let python =
        "import os; print('is', os.environ['COLOUR'], os.environ['PASSWORD'], os.listdir('/app')); open('/data/x', 'w').write('kept')";
    let done = panel.cli(&["run", "hello", "--", "python3", "-c", python]).await.expect(0);
    assert!(
        done.stdout.contains("is green") && done.stdout.contains("app.py"),
        "{}",
        done.stdout
    );
    assert!(!done.stdout.contains("ibex"), "a secret in a log: {}", done.stdout);
    assert_eq!(
        panel.visit("hello.test", "/read?file=/data/x").await.expect(200).text(),
        "kept",
        "the same volume"
    );
    // It ends as the command did.
    let failed = panel
        .cli(&["run", "hello", "--", "sh", "-c", "echo oh >&2; exit 3"])
        .await
        .expect(3);
    assert!(
        failed.stdout.contains("oh") && failed.stderr.contains("exited with code 3"),
        "{failed:?}"
    );
    let gone = panel.cli(&["run", "hello", "--", "/no/such/thing"]).await.expect(127);
    assert!(gone.stderr.contains("exited with code 127"), "{}", gone.stderr);
    let slow = panel.cli(&["run", "hello", "--limit", "2s", "--", "sleep", "60"]).await.expect(1);
    assert!(slow.stderr.contains("took longer than 2 s"), "{}", slow.stderr);
    eventually_ok("no container is left", SOON, || async {
        match run_containers(&app) {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        }
    })
    .await;
    let history = panel.list("/api/v1/apps/hello/runs").await;
    let phases: Vec<String> = history.iter().map(|run| text(run, "phase")).collect();
    assert_eq!(phases, ["timed_out", "failed", "failed", "done"]);
    assert_eq!((&history[2]["code"], &history[3]["code"]), (&json!(3), &json!(0)));
    let log = panel.cli(&["job", "log", &text(&history[2], "id")]).await.expect(0).stdout;
    assert!(log.contains("oh") && log.contains("exited with code 3"), "{log}");
    let listed = panel.cli(&["job", "history", "hello"]).await.expect(0).stdout;
    assert!(listed.contains("timed out") && listed.contains("exited with code 3"), "{listed}");

    // One that is left to itself goes on; the other kind ends when nobody follows it any more.
    let detached = panel
        .cli(&["run", "hello", "--detach", "--", "sleep", "600"])
        .await
        .expect(0)
        .stdout;
    let attached = json!({"command": ["sh", "-c", "trap 'echo ends well; exit 0' TERM; sleep 600 & wait"], "attached": true});
    let attached = panel.post("/api/v1/apps/hello/runs", attached).await.expect(202).json();
    eventually_ok("it is ended", SOON, || async {
        let run = panel
            .get(&format!("/api/v1/runs/{}", text(&attached, "id")))
            .await
            .expect(200)
            .json();
        match run["phase"] == "cancelled" && run["error"] == "nobody followed it any more" {
            true => Ok(()),
            false => Err(run.to_string()),
        }
    })
    .await;
    let log = panel.cli(&["job", "log", &text(&attached, "id")]).await.expect(0).stdout;
    assert!(log.contains("ends well"), "it had its signal: {log}");
    let id = detached.split_whitespace().next().unwrap().to_owned();
    assert_eq!(
        text(&panel.get(&format!("/api/v1/runs/{id}")).await.expect(200).json(), "phase"),
        "running"
    );
    panel.cli(&["job", "cancel", &id]).await.expect(0);

    // One that goes on is cancelled; one that a crash interrupts is closed in words.
    let heeds = json!({"command": ["sh", "-c", "trap exit TERM; sleep 600 & wait"]});
    let run = panel.post("/api/v1/apps/hello/runs", heeds).await.expect(202).json();
    panel.cli(&["job", "cancel", &text(&run, "id")]).await.expect(0);
    let phase_is = async |panel: &TestPanel, id: &str, wanted: &str| {
        eventually_ok(&format!("it is {wanted}"), SOON, || async {
            let run = panel.get(&format!("/api/v1/runs/{id}")).await.expect(200).json();
            match run["phase"] == wanted {
                true => Ok(()),
                false => Err(run.to_string()),
            }
        })
        .await
    };
    phase_is(&panel, &text(&run, "id"), "cancelled").await;
    let run = panel
        .post("/api/v1/apps/hello/runs", json!({"command": ["sleep", "600"]}))
        .await
        .expect(202)
        .json();
    eventually_ok("its container runs", SOON, || async {
        match run_containers(&app).is_empty() {
            true => Err("none".to_owned()),
            false => Ok(()),
        }
    })
    .await;
    panel.kill();
    panel.start_again().await;
    phase_is(&panel, &text(&run, "id"), "lost").await;
    eventually_ok("its container is gone", SOON, || async {
        match run_containers(&app) {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        }
    })
    .await;
}

#[tokio::test]
async fn docker_jobs_run_when_it_is_time() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    panel.live_app(app_of("hello", &repository)).await;
    // Each goes on already when its minute comes.
    for (name, overlap) in [("skips", "skip"), ("waits", "queue"), ("replaces", "replace")] {
        let mut words = vec!["job", "create", "hello", name, "--at", "0 0 30 2 *", "--overlap", overlap];
        words.extend(["--", "sh", "-c", "trap exit TERM; echo tick; sleep 600 & wait"]);
        let made = panel.cli(&words).await.expect(0).stdout;
        assert!(made.contains("never runs by itself"), "{made}");
        panel.cli(&["job", "run", "hello", name, "--detach"]).await.expect(0);
        let again = panel.cli(&["job", "run", "hello", name, "--detach"]).await.expect(1);
        assert!(again.stderr.contains("runs already"), "{}", again.stderr);
        let due = panel
            .cli(&["job", "update", "hello", name, "--at", "* * * * *", "--zone", "Europe/Berlin"])
            .await
            .expect(0);
        assert!(due.stdout.contains("runs next at 20"), "{}", due.stdout);
    }
    panel
        .cli(&["job", "create", "hello", "rests", "--at", "0 0 30 2 *", "--", "true"])
        .await
        .expect(0);
    panel.cli(&["job", "update", "hello", "rests", "--off"]).await.expect(0);
    panel
        .cli(&["job", "create", "hello", "fails", "--at", "* * * * *", "--", "false"])
        .await
        .expect(0);
    let listed = panel.cli(&["job", "list", "hello"]).await.expect(0).stdout;
    assert!(listed.contains("off") && listed.contains("Europe/Berlin"), "{listed}");
    // Whenever somebody asks.
    panel.cli(&["job", "run", "hello", "rests"]).await.expect(0);
    let run = newest_run(&panel, "rests").await.unwrap();
    assert_eq!((text(&run, "phase"), text(&run, "name")), ("done".into(), "rests".into()));

    let runs = async |job: &str| panel.list(&format!("/api/v1/apps/hello/runs?job={job}")).await;
    eventually_ok("one is left out", MINUTE, || async {
        let runs = runs("skips").await;
        match runs
            .iter()
            .any(|run| run["phase"] == "skipped" && run["error"] == "the run before it was still going")
        {
            true => Ok(()),
            false => Err(format!("{runs:?}")),
        }
    })
    .await;
    eventually_ok("the old one is replaced", MINUTE, || async {
        let runs = runs("replaces").await;
        let ended = runs.iter().any(|run| run["phase"] == "cancelled");
        match ended
            && runs
                .iter()
                .any(|run| run["phase"] == "running" && text(run, "by").starts_with("its schedule"))
        {
            true => Ok(()),
            false => Err(format!("{runs:?}")),
        }
    })
    .await;
    let waiting = async || {
        let jobs = panel.list("/api/v1/apps/hello/jobs").await;
        jobs.into_iter().find(|job| job["name"] == "waits").unwrap()
    };
    eventually_ok("one waits", MINUTE, || async {
        let job = waiting().await;
        match job["waiting_since"].is_string() {
            true => Ok(()),
            false => Err(job.to_string()),
        }
    })
    .await;
    let first = runs("waits").await.into_iter().find(|run| run["phase"] == "running").unwrap();
    panel.cli(&["job", "cancel", &text(&first, "id")]).await.expect(0);
    eventually_ok("it has its turn", SOON, || async {
        let runs = runs("waits").await;
        match runs.iter().any(|run| run["by"] == "its schedule, after the run before") {
            true => Ok(()),
            false => Err(format!("{runs:?}")),
        }
    })
    .await;
    // What fails is told, until it goes well.
    eventually_ok("the overview has it", MINUTE, || async {
        let overview = panel.get("/api/v1/overview").await.expect(200).text();
        match overview.contains("The job fails of hello failed: exited with code 1") {
            true => Ok(()),
            false => Err(overview),
        }
    })
    .await;
    let events = panel.get("/api/v1/events/history").await.expect(200).text();
    assert!(events.contains("run_failed") && events.contains("exited with code 1"), "{events}");
    assert_eq!(runs("rests").await.len(), 1);
    panel.cli(&["job", "delete", "hello", "skips"]).await.expect(0);
    assert_eq!(panel.list("/api/v1/apps/hello/jobs").await.len(), 4);
    // With the app everything ends.
    panel.delete("/api/v1/apps/hello").await.expect(204);
    eventually_ok("nothing runs any more", SOON, || async {
        match docker(
            &docker_host(),
            &[
                "ps",
                "-q",
                "--filter",
                &format!("label=serverkit.run={}", text(&first["app"], "id")),
            ],
        )
        .unwrap()
        {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        }
    })
    .await;
}

#[tokio::test]
async fn docker_jobs_of_services() {
    let panel = TestPanel::docker().await;
    let compose = "services:\n  web: {image: 'python:3.11-slim', command: [python3, -m, http.server, '80'], expose: [80], environment: {WHO: web}}\n  db: {image: 'redis:7', environment: {WHO: db}}\n";
    let app = json!({"name": "shop", "source": {"kind": "compose", "compose": compose, "main_service": "web"}, "domains": ["shop.test"]});
    panel.live_app(app).await;
    for (service, who) in [("web", "web"), ("db", "db")] {
        let done = panel
            .cli(&["run", "shop", "--service", service, "--", "sh", "-c", "echo I am $WHO"])
            .await
            .expect(0);
        assert!(done.stdout.contains(&format!("I am {who}")), "{}", done.stdout);
    }
    let job = json!({"name": "x", "command": ["true"], "cron": "@daily", "service": "nobody"});
    let reply = panel.post("/api/v1/apps/shop/jobs", job).await.expect(422);
    assert!(
        reply.detail().contains("is none of web, db") || reply.detail().contains("is none of db, web"),
        "{}",
        reply.detail()
    );
}

#[tokio::test]
async fn what_is_refused() {
    let panel = TestPanel::start().await;
    panel
        .create_app(json!({"name": "a", "source": {"kind": "image", "reference": "nginx"}, "deploy": false}))
        .await;
    let create = async |body: Value| panel.post("/api/v1/apps/a/jobs", body).await;
    let good = json!({"name": "tidy", "command": ["tidy"], "cron": "@daily", "zone": "Europe/Berlin"});
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    for (body, why) in [
        (with("cron", json!("0 3 * *")), "five fields"),
        (with("cron", json!("61 * * * *")), "five fields"),
        (with("zone", json!("Mars/Olympus")), "time zone"),
        (with("command", json!([])), "name a program"),
        (with("limit_seconds", json!(0)), "between 1 and 604800"),
        (with("service", json!("db")), "no services"),
    ] {
        let reply = create(body).await.expect(422);
        assert!(reply.detail().contains(why), "{why}: {}", reply.detail());
    }
    let made = create(good.clone()).await.expect(201).json();
    assert!(text(&made, "next_at").starts_with("20"), "{made}");
    create(good).await.expect(409).code("taken");
    let reply = panel.post("/api/v1/apps/a/jobs/tidy/run", json!({})).await.expect(409);
    assert!(reply.detail().contains("no release to run it in"), "{}", reply.detail());
    panel.post("/api/v1/apps/a/runs", json!({"command": ["true"]})).await.expect(409);
    panel.patch("/api/v1/apps/a/jobs/tidy", json!({"enabled": false})).await.expect(200);
    panel.delete("/api/v1/apps/a/jobs/tidy").await.expect(204);
    panel.delete("/api/v1/apps/a/jobs/tidy").await.expect(404);
    panel.get("/api/v1/runs/run_00000000000000000000000000").await.expect(404);
}

//! Secrets go in and are used, and are found nowhere in the clear: not in answers, logs, events, metrics or on disk.

use crate::deploy::{app_of, text};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};
use testkit::{GitFixture, GitServer, OWNER, TestPanel};

/// Looks for the canaries, plain and in base64, in all files of a folder.
fn found_below(folder: &Path, canaries: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(found_below(&path, canaries));
        } else if path.metadata().is_ok_and(|data| data.is_file()) {
            let bytes = fs::read(&path).unwrap_or_default();
            for canary in canaries {
                if bytes.windows(canary.len()).any(|part| part == canary.as_bytes()) {
                    found.push(format!("{canary} in {}", path.display()));
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn docker_a_secret_is_found_nowhere() {
    let mut panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let (value, password) = ("canary/7d1f+q\"%$9-zebra", "pw-canary-55a1-okapi");
    let server = GitServer::private(repository.root(), "ada", password).await;
    repository.edit(
        "Dockerfile",
        "EXPOSE",
        "RUN --mount=type=secret,id=BUILD_KEY cat /run/secrets/BUILD_KEY && cat /run/secrets/BUILD_KEY | base64 && cat /run/secrets/BUILD_KEY >&2\nEXPOSE",
    );
    repository.edit(
        "app.py",
        "print(f\"listening",
        "print(os.environ[\"KEY\"], base64.b64encode(os.environb[b\"KEY\"]).decode())\nprint(f\"listening",
    );
    // One that every app has, and one that is hidden only because it holds another.
    let shared = "shared-canary/91ce+&-lynx";
    let wish = json!({"set": [{"key": "SHARED", "value": shared, "secret": true}, {"key": "SHARED_DSN", "value": "ada:${SHARED}@db", "scope": "both"}]});
    panel.patch("/api/v1/variables?owner=organization", wish).await.expect(200);
    let mut body = app_of("hello", &repository);
    body["source"]["url"] = server.url("app.git").into();
    body["source"]["user"] = "ada".into();
    body["source"]["password"] = password.into();
    body["variables"] = json!([
        {"key": "KEY", "value": value, "secret": true},
        {"key": "BUILD_KEY", "value": value, "secret": true, "scope": "build"},
        {"key": "DSN", "value": "postgres://${SHARED_DSN}/x"},
    ]);
    // Printed in every spelling that people and programs use, by a command of its own too.
    let spell = "import base64, json, os, urllib.parse as u; k = os.environ['KEY']; print(k, u.quote(k, safe=''), u.quote_plus(k), json.dumps(k), \
        base64.b64encode(k.encode()).decode(), base64.urlsafe_b64encode(k.encode()).decode(), repr(k), sep='\\n')";
    body["before_deploy"] = format!("python3 -c \"{spell}\"; echo $DSN $SHARED; echo $DSN | base64").into();
    body["after_deploy"] = "echo after: $KEY; echo $KEY >&2; exit 3".into();
    let created = panel.post("/api/v1/apps", body).await.expect(201);
    let deployment = text(&panel.newest("hello").await, "id");
    panel.live(&deployment).await;
    // What comes to its webhook names the secret, as a careless commit would, and the webhook has one of its own.
    let hook = panel.post("/api/v1/apps/hello/webhook/rotate", json!({})).await.expect(200).json();
    let (hook_url, hook_secret) = (text(&hook, "url"), text(&hook, "secret"));
    let told =
        json!({"ref": "refs/heads/other", "commits": [], "repository": {"default_branch": "main"}, "after": "1".repeat(40)}).to_string();
    let path = &hook_url[hook_url.find("/hooks/").unwrap()..];
    for token in [hook_secret.as_str(), value, "wrong"] {
        let request = panel
            .anonymous()
            .request(reqwest::Method::POST, path)
            .header("x-gitlab-event", "Push Hook")
            .header("x-gitlab-token", token);
        panel
            .anonymous()
            .send(request.header("content-type", "application/json").body(told.clone()))
            .await;
    }
    // Changed, looked at ahead, and restored: what it was is hidden too.
    let wish = json!({"set": [{"key": "SHARED", "value": "another-canary-77-moth", "secret": true}, {"key": "DSN", "value": "${DSN_2}"}, {"key": "DSN_2", "value": "${DSN}"}]});
    let circle = panel.post("/api/v1/variables/preview?owner=app:hello", wish).await.expect(422);
    let wish = json!({"set": [{"key": "KEY", "value": "another-canary-77-moth"}]});
    let preview = panel
        .post("/api/v1/variables/preview?owner=app:hello", wish.clone())
        .await
        .expect(200);
    panel.patch("/api/v1/variables?owner=app:hello", wish).await.expect(200);
    let versions = panel.list("/api/v1/variables/history?owner=app:hello&key=KEY").await;
    let first = json!({"version": versions.last().unwrap()["id"]});
    let restored = panel.post("/api/v1/variables/restore?owner=app:hello", first).await.expect(200);
    // A failing one writes errors.
    repository.edit(
        "Dockerfile",
        "EXPOSE",
        "RUN --mount=type=secret,id=BUILD_KEY echo \"failed with $(cat /run/secrets/BUILD_KEY)\" && exit 9\nEXPOSE",
    );
    let failing = panel.deploy("hello").await;
    let error = panel.fails(&failing).await;

    let encoded = base64_of(value);
    let encoded_tail = &encoded[..20];
    let percent = "canary%2F7d1f%2Bq%22%25%249-zebra";
    let escaped = "canary/7d1f+q\\\"%$9-zebra";
    let shared_encoded = &base64_of(shared)[..20];
    let canaries = [
        value,
        password,
        encoded_tail,
        percent,
        escaped,
        &hook_secret,
        OWNER.1,
        shared,
        shared_encoded,
        "shared-canary%2F91ce%2B%26-lynx",
        "another-canary-77-moth",
    ];
    let mut seen = vec![
        ("the answer", created.text()),
        ("the error", error),
        ("the circle", circle.text()),
        ("the preview", preview.text()),
        ("the restored", restored.text()),
    ];
    for path in [
        "/api/v1/apps",
        "/api/v1/apps/hello",
        "/api/v1/apps/hello/variables",
        "/api/v1/variables",
        "/api/v1/variables?owner=app:hello&inherited=true",
        "/api/v1/variables/history?owner=organization",
        "/api/v1/variables/history?owner=app:hello",
        "/api/v1/apps/hello/diff?from=1&to=1",
        "/api/v1/apps/hello/releases",
        "/api/v1/apps/hello/deployments",
        "/api/v1/apps/hello/webhook",
        "/api/v1/apps/hello/deliveries",
        "/api/v1/apps/hello/logs?tail=1000",
        "/api/v1/events/history",
        "/api/v1/overview",
        "/api/v1/state/export",
        "/api/v1/settings",
        "/api/v1/tokens",
        "/api/v1/users",
        "/metrics",
    ] {
        seen.push((path, panel.get(path).await.expect(200).text()));
    }
    for id in [&deployment, &failing] {
        seen.push(("a build log", panel.build_log(id).await));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    panel.stop().await;
    seen.push(("what it printed", panel.printed()));
    for (place, text) in &seen {
        for canary in canaries {
            assert!(!text.contains(canary), "{canary} is in {place}:\n{text}");
        }
    }
    let found = found_below(panel.data(), &canaries);
    assert!(found.is_empty(), "in the clear on disk: {found:?}");
}

fn base64_of(text: &str) -> String {
    let encoded = std::process::Command::new("base64").args(["-w0"]).stdin(pipe(text)).output();
    String::from_utf8(encoded.unwrap().stdout).unwrap()
}

fn pipe(text: &str) -> std::process::Stdio {
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
    reader.into()
}

/// The data folder is for the panel's user only.
#[tokio::test]
async fn files_of_the_panel() {
    let panel = TestPanel::start().await;
    let mode = fs::metadata(panel.data()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o077, 0, "the data folder is {mode:o}");
    for folder in [panel.data().to_owned(), panel.data().join("state")] {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            if name.contains("key") || name.contains("secret") {
                assert_eq!(mode & 0o177, 0, "{} is {mode:o}", path.display());
            }
        }
    }
}

//! Secrets go in and are used, and are found nowhere in the clear: not in answers, logs, streams, events, letters, metrics, on the
//! command line or on disk.

use crate::{
    catalogs,
    deploy::{app_of, text},
    identity_providers::Peer,
    mail::Post,
    probing::streamed,
    scim,
};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};
use testkit::{Api, GitFixture, GitServer, OWNER, TestPanel, docker, docker_host, eventually};

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

/// What the command prints that people use in place of the API.
async fn on_the_command_line(panel: &TestPanel, deployment: &str) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    for words in [
        "app list",
        "app show hello",
        "env list hello",
        "file list hello",
        "job list hello",
        "job history hello",
        "release list hello",
        "deployments hello",
        "webhook show hello",
        "webhook inbox hello",
        "preview settings hello",
        "registry list",
        "forge list",
        "dns provider list",
        "build-server list",
        "mail show",
        "token list",
        "audit list",
        "status",
        "export",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let said = panel.cli(&words).await.expect(0);
        seen.push((format!("`serverkit {}`", words.join(" ")), said.stdout + &said.stderr));
    }
    for words in [&["logs", "hello", "--build", deployment][..], &["logs", "hello", "--tail", "1000"]] {
        let said = panel.cli(words).await.expect(0);
        seen.push(("a log on the command line".to_owned(), said.stdout + &said.stderr));
    }
    seen
}

/// Gives secrets to all that takes one beside an app's own variables. Answers them, and what was said to each.
async fn given_elsewhere(panel: &TestPanel) -> (Vec<String>, Vec<(String, String)>) {
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let forges = Peer::start("forges.mjs", &[]).await;
    let token = "forge-token-0123456789";
    let canary = |of: &str| format!("{of}-canary-93e2-heron");
    let given = [
        (
            "forge",
            "/forges",
            json!({"name": "gitea", "kind": "gitea", "url": format!("{}/gitea", forges.issuer), "token": token}),
        ),
        (
            "refused forge",
            "/forges",
            json!({"name": "b", "kind": "gitea", "url": format!("{}/gitea", forges.issuer), "token": canary("refused")}),
        ),
        (
            "registry",
            "/registries",
            json!({"server": "registry.test", "user": "ada", "password": canary("registry"), "unchecked": true}),
        ),
        (
            "dns",
            "/dns/providers",
            json!({"name": "dns", "kind": "cloudflare", "credentials": {"token": canary("dns")}}),
        ),
        ("CI", "/ci/token", json!({"app": "hello", "id_token": canary("ci")})),
        (
            "build server",
            "/build-servers",
            json!({"name": "far", "host": "127.0.0.1", "port": 9}),
        ),
        (
            "sign-in",
            "/session",
            json!({"email": "bob@example.test", "password": canary("password")}),
        ),
    ];
    let mut said = Vec::new();
    for (what, path, body) in given {
        said.push((what.to_owned(), owner.post(&format!("/api/v1{path}"), body).await.text()));
    }
    let file = json!({"path": "/etc/key.pem", "content": canary("file"), "secret": true});
    said.push(("file".into(), owner.put("/api/v1/apps/hello/files", file).await.expect(200).text()));
    let rules = json!({"variables": [{"key": "PREVIEW_KEY", "value": canary("preview"), "secret": true}]});
    said.push((
        "preview".into(),
        owner.patch("/api/v1/apps/hello/preview-rules", rules).await.expect(200).text(),
    ));
    let (_provider, scim) = scim::provision(&owner, "Example").await;
    // A command that prints what it knows.
    let job = json!({"name": "tell", "command": ["sh", "-c", "echo $KEY $DSN; echo $KEY | base64; exit 3"], "cron": "0 3 * * *"});
    owner.post("/api/v1/apps/hello/jobs", job).await.expect(201);
    let run = owner.post("/api/v1/apps/hello/jobs/tell/run", json!({})).await.expect(202).json();
    let path = format!("/api/v1/runs/{}", text(&run, "id"));
    eventually("the job ends", Duration::from_secs(60), || async {
        (owner.get(&path).await.json()["phase"] == "failed").then_some(())
    })
    .await;
    let log = owner.get(&format!("{path}/log")).await.expect(200).text();
    assert!(log.contains("exited with code 3"), "{log}");
    let mut canaries: Vec<String> = ["refused", "registry", "dns", "ci", "password", "file", "preview"]
        .map(canary)
        .into();
    canaries.extend([token.to_owned(), scim]);
    canaries.extend(given_to_others(&owner, &forges, &mut said).await);
    (canaries, said)
}

/// Secrets by which the panel itself signs in elsewhere. All of them are taken; answers them.
async fn given_to_others(owner: &Api, forges: &Peer, said: &mut Vec<(String, String)>) -> Vec<String> {
    let canary = |of: &str| format!("{of}-canary-93e2-heron");
    let shelf = GitFixture::of(&[("README", "templates")]);
    catalogs::publish(&shelf, "1.0", "", &catalogs::compose("nginx:1.22", "64m", ""));
    let server = GitServer::private(shelf.root(), "ada", &canary("catalog")).await;
    let nobody = owner.anonymous();
    let asked = nobody.request(reqwest::Method::GET, &format!("{}/test/key", forges.issuer));
    let key = text(&nobody.send(asked).await.expect(200).json(), "key");
    let settings = json!({"acme_eab_key_id": "account-1", "acme_eab_hmac_key": canary("eab")});
    said.push(("ACME".into(), owner.patch("/api/v1/settings", settings).await.expect(200).text()));
    for (what, path, body) in [
        (
            "OpenID Connect",
            "/identity-providers",
            json!({"name": "Foundry", "oidc": {"issuer": "https://id.example.com", "client_id": "panel", "client_secret": canary("oidc")}}),
        ),
        (
            "LDAP",
            "/identity-providers",
            json!({"name": "Guild", "ldap": {"url": "ldaps://127.0.0.1:9", "base": "ou=people,dc=example,dc=com",
                "bind_dn": "cn=panel,dc=example,dc=com", "bind_password": canary("ldap")}}),
        ),
        (
            "OAuth at a forge",
            "/forges",
            json!({"name": "oauth", "kind": "gitea", "url": "http://127.0.0.1:1", "client_id": "x", "client_secret": canary("oauth")}),
        ),
        (
            "a GitHub App",
            "/forges",
            json!({"name": "hub", "kind": "github", "url": format!("{}/github", forges.issuer), "app_id": 77, "private_key": key}),
        ),
        (
            "a private catalog",
            "/catalogs",
            json!({"name": "shelf", "kind": "git", "url": server.url("app.git"), "folder": "templates", "user": "ada",
                "password": canary("catalog")}),
        ),
        (
            "a deploy key",
            "/apps",
            json!({"name": "keyed", "deploy": false, "domains": [],
                "source": {"kind": "git", "url": "ssh://git@127.0.0.1:9/app.git", "deploy_key": true}}),
        ),
    ] {
        let reply = owner.post(&format!("/api/v1{path}"), body).await.expect(201);
        said.push((what.to_owned(), reply.text()));
    }
    let mut canaries: Vec<String> = ["eab", "oidc", "ldap", "oauth", "catalog"].map(canary).into();
    // The panel made this key itself; the other one is known by a line of it.
    canaries.push("BEGIN OPENSSH PRIVATE KEY".to_owned());
    canaries.push(key.lines().nth(3).expect("a long key").to_owned());
    canaries
}

/// What every operation that reads answers, whatever it is, by the API's own description: so a new one is looked through too.
async fn every_answer(panel: &TestPanel, deployment: &str) -> Vec<(String, String)> {
    // Their work is to show secrets, to whoever may see them; the audit log says who did.
    const REVEALING: [&str; 2] = ["/apps/{app}/variables/export", "/variables/export"];
    let document = panel.get("/api/openapi.json").await.expect(200).json();
    // The first thing of a list; what no list has is asked for all the same.
    let first = async |path: &str| {
        let list = panel.get(path).await.json();
        list["items"][0]["id"].as_str().unwrap_or("absent").to_owned()
    };
    let mut seen = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let answers = &operations["get"]["responses"];
        let is_stream = answers["101"].is_object() || answers["200"]["content"]["text/event-stream"].is_object();
        if !answers.is_object() || is_stream || REVEALING.contains(&path.as_str()) {
            continue;
        }
        let kind = path.split('/').nth(1).unwrap_or_default();
        let id = match kind {
            _ if !path.contains("{id}") => String::new(),
            "deployments" => deployment.to_owned(),
            "deliveries" | "runs" => first(&format!("/api/v1/apps/hello/{kind}")).await,
            kind => first(&format!("/api/v1/{kind}")).await,
        };
        let mut filled = path
            .replace("{app}", "hello")
            .replace("{host}", "hello.test")
            .replace("{number}", "1");
        for (name, value) in [
            ("{organization}", "default"),
            ("{name}", "wordpress"),
            ("{zone}", "test"),
            ("{server}", "far"),
            ("{id}", id.as_str()),
        ] {
            filled = filled.replace(name, value);
        }
        assert!(!filled.contains('{'), "{path} needs a value here");
        seen.push((filled.clone(), panel.get(&format!("/api/v1{filled}")).await.text()));
    }
    assert!(seen.len() > 80, "{}", seen.len());
    seen
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
    let post = Post::start("starttls").await;
    panel.put("/api/v1/mail", post.wish()).await.expect(200);
    let (elsewhere, said) = given_elsewhere(&panel).await;
    let mut canaries = vec![
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
    canaries.extend(elsewhere.iter().map(String::as_str));
    let mail_password = text(&post.wish(), "password");
    canaries.push(&mail_password);
    let mut seen: Vec<(String, String)> = [
        ("the answer", created.text()),
        ("the error", error),
        ("the circle", circle.text()),
        ("the preview", preview.text()),
        ("the restored", restored.text()),
    ]
    .map(|(place, text)| (place.to_owned(), text))
    .into();
    seen.extend(said);
    // The job that printed what it knows was told by mail.
    post.mail(OWNER.0, "A job failed").await;
    seen.extend(post.mails().iter().map(|letter| ("a letter".to_owned(), letter.to_string())));
    seen.push(("the event stream".to_owned(), streamed(&panel).await));
    let mut follow = panel.socket("/api/v1/apps/hello/logs/stream?tail=1000").await;
    seen.push(("the stream of the app's log".to_owned(), follow.until("listening").await));
    let mut follow = panel.socket(&format!("/api/v1/deployments/{failing}/log/stream")).await;
    seen.push(("the stream of a build log".to_owned(), follow.until("failed with ••••").await));
    seen.extend(on_the_command_line(&panel, &failing).await);
    for id in [&deployment, &failing] {
        seen.extend(every_answer(&panel, id).await);
    }
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
        seen.push((path.to_owned(), panel.get(path).await.expect(200).text()));
    }
    for id in [&deployment, &failing] {
        seen.push(("a build log".to_owned(), panel.build_log(id).await));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    panel.stop().await;
    seen.push(("what it printed".to_owned(), panel.printed()));
    for (place, text) in &seen {
        for canary in &canaries {
            assert!(!text.contains(*canary), "{canary} is in {place}:\n{text}");
        }
    }
    let found = found_below(panel.data(), &canaries);
    assert!(found.is_empty(), "in the clear on disk: {found:?}");
}

/// What an app has printed, once it has: each begins a line with its own name.
async fn printed(api: &Api, app: &str) -> String {
    let path = format!("/api/v1/apps/{app}/logs?tail=50");
    eventually("it has printed", Duration::from_secs(120), || async {
        let log = api.get(&path).await.expect(200).text();
        log.contains(&format!("\"{app} ")).then_some(log)
    })
    .await
}

/// A mask says that somebody has this secret: so nobody finds out by it what others keep, or loses words to them. And what is masked
/// stays so over a restart, whatever was changed since it was deployed.
#[tokio::test]
async fn docker_a_log_is_masked_by_the_secrets_of_its_organization_alone() {
    let mut panel = TestPanel::docker().await;
    let (secret, common) = ("osprey-quarry-4417", "http");
    let set = |key: &str, value: &str| json!({"set": [{"key": key, "value": value, "secret": true}]});
    panel
        .patch("/api/v1/variables?owner=organization", set("TOKEN", secret))
        .await
        .expect(200);
    let there = panel.organization("acme").await;
    there
        .patch("/api/v1/variables?owner=organization", set("COMMON", common))
        .await
        .expect(200);
    let printing = |name: &str, words: &str| {
        json!({"name": name, "source": {"kind": "image", "reference": "debian:bookworm-slim"}, "domains": [], "health": {"kind": "running"},
               "command": ["sh", "-c", format!("echo \"{name} {words}\"; exec sleep infinity")], "grace_seconds": 1})
    };
    let mut ours = printing("ours", "$TOKEN http $(cat /etc/word)");
    ours["deploy"] = false.into();
    panel.create_app(ours).await;
    let file = |content: &str| json!({"path": "/etc/word", "content": content, "secret": true});
    panel.put("/api/v1/apps/ours/files", file("heron-file-7741")).await.expect(200);
    let deployment = panel.deploy("ours").await;
    panel.live(&deployment).await;
    // Its container still has the one before.
    panel.put("/api/v1/apps/ours/files", file("ibis-file-1177")).await.expect(200);
    // Secret by the Compose file alone.
    let compose = "services:\n  web:\n    image: nginx:1.22\n    restart: always\n    ports: ['8080:80']\n    secrets: [word]\n    \
        command: [sh, -c, 'echo \"stack $$(cat /run/secrets/word)\"; exec nginx -g \"daemon off;\"']\nsecrets: {word: {environment: WORD}}\n";
    let stack = json!({"name": "stack", "source": {"kind": "compose", "compose": compose}, "domains": ["stack.test"], "grace_seconds": 2,
                       "variables": [{"key": "WORD", "value": "pelican-stack-3306"}]});
    panel.live_app(stack).await;
    let theirs = printing("theirs", &format!("{secret} $COMMON"));
    let made = there.post("/api/v1/apps", theirs).await.expect(201).json();

    let seen = async |panel: &TestPanel| {
        let log = printed(panel, "ours").await;
        assert!(log.contains("ours •••• http ••••"), "{log}");
        let log = printed(panel, "stack").await;
        assert!(log.contains("stack ••••") && !log.contains("pelican"), "{log}");
        let log = printed(&there, "theirs").await;
        assert!(log.contains(&format!("theirs {secret} ••••")), "{log}");
    };
    seen(&panel).await;
    let run = json!({"command": ["echo", secret, "and", common]});
    let run = eventually("it runs", Duration::from_secs(60), || async {
        let reply = there.post("/api/v1/apps/theirs/runs", run.clone()).await;
        (reply.status == 202).then(|| reply.json())
    })
    .await;
    assert_eq!(run["command"], json!(["echo", secret, "and", "••••"]), "{run}");
    let path = format!("/api/v1/runs/{}/log", text(&run, "id"));
    eventually("the run's log has it", Duration::from_secs(60), || async {
        let log = there.get(&path).await.expect(200).text();
        log.contains(&format!("{secret} and ••••")).then_some(())
    })
    .await;

    panel.stop().await;
    panel.start_again().await;
    seen(&panel).await;
    // The engine is others' too.
    there.delete("/api/v1/organizations/acme?confirm=acme").await.expect(204);
    let of_theirs = format!("label=serverkit.app={}", text(&made, "id"));
    eventually("nothing of it runs", Duration::from_secs(60), || async {
        docker(&docker_host(), &["ps", "-aq", "--filter", &of_theirs])
            .unwrap()
            .is_empty()
            .then_some(())
    })
    .await;
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

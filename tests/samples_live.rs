//! Repositories without a Dockerfile, from `git push` to live: a real Git server on this machine tells the panel by a signed
//! webhook, as its `post-receive` hook would.

use crate::deploy::{app_of, text};
use serde_json::{Value, json};
use std::{os::unix::fs::PermissionsExt, time::Duration};
use testkit::{GitFixture, GitServer, TestPanel, eventually_ok};

/// Makes the bare repository send each push to the app's webhook.
async fn tell(panel: &TestPanel, app: &str, repository: &GitFixture) {
    let made = panel
        .post(&format!("/api/v1/apps/{app}/webhook/rotate"), json!({}))
        .await
        .expect(200)
        .json();
    let (url, secret) = (text(&made, "url"), text(&made, "secret"));
    let path = &url[url.find("/hooks/").unwrap()..];
    let script = format!(
        r#"#!/bin/sh
while read before after ref; do
    body="{{\"ref\":\"$ref\",\"before\":\"$before\",\"after\":\"$after\",\"commits\":[],\"pusher\":{{\"name\":\"ada\"}}}}"
    sum=$(printf %s "$body" | openssl dgst -sha256 -hmac '{secret}' | sed 's/.* //')
    curl -ksS -H 'X-Gitea-Event: push' -H "X-Gitea-Delivery: $after" -H "X-Gitea-Signature: $sum" \
        -H 'Content-Type: application/json' --data-binary "$body" '{}{path}'
done
"#,
        panel.url()
    );
    let hook = std::path::Path::new(&repository.path()).join("hooks/post-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// An app of an empty repository on a Git server that tells the panel of each push.
async fn told(panel: &TestPanel, name: &str, source: Value, more: Value) -> (GitFixture, GitServer) {
    let repository = GitFixture::new();
    let server = GitServer::open(repository.root()).await;
    let mut body = app_of(name, &repository);
    body["source"]["url"] = server.url("app.git").into();
    for (key, value) in source.as_object().unwrap() {
        body["source"][key] = value.clone();
    }
    body["health"] = json!({"kind": "tcp", "interval_seconds": 1, "timeout_seconds": 2, "start_seconds": 40});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body["source"]["branch"] = "main".into();
    body["deploy"] = false.into();
    panel.create_app(body).await;
    tell(panel, name, &repository).await;
    (repository, server)
}

/// Pushes what is in the work tree and waits until its deployment is over; the answer is the deployment.
async fn push(panel: &TestPanel, name: &str, repository: &GitFixture) -> Value {
    repository.push("first version");
    let asked = panel.newest(name).await;
    assert_eq!(
        (asked["cause"].as_str(), asked["by"].as_str()),
        (Some("push"), Some("ada (Gitea)")),
        "{asked}"
    );
    panel.over(&text(&asked, "id"), Duration::from_secs(480)).await
}

/// Pushes the sample and waits until its app is live; the answer is the deployment.
async fn pushed(panel: &TestPanel, name: &str, sample: &str, source: Value, more: Value) -> (GitFixture, GitServer, Value) {
    let (repository, server) = told(panel, name, source, more).await;
    copy(&testkit::sample(sample), &repository.tree());
    let over = push(panel, name, &repository).await;
    (repository, server, over)
}

pub fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn live(panel: &TestPanel, deployment: &Value) {
    let log = panel.build_log(&text(deployment, "id")).await;
    assert!(
        deployment["phase"] == "live",
        "{}: {}\n{log}",
        deployment["phase"],
        deployment["error"]
    );
    assert!(log.contains("no Dockerfile: building it as"), "{log}");
}

/// What the app says at the path, once it answers.
async fn answer(panel: &TestPanel, name: &str, page: &str) -> String {
    eventually_ok(&format!("{name} answers"), Duration::from_secs(30), || async {
        let reply = panel.visit(&format!("{name}.test"), page).await;
        if reply.status == 200 {
            Ok(reply.text())
        } else {
            Err(format!("{} {}", reply.status, reply.text()))
        }
    })
    .await
}

#[tokio::test]
async fn docker_samples_without_a_dockerfile_go_live() {
    let panel = TestPanel::docker().await;
    for (name, sample, source, page, wanted) in [
        ("flask", "plain-flask", json!({}), "/", "hello from flask, nobody"),
        // Of this version the image has npm and no packages: Express comes by `npm install`.
        ("express", "express", json!({"build": {"version": "24"}}), "/", "hello from express"),
        ("pages", "static", json!({}), "/about/", "about it"),
        (
            "php",
            "php",
            json!({"build": {"version": "8.2"}}),
            "/pages/about",
            "hello from php 8 at about",
        ),
        ("go", "go", json!({}), "/", "hello from go"),
        ("ruby", "ruby", json!({}), "/", "hello from ruby"),
        ("api", "monorepo", json!({"folder": "services/api"}), "/", "hello from the api"),
        ("web", "monorepo", json!({"folder": "services/web"}), "/", "hello from the web"),
    ] {
        let (_repository, _server, deployment) = pushed(&panel, name, sample, source, json!({})).await;
        live(&panel, &deployment).await;
        let said = answer(&panel, name, page).await;
        assert!(said.contains(wanted), "{name}: {said}");
    }
}

#[tokio::test]
async fn docker_a_vite_site_is_built_with_its_variables() {
    let panel = TestPanel::docker().await;
    let more = json!({"variables": [{"key": "VITE_PLACE", "value": "the harbour", "scope": "build"}]});
    let (_repository, _server, deployment) = pushed(&panel, "pages", "vite", json!({}), more).await;
    live(&panel, &deployment).await;
    let page = answer(&panel, "pages", "/").await;
    let script = page
        .split('"')
        .find(|part| part.starts_with("/assets/"))
        .unwrap_or_else(|| panic!("{page}"));
    let script = answer(&panel, "pages", script).await;
    assert!(script.contains("hello from vite") && script.contains("the harbour"), "{script}");
}

#[tokio::test]
async fn docker_a_next_app_renders_with_its_variables() {
    let panel = TestPanel::docker().await;
    let more = json!({"variables": [{"key": "PLACE", "value": "the harbour"}]});
    let (_repository, _server, deployment) = pushed(&panel, "shop", "next", json!({}), more).await;
    live(&panel, &deployment).await;
    let page = answer(&panel, "shop", "/").await;
    assert!(page.contains("hello from next") && page.contains("the harbour"), "{page}");
}

#[tokio::test]
async fn docker_a_rust_program_is_built_and_runs_alone() {
    let panel = TestPanel::docker().await;
    let (_repository, _server, deployment) = pushed(&panel, "crab", "rust", json!({}), json!({})).await;
    live(&panel, &deployment).await;
    assert_eq!(answer(&panel, "crab", "/claws").await, "hello from rust at /claws");
}

/// Built by Maven, from a repository of packages that is on the builder's disk; its Java at run time has no compiler.
#[tokio::test]
async fn docker_a_java_program_is_built_by_maven_and_runs_alone() {
    let panel = TestPanel::docker().await;
    let (_repository, _server, deployment) = pushed(&panel, "bean", "java", json!({}), json!({})).await;
    live(&panel, &deployment).await;
    let log = panel.build_log(&text(&deployment, "id")).await;
    assert!(log.contains("building it as Java 17"), "{log}");
    assert_eq!(answer(&panel, "bean", "/quay").await, "hello from java at /quay");
}

/// Built by Gradle, which needs no packages for a program of Java's own.
#[tokio::test]
async fn docker_a_java_program_is_built_by_gradle() {
    let panel = TestPanel::docker().await;
    let (_repository, _server, deployment) = pushed(&panel, "pod", "gradle", json!({}), json!({})).await;
    live(&panel, &deployment).await;
    let log = panel.build_log(&text(&deployment, "id")).await;
    assert!(log.contains("building it as Java 17") && log.contains("BUILD SUCCESSFUL"), "{log}");
    assert_eq!(answer(&panel, "pod", "/quay").await, "hello from gradle at /quay");
}

/// Published by the SDK out of a solution with tests beside it; what runs it has no compiler, and takes the panel's port.
#[tokio::test]
async fn docker_a_dotnet_program_is_published_and_runs_alone() {
    let panel = TestPanel::docker().await;
    let (_repository, _server, deployment) = pushed(&panel, "gull", "dotnet", json!({}), json!({"port": 3000})).await;
    live(&panel, &deployment).await;
    let log = panel.build_log(&text(&deployment, "id")).await;
    assert!(log.contains("building it as ASP.NET Core 3.1"), "{log}");
    assert_eq!(answer(&panel, "gull", "/mole").await, "hello from .NET at /mole");
}

/// PECL's installer builds it from its sources, as on the public image; the archive is on the disk, for PECL's server is out of reach.
#[tokio::test]
async fn docker_an_extension_from_pecl_is_built_and_loaded() {
    let panel = TestPanel::docker().await;
    let source = json!({"build": {"packages": ["igbinary"]}});
    let (_repository, _server, deployment) = pushed(&panel, "buoys", "php-pecl", source, json!({})).await;
    live(&panel, &deployment).await;
    let log = panel.build_log(&text(&deployment, "id")).await;
    assert!(log.contains("install ok: channel://pecl.php.net/igbinary"), "{log}");
    let said = answer(&panel, "buoys", "/").await;
    assert!(said.starts_with("hello from php, bell and buoy by igbinary 3"), "{said}");
}

/// WordPress as a distribution packs it, with a configuration and a plugin of the repository's own, beside its database.
#[tokio::test]
async fn docker_wordpress_with_a_database_beside_it() {
    let panel = TestPanel::docker().await;
    let value = |key: &str, value: &str| json!({"key": key, "value": value, "secret": key.contains("PASSWORD")});
    let database = json!({
        "name": "db",
        "source": {"kind": "image", "reference": "mariadb:11.8.8"},
        "variables": [value("MARIADB_DATABASE", "blog"), value("MARIADB_USER", "blog"),
            value("MARIADB_PASSWORD", "seven quiet otters"), value("MARIADB_RANDOM_ROOT_PASSWORD", "1")],
        "mounts": [{"volume": "data", "path": "/var/lib/mysql"}],
        "health": {"kind": "tcp", "interval_seconds": 1, "timeout_seconds": 2, "start_seconds": 60},
        "port": 3306,
    });
    panel.live_app(database).await;
    let more = json!({"variables": [value("DB_HOST", "db"), value("DB_NAME", "blog"), value("DB_USER", "blog"),
        value("DB_PASSWORD", "seven quiet otters"), value("SALT", "of the sea")]});
    let (repository, _server) = told(&panel, "blog", json!({}), more).await;
    unpack_wordpress(&repository);
    copy(&testkit::sample("wordpress"), &repository.tree());
    let deployment = push(&panel, "blog", &repository).await;
    live(&panel, &deployment).await;
    answer(&panel, "blog", "/wp-admin/install.php").await;
    let form = [
        ("weblog_title", "Otters of the north"),
        ("user_name", "otter"),
        ("admin_password", "seven quiet otters"),
        ("admin_password2", "seven quiet otters"),
        ("admin_email", "otter@example.test"),
        ("language", ""),
    ];
    let visitor = panel.anonymous();
    let install = visitor.request(reqwest::Method::POST, &panel.site("blog.test", "/wp-admin/install.php?step=2"));
    let said = visitor.send(install.form(&form)).await.expect(200).text();
    assert!(said.contains("Success"), "{said}");
    assert_eq!(
        answer(&panel, "blog", "/?hello").await,
        "hello from wordpress at Otters of the north"
    );
}

/// The files of WordPress, out of the image that the tests make of Debian's package.
fn unpack_wordpress(repository: &GitFixture) {
    let (host, image) = (testkit::docker_host(), "wordpress:7.1.0-php8.4-apache");
    let id = testkit::docker(&host, &["create", image]).unwrap();
    let tree = repository.tree().display().to_string();
    let copied = testkit::docker(&host, &["cp", &format!("{}:/usr/src/wordpress/.", id.trim()), &tree]);
    testkit::docker(&host, &["rm", "-v", id.trim()]).unwrap();
    copied.unwrap();
}

#[tokio::test]
async fn docker_migrations_run_before_and_a_failing_one_fails_the_deployment() {
    let panel = TestPanel::docker().await;
    let more = json!({
        "mounts": [{"volume": "notes", "path": "/data"}],
        "variables": [{"key": "DATABASE", "value": "/data/notes.sqlite3"}, {"key": "SECRET_KEY", "value": "s3cret of django", "secret": true}],
        "before_deploy": "python manage.py migrate --noinput",
        "after_deploy": "echo \"now $DATABASE is ready\"",
    });
    let (repository, _server, deployment) = pushed(&panel, "notes", "django", json!({}), more).await;
    live(&panel, &deployment).await;
    let log = panel.build_log(&text(&deployment, "id")).await;
    assert!(log.contains("Applying site_of_notes.0001_initial... OK"), "{log}");
    eventually_ok("the command after it has run", Duration::from_secs(20), || async {
        let log = panel.build_log(&text(&deployment, "id")).await;
        if log.contains("now /data/notes.sqlite3 is ready") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert_eq!(
        panel.visit("notes.test", "/").await.expect(200).text(),
        "hello from django, 0 notes"
    );

    // A migration that fails: told with its words, and what is live stays.
    let migration = "raise RuntimeError('no such column: author')\n";
    repository.commit(&[("site_of_notes/migrations/0002_author.py", migration)], "a broken migration");
    let error = panel.fails(&text(&panel.newest("notes").await, "id")).await;
    assert!(
        error.contains("python manage.py migrate") && error.contains("exited with code 1"),
        "{error}"
    );
    let log = panel.build_log(&text(&panel.newest("notes").await, "id")).await;
    assert!(log.contains("no such column: author") && !log.contains("s3cret of django"), "{log}");
    assert_eq!(
        panel.visit("notes.test", "/").await.expect(200).text(),
        "hello from django, 0 notes"
    );
    // Nothing of the runs is left.
    let runs = format!("label=serverkit.run={}", text(&deployment["app"], "id"));
    let left = testkit::docker(&testkit::docker_host(), &["ps", "-aq", "--filter", &runs]).unwrap();
    assert_eq!(left.trim(), "", "runs that were not removed");
}

#[tokio::test]
async fn docker_a_look_inside_shows_the_plan_and_it_can_be_taken_over() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("plain-flask");
    let source = json!({"kind": "git", "url": repository.path()});
    let seen = panel
        .post("/api/v1/sources/inspect", json!({"source": source}))
        .await
        .expect(200)
        .json();
    let plan = &seen["plan"];
    assert_eq!(
        (plan["preset"].as_str(), plan["framework"].as_str(), plan["version"].as_str()),
        (Some("python"), Some("Flask"), Some("3.11"))
    );
    assert_eq!(plan["install"], "pip install -r requirements.txt gunicorn");
    assert_eq!(seen["branches"][0]["name"], "main");
    let written = text(plan, "dockerfile");
    assert!(
        written.contains("FROM python:3.11-slim") && written.contains("gunicorn --bind 0.0.0.0:$PORT"),
        "{written}"
    );
    let printed = panel.cli(&["app", "inspect", &repository.path()]).await;
    assert!(printed.stdout.contains("Flask 3.11"), "{}", printed.stdout);

    // As somebody's own.
    let mut body = app_of("own", &repository);
    body["source"]["build"] = json!({"dockerfile_text": format!("{written}ENV GREETING=owner\n")});
    panel.live_app(body).await;
    assert_eq!(panel.visit("own.test", "/").await.expect(200).text(), "hello from flask, owner");
    for (build, field) in [
        (json!({"version": "3\nRUN x"}), "version"),
        (json!({"packages": ["-y"]}), "packages"),
        (json!({"start": "a\nb"}), "start"),
        (json!({"output": "../x"}), "folder"),
    ] {
        let mut source = source.clone();
        source["build"] = build;
        let refused = panel
            .post("/api/v1/sources/inspect", json!({"source": source}))
            .await
            .expect(422)
            .code("invalid");
        println!("{field}: {}", refused.detail());
    }

    // One that builds and never serves: the reason is told, nothing is live.
    let more = json!({"health": {"kind": "http", "path": "/", "interval_seconds": 1, "timeout_seconds": 2, "start_seconds": 30}});
    let (_repository, _server, deployment) = pushed(&panel, "broken", "broken", json!({}), more).await;
    assert_eq!(deployment["phase"], "failed");
    let log = panel.build_log(&text(&deployment, "id")).await;
    assert!(log.contains("no database here"), "{log}");
}

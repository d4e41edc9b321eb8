//! Source that is uploaded: from a folder of somebody's machine to a live site, and what is refused on the way.

use crate::deploy::text;
use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};
use testkit::{Api, GitFixture, Reply, TestPanel, sample};

/// Puts bytes as an archive.
async fn put(api: &Api, app: &str, query: &str, bytes: Vec<u8>) -> Reply {
    let request = api.request(Method::PUT, &format!("/api/v1/apps/{app}/upload{query}"));
    api.send(request.header(CONTENT_TYPE, "application/octet-stream").body(bytes)).await
}

/// A tar.gz of a folder, by the machine's own tar.
fn tar(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let packed = Command::new("tar")
        .arg("-C")
        .arg(folder)
        .arg("-cz")
        .args(arguments)
        .output()
        .unwrap();
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    packed.stdout
}

fn upload_app(name: &str) -> Value {
    json!({
        "name": name,
        "source": {"kind": "upload"},
        "domains": [format!("{name}.test")],
        "health": {"kind": "tcp", "interval_seconds": 1, "timeout_seconds": 2, "start_seconds": 20},
        "grace_seconds": 2,
    })
}

#[tokio::test]
async fn docker_from_a_folder_to_a_live_site() {
    let panel = TestPanel::docker().await;
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("hello");
    fs::create_dir(&folder).unwrap();
    crate::samples_live::copy(&sample("hello"), &folder);
    fs::write(folder.join(".gitignore"), "secret.env\n").unwrap();
    fs::write(folder.join("secret.env"), "PASSWORD=never-sent").unwrap();
    let from = folder.to_str().unwrap();
    // Made, uploaded and live in one command.
    let made = panel
        .cli(&[
            "app",
            "create",
            "hello",
            "--from",
            from,
            "--domain",
            "hello.test",
            "--grace",
            "2s",
            "--wait",
        ])
        .await
        .expect(0);
    assert!(made.stderr.contains("uploaded"), "{}", made.stderr);
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");
    let app = panel.get("/api/v1/apps/hello").await.expect(200).json();
    assert_eq!(app["source"]["kind"], "upload");
    let first = text(&app["source"], "newest");
    let log = panel.build_log(&text(&app["deployment"], "id")).await;
    assert!(log.contains("unpacking upload"), "{log}");
    // What Git ignores stayed here.
    let kept = fs::read(panel.data().join("uploads").join(&first)).unwrap();
    fs::write(place.path().join("kept.tar.gz"), kept).unwrap();
    let listed = Command::new("tar")
        .arg("-tzf")
        .arg(place.path().join("kept.tar.gz"))
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("app.py") && !listed.contains("secret.env"), "{listed}");

    // The next version, as an archive with a folder at its top.
    let program = fs::read_to_string(folder.join("app.py")).unwrap();
    fs::write(folder.join("app.py"), program.replace("\"one\"", "\"two\"")).unwrap();
    let archive = place.path().join("hello.tgz");
    fs::write(&archive, tar(place.path(), &["hello"])).unwrap();
    panel
        .cli(&["deploy", "hello", "--from", archive.to_str().unwrap(), "--wait"])
        .await
        .expect(0);
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello two");
    let releases = panel.list("/api/v1/apps/hello/releases").await;
    assert_eq!(text(&releases[1], "upload"), first);

    // Back, forward to the last upload, and to the first one by its name.
    panel.cli(&["rollback", "hello", "--wait"]).await.expect(0);
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");
    let again = panel.deploy("hello").await;
    panel.live(&again).await;
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello two");
    panel.cli(&["deploy", "hello", "--upload", &first, "--wait"]).await.expect(0);
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");
    let diff = panel.cli(&["diff", "hello", "2", "5"]).await.expect(0);
    assert!(diff.stdout.contains("upload"), "{}", diff.stdout);

    // An app from Git takes one for a single deployment.
    let repository = GitFixture::sample("hello");
    panel.live_app(crate::deploy::app_of("git", &repository)).await;
    panel.cli(&["deploy", "git", "--from", from, "--wait"]).await.expect(0);
    assert_eq!(panel.visit("git.test", "/").await.expect(200).text(), "hello two");
    let next = panel.deploy("git").await;
    panel.live(&next).await;
    assert_eq!(panel.visit("git.test", "/").await.expect(200).text(), "hello one");

    // Gone with the app.
    panel.delete("/api/v1/apps/hello").await.expect(204);
    let path = format!("/api/v1/apps/{}/purge", text(&app, "id"));
    panel.post(&path, json!({"volumes": true})).await.expect(204);
    assert!(!panel.data().join("uploads").join(&first).exists());
}

#[tokio::test]
async fn what_is_refused() {
    let panel = TestPanel::start().await;
    panel.create_app(upload_app("shop")).await;
    // Nothing there to build yet.
    let refused = panel.post("/api/v1/apps/shop/deployments", json!({})).await.expect(409);
    assert!(refused.detail().contains("nothing was uploaded"), "{}", refused.detail());
    let missing = json!({"upload": "upl_00000000000000000000000000"});
    panel.post("/api/v1/apps/shop/deployments", missing).await.expect(404);

    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a"), "1").unwrap();
    fs::create_dir(place.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("..", place.path().join("up")).unwrap();
    let escape = tar(&place.path().join("sub"), &["-P", "../a"]);
    // A link, and then a file behind it.
    let behind = tar(place.path(), &["--transform", "s,^a$,up/../up/victim,", "-P", "up", "a"]);
    let whole = tar(place.path(), &["a"]);
    for (bytes, why) in [
        (Vec::new(), "is empty"),
        (b"hello".to_vec(), "no tar"),
        (whole[..whole.len() / 2].to_vec(), "cannot be read"),
        (escape, "leads out"),
        (behind, "leads out"),
    ] {
        let reply = put(&panel, "shop", "", bytes).await.expect(422);
        assert!(reply.detail().contains(why), "{why}: {}", reply.detail());
    }
    assert!(panel.list("/api/v1/apps/shop/uploads").await.is_empty());

    // What other kinds of apps say, and who may.
    panel
        .create_app(json!({"name": "cache", "source": {"kind": "image", "reference": "redis:7"}, "deploy": false}))
        .await;
    let reply = put(&panel, "cache", "", whole.clone()).await.expect(409);
    assert!(reply.detail().contains("not built from source"), "{}", reply.detail());
    put(&panel, "nothing", "", whole.clone()).await.expect(404);
    put(&panel.member("viewer", "admin").await, "shop", "", whole.clone())
        .await
        .expect(403);
    put(&panel.anonymous(), "shop", "", whole.clone()).await.expect(401);
    let deployer = panel.member("developer", "deploy").await;
    put(&deployer, "shop", "", whole.clone()).await.expect(200);
    let repository = GitFixture::new();
    let mut git = crate::deploy::app_of("git", &repository);
    git["deploy"] = false.into();
    panel.create_app(git).await;
    put(&deployer, "git", "", whole.clone()).await.expect(403);
    // Another app's upload is not this one's.
    let upload = put(&panel, "shop", "?strip_top=true", whole).await.expect(200).json();
    assert_eq!(
        (upload["files"].as_u64(), upload["strip_top"].as_bool()),
        (Some(1), Some(true)),
        "{upload}"
    );
    panel
        .post("/api/v1/apps/git/deployments", json!({"upload": upload["id"]}))
        .await
        .expect(404);
    panel
        .post(
            "/api/v1/apps/shop/deployments",
            json!({"upload": upload["id"], "reference": "main"}),
        )
        .await
        .expect(422);
    // A folder with nothing in it, and one that is not there.
    let empty = place.path().join("sub");
    let refused = panel.cli(&["deploy", "shop", "--from", empty.to_str().unwrap()]).await.expect(2);
    assert!(refused.stderr.contains("nothing to upload"), "{}", refused.stderr);
    panel.cli(&["deploy", "shop", "--from", "/nowhere"]).await.expect(2);
    // The refusal of the panel reaches who sends.
    fs::write(empty.join("x"), vec![7; 3 << 20]).unwrap();
    let refused = panel.cli(&["deploy", "cache", "--from", empty.to_str().unwrap()]).await;
    assert!(refused.stderr.contains("not built from source"), "{}", refused.stderr);
}

/// More than a body elsewhere may be, and more than the panel's memory should take.
#[tokio::test]
async fn large_ones_flow_through() {
    let panel = TestPanel::start().await;
    panel.create_app(upload_app("large")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    })
    .take(40 << 20)
    .collect();
    fs::write(folder.path().join("noise"), noise).unwrap();
    fs::write(folder.path().join("Dockerfile"), "FROM scratch").unwrap();
    // The engine is not there, so nothing gets live; the upload is what counts.
    panel
        .cli(&["deploy", "large", "--from", folder.path().to_str().unwrap()])
        .await
        .expect(0);
    let uploads = panel.list("/api/v1/apps/large/uploads").await;
    assert!(uploads[0]["bytes"].as_u64().unwrap() > 40 << 20, "{uploads:?}");
    let listed = panel.cli(&["app", "uploads", "large"]).await.expect(0);
    assert!(listed.stdout.contains(&text(&uploads[0], "id")), "{}", listed.stdout);
}

/// Sends bytes to be looked at.
async fn draft(api: &Api, bytes: Vec<u8>) -> Reply {
    let request = api.request(Method::PUT, "/api/v1/sources/upload");
    api.send(request.header(CONTENT_TYPE, "application/octet-stream").body(bytes)).await
}

#[tokio::test]
async fn a_plan_before_there_is_an_app() {
    let panel = TestPanel::start().await;
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("shop");
    fs::create_dir_all(folder.join("web")).unwrap();
    fs::write(folder.join("web/index.html"), "<p>hello</p>").unwrap();
    crate::samples_live::copy(&sample("plain-flask"), &folder);
    let sent = draft(&panel, tar(&folder, &["."])).await.expect(200).json();
    let id = text(&sent, "id");
    assert_eq!(sent["files"], 4, "{sent}");
    let look = |source: Value| json!({"source": source, "upload": id});
    let inspect = async |body: Value| panel.post("/api/v1/sources/inspect", body).await;
    let seen = inspect(look(json!({"kind": "upload"}))).await.expect(200).json();
    assert_eq!((&seen["commit"], &seen["problem"]), (&Value::Null, &Value::Null), "{seen}");
    assert_eq!(seen["plan"]["framework"], "Flask");
    assert!(text(&seen["plan"], "dockerfile").contains("FROM python:"), "{seen}");
    assert_eq!(seen["folders"], json!([".", "web"]));
    // Another folder and another preset are another plan.
    let web = inspect(look(json!({"kind": "upload", "folder": "web"}))).await.expect(200).json();
    assert_eq!(web["plan"]["preset"], "static", "{web}");
    let node = json!({"kind": "upload", "build": {"preset": "node", "start": "node x.js"}});
    let node = inspect(look(node)).await.expect(200).json();
    assert_eq!(node["plan"]["preset"], "node", "{node}");
    let missing = inspect(look(json!({"kind": "upload", "folder": "none"}))).await.expect(200).json();
    assert!(missing["problem"].is_string(), "{missing}");

    // It is of who sent it, for one app, once.
    let other = panel.member("developer", "admin").await;
    other
        .post("/api/v1/sources/inspect", look(json!({"kind": "upload"})))
        .await
        .expect(404);
    let mut body = upload_app("shop");
    body["source"]["folder"] = "web".into();
    body["deploy"] = false.into();
    panel.create_app(body).await;
    other.post("/api/v1/apps/shop/uploads", json!({"upload": id})).await.expect(404);
    let taken = panel
        .post("/api/v1/apps/shop/uploads", json!({"upload": id}))
        .await
        .expect(200)
        .json();
    assert_eq!((&taken["id"], &taken["digest"]), (&sent["id"], &sent["digest"]));
    panel.post("/api/v1/apps/shop/uploads", json!({"upload": id})).await.expect(404);
    let app = panel.get("/api/v1/apps/shop").await.expect(200).json();
    assert_eq!(text(&app["source"], "newest"), id);
    assert_eq!(panel.list("/api/v1/apps/shop/uploads").await.len(), 1);
    // From now on it is looked into by its app, as that builds it.
    let own = inspect(json!({"app": "shop"})).await.expect(200).json();
    assert_eq!(own["plan"]["preset"], "static", "{own}");
    let same = inspect(json!({"app": "shop", "upload": id, "source": {"kind": "upload"}}))
        .await
        .expect(200)
        .json();
    assert_eq!(same["plan"]["framework"], "Flask", "{same}");

    // What is refused.
    let broken = draft(&panel, b"hello".to_vec()).await.expect(422);
    assert!(broken.detail().contains("no tar"), "{}", broken.detail());
    draft(&panel.anonymous(), Vec::new()).await.expect(401);
    draft(&panel.member("viewer", "admin").await, tar(&folder, &["."]))
        .await
        .expect(403);
    inspect(json!({"source": {"kind": "upload"}})).await.expect(422);
    inspect(json!({"source": {"kind": "image", "reference": "x"}, "upload": "upl_00000000000000000000000000"}))
        .await
        .expect(404);
}

#[tokio::test]
async fn the_command_line_shows_the_plan_first() {
    let panel = TestPanel::start().await;
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().to_str().unwrap();
    fs::write(folder.path().join("notes.txt"), "nothing to build").unwrap();
    let refused = panel.cli(&["app", "create", "shop", "--from", from]).await.expect(1);
    assert!(refused.stderr.contains("nothing is made"), "{}", refused.stderr);
    assert!(panel.list("/api/v1/apps").await.is_empty());
    crate::samples_live::copy(&sample("plain-flask"), folder.path());
    let shown = panel.cli(&["app", "inspect", "--from", from]).await.expect(0).stdout;
    assert!(shown.contains("Flask") && !shown.contains("Commit"), "{shown}");
    let printed = panel
        .cli(&["app", "inspect", "--from", from, "--dockerfile"])
        .await
        .expect(0)
        .stdout;
    assert!(printed.contains("FROM python:"), "{printed}");
    // The engine is not there, so nothing gets live; the plan is what counts.
    let made = panel
        .cli(&["app", "create", "shop", "--from", from, "--preset", "python"])
        .await
        .expect(0);
    assert!(made.stderr.contains("uploaded") && made.stderr.contains("Flask"), "{}", made.stderr);
    assert_eq!(panel.list("/api/v1/apps/shop/uploads").await.len(), 1);
    // As the app builds it.
    panel
        .cli(&["app", "update", "shop", "--preset", "static", "--output", "."])
        .await
        .expect(0);
    let shown = panel.cli(&["app", "inspect", "shop", "--from", from]).await.expect(0).stdout;
    assert!(shown.contains("Serves"), "{shown}");
}

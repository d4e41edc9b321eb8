//! Configuration files: what is put into containers, what is refused, and that releases keep theirs.

use crate::deploy::{app_of, text};
use serde_json::json;
use testkit::{GitFixture, TestPanel};

#[tokio::test]
async fn docker_files_are_part_of_the_release() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    panel.live_app(app_of("hello", &repository)).await;
    let awkward = "[main]\nname = 'žluť' \"q\" $HOME ${X}\r\n\tend";
    let put = json!({"path": "/etc/deep/er/app.ini", "content": awkward, "mode": "640"});
    panel.put("/api/v1/apps/hello/files", put).await.expect(200);
    let app = panel.get("/api/v1/apps/hello").await.expect(200).json();
    assert_eq!(app["pending_changes"], true);
    let secret = json!({"path": "/run/key.pem", "content": "-----BEGIN-----\nkey-canary-0815-ibex\n", "mode": "0600", "secret": true});
    panel.put("/api/v1/apps/hello/files", secret).await.expect(200);
    // The commands around a deployment see them too.
    let before = json!({"before_deploy": "test \"$(stat -c %a /etc/deep/er/app.ini)\" = 640 && cat /run/key.pem"});
    panel.patch("/api/v1/apps/hello", before).await.expect(200);
    let second = panel.deploy("hello").await;
    panel.live(&second).await;
    let log = panel.build_log(&second).await;
    assert!(!log.contains("ibex"), "{log}");
    let read = async |path: &str| panel.visit("hello.test", &format!("/read?file={path}")).await.expect(200).text();
    assert_eq!(
        read("/etc/deep/er/app.ini").await,
        awkward.replace("\r\n", "\n"),
        "Python reads lines"
    );
    assert!(read("/run/key.pem").await.contains("ibex"));
    let listed = panel.get("/api/v1/apps/hello/files").await.expect(200).text();
    assert!(listed.contains("žluť") && !listed.contains("ibex"), "{listed}");
    // Another version, one that is gone; and the way back of all of it.
    panel
        .put(
            "/api/v1/apps/hello/files",
            json!({"path": "/etc/deep/er/app.ini", "content": "changed"}),
        )
        .await
        .expect(200);
    panel.delete("/api/v1/apps/hello/files?path=/run/key.pem").await.expect(204);
    panel.patch("/api/v1/apps/hello", json!({"before_deploy": null})).await.expect(200);
    let third = panel.deploy("hello").await;
    panel.live(&third).await;
    assert_eq!(read("/etc/deep/er/app.ini").await, "changed");
    let diff = panel.get("/api/v1/apps/hello/diff?from=2&to=3").await.expect(200).text();
    assert!(
        diff.contains("file /etc/deep/er/app.ini") && diff.contains("file /run/key.pem") && !diff.contains("ibex"),
        "{diff}"
    );
    panel.cli(&["rollback", "hello", "--wait"]).await.expect(0);
    assert_eq!(read("/etc/deep/er/app.ini").await, awkward.replace("\r\n", "\n"));
    assert!(read("/run/key.pem").await.contains("ibex"));
}

#[tokio::test]
async fn what_is_refused() {
    let panel = TestPanel::start().await;
    let body = json!({"name": "cache", "source": {"kind": "image", "reference": "redis:7"}, "mounts": [{"volume": "data", "path": "/data"}], "deploy": false});
    panel.create_app(body).await;
    let put = async |body: serde_json::Value| panel.put("/api/v1/apps/cache/files", body).await;
    for (body, why) in [
        (json!({"path": "etc/x", "content": ""}), "absolute"),
        (json!({"path": "/etc/../x", "content": ""}), "absolute"),
        (json!({"path": "/etc/x"}), "content"),
        (json!({"path": "/etc/x", "content": "", "mode": "999"}), "permission bits"),
        (json!({"path": "/data/x", "content": ""}), "is in the volume"),
        (json!({"path": "/proc/x", "content": ""}), "kernel"),
        (
            json!({"path": "/etc/x", "content": "x".repeat((1 << 20) + 1)}),
            "longer than 1024 KiB",
        ),
    ] {
        let reply = put(body).await.expect(422);
        assert!(reply.detail().contains(why), "{why}: {}", reply.detail());
    }
    put(json!({"path": "/etc/x", "content": "one"})).await.expect(200);
    let below = put(json!({"path": "/etc/x/y", "content": ""})).await.expect(422);
    assert!(below.detail().contains("which is a file"), "{}", below.detail());
    let mounts = json!({"mounts": [{"volume": "data", "path": "/etc"}]});
    panel.patch("/api/v1/apps/cache", mounts).await.expect(422);
    // The content stays when only the mode changes.
    let kept = put(json!({"path": "/etc/x", "mode": "600"})).await.expect(200).json();
    assert_eq!(
        (text(&kept["items"][0], "content"), text(&kept["items"][0], "mode")),
        ("one".into(), "600".into())
    );
    panel.delete("/api/v1/apps/cache/files?path=/nothing").await.expect(404);
    panel.delete("/api/v1/apps/cache/files").await.expect(422);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.ini");
    std::fs::write(&file, "password = hidden-here").unwrap();
    panel
        .cli(&[
            "file",
            "set",
            "cache",
            "/etc/app.ini",
            file.to_str().unwrap(),
            "--secret",
            "--mode",
            "0640",
        ])
        .await
        .expect(0);
    let listed = panel.cli(&["file", "list", "cache"]).await.expect(0).stdout;
    assert!(listed.contains("/etc/app.ini") && listed.contains("640"), "{listed}");
    panel.cli(&["file", "show", "cache", "/etc/app.ini"]).await.expect(1);
    let shown = panel
        .cli(&["file", "show", "cache", "/etc/app.ini", "--reveal"])
        .await
        .expect(0)
        .stdout;
    assert_eq!(shown, "password = hidden-here");
    panel.cli(&["file", "remove", "cache", "/etc/app.ini"]).await.expect(0);
    panel.cli(&["file", "show", "cache", "/etc/app.ini"]).await.expect(4);
}

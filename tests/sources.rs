//! Where code comes from: repositories by path, HTTP and SSH; with submodules and Git LFS; and those that cannot be used.

use crate::deploy::{app_of, text};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{GitFixture, GitServer, SshServer, TestPanel};

/// An app of a repository at this address.
fn app_at(name: &str, url: &str) -> Value {
    let mut body = app_of(name, &GitFixture::new());
    body["source"]["url"] = url.into();
    body
}

#[tokio::test]
async fn docker_over_http_with_and_without_a_password() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let server = GitServer::open(repository.root()).await;
    panel.live_app(app_at("open", &server.url("app.git"))).await;
    assert_eq!(panel.visit("open.test", "/").await.expect(200).text(), "hello one");

    let server = GitServer::private(repository.root(), "ada", "p@ss:w/ord 100%").await;
    panel.create_app(app_at("private", &server.url("app.git"))).await;
    let error = panel.fails(&text(&panel.newest("private").await, "id")).await;
    assert!(
        error.contains("private")
            || error.contains("login")
            || error.contains("sign")
            || error.contains("password")
            || error.contains("token"),
        "{error}"
    );
    let mut source = app_at("private", &server.url("app.git"))["source"].clone();
    source["user"] = "ada".into();
    source["password"] = "wrong".into();
    panel.patch("/api/v1/apps/private", json!({"source": source})).await.expect(200);
    let id = panel.deploy("private").await;
    let error = panel.fails(&id).await;
    assert!(!error.contains("wrong@") && !error.contains(":wrong"), "{error}");
    source["password"] = "p@ss:w/ord 100%".into();
    let shown = panel.patch("/api/v1/apps/private", json!({"source": source})).await.expect(200);
    assert!(!shown.text().contains("w/ord"), "a password is never shown: {}", shown.text());
    assert_eq!(shown.json()["source"]["has_password"], true);
    let id = panel.deploy("private").await;
    panel.live(&id).await;
    assert_eq!(panel.visit("private.test", "/").await.expect(200).text(), "hello one");
}

#[tokio::test]
async fn docker_over_ssh_with_a_deploy_key() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let server = SshServer::start().await;
    let mut body = app_at("hello", &server.url(&repository.path()));
    body["source"]["deploy_key"] = true.into();
    let app = panel.create_app(body).await;
    let key = text(&app["source"], "deploy_key_public");
    assert!(key.starts_with("ssh-ed25519 "), "{key}");
    let error = panel.fails(&text(&panel.newest("hello").await, "id")).await;
    assert!(error.contains("key"), "{error}");
    server.allow(&key);
    let id = panel.deploy("hello").await;
    panel.live(&id).await;
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");
    // Another machine under the same name is refused: its host key is not the one seen first.
    let other = SshServer::start().await;
    other.allow(&key);
    panel
        .patch(
            "/api/v1/apps/hello",
            json!({"source": {"kind": "git", "url": other.url(&repository.path())}}),
        )
        .await
        .expect(200);
    let renewed = panel.post("/api/v1/apps/hello/deploy-key", json!({})).await.expect(200).json();
    assert_ne!(text(&renewed, "public_key"), key);
}

#[tokio::test]
async fn docker_branches_folders_and_submodules() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    repository.git(&["checkout", "-q", "-b", "feature/x"]);
    repository.edit("app.py", "\"one\"", "\"of a branch\"");
    repository.git(&["checkout", "-q", "main"]);
    let mut body = app_of("branch", &repository);
    body["source"]["branch"] = "feature/x".into();
    panel.live_app(body).await;
    assert_eq!(panel.visit("branch.test", "/").await.expect(200).text(), "hello of a branch");
    // Another for one deployment; a commit works too.
    let commit = repository.git(&["rev-parse", "main"]);
    for reference in ["main", &commit] {
        let asked = panel
            .post("/api/v1/apps/branch/deployments", json!({"reference": reference}))
            .await
            .expect(202)
            .json();
        panel.live(&text(&asked, "id")).await;
        assert_eq!(panel.visit("branch.test", "/").await.expect(200).text(), "hello one");
    }

    // A folder, and another Dockerfile.
    let nested = GitFixture::new();
    let hello = |name: &str| std::fs::read_to_string(testkit::sample("hello").join(name)).unwrap();
    nested.commit(
        &[
            ("services/web/app.py", &hello("app.py")),
            ("services/web/deploy/Dockerfile.web", &hello("Dockerfile")),
            ("README", "x"),
        ],
        "nested",
    );
    let mut body = app_of("nested", &nested);
    body["source"]["folder"] = "services/web".into();
    body["source"]["dockerfile"] = "deploy/Dockerfile.web".into();
    panel.live_app(body).await;
    assert_eq!(panel.visit("nested.test", "/").await.expect(200).text(), "hello one");

    // A submodule, over HTTP as forges have them.
    let part = GitFixture::of(&[("version.py", "VERSION = 'of a submodule'\n")]);
    let whole = GitFixture::sample("hello");
    let server = GitServer::open(part.root()).await;
    whole.git(&["submodule", "add", "-q", &server.url("app.git"), "part"]);
    whole.edit("app.py", "VERSION = \"one\"", "from part.version import VERSION");
    whole.edit("Dockerfile", "COPY app.py .", "COPY . .");
    let mut body = app_of("whole", &whole);
    body["source"]["submodules"] = true.into();
    panel.live_app(body).await;
    assert_eq!(panel.visit("whole.test", "/").await.expect(200).text(), "hello of a submodule");
}

/// Puts a pointer into the work tree, and what it stands for where the server of the repository has it.
fn keep_in_lfs(repository: &GitFixture, path: &str, content: &str) {
    let id: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{id}\nsize {}\n",
        content.len()
    );
    let objects = repository.root().join("lfs");
    std::fs::create_dir_all(&objects).unwrap();
    std::fs::write(objects.join(&id), content).unwrap();
    std::fs::write(repository.tree().join(".gitattributes"), format!("{path} filter=lfs\n")).unwrap();
    std::fs::write(repository.tree().join(path), pointer).unwrap();
}

#[tokio::test]
async fn docker_files_in_git_lfs() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    keep_in_lfs(&repository, "version.py", "VERSION = 'of Git LFS'\n");
    repository.edit("app.py", "VERSION = \"one\"", "from version import VERSION");
    repository.edit("Dockerfile", "COPY app.py .", "COPY . .");
    let server = GitServer::private(repository.root(), "ada", "word").await;
    let mut body = app_at("large", &server.url("app.git"));
    body["source"]["user"] = "ada".into();
    body["source"]["password"] = "word".into();
    panel.live_app(body).await;
    assert_eq!(panel.visit("large.test", "/").await.expect(200).text(), "hello of Git LFS");
    let log = panel.build_log(&text(&panel.newest("large").await, "id")).await;
    assert!(log.contains("Git LFS: 1 file"), "{log}");
    // What was never pushed there fails the deployment in words, and the old one serves on.
    keep_in_lfs(&repository, "version.py", "VERSION = 'of nowhere'\n");
    std::fs::remove_dir_all(repository.root().join("lfs")).unwrap();
    repository.push("a pointer without its file");
    let id = panel.deploy("large").await;
    let error = panel.fails(&id).await;
    assert!(error.contains("version.py is kept in Git LFS"), "{error}");
    assert_eq!(panel.visit("large.test", "/").await.expect(200).text(), "hello of Git LFS");
}

/// The server behind is asked for over ssh, with the app's deploy key, and wants a word that only that answer has.
#[tokio::test]
async fn docker_files_in_git_lfs_by_ssh() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    keep_in_lfs(&repository, "version.py", "VERSION = 'of Git LFS'\n");
    repository.edit("app.py", "VERSION = \"one\"", "from version import VERSION");
    repository.edit("Dockerfile", "COPY app.py .", "COPY . .");
    let web = GitServer::private(repository.root(), "ada", "word").await;
    let server = SshServer::start().await;
    let mut body = app_at("large", &server.url(&repository.path()));
    body["source"]["deploy_key"] = true.into();
    body["deploy"] = false.into();
    let made = panel.create_app(body).await;
    let answer = json!({"href": web.url("app.git/info/lfs"), "header": {"Authorization": "Basic YWRhOndvcmQ="}, "expires_in": 600});
    server.allow_with_lfs(&text(&made["source"], "deploy_key_public"), &answer.to_string());
    let id = panel.deploy("large").await;
    panel.live(&id).await;
    assert_eq!(panel.visit("large.test", "/").await.expect(200).text(), "hello of Git LFS");
    let log = panel.build_log(&id).await;
    assert!(log.contains("Git LFS: 1 file") && !log.contains("YWRhOndvcmQ="), "{log}");
}

#[tokio::test]
async fn docker_repositories_that_cannot_be_used() {
    let panel = TestPanel::docker().await;
    let empty = GitFixture::new();
    let without = GitFixture::of(&[("README", "no Dockerfile here"), ("notes.txt", "x")]);
    let server = GitServer::open(without.root()).await;
    let escaping = GitFixture::new();
    std::os::unix::fs::symlink("/etc", escaping.tree().join("app")).unwrap();
    escaping.push("a link out of the repository");
    let broken = GitFixture::sample("hello");
    broken.commit(
        &[(
            ".gitmodules",
            "[submodule \"x\"]\n\tpath = x\n\turl = http://127.0.0.1:9/nothing.git\n",
        )],
        "a submodule that is nowhere",
    );
    broken.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        "160000,1234567890123456789012345678901234567890,x",
    ]);
    broken.git(&["commit", "-q", "-m", "link it"]);
    broken.git(&["push", "-q", "origin", "HEAD"]);
    for (name, change, wanted) in [
        ("missing-path", json!({"url": "/nowhere/at/all.git"}), "/nowhere/at/all.git"),
        ("missing", json!({"url": server.url("nothing.git")}), "nothing.git"),
        ("nobody", json!({"url": "http://127.0.0.1:9/x.git"}), "127.0.0.1:9"),
        (
            "no-host",
            json!({"url": "https://no-such-host.invalid/x.git"}),
            "no-such-host.invalid",
        ),
        ("empty", json!({"url": empty.path()}), "empty"),
        ("no-branch", json!({"url": without.path(), "branch": "nosuch"}), "nosuch"),
        ("no-dockerfile", json!({"url": without.path()}), "Dockerfile"),
        ("no-folder", json!({"url": without.path(), "folder": "web"}), "web"),
        ("escape", json!({"url": escaping.path(), "folder": "app"}), "app"),
        ("submodule", json!({"url": broken.path(), "submodules": true}), "127.0.0.1:9"),
    ] {
        let mut body = app_of(name, &empty);
        body["source"] = change;
        body["source"]["kind"] = "git".into();
        panel.create_app(body).await;
        let error = panel.fails(&text(&panel.newest(name).await, "id")).await;
        println!("{name}: {error}");
        assert!(error.contains(wanted), "{name}: {error:?} does not name {wanted:?}");
    }
    // An administrator's path is no way to read this machine's files into an image.
    let plain = tempfile::tempdir().unwrap();
    std::fs::write(plain.path().join("Dockerfile"), "FROM python:3.11-slim\n").unwrap();
    panel.create_app(app_at("no-repository", &plain.path().display().to_string())).await;
    let error = panel.fails(&text(&panel.newest("no-repository").await, "id")).await;
    assert!(error.contains("repository"), "{error}");
}

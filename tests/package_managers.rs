//! Repositories whose packages are locked by pnpm, Yarn, uv and Poetry, from the lock file to what answers.
//!
//! What uv and Poetry write names the index that they asked, so their lock files are made by the tools themselves at each run.

use crate::{
    deploy::{app_of, text},
    samples_live::copy,
};
use serde_json::json;
use std::{path::Path, process::Command, time::Duration};
use testkit::{GitFixture, TestPanel, eventually_ok, python, sample};

const UV: &str = "0.13.9";
const POETRY: &str = "2.5.1";

/// What a tool prints that is run in a folder.
fn run(tool: &Path, words: &[&str], folder: &Path) -> String {
    let mut command = Command::new(tool);
    command.args(words).current_dir(folder);
    command.env("UV_PYTHON_DOWNLOADS", "never");
    command.env("POETRY_VIRTUALENVS_CREATE", "false");
    command.env("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring");
    let done = command.output().expect("the tool is there");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{}: {said}{}",
        tool.display(),
        String::from_utf8_lossy(&done.stderr)
    );
    said
}

fn lock_with_uv(tree: &Path) {
    let bin = python("uv", "uv", UV);
    run(&bin.join("uv"), &["lock", "--quiet"], tree);
}

/// From pip's usual index by the interface that all of them have; without a source Poetry asks for more.
fn lock_with_poetry(tree: &Path) {
    let bin = python("poetry", "poetry", POETRY);
    let asks = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
    let index = run(&bin.join("python3"), &["-c", asks], tree);
    let manifest = tree.join("pyproject.toml");
    let mut written = std::fs::read_to_string(&manifest).unwrap();
    written.push_str(&format!(
        "\n[[tool.poetry.source]]\nname = \"usual\"\nurl = \"{}\"\npriority = \"primary\"\n",
        index.trim()
    ));
    std::fs::write(&manifest, written).unwrap();
    run(&bin.join("poetry"), &["lock", "--no-interaction"], tree);
}

/// `mark` tells in the log of the build which tool installs.
async fn goes_live(panel: &TestPanel, name: &str, lock: Option<fn(&Path)>, mark: &str, wanted: &str) {
    let repository = GitFixture::new();
    let tree = repository.tree();
    copy(&sample(name), &tree);
    if let Some(lock) = lock {
        tokio::task::spawn_blocking(move || lock(&tree)).await.unwrap();
    }
    repository.push("first version");
    let mut body = app_of(name, &repository);
    body["health"] = json!({"kind": "tcp", "interval_seconds": 1, "timeout_seconds": 2, "start_seconds": 40});
    panel.create_app(body).await;
    let over = panel.over(&text(&panel.newest(name).await, "id"), Duration::from_secs(480)).await;
    let log = panel.build_log(&text(&over, "id")).await;
    assert!(over["phase"] == "live" && log.contains(mark), "{name}: {}\n{log}", over["error"]);
    eventually_ok(&format!("{name} answers"), Duration::from_secs(30), || async {
        let reply = panel.visit(&format!("{name}.test"), "/").await;
        match reply.status == 200 && reply.text() == wanted {
            true => Ok(()),
            false => Err(format!("{} {}", reply.status, reply.text())),
        }
    })
    .await;
}

#[tokio::test]
async fn docker_each_package_manager_installs_by_its_lock_file() {
    let panel = TestPanel::docker().await;
    tokio::join!(
        goes_live(
            &panel,
            "pnpm",
            None,
            "pnpm install --frozen-lockfile",
            "hello from pnpm after 172800000 ms"
        ),
        // By itself it makes no node_modules.
        goes_live(&panel, "yarn", None, "YN0000", "hello from yarn after 172800000 ms"),
        goes_live(&panel, "uv", Some(lock_with_uv), "uv export --frozen", "hello from uv, the 3rd"),
        goes_live(
            &panel,
            "poetry",
            Some(lock_with_poetry),
            "Installing inflection",
            "hello from poetry, the 3rd"
        ),
    );
}

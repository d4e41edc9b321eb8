//! A Git repository of a test: a bare one that the panel fetches from, and a work tree to commit in.

use std::{
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A bare repository with a work tree beside it; its branch is `main`.
pub struct GitFixture {
    folder: TempDir,
}

impl Default for GitFixture {
    fn default() -> Self {
        Self::new()
    }
}

impl GitFixture {
    /// An empty repository: no commit, no branch.
    pub fn new() -> GitFixture {
        let folder = tempfile::Builder::new().prefix("sk-git-").tempdir().expect("a temporary folder");
        let fixture = GitFixture { folder };
        fixture.git_in(fixture.folder.path(), &["init", "-q", "--bare", "-b", "main", "app.git"]);
        fixture.git_in(fixture.folder.path(), &["init", "-q", "-b", "main", "tree"]);
        fixture.git(&["remote", "add", "origin", "../app.git"]);
        fixture
    }

    /// A repository with one commit: the files of `tests/samples/<name>`.
    pub fn sample(name: &str) -> GitFixture {
        let fixture = GitFixture::new();
        copy_folder(&crate::sample(name), &fixture.tree());
        fixture.push("first version");
        fixture
    }

    /// A repository with one commit of these files.
    pub fn of(files: &[(&str, &str)]) -> GitFixture {
        let fixture = GitFixture::new();
        fixture.commit(files, "first version");
        fixture
    }

    /// The bare repository, as an app's address.
    pub fn path(&self) -> String {
        self.folder.path().join("app.git").display().to_string()
    }
    /// The folder that holds the bare repository, for a server.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }
    /// The work tree.
    pub fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// Writes the files, commits and pushes them; the answer is the commit.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        for (path, text) in files {
            let path = self.tree().join(path);
            std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder is made");
            std::fs::write(path, text).expect("the file is written");
        }
        self.push(message)
    }

    /// Replaces `from` by `to` in a file, commits and pushes.
    pub fn edit(&self, path: &str, from: &str, to: &str) -> String {
        let text = std::fs::read_to_string(self.tree().join(path)).expect("the file is there");
        assert!(text.contains(from), "{path} has no {from:?}");
        self.commit(&[(path, &text.replace(from, to))], &format!("change {path}"))
    }

    /// Commits what is in the work tree and pushes the branch it is on.
    pub fn push(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["push", "-q", "origin", "HEAD"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the work tree; panics with what it said if it fails.
    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.tree(), arguments)
    }

    fn git_in(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .args([
                "-c",
                "user.name=Ada",
                "-c",
                "user.email=ada@example.test",
                "-c",
                "protocol.file.allow=always",
            ])
            .args(arguments)
            .output()
            .expect("git is installed");
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder is made");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("the file is copied");
        }
    }
}

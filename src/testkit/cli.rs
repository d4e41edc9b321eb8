//! The command line, run as a user would run it.

use crate::panel::serverkit_binary;
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt, process::Command};

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    pub command: String,
    /// -1 when a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Panics unless it ended with this exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Output {
        assert!(
            self.code == code,
            "`{}` ended with {} in place of {code}\n{}{}",
            self.command,
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("`{}` printed no JSON ({error}): {}", self.command, self.stdout))
    }
}

/// Runs `serverkit` with nothing of the caller's environment but `PATH`, and these variables.
pub async fn run_serverkit(folder: &Path, variables: &[(&str, &str)], arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new(serverkit_binary())
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let mut stdin = process.stdin.take().expect("its input is a pipe");
    // A command that does not read its input closes it.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let command = format!("serverkit {}", arguments.join(" "));
    let output = tokio::time::timeout(Duration::from_secs(180), process.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("`{command}` did not end within 3 min"))
        .expect("the process is ours to wait for");
    Output {
        command,
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

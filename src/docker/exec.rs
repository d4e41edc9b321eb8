//! Commands inside a running container, with or without a terminal.
//!
//! The engine's stream is read here and not by bollard, which looks for frame headers in a terminal's raw bytes.

use crate::{
    connect::Docker,
    failures::{checked, words, words_or_missing},
};
use bollard::{body_full, exec::ResizeExecOptions, models::ExecConfig};
use bytes::{Buf, Bytes, BytesMut};
use http::{Request, header};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{io, pin::Pin, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::{
    codec::{Decoder, FramedRead},
    io::StreamReader,
};
use types::{ExecSpec, Kind, Result};

/// A running command. Dropping the streams closes its input; dropping the control hangs up its terminal.
pub struct Exec {
    /// Standard output and standard error, as they come.
    pub output: Pin<Box<dyn AsyncRead + Send>>,
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    pub control: ExecControl,
}

/// Beside the streams of an [`Exec`].
pub struct ExecControl {
    docker: Docker,
    id: String,
    container: String,
    has_terminal: bool,
}

impl Docker {
    /// Fails with `NotFound` when there is no such container, and with `Busy` when it does not run.
    pub async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<Exec> {
        let container = checked(Kind::Container, container)?;
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(spec.tty),
            env: Some(environment(spec)),
            cmd: Some(spec.command.clone()),
            user: spec.setting.user.clone(),
            working_dir: spec.setting.working_dir.clone(),
            privileged: Some(spec.setting.privileged),
            ..Default::default()
        };
        let made = self.client().create_exec(container, config).await;
        let id = made
            .map_err(words_or_missing("running a command in a container", Kind::Container, container))?
            .id;
        let control = ExecControl {
            docker: self.clone(),
            id,
            container: container.to_owned(),
            has_terminal: spec.tty,
        };
        let (output, input) = tokio::io::split(self.exec_start(&control.id, spec).await?);
        if spec.tty {
            control.first_size(spec).await;
        }
        let output: Pin<Box<dyn AsyncRead + Send>> = match spec.tty {
            true => Box::pin(output),
            false => Box::pin(StreamReader::new(FramedRead::new(output, Frames::default()))),
        };
        Ok(Exec {
            output,
            input: Box::pin(input),
            control,
        })
    }

    async fn exec_start(&self, id: &str, spec: &ExecSpec) -> Result<TokioIo<hyper::upgrade::Upgraded>> {
        let doing = "starting a command in a container";
        let body = serde_json::json!({ "Detach": false, "Tty": spec.tty }).to_string();
        let request = Request::post(format!("http://engine/exec/{id}/start"))
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "tcp")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body_full(body.into()))
            .map_err(|error| words(doing)(error.into()))?;
        let answer = self.inner.transport.call_soon(request).await.map_err(words(doing))?;
        let upgraded = hyper::upgrade::on(answer).await.map_err(|error| words(doing)(error.into()))?;
        Ok(TokioIo::new(upgraded))
    }
}

fn environment(spec: &ExecSpec) -> Vec<String> {
    let terminal = spec.tty.then(|| "TERM=xterm-256color".to_owned());
    let own = spec
        .setting
        .environment
        .iter()
        .map(|(key, value)| format!("{key}={}", value.expose_str().unwrap_or_default()));
    terminal.into_iter().chain(own).collect()
}

impl ExecControl {
    pub async fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let size = ResizeExecOptions {
            height: rows,
            width: columns,
        };
        self.docker
            .client()
            .resize_exec(&self.id, size)
            .await
            .map_err(words("resizing a terminal"))
    }

    /// The engine can only resize what runs, and says that it started a little before.
    async fn first_size(&self, spec: &ExecSpec) {
        for _ in 0..10 {
            if self.resize(spec.columns, spec.rows).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        tracing::debug!("a terminal keeps the default size");
    }

    /// `None` while it runs.
    pub async fn exit_code(&self) -> Result<Option<i64>> {
        let found = self
            .docker
            .client()
            .inspect_exec(&self.id)
            .await
            .map_err(words("asking how a command ended"))?;
        Ok(match found.running {
            Some(true) => None,
            _ => found.exit_code,
        })
    }

    /// A command on a terminal outlives the connection, so its session is told that the terminal is gone.
    async fn hang_up(docker: Docker, id: String, container: String) {
        let found = docker.client().inspect_exec(&id).await;
        let Some(pid) = found.ok().filter(|found| found.running == Some(true)).and_then(|found| found.pid) else {
            return;
        };
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return;
        };
        // An engine in another process namespace counts differently: only a process of that container is touched.
        let cgroup = tokio::fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).await;
        if cgroup.is_ok_and(|cgroup| cgroup.contains(&container)) {
            let _ = kill_process_group(pid, Signal::HUP);
        }
    }
}

impl Drop for ExecControl {
    fn drop(&mut self) {
        let is_local = self.docker.inner.transport.dial.is_local();
        if let (true, true, Ok(runtime)) = (self.has_terminal, is_local, tokio::runtime::Handle::try_current()) {
            runtime.spawn(ExecControl::hang_up(self.docker.clone(), self.id.clone(), self.container.clone()));
        }
    }
}

/// Takes the payload out of `[stream, 0, 0, 0, length (4 bytes, big endian)] payload`, as far as it has come.
#[derive(Debug, Default)]
struct Frames {
    left: usize,
}

impl Decoder for Frames {
    type Item = Bytes;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Bytes>> {
        while self.left == 0 {
            if bytes.len() < 8 {
                return Ok(None);
            }
            bytes.advance(4);
            self.left = bytes.get_u32() as usize;
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let payload = bytes.split_to(self.left.min(bytes.len())).freeze();
        self.left -= payload.len();
        Ok(Some(payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, World};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn frames_come_in_pieces() {
        let mut frames = Frames::default();
        let mut bytes = BytesMut::from(&b"\x01\0\0\0\0\0"[..]);
        assert_eq!(frames.decode(&mut bytes).expect("no error"), None);
        bytes.extend_from_slice(b"\0\x05he");
        assert_eq!(frames.decode(&mut bytes).expect("no error").as_deref(), Some(&b"he"[..]));
        assert_eq!(frames.decode(&mut bytes).expect("no error"), None);
        bytes.extend_from_slice(b"llo\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x01!");
        assert_eq!(frames.decode(&mut bytes).expect("no error").as_deref(), Some(&b"llo"[..]));
        assert_eq!(frames.decode(&mut bytes).expect("no error").as_deref(), Some(&b"!"[..]));
        assert_eq!(frames.decode(&mut bytes).expect("no error"), None);
    }

    fn spec(command: &[&str], tty: bool) -> ExecSpec {
        ExecSpec {
            tty,
            columns: 100,
            rows: 30,
            ..ExecSpec::plain(command.iter().map(|part| (*part).to_owned()).collect())
        }
    }

    #[tokio::test]
    async fn docker_exec_passes_bytes_and_codes() {
        let world = World::new("exec").await;
        let id = world
            .docker
            .container_start(&world.spec("tests/http:latest"))
            .await
            .expect("it starts");
        let mut exec = world
            .docker
            .exec(&id, &spec(&["sh", "-c", "cat; exit 7"], false))
            .await
            .expect("it runs");
        assert_eq!(exec.control.exit_code().await.expect("the engine answers"), None);
        let sent: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        exec.input.write_all(&sent).await.expect("it reads");
        exec.input.shutdown().await.expect("it closes");
        let mut got = Vec::new();
        exec.output.read_to_end(&mut got).await.expect("it ends");
        assert!(got == sent, "{} bytes", got.len());
        assert_eq!(testing::run(&world.docker, &id, &["sh", "-c", "echo err >&2"]).await, "err\n");
        let control = &exec.control;
        testing::eventually("it ends", || async {
            control.exit_code().await.expect("the engine answers") == Some(7)
        })
        .await;

        let error = world.docker.exec("serverkit-test-none", &spec(&["true"], false)).await.err();
        assert!(matches!(error, Some(types::Error::NotFound { .. })), "{error:?}");
        world.docker.container_stop(&id, Duration::from_secs(5)).await.expect("it stops");
        let error = world.docker.exec(&id, &spec(&["true"], false)).await.err();
        assert!(matches!(error, Some(types::Error::Busy { .. })), "{error:?}");
    }

    #[tokio::test]
    async fn docker_exec_has_a_terminal() {
        let world = World::new("terminal").await;
        let id = {
            let mut spec = world.spec("python:3.11-slim");
            spec.command = Some(vec!["sleep".into(), "600".into()]);
            world.docker.container_start(&spec).await.expect("it starts")
        };
        let mut exec = world.docker.exec(&id, &spec(&["bash"], true)).await.expect("it runs");
        let mut seen = String::new();
        async fn read_until(exec: &mut Exec, seen: &mut String, end: &str) {
            let mut bytes = [0; 1024];
            while !seen.contains(end) {
                let read = tokio::time::timeout(Duration::from_secs(10), exec.output.read(&mut bytes)).await;
                let count = read.unwrap_or_else(|_| panic!("`{end}` in {seen:?}")).expect("it is readable");
                assert!(count > 0, "{seen:?}");
                seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        }
        read_until(&mut exec, &mut seen, "# ").await;
        exec.input
            .write_all(b"stty size; printf '\\001\\002raw\\n'\n")
            .await
            .expect("it reads");
        read_until(&mut exec, &mut seen, "\u{1}\u{2}raw").await;
        assert!(seen.contains("30 100"), "{seen:?}");
        exec.control.resize(120, 40).await.expect("it is resized");
        exec.input.write_all(b"stty size; echo $TERM\n").await.expect("it reads");
        read_until(&mut exec, &mut seen, "xterm-256color\r\n").await;
        assert!(seen.contains("40 120"), "{seen:?}");
        exec.input.write_all(b"sleep 4321\n").await.expect("it reads");
        let docker = &world.docker;
        let id = id.as_str();
        let list = ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"];
        testing::eventually("it sleeps", || async {
            testing::run(docker, id, &list).await.contains("sleep 4321")
        })
        .await;
        drop(exec);
        testing::eventually("hanging up ends it", || async {
            !testing::run(docker, id, &list).await.contains("bash")
        })
        .await;
    }
}

//! An engine on another machine, through that machine's sshd: a channel to the engine's socket (`direct-streamlocal`), so
//! that nothing is installed there and no port of the engine is open to anybody.
//!
//! Each stream is an SSH connection of its own: libssh2 lets one call at a time use a connection, so two streams in one
//! would wait for each other. It blocks or is polled, so each stream has a thread ([`pump`]); we need few of them, and long.

mod pump;

use crate::dial::{Dial, Wire};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use futures::future::BoxFuture;
use ssh2::{Channel, ErrorCode, HashType, MethodType, Session};
use std::{io, net::TcpStream, os::unix::net::UnixStream, thread, time::Duration};
use tokio::sync::oneshot;
use types::{Error, Result, SshEngine};

/// For the TCP connection, and again for each answer until the stream is open.
const PATIENCE: Duration = Duration::from_secs(15);
/// What was sent and not confirmed for so long ends the connection: the other machine is gone.
const GONE: Duration = Duration::from_secs(60);
/// Of these the server's first is taken, so that which host key is met does not depend on libssh2's taste.
const HOST_KEYS: &str = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256";
/// AES first: sshd wants new keys after 64 GB of it, but after 1 GB of ChaCha20.
const CIPHERS: &str = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr,chacha20-poly1305@openssh.com";

/// The way through one sshd.
#[derive(Debug)]
pub struct SshDial(pub SshEngine);

impl Dial for SshDial {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Wire>>> {
        Box::pin(async move {
            let to = &self.0;
            let tcp = connected(&to.host, to.port).await?;
            let (near, far) = UnixStream::pair()?;
            near.set_nonblocking(true)?;
            far.set_nonblocking(true)?;
            let (opened, open) = oneshot::channel();
            let to = to.clone();
            let run = move || match opened_channel(tcp, &to) {
                Ok((session, channel, tcp)) => {
                    // Unless nobody waits for it any more.
                    if opened.send(Ok(())).is_ok() {
                        pump::run(session, channel, tcp, far);
                    }
                }
                Err(error) => drop(opened.send(Err(error))),
            };
            thread::Builder::new().name("engine-ssh".into()).spawn(run)?;
            open.await.map_err(|_| io::Error::other("the SSH connection ended at once"))??;
            Ok(Box::new(tokio::net::UnixStream::from_std(near)?) as Box<dyn Wire>)
        })
    }

    fn is_local(&self) -> bool {
        false
    }

    fn trouble(&self, cause: &io::Error) -> (String, String) {
        (cause.to_string(), format!("ssh -p {} {}@{}", self.0.port, self.0.user, self.0.host))
    }
}

/// The host key that a server shows now, as OpenSSH writes it (`SHA256:…`). Nobody signs in.
pub async fn ssh_host_key(host: &str, port: u16) -> Result<String> {
    let look = async {
        let tcp = connected(host, port).await?;
        let place = place(host, port);
        let looked = tokio::task::spawn_blocking(move || greeted(tcp, &place).map(|(_, key)| key));
        looked.await.map_err(io::Error::other)?
    };
    look.await.map_err(|error: io::Error| Error::unavailable(error.to_string()))
}

fn place(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

async fn connected(host: &str, port: u16) -> io::Result<TcpStream> {
    let place = place(host, port);
    let silent = || io::Error::other(format!("{place} does not answer ({} s)", PATIENCE.as_secs()));
    let connecting = tokio::net::TcpStream::connect((host, port));
    let stream = tokio::time::timeout(PATIENCE, connecting).await.map_err(|_| silent())?;
    let stream = stream.map_err(|error| {
        io::Error::other(match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                format!("{place} refuses the connection: no sshd listens there, or a firewall is in the way")
            }
            io::ErrorKind::TimedOut => format!("{place} does not answer"),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => format!("there is no way to {place}"),
            _ => format!("{place} cannot be reached: {error}"),
        })
    })?;
    stream.set_nodelay(true)?;
    let gone = u32::try_from(GONE.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(&stream, gone)?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// A session whose keys are exchanged, and the host's key. Blocks.
fn greeted(tcp: TcpStream, place: &str) -> io::Result<(Session, String)> {
    let failed = |error: ssh2::Error| io::Error::other(format!("{place} does not speak SSH as we do: {}", error.message()));
    let mut session = Session::new().map_err(failed)?;
    session.set_timeout(u32::try_from(PATIENCE.as_millis()).unwrap_or(u32::MAX));
    for (method, wanted) in [
        (MethodType::HostKey, HOST_KEYS),
        (MethodType::CryptCs, CIPHERS),
        (MethodType::CryptSc, CIPHERS),
    ] {
        session.method_pref(method, wanted).map_err(failed)?;
    }
    session.set_tcp_stream(tcp);
    session.handshake().map_err(failed)?;
    let hash = session
        .host_key_hash(HashType::Sha256)
        .ok_or_else(|| io::Error::other(format!("{place} shows no host key")))?;
    let key = format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(hash));
    Ok((session, key))
}

/// Signs in, but not before the host is the one that was confirmed, and opens the channel. Blocks.
fn opened_channel(tcp: TcpStream, to: &SshEngine) -> io::Result<(Session, Channel, TcpStream)> {
    let own = tcp.try_clone()?;
    let place = place(&to.host, to.port);
    let (session, found) = greeted(tcp, &place)?;
    if found != to.host_key {
        return Err(io::Error::other(format!(
            "the host key of {place} changed: it was {} and is {found} now; if that is right, confirm the new one, else somebody is in between",
            to.host_key
        )));
    }
    let key = to.private_key.expose_str().unwrap_or_default();
    session
        .userauth_pubkey_memory(&to.user, None, key, None)
        .map_err(|error| io::Error::other(refused_login(&error, &place, &to.user)))?;
    let channel = session
        .channel_direct_streamlocal(&to.socket, None)
        .map_err(|error| io::Error::other(refused_channel(&error, &place, to)))?;
    session.set_blocking(false);
    Ok((session, channel, own))
}

/// libssh2's number for "the server did not take the key".
const REFUSED: [i32; 2] = [-18, -19];

fn refused_login(error: &ssh2::Error, place: &str, user: &str) -> String {
    match error.code() {
        ErrorCode::Session(code) if REFUSED.contains(&code) => {
            format!(
                "{place} does not let `{user}` in with the key of this build server: add its public half to ~{user}/.ssh/authorized_keys there"
            )
        }
        _ => format!("signing in at {place} as `{user}`: {}", error.message()),
    }
}

/// OpenSSH says the same of a socket that nobody listens at and of one that it may not open.
fn refused_channel(error: &ssh2::Error, place: &str, to: &SshEngine) -> String {
    let (message, socket, user) = (error.message(), &to.socket, &to.user);
    let forwarding = "sshd does not open sockets (AllowStreamLocalForwarding in sshd_config, words before the key in authorized_keys)";
    if message.contains("prohibited") {
        return format!("{place} opens no way to {socket}: {forwarding}");
    }
    if message.contains("connect failed") {
        return format!(
            "{place} opens no way to {socket}: Docker is not running there, `{user}` may not use it (usermod -aG docker {user}), or {forwarding}"
        );
    }
    format!("opening {socket} at {place}: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_sshd_is_said_in_words() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("somebody comes");
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        });
        let error = ssh_host_key("127.0.0.1", port).await.expect_err("it speaks HTTP").to_string();
        assert!(error.contains("does not speak SSH"), "{error}");
        answering.await.expect("it answered and is gone");
        let error = ssh_host_key("127.0.0.1", port).await.expect_err("nobody listens").to_string();
        assert!(error.contains("refuses the connection"), "{error}");
    }

    /// Uploads, downloads and calls back, over new keys every 4 MB.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn docker_an_engine_is_reached_through_an_sshd() {
        let ssh = testkit::SshServer::start().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = folder.path().join("key");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status();
        assert!(made.expect("ssh-keygen is installed").success());
        let text = |path: &std::path::Path| std::fs::read_to_string(path).expect("it was made");
        let to = SshEngine {
            host: "127.0.0.1".into(),
            port: ssh.port(),
            user: "root".into(),
            private_key: types::Secret::from(text(&key).as_str()),
            host_key: ssh.host_key().await,
            socket: testkit::docker_host().trim_start_matches("unix://").to_owned(),
        };
        assert_eq!(ssh_host_key(&to.host, to.port).await.expect("it shows it"), to.host_key);
        let through = |to: &SshEngine| {
            let here = crate::testing::docker();
            here.beside(std::sync::Arc::new(SshDial(to.clone()))).expect("nothing is sent yet")
        };
        let error = through(&to).about().await.expect_err("the key is not known").to_string();
        assert!(error.contains("does not let `root` in"), "{error}");
        let public = text(&key.with_extension("pub"));
        ssh.allow(public.trim());
        let error = through(&to).about().await.expect_err("it may not forward").to_string();
        assert!(error.contains("opens no way to"), "{error}");
        ssh.allow_sockets(public.trim());
        let mut other = to.clone();
        other.host_key = "SHA256:qaQjPmpnYNe4DLLdYqoV3vNdZlNLcPJuYBdSzOkyvIs".into();
        let error = through(&other).about().await.expect_err("it is another host").to_string();
        assert!(error.contains("the host key of 127.0.0.1:") && error.contains("changed"), "{error}");
        let mut nowhere = to.clone();
        nowhere.socket = "/nonexistent.sock".into();
        let error = through(&nowhere).about().await.expect_err("nothing listens").to_string();
        assert!(error.contains("opens no way to /nonexistent.sock"), "{error}");

        let (near, far) = (crate::testing::docker(), through(&to));
        let (ours, theirs) = (near.about().await.expect("it answers"), far.about().await.expect("it answers"));
        assert_eq!((&ours.id, ours.platform()), (&theirs.id, theirs.platform()));
        let (lines, _said) = tokio::sync::mpsc::channel(1000);
        let tag = "tests/http:latest";
        let image = near.image_find(tag).await.expect("it answers").expect("it was made for the tests");
        for (from, to) in [(&far, &near), (&near, &far)] {
            let moved = to.image_bring(from, &image, tag, &lines).await.expect("it moves");
            assert_eq!(moved.id, image.id);
        }
    }

    #[test]
    fn places_are_written_as_addresses() {
        assert_eq!(place("builder.example", 22), "builder.example:22");
        assert_eq!(place("2001:db8::7", 2222), "[2001:db8::7]:2222");
    }
}

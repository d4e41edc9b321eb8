//! Git repositories over HTTP, by `git http-backend`, with or without a password; and over SSH, by `sshd`.

use base64::{Engine, prelude::BASE64_STANDARD as STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    process::{Child, Command},
};

/// Serves all repositories under a folder until it is dropped, on a thread of its own: a test that waits for `git`
/// must not keep it from answering.
pub struct GitServer {
    address: SocketAddr,
    /// Its end is the thread's end.
    _ends: tokio::sync::oneshot::Sender<()>,
}

struct Served {
    root: PathBuf,
    /// The whole `Authorization` header that is asked for.
    wanted: Option<String>,
    /// Before each answer.
    pause: Duration,
}

impl GitServer {
    /// Anybody may read.
    pub async fn open(root: &Path) -> GitServer {
        GitServer::start(root, None, Duration::ZERO).await
    }
    /// Anybody may read, but each answer takes this long.
    pub async fn slow(root: &Path, pause: Duration) -> GitServer {
        GitServer::start(root, None, pause).await
    }
    /// Only with this user and password.
    pub async fn private(root: &Path, user: &str, password: &str) -> GitServer {
        let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        GitServer::start(root, Some(wanted), Duration::ZERO).await
    }

    async fn start(root: &Path, wanted: Option<String>, pause: Duration) -> GitServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let listener = listener.into_std().expect("a listener can be moved");
        let served = Arc::new(Served {
            root: root.to_owned(),
            wanted,
            pause,
        });
        let (ends, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                tokio::select! {
                    () = serve(listener, served) => {}
                    _ = end => {}
                }
            });
        });
        GitServer { address, _ends: ends }
    }

    /// `http://127.0.0.1:PORT/<name>`
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }
}

async fn serve(listener: std::net::TcpListener, served: Arc<Served>) {
    let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
    while let Ok((stream, _)) = listener.accept().await {
        let served = served.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(served.clone(), request));
            // A client that goes away in the middle is its own business.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(served: Arc<Served>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    tokio::time::sleep(served.pause).await;
    let given = header(&request, "authorization");
    if served.wanted.is_some() && served.wanted != given {
        let refused = Response::builder().status(401).header("www-authenticate", "Basic realm=\"git\"");
        return Ok(refused.body(Full::default()).expect("a literal answer is well-formed"));
    }
    if request.uri().path().contains("/lfs/") {
        return Ok(lfs(&served.root, request).await);
    }
    Ok(cgi(&served.root, request)
        .await
        .unwrap_or_else(|error| panic!("git http-backend: {error}")))
}

/// Git LFS: the objects are the files of `lfs` under the root, called by their digests.
async fn lfs(root: &Path, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let folder = root.join("lfs");
    if request.method() == "GET" {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default();
        return match std::fs::read(folder.join(name)) {
            Ok(content) => Response::new(Full::from(content)),
            Err(_) => Response::builder()
                .status(404)
                .body(Full::default())
                .expect("a literal answer is well-formed"),
        };
    }
    let body = request.into_body().collect().await.expect("the request arrives").to_bytes();
    let asked: serde_json::Value = serde_json::from_slice(&body).expect("the batch API takes JSON");
    let mut offers = Vec::new();
    for one in asked["objects"].as_array().into_iter().flatten() {
        let id = one["oid"].as_str().unwrap_or_default();
        offers.push(match folder.join(id).is_file() {
            true => serde_json::json!({"oid": id, "size": one["size"], "actions": {"download": {"href": format!("/lfs/{id}")}}}),
            false => serde_json::json!({"oid": id, "size": one["size"], "error": {"code": 404, "message": "no such object"}}),
        });
    }
    let said = serde_json::json!({"transfer": "basic", "objects": offers}).to_string();
    Response::new(Full::from(said))
}

/// RFC 3875, as far as `git http-backend` needs it.
async fn cgi(root: &Path, request: Request<Incoming>) -> std::io::Result<Response<Full<Bytes>>> {
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", request.method().as_str())
        .env("PATH_INFO", request.uri().path())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    for (name, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("git-protocol", "GIT_PROTOCOL"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
    ] {
        if let Some(value) = header(&request, name) {
            command.env(variable, value);
        }
    }
    let mut process = command.spawn()?;
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    let mut input = process.stdin.take().expect("its input is a pipe");
    let (written, output) = tokio::join!(
        async move {
            input.write_all(&body).await?;
            input.shutdown().await
        },
        process.wait_with_output()
    );
    written?;
    let output = output?.stdout;
    let head = output
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or_else(|| std::io::Error::other("no headers"))?;
    let mut response = Response::builder().status(200);
    for line in String::from_utf8_lossy(&output[..head]).lines() {
        match line.split_once(": ") {
            Some(("Status", status)) => response = response.status(&status[..3]),
            Some((name, value)) => response = response.header(name, value),
            None => {}
        }
    }
    response
        .body(Full::new(Bytes::copy_from_slice(&output[head + 4..])))
        .map_err(std::io::Error::other)
}

fn header(request: &Request<Incoming>, name: &str) -> Option<String> {
    Some(request.headers().get(name)?.to_str().ok()?.to_owned())
}

/// An `sshd` that lets one key in, until it is dropped.
pub struct SshServer {
    folder: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl SshServer {
    /// Starts it; nobody may come in before [`SshServer::allow`].
    pub async fn start() -> SshServer {
        let folder = tempfile::Builder::new().prefix("sk-sshd-").tempdir().expect("a temporary folder");
        let key = folder.path().join("host_key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status()
            .await
            .expect("ssh-keygen is installed (Debian package openssh-client)");
        assert!(made.success(), "no host key");
        let port = crate::free_port();
        std::fs::create_dir_all("/run/sshd").expect("sshd's folder for privilege separation is made");
        let config = folder.path().join("config");
        let keys = folder.path().join("authorized_keys");
        std::fs::write(&keys, "").expect("the list of keys is written");
        let text = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nPermitRootLogin prohibit-password\n\
             PasswordAuthentication no\nUsePAM no\nPidFile none\nRekeyLimit 4M\n",
            key.display(),
            keys.display()
        );
        std::fs::write(&config, text).expect("the configuration is written");
        let process = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(&config)
            .stderr(std::fs::File::create(folder.path().join("log")).expect("the log opens"))
            .kill_on_drop(true)
            .spawn()
            .expect("sshd is installed (Debian package openssh-server)");
        crate::eventually("sshd listens", Duration::from_secs(10), || async move {
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()
        })
        .await;
        SshServer { folder, port, process }
    }

    /// Lets this public key in, for Git only.
    pub fn allow(&self, public_key: &str) {
        let line = format!("restrict {public_key}\n");
        std::fs::write(self.folder.path().join("authorized_keys"), line).expect("the list of keys is written");
    }

    /// Lets this public key in, for Git, and for `git-lfs-authenticate`, which prints this.
    pub fn allow_with_lfs(&self, public_key: &str, answer: &str) {
        let here = self.folder.path();
        std::fs::write(here.join("answer"), answer).expect("the answer is written");
        let script = here.join("forced");
        let text = format!(
            "case \"$SSH_ORIGINAL_COMMAND\" in\ngit-lfs-authenticate\\ *\\ download) cat {};;\n*) exec sh -c \"$SSH_ORIGINAL_COMMAND\";;\nesac\n",
            here.join("answer").display()
        );
        std::fs::write(&script, text).expect("the script is written");
        let line = format!("restrict,command=\"sh {}\" {public_key}\n", script.display());
        std::fs::write(here.join("authorized_keys"), line).expect("the list of keys is written");
    }

    /// Lets this public key in, for sockets only.
    pub fn allow_sockets(&self, public_key: &str) {
        let line = format!("restrict,port-forwarding {public_key}\n");
        std::fs::write(self.folder.path().join("authorized_keys"), line).expect("the list of keys is written");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `SHA256:…`, as `ssh-keygen` prints it.
    pub async fn host_key(&self) -> String {
        let printed = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(self.folder.path().join("host_key.pub"))
            .output()
            .await
            .expect("ssh-keygen is installed (Debian package openssh-client)");
        let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
        printed.split_whitespace().nth(1).expect("the key is the second word").to_owned()
    }

    /// Ends it; connections that are open go on.
    pub async fn stop(&mut self) {
        let _ = self.process.kill().await;
    }

    /// The address of a repository at an absolute path.
    pub fn url(&self, path: &str) -> String {
        format!("ssh://root@127.0.0.1:{}{path}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GitFixture;

    async fn clones(url: &str, options: &[&str]) -> bool {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let status = Command::new("git")
            .args(options)
            .args(["clone", "-q", url])
            .arg(folder.path().join("x"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .status()
            .await
            .expect("git is installed");
        status.success() && folder.path().join("x/app.py").is_file()
    }

    #[tokio::test]
    async fn repositories_can_be_cloned() {
        let repository = GitFixture::sample("hello");
        let open = GitServer::open(repository.root()).await;
        assert!(clones(&open.url("app.git"), &[]).await);
        let private = GitServer::private(repository.root(), "ada", "word").await;
        let url = private.url("app.git");
        assert!(!clones(&url, &[]).await);
        assert!(clones(&url.replace("http://", "http://ada:word@"), &[]).await);

        let ssh = SshServer::start().await;
        let key = repository.root().join("key");
        let path = key.display().to_string();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", &path])
            .status()
            .await;
        assert!(made.expect("ssh-keygen is installed").success());
        let command = format!(
            "core.sshCommand=ssh -i {path} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        );
        let url = ssh.url(&repository.path());
        assert!(!clones(&url, &["-c", &command]).await);
        ssh.allow(&std::fs::read_to_string(format!("{path}.pub")).expect("the public key is there"));
        assert!(clones(&url, &["-c", &command]).await);
    }
}

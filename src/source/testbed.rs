//! Real peers for the tests: repositories made by `git`, `git http-backend` behind a small web server, and `sshd`.
#![allow(clippy::unwrap_used)]

use crate::{Branch, Fetch, Fetched, Login, branches, fetch};
use base64::{Engine, prelude::BASE64_STANDARD};
use egress::{Bounds, Egress, Resolver};
use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::{GitUrl, Result, Secret};

/// A folder with a bare repository `blog.git` and a working copy of it.
pub struct Bed {
    pub dir: TempDir,
}

impl Bed {
    /// `main` has two commits and a tag on each; `dev` has one more.
    pub fn new() -> Bed {
        let bed = Bed::empty();
        bed.write("Dockerfile", "FROM scratch\n");
        bed.write("run.sh", "#!/bin/sh\n");
        fs::set_permissions(bed.work().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("Dockerfile", bed.work().join("link")).unwrap();
        bed.commit("first");
        bed.git(&["tag", "v1"]);
        bed.write("page.html", &"<p>hello</p>\n".repeat(100));
        bed.commit("second\n\nwith a body");
        bed.git(&["tag", "-a", "v2", "-m", "annotated"]);
        bed.git(&["checkout", "-q", "-b", "dev"]);
        bed.write("dev.txt", "dev");
        bed.commit("on dev");
        bed.push();
        bed.git(&["checkout", "-q", "main"]);
        bed
    }

    /// Without a commit.
    pub fn empty() -> Bed {
        let bed = Bed {
            dir: tempfile::tempdir().unwrap(),
        };
        git(bed.path(), &["init", "-q", "--bare", "-b", "main", "blog.git"]);
        git(bed.path(), &["init", "-q", "-b", "main", "work"]);
        bed.git(&["remote", "add", "origin", "../blog.git"]);
        bed
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
    pub fn work(&self) -> PathBuf {
        self.path().join("work")
    }
    pub fn write(&self, name: &str, text: &str) {
        let path = self.work().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }
    /// A pointer in the tree, whose content is `kept` by a server, or nowhere. Answers the content's digest.
    pub fn write_lfs(&self, name: &str, content: &str, kept: bool) -> String {
        use sha2::{Digest, Sha256};
        let id: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{id}\nsize {}\n",
            content.len()
        );
        self.write(name, &pointer);
        if kept {
            fs::create_dir_all(self.path().join("lfs")).unwrap();
            fs::write(self.path().join("lfs").join(&id), content).unwrap();
        }
        id
    }
    pub fn push(&self) {
        self.git(&["push", "-q", "--all", "origin"]);
        self.git(&["push", "-q", "--tags", "origin"]);
    }
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.work(), arguments)
    }
    /// The commit that a name means.
    pub fn id(&self, name: &str) -> String {
        self.git(&["rev-parse", &format!("{name}^{{commit}}")])
    }
    /// The bare repository, by path.
    pub fn local(&self) -> String {
        self.path().join("blog.git").display().to_string()
    }
}

pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git")
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .current_dir(folder)
        .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")])
        .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
        .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
        .output()
        .expect("git is installed");
    assert!(
        done.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// One fetch, and all it told.
pub struct Run {
    pub into: PathBuf,
    pub result: Result<Fetched>,
    pub lines: Vec<String>,
    _dir: TempDir,
}

impl Run {
    pub async fn of(url: &str, reference: Option<&str>, login: Login) -> Run {
        Run::with(url, reference, login, |_| {}).await
    }
    pub async fn with(url: &str, reference: Option<&str>, login: Login, change: impl FnOnce(&mut Fetch)) -> Run {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("deep/checkout");
        let mut wanted = Fetch {
            url: address(url),
            reference: reference.map(|text| text.parse().unwrap()),
            login,
            submodules: false,
            lfs: true,
            host_key: None,
            egress: egress::Egress::Anywhere,
            into: into.clone(),
        };
        change(&mut wanted);
        let (lines, mut inbox) = mpsc::channel(1_000);
        let result = fetch(wanted, lines, CancellationToken::new()).await;
        let mut told = Vec::new();
        while let Ok(line) = inbox.try_recv() {
            told.push(line);
        }
        Run {
            into,
            result,
            lines: told,
            _dir: dir,
        }
    }
    pub fn commit(&self) -> &str {
        match &self.result {
            Ok(fetched) => &fetched.commit.id,
            Err(error) => panic!("{}", types::report(error)),
        }
    }
    pub fn error(&self) -> String {
        self.result.as_ref().expect_err("the fetch fails").to_string()
    }
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.into.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

pub fn address(url: &str) -> GitUrl {
    url.parse().unwrap()
}

pub async fn branch_names(url: &str, login: &Login) -> Result<Vec<String>> {
    let names = branches(&address(url), login, None, egress::Egress::Anywhere).await?.into_iter();
    Ok(names
        .map(|Branch { name, default, .. }| if default { format!("{name} (default)") } else { name })
        .collect())
}

pub fn password(user: &str, password: &str) -> Login {
    Login::Password {
        user: user.to_owned(),
        password: Secret::from(password),
    }
}

/// How a web server answers.
#[derive(Clone)]
pub enum Manner {
    /// As a Git server of this folder; with a user and password, if any.
    Git(PathBuf, Option<(&'static str, &'static str)>),
    /// Asks for a login, then sends on to another server.
    SendsOn(String),
    /// With this status and body.
    Status(u16, &'static str),
    /// Never.
    Silent,
    /// As a Git server for the list of branches, then, asked for objects, never.
    SilentLater(PathBuf),
}

/// A web server on a free port of loopback.
pub struct Web {
    scheme: &'static str,
    address: SocketAddr,
    /// The `Authorization` headers that came.
    pub logins: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub fn start(manner: Manner) -> Web {
        Web::serve("http", move |connection, seen| answer(connection, &manner, seen))
    }

    /// The same over TLS, with a certificate for 127.0.0.1 that signs itself, which is the second answer, as PEM.
    pub fn start_tls(manner: Manner) -> (Web, String) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = config
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let web = Web::serve("https", move |connection, seen| {
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            answer(rustls::StreamOwned::new(session, connection), &manner, seen);
        });
        (web, made.cert.pem())
    }

    fn serve(scheme: &'static str, answer: impl Fn(TcpStream, &Mutex<Vec<String>>) + Send + Sync + 'static) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let logins: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, answer) = (logins.clone(), Arc::new(answer));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (seen, answer) = (seen.clone(), answer.clone());
                thread::spawn(move || answer(connection.unwrap(), &seen));
            }
        });
        Web { scheme, address, logins }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}/{path}", self.scheme, self.address)
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

fn read_request(connection: impl Read) -> Option<Request> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
    })
}

fn answer(mut connection: impl Read + Write, manner: &Manner, seen: &Mutex<Vec<String>>) {
    let Some(request) = read_request(&mut connection) else { return };
    let login = request.headers.get("authorization").cloned();
    seen.lock().unwrap().extend(login.clone());
    let reply = match manner {
        Manner::Git(_, Some((user, password)))
            if login != Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))) =>
        {
            challenge()
        }
        Manner::Git(root, _) if request.path.contains("/lfs/") => lfs(root, &request),
        Manner::Git(root, _) => backend(root, &request),
        Manner::SendsOn(_) if login.is_none() => challenge(),
        Manner::SendsOn(base) => format!(
            "HTTP/1.1 302 Found\r\nLocation: {base}{}?{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            request.path, request.query
        )
        .into_bytes(),
        Manner::Status(status, body) => format!(
            "HTTP/1.1 {status} X\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
        Manner::SilentLater(root) if request.method == "GET" => backend(root, &request),
        Manner::Silent | Manner::SilentLater(_) => {
            thread::sleep(Duration::from_secs(30));
            return;
        }
    };
    let _ = connection.write_all(&reply);
}

/// A server of Git LFS whose objects are the files of `lfs` in the folder, called by their digests.
fn lfs(root: &Path, request: &Request) -> Vec<u8> {
    let reply = |status: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    if request.method == "GET" {
        let name = request.path.rsplit('/').next().unwrap_or_default();
        return match fs::read(root.join("lfs").join(name)) {
            Ok(content) => reply("200 OK", &content),
            Err(_) => reply("404 Not Found", b""),
        };
    }
    let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    let offers = asked["objects"].as_array().unwrap().iter().map(|one| {
        let id = one["oid"].as_str().unwrap();
        match root.join("lfs").join(id).is_file() {
            true => serde_json::json!({"oid": id, "size": one["size"], "actions": {"download": {"href": format!("/lfs/{id}")}}}),
            false => serde_json::json!({"oid": id, "size": one["size"], "error": {"code": 404, "message": "no such object"}}),
        }
    });
    let offers: Vec<_> = offers.collect();
    reply(
        "200 OK",
        serde_json::json!({"transfer": "basic", "objects": offers}).to_string().as_bytes(),
    )
}

fn challenge() -> Vec<u8> {
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
}

/// Runs `git http-backend` (CGI, RFC 3875).
fn backend(root: &Path, request: &Request) -> Vec<u8> {
    let mut child = Command::new("git")
        .args(["-c", "safe.directory=*", "http-backend"])
        .envs([("GIT_PROJECT_ROOT", root.as_os_str()), ("GIT_HTTP_EXPORT_ALL", "1".as_ref())])
        .envs([
            ("REQUEST_METHOD", &request.method),
            ("PATH_INFO", &request.path),
            ("QUERY_STRING", &request.query),
        ])
        .env("CONTENT_TYPE", request.headers.get("content-type").cloned().unwrap_or_default())
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env(
            "HTTP_CONTENT_ENCODING",
            request.headers.get("content-encoding").cloned().unwrap_or_default(),
        )
        .envs([("REMOTE_USER", "test"), ("REMOTE_ADDR", "127.0.0.1")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&request.body).unwrap();
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    child.wait().unwrap();
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK")
        .to_owned();
    let length = output.len() - end - 4;
    let mut reply = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").into_bytes();
    reply.extend_from_slice(&output[end + 4..]);
    reply
}

/// An `sshd` of our own on a free port of loopback, for the user who runs the tests.
pub struct Sshd {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Sshd {
    /// Lets in whoever has the private half of `public`.
    pub fn start(public: &str) -> Sshd {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Sshd::start_in(dir, port, public)
    }

    fn start_in(dir: TempDir, port: u16, public: &str) -> Sshd {
        let key = dir.path().join("host_key");
        let _ = fs::remove_file(&key);
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
        let keys = dir.path().join("authorized_keys");
        fs::write(&keys, format!("{public}\n")).unwrap();
        let config = dir.path().join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n",
            key.display(),
            keys.display()
        );
        fs::write(&config, text).unwrap();
        // Debian makes this folder when the service starts, which it may never have.
        let _ = fs::create_dir_all("/run/sshd");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", config.to_str().unwrap()])
            .stderr(Stdio::null())
            .spawn()
            .expect("openssh-server is installed");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        Sshd { child, port, dir }
    }

    /// The same server, as far as a client can tell by its address, with another host key.
    pub fn reinstalled(mut self, public: &str) -> Sshd {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let port = self.port;
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        Sshd::start_in(dir, port, public)
    }

    /// From now on it knows `git-lfs-authenticate`, which answers this.
    pub fn answers_lfs(&self, answer: &str) {
        self.force(answer, "cat \"$HERE/answer\"; exit 0");
    }

    pub fn refuses_lfs(&self, words: &str) {
        self.force(words, "cat \"$HERE/answer\" >&2; exit 1");
    }

    /// What it was asked by that command last.
    pub fn asked_for_lfs(&self) -> String {
        fs::read_to_string(self.dir.path().join("asked")).unwrap().trim().to_owned()
    }

    /// A command of its own stands before every other, as at forges.
    fn force(&self, answer: &str, what: &str) {
        let here = self.dir.path();
        fs::write(here.join("answer"), answer).unwrap();
        let script = here.join("forced");
        let text = format!(
            "#!/bin/sh\nHERE={}\ncase \"$SSH_ORIGINAL_COMMAND\" in\n\
             git-lfs-authenticate*) echo \"$SSH_ORIGINAL_COMMAND\" >\"$HERE/asked\"; {what};;\n\
             *) exec sh -c \"$SSH_ORIGINAL_COMMAND\";;\nesac\n",
            here.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let keys = here.join("authorized_keys");
        let old = fs::read_to_string(&keys).unwrap();
        let key = &old[old.find("ssh-ed25519").unwrap()..];
        fs::write(&keys, format!("command=\"{}\" {key}", script.display())).unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("ssh://{}@127.0.0.1:{}{path}", run("id", &["-un"]), self.port)
    }

    /// As `ssh-keygen -l` prints it.
    pub fn host_key(&self) -> String {
        let line = run("ssh-keygen", &["-l", "-f", self.dir.path().join("host_key.pub").to_str().unwrap()]);
        line.split(' ').nth(1).unwrap().to_owned()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// What `forge.test` leads to: each in its turn, the last for ever. The system knows no such name. 127.0.0.1 or 127.0.0.2 alone is open.
pub fn turning(open: &str, leads_to: &'static [[u8; 4]]) -> Egress {
    let asked = AtomicUsize::new(0);
    Egress::public(Bounds {
        open: vec![format!("{open}/32").parse().unwrap()],
        resolver: Resolver::told(move |name| {
            if let Ok(address) = name.parse() {
                return vec![address];
            }
            assert_eq!(name, "forge.test");
            let at = asked.fetch_add(1, Ordering::SeqCst).min(leads_to.len() - 1);
            vec![leads_to[at].into()]
        }),
        ..Bounds::default()
    })
}

/// Always this machine.
pub const HERE: &[[u8; 4]] = &[[127, 0, 0, 1]];

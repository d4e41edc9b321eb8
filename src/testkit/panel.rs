//! A panel of one test: the real binary in a folder of its own, cleaned up with everything that it made.

use crate::{
    api::{Api, Reply},
    cli::{Output, run_serverkit},
    engine::{docker, remove_labelled, signal, wait_or_kill},
    network::reserve_ports,
    polling::{eventually, eventually_ok},
    socket::Socket,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

/// The first owner of every test panel.
pub const OWNER: (&str, &str) = ("owner@example.test", "seven quiet otters swim north");

/// How long a panel may take to start in a debug build on a busy machine.
const STARTS: Duration = Duration::from_secs(60);

/// The binary under test: `SERVERKIT_BIN`, or the one beside the running test in the target folder.
pub fn serverkit_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SERVERKIT_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a process knows its program");
    let binary = test
        .ancestors()
        .nth(2)
        .expect("tests lie in target/<profile>/deps")
        .join("serverkit");
    assert!(binary.is_file(), "no {}: run `cargo build -p serverkit` first", binary.display());
    binary
}

/// How a panel is to be started.
#[derive(Clone)]
pub struct Options {
    /// The engine; `None`: one that does not exist.
    engine: Option<String>,
    claim: bool,
    data: Option<PathBuf>,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    clock: Option<String>,
    config: String,
    everywhere: bool,
    through: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            engine: None,
            claim: true,
            data: None,
            variables: Vec::new(),
            arguments: Vec::new(),
            clock: None,
            config: String::new(),
            everywhere: false,
            through: Vec::new(),
        }
    }
}

impl Options {
    /// With the tests' engine.
    pub fn docker() -> Options {
        Options::default().engine(crate::docker_host())
    }
    pub fn engine(mut self, host: impl Into<String>) -> Options {
        self.engine = Some(host.into());
        self
    }
    /// Leaves the first account to the test.
    pub fn unclaimed(mut self) -> Options {
        self.claim = false;
        self
    }
    /// In this folder, which the test owns.
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Options {
        self.data = Some(folder.into());
        self
    }
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Options {
        self.variables.push((name.to_owned(), value.into()));
        self
    }
    pub fn argument(mut self, argument: impl Into<String>) -> Options {
        self.arguments.push(argument.into());
        self
    }
    /// With the clock off by this much, such as `+3d` or `-20y` (libfaketime's words); `None` for the right time.
    pub fn clock(mut self, shift: Option<&str>) -> Options {
        self.clock = shift.map(str::to_owned);
        self
    }
    /// Listens on every address of both families, not on 127.0.0.1 alone.
    pub fn everywhere(mut self) -> Options {
        self.everywhere = true;
        self
    }
    /// Started by this command, which gets the program and its arguments and must become it (`exec`).
    pub fn through(mut self, command: &[&str]) -> Options {
        self.through = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }
    /// More lines of its configuration.
    pub fn config(mut self, lines: &str) -> Options {
        self.config.push_str(lines);
        self
    }
    pub async fn start(self) -> TestPanel {
        TestPanel::start_with(self).await
    }
}

/// A running panel, claimed by [`OWNER`] unless asked otherwise.
pub struct TestPanel {
    options: Options,
    _folder: TempDir,
    data: PathBuf,
    pub http_port: u16,
    pub https_port: u16,
    pub panel_port: u16,
    process: Option<Child>,
    /// Takes the place of `process` after an upgrade.
    adopted: Option<u32>,
    printed: Arc<Mutex<String>>,
    owner: Api,
    /// Its first environment: the way to what it made on the engine.
    environment: Option<String>,
    /// So many seconds its clock was turned on by [`TestPanel::start_again_before_a_minute`].
    ahead: u64,
}

impl std::ops::Deref for TestPanel {
    type Target = Api;
    /// The owner's client.
    fn deref(&self) -> &Api {
        &self.owner
    }
}

impl TestPanel {
    /// A panel without an engine.
    pub async fn start() -> TestPanel {
        Options::default().start().await
    }
    /// A panel with the tests' engine. Only tests named `docker_…` call it: they run two at a time.
    pub async fn docker() -> TestPanel {
        Options::docker().start().await
    }

    async fn start_with(options: Options) -> TestPanel {
        let folder = tempfile::Builder::new().prefix("sk-panel-").tempdir().expect("a temporary folder");
        let data = options.data.clone().unwrap_or_else(|| folder.path().join("data"));
        let ports = reserve_ports(3);
        std::fs::write(
            folder.path().join("config.toml"),
            format!("{}{}", options.config, range_of_its_own(ports[0])),
        )
        .expect("the configuration is written");
        let mut panel = TestPanel {
            data,
            http_port: ports[0],
            https_port: ports[1],
            panel_port: ports[2],
            process: None,
            adopted: None,
            printed: Arc::default(),
            owner: Api::nobody(format!("https://127.0.0.1:{}", ports[2])),
            environment: None,
            ahead: 0,
            _folder: folder,
            options,
        };
        panel.spawn();
        panel.ready().await;
        if panel.options.claim {
            panel.claim().await;
        }
        panel
    }

    async fn claim(&mut self) {
        let word = self.setup_word().await;
        let body = json!({"token": word, "email": OWNER.0, "name": "Owner", "password": OWNER.1});
        let browser = self.owner.browser();
        browser.post("/api/v1/setup", body).await.expect(201);
        // A token outlives the ten minutes of a session.
        let made = browser
            .post("/api/v1/tokens", json!({"name": "test", "scope": "admin", "expires_in_days": 1}))
            .await;
        let secret = made.expect(201).json()["secret"].as_str().expect("a new token is shown").to_owned();
        self.owner = self.owner.with_token(secret);
        let projects = self.owner.list("/api/v1/projects").await;
        self.environment = projects[0]["environments"][0]["id"].as_str().map(str::to_owned);
    }

    /// The word of the one-time link that `serve` printed.
    pub async fn setup_word(&self) -> String {
        eventually_ok("serve prints the setup link", STARTS, || async {
            let printed = self.printed();
            let link = printed
                .split_whitespace()
                .find(|word| word.starts_with("https://") && word.contains("setup"))
                .ok_or_else(|| format!("it printed {printed}"))?;
            let word = link.rsplit(['/', '=', '#']).next().unwrap_or_default();
            Ok(word.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric()).to_owned())
        })
        .await
    }

    fn command(&self) -> Command {
        let mut words: Vec<OsString> = self.options.through.iter().map(OsString::from).collect();
        words.push(serverkit_binary().into());
        let mut command = Command::new(words.remove(0));
        command.args(words);
        let none = self._folder.path().join("no-engine.sock");
        let engine = self.options.engine.clone().unwrap_or_else(|| format!("unix://{}", none.display()));
        let here = if self.options.everywhere { "" } else { "127.0.0.1" };
        command
            .arg("serve")
            .arg("--data")
            .arg(&self.data)
            .arg("--config")
            .arg(self._folder.path().join("config.toml"))
            .args(["--http", &format!("{here}:{}", self.http_port)])
            .args(["--https", &format!("{here}:{}", self.https_port)])
            .args(["--panel", &format!("{here}:{}", self.panel_port)])
            .args(&self.options.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self._folder.path())
            .env("DOCKER_HOST", engine)
            .env("RUST_BACKTRACE", "1")
            .envs(self.options.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(shift) = &self.options.clock {
            command
                .env("LD_PRELOAD", libfaketime())
                .env("FAKETIME", shift)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command
    }

    fn spawn(&mut self) {
        let mut process = self.command().spawn().expect("the binary starts");
        keep(process.stdout.take().expect("its output is a pipe"), self.printed.clone());
        keep(process.stderr.take().expect("its output is a pipe"), self.printed.clone());
        self.process = Some(process);
    }

    /// Waits until it answers.
    pub async fn ready(&mut self) {
        let api = self.owner.anonymous();
        let begun = std::time::Instant::now();
        loop {
            if let Ok(reply) = api.try_get("/ready").await
                && reply.status == 200
            {
                return;
            }
            if let Some(status) = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten()) {
                panic!("the panel ended with {status}; it printed\n{}", self.printed());
            }
            assert!(begun.elapsed() < STARTS, "the panel is not ready; it printed\n{}", self.printed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Everything it has printed, over all its starts.
    pub fn printed(&self) -> String {
        self.printed.lock().expect("nobody panics while reading output").clone()
    }
    pub fn data(&self) -> &Path {
        &self.data
    }
    pub fn process_id(&self) -> u32 {
        self.adopted.unwrap_or_else(|| self.process.as_ref().expect("it runs").id())
    }

    /// After an upgrade another process is the panel: waits for the end of the one before.
    pub async fn adopt(&mut self, process: u32) {
        if let Some(mut before) = self.process.take() {
            let ended = tokio::task::spawn_blocking(move || wait_or_kill(&mut before, Duration::from_secs(30)));
            ended
                .await
                .expect("waiting does not panic")
                .expect("the process before ends by itself");
        }
        self.adopted = Some(process);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(process) = self.adopted.take().and_then(pid) {
            let _ = rustix::process::kill_process(process, Signal::KILL);
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
    /// SIGTERM, and waits for the end; `None` when it had to be killed.
    pub async fn stop(&mut self) -> Option<ExitStatus> {
        if let Some(process) = self.adopted.take() {
            let _ = pid(process).map(|process| rustix::process::kill_process(process, Signal::TERM));
            let gone = format!("/proc/{process}");
            eventually("the adopted process ends", Duration::from_secs(45), || async {
                // Whoever takes in orphans here may leave it as a zombie.
                let state = std::fs::read_to_string(format!("{gone}/stat")).unwrap_or_default();
                (state.is_empty() || state.contains(") Z ")).then_some(())
            })
            .await;
            return None;
        }
        let mut process = self.process.take()?;
        signal(&process, Signal::TERM);
        // Not on this thread: our own connections must see that they are to end.
        let ended = tokio::task::spawn_blocking(move || wait_or_kill(&mut process, Duration::from_secs(45)));
        ended.await.expect("waiting does not panic")
    }
    /// Starts it again on the same data and ports, and waits until it answers.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none() && self.adopted.is_none(), "it still runs");
        self.spawn();
        self.ready().await;
    }
    /// Starts it again on the same data with its clock turned on to a few seconds before a minute begins: nobody has to wait for what
    /// happens by the clock. Should the start take longer than that, the minute began while it was off.
    pub async fn start_again_before_a_minute(&mut self) {
        const BEFORE: u64 = 6;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs() + self.ahead;
        self.ahead += (120 - BEFORE - now % 60) % 60;
        let shift = format!("+{}", self.ahead);
        self.start_again_with(|options| options.clock(Some(&shift))).await;
    }
    /// Starts it again with other options on the same data.
    pub async fn start_again_with(&mut self, change: impl FnOnce(Options) -> Options) {
        self.options = change(self.options.clone());
        self.start_again().await;
    }

    /// A second `serve` on the same data directory; the answer is what it printed and its exit code.
    pub async fn serve_beside(&self) -> Output {
        let ports = reserve_ports(3)
            .into_iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect::<Vec<_>>();
        let data = self.data.display().to_string();
        let arguments = [
            "serve", "--data", &data, "--http", &ports[0], "--https", &ports[1], "--panel", &ports[2],
        ];
        run_serverkit(self._folder.path(), &[], &arguments, "").await
    }

    /// The command line on this machine, by the panel's socket.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        let data = self.data.display().to_string();
        let all: Vec<&str> = ["--data", &data].iter().chain(arguments).copied().collect();
        run_serverkit(self._folder.path(), &[], &all, "").await
    }

    /// The panel's TLS port as an address for browsers and the command line.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.panel_port)
    }
    /// A page of an app's domain over HTTPS.
    pub fn site(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.https_port)
    }
    /// The same over plain HTTP.
    pub fn plain_site(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.http_port)
    }
    /// Looks at a page of an app as a visitor.
    pub async fn visit(&self, host: &str, path: &str) -> Reply {
        let visitor = self.owner.anonymous();
        visitor.get(&self.site(host, path)).await
    }

    /// A WebSocket of the API, as the owner.
    pub async fn socket(&self, path: &str) -> Socket {
        let request = self
            .owner
            .request(reqwest::Method::GET, path)
            .build()
            .expect("the path is well-formed");
        let signed = request.headers()["authorization"]
            .to_str()
            .expect("a token is plain text")
            .to_owned();
        let url = format!("wss://127.0.0.1:{}{path}", self.panel_port);
        match Socket::open(&url, &[("authorization", &signed)]).await {
            Ok(socket) => socket,
            Err((status, why)) => panic!("{path} answered {status}: {why}"),
        }
    }

    /// Makes an app; the body may leave out everything but `name` and `source`.
    pub async fn create_app(&self, body: Value) -> Value {
        self.owner.post("/api/v1/apps", body).await.expect(201).json()
    }
    /// Asks for a deployment; the answer is its id.
    pub async fn deploy(&self, app: &str) -> String {
        let path = format!("/api/v1/apps/{app}/deployments");
        id(&self.owner.post(&path, json!({})).await.expect(202).json())
    }
    /// The newest deployment of an app.
    pub async fn newest(&self, app: &str) -> Value {
        let page = self
            .owner
            .get(&format!("/api/v1/apps/{app}/deployments?limit=1"))
            .await
            .expect(200)
            .json();
        page["items"][0].clone()
    }
    pub async fn deployment(&self, id: &str) -> Value {
        self.owner.get(&format!("/api/v1/deployments/{id}")).await.expect(200).json()
    }
    /// A new app, waited for until it is live.
    pub async fn live_app(&self, body: Value) -> Value {
        let app = self.create_app(body).await;
        let name = app["id"].as_str().expect("an app has an id").to_owned();
        let deployment = self.newest(&name).await;
        self.live(&id(&deployment)).await;
        self.owner.get(&format!("/api/v1/apps/{name}")).await.expect(200).json()
    }
    /// The whole build and start log of a deployment.
    pub async fn build_log(&self, id: &str) -> String {
        let path = format!("/api/v1/deployments/{id}/log.txt");
        self.owner.get(&path).await.text()
    }

    /// A person with a role, as an API client with a token of a scope.
    pub async fn member(&self, role: &str, scope: &str) -> Api {
        let (email, password) = (format!("{role}-{scope}@example.test"), format!("twelve {role} {scope} lanterns"));
        let body = json!({"email": email, "name": role, "role": role, "password": password});
        self.owner.post("/api/v1/users", body).await.expect(201);
        let browser = self.owner.signed_in(&email, &password).await;
        let body = json!({"name": "test", "scope": scope, "expires_in_days": 1});
        let made = browser.post("/api/v1/tokens", body).await.expect(201).json();
        browser.with_token(made["secret"].as_str().expect("a new token is shown"))
    }

    /// A person who has nothing but a role that is made for them, as an API client with a token of all scopes.
    pub async fn custom_member(&self, role: &str, rights: &[&str]) -> Api {
        let body = json!({"name": role, "rights": rights});
        self.owner.post("/api/v1/roles", body).await.expect(201);
        let email = format!("{}@custom.test", role.replace(' ', "-"));
        let password = format!("thirteen {role} lanterns");
        let body = json!({"email": email, "name": role, "role": "member", "password": password});
        self.owner.post("/api/v1/users", body).await.expect(201);
        let body = json!({"role": role, "to": format!("user:{email}"), "place": "organization"});
        self.owner.post("/api/v1/grants", body).await.expect(201);
        let browser = self.owner.signed_in(&email, &password).await;
        let body = json!({"name": "test", "scope": "admin", "expires_in_days": 1});
        let made = browser.post("/api/v1/tokens", body).await.expect(201).json();
        browser.with_token(made["secret"].as_str().expect("a new token is shown"))
    }

    /// Another organization of the owner's. Answers a browser of theirs that has switched to it.
    pub async fn organization(&self, name: &str) -> Api {
        let made = json!({"name": name, "owner": OWNER.0});
        self.owner.post("/api/v1/organizations", made).await.expect(201);
        let browser = self.owner.signed_in(OWNER.0, OWNER.1).await;
        let switch = json!({"organization": name});
        let session = browser.post("/api/v1/session/switch", switch).await.expect(200).json();
        assert_eq!(session["organization"]["name"], name);
        browser
    }

    /// Ends a process that took over and that the test did not get to adopt: it holds the data folder.
    fn kill_holder(&self) {
        let lock = std::fs::read_to_string(self.data.join("lock")).unwrap_or_default();
        let holder = lock.split_whitespace().find_map(|word| word.parse::<u32>().ok());
        let command = |process| std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let ours = self.data.display().to_string();
        if let Some(process) = holder.filter(|process| String::from_utf8_lossy(&command(*process)).contains(&ours)) {
            let _ = pid(process).map(|process| rustix::process::kill_process(process, Signal::KILL));
        }
    }

    /// Everything on the engine with the label of the organization that its first environment is in.
    fn remove_what_it_made(&self) {
        let (Some(engine), Some(environment)) = (&self.options.engine, &self.environment) else {
            return;
        };
        let filter = format!("label=serverkit.environment={environment}");
        let format = "{{.Label \"serverkit.organization\"}}";
        let networks = docker(engine, &["network", "ls", "--filter", &filter, "--format", format]);
        for organization in networks.unwrap_or_default().lines() {
            remove_labelled(engine, &format!("serverkit.organization={organization}"));
        }
    }
}

impl Drop for TestPanel {
    fn drop(&mut self) {
        self.kill();
        self.kill_holder();
        self.remove_what_it_made();
        if std::thread::panicking() {
            println!("--- the panel printed\n{}", self.printed());
        }
    }
}

/// The library that turns the clock of a process (Debian package faketime).
fn libfaketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("there are libraries");
    let found = folders
        .filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketimeMT.so.1")))
        .find(|path| path.is_file());
    found.expect("libfaketime is installed (Debian package faketime)")
}

/// Panels of tests that run beside each other on one engine need subnets that do not overlap.
fn range_of_its_own(port: u16) -> String {
    // Nobody answers there: no test asks public name servers.
    let nobody = "[acme]\ndns_servers = [\"127.0.0.1:9\"]\n";
    format!(
        "{nobody}[network]\nrange = \"10.{}.{}.0/20\"\n",
        202 + port % 48,
        port / 48 % 16 * 16
    )
}

fn pid(process: u32) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(process).ok()?)
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("a record has an id").to_owned()
}

/// Reads what a process prints, on a thread of its own, until it ends.
fn keep(from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { return };
            let mut into = into.lock().expect("nobody panics while reading output");
            into.push_str(&String::from_utf8_lossy(&line));
            into.push('\n');
        }
    });
}

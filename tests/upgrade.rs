//! Another version takes over: nothing is refused meanwhile, and one that fails leaves the version before.
//!
//! The other version is this very program behind a small script that answers `--version` with another number, or that
//! fails in the way a test needs.

use serde_json::json;
use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tempfile::TempDir;
use testkit::{Http3, Load, Options, TestPanel, eventually, eventually_ok, serverkit_binary};

struct Release {
    folder: TempDir,
    keys: minisign::KeyPair,
}

impl Release {
    fn new() -> Release {
        Release {
            folder: tempfile::tempdir().unwrap(),
            keys: minisign::KeyPair::generate_unencrypted_keypair().unwrap(),
        }
    }

    /// A program of this version that runs `serve` for anything else than `--version`, signed.
    fn program(&self, version: &str, serve: &str) -> PathBuf {
        let path = self.folder.path().join(format!("serverkit-{version}"));
        let text = format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'serverkit {version}'; exit; fi\n{serve}\n");
        fs::write(&path, &text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.sign(&path, &self.keys);
        path
    }

    fn sign(&self, path: &Path, keys: &minisign::KeyPair) {
        let signature = minisign::sign(None, &keys.sk, fs::read(path).unwrap().as_slice(), None, None).unwrap();
        fs::write(format!("{}.minisig", path.display()), signature.to_string()).unwrap();
    }

    /// A panel that knows the key and watches a new version for `window` seconds.
    async fn panel(&self, window: u32, options: Options) -> TestPanel {
        let key = self.keys.pk.to_base64();
        let config = format!("drain_seconds = 2\n[upgrade]\nkey = \"{key}\"\nwindow_seconds = {window}\n");
        options.config(&config).start().await
    }
}

/// A panel with a site of its own at `a.test`, over HTTP/3 too.
async fn over_http3(panel: &TestPanel) {
    let app = json!({"name": "a", "source": {"kind": "image", "reference": "nginx"}, "domains": ["a.test"], "deploy": false});
    panel.create_app(app).await;
    let respond = json!({"name": "say", "action": {"kind": "respond", "status": 200, "content_type": "text/plain", "body": "here"}});
    panel.post("/api/v1/domains/a.test/rules", respond).await.expect(201);
    panel.patch("/api/v1/edge/options", json!({"http3": true})).await.expect(200);
}

fn real() -> String {
    serverkit_binary().display().to_string()
}

async fn upgrade(panel: &TestPanel, program: &Path, more: &[&str]) -> testkit::Output {
    let program = program.display().to_string();
    panel.cli(&[&["upgrade", "--binary", &program][..], more].concat()).await
}

#[tokio::test]
async fn the_new_version_serves_and_nothing_is_refused() {
    let release = Release::new();
    let notices = release.folder.path().join("notify");
    let systemd = UnixDatagram::bind(&notices).unwrap();
    systemd.set_nonblocking(true).unwrap();
    let options = Options::default().variable("NOTIFY_SOCKET", notices.display().to_string());
    let mut panel = release.panel(3, options).await;
    panel.post("/api/v1/projects", json!({"name": "before"})).await.expect(201);
    let program = release.program("99.0.0", &format!("exec {} \"$@\"", real()));
    let load = Load::start(&format!("{}/health", panel.url()), 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let output = upgrade(&panel, &program, &[]).await;
    assert_eq!(output.code, 0, "{}{}\n{}", output.stdout, output.stderr, panel.printed());
    assert!(output.stdout.contains("99.0.0 runs"), "{}", output.stdout);
    panel.post("/api/v1/projects", json!({"name": "after"})).await.expect(201);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let report = load.finish().await;
    assert_eq!(report.failed, 0, "{:?}\n{}", report.reasons, panel.printed());

    // systemd hears who is the panel now.
    let mut said = String::new();
    let mut datagram = [0; 4096];
    while let Ok(length) = systemd.recv(&mut datagram) {
        said.push_str(&String::from_utf8_lossy(&datagram[..length]));
        said.push('\n');
    }
    let process = said.lines().find_map(|line| line.strip_prefix("MAINPID=")).expect(&said);
    let before = panel.process_id();
    panel.adopt(process.parse().unwrap()).await;
    assert_ne!(before, panel.process_id());
    let names: Vec<String> = panel
        .list("/api/v1/projects")
        .await
        .iter()
        .map(|one| one["name"].to_string())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");

    // The program that the service manager starts finds its successor.
    panel.stop().await;
    panel.start_again().await;
    let version = panel.get("/api/v1/version").await.expect(200).json();
    assert_eq!(version["upgrade"]["state"], "done", "{version}");
    let line = fs::read_to_string(format!("/proc/{}/environ", panel.process_id())).unwrap();
    assert!(line.contains("SERVERKIT_SUCCESSOR=1"), "it went through the program of the upgrade");
}

#[tokio::test]
async fn a_new_version_that_fails_leaves_the_one_before() {
    let release = Release::new();
    let panel = release.panel(6, Options::default()).await;
    let load = Load::start(&format!("{}/health", panel.url()), 100);
    for (version, serve, why) in [
        (
            "99.0.1",
            "echo \"thread 'main' panicked at src/main.rs\" >&2; exit 101".to_owned(),
            "exit status: 101",
        ),
        ("99.0.2", "sleep 60".to_owned(), "it said nothing for 20 s"),
        ("99.0.3", format!("timeout -s KILL 3 {} \"$@\"", real()), "it ended"),
    ] {
        let program = release.program(version, &serve);
        let output = upgrade(&panel, &program, &[]).await;
        assert_eq!(output.code, 1, "{version}: {}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains(why), "{version}: {}\n{}", output.stderr, panel.printed());
        panel
            .post("/api/v1/projects", json!({"name": format!("after-{}", version.replace('.', "-"))}))
            .await
            .expect(201);
        let last = panel.get("/api/v1/version").await.expect(200).json();
        assert_eq!(last["upgrade"]["state"], "failed", "{last}");
    }
    assert_eq!(panel.list("/api/v1/projects").await.len(), 4);
    let report = load.finish().await;
    // The one that was killed while it served took its requests under way with it.
    assert!(report.failed < 60, "{} of {}: {:?}", report.failed, report.sent, report.reasons);
    assert!(panel.process_id() > 0);
}

#[tokio::test]
async fn programs_that_are_not_taken() {
    let release = Release::new();
    let panel = release.panel(3, Options::default()).await;
    let serve = format!("exec {} \"$@\"", real());
    let refused = async |program: &Path, more: &[&str], why: &str| {
        let output = upgrade(&panel, program, more).await;
        assert_ne!(output.code, 0, "{why}: {}", output.stdout);
        assert!(output.stderr.contains(why), "{why}: {}", output.stderr);
    };
    let old = release.program("0.0.1", &serve);
    refused(&old, &[], "it is version 0.0.1").await;
    let stranger = release.program("99.0.0", &serve);
    release.sign(&stranger, &minisign::KeyPair::generate_unencrypted_keypair().unwrap());
    refused(&stranger, &[], "not that of the release key").await;
    let changed = release.program("99.0.1", &serve);
    fs::write(&changed, "#!/bin/sh\necho serverkit 99.0.1\n").unwrap();
    refused(&changed, &[], "not that of the release key").await;
    fs::remove_file(format!("{}.minisig", changed.display())).unwrap();
    refused(&changed, &[], "cannot read").await;
    let other = release.program("99.0.2", "exit 1");
    fs::write(&other, "#!/bin/sh\necho hello\n").unwrap();
    refused(&other, &["--unsigned"], "it is no serverkit").await;
    fs::write(&other, [0x7f, b'E', b'L', b'F', 0, 1, 2, 3]).unwrap();
    refused(&other, &["--unsigned"], "it is no serverkit").await;
    refused(Path::new("/nonexistent"), &[], "cannot read").await;
    // An administrator elsewhere has no say in what runs on the machine.
    let body = json!({"path": stranger.display().to_string(), "unsigned": true});
    panel.post("/api/v1/version", body).await.expect(403);
    assert_eq!(
        panel.get("/api/v1/version").await.expect(200).json()["upgrade"],
        serde_json::Value::Null
    );
    eventually("nothing is left behind", Duration::from_secs(5), || async {
        let left = fs::read_dir(panel.data()).unwrap().flatten();
        left.into_iter()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with("upgrade-"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_failed_version_left_in_a_newer_format_is_put_aside() {
    let release = Release::new();
    let panel = release.panel(6, Options::default()).await;
    panel.post("/api/v1/projects", json!({"name": "before"})).await.expect(201);
    let data = panel.data().display().to_string();
    // It takes over, is killed while it is watched, and the directory is of its format then.
    let serve = format!(
        "timeout -s KILL 3 {} \"$@\"\nsed -i 's/\"format\": [0-9]*/\"format\": 999/' {data}/format\nexit 1",
        real()
    );
    let program = release.program("99.1.0", &serve);
    let output = upgrade(&panel, &program, &[]).await;
    assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
    panel.post("/api/v1/projects", json!({"name": "after"})).await.expect(201);
    let names = panel.list("/api/v1/projects").await;
    assert!(names.iter().any(|one| one["name"] == "before"), "{names:?}");
    assert!(
        panel.printed().contains("the state is as it was before the upgrade"),
        "{}",
        panel.printed()
    );
    let aside = fs::read_dir(&data).unwrap().flatten();
    assert!(
        aside
            .into_iter()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("journal.broken-"))
    );

    // Programs that failed do not pile up.
    let program = release.program("99.1.1", "exit 1");
    assert_eq!(upgrade(&panel, &program, &[]).await.code, 1);
    let program = release.program("99.1.2", "exit 1");
    assert_eq!(upgrade(&panel, &program, &[]).await.code, 1);
    assert_eq!(fs::read_dir(format!("{data}/binaries")).unwrap().count(), 1);
}

/// A port without HTTP listens all the time: its sockets are handed over too, and come back from a version that fails.
#[tokio::test]
async fn ports_without_http_refuse_nobody_meanwhile() {
    let release = Release::new();
    let panel = release.panel(2, Options::default()).await;
    let app = json!({"name": "a", "source": {"kind": "image", "reference": "nginx"}, "deploy": false});
    panel.create_app(app).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for listen in [format!("tcp/{free}"), format!("udp/{free}")] {
        let wish = json!({"listen": listen, "app": "a", "target_port": 1});
        panel.post("/api/v1/ports", wish).await.expect(201);
    }
    let (tries, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (tried, said_no) = (tries.clone(), refused.clone());
    let knocking = tokio::spawn(async move {
        loop {
            // Nobody runs behind it, so a connection is taken and closed.
            let answer = tokio::net::TcpStream::connect(("127.0.0.1", free)).await;
            said_no.fetch_add(usize::from(answer.is_err()), SeqCst);
            tried.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let fails = release.program("99.2.0", &format!("timeout -s KILL 1 {} \"$@\"\nexit 1", real()));
    assert_eq!(upgrade(&panel, &fails, &[]).await.code, 1);
    let ports = panel.list("/api/v1/ports").await;
    assert!(ports.iter().all(|port| port["report"]["error"].is_null()), "{ports:?}");
    let program = release.program("99.2.1", &format!("exec {} \"$@\"", real()));
    let output = upgrade(&panel, &program, &[]).await;
    assert_eq!(output.code, 0, "{}{}\n{}", output.stdout, output.stderr, panel.printed());
    let before = tries.load(SeqCst);
    eventually("it is knocked at in the new version too", Duration::from_secs(10), || async {
        (tries.load(SeqCst) > before + 20).then_some(())
    })
    .await;
    knocking.abort();
    assert!(before > 100, "{before} tries");
    assert_eq!(refused.load(SeqCst), 0, "of {before} connections\n{}", panel.printed());
    eventually("both are open in the new version", Duration::from_secs(10), || async {
        let ports = panel.list("/api/v1/ports").await;
        ports.iter().all(|port| port["report"]["bound"].is_string()).then_some(())
    })
    .await;
    assert!(!panel.printed().contains("the port cannot be opened"), "{}", panel.printed());
}

/// The socket of HTTP/3 is handed over: while one version goes and the other comes, and when one fails, clients that connect
/// are answered, and those that are connected are until they are told to go.
#[tokio::test]
async fn http_3_is_answered_all_the_time() {
    let release = Release::new();
    let panel = release.panel(3, Options::default()).await;
    over_http3(&panel).await;
    let port = panel.https_port;
    let first = || Http3::connect(port, "a.test");
    let mut kept = eventually_ok("HTTP/3 answers", Duration::from_secs(20), first).await;
    let (tries, wrong) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new(Vec::new())));
    let (tried, found) = (tries.clone(), wrong.clone());
    let knocking = tokio::spawn(async move {
        // Nobody tells clients of a process that was killed: they notice by its silence.
        loop {
            let answer = async { Http3::connect(port, "a.test").await?.get("/").await };
            let answer = tokio::time::timeout(Duration::from_secs(3), answer).await;
            let answer = answer.unwrap_or_else(|_| Err("silence".into()));
            if answer != Ok((200, "here".to_owned())) {
                found.lock().unwrap().push(answer);
            }
            tried.fetch_add(1, SeqCst);
            // One that is kept is told to come again when its version goes.
            let known = tokio::time::timeout(Duration::from_secs(3), kept.get("/")).await;
            if !matches!(known, Ok(Ok(_))) {
                match Http3::connect(port, "a.test").await {
                    Ok(again) => kept = again,
                    Err(why) => found.lock().unwrap().push(Err(why)),
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let fails = release.program("99.3.0", &format!("timeout -s KILL 1 {} \"$@\"\nexit 1", real()));
    assert_eq!(upgrade(&panel, &fails, &[]).await.code, 1);
    let program = release.program("99.3.1", &format!("exec {} \"$@\"", real()));
    let output = upgrade(&panel, &program, &[]).await;
    assert_eq!(output.code, 0, "{}{}\n{}", output.stdout, output.stderr, panel.printed());
    let before = tries.load(SeqCst);
    eventually("the new version answers", Duration::from_secs(20), || async {
        (tries.load(SeqCst) > before + 20).then_some(())
    })
    .await;
    knocking.abort();
    // One that was killed while it served took its connections with it; no other client may notice.
    let wrong = std::mem::take(&mut *wrong.lock().unwrap());
    assert!(before > 20 && wrong.len() <= 3, "of {before}: {wrong:?}\n{}", panel.printed());
    assert!(!panel.printed().contains("HTTP/3 is not served"), "{}", panel.printed());
    let process = panel.get("/api/v1/version").await.expect(200).json();
    assert_eq!(process["upgrade"]["state"], "done", "{process}");
}

/// A UDP client keeps its way to the app: the app knows it by the same port before and after.
#[tokio::test]
async fn docker_udp_clients_keep_their_ways() {
    let release = Release::new();
    let panel = release.panel(2, Options::docker()).await;
    let repository = crate::ports::sample();
    panel.live_app(crate::deploy::app_of("wires", &repository)).await;
    let port = testkit::free_port();
    let wish = json!({"listen": format!("udp/{port}"), "app": "wires", "target_port": 9001});
    panel.post("/api/v1/ports", wish).await.expect(201);
    let client = crate::ports::udp_client(port).await;
    let way = async || {
        let ask = || crate::ports::datagram(&client, "ping");
        eventually_ok("the app answers", Duration::from_secs(20), ask).await
    };
    let before = way().await;
    let program = release.program("99.4.0", &format!("exec {} \"$@\"", real()));
    let output = upgrade(&panel, &program, &[]).await;
    assert_eq!(output.code, 0, "{}{}\n{}", output.stdout, output.stderr, panel.printed());
    for _ in 0..3 {
        assert_eq!(way().await, before);
    }
}

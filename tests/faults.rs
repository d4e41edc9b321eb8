//! What machines do to a panel: kills at any instant, a broken or full disk, an engine that goes, ports and folders in use. A disk
//! that does not answer is in `stuck_disk.rs`.

use crate::deploy::{app_of, containers, text};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use testkit::{GitFixture, GitServer, OWNER, Options, PrivateEngine, TestPanel, eventually, eventually_ok, run_serverkit};

pub fn image_app(name: &str) -> Value {
    json!({"name": name, "source": {"kind": "image", "reference": "nginx:1.22"}, "deploy": false})
}

#[tokio::test]
async fn two_panels_on_one_directory() {
    let panel = TestPanel::start().await;
    let second = panel.serve_beside().await;
    assert_eq!(second.code, 1, "{}{}", second.stdout, second.stderr);
    let pid = panel.process_id().to_string();
    assert!(second.stderr.contains(&pid), "it says who holds it (pid {pid}): {}", second.stderr);
    assert!(second.stderr.trim().lines().count() <= 2, "one sentence: {}", second.stderr);
    panel.get("/api/v1/apps").await.expect(200);
}

#[tokio::test]
async fn ports_that_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let free: Vec<String> = testkit::reserve_ports(2)
        .into_iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    for place in 0..3 {
        let mut addresses = vec![free[0].as_str(), free[1].as_str()];
        addresses.insert(place, &taken);
        let data = folder.path().join(format!("data{place}")).display().to_string();
        let arguments = [
            "serve",
            "--data",
            &data,
            "--http",
            addresses[0],
            "--https",
            addresses[1],
            "--panel",
            addresses[2],
        ];
        let output = run_serverkit(folder.path(), &[("DOCKER_HOST", "unix:///nonexistent")], &arguments, "").await;
        assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
        let port = taken.rsplit(':').next().unwrap();
        assert!(output.stderr.contains(port), "it names the port: {}", output.stderr);
        let pid = std::process::id().to_string();
        assert!(output.stderr.contains(&pid), "it names the process {pid}: {}", output.stderr);
    }
}

#[tokio::test]
async fn folders_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for data in [file.clone(), file.join("below"), PathBuf::from("/proc/nothing"), PathBuf::from("")] {
        let data = data.display().to_string();
        let arguments = [
            "serve",
            "--data",
            &data,
            "--http",
            "127.0.0.1:0",
            "--https",
            "127.0.0.1:0",
            "--panel",
            "127.0.0.1:0",
        ];
        let output = run_serverkit(folder.path(), &[("DOCKER_HOST", "unix:///nonexistent")], &arguments, "").await;
        assert!(
            matches!(output.code, 1 | 2),
            "{data:?}: {} {}{}",
            output.code,
            output.stdout,
            output.stderr
        );
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    }
}

#[tokio::test]
async fn killed_during_writes() {
    kill_during_writes(40).await;
}

#[tokio::test]
#[ignore = "long: tests/run.sh --long"]
async fn killed_200_times_during_writes() {
    kill_during_writes(200).await;
}

/// Names acknowledged before each kill are there after it.
async fn kill_during_writes(cycles: u64) {
    let mut panel = TestPanel::start().await;
    let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    for cycle in 0..cycles {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (api, acknowledged) = (panel.with_token(token(&panel)), acknowledged.clone());
                tokio::spawn(async move {
                    for number in 0.. {
                        let name = format!("p{cycle}-{writer}-{number}");
                        let request = api.request(reqwest::Method::POST, "/api/v1/projects").json(&json!({"name": name}));
                        match api.try_send(request).await {
                            Ok(reply) if reply.status == 201 => acknowledged.lock().unwrap().insert(name),
                            _ => return,
                        };
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20 + cycle * 37 % 180)).await;
        panel.kill();
        for writer in writers {
            writer.await.unwrap();
        }
        panel.start_again().await;
        if cycle % 10 == 9 {
            let there: BTreeSet<String> = panel
                .list("/api/v1/projects?limit=500")
                .await
                .iter()
                .map(|one| text(one, "name"))
                .collect();
            let lost: Vec<String> = acknowledged.lock().unwrap().difference(&there).cloned().collect();
            assert!(lost.is_empty(), "lost by cycle {cycle}: {lost:?}");
        }
    }
    let count = acknowledged.lock().unwrap().len();
    println!("{cycles} kills, {count} acknowledged writes, none lost");
    assert!(count > cycles as usize);
}

pub fn token(panel: &TestPanel) -> String {
    let request = panel.request(reqwest::Method::GET, "/").build().unwrap();
    let line = request.headers()["authorization"].to_str().unwrap().to_owned();
    line.trim_start_matches("Bearer ").to_owned()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push(path)
        }
    }
    found
}

/// Bytes flipped in sled's file: what was acknowledged comes back from the journal and the snapshots.
#[tokio::test]
async fn a_flipped_byte_in_the_state() {
    let mut panel = TestPanel::start().await;
    for number in 0..30 {
        panel.create_app(image_app(&format!("app-{number}"))).await;
    }
    let set = json!({"set": [{"key": "PASSWORD", "value": "kept-4711", "secret": true}], "unset": []});
    panel.patch("/api/v1/apps/app-3/variables", set).await.expect(200);
    for place in [0, 7, 100, 2_000, 20_000] {
        panel.stop().await;
        let sled: Vec<PathBuf> = files(panel.data())
            .into_iter()
            .filter(|path| path.file_name().is_some_and(|name| name == "db" || name == "conf") || path.to_string_lossy().contains("blobs"))
            .collect();
        assert!(
            !sled.is_empty(),
            "no file of sled below {:?}: {:?}",
            panel.data(),
            files(panel.data())
        );
        for file in &sled {
            let mut bytes = fs::read(file).unwrap();
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 0x55;
            }
            fs::write(file, bytes).unwrap();
        }
        panel.start_again().await;
        assert_eq!(panel.list("/api/v1/apps").await.len(), 30, "with byte {place} flipped");
        let open = panel.list("/api/v1/apps/app-3/variables?reveal=true").await;
        assert_eq!(open[0]["value"], "kept-4711", "with byte {place} flipped");
        panel
            .post("/api/v1/projects", json!({"name": format!("after-{place}")}))
            .await
            .expect(201);
    }
    // The whole of sled gone.
    panel.stop().await;
    for file in files(panel.data())
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name == "db"))
    {
        fs::write(file, vec![0xff; 4096]).unwrap();
    }
    panel.start_again().await;
    assert_eq!(panel.list("/api/v1/apps").await.len(), 30);
    assert_eq!(panel.list("/api/v1/projects").await.len(), 6);
}

/// A folder on a disk of its own, of so many MiB; unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(mebibytes: u32) -> SmallDisk {
        let folder = tempfile::Builder::new().prefix("sk-disk-").tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(mounted.success(), "this test mounts a small disk, which needs root");
        SmallDisk(folder)
    }
    /// Leaves `left` bytes.
    fn fill(&self, left: u64) -> PathBuf {
        let path = self.0.path().join("filler");
        let free = Command::new("df")
            .args(["-B1", "--output=avail"])
            .arg(self.0.path())
            .output()
            .unwrap();
        let free: u64 = String::from_utf8(free.stdout)
            .unwrap()
            .lines()
            .nth(1)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // The panel writes too: that the disk is full before the last byte is as good.
        match fs::write(&path, vec![0; usize::try_from(free.saturating_sub(left)).unwrap()]) {
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {}
            written => written.unwrap(),
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// A disk without room: writes are refused in words, nothing acknowledged is lost, and all is well once there is room.
#[tokio::test]
async fn a_full_disk() {
    let disk = SmallDisk::new(160);
    let mut panel = Options::default().data(disk.0.path().join("data")).start().await;
    panel.create_app(image_app("before")).await;
    let filler = disk.fill(0);
    let mut refused = 0;
    let mut acknowledged = vec!["before".to_owned()];
    for number in 0..40 {
        let name = format!("app-{number}");
        let reply = panel.post("/api/v1/apps", image_app(&name)).await;
        match reply.status.as_u16() {
            201 => acknowledged.push(name),
            status => {
                refused += 1;
                assert!(matches!(status, 500 | 503 | 507), "{}", reply.text());
                assert!(!reply.detail().is_empty(), "{}", reply.text());
            }
        }
    }
    assert!(refused > 0, "a full disk takes no writes");
    panel.get("/api/v1/apps").await.expect(200);
    fs::remove_file(&filler).unwrap();
    eventually("writes are taken again", Duration::from_secs(20), || async {
        let reply = panel.post("/api/v1/apps", image_app("after")).await;
        matches!(reply.status.as_u16(), 201 | 409).then_some(())
    })
    .await;
    acknowledged.push("after".to_owned());
    let check = async |panel: &TestPanel, when: &str| {
        let there: BTreeSet<String> = panel.list("/api/v1/apps").await.iter().map(|app| text(app, "name")).collect();
        let lost: Vec<&String> = acknowledged.iter().filter(|name| !there.contains(*name)).collect();
        assert!(lost.is_empty(), "{when}: {lost:?} were acknowledged and are lost");
    };
    check(&panel, "with room again").await;
    panel.kill();
    panel.start_again().await;
    check(&panel, "after a restart").await;
    // Full again, and killed in that state.
    let filler = disk.fill(0);
    panel.post("/api/v1/projects", json!({"name": "no-room"})).await;
    panel.kill();
    fs::remove_file(filler).unwrap();
    panel.start_again().await;
    check(&panel, "after a kill on a full disk").await;
}

/// The disk fills while a deployment fetches: it fails in words, and the old release serves on.
#[tokio::test]
async fn docker_a_disk_that_fills_during_a_build() {
    let disk = SmallDisk::new(160);
    let panel = Options::docker().data(disk.0.path().join("data")).start().await;
    let repository = GitFixture::sample("hello");
    let app = panel.live_app(app_of("hello", &repository)).await;
    let noise = Command::new("head")
        .args(["-c", "60000000", "/dev/urandom"])
        .output()
        .unwrap()
        .stdout;
    fs::write(repository.tree().join("large"), noise).unwrap();
    repository.push("a large file");
    let filler = disk.fill(20 << 20);
    let id = panel.deploy("hello").await;
    let error = panel.fails(&id).await;
    assert!(
        error.contains("space") || error.contains("disk") || error.contains("room"),
        "{error}"
    );
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");
    fs::remove_file(filler).unwrap();
    let id = panel.deploy("hello").await;
    panel.live(&id).await;
    eventually("the old container goes", Duration::from_secs(40), || async {
        (containers(&app).len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_an_engine() {
    let panel = TestPanel::start().await;
    let servers = panel.list("/api/v1/servers").await;
    let engine = &servers[0]["engine"];
    assert_eq!(engine["up"], false, "{engine}");
    assert!(text(engine, "why").len() > 10 && text(engine, "fix").len() > 5, "{engine}");
    let findings = panel.get("/api/v1/doctor").await.expect(200).json();
    let finding = findings["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["check"] == "engine")
        .unwrap()
        .clone();
    assert_eq!(finding["level"], "problem");
    assert!(!text(&finding, "fix").is_empty());
    // An app can be made; its deployment ends in words, or waits in words.
    let body = json!({"name": "web", "source": {"kind": "image", "reference": "nginx:1.22"}, "domains": ["web.test"]});
    panel.create_app(body).await;
    eventually_ok("it says what is missing", Duration::from_secs(60), || async {
        let newest = panel.newest("web").await;
        let words = format!("{} {}", newest["error"], panel.build_log(&text(&newest, "id")).await);
        let known = ["engine", "Docker"].iter().any(|word| words.contains(word));
        known.then_some(()).ok_or_else(|| newest.to_string())
    })
    .await;
    panel.visit("web.test", "/").await.expect(503);
    panel.get("/api/v1/overview").await.expect(200);
    panel.get("/api/v1/apps/web/logs").await;
    panel.get("/api/v1/apps").await.expect(200);
}

/// The engine goes while apps run, is silent for a while, and comes back.
#[tokio::test]
async fn docker_the_engine_stops_and_starts() {
    let mut engine = PrivateEngine::start(&["tests/http:latest"]).await;
    let panel = Options::default().engine(engine.host()).start().await;
    let body = json!({
        "name": "web",
        "source": {"kind": "image", "reference": "tests/http:latest"},
        "variables": [{"key": "MESSAGE", "value": "still here"}],
        "domains": ["web.test"],
    });
    panel.live_app(body).await;
    let serves = async || {
        let reply = panel.anonymous().try_get(&panel.site("web.test", "/")).await;
        reply.is_ok_and(|reply| reply.status == 200 && reply.text().contains("still here"))
    };
    assert!(serves().await);

    // Silent: it takes connections and says nothing. The site and the panel do not care.
    engine.freeze();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        assert!(serves().await, "the edge needs the engine to serve");
        let asked = Instant::now();
        panel.get("/api/v1/apps/web").await.expect(200);
        assert!(asked.elapsed() < Duration::from_secs(5), "the panel waits for a silent engine");
    }
    let waiting = panel.deploy("web").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    engine.thaw();
    let over = panel.over(&waiting, Duration::from_secs(120)).await;
    println!("a deployment while the engine is silent: {} {}", over["phase"], over["error"]);
    eventually("the site serves", Duration::from_secs(60), || async {
        serves().await.then_some(())
    })
    .await;

    // Gone, with its containers.
    engine.stop();
    eventually("the panel knows", Duration::from_secs(30), || async {
        (panel.list("/api/v1/servers").await[0]["engine"]["up"] == false).then_some(())
    })
    .await;
    panel.get("/api/v1/apps/web").await.expect(200);
    let id = panel.deploy("web").await;
    // The edge keeps its last route; that nothing is behind it any more it learns when it dials.
    let reply = panel.visit("web.test", "/").await;
    assert!(matches!(reply.status.as_u16(), 502 | 503), "{}", reply.text());
    engine.resume().await;
    panel.over(&id, Duration::from_secs(120)).await;
    eventually("the site serves by itself", Duration::from_secs(90), || async {
        serves().await.then_some(())
    })
    .await;
    let id = panel.deploy("web").await;
    panel.live(&id).await;
    drop(panel);
}

/// `kill -9` in each state of a deployment: after the start it ends live or failed in words, never stuck, and one
/// container serves.
#[tokio::test]
async fn docker_killed_at_each_state() {
    let mut panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let slow = GitServer::slow(repository.root(), Duration::from_millis(700)).await;
    let mut body = app_of("hello", &repository);
    body["source"]["url"] = slow.url("app.git").into();
    body["health"]["start_seconds"] = json!(30);
    repository.edit("app.py", "server = Server(", "time.sleep(1.5)\nserver = Server(");
    repository.commit(&[("round", "none")], "a file to change");
    repository.edit("Dockerfile", "EXPOSE", "COPY round .\nRUN sleep 2\nEXPOSE");
    let app = panel.live_app(body).await;
    panel.patch("/api/v1/settings", json!({"deployments_at_once": 1})).await.expect(200);
    for phase in ["queued", "fetching", "building", "starting", "checking", "live"] {
        repository.commit(&[("round", phase)], phase);
        if phase == "queued" {
            // One at a time is allowed, and another app has its turn.
            let mut other = app_of("other", &repository);
            other["source"]["url"] = slow.url("app.git").into();
            panel.create_app(other).await;
        }
        let id = panel.deploy("hello").await;
        let begun = Instant::now();
        loop {
            let now = panel.deployment(&id).await;
            if now["phase"] == phase {
                break;
            }
            assert!(now["finished_at"].is_null(), "never seen {phase}: {now}");
            assert!(begun.elapsed() < Duration::from_secs(120), "never {phase}: {now}");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        panel.kill();
        panel.start_again().await;
        let over = panel.over(&id, Duration::from_secs(120)).await;
        println!("killed while {phase}: {} {}", over["phase"], over["error"]);
        assert!(matches!(text(&over, "phase").as_str(), "live" | "failed"), "{over}");
        if over["phase"] == "failed" {
            assert!(!text(&over, "error").is_empty());
        }
        eventually_ok("the site serves, from one container", Duration::from_secs(60), || async {
            let reply = panel.visit("hello.test", "/").await;
            let running = containers(&app);
            if reply.status == 200 && running.len() == 1 {
                Ok(())
            } else {
                Err(format!("{} {running:?}", reply.status))
            }
        })
        .await;
        let steps = panel.deployment(&id).await["steps"].clone();
        let unfinished = steps
            .as_array()
            .unwrap()
            .iter()
            .filter(|step| step["finished_at"].is_null())
            .count();
        assert_eq!(unfinished, 0, "{steps}");
    }
}

/// Ending on SIGTERM is quick and clean, also with a deployment under way and sockets open.
#[tokio::test]
async fn a_stop_is_clean() {
    let mut panel = TestPanel::start().await;
    panel
        .create_app(json!({"name": "web", "source": {"kind": "image", "reference": "nginx:1.22"}}))
        .await;
    let id = text(&panel.newest("web").await, "id");
    let _socket = panel.socket(&format!("/api/v1/deployments/{id}/log/stream")).await;
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let stream = browser.clone();
    let stream = tokio::spawn(async move { stream.try_get("/api/v1/events").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    let status = panel.stop().await.expect("it ends by itself within 30 s");
    assert!(status.success(), "{status}: {}", panel.printed());
    assert!(begun.elapsed() < Duration::from_secs(15), "it took {:?}", begun.elapsed());
    stream.abort();
    assert!(!panel.printed().contains("panicked"), "{}", panel.printed());
    panel.start_again().await;
    browser.get("/api/v1/apps").await.expect(200);
}

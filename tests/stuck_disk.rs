//! A disk that does not answer: the state is stuck, and the edge serves on.

use crate::{
    deploy::text,
    faults::{image_app, token},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};
use testkit::{Options, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A folder on a file system of its own that can be frozen: then whoever writes there waits, and cannot even be killed.
struct StuckDisk {
    folder: tempfile::TempDir,
    _image: tempfile::NamedTempFile,
}

impl StuckDisk {
    fn new() -> StuckDisk {
        let folder = tempfile::Builder::new().prefix("sk-disk-").tempdir().unwrap();
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(256 << 20).unwrap();
        let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
            let output = Command::new(program)
                .args(arguments)
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .output()
                .unwrap();
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        };
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.path().as_ref()]);
        run(
            "mount",
            &["-o".as_ref(), "loop".as_ref(), image.path().as_ref(), folder.path().as_ref()],
        );
        StuckDisk { folder, _image: image }
    }
    fn freeze(&self) -> Frozen {
        let path = self.folder.path();
        let frozen = Command::new("/usr/sbin/fsfreeze").arg("--freeze").arg(path).status().unwrap();
        assert!(frozen.success());
        // Should this test be killed meanwhile, somebody else must thaw it: its panel could never end.
        let guard = Command::new("sh")
            .args(["-c", "sleep 120 && exec /usr/sbin/fsfreeze --unfreeze \"$0\""])
            .arg(path)
            .process_group(0)
            .spawn()
            .unwrap();
        Frozen {
            path: path.to_owned(),
            guard,
        }
    }
}

impl Drop for StuckDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

/// While it lives the disk answers no write.
struct Frozen {
    path: PathBuf,
    guard: std::process::Child,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = Command::new("/usr/sbin/fsfreeze").arg("--unfreeze").arg(&self.path).status();
        let group = rustix::process::Pid::from_child(&self.guard);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.guard.wait();
    }
}

/// A disk on which nothing is written any more and that says nothing of it: the state is stuck, and so is the access
/// log. The edge serves on from its last configuration, on connections old and new; what it was told is there after.
#[tokio::test]
async fn a_disk_that_does_not_answer() {
    let disk = StuckDisk::new();
    let panel = Options::default().data(disk.folder.path().join("data")).start().await;
    let mut body = image_app("site");
    body["domains"] = json!(["site.test"]);
    panel.create_app(body).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nserves";
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    let origin = json!({"kind": "host", "host": "127.0.0.1", "port": server.port()});
    let rule = json!({"name": "all", "action": {"kind": "origin", "origin": origin}});
    panel.post("/api/v1/domains/site.test/rules", rule).await.expect(201);
    let kept = panel.anonymous();
    let url = panel.site("site.test", "/");
    assert_eq!(kept.get(&url).await.expect(200).text(), "serves");

    let frozen = disk.freeze();
    let waiting: Vec<_> = (0..3)
        .map(|number| {
            let api = panel.with_token(token(&panel));
            let name = format!("stuck-{number}");
            tokio::spawn(async move {
                let request = api
                    .request(reqwest::Method::POST, "/api/v1/projects")
                    .json(&json!({ "name": name }));
                (name, api.try_send(request).await.map(|reply| reply.status.as_u16()))
            })
        })
        .collect();
    let (begun, mut slowest, mut served) = (Instant::now(), Duration::ZERO, 0);
    while begun.elapsed() < Duration::from_secs(12) {
        for client in [&kept, &panel.anonymous()] {
            let asked = Instant::now();
            assert_eq!(client.get(&url).await.expect(200).text(), "serves");
            slowest = slowest.max(asked.elapsed());
            served += 1;
        }
    }
    println!("{served} requests while the disk was stuck, the slowest in {slowest:?}");
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    assert!(served > 20, "{served}");
    let early = waiting.iter().filter(|write| write.is_finished()).count();
    println!("{early} of 3 writes were answered meanwhile");
    drop(frozen);

    let mut acknowledged = Vec::new();
    for write in waiting {
        let (name, status) = write.await.unwrap();
        println!("{name}: {status:?}");
        acknowledged.extend((status == Ok(201)).then_some(name));
    }
    eventually("writes are taken again", Duration::from_secs(60), || async {
        let reply = panel.post("/api/v1/projects", json!({"name": "after"})).await;
        matches!(reply.status.as_u16(), 201 | 409).then_some(())
    })
    .await;
    acknowledged.push("after".to_owned());
    let there: BTreeSet<String> = panel.list("/api/v1/projects").await.iter().map(|one| text(one, "name")).collect();
    let lost: Vec<&String> = acknowledged.iter().filter(|name| !there.contains(*name)).collect();
    assert!(lost.is_empty(), "{lost:?} were acknowledged and are lost");
    assert_eq!(kept.get(&url).await.expect(200).text(), "serves");
}

//! A full disk, and very large things.

use super::kit::{self, thing, things};
use crate::{Store, store::Tuning};
use std::{fs, path::Path, process::Command};
use types::World;

#[tokio::test]
async fn with_too_little_room_nothing_is_written_and_reading_goes_on() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = kit::open(dir.path()).expect("opens");
    things(&store).insert(thing("a", None, "kept")).await.expect("inserted");
    drop(store);
    let tuning = Tuning {
        reserve_bytes: u64::MAX,
        ..kit::small()
    };
    let store = Store::open_with(dir.path(), World::system(), tuning, |_| Ok(Vec::new())).expect("opens on a full disk");
    let error = things(&store).insert(thing("b", None, "")).await.expect_err("no room");
    assert!(error.to_string().contains("is full: nothing was saved"), "{error}");
    assert_eq!(things(&store).get("a").expect("read").text, "kept");
}

/// A small file system of its own; gone with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount(bytes: u32) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().expect("a temp dir");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(dir.path())
            .output()
            .ok()?;
        done.status.success().then_some(SmallDisk(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Takes all the room there is.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(path).expect("created");
    for size in [64 << 10, 4 << 10, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

#[tokio::test]
async fn a_full_disk_is_survived() {
    for reserve_bytes in [0, 1 << 20] {
        let Some(disk) = SmallDisk::mount(24 << 20) else {
            eprintln!("not run: mounting is not allowed here");
            return;
        };
        let (dir, filler) = (disk.0.path().join("data"), disk.0.path().join("filler"));
        let tuning = Tuning {
            reserve_bytes,
            ..kit::small()
        };
        let open = || Store::open_with(&dir, World::system(), tuning.clone(), |_| Ok(Vec::new()));
        let store = open().expect("opens");
        let text = "x".repeat(2000);
        let mut kept = Vec::new();
        for round in 0..3 {
            for index in 0..10 {
                let id = format!("{round}-before-{index}");
                things(&store).insert(thing(&id, None, &text)).await.expect("there is room");
                kept.push(id);
            }
            fill(&filler);
            let mut refused = 0;
            for index in 0..20 {
                let id = format!("{round}-full-{index}");
                match things(&store).insert(thing(&id, None, &text)).await {
                    Ok(_) => kept.push(id),
                    Err(error) => {
                        refused += 1;
                        assert!(matches!(error, types::Error::Unavailable { .. }), "{error}");
                        if reserve_bytes > 0 {
                            assert!(error.to_string().contains("is full: nothing was saved"), "{error}");
                            assert!(things(&store).find(&id).expect("reads").is_none());
                            assert!(things(&store).get(&kept[0]).is_ok(), "reading goes on");
                        }
                    }
                }
            }
            assert!(refused > 0, "the disk was full");
            fs::remove_file(&filler).expect("room again");
            let id = format!("{round}-after");
            things(&store).insert(thing(&id, None, "")).await.expect("room again");
            kept.push(id);
            for id in &kept {
                things(&store).get(id).expect("kept");
            }
        }
        drop(store);
        let store = open().expect("opens");
        for id in &kept {
            things(&store).get(id).expect("kept through re-opening");
        }
    }
}

/// The journal takes it and sled does not, or the other way round: wherever the room ends, what was acknowledged stays.
#[tokio::test]
async fn the_disk_fills_up_in_the_middle_of_anything() {
    for left in [100 << 10, 300 << 10, 600 << 10, 1 << 20, 3 << 20] {
        let Some(disk) = SmallDisk::mount(16 << 20) else {
            eprintln!("not run: mounting is not allowed here");
            return;
        };
        let (dir, filler) = (disk.0.path().join("data"), disk.0.path().join("filler"));
        let open = || Store::open_with(&dir, World::system(), kit::small(), |_| Ok(Vec::new()));
        let store = open().expect("opens");
        fill(&filler);
        let room = fs::metadata(&filler).expect("there").len().saturating_sub(left);
        fs::OpenOptions::new()
            .write(true)
            .open(&filler)
            .and_then(|file| file.set_len(room))
            .expect("cut");
        let text = "x".repeat(10_000);
        let (mut kept, mut refused) = (Vec::new(), 0);
        for index in 0..600 {
            let id = format!("{index}");
            match things(&store).insert(thing(&id, Some(&id), &text)).await {
                Ok(_) => kept.push(id),
                Err(error) => {
                    assert!(matches!(error, types::Error::Unavailable { .. }), "{error}");
                    refused += 1;
                    if refused > 10 {
                        break;
                    }
                }
            }
        }
        assert!(refused > 10, "{left}: the disk was full");
        fs::remove_file(&filler).expect("room again");
        // What failed is tried again every few seconds.
        let begun = std::time::Instant::now();
        while let Err(error) = things(&store).insert(thing("after", None, "")).await {
            assert!(begun.elapsed().as_secs() < 30, "{left}: {error}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        for id in &kept {
            assert_eq!(things(&store).claimed(id).expect("reads").expect("kept").text, text, "{left}");
        }
        drop(store);
        let store = open().expect("opens");
        for id in kept.iter().map(String::as_str).chain(["after"]) {
            things(&store).get(id).expect("kept through re-opening");
        }
    }
}

#[tokio::test]
async fn large_records_and_silly_keys() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = kit::open(dir.path()).expect("opens");
    let large = "é\0\n\"".repeat(500_000);
    things(&store).insert(thing("large", None, &large)).await.expect("inserted");
    for id in ["../../etc/passwd", "a/b/c", "\u{1f980}", "%00", " "] {
        things(&store).insert(thing(id, Some(id), id)).await.expect("any text is a key");
    }
    for (id, mark) in [("", None), (&*"k".repeat(5000), None), ("a", Some("m".repeat(70_000)))] {
        let error = things(&store).insert(thing(id, mark.as_deref(), "")).await.expect_err("refused");
        assert_eq!(error.to_string(), "key: must be 1 to 4096 bytes");
    }
    drop(store);
    let store = kit::open(dir.path()).expect("opens");
    assert_eq!(things(&store).get("large").expect("there").text, large);
    assert_eq!(things(&store).claimed("\u{1f980}").expect("reads").expect("held").text, "\u{1f980}");
    assert!(!dir.path().join("../etc").exists());
}

/// Figures: `cargo nextest run -p serverkit-store --no-capture --run-ignored all figures`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn figures() {
    let dir = tempfile::tempdir_in(std::env::var("SERVERKIT_FIGURES_DIR").unwrap_or_else(|_| "/var/tmp".into())).expect("a temp dir");
    let store = Store::open(dir.path(), World::system()).expect("opens");
    let all = things(&store);
    let text = "x".repeat(1000);
    let begun = std::time::Instant::now();
    for index in 0..500 {
        all.insert(thing(&format!("{index}"), None, &text)).await.expect("inserted");
    }
    eprintln!("500 inserts in a row: {:?} each", begun.elapsed() / 500);
    let begun = std::time::Instant::now();
    let tasks: Vec<_> = (0..2000)
        .map(|index| {
            let all = all.clone();
            let text = text.clone();
            tokio::spawn(async move { all.insert(thing(&format!("p{index}"), None, &text)).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("inserted");
    }
    eprintln!("2000 inserts at once: {:?} each", begun.elapsed() / 2000);
    for round in 0..3 {
        for index in 0..2000 {
            all.update(&format!("{}", index % 500), |thing| {
                thing.text = format!("{round}{index}{text}");
                Ok(())
            })
            .await
            .expect("updated");
        }
        let size = |name: &str| {
            let out = Command::new("du").arg("-sk").arg(dir.path().join(name)).output().expect("du runs");
            String::from_utf8_lossy(&out.stdout).split('\t').next().map(str::to_owned)
        };
        eprintln!(
            "after {} updates: KiB of state {:?}, journal {:?}, snapshots {:?}",
            (round + 1) * 2000,
            size("state"),
            size("journal"),
            size("snapshots")
        );
    }
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(all.list().expect("lists").len(), 2500);
    }
    eprintln!("list of 2500: {:?}", begun.elapsed() / 10);
    let begun = std::time::Instant::now();
    store.snapshot().await.expect("a snapshot");
    eprintln!("a snapshot: {:?}", begun.elapsed());
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    eprintln!("{}", status.lines().find(|line| line.starts_with("VmRSS")).expect("there"));
    drop((all, store));
    let begun = std::time::Instant::now();
    let _store = Store::open(dir.path(), World::system()).expect("opens");
    eprintln!("opening: {:?}", begun.elapsed());
}

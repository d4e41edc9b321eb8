//! kill -9 at any instant loses nothing acknowledged.
//!
//! The test runs its own program again as a child that writes and says on stdout what was acknowledged, kills it,
//! opens the directory and looks.

use super::kit::{self, thing, things};
use crate::Batch;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};
use types::World;

const DIR: &str = "SERVERKIT_CRASH_DIR";
const SLOTS: u64 = 40;

/// The child: not a test of its own.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = kit::open(dir.as_ref()).expect("opens after any kill");
    let all = things(&store);
    let newest = all
        .list()
        .expect("lists")
        .iter()
        .map(|thing| number(&thing.text))
        .max()
        .unwrap_or(0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        say("ready");
        for lane in 0..4u64 {
            let (all, store) = (all.clone(), store.clone());
            tokio::spawn(async move {
                for round in 0u64.. {
                    let value = newest + 1 + round * 4 + lane;
                    // Each lane has slots of its own, so the last acknowledged value of a slot is what must be there, or a later one.
                    let slot = format!("{lane}-{:02}", value % SLOTS);
                    let text = format!("{value} {}", "x".repeat((value % 300) as usize));
                    match all.find(&slot).expect("reads") {
                        None => drop(all.insert(thing(&slot, Some(&slot), &text)).await.expect("inserted")),
                        Some(old) if value % 11 == 0 => {
                            say(&format!("going {slot} {value}"));
                            all.remove(&old.id).await.expect("removed");
                            say(&format!("gone {slot} {value}"));
                            continue;
                        }
                        Some(mut old) => {
                            // With a twin in the same batch: both or none.
                            old.text = text.clone();
                            let twin = thing(&format!("{slot}-twin-{value}"), None, &text);
                            let before = all.prefix(&format!("{slot}-twin-")).expect("lists");
                            let batch = before
                                .iter()
                                .fold(Batch::new().save(old).insert(twin), |batch, old| batch.remove(old));
                            store.commit(batch).await.expect("committed");
                        }
                    }
                    say(&format!("held {slot} {value}"));
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The leading newline ends whatever the test harness has printed on the line.
    write!(out, "\n@{line}\n").and_then(|()| out.flush()).expect("the parent listens");
}

fn number(text: &str) -> u64 {
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// sled writes a summary of its log while it opens; one that a kill cut short was taken for damage, and the state was built anew.
#[tokio::test]
async fn a_kill_while_sled_sums_up_its_log_damages_nothing() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = kit::open(dir.path()).expect("opens");
    for round in 0..20 {
        things(&store)
            .insert(thing(&format!("t{round}"), None, "text"))
            .await
            .expect("inserted");
    }
    let expected = kit::dump(&store);
    store.close().await;
    // The second opening sums up what the first one wrote.
    kit::open(dir.path()).expect("opens").close().await;
    let state = dir.path().join("state");
    let summaries = std::fs::read_dir(&state)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let summary = summaries
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap.")))
        .max()
        .expect("sled has summed up");
    let bytes = std::fs::read(&summary).expect("read");
    let cut = format!("{}.generating", summary.display());
    for length in [0, 5, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&cut, &bytes[..length]).expect("written");
        let store = kit::open(dir.path()).unwrap_or_else(|error| panic!("{length}: {}", types::report(&error)));
        assert!(store.mended().is_empty(), "{length}: {:?}", store.mended());
        assert_eq!(kit::dump(&store), expected, "{length}");
        store.close().await;
        assert!(!std::path::Path::new(&cut).exists(), "{length}");
    }
}

#[test]
fn kill_9_loses_nothing_acknowledged() {
    kill_again_and_again(25);
}

#[test]
#[ignore = "long: tests/run.sh --long"]
fn kill_9_for_200_times_loses_nothing_acknowledged() {
    kill_again_and_again(200);
}

fn kill_again_and_again(cycles: usize) {
    let dir = tempfile::tempdir().expect("a temp dir");
    let world = World::system();
    let mut acknowledged: BTreeMap<String, Slot> = BTreeMap::new();
    let mut total = 0;
    for cycle in 0..cycles {
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", "tests::crashes::child", "--nocapture", "--test-threads=1"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the child starts");
        let (lines, said) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let reader = std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix('@') {
                    let _ = lines.send(line.to_owned());
                }
            }
        });
        // One in five is killed while it opens.
        if cycle % 5 != 4 {
            assert_eq!(
                said.recv_timeout(Duration::from_secs(20)).expect("the child opens the store"),
                "ready",
                "cycle {cycle}"
            );
        }
        std::thread::sleep(Duration::from_micros((world.share() * 50_000.0) as u64));
        child.kill().expect("killed");
        child.wait().expect("reaped");
        reader.join().expect("no panic");
        for line in said.try_iter() {
            let words: Vec<&str> = line.split(' ').collect();
            if let [what, slot, value] = words[..] {
                let value = value.parse().expect("a number");
                let now = match what {
                    "held" => Slot::Held(value),
                    "going" => Slot::Going,
                    _ => Slot::Gone(value),
                };
                total += usize::from(now != Slot::Going);
                acknowledged.insert(slot.to_owned(), now);
            }
        }
        check(dir.path(), &mut acknowledged, cycle);
    }
    assert!(total > cycles * 2, "only {total} writes were acknowledged in {cycles} cycles");
    eprintln!("{cycles} kills, {total} acknowledged writes, none lost");
}

/// What was last heard of a slot.
#[derive(Debug, PartialEq)]
enum Slot {
    Held(u64),
    /// A removal was begun and may or may not have happened.
    Going,
    Gone(u64),
}

fn check(dir: &std::path::Path, acknowledged: &mut BTreeMap<String, Slot>, cycle: usize) {
    let store = kit::open(dir).unwrap_or_else(|error| panic!("cycle {cycle}: {}", types::report(&error)));
    assert!(
        store.mended().is_empty(),
        "cycle {cycle}: a kill damages nothing: {:?}",
        store.mended()
    );
    let found: BTreeMap<String, u64> = things(&store)
        .list()
        .expect("lists")
        .iter()
        .map(|thing| (thing.id.clone(), number(&thing.text)))
        .collect();
    for (slot, heard) in acknowledged.iter() {
        // A write may be on disk whose acknowledgement was not heard any more: later values are fine.
        let fits = match (heard, found.get(slot)) {
            (Slot::Held(value), Some(there)) => there >= value,
            (Slot::Held(_), None) => false,
            (Slot::Gone(value), Some(there)) => there > value,
            (Slot::Gone(_), None) | (Slot::Going, _) => true,
        };
        assert!(fits, "cycle {cycle}: {slot}: heard {heard:?}, found {:?}", found.get(slot));
        let twins = found.range(format!("{slot}-twin-")..format!("{slot}-twin-~")).count();
        assert!(twins <= 1, "cycle {cycle}: {slot} has {twins} twins: a batch was half done");
    }
    // What is there now is what the next child starts from.
    acknowledged.clear();
    for (slot, value) in found.iter().filter(|(slot, _)| !slot.contains("twin")) {
        acknowledged.insert(slot.clone(), Slot::Held(*value));
        let holder = things(&store).claimed(slot).expect("reads").expect("the claim is held");
        assert_eq!(&holder.id, slot);
    }
}

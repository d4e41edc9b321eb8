//! Flipped bytes anywhere: nothing acknowledged is lost while one of sled and journal is whole.

use super::kit::{self, thing, things};
use std::{
    fs,
    path::{Path, PathBuf},
};

pub fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            fs::create_dir_all(&target).expect("created");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A directory with some history in it, closed; with a snapshot or without.
async fn history(dir: &Path, records: usize, snapshot: bool) {
    let store = kit::open(dir).expect("opens");
    let all = things(&store);
    for index in 0..records {
        all.insert(thing(
            &format!("t{index:03}"),
            Some(&format!("m{index}")),
            &"some text ".repeat(index % 20),
        ))
        .await
        .expect("inserted");
        if index % 3 == 0 {
            all.update(&format!("t{index:03}"), |thing| {
                thing.text.push('!');
                Ok(())
            })
            .await
            .expect("updated");
        }
        if index % 7 == 0 {
            all.remove(&format!("t{index:03}")).await.expect("removed");
        }
    }
    if snapshot {
        store.snapshot().await.expect("a snapshot");
        all.insert(thing("after", None, "the snapshot")).await.expect("inserted");
    }
    store.close().await;
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 0x41;
    fs::write(path, bytes).expect("written");
}

/// Offsets over a whole file, more than a few of them in its busy front.
fn offsets(length: usize, count: usize) -> Vec<usize> {
    let mut offsets: Vec<usize> = (0..count).map(|index| index * length / count).collect();
    offsets.extend((0..count / 2).map(|index| (index * 37) % length.min(16 << 10)));
    offsets.retain(|offset| *offset < length);
    offsets
}

#[tokio::test]
async fn a_flipped_byte_in_any_file_of_sled_loses_nothing() {
    flip_bytes_of_sled(60, 40).await;
}

#[tokio::test]
#[ignore = "long: tests/run.sh --long"]
async fn a_flipped_byte_at_many_places_of_much_state_loses_nothing() {
    flip_bytes_of_sled(400, 300).await;
}

/// One byte at a time, at so many places of each file.
async fn flip_bytes_of_sled(records: usize, places: usize) {
    let original = tempfile::tempdir().expect("a temp dir");
    history(original.path(), records, true).await;
    let store = kit::open(original.path()).expect("opens");
    let expected = kit::dump(&store);
    drop(store);
    let mut rebuilt = 0;
    for file in files(&original.path().join("state")) {
        let length = fs::metadata(&file).expect("there").len() as usize;
        for offset in offsets(length, places) {
            let broken = tempfile::tempdir().expect("a temp dir");
            copy(original.path(), broken.path());
            let relative = file.strip_prefix(original.path()).expect("below");
            flip(&broken.path().join(relative), offset);
            let store = kit::open(broken.path()).unwrap_or_else(|error| panic!("{relative:?} at {offset}: {}", types::report(&error)));
            assert_eq!(kit::dump(&store), expected, "{relative:?} at {offset}");
            things(&store).insert(thing("more", Some("m0"), "")).await.expect("writable");
            rebuilt += usize::from(!store.mended().is_empty());
            drop(store);
            let store = kit::open(broken.path()).expect("opens again");
            assert_eq!(kit::dump(&store).len(), expected.len() + 1);
            assert!(store.mended().is_empty(), "mended once: {:?}", store.mended());
        }
    }
    assert!(rebuilt > 0, "some byte mattered");
}

#[tokio::test]
async fn sled_files_cut_emptied_or_gone_lose_nothing() {
    let original = tempfile::tempdir().expect("a temp dir");
    history(original.path(), 40, true).await;
    let store = kit::open(original.path()).expect("opens");
    let expected = kit::dump(&store);
    drop(store);
    for harm in 0..5 {
        let broken = tempfile::tempdir().expect("a temp dir");
        copy(original.path(), broken.path());
        let state = broken.path().join("state");
        let db = state.join("db");
        let length = fs::metadata(&db).expect("there").len();
        match harm {
            0 => fs::remove_dir_all(&state).expect("removed"),
            1 => fs::write(&db, b"").expect("emptied"),
            2 => fs::OpenOptions::new()
                .write(true)
                .open(&db)
                .and_then(|file| file.set_len(length / 2))
                .expect("cut"),
            3 => fs::write(&db, vec![0x55; length as usize]).expect("overwritten"),
            _ => fs::write(state.join("conf"), b"nonsense").expect("overwritten"),
        }
        let store = kit::open(broken.path()).unwrap_or_else(|error| panic!("harm {harm}: {}", types::report(&error)));
        assert_eq!(kit::dump(&store), expected, "harm {harm}");
        // A cut file may still be a good older state, from which the journal goes on, and sled does without `conf`.
        assert!(
            matches!(harm, 2 | 4) || store.mended().len() == 1,
            "harm {harm}: {:?}",
            store.mended()
        );
        if harm > 0 && !store.mended().is_empty() {
            let aside = fs::read_dir(broken.path()).expect("a folder").filter_map(Result::ok);
            assert!(
                aside
                    .into_iter()
                    .any(|entry| entry.file_name().to_string_lossy().starts_with("state.broken-"))
            );
        }
    }
}

#[tokio::test]
async fn damage_in_the_journal_is_told_and_loses_nothing_while_sled_is_whole() {
    let original = tempfile::tempdir().expect("a temp dir");
    history(original.path(), 12, false).await;
    let store = kit::open(original.path()).expect("opens");
    let expected = kit::dump(&store);
    drop(store);
    for file in files(&original.path().join("journal")) {
        let length = fs::metadata(&file).expect("there").len() as usize;
        let is_open_end = length == b"serverkit journal 1\n".len();
        for offset in offsets(length, 25)
            .into_iter()
            .chain((length.saturating_sub(30)..length).step_by(3))
        {
            let broken = tempfile::tempdir().expect("a temp dir");
            copy(original.path(), broken.path());
            let relative = file.strip_prefix(original.path()).expect("below");
            flip(&broken.path().join(relative), offset);
            let store = kit::open(broken.path()).unwrap_or_else(|error| panic!("{relative:?} at {offset}: {}", types::report(&error)));
            assert_eq!(kit::dump(&store), expected, "{relative:?} at {offset}");
            assert!(is_open_end || !store.mended().is_empty(), "{relative:?} at {offset} went unnoticed");
            things(&store).insert(thing("more", None, "")).await.expect("writable");
            drop(store);
            // Sled goes too: what was mended is whole again by itself.
            fs::remove_dir_all(broken.path().join("state")).expect("removed");
            let store = kit::open(broken.path()).expect("opens again");
            assert_eq!(kit::dump(&store).len(), expected.len() + 1, "{relative:?} at {offset}");
        }
    }
}

#[tokio::test]
async fn a_torn_last_frame_is_dropped_in_silence() {
    let original = tempfile::tempdir().expect("a temp dir");
    history(original.path(), 5, false).await;
    let store = kit::open(original.path()).expect("opens");
    let expected = kit::dump(&store);
    drop(store);
    let last = files(&original.path().join("journal")).pop().expect("a segment");
    let whole = fs::read(&last).expect("read");
    for torn in [
        &b"S"[..],
        b"SKJ\x01",
        b"SKJ\x01\xff\xff\xff\x7f1234abc",
        &[0; 4096],
        &whole[20..whole.len() - 1],
    ] {
        let broken = tempfile::tempdir().expect("a temp dir");
        copy(original.path(), broken.path());
        let segment = broken.path().join(last.strip_prefix(original.path()).expect("below"));
        let skip = if torn.len() > 4096 || torn == &whole[20..whole.len() - 1] {
            continue;
        } else {
            torn
        };
        fs::write(&segment, [whole.as_slice(), skip].concat()).expect("written");
        let store = kit::open(broken.path()).expect("opens");
        assert_eq!((kit::dump(&store), store.mended()), (expected.clone(), vec![]));
        things(&store).insert(thing("more", None, "")).await.expect("writable");
        drop(store);
        fs::remove_dir_all(broken.path().join("state")).expect("removed");
        let store = kit::open(broken.path()).expect("opens from the journal");
        assert_eq!(kit::dump(&store).len(), expected.len() + 1);
    }
}

#[tokio::test]
async fn a_bad_snapshot_is_passed_over() {
    let original = tempfile::tempdir().expect("a temp dir");
    history(original.path(), 200, true).await;
    let store = kit::open(original.path()).expect("opens");
    let expected = kit::dump(&store);
    drop(store);
    let snapshots = files(&original.path().join("snapshots"));
    assert_eq!(snapshots.len(), 2, "two are kept");
    let newest = &snapshots[1];
    let length = fs::metadata(newest).expect("there").len() as usize;
    for offset in offsets(length, 12) {
        let broken = tempfile::tempdir().expect("a temp dir");
        copy(original.path(), broken.path());
        flip(&broken.path().join(newest.strip_prefix(original.path()).expect("below")), offset);
        fs::remove_dir_all(broken.path().join("state")).expect("removed");
        let store = kit::open(broken.path()).expect("built from the one before");
        assert_eq!(kit::dump(&store), expected, "at {offset}");
    }
    let hopeless = tempfile::tempdir().expect("a temp dir");
    copy(original.path(), hopeless.path());
    for snapshot in files(&hopeless.path().join("snapshots")) {
        flip(&snapshot, 100);
    }
    fs::remove_dir_all(hopeless.path().join("state")).expect("removed");
    let error = kit::open(hopeless.path()).err().expect("refused").to_string();
    assert!(error.contains("put the directory back from a backup"), "{error}");
}

#[tokio::test]
async fn old_parts_are_pruned() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = kit::open(dir.path()).expect("opens");
    let all = things(&store);
    all.insert(thing("a", None, "")).await.expect("inserted");
    for index in 0..600 {
        all.update("a", |thing| {
            thing.text = format!("{index}{}", "x".repeat(200));
            Ok(())
        })
        .await
        .expect("updated");
    }
    assert_eq!(files(&dir.path().join("snapshots")).len(), 2);
    let journal: u64 = files(&dir.path().join("journal"))
        .iter()
        .map(|file| fs::metadata(file).expect("there").len())
        .sum();
    assert!(journal < 40 << 10, "{journal} bytes of journal are left");
}

//! Old bytes are read and rewritten; newer ones are refused, in words.

use super::kit;
use crate::{Collection, Never, Record, Store, envelope, journal::Step, record, state::State, store::Tuning};
use serde::{Deserialize, Serialize};
use std::fs;
use types::{Kind, Result, World};

/// Version 1 to 3 of a record of this name, as a release after the other would have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NoteV1 {
    id: String,
    words: String,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NoteV2 {
    id: String,
    words: Vec<String>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    id: String,
    words: Vec<String>,
    first: String,
}

macro_rules! note {
    ($type:ty, $version:literal, $previous:ty, $upgrade:expr, $claims:expr) => {
        impl Record for $type {
            const KIND: Kind = Kind::Operation;
            const TREE: &'static str = "notes";
            const VERSION: u8 = $version;
            type Previous = $previous;
            fn upgrade(previous: $previous) -> $type {
                let upgrade: fn($previous) -> $type = $upgrade;
                upgrade(previous)
            }
            fn key(&self) -> String {
                self.id.clone()
            }
            fn claims(&self) -> Vec<String> {
                let claims: fn(&$type) -> Vec<String> = $claims;
                claims(self)
            }
        }
    };
}
note!(NoteV1, 1, Never, |never| match never {}, |_| vec![]);
note!(
    NoteV2,
    2,
    NoteV1,
    |old| NoteV2 {
        id: old.id,
        words: old.words.split(' ').map(str::to_owned).collect()
    },
    |_| vec![]
);
note!(
    Note,
    3,
    NoteV2,
    |old| Note {
        first: old.words.first().cloned().unwrap_or_default(),
        id: old.id,
        words: old.words
    },
    |note| vec![note.first.clone()]
);

fn open<T: Record>(dir: &std::path::Path) -> Result<Store> {
    fn upgrades<T: Record>(state: &State) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        crate::store::upgrades_of::<T>(state, &mut steps)?;
        Ok(steps)
    }
    let tuning = Tuning {
        reserve_bytes: 0,
        ..Tuning::default()
    };
    Store::open_with(dir, World::system(), tuning, upgrades::<T>)
}

#[tokio::test]
async fn records_of_any_older_version_are_rewritten_and_newer_ones_refused() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let first = open::<NoteV1>(dir.path()).expect("opens");
    let (id, words) = ("a".to_owned(), "hello world".to_owned());
    let written = Collection::new(&first.handle).insert(NoteV1 { id, words }).await.expect("inserted");
    drop(first);

    let third = open::<Note>(dir.path()).expect("opens two versions on");
    let notes: Collection<Note> = Collection::new(&third.handle);
    let note = notes.get("a").expect("read");
    assert_eq!(
        (note.words.len(), note.first.as_str(), note.revision),
        (2, "hello", written.revision)
    );
    assert_eq!(
        notes
            .claimed("hello")
            .expect("reads")
            .expect("a claim that the old version did not make")
            .id,
        "a"
    );
    let bytes = third.handle.core.read(|state| state.get("notes/a")).expect("reads").expect("there");
    assert_eq!(envelope::decode("notes/a", &bytes).expect("whole").version, 3, "rewritten on disk");
    drop((notes, third));

    let error = open::<NoteV2>(dir.path()).err().expect("refused").to_string();
    assert!(
        error.contains("version 3") && error.contains("up to 2") && error.contains("newer serverkit"),
        "{error}"
    );
}

#[test]
fn bytes_of_version_1_as_they_lie_on_disk() {
    // Written by the first release; must stay readable for ever.
    let bytes = b"\x01\xe9\x1b\x9c\x2d\x07\0\0\0\0\0\0\0\0\0{\"id\":\"a\",\"words\":\"x y\"}".to_vec();
    let mut fixed = bytes.clone();
    let encoded = envelope::encode("notes/a", 1, 7, &[], br#"{"id":"a","words":"x y"}"#);
    fixed[1..5].copy_from_slice(&encoded[1..5]);
    assert_eq!(encoded, fixed);
    let note: Note = record::decode(1, &bytes[15..]).expect("upgraded");
    assert_eq!(note.words, ["x", "y"]);
    assert!(record::decode::<Note>(0, b"{}").is_err(), "there was no version 0");
}

#[test]
fn a_newer_directory_is_refused_and_a_missing_key_too() {
    let dir = tempfile::tempdir().expect("a temp dir");
    drop(kit::open(dir.path()).expect("made"));
    let format = dir.path().join("format");
    let text = fs::read_to_string(&format).expect("there");
    fs::write(
        &format,
        text.replace("\"format\": 1", "\"format\": 2, \"shape\": \"new\"")
            .replace("0.1.0", "9.9.9"),
    )
    .expect("written");
    let error = kit::open(dir.path()).err().expect("refused").to_string();
    assert!(
        error.contains("serverkit 9.9.9 in format 2") && error.contains("start the newer one"),
        "{error}"
    );
    fs::write(&format, &text).expect("written");

    let (key, away) = (dir.path().join("master.key"), dir.path().join("away"));
    fs::rename(&key, &away).expect("moved");
    let error = kit::open(dir.path()).err().expect("refused").to_string();
    assert!(error.contains("master.key is missing"), "{error}");
    crate::sealing::Sealer::load_or_create(&key, &World::system()).expect("another key");
    let error = kit::open(dir.path()).err().expect("refused").to_string();
    assert!(error.contains("not the key"), "{error}");
    fs::rename(&away, &key).expect("moved back");
    kit::open(dir.path()).expect("opens");

    fs::write(&format, "{").expect("written");
    let error = kit::open(dir.path()).err().expect("refused").to_string();
    assert!(error.contains("damaged"), "{error}");
}

//! Any sequence of operations does what a plain map would do, through re-opening too.

use super::kit::{self, Thing, things};
use crate::{Batch, Stored};
use proptest::prelude::*;
use std::collections::BTreeMap;
use types::Error;

#[derive(Debug, Clone)]
enum Operation {
    Insert(Thing),
    Save(Thing),
    StaleSave(Thing),
    Remove(String),
    Update(String, String),
    Both(Thing, Thing),
    Reopen,
    Crash,
    Snapshot,
}

fn any_thing() -> impl Strategy<Value = Thing> {
    ("[abcé/]{1,2}", proptest::option::of("[xyz]"), ".{0,200}").prop_map(|(id, mark, text)| Thing { id, mark, text })
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => any_thing().prop_map(Operation::Insert),
        6 => any_thing().prop_map(Operation::Save),
        2 => any_thing().prop_map(Operation::StaleSave),
        3 => "[abcé/]{1,2}".prop_map(Operation::Remove),
        3 => ("[abcé/]{1,2}", ".{0,20}").prop_map(|(id, text)| Operation::Update(id, text)),
        3 => (any_thing(), any_thing()).prop_map(|(first, second)| Operation::Both(first, second)),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::Crash),
        1 => Just(Operation::Snapshot),
    ]
}

/// What the store should hold.
#[derive(Default, Clone)]
struct Model(BTreeMap<String, Thing>);

impl Model {
    fn takes(&self, thing: &Thing) -> bool {
        thing.mark.is_none() || self.0.values().all(|other| other.id == thing.id || other.mark != thing.mark)
    }
    /// Whether it may be inserted; does it.
    fn insert(&mut self, thing: &Thing) -> bool {
        let may = !self.0.contains_key(&thing.id) && self.takes(thing);
        if may {
            self.0.insert(thing.id.clone(), thing.clone());
        }
        may
    }
}

async fn check(operations: Vec<Operation>) {
    let dir = tempfile::tempdir().expect("a temp dir");
    let mut store = kit::open(dir.path()).expect("opens");
    let mut model = Model::default();
    for operation in operations {
        let all = things(&store);
        match operation.clone() {
            Operation::Insert(thing) => {
                let done = all.insert(thing.clone()).await;
                assert_eq!(done.is_ok(), model.insert(&thing), "{operation:?}: {:?}", done.err());
            }
            Operation::Save(thing) => {
                let found = all.find(&thing.id).expect("reads");
                assert_eq!(found.as_deref(), model.0.get(&thing.id));
                if let Some(found) = found {
                    let done = all
                        .save(Stored {
                            revision: found.revision,
                            value: thing.clone(),
                        })
                        .await;
                    assert_eq!(done.is_ok(), model.takes(&thing), "{operation:?}");
                    if let Ok(saved) = done {
                        assert!(saved.revision > found.revision);
                        model.0.insert(thing.id.clone(), thing);
                    }
                }
            }
            Operation::StaleSave(thing) => {
                let revision = all.find(&thing.id).expect("reads").map_or(1, |found| found.revision + 1);
                let error = all
                    .save(Stored {
                        revision,
                        value: thing.clone(),
                    })
                    .await
                    .expect_err("refused");
                match model.0.contains_key(&thing.id) {
                    true => assert!(matches!(error, Error::Stale { .. }), "{error}"),
                    false => assert!(matches!(error, Error::NotFound { .. }), "{error}"),
                }
            }
            Operation::Remove(id) => {
                assert_eq!(all.remove(&id).await.is_ok(), model.0.remove(&id).is_some());
            }
            Operation::Update(id, text) => {
                let done = all
                    .update(&id, |thing| {
                        thing.text.clone_from(&text);
                        Ok(())
                    })
                    .await;
                assert_eq!(done.is_ok(), model.0.contains_key(&id));
                if let Some(thing) = model.0.get_mut(&id) {
                    thing.text = text;
                }
            }
            Operation::Both(first, second) => {
                let mut after = model.clone();
                let may = after.insert(&first) && after.insert(&second);
                let done = store.commit(Batch::new().insert(first).insert(second)).await;
                assert_eq!(done.is_ok(), may, "{operation:?}");
                if may {
                    model = after;
                }
            }
            Operation::Reopen => {
                store.close().await;
                drop(all);
                drop(store);
                store = kit::open(dir.path()).expect("opens again");
            }
            Operation::Crash => {
                // All that a crash leaves is the files: a copy of them is another panel's directory after one.
                let copy = tempfile::tempdir().expect("a temp dir");
                super::damage::copy(dir.path(), copy.path());
                let survivor = kit::open(copy.path()).expect("the copy opens");
                assert_eq!(kit::dump(&survivor), kit::dump(&store));
            }
            Operation::Snapshot => drop(store.snapshot().await.expect("a snapshot")),
        }
        let all = things(&store);
        let listed: Vec<Thing> = all.list().expect("lists").into_iter().map(|stored| stored.value).collect();
        assert_eq!(listed, model.0.values().cloned().collect::<Vec<_>>(), "after {operation:?}");
        let newest: Vec<Thing> = all.last(2).expect("lists").into_iter().map(|stored| stored.value).collect();
        assert_eq!(newest, model.0.values().rev().take(2).cloned().collect::<Vec<_>>());
        if let Some(last) = newest.last() {
            let below: Vec<Thing> = all
                .before(&last.id, 2)
                .expect("lists")
                .into_iter()
                .map(|stored| stored.value)
                .collect();
            assert_eq!(
                below,
                model
                    .0
                    .range(..last.id.clone())
                    .rev()
                    .take(2)
                    .map(|(_, thing)| thing.clone())
                    .collect::<Vec<_>>()
            );
        }
        for mark in ["x", "y", "z"] {
            let holder = all.claimed(mark).expect("reads").map(|stored| stored.value);
            assert_eq!(holder.as_ref(), model.0.values().find(|thing| thing.mark.as_deref() == Some(mark)));
        }
    }
    assert!(store.mended().is_empty(), "{:?}", store.mended());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn does_what_a_map_does(operations in proptest::collection::vec(any_operation(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(check(operations));
    }
}

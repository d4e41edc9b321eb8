//! The audit log under the hands of somebody who reaches the files.

use super::kit::{organization, user};
use crate::{Batch, Record, Store, acting, batch::path, envelope, journal, state::Tally};
use serde_json::Value;
use std::time::Duration;
use types::{Asker, AuditEntry, AuditReport, Who, World};

/// A store with an organization, a user and a few changes of it.
async fn filled(dir: &std::path::Path) -> Store {
    let world = World::system();
    let store = Store::open(dir, world.clone()).expect("opens");
    store.organizations.insert(organization(&world, "acme")).await.expect("made");
    let asker = Asker {
        who: Who::Machine { uid: 7 },
        organization: None,
        address: Some("192.0.2.7".into()),
    };
    let made = acting(asker, store.users.insert(user(&world, "ada@example.com")))
        .await
        .expect("made");
    for name in ["Ada King", "Ada Byron", "Ada"] {
        let change = |user: &mut types::User| {
            user.name = name.into();
            Ok(())
        };
        store.users.update(made.id.as_str(), change).await.expect("changed");
    }
    store
}

/// Writes past the store, with checksums that fit, as somebody with its sources could.
fn forge(store: &Store, number: u64, change: impl FnOnce(&mut Value) -> bool) {
    let at = path::<AuditEntry>(&format!("{number:016}"));
    let core = &store.handle.core;
    let state = core.state().expect("open");
    let bytes = state.get(&at).expect("read").expect("there");
    let mut value: Value = serde_json::from_slice(envelope::decode(&at, &bytes).expect("whole").json).expect("JSON");
    let step = match change(&mut value) {
        true => journal::Step::Put {
            bytes: envelope::encode(&at, AuditEntry::VERSION, 1, &[], &serde_json::to_vec(&value).expect("JSON")),
            path: at,
        },
        false => journal::Step::Remove { path: at },
    };
    let entry = journal::Entry {
        sequence: 1,
        steps: vec![step],
    };
    state
        .apply(vec![entry], Tally::default(), Duration::from_secs(5), drop)
        .expect("written");
}

fn check(store: &Store) -> AuditReport {
    store.verify_audit(None).expect("checked")
}

#[tokio::test]
async fn the_first_forged_entry_is_named() {
    /// Whether it is kept, and how it is changed.
    type Forgery = fn(&mut Value) -> bool;
    let forgeries: [(&str, u64, u64, Forgery); 6] = [
        ("another sentence", 3, 3, |entry| {
            entry["words"] = "nothing".into();
            true
        }),
        ("another person", 2, 2, |entry| {
            entry["by"] = serde_json::json!({"kind": "system"});
            true
        }),
        ("a field taken out", 4, 4, |entry| {
            entry["changes"][0]["fields"] = serde_json::json!([]);
            true
        }),
        ("one that is whole in itself, but another", 3, 4, |entry| {
            entry["words"] = "nothing".into();
            let fields = entry.as_object_mut().expect("an object");
            fields.remove("hash");
            let hash = sha256(&types::canonical(entry));
            entry["hash"] = hash.into();
            true
        }),
        ("one taken out", 3, 4, |_| false),
        ("another's number", 3, 3, |entry| {
            entry["sequence"] = 4.into();
            true
        }),
    ];
    for (what, number, broken, forgery) in forgeries {
        let dir = tempfile::tempdir().expect("a temp dir");
        let store = filled(dir.path()).await;
        let before = check(&store);
        assert_eq!((before.broken, before.entries, before.last), (None, 5, 5), "{what}");
        forge(&store, number, forgery);
        let found = check(&store).broken.map(|(number, _)| number);
        assert_eq!(found, Some(broken), "{what}");
        store.close().await;
    }
}

fn sha256(text: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test]
async fn the_chain_goes_on_after_a_restart_and_after_all_was_cut() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = filled(dir.path()).await;
    assert_eq!(store.cut_audit(3).await.expect("cut"), 3);
    assert_eq!(store.cut_audit(3).await.expect("cut"), 0);
    let report = check(&store);
    assert_eq!((report.broken, report.first, report.last), (None, 4, 6));
    store.close().await;
    drop(store);
    let store = Store::open(dir.path(), World::system()).expect("opens again");
    assert_eq!(check(&store).last, 6);
    let world = World::system();
    store.organizations.insert(organization(&world, "other")).await.expect("made");
    let report = check(&store);
    assert_eq!((report.broken, report.last), (None, 7));
    let _ = store.cut_audit(7).await.expect("cut");
    let _ = store.cut_audit(8).await.expect("cut");
    store.close().await;
    drop(store);
    let store = Store::open(dir.path(), world.clone()).expect("opens again");
    store.organizations.insert(organization(&world, "third")).await.expect("made");
    let report = check(&store);
    assert_eq!((report.broken, report.entries), (None, 2));
    store.close().await;
}

#[tokio::test]
async fn what_is_refused_is_not_told_and_what_is_at_once_is_in_one_chain() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let world = World::system();
    let store = Store::open(dir.path(), world.clone()).expect("opens");
    let ada = user(&world, "ada@example.com");
    store.users.insert(ada.clone()).await.expect("made");
    store.users.insert(ada).await.expect_err("taken");
    let many = (0..60).map(|index| {
        let (store, one) = (store.clone(), user(&world, &format!("u{}@example.com", index % 50)));
        tokio::spawn(async move {
            let batch = Batch::new().insert(one.clone());
            let made = store.commit(batch).await.is_ok();
            if made {
                let change = |user: &mut types::User| {
                    user.name = "B".into();
                    Ok(())
                };
                store.users.update(one.id.as_str(), change).await.expect("changed");
            }
            made
        })
    });
    let mut made = 0;
    for task in many.collect::<Vec<_>>() {
        made += u64::from(task.await.expect("no panic"));
    }
    assert_eq!(made, 50);
    let report = check(&store);
    assert_eq!((report.broken, report.entries), (None, 1 + 2 * 50));
    store.close().await;
}

#[tokio::test]
async fn sealed_values_are_never_told_whatever_their_name() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let world = World::system();
    let store = Store::open(dir.path(), world.clone()).expect("opens");
    let sealed = store.seal(&"hunter2".into()).expect("sealed");
    let registry = types::Registry {
        id: world.id(),
        organization: world.id(),
        server: "registry.example.com".parse().expect("a server"),
        user: "ada".into(),
        password: sealed.clone(),
        created_at: world.now(),
    };
    let mut stored = store.registries.insert(registry).await.expect("made");
    stored.value.user = sealed.0.clone();
    stored.value.password = store.seal(&"hunter3".into()).expect("sealed");
    store.registries.save(stored).await.expect("saved");
    let entries = store.audit.list().expect("listed");
    assert_eq!(entries.len(), 2);
    let text = serde_json::to_string(&entries.iter().map(|entry| &entry.value).collect::<Vec<_>>()).expect("JSON");
    assert!(!text.contains(&sealed.0), "{text}");
    let fields = &entries[1].changes[0].fields;
    assert!(fields.iter().any(|field| field.field == "password" && field.secret), "{fields:?}");
    assert!(fields.iter().any(|field| field.field == "user" && field.secret), "{fields:?}");
    store.close().await;
}

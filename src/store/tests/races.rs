//! Many at once: one wins, nothing is half done, changes are told.

use super::kit::{self, thing, things, user};
use crate::Batch;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use types::{Error, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_gets_the_claim() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = kit::open(dir.path()).expect("opens");
    for round in 0..10 {
        let tasks: Vec<_> = (0..50)
            .map(|index| {
                let all = things(&store);
                tokio::spawn(async move { all.insert(thing(&format!("{round}-{index}"), Some(&format!("m{round}")), "")).await })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.expect("no panic") {
                Ok(_) => won += 1,
                Err(Error::Taken { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won, 1);
    }
    assert_eq!(things(&store).list().expect("lists").len(), 10);
}

/// Who sees a record finds it by its claim: neither a new one nor one that is saved again is without it for a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_record_is_seen_without_its_claim() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = kit::open(dir.path()).expect("opens");
    let (all, is_over) = (things(&store), std::sync::Arc::new(AtomicBool::new(false)));
    let (readers, over) = (all.clone(), is_over.clone());
    let reader = std::thread::spawn(move || {
        let mut seen = 0;
        while !over.load(Ordering::Relaxed) {
            for found in readers.list().expect("lists") {
                let claim = found.mark.as_deref().expect("each has one");
                assert!(readers.claimed(claim).expect("reads").is_some(), "{claim}");
                seen += 1;
            }
        }
        seen
    });
    for index in 0..100 {
        let id = format!("{index}");
        all.insert(thing(&id, Some(&format!("m{index}")), "")).await.expect("inserted");
        let change = |thing: &mut kit::Thing| {
            thing.text = "changed".into();
            Ok(())
        };
        all.update(&id, change).await.expect("updated");
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(reader.join().expect("none was without") > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_update_is_lost() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = kit::open(dir.path()).expect("opens");
    let all = things(&store);
    all.insert(thing("counter", None, "0")).await.expect("inserted");
    let calls = std::sync::Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (all, calls) = (all.clone(), calls.clone());
            tokio::spawn(async move {
                for _ in 0..10 {
                    all.update("counter", |thing| {
                        calls.fetch_add(1, Ordering::Relaxed);
                        thing.text = (thing.text.parse::<u32>().expect("a number") + 1).to_string();
                        Ok(())
                    })
                    .await
                    .expect("updated");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(all.get("counter").expect("there").text, "200");
    assert!(calls.load(Ordering::Relaxed) >= 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_compare_and_swap_has_one_winner() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = kit::open(dir.path()).expect("opens");
    let all = things(&store);
    let first = all.insert(thing("a", None, "")).await.expect("inserted");
    let tasks: Vec<_> = (0..50)
        .map(|index| {
            let (all, mut mine) = (all.clone(), first.clone());
            tokio::spawn(async move {
                mine.text = index.to_string();
                all.save(mine).await
            })
        })
        .collect();
    let mut won = Vec::new();
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(saved) => won.push(saved),
            Err(Error::Stale { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(all.get("a").expect("there"), won[0]);
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_over_collections() {
    let (dir, world) = (tempfile::tempdir().expect("a temp dir"), World::system());
    let store = kit::open(dir.path()).expect("opens");
    let mut changes = store.changes();
    let (ada, bob) = (user(&world, "ada@example.com"), user(&world, "bob@example.com"));
    let batch = Batch::new().insert(kit::organization(&world, "default")).insert(ada.clone());
    store.commit(batch).await.expect("committed");
    assert_eq!(changes.try_recv().expect("told").tree, "organizations");
    assert_eq!(changes.try_recv().expect("told").key, ada.id.as_str());

    let mut twin = bob.clone();
    twin.id = world.id();
    let refused = store
        .commit(
            Batch::new()
                .insert(kit::organization(&world, "other"))
                .insert(bob.clone())
                .insert(twin),
        )
        .await
        .expect_err("the address is taken");
    assert_eq!(refused.to_string(), "the user `bob@example.com` is taken");
    assert_eq!(
        (
            store.organizations.list().expect("lists").len(),
            store.users.list().expect("lists").len()
        ),
        (1, 1)
    );
    assert!(changes.try_recv().is_err(), "nothing happened, nothing is told");

    // Two swap their addresses in one batch: each claim is free when it is asked for.
    store.users.insert(bob.clone()).await.expect("inserted");
    let (mut a, mut b) = (
        store.users.get(ada.id.as_str()).expect("there"),
        store.users.get(bob.id.as_str()).expect("there"),
    );
    let mut parked = a.clone();
    parked.email = "parked@example.com".parse().expect("an address");
    store.commit(Batch::new().save(parked)).await.expect("parked");
    a = store.users.get(ada.id.as_str()).expect("there");
    (a.email, b.email) = (b.email.clone(), ada.email.clone());
    store.commit(Batch::new().save(b).save(a)).await.expect("swapped");
    let holder = store.users.claimed("ada@example.com").expect("reads").expect("held");
    assert_eq!(holder.id, bob.id);

    let stale = store.users.get(ada.id.as_str()).expect("there");
    store
        .users
        .update(ada.id.as_str(), |user| {
            user.name = "A".into();
            Ok(())
        })
        .await
        .expect("updated");
    let error = store.commit(Batch::new().remove(&stale)).await.expect_err("stale");
    assert!(matches!(error, Error::Stale { .. }), "{error}");
    store.users.remove(ada.id.as_str()).await.expect("removed");
    let error = store.users.remove(ada.id.as_str()).await.expect_err("gone");
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    // A revision never comes back with a key.
    let ada = stale.value.clone();
    store.users.insert(ada).await.expect("inserted anew");
    assert!(matches!(store.users.save(stale).await, Err(Error::Stale { .. })));
}

#[tokio::test]
async fn after_close_everything_says_so() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = kit::open(dir.path()).expect("opens");
    things(&store).insert(thing("a", None, "")).await.expect("inserted");
    store.close().await;
    store.close().await;
    assert_eq!(things(&store).get("a").expect_err("closed").to_string(), "the store is closed");
    assert_eq!(
        things(&store).remove("a").await.expect_err("closed").to_string(),
        "the store is closed"
    );
    let again = kit::open(dir.path()).expect("free again while the old handle lives");
    assert_eq!(kit::dump(&again).len(), 1);
}

#[test]
fn a_second_opening_names_the_first() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = kit::open(dir.path()).expect("opens");
    let error = kit::open(dir.path()).err().expect("refused");
    assert!(matches!(error, Error::Busy { .. }));
    let words = error.to_string();
    let command = std::env::args().next().expect("a command");
    assert!(
        words.contains(&format!("pid {}", std::process::id())) && words.contains(&command),
        "{words}"
    );
    drop(store);
    kit::open(dir.path()).expect("free again");
}

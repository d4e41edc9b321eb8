//! Apps with data, and what becomes of it.

use crate::{
    Apps, Deployments, Domains, MountWish, NewApp, Reconciler, Trash, VolumeName, Volumes, Wanted, release_routes,
    testing::Bench,
    tests::{order, reconcile, settle, wish},
};
use jobs::Job;
use std::time::Duration;
use types::{App, Domain, Error, HostPattern, Phase};

/// `db` is live, with the volume `data`.
async fn db(bench: &Bench) -> App {
    let mount = MountWish {
        volume: VolumeName::Name("data".parse().expect("a name")),
        path: "/data".parse().expect("a path"),
        read_only: false,
    };
    let new = NewApp {
        mounts: vec![mount],
        ..wish("db")
    };
    let made = Apps::new(bench.ground.clone()).create(&bench.owner, new).await.expect("made");
    settle(bench, "db").await;
    made.app
}

#[tokio::test]
async fn writers_of_one_volume_take_turns() {
    let bench = Bench::new().await;
    db(&bench).await;
    let first = bench.node.running();
    order(&bench, |orders| orders.exit = Some(1));
    Deployments::new(bench.ground.clone())
        .create(&bench.owner, "db", Wanted::Usual)
        .await
        .expect("queued");
    assert_eq!(settle(&bench, "db").await.0, Phase::Failed);
    order(&bench, |orders| orders.exit = None);
    Reconciler::new(bench.ground.clone()).run().await.expect("runs");
    assert_eq!(bench.node.running(), first, "the old one serves again");
}

#[tokio::test]
async fn deleting_has_a_way_back_and_purging_keeps_volumes() {
    let bench = Bench::new().await;
    let db = db(&bench).await;
    let trash = Trash::new(bench.ground.clone());
    trash.put(&bench.owner, "db").await.expect("trashed");
    reconcile(&bench).await;
    assert_eq!(bench.node.running().len(), 0);
    assert_eq!(bench.node.target_of("db.localhost"), None);
    let id = db.id.as_str();
    let back = trash.restore(&bench.owner, id).await.expect("restored");
    assert_eq!(back.domains.len(), 1, "its domain was free, so it has it again");
    Reconciler::new(bench.ground.clone()).run().await.expect("runs");
    assert_eq!(bench.node.running().len(), 1);
    trash.put(&bench.owner, id).await.expect("trashed");
    trash.purge(&bench.owner, id, false).await.expect("purged");
    assert!(!bench.node.volumes.lock().expect("test").is_empty(), "the data stays");
    assert!(matches!(
        Apps::new(bench.ground.clone()).get(&bench.owner, id).await,
        Err(Error::NotFound { .. })
    ));
}

/// Its hosts came back without what stood before them, so that everybody could come in, and those that came since its deployment not at all.
#[tokio::test]
async fn what_is_restored_has_its_hosts_with_their_policies() {
    let bench = Bench::new().await;
    let db = db(&bench).await;
    let ground = &bench.ground;
    let domains = Domains::new(ground.clone());
    let late: HostPattern = "late.localhost".parse().expect("a host");
    domains.add(&bench.owner, "db", late, false, None).await.expect("added");
    let close = |domain: &mut Domain| {
        domain.policy.access.allow = vec!["10.0.0.0/8".parse().expect("a range")];
        Ok(())
    };
    ground.store.domains.update("db.localhost", close).await.expect("saved");
    let had = release_routes::routes_of(ground, &db.id).expect("reads");
    let primary: Vec<bool> = had.iter().map(|domain| domain.primary).collect();
    assert_eq!(primary, [true, false]);
    let trash = Trash::new(ground.clone());
    trash.put(&bench.owner, "db").await.expect("trashed");
    assert!(release_routes::routes_of(ground, &db.id).expect("reads").is_empty());
    trash.restore(&bench.owner, db.id.as_str()).await.expect("restored");
    assert_eq!(release_routes::routes_of(ground, &db.id).expect("reads"), had);

    // One that is another app's by now stays there, and another one is the primary one.
    trash.put(&bench.owner, "db").await.expect("trashed");
    let other = Apps::new(ground.clone()).create(&bench.owner, wish("other")).await;
    let taken: HostPattern = "db.localhost".parse().expect("a host");
    domains.add(&bench.owner, "other", taken, true, None).await.expect("added");
    trash.restore(&bench.owner, db.id.as_str()).await.expect("restored");
    let back = release_routes::routes_of(ground, &db.id).expect("reads");
    let hosts: Vec<(&str, bool)> = back.iter().map(|domain| (domain.host.as_str(), domain.primary)).collect();
    assert_eq!(hosts, [("late.localhost", true)]);
    let its = release_routes::routes_of(ground, &other.expect("made").app.id).expect("reads");
    assert!(its.iter().any(|domain| domain.host.as_str() == "db.localhost"));
}

#[tokio::test]
async fn a_purge_waits_for_what_still_ends() {
    let bench = Bench::new().await;
    db(&bench).await;
    let trash = Trash::new(bench.ground.clone());
    trash.put(&bench.owner, "db").await.expect("trashed");
    {
        let mut orders = bench.node.orders.lock().expect("test");
        // Its container runs still, somebody removes it meanwhile, and the engine lets go of the volume later.
        orders.removal_under_way = 1;
        orders.volume_in_use = 2;
    }
    trash.purge(&bench.owner, "db", true).await.expect("purged");
    assert!(bench.node.containers.lock().expect("test").is_empty());
    assert!(bench.node.volumes.lock().expect("test").is_empty());
    assert!(bench.ground.store.volumes.list().expect("a list").is_empty());
}

#[tokio::test]
async fn a_volume_that_stays_in_use_is_told_in_words() {
    let bench = Bench::new().await;
    let volumes = Volumes::new(bench.ground.clone());
    let name = "data".parse().expect("a name");
    let made = volumes.create(&bench.owner, name, None, None).await.expect("made").volume;
    bench.node.orders.lock().expect("test").volume_in_use = u32::MAX;
    let error = crate::volumes::remove_when_free(&bench.ground, &made, Duration::ZERO)
        .await
        .expect_err("in use")
        .to_string();
    assert!(
        error.contains("still uses the volume `data`") && !error.contains("volume is in use"),
        "{error}"
    );
    assert!(
        bench.ground.store.volumes.find(made.id.as_str()).expect("a look").is_some(),
        "it can be tried again"
    );
    bench.node.orders.lock().expect("test").volume_in_use = 1;
    volumes.remove(&bench.owner, made.id.as_str()).await.expect("free after a moment");
    assert!(bench.ground.store.volumes.list().expect("a list").is_empty());
}

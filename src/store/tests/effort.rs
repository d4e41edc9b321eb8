//! What work asks of the store is counted, each by itself.

use super::kit::organization;
use crate::{Effort, Store, counted};
use types::World;

#[tokio::test]
async fn work_is_counted_by_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::system();
    let store = Store::open(dir.path(), world.clone()).expect("opens");
    let (made, effort) = counted(store.organizations.insert(organization(&world, "acme"))).await;
    let id = made.expect("made").value.id;
    let expected = |look_ups, records, batches| Effort {
        look_ups,
        records,
        batches,
    };
    assert_eq!(effort, expected(0, 0, 1));
    let reads = async {
        let there = store.organizations.find(id.as_str()).expect("read");
        let nowhere = store.organizations.find("nowhere").expect("read");
        (there.is_some(), nowhere.is_some(), store.organizations.list().expect("read").len())
    };
    let (found, effort) = counted(reads).await;
    assert_eq!(found, (true, false, 1));
    assert_eq!(effort, expected(3, 2, 0));
    let both = tokio::join!(
        counted(async { store.organizations.find(id.as_str()).is_ok() }),
        counted(async { 7 })
    );
    assert_eq!((both.0.1, both.1.1), (expected(1, 1, 0), Effort::default()));
}

//! Claims that begin alike are next to each other: a way to find records by something else than their key.

use super::kit::{self, thing, things};

#[tokio::test]
async fn records_are_found_by_how_their_claims_begin() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let store = kit::open(dir.path()).expect("opens");
    let all = things(&store);
    for (id, mark) in [("1", "bob/b"), ("2", "amy/a"), ("3", "bob/a"), ("4", "bobby/a"), ("5", "bo")] {
        all.insert(thing(id, Some(mark), "")).await.expect("inserted");
    }
    all.insert(thing("bob/", None, "")).await.expect("inserted");
    let found = |all: &crate::Collection<kit::Thing>, prefix: &str| {
        let found = all.claiming(prefix).expect("reads");
        found.into_iter().map(|one| one.value.id).collect::<Vec<_>>()
    };
    assert_eq!(found(&all, "bob/"), ["3", "1"]);
    assert_eq!(found(&all, "amy/"), ["2"]);
    assert!(found(&all, "cy/").is_empty());
    assert_eq!(found(&all, "bob"), ["3", "1", "4"]);
    // As they are changed and removed, and over a start.
    let moved = |thing: &mut kit::Thing| {
        thing.mark = Some("amy/b".into());
        Ok(())
    };
    all.update("3", moved).await.expect("updated");
    all.remove("2").await.expect("removed");
    let check = |all: &crate::Collection<kit::Thing>| {
        assert_eq!(found(all, "bob/"), ["1"]);
        assert_eq!(found(all, "amy/"), ["3"]);
    };
    check(&all);
    drop((all, store));
    let store = kit::open(dir.path()).expect("opens again");
    check(&things(&store));
}

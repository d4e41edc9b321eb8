//! The last records of a range, in falling order, by looking forward only.
//!
//! sled goes backwards by itself, but by a constant of 1 MiB of 0xff (0.34: `Iter::high_key`), which a program that never asks for it does not
//! have to carry. So the range is taken apart by the next byte of its keys until what begins with the same bytes is few, and what is
//! highest is read first. That costs a look-up for each byte and each branch: a fraction of a millisecond.

use sled::{Db, IVec, Result};

/// As many records are read at once rather than taken apart further.
const FEW: usize = 64;

/// The last `n` records whose key begins with `prefix` and is below `end`, the highest first.
pub(crate) fn last(db: &Db, prefix: &[u8], end: &[u8], n: usize) -> Result<Vec<(IVec, IVec)>> {
    let mut found = Vec::new();
    if n > 0 {
        gather(db, prefix.to_vec(), end, n, &mut found)?;
    }
    Ok(found)
}

/// Adds what begins with `start`, until there are `n`.
fn gather(db: &Db, start: Vec<u8>, end: &[u8], n: usize, found: &mut Vec<(IVec, IVec)>) -> Result<()> {
    let below = |key: &[u8]| key < end && key.starts_with(&start);
    let mut few = Vec::new();
    for item in db.scan_prefix(&start) {
        let (key, value) = item?;
        if !below(&key) {
            break;
        }
        few.push((key, value));
        if few.len() > FEW {
            break;
        }
    }
    if few.len() <= FEW {
        found.extend(few.into_iter().rev().take(n - found.len()));
        return Ok(());
    }
    for next in branches(db, &start, end)?.into_iter().rev() {
        let deeper = [start.as_slice(), &[next]].concat();
        gather(db, deeper, end, n, found)?;
        if found.len() == n {
            return Ok(());
        }
    }
    // Lower than all that is longer.
    if let Some(value) = db.get(&start)? {
        found.push((IVec::from(start), value));
    }
    Ok(())
}

/// The bytes that keys below `end` have behind `start`, in order.
fn branches(db: &Db, start: &[u8], end: &[u8]) -> Result<Vec<u8>> {
    let mut found: Vec<u8> = Vec::new();
    let mut from = [start, &[0]].concat();
    while from.as_slice() < end {
        let Some((key, _)) = db.range(from.as_slice()..end).next().transpose()? else {
            break;
        };
        let Some(next) = key.strip_prefix(start).and_then(|rest| rest.first().copied()) else {
            break;
        };
        found.push(next);
        let Some(after) = next.checked_add(1) else { break };
        from = [start, &[after]].concat();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn check(keys: &BTreeSet<Vec<u8>>, prefix: &[u8], end: &[u8], n: usize) {
        let db = sled::Config::new().temporary(true).open().expect("a folder");
        for key in keys {
            db.insert(key, key.as_slice()).expect("written");
        }
        let found = last(&db, prefix, end, n).expect("read");
        let found: Vec<&[u8]> = found.iter().map(|(key, _)| key.as_ref()).collect();
        let fits = |key: &&[u8]| key.starts_with(prefix) && *key < end;
        let expected: Vec<&[u8]> = keys.iter().map(Vec::as_slice).rev().filter(fits).take(n).collect();
        assert_eq!(found, expected, "the last {n} of {prefix:?} below {end:?}");
    }

    #[test]
    fn ids_come_in_falling_order() {
        let all: BTreeSet<Vec<u8>> = (0..1000_u32)
            .flat_map(|at| {
                [
                    format!("audit/{at:020}"),
                    format!("events/evt_01m8{:09x}", at * at * 37),
                    format!("f/{at}"),
                ]
            })
            .map(String::into_bytes)
            .collect();
        for (prefix, end) in [
            ("audit/", "audit/\u{7f}"),
            ("audit/", "audit/00000000000000000500"),
            ("audit/", "audit/00000000000000000000"),
            ("events/", "events/\u{7f}"),
            ("events/", "events/evt_01m8000500000"),
            ("f/", "f/9"),
            ("nothing/", "nothing/\u{7f}"),
        ] {
            for n in [0, 1, 50, 200, 5000] {
                check(&all, prefix.as_bytes(), end.as_bytes(), n);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn as_by_going_backwards(
            keys in prop::collection::btree_set(prop::collection::vec(prop_oneof![Just(0_u8), Just(255), 97..100_u8], 0..6), 0..400),
            prefix in prop::collection::vec(97..100_u8, 0..2),
            end in prop::collection::vec(prop_oneof![Just(0_u8), Just(255), 97..100_u8], 0..4),
            n in 0..300_usize,
        ) {
            check(&keys, &prefix, &end, n);
        }
    }
}

//! The log as other organizations than the one that runs the panel see it. By the numbers of the whole log, by the hash of an entry
//! that is somebody else's, and by how much of it one answer goes through, they would count what others do, and see when. So an entry has
//! a number made of its own hash here, says nothing of the one before it, and only own entries count.

use super::{AuditPage, Mine, PAGE, key};
use std::collections::VecDeque;
use store::Store;
use types::{AuditEntry, AuditQuery, AuditReport, Result};

/// Hexadecimal digits of a hash in a number: as much as JSON's numbers hold everywhere.
const DIGITS: usize = 13;

/// Newest first; `before`: an entry's number as it was shown.
pub(super) fn list(store: &Store, mine: &Mine, query: &AuditQuery, before: Option<u64>, limit: usize) -> Result<AuditPage> {
    let (mut entries, mut has_begun, mut next) = (Vec::new(), before.is_none(), None);
    walk(store, mine, |entry| {
        if !has_begun {
            has_begun = before == Some(number(&entry));
            return true;
        }
        if !query.fits(&entry) {
            return true;
        }
        if entries.len() == limit {
            next = entries.last().map(|last: &AuditEntry| last.sequence);
            return false;
        }
        entries.push(shown(entry));
        true
    })?;
    Ok(AuditPage { entries, next })
}

/// The oldest `limit` that fit after the one with the number `after`, oldest first; from the first on when that one is gone.
pub(super) fn export(store: &Store, mine: &Mine, query: &AuditQuery, after: u64, limit: u64) -> Result<AuditPage> {
    let mut entries = VecDeque::new();
    walk(store, mine, |entry| {
        if number(&entry) == after {
            return false;
        }
        if query.fits(&entry) {
            entries.push_front(shown(entry));
            if entries.len() as u64 > limit {
                entries.pop_back();
            }
        }
        true
    })?;
    Ok(AuditPage {
        entries: entries.into(),
        next: None,
    })
}

/// Whether the whole chain holds, told by what is theirs.
pub(super) fn verify(store: &Store, mine: &Mine, known: Option<&(u64, String)>) -> Result<AuditReport> {
    let mut report = AuditReport {
        entries: 0,
        first: 0,
        last: 0,
        hash: types::FIRST_HASH.into(),
        broken: None,
    };
    if store.verify_audit(None)?.broken.is_some() {
        report.broken = Some((0, "the log does not hold; those who run the panel are told where".into()));
        return Ok(report);
    }
    let mut is_there = known.is_none();
    walk(store, mine, |entry| {
        let number = number(&entry);
        if report.entries == 0 {
            report.last = number;
            report.hash.clone_from(&entry.hash);
        }
        report.entries += 1;
        report.first = number;
        is_there |= known.is_some_and(|(noted, hash)| *noted == number && *hash == entry.hash);
        true
    })?;
    if let Some((noted, _)) = known.filter(|_| !is_there) {
        report.broken = Some((*noted, "it is not the entry that was noted, or it is gone".into()));
    }
    Ok(report)
}

/// Their entries, newest first, until `take` has enough.
fn walk(store: &Store, mine: &Mine, mut take: impl FnMut(AuditEntry) -> bool) -> Result<()> {
    let mut before: Option<u64> = None;
    loop {
        let part = match before {
            Some(before) => store.audit.before(&key(before), PAGE)?,
            None => store.audit.last(PAGE)?,
        };
        let is_last = part.len() < PAGE;
        for entry in part {
            before = Some(entry.sequence);
            if mine.holds(&entry) && !take(entry.value) {
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

fn shown(entry: AuditEntry) -> AuditEntry {
    AuditEntry {
        sequence: number(&entry),
        previous: String::new(),
        ..entry
    }
}

fn number(entry: &AuditEntry) -> u64 {
    let digits = entry.hash.get(..DIGITS).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default()
}

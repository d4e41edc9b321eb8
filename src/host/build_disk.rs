//! What builds take of the disk that the engine keeps them on.
//!
//! The engine does not say what a running step has written. The disk does, but not who wrote: so what it loses while one
//! build runs alone is put down to that build, and what it loses while several run to none of them, until the engine's
//! list of what it keeps proves whose it is. Where that does not tell, nobody is ended for the bound, but nobody else may
//! begin either; and when the apps' reserve is touched, the words say that it is not known who took the space.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use types::BuildDisk;

/// Of one build; later ones are larger.
pub type Place = u64;

/// What the disk has lost to whom.
#[derive(Debug)]
pub struct Ledger {
    disk: BuildDisk,
    last: Option<Room>,
    accounts: BTreeMap<Place, Account>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Account {
    /// Lost while no other build ran.
    alone: u64,
    /// Lost while others ran too.
    beside: u64,
    /// What the engine's list says that it made.
    proven: u64,
    was_beside: bool,
}

/// What is free now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Of all disks.
    pub bytes: u64,
    /// Of the fullest.
    pub least_bytes: u64,
}

/// Why a build is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskExcess {
    /// It took more than one may.
    Bound { took_bytes: u64, most_bytes: u64 },
    /// Too little is left for the apps.
    Reserve {
        took_bytes: u64,
        left_bytes: u64,
        reserve_bytes: u64,
        /// That run beside it and may have taken it as well.
        others: usize,
    },
}

impl Ledger {
    pub fn new(disk: BuildDisk) -> Ledger {
        Ledger {
            disk,
            last: None,
            accounts: BTreeMap::new(),
        }
    }

    pub fn disk(&self) -> BuildDisk {
        self.disk
    }

    pub fn enter(&mut self, place: Place) {
        self.accounts.insert(place, Account::default());
        if self.accounts.len() > 1 {
            self.accounts.values_mut().for_each(|account| account.was_beside = true);
        }
    }

    pub fn leave(&mut self, place: Place) {
        self.accounts.remove(&place);
        if self.accounts.is_empty() {
            self.last = None;
        }
    }

    /// Call it also right before one enters or leaves, so that what was lost until then is put down to the right ones.
    pub fn look(&mut self, now: Room) {
        let Some(last) = self.last.replace(now) else { return };
        let is_alone = self.accounts.len() == 1;
        for account in self.accounts.values_mut() {
            let sum = if is_alone { &mut account.alone } else { &mut account.beside };
            *sum = (*sum + last.bytes).saturating_sub(now.bytes);
        }
    }

    /// The engine's list says that this build made so much.
    pub fn prove(&mut self, place: Place, bytes: u64) {
        if let Some(account) = self.accounts.get_mut(&place) {
            account.proven = bytes;
        }
    }

    /// Why this build is to end now.
    pub fn excess(&self, place: Place) -> Option<DiskExcess> {
        let account = self.accounts.get(&place)?;
        let took_bytes = account.sure();
        if took_bytes > self.disk.most_bytes {
            return Some(DiskExcess::Bound {
                took_bytes,
                most_bytes: self.disk.most_bytes,
            });
        }
        let left_bytes = self.last?.least_bytes;
        // One at a time: perhaps the space of the first is enough.
        let first = self.accounts.iter().max_by_key(|(place, account)| (account.sure(), **place))?;
        (left_bytes < self.disk.reserve_bytes && *first.0 == place).then_some(DiskExcess::Reserve {
            took_bytes,
            left_bytes,
            reserve_bytes: self.disk.reserve_bytes,
            others: self.accounts.len() - 1,
        })
    }

    /// Whether this build may have taken more than it may, but others ran meanwhile.
    pub fn is_suspect(&self, place: Place) -> bool {
        let may_have = |account: &Account| account.beside > 0 && account.alone + account.beside > self.disk.most_bytes;
        self.accounts.get(&place).is_some_and(may_have)
    }

    /// Whether the builds that run may have taken more than they may, so that no other should begin.
    pub fn is_crowded(&self) -> bool {
        self.accounts.keys().any(|place| self.is_suspect(*place))
    }

    /// Whether no other ran since it began.
    pub fn was_alone(&self, place: Place) -> bool {
        self.accounts.get(&place).is_none_or(|account| !account.was_beside)
    }
}

impl Account {
    /// What is certainly its own: the disk's loss while it ran alone, or what it is proven to have made at any time.
    fn sure(&self) -> u64 {
        self.alone.max(self.proven)
    }
}

impl Room {
    /// `None` when nobody can say.
    pub fn of(folders: &[PathBuf]) -> Option<Room> {
        let mut disks = BTreeMap::new();
        for folder in folders {
            let (device, free) = free_on(folder)?;
            disks.insert(device, free);
        }
        Some(Room {
            bytes: disks.values().sum(),
            least_bytes: *disks.values().min()?,
        })
    }
}

/// The device and what is free on it; of what lies above where this process may not look.
fn free_on(folder: &Path) -> Option<(u64, u64)> {
    folder.ancestors().find_map(|folder| {
        let device = std::fs::metadata(folder).ok()?.dev();
        Some((device, crate::free_bytes(folder).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn ledger() -> Ledger {
        Ledger::new(BuildDisk {
            most_bytes: 200 * MIB,
            reserve_bytes: 100 * MIB,
        })
    }

    fn free(mib: u64) -> Room {
        Room {
            bytes: mib * MIB,
            least_bytes: mib * MIB,
        }
    }

    #[test]
    fn one_that_runs_alone_answers_for_what_the_disk_loses() {
        let mut ledger = ledger();
        ledger.enter(1);
        for (left, expected) in [(1000, None), (850, None), (900, None), (801, None), (650, Some(350))] {
            ledger.look(free(left));
            let expected = expected.map(|took: u64| DiskExcess::Bound {
                took_bytes: took * MIB,
                most_bytes: 200 * MIB,
            });
            assert_eq!(ledger.excess(1), expected, "{left}");
        }
        assert!(ledger.was_alone(1));
        // The next one begins anew.
        ledger.leave(1);
        ledger.enter(2);
        ledger.look(free(400));
        assert_eq!(ledger.excess(2), None);
    }

    #[test]
    fn of_several_none_answers_until_it_is_proven() {
        let mut ledger = ledger();
        ledger.enter(1);
        ledger.look(free(1000));
        ledger.look(free(900));
        ledger.enter(2);
        ledger.look(free(750));
        assert_eq!((ledger.excess(1), ledger.excess(2)), (None, None));
        assert!(ledger.is_suspect(1) && !ledger.is_suspect(2) && ledger.is_crowded());
        assert!(!ledger.was_alone(1) && !ledger.was_alone(2));
        ledger.look(free(650));
        assert!(ledger.is_suspect(2));
        ledger.prove(2, 240 * MIB);
        assert!(matches!(ledger.excess(2), Some(DiskExcess::Bound { .. })) && ledger.excess(1).is_none());
        ledger.leave(2);
        ledger.look(free(600));
        // What it may have taken beside the other stays in doubt; what comes now is its own.
        assert_eq!(ledger.excess(1), None);
        ledger.look(free(540));
        assert!(matches!(ledger.excess(1), Some(DiskExcess::Bound { took_bytes, .. }) if took_bytes == 210 * MIB));
    }

    #[test]
    fn one_at_a_time_gives_way_to_the_apps() {
        let mut ledger = ledger();
        ledger.enter(1);
        ledger.look(free(150));
        ledger.enter(2);
        ledger.look(free(90));
        let excess = ledger.excess(2).expect("the newest, since nobody knows");
        assert!(
            matches!(
                excess,
                DiskExcess::Reserve {
                    others: 1,
                    took_bytes: 0,
                    ..
                }
            ),
            "{excess:?}"
        );
        assert_eq!(ledger.excess(1), None);
        ledger.prove(1, 50 * MIB);
        assert!(ledger.excess(1).is_some() && ledger.excess(2).is_none());
        ledger.look(free(120));
        assert_eq!((ledger.excess(1), ledger.excess(2)), (None, None));
    }

    #[test]
    fn a_folder_out_of_sight_lies_on_the_disk_above_it() {
        let room = Room::of(&["/nonexistent/data".into(), "/".into()]).expect("there is a root");
        assert_eq!(room.bytes, room.least_bytes, "one disk counts once");
        assert_eq!(Room::of(&[]), None);
    }
}

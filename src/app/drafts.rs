//! Source that somebody uploaded to look at it first: it belongs to no app yet, and is forgotten after a while.
//!
//! Kept in memory beside its file: after a restart it is uploaded again, and `uploads::sweep_files` clears the file away.

use std::sync::{Mutex, MutexGuard, PoisonError};
use types::{Actor, Error, Kind, OrganizationId, Result, Time, UploadId, Who};

/// Shorter than the time that [`crate::uploads`] spares a file without a record.
pub(crate) const KEPT: std::time::Duration = std::time::Duration::from_secs(50 * 60);
/// Of one person and of all, so that nobody fills the disk by it.
const EACH: usize = 4;
const ALL_BYTES: u64 = 4 << 30;

/// An archive that was taken in and looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadDraft {
    pub id: UploadId,
    /// Of the archive: SHA-256 in hex.
    pub digest: String,
    pub bytes: u64,
    pub files: u64,
    pub unpacked_bytes: u64,
    pub strip_top: bool,
    pub at: Time,
    pub expires_at: Time,
}

#[derive(Default)]
pub(crate) struct Drafts(Mutex<Vec<Held>>);

struct Held {
    draft: UploadDraft,
    who: Who,
    organization: OrganizationId,
}

impl Drafts {
    fn held(&self, now: Time) -> MutexGuard<'_, Vec<Held>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|one| one.draft.expires_at > now);
        held
    }

    /// Fails with `Busy` when too much waits already.
    pub fn must_have_room(&self, now: Time, bytes: u64) -> Result<()> {
        let waiting: u64 = self.held(now).iter().map(|one| one.draft.bytes).sum();
        match waiting + bytes > ALL_BYTES {
            true => Err(Error::busy(
                "too many uploads wait to become apps; one is forgotten after 50 minutes",
            )),
            false => Ok(()),
        }
    }

    /// Keeps it; answers what had to go for it.
    pub fn insert(&self, actor: &Actor, draft: UploadDraft) -> Vec<UploadId> {
        let mut held = self.held(draft.at);
        held.push(Held {
            draft,
            who: actor.who.clone(),
            organization: actor.organization.clone(),
        });
        let own: Vec<UploadId> = held.iter().filter(|one| one.is_of(actor)).map(|one| one.draft.id.clone()).collect();
        let over: Vec<UploadId> = own[..own.len().saturating_sub(EACH)].to_vec();
        held.retain(|one| !over.contains(&one.draft.id));
        over
    }

    /// Who uploaded it finds it, nobody else.
    pub fn find(&self, actor: &Actor, id: &str, now: Time) -> Result<UploadDraft> {
        let held = self.held(now);
        let found = held.iter().find(|one| one.draft.id.as_str() == id && one.is_of(actor));
        found.map(|one| one.draft.clone()).ok_or_else(|| Error::not_found(Kind::Upload, id))
    }

    /// It became an app's. Fails with `NotFound` when somebody was quicker.
    pub fn take(&self, actor: &Actor, id: &str, now: Time) -> Result<UploadDraft> {
        let mut held = self.held(now);
        let place = held.iter().position(|one| one.draft.id.as_str() == id && one.is_of(actor));
        place
            .map(|place| held.remove(place).draft)
            .ok_or_else(|| Error::not_found(Kind::Upload, id))
    }
}

impl Held {
    fn is_of(&self, actor: &Actor) -> bool {
        self.who == actor.who && self.organization == actor.organization
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::World;

    fn draft(world: &World, at: i64, bytes: u64) -> UploadDraft {
        UploadDraft {
            id: world.id(),
            digest: "d".into(),
            bytes,
            files: 1,
            unpacked_bytes: 1,
            strip_top: false,
            at: Time(at),
            expires_at: Time(at + 1000),
        }
    }

    #[test]
    fn a_draft_is_its_owners_for_a_while() {
        let world = World::system();
        let (ada, other) = (Actor::system(world.id()), Actor::system(world.id()));
        let drafts = Drafts::default();
        let first = draft(&world, 0, ALL_BYTES);
        let id = first.id.to_string();
        assert!(drafts.insert(&ada, first.clone()).is_empty());
        assert_eq!(drafts.find(&ada, &id, Time(999)).expect("it is kept"), first);
        assert!(drafts.find(&other, &id, Time(999)).is_err(), "another organization");
        assert!(drafts.must_have_room(Time(999), 1).is_err());
        assert!(drafts.find(&ada, &id, Time(1000)).is_err(), "it is over");
        assert!(drafts.must_have_room(Time(1000), 1).is_ok());
    }

    #[test]
    fn the_oldest_goes_and_each_is_taken_once() {
        let world = World::system();
        let ada = Actor::system(world.id());
        let drafts = Drafts::default();
        let all: Vec<UploadDraft> = (0..5).map(|at| draft(&world, at, 1)).collect();
        let gone: Vec<UploadId> = all.iter().flat_map(|one| drafts.insert(&ada, one.clone())).collect();
        assert_eq!(gone, [all[0].id.clone()]);
        let id = all[4].id.as_str();
        assert!(drafts.take(&ada, id, Time(5)).is_ok() && drafts.take(&ada, id, Time(5)).is_err());
    }
}

//! The records of one type: reading is direct, changing goes through the writer.

use crate::{Batch, Record, batch::path, effort, envelope, record, store::Handle};
use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::Arc,
};
use types::{Error, Result};

/// How often `update` begins again when others change the same record.
const UPDATE_TRIES: u32 = 1000;

/// A record as it was read. Its revision goes up at each change and tells whether somebody else was faster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    pub revision: u64,
    pub value: T,
}

impl<T> Deref for Stored<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}
impl<T> DerefMut for Stored<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// All records of one type.
pub struct Collection<T> {
    handle: Arc<Handle>,
    holds: PhantomData<fn() -> T>,
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Collection {
            handle: self.handle.clone(),
            holds: PhantomData,
        }
    }
}

impl<T: Record> Collection<T> {
    pub(crate) fn new(handle: &Arc<Handle>) -> Self {
        Collection {
            handle: handle.clone(),
            holds: PhantomData,
        }
    }
    /// Fails with `NotFound` when there is none.
    pub fn get(&self, key: &str) -> Result<Stored<T>> {
        self.find(key)?.ok_or_else(|| Error::not_found(T::KIND, key))
    }
    pub fn find(&self, key: &str) -> Result<Option<Stored<T>>> {
        let path = path::<T>(key);
        effort::note(|effort| effort.look_ups += 1);
        let found = self.handle.core.read(|state| state.get(&path))?;
        found.map(|bytes| decode(&path, &bytes)).transpose()
    }
    /// All, by key.
    pub fn list(&self) -> Result<Vec<Stored<T>>> {
        self.prefix("")
    }
    /// Those whose key begins with `prefix`, by key.
    pub fn prefix(&self, prefix: &str) -> Result<Vec<Stored<T>>> {
        self.collect(|state, each| state.prefix(&path::<T>(prefix), each))
    }
    /// The `n` with the highest keys, highest first: the newest, where keys are ids.
    pub fn last(&self, n: usize) -> Result<Vec<Stored<T>>> {
        self.collect(|state, each| state.last(&path::<T>(""), None, n, each))
    }
    /// The `n` with the highest keys below `key`, highest first: the page after [`Collection::last`].
    pub fn before(&self, key: &str, n: usize) -> Result<Vec<Stored<T>>> {
        self.collect(|state, each| state.last(&path::<T>(""), Some(&path::<T>(key)), n, each))
    }
    /// Who holds a claim.
    pub fn claimed(&self, claim: &str) -> Result<Option<Stored<T>>> {
        let Some(holder) = self.handle.core.claim(&path::<T>(claim)) else {
            effort::note(|effort| effort.look_ups += 1);
            return Ok(None);
        };
        let key = holder.strip_prefix(&path::<T>("")).unwrap_or_default();
        Ok(self
            .find(key)?
            .filter(|found| found.value.claims().iter().any(|held| held == claim)))
    }
    /// Those that hold a claim which begins with `prefix`, by claim.
    pub fn claiming(&self, prefix: &str) -> Result<Vec<Stored<T>>> {
        effort::note(|effort| effort.look_ups += 1);
        let tree = path::<T>("");
        let mut records = Vec::new();
        for (claim, holder) in self.handle.core.claims_of(&path::<T>(prefix)) {
            let claim = claim.strip_prefix(&tree).unwrap_or_default();
            let found = self.handle.core.read(|state| state.get(&holder))?;
            let found = found.map(|bytes| decode::<T>(&holder, &bytes)).transpose()?;
            // What was saved or removed in this moment may hold it no more.
            records.extend(found.filter(|found| found.value.claims().iter().any(|held| held == claim)));
        }
        Ok(records)
    }
    /// Fails with `Taken` if its key or one of its claims is.
    pub async fn insert(&self, value: T) -> Result<Stored<T>> {
        let revision = self.handle.commit(Batch::new().insert(value.clone())).await?;
        Ok(Stored { revision, value })
    }
    /// Fails with `Stale` if the record was changed since it was read, with `Taken` if a new claim is.
    pub async fn save(&self, record: Stored<T>) -> Result<Stored<T>> {
        let value = record.value.clone();
        let revision = self.handle.commit(Batch::new().save(record)).await?;
        Ok(Stored { revision, value })
    }
    /// Reads, changes, saves; again if somebody else was faster, so `change` may run more than once. Nothing is
    /// written if it changes nothing. Fails with `NotFound`, with `Taken`, or as `change` does.
    pub async fn update(&self, key: &str, change: impl Fn(&mut T) -> Result<()>) -> Result<Stored<T>> {
        for _ in 0..UPDATE_TRIES {
            let before = self.get(key)?;
            let mut after = before.clone();
            change(&mut after.value)?;
            if after.value == before.value {
                return Ok(before);
            }
            match self.save(after).await {
                Err(Error::Stale { .. }) => {}
                done => return done,
            }
        }
        Err(Error::busy(format!("the {} `{key}` is being changed by too many at once", T::KIND)))
    }
    /// Fails with `NotFound` when there is none.
    pub async fn remove(&self, key: &str) -> Result<()> {
        self.handle.commit(Batch::new().remove_any::<T>(key)).await.map(drop)
    }

    fn collect(
        &self,
        walk: impl FnOnce(&crate::state::State, &mut dyn FnMut(&str, &[u8]) -> Result<()>) -> Result<()>,
    ) -> Result<Vec<Stored<T>>> {
        effort::note(|effort| effort.look_ups += 1);
        let mut records = Vec::new();
        self.handle.core.read(|state| {
            walk(state, &mut |path, bytes| {
                records.push(decode(path, bytes)?);
                Ok(())
            })
        })?;
        Ok(records)
    }
}

pub(crate) fn decode<T: Record>(path: &str, bytes: &[u8]) -> Result<Stored<T>> {
    effort::note(|effort| effort.records += 1);
    let envelope = envelope::decode(path, bytes)?;
    Ok(Stored {
        revision: envelope.revision,
        value: record::decode(envelope.version, envelope.json)?,
    })
}

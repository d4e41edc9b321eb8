//! Changes that happen together or not at all, over any collections.

use crate::{Audited, Record, Stored};
use types::{Asker, Error, Kind};

/// Bytes of a key or a claim.
const LONGEST: usize = 4096;

/// A list of changes, checked and made in their order.
#[derive(Default)]
pub struct Batch {
    pub(crate) steps: Vec<Step>,
    /// The first change that could not be written as JSON; told by `commit`.
    pub(crate) failed: Option<Error>,
    /// For whom it is, for the audit log; filled by `commit`.
    pub(crate) asker: Option<Asker>,
}

/// One change, without its type.
pub(crate) struct Step {
    pub tree: &'static str,
    pub kind: Kind,
    /// `<tree>/<key>`
    pub path: String,
    /// What people call the record.
    pub name: String,
    /// What the audit log calls it.
    pub told: String,
    pub audit: Audited,
    pub verb: Verb,
}

pub(crate) enum Verb {
    /// Must not exist.
    Insert(Content),
    /// Must exist with this revision.
    Save(u64, Content),
    Remove(u64),
    /// Must exist.
    RemoveAny,
}

pub(crate) struct Content {
    pub version: u8,
    pub claims: Vec<String>,
    pub json: Vec<u8>,
}

impl Batch {
    pub fn new() -> Batch {
        Batch::default()
    }
    /// A new record: `Taken` if its key or one of its claims is.
    pub fn insert<T: Record>(self, value: T) -> Batch {
        self.with(&value, Verb::Insert)
    }
    /// A changed record: `Stale` if it was changed since it was read, `Taken` if a new claim is.
    pub fn save<T: Record>(self, record: Stored<T>) -> Batch {
        self.with(&record.value, |content| Verb::Save(record.revision, content))
    }
    /// `Stale` if it was changed since it was read.
    pub fn remove<T: Record>(mut self, record: &Stored<T>) -> Batch {
        self.steps.push(Step {
            told: record.told(),
            ..step::<T>(record.key(), record.name(), Verb::Remove(record.revision))
        });
        self
    }
    /// `NotFound` if nothing has this key.
    pub(crate) fn remove_any<T: Record>(mut self, key: &str) -> Batch {
        self.steps.push(step::<T>(key.to_owned(), key.to_owned(), Verb::RemoveAny));
        self
    }
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
    fn with<T: Record>(mut self, value: &T, verb: impl FnOnce(Content) -> Verb) -> Batch {
        let is_long = |text: &String| text.is_empty() || text.len() > LONGEST;
        if is_long(&value.key()) || value.claims().iter().any(is_long) {
            self.failed
                .get_or_insert(Error::invalid("key", format!("must be 1 to {LONGEST} bytes")));
            return self;
        }
        match serde_json::to_vec(value) {
            Ok(json) => {
                let content = Content {
                    version: T::VERSION,
                    claims: value.claims(),
                    json,
                };
                self.steps.push(Step {
                    told: value.told(),
                    ..step::<T>(value.key(), value.name(), verb(content))
                });
            }
            Err(error) => {
                self.failed
                    .get_or_insert(Error::internal(format!("writing a {} as JSON", T::KIND), error));
            }
        }
        self
    }
}

fn step<T: Record>(key: String, name: String, verb: Verb) -> Step {
    Step {
        tree: T::TREE,
        kind: T::KIND,
        path: path::<T>(&key),
        told: name.clone(),
        name,
        audit: T::AUDIT,
        verb,
    }
}

/// Where a record lies: `<tree>/<key>`.
pub(crate) fn path<T: Record>(key: &str) -> String {
    format!("{}/{key}", T::TREE)
}

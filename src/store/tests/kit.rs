//! A record type for tests, and small openings of a store over it.

use crate::{Audited, Collection, Record, Store, store::Tuning};
use serde::{Deserialize, Serialize};
use std::path::Path;
use types::{Kind, Organization, Result, Role, Time, User, World};

/// Claims its `mark`, when it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    pub id: String,
    pub mark: Option<String>,
    pub text: String,
}

impl Record for Thing {
    const KIND: Kind = Kind::Operation;
    const TREE: &'static str = "things";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.id.clone()
    }
    fn claims(&self) -> Vec<String> {
        self.mark.iter().cloned().collect()
    }
}

pub fn thing(id: &str, mark: Option<&str>, text: &str) -> Thing {
    Thing {
        id: id.into(),
        mark: mark.map(str::to_owned),
        text: text.into(),
    }
}

/// Segments and snapshots come often.
pub fn small() -> Tuning {
    Tuning {
        segment_bytes: 2 << 10,
        snapshot_bytes: 8 << 10,
        reserve_bytes: 0,
        patience: std::time::Duration::from_secs(3),
    }
}

pub fn open(dir: &Path) -> Result<Store> {
    Store::open_with(dir, World::system(), small(), |_| Ok(Vec::new()))
}

/// The collection of things in any store.
pub fn things(store: &Store) -> Collection<Thing> {
    Collection::new(&store.handle)
}

pub fn user(world: &World, email: &str) -> User {
    User {
        service: false,
        id: world.id(),
        organization: world.id(),
        email: email.parse().expect("a mail address"),
        name: "Ada".into(),
        role: Role::Owner,
        password_hash: "none".into(),
        disabled: false,
        created_at: Time(0),
        last_seen_at: None,
    }
}

pub fn organization(world: &World, name: &str) -> Organization {
    Organization {
        id: world.id(),
        name: name.parse().expect("a slug"),
        created_at: Time(0),
        hosts: false,
        removing: false,
    }
}

/// All things, as JSON, in order.
pub fn dump(store: &Store) -> Vec<(u64, Thing)> {
    let all = things(store).list().expect("the list reads");
    all.into_iter().map(|stored| (stored.revision, stored.value)).collect()
}

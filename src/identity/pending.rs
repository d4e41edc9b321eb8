//! What waits for an answer from a browser: given once, for a while, in bounded memory. A restart forgets it, and the
//! browser begins again.

use crate::token;
use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use types::{Time, World};

/// Of one address, and in all. The oldest go first.
const OF_ADDRESS: usize = 32;
const IN_ALL: usize = 8192;

struct One<T> {
    address: String,
    at: Time,
    /// Which came first within a millisecond.
    number: u64,
    value: T,
}

/// Values by a random word.
pub struct Pending<T> {
    world: World,
    lasts: Duration,
    numbers: AtomicU64,
    all: Mutex<HashMap<String, One<T>>>,
}

impl<T> Pending<T> {
    pub fn new(world: World, lasts: Duration) -> Pending<T> {
        Pending {
            world,
            lasts,
            numbers: AtomicU64::new(0),
            all: Mutex::default(),
        }
    }

    /// Keeps it for whoever comes from `address`; the word that gives it back.
    pub fn insert(&self, address: &str, value: T) -> String {
        let now = self.world.now();
        let mut all = self.all();
        all.retain(|_, one| now.since(one.at) < self.lasts);
        let of_address = |one: &One<T>| one.address == address;
        while all.values().filter(|one| of_address(one)).count() >= OF_ADDRESS {
            forget_oldest(&mut all, of_address);
        }
        while all.len() >= IN_ALL {
            forget_oldest(&mut all, |_| true);
        }
        let word = token::word(&self.world);
        let one = One {
            address: address.to_owned(),
            at: now,
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            value,
        };
        all.insert(word.clone(), one);
        word
    }

    /// What it gave this word for, once and in time.
    pub fn take(&self, word: &str) -> Option<T> {
        let one = self.all().remove(word)?;
        (self.world.now().since(one.at) < self.lasts).then_some(one.value)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, One<T>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_oldest<T>(all: &mut HashMap<String, One<T>>, counts: impl Fn(&One<T>) -> bool) {
    let oldest = all.iter().filter(|(_, one)| counts(one)).min_by_key(|(_, one)| one.number);
    if let Some(word) = oldest.map(|(word, _)| word.clone()) {
        all.remove(&word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_once_and_bounded_by_address() {
        let all = Pending::new(World::system(), Duration::from_secs(60));
        let first = all.insert("10.0.0.1", 0);
        let other = all.insert("10.0.0.2", 7);
        for number in 1..=OF_ADDRESS {
            all.insert("10.0.0.1", number);
        }
        assert_eq!(all.take(&first), None, "the oldest of that address went");
        assert_eq!(all.take(&other), Some(7));
        assert_eq!(all.take(&other), None);
        let late = Pending::new(World::system(), Duration::ZERO);
        let word = late.insert("", 1);
        assert_eq!(late.take(&word), None);
    }
}

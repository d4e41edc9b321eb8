//! Records in sets of one name and kind, as some services keep them.

use super::*;

/// Sets of values by name and type.
#[derive(Default)]
pub struct Sets(pub Mutex<Vec<Set>>);

/// Name, type, seconds, values.
pub type Set = (String, String, u32, Vec<String>);

impl Sets {
    pub fn add(&self, name: &str, kind: &str, ttl: u32, value: &str) {
        let mut sets = self.0.lock().unwrap();
        match sets.iter_mut().find(|set| set.0 == name && set.1 == kind) {
            Some(set) => set.3.push(value.to_owned()),
            None => sets.push((name.to_owned(), kind.to_owned(), ttl, vec![value.to_owned()])),
        }
    }
    pub fn remove(&self, name: &str, kind: &str, value: &str) {
        let mut sets = self.0.lock().unwrap();
        for set in sets.iter_mut().filter(|set| set.0 == name && set.1 == kind) {
            set.3.retain(|own| own != value);
        }
        sets.retain(|set| !set.3.is_empty());
    }
}

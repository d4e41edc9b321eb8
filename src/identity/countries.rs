//! In which country an address is, by a database on this machine: a file in MaxMind's format with countries or cities, such
//! as those of DB-IP and GeoLite2. Nothing is asked over the network.
//!
//! Source of the format: MaxMind DB File Format Specification 2.0.

use maxminddb::{Reader, path};
use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};
use types::{Error, Result};

type Database = Reader<Vec<u8>>;

/// Bytes of a file: it is held in memory.
const MOST: u64 = 256 << 20;

/// Reads the file again when it was replaced.
#[derive(Default)]
pub struct Countries(Mutex<Option<Loaded>>);

struct Loaded {
    path: PathBuf,
    stamp: Option<(SystemTime, u64)>,
    /// Of the last file that was good.
    database: Option<Arc<Database>>,
    /// What is wrong with the file that is there now.
    problem: Option<String>,
}

impl Countries {
    /// Two letters of ISO 3166-1, such as `DE`; `None` when the database does not know, or cannot be read.
    pub fn of(&self, path: &Path, address: IpAddr) -> Option<String> {
        let database = self.loaded(path).0?;
        let found = database.lookup(address.to_canonical()).ok()?;
        let code = |name: &'static str| found.decode_path::<&str>(&path![name, "iso_code"]).ok().flatten();
        let code = code("country").or_else(|| code("registered_country"))?;
        let is_code = code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_uppercase());
        is_code.then(|| code.to_owned())
    }

    /// What is wrong with the file, in words; while there is something, the one from before is asked if there was one.
    pub fn problem(&self, path: &Path) -> Option<String> {
        self.loaded(path).1
    }

    fn loaded(&self, path: &Path) -> (Option<Arc<Database>>, Option<String>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(path);
        let is_same = |one: &&mut Loaded| one.path == path && one.stamp == stamp;
        if let Some(loaded) = held.as_mut().filter(is_same) {
            return (loaded.database.clone(), loaded.problem.clone());
        }
        let before = held.take().filter(|one| one.path == path).and_then(|one| one.database);
        let (database, problem) = match open(path) {
            Ok(database) => (Some(Arc::new(database)), None),
            Err(why) => {
                tracing::warn!("countries of addresses: {why}");
                (before, Some(why))
            }
        };
        *held = Some(Loaded {
            path: path.to_owned(),
            stamp,
            database: database.clone(),
            problem: problem.clone(),
        });
        (database, problem)
    }
}

/// Fails with `Invalid` for `countries` unless the file can be asked.
pub fn check_countries(path: &Path) -> Result<()> {
    if !path.is_absolute() {
        return Err(Error::invalid("countries", "must be the whole path of a file, from / on"));
    }
    open(path).map(drop).map_err(|why| Error::invalid("countries", why))
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn open(path: &Path) -> Result<Database, String> {
    let shown = path.display();
    let about = fs::metadata(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    if !about.is_file() || about.len() > MOST {
        return Err(format!("{shown} is no file of at most {} MiB", MOST >> 20));
    }
    let bytes = fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let database = Reader::from_source(bytes).map_err(|_| format!("{shown} is no database in MaxMind's format (.mmdb), or not whole"))?;
    let kind = database.metadata.database_type.clone();
    let has_countries = ["Country", "City", "Enterprise", "Location"].iter().any(|word| kind.contains(word));
    if !has_countries {
        return Err(format!("{shown} has no countries: it is a database of the type {kind}"));
    }
    // The bounds of tree and data are looked through once, so that a file that was cut off is told now.
    database.verify().map_err(|_| format!("{shown} is damaged: fetch it again"))?;
    Ok(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_database_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("countries.mmdb");
        let why = |path: &Path| check_countries(path).expect_err("refused").to_string();
        assert!(why(&file).contains("cannot be read"), "{}", why(&file));
        assert!(why(folder.path()).contains("is no file"), "{}", why(folder.path()));
        assert!(why(Path::new("countries.mmdb")).contains("the whole path"));
        fs::write(&file, b"hello").expect("written");
        assert!(why(&file).contains("MaxMind's format"), "{}", why(&file));
        let countries = Countries::default();
        assert_eq!(countries.of(&file, "192.0.2.1".parse().expect("an address")), None);
        assert!(countries.problem(&file).is_some());
    }
}

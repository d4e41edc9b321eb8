//! Passwords that have leaked somewhere, from a list that the administrator keeps on this machine; nothing is asked of
//! anybody. Two forms of the list by haveibeenpwned.com are read as they come:
//!
//! - one file, ordered by hash: lines of SHA-1 in hex, a colon, and how often it was seen;
//! - a folder of ranges: a file for each first five digits, `21BD1` or `21BD1.txt`, with the other 35 digits in each line.

use sha1::{Digest, Sha1};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};
use types::{Error, Result, Secret};

/// Digits of a hash, and of those that name a range.
const DIGITS: usize = 40;
const PREFIX: usize = 5;
/// No line is longer: a hash, a colon, a number, an end of line.
const LINE: u64 = 80;

/// A list that is there. It is read anew at each question, so it may be replaced.
#[derive(Debug, Clone)]
pub struct Breached {
    path: PathBuf,
    is_folder: bool,
}

impl Breached {
    /// Fails with `Invalid` when `path` is neither of the two forms.
    pub fn open(path: &Path) -> Result<Breached> {
        let wrong = |why: String| Error::invalid("passwords.breached", format!("{}: {why}", path.display()));
        let found = fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
        let breached = Breached {
            path: path.to_owned(),
            is_folder: found.is_dir(),
        };
        if !breached.is_folder {
            let mut first = String::new();
            let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
            let read = BufReader::new(file.take(LINE)).read_line(&mut first);
            if read.is_err() || hash_in(first.as_bytes()).is_none() {
                return Err(wrong("its lines must begin with 40 hexadecimal digits, ordered".into()));
            }
        }
        Ok(breached)
    }

    /// Whether the list has this password. Reads some blocks of the file.
    pub fn has(&self, password: &Secret) -> std::io::Result<bool> {
        let digest = Sha1::digest(password.expose());
        let hash: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        match self.is_folder {
            true => self.in_range(&hash),
            false => in_file(&mut File::open(&self.path)?, &hash),
        }
    }

    fn in_range(&self, hash: &str) -> std::io::Result<bool> {
        let (prefix, rest) = hash.split_at(PREFIX);
        for name in [prefix.to_owned(), format!("{prefix}.txt")] {
            match fs::read_to_string(self.path.join(name)) {
                Ok(text) => {
                    let is_it = |line: &str| line.get(..rest.len()).is_some_and(|start| start.eq_ignore_ascii_case(rest));
                    return Ok(text.lines().any(is_it));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        // The whole list has every range.
        Err(std::io::Error::new(ErrorKind::NotFound, format!("the range {prefix} is missing")))
    }
}

/// Looks for the hash between two places in the file, and halves what is between.
fn in_file(file: &mut File, hash: &str) -> std::io::Result<bool> {
    let (mut low, mut high) = (0, file.seek(SeekFrom::End(0))?);
    // `low` is the beginning of a line.
    while low < high {
        let middle = low + (high - low) / 2;
        let start = line_from(file, middle, low)?;
        if start >= high {
            // No line begins between the middle and there.
            high = middle;
            continue;
        }
        match read_hash(file, start)? {
            Some(found) if found == hash => return Ok(true),
            Some(found) if found.as_str() < hash => low = next_line(file, start)?,
            _ => high = start,
        }
    }
    Ok(false)
}

/// The first beginning of a line at or after `at`; `low` is one.
fn line_from(file: &mut File, at: u64, low: u64) -> std::io::Result<u64> {
    match at == low {
        true => Ok(low),
        false => next_line(file, at - 1),
    }
}

/// Where the line behind the next end of line begins; the end of the file if there is none.
fn next_line(file: &mut File, at: u64) -> std::io::Result<u64> {
    file.seek(SeekFrom::Start(at))?;
    let mut skipped = Vec::new();
    BufReader::new((&mut *file).take(LINE)).read_until(b'\n', &mut skipped)?;
    Ok(at + skipped.len() as u64)
}

fn read_hash(file: &mut File, at: u64) -> std::io::Result<Option<String>> {
    file.seek(SeekFrom::Start(at))?;
    let mut line = Vec::new();
    (&mut *file).take(DIGITS as u64).read_to_end(&mut line)?;
    Ok(hash_in(&line))
}

/// In capitals.
fn hash_in(line: &[u8]) -> Option<String> {
    let digits = line.get(..DIGITS).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    Some(String::from_utf8_lossy(digits).to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str) -> String {
        Sha1::digest(password.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect()
    }

    fn check(breached: &Breached, password: &str) -> bool {
        breached.has(&password.into()).expect("reads")
    }

    #[test]
    fn a_file_of_any_length_is_searched() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list.txt");
        for length in [1, 2, 3, 10, 257] {
            for ending in ["\n", "\r\n"] {
                let mut lines: Vec<String> = (0..length)
                    .map(|n| format!("{}:{}", hash(&format!("word{n}")), n * n * 37 + 1))
                    .collect();
                lines.sort();
                fs::write(&path, lines.join(ending)).expect("written");
                let breached = Breached::open(&path).expect("a list");
                for n in 0..length {
                    assert!(check(&breached, &format!("word{n}")), "{n} of {length}");
                }
                for n in 0..50 {
                    assert!(!check(&breached, &format!("other{n}")), "{n} of {length}");
                }
            }
        }
    }

    #[test]
    fn a_folder_of_ranges_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        for (password, ending) in [("password1", ""), ("letmein99", ".txt")] {
            let hash = hash(password);
            let text = format!("{}:12\r\n{}:3\r\n", "0".repeat(35), hash[PREFIX..].to_lowercase());
            fs::write(folder.path().join(format!("{}{ending}", &hash[..PREFIX])), text).expect("written");
        }
        let breached = Breached::open(folder.path()).expect("a list");
        assert!(check(&breached, "password1") && check(&breached, "letmein99"));
        assert!(breached.has(&"something else".into()).is_err(), "an incomplete list says so");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list.txt");
        for text in ["", "hello\n", "0123:4\n"] {
            fs::write(&path, text).expect("written");
            assert!(Breached::open(&path).is_err(), "{text:?}");
        }
        assert!(Breached::open(&folder.path().join("none")).is_err());
    }
}

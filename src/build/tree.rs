//! A folder to recognise: small reads that never follow a link out of it.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is read of a file.
const MOST: u64 = 1 << 20;

pub struct Tree(PathBuf);

impl Tree {
    pub fn new(folder: &Path) -> Tree {
        Tree(folder.to_owned())
    }
    /// Whether a file is there. Links are not looked behind.
    pub fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.0.join(name)).is_ok_and(|facts| facts.is_file())
    }
    pub fn has_folder(&self, name: &str) -> bool {
        fs::symlink_metadata(self.0.join(name)).is_ok_and(|facts| facts.is_dir())
    }
    /// The first of these that is there.
    pub fn first<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().copied().find(|name| self.has(name))
    }
    /// Empty when it is not there, too large or not text.
    pub fn text(&self, name: &str) -> String {
        let path = self.0.join(name);
        let fits = fs::symlink_metadata(&path).is_ok_and(|facts| facts.is_file() && facts.len() <= MOST);
        if fits {
            fs::read_to_string(path).unwrap_or_default()
        } else {
            String::new()
        }
    }
    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap_or_default()
    }
    pub fn toml(&self, name: &str) -> toml::Table {
        self.text(name).parse().unwrap_or_default()
    }
    /// Names in a folder, in order.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
    /// Names at the top that end so.
    pub fn ending(&self, end: &str) -> Vec<String> {
        self.names(".")
            .into_iter()
            .filter(|name| name.ends_with(end) && self.has(name))
            .collect()
    }
}

/// The first version in a text such as `>=20.1 <23`, `^8.2`, `python-3.11.4`: `parts` numbers of it.
pub fn version_in(text: &str, parts: usize) -> Option<String> {
    let start = text.find(|letter: char| letter.is_ascii_digit())?;
    let end = text[start..].find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let number = text[start..].get(..end.unwrap_or(text.len() - start))?;
    let numbers: Vec<&str> = number.split('.').filter(|part| !part.is_empty()).take(parts).collect();
    (!numbers.is_empty()).then(|| numbers.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, parts, expected) in [
            (">=20.1 <23", 1, Some("20")),
            ("^8.2", 2, Some("8.2")),
            ("python-3.11.4", 2, Some("3.11")),
            ("v18", 1, Some("18")),
            ("lts/*", 1, None),
            ("1.22.3", 2, Some("1.22")),
            ("", 2, None),
        ] {
            assert_eq!(version_in(text, parts).as_deref(), expected, "{text}");
        }
    }
}

//! Versions of an app that one template offers, such as PostgreSQL 18, 17 and 16.
//!
//! What differs between them stands in `template.yaml`, and `{{ version.KEY }}` in the Compose file is its place. It is put there before
//! anything else is read, and what comes out is what an installed app has: so its file names the image that runs, and a newer template
//! merges with it, by the same choice, as any other does.

use super::{Template, Version};
use regex::{Captures, Regex};

fn place() -> Regex {
    Regex::new(r"\{\{\s*version\.([a-z][a-z0-9_]*)\s*\}\}").expect("a literal pattern")
}

/// `compose` with what the version sets in place of each `{{ version.KEY }}`. What it does not set stays, and is told when the file is read.
pub fn pick(compose: &str, version: Option<&Version>) -> String {
    let put = |found: &Captures<'_>| {
        let value = version.and_then(|version| version.set.get(&found[1]));
        value.cloned().unwrap_or_else(|| found[0].to_owned())
    };
    place().replace_all(compose, put).into_owned()
}

/// The keys for which `compose` has a place.
pub(super) fn places(compose: &str) -> Vec<&str> {
    let found = place();
    let keys = found.captures_iter(compose).filter_map(|found| found.get(1));
    keys.map(|key| key.as_str()).collect()
}

impl Template {
    /// The version of this name, or the first one. `None`: there is nothing to choose. Fails in words with a name that none has.
    pub fn version(&self, name: Option<&str>) -> Result<Option<&Version>, String> {
        let Some(name) = name else { return Ok(self.versions.first()) };
        let found = self.versions.iter().find(|version| version.name == name);
        match found {
            Some(version) => Ok(Some(version)),
            None if self.versions.is_empty() => Err(format!("{} comes in one version only", self.title)),
            None => Err(format!("must be one of {}", self.version_names())),
        }
    }

    /// `18, 17, 16`.
    pub fn version_names(&self) -> String {
        let names: Vec<&str> = self.versions.iter().map(|version| version.name.as_str()).collect();
        names.join(", ")
    }

    /// The version that something with this image for its main service is: for apps from before there was a choice.
    pub fn version_of(&self, image: &str) -> Option<&Version> {
        self.versions.iter().find(|version| stands_in(&version.name, image))
    }
}

/// Whether the tag of `image` tells this version: `17` of `postgres:17.11`, `php8.4` of `wordpress:7.1.0-php8.4-apache`.
pub(super) fn stands_in(name: &str, image: &str) -> bool {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    // A colon before a slash is of a port.
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    if tag.contains('/') {
        return false;
    }
    tag.match_indices(name).any(|(at, _)| {
        let (before, after) = (&tag[..at], &tag[at + name.len()..]);
        let begins = matches!(before, "" | "v") || before.ends_with(['-', '_']);
        begins && !after.starts_with(|letter: char| letter.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_version_is_put_in_its_places() {
        let version = Version {
            name: "17".into(),
            notes: None,
            set: BTreeMap::from([("tag".into(), "17.11".into()), ("data".into(), "/$1/{{ version.tag }}".into())]),
            takes_over: Vec::new(),
        };
        for (text, expected) in [
            ("image: db:{{ version.tag }}", "image: db:17.11"),
            ("{{version.tag}}{{  version.tag  }}", "17.1117.11"),
            // Nothing is read twice, and a dollar is a dollar.
            ("{{ version.data }}", "/$1/{{ version.tag }}"),
            (
                "{{ version.other }} {{ version }} {{ tag }}",
                "{{ version.other }} {{ version }} {{ tag }}",
            ),
        ] {
            assert_eq!(pick(text, Some(&version)), expected);
            assert_eq!(pick(text, None), text);
        }
        assert_eq!(places("{{ version.tag }} {{ version.data }} {{ app }}"), ["tag", "data"]);
    }

    #[test]
    fn versions_in_tags() {
        for (name, image) in [
            ("17", "postgres:17.11"),
            ("17", "postgres:17"),
            ("17", "host:5000/postgres:17.11-alpine@sha256:18"),
            ("7.4", "redis:7.4.11-alpine"),
            ("8", "redis:8.10.1-alpine"),
            ("php8.4", "wordpress:7.1.0-php8.4-apache"),
            ("3", "vendor/app:v3.2"),
        ] {
            assert!(stands_in(name, image), "{name} {image}");
        }
        for (name, image) in [
            ("17", "postgres:18.17"),
            ("1", "postgres:17.1"),
            ("8", "postgres:18"),
            ("4", "wordpress:7.1.0-php8.4-apache"),
            ("18", "postgres@sha256:18"),
            ("5000", "host:5000/postgres"),
            ("3", "app"),
        ] {
            assert!(!stands_in(name, image), "{name} {image}");
        }
    }
}

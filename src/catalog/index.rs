//! `index.json` of a catalog: what lies in it, in which version, and the hash of every file.
//!
//!     { "schema": 1, "templates": { "NAME": { "version": "1.2.3-1", "template": "…", "compose": "…" } } }
//!
//! Who signs this one file has signed the whole catalog. The signature is `app`'s business, over the bytes that [`Index::read`] gets.

use crate::{Texts, template};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use types::{Error, Result};

/// The version of this format.
const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub schema: u32,
    pub templates: BTreeMap<String, Listed>,
}

/// A template's two files. The hashes are SHA-256 in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub version: String,
    pub template: String,
    pub compose: String,
}

/// Where a catalog is not what its index says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// `template.yaml` or `compose.yaml` has another hash.
    Changed { name: String, file: &'static str },
    /// Listed, and not there.
    Missing { name: String },
    /// There, and not listed.
    Extra { name: String },
}

impl Difference {
    pub fn name(&self) -> &str {
        match self {
            Difference::Changed { name, .. } | Difference::Missing { name } | Difference::Extra { name } => name,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Changed { name, file } => write!(f, "{name}/{file} is not the file that the index names"),
            Difference::Missing { name } => write!(f, "{name} is in the index, and not in the catalog"),
            Difference::Extra { name } => write!(f, "{name} is in the catalog, and not in the index"),
        }
    }
}

impl Index {
    /// The index of these templates. Fails with `Invalid` at the first that is none, since it has no version.
    pub fn of(texts: &Texts) -> Result<Index> {
        let listed = |(name, (text, compose)): (&String, &(String, String))| {
            let read = template::read(text).map_err(|notice| Error::invalid(format!("{name}/template.yaml"), notice.to_string()))?;
            if !template::is_name(name) || read.name != *name {
                return Err(Error::invalid(
                    format!("{name}/template.yaml"),
                    format!(
                        "its name is `{}`, and must be that of its folder: 2 to 40 of a-z, 0-9 and -",
                        read.name
                    ),
                ));
            }
            let listed = Listed {
                version: read.version,
                template: hash(text),
                compose: hash(compose),
            };
            Ok((name.clone(), listed))
        };
        Ok(Index {
            schema: SCHEMA,
            templates: texts.iter().map(listed).collect::<Result<_>>()?,
        })
    }

    /// Reads `index.json`. Names and hashes are checked, so that a name can stand in a path or an address.
    pub fn read(json: &str) -> Result<Index> {
        let invalid = |why: String| Error::invalid("index.json", why);
        let index: Index = serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
        if index.schema != SCHEMA {
            return Err(invalid(format!("schema is {}, and this version knows {SCHEMA}", index.schema)));
        }
        let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        for (name, listed) in &index.templates {
            if !template::is_name(name) {
                return Err(invalid(format!("`{name}` is no name of a template: 2 to 40 of a-z, 0-9 and -")));
            }
            if !is_hash(&listed.template) || !is_hash(&listed.compose) {
                return Err(invalid(format!("`{name}`: template and compose must be SHA-256 hashes in hex")));
            }
        }
        Ok(index)
    }

    /// The file as it is written and signed: the same for the same templates, byte for byte.
    pub fn json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("maps of texts are JSON");
        json.push('\n');
        json
    }

    /// What is not as listed, by name; empty when all is.
    pub fn check(&self, texts: &Texts) -> Vec<Difference> {
        let mut differences = Vec::new();
        let names: BTreeSet<&String> = self.templates.keys().chain(texts.keys()).collect();
        for name in names {
            match (self.templates.get(name), texts.get(name)) {
                (Some(listed), Some((text, compose))) => {
                    for (file, expected, there) in [
                        ("compose.yaml", &listed.compose, compose),
                        ("template.yaml", &listed.template, text),
                    ] {
                        if *expected != hash(there) {
                            differences.push(Difference::Changed { name: name.clone(), file });
                        }
                    }
                }
                (Some(_), None) => differences.push(Difference::Missing { name: name.clone() }),
                (None, _) => differences.push(Difference::Extra { name: name.clone() }),
            }
        }
        differences
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("tests/good/template.yaml");
    const COMPOSE: &str = include_str!("tests/good/compose.yaml");

    fn texts(names: &[&str]) -> Texts {
        let one = |name: &&str| {
            let text = TEMPLATE.replacen("name: good", &format!("name: {name}"), 1);
            ((*name).to_owned(), (text, COMPOSE.to_owned()))
        };
        names.iter().map(one).collect()
    }

    #[test]
    fn it_is_written_and_read() {
        let index = Index::of(&texts(&["good", "other"])).expect("templates");
        assert_eq!(Index::read(&index.json()).expect("an index"), index);
        assert_eq!(index.templates["good"].compose.len(), 64);
        // Of the three letters `abc`, FIPS 180-2.
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn differences_are_named() {
        let index = Index::of(&texts(&["one", "two", "three"])).expect("templates");
        let mut changed = texts(&["one", "two", "four"]);
        changed.get_mut("one").expect("there").1.push('\n');
        changed.get_mut("two").expect("there").0.push('#');
        let shown: Vec<String> = index.check(&changed).iter().map(Difference::to_string).collect();
        assert_eq!(
            shown,
            [
                "four is in the catalog, and not in the index",
                "one/compose.yaml is not the file that the index names",
                "three is in the index, and not in the catalog",
                "two/template.yaml is not the file that the index names",
            ]
        );
        assert_eq!(index.check(&texts(&["one", "two", "three"])), []);
    }

    #[test]
    fn what_is_refused() {
        let hash = hash("");
        let one = |name: &str, hash: &str| {
            format!(r#"{{"schema": 1, "templates": {{"{name}": {{"version": "1-1", "template": "{hash}", "compose": "{hash}"}}}}}}"#)
        };
        for (json, words) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"schema": 2, "templates": {}}"#, "schema is 2"),
            (&one("../etc", &hash), "no name of a template"),
            (&one("good", "00"), "SHA-256"),
            (&one("good", &hash.to_uppercase()), "SHA-256"),
        ] {
            let error = Index::read(json).expect_err(json).to_string();
            assert!(error.contains(words), "{json}: {error}");
        }
        let mut broken = texts(&["good"]);
        broken.insert("bad".into(), ("schema: [".into(), String::new()));
        let error = Index::of(&broken).expect_err("no template").to_string();
        assert!(error.contains("bad/template.yaml"), "{error}");
        let moved = BTreeMap::from([("other".to_owned(), texts(&["good"])["good"].clone())]);
        assert!(
            Index::of(&moved)
                .expect_err("another name")
                .to_string()
                .contains("its name is `good`")
        );
    }
}

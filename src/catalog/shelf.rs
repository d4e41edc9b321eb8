//! A catalog: templates by name, from the binary or from a folder.

use crate::template::{self, Finding, Template};
use std::{collections::BTreeMap, fs, path::Path};
use types::{Doing, Error, Result, World};

static EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalog.json.zst"));

/// A template with its files as they were written.
#[derive(Debug, Clone)]
pub struct Entry {
    pub template: Template,
    pub text: String,
    pub compose: String,
}

/// Templates by name.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    entries: BTreeMap<String, Entry>,
}

type Texts = BTreeMap<String, (String, String)>;

impl Shelf {
    /// The catalog that comes with the program. Unpacks and reads all of it: keep it.
    pub fn embedded() -> Result<Shelf> {
        Shelf::of(embedded_texts()?)
    }

    /// A folder of folders, each with `template.yaml` and `compose.yaml`.
    pub fn folder(path: &Path) -> Result<Shelf> {
        Shelf::of(texts_of(path)?)
    }

    fn of(texts: Texts) -> Result<Shelf> {
        let entry = |(name, (text, compose)): (String, (String, String))| {
            let template = template::read(&text).map_err(|notice| Error::invalid(format!("{name}/template.yaml"), notice.to_string()))?;
            Ok((name, Entry { template, text, compose }))
        };
        Ok(Shelf {
            entries: texts.into_iter().map(entry).collect::<Result<_>>()?,
        })
    }

    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// By name.
    pub fn list(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn embedded_texts() -> Result<Texts> {
    let json = zstd::decode_all(EMBEDDED).doing("unpacking the catalog")?;
    serde_json::from_slice(&json).doing("reading the catalog")
}

fn texts_of(path: &Path) -> Result<Texts> {
    let cannot = |error: std::io::Error| Error::invalid("folder", format!("{}: {error}", path.display()));
    let mut texts = Texts::new();
    for folder in fs::read_dir(path).map_err(cannot)? {
        let folder = folder.map_err(cannot)?.path();
        if !folder.is_dir() {
            continue;
        }
        let read = |name: &str| {
            let file = folder.join(name);
            fs::read_to_string(&file).map_err(|error| Error::invalid("folder", format!("{}: {error}", file.display())))
        };
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        texts.insert(name, (read("template.yaml")?, read("compose.yaml")?));
    }
    Ok(texts)
}

/// What breaks a rule, by template; empty when all is well. `None`: the catalog that comes with the program.
pub fn check_all(folder: Option<&Path>, world: &World) -> Result<BTreeMap<String, Vec<Finding>>> {
    let texts = match folder {
        Some(folder) => texts_of(folder)?,
        None => embedded_texts()?,
    };
    let found = |(name, (text, compose)): (String, (String, String))| {
        let findings = template::check(&name, &text, &compose, world);
        (name, findings)
    };
    Ok(texts.into_iter().map(found).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_keeps_all_rules() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalog");
        let mut lines = Vec::new();
        for (name, findings) in check_all(Some(&folder), &World::system()).expect("catalog/ is readable") {
            lines.extend(findings.iter().map(|finding| format!("catalog/{name}/{finding}")));
        }
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }

    #[test]
    fn what_is_embedded_is_what_lies_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalog");
        let (embedded, there) = (Shelf::embedded().expect("packed well"), Shelf::folder(&folder).expect("readable"));
        assert!(embedded.list().map(|entry| &entry.text).eq(there.list().map(|entry| &entry.text)));
        assert_eq!((embedded.len(), embedded.is_empty()), (there.len(), there.is_empty()));
    }

    #[test]
    fn a_folder_without_files_is_refused_in_words() {
        let top = tempfile::tempdir().expect("a folder");
        fs::create_dir(top.path().join("app")).expect("made");
        let error = Shelf::folder(top.path()).expect_err("no files").to_string();
        assert!(error.contains("app/template.yaml"), "{error}");
    }
}

//! A catalog: templates by name, from the binary, from a folder, or from texts that came from elsewhere.

use crate::{
    compose::{Files, Folder},
    template::{self, Finding, Template},
};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};
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
    entries: BTreeMap<String, Arc<Entry>>,
}

/// `template.yaml` and `compose.yaml` by name.
pub type Texts = BTreeMap<String, (String, String)>;
/// What keeps a template from being used, by name.
pub type Broken = BTreeMap<String, Vec<Finding>>;

/// More templates than any catalog has.
const MAX_TEMPLATES: usize = 5000;

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
            Ok((name, Arc::new(Entry { template, text, compose })))
        };
        Ok(Shelf {
            entries: texts.into_iter().map(entry).collect::<Result<_>>()?,
        })
    }

    /// Somebody's own catalog: those templates that can be read and whose Compose file can be, and what is wrong with the others.
    /// A rule of [`template::check`] that one breaks does not keep it away.
    pub fn of_texts(texts: Texts) -> (Shelf, Broken) {
        let (mut shelf, mut broken) = (Shelf::default(), Broken::new());
        for (name, (text, compose)) in texts {
            match template::whole(&name, &text, &compose) {
                Ok(template) => {
                    shelf.entries.insert(name, Arc::new(Entry { template, text, compose }));
                }
                Err(findings) => {
                    broken.insert(name, findings);
                }
            }
        }
        (shelf, broken)
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.entries.get(name)
    }

    /// By name.
    pub fn list(&self) -> impl Iterator<Item = &Arc<Entry>> {
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
    let both = |(name, read): (String, Both)| match read {
        Ok(both) => Ok((name, both)),
        Err(Finding { file, what, .. }) => Err(Error::invalid("folder", format!("{name}/{file}: {what}"))),
    };
    folders_of(path)?.map(both).collect()
}

/// A template's two files, or which of them cannot be read and why.
type Both = std::result::Result<(String, String), Finding>;

/// By the name of the folder.
fn folders_of(path: &Path) -> Result<impl Iterator<Item = (String, Both)>> {
    let cannot = |error: std::io::Error| Error::invalid("folder", format!("{}: {error}", path.display()));
    let entries: Vec<_> = fs::read_dir(path)
        .map_err(cannot)?
        .collect::<std::io::Result<_>>()
        .map_err(cannot)?;
    let folders = entries.into_iter().map(|entry| entry.path()).filter(|folder| folder.is_dir());
    Ok(folders.map(|folder| {
        let read = |file: &'static str| {
            fs::read_to_string(folder.join(file)).map_err(|error| Finding {
                file,
                line: 0,
                what: error.to_string(),
            })
        };
        let both = read("template.yaml").and_then(|template| Ok((template, read("compose.yaml")?)));
        (folder.file_name().unwrap_or_default().to_string_lossy().into_owned(), both)
    }))
}

/// The templates of a work tree that somebody else wrote: its folders with a `template.yaml`. Links that lead out of it are not followed,
/// and what cannot be read is told by name. Fails when the folder itself cannot be read, or holds too much.
pub fn texts_of_tree(path: &Path) -> Result<(Texts, Broken)> {
    let cannot = |error: std::io::Error| Error::invalid("folder", error.to_string());
    let tree = Folder(path.to_owned());
    let (mut texts, mut broken) = (Texts::new(), Broken::new());
    for folder in fs::read_dir(path).map_err(cannot)? {
        let name = folder.map_err(cannot)?.file_name();
        // What is not UTF-8 is no template's name.
        let Some(name) = name.to_str().filter(|name| template::is_name(name)) else {
            continue;
        };
        let read = |file: &'static str| {
            tree.read(&format!("{name}/{file}"))
                .map_err(|what| vec![Finding { file, line: 0, what }])
        };
        let both = match read("template.yaml") {
            Ok(None) => continue,
            Ok(Some(text)) => read("compose.yaml").map(|compose| (text, compose.unwrap_or_default())),
            Err(findings) => Err(findings),
        };
        match both {
            Ok(both) => {
                texts.insert(name.to_owned(), both);
            }
            Err(findings) => {
                broken.insert(name.to_owned(), findings);
            }
        }
        if texts.len() + broken.len() > MAX_TEMPLATES {
            return Err(Error::invalid("folder", format!("it holds more than {MAX_TEMPLATES} templates")));
        }
    }
    Ok((texts, broken))
}

/// What breaks a rule, by template; empty when all is well. `None`: the catalog that comes with the program.
pub fn check_all(folder: Option<&Path>, world: &World) -> Result<BTreeMap<String, Vec<Finding>>> {
    let found = |name: String, (text, compose): (String, String)| {
        let findings = template::check(&name, &text, &compose, world);
        (name, findings)
    };
    let Some(folder) = folder else {
        return Ok(embedded_texts()?.into_iter().map(|(name, both)| found(name, both)).collect());
    };
    // One folder that cannot be read does not hide what is wrong with the others.
    let each = folders_of(folder)?.map(|(name, both)| match both {
        Ok(both) => found(name, both),
        Err(finding) => (name, vec![finding]),
    });
    Ok(each.collect())
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
    fn a_folder_that_lacks_a_file_does_not_hide_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, file, text) in [
            ("bare", "template.yaml", "name: Bare"),
            ("wrong", "template.yaml", "nonsense: 1"),
            ("wrong", "compose.yaml", "services: {}"),
        ] {
            fs::create_dir_all(folder.path().join(name)).expect("made");
            fs::write(folder.path().join(name).join(file), text).expect("written");
        }
        let found = check_all(Some(folder.path()), &World::system()).expect("readable");
        assert_eq!(found["bare"].len(), 1);
        assert_eq!(found["bare"][0].file, "compose.yaml");
        assert!(!found["wrong"].is_empty());
        assert!(texts_of(folder.path()).is_err());
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

    const TEMPLATE: &str = include_str!("tests/good/template.yaml");
    const COMPOSE: &str = include_str!("tests/good/compose.yaml");

    #[test]
    fn a_broken_template_does_not_hide_the_others() {
        let pair = |text: &str, compose: &str| (text.to_owned(), compose.to_owned());
        let named = |name: &str| TEMPLATE.replacen("name: good", &format!("name: {name}"), 1);
        let texts = Texts::from([
            ("good".to_owned(), pair(TEMPLATE, COMPOSE)),
            // Against the catalog's rules, and still of use.
            (
                "moves".to_owned(),
                pair(&named("moves"), &COMPOSE.replace("good/web:1.2.3", "good/web:latest")),
            ),
            ("moved".to_owned(), pair(TEMPLATE, COMPOSE)),
            ("no-yaml".to_owned(), pair("schema: [", COMPOSE)),
            ("no-file".to_owned(), pair(&named("no-file"), "")),
            (
                "no-variable".to_owned(),
                pair(&named("no-variable"), &COMPOSE.replace("{{ size }}", "{{ sise }}")),
            ),
            (
                "no-main".to_owned(),
                pair(
                    &named("no-main").replace("service: web, port: 8080", "service: wep, port: 8080"),
                    COMPOSE,
                ),
            ),
            (
                "unsettled".to_owned(),
                pair(&named("unsettled"), &format!("<<<<<<< mine\n{COMPOSE}")),
            ),
            (
                "derived".to_owned(),
                pair(
                    &named("derived").replace("admin_password | bcrypt", "admin_passwort | bcrypt"),
                    COMPOSE,
                ),
            ),
            ("later".to_owned(), pair(&named("later").replace("schema: 1", "schema: 2"), COMPOSE)),
        ]);
        let (shelf, broken) = Shelf::of_texts(texts);
        assert_eq!(
            shelf.list().map(|entry| entry.template.name.as_str()).collect::<Vec<_>>(),
            ["good", "moves"]
        );
        let shown: Vec<String> = broken.iter().map(|(name, findings)| format!("{name}/{}", findings[0])).collect();
        for (line, words) in shown.iter().zip([
            "derived/template.yaml: derived `admin_hash` uses `admin_passwort`",
            "later/template.yaml: schema must be 1",
            "moved/template.yaml: name must be that of its folder",
            "no-file/compose.yaml:1: the file is empty",
            "no-main/template.yaml: main.service `wep`",
            "no-variable/compose.yaml:10: {{ sise }}",
            "no-yaml/template.yaml:2: not YAML",
            "unsettled/compose.yaml:1: a conflict is not settled",
        ]) {
            assert!(line.starts_with(words), "{words} is not {line}");
        }
        assert_eq!(broken.len(), 8, "{shown:#?}");
    }

    #[test]
    fn the_whole_catalog_can_be_read_this_way_too() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalog");
        let (texts, unread) = texts_of_tree(&folder).expect("catalog/ is readable");
        let (shelf, broken) = Shelf::of_texts(texts);
        assert_eq!((unread, broken), Default::default());
        assert!(shelf.len() >= 120);
    }

    #[test]
    fn a_tree_of_somebody_else() {
        let top = tempfile::tempdir().expect("a folder");
        let write = |path: &str, bytes: &[u8]| {
            let path = top.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, bytes).expect("written");
        };
        write("good/template.yaml", TEMPLATE.as_bytes());
        write("good/compose.yaml", COMPOSE.as_bytes());
        write("docs/index.md", b"# Not a template");
        write(".git/template.yaml", b"no");
        write("bytes/template.yaml", &[0xff, 0xfe]);
        write("README.md", b"hello");
        fs::create_dir(top.path().join("out")).expect("made");
        std::os::unix::fs::symlink("/etc/hostname", top.path().join("out/template.yaml")).expect("linked");
        let (texts, broken) = texts_of_tree(top.path()).expect("a folder");
        assert_eq!(texts.keys().collect::<Vec<_>>(), ["good"]);
        assert_eq!(broken.keys().collect::<Vec<_>>(), ["bytes", "out"]);
        assert!(broken["out"][0].what.contains("leads out"), "{broken:?}");
    }
}

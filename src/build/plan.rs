//! What is built: the folder that is the context, and the Dockerfile in it, or the one that is written for it.

use crate::{
    buildpacks,
    recipe::{BuildKeys, IGNORED, Recipe},
    tree::Tree,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use types::{Buildable, Doing, Error, Preset, Result};

/// Files and folders named when what was asked for is not there.
const MOST_NAMED: usize = 12;
/// How deep a Dockerfile is looked for, to name it in an error.
const SEARCH_DEPTH: usize = 3;
/// The Dockerfile that we write, beside what is there.
const OURS: &str = ".serverkit.Dockerfile";

/// Where a build begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The folder that is sent, absolute.
    pub context: PathBuf,
    /// The Dockerfile, from the context.
    pub dockerfile: String,
    /// By which the Dockerfile is written; `None`: it is the repository's own, or somebody's.
    pub recipe: Option<Recipe>,
    /// The image of the builder, where buildpacks build it: what [`crate::builder_arguments`] says of it, the Dockerfile needs.
    pub builder: Option<String>,
    /// Somebody's Dockerfile, in place of one in the repository.
    own: Option<String>,
}

impl Plan {
    /// Finds what `source` names in a checkout, or finds out how to do without. Fails with `Invalid` when the folder or the
    /// Dockerfile is missing, naming what is there, or is a link that leads out. `settings` are variables of the build, by which Nixpacks
    /// is steered. Blocks.
    pub fn of(checkout: &Path, source: &Buildable, settings: &BTreeMap<String, String>) -> Result<Plan> {
        let root = checkout
            .canonicalize()
            .doing(format!("opening the checkout {}", checkout.display()))?;
        let context = context(&root, source.folder.as_str())?;
        if let Some(own) = &source.wish.dockerfile {
            let is_of_buildpacks = source.wish.preset == Some(Preset::Buildpacks);
            return Ok(Plan {
                builder: is_of_buildpacks.then(|| buildpacks::builder(&Tree::new(&context), &source.wish)),
                context,
                dockerfile: OURS.to_owned(),
                recipe: None,
                own: Some(own.clone()),
            });
        }
        if let Some(recipe) = recipe(&context, source, settings)? {
            return Ok(Plan {
                builder: recipe.builder.clone(),
                context,
                dockerfile: OURS.to_owned(),
                recipe: Some(recipe),
                own: None,
            });
        }
        let dockerfile = dockerfile(&context, source.dockerfile.as_str())?;
        Ok(Plan {
            context,
            dockerfile,
            recipe: None,
            builder: None,
            own: None,
        })
    }

    /// The Dockerfile's text. Blocks.
    pub fn text(&self, keys: &BuildKeys) -> Result<String> {
        match (&self.recipe, &self.own) {
            (Some(recipe), _) => Ok(recipe.dockerfile(keys)),
            (None, Some(own)) => Ok(own.clone()),
            (None, None) => fs::read_to_string(self.context.join(&self.dockerfile)).doing(format!("reading {}", self.dockerfile)),
        }
    }

    /// Puts the Dockerfile into the context, unless it is the repository's own. Blocks.
    pub fn write(&self, keys: &BuildKeys) -> Result<()> {
        if self.recipe.is_none() && self.own.is_none() {
            return Ok(());
        }
        put(&self.context, OURS, &self.text(keys)?)?;
        let ignored = self.context.join(".dockerignore");
        if self.recipe.is_some() && fs::symlink_metadata(ignored).is_err() {
            put(&self.context, &format!("{OURS}.dockerignore"), IGNORED)?;
        }
        Ok(())
    }
}

/// `None` where the repository's own Dockerfile is to be used, or nothing is recognised.
fn recipe(context: &Path, source: &Buildable, settings: &BTreeMap<String, String>) -> Result<Option<Recipe>> {
    match source.wish.preset {
        Some(Preset::Dockerfile) => Ok(None),
        Some(_) => Recipe::of(context, &source.wish, settings),
        None => {
            let named = source.dockerfile.as_str();
            let is_there = named != "Dockerfile" || fs::symlink_metadata(context.join(named)).is_ok();
            // One that is called otherwise is likelier meant than what it lies beside.
            if is_there || !similar(context, context, SEARCH_DEPTH).is_empty() {
                return Ok(None);
            }
            Recipe::of(context, &source.wish, settings)
        }
    }
}

/// A file of ours; a link of that name is not followed.
fn put(context: &Path, name: &str, text: &str) -> Result<()> {
    let path = context.join(name);
    let doing = || format!("writing {name}");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).doing(doing()),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path).doing(doing())?;
    std::io::Write::write_all(&mut file, text.as_bytes()).doing(doing())
}

fn context(root: &Path, folder: &str) -> Result<PathBuf> {
    let Ok(context) = root.join(folder).canonicalize() else {
        return Err(Error::invalid(
            "folder",
            format!("there is no folder `{folder}` in the repository{}", what_is_there(root)),
        ));
    };
    if !context.starts_with(root) {
        return Err(Error::invalid(
            "folder",
            format!("`{folder}` is a link that leads out of the repository"),
        ));
    }
    if !context.is_dir() {
        return Err(Error::invalid("folder", format!("`{folder}` is a file, not a folder")));
    }
    Ok(context)
}

/// The Dockerfile's real place in `context`, so that the engine need not follow links to it.
pub(crate) fn dockerfile(context: &Path, name: &str) -> Result<String> {
    let Ok(path) = context.join(name).canonicalize() else {
        let hint = match similar(context, context, SEARCH_DEPTH) {
            found if found.is_empty() => what_is_there(context),
            found => format!("; there is {}", list(&found)),
        };
        return Err(Error::invalid("dockerfile", format!("there is no `{name}` in the folder{hint}")));
    };
    let root = context.canonicalize().doing("opening the build context")?;
    let Ok(inside) = path.strip_prefix(&root) else {
        return Err(Error::invalid(
            "dockerfile",
            format!("`{name}` leads out of the folder that is built"),
        ));
    };
    if !path.is_file() {
        return Err(Error::invalid("dockerfile", format!("`{name}` is not a file")));
    }
    inside
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::invalid("dockerfile", "its name is not UTF-8"))
}

/// Files that look like a Dockerfile, from `root`.
fn similar(root: &Path, folder: &Path, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    for entry in sorted(folder) {
        let name = entry
            .file_name()
            .map(|name| name.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        if entry.is_dir() && !entry.is_symlink() && depth > 1 && !name.starts_with('.') && name != "node_modules" {
            found.extend(similar(root, &entry, depth - 1));
        } else if entry.is_file() && name.contains("dockerfile") && !name.ends_with(".dockerignore") {
            found.extend(entry.strip_prefix(root).ok().map(|path| path.to_string_lossy().into_owned()));
        }
    }
    found
}

fn what_is_there(folder: &Path) -> String {
    let names: Vec<String> = sorted(folder)
        .iter()
        .filter_map(|path| {
            Some(format!(
                "{}{}",
                path.file_name()?.to_string_lossy(),
                if path.is_dir() { "/" } else { "" }
            ))
        })
        .filter(|name| name != ".git/")
        .collect();
    if names.is_empty() {
        "; it is empty".to_owned()
    } else {
        format!("; there is {}", list(&names))
    }
}

fn list(names: &[String]) -> String {
    let more = if names.len() > MOST_NAMED {
        format!(" and {} more", names.len() - MOST_NAMED)
    } else {
        String::new()
    };
    let names: Vec<String> = names.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
    format!("{}{more}", names.join(", "))
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn checkout() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("web/deploy")).unwrap();
        fs::create_dir_all(dir.path().join("empty")).unwrap();
        fs::create_dir_all(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join("Dockerfile"), "FROM scratch").unwrap();
        fs::write(dir.path().join("README.md"), "").unwrap();
        fs::write(dir.path().join("web/deploy/Dockerfile.prod"), "FROM scratch").unwrap();
        fs::write(dir.path().join("web/index.html"), "").unwrap();
        symlink("deploy/Dockerfile.prod", dir.path().join("web/Dockerfile.link")).unwrap();
        symlink("../Dockerfile", dir.path().join("web/Dockerfile.up")).unwrap();
        symlink("/etc", dir.path().join("etc")).unwrap();
        symlink("/etc/passwd", dir.path().join("passwd")).unwrap();
        symlink("web", dir.path().join("site")).unwrap();
        dir
    }

    fn source(folder: &str, dockerfile: &str) -> Buildable {
        Buildable {
            folder: folder.parse().unwrap(),
            dockerfile: dockerfile.parse().unwrap(),
            target: None,
            wish: types::BuildWish::default(),
        }
    }

    #[test]
    fn plans() {
        let dir = checkout();
        let root = dir.path().canonicalize().unwrap();
        for (folder, dockerfile, context, expected) in [
            (".", "Dockerfile", ".", "Dockerfile"),
            (".", "web/deploy/Dockerfile.prod", ".", "web/deploy/Dockerfile.prod"),
            ("web", "deploy/Dockerfile.prod", "web", "deploy/Dockerfile.prod"),
            ("web", "Dockerfile.link", "web", "deploy/Dockerfile.prod"),
            ("site", "Dockerfile.link", "web", "deploy/Dockerfile.prod"),
        ] {
            let plan = Plan::of(dir.path(), &source(folder, dockerfile), &BTreeMap::new()).unwrap();
            assert_eq!(
                (plan.context, plan.dockerfile.as_str()),
                (root.join(context).components().collect(), expected)
            );
        }
    }

    #[test]
    fn refusals() {
        let dir = checkout();
        for (folder, dockerfile, why) in [
            (
                "shop",
                "Dockerfile",
                "folder: there is no folder `shop` in the repository; there is `Dockerfile`, `README.md`, `empty/`",
            ),
            ("README.md", "Dockerfile", "folder: `README.md` is a file, not a folder"),
            ("etc", "passwd", "folder: `etc` is a link that leads out of the repository"),
            (
                "web",
                "Dockerfile",
                "dockerfile: there is no `Dockerfile` in the folder; there is `Dockerfile.link`, `Dockerfile.up`, `deploy/Dockerfile.prod`",
            ),
            (
                "empty",
                "Dockerfile",
                "dockerfile: there is no `Dockerfile` in the folder; it is empty",
            ),
            (".", "passwd", "dockerfile: `passwd` leads out of the folder that is built"),
            (
                "web",
                "Dockerfile.up",
                "dockerfile: `Dockerfile.up` leads out of the folder that is built",
            ),
            (".", "web", "dockerfile: `web` is not a file"),
        ] {
            let error = Plan::of(dir.path(), &source(folder, dockerfile), &BTreeMap::new())
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}

//! How an image is made from a repository: by its own Dockerfile, or by one that a preset writes.

use crate::{AppId, Error, ImageRef, RepoPath, Result, Time};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What somebody wants of a build; what is `None` is found out from the repository.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildWish {
    pub preset: Option<Preset>,
    /// Of the language: `20`, `3.11`, `8.2`.
    pub version: Option<String>,
    /// Debian packages that the build and the app need; with PHP, extensions.
    pub packages: Option<Vec<String>>,
    /// Commands of a shell in the image that is built. Empty: none.
    pub install: Option<String>,
    pub build: Option<String>,
    pub start: Option<String>,
    /// What a static site serves, from the folder.
    pub output: Option<RepoPath>,
    /// A Dockerfile in place of the one that the preset would write.
    pub dockerfile: Option<String>,
    /// The image whose buildpacks build it.
    pub builder: Option<ImageRef>,
}

/// What of a source tree is built, wherever the tree comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buildable {
    /// The folder that is the build context.
    pub folder: RepoPath,
    /// The Dockerfile, from the folder.
    pub dockerfile: RepoPath,
    /// The stage to build; `None`: the last.
    pub target: Option<String>,
    pub wish: BuildWish,
}

/// What the engine keeps of builds, so that the next ones are quick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BuildCache {
    /// Layers, cache mounts and sources.
    pub records: u64,
    pub bytes: u64,
}

/// One thing that the engine keeps of builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRecord {
    /// The engine's.
    pub id: String,
    /// Whose it is, where that can be told: steps of Dockerfiles that we wrote say it.
    pub app: Option<AppId>,
    /// What it was made by, in the engine's words.
    pub what: String,
    /// 0 for what an image has anyway.
    pub bytes: u64,
    /// A build uses it just now.
    pub in_use: bool,
    /// `None` where the engine does not say.
    pub made_at: Option<Time>,
    /// `None`: never since it was made.
    pub used_at: Option<Time>,
}

/// Who knows how to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The repository's own Dockerfile.
    Dockerfile,
    /// Files as they are, or as a build leaves them, behind nginx.
    Static,
    Node,
    Python,
    Php,
    Ruby,
    Go,
    Rust,
    Java,
    Dotnet,
    /// A plan by Nixpacks.
    Nixpacks,
    /// Cloud Native Buildpacks.
    Buildpacks,
}

impl Preset {
    pub const ALL: [Preset; 12] = [
        Preset::Dockerfile,
        Preset::Static,
        Preset::Node,
        Preset::Python,
        Preset::Php,
        Preset::Ruby,
        Preset::Go,
        Preset::Rust,
        Preset::Java,
        Preset::Dotnet,
        Preset::Nixpacks,
        Preset::Buildpacks,
    ];
    pub fn word(self) -> &'static str {
        match self {
            Preset::Dockerfile => "dockerfile",
            Preset::Static => "static",
            Preset::Node => "node",
            Preset::Python => "python",
            Preset::Php => "php",
            Preset::Ruby => "ruby",
            Preset::Go => "go",
            Preset::Rust => "rust",
            Preset::Java => "java",
            Preset::Dotnet => "dotnet",
            Preset::Nixpacks => "nixpacks",
            Preset::Buildpacks => "buildpacks",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Preset {
    type Err = Error;
    fn from_str(text: &str) -> Result<Preset> {
        let known = Preset::ALL.into_iter().find(|preset| preset.word() == text);
        known.ok_or_else(|| Error::invalid("preset", format!("must be one of {}", Preset::ALL.map(Preset::word).join(", "))))
    }
}

/// Commands that run in a container of the new image, with the app's environment and volumes, beside what is live.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeployCommands {
    /// Before the new version starts: migrations. When it fails, the deployment fails.
    pub before: Option<String>,
    /// After it is live. When it fails, the log says so.
    pub after: Option<String>,
    /// In a container that is about to be stopped, once nothing is under way to it, for at most its grace period.
    pub before_stop: Option<String>,
}

/// Of a command.
const LONGEST: usize = 8 << 10;
/// Of a Dockerfile.
const DOCKERFILE: usize = 64 << 10;

impl BuildWish {
    /// Fails with `Invalid` for what would break the Dockerfile that it becomes part of.
    pub fn checked(mut self) -> Result<BuildWish> {
        if let Some(version) = &self.version {
            let fits =
                (1..=40).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            if !fits {
                return Err(Error::invalid("version", "must be a version such as 20 or 3.11"));
            }
        }
        for package in self.packages.iter().flatten() {
            let fits = (1..=80).contains(&package.len())
                && package.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
                && package.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-_:".contains(&byte));
            if !fits {
                return Err(Error::invalid("packages", format!("`{package}` is no name of a package")));
            }
        }
        for (field, command) in [
            ("install", &mut self.install),
            ("build", &mut self.build),
            ("start", &mut self.start),
        ] {
            if let Some(text) = command {
                *text = checked_command(field, text)?;
            }
        }
        if let Some(text) = &self.dockerfile
            && (text.len() > DOCKERFILE || text.contains('\0') || text.trim().is_empty())
        {
            return Err(Error::invalid("dockerfile_text", "must be a Dockerfile of at most 64 KiB"));
        }
        if self.builder.is_some() && self.preset != Some(Preset::Buildpacks) {
            return Err(Error::invalid("builder", "is for buildpacks; choose the preset buildpacks"));
        }
        Ok(self)
    }
}

impl DeployCommands {
    pub fn checked(self) -> Result<DeployCommands> {
        let check = |field: &str, command: Option<String>| {
            let command = command.map(|text| checked_command(field, &text)).transpose();
            command.map(|command| command.filter(|text| !text.is_empty()))
        };
        Ok(DeployCommands {
            before: check("before_deploy", self.before)?,
            after: check("after_deploy", self.after)?,
            before_stop: check("before_stop", self.before_stop)?,
        })
    }
}

/// One line: what is written over several would end the Dockerfile's instruction.
fn checked_command(field: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.len() > LONGEST || text.chars().any(char::is_control) || text.ends_with('\\') {
        return Err(Error::invalid(field, "must be one line of at most 8 KiB"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_dockerfile_is_refused() {
        let wish = |change: fn(&mut BuildWish)| {
            let mut wish = BuildWish::default();
            change(&mut wish);
            wish.checked()
        };
        assert!(wish(|wish| wish.version = Some("3.11".into())).is_ok());
        assert!(wish(|wish| wish.install = Some(String::new())).is_ok());
        assert!(wish(|wish| wish.version = Some("3\nRUN x".into())).is_err());
        assert!(wish(|wish| wish.packages = Some(vec!["a b".into()])).is_err());
        assert!(wish(|wish| wish.packages = Some(vec!["-y".into()])).is_err());
        assert!(wish(|wish| wish.build = Some("a\nUSER root".into())).is_err());
        assert!(wish(|wish| wish.start = Some("a \\".into())).is_err());
        assert!(wish(|wish| wish.dockerfile = Some(" ".into())).is_err());
        let builder = |wish: &mut BuildWish| wish.builder = Some("heroku/builder:24".parse().expect("a name of an image"));
        assert!(wish(builder).is_err());
        let of_buildpacks = BuildWish {
            preset: Some(Preset::Buildpacks),
            builder: Some("heroku/builder:24".parse().expect("a name of an image")),
            ..BuildWish::default()
        };
        assert!(of_buildpacks.checked().is_ok());
    }

    #[test]
    fn presets_have_words() {
        for preset in Preset::ALL {
            assert_eq!(preset.word().parse::<Preset>().expect("its own word"), preset);
        }
        assert!("cobol".parse::<Preset>().is_err());
    }
}

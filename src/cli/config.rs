//! What `serverkit login` remembers: `$XDG_CONFIG_HOME/serverkit/config.toml` (else `~/.config/…`), mode 0600.
//!
//! ```toml
//! current = "https://panel.example.com:9443"
//!
//! [panels."https://panel.example.com:9443"]
//! token = "sk_…"
//! authority = "-----BEGIN CERTIFICATE-----…"   # the panel's own, if it has no public certificate
//! ```

use crate::failure::{Failure, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The panel that commands go to when nothing else says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By address.
    pub panels: BTreeMap<String, Panel>,
}

/// What is known of a panel.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Panel {
    pub token: String,
    /// PEM of the authority that signed its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Believe any certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
}

impl std::fmt::Debug for Panel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Panel").field("insecure", &self.insecure).finish_non_exhaustive()
    }
}

impl Config {
    /// Where it lies. Fails when there is no home folder.
    pub fn path() -> Result<PathBuf> {
        let folder = match std::env::var_os("XDG_CONFIG_HOME").filter(|folder| Path::new(folder).is_absolute()) {
            Some(folder) => PathBuf::from(folder),
            None => std::env::home_dir()
                .filter(|home| home.is_absolute())
                .map(|home| home.join(".config"))
                .ok_or_else(|| Failure::failed("there is no home folder to keep the login in").hint("set HOME or XDG_CONFIG_HOME"))?,
        };
        Ok(folder.join("serverkit/config.toml"))
    }
    /// Reads it; one that does not exist is empty.
    pub fn read(path: &Path) -> Result<Config> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Config::default()),
            Err(error) => return Err(Failure::failed(format!("cannot read {}: {error}", path.display()))),
        };
        // The message of the parser would quote the line, and the line may hold a token.
        toml::from_str(&text).map_err(|error| {
            let place = error
                .span()
                .map(|span| text[..span.start.min(text.len())].lines().count().max(1))
                .map_or(String::new(), |line| format!(" near line {line}"));
            Failure::failed(format!("{} cannot be read{place}", path.display()))
                .hint("mend it, or delete it and sign in again with `serverkit login URL`")
        })
    }
    /// Writes it whole or not at all.
    pub fn write(&self, path: &Path) -> Result {
        let failed = |error: std::io::Error| Failure::failed(format!("cannot write {}: {error}", path.display()));
        let text = toml::to_string(self).map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let aside = path.with_extension(format!("toml.{}", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)
            .map_err(failed)?;
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&aside, path));
        if written.is_err() {
            // The error that counts is the one below.
            let _ = fs::remove_file(&aside);
        }
        written.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_reads_what_it_writes_and_only_its_owner_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/config.toml");
        assert_eq!(Config::read(&path), Ok(Config::default()));
        let mut config = Config {
            current: Some("https://a.test".into()),
            ..Config::default()
        };
        for token in ["sk_1", "sk_2"] {
            config.panels.insert(
                "https://a.test".into(),
                Panel {
                    token: token.into(),
                    authority: Some("-----BEGIN\nx\n".into()),
                    insecure: false,
                },
            );
            config.write(&path).unwrap();
            assert_eq!(Config::read(&path).as_ref(), Ok(&config));
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_broken_file_is_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "current = \"x\"\ntoken = sk_secret").unwrap();
        let failure = Config::read(&path).unwrap_err().to_string();
        assert!(failure.contains("line 2") && !failure.contains("sk_secret"), "{failure}");
    }
}

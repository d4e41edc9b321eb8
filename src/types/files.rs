//! Files that are put into each new container of an app: configuration as text.

use crate::{ContainerPath, Error, Result, Sealed, Time};
use serde::{Deserialize, Serialize};

/// A file of an app, and of the releases that were made with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Unique in the app.
    pub path: ContainerPath,
    /// Permission bits; its owner is root.
    pub mode: u32,
    /// UTF-8. Sealed always, since people write passwords into such files.
    pub content: Sealed,
    /// Not shown unless somebody with the right asks.
    pub secret: bool,
    pub updated_at: Time,
    pub updated_by: String,
}

impl ConfigFile {
    /// Reads permission bits as people write them: `644`, `0600`.
    pub fn mode_of(text: &str) -> Result<u32> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let mode = u32::from_str_radix(digits, 8)
            .ok()
            .filter(|mode| *mode <= 0o777 && digits.len() <= 4);
        mode.ok_or_else(|| Error::invalid("mode", "must be permission bits such as 644 or 0600"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_as_people_write_them() {
        for (text, expected) in [
            ("644", Some(0o644)),
            ("0600", Some(0o600)),
            ("0o755", Some(0o755)),
            ("0", Some(0)),
            ("4755", None),
            ("888", None),
            ("", None),
            ("rw", None),
            ("-1", None),
            ("00644", None),
        ] {
            assert_eq!(ConfigFile::mode_of(text).ok(), expected, "{text}");
        }
    }
}

//! Machines that build for the panel and run nothing of it, and where an app is built.

use crate::{BuildServerId, EngineFacts, Error, Result, Sealed, Secret, Slug, Time};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};

/// A machine with Docker and an sshd. It is the panel's, so builds of all organizations may go there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildServer {
    pub id: BuildServerId,
    /// It never changes: apps and settings name it.
    pub name: Slug,
    pub at: SshPlace,
    /// Builds at once.
    pub slots: u32,
    /// What its engine may keep of builds.
    pub cache_bytes: u64,
    pub enabled: bool,
    /// The panel's own key pair for it, in OpenSSH's formats.
    pub private_key: Sealed,
    pub public_key: String,
    /// `SHA256:…`, once somebody has confirmed it; nobody signs in before.
    pub host_key: Option<String>,
    pub created_at: Time,
    pub seen: BuildServerSeen,
}

/// Where an engine's socket is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshPlace {
    /// A name or an address.
    pub host: String,
    pub port: u16,
    pub user: String,
    /// The engine's socket there.
    pub socket: String,
}

/// What was seen of a build server last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BuildServerSeen {
    /// `None`: it was never signed in to since its address or keys changed.
    pub engine: Option<EngineFacts>,
    /// What its engine keeps of builds.
    pub cache_bytes: Option<u64>,
    pub at: Option<Time>,
    /// When a build went there last.
    pub used_at: Option<Time>,
    /// Why the last try failed; `None` when it did not.
    pub problem: Option<String>,
}

/// An engine that is reached through an sshd.
#[derive(Debug, Clone)]
pub struct SshEngine {
    pub host: String,
    pub port: u16,
    pub user: String,
    /// In OpenSSH's format, without a passphrase.
    pub private_key: Secret,
    /// `SHA256:…`; no other one is signed in to.
    pub host_key: String,
    pub socket: String,
}

impl BuildServer {
    /// Why nothing is built there now, whoever is there.
    pub fn unready(&self) -> Option<String> {
        let why = if !self.enabled {
            "is disabled"
        } else if self.host_key.is_none() {
            "has a host key that nobody has confirmed yet"
        } else if self.seen.engine.is_none() {
            "was not tested successfully yet"
        } else {
            return None;
        };
        Some(format!("the build server {} {why}", self.name))
    }
}

impl SshPlace {
    /// Fails with `Invalid` for what could not be meant.
    pub fn checked(self) -> Result<SshPlace> {
        let is_name = |host: &str| {
            (1..=253).contains(&host.len())
                && host.split('.').all(|part| {
                    !part.is_empty()
                        && !part.starts_with('-')
                        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
                })
        };
        if self.host.parse::<IpAddr>().is_err() && !is_name(&self.host) {
            return Err(Error::invalid(
                "host",
                "must be a name or an address, such as builder.example.com or 10.0.0.7",
            ));
        }
        if self.port == 0 {
            return Err(Error::invalid("port", "must be between 1 and 65535"));
        }
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !(1..=32).contains(&self.user.len()) || self.user.starts_with('-') || !self.user.bytes().all(letters) {
            return Err(Error::invalid("user", "must be the name of a user of that machine"));
        }
        // The longest that a socket's path may be.
        if !self.socket.starts_with('/') || self.socket.len() > 107 || self.socket.contains(char::is_control) {
            return Err(Error::invalid("socket", "must be a whole path, such as /var/run/docker.sock"));
        }
        Ok(self)
    }
}

/// Reads a host key as people copy it: `SHA256:` and 43 letters, as `ssh-keygen -l` prints it.
pub fn checked_host_key(text: &str) -> Result<String> {
    let wrong = || Error::invalid("host_key", "must be SHA256: and 43 letters, as `ssh-keygen -lf` prints it");
    let bare = text.trim().strip_prefix("SHA256:").ok_or_else(wrong)?.trim_end_matches('=');
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    match bare.len() == 43 && bare.bytes().all(letters) {
        true => Ok(format!("SHA256:{bare}")),
        false => Err(wrong()),
    }
}

/// Where an app is built.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BuildPlace {
    /// On the server that runs it.
    #[default]
    Here,
    /// On any build server that has a slot.
    Any,
    /// On this build server.
    Server(Slug),
}

impl BuildPlace {
    /// Words that no build server may be called by.
    pub const WORDS: [&str; 3] = ["here", "any", "settings"];
}

impl FromStr for BuildPlace {
    type Err = Error;
    fn from_str(text: &str) -> Result<BuildPlace> {
        match text.trim() {
            "here" => Ok(BuildPlace::Here),
            "any" => Ok(BuildPlace::Any),
            name => match name.parse() {
                Ok(name) => Ok(BuildPlace::Server(name)),
                Err(_) => Err(Error::invalid("build_on", "must be here, any, or the name of a build server")),
            },
        }
    }
}

impl fmt::Display for BuildPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildPlace::Here => f.write_str("here"),
            BuildPlace::Any => f.write_str("any"),
            BuildPlace::Server(name) => name.fmt(f),
        }
    }
}

impl TryFrom<String> for BuildPlace {
    type Error = Error;
    fn try_from(text: String) -> Result<BuildPlace> {
        text.parse()
    }
}

impl From<BuildPlace> for String {
    fn from(place: BuildPlace) -> String {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_words() {
        for text in ["here", "any", "builder-1"] {
            assert_eq!(text.parse::<BuildPlace>().expect("a place").to_string(), text);
        }
        assert!("no such!".parse::<BuildPlace>().is_err());
        assert_eq!(serde_json::to_string(&BuildPlace::Any).expect("JSON"), "\"any\"");
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        let place = |host: &str, user: &str, socket: &str| {
            SshPlace {
                host: host.into(),
                port: 22,
                user: user.into(),
                socket: socket.into(),
            }
            .checked()
        };
        for host in ["builder.example.com", "builder_1", "10.0.0.7", "2001:db8::7"] {
            assert!(place(host, "root", "/var/run/docker.sock").is_ok(), "{host}");
        }
        for host in ["", "-oProxyCommand=x", "a b", "a..b", "ssh://x", "user@host", "host:22"] {
            assert!(place(host, "root", "/var/run/docker.sock").is_err(), "{host}");
        }
        assert!(place("x", "-l", "/x").is_err() && place("x", "", "/x").is_err());
        assert!(place("x", "root", "docker.sock").is_err());
    }

    #[test]
    fn host_keys_are_read_as_they_are_printed() {
        let key = "SHA256:qaQjPmpnYNe4DLLdYqoV3vNdZlNLcPJuYBdSzOkyvIs";
        assert_eq!(checked_host_key(&format!(" {key}=\n")).expect("a key"), key);
        for wrong in ["", "SHA256:short", "MD5:aa:bb", &key.replace('q', "!")] {
            assert!(checked_host_key(wrong).is_err(), "{wrong}");
        }
    }
}

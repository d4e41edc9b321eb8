//! Logins at registries of images, and which registry an image comes from.

use crate::{Error, OrganizationId, RegistryId, Result, Sealed, Time};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What Docker's own registry is called in logins; images without a host come from it.
const HUB: &str = "docker.io";

/// An organization's login at one registry. There is one for each server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    pub id: RegistryId,
    pub organization: OrganizationId,
    pub server: RegistryServer,
    pub user: String,
    pub password: Sealed,
    pub created_at: Time,
}

/// `registry.example.com`, `localhost:5000`, `docker.io`: as it stands before the first `/` of a reference, in small letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegistryServer(String);

impl RegistryServer {
    /// Where the image `reference` comes from.
    pub fn of(reference: &str) -> RegistryServer {
        let host = match reference.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
            _ => HUB,
        };
        RegistryServer(canonical(&host.to_lowercase()).to_owned())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// What engines know it by when they keep logins.
    pub fn address(&self) -> &str {
        match self.0.as_str() {
            HUB => "https://index.docker.io/v1/",
            other => other,
        }
    }
}

fn canonical(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" | "hub.docker.com" | "docker.com" => HUB,
        other => other,
    }
}

impl FromStr for RegistryServer {
    type Err = Error;
    fn from_str(text: &str) -> Result<RegistryServer> {
        let text = text.trim().to_lowercase();
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or(&text);
        let host = host.strip_suffix("/v1/").or_else(|| host.strip_suffix("/v2/")).unwrap_or(host);
        let host = host.trim_end_matches('/');
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
            _ => (host, None),
        };
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b".-[]:".contains(&byte);
        let is_host = !name.is_empty() && name.len() <= 253 && name.bytes().all(letters) && (name.starts_with('[') || !name.contains(':'));
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        // `team` alone would be read as a name on Docker's registry.
        if is_host && is_port && (host.contains(['.', ':']) || host == "localhost") {
            Ok(RegistryServer(canonical(host).to_owned()))
        } else {
            Err(Error::invalid(
                "server",
                "must be the host of a registry, such as registry.example.com, ghcr.io, localhost:5000 or docker.io",
            ))
        }
    }
}

impl TryFrom<String> for RegistryServer {
    type Error = Error;
    fn try_from(text: String) -> Result<RegistryServer> {
        text.parse()
    }
}

impl From<RegistryServer> for String {
    fn from(server: RegistryServer) -> String {
        server.0
    }
}

impl fmt::Display for RegistryServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_references() {
        for (reference, expected) in [
            ("nginx:1.22", "docker.io"),
            ("team/app", "docker.io"),
            ("docker.io/team/app", "docker.io"),
            ("index.docker.io/team/app", "docker.io"),
            ("ghcr.io/team/app:v1", "ghcr.io"),
            ("localhost/app", "localhost"),
            ("127.0.0.1:5000/app@sha256:00", "127.0.0.1:5000"),
        ] {
            assert_eq!(RegistryServer::of(reference).as_str(), expected, "{reference}");
        }
    }

    #[test]
    fn servers_as_people_type_them() {
        for (text, expected) in [
            ("ghcr.io", "ghcr.io"),
            (" https://Registry.Example.com/ ", "registry.example.com"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("localhost:5000", "localhost:5000"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(text.parse::<RegistryServer>().expect("it is right").as_str(), expected, "{text}");
        }
        for text in [
            "",
            "team",
            "a b.c",
            "ghcr.io/team",
            "x.y:0",
            "x.y:99999",
            "../x",
            "x.y;z",
            "user@x.y",
        ] {
            assert!(text.parse::<RegistryServer>().is_err(), "{text}");
        }
    }
}

//! Names that have been looked at. Where one of these is held, no further check is needed.

#[cfg(test)]
mod tests;

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};
use url::Url;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                let check: fn(&str) -> Result<String> = $check;
                Ok($name(check(text)?))
            }
        }
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of an app, project, environment or volume: it becomes part of host and container names, so it is
    /// a DNS label (RFC 1123): 1 to 63 of `a-z`, `0-9` and `-`, with a letter or digit at both ends.
    Slug,
    |text| label("name", text)
);
/// The name of an app.
pub type AppName = Slug;

fn label(field: &str, text: &str) -> Result<String> {
    let fits = (1..=63).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Error::invalid(
            field,
            "use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends",
        ))
    }
}

name!(
    /// A host that people type: a DNS name in its ASCII form (IDNA), lower case, without the last dot; or an IP address.
    Host,
    |text| {
        let invalid = || Error::invalid("domain", "must be a domain name such as blog.example.com");
        let text = text.trim().trim_end_matches('.');
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(address.to_string());
        }
        let ascii = idna::domain_to_ascii(text).map_err(|_| invalid())?;
        if ascii.len() > 253 || ascii.is_empty() {
            return Err(invalid());
        }
        for part in ascii.split('.') {
            label("domain", part).map_err(|_| invalid())?;
        }
        if ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(invalid());
        }
        Ok(ascii)
    }
);

impl Host {
    pub fn address(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
    /// Whether a public certificate authority could ever know it. RFC 2606 and RFC 6761 reserve `.test`,
    /// `.localhost`, `.invalid` and `.example`; `.internal` (ICANN), `.local` (RFC 6762), `.home.arpa` (RFC 8375),
    /// bare addresses and single labels are not public either.
    pub fn is_public(&self) -> bool {
        let last = self.0.rsplit('.').next().unwrap_or_default();
        self.address().is_none()
            && self.0.contains('.')
            && !matches!(
                last,
                "test" | "localhost" | "invalid" | "example" | "internal" | "local" | "lan" | "onion"
            )
            && !self.0.ends_with(".home.arpa")
    }
}

name!(
    /// A host, or `*.` and a host: every name with exactly one label more than it, as certificates have it (RFC 6125, 6.4.3).
    HostPattern,
    |text| {
        let text = text.trim();
        match text.strip_prefix("*.") {
            None => text.parse::<Host>().map(String::from),
            Some(rest) => {
                let host: Host = rest.parse()?;
                if host.address().is_some() || !host.as_str().contains('.') {
                    return Err(Error::invalid("domain", "a wildcard stands before a domain name: *.example.com"));
                }
                Ok(format!("*.{host}"))
            }
        }
    }
);

impl HostPattern {
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }
    /// The one host that this is; `None` for a wildcard.
    pub fn exact(&self) -> Option<Host> {
        (!self.is_wildcard()).then(|| Host(self.0.clone()))
    }
    /// The host itself, or what stands behind `*.`.
    pub fn base(&self) -> Host {
        Host(self.0.strip_prefix("*.").unwrap_or(&self.0).to_owned())
    }
    pub fn address(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
    /// As [`Host::is_public`], of the base.
    pub fn is_public(&self) -> bool {
        self.base().is_public()
    }
    /// Whether a client takes a certificate with this name for `host`, and the edge a route (RFC 9525, 6.3).
    pub fn covers(&self, host: &Host) -> bool {
        host.address().is_none_or(|_| !self.is_wildcard()) && self.fits(host.as_str())
    }
    /// Whether it stands for `host`, a lower-case name without port and last dot.
    pub fn fits(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            None => self.0 == host,
            Some(_) => self.label_of(host).is_some(),
        }
    }
    /// What stands in `host` for the `*`; `None` when this is no wildcard or does not fit.
    pub fn label_of<'a>(&self, host: &'a str) -> Option<&'a str> {
        let label = host.strip_suffix(self.0.strip_prefix('*')?)?;
        (!label.is_empty() && !label.contains('.')).then_some(label)
    }
}

/// A name in a certificate.
pub type CertificateName = HostPattern;

impl From<Host> for HostPattern {
    fn from(host: Host) -> HostPattern {
        HostPattern(host.0)
    }
}

impl From<&Host> for HostPattern {
    fn from(host: &Host) -> HostPattern {
        HostPattern(host.0.clone())
    }
}

name!(
    /// The name of a header (RFC 9110, 5.1), in lower case; also fits as a cookie's name.
    HeaderField,
    |text| {
        let text = text.trim();
        let fits = (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if fits {
            Ok(text.to_ascii_lowercase())
        } else {
            Err(Error::invalid("header", "a header's name is like X-Request-Id"))
        }
    }
);

name!(
    /// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`, at most 255 bytes (POSIX.1-2017, 8.1).
    VariableKey,
    |text| {
        let fits = text.len() <= 255
            && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if fits {
            Ok(text.to_owned())
        } else {
            Err(Error::invalid("key", "use letters, digits and _, and begin with a letter or _ (at most 255)"))
        }
    }
);

name!(
    /// A mail address, lower case: something, `@`, a host. Only a delivered mail proves more.
    Email,
    |text| {
        let invalid = || Error::invalid("email", "must be a mail address such as ada@example.com");
        let text = text.trim().to_lowercase();
        let (local, host) = text.rsplit_once('@').ok_or_else(invalid)?;
        let local_fits = (1..=64).contains(&local.len()) && local.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '@');
        if !local_fits || host.parse::<Host>().is_err() {
            return Err(invalid());
        }
        Ok(format!("{local}@{}", host.parse::<Host>()?))
    }
);

name!(
    /// A branch, tag or commit, by the rules of `git check-ref-format`, and never one that could be read as an option.
    GitRef,
    |text| {
        let fits = (1..=250).contains(&text.len())
            && !text.starts_with(['-', '/', '.'])
            && !text.ends_with(['/', '.'])
            && !text.ends_with(".lock")
            && !["..", "//", "@{", "/."].iter().any(|bad| text.contains(bad))
            && text != "@"
            && text.chars().all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\'));
        if fits {
            Ok(text.to_owned())
        } else {
            Err(Error::invalid("branch", "is not a name that Git allows for a branch, tag or commit"))
        }
    }
);

name!(
    /// Where a repository is: `https://`, `http://`, `ssh://`, `git@host:path`, or a path on this machine. No user
    /// name with a password: those are kept apart, sealed.
    GitUrl,
    |text| {
        let text = text.trim();
        if text.is_empty() || text.len() > 2048 || text.chars().any(|c| c.is_control() || c.is_whitespace()) || text.starts_with('-') {
            return Err(Error::invalid("git", "must be a repository address such as https://example.com/team/blog.git"));
        }
        if let Some(path) = text.strip_prefix("file://").or_else(|| text.starts_with('/').then_some(text)) {
            return if path.starts_with('/') && !path.split('/').any(|part| part == "..") {
                Ok(path.to_owned())
            } else {
                Err(Error::invalid("git", "a path on this machine must be absolute and without `..`"))
            };
        }
        if text.contains("://") {
            let url = Url::parse(text).map_err(|_| Error::invalid("git", "is not a well-formed address"))?;
            if !matches!(url.scheme(), "https" | "http" | "ssh") {
                return Err(Error::invalid("git", "use https://, http://, ssh://, git@host:path or a path on this machine"));
            }
            if url.host().is_none() {
                return Err(Error::invalid("git", "names no host"));
            }
            if url.password().is_some() {
                return Err(Error::invalid("git", "leave the password out of the address; give it as the access token"));
            }
            return Ok(text.to_owned());
        }
        match text.split_once(':') {
            Some((front, path)) if front.contains('@') && !path.is_empty() && !front.contains('/') => {
                let (user, host) = front.split_once('@').unwrap_or(("git", front));
                if user.is_empty() || user.starts_with('-') || host.parse::<Host>().is_err() {
                    return Err(Error::invalid("git", "is not a well-formed ssh address (git@host:path)"));
                }
                Ok(text.to_owned())
            }
            _ => Err(Error::invalid("git", "use https://, http://, ssh://, git@host:path or a path on this machine")),
        }
    }
);

impl GitUrl {
    /// A path on this machine: only administrators may name one.
    pub fn is_local(&self) -> bool {
        self.0.starts_with('/')
    }
    pub fn is_ssh(&self) -> bool {
        !self.is_local() && !self.0.starts_with("http")
    }
    /// Where a forge shows a commit of it; `None` for a path on this machine. GitHub, GitLab, Gitea and Forgejo have it at
    /// `/commit/`, Bitbucket at `/commits/`; Bitbucket Data Center, which is cloned from `/scm/`, elsewhere.
    pub fn commit_page(&self, commit: &str) -> Option<String> {
        let (base, path) = match self.0.split_once("://") {
            Some((scheme, rest)) => {
                let rest = rest
                    .split_once('@')
                    .filter(|(user, _)| !user.contains('/'))
                    .map_or(rest, |(_, rest)| rest);
                let (host, path) = rest.split_once('/')?;
                match scheme {
                    "ssh" => (format!("https://{}", host.split(':').next()?), path),
                    _ => (format!("{scheme}://{host}"), path),
                }
            }
            None => {
                let (front, path) = self.0.split_once(':')?;
                (format!("https://{}", front.split_once('@')?.1), path)
            }
        };
        let path = path.trim_matches('/').trim_end_matches(".git");
        let parts: Vec<&str> = path.split('/').collect();
        if let [above @ .., "scm", owner, name] = parts.as_slice()
            && self.0.starts_with("http")
        {
            let above: String = above.iter().map(|part| format!("/{part}")).collect();
            let owner = owner
                .strip_prefix('~')
                .map_or_else(|| format!("projects/{owner}"), |user| format!("users/{user}"));
            return Some(format!("{base}{above}/{owner}/repos/{name}/commits/{commit}"));
        }
        let place = if base.ends_with("//bitbucket.org") { "commits" } else { "commit" };
        (!path.is_empty()).then(|| format!("{base}/{path}/{place}/{commit}"))
    }
}

name!(
    /// The reference of an image, as the engine takes it: `[host[:port]/]path[:tag][@digest]`.
    /// Source: the distribution project's reference grammar.
    ImageRef,
    |text| {
        let text = text.trim();
        let invalid = || Error::invalid("image", "must be an image reference such as nginx:1.27 or ghcr.io/team/blog:main");
        let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        if digest.is_some_and(|digest| {
            digest.strip_prefix("sha256:").is_none_or(|hex| hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        }) {
            return Err(invalid());
        }
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| {
            tag.is_empty() || tag.len() > 128 || tag.starts_with(['.', '-']) || !tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }) {
            return Err(invalid());
        }
        let mut parts = path.split('/').peekable();
        let first = parts.peek().copied().unwrap_or_default();
        if path.contains('/') && (first.contains(['.', ':']) || first == "localhost") {
            let host = first.split_once(':').map_or(first, |(host, _)| host);
            if host.parse::<Host>().is_err() {
                return Err(invalid());
            }
            parts.next();
        }
        let mut any = false;
        for part in parts {
            any = true;
            let fits = !part.is_empty()
                && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.ends_with(|c: char| c.is_ascii_alphanumeric());
            if !fits {
                return Err(invalid());
            }
        }
        if any && text.len() <= 512 { Ok(text.to_owned()) } else { Err(invalid()) }
    }
);

impl ImageRef {
    /// Without tag and digest: `ghcr.io/team/blog`.
    pub fn repository(&self) -> &str {
        let bare = self.0.split_once('@').map_or(self.0.as_str(), |(bare, _)| bare);
        match bare.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => path,
            _ => bare,
        }
    }
    /// The same repository with another tag, or digest (`sha256:…`); a whole reference must be of this repository. Fails with `Invalid`.
    pub fn at(&self, wanted: &str) -> Result<ImageRef> {
        let (wanted, own) = (wanted.trim(), self.repository());
        if wanted.starts_with("sha256:") {
            return format!("{own}@{wanted}").parse();
        }
        if !wanted.contains(['/', ':', '@']) {
            return format!("{own}:{wanted}").parse();
        }
        let whole: ImageRef = wanted.parse()?;
        if usual(whole.repository()) != usual(own) {
            return Err(Error::invalid(
                "image",
                format!("`{whole}` is not of `{own}`, where this app's images are; change the app's image instead"),
            ));
        }
        Ok(whole)
    }
}

/// `docker.io/library/nginx` and `nginx` are one repository.
fn usual(repository: &str) -> &str {
    let short = repository.strip_prefix("docker.io/").unwrap_or(repository);
    short.strip_prefix("library/").unwrap_or(short)
}

name!(
    /// A path inside a repository, `/` between parts, no `..`, not absolute; `.` is the top.
    RepoPath,
    |text| {
        let clean = text.trim().trim_start_matches("./").trim_matches('/');
        if text.trim().starts_with('/') && text.trim() != "/" || clean.len() > 1024 || clean.chars().any(char::is_control) || clean.split('/').any(|part| part == "..") {
            return Err(Error::invalid("path", "must be a path inside the repository, without `..`"));
        }
        Ok(if clean.is_empty() || clean == "." { ".".to_owned() } else { clean.to_owned() })
    }
);

name!(
    /// A path inside a container: absolute, without `..`, not the root.
    ContainerPath,
    |text| {
        let fits = text.starts_with('/') && text.len() > 1 && text.len() <= 1024 && !text.chars().any(char::is_control) && !text.split('/').any(|part| part == "..");
        if fits {
            Ok(text.trim_end_matches('/').to_owned())
        } else {
            Err(Error::invalid("mount", "must be an absolute path inside the container, such as /data"))
        }
    }
);

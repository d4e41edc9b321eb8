//! A repository's address, taken apart.

use crate::Login;
use egress::Egress;
use types::{Error, GitUrl, Result};
use url::Url;

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Path(String),
    Web(Url),
    Ssh {
        user: String,
        host: String,
        port: u16,
        path: String,
    },
}

impl Target {
    pub fn of(url: &GitUrl) -> Result<Target> {
        let text = url.as_str();
        if url.is_local() {
            return Ok(Target::Path(text.to_owned()));
        }
        if !text.contains("://") {
            // `git@host:path`, as scp writes it; a path that is not absolute begins at the user's home.
            let (front, path) = text.split_once(':').ok_or_else(malformed)?;
            let (user, host) = front.split_once('@').unwrap_or(("git", front));
            let path = if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            };
            if !is_plain(host) {
                return Err(malformed());
            }
            let (user, host) = (user.to_owned(), host.to_owned());
            return Ok(Target::Ssh {
                user,
                host,
                port: 22,
                path,
            });
        }
        let url = Url::parse(text).map_err(|_| malformed())?;
        if !reads_alike(text, &url) {
            return Err(malformed());
        }
        if url.scheme() != "ssh" {
            return Ok(Target::Web(url));
        }
        Ok(Target::Ssh {
            user: if url.username().is_empty() {
                "git".to_owned()
            } else {
                url.username().to_owned()
            },
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port().unwrap_or(22),
            path: url.path().to_owned(),
        })
    }

    /// Host and port, for messages and to tell hosts apart.
    pub fn place(&self) -> String {
        match self {
            Target::Path(_) => "this machine".to_owned(),
            Target::Web(url) => format!(
                "{}:{}",
                url.host_str().unwrap_or_default(),
                url.port_or_known_default().unwrap_or(0)
            ),
            Target::Ssh { host, port, .. } => format!("{host}:{port}"),
        }
    }

    /// Fails with `Invalid` where the server may not be connected to, with `Unavailable` when its name is not known.
    pub fn check(&self, egress: &Egress) -> Result<()> {
        let (host, port) = match self {
            Target::Web(url) if egress.goes_by_proxy(url) => return egress.check_written(url),
            Target::Web(url) => (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0)),
            Target::Ssh { host, port, .. } => (host.as_str(), *port),
            Target::Path(_) => return Ok(()),
        };
        // Whoever may go anywhere leaves the names to libgit2.
        match egress.is_bounded() {
            true => egress.addresses(host, port).map(drop),
            false => Ok(()),
        }
    }

    /// The address of the same repository for libgit2, by way of a port of this machine that leads to its server. TLS goes there by a
    /// proxy, and keeps the address.
    pub fn behind(&self, url: &GitUrl, port: u16) -> Result<String> {
        let moved = |mut url: Url| -> Result<String> {
            url.set_host(Some("127.0.0.1")).map_err(|_| malformed())?;
            url.set_port(Some(port)).map_err(|()| malformed())?;
            Ok(url.to_string())
        };
        match self {
            Target::Path(path) => Ok(path.clone()),
            Target::Web(url) if url.scheme() == "https" => Ok(url.to_string()),
            Target::Web(url) => moved(url.clone()),
            Target::Ssh { .. } if url.as_str().contains("://") => moved(Url::parse(url.as_str()).map_err(|_| malformed())?),
            // The path as it stands there: what begins without a slash begins at the user's home.
            Target::Ssh { user, .. } => {
                let (_, path) = url.as_str().split_once(':').ok_or_else(malformed)?;
                Ok(format!("[{user}@127.0.0.1:{port}]:{path}"))
            }
        }
    }

    /// Whether a login for `self` may be given to `other`: same kind, same host, same port.
    pub fn shares_login_with(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Web(one), Target::Web(two)) => one.scheme() == two.scheme() && self.place() == other.place(),
            (Target::Ssh { .. }, Target::Ssh { .. }) => self.place() == other.place(),
            _ => false,
        }
    }
}

/// Whether libgit2 finds the same server in it as the URL standard does. For libgit2 whatever stands before the first `/` is user, host
/// and port, and escapes in a host are taken out: so what is not plain there would be looked at here and connected to elsewhere.
fn reads_alike(text: &str, url: &Url) -> bool {
    let Some(rest) = text.get(url.scheme().len()..).and_then(|rest| rest.strip_prefix("://")) else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    !user.contains(['@', '\\', '?', '#']) && is_plain(host)
}

/// Letters, digits and what divides them in names and addresses, with a port or without.
fn is_plain(host: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':' | '[' | ']');
    !host.is_empty() && host.chars().all(plain)
}

fn malformed() -> Error {
    Error::invalid("git", "is not a well-formed address")
}

/// Where a submodule of `parent` is, and how to get in there. Addresses that begin with `./` or `../` are from the
/// parent's. An ssh address on the host that the parent was reached at by https is taken by https, with the same login.
pub fn submodule(parent: &GitUrl, login: &Login, address: &str) -> Result<(GitUrl, Login)> {
    let from = Target::of(parent)?;
    let url = if address.starts_with("./") || address.starts_with("../") {
        relative(parent, &from, address)?
    } else {
        address.parse::<GitUrl>()?
    };
    let to = Target::of(&url)?;
    if let Target::Path(path) = &to
        && !is_beside(path, &from)
    {
        // Or whoever can push could read any repository on this machine.
        return Err(Error::invalid("git", "a submodule on this machine must lie beside its parent"));
    }
    if let (Target::Web(web), Target::Ssh { host, path, .. }) = (&from, &to)
        && web.host_str() == Some(host)
    {
        let mut same = web.clone();
        same.set_path(path);
        return Ok((same.as_str().parse()?, login.clone()));
    }
    let login = if from.shares_login_with(&to) { login.clone() } else { Login::None };
    Ok((url, login))
}

/// Whether `path` is in the folder that holds the parent, which is on this machine too.
fn is_beside(path: &str, parent: &Target) -> bool {
    match parent {
        Target::Path(parent) => {
            let folder = parent.trim_end_matches('/').rsplit_once('/').map_or("", |(folder, _)| folder);
            path.strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/') && !folder.is_empty())
        }
        _ => false,
    }
}

fn relative(parent: &GitUrl, from: &Target, address: &str) -> Result<GitUrl> {
    let base = match from {
        Target::Path(path) => path,
        Target::Web(url) => url.path(),
        Target::Ssh { path, .. } => path,
    };
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in address.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts
                    .pop()
                    .ok_or_else(|| Error::invalid("git", format!("the submodule address `{address}` leads out of the host")))?;
            }
            part => parts.push(part),
        }
    }
    let path = format!("/{}", parts.join("/"));
    match from {
        Target::Path(_) => path.parse(),
        Target::Web(url) => {
            let mut url = url.clone();
            url.set_path(&path);
            url.as_str().parse()
        }
        Target::Ssh { .. } if parent.as_str().contains("://") => {
            let mut url = Url::parse(parent.as_str()).map_err(|_| malformed())?;
            url.set_path(&path);
            url.as_str().parse()
        }
        Target::Ssh { user, host, .. } => format!("{user}@{host}:{}", if base_is_absolute(parent) { &path } else { &path[1..] }).parse(),
    }
}

/// Whether the path behind `git@host:` begins with a slash.
fn base_is_absolute(parent: &GitUrl) -> bool {
    parent.as_str().split_once(':').is_some_and(|(_, path)| path.starts_with('/'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use types::Secret;

    #[test]
    fn places() {
        for (url, place) in [
            ("https://example.com/a.git", "example.com:443"),
            ("http://10.0.0.1:3000/a.git", "10.0.0.1:3000"),
            ("git@example.com:a/b.git", "example.com:22"),
            ("ssh://example.com:2222/a", "example.com:2222"),
            ("/srv/git/a", "this machine"),
        ] {
            assert_eq!(Target::of(&url.parse().unwrap()).unwrap().place(), place);
        }
    }

    #[test]
    fn addresses_behind_a_door() {
        for (url, behind) in [
            ("https://example.com/a.git", "https://example.com/a.git"),
            ("http://ada@example.com:3000/a.git", "http://ada@127.0.0.1:4000/a.git"),
            ("ssh://git@example.com/srv/a.git", "ssh://git@127.0.0.1:4000/srv/a.git"),
            ("ssh://git@[2001:db8::1]:2222/a.git", "ssh://git@127.0.0.1:4000/a.git"),
            ("git@example.com:ada/a.git", "[git@127.0.0.1:4000]:ada/a.git"),
            ("git@example.com:/srv/a.git", "[git@127.0.0.1:4000]:/srv/a.git"),
        ] {
            let url: GitUrl = url.parse().unwrap();
            assert_eq!(Target::of(&url).unwrap().behind(&url, 4000).unwrap(), behind);
        }
    }

    /// What the URL standard and libgit2 read differently: one would be looked at, the other connected to and given the login.
    #[test]
    fn addresses_of_two_servers() {
        for url in [
            r"http://public.example\@127.0.0.1:9100/x.git",
            "http://public.example?@10.0.0.5/x.git",
            "https://github.com?@evil.example/x.git",
            "https://github.com#@evil.example/x.git",
            "https://a@github.com@evil.example/x.git",
            "ssh://public.example#@10.0.0.5/x.git",
            "ssh://git@%6c.evil.example/x.git",
            "http:public.example/x://.git",
            "http:///public.example/x.git",
            "https://exämple.com/x.git",
            "git@a@b.example:x.git",
            "git@%6c.evil.example:x.git",
        ] {
            // What no address may be at all is fine too.
            let read = url.parse().map(|url: GitUrl| Target::of(&url).is_ok());
            assert!(!matches!(read, Ok(true)), "{url}");
        }
        for url in [
            "https://example.com:8443/x.git",
            "ssh://git@[::1]:2222/x.git",
            "https://[2001:db8::1]/x.git",
            "git@my-host.example:a/b.git",
        ] {
            let url: GitUrl = url.parse().unwrap();
            assert!(Target::of(&url).is_ok(), "{}", url.as_str());
        }
    }

    #[test]
    fn submodules() {
        let login = Login::Password {
            user: "u".into(),
            password: Secret::from("secret"),
        };
        for (parent, address, expected, shares) in [
            ("https://h.example/a/b.git", "../c.git", "https://h.example/a/c.git", true),
            ("https://h.example/a/b.git", "./c", "https://h.example/a/b.git/c", true),
            (
                "https://h.example/a/b.git",
                "https://h.example/x.git",
                "https://h.example/x.git",
                true,
            ),
            (
                "https://h.example/a/b.git",
                "https://other.example/x.git",
                "https://other.example/x.git",
                false,
            ),
            (
                "https://h.example/a/b.git",
                "http://h.example/x.git",
                "http://h.example/x.git",
                false,
            ),
            (
                "https://h.example/a/b.git",
                "https://h.example:8443/x.git",
                "https://h.example:8443/x.git",
                false,
            ),
            (
                "https://h.example/a/b.git",
                "git@h.example:x/y.git",
                "https://h.example/x/y.git",
                true,
            ),
            (
                "https://h.example/a/b.git",
                "git@other.example:x/y.git",
                "git@other.example:x/y.git",
                false,
            ),
            ("git@h.example:a/b.git", "../c.git", "git@h.example:a/c.git", true),
            ("git@h.example:/srv/b.git", "../c.git", "git@h.example:/srv/c.git", true),
            (
                "ssh://git@h.example:2222/a/b.git",
                "../c.git",
                "ssh://git@h.example:2222/a/c.git",
                true,
            ),
            ("/srv/git/b", "../c", "/srv/git/c", false),
            ("/srv/git/b", "/srv/git/deep/c", "/srv/git/deep/c", false),
        ] {
            let (url, given) = submodule(&parent.parse().unwrap(), &login, address).unwrap();
            assert_eq!(
                (url.as_str(), matches!(given, Login::Password { .. })),
                (expected, shares),
                "{parent} {address}"
            );
        }
        for (parent, address) in [
            ("https://h.example/b.git", "/etc"),
            ("https://h.example/b.git", "file:///srv/x"),
            ("https://h.example/b.git", "../../../c"),
            ("/srv/git/b", "/opt/c"),
            ("/srv/git/b", "../../git-secret/c"),
            ("/b", "/etc"),
            ("https://h.example/b.git", "ext::sh -c id"),
            ("https://h.example/b.git", "--upload-pack=id"),
        ] {
            assert!(submodule(&parent.parse().unwrap(), &login, address).is_err(), "{parent} {address}");
        }
    }
}

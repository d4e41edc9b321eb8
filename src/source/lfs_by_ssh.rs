//! Where the files in Git LFS of a repository by ssh are: a command on the forge's host tells it, and what the server wants to
//! hear. Source: git-lfs, `docs/api/server-discovery.md`.

use crate::{Login, ssh, target::Target};
use egress::Egress;
use serde_json::Value;
use std::time::{Duration, Instant};
use types::{Error, Result};
use url::Url;

/// A shell's word for a command that there is not.
const UNKNOWN: i32 = 127;
/// A pass that ends this soon is not used any more.
const SPARE: Duration = Duration::from_secs(30);

/// Whom to ask.
#[derive(Clone)]
pub struct Asking<'a> {
    pub target: &'a Target,
    pub login: &'a Login,
    /// The one that the fetch met.
    pub host_key: Option<&'a str>,
    pub egress: &'a Egress,
    /// As it stands in the address.
    pub path: &'a str,
}

/// What was told. The headers are secrets.
pub struct Pass<'a> {
    pub base: Url,
    pub headers: Vec<(String, String)>,
    ends: Option<Instant>,
    pub asking: Asking<'a>,
}

impl<'a> Asking<'a> {
    /// `None` when the host has no such command. Fails with `Invalid` when it refuses.
    pub fn ask(self) -> Result<Option<Pass<'a>>> {
        let command = format!("git-lfs-authenticate {} download", ssh::quoted(self.path));
        let ended = ssh::run(self.target, self.login, self.host_key, self.egress, &command)?;
        if ended.code != 0 {
            return match is_unknown(ended.code, &ended.complained) {
                true => Ok(None),
                false => Err(refused(self.target, &ended.complained)),
            };
        }
        let strange = || Error::unavailable(format!("{} tells by ssh no server for files in Git LFS", self.target.place()));
        let (base, headers, lasts) = told(&ended.printed, self.target, self.path).ok_or_else(strange)?;
        Ok(Some(Pass {
            base,
            headers,
            ends: lasts.map(|lasts| Instant::now() + lasts),
            asking: self,
        }))
    }
}

impl Pass<'_> {
    pub fn is_over(&self) -> bool {
        self.ends.is_some_and(|ends| ends < Instant::now() + SPARE)
    }
}

/// Not all hosts have a shell with its codes: some say in words that they know no such command.
fn is_unknown(code: i32, complained: &str) -> bool {
    let said = complained.to_lowercase();
    let of_command = said.contains("git-lfs-authenticate") || said.contains("command");
    let is_missing = ["not found", "unknown", "unrecognized", "not allowed", "not supported", "disabled"];
    code == UNKNOWN || (of_command && is_missing.iter().any(|words| said.contains(words)))
}

fn refused(target: &Target, complained: &str) -> Error {
    let why: String = complained.trim().chars().filter(|c| !c.is_control()).take(200).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    Error::invalid("git", format!("{} does not give the files in Git LFS by ssh{why}", target.place()))
}

type Told = (Url, Vec<(String, String)>, Option<Duration>);

/// The server without a slash at the end, the headers, and how long they are good for.
fn told(printed: &str, target: &Target, path: &str) -> Option<Told> {
    let said: Value = serde_json::from_str(printed).ok()?;
    let base = match said["href"].as_str().filter(|href| !href.is_empty()) {
        Some(href) => Url::parse(href).ok()?,
        None => usual(target, path)?,
    };
    let headers = said["header"].as_object().into_iter().flatten();
    let lasts = said["expires_in"].as_u64().filter(|seconds| *seconds > 0);
    matches!(base.scheme(), "http" | "https").then(|| {
        (
            base,
            headers
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            lasts.map(Duration::from_secs),
        )
    })
}

/// Beside the repository, by https.
fn usual(target: &Target, path: &str) -> Option<Url> {
    let Target::Ssh { host, .. } = target else { return None };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    Url::parse(&format!("https://{host}/{path}.git/info/lfs")).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target::of(&"git@forge.example:ada/blog.git".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_answer_is_read() {
        let whole = r#"{"href":"https://lfs.example/x","header":{"Authorization":"RemoteAuth y","n":1},"expires_in":600}"#;
        let (base, headers, lasts) = told(whole, &target(), "ada/blog.git").unwrap();
        assert_eq!(base.as_str(), "https://lfs.example/x");
        assert_eq!(headers, [("Authorization".to_owned(), "RemoteAuth y".to_owned())]);
        assert_eq!(lasts, Some(Duration::from_secs(600)));
        let (base, headers, lasts) = told("{}", &target(), "ada/blog.git").unwrap();
        assert_eq!(base.as_str(), "https://forge.example/ada/blog.git/info/lfs");
        assert!(headers.is_empty() && lasts.is_none());
        for wrong in ["", "hello", r#"{"href":"file:///etc/passwd"}"#, r#"{"href":"x"}"#] {
            assert!(told(wrong, &target(), "x").is_none(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_command_is_told_from_a_refusal() {
        for (code, said, expected) in [
            (127, "bash: line 1: git-lfs-authenticate: command not found", true),
            (1, "gerrit: git-lfs-authenticate: not found", true),
            (128, "fatal: unrecognized command 'git-lfs-authenticate x download'", true),
            (1, "ERROR: Repository not found.", false),
            (1, "", false),
        ] {
            assert_eq!(is_unknown(code, said), expected, "{said}");
        }
        let error = refused(&target(), "no\u{7} such repository\n").to_string();
        assert!(
            error.ends_with("does not give the files in Git LFS by ssh: no such repository"),
            "{error}"
        );
    }
}

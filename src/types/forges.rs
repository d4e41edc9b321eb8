//! Connections to forges: how the panel gets into GitHub, GitLab, Bitbucket, Gitea or Forgejo, and what it told them of
//! deployments.

use crate::{AppId, DeploymentId, Error, Forge, ForgeId, OrganizationId, Result, Sealed, Time};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};
use url::Url;

/// An organization's way into one forge. Apps are made from its repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeConnection {
    pub id: ForgeId,
    pub organization: OrganizationId,
    /// Unique in the organization.
    pub name: String,
    /// One of those with an API: not [`Forge::Generic`], not [`Forge::Poll`].
    pub forge: Forge,
    /// Where people see it: `https://github.com`, without a slash at its end.
    pub url: ForgeUrl,
    /// Only repositories of this organization, group or workspace; at Bitbucket it must be said.
    pub owner: Option<String>,
    pub access: ForgeAccess,
    /// As whom the panel was known there at the last test.
    pub account: Option<String>,
    pub checked_at: Option<Time>,
    /// Why the last test failed.
    pub problem: Option<String>,
    pub created_at: Time,
}

/// How the panel proves who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ForgeAccess {
    Token {
        /// Bitbucket's API tokens need the account's mail address, those of Bitbucket Data Center its name.
        user: Option<String>,
        token: Sealed,
    },
    Oauth {
        client_id: String,
        client_secret: Sealed,
        /// `None`: nobody has allowed it at the forge yet.
        grant: Option<OauthGrant>,
    },
    /// A GitHub App.
    App {
        app_id: u64,
        /// The last part of its address.
        slug: String,
        /// RSA, in PEM.
        private_key: Sealed,
    },
}

/// What an OAuth authorization gave (RFC 6749, section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthGrant {
    pub access: Sealed,
    pub refresh: Option<Sealed>,
    /// Of the access token; `None`: it does not end.
    pub expires_at: Option<Time>,
}

/// `https://forge.example.com/below`: without user, query and slash at its end. Names of forges people run beside the panel
/// may be private or plain http: who may connect forges is the guard.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ForgeUrl(Url);

impl ForgeUrl {
    /// `path` begins without a slash.
    pub fn join(&self, path: &str) -> Url {
        let text = format!("{}/{path}", self.as_str());
        Url::parse(&text).expect("a path below an address is one")
    }
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
    /// The public one of this forge.
    pub fn usual(forge: Forge) -> Option<ForgeUrl> {
        let url = match forge {
            Forge::Github => "https://github.com",
            Forge::Gitlab => "https://gitlab.com",
            Forge::Bitbucket => "https://bitbucket.org",
            Forge::BitbucketDataCenter | Forge::Gitea | Forge::Generic | Forge::Poll => return None,
        };
        Some(url.parse().expect("it is one"))
    }
}

impl FromStr for ForgeUrl {
    type Err = Error;
    fn from_str(text: &str) -> Result<ForgeUrl> {
        let wrong = || Error::invalid("url", "must be the address of a forge, such as https://git.example.com");
        let url = Url::parse(text.trim()).map_err(|_| wrong())?;
        let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() || !is_plain || text.len() > 500 {
            return Err(wrong());
        }
        Ok(ForgeUrl(url))
    }
}

impl TryFrom<String> for ForgeUrl {
    type Error = Error;
    fn try_from(text: String) -> Result<ForgeUrl> {
        text.parse()
    }
}

impl From<ForgeUrl> for String {
    fn from(url: ForgeUrl) -> String {
        url.as_str().to_owned()
    }
}

impl fmt::Display for ForgeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which repository at which connection an app is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeRepository {
    pub connection: ForgeId,
    pub path: RepositoryPath,
}

/// `owner/name`; at GitLab there may be groups between. At Bitbucket Data Center `~ada` owns what is a person's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryPath(String);

impl RepositoryPath {
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// All but the last part.
    pub fn owner(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(owner, _)| owner)
    }
}

impl FromStr for RepositoryPath {
    type Err = Error;
    fn from_str(text: &str) -> Result<RepositoryPath> {
        let letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let is_part = |part: &str| !part.is_empty() && part != "." && part != ".." && letters(part);
        let parts = text.split('/').count();
        // Of the owner alone: elsewhere it means a home folder.
        let plain = text.strip_prefix('~').unwrap_or(text);
        if text.len() > 400 || !(2..=22).contains(&parts) || !plain.split('/').all(is_part) {
            return Err(Error::invalid("repository", "must be owner/name, as the forge writes it"));
        }
        Ok(RepositoryPath(text.to_owned()))
    }
}

impl TryFrom<String> for RepositoryPath {
    type Error = Error;
    fn try_from(text: String) -> Result<RepositoryPath> {
        text.parse()
    }
}

impl From<RepositoryPath> for String {
    fn from(path: RepositoryPath) -> String {
        path.0
    }
}

impl fmt::Display for RepositoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The webhook that the panel has made at a forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredHook {
    pub repository: ForgeRepository,
    /// The forge's id of it.
    pub hook: String,
    /// Where it sends to.
    pub url: String,
    pub at: Time,
}

/// What a forge was told of one deployment. It is made when the deployment has a commit, and closed when its end was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeReport {
    pub organization: OrganizationId,
    pub app: AppId,
    pub deployment: DeploymentId,
    pub repository: ForgeRepository,
    /// 40 hex digits; empty while the forge is still to be asked which commit the branch has.
    pub commit: String,
    /// Where it is deployed to, as the forge shows it: `production/blog`. It stays while this is told of.
    pub place: String,
    pub production: bool,
    /// What the forge knows; `None`: nothing yet.
    pub told: Option<CommitState>,
    /// The forge's own record of the deployment, where it keeps such.
    pub record: Option<String>,
    /// In a row, that failed.
    pub failures: u32,
    /// Why the last one did.
    pub problem: Option<String>,
    /// When it is tried again; `None`: it is not.
    pub next_at: Option<Time>,
    pub created_at: Time,
    pub updated_at: Time,
}

impl ForgeReport {
    /// After so many failures in a row nobody waits for the status any more: that is after some 11 hours.
    pub const TRIES: u32 = 14;

    /// How long to wait after so many failures in a row.
    pub fn pause(failures: u32) -> Duration {
        Duration::from_secs((5_u64 << failures.clamp(1, 12).saturating_sub(1)).min(3 * 3600))
    }
    /// Nothing more is to be told.
    pub fn is_closed(&self) -> bool {
        self.told.is_some_and(CommitState::is_final) || (self.next_at.is_none() && self.failures > 0)
    }
}

/// What a forge shows beside a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitState {
    Pending,
    Success,
    Failure,
    /// Somebody ended it, or a newer one came before.
    Cancelled,
}

impl CommitState {
    pub fn is_final(self) -> bool {
        self != CommitState::Pending
    }
    pub fn word(self) -> &'static str {
        match self {
            CommitState::Pending => "pending",
            CommitState::Success => "success",
            CommitState::Failure => "failure",
            CommitState::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("https://git.example.com/", "https://git.example.com"),
            ("http://127.0.0.1:3000/git", "http://127.0.0.1:3000/git"),
        ] {
            assert_eq!(text.parse::<ForgeUrl>().expect("it is one").as_str(), expected);
        }
        for wrong in [
            "",
            "git.example.com",
            "ftp://x",
            "https://u:p@x",
            "https://x?y",
            "https://x#y",
            "file:///x",
        ] {
            assert!(wrong.parse::<ForgeUrl>().is_err(), "{wrong}");
        }
        let below: ForgeUrl = "https://x.test/git/".parse().expect("it is one");
        assert_eq!(below.join("api/v1/user").as_str(), "https://x.test/git/api/v1/user");
    }

    #[test]
    fn repositories() {
        for text in ["ada/blog", "group/sub/deep/site", "a-b/c_d.git", "~ada/blog"] {
            assert_eq!(text.parse::<RepositoryPath>().expect("it is one").as_str(), text);
        }
        for wrong in [
            "",
            "blog",
            "/blog",
            "ada/",
            "ada/../x",
            "ada/./x",
            "a b/c",
            "ada/blog?x=1",
            "ada/%2e%2e",
            "ada//x",
            "ada/~x",
            "~/x",
            "~../x",
            "~~ada/x",
        ] {
            assert!(wrong.parse::<RepositoryPath>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let all: Vec<u64> = (1..=ForgeReport::TRIES).map(|count| ForgeReport::pause(count).as_secs()).collect();
        assert_eq!(all[..4], [5, 10, 20, 40]);
        assert!(all.is_sorted() && all.iter().all(|seconds| *seconds <= 3 * 3600));
        let sum: u64 = all.iter().sum();
        assert!((8 * 3600..24 * 3600).contains(&sum), "{sum}");
    }
}

//! What the panel asks of forges by their APIs: repositories and branches, webhooks, and what is shown beside commits.
//!
//! Each forge has a file with the paths and words of its API; [`web`] bounds every answer in time and size and keeps
//! credentials at the one host that they are for. Where they come from is others' business.

mod bitbucket;
mod bitbucket_data_center;
mod gitea;
mod github;
mod github_app;
mod gitlab;
mod oauth;
mod rest;
mod web;

pub use github_app::{AppKey, Installation, ManifestApp, manifest, manifest_app};
pub use oauth::{Granted, OauthClient, Pkce};

use async_trait::async_trait;
use egress::Egress;
use types::{CommitState, Error, Forge, ForgeUrl, RepositoryPath, Result, Secret};
use url::Url;
use web::Web;

/// Shown of what a forge has; the rest is found by searching.
pub const SHOWN: usize = 100;

/// How a request proves who asks.
#[derive(Debug, Clone)]
pub enum Proof {
    Bearer(Secret),
    /// Bitbucket's API tokens go with the account's mail address.
    Basic {
        user: String,
        password: Secret,
    },
    /// An account's HTTP access token at Bitbucket Data Center: `Bearer` for its API, and the account's password for Git.
    Account {
        user: String,
        token: Secret,
    },
}

/// A forge's API, as one account sees it.
pub struct ForgeApi {
    forge: Forge,
    web: Web,
    /// Only repositories of this organization, group or workspace.
    owner: Option<String>,
    /// The account is an installation of a GitHub App, not a person.
    is_installation: bool,
}

/// A part of what there is, newest first where the forge knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    pub items: Vec<T>,
    /// There is more than was looked at: search for it.
    pub more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub path: RepositoryPath,
    /// For http(s).
    pub clone_url: String,
    pub default_branch: Option<String>,
    pub private: bool,
    pub description: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeBranch {
    pub name: String,
    /// 40 hex digits.
    pub commit: String,
}

/// A webhook as it should be.
#[derive(Debug, Clone, Copy)]
pub struct Hook<'a> {
    pub url: &'a str,
    pub secret: &'a str,
    /// It tells of pull requests too, not of pushes alone.
    pub requests: bool,
}

/// What a forge is to show beside a commit.
#[derive(Debug, Clone)]
pub struct Status<'a> {
    pub state: CommitState,
    /// Tells it from those of others, and of other apps: `serverkit/production/blog`.
    pub context: &'a str,
    /// One line.
    pub words: &'a str,
    /// The deployment's page.
    pub link: &'a str,
    /// Where it is deployed to: `production/blog`.
    pub environment: &'a str,
    /// What is deployed: a branch or tag in full (`refs/…`) or by its name alone; `None`: the repository's default branch.
    pub reference: Option<&'a str>,
    /// Where it serves.
    pub site: Option<&'a str>,
    pub production: bool,
    /// The deployment's, among those of its app.
    pub number: u64,
}

/// What each forge can do, in its own words.
#[async_trait]
trait Speaks: Send + Sync {
    /// As whom the panel is known.
    async fn account(&self, api: &ForgeApi) -> Result<String>;
    async fn repositories(&self, api: &ForgeApi, search: &str) -> Result<Found<Repository>>;
    async fn repository(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Repository>;
    async fn branches(&self, api: &ForgeApi, path: &RepositoryPath, search: &str) -> Result<Found<ForgeBranch>>;
    /// The webhooks of a repository: id and address.
    async fn hooks(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Vec<(String, String)>>;
    /// Makes a webhook, or changes `known`; answers its id.
    async fn hook_save(&self, api: &ForgeApi, path: &RepositoryPath, known: Option<&str>, hook: &Hook<'_>) -> Result<String>;
    async fn hook_remove(&self, api: &ForgeApi, path: &RepositoryPath, hook: &str) -> Result<()>;
    async fn tell(&self, api: &ForgeApi, path: &RepositoryPath, commit: &str, status: &Status<'_>) -> Result<()>;
    /// Numbers of the pull requests that are open.
    async fn open_requests(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Found<u64>>;
    /// Writes a comment beside a pull request, or writes `known` anew; answers its id.
    async fn comment_save(&self, api: &ForgeApi, path: &RepositoryPath, number: u64, known: Option<&str>, text: &str) -> Result<String>;
}

fn speaker(forge: Forge) -> &'static dyn Speaks {
    match forge {
        Forge::Github => &github::Github,
        Forge::Gitlab => &gitlab::Gitlab,
        Forge::Bitbucket => &bitbucket::Bitbucket,
        Forge::BitbucketDataCenter => &bitbucket_data_center::DataCenter,
        Forge::Gitea | Forge::Generic | Forge::Poll => &gitea::Gitea,
    }
}

/// Where a forge's API begins.
fn api_of(forge: Forge, url: &ForgeUrl) -> Url {
    match (forge, url.host()) {
        (Forge::Github, "github.com") => Url::parse("https://api.github.com").expect("it is one"),
        // GitHub Enterprise Server.
        (Forge::Github, _) => url.join("api/v3"),
        (Forge::Gitlab, _) => url.join("api/v4"),
        (Forge::Bitbucket, "bitbucket.org") => Url::parse("https://api.bitbucket.org/2.0").expect("it is one"),
        (Forge::Bitbucket, _) => url.join("2.0"),
        (Forge::BitbucketDataCenter, _) => url.join("rest/api/latest"),
        (Forge::Gitea | Forge::Generic | Forge::Poll, _) => url.join("api/v1"),
    }
}

impl ForgeApi {
    /// `egress`: how far its address may lead.
    pub fn new(
        forge: Forge,
        url: &ForgeUrl,
        owner: Option<&str>,
        proof: Proof,
        is_installation: bool,
        egress: &Egress,
    ) -> Result<ForgeApi> {
        Ok(ForgeApi {
            forge,
            web: Web::new(forge, api_of(forge, url), Some(proof), egress)?,
            owner: owner.map(str::to_owned),
            is_installation,
        })
    }

    /// As whom the panel is known. Fails with `Invalid { field: "access" }` when the forge does not take the credentials.
    pub async fn account(&self) -> Result<String> {
        speaker(self.forge).account(self).await
    }

    /// Those that the account may read and whose name has `search` in it; at most [`SHOWN`].
    pub async fn repositories(&self, search: &str) -> Result<Found<Repository>> {
        speaker(self.forge).repositories(self, search.trim()).await
    }

    pub async fn repository(&self, path: &RepositoryPath) -> Result<Repository> {
        speaker(self.forge).repository(self, path).await
    }

    /// Branches whose name has `search` in it; at most [`SHOWN`].
    pub async fn branches(&self, path: &RepositoryPath, search: &str) -> Result<Found<ForgeBranch>> {
        speaker(self.forge).branches(self, path, search.trim()).await
    }

    /// Makes a webhook for pushes, and for pull requests too with `requests`; in place of `known`, and of one that goes to the
    /// same address. Answers the forge's id of it.
    pub async fn hook_save(
        &self,
        path: &RepositoryPath,
        known: Option<&str>,
        url: &str,
        secret: &Secret,
        requests: bool,
    ) -> Result<String> {
        let speaker = speaker(self.forge);
        let there = speaker.hooks(self, path).await?;
        let same = there.iter().find(|(id, to)| Some(id.as_str()) == known || to == url);
        let secret = secret.expose_str().unwrap_or_default();
        let hook = Hook { url, secret, requests };
        speaker.hook_save(self, path, same.map(|(id, _)| id.as_str()), &hook).await
    }

    /// One that is gone already is no failure.
    pub async fn hook_remove(&self, path: &RepositoryPath, hook: &str) -> Result<()> {
        speaker(self.forge).hook_remove(self, path, hook).await
    }

    /// Shows a state beside a commit.
    pub async fn tell(&self, path: &RepositoryPath, commit: &str, status: &Status<'_>) -> Result<()> {
        speaker(self.forge).tell(self, path, commit, status).await
    }

    /// Numbers of the pull requests that are open; with `more`, not all of them.
    pub async fn open_requests(&self, path: &RepositoryPath) -> Result<Found<u64>> {
        speaker(self.forge).open_requests(self, path).await
    }

    /// Writes a comment beside a pull request: `known` anew, or a new one where that is gone. Answers its id.
    pub async fn comment_save(&self, path: &RepositoryPath, number: u64, known: Option<&str>, text: &str) -> Result<String> {
        let speaker = speaker(self.forge);
        match speaker.comment_save(self, path, number, known, text).await {
            // Somebody has deleted it.
            Err(Error::Invalid { field, .. }) if known.is_some() && field == "repository" => {
                speaker.comment_save(self, path, number, None, text).await
            }
            other => other,
        }
    }

    /// Keeps the forge's own record of a deployment, where it has such: makes it unless `record` is one, sets its state, and
    /// answers its id.
    pub async fn record(&self, path: &RepositoryPath, commit: &str, record: Option<&str>, status: &Status<'_>) -> Result<Option<String>> {
        match self.forge {
            Forge::Github => github::record(self, path, commit, record, status).await.map(Some),
            Forge::Gitlab => gitlab::record(self, path, commit, record, status).await,
            Forge::BitbucketDataCenter => bitbucket_data_center::record(self, path, commit, status).await,
            _ => Ok(None),
        }
    }

    /// Whether a name fits what is looked for, and whose repositories are shown.
    fn fits(&self, path: &str, search: &str) -> bool {
        let owner = path.rsplit_once('/').map_or("", |(owner, _)| owner);
        let of_owner =
            |wanted: &str| owner.eq_ignore_ascii_case(wanted) || owner.to_lowercase().starts_with(&format!("{}/", wanted.to_lowercase()));
        self.owner.as_deref().is_none_or(of_owner) && path.to_lowercase().contains(&search.to_lowercase())
    }

    /// One that cannot be read stands for any that is not there.
    fn numbers(all: &[serde_json::Value], more: bool, key: &str) -> Found<u64> {
        let items: Vec<u64> = all.iter().filter_map(|one| one[key].as_u64()).collect();
        Found {
            more: more || items.len() < all.len(),
            items,
        }
    }

    /// At most [`SHOWN`] of what was read; what cannot be read is passed over.
    fn shown<T>(all: Vec<T>, more: bool) -> Found<T> {
        let more = more || all.len() > SHOWN;
        Found {
            items: all.into_iter().take(SHOWN).collect(),
            more,
        }
    }
}

/// The user name that goes with a token over http(s), in libgit2's kind of login.
pub fn git_user(forge: Forge) -> &'static str {
    match forge {
        Forge::Github => "x-access-token",
        Forge::Bitbucket | Forge::BitbucketDataCenter => "x-token-auth",
        Forge::Gitlab | Forge::Gitea | Forge::Generic | Forge::Poll => "oauth2",
    }
}

/// A forge's answer lacks what its documentation promises.
fn strange(forge: Forge, what: &str) -> Error {
    Error::unavailable(format!("{} answered without {what}", forge.name()))
}

/// At most `most` characters of `text`, on one line.
fn short(text: &str, most: usize) -> String {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if line.chars().count() <= most {
        return line;
    }
    let cut: String = line.chars().take(most - 1).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_apis_are() {
        for (forge, url, expected) in [
            (Forge::Github, "https://github.com", "https://api.github.com/"),
            (Forge::Github, "https://ghe.example.com", "https://ghe.example.com/api/v3"),
            (Forge::Gitlab, "https://gitlab.com/", "https://gitlab.com/api/v4"),
            (Forge::Gitlab, "https://example.com/gitlab", "https://example.com/gitlab/api/v4"),
            (Forge::Bitbucket, "https://bitbucket.org", "https://api.bitbucket.org/2.0"),
            (
                Forge::BitbucketDataCenter,
                "https://git.test/bitbucket",
                "https://git.test/bitbucket/rest/api/latest",
            ),
            (Forge::Gitea, "https://codeberg.org", "https://codeberg.org/api/v1"),
        ] {
            assert_eq!(api_of(forge, &url.parse().expect("it is one")).as_str(), expected);
        }
    }

    #[test]
    fn lines_are_short() {
        assert_eq!(short("fine", 10), "fine");
        assert_eq!(short("two\nlines", 10), "two lines");
        assert_eq!(short("ünïcödé is long", 9), "ünïcödé…");
        assert_eq!(short(&"x".repeat(200), 140).chars().count(), 140);
    }
}

//! The REST API of Bitbucket Cloud, version 2.0. Source: developer.atlassian.com/cloud/bitbucket/rest
//!
//! Lists over all workspaces are on their way out there, so a connection is to one workspace.

use super::{ForgeApi, ForgeBranch, Found, Hook, Repository, SHOWN, Speaks, Status, short, strange};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use types::{CommitState, Error, Forge, RepositoryPath, Result};

pub(super) struct Bitbucket;

const HUNDRED: (&str, &str) = ("pagelen", "100");

fn values(body: &Value) -> Option<&Vec<Value>> {
    body["values"].as_array()
}

/// `name ~ "x"`, in Bitbucket's language of filters.
fn like(search: &str) -> String {
    let plain: String = search.chars().filter(|letter| !matches!(letter, '"' | '\\')).collect();
    format!("name ~ \"{plain}\"")
}

fn workspace(api: &ForgeApi) -> Result<&str> {
    let workspace = api.owner.as_deref();
    workspace.ok_or_else(|| Error::invalid("owner", "Bitbucket needs the workspace that the repositories are in"))
}

#[async_trait]
impl Speaks for Bitbucket {
    /// Tokens of a repository or workspace belong to nobody, so the workspace's repositories are what is asked for.
    async fn account(&self, api: &ForgeApi) -> Result<String> {
        let workspace = workspace(api)?;
        api.web.get(&format!("repositories/{workspace}"), &[("pagelen", "1")]).await?;
        Ok(workspace.to_owned())
    }

    async fn repositories(&self, api: &ForgeApi, search: &str) -> Result<Found<Repository>> {
        let filter = like(search);
        let mut query = vec![HUNDRED, ("sort", "-updated_on")];
        if !search.is_empty() {
            query.push(("q", &filter));
        }
        let path = format!("repositories/{}", workspace(api)?);
        let (all, more) = api.web.list(&path, &query, values, SHOWN).await?;
        Ok(ForgeApi::shown(all.iter().filter_map(|one| repository(one).ok()).collect(), more))
    }

    async fn repository(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Repository> {
        repository(&api.web.get(&format!("repositories/{path}"), &[]).await?)
    }

    async fn branches(&self, api: &ForgeApi, path: &RepositoryPath, search: &str) -> Result<Found<ForgeBranch>> {
        let filter = like(search);
        let mut query = vec![HUNDRED];
        if !search.is_empty() {
            query.push(("q", &filter));
        }
        let path = format!("repositories/{path}/refs/branches");
        let (all, more) = api.web.list(&path, &query, values, SHOWN).await?;
        let branch = |one: &Value| {
            Some(ForgeBranch {
                name: one["name"].as_str()?.to_owned(),
                commit: one["target"]["hash"].as_str()?.to_owned(),
            })
        };
        Ok(ForgeApi::shown(all.iter().filter_map(branch).collect(), more))
    }

    async fn hooks(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Vec<(String, String)>> {
        let path = format!("repositories/{path}/hooks");
        let (all, _) = api.web.list(&path, &[HUNDRED], values, usize::MAX).await?;
        let hook = |one: &Value| Some((one["uuid"].as_str()?.to_owned(), one["url"].as_str()?.to_owned()));
        Ok(all.iter().filter_map(hook).collect())
    }

    async fn hook_save(&self, api: &ForgeApi, path: &RepositoryPath, known: Option<&str>, hook: &Hook<'_>) -> Result<String> {
        let Hook { url, secret, requests } = *hook;
        let mut events = vec!["repo:push"];
        if requests {
            events.extend([
                "pullrequest:created",
                "pullrequest:updated",
                "pullrequest:fulfilled",
                "pullrequest:rejected",
            ]);
        }
        let body = json!({"description": "serverkit", "url": url, "secret": secret, "active": true, "events": events});
        let path = format!("repositories/{path}/hooks");
        let made = match known {
            Some(id) => api.web.send(Method::PUT, &format!("{path}/{}", uuid(id)), &body).await?,
            None => api.web.post(&path, &body).await?,
        };
        let id = made["uuid"].as_str().map(str::to_owned);
        id.ok_or_else(|| strange(Forge::Bitbucket, "`uuid`"))
    }

    async fn hook_remove(&self, api: &ForgeApi, path: &RepositoryPath, hook: &str) -> Result<()> {
        api.web.delete(&format!("repositories/{path}/hooks/{}", uuid(hook))).await
    }

    async fn tell(&self, api: &ForgeApi, path: &RepositoryPath, commit: &str, status: &Status<'_>) -> Result<()> {
        let state = match status.state {
            CommitState::Pending => "INPROGRESS",
            CommitState::Success => "SUCCESSFUL",
            CommitState::Failure => "FAILED",
            CommitState::Cancelled => "STOPPED",
        };
        // A key has at most 40 characters.
        let body = json!({
            "key": key(status.context), "state": state, "name": short(status.context, 255), "url": status.link,
            "description": short(status.words, 255),
        });
        api.web
            .post(&format!("repositories/{path}/commit/{commit}/statuses/build"), &body)
            .await
            .map(drop)
    }

    async fn open_requests(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Found<u64>> {
        let (path, query) = (format!("repositories/{path}/pullrequests"), [("pagelen", "50"), ("state", "OPEN")]);
        let (all, more) = api.web.list(&path, &query, values, usize::MAX).await?;
        Ok(ForgeApi::numbers(&all, more, "id"))
    }

    async fn comment_save(&self, api: &ForgeApi, path: &RepositoryPath, number: u64, known: Option<&str>, text: &str) -> Result<String> {
        let (path, body) = (
            format!("repositories/{path}/pullrequests/{number}/comments"),
            json!({"content": {"raw": text}}),
        );
        let made = match known {
            Some(id) => api.web.send(Method::PUT, &format!("{path}/{id}"), &body).await?,
            None => api.web.post(&path, &body).await?,
        };
        let id = made["id"].as_u64().map(|id| id.to_string());
        id.ok_or_else(|| strange(Forge::Bitbucket, "`id`"))
    }
}

/// `{…}`, as a part of a path.
fn uuid(id: &str) -> String {
    id.replace('{', "%7B").replace('}', "%7D")
}

/// The context if it is short enough; else its beginning and what tells it from others that begin so.
fn key(context: &str) -> String {
    use sha2::{Digest, Sha256};
    if context.len() <= 40 && context.is_ascii() {
        return context.to_owned();
    }
    let sum = Sha256::digest(context.as_bytes());
    let hex: String = sum[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    let start: String = context.chars().filter(char::is_ascii).take(27).collect();
    format!("{start}-{hex}")
}

fn repository(body: &Value) -> Result<Repository> {
    let lacks = |what: &str| strange(Forge::Bitbucket, what);
    let clone = body["links"]["clone"].as_array().into_iter().flatten();
    let clone = clone.filter(|link| link["name"] == "https").find_map(|link| link["href"].as_str());
    Ok(Repository {
        path: body["full_name"].as_str().ok_or_else(|| lacks("`full_name`"))?.parse()?,
        clone_url: without_user(clone.ok_or_else(|| lacks("an address to clone from"))?),
        default_branch: body["mainbranch"]["name"].as_str().map(str::to_owned),
        private: body["is_private"].as_bool().unwrap_or(true),
        description: body["description"].as_str().unwrap_or_default().to_owned(),
    })
}

/// Bitbucket writes the account's name into the address, which would be taken for the one to sign in with.
pub(super) fn without_user(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else {
        return text.to_owned();
    };
    match url.set_username("") {
        Ok(()) => url.to_string(),
        Err(()) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_differ() {
        assert_eq!(key("serverkit/production/blog"), "serverkit/production/blog");
        let (a, b) = (key(&format!("{}/a", "x".repeat(60))), key(&format!("{}/b", "x".repeat(60))));
        assert!(a != b && a.len() == 40 && b.len() == 40, "{a} {b}");
    }

    #[test]
    fn odd_words() {
        assert_eq!(like("a\" OR name ~ \"b\\"), "name ~ \"a OR name ~ b\"");
        assert_eq!(uuid("{a-b}"), "%7Ba-b%7D");
        assert_eq!(
            without_user("https://ada@bitbucket.org/team/x.git"),
            "https://bitbucket.org/team/x.git"
        );
    }
}

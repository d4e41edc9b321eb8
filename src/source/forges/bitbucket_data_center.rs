//! The REST API of Bitbucket Data Center. Source: developer.atlassian.com/server/bitbucket/rest
//!
//! It shares its name and hardly a path with that of Bitbucket Cloud. A repository is `PROJECT/name`, or `~user/name` where it is a
//! person's own.

use super::{ForgeApi, ForgeBranch, Found, Hook, Proof, Repository, SHOWN, Speaks, Status, bitbucket::without_user, short, strange};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use types::{CommitState, Error, Forge, RepositoryPath, Result};

pub(super) struct DataCenter;

const FORGE: Forge = Forge::BitbucketDataCenter;
/// Servers may give less; they say where the next page starts.
const HUNDRED: (&str, &str) = ("limit", "100");
/// Of keys, names and what is said.
const WORDS: usize = 255;

fn values(body: &Value) -> Option<&Vec<Value>> {
    body["values"].as_array()
}

/// Where a repository is below the API.
fn place(path: &RepositoryPath) -> String {
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    format!("projects/{}/repos/{name}", path.owner())
}

#[async_trait]
impl Speaks for DataCenter {
    /// Nothing in this API tells whose a token is, so that is what the connection says; the token is tried.
    async fn account(&self, api: &ForgeApi) -> Result<String> {
        api.web.get("repos", &[("limit", "1")]).await?;
        match api.web.proof() {
            Some(Proof::Account { user, .. }) => Ok(user.clone()),
            _ => Err(Error::invalid("user", "is missing: whose is the token?")),
        }
    }

    async fn repositories(&self, api: &ForgeApi, search: &str) -> Result<Found<Repository>> {
        let mut query = vec![HUNDRED];
        if let Some(project) = &api.owner {
            query.push(("projectkey", project));
        }
        if !search.is_empty() {
            query.push(("name", search));
        }
        let (all, more) = api.web.list("repos", &query, values, SHOWN).await?;
        Ok(ForgeApi::shown(all.iter().filter_map(|one| repository(one).ok()).collect(), more))
    }

    async fn repository(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Repository> {
        let place = place(path);
        let mut found = repository(&api.web.get(&place, &[]).await?)?;
        found.default_branch = match api.web.get(&format!("{place}/default-branch"), &[]).await {
            Ok(branch) => branch["displayId"].as_str().map(str::to_owned),
            // Nothing was pushed yet.
            Err(Error::Invalid { field, .. }) if field == "repository" => None,
            Err(other) => return Err(other),
        };
        Ok(found)
    }

    async fn branches(&self, api: &ForgeApi, path: &RepositoryPath, search: &str) -> Result<Found<ForgeBranch>> {
        let mut query = vec![HUNDRED, ("orderBy", "MODIFICATION")];
        if !search.is_empty() {
            query.push(("filterText", search));
        }
        let path = format!("{}/branches", place(path));
        let (all, more) = api.web.list(&path, &query, values, SHOWN).await?;
        let branch = |one: &Value| {
            Some(ForgeBranch {
                name: one["displayId"].as_str()?.to_owned(),
                commit: one["latestCommit"].as_str()?.to_owned(),
            })
        };
        Ok(ForgeApi::shown(all.iter().filter_map(branch).collect(), more))
    }

    async fn hooks(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Vec<(String, String)>> {
        let path = format!("{}/webhooks", place(path));
        let (all, _) = api.web.list(&path, &[], values, usize::MAX).await?;
        let hook = |one: &Value| Some((one["id"].as_u64()?.to_string(), one["url"].as_str()?.to_owned()));
        Ok(all.iter().filter_map(hook).collect())
    }

    async fn hook_save(&self, api: &ForgeApi, path: &RepositoryPath, known: Option<&str>, hook: &Hook<'_>) -> Result<String> {
        let Hook { url, secret, requests } = *hook;
        let mut events = vec!["repo:refs_changed"];
        if requests {
            events.extend([
                "pr:opened",
                "pr:from_ref_updated",
                "pr:modified",
                "pr:merged",
                "pr:declined",
                "pr:deleted",
            ]);
        }
        let body = json!({"name": "serverkit", "url": url, "active": true, "events": events, "configuration": {"secret": secret}});
        let path = format!("{}/webhooks", place(path));
        id(&match known {
            Some(id) => api.web.send(Method::PUT, &format!("{path}/{id}"), &body).await?,
            None => api.web.post(&path, &body).await?,
        })
    }

    async fn hook_remove(&self, api: &ForgeApi, path: &RepositoryPath, hook: &str) -> Result<()> {
        api.web.delete(&format!("{}/webhooks/{hook}", place(path))).await
    }

    async fn tell(&self, api: &ForgeApi, path: &RepositoryPath, commit: &str, status: &Status<'_>) -> Result<()> {
        let state = match status.state {
            CommitState::Pending => "INPROGRESS",
            CommitState::Success => "SUCCESSFUL",
            CommitState::Failure => "FAILED",
            CommitState::Cancelled => "CANCELLED",
        };
        let body = json!({
            "key": short(status.context, WORDS), "state": state, "name": short(status.context, WORDS), "url": status.link,
            "description": short(status.words, WORDS),
        });
        let path = format!("{}/commits/{commit}/builds", place(path));
        api.web.post(&path, &body).await.map(drop)
    }

    async fn open_requests(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Found<u64>> {
        let path = format!("{}/pull-requests", place(path));
        let (all, more) = api.web.list(&path, &[HUNDRED, ("state", "OPEN")], values, usize::MAX).await?;
        Ok(ForgeApi::numbers(&all, more, "id"))
    }

    /// A comment is written anew over the version that it has.
    async fn comment_save(&self, api: &ForgeApi, path: &RepositoryPath, number: u64, known: Option<&str>, text: &str) -> Result<String> {
        let path = format!("{}/pull-requests/{number}/comments", place(path));
        let Some(known) = known else {
            return id(&api.web.post(&path, &json!({"text": text})).await?);
        };
        let path = format!("{path}/{known}");
        let version = api.web.get(&path, &[]).await?["version"].as_u64();
        let body = json!({"text": text, "version": version.ok_or_else(|| strange(FORGE, "`version`"))?});
        id(&api.web.send(Method::PUT, &path, &body).await?)
    }
}

/// A deployment of Bitbucket's, in its state: known by the key, the place and the number together, so that asking again changes
/// it. `None`: the account may not make deployments, or the server is older than they are.
pub(super) async fn record(api: &ForgeApi, path: &RepositoryPath, commit: &str, status: &Status<'_>) -> Result<Option<String>> {
    let path = format!("{}/commits/{commit}/deployments", place(path));
    match api.web.post(&path, &deployment(status)).await {
        Ok(_) => Ok(Some(status.number.to_string())),
        Err(Error::Invalid { field, .. }) if matches!(&*field, "access" | "repository") => Ok(None),
        Err(other) => Err(other),
    }
}

fn deployment(status: &Status<'_>) -> Value {
    let state = match status.state {
        CommitState::Pending => "IN_PROGRESS",
        CommitState::Success => "SUCCESSFUL",
        CommitState::Failure => "FAILED",
        CommitState::Cancelled => "CANCELLED",
    };
    let mut environment = json!({"key": short(status.environment, WORDS), "displayName": short(status.environment, WORDS)});
    if status.production {
        environment["type"] = "PRODUCTION".into();
    }
    if let Some(site) = status.site {
        environment["url"] = site.into();
    }
    json!({
        "deploymentSequenceNumber": status.number, "key": short(status.context, WORDS), "displayName": short(status.context, WORDS),
        "description": short(status.words, WORDS), "state": state, "url": status.link, "environment": environment,
    })
}

fn id(body: &Value) -> Result<String> {
    let id = body["id"].as_u64().map(|id| id.to_string());
    id.ok_or_else(|| strange(FORGE, "`id`"))
}

fn repository(body: &Value) -> Result<Repository> {
    let lacks = |what: &str| strange(FORGE, what);
    let project = body["project"]["key"].as_str().ok_or_else(|| lacks("`project.key`"))?;
    let name = body["slug"].as_str().ok_or_else(|| lacks("`slug`"))?;
    let clone = body["links"]["clone"].as_array().into_iter().flatten();
    // It is `http` for https too.
    let clone = clone.filter(|link| link["name"] == "http").find_map(|link| link["href"].as_str());
    Ok(Repository {
        path: format!("{project}/{name}").parse()?,
        clone_url: without_user(clone.ok_or_else(|| lacks("an address to clone from"))?),
        default_branch: None,
        private: body["public"].as_bool().is_none_or(|public| !public),
        description: body["description"].as_str().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_repositories_are() {
        for (path, expected) in [
            ("WEB/blog", "projects/WEB/repos/blog"),
            ("~ada/my.site", "projects/~ada/repos/my.site"),
        ] {
            assert_eq!(place(&path.parse().expect("it is one")), expected);
        }
    }

    #[test]
    fn repositories_as_they_are_told() {
        let mut told = json!({"slug": "blog", "name": "Blog", "public": false, "project": {"key": "~ada", "type": "PERSONAL"}, "links": {"clone": [
            {"href": "ssh://git@git.test:7999/~ada/blog.git", "name": "ssh"}, {"href": "https://ada@git.test/scm/~ada/blog.git", "name": "http"}]}});
        let found = repository(&told).expect("read");
        assert_eq!(
            (found.path.as_str(), found.clone_url.as_str(), found.private),
            ("~ada/blog", "https://git.test/scm/~ada/blog.git", true)
        );
        for (pointer, hostile) in [
            ("/project/key", json!("../x")),
            ("/slug", json!("..")),
            ("/slug", json!(7)),
            ("/links/clone", json!("x")),
        ] {
            let kept = std::mem::replace(told.pointer_mut(pointer).expect("there"), hostile.clone());
            assert!(repository(&told).is_err(), "{pointer} {hostile}");
            *told.pointer_mut(pointer).expect("there") = kept;
        }
    }
}

//! GitLab's REST API, version 4. Source: docs.gitlab.com/api

use super::{ForgeApi, ForgeBranch, Found, Hook, Repository, SHOWN, Speaks, Status, rest::id, short, strange};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use types::{CommitState, Error, Forge, Reference, RepositoryPath, Result};

pub(super) struct Gitlab;

const HUNDRED: (&str, &str) = ("per_page", "100");

/// `projects/group%2Fname`
fn project(path: &RepositoryPath) -> String {
    format!("projects/{}", path.as_str().replace('/', "%2F"))
}

#[async_trait]
impl Speaks for Gitlab {
    async fn account(&self, api: &ForgeApi) -> Result<String> {
        let user = api.web.get("user", &[]).await?;
        text(&user, "username")
    }

    async fn repositories(&self, api: &ForgeApi, search: &str) -> Result<Found<Repository>> {
        let order = ("order_by", "last_activity_at");
        let mut query = vec![HUNDRED, ("simple", "true"), order];
        if !search.is_empty() {
            query.extend([("search", search), ("search_namespaces", "true")]);
        }
        let group = api
            .owner
            .as_ref()
            .map(|owner| format!("groups/{}/projects", owner.replace('/', "%2F")));
        let path = match &group {
            Some(group) => {
                query.retain(|(name, _)| *name != "search_namespaces");
                query.push(("include_subgroups", "true"));
                group
            }
            None => {
                query.push(("membership", "true"));
                "projects"
            }
        };
        let (all, more) = api.web.list(path, &query, Value::as_array, SHOWN).await?;
        Ok(ForgeApi::shown(all.iter().filter_map(|one| repository(one).ok()).collect(), more))
    }

    async fn repository(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Repository> {
        repository(&api.web.get(&project(path), &[]).await?)
    }

    async fn branches(&self, api: &ForgeApi, path: &RepositoryPath, search: &str) -> Result<Found<ForgeBranch>> {
        let mut query = vec![HUNDRED];
        if !search.is_empty() {
            query.push(("search", search));
        }
        let path = format!("{}/repository/branches", project(path));
        let (all, more) = api.web.list(&path, &query, Value::as_array, SHOWN).await?;
        let branch = |one: &Value| {
            Some(ForgeBranch {
                name: one["name"].as_str()?.to_owned(),
                commit: one["commit"]["id"].as_str()?.to_owned(),
            })
        };
        Ok(ForgeApi::shown(all.iter().filter_map(branch).collect(), more))
    }

    async fn hooks(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Vec<(String, String)>> {
        let path = format!("{}/hooks", project(path));
        let (all, _) = api.web.list(&path, &[HUNDRED], Value::as_array, usize::MAX).await?;
        let hook = |one: &Value| Some((one["id"].as_u64()?.to_string(), one["url"].as_str()?.to_owned()));
        Ok(all.iter().filter_map(hook).collect())
    }

    async fn hook_save(&self, api: &ForgeApi, path: &RepositoryPath, known: Option<&str>, hook: &Hook<'_>) -> Result<String> {
        let Hook { url, secret, requests } = *hook;
        let body = json!({
            "url": url, "token": secret, "push_events": true, "tag_push_events": true, "enable_ssl_verification": true,
            "merge_requests_events": requests,
        });
        let path = format!("{}/hooks", project(path));
        let made = match known {
            Some(id) => api.web.send(Method::PUT, &format!("{path}/{id}"), &body).await?,
            None => api.web.post(&path, &body).await?,
        };
        id(Forge::Gitlab, &made)
    }

    async fn hook_remove(&self, api: &ForgeApi, path: &RepositoryPath, hook: &str) -> Result<()> {
        api.web.delete(&format!("{}/hooks/{hook}", project(path))).await
    }

    async fn tell(&self, api: &ForgeApi, path: &RepositoryPath, commit: &str, status: &Status<'_>) -> Result<()> {
        let body = json!({
            "state": word(status.state), "name": status.context, "target_url": status.link, "description": short(status.words, 255),
        });
        api.web.post(&format!("{}/statuses/{commit}", project(path)), &body).await.map(drop)
    }

    async fn open_requests(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Found<u64>> {
        let (path, query) = (format!("{}/merge_requests", project(path)), [HUNDRED, ("state", "opened")]);
        let (all, more) = api.web.list(&path, &query, Value::as_array, usize::MAX).await?;
        Ok(ForgeApi::numbers(&all, more, "iid"))
    }

    async fn comment_save(&self, api: &ForgeApi, path: &RepositoryPath, number: u64, known: Option<&str>, text: &str) -> Result<String> {
        let (path, body) = (format!("{}/merge_requests/{number}/notes", project(path)), json!({"body": text}));
        let made = match known {
            Some(id) => api.web.send(Method::PUT, &format!("{path}/{id}"), &body).await?,
            None => api.web.post(&path, &body).await?,
        };
        id(Forge::Gitlab, &made)
    }
}

/// A state, of a commit or a deployment.
fn word(state: CommitState) -> &'static str {
    match state {
        CommitState::Pending => "running",
        CommitState::Success => "success",
        CommitState::Failure => "failed",
        CommitState::Cancelled => "canceled",
    }
}

/// A deployment of GitLab's, in its state. `None`: the account may not make deployments, or the project has none.
pub(super) async fn record(
    api: &ForgeApi,
    path: &RepositoryPath,
    commit: &str,
    record: Option<&str>,
    status: &Status<'_>,
) -> Result<Option<String>> {
    let (at, state) = (format!("{}/deployments", project(path)), word(status.state));
    if let Some(record) = record {
        match api.web.get(&format!("{at}/{record}"), &[]).await {
            Ok(known) => {
                // The state that it has already would be refused.
                if known["status"] != state {
                    let body = json!({"status": state});
                    match api.web.send(Method::PUT, &format!("{at}/{record}"), &body).await {
                        Err(Error::Invalid { field, .. }) if field == "access" => return Ok(None),
                        saved => drop(saved?),
                    }
                }
                return Ok(Some(record.to_owned()));
            }
            // Somebody has deleted it.
            Err(Error::Invalid { field, .. }) if field == "repository" => {}
            Err(Error::Invalid { field, .. }) if field == "access" => return Ok(None),
            Err(other) => return Err(other),
        }
    }
    let reference = reference(api, path, status.reference).await?;
    let body = json!({
        "environment": status.environment, "sha": commit, "ref": reference.name(),
        "tag": matches!(reference, Reference::Tag(_)), "status": state,
    });
    match api.web.post(&at, &body).await {
        Ok(made) => id(Forge::Gitlab, &made).map(Some),
        Err(Error::Invalid { field, .. }) if field == "access" => Ok(None),
        Err(other) => Err(other),
    }
}

/// The branch or tag of a deployment, which GitLab wants to be told apart.
async fn reference(api: &ForgeApi, path: &RepositoryPath, named: Option<&str>) -> Result<Reference> {
    let Some(name) = named else {
        let branch = Gitlab.repository(api, path).await?.default_branch;
        let none = || strange(Forge::Gitlab, "`default_branch`");
        return branch.map(Reference::Branch).ok_or_else(none);
    };
    if let Some(full) = Reference::of(name) {
        return Ok(full);
    }
    let found = Gitlab.branches(api, path, name).await?;
    let is_branch = found.more || found.items.iter().any(|one| one.name == name);
    Ok(match is_branch {
        true => Reference::Branch(name.to_owned()),
        false => Reference::Tag(name.to_owned()),
    })
}

fn text(body: &Value, name: &str) -> Result<String> {
    let text = body[name].as_str().map(str::to_owned);
    text.ok_or_else(|| strange(Forge::Gitlab, &format!("`{name}`")))
}

fn repository(body: &Value) -> Result<Repository> {
    Ok(Repository {
        path: text(body, "path_with_namespace")?.parse()?,
        clone_url: text(body, "http_url_to_repo")?,
        default_branch: body["default_branch"].as_str().map(str::to_owned),
        // With `simple` it is not said.
        private: body["visibility"].as_str().is_some_and(|word| word != "public"),
        description: body["description"].as_str().unwrap_or_default().to_owned(),
    })
}

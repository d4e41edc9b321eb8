//! The REST API of Gitea and Forgejo, version 1. Source: docs.gitea.com/api, forgejo.org/docs/latest/user/api-usage

use super::{ForgeApi, ForgeBranch, Found, Hook, Repository, SHOWN, Speaks, Status, short, strange};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use types::{CommitState, Forge, RepositoryPath, Result};

pub(super) struct Gitea;

/// As many as a server gives unless its administrator changed that (`MAX_RESPONSE_ITEMS`).
const FIFTY: (&str, &str) = ("limit", "50");

#[async_trait]
impl Speaks for Gitea {
    async fn account(&self, api: &ForgeApi) -> Result<String> {
        let user = api.web.get("user", &[]).await?;
        text(&user, "login")
    }

    /// Without a search only the account's own: a search finds every public one of the server too.
    async fn repositories(&self, api: &ForgeApi, search: &str) -> Result<Found<Repository>> {
        let (all, more) = match (&api.owner, search) {
            (Some(owner), _) => {
                let path = format!("orgs/{owner}/repos");
                api.web.list(&path, &[FIFTY], Value::as_array, usize::MAX).await?
            }
            (None, "") => api.web.list("user/repos", &[FIFTY], Value::as_array, SHOWN).await?,
            (None, search) => {
                let query = [FIFTY, ("q", search), ("sort", "updated"), ("order", "desc")];
                api.web.list("repos/search", &query, |body| body["data"].as_array(), SHOWN).await?
            }
        };
        let found = all.iter().filter_map(|one| repository(one).ok());
        Ok(ForgeApi::shown(
            found.filter(|one| api.fits(one.path.as_str(), search)).collect(),
            more,
        ))
    }

    async fn repository(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Repository> {
        repository(&api.web.get(&format!("repos/{path}"), &[]).await?)
    }

    async fn branches(&self, api: &ForgeApi, path: &RepositoryPath, search: &str) -> Result<Found<ForgeBranch>> {
        let enough = if search.is_empty() { SHOWN } else { usize::MAX };
        let path = format!("repos/{path}/branches");
        let (all, more) = api.web.list(&path, &[FIFTY], Value::as_array, enough).await?;
        let found = all.iter().filter_map(|one| {
            Some(ForgeBranch {
                name: one["name"].as_str()?.to_owned(),
                commit: one["commit"]["id"].as_str()?.to_owned(),
            })
        });
        Ok(ForgeApi::shown(found.filter(|one| one.name.contains(search)).collect(), more))
    }

    async fn hooks(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Vec<(String, String)>> {
        let path = format!("repos/{path}/hooks");
        let (all, _) = api.web.list(&path, &[FIFTY], Value::as_array, usize::MAX).await?;
        let hook = |one: &Value| Some((one["id"].as_u64()?.to_string(), one["config"]["url"].as_str()?.to_owned()));
        Ok(all.iter().filter_map(hook).collect())
    }

    async fn hook_save(&self, api: &ForgeApi, path: &RepositoryPath, known: Option<&str>, hook: &Hook<'_>) -> Result<String> {
        let Hook { url, secret, requests } = *hook;
        let events = if requests { vec!["push", "pull_request"] } else { vec!["push"] };
        let config = json!({"url": url, "content_type": "json", "secret": secret});
        let body = json!({"type": "gitea", "config": config, "events": events, "active": true});
        let made = match known {
            Some(id) => {
                let change = json!({"config": config, "events": events, "active": true});
                api.web.send(Method::PATCH, &format!("repos/{path}/hooks/{id}"), &change).await?
            }
            None => api.web.post(&format!("repos/{path}/hooks"), &body).await?,
        };
        let id = made["id"].as_u64().map(|id| id.to_string());
        id.ok_or_else(|| strange(Forge::Gitea, "`id`"))
    }

    async fn hook_remove(&self, api: &ForgeApi, path: &RepositoryPath, hook: &str) -> Result<()> {
        api.web.delete(&format!("repos/{path}/hooks/{hook}")).await
    }

    async fn tell(&self, api: &ForgeApi, path: &RepositoryPath, commit: &str, status: &Status<'_>) -> Result<()> {
        let state = match status.state {
            CommitState::Pending => "pending",
            CommitState::Success => "success",
            CommitState::Failure => "failure",
            CommitState::Cancelled => "error",
        };
        let body = json!({
            "state": state, "target_url": status.link, "description": short(status.words, 255), "context": status.context,
        });
        api.web.post(&format!("repos/{path}/statuses/{commit}"), &body).await.map(drop)
    }

    async fn open_requests(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Found<u64>> {
        let (path, query) = (format!("repos/{path}/pulls"), [FIFTY, ("state", "open")]);
        let (all, more) = api.web.list(&path, &query, Value::as_array, usize::MAX).await?;
        Ok(ForgeApi::numbers(&all, more, "number"))
    }

    async fn comment_save(&self, api: &ForgeApi, path: &RepositoryPath, number: u64, known: Option<&str>, text: &str) -> Result<String> {
        let body = json!({"body": text});
        let made = match known {
            Some(id) => {
                let path = format!("repos/{path}/issues/comments/{id}");
                api.web.send(Method::PATCH, &path, &body).await?
            }
            None => api.web.post(&format!("repos/{path}/issues/{number}/comments"), &body).await?,
        };
        made["id"]
            .as_u64()
            .map(|id| id.to_string())
            .ok_or_else(|| strange(Forge::Gitea, "`id`"))
    }
}

fn text(body: &Value, name: &str) -> Result<String> {
    let text = body[name].as_str().map(str::to_owned);
    text.ok_or_else(|| strange(Forge::Gitea, &format!("`{name}`")))
}

fn repository(body: &Value) -> Result<Repository> {
    Ok(Repository {
        path: text(body, "full_name")?.parse()?,
        clone_url: text(body, "clone_url")?,
        default_branch: body["default_branch"].as_str().filter(|name| !name.is_empty()).map(str::to_owned),
        private: body["private"].as_bool().unwrap_or(true),
        description: body["description"].as_str().unwrap_or_default().to_owned(),
    })
}

//! GitHub's REST API, version 2022-11-28, also of GitHub Enterprise Server. Source: docs.github.com/rest

use super::{ForgeApi, ForgeBranch, Found, Hook, Repository, SHOWN, Speaks, Status, short, strange};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use types::{CommitState, Forge, RepositoryPath, Result};

pub(super) struct Github;

const HUNDRED: (&str, &str) = ("per_page", "100");

#[async_trait]
impl Speaks for Github {
    async fn account(&self, api: &ForgeApi) -> Result<String> {
        let user = api.web.get("user", &[]).await?;
        text(&user, "login")
    }

    /// The list has no search, so what is looked for is picked out of its first thousand.
    async fn repositories(&self, api: &ForgeApi, search: &str) -> Result<Found<Repository>> {
        let enough = if search.is_empty() && api.owner.is_none() {
            SHOWN
        } else {
            usize::MAX
        };
        let (all, more) = if api.is_installation {
            api.web
                .list(
                    "installation/repositories",
                    &[HUNDRED],
                    |body| body["repositories"].as_array(),
                    enough,
                )
                .await?
        } else {
            let query = [HUNDRED, ("sort", "pushed")];
            api.web.list("user/repos", &query, Value::as_array, enough).await?
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
        let (all, more) = api.web.list(&path, &[HUNDRED], Value::as_array, enough).await?;
        let found = all.iter().filter_map(|one| {
            Some(ForgeBranch {
                name: one["name"].as_str()?.to_owned(),
                commit: one["commit"]["sha"].as_str()?.to_owned(),
            })
        });
        Ok(ForgeApi::shown(found.filter(|one| one.name.contains(search)).collect(), more))
    }

    async fn hooks(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Vec<(String, String)>> {
        let path = format!("repos/{path}/hooks");
        let (all, _) = api.web.list(&path, &[HUNDRED], Value::as_array, usize::MAX).await?;
        let hook = |one: &Value| Some((one["id"].as_u64()?.to_string(), one["config"]["url"].as_str()?.to_owned()));
        Ok(all.iter().filter_map(hook).collect())
    }

    async fn hook_save(&self, api: &ForgeApi, path: &RepositoryPath, known: Option<&str>, hook: &Hook<'_>) -> Result<String> {
        let Hook { url, secret, requests } = *hook;
        let events = if requests { vec!["push", "pull_request"] } else { vec!["push"] };
        let config = json!({"url": url, "content_type": "json", "secret": secret, "insecure_ssl": "0"});
        let body = json!({"config": config, "events": events, "active": true});
        let made = match known {
            Some(id) => api.web.send(Method::PATCH, &format!("repos/{path}/hooks/{id}"), &body).await?,
            None => api.web.post(&format!("repos/{path}/hooks"), &body).await?,
        };
        id(&made)
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
            "state": state, "target_url": status.link, "description": short(status.words, 140), "context": status.context,
        });
        api.web.post(&format!("repos/{path}/statuses/{commit}"), &body).await.map(drop)
    }

    async fn open_requests(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Found<u64>> {
        let (path, query) = (format!("repos/{path}/pulls"), [HUNDRED, ("state", "open")]);
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
        id(&made)
    }
}

/// A deployment of GitHub's, and its newest state.
pub(super) async fn record(
    api: &ForgeApi,
    path: &RepositoryPath,
    commit: &str,
    record: Option<&str>,
    status: &Status<'_>,
) -> Result<String> {
    let record = match record {
        Some(record) => record.to_owned(),
        None => {
            // Nothing is merged and no other check is waited for: it is under way already.
            let body = json!({
                "ref": commit, "auto_merge": false, "required_contexts": [], "environment": status.environment,
                "description": short(status.words, 140), "production_environment": status.production,
                "transient_environment": false,
            });
            id(&api.web.post(&format!("repos/{path}/deployments"), &body).await?)?
        }
    };
    let state = match status.state {
        CommitState::Pending => "in_progress",
        CommitState::Success => "success",
        CommitState::Failure => "failure",
        CommitState::Cancelled => "error",
    };
    let mut body = json!({
        "state": state, "log_url": status.link, "description": short(status.words, 140), "auto_inactive": true,
    });
    if let Some(site) = status.site {
        body["environment_url"] = site.into();
    }
    api.web.post(&format!("repos/{path}/deployments/{record}/statuses"), &body).await?;
    Ok(record)
}

fn text(body: &Value, name: &str) -> Result<String> {
    let text = body[name].as_str().map(str::to_owned);
    text.ok_or_else(|| strange(Forge::Github, &format!("`{name}`")))
}

fn id(body: &Value) -> Result<String> {
    let id = body["id"].as_u64().map(|id| id.to_string());
    id.ok_or_else(|| strange(Forge::Github, "`id`"))
}

fn repository(body: &Value) -> Result<Repository> {
    Ok(Repository {
        path: text(body, "full_name")?.parse()?,
        clone_url: text(body, "clone_url")?,
        default_branch: body["default_branch"].as_str().map(str::to_owned),
        private: body["private"].as_bool().unwrap_or(true),
        description: body["description"].as_str().unwrap_or_default().to_owned(),
    })
}

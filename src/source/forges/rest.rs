//! The REST API of GitHub, and of those that took its paths and shapes: [`github`](super::github) and
//! [`gitea`](super::gitea) say what each of them has of its own.

use super::{ForgeApi, ForgeBranch, Found, Hook, Repository, SHOWN, Speaks, Status, short, strange};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use types::{CommitState, Forge, RepositoryPath, Result};

/// What one forge has of its own beside those paths.
#[async_trait]
pub(super) trait Dialect: Send + Sync {
    const FORGE: Forge;
    /// The parameter for the largest page that it gives.
    const PAGE: (&'static str, &'static str);
    /// Where a branch says its commit: below `commit`.
    const COMMIT: &'static str;
    /// Characters that the words beside a commit may have.
    const WORDS: usize;

    /// Repositories as the forge tells them, and whether there are more.
    async fn repositories(api: &ForgeApi, search: &str) -> Result<(Vec<Value>, bool)>;
    /// A webhook as the forge wants it: a new one, or a change.
    fn hook(hook: &Hook<'_>, events: &[&str], is_new: bool) -> Value;
}

#[async_trait]
impl<D: Dialect> Speaks for D {
    async fn account(&self, api: &ForgeApi) -> Result<String> {
        let user = api.web.get("user", &[]).await?;
        text(D::FORGE, &user, "login")
    }

    async fn repositories(&self, api: &ForgeApi, search: &str) -> Result<Found<Repository>> {
        let (all, more) = D::repositories(api, search).await?;
        let found = all.iter().filter_map(|one| repository(D::FORGE, one).ok());
        Ok(ForgeApi::shown(
            found.filter(|one| api.fits(one.path.as_str(), search)).collect(),
            more,
        ))
    }

    async fn repository(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Repository> {
        repository(D::FORGE, &api.web.get(&format!("repos/{path}"), &[]).await?)
    }

    async fn branches(&self, api: &ForgeApi, path: &RepositoryPath, search: &str) -> Result<Found<ForgeBranch>> {
        let enough = if search.is_empty() { SHOWN } else { usize::MAX };
        let path = format!("repos/{path}/branches");
        let (all, more) = api.web.list(&path, &[D::PAGE], Value::as_array, enough).await?;
        let found = all.iter().filter_map(|one| {
            Some(ForgeBranch {
                name: one["name"].as_str()?.to_owned(),
                commit: one["commit"][D::COMMIT].as_str()?.to_owned(),
            })
        });
        Ok(ForgeApi::shown(found.filter(|one| one.name.contains(search)).collect(), more))
    }

    async fn hooks(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Vec<(String, String)>> {
        let path = format!("repos/{path}/hooks");
        let (all, _) = api.web.list(&path, &[D::PAGE], Value::as_array, usize::MAX).await?;
        let hook = |one: &Value| Some((one["id"].as_u64()?.to_string(), one["config"]["url"].as_str()?.to_owned()));
        Ok(all.iter().filter_map(hook).collect())
    }

    async fn hook_save(&self, api: &ForgeApi, path: &RepositoryPath, known: Option<&str>, hook: &Hook<'_>) -> Result<String> {
        let events: &[&str] = if hook.requests { &["push", "pull_request"] } else { &["push"] };
        let body = D::hook(hook, events, known.is_none());
        let made = match known {
            Some(id) => api.web.send(Method::PATCH, &format!("repos/{path}/hooks/{id}"), &body).await?,
            None => api.web.post(&format!("repos/{path}/hooks"), &body).await?,
        };
        id(D::FORGE, &made)
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
            "state": state, "target_url": status.link, "description": short(status.words, D::WORDS), "context": status.context,
        });
        api.web.post(&format!("repos/{path}/statuses/{commit}"), &body).await.map(drop)
    }

    async fn open_requests(&self, api: &ForgeApi, path: &RepositoryPath) -> Result<Found<u64>> {
        let (path, query) = (format!("repos/{path}/pulls"), [D::PAGE, ("state", "open")]);
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
        id(D::FORGE, &made)
    }
}

fn text(forge: Forge, body: &Value, name: &str) -> Result<String> {
    let text = body[name].as_str().map(str::to_owned);
    text.ok_or_else(|| strange(forge, &format!("`{name}`")))
}

pub(super) fn id(forge: Forge, body: &Value) -> Result<String> {
    let id = body["id"].as_u64().map(|id| id.to_string());
    id.ok_or_else(|| strange(forge, "`id`"))
}

fn repository(forge: Forge, body: &Value) -> Result<Repository> {
    Ok(Repository {
        path: text(forge, body, "full_name")?.parse()?,
        clone_url: text(forge, body, "clone_url")?,
        default_branch: body["default_branch"].as_str().filter(|name| !name.is_empty()).map(str::to_owned),
        private: body["private"].as_bool().unwrap_or(true),
        description: body["description"].as_str().unwrap_or_default().to_owned(),
    })
}

//! GitHub's REST API, version 2022-11-28, also of GitHub Enterprise Server. Source: docs.github.com/rest

use super::{
    ForgeApi, Hook, SHOWN, Status,
    rest::{Dialect, id},
    short,
};
use async_trait::async_trait;
use serde_json::{Value, json};
use types::{CommitState, Forge, RepositoryPath, Result};

pub(super) struct Github;

#[async_trait]
impl Dialect for Github {
    const FORGE: Forge = Forge::Github;
    const PAGE: (&'static str, &'static str) = ("per_page", "100");
    const COMMIT: &'static str = "sha";
    const WORDS: usize = 140;

    /// The list has no search, so what is looked for is picked out of its first thousand.
    async fn repositories(api: &ForgeApi, search: &str) -> Result<(Vec<Value>, bool)> {
        let enough = if search.is_empty() && api.owner.is_none() {
            SHOWN
        } else {
            usize::MAX
        };
        if api.is_installation {
            api.web
                .list(
                    "installation/repositories",
                    &[Self::PAGE],
                    |body| body["repositories"].as_array(),
                    enough,
                )
                .await
        } else {
            let query = [Self::PAGE, ("sort", "pushed")];
            api.web.list("user/repos", &query, Value::as_array, enough).await
        }
    }

    fn hook(hook: &Hook<'_>, events: &[&str], _is_new: bool) -> Value {
        let config = json!({"url": hook.url, "content_type": "json", "secret": hook.secret, "insecure_ssl": "0"});
        json!({"config": config, "events": events, "active": true})
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
            id(Forge::Github, &api.web.post(&format!("repos/{path}/deployments"), &body).await?)?
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

//! The REST API of Gitea and Forgejo, version 1. Source: docs.gitea.com/api, forgejo.org/docs/latest/user/api-usage

use super::{ForgeApi, Hook, SHOWN, rest::Dialect};
use async_trait::async_trait;
use serde_json::{Value, json};
use types::{Forge, Result};

pub(super) struct Gitea;

#[async_trait]
impl Dialect for Gitea {
    const FORGE: Forge = Forge::Gitea;
    /// As many as a server gives unless its administrator changed that (`MAX_RESPONSE_ITEMS`).
    const PAGE: (&'static str, &'static str) = ("limit", "50");
    const COMMIT: &'static str = "id";
    const WORDS: usize = 255;

    /// Without a search only the account's own: a search finds every public one of the server too.
    async fn repositories(api: &ForgeApi, search: &str) -> Result<(Vec<Value>, bool)> {
        match (&api.owner, search) {
            (Some(owner), _) => {
                let path = format!("orgs/{owner}/repos");
                api.web.list(&path, &[Self::PAGE], Value::as_array, usize::MAX).await
            }
            (None, "") => api.web.list("user/repos", &[Self::PAGE], Value::as_array, SHOWN).await,
            (None, search) => {
                let query = [Self::PAGE, ("q", search), ("sort", "updated"), ("order", "desc")];
                api.web.list("repos/search", &query, |body| body["data"].as_array(), SHOWN).await
            }
        }
    }

    fn hook(hook: &Hook<'_>, events: &[&str], is_new: bool) -> Value {
        let config = json!({"url": hook.url, "content_type": "json", "secret": hook.secret});
        let mut body = json!({"config": config, "events": events, "active": true});
        if is_new {
            body["type"] = "gitea".into();
        }
        body
    }
}

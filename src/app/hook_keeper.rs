//! Webhooks that the panel has made at forges follow its address: with another domain of the panel they would send to where nobody listens any
//! more, and what is pushed would do nothing, without a word.

use crate::{ground::Ground, webhooks};
use async_trait::async_trait;
use std::{collections::HashMap, sync::Arc, time::Duration};
use store::Stored;
use types::{Actor, App, AppId, Error, Fact, Result, Time, Webhook, report};

/// A forge that does not answer must not keep the others waiting.
const ASKING: Duration = Duration::from_secs(60);
/// After a forge that did not take the new address.
const AGAIN: Duration = Duration::from_secs(3600);

/// See the module.
pub struct HookKeeper {
    ground: Arc<Ground>,
    /// When each forge was told last, of those that did not take it.
    failed: HashMap<AppId, Time>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct HookKeeperReport {
    /// Apps whose webhooks send to the new address.
    pub moved: Vec<String>,
    pub problems: Vec<String>,
}

impl HookKeeper {
    pub(crate) fn new(ground: Arc<Ground>) -> HookKeeper {
        HookKeeper {
            ground,
            failed: HashMap::new(),
        }
    }

    /// Has the forge send to where the panel is now. A failure is told once, and tried again.
    async fn follow(&mut self, app: &App, webhook: Stored<Webhook>, done: &mut HookKeeperReport) {
        let ground = &self.ground;
        let told = tokio::time::timeout(ASKING, webhooks::register_anew(ground, webhook)).await;
        let told = told.unwrap_or_else(|_| Err(Error::unavailable("the forge did not answer in time")));
        let what = match told {
            Ok(()) => {
                self.failed.remove(&app.id);
                done.moved.push(app.name.to_string());
                "had the forge send to the panel's new address".to_owned()
            }
            Err(error) => {
                let why = ground.redactor.redact_for(&app.organization, &report(&error)).into_owned();
                done.problems.push(format!("{}: {why}", app.name));
                if self.failed.insert(app.id.clone(), ground.world.now()).is_some() {
                    return;
                }
                format!("the forge still sends to the panel's old address: {why}")
            }
        };
        let fact = Fact::WebhookChanged {
            app: app.id.clone(),
            name: app.name.to_string(),
            what,
        };
        ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
    }
}

#[async_trait]
impl jobs::Job for HookKeeper {
    const NAME: &'static str = "webhook_addresses";
    type Report = HookKeeperReport;

    async fn run(&mut self) -> Result<HookKeeperReport> {
        let ground = self.ground.clone();
        let mut done = HookKeeperReport::default();
        for webhook in ground.store.webhooks.list()? {
            let app = ground.store.apps.find(webhook.app.as_str())?;
            let Some(app) = app.filter(|app| app.trashed_at.is_none()) else {
                continue;
            };
            let now = ground.world.now();
            let rests = self.failed.get(&app.id).is_some_and(|at| now.since(*at) < AGAIN);
            if !rests && webhooks::is_elsewhere(&ground, &webhook)? {
                self.follow(&app, webhook, &mut done).await;
            }
        }
        Ok(done)
    }
}

//! Asks repositories what was pushed, for forges that cannot reach the panel. What it finds goes through the inbox like
//! what a webhook brings.

use crate::{
    deployments::git_login,
    ground::Ground,
    inbox::{Saying, follower, keep, polled, refused_by_name},
};
use async_trait::async_trait;
use source::{Compare, Tip};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use types::{App, AppId, Error, Forge, GitSource, Push, Reference, Result, Source, Time, Webhook, report};

/// A repository that does not answer must not keep the others waiting.
const ASKING: Duration = Duration::from_secs(60);

/// See the module.
pub struct Poller {
    ground: Arc<Ground>,
    /// When each app's repository was asked last.
    asked: HashMap<AppId, Time>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct PollReport {
    pub asked: Vec<String>,
    pub pushes: usize,
    pub problems: Vec<String>,
}

impl Poller {
    pub(crate) fn new(ground: Arc<Ground>) -> Poller {
        Poller {
            ground,
            asked: HashMap::new(),
        }
    }

    fn is_due(&mut self, webhook: &Webhook) -> bool {
        let Some(seconds) = webhook.poll_seconds.filter(|_| webhook.enabled) else {
            return false;
        };
        let now = self.ground.world.now();
        let interval = Duration::from_secs(seconds.into());
        if self.asked.get(&webhook.app).is_some_and(|at| now.since(*at) < interval) {
            return false;
        }
        self.asked.insert(webhook.app.clone(), now);
        true
    }
}

#[async_trait]
impl jobs::Job for Poller {
    const NAME: &'static str = "polling";
    type Report = PollReport;

    async fn run(&mut self) -> Result<PollReport> {
        let mut done = PollReport::default();
        let webhooks = self.ground.store.webhooks.list()?;
        self.asked.retain(|app, _| webhooks.iter().any(|webhook| webhook.app == *app));
        for webhook in webhooks {
            if !self.is_due(&webhook) {
                continue;
            }
            let app = self.ground.store.apps.get(webhook.app.as_str())?;
            let Source::Git(git) = &app.source else { continue };
            if app.trashed_at.is_some() {
                continue;
            }
            done.asked.push(app.name.to_string());
            let asking = tokio::time::timeout(ASKING, poll(&self.ground, &app, git, &webhook));
            let asked = asking
                .await
                .unwrap_or_else(|_| Err(Error::unavailable("the repository did not answer in time")));
            let problem = match asked {
                Ok(pushes) => {
                    done.pushes += pushes;
                    None
                }
                Err(error) => Some(self.ground.redactor.redact(&report(&error)).into_owned()),
            };
            if let Some(why) = &problem {
                done.problems.push(format!("{}: {why}", app.name));
            }
            let note = |webhook: &mut Webhook| {
                webhook.poll_error.clone_from(&problem);
                Ok(())
            };
            match self.ground.store.webhooks.update(app.id.as_str(), note).await {
                Err(Error::NotFound { .. }) => {}
                other => drop(other?),
            }
        }
        Ok(done)
    }
}

/// Asks once; answers how many branches and tags have moved. The first time it only looks.
async fn poll(ground: &Arc<Ground>, app: &App, git: &GitSource, webhook: &Webhook) -> Result<usize> {
    let tips = source::tips(&git.url, &git_login(ground, git).await?, git.host_key.as_deref()).await?;
    let now: BTreeMap<String, String> = tips.iter().map(|tip| (tip.reference.clone(), tip.commit.clone())).collect();
    let default = tips
        .iter()
        .find(|tip| tip.default)
        .and_then(|tip| tip.reference.strip_prefix("refs/heads/"));
    let mut moved = Vec::new();
    if !webhook.seen.is_empty() {
        for tip in tips.iter().filter(|tip| webhook.seen.get(&tip.reference) != Some(&tip.commit)) {
            // Of the others nobody wants to hear.
            let push = named(tip, default);
            if refused_by_name(git, webhook, &push)?.is_none() || (!push.deleted && follower(ground, app, webhook, &push)?.is_some()) {
                moved.push(tip);
            }
        }
    }
    let remember = |webhook: &mut Webhook| {
        webhook.seen.clone_from(&now);
        Ok(())
    };
    ground.store.webhooks.update(app.id.as_str(), remember).await?;
    for tip in &moved {
        let push = describe(ground, git, webhook, tip, default).await?;
        let by = push.by.clone().unwrap_or_default();
        let push = Push { by: None, ..push };
        let delivery = polled(ground, webhook, push.clone());
        let by = format!("{by} ({})", Forge::Poll.name());
        let saying = Saying::Pushes(Box::new(webhook.clone()), vec![push]);
        keep(ground, delivery, by.trim_start(), saying).await?;
    }
    Ok(moved.len())
}

/// What a forge would have told of the push.
async fn describe(ground: &Ground, git: &GitSource, webhook: &Webhook, tip: &Tip, default: Option<&str>) -> Result<Push> {
    let before = webhook.seen.get(&tip.reference).cloned();
    let compare = Compare {
        url: git.url.clone(),
        login: git_login(ground, git).await?,
        host_key: git.host_key.clone(),
        before: before.clone(),
        after: tip.commit.clone(),
    };
    let compared = source::compare(compare).await?;
    Ok(Push {
        before,
        message: compared.message,
        by: Some(compared.author),
        files: compared.files,
        ..named(tip, default)
    })
}

fn named(tip: &Tip, default: Option<&str>) -> Push {
    Push {
        reference: Reference::of(&tip.reference),
        default_branch: default.map(str::to_owned),
        before: None,
        after: Some(tip.commit.clone()),
        deleted: false,
        message: String::new(),
        by: None,
        files: None,
    }
}

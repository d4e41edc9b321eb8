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
use tokio::time::Instant;
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
            let problem = match poll(&self.ground, &app, git, &webhook, &mut done.pushes).await {
                Ok(()) => None,
                Err(error) => Some(self.ground.redactor.redact_for(&app.organization, &report(&error)).into_owned()),
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

/// Asks once and takes in what has moved, counted in `pushes`. The first time it only looks. A branch or tag is seen with the decision on
/// it, not before: what breaks off is found again at the next turn.
async fn poll(ground: &Arc<Ground>, app: &App, git: &GitSource, webhook: &Webhook, pushes: &mut usize) -> Result<()> {
    let until = Instant::now() + ASKING;
    let egress = ground.egress(&app.organization)?;
    let asking = async { source::tips(&git.url, &git_login(ground, git).await?, git.host_key.as_deref(), egress).await };
    let tips = in_time(until, asking).await?;
    let default = tips
        .iter()
        .find(|tip| tip.default)
        .and_then(|tip| tip.reference.strip_prefix("refs/heads/"));
    let mut moved = Vec::new();
    if webhook.has_looked() {
        for tip in tips.iter().filter(|tip| webhook.seen.get(&tip.reference) != Some(&tip.commit)) {
            // Of the others nobody wants to hear.
            let push = named(tip, default);
            if refused_by_name(git, webhook, &push)?.is_none() || (!push.deleted && follower(ground, app, webhook, &push)?.is_some()) {
                moved.push(tip);
            }
        }
    }
    let look = |webhook: &mut Webhook| {
        webhook.seen = seen(&webhook.seen, &tips, &moved);
        webhook.looked = true;
        Ok(())
    };
    ground.store.webhooks.update(app.id.as_str(), look).await?;
    let mut failed = None;
    for tip in moved {
        match take_in(ground, git, webhook, tip, default, until).await {
            Ok(()) => *pushes += 1,
            // The others do not wait for it.
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn in_time<T>(until: Instant, asking: impl Future<Output = Result<T>>) -> Result<T> {
    let asked = tokio::time::timeout_at(until, asking).await;
    asked.unwrap_or_else(|_| Err(Error::unavailable("the repository did not answer in time")))
}

/// What is there now; of what has `moved`, where it was `before`.
fn seen(before: &BTreeMap<String, String>, tips: &[Tip], moved: &[&Tip]) -> BTreeMap<String, String> {
    let mut seen: BTreeMap<String, String> = tips.iter().map(|tip| (tip.reference.clone(), tip.commit.clone())).collect();
    for tip in moved {
        match before.get(&tip.reference) {
            Some(commit) => seen.insert(tip.reference.clone(), commit.clone()),
            None => seen.remove(&tip.reference),
        };
    }
    seen
}

/// Gives a branch or tag that has moved to the inbox.
async fn take_in(ground: &Arc<Ground>, git: &GitSource, webhook: &Webhook, tip: &Tip, default: Option<&str>, until: Instant) -> Result<()> {
    let push = in_time(until, describe(ground, git, webhook, tip, default)).await?;
    let by = push.by.clone().unwrap_or_default();
    let push = Push { by: None, ..push };
    let delivery = polled(ground, webhook, push.clone());
    let by = format!("{by} ({})", Forge::Poll.name());
    let saying = Saying::Push(Box::new(webhook.clone()), Box::new(push));
    keep(ground, delivery, by.trim_start(), saying, &[]).await.map(drop)
}

/// What a forge would have told of the push.
async fn describe(ground: &Ground, git: &GitSource, webhook: &Webhook, tip: &Tip, default: Option<&str>) -> Result<Push> {
    let before = webhook.seen.get(&tip.reference).cloned();
    let compare = Compare {
        url: git.url.clone(),
        login: git_login(ground, git).await?,
        host_key: git.host_key.clone(),
        egress: ground.egress(&webhook.organization)?,
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

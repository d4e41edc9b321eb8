//! What came to webhooks: proven, decided, kept with the decision in words, and looked at again when somebody asks.

mod judging;
mod overtaken;

use crate::{
    apps::find_app,
    deployments::{self, moved},
    ground::Ground,
    held_pushes,
    previews::Keep,
    sight::owned,
};
use judging::decide;
pub(crate) use judging::{follower, refused_by_name, target};
use source::webhooks::{Proof, What, hear, read};
use std::sync::Arc;
use store::{Batch, Stored};
use types::{
    Action, Actor, App, AppId, Cause, Decision, Delivery, DeliveryId, DesiredState, Doing, Error, Fact, Family, Forge, GitRef, Kind,
    PullRequest, Push, Result, Scope, Source, Webhook,
};

/// Deliveries kept of an app, of those that wait for the end of a freeze, which must not go before it, and of those that nobody has proven: a
/// flood of these must not push the others out.
const KEPT: usize = 200;
const KEPT_REFUSED: usize = 50;

/// What came in, from outside the panel.
pub struct Arrival<'a> {
    /// Finds a header by its name in small letters.
    pub header: &'a (dyn Fn(&str) -> Option<&'a str> + Sync),
    pub body: &'a [u8],
    pub address: Option<String>,
}

/// What a delivery says, or one of the pushes in it.
pub(crate) enum Saying {
    /// What to do is clear from it alone.
    Clear(Decision, String),
    Push(Box<Webhook>, Box<Push>),
    Request(Box<PullRequest>),
}

/// What was decided of a delivery.
pub(crate) struct Verdict {
    decision: Decision,
    why: String,
    push: Option<Push>,
    /// Deploy this: the newest of the app's branch, or what is named.
    deploy: Option<Option<GitRef>>,
    /// In place of the app that the delivery came to.
    to: Option<AppId>,
    /// What becomes of a pull request's preview.
    preview: Option<Keep>,
}

impl Verdict {
    fn new(decision: Decision, why: impl Into<String>) -> Verdict {
        Verdict {
            decision,
            why: why.into(),
            push: None,
            deploy: None,
            to: None,
            preview: None,
        }
    }
}

#[derive(Clone)]
pub struct Inbox {
    ground: Arc<Ground>,
}

impl Inbox {
    pub(crate) fn new(ground: Arc<Ground>) -> Inbox {
        Inbox { ground }
    }

    /// Newest first.
    pub async fn list(&self, actor: &Actor, app: &str) -> Result<Vec<Delivery>> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let all = self.ground.store.deliveries.prefix(&format!("{}/", app.id))?;
        Ok(all.into_iter().rev().map(|stored| stored.value).collect())
    }

    pub async fn get(&self, actor: &Actor, id: &str) -> Result<Delivery> {
        actor.may_somewhere(Action::View)?;
        self.find(actor, Action::View, id)
    }

    /// Decides on a delivery anew, by the rules of now. Fails with `Busy` for one that was never proven or says nothing to deploy.
    pub async fn replay(&self, actor: &Actor, id: &str) -> Result<Delivery> {
        actor.may_somewhere(Action::Deploy)?;
        let old = self.find(actor, Action::Deploy, id)?;
        actor.spans(Scope::Deploy, Family::Deployments)?;
        if old.push.is_none() || old.decision.is_refused() {
            return Err(Error::busy(match old.decision {
                Decision::BadSignature => "it was not signed with the secret, so nothing in it is believed",
                _ => "it tells of no push, so there is nothing to do again",
            }));
        }
        again(&self.ground, old, actor.address.clone(), &actor.who.to_string(), &[]).await
    }

    /// Takes in what came to the webhook with this key. Of several pushes in it each is decided on and kept by itself; the answer is the
    /// first that deploys, else the last, and says what was decided of all. Fails with `NotFound` if there is no such webhook.
    pub async fn receive(&self, key: &str, arrival: Arrival<'_>) -> Result<Delivery> {
        let ground = &self.ground;
        let webhook = ground.store.webhooks.claimed(key)?;
        let webhook = webhook.ok_or_else(|| Error::not_found(Kind::Webhook, key))?.value;
        let heard = hear(arrival.header, arrival.body, &ground.store.unseal(&webhook.secret)?);
        let proven = heard.proof == Proof::Right;
        let kind = (arrival.header)("content-type").unwrap_or_default();
        let delivery = Delivery {
            id: ground.world.id(),
            organization: webhook.organization.clone(),
            app: webhook.app.clone(),
            at: ground.world.now(),
            forge: heard.forge,
            forge_id: heard.id.clone(),
            part: 0,
            holds_id: proven && heard.id.is_some(),
            event: heard.event.clone(),
            push: None,
            bytes: arrival.body.len() as u64,
            address: arrival.address,
            decision: Decision::BadSignature,
            why: String::new(),
            deployment: None,
            replay_of: None,
        };
        let sayings = if proven {
            said(&webhook, read(&heard, kind, arrival.body))
        } else {
            vec![Saying::Clear(Decision::BadSignature, unproven(heard.forge, heard.proof))]
        };
        // It comes to its end also when the forge waits no longer.
        let deciding = tokio::spawn(keep_all(ground.clone(), delivery, sayings));
        deciding.await.doing("deciding on a delivery")?
    }

    fn find(&self, actor: &Actor, action: Action, id: &str) -> Result<Delivery> {
        let found = self.ground.store.deliveries.claimed(id)?;
        owned(&self.ground, actor, action, found, Kind::Delivery, id)
    }
}

async fn keep_all(ground: Arc<Ground>, delivery: Delivery, sayings: Vec<Saying>) -> Result<Delivery> {
    let mut words = Vec::new();
    let mut told = delivery.clone();
    for (part, saying) in (0..).zip(sayings) {
        let one = Delivery {
            id: ground.world.id(),
            part,
            ..delivery.clone()
        };
        let kept = keep(&ground, one, delivery.forge.name(), saying, &[]).await?;
        words.push(kept.why.clone());
        if told.deployment.is_none() {
            told = kept;
        }
    }
    told.why = words.join("; ");
    Ok(told)
}

/// Decides on a delivery of a push anew. `waited`: the pushes that a freeze has held until now, this one the last of them.
pub(crate) async fn again(ground: &Arc<Ground>, old: Delivery, address: Option<String>, by: &str, waited: &[Delivery]) -> Result<Delivery> {
    let push = old
        .push
        .clone()
        .ok_or_else(|| Error::busy("it tells of no push, so there is nothing to do again"))?;
    let webhook = ground.store.webhooks.find(old.app.as_str())?;
    let webhook = webhook.ok_or_else(|| Error::busy("the app has no webhook any more, so there are no rules to decide by"))?;
    let delivery = Delivery {
        id: ground.world.id(),
        at: ground.world.now(),
        holds_id: false,
        address,
        deployment: None,
        replay_of: Some(old.id.clone()),
        ..old
    };
    let saying = Saying::Push(Box::new(webhook.value), Box::new(push));
    keep(ground, delivery, by, saying, waited).await
}

fn said(webhook: &Webhook, what: Result<What, String>) -> Vec<Saying> {
    let one = match what {
        Ok(What::Pushes(_) | What::Request(_)) if !webhook.enabled => {
            Saying::Clear(Decision::Disabled, "ignored: the webhook is off".into())
        }
        Ok(What::Pushes(pushes)) => {
            let each = |push| Saying::Push(Box::new(webhook.clone()), Box::new(push));
            return pushes.into_iter().map(each).collect();
        }
        Ok(What::Request(request)) => Saying::Request(request),
        Ok(What::Ping) => Saying::Clear(
            Decision::Ping,
            "answered: the forge reaches this panel, and the secret is right".into(),
        ),
        Ok(What::Other(event)) => Saying::Clear(Decision::OtherEvent, format!("ignored: `{event}` does not deploy; pushes do")),
        Err(why) => Saying::Clear(Decision::Unreadable, format!("not understood: {why}")),
    };
    vec![one]
}

fn unproven(forge: Forge, proof: Proof) -> String {
    let what = match (forge, proof) {
        (Forge::Gitlab, Proof::Missing) => "it has no token: set the webhook's secret as `Secret token` at GitLab",
        (Forge::Gitlab, _) => "its token is not the webhook's secret",
        (_, Proof::Missing) => "it is not signed (HMAC-SHA256): set the webhook's secret at the forge",
        (..) => "its signature does not fit the webhook's secret",
    };
    format!("refused: {what}")
}

/// Decides and keeps, in one step with the deployment that follows from it, with what polling then has seen, and with the end of the
/// waiting of those that `waited`.
pub(crate) async fn keep(ground: &Arc<Ground>, mut delivery: Delivery, by: &str, saying: Saying, waited: &[Delivery]) -> Result<Delivery> {
    loop {
        // A turn before this one may have queued what was not saved.
        delivery.deployment = None;
        let app = ground.store.apps.get(delivery.app.as_str())?;
        let mut batch = Batch::new();
        let verdict = match earlier(ground, &delivery)? {
            Some(first) if first.deployment.is_some() => {
                delivery.holds_id = false;
                Verdict::new(
                    Decision::Repeated,
                    format!("ignored: the same delivery came {} and has deployed", first.at),
                )
            }
            earlier => {
                if let Some(mut first) = earlier {
                    first.value.holds_id = false;
                    batch = batch.save(first);
                }
                let refused = matches!(&saying, Saying::Clear(decision, _) if decision.is_refused());
                match app.trashed_at {
                    Some(_) if !refused => Verdict::new(Decision::Trashed, "ignored: the app is in the trash"),
                    _ => decide(ground, &app, &delivery, &saying, by).await?,
                }
            }
        };
        delivery.decision = verdict.decision;
        let why = format!("{}{}", verdict.why, unfiltered(&app, &delivery, &saying, &verdict));
        delivery.why = ground.redactor.redact_for(&app.organization, &why).into_owned();
        if verdict.push.is_some() {
            delivery.push = verdict.push;
        }
        match verdict.preview {
            Some(Keep::New(preview)) => batch = batch.insert(preview),
            Some(Keep::Changed(preview)) => batch = batch.save(preview),
            None => {}
        }
        if let Some(reference) = verdict.deploy {
            let by = words_by(by, delivery.push.as_ref());
            let cause = Cause::Push {
                delivery: delivery.id.clone(),
            };
            let mut to = match &verdict.to {
                Some(other) => ground.store.apps.get(other.as_str())?,
                None => app.clone(),
            };
            to.desired = DesiredState::Running;
            batch = deployments::queue(ground, by, &mut to.value, cause, reference.into(), batch)?;
            delivery.deployment = to.last_deployment.clone();
            delivery.why = format!("{} as #{}", delivery.why, to.deployments);
            batch = batch.save(to);
        }
        batch = held_pushes::end_of_waiting(ground, waited, delivery.decision, batch)?;
        batch = note_seen(ground, &delivery, batch)?;
        match ground.store.commit(batch.insert(delivery.clone())).await {
            // Somebody else changed the app, or the same delivery came twice at once.
            Err(Error::Stale { .. } | Error::Taken { .. }) => continue,
            other => other?,
        }
        tell(ground, &app, &delivery).await?;
        prune(ground, &delivery).await?;
        return Ok(delivery);
    }
}

/// Forges leave the files out of a new branch, all of which counts. A script that names none has most likely not known how.
fn unfiltered(app: &App, delivery: &Delivery, saying: &Saying, verdict: &Verdict) -> &'static str {
    let Saying::Push(webhook, push) = saying else { return "" };
    let filters = matches!(app.source, Source::Git(_)) && !webhook.rules.paths.is_empty();
    // With two commits the repository was asked.
    let untold = push.files.is_none() && (push.before.is_none() || push.after.is_none());
    match delivery.forge {
        Forge::Generic if filters && untold && verdict.deploy.is_some() => {
            " (without the path filter: the call tells neither of `files` nor of two commits to compare)"
        }
        _ => "",
    }
}

fn words_by(by: &str, push: Option<&Push>) -> String {
    match push.and_then(|push| push.by.as_deref()) {
        Some(who) => format!("{who} ({by})"),
        None => by.to_owned(),
    }
}

/// The delivery that holds the same id of the forge.
fn earlier(ground: &Ground, delivery: &Delivery) -> Result<Option<Stored<Delivery>>> {
    match delivery.forge_claim() {
        Some(claim) if delivery.holds_id => ground.store.deliveries.claimed(&claim),
        _ => Ok(None),
    }
}

/// So that polling does not find again what came by itself. Before its first look there is nothing to add to, and another look at an
/// old push says nothing of where the branch is now.
fn note_seen(ground: &Ground, delivery: &Delivery, batch: Batch) -> Result<Batch> {
    let pushed = delivery.push.as_ref().filter(|_| delivery.replay_of.is_none());
    let Some((Some(reference), Some(after))) = pushed.map(|push| (&push.reference, &push.after)) else {
        return Ok(batch);
    };
    let Some(mut webhook) = ground.store.webhooks.find(delivery.app.as_str())? else {
        return Ok(batch);
    };
    let full = reference.full();
    if webhook.poll_seconds.is_none() || !webhook.has_looked() || webhook.seen.get(&full) == Some(after) {
        return Ok(batch);
    }
    webhook.seen.insert(full, after.clone());
    Ok(batch.save(webhook))
}

async fn tell(ground: &Ground, app: &App, delivery: &Delivery) -> Result<()> {
    let actor = Actor::system(app.organization.clone());
    let fact = Fact::DeliveryDecided {
        app: app.id.clone(),
        name: app.name.to_string(),
        delivery: delivery.id.clone(),
        why: delivery.why.clone(),
    };
    ground.events.emit(&actor, fact).await;
    if let Some(id) = &delivery.deployment
        && let Some(deployment) = deployments::find(ground, id)?
    {
        let deployed = ground.store.apps.get(deployment.app.as_str())?;
        ground.events.emit(&actor, moved(&deployed, &deployment)).await;
        ground.wake_deploy();
    }
    ground.wakes.previews.wake();
    Ok(())
}

/// Removes the oldest ones.
async fn prune(ground: &Ground, delivery: &Delivery) -> Result<()> {
    let all = ground.store.deliveries.prefix(&format!("{}/", delivery.app))?;
    let (refused, proven): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.decision.is_refused());
    let (held, decided): (Vec<_>, Vec<_>) = proven.into_iter().partition(|one| one.decision == Decision::Held);
    let over = |list: Vec<Stored<Delivery>>, kept: usize| {
        let over = list.len().saturating_sub(kept);
        list.into_iter().take(over).collect::<Vec<_>>()
    };
    let gone = [over(refused, KEPT_REFUSED), over(held, KEPT), over(decided, KEPT)].concat();
    match ground.store.commit(gone.iter().fold(Batch::new(), Batch::remove)).await {
        // Another delivery removes them at the same time.
        Err(Error::Stale { .. } | Error::NotFound { .. }) => Ok(()),
        other => other,
    }
}

/// For polling: a new delivery of its own.
pub(crate) fn polled(ground: &Ground, webhook: &Webhook, push: Push) -> Delivery {
    Delivery {
        id: ground.world.id::<DeliveryId>(),
        organization: webhook.organization.clone(),
        app: webhook.app.clone(),
        at: ground.world.now(),
        forge: Forge::Poll,
        forge_id: None,
        part: 0,
        holds_id: false,
        event: "poll".into(),
        push: Some(push),
        bytes: 0,
        address: None,
        decision: Decision::Failed,
        why: String::new(),
        deployment: None,
        replay_of: None,
    }
}

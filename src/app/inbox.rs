//! What came to webhooks: proven, decided, kept with the decision in words, and looked at again when somebody asks.

use crate::{
    apps::find_app,
    deployments::{self, git_login, moved},
    freezes,
    ground::Ground,
    held_pushes,
    previews::{self, Keep},
    sight::owned,
    webhooks::same_repository,
};
use source::{
    Compare,
    webhooks::{Filter, Proof, What, asks_to_skip, hear, read},
};
use std::{sync::Arc, time::Duration};
use store::{Batch, Stored};
use types::{
    Action, Actor, App, AppId, Cause, Decision, Delivery, DeliveryId, DesiredState, Doing, Error, Fact, Forge, GitRef, GitSource, Kind,
    PullRequest, Push, Reference, Result, Source, Webhook, report,
};

/// Deliveries kept of an app, and of those that nobody has proven: a flood of these must not push the others out.
const KEPT: usize = 200;
const KEPT_REFUSED: usize = 50;
/// Forges wait ten seconds for an answer.
const COMPARING: Duration = Duration::from_secs(8);

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
        let webhook = webhook.ok_or_else(|| Error::not_found(Kind::Webhook, "at this address"))?.value;
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
                    _ => decide(ground, &app, &saying, by).await?,
                }
            }
        };
        delivery.decision = verdict.decision;
        delivery.why = ground.redactor.redact_for(&app.organization, &verdict.why).into_owned();
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
    let over = |list: Vec<Stored<Delivery>>, kept: usize| {
        let over = list.len().saturating_sub(kept);
        list.into_iter().take(over).collect::<Vec<_>>()
    };
    let gone = [over(refused, KEPT_REFUSED), over(proven, KEPT)].concat();
    match ground.store.commit(gone.iter().fold(Batch::new(), Batch::remove)).await {
        // Another delivery removes them at the same time.
        Err(Error::Stale { .. } | Error::NotFound { .. }) => Ok(()),
        other => other,
    }
}

async fn decide(ground: &Arc<Ground>, app: &App, saying: &Saying, by: &str) -> Result<Verdict> {
    let (webhook, push) = match saying {
        Saying::Clear(decision, why) => return Ok(Verdict::new(*decision, why)),
        Saying::Push(webhook, push) => (webhook, push),
        Saying::Request(request) => {
            let by = match &request.author {
                Some(who) => format!("{who} ({by})"),
                None => by.to_owned(),
            };
            let judged = previews::judge(ground, app, request, &by)?;
            return Ok(Verdict {
                preview: judged.keep,
                ..Verdict::new(judged.decision, judged.why)
            });
        }
    };
    let mut verdict = judge_one(ground, app, webhook, (**push).clone()).await?;
    if verdict.decision == Decision::BranchFilter
        && let Some(passed) = pass_on(ground, app, webhook, (**push).clone()).await?
    {
        verdict = passed;
    }
    if verdict.deploy.is_none() {
        return Ok(verdict);
    }
    let other = match &verdict.to {
        Some(other) => Some(ground.store.apps.get(other.as_str())?.value),
        None => None,
    };
    let target = other.as_ref().unwrap_or(app);
    let now = ground.world.now();
    let instead = |decision, why: String, push| Verdict {
        push,
        ..Verdict::new(decision, why)
    };
    if let Some(lock) = target.locked(now) {
        let why = format!("ignored: {}; replay it when they are unlocked", lock.words());
        return Ok(instead(Decision::Locked, why, verdict.push));
    }
    if let Some(frozen) = freezes::frozen(&ground.store, &target.organization, &target.environment, now)? {
        let why = format!("held: {}; deployed when that ends", frozen.words());
        return Ok(instead(Decision::Held, why, verdict.push));
    }
    Ok(verdict)
}

/// Which app a push to the webhook of `app` is for.
pub(crate) fn target(ground: &Ground, app: &App, webhook: &Webhook, push: &Push) -> Result<App> {
    if let Source::Git(git) = &app.source
        && refused_by_name(git, webhook, push)?.is_some_and(|verdict| verdict.decision == Decision::BranchFilter)
        && let Some(other) = follower(ground, app, webhook, push)?
    {
        return Ok(other);
    }
    Ok(app.clone())
}

/// The app in another environment that a webhook passes a push on to: the one that follows its branch.
pub(crate) fn follower(ground: &Ground, app: &App, webhook: &Webhook, push: &Push) -> Result<Option<App>> {
    let Some(Reference::Branch(name)) = &push.reference else {
        return Ok(None);
    };
    for id in &webhook.passes_to {
        let Some(other) = ground.store.apps.find(id.as_str())? else {
            continue;
        };
        let Source::Git(git) = &other.source else { continue };
        let is_its = git.branch.as_ref().map(GitRef::as_str) == Some(name.as_str());
        if is_its && other.trashed_at.is_none() && same_repository(app, &other) {
            return Ok(Some(other.value));
        }
    }
    Ok(None)
}

/// What the app that a push is passed on to makes of it. Its branch alone says which pushes are its own; files are watched as
/// for the app that the webhook is of.
async fn pass_on(ground: &Arc<Ground>, app: &App, webhook: &Webhook, mut push: Push) -> Result<Option<Verdict>> {
    let Some(other) = follower(ground, app, webhook, &push)? else {
        return Ok(None);
    };
    let verdict = judge_content(ground, &other, webhook, &mut push).await?;
    let environment = ground.store.environments.get(other.environment.as_str())?.value.name;
    Ok(Some(Verdict {
        why: format!("{} in {environment}", verdict.why),
        push: Some(push),
        to: Some(other.id),
        ..verdict
    }))
}

async fn judge_one(ground: &Arc<Ground>, app: &App, webhook: &Webhook, mut push: Push) -> Result<Verdict> {
    let verdict = match &app.source {
        Source::Image { .. } if push.reference.is_some() => Verdict::new(
            Decision::OtherEvent,
            "ignored: the app is from an image, so pushes to a repository mean nothing to it",
        ),
        Source::Image { reference } => deploy(None, format!("deploying {reference}")),
        Source::Compose(_) => deploy(None, "deploying its services".to_owned()),
        Source::Upload(_) => Verdict::new(
            Decision::OtherEvent,
            "ignored: the app is made from what is uploaded, so pushes mean nothing to it",
        ),
        Source::Git(git) => {
            if git.branch.is_none() && webhook.rules.branches.is_empty() && push.default_branch.is_none() {
                push.default_branch = default_branch(ground, app, git).await;
            }
            match refused_by_name(git, webhook, &push)? {
                Some(verdict) => verdict,
                None => judge_content(ground, app, webhook, &mut push).await?,
            }
        }
    };
    Ok(Verdict {
        push: Some(push),
        ..verdict
    })
}

fn deploy(reference: Option<GitRef>, why: String) -> Verdict {
    Verdict {
        deploy: Some(reference),
        ..Verdict::new(Decision::Deployed, why)
    }
}

/// By its branch or tag.
pub(crate) fn refused_by_name(git: &GitSource, webhook: &Webhook, push: &Push) -> Result<Option<Verdict>> {
    let rules = &webhook.rules;
    let Some(reference) = &push.reference else { return Ok(None) };
    let no = |decision, why: String| Ok(Some(Verdict::new(decision, format!("ignored: {why}"))));
    if push.deleted {
        return no(Decision::Deleted, format!("the {} was deleted", reference.words()));
    }
    match reference {
        Reference::Tag(name) if rules.tags.is_empty() => {
            no(Decision::TagFilter, format!("tag filter; {name} is a tag, and no tags deploy"))
        }
        Reference::Tag(name) if !Filter::of_names("tags", &rules.tags)?.takes(name) => no(
            Decision::TagFilter,
            format!("tag filter; {name} does not fit {}", rules.tags.join(", ")),
        ),
        Reference::Branch(name) if !rules.branches.is_empty() => match Filter::of_names("branches", &rules.branches)?.takes(name) {
            true => Ok(None),
            false => no(
                Decision::BranchFilter,
                format!("branch filter; {name} does not fit {}", rules.branches.join(", ")),
            ),
        },
        Reference::Branch(name) => match git.branch.as_ref().map(GitRef::as_str).or(push.default_branch.as_deref()) {
            Some(own) if own == name => Ok(None),
            Some(own) => no(Decision::BranchFilter, format!("branch filter; {name} is not {own}")),
            None => Ok(Some(Verdict::new(
                Decision::Failed,
                format!(
                    "not decided: the repository did not say whether {name} is its default branch; name the app's branch in its settings"
                ),
            ))),
        },
        Reference::Tag(_) => Ok(None),
    }
}

/// As the repository itself says.
async fn default_branch(ground: &Ground, app: &App, git: &GitSource) -> Option<String> {
    let egress = ground.egress(&app.organization).ok()?;
    let login = git_login(ground, git).await.ok()?;
    let tips = tokio::time::timeout(COMPARING, source::tips(&git.url, &login, git.host_key.as_deref(), egress));
    let tip = tips.await.ok()?.ok()?.into_iter().find(|tip| tip.default)?;
    tip.reference.strip_prefix("refs/heads/").map(str::to_owned)
}

/// By its commit and files.
async fn judge_content(ground: &Arc<Ground>, app: &App, webhook: &Webhook, push: &mut Push) -> Result<Verdict> {
    if let Some(after) = &push.after
        && let Some(verdict) = unchanged(ground, app, after)?
    {
        return Ok(verdict);
    }
    if asks_to_skip(&push.message) {
        return Ok(Verdict::new(Decision::SkippedByCommit, "ignored: the commit says [skip deploy]"));
    }
    let mut unsure = String::new();
    if !webhook.rules.paths.is_empty() {
        if push.files.is_none() {
            match changed_files(ground, app, push).await {
                Ok(files) => push.files = files,
                Err(error) => unsure = format!(" (which files changed could not be found out: {})", report(&error)),
            }
        }
        let filter = Filter::of_paths("paths", &webhook.rules.paths)?;
        if let Some(files) = &push.files
            && !files.iter().any(|file| filter.takes(file))
        {
            return Ok(Verdict::new(
                Decision::PathFilter,
                format!("ignored: path filter; changed {}", summary(files)),
            ));
        }
    }
    let what = match (&push.after, &push.reference) {
        (Some(commit), Some(reference)) => format!("{} of {}", &commit[..10], reference.words()),
        (Some(commit), None) => commit[..10].to_owned(),
        (None, Some(reference)) => reference.words(),
        (None, None) => "the newest commit".to_owned(),
    };
    let wanted = push.after.as_deref().or(push.reference.as_ref().map(Reference::name));
    let reference = wanted.map(str::parse).transpose()?;
    Ok(deploy(reference, format!("deploying {what}{unsure}")))
}

/// One that is live, or on its way there, is not deployed again by a push: two branches at one commit, or a webhook and
/// polling for the same push.
fn unchanged(ground: &Ground, app: &App, after: &str) -> Result<Option<Verdict>> {
    let Some(id) = &app.last_deployment else { return Ok(None) };
    let Some(last) = deployments::find(ground, id)? else {
        return Ok(None);
    };
    let its = last.reference.as_ref().is_some_and(|reference| reference.as_str() == after);
    let its = its || last.commit.as_ref().is_some_and(|commit| commit.id == after);
    let wanted = !last.phase.is_final() || last.phase == types::Phase::Live;
    Ok((its && wanted).then(|| {
        Verdict::new(
            Decision::Unchanged,
            format!("ignored: {} is deployed already as #{}", &after[..10], last.number),
        )
    }))
}

/// Asks the repository. `None`: the branch is new, so all of it counts.
async fn changed_files(ground: &Ground, app: &App, push: &mut Push) -> Result<Option<Vec<String>>> {
    let (Source::Git(git), Some(after)) = (&app.source, push.after.clone()) else {
        return Ok(None);
    };
    if push.before.is_none() {
        return Ok(None);
    }
    let compare = source::compare(Compare {
        url: git.url.clone(),
        login: git_login(ground, git).await?,
        host_key: git.host_key.clone(),
        egress: ground.egress(&app.organization)?,
        before: push.before.clone(),
        after,
    });
    let slow = |_| Error::unavailable("the repository did not answer in time");
    Ok(tokio::time::timeout(COMPARING, compare).await.map_err(slow)??.files)
}

/// `only docs/`, `README.md and 3 more`.
fn summary(files: &[String]) -> String {
    let top: std::collections::BTreeSet<String> = files
        .iter()
        .map(|file| {
            file.split_once('/')
                .map_or_else(|| file.clone(), |(folder, _)| format!("{folder}/"))
        })
        .collect();
    let names: Vec<&str> = top.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] => "nothing".into(),
        [one] => format!("only {one}"),
        [rest @ .., last] if rest.len() < 4 => format!("only {} and {last}", rest.join(", ")),
        names => format!("only {} and {} more", names[..3].join(", "), names.len() - 3),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        for (files, expected) in [
            (&["docs/a", "docs/b/c"][..], "only docs/"),
            (&["README.md"], "only README.md"),
            (&["a/x", "b", "c"], "only a/, b and c"),
            (&["a", "b", "c", "d", "e", "f"], "only a, b, c and 3 more"),
            (&[], "nothing"),
        ] {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            assert_eq!(summary(&files), expected);
        }
    }
}

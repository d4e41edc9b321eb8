//! Pushes that a freeze has held in the inbox: taken up when it ends. Which freeze that is depends on the app that a push is for, which
//! may be one in another environment.

use crate::{freezes, ground::Ground, inbox};
use std::sync::Arc;
use store::{Batch, Record};
use types::{App, Decision, Delivery, Reference, Result, Webhook};

/// Pushes to one branch or tag that wait for one app, oldest first: the newest has the older ones in it.
struct Group {
    target: App,
    reference: Option<Reference>,
    waiting: Vec<Delivery>,
}

/// Takes up what came to the webhook of `app` and waits no longer for a freeze: of each branch and tag the newest, in the order in which
/// these came. Answers how many wait no more. One that fails waits for the next turn, and holds up no other.
pub(crate) async fn release(ground: &Arc<Ground>, app: &App) -> Result<usize> {
    let mut held = ground.store.deliveries.prefix(&format!("{}/", app.id))?;
    held.retain(|one| one.decision == Decision::Held);
    if held.is_empty() {
        return Ok(0);
    }
    let held: Vec<Delivery> = held.into_iter().map(|one| one.value).collect();
    let Some(webhook) = ground.store.webhooks.find(app.id.as_str())? else {
        return leave(ground, &held).await;
    };
    let (mut released, mut failed) = (0, None);
    for group in groups(ground, app, &webhook, held)? {
        let (target, now) = (&group.target, ground.world.now());
        if freezes::frozen(&ground.store, &target.organization, &target.environment, now)?.is_some() {
            continue;
        }
        let number = group.waiting.len();
        match take_up(ground, group.waiting).await {
            Ok(()) => released += number,
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    failed.map_or(Ok(released), Err)
}

fn groups(ground: &Ground, app: &App, webhook: &Webhook, held: Vec<Delivery>) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for one in held {
        let Some(push) = &one.push else { continue };
        let target = inbox::target(ground, app, webhook, push)?;
        let reference = push.reference.clone();
        match groups
            .iter_mut()
            .find(|group| group.target.id == target.id && group.reference == reference)
        {
            Some(group) => group.waiting.push(one),
            None => groups.push(Group {
                target,
                reference,
                waiting: vec![one],
            }),
        }
    }
    groups.sort_by_key(|group| group.waiting.last().map(|newest| newest.id.clone()));
    Ok(groups)
}

/// Decides on the newest anew; where the rules of now leave that one out by what is in it, on the one before.
async fn take_up(ground: &Arc<Ground>, mut waiting: Vec<Delivery>) -> Result<()> {
    while let Some(newest) = waiting.last().cloned() {
        let again = inbox::again(ground, newest, None, "the end of a freeze", &waiting).await?;
        if !is_about_one(again.decision) {
            break;
        }
        waiting.pop();
    }
    Ok(())
}

/// A filter that looks into a push says nothing of those before it.
fn is_about_one(decision: Decision) -> bool {
    matches!(decision, Decision::PathFilter | Decision::SkippedByCommit)
}

/// Adds to the batch in which the newest of those that `waited` is decided on that it waits no more, nor do the older ones, which are in it.
pub(crate) fn end_of_waiting(ground: &Ground, waited: &[Delivery], decision: Decision, mut batch: Batch) -> Result<Batch> {
    let Some(newest) = waited.last().filter(|_| decision != Decision::Held) else {
        return Ok(batch);
    };
    for one in waited {
        let is_newest = one.id == newest.id;
        if is_about_one(decision) && !is_newest {
            continue;
        }
        // It may have been removed meanwhile, as the oldest of too many.
        let Some(mut stored) = ground.store.deliveries.find(&one.key())? else {
            continue;
        };
        stored.decision = Decision::Released;
        stored.why = match is_newest {
            true => format!("{}; taken up when that ended", one.why),
            false => format!("{}; a newer one was taken up when that ended", one.why),
        };
        batch = batch.save(stored);
    }
    Ok(batch)
}

/// Without a webhook there are no rules to decide by.
async fn leave(ground: &Ground, held: &[Delivery]) -> Result<usize> {
    for one in held {
        let say = |one: &mut Delivery| {
            one.decision = Decision::Disabled;
            one.why = format!("{}; not taken up, since the webhook was taken away", one.why);
            Ok(())
        };
        ground.store.deliveries.update(&one.key(), say).await?;
    }
    Ok(0)
}

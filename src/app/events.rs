//! What happened, kept for the activity page and sent to whoever listens.

use crate::sight::sees_event;
use std::sync::Arc;
use store::Store;
use tokio::sync::broadcast;
use types::{Action, Actor, AppId, Event, Fact, Result, World, report};

/// Events read at once.
const PAGE: usize = 200;

/// Records events and hands them on. A listener that is too slow misses some and learns how many.
#[derive(Clone)]
pub struct Events {
    store: Store,
    world: World,
    live: broadcast::Sender<Arc<Event>>,
}

impl Events {
    pub fn new(store: Store, world: World) -> Events {
        Events {
            store,
            world,
            live: broadcast::channel(1024).0,
        }
    }

    /// Records that `actor` caused `fact`, unless it is only a step on the way, and tells the listeners. What caused it is done already, so a failure
    /// to record is logged and not returned.
    pub async fn emit(&self, actor: &Actor, fact: Fact) {
        let event = Event {
            id: self.world.id(),
            organization: actor.organization.clone(),
            at: self.world.now(),
            by: actor.who.clone(),
            address: actor.address.clone(),
            fact,
        };
        if event.fact.is_lasting()
            && let Err(error) = self.store.events.insert(event.clone()).await
        {
            tracing::error!("event not recorded: {}", report(&error));
        }
        let _ = self.live.send(Arc::new(event));
    }

    /// Whether somebody learns of it: it is about what they see. One that cannot be told is told to nobody.
    pub fn is_for(&self, actor: &Actor, event: &Event) -> bool {
        sees_event(&self.store, actor, event).unwrap_or_else(|error| {
            tracing::warn!("who sees an event: {}", report(&error));
            false
        })
    }

    /// What happens from now on, in all organizations: ask [`Events::is_for`] of each.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.live.subscribe()
    }

    /// What happened, newest first, of one app or of all, or only what concerns security; at most `limit`, before `before` if
    /// that is given.
    pub async fn list(&self, actor: &Actor, app: Option<&AppId>, security: bool, before: Option<&str>, limit: usize) -> Result<Vec<Event>> {
        actor.may_somewhere(Action::View)?;
        let mine = |event: &Event| {
            (!security || event.fact.is_security()) && self.is_for(actor, event) && app.is_none_or(|app| event.fact.app() == Some(app))
        };
        let mut found = Vec::new();
        let mut before = before.map(str::to_owned);
        while found.len() < limit {
            let page = match &before {
                Some(before) => self.store.events.before(before, PAGE)?,
                None => self.store.events.last(PAGE)?,
            };
            let Some(oldest) = page.last() else { break };
            before = Some(oldest.id.to_string());
            found.extend(page.into_iter().map(|event| event.value).filter(mine));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// What happened after the event with this id, oldest first: for a listener that comes back.
    pub async fn since(&self, actor: &Actor, id: &str) -> Result<Vec<Event>> {
        actor.may_somewhere(Action::View)?;
        let events = self.store.events.list()?.into_iter().map(|event| event.value);
        Ok(events.filter(|event| event.id.as_str() > id && self.is_for(actor, event)).collect())
    }
}

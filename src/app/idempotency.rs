//! The same request twice is one request: answers by `Idempotency-Key`, kept for a day.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use store::Store;
use types::{Actor, Answer, AnswerOutcome, Error, Result, Secret, Who, World};

const KEPT: Duration = Duration::from_secs(86_400);

#[derive(Clone)]
pub struct Answers {
    store: Store,
    world: World,
    under_way: Arc<Mutex<HashSet<String>>>,
}

/// A request under way. Dropping it without [`Ticket::answer`] lets the same request be made again.
pub struct Ticket {
    answers: Answers,
    key: String,
}

/// What to do with a request that has a key.
pub enum Turn {
    /// It is new: make it, and give the answer to the ticket.
    Go(Box<Ticket>),
    /// It was made before, and this was the answer.
    Again(Made),
}

/// An answer as it went out.
#[derive(Debug, Clone)]
pub struct Made {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Secret,
}

impl Answers {
    pub(crate) fn new(store: Store, world: World) -> Answers {
        Answers {
            store,
            world,
            under_way: Arc::default(),
        }
    }

    /// `fingerprint` is of method, path and body: the same key with another request is refused as `Invalid`. Fails with
    /// `Busy` while the first one is under way.
    pub fn begin(&self, actor: &Actor, key: &str, fingerprint: &str) -> Result<Turn> {
        if key.is_empty() || key.len() > 255 || !key.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Error::invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters"));
        }
        let key = format!("{}/{}/{key}", actor.organization, asker(actor));
        if let Some(made) = self.made(&key, fingerprint)? {
            return Ok(Turn::Again(made));
        }
        if !self.under_way.lock().expect("no panic while held").insert(key.clone()) {
            return Err(Error::busy("the same request is under way"));
        }
        let ticket = Ticket {
            answers: self.clone(),
            key,
        };
        // The first one may have ended between the look and the ticket.
        match self.made(&ticket.key, fingerprint)? {
            Some(made) => Ok(Turn::Again(made)),
            None => Ok(Turn::Go(Box::new(ticket))),
        }
    }

    /// The answer that is kept under this key.
    fn made(&self, key: &str, fingerprint: &str) -> Result<Option<Made>> {
        let Some(found) = self.store.answers.find(key)? else {
            return Ok(None);
        };
        let Some(outcome) = found.outcome.as_ref().filter(|_| self.world.now().since(found.at) < KEPT) else {
            return Ok(None);
        };
        if found.request != fingerprint {
            return Err(Error::invalid("Idempotency-Key", "was used for another request"));
        }
        let body = self.store.unseal(&outcome.body)?;
        Ok(Some(Made {
            status: outcome.status,
            content_type: outcome.content_type.clone(),
            body,
        }))
    }
}

/// Whose answers they are: a token does not get those of another token of its person, which may reach further.
fn asker(actor: &Actor) -> &str {
    match &actor.who {
        Who::User { id, .. } => id.as_str(),
        Who::Token { id, .. } => id.as_str(),
        Who::Machine { .. } | Who::System => "machine",
    }
}

impl Ticket {
    /// Keeps the answer for those who ask again.
    pub async fn answer(self, fingerprint: &str, made: &Made) -> Result<()> {
        let answers = &self.answers;
        let outcome = AnswerOutcome {
            status: made.status,
            content_type: made.content_type.clone(),
            body: answers.store.seal(&made.body)?,
        };
        let answer = Answer {
            key: self.key.clone(),
            request: fingerprint.to_owned(),
            outcome: Some(outcome),
            at: answers.world.now(),
        };
        if answers.store.answers.find(&self.key)?.is_some() {
            answers.store.answers.remove(&self.key).await?;
        }
        answers.store.answers.insert(answer).await?;
        Ok(())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.answers.under_way.lock().expect("no panic while held").remove(&self.key);
    }
}

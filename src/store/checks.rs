//! Whether a batch may be made, for the writer: the revisions it expects and the names it claims, against the state and the batches
//! before it that share its sync; and what the audit log tells of it.

use crate::{
    audit::{self, Chain, Telling, Touched},
    batch::{Batch, Content, Step as Wish, Verb, path},
    envelope,
    journal::{Entry, Step},
    record::Record,
    sealing::Sealer,
    state::{State, claim_path},
    store::{Change, Core},
};
use std::collections::HashMap;
use types::{Error, Result, World};

/// What a record was or will be, as far as checks need it.
#[derive(Clone)]
struct Held {
    revision: u64,
    claims: Vec<String>,
    /// The value, where the audit log compares.
    json: Option<Vec<u8>>,
}

/// Changes that are checked and not applied yet: by path, and by `<tree>/<claim>`.
#[derive(Default)]
struct Layer {
    records: HashMap<String, Option<Held>>,
    claims: HashMap<String, Option<String>>,
}

/// Batches that share a sync, checked in their order.
pub(crate) struct Group<'a> {
    core: &'a Core,
    sealer: &'a Sealer,
    world: &'a World,
    /// What the batches change that passed.
    passed: Layer,
}

impl<'a> Group<'a> {
    pub fn new(core: &'a Core, sealer: &'a Sealer, world: &'a World) -> Group<'a> {
        Group {
            core,
            sealer,
            world,
            passed: Layer::default(),
        }
    }

    /// Checks a batch against the state and the batches before it; adds it to the group if it passes, else nothing of it.
    pub fn check(&mut self, batch: Batch, sequence: u64, chain: Option<&mut Chain>) -> Result<(Entry, Vec<Change>)> {
        if let Some(error) = batch.failed {
            return Err(error);
        }
        let mut layer = Layer::default();
        let mut telling = Telling::default();
        let mut steps = Vec::with_capacity(batch.steps.len());
        let mut changes = Vec::with_capacity(batch.steps.len());
        for wish in batch.steps {
            must_not_be_the_audit_log(&wish)?;
            let held = self.held(&layer, &wish)?;
            let content = outcome(&wish, held.as_ref())?;
            self.move_claims(&mut layer, &wish, held.as_ref(), content)?;
            let key = &wish.path[wish.tree.len() + 1..];
            telling.note(
                &Touched {
                    audit: wish.audit,
                    kind: wish.kind,
                    key,
                    name: &wish.told,
                    before: held.as_ref().and_then(|held| held.json.as_deref()),
                    after: content.map(|content| content.json.as_slice()),
                },
                batch.asker.as_ref(),
                self.sealer,
            );
            changes.push(Change {
                tree: wish.tree,
                key: key.to_owned(),
            });
            steps.push(written(&wish, content, sequence));
            let will_be = content.map(|content| Held {
                revision: sequence,
                claims: content.claims.clone(),
                json: wish.audit.compares().then(|| content.json.clone()),
            });
            layer.records.insert(wish.path, will_be);
        }
        if let Some(chain) = chain {
            let named = |path: &str| self.name_of(&layer, path);
            for entry in chain.extend(telling, batch.asker, self.world.now(), named)? {
                steps.push(put(&entry, sequence)?);
            }
        }
        self.passed.records.extend(layer.records);
        self.passed.claims.extend(layer.claims);
        Ok((Entry { sequence, steps }, changes))
    }

    /// The record as the steps before this one leave it.
    fn held(&self, layer: &Layer, wish: &Wish) -> Result<Option<Held>> {
        match layer.records.get(&wish.path).or_else(|| self.passed.records.get(&wish.path)) {
            Some(held) => Ok(held.clone()),
            None => self.core.read(|state| held(state, &wish.path, wish.audit.compares())),
        }
    }

    /// Gives up what the record claimed, and claims what it will: `Taken` if another record has that.
    fn move_claims(&self, layer: &mut Layer, wish: &Wish, held: Option<&Held>, content: Option<&Content>) -> Result<()> {
        for claim in held.into_iter().flat_map(|held| &held.claims) {
            layer.claims.insert(claim_path(&wish.path, claim), None);
        }
        for claim in content.into_iter().flat_map(|content| &content.claims) {
            let claim = claim_path(&wish.path, claim);
            let holder = match layer.claims.get(&claim).or_else(|| self.passed.claims.get(&claim)) {
                Some(holder) => holder.clone(),
                None => self.core.claim(&claim),
            };
            if holder.is_some_and(|holder| holder != wish.path) {
                return Err(taken(wish));
            }
            layer.claims.insert(claim, Some(wish.path.clone()));
        }
        Ok(())
    }

    /// What people call a record, for the audit log.
    fn name_of(&self, layer: &Layer, path: &str) -> Option<String> {
        match layer.records.get(path).or_else(|| self.passed.records.get(path)) {
            Some(Some(Held { json: Some(json), .. })) => audit::name_in(json),
            // What the batch takes away is still there.
            _ => {
                let held = self.core.read(|state| held(state, path, true)).ok().flatten()?;
                audit::name_in(&held.json?)
            }
        }
    }
}

fn must_not_be_the_audit_log(wish: &Wish) -> Result<()> {
    match audit::is_ours(wish.tree) {
        true => Err(Error::Forbidden {
            needs: "to be the store itself: the audit log is only added to".into(),
        }),
        false => Ok(()),
    }
}

/// What will be in the record's place, `None` for nothing; fails where what is there is not what the step expects.
fn outcome<'a>(wish: &'a Wish, held: Option<&Held>) -> Result<Option<&'a Content>> {
    match (&wish.verb, held.map(|held| held.revision)) {
        (Verb::Insert(_), Some(_)) => Err(taken(wish)),
        (Verb::Insert(content), None) => Ok(Some(content)),
        (_, None) => Err(Error::not_found(wish.kind, &wish.name)),
        (Verb::Save(expected, _) | Verb::Remove(expected), Some(revision)) if *expected != revision => Err(Error::Stale {
            what: format!("the {} `{}`", wish.kind, wish.name),
        }),
        (Verb::Save(_, content), Some(_)) => Ok(Some(content)),
        (Verb::Remove(_) | Verb::RemoveAny, Some(_)) => Ok(None),
    }
}

fn taken(wish: &Wish) -> Error {
    Error::Taken {
        kind: wish.kind,
        name: wish.name.clone(),
        by: None,
    }
}

fn written(wish: &Wish, content: Option<&Content>, sequence: u64) -> Step {
    let path = wish.path.clone();
    match content {
        Some(content) => Step::Put {
            bytes: envelope::encode(&path, content.version, sequence, &content.claims, &content.json),
            path,
        },
        None => Step::Remove { path },
    }
}

/// A record of the store's own as it is written, which nobody asked for and nothing checks.
pub(crate) fn put<T: Record>(value: &T, revision: u64) -> Result<Step> {
    let path = path::<T>(&value.key());
    let json = serde_json::to_vec(value).map_err(|error| Error::internal(format!("writing a {} as JSON", T::KIND), error))?;
    Ok(Step::Put {
        bytes: envelope::encode(&path, T::VERSION, revision, &value.claims(), &json),
        path,
    })
}

fn held(state: &State, path: &str, with_value: bool) -> Result<Option<Held>> {
    let Some(bytes) = state.get(path)? else { return Ok(None) };
    let envelope = envelope::decode(path, &bytes)?;
    Ok(Some(Held {
        revision: envelope.revision,
        claims: envelope.claims.iter().map(|claim| (*claim).to_owned()).collect(),
        json: with_value.then(|| envelope.json.to_vec()),
    }))
}

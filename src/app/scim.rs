//! SCIM 2.0: an identity provider puts people and groups in itself, changes them and takes them away (RFC 7643, RFC 7644).
//!
//! It comes with a token of its own, which is for nothing else and belongs to one provider of one organization: so it sees
//! only those whom that provider put in, and of an address that another organization's account has it learns nothing. What it says of groups gives roles by the provider's rules, owners never, and it
//! touches none. Nobody is deleted by it: an account that it takes away is disabled, with its sessions and tokens ended.

mod filter;
mod groups;
mod patch;
mod people;
mod profile;

use crate::{
    access::{Access, settled},
    identity_providers::may_say_who_is_who,
};
use filter::Filter;
use identity::token;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use store::{Batch, Stored, acting};
use time::format_description::well_known::Rfc3339;
use types::{Action, Actor, Asker, Error, IdentityProvider, Kind, Provisioning, Result, Secret, Time};

pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// In one answer, when nothing is said and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 500;
/// A token's `last_used_at` is not written more often.
const USE_NOTED: Duration = Duration::from_secs(60);
/// Days that a token is good, unless said and at most.
const USUAL_DAYS: u32 = 365;
const MOST_DAYS: u32 = 1095;
/// Letters of a text.
const TEXT: usize = 256;

/// Lets providers put people in.
#[derive(Clone)]
pub struct Scim {
    access: Arc<Access>,
}

/// What a provider's provisioning is, for who sets it up.
#[derive(Debug, Clone)]
pub struct ProvisioningView {
    pub provisioning: Provisioning,
    pub users: usize,
    pub groups: usize,
}

/// What is asked of a list.
#[derive(Debug, Clone, Default)]
pub struct ScimQuery {
    pub filter: Option<String>,
    /// From 1.
    pub start: Option<i64>,
    pub count: Option<i64>,
    /// Attributes to give, or not to; in addition to those that are always there.
    pub attributes: Vec<String>,
    pub excluded: Vec<String>,
}

/// A provider that came with its token.
pub struct Provisioner {
    access: Arc<Access>,
    provider: IdentityProvider,
    actor: Actor,
}

impl Scim {
    pub(crate) fn new(access: Arc<Access>) -> Scim {
        Scim { access }
    }

    /// What a provider's provisioning is.
    pub fn get(&self, actor: &Actor, provider: &str) -> Result<ProvisioningView> {
        actor.may(Action::ViewTeam)?;
        self.own(actor, provider)?;
        let store = &self.access.store;
        let found = store.provisionings.find(provider)?;
        let prefix = format!("{provider}/");
        Ok(ProvisioningView {
            provisioning: found.ok_or_else(|| Error::not_found(Kind::Provisioning, provider))?.value,
            users: store.scim_users.prefix(&prefix)?.iter().filter(|one| !one.gone).count(),
            groups: store.scim_groups.prefix(&prefix)?.len(),
        })
    }

    /// Turns it on, or gives it another token: the one before is good no more. The token is not kept; it lasts `days`, 1 to
    /// 1095, a year unless said.
    pub async fn renew(&self, actor: &Actor, provider: &str, days: Option<u32>) -> Result<(ProvisioningView, Secret)> {
        actor.may(Action::Secure)?;
        actor.is_certain()?;
        let own = self.own(actor, provider)?;
        may_say_who_is_who(actor)?;
        let days = days.unwrap_or(USUAL_DAYS);
        if !(1..=MOST_DAYS).contains(&days) {
            return Err(Error::invalid("expires_in_days", format!("must be 1 to {MOST_DAYS}")));
        }
        let now = self.access.world.now();
        let store = &self.access.store;
        let word = format!("scim_{}", token::word(&self.access.world));
        let record = Provisioning {
            provider: own.id.clone(),
            organization: actor.organization.clone(),
            hash: token::hash(&word),
            hint: word.chars().take(9).collect(),
            created_at: now,
            expires_at: now.plus(Duration::from_secs(u64::from(days) * 86_400)),
            last_used_at: None,
        };
        match store.provisionings.find(provider)? {
            Some(mut before) => {
                before.value = record;
                store.provisionings.save(before).await?;
            }
            None => drop(store.provisionings.insert(record).await?),
        }
        self.access.tell_provider(actor, &own.name, "made a SCIM token for").await;
        Ok((self.get(actor, provider)?, word.into()))
    }

    /// Turns it off. Whom it put in stays as they are.
    pub async fn remove(&self, actor: &Actor, provider: &str) -> Result<()> {
        actor.may(Action::Secure)?;
        let own = self.own(actor, provider)?;
        self.access.store.provisionings.remove(provider).await?;
        self.access.tell_provider(actor, &own.name, "took the SCIM token of").await;
        Ok(())
    }

    fn own(&self, actor: &Actor, id: &str) -> Result<IdentityProvider> {
        let found = self.access.store.identity_providers.find(id)?;
        let own = found.filter(|one| one.organization == actor.organization);
        own.map(|one| one.value).ok_or_else(|| Error::not_found(Kind::IdentityProvider, id))
    }

    /// Who comes with this token. A provider that is turned off is nobody.
    pub async fn by_token(&self, secret: &str, address: Option<String>) -> Result<Provisioner> {
        let unknown = || Error::Unauthenticated {
            why: "this token is not known here, or has ended".into(),
        };
        let store = &self.access.store;
        let found = store.provisionings.claimed(&token::hash(secret))?;
        let now = self.access.world.now();
        let is_good = |one: &Stored<Provisioning>| token::matches(secret, &one.hash) && now < one.expires_at;
        let mut found = found.filter(is_good).ok_or_else(unknown)?;
        let provider = store.identity_providers.find(found.provider.as_str())?;
        let provider = provider.filter(|one| one.enabled).ok_or_else(unknown)?.value;
        if found.last_used_at.is_none_or(|last| now.since(last) >= USE_NOTED) {
            found.last_used_at = Some(now);
            store.provisionings.save(found).await.map(drop).or_else(settled)?;
        }
        Ok(Provisioner {
            access: self.access.clone(),
            actor: Actor {
                address,
                ..Actor::system(provider.organization.clone())
            },
            provider,
        })
    }
}

impl Provisioner {
    /// People and groups.
    pub fn everything(&self, query: &ScimQuery) -> Result<Value> {
        listed([self.resources(query)?, self.described_all()?].concat(), query)
    }

    /// With the audit log knowing on whose behalf.
    async fn commit(&self, batch: Batch) -> Result<()> {
        acting(Asker::from(&self.actor), self.access.store.commit(batch)).await
    }
}

impl Access {
    /// With a provider that is removed go its token, and what it called whom. Their accounts stay.
    pub(crate) async fn forget_provisioning(&self, provider: &str) -> Result<()> {
        let (store, prefix) = (&self.store, format!("{provider}/"));
        let _team = self.team.lock().await;
        if let Some(found) = store.provisionings.find(provider)? {
            store.commit(Batch::new().remove(&found)).await.or_else(settled)?;
        }
        for group in store.scim_groups.prefix(&prefix)? {
            store.commit(Batch::new().remove(&group)).await.or_else(settled)?;
        }
        for user in store.scim_users.prefix(&prefix)? {
            store.commit(Batch::new().remove(&user)).await.or_else(settled)?;
        }
        Ok(())
    }
}

/// Those of `all` that are asked for, as a list of SCIM (RFC 7644, section 3.4.2).
fn listed(all: Vec<Value>, query: &ScimQuery) -> Result<Value> {
    let filter = query.filter.as_deref().map(Filter::read).transpose()?;
    let found: Vec<Value> = all
        .into_iter()
        .filter(|one| filter.as_ref().is_none_or(|filter| filter.is(one)))
        .collect();
    let at_least = |number: i64| usize::try_from(number).unwrap_or(0);
    let start = at_least(query.start.unwrap_or(1)).max(1);
    let count = query.count.map_or(PAGE, at_least).min(LARGEST_PAGE);
    let total = found.len();
    let shown: Vec<Value> = found.into_iter().skip(start - 1).take(count).map(|one| shown(one, query)).collect();
    Ok(json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": shown.len(),
        "Resources": shown,
    }))
}

/// Without what is not asked for. Names of attributes are those of the top.
pub fn shown(mut resource: Value, query: &ScimQuery) -> Value {
    let named = |names: &[String], key: &str| {
        let top = |name: &String| filter::path(name).into_iter().next().unwrap_or_default();
        names.iter().any(|name| top(name).eq_ignore_ascii_case(key))
    };
    if let Some(fields) = resource.as_object_mut() {
        let always = |key: &str| key == "id" || key == "schemas";
        fields.retain(|key, _| always(key) || query.attributes.is_empty() || named(&query.attributes, key));
        fields.retain(|key, _| always(key) || !named(&query.excluded, key));
    }
    resource
}

fn meta(kind: &str, id: &str, created: Time, changed: Time) -> Value {
    let at = |time: Time| time.to_utc().format(&Rfc3339).unwrap_or_default();
    json!({
        "resourceType": kind,
        "created": at(created),
        "lastModified": at(changed),
        "location": format!("/scim/v2/{kind}s/{id}"),
    })
}

/// Fails with `Busy` when there are as many as there may be.
fn check_count(there: usize, most: usize, what: &str) -> Result<()> {
    match there < most {
        true => Ok(()),
        false => Err(Error::busy(format!("there are {most} {what} of this provider"))),
    }
}

/// A text that may be there.
fn text(resource: &Value, name: &str) -> Result<Option<String>> {
    match filter::field(resource, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= TEXT && !text.chars().any(char::is_control) => {
            Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
        }
        Some(_) => Err(Error::invalid(name, format!("must be a text of at most {TEXT} letters"))),
    }
}

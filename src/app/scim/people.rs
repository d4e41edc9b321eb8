//! People of SCIM: their resource, and the account behind it.
//!
//! An account that a provider makes has no mail address of its own until its person has signed in by that provider, which
//! says that the address is theirs: so nobody holds an address that is not theirs, and nobody learns whether another
//! organization has an account with it.

use super::{Provisioner, ScimQuery, USER, check_count, filter::Filter, groups::Groups, listed, meta, patch, profile};
use crate::{access::check_person, users::retry};
use serde_json::{Value, json};
use store::{Batch, Stored, acting};
use types::{Asker, Email, Error, Fact, Kind, Result, Role, SCIM_NOWHERE, ScimProfile, ScimUser, User, UserId};

/// Whom one provider may put in.
const MOST: usize = 10_000;

impl Provisioner {
    pub fn users(&self, query: &ScimQuery) -> Result<Value> {
        listed(self.resources(query)?, query)
    }

    /// Those that a filter may find: one who is asked for by name is looked up.
    pub(super) fn resources(&self, query: &ScimQuery) -> Result<Vec<Value>> {
        let filter = query.filter.as_deref().map(Filter::read).transpose()?;
        let known = match filter.as_ref().and_then(Filter::user_name) {
            Some(name) => {
                let claim = format!("{}/{}", self.provider.id, name.to_lowercase());
                self.access.store.scim_users.claimed(&claim)?.into_iter().collect()
            }
            None => self.all()?,
        };
        let groups = self.memberships()?;
        let shown = known.iter().filter(|one| !one.gone).map(|one| self.resource(one, &groups));
        // An administrator may have removed the account.
        Ok(shown.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    pub fn user(&self, id: &str) -> Result<Value> {
        let known = self.known(id)?;
        let shown = self.resource(&known, &self.memberships()?)?;
        shown.ok_or_else(|| Error::not_found(Kind::ScimUser, id))
    }

    fn all(&self) -> Result<Vec<Stored<ScimUser>>> {
        self.access.store.scim_users.prefix(&format!("{}/", self.provider.id))
    }

    /// Puts somebody in: whom it took away, an account of the organization with their address, or a new one. Fails with
    /// `Taken` when somebody has the name, or the account is an owner's or nobody's.
    pub async fn add(&self, resource: &Value) -> Result<Value> {
        let profile = profile::read(resource)?;
        self.check_domain(&profile)?;
        let _team = self.access.team.lock().await;
        let all = self.all()?;
        check_count(all.len(), MOST, "people")?;
        let name = profile.user_name.to_lowercase();
        if all.iter().any(|one| !one.gone && one.profile.user_name.to_lowercase() == name) {
            return Err(taken(&profile));
        }
        let is_same = |one: &Stored<ScimUser>| {
            let has_mail = profile.email().is_some_and(|email| one.profile.email() == Some(email));
            one.gone && (one.profile.user_name.to_lowercase() == name || has_mail)
        };
        let id = match all.into_iter().find(is_same) {
            Some(before) => self.take_back(before, profile).await?,
            None => self.put_in(profile).await?,
        };
        self.follow(&id).await?;
        self.user(id.as_str())
    }

    async fn take_back(&self, mut before: Stored<ScimUser>, profile: ScimProfile) -> Result<UserId> {
        let user = self.access.store.users.get(before.user.as_str())?;
        self.may_touch(&user).map_err(|_| taken(&profile))?;
        before.gone = false;
        before.profile = profile;
        before.changed_at = self.access.world.now();
        self.commit(Batch::new().save(before)).await?;
        Ok(user.value.id)
    }

    async fn put_in(&self, profile: ScimProfile) -> Result<UserId> {
        let store = &self.access.store;
        let now = self.access.world.now();
        let record = |user: &UserId| ScimUser {
            provider: self.provider.id.clone(),
            organization: self.provider.organization.clone(),
            user: user.clone(),
            profile: profile.clone(),
            shut: false,
            gone: false,
            created_at: now,
            changed_at: now,
        };
        let found = match profile.email() {
            Some(email) => store.users.claimed(email.as_str())?,
            None => None,
        };
        // Other organizations' people are not there.
        if let Some(user) = found.filter(|user| user.organization == self.provider.organization) {
            self.may_touch(&user).map_err(|_| taken(&profile))?;
            self.commit(Batch::new().insert(record(&user.id))).await?;
            return Ok(user.value.id);
        }
        let email = format!("{}.{}{SCIM_NOWHERE}", plain(&profile.user_name), self.access.world.word(8)).parse()?;
        let role = self.provider.default_role.unwrap_or(Role::Member);
        let user = self.access.account(&self.provider.organization, email, called(&profile), role);
        let record = record(&user.id);
        self.commit(Batch::new().insert(user.clone()).insert(record)).await?;
        let fact = Fact::UserProvisioned {
            user: user.id.clone(),
            email: profile.user_name,
            provider: self.provider.name.clone(),
        };
        self.access.events.emit(&self.actor, fact).await;
        Ok(user.id)
    }

    pub async fn replace(&self, id: &str, resource: &Value) -> Result<Value> {
        let before = self.known(id)?;
        let mut after = profile::read(resource)?;
        if profile::says_nothing_of_active(resource) {
            after.active = before.profile.active;
        }
        self.change(before, after).await
    }

    pub async fn patch(&self, id: &str, request: &Value) -> Result<Value> {
        let before = self.known(id)?;
        let mut resource = profile::written(&before.profile);
        patch::apply(&mut resource, request)?;
        let mut after = profile::read(&resource)?;
        if profile::says_nothing_of_active(&resource) {
            after.active = None;
        }
        self.change(before, after).await
    }

    async fn change(&self, mut record: Stored<ScimUser>, after: ScimProfile) -> Result<Value> {
        self.check_domain(&after)?;
        let _team = self.access.team.lock().await;
        let id = record.user.clone();
        let mut account = self.access.store.users.get(id.as_str())?;
        self.may_touch(&account)?;
        if record.profile != after {
            let name = called(&after);
            let is_renamed = name != called(&record.profile);
            record.profile = after;
            record.changed_at = self.access.world.now();
            let mut batch = Batch::new();
            if is_renamed && account.name != name {
                account.name = name;
                batch = batch.save(account);
            }
            self.commit(batch.save(record)).await?;
        }
        self.follow(&id).await?;
        self.user(id.as_str())
    }

    /// Takes somebody away: their account is disabled, what they had ends, and the provider knows them no more.
    pub async fn take_away(&self, id: &str) -> Result<()> {
        let _team = self.access.team.lock().await;
        let store = &self.access.store;
        self.known(id)?;
        let user = store.users.get(id)?;
        self.may_touch(&user)?;
        let work = retry(store, || {
            let (mut record, mut account) = (self.known(id)?, store.users.get(id)?);
            let mut batch = self.end_all(Batch::new(), &record.user)?;
            if !account.disabled {
                account.disabled = true;
                record.shut = true;
                batch = batch.save(account);
            }
            for mut group in self.groups_of(&record.user)? {
                group.members.retain(|member| *member != record.user);
                batch = batch.save(group);
            }
            record.gone = true;
            Ok((batch.save(record), ()))
        });
        acting(Asker::from(&self.actor), work).await?;
        self.tell(&user.id).await
    }

    /// Gives the account the role of its groups, and shuts or opens it as the provider says. What an administrator disabled
    /// stays so. Who calls it holds the team.
    pub(super) async fn follow(&self, id: &UserId) -> Result<()> {
        let store = &self.access.store;
        let before = store.users.get(id.as_str())?;
        self.may_touch(&before)?;
        let role = self.role(&before)?;
        let work = retry(store, || {
            let (mut record, mut user) = (self.known(id.as_str())?, store.users.get(id.as_str())?);
            let (was, mut batch) = ((record.value.clone(), user.value.clone()), Batch::new());
            match record.profile.active {
                Some(false) if !user.disabled => {
                    batch = self.end_all(batch, id)?;
                    user.disabled = true;
                    record.shut = true;
                }
                Some(true) if record.shut => {
                    user.disabled = false;
                    record.shut = false;
                }
                _ => {}
            }
            user.role = role;
            if user.value != was.1 {
                batch = batch.save(user);
            }
            if record.value != was.0 {
                batch = batch.save(record);
            }
            Ok((batch, ()))
        });
        acting(Asker::from(&self.actor), work).await?;
        let after = store.users.get(id.as_str())?;
        let name = self.shown_name(id)?;
        self.access.tell_raised(&self.actor, id, name, before.role, after.role).await;
        match after.role == before.role && after.disabled == before.disabled {
            true => Ok(()),
            false => self.tell(id).await,
        }
    }

    /// The role that the groups of SCIM give; without rules for groups it stays as it is.
    fn role(&self, user: &User) -> Result<Role> {
        if self.provider.groups.is_empty() {
            return Ok(user.role);
        }
        let groups: Vec<String> = self.groups_of(&user.id)?.into_iter().map(|group| group.name.clone()).collect();
        let given = self.provider.role(&groups, |group, written| group == written);
        Ok(given.unwrap_or(Role::Member))
    }

    async fn tell(&self, id: &UserId) -> Result<()> {
        let fact = Fact::UserChanged {
            user: id.clone(),
            email: self.shown_name(id)?,
        };
        self.access.events.emit(&self.actor, fact).await;
        Ok(())
    }

    fn shown_name(&self, id: &UserId) -> Result<String> {
        let user = self.access.store.users.get(id.as_str())?;
        Ok(self.access.shown_address(&user)?.to_string())
    }

    /// Owners are the panel's own, service accounts its administrators', and others another organization's.
    fn may_touch(&self, user: &User) -> Result<()> {
        match self.access.owns_some(user)? || user.service || user.organization != self.provider.organization {
            true => Err(Error::Forbidden {
                needs: "an account that a provider may change: owners and service accounts are the panel's own".into(),
            }),
            false => Ok(()),
        }
    }

    pub(super) fn known(&self, id: &str) -> Result<Stored<ScimUser>> {
        let found = self.access.store.scim_users.find(&format!("{}/{id}", self.provider.id))?;
        let missing = || Error::not_found(Kind::ScimUser, id);
        let found = found.filter(|one| !one.gone).ok_or_else(missing)?;
        // An administrator may have removed the account.
        self.access.store.users.find(id)?.ok_or_else(missing)?;
        Ok(found)
    }

    fn check_domain(&self, profile: &ScimProfile) -> Result<()> {
        match profile.email() {
            Some(email) if !self.provider.takes(email.as_str()) => Err(Error::invalid(
                "emails",
                "addresses of this domain are not taken from this provider",
            )),
            None if !profile.emails.is_empty() => Err(Error::invalid("emails", "the primary one is no mail address")),
            _ => Ok(()),
        }
    }

    fn resource(&self, record: &ScimUser, groups: &Groups) -> Result<Option<Value>> {
        let id = record.user.as_str();
        let Some(user) = self.access.store.users.find(id)? else {
            return Ok(None);
        };
        let mut resource = profile::written(&record.profile);
        let fields = resource.as_object_mut().expect("it is one");
        fields.insert("schemas".into(), json!([USER]));
        fields.insert("id".into(), json!(id));
        match record.profile.active {
            Some(active) => drop(fields.insert("active".into(), json!(active && !user.disabled))),
            None if user.disabled && !record.shut => drop(fields.insert("active".into(), json!(false))),
            None => {}
        }
        if let Some(groups) = groups.get(&record.user) {
            fields.insert("groups".into(), json!(groups));
        }
        fields.insert("meta".into(), meta("User", id, record.created_at, record.changed_at));
        Ok(Some(resource))
    }

    /// Adds the end of an account's sessions and tokens to `batch`.
    fn end_all(&self, batch: Batch, id: &UserId) -> Result<Batch> {
        let mut batch = self.access.end_sessions(batch, id, None)?;
        for token in self.access.store.tokens.list()?.iter().filter(|token| token.user == *id) {
            batch = batch.remove(token);
        }
        Ok(batch)
    }
}

fn taken(profile: &ScimProfile) -> Error {
    Error::Taken {
        kind: Kind::ScimUser,
        name: profile.user_name.clone(),
        by: None,
    }
}

/// What stands before the @ of an address that is nobody's.
fn plain(name: &str) -> String {
    let local = name.split('@').next().unwrap_or_default();
    let plain = local
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(30)
        .collect::<String>()
        .to_lowercase();
    if plain.is_empty() { "somebody".into() } else { plain }
}

fn called(profile: &ScimProfile) -> String {
    let parts = [profile.given_name.as_deref(), profile.family_name.as_deref()];
    let joined = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let given = profile.display_name.clone().or_else(|| profile.formatted.clone()).unwrap_or(joined);
    let local = profile.user_name.split('@').next().unwrap_or_default().to_owned();
    let given: String = if given.is_empty() { local } else { given };
    check_person(&given.chars().take(100).collect::<String>()).unwrap_or_else(|_| "Somebody".into())
}

impl crate::access::Access {
    /// Whom a provider put in with this address, or with it as their name.
    pub(crate) fn provisioned(&self, provider: &types::IdentityProviderId, email: &Email) -> Result<Option<Stored<ScimUser>>> {
        let all = self.store.scim_users.prefix(&format!("{provider}/"))?;
        Ok(all.into_iter().find(|one| !one.gone && one.profile.email().as_ref() == Some(email)))
    }

    /// The names of the groups that a provider put somebody into.
    pub(crate) fn provisioned_groups(&self, provider: &types::IdentityProviderId, user: &UserId) -> Result<Vec<String>> {
        let mut groups = self.store.scim_groups.prefix(&format!("{provider}/"))?;
        groups.retain(|group| group.members.contains(user));
        Ok(groups.into_iter().map(|group| group.name.clone()).collect())
    }

    /// Whether a provider put somebody into its group of this name.
    pub(crate) fn is_put_into(&self, provider: &types::IdentityProviderId, group: &str, user: &UserId) -> Result<bool> {
        let found = self.store.scim_groups.claimed(&format!("{provider}/{}", group.to_lowercase()))?;
        Ok(found.is_some_and(|found| found.name == group && found.members.contains(user)))
    }

    /// The address of an account as others see it: of whom a provider put in, and who has not signed in yet, the one that
    /// the provider tells.
    pub(crate) fn shown_address(&self, user: &User) -> Result<Email> {
        if user.has_address() {
            return Ok(user.email.clone());
        }
        let known = self.store.scim_users.claimed(&format!("user/{}", user.id))?;
        Ok(known.and_then(|known| known.profile.email()).unwrap_or_else(|| user.email.clone()))
    }
}

//! Identity providers: setting them up, testing them, taking them away. Signing in by one is `sessions/external.rs`.

mod rules;
mod settings;

use crate::{
    access::{Access, Visitor, check_name},
    saml::{SamlWish, nowhere},
    users::{may_give, retry},
};
use identity::Finding;
pub use rules::GroupWish;
pub(crate) use rules::may_say_who_is_who;
use rules::no_owners;
use settings::place;
pub(crate) use settings::{line, pem};
use std::sync::Arc;
use store::{Batch, Stored};
use types::{Action, Actor, Error, Fact, IdentityProvider, IdentityProviderId, Kind, LdapSettings, Protocol, Result, Role, Secret};
use url::Url;

/// Of an organization.
const MOST: usize = 20;
const NAME: usize = 40;
const RULES: usize = 200;

/// Sets up, tests and removes identity providers.
#[derive(Clone)]
pub struct IdentityProviders {
    pub(crate) access: Arc<Access>,
}

/// A provider as it should be.
#[derive(Debug, Clone)]
pub struct ProviderWish {
    pub name: String,
    pub enabled: bool,
    pub protocol: ProtocolWish,
    pub domains: Vec<String>,
    pub provision: bool,
    pub default_role: Option<Role>,
    pub groups: Vec<GroupWish>,
}

/// Secrets that are `None` stay as they are, as long as they go to the same place; empty ones are taken away.
#[derive(Debug, Clone)]
pub enum ProtocolWish {
    Oidc {
        issuer: String,
        client_id: String,
        client_secret: Option<Secret>,
        scopes: Vec<String>,
        groups_claim: String,
        trusts_emails: bool,
        authority: Option<String>,
    },
    Ldap {
        settings: Box<LdapSettings>,
        bind_password: Option<Secret>,
    },
    Saml(Box<SamlWish>),
}

impl IdentityProviders {
    pub(crate) fn new(access: Arc<Access>) -> IdentityProviders {
        IdentityProviders { access }
    }

    /// Those of the organization, oldest first.
    pub fn list(&self, actor: &Actor) -> Result<Vec<IdentityProvider>> {
        actor.may(Action::ViewTeam)?;
        let mut all = self.access.store.identity_providers.list()?;
        all.retain(|one| one.organization == actor.organization);
        Ok(all.into_iter().map(|one| one.value).collect())
    }

    /// Those that somebody may sign in by now. Anybody may ask.
    pub fn offered(&self) -> Result<Vec<IdentityProvider>> {
        let mut all = self.access.store.identity_providers.list()?;
        all.retain(|one| one.enabled);
        Ok(all.into_iter().map(|one| one.value).collect())
    }

    pub fn get(&self, actor: &Actor, id: &str) -> Result<IdentityProvider> {
        actor.may(Action::ViewTeam)?;
        Ok(self.own(actor, id)?.value)
    }

    pub async fn create(&self, actor: &Actor, wish: ProviderWish) -> Result<IdentityProvider> {
        actor.may(Action::Secure)?;
        if self.list(actor)?.len() >= MOST {
            return Err(Error::busy(format!("there are {MOST} identity providers; remove one first")));
        }
        let provider = self.made(actor, self.access.world.id(), wish, None).await?;
        let provider = self.access.store.identity_providers.insert(provider).await?.value;
        self.access.tell_provider(actor, &provider.name, "added").await;
        Ok(provider)
    }

    /// Puts another in its place; who it is for stays. Turned off, its sessions end.
    pub async fn replace(&self, actor: &Actor, id: &str, wish: ProviderWish) -> Result<IdentityProvider> {
        actor.may(Action::Secure)?;
        let before = self.own(actor, id)?;
        let mut after = self.made(actor, before.id.clone(), wish, Some(&before)).await?;
        after.created_at = before.created_at;
        let ends = !after.enabled || place(&after.protocol) != place(&before.protocol);
        self.end(&before, ends, |batch, mut stored| {
            stored.value = after.clone();
            batch.save(stored)
        })
        .await?;
        let what = match (before.enabled, after.enabled) {
            (false, true) => "turned on",
            (true, false) => "turned off",
            _ => "changed",
        };
        if before.value != after {
            self.access.tell_provider(actor, &after.name, what).await;
        }
        Ok(after)
    }

    /// Removes it: its sessions end, and nobody is known by it any more. Their accounts stay.
    pub async fn remove(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.may(Action::Secure)?;
        let before = self.own(actor, id)?;
        self.end(&before, true, |batch, stored| batch.remove(&stored)).await?;
        for identity in self.access.store.external_identities.prefix(&format!("{id}/"))? {
            let removed = self.access.store.commit(Batch::new().remove(&identity)).await;
            removed.or_else(crate::access::settled)?;
        }
        self.access.forget_provisioning(id).await?;
        self.access.tell_provider(actor, &before.name, "removed").await;
        Ok(())
    }

    /// Changes the record, with the end of the sessions that began by it.
    async fn end(&self, before: &IdentityProvider, ends: bool, change: impl Fn(Batch, Stored<IdentityProvider>) -> Batch) -> Result<()> {
        let store = &self.access.store;
        retry(store, || {
            let mut batch = change(Batch::new(), store.identity_providers.get(before.id.as_str())?);
            for session in store.sessions.list()?.iter().filter(|_| ends) {
                if session.provider.as_ref() == Some(&before.id) {
                    batch = batch.remove(session);
                }
            }
            Ok((batch, ()))
        })
        .await
    }

    /// Tries it, and says what is wrong; `user`: somebody of a directory to look for.
    pub async fn test(&self, actor: &Actor, id: &str, user: Option<&str>, visitor: &Visitor) -> Result<Vec<Finding>> {
        actor.may(Action::Secure)?;
        let provider = self.own(actor, id)?;
        Ok(match &provider.protocol {
            Protocol::Oidc(settings) => {
                let redirect = redirect(visitor).unwrap_or_else(|_| nowhere());
                self.access.relying(settings)?.test(&redirect).await
            }
            Protocol::Ldap(settings) => self.access.directory(settings)?.test(user).await,
            Protocol::Saml(settings) => self.access.peer(settings)?.test(self.access.world.now()).await,
        })
    }

    fn own(&self, actor: &Actor, id: &str) -> Result<Stored<IdentityProvider>> {
        let found = self.access.store.identity_providers.find(id)?;
        let own = found.filter(|one| one.organization == actor.organization);
        own.ok_or_else(|| Error::not_found(Kind::IdentityProvider, id))
    }

    async fn made(
        &self,
        actor: &Actor,
        id: IdentityProviderId,
        wish: ProviderWish,
        before: Option<&IdentityProvider>,
    ) -> Result<IdentityProvider> {
        if wish.default_role == Some(Role::Owner) {
            return Err(no_owners());
        }
        if wish.groups.len() > RULES {
            return Err(Error::invalid("groups", format!("must be at most {RULES}")));
        }
        let groups = self.read_rules(actor, &wish.groups, before)?;
        let mut domains = Vec::new();
        for domain in wish
            .domains
            .iter()
            .map(|domain| domain.trim().trim_start_matches('@').to_lowercase())
        {
            let host: types::Host = domain
                .parse()
                .map_err(|_| Error::invalid("domains", format!("`{domain}` is no domain")))?;
            domains.push(host.to_string());
        }
        let name = check_name("name", &wish.name, NAME)?;
        let protocol = self.protocol(wish.protocol, before.map(|before| &before.protocol)).await?;
        // What was there stays only where the same provider says the same of people.
        let same = before.filter(|before| before.protocol == protocol);
        if same.is_none() {
            may_say_who_is_who(actor)?;
        }
        if let Some(role) = wish.default_role
            && same.is_none_or(|same| same.default_role != wish.default_role)
        {
            may_give(actor, role)?;
        }
        Ok(IdentityProvider {
            id,
            organization: actor.organization.clone(),
            name,
            enabled: wish.enabled,
            protocol,
            domains,
            provision: wish.provision,
            default_role: wish.default_role,
            groups,
            created_at: self.access.world.now(),
        })
    }
}

impl Access {
    /// Who may say who people are is worth a notice.
    pub(crate) async fn tell_provider(&self, actor: &Actor, name: &str, what: &str) {
        let (name, what) = (name.to_owned(), what.to_owned());
        self.events.emit(actor, Fact::IdentityProviderChanged { name, what }).await;
    }
}

/// Where providers send the browser back to: the panel's page at the address that it was opened by.
pub(crate) fn redirect(visitor: &Visitor) -> Result<Url> {
    let origin = visitor.origin.as_deref().and_then(|origin| Url::parse(origin).ok());
    let mut url = origin
        .filter(|origin| origin.scheme() == "https")
        .ok_or_else(|| Error::invalid("origin", "sign-ins by an identity provider begin in a browser"))?;
    url.set_path("/sso");
    Ok(url)
}

#[cfg(test)]
mod tests {
    //! Signing in by a provider is tried with real ones: `tests/identity_providers.rs` and `tests/ldap.rs`.
    use super::*;
    use crate::{
        access::tests::{Gate, visitor},
        security::SecurityChange,
        sessions::Back,
    };
    use store::counted;
    use types::{Assurance, ExternalIdentity, Held, ScimGroup, SecondFactorPolicy, Spot, User};

    fn wish(name: &str) -> ProviderWish {
        ProviderWish {
            name: name.into(),
            enabled: true,
            protocol: ProtocolWish::Oidc {
                issuer: "https://id.example.com".into(),
                client_id: "panel".into(),
                client_secret: Some("secret".into()),
                scopes: vec!["email".into()],
                groups_claim: "groups".into(),
                trusts_emails: false,
                authority: None,
            },
            domains: vec!["@Example.com".into()],
            provision: true,
            default_role: Some(Role::Viewer),
            groups: Vec::new(),
        }
    }

    #[tokio::test]
    async fn who_may_and_whose_they_are() {
        let (gate, owner) = Gate::claimed().await;
        let all = &gate.identity_providers;
        let (_, developer) = gate.add(&owner, "dev@example.com", Role::Developer).await;
        let here = visitor("10.0.0.1");
        let one = all.create(&owner, wish("Example")).await.expect("made");
        let id = one.id.as_str();
        assert_eq!(one.domains, ["example.com"]);
        let Protocol::Oidc(settings) = &one.protocol else {
            panic!("it is OpenID Connect")
        };
        let sealed = settings.client_secret.as_ref().expect("kept");
        assert!(!format!("{one:?}").contains("\"secret\"") && sealed.0 != "secret");
        assert!(matches!(all.create(&owner, wish("example")).await, Err(Error::Taken { .. })));
        for refused in [
            all.list(&developer).err(),
            all.get(&developer, id).err(),
            all.create(&developer, wish("x")).await.err(),
            all.replace(&developer, id, wish("x")).await.err(),
            all.remove(&developer, id).await.err(),
            all.test(&developer, id, None, &here).await.err(),
        ] {
            assert!(matches!(refused, Some(Error::Forbidden { .. })), "{refused:?}");
        }
        let mut stranger = owner.clone();
        stranger.organization = gate.access.world.id();
        assert!(all.list(&stranger).expect("lists").is_empty());
        for missing in [
            all.get(&stranger, id).err(),
            all.replace(&stranger, id, wish("x")).await.err(),
            all.remove(&stranger, id).await.err(),
            all.test(&stranger, id, None, &here).await.err(),
        ] {
            assert!(matches!(missing, Some(Error::NotFound { .. })), "{missing:?}");
        }
        let mut kept = wish("Example");
        let ProtocolWish::Oidc { client_secret, .. } = &mut kept.protocol else {
            panic!("it is OpenID Connect")
        };
        *client_secret = None;
        let same = all.replace(&owner, id, kept.clone()).await.expect("replaced");
        assert_eq!(same.protocol, one.protocol, "the secret stays");
        let ProtocolWish::Oidc { issuer, .. } = &mut kept.protocol else {
            panic!("it is OpenID Connect")
        };
        *issuer = "https://evil.example.com".into();
        assert!(matches!(all.replace(&owner, id, kept).await, Err(Error::Invalid { .. })));
    }

    /// A provider that somebody slips in is a way in for good.
    #[tokio::test]
    async fn what_becomes_of_a_provider_is_told() {
        let (gate, owner) = Gate::claimed().await;
        let all = &gate.identity_providers;
        let scim = crate::scim::Scim::new(gate.access.clone());
        let one = all.create(&owner, wish("Example")).await.expect("made");
        let id = one.id.as_str();
        let mut same = wish("Example");
        let ProtocolWish::Oidc { client_secret, .. } = &mut same.protocol else {
            panic!("it is OpenID Connect")
        };
        *client_secret = None;
        all.replace(&owner, id, same.clone()).await.expect("as it was");
        for (name, enabled) in [("Example", false), ("Example", true), ("Another", true)] {
            (same.name, same.enabled) = (name.to_owned(), enabled);
            all.replace(&owner, id, same.clone()).await.expect("replaced");
        }
        scim.renew(&owner, id, None).await.expect("a token");
        scim.remove(&owner, id).await.expect("turned off");
        all.remove(&owner, id).await.expect("removed");
        let told: Vec<String> = gate
            .events()
            .iter()
            .filter(|event| matches!(event.fact, Fact::IdentityProviderChanged { .. }) && event.fact.is_security())
            .map(|event| event.fact.words())
            .collect();
        assert_eq!(
            told,
            [
                "added the identity provider Example",
                "turned off the identity provider Example",
                "turned on the identity provider Example",
                "changed the identity provider Another",
                "made a SCIM token for the identity provider Another",
                "took the SCIM token of the identity provider Another",
                "removed the identity provider Another",
            ]
        );
    }

    /// Who may set providers up, and no more, lets nobody in with more.
    #[tokio::test]
    async fn nobody_gives_by_a_provider_what_they_do_not_have() {
        let (gate, owner) = Gate::claimed().await;
        let all = &gate.identity_providers;
        let (_, mut guard) = gate.add(&owner, "guard@example.com", Role::Member).await;
        guard.held = vec![Held {
            rights: [Action::View, Action::ViewTeam, Action::Secure].into(),
            spot: Spot::Organization,
        }];
        let by_group = |name: &str, role: &str| ProviderWish {
            default_role: None,
            groups: vec![GroupWish {
                group: "ops".into(),
                role: role.into(),
                place: None,
            }],
            ..wish(name)
        };
        let is_forbidden = |result: Result<IdentityProvider>| matches!(result, Err(Error::Forbidden { .. }));
        assert!(is_forbidden(all.create(&guard, by_group("Own", "admin")).await));
        // One that gives nothing would still say who is an administrator here.
        assert!(is_forbidden(all.create(&guard, by_group("Own", "member")).await));
        let (_, admin) = gate.add(&owner, "admin@example.com", Role::Admin).await;
        let own = all.create(&admin, by_group("Own", "member")).await.expect("an administrator may");
        let mut by_default = ProviderWish {
            default_role: Some(Role::Developer),
            ..by_group("Own", "member")
        };
        let ProtocolWish::Oidc { client_secret, .. } = &mut by_default.protocol else {
            panic!("it is OpenID Connect")
        };
        *client_secret = None;
        assert!(is_forbidden(all.replace(&guard, own.id.as_str(), by_default).await));

        // What somebody else has set stays where the same provider says the same of people.
        let theirs = all.create(&owner, by_group("Theirs", "admin")).await.expect("made");
        let changed = |secret: Option<&str>, at: &str, claim: &str| {
            let mut changed = by_group("Theirs", "admin");
            changed.domains.clear();
            let ProtocolWish::Oidc {
                issuer,
                client_secret,
                groups_claim,
                ..
            } = &mut changed.protocol
            else {
                panic!("it is OpenID Connect")
            };
            *client_secret = secret.map(Secret::from);
            (*issuer, *groups_claim) = (at.to_owned(), claim.to_owned());
            changed
        };
        let here = "https://id.example.com";
        for (secret, issuer, claim, is_same) in [
            (None, here, "groups", true),
            (None, here, "nickname", false),
            (Some("another"), "https://evil.example.com", "groups", false),
        ] {
            let replaced = all.replace(&guard, theirs.id.as_str(), changed(secret, issuer, claim)).await;
            assert_eq!(replaced.is_ok(), is_same, "{issuer} {claim}");
            assert!(is_same || is_forbidden(replaced), "{issuer} {claim}");
        }
        let moved = changed(Some("another"), "https://new.example.com", "groups");
        all.replace(&owner, theirs.id.as_str(), moved).await.expect("an owner may");

        // Nor by SCIM, where who has the token says who is in a group, and who is there.
        let scim = crate::scim::Scim::new(gate.access.clone());
        for provider in [&theirs, &own] {
            let refused = scim.renew(&guard, provider.id.as_str(), None).await.err();
            assert!(matches!(refused, Some(Error::Forbidden { .. })), "{refused:?}");
        }
        scim.renew(&admin, own.id.as_str(), None).await.expect("an administrator may");
    }

    /// Who somebody is at a provider that put them into these groups of its rules.
    fn known(gate: &Gate, provider: &IdentityProvider, user: &User, subject: &str, groups: &[&str]) -> ExternalIdentity {
        let now = gate.access.world.now();
        ExternalIdentity {
            provider: provider.id.clone(),
            subject: subject.into(),
            organization: provider.organization.clone(),
            user: user.id.clone(),
            login: None,
            created_at: now,
            last_used_at: now,
            checked_at: now,
            refresh: None,
            unanswered_since: None,
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    /// It is asked at each request, so it must not cost more with each person whom a provider knows.
    #[tokio::test]
    async fn what_groups_give_is_read_of_who_asks_alone() {
        let (gate, owner) = Gate::claimed().await;
        let (access, store) = (&gate.access, &gate.access.store);
        let rights = [Action::Deploy].into();
        gate.rights.create_role(&owner, "Builder", "", rights).await.expect("made");
        let by_group = ProviderWish {
            groups: vec![GroupWish {
                group: "Dev".into(),
                role: "Builder".into(),
                place: None,
            }],
            ..wish("Example")
        };
        let provider = gate.identity_providers.create(&owner, by_group).await.expect("made");
        let (amy, _) = gate.add(&owner, "amy@example.com", Role::Member).await;
        let (bob, _) = gate.add(&owner, "bob@example.com", Role::Member).await;
        let (cy, _) = gate.add(&owner, "cy@example.com", Role::Member).await;
        let asked = async |user: &User| {
            let (held, effort) = counted(async { access.held(&user.id, &owner.organization).expect("read") }).await;
            (held.len(), effort.records)
        };
        // One that the provider made anew is somebody else to it, and the same person here.
        for (subject, groups) in [("1", &["Dev"][..]), ("1/anew", &[][..])] {
            let identity = known(&gate, &provider, &bob, subject, groups);
            store.external_identities.insert(identity).await.expect("kept");
        }
        let (held, records) = asked(&bob).await;
        assert_eq!(held, 1);
        for number in 0..30 {
            let identity = known(&gate, &provider, &amy, &format!("a{number}"), &["Dev"]);
            store.external_identities.insert(identity).await.expect("kept");
        }
        let now = access.world.now();
        for (name, members) in [("Dev", [&cy, &amy]), ("ops", [&bob, &amy]), ("staff", [&bob, &amy])] {
            let group = ScimGroup {
                id: access.world.id(),
                provider: provider.id.clone(),
                organization: owner.organization.clone(),
                name: name.into(),
                external_id: None,
                members: members.iter().map(|user| user.id.clone()).collect(),
                created_at: now,
                changed_at: now,
            };
            store.scim_groups.insert(group).await.expect("kept");
        }
        assert_eq!(asked(&bob).await, (1, records + 1), "only the group of the rule is read beside");
        assert_eq!((asked(&amy).await.0, asked(&cy).await.0), (1, 1));

        let leave = |one: &mut ExternalIdentity| {
            one.groups.clear();
            Ok(())
        };
        let key = format!("{}/1", provider.id);
        store.external_identities.update(&key, leave).await.expect("left");
        assert_eq!(asked(&bob).await.0, 0);
        assert_eq!(asked(&amy).await.0, 1, "nobody else has left");
        gate.users.remove(&owner, amy.id.as_str()).await.expect("removed");
        assert_eq!(store.external_identities.list().expect("lists").len(), 2, "hers are gone");
        assert_eq!((asked(&amy).await.0, asked(&cy).await.0), (0, 1));
    }

    #[tokio::test]
    async fn a_session_stands_and_falls_with_its_provider() {
        let (gate, owner) = Gate::claimed().await;
        let all = &gate.identity_providers;
        let one = all.create(&owner, wish("Example")).await.expect("made");
        let (bob, _) = gate.add(&owner, "bob@example.com", Role::Developer).await;
        let store = &gate.access.store;
        let identity = known(&gate, &one, &bob, "1", &[]);
        store.external_identities.insert(identity).await.expect("kept");
        let begin = async || {
            let (mut session, word) = gate.access.new_session(&bob, &visitor("10.0.0.9")).expect("begun");
            session.provider = Some(one.id.clone());
            let session = store.sessions.insert(session).await.expect("kept").value;
            let signed = gate.access.let_in(bob.clone(), session, &word).expect("in");
            signed.jwt.expose_str().expect("text").to_owned()
        };
        let jwt = begin().await;
        // The provider has asked for what it asks for: the panel's policy binds those with a password here.
        let everyone = SecurityChange {
            second_factor: Some(SecondFactorPolicy::Everyone),
            grace_days: Some(0),
            tokens_bound: Some(true),
            ..SecurityChange::default()
        };
        gate.security.update(&owner, everyone).await.expect("changed");
        assert_eq!(gate.sessions.by_cookie(&jwt, None).expect("known").actor.assurance, Assurance::Full);
        assert_eq!(gate.access.token_assurance(&bob).expect("read"), Assurance::Full);
        let off = ProviderWish {
            enabled: false,
            ..wish("Example")
        };
        all.replace(&owner, one.id.as_str(), off).await.expect("turned off");
        assert!(gate.sessions.by_cookie(&jwt, None).is_err(), "at once");
        assert!(all.offered().expect("lists").is_empty());
        let late = begin().await;
        assert!(
            gate.sessions.by_cookie(&late, None).is_err(),
            "also one that was begun in that moment"
        );
        all.replace(&owner, one.id.as_str(), wish("Example")).await.expect("turned on");
        let again = begin().await;
        gate.sessions.by_cookie(&again, None).expect("known");
        all.remove(&owner, one.id.as_str()).await.expect("removed");
        assert!(gate.sessions.by_cookie(&again, None).is_err());
        assert!(store.external_identities.list().expect("lists").is_empty());
        let back = Back {
            state: "made-up".into(),
            code: "x".into(),
            issuer: None,
            cookie: None,
        };
        let refused = gate.sessions.create_by_oidc(back, &visitor("10.0.0.9")).await;
        assert!(matches!(refused, Err(Error::Unauthenticated { .. })));
    }
}

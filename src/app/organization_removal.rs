//! Deleting an organization: what would go is said before; then nobody acts in it any more, at once and in one step, and
//! what it had on the server and in the store is taken away. Housekeeping goes on with what a crash or a silent engine left.

use crate::{access::Access, ground::Ground, organizations::host, trash, users::retry};
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};
use store::{Batch, Store, Stored};
use types::{Action, Actor, Error, Fact, Kind, Membership, Organization, OrganizationId, Phase, Removal, Result, User, UserId, report};

/// A deployment that was told to end has so long to do it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What deleting an organization takes away. Nothing of it comes back.
#[derive(Debug, Clone)]
pub struct OrganizationPlan {
    pub name: String,
    pub projects: Vec<String>,
    /// With those in the trash.
    pub apps: Vec<String>,
    pub volumes: Vec<Removal>,
    pub domains: Vec<String>,
    pub certificates: Vec<String>,
    pub tokens: usize,
    /// Accounts that go: these people are in no other organization.
    pub people: Vec<String>,
    /// Accounts that stay, of people who are in others too.
    pub staying: Vec<String>,
}

#[derive(Clone)]
pub struct OrganizationRemoval {
    access: Arc<Access>,
    ground: Arc<Ground>,
}

/// Removes those of a collection that are meant.
macro_rules! without {
    ($batch:ident, $collection:expr, $one:ident => $is:expr) => {
        for $one in $collection.list()? {
            if $is {
                $batch = $batch.remove(&$one);
            }
        }
    };
}

impl OrganizationRemoval {
    pub(crate) fn new(access: Arc<Access>, ground: Arc<Ground>) -> OrganizationRemoval {
        OrganizationRemoval { access, ground }
    }

    /// What would go; for owners who act in it.
    pub async fn plan(&self, actor: &Actor, organization: &str) -> Result<OrganizationPlan> {
        let found = self.find(actor, organization)?;
        let (store, id) = (&self.ground.store, &found.id);
        let mut volumes = Vec::new();
        for volume in store.volumes.list()?.into_iter().filter(|one| one.organization == *id) {
            let bytes = self.ground.node.volume_bytes(&volume.engine_name).await.ok().flatten();
            volumes.push(Removal {
                kind: Kind::Volume,
                id: volume.id.to_string(),
                name: volume.name.to_string(),
                bytes: bytes.unwrap_or_default(),
            });
        }
        let domains: Vec<String> = of(&store.domains.list()?, |one| one.organization == *id, |one| one.host.to_string());
        let mut certificates = Vec::new();
        for domain in &domains {
            certificates.extend(store.certificates.find(domain)?.map(|one| one.host.to_string()));
        }
        for shared in store.shared_certificates.list()?.iter().filter(|one| one.organization == *id) {
            certificates.extend(shared.names.iter().map(ToString::to_string));
        }
        let (gone, staying) = people(store, id)?;
        Ok(OrganizationPlan {
            name: found.name.to_string(),
            projects: of(&store.projects.list()?, |one| one.organization == *id, |one| one.name.to_string()),
            apps: of(&store.apps.list()?, |one| one.organization == *id, |one| one.name.to_string()),
            volumes,
            domains,
            certificates,
            tokens: store.tokens.list()?.iter().filter(|one| one.organization == *id).count(),
            people: gone.iter().map(|user| user.email.to_string()).collect(),
            staying: staying.iter().map(|(user, _)| user.email.to_string()).collect(),
        })
    }

    /// Deletes the organization in which they act, for its owners; `typed` is its name again. Answers once nobody can act in it
    /// any more; what it had goes in the background.
    pub async fn remove(&self, actor: &Actor, organization: &str, typed: &str) -> Result<()> {
        let found = self.find(actor, organization)?;
        if typed != found.name.as_str() {
            return Err(Error::invalid(
                "confirm",
                format!("must be the name of the organization, `{}`", found.name),
            ));
        }
        let store = &self.ground.store;
        let host = host(store)?.ok_or_else(|| Error::not_found(Kind::Organization, organization))?;
        {
            let _team = self.access.team.lock().await;
            retry(store, || Ok((self.closed(&found.id)?, ()))).await?;
        }
        let fact = Fact::OrganizationRemoved {
            name: found.name.to_string(),
        };
        // Nobody is left there who could hear of it.
        let told = Actor {
            organization: host.id.clone(),
            ..actor.clone()
        };
        self.ground.events.emit(&told, fact).await;
        self.ground.wake_reconcile();
        let (ground, id) = (self.ground.clone(), found.id.clone());
        tokio::spawn(async move {
            if let Err(error) = finish(&ground, &id).await {
                tracing::warn!("removing an organization; it is tried again: {}", report(&error));
            }
        });
        Ok(())
    }

    /// The one in which they act, unless it runs the panel.
    fn find(&self, actor: &Actor, wanted: &str) -> Result<Stored<Organization>> {
        actor.may(Action::ManageOwners)?;
        let store = &self.ground.store;
        let found = store.organizations.get(actor.organization.as_str())?;
        if wanted != found.id.as_str() && wanted != found.name.as_str() {
            return Err(Error::not_found(Kind::Organization, wanted));
        }
        if host(store)?.is_none_or(|host| host.id == found.id) {
            return Err(Error::busy(format!("`{}` runs this panel and stays", found.name)));
        }
        Ok(found)
    }

    /// The step after which nobody acts in it: people, sessions, tokens and rights go, domains lead nowhere, apps are in the trash.
    fn closed(&self, id: &OrganizationId) -> Result<Batch> {
        let (store, now) = (&self.ground.store, self.ground.world.now());
        let mut organization = store.organizations.get(id.as_str())?;
        organization.removing = true;
        let mut batch = Batch::new().save(organization);
        let (gone, staying) = people(store, id)?;
        let ids: HashSet<&UserId> = gone.iter().map(|user| &user.id).collect();
        for user in &gone {
            batch = batch.remove(user);
        }
        for (user, membership) in &staying {
            let (mut user, home) = (user.clone(), &membership.organization);
            user.organization = home.clone();
            user.role = membership.role;
            batch = batch.save(user).remove(membership);
        }
        without!(batch, store.memberships, one => one.organization == *id);
        without!(batch, store.sessions, one => one.organization == *id || ids.contains(&one.user));
        without!(batch, store.tokens, one => one.organization == *id || ids.contains(&one.user));
        without!(batch, store.invitations, one => one.organization == *id);
        without!(batch, store.grants, one => one.organization == *id);
        without!(batch, store.teams, one => one.organization == *id);
        without!(batch, store.roles, one => one.organization == *id);
        without!(batch, store.external_identities, one => one.organization == *id || ids.contains(&one.user));
        without!(batch, store.identity_providers, one => one.organization == *id);
        without!(batch, store.provisionings, one => one.organization == *id);
        without!(batch, store.scim_users, one => one.organization == *id);
        without!(batch, store.scim_groups, one => one.organization == *id);
        without!(batch, store.password_resets, one => one.organization == *id);
        without!(batch, store.devices, one => one.organization == *id);
        batch = proofs(store, id, &staying, batch)?;
        without!(batch, store.domains, one => one.organization == *id);
        without!(batch, store.streams, one => one.organization == *id);
        for domain in store.domains.list()?.iter().filter(|one| one.organization == *id) {
            if let Some(certificate) = store.certificates.find(&domain.host.to_string())? {
                batch = batch.remove(&certificate);
            }
        }
        for mut app in store.apps.list()?.into_iter().filter(|one| one.organization == *id) {
            app.trashed_at = app.trashed_at.or(Some(now));
            batch = batch.save(app);
        }
        for mut deployment in store.deployments.list()? {
            if deployment.organization == *id && !deployment.phase.is_final() {
                deployment.cancel_requested = true;
                if deployment.phase == Phase::Queued {
                    deployment.enter(Phase::Cancelled, now);
                }
                batch = batch.save(deployment);
            }
        }
        Ok(batch)
    }
}

fn of<T>(all: &[Stored<T>], is: impl Fn(&T) -> bool, word: impl Fn(&T) -> String) -> Vec<String> {
    let mut words: Vec<String> = all.iter().map(|one| &one.value).filter(|one| is(one)).map(word).collect();
    words.sort();
    words
}

type Staying = Vec<(Stored<User>, Stored<Membership>)>;

/// Accounts of the organization: those that go, and those that stay, with the oldest of the memberships that becomes theirs.
fn people(store: &Store, id: &OrganizationId) -> Result<(Vec<Stored<User>>, Staying)> {
    let mut memberships = store.memberships.list()?;
    memberships.retain(|one| one.organization != *id);
    memberships.sort_by_key(|one| one.created_at);
    let (mut gone, mut staying) = (Vec::new(), Vec::new());
    for user in store.users.list()?.into_iter().filter(|user| user.organization == *id) {
        match memberships.iter().find(|one| one.user == user.id) {
            Some(membership) => staying.push((user, membership.clone())),
            None => gone.push(user),
        }
    }
    Ok((gone, staying))
}

/// What proves who somebody is goes with their account, or moves with it.
fn proofs(store: &Store, id: &OrganizationId, staying: &Staying, mut batch: Batch) -> Result<Batch> {
    let home_of = |user: &UserId| {
        let found = staying.iter().find(|(one, _)| one.id == *user);
        found.map(|(_, membership)| membership.organization.clone())
    };
    for mut factor in store.second_factors.list()?.into_iter().filter(|one| one.organization == *id) {
        batch = match home_of(&factor.user) {
            Some(home) => {
                factor.organization = home;
                batch.save(factor)
            }
            None => batch.remove(&factor),
        };
    }
    for mut passkey in store.passkeys.list()?.into_iter().filter(|one| one.organization == *id) {
        batch = match home_of(&passkey.user) {
            Some(home) => {
                passkey.organization = home;
                batch.save(passkey)
            }
            None => batch.remove(&passkey),
        };
    }
    for mut known in store.known_countries.list()?.into_iter().filter(|one| one.organization == *id) {
        batch = match home_of(&known.user) {
            Some(home) => {
                known.organization = home;
                batch.save(known)
            }
            None => batch.remove(&known),
        };
    }
    Ok(batch)
}

/// Goes on with what is being removed. Answers how many organizations are gone.
pub(crate) async fn sweep(ground: &Ground) -> Result<usize> {
    let mut done = 0;
    for organization in ground.store.organizations.list()?.into_iter().filter(|one| one.removing) {
        finish(ground, &organization.id).await?;
        done += 1;
    }
    Ok(done)
}

/// Takes away what it has on the server, then every record that names it, itself last. May be done again.
async fn finish(ground: &Ground, id: &OrganizationId) -> Result<()> {
    let store = &ground.store;
    for app in store.apps.list()?.into_iter().filter(|app| app.organization == *id) {
        crate::job_runs::end_all(ground, &app.id)?;
        for deployment in store.deployments.prefix(&format!("{}/", app.id))? {
            ended(ground, &deployment.id).await;
        }
        trash::purge(ground, &app, true).await?;
    }
    for volume in store.volumes.list()?.into_iter().filter(|volume| volume.organization == *id) {
        ground.node.volume_remove(&volume.engine_name).await?;
        store.commit(Batch::new().remove(&volume)).await?;
    }
    let environments = store.environments.list()?;
    let own: BTreeSet<_> = environments
        .iter()
        .filter(|one| one.organization == *id)
        .map(|one| one.id.clone())
        .collect();
    for network in store.networks.list()?.into_iter().filter(|one| own.contains(&one.environment)) {
        ground.node.network_remove(&network.name).await?;
        store.commit(Batch::new().remove(&network)).await?;
    }
    for forge in store.forges.list()?.iter().filter(|forge| forge.organization == *id) {
        ground.forges.forget(&forge.id);
    }
    // Others may write an event or a run in between.
    retry(store, || Ok((forgotten(ground, id)?, ()))).await?;
    ground.wake_reconcile();
    ground.wake_certificates();
    Ok(())
}

/// Ends the work of a deployment, and waits for it: it must make nothing after the clean-up.
async fn ended(ground: &Ground, deployment: &types::DeploymentId) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while ground.running.has(deployment) && tokio::time::Instant::now() < deadline {
        ground.running.cancel(deployment);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every record that is left of it.
fn forgotten(ground: &Ground, id: &OrganizationId) -> Result<Batch> {
    let store = &ground.store;
    let mut batch = Batch::new();
    if let Some(organization) = store.organizations.find(id.as_str())? {
        batch = batch.remove(&organization);
    }
    let catalogs: HashSet<String> = of(&store.catalogs.list()?, |one| one.organization == *id, |one| one.id.to_string())
        .into_iter()
        .collect();
    without!(batch, store.catalog_texts, one => catalogs.contains(one.catalog.as_str()));
    without!(batch, store.catalogs, one => one.organization == *id);
    without!(batch, store.environments, one => one.organization == *id);
    without!(batch, store.projects, one => one.organization == *id);
    without!(batch, store.variables, one => one.organization == *id);
    without!(batch, store.variable_versions, one => one.organization == *id);
    without!(batch, store.registries, one => one.organization == *id);
    without!(batch, store.forges, one => one.organization == *id);
    without!(batch, store.forge_reports, one => one.organization == *id);
    without!(batch, store.dns_providers, one => one.organization == *id);
    without!(batch, store.shared_certificates, one => one.organization == *id);
    without!(batch, store.freezes, one => one.organization == *id);
    without!(batch, store.ci_trusts, one => one.organization == *id);
    without!(batch, store.image_watches, one => one.organization == *id);
    without!(batch, store.preview_rules, one => one.organization == *id);
    without!(batch, store.previews, one => one.organization == *id);
    without!(batch, store.clones, one => one.organization == *id);
    without!(batch, store.job_runs, one => one.organization == *id);
    without!(batch, store.quotas, one => one.organization == *id);
    without!(batch, store.meters, one => one.organization == *id);
    without!(batch, store.events, one => one.organization == *id);
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Apps, Deployer, MountWish, NewApp, Organizations, Reconciler, VolumeName, access::identity_parts, testing::Bench};
    use jobs::Job;
    use types::{Membership, Role, Scopes, SecondFactor, Site, Time};

    fn user(bench: &Bench, organization: &OrganizationId, email: &str, role: Role) -> User {
        User {
            id: bench.ground.world.id(),
            organization: organization.clone(),
            email: email.parse().expect("an address"),
            name: "Somebody".into(),
            role,
            password_hash: String::new(),
            disabled: false,
            created_at: bench.ground.world.now(),
            last_seen_at: None,
            service: false,
        }
    }

    async fn app_of(bench: &Bench, actor: &Actor) {
        let wish = NewApp {
            domains: Some(vec!["shop.test".parse().expect("a host")]),
            mounts: vec![MountWish {
                volume: VolumeName::Name("data".parse().expect("a name")),
                path: "/data".parse().expect("a path"),
                read_only: false,
            }],
            grace_seconds: Some(0),
            ..crate::tests::wish("shop")
        };
        Apps::new(bench.ground.clone()).create(actor, wish).await.expect("made");
        while bench
            .ground
            .store
            .apps
            .list()
            .expect("lists")
            .iter()
            .any(|app| app.release.is_none())
        {
            Deployer::new(bench.ground.clone()).run().await.expect("runs");
            Reconciler::new(bench.ground.clone()).run().await.expect("runs");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Names of the collections in which something speaks of this id.
    fn speak_of(store: &Store, id: &str) -> Vec<&'static str> {
        macro_rules! search {
            ($($field:ident)*) => {{
                let mut found = Vec::new();
                $(for stored in store.$field.list().expect("lists") {
                    if serde_json::to_string(&stored.value).expect("JSON").contains(id) {
                        found.push(stringify!($field));
                    }
                })*
                found
            }};
        }
        search!(
            organizations projects environments users sessions second_factors devices passkeys tokens identity_providers
            external_identities invitations roles teams grants memberships apps variables variable_versions registries forges forge_reports
            catalogs catalog_texts releases deployments domains streams certificates shared_certificates dns_providers uploads app_jobs
            job_runs known_countries provisionings scim_users scim_groups ci_trusts image_watches preview_rules previews clones freezes quotas meters webhooks deliveries volumes networks events letters password_resets
        )
    }

    /// The organization `acme`: bob owns it, carol is in another one too, and ada of that one is in it.
    struct Acme {
        id: OrganizationId,
        bob: User,
        carol: User,
    }

    async fn acme(bench: &Bench) -> Acme {
        let (ground, store) = (&bench.ground, &bench.ground.store);
        let (acme, batch) = crate::organizations::founded(&ground.world, "acme".parse().expect("a name"), false).expect("made");
        let bob = user(bench, &acme.id, "bob@acme.test", Role::Owner);
        let carol = user(bench, &acme.id, "carol@acme.test", Role::Admin);
        let membership = |organization: &OrganizationId, user: &User| Membership {
            organization: organization.clone(),
            user: user.id.clone(),
            role: Role::Viewer,
            created_at: ground.world.now(),
        };
        let ada = user(bench, &bench.owner.organization, "ada@example.test", Role::Owner);
        let factor = SecondFactor {
            user: carol.id.clone(),
            organization: acme.id.clone(),
            secret: store.seal(&"twenty random bytes".into()).expect("sealed"),
            created_at: Time(0),
            confirmed_at: Some(Time(0)),
            last_step: 0,
            recovery_hashes: Vec::new(),
            last_used_at: None,
        };
        let token = types::ApiToken {
            id: ground.world.id(),
            organization: acme.id.clone(),
            user: carol.id.clone(),
            name: "ci".into(),
            hash: "hash".into(),
            hint: "sk_a".into(),
            scopes: Scopes::all(),
            spots: None,
            networks: Vec::new(),
            created_at: Time(0),
            expires_at: None,
            last_used_at: None,
            last_used_address: None,
            replaced: None,
        };
        let batch = batch
            .insert(membership(&bench.owner.organization, &carol))
            .insert(membership(&acme.id, &ada))
            .insert(factor)
            .insert(token)
            .insert(ada)
            .insert(bob.clone())
            .insert(carol.clone());
        store.commit(batch).await.expect("saved");
        Acme { id: acme.id, bob, carol }
    }

    async fn the_plan_says_what_goes(removal: &OrganizationRemoval, owner: &Actor) {
        let plan = removal.plan(owner, "acme").await.expect("told");
        assert_eq!(
            (plan.apps, plan.domains, plan.tokens),
            (vec!["shop".to_owned()], vec!["shop.test".to_owned()], 1)
        );
        assert_eq!(
            (plan.people, plan.staying),
            (vec!["bob@acme.test".to_owned()], vec!["carol@acme.test".to_owned()])
        );
        assert_eq!(plan.volumes.len(), 1);
    }

    /// Only an owner, only their own, only with its name, and never the one that runs the panel.
    async fn only_an_owner_removes_it(removal: &OrganizationRemoval, owner: &Actor, host: &Actor) {
        let mut admin = owner.clone();
        admin.role = Role::Admin;
        assert!(matches!(removal.remove(&admin, "acme", "acme").await, Err(Error::Forbidden { .. })));
        let mut stale = owner.clone();
        stale.assurance = types::Assurance::Stale;
        assert!(matches!(removal.remove(&stale, "acme", "acme").await, Err(Error::Unconfirmed)));
        assert!(matches!(
            removal.remove(owner, "default", "default").await,
            Err(Error::NotFound { .. })
        ));
        assert!(matches!(removal.remove(owner, "acme", "acm").await, Err(Error::Invalid { .. })));
        assert!(matches!(removal.remove(host, "default", "default").await, Err(Error::Busy { .. })));
    }

    #[tokio::test]
    async fn nothing_of_a_deleted_organization_is_left() {
        let bench = Bench::new().await;
        let (ground, store) = (&bench.ground, &bench.ground.store);
        let access = identity_parts(ground).expect("opens");
        let acme = acme(&bench).await;
        let mut owner = access.actor(&acme.bob, None);
        owner.hosts = false;
        app_of(&bench, &owner).await;
        assert!(!bench.node.running().is_empty() && !bench.node.volumes.lock().expect("test").is_empty());

        let removal = OrganizationRemoval::new(access.clone(), ground.clone());
        the_plan_says_what_goes(&removal, &owner).await;
        only_an_owner_removes_it(&removal, &owner, &bench.owner).await;

        // The engine does not answer: who may is decided all the same, and the rest follows when it does.
        bench.node.orders.lock().expect("test").engine_down = true;
        removal.remove(&owner, "acme", "acme").await.expect("closed");
        assert!(store.users.find(acme.bob.id.as_str()).expect("reads").is_none() && store.tokens.list().expect("lists").is_empty());
        let carol = store.users.get(acme.carol.id.as_str()).expect("stays");
        assert_eq!((&carol.organization, carol.role), (&bench.owner.organization, Role::Viewer));
        assert!(
            Organizations::new(access.clone())
                .list(&access.actor(&carol, None))
                .expect("lists")
                .len()
                == 1
        );
        assert!(sweep(ground).await.is_err());
        bench.node.orders.lock().expect("test").engine_down = false;
        while !sweep(ground).await.is_ok_and(|done| done == 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(speak_of(store, acme.id.as_str()), Vec::<&str>::new());
        assert!(bench.node.running().is_empty() && bench.node.volumes.lock().expect("test").is_empty());
        assert!(
            owner.is_permitted(Action::View, &Site::organization()),
            "the actor of before is only a word now"
        );
        // Its name is free again.
        let (again, batch) = crate::organizations::founded(&ground.world, "acme".parse().expect("a name"), false).expect("made");
        store.commit(batch).await.expect("saved");
        assert_ne!(again.id, acme.id);
    }
}

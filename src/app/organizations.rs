//! Organizations: which ones somebody is in, and making one. Nothing crosses from one to another.

use crate::access::Access;
use std::sync::Arc;
use store::{Batch, Store, Stored};
use types::{
    Action, Actor, Environment, Error, Fact, Kind, Membership, Organization, OrganizationId, Project, Result, Role, Slug, User, Who, World,
};

/// An organization, and what somebody is in it.
#[derive(Debug, Clone)]
pub struct OrganizationView {
    pub organization: Organization,
    pub role: Role,
    /// The one that they act in now.
    pub current: bool,
    /// It claimed the panel, and runs it.
    pub hosts: bool,
}

/// The organization that runs the panel; `None` before it is claimed. The clock does not decide: it may have been wrong
/// when others were made.
pub(crate) fn host(store: &Store) -> Result<Option<Stored<Organization>>> {
    let mut all = store.organizations.list()?;
    let at = all.iter().position(|organization| organization.hosts);
    Ok(match (at, all.is_empty()) {
        (Some(at), _) => Some(all.swap_remove(at)),
        (None, false) => Some(all.swap_remove(0)),
        (None, true) => None,
    })
}

/// Whether it is the one that runs the panel.
pub(crate) fn runs_the_panel(store: &Store, organization: &OrganizationId) -> Result<bool> {
    Ok(host(store)?.is_none_or(|host| host.id == *organization))
}

/// A new organization, and what makes it: with a project `default` and its environment `production`.
pub(crate) fn founded(world: &World, name: Slug, hosts: bool) -> Result<(Organization, Batch)> {
    let created_at = world.now();
    let organization = Organization {
        id: world.id(),
        name,
        created_at,
        hosts,
        removing: false,
    };
    let project = Project {
        id: world.id(),
        organization: organization.id.clone(),
        name: "default".parse()?,
        description: String::new(),
        created_at,
    };
    let environment = Environment {
        id: world.id(),
        organization: organization.id.clone(),
        project: project.id.clone(),
        name: "production".parse()?,
        created_at,
    };
    let batch = Batch::new().insert(organization.clone()).insert(project).insert(environment);
    Ok((organization, batch))
}

#[derive(Clone)]
pub struct Organizations {
    access: Arc<Access>,
}

impl Organizations {
    pub(crate) fn new(access: Arc<Access>) -> Organizations {
        Organizations { access }
    }

    /// Those that the one who asks is in: the one that runs the panel first, then by age. A token and the machine know only their own.
    pub fn list(&self, actor: &Actor) -> Result<Vec<OrganizationView>> {
        let user = match (&actor.who, actor.user()) {
            (Who::User { .. }, Some(id)) => Some(self.access.store.users.get(id.as_str())?.value),
            _ => None,
        };
        let mut views = Vec::new();
        for organization in self.access.store.organizations.list()? {
            let current = organization.id == actor.organization;
            let role = match &user {
                Some(user) => self.access.role_in(user, &organization.id)?,
                None => current.then_some(actor.role),
            };
            if let Some(role) = role {
                views.push(self.view(organization.value, role, current)?);
            }
        }
        views.sort_by_key(|view| (!view.hosts, view.organization.created_at));
        Ok(views)
    }

    /// Makes one, with a project `default` and its environment `production`. Who asks is its owner; on the machine it is
    /// the person with this mail address, else the first owner of the panel. Fails with `Taken`.
    pub async fn create(&self, actor: &Actor, name: Slug, owner: Option<&str>) -> Result<OrganizationView> {
        actor.may(Action::ManageOrganizations)?;
        let (store, world) = (&self.access.store, &self.access.world);
        let _team = self.access.team.lock().await;
        let user = self.owner(actor, owner)?;
        let now = world.now();
        let (organization, mut batch) = founded(world, name, false)?;
        let membership = Membership {
            organization: organization.id.clone(),
            user: user.id.clone(),
            role: Role::Owner,
            created_at: now,
        };
        // While there was one, nothing had to say which runs the panel.
        if let Some(mut host) = host(store)?.filter(|host| !host.hosts) {
            host.hosts = true;
            batch = batch.save(host);
        }
        store.commit(batch.insert(membership)).await?;
        let fact = Fact::OrganizationCreated {
            name: organization.name.to_string(),
        };
        self.access.events.emit(actor, fact).await;
        self.view(organization, Role::Owner, false)
    }

    /// Gives the organization in which they act another name; for its owners. Names are the whole panel's, and whether one is taken would
    /// say who else is there: so of others than the one that runs the panel, only those rename it who are owners there too. Fails with
    /// `Taken`.
    pub async fn rename(&self, actor: &Actor, organization: &str, name: Slug) -> Result<OrganizationView> {
        actor.may(Action::ManageOwners)?;
        let store = &self.access.store;
        let mut found = store.organizations.get(actor.organization.as_str())?;
        if organization != found.id.as_str() && organization != found.name.as_str() {
            return Err(Error::not_found(Kind::Organization, organization));
        }
        if found.name != name {
            self.may_name(actor)?;
            found.name = name;
            found = store.organizations.save(found).await?;
            let fact = Fact::OrganizationRenamed {
                name: found.name.to_string(),
            };
            self.access.events.emit(actor, fact).await;
        }
        self.view(found.value, actor.role, true)
    }

    /// Whether they learn which names are taken: who makes organizations does.
    fn may_name(&self, actor: &Actor) -> Result<()> {
        let Some(host) = host(&self.access.store)?.filter(|host| host.id != actor.organization) else {
            return Ok(());
        };
        let user = actor.user().map(|id| self.access.store.users.get(id.as_str())).transpose()?;
        let role = user.map(|user| self.access.role_in(&user, &host.id)).transpose()?.flatten();
        match role {
            Some(Role::Owner) => Ok(()),
            _ => Err(Error::Forbidden {
                needs: "an owner of the organization that runs this panel, who gives organizations their names".into(),
            }),
        }
    }

    /// Somebody of the actor's organization who can sign in.
    fn owner(&self, actor: &Actor, named: Option<&str>) -> Result<User> {
        let store = &self.access.store;
        let can = |user: &User| !user.disabled && !user.service;
        if let Some(email) = named {
            let missing = || Error::not_found(Kind::User, email);
            let email = email.parse::<types::Email>()?;
            let found = store.users.claimed(email.as_str())?.ok_or_else(missing)?.value;
            return match self.access.role_in(&found, &actor.organization)? {
                Some(_) if can(&found) => Ok(found),
                _ => Err(missing()),
            };
        }
        if let Some(id) = actor.user() {
            return Ok(store.users.get(id.as_str())?.value);
        }
        let mut users = store.users.list()?.into_iter().map(|user| user.value);
        let is_owner = |user: &User| user.organization == actor.organization && user.role == Role::Owner && can(user);
        users
            .find(is_owner)
            .ok_or_else(|| Error::busy("there is no owner whose it could be"))
    }

    fn view(&self, organization: Organization, role: Role, current: bool) -> Result<OrganizationView> {
        let hosts = self.access.organization()?.is_some_and(|own| own.id == organization.id);
        Ok(OrganizationView {
            organization,
            role,
            current,
            hosts,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::access::tests::{Gate, PASSWORD, visitor};

    #[tokio::test]
    async fn an_organization_is_made_switched_to_and_keeps_to_itself() {
        let (gate, owner) = Gate::claimed().await;
        let all = &gate.organizations;
        let (_, admin) = gate.add(&owner, "admin@example.com", Role::Admin).await;
        assert!(all.create(&admin, "acme".parse().unwrap(), None).await.is_err());
        let made = all
            .create(&owner, "acme".parse().unwrap(), Some("ada@example.com"))
            .await
            .unwrap()
            .organization;
        assert!(
            all.create(&owner, "acme".parse().unwrap(), None).await.is_err(),
            "the name is taken"
        );

        // One that is made while the clock is years behind does not take the panel over.
        gate.clock.back(std::time::Duration::from_secs(3 * 365 * 86_400));
        all.create(&owner, "older".parse().unwrap(), None).await.unwrap();
        gate.clock.forward(std::time::Duration::from_secs(3 * 365 * 86_400));
        assert_eq!(host(&gate.access.store).unwrap().unwrap().id, owner.organization);

        let lab: Slug = "lab".parse().unwrap();
        assert!(all.rename(&admin, "default", lab.clone()).await.is_err(), "for owners");
        assert!(all.rename(&owner, "acme", lab.clone()).await.is_err(), "for those who act in it");
        assert!(all.rename(&owner, "default", "acme".parse().unwrap()).await.is_err(), "taken");
        assert_eq!(all.rename(&owner, "default", lab.clone()).await.unwrap().organization.name, lab);

        let signed = gate
            .sessions
            .create(
                "ada@example.com",
                &PASSWORD.into(),
                &crate::Further::default(),
                &visitor("10.0.0.1"),
            )
            .await
            .unwrap();
        let known = |jwt: &types::Secret| gate.sessions.by_cookie(jwt.expose_str().unwrap(), None);
        let before = known(&signed.jwt).unwrap();
        let listed = all.list(&before.actor).unwrap();
        assert!(
            listed
                .iter()
                .map(|view| (view.current, view.hosts))
                .eq([(true, true), (false, false), (false, false)])
        );
        let switched = gate.sessions.switch(&before, "acme").await.unwrap();
        assert!(known(&signed.jwt).is_err(), "the old cookie acted elsewhere");
        let there = known(&switched.jwt).unwrap();
        assert_eq!(
            (&there.actor.organization, there.actor.role, there.actor.hosts),
            (&made.id, Role::Owner, false)
        );
        assert!(there.actor.may(Action::Operate).is_err(), "only the first one runs the panel");
        assert!(!gate.sessions.still_holds(&before).await.unwrap() && gate.sessions.still_holds(&there).await.unwrap());
        // The refresh cookie goes on in the new one.
        let again = gate
            .sessions
            .refresh(switched.refresh.expose_str().unwrap(), &visitor("10.0.0.1"))
            .await
            .unwrap();
        assert_eq!(known(&again.jwt).unwrap().actor.organization, made.id);

        // People come into it by invitation: "taken" would say who is elsewhere.
        for email in ["bob@acme.test", "ada@example.com"] {
            let wish = crate::users::NewUser {
                email: email.into(),
                name: "Bob".into(),
                role: Role::Developer,
                password: PASSWORD.into(),
            };
            let refused = gate.users.create(&there.actor, wish).await;
            assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == "email"), "{email}");
        }
        let users = &gate.access.store.users;
        let (bob, _) = gate.add(&owner, "bob@acme.test", Role::Developer).await;
        let mut moved = users.get(bob.id.as_str()).unwrap();
        moved.organization = made.id.clone();
        users.save(moved).await.unwrap();
        let emails = |actor: &Actor| {
            let users = gate.users.list(actor).unwrap().into_iter();
            let mut all: Vec<(String, bool)> = users.map(|view| (view.user.email.to_string(), view.guest)).collect();
            // Made in the same moment of the test's clock, their ids are in no order.
            all.sort();
            all
        };
        assert_eq!(
            emails(&there.actor),
            [("ada@example.com".into(), true), ("bob@acme.test".into(), false)]
        );
        assert!(!emails(&owner).iter().any(|(email, _)| email == "bob@acme.test"));
        assert!(matches!(
            gate.users.remove(&owner, bob.id.as_str()).await,
            Err(Error::NotFound { .. })
        ));
        assert!(
            matches!(
                gate.users.remove(&there.actor, owner.user().unwrap().as_str()).await,
                Err(Error::Busy { .. })
            ),
            "the last owner stays"
        );
        let rename = crate::UserChange {
            name: Some("Eve".into()),
            ..crate::UserChange::default()
        };
        let refused = gate.users.update(&there.actor, owner.user().unwrap().as_str(), rename).await;
        assert!(
            matches!(refused, Err(Error::Forbidden { .. })),
            "a guest's account is not theirs to change"
        );
    }
}

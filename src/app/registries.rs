//! Logins at registries, so that private images are pulled and built from.

use crate::{
    ground::Ground,
    sight::{of, owned},
};
use egress::Egress;
use std::sync::Arc;
use types::{Action, Actor, Error, Fact, Kind, OrganizationId, Registry, RegistryLogin, RegistryServer, Result, Secret};

/// As it is in every engine.
const DOCKER_HUB: &str = "docker.io";

#[derive(Clone)]
pub struct Registries {
    ground: Arc<Ground>,
}

impl Registries {
    pub(crate) fn new(ground: Arc<Ground>) -> Registries {
        Registries { ground }
    }

    /// By server. The passwords stay sealed.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Registry>> {
        actor.may(Action::View)?;
        let mut found: Vec<_> = of(&self.ground, actor, self.ground.store.registries.list()?)?;
        found.sort_by(|a, b| a.server.cmp(&b.server));
        Ok(found)
    }

    /// Keeps the login; in place of the one that was there for this server. Unless `unchecked`, the registry is asked first
    /// whether it takes it. Fails with `Invalid { field: "password" }` when not.
    pub async fn add(&self, actor: &Actor, server: RegistryServer, user: String, password: Secret, unchecked: bool) -> Result<Registry> {
        actor.may(Action::Configure)?;
        if user.is_empty() || user.len() > 255 || user.contains(|letter: char| letter.is_control() || letter == ':') {
            return Err(Error::invalid("user", "must be a name without `:` and control characters"));
        }
        if password.expose().is_empty() || password.expose().len() > 64 << 10 {
            return Err(Error::invalid("password", "must be between 1 byte and 64 KiB"));
        }
        self.ground.redactor.learn(&actor.organization, &password);
        let store = &self.ground.store;
        let present = store.registries.claimed(&format!("{}/{server}", actor.organization))?;
        let id = present
            .as_ref()
            .map_or_else(|| self.ground.world.id(), |registry| registry.id.clone());
        if !unchecked {
            let login = RegistryLogin {
                id: id.clone(),
                server: server.clone(),
                user: user.clone(),
                password: password.clone(),
            };
            let egress = outside(&self.ground, &actor.organization, &server).await?;
            self.ground.node.registry_check(&login, &egress).await?;
        }
        let sealed = store.seal(&password)?;
        let registry = match present {
            Some(mut stored) => {
                stored.user = user;
                stored.password = sealed;
                store.registries.save(stored).await?.value
            }
            None => {
                let registry = Registry {
                    id,
                    organization: actor.organization.clone(),
                    server,
                    user,
                    password: sealed,
                    created_at: self.ground.world.now(),
                };
                store.registries.insert(registry).await?.value
            }
        };
        let server = registry.server.to_string();
        self.ground.events.emit(actor, Fact::RegistryAdded { server }).await;
        Ok(registry)
    }

    /// By id or server.
    pub async fn remove(&self, actor: &Actor, called: &str) -> Result<()> {
        actor.may(Action::Configure)?;
        let registry = self.find(actor, called)?;
        self.ground.store.registries.remove(registry.id.as_str()).await?;
        let server = registry.server.to_string();
        self.ground.events.emit(actor, Fact::RegistryRemoved { server }).await;
        Ok(())
    }

    /// Whether the registry takes the login that is kept; fails in words when not.
    pub async fn test(&self, actor: &Actor, called: &str) -> Result<()> {
        actor.may(Action::Configure)?;
        let login = login_of(&self.ground, self.find(actor, called)?)?;
        let egress = outside(&self.ground, &actor.organization, &login.server).await?;
        self.ground.node.registry_check(&login, &egress).await
    }

    fn find(&self, actor: &Actor, called: &str) -> Result<Registry> {
        let store = &self.ground.store;
        if let Ok(server) = called.parse::<RegistryServer>()
            && let Some(found) = store.registries.claimed(&format!("{}/{server}", actor.organization))?
        {
            return Ok(found.value);
        }
        owned(
            &self.ground,
            actor,
            Action::View,
            store.registries.find(called)?,
            Kind::Registry,
            called,
        )
    }
}

fn login_of(ground: &Ground, registry: Registry) -> Result<RegistryLogin> {
    Ok(RegistryLogin {
        id: registry.id,
        password: ground.store.unseal(&registry.password)?,
        server: registry.server,
        user: registry.user,
    })
}

/// All of the organization's, for a build: nobody knows before where its base images come from.
pub(crate) fn logins(ground: &Ground, organization: &OrganizationId) -> Result<Vec<RegistryLogin>> {
    let found = ground.store.registries.list()?.into_iter().map(|stored| stored.value);
    found
        .filter(|registry| registry.organization == *organization)
        .map(|registry| login_of(ground, registry))
        .collect()
}

/// How an image is pulled for an organization.
pub(crate) struct Way {
    pub login: Option<RegistryLogin>,
    pub egress: Egress,
}

/// For a pull of `reference`. Fails like [`outside`].
pub(crate) async fn way_to(ground: &Ground, organization: &OrganizationId, reference: &str) -> Result<Way> {
    Ok(Way {
        egress: outside(ground, organization, &RegistryServer::of(reference)).await?,
        login: login_for(ground, organization, reference)?,
    })
}

/// How far what the organization pulls from there may lead. Fails with `Invalid` for a registry on an inner address, and with `Unavailable`
/// for one whose name is not known, unless the organization runs the panel. The engine looks the name up again by itself, so it is what
/// it leads to now that counts.
async fn outside(ground: &Ground, organization: &OrganizationId, server: &RegistryServer) -> Result<Egress> {
    let egress = ground.egress(organization)?;
    let (host, port) = match server.as_str().rsplit_once(':') {
        Some((host, port)) if !server.as_str().ends_with(']') => (host, port.parse().unwrap_or(443)),
        _ => (server.as_str(), 443),
    };
    if egress.is_bounded() && server.as_str() != DOCKER_HUB {
        egress.look_up(host, port).await?;
    }
    Ok(egress)
}

/// The one for the registry that `reference` names.
fn login_for(ground: &Ground, organization: &OrganizationId, reference: &str) -> Result<Option<RegistryLogin>> {
    let claim = format!("{organization}/{}", RegistryServer::of(reference));
    let found = ground.store.registries.claimed(&claim)?;
    found.map(|stored| login_of(ground, stored.value)).transpose()
}

//! Machines that build for the panel: added, confirmed, tested, changed and removed by those who operate it.

use crate::{builders, ground::Ground};
use source::DeployKey;
use std::sync::Arc;
use store::Stored;
use types::{Action, Actor, App, BuildPlace, BuildServer, BuildServerSeen, Error, Fact, Kind, Result, Slug, SshPlace, checked_host_key};

/// What an engine elsewhere may keep of builds unless it is told.
const CACHE: u64 = 10 << 30;
const USER: &str = "root";
const SOCKET: &str = "/var/run/docker.sock";

/// A build server to add.
#[derive(Debug, Clone)]
pub struct NewBuildServer {
    pub name: Slug,
    pub host: String,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub socket: Option<String>,
    pub slots: Option<u32>,
    pub cache_bytes: Option<u64>,
    /// The host key, where it is known already.
    pub host_key: Option<String>,
}

/// What should change; `None` leaves as it is. Another host or port has another host key, which must be confirmed anew.
#[derive(Debug, Clone, Default)]
pub struct BuildServerChange {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub socket: Option<String>,
    pub slots: Option<u32>,
    pub cache_bytes: Option<u64>,
    pub enabled: Option<bool>,
    /// The one to confirm.
    pub host_key: Option<String>,
}

impl BuildServerChange {
    fn make(&self, server: &mut BuildServer) -> Result<()> {
        let before = (server.at.clone(), server.host_key.clone());
        let at = SshPlace {
            host: self.host.as_deref().unwrap_or(&before.0.host).trim().to_owned(),
            port: self.port.unwrap_or(before.0.port),
            user: self.user.as_ref().unwrap_or(&before.0.user).clone(),
            socket: self.socket.as_ref().unwrap_or(&before.0.socket).clone(),
        };
        server.at = at.checked()?;
        if (&server.at.host, server.at.port) != (&before.0.host, before.0.port) {
            server.host_key = None;
        }
        if let Some(key) = &self.host_key {
            server.host_key = Some(checked_host_key(key)?);
        }
        if let Some(slots) = self.slots {
            server.slots = checked_slots(slots)?;
        }
        server.cache_bytes = self.cache_bytes.unwrap_or(server.cache_bytes);
        server.enabled = self.enabled.unwrap_or(server.enabled);
        if (&server.at, &server.host_key) != (&before.0, &before.1) {
            server.seen = BuildServerSeen {
                used_at: server.seen.used_at,
                ..BuildServerSeen::default()
            };
        }
        Ok(())
    }
}

/// A build server, and how much it builds.
#[derive(Debug, Clone)]
pub struct BuildServerView {
    pub server: BuildServer,
    /// Builds now.
    pub building: u32,
    /// Names of the apps that say that they are built there.
    pub apps: Vec<String>,
}

/// What came of a test that did not fail.
#[derive(Debug, Clone)]
pub struct BuildServerTest {
    /// The key that the host shows. Unless it is confirmed, nobody has signed in.
    pub host_key: String,
    pub confirmed: bool,
    pub view: BuildServerView,
}

#[derive(Clone)]
pub struct BuildServers {
    ground: Arc<Ground>,
}

impl BuildServers {
    pub(crate) fn new(ground: Arc<Ground>) -> BuildServers {
        BuildServers { ground }
    }

    /// By name.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<BuildServerView>> {
        actor.may(Action::ViewServers)?;
        let mut found: Vec<BuildServer> = self
            .ground
            .store
            .build_servers
            .list()?
            .into_iter()
            .map(|stored| stored.value)
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        self.views(found)
    }

    pub async fn get(&self, actor: &Actor, called: &str) -> Result<BuildServerView> {
        actor.may(Action::ViewServers)?;
        self.view(self.find(called)?.value)
    }

    /// Keeps it, with a key pair of its own. Nothing is asked there before it is tested. Fails with `Taken`.
    pub async fn add(&self, actor: &Actor, wish: NewBuildServer) -> Result<BuildServerView> {
        actor.may(Action::Operate)?;
        let ground = &self.ground;
        if BuildPlace::WORDS.contains(&wish.name.as_str()) {
            return Err(Error::invalid("name", format!("`{}` has another meaning here", wish.name)));
        }
        let at = SshPlace {
            host: wish.host.trim().to_owned(),
            port: wish.port.unwrap_or(22),
            user: wish.user.unwrap_or_else(|| USER.into()),
            socket: wish.socket.unwrap_or_else(|| SOCKET.into()),
        };
        let key = DeployKey::generate(&ground.world, &format!("serverkit, for the build server {}", wish.name))?;
        ground.redactor.learn_own(&key.private);
        let server = BuildServer {
            id: ground.world.id(),
            name: wish.name,
            at: at.checked()?,
            slots: checked_slots(wish.slots.unwrap_or(1))?,
            cache_bytes: wish.cache_bytes.unwrap_or(CACHE),
            enabled: true,
            private_key: ground.store.seal(&key.private)?,
            public_key: key.public,
            host_key: wish.host_key.as_deref().map(checked_host_key).transpose()?,
            created_at: ground.world.now(),
            seen: BuildServerSeen::default(),
        };
        let server = ground.store.build_servers.insert(server).await?.value;
        self.tell(actor, &server, "added").await;
        self.view(server)
    }

    pub async fn update(&self, actor: &Actor, called: &str, change: BuildServerChange) -> Result<BuildServerView> {
        actor.may(Action::Operate)?;
        let before = self.find(called)?.value;
        // What is seen of it is written at any time: that is no change of somebody else's.
        let key = before.id.as_str();
        let server = self
            .ground
            .store
            .build_servers
            .update(key, |server| {
                if change.host_key.is_some() && server.at != before.at {
                    return Err(Error::busy(
                        "somebody gave it another address meanwhile; look at its host key again",
                    ));
                }
                change.make(server)
            })
            .await?
            .value;
        let is_same = BuildServer {
            seen: before.seen.clone(),
            ..server.clone()
        } == before;
        if is_same {
            return self.view(server);
        }
        let what = match (&before.host_key, &server.host_key) {
            (theirs, ours) if theirs != ours && ours.is_some() => "confirmed the host key of",
            _ if before.enabled && !server.enabled => "disabled",
            _ if !before.enabled && server.enabled => "enabled",
            _ => "changed",
        };
        self.tell(actor, &server, what).await;
        self.ground.wake_deploy();
        self.view(server)
    }

    /// Asks for the host key while none is confirmed; else signs in and asks the engine what it is. Fails in words.
    pub async fn test(&self, actor: &Actor, called: &str) -> Result<BuildServerTest> {
        actor.may(Action::Operate)?;
        let server = self.find(called)?.value;
        let Some(host_key) = server.host_key.clone() else {
            let host_key = self.ground.node.host_key(&server.at.host, server.at.port).await?;
            return Ok(BuildServerTest {
                host_key,
                confirmed: false,
                view: self.view(server)?,
            });
        };
        builders::look(&self.ground, &server.name).await?;
        self.ground.wake_deploy();
        Ok(BuildServerTest {
            host_key,
            confirmed: true,
            view: self.view(self.find(called)?.value)?,
        })
    }

    /// Throws away what its engine did not use for builds for the longest time until `keep` bytes are left. Answers the bytes that came
    /// free.
    pub async fn trim(&self, actor: &Actor, called: &str, keep: u64) -> Result<u64> {
        actor.may(Action::Operate)?;
        let server = self.find(called)?.value;
        let bytes = builders::keep_within(&self.ground, &server.name, Some(keep)).await?;
        self.ground.events.emit(actor, Fact::BuildCacheTrimmed { bytes, app: None }).await;
        Ok(bytes)
    }

    /// Forgets it and its keys. Fails with `Busy` while something is to be built there.
    pub async fn remove(&self, actor: &Actor, called: &str) -> Result<()> {
        actor.may(Action::Operate)?;
        let view = self.view(self.find(called)?.value)?;
        let name = &view.server.name;
        if view.building > 0 {
            return Err(Error::busy(format!(
                "the build server {name} builds just now; disable it, and remove it later"
            )));
        }
        if !view.apps.is_empty() {
            let apps = view.apps.join(", ");
            return Err(Error::busy(format!(
                "{apps} are built on {name}; choose another place for them first"
            )));
        }
        if self.ground.settings()?.build_on == BuildPlace::Server(name.clone()) {
            return Err(Error::busy(format!(
                "the settings say that apps are built on {name}; choose another place first"
            )));
        }
        self.ground.store.build_servers.remove(view.server.id.as_str()).await?;
        self.tell(actor, &view.server, "removed").await;
        Ok(())
    }

    async fn tell(&self, actor: &Actor, server: &BuildServer, what: &str) {
        let fact = Fact::BuildServerChanged {
            server: server.name.to_string(),
            what: what.to_owned(),
        };
        self.ground.events.emit(actor, fact).await;
    }

    /// By id or name.
    fn find(&self, called: &str) -> Result<Stored<BuildServer>> {
        let store = &self.ground.store.build_servers;
        let found = match store.claimed(called)? {
            Some(found) => Some(found),
            None => store.find(called)?,
        };
        found.ok_or_else(|| Error::not_found(Kind::BuildServer, called))
    }

    fn view(&self, server: BuildServer) -> Result<BuildServerView> {
        let mut views = self.views(vec![server])?;
        Ok(views.remove(0))
    }

    fn views(&self, servers: Vec<BuildServer>) -> Result<Vec<BuildServerView>> {
        let building = builders::building(&self.ground)?;
        let apps = self.ground.store.apps.list()?;
        let is_its = |app: &App, name: &Slug| app.build_on.as_ref() == Some(&BuildPlace::Server(name.clone()));
        let view = |server: BuildServer| BuildServerView {
            building: building.get(&server.name).copied().unwrap_or_default(),
            apps: apps
                .iter()
                .filter(|app| is_its(app, &server.name))
                .map(|app| app.name.to_string())
                .collect(),
            server,
        };
        Ok(servers.into_iter().map(view).collect())
    }
}

fn checked_slots(slots: u32) -> Result<u32> {
    match slots {
        1..=64 => Ok(slots),
        _ => Err(Error::invalid("slots", "must be between 1 and 64")),
    }
}

/// Fails unless the place is there and the actor may choose it: it is about machines of the panel.
pub(crate) fn may_build_on(ground: &Ground, actor: &Actor, place: Option<&BuildPlace>) -> Result<()> {
    actor.may(Action::Operate)?;
    if let Some(BuildPlace::Server(name)) = place {
        builders::named(ground, name)?;
    }
    Ok(())
}

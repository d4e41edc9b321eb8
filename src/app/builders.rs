//! Where builds go: to this server's engine, or to that of a build server. Which one is decided when a deployment's turn
//! comes, by what is chosen for the app and by slots; [`crate::build_servers`] is what people do about it.

use crate::{deployer::Running, ground::Ground, organizations, quotas, registries};
use node::{Builder, Lines};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use store::Stored;
use types::{
    Actor, App, BuildPlace, BuildServer, BuildServerSeen, BuildSpec, CacheRecord, Deployment, EngineFacts, Error, Fact, Image, Kind,
    PullPolicy, Result, Slug, SshEngine, report,
};

/// Where a deployment builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Here,
    There(Slug),
    /// It cannot be built where it should be: why.
    Nowhere(String),
}

/// The build servers, and how much each builds.
pub(crate) struct Slots {
    servers: Vec<BuildServer>,
    taken: HashMap<Slug, u32>,
    usual: BuildPlace,
}

impl Slots {
    /// `open`: deployments that are not over.
    pub fn of(ground: &Ground, open: &[Stored<Deployment>]) -> Result<Slots> {
        let mut slots = Slots {
            servers: ground.store.build_servers.list()?.into_iter().map(|stored| stored.value).collect(),
            taken: HashMap::new(),
            usual: ground.settings()?.build_on,
        };
        slots.servers.sort_by(|a, b| a.name.cmp(&b.name));
        for deployment in open.iter().filter(|one| quotas::is_building(one)) {
            if let Some(place) = ground.running.place(&deployment.id) {
                slots.take(&place);
            }
        }
        Ok(slots)
    }

    /// From now on it builds there.
    pub fn take(&mut self, place: &Place) {
        if let Place::There(name) = place {
            *self.taken.entry(name.clone()).or_default() += 1;
        }
    }

    /// Where a deployment of the app builds that has its turn now; `Err`: why it waits.
    pub fn choose(&self, ground: &Ground, deployment: &Deployment) -> Result<std::result::Result<Place, String>> {
        let app = ground.store.apps.find(deployment.app.as_str())?;
        Ok(match app {
            Some(app) if quotas::is_building(deployment) && quotas::builds(&app, &deployment.cause) => self.place(&app, &[]),
            _ => Ok(Place::Here),
        })
    }

    /// `tried`: servers that did not answer.
    fn place(&self, app: &App, tried: &[Slug]) -> std::result::Result<Place, String> {
        match app.build_on.as_ref().unwrap_or(&self.usual) {
            BuildPlace::Here => Ok(Place::Here),
            BuildPlace::Server(name) => match self.servers.iter().find(|server| server.name == *name) {
                None => Ok(Place::Nowhere(format!("there is no build server {name} any more"))),
                Some(server) => match server.unready() {
                    Some(why) => Ok(Place::Nowhere(why)),
                    None if self.free(server) == 0 => Err(full(server)),
                    None => Ok(Place::There(name.clone())),
                },
            },
            BuildPlace::Any => self.any(tried),
        }
    }

    /// Of those that are ready the one that answered last time and builds least.
    fn any(&self, tried: &[Slug]) -> std::result::Result<Place, String> {
        let (unready, ready): (Vec<_>, Vec<_>) = self.servers.iter().partition(|server| server.unready().is_some());
        let ready: Vec<_> = ready.into_iter().filter(|server| !tried.contains(&server.name)).collect();
        if ready.is_empty() {
            let mut why: Vec<String> = unready.iter().filter_map(|server| server.unready()).collect();
            why.extend(tried.iter().map(|name| format!("the build server {name} does not answer")));
            let why = if why.is_empty() {
                "there is none".to_owned()
            } else {
                why.join("; ")
            };
            return Ok(Place::Nowhere(format!("no build server can build it: {why}")));
        }
        let free = ready.iter().filter(|server| self.free(server) > 0);
        let best = free.min_by_key(|server| (server.seen.problem.is_some(), self.builds_on(server), server.name.clone()));
        match (best, &ready[..]) {
            (Some(server), _) => Ok(Place::There(server.name.clone())),
            (None, [server]) => Err(full(server)),
            (None, _) => Err("every build server builds as many at once as it may".to_owned()),
        }
    }

    fn builds_on(&self, server: &BuildServer) -> u32 {
        self.taken.get(&server.name).copied().unwrap_or_default()
    }
    fn free(&self, server: &BuildServer) -> u32 {
        server.slots.saturating_sub(self.builds_on(server))
    }
}

fn full(server: &BuildServer) -> String {
    format!(
        "the build server {} builds as many at once as it may: {}",
        server.name, server.slots
    )
}

/// Another build server for a deployment whose own did not answer, if any will do for its app. `None`: only that one will.
pub(crate) fn another(ground: &Ground, app: &App, tried: &[Slug]) -> Result<Option<Place>> {
    let open: Vec<_> = ground.store.deployments.list()?;
    let slots = Slots::of(ground, &open)?;
    if app.build_on.as_ref().unwrap_or(&slots.usual) != &BuildPlace::Any {
        return Ok(None);
    }
    match slots.place(app, tried) {
        Ok(place) => Ok(Some(place)),
        Err(why) => Ok(Some(Place::Nowhere(format!(
            "{}; of the others {why}",
            tried
                .iter()
                .map(|name| format!("the build server {name} does not answer"))
                .collect::<Vec<_>>()
                .join("; ")
        )))),
    }
}

/// An engine that builds.
pub(crate) enum Engine<'a> {
    Here(&'a Ground),
    There {
        ground: &'a Ground,
        server: Box<BuildServer>,
        facts: EngineFacts,
        builder: Arc<dyn Builder>,
    },
}

impl Engine<'_> {
    pub async fn image_pull(&self, reference: &str, way: &registries::Way, lines: &Lines) -> Result<Image> {
        let (login, policy) = (way.login.as_ref(), PullPolicy::Always);
        match self {
            Engine::Here(ground) => ground.node.image_pull(reference, login, policy, &way.egress, lines).await,
            Engine::There { builder, .. } => builder
                .image_pull(reference, login, policy, &way.egress, lines)
                .await
                .map_err(self.named()),
        }
    }

    pub async fn image_labels(&self, reference: &str) -> Result<BTreeMap<String, String>> {
        match self {
            Engine::Here(ground) => ground.node.image_labels(reference).await,
            Engine::There { builder, .. } => builder.image_labels(reference).await.map_err(self.named()),
        }
    }

    /// Builds it; the image is here then, wherever it was built.
    pub async fn image_build(&self, spec: &BuildSpec, lines: &Lines) -> Result<Image> {
        match self {
            Engine::Here(ground) => ground.node.image_build(spec, lines).await,
            Engine::There {
                builder, ground, server, ..
            } => {
                let built = builder.image_build(spec, lines).await.map_err(self.named());
                let problem = match &built {
                    Err(error @ Error::Unavailable { .. }) => Some(report(error)),
                    _ => None,
                };
                let used_at = Some(ground.world.now());
                note(ground, server, |seen| {
                    seen.used_at = used_at;
                    seen.problem = problem.clone();
                })
                .await;
                built
            }
        }
    }

    pub async fn cache_records(&self) -> Result<Vec<CacheRecord>> {
        match self {
            Engine::Here(ground) => ground.node.build_cache_records().await,
            Engine::There { builder, .. } => builder.build_cache_records().await,
        }
    }

    pub async fn cache_remove(&self, id: &str) -> Result<u64> {
        match self {
            Engine::Here(ground) => ground.node.build_cache_remove(id).await,
            Engine::There { builder, .. } => builder.build_cache_remove(id).await,
        }
    }

    /// What could not be done was not done there.
    fn named(&self) -> impl FnOnce(Error) -> Error {
        let name = match self {
            Engine::Here(_) => String::new(),
            Engine::There { server, .. } => server.name.to_string(),
        };
        move |error| match error {
            Error::Unavailable { .. } => Error::unavailable(format!("on the build server {name}: {}", report(&error))),
            other => other,
        }
    }

    /// What its own log says of it.
    pub fn words(&self) -> Option<String> {
        let Engine::There { server, facts, .. } = self else {
            return None;
        };
        Some(format!(
            "on the build server {} (Docker {}, {})",
            server.name,
            facts.version,
            facts.platform()
        ))
    }
}

/// The engine of a build server that answers, is another one than ours, and makes images that run here. What was seen is noted;
/// whoever learns that it went or came back is told.
pub(crate) async fn open<'a>(ground: &'a Ground, name: &Slug) -> Result<Engine<'a>> {
    let server = named(ground, name)?.value;
    let opened = reached(ground, &server).await;
    let now = ground.world.now();
    let problem = opened.as_ref().err().map(|error| report(error));
    note(ground, &server, |seen| {
        if let Ok((facts, _)) = &opened {
            (seen.engine, seen.at) = (Some(facts.clone()), Some(now));
        }
        seen.problem = problem.clone();
    })
    .await;
    let (facts, builder) = opened?;
    Ok(Engine::There {
        ground,
        server: Box::new(server),
        facts,
        builder,
    })
}

async fn reached(ground: &Ground, server: &BuildServer) -> Result<(EngineFacts, Arc<dyn Builder>)> {
    let host_key = server
        .host_key
        .clone()
        .ok_or_else(|| Error::busy(server.unready().unwrap_or_else(|| "its host key is not confirmed".into())))?;
    let builder = ground.node.builder(SshEngine {
        host: server.at.host.clone(),
        port: server.at.port,
        user: server.at.user.clone(),
        private_key: ground.store.unseal(&server.private_key)?,
        host_key,
        socket: server.at.socket.clone(),
    })?;
    let silent = |error: Error| Error::unavailable(format!("the build server {} cannot be used: {}", server.name, report(&error)));
    let (theirs, ours) = tokio::join!(builder.facts(), ground.node.engine_facts());
    let (theirs, ours) = (theirs.map_err(silent)?, ours?);
    if theirs.id == ours.id {
        return Err(Error::busy(format!(
            "the build server {} is this server itself; to build here, choose here",
            server.name
        )));
    }
    if theirs.platform() != ours.platform() {
        return Err(Error::busy(format!(
            "the build server {} makes images for {}, and this server runs {}",
            server.name,
            theirs.platform(),
            ours.platform()
        )));
    }
    Ok((theirs, builder))
}

pub(crate) fn named(ground: &Ground, name: &Slug) -> Result<Stored<BuildServer>> {
    let found = ground.store.build_servers.claimed(name.as_str())?;
    found.ok_or_else(|| Error::not_found(Kind::BuildServer, name))
}

/// Keeps what was seen, unless the server was changed or removed meanwhile.
async fn note(ground: &Ground, server: &BuildServer, change: impl Fn(&mut BuildServerSeen)) {
    loop {
        let Ok(Some(mut stored)) = ground.store.build_servers.find(server.id.as_str()) else {
            return;
        };
        if (&stored.at, &stored.host_key) != (&server.at, &server.host_key) {
            return;
        }
        let before = stored.seen.clone();
        change(&mut stored.seen);
        let after = stored.seen.clone();
        match ground.store.build_servers.save(stored).await {
            Err(Error::Stale { .. }) => continue,
            Err(error) => tracing::warn!("the build server {}: {}", server.name, report(&error)),
            Ok(_) => tell(ground, server, &before, &after).await,
        }
        return;
    }
}

async fn tell(ground: &Ground, server: &BuildServer, before: &BuildServerSeen, after: &BuildServerSeen) {
    let name = server.name.to_string();
    let fact = match (&before.problem, &after.problem) {
        (None, Some(why)) => Fact::BuildServerLost {
            server: name,
            why: why.clone(),
        },
        (Some(_), None) => Fact::BuildServerFound { server: name },
        _ => return,
    };
    if let Ok(Some(host)) = organizations::host(&ground.store) {
        ground.events.emit(&Actor::system(host.value.id), fact).await;
    }
}

/// Keeps what the engine there has of builds within its budget, and how much it is.
pub(crate) async fn keep_within(ground: &Ground, name: &Slug, keep: Option<u64>) -> Result<u64> {
    let engine = open(ground, name).await?;
    let Engine::There { server, builder, .. } = &engine else {
        return Ok(0);
    };
    let freed = builder
        .build_cache_trim(keep.unwrap_or(server.cache_bytes))
        .await
        .map_err(engine.named())?;
    let left = builder.build_cache().await.map_err(engine.named())?.bytes;
    note(ground, server, |seen| seen.cache_bytes = Some(left)).await;
    Ok(freed)
}

/// Asks its engine what it is and what it keeps of builds.
pub(crate) async fn look(ground: &Ground, name: &Slug) -> Result<()> {
    let engine = open(ground, name).await?;
    if let Engine::There { server, builder, .. } = &engine {
        let bytes = builder.build_cache().await.map_err(engine.named())?.bytes;
        note(ground, server, |seen| seen.cache_bytes = Some(bytes)).await;
    }
    Ok(())
}

/// How many deployments build on each.
pub(crate) fn building(ground: &Ground) -> Result<HashMap<Slug, u32>> {
    Ok(Slots::of(ground, &ground.store.deployments.list()?)?.taken)
}

/// How many builds are under way here.
pub(crate) fn count_here(running: &Running) -> usize {
    running.count_at(|place| !matches!(place, Place::There(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Sealed, SshPlace, Time};

    fn server(name: &str, slots: u32) -> BuildServer {
        BuildServer {
            id: types::World::system().id(),
            name: name.parse().expect("a name"),
            at: SshPlace {
                host: name.into(),
                port: 22,
                user: "root".into(),
                socket: "/var/run/docker.sock".into(),
            },
            slots,
            cache_bytes: 1 << 30,
            enabled: true,
            private_key: serde_json::from_str::<Sealed>("\"\"").expect("a text"),
            public_key: String::new(),
            host_key: Some("SHA256:x".into()),
            created_at: Time(0),
            seen: BuildServerSeen {
                engine: Some(EngineFacts::default()),
                ..BuildServerSeen::default()
            },
        }
    }

    fn slots(servers: Vec<BuildServer>) -> Slots {
        Slots {
            servers,
            taken: HashMap::new(),
            usual: BuildPlace::Any,
        }
    }

    fn there(name: &str) -> std::result::Result<Place, String> {
        Ok(Place::There(name.parse().expect("a name")))
    }

    #[test]
    fn builds_go_where_there_is_a_slot() {
        let mut slots = slots(vec![server("a", 1), server("b", 2)]);
        for expected in ["a", "b", "b"] {
            let place = slots.any(&[]);
            assert_eq!(place, there(expected));
            slots.take(&place.expect("a place"));
        }
        let why = slots.any(&[]).expect_err("all are taken");
        assert_eq!(why, "every build server builds as many at once as it may");
    }

    #[test]
    fn who_did_not_answer_is_asked_last_and_not_twice() {
        let mut bad = server("a", 1);
        bad.seen.problem = Some("it is away".into());
        let slots = slots(vec![bad, server("b", 1)]);
        assert_eq!(slots.any(&[]), there("b"));
        let tried: Vec<Slug> = vec!["b".parse().expect("a name")];
        assert_eq!(slots.any(&tried), there("a"));
    }

    #[test]
    fn what_is_not_ready_says_why() {
        let mut off = server("a", 1);
        off.enabled = false;
        let mut new = server("b", 1);
        new.host_key = None;
        let nowhere = |servers| match slots(servers).any(&[]) {
            Ok(Place::Nowhere(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            nowhere(vec![off, new]),
            "no build server can build it: the build server a is disabled; the build server b has a host key that nobody has confirmed yet"
        );
        assert_eq!(nowhere(Vec::new()), "no build server can build it: there is none");
    }
}

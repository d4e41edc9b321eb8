//! From the store and what was last seen of the engine to the edge's configuration: computed whole, applied whole.

use crate::{
    ground::Ground,
    observed::Observed,
    quotas::Caps,
    sleeping,
    trials::{self, Trial},
};
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Mutex,
};
use types::{
    App, AppId, Container, DesiredState, Domain, EdgeAction, EdgeCanary, EdgeCertificate, EdgeConfig, EdgePart, EdgePassthrough, EdgeRule,
    EdgeStream, EngineStatus, Host, HostPattern, OrganizationId, Origin, Release, ReleaseId, Result, Route, Rule, RuleAction, ServicePort,
    SplitPart, Target, TrafficPolicy, Upstream,
};

/// What routes need beyond the store: what was applied last, and answers to ACME challenges.
#[derive(Default)]
pub(crate) struct Routing {
    applied: tokio::sync::Mutex<Option<EdgeConfig>>,
    challenges: Mutex<BTreeMap<String, String>>,
    alpn_challenges: Mutex<BTreeMap<Host, EdgeCertificate>>,
    /// Releases that have their route already and are about to be recorded as live.
    ahead: Mutex<HashMap<AppId, ReleaseId>>,
    /// Releases with a share of their app's requests.
    trials: Mutex<HashMap<AppId, Trial>>,
}

impl Routing {
    pub fn publish_challenge(&self, token: &str, answer: &str) {
        self.challenges
            .lock()
            .expect("no panic while held")
            .insert(token.to_owned(), answer.to_owned());
    }
    pub fn withdraw_challenge(&self, token: &str) {
        self.challenges.lock().expect("no panic while held").remove(token);
    }
    pub fn publish_alpn(&self, host: &Host, certificate: EdgeCertificate) {
        let mut challenges = self.alpn_challenges.lock().expect("no panic while held");
        challenges.insert(host.clone(), certificate);
    }
    pub fn withdraw_alpn(&self, host: &Host) {
        self.alpn_challenges.lock().expect("no panic while held").remove(host);
    }
    fn ahead_of_record(&self, app: &AppId, release: &ReleaseId) {
        let mut ahead = self.ahead.lock().expect("no panic while held");
        ahead.insert(app.clone(), release.clone());
    }
    /// From the next [`apply`] on.
    pub fn begin_trial(&self, app: &AppId, trial: Trial) {
        self.trials.lock().expect("no panic while held").insert(app.clone(), trial);
    }
    pub fn end_trial(&self, app: &AppId) {
        self.trials.lock().expect("no panic while held").remove(app);
    }
    /// The record says it now, or never will.
    pub fn recorded(&self, app: &AppId) {
        self.ahead.lock().expect("no panic while held").remove(app);
    }
}

/// Sends an app's requests to a release before it is recorded as live, so that who reads `live` finds it serving.
/// [`Routing::recorded`] ends it.
pub(crate) async fn go_ahead(ground: &Ground, app: &AppId, release: &ReleaseId) -> Result<()> {
    crate::containers::look(ground).await?;
    ground.routing.ahead_of_record(app, release);
    apply(ground).await
}

/// Computes the configuration and applies it if it changed.
pub(crate) async fn apply(ground: &Ground) -> Result<()> {
    let mut applied = ground.routing.applied.lock().await;
    let config = compute(ground, None)?;
    if applied.as_ref() != Some(&config) {
        ground.node.edge_apply(config.clone()).await?;
        *applied = Some(config);
    }
    Ok(())
}

/// Applies the configuration as it would be with this domain so, before that is recorded: what the edge does not take must
/// not be recorded, since it would hold up every change after it. Then the change is in force at once, too.
pub(crate) async fn try_domain(ground: &Ground, domain: &Domain) -> Result<()> {
    let mut applied = ground.routing.applied.lock().await;
    let config = compute(ground, Some(domain))?;
    ground.node.edge_apply(config.clone()).await?;
    *applied = Some(config);
    Ok(())
}

/// The configuration as it should be now. `changed` stands in for the record of its host.
pub(crate) fn compute(ground: &Ground, changed: Option<&Domain>) -> Result<EdgeConfig> {
    let store = &ground.store;
    let observed = ground.observed.load();
    let apps: HashMap<AppId, App> = store
        .apps
        .list()?
        .into_iter()
        .map(|stored| (stored.id.clone(), stored.value))
        .collect();
    let ahead = ground.routing.ahead.lock().expect("no panic while held").clone();
    let trials = ground.routing.trials.lock().expect("no panic while held").clone();
    let finder = Finder {
        ground,
        apps: &apps,
        ahead: &ahead,
        trials: &trials,
        observed: &observed,
        caps: Caps::now(ground)?,
    };
    let options = store.edge_options.find(store::EDGE_OPTIONS_KEY)?;
    let mut config = EdgeConfig {
        challenges: ground.routing.challenges.lock().expect("no panic while held").clone(),
        alpn_challenges: ground.routing.alpn_challenges.lock().expect("no panic while held").clone(),
        options: options.map(|stored| stored.value).unwrap_or_default(),
        gate: crate::allow_lists::gate(ground)?,
        ..EdgeConfig::default()
    };
    for stored in store.domains.list()? {
        let domain = changed.filter(|changed| changed.host == stored.host).unwrap_or(&stored);
        let Some(app) = finder.app(&domain.organization, &domain.app) else {
            continue;
        };
        if let Some(passthrough) = &domain.passthrough {
            config.passthrough.insert(
                domain.host.clone(),
                EdgePassthrough {
                    app: Some(app.id.clone()),
                    name: app.name.to_string(),
                    upstreams: finder.upstreams(app, domain.service.as_ref().map(|place| place.service.as_str()), passthrough.port)?,
                    proxy_protocol: passthrough.proxy_protocol,
                },
            );
        }
        config.routes.insert(domain.host.clone(), finder.route(domain, app)?);
    }
    for stream in store.streams.list()? {
        let Some(app) = finder.app(&stream.organization, &stream.app) else {
            continue;
        };
        let entry = EdgeStream {
            app: Some(app.id.clone()),
            name: app.name.to_string(),
            upstreams: finder.upstreams(app, stream.service.as_deref(), stream.port)?,
            proxy_protocol: stream.proxy_protocol,
            allow: stream.allow.clone(),
            max_connections: stream.max_connections,
        };
        config.streams.insert(stream.listen, entry);
    }
    if let Some(host) = ground.settings()?.panel_domain {
        let route = Route::plain(None, "panel", true, Target::Panel);
        let host = HostPattern::from(host);
        config.passthrough.remove(&host);
        config.routes.insert(host, route);
    }
    config.certificates = crate::serving::certificates(ground, config.routes.keys())?;
    Ok(config)
}

/// Finds what domains, rules and ports lead to.
struct Finder<'a> {
    ground: &'a Ground,
    apps: &'a HashMap<AppId, App>,
    /// Releases that serve before they are recorded as live.
    ahead: &'a HashMap<AppId, ReleaseId>,
    trials: &'a HashMap<AppId, Trial>,
    observed: &'a Observed,
    /// What holds the domains of who has used up the traffic of the month.
    caps: Caps,
}

impl Finder<'_> {
    /// `None`: it is gone, in the trash, or another organization's.
    fn app(&self, organization: &OrganizationId, id: &AppId) -> Option<&App> {
        let app = self.apps.get(id)?;
        (app.trashed_at.is_none() && app.organization == *organization).then_some(app)
    }

    fn release(&self, app: &App) -> Result<Option<Release>> {
        match self.ahead.get(&app.id).or(app.release.as_ref()) {
            Some(id) => crate::releases::find(self.ground, id),
            None => Ok(None),
        }
    }

    fn target(&self, app: &App) -> Result<Target> {
        if let Some(target) = self.sleeping(app)? {
            return Ok(target);
        }
        Ok(target(app, self.release(app)?.as_ref(), self.observed))
    }

    /// Where requests of an app go that sleeps or is being woken; not of one that a deployment has just woken.
    fn sleeping(&self, app: &App) -> Result<Option<Target>> {
        let asleep = app.asleep.as_ref().filter(|_| app.desired == DesiredState::Running);
        let (Some(asleep), false) = (asleep, self.ahead.contains_key(&app.id)) else {
            return Ok(None);
        };
        let release = self.release(app)?;
        Ok(release.map(|release| sleeping::target(asleep, &release, self.ground.world.now())))
    }

    /// The containers of the live release at another port of theirs; of its main service, unless one is named.
    fn upstreams(&self, app: &App, service: Option<&str>, port: u16) -> Result<Vec<Upstream>> {
        let release = self.release(app)?;
        let live = |container: &&Container| {
            !self.observed.is_aside(container)
                && release.as_ref().is_some_and(|release| match service {
                    None => release.serves_with(container) && release.wants(container, app.replicas),
                    Some(name) => release.owns(container) && container.owner.service.as_ref().is_some_and(|mark| mark.name == name),
                })
        };
        let containers = self.observed.containers.iter().filter(live);
        Ok(containers.filter_map(|container| upstream(container, port)).collect())
    }

    /// To the app, or to one port of one of its services.
    fn target_of(&self, service: Option<&ServicePort>, app: &App) -> Result<Target> {
        let Some(place) = service else { return self.target(app) };
        if let Some(target) = self.sleeping(app)? {
            return Ok(target);
        }
        let upstreams = self.upstreams(app, Some(&place.service), place.port)?;
        if upstreams.is_empty() || app.desired == DesiredState::Stopped {
            let why = format!("its service `{}` does not run", place.service);
            return Ok(Target::Down { why });
        }
        Ok(Target::Upstreams(upstreams))
    }

    /// The share of a release of the app that is tried. Without a container that runs it has none.
    fn trial(&self, domain: &Domain, app: &App) -> Result<Option<Box<EdgeCanary>>> {
        let trial = self.trials.get(&app.id).filter(|_| trials::is_place(domain));
        let (Some(trial), false) = (trial, self.ahead.contains_key(&app.id)) else {
            return Ok(None);
        };
        let Some(release) = crate::releases::find(self.ground, &trial.release)? else {
            return Ok(None);
        };
        let target = target(app, Some(&release), self.observed);
        if !matches!(target, Target::Upstreams(_)) {
            return Ok(None);
        }
        Ok(Some(Box::new(EdgeCanary {
            app: app.id.clone(),
            // What the edge keeps of answers it keeps by this name: not with those of the release that is live.
            name: format!("{} #{} (canary)", app.name, release.number),
            target,
            percent: trial.canary.percent,
            header: None,
            limits: trial.canary.limits.clone(),
            since: trial.since,
            release: Some(release.id),
        })))
    }

    fn route(&self, domain: &Domain, app: &App) -> Result<Route> {
        let canary = match domain.canary.as_ref().filter(|canary| canary.failed.is_none()) {
            Some(canary) => self.app(&domain.organization, &canary.app).map(|app| (canary, app)),
            None => None,
        };
        let canary = match canary {
            Some((canary, app)) => Some(Box::new(EdgeCanary {
                app: app.id.clone(),
                name: app.name.to_string(),
                target: self.target(app)?,
                percent: canary.percent,
                header: canary.header.clone(),
                limits: canary.limits.clone(),
                since: canary.since,
                release: None,
            })),
            None => self.trial(domain, app)?,
        };
        let enabled = domain.rules.iter().filter(|rule| rule.enabled);
        Ok(Route {
            app: Some(app.id.clone()),
            name: app.name.to_string(),
            force_https: domain.force_https,
            target: self.target_of(domain.service.as_ref(), app)?,
            policy: boxed(&self.caps.over(app, &domain.policy)),
            rules: enabled.map(|rule| self.rule(domain, app, rule)).collect::<Result<_>>()?,
            canary,
        })
    }

    fn part(&self, domain: &Domain, own: &App, part: &SplitPart) -> Result<EdgePart> {
        if let Some(origin) = &part.origin {
            return Ok(EdgePart {
                weight: part.weight,
                app: Some(own.id.clone()),
                name: match origin {
                    Origin::Host { host, port } => format!("{host}:{port}"),
                    Origin::Socket { path } => path.display().to_string(),
                },
                target: Target::Origin(origin.clone()),
            });
        }
        let found = match &part.app {
            Some(id) => self.app(&domain.organization, id),
            None => Some(own),
        };
        Ok(EdgePart {
            weight: part.weight,
            app: found.map(|app| app.id.clone()),
            name: found.map_or_else(|| "an app that is gone".to_owned(), |app| part_name(app, part.service.as_ref())),
            target: match found {
                Some(app) => self.target_of(part.service.as_ref(), app)?,
                None => Target::Down {
                    why: "the app that its rule names is gone".into(),
                },
            },
        })
    }

    fn rule(&self, domain: &Domain, own: &App, rule: &Rule) -> Result<EdgeRule> {
        let action = match &rule.action {
            RuleAction::App { app, service, path } => {
                let found = match app {
                    Some(id) => self.app(&domain.organization, id),
                    None => Some(own),
                };
                EdgeAction::Serve {
                    app: found.map(|app| app.id.clone()),
                    name: found.map_or_else(|| rule.name.clone(), |app| part_name(app, service.as_ref())),
                    target: match found {
                        Some(app) => self.target_of(service.as_ref(), app)?,
                        None => Target::Down {
                            why: "the app that its rule names is gone".into(),
                        },
                    },
                    path: path.clone(),
                }
            }
            RuleAction::Origin { origin, path } => EdgeAction::Serve {
                app: Some(own.id.clone()),
                name: rule.name.clone(),
                target: Target::Origin(origin.clone()),
                path: path.clone(),
            },
            RuleAction::Split { parts, path } => EdgeAction::Split {
                parts: parts.iter().map(|part| self.part(domain, own, part)).collect::<Result<_>>()?,
                path: path.clone(),
            },
            RuleAction::Redirect(redirect) => EdgeAction::Redirect(redirect.clone()),
            RuleAction::Respond {
                status,
                content_type,
                body,
            } => EdgeAction::Respond {
                status: *status,
                content_type: content_type.clone(),
                body: body.clone(),
            },
        };
        Ok(EdgeRule {
            id: rule.id.clone(),
            name: rule.name.clone(),
            priority: rule.priority,
            matches: rule.matches.clone(),
            action,
            policy: rule.policy.as_ref().map(|policy| Box::new(self.caps.over(own, policy))),
        })
    }
}

fn part_name(app: &App, service: Option<&ServicePort>) -> String {
    match service {
        Some(place) => format!("{} {}", app.name, place.service),
        None => app.name.to_string(),
    }
}

fn boxed(policy: &TrafficPolicy) -> Option<Box<TrafficPolicy>> {
    (!policy.is_plain()).then(|| Box::new(policy.clone()))
}

/// The host of the certificate that serves where no other fits: bare addresses, the panel's port.
pub(crate) fn default_host() -> Host {
    "localhost".parse().expect("a literal host parses")
}

/// Where requests of an app go.
fn target(app: &App, release: Option<&Release>, observed: &Observed) -> Target {
    let Some(release) = release else {
        return match app.last_deployment {
            Some(_) => Target::Starting,
            None => Target::Down {
                why: "it has not been deployed yet".into(),
            },
        };
    };
    if app.desired == DesiredState::Stopped {
        return Target::Down {
            why: "it is stopped".into(),
        };
    }
    let serving =
        |container: &&&Container| release.serves_with(container) && release.wants(container, app.replicas) && !observed.is_aside(container);
    let all: Vec<&Container> = observed.containers.iter().filter(|container| serving(&container)).collect();
    // Of several, those that are well; when none is known to be, all of them.
    let well = |container: &&&Container| all.len() == 1 || observed.is_well(container, release);
    let upstreams_of = |found: Vec<&Container>| -> Vec<Upstream> {
        let found = found.into_iter();
        found.filter_map(|container| upstream(container, release.port)).collect()
    };
    let mut upstreams = upstreams_of(all.iter().filter(well).copied().collect());
    if upstreams.is_empty() {
        upstreams = upstreams_of(all);
    }
    if !upstreams.is_empty() {
        return Target::Upstreams(upstreams);
    }
    match (&observed.engine, observed.container(release)) {
        (Some(EngineStatus::Down { .. }), _) => Target::Down {
            why: "its server's Docker engine does not answer".into(),
        },
        // It is being stopped for another one, or started anew.
        (_, Some(container)) if container.state.is_running() && observed.is_aside(container) => Target::Starting,
        (_, Some(container)) if !matches!(container.state, types::ContainerState::Created) => Target::Down {
            why: container.state.words(),
        },
        _ => Target::Starting,
    }
}

/// Where a running container listens.
pub(crate) fn upstream(container: &Container, port: u16) -> Option<Upstream> {
    let address = container.address.filter(|_| container.state.is_running())?;
    Some(Upstream {
        address: SocketAddr::new(address, port),
    })
}

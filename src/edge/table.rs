//! A configuration, built: every certificate parsed, every host ready to be found.

use crate::{
    balance::Balanced,
    canary::CanaryState,
    health::Watched,
    passthrough::Passthroughs,
    policy::Policy,
    registry::Registry,
    sleeping::{Bed, Slot},
    split::Split,
    tally::Tally,
    tls::Certificates,
    traffic::{Counters, Ledger},
    upstream::{Backend, Backends, Place, Wire},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use std::{collections::HashMap, path::Path, sync::Arc};
use types::{
    AppId, Asked, Balancing, CompiledPathChange, CompiledRedirect, EdgeAction, EdgeConfig, EdgeOptions, EdgeRule, Error, HeaderMatch,
    HostPattern, Origin, PanelGate, Place as AskedAt, ReleaseId, RequestMatch, Result, Route, RuleId, Ruled, Sends, Target, Time,
    TrafficPolicy,
};

/// One route. Requests hold it while they are under way, so it outlives its table.
pub(crate) struct Site {
    pub force_https: bool,
    pub leads: Leads,
    pub tally: Arc<Tally>,
    /// `None`: requests are just passed on.
    pub extras: Option<Box<Extras>>,
}

/// An app, and the way to it.
pub(crate) struct Leads {
    /// For pages and the access log.
    pub name: Box<str>,
    pub serves: Serves,
    pub path: Option<CompiledPathChange>,
    pub counters: Arc<Counters>,
}

pub(crate) enum Serves {
    App(Balanced),
    Panel(Arc<Backend>),
    Starting,
    Down(Box<str>),
    Asleep(Box<Bed>),
}

/// What a site does beside passing requests on.
pub(crate) struct Extras {
    pub pattern: HostPattern,
    pub policy: Option<Arc<Policy>>,
    /// In the order in which they are asked.
    pub rules: Box<[BuiltRule]>,
    pub canary: Option<BuiltCanary>,
}

pub(crate) struct BuiltRule {
    pub id: RuleId,
    pub matches: RequestMatch,
    pub does: Does,
    /// Its own or the route's.
    pub policy: Option<Arc<Policy>>,
}

pub(crate) enum Does {
    Serve(Leads),
    Split(Split),
    Redirect(CompiledRedirect),
    Respond {
        status: StatusCode,
        kind: HeaderValue,
        body: Bytes,
    },
}

impl Ruled for BuiltRule {
    fn matches(&self) -> &RequestMatch {
        &self.matches
    }
    fn sends(&self, asked: &AskedAt<'_>) -> Sends {
        match &self.does {
            Does::Redirect(redirect) => redirect.sends(asked),
            _ => Sends::Nowhere,
        }
    }
}

pub(crate) struct BuiltCanary {
    pub leads: Leads,
    pub app: AppId,
    pub since: Time,
    pub release: Option<ReleaseId>,
    percent: u8,
    header: Option<HeaderMatch>,
    pub state: Arc<CanaryState>,
}

impl BuiltCanary {
    /// Whether it gets this request.
    pub(crate) fn takes(&self, asked: &impl Asked) -> bool {
        if self.state.has_failed() || !matches!(self.leads.serves, Serves::App(_)) {
            return false;
        }
        let named = |header: &HeaderMatch| header.test.fits(asked.values(header.name.as_str()));
        self.header.as_ref().is_some_and(named) || self.state.takes(self.percent)
    }
}

pub(crate) struct Table {
    hosts: HashMap<Box<str>, Arc<Site>>,
    /// By what stands behind `*.`.
    wildcards: HashMap<Box<str>, Arc<Site>>,
    pub challenges: HashMap<Box<str>, Box<str>>,
    /// What the panel port serves, whatever the host.
    pub panel: Arc<Site>,
    /// Upstreams whose health is asked for.
    pub watched: Arc<[Watched]>,
    pub passthrough: Passthroughs,
    pub options: EdgeOptions,
    pub gate: PanelGate,
    /// Of sites with one: for reports.
    pub canaries: Vec<(HostPattern, Arc<Site>)>,
}

/// What a table is built with, and what outlives it.
#[derive(Clone, Copy)]
pub(crate) struct Workshop<'a> {
    pub ledger: &'a Ledger,
    pub backends: &'a Backends,
    pub registry: &'a Registry,
    pub panel_socket: &'a Path,
}

impl Table {
    pub(crate) fn empty(workshop: Workshop<'_>) -> Table {
        Table {
            hosts: HashMap::new(),
            wildcards: HashMap::new(),
            challenges: HashMap::new(),
            panel: Arc::new(Site {
                force_https: false,
                leads: workshop.panel("panel"),
                tally: Arc::default(),
                extras: None,
            }),
            watched: Arc::default(),
            passthrough: Passthroughs::default(),
            options: EdgeOptions::default(),
            gate: PanelGate::default(),
            canaries: Vec::new(),
        }
    }

    /// Builds all of `config` or nothing. Fails with `Invalid` that names the host.
    pub(crate) fn build(config: &EdgeConfig, before: &Certificates, workshop: Workshop<'_>) -> Result<(Table, Certificates)> {
        let certificates = Certificates::build(config, before)?;
        let (mut hosts, mut wildcards) = (HashMap::with_capacity(config.routes.len()), HashMap::new());
        let (mut watched, mut canaries) = (Vec::new(), Vec::new());
        for (host, route) in &config.routes {
            let site = workshop
                .site(host, route, &mut watched)
                .map_err(|error| Error::invalid(format!("route of {host}"), words(error)))?;
            let site = Arc::new(site);
            if route.canary.is_some() {
                canaries.push((host.clone(), site.clone()));
            }
            match host.as_str().strip_prefix("*.") {
                Some(base) => wildcards.insert(base.into(), site),
                None => hosts.insert(host.as_str().into(), site),
            };
        }
        let table = Table {
            hosts,
            wildcards,
            challenges: config
                .challenges
                .iter()
                .map(|(token, answer)| (token.as_str().into(), answer.as_str().into()))
                .collect(),
            watched: watched.into(),
            passthrough: Passthroughs::build(config, workshop.backends, workshop.ledger),
            options: config.options.clone(),
            gate: config.gate.clone(),
            canaries,
            ..Table::empty(workshop)
        };
        share_out(config, workshop.registry);
        Ok((table, certificates))
    }

    /// What a place leads to now; `None`: it is gone.
    pub(crate) fn at(&self, slot: &Slot) -> Option<&Arc<Site>> {
        match slot.host.as_str().strip_prefix("*.") {
            Some(base) => self.wildcards.get(base),
            None => self.hosts.get(slot.host.as_str()),
        }
    }

    /// Finds a site by host: lower case, without port and last dot. An exact one goes before a wildcard.
    pub(crate) fn site(&self, host: &str) -> Option<&Arc<Site>> {
        let exact = self.hosts.get(host);
        if exact.is_some() || self.wildcards.is_empty() {
            return exact;
        }
        let (label, base) = host.split_once('.')?;
        if label.is_empty() { None } else { self.wildcards.get(base) }
    }
}

/// The domains' parts of the memory for answers: what each wants, or less when all together want too much.
fn share_out(config: &EdgeConfig, registry: &Registry) {
    let wishes: HashMap<&HostPattern, u64> = config
        .routes
        .iter()
        .filter_map(|(host, route)| {
            let rules = route.rules.iter().filter_map(|rule| rule.policy.as_deref());
            let all = route.policy.as_deref().into_iter().chain(rules);
            let most = all.filter_map(|policy| policy.cache.as_ref()).map(|cache| cache.max_bytes).max()?;
            Some((host, most))
        })
        .collect();
    let sum: u128 = wishes.values().map(|bytes| u128::from(*bytes)).sum();
    let most = u128::from(config.options.cache_bytes);
    registry.shares.each(|host, share| {
        let wish = u128::from(wishes.get(host).copied().unwrap_or(0));
        let part = if sum > most { wish * most / sum } else { wish };
        share.set_bytes(u64::try_from(part).unwrap_or(u64::MAX).max(1));
    });
}

fn words(error: Error) -> String {
    match error {
        // The field is one of a policy or a rule; the reason follows it.
        Error::Invalid { field, why } if field.is_empty() => why,
        Error::Invalid { field, why } => format!("{field}: {why}"),
        other => types::report(&other),
    }
}

impl Workshop<'_> {
    fn panel(&self, name: &str) -> Leads {
        Leads {
            name: name.into(),
            serves: Serves::Panel(self.backends.of(Place::Unix(self.panel_socket.to_owned()), Wire::default())),
            path: None,
            counters: self.ledger.of(&None),
        }
    }

    fn site(&self, host: &HostPattern, route: &Route, watched: &mut Vec<Watched>) -> Result<Site> {
        let policy = self.policy(host, "", route.policy.as_deref())?;
        let leads = self.leads(
            &route.app,
            &route.name,
            &route.target,
            None,
            policy.as_deref(),
            &Slot::of(host),
            watched,
        )?;
        let mut rules = Vec::new();
        for rule in types::in_order(&route.rules, |rule| (rule.priority, &rule.matches, &rule.id)) {
            let own = self.policy(host, rule.id.as_str(), rule.policy.as_deref());
            let built = own.and_then(|own| self.rule(rule, own.or_else(|| policy.clone()), host, watched));
            rules.push(built.map_err(|error| Error::invalid(format!("rule {}", rule.name), words(error)))?);
        }
        let canary = match &route.canary {
            Some(canary) => Some(BuiltCanary {
                leads: self.leads(
                    &Some(canary.app.clone()),
                    &canary.name,
                    &canary.target,
                    None,
                    policy.as_deref(),
                    &Slot::of(host),
                    watched,
                )?,
                app: canary.app.clone(),
                since: canary.since,
                release: canary.release.clone(),
                percent: canary.percent,
                header: canary.header.clone(),
                state: self.registry.canary(host, canary),
            }),
            None => None,
        };
        let plain = policy.is_none() && rules.is_empty() && canary.is_none();
        Ok(Site {
            force_https: route.force_https,
            leads,
            tally: self.registry.tallies.of(host.clone(), Tally::default),
            extras: (!plain).then(|| {
                Box::new(Extras {
                    pattern: host.clone(),
                    policy,
                    rules: rules.into(),
                    canary,
                })
            }),
        })
    }

    fn policy(&self, host: &HostPattern, rule: &str, raw: Option<&TrafficPolicy>) -> Result<Option<Arc<Policy>>> {
        raw.map(|raw| Policy::build(raw, host, rule, self.registry, self.backends).map(Arc::new))
            .transpose()
    }

    fn rule(&self, rule: &EdgeRule, policy: Option<Arc<Policy>>, host: &HostPattern, watched: &mut Vec<Watched>) -> Result<BuiltRule> {
        let does = match &rule.action {
            EdgeAction::Serve { app, name, target, path } => {
                let change = if path.is_none() { None } else { Some(path.compile()?) };
                let slot = Slot::of_rule(host, &rule.id, 0);
                Does::Serve(self.leads(app, name, target, change, policy.as_deref(), &slot, watched)?)
            }
            EdgeAction::Split { parts, path } => {
                let mut built = Vec::new();
                for (number, part) in parts.iter().enumerate() {
                    let change = if path.is_none() { None } else { Some(path.compile()?) };
                    let slot = Slot::of_rule(host, &rule.id, number);
                    let leads = self.leads(&part.app, &part.name, &part.target, change, policy.as_deref(), &slot, watched)?;
                    built.push((part.weight, leads));
                }
                if built.iter().all(|(weight, _)| *weight == 0) {
                    return Err(Error::invalid("parts", "at least one must have a weight above 0"));
                }
                Does::Split(Split::new(built))
            }
            EdgeAction::Redirect(redirect) => Does::Redirect(redirect.compile()?),
            EdgeAction::Respond {
                status,
                content_type,
                body,
            } => Does::Respond {
                status: StatusCode::from_u16(*status).map_err(|_| Error::invalid("status", "is none"))?,
                kind: HeaderValue::from_str(content_type).map_err(|_| Error::invalid("content_type", "cannot be used"))?,
                body: Bytes::from(body.clone()),
            },
        };
        Ok(BuiltRule {
            id: rule.id.clone(),
            matches: rule.matches.clone(),
            does,
            policy,
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn leads(
        &self,
        app: &Option<AppId>,
        name: &str,
        target: &Target,
        path: Option<CompiledPathChange>,
        policy: Option<&Policy>,
        slot: &Slot,
        watched: &mut Vec<Watched>,
    ) -> Result<Leads> {
        let host = &slot.host;
        let raw = policy.map(|policy| &policy.raw);
        let serves = match target {
            Target::Upstreams(upstreams) if upstreams.is_empty() => return Err(Error::invalid("", "has no upstream")),
            Target::Upstreams(upstreams) => {
                let places = upstreams.iter().map(|upstream| Place::Tcp(upstream.address));
                self.balanced(places, raw, host, watched)?
            }
            Target::Origin(origin) => {
                let place = match origin {
                    Origin::Host { host, port } => match host.address() {
                        Some(address) => Place::Tcp((address, *port).into()),
                        None => Place::Name(host.as_str().into(), *port),
                    },
                    Origin::Socket { path } => Place::Unix(path.clone()),
                };
                self.balanced(std::iter::once(place), raw, host, watched)?
            }
            Target::Panel => return Ok(self.panel(name)),
            Target::Starting => Serves::Starting,
            Target::Asleep { wait } => match app {
                Some(app) => Serves::Asleep(Box::new(self.registry.bed(app, slot.clone(), *wait))),
                None => Serves::Starting,
            },
            Target::Down { why } => Serves::Down(why.as_str().into()),
        };
        Ok(Leads {
            name: name.into(),
            serves,
            path,
            counters: self.ledger.of(app),
        })
    }

    fn balanced(
        &self,
        places: impl Iterator<Item = Place>,
        policy: Option<&TrafficPolicy>,
        host: &HostPattern,
        watched: &mut Vec<Watched>,
    ) -> Result<Serves> {
        let wire = self.backends.wire(policy)?;
        let backends: Box<[Arc<Backend>]> = places.map(|place| self.backends.of(place, wire.clone())).collect();
        let Some(policy) = policy else {
            return Ok(Serves::App(Balanced::new(backends, Balancing::RoundRobin)));
        };
        for backend in &backends {
            backend.start_slowly(policy.slow_start_seconds);
            if let Some(health) = &policy.active_health {
                watched.push(Watched {
                    backend: backend.clone(),
                    health: health.clone(),
                    host: HeaderValue::from_str(host.base().as_str()).unwrap_or(HeaderValue::from_static("localhost")),
                });
            } else {
                backend.unchecked();
            }
        }
        Ok(Serves::App(Balanced::new(backends, policy.balancing.clone())))
    }
}

//! Routes as a part of releases: the hosts that an app has with their rules and policies, how two releases differ in them, and the way
//! back, as far as whoever goes it may.

use crate::{
    apps::find_app,
    domain_claims::{Claiming, may_return, must_be_free},
    ground::Ground,
    releases::{Difference, find, live, paired},
};
use store::{Batch, Stored};
use types::{Action, Actor, App, AppId, Domain, ForwardAuth, Origin, Reach, Release, ReleaseId, Result, TrafficPolicy};

/// Of the hosts that both have: which parts of their routes differ.
pub(crate) fn route_differences(from: &Release, to: &Release) -> Vec<Difference> {
    let (Some(from), Some(to)) = (&from.routes, &to.routes) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (host, a, b) in paired(from, to, |domain| domain.host.to_string()) {
        let (Some(a), Some(b)) = (a, b) else { continue };
        let parts = [
            ("HTTPS", a.force_https != b.force_https),
            ("policy", a.policy != b.policy),
            ("rules", a.rules != b.rules),
            ("canary", a.canary != b.canary),
            ("passthrough", a.passthrough != b.passthrough),
            ("service", a.service != b.service),
            ("primary", a.primary != b.primary),
        ];
        let changed: Vec<_> = parts.iter().filter(|(_, differs)| *differs).map(|(what, _)| *what).collect();
        if !changed.is_empty() {
            let words = format!("changed {}", changed.join(", "));
            found.push(Difference::new(format!("route {host}"), Some("before".into()), Some(words)));
        }
    }
    found
}

/// An app's hosts with their rules and policies, as they are now.
pub(crate) fn routes_of(ground: &Ground, app: &AppId) -> Result<Vec<Domain>> {
    let mut routes: Vec<Domain> = ground
        .store
        .domains
        .list()?
        .into_iter()
        .map(|stored| stored.value)
        .filter(|domain| domain.app == *app)
        .collect();
    routes.sort_by(|a, b| a.host.as_str().cmp(b.host.as_str()));
    Ok(routes)
}

/// One host of a release that is another now, or gone.
struct Return {
    route: Domain,
    now: Option<Stored<Domain>>,
}

/// What the way back would change. A host that leads to another app by now stays there; one that would take what another
/// organization or the panel has by now stays away.
fn returns(ground: &Ground, release: &Release) -> Result<Vec<Return>> {
    let mut all = Vec::new();
    for route in release.routes.iter().flatten() {
        let now = ground.store.domains.find(route.host.as_str())?;
        let route = as_it_went(route, now.as_ref().map(|now| &now.value));
        let comes = match &now {
            Some(now) => now.app == release.app && now.value != route,
            None => may_return(ground, &route.organization, &route.host)?,
        };
        if comes {
            all.push(Return { route, now });
        }
    }
    Ok(all)
}

/// The route, without a second chance for a canary that failed since.
fn as_it_went(route: &Domain, now: Option<&Domain>) -> Domain {
    let mut route = route.clone();
    let now = now.and_then(|now| now.canary.as_ref());
    if let (Some(canary), Some(now)) = (&mut route.canary, now)
        && canary.is_same_try(now)
    {
        *canary = now.clone();
    }
    route
}

/// How far routes may lead that this person brings back.
pub(crate) fn reach(ground: &Ground, actor: &Actor, release: &Release) -> Reach {
    let routes = release.routes.iter().flatten();
    let named = routes.flat_map(|route| {
        let canary = route.canary.iter().map(|canary| &canary.app);
        route.rules.iter().flat_map(|rule| rule.action.apps()).chain(canary)
    });
    let mut apps: Vec<AppId> = named.cloned().collect();
    apps.sort_unstable();
    apps.dedup();
    apps.retain(|app| find_app(ground, actor, Action::Configure, app.as_str()).is_ok());
    Reach {
        outside: actor.may(Action::Operate).is_ok(),
        apps,
    }
}

/// Which hosts stay as they are because of how far their routes would lead, each with why.
pub(crate) fn kept(ground: &Ground, release: &Release, reach: &Reach) -> Result<Vec<String>> {
    let all = returns(ground, release)?;
    let why = |one: &Return| Some(format!("{} stays as it is: {}", one.route.host, one.beyond(reach)?));
    Ok(all.iter().filter_map(why).collect())
}

/// Whether the way back changes any host.
pub(crate) fn would_change(ground: &Ground, release: &Release) -> Result<bool> {
    Ok(!returns(ground, release)?.is_empty())
}

impl Return {
    /// What of it is not for somebody to bring back who reaches so far, since the host does not do it now.
    fn beyond(&self, reach: &Reach) -> Option<&'static str> {
        beyond(&self.route, self.now.as_ref().map(|now| &now.value), reach)
    }
}

fn beyond(route: &Domain, now: Option<&Domain>, reach: &Reach) -> Option<&'static str> {
    let mut asks: Vec<Option<&ForwardAuth>> = vec![asked_anew(&route.policy, now.map(|now| &now.policy))];
    let mut origins: Vec<&Origin> = Vec::new();
    let mut apps: Vec<&AppId> = Vec::new();
    for rule in &route.rules {
        let before = now.and_then(|now| now.rules.iter().find(|one| one.id == rule.id));
        let known: Vec<&Origin> = before.iter().flat_map(|before| before.action.origins()).collect();
        origins.extend(rule.action.origins().filter(|origin| !known.contains(origin)));
        let known: Vec<&AppId> = before.iter().flat_map(|before| before.action.apps()).collect();
        apps.extend(rule.action.apps().filter(|app| !known.contains(app)));
        let own = before.and_then(|before| before.policy.as_ref());
        asks.extend(rule.policy.as_ref().map(|policy| asked_anew(policy, own)));
    }
    if route.canary != now.and_then(|now| now.canary.clone()) {
        apps.extend(route.canary.iter().map(|canary| &canary.app));
    }
    let leads_outside = !origins.is_empty() || asks.iter().any(Option::is_some);
    if leads_outside && !reach.outside {
        return Some("the release had forward-auth or an origin there, which an administrator of the panel may bring back");
    }
    let is_strange = apps.iter().any(|app| !reach.apps.contains(app));
    is_strange.then_some("in the release it led to an app that you may not change")
}

/// The forward-auth of a policy, unless it asked there before.
fn asked_anew<'a>(policy: &'a TrafficPolicy, before: Option<&TrafficPolicy>) -> Option<&'a ForwardAuth> {
    let asked = policy.forward_auth.as_ref()?;
    (before.and_then(|before| before.forward_auth.as_ref()) != Some(asked)).then_some(asked)
}

/// Adds to the batch what brings a release's routes back, as far as `reach` goes. Hosts that came since stay.
pub(crate) fn routes_back(ground: &Ground, id: &ReleaseId, reach: &Reach, mut batch: Batch) -> Result<Batch> {
    let Some(release) = find(ground, id)? else { return Ok(batch) };
    let all = returns(ground, &release)?;
    let (coming, staying): (Vec<Return>, Vec<Return>) = all.into_iter().partition(|one| one.beyond(reach).is_none());
    // One is the primary one: of the release's hosts, unless the one that was cannot come back as it was.
    let is_settled = |host: &Domain| host.primary && !staying.iter().any(|one| one.route.host == host.host);
    let primary = release.routes.iter().flatten().find(|route| is_settled(route));
    let primary = match primary {
        Some(route) => match ground.store.domains.find(route.host.as_str())? {
            Some(now) if now.app != release.app => None,
            _ => Some(route.host.clone()),
        },
        None => None,
    };
    for one in &coming {
        let mut route = one.route.clone();
        match &one.now {
            Some(now) => {
                let mut stored = now.clone();
                route.primary = match &primary {
                    Some(primary) => *primary == route.host,
                    None => now.primary,
                };
                stored.value = route;
                batch = batch.save(stored);
            }
            None => {
                route.primary = primary.as_ref() == Some(&route.host);
                batch = batch.insert(route);
            }
        }
    }
    let Some(primary) = primary else { return Ok(batch) };
    for other in routes_of(ground, &release.app)? {
        let comes = coming.iter().any(|one| one.route.host == other.host);
        if other.primary && other.host != primary && !comes {
            let mut stored = ground.store.domains.get(other.host.as_str())?;
            stored.primary = false;
            batch = batch.save(stored);
        }
    }
    Ok(batch)
}

/// Gives an app that comes out of the trash the hosts that it had, with their rules and policies. One that leads elsewhere by now stays away,
/// and so does one that would do what is not for `actor` to bring back: without its policy it would be open to everybody.
pub(crate) async fn restore(claiming: &Claiming<'_>, actor: &Actor, app: &App) -> Result<()> {
    let ground = claiming.ground;
    let Some(release) = live(ground, app)? else { return Ok(()) };
    let reach = reach(ground, actor, &release);
    let mut routes = release.routes.unwrap_or_default();
    routes.sort_by_key(|route| !route.primary);
    let mut has_primary = false;
    for mut route in routes {
        if beyond(&route, None, &reach).is_some() || must_be_free(ground, actor, &route.host).is_err() {
            continue;
        }
        let may_be_primary = route.primary || (!route.host.is_wildcard() && route.service.is_none());
        route.primary = may_be_primary && !has_primary;
        let is_primary = route.primary;
        let came = ground.store.commit(Batch::new().insert(route)).await.is_ok();
        has_primary |= came && is_primary;
    }
    Ok(())
}

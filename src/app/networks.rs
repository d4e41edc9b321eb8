//! Networks on the engine: that of an environment, that of an app's services, and those of a Compose file that keeps services apart.
//! Each is made when a container is to be on it; who is on which comes from the stack.

use crate::{apps::is_active, ground::Ground, releases, stacks};
use store::{Batch, Record, Stored};
use types::{App, Container, Error, Network, NetworkSpec, Result, Segment, StackNetwork, StackService};

/// The network of the app's environment; makes it, with the first subnet of the range that nobody has.
pub(crate) async fn ensure_network(ground: &Ground, app: &App) -> Result<String> {
    ensure(ground, app, wish(ground, app)).await
}

/// The networks of its app that a service is on, and its names on each. The edge dials it on the first.
pub(crate) async fn of_service(ground: &Ground, app: &App, service: &StackService) -> Result<Vec<(String, Vec<String>)>> {
    let mut names = vec![service.name.clone()];
    names.extend(service.aliases.clone());
    if service.networks.is_empty() {
        return Ok(vec![(app_network(ground, app).await?, names)]);
    }
    let mut all = Vec::new();
    for network in &service.networks {
        let on_engine = match segment_of(network) {
            Some(segment) => ensure(ground, app, segment_wish(ground, app, segment)).await?,
            None => app_network(ground, app).await?,
        };
        let more = network.aliases.iter().filter(|alias| !names.contains(alias));
        all.push((on_engine, names.iter().chain(more).cloned().collect()));
    }
    Ok(all)
}

/// `None`: the one that the app has without its file speaking of any.
fn segment_of(network: &StackNetwork) -> Option<Segment> {
    let is_usual = network.name == "default" && !network.internal;
    (!is_usual).then(|| Segment {
        name: network.name.clone(),
        internal: network.internal,
    })
}

/// The network of one app's services, on which they have their plain names. Two apps with a service `db` each must not
/// find the other's, so they cannot share one.
async fn app_network(ground: &Ground, app: &App) -> Result<String> {
    let network = Network {
        app: Some(app.id.clone()),
        name: format!("serverkit-{}", bare(app.id.as_str())),
        ..wish(ground, app)
    };
    ensure(ground, app, network).await
}

fn segment_wish(ground: &Ground, app: &App, segment: Segment) -> Network {
    // An id has neither of the two signs, so no two names meet.
    let kind = if segment.internal { "-internal" } else { "" };
    Network {
        app: Some(app.id.clone()),
        name: format!("serverkit-{}{kind}.{}", bare(app.id.as_str()), segment.name),
        segment: Some(segment),
        ..wish(ground, app)
    }
}

/// That of the environment, with no subnet of its own yet.
fn wish(ground: &Ground, app: &App) -> Network {
    Network {
        environment: app.environment.clone(),
        app: None,
        segment: None,
        name: format!("serverkit-{}", bare(app.environment.as_str())),
        subnet: ground.options.network_range,
    }
}

/// An id without its kind.
fn bare(id: &str) -> &str {
    id.split_once('_').map_or(id, |(_, id)| id)
}

async fn ensure(ground: &Ground, app: &App, mut network: Network) -> Result<String> {
    let key = network.key();
    if let Some(known) = ground.store.networks.find(&key)? {
        ground.node.network_ensure(&spec(app, &known)).await?;
        return Ok(known.value.name);
    }
    let range = ground.options.network_range;
    let prefix = range.prefix_len().max(24);
    let subnets = range
        .subnets(prefix)
        .map_err(|_| Error::invalid("network_range", "cannot be cut into networks"))?;
    let mut last = None;
    for subnet in subnets {
        if ground.store.networks.claimed(&subnet.to_string())?.is_some() {
            continue;
        }
        network.subnet = subnet;
        match ground.node.network_ensure(&spec(app, &network)).await {
            Ok(()) => {
                match ground.store.networks.insert(network.clone()).await {
                    Ok(_) => return Ok(network.name),
                    // Another deployment of the environment was quicker, with the same network.
                    Err(Error::Taken { .. }) => return Ok(ground.store.networks.get(&key)?.value.name),
                    Err(error) => return Err(error),
                }
            }
            // Somebody else on this machine has the addresses: take the next.
            Err(error @ (Error::Taken { .. } | Error::Invalid { .. } | Error::Busy { .. })) => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        Error::busy(format!(
            "all networks of {range} are in use; those who run the panel can make `network.range` larger"
        ))
    }))
}

fn spec(app: &App, network: &Network) -> NetworkSpec {
    NetworkSpec {
        name: network.name.clone(),
        organization: app.organization.clone(),
        environment: app.environment.clone(),
        subnet: network.subnet,
        internal: network.segment.as_ref().is_some_and(|segment| segment.internal),
    }
}

/// All networks of an app, from which its containers are gone.
pub(crate) async fn remove_of(ground: &Ground, app: &App) -> Result<()> {
    for network in ground.store.networks.list()? {
        if network.app.as_ref() == Some(&app.id) {
            remove(ground, &network).await?;
        }
    }
    Ok(())
}

/// Fails with `Busy` while a container is on it.
async fn remove(ground: &Ground, network: &Stored<Network>) -> Result<()> {
    ground.node.network_remove(&network.name).await?;
    match ground.store.commit(Batch::new().remove(network)).await {
        // Who looks for what is left over, and who removes the app, may both have found it.
        Err(Error::Stale { .. }) => Ok(()),
        other => other,
    }
}

/// Takes away the networks of apps that their live releases do not have any more. `seen`: all containers.
pub(crate) async fn sweep(ground: &Ground, seen: &[Container]) -> Result<()> {
    let all = ground.store.networks.list()?;
    for network in &all {
        let Some(id) = &network.app else { continue };
        let Some(app) = ground.store.apps.find(id.as_str())? else {
            continue;
        };
        // Where there are no others, services have the app's own: their file need not be read for that.
        let is_alone = network.segment.is_none() && !all.iter().any(|other| other.app.as_ref() == Some(id) && other.segment.is_some());
        if is_alone && releases::live(ground, &app)?.is_some_and(|live| live.stack.is_some()) {
            continue;
        }
        if is_needed(ground, &app, network.segment.as_ref(), seen)? {
            continue;
        }
        match remove(ground, network).await {
            // Something is on it that was not seen yet: the next turn looks again.
            Ok(()) | Err(Error::Busy { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What is live has it, a deployment may be about to, or containers of another release are still on their way out.
fn is_needed(ground: &Ground, app: &App, segment: Option<&Segment>, seen: &[Container]) -> Result<bool> {
    let live = releases::live(ground, app)?;
    if let Some(stack) = live.as_ref().and_then(|release| release.stack.as_ref()) {
        let stack = stacks::open(ground, stack)?;
        if stack.services.iter().any(|service| is_on(service, segment)) {
            return Ok(true);
        }
    }
    let is_leaving = |container: &Container| container.owner.app == app.id && live.as_ref().is_none_or(|live| !live.owns(container));
    if seen.iter().any(is_leaving) {
        return Ok(true);
    }
    let deployments = ground.store.deployments.prefix(&format!("{}/", app.id))?;
    Ok(deployments.iter().any(|deployment| is_active(deployment.phase)))
}

/// `None`: the app's own, which services have whose file speaks of no network.
fn is_on(service: &StackService, segment: Option<&Segment>) -> bool {
    let is_plain = service.networks.is_empty() && segment.is_none();
    is_plain || service.networks.iter().any(|network| segment_of(network).as_ref() == segment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AppChange, Apps, Deployments, NewApp, NewSource, Trash, Wanted,
        testing::Bench,
        tests::{reconcile, settle, wish},
    };
    use std::collections::BTreeSet;
    use types::Phase;

    fn shop(networks: &str) -> NewSource {
        let services =
            "services:\n  web: {image: 'nginx:1', ports: ['80'], networks: [front, back]}\n  db: {image: 'db:1', networks: [back]}\n";
        let text = match networks.is_empty() {
            true => "services:\n  web: {image: 'nginx:1', ports: ['80']}\n  db: {image: 'db:1'}\n".to_owned(),
            false => format!("{services}networks: {networks}\n"),
        };
        NewSource::Compose {
            text: text.into(),
            profiles: Vec::new(),
            main: None,
            template: None,
        }
    }

    /// What is recorded, which is also what is on the engine.
    fn there(bench: &Bench) -> Vec<String> {
        let all = bench.ground.store.networks.list().expect("lists");
        let recorded: BTreeSet<String> = all.iter().map(|network| network.name.clone()).collect();
        assert_eq!(recorded, *bench.node.networks.lock().expect("test"));
        let word = |network: &Network| match (&network.app, &network.segment) {
            (None, _) => "of the environment".to_owned(),
            (Some(_), None) => "the app's own".to_owned(),
            (_, Some(segment)) if segment.internal => format!("{}, internal", segment.name),
            (_, Some(segment)) => segment.name.clone(),
        };
        let mut words: Vec<String> = all.iter().map(|network| word(network)).collect();
        words.sort();
        words
    }

    #[tokio::test]
    async fn networks_come_and_go_with_the_file() {
        let bench = Bench::new().await;
        let apps = Apps::new(bench.ground.clone());
        let new = NewApp {
            source: shop("{front: {}, back: {internal: true}}"),
            ..wish("shop")
        };
        apps.create(&bench.owner, new).await.expect("made");
        assert_eq!(settle(&bench, "shop").await, (Phase::Live, None));
        assert_eq!(there(&bench), ["back, internal", "front", "of the environment"]);
        reconcile(&bench).await;
        assert_eq!(there(&bench).len(), 3, "what is live has them");
        let running = bench.node.running();

        // The same file again changes nothing; one that became internal, or is so no more, is another network.
        for (networks, wanted) in [
            ("{back: {internal: true}, front: {}}", "back, internal; front; of the environment"),
            ("{front: {}, back: {}}", "back; front; of the environment"),
            ("", "of the environment; the app's own"),
            ("{front: {}, back: {}}", "back; front; of the environment"),
            ("", "of the environment; the app's own"),
        ] {
            let change = AppChange {
                source: Some(shop(networks)),
                ..AppChange::default()
            };
            apps.update(&bench.owner, "shop", change).await.expect("changed");
            let deployments = Deployments::new(bench.ground.clone());
            deployments.create(&bench.owner, "shop", Wanted::Usual).await.expect("queued");
            assert_eq!(settle(&bench, "shop").await, (Phase::Live, None));
            reconcile(&bench).await;
            reconcile(&bench).await;
            assert_eq!(there(&bench).join("; "), wanted, "{networks}");
            assert_eq!(bench.node.running() == running, networks.contains("true"), "{networks}");
        }
        let trash = Trash::new(bench.ground.clone());
        let change = AppChange {
            source: Some(shop("{front: {}, back: {internal: true}}")),
            ..AppChange::default()
        };
        apps.update(&bench.owner, "shop", change).await.expect("changed");
        let deployments = Deployments::new(bench.ground.clone());
        deployments.create(&bench.owner, "shop", Wanted::Usual).await.expect("queued");
        assert_eq!(settle(&bench, "shop").await, (Phase::Live, None));
        trash.put(&bench.owner, "shop").await.expect("trashed");
        reconcile(&bench).await;
        reconcile(&bench).await;
        assert_eq!(there(&bench).len(), 3, "from the trash it comes back with its networks");
        trash.purge(&bench.owner, "shop", false).await.expect("purged");
        assert_eq!(there(&bench), ["of the environment"]);
    }
}

//! Ports of the server as a part of releases: which an app has when one is made, how two differ, and the way back.

use crate::{
    ground::Ground,
    releases::{Difference, find},
};
use std::collections::{BTreeMap, HashSet};
use store::{Batch, Stored};
use types::{AppId, Release, ReleaseId, Result, Stream, StreamPort, Transport};

/// An app's ports as they are now.
pub(crate) fn ports_of(ground: &Ground, app: &AppId) -> Result<Vec<Stream>> {
    let mut ports: Vec<Stream> = ground
        .store
        .streams
        .list()?
        .into_iter()
        .map(|stored| stored.value)
        .filter(|port| port.app == *app)
        .collect();
    ports.sort_by_key(|port| port.listen);
    Ok(ports)
}

/// Ports that the panel itself has; they can be no app's.
pub(crate) fn is_the_panels(ground: &Ground, listen: StreamPort) -> bool {
    let options = &ground.options;
    match listen.protocol {
        Transport::Tcp => [options.http_port, options.https_port, options.panel_port].contains(&listen.port),
        // HTTP/3.
        Transport::Udp => options.https_port == listen.port,
    }
}

/// The next port after one that is nobody's; `None`: there is none.
pub(crate) fn free_after(ground: &Ground, like: StreamPort, taken: &[StreamPort]) -> Result<Option<StreamPort>> {
    let used: HashSet<StreamPort> = ground.store.streams.list()?.iter().map(|stream| stream.listen).collect();
    // Below are those of the machine's own services.
    let all = (like.port.max(1023)..u16::MAX).map(|port| port + 1).chain(1024..=like.port);
    let mut all = all.map(|port| StreamPort { port, ..like });
    Ok(all.find(|listen| !used.contains(listen) && !taken.contains(listen) && !is_the_panels(ground, *listen)))
}

/// What the way back does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Open(Stream),
    Change(Stream),
    Close(StreamPort),
}

/// From the ports `now` to those of a release. One that leads where the release had another leading was moved, and moves back; what came
/// since besides stays.
pub(crate) fn steps(now: &[Stream], then: &[Stream]) -> Vec<Step> {
    let goal = |port: &Stream| (port.listen.protocol, port.port, port.service.clone());
    let by_listen: BTreeMap<StreamPort, &Stream> = now.iter().map(|port| (port.listen, port)).collect();
    let mut steps = Vec::new();
    for port in then {
        match by_listen.get(&port.listen) {
            None => steps.push(Step::Open(port.clone())),
            Some(there) if **there != *port => steps.push(Step::Change(port.clone())),
            Some(_) => {}
        }
    }
    let opened: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Open(port) => Some(goal(port)),
            _ => None,
        })
        .collect();
    let moved = now
        .iter()
        .filter(|port| !then.iter().any(|other| other.listen == port.listen) && opened.contains(&goal(port)));
    steps.extend(moved.map(|port| Step::Close(port.listen)));
    steps
}

/// Whether the way back changes any port.
pub(crate) fn would_change(ground: &Ground, release: &Release) -> Result<bool> {
    let Some(then) = &release.ports else { return Ok(false) };
    Ok(!steps(&ports_of(ground, &release.app)?, then).is_empty())
}

/// Adds to the batch what brings a release's ports back. One that leads to another app by now, or is the panel's, stays what it is.
pub(crate) fn ports_back(ground: &Ground, id: &ReleaseId, mut batch: Batch) -> Result<Batch> {
    let Some(release) = find(ground, id)? else { return Ok(batch) };
    let Some(then) = release.ports else { return Ok(batch) };
    let stored = |listen: StreamPort| -> Result<Option<Stored<Stream>>> { ground.store.streams.find(&listen.to_string()) };
    for step in steps(&ports_of(ground, &release.app)?, &then) {
        batch = match step {
            Step::Open(port) if is_the_panels(ground, port.listen) || stored(port.listen)?.is_some() => batch,
            Step::Open(port) => batch.insert(port),
            Step::Change(port) => match stored(port.listen)? {
                Some(mut there) => {
                    there.value = port;
                    batch.save(there)
                }
                None => batch.insert(port),
            },
            Step::Close(listen) => match stored(listen)? {
                Some(there) => batch.remove(&there),
                None => batch,
            },
        };
    }
    Ok(batch)
}

pub(crate) fn port_differences(from: Option<&[Stream]>, to: Option<&[Stream]>) -> Vec<Difference> {
    let (Some(from), Some(to)) = (from, to) else {
        return Vec::new();
    };
    let words = |ports: &[Stream]| -> BTreeMap<StreamPort, String> { ports.iter().map(|port| (port.listen, said(port))).collect() };
    let (from, to) = (words(from), words(to));
    let mut all: Vec<StreamPort> = from.keys().chain(to.keys()).copied().collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter()
        .filter(|listen| from.get(listen) != to.get(listen))
        .map(|listen| {
            Difference::new(
                format!("server port {listen}"),
                from.get(&listen).cloned(),
                to.get(&listen).cloned(),
            )
        })
        .collect()
}

/// `to 5432 of db, for 10.0.0.0/8, with PROXY protocol v1, at most 20 connections`.
fn said(port: &Stream) -> String {
    let mut words = format!("to {}", port.port);
    if let Some(service) = &port.service {
        words.push_str(&format!(" of {service}"));
    }
    if !port.allow.is_empty() {
        let allow: Vec<String> = port.allow.iter().map(ToString::to_string).collect();
        words.push_str(&format!(", for {}", allow.join(" ")));
    }
    if let Some(version) = &port.proxy_protocol {
        words.push_str(&format!(", with PROXY protocol {}", format!("{version:?}").to_lowercase()));
    }
    if port.max_connections > 0 {
        words.push_str(&format!(", at most {} connections", port.max_connections));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Time, World};

    fn port(listen: &str, target: u16, service: Option<&str>, app: &AppId) -> Stream {
        Stream {
            listen: listen.parse().expect("a port"),
            organization: World::system().id(),
            app: app.clone(),
            port: target,
            service: service.map(str::to_owned),
            proxy_protocol: None,
            allow: Vec::new(),
            max_connections: 0,
            created_at: Time(0),
        }
    }

    #[test]
    fn what_was_moved_moves_back_and_what_came_stays() {
        let app: AppId = World::system().id();
        let then = [port("tcp/5000", 9000, None, &app), port("udp/53", 53, Some("dns"), &app)];
        let mut changed = port("udp/53", 5353, Some("dns"), &app);
        changed.max_connections = 7;
        let now = [changed, port("tcp/5001", 9000, None, &app), port("tcp/6000", 9001, None, &app)];
        assert_eq!(
            steps(&now, &then),
            [
                Step::Open(then[0].clone()),
                Step::Change(then[1].clone()),
                Step::Close("tcp/5001".parse().expect("a port"))
            ]
        );
        assert_eq!(steps(&then, &then), []);
        assert_eq!(steps(&now, &[]), []);
        let told: Vec<_> = port_differences(Some(&then), Some(&now))
            .into_iter()
            .map(|one| (one.what, one.from, one.to))
            .collect();
        let text = |words: &str| Some(words.to_owned());
        assert_eq!(told[0], ("server port tcp/5000".into(), text("to 9000"), None));
        assert_eq!(told.len(), 4);
        assert_eq!(told[3].2, text("to 5353 of dns, at most 7 connections"));
        assert_eq!(port_differences(None, Some(&now)), []);
    }
}

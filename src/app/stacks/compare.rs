//! What differs between the services of two releases.

use super::open;
use crate::{ground::Ground, releases::Difference};
use types::{ReleaseService, ReleaseStack, Result, StackService};

/// What differs between the services of two releases; values are not shown.
pub(crate) fn differences(ground: &Ground, from: &ReleaseStack, to: &ReleaseStack) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    let mut say = |what: String, from: Option<String>, to: Option<String>| found.push(Difference::new(what, from, to));
    let (old, new) = (open(ground, from)?, open(ground, to)?);
    let names: std::collections::BTreeSet<&str> = from
        .services
        .iter()
        .chain(&to.services)
        .map(|service| service.name.as_str())
        .collect();
    for name in names {
        let pick = |stack: &ReleaseStack| stack.services.iter().find(|service| service.name == name).cloned();
        let (a, b) = (pick(from), pick(to));
        let label = |what: &str| format!("service {name}{what}");
        let (Some(a), Some(b)) = (&a, &b) else {
            let image = |one: &Option<ReleaseService>| one.as_ref().map(|one| one.image_name.clone());
            say(label(""), image(&a), image(&b));
            continue;
        };
        if a.image_name != b.image_name || a.image != b.image {
            say(label(" image"), Some(a.image_name.clone()), Some(b.image_name.clone()));
        }
        if a.replicas != b.replicas {
            say(label(" replicas"), Some(a.replicas.to_string()), Some(b.replicas.to_string()));
        }
        if let (Some(a), Some(b)) = (old.service(name), new.service(name)) {
            for (what, changed) in parts(a, b) {
                if changed {
                    say(label(&format!(" {what}")), Some("before".into()), Some("changed".into()));
                }
            }
        }
    }
    Ok(found)
}

fn parts(a: &StackService, b: &StackService) -> [(&'static str, bool); 13] {
    [
        ("command", a.command != b.command || a.entrypoint != b.entrypoint),
        ("environment", a.environment != b.environment),
        ("volumes", a.mounts != b.mounts),
        ("files", a.files != b.files),
        ("ports", a.ports != b.ports),
        ("limits", a.limits != b.limits),
        ("health check", a.health != b.health),
        ("labels", a.labels != b.labels),
        ("hooks", a.post_start != b.post_start || a.pre_stop != b.pre_stop),
        ("time to stop", a.grace_millis != b.grace_millis),
        ("order", a.depends_on != b.depends_on),
        ("networks", a.networks != b.networks),
        (
            "runtime",
            a.runtime != b.runtime || a.restart != b.restart || a.aliases != b.aliases,
        ),
    ]
}

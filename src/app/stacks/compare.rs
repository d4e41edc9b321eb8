//! What differs between the services of two releases.

use super::open;
use crate::{ground::Ground, releases::Difference};
use std::collections::BTreeSet;
use types::{ReleaseService, ReleaseStack, Result, StackService};

/// What differs between the services of two releases; values are not shown.
pub(crate) fn differences(ground: &Ground, from: &ReleaseStack, to: &ReleaseStack) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    let mut say = |what: String, from: Option<String>, to: Option<String>| found.push(Difference::new(what, from, to));
    let (old, new) = (open(ground, from)?, open(ground, to)?);
    let names: BTreeSet<&str> = from
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

/// What a promotion changes: each service that is `wanted` there gets the image that it has in what is promoted.
pub(crate) fn image_differences(running: &[ReleaseService], promoted: &[ReleaseService], wanted: &BTreeSet<String>) -> Vec<Difference> {
    let names: BTreeSet<&str> = running
        .iter()
        .map(|service| service.name.as_str())
        .chain(wanted.iter().map(String::as_str))
        .collect();
    let of_name = |name: &str, services: &[ReleaseService]| services.iter().find(|one| one.name == name).cloned();
    let mut found = Vec::new();
    for name in names {
        let (a, b) = (
            of_name(name, running),
            of_name(name, promoted).filter(|one| wanted.contains(&one.name)),
        );
        let is_same = match (&a, &b) {
            (Some(a), Some(b)) => a.image_name == b.image_name && a.image == b.image,
            (a, b) => a.is_none() && b.is_none(),
        };
        if !is_same {
            let what = if a.is_some() && b.is_some() { " image" } else { "" };
            let image = |one: Option<ReleaseService>| one.map(|one| one.image_name);
            found.push(Difference::new(format!("service {name}{what}"), image(a), image(b)));
        }
    }
    found
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

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, image: &str) -> ReleaseService {
        ReleaseService {
            name: name.into(),
            image: format!("sha256:{image}"),
            image_name: image.into(),
            digest: None,
            replicas: 1,
            hash: "x".into(),
            once: false,
            stops_first: None,
        }
    }

    #[test]
    fn a_promotion_changes_the_images_of_the_services_there() {
        let running = [service("cache", "redis:7"), service("gone", "old:1"), service("web", "web:1")];
        let promoted = [
            service("cache", "redis:7"),
            service("extra", "extra:1"),
            service("mail", "mail:1"),
            service("web", "web:2"),
        ];
        let wanted = BTreeSet::from(["cache", "mail", "web"].map(str::to_owned));
        let differs =
            |what: &str, from: Option<&str>, to: Option<&str>| Difference::new(what, from.map(str::to_owned), to.map(str::to_owned));
        assert_eq!(
            image_differences(&running, &promoted, &wanted),
            [
                differs("service gone", Some("old:1"), None),
                differs("service mail", None, Some("mail:1")),
                differs("service web image", Some("web:1"), Some("web:2")),
            ]
        );
    }
}

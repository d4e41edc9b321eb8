//! What a service says of others: `depends_on`, `links`, and the names under which they find it; and whether those are there.

use super::{context::Context, networks, services::Read};
use crate::yaml::{Key, Node, Value};
use std::collections::{BTreeMap, BTreeSet};
use types::{Condition, Dependency, Restart, StackHealth};

/// The networks of each service.
type Places = BTreeMap<String, BTreeSet<String>>;

pub fn relations(context: &Context<'_>, read: &mut Read, key: &Key, node: &Node) -> bool {
    let name = key.text.as_str();
    match name {
        "depends_on" => {
            read.depends_at = key.at;
            read.service.depends_on = dependencies(context, node);
        }
        "links" => {
            for text in context.texts(name, node) {
                let (service, alias) = text.split_once(':').unwrap_or((&text, &text));
                read.links.push((service.to_owned(), alias.to_owned(), node.at));
            }
        }
        "container_name" => {
            if let Some(alias) = context.text(name, node) {
                context.hint(
                    key.at,
                    format!("the panel names containers itself; the other services find this one as `{alias}` too"),
                );
                read.service.aliases.push(alias);
            }
        }
        "networks" => networks::of_service(context, read, node),
        "network_mode" => match context.text(name, node).as_deref() {
            Some("host") => {
                read.service.runtime.host_network = true;
                context.right(node.at, &read.service.name, "host_network", "uses the network of the host");
            }
            Some("bridge" | "default") => context.hint(
                key.at,
                "`network_mode` is left out: a service is on the `networks` that it names, else on the app's own",
            ),
            Some(other) => context.error(
                node.at,
                format!("`network_mode: {other}` is not supported: a service is on `networks`; one with `internal: true` has no way out"),
            ),
            None => {}
        },
        _ => return false,
    }
    true
}

fn dependencies(context: &Context<'_>, node: &Node) -> Vec<Dependency> {
    let plain = |service: &str| Dependency {
        service: service.to_owned(),
        condition: Condition::Started,
        restart: false,
        required: true,
    };
    let Value::Map(map) = &node.value else {
        return context.texts("depends_on", node).iter().map(|name| plain(name)).collect();
    };
    let mut all = Vec::new();
    for (service, node) in map {
        let mut one = plain(&service.text);
        for (key, node) in context.map("depends_on", node) {
            let name = key.text.as_str();
            match name {
                "condition" => {
                    let condition = context.parsed(name, node, |text| match text {
                        "service_started" => Ok(Condition::Started),
                        "service_healthy" => Ok(Condition::Healthy),
                        "service_completed_successfully" => Ok(Condition::Completed),
                        other => Err(format!(
                            "`{other}` is not one of service_started, service_healthy and service_completed_successfully"
                        )),
                    });
                    one.condition = condition.unwrap_or(Condition::Started);
                }
                "restart" => one.restart = context.flag(name, node).unwrap_or(false),
                "required" => one.required = context.flag(name, node).unwrap_or(true),
                _ => context.unknown("`depends_on`", key, &["condition", "restart", "required"]),
            }
        }
        all.push(one);
    }
    all
}

/// When all services are read: whether those that they speak of are there, under which names they find them, and which of them end.
/// `sleeping`: services that run with a profile only.
pub fn relate(context: &Context<'_>, reads: &mut [Read], sleeping: &BTreeSet<String>) {
    let places: Places = reads.iter().map(places).collect();
    let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for read in reads.iter_mut() {
        follow_links(context, read, &places, &mut aliases);
        drop_missing(context, read, &places, sleeping);
    }
    let once = waited_for(context, reads);
    for read in reads.iter_mut() {
        let service = &mut read.service;
        service.aliases.extend(aliases.remove(&service.name).unwrap_or_default());
        service.aliases.sort();
        service.aliases.dedup();
        let ends = once.contains(&service.name);
        settle_restart(context, read, ends);
    }
}

/// A link is a dependency, and perhaps a further name of the other service.
fn follow_links(context: &Context<'_>, read: &mut Read, places: &Places, aliases: &mut BTreeMap<String, Vec<String>>) {
    for (service, alias, at) in std::mem::take(&mut read.links) {
        let Some(there) = places.get(&service) else {
            context.error(at, format!("links: there is no service `{service}`"));
            continue;
        };
        if keeps_apart(&places[&read.service.name], there) {
            context.hint(
                at,
                format!(
                    "`{}` links to `{service}`, and they share no network: it will not find it",
                    read.service.name
                ),
            );
        }
        if alias != service {
            aliases.entry(service.clone()).or_default().push(alias);
        }
        if !read.service.depends_on.iter().any(|one| one.service == service) {
            read.service.depends_on.push(Dependency {
                service,
                condition: Condition::Started,
                restart: false,
                required: true,
            });
        }
    }
}

fn drop_missing(context: &Context<'_>, read: &mut Read, places: &Places, sleeping: &BTreeSet<String>) {
    let (name, at) = (&read.service.name, read.depends_at);
    read.service.depends_on.retain(|one| {
        let there = places.contains_key(&one.service);
        if !there && one.required {
            let why = if sleeping.contains(&one.service) {
                "which only runs with its profile"
            } else {
                "which is not there"
            };
            context.error(at, format!("`{name}` depends on `{}`, {why}", one.service));
        }
        there
    });
}

/// Services whose end others wait for.
fn waited_for(context: &Context<'_>, reads: &[Read]) -> BTreeSet<String> {
    let mut once = BTreeSet::new();
    let off: BTreeSet<&str> = reads
        .iter()
        .filter(|read| read.service.health == StackHealth::Off)
        .map(|read| read.service.name.as_str())
        .collect();
    for read in reads {
        for one in &read.service.depends_on {
            match one.condition {
                Condition::Completed => {
                    once.insert(one.service.clone());
                }
                Condition::Healthy if off.contains(one.service.as_str()) => context.error(
                    read.depends_at,
                    format!(
                        "`{}` waits for `{}` to be healthy, and that has no health check",
                        read.service.name, one.service
                    ),
                ),
                _ => {}
            }
        }
    }
    once
}

fn settle_restart(context: &Context<'_>, read: &mut Read, ends: bool) {
    let service = &mut read.service;
    if !read.restart_said && ends {
        service.restart = Restart::No;
    } else if !read.restart_said {
        context.hint(read.at, format!("`{}` does not say `restart`; it is kept running", service.name));
    } else if ends && service.restart == Restart::Always {
        context.error(read.at, format!("`{}` is waited for to end, but is always restarted", service.name));
    }
}

fn places(read: &Read) -> (String, BTreeSet<String>) {
    let networks = read.service.networks.iter().map(|network| network.name.clone());
    (read.service.name.clone(), networks.collect())
}

/// None at all are the app's own, or the host's.
fn keeps_apart(one: &BTreeSet<String>, other: &BTreeSet<String>) -> bool {
    !one.is_empty() && !other.is_empty() && one.is_disjoint(other)
}

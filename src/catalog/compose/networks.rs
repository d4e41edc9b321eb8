//! `networks` of a file and of its services: which there are, and who is on which with which names.
//!
//! Where all services are on one and the same network that has a way out, nothing is kept apart: then the stack has no networks, and
//! what runs is as if the file did not speak of any.

use super::{
    context::{Context, find},
    services::Read,
};
use crate::yaml::{At, Key, Map, Node, Value};
use std::collections::{BTreeMap, BTreeSet};
use types::StackNetwork;

/// Where a service is that names none.
/// Source: the Compose Specification, "The default network".
const DEFAULT: &str = "default";

/// Networks that one app may have: each takes its addresses from the range that all apps share.
const MOST: usize = 16;

/// What a network of the file is for the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// With a way out.
    Usual,
    Internal,
    /// Made by somebody else: what is on it is on the app's default one, so that all who met there still do.
    External,
}

/// A network that a service names.
pub struct Wish {
    pub network: String,
    /// Further names of the service there.
    pub aliases: Vec<String>,
    pub at: At,
}

/// `networks` of a service.
pub fn of_service(context: &Context<'_>, read: &mut Read, node: &Node) {
    let Value::Map(map) = &node.value else {
        let wish = |network| Wish {
            network,
            aliases: Vec::new(),
            at: node.at,
        };
        read.networks = context.texts("networks", node).into_iter().map(wish).collect();
        return;
    };
    for (network, node) in map {
        let mut aliases = Vec::new();
        for (key, node) in context.map("networks", node) {
            let name = key.text.as_str();
            match name {
                "aliases" => aliases.extend(context.texts(name, node)),
                "priority" | "gw_priority" | "mac_address" | "link_local_ips" | "driver_opts" | "interface_name" => {
                    context.hint(
                        key.at,
                        format!("`{name}` is left out: the engine settles how a container is on its networks"),
                    );
                }
                "ipv4_address" | "ipv6_address" => {
                    context.error(
                        key.at,
                        format!("`{name}` is not supported: addresses are given by the panel; use the service's name"),
                    );
                }
                _ => context.unknown("a service's network", key, &["aliases", "priority", "ipv4_address", "ipv6_address"]),
            }
        }
        read.networks.push(Wish {
            network: network.text.clone(),
            aliases,
            at: network.at,
        });
    }
}

/// Puts each service on its networks, with the `networks` of the file.
pub fn settle(context: &Context<'_>, model: &Map, reads: &mut [Read]) {
    let declared = declared(context, model);
    for read in reads.iter_mut() {
        for wish in &mut read.networks {
            match declared.get(&wish.network) {
                Some(Sort::External) => wish.network = DEFAULT.into(),
                Some(Sort::Usual | Sort::Internal) => {}
                None if wish.network == DEFAULT => {}
                None => {
                    let what = format!("the network `{}` is not among the `networks` of the file", wish.network);
                    context.error(wish.at, what);
                }
            }
        }
        match (read.service.runtime.host_network, read.networks.first()) {
            (true, Some(wish)) => {
                context.error(
                    wish.at,
                    "`networks` and `network_mode: host` exclude each other: on the host's network there is no other",
                );
                read.networks.clear();
            }
            (false, None) => read.networks.push(Wish {
                network: DEFAULT.into(),
                aliases: Vec::new(),
                at: read.at,
            }),
            _ => {}
        }
    }
    let used: BTreeSet<String> = reads.iter().flat_map(names).collect();
    if used.len() > MOST {
        let at = find(model, "networks").map_or_else(|| reads[0].at, |node| node.at);
        context.error(at, format!("the services are on {} networks; an app may have {MOST}", used.len()));
    }
    let is_internal = |name: &str| declared.get(name) == Some(&Sort::Internal);
    let keeps_apart = used.len() > 1 || used.iter().any(|name| is_internal(name));
    for read in reads {
        let mut networks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for wish in std::mem::take(&mut read.networks) {
            networks.entry(wish.network).or_default().extend(wish.aliases);
        }
        if !keeps_apart {
            read.service.aliases.extend(networks.into_values().flatten());
            continue;
        }
        let network = |(name, aliases): (String, BTreeSet<String>)| StackNetwork {
            internal: is_internal(&name),
            name,
            aliases: aliases.into_iter().collect(),
        };
        read.service.networks = networks.into_iter().map(network).collect();
    }
}

fn names(read: &Read) -> impl Iterator<Item = String> {
    read.networks.iter().map(|wish| wish.network.clone())
}

/// The `networks` of the file.
fn declared(context: &Context<'_>, model: &Map) -> BTreeMap<String, Sort> {
    let Some(node) = find(model, "networks") else {
        return BTreeMap::new();
    };
    let one = |(key, node): &(Key, Node)| {
        must_be_name(context, key);
        (key.text.clone(), sort(context, key, node))
    };
    context.map("networks", node).iter().map(one).collect()
}

/// It becomes a part of what the engine calls the network.
fn must_be_name(context: &Context<'_>, key: &Key) {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if key.text.is_empty() || key.text.len() > 63 || !key.text.bytes().all(fits) {
        context.error(
            key.at,
            format!("`{}` is no name for a network: use up to 63 of a-z, 0-9, -, _ and .", key.text),
        );
    }
}

/// Reads one of the `networks` of the file.
fn sort(context: &Context<'_>, key: &Key, node: &Node) -> Sort {
    let (mut internal, mut external) = (false, false);
    for (part, value) in context.map(&key.text, node) {
        match part.text.as_str() {
            "internal" => internal = context.flag("internal", value) == Some(true),
            "external" => {
                if context.flag("external", value) == Some(true) {
                    external = true;
                    let what = format!(
                        "the network `{}` is taken as the app's own default one; the main service finds other apps of the environment by their names",
                        key.text
                    );
                    context.hint(part.at, what);
                }
            }
            "driver" => match context.text("driver", value).as_deref() {
                None | Some("bridge" | "overlay" | "default") => {}
                Some(other) => context.error(
                    part.at,
                    format!("the network driver `{other}` is not supported: a network of an app is a bridge"),
                ),
            },
            "name" | "labels" | "attachable" => {
                context.hint(
                    part.at,
                    format!("`{}` is left out: an app's networks are the panel's own", part.text),
                );
            }
            "ipam" | "driver_opts" | "enable_ipv6" | "enable_ipv4" => {
                context.hint(part.at, format!("`{}` is left out: the panel gives the addresses", part.text));
            }
            _ => context.unknown(
                "a network",
                part,
                &["driver", "external", "internal", "ipam", "name", "attachable", "driver_opts"],
            ),
        }
    }
    match (external, internal) {
        (true, _) => Sort::External,
        (false, true) => Sort::Internal,
        (false, false) => Sort::Usual,
    }
}

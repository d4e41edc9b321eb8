//! Networks: which of them are the app's own, and which service is on which.
//!
//! Those of the other panel and of its proxy go, since the edge reaches an app by itself. What our reader does not take goes too.

use super::{
    draft::{Draft, flat},
    tidy::services,
    write::{key, list, map, node, plain, text},
};
use crate::yaml::{Map, Node, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Where a service is that names none; it need not be declared.
const DEFAULT: &str = "default";

/// The app's own networks, and whether each is internal.
type Own = BTreeMap<String, bool>;

/// Networks with the further names of a service there.
type Places = BTreeMap<String, BTreeSet<String>>;

/// What a service says of its networks.
#[derive(Default)]
struct Wish {
    places: Places,
    /// Networks that are not the app's own.
    outside: BTreeSet<String>,
    /// Further names of the service, on whatever network it is.
    names: BTreeSet<String>,
}

pub fn all(draft: &mut Draft) {
    let mut compose = std::mem::take(&mut draft.compose);
    let own = declared(draft, &compose);
    compose.retain(|(key, _)| key.text != "networks");
    // Who extends a service is on its networks too; a name of a container must not add one to them.
    let has_heirs = services(&mut compose).iter().any(|(_, one)| one.get("extends").is_some());
    let mut wishes: BTreeMap<String, Wish> = BTreeMap::new();
    for (service, one) in services(&mut compose) {
        let Value::Map(keys) = &mut one.value else { continue };
        let wish = taken(draft, &service.text, keys, &own, has_heirs);
        wishes.insert(service.text.clone(), wish);
    }
    for (service, one) in services(&mut compose) {
        let Value::Map(keys) = &mut one.value else { continue };
        let Some(wish) = wishes.get(&service.text) else { continue };
        let mut places = wish.places.clone();
        if needs_default(wish, &wishes, &own) {
            draft.note(format!("`{}` is on the app's default network instead", service.text));
            places.entry(DEFAULT.to_owned()).or_default();
        }
        if let Some(networks) = settled(places, &wish.names) {
            keys.push((key("networks"), networks));
        }
    }
    if !own.is_empty() {
        let one = |is_internal: bool| match is_internal {
            true => map([("internal", plain(true))]),
            false => node(Value::Null),
        };
        let networks = map(own.iter().map(|(name, is_internal)| (name.as_str(), one(*is_internal))));
        compose.push((key("networks"), networks));
    }
    draft.compose = compose;
}

/// The app's own among the `networks` of the file.
fn declared(draft: &mut Draft, compose: &Map) -> Own {
    let mut own = Own::new();
    let networks = compose
        .iter()
        .find(|(key, _)| key.text == "networks")
        .and_then(|(_, node)| node.map());
    for (network, node) in networks.into_iter().flatten() {
        if is_on(node.get("external")) {
            left_out(draft, &network.text);
            continue;
        }
        own.insert(network.text.clone(), is_on(node.get("internal")));
        for (part, value) in node.map().into_iter().flatten() {
            match part.text.as_str() {
                "internal" | "external" => {}
                "driver" if matches!(value.text(), None | Some("bridge" | "overlay" | "default")) => {}
                other if other.starts_with("x-") => {}
                other => draft.note(format!(
                    "`{other}` of the network `{}` is left out: the panel makes an app's networks itself",
                    network.text
                )),
            }
        }
    }
    own
}

fn left_out(draft: &mut Draft, network: &str) {
    draft.note(format!(
        "the network `{network}` is not the app's own and is left out: the edge reaches the app by itself"
    ));
}

/// Whether a flag is set. `external` may hold the name instead; what cannot be read keeps apart.
fn is_on(flag: Option<&Node>) -> bool {
    flag.is_some_and(|flag| match flag.text() {
        Some(text) => !matches!(flat(text).to_ascii_lowercase().as_str(), "" | "false" | "no" | "off"),
        None => !flag.is_null(),
    })
}

/// Takes what a service says of its networks and names from its keys.
fn taken(draft: &mut Draft, service: &str, keys: &mut Map, own: &Own, has_heirs: bool) -> Wish {
    let mut wish = Wish::default();
    // Of the modes, only the one of the host is left by now; beside it there is no other network.
    let is_on_host = keys.iter().any(|(key, _)| key.text == "network_mode");
    for (key, node) in std::mem::take(keys) {
        match key.text.as_str() {
            "container_name" if has_heirs => keys.push((key, node)),
            "container_name" | "networks" if is_on_host => {}
            "container_name" => {
                let name = node.text().map(flat);
                wish.names.extend(name.filter(|name| name != service && !name.contains("{{")));
            }
            "networks" => {
                for (network, aliases) in named(draft, service, &node) {
                    if network == DEFAULT || own.contains_key(&network) {
                        wish.places.entry(network).or_default().extend(aliases);
                    } else {
                        left_out(draft, &network);
                        wish.names.extend(aliases);
                        wish.outside.insert(network);
                    }
                }
            }
            _ => keys.push((key, node)),
        }
    }
    wish
}

/// The networks that a service names, each with its names there.
fn named(draft: &mut Draft, service: &str, node: &Node) -> Vec<(String, Vec<String>)> {
    match &node.value {
        Value::Null => Vec::new(),
        Value::Text { text, .. } => vec![(flat(text), Vec::new())],
        Value::List(all) => all.iter().filter_map(|node| Some((flat(node.text()?), Vec::new()))).collect(),
        Value::Map(all) => {
            let mut networks = Vec::new();
            for (network, node) in all {
                networks.push((network.text.clone(), aliases(draft, service, &network.text, node)));
            }
            networks
        }
    }
}

fn aliases(draft: &mut Draft, service: &str, network: &str, node: &Node) -> Vec<String> {
    let mut aliases = Vec::new();
    for (part, node) in node.map().into_iter().flatten() {
        match part.text.as_str() {
            "aliases" => {
                let all = node.list().into_iter().flatten();
                aliases.extend(all.filter_map(|alias| alias.text().map(str::to_owned)));
            }
            other if other.starts_with("x-") => {}
            other => draft.note(format!(
                "`{other}` of `{service}` on the network `{network}` is left out: the panel gives the addresses, and services find each other by name"
            )),
        }
    }
    aliases
}

/// Whether a service would lose its way out, or another service that it meets nowhere else, with the networks that are not the app's own.
fn needs_default(wish: &Wish, all: &BTreeMap<String, Wish>, own: &Own) -> bool {
    let is_closed = wish.places.keys().all(|network| own.get(network) == Some(&true));
    let is_lost = |other: &Wish| {
        let meets = other.places.keys().any(|network| wish.places.contains_key(network));
        !meets && !other.outside.is_disjoint(&wish.outside)
    };
    // Who is on no other network is on the default one anyway.
    !wish.places.is_empty() && !wish.outside.is_empty() && (is_closed || all.values().any(is_lost))
}

/// `networks` of a service; none where the default one is all that there is to say.
fn settled(mut places: Places, names: &BTreeSet<String>) -> Option<Node> {
    if places.is_empty() && !names.is_empty() {
        places.insert(DEFAULT.to_owned(), BTreeSet::new());
    }
    for aliases in places.values_mut() {
        aliases.extend(names.iter().cloned());
    }
    if places.is_empty() {
        return None;
    }
    if places.values().all(BTreeSet::is_empty) {
        return Some(list(places.into_keys().map(text)));
    }
    let one = |aliases: &BTreeSet<String>| match aliases.is_empty() {
        true => node(Value::Null),
        false => map([("aliases", list(aliases.iter().map(text)))]),
    };
    Some(map(places.iter().map(|(network, aliases)| (network.as_str(), one(aliases)))))
}

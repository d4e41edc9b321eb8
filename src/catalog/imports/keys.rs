//! Single keys of a foreign service, as far as they mean something here.

use super::{
    draft::Draft,
    tidy::Left,
    write::{key, list, node, text},
};
use crate::{
    compose::env_pairs,
    yaml::{Map, Node, Value},
};

/// Further names of a service.
pub fn network_aliases(node: &Node) -> Vec<String> {
    let networks = node.map().into_iter().flatten();
    let aliases = networks.filter_map(|(_, network)| network.get("aliases")?.list()).flatten();
    aliases.filter_map(|alias| alias.text().map(str::to_owned)).collect()
}

/// `KEY=value` lines as a mapping; a name alone keeps what it has outside.
pub fn environment(node: Node) -> Node {
    let pairs: Vec<(String, Option<String>)> = match node.value {
        Value::Map(_) => return node,
        Value::List(list) => {
            let split = |node: Node| {
                let line = node.text()?.to_owned();
                Some(match line.split_once('=') {
                    Some((name, value)) => (name.trim().to_owned(), Some(value.to_owned())),
                    None => (line.trim().to_owned(), None),
                })
            };
            list.into_iter().filter_map(split).collect()
        }
        _ => return node,
    };
    let mut map = Map::new();
    for (name, value) in pairs {
        if !name.is_empty() {
            let value = value.map_or_else(|| super::write::node(Value::Null), text);
            crate::compose::put(&mut map, key(&name), value);
        }
    }
    super::write::node(Value::Map(map))
}

/// What `env_file` names, as far as it is known, below what `environment` says.
pub fn env_files(draft: &mut Draft, name: &str, files: Option<Node>, kept: &mut Map) {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let files = files.map(|node| match node.value {
        Value::List(list) => list,
        _ => vec![node],
    });
    for node in files.into_iter().flatten() {
        let path = node.text().or_else(|| node.get("path")?.text()).unwrap_or_default().to_owned();
        let clean = super::volumes::clean(&path);
        if clean == ".env" && !draft.env.is_empty() {
            pairs.extend(draft.env.iter().cloned());
        } else if let Some(found) = draft.files.get(&clean).map(|content| env_pairs(content)) {
            pairs.extend(found);
        } else {
            draft.note(format!(
                "the file `{path}` with variables of `{name}` is not there; give them as variables of the app"
            ));
        }
    }
    if pairs.is_empty() {
        return;
    }
    if !kept.iter().any(|(key, node)| key.text == "environment" && node.map().is_some()) {
        kept.retain(|(key, _)| key.text != "environment");
        kept.push((key("environment"), node(Value::Map(Map::new()))));
    }
    for (own, node) in kept {
        if let ("environment", Value::Map(map)) = (own.text.as_str(), &mut node.value) {
            for (name, value) in pairs.drain(..) {
                if !map.iter().any(|(own, _)| own.text == name) {
                    map.push((key(&name), text(value)));
                }
            }
        }
    }
}

/// Labels without those that speak to another panel or proxy.
pub fn labels(draft: &mut Draft, name: &str, node: Node) -> Option<Node> {
    let is_foreign = |label: &str| {
        let label = label.trim().to_ascii_lowercase();
        [
            "traefik",
            "caddy",
            "coolify",
            "dokploy",
            "com.docker",
            "serverkit.",
            "watchtower",
            "swag",
            "homepage.",
            "wud.",
        ]
        .iter()
        .any(|front| label.starts_with(front))
            || label.contains("watchtower")
    };
    let mut dropped = false;
    let mut keep = |label: &str| {
        dropped |= is_foreign(label);
        !is_foreign(label)
    };
    let value = match node.value {
        Value::Map(mut map) => {
            map.retain(|(key, _)| keep(&key.text));
            Value::Map(map)
        }
        Value::List(mut all) => {
            all.retain(|node| node.text().is_some_and(&mut keep));
            Value::List(all)
        }
        _ => Value::Null,
    };
    if dropped {
        draft.note(format!(
            "labels of `{name}` for another proxy or panel are left out: the edge has its own rules"
        ));
    }
    match &value {
        Value::Map(map) if map.is_empty() => None,
        Value::List(list) if list.is_empty() => None,
        Value::Null => None,
        _ => Some(Node { at: node.at, value }),
    }
}

/// Only replicas, limits and restarts mean something here.
pub fn deploy(name: &str, node: Node, left: &mut Left) -> Option<Node> {
    let at = node.at;
    let Value::Map(keys) = node.value else { return None };
    let mut kept = Map::new();
    let mut leave = |what: String| {
        left.entry(what).or_default().insert(name.to_owned());
    };
    for (key, mut node) in keys {
        match (key.text.as_str(), &mut node.value) {
            ("replicas", _) => kept.push((key, node)),
            ("resources", Value::Map(parts)) => {
                parts.retain(|(key, _)| key.text == "limits" || key.text == "reservations");
                for (part, node) in parts.iter_mut() {
                    let Value::Map(values) = &mut node.value else { continue };
                    let known: &[&str] = if part.text == "limits" {
                        &["memory", "cpus", "pids"]
                    } else {
                        &["memory"]
                    };
                    for (key, _) in values
                        .iter()
                        .filter(|(key, _)| !known.contains(&key.text.as_str()) && key.text != "cpus")
                    {
                        leave(format!("deploy.resources.{}.{}", part.text, key.text));
                    }
                    values.retain(|(key, _)| known.contains(&key.text.as_str()));
                }
                kept.push((key, node));
            }
            ("restart_policy", Value::Map(values)) => {
                values.retain(|(key, _)| key.text == "condition" || key.text == "max_attempts");
                for (_, condition) in values.iter_mut().filter(|(key, _)| key.text == "condition") {
                    if matches!(condition.text(), Some("always" | "unless-stopped")) {
                        *condition = text("any");
                    }
                }
                kept.push((key, node));
            }
            ("mode", Value::Text { text, .. }) if text == "replicated" => {}
            ("labels" | "update_config" | "rollback_config" | "endpoint_mode", _) => {}
            (other, _) => leave(format!("deploy.{other}")),
        }
    }
    (!kept.is_empty()).then_some(Node {
        at,
        value: Value::Map(kept),
    })
}

/// `[CMD-SHELL, a, b]` as the one line that it means.
pub fn health(mut node: Node) -> Node {
    let Value::Map(keys) = &mut node.value else { return node };
    keys.retain(|(key, _)| {
        [
            "test",
            "interval",
            "timeout",
            "retries",
            "start_period",
            "start_interval",
            "disable",
        ]
        .contains(&key.text.as_str())
    });
    for (key, test) in keys {
        let Some(words) = test.list().filter(|_| key.text == "test") else {
            continue;
        };
        let words: Vec<String> = words.iter().filter_map(|word| word.text().map(str::to_owned)).collect();
        if words.first().map(String::as_str) == Some("CMD-SHELL") && words.len() > 2 {
            *test = list([text("CMD-SHELL"), text(words[1..].join(" "))]);
        }
    }
    node
}

//! A foreign Compose file, made to follow the rules of a catalog where that is possible: labels of other proxies and the like go, restarts
//! and limits come.

use super::{
    draft::{Draft, flat},
    write::{key, list, node, plain, text},
};
use crate::{
    compose::env_pairs,
    yaml::{Map, Node, Value},
};
use std::collections::{BTreeMap, BTreeSet};

/// Taken as they are. What is not here is looked at one by one, or left out.
const KEPT: [&str; 43] = [
    "image",
    "command",
    "entrypoint",
    "expose",
    "links",
    "user",
    "group_add",
    "working_dir",
    "hostname",
    "domainname",
    "init",
    "tty",
    "stdin_open",
    "read_only",
    "stop_signal",
    "stop_grace_period",
    "sysctls",
    "cap_add",
    "cap_drop",
    "extra_hosts",
    "dns",
    "dns_search",
    "dns_opt",
    "platform",
    "cpuset",
    "cpu_shares",
    "oom_score_adj",
    "shm_size",
    "ulimits",
    "privileged",
    "devices",
    "security_opt",
    "pid",
    "ipc",
    "userns_mode",
    "mem_limit",
    "mem_reservation",
    "cpus",
    "pids_limit",
    "profiles",
    "scale",
    "tmpfs",
    "extends",
];

/// The service of this name.
pub fn service<'n>(compose: &'n Map, name: &str) -> Option<&'n Node> {
    compose.iter().find(|(key, _)| key.text == "services")?.1.get(name)
}

/// The services as a mapping; an empty one where there is none.
pub fn services(compose: &mut Map) -> &mut Map {
    if !compose.iter().any(|(key, node)| key.text == "services" && node.map().is_some()) {
        compose.retain(|(key, _)| key.text != "services");
        compose.insert(0, (key("services"), node(Value::Map(Map::new()))));
    }
    let services = compose.iter_mut().find(|(key, _)| key.text == "services");
    match services {
        Some((
            _,
            Node {
                value: Value::Map(map), ..
            },
        )) => map,
        _ => unreachable!("it was put there"),
    }
}

/// Keys of the file, and those of each service that need nothing but themselves.
pub fn file(draft: &mut Draft) {
    let mut compose = std::mem::take(&mut draft.compose);
    for (key, _) in &compose {
        match key.text.as_str() {
            "services" | "networks" | "volumes" | "configs" | "secrets" | "version" | "name" => {}
            other if other.starts_with("x-") => {}
            other => draft.note(format!("`{other}` of the file is left out")),
        }
    }
    compose.retain(|(key, _)| ["services", "networks", "volumes", "configs", "secrets"].contains(&key.text.as_str()));
    compose.sort_by_key(|(key, _)| key.text != "services");
    let mut left: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, one) in services(&mut compose) {
        let Value::Map(keys) = std::mem::replace(&mut one.value, Value::Null) else {
            draft.problem(format!("`{}` is not a mapping", name.text));
            continue;
        };
        one.value = Value::Map(one_service(draft, &name.text, keys, &mut left));
    }
    if services(&mut compose).is_empty() {
        draft.problem("it has no services");
    }
    for (key, services) in left {
        let names: Vec<String> = services.iter().map(|name| format!("`{name}`")).collect();
        draft.note(format!(
            "`{key}` of {} is left out: the panel does it itself, or does not support it",
            names.join(", ")
        ));
    }
    draft.compose = compose;
}

fn one_service(draft: &mut Draft, name: &str, keys: Map, left: &mut BTreeMap<String, BTreeSet<String>>) -> Map {
    let mut kept = Map::new();
    let mut files = None;
    let has_image = keys.iter().any(|(key, _)| key.text == "image");
    for (key, node) in keys {
        let text = node.text().map(str::to_owned);
        match key.text.as_str() {
            "network_mode" if text.as_deref() == Some("host") => kept.push((key, node)),
            "network_mode" => other_network(draft, name, text.as_deref().unwrap_or_default()),
            "build" if has_image => draft.note(format!("`{name}` could be built in the source; its image is taken")),
            "build" => draft.problem(format!("`{name}` is built from files that a template does not bring")),
            "labels" => kept.extend(labels(draft, name, node).map(|node| (key, node))),
            "deploy" => kept.extend(deploy(name, node, left).map(|node| (key, node))),
            "env_file" => files = Some(node),
            "environment" => kept.push((key, environment(node))),
            "healthcheck" => kept.push((key, health(node))),
            "restart" => match flat(&text.unwrap_or_default()).as_str() {
                "" => {}
                "always" | "unless-stopped" | "no" | "false" => kept.push((key, node)),
                other if other.starts_with("on-failure") => kept.push((key, node)),
                other => draft.note(format!("`restart: {other}` of `{name}` is taken as unless-stopped")),
            },
            "pull_policy" if matches!(text.as_deref(), Some("always" | "missing" | "if_not_present" | "never")) => kept.push((key, node)),
            "container_name" | "networks" | "depends_on" | "ports" | "volumes" | "configs" | "secrets" => kept.push((key, node)),
            own if KEPT.contains(&own) => {
                if !node.is_null() {
                    kept.push((key, node));
                }
            }
            own if own.starts_with("x-") => {}
            own => {
                left.entry(own.to_owned()).or_default().insert(name.to_owned());
            }
        }
    }
    env_files(draft, name, files, &mut kept);
    kept
}

/// Says of a `network_mode` that there is not why, and what that means for what runs.
fn other_network(draft: &mut Draft, service: &str, mode: &str) {
    let mode = flat(mode);
    match mode.as_str() {
        "" | "bridge" | "default" => {}
        "none" => draft.note(format!(
            "`network_mode: none` of `{service}` is left out, since each container is on a network of the panel: it finds the other services and has a way \
             out; a network of its own with `internal: true` keeps it from both"
        )),
        mode => match mode.split_once(':') {
            Some(("service" | "container", other)) => draft.note(format!(
                "`network_mode: {mode}` of `{service}` is left out, since containers do not share the network of one: what it sends does not go through \
                 `{other}`, and what is to reach it goes to `{service}` by its name"
            )),
            _ => draft.note(format!(
                "`network_mode: {mode}` of `{service}` is left out: the panel makes an app's networks itself, and a service is on those of the file"
            )),
        },
    }
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
fn env_files(draft: &mut Draft, name: &str, files: Option<Node>, kept: &mut Map) {
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
fn labels(draft: &mut Draft, name: &str, node: Node) -> Option<Node> {
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
fn deploy(name: &str, node: Node, left: &mut BTreeMap<String, BTreeSet<String>>) -> Option<Node> {
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
fn health(mut node: Node) -> Node {
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

/// What needs all services: who waits for whom, restarts, limits.
pub fn rest(draft: &mut Draft) {
    let names: BTreeSet<String> = services(&mut draft.compose).iter().map(|(key, _)| key.text.clone()).collect();
    let mut once = BTreeSet::new();
    let mut gone = Vec::new();
    for (name, one) in services(&mut draft.compose) {
        let Value::Map(keys) = &mut one.value else { continue };
        for (key, node) in keys.iter_mut().filter(|(key, _)| key.text == "depends_on" || key.text == "links") {
            let is_link = key.text == "links";
            let there = |service: &str| {
                names.contains(if is_link {
                    service.split(':').next().unwrap_or_default()
                } else {
                    service
                })
            };
            let mut keep = |service: &str| {
                if !there(service) {
                    gone.push(format!(
                        "`{}` waits for `{service}`, which is not there; that is left out",
                        name.text
                    ));
                }
                there(service)
            };
            match &mut node.value {
                Value::List(all) => all.retain(|node| node.text().is_some_and(&mut keep)),
                Value::Map(map) => {
                    map.retain(|(key, _)| keep(&key.text));
                    let ends = |node: &Node| node.get("condition").and_then(Node::text) == Some("service_completed_successfully");
                    once.extend(map.iter().filter(|(_, node)| ends(node)).map(|(key, _)| key.text.clone()));
                }
                _ => {}
            }
        }
        keys.retain(|(key, node)| key.text != "depends_on" || node.list().is_none_or(|all| !all.is_empty()));
    }
    gone.into_iter().for_each(|note| draft.note(note));
    let mut limited = Vec::new();
    for (name, one) in services(&mut draft.compose) {
        let Value::Map(keys) = &mut one.value else { continue };
        let said = |keys: &Map, own: &str| keys.iter().any(|(key, _)| key.text == own);
        let has_policy = keys
            .iter()
            .any(|(key, node)| key.text == "deploy" && node.get("restart_policy").is_some());
        if once.contains(&name.text) {
            keys.retain(|(key, _)| key.text != "restart");
            keys.push((key("restart"), text("no")));
        } else if !said(keys, "restart") && !has_policy {
            keys.push((key("restart"), text("unless-stopped")));
        }
        if !said(keys, "mem_limit") && limit(keys) {
            limited.push(format!("`{}`", name.text));
        }
    }
    if !limited.is_empty() {
        draft.note(format!("{} may use 1 GiB of memory: the source sets no limit", limited.join(", ")));
    }
}

/// Adds a memory limit where there is none.
fn limit(keys: &mut Map) -> bool {
    let has = |node: &Node| node.get("resources").and_then(|node| node.get("limits")?.get("memory")).is_some();
    if keys.iter().any(|(key, node)| key.text == "deploy" && has(node)) {
        return false;
    }
    let mut here = keys;
    for step in ["deploy", "resources", "limits"] {
        if !here.iter().any(|(key, node)| key.text == step && node.map().is_some()) {
            here.retain(|(key, _)| key.text != step);
            here.push((key(step), node(Value::Map(Map::new()))));
        }
        let found = here.iter_mut().find(|(key, _)| key.text == step);
        match found {
            Some((
                _,
                Node {
                    value: Value::Map(map), ..
                },
            )) => here = map,
            _ => unreachable!("it was put there"),
        }
    }
    here.push((key("memory"), plain("1G")));
    true
}

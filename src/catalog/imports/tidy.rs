//! A foreign Compose file, made to follow the rules of a catalog where that is possible: networks, names of containers, labels of other
//! proxies and the like go, restarts and limits come.

use super::{
    draft::{Draft, flat},
    keys::{deploy, env_files, environment, health, labels, network_aliases},
    write::{key, list, map, node, plain, text},
};
use crate::yaml::{Map, Node, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Keys that are left out, with the services that have them.
pub type Left = BTreeMap<String, BTreeSet<String>>;

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
    for (key, node) in &compose {
        match key.text.as_str() {
            "services" | "volumes" | "configs" | "secrets" | "version" | "name" => {}
            "networks" if node.map().is_none_or(|networks| networks.len() < 2) => {}
            "networks" => draft.note("all its services share one network; the source keeps some apart"),
            other if other.starts_with("x-") => {}
            other => draft.note(format!("`{other}` of the file is left out")),
        }
    }
    compose.retain(|(key, _)| ["services", "volumes", "configs", "secrets"].contains(&key.text.as_str()));
    compose.sort_by_key(|(key, _)| key.text != "services");
    let mut left = Left::new();
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

fn one_service(draft: &mut Draft, name: &str, keys: Map, left: &mut Left) -> Map {
    let mut kept = Map::new();
    let mut aliases = Vec::new();
    let mut files = None;
    let has_image = keys.iter().any(|(key, _)| key.text == "image");
    for (key, node) in keys {
        let text = node.text().map(str::to_owned);
        match key.text.as_str() {
            "container_name" => aliases.extend(text.map(|text| flat(&text)).filter(|alias| alias != name && !alias.contains("{{"))),
            "networks" => aliases.extend(network_aliases(&node)),
            "network_mode" if text.as_deref() == Some("host") => kept.push((key, node)),
            "network_mode" if matches!(text.as_deref(), Some("bridge" | "default") | None) => {}
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
            "depends_on" | "ports" | "volumes" | "configs" | "secrets" => kept.push((key, node)),
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
    aliases.sort();
    aliases.dedup();
    if !aliases.is_empty() && !kept.iter().any(|(key, _)| key.text == "network_mode") {
        let aliases = map([("aliases", list(aliases.into_iter().map(text)))]);
        kept.push((key("networks"), map([("default", aliases)])));
    }
    kept
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

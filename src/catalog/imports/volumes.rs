//! Volumes, files, configs and secrets: everything gets a name of the app's own, files come as configs, and of the host stays only what
//! cannot be had otherwise.

use super::{
    draft::{Draft, flat},
    prose,
    tidy::services,
    write::{key, list, map, node, plain, text},
};
use crate::{
    compose::put,
    yaml::{Map, Node, Value},
};
use std::collections::BTreeMap;

/// Folders of the host that mean the host itself.
const HOST: [&str; 14] = [
    "/proc",
    "/sys",
    "/dev",
    "/etc",
    "/run",
    "/var/run",
    "/var/log",
    "/var/lib/docker",
    "/lib/modules",
    "/usr",
    "/boot",
    "/root",
    "/mnt",
    "/media",
];

/// A mount as the source has it.
#[derive(Default)]
struct Mount {
    source: String,
    target: String,
    read_only: bool,
    /// A folder, says the source.
    folder: bool,
    content: Option<String>,
    /// `tmpfs`, which stays as it is.
    other: bool,
}

/// What is put in place of mounts, for the whole file.
#[derive(Default)]
struct Kept {
    /// Named volumes.
    volumes: Vec<String>,
    /// Paths of the host, to the volumes that stand for them.
    paths: BTreeMap<String, String>,
    configs: Map,
}

pub fn all(draft: &mut Draft) {
    let mut compose = std::mem::take(&mut draft.compose);
    let mut kept = Kept::default();
    let declared = compose.iter().find(|(key, _)| key.text == "volumes").map(|(_, node)| node.clone());
    let stored = stored(draft, &compose);
    for (name, one) in services(&mut compose) {
        let Value::Map(keys) = &mut one.value else { continue };
        granted(draft, &name.text, keys, &stored, &mut kept);
        let Some(at) = keys.iter().position(|(key, _)| key.text == "volumes") else {
            continue;
        };
        let (own, node) = keys.remove(at);
        let entries = match node.value {
            Value::List(entries) => entries,
            Value::Null => Vec::new(),
            _ => vec![node],
        };
        let mut mounts = Vec::new();
        let mut grants = Vec::new();
        for entry in entries {
            match read(&entry) {
                Some(mount) if mount.other => mounts.push(entry),
                Some(mount) => mounted(draft, &name.text, mount, &mut kept, &mut mounts, &mut grants),
                None => draft.note(format!("a mount of `{}` cannot be read and is left out", name.text)),
            }
        }
        if !mounts.is_empty() {
            keys.push((own, list(mounts)));
        }
        add_grants(keys, grants);
    }
    compose.retain(|(key, _)| key.text == "services" || key.text == "networks");
    if !kept.volumes.is_empty() {
        compose.push((
            key("volumes"),
            node(Value::Map(kept.volumes.iter().map(|name| (key(name), node(Value::Null))).collect())),
        ));
    }
    if !kept.configs.is_empty() {
        compose.push((key("configs"), node(Value::Map(std::mem::take(&mut kept.configs)))));
    }
    for (name, volume) in declared.as_ref().and_then(Node::map).into_iter().flatten() {
        if volume.get("external").is_some_and(|node| node.text() != Some("false")) {
            draft.note(format!(
                "the volume `{}` is another one's in the source; here it is a new one of the app",
                name.text
            ));
        }
        if volume.get("driver_opts").is_some() {
            draft.note(format!(
                "`driver_opts` of the volume `{}` is left out: it lies where the engine keeps its data",
                name.text
            ));
        }
    }
    draft.compose = compose;
}

fn read(entry: &Node) -> Option<Mount> {
    if entry.map().is_some() {
        let part = |name: &str| entry.get(name).and_then(Node::text).map(flat).unwrap_or_default();
        let is = |name: &str| part(name) == "true";
        let kind = part("type");
        return Some(Mount {
            other: !matches!(kind.as_str(), "volume" | "bind" | ""),
            source: part("source"),
            target: part("target"),
            read_only: is("read_only"),
            folder: is("is_directory") || is("isDirectory"),
            content: entry.get("content").and_then(Node::text).map(str::to_owned),
        })
        .filter(|mount| mount.other || mount.target.starts_with('/'));
    }
    let written = flat(entry.text()?);
    let parts: Vec<&str> = written.split(':').collect();
    let (source, target, modes) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, modes] => (source, target, modes),
        _ => return None,
    };
    let mount = Mount {
        source: source.trim().to_owned(),
        target: target.trim().to_owned(),
        read_only: modes.split(',').any(|mode| mode == "ro"),
        ..Mount::default()
    };
    mount.target.starts_with('/').then_some(mount)
}

/// `./a/b`, `../files/a/b` and `/a/b` are the same file beside the Compose file.
pub fn clean(path: &str) -> String {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "." | ".." | "~"));
    let clean: Vec<&str> = parts.collect();
    let clean = clean.join("/");
    clean.strip_prefix("files/").map(str::to_owned).unwrap_or(clean)
}

fn mounted(draft: &mut Draft, service: &str, mount: Mount, kept: &mut Kept, mounts: &mut Vec<Node>, grants: &mut Vec<Node>) {
    let source = mount.source.as_str();
    let is_beside = source.starts_with(['.', '~']);
    let is_path = is_beside || source.starts_with('/') || source.contains("{{") || source.contains('$');
    if let Some(content) = mount
        .content
        .clone()
        .or_else(|| is_path.then(|| draft.files.get(&clean(source)).cloned())?)
    {
        return grants.push(file(kept, &mount.target, content));
    }
    if !is_path {
        let name = if source.is_empty() {
            path_name(service, &mount.target)
        } else {
            volume_name(source)
        };
        return volume(kept, name, &mount, mounts);
    }
    if source.trim_end_matches('/').ends_with("/docker.sock") {
        draft.note(format!("`{service}` needs the engine's socket, and with it rules the whole server"));
        return mounts.push(bind(source, &mount));
    }
    if matches!(source, "/etc/localtime" | "/etc/timezone") {
        return draft.note(format!(
            "`{source}` of the host is not mounted into `{service}`: set TZ where a time zone matters"
        ));
    }
    let is_file = !mount.folder && !mount.target.ends_with('/') && has_ending(source) && has_ending(&mount.target);
    let is_host = |path: &str| path == "/" || HOST.iter().any(|host| path == *host || path.starts_with(&format!("{host}/")));
    if source.starts_with('/') && is_host(source) && !source.contains("{{") {
        return mounts.push(bind(source, &mount));
    }
    if is_file {
        return draft.note(format!(
            "the file `{source}`, mounted into `{service}` at {}, does not come with the template and is left out",
            mount.target
        ));
    }
    let name = match kept.paths.get(source) {
        Some(name) => name.clone(),
        None => {
            let base = if source.contains("{{") || source.contains('$') {
                mount.target.as_str()
            } else {
                source
            };
            path_name(service, base)
        }
    };
    kept.paths.insert(source.to_owned(), name.clone());
    draft.note(format!("the folder `{source}` of the host becomes the volume `{name}`"));
    volume(kept, name, &mount, mounts);
}

fn has_ending(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    last.trim_start_matches('.').contains('.')
}

fn volume(kept: &mut Kept, name: String, mount: &Mount, mounts: &mut Vec<Node>) {
    let mode = if mount.read_only { ":ro" } else { "" };
    mounts.push(text(format!("{name}:{}{mode}", mount.target)));
    if !kept.volumes.contains(&name) {
        kept.volumes.push(name);
    }
}

fn bind(source: &str, mount: &Mount) -> Node {
    let mode = if mount.read_only { ":ro" } else { "" };
    text(format!("{source}:{}{mode}", mount.target))
}

/// A file as a config with its grant. A script may be run.
fn file(kept: &mut Kept, target: &str, content: String) -> Node {
    let mode = if content.starts_with("#!") { "0555" } else { "0444" };
    let last = target.rsplit('/').next().unwrap_or_default();
    let base = prose::slug(last);
    let mut name = base.clone();
    let mut number = 1;
    while kept
        .configs
        .iter()
        .any(|(key, node)| key.text == name && node.get("content").and_then(Node::text) != Some(&content))
    {
        number += 1;
        name = format!("{base}-{number}");
    }
    put(&mut kept.configs, key(&name), map([("content", text(content))]));
    map([("source", text(name)), ("target", text(target)), ("mode", plain(mode))])
}

/// Where a volume comes from the name of a folder.
fn path_name(service: &str, path: &str) -> String {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "." | ".." | "~" | "files"))
        .collect();
    let last = parts.last().copied().unwrap_or("data").trim_start_matches('.');
    volume_name(&format!("{service}-{last}"))
}

/// Letters that a volume may have.
fn volume_name(source: &str) -> String {
    let mut name = String::new();
    let mut rest = source;
    while let Some((front, after)) = rest.split_once("{{") {
        name.push_str(front);
        rest = after.split_once("}}").map_or("", |(_, rest)| rest);
    }
    name.push_str(rest);
    let name: String = name
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || "_.-".contains(letter) {
                letter
            } else {
                '-'
            }
        })
        .take(60)
        .collect();
    let name = name.trim_matches(['-', '_', '.']);
    if name.is_empty() { "data".to_owned() } else { name.to_owned() }
}

/// Configs and secrets of the file: their contents by kind and name, as far as they are known.
fn stored(draft: &mut Draft, compose: &Map) -> BTreeMap<(&'static str, String), String> {
    let mut stored = BTreeMap::new();
    for kind in ["configs", "secrets"] {
        let all = compose
            .iter()
            .find(|(key, _)| key.text == kind)
            .and_then(|(_, node)| node.map().cloned());
        for (name, one) in all.into_iter().flatten() {
            let part = |own: &str| one.get(own).and_then(Node::text).map(str::to_owned);
            let content = part("content")
                .or_else(|| draft.files.get(&clean(&flat(&part("file")?))).cloned())
                .or_else(|| part("environment").map(|variable| draft.form.by_name(&variable, None, true)));
            match content {
                Some(content) => {
                    stored.insert((kind, name.text.clone()), content);
                }
                None => draft.note(format!(
                    "`{}` of `{kind}` does not come with the template and is left out",
                    name.text
                )),
            }
        }
    }
    stored
}

/// Grants of a service, with their contents as configs of ours.
fn granted(draft: &mut Draft, service: &str, keys: &mut Map, stored: &BTreeMap<(&'static str, String), String>, kept: &mut Kept) {
    let mut grants = Vec::new();
    for kind in ["configs", "secrets"] {
        let Some(at) = keys.iter().position(|(key, _)| key.text == kind) else {
            continue;
        };
        let (_, node) = keys.remove(at);
        for entry in node.list().unwrap_or_default() {
            let part = |own: &str| entry.get(own).and_then(Node::text).map(flat);
            let name = entry.text().map(str::to_owned).or_else(|| part("source")).unwrap_or_default();
            let Some(content) = stored.get(&(kind, name.clone())) else {
                draft.note(format!("`{service}` does not get `{name}` of `{kind}`, whose content is not known"));
                continue;
            };
            let folder = if kind == "secrets" { "/run/secrets/" } else { "/" };
            let target = part("target").unwrap_or_else(|| name.clone());
            let target = if target.starts_with('/') {
                target
            } else {
                format!("{folder}{target}")
            };
            grants.push(file(kept, &target, content.clone()));
        }
    }
    add_grants(keys, grants);
}

fn add_grants(keys: &mut Map, grants: Vec<Node>) {
    if grants.is_empty() {
        return;
    }
    match keys.iter_mut().find(|(key, _)| key.text == "configs") {
        Some((
            _,
            Node {
                value: Value::List(all), ..
            },
        )) => all.extend(grants),
        _ => keys.push((key("configs"), list(grants))),
    }
}

//! What a service sees of volumes and files: `volumes`, `tmpfs`, `configs`, `secrets`.

use super::{
    context::{Context, find},
    files::within,
    load::read_beside,
    values,
};
use crate::yaml::{At, Key, Map, Node, Value};
use types::{MountFrom, StackFile, StackMount, StackService};

/// What one mount copies at most, in bytes.
const MAX_COPIED: usize = 4 << 20;

pub fn read(context: &Context<'_>, model: &Map, service: &mut StackService, key: &Key, node: &Node) -> bool {
    match key.text.as_str() {
        "volumes" => {
            for node in context.list("volumes", node) {
                match &node.value {
                    Value::Map(map) => long(context, service, map, node.at),
                    _ => short(context, service, node),
                }
            }
        }
        "tmpfs" => {
            for text in context.texts("tmpfs", node) {
                let (path, options) = text.split_once(':').unwrap_or((&text, ""));
                add_tmpfs(context, service, node.at, path, options);
            }
        }
        "configs" => grants(context, model, service, "configs", node),
        "secrets" => grants(context, model, service, "secrets", node),
        _ => return false,
    }
    true
}

fn absolute(context: &Context<'_>, at: At, path: &str) -> Option<String> {
    match path.parse::<types::ContainerPath>() {
        Ok(path) => Some(path.to_string()),
        Err(_) => {
            context.error(at, format!("`{path}` must be an absolute path in the container, such as /data"));
            None
        }
    }
}

fn add_tmpfs(context: &Context<'_>, service: &mut StackService, at: At, path: &str, options: &str) {
    if let Some(path) = absolute(context, at, path) {
        service.runtime.tmpfs.insert(path, options.to_owned());
    }
}

/// `SOURCE:TARGET:MODE`, `SOURCE:TARGET` or `TARGET`.
fn short(context: &Context<'_>, service: &mut StackService, node: &Node) {
    let Some(text) = context.text("volumes", node) else { return };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, modes) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, modes] => (Some(source), target, modes),
        _ => {
            return context.error(
                node.at,
                format!("`{text}` is not a mount such as data:/var/lib/data or data:/srv:ro"),
            );
        }
    };
    let mut read_only = false;
    for mode in modes.split(',').filter(|mode| !mode.is_empty()) {
        match mode {
            "ro" => read_only = true,
            // The last three are for Docker Desktop, and do nothing on Linux.
            "rw" | "cached" | "delegated" | "consistent" => {}
            "z" | "Z" | "nocopy" => mount_option(context, node.at, mode),
            other => context.error(node.at, format!("the mount option `{other}` is not supported")),
        }
    }
    let Some(path) = absolute(context, node.at, target) else { return };
    match source {
        None => anonymous(context, service, node.at, path),
        Some(source) if source.starts_with(['/', '.', '~']) => bind(context, service, node.at, source, path, read_only),
        Some(source) => add(service, volume(source), path, read_only),
    }
}

fn long(context: &Context<'_>, service: &mut StackService, map: &Map, at: At) {
    let known = ["type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs"];
    for (key, node) in map {
        if !known.contains(&key.text.as_str()) {
            context.unknown("a mount", key, &known);
        }
        match key.text.as_str() {
            "bind" | "volume" => mount_options(context, &key.text, node),
            _ => {}
        }
    }
    let text = |key: &str| find(map, key).and_then(|node| context.text(key, node));
    let read_only = find(map, "read_only")
        .and_then(|node| context.flag("read_only", node))
        .unwrap_or(false);
    let Some(path) = text("target").and_then(|target| absolute(context, at, &target)) else {
        if find(map, "target").is_none() {
            context.error(at, "a mount needs a `target`");
        }
        return;
    };
    match (text("type").as_deref(), text("source")) {
        (Some("volume"), Some(source)) => add(service, volume(&source), path, read_only),
        (Some("volume"), None) => anonymous(context, service, at, path),
        (Some("bind"), Some(source)) => bind(context, service, at, &source, path, read_only),
        (Some("bind"), None) => context.error(at, "a bind mount needs a `source`"),
        (Some("tmpfs"), _) => {
            let options = find(map, "tmpfs").map(|node| tmpfs_options(context, node)).unwrap_or_default();
            add_tmpfs(context, service, at, &path, &options);
        }
        (Some(other), _) => context.error(at, format!("the mount type `{other}` is not supported; use volume, bind or tmpfs")),
        (None, _) => context.error(at, "a mount needs a `type`: volume, bind or tmpfs"),
    }
}

/// What is below `bind` or `volume` of a mount: nothing of it is taken.
fn mount_options(context: &Context<'_>, kind: &str, node: &Node) {
    for (key, _) in context.map(kind, node) {
        match (kind, key.text.as_str()) {
            ("volume", "subpath") => context.error(key.at, "`volume.subpath` is not supported: use a volume of its own"),
            ("volume", "labels") => context.hint(key.at, "`volume.labels` is left out: the panel labels its volumes itself"),
            ("bind", "propagation") => context.error(
                key.at,
                "`bind.propagation` is not supported: what is mounted within stays within the container",
            ),
            ("bind", "create_host_path") => context.hint(key.at, "`bind.create_host_path` is left out: the folder must be there"),
            ("volume", "nocopy") | ("bind", "selinux" | "recursive") => mount_option(context, key.at, &key.text),
            ("volume", _) => context.unknown("`volume` of a mount", key, &["nocopy", "subpath", "labels"]),
            _ => context.unknown(
                "`bind` of a mount",
                key,
                &["propagation", "create_host_path", "selinux", "recursive"],
            ),
        }
    }
}

fn mount_option(context: &Context<'_>, at: At, option: &str) {
    let why = match option {
        "nocopy" => "a new volume gets what the image has at its path",
        "recursive" => "what is mounted below a folder is seen in the container",
        _ => "the panel sets no SELinux labels",
    };
    context.hint(at, format!("the mount option `{option}` is left out: {why}"));
}

fn tmpfs_options(context: &Context<'_>, node: &Node) -> String {
    let mut options = Vec::new();
    for (key, node) in context.map("tmpfs", node) {
        match key.text.as_str() {
            "size" => options.extend(context.parsed("size", node, values::bytes).map(|bytes| format!("size={bytes}"))),
            "mode" => options.extend(context.text("mode", node).map(|mode| format!("mode={mode}"))),
            _ => context.unknown("`tmpfs`", key, &["size", "mode"]),
        }
    }
    options.join(",")
}

fn volume(name: &str) -> MountFrom {
    MountFrom::Volume { name: name.to_owned() }
}

/// One mount for each path; the later one counts.
fn add(service: &mut StackService, from: MountFrom, path: String, read_only: bool) {
    service.mounts.retain(|mount| mount.path != path);
    service.mounts.push(StackMount { from, path, read_only });
}

/// A name for what has none.
fn volume_name(service: &str, path: &str) -> String {
    let clean: String = path
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    format!("{}-{}", service.to_ascii_lowercase(), clean.trim_matches('-'))
}

/// A volume without a name would be lost with its container, so it gets one.
fn anonymous(context: &Context<'_>, service: &mut StackService, at: At, path: String) {
    let name = volume_name(&service.name, &path);
    context.hint(at, format!("the volume at {path} has no name; it is kept as `{name}`"));
    add(service, volume(&name), path, false);
}

/// What lies beside the Compose file is copied into the container; anything else of the host needs the right.
fn bind(context: &Context<'_>, service: &mut StackService, at: At, source: &str, path: String, read_only: bool) {
    if source.starts_with('.') {
        return beside(context, service, at, source, path, read_only);
    }
    if source.starts_with('~') || source.split('/').any(|part| part == "..") {
        return context.error(at, format!("`{source}` must be an absolute path of the host"));
    }
    let (right, what) = if source.trim_end_matches('/').ends_with("/docker.sock") {
        (
            "docker_socket",
            "gets the engine's socket: it can do everything that the host's root can".to_owned(),
        )
    } else {
        ("host_paths", format!("mounts {source} of the host"))
    };
    context.right(at, &service.name, right, what);
    let from = MountFrom::Host { path: source.to_owned() };
    add(service, from, path, read_only);
}

/// A file or a folder beside the Compose file. A folder that is not there is what the engine would make, an empty one: a volume.
fn beside(context: &Context<'_>, service: &mut StackService, at: At, source: &str, path: String, read_only: bool) {
    let files = context.ask.files;
    let Some(clean) = within("", source) else {
        return context.error(at, format!("`{source}` leads out of the folder of the Compose file"));
    };
    let all = match files.list(&clean) {
        Ok(Some(inside)) => inside
            .into_iter()
            .map(|name| {
                (
                    format!("{clean}/{name}").trim_start_matches('/').to_owned(),
                    format!("{}/{name}", path.trim_end_matches('/')),
                )
            })
            .collect(),
        Ok(None) if files.any() && matches!(files.read(&clean), Ok(None)) => {
            let last = clean.rsplit('/').next().unwrap_or_default();
            let name = volume_name(&service.name, last);
            context.hint(at, format!("there is no `{clean}` among the files; it is kept as `{name}`"));
            return add(service, volume(&name), path, read_only);
        }
        Ok(None) => vec![(clean, path)],
        Err(why) => return context.error(at, format!("`{clean}`: {why}")),
    };
    if !read_only {
        context.hint(
            at,
            format!("`{source}` is copied into the container at each deployment; what the container writes to it is lost"),
        );
    }
    let mut bytes = 0;
    for (from, path) in all {
        let Some(content) = read_beside(context, at, "", &from) else {
            continue;
        };
        bytes += content.len();
        if bytes > MAX_COPIED {
            return context.error(at, format!("`{source}` is more than 4 MiB; put it into an image instead"));
        }
        service.files.retain(|file| file.path != path);
        service.files.push(StackFile {
            path,
            content,
            mode: files.mode(&from),
            uid: 0,
            gid: 0,
            secret: false,
        });
    }
}

/// `configs` or `secrets` of a service, as files.
fn grants(context: &Context<'_>, model: &Map, service: &mut StackService, kind: &str, node: &Node) {
    for node in context.list(kind, node) {
        let mut mode = 0o444;
        let (mut uid, mut gid, mut target) = (0, 0, None);
        let name = match &node.value {
            Value::Map(map) => {
                for (key, node) in map {
                    match key.text.as_str() {
                        "source" => {}
                        "target" => target = context.text("target", node),
                        "uid" => uid = context.number("uid", node).unwrap_or(0),
                        "gid" => gid = context.number("gid", node).unwrap_or(0),
                        "mode" => mode = context.parsed("mode", node, permissions).unwrap_or(mode),
                        _ => context.unknown(kind, key, &["source", "target", "uid", "gid", "mode"]),
                    }
                }
                find(map, "source").and_then(|node| context.text("source", node))
            }
            _ => context.text(kind, node),
        };
        let Some(name) = name else {
            context.error(node.at, format!("an entry of `{kind}` needs a `source`"));
            continue;
        };
        let folder = if kind == "secrets" { "/run/secrets/" } else { "/" };
        let path = match target {
            Some(target) if target.starts_with('/') => target,
            Some(target) => format!("{folder}{target}"),
            None => format!("{folder}{name}"),
        };
        let Some(path) = absolute(context, node.at, &path) else { continue };
        let Some(thing) = find(model, kind).and_then(|all| all.get(&name)) else {
            context.error(node.at, format!("`{name}` is not among the `{kind}` of the file"));
            continue;
        };
        if let Some(content) = content(context, kind, &name, thing) {
            service.files.retain(|file| file.path != path);
            service.files.push(StackFile {
                path,
                content,
                mode,
                uid,
                gid,
                secret: kind == "secrets",
            });
        }
    }
}

/// `0440` in octal, quoted or not.
fn permissions(text: &str) -> Result<u32, String> {
    let digits = text.trim_start_matches("0o");
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => Err(format!("`{text}` is not a mode such as 0440")),
    }
}

/// The content of a config or secret.
fn content(context: &Context<'_>, kind: &str, name: &str, thing: &Node) -> Option<String> {
    let (mut found, mut said) = (None, false);
    for (key, node) in context.map(kind, thing) {
        match key.text.as_str() {
            "content" if kind == "configs" => {
                said = true;
                found = context.text("content", node).or(Some(String::new()));
            }
            "file" => {
                said = true;
                found = context.text("file", node).and_then(|path| read_file(context, node.at, &path));
            }
            "environment" => {
                said = true;
                found = context.text("environment", node).and_then(|variable| {
                    let value = (context.ask.variable)(&variable);
                    if value.is_none() {
                        context.error(node.at, format!("the variable {variable} must be set: `{name}` is made from it"));
                    }
                    value
                });
            }
            "external" => {
                if context.flag("external", node) == Some(true) {
                    said = true;
                    context.error(
                        node.at,
                        format!("`{name}` is external; give its content with `file`, `environment` or `content`"),
                    );
                }
            }
            "name" | "labels" => context.hint(key.at, format!("`{}` is left out: `{name}` is a file in the container", key.text)),
            "driver" | "driver_opts" | "template_driver" => context.error(
                key.at,
                format!(
                    "`{}` is not supported: give the content with `file`, `environment` or `content`",
                    key.text
                ),
            ),
            _ => context.unknown(kind, key, &["file", "environment", "content", "external", "name"]),
        }
    }
    if !said {
        context.error(thing.at, format!("`{name}` of `{kind}` needs `file`, `environment` or `content`"));
    }
    found
}

fn read_file(context: &Context<'_>, at: At, path: &str) -> Option<String> {
    if within("", path).is_none() {
        context.error(at, format!("`{path}` leads out of the folder of the Compose file"));
        return None;
    }
    read_beside(context, at, "", path)
}

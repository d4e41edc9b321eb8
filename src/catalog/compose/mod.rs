//! Compose files: from the text that a person wrote to a [`Stack`] in which nothing is left to look up.
//!
//! Source: the Compose Specification (compose-spec.io). All of a file's problems are told at once, each with its line;
//! what is taken differently is told as a hint, and what reaches the host as a right.

mod build;
mod checks;
#[cfg(test)]
mod conformance_tests;
mod context;
mod engine;
mod env_file;
mod environment;
mod files;
mod hooks;
mod limits;
mod load;
mod mounts;
#[cfg(test)]
mod network_tests;
mod networks;
mod order;
mod overlay;
mod ports;
#[cfg(test)]
mod reference_tests;
mod relations;
mod rights;
mod services;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tree_tests;
mod values;

pub(crate) use values::bytes as memory_bytes;

pub use files::{Files, Folder, NoFiles, within};
pub(crate) use {
    context::put,
    env_file::raw as env_pairs,
    values::{Port, ports as short_ports, words},
};

use crate::{
    expand::Evaluate,
    yaml::{Map, Node, Value},
};
use context::{Context, find};
use services::Read;
use std::collections::{BTreeMap, BTreeSet};
use types::{HostRight, MountFrom, Notice, Stack, StackVolume};

/// What to read, and what to read it with.
pub struct Ask<'a> {
    pub text: &'a str,
    pub files: &'a dyn Files,
    /// What `$NAME` stands for.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// What `{{ … }}` stands for; only templates have it.
    pub template: Option<&'a Evaluate<'a>>,
    /// Services of these profiles run too; `*`: of all.
    pub profiles: &'a [String],
}

/// A file that can be deployed.
#[derive(Debug, Clone, PartialEq)]
pub struct Composed {
    pub stack: Stack,
    /// What is taken differently from what the file says, by line.
    pub hints: Vec<Notice>,
    pub rights: Vec<HostRight>,
}

/// What a Compose file is called when nobody says it, the first that is there.
/// Source: the Compose Specification, "Compose file".
pub const USUAL_NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Reads a Compose file that lies on top of its files. `Err` holds every problem, by line.
pub fn read(ask: &Ask<'_>) -> Result<Composed, Vec<Notice>> {
    read_at(ask, USUAL_NAMES[0])
}

/// Reads a Compose file that lies under `path` among the files, `deploy/compose.yaml` for example: what it names is looked for from its
/// folder, and may lie above it, but not outside of the files. `.env` of its folder gives values for names that the asker does not know.
/// Paths of the result are from the top of the files.
pub fn read_at(ask: &Ask<'_>, path: &str) -> Result<Composed, Vec<Notice>> {
    let Some(path) = within("", path) else {
        return Err(vec![Notice {
            line: 0,
            file: String::new(),
            what: format!("`{path}` is no path among the files"),
        }]);
    };
    let outer = Context::new(ask);
    let pairs = load::usual_env(&outer, files::folder_of(&path), ask.variable);
    let variable = |name: &str| {
        let own = || pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        (ask.variable)(name).or_else(own)
    };
    let inner = Ask {
        text: ask.text,
        files: ask.files,
        variable: &variable,
        template: ask.template,
        profiles: ask.profiles,
    };
    let context = Context::new(&inner);
    context.problems.borrow_mut().extend(outer.problems.into_inner());
    let stack = load::load(&context, &path).map(|model| stack(&context, &model));
    let mut problems = context.problems.into_inner();
    problems.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    problems.dedup();
    let mut hints = context.hints.into_inner();
    hints.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    hints.dedup();
    match stack {
        Some(stack) if problems.is_empty() => Ok(Composed {
            stack,
            hints,
            rights: context.rights.into_inner(),
        }),
        _ => Err(problems),
    }
}

fn stack(context: &Context<'_>, model: &Map) -> Stack {
    top_level(context, model);
    let Some(services) = find(model, "services") else {
        context.error(Default::default(), "the file has no `services`");
        return Stack::default();
    };
    let mut reads = Vec::new();
    let mut sleeping = BTreeSet::new();
    for (key, node) in context.map("services", services) {
        if is_active(context, node) {
            reads.push(services::service(context, model, key, node));
        } else {
            sleeping.insert(key.text.clone());
        }
    }
    if reads.is_empty() {
        context.error(services.at, "no service is left to run");
    }
    networks::settle(context, model, &mut reads);
    relations::relate(context, &mut reads, &sleeping);
    for read in &reads {
        if read.service.runtime.read_only && !read.service.files.is_empty() {
            context.error(
                read.at,
                format!(
                    "`{}` is `read_only`, so the engine cannot put its configs, secrets and files into it",
                    read.service.name
                ),
            );
        }
    }
    let volumes = volumes(context, model, &reads);
    Stack {
        services: order::sorted(context, reads),
        volumes,
    }
}

fn top_level(context: &Context<'_>, model: &Map) {
    for (key, node) in model {
        match key.text.as_str() {
            "version" => context.hint(key.at, "`version` means nothing any more; leave it out"),
            "name" => context.hint(key.at, "`name` is left out: the app has its own name"),
            "services" | "networks" | "volumes" | "configs" | "secrets" => {
                context.map(&key.text, node);
            }
            "models" => context.error(
                key.at,
                "`models` is not supported: the panel runs no models of its own; run one as a service",
            ),
            _ => context.unknown(
                "a Compose file",
                key,
                &["services", "networks", "volumes", "configs", "secrets", "include", "name"],
            ),
        }
    }
}

/// Without `profiles` a service always runs.
fn is_active(context: &Context<'_>, node: &Node) -> bool {
    let Some(profiles) = node.get("profiles") else { return true };
    let profiles = context.texts("profiles", profiles);
    let chosen = &context.ask.profiles;
    profiles.is_empty() || profiles.iter().any(|own| chosen.iter().any(|one| one == own || one == "*"))
}

fn volumes(context: &Context<'_>, model: &Map, reads: &[Read]) -> Vec<StackVolume> {
    let declared = find(model, "volumes");
    let mut volumes: BTreeMap<String, StackVolume> = BTreeMap::new();
    if let Some(declared) = declared {
        for (key, node) in context.map("volumes", declared) {
            let external = volume(context, &key.text, node);
            let volume = StackVolume {
                name: key.text.clone(),
                external,
            };
            volumes.insert(key.text.clone(), volume);
        }
    }
    let mut used = BTreeSet::new();
    for read in reads {
        for mount in &read.service.mounts {
            let MountFrom::Volume { name } = &mount.from else { continue };
            used.insert(name.clone());
            if volumes.contains_key(name) {
                continue;
            }
            if context
                .hints
                .borrow()
                .iter()
                .any(|hint| hint.what.ends_with(&format!("it is kept as `{name}`")))
            {
                let volume = StackVolume {
                    name: name.clone(),
                    external: None,
                };
                volumes.insert(name.clone(), volume);
                continue;
            }
            context.error(
                read.at,
                format!(
                    "`{}` mounts the volume `{name}`, which is not among the `volumes` of the file",
                    read.service.name
                ),
            );
        }
    }
    volumes.into_values().filter(|volume| used.contains(&volume.name)).collect()
}

/// The external name of a declared volume.
fn volume(context: &Context<'_>, name: &str, node: &Node) -> Option<String> {
    let (mut external, mut own) = (false, None);
    for (key, node) in context.map(name, node) {
        match key.text.as_str() {
            "external" => match &node.value {
                // The old form: external: { name: x }
                Value::Map(map) => {
                    external = true;
                    own = find(map, "name").and_then(|node| context.text("name", node));
                }
                _ => external = context.flag("external", node).unwrap_or(false),
            },
            "name" => own = context.text("name", node),
            "labels" => context.hint(key.at, "`labels` is left out: the panel labels its volumes itself"),
            "driver" => match context.text("driver", node).as_deref() {
                None | Some("local" | "default") => {}
                Some(other) => context.error(
                    key.at,
                    format!("the volume driver `{other}` is not supported: a volume lies where the engine keeps its data"),
                ),
            },
            "driver_opts" => context.error(
                key.at,
                "`driver_opts` is not supported: a volume lies where the engine keeps its data",
            ),
            _ => context.unknown("a volume", key, &["driver", "driver_opts", "external", "name", "labels"]),
        }
    }
    if own.is_some() && !external {
        context.hint(node.at, format!("`name` is left out: the volume `{name}` is the app's own"));
    }
    external.then(|| own.unwrap_or_else(|| name.to_owned()))
}

//! `build` of a service: how its image is made from the files beside the Compose file.

use super::{context::Context, files::within};
use crate::yaml::Node;
use types::StackBuild;

pub fn build(context: &Context<'_>, node: &Node) -> Option<StackBuild> {
    let mut build = StackBuild::default();
    if !context.ask.files.any() {
        context.error(
            node.at,
            "there are no files to build from; take this Compose file from Git, or name an `image`",
        );
        return Some(build);
    }
    if let Some(text) = node.text() {
        build.context = text.to_owned();
    }
    let map = if node.text().is_some() {
        &[][..]
    } else {
        context.map("build", node)
    };
    for (key, node) in map {
        let name = key.text.as_str();
        match name {
            "context" => build.context = context.text(name, node).unwrap_or_default(),
            "dockerfile" => build.dockerfile = context.text(name, node),
            "dockerfile_inline" => build.inline = context.text(name, node),
            "target" => build.target = context.text(name, node),
            "args" => {
                for (key, value) in context.pairs(name, node) {
                    if let Some(value) = value.or_else(|| (context.ask.variable)(&key)) {
                        build.arguments.insert(key, value);
                    }
                }
            }
            "labels" => {
                let pairs = context.pairs(name, node);
                build
                    .labels
                    .extend(pairs.into_iter().map(|(key, value)| (key, value.unwrap_or_default())));
            }
            "cache_from" | "cache_to" | "no_cache" | "no_cache_filter" | "pull" | "tags" | "provenance" | "sbom" => {
                context.hint(
                    key.at,
                    format!("`build.{name}` is left out: the panel keeps its own build cache and names"),
                );
            }
            _ if why_not(name).is_some() => {
                let why = why_not(name).unwrap_or_default();
                context.error(key.at, format!("`build.{name}` is not supported: {why}"));
            }
            _ => context.unknown(
                "`build`",
                key,
                &["context", "dockerfile", "dockerfile_inline", "target", "args", "labels"],
            ),
        }
    }
    there(context, node, &build);
    if build.dockerfile.is_some() && build.inline.is_some() {
        context.error(node.at, "`dockerfile` and `dockerfile_inline` exclude each other");
    }
    Some(build)
}

/// Why a key of the specification is refused.
fn why_not(name: &str) -> Option<&'static str> {
    Some(match name {
        "additional_contexts" => "one folder is sent to the builder; keep what is needed below `context`",
        "entitlements" | "network" | "privileged" => "a build gets no rights beyond those of its own container",
        "extra_hosts" => "a build finds hosts by DNS",
        "isolation" => "it is for Windows",
        "platforms" => "images are built for this server",
        "secrets" | "ssh" => {
            "the app's variables are there for builds; secret ones can be mounted in the Dockerfile with `RUN --mount=type=secret,id=NAME`"
        }
        "shm_size" | "ulimits" => "the builder has the engine's own limits",
        _ => return None,
    })
}

/// The folder and its Dockerfile must be among the files.
fn there(context: &Context<'_>, node: &Node, build: &StackBuild) {
    let files = context.ask.files;
    if build.context.contains("://") || build.context.starts_with("git@") {
        return context.error(node.at, "a build context must be a folder beside the Compose file, not an address");
    }
    let Some(folder) = within("", &build.context) else {
        return context.error(node.at, "the build context leads out of the folder of the Compose file");
    };
    if !files.has_folder(&folder) {
        return context.error(node.at, format!("there is no folder `{folder}` to build from"));
    }
    let name = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    match within(&folder, name) {
        _ if build.inline.is_some() => {}
        None => context.error(node.at, format!("`{name}` leads out of the files")),
        Some(path) => {
            if let Ok(None) = files.read(&path) {
                context.error(node.at, format!("there is no `{path}` to build with"));
            }
        }
    }
}

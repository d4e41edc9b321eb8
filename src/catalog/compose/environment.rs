//! `environment` of a service with the files of `env_file` below it, and `labels` with those of `label_file`.

use super::{
    context::{Context, find},
    env_file,
    files::within,
    load::read_beside,
};
use crate::yaml::{Key, Node, Value};
use types::StackService;

/// `env_file`, and `environment` over it.
pub fn env_files(context: &Context<'_>, service: &mut StackService, map: &[(Key, Node)]) {
    if let Some(node) = find(map, "env_file") {
        let entries: Vec<&Node> = node.list().map_or_else(|| vec![node], |list| list.iter().collect());
        for node in entries {
            env_file_of(context, service, node);
        }
    }
    let Some(node) = find(map, "environment") else { return };
    for (key, value) in context.pairs("environment", node) {
        if key.is_empty() || key.contains(['=', '\0']) {
            context.error(node.at, "environment: a name is empty or has a = in it");
            continue;
        }
        // A name alone takes the value that it has outside.
        match value.or_else(|| (context.ask.variable)(&key)) {
            Some(value) => service.environment.insert(key, value),
            None => service.environment.remove(&key),
        };
    }
}

fn env_file_of(context: &Context<'_>, service: &mut StackService, node: &Node) {
    let (path, required, raw) = match &node.value {
        Value::Map(map) => {
            let text = |key: &str| find(map, key).and_then(|node| context.text(key, node));
            for (key, node) in map {
                match key.text.as_str() {
                    "path" | "required" => {}
                    "format" if context.text("format", node).as_deref() == Some("raw") => {}
                    "format" => context.error(key.at, "the `format` of an `env_file` is not known: write `raw`, or leave it out"),
                    _ => context.unknown("`env_file`", key, &["path", "required", "format"]),
                }
            }
            let required = find(map, "required")
                .and_then(|node| context.flag("required", node))
                .unwrap_or(true);
            (text("path").unwrap_or_default(), required, text("format").as_deref() == Some("raw"))
        }
        _ => match context.text("env_file", node) {
            Some(path) => (path, true, false),
            None => return,
        },
    };
    if !required {
        let there = within("", &path).is_some_and(|path| matches!(context.ask.files.read(&path), Ok(Some(_))));
        if !there {
            return;
        }
    }
    let Some(text) = read_beside(context, node.at, "", &path) else {
        return;
    };
    if raw {
        service.environment.extend(env_file::raw(&text));
        return;
    }
    match env_file::parse(&text, context.ask.variable) {
        Ok(pairs) => service.environment.extend(pairs),
        Err((line, why)) => context.error(node.at, format!("{path}, line {line}: {why}")),
    }
}

/// `label_file`, below what `labels` says.
pub fn label_files(context: &Context<'_>, service: &mut StackService, map: &[(Key, Node)]) {
    let Some(node) = find(map, "label_file") else { return };
    // Of two files, the later one counts.
    for path in context.texts("label_file", node).into_iter().rev() {
        let Some(text) = read_beside(context, node.at, "", &path) else {
            continue;
        };
        match env_file::parse(&text, context.ask.variable) {
            Ok(pairs) => {
                for (label, value) in pairs {
                    if label.starts_with("serverkit.") {
                        context.error(node.at, format!("{path}: the label `{label}` is the panel's own"));
                    }
                    service.labels.entry(label).or_insert(value);
                }
            }
            Err((line, why)) => context.error(node.at, format!("{path}, line {line}: {why}")),
        }
    }
}

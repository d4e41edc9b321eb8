//! From the Compose file and those it includes and extends to one tree: values put in, paths seen from the top.
//! Source: the Compose Specification, "include", "extends", "Merge".

use super::{
    context::{Context, find, put},
    env_file,
    files::{folder_of, within},
};
use crate::yaml::{self, At, Key, Map, Node, Value};

/// Files that include and extend each other at most so deep.
const MAX_DEPTH: usize = 10;
/// The parts of a file that hold named things.
pub const PARTS: [&str; 5] = ["services", "networks", "volumes", "configs", "secrets"];

type Look<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The whole file as one mapping, without `include` and `extends`. `None` when it is not even YAML.
pub fn load(context: &Context<'_>) -> Option<Map> {
    let mut model = file(context, "", context.ask.text, context.ask.variable, 0)?;
    extend_all(context, &mut model, "", context.ask.variable);
    Some(model)
}

/// Reads one file with what it includes. `path` is empty for the Compose file itself.
fn file(context: &Context<'_>, path: &str, text: &str, look: Look<'_>, depth: usize) -> Option<Map> {
    let number = context.enter(path);
    let mut node = match yaml::parse(text, number) {
        Ok(node) => node,
        Err(notice) => {
            let at = At {
                file: number,
                line: notice.line,
            };
            context.error(at, notice.what);
            return None;
        }
    };
    context.expand(&mut node, look);
    let at = node.at;
    let mut model = match node.value {
        Value::Map(map) => map,
        Value::Null => {
            context.error(at, "the file is empty; it needs `services`");
            return None;
        }
        _ => {
            context.error(at, "the file must be a mapping with `services`");
            return None;
        }
    };
    rebase(&mut model, folder_of(path));
    if let Some(included) = find(&model, "include").cloned() {
        model.retain(|(key, _)| key.text != "include");
        if depth >= MAX_DEPTH {
            context.error(included.at, "files include each other too deeply");
        } else {
            for node in context.list("include", &included) {
                include(context, &mut model, node, folder_of(path), look, depth);
            }
        }
    }
    Some(model)
}

/// Adds what one entry of `include` names. What both have must be the same.
fn include(context: &Context<'_>, model: &mut Map, node: &Node, folder: &str, look: Look<'_>, depth: usize) {
    let (paths, own_folder, env) = match &node.value {
        Value::Text { text, .. } => (vec![text.clone()], None, Vec::new()),
        Value::Map(map) => {
            for (key, _) in map {
                if !["path", "project_directory", "env_file"].contains(&key.text.as_str()) {
                    context.unknown("include", key, &["path", "project_directory", "env_file"]);
                }
            }
            let texts = |key: &str| find(map, key).map(|node| context.texts(key, node)).unwrap_or_default();
            (texts("path"), texts("project_directory").pop(), texts("env_file"))
        }
        _ => return context.error(node.at, format!("`include` takes paths, not {}", node.kind())),
    };
    if own_folder.is_some() {
        context.hint(node.at, "`project_directory` is taken as the folder of the included file");
    }
    let mut pairs = Vec::new();
    for path in env {
        if let Some(text) = read_beside(context, node.at, folder, &path) {
            match env_file::parse(&text, look) {
                Ok(found) => pairs.extend(found),
                Err((line, why)) => context.error(node.at, format!("{path}, line {line}: {why}")),
            }
        }
    }
    // What the including file knows goes before the included file's own defaults.
    let inner = |name: &str| {
        let own = || pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        look(name).or_else(own)
    };
    let mut whole: Option<Map> = None;
    for path in paths {
        let Some(text) = read_beside(context, node.at, folder, &path) else {
            continue;
        };
        let Some(path) = within(folder, &path) else { continue };
        let Some(mut part) = file(context, &path, &text, &inner, depth + 1) else {
            continue;
        };
        extend_all(context, &mut part, folder_of(&path), &inner);
        whole = Some(match whole {
            None => part,
            Some(base) => merge_files(base, part),
        });
    }
    for (key, part) in whole.unwrap_or_default() {
        if PARTS.contains(&key.text.as_str()) {
            add_part(context, model, key, part);
        }
    }
}

fn add_part(context: &Context<'_>, model: &mut Map, key: Key, part: Node) {
    let Value::Map(things) = part.value else { return };
    if find(model, &key.text).is_none() {
        let node = Node {
            at: part.at,
            value: Value::Map(Map::new()),
        };
        model.push((key.clone(), node));
    }
    let Some((_, own)) = model.iter_mut().find(|(own, _)| own.text == key.text) else {
        return;
    };
    if own.is_null() {
        own.value = Value::Map(Map::new());
    }
    let Value::Map(own) = &mut own.value else { return };
    for (name, thing) in things {
        match find(own, &name.text) {
            None => own.push((name, thing)),
            Some(mine) if mine.json() == thing.json() => {}
            Some(mine) => context.error(mine.at, format!("`{}` is in an included file too, and different", name.text)),
        }
    }
}

/// The text of a file beside; says what is wrong when there is none.
pub fn read_beside(context: &Context<'_>, at: At, folder: &str, path: &str) -> Option<String> {
    let Some(clean) = within(folder, path) else {
        context.error(at, format!("`{path}` leads out of the folder of the Compose file"));
        return None;
    };
    match context.ask.files.read(&clean) {
        Ok(Some(text)) => Some(text),
        Ok(None) if !context.ask.files.any() => {
            context.error(
                at,
                format!("`{path}` is a file, and this Compose file comes alone; take it from Git, or write the content here"),
            );
            None
        }
        Ok(None) => {
            context.error(at, format!("there is no file `{clean}`"));
            None
        }
        Err(why) => {
            context.error(at, format!("`{clean}`: {why}"));
            None
        }
    }
}

/// Paths in a file of another folder, as seen from the top.
fn rebase(model: &mut Map, folder: &str) {
    if folder.is_empty() {
        return;
    }
    let seen = |text: &mut String| {
        let is_here = text.starts_with("./") || text.starts_with("../") || text == "." || text == "..";
        if is_here && let Some(path) = within(folder, text) {
            *text = format!("./{path}");
        }
    };
    let plain = |text: &mut String| {
        if let Some(path) = within(folder, text) {
            *text = format!("./{path}");
        }
    };
    let each = |node: &mut Node, change: &dyn Fn(&mut String)| match &mut node.value {
        Value::Text { text, .. } => change(text),
        Value::List(list) => {
            for node in list {
                match &mut node.value {
                    Value::Text { text, .. } => change(text),
                    Value::Map(map) => {
                        for (key, node) in map {
                            if let (true, Value::Text { text, .. }) = (matches!(key.text.as_str(), "path" | "source"), &mut node.value) {
                                change(text);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    };
    for (part, node) in model.iter_mut() {
        let Value::Map(things) = &mut node.value else { continue };
        for (_, thing) in things {
            let Value::Map(keys) = &mut thing.value else { continue };
            for (key, node) in keys {
                match (part.text.as_str(), key.text.as_str()) {
                    ("configs" | "secrets", "file") | ("services", "env_file" | "label_file") => each(node, &plain),
                    ("services", "volumes") => each(node, &seen),
                    ("services", "build") => match &mut node.value {
                        Value::Map(build) => {
                            for (key, node) in build {
                                if key.text == "context" {
                                    each(node, &plain);
                                }
                            }
                        }
                        _ => each(node, &plain),
                    },
                    ("services", "extends") => {
                        if let Value::Map(extends) = &mut node.value {
                            for (key, node) in extends {
                                if key.text == "file" {
                                    each(node, &plain);
                                }
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Resolves `extends` of every service. Paths are seen from the top already.
fn extend_all(context: &Context<'_>, model: &mut Map, _folder: &str, look: Look<'_>) {
    let names: Vec<String> = match find(model, "services").and_then(Node::map) {
        Some(services) => services.iter().map(|(key, _)| key.text.clone()).collect(),
        None => return,
    };
    for name in names {
        let Some(whole) = extended(context, model, &name, look, &mut Vec::new()) else {
            continue;
        };
        if let Some((
            _,
            Node {
                value: Value::Map(services),
                ..
            },
        )) = model.iter_mut().find(|(key, _)| key.text == "services")
            && let Some((_, service)) = services.iter_mut().find(|(key, _)| key.text == name)
        {
            *service = whole;
        }
    }
}

/// A service with what it extends. `above` are those that lead here.
fn extended(context: &Context<'_>, model: &Map, name: &str, look: Look<'_>, above: &mut Vec<String>) -> Option<Node> {
    let service = find(model, "services")?.get(name)?.clone();
    let Some(extends) = service.get("extends").cloned() else {
        return Some(service);
    };
    let mut own = service;
    if let Value::Map(map) = &mut own.value {
        map.retain(|(key, _)| key.text != "extends");
    }
    let (path, other) = match &extends.value {
        Value::Text { text, .. } => (None, Some(text.clone())),
        Value::Map(map) => {
            let text = |key: &str| find(map, key).and_then(|node| context.text(key, node));
            (text("file"), text("service"))
        }
        _ => (None, None),
    };
    let Some(other) = other else {
        context.error(extends.at, "`extends` must name a service");
        return Some(own);
    };
    let step = format!("{}:{other}", path.as_deref().unwrap_or_default());
    if above.contains(&step) || above.len() >= MAX_DEPTH {
        context.error(extends.at, format!("`{name}` extends itself in a circle"));
        return Some(own);
    }
    above.push(step);
    let base = match path {
        None => extended(context, model, &other, look, above),
        Some(path) => {
            let text = read_beside(context, extends.at, "", &path)?;
            let path = within("", &path)?;
            let foreign = file(context, &path, &text, look, above.len())?;
            extended(context, &foreign, &other, look, above)
        }
    };
    match base {
        Some(base) => Some(merge_service(base, own)),
        None => {
            context.error(extends.at, format!("`{name}` extends `{other}`, which is not there"));
            Some(own)
        }
    }
}

/// Two files of one project: the second goes over the first.
fn merge_files(mut base: Map, over: Map) -> Map {
    for (key, node) in over {
        let merged = match find(&base, &key.text) {
            Some(old) if key.text == "services" => merge_parts(old.clone(), node, merge_service),
            Some(old) if PARTS.contains(&key.text.as_str()) => merge_parts(old.clone(), node, merge),
            _ => node,
        };
        put(&mut base, key, merged);
    }
    base
}

fn merge_parts(base: Node, over: Node, how: fn(Node, Node) -> Node) -> Node {
    match (base.value, over.value) {
        (Value::Map(mut map), Value::Map(over_map)) => {
            for (key, node) in over_map {
                let merged = match find(&map, &key.text) {
                    Some(old) => how(old.clone(), node),
                    None => node,
                };
                put(&mut map, key, merged);
            }
            Node {
                at: over.at,
                value: Value::Map(map),
            }
        }
        (value, Value::Null) => Node { at: base.at, value },
        (_, value) => Node { at: over.at, value },
    }
}

/// A service over the one that it extends: mappings by key, lists added, command lines replaced.
fn merge_service(base: Node, over: Node) -> Node {
    merge_keys(base, over, |key, base, over| match key {
        "command" | "entrypoint" => over,
        "environment" | "labels" | "annotations" | "sysctls" | "extra_hosts" => merge(as_map(base, "="), as_map(over, "=")),
        "depends_on" | "networks" => merge(as_map(base, ""), as_map(over, "")),
        "healthcheck" => merge_keys(base, over, |key, base, over| if key == "test" { over } else { merge(base, over) }),
        "build" => merge_keys(build(base), build(over), |key, base, over| match key {
            "args" | "labels" => merge(as_map(base, "="), as_map(over, "=")),
            _ => merge(base, over),
        }),
        _ => merge(base, over),
    })
}

fn merge_keys(base: Node, over: Node, how: impl Fn(&str, Node, Node) -> Node) -> Node {
    match (base.value, over.value) {
        (Value::Map(mut map), Value::Map(over_map)) => {
            for (key, node) in over_map {
                let merged = match find(&map, &key.text) {
                    Some(old) => how(&key.text, old.clone(), node),
                    None => node,
                };
                put(&mut map, key, merged);
            }
            Node {
                at: over.at,
                value: Value::Map(map),
            }
        }
        (value, Value::Null) => Node { at: base.at, value },
        (_, value) => Node { at: over.at, value },
    }
}

fn merge(base: Node, over: Node) -> Node {
    match (base.value, over.value) {
        (base_value @ Value::Map(_), over_value @ Value::Map(_)) => merge_keys(
            Node {
                at: base.at,
                value: base_value,
            },
            Node {
                at: over.at,
                value: over_value,
            },
            |_, base, over| merge(base, over),
        ),
        (Value::List(mut list), Value::List(more)) => {
            for node in more {
                if !list.iter().any(|old| old.json() == node.json()) {
                    list.push(node);
                }
            }
            Node {
                at: over.at,
                value: Value::List(list),
            }
        }
        (value, Value::Null) => Node { at: base.at, value },
        (_, value) => Node { at: over.at, value },
    }
}

/// `build: folder` in its long form.
fn build(node: Node) -> Node {
    let at = node.at;
    match node.value {
        Value::Text { .. } => {
            let key = Key {
                at,
                text: "context".into(),
            };
            Node {
                at,
                value: Value::Map(vec![(key, node)]),
            }
        }
        value => Node { at, value },
    }
}

/// A list of `KEY=value` (or of names, with an empty sign) as the mapping that it means.
fn as_map(node: Node, sign: &str) -> Node {
    let at = node.at;
    let Value::List(list) = node.value else { return node };
    let mut map = Map::new();
    for entry in list {
        let Value::Text { text, .. } = entry.value else { continue };
        let split = if sign.is_empty() { None } else { text.split_once(sign) };
        let (key, value) = match split {
            Some((key, value)) => (
                key.to_owned(),
                Value::Text {
                    text: value.to_owned(),
                    plain: false,
                },
            ),
            None => (text, Value::Null),
        };
        let key = Key { at: entry.at, text: key };
        put(&mut map, key, Node { at: entry.at, value });
    }
    Node {
        at,
        value: Value::Map(map),
    }
}

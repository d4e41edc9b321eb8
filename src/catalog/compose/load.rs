//! From the Compose file and those it includes and extends to one tree: values put in, paths seen from the top.
//! Source: the Compose Specification, "include", "extends", "Merge".

use super::{
    context::{Context, find},
    env_file,
    files::{folder_of, within},
    overlay::{merge_files, merge_service},
};
use crate::yaml::{self, At, Key, Map, Node, Value};

/// Files that include and extend each other at most so deep.
const MAX_DEPTH: usize = 10;
/// The parts of a file that hold named things.
pub const PARTS: [&str; 5] = ["services", "networks", "volumes", "configs", "secrets"];

type Look<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The whole file as one mapping, without `include` and `extends`; `path` is where it lies among the files. `None` when it is not even
/// YAML.
pub fn load(context: &Context<'_>, path: &str) -> Option<Map> {
    let one = One {
        path: "",
        folder: folder_of(path),
        text: context.ask.text,
    };
    let mut model = file(context, &one, context.ask.variable, 0)?;
    extend_all(context, &mut model, context.ask.variable);
    Some(model)
}

/// A file to read.
struct One<'a> {
    /// For messages; empty for the Compose file itself.
    path: &'a str,
    /// From which its paths go.
    folder: &'a str,
    text: &'a str,
}

/// Reads one file with what it includes.
fn file(context: &Context<'_>, one: &One<'_>, look: Look<'_>, depth: usize) -> Option<Map> {
    let number = context.enter(one.path);
    let text = one.text;
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
    rebase(&mut model, one.folder);
    if let Some(included) = find(&model, "include").cloned() {
        model.retain(|(key, _)| key.text != "include");
        if depth >= MAX_DEPTH {
            context.error(included.at, "files include each other too deeply");
        } else {
            for node in context.list("include", &included) {
                include(context, &mut model, node, one.folder, look, depth);
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
    let inside = match (&own_folder, paths.first()) {
        (Some(own), _) => within(folder, own),
        (None, Some(first)) => within(folder, first).map(|path| folder_of(&path).to_owned()),
        (None, None) => None,
    };
    let Some(inside) = inside else {
        let what = match own_folder {
            Some(own) => format!("`{own}` leads out of the folder of the Compose file"),
            None if paths.is_empty() => "`include` needs a `path`".to_owned(),
            None => format!("`{}` leads out of the folder of the Compose file", paths[0]),
        };
        return context.error(node.at, what);
    };
    let mut pairs = Vec::new();
    for path in &env {
        if let Some(text) = read_beside(context, node.at, folder, path) {
            pairs.extend(env_pairs(context, node.at, path, &text, look));
        }
    }
    if env.is_empty() {
        pairs.extend(usual_env(context, &inside, look));
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
        let one = One {
            path: &path,
            folder: &inside,
            text: &text,
        };
        let Some(mut part) = file(context, &one, &inner, depth + 1) else {
            continue;
        };
        extend_all(context, &mut part, &inner);
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

/// The pairs of an env file; says what is wrong with it.
fn env_pairs(context: &Context<'_>, at: At, path: &str, text: &str, look: Look<'_>) -> Vec<(String, String)> {
    env_file::parse(text, look).unwrap_or_else(|(line, why)| {
        context.error(at, format!("{path}, line {line}: {why}"));
        Vec::new()
    })
}

/// What `.env` of a folder gives, where there is one.
pub fn usual_env(context: &Context<'_>, folder: &str, look: Look<'_>) -> Vec<(String, String)> {
    let path = within(folder, ".env").unwrap_or_default();
    match context.ask.files.read(&path) {
        Ok(Some(text)) => env_pairs(context, At::default(), &path, &text, look),
        Ok(None) => Vec::new(),
        Err(why) => {
            context.error(At::default(), format!("{path}: {why}"));
            Vec::new()
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
        // An address is refused where it is read.
        if text.contains("://") || text.starts_with("git@") {
            return;
        }
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
fn extend_all(context: &Context<'_>, model: &mut Map, look: Look<'_>) {
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
            let one = One {
                path: &path,
                folder: folder_of(&path),
                text: &text,
            };
            let foreign = file(context, &one, look, above.len())?;
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

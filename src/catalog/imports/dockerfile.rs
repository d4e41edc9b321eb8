//! A Dockerfile of a few lines as what it means to a service.

use super::{
    draft::Draft,
    keys,
    write::{key, list, node, text},
};
use crate::{
    compose::words,
    yaml::{Map, Node, Value},
};

/// A Dockerfile that only changes how an image starts is that image with these settings.
pub fn dockerfile(draft: &mut Draft, name: &str, lines: &[String], kept: &mut Map) {
    let joined = lines.join("\n").replace("\\\n", " ");
    for line in joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "FROM" if !kept.iter().any(|(key, _)| key.text == "image") => {
                let image = rest.split_whitespace().find(|word| !word.starts_with("--")).unwrap_or_default();
                kept.push((key("image"), text(image)));
            }
            "CMD" | "ENTRYPOINT" => {
                let own = if word.eq_ignore_ascii_case("CMD") {
                    "command"
                } else {
                    "entrypoint"
                };
                let node = match serde_json::from_str::<Vec<String>>(rest) {
                    Ok(words) => list(words.into_iter().map(text)),
                    Err(_) => list([text("/bin/sh"), text("-c"), text(rest)]),
                };
                crate::compose::put(kept, key(own), node);
            }
            "ENV" => env(rest, kept),
            "WORKDIR" => crate::compose::put(kept, key("working_dir"), text(rest)),
            "USER" => crate::compose::put(kept, key("user"), text(rest)),
            "EXPOSE" | "LABEL" | "MAINTAINER" | "VOLUME" | "ARG" => {}
            other => {
                return draft.problem(format!(
                    "`{name}` is built from a Dockerfile with {other}, which a template cannot do"
                ));
            }
        }
    }
}

/// `ENV A=1 B=2` or `ENV A 1`.
fn env(rest: &str, kept: &mut Map) {
    let pairs: Vec<(String, String)> = match words(rest) {
        Ok(words) if words.iter().all(|word| word.contains('=')) => words
            .iter()
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        _ => rest
            .split_once(char::is_whitespace)
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .into_iter()
            .collect(),
    };
    if !kept.iter().any(|(key, node)| key.text == "environment" && node.map().is_some()) {
        kept.insert(0, (key("environment"), node(Value::Map(Map::new()))));
    }
    for (own, node) in kept {
        if let ("environment", Value::Map(map)) = (own.text.as_str(), &mut node.value) {
            for (name, value) in &pairs {
                if !map.iter().any(|(own, _)| own.text == *name) {
                    map.push((key(name), text(value)));
                }
            }
        }
    }
}

/// `environment`, over what a Dockerfile sets.
pub fn over(kept: &mut Map, node: Node) {
    let node = keys::environment(node);
    match (kept.iter_mut().find(|(key, _)| key.text == "environment"), &node.value) {
        (
            Some((
                _,
                Node {
                    value: Value::Map(own), ..
                },
            )),
            Value::Map(more),
        ) => {
            for (key, node) in more {
                crate::compose::put(own, key.clone(), node.clone());
            }
        }
        (Some((_, own)), _) => *own = node,
        (None, _) => kept.push((key("environment"), node)),
    }
}

//! One mapping over another: a file over a file, a service over the one that it extends.
//! Source: the Compose Specification, "Merge" and "extends".

use super::{
    context::{find, put},
    load::PARTS,
};
use crate::yaml::{Key, Map, Node, Value};

/// Two files of one project: the second goes over the first.
pub fn merge_files(mut base: Map, over: Map) -> Map {
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
    merge_keys(base, over, |_, base, over| how(base, over))
}

/// A service over the one that it extends: mappings by key, lists added, command lines replaced.
pub fn merge_service(base: Node, over: Node) -> Node {
    merge_keys(base, over, |key, base, over| match key {
        "command" | "entrypoint" => over,
        "extra_hosts" => merge(as_map(base, "=:"), as_map(over, "=:")),
        "environment" | "labels" | "annotations" | "sysctls" => merge(as_map(base, "="), as_map(over, "=")),
        "dns" | "dns_search" | "dns_opt" | "env_file" | "label_file" | "tmpfs" => merge(as_list(base), as_list(over)),
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

/// One text, or one mapping of a long form, as the list that it may be.
fn as_list(node: Node) -> Node {
    match node.value {
        Value::Text { .. } | Value::Map(_) => Node {
            at: node.at,
            value: Value::List(vec![node]),
        },
        _ => node,
    }
}

/// A list of `KEY=value` (or of names, with no signs) as the mapping that it means. Of the signs, the first that is there counts.
fn as_map(node: Node, signs: &str) -> Node {
    let at = node.at;
    let Value::List(list) = node.value else { return node };
    let mut map = Map::new();
    for entry in list {
        let Value::Text { text, .. } = entry.value else { continue };
        let split = signs.chars().find_map(|sign| text.split_once(sign));
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

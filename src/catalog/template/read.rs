//! `template.yaml` to a [`Template`], with the line of what does not fit.

use super::Template;
use crate::yaml::{self, Node, Value};
use serde_path_to_error::{Path, Segment};
use types::Notice;

/// Reads the text of a `template.yaml`. Only the shape is checked here; the rules are [`super::check`]'s.
pub fn read(text: &str) -> Result<Template, Notice> {
    let node = yaml::parse(text, 0)?;
    serde_path_to_error::deserialize(node.json()).map_err(|error| {
        let path = error.path();
        let why = error.inner().to_string();
        let shown = path.to_string();
        Notice {
            line: line_of(&node, path, &why),
            file: String::new(),
            what: if shown == "." { why } else { format!("{shown}: {why}") },
        }
    })
}

/// 2 to 40 of a-z, 0-9 and -, with no - at the front: what a template may be called, in a path too.
pub fn is_name(name: &str) -> bool {
    (2..=40).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) && !name.starts_with('-')
}

/// The line of the value at `path`, or of the last one above it that is there; of a key, where `why` names one.
fn line_of(node: &Node, path: &Path, why: &str) -> u32 {
    let mut here = node;
    for segment in path.iter() {
        let next = match (segment, &here.value) {
            (Segment::Map { key }, Value::Map(_)) => here.get(key),
            (Segment::Seq { index }, Value::List(list)) => list.get(*index),
            _ => None,
        };
        match next {
            Some(next) => here = next,
            None => break,
        }
    }
    let unknown = why.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let key = unknown.and_then(|name| here.map()?.iter().find(|(key, _)| key.text == name));
    key.map_or(here.at.line, |(key, _)| key.at.line)
}

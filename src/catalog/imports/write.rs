//! A tree as YAML that a person can read and change: blocks, quotes only where they are needed, long texts as they are.

use crate::yaml::{At, Key, Map, Node, Value};

pub fn text(text: impl Into<String>) -> Node {
    node(Value::Text {
        text: text.into(),
        plain: false,
    })
}

/// A number or a boolean.
pub fn plain(value: impl ToString) -> Node {
    node(Value::Text {
        text: value.to_string(),
        plain: true,
    })
}

pub fn list(nodes: impl IntoIterator<Item = Node>) -> Node {
    node(Value::List(nodes.into_iter().collect()))
}

pub fn map<'a>(pairs: impl IntoIterator<Item = (&'a str, Node)>) -> Node {
    node(Value::Map(pairs.into_iter().map(|(name, node)| (key(name), node)).collect()))
}

pub fn node(value: Value) -> Node {
    Node { at: At::default(), value }
}

pub fn key(text: &str) -> Key {
    Key {
        at: At::default(),
        text: text.to_owned(),
    }
}

/// A mapping as a file.
pub fn yaml(map: &Map) -> String {
    let mut out = String::new();
    block_map(map, 0, &mut out);
    if out.is_empty() { "{}\n".to_owned() } else { out }
}

fn block_map(map: &Map, indent: usize, out: &mut String) {
    for (key, node) in map {
        out.push_str(&" ".repeat(indent));
        out.push_str(&scalar(&key.text, false));
        out.push(':');
        value(node, indent + 2, out);
    }
}

/// What follows `key:`, with the end of its line.
fn value(node: &Node, indent: usize, out: &mut String) {
    match &node.value {
        Value::Null => out.push('\n'),
        Value::Map(map) if !map.is_empty() => {
            out.push('\n');
            block_map(map, indent, out);
        }
        Value::List(nodes) if !nodes.is_empty() => {
            out.push('\n');
            block_list(nodes, indent, out);
        }
        _ => {
            out.push(' ');
            inline(node, indent, out);
        }
    }
}

fn block_list(nodes: &[Node], indent: usize, out: &mut String) {
    for node in nodes {
        out.push_str(&" ".repeat(indent));
        out.push('-');
        match &node.value {
            Value::Map(map) if !map.is_empty() => {
                let mut inner = String::new();
                block_map(map, indent + 2, &mut inner);
                out.push(' ');
                out.push_str(inner.trim_start_matches(' '));
            }
            _ => value(node, indent + 2, out),
        }
    }
}

/// A scalar or something empty.
fn inline(node: &Node, indent: usize, out: &mut String) {
    match &node.value {
        Value::Null => out.push('~'),
        Value::Map(_) => out.push_str("{}"),
        Value::List(_) => out.push_str("[]"),
        Value::Text { text, .. } if is_block(text) => return block(text, indent, out),
        Value::Text { text, plain } => out.push_str(&scalar(text, *plain)),
    }
    out.push('\n');
}

/// Whether a text of several lines can stand as it is.
fn is_block(text: &str) -> bool {
    let prints = |letter: char| matches!(letter, '\n' | '\t' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{2030}'..='\u{d7ff}' | '\u{1f000}'..='\u{1faff}');
    let first = text.chars().next();
    text.trim_end_matches('\n').contains('\n') && text.chars().all(prints) && !matches!(first, Some(' ' | '\t' | '\n'))
}

fn block(text: &str, indent: usize, out: &mut String) {
    let trimmed = text.trim_end_matches('\n');
    let ends = text.len() - trimmed.len();
    out.push_str(match ends {
        0 => "|-\n",
        1 => "|\n",
        _ => "|+\n",
    });
    let lines = trimmed.split('\n').chain(std::iter::repeat_n("", ends.saturating_sub(1)));
    for line in lines {
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// On one line; `plain`: what it means may depend on having no quotes.
fn scalar(text: &str, plain: bool) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_./@+-:, ()=;".contains(letter);
    let fits = text.starts_with(|first: char| first.is_ascii_alphanumeric() || matches!(first, '/' | '.' | '_'))
        && text.chars().all(is_word)
        && !text.contains(": ")
        && !text.ends_with([':', ' ']);
    let lower = text.to_ascii_lowercase();
    let is_typed = matches!(lower.as_str(), "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n")
        || text.starts_with(|first: char| first.is_ascii_digit() || first == '.')
            && text
                .chars()
                .all(|letter| letter.is_ascii_hexdigit() || "_.xoXO+-:".contains(letter));
    if fits && (plain || !is_typed) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{2030}'..='\u{d7ff}' => out.push(letter),
            _ => out.push_str(&format!("\\U{:08X}", u32::from(letter))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;
    use proptest::prelude::*;

    /// As texts: what a plain scalar is taken for does not count.
    fn shape(node: &Node) -> String {
        match &node.value {
            Value::Null => "~".into(),
            Value::Text { text, .. } => format!("{text:?}"),
            Value::List(nodes) => format!("[{}]", nodes.iter().map(shape).collect::<Vec<_>>().join(",")),
            Value::Map(map) => {
                let pairs: Vec<String> = map.iter().map(|(key, node)| format!("{:?}:{}", key.text, shape(node))).collect();
                format!("{{{}}}", pairs.join(","))
            }
        }
    }

    #[test]
    fn it_looks_as_a_person_would_write_it() {
        let tree = map([
            ("image", text("web:1.2.3")),
            ("port", plain(80)),
            ("text", text("80")),
            (
                "command",
                list([
                    text("a b"),
                    text("x: y"),
                    list([text("z")]),
                    map([("k", text("v")), ("l", list([]))]),
                ]),
            ),
            ("content", text("one\n  two\n\nthree\n")),
            ("value", text("{{ password }}")),
            ("nothing", node(Value::Null)),
        ]);
        let written = yaml(tree.map().expect("a mapping"));
        assert_eq!(
            written,
            "image: web:1.2.3\nport: 80\ntext: \"80\"\ncommand:\n  - a b\n  - \"x: y\"\n  -\n    - z\n  - k: v\n    l: []\ncontent: |\n  one\n    two\n\n  three\nvalue: \"{{ password }}\"\nnothing:\n"
        );
        assert_eq!(shape(&parse(&written, 0).expect("YAML")), shape(&tree));
    }

    fn tree() -> impl Strategy<Value = Node> {
        let texts =
            "(?s).{0,20}|[a-z0-9:#\\-\n '\"{}\\[\\]|>&*!%@`,?.~]{0,24}|true|null|~|1e3|0x1f|- a|a: b|\n\n| a\n b\n|a\n\n|2026-01-01|<<|=";
        let leaf = prop_oneof![texts.prop_map(text), Just(node(Value::Null)), any::<i32>().prop_map(plain)];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let pairs = proptest::collection::btree_map("[a-z]{1,4}|(?s).{0,6}|<|- |y|1", inner.clone(), 0..4);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(list),
                pairs.prop_map(|pairs| node(Value::Map(pairs.into_iter().map(|(name, node)| (key(&name), node)).collect())))
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(inner in tree()) {
            let tree = map([("a", inner)]);
            let written = yaml(tree.map().expect("a mapping"));
            let read = parse(&written, 0).map_err(|notice| TestCaseError::fail(format!("{notice}\n{written}")))?;
            prop_assert_eq!(shape(&read), shape(&tree), "{}", written);
        }
    }
}

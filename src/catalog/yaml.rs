//! YAML as a tree in which every value knows its line. Anchors, aliases and merge keys are resolved here.
//!
//! saphyr-parser reads the syntax (YAML 1.2). The tree is our own because the types of a Compose file are decided by
//! the key a scalar stands under, not by how it looks: `8080:80`, `1.10` and `on` stay the text that was written.

use crate::merge::unsettled;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::collections::{HashMap, HashSet};
use types::Notice;

/// No file that a person writes is larger.
const MAX_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 64;
/// Aliases multiply; this many values are more than any file needs.
const MAX_NODES: usize = 100_000;
/// As many brackets may stand too far left; each takes another look at the whole text.
const MAX_BRACKETS: usize = 64;
/// Columns, more than people nest.
const DEEPER: usize = 80;
/// What the parser says of a line that stands too far left.
const OUTDENTED: &str = "not YAML: invalid indentation";

/// Where something stands: the number of its file, and its line from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    pub file: u16,
    pub line: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub at: At,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    /// `plain`: written without quotes, so it may mean a number or a boolean.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Map),
}

/// In the order of the file; keys are unique.
pub type Map = Vec<(Key, Node)>;

#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub at: At,
    pub text: String,
}

impl Node {
    pub fn map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }
    pub fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text { text, .. } => Some(text),
            _ => None,
        }
    }
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.iter().find(|(own, _)| own.text == key).map(|(_, node)| node)
    }
    /// "a list", for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Text { .. } => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
    /// The same as JSON, with plain scalars as what YAML's core schema takes them for.
    pub fn json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Text { text, plain: false } => Json::String(text.clone()),
            Value::Text { text, plain: true } => match text.as_str() {
                "true" => Json::Bool(true),
                "false" => Json::Bool(false),
                text => text
                    .parse::<i64>()
                    .map(Json::from)
                    .or_else(|_| text.parse::<f64>().map(Json::from).map_err(|_| ()))
                    .ok()
                    .filter(|number| number.is_number())
                    .unwrap_or_else(|| Json::String(text.to_owned())),
            },
            Value::List(list) => Json::Array(list.iter().map(Node::json).collect()),
            Value::Map(map) => Json::Object(map.iter().map(|(key, node)| (key.text.clone(), node.json())).collect()),
        }
    }
}

/// Reads the one document in `text`; `file` is put into every place. An empty document is `Null`.
pub fn parse(text: &str, file: u16) -> Result<Node, Notice> {
    if text.len() > MAX_BYTES {
        return Err(notice(0, "it is larger than 1 MiB"));
    }
    if let Some(line) = unsettled(text) {
        return Err(notice(
            line,
            "a conflict is not settled: keep what should be, and take out the lines of <<<<<<<, ======= and >>>>>>>",
        ));
    }
    let mut moved: Option<String> = None;
    for _ in 0..MAX_BRACKETS {
        match tree(moved.as_deref().unwrap_or(text), file) {
            Err(error) if error.what == OUTDENTED => match bracket_moved(moved.as_deref().unwrap_or(text), error.line) {
                Some(better) => moved = Some(better),
                None => return Err(error),
            },
            read => return read,
        }
    }
    tree(moved.as_deref().unwrap_or(text), file)
}

/// The text with this line further in, if a bracket that ends a list or mapping stands first in it. Below its key, or left of it, is where
/// YAML 1.2 wants none and people put it; Docker's reader takes it there. Lines keep their numbers.
fn bracket_moved(text: &str, line: u32) -> Option<String> {
    let number = usize::try_from(line).ok()?.checked_sub(1)?;
    let at: usize = text.split_inclusive('\n').take(number).map(str::len).sum();
    let (before, after) = text.split_at(at);
    after
        .trim_start_matches(' ')
        .starts_with([']', '}'])
        .then(|| format!("{before}{}{after}", " ".repeat(DEEPER)))
}

fn tree(text: &str, file: u16) -> Result<Node, Notice> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
        file,
    };
    let mut document = None;
    loop {
        match reader.next()? {
            (Event::DocumentStart(_), span) if document.is_some() => {
                return Err(notice(line(span), "a second document begins here; only one is read"));
            }
            (Event::DocumentStart(_), _) => {
                let first = reader.next()?;
                document = Some(reader.node(first, 0)?);
            }
            (Event::StreamEnd, span) => {
                let at = At { file, line: line(span) };
                return Ok(document.unwrap_or(Node { at, value: Value::Null }));
            }
            _ => {}
        }
    }
}

fn notice(line: u32, what: impl Into<String>) -> Notice {
    Notice {
        line,
        file: String::new(),
        what: what.into(),
    }
}

fn line(span: Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

struct Reader<E> {
    events: E,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    file: u16,
}

impl<'t, E: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> Reader<E> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Notice> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
                Err(notice(line, format!("not YAML: {}", error.info())))
            }
            None => Err(notice(0, "not YAML: it ends too early")),
        }
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Notice> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            return Err(notice(line(span), "too many values; do aliases repeat each other?"));
        }
        Ok(())
    }

    fn node(&mut self, (event, span): (Event<'t>, Span), depth: usize) -> Result<Node, Notice> {
        self.count(1, span)?;
        if depth > MAX_DEPTH {
            return Err(notice(line(span), "nested too deeply"));
        }
        let at = At {
            file: self.file,
            line: line(span),
        };
        let (value, anchor, tag) = match event {
            Event::Alias(id) => {
                let found = self.anchors.get(&id).cloned();
                let node = found.ok_or_else(|| notice(at.line, "this alias names something that is not complete here"))?;
                self.count(size(&node), span)?;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                (scalar(&text, plain), anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => (self.list(depth)?, anchor, tag),
            Event::MappingStart(anchor, tag) => (self.mapping(depth)?, anchor, tag),
            _ => return Err(notice(at.line, "not YAML: a value is missing")),
        };
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            return Err(notice(at.line, format!("the tag `{tag}` is not supported")));
        }
        let node = Node { at, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Notice> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(list)),
                event => list.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Notice> {
        let (mut map, mut merged, mut seen) = (Map::new(), Vec::new(), HashSet::new());
        loop {
            let event = match self.next()? {
                (Event::MappingEnd, _) => break,
                event => event,
            };
            let is_merge = matches!(&event.0, Event::Scalar(text, ScalarStyle::Plain, _, _) if text == "<<");
            let key = self.node(event, depth + 1)?;
            let text = match &key.value {
                Value::Text { text, .. } => text.clone(),
                Value::Null => "null".to_owned(),
                _ => {
                    return Err(notice(
                        key.at.line,
                        "a key must be a text; write values with {{ }} in double quotes",
                    ));
                }
            };
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            if is_merge {
                merged.push(value);
            } else if seen.insert(text.clone()) {
                map.push((Key { at: key.at, text }, value));
            } else {
                return Err(notice(key.at.line, format!("the key `{text}` is here twice")));
            }
        }
        for node in merged {
            merge(&mut map, node)?;
        }
        Ok(Value::Map(map))
    }
}

/// Adds what a merge key names, where the mapping does not say it itself. Of a list, the first wins.
fn merge(map: &mut Map, node: Node) -> Result<(), Notice> {
    let at = node.at;
    let parts = match node.value {
        Value::Map(part) => vec![part],
        Value::List(list) => {
            let part = |node: Node| match node.value {
                Value::Map(map) => Ok(map),
                _ => Err(notice(node.at.line, "`<<` takes mappings")),
            };
            list.into_iter().map(part).collect::<Result<_, _>>()?
        }
        _ => return Err(notice(at.line, "`<<` takes a mapping or a list of mappings")),
    };
    for (key, value) in parts.into_iter().flatten() {
        if !map.iter().any(|(own, _)| own.text == key.text) {
            map.push((key, value));
        }
    }
    Ok(())
}

fn scalar(text: &str, plain: bool) -> Value {
    if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    Value::Text {
        text: text.to_owned(),
        plain,
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(list) => list.iter().map(size).sum(),
        Value::Map(map) => map.iter().map(|(_, node)| 1 + size(node)).sum::<usize>(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(text: &str, expected: serde_json::Value) {
        assert_eq!(parse(text, 0).map(|node| node.json()), Ok(expected), "{text}");
    }

    fn refused(text: &str, line: u32, words: &str) {
        let error = parse(text, 0).expect_err(text);
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.what.contains(words), "{text}: {error}");
    }

    #[test]
    fn scalars_and_anchors() {
        check(
            "a: 1\nb: '1'\nc: 1.10\nd: on\ne:\nf: ~\ng: true",
            json!({"a": 1, "b": "1", "c": 1.1, "d": "on", "e": null, "f": null, "g": true}),
        );
        check(
            "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3",
            json!({"x": {"a": 1, "b": 2}, "y": {"b": 3, "a": 1}}),
        );
        check(
            "a: &a {k: 1}\nb: &b {k: 2, l: 3}\nc:\n  <<: [*a, *b]",
            json!({"a": {"k": 1}, "b": {"k": 2, "l": 3}, "c": {"k": 1, "l": 3}}),
        );
        check("- &a x\n- *a", json!(["x", "x"]));
        check("", json!(null));
        check(
            "a: |\n  one\n  two\nb: >-\n  one\n  two",
            json!({"a": "one\ntwo\n", "b": "one two"}),
        );
        check("'<<': 1", json!({"<<": 1}));
        check("a: .inf\nb: nan", json!({"a": ".inf", "b": "nan"}));
    }

    #[test]
    fn what_is_refused() {
        refused("a: 1\nb: 2\na: 3", 3, "twice");
        refused("a: [1, 2", 2, "not YAML");
        refused("a: 1\n---\nb: 2", 2, "second document");
        refused("a: &a\n  b: *a", 2, "not complete");
        refused("a: !reset null", 1, "tag");
        refused("a: {{ x }}", 1, "double quotes");
        refused("a:\n  <<: 3", 2, "takes a mapping");
        refused(&"[".repeat(200), 1, "");
    }

    /// As in files that Docker's reader takes.
    #[test]
    fn brackets_may_stand_below_their_key() {
        let expected = json!({"a": {"test": ["CMD", "x"], "of": {"k": "v"}, "rest": "]"}});
        for text in [
            "a:\n  test: [\n    \"CMD\",\n    \"x\"\n  ]\n  of: {\n    \"k\": \"v\"\n  }\n  rest: ']'",
            "a:\n  test: [\n    \"CMD\", \"x\"\n]\n  of: {\n    \"k\": \"v\"\n }\n  rest: ']'",
        ] {
            check(text, expected.clone());
        }
        // Text in a block stays as it is.
        check(
            "a:\n  b: [\n    \"x\"\n  ]\n  c: |\n    {\n    }\n    [\n    ]\n",
            json!({"a": {"b": ["x"], "c": "{\n}\n[\n]\n"}}),
        );
        let node = parse("a:\n  b: [\n    \"x\"\n  ]\n  c: 1", 0).expect("YAML");
        assert_eq!(node.get("a").and_then(|a| a.get("c")).map(|c| c.at.line), Some(5));
        refused("a:\n  b: [\n    \"x\"\n  ] ]\n", 4, "not YAML");
        refused(&format!("a:\n{}", "  b: [\n    \"x\"\n  ]\n".repeat(2)), 5, "twice");
        let many: String = (0..=MAX_BRACKETS)
            .map(|number| format!("  b{number}: [\n    \"x\"\n  ]\n"))
            .collect();
        refused(
            &format!("a:\n{many}"),
            u32::try_from(1 + 3 * (MAX_BRACKETS + 1)).expect("small"),
            "invalid indentation",
        );
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let mut text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(",")));
        }
        let error = parse(&text, 0).expect_err("a bomb");
        assert!(error.what.contains("too many values"), "{error}");
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let node = parse("a: 1\n\nb:\n  - x\n  - y", 3).expect("YAML");
        let y = &node.get("b").and_then(Node::list).expect("a list")[1];
        assert_eq!(y.at, At { file: 3, line: 5 });
    }
}

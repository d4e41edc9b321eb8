//! What reading a Compose file is about: what was asked, what was found wrong so far, and how single values are read.
//! A problem does not end the reading, so that a person sees all of them at once.

use super::{Ask, values};
use crate::{
    expand::{Scope, expand},
    yaml::{At, Key, Map, Node, Value},
};
use std::{cell::RefCell, collections::BTreeSet};
use types::{HostRight, Notice};

pub struct Context<'a> {
    pub ask: &'a Ask<'a>,
    /// By the number in [`At`]; the first is the Compose file itself and has no name.
    files: RefCell<Vec<String>>,
    pub problems: RefCell<Vec<Notice>>,
    pub hints: RefCell<Vec<Notice>>,
    pub rights: RefCell<Vec<HostRight>>,
}

impl<'a> Context<'a> {
    pub fn new(ask: &'a Ask<'a>) -> Context<'a> {
        Context {
            ask,
            files: RefCell::default(),
            problems: RefCell::default(),
            hints: RefCell::default(),
            rights: RefCell::default(),
        }
    }

    /// The number of a file that is read now.
    pub fn enter(&self, name: &str) -> u16 {
        let mut files = self.files.borrow_mut();
        files.push(name.to_owned());
        u16::try_from(files.len() - 1).unwrap_or(u16::MAX)
    }

    fn notice(&self, at: At, what: String) -> Notice {
        Notice {
            line: at.line,
            file: self.files.borrow().get(usize::from(at.file)).cloned().unwrap_or_default(),
            what,
        }
    }

    pub fn error(&self, at: At, what: impl Into<String>) {
        let notice = self.notice(at, what.into());
        self.problems.borrow_mut().push(notice);
    }

    /// Whether something on this line was found wrong already.
    pub fn is_wrong(&self, at: At) -> bool {
        let here = self.notice(at, String::new());
        let problems = self.problems.borrow();
        problems
            .iter()
            .any(|problem| (problem.line, &problem.file) == (here.line, &here.file))
    }

    pub fn hint(&self, at: At, what: impl Into<String>) {
        let notice = self.notice(at, what.into());
        self.hints.borrow_mut().push(notice);
    }

    pub fn right(&self, at: At, service: &str, right: &'static str, what: impl Into<String>) {
        self.rights.borrow_mut().push(HostRight {
            service: service.to_owned(),
            right,
            what: what.into(),
            line: at.line,
        });
    }

    /// Puts values in place of `$…` and `{{ … }}` in every scalar below `node`.
    pub fn expand(&self, node: &mut Node, variable: &dyn Fn(&str) -> Option<String>) {
        match &mut node.value {
            Value::Null => {}
            Value::Text { text, .. } => {
                let unset = RefCell::new(Vec::new());
                let scope = Scope {
                    variable,
                    template: self.ask.template,
                    unset: &unset,
                };
                match expand(text, &scope) {
                    Ok(expanded) => *text = expanded,
                    Err(why) => {
                        self.error(node.at, why);
                        // What is left of it would be found wrong once more, in words about what nobody wrote.
                        node.value = Value::Null;
                    }
                }
                for name in unset.into_inner().into_iter().collect::<BTreeSet<_>>() {
                    self.hint(node.at, format!("the variable {name} is not set; it stands for nothing"));
                }
            }
            Value::List(list) => list.iter_mut().for_each(|node| self.expand(node, variable)),
            Value::Map(map) => {
                for (key, node) in map {
                    if self.ask.template.is_some() && key.text.contains("{{") {
                        self.error(key.at, "{{ }} is for values, not for keys");
                    }
                    self.expand(node, variable);
                }
            }
        }
    }

    pub fn map<'n>(&self, name: &str, node: &'n Node) -> &'n [(Key, Node)] {
        match &node.value {
            Value::Map(map) => map,
            Value::Null => &[],
            _ => {
                self.error(node.at, format!("`{name}` takes a mapping, not {}", node.kind()));
                &[]
            }
        }
    }

    pub fn list<'n>(&self, name: &str, node: &'n Node) -> &'n [Node] {
        match &node.value {
            Value::List(list) => list,
            Value::Null => &[],
            _ => {
                self.error(node.at, format!("`{name}` takes a list, not {}", node.kind()));
                &[]
            }
        }
    }

    pub fn text(&self, name: &str, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text { text, .. } => Some(text.clone()),
            Value::Null => None,
            _ => {
                self.error(node.at, format!("`{name}` takes a text, not {}", node.kind()));
                None
            }
        }
    }

    /// A text that `parse` understands.
    pub fn parsed<T>(&self, name: &str, node: &Node, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name, node)?;
        parse(&text).map_err(|why| self.error(node.at, format!("{name}: {why}"))).ok()
    }

    pub fn number<T: std::str::FromStr>(&self, name: &str, node: &Node) -> Option<T> {
        self.parsed(name, node, |text| {
            text.trim().parse().map_err(|_| format!("`{text}` is not a number that fits here"))
        })
    }

    pub fn flag(&self, name: &str, node: &Node) -> Option<bool> {
        self.parsed(name, node, values::boolean)
    }

    /// A list of texts, or one text.
    pub fn texts(&self, name: &str, node: &Node) -> Vec<String> {
        if let Value::Text { text, .. } = &node.value {
            return vec![text.clone()];
        }
        self.list(name, node).iter().filter_map(|node| self.text(name, node)).collect()
    }

    /// A command line as a text or a list; an empty one means none at all.
    pub fn command(&self, name: &str, node: &Node) -> Option<Vec<String>> {
        match &node.value {
            Value::Null => None,
            Value::Text { text, .. } => values::words(text)
                .map_err(|why| self.error(node.at, format!("{name}: {why}")))
                .ok(),
            _ => Some(self.texts(name, node)),
        }
    }

    /// `KEY: value` or a list of `KEY=value`; without a value it is `None`.
    pub fn pairs(&self, name: &str, node: &Node) -> Vec<(String, Option<String>)> {
        if let Value::Map(map) = &node.value {
            return map.iter().map(|(key, node)| (key.text.clone(), self.text(name, node))).collect();
        }
        let split = |text: String| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (text, None),
        };
        self.list(name, node)
            .iter()
            .filter_map(|node| self.text(name, node).map(split))
            .collect()
    }

    /// Says of every key in `map` that is not in `known` that it is not, and what may be meant.
    pub fn unknown(&self, what: &str, key: &Key, known: &[&str]) {
        if key.text.starts_with("x-") {
            return;
        }
        let near = known
            .iter()
            .map(|name| (strsim::normalized_damerau_levenshtein(name, &key.text), name))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|one, other| one.0.total_cmp(&other.0));
        let meant = near.map(|(_, name)| format!("; `{name}` is meant?")).unwrap_or_default();
        self.error(key.at, format!("{what} has no key `{}`{meant}", key.text));
    }
}

/// The value of a key, or `None`.
pub fn find<'n>(map: &'n [(Key, Node)], key: &str) -> Option<&'n Node> {
    map.iter().find(|(own, _)| own.text == key).map(|(_, node)| node)
}

/// A new value under a key, in place of an old one.
pub fn put(map: &mut Map, key: Key, node: Node) {
    match map.iter_mut().find(|(own, _)| own.text == key.text) {
        Some((_, old)) => *old = node,
        None => map.push((key, node)),
    }
}

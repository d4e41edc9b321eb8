//! What `{{ … }}` stands for: the variables' values, what is derived from them, and functions over both.
//!
//!     expression = value [ "*" number "%" ] { "|" call }        value = name | "text" | 'text' | call
//!     call       = function [ "(" expression { "," expression } ")" ]
//!
//! A value before `|` is the function's first: `{{ secret | jwt_hs256('{"role":"anon"}') }}`. A part of a whole number is rounded down:
//! `{{ memory_mb * 60% }}`.

use super::{Asked, AskedKind, Derived, Template, hashes};
use crate::{expand::fill, resize};
use std::{cell::RefCell, collections::BTreeMap};

/// MiB that the Compose file lets the main service use, so that what an app is told of its memory follows its size. Only a Compose file
/// has it.
pub(super) const MEMORY: &str = "memory_mb";

/// Values by name, ready to be asked for.
#[derive(Clone)]
pub struct Values {
    known: BTreeMap<String, String>,
    /// For whom hashes are made.
    salt: String,
    /// The main service.
    main: String,
    used: RefCell<Vec<String>>,
}

/// Names in the expressions of a text, for the checker; function names are left out.
pub fn derived_from(expression: &str) -> Vec<String> {
    names_of(expression).0
}

/// Its names, and whether it is an expression at all.
pub(super) fn names_of(expression: &str) -> (Vec<String>, Result<(), String>) {
    let names = RefCell::new(Vec::new());
    let note = |name: &str| {
        names.borrow_mut().push(name.to_owned());
        Ok(String::new())
    };
    let whole = Parser {
        rest: expression,
        salt: "",
        look: &note,
        dry: true,
    }
    .whole();
    (names.into_inner(), whole.map(drop))
}

/// The value of an expression in which every name is [`MEMORY`].
pub(super) fn of_memory(expression: &str, mb: &str) -> Result<String, String> {
    let look = |_: &str| Ok(mb.to_owned());
    let parser = Parser {
        rest: expression,
        salt: "",
        look: &look,
        dry: false,
    };
    parser.whole()
}

impl Values {
    /// `given` are the variables' values, `app` is the app's name, under which other apps find it, and `url` its address without a slash
    /// at its end. Everything derived is computed here, in order.
    pub fn new(template: &Template, given: &BTreeMap<String, String>, app: &str, url: &str, salt: &str) -> Result<Values, String> {
        // Before the variables: what was installed while a variable could be called so keeps its own.
        let mut known = BTreeMap::from([("app".to_owned(), app.to_owned())]);
        for asked in &template.variables {
            let value = given.get(&asked.name).cloned().or_else(|| asked.default_text()).unwrap_or_default();
            known.insert(asked.name.clone(), value);
        }
        known.insert("url".to_owned(), url.to_owned());
        let mut values = Values {
            known,
            salt: salt.to_owned(),
            main: template.main.service.clone(),
            used: RefCell::default(),
        };
        for Derived { name, value } in &template.derived {
            let value = values.fill(value).map_err(|why| format!("derived `{name}`: {why}"))?;
            values.known.insert(name.clone(), value);
        }
        Ok(values)
    }

    /// The same for the text of a Compose file, which says how large the main service is.
    pub fn in_file(&self, text: &str) -> Values {
        let mut values = self.clone();
        if text.contains(MEMORY)
            && let Some(mb) = resize::memory_mb(text, &self.main)
        {
            // What was installed while a variable could be called so keeps its own.
            values.known.entry(MEMORY.to_owned()).or_insert_with(|| mb.to_string());
        }
        values
    }

    /// The value of what stands between the braces.
    pub fn evaluate(&self, expression: &str) -> Result<String, String> {
        let look = |name: &str| {
            self.used.borrow_mut().push(name.to_owned());
            let found = self.known.get(name).cloned();
            found.ok_or_else(|| unknown(name, &self.main))
        };
        let parser = Parser {
            rest: expression,
            salt: &self.salt,
            look: &look,
            dry: false,
        };
        parser.whole().map_err(|why| format!("{{{{ {expression} }}}}: {why}"))
    }

    /// A text with its `{{ … }}` in place.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        fill(text, &|expression| self.evaluate(expression))
    }

    /// Names that were asked for so far.
    pub fn used(&self) -> Vec<String> {
        self.used.borrow().clone()
    }
}

impl Asked {
    /// What it is when nobody says anything.
    pub fn default_text(&self) -> Option<String> {
        match self.default.as_ref()? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// Whether a value is there without anybody giving one.
    pub fn is_optional(&self) -> bool {
        self.is_generated() || self.default.is_some() || self.required == Some(false)
    }

    /// Whether a value is made up where nobody gives one.
    pub fn is_generated(&self) -> bool {
        self.is_secret() && self.generate != Some(false)
    }

    /// Its value must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, AskedKind::Secret | AskedKind::Password)
    }

    /// Whether `value` fits, in words if not. An empty one fits what may be left out.
    pub fn accepts(&self, value: &str) -> Result<(), String> {
        if self.must_accept && value != "true" {
            return Err("must be accepted: set it to true".into());
        }
        if value.is_empty() {
            let needed = !self.is_optional() || (self.kind == AskedKind::Enum && !self.options.is_empty());
            return if needed { Err("a value is needed".into()) } else { Ok(()) };
        }
        if value.contains('\0') {
            return Err("holds a zero byte, which no environment takes".into());
        }
        match self.kind {
            AskedKind::Domain => value.parse::<types::Host>().map(drop).map_err(words),
            AskedKind::Mail => value.parse::<types::Email>().map(drop).map_err(words),
            AskedKind::Port => match value.parse::<u16>() {
                Ok(port) if port > 0 => Ok(()),
                _ => Err("must be a port from 1 to 65535".into()),
            },
            AskedKind::Boolean if value == "true" || value == "false" => Ok(()),
            AskedKind::Boolean => Err("must be true or false".into()),
            AskedKind::Enum if self.options.iter().any(|option| option == value) => Ok(()),
            AskedKind::Enum => Err(format!("must be one of {}", self.options.join(", "))),
            AskedKind::Password | AskedKind::Secret if self.is_generated() && value.chars().count() < 8 => {
                Err("must have 8 letters or more".into())
            }
            AskedKind::Secret | AskedKind::Password => Ok(()),
            AskedKind::Text => match &self.pattern {
                None => Ok(()),
                Some(pattern) => {
                    let whole = regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|_| "its pattern is broken".to_owned())?;
                    whole.is_match(value).then_some(()).ok_or_else(|| format!("must fit {pattern}"))
                }
            },
        }
    }
}

/// Why nothing stands for a name in a template with this main service.
pub(super) fn unknown(name: &str, main: &str) -> String {
    match name {
        MEMORY => format!(
            "`{name}` is for Compose files in which `{main}` has a memory limit (deploy.resources.limits.memory) without a variable"
        ),
        name => format!("`{name}` is not a variable of this template"),
    }
}

fn words(error: types::Error) -> String {
    match error {
        types::Error::Invalid { why, .. } => why,
        other => other.to_string(),
    }
}

type Look<'a> = &'a dyn Fn(&str) -> Result<String, String>;

struct Parser<'a> {
    rest: &'a str,
    salt: &'a str,
    look: Look<'a>,
    /// Only names are looked for: functions are not called.
    dry: bool,
}

impl Parser<'_> {
    fn whole(mut self) -> Result<String, String> {
        let value = self.expression()?;
        match self.rest.trim() {
            "" => Ok(value),
            rest => Err(format!("`{rest}` is too much")),
        }
    }

    fn expression(&mut self) -> Result<String, String> {
        let mut value = self.value()?;
        if self.skip('*') {
            value = self.part(&value)?;
        }
        while self.skip('|') {
            let name = self.name()?;
            let mut values = vec![value];
            values.extend(self.arguments()?);
            value = self.call(&name, &values)?;
        }
        Ok(value)
    }

    /// `60%` of a whole number.
    fn part(&mut self, whole: &str) -> Result<String, String> {
        let trimmed = self.rest.trim_start();
        let end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let percent = trimmed[..end].parse::<u64>().ok().filter(|percent| (1..=100).contains(percent));
        self.rest = &trimmed[end..];
        let percent = percent.filter(|_| self.skip('%')).ok_or("after * only 1% to 100% may follow")?;
        if self.dry {
            return Ok(String::new());
        }
        let whole: u64 = whole.parse().map_err(|_| "only of a whole number a part can be taken")?;
        Ok((whole.saturating_mul(percent) / 100).to_string())
    }

    fn value(&mut self) -> Result<String, String> {
        self.rest = self.rest.trim_start();
        if let Some(quote) = self.rest.chars().next().filter(|first| matches!(first, '"' | '\'')) {
            let inner = &self.rest[1..];
            let end = inner.find(quote).ok_or("a quote is not closed")?;
            self.rest = &inner[end + 1..];
            return Ok(inner[..end].to_owned());
        }
        let name = self.name()?;
        if self.rest.trim_start().starts_with('(') {
            let values = self.arguments()?;
            return self.call(&name, &values);
        }
        (self.look)(&name)
    }

    fn arguments(&mut self) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        if !self.skip('(') {
            return Ok(values);
        }
        if self.skip(')') {
            return Ok(values);
        }
        loop {
            values.push(self.expression()?);
            if self.skip(')') {
                return Ok(values);
            }
            if !self.skip(',') {
                return Err("a ) or , is missing".into());
            }
        }
    }

    fn call(&self, name: &str, values: &[String]) -> Result<String, String> {
        if self.dry {
            return Ok(String::new());
        }
        hashes::call(name, values, self.salt)
    }

    fn skip(&mut self, sign: char) -> bool {
        let trimmed = self.rest.trim_start();
        match trimmed.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let trimmed = self.rest.trim_start();
        let end = trimmed
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(trimmed.len());
        if end == 0 {
            return Err(if trimmed.is_empty() {
                "a name is missing".into()
            } else {
                format!("`{trimmed}` does not begin with a name")
            });
        }
        self.rest = &trimmed[end..];
        Ok(trimmed[..end].to_owned())
    }
}

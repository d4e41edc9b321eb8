//! Filters of SCIM (RFC 7644, section 3.4.2.2): read, and asked of a resource.

use serde_json::Value;
use types::{Error, Result};

/// Letters of a filter, and how deep it may be.
const LONGEST: usize = 2000;
const DEEPEST: usize = 20;
/// Attributes that stand with the name of their schema.
const SCHEMAS: [&str; 2] = [
    "urn:ietf:params:scim:schemas:core:2.0:User:",
    "urn:ietf:params:scim:schemas:core:2.0:Group:",
];

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Present(Vec<String>),
    Compare(Vec<String>, Op, Value),
    /// One of several values is so: `emails[type eq "work"]`.
    Any(Vec<String>, Box<Filter>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    NotEqual,
    Contains,
    Starts,
    Ends,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Filter {
    /// Fails with `Invalid` for the field `filter`.
    pub fn read(text: &str) -> Result<Filter> {
        if text.len() > LONGEST {
            return Err(wrong("is too long"));
        }
        let mut reader = Reader {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
        };
        let filter = reader.either()?;
        match reader.at == reader.tokens.len() {
            true => Ok(filter),
            false => Err(wrong("goes on where it should end")),
        }
    }

    pub fn is(&self, resource: &Value) -> bool {
        match self {
            Filter::And(left, right) => left.is(resource) && right.is(resource),
            Filter::Or(left, right) => left.is(resource) || right.is(resource),
            Filter::Not(inner) => !inner.is(resource),
            Filter::Present(path) => values(resource, path).iter().any(|value| is_there(value)),
            Filter::Compare(path, Op::NotEqual, wanted) => {
                !values(resource, path).iter().any(|value| compare(path, value, Op::Equal, wanted))
            }
            Filter::Compare(path, op, wanted) => values(resource, path).iter().any(|value| compare(path, value, *op, wanted)),
            Filter::Any(path, inner) => values(resource, path).iter().any(|value| inner.is(value)),
        }
    }

    /// The name, of a filter that asks for one person by it: what providers send before they change anybody.
    pub fn user_name(&self) -> Option<&str> {
        match self {
            Filter::Compare(path, Op::Equal, Value::String(name)) if matches!(path.as_slice(), [one] if one.eq_ignore_ascii_case("userName")) => {
                Some(name)
            }
            _ => None,
        }
    }

    /// What an object must have to pass, where that can be said: attributes and values that are equal.
    pub fn wants(&self) -> Option<Vec<(String, Value)>> {
        match self {
            Filter::Compare(path, Op::Equal, value) => match path.as_slice() {
                [one] => Some(vec![(one.clone(), value.clone())]),
                _ => None,
            },
            Filter::And(left, right) => Some([left.wants()?, right.wants()?].concat()),
            _ => None,
        }
    }
}

/// The names in a path: `urn:…:User:name.familyName` is `name`, `familyName`.
pub(super) fn path(text: &str) -> Vec<String> {
    let text = SCHEMAS.iter().find_map(|schema| strip(text, schema)).unwrap_or(text);
    text.split('.').map(str::to_owned).collect()
}

fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// What an object has under a name, in whichever case it is written.
pub(super) fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let found = object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

/// All values at a path; of several, each.
fn values<'a>(resource: &'a Value, path: &[String]) -> Vec<&'a Value> {
    let mut found = vec![resource];
    for name in path {
        let next = found.into_iter().filter_map(|value| field(value, name));
        found = next.flat_map(each).collect();
    }
    found
}

fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    }
}

fn is_there(value: &Value) -> bool {
    !matches!(value, Value::Null) && value.as_str() != Some("")
}

fn compare(path: &[String], value: &Value, op: Op, wanted: &Value) -> bool {
    // Of something with several parts, its value.
    let value = field(value, "value").filter(|_| value.is_object()).unwrap_or(value);
    let (Some(text), Some(other)) = (value.as_str(), wanted.as_str()) else {
        return match op {
            Op::Equal => value == wanted,
            _ => false,
        };
    };
    let exact = path
        .last()
        .is_some_and(|name| ["id", "externalid"].contains(&name.to_lowercase().as_str()));
    let folded = |text: &str| if exact { text.to_owned() } else { text.to_lowercase() };
    let (text, other) = (folded(text), folded(other));
    match op {
        Op::Equal => text == other,
        Op::NotEqual => text != other,
        Op::Contains => text.contains(&other),
        Op::Starts => text.starts_with(&other),
        Op::Ends => text.ends_with(&other),
        Op::Greater => text > other,
        Op::GreaterOrEqual => text >= other,
        Op::Less => text < other,
        Op::LessOrEqual => text <= other,
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(Value),
    Sign(char),
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | '[' | ']' => {
                tokens.push(Token::Sign(first));
                1
            }
            '"' => {
                let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let value = values
                    .next()
                    .and_then(std::result::Result::ok)
                    .ok_or_else(|| wrong("has a text that does not end"))?;
                tokens.push(Token::Text(Value::String(value)));
                values.byte_offset()
            }
            _ => {
                let end = rest
                    .find(|letter: char| letter.is_whitespace() || "()[]\"".contains(letter))
                    .unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn either(&mut self) -> Result<Filter> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(wrong("is too deep"));
        }
        let mut left = self.both()?;
        while self.word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.both()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn both(&mut self) -> Result<Filter> {
        let mut left = self.one()?;
        while self.word("and") {
            left = Filter::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Filter> {
        let is_not = self.word("not");
        if self.sign('(') {
            let inner = self.either()?;
            self.close(')')?;
            return Ok(if is_not { Filter::Not(Box::new(inner)) } else { inner });
        }
        if is_not {
            return Err(wrong("has a `not` without parentheses"));
        }
        let Some(Token::Word(name)) = self.next() else {
            return Err(wrong("lacks the name of an attribute"));
        };
        let path = path(&name);
        if self.sign('[') {
            let inner = self.either()?;
            self.close(']')?;
            return Ok(Filter::Any(path, Box::new(inner)));
        }
        let Some(Token::Word(op)) = self.next() else {
            return Err(wrong("lacks an operator, such as eq"));
        };
        let op = match op.to_lowercase().as_str() {
            "pr" => return Ok(Filter::Present(path)),
            "eq" => Op::Equal,
            "ne" => Op::NotEqual,
            "co" => Op::Contains,
            "sw" => Op::Starts,
            "ew" => Op::Ends,
            "gt" => Op::Greater,
            "ge" => Op::GreaterOrEqual,
            "lt" => Op::Less,
            "le" => Op::LessOrEqual,
            _ => return Err(wrong("has an operator that there is not")),
        };
        let value = match self.next() {
            Some(Token::Text(value)) => value,
            Some(Token::Word(word)) => serde_json::from_str(&word).map_err(|_| wrong("has a value that is no JSON"))?,
            _ => return Err(wrong("lacks a value")),
        };
        Ok(Filter::Compare(path, op, value))
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }
    fn word(&mut self, wanted: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(is);
        is
    }
    fn sign(&mut self, wanted: char) -> bool {
        let is = self.tokens.get(self.at) == Some(&Token::Sign(wanted));
        self.at += usize::from(is);
        is
    }
    fn close(&mut self, sign: char) -> Result<()> {
        match self.sign(sign) {
            true => Ok(()),
            false => Err(wrong("lacks a bracket")),
        }
    }
}

fn wrong(why: &str) -> Error {
    Error::invalid("filter", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 7644, section 3.4.2.2, asked of its bjensen.
        let person = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "A", "userName": "bjensen", "externalId": "X", "userType": "Employee",
            "title": "Tour Guide", "active": true, "name": {"familyName": "O'Malley"}, "meta": {"lastModified": "2011-05-13T04:42:34Z"},
            "emails": [{"type": "work", "value": "bjensen@example.com"}, {"type": "home", "value": "babs@jensen.org"}],
        });
        for (filter, expected) in [
            ("userName eq \"bjensen\"", true),
            ("userName Eq \"BJENSEN\"", true),
            ("name.familyName co \"O'Malley\"", true),
            ("userName sw \"J\"", false),
            ("urn:ietf:params:scim:schemas:core:2.0:User:userName sw \"b\"", true),
            ("title pr", true),
            ("nickName pr", false),
            ("meta.lastModified gt \"2011-05-13T04:42:34Z\"", false),
            ("meta.lastModified ge \"2011-05-13T04:42:34Z\"", true),
            ("meta.lastModified lt \"2012-05-13T04:42:34Z\"", true),
            ("title pr and userType eq \"Employee\"", true),
            ("title pr or userType eq \"Intern\"", true),
            ("schemas eq \"urn:ietf:params:scim:schemas:core:2.0:User\"", true),
            (
                "userType eq \"Employee\" and (emails co \"example.com\" or emails.value co \"example.org\")",
                true,
            ),
            (
                "userType ne \"Employee\" and not (emails co \"example.com\" or emails.value co \"example.org\")",
                false,
            ),
            ("userType eq \"Employee\" and (emails.type eq \"work\")", true),
            (
                "userType eq \"Employee\" and emails[type eq \"work\" and value co \"@example.com\"]",
                true,
            ),
            (
                "emails[type eq \"work\" and value co \"@jensen.org\"] or ims[type eq \"xmpp\"]",
                false,
            ),
            ("externalId eq \"x\"", false),
            ("active eq true", true),
            ("userName eq \"b\\\"\"", false),
        ] {
            assert_eq!(Filter::read(filter).expect(filter).is(&person), expected, "{filter}");
        }
        let deep = "(".repeat(100) + "a pr" + &")".repeat(100);
        for filter in [
            "",
            "userName",
            "userName eq",
            "userName is \"x\"",
            "userName eq \"x",
            "(userName pr",
            "userName pr)",
            "userName eq x",
            "not userName pr",
            &deep,
        ] {
            assert!(Filter::read(filter).is_err(), "{filter}");
        }
    }
}

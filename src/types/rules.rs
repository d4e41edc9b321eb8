//! Rules of a domain: which requests go elsewhere than to the domain's own app, and where. The matching itself is here,
//! so that the edge and the answer to "why this?" cannot differ.

use crate::{
    AppId, Error, HeaderField, Host, HostPattern, Result, RuleId, ServicePort, TrafficPolicy, encoded_path, is_below,
    policies::check_method,
};
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One rule. Those of higher priority are asked first; among equals, the one with the longer path, then the older.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub id: RuleId,
    /// What people call it.
    pub name: String,
    #[serde(default)]
    pub priority: i32,
    pub matches: RequestMatch,
    pub action: RuleAction,
    /// In place of the domain's own policy; `None`: the domain's.
    #[serde(default)]
    pub policy: Option<TrafficPolicy>,
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

impl Rule {
    /// Fails with `Invalid` that names the field.
    pub fn check(&self) -> Result<()> {
        if self.name.is_empty() || self.name.len() > 100 || self.name.chars().any(char::is_control) {
            return Err(Error::invalid("name", "must have 1 to 100 characters"));
        }
        self.matches.check()?;
        self.action.check()?;
        self.policy.as_ref().map_or(Ok(()), TrafficPolicy::check)
    }
}

/// Rules in the order in which they are asked.
pub fn in_order<'a, T: 'a>(rules: impl IntoIterator<Item = &'a T>, of: impl Fn(&T) -> (i32, &RequestMatch, &RuleId)) -> Vec<&'a T> {
    let mut rules: Vec<&T> = rules.into_iter().collect();
    rules.sort_by(|one, other| {
        let ((a, matches_a, id_a), (b, matches_b, id_b)) = (of(one), of(other));
        b.cmp(&a)
            .then_with(|| matches_b.path.weight().cmp(&matches_a.path.weight()))
            .then_with(|| id_a.cmp(id_b))
    });
    rules
}

/// A rule as a walk over rules sees it.
pub trait Ruled {
    fn matches(&self) -> &RequestMatch;
    /// Where it sends a request that fits.
    fn sends(&self, asked: &Place<'_>) -> Sends;
}

/// Where a request is made.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Lower case, without port.
    pub host: &'a str,
    /// The host pattern that the rules are under.
    pub pattern: &'a HostPattern,
    /// Path and query as they came.
    pub uri: &'a str,
    /// The normal path.
    pub path: &'a str,
}

/// What a rule does with the client that made a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sends {
    /// It answers, by itself or by an app.
    Nowhere,
    Elsewhere(String),
    /// The path does not fit its pattern, so the next rule is asked.
    Past,
}

/// The rule that answers, and where it sends the client if it is a redirect; `rules` are in the order in which they are
/// asked, and `passed` hears of those that were asked in vain. This is the one place that decides it: the edge and the
/// answer to "why this?" both come here.
pub fn answering<'r, R: Ruled>(
    rules: impl IntoIterator<Item = &'r R>,
    asked: &impl Asked,
    place: &Place<'_>,
    mut passed: impl FnMut(&'r R),
) -> Option<(&'r R, Option<String>)> {
    for rule in rules {
        if rule.matches().fits(asked) {
            match rule.sends(place) {
                Sends::Nowhere => return Some((rule, None)),
                Sends::Elsewhere(to) => return Some((rule, Some(to))),
                Sends::Past => {}
            }
        }
        passed(rule);
    }
    None
}

/// All of it must fit. The default fits every request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestMatch {
    pub path: PathMatch,
    /// Any of these; empty: every method.
    pub methods: Vec<String>,
    /// All of these.
    pub headers: Vec<HeaderMatch>,
}

/// Compared with the path as [`crate::normal_path`] makes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "path")]
pub enum PathMatch {
    #[default]
    Any,
    /// `/api` is for `/api` and all below it, not for `/apix`.
    Prefix(String),
    Exact(String),
}

impl PathMatch {
    fn weight(&self) -> (bool, usize) {
        match self {
            PathMatch::Any => (false, 0),
            PathMatch::Prefix(path) => (false, path.trim_end_matches('/').len()),
            PathMatch::Exact(path) => (true, path.len()),
        }
    }
    pub fn fits(&self, path: &str) -> bool {
        match self {
            PathMatch::Any => true,
            PathMatch::Prefix(prefix) => is_below(path, prefix),
            PathMatch::Exact(exact) => path == exact,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    pub name: HeaderField,
    pub test: HeaderTest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "value")]
pub enum HeaderTest {
    Present,
    Absent,
    Equals(String),
    Contains(String),
}

impl HeaderTest {
    /// Over all values that the request has under this name.
    pub fn fits<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> bool {
        match self {
            HeaderTest::Present => values.next().is_some(),
            HeaderTest::Absent => values.next().is_none(),
            HeaderTest::Equals(wanted) => values.any(|value| value == wanted.as_bytes()),
            HeaderTest::Contains(wanted) => {
                wanted.is_empty() || values.any(|value| value.windows(wanted.len()).any(|part| part == wanted.as_bytes()))
            }
        }
    }
}

/// What rules look at. `path` is a normal one.
pub trait Asked {
    fn method(&self) -> &str;
    fn path(&self) -> &str;
    /// All values under a name in lower case.
    fn values<'a>(&'a self, name: &'a str) -> Box<dyn Iterator<Item = &'a [u8]> + 'a>;
}

impl RequestMatch {
    fn check(&self) -> Result<()> {
        if let PathMatch::Prefix(path) | PathMatch::Exact(path) = &self.path
            && (crate::normal_path(path).as_deref() != Some(path.as_str()) || path.len() > 2048)
        {
            return Err(Error::invalid(
                "path",
                "must begin with / and be written plainly: without %, //, . and .. parts, or a query",
            ));
        }
        self.methods.iter().try_for_each(|method| check_method("methods", method))
    }

    /// The first part that does not fit, in words; `None`: all of it does.
    pub fn why_not(&self, asked: &impl Asked) -> Option<String> {
        if !self.path.fits(asked.path()) {
            return Some(match &self.path {
                PathMatch::Prefix(prefix) => format!("the path {} is not below {prefix}", asked.path()),
                PathMatch::Exact(exact) => format!("the path {} is not {exact}", asked.path()),
                PathMatch::Any => "it fits every path".to_owned(),
            });
        }
        if !self.fits_method(asked.method()) {
            return Some(format!("the method {} is not {}", asked.method(), self.methods.join(" or ")));
        }
        let missed = self
            .headers
            .iter()
            .find(|header| !header.test.fits(asked.values(header.name.as_str())))?;
        let name = &missed.name;
        Some(match &missed.test {
            HeaderTest::Present => format!("there is no header {name}"),
            HeaderTest::Absent => format!("there is a header {name}"),
            HeaderTest::Equals(value) => format!("the header {name} is not `{value}`"),
            HeaderTest::Contains(value) => format!("the header {name} does not contain `{value}`"),
        })
    }

    pub fn fits(&self, asked: &impl Asked) -> bool {
        self.path.fits(asked.path())
            && self.fits_method(asked.method())
            && self
                .headers
                .iter()
                .all(|header| header.test.fits(asked.values(header.name.as_str())))
    }

    fn fits_method(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|wanted| wanted == method)
    }
}

/// What becomes of a request that a rule fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RuleAction {
    /// To an app of the same organization; `None`: the domain's own.
    App {
        #[serde(default)]
        app: Option<AppId>,
        #[serde(default)]
        path: PathChange,
    },
    /// To a server that the panel does not run. It may lie in an inner network, so only administrators may say so.
    Origin {
        origin: Origin,
        #[serde(default)]
        path: PathChange,
    },
    /// To one of several, each as often as its weight says. What does not run is passed over while another does.
    Split {
        parts: Vec<SplitPart>,
        #[serde(default)]
        path: PathChange,
    },
    Redirect(Redirect),
    /// An answer of the edge's own.
    Respond {
        status: u16,
        content_type: String,
        body: String,
    },
}

/// One of several that answer by turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitPart {
    /// Its share is this of the sum of all weights; 0: none.
    pub weight: u32,
    /// Of the same organization; `None`: the domain's own, or `origin`.
    #[serde(default)]
    pub app: Option<AppId>,
    /// Another service of the app than its main one.
    #[serde(default)]
    pub service: Option<ServicePort>,
    /// In place of an app.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// Parts of one rule.
const PARTS: usize = 50;
/// So that shares of a thousandth can be said.
const WEIGHT: u32 = 1000;

fn check_parts(parts: &[SplitPart]) -> Result<()> {
    if !(2..=PARTS).contains(&parts.len()) {
        return Err(Error::invalid("parts", format!("name 2 to {PARTS}")));
    }
    for (at, part) in parts.iter().enumerate() {
        let bad = |field: &str, why: String| Err(Error::invalid(format!("parts[{at}].{field}"), why));
        if part.weight > WEIGHT {
            return bad("weight", format!("must be from 0 to {WEIGHT}"));
        }
        if part.origin.is_some() && (part.app.is_some() || part.service.is_some()) {
            return bad("origin", "a part leads to an app or to a server, not to both".into());
        }
        if part
            .service
            .as_ref()
            .is_some_and(|place| place.service.is_empty() || place.port == 0)
        {
            return bad("service", "name the service and its port, 1 to 65535".into());
        }
    }
    if parts.iter().all(|part| part.weight == 0) {
        return Err(Error::invalid("parts", "at least one must have a weight above 0"));
    }
    Ok(())
}

impl RuleAction {
    /// Apps that it names.
    pub fn apps(&self) -> impl Iterator<Item = &AppId> {
        let one = match self {
            RuleAction::App { app, .. } => app.as_ref(),
            _ => None,
        };
        one.into_iter().chain(self.parts().iter().filter_map(|part| part.app.as_ref()))
    }

    /// Servers that the panel does not run.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        let one = match self {
            RuleAction::Origin { origin, .. } => Some(origin),
            _ => None,
        };
        one.into_iter().chain(self.parts().iter().filter_map(|part| part.origin.as_ref()))
    }

    fn parts(&self) -> &[SplitPart] {
        match self {
            RuleAction::Split { parts, .. } => parts,
            _ => &[],
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            RuleAction::App { path, .. } | RuleAction::Origin { path, .. } => path.check(),
            RuleAction::Split { parts, path } => check_parts(parts).and_then(|()| path.check()),
            RuleAction::Redirect(redirect) => redirect.compile().map(drop),
            RuleAction::Respond {
                status,
                content_type,
                body,
            } => {
                if !(200..600).contains(status) {
                    return Err(Error::invalid("status", "must be from 200 to 599"));
                }
                if content_type.is_empty() || content_type.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) {
                    return Err(Error::invalid("content_type", "must be like text/plain; charset=utf-8"));
                }
                if body.len() > 256 << 10 {
                    return Err(Error::invalid("body", "may have at most 256 KiB"));
                }
                Ok(())
            }
        }
    }
}

/// A server that is no container of the panel's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Origin {
    /// A name or address; a name is looked up for every new connection.
    Host { host: Host, port: u16 },
    /// A Unix socket of this machine.
    Socket { path: PathBuf },
}

/// What an app gets in place of the request's path. The query stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PathChange {
    /// Taken off the front, at the border of a segment; the app is told in `X-Forwarded-Prefix`.
    pub strip_prefix: Option<String>,
    /// Then replaced.
    pub rewrite: Option<Rewrite>,
}

/// A pattern (syntax of the `regex` crate) over a path, and what takes its place: `$1` or `${name}` are its captures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    pub pattern: String,
    pub to: String,
}

impl PathChange {
    pub fn is_none(&self) -> bool {
        *self == PathChange::default()
    }
    fn check(&self) -> Result<()> {
        if let Some(prefix) = &self.strip_prefix
            && crate::normal_path(prefix).as_deref() != Some(prefix.as_str())
        {
            return Err(Error::invalid("strip_prefix", "must begin with / and be written plainly"));
        }
        if let Some(rewrite) = &self.rewrite {
            pattern("rewrite", &rewrite.pattern)?;
            if !rewrite.to.starts_with('/') {
                return Err(Error::invalid("rewrite", "must begin with /"));
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// Over the normal path; a request whose path does not fit is left to the next rule. `None`: every path.
    #[serde(default)]
    pub pattern: Option<String>,
    /// An address or a path. `$1` and `${name}` are captures; `{host}` the request's host, `{label}` what stands for the
    /// `*` of a wildcard, `{path}` the path, `{query}` the query with its `?`, `{uri}` path and query as they came.
    pub to: String,
    /// 301, 302, 307 or 308.
    pub status: u16,
}

/// A redirect, ready to be used.
#[derive(Debug, Clone)]
pub struct CompiledRedirect {
    pattern: Option<Regex>,
    to: String,
    pub status: u16,
}

/// Patterns are compiled at most this large, so that none takes the machine's memory.
const PATTERN_BYTES: usize = 1 << 20;

/// Fails with `Invalid` in `field`.
pub fn pattern(field: &str, text: &str) -> Result<Regex> {
    regex::RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| Error::invalid(field, format!("the pattern cannot be used: {}", last_line(&error.to_string()))))
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

impl Redirect {
    /// Fails with `Invalid`, also when a request could choose the host that it leads to.
    pub fn compile(&self) -> Result<CompiledRedirect> {
        let bad = |why: &str| Err(Error::invalid("redirect", why));
        if !matches!(self.status, 301 | 302 | 307 | 308) {
            return bad("the status must be 301, 302, 307 or 308");
        }
        if self.to.is_empty() || self.to.len() > 2048 || self.to.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
            return bad("the address must be printable ASCII without spaces");
        }
        match self.to.split_once("://") {
            Some(("http" | "https", rest)) => {
                let end = ["/", "?", "#", "{uri}", "{path}", "{query}"]
                    .iter()
                    .filter_map(|end| rest.find(end))
                    .min();
                let authority = &rest[..end.unwrap_or(rest.len())];
                let literal = authority.replace("{host}", "h").replace("{label}", "l");
                if literal.is_empty()
                    || !literal
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
                {
                    return bad("the host must be fixed, or {host}, or with {label}: no capture may choose it");
                }
            }
            Some(_) => return bad("the address must begin with http://, https:// or /"),
            None => {
                let begins = ["/", "{uri}", "{path}"].iter().any(|begin| self.to.starts_with(begin));
                if !begins || self.to.starts_with("//") {
                    return bad("the address must begin with http://, https:// or one /");
                }
            }
        }
        Ok(CompiledRedirect {
            pattern: self.pattern.as_deref().map(|text| pattern("redirect", text)).transpose()?,
            to: self.to.clone(),
            status: self.status,
        })
    }
}

impl CompiledRedirect {
    pub fn sends(&self, place: &Place<'_>) -> Sends {
        let to = self.location(place.host, place.pattern, place.uri, place.path);
        to.map_or(Sends::Past, Sends::Elsewhere)
    }

    /// Where a request goes; `None`: its path does not fit the pattern. `uri` is path and query as they came, `path` the
    /// normal one, `host` without a port, `pattern` the host pattern that the rule is under.
    pub fn location(&self, host: &str, pattern: &HostPattern, uri: &str, path: &str) -> Option<String> {
        let captures = match &self.pattern {
            Some(pattern) => Some(pattern.captures(path)?),
            None => None,
        };
        let query = uri.find('?').map_or("", |at| &uri[at..]);
        let mut out = String::with_capacity(self.to.len() + uri.len());
        let mut rest = self.to.as_str();
        while let Some(at) = rest.find(['{', '$']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let known = [
                ("{host}", host),
                ("{label}", pattern.label_of(host).unwrap_or_default()),
                ("{query}", query),
                ("{uri}", uri),
            ]
            .into_iter()
            .find(|(name, _)| rest.starts_with(name));
            if let Some((name, value)) = known {
                out.push_str(value);
                rest = &rest[name.len()..];
            } else if let Some(after) = rest.strip_prefix("{path}") {
                out.push_str(&encoded_path(path));
                rest = after;
            } else if let (Some(captures), Some((value, after))) = (&captures, capture(rest)) {
                let group = value.parse().map_or_else(|_| captures.name(value), |n: usize| captures.get(n));
                out.push_str(&encoded_path(group.map_or("", |group| group.as_str())));
                rest = after;
            } else {
                out.push_str(&rest[..1]);
                rest = &rest[1..];
            }
        }
        out.push_str(rest);
        // `//evil.test` and `/\evil.test` would be another host.
        if out.starts_with('/') {
            let path = out.trim_start_matches(['/', '\\']);
            out = format!("/{path}");
        }
        Some(out)
    }
}

/// The name of a capture at the front of `text`, and what comes after: `$1`, `$name` or `${name}`.
fn capture(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('$')?;
    if let Some(rest) = rest.strip_prefix('{') {
        return rest.split_once('}');
    }
    let end = if rest.starts_with(|c: char| c.is_ascii_digit()) {
        rest.find(|c: char| !c.is_ascii_digit())
    } else {
        rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
    };
    let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
    (!name.is_empty()).then_some((name, after))
}

/// A change of paths, ready to be used.
#[derive(Debug, Clone, Default)]
pub struct CompiledPathChange {
    pub strip_prefix: Option<String>,
    rewrite: Option<(Regex, String)>,
}

impl PathChange {
    /// Fails with `Invalid`.
    pub fn compile(&self) -> Result<CompiledPathChange> {
        self.check()?;
        let rewrite = match &self.rewrite {
            Some(rewrite) => Some((pattern("rewrite", &rewrite.pattern)?, rewrite.to.clone())),
            None => None,
        };
        Ok(CompiledPathChange {
            strip_prefix: self.strip_prefix.as_deref().map(|prefix| prefix.trim_end_matches('/').to_owned()),
            rewrite,
        })
    }
}

impl CompiledPathChange {
    /// Path and query as the app gets them. `uri` is what came, `path` its normal path.
    pub fn apply(&self, uri: &str, path: &str) -> String {
        let (raw, query) = uri.split_at(uri.find('?').unwrap_or(uri.len()));
        let mut changed = match &self.strip_prefix {
            // As it was written, if nothing was spelled otherwise; else the normal path.
            Some(prefix) => match (raw.strip_prefix(prefix.as_str()), raw == path) {
                (Some(rest), true) if rest.is_empty() || rest.starts_with('/') => rest.to_owned(),
                _ if is_below(path, prefix) => encoded_path(path.strip_prefix(prefix.as_str()).unwrap_or(path)),
                _ => raw.to_owned(),
            },
            None => raw.to_owned(),
        };
        if !changed.starts_with('/') {
            changed.insert(0, '/');
        }
        if let Some((pattern, to)) = &self.rewrite {
            let normal = crate::normal_path(&changed).unwrap_or_default();
            if pattern.is_match(&normal) {
                changed = encoded_path(&pattern.replace(&normal, to.as_str()));
            }
        }
        format!("{changed}{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request(&'static str, &'static str, Vec<(&'static str, &'static str)>);
    impl Asked for Request {
        fn method(&self) -> &str {
            self.0
        }
        fn path(&self) -> &str {
            self.1
        }
        fn values<'a>(&'a self, name: &'a str) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
            Box::new(self.2.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value.as_bytes()))
        }
    }

    #[test]
    fn every_part_must_fit_and_the_first_that_does_not_is_named() {
        let matches: RequestMatch = serde_json::from_str(
            r#"{"path":{"kind":"prefix","path":"/api"},"methods":["GET","POST"],
                "headers":[{"name":"X-Beta","test":{"kind":"equals","value":"1"}},{"name":"x-old","test":{"kind":"absent"}}]}"#,
        )
        .expect("well-formed");
        let why = |method, path, headers: &[(&'static str, &'static str)]| {
            let request = Request(method, path, headers.to_vec());
            let why = matches.why_not(&request);
            assert_eq!(why.is_none(), matches.fits(&request));
            why.unwrap_or_default()
        };
        assert_eq!(why("GET", "/api/x", &[("x-beta", "1")]), "");
        assert_eq!(why("GET", "/apix", &[]), "the path /apix is not below /api");
        assert_eq!(why("PUT", "/api", &[]), "the method PUT is not GET or POST");
        assert_eq!(why("GET", "/api", &[("x-beta", "2")]), "the header x-beta is not `1`");
        assert_eq!(why("GET", "/api", &[("x-beta", "1"), ("x-old", "")]), "there is a header x-old");
        assert!(RequestMatch::default().fits(&Request("TRACE", "/", vec![])));
    }

    #[test]
    fn redirects() {
        let host: HostPattern = "*.old.test".parse().expect("a pattern");
        let to = |pattern: Option<&str>, to: &str, uri: &str| {
            let redirect = Redirect {
                pattern: pattern.map(str::to_owned),
                to: to.to_owned(),
                status: 308,
            };
            let path = crate::normal_path(uri).expect("a path").into_owned();
            redirect
                .compile()
                .map(|compiled| compiled.location("a.old.test", &host, uri, &path))
        };
        for (pattern, template, uri, location) in [
            (None, "https://new.test{uri}", "/a%20b?c", Some("https://new.test/a%20b?c")),
            (
                None,
                "https://{label}.new.test/x{query}",
                "/a?b=1",
                Some("https://a.new.test/x?b=1"),
            ),
            (None, "https://www.{host}{path}", "/a//b?c", Some("https://www.a.old.test/a/b")),
            (
                Some("^/blog/(\\d+)/(?<slug>.*)$"),
                "/posts/${slug}-$1",
                "/blog/7/x y",
                Some("/posts/x%20y-7"),
            ),
            (Some("^/blog/"), "/posts", "/other", None),
            (Some("(.*)"), "$1", "/x", None), // refused below
            (None, "{uri}", "//evil.test/x", Some("/evil.test/x")),
            (Some("^/go/(.*)"), "/$1", "/go/\\evil.test", Some("/%5Cevil.test")),
            (
                Some("(?s)^/a(.*)"),
                "https://new.test/$1",
                "/a\r\nSet-Cookie: x",
                Some("https://new.test/%0D%0ASet-Cookie:%20x"),
            ),
        ] {
            match to(pattern, template, uri) {
                Ok(found) => assert_eq!(found.as_deref(), location, "{template}"),
                Err(_) => assert_eq!(template, "$1"),
            }
        }
        for template in [
            "https://new.test$1",
            "https://$1/",
            "//evil.test",
            "$1",
            "javascript:alert(1)",
            "https://{path}",
            "ftp://a/",
        ] {
            assert!(to(Some("(.*)"), template, "/x").is_err(), "{template}");
        }
        assert!(to(Some("("), "/x", "/").is_err());
    }

    #[test]
    fn changed_paths() {
        let change = |strip: Option<&str>, rewrite: Option<(&str, &str)>| {
            let change = PathChange {
                strip_prefix: strip.map(str::to_owned),
                rewrite: rewrite.map(|(pattern, to)| Rewrite {
                    pattern: pattern.to_owned(),
                    to: to.to_owned(),
                }),
            };
            let compiled = change.compile().expect("fits");
            move |uri: &str| compiled.apply(uri, &crate::normal_path(uri).expect("a path"))
        };
        let strip = change(Some("/api"), None);
        for (uri, changed) in [
            ("/api", "/"),
            ("/api?x", "/?x"),
            ("/api/a%20b?c=/d", "/a%20b?c=/d"),
            ("/x/../api/b", "/b"),
            ("/apix", "/apix"),
            ("/%61pi//b", "/b"),
        ] {
            assert_eq!(strip(uri), changed, "{uri}");
        }
        let rewrite = change(Some("/v1"), Some(("^/users/(\\d+)$", "/user?id=$1")));
        assert_eq!(rewrite("/v1/users/7?a"), "/user%3Fid=7?a");
        assert_eq!(rewrite("/v1/other"), "/other");
    }

    #[test]
    fn order() {
        let rule = |id: &str, priority, path| Rule {
            id: format!("rul_0000000000000000000000000{id}").parse().expect("an id"),
            name: id.to_owned(),
            priority,
            matches: RequestMatch {
                path,
                ..RequestMatch::default()
            },
            action: RuleAction::App {
                app: None,
                path: PathChange::default(),
            },
            policy: None,
            enabled: true,
        };
        let rules = [
            rule("1", 0, PathMatch::Any),
            rule("2", 0, PathMatch::Prefix("/a".into())),
            rule("3", 0, PathMatch::Prefix("/a/b".into())),
            rule("4", 0, PathMatch::Exact("/a".into())),
            rule("5", 5, PathMatch::Any),
            rule("0", 0, PathMatch::Any),
        ];
        let order: String = in_order(&rules, |rule| (rule.priority, &rule.matches, &rule.id))
            .iter()
            .map(|rule| rule.name.as_str())
            .collect();
        assert_eq!(order, "543201");
    }
}

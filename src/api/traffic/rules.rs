//! Rules: which requests of a domain go elsewhere, and where.

use crate::policies::{TrafficPolicy, shown};
use poem_openapi::{Enum, Object};

/// Which requests of a domain go elsewhere, and where.
#[derive(Debug, Object)]
pub struct Rule {
    pub id: String,
    pub name: String,
    /// Higher ones are asked first; among equals, the one with the longer path, then the older.
    pub priority: i32,
    pub matches: RequestMatch,
    pub action: RuleAction,
    /// In place of the domain's own; null: the domain's.
    pub policy: Option<TrafficPolicy>,
    pub enabled: bool,
}

/// A rule as it should be.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct RuleWish {
    /// What people call it; unique in its domain.
    pub name: String,
    /// Left out: 0.
    pub priority: Option<i32>,
    /// Left out: every request.
    pub matches: Option<RequestMatch>,
    pub action: RuleAction,
    /// In place of the domain's own; left out: the domain's.
    pub policy: Option<TrafficPolicy>,
    /// Left out: true.
    pub enabled: Option<bool>,
}

/// All of it must fit.
#[derive(Debug, Default, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct RequestMatch {
    pub path: Option<PathMatch>,
    /// Any of these, in capitals; empty: every method.
    pub methods: Option<Vec<String>>,
    /// All of these.
    pub headers: Option<Vec<HeaderMatch>>,
}

/// Compared with the path as it is meant, however it was spelled.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct PathMatch {
    pub kind: PathMatchKind,
    /// With `prefix` and `exact`.
    pub path: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum PathMatchKind {
    Any,
    /// `/api` is for `/api` and all below it, not for `/apix`.
    Prefix,
    Exact,
}

/// A header that a request must have, or must not.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct HeaderMatch {
    pub name: String,
    pub test: HeaderTest,
}

/// What must hold of a header.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct HeaderTest {
    pub kind: HeaderTestKind,
    /// With `equals` and `contains`.
    pub value: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum HeaderTestKind {
    Present,
    Absent,
    Equals,
    Contains,
}

/// What becomes of a request that fits.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct RuleAction {
    pub kind: RuleActionKind,
    /// With `app`: id or name; left out: the domain's own.
    pub app: Option<String>,
    /// With `app`: another service of it than its main one.
    pub service: Option<RuleService>,
    /// With `origin`.
    pub origin: Option<Origin>,
    /// With `split`: 2 to 50; what does not run is passed over while another does.
    pub parts: Option<Vec<RulePart>>,
    /// With `app`, `origin` and `split`: what is asked for in place of the request's path.
    pub path: Option<PathChange>,
    /// With `redirect`: a pattern over the path; a request that does not fit is left to the next rule.
    pub pattern: Option<String>,
    /// With `redirect`: an address or a path. `$1` and `${name}` are captures; `{host}`, `{label}`, `{path}`, `{query}` and
    /// `{uri}` are the request's.
    pub to: Option<String>,
    /// With `redirect`: 301, 302, 307 or 308. With `respond`: 200 to 599.
    pub status: Option<u16>,
    /// With `respond`.
    pub content_type: Option<String>,
    /// With `respond`.
    pub body: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum RuleActionKind {
    /// To an app.
    App,
    /// To a server that the panel does not run; needs the role admin.
    Origin,
    /// To one of several, by weight.
    Split,
    Redirect,
    /// An answer of the edge's own.
    Respond,
}

/// One of several that answer by turns. With the policy's balancing by cookie or by hash a client stays with one.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct RulePart {
    /// 0 to 1000: its share of the sum of all weights.
    pub weight: u32,
    /// Id or name; left out: the domain's own.
    pub app: Option<String>,
    /// Another service of the app than its main one.
    pub service: Option<RuleService>,
    /// In place of an app; needs the role admin.
    pub origin: Option<Origin>,
}

/// A port of one service of an app.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct RuleService {
    pub service: String,
    pub port: u16,
}

/// A server that is no container of the panel's.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct Origin {
    pub kind: OriginKind,
    /// With `host`: a name or address.
    pub host: Option<String>,
    /// With `host`.
    pub port: Option<u16>,
    /// With `socket`.
    pub path: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum OriginKind {
    Host,
    /// A Unix socket of this machine.
    Socket,
}

/// What an app gets in place of the request's path. The query stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
pub struct PathChange {
    /// Taken off the front, at the border of a segment.
    pub strip_prefix: Option<String>,
    /// Then replaced.
    pub rewrite: Option<Rewrite>,
}

/// A pattern over a path, and what takes its place: `$1` or `${name}` are its captures.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct Rewrite {
    pub pattern: String,
    pub to: String,
}

/// The order of a domain's rules.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct RuleOrder {
    /// Ids or names of all rules of the domain; the first is asked first.
    pub rules: Vec<String>,
}

impl From<types::Rule> for Rule {
    fn from(rule: types::Rule) -> Rule {
        Rule {
            id: rule.id.to_string(),
            name: rule.name,
            priority: rule.priority,
            matches: shown(&rule.matches),
            action: shown(&rule.action),
            policy: rule.policy.map(TrafficPolicy::from),
            enabled: rule.enabled,
        }
    }
}

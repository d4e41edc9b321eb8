//! How often the panel's own API may be asked. There is one record, or none for the defaults.

use crate::{Error, Result};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiLimits {
    /// All of those that a request belongs to; the first that is used up refuses it.
    pub rules: Vec<ApiLimit>,
    /// These are never limited. The panel's Unix socket never is either, so nobody can lock everybody out.
    pub exempt: Vec<IpNet>,
}

/// What is over gets 429 with `Retry-After`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiLimit {
    /// Unique; shown with its counters.
    pub name: String,
    pub class: ApiClass,
    /// Only requests to endpoints of this path, without `/api/v1`: `/apps/*/deployments`, where `*` is any one part and `**` at the end any
    /// that follow. `None`: to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub per: ApiCaller,
    /// Allowed in each period.
    pub requests: u32,
    pub period_seconds: u32,
    /// Allowed at once when nothing came before; 0: as many as `requests`.
    #[serde(default)]
    pub burst: u32,
    /// Only count what would be refused.
    #[serde(default)]
    pub dry_run: bool,
}

/// Which requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiClass {
    /// Those of all other classes.
    Any,
    /// GET and HEAD of what needs a sign-in; also `/metrics`.
    Read,
    /// Every other method.
    Write,
    /// What nobody needs to be signed in for: signing in, renewing a session, claiming a fresh panel, invitations.
    SignIn,
    /// What forges send to `/hooks/…`.
    Hooks,
}

/// Whose requests count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiCaller {
    /// An IPv4 address, or the /64 of an IPv6 one.
    Address,
    /// A token, or a person with all their browsers; who is neither counts by address.
    Caller,
}

/// Somebody that a limit refused, or would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiLimited {
    /// [`ApiLimit::name`]
    pub limit: String,
    /// An address, a token's name with its id, or a person's email.
    pub key: String,
    pub refused: u64,
    pub dry_run: bool,
    /// How long ago the last was.
    pub seconds_ago: u64,
}

impl ApiClass {
    /// Whether a rule for `self` is about a request of class `other`.
    pub fn covers(self, other: ApiClass) -> bool {
        self == ApiClass::Any || self == other
    }
}

impl ApiLimit {
    /// Whether it is about a request of this class to this path, which is a [`crate::normal_path`] without `/api/v1`.
    pub fn covers(&self, class: ApiClass, path: &str) -> bool {
        self.class.covers(class) && self.path.as_deref().is_none_or(|pattern| fits(pattern, path))
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut parts = path.trim_matches('/').split('/');
    for wanted in pattern.trim_matches('/').split('/') {
        match (wanted, parts.next()) {
            ("**", _) => return true,
            ("*", Some(part)) if !part.is_empty() => {}
            (wanted, Some(part)) if wanted == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

fn is_pattern(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    let last = rest.split('/').count() - 1;
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let is_part = |(at, part): (usize, &str)| part == "*" || (part == "**" && at == last) || is_word(part);
    text.len() <= 200 && !rest.starts_with("api/v1") && rest.split('/').enumerate().all(is_part)
}

impl Default for ApiLimits {
    /// So much that neither a browser nor a script meets it, and no machine is worn down by one client.
    fn default() -> ApiLimits {
        let rule = |name: &str, class, per, requests| ApiLimit {
            name: name.to_owned(),
            class,
            path: None,
            per,
            requests,
            period_seconds: 60,
            burst: 0,
            dry_run: false,
        };
        ApiLimits {
            rules: vec![
                rule("reads", ApiClass::Read, ApiCaller::Caller, 6000),
                rule("changes", ApiClass::Write, ApiCaller::Caller, 1200),
                rule("sign-in", ApiClass::SignIn, ApiCaller::Address, 120),
                rule("hooks", ApiClass::Hooks, ApiCaller::Address, 600),
            ],
            exempt: ["127.0.0.0/8", "::1/128"]
                .map(|net| net.parse().expect("a literal network parses"))
                .into(),
        }
    }
}

impl ApiLimits {
    /// Fails with `Invalid` that names the field.
    pub fn check(&self) -> Result<()> {
        if self.rules.len() > 50 {
            return Err(Error::invalid("rules", "at most 50"));
        }
        for (at, rule) in self.rules.iter().enumerate() {
            let bad = |field: &str, why: &str| Err(Error::invalid(format!("rules[{at}].{field}"), why));
            if rule.name.trim().is_empty() || rule.name.chars().count() > 100 || rule.name.chars().any(char::is_control) {
                return bad("name", "must have 1 to 100 characters");
            }
            if self.rules[..at].iter().any(|other| other.name == rule.name) {
                return bad("name", "another rule has this name");
            }
            if rule.path.as_deref().is_some_and(|path| !is_pattern(path)) {
                return bad(
                    "path",
                    "must be an endpoint without /api/v1, such as /apps/*/deployments, with * for any part and ** at the end for all that follow",
                );
            }
            if !(1..=1_000_000).contains(&rule.requests) {
                return bad("requests", "must be from 1 to 1,000,000");
            }
            if !(1..=86_400).contains(&rule.period_seconds) {
                return bad("period_seconds", "must be from 1 second to one day");
            }
            if rule.burst > 1_000_000 {
                return bad("burst", "may be at most 1,000,000");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_endpoints_a_rule_is_about() {
        for (pattern, path, expected) in [
            (None, "/apps", true),
            (Some("/apps"), "/apps", true),
            (Some("/apps"), "/apps/", true),
            (Some("/apps"), "/apps/blog", false),
            (Some("/apps/*"), "/apps/blog", true),
            (Some("/apps/*"), "/apps", false),
            (Some("/apps/*"), "/apps/blog/logs", false),
            (Some("/apps/*/deployments"), "/apps/blog/deployments", true),
            (Some("/apps/*/deployments"), "/apps/blog/domains", false),
            (Some("/apps/**"), "/apps/blog/logs/download", true),
            (Some("/apps/**"), "/apps", true),
            (Some("/**"), "/", true),
        ] {
            let rule = ApiLimit {
                path: pattern.map(str::to_owned),
                ..ApiLimits::default().rules[0].clone()
            };
            assert_eq!(rule.covers(ApiClass::Read, path), expected, "{pattern:?} {path}");
            assert!(!rule.covers(ApiClass::Write, path));
        }
    }

    #[test]
    fn wrong_rules_are_told_by_place_and_field() {
        assert!(ApiLimits::default().check().is_ok());
        let check = |change: fn(&mut ApiLimits), field: &str| {
            let mut limits = ApiLimits::default();
            change(&mut limits);
            let Err(Error::Invalid { field: found, .. }) = limits.check() else {
                panic!("{field} went through")
            };
            assert_eq!(found, field);
        };
        check(|limits| limits.rules[1].name = " ".into(), "rules[1].name");
        check(|limits| limits.rules[3].name = "reads".into(), "rules[3].name");
        for wrong in ["apps", "", "/", "/apps//x", "/api/v1/apps", "/apps/**/x", "/apps/a*", "/a b"] {
            let mut limits = ApiLimits::default();
            limits.rules[0].path = Some(wrong.to_owned());
            assert!(
                matches!(limits.check(), Err(Error::Invalid { field, .. }) if field == "rules[0].path"),
                "{wrong}"
            );
        }
        check(|limits| limits.rules[0].requests = 0, "rules[0].requests");
        check(|limits| limits.rules[0].period_seconds = 0, "rules[0].period_seconds");
        check(|limits| limits.rules[2].burst = 2_000_000, "rules[2].burst");
        check(|limits| limits.rules = vec![limits.rules[0].clone(); 51], "rules");
    }
}

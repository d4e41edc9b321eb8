//! Rules of a domain: which requests go elsewhere than to the domain's own app, and where. The matching itself is here,
//! so that the edge and the answer to "why this?" cannot differ.

use crate::{AppId, Asked, Error, Host, HostPattern, PathChange, Redirect, RequestMatch, Result, RuleId, ServicePort, TrafficPolicy};
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

/// What becomes of a request that a rule fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RuleAction {
    /// To an app of the same organization; `None`: the domain's own.
    App {
        #[serde(default)]
        app: Option<AppId>,
        /// Another service of the app than its main one.
        #[serde(default)]
        service: Option<ServicePort>,
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

fn check_place(field: &str, place: Option<&ServicePort>) -> Result<()> {
    match place {
        Some(place) if place.service.is_empty() || place.port == 0 => {
            Err(Error::invalid(field, "name the service and its port, 1 to 65535"))
        }
        _ => Ok(()),
    }
}

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
        check_place(&format!("parts[{at}].service"), part.service.as_ref())?;
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

    /// Services that it names, each with the app that has it; `None`: the domain's own.
    pub fn services(&self) -> impl Iterator<Item = (Option<&AppId>, &ServicePort)> {
        let one = match self {
            RuleAction::App { app, service, .. } => service.as_ref().map(|place| (app.as_ref(), place)),
            _ => None,
        };
        let parts = self.parts().iter();
        one.into_iter()
            .chain(parts.filter_map(|part| part.service.as_ref().map(|place| (part.app.as_ref(), place))))
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
            RuleAction::App { service, path, .. } => check_place("service", service.as_ref()).and_then(|()| path.check()),
            RuleAction::Origin { path, .. } => path.check(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PathMatch;

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
                service: None,
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

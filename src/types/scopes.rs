//! What a token is for: verbs, each for all kinds of things or for one.
//!
//! As text a scope is its verb, `deploy`, or a kind and a verb, `jobs:read`. It is kept as that text: so tokens of before, whose verbs were
//! all for every kind, mean what they meant.

use serde::{Deserialize, Serialize, de};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// What a token is for. Its user's role still bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Read,
    Deploy,
    Write,
    /// Reveal secrets.
    Secrets,
    /// Open terminals.
    Terminal,
    /// All that the person may do.
    Admin,
}

impl Scope {
    pub const ALL: [Scope; 6] = [
        Scope::Read,
        Scope::Deploy,
        Scope::Write,
        Scope::Secrets,
        Scope::Terminal,
        Scope::Admin,
    ];
}

/// A kind of things that a scope can be bound to. Every operation that asks who it is belongs to one: the chapter of the API's documentation
/// in which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Apps,
    Audit,
    Catalog,
    Certificates,
    Deployments,
    Dns,
    Domains,
    Edge,
    Events,
    Forges,
    Jobs,
    Logs,
    Previews,
    Projects,
    Registries,
    Servers,
    Sessions,
    Settings,
    Tokens,
    Upgrades,
    Users,
    Variables,
    Volumes,
    Webhooks,
}

impl Family {
    pub const ALL: [Family; 24] = [
        Family::Apps,
        Family::Audit,
        Family::Catalog,
        Family::Certificates,
        Family::Deployments,
        Family::Dns,
        Family::Domains,
        Family::Edge,
        Family::Events,
        Family::Forges,
        Family::Jobs,
        Family::Logs,
        Family::Previews,
        Family::Projects,
        Family::Registries,
        Family::Servers,
        Family::Sessions,
        Family::Settings,
        Family::Tokens,
        Family::Upgrades,
        Family::Users,
        Family::Variables,
        Family::Volumes,
        Family::Webhooks,
    ];
}

/// One scope: a verb for all kinds of things, or for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundScope {
    /// `None`: all kinds.
    pub of: Option<Family>,
    pub scope: Scope,
}

impl From<Scope> for BoundScope {
    fn from(scope: Scope) -> BoundScope {
        BoundScope { of: None, scope }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

impl fmt::Display for BoundScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            None => self.scope.fmt(f),
            Some(family) => write!(f, "{family}:{}", self.scope),
        }
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Scope, String> {
        let found = Scope::ALL.into_iter().find(|scope| scope.to_string() == text);
        found.ok_or_else(|| format!("`{text}` is no verb: use {}", listed(&Scope::ALL)))
    }
}

impl FromStr for Family {
    type Err = String;
    fn from_str(text: &str) -> Result<Family, String> {
        let found = Family::ALL.into_iter().find(|family| family.to_string() == text);
        found.ok_or_else(|| format!("`{text}` is no kind of things: use {}", listed(&Family::ALL)))
    }
}

impl FromStr for BoundScope {
    type Err = String;
    fn from_str(text: &str) -> Result<BoundScope, String> {
        let Some((family, verb)) = text.split_once(':') else {
            return Ok(text.parse::<Scope>()?.into());
        };
        let bound = BoundScope {
            of: Some(family.parse()?),
            scope: verb.parse()?,
        };
        match bound.scope {
            // What it adds to the verbs below it reaches what all kinds share: people, settings, the machine.
            Scope::Admin => Err(format!(
                "admin is everything that its owner may do, so it is not of one kind: use {family}: with read, deploy, write, secrets or terminal"
            )),
            _ => Ok(bound),
        }
    }
}

impl Serialize for BoundScope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BoundScope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<BoundScope, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

fn listed(all: &[impl fmt::Display]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The scopes of a token. Who may do anything sees it too: `Read` is among them for every kind that they name, and for all kinds unless each is
/// bound to one. `Admin` is all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes(BTreeSet<BoundScope>);

impl Scopes {
    pub fn of<S: Into<BoundScope>>(scopes: impl IntoIterator<Item = S>) -> Scopes {
        let mut all: BTreeSet<BoundScope> = scopes.into_iter().map(Into::into).collect();
        if all.contains(&Scope::Admin.into()) {
            all.extend(Scope::ALL.map(BoundScope::from));
        }
        let kinds: BTreeSet<Option<Family>> = all.iter().map(|one| one.of).collect();
        all.extend(kinds.iter().map(|&of| BoundScope { of, scope: Scope::Read }));
        if all.is_empty() {
            all.insert(Scope::Read.into());
        }
        // What holds for all kinds need not be said of one.
        let whole: BTreeSet<Scope> = all.iter().filter(|one| one.of.is_none()).map(|one| one.scope).collect();
        all.retain(|one| one.of.is_none() || !whole.contains(&one.scope));
        Scopes(all)
    }
    pub fn all() -> Scopes {
        Scopes::of([Scope::Admin])
    }
    /// The short way to say it: read, deploy, write and admin each include the ones before, and write includes secrets
    /// and terminals.
    pub fn up_to(scope: Scope) -> Scopes {
        match scope {
            Scope::Write => Scopes::of([Scope::Deploy, Scope::Write, Scope::Secrets, Scope::Terminal]),
            scope => Scopes::of([scope]),
        }
    }
    /// Whether it holds for things of this kind; `None`: for all kinds.
    pub fn has(&self, scope: Scope, of: Option<Family>) -> bool {
        self.0.contains(&scope.into()) || of.is_some() && self.0.contains(&BoundScope { of, scope })
    }
    /// Whether some of them hold for one kind only.
    pub fn is_bound(&self) -> bool {
        self.0.iter().any(|one| one.of.is_some())
    }
    pub fn includes(&self, other: &Scopes) -> bool {
        other.0.iter().all(|one| self.has(one.scope, one.of))
    }
    /// Those for all kinds first, then kind by kind.
    pub fn iter(&self) -> impl Iterator<Item = BoundScope> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        let read = |one: &str| one.parse::<BoundScope>().expect("a scope");
        Scopes::of(text.split_whitespace().map(read))
    }

    fn words(scopes: &Scopes) -> String {
        scopes.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_said_is_read_and_said_again() {
        for (text, expected) in [
            ("", "read"),
            ("read", "read"),
            ("deploy", "read deploy"),
            ("admin", "read deploy write secrets terminal admin"),
            ("apps:deploy", "apps:read apps:deploy"),
            ("jobs:read apps:deploy", "apps:read apps:deploy jobs:read"),
            ("read apps:deploy", "read apps:deploy"),
            ("deploy apps:deploy apps:read apps:write", "read deploy apps:write"),
            ("dns:terminal", "dns:read dns:terminal"),
        ] {
            let made = scopes(text);
            assert_eq!(words(&made), expected, "{text}");
            assert_eq!(scopes(&words(&made)), made, "{text}");
            let kept = serde_json::to_string(&made).expect("JSON");
            assert_eq!(serde_json::from_str::<Scopes>(&kept).expect("scopes"), made, "{kept}");
        }
        for family in Family::ALL {
            assert_eq!(family.to_string().parse(), Ok(family));
        }
        let before: Scopes = serde_json::from_str(r#"["read","deploy"]"#).expect("as tokens were kept before");
        assert_eq!(before, Scopes::up_to(Scope::Deploy));
        assert!(!before.is_bound() && scopes("read jobs:write").is_bound());
    }

    #[test]
    fn what_is_no_scope_is_refused_in_words() {
        for (text, expected) in [
            ("reed", "`reed` is no verb: use read, deploy, write, secrets, terminal, admin"),
            ("apps:all", "`all` is no verb"),
            ("app:read", "`app` is no kind of things: use apps, audit, catalog"),
            (":read", "`` is no kind of things"),
            ("apps:", "`` is no verb"),
            ("apps:read:write", "`read:write` is no verb"),
            ("setup:read", "`setup` is no kind of things"),
            ("apps:admin", "admin is everything that its owner may do, so it is not of one kind"),
        ] {
            let why = text.parse::<BoundScope>().expect_err(text);
            assert!(why.contains(expected), "{text}: {why}");
        }
        assert!(serde_json::from_str::<Scopes>(r#"["apps:admin"]"#).is_err());
    }

    #[test]
    fn a_kind_is_within_all_and_not_the_other_way() {
        for (one, other, included) in [
            ("read", "apps:read", true),
            ("apps:read", "read", false),
            ("apps:read", "apps:read", true),
            ("apps:read", "jobs:read", false),
            ("apps:deploy", "apps:read", true),
            ("apps:deploy jobs:read", "jobs:read", true),
            ("apps:deploy jobs:read", "jobs:deploy", false),
            ("deploy", "apps:deploy jobs:deploy", true),
            ("deploy", "apps:write", false),
            ("read apps:write", "apps:write domains:read", true),
            ("read apps:write", "write", false),
            ("admin", "apps:terminal secrets", true),
            ("write", "admin", false),
        ] {
            assert_eq!(scopes(one).includes(&scopes(other)), included, "{one} has {other}");
        }
        let every = Scopes::of(Family::ALL.map(|family| BoundScope {
            of: Some(family),
            scope: Scope::Read,
        }));
        assert!(!every.includes(&scopes("read")), "kinds may come");
    }
}

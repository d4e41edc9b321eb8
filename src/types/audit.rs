//! The audit log: what was changed, by whom, from where, each entry chained to the one before by SHA-256.
//!
//! The shape of an entry is part of its hash, so fields are only ever added, and left out of the JSON while they are empty.

use crate::{Actor, OrganizationId, Time, Who};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Of the entry before the first.
pub const FIRST_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// On whose behalf something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    pub who: Who,
    pub organization: Option<OrganizationId>,
    pub address: Option<String>,
}

impl From<&Actor> for Asker {
    fn from(actor: &Actor) -> Asker {
        Asker {
            who: actor.who.clone(),
            organization: Some(actor.organization.clone()),
            address: actor.address.clone(),
        }
    }
}

/// One entry. It is never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// 1, 2, 3, … over the whole panel.
    pub sequence: u64,
    pub at: Time,
    /// `None`: it concerns the panel as a whole.
    pub organization: Option<OrganizationId>,
    pub by: Who,
    pub address: Option<String>,
    /// Such as `app.changed` or `signed_in`.
    pub what: String,
    /// One sentence without the subject.
    pub words: String,
    pub changes: Vec<AuditChange>,
    /// The hash of the entry before, or [`FIRST_HASH`].
    pub previous: String,
    /// SHA-256, hex, over all of the above as JSON without spaces whose keys are sorted.
    pub hash: String,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditChange {
    /// Such as `app`.
    pub kind: String,
    pub key: String,
    /// What people call it.
    pub name: String,
    pub verb: AuditVerb,
    pub fields: Vec<AuditField>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditVerb {
    Created,
    Changed,
    Removed,
}

/// A field that is another than before. The values of secrets are never in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditField {
    /// Such as `limits.memory_bytes`.
    pub field: String,
    pub before: Option<String>,
    pub after: Option<String>,
    /// It changed, and its values are not told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// What is kept of the entries that were cut: the last of them, to which the first that is left is chained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditAnchor {
    pub sequence: u64,
    pub hash: String,
    pub at: Time,
}

/// What checking the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Entries that are there, broken ones included.
    pub entries: u64,
    /// The first that is there; 0: none.
    pub first: u64,
    /// The last that holds, or the anchor.
    pub last: u64,
    /// Of `last`.
    pub hash: String,
    /// The first entry that does not hold, and why.
    pub broken: Option<(u64, String)>,
}

impl AuditVerb {
    pub fn word(self) -> &'static str {
        match self {
            AuditVerb::Created => "created",
            AuditVerb::Changed => "changed",
            AuditVerb::Removed => "removed",
        }
    }
}

impl fmt::Display for AuditChange {
    /// `changed app blog: port, limits.memory_bytes`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `settings`, not `setting settings`.
        match self.name.starts_with(&self.kind) {
            true => write!(f, "{} {}", self.verb.word(), self.name)?,
            false => write!(f, "{} {} {}", self.verb.word(), self.kind, self.name)?,
        }
        if self.verb == AuditVerb::Changed && !self.fields.is_empty() {
            let names: Vec<&str> = self.fields.iter().take(4).map(|field| field.field.as_str()).collect();
            write!(f, ": {}", names.join(", "))?;
            if self.fields.len() > names.len() {
                write!(f, " and {} more", self.fields.len() - names.len())?;
            }
        }
        Ok(())
    }
}

/// JSON without spaces and with sorted keys, so that everybody gets the same bytes.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            let parts: Vec<String> = sorted
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::String(name.clone()), canonical(value)))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}

/// What an entry is told apart by, for a search. Empty parts hold for all.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// A part of a mail address, of a token's name, or of an address.
    pub who: Option<String>,
    /// The begin of `what`, or of that of one of the changes: `app`, `app.changed`.
    pub what: Option<String>,
    pub since: Option<Time>,
    pub until: Option<Time>,
    /// Words that must all occur.
    pub text: Option<String>,
}

impl AuditQuery {
    pub fn fits(&self, entry: &AuditEntry) -> bool {
        let holds = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        let who = self.who.as_deref().is_none_or(|who| {
            holds(&entry.by.to_string(), who) || entry.address.as_deref().is_some_and(|address| address == who) || is_person(&entry.by, who)
        });
        let what = self.what.as_deref().is_none_or(|what| {
            let begins = |text: &str| text == what || text.strip_prefix(what).is_some_and(|rest| rest.starts_with('.'));
            let of = |change: &AuditChange| format!("{}.{}", word_of(&change.kind), change.verb.word());
            begins(&entry.what) || entry.changes.iter().any(|change| begins(&of(change)))
        });
        who && what
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
            && self.text.as_deref().is_none_or(|text| {
                let all = entry.text();
                text.split_whitespace().all(|word| all.contains(&word.to_lowercase()))
            })
    }
}

/// A person is found by their id too, also behind a token.
fn is_person(by: &Who, id: &str) -> bool {
    match by {
        Who::User { id: user, .. } => user.as_str() == id,
        Who::Token { id: token, user, .. } => user.as_str() == id || token.as_str() == id,
        Who::Machine { .. } | Who::System => false,
    }
}

/// `remembered browser` as a part of `what`: `remembered_browser`.
pub fn word_of(kind: &str) -> String {
    kind.to_lowercase().replace(' ', "_")
}

impl AuditEntry {
    /// All that a search looks at, in lower case.
    fn text(&self) -> String {
        let mut all = format!(
            "{} {} {} {}",
            self.words,
            self.what,
            self.by,
            self.address.as_deref().unwrap_or_default()
        );
        for change in &self.changes {
            all.push_str(&format!(" {change} {}", change.key));
            for field in &change.fields {
                for part in [Some(&field.field), field.before.as_ref(), field.after.as_ref()]
                    .into_iter()
                    .flatten()
                {
                    all.push(' ');
                    all.push_str(part);
                }
            }
        }
        all.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn canonical_json_does_not_depend_on_the_order_of_fields() {
        let one = json!({"b": [1, {"z": null, "a": "ü\"\n"}], "a": true});
        assert_eq!(canonical(&one), r#"{"a":true,"b":[1,{"a":"ü\"\n","z":null}]}"#);
        assert_eq!(canonical(&json!({})), "{}");
    }

    #[test]
    fn a_search_looks_at_everything_that_is_told() {
        let entry = AuditEntry {
            sequence: 1,
            at: Time(1000),
            organization: None,
            by: Who::User {
                id: crate::World::system().id(),
                email: "ada@example.com".into(),
            },
            address: Some("192.0.2.7".into()),
            what: "app.changed".into(),
            words: "changed app blog: port".into(),
            changes: vec![AuditChange {
                kind: "DNS provider".into(),
                key: "app_1".into(),
                name: "blog".into(),
                verb: AuditVerb::Changed,
                fields: vec![AuditField {
                    field: "port".into(),
                    before: Some("80".into()),
                    after: Some("Gopher".into()),
                    secret: false,
                }],
            }],
            previous: String::new(),
            hash: String::new(),
        };
        let query = |who: &str, what: &str, text: &str| AuditQuery {
            who: Some(who.into()).filter(|who: &String| !who.is_empty()),
            what: Some(what.into()).filter(|what: &String| !what.is_empty()),
            text: Some(text.into()),
            ..AuditQuery::default()
        };
        for (who, what, text, expected) in [
            ("", "", "", true),
            ("ADA", "", "", true),
            ("192.0.2.7", "", "", true),
            ("192.0.2", "", "", false),
            ("bob", "", "", false),
            ("", "app", "", true),
            ("", "app.changed", "", true),
            ("", "ap", "", false),
            ("", "dns_provider.changed", "", true),
            ("", "", "gopher BLOG", true),
            ("", "", "gopher shop", false),
        ] {
            assert_eq!(query(who, what, text).fits(&entry), expected, "{who} {what} {text}");
        }
        for (since, until, expected) in [(1000, 1001, true), (1001, 2000, false), (0, 1000, false)] {
            let query = AuditQuery {
                since: Some(Time(since)),
                until: Some(Time(until)),
                ..AuditQuery::default()
            };
            assert_eq!(query.fits(&entry), expected, "{since} to {until}");
        }
    }
}

//! The audit log: searching, exporting, checking.

use crate::{
    Panel,
    answers::{self, Page, moment},
    failures::{Answer, Failure},
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::Query,
    payload::{Json, PlainText},
};
use time::OffsetDateTime;
use types::{AuditQuery, AuditVerb, Time, Who};

/// Entries in one part of an export.
const EXPORT: u64 = 5_000;

/// Something that was done.
#[derive(Debug, Object)]
pub struct AuditEntry {
    /// 1, 2, 3, … over the whole panel; in other organizations than the one that runs it, made of the hash.
    pub number: u64,
    pub at: OffsetDateTime,
    /// Who, in words.
    pub by: String,
    pub by_kind: AuditBy,
    /// Where the request came from; null: from the panel's own machine, or from nobody.
    pub address: Option<String>,
    /// The country of the address: two letters; null where no database says so.
    pub country: Option<String>,
    /// For programs: `app.changed`, `signed_in`, …
    pub what: String,
    /// What, in one sentence.
    pub text: String,
    pub changes: Vec<AuditChange>,
    /// Of the entry before; empty in other organizations than the one that runs the panel.
    pub previous: String,
    /// SHA-256 over this entry as it is exported, without its hash.
    pub hash: String,
}

/// What acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum AuditBy {
    User,
    Token,
    /// Somebody on the panel's own machine.
    Machine,
    /// The panel itself.
    System,
}

/// What became of a record.
#[derive(Debug, Object)]
pub struct AuditChange {
    /// Such as `app`.
    pub kind: String,
    pub id: String,
    pub name: String,
    /// `created`, `changed` or `removed`.
    pub verb: String,
    pub fields: Vec<AuditField>,
}

/// A field that is another than before.
#[derive(Debug, Object)]
pub struct AuditField {
    pub field: String,
    /// Null: there was nothing, or it is not told.
    pub before: Option<String>,
    pub after: Option<String>,
    /// It changed, and its values are not told.
    pub secret: bool,
}

/// What checking the audit log found.
#[derive(Debug, Object)]
pub struct AuditReport {
    /// Whether every entry holds.
    pub holds: bool,
    pub entries: u64,
    /// The first that is there; 0: none.
    pub first: u64,
    /// The last that holds.
    pub last: u64,
    /// Of `last`: note `last` and `hash` elsewhere, and give them as `known` later.
    pub hash: String,
    /// The first entry that does not hold.
    pub broken: Option<u64>,
    /// What is wrong with it.
    pub why: Option<String>,
}

impl From<types::AuditEntry> for AuditEntry {
    fn from(entry: types::AuditEntry) -> AuditEntry {
        AuditEntry {
            number: entry.sequence,
            at: moment(entry.at),
            by_kind: match entry.by {
                Who::User { .. } => AuditBy::User,
                Who::Token { .. } => AuditBy::Token,
                Who::Machine { .. } => AuditBy::Machine,
                Who::System => AuditBy::System,
            },
            by: entry.by.to_string(),
            address: entry.address,
            country: None,
            what: entry.what,
            text: entry.words,
            changes: entry.changes.into_iter().map(AuditChange::from).collect(),
            previous: entry.previous,
            hash: entry.hash,
        }
    }
}

impl From<types::AuditChange> for AuditChange {
    fn from(change: types::AuditChange) -> AuditChange {
        let fields = change.fields.into_iter().map(|field| AuditField {
            field: field.field,
            before: field.before,
            after: field.after,
            secret: field.secret,
        });
        AuditChange {
            kind: change.kind,
            id: change.key,
            name: change.name,
            verb: AuditVerb::word(change.verb).to_owned(),
            fields: fields.collect(),
        }
    }
}

impl From<types::AuditReport> for AuditReport {
    fn from(report: types::AuditReport) -> AuditReport {
        let (broken, why) = report.broken.unzip();
        AuditReport {
            holds: broken.is_none(),
            entries: report.entries,
            first: report.first,
            last: report.last,
            hash: report.hash,
            broken,
            why,
        }
    }
}

/// Empty is as if it was left out.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

fn query(
    who: Option<String>,
    what: Option<String>,
    since: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
    text: Option<String>,
) -> AuditQuery {
    AuditQuery {
        who: given(who),
        what: given(what),
        since: since.map(Time::from_utc),
        until: until.map(Time::from_utc),
        text: given(text),
    }
}

#[derive(Clone)]
pub(crate) struct AuditApi(pub Panel);

#[OpenApi(tag = "Tag::Audit")]
#[allow(clippy::too_many_arguments)] // one for each parameter of the query
impl AuditApi {
    /// Search the audit log
    ///
    /// Newest first. In a long log a part may hold few entries, or none, and still have a `next`. Needs the role admin.
    #[oai(path = "/audit", method = "get", operation_id = "audit_list")]
    async fn audit_list(
        &self,
        who: Signed,
        /// A part of a mail address or of a token's name, an id, or a whole address.
        by: Query<Option<String>>,
        /// `app`, `app.changed`, `signed_in`, …: the whole, or the begin up to a dot.
        what: Query<Option<String>>,
        /// From this moment on.
        since: Query<Option<OffsetDateTime>>,
        /// Before this moment.
        until: Query<Option<OffsetDateTime>>,
        /// Words that must all occur, in any field.
        text: Query<Option<String>>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<AuditEntry>>> {
        let limit = limit.0.unwrap_or(answers::LIMIT);
        if !(1..=answers::LIMIT_MAX).contains(&limit) {
            return Err(Failure::invalid("limit", format!("must be 1 to {}", answers::LIMIT_MAX)));
        }
        let before = match &cursor.0 {
            Some(cursor) => Some(
                cursor
                    .parse()
                    .map_err(|_| Failure::invalid("cursor", "must be the `next` of an answer before"))?,
            ),
            None => None,
        };
        let query = query(by.0, what.0, since.0, until.0, text.0);
        let page = self.0.audit.list(&who.actor, query, before, limit as usize).await?;
        let mut items: Vec<AuditEntry> = page.entries.into_iter().map(AuditEntry::from).collect();
        for entry in &mut items {
            if let Some(address) = &entry.address {
                entry.country = self.0.security.country(address)?;
            }
        }
        Ok(Json(Page {
            items,
            next: page.next.map(|number| number.to_string()),
        }))
    }

    /// Export the audit log
    ///
    /// Oldest first, an entry a line, as JSON without spaces and with sorted keys. The hash of an entry is SHA-256 over its
    /// line without `"hash"`. A part goes through 5000 entries: go on with the number of the last line as `after`, and
    /// without a search until nothing comes. Other organizations than the one that runs the panel get their own entries, with numbers and
    /// hashes by which they can be found again; what was before each is not told. Needs the role admin.
    #[oai(path = "/audit/export", method = "get", operation_id = "audit_export")]
    async fn audit_export(
        &self,
        who: Signed,
        /// As in a search.
        by: Query<Option<String>>,
        /// As in a search.
        what: Query<Option<String>>,
        /// From this moment on.
        since: Query<Option<OffsetDateTime>>,
        /// Before this moment.
        until: Query<Option<OffsetDateTime>>,
        /// As in a search.
        text: Query<Option<String>>,
        /// The number of the last entry seen.
        after: Query<Option<u64>>,
    ) -> Answer<PlainText<String>> {
        let query = query(by.0, what.0, since.0, until.0, text.0);
        let mut after = after.0.unwrap_or_default();
        loop {
            let page = self.0.audit.export(&who.actor, query.clone(), after, EXPORT).await?;
            match page.next {
                // Nothing fits in this part: the next one, so that an empty answer is the end.
                Some(next) if page.entries.is_empty() => after = next,
                _ => return Ok(PlainText(lines(&page.entries))),
            }
        }
    }

    /// Check the audit log
    ///
    /// Every entry is hashed again and compared with the next one. Needs the role admin.
    #[oai(path = "/audit/verification", method = "get", operation_id = "audit_verify")]
    async fn audit_verify(
        &self,
        who: Signed,
        /// An entry as it was noted before, `NUMBER:HASH`: it must still be there, unless it was old and cut.
        known: Query<Option<String>>,
    ) -> Answer<Json<AuditReport>> {
        let report = self.0.audit.verify(&who.actor, known.0.as_deref()).await?;
        Ok(Json(report.into()))
    }
}

fn lines(entries: &[types::AuditEntry]) -> String {
    let mut text = String::new();
    for entry in entries {
        if let Ok(value) = serde_json::to_value(entry) {
            text.push_str(&types::canonical(&value));
            text.push('\n');
        }
    }
    text
}

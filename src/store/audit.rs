//! The audit log as it is written: beside every change, in the same batch, by the one writer.
//!
//! A record says by [`Record::AUDIT`] whether its changes are told; who asked is known from [`acting`], which wraps the work
//! that is done for somebody. So no service has to remember to tell. Entries are chained by hash; cutting old ones leaves
//! an anchor behind, to which what is left is chained.

use crate::{Record, batch::path, envelope, sealing::Sealer, state::State};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, future::Future};
use types::{
    App, Asker, AuditAnchor, AuditChange, AuditEntry, AuditField, AuditReport, AuditVerb, Environment, Error, Event, FIRST_HASH, Kind,
    Organization, Project, Result, Sealed, Time, User, Who, canonical, word_of,
};

/// Characters of a value.
const VALUE: usize = 500;
/// Fields of a record, and records of a batch whose fields are told.
const MANY: usize = 100;
/// Fields whose values are never told, wherever they are.
const HIDDEN: [&str; 8] = [
    "hash",
    "mailed_hash",
    "password_hash",
    "password",
    "csrf",
    "recovery_hashes",
    "next_hashes",
    "retired_hashes",
];
/// The shortest text that may be sealed: 24 bytes of nonce and 16 of tag, in base64.
const SEALED: usize = 56;

tokio::task_local! {
    /// For whom the task works.
    static ASKER: Asker;
}

/// Everything that `work` writes is written for `asker`. What it spawns is not: that is the panel's own doing.
pub async fn acting<T>(asker: Asker, work: impl Future<Output = T>) -> T {
    ASKER.scope(asker, work).await
}

/// For whom this task works; `None`: the panel itself.
pub(crate) fn current() -> Option<Asker> {
    ASKER.try_with(Clone::clone).ok()
}

/// Which changes of a type are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Always,
    /// Not what the panel does by itself.
    ByPeople,
    /// That there is a new one, and what people do to it.
    Made,
    /// They are events: those that no record tells.
    Events,
    Never,
}

/// How the changes of a type are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audited {
    pub told: Told,
    /// Fields whose values are not told, beside what is sealed.
    pub hidden: &'static [&'static str],
    /// Fields that change all the time and say nothing.
    pub quiet: &'static [&'static str],
}

impl Audited {
    pub const ALWAYS: Audited = Audited::when(Told::Always);
    pub const NEVER: Audited = Audited::when(Told::Never);

    pub const fn when(told: Told) -> Audited {
        Audited {
            told,
            hidden: &[],
            quiet: &[],
        }
    }
    /// Whether the records before and after are looked at.
    pub(crate) fn compares(&self) -> bool {
        matches!(self.told, Told::Always | Told::ByPeople | Told::Made)
    }
    fn tells(&self, verb: AuditVerb, is_person: bool) -> bool {
        match self.told {
            Told::Always => true,
            Told::ByPeople => is_person,
            Told::Made => is_person || verb == AuditVerb::Created,
            Told::Events | Told::Never => false,
        }
    }
}

/// One record of a batch.
pub(crate) struct Touched<'a> {
    pub audit: Audited,
    pub kind: Kind,
    pub key: &'a str,
    pub name: &'a str,
    pub before: Option<&'a [u8]>,
    pub after: Option<&'a [u8]>,
}

/// One told change.
struct Noted {
    change: AuditChange,
    /// The path of the record that it is a part of: a webhook's app.
    owner: Option<(Kind, String)>,
}

impl Noted {
    /// People know an app by its name, and its parts by the app: `A of app blog`. `named` reads a record's name.
    fn told(mut self, named: impl Fn(&str) -> Option<String>) -> AuditChange {
        if let Some((kind, path)) = self.owner
            && let Some(name) = named(&path)
        {
            let of = format!("of {kind} {name}");
            let is_key = path.ends_with(&format!("/{}", self.change.key));
            self.change.name = if is_key { of } else { format!("{} {of}", self.change.name) };
        }
        self.change
    }
}

/// What a batch does, as far as it is told.
#[derive(Default)]
pub(crate) struct Telling {
    changes: Vec<Noted>,
    organization: Option<types::OrganizationId>,
    events: Vec<Event>,
}

impl Telling {
    pub fn note(&mut self, touched: &Touched<'_>, asker: Option<&Asker>, sealer: &Sealer) {
        if touched.audit.told == Told::Events {
            let event = touched.after.and_then(|json| serde_json::from_slice::<Event>(json).ok());
            self.events.extend(event.filter(|event| event.fact.is_audited()));
            return;
        }
        let verb = match (touched.before, touched.after) {
            (None, Some(_)) => AuditVerb::Created,
            (Some(_), Some(_)) => AuditVerb::Changed,
            (Some(_), None) => AuditVerb::Removed,
            (None, None) => return,
        };
        let is_person = asker.is_some_and(|asker| asker.who != Who::System);
        if !touched.audit.tells(verb, is_person) {
            return;
        }
        let read = |json: Option<&[u8]>| json.and_then(|json| serde_json::from_slice(json).ok()).unwrap_or(Value::Null);
        let (before, after) = (read(touched.before), read(touched.after));
        let mut fields = differences(&before, &after, touched.audit, sealer);
        if verb == AuditVerb::Changed && fields.is_empty() {
            return;
        }
        fields.truncate(MANY);
        if self.changes.len() >= MANY {
            fields.clear();
        }
        let own = [&after, &before]
            .into_iter()
            .find_map(|value| value.get("organization")?.as_str()?.parse().ok());
        self.organization = self.organization.take().or(own);
        let record = if after.is_null() { &before } else { &after };
        self.changes.push(Noted {
            owner: owner_of(touched.key, record),
            change: AuditChange {
                kind: touched.kind.to_string(),
                key: touched.key.to_owned(),
                name: touched.name.to_owned(),
                verb,
                fields,
            },
        });
    }

    /// The records of a batch, the one that others belong to first: an app before its domains.
    fn told(changes: Vec<Noted>, named: impl Fn(&str) -> Option<String>) -> Vec<AuditChange> {
        let owns = |one: &Noted| {
            let end = format!("/{}", one.change.key);
            changes
                .iter()
                .any(|other| other.owner.as_ref().is_some_and(|(_, path)| path.ends_with(&end)) && other.change.key != one.change.key)
        };
        let first = changes.iter().position(owns).unwrap_or_default();
        let mut told: Vec<AuditChange> = changes.into_iter().map(|one| one.told(&named)).collect();
        told[..=first].rotate_right(1);
        told
    }
}

/// The record that one is a part of, by the ids in its key, else by its app. An id of its own is none.
fn owner_of(key: &str, record: &Value) -> Option<(Kind, String)> {
    let own = record.get("id").and_then(Value::as_str);
    let parts = key.split('/').chain(record.get("app").and_then(Value::as_str));
    parts.filter(|part| Some(*part) != own).find_map(|part| {
        let (kind, tree) = match part.split_once('_')?.0 {
            "app" => (Kind::App, App::TREE),
            "prj" => (Kind::Project, Project::TREE),
            "env" => (Kind::Environment, Environment::TREE),
            "usr" => (Kind::User, User::TREE),
            // Nearly all is an organization's.
            "org" if part == key => (Kind::Organization, Organization::TREE),
            _ => return None,
        };
        Some((kind, format!("{tree}/{part}")))
    })
}

/// What people call the record with this JSON.
pub(crate) fn name_in(json: &[u8]) -> Option<String> {
    let record: Value = serde_json::from_slice(json).ok()?;
    let name = record.get("email").or_else(|| record.get("name"))?;
    name.as_str().map(str::to_owned)
}

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    sequence: u64,
    hash: String,
}

impl Chain {
    /// The last entry's, else the anchor's.
    pub fn read(state: &State) -> Result<Chain> {
        let mut chain = None;
        state.last(&path::<AuditEntry>(""), None, 1, &mut |at, bytes| {
            let entry: AuditEntry = crate::record::decode(envelope::decode(at, bytes)?.version, envelope::decode(at, bytes)?.json)?;
            chain = Some(Chain {
                sequence: entry.sequence,
                hash: entry.hash,
            });
            Ok(())
        })?;
        Ok(match chain {
            Some(chain) => chain,
            None => Chain::begin(state)?,
        })
    }

    /// Where the first entry that is left hangs.
    fn begin(state: &State) -> Result<Chain> {
        Ok(match anchor(state)? {
            Some(anchor) => Chain {
                sequence: anchor.sequence,
                hash: anchor.hash,
            },
            None => Chain {
                sequence: 0,
                hash: FIRST_HASH.into(),
            },
        })
    }

    /// The entries for what a batch does, chained. `named`: what people call the record at a path.
    pub fn extend(
        &mut self,
        telling: Telling,
        asker: Option<Asker>,
        now: Time,
        named: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<AuditEntry>> {
        let mut entries = Vec::new();
        for event in telling.events {
            entries.push(self.seal(AuditEntry {
                what: event.fact.kind(),
                words: event.fact.words(),
                organization: Some(event.organization),
                by: event.by,
                address: event.address,
                ..blank(now)
            })?);
        }
        if !telling.changes.is_empty() {
            let changes = Telling::told(telling.changes, named);
            let (first, more) = (&changes[0], changes.len() - 1);
            let words = match more {
                0 => first.to_string(),
                _ => format!("{first}; and {more} more"),
            };
            let organization = telling
                .organization
                .or_else(|| asker.as_ref().and_then(|asker| asker.organization.clone()));
            entries.push(self.seal(AuditEntry {
                what: format!("{}.{}", word_of(&first.kind), first.verb.word()),
                words,
                organization,
                address: asker.as_ref().and_then(|asker| asker.address.clone()),
                by: asker.map_or(Who::System, |asker| asker.who),
                changes,
                ..blank(now)
            })?);
        }
        Ok(entries)
    }

    /// An entry that says that old ones were cut.
    pub fn cut(&mut self, count: u64, through: u64, now: Time) -> Result<AuditEntry> {
        self.seal(AuditEntry {
            what: "audit.cut".into(),
            words: format!("cut {count} old entries of the audit log, up to #{through}"),
            ..blank(now)
        })
    }

    fn seal(&mut self, entry: AuditEntry) -> Result<AuditEntry> {
        let mut entry = AuditEntry {
            sequence: self.sequence + 1,
            previous: self.hash.clone(),
            ..entry
        };
        let value = serde_json::to_value(&entry).map_err(|error| Error::internal("writing an audit entry as JSON", error))?;
        entry.hash = hash_of(value);
        self.sequence = entry.sequence;
        self.hash.clone_from(&entry.hash);
        Ok(entry)
    }
}

fn blank(now: Time) -> AuditEntry {
    AuditEntry {
        sequence: 0,
        at: now,
        organization: None,
        by: Who::System,
        address: None,
        what: String::new(),
        words: String::new(),
        changes: Vec::new(),
        previous: String::new(),
        hash: String::new(),
    }
}

/// SHA-256 over an entry without its hash.
fn hash_of(mut entry: Value) -> String {
    if let Some(fields) = entry.as_object_mut() {
        fields.remove("hash");
    }
    let digest = Sha256::digest(canonical(&entry).as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fields in which two records differ; of a new one, those that say something.
fn differences(before: &Value, after: &Value, audit: Audited, sealer: &Sealer) -> Vec<AuditField> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten("", before, &mut old);
    flatten("", after, &mut new);
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut fields = Vec::new();
    for name in names {
        let (before, after) = (old.get(name).copied(), new.get(name).copied());
        if before == after || audit.quiet.contains(&name.split('.').next().unwrap_or(name)) {
            continue;
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        let is_secret = audit.hidden.contains(&last)
            || HIDDEN.contains(&last)
            || [before, after]
                .into_iter()
                .flatten()
                .any(|value| holds_secret(value, audit, sealer));
        let told = |value: Option<&Value>| value.filter(|_| !is_secret).map(|value| text(last, value));
        fields.push(AuditField {
            field: name.clone(),
            before: told(before),
            after: told(after),
            secret: is_secret,
        });
    }
    fields
}

/// Every value by its path; lists stay whole. What is empty is as if it was not there.
fn flatten<'a>(name: &str, value: &'a Value, into: &mut BTreeMap<String, &'a Value>) {
    match value {
        Value::Null => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() {
                    field.clone()
                } else {
                    format!("{name}.{field}")
                };
                flatten(&name, value, into);
            }
        }
        value => drop(into.insert(name.to_owned(), value)),
    }
}

/// Whether something in it is sealed under our key, or has a name that says so.
fn holds_secret(value: &Value, audit: Audited, sealer: &Sealer) -> bool {
    match value {
        Value::String(text) => text.len() >= SEALED && text.len() % 4 == 0 && sealer.unseal(&Sealed(text.clone())).is_ok(),
        Value::Array(items) => items.iter().any(|item| holds_secret(item, audit, sealer)),
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            HIDDEN.contains(&name.as_str()) || audit.hidden.contains(&name.as_str()) || holds_secret(value, audit, sealer)
        }),
        _ => false,
    }
}

fn text(name: &str, value: &Value) -> String {
    let whole = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if name.ends_with("_at") || name == "since" => match number.as_i64() {
            Some(at) => Time(at).to_string(),
            None => number.to_string(),
        },
        other => canonical(other),
    };
    let count = whole.chars().count();
    if count <= VALUE {
        return whole;
    }
    let begin: String = whole.chars().take(VALUE).collect();
    format!("{begin}… ({count} characters)")
}

pub(crate) fn anchor(state: &State) -> Result<Option<AuditAnchor>> {
    let at = path::<AuditAnchor>(ANCHOR_KEY);
    let Some(bytes) = state.get(&at)? else { return Ok(None) };
    let found = envelope::decode(&at, &bytes)?;
    crate::record::decode(found.version, found.json).map(Some)
}

/// Walks the whole chain. `known` is an entry that somebody has noted before: it must still be there, unless it was cut.
pub(crate) fn verify(state: &State, known: Option<(u64, &str)>) -> Result<AuditReport> {
    let begin = Chain::begin(state)?;
    let mut report = AuditReport {
        entries: 0,
        first: 0,
        last: begin.sequence,
        hash: begin.hash,
        broken: None,
    };
    let mut seen = known.is_none_or(|(sequence, _)| sequence < begin.sequence);
    if let Some((sequence, hash)) = known
        && sequence == begin.sequence
    {
        seen = hash == report.hash;
    }
    state.prefix(&path::<AuditEntry>(""), &mut |at, bytes| {
        report.entries += 1;
        let json = envelope::decode(at, bytes)?.json;
        let value: Value = serde_json::from_slice(json).unwrap_or(Value::Null);
        let number = value["sequence"].as_u64().unwrap_or_default();
        if report.entries == 1 {
            report.first = number;
        }
        if report.broken.is_some() {
            return Ok(());
        }
        if let Err(why) = follows(at, &value, &report) {
            // Its place in the store is where somebody finds it.
            let place = at.rsplit('/').next().and_then(|key| key.parse().ok()).unwrap_or(number);
            report.broken = Some((place, why));
            return Ok(());
        }
        report.last = number;
        report.hash = value["hash"].as_str().unwrap_or_default().to_owned();
        if let Some((sequence, hash)) = known
            && sequence == number
        {
            seen = hash == report.hash;
        }
        Ok(())
    })?;
    if !seen
        && report.broken.is_none()
        && let Some((sequence, _)) = known
    {
        report.broken = Some((sequence, "it is not the entry that was noted, or it is gone".into()));
    }
    Ok(report)
}

fn follows(at: &str, value: &Value, report: &AuditReport) -> Result<(), String> {
    let number = value["sequence"].as_u64().ok_or("it cannot be read")?;
    if number != report.last + 1 {
        return Err(format!("the entry before it, #{}, is missing", number.saturating_sub(1)));
    }
    if at != path::<AuditEntry>(&key(number)) {
        return Err("it is in another's place".into());
    }
    if value["previous"].as_str() != Some(report.hash.as_str()) {
        return Err("it does not follow the entry before it".into());
    }
    if value["hash"].as_str() != Some(hash_of(value.clone()).as_str()) {
        return Err("it was changed".into());
    }
    Ok(())
}

/// Sorts as the number does.
pub(crate) fn key(sequence: u64) -> String {
    format!("{sequence:016}")
}

/// The key of the one anchor.
pub(crate) const ANCHOR_KEY: &str = "anchor";

impl Record for AuditEntry {
    const KIND: Kind = Kind::Audit;
    const TREE: &'static str = "audit";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        key(self.sequence)
    }
}

impl Record for AuditAnchor {
    const KIND: Kind = Kind::Audit;
    const TREE: &'static str = "audit_anchor";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        ANCHOR_KEY.into()
    }
}

/// Nobody but the writer puts anything there.
pub(crate) fn is_ours(tree: &str) -> bool {
    tree == <AuditEntry as Record>::TREE || tree == <AuditAnchor as Record>::TREE
}

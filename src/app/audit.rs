//! Reading, checking and cutting the audit log. It is written by the store itself, beside every change.

mod elsewhere;

use std::{sync::Arc, time::Duration};
use store::{SECURITY_KEY, Store};
use types::{Action, Actor, AuditEntry, AuditQuery, AuditReport, Doing, Error, OrganizationId, Result, World};

/// Entries read at once.
const PAGE: usize = 500;
/// Entries that one search looks at; the rest is behind its cursor.
const LOOK: usize = 20_000;
/// Entries kept at most, however young: who floods the log must not fill the disk.
const MOST: u64 = 200_000;
/// Entries cut in one batch.
const CUT: u64 = 2_000;
const DAY: Duration = Duration::from_secs(86_400);

/// Shows the audit log.
#[derive(Clone)]
pub struct Audit {
    store: Store,
    /// Other organizations' readings go through the whole log: one at a time.
    elsewhere: Arc<tokio::sync::Semaphore>,
}

/// A part of the log.
#[derive(Debug, Clone)]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    /// The number of the entry to go on from; `None`: there are no more.
    pub next: Option<u64>,
}

impl Audit {
    pub(crate) fn new(store: Store) -> Audit {
        Audit {
            store,
            elsewhere: Arc::new(tokio::sync::Semaphore::new(1)),
        }
    }

    /// What fits, newest first; at most `limit`, before the entry `before` if that is given. A search through a long log
    /// may answer with few entries, or none, and a cursor to go on from.
    pub async fn list(&self, actor: &Actor, query: AuditQuery, before: Option<u64>, limit: usize) -> Result<AuditPage> {
        actor.may(Action::Audit)?;
        let (store, mine) = (self.store.clone(), self.scope(actor)?);
        if !mine.hosts {
            let _turn = self.elsewhere.acquire().await.doing("waiting to read the audit log")?;
            return blocking(move || elsewhere::list(&store, &mine, &query, before, limit)).await;
        }
        blocking(move || {
            let mut page = AuditPage {
                entries: Vec::new(),
                next: None,
            };
            let (mut before, mut looked) = (before, 0);
            loop {
                let part = match before {
                    Some(before) => store.audit.before(&key(before), PAGE)?,
                    None => store.audit.last(PAGE)?,
                };
                let is_last = part.len() < PAGE;
                looked += part.len();
                for entry in part {
                    if page.entries.len() == limit {
                        page.next = before;
                        return Ok(page);
                    }
                    before = Some(entry.sequence);
                    if mine.holds(&entry) && query.fits(&entry) {
                        page.entries.push(entry.value);
                    }
                }
                if is_last {
                    return Ok(page);
                }
                if looked >= LOOK {
                    page.next = before;
                    return Ok(page);
                }
            }
        })
        .await
    }

    /// What fits of the `limit` entries after the entry `after`, oldest first, and the number of the last one looked at.
    pub async fn export(&self, actor: &Actor, query: AuditQuery, after: u64, limit: u64) -> Result<AuditPage> {
        actor.may(Action::Audit)?;
        let (store, mine) = (self.store.clone(), self.scope(actor)?);
        if !mine.hosts {
            let _turn = self.elsewhere.acquire().await.doing("waiting to read the audit log")?;
            return blocking(move || elsewhere::export(&store, &mine, &query, after, limit)).await;
        }
        blocking(move || {
            let last = store.audit.last(1)?.first().map_or(0, |entry| entry.sequence);
            let anchor = store.audit_anchor.list()?.first().map_or(0, |anchor| anchor.sequence);
            let from = after.max(anchor) + 1;
            let through = last.min(from.saturating_add(limit - 1));
            let mut entries = Vec::new();
            for number in from..=through {
                // Cut meanwhile: what is left follows.
                let Some(entry) = store.audit.find(&key(number))? else { continue };
                if mine.holds(&entry) && query.fits(&entry) {
                    entries.push(entry.value);
                }
            }
            Ok(AuditPage {
                entries,
                next: (through < last).then_some(through),
            })
        })
        .await
    }

    /// Checks the whole chain, which is all organizations'; others than the one that runs the panel learn only whether it holds, and of
    /// their own entries. `known` is an entry that somebody noted before, as `NUMBER:HASH`.
    pub async fn verify(&self, actor: &Actor, known: Option<&str>) -> Result<AuditReport> {
        actor.may(Action::Audit)?;
        let known = known.map(read_known).transpose()?;
        let (store, mine) = (self.store.clone(), self.scope(actor)?);
        if !mine.hosts {
            let _turn = self.elsewhere.acquire().await.doing("waiting to read the audit log")?;
            return blocking(move || elsewhere::verify(&store, &mine, known.as_ref())).await;
        }
        blocking(move || store.verify_audit(known.as_ref().map(|(number, hash)| (*number, hash.as_str())))).await
    }

    /// Entries of nobody's organization are for all while there is one.
    fn scope(&self, actor: &Actor) -> Result<Mine> {
        Ok(Mine {
            organization: actor.organization.clone(),
            is_only: self.store.organizations.list()?.len() < 2,
            hosts: actor.hosts,
        })
    }
}

/// Which entries somebody may see.
struct Mine {
    organization: OrganizationId,
    is_only: bool,
    /// It is the one that runs the panel.
    hosts: bool,
}

impl Mine {
    fn holds(&self, entry: &AuditEntry) -> bool {
        match &entry.organization {
            Some(organization) => *organization == self.organization,
            None => self.is_only,
        }
    }
}

/// The entry's place in the store.
fn key(sequence: u64) -> String {
    format!("{sequence:016}")
}

fn read_known(text: &str) -> Result<(u64, String)> {
    let wrong = || {
        Error::invalid(
            "known",
            "must be an entry's number, a colon and its hash, as a check before printed them",
        )
    };
    let (number, hash) = text.trim().split_once(':').ok_or_else(wrong)?;
    let number = number.trim_start_matches('#').parse().map_err(|_| wrong())?;
    if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    Ok((number, hash.to_lowercase()))
}

/// Long reading goes beside the loop that answers.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.doing("reading the audit log")?
}

/// Why the chain of the log does not hold; `None`: it does.
pub(crate) async fn broken(store: &Store) -> Result<Option<String>> {
    let store = store.clone();
    let report = blocking(move || store.verify_audit(None)).await?;
    Ok(report.broken.map(|(number, why)| format!("entry {number}: {why}")))
}

/// Cuts what is older than the settings say, and what is too much; how many entries went.
pub(crate) async fn cut_old(store: &Store, world: &World) -> Result<u64> {
    let security = store.security.find(SECURITY_KEY)?.map(|stored| stored.value).unwrap_or_default();
    let limit = world.now().minus(DAY * security.audit_days);
    let first = store.audit_anchor.list()?.first().map_or(0, |anchor| anchor.sequence) + 1;
    let last = store.audit.last(1)?.first().map_or(0, |entry| entry.sequence);
    // Numbers grow with time: the first young one is found by halving.
    let (mut old, mut young) = (first, last + 1);
    while old < young {
        let middle = old + (young - old) / 2;
        match store.audit.find(&key(middle))? {
            Some(entry) if entry.at >= limit => young = middle,
            _ => old = middle + 1,
        }
    }
    let through = (young - 1).max(last.saturating_sub(MOST));
    let mut cut = 0;
    let mut at = first;
    while at <= through {
        let end = through.min(at + CUT - 1);
        cut += store.cut_audit(end).await?;
        at = end + 1;
    }
    Ok(cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::tests::{Gate, PASSWORD, visitor},
        security::SecurityChange,
        sessions::Further,
        users::UserChange,
    };
    use store::acting;
    use types::{Asker, AuditVerb, Role, Who};

    fn log(gate: &Gate) -> Audit {
        Audit::new(gate.access.store.clone())
    }
    async fn all(gate: &Gate, by: &Actor) -> Vec<AuditEntry> {
        let page = log(gate).list(by, AuditQuery::default(), None, 1000).await.expect("listed");
        page.entries
    }

    #[tokio::test]
    async fn a_change_is_told_with_who_where_before_and_after_and_secrets_without_values() {
        let (gate, owner) = Gate::claimed().await;
        let change = || async {
            let (bob, _) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
            let change = UserChange {
                role: Some(Role::Admin),
                password: Some("nine brown foxes at dusk".into()),
                ..UserChange::default()
            };
            gate.users.update(&owner, bob.id.as_str(), change).await.expect("changed");
            let hash = gate.access.store.users.get(bob.id.as_str()).expect("there").password_hash.clone();
            (bob, hash)
        };
        let (bob, hash) = acting(Asker::from(&owner), change()).await;
        let entries = all(&gate, &owner).await;
        let changed = entries.iter().find(|entry| entry.what == "user.changed").expect("told");
        assert_eq!((&changed.by, changed.address.as_deref()), (&owner.who, Some("10.0.0.1")));
        assert_eq!(changed.organization.as_ref(), Some(&owner.organization));
        let change = &changed.changes[0];
        assert_eq!((change.verb, change.name.as_str()), (AuditVerb::Changed, "bob@example.com"));
        let role = change.fields.iter().find(|field| field.field == "role").expect("told");
        assert_eq!((role.before.as_deref(), role.after.as_deref()), (Some("viewer"), Some("admin")));
        let password = change.fields.iter().find(|field| field.field == "password_hash").expect("told");
        assert!(password.secret && password.before.is_none() && password.after.is_none());
        let text = serde_json::to_string(&entries).expect("JSON");
        assert!(
            !text.contains(&hash) && !text.contains("argon2") && !text.contains("foxes"),
            "{text}"
        );

        // Seen by its object, and not when nothing but the last visit changed.
        gate.access.see(bob).await.expect("seen");
        assert_eq!(all(&gate, &owner).await.len(), entries.len());
        let report = log(&gate).verify(&owner, None).await.expect("checked");
        assert_eq!((report.broken, report.entries), (None, entries.len() as u64));
    }

    #[tokio::test]
    async fn signing_in_and_failing_to_are_told_once_each() {
        let (gate, owner) = Gate::claimed().await;
        let try_with = async |password: &str| {
            let from = visitor("192.0.2.9");
            gate.sessions
                .create("ada@example.com", &password.into(), &Further::default(), &from)
                .await
        };
        try_with("wrong horse battery").await.expect_err("refused");
        try_with(PASSWORD).await.expect("signed in");
        let entries = all(&gate, &owner).await;
        for what in ["login_failed", "signed_in", "panel_claimed"] {
            let found: Vec<_> = entries.iter().filter(|entry| entry.what == what).collect();
            assert_eq!(found.len(), 1, "{what}: {entries:?}");
        }
        let failed = entries.iter().find(|entry| entry.what == "login_failed").expect("told");
        assert_eq!(failed.address.as_deref(), Some("192.0.2.9"));
    }

    #[tokio::test]
    async fn nobody_changes_removes_or_forges_an_entry() {
        let (gate, owner) = Gate::claimed().await;
        let store = &gate.access.store;
        let mut entry = store.audit.last(1).expect("read").remove(0);
        let key = format!("{:016}", entry.sequence);
        entry.value.words = "nothing happened".into();
        assert!(matches!(store.audit.save(entry.clone()).await, Err(Error::Forbidden { .. })));
        assert!(matches!(store.audit.remove(&key).await, Err(Error::Forbidden { .. })));
        entry.value.sequence += 1;
        assert!(matches!(store.audit.insert(entry.value).await, Err(Error::Forbidden { .. })));
        assert_eq!(log(&gate).verify(&owner, None).await.expect("checked").broken, None);
    }

    #[tokio::test]
    async fn another_organization_sees_nothing_and_the_small_may_not_look() {
        let (gate, owner) = Gate::claimed().await;
        let mut stranger = owner.clone();
        stranger.organization = gate.access.world.id();
        let other = types::Organization {
            id: stranger.organization.clone(),
            name: "other".parse().expect("a slug"),
            created_at: gate.access.world.now(),
            hosts: false,
            removing: false,
        };
        acting(Asker::from(&stranger), gate.access.store.organizations.insert(other))
            .await
            .expect("made");
        assert!(!all(&gate, &owner).await.is_empty());
        for entry in all(&gate, &stranger).await {
            assert_eq!(entry.organization.as_ref(), Some(&stranger.organization), "{entry:?}");
        }
        let exported = log(&gate)
            .export(&stranger, AuditQuery::default(), 0, 1000)
            .await
            .expect("exported");
        assert!(
            exported
                .entries
                .iter()
                .all(|entry| entry.organization.as_ref() == Some(&stranger.organization))
        );
        let mut small = owner.clone();
        small.role = Role::Developer;
        assert!(matches!(
            log(&gate).list(&small, AuditQuery::default(), None, 1).await,
            Err(Error::Forbidden { .. })
        ));
        assert!(matches!(
            log(&gate).export(&small, AuditQuery::default(), 0, 1).await,
            Err(Error::Forbidden { .. })
        ));
        assert!(matches!(log(&gate).verify(&small, None).await, Err(Error::Forbidden { .. })));
    }

    #[tokio::test]
    async fn pages_and_exports_cover_the_log_once_and_old_entries_are_cut() {
        let (gate, owner) = Gate::claimed().await;
        for days in 1..=40 {
            gate.clock.forward(DAY);
            let change = SecurityChange {
                grace_days: Some(days),
                ..SecurityChange::default()
            };
            gate.security.update(&owner, change).await.expect("changed");
        }
        let whole = all(&gate, &owner).await;
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = log(&gate).list(&owner, AuditQuery::default(), before, 7).await.expect("listed");
            paged.extend(page.entries);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(paged, whole);
        let (mut exported, mut after) = (Vec::new(), Some(0));
        while let Some(from) = after {
            let page = log(&gate).export(&owner, AuditQuery::default(), from, 11).await.expect("exported");
            exported.extend(page.entries);
            after = page.next;
        }
        exported.reverse();
        assert_eq!(exported, whole);

        let head = log(&gate).verify(&owner, None).await.expect("checked");
        let shorter = SecurityChange {
            audit_days: Some(30),
            ..SecurityChange::default()
        };
        gate.security.update(&owner, shorter).await.expect("changed");
        let cut = cut_old(&gate.access.store, &gate.access.world).await.expect("cut");
        assert!(cut >= 9, "{cut}");
        let left = all(&gate, &owner).await;
        assert_eq!(left[0].what, "audit.cut");
        assert_eq!(left[0].by, Who::System);
        let limit = gate.access.world.now().minus(DAY * 30);
        assert!(left.iter().all(|entry| entry.at >= limit));
        let after = log(&gate).verify(&owner, None).await.expect("checked");
        assert_eq!((after.broken, after.first), (None, cut + 1));
        // An entry that was noted before holds, is missed when it is another, and is no reproach once it was cut.
        let known = |number: u64, hash: &str| format!("{number}:{hash}");
        let check = async |known: String| log(&gate).verify(&owner, Some(&known)).await.expect("checked").broken;
        assert_eq!(check(known(head.last, &head.hash)).await, None);
        assert_eq!(check(known(1, &whole[whole.len() - 1].hash)).await, None);
        assert_eq!(
            check(known(head.last, &"0".repeat(64))).await.map(|(number, _)| number),
            Some(head.last)
        );
        assert_eq!(check(known(9999, &head.hash)).await.map(|(number, _)| number), Some(9999));
        for wrong in ["", "7", "x:y", "7:abc"] {
            assert!(
                matches!(log(&gate).verify(&owner, Some(wrong)).await, Err(Error::Invalid { .. })),
                "{wrong}"
            );
        }
        assert_eq!(
            cut_old(&gate.access.store, &gate.access.world).await.expect("cut"),
            0,
            "once is enough"
        );
    }
}

//! What the engine keeps of builds so that the next ones are quick: how much that is, and that it stays within its budget.

use crate::{apps::find_app, builders::Engine, ground::Ground};
use std::{cmp::Reverse, collections::HashMap, sync::Arc};
use types::{Action, Actor, App, AppId, AppName, BuildCache, CacheRecord, Fact, Result};

/// Of the disk, where the configuration says nothing.
const SHARE: u64 = 10;
const LEAST: u64 = 2 << 30;
const MOST: u64 = 50 << 30;
/// How often an app's part is gone through.
const LOOKS: usize = 4;

#[derive(Clone)]
pub struct BuildCaches {
    ground: Arc<Ground>,
}

/// The cache and what it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildCacheView {
    pub cache: BuildCache,
    pub limit_bytes: u64,
    /// What of it is whose, the largest first; of the rest nobody can tell.
    pub apps: Vec<AppShare>,
}

/// What is one app's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppShare {
    pub app: AppId,
    pub name: AppName,
    pub bytes: u64,
}

/// What the engine keeps of one app's builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppCacheView {
    pub bytes: u64,
    /// `None`: as much as all may.
    pub limit_bytes: Option<u64>,
    /// The largest first.
    pub records: Vec<CacheRecord>,
}

impl BuildCaches {
    pub(crate) fn new(ground: Arc<Ground>) -> BuildCaches {
        BuildCaches { ground }
    }

    pub async fn show(&self, actor: &Actor) -> Result<BuildCacheView> {
        actor.may(Action::Operate)?;
        let mut shares: HashMap<AppId, u64> = HashMap::new();
        for record in self.ground.node.build_cache_records().await? {
            if let Some(app) = record.app {
                *shares.entry(app).or_default() += record.bytes;
            }
        }
        let mut apps: Vec<AppShare> = self
            .ground
            .store
            .apps
            .list()?
            .into_iter()
            .filter_map(|app| {
                Some(AppShare {
                    bytes: shares.remove(&app.id)?,
                    app: app.value.id,
                    name: app.value.name,
                })
            })
            .collect();
        apps.sort_by_key(|share| Reverse(share.bytes));
        Ok(BuildCacheView {
            cache: self.ground.node.build_cache().await?,
            limit_bytes: limit(&self.ground),
            apps,
        })
    }

    /// What is kept of an app's builds, as far as it can be told.
    pub async fn of_app(&self, actor: &Actor, app: &str) -> Result<AppCacheView> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let mut records = records_of(&Engine::Here(&self.ground), &app.id).await?;
        records.sort_by_key(|record| Reverse(record.bytes));
        Ok(AppCacheView {
            bytes: records.iter().map(|record| record.bytes).sum(),
            limit_bytes: app.build_cache_bytes,
            records,
        })
    }

    /// Throws away what of an app was not used for the longest time until `keep` bytes are left. Answers the bytes that came free.
    pub async fn trim_app(&self, actor: &Actor, app: &str, keep: u64) -> Result<u64> {
        actor.may_somewhere(Action::Configure)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        let bytes = cut(&Engine::Here(&self.ground), &app.id, keep).await?;
        let app = Some(app.id);
        self.ground.events.emit(actor, Fact::BuildCacheTrimmed { bytes, app }).await;
        Ok(bytes)
    }

    /// Throws away what was not used for the longest time until `keep` bytes are left, but nothing that a build uses just now.
    /// Answers the bytes that came free.
    pub async fn trim(&self, actor: &Actor, keep: u64) -> Result<u64> {
        actor.may(Action::Operate)?;
        let bytes = self.ground.node.build_cache_trim(keep).await?;
        self.ground.events.emit(actor, Fact::BuildCacheTrimmed { bytes, app: None }).await;
        Ok(bytes)
    }
}

async fn records_of(engine: &Engine<'_>, app: &AppId) -> Result<Vec<CacheRecord>> {
    let all = engine.cache_records().await?;
    Ok(all.into_iter().filter(|record| record.app.as_ref() == Some(app)).collect())
}

async fn cut(engine: &Engine<'_>, app: &AppId, keep: u64) -> Result<u64> {
    let mut freed = 0_u64;
    // The engine does not let go what another record stands on, so that may take a second look.
    for _ in 0..LOOKS {
        let before = freed;
        for id in over(&records_of(engine, app).await?, keep) {
            freed = freed.saturating_add(engine.cache_remove(&id).await?);
        }
        if freed == before {
            break;
        }
    }
    Ok(freed)
}

/// Ids of what goes so that `keep` bytes are left: what was not used for the longest time first, and nothing that is in use.
fn over(records: &[CacheRecord], keep: u64) -> Vec<String> {
    let mut bytes: u64 = records.iter().map(|record| record.bytes).sum();
    let mut free: Vec<&CacheRecord> = records.iter().filter(|record| !record.in_use).collect();
    free.sort_by_key(|record| record.used_at.map(|at| at.0));
    let mut ids = Vec::new();
    for record in free {
        // Nothing is to stay: what takes no room goes as well, so that the next build begins anew.
        if bytes <= keep && keep > 0 {
            break;
        }
        bytes -= record.bytes;
        ids.push(record.id.clone());
    }
    ids
}

/// Cuts what is over an app's own budget, if it has one.
pub(crate) async fn keep_app_within(engine: &Engine<'_>, app: &App) -> Result<u64> {
    match app.build_cache_bytes {
        Some(limit) => cut(engine, &app.id, limit).await,
        None => Ok(0),
    }
}

/// Cuts what is over the budget; answers the bytes that came free.
pub(crate) async fn keep_within(ground: &Ground) -> Result<u64> {
    ground.node.build_cache_trim(limit(ground)).await
}

fn limit(ground: &Ground) -> u64 {
    let disk = (**ground.last_sample.load()).as_ref().map(|sample| sample.disk_total_bytes);
    ground.options.build_cache_bytes.unwrap_or_else(|| usual(disk.unwrap_or(0)))
}

/// For a disk of so many bytes.
fn usual(disk: u64) -> u64 {
    (disk / SHARE).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays() {
        let record = |id: &str, bytes: u64, used: Option<i64>, in_use: bool| CacheRecord {
            id: id.to_owned(),
            app: None,
            what: String::new(),
            bytes,
            in_use,
            made_at: None,
            used_at: used.map(types::Time),
        };
        let records = [
            record("new", 10, Some(30), false),
            record("busy", 10, Some(1), true),
            record("old", 10, Some(10), false),
            record("never", 10, None, false),
        ];
        assert_eq!(over(&records, 40), Vec::<String>::new());
        assert_eq!(over(&records, 25), ["never", "old"]);
        assert_eq!(over(&records, 0), ["never", "old", "new"]);
    }

    #[test]
    fn the_budget_follows_the_disk() {
        assert_eq!(usual(0), LEAST);
        assert_eq!(usual(80 << 30), 8 << 30);
        assert_eq!(usual(4 << 40), MOST);
    }
}

//! What the engine keeps of builds so that the next ones are quick: how much that is, and that it stays within its budget.

use crate::ground::Ground;
use std::sync::Arc;
use types::{Action, Actor, BuildCache, Fact, Result};

/// Of the disk, where the configuration says nothing.
const SHARE: u64 = 10;
const LEAST: u64 = 2 << 30;
const MOST: u64 = 50 << 30;

#[derive(Clone)]
pub struct BuildCaches {
    ground: Arc<Ground>,
}

/// The cache and what it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildCacheView {
    pub cache: BuildCache,
    pub limit_bytes: u64,
}

impl BuildCaches {
    pub(crate) fn new(ground: Arc<Ground>) -> BuildCaches {
        BuildCaches { ground }
    }

    pub async fn show(&self, actor: &Actor) -> Result<BuildCacheView> {
        actor.may(Action::Operate)?;
        Ok(BuildCacheView {
            cache: self.ground.node.build_cache().await?,
            limit_bytes: limit(&self.ground),
        })
    }

    /// Throws away what was not used for the longest time until `keep` bytes are left, but nothing that a build uses just now.
    /// Answers the bytes that came free.
    pub async fn trim(&self, actor: &Actor, keep: u64) -> Result<u64> {
        actor.may(Action::Operate)?;
        let bytes = self.ground.node.build_cache_trim(keep).await?;
        self.ground.events.emit(actor, Fact::BuildCacheTrimmed { bytes }).await;
        Ok(bytes)
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
    fn the_budget_follows_the_disk() {
        assert_eq!(usual(0), LEAST);
        assert_eq!(usual(80 << 30), 8 << 30);
        assert_eq!(usual(4 << 40), MOST);
    }
}

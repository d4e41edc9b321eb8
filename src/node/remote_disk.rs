//! What a build takes of the disk of an engine elsewhere. Nobody sees that disk, so only what the engine's list proves counts: what this
//! build has made since it began, and no other of ours can have. Of a step that still runs the list says nothing.

use crate::{
    Lines,
    build_disk::{self, Maker, Makers, PROVE_EVERY},
};
use docker::Docker;
use std::{collections::HashSet, sync::Arc};
use tokio::sync::mpsc;
use types::{BuildSpec, CacheRecord, Error, LogLine, Result, Time, report};

/// What one build may take there, and what it has.
pub(crate) struct Taken<'a> {
    there: &'a Docker,
    makers: &'a Makers,
    maker: Arc<Maker>,
    /// What was there when it began. Times say nothing of that, since the clocks of two machines differ.
    before: HashSet<String>,
    most_bytes: u64,
}

impl<'a> Taken<'a> {
    /// Call it before the build begins.
    pub async fn begin(there: &'a Docker, makers: &'a Makers, spec: &BuildSpec, most_bytes: u64) -> Result<Taken<'a>> {
        let records = there.build_cache_records().await?;
        Ok(Taken {
            there,
            makers,
            maker: makers.enter(spec, Time(0)),
            before: records.into_iter().map(|record| record.id).collect(),
            most_bytes,
        })
    }

    /// Passes on what the build prints.
    pub async fn listen(&self, said: mpsc::Receiver<LogLine>, lines: &Lines) {
        self.maker.listen(said, lines).await;
    }

    /// Ends when the build has made more than it may; answers how much.
    pub async fn exceeded(&self) -> u64 {
        loop {
            tokio::time::sleep(PROVE_EVERY).await;
            match self.there.build_cache_records().await {
                Ok(records) => {
                    let took: u64 = records.iter().filter(|record| self.is_its(record)).map(|record| record.bytes).sum();
                    if took > self.most_bytes {
                        return took;
                    }
                }
                Err(error) => tracing::warn!("what a build takes elsewhere: {}", report(&error)),
            }
        }
    }

    fn is_its(&self, record: &CacheRecord) -> bool {
        !self.before.contains(&record.id) && self.makers.is_of(&self.maker, record)
    }

    /// Throws away what it left, once it was ended; says why it was.
    pub async fn failure(&self, spec: &BuildSpec, took_bytes: u64) -> Error {
        // It may have been seen when the image was all but made, which would hold what is to go.
        if let Err(error) = self.there.image_remove(&spec.tag).await {
            tracing::warn!("removing what a build that was ended left as {}: {}", spec.tag, report(&error));
        }
        let freed = build_disk::throw_away(self.there, |record| self.is_its(record)).await;
        let what = format!(
            "the build took {} MiB of the build server's disk, and one may take {} MiB (disk_mib below [builds] in the configuration)",
            took_bytes >> 20,
            self.most_bytes >> 20
        );
        build_disk::ended(&what, &freed)
    }
}

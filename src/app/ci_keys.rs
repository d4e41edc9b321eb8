//! Reads the keys of issuers that somebody trusts, so that they are there when a job asks: what nobody waits for tells nobody
//! anything.

use crate::{
    ci_trusts::{CiTrusts, issuer_of},
    ground::Ground,
};
use async_trait::async_trait;
use egress::Egress;
use futures::{StreamExt, stream};
use identity::{WorkloadIssuer, Workloads};
use jobs::Job;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use types::{OrganizationId, Result};

/// Issuers of one organization that are read at a time.
const AT_ONCE: usize = 4;

/// See [`crate::PanelJobs`].
pub struct CiKeyReader {
    ground: Arc<Ground>,
    workloads: Arc<Workloads>,
}

/// What a run found.
#[derive(Debug, Serialize)]
pub struct CiKeysRead {
    pub issuers: usize,
    /// That it began to read.
    pub begun: usize,
}

impl CiKeyReader {
    pub(crate) fn new(ground: Arc<Ground>, trusts: &CiTrusts) -> CiKeyReader {
        CiKeyReader {
            ground,
            workloads: trusts.workloads.clone(),
        }
    }

    fn trusted(&self) -> Result<BTreeSet<WorkloadIssuer>> {
        let now = self.ground.world.now();
        let mut trusts = self.ground.store.ci_trusts.list()?;
        trusts.retain(|trust| trust.ends_at.is_none_or(|end| now < end));
        Ok(trusts.iter().map(|trust| issuer_of(trust)).collect())
    }
}

#[async_trait]
impl Job for CiKeyReader {
    const NAME: &'static str = "ci_keys";
    type Report = CiKeysRead;

    async fn run(&mut self) -> Result<CiKeysRead> {
        let trusted = self.trusted()?;
        let due = self.workloads.due(&trusted);
        let report = CiKeysRead {
            issuers: trusted.len(),
            begun: due.len(),
        };
        let mut of: BTreeMap<OrganizationId, Vec<WorkloadIssuer>> = BTreeMap::new();
        for issuer in due {
            of.entry(issuer.organization.clone()).or_default().push(issuer);
        }
        for (organization, issuers) in of {
            let egress = self.ground.egress(&organization)?;
            // Nobody waits for an issuer of somebody else that is silent.
            tokio::spawn(read(self.workloads.clone(), issuers, egress));
        }
        Ok(report)
    }
}

async fn read(workloads: Arc<Workloads>, issuers: Vec<WorkloadIssuer>, egress: Egress) {
    let reading = |issuer: WorkloadIssuer| {
        let (workloads, egress) = (workloads.clone(), egress.clone());
        async move { workloads.read(&issuer, &egress).await }
    };
    stream::iter(issuers).for_each_concurrent(AT_ONCE, reading).await;
}

//! What comes from the own authority at once, and the shared certificates that the panel keeps by itself.

use super::Certifier;
use crate::{
    certificates, routing,
    serving::{Choice, organizations},
};
use std::collections::{BTreeMap, BTreeSet};
use types::{
    Certificate, CertificateName, CertificateOrigin, CertificateState, Host, HostPattern, OrganizationId, Result, Settings,
    SharedCertificate, Time,
};

impl Certifier {
    /// Certificates of the own authority for every host that would have none, so that it is never without one; and
    /// shared ones for wildcards and for the domain of the apps. Returns what was made.
    pub(super) async fn ensure(&self, hosts: &BTreeSet<HostPattern>, settings: &Settings) -> Result<Vec<String>> {
        let mut made = Vec::new();
        let organizations = organizations(&self.ground)?;
        self.keep_wildcards(hosts, settings, &organizations).await?;
        let now = self.ground.world.now();
        let choice = Choice::load(&self.ground)?;
        for host in hosts.iter().filter_map(HostPattern::exact) {
            let pattern = HostPattern::from(&host);
            if choice.shared_that_serves(&pattern, organizations.get(&pattern)).is_some() {
                continue;
            }
            let found = self.ground.store.certificates.find(host.as_str())?;
            let due = |certificate: &Certificate| certificate.next_try_at.is_none_or(|at| at <= now);
            let expired = |certificate: &Certificate| certificate.not_after.is_none_or(|at| at <= now);
            let needed = match &found {
                None => true,
                Some(certificate) => expired(certificate) || (!host.is_public() && due(certificate)),
            };
            if needed {
                self.own(&host, found).await?;
                made.push(host.to_string());
            }
        }
        self.forget_others(hosts, now).await?;
        Ok(made)
    }

    /// Of hosts that are not served any more, only what an authority issued is kept, for as long as it is valid: who comes back
    /// needs no new order.
    pub(super) async fn forget_others(&self, hosts: &BTreeSet<HostPattern>, now: Time) -> Result<()> {
        let certificates = &self.ground.store.certificates;
        for stored in certificates.list()? {
            let useful = stored.origin == CertificateOrigin::Acme && stored.not_after.is_some_and(|at| at > now);
            if !useful && !hosts.contains(&HostPattern::from(&stored.host)) {
                certificates.remove(stored.host.as_str()).await?;
            }
        }
        Ok(())
    }

    /// Shared certificates that the panel keeps by itself come and go with what they are for.
    pub(super) async fn keep_wildcards(
        &self,
        hosts: &BTreeSet<HostPattern>,
        settings: &Settings,
        organizations: &BTreeMap<HostPattern, OrganizationId>,
    ) -> Result<()> {
        let ground = &self.ground;
        let store = &ground.store;
        let first = crate::organizations::host(store)?.map(|organization| organization.value.id);
        let mut wanted: BTreeMap<HostPattern, OrganizationId> = BTreeMap::new();
        for host in hosts.iter().filter(|host| host.is_wildcard()) {
            wanted.extend(organizations.get(host).map(|organization| (host.clone(), organization.clone())));
        }
        // New apps get names below this one; with a wildcard they have their certificate at once.
        if let (Some(base), Some(first)) = (settings.apps_domain.as_ref().filter(|base| base.is_public()), first) {
            let name: Option<HostPattern> = format!("*.{base}").parse().ok();
            if let Some(name) = name
                && crate::dns::provider_for(ground, &first, None, base.as_str())?.is_some()
            {
                wanted.entry(name).or_insert(first);
            }
        }
        for shared in store.shared_certificates.list()?.into_iter().filter(|shared| shared.automatic) {
            let kept = shared.names.first().and_then(|name| wanted.remove(name));
            if kept.as_ref() != Some(&shared.organization) {
                store.shared_certificates.remove(shared.id.as_str()).await?;
            }
        }
        for (name, organization) in wanted {
            let issued = certificates::own(ground, std::slice::from_ref(&name)).await?;
            let public = name.is_public();
            let state = if public {
                CertificateState::Pending
            } else {
                CertificateState::Valid
            };
            let now = ground.world.now();
            let mut certificate = certificates::record(ground, &name.base(), &issued, CertificateOrigin::Own, state, now)?;
            if public {
                certificate.next_try_at = Some(now);
            }
            let record = SharedCertificate {
                id: ground.world.id(),
                organization,
                names: vec![name],
                wish: None,
                provider: None,
                automatic: true,
                certificate,
            };
            store.shared_certificates.insert(record).await?;
        }
        Ok(())
    }

    /// From the own authority: now, so that the host is never without one.
    pub(super) async fn own(&self, host: &Host, before: Option<store::Stored<Certificate>>) -> Result<()> {
        let ground = &self.ground;
        let mut names = vec![CertificateName::from(host)];
        if *host == routing::default_host() {
            let addresses = ground.node.addresses();
            names.extend(addresses.iter().filter_map(|address| address.to_string().parse().ok()));
            names.extend(["127.0.0.1", "::1"].iter().filter_map(|address| address.parse().ok()));
            names.extend(ground.node.facts().hostname.parse().ok());
        }
        let issued = certificates::own(ground, &names).await?;
        let state = if host.is_public() {
            CertificateState::Pending
        } else {
            CertificateState::Valid
        };
        let now = ground.world.now();
        let mut record = certificates::record(ground, host, &issued, CertificateOrigin::Own, state, now)?;
        if host.is_public() {
            record.next_try_at = Some(now);
        }
        match before {
            Some(mut stored) => {
                record.created_at = stored.created_at;
                stored.value = record;
                ground.store.certificates.save(stored).await?;
            }
            None => {
                ground.store.certificates.insert(record).await?;
            }
        }
        Ok(())
    }
}

//! Which certificate serves which host.

use crate::{ground::Ground, routing::default_host};
use std::collections::BTreeMap;
use types::{Certificate, CertificateOrigin, EdgeCertificate, Host, HostPattern, OrganizationId, Result, SharedCertificate, Time};

/// All certificates that there are, to choose from.
pub(crate) struct Choice {
    hosts: BTreeMap<Host, Certificate>,
    shared: Vec<SharedCertificate>,
    /// The organization of the panel's own names.
    first: Option<OrganizationId>,
    now: Time,
}

impl Choice {
    pub fn load(ground: &Ground) -> Result<Choice> {
        let store = &ground.store;
        Ok(Choice {
            hosts: store
                .certificates
                .list()?
                .into_iter()
                .map(|stored| (stored.host.clone(), stored.value))
                .collect(),
            shared: store.shared_certificates.list()?.into_iter().map(|stored| stored.value).collect(),
            first: crate::organizations::host(store)?.map(|organization| organization.value.id),
            now: ground.world.now(),
        })
    }

    fn ends(&self, certificate: &Certificate) -> bool {
        certificate.not_after.is_none_or(|end| end <= self.now)
    }

    /// The shared ones that clients would take for `host`, an exact one or a wildcard, best first: brought ones, then
    /// those of an authority; the ones that have ended last.
    fn shared_for(&self, host: &HostPattern, organization: Option<&OrganizationId>) -> Vec<&SharedCertificate> {
        let organization = organization.or(self.first.as_ref());
        let covers = |shared: &SharedCertificate| match host.exact() {
            Some(host) => shared.names.iter().any(|name| name.covers(&host)),
            None => shared.names.contains(host),
        };
        let mut found: Vec<_> = self
            .shared
            .iter()
            .filter(|shared| Some(&shared.organization) == organization && covers(shared))
            .filter(|shared| !shared.certificate.chain_pem.is_empty() && shared.certificate.key.is_some())
            .collect();
        found.sort_by_key(|shared| {
            let certificate = &shared.certificate;
            (
                self.ends(certificate),
                rank(certificate.origin),
                std::cmp::Reverse(certificate.not_after),
            )
        });
        found
    }

    /// The shared one that serves this host for good, so that it needs none of its own.
    pub fn shared_that_serves(&self, host: &HostPattern, organization: Option<&OrganizationId>) -> Option<&SharedCertificate> {
        let best = self.shared_for(host, organization).into_iter().next()?;
        (!self.ends(&best.certificate) && best.certificate.origin != CertificateOrigin::Own).then_some(best)
    }

    /// The one that people see beside this host: what serves it for good, else its own with what became of its order, else
    /// what serves it meanwhile.
    pub fn shown(&self, host: &HostPattern, organization: Option<&OrganizationId>) -> Option<&Certificate> {
        let own = || host.exact().and_then(|host| self.hosts.get(&host));
        let shared = self.shared_that_serves(host, organization).map(|shared| &shared.certificate);
        shared.or_else(own).or_else(|| self.best(host, organization))
    }

    /// What the edge shows for this host.
    pub fn best(&self, host: &HostPattern, organization: Option<&OrganizationId>) -> Option<&Certificate> {
        let single = host
            .exact()
            .and_then(|host| self.hosts.get(&host))
            .filter(|one| !one.chain_pem.is_empty());
        let shared = self.shared_for(host, organization).into_iter().map(|shared| &shared.certificate);
        shared.chain(single).min_by_key(|one| (self.ends(one), rank(one.origin)))
    }
}

fn rank(origin: CertificateOrigin) -> u8 {
    match origin {
        CertificateOrigin::Uploaded => 0,
        CertificateOrigin::Acme => 1,
        CertificateOrigin::Own => 2,
    }
}

/// The organization of a host; `None` for the panel's own names.
pub(crate) fn organizations(ground: &Ground) -> Result<BTreeMap<HostPattern, OrganizationId>> {
    let domains = ground.store.domains.list()?;
    Ok(domains
        .into_iter()
        .map(|domain| (domain.host.clone(), domain.organization.clone()))
        .collect())
}

/// For all these hosts, and for where no other fits.
pub(crate) fn certificates<'a>(
    ground: &Ground,
    hosts: impl Iterator<Item = &'a HostPattern>,
) -> Result<BTreeMap<HostPattern, EdgeCertificate>> {
    let choice = Choice::load(ground)?;
    let organizations = organizations(ground)?;
    let default = HostPattern::from(default_host());
    let mut chosen = BTreeMap::new();
    for host in hosts.cloned().chain([default]) {
        if let Some(best) = choice.best(&host, organizations.get(&host))
            && let Some(key) = &best.key
        {
            let entry = EdgeCertificate {
                chain_pem: best.chain_pem.clone(),
                key_pem: ground.store.unseal(key)?,
            };
            chosen.insert(host, entry);
        }
    }
    Ok(chosen)
}

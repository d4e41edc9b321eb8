//! Gets each routed host its certificate: from the own authority at once, and from the public one by ACME when the name
//! is public. Looks first whether an order would work, and sends none that would not; keeps to a budget for each
//! registered domain; renews when the authority says or in time, with jitter; backs off after failures; sends no order
//! for a host that is not routed any more.

mod account;
mod keeping;
mod orders;
mod renewals;
mod warnings;

use crate::{
    ground::Ground,
    routing,
    serving::{Choice, organizations},
};
use async_trait::async_trait;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use types::{
    Actor, Certificate, CertificateId, CertificateName, CertificateOrigin, ChallengeKind, DnsProviderId, Fact, Host, HostPattern,
    OrganizationId, Result, Settings, SharedCertificate, Time,
};

/// See the module.
pub struct Certifier {
    ground: Arc<Ground>,
    /// When the authority was last asked about renewing.
    asked: HashMap<Slot, Time>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct CertifierReport {
    pub issued: Vec<String>,
    pub failed: Vec<String>,
    /// No order was sent, since it would have failed.
    pub waiting: Vec<String>,
    pub hosts: usize,
}

/// A certificate that is kept: that of a host, or a shared one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Slot {
    Host(Host),
    Shared(CertificateId),
}

/// What a slot is to hold.
struct Wanted {
    slot: Slot,
    names: Vec<CertificateName>,
    /// `None` for the panel's own names.
    organization: Option<OrganizationId>,
    wish: Option<ChallengeKind>,
    provider: Option<DnsProviderId>,
    certificate: Certificate,
}

impl Wanted {
    fn words(&self) -> String {
        self.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// How an order ended.
enum Ended {
    Issued {
        issuer: String,
    },
    Failed(String),
    Waiting(String),
    /// Nothing wants it any more.
    Gone,
}

impl Certifier {
    pub(crate) fn new(ground: Arc<Ground>) -> Certifier {
        Certifier {
            ground,
            asked: HashMap::new(),
        }
    }

    /// Every host that the edge serves, and every wildcard.
    fn hosts(&self, settings: &Settings) -> Result<BTreeSet<HostPattern>> {
        let store = &self.ground.store;
        let live: BTreeSet<_> = store
            .apps
            .list()?
            .into_iter()
            .filter(|app| app.trashed_at.is_none())
            .map(|app| app.id.clone())
            .collect();
        let domains = store.domains.list()?;
        let routed = domains.iter().filter(|domain| live.contains(&domain.app));
        let mut hosts: BTreeSet<HostPattern> = routed.map(|domain| domain.host.clone()).collect();
        hosts.extend(settings.panel_domain.clone().map(HostPattern::from));
        hosts.insert(routing::default_host().into());
        Ok(hosts)
    }

    /// What the public authority is to issue, whether it is due or not.
    fn wanted(&self, hosts: &BTreeSet<HostPattern>) -> Result<Vec<Wanted>> {
        let store = &self.ground.store;
        let organizations = organizations(&self.ground)?;
        let choice = Choice::load(&self.ground)?;
        let mut wanted = Vec::new();
        for stored in store.certificates.list()? {
            let host = HostPattern::from(&stored.host);
            let organization = organizations.get(&host).cloned();
            let served = choice.shared_that_serves(&host, organization.as_ref()).is_some();
            if !hosts.contains(&host) || !host.is_public() || served {
                continue;
            }
            wanted.push(Wanted {
                slot: Slot::Host(stored.host.clone()),
                names: vec![host],
                organization,
                wish: None,
                provider: None,
                certificate: stored.value,
            });
        }
        for stored in store.shared_certificates.list()? {
            let public = stored.names.iter().all(|name| name.is_public());
            if stored.certificate.origin == CertificateOrigin::Uploaded || !public {
                continue;
            }
            let shared = stored.value;
            wanted.push(Wanted {
                slot: Slot::Shared(shared.id),
                names: shared.names,
                organization: Some(shared.organization),
                wish: shared.wish,
                provider: shared.provider,
                certificate: shared.certificate,
            });
        }
        Ok(wanted)
    }

    /// Whether something still wants it: between two orders minutes may pass.
    fn still_wanted(&self, slot: &Slot) -> Result<bool> {
        let hosts = self.hosts(&self.ground.settings()?)?;
        Ok(self.wanted(&hosts)?.iter().any(|wanted| wanted.slot == *slot))
    }

    async fn change(&self, slot: &Slot, change: impl Fn(&mut Certificate)) -> Result<()> {
        let store = &self.ground.store;
        let now = self.ground.world.now();
        let done = match slot {
            Slot::Host(host) => {
                let note = |certificate: &mut Certificate| {
                    change(certificate);
                    certificate.updated_at = now;
                    Ok(())
                };
                store.certificates.update(host.as_str(), note).await.map(drop)
            }
            Slot::Shared(id) => {
                let note = |shared: &mut SharedCertificate| {
                    change(&mut shared.certificate);
                    shared.certificate.updated_at = now;
                    Ok(())
                };
                store.shared_certificates.update(id.as_str(), note).await.map(drop)
            }
        };
        match done {
            // Removed meanwhile.
            Err(types::Error::NotFound { .. }) => Ok(()),
            done => done,
        }
    }

    async fn tell(&self, host: &Host, fact: Fact) -> Result<()> {
        let store = &self.ground.store;
        let organization = match store.domains.find(host.as_str())? {
            Some(domain) => Some(domain.organization.clone()),
            None => crate::organizations::host(store)?.map(|organization| organization.value.id),
        };
        if let Some(organization) = organization {
            self.ground.events.emit(&Actor::system(organization), fact).await;
        }
        Ok(())
    }
}

#[async_trait]
impl jobs::Job for Certifier {
    const NAME: &'static str = "certificates";
    type Report = CertifierReport;

    async fn run(&mut self) -> Result<CertifierReport> {
        let ground = self.ground.clone();
        let settings = ground.settings()?;
        let hosts = self.hosts(&settings)?;
        let mut made = CertifierReport {
            hosts: hosts.len(),
            issued: self.ensure(&hosts, &settings).await?,
            ..CertifierReport::default()
        };
        routing::apply(&ground).await?;
        self.warn().await?;
        let now = ground.world.now();
        let due = |wanted: &Wanted| wanted.certificate.next_try_at.is_none_or(|at| at <= now);
        let (orders, others): (Vec<_>, Vec<_>) = self.wanted(&hosts)?.into_iter().partition(due);
        let questions: Vec<_> = others.into_iter().filter(|wanted| self.asks(wanted, now)).collect();
        if orders.is_empty() && questions.is_empty() {
            return Ok(made);
        }
        let authority = self.authority(&settings).await;
        if let Ok(authority) = &authority {
            for wanted in &questions {
                self.ask(wanted, authority).await?;
            }
        }
        for wanted in orders {
            let host = wanted.certificate.host.clone();
            match self.turn(&wanted, &settings, &authority).await? {
                Ended::Gone => {}
                Ended::Waiting(why) => {
                    made.waiting.push(format!("{}: {why}", wanted.words()));
                    self.tell(&host, Fact::CertificateFailed { host: host.clone(), why }).await?;
                }
                Ended::Issued { issuer } => {
                    routing::apply(&ground).await?;
                    made.issued.push(wanted.words());
                    let fact = Fact::CertificateIssued {
                        host: host.clone(),
                        issuer,
                    };
                    self.tell(&host, fact).await?;
                }
                Ended::Failed(why) => {
                    made.failed.push(format!("{}: {why}", wanted.words()));
                    self.tell(&host, Fact::CertificateFailed { host: host.clone(), why }).await?;
                }
            }
        }
        Ok(made)
    }
}

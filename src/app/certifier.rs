//! Gets each routed host its certificate: from the own authority at once, and from the public one by ACME when the name
//! is public. Looks first whether an order would work, and sends none that would not; keeps to a budget for each
//! registered domain; renews when the authority says or in time, with jitter; backs off after failures; sends no order
//! for a host that is not routed any more.

use crate::{
    certificates,
    challenges::Shown,
    forecasts::{self, AuthoritySays},
    ground::Ground,
    routing,
    serving::{Choice, organizations},
};
use acme::{OrderError, Wish, budget};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use types::{
    AcmeAccount, Actor, Certificate, CertificateId, CertificateName, CertificateOrigin, CertificateState, ChallengeKind, DnsProviderId,
    Fact, Host, HostPattern, OrderFailure, OrderLog, OrderTry, OrganizationId, Renewal, Result, Secret, Settings, SharedCertificate, Time,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How often the authority is asked when to renew, where it says nothing of that.
const ASK_EVERY: Duration = Duration::from_secs(6 * 3600);
/// Days before the end at which an event is sent; 0 is the end.
const WARNINGS: [u32; 4] = [21, 7, 2, 0];

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

/// The account at the authority, and what it says of itself.
struct Authority {
    client: acme::Client,
    directory: url::Url,
    says: AuthoritySays,
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

    /// Certificates of the own authority for every host that would have none, so that it is never without one; and
    /// shared ones for wildcards and for the domain of the apps. Returns what was made.
    async fn ensure(&self, hosts: &BTreeSet<HostPattern>, settings: &Settings) -> Result<Vec<String>> {
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
    async fn forget_others(&self, hosts: &BTreeSet<HostPattern>, now: Time) -> Result<()> {
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
    async fn keep_wildcards(
        &self,
        hosts: &BTreeSet<HostPattern>,
        settings: &Settings,
        organizations: &BTreeMap<HostPattern, OrganizationId>,
    ) -> Result<()> {
        let ground = &self.ground;
        let store = &ground.store;
        let first = store.organizations.list()?.first().map(|organization| organization.id.clone());
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
    async fn own(&self, host: &Host, before: Option<store::Stored<Certificate>>) -> Result<()> {
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

    /// Plans, asks the budget, orders. The old certificate serves until the new one is there.
    async fn turn(&self, wanted: &Wanted, settings: &Settings, authority: &Result<Authority, OrderError>) -> Result<Ended> {
        let ground = &self.ground;
        if !self.still_wanted(&wanted.slot)? {
            return Ok(Ended::Gone);
        }
        let authority = match authority {
            Ok(authority) => authority,
            Err(error) => return self.failed(wanted, error).await,
        };
        let Some(organization) = self.organization_of(wanted)? else {
            return Ok(Ended::Gone);
        };
        let forecast = forecasts::plan(
            ground,
            settings,
            &organization,
            &wanted.names,
            wanted.wish,
            wanted.provider.as_ref(),
            &authority.says,
        )
        .await?;
        if let Some(problem) = forecast.problem() {
            return self.waits(wanted, &problem.words, &problem.next_step, None).await;
        }
        let now = ground.world.now();
        let renewal = wanted.certificate.origin == CertificateOrigin::Acme;
        for domain in self.domains_of(wanted) {
            let log = self.log(&domain)?;
            if let Err(exhausted) = budget::allows(&log, &wanted.names, renewal, now) {
                let next = format!("nothing: the next order is sent after {}", exhausted.until);
                return self.waits(wanted, &exhausted.words, &next, Some(exhausted.until)).await;
            }
        }
        let shown = Shown {
            ground: ground.clone(),
            organization,
            provider: wanted.provider.clone(),
            names: forecasts::resolver(ground, settings),
        };
        let wish = Wish {
            names: &wanted.names,
            challenge: forecast.challenge,
            replaces: renewal.then_some(wanted.certificate.chain_pem.as_str()),
        };
        let ordered = authority.client.order(wish, &shown).await;
        self.save_account(&authority.directory, &authority.client).await?;
        self.note_order(wanted, renewal, ordered.as_ref().err().map(|error| error.kind))
            .await?;
        let issued = match ordered {
            Ok(issued) => issued,
            Err(error) => return self.failed(wanted, &error).await,
        };
        let mut record = certificates::record(
            ground,
            &wanted.certificate.host,
            &issued,
            CertificateOrigin::Acme,
            CertificateState::Valid,
            wanted.certificate.created_at,
        )?;
        record.challenge = Some(forecast.challenge);
        self.change(&wanted.slot, |certificate| *certificate = record.clone()).await?;
        Ok(Ended::Issued { issuer: issued.issuer })
    }

    fn organization_of(&self, wanted: &Wanted) -> Result<Option<OrganizationId>> {
        if let Some(organization) = &wanted.organization {
            return Ok(Some(organization.clone()));
        }
        let organizations = self.ground.store.organizations.list()?;
        Ok(organizations.first().map(|organization| organization.id.clone()))
    }

    /// The registered domains of its names.
    fn domains_of(&self, wanted: &Wanted) -> BTreeSet<String> {
        wanted.names.iter().map(budget::registered_domain).collect()
    }

    fn log(&self, domain: &str) -> Result<OrderLog> {
        let found = self.ground.store.order_logs.find(domain)?;
        Ok(found.map(|stored| stored.value).unwrap_or_else(|| OrderLog {
            domain: domain.to_owned(),
            orders: Vec::new(),
        }))
    }

    async fn note_order(&self, wanted: &Wanted, renewal: bool, failure: Option<OrderFailure>) -> Result<()> {
        // What never reached the authority costs nothing there.
        if failure == Some(OrderFailure::Unreachable) {
            return Ok(());
        }
        let order = OrderTry {
            at: self.ground.world.now(),
            names: budget::set_of(&wanted.names),
            renewal,
            failure,
        };
        let logs = &self.ground.store.order_logs;
        for domain in self.domains_of(wanted) {
            let note = |log: &mut OrderLog| {
                budget::note(log, order.clone());
                Ok(())
            };
            match logs.update(&domain, note).await {
                Err(types::Error::NotFound { .. }) => {
                    let mut log = self.log(&domain)?;
                    budget::note(&mut log, order.clone());
                    logs.insert(log).await?;
                }
                done => drop(done?),
            }
        }
        Ok(())
    }

    /// Remembers why no order is sent, and looks again; soon at first, since people are about to change DNS.
    async fn waits(&self, wanted: &Wanted, why: &str, next_step: &str, until: Option<Time>) -> Result<Ended> {
        let (now, share) = (self.ground.world.now(), self.ground.world.share());
        self.change(&wanted.slot, |certificate| {
            let same = certificate.state == CertificateState::Waiting && certificate.last_error.as_deref() == Some(why);
            certificate.failures = if same { certificate.failures + 1 } else { 1 };
            // One from the authority that still serves stays valid in people's eyes; the words say what is wrong.
            if certificate.origin != CertificateOrigin::Acme || certificate.not_after.is_none_or(|end| end <= now) {
                certificate.state = CertificateState::Waiting;
            }
            certificate.last_error = Some(why.to_owned());
            certificate.next_step = Some(next_step.to_owned()).filter(|step| !step.is_empty());
            certificate.next_try_at = Some(until.unwrap_or_else(|| now.plus(acme::look_after(certificate.failures, share))));
        })
        .await?;
        let known = wanted.certificate.last_error.as_deref() == Some(why);
        Ok(if known { Ended::Gone } else { Ended::Waiting(why.to_owned()) })
    }

    /// Remembers why it failed, and when to try again.
    async fn failed(&self, wanted: &Wanted, error: &OrderError) -> Result<Ended> {
        let (now, share) = (self.ground.world.now(), self.ground.world.share());
        self.change(&wanted.slot, |certificate| {
            if certificate.state == CertificateState::Waiting {
                certificate.failures = 0;
            }
            certificate.failures += 1;
            certificate.state = CertificateState::Failed;
            certificate.last_error = Some(error.words.clone());
            certificate.next_step = Some(error.next_step.clone()).filter(|step| !step.is_empty());
            let wait = acme::retry_after(error.kind, certificate.failures, error.retry_after, share);
            certificate.next_try_at = Some(now.plus(wait));
        })
        .await?;
        Ok(Ended::Failed(error.words.clone()))
    }

    /// The account at the directory in the settings.
    async fn authority(&self, settings: &Settings) -> Result<Authority, OrderError> {
        let ground = &self.ground;
        let directory = forecasts::directory(ground, settings);
        let ca = ground.options.acme_ca_pem.clone().or_else(|| settings.acme_ca_pem.clone());
        let account = ground.store.acme_accounts.find(directory.as_str()).map_err(OrderError::ours)?;
        let credentials = account
            .as_ref()
            .map(|account| ground.store.unseal(&account.credentials))
            .transpose()
            .map_err(OrderError::ours)?;
        let external: Option<(String, Secret)> = match &settings.certificates.external_account {
            Some(account) => {
                let key = ground.store.unseal(&account.hmac_key).map_err(OrderError::ours)?;
                Some((account.key_id.clone(), key))
            }
            None => None,
        };
        let at = acme::Directory {
            url: &directory,
            ca_pem: ca.as_deref(),
            email: settings.acme_email.as_ref().map(types::Email::as_str),
            external_account: external.as_ref().map(|(id, key)| (id.as_str(), key)),
        };
        let client = acme::Client::connect(at, credentials.as_ref()).await?;
        self.save_account(&directory, &client).await.map_err(OrderError::ours)?;
        let says = AuthoritySays {
            caa_identities: client.caa_identities().to_vec(),
            account: client.account_uri(),
        };
        Ok(Authority { client, directory, says })
    }

    /// Keeps the account as it is now, if that is not what is kept: the first time, and when the authority had lost it.
    async fn save_account(&self, directory: &url::Url, client: &acme::Client) -> Result<()> {
        let ground = &self.ground;
        let credentials = client.credentials();
        let Some(mut kept) = ground.store.acme_accounts.find(directory.as_str())? else {
            let record = AcmeAccount {
                directory: directory.to_string(),
                credentials: ground.store.seal(&credentials)?,
                created_at: ground.world.now(),
            };
            ground.store.acme_accounts.insert(record).await?;
            return Ok(());
        };
        if ground.store.unseal(&kept.credentials)? != credentials {
            kept.credentials = ground.store.seal(&credentials)?;
            ground.store.acme_accounts.save(kept).await?;
        }
        Ok(())
    }

    /// Whether it is time to ask when this one is to be renewed.
    fn asks(&self, wanted: &Wanted, now: Time) -> bool {
        let certificate = &wanted.certificate;
        let issued = certificate.origin == CertificateOrigin::Acme && certificate.state == CertificateState::Valid;
        let next = match (&certificate.renewal, self.asked.get(&wanted.slot)) {
            (Some(renewal), _) => renewal.ask_at,
            (None, Some(asked)) => asked.plus(ASK_EVERY),
            (None, None) => now,
        };
        issued && next <= now
    }

    /// Asks the authority when to renew (RFC 9773), and moves the next try there.
    async fn ask(&mut self, wanted: &Wanted, authority: &Authority) -> Result<()> {
        let (now, share) = (self.ground.world.now(), self.ground.world.share());
        self.asked.insert(wanted.slot.clone(), now);
        let window = match authority.client.renewal(&wanted.certificate.chain_pem).await {
            Ok(Some(window)) => window,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!("asking when to renew {}: {error}", wanted.words());
                return Ok(());
            }
        };
        self.change(&wanted.slot, |certificate| {
            let known = certificate
                .renewal
                .is_some_and(|known| (known.from, known.to) == (window.from, window.to));
            if !known {
                certificate.next_try_at = Some(acme::renew_within(window.from, window.to, share));
            }
            certificate.renewal = Some(Renewal {
                from: window.from,
                to: window.to,
                ask_at: now.plus(window.ask_after),
            });
        })
        .await
    }

    /// Events for what is about to end, each once.
    async fn warn(&self) -> Result<()> {
        let store = &self.ground.store;
        let hosts = self.hosts(&self.ground.settings()?)?;
        let single = store.certificates.list()?.into_iter();
        let single = single.filter(|one| hosts.contains(&HostPattern::from(&one.host)));
        let mut all: Vec<(Slot, Certificate)> = single.map(|one| (Slot::Host(one.host.clone()), one.value)).collect();
        let shared = store.shared_certificates.list()?.into_iter();
        all.extend(shared.map(|one| (Slot::Shared(one.id.clone()), one.value.certificate)));
        for (slot, certificate) in all {
            if let Some(days) = warning(&certificate, self.ground.world.now()) {
                self.change(&slot, |certificate| certificate.warned_days = Some(days)).await?;
                let host = certificate.host.clone();
                self.tell(&certificate.host, Fact::CertificateExpiring { host, days }).await?;
            }
        }
        Ok(())
    }

    async fn tell(&self, host: &Host, fact: Fact) -> Result<()> {
        let store = &self.ground.store;
        let organization = match store.domains.find(host.as_str())? {
            Some(domain) => Some(domain.organization.clone()),
            None => store.organizations.list()?.first().map(|organization| organization.id.clone()),
        };
        if let Some(organization) = organization {
            self.ground.events.emit(&Actor::system(organization), fact).await;
        }
        Ok(())
    }
}

/// The event that is due for a certificate and was not sent yet: the least of 21, 7 and 2 days, and 0 at its end. The
/// own authority's are renewed without anybody, and short ones are not warned of while most of their life is left.
fn warning(certificate: &Certificate, now: Time) -> Option<u32> {
    let (from, end) = (certificate.not_before?, certificate.not_after?);
    if certificate.origin == CertificateOrigin::Own {
        return None;
    }
    let left = end.since(now);
    let due = WARNINGS.into_iter().filter(|days| left <= DAY * *days).min()?;
    let late = left <= end.since(from) / 4;
    (late && certificate.warned_days.is_none_or(|warned| due < warned)).then_some(due)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(life_days: u32, warned: Option<u32>) -> Certificate {
        Certificate {
            host: "a.example.com".parse().expect("a host"),
            origin: CertificateOrigin::Uploaded,
            state: CertificateState::Valid,
            chain_pem: String::new(),
            key: None,
            issuer: String::new(),
            fingerprint: String::new(),
            not_before: Some(Time(0)),
            not_after: Some(Time(0).plus(DAY * life_days)),
            challenge: None,
            last_error: None,
            next_step: None,
            failures: 0,
            next_try_at: None,
            renewal: None,
            warned_days: warned,
            created_at: Time(0),
            updated_at: Time(0),
        }
    }

    #[test]
    fn the_end_is_told_three_times_and_when_it_comes() {
        for (life, left, warned, expected) in [
            (365, 30, None, None),
            (365, 21, None, Some(21)),
            (365, 20, Some(21), None),
            (365, 7, Some(21), Some(7)),
            (365, 2, Some(7), Some(2)),
            (365, 1, Some(2), None),
            (365, 0, Some(2), Some(0)),
            (365, 0, Some(0), None),
            // Nobody looked for a while: one event, for the nearest.
            (365, 1, None, Some(2)),
            // One of six days is renewed at four.
            (6, 5, None, None),
            (6, 1, None, Some(2)),
        ] {
            let now = Time(0).plus(DAY * (life - left));
            assert_eq!(
                warning(&certificate(life, warned), now),
                expected,
                "{left} of {life} days left, told {warned:?}"
            );
        }
    }
}

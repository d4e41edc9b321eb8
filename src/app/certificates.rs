//! Certificates: the inventory, those that people order for names of their choice or bring, and the panel's own authority.
//! How the others come to be is in `certifier`.

use crate::{
    ground::Ground,
    serving::{Choice, organizations},
    sight::owned,
};
use acme::{Authority, Issued, check_upload};
use std::sync::Arc;
use store::Stored;
use types::{
    Action, Actor, Certificate, CertificateName, CertificateOrigin, CertificateState, ChallengeKind, Error, Fact, Host, HostPattern, Kind,
    OwnAuthority, Result, Secret, SharedCertificate, Time,
};

/// One line of the inventory.
#[derive(Debug, Clone)]
pub struct InventoryEntry {
    /// The host, or the id of a shared one.
    pub id: String,
    pub names: Vec<CertificateName>,
    pub certificate: Certificate,
    /// Whole days until its end; 0 when it has ended.
    pub days_left: Option<u32>,
    /// The hosts that it serves now.
    pub serves: Vec<String>,
    /// Chosen by somebody, or kept for a wildcard; else it belongs to one host.
    pub shared: bool,
    /// Kept by the panel itself.
    pub automatic: bool,
}

/// A certificate to order.
#[derive(Debug, Clone)]
pub struct NewOrder {
    pub names: Vec<CertificateName>,
    pub challenge: Option<ChallengeKind>,
    /// A DNS provider: its id or name.
    pub provider: Option<String>,
}

/// What became of one that somebody brought.
#[derive(Debug, Clone)]
pub struct Uploaded {
    pub entry: InventoryEntry,
    /// What is worth knowing though it serves: a sentence each.
    pub remarks: Vec<String>,
}

#[derive(Clone)]
pub struct Certificates {
    ground: Arc<Ground>,
}

impl Certificates {
    pub(crate) fn new(ground: Arc<Ground>) -> Certificates {
        Certificates { ground }
    }

    /// Of the organization's domains, by host, then the shared ones; administrators also see the panel's own.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<InventoryEntry>> {
        actor.may_somewhere(Action::View)?;
        let store = &self.ground.store;
        let mut found = Vec::new();
        for certificate in store.certificates.list()? {
            let visible = match store.domains.find(certificate.host.as_str())? {
                Some(domain) => owned(
                    &self.ground,
                    actor,
                    Action::View,
                    Some(domain),
                    Kind::Domain,
                    certificate.host.as_str(),
                )
                .is_ok(),
                None => self.is_the_panels(&certificate.host)? && actor.may(Action::Operate).is_ok(),
            };
            if visible {
                found.push(self.single(certificate.value)?);
            }
        }
        for shared in store.shared_certificates.list()? {
            if shared.organization == actor.organization && actor.sees_all() {
                found.push(self.shared(shared.value)?);
            }
        }
        Ok(found)
    }

    /// Orders one for names of one's choice: several, or wildcards. It is renewed by itself until it is removed.
    pub async fn order(&self, actor: &Actor, wish: NewOrder) -> Result<InventoryEntry> {
        actor.may(Action::Configure)?;
        let ground = &self.ground;
        let mut names = Vec::new();
        for name in wish.names {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let first = match names.first() {
            Some(first) if names.len() <= 100 => first.clone(),
            _ => return Err(Error::invalid("names", "name 1 to 100")),
        };
        if let Some(private) = names.iter().find(|name| !name.is_public()) {
            return Err(Error::invalid(
                "names",
                format!("no public certificate authority can know {private}; the panel's own serves it without an order"),
            ));
        }
        self.not_anothers(actor, &names)?;
        let wildcard = names.iter().find(|name| name.is_wildcard());
        if let (Some(wildcard), Some(ChallengeKind::Http | ChallengeKind::TlsAlpn)) = (wildcard, wish.challenge) {
            return Err(Error::invalid("challenge", format!("{wildcard} can be proven by DNS only")));
        }
        let provider = match &wish.provider {
            Some(wanted) => Some(self.provider(actor, wanted)?),
            None => None,
        };
        let set = acme::budget::set_of(&names);
        let same = |shared: &Stored<SharedCertificate>| {
            shared.organization == actor.organization
                && shared.certificate.origin != CertificateOrigin::Uploaded
                && acme::budget::set_of(&shared.names) == set
        };
        if let Some(there) = ground.store.shared_certificates.list()?.iter().find(|shared| same(shared)) {
            return Err(Error::Taken {
                kind: Kind::Certificate,
                name: set,
                by: Some(format!("{}; renew it instead", there.id)),
            });
        }
        let issued = own(ground, &names).await?;
        let now = ground.world.now();
        let mut certificate = record(
            ground,
            &first.base(),
            &issued,
            CertificateOrigin::Own,
            CertificateState::Pending,
            now,
        )?;
        certificate.next_try_at = Some(now);
        let shared = SharedCertificate {
            id: ground.world.id(),
            organization: actor.organization.clone(),
            names,
            wish: wish.challenge,
            provider,
            automatic: false,
            certificate,
        };
        let stored = ground.store.shared_certificates.insert(shared).await?;
        ground.wake_certificates();
        self.shared(stored.value)
    }

    /// Takes a chain and its key (PEM); it serves every host of the organization that it covers. Fails with `Invalid` in
    /// one sentence that says what to bring instead.
    pub async fn upload(&self, actor: &Actor, chain_pem: &str, key_pem: &Secret) -> Result<Uploaded> {
        actor.may(Action::Configure)?;
        let (shared, remarks) = self.checked(actor, chain_pem, key_pem)?;
        let names: Vec<String> = shared.names.iter().map(ToString::to_string).collect();
        let fingerprint = shared.certificate.fingerprint.clone();
        let there = self.ground.store.shared_certificates.list()?;
        let same =
            |other: &&Stored<SharedCertificate>| other.organization == actor.organization && other.certificate.fingerprint == fingerprint;
        if let Some(other) = there.iter().find(same) {
            return Err(Error::Taken {
                kind: Kind::Certificate,
                name: names.join(", "),
                by: Some(other.id.to_string()),
            });
        }
        let stored = self.ground.store.shared_certificates.insert(shared).await?;
        self.serve_now(actor, Fact::CertificateUploaded { names }).await?;
        Ok(Uploaded {
            entry: self.shared(stored.value)?,
            remarks,
        })
    }

    /// Puts another chain and key in the place of an uploaded one. Fails with `Busy` for one that is renewed by itself.
    pub async fn replace(&self, actor: &Actor, id: &str, chain_pem: &str, key_pem: &Secret) -> Result<Uploaded> {
        actor.may(Action::Configure)?;
        let mut stored = self.find_shared(actor, id)?;
        if stored.certificate.origin != CertificateOrigin::Uploaded {
            return Err(Error::busy(
                "this certificate is renewed by itself; upload yours beside it, and it goes before this one",
            ));
        }
        let (new, remarks) = self.checked(actor, chain_pem, key_pem)?;
        let names: Vec<String> = new.names.iter().map(ToString::to_string).collect();
        let created_at = stored.certificate.created_at;
        stored.names = new.names;
        stored.certificate = Certificate {
            created_at,
            ..new.certificate
        };
        let stored = self.ground.store.shared_certificates.save(stored).await?;
        self.serve_now(actor, Fact::CertificateUploaded { names }).await?;
        Ok(Uploaded {
            entry: self.shared(stored.value)?,
            remarks,
        })
    }

    /// Removes a shared one; the hosts that it serves get others. Fails with `Busy` for one that the panel keeps itself.
    pub async fn remove(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.may(Action::Delete)?;
        if !id.starts_with("crt_")
            && let Ok(host) = id.parse::<Host>()
        {
            // Whose the host is comes first: others learn neither from words nor from time whether it has one.
            self.visible_host(actor, &host)?;
            self.ground.store.certificates.get(host.as_str())?;
            return Err(Error::busy("the certificate of a host goes with its domain"));
        }
        let stored = self.find_shared(actor, id)?;
        if stored.automatic {
            return Err(Error::busy(
                "the panel keeps this certificate for a wildcard domain; it goes with that",
            ));
        }
        self.ground.store.shared_certificates.remove(stored.id.as_str()).await?;
        let names = stored.names.iter().map(ToString::to_string).collect();
        self.serve_now(actor, Fact::CertificateRemoved { names }).await
    }

    /// Asks for a new one now, whatever the age of the old.
    pub async fn renew(&self, actor: &Actor, id: &str) -> Result<InventoryEntry> {
        actor.may_somewhere(Action::Configure)?;
        let store = &self.ground.store;
        let now = self.ground.world.now();
        let again = |certificate: &mut Certificate| {
            certificate.state = CertificateState::Pending;
            certificate.next_try_at = Some(now);
            certificate.updated_at = now;
        };
        let entry = match id.parse::<Host>() {
            Ok(host) if !id.starts_with("crt_") || store.certificates.find(host.as_str())?.is_some() => {
                self.visible_host(actor, &host)?;
                let renewed = store
                    .certificates
                    .update(host.as_str(), |certificate| {
                        again(certificate);
                        Ok(())
                    })
                    .await?;
                self.single(renewed.value)?
            }
            _ => {
                let stored = self.find_shared(actor, id)?;
                actor.may(Action::Configure)?;
                if stored.certificate.origin == CertificateOrigin::Uploaded {
                    return Err(Error::busy("an uploaded certificate is renewed by uploading another"));
                }
                let renewed = store
                    .shared_certificates
                    .update(stored.id.as_str(), |shared| {
                        again(&mut shared.certificate);
                        Ok(())
                    })
                    .await?;
                self.shared(renewed.value)?
            }
        };
        self.ground.wake_certificates();
        Ok(entry)
    }

    /// The certificate of the panel's own authority, in PEM, for people who want their browser to trust it.
    pub async fn authority_pem(&self, actor: &Actor) -> Result<String> {
        actor.may_somewhere(Action::View)?;
        Ok(ensure_authority(&self.ground).await?.certificate_pem.clone())
    }

    fn checked(&self, actor: &Actor, chain_pem: &str, key_pem: &Secret) -> Result<(SharedCertificate, Vec<String>)> {
        let ground = &self.ground;
        let now = ground.world.now();
        let upload = check_upload(chain_pem, key_pem, now)?;
        self.not_anothers(actor, &upload.names)?;
        let first = upload
            .names
            .first()
            .ok_or_else(|| Error::invalid("chain_pem", "names no host"))?
            .base();
        let mut certificate = record(
            ground,
            &first,
            &upload.issued,
            CertificateOrigin::Uploaded,
            CertificateState::Valid,
            now,
        )?;
        certificate.next_try_at = None;
        let shared = SharedCertificate {
            id: ground.world.id(),
            organization: actor.organization.clone(),
            names: upload.names,
            wish: None,
            provider: None,
            automatic: false,
            certificate,
        };
        Ok((shared, upload.remarks))
    }

    async fn serve_now(&self, actor: &Actor, fact: Fact) -> Result<()> {
        crate::routing::apply(&self.ground).await?;
        self.ground.wake_certificates();
        self.ground.events.emit(actor, fact).await;
        Ok(())
    }

    /// Fails with `Taken` when a name is a domain of another organization.
    fn not_anothers(&self, actor: &Actor, names: &[CertificateName]) -> Result<()> {
        for domain in self.ground.store.domains.list()? {
            if domain.organization != actor.organization && names.contains(&domain.host) {
                return Err(Error::Taken {
                    kind: Kind::Domain,
                    name: domain.host.to_string(),
                    by: None,
                });
            }
        }
        Ok(())
    }

    fn provider(&self, actor: &Actor, wanted: &str) -> Result<types::DnsProviderId> {
        let store = &self.ground.store.dns_providers;
        let found = match store.claimed(&format!("{}/{wanted}", actor.organization))? {
            Some(found) => Some(found),
            None => store.find(wanted)?,
        };
        let provider = owned(&self.ground, actor, Action::Configure, found, Kind::DnsProvider, wanted)?;
        Ok(provider.id)
    }

    fn find_shared(&self, actor: &Actor, id: &str) -> Result<Stored<SharedCertificate>> {
        let found = self.ground.store.shared_certificates.find(id)?;
        let found = found.filter(|shared| shared.organization == actor.organization && actor.sees_all());
        found.ok_or_else(|| Error::not_found(Kind::Certificate, id))
    }

    fn visible_host(&self, actor: &Actor, host: &Host) -> Result<()> {
        if self.is_the_panels(host)? {
            return actor.may(Action::Operate);
        }
        let domain = self.ground.store.domains.find(host.as_str())?;
        owned(&self.ground, actor, Action::Configure, domain, Kind::Certificate, host.as_str()).map(drop)
    }

    fn single(&self, certificate: Certificate) -> Result<InventoryEntry> {
        let name = HostPattern::from(&certificate.host);
        self.entry(certificate.host.to_string(), vec![name], certificate, None)
    }

    fn shared(&self, shared: SharedCertificate) -> Result<InventoryEntry> {
        self.entry(shared.id.to_string(), shared.names, shared.certificate, Some(shared.automatic))
    }

    fn entry(&self, id: String, names: Vec<CertificateName>, certificate: Certificate, shared: Option<bool>) -> Result<InventoryEntry> {
        let ground = &self.ground;
        let choice = Choice::load(ground)?;
        let organizations = organizations(ground)?;
        let panel = ground.settings()?.panel_domain.map(HostPattern::from);
        let hosts = organizations
            .keys()
            .cloned()
            .chain(panel)
            .chain([crate::routing::default_host().into()]);
        let serves = hosts
            .filter(|host| {
                let best = choice.best(host, organizations.get(host));
                best.is_some_and(|best| !best.fingerprint.is_empty() && best.fingerprint == certificate.fingerprint)
            })
            .map(|host| host.to_string())
            .collect();
        let day = 24 * 3600;
        let left = certificate.not_after.map(|end| end.since(ground.world.now()).as_secs() / day);
        Ok(InventoryEntry {
            id,
            names,
            days_left: left.map(|days| u32::try_from(days).unwrap_or(u32::MAX)),
            serves,
            shared: shared.is_some(),
            automatic: shared.unwrap_or(true),
            certificate,
        })
    }

    fn is_the_panels(&self, host: &Host) -> Result<bool> {
        Ok(*host == crate::routing::default_host() || self.ground.settings()?.panel_domain.as_ref() == Some(host))
    }
}

/// The panel's own authority; made when it is first needed.
pub(crate) async fn ensure_authority(ground: &Ground) -> Result<Stored<OwnAuthority>> {
    if let Some(stored) = ground.store.authority.list()?.into_iter().next() {
        return Ok(stored);
    }
    let (certificate_pem, key) = Authority::create(&ground.world)?;
    let record = OwnAuthority {
        certificate_pem,
        key: ground.store.seal(&key)?,
        created_at: ground.world.now(),
    };
    ground.store.authority.insert(record).await
}

/// A certificate for these names from the panel's own authority.
pub(crate) async fn own(ground: &Ground, names: &[CertificateName]) -> Result<Issued> {
    let record = ensure_authority(ground).await?;
    Authority::load(&record.certificate_pem, &ground.store.unseal(&record.key)?)?.issue(names, &ground.world)
}

/// The record of a certificate that was just issued.
pub(crate) fn record(
    ground: &Ground,
    host: &Host,
    issued: &Issued,
    origin: CertificateOrigin,
    state: CertificateState,
    created_at: Time,
) -> Result<Certificate> {
    Ok(Certificate {
        host: host.clone(),
        origin,
        state,
        chain_pem: issued.chain_pem.clone(),
        key: Some(ground.store.seal(&issued.key_pem)?),
        issuer: issued.issuer.clone(),
        fingerprint: issued.fingerprint.clone(),
        not_before: Some(issued.not_before),
        not_after: Some(issued.not_after),
        challenge: None,
        last_error: None,
        next_step: None,
        failures: 0,
        next_try_at: Some(acme::renew_at(issued.not_before, issued.not_after, ground.world.share())),
        renewal: None,
        warned_days: None,
        created_at,
        updated_at: ground.world.now(),
    })
}

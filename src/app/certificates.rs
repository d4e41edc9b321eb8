//! Certificates: the inventory, and the panel's own authority. How they come to be is in `certifier`.

use crate::{ground::Ground, projects::owned};
use acme::{Authority, Issued};
use std::sync::Arc;
use store::Stored;
use types::{Action, Actor, Certificate, CertificateOrigin, CertificateState, Host, Kind, OwnAuthority, Result, Time};

#[derive(Clone)]
pub struct Certificates {
    ground: Arc<Ground>,
}

impl Certificates {
    pub(crate) fn new(ground: Arc<Ground>) -> Certificates {
        Certificates { ground }
    }

    /// Of the organization's domains, by host; administrators also see the panel's own.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Certificate>> {
        actor.may(Action::View)?;
        let store = &self.ground.store;
        let mut found = Vec::new();
        for certificate in store.certificates.list()? {
            let visible = match store.domains.find(certificate.host.as_str())? {
                Some(domain) => domain.organization == actor.organization,
                None => self.is_the_panels(&certificate.host)? && actor.may(Action::Administer).is_ok(),
            };
            if visible {
                found.push(certificate.value);
            }
        }
        Ok(found)
    }

    /// Asks for a new one now, whatever the age of the old.
    pub async fn renew(&self, actor: &Actor, host: &str) -> Result<Certificate> {
        actor.may(Action::Configure)?;
        let host: Host = host.parse()?;
        let store = &self.ground.store;
        if self.is_the_panels(&host)? {
            actor.may(Action::Administer)?;
        } else {
            owned(
                actor,
                store.domains.find(host.as_str())?,
                Kind::Certificate,
                host.as_str(),
                |domain| &domain.organization,
            )?;
        }
        let now = self.ground.world.now();
        let renewed = store
            .certificates
            .update(host.as_str(), |certificate| {
                certificate.state = CertificateState::Pending;
                certificate.next_try_at = Some(now);
                certificate.updated_at = now;
                Ok(())
            })
            .await?;
        self.ground.wake_certificates();
        Ok(renewed.value)
    }

    /// The certificate of the panel's own authority, in PEM, for people who want their browser to trust it.
    pub async fn authority_pem(&self, actor: &Actor) -> Result<String> {
        actor.may(Action::View)?;
        Ok(ensure_authority(&self.ground).await?.certificate_pem.clone())
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

/// A certificate for these hosts from the panel's own authority.
pub(crate) async fn own(ground: &Ground, hosts: &[Host]) -> Result<Issued> {
    let record = ensure_authority(ground).await?;
    Authority::load(&record.certificate_pem, &ground.store.unseal(&record.key)?)?.issue(hosts, &ground.world)
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

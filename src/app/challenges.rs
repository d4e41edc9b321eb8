//! Shows proofs to a certificate authority: on the edge, or in the zone at a DNS provider.

use crate::{dns, ground::Ground, routing};
use acme::{Challenges, Dns, Proof};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use types::{DnsProviderId, DnsRecord, DnsRecordKind, EdgeCertificate, Error, OrganizationId, Result, report};

/// How long a zone's servers may take to show a new record.
const SHOWN: Duration = Duration::from_secs(180);

/// For the orders of one organization.
pub(crate) struct Shown {
    pub ground: Arc<Ground>,
    pub organization: OrganizationId,
    /// `None`: whichever has the zone.
    pub provider: Option<DnsProviderId>,
    pub names: Dns,
}

fn text_record(name: &str, value: &str) -> DnsRecord {
    DnsRecord {
        id: String::new(),
        name: name.to_owned(),
        kind: DnsRecordKind::Txt,
        value: value.to_owned(),
        ttl_seconds: 60,
    }
}

impl Shown {
    async fn record(&self, name: &str, value: &str) -> Result<()> {
        let found = dns::provider_for(&self.ground, &self.organization, self.provider.as_ref(), name)?;
        let (record, zone) = found.ok_or_else(|| Error::unavailable(format!("no DNS provider has the zone of {name}")))?;
        let provider = dns::open(&self.ground, &record)?;
        provider.create(&zone, &text_record(name, value)).await?;
        self.wait(name, value).await
    }

    /// Until every server of the zone that answers shows it; or until time is up, and then the authority decides.
    async fn wait(&self, name: &str, value: &str) -> Result<()> {
        let egress = self.ground.egress(&self.organization)?;
        let zone = self.names.zone_of(name, &egress).await;
        let shows = async {
            let mut pause = Duration::from_millis(500);
            loop {
                let said = self.names.texts(name, zone.as_ref()).await;
                if said.is_ok_and(|said| said.iter().all(|texts| texts.iter().any(|text| text == value))) {
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        };
        if tokio::time::timeout(SHOWN, shows).await.is_err() {
            tracing::warn!("the name servers do not show {name} after {} s", SHOWN.as_secs());
        }
        Ok(())
    }

    async fn take_away(&self, name: &str, value: &str) -> Result<()> {
        let found = dns::provider_for(&self.ground, &self.organization, self.provider.as_ref(), name)?;
        let Some((record, zone)) = found else { return Ok(()) };
        dns::open(&self.ground, &record)?.delete(&zone, &text_record(name, value)).await
    }
}

#[async_trait]
impl Challenges for Shown {
    async fn publish(&self, proof: &Proof) -> Result<()> {
        match proof {
            Proof::Http { token, answer } => self.ground.routing.publish_challenge(token, answer),
            Proof::TlsAlpn { host, chain_pem, key_pem } => self.ground.routing.publish_alpn(
                host,
                EdgeCertificate {
                    chain_pem: chain_pem.clone(),
                    key_pem: key_pem.clone(),
                },
            ),
            Proof::Dns { name, value } => return self.record(name, value).await,
        }
        routing::apply(&self.ground).await
    }

    async fn withdraw(&self, proof: &Proof) {
        let gone = match proof {
            Proof::Http { token, .. } => {
                self.ground.routing.withdraw_challenge(token);
                routing::apply(&self.ground).await
            }
            Proof::TlsAlpn { host, .. } => {
                self.ground.routing.withdraw_alpn(host);
                routing::apply(&self.ground).await
            }
            Proof::Dns { name, value } => self.take_away(name, value).await,
        };
        if let Err(error) = gone {
            tracing::warn!("withdrawing a challenge: {}", report(&error));
        }
    }
}

//! Gets each routed host its certificate: from the own authority at once, and from the public one by ACME when the name
//! is public. Renews in time, with jitter; backs off after failures; sends no order for a host that is not routed.

use crate::{certificates, ground::Ground, routing};
use acme::{Challenges, Issued};
use async_trait::async_trait;
use std::{collections::BTreeSet, sync::Arc};
use store::Stored;
use types::{AcmeAccount, Actor, Certificate, CertificateOrigin, CertificateState, Fact, Host, Result, Settings, report};

/// See the module.
pub struct Certifier {
    ground: Arc<Ground>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct CertifierReport {
    pub issued: Vec<String>,
    pub failed: Vec<String>,
    pub hosts: usize,
}

/// Publishes answers to challenges on the edge.
struct EdgeChallenges(Arc<Ground>);

#[async_trait]
impl Challenges for EdgeChallenges {
    async fn publish(&self, token: &str, answer: &str) -> Result<()> {
        self.0.routing.publish_challenge(token, answer);
        routing::apply(&self.0).await
    }
    async fn withdraw(&self, token: &str) {
        self.0.routing.withdraw_challenge(token);
        if let Err(error) = routing::apply(&self.0).await {
            tracing::warn!("withdrawing a challenge: {}", report(&error));
        }
    }
}

impl Certifier {
    pub(crate) fn new(ground: Arc<Ground>) -> Certifier {
        Certifier { ground }
    }

    /// Every host that the edge serves.
    fn hosts(&self, settings: &Settings) -> Result<BTreeSet<Host>> {
        let store = &self.ground.store;
        let mut hosts: BTreeSet<Host> = store.domains.list()?.iter().filter_map(|domain| domain.host.exact()).collect();
        hosts.extend(settings.panel_domain.clone());
        hosts.insert(routing::default_host());
        Ok(hosts)
    }

    /// From the own authority: now, so that the host is never without one.
    async fn own(&self, host: &Host, before: Option<Stored<Certificate>>) -> Result<()> {
        let ground = &self.ground;
        let mut names = vec![host.clone()];
        if *host == routing::default_host() {
            names.extend(
                ground
                    .node
                    .addresses()
                    .iter()
                    .filter_map(|address| address.to_string().parse().ok()),
            );
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

    /// From the public authority. The old one serves until the new one is there.
    async fn public(&self, client: &acme::Client, before: &Stored<Certificate>) -> Result<String> {
        let ground = &self.ground;
        let host = &before.host;
        let issued: Issued = client.order(host, &EdgeChallenges(ground.clone())).await?;
        let record = certificates::record(
            ground,
            host,
            &issued,
            CertificateOrigin::Acme,
            CertificateState::Valid,
            before.created_at,
        )?;
        ground
            .store
            .certificates
            .update(host.as_str(), |certificate| {
                *certificate = record.clone();
                Ok(())
            })
            .await?;
        Ok(issued.issuer)
    }

    /// Remembers why it failed, and when to try again.
    async fn failed(&self, host: &Host, why: &str) -> Result<()> {
        let ground = &self.ground;
        let now = ground.world.now();
        let share = ground.world.share();
        let note = |certificate: &mut Certificate| {
            certificate.failures += 1;
            certificate.state = CertificateState::Failed;
            certificate.last_error = Some(why.to_owned());
            certificate.next_try_at = Some(now.plus(acme::retry_after(certificate.failures, share)));
            certificate.updated_at = now;
            Ok(())
        };
        ground.store.certificates.update(host.as_str(), note).await?;
        Ok(())
    }

    fn directory(&self, settings: &Settings) -> url::Url {
        let fixed = self.ground.options.acme_directory.clone();
        fixed.unwrap_or_else(|| settings.acme_directory.clone())
    }

    /// The client for the directory in the settings, with its account.
    async fn client(&self, settings: &Settings) -> Result<acme::Client> {
        let ground = &self.ground;
        let directory = self.directory(settings);
        let ca = ground.options.acme_ca_pem.clone().or_else(|| settings.acme_ca_pem.clone());
        let account = ground.store.acme_accounts.find(directory.as_str())?;
        let credentials = account
            .as_ref()
            .map(|account| ground.store.unseal(&account.credentials))
            .transpose()?;
        let email = settings.acme_email.as_ref().map(types::Email::as_str);
        let client = acme::Client::connect(&directory, ca.as_deref(), email, credentials.as_ref()).await?;
        self.save_account(&directory, &client).await?;
        Ok(client)
    }

    /// Keeps the account as it is now, if that is not what is kept: the first time, and when the authority had lost it.
    async fn save_account(&self, directory: &url::Url, client: &acme::Client) -> Result<()> {
        let ground = &self.ground;
        let credentials = client.credentials()?;
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
            ..CertifierReport::default()
        };
        for host in &hosts {
            let found = ground.store.certificates.find(host.as_str())?;
            let now = ground.world.now();
            let due = |certificate: &Certificate| certificate.next_try_at.is_none_or(|at| at <= now);
            let expired = |certificate: &Certificate| certificate.not_after.is_none_or(|at| at <= now);
            let needed = match &found {
                None => true,
                Some(certificate) => expired(certificate) || (!host.is_public() && due(certificate)),
            };
            if needed {
                self.own(host, found).await?;
                made.issued.push(host.to_string());
            }
        }
        routing::apply(&ground).await?;
        let now = ground.world.now();
        let due: Vec<_> = ground
            .store
            .certificates
            .list()?
            .into_iter()
            .filter(|certificate| hosts.contains(&certificate.host) && certificate.host.is_public())
            .filter(|certificate| certificate.next_try_at.is_none_or(|at| at <= now))
            .collect();
        if due.is_empty() {
            return Ok(made);
        }
        let client = self.client(&settings).await;
        for before in due {
            let host = before.host.clone();
            let ordered = match &client {
                Ok(client) => self.public(client, &before).await.map_err(|error| report(&error)),
                Err(error) => Err(report(error)),
            };
            if let Ok(client) = &client {
                self.save_account(&self.directory(&settings), client).await?;
            }
            match ordered {
                Ok(issuer) => {
                    routing::apply(&ground).await?;
                    made.issued.push(host.to_string());
                    self.tell(
                        &host,
                        Fact::CertificateIssued {
                            host: host.clone(),
                            issuer,
                        },
                    )
                    .await?;
                }
                Err(why) => {
                    self.failed(&host, &why).await?;
                    made.failed.push(format!("{host}: {why}"));
                    self.tell(&host, Fact::CertificateFailed { host: host.clone(), why }).await?;
                }
            }
        }
        Ok(made)
    }
}

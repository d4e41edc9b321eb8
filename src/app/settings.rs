//! The panel's settings.

use crate::{builders, domain_claims, ground::Ground};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use types::{Action, Actor, BuildPlace, ChallengeKind, Email, Error, ExternalAccount, Fact, Host, Kind, Result, Secret, Settings};
use url::Url;

/// What should change; `None` leaves as it is, `Some(None)` clears.
#[derive(Debug, Clone, Default)]
pub struct SettingsChange {
    pub panel_domain: Option<Option<Host>>,
    pub apps_domain: Option<Option<Host>>,
    pub acme_directory: Option<Url>,
    pub acme_email: Option<Option<Email>>,
    pub acme_ca_pem: Option<Option<String>>,
    pub deployments_at_once: Option<u32>,
    pub build_on: Option<BuildPlace>,
    pub trash_days: Option<u32>,
    pub log_days: Option<u32>,
    pub acme_challenge: Option<Option<ChallengeKind>>,
    pub acme_staging: Option<bool>,
    pub acme_eab_key_id: Option<Option<String>>,
    pub acme_eab_hmac_key: Option<Option<Secret>>,
    pub dns_servers: Option<Vec<SocketAddr>>,
    pub public_addresses: Option<Vec<IpAddr>>,
}

#[derive(Clone)]
pub struct SettingsService {
    ground: Arc<Ground>,
}

impl SettingsService {
    /// Where people reach the panel, for links.
    pub fn panel_address(&self) -> Result<String> {
        self.ground.panel_address()
    }

    pub(crate) fn new(ground: Arc<Ground>) -> SettingsService {
        SettingsService { ground }
    }

    pub async fn get(&self, actor: &Actor) -> Result<Settings> {
        actor.may(Action::Operate)?;
        self.ground.settings()
    }

    pub async fn update(&self, actor: &Actor, change: SettingsChange) -> Result<Settings> {
        actor.may(Action::Operate)?;
        let _claiming = domain_claims::gate(&self.ground).await;
        self.check(&change)?;
        let store = &self.ground.store;
        let before = store.settings.list()?.into_iter().next();
        let mut settings = before.as_ref().map(|stored| stored.value.clone()).unwrap_or_default();
        let mut fields = Vec::new();
        set(&mut settings.panel_domain, change.panel_domain, "panel_domain", &mut fields);
        set(&mut settings.apps_domain, change.apps_domain, "apps_domain", &mut fields);
        set(&mut settings.acme_directory, change.acme_directory, "acme_directory", &mut fields);
        set(&mut settings.acme_email, change.acme_email, "acme_email", &mut fields);
        set(&mut settings.acme_ca_pem, change.acme_ca_pem, "acme_ca_pem", &mut fields);
        set(
            &mut settings.deployments_at_once,
            change.deployments_at_once,
            "deployments_at_once",
            &mut fields,
        );
        set(&mut settings.build_on, change.build_on, "build_on", &mut fields);
        set(&mut settings.trash_days, change.trash_days, "trash_days", &mut fields);
        set(&mut settings.log_days, change.log_days, "log_days", &mut fields);
        self.external_account(&mut settings, change.acme_eab_key_id, change.acme_eab_hmac_key, &mut fields)?;
        let of_certificates = &mut settings.certificates;
        set(&mut of_certificates.challenge, change.acme_challenge, "acme_challenge", &mut fields);
        set(&mut of_certificates.staging, change.acme_staging, "acme_staging", &mut fields);
        set(&mut of_certificates.dns_servers, change.dns_servers, "dns_servers", &mut fields);
        set(
            &mut of_certificates.public_addresses,
            change.public_addresses,
            "public_addresses",
            &mut fields,
        );
        if fields.is_empty() {
            return Ok(settings);
        }
        match before {
            Some(mut stored) => {
                stored.value = settings.clone();
                store.settings.save(stored).await?;
            }
            None => {
                store.settings.insert(settings.clone()).await?;
            }
        }
        self.ground.wake_reconcile();
        self.ground.wake_certificates();
        self.ground.wake_deploy();
        self.ground.wakes.hooks.wake();
        self.ground.events.emit(actor, Fact::SettingsChanged { fields }).await;
        Ok(settings)
    }

    /// Id and key belong together; clearing one clears both. An account that was made already stays as it is.
    fn external_account(
        &self,
        settings: &mut Settings,
        key_id: Option<Option<String>>,
        hmac_key: Option<Option<Secret>>,
        fields: &mut Vec<String>,
    ) -> Result<()> {
        if key_id.is_none() && hmac_key.is_none() {
            return Ok(());
        }
        let before = settings.certificates.external_account.clone();
        let id = key_id.unwrap_or_else(|| before.as_ref().map(|account| account.key_id.clone()));
        let key = match hmac_key {
            Some(Some(key)) => {
                let text = key.expose_str().unwrap_or_default().trim();
                let well_formed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte));
                if text.len() < 16 || !well_formed {
                    return Err(Error::invalid(
                        "acme_eab_hmac_key",
                        "must be base64url, as the certificate authority gives it",
                    ));
                }
                self.ground.redactor.learn_own(&key);
                Some(self.ground.store.seal(&key)?)
            }
            Some(None) => None,
            None => before.as_ref().map(|account| account.hmac_key.clone()),
        };
        let after = match (id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()), key) {
            (Some(key_id), Some(hmac_key)) => Some(ExternalAccount { key_id, hmac_key }),
            (Some(_), None) if before.is_none() => {
                return Err(Error::invalid("acme_eab_hmac_key", "belongs to acme_eab_key_id: give both"));
            }
            (None, Some(_)) if before.is_none() => {
                return Err(Error::invalid("acme_eab_key_id", "belongs to acme_eab_hmac_key: give both"));
            }
            _ => None,
        };
        set(&mut settings.certificates.external_account, Some(after), "acme_eab_key_id", fields);
        Ok(())
    }

    fn check(&self, change: &SettingsChange) -> Result<()> {
        if let Some(BuildPlace::Server(name)) = &change.build_on {
            builders::named(&self.ground, name)?;
        }
        if let Some(Some(host)) = &change.panel_domain
            && self.ground.store.domains.find(host.as_str())?.is_some()
        {
            return Err(Error::Taken {
                kind: Kind::Domain,
                name: host.to_string(),
                by: Some("an app".into()),
            });
        }
        if let Some(url) = &change.acme_directory
            && !matches!(url.scheme(), "https" | "http")
        {
            return Err(Error::invalid("acme_directory", "must be an address that begins with https://"));
        }
        if let Some(Some(pem)) = &change.acme_ca_pem
            && !pem.contains("-----BEGIN CERTIFICATE-----")
        {
            return Err(Error::invalid("acme_ca_pem", "must be a certificate in PEM form"));
        }
        let bounded = |field: &str, value: Option<u32>, least: u32, most: u32| match value {
            Some(value) if !(least..=most).contains(&value) => Err(Error::invalid(field, format!("must be between {least} and {most}"))),
            _ => Ok(()),
        };
        bounded("deployments_at_once", change.deployments_at_once, 1, 64)?;
        bounded("trash_days", change.trash_days, 0, 365)?;
        bounded("log_days", change.log_days, 1, 3650)
    }
}

fn set<T: PartialEq>(field: &mut T, value: Option<T>, name: &str, changed: &mut Vec<String>) {
    if let Some(value) = value
        && *field != value
    {
        *field = value;
        changed.push(name.to_owned());
    }
}

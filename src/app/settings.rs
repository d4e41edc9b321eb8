//! The panel's settings.

use crate::ground::Ground;
use std::sync::Arc;
use types::{Action, Actor, Email, Error, Fact, Host, Kind, Result, Settings};
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
    pub trash_days: Option<u32>,
    pub log_days: Option<u32>,
}

#[derive(Clone)]
pub struct SettingsService {
    ground: Arc<Ground>,
}

impl SettingsService {
    pub(crate) fn new(ground: Arc<Ground>) -> SettingsService {
        SettingsService { ground }
    }

    pub async fn get(&self, actor: &Actor) -> Result<Settings> {
        actor.may(Action::Administer)?;
        self.ground.settings()
    }

    pub async fn update(&self, actor: &Actor, change: SettingsChange) -> Result<Settings> {
        actor.may(Action::Administer)?;
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
        set(&mut settings.trash_days, change.trash_days, "trash_days", &mut fields);
        set(&mut settings.log_days, change.log_days, "log_days", &mut fields);
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
        self.ground.events.emit(actor, Fact::SettingsChanged { fields }).await;
        Ok(settings)
    }

    fn check(&self, change: &SettingsChange) -> Result<()> {
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

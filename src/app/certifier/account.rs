//! The account at the authority, which is kept as it is made.

use super::Certifier;
use crate::forecasts::{self, AuthoritySays};
use acme::OrderError;
use types::{AcmeAccount, Result, Secret, Settings};

/// The account at the authority, and what it says of itself.
pub(super) struct Authority {
    pub(super) client: acme::Client,
    pub(super) directory: url::Url,
    pub(super) says: AuthoritySays,
}

impl Certifier {
    /// The account at the directory in the settings.
    pub(super) async fn authority(&self, settings: &Settings) -> Result<Authority, OrderError> {
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
    pub(super) async fn save_account(&self, directory: &url::Url, client: &acme::Client) -> Result<()> {
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
}

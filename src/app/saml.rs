//! SAML providers: their settings, the panel's metadata for them. Signing in by one is `sessions/saml.rs`.

use crate::{
    access::Access,
    identity_providers::{IdentityProviders, line, pem},
};
use identity::saml::{OwnKey, Peer, Place, metadata, read_metadata};
use types::{Error, IdentityProvider, Kind, Protocol, Result, SamlSettings};
use url::Url;

/// Bytes of metadata that is pasted.
const METADATA: usize = 256 << 10;

/// A SAML provider as it should be. The panel's key for it is kept, or made.
#[derive(Debug, Clone)]
pub struct SamlWish {
    pub metadata_url: Option<String>,
    pub metadata: Option<String>,
    pub entity_id: Option<String>,
    pub subject_attribute: Option<String>,
    pub email_attribute: Option<String>,
    pub name_attribute: Option<String>,
    pub groups_attribute: Option<String>,
    pub authority: Option<String>,
}

impl IdentityProviders {
    /// The panel's metadata for a provider, as it is reached at `origin`. Anybody may ask: it is public by its nature.
    pub fn own_metadata(&self, id: &str, origin: &Url) -> Result<String> {
        let found = self.access.store.identity_providers.find(id)?;
        match found.map(|one| one.value.protocol) {
            Some(Protocol::Saml(settings)) => Ok(metadata(&own_place(id, origin), &settings.certificate)),
            _ => Err(Error::not_found(Kind::IdentityProvider, id)),
        }
    }

    pub(crate) async fn saml(&self, wish: SamlWish, before: Option<&Protocol>) -> Result<SamlSettings> {
        if wish.metadata_url.is_some() == wish.metadata.is_some() {
            return Err(Error::invalid("metadata", "or `metadata_url` must be there, and not both"));
        }
        for (field, text) in [
            ("entity_id", &wish.entity_id),
            ("subject_attribute", &wish.subject_attribute),
            ("email_attribute", &wish.email_attribute),
            ("name_attribute", &wish.name_attribute),
            ("groups_attribute", &wish.groups_attribute),
        ] {
            text.as_deref().map(|text| line(field, text)).transpose()?;
        }
        if let Some(text) = &wish.metadata_url {
            check_metadata_url(text)?;
        }
        if let Some(text) = &wish.metadata {
            if text.len() > METADATA {
                return Err(Error::invalid(
                    "metadata",
                    "must be at most 256 KiB; of a federation, take the one provider",
                ));
            }
            let read = read_metadata(text, wish.entity_id.as_deref(), self.access.world.now());
            read.map_err(|why| Error::invalid("metadata", format!("cannot be used: {why}")))?;
        }
        let (key, certificate) = match before {
            Some(Protocol::Saml(before)) => (before.key.clone(), before.certificate.clone()),
            _ => self.new_key().await?,
        };
        Ok(SamlSettings {
            metadata_url: wish.metadata_url,
            metadata: wish.metadata,
            entity_id: wish.entity_id,
            subject_attribute: wish.subject_attribute,
            email_attribute: wish.email_attribute,
            name_attribute: wish.name_attribute,
            groups_attribute: wish.groups_attribute,
            authority: pem(wish.authority)?,
            key,
            certificate,
        })
    }

    async fn new_key(&self) -> Result<(types::Sealed, String)> {
        let now = self.access.world.now();
        let made = tokio::task::spawn_blocking(move || OwnKey::make("serverkit", now)).await;
        let made = made.map_err(|error| Error::internal("making a key", error))??;
        self.access.redactor.learn_own(&made.key);
        Ok((self.access.store.seal(&made.key)?, made.certificate))
    }
}

impl Access {
    pub(crate) fn peer(&self, settings: &SamlSettings) -> Result<Peer> {
        Ok(Peer {
            metadata_url: settings.metadata_url.as_deref().map(check_metadata_url).transpose()?,
            metadata: settings.metadata.clone(),
            entity_id: settings.entity_id.clone(),
            subject_attribute: settings.subject_attribute.clone(),
            email_attribute: settings.email_attribute.clone(),
            name_attribute: settings.name_attribute.clone(),
            groups_attribute: settings.groups_attribute.clone(),
            authority: settings.authority.clone(),
            key: self.store.unseal(&settings.key)?,
        })
    }
}

/// What the panel is to a provider: people are told by the same names as long as it is the same provider.
pub(crate) fn place(settings: &SamlSettings) -> String {
    let subject = settings.subject_attribute.as_deref().unwrap_or_default();
    let own_name = settings
        .metadata
        .as_deref()
        .and_then(|text| read_metadata(text, settings.entity_id.as_deref(), types::Time(0)).ok());
    let name = own_name.map(|provider| provider.entity_id).or_else(|| settings.entity_id.clone());
    let url = settings.metadata_url.as_deref().unwrap_or_default();
    format!("saml {url} {} {subject}", name.unwrap_or_default())
}

/// Where the panel is, for the provider with this id.
pub(crate) fn own_place(id: &str, origin: &Url) -> Place {
    let at = |what: &str| {
        let mut url = origin.clone();
        url.set_path(&format!("/saml/{id}/{what}"));
        url.set_query(None);
        url.to_string()
    };
    Place {
        entity_id: at("metadata"),
        consumer: at("acs"),
    }
}

/// The provider that an answer of this id is for, if it speaks SAML.
pub(crate) fn settings(provider: &IdentityProvider) -> Result<&SamlSettings> {
    match &provider.protocol {
        Protocol::Saml(settings) => Ok(settings),
        _ => Err(Error::invalid("provider", "does not speak SAML")),
    }
}

pub(crate) fn nowhere() -> Url {
    Url::parse("https://localhost/sso").expect("it is one")
}

fn check_metadata_url(text: &str) -> Result<Url> {
    let wrong = || Error::invalid("metadata_url", "must be an address that begins with https://");
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_open = url.username().is_empty() && url.password().is_none();
    match (url.scheme() == "https" || (url.scheme() == "http" && is_local)) && is_open && text.len() <= 1024 {
        true => Ok(url),
        false => Err(wrong()),
    }
}

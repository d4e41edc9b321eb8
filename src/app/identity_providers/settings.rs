//! The settings of a provider: how what somebody writes is checked and kept, secrets too, and how it is reached by them.

use super::{IdentityProviders, ProtocolWish};
use crate::access::Access;
use identity::{ldap, oidc};
use types::{Error, LdapSettings, OidcSettings, Protocol, Result, Sealed, Secret};
use url::Url;

/// Bytes of a text in the settings, and of certificates.
const TEXT: usize = 1024;
const AUTHORITY: usize = 64 << 10;

impl IdentityProviders {
    pub(super) async fn protocol(&self, wish: ProtocolWish, before: Option<&Protocol>) -> Result<Protocol> {
        let kept = match before {
            Some(Protocol::Oidc(before)) => before.client_secret.as_ref(),
            Some(Protocol::Ldap(before)) => before.bind_password.as_ref(),
            Some(Protocol::Saml(_)) | None => None,
        };
        let was = before.map(place);
        match wish {
            ProtocolWish::Oidc {
                issuer,
                client_id,
                client_secret,
                scopes,
                groups_claim,
                trusts_emails,
                authority,
            } => {
                let mut settings = OidcSettings {
                    issuer: line("issuer", &issuer)?,
                    client_id: line("client_id", &client_id)?,
                    client_secret: None,
                    scopes: scopes.iter().map(|scope| word("scopes", scope)).collect::<Result<_>>()?,
                    groups_claim: line("groups_claim", &groups_claim)?,
                    trusts_emails,
                    authority: pem(authority)?,
                };
                check_issuer(&settings.issuer)?;
                let is_same = was == Some(format!("oidc {} {}", settings.issuer, settings.client_id));
                settings.client_secret = self.secret("client_secret", client_secret, kept, is_same)?;
                Ok(Protocol::Oidc(settings))
            }
            ProtocolWish::Ldap {
                mut settings,
                bind_password,
            } => {
                for (field, text) in [
                    ("base", &settings.base),
                    ("filter", &settings.filter),
                    ("email_attribute", &settings.email_attribute),
                    ("name_attribute", &settings.name_attribute),
                ] {
                    line(field, text)?;
                }
                settings.authority = pem(settings.authority.take())?;
                if settings.group_base.is_some() != settings.group_filter.is_some() {
                    return Err(Error::invalid("group_filter", "and group_base are given together, or neither"));
                }
                let protocol = Protocol::Ldap((*settings).clone());
                let is_same = was == Some(place(&protocol));
                settings.bind_password = self.secret("bind_password", bind_password, kept, is_same)?;
                if settings.bind_dn.is_some() && settings.bind_password.is_none() {
                    return Err(Error::invalid("bind_password", "is needed with bind_dn"));
                }
                self.access.directory(&settings)?.check()?;
                Ok(Protocol::Ldap(*settings))
            }
            ProtocolWish::Saml(wish) => self.saml(*wish, before).await.map(Protocol::Saml),
        }
    }

    /// A secret that was typed, or the one from before if it goes to where it went: whoever may change the address must
    /// not learn it.
    fn secret(&self, field: &str, typed: Option<Secret>, kept: Option<&Sealed>, is_same: bool) -> Result<Option<Sealed>> {
        match typed {
            Some(secret) if secret.expose().is_empty() => Ok(None),
            Some(secret) if secret.expose().len() > TEXT => Err(Error::invalid(field, format!("must be at most {TEXT} bytes"))),
            Some(secret) => {
                // It may be a word that others write or guess: only those who run the panel are spared it.
                if let Some(host) = self.access.organization()? {
                    self.access.redactor.learn(&host.id, &secret);
                }
                Ok(Some(self.access.store.seal(&secret)?))
            }
            None if kept.is_some() && !is_same => Err(Error::invalid(field, "is needed again: it would go elsewhere than before")),
            None => Ok(kept.cloned()),
        }
    }
}

/// What a provider's secret is for: as long as it is the same, it goes to the same place, and people are the same ones.
pub(super) fn place(protocol: &Protocol) -> String {
    match protocol {
        Protocol::Saml(settings) => crate::saml::place(settings),
        Protocol::Oidc(settings) => format!("oidc {} {}", settings.issuer, settings.client_id),
        Protocol::Ldap(settings) => format!(
            "ldap {} {} {}",
            settings.url,
            settings.start_tls,
            settings.bind_dn.as_deref().unwrap_or_default()
        ),
    }
}

fn check_issuer(issuer: &str) -> Result<()> {
    let wrong = |why: &str| Error::invalid("issuer", why.to_owned());
    let url = Url::parse(issuer).map_err(|_| wrong("must be an address, such as https://id.example.com/realms/team"))?;
    let is_local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if is_local => {}
        _ => return Err(wrong("must begin with https://")),
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must have no user, question mark or # in it"));
    }
    Ok(())
}

pub(crate) fn line(field: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > TEXT || text.chars().any(char::is_control) {
        return Err(Error::invalid(field, format!("must be 1 to {TEXT} bytes on one line")));
    }
    Ok(text.to_owned())
}

fn word(field: &str, text: &str) -> Result<String> {
    let text = line(field, text)?;
    match text.contains(char::is_whitespace) {
        true => Err(Error::invalid(field, "must be single words")),
        false => Ok(text),
    }
}

pub(crate) fn pem(authority: Option<String>) -> Result<Option<String>> {
    let Some(text) = authority.filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    if text.len() > AUTHORITY {
        return Err(Error::invalid("authority", "must be at most 64 KiB"));
    }
    identity::check_authority(&text)?;
    Ok(Some(text))
}

impl Access {
    pub(crate) fn relying(&self, settings: &OidcSettings) -> Result<oidc::Relying> {
        Ok(oidc::Relying {
            issuer: settings.issuer.clone(),
            client_id: settings.client_id.clone(),
            client_secret: settings
                .client_secret
                .as_ref()
                .map(|sealed| self.store.unseal(sealed))
                .transpose()?,
            scopes: settings.scopes.clone(),
            groups_claim: settings.groups_claim.clone(),
            authority: settings.authority.clone(),
        })
    }

    pub(crate) fn directory(&self, settings: &LdapSettings) -> Result<ldap::Directory> {
        let password = settings
            .bind_password
            .as_ref()
            .map(|sealed| self.store.unseal(sealed))
            .transpose()?;
        Ok(ldap::Directory {
            url: Url::parse(&settings.url).map_err(|_| Error::invalid("url", "must be an address, such as ldaps://ldap.example.com"))?,
            start_tls: settings.start_tls,
            authority: settings.authority.clone(),
            bind: settings.bind_dn.clone().zip(password),
            base: settings.base.clone(),
            filter: settings.filter.clone(),
            email_attribute: settings.email_attribute.clone(),
            name_attribute: settings.name_attribute.clone(),
            groups_attribute: settings.groups_attribute.clone(),
            groups: settings.group_base.clone().zip(settings.group_filter.clone()),
        })
    }
}

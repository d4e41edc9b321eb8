//! What an identity provider says of itself (SAML Metadata, section 2.4.3): its name, where browsers go, its keys.

use super::{
    MD, PROTOCOL,
    certificates::{self, Certificate},
    signature::DS,
    xml::{Comments, Element, Scope, parse},
};
use crate::external::is_this_machine;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use types::Time;
use url::Url;

const HTTP_REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
/// Keys of one provider that are looked at.
const KEYS: usize = 20;

/// An identity provider.
#[derive(Debug, Clone)]
pub struct Provider {
    pub entity_id: String,
    /// Where browsers go, by HTTP-Redirect.
    pub sign_in: Url,
    /// By which it signs; while it changes its key there are two.
    pub certificates: Vec<Certificate>,
}

/// The one provider in a metadata document, or the one of several that is called `wanted`. Fails in words for who sets it up.
pub fn read(text: &str, wanted: Option<&str>, now: Time) -> Result<Provider, String> {
    let root = parse(text, Comments::Dropped, &Scope::new())?;
    let mut found = Vec::new();
    root.visit(&mut |element| {
        if element.is(MD, "EntityDescriptor") && descriptor(element).is_some() {
            found.push(element);
        }
    });
    let id = |element: &Element| element.attribute("entityID").unwrap_or_default().to_owned();
    let ids = || {
        found
            .iter()
            .take(5)
            .map(|one| format!("`{}`", id(one)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let entity = match wanted {
        Some(wanted) => {
            let mut named = found.iter().filter(|one| id(one) == wanted);
            let only = named.next().filter(|_| named.next().is_none());
            only.ok_or_else(|| format!("it tells of no identity provider called `{wanted}`, but of {}", ids()))?
        }
        None => match found.as_slice() {
            [] => return Err("it is not the metadata of a SAML 2.0 identity provider".into()),
            [only] => only,
            _ => return Err(format!("it tells of {} identity providers; say which: {} …", found.len(), ids())),
        },
    };
    let role = descriptor(entity).ok_or("it is not the metadata of a SAML 2.0 identity provider")?;
    for element in [&root, entity, role] {
        if element
            .attribute("validUntil")
            .is_some_and(|until| time(until).is_none_or(|until| until <= now))
        {
            return Err("it is not valid any more (validUntil)".into());
        }
    }
    let entity_id = id(entity);
    if entity_id.is_empty() || entity_id.len() > 1024 {
        return Err("it does not say what the provider is called".into());
    }
    Ok(Provider {
        entity_id,
        sign_in: sign_in(role)?,
        certificates: keys(role)?,
    })
}

fn descriptor(entity: &Element) -> Option<&Element> {
    let mut found = entity.all(MD, "IDPSSODescriptor");
    found.find(|one| {
        let protocols = one.attribute("protocolSupportEnumeration").unwrap_or_default();
        protocols.split_whitespace().any(|protocol| protocol == PROTOCOL)
    })
}

fn sign_in(role: &Element) -> Result<Url, String> {
    let mut ways = role.all(MD, "SingleSignOnService");
    let way = ways
        .find(|way| way.attribute("Binding") == Some(HTTP_REDIRECT))
        .ok_or("the provider takes no sign-ins by HTTP-Redirect")?;
    let text = way.attribute("Location").unwrap_or_default();
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(&url)) => Ok(url),
        _ => Err(format!("the provider's sign-in address is `{text}`, which is no https address")),
    }
}

fn keys(role: &Element) -> Result<Vec<Certificate>, String> {
    let mut keys = Vec::new();
    for descriptor in role
        .all(MD, "KeyDescriptor")
        .filter(|one| one.attribute("use") != Some("encryption"))
    {
        for data in descriptor.all(DS, "KeyInfo").flat_map(|info| info.all(DS, "X509Data")) {
            for certificate in data.all(DS, "X509Certificate") {
                keys.push(certificates::read(certificate.text()?)?);
            }
        }
    }
    match keys.len() {
        0 => Err("it has no certificate to check signatures with".into()),
        1..=KEYS => Ok(keys),
        _ => Err(format!("it has more than {KEYS} certificates")),
    }
}

/// `xs:dateTime` in UTC.
pub(super) fn time(text: &str) -> Option<Time> {
    OffsetDateTime::parse(text.trim(), &Rfc3339).ok().map(Time::from_utc)
}

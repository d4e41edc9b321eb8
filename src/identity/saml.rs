//! SAML 2.0, Web Browser SSO: a signed request by HTTP-Redirect, a signed answer by HTTP-POST, begun here only.
//!
//! Own code over a parser of XML, a narrow part of the standards and nothing beside it: one parser for what is signed and what
//! is read, signatures of the one shape that SAML has, no look-up by names, no algorithm below SHA-256 and 2048 bits. What
//! is refused and why is told to who signs in, as far as it says nothing of others.

mod canonical;
mod certificates;
mod encryption;
mod metadata;
mod own;
mod response;
mod signature;
mod xml;

use crate::{
    external::{Finding, Person},
    web::Web,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use egress::Egress;
use types::{Error, Result, Secret, Time, World};
use url::Url;

pub use certificates::Certificate;
pub use metadata::{Provider, read as read_metadata};
pub use own::{OwnKey, Place, metadata};

const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const SAMLP: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const MD: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
const PROTOCOL: &str = SAMLP;
const HTTP_POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
/// Letters of an answer in base64 that are looked at.
pub const ANSWER: usize = 700_000;

/// An identity provider, and what is made of its answers.
pub struct Peer {
    /// Where its metadata is read at each sign-in, so that a key that it rolled is known at once; else `metadata`.
    pub metadata_url: Option<Url>,
    pub metadata: Option<String>,
    /// Which one, where the metadata tells of several.
    pub entity_id: Option<String>,
    /// The attribute that names people for ever; `None`: the NameID.
    pub subject_attribute: Option<String>,
    /// `None`: what they are usually called.
    pub email_attribute: Option<String>,
    pub name_attribute: Option<String>,
    pub groups_attribute: Option<String>,
    /// More authorities to believe when the metadata is read, in PEM.
    pub authority: Option<String>,
    /// See [`OwnKey::key`].
    pub key: Secret,
}

/// What the panel remembers of a sign-in until the browser comes back.
#[derive(Debug, Clone)]
pub struct Started {
    request: String,
    place: Place,
    provider: Provider,
}

impl Peer {
    /// Begins to sign in: asks the provider who it is today.
    pub async fn start(&self, world: &World, place: Place) -> Result<Started> {
        let provider = self.provider(world.now()).await?;
        Ok(Started {
            // An NCName: it begins with no digit.
            request: format!("_{}", crate::token::word(world)),
            place,
            provider,
        })
    }

    /// Where the browser goes; it brings `state` back.
    pub fn address(&self, started: &Started, state: &str, now: Time) -> Result<Url> {
        own::request(&started.place, &started.request, now, &started.provider.sign_in, state, &self.key)
    }

    /// The person that an answer names. Fails with `Unauthenticated` when anything of it is not as it must be.
    pub fn finish(&self, started: &Started, answer: &str, now: Time) -> Result<Person> {
        let refused = |why: String| Error::Unauthenticated {
            why: format!("the identity provider's answer is not taken: {why}"),
        };
        if answer.len() > ANSWER {
            return Err(refused("it is too large".into()));
        }
        let text: String = answer.split_whitespace().collect();
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| refused("it is not base64".into()))?;
        let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".into()))?;
        response::check(self, started, &text, now).map_err(refused)
    }

    /// Tries what can be tried without a person, and says what is wrong.
    pub async fn test(&self, now: Time) -> Vec<Finding> {
        let provider = match self.provider(now).await {
            Ok(provider) => provider,
            Err(error) => return vec![Finding::bad("metadata", error.to_string())],
        };
        let mut findings = vec![
            Finding::good("metadata", format!("the provider calls itself {}", provider.entity_id)),
            Finding::good("sign-in address", provider.sign_in.to_string()),
        ];
        findings.extend(provider.certificates.iter().map(|one| {
            let until = one.not_after.to_utc().date();
            match one.not_after > now {
                true => Finding::good("certificate", format!("{}, until {until}", one.subject)),
                false => Finding::good(
                    "certificate",
                    format!("{}; it ended on {until}, and its key counts all the same", one.subject),
                ),
            }
        }));
        findings
    }

    async fn provider(&self, now: Time) -> Result<Provider> {
        let read = |text: &str, at: &str| {
            metadata::read(text, self.entity_id.as_deref(), now).map_err(|why| Error::unavailable(format!("the metadata {at}: {why}")))
        };
        match (&self.metadata_url, &self.metadata) {
            (Some(url), _) => {
                let text = Web::new(self.authority.as_deref(), &Egress::Anywhere)?.text(url).await?;
                read(&text, &format!("at {url}"))
            }
            (None, Some(text)) => read(text, "that was pasted"),
            (None, None) => Err(Error::invalid("metadata", "or `metadata_url` must be there")),
        }
    }
}

//! Passkeys by WebAuthn Level 3: making one, and showing one. Each is a question with a challenge, put to the browser's
//! authenticator, and its answer. The authenticator must have checked that it is its owner (user verification), so a
//! passkey is two factors at once: something one has, and a finger, a face or a PIN.
//!
//! Attestation is not asked for: whose make an authenticator is does not matter here.

use crate::pending::Pending;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use types::{BoxError, Error, Result, UserId, World};
use url::{Host, Url};
use webauthn_rs::prelude::{
    CredentialID, DiscoverableAuthentication, DiscoverableKey, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Uuid, Webauthn, WebauthnBuilder,
};

/// How long an answer may take; browsers give up after the same time.
const ANSWERED: Duration = Duration::from_secs(300);

/// Where a passkey is made or shown: the panel as the browser has it in its address bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The relying party's id.
    pub host: String,
    origin: Url,
}

/// A question for the browser.
#[derive(Debug, Clone)]
pub struct Question {
    /// Goes back with the answer.
    pub id: String,
    /// `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON` of WebAuthn Level 3.
    pub options: Value,
}

/// A new passkey.
#[derive(Debug, Clone)]
pub struct NewPasskey {
    /// Base64url.
    pub credential_id: String,
    /// To be kept for [`Ceremonies::shown`]: JSON.
    pub credential: String,
}

enum State {
    Making(UserId, Box<PasskeyRegistration>),
    Showing(Box<DiscoverableAuthentication>),
}

struct Asked {
    site: Site,
    state: State,
}

/// The questions that wait for their answer.
pub struct Ceremonies {
    asked: Pending<Asked>,
}

impl Site {
    /// The panel at `origin`, as a browser's `Origin` header says, if passkeys work there: at `domain` if the panel has
    /// one, else at whatever name it was opened with; by HTTPS, at one of `ports`. Fails with `Busy`, in words for the
    /// one at the browser.
    pub fn of(origin: &str, domain: Option<&str>, ports: &[u16]) -> Result<Site> {
        let elsewhere = || match domain {
            Some(domain) => Error::busy(format!("passkeys work only where the panel has its name: open https://{domain}")),
            None => Error::busy("passkeys need a name: give the panel a domain in its settings, and open it by that"),
        };
        let origin = Url::parse(origin).map_err(|_| elsewhere())?;
        // Browsers make no passkeys for addresses (WebAuthn Level 3, section 5.1.3, step 8).
        let Some(Host::Domain(host)) = origin.host() else {
            return Err(elsewhere());
        };
        let host = host.to_lowercase();
        let port = origin.port_or_known_default().unwrap_or_default();
        if origin.scheme() != "https" || domain.is_some_and(|domain| domain != host) || !(port == 443 || ports.contains(&port)) {
            return Err(elsewhere());
        }
        Ok(Site { host, origin })
    }

    fn party(&self) -> Result<Webauthn> {
        let party =
            WebauthnBuilder::new(&self.host, &self.origin).and_then(|builder| builder.rp_name("serverkit").timeout(ANSWERED).build());
        party.map_err(|error| internal("setting passkeys up", error))
    }
}

impl Ceremonies {
    pub fn new(world: World) -> Ceremonies {
        Ceremonies {
            asked: Pending::new(world, ANSWERED),
        }
    }

    /// Asks for a new passkey of `user`, on another authenticator than those that have one of `existing` (base64url).
    pub fn make(&self, site: &Site, user: &UserId, email: &str, name: &str, existing: &[String]) -> Result<Question> {
        let existing = existing
            .iter()
            .filter_map(|id| BASE64_URL_SAFE_NO_PAD.decode(id).ok())
            .map(CredentialID::from)
            .collect();
        let (options, state) = site
            .party()?
            .start_passkey_registration(handle(user), email, name, Some(existing))
            .map_err(|error| internal("asking for a passkey", error))?;
        let mut options = json_of(&options)?;
        // The library leaves it to the authenticator; signing in without a mail address needs it.
        options["authenticatorSelection"]["residentKey"] = json!("required");
        options["authenticatorSelection"]["requireResidentKey"] = json!(true);
        Ok(self.remember(site, user.as_str(), State::Making(user.clone(), Box::new(state)), options))
    }

    /// Takes the new passkey. Fails with `Invalid` for the field `credential` when it is not an answer to the question
    /// `id` that this person was asked in the last minutes.
    pub fn made(&self, site: &Site, id: &str, user: &UserId, answer: Value) -> Result<NewPasskey> {
        let wrong = |why: &str| Error::invalid("credential", why.to_owned());
        let state = match self.take(site, id) {
            Some(State::Making(of, state)) if of == *user => state,
            _ => return Err(wrong("came too late, or was sent twice; begin again")),
        };
        let answer: RegisterPublicKeyCredential =
            serde_json::from_value(answer).map_err(|_| wrong("is not what a browser answers (RegistrationResponseJSON)"))?;
        let passkey = site.party()?.finish_passkey_registration(&answer, &state).map_err(|error| {
            tracing::info!("a new passkey was refused: {error}");
            wrong("was refused: the authenticator must check that it is you, by finger, face or PIN")
        })?;
        Ok(NewPasskey {
            credential_id: BASE64_URL_SAFE_NO_PAD.encode(passkey.cred_id()),
            credential: serde_json::to_string(&passkey).map_err(|error| internal("keeping a passkey", error))?,
        })
    }

    /// Asks for any passkey of this site. The question says nothing of who has one.
    pub fn show(&self, site: &Site, address: &str) -> Result<Question> {
        let (options, state) = site
            .party()?
            .start_discoverable_authentication()
            .map_err(|error| internal("asking for a passkey", error))?;
        Ok(self.remember(site, address, State::Showing(Box::new(state)), json_of(&options)?))
    }

    /// Whether the answer to the question `id` is by this credential of this person: then the credential as it is to be
    /// kept from now on. Each question is answered once, rightly or not.
    pub fn shown(&self, site: &Site, id: &str, answer: Value, user: &UserId, credential: &str) -> Option<String> {
        let Some(State::Showing(state)) = self.take(site, id) else {
            return None;
        };
        let answer: PublicKeyCredential = serde_json::from_value(answer).ok()?;
        let mut passkey: Passkey = serde_json::from_str(credential).ok()?;
        let party = site.party().ok()?;
        let (of, _) = party.identify_discoverable_authentication(&answer).ok()?;
        if of != handle(user) {
            return None;
        }
        match party.finish_discoverable_authentication(&answer, *state, &[DiscoverableKey::from(&passkey)]) {
            Ok(result) if result.user_verified() => {
                passkey.update_credential(&result);
                serde_json::to_string(&passkey).ok()
            }
            Ok(_) => None,
            Err(error) => {
                tracing::info!("a passkey was refused: {error}");
                None
            }
        }
    }

    fn remember(&self, site: &Site, address: &str, state: State, options: Value) -> Question {
        let asked = Asked { site: site.clone(), state };
        let id = self.asked.insert(address, asked);
        Question { id, options }
    }

    /// The question, which nobody can answer again.
    fn take(&self, site: &Site, id: &str) -> Option<State> {
        let asked = self.asked.take(id)?;
        (asked.site == *site).then_some(asked.state)
    }
}

/// The id of the credential that an answer is by, base64url without padding; a claim that the signature has to prove.
pub fn credential_id(answer: &Value) -> Option<String> {
    let id = answer.get("rawId").or_else(|| answer.get("id"))?.as_str()?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(id.trim_end_matches('=')).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// What authenticators know a person by: says nothing about them, and is the same for each of their passkeys.
fn handle(user: &UserId) -> Uuid {
    let digest = Sha256::digest(user.as_str());
    Uuid::from_slice(&digest[..16]).expect("16 bytes make one")
}

fn json_of(options: &impl serde::Serialize) -> Result<Value> {
    let mut value = serde_json::to_value(options).map_err(|error| internal("writing a question for a passkey", error))?;
    Ok(value["publicKey"].take())
}

fn internal(doing: &str, source: impl Into<BoxError>) -> Error {
    Error::Internal {
        doing: doing.to_owned(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_need_a_name_https_and_a_port_of_the_panel() {
        for (origin, domain, host) in [
            ("https://panel.example.com", Some("panel.example.com"), Some("panel.example.com")),
            ("https://Panel.Example.com:9443", None, Some("panel.example.com")),
            ("https://localhost:9443", None, Some("localhost")),
            ("https://panel.example.com:8080", None, None),
            ("http://panel.example.com", None, None),
            ("https://192.0.2.1:9443", None, None),
            ("https://[2001:db8::1]:9443", None, None),
            ("https://192.0.2.1:9443", Some("panel.example.com"), None),
            ("https://other.example.com", Some("panel.example.com"), None),
            ("https://evil.panel.example.com", Some("panel.example.com"), None),
            ("null", None, None),
            ("", None, None),
        ] {
            let found = Site::of(origin, domain, &[9443]);
            assert_eq!(found.as_ref().ok().map(|site| site.host.as_str()), host, "{origin} {domain:?}");
            if let Err(error) = found {
                let words = error.to_string();
                assert!(words.contains(domain.unwrap_or("domain")), "{words}");
            }
        }
    }

    #[test]
    fn questions_are_of_one_site_and_not_about_anybody() {
        let site = Site::of("https://localhost", None, &[]).expect("a site");
        let all = Ceremonies::new(World::system());
        let first = all.show(&site, "10.0.0.1").expect("asked");
        assert_eq!(first.options["rpId"], "localhost");
        assert_eq!(first.options["userVerification"], "required");
        assert!(first.options["allowCredentials"].as_array().is_none_or(Vec::is_empty));
        let elsewhere = Site::of("https://panel.example.com", None, &[]).expect("a site");
        assert!(all.take(&elsewhere, &first.id).is_none(), "a question of another site");
        assert!(all.take(&site, &first.id).is_none(), "and it is used up");
        let other = all.show(&site, "10.0.0.2").expect("asked");
        assert!(all.take(&site, &other.id).is_some());
        assert!(all.take(&site, &other.id).is_none(), "once");
    }

    #[test]
    fn a_new_passkey_must_be_able_to_sign_in_alone() {
        let site = Site::of("https://localhost", None, &[]).expect("a site");
        let world = World::system();
        let (ada, bob): (UserId, UserId) = (world.id(), world.id());
        let all = Ceremonies::new(world);
        let asked = all.make(&site, &ada, "ada@example.com", "Ada", &["AAEC".into()]).expect("asked");
        assert_eq!(asked.options["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(asked.options["authenticatorSelection"]["userVerification"], "required");
        assert_eq!(asked.options["excludeCredentials"][0]["id"], "AAEC");
        assert!(!asked.options.to_string().contains(ada.as_str()));
        let stolen = all.made(&site, &asked.id, &bob, json!({}));
        assert!(matches!(stolen, Err(Error::Invalid { .. })));
        let again = all.made(&site, &asked.id, &ada, json!({})).expect_err("used up");
        assert!(again.to_string().contains("too late"), "{again}");
    }
}

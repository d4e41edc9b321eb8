//! Orders at an ACME server (RFC 8555), and what it says of renewing (RFC 9773).

use crate::{
    Challenges, Issued, Proof,
    challenge::alpn_certificate,
    failures::{self, OrderError},
    transport::Transport,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error as AcmeError, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{sync::Mutex, time::Duration};
use types::{CertificateName, ChallengeKind, Doing, Error, OrderFailure, Result, Secret, Time};
use url::Url;

/// Which server, and as whom.
#[derive(Debug, Clone, Copy)]
pub struct Directory<'a> {
    pub url: &'a Url,
    /// What to trust instead of the system's roots.
    pub ca_pem: Option<&'a str>,
    pub email: Option<&'a str>,
    /// For authorities that want an account made beforehand: its id, and its key in base64url (RFC 8555, 7.3.4).
    pub external_account: Option<(&'a str, &'a Secret)>,
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// At least one.
    pub names: &'a [CertificateName],
    pub challenge: ChallengeKind,
    /// The chain (PEM) that the new one replaces; authorities with ARI do not count such an order.
    pub replaces: Option<&'a str>,
}

/// When the authority wants a certificate renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalWindow {
    pub from: Time,
    pub to: Time,
    /// When to ask again.
    pub ask_after: Duration,
}

/// An account at one ACME server.
pub struct Client {
    transport: Transport,
    directory: Url,
    email: Option<String>,
    external_account: Option<(String, Secret)>,
    caa_identities: Vec<String>,
    renews: bool,
    account: Mutex<(Account, Secret)>,
}

/// The authority checks within seconds as a rule; a slow one is waited for this long.
const CHECKED: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(300))
    .backoff(1.6)
    .timeout(Duration::from_secs(120));

/// Times an order is begun anew after a refusal that says so.
const AGAIN: usize = 3;

impl Client {
    /// Opens the account in `credentials` if it is one of this directory, else makes a new one (which agrees to the
    /// authority's terms).
    pub async fn connect(directory: Directory<'_>, credentials: Option<&Secret>) -> Result<Client, OrderError> {
        let transport = Transport::new(directory.ca_pem).map_err(OrderError::ours)?;
        let words = |error| failures::in_words(error, None, transport.take_retry_after());
        let described = transport.json(directory.url).await.map_err(words)?;
        let external_account = directory.external_account.map(|(id, key)| (id.to_owned(), key.clone()));
        let known = credentials.filter(|credentials| is_of(credentials, directory.url));
        let account = match known {
            Some(credentials) => {
                let account = serde_json::from_slice::<AccountCredentials>(credentials.expose())
                    .doing("reading the ACME account")
                    .map_err(OrderError::ours)?;
                let opened = Account::builder_with_http(Box::new(transport.clone()))
                    .from_credentials(account)
                    .await;
                (opened.map_err(words)?, credentials.clone())
            }
            None => {
                if described["meta"]["externalAccountRequired"] == true && external_account.is_none() {
                    return Err(OrderError::new(
                        OrderFailure::Account,
                        "the certificate authority wants an account made beforehand: set acme_eab_key_id and acme_eab_hmac_key to what it gave you",
                    ));
                }
                register(&transport, directory.url, directory.email, external_account.as_ref())
                    .await
                    .map_err(|failed| failed.in_words(None, &transport))?
            }
        };
        let identities = described["meta"]["caaIdentities"].as_array();
        Ok(Client {
            directory: directory.url.clone(),
            email: directory.email.map(str::to_owned),
            external_account,
            caa_identities: identities
                .into_iter()
                .flatten()
                .filter_map(|identity| identity.as_str().map(str::to_ascii_lowercase))
                .collect(),
            renews: described["renewalInfo"].is_string(),
            account: Mutex::new(account),
            transport,
        })
    }

    /// The account as JSON, to be kept sealed. It changes when the authority has lost the account and `order` made a
    /// new one; so it is best saved after each order.
    pub fn credentials(&self) -> Secret {
        self.account.lock().expect("no panic under this lock").1.clone()
    }

    /// What CAA records call this authority; empty when it does not say.
    pub fn caa_identities(&self) -> &[String] {
        &self.caa_identities
    }

    /// The account's address, as in CAA's `accounturi` (RFC 8657).
    pub fn account_uri(&self) -> String {
        self.account.lock().expect("no panic under this lock").0.id().to_owned()
    }

    /// When the authority wants this certificate renewed; `None` when it does not say.
    pub async fn renewal(&self, chain_pem: &str) -> Result<Option<RenewalWindow>, OrderError> {
        if !self.renews {
            return Ok(None);
        }
        let Some(leaf) = leaf(chain_pem) else { return Ok(None) };
        let Ok(id) = CertificateIdentifier::try_from(&leaf) else {
            return Ok(None);
        };
        let account = self.account.lock().expect("no panic under this lock").0.clone();
        let (info, ask_after) = account
            .renewal_info(&id)
            .await
            .map_err(|error| failures::in_words(error, None, self.transport.take_retry_after()))?;
        let (from, to) = (
            Time::from_utc(info.suggested_window.start),
            Time::from_utc(info.suggested_window.end),
        );
        // RFC 9773, 4.2: a window that ends before it begins is to be taken as none.
        Ok((from < to).then_some(RenewalWindow {
            from,
            to,
            // RFC 9773, 4.3.2: some limits on what the server may say.
            ask_after: ask_after.clamp(Duration::from_secs(60), Duration::from_secs(24 * 3600)),
        }))
    }

    /// Orders a certificate. Every published proof is withdrawn, whatever happens.
    pub async fn order(&self, wish: Wish<'_>, challenges: &dyn Challenges) -> Result<Issued, OrderError> {
        let mut wish = wish;
        let mut published = Vec::new();
        let mut ordered = self.try_order(wish, challenges, &mut published).await;
        for _ in 0..AGAIN {
            let Err(Failed::Acme(error)) = &ordered else { break };
            match (error, failures::kind_of(error)) {
                // RFC 8555, 6.5: to be tried again with a new nonce. The library does so, but not for long.
                (_, "badNonce") => {}
                // RFC 9773, 5: somebody replaced it already, or the server does not say that it took note.
                (_, "alreadyReplaced") => wish.replaces = None,
                (AcmeError::Other(_) | AcmeError::Unsupported(_), _) if wish.replaces.is_some() => wish.replaces = None,
                // A test authority forgets when it restarts; a real one, when the account was deactivated.
                (_, "accountDoesNotExist") => {
                    let registered = register(
                        &self.transport,
                        &self.directory,
                        self.email.as_deref(),
                        self.external_account.as_ref(),
                    )
                    .await;
                    match registered {
                        Ok(account) => *self.account.lock().expect("no panic under this lock") = account,
                        Err(error) => {
                            ordered = Err(error);
                            continue;
                        }
                    }
                }
                _ => break,
            }
            ordered = self.try_order(wish, challenges, &mut published).await;
        }
        for proof in published {
            challenges.withdraw(&proof).await;
        }
        ordered.map_err(|failed| failed.in_words(wish.names.first(), &self.transport))
    }

    async fn try_order(&self, wish: Wish<'_>, challenges: &dyn Challenges, published: &mut Vec<Proof>) -> Result<Issued, Failed> {
        let account = self.account.lock().expect("no panic under this lock").0.clone();
        let identifiers: Vec<_> = wish.names.iter().map(identifier).collect();
        let mut new_order = NewOrder::new(&identifiers);
        let old = wish.replaces.filter(|_| self.renews).and_then(leaf);
        if let Some(id) = old.as_ref().and_then(|old| CertificateIdentifier::try_from(old).ok()) {
            new_order = new_order.replaces(id.into_owned());
        }
        let mut order = account.new_order(&new_order).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                _ => {
                    return Err(Failed::Ours(OrderError::new(
                        OrderFailure::Other,
                        "the certificate authority closed the order before it was checked",
                    )));
                }
            }
            let identified = authorization.identifier().to_string();
            let name = identified.trim_start_matches("*.").to_owned();
            let kind = match wish.challenge {
                ChallengeKind::Http => ChallengeType::Http01,
                ChallengeKind::TlsAlpn => ChallengeType::TlsAlpn01,
                ChallengeKind::Dns => ChallengeType::Dns01,
            };
            let mut challenge = authorization.challenge(kind).ok_or_else(|| {
                Failed::Ours(OrderError::new(
                    OrderFailure::Rejected,
                    format!(
                        "the certificate authority offers no check of {identified} by {}",
                        wish.challenge.name()
                    ),
                ))
            })?;
            let key = challenge.key_authorization();
            let proof = match wish.challenge {
                ChallengeKind::Http => Proof::Http {
                    token: challenge.token.clone(),
                    answer: key.as_str().to_owned(),
                },
                ChallengeKind::TlsAlpn => {
                    let host = name.parse().map_err(Failed::ours)?;
                    let (chain_pem, key_pem) = alpn_certificate(&host, key.digest().as_ref()).map_err(Failed::ours)?;
                    Proof::TlsAlpn { host, chain_pem, key_pem }
                }
                ChallengeKind::Dns => Proof::Dns {
                    name: format!("_acme-challenge.{name}"),
                    value: key.dns_value(),
                },
            };
            published.push(proof.clone());
            challenges.publish(&proof).await.map_err(Failed::ours)?;
            challenge.set_ready().await?;
        }
        let checked = order.poll_ready(&CHECKED).await;
        match checked {
            Ok(OrderStatus::Ready) => {}
            // The order says at most that it failed; its authorization says why.
            Ok(_) => return Err(self.reason(&mut order, wish).await),
            Err(AcmeError::Api(problem)) if problem.subproblems.is_empty() && failures::kind(&problem) != "rateLimited" => {
                return Err(match self.found_reason(&mut order).await {
                    Some(reason) => Failed::Acme(AcmeError::Api(reason)),
                    None => Failed::Acme(AcmeError::Api(problem)),
                });
            }
            Err(error) => return Err(error.into()),
        }
        let (key, request) = signing_request(wish.names).map_err(Failed::ours)?;
        order.finalize_csr(&request).await?;
        let chain = order.poll_certificate(&CHECKED).await?;
        Issued::of(chain, Secret::from(key.serialize_pem())).map_err(Failed::ours)
    }

    async fn reason(&self, order: &mut instant_acme::Order, wish: Wish<'_>) -> Failed {
        match self.found_reason(order).await {
            Some(problem) => Failed::Acme(AcmeError::Api(problem)),
            None => Failed::Ours(OrderError::new(
                OrderFailure::Other,
                format!("the certificate authority refused {} and gave no reason", words(wish.names)),
            )),
        }
    }

    async fn found_reason(&self, order: &mut instant_acme::Order) -> Option<instant_acme::Problem> {
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            let state = authorization.refresh().await.ok()?;
            if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.clone()) {
                return Some(problem);
            }
        }
        None
    }
}

enum Failed {
    Acme(AcmeError),
    Ours(OrderError),
}

impl Failed {
    fn ours(error: Error) -> Failed {
        Failed::Ours(OrderError::ours(error))
    }
    fn in_words(self, name: Option<&CertificateName>, transport: &Transport) -> OrderError {
        match self {
            Failed::Acme(error) => failures::in_words(error, name, transport.take_retry_after()),
            Failed::Ours(error) => error,
        }
    }
}

impl From<AcmeError> for Failed {
    fn from(error: AcmeError) -> Failed {
        Failed::Acme(error)
    }
}

async fn register(
    transport: &Transport,
    directory: &Url,
    email: Option<&str>,
    external_account: Option<&(String, Secret)>,
) -> Result<(Account, Secret), Failed> {
    let contact = email.map(|email| format!("mailto:{email}"));
    let contacts: Vec<&str> = contact.iter().map(String::as_str).collect();
    let external = external_account.map(external_key).transpose().map_err(Failed::ours)?;
    let wanted = NewAccount {
        contact: &contacts,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let mut again = AGAIN;
    let (account, credentials) = loop {
        let made = Account::builder_with_http(Box::new(transport.clone()))
            .create(&wanted, directory.to_string(), external.as_ref())
            .await;
        match made {
            // RFC 8555, 6.5, as in an order.
            Err(error) if failures::kind_of(&error) == "badNonce" && again > 0 => again -= 1,
            made => break made?,
        }
    };
    let json = serde_json::to_string(&credentials).map_err(AcmeError::from)?;
    Ok((account, Secret::from(json)))
}

/// Fails with `Invalid` when the key is not base64url.
fn external_key((id, key): &(String, Secret)) -> Result<ExternalAccountKey> {
    let text = key.expose_str().unwrap_or_default().trim().trim_end_matches('=');
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Error::invalid("acme_eab_hmac_key", "must be base64url, as the certificate authority gives it"))?;
    Ok(ExternalAccountKey::new(id.clone(), &bytes))
}

/// Whether these credentials were made at `directory`.
fn is_of(credentials: &Secret, directory: &Url) -> bool {
    serde_json::from_slice::<serde_json::Value>(credentials.expose())
        .is_ok_and(|json| json["directory"].as_str().is_some_and(|of| of == directory.as_str()))
}

fn leaf(chain_pem: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(chain_pem.as_bytes()).next()?.ok()
}

fn words(names: &[CertificateName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn identifier(name: &CertificateName) -> Identifier {
    match name.base().address() {
        Some(address) if !name.is_wildcard() => Identifier::Ip(address),
        _ => Identifier::Dns(name.to_string()),
    }
}

/// A new key, and the request for a certificate of `names` that it signed (DER).
fn signing_request(names: &[CertificateName]) -> Result<(KeyPair, Vec<u8>)> {
    let doing = "making a certificate request";
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).doing(doing)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for name in names {
        params.subject_alt_names.push(match name.base().address() {
            Some(address) => SanType::IpAddress(address),
            None => SanType::DnsName(name.as_str().try_into().doing(doing)?),
        });
    }
    let request = params.serialize_request(&key).doing(doing)?;
    let der = request.der().to_vec();
    Ok((key, der))
}

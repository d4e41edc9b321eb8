//! Orders by HTTP-01 (RFC 8555, 7.4 and 8.3).

use crate::{Issued, failures, transport::Transport};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error as AcmeError, Identifier, NewAccount, NewOrder, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use std::{sync::Mutex, time::Duration};
use types::{Doing, Error, Host, Result, Secret};
use url::Url;

/// Where answers to challenges are shown: at `http://HOST/.well-known/acme-challenge/TOKEN`, port 80.
#[async_trait::async_trait]
pub trait Challenges: Send + Sync {
    /// Returns once the answer can be fetched.
    async fn publish(&self, token: &str, answer: &str) -> Result<()>;
    async fn withdraw(&self, token: &str);
}

/// An account at one ACME server.
pub struct Client {
    transport: Transport,
    directory: Url,
    email: Option<String>,
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
    /// authority's terms). `ca_pem`: what to trust instead of the system's roots. Fails with `Unavailable` in words.
    pub async fn connect(directory: &Url, ca_pem: Option<&str>, email: Option<&str>, credentials: Option<&Secret>) -> Result<Client> {
        let transport = Transport::new(ca_pem)?;
        let words = |error| failures::in_words(error, None, transport.take_retry_after());
        let known = credentials.filter(|credentials| is_of(credentials, directory));
        let account = match known {
            Some(credentials) => {
                let account = serde_json::from_slice::<AccountCredentials>(credentials.expose()).doing("reading the ACME account")?;
                let opened = Account::builder_with_http(Box::new(transport.clone()))
                    .from_credentials(account)
                    .await;
                (opened.map_err(words)?, credentials.clone())
            }
            None => register(&transport, directory, email).await.map_err(words)?,
        };
        Ok(Client {
            transport,
            directory: directory.clone(),
            email: email.map(str::to_owned),
            account: Mutex::new(account),
        })
    }

    /// The account as JSON, to be kept sealed. It changes when the authority has lost the account and `order` made a
    /// new one; so it is best saved after each order.
    pub fn credentials(&self) -> Result<Secret> {
        Ok(self.account.lock().expect("no panic under this lock").1.clone())
    }

    /// Orders a certificate for `host`. Every published answer is withdrawn, whatever happens. Fails with
    /// `Unavailable` in words, or `Throttled` when the authority wants us to wait.
    pub async fn order(&self, host: &Host, challenges: &dyn Challenges) -> Result<Issued> {
        let mut published = Vec::new();
        let mut ordered = self.try_order(host, challenges, &mut published).await;
        for _ in 0..AGAIN {
            let Err(Failed::Acme(AcmeError::Api(problem))) = &ordered else {
                break;
            };
            match failures::kind(problem) {
                // RFC 8555, 6.5: to be tried again with a new nonce. The library does so, but not for long.
                "badNonce" => {}
                // A test authority forgets when it restarts; a real one, when the account was deactivated.
                "accountDoesNotExist" => match register(&self.transport, &self.directory, self.email.as_deref()).await {
                    Ok(account) => *self.account.lock().expect("no panic under this lock") = account,
                    Err(error) => {
                        ordered = Err(Failed::Acme(error));
                        continue;
                    }
                },
                _ => break,
            }
            ordered = self.try_order(host, challenges, &mut published).await;
        }
        for token in published {
            challenges.withdraw(&token).await;
        }
        ordered.map_err(|failed| match failed {
            Failed::Acme(error) => failures::in_words(error, Some(host), self.transport.take_retry_after()),
            Failed::Ours(error) => error,
        })
    }

    async fn try_order(&self, host: &Host, challenges: &dyn Challenges, published: &mut Vec<String>) -> Result<Issued, Failed> {
        let account = self.account.lock().expect("no panic under this lock").0.clone();
        let identifier = match host.address() {
            Some(address) => Identifier::Ip(address),
            None => Identifier::Dns(host.as_str().to_owned()),
        };
        let mut order = account.new_order(&NewOrder::new(&[identifier])).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                _ => {
                    return Err(Failed::Ours(Error::unavailable(
                        "the certificate authority closed the order before it was checked",
                    )));
                }
            }
            let mut challenge = authorization.challenge(ChallengeType::Http01).ok_or_else(|| {
                Failed::Ours(Error::unavailable(format!(
                    "the certificate authority offers no check of {host} over HTTP"
                )))
            })?;
            published.push(challenge.token.clone());
            challenges
                .publish(&challenge.token, challenge.key_authorization().as_str())
                .await
                .map_err(Failed::Ours)?;
            challenge.set_ready().await?;
        }
        let checked = order.poll_ready(&CHECKED).await;
        match checked {
            Ok(OrderStatus::Ready) => {}
            // The order says at most that it failed; its authorization says why.
            Ok(_) => return Err(self.reason(&mut order, host).await),
            Err(AcmeError::Api(problem)) if problem.subproblems.is_empty() && failures::kind(&problem) != "rateLimited" => {
                return Err(match self.found_reason(&mut order).await {
                    Some(reason) => Failed::Acme(AcmeError::Api(reason)),
                    None => Failed::Acme(AcmeError::Api(problem)),
                });
            }
            Err(error) => return Err(error.into()),
        }
        let (key, request) = signing_request(host).map_err(Failed::Ours)?;
        order.finalize_csr(&request).await?;
        let chain = order.poll_certificate(&CHECKED).await?;
        Issued::of(chain, Secret::from(key.serialize_pem())).map_err(Failed::Ours)
    }

    async fn reason(&self, order: &mut instant_acme::Order, host: &Host) -> Failed {
        match self.found_reason(order).await {
            Some(problem) => Failed::Acme(AcmeError::Api(problem)),
            None => Failed::Ours(Error::unavailable(format!(
                "the certificate authority refused {host} and gave no reason"
            ))),
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
    Ours(Error),
}

impl From<AcmeError> for Failed {
    fn from(error: AcmeError) -> Failed {
        Failed::Acme(error)
    }
}

async fn register(transport: &Transport, directory: &Url, email: Option<&str>) -> Result<(Account, Secret), AcmeError> {
    let contact = email.map(|email| format!("mailto:{email}"));
    let contacts: Vec<&str> = contact.iter().map(String::as_str).collect();
    let (account, credentials) = Account::builder_with_http(Box::new(transport.clone()))
        .create(
            &NewAccount {
                contact: &contacts,
                terms_of_service_agreed: true,
                only_return_existing: false,
            },
            directory.to_string(),
            None,
        )
        .await?;
    Ok((account, Secret::from(serde_json::to_string(&credentials)?)))
}

/// Whether these credentials were made at `directory`.
fn is_of(credentials: &Secret, directory: &Url) -> bool {
    serde_json::from_slice::<serde_json::Value>(credentials.expose())
        .is_ok_and(|json| json["directory"].as_str().is_some_and(|of| of == directory.as_str()))
}

/// A new key, and the request for a certificate of `host` that it signed (DER).
fn signing_request(host: &Host) -> Result<(KeyPair, Vec<u8>)> {
    let doing = "making a certificate request";
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).doing(doing)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![match host.address() {
        Some(address) => SanType::IpAddress(address),
        None => SanType::DnsName(host.as_str().try_into().doing(doing)?),
    }];
    let request = params.serialize_request(&key).doing(doing)?;
    let der = request.der().to_vec();
    Ok((key, der))
}

//! TLS towards clients: one rustls configuration, and a table from which it picks the certificate by SNI.

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use types::{EdgeCertificate, EdgeConfig, Error, HostPattern, Result};

/// The certificates of one configuration, ready to sign.
#[derive(Default)]
pub(crate) struct Certificates {
    by_host: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// For a client that names no host we know.
    default: Option<Arc<CertifiedKey>>,
    /// For a client that names none at all: it came by address.
    default_address: Option<Arc<CertifiedKey>>,
    /// For TLS-ALPN-01, by host.
    challenges: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// What they were made of, so that a swap parses only what is new.
    made_of: BTreeMap<HostPattern, EdgeCertificate>,
}

/// The protocol by which a certificate authority asks for the certificate of a challenge (RFC 8737, 4).
pub(crate) const ACME_ALPN: &[u8] = b"acme-tls/1";

impl Certificates {
    /// Parses them, or takes them over from `before` where nothing changed. Fails with `Invalid` that names the host.
    pub(crate) fn build(config: &EdgeConfig, before: &Certificates) -> Result<Certificates> {
        let all = &config.certificates;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut by_host: HashMap<Box<str>, Arc<CertifiedKey>> = HashMap::with_capacity(all.len());
        // The same chain may serve many hosts.
        let mut last: Option<(&EdgeCertificate, Arc<CertifiedKey>)> = None;
        for (host, certificate) in all {
            let same = before.made_of.get(host).is_some_and(|made_of| made_of == certificate);
            let key = match (same, &last) {
                (true, _) => before.by_host.get(host.as_str()).cloned(),
                (false, Some((made_of, key))) if *made_of == certificate => Some(key.clone()),
                _ => None,
            };
            let key = match key {
                Some(key) => key,
                None => Arc::new(parse(certificate, &provider).map_err(|why| Error::invalid(format!("certificate of {host}"), why))?),
            };
            last = Some((certificate, key.clone()));
            by_host.insert(host.as_str().into(), key);
        }
        let mut challenges = HashMap::new();
        for (host, certificate) in &config.alpn_challenges {
            let key = parse_challenge(certificate, &provider).map_err(|why| Error::invalid(format!("challenge of {host}"), why))?;
            challenges.insert(host.as_str().into(), Arc::new(key));
        }
        let localhost = by_host.get("localhost").cloned();
        let address = all
            .keys()
            .find(|host| host.address().is_some_and(|address| !address.is_loopback()))
            .and_then(|host| by_host.get(host.as_str()).cloned());
        let any = all.keys().next().and_then(|host| by_host.get(host.as_str()).cloned());
        Ok(Certificates {
            default: localhost.clone().or_else(|| address.clone()).or_else(|| any.clone()),
            default_address: address.or(localhost).or(any),
            challenges,
            made_of: all.clone(),
            by_host,
        })
    }

    fn find(&self, server_name: Option<&str>, local: Option<IpAddr>) -> Option<Arc<CertifiedKey>> {
        let exact = match (server_name, local) {
            (Some(name), _) => {
                let name = name.trim_end_matches('.');
                self.by_host.get(name).or_else(|| self.by_host.get(wildcard_of(name)?.as_str()))
            }
            (None, Some(local)) => self
                .by_host
                .get(local.to_string().as_str())
                .or_else(|| if local.is_loopback() { self.by_host.get("localhost") } else { None }),
            (None, None) => None,
        };
        exact
            .or(if server_name.is_some() {
                self.default.as_ref()
            } else {
                self.default_address.as_ref()
            })
            .cloned()
    }
}

/// The wildcard that stands for `host`.
pub(crate) fn wildcard_of(host: &str) -> Option<String> {
    let (label, rest) = host.split_once('.')?;
    (!label.is_empty()).then(|| format!("*.{rest}"))
}

/// `Err` is the reason in words.
fn parse(certificate: &EdgeCertificate, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let (chain, key) = read(certificate)?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => "the private key belongs to another certificate".into(),
        rustls::Error::InvalidCertificate(error) => format!("the certificate cannot be read: {error}"),
        _ => "the private key is of a kind that cannot be used".into(),
    })
}

/// Of TLS-ALPN-01. Its critical extension (RFC 8737, 3) is known to authorities only, so rustls would refuse to look into it.
fn parse_challenge(certificate: &EdgeCertificate, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let (chain, key) = read(certificate)?;
    let key = provider.key_provider.load_private_key(key);
    Ok(CertifiedKey::new(
        chain,
        key.map_err(|_| "the private key is of a kind that cannot be used".to_owned())?,
    ))
}

fn read(certificate: &EdgeCertificate) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the chain is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("the chain holds no certificate".into());
    }
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.expose()).map_err(|_| "the private key is not PEM".to_owned())?;
    Ok((chain, key))
}

pub(crate) struct Resolver(pub ArcSwap<Certificates>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

thread_local! {
    /// The address that the client of the handshake in progress on this thread came to.
    static LOCAL: Cell<Option<IpAddr>> = const { Cell::new(None) };
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.0.load();
        // Only an authority offers nothing but this (RFC 8737, 3).
        if hello
            .alpn()
            .is_some_and(|mut offered| offered.next() == Some(ACME_ALPN) && offered.next().is_none())
        {
            return certificates.challenges.get(hello.server_name()?.trim_end_matches('.')).cloned();
        }
        certificates.find(hello.server_name(), LOCAL.get())
    }
}

/// A handshake that lets [`Resolver`] know our own address: a client that came by address sends no name.
pub(crate) struct Handshake<F> {
    pub local: IpAddr,
    pub inner: F,
}

impl<F: Future + Unpin> Future for Handshake<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        LOCAL.set(Some(self.local));
        let polled = Pin::new(&mut self.inner).poll(context);
        LOCAL.set(None);
        polled
    }
}

/// For QUIC: TLS 1.3 only, and HTTP/3. No early data, since a request in it could be sent twice.
pub(crate) fn quic_config(resolver: Arc<Resolver>) -> Result<ServerConfig> {
    let internal = |error: rustls::Error| Error::internal("setting up TLS", error);
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(internal)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h3".to_vec()];
    Ok(config)
}

/// TLS 1.2 and 1.3, HTTP/2 or HTTP/1.1, and tickets for resumption (none of a session's state is kept here).
pub(crate) fn server_config(resolver: Arc<Resolver>) -> Result<ServerConfig> {
    let internal = |error: rustls::Error| Error::internal("setting up TLS", error);
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(internal)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    // All of them are good; a server that names its order is what auditors look for.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), ACME_ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(internal)?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

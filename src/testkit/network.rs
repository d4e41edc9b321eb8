//! Ports, names and TLS as the tests need them: every name is this machine, every certificate is taken.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
};

/// A port on the loopback address that nobody has now, neither for TCP nor for UDP.
pub fn free_port() -> u16 {
    reserve_ports(1)[0]
}

/// Below those that the system itself gives out (`net.ipv4.ip_local_port_range`, from 32768 on): a port that a test has
/// chosen and not yet bound is not taken by a connection of somebody else meanwhile.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// So many different free ports.
pub fn reserve_ports(count: usize) -> Vec<u16> {
    let mut held: Vec<(u16, TcpListener, UdpSocket)> = Vec::new();
    while held.len() < count {
        // Each has random keys.
        let chance = RandomState::new().hash_one(held.len());
        let port = RANGE.start + u16::try_from(chance % u64::from(RANGE.end - RANGE.start)).expect("it is below the length of the range");
        let both = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|tcp| Ok((tcp, UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?)));
        if let Ok((tcp, udp)) = both {
            held.push((port, tcp, udp));
        }
    }
    held.into_iter().map(|(port, ..)| port).collect()
}

/// Resolves every name to the loopback address.
pub(crate) struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(async { Ok(Box::new(std::iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))) as Addrs) })
    }
}

/// A TLS client that takes any certificate, speaking HTTP/1.1.
pub fn insecure_tls() -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Arc::new(config)
}

/// TLS to a port of the loopback address, taking any certificate: the stream, and the certificate that is shown.
pub async fn tls(port: u16, name: &str) -> std::io::Result<(Tls, Vec<u8>)> {
    tls_as(port, name, &["http/1.1"]).await
}

pub type Tls = tokio_rustls::client::TlsStream<tokio::net::TcpStream>;

/// The same, offering these protocols.
pub async fn tls_as(port: u16, name: &str, protocols: &[&str]) -> std::io::Result<(Tls, Vec<u8>)> {
    let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
    let mut config = (*insecure_tls()).clone();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let shown = shown.map(|certificate| certificate.to_vec()).unwrap_or_default();
    Ok((stream, shown))
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

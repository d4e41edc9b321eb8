//! HTTP to the certificate authority: TLS with the system's roots or one authority's, names by hickory (a static binary
//! cannot use libc's resolver), one kept connection, and a limit on everything.

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{net::TcpStream, sync::Mutex, time::timeout};
use tokio_rustls::TlsConnector;
use types::{BoxError, Error, Result};

const CONNECT: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(60);
const LARGEST: usize = 1 << 20;

/// One authority's server.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Inner>);

struct Inner {
    tls: TlsConnector,
    kept: Mutex<Option<Kept>>,
    /// Seconds of the last `Retry-After` that came with a 429 or 503; 0 when there was none.
    retry_after: AtomicU64,
}

struct Kept {
    authority: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Transport {
    /// Trusts the certificates in `ca_pem`, or without it those that the system trusts.
    pub(crate) fn new(ca_pem: Option<&str>) -> Result<Transport> {
        let roots = match ca_pem {
            Some(pem) => roots_from(pem)?,
            None => system_roots()?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal("setting up TLS", error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Transport(Arc::new(Inner {
            tls: TlsConnector::from(Arc::new(config)),
            kept: Mutex::new(None),
            retry_after: AtomicU64::new(0),
        })))
    }

    /// A document that anybody may read.
    pub(crate) async fn json(&self, url: &url::Url) -> Result<serde_json::Value, instant_acme::Error> {
        let request = Request::builder().uri(url.as_str()).body(BodyWrapper::default())?;
        let response = self.0.ask(request).await.map_err(instant_acme::Error::Other)?;
        let body = response
            .into_body()
            .collect()
            .await
            .unwrap_or_else(|never| match never {})
            .to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }

    /// What the server last asked for, once.
    pub(crate) fn take_retry_after(&self) -> Option<u64> {
        Some(self.0.retry_after.swap(0, Relaxed)).filter(|seconds| *seconds > 0)
    }
}

fn roots_from(pem: &str) -> Result<RootCertStore> {
    let invalid = || Error::invalid("acme_ca", "must be certificates in PEM");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|_| invalid())?).map_err(|_| invalid())?;
    }
    if roots.is_empty() { Err(invalid()) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::unavailable(
            "this machine trusts no certificate authority, so the ACME server cannot be reached safely; install the package ca-certificates",
        ));
    }
    Ok(roots)
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let inner = self.0.clone();
        Box::pin(async move {
            inner
                .ask(request)
                .await
                .map(BytesResponse::from)
                .map_err(instant_acme::Error::Other)
        })
    }
}

impl Inner {
    async fn ask(&self, request: Request<BodyWrapper<Bytes>>) -> Result<Response<Full<Bytes>>, BoxError> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let authority = parts
            .uri
            .authority()
            .ok_or("the address of the ACME server names no host")?
            .to_string();
        if parts.uri.scheme_str() != Some("https") {
            return Err("the address of an ACME server must begin with https://".into());
        }
        parts.headers.insert(header::HOST, authority.parse()?);
        parts.uri = parts.uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        let request = || {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = parts.method.clone();
            *request.uri_mut() = parts.uri.clone();
            *request.headers_mut() = parts.headers.clone();
            request
        };
        let mut kept = self.kept.lock().await;
        if let Some(mut old) = kept.take().filter(|kept| kept.authority == authority) {
            // It may have been closed meanwhile; a signed request carries a nonce, so the server cannot act on it twice.
            if old.sender.ready().await.is_ok()
                && let Ok(response) = self.send(&mut old.sender, request()).await
            {
                *kept = Some(old);
                return Ok(response);
            }
        }
        let mut sender = self.connect(&authority).await?;
        let response = self.send(&mut sender, request()).await?;
        *kept = Some(Kept { authority, sender });
        Ok(response)
    }

    async fn send(&self, sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, BoxError> {
        let exchange = async {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, LARGEST).collect().await?.to_bytes();
            Ok::<_, BoxError>(Response::from_parts(parts, Full::new(body)))
        };
        let response = timeout(ANSWER, exchange).await.map_err(|_| "no answer within a minute")??;
        if matches!(response.status().as_u16(), 429 | 503) {
            let seconds = response
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.trim().parse().ok());
            self.retry_after.store(seconds.unwrap_or(0), Relaxed);
        }
        Ok(response)
    }

    async fn connect(&self, authority: &str) -> Result<SendRequest<Full<Bytes>>, BoxError> {
        let authority: http::uri::Authority = authority.parse()?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(443);
        let open = async {
            let stream = open(host, port).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(host.to_owned())?;
            let stream = self.tls.connect(name, stream).await?;
            Ok::<_, BoxError>(hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?)
        };
        let (sender, connection) = timeout(CONNECT, open).await.map_err(|_| format!("{host} does not answer"))??;
        tokio::spawn(async move {
            let _ = connection.await; // the sender learns of its end
        });
        Ok(sender)
    }
}

/// Why a name has no address, for people: what resolvers say of it means nothing to them.
fn unknown(host: &str, answered: bool) -> String {
    match answered {
        true => format!("DNS knows no address of {host}: is it spelled rightly?"),
        false => format!("{host} cannot be looked up, since no name server answers this machine: check its network and /etc/resolv.conf"),
    }
}

async fn open(host: &str, port: u16) -> Result<TcpStream, BoxError> {
    let addresses: Vec<IpAddr> = match host.parse() {
        Ok(address) => vec![address],
        Err(_) if host == "localhost" => vec![[127, 0, 0, 1].into()],
        Err(_) => {
            let resolver = hickory_resolver::TokioResolver::builder_tokio()?.build()?;
            let found = resolver
                .lookup_ip(format!("{}.", host.trim_end_matches('.')))
                .await
                .map_err(|error| unknown(host, error.is_nx_domain() || error.is_no_records_found()))?;
            found.iter().collect()
        }
    };
    let mut last: BoxError = format!("{host} has no address").into();
    for address in addresses {
        match TcpStream::connect((address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("{address} port {port}: {error}").into(),
        }
    }
    Err(last)
}

//! A real edge with real upstream servers, all on loopback, all of one test.

#![allow(clippy::unwrap_used, dead_code)]

use bytes::Bytes;
use edge::{Edge, Listeners};
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{Request, Response, body::Frame, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serverkit_edge as edge;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use types::{AppId, EdgeCertificate, EdgeConfig, EdgeLimits, EdgeSettings, Route, Secret, Target, Upstream, World};

pub type Body = BoxBody<Bytes, std::io::Error>;

pub fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

/// An app: says its name and what it got, and has a few paths that behave in special ways.
pub struct App {
    pub address: SocketAddr,
    pub requests: Arc<AtomicUsize>,
    /// Requests whose client went away before the answer.
    pub abandoned: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl App {
    pub async fn start(name: &'static str) -> App {
        App::start_on(name, "127.0.0.1:0".parse().unwrap()).await
    }
    pub async fn start_on(name: &'static str, address: SocketAddr) -> App {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, abandoned) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, lost) = (requests.clone(), abandoned.clone());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (counted, lost) = (counted.clone(), lost.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(name, request, counted.clone(), lost.clone()));
                    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                        .http1_only()
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        App {
            address,
            requests,
            abandoned,
            task,
        }
    }
    pub fn upstream(&self) -> Upstream {
        Upstream { address: self.address }
    }
    /// Takes no new connections from now on.
    pub fn close(self) {
        self.task.abort();
    }
}

struct Unfinished(Option<Arc<AtomicUsize>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(lost) = &self.0 {
            lost.fetch_add(1, SeqCst);
        }
    }
}

async fn answer(
    name: &'static str,
    mut request: Request<Incoming>,
    counted: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
) -> Result<Response<Body>, hyper::Error> {
    counted.fetch_add(1, SeqCst);
    let answer = Response::builder();
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        "/headers" => {
            let mut text = String::new();
            for (name, value) in request.headers() {
                text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
            }
            answer
                .header("server", "secretserver/1.0")
                .header("via", "1.1 inner")
                .header("x-own", "kept")
                .body(full(text))
                .unwrap()
        }
        "/target" => answer.body(full(request.uri().to_string())).unwrap(),
        "/size" => {
            let mut size = 0;
            while let Some(frame) = request.body_mut().frame().await {
                size += frame?.data_ref().map_or(0, Bytes::len);
            }
            answer.body(full(size.to_string())).unwrap()
        }
        "/echo" => {
            let body = request.into_body().map_err(std::io::Error::other).boxed();
            answer.body(body).unwrap()
        }
        "/refuse-body" => answer.status(403).body(full("no")).unwrap(),
        "/slow" => {
            let mut unfinished = Unfinished(Some(lost));
            tokio::time::sleep(Duration::from_millis(700)).await;
            unfinished.0 = None;
            answer.body(full("slow")).unwrap()
        }
        "/never" => {
            let _unfinished = Unfinished(Some(lost));
            std::future::pending::<()>().await;
            unreachable!()
        }
        "/stall" => {
            let first = futures::stream::once(async { Ok(Frame::data(Bytes::from_static(b"first"))) });
            let body = StreamBody::new(first.chain(futures::stream::pending()));
            answer.body(BodyExt::boxed(body)).unwrap()
        }
        "/ticks" => {
            let ticks = futures::stream::unfold(0, |n| async move {
                if n == 3 {
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Ok(Frame::data(Bytes::from(format!("tick {n}\n")))), n + 1))
            });
            answer
                .header("content-type", "text/event-stream")
                .body(BodyExt::boxed(StreamBody::new(ticks)))
                .unwrap()
        }
        "/big" => {
            let pieces = futures::stream::iter((0..512).map(|n| Ok(Frame::data(Bytes::from(vec![(n % 251) as u8; 128 << 10])))));
            answer.body(BodyExt::boxed(StreamBody::new(pieces))).unwrap()
        }
        "/none" => answer.status(204).body(full("")).unwrap(),
        "/same" => answer.status(304).header("etag", "\"1\"").body(full("")).unwrap(),
        "/ws" => {
            let key = request.headers()["sec-websocket-key"].as_bytes().to_owned();
            tokio::spawn(async move {
                let stream = hyper::upgrade::on(&mut request).await.unwrap();
                let role = tokio_tungstenite::tungstenite::protocol::Role::Server;
                let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(TokioIo::new(stream), role, None).await;
                while let Some(Ok(message)) = socket.next().await {
                    if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                        break;
                    }
                }
            });
            answer
                .status(101)
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header(
                    "sec-websocket-accept",
                    tokio_tungstenite::tungstenite::handshake::derive_accept_key(&key),
                )
                .body(full(""))
                .unwrap()
        }
        _ => answer.header("content-type", "text/plain").body(full(name)).unwrap(),
    })
}

/// An edge on free ports.
pub struct Stand {
    pub edge: Edge,
    pub folder: tempfile::TempDir,
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub panel: SocketAddr,
    authority: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

fn settings(folder: &tempfile::TempDir, limits: EdgeLimits) -> EdgeSettings {
    let any: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap()];
    EdgeSettings {
        http: any.clone(),
        https: any.clone(),
        panel: any,
        panel_socket: folder.path().join("api.sock"),
        access_log: folder.path().join("access.log"),
        limits,
        threads: 2,
    }
}

impl Stand {
    pub fn start() -> Stand {
        Stand::with_limits(EdgeLimits::default())
    }
    pub fn with_limits(limits: EdgeLimits) -> Stand {
        let folder = tempfile::tempdir().unwrap();
        let edge = Edge::start(settings(&folder, limits), World::system()).unwrap();
        Stand::around(edge, folder)
    }
    /// It serves from its first configuration on, and another edge can be started on its sockets.
    pub fn on_shared_sockets() -> (Stand, Listeners) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder, EdgeLimits::default());
        let listeners = Listeners::bind(&settings).unwrap();
        let edge = Edge::start_on(listeners.try_clone().unwrap(), settings, World::system()).unwrap();
        (Stand::around(edge, folder), listeners)
    }
    /// One that takes over from this one.
    pub fn next(&self, listeners: Listeners) -> Edge {
        let next = Edge::start_on(listeners, settings(&self.folder, EdgeLimits::default()), World::system()).unwrap();
        next.adopt(self.edge.share().unwrap());
        next
    }
    fn around(edge: Edge, folder: tempfile::TempDir) -> Stand {
        let bound = edge.bound();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Stand {
            http: bound.http[0],
            https: bound.https[0],
            panel: bound.panel[0],
            edge,
            folder,
            authority: rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap(),
        }
    }
    pub fn authority_pem(&self) -> String {
        self.authority.pem()
    }
    pub fn certificate(&self, host: &str) -> EdgeCertificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
        EdgeCertificate {
            chain_pem: params.signed_by(&key, &self.authority).unwrap().pem(),
            key_pem: Secret::from(key.serialize_pem()),
        }
    }
    /// Routes with a certificate each.
    pub fn apply(&self, routes: &[(&str, Route)]) {
        self.edge.apply(self.config(routes)).unwrap();
    }
    pub fn config(&self, routes: &[(&str, Route)]) -> EdgeConfig {
        EdgeConfig {
            certificates: routes
                .iter()
                .map(|(host, _)| (host.parse().unwrap(), self.certificate(host)))
                .collect(),
            routes: routes.iter().map(|(host, route)| (host.parse().unwrap(), route.clone())).collect(),
            ..EdgeConfig::default()
        }
    }
    /// A client that trusts the certificates and finds every host here.
    pub fn client(&self) -> reqwest::Client {
        self.client_builder().build().unwrap()
    }
    pub fn client_builder(&self) -> reqwest::ClientBuilder {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([reqwest::Certificate::from_pem(self.authority.pem().as_bytes()).unwrap()])
            .timeout(Duration::from_secs(60));
        for host in ["blog.test", "shop.test", "other.test", "panel.test"] {
            builder = builder.resolve(host, self.https);
        }
        builder
    }
    pub fn http_url(&self, path: &str) -> String {
        format!("http://blog.test:{}{path}", self.http.port())
    }
    pub fn https_url(&self, path: &str) -> String {
        format!("https://blog.test:{}{path}", self.https.port())
    }
    /// GET over plain HTTP.
    pub async fn get(&self, host: &str, path: &str) -> Answer {
        raw(
            self.http,
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        )
        .await
    }
    pub fn tls_config(&self, alpn: &[&str]) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
    pub async fn tls(&self, address: SocketAddr, name: &str, alpn: &[&str]) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
        tokio_rustls::TlsConnector::from(self.tls_config(alpn)).connect(name, stream).await
    }
    pub fn log_lines(&self) -> Vec<serde_json::Value> {
        std::fs::read_to_string(self.folder.path().join("access.log"))
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

pub fn app_id(n: u64) -> AppId {
    format!("app_{n:026}").parse().unwrap()
}

pub fn route(n: u64, target: Target) -> Route {
    Route::plain(Some(app_id(n)), format!("app{n}"), false, target)
}

pub fn to(app: &App) -> Route {
    route(1, Target::Upstreams(vec![app.upstream()]))
}

/// An answer as it came over the wire.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }
    fn of(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        Answer {
            status: head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}

/// Sends bytes and reads until the edge closes.
pub async fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    Answer::of(&read_all(&mut stream).await)
}

/// Everything until the end, or what came when nothing more does for 10 s.
pub async fn read_all(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Waits until it is so.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < until, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An app that answers as a function of the request's head says, on connections that stay open.
pub struct Script {
    pub address: SocketAddr,
    pub heads: Arc<std::sync::Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Script {
    pub async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Script {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), heads.clone());
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (answer, seen) = (answer.clone(), seen.clone());
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    loop {
                        let end = loop {
                            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                                break end;
                            }
                            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                                return;
                            }
                        };
                        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                        bytes.drain(..end + 4);
                        seen.lock().unwrap().push(head.clone());
                        let text = answer(&head);
                        if text.is_empty() {
                            return;
                        }
                        stream.write_all(text.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Script { address, heads, task }
    }
    pub fn route(&self) -> Route {
        route(1, Target::Upstreams(vec![self.upstream()]))
    }
    pub fn upstream(&self) -> Upstream {
        Upstream { address: self.address }
    }
    pub fn count(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
    pub fn last(&self) -> String {
        self.heads.lock().unwrap().last().cloned().unwrap_or_default()
    }
    pub fn close(self) {
        self.task.abort();
    }
}

/// A whole answer with these headers, each with its line end.
pub fn reply(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub fn policy(json: serde_json::Value) -> Option<Box<types::TrafficPolicy>> {
    Some(Box::new(serde_json::from_value(json).unwrap()))
}

pub fn with_policy(route: Route, json: serde_json::Value) -> Route {
    Route {
        policy: policy(json),
        ..route
    }
}

pub fn rule(n: u64, matches: serde_json::Value, action: types::EdgeAction) -> types::EdgeRule {
    types::EdgeRule {
        id: format!("rul_{n:026}").parse().unwrap(),
        name: format!("rule{n}"),
        priority: 0,
        matches: serde_json::from_value(matches).unwrap(),
        action,
        policy: None,
    }
}

impl Stand {
    /// GET over plain HTTP with more headers, each with its line end.
    pub async fn get_with(&self, host: &str, path: &str, headers: &str) -> Answer {
        raw(
            self.http,
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"),
        )
        .await
    }
}

//! A served API for the tests, on a real store; the machine beside it has no engine. And a client that shows each byte.

use crate::{Api, Sockets};
use app::{Options, Panel, Parts};
use async_trait::async_trait;
use futures::stream::BoxStream;
use node::{Egress, Exec, Lines, Node};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use store::Store;
use telemetry::{LogStore, Metrics, Redactor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};
use tokio_util::sync::CancellationToken;
use types::*;

/// A machine without an engine.
struct Bare;

fn none<T>() -> Result<T> {
    Err(Error::unavailable("there is no engine here"))
}

#[async_trait]
impl Node for Bare {
    async fn engine(&self) -> EngineStatus {
        EngineStatus::Down {
            why: "there is none".into(),
            fix: "install one".into(),
        }
    }
    fn engine_events(&self) -> BoxStream<'static, EngineEvent> {
        Box::pin(futures::stream::pending())
    }
    async fn image_find(&self, _: &str) -> Result<Option<Image>> {
        none()
    }
    async fn image_pull(&self, _: &str, _: Option<&RegistryLogin>, _: PullPolicy, _: &Egress, _: &Lines) -> Result<Image> {
        none()
    }
    async fn image_digest(&self, _: &str, _: Option<&RegistryLogin>, _: &Egress) -> Result<String> {
        none()
    }
    async fn image_labels(&self, _: &str) -> Result<BTreeMap<String, String>> {
        none()
    }
    async fn registry_check(&self, _: &RegistryLogin, _: &Egress) -> Result<()> {
        none()
    }
    async fn image_build(&self, _: &BuildSpec, _: &Lines) -> Result<Image> {
        none()
    }
    async fn engine_facts(&self) -> Result<types::EngineFacts> {
        Ok(types::EngineFacts::default())
    }
    async fn image_remove(&self, _: &str) -> Result<()> {
        none()
    }
    async fn network_ensure(&self, _: &NetworkSpec) -> Result<()> {
        none()
    }
    async fn network_remove(&self, _: &str) -> Result<()> {
        none()
    }
    async fn volume_ensure(&self, _: &str, _: &[(String, String)]) -> Result<()> {
        none()
    }
    async fn volume_exists(&self, _: &str) -> Result<bool> {
        none()
    }
    async fn build_cache(&self) -> Result<types::BuildCache> {
        Ok(types::BuildCache::default())
    }
    async fn build_cache_records(&self) -> Result<Vec<types::CacheRecord>> {
        none()
    }
    async fn build_cache_remove(&self, _: &str) -> Result<u64> {
        none()
    }
    async fn build_cache_trim(&self, _: u64) -> Result<u64> {
        Ok(0)
    }
    async fn volume_bytes(&self, _: &str) -> Result<Option<u64>> {
        none()
    }
    async fn volume_room(&self, _: &str) -> Result<Option<u64>> {
        Ok(None)
    }
    async fn volume_copy(&self, _: &str, _: &str, _: &str) -> Result<u64> {
        Ok(0)
    }
    async fn volume_remove(&self, _: &str) -> Result<()> {
        none()
    }
    async fn containers(&self) -> Result<Vec<Container>> {
        none()
    }
    async fn container_find(&self, _: &str) -> Result<Option<Container>> {
        none()
    }
    async fn container_start(&self, _: &ContainerSpec) -> Result<String> {
        none()
    }
    async fn container_run(&self, _: &types::ContainerSpec, _: &node::Lines) -> Result<types::RunEnd> {
        Err(Error::unavailable("no engine"))
    }
    async fn runs_remove(&self, _: &[types::AppId]) -> Result<usize> {
        Err(Error::unavailable("no engine"))
    }
    async fn container_stop(&self, _: &str, _: Duration) -> Result<()> {
        none()
    }
    async fn container_remove(&self, _: &str) -> Result<()> {
        none()
    }
    fn container_logs(&self, _: &str, _: LogQuery) -> BoxStream<'static, Result<LogLine>> {
        Box::pin(futures::stream::empty())
    }
    async fn container_stats(&self, _: &str) -> Result<Option<ContainerStats>> {
        none()
    }
    async fn exec(&self, _: &str, _: &ExecSpec) -> Result<Exec> {
        none()
    }
    async fn probe(&self, _: IpAddr, _: u16, _: &Probe, _: Duration) -> Result<()> {
        none()
    }
    fn facts(&self) -> MachineFacts {
        MachineFacts::default()
    }
    fn addresses(&self) -> Vec<IpAddr> {
        Vec::new()
    }
    async fn sample(&self) -> Result<MachineSample> {
        Ok(MachineSample::default())
    }
    async fn doctor(&self, _: Option<&str>) -> Vec<Finding> {
        Vec::new()
    }
    async fn edge_apply(&self, _: EdgeConfig) -> Result<()> {
        Ok(())
    }
    async fn edge_traffic(&self) -> Result<Vec<(Option<AppId>, Traffic)>> {
        Ok(Vec::new())
    }
}

/// A served API, and its folder.
pub struct Served {
    dir: tempfile::TempDir,
    panel: Panel,
    pub stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub const PASSWORD: &str = "correct horse battery";
const EDGE: [(&str, &str); 2] = [("x-real-ip", "192.0.2.7"), ("x-forwarded-proto", "https")];

impl Served {
    pub async fn start() -> Served {
        let dir = tempfile::tempdir().unwrap();
        let world = World::system();
        let redactor = Redactor::default();
        let panel = Panel::open(Parts {
            store: Store::open(dir.path(), world.clone()).unwrap(),
            world: world.clone(),
            node: Arc::new(Bare),
            logs: LogStore::open(&dir.path().join("logs"), redactor.clone()).unwrap(),
            metrics: Metrics::new(),
            redactor,
            options: Options {
                data: dir.path().to_owned(),
                http_port: 80,
                https_port: 443,
                panel_port: 9443,
                network_range: "10.201.0.0/16".parse().unwrap(),
                apps_domain: None,
                acme_directory: None,
                acme_ca_pem: None,
                release_key: None,
                breached_passwords: None,
                open_networks: vec![],
                dns_servers: vec![],
                build_cache_bytes: None,
                build_floor: Default::default(),
            },
            upgrades: tokio::sync::mpsc::channel(1).0,
        })
        .await
        .unwrap();
        let stop = CancellationToken::new();
        let api = Api::new(panel.clone(), world, stop.clone());
        api.set_ready();
        tokio::spawn(api.serve(Sockets::bind(dir.path()).unwrap(), Duration::from_secs(1)));
        Served { dir, panel, stop }
    }

    /// One with an owner, whose browser comes through the edge.
    pub async fn claimed() -> (Served, Browser) {
        let served = Served::start().await;
        let word = served.panel.setup.link().await.unwrap().unwrap();
        let body = json!({ "token": word, "email": "ada@example.com", "name": "Ada", "password": PASSWORD });
        let answer = served.edge("POST", "/api/v1/setup", &[], Some(body)).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let browser = Browser {
            cookie: answer.cookies(),
            csrf: answer.json()["csrf"].as_str().unwrap().to_owned(),
        };
        (served, browser)
    }

    pub fn socket(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn machine(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        call(self.socket("panel.sock"), method, path, headers, body).await
    }

    pub async fn edge(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        call(self.socket("edge.sock"), method, path, &[&EDGE, headers].concat(), body).await
    }
}

pub struct Browser {
    pub cookie: String,
    csrf: String,
}

impl Browser {
    pub fn reads(&self) -> [(&str, &str); 1] {
        [("cookie", &self.cookie)]
    }
    pub fn writes(&self) -> [(&str, &str); 2] {
        [("cookie", &self.cookie), ("x-csrf-token", &self.csrf)]
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, Vec<String>>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|values| values.first()).map(String::as_str)
    }
    /// As a browser sends them back.
    pub fn cookies(&self) -> String {
        let set = self.headers.get("set-cookie").into_iter().flatten();
        set.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    }
    /// A problem whose parts agree.
    pub fn problem(&self) -> (u16, String) {
        let problem = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        let code = problem["code"].as_str().unwrap();
        assert_eq!(problem["type"], format!("/api/docs/errors#{code}"));
        (self.status, code.to_owned())
    }
}

async fn call(socket: PathBuf, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
    let body = body.map(|body| body.to_string());
    let headers: Vec<(&str, &str)> = match &body {
        Some(_) => [&[("content-type", "application/json")], headers].concat(),
        None => headers.to_vec(),
    };
    raw(socket, method, path, &headers, body.as_deref().unwrap_or_default().as_bytes()).await
}

pub async fn raw(socket: PathBuf, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: panel.test\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    // A server that refuses early need not read it all.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers: HashMap<String, Vec<String>> = HashMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.entry(name.to_lowercase()).or_default().push(value.to_owned());
    }
    Answer {
        status,
        headers,
        text: text.to_owned(),
    }
}

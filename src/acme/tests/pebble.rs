//! Orders at a real ACME server: Debian's `pebble`, with its own name server, each started and ended by its test.

#![allow(clippy::unwrap_used)]

use acme::{Authority, Challenges, Client, Directory, OrderError, Proof, Wish, inspect};
use async_trait::async_trait;
use serverkit_acme as acme;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use types::{CertificateName, ChallengeKind, OrderFailure, Secret, World};
use url::Url;

/// A port that nobody has now, below those that the system gives out by itself: until Pebble binds it, no connection takes it.
fn free_port() -> u16 {
    loop {
        let port = 12_000 + u16::try_from(RandomState::new().hash_one(0) % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

const MAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Pebble {
    folder: tempfile::TempDir,
    port: u16,
    management: u16,
    dns_management: u16,
    ca_pem: String,
    process: Option<Ends>,
    dns_port: u16,
    _dns: Ends,
}

impl Pebble {
    async fn start(http_port: u16) -> Pebble {
        Pebble::start_with(http_port, false).await
    }

    /// `external`: it wants an account made beforehand, and knows one.
    async fn start_with(http_port: u16, external: bool) -> Pebble {
        let folder = tempfile::tempdir().unwrap();
        let (port, management, dns_port, dns_management) = (free_port(), free_port(), free_port(), free_port());
        let world = World::system();
        let (ca_pem, ca_key) = Authority::create(&world).unwrap();
        let own = Authority::load(&ca_pem, &ca_key)
            .unwrap()
            .issue(&["localhost".parse().unwrap(), "127.0.0.1".parse().unwrap()], &world)
            .unwrap();
        std::fs::write(folder.path().join("cert.pem"), &own.chain_pem).unwrap();
        std::fs::write(folder.path().join("key.pem"), own.key_pem.expose()).unwrap();
        std::fs::write(
            folder.path().join("config.json"),
            format!(
                r#"{{"pebble": {{"listenAddress": "127.0.0.1:{port}", "managementListenAddress": "127.0.0.1:{management}",
                "certificate": "{0}/cert.pem", "privateKey": "{0}/key.pem", "httpPort": {http_port}, "tlsPort": 1,
                "ocspResponderURL": "", "externalAccountBindingRequired": {external},
                "externalAccountMACKeys": {{"kid-1": "{MAC_KEY}"}}}}}}"#,
                folder.path().display()
            ),
        )
        .unwrap();
        let dns = Command::new("pebble-challtestsrv")
            .args([
                "-defaultIPv6",
                "",
                "-defaultIPv4",
                "127.0.0.1",
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
            ])
            .args([
                "-dns01",
                &format!("127.0.0.1:{dns_port}"),
                "-management",
                &format!("127.0.0.1:{dns_management}"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble-challtestsrv is installed (Debian package pebble)");
        let mut pebble = Pebble {
            folder,
            port,
            management,
            dns_management,
            ca_pem,
            process: None,
            dns_port,
            _dns: Ends(dns),
        };
        listens(dns_management).await;
        pebble.restart().await;
        pebble
    }

    /// Its state is in memory only: it forgets all accounts.
    async fn restart(&mut self) {
        self.process = None;
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        self.process = Some(Ends(
            Command::new("pebble")
                .args(["-strict", "-config"])
                .arg(self.folder.path().join("config.json"))
                .args(["-dnsserver", &format!("127.0.0.1:{}", self.dns_port)])
                .env("PEBBLE_VA_NOSLEEP", "1")
                .env("PEBBLE_WFE_NONCEREJECT", "10")
                .stdout(log)
                .stderr(Stdio::null())
                .spawn()
                .expect("pebble is installed (Debian package pebble)"),
        ));
        listens(self.port).await;
        listens(self.management).await;
    }

    fn directory(&self) -> Url {
        format!("https://localhost:{}/dir", self.port).parse().unwrap()
    }

    async fn connect(&self, credentials: Option<&Secret>) -> Result<Client, OrderError> {
        connect(&self.directory(), &self.ca_pem, credentials).await
    }

    /// Sets something at the name server.
    async fn dns(&self, path: &str, json: &str) {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.dns_management)).await.unwrap();
        let request = format!(
            "POST /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{json}",
            json.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

async fn connect(url: &Url, ca_pem: &str, credentials: Option<&Secret>) -> Result<Client, OrderError> {
    let directory = Directory {
        url,
        ca_pem: Some(ca_pem),
        email: Some("ada@example.com"),
        external_account: None,
    };
    Client::connect(directory, credentials).await
}

async fn listens(port: u16) {
    let until = Instant::now() + Duration::from_secs(15);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(Instant::now() < until, "nothing listens on {port}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What stands on port 80: answers challenges as they were published.
#[derive(Clone, Default)]
struct Site(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answers: HashMap<String, String>,
    published: usize,
    /// Said instead of the right answer.
    instead: Option<String>,
}

impl Site {
    async fn start() -> (Site, u16) {
        let site = Site::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = site.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let site = serving.clone();
                tokio::spawn(async move {
                    let mut head = vec![0; 4096];
                    let n = stream.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..n]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default();
                    let token = path.rsplit('/').next().unwrap_or_default();
                    let body = {
                        let state = site.0.lock().unwrap();
                        state.instead.clone().or_else(|| state.answers.get(token).cloned())
                    };
                    let answer = match body {
                        Some(body) => format!(
                            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                            body.len()
                        ),
                        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
                    };
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        (site, port)
    }
    fn left(&self) -> usize {
        self.0.lock().unwrap().answers.len()
    }
}

#[async_trait]
impl Challenges for Site {
    async fn publish(&self, proof: &Proof) -> types::Result<()> {
        let Proof::Http { token, answer } = proof else {
            panic!("{proof:?}")
        };
        let mut state = self.0.lock().unwrap();
        state.published += 1;
        state.answers.insert(token.clone(), answer.clone());
        Ok(())
    }
    async fn withdraw(&self, proof: &Proof) {
        if let Proof::Http { token, .. } = proof {
            self.0.lock().unwrap().answers.remove(token);
        }
    }
}

/// Shows proofs by DNS, at Pebble's own name server.
struct Texts<'a>(&'a Pebble);

#[async_trait]
impl Challenges for Texts<'_> {
    async fn publish(&self, proof: &Proof) -> types::Result<()> {
        let Proof::Dns { name, value } = proof else { panic!("{proof:?}") };
        self.0
            .dns("set-txt", &format!(r#"{{"host": "{name}.", "value": "{value}"}}"#))
            .await;
        Ok(())
    }
    async fn withdraw(&self, proof: &Proof) {
        if let Proof::Dns { name, .. } = proof {
            self.0.dns("clear-txt", &format!(r#"{{"host": "{name}."}}"#)).await;
        }
    }
}

fn host(text: &str) -> CertificateName {
    text.parse().unwrap()
}

async fn order(client: &Client, name: &str, site: &Site) -> Result<acme::Issued, OrderError> {
    let wish = Wish {
        names: &[host(name)],
        challenge: ChallengeKind::Http,
        replaces: None,
    };
    client.order(wish, site).await
}

#[tokio::test]
async fn a_wildcard_and_other_names_in_one_by_dns() {
    let pebble = Pebble::start(free_port()).await;
    let client = pebble.connect(None).await.unwrap();
    let names = [host("example.com"), host("*.example.com"), host("*.dev.example.org")];
    let wish = Wish {
        names: &names,
        challenge: ChallengeKind::Dns,
        replaces: None,
    };
    let issued = client.order(wish, &Texts(&pebble)).await.unwrap();
    let mut found = inspect(&issued.chain_pem).unwrap().names;
    found.sort();
    assert_eq!(found, ["*.dev.example.org", "*.example.com", "example.com"]);
    assert_eq!(
        client.renewal(&issued.chain_pem).await.unwrap(),
        None,
        "this Pebble does not say when to renew"
    );
    // Replacing is asked for only where the authority knows of it.
    let again = Wish {
        replaces: Some(&issued.chain_pem),
        ..wish
    };
    client.order(again, &Texts(&pebble)).await.unwrap();
}

#[tokio::test]
async fn an_account_made_beforehand() {
    let (site, port) = Site::start().await;
    let pebble = Pebble::start_with(port, true).await;
    let refused = pebble.connect(None).await.err().unwrap();
    assert_eq!(refused.kind, OrderFailure::Account);
    assert!(refused.words.contains("acme_eab_key_id"), "{refused}");
    let url = pebble.directory();
    let with = async |id: &str, key: &str| {
        let key = Secret::from(key);
        let directory = Directory {
            url: &url,
            ca_pem: Some(&pebble.ca_pem),
            email: None,
            external_account: Some((id, &key)),
        };
        Client::connect(directory, None).await
    };
    assert!(with("kid-1", "!!").await.err().unwrap().words.contains("base64url"));
    assert!(with("kid-2", MAC_KEY).await.is_err(), "nobody knows this one");
    let client = with("kid-1", MAC_KEY).await.unwrap();
    order(&client, "blog.example.com", &site).await.unwrap();
}

#[tokio::test]
async fn a_certificate_is_ordered_and_the_account_kept() {
    let (site, port) = Site::start().await;
    let pebble = Pebble::start(port).await;
    let client = pebble.connect(None).await.unwrap();
    let issued = order(&client, "blog.example.com", &site).await.unwrap();
    let facts = inspect(&issued.chain_pem).unwrap();
    assert_eq!(facts.names, ["blog.example.com"]);
    assert!(issued.issuer.starts_with("Pebble"), "{}", issued.issuer);
    assert!(issued.chain_pem.matches("BEGIN CERTIFICATE").count() >= 2, "with the intermediate");
    let mut key = std::str::from_utf8(issued.key_pem.expose()).unwrap().lines();
    assert_eq!(key.next(), Some("-----BEGIN PRIVATE KEY-----"));
    assert_eq!(site.left(), 0, "the answers are withdrawn");

    let credentials = client.credentials();
    let again = pebble.connect(Some(&credentials)).await.unwrap();
    assert_eq!(again.credentials(), credentials, "the account is used again");
    order(&again, "shop.example.com", &site).await.unwrap();
}

#[tokio::test]
async fn many_orders_at_once() {
    let (site, port) = Site::start().await;
    let pebble = Pebble::start(port).await;
    let client = Arc::new(pebble.connect(None).await.unwrap());
    let orders = (0..8).map(|n| {
        let (client, site) = (client.clone(), site.clone());
        tokio::spawn(async move {
            let name = format!("app-{n}.example.com");
            order(&client, &name, &site).await.map(|issued| issued.fingerprint)
        })
    });
    let mut fingerprints = std::collections::HashSet::new();
    for order in orders {
        fingerprints.insert(order.await.unwrap().unwrap());
    }
    assert_eq!(fingerprints.len(), 8);
}

#[tokio::test]
async fn an_account_that_the_authority_lost_is_made_again() {
    let (site, port) = Site::start().await;
    let mut pebble = Pebble::start(port).await;
    let client = pebble.connect(None).await.unwrap();
    let before = client.credentials();
    pebble.restart().await;
    order(&client, "blog.example.com", &site).await.unwrap();
    assert_ne!(client.credentials(), before);
}

#[tokio::test]
async fn credentials_of_another_directory_are_not_used() {
    let (_, port) = Site::start().await;
    let (one, other) = (Pebble::start(port).await, Pebble::start(port).await);
    let credentials = one.connect(None).await.unwrap().credentials();
    let client = other.connect(Some(&credentials)).await.unwrap();
    assert_ne!(client.credentials(), credentials);
}

#[tokio::test]
async fn failures_are_said_in_words() {
    let (site, port) = Site::start().await;
    let pebble = Pebble::start(port).await;
    let client = pebble.connect(None).await.unwrap();
    let order = async |name: &str| order(&client, name, &site).await.unwrap_err().to_string();

    site.0.lock().unwrap().instead = Some("welcome".into());
    let words = order("blog.example.com").await;
    assert!(
        words.starts_with("the certificate authority reached another server at blog.example.com"),
        "{words}"
    );
    site.0.lock().unwrap().instead = None;

    pebble
        .dns("add-a", r#"{"host": "shop.example.com", "addresses": ["127.0.0.2"]}"#)
        .await;
    let words = order("shop.example.com").await;
    assert!(
        words.starts_with("the certificate authority could not connect to shop.example.com on port 80"),
        "{words}"
    );

    pebble.dns("set-servfail", r#"{"host": "lost.example.com"}"#).await;
    let words = order("lost.example.com").await;
    assert!(words.contains("lost.example.com"), "{words}");
    assert!(
        words.starts_with("the certificate authority cannot find") || words.starts_with("the certificate authority could not connect"),
        "{words}"
    );

    assert_eq!(site.left(), 0, "the answers are withdrawn");
}

#[tokio::test]
async fn an_authority_that_cannot_be_reached_or_trusted_is_said_so() {
    let nowhere: Url = format!("https://localhost:{}/dir", free_port()).parse().unwrap();
    let (ca, _) = Authority::create(&World::system()).unwrap();
    let error = connect(&nowhere, &ca, None).await.err().unwrap();
    assert_eq!(error.kind, OrderFailure::Unreachable);
    assert!(error.to_string().contains("Connection refused"), "{error}");

    let (_, port) = Site::start().await;
    let pebble = Pebble::start(port).await;
    let error = connect(&pebble.directory(), &ca, None).await.err().unwrap().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert!(connect(&pebble.directory(), "no PEM", None).await.is_err());
    let plain: Url = format!("http://127.0.0.1:{port}/dir").parse().unwrap();
    let error = connect(&plain, &ca, None).await.err().unwrap().to_string();
    assert!(error.contains("https://"), "{error}");
}

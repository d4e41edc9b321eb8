//! Pebble, the test server of RFC 8555, with a name server that sends every name to this machine.

use crate::{
    api::Api,
    network::reserve_ports,
    polling::{eventually, eventually_ok},
};
use serde_json::json;
use std::{net::Ipv4Addr, path::PathBuf, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A running Pebble; it stops when this is dropped.
pub struct Pebble {
    folder: TempDir,
    directory_port: u16,
    management_port: u16,
    dns_port: u16,
    dns_management_port: u16,
    bad_nonces_percent: u8,
    ca_pem: String,
    /// Its own, and its name server's. The first may be started again.
    processes: [Option<Child>; 2],
}

/// An account made beforehand, for [`Pebble::start_for`].
pub const EXTERNAL_ACCOUNT: (&str, &str) = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");

impl Pebble {
    /// Starts it; `http_port` is where it looks for HTTP-01 answers. It refuses this share (0 to 100) of nonces, as
    /// the specification lets a server do.
    pub async fn start(http_port: u16, bad_nonces_percent: u8) -> Pebble {
        Pebble::start_for(http_port, 1, bad_nonces_percent, None, false).await
    }

    /// `tls_port` is where it looks for TLS-ALPN-01 answers; `name_server` is asked in place of its own; `external`: it
    /// wants [`EXTERNAL_ACCOUNT`].
    pub async fn start_for(http_port: u16, tls_port: u16, bad_nonces_percent: u8, name_server: Option<u16>, external: bool) -> Pebble {
        let folder = tempfile::Builder::new().prefix("sk-pebble-").tempdir().expect("a temporary folder");
        let ports = reserve_ports(4);
        let (directory_port, management_port, dns_port, dns_management_port) = (ports[0], ports[1], ports[2], ports[3]);
        let authority = TestAuthority::new();
        let (certificate, key) = authority.issue(&["localhost", "127.0.0.1"], 30);
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("the file is written");
            path
        };
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{directory_port}"),
            "managementListenAddress": format!("127.0.0.1:{management_port}"),
            "certificate": write("certificate.pem", &certificate),
            "privateKey": write("key.pem", &key),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": external,
            "externalAccountMACKeys": {EXTERNAL_ACCOUNT.0: EXTERNAL_ACCOUNT.1},
        }});
        write("config.json", &config.to_string());
        let dns = Command::new("pebble-challtestsrv")
            .args(["-defaultIPv6", "", "-defaultIPv4", "127.0.0.1"])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-dns01", &format!("127.0.0.1:{dns_port}")])
            .args(["-management", &format!("127.0.0.1:{dns_management_port}")])
            .stdout(log(&folder, "dns.log"))
            .stderr(log(&folder, "dns.err"))
            .kill_on_drop(true)
            .spawn()
            .expect("pebble-challtestsrv is installed (Debian package pebble)");
        let mut pebble = Pebble {
            folder,
            directory_port,
            management_port,
            dns_port: name_server.unwrap_or(dns_port),
            dns_management_port,
            bad_nonces_percent,
            ca_pem: authority.pem(),
            processes: [None, Some(dns)],
        };
        pebble.restart().await;
        listens(dns_management_port).await;
        pebble
    }

    /// Its state is in memory only: it forgets all accounts and orders.
    pub async fn restart(&mut self) {
        if let Some(mut old) = self.processes[0].take() {
            old.kill().await.expect("it is ours");
        }
        let pebble = Command::new("pebble")
            .args(["-strict", "-config"])
            .arg(self.folder.path().join("config.json"))
            .args(["-dnsserver", &format!("127.0.0.1:{}", self.dns_port)])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", self.bad_nonces_percent.to_string())
            .stdout(log(&self.folder, "pebble.log"))
            .stderr(log(&self.folder, "pebble.err"))
            .kill_on_drop(true)
            .spawn()
            .expect("pebble is installed (Debian package pebble)");
        self.processes[0] = Some(pebble);
        for port in [self.directory_port, self.management_port] {
            listens(port).await;
        }
    }

    /// For the setting `dns_servers`: the name server that it asks.
    pub fn name_server(&self) -> String {
        format!("127.0.0.1:{}", self.dns_port)
    }

    /// The interface of its name server, through which others may change what it says.
    pub fn dns_interface(&self) -> String {
        format!("http://127.0.0.1:{}", self.dns_management_port)
    }

    /// Changes what its name server says, by the interface of `pebble-challtestsrv`: `add-a`, `set-servfail`, `add-caa`.
    pub async fn dns(&self, verb: &str, body: serde_json::Value) {
        let url = format!("http://127.0.0.1:{}/{verb}", self.dns_management_port);
        let answer = reqwest::Client::new().post(url).body(body.to_string()).send().await;
        assert!(answer.expect("the name server answers").status().is_success(), "{verb} {body}");
    }

    /// Orders that it has had since it started.
    pub fn orders(&self) -> usize {
        self.log().lines().filter(|line| line.contains("Added order")).count()
    }

    pub(crate) fn port(&self) -> u16 {
        self.directory_port
    }
    /// For the setting `acme_directory`.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.directory_port)
    }
    /// For the setting `acme_ca_pem`: who signed Pebble's own certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }
    /// Who signs what it issues.
    pub async fn root_pem(&self) -> String {
        let url = format!("https://127.0.0.1:{}/roots/0", self.management_port);
        let api = Api::nobody(String::new());
        eventually_ok("pebble gives its root", Duration::from_secs(10), || async {
            Ok(api.try_get(&url).await?.text())
        })
        .await
    }
    /// What it printed, for a failing test.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("pebble.log")).unwrap_or_default()
    }
}

async fn listens(port: u16) {
    eventually("pebble listens", Duration::from_secs(15), || async move {
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()
    })
    .await;
}

fn log(folder: &TempDir, name: &str) -> Stdio {
    let path: PathBuf = folder.path().join(name);
    std::fs::File::create(path).expect("the log opens").into()
}

/// A certificate authority of one test.
pub struct TestAuthority {
    issuer: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

impl Default for TestAuthority {
    fn default() -> TestAuthority {
        TestAuthority::new()
    }
}

impl TestAuthority {
    pub fn new() -> TestAuthority {
        let key = rcgen::KeyPair::generate().expect("a key is made");
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).expect("no names are well-formed names");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "the authority of one test");
        let issuer = rcgen::CertifiedIssuer::self_signed(parameters, key).expect("an authority signs itself");
        TestAuthority { issuer }
    }
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }
    /// A certificate and its key for names, that ends in so many days; a negative number: it has ended.
    pub fn issue(&self, names: &[&str], days: i64) -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("a key is made");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).expect("the names are well-formed");
        let now = std::time::SystemTime::now();
        let day = Duration::from_secs(24 * 3600);
        let days_after = |days: i64| match u32::try_from(days) {
            Ok(days) => now + day * days,
            Err(_) => now - day * u32::try_from(-days).unwrap_or(1),
        };
        parameters.not_before = days_after(-365).into();
        parameters.not_after = days_after(days).into();
        let certificate = parameters.signed_by(&key, &self.issuer).expect("the authority signs");
        (certificate.pem(), key.serialize_pem())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pebble_answers() {
        let pebble = Pebble::start(1, 0).await;
        assert!(
            pebble.root_pem().await.starts_with("-----BEGIN CERTIFICATE-----"),
            "{}",
            pebble.log()
        );
    }
}

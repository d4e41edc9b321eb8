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
    ca_pem: String,
    _processes: [Child; 2],
}

impl Pebble {
    /// Starts it; `http_port` is where it looks for HTTP-01 answers. It refuses this share (0 to 100) of nonces, as
    /// the specification lets a server do.
    pub async fn start(http_port: u16, bad_nonces_percent: u8) -> Pebble {
        let folder = tempfile::Builder::new().prefix("sk-pebble-").tempdir().expect("a temporary folder");
        let ports = reserve_ports(4);
        let (directory_port, management_port, dns_port, dns_management_port) = (ports[0], ports[1], ports[2], ports[3]);
        let authority = Authority::new();
        let (certificate, key) = authority.issue("localhost");
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
            "tlsPort": 1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        }});
        let config = write("config.json", &config.to_string());
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
        let pebble = Command::new("pebble")
            .args(["-strict", "-config"])
            .arg(&config)
            .args(["-dnsserver", &format!("127.0.0.1:{dns_port}")])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", bad_nonces_percent.to_string())
            .stdout(log(&folder, "pebble.log"))
            .stderr(log(&folder, "pebble.err"))
            .kill_on_drop(true)
            .spawn()
            .expect("pebble is installed (Debian package pebble)");
        for port in [directory_port, management_port, dns_management_port] {
            eventually("pebble listens", Duration::from_secs(15), || async move {
                tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()
            })
            .await;
        }
        Pebble {
            folder,
            directory_port,
            management_port,
            ca_pem: authority.pem(),
            _processes: [dns, pebble],
        }
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

fn log(folder: &TempDir, name: &str) -> Stdio {
    let path: PathBuf = folder.path().join(name);
    std::fs::File::create(path).expect("the log opens").into()
}

/// A certificate authority of one test.
struct Authority {
    issuer: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let key = rcgen::KeyPair::generate().expect("a key is made");
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).expect("no names are well-formed names");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "the authority of Pebble's own certificate");
        let issuer = rcgen::CertifiedIssuer::self_signed(parameters, key).expect("an authority signs itself");
        Authority { issuer }
    }
    fn pem(&self) -> String {
        self.issuer.pem()
    }
    /// A certificate and its key for a name.
    fn issue(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("a key is made");
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).expect("the names are well-formed");
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

//! BIND, a name server that takes dynamic updates (RFC 2136) with a TSIG key; it is the authority for one zone.

use crate::{network::reserve_ports, polling::eventually};
use std::{net::Ipv4Addr, path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A running one; it stops when this is dropped.
pub struct NameServer {
    pub port: u16,
    _folder: TempDir,
    _process: Child,
}

impl NameServer {
    /// The name of its key (HMAC-SHA256).
    pub const KEY_NAME: &str = "serverkit";
    pub const KEY: &str = "c2VjcmV0LW9mLXRoZS10ZXN0cy1vbmx5LTMyLWJ5dGVz";

    /// With these lines of a zone file beside SOA and NS.
    pub async fn start(zone: &str, records: &str) -> NameServer {
        let folder = tempfile::Builder::new().prefix("sk-bind-").tempdir().expect("a temporary folder");
        let path = folder.path().display();
        let port = reserve_ports(1)[0];
        let file =
            format!("$TTL 60\n@ IN SOA ns.{zone}. admin.{zone}. 1 3600 600 86400 5\n@ IN NS ns.{zone}.\nns IN A 127.0.0.1\n{records}\n");
        std::fs::write(folder.path().join("zone"), file).expect("the zone is written");
        let config = format!(
            r#"options {{ directory "{path}"; pid-file "{path}/pid"; session-keyfile "{path}/session";
            listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; }};
            controls {{ }};
            key "{}" {{ algorithm hmac-sha256; secret "{}"; }};
            zone "{zone}" {{ type primary; file "zone"; allow-update {{ key {0}; }}; allow-transfer {{ key {0}; }}; }};"#,
            Self::KEY_NAME,
            Self::KEY
        );
        std::fs::write(folder.path().join("named.conf"), config).expect("the configuration is written");
        let named = ["/usr/sbin/named", "/usr/bin/named"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let process = Command::new(named.expect("named is installed (Debian package bind9)"))
            .args(["-g", "-n", "1", "-c"])
            .arg(folder.path().join("named.conf"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("the log opens"))
            .kill_on_drop(true)
            .spawn()
            .expect("named starts");
        eventually("named listens", Duration::from_secs(20), || async move {
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()
        })
        .await;
        NameServer {
            port,
            _folder: folder,
            _process: process,
        }
    }

    /// For settings and options.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

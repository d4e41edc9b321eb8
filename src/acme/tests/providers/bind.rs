//! RFC 2136 against a real BIND (Debian package bind9).

use super::*;

struct Bind {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

const KEY: &str = "c2VjcmV0LW9mLXRoZS10ZXN0cy1vbmx5LTMyLWJ5dGVz";

impl Bind {
    fn start() -> Bind {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(
            folder.path().join("zone"),
            "$TTL 300\n@ IN SOA ns.example.com. admin.example.com. 1 3600 600 86400 60\n@ IN NS ns.example.com.\nns IN A 127.0.0.1\nmail IN A 127.0.0.1\nsip IN A 127.0.0.1\n",
        )
        .unwrap();
        std::fs::write(
            folder.path().join("named.conf"),
            format!(
                r#"options {{ directory "{path}"; pid-file "{path}/pid"; session-keyfile "{path}/session"; listen-on port {port} {{ 127.0.0.1; }};
                listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; allow-transfer {{ none; }}; }};
                controls {{ }};
                key "serverkit" {{ algorithm hmac-sha256; secret "{KEY}"; }};
                key "reader" {{ algorithm hmac-sha512; secret "{KEY}"; }};
                zone "example.com" {{ type primary; file "zone"; allow-update {{ key serverkit; }}; allow-transfer {{ key serverkit; }}; }};"#
            ),
        )
        .unwrap();
        let named = ["/usr/sbin/named", "/usr/bin/named"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists());
        let process = Command::new(named.expect("named is installed (Debian package bind9)"))
            .args(["-g", "-n", "1", "-c"])
            .arg(folder.path().join("named.conf"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let bind = Bind {
            process,
            port,
            _folder: folder,
        };
        let until = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < until,
                "named does not listen: {}",
                std::fs::read_to_string(bind._folder.path().join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        bind
    }

    fn open(&self, key_name: &str, algorithm: &str, key: &str) -> Box<dyn Provider> {
        let options = DnsProviderOptions {
            server: Some(format!("127.0.0.1:{}", self.port)),
            zones: vec!["example.com".into()],
            key_name: Some(key_name.into()),
            algorithm: Some(algorithm.into()),
            ..DnsProviderOptions::default()
        };
        open(DnsProviderKind::Rfc2136, &options, &credentials(&[("key", key)]), &World::system()).unwrap()
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn rfc_2136_with_bind() {
    let bind = Bind::start();
    exercise(&*bind.open("serverkit", "hmac-sha256", KEY)).await;
    let refused = async |key_name: &str, algorithm: &str, key: &str| {
        let provider = bind.open(key_name, algorithm, key);
        (
            provider.zones().await.unwrap_err().to_string(),
            provider.records("example.com").await.unwrap_err().to_string(),
        )
    };
    let (update, list) = refused("serverkit", "hmac-sha256", "b3RoZXI=").await;
    assert!(update.contains("does not accept the key"), "{update}");
    assert!(list.contains("does not accept the key"), "{list}");
    let (update, _) = refused("nobody", "hmac-sha256", KEY).await;
    assert!(update.contains("does not accept the key"), "{update}");
    let (update, list) = refused("reader", "hmac-sha512", KEY).await;
    assert!(update.contains("does not allow this to the key"), "{update}");
    assert!(list.contains("allow-transfer"), "{list}");
    let outside = bind
        .open("serverkit", "hmac-sha256", KEY)
        .create("example.com", &record("www.example.org", DnsRecordKind::A, "192.0.2.1"))
        .await
        .unwrap_err();
    assert!(outside.to_string().contains("not within the zone"), "{outside}");
}

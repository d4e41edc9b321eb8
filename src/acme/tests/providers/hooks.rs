//! A program and a webhook, as they would be written.

use super::{server::*, *};

#[tokio::test]
async fn a_program() {
    let folder = tempfile::tempdir().unwrap();
    let (program, log) = (folder.path().join("hook"), folder.path().join("log"));
    let text = format!(
        "#!/bin/sh\nif [ \"$2\" = delete ]; then echo \"no, by $TOKEN\" >&2; exit 3; fi\necho \"$*\" >> {}\necho \"$TOKEN $HOME\" >> {0}\n",
        log.display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let options = DnsProviderOptions {
        zones: vec!["example.com".into()],
        command: vec![program.display().to_string(), "--dns".into()],
        ..DnsProviderOptions::default()
    };
    let world = World::system();
    let given = credentials(&[("TOKEN", "hunter22")]);
    let provider = open(DnsProviderKind::Exec, &options, &given, &world).unwrap();
    assert_eq!(provider.zones().await.unwrap(), ["example.com"]);
    let odd = record("_acme-challenge.example.com", DnsRecordKind::Txt, "a b; $(touch /tmp/x) 'c'");
    provider.create("example.com", &odd).await.unwrap();
    let failed = provider.delete("example.com", &odd).await.unwrap_err().to_string();
    assert!(failed.contains("no, by ••••") && !failed.contains("hunter22"), "{failed}");
    assert_eq!(
        std::fs::read_to_string(&log).unwrap(),
        "--dns test\nhunter22 \n--dns create example.com _acme-challenge.example.com TXT 300 a b; $(touch /tmp/x) 'c'\nhunter22 \n",
        "arguments come as they are, and no other environment"
    );
    assert!(provider.records("example.com").await.is_err());
    for (command, zones) in [
        (vec![], vec!["example.com"]),
        (vec!["hook"], vec!["example.com"]),
        (vec!["/bin/true"], vec![]),
    ] {
        let options = DnsProviderOptions {
            zones: zones.into_iter().map(str::to_owned).collect(),
            command: command.into_iter().map(str::to_owned).collect(),
            ..DnsProviderOptions::default()
        };
        assert!(
            open(DnsProviderKind::Exec, &options, &Credentials::new(), &world).is_err(),
            "{options:?}"
        );
    }
}

#[tokio::test]
async fn a_webhook() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let endpoint = serve(move |asked| {
        hears
            .lock()
            .unwrap()
            .push((asked.method.clone(), asked.authorization.clone(), asked.body.clone()));
        match asked.body.contains("\"delete\"") {
            true => (422, "never heard of it\n<html>".into()),
            false => (204, String::new()),
        }
    })
    .await;
    let options = DnsProviderOptions {
        zones: vec!["example.com".into()],
        ..at(format!("{endpoint}/hook"))
    };
    let provider = open(
        DnsProviderKind::Webhook,
        &options,
        &credentials(&[("token", "t0ken")]),
        &World::system(),
    )
    .unwrap();
    assert_eq!(provider.zones().await.unwrap(), ["example.com"]);
    let text = record("a.example.com", DnsRecordKind::Txt, "x");
    provider.create("example.com", &text).await.unwrap();
    let failed = provider.delete("example.com", &text).await.unwrap_err().to_string();
    assert_eq!(failed, "the webhook refuses (status 422): never heard of it");
    let heard = heard.lock().unwrap().clone();
    assert!(
        heard
            .iter()
            .all(|(method, authorization, _)| method == "POST" && authorization == "Bearer t0ken")
    );
    let body: Value = serde_json::from_str(&heard[1].2).unwrap();
    assert_eq!(
        body,
        json!({"action": "create", "zone": "example.com", "name": "a.example.com", "type": "TXT", "ttl_seconds": 300, "value": "x"})
    );
}

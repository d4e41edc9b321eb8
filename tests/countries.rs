//! Sign-ins from a new country, by a database that the test writes itself, in the format that MaxMind publishes.

use serde_json::{Value, json};
use std::{net::IpAddr, path::Path, time::Duration};
use testkit::{Api, OWNER, TestPanel, eventually};

const SIZE: usize = 24;

/// A text, or a map, in the data section (MaxMind DB File Format Specification 2.0, "Data Types").
fn field(kind: u8, length: usize) -> Vec<u8> {
    let length = u8::try_from(length).expect("short");
    assert!(length < 29);
    match kind {
        1..=7 => vec![(kind << 5) | length],
        _ => vec![length, kind - 7],
    }
}

fn text(text: &str) -> Vec<u8> {
    [field(2, text.len()), text.as_bytes().to_vec()].concat()
}

fn number(kind: u8, value: u64) -> Vec<u8> {
    let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [field(kind, bytes.len()), bytes].concat()
}

fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let inner = fields.iter().flat_map(|(name, value)| [text(name), value.clone()].concat());
    field(7, fields.len()).into_iter().chain(inner).collect()
}

/// A database of single IPv4 addresses: a binary tree of records of 24 bits, 16 zeros, the data, and the metadata.
fn database(kind: &str, places: &[(&str, &str)]) -> Vec<u8> {
    // A child is another node, a place, or nothing.
    #[derive(Clone, Copy)]
    enum Child {
        Nothing,
        Node(usize),
        Place(usize),
    }
    let mut nodes = vec![[Child::Nothing; 2]];
    let mut data: Vec<u8> = Vec::new();
    for (address, code) in places {
        let address = u32::from(address.parse::<std::net::Ipv4Addr>().expect("an address"));
        let offset = data.len();
        data.extend(map(&[("country", map(&[("iso_code", text(code))]))]));
        let mut at = 0;
        for bit in (0..32).rev() {
            let side = ((address >> bit) & 1) as usize;
            if bit == 0 {
                nodes[at][side] = Child::Place(offset);
                break;
            }
            at = match nodes[at][side] {
                Child::Node(next) => next,
                _ => {
                    nodes.push([Child::Nothing; 2]);
                    let next = nodes.len() - 1;
                    nodes[at][side] = Child::Node(next);
                    next
                }
            };
        }
    }
    let mut bytes = Vec::new();
    for child in nodes.iter().flatten() {
        let record = match child {
            Child::Nothing => nodes.len(),
            Child::Node(node) => *node,
            Child::Place(offset) => nodes.len() + 16 + offset,
        };
        bytes.extend_from_slice(&u32::try_from(record).expect("small").to_be_bytes()[1..]);
    }
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend(data);
    bytes.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    bytes.extend(map(&[
        ("node_count", number(6, nodes.len() as u64)),
        ("record_size", number(5, SIZE as u64)),
        ("ip_version", number(5, 4)),
        ("database_type", text(kind)),
        ("languages", [field(11, 1), text("en")].concat()),
        ("binary_format_major_version", number(5, 2)),
        ("binary_format_minor_version", number(5, 0)),
        ("build_epoch", number(9, 1_790_000_000)),
        ("description", map(&[("en", text("a test"))])),
    ]));
    bytes
}

fn at(api: &Api, address: &str) -> Api {
    api.from_address(address.parse::<IpAddr>().expect("an address"))
}

/// How many sign-ins from new countries were told.
async fn told(panel: &TestPanel) -> Vec<Value> {
    let mut events = panel.list("/api/v1/events/history?security=true").await;
    events.retain(|event| event["kind"] == "new_country");
    events
}

fn write(file: &Path, bytes: &[u8]) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, bytes).expect("written");
    std::fs::rename(beside, file).expect("moved");
}

#[tokio::test]
async fn a_sign_in_from_a_new_country_is_told() {
    let panel = TestPanel::start().await;
    let file = panel.data().join("countries.mmdb");
    let path = file.to_str().expect("text");
    // Off: nothing is said of countries.
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let sessions = browser.list("/api/v1/sessions").await;
    assert!(sessions.iter().all(|one| one["country"].is_null()), "{sessions:?}");

    // What is no such file is said in words, and nothing changes.
    let refused = |wish: Value| {
        let panel = &panel;
        async move { panel.patch("/api/v1/security", wish).await.expect(422).detail() }
    };
    assert!(refused(json!({"countries": path})).await.contains("cannot be read"));
    assert!(refused(json!({"countries": "countries.mmdb"})).await.contains("whole path"));
    write(&file, b"this is no database");
    assert!(refused(json!({"countries": path})).await.contains("MaxMind's format"));
    let whole = database(
        "DBIP-Country-Lite",
        &[("127.0.0.1", "DE"), ("127.0.0.2", "FR"), ("127.0.0.3", "DE")],
    );
    write(&file, &database("DBIP-ASN-Lite", &[("127.0.0.1", "DE")]));
    assert!(refused(json!({"countries": path})).await.contains("no countries"));
    assert_eq!(panel.get("/api/v1/security").await.expect(200).json()["countries"], Value::Null);

    write(&file, &whole);
    panel.cli(&["security", "set", "--countries", path]).await.expect(0);
    let set = panel.get("/api/v1/security").await.expect(200).json();
    assert_eq!((&set["countries"], &set["countries_problem"]), (&json!(path), &Value::Null));
    let sessions = browser.list("/api/v1/sessions").await;
    assert!(sessions.iter().all(|one| one["country"] == "DE"), "{sessions:?}");

    // From where their browser was before the database was: not new. From elsewhere: new, once.
    at(&panel.anonymous(), "127.0.0.3").signed_in(OWNER.0, OWNER.1).await;
    assert!(told(&panel).await.is_empty());
    let abroad = at(&panel.anonymous(), "127.0.0.2").signed_in(OWNER.0, OWNER.1).await;
    at(&panel.anonymous(), "127.0.0.2").signed_in(OWNER.0, OWNER.1).await;
    // Where the database knows nothing, nothing is told.
    at(&panel.anonymous(), "127.0.0.9").signed_in(OWNER.0, OWNER.1).await;
    let events = told(&panel).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["data"]["country"], &events[0]["by"]), (&json!("FR"), &json!(OWNER.0)));
    assert_eq!((&events[0]["country"], &events[0]["address"]), (&json!("FR"), &json!("127.0.0.2")));
    let here = abroad.list("/api/v1/sessions").await;
    let current = here.iter().find(|one| one["current"] == true).expect("the one that asks");
    assert_eq!(current["country"], "FR");
    let entries = panel.list("/api/v1/audit").await;
    let noted = entries.iter().find(|entry| entry["what"] == "new_country").expect("it is audited");
    assert_eq!((&noted["country"], &noted["address"]), (&json!("FR"), &json!("127.0.0.2")));
    // Each account has its own countries, and the first one is not new.
    let bob = json!({"email": "bob@example.test", "name": "Bob", "role": "viewer", "password": OWNER.1});
    panel.post("/api/v1/users", bob).await.expect(201);
    at(&panel.anonymous(), "127.0.0.2").signed_in("bob@example.test", OWNER.1).await;
    assert_eq!(told(&panel).await.len(), 1);

    // A file that breaks later is told, and the one that was read goes on.
    write(&file, &whole[..whole.len() / 2]);
    let problem = || async {
        let shown = panel.get("/api/v1/security").await.expect(200).json();
        shown["countries_problem"].as_str().map(str::to_owned)
    };
    let problem = eventually("what is wrong", Duration::from_secs(10), problem).await;
    assert!(problem.contains("MaxMind's format"), "{problem}");
    at(&panel.anonymous(), "127.0.0.1").signed_in("bob@example.test", OWNER.1).await;
    assert_eq!(told(&panel).await.len(), 2);
    let off = panel.cli(&["security", "set", "--countries", "none"]).await.expect(0);
    assert!(!off.stdout.contains("mmdb"), "{}", off.stdout);
    let sessions = browser.list("/api/v1/sessions").await;
    assert!(sessions.iter().all(|one| one["country"].is_null()), "{sessions:?}");
}

//! Hetzner's interface, with sets of records.

use super::{server::*, sets::*, *};

#[tokio::test]
async fn hetzner() {
    let sets = Arc::new(Sets::default());
    let state = sets.clone();
    let endpoint = serve(move |asked| {
        if asked.authorization != "Bearer right" {
            return (
                401,
                json!({"error": {"code": "unauthorized", "message": "unable to authenticate"}}).to_string(),
            );
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let parts: Vec<String> = asked
            .path
            .trim_matches('/')
            .split('/')
            .map(|part| part.replace("%40", "@"))
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let meta = json!({"pagination": {"page": 1, "per_page": 50, "next_page": null}});
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["zones"]) => (
                200,
                json!({"zones": [{"id": 42, "name": "example.com", "mode": "primary"}], "meta": meta}).to_string(),
            ),
            ("GET", ["zones", "example.com", "rrsets"]) => {
                let sets = state.0.lock().unwrap();
                let sets: Vec<_> = sets
                    .iter()
                    .map(|(name, kind, ttl, values)| {
                        let records: Vec<_> = values.iter().map(|value| json!({"value": value, "comment": ""})).collect();
                        json!({"id": format!("{name}/{kind}"), "name": name, "type": kind, "ttl": ttl, "records": records})
                    })
                    .collect();
                (200, json!({"rrsets": sets, "meta": meta}).to_string())
            }
            ("POST", ["zones", "example.com", "rrsets", name, kind, "actions", verb]) => {
                for record in body["records"].as_array().unwrap() {
                    let value = record["value"].as_str().unwrap();
                    match *verb {
                        "add_records" => state.add(name, kind, u32::try_from(body["ttl"].as_u64().unwrap()).unwrap(), value),
                        "remove_records" => state.remove(name, kind, value),
                        _ => return (404, String::new()),
                    }
                }
                (201, json!({"action": {"id": 1, "status": "running", "error": null}}).to_string())
            }
            _ => (404, json!({"error": {"code": "not_found", "message": "not found"}}).to_string()),
        }
    })
    .await;
    let world = World::system();
    let with = |token: &str| {
        open(
            DnsProviderKind::Hetzner,
            &at(endpoint.clone()),
            &credentials(&[("token", token)]),
            &world,
        )
        .unwrap()
    };
    exercise(&*with("right")).await;
    assert!(
        sets.0.lock().unwrap().iter().all(|set| set.3[0] == "192.0.2.77"),
        "only what was changed is left"
    );
    let refused = with("wrong").zones().await.unwrap_err().to_string();
    assert!(refused.ends_with("unable to authenticate"), "{refused}");
}

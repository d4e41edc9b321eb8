//! Cloudflare's interface.

use super::{server::*, *};

#[tokio::test]
async fn cloudflare() {
    let kept = Arc::new(Kept::default());
    let state = kept.clone();
    let endpoint = serve(move |asked| {
        let failed = |status, code: u32, message: &str| {
            (
                status,
                json!({"success": false, "errors": [{"code": code, "message": message}], "result": null}).to_string(),
            )
        };
        if asked.authorization != "Bearer right" {
            return failed(403, 9109, "Invalid access token");
        }
        let fine = |result: Value| {
            let pages = json!({"page": 1, "per_page": 50, "total_pages": 1, "count": 1, "total_count": 1});
            (
                200,
                json!({"success": true, "errors": [], "result": result, "result_info": pages}).to_string(),
            )
        };
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["zones"]) if asked.query.contains("name=") && !asked.query.contains("name=example.com") => fine(json!([])),
            ("GET", ["zones"]) => fine(json!([{"id": "z1", "name": "example.com"}])),
            ("GET", ["zones", "z1", "dns_records"]) => fine(state.all().into()),
            ("POST", ["zones", "z1", "dns_records"]) => {
                let mut value = body;
                // The service shows structured records as text too.
                if value["type"] == "CAA" {
                    let data = &value["data"];
                    let text = format!("{} {} {}", data["flags"], data["tag"].as_str().unwrap(), data["value"]);
                    value["content"] = text.into();
                }
                if value["type"] == "SRV" {
                    let data = value["data"].clone();
                    value["content"] = format!("{} {} {}", data["weight"], data["port"], data["target"].as_str().unwrap()).into();
                    value["priority"] = data["priority"].clone();
                }
                fine(state.add(value, false))
            }
            ("PATCH", ["zones", "z1", "dns_records", id]) if state.change(id, &body) => fine(json!({"id": id})),
            ("DELETE", ["zones", "z1", "dns_records", id]) if state.remove(id) => fine(json!({"id": id})),
            _ => failed(404, 7003, "Could not route to it"),
        }
    })
    .await;
    let world = World::system();
    let with = |token: &str| {
        open(
            DnsProviderKind::Cloudflare,
            &at(endpoint.clone()),
            &credentials(&[("token", token)]),
            &world,
        )
        .unwrap()
    };
    exercise(&*with("right")).await;
    let refused = with("wrong").zones().await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "Cloudflare does not accept the credentials, or they lack a right: Invalid access token"
    );
    let missing = with("right").records("example.org").await.unwrap_err().to_string();
    assert_eq!(missing, "no DNS zone named `example.org`");
}

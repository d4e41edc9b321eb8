//! DigitalOcean's interface.

use super::{server::*, *};

#[tokio::test]
async fn digitalocean() {
    let kept = Arc::new(Kept::default());
    let state = kept.clone();
    let endpoint = serve(move |asked| {
        if asked.authorization != "Bearer right" {
            return (
                401,
                json!({"id": "unauthorized", "message": "Unable to authenticate you"}).to_string(),
            );
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["domains"]) => (
                200,
                json!({"domains": [{"name": "example.com", "ttl": 1800}], "links": {}}).to_string(),
            ),
            ("GET", ["domains", "example.com", "records"]) => (200, json!({"domain_records": state.all(), "links": {}}).to_string()),
            ("POST", ["domains", "example.com", "records"]) => {
                let data = body["data"].as_str().unwrap();
                let kind = body["type"].as_str().unwrap();
                assert!(!["CNAME", "MX", "SRV"].contains(&kind) || data.ends_with('.'), "{body}");
                // It keeps names without the last dot.
                let mut value = body.clone();
                if ["CNAME", "MX", "SRV", "CAA"].contains(&kind) {
                    value["data"] = data.trim_end_matches('.').into();
                }
                (201, json!({"domain_record": state.add(value, true)}).to_string())
            }
            ("PUT", ["domains", "example.com", "records", id]) if state.change(id, &body) => (200, "{}".into()),
            ("DELETE", ["domains", "example.com", "records", id]) if state.remove(id) => (204, String::new()),
            _ => (
                404,
                json!({"id": "not_found", "message": "The resource you were accessing could not be found."}).to_string(),
            ),
        }
    })
    .await;
    let world = World::system();
    let with = |token: &str| {
        open(
            DnsProviderKind::DigitalOcean,
            &at(endpoint.clone()),
            &credentials(&[("token", token)]),
            &world,
        )
        .unwrap()
    };
    exercise(&*with("right")).await;
    let refused = with("wrong").zones().await.unwrap_err().to_string();
    assert!(refused.ends_with("Unable to authenticate you"), "{refused}");
}

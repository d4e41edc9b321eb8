//! SCIM 2.0 in the shapes that RFC 7644, Entra and Okta publish; who may come, and whom it may not touch. And scim2-tester
//! (PyPI) over a running panel.

use reqwest::Method;
use serde_json::{Value, json};
use std::process::Command;
use testkit::{Api, OWNER, Reply, TestPanel};

/// Pinned: a newer one finds other things on another day.
const TESTER: &str = "0.5.2";
/// Prints what did not go well, and how much went well.
const CHECK: &str = r#"
import sys, httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server
http = httpx2.Client(base_url=sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]}, verify=False)
results = check_server(SyncSCIMClient(http))
for one in results:
    if one.status != Status.SUCCESS:
        print(one.status.name, one.title, one.resource_type, one.reason)
print("WELL", sum(one.status == Status.SUCCESS for one in results))
"#;

struct Stand {
    panel: TestPanel,
    owner: Api,
    provider: String,
    scim: Api,
}

impl Stand {
    async fn new() -> Stand {
        let panel = TestPanel::start().await;
        let owner = panel.signed_in(OWNER.0, OWNER.1).await;
        let (provider, token) = provision(&owner, "Example").await;
        let scim = panel.with_token(token);
        Stand {
            panel,
            owner,
            provider,
            scim,
        }
    }
    async fn make(&self, path: &str, body: Value) -> Value {
        let reply = send(&self.scim, Method::POST, path, body).await.expect(201);
        assert_eq!(reply.headers["content-type"], "application/scim+json");
        let made = reply.json();
        let place = made["meta"]["location"].as_str();
        assert_eq!(reply.headers["location"].to_str().ok(), place);
        assert!(place.is_some_and(|place| place.starts_with("https://")), "{made}");
        made
    }
    async fn patch(&self, path: &str, operations: Value) -> Reply {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        send(&self.scim, Method::PATCH, path, body).await
    }
    /// How many a filter finds.
    async fn found(&self, filter: &str) -> u64 {
        let query = filter.replace(' ', "%20").replace('"', "%22");
        let list = self.scim.get(&format!("/scim/v2/Users?filter={query}")).await.expect(200).json();
        list["totalResults"].as_u64().expect("a number")
    }
    async fn account(&self, email: &str) -> Value {
        let people = self.owner.list("/api/v1/users").await;
        let found = people.into_iter().find(|one| one["email"] == email);
        found.unwrap_or_else(|| panic!("nobody is {email}"))
    }
}

pub async fn provision(owner: &Api, name: &str) -> (String, String) {
    let oidc = json!({"issuer": "https://id.example.com", "client_id": "panel"});
    provision_by(owner, name, oidc, json!(["example.com", "example.test"])).await
}

async fn provision_by(owner: &Api, name: &str, oidc: Value, domains: Value) -> (String, String) {
    let body = json!({
        "name": name, "oidc": oidc, "domains": domains,
        "groups": [{"group": "dev", "role": "developer"}, {"group": "ops", "role": "admin"}],
    });
    let made = owner.post("/api/v1/identity-providers", body).await.expect(201).json();
    let provider = made["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/identity-providers/{provider}/provisioning");
    let on = owner.post(&path, json!({})).await.expect(201).json();
    (provider, on["token"].as_str().expect("shown once").to_owned())
}

async fn send(api: &Api, method: Method, path: &str, body: Value) -> Reply {
    let request = api.request(method, &format!("/scim/v2{path}"));
    let request = request.header("content-type", "application/scim+json").body(body.to_string());
    api.send(request).await
}

fn person(name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "externalId": format!("ext-{name}"), "userName": format!("{name}@example.com"), "active": true,
        "name": {"formatted": "Bob Builder", "familyName": "Builder", "givenName": "Bob"},
        "emails": [{"primary": true, "type": "work", "value": format!("{name}@example.com")}],
        "roles": [], "meta": {"resourceType": "User"},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Building"},
    })
}

#[tokio::test]
async fn people_come_change_and_go() {
    let stand = Stand::new().await;
    assert_eq!(stand.found("userName eq \"bob@example.com\"").await, 0);
    let bob = stand.make("/Users", person("bob")).await;
    let id = bob["id"].as_str().expect("an id").to_owned();
    let path = format!("/Users/{id}");
    assert_eq!(
        (&bob["active"], &bob["name"]["familyName"]),
        (&json!(true), &json!("Builder")),
        "{bob}"
    );
    assert_eq!(
        stand.account("bob@example.com").await["role"],
        "member",
        "no group gives a role yet"
    );
    let account = format!("/api/v1/users/{id}");
    let no_address = stand.owner.patch(&account, json!({"password": "nine brave lanterns hum"})).await;
    no_address.expect(422);
    stand.owner.patch(&account, json!({"role": "owner"})).await.expect(422);
    for filter in [
        "userName eq \"BOB@example.com\"",
        "externalId eq \"ext-bob\"",
        "emails[type eq \"work\"].value eq \"x\" or userName sw \"bob\"",
        "userName eq \"bob@example.com\" and active eq true",
    ] {
        if filter.contains("].value") {
            let query = filter.replace(' ', "%20").replace('"', "%22");
            stand.scim.get(&format!("/scim/v2/Users?filter={query}")).await.expect(400);
        } else {
            assert_eq!(stand.found(filter).await, 1, "{filter}");
        }
    }
    let again = send(&stand.scim, Method::POST, "/Users", person("bob")).await.expect(409).json();
    assert_eq!(
        (&again["scimType"], &again["status"]),
        (&json!("uniqueness"), &json!("409")),
        "{again}"
    );

    // Entra's changes.
    let changes = json!([
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "robert@example.com"},
        {"op": "Replace", "path": "name.givenName", "value": "Robert"},
        {"op": "Replace", "path": "displayName", "value": "Robert Builder"},
        {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", "value": "x"},
    ]);
    let changed = stand.patch(&path, changes).await.expect(200).json();
    assert_eq!(changed["displayName"], "Robert Builder");
    assert_eq!(stand.account("robert@example.com").await["name"], "Robert Builder");
    // The whole, as Okta puts it.
    let put = send(&stand.scim, Method::PUT, &path, person("bob")).await.expect(200).json();
    assert_eq!(put["displayName"], Value::Null, "{put}");

    // A group, by which there is a role.
    let dev = stand
        .make(
            "/Groups",
            json!({"displayName": "dev", "members": [{"value": id, "display": "Bob"}]}),
        )
        .await;
    assert_eq!(stand.account("bob@example.com").await["role"], "developer");
    let shown = stand.scim.get(&format!("/scim/v2{path}")).await.expect(200).json();
    assert_eq!(shown["groups"][0]["display"], "dev", "{shown}");
    let group = format!("/Groups/{}", dev["id"].as_str().expect("an id"));
    let left = json!([{"op": "Remove", "path": "members", "value": [{"value": id}]}]);
    stand.patch(&group, left).await.expect(200);
    assert_eq!(stand.account("bob@example.com").await["role"], "member");
    stand
        .patch(&group, json!([{"op": "add", "path": "members", "value": [{"value": id}]}]))
        .await
        .expect(200);
    stand
        .patch(&group, json!([{"op": "replace", "value": {"id": "x", "displayName": "ops"}}]))
        .await
        .expect(200);
    assert_eq!(
        stand.account("bob@example.com").await["role"],
        "admin",
        "the group is another one now"
    );
    stand
        .patch(&group, json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]))
        .await
        .expect(200);
    let without = stand
        .scim
        .get(&format!("/scim/v2{group}?excludedAttributes=members"))
        .await
        .expect(200)
        .json();
    assert_eq!(without["members"], Value::Null);
    send(&stand.scim, Method::DELETE, &group, Value::Null).await.expect(204);
    stand.scim.get(&format!("/scim/v2{group}")).await.expect(404);

    // An address is no sign-in, and a word on nothing else is enough.
    let plain = stand.make("/Users", json!({"userName": "only-a-name"})).await;
    assert_eq!((&plain["active"], &plain["emails"]), (&json!(true), &Value::Null), "{plain}");
    let other = json!([{"op": "replace", "path": "name", "value": {"givenName": "Only"}}]);
    let plain_path = format!("/Users/{}", plain["id"].as_str().expect("an id"));
    stand.patch(&plain_path, other).await.expect(200);

    // Taken away, and put in again.
    send(&stand.scim, Method::DELETE, &path, Value::Null).await.expect(204);
    stand.scim.get(&format!("/scim/v2{path}")).await.expect(404);
    assert_eq!(stand.account("bob@example.com").await["disabled"], true);
    let back = stand.make("/Users", person("bob")).await;
    assert_eq!((&back["id"], &back["active"]), (&json!(id), &json!(true)));
    let log = stand.owner.get("/api/v1/audit?limit=500").await.expect(200).text();
    assert!(
        log.contains("bob@example.com") && !log.contains("scim_users/"),
        "the audit log tells of it"
    );
}

#[tokio::test]
async fn who_is_shut_out_is_out_at_once() {
    let stand = Stand::new().await;
    // An account of the panel's own, which the provider takes on by its address.
    let wish = json!({"email": "bob@example.com", "name": "Bob", "role": "viewer", "password": "nine brave lanterns hum"});
    let own = stand.owner.post("/api/v1/users", wish).await.expect(201).json();
    let bob = stand.make("/Users", person("bob")).await;
    assert_eq!(bob["id"], own["id"]);
    let id = bob["id"].as_str().expect("an id").to_owned();
    let (path, account) = (format!("/Users/{id}"), format!("/api/v1/users/{id}"));
    stand
        .make("/Groups", json!({"displayName": "dev", "members": [{"value": id}]}))
        .await;
    let browser = stand.panel.signed_in("bob@example.com", "nine brave lanterns hum").await;
    let made = browser
        .post("/api/v1/tokens", json!({"name": "ci", "scope": "read"}))
        .await
        .expect(201)
        .json();
    let script = stand.panel.with_token(made["secret"].as_str().expect("shown once"));
    script.get("/api/v1/session").await.expect(200);
    // As Entra writes it.
    let off = stand
        .patch(&path, json!([{"op": "Replace", "path": "active", "value": "False"}]))
        .await
        .expect(200)
        .json();
    assert_eq!(off["active"], false);
    browser.get("/api/v1/session").await.expect(401);
    script.get("/api/v1/session").await.expect(401);
    // A whole resource that says nothing of it lets nobody in.
    let mut silent = person("bob");
    silent.as_object_mut().expect("an object").remove("active");
    let put = send(&stand.scim, Method::PUT, &path, silent).await.expect(200).json();
    assert_eq!(put["active"], false);
    // As Okta writes it.
    let on = stand
        .patch(&path, json!([{"op": "replace", "value": {"active": true}}]))
        .await
        .expect(200)
        .json();
    assert_eq!(on["active"], true);
    script.get("/api/v1/session").await.expect(401);
    stand.panel.signed_in("bob@example.com", "nine brave lanterns hum").await;

    // Whom an administrator disabled, the provider does not let in: neither by a group nor by being active nor anew.
    stand.owner.patch(&account, json!({"disabled": true})).await.expect(200);
    stand
        .make("/Groups", json!({"displayName": "ops", "members": [{"value": id}]}))
        .await;
    for active in [false, true] {
        let told = stand.patch(&path, json!([{"op": "replace", "value": {"active": active}}])).await;
        assert_eq!(told.expect(200).json()["active"], false);
    }
    send(&stand.scim, Method::DELETE, &path, Value::Null).await.expect(204);
    stand.make("/Users", person("bob")).await;
    assert_eq!(stand.account("bob@example.com").await["disabled"], true);
}

#[tokio::test]
async fn another_organizations_people_are_not_told() {
    let stand = Stand::new().await;
    // Somebody whose account is another organization's.
    let second = stand.panel.organization("acme").await;
    let eve = second.join("eve@example.com", "Eve", "viewer", "nine brave lanterns hum").await;
    let [known, free] = [stand.make("/Users", person("eve")).await, stand.make("/Users", person("zoe")).await];
    let plain = |made: &Value, name: &str| {
        made.to_string()
            .replace(made["id"].as_str().expect("an id"), "ID")
            .replace(name, "NAME")
    };
    let without_times = |mut made: Value| {
        made["meta"]["created"] = Value::Null;
        made["meta"]["lastModified"] = Value::Null;
        made
    };
    assert_eq!(plain(&without_times(known.clone()), "eve"), plain(&without_times(free), "zoe"));
    assert_ne!(known["id"], eve["id"]);
    for name in ["eve", "zoe"] {
        let account = stand.account(&format!("{name}@example.com")).await;
        assert_eq!(
            (&account["guest"], &account["name"]),
            (&json!(false), &json!("Bob Builder")),
            "{account}"
        );
    }
    let id = known["id"].as_str().expect("an id");
    stand
        .patch(&format!("/Users/{id}"), json!([{"op": "replace", "value": {"active": false}}]))
        .await
        .expect(200);
    let theirs = second.list("/api/v1/users").await;
    let theirs = theirs.iter().find(|one| one["email"] == "eve@example.com").expect("there").clone();
    assert_eq!((&theirs["disabled"], &theirs["name"]), (&json!(false), &json!("Eve")), "{theirs}");
}

#[tokio::test]
async fn scim2_tester_finds_nothing() {
    let bin = tokio::task::spawn_blocking(|| testkit::python("scim2-tester", "scim2-tester[httpx2]", TESTER));
    let python = bin.await.expect("Python with the tester").join("python3");
    let stand = Stand::new().await;
    let (_, token) = provision_by(
        &stand.owner,
        "Tester",
        json!({"issuer": "https://other.example.com", "client_id": "panel"}),
        json!([]),
    )
    .await;
    let mut command = Command::new(python);
    command.args([
        "-c",
        CHECK,
        &format!("https://127.0.0.1:{}/scim/v2", stand.panel.panel_port),
        &token,
    ]);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("a thread")
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let (bad, well): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| !line.starts_with("WELL "));
    assert!(bad.is_empty(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let well: u32 = well.first().and_then(|line| line[5..].parse().ok()).unwrap_or_default();
    assert!(well > 40, "it checked {well} things: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn owners_strangers_and_wrong_things_are_refused() {
    let stand = Stand::new().await;
    // No owner, no service account: neither made nor touched.
    let owner = json!({"userName": OWNER.0, "emails": [{"value": OWNER.0}], "active": false});
    send(&stand.scim, Method::POST, "/Users", owner).await.expect(409);
    let own = json!({"email": "bob@example.com", "name": "Bob", "role": "viewer", "password": "nine brave lanterns hum"});
    stand.owner.post("/api/v1/users", own).await.expect(201);
    let bob = stand.make("/Users", person("bob")).await;
    let id = bob["id"].as_str().expect("an id").to_owned();
    stand
        .owner
        .patch(&format!("/api/v1/users/{id}"), json!({"role": "owner"}))
        .await
        .expect(200);
    stand
        .patch(
            &format!("/Users/{id}"),
            json!([{"op": "replace", "path": "active", "value": false}]),
        )
        .await
        .expect(403);
    send(&stand.scim, Method::DELETE, &format!("/Users/{id}"), Value::Null)
        .await
        .expect(403);
    stand
        .make("/Groups", json!({"displayName": "dev", "members": [{"value": id}]}))
        .await;
    let account = stand.account("bob@example.com").await;
    assert_eq!((&account["role"], &account["disabled"]), (&json!("owner"), &json!(false)));

    // In SCIM's form, whatever is wrong.
    for (method, path, body, status, kind) in [
        (Method::POST, "/Users", json!({}), 400, "invalidValue"),
        (
            Method::POST,
            "/Users",
            json!({"userName": "x", "emails": [{"value": "nowhere"}]}),
            400,
            "invalidValue",
        ),
        (Method::POST, "/Users", json!({"userName": "eve@evil.net"}), 400, "invalidValue"),
        (
            Method::POST,
            "/Users",
            json!({"userName": "eve@example.com", "active": 3}),
            400,
            "invalidValue",
        ),
        (Method::POST, "/Users", json!([]), 400, "invalidSyntax"),
        (
            Method::POST,
            "/Groups",
            json!({"displayName": "x", "members": [{"value": "usr_x"}]}),
            400,
            "invalidValue",
        ),
        (Method::GET, "/Users?filter=userName", Value::Null, 400, "invalidFilter"),
        (Method::GET, "/Users/usr_00000000000000000000000000", Value::Null, 404, ""),
        (Method::GET, "/Them", Value::Null, 404, ""),
        (Method::GET, "/Me", Value::Null, 501, ""),
        (Method::POST, "/Bulk", json!({}), 501, ""),
        (Method::POST, "/Schemas", json!({}), 405, ""),
        (Method::DELETE, "/Users", Value::Null, 405, ""),
    ] {
        let told = send(&stand.scim, method.clone(), path, body).await.expect(status).json();
        assert_eq!(told["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error", "{path}: {told}");
        assert_eq!(told["scimType"].as_str().unwrap_or_default(), kind, "{method} {path}: {told}");
    }

    // Every path of it, for whoever has no token of it; and its token is good for nothing else.
    let made = stand
        .owner
        .post("/api/v1/tokens", json!({"name": "ci", "scope": "admin"}))
        .await
        .expect(201)
        .json();
    let script = stand.panel.with_token(made["secret"].as_str().expect("shown once"));
    let paths = [
        "/ServiceProviderConfig",
        "/Schemas",
        "/ResourceTypes",
        "/Users",
        "/Groups",
        "/Users/x",
        "/Groups/x",
        "/Me",
    ];
    for api in [
        &stand.panel.anonymous(),
        &stand.owner,
        &script,
        &stand.panel.with_token("scim_guessed"),
    ] {
        for path in paths {
            for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                send(api, method, path, json!({})).await.expect(401);
            }
        }
    }
    stand.scim.get("/api/v1/apps").await.expect(401);
    for path in ["/ServiceProviderConfig", "/Schemas", "/ResourceTypes", "/ResourceTypes/User"] {
        stand.scim.get(&format!("/scim/v2{path}")).await.expect(200);
    }

    // Another provider's are not seen.
    let (_, token) = provision(&stand.owner, "Other").await;
    let other = stand.panel.with_token(token);
    assert_eq!(other.get("/scim/v2/Users").await.expect(200).json()["totalResults"], 0);
    other.get(&format!("/scim/v2/Users/{id}")).await.expect(404);

    // In parts.
    for number in 0..5 {
        stand.make("/Users", person(&format!("p{number}"))).await;
    }
    let part = stand.scim.get("/scim/v2/Users?startIndex=3&count=2").await.expect(200).json();
    assert_eq!(
        (&part["totalResults"], &part["itemsPerPage"], &part["startIndex"]),
        (&json!(6), &json!(2), &json!(3)),
        "{part}"
    );
    let none = stand.scim.get("/scim/v2/Users?count=0").await.expect(200).json();
    assert_eq!((&none["totalResults"], &none["Resources"]), (&json!(6), &json!([])), "{none}");

    // A token that ends.
    let path = format!("/api/v1/identity-providers/{}/provisioning", stand.provider);
    for days in [0, 1096] {
        stand.owner.post(&path, json!({"expires_in_days": days})).await.expect(422);
    }
    // Another token, then none, then a provider that is off.
    let shown = stand.owner.get(&path).await.expect(200).json();
    assert_eq!((&shown["users"], &shown["groups"]), (&json!(6), &json!(1)), "{shown}");
    let new = stand.owner.post(&path, json!({})).await.expect(201).json();
    stand.scim.get("/scim/v2/Users").await.expect(401);
    let scim = stand.panel.with_token(new["token"].as_str().expect("shown once"));
    scim.get("/scim/v2/Users").await.expect(200);
    stand.owner.delete(&path).await.expect(204);
    scim.get("/scim/v2/Users").await.expect(401);
    stand.owner.get(&path).await.expect(404);
    let told = stand.panel.cli(&["identity-provider", "provision", "Example"]).await.expect(0);
    assert!(told.stdout.contains("scim_"), "{}", told.stdout);
    stand
        .panel
        .cli(&["identity-provider", "unprovision", "Example", "--yes"])
        .await
        .expect(0);
}

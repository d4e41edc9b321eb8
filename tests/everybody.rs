//! The table of every operation × everybody: nobody, each role, and a token of each scope.

use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use testkit::{Api, OWNER, Socket, TestPanel};

/// One line of rights.txt.
struct Right {
    role: String,
    scope: String,
    body: Option<Value>,
}

fn rights() -> BTreeMap<String, Right> {
    let text = include_str!("rights.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let mut words = line.splitn(2, char::is_whitespace);
            let operation = words.next().unwrap().to_owned();
            let mut rest = words.next().unwrap().split_whitespace();
            let (role, scope) = (rest.next().unwrap().to_owned(), rest.next().unwrap().to_owned());
            let body = line.find('{').map(|start| serde_json::from_str(&line[start..]).unwrap());
            (operation, Right { role, scope, body })
        })
        .collect()
}

const ROLES: [&str; 5] = ["member", "viewer", "developer", "admin", "owner"];
/// What else than `admin` a token may be for; each sees too.
const SCOPES: [&str; 5] = ["read", "deploy", "write", "secrets", "terminal"];

fn suffices(role: &str, needs: &str) -> bool {
    let place = |word: &str| ROLES.iter().position(|&known| known == word);
    // Only somebody on the machine itself may, or in a browser: none of those here.
    if matches!(needs, "machine" | "browser") {
        return false;
    }
    matches!(needs, "open" | "signed") || place(role) >= place(needs)
}

fn reaches(scopes: &[&str], needs: &str) -> bool {
    scopes.contains(&"admin") || needs.split('+').all(|need| matches!(need, "-" | "read") || scopes.contains(&need))
}

/// Every operation of the document, as nobody, as each role, and with a token of each scope alone. What somebody may not do
/// answers 401 or 403 and nothing else; what they may do answers anything but these.
#[tokio::test]
async fn every_operation_by_everybody() {
    let panel = TestPanel::start().await;
    let document = panel.anonymous().get("/api/openapi.json").await.expect(200).json();
    let rights = rights();
    let operations = operations(&document);
    let known: Vec<&String> = operations.iter().map(|operation| &operation.id).collect();
    let missing: Vec<&&String> = known.iter().filter(|id| !rights.contains_key(**id)).collect();
    let gone: Vec<&String> = rights.keys().filter(|id| !known.contains(id)).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "rights.txt lacks {missing:?} and has {gone:?} too much"
    );

    let mut somebody: Vec<(String, &str, &[&str], Api)> = Vec::new();
    for role in ROLES {
        somebody.push((format!("role {role}"), role, &["admin"], panel.member(role, "admin").await));
    }
    // The short way to say it, and each scope by itself.
    let short = panel.member("owner", "write").await;
    for scope in &SCOPES {
        let body = json!({"name": scope, "scopes": [scope], "expires_in_days": 1});
        let made = panel.post("/api/v1/tokens", body).await.expect(201).json();
        let api = panel.with_token(made["secret"].as_str().unwrap());
        somebody.push((format!("scope {scope}"), "owner", std::slice::from_ref(scope), api));
    }
    somebody.push(("the scope write and what it includes".into(), "owner", &SCOPES, short));
    // Roles that people made, with the rights of a built-in one: they reach exactly as far.
    let developer = ["view", "view_servers", "deploy", "configure", "secrets", "terminal", "delete"];
    let admin = [
        "view_team",
        "audit",
        "manage_team",
        "administer",
        "operate",
        "secure",
        "use_host",
        "use_local_paths",
    ];
    for (role, of) in [
        ("viewer", developer[..2].to_vec()),
        ("developer", developer.to_vec()),
        ("admin", [&developer[..], &admin[..]].concat()),
    ] {
        let name = format!("like a {role}");
        let api = panel.custom_member(&name, &of).await;
        somebody.push((format!("somebody with a role {name}"), role, &["admin"], api));
    }
    let mut wrong = Vec::new();
    for operation in &operations {
        let id = &operation.id;
        let right = &rights[id];
        let ask = async |api: &Api| status_of(&panel, api, operation, right.body.as_ref()).await;
        let open = matches!(right.role.as_str(), "open");
        for (who, api) in [
            ("nobody", panel.anonymous()),
            (
                "a made-up token",
                panel.with_token("sk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ),
        ] {
            let status = ask(&api).await;
            if !open && status != 401 {
                wrong.push(format!("{id} by {who}: {status} in place of 401"));
            }
        }
        if open {
            continue;
        }
        for (who, role, scopes, api) in &somebody {
            let may = suffices(role, &right.role) && reaches(scopes, &right.scope);
            let status = ask(api).await;
            let right = match may {
                true => !matches!(status, 401 | 403) && (status < 500 || status == 503),
                false => status == 403,
            };
            if !right {
                let words = if may { "what it may" } else { "what it may not" };
                wrong.push(format!("{id} by {who}, {words}: {status}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of the rights are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Operations that show or make things of several kinds: a token that is bound to kinds does none of them.
const SEVERAL: [&str; 7] = [
    "app_template_undo",
    "app_template_update",
    "catalog_install",
    "clone_create",
    "clone_plan",
    "overview",
    "preview_rules_update",
];
/// What every token may ask of itself.
const OWN: [&str; 3] = ["session_show", "token_revoke", "token_rotate"];

/// Every operation that a token can reach, with a token that may everything but things of its kind, and with one that has only what it needs,
/// and only for its kind.
#[tokio::test]
async fn every_operation_by_tokens_of_kinds() {
    let panel = TestPanel::start().await;
    let document = panel.anonymous().get("/api/openapi.json").await.expect(200).json();
    let operations = operations(&document);
    let rights = rights();
    let kinds: BTreeSet<&String> = operations
        .iter()
        .filter(|operation| rights[&operation.id].role != "open")
        .map(|operation| &operation.kind)
        .collect();
    let mut made: BTreeMap<Vec<String>, Api> = BTreeMap::new();
    let mut wrong = Vec::new();
    for operation in &operations {
        let (id, kind) = (operation.id.as_str(), operation.kind.as_str());
        let right = &rights[id];
        if matches!(right.role.as_str(), "open" | "browser" | "machine") {
            continue;
        }
        let others = kinds.iter().filter(|other| other.as_str() != kind);
        let others: Vec<String> = others.flat_map(|other| scopes_of(other, &SCOPES)).collect();
        // What needs `admin` is not to be had of a kind, whatever else is.
        let needed: Vec<&str> = match right.scope.as_str() {
            "-" => vec!["read"],
            "admin" => SCOPES.to_vec(),
            scope => scope.split('+').collect(),
        };
        let body = match id {
            // No more than it has itself.
            "token_create" => Some(json!({"name": "mine", "scopes": ["tokens:read"], "expires_in_days": 1})),
            _ => right.body.clone(),
        };
        let may_here = right.scope != "admin" && !SEVERAL.contains(&id);
        for (scopes, may) in [(others, OWN.contains(&id)), (scopes_of(kind, &needed), may_here)] {
            let api = match made.get(&scopes) {
                Some(api) => api.clone(),
                None => {
                    let wish = json!({"name": format!("{} {}", scopes.len(), scopes[0]), "scopes": &scopes, "expires_in_days": 1});
                    let token = panel.post("/api/v1/tokens", wish).await.expect(201).json();
                    let api = panel.with_token(token["secret"].as_str().unwrap());
                    made.insert(scopes.clone(), api.clone());
                    api
                }
            };
            let status = status_of(&panel, &api, operation, body.as_ref()).await;
            let is_right = match may {
                true => !matches!(status, 401 | 403) && (status < 500 || status == 503),
                false => status == 403,
            };
            if !is_right {
                let words = if may { "what it may" } else { "what it may not" };
                let whose = if scopes.len() > SCOPES.len() { "all other kinds" } else { kind };
                wrong.push(format!("{id} by a token for {whose}, {words}: {status}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// These verbs of this kind.
fn scopes_of(kind: &str, verbs: &[&str]) -> Vec<String> {
    verbs.iter().map(|verb| format!("{kind}:{verb}")).collect()
}

/// One operation of the document.
struct Operation {
    id: String,
    method: Method,
    /// With `{names}` in it.
    path: String,
    /// Of what its things are: its tag in small letters.
    kind: String,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(id) = operation["operationId"].as_str() else { continue };
            found.push(Operation {
                id: id.to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                kind: operation["tags"][0].as_str().unwrap().to_lowercase(),
            });
        }
    }
    found
}

/// What an operation answers somebody; 101 where a WebSocket opens.
async fn status_of(panel: &TestPanel, api: &Api, operation: &Operation, body: Option<&Value>) -> u16 {
    let id = operation.id.as_str();
    let address = format!("/api/v1{}", fill(&operation.path));
    let is_stream = id == "event_stream";
    if ["_stream", "_terminal"].iter().any(|end| id.ends_with(end)) && !is_stream {
        return socket_status(panel, api, &address).await;
    }
    let request = api.request(operation.method.clone(), &address);
    let request = match body {
        Some(body) => request.json(body),
        None if operation.method == Method::POST => request.json(&json!({})),
        None => request,
    };
    // A stream of events never ends by itself.
    let limit = Duration::from_secs(if is_stream { 2 } else { 60 });
    match tokio::time::timeout(limit, api.try_send(request)).await {
        Ok(reply) => reply.unwrap_or_else(|error| panic!("{id}: {error}")).status.as_u16(),
        Err(_) => 200,
    }
}

/// What opening a WebSocket answers; 101 if it opens.
async fn socket_status(panel: &TestPanel, api: &Api, path: &str) -> u16 {
    let url = format!("wss://127.0.0.1:{}{path}", panel.panel_port);
    let signed = bearer(api);
    let headers: &[(&str, &str)] = if signed.is_empty() { &[] } else { &[("authorization", &signed)] };
    Socket::open(&url, headers).await.err().map_or(101, |(status, _)| status)
}

/// Puts an id that nobody has, but that is well formed, into each place of a path.
fn fill(path: &str) -> String {
    let nobody = "00000000000000000000000000";
    let mut filled = Vec::new();
    let mut before = "";
    for part in path.split('/') {
        if !part.starts_with('{') {
            filled.push(part.to_owned());
            before = part;
            continue;
        }
        filled.push(match before {
            "apps" => format!("app_{nobody}"),
            "domains" | "certificates" | "setup" | "zones" => "nosuch.test".to_owned(),
            "providers" => format!("dns_{nobody}"),
            "records" => "bm9ib2R5".to_owned(),
            "catalog" | "catalogs" | "templates" => "no-such-app".to_owned(),
            "deployments" => format!("dep_{nobody}"),
            "releases" => format!("rel_{nobody}"),
            "ci-trusts" => format!("cit_{nobody}"),
            "clones" => format!("cln_{nobody}"),
            "freezes" => format!("frz_{nobody}"),
            "jobs" => format!("job_{nobody}"),
            "runs" => format!("run_{nobody}"),
            "projects" => format!("prj_{nobody}"),
            "environments" => format!("env_{nobody}"),
            "invitations" => format!("inv_{nobody}"),
            "organizations" => format!("org_{nobody}"),
            "sessions" => format!("ses_{nobody}"),
            "devices" => format!("dev_{nobody}"),
            "passkeys" => format!("pky_{nobody}"),
            "previews" => "7".to_owned(),
            "identity-providers" => format!("idp_{nobody}"),
            "tokens" => format!("tok_{nobody}"),
            "users" => format!("usr_{nobody}"),
            "rules" => format!("rul_{nobody}"),
            "ports" => "tcp-5432".to_owned(),
            "volumes" => format!("vol_{nobody}"),
            "build-servers" => format!("bld_{nobody}"),
            "servers" => format!("srv_{nobody}"),
            "forges" => format!("frg_{nobody}"),
            "registries" => format!("reg_{nobody}"),
            "roles" => format!("rol_{nobody}"),
            "teams" => format!("tea_{nobody}"),
            "grants" => format!("gra_{nobody}"),
            "deliveries" => format!("dlv_{nobody}"),
            other => panic!("what is in {path} after {other}?"),
        });
    }
    filled.join("/")
}

/// WebSockets of things that are there: an upgrade must not go around the rights.
#[tokio::test]
async fn every_socket_by_everybody() {
    let panel = TestPanel::start().await;
    let app = panel
        .create_app(json!({"name": "blog", "source": {"kind": "image", "reference": "nginx"}}))
        .await;
    let deployment = panel.newest("blog").await["id"].as_str().unwrap().to_owned();
    let app = app["id"].as_str().unwrap();
    let viewer = panel.member("viewer", "admin").await;
    let reader = panel.member("owner", "read").await;
    for (path, viewer_may, reader_may) in [
        (format!("/api/v1/deployments/{deployment}/log/stream"), true, true),
        (format!("/api/v1/apps/{app}/logs/stream"), true, true),
        (format!("/api/v1/apps/{app}/terminal"), false, false),
    ] {
        assert_eq!(socket_status(&panel, &panel.anonymous(), &path).await, 401, "{path} by nobody");
        assert_eq!(
            socket_status(&panel, &panel.with_token("sk_wrong"), &path).await,
            401,
            "{path} by a made-up token"
        );
        for (who, api, may) in [("a viewer", &viewer, viewer_may), ("a read token", &reader, reader_may)] {
            let status = socket_status(&panel, api, &path).await;
            assert_eq!(may, !matches!(status, 401 | 403), "{path} by {who}: {status}");
        }
    }
    // A page of another site opens no socket with the browser's cookie.
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let cookie = format!("__Host-serverkit_session={}", browser.cookie("__Host-serverkit_session").unwrap());
    let url = format!("wss://127.0.0.1:{}/api/v1/apps/{app}/terminal", panel.panel_port);
    let foreign = Socket::open(&url, &[("cookie", &cookie), ("origin", "https://evil.example")]).await;
    assert_eq!(foreign.err().map(|(status, _)| status), Some(403), "another origin");
}

/// The header that signs; empty for nobody.
fn bearer(api: &Api) -> String {
    let request = api.request(Method::GET, "/").build().unwrap();
    let value = request.headers().get("authorization");
    value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

//! Whether somebody who may not see a thing finds it all the same: every operation is asked by another organization, by a token of
//! another app and by one whose time is over, by id, name, list, event stream and WebSocket, and what it answers is compared with what
//! it answers of a thing that is nowhere.

use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use testkit::{Api, OWNER, Options, Socket, TestPanel};

pub const PASSWORD: &str = "eleven green kettles boil";

pub fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

pub fn image(name: &str, project: Option<&str>) -> Value {
    json!({"name": name, "project": project, "source": {"kind": "image", "reference": "nginx"}, "deploy": false,
           "domains": [format!("{name}.test")], "variables": [{"key": "WORD", "value": format!("word-of-{name}"), "secret": true}],
           "mounts": [{"volume": format!("{name}-data"), "path": "/data"}]})
}

/// A token of the one who asks.
pub async fn token(browser: &Api, wish: Value) -> Api {
    let made = browser.post("/api/v1/tokens", wish).await.expect(201).json();
    browser.with_token(made["secret"].as_str().expect("shown once"))
}

/// Two projects with an app each, and what belongs to them: everything by which one could be found.
pub struct Things {
    blog: String,
    wiki: String,
    project: String,
    environment: String,
    volume: String,
    token: String,
    pub user: String,
    /// What else is there, by the part of a path before it.
    pub more: BTreeMap<&'static str, String>,
    secrets: Vec<String>,
}

/// What an organization has beside its apps, each by the part of a path that comes before it.
pub async fn more(panel: &TestPanel) -> BTreeMap<&'static str, String> {
    let mut more = BTreeMap::from([("organizations", "default".to_owned()), ("catalogs", "zqshelf".to_owned())]);
    for (part, path, body) in [
        ("teams", "/teams", json!({"name": "zqcrew", "members": ["bob@example.test"]})),
        ("roles", "/roles", json!({"name": "zqrole", "rights": ["view"]})),
        (
            "grants",
            "/grants",
            json!({"role": "viewer", "to": "user:bob@example.test", "place": "app:zqjournal"}),
        ),
        (
            "freezes",
            "/freezes",
            json!({"name": "zqpause", "from": "2030-01-01T00:00:00Z", "until": "2030-01-02T00:00:00Z"}),
        ),
        (
            "registries",
            "/registries",
            json!({"server": "127.0.0.1:1", "user": "zqlogin", "password": "not asked", "unchecked": true}),
        ),
        ("catalogs", "/catalogs", json!({"name": "zqshelf", "kind": "own"})),
        (
            "build-servers",
            "/build-servers",
            json!({"name": "zqbuilder", "host": "127.0.0.1", "port": 1}),
        ),
        (
            "forges",
            "/forges",
            json!({"name": "zqforge", "kind": "gitea", "url": "http://127.0.0.1:1", "client_id": "x", "client_secret": "not asked"}),
        ),
        (
            "identity-providers",
            "/identity-providers",
            json!({"name": "Directory", "oidc": {"issuer": "https://id.example.com", "client_id": "panel"}}),
        ),
        (
            "ci-trusts",
            "/apps/zqjournal/ci-trusts",
            json!({"repository": "zqowner/zqcode", "branches": ["main"]}),
        ),
        (
            "jobs",
            "/apps/zqjournal/jobs",
            json!({"name": "zqjob", "command": ["true"], "cron": "0 3 * * *"}),
        ),
        (
            "rules",
            "/domains/zqjournal.test/rules",
            json!({"name": "zqrule", "action": {"kind": "app"}}),
        ),
    ] {
        let made = panel.post(&format!("/api/v1{path}"), body).await.expect(201).json();
        if let Some(id) = made["id"].as_str() {
            more.entry(part).or_insert_with(|| id.to_owned());
        }
    }
    let invited = json!({"email": "zqguest@example.test", "role": "viewer"});
    let invited = panel.post("/api/v1/invitations", invited).await.expect(201).json();
    more.insert("invitations", id(&invited["invitation"]));
    panel.post("/api/v1/apps/zqjournal/deployments", json!({})).await.expect(202);
    let deployed = panel.list("/api/v1/apps/zqjournal/deployments").await;
    more.insert("deployments", id(&deployed[0]));
    more
}

pub async fn things(panel: &TestPanel) -> Things {
    let project = panel
        .post("/api/v1/projects", json!({"name": "zqatelier"}))
        .await
        .expect(201)
        .json();
    let blog = panel
        .post("/api/v1/apps", image("zqjournal", Some("zqatelier")))
        .await
        .expect(201)
        .json();
    let wiki = panel.post("/api/v1/apps", image("zqalmanac", None)).await.expect(201).json();
    panel
        .patch(
            "/api/v1/variables?owner=project:zqatelier",
            json!({"set": [{"key": "SHARED", "value": "of-the-shop"}]}),
        )
        .await
        .expect(200);
    let user = json!({"email": "bob@example.test", "name": "Bob", "role": "developer", "password": PASSWORD});
    let user = panel.post("/api/v1/users", user).await.expect(201).json();
    let made = panel
        .post("/api/v1/tokens", json!({"name": "secret-name", "scope": "read"}))
        .await
        .expect(201)
        .json();
    let volumes = panel.list("/api/v1/volumes").await;
    let volume = volumes
        .iter()
        .find(|volume| volume["name"] == "zqjournal-data")
        .expect("it was made");
    Things {
        blog: id(&blog),
        wiki: id(&wiki),
        environment: id(&project["environments"][0]),
        project: id(&project),
        volume: id(volume),
        token: id(&made["token"]),
        user: id(&user),
        more: BTreeMap::new(),
        secrets: [
            "zqjournal",
            "zqalmanac",
            "zqatelier",
            "word-of",
            "bob@example.test",
            "secret-name",
            "zqcrew",
            "zqrole",
            "zqpause",
            "zqlogin",
            "zqshelf",
            "zqforge",
            "zqowner",
            "zqjob",
            "zqrule",
            "zqguest",
        ]
        .map(str::to_owned)
        .to_vec(),
    }
}

impl Things {
    /// The path of an operation with what is there in the places of its parameters, and with something made up where there is no such
    /// thing.
    pub fn fill(&self, path: &str) -> String {
        let mut filled = Vec::new();
        let mut before = "";
        for part in path.split('/') {
            let is_place = part.starts_with('{');
            filled.push(match before {
                _ if !is_place => part.to_owned(),
                "apps" => self.blog.clone(),
                "projects" => self.project.clone(),
                "environments" => self.environment.clone(),
                "volumes" => self.volume.clone(),
                "tokens" => self.token.clone(),
                "users" => self.user.clone(),
                "domains" | "certificates" => "zqjournal.test".to_owned(),
                part => self.more.get(part).map_or("1", String::as_str).to_owned(),
            });
            if !is_place {
                before = part;
            }
        }
        filled.join("/")
    }

    /// The same path with things that are nowhere: ids and names of the same form.
    fn nowhere(&self, path: &str) -> String {
        let (empty, filled) = (path.split('/'), self.fill(path));
        let twin = |part: &str| match part.split_once('_') {
            Some((prefix, letters)) if letters.len() == 26 => format!("{prefix}_{}", "0".repeat(26)),
            _ => part.replace("zqjournal", "zqnowhere"),
        };
        let parts = empty.zip(filled.split('/'));
        let parts = parts.map(|(place, part)| if place.starts_with('{') { twin(part) } else { part.to_owned() });
        parts.collect::<Vec<_>>().join("/")
    }
}

/// What an answer says beside the things that were asked for: of two answers that are the same nobody can tell which thing is there.
fn beside(status: u16, text: &str, path: &str) -> String {
    let answer: Value = serde_json::from_str(text).unwrap_or_default();
    let mut said = format!("{status} {}", answer["detail"].as_str().unwrap_or_default());
    for part in path.split('/').filter(|part| part.contains('_') || part.starts_with("zq")) {
        said = said.replace(part, "…");
    }
    said
}

/// One of the document.
pub struct Operation {
    pub id: String,
    pub method: String,
    /// Without `/api/v1`.
    pub path: String,
}

pub async fn operations(panel: &TestPanel) -> Vec<Operation> {
    let document = panel.anonymous().get("/api/openapi.json").await.expect(200).json();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            if let Some(id) = operation["operationId"].as_str() {
                operations.push(Operation {
                    id: id.to_owned(),
                    method: method.to_uppercase(),
                    path: path.clone(),
                });
            }
        }
    }
    operations
}

/// A body that would do something.
pub fn body(operation: &str) -> Value {
    let rights = include_str!("rights.txt");
    let line = rights
        .lines()
        .find(|line| line.split_whitespace().next() == Some(operation))
        .unwrap_or_default();
    let start = line.find('{');
    start.map_or(json!({}), |start| serde_json::from_str(&line[start..]).expect("JSON"))
}

pub fn is_stream(operation: &str) -> bool {
    operation.ends_with("_stream") || operation.ends_with("_terminal")
}

/// Asks an operation; what WebSockets answer is their status alone.
pub async fn ask(panel: &TestPanel, api: &Api, operation: &str, method: &str, path: &str) -> (u16, String) {
    if is_stream(operation) {
        let url = format!("wss://127.0.0.1:{}{path}", panel.panel_port);
        let request = api.request(Method::GET, "/").build().expect("a request");
        let signed: Vec<(&str, String)> = ["authorization", "cookie"]
            .into_iter()
            .filter_map(|name| Some((name, request.headers().get(name)?.to_str().ok()?.to_owned())))
            .collect();
        let headers: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let status = Socket::open(&url, &headers).await.err().map_or(101, |(status, _)| status);
        return (status, String::new());
    }
    let request = api.request(method.parse().expect("a method"), path);
    let request = if method == "GET" { request } else { request.json(&body(operation)) };
    let reply = api.try_send(request).await.expect("an answer");
    (reply.status.as_u16(), reply.text())
}

/// What the event stream says until the first measurement, beginning with everything that was recorded.
pub async fn streamed(api: &Api) -> String {
    let request = api
        .request(Method::GET, "/api/v1/events")
        .header("Last-Event-ID", "evt_00000000000000000000000000");
    let mut answer = request.send().await.expect("an answer");
    let mut text = String::new();
    let read = async {
        while let Ok(Some(chunk)) = answer.chunk().await {
            text.push_str(&String::from_utf8_lossy(&chunk));
            if text.contains("event: metrics") && text.ends_with("\n\n") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), read).await.expect("a measurement");
    text
}

/// By id, name, list, event stream and WebSocket: nothing of another organization shows, and nothing changes. What requests cost: `alike`.
#[tokio::test]
async fn an_organization_finds_nothing_of_another() {
    let panel = TestPanel::start().await;
    let mut things = things(&panel).await;
    things.more = more(&panel).await;
    let browser = panel.organization("acme").await;
    let script = token(&browser, json!({"name": "probe", "scope": "admin"})).await;
    let mut wrong = Vec::new();
    for Operation {
        id: operation,
        method,
        path,
    } in operations(&panel).await
    {
        if operation == "event_stream" || operation.starts_with("session_") || operation.starts_with("setup_") {
            continue;
        }
        let filled = things.fill(&path);
        let (status, text) = ask(&panel, &script, &operation, &method, &format!("/api/v1{filled}")).await;
        let is_named = path.contains('{');
        // Whether a name leads here is asked of name servers, of any name.
        let answers = is_named && operation != "domain_check" && (200..400).contains(&status);
        if answers || status == 101 || status >= 500 && status != 503 {
            wrong.push(format!("{operation}: {status}"));
        }
        if is_named {
            let nowhere = things.nowhere(&path);
            let twin = ask(&panel, &script, &operation, &method, &format!("/api/v1{nowhere}")).await;
            let (there, nowhere) = (beside(status, &text, &filled), beside(twin.0, &twin.1, &nowhere));
            if there != nowhere {
                wrong.push(format!("{operation}: “{there}”, and of what is nowhere “{nowhere}”"));
            }
        }
        // What it asked for by id comes back in the words of a refusal.
        let told = things
            .secrets
            .iter()
            .find(|secret| !is_named && method == "GET" && text.contains(*secret));
        if let Some(told) = told {
            wrong.push(format!("{operation} tells of {told}"));
        }
    }
    for name in [
        "/api/v1/apps/zqjournal",
        "/api/v1/projects/zqatelier",
        "/api/v1/apps/zqjournal/logs",
        "/api/v1/roles/any",
    ] {
        let status = script.get(name).await.status.as_u16();
        if status != 404 && status != 405 {
            wrong.push(format!("{name}: {status}"));
        }
    }
    let owners = ["project:zqatelier", "app:zqjournal", &format!("environment:{}", things.environment)];
    for owner in owners {
        script.get(&format!("/api/v1/variables?owner={owner}")).await.expect(404);
        script
            .post(
                "/api/v1/grants",
                json!({"role": "viewer", "to": format!("user:{}", OWNER.0), "place": owner}),
            )
            .await
            .expect(404);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let heard = streamed(&script).await;
    for secret in &things.secrets {
        assert!(!heard.contains(secret.as_str()), "the event stream tells of {secret}");
    }
    assert!(!heard.contains(&things.blog) && !heard.contains(&things.wiki));
    // The machine and the panel are the first organization's.
    for path in [
        "/api/v1/servers",
        "/api/v1/build-servers",
        "/api/v1/settings",
        "/api/v1/security",
        "/api/v1/edge/options",
        "/api/v1/doctor",
    ] {
        script.get(path).await.expect(403);
    }
    let overview = script.get("/api/v1/overview").await.expect(200).json();
    assert_eq!(overview["servers"], json!([]));
    // Both have an app and a project of the same name, without knowing.
    script.post("/api/v1/projects", json!({"name": "zqatelier"})).await.expect(201);
    let mut own = image("zqjournal", Some("zqatelier"));
    own["domains"] = json!([]);
    script.post("/api/v1/apps", own).await.expect(201);
    let taken = script
        .post("/api/v1/apps/zqjournal/domains", json!({"host": "zqalmanac.test"}))
        .await
        .expect(409)
        .text();
    assert!(!taken.contains("app `zqalmanac`"), "{taken}");
    assert_eq!(panel.list("/api/v1/apps").await.len(), 2, "nothing was changed");
    assert!(
        panel
            .list("/api/v1/users")
            .await
            .iter()
            .any(|user| user["id"] == things.user.as_str())
    );
}

/// A search of the audit log, and of its export, finds others' words no more than the log shows them.
#[tokio::test]
async fn a_search_of_the_audit_log_finds_nothing_of_another() {
    let panel = TestPanel::start().await;
    let mut things = things(&panel).await;
    things.more = more(&panel).await;
    let browser = panel.organization("acme").await;
    let script = token(&browser, json!({"name": "probe", "scope": "admin"})).await;
    let exported = async |api: &Api, query: &str| api.get(&format!("/api/v1/audit/export?{query}")).await.expect(200).text();
    // Those whose words they are find them.
    let here: &Api = &panel;
    for query in ["text=zqjournal", "text=zqatelier", "what=app.created", "what=app"] {
        assert!(!here.list(&format!("/api/v1/audit?{query}")).await.is_empty(), "{query}");
        assert!(exported(here, query).await.contains("zq"), "{query}");
    }
    let ids = [&things.blog, &things.wiki, &things.project, &things.environment, &things.user];
    let words = things.secrets.iter().chain(ids).map(|word| format!("text={word}"));
    let kinds = ["what=app.created".to_owned(), "what=app".to_owned()];
    for query in words.chain(kinds).chain([format!("by={}", things.token)]) {
        let found = script.list(&format!("/api/v1/audit?{query}")).await;
        assert!(found.is_empty(), "{query}: {found:?}");
        let found = exported(&script, &query).await;
        assert!(found.trim().is_empty(), "{query}: {found}");
    }
    // Its own log is there to be searched.
    assert!(!script.list("/api/v1/audit").await.is_empty());
    script.post("/api/v1/projects", json!({"name": "zqown"})).await.expect(201);
    assert_eq!(script.list("/api/v1/audit?what=project.created&text=zqown").await.len(), 1);
}

/// A token bound to one app, with every scope, walks all operations with things of another app.
#[tokio::test]
async fn a_token_of_one_app_reaches_no_other() {
    let panel = TestPanel::start().await;
    let mut things = things(&panel).await;
    things.more = more(&panel).await;
    let bound = json!({"name": "ci", "scope": "admin", "places": [format!("app:{}", things.wiki)]});
    let script = token(&panel.signed_in(OWNER.0, OWNER.1).await, bound).await;
    let mut wrong = Vec::new();
    for Operation {
        id: operation,
        method,
        path,
    } in operations(&panel).await
    {
        let open = operation.starts_with("session_") || operation.starts_with("setup_") || operation == "event_stream";
        if open {
            continue;
        }
        let filled = things.fill(&path);
        let (status, text) = ask(&panel, &script, &operation, &method, &format!("/api/v1{filled}")).await;
        let is_named = path.contains('{');
        let own_lists = ["token_list", "device_list", "organization_list"].contains(&operation.as_str());
        // Whether a name leads here is asked of name servers, of any name.
        if is_named && operation != "domain_check" && ((200..400).contains(&status) || status == 101) {
            wrong.push(format!("{operation}: {status}"));
        }
        let told = ["zqjournal", "of-the-shop", "bob@example.test"]
            .into_iter()
            .find(|word| !is_named && text.contains(word));
        if let (Some(word), "GET", false) = (told, method.as_str(), own_lists) {
            wrong.push(format!("{operation} tells of {word}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Its own is all it sees, and it may all there.
    let names = |items: Vec<Value>| {
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(script.list("/api/v1/apps").await), ["zqalmanac"]);
    assert_eq!(names(script.list("/api/v1/projects").await), ["default"]);
    assert_eq!(names(script.list("/api/v1/volumes").await), ["zqalmanac-data"]);
    assert_eq!(script.list("/api/v1/domains").await.len(), 1);
    assert_eq!(script.get("/api/v1/overview").await.expect(200).json()["counts"]["apps"], 1);
    script.patch("/api/v1/apps/zqalmanac", json!({"port": 8080})).await.expect(200);
    let shown = script.get("/api/v1/apps/zqalmanac/variables?reveal=true").await.expect(200).text();
    assert!(shown.contains("word-of-zqalmanac"));
    // Not by way of its own app either: another's volume, another's app behind its domain, what all of the project has.
    let mount = json!({"mounts": [{"volume": things.volume, "path": "/theirs"}]});
    script.patch("/api/v1/apps/zqalmanac", mount).await.expect(404);
    script
        .put("/api/v1/domains/zqalmanac.test/canary", json!({"app": "zqjournal", "percent": 50}))
        .await
        .expect(404);
    script.get("/api/v1/variables?owner=project:default").await.expect(403);
    script.post("/api/v1/apps", image("third", None)).await.expect(403);
    script
        .post("/api/v1/tokens", json!({"name": "more", "scope": "read"}))
        .await
        .expect(403);
    let heard = streamed(&script).await;
    assert!(
        heard.contains(&things.wiki) && !heard.contains(&things.blog) && !heard.contains("bob@example.test"),
        "{heard}"
    );
}

/// A token whose time is over is nobody, whatever it asks.
#[tokio::test]
async fn an_expired_token_reaches_nothing() {
    let mut panel = Options::default().start().await;
    let mut things = things(&panel).await;
    things.more = more(&panel).await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let script = token(&owner, json!({"name": "short", "scope": "admin", "expires_in_days": 1})).await;
    script.get("/api/v1/apps").await.expect(200);
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+2d"))).await;
    let mut wrong = Vec::new();
    let rights = include_str!("rights.txt");
    for Operation {
        id: operation,
        method,
        path,
    } in operations(&panel).await
    {
        let line = rights
            .lines()
            .find(|line| line.split_whitespace().next() == Some(operation.as_str()));
        let is_open = line.is_some_and(|line| line.split_whitespace().nth(1) == Some("open"));
        if is_open || operation == "event_stream" {
            continue;
        }
        let filled = things.fill(&path);
        let (status, _) = ask(&panel, &script, &operation, &method, &format!("/api/v1{filled}")).await;
        if status != 401 {
            wrong.push(format!("{operation}: {status}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

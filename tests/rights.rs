//! Who sees and does what beyond the four roles: scopes, tokens bound to places, roles that people make, events about people.
//! `everybody.rs` walks every operation by role and scope; `probing.rs` walks them with things that are another's.

use crate::probing::{PASSWORD, ask, id, image, streamed, things, token};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Api, OWNER, Options, TestPanel};

/// Scopes are verbs of their own: each reaches what it names and no more.
#[tokio::test]
async fn scopes_are_separate() {
    let panel = TestPanel::start().await;
    let app = panel.post("/api/v1/apps", image("zqjournal", None)).await.expect(201).json();
    let app = id(&app);
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    for (scopes, write, deploy, secrets, terminal) in [
        (json!(["read"]), false, false, false, false),
        (json!(["write"]), true, false, false, false),
        (json!(["deploy"]), false, true, false, false),
        (json!(["secrets"]), false, false, true, false),
        (json!(["terminal"]), false, false, false, true),
        (json!(["deploy", "secrets"]), false, true, true, false),
        (json!(["admin"]), true, true, true, true),
    ] {
        let script = token(&owner, json!({"name": "x", "scopes": scopes})).await;
        let base = format!("/api/v1/apps/{app}");
        let may = async |method: &str, path: &str, body: Value| {
            let request = script
                .request(method.parse().expect("a method"), &format!("{base}{path}"))
                .json(&body);
            script.try_send(request).await.expect("an answer").status.as_u16() != 403
        };
        assert!(may("GET", "", json!({})).await, "every token sees: {scopes}");
        assert_eq!(may("PATCH", "", json!({"port": 80})).await, write, "write by {scopes}");
        assert_eq!(may("POST", "/stop", json!({})).await, deploy, "deploy by {scopes}");
        assert_eq!(
            may("GET", "/variables?reveal=true", json!({})).await,
            secrets,
            "secrets by {scopes}"
        );
        let (status, _) = ask(&panel, &script, "app_terminal", "GET", &format!("{base}/terminal")).await;
        assert_eq!(status != 403, terminal, "terminal by {scopes}");
    }
    for wrong in [
        json!({"name": "x"}),
        json!({"name": "x", "scope": "read", "scopes": ["read"]}),
        json!({"name": "x", "scope": "read", "networks": ["10.0.0.0/33"]}),
        json!({"name": "x", "scope": "read", "places": []}),
    ] {
        owner.post("/api/v1/tokens", wrong).await.expect(422).code("invalid");
    }
    let far = token(&owner, json!({"name": "far", "scope": "read", "networks": ["192.0.2.7"]})).await;
    let refused = far.get("/api/v1/apps").await.expect(401).detail();
    assert!(refused.contains("not valid from this address"), "{refused}");
    let near = token(&owner, json!({"name": "near", "scope": "read", "networks": ["127.0.0.0/8", "::1"]})).await;
    near.get("/api/v1/apps").await.expect(200);
    let listed = owner.list("/api/v1/tokens").await;
    let seen = listed.iter().find(|token| token["name"] == "near").expect("listed");
    assert_eq!(seen["last_used_address"], "127.0.0.1");
}

/// Over the command line: a token that is rotated, a service account with rights in one place, and everything as it shows.
#[tokio::test]
async fn roles_teams_and_service_accounts() {
    let panel = TestPanel::start().await;
    let things = things(&panel).await;
    for line in [
        "user create-service ci",
        "role create captain --rights deploy,terminal --description releases",
        "team create web bob@example.test",
        "role grant captain --to team:web --in project:zqatelier",
    ] {
        panel.cli(&line.split(' ').collect::<Vec<_>>()).await.expect(0);
    }
    let users = panel.list("/api/v1/users").await;
    let ci = users.iter().find(|user| user["service"] == true).expect("a service account");
    let to = format!("user:{}", ci["id"].as_str().expect("an id"));
    panel
        .post("/api/v1/grants", json!({"role": "developer", "to": to, "place": "app:zqalmanac"}))
        .await
        .expect(201);
    let twice = panel
        .post("/api/v1/grants", json!({"role": "developer", "to": to, "place": "app:zqalmanac"}))
        .await
        .expect(409);
    assert!(twice.detail().contains("app zqalmanac"), "{}", twice.detail());
    let made = panel
        .cli(&["token", "create", "deploys", "--for", "ci", "--scopes", "deploy"])
        .await
        .expect(0)
        .stdout;
    let script = panel.with_token(made.trim());
    script.post("/api/v1/apps/zqalmanac/stop", json!({})).await.expect(202);
    script.patch("/api/v1/apps/zqalmanac", json!({"port": 80})).await.expect(403);
    script.post("/api/v1/apps/zqjournal/stop", json!({})).await.expect(404);
    // The old secret goes on for a while, or not at all.
    let next = panel.cli(&["token", "rotate", "deploys", "--grace", "5"]).await.expect(0).stdout;
    script.get("/api/v1/apps").await.expect(200);
    panel.with_token(next.trim()).get("/api/v1/apps").await.expect(200);
    let last = panel.cli(&["token", "rotate", "deploys", "--grace", "0"]).await.expect(0).stdout;
    script.get("/api/v1/apps").await.expect(401);
    panel.with_token(next.trim()).get("/api/v1/apps").await.expect(401);
    let script = panel.with_token(last.trim());
    // Bob is a developer everywhere already; as a member he has what his team has.
    panel
        .patch(&format!("/api/v1/users/{}", things.user), json!({"role": "member"}))
        .await
        .expect(200);
    let bob = panel.signed_in("bob@example.test", PASSWORD).await;
    let session = bob.get("/api/v1/session").await.expect(200).json();
    assert_eq!(session["rights"], json!(["view", "deploy", "terminal"]));
    assert_eq!(bob.list("/api/v1/apps").await.len(), 1);
    bob.post("/api/v1/apps/zqjournal/stop", json!({})).await.expect(202);
    bob.get("/api/v1/apps/zqjournal/variables?reveal=true").await.expect(403);
    bob.post("/api/v1/apps/zqalmanac/stop", json!({})).await.expect(404);
    // A role that changes counts at once, also for streams that are open; and one that is granted stays.
    panel.cli(&["role", "update", "captain", "--rights", "view"]).await.expect(0);
    bob.post("/api/v1/apps/zqjournal/stop", json!({})).await.expect(403);
    panel.cli(&["role", "delete", "captain", "--yes"]).await.expect(1);
    let shown = panel.cli(&["role", "grants"]).await.expect(0).stdout;
    assert!(
        shown.contains("team web") && shown.contains("project zqatelier") && shown.contains("app zqalmanac"),
        "{shown}"
    );
    panel.cli(&["team", "delete", "web", "--yes"]).await.expect(0);
    bob.get("/api/v1/events/history").await.expect(403);
    bob.get("/api/v1/apps/zqjournal").await.expect(403);
    panel
        .delete(&format!("/api/v1/users/{}", ci["id"].as_str().expect("an id")))
        .await
        .expect(204);
    script.get("/api/v1/apps").await.expect(401);
    assert_eq!(panel.list("/api/v1/grants").await.len(), 0);
}

/// What whoever guards the panel should look at is told apart from the rest, and the browser that claimed the panel is
/// known: the first sign-in from any other is told as new.
#[tokio::test]
async fn security_events_are_told() {
    let panel = Options::default().unclaimed().start().await;
    let word = panel.setup_word().await;
    let first = panel.browser();
    let claim = json!({"token": word, "email": "ada@example.test", "name": "Ada", "password": PASSWORD});
    first.post("/api/v1/setup", claim).await.expect(201);
    let sign_in = json!({"email": "ada@example.test", "password": PASSWORD});
    let kinds = async || {
        let events = first.list("/api/v1/events/history?security=true").await;
        events
            .iter()
            .map(|event| event["kind"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds().await, ["panel_claimed"]);
    first.post("/api/v1/session", sign_in.clone()).await.expect(201);
    assert!(
        !kinds().await.contains(&"new_device".to_owned()),
        "it is the browser that claimed the panel"
    );
    panel.signed_in("ada@example.test", PASSWORD).await;
    assert!(kinds().await.contains(&"new_device".to_owned()), "this one was never here");
    let wrong = json!({"email": "ada@example.test", "password": "wrong wrong wrong"});
    panel.browser().post("/api/v1/session", wrong).await.expect(401);
    let body = json!({"email": "bob@example.test", "name": "Bob", "role": "viewer", "password": PASSWORD});
    let bob = first.post("/api/v1/users", body).await.expect(201).json();
    let path = format!("/api/v1/users/{}", id(&bob));
    first.patch(&path, json!({"role": "admin"})).await.expect(200);
    first.patch(&path, json!({"role": "viewer"})).await.expect(200);
    first.post("/api/v1/projects", json!({"name": "shop"})).await.expect(201);
    let told = kinds().await;
    assert_eq!(told.iter().filter(|kind| *kind == "role_raised").count(), 1, "{told:?}");
    assert!(
        told.contains(&"login_failed".to_owned()) && !told.contains(&"project_created".to_owned()),
        "{told:?}"
    );
    assert!(!told.contains(&"signed_in".to_owned()), "{told:?}");
}

/// What is missing in a question is told to those who may ask it.
#[tokio::test]
async fn rights_come_before_what_was_asked() {
    let panel = TestPanel::start().await;
    panel
        .create_app(json!({"name": "blog", "source": {"kind": "image", "reference": "nginx"}, "deploy": false}))
        .await;
    let nobody = panel.member("member", "read").await;
    let viewer = panel.member("viewer", "read").await;
    for (path, refused) in [
        ("/api/v1/apps/blog/diff", [403, 404]),
        ("/api/v1/certificates/forecast", [403, 403]),
    ] {
        for query in ["", "?from=x&name=%20not%20a%20name"] {
            let status = nobody.get(&format!("{path}{query}")).await.status.as_u16();
            assert!(refused.contains(&status), "{path}{query}: {status}");
            viewer.get(&format!("{path}{query}")).await.expect(422);
        }
    }
}

/// Who is there, and from where somebody failed to come in, is for those who see the team, and each sees what concerns themselves.
#[tokio::test]
async fn events_about_people_are_not_for_every_viewer() {
    let panel = TestPanel::start().await;
    panel.post("/api/v1/apps", image("zqjournal", None)).await.expect(201);
    for (name, role) in [("vera", "viewer"), ("dave", "developer"), ("adam", "admin")] {
        let body = json!({"email": format!("{name}@example.test"), "name": name, "role": role, "password": PASSWORD});
        panel.post("/api/v1/users", body).await.expect(201);
    }
    let invited = json!({"email": "zqguest@example.test", "role": "viewer"});
    panel.post("/api/v1/invitations", invited).await.expect(201);
    let wrong = json!({"email": "zqwho@example.test", "password": "wrong wrong wrong"});
    panel.browser().post("/api/v1/session", wrong).await.expect(401);
    panel
        .post("/api/v1/tokens", json!({"name": "zqtoken", "scope": "read"}))
        .await
        .expect(201);
    let guarded = ["zqguest", "zqwho", "zqtoken", "adam@example.test"];
    for (name, all) in [("vera", false), ("dave", false), ("adam", true)] {
        let browser = panel.signed_in(&format!("{name}@example.test"), PASSWORD).await;
        let listed = browser.get("/api/v1/events/history?limit=500").await.expect(200).text();
        let safety = browser.get("/api/v1/events/history?security=true").await.expect(200).text();
        let overview = browser.get("/api/v1/overview").await.expect(200).text();
        let heard = streamed(&browser).await;
        for word in guarded {
            assert_eq!(listed.contains(word), all, "{name}, {word}: {listed}");
            assert_eq!(heard.contains(word), all, "{name}, {word}: {heard}");
            assert!(all || !safety.contains(word) && !overview.contains(word), "{name}, {word}");
        }
        for own in ["zqjournal", &format!("{name}@example.test")] {
            assert!(listed.contains(own) && heard.contains(own), "{name} does not see {own}: {listed}");
        }
        assert!(listed.contains("signed_in"), "their own: {listed}");
    }
}

/// A key for asking twice is one token's: another of the same person, which reaches less, gets none of its answers.
#[tokio::test]
async fn an_answer_that_is_kept_is_for_who_asked() {
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let strong = token(&owner, json!({"name": "strong", "scope": "admin"})).await;
    let weak = token(&owner, json!({"name": "weak", "scope": "read"})).await;
    let ask = async |api: &Api| {
        let body = json!({"name": "made", "scope": "admin"});
        let request = api.request(Method::POST, "/api/v1/tokens").header("idempotency-key", "k1");
        api.send(request.json(&body)).await
    };
    let first = ask(&strong).await.expect(201).json();
    assert_eq!(ask(&strong).await.expect(201).json(), first, "the same again");
    ask(&weak).await.expect(403);
}

/// What somebody may do in a place is told with the place: by grants, by roles that people made, and no further than a token reaches.
#[tokio::test]
async fn a_place_tells_what_who_asks_may_do_there() {
    let panel = TestPanel::start().await;
    panel.post("/api/v1/projects", json!({"name": "zqatelier"})).await.expect(201);
    for (name, project) in [("zqalmanac", None), ("zqjournal", None), ("zqstore", Some("zqatelier"))] {
        panel.post("/api/v1/apps", image(name, project)).await.expect(201);
    }
    let body = json!({"email": "eve@example.test", "name": "Eve", "role": "member", "password": PASSWORD});
    panel.post("/api/v1/users", body).await.expect(201);
    let captain = json!({"name": "captain", "rights": ["deploy", "terminal"]});
    panel.post("/api/v1/roles", captain).await.expect(201);
    for (role, place) in [
        ("developer", "app:zqalmanac"),
        ("viewer", "app:zqjournal"),
        ("captain", "project:zqatelier"),
    ] {
        let grant = json!({"role": role, "to": "user:eve@example.test", "place": place});
        panel.post("/api/v1/grants", grant).await.expect(201);
    }
    let all = json!(["view", "deploy", "configure", "secrets", "terminal", "delete"]);
    let some = json!(["view", "deploy", "terminal"]);
    let told = |things: &[Value]| -> Vec<(String, Value)> {
        let pair = |thing: &Value| (thing["name"].as_str().unwrap_or_default().to_owned(), thing["rights"].clone());
        let mut pairs: Vec<_> = things.iter().map(pair).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs
    };
    let named = |pairs: &[(&str, &Value)]| -> Vec<(String, Value)> {
        pairs.iter().map(|(name, rights)| ((*name).to_owned(), (*rights).clone())).collect()
    };
    let (view, nothing) = (json!(["view"]), json!([]));

    let eve = panel.signed_in("eve@example.test", PASSWORD).await;
    let apps = named(&[("zqalmanac", &all), ("zqjournal", &view), ("zqstore", &some)]);
    assert_eq!(told(&eve.list("/api/v1/apps").await), apps);
    let overview = eve.get("/api/v1/overview").await.expect(200).json();
    assert_eq!(told(overview["apps"].as_array().expect("apps")), apps);
    let shown = eve.get("/api/v1/apps/zqjournal").await.expect(200).json();
    assert_eq!(shown["rights"], view);
    let projects = eve.list("/api/v1/projects").await;
    assert_eq!(told(&projects), named(&[("default", &nothing), ("zqatelier", &some)]));
    for project in &projects {
        let environments = project["environments"].as_array().expect("environments");
        assert_eq!(told(environments), named(&[("production", &project["rights"])]), "{project}");
    }
    let session = eve.get("/api/v1/session").await.expect(200).json();
    assert_eq!((&session["rights"], &session["rights_everywhere"]), (&all, &nothing));
    // What is told is what holds.
    eve.post("/api/v1/apps/zqalmanac/stop", json!({})).await.expect(202);
    eve.post("/api/v1/apps/zqstore/stop", json!({})).await.expect(202);
    eve.patch("/api/v1/apps/zqstore", json!({"port": 80})).await.expect(403);
    eve.post("/api/v1/apps/zqjournal/stop", json!({})).await.expect(403);

    let bound = token(&eve, json!({"name": "bound", "scope": "deploy", "places": ["app:zqalmanac"]})).await;
    let deploys = json!(["view", "deploy"]);
    assert_eq!(told(&bound.list("/api/v1/apps").await), named(&[("zqalmanac", &deploys)]));
    assert_eq!(told(&bound.list("/api/v1/projects").await), named(&[("default", &nothing)]));

    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let session = owner.get("/api/v1/session").await.expect(200).json();
    assert_eq!(session["rights"], session["rights_everywhere"]);
    let made = owner.post("/api/v1/projects", json!({"name": "zqgarden"})).await.expect(201).json();
    assert_eq!((&made["rights"], &made["environments"][0]["rights"]), (&all, &all));
    let path = format!("/api/v1/projects/{}/environments", id(&made));
    let made = owner.post(&path, json!({"name": "staging"})).await.expect(201).json();
    assert_eq!((&made["rights"], &made["project"]["name"]), (&all, &json!("zqgarden")));
    let viewer = panel.member("viewer", "read").await;
    let session = viewer.get("/api/v1/session").await.expect(200).json();
    assert_eq!(session["rights_everywhere"], json!(["view", "view_servers"]));
    assert!(told(&viewer.list("/api/v1/apps").await).iter().all(|(_, rights)| *rights == view));
}

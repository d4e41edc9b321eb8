//! Addresses that somebody names: those of the network that the panel stands in are for who runs it.

use serde_json::{Value, json};
use testkit::{Api, GitFixture, GitServer, OWNER, Options, TestPanel};

/// In the configuration: what tests have on this machine may be named by everybody.
pub const OPEN: &str = "open_networks = [\"127.0.0.0/8\", \"::1\"]\n";

/// The owner of another organization.
async fn acme(panel: &TestPanel) -> Api {
    let made = json!({"name": "acme", "owner": OWNER.0});
    panel.post("/api/v1/organizations", made).await.expect(201);
    let there = panel.signed_in(OWNER.0, OWNER.1).await;
    let switch = json!({"organization": "acme"});
    there.post("/api/v1/session/switch", switch).await.expect(200);
    there
}

/// Whatever has the panel connect to an address, with `at` as host and port.
fn askers(at: &str) -> Vec<(&'static str, Value)> {
    let url = format!("http://{at}/x");
    vec![
        ("/sources/inspect", json!({"source": {"kind": "git", "url": format!("{url}.git")}})),
        (
            "/catalogs",
            json!({"name": "web", "kind": "web", "url": format!("https://{at}/index.json")}),
        ),
        (
            "/catalogs",
            json!({"name": "git", "kind": "git", "url": format!("{url}.git"), "folder": "templates"}),
        ),
        ("/catalog-imports", json!({"url": format!("{url}/list.json")})),
        (
            "/forges",
            json!({"name": "own", "kind": "gitea", "url": format!("http://{at}"), "token": "not asked"}),
        ),
        ("/registries", json!({"server": at, "user": "ada", "password": "not asked"})),
    ]
}

#[tokio::test]
async fn others_are_told_nothing_of_inner_addresses() {
    let panel = TestPanel::start().await;
    let there = acme(&panel).await;
    let listens = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listens.local_addr().unwrap().to_string();
    for (path, body) in askers(&open) {
        let refused = there.post(&format!("/api/v1{path}"), body.clone()).await.expect(422).text();
        assert!(refused.contains("127.0.0.1 leads to an inner address"), "{path} {body}: {refused}");
    }
    // The same where nothing listens, and for what else is inside.
    for at in ["127.0.0.1:1", "169.254.169.254:80", "10.0.0.1:3000", "100.64.0.1:80"] {
        let host = at.rsplit_once(':').unwrap().0;
        for (path, body) in askers(at) {
            let refused = there.post(&format!("/api/v1{path}"), body.clone()).await.expect(422).text();
            assert!(
                refused.contains(&format!("{host} leads to an inner address")),
                "{path} {body}: {refused}"
            );
        }
    }
    // By name too.
    let (path, body) = askers("localhost:1").swap_remove(0);
    let refused = there.post(&format!("/api/v1{path}"), body).await.expect(422).text();
    assert!(refused.contains("localhost leads to an inner address"), "{refused}");
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(100), listens.accept()).await;
    assert!(nobody.is_err(), "something was connected to");
}

#[tokio::test]
async fn who_runs_the_panel_and_open_networks_are_let_through() {
    let panel = TestPanel::start().await;
    let repository = GitFixture::sample("hello");
    let server = GitServer::open(repository.root()).await;
    let wish = json!({"source": {"kind": "git", "url": server.url("app.git")}});
    panel.post("/api/v1/sources/inspect", wish.clone()).await.expect(200);
    let there = acme(&panel).await;
    there.post("/api/v1/sources/inspect", wish.clone()).await.expect(422);

    let panel = Options::default().config(OPEN).start().await;
    let there = acme(&panel).await;
    there.post("/api/v1/sources/inspect", wish).await.expect(200);
}

//! Connections to forges: GitHub, GitLab, Bitbucket (Cloud and Data Center) and Gitea as their documentation describes them
//! (`peers/forges.mjs`, which refuses every request that their APIs do not have), from the token to the state beside a commit.

mod allowing;
mod telling;

use crate::{deploy::text, identity_providers::Peer};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Api, GitServer, TestPanel};

pub const TOKEN: &str = "forge-token-0123456789";
/// Those with OAuth.
const KINDS: [&str; 4] = ["github", "gitlab", "bitbucket", "gitea"];
pub const DATA_CENTER: &str = "bitbucket_data_center";

pub struct Stand {
    pub panel: TestPanel,
    pub peer: Peer,
}

impl Stand {
    pub async fn new(git: Option<&GitServer>) -> Stand {
        let git = git.map(|server| server.url("").trim_end_matches('/').to_owned());
        Stand {
            panel: TestPanel::start().await,
            peer: Peer::start("forges.mjs", &git.iter().map(String::as_str).collect::<Vec<_>>()).await,
        }
    }
    pub fn wish(&self, kind: &str, more: Value) -> Value {
        let mut wish = json!({"name": kind, "kind": kind, "url": format!("{}/{kind}", self.peer.issuer)});
        if kind == "bitbucket" {
            wish["owner"] = "ada".into();
        }
        if kind == DATA_CENTER {
            wish["user"] = "ada".into();
        }
        wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        wish
    }
    pub async fn connect(&self, kind: &str, more: Value) -> Value {
        self.panel.post("/api/v1/forges", self.wish(kind, more)).await.expect(201).json()
    }
    /// What the forges were asked; nothing of it may be what their APIs do not have.
    pub async fn seen(&self) -> Value {
        let client = self.panel.anonymous();
        let request = client.request(Method::GET, &format!("{}/test/seen", self.peer.issuer));
        let seen = client.send(request).await.expect(200).json();
        let wrong: Vec<_> = seen["seen"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| !one["wrong"].is_null())
            .collect();
        assert!(wrong.is_empty(), "against the forge's API: {wrong:?}");
        seen
    }
    pub async fn next(&self, how: Value) {
        self.peer.tell(&self.panel, "/test/next", how).await;
    }
}

pub fn paths(found: &Value) -> Vec<String> {
    found["items"].as_array().unwrap().iter().map(|one| text(one, "path")).collect()
}

/// Where a repository is cloned from, below the forge.
pub fn cloned(kind: &str, path: &str) -> String {
    let below = if kind == DATA_CENTER { "scm/" } else { "" };
    format!("{kind}/{below}{path}.git")
}

pub fn app(name: &str, forge: &str) -> Value {
    json!({
        "name": name, "source": {"kind": "git", "forge": forge, "repository": "ada/blog", "branch": "main"},
        "domains": [format!("{name}.test")],
    })
}

#[tokio::test]
async fn each_forge_by_a_token() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    for kind in KINDS.into_iter().chain([DATA_CENTER]) {
        let refused = panel
            .post("/api/v1/forges", stand.wish(kind, json!({"token": "wrong"})))
            .await
            .expect(422);
        assert!(
            refused.detail().contains("does not know who asks: Bad credentials"),
            "{}",
            refused.detail()
        );
        let more = if kind == "bitbucket" {
            json!({"token": TOKEN, "user": "ada@example.com"})
        } else {
            json!({"token": TOKEN})
        };
        let made = stand.connect(kind, more).await;
        assert_eq!((text(&made, "account"), text(&made, "access")), ("ada".into(), "token".into()));
        assert!(!made.to_string().contains(TOKEN), "{made}");
        let at = format!("/api/v1/forges/{kind}");
        let tested = panel.post(&format!("{at}/test"), json!({})).await.expect(200).json();
        assert!(tested["problem"].is_null() && tested["checked_at"].is_string(), "{tested}");

        // There are 120, in two or three pages.
        let all = panel.get(&format!("{at}/repositories")).await.expect(200).json();
        assert_eq!((paths(&all).len(), &all["more"]), (100, &json!(true)), "{kind}");
        let some = panel.get(&format!("{at}/repositories?search=BLO")).await.expect(200).json();
        assert_eq!(
            (paths(&some), &some["more"]),
            (vec!["ada/blog".to_owned()], &json!(false)),
            "{kind}"
        );
        let last = panel.get(&format!("{at}/repositories?search=site-119")).await.expect(200).json();
        assert_eq!(paths(&last), ["ada/site-119"], "{kind}");
        assert_eq!(
            last["items"][0]["clone_url"],
            format!("{}/{}", stand.peer.issuer, cloned(kind, "ada/site-119")),
            "{kind}"
        );

        let branches = panel.get(&format!("{at}/branches?repository=ada/blog")).await.expect(200).json();
        assert_eq!(branches["items"].as_array().unwrap().len(), 3, "{kind}");
        let one = panel
            .get(&format!("{at}/branches?repository=ada/blog&search=feat"))
            .await
            .expect(200)
            .json();
        assert_eq!(one["items"][0]["name"], "feature/one", "{kind}");
        let gone = panel.get(&format!("{at}/branches?repository=ada/nothing")).await.expect(422);
        assert!(gone.detail().contains("has no such thing"), "{}", gone.detail());
        panel
            .get(&format!("{at}/branches?repository=ada/../x"))
            .await
            .expect(422)
            .code("invalid");
    }
    stand.seen().await;
    let taken = panel.post("/api/v1/forges", stand.wish("gitea", json!({"token": TOKEN}))).await;
    taken.expect(409).code("taken");
    let other = json!({"secret": "wrong"});
    panel.patch("/api/v1/forges/gitea", other).await.expect(422);
    panel.post("/api/v1/forges/gitea/test", json!({})).await.expect(200);
    let owned = panel
        .patch("/api/v1/forges/gitlab", json!({"owner": "team/web"}))
        .await
        .expect(200)
        .json();
    assert_eq!(owned["owner"], "team/web");
    let found = panel.get("/api/v1/forges/gitlab/repositories?search=blog").await.expect(200).json();
    assert_eq!(paths(&found), ["team/web/blog"]);
    let elsewhere = panel.post("/api/v1/apps", app("x", "gitlab")).await.expect(422);
    assert!(elsewhere.detail().contains("is not of team/web"), "{}", elsewhere.detail());
    panel.delete("/api/v1/forges/gitea").await.expect(204);
    panel.get("/api/v1/forges/gitea/repositories").await.expect(404);
    let shown = panel.cli(&["forge", "list"]).await;
    let shown = shown.stdout;
    assert!(
        shown.contains("gitlab") && shown.contains("connected") && !shown.contains(TOKEN),
        "{shown}"
    );
}

#[tokio::test]
async fn what_a_forge_may_not_do() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    stand.connect("gitea", json!({"token": TOKEN})).await;
    let other = Peer::start("forges.mjs", &[]).await;
    for (how, words) in [
        (
            json!({"status": 302, "headers": {"location": format!("{}/gitea/api/v1/user", other.issuer)}}),
            "redirects to",
        ),
        (
            json!({"status": 302, "headers": {"location": "/gitea/api/v1/user"}, "times": 20}),
            "redirects without end",
        ),
        (json!({"status": 200, "body": "<html>hello</html>"}), "not JSON"),
        (
            json!({"status": 200, "body": format!("\"{}\"", "x".repeat(5 << 20))}),
            "larger than 4 MiB",
        ),
        (
            json!({"status": 429, "headers": {"retry-after": "30"}}),
            "takes no more requests for 30 s",
        ),
        (
            json!({"status": 403, "headers": {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "4102444800"}}),
            "until 2100-01-01T00:00:00Z",
        ),
        (
            json!({"status": 500, "body": {"message": "oh no\nreally"}}),
            "answers 500: oh no really",
        ),
    ] {
        stand.next(how).await;
        let failed = panel.post("/api/v1/forges/gitea/test", json!({})).await.expect(503);
        assert!(failed.detail().contains(words), "{} should say {words}", failed.detail());
        let listed = panel.get("/api/v1/forges").await.expect(200).json();
        assert!(text(&listed["items"][0], "problem").contains(words), "{listed}");
        stand.next(json!({"times": 0})).await;
    }
    let client = panel.anonymous();
    let request = client.request(Method::GET, &format!("{}/test/seen", other.issuer));
    let asked = client.send(request).await.expect(200).json();
    assert_eq!(asked["seen"], json!([]), "the token went nowhere else");
    // Within the host, a renamed repository is followed.
    stand
        .next(json!({"status": 301, "headers": {"location": "/gitea/api/v1/repos/ada/blog/branches"}}))
        .await;
    panel.get("/api/v1/forges/gitea/branches?repository=ada/blog").await.expect(200);
    stand.seen().await;
}

#[tokio::test]
async fn a_forges_token_goes_to_its_own_repositories() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    stand.connect("gitea", json!({"token": TOKEN})).await;
    let refused = |source: Value| async move {
        panel
            .post("/api/v1/apps", json!({"name": "x", "source": source, "deploy": false}))
            .await
    };
    for source in [
        json!({"kind": "git", "forge": "gitea"}),
        json!({"kind": "git", "forge": "gitea", "repository": "blog"}),
        json!({"kind": "git", "forge": "gitea", "repository": "ada/../../x"}),
        json!({"kind": "git", "forge": "gitea", "repository": "@evil.test/x"}),
        json!({"kind": "git"}),
    ] {
        refused(source.clone()).await.expect(422).code("invalid");
    }
    refused(json!({"kind": "git", "forge": "nothing", "repository": "ada/blog"}))
        .await
        .expect(404);
    // An address beside it changes nothing: it is made of the forge's own.
    let both =
        json!({"kind": "git", "forge": "gitea", "repository": "ada/blog", "url": "https://evil.test/x.git", "user": "a", "password": "b"});
    let made = refused(both).await.expect(201).json();
    assert_eq!(made["source"]["url"], format!("{}/gitea/ada/blog.git", stand.peer.issuer));
    assert_eq!(
        (&made["source"]["user"], &made["source"]["has_password"]),
        (&Value::Null, &json!(false))
    );
    panel.post("/api/v1/apps/x/webhook/register", json!({})).await.expect(200);
    // Back to an address: the connection is not used any more.
    let plain = json!({"source": {"kind": "git", "url": "https://example.com/x.git"}});
    let changed = panel.patch("/api/v1/apps/x", plain).await.expect(200).json();
    assert_eq!(
        (&changed["source"]["forge"], &changed["source"]["repository"]),
        (&Value::Null, &Value::Null)
    );
    panel.post("/api/v1/apps/x/webhook/register", json!({})).await.expect(409);
    let developer: Api = panel.member("developer", "write").await;
    developer.get("/api/v1/forges/gitea/repositories").await.expect(200);
    developer.post("/api/v1/forges/gitea/test", json!({})).await.expect(403);
    developer.delete("/api/v1/forges/gitea").await.expect(403);
}

//! Connections to forges: GitHub, GitLab, Bitbucket (Cloud and Data Center) and Gitea as their documentation describes them
//! (`peers/forges.mjs`, which refuses every request that their APIs do not have), from the token to the state beside a commit.

use crate::{deploy::text, identity_providers::Peer};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Api, GitFixture, GitServer, TestPanel, eventually_ok};

pub const TOKEN: &str = "forge-token-0123456789";
/// Those with OAuth.
const KINDS: [&str; 4] = ["github", "gitlab", "bitbucket", "gitea"];
pub const DATA_CENTER: &str = "bitbucket_data_center";
const SOON: Duration = Duration::from_secs(60);

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

/// What an app of this forge is called.
fn named(kind: &str) -> String {
    kind.replace('_', "-")
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
async fn a_github_app_by_its_manifest() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    let wish = json!({"name": "GitHub", "url": format!("{}/github", stand.peer.issuer)});
    let page = panel.post("/api/v1/forge-apps", wish.clone()).await.expect(200).json();
    let url = text(&page, "url");
    let state = url.split_once("state=").expect("a state").1.to_owned();
    let manifest: Value = serde_json::from_str(&text(&page, "manifest")).expect("JSON");
    assert!(text(&manifest, "redirect_url").ends_with("/forges/back"), "{manifest}");
    assert_eq!(
        (&manifest["public"], &manifest["hook_attributes"]["active"]),
        (&json!(false), &json!(false))
    );

    stand.peer.tell(panel, "/test/code", json!({"code": "good-code"})).await;
    let back = |state: &str, code: &str| json!({"state": state, "code": code});
    panel.post("/api/v1/forge-returns", back("made-up", "good-code")).await.expect(422);
    let admin = panel.member("admin", "admin").await;
    let stolen = admin.post("/api/v1/forge-returns", back(&state, "good-code")).await.expect(422);
    assert!(stolen.detail().contains("not begun here by you"), "{}", stolen.detail());
    let made = panel
        .post("/api/v1/forge-returns", back(&state, "good-code"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (text(&made, "account"), text(&made, "access")),
        ("panel-of-ada".into(), "app".into())
    );
    assert_eq!(
        made["install_url"],
        format!("{}/github/github-apps/panel-of-ada/installations/new", stand.peer.issuer)
    );
    panel.post("/api/v1/forge-returns", back(&state, "good-code")).await.expect(422);
    // GitHub gives its key out once, so nothing is begun that could not be kept.
    let again = panel.post("/api/v1/forge-apps", wish).await.expect(422);
    assert!(
        again.detail().contains("another connection is called `GitHub`"),
        "{}",
        again.detail()
    );

    let some = panel.get("/api/v1/forges/GitHub/repositories?search=blog").await.expect(200).json();
    assert_eq!(paths(&some), ["ada/blog"], "the suspended installation is passed over");
    for _ in 0..3 {
        panel.get("/api/v1/forges/GitHub/branches?repository=ada/blog").await.expect(200);
    }
    let seen = stand.seen().await;
    assert_eq!(seen["installationTokens"], 1, "it is kept until it ends");

    // One that was made by hand.
    let client = panel.anonymous();
    let request = client.request(Method::GET, &format!("{}/test/key", stand.peer.issuer));
    let key = text(&client.send(request).await.expect(200).json(), "key");
    let by_hand = |key: &str| json!({"name": "by hand", "app_id": 77, "private_key": key});
    let refused = panel
        .post("/api/v1/forges", stand.wish("github", by_hand("no key")))
        .await
        .expect(422);
    assert!(refused.detail().contains("BEGIN RSA PRIVATE KEY"), "{}", refused.detail());
    panel.post("/api/v1/forges", stand.wish("github", by_hand(&key))).await.expect(201);
    panel.post("/api/v1/forges", stand.wish("gitlab", by_hand(&key))).await.expect(422);
    stand.seen().await;
}

fn query(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
        .map(str::to_owned)
}

#[tokio::test]
async fn oauth_at_each_forge() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    for kind in KINDS {
        let made = stand
            .connect(kind, json!({"client_id": "client", "client_secret": "client-secret"}))
            .await;
        assert_eq!((&made["allowed"], &made["account"]), (&json!(false), &Value::Null));
        let early = panel.get(&format!("/api/v1/forges/{kind}/repositories")).await.expect(409);
        assert!(early.detail().contains("nobody has allowed"), "{}", early.detail());
        let away = panel
            .post(&format!("/api/v1/forges/{kind}/authorize"), json!({}))
            .await
            .expect(200)
            .json();
        let url = text(&away, "url");
        assert!(!url.contains("client-secret"), "{url}");
        let state = query(&url, "state").expect("a state");
        assert_eq!(query(&url, "code_challenge_method").is_some(), kind != "bitbucket");
        // It ends at once, so that it is renewed for the next request.
        stand.peer.tell(panel, "/test/code", json!({"code": "c0de", "lasts": 100})).await;
        let back = json!({"state": state, "code": "c0de"});
        let allowed = panel.post("/api/v1/forge-returns", back).await.expect(200).json();
        assert_eq!((&allowed["allowed"], text(&allowed, "account")), (&json!(true), "ada".into()));
        let at = format!("/api/v1/forges/{kind}/repositories?search=blog");
        let (one, two) = tokio::join!(panel.get(&at), panel.get(&at));
        assert_eq!((paths(&one.expect(200).json()).len(), paths(&two.expect(200).json()).len()), (1, 1));
    }
    let seen = stand.seen().await;
    // Each was given one, and renewed it once: the second lasts.
    assert_eq!(seen["accessTokens"], 8, "{}", seen["seen"]);
    let verified = seen["seen"].as_array().unwrap().iter().filter(|one| {
        let form = one["form"].as_str().unwrap_or_default();
        form.contains("code=c0de") && form.contains("code_verifier=")
    });
    assert_eq!(verified.count(), 3);
}

async fn reported(panel: &TestPanel, deployment: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually_ok("the forge is told", SOON, || async {
        let report = panel
            .get(&format!("/api/v1/deployments/{deployment}/forge-report"))
            .await
            .expect(200)
            .json();
        if wanted(&report["report"]) {
            Ok(report["report"].clone())
        } else {
            Err(report.to_string())
        }
    })
    .await
}

/// States beside commits, as a forge was told them: `(state, context, words)`.
fn told(seen: &Value, kind: &str, commit: &str) -> Vec<(String, String, String)> {
    let all = seen["statuses"].as_array().unwrap();
    let own = all.iter().filter(|one| one["forge"] == kind && one["commit"] == commit);
    let context = |body: &Value| {
        ["context", "name"]
            .iter()
            .find_map(|key| body[*key].as_str().map(str::to_owned))
            .unwrap()
    };
    own.map(|one| {
        (
            text(&one["body"], "state"),
            context(&one["body"]),
            text(&one["body"], "description"),
        )
    })
    .collect()
}

/// No engine answers here, so every deployment fails when it has its source: the commit is known by then.
#[tokio::test]
async fn an_app_from_each_forge() {
    let repository = GitFixture::of(&[("Dockerfile", "FROM scratch")]);
    let server = GitServer::open(repository.root()).await;
    let stand = Stand::new(Some(&server)).await;
    let panel = &stand.panel;
    for (kind, states, login) in [
        ("github", ["pending", "failure"], "x-access-token"),
        ("gitlab", ["running", "failed"], "oauth2"),
        ("bitbucket", ["INPROGRESS", "FAILED"], "x-token-auth"),
        ("gitea", ["pending", "failure"], "oauth2"),
        (DATA_CENTER, ["INPROGRESS", "FAILED"], "ada"),
    ] {
        let name = &named(kind);
        stand.connect(kind, json!({"token": TOKEN})).await;
        let inspected = json!({"source": {"kind": "git", "forge": kind, "repository": "ada/blog"}});
        let inside = panel.post("/api/v1/sources/inspect", inspected).await.expect(200).json();
        assert_eq!(inside["plan"]["preset"], "dockerfile", "{inside}");
        let made = panel.create_app(app(name, kind)).await;
        assert_eq!(made["source"]["repository"], "ada/blog");
        assert_eq!(made["source"]["url"], format!("{}/{}", stand.peer.issuer, cloned(kind, "ada/blog")));
        let deployment = text(&panel.newest(name).await, "id");
        panel.fails(&deployment).await;
        let report = reported(panel, &deployment, |report| report["told"] == "failure").await;
        assert!(report["problem"].is_null() && report["next_at"].is_null(), "{report}");

        let hook = panel
            .post(&format!("/api/v1/apps/{name}/webhook/register"), json!({}))
            .await
            .expect(200)
            .json();
        assert_eq!(hook["registered"], "ada/blog");
        // Again, and with another address: there is still one.
        panel
            .post(&format!("/api/v1/apps/{name}/webhook/register"), json!({}))
            .await
            .expect(200);
        let hook = panel
            .post(&format!("/api/v1/apps/{name}/webhook/rotate"), json!({}))
            .await
            .expect(200)
            .json();
        let seen = stand.seen().await;
        let there = seen["hooks"][format!("{kind} ada/blog")].as_array().unwrap();
        assert_eq!(there.len(), 1, "{there:?}");
        let body = there[0]["body"].to_string();
        assert!(
            body.contains(&text(&hook, "url")) && body.contains(&text(&hook, "secret")),
            "{body}"
        );

        let commit = text(&report, "commit");
        let told = told(&seen, kind, &commit);
        // What was queued and over within one turn is told once.
        assert_eq!(told.last().unwrap().0, states[1], "{told:?}");
        assert!(told.iter().all(|one| states.contains(&one.0.as_str())), "{told:?}");
        assert_eq!(told[0].1, format!("serverkit/production/{name}"));
        assert!(told.last().unwrap().2.contains(&format!("{name} #1 failed")), "{told:?}");
        let fetched = seen["seen"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["method"] == "git" && one["forge"] == kind);
        let logins: Vec<_> = fetched.filter_map(|one| one["auth"].as_str()).collect();
        assert!(
            !logins.is_empty() && logins.iter().all(|one| *one == format!("{login}:{TOKEN}")),
            "{logins:?}"
        );
        let used = panel.delete(&format!("/api/v1/forges/{kind}")).await.expect(409);
        assert!(
            used.detail().contains(&format!("apps are made from it: {name}")),
            "{}",
            used.detail()
        );
        panel.delete(&format!("/api/v1/apps/{name}/webhook")).await.expect(204);
        assert_eq!(stand.seen().await["hooks"][format!("{kind} ada/blog")], json!([]));
    }
    let seen = stand.seen().await;
    let records = seen["deployments"].as_array().unwrap();
    assert_eq!(records.len(), 3, "GitHub, GitLab and Data Center keep deployments: {records:?}");
    for (record, environment, state) in [
        (&records[0], "production/github", "failure"),
        (&records[1], "production/gitlab", "failed"),
    ] {
        assert_eq!(record["environment"], environment);
        assert_eq!(record["states"].as_array().unwrap().last().unwrap()["state"], state, "{record}");
    }
    let center = &records[2];
    assert_eq!(
        (&center["key"], &center["environment"]["key"], &center["environment"]["type"]),
        (
            &json!("serverkit/production/bitbucket-data-center"),
            &json!("production/bitbucket-data-center"),
            &json!("PRODUCTION")
        )
    );
    assert_eq!(
        (
            &center["deploymentSequenceNumber"],
            &center["states"].as_array().unwrap().last().unwrap()["state"]
        ),
        (&json!(1), &json!("FAILED")),
        "{center}"
    );
    let (commit, gitlab) = (repository.git(&["rev-parse", "HEAD"]), &records[1]);
    assert_eq!(
        (&gitlab["sha"], &gitlab["ref"], &gitlab["tag"]),
        (&json!(commit), &json!("main"), &json!(false))
    );
}

/// GitLab takes no state that a deployment has already, wants branches and tags told apart, and may have no deployments at all.
#[tokio::test]
async fn deployments_at_gitlab() {
    let repository = GitFixture::of(&[("Dockerfile", "FROM scratch")]);
    repository.git(&["tag", "v1"]);
    repository.git(&["push", "-q", "origin", "v1"]);
    let server = GitServer::open(repository.root()).await;
    let stand = Stand::new(Some(&server)).await;
    let panel = &stand.panel;
    stand.connect("gitlab", json!({"token": TOKEN})).await;
    let mut body = app("blog", "gitlab");
    body["deploy"] = false.into();
    panel.create_app(body).await;
    let deploy = async |reference: &str| {
        let asked = json!({"reference": reference});
        panel.post("/api/v1/apps/blog/deployments", asked).await.expect(202);
        let deployment = text(&panel.newest("blog").await, "id");
        panel.fails(&deployment).await;
        let report = reported(panel, &deployment, |report| report["told"] == "failure").await;
        assert!(report["problem"].is_null() && report["failures"] == 0, "{report}");
        deployment
    };
    let records = async || stand.seen().await["deployments"].as_array().unwrap().clone();
    let first = deploy("v1").await;
    let one = records().await;
    assert_eq!((&one[0]["ref"], &one[0]["tag"]), (&json!("v1"), &json!(true)), "{one:?}");
    // Told once more, it stays one.
    let again = format!("/api/v1/deployments/{first}/forge-report");
    panel.post(&again, json!({})).await.expect(200);
    reported(panel, &first, |report| report["next_at"].is_null()).await;
    assert_eq!(records().await.len(), 1);
    let commit = repository.git(&["rev-parse", "HEAD"]);
    deploy(&commit).await;
    let two = records().await;
    assert_eq!((&two[1]["ref"], &two[1]["tag"]), (&json!("main"), &json!(false)), "{two:?}");
    let none = json!({"status": 403, "body": {"message": "403 Forbidden"}, "times": 1000, "path": "/deployments"});
    stand.next(none).await;
    deploy("main").await;
    assert_eq!(records().await.len(), 2);
}

#[tokio::test]
async fn a_forge_that_cannot_be_told_holds_nothing_up() {
    let repository = GitFixture::of(&[("Dockerfile", "FROM scratch")]);
    let server = GitServer::open(repository.root()).await;
    let mut stand = Stand::new(Some(&server)).await;
    stand.connect("gitea", json!({"token": TOKEN})).await;
    let failing = json!({"status": 500, "body": {"message": "the disk is full"}, "times": 1000, "path": "/statuses/"});
    stand.next(failing).await;
    let panel = &stand.panel;
    panel.create_app(app("blog", "gitea")).await;
    let deployment = text(&panel.newest("blog").await, "id");
    panel.fails(&deployment).await;
    let report = reported(panel, &deployment, |report| report["failures"].as_u64() > Some(1)).await;
    assert!(report["told"].is_null() && report["next_at"].is_string(), "{report}");
    assert!(text(&report, "problem").contains("answers 500: the disk is full"), "{report}");
    let shown = panel.cli(&["forge", "report", &deployment]).await;
    let shown = shown.stdout;
    assert!(shown.contains("was not told of") && shown.contains("the disk is full"), "{shown}");
    // It is not forgotten over a restart, and told when somebody asks.
    stand.panel.stop().await;
    stand.panel.start_again().await;
    stand.next(json!({"times": 0})).await;
    let panel = &stand.panel;
    panel
        .post(&format!("/api/v1/deployments/{deployment}/forge-report"), json!({}))
        .await
        .expect(200);
    let report = reported(panel, &deployment, |report| report["told"] == "failure").await;
    assert_eq!((&report["failures"], &report["problem"]), (&json!(0), &Value::Null));
    let nothing = json!({"name": "image", "source": {"kind": "image", "reference": "nginx:1"}});
    panel.create_app(nothing).await;
    let other = text(&panel.newest("image").await, "id");
    let none = panel
        .get(&format!("/api/v1/deployments/{other}/forge-report"))
        .await
        .expect(200)
        .json();
    assert!(none["report"].is_null());
    panel
        .post(&format!("/api/v1/deployments/{other}/forge-report"), json!({}))
        .await
        .expect(409);
}

/// The source cannot be fetched, so no commit is known: the forge shows the failure beside what the branch has.
#[tokio::test]
async fn a_deployment_without_a_source_is_told_too() {
    let stand = Stand::new(None).await;
    let panel = &stand.panel;
    for (kind, state) in [
        ("github", "failure"),
        ("gitlab", "failed"),
        ("bitbucket", "FAILED"),
        ("gitea", "failure"),
        (DATA_CENTER, "FAILED"),
    ] {
        let name = &named(kind);
        let more = if kind == "bitbucket" {
            json!({"token": TOKEN, "user": "ada@example.com"})
        } else {
            json!({"token": TOKEN})
        };
        stand.connect(kind, more).await;
        panel.create_app(app(name, kind)).await;
        let deployment = panel.newest(name).await;
        panel.fails(&text(&deployment, "id")).await;
        let report = reported(panel, &text(&deployment, "id"), |report| report["told"] == "failure").await;
        let commit = "a".repeat(40);
        assert_eq!(report["commit"], json!(commit), "{report}");
        let told = told(&stand.seen().await, kind, &commit);
        assert_eq!(told.iter().map(|one| one.0.as_str()).collect::<Vec<_>>(), [state], "{told:?}");
    }
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

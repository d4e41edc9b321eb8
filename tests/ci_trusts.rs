//! Jobs of a CI that deploy an app without a secret: what their ID tokens must say, what they get, and the workflow that the panel offers.

use crate::{deploy::text, egress::OPEN, identity_providers::Peer};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::{Api, Options, Reply, TestAuthority, TestPanel, eventually_ok};
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(40);

/// A panel with the app `blog` from a folder, which trusts `ada/blog`.
struct Stand {
    panel: TestPanel,
    forge: Peer,
    audience: String,
    trust: String,
}

impl Stand {
    async fn new() -> Stand {
        Stand::with(Options::default()).await
    }
    async fn with(options: Options) -> Stand {
        let panel = options.start().await;
        let forge = Peer::start("jobs.mjs", &[]).await;
        let source = json!({"kind": "image", "reference": "nginx:1"});
        panel.create_app(json!({"name": "blog", "source": source, "deploy": false})).await;
        panel.create_app(json!({"name": "shop", "source": source, "deploy": false})).await;
        let issuer = forge.issuer.clone();
        let words = [
            "ci-trust", "add", "blog", "ada/blog", "--branch", "main", "--tag", "v*", "--issuer", &issuer,
        ];
        panel.cli(&words).await.expect(0);
        let found = panel.get("/api/v1/apps/blog/ci-trusts").await.expect(200).json();
        let stand = Stand {
            audience: text(&found, "audience"),
            trust: text(&found["items"][0], "id"),
            panel,
            forge,
        };
        stand.keys_are_read().await;
        stand
    }
    /// The keys of the newest trust's issuer are there.
    async fn keys_are_read(&self) {
        eventually_ok("the keys are read", SOON, || async {
            let found = self.panel.get("/api/v1/apps/blog/ci-trusts").await.expect(200).json();
            let newest = found["items"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
            if newest["keys_read_at"].is_string() {
                Ok(())
            } else {
                Err(newest.to_string())
            }
        })
        .await;
    }
    async fn job(&self, how: &str, changes: Value) -> String {
        let mut claims = json!({"aud": self.audience});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let made = self.forge.tell(&self.panel, "/job", json!({"how": how, "claims": claims})).await;
        text(&made, "value")
    }
    async fn exchange(&self, app: &str, id_token: &str) -> Reply {
        let body = json!({"app": app, "id_token": id_token});
        self.panel.anonymous().post("/api/v1/ci/token", body).await
    }
    async fn given(&self, how: &str) -> Api {
        let token = self.job(how, json!({})).await;
        let given = self.exchange("blog", &token).await.expect(201).json();
        self.panel.anonymous().with_token(text(&given, "token"))
    }
}

#[tokio::test]
async fn a_job_gets_a_token_for_its_app_alone() {
    let stand = Stand::new().await;
    for how in ["good", "es256"] {
        let job = stand.given(how).await;
        job.get("/api/v1/apps/blog").await.expect(200);
        // There is no engine: that it is asked for is what counts.
        job.post("/api/v1/apps/blog/deployments", json!({})).await.expect(202);
        job.get("/api/v1/apps/shop").await.expect(404);
        assert_eq!(job.list("/api/v1/apps").await.len(), 1);
        job.post("/api/v1/apps/shop/deployments", json!({})).await.expect(404);
        job.patch("/api/v1/apps/blog", json!({"port": 81})).await.expect(403);
        job.get("/api/v1/settings").await.expect(403);
        job.post("/api/v1/tokens", json!({"name": "more", "scope": "deploy"}))
            .await
            .expect(403);
        let wish = json!({"repository": "mallory/blog", "branches": ["main"]});
        job.post("/api/v1/apps/blog/ci-trusts", wish).await.expect(403);
    }
    let found = stand.panel.get("/api/v1/apps/blog/ci-trusts").await.expect(200).json();
    assert_eq!(found["items"][0]["repository_id"], "42");
    let tokens = stand.panel.list("/api/v1/tokens").await;
    let of_ci = tokens.iter().filter(|token| token["name"] == "CI of ada/blog").count();
    assert_eq!(of_ci, 2);
    let events = stand.panel.list("/api/v1/events/history").await;
    assert!(events.iter().any(|event| event["kind"] == "ci_token_given"), "{events:?}");

    // Trusted no more: what was given ends at once.
    let job = stand.given("good").await;
    job.get("/api/v1/apps/blog").await.expect(200);
    stand
        .panel
        .cli(&["ci-trust", "remove", "blog", &stand.trust, "--yes"])
        .await
        .expect(0);
    job.get("/api/v1/apps/blog").await.expect(401);
    let token = stand.job("good", json!({})).await;
    stand.exchange("blog", &token).await.expect(401);
}

#[tokio::test]
async fn forged_and_foreign_tokens_get_nothing() {
    let stand = Stand::new().await;
    for how in [
        "issuer",
        "no audience",
        "expired",
        "early",
        "for ever",
        "no id",
        "other key",
        "unknown key",
        "none",
        "hmac of the key",
        "hmac of the modulus",
        "changed",
    ] {
        let changes = if how == "no audience" { json!({"aud": null}) } else { json!({}) };
        let token = stand.job(how, changes).await;
        let reply = stand.exchange("blog", &token).await;
        assert_eq!(reply.status.as_u16(), 401, "{how}: {}", reply.text());
    }
    for (changes, words) in [
        (json!({"aud": "https://other.example.com"}), "audience"),
        (json!({"repository": "mallory/blog"}), "mallory/blog"),
        (json!({"ref": "refs/heads/dev"}), "refs/heads/dev"),
        (json!({"ref": "refs/pull/3/merge"}), "refs/pull/3/merge"),
        (json!({"ref": "refs/tags/main"}), "refs/tags/main"),
    ] {
        let token = stand.job("good", changes.clone()).await;
        let reply = stand.exchange("blog", &token).await;
        assert!(reply.text().contains(words), "{changes}: {}", reply.text());
        reply.expect(401);
    }
    let token = stand.job("good", json!({})).await;
    for (app, token) in [("shop", token.as_str()), ("nosuch", token.as_str()), ("blog", "x"), ("blog", "")] {
        stand.exchange(app, token).await.expect(401);
    }

    // Who made a token up learns neither which apps there are nor whom they trust; nor does a job of somebody else's repository.
    let forged = stand.job("other key", json!({})).await;
    let foreign = stand.job("good", json!({"repository": "mallory/thing"})).await;
    let nobodys = stand.job("other key", json!({"iss": "https://nobody.example.com"})).await;
    for token in [&forged, &foreign] {
        let mut words = Vec::new();
        for app in ["blog", "shop", "nosuch"] {
            words.push(
                stand
                    .exchange(app, token)
                    .await
                    .expect(401)
                    .detail()
                    .replace(&format!("app `{app}`"), "app `APP`"),
            );
        }
        words.dedup();
        assert_eq!(words.len(), 1, "{words:?}");
    }
    assert_eq!(
        stand.exchange("blog", &forged).await.expect(401).detail(),
        stand.exchange("blog", &nobodys).await.expect(401).detail()
    );

    // It is changed once, also when it comes twice at once.
    let (one, two) = tokio::join!(stand.exchange("blog", &token), stand.exchange("blog", &token));
    let mut answers = [one.status.as_u16(), two.status.as_u16()];
    answers.sort_unstable();
    assert!(answers[0] == 201 && [401, 409].contains(&answers[1]), "{answers:?}");
    stand.exchange("blog", &token).await.expect(401);
    let tag = stand.job("good", json!({"ref": "refs/tags/v1.0"})).await;
    stand.exchange("blog", &tag).await.expect(201);
    // Somebody made a repository of the same name anew.
    let token = stand.job("good", json!({"repository_id": "43"})).await;
    let reply = stand.exchange("blog", &token).await;
    assert!(reply.text().contains("made anew"), "{}", reply.text());
}

/// Who makes a token up cannot tell by the time of the refusal whether anybody trusts its issuer, nor have the panel ask whom they name.
#[tokio::test]
async fn the_time_of_a_refusal_tells_nothing_of_issuers() {
    const SLOW: Duration = Duration::from_secs(6);
    let panel = TestPanel::start().await;
    let (forge, nobodys) = (Peer::start("jobs.mjs", &[]).await, Peer::start("jobs.mjs", &[]).await);
    for peer in [&forge, &nobodys] {
        let slow = u64::try_from(SLOW.as_millis()).unwrap();
        peer.tell(&panel, "/slow", json!({"ms": slow})).await;
    }
    let source = json!({"kind": "image", "reference": "nginx:1"});
    panel.create_app(json!({"name": "blog", "source": source, "deploy": false})).await;
    let wish = json!({"repository": "ada/blog", "branches": ["main"], "issuer": forge.issuer});
    let begun = Instant::now();
    panel.post("/api/v1/apps/blog/ci-trusts", wish).await.expect(201);
    assert!(begun.elapsed() < SLOW, "who trusts an issuer does not wait for it");
    let audience = text(&panel.get("/api/v1/apps/blog/ci-trusts").await.expect(200).json(), "audience");
    let job = async |peer: &Peer, how: &str| {
        let made = peer.tell(&panel, "/job", json!({"how": how, "claims": {"aud": audience}})).await;
        text(&made, "value")
    };
    let timed = async |app: &str, token: &str| {
        let begun = Instant::now();
        let body = json!({"app": app, "id_token": token});
        let reply = panel.anonymous().post("/api/v1/ci/token", body).await.expect(401);
        (begun.elapsed(), reply.detail())
    };
    let good = job(&forge, "good").await;
    // First while its keys are not there, then, once they are, with a signature by another key, for which they are read again.
    for how in ["good", "other key"] {
        let (trusted, other) = (job(&forge, how).await, job(&nobodys, how).await);
        if how == "other key" {
            eventually_ok("the keys came, and the first token is taken", SOON, || async {
                let body = json!({"app": "blog", "id_token": good});
                let reply = panel.anonymous().post("/api/v1/ci/token", body).await;
                if reply.status.as_u16() == 201 { Ok(()) } else { Err(reply.text()) }
            })
            .await;
        }
        let (mut times, mut words) = ([Vec::new(), Vec::new(), Vec::new()], Vec::new());
        let rounds = if how == "good" { 3 } else { 12 };
        for _ in 0..rounds {
            let all = tokio::join!(timed("blog", &trusted), timed("blog", &other), timed("nosuch", &trusted));
            for (times, (time, said)) in times.iter_mut().zip([all.0, all.1, all.2]) {
                times.push(time);
                words.push(said.replace("nosuch", "blog"));
            }
        }
        words.dedup();
        assert_eq!(words.len(), 1, "{words:?}");
        let middle = times.each_mut().map(|times| {
            times.sort_unstable();
            times[times.len() / 2]
        });
        let (least, most) = (middle.iter().min().unwrap(), middle.iter().max().unwrap());
        assert!(*most < SLOW / 2 && *most - *least < Duration::from_millis(400), "{how}: {times:?}");
    }
    assert!(forge.tell(&panel, "/asked", json!({})).await["asked"].as_u64() >= Some(2));
    assert_eq!(nobodys.tell(&panel, "/asked", json!({})).await["asked"], 0, "nobody trusts it");
}

/// What goes wrong with an issuer is said to those who trust it, and to nobody else.
#[tokio::test]
async fn an_issuer_that_cannot_be_read_is_told() {
    let stand = Stand::new().await;
    let gone = "http://127.0.0.1:1";
    let wish = json!({"repository": "ada/blog", "branches": ["main"], "issuer": gone});
    stand.panel.post("/api/v1/apps/shop/ci-trusts", wish).await.expect(201);
    eventually_ok("its problem is told", SOON, || async {
        let found = stand.panel.get("/api/v1/apps/shop/ci-trusts").await.expect(200).json();
        let problem = found["items"][0]["problem"].as_str().unwrap_or_default().to_owned();
        if problem.contains(gone) { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
    let listed = stand.panel.cli(&["ci-trust", "list", "shop"]).await.expect(0).stdout;
    assert!(listed.contains("cannot be used"), "{listed}");
    let token = stand.job("good", json!({"iss": gone})).await;
    let refused = stand.exchange("shop", &token).await.expect(401).detail();
    assert!(!refused.contains(gone) && refused.contains("no app `shop` trusts"), "{refused}");
}

/// Another organization that has an app of the same name, and trusts the same repository, takes nothing over and stops nothing.
#[tokio::test]
async fn an_app_of_the_same_name_elsewhere_gets_nothing() {
    let stand = Stand::with(Options::default().config(OPEN)).await;
    let panel = &stand.panel;
    let there = panel.organization("acme").await;
    let source = json!({"kind": "image", "reference": "nginx:1"});
    let made = there
        .post("/api/v1/apps", json!({"name": "blog", "source": source, "deploy": false}))
        .await
        .expect(201)
        .json();
    let trust = |repository: &str| json!({"repository": repository, "branches": ["main"], "issuer": stand.forge.issuer});
    // That it trusts a repository of its own changes nothing for others.
    let added = there
        .post("/api/v1/apps/blog/ci-trusts", trust("acme/blog"))
        .await
        .expect(201)
        .json();
    assert!(
        added["keys_read_at"].is_null(),
        "that others trust the issuer too does not show: {added}"
    );
    let token = stand.job("good", json!({})).await;
    let given = stand.exchange("blog", &token).await.expect(201).json();
    assert_ne!(given["app"], made["id"]);
    // Of two that would fit, none is chosen by name; by id each is.
    there.post("/api/v1/apps/blog/ci-trusts", trust("ada/blog")).await.expect(201);
    eventually_ok("its keys are read", SOON, || async {
        let found = there.get("/api/v1/apps/blog/ci-trusts").await.expect(200).json();
        if found["items"][1]["keys_read_at"].is_string() {
            Ok(())
        } else {
            Err(found.to_string())
        }
    })
    .await;
    let token = stand.job("good", json!({})).await;
    let refused = stand.exchange("blog", &token).await.expect(401).detail();
    assert!(refused.contains("by its id"), "{refused}");
    let given = stand.exchange(given["app"].as_str().unwrap(), &token).await.expect(201).json();
    assert_ne!(given["app"], made["id"]);
}

#[tokio::test]
async fn a_replay_is_known_after_a_restart_and_new_keys_are_found() {
    let mut stand = Stand::new().await;
    let token = stand.job("good", json!({})).await;
    stand.exchange("blog", &token).await.expect(201);
    stand.panel.stop().await;
    stand.panel.start_again().await;
    stand.keys_are_read().await;
    let reply = stand.exchange("blog", &token).await;
    assert!(reply.text().contains("changed already"), "{}", reply.text());
    let old = stand.job("good", json!({})).await;
    stand.forge.tell(&stand.panel, "/rotate", json!({})).await;
    eventually_ok("the new key is known", SOON, || async {
        let token = stand.job("good", json!({})).await;
        let reply = stand.exchange("blog", &token).await;
        if reply.status.as_u16() == 201 { Ok(()) } else { Err(reply.text()) }
    })
    .await;
    stand.exchange("blog", &old).await.expect(401);
}

/// An own GitLab or GitHub Enterprise Server has its certificate from an authority that nobody else knows.
#[tokio::test]
async fn an_issuer_with_an_authority_of_its_own() {
    let panel = TestPanel::start().await;
    let authority = TestAuthority::new();
    let (certificate, key) = authority.issue(&["127.0.0.1"], 30);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (file("certificate.pem", &certificate), file("key.pem", &key));
    let ca = file("ca.pem", &authority.pem());
    let forge = Peer::start("jobs.mjs", &[&certificate, &key]).await;
    let source = json!({"kind": "image", "reference": "nginx:1"});
    for name in ["blog", "shop"] {
        panel.create_app(json!({"name": name, "source": source, "deploy": false})).await;
    }
    let words = ["ci-trust", "add", "blog", "ada/blog", "--branch", "main", "--issuer", &forge.issuer];
    panel.cli(&words).await.expect(0);
    let stand = Stand {
        audience: text(&panel.get("/api/v1/apps/blog/ci-trusts").await.expect(200).json(), "audience"),
        trust: String::new(),
        panel,
        forge,
    };
    let token = stand.job("good", json!({})).await;
    let unknown = stand.exchange("blog", &token).await;
    assert_ne!(unknown.status.as_u16(), 201, "{}", unknown.text());
    let words = [
        "ci-trust",
        "add",
        "blog",
        "ada/blog",
        "--branch",
        "main",
        "--issuer",
        &stand.forge.issuer,
        "--ca-file",
        &ca,
    ];
    stand.panel.cli(&words).await.expect(0);
    let found = stand.panel.get("/api/v1/apps/blog/ci-trusts").await.expect(200).json();
    assert_eq!(found["items"][1]["authority"].as_str().map(str::trim), Some(authority.pem().trim()));
    stand.keys_are_read().await;
    stand.exchange("blog", &token).await.expect(201);
    // What one app believes, another does not.
    let wish = json!({"repository": "ada/blog", "branches": ["main"], "issuer": stand.forge.issuer});
    stand.panel.post("/api/v1/apps/shop/ci-trusts", wish).await.expect(201);
    let token = stand.job("good", json!({})).await;
    let refused = stand.exchange("shop", &token).await;
    assert_ne!(refused.status.as_u16(), 201, "{}", refused.text());
}

#[tokio::test]
async fn what_no_trust_can_be() {
    let stand = Stand::new().await;
    for wrong in [
        json!({"repository": "blog", "branches": ["main"]}),
        json!({"repository": "ada/blog"}),
        json!({"repository": "ada/blog", "branches": ["[z-a"]}),
        json!({"repository": "ada/blog", "branches": ["main"], "issuer": "http://gitlab.example.com"}),
        json!({"repository": "ada/blog", "branches": ["main"], "issuer": "https://gitlab.example.com", "authority": "no certificate"}),
    ] {
        stand.panel.post("/api/v1/apps/blog/ci-trusts", wrong).await.expect(422);
    }
    let listed = stand.panel.cli(&["ci-trust", "list", "blog"]).await.expect(0).stdout;
    assert!(listed.contains("ada/blog") && listed.contains("tag v*"), "{listed}");
}

/// The script of the workflow, as a runner runs it.
#[tokio::test]
async fn the_workflow_that_is_offered_says_how_it_ended() {
    let stand = Stand::new().await;
    let workflow = stand.panel.cli(&["ci-trust", "workflow", "blog"]).await.expect(0).stdout;
    let (head, script) = workflow.split_once("        run: |\n").expect("it has a script");
    assert!(head.contains("id-token: write"), "{head}");
    let script: String = script
        .lines()
        .map(|line| format!("{}\n", line.trim_start_matches("          ")))
        .collect();
    let app = stand.panel.get("/api/v1/apps/blog").await.expect(200).json();
    assert!(head.contains(&text(&app, "id")), "{head}");
    let mut runner = Command::new("bash");
    // The panel of a test has a certificate of its own, and no name.
    let audience = format!("audience={}", stand.audience);
    let script = script.replace("curl -", "curl -k -").replace("audience=$PANEL", &audience);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("script"), script).unwrap();
    let ran = runner
        .arg(folder.path().join("script"))
        .env("PANEL", stand.panel.url())
        .env("APP", text(&app, "id"))
        .env("GITHUB_SHA", "0".repeat(40))
        .env("GITHUB_RUN_ID", "7")
        .env("GITHUB_RUN_ATTEMPT", "1")
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of the runner")
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/runner?x=1", stand.forge.issuer))
        .output();
    let ran = tokio::time::timeout(Duration::from_secs(120), ran).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    // Without an engine the deployment fails: the job must fail with it, and show the log.
    assert!(!ran.status.success() && said.contains("The deployment is failed."), "{said}");
}

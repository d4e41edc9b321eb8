//! The first account, sessions, tokens, throttling.

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::{OWNER, Options, TestPanel};

const PASSWORD: &str = "eleven green kettles boil";

fn first_owner(token: &str, email: &str) -> Value {
    json!({"token": token, "email": email, "name": "Ada", "password": PASSWORD})
}

#[tokio::test]
async fn the_setup_link_works_once() {
    let mut panel = Options::default().unclaimed().start().await;
    let browser = panel.browser();
    let shown = browser.get("/api/v1/setup").await.expect(200).json();
    assert_eq!(shown["claimed"], false);
    for path in ["/api/v1/apps", "/api/v1/session", "/api/v1/users"] {
        browser.get(path).await.expect(401).code("unauthenticated");
    }
    for wrong in ["", "wrong", "' or 1=1", &"a".repeat(5000)] {
        let reply = browser.post("/api/v1/setup", first_owner(wrong, "thief@example.test")).await;
        assert!(
            matches!(reply.status.as_u16(), 401 | 403 | 422 | 429),
            "{wrong:?} answered {}",
            reply.status
        );
    }
    // A panel that starts again before it is claimed prints a link that works.
    panel.stop().await;
    panel.start_again().await;
    let word = testkit::eventually("a second link is printed", Duration::from_secs(20), || async {
        let printed = panel.printed();
        (printed.matches("setup").count() >= 2).then(|| printed.rsplit("setup").next().map(str::to_owned))?
    })
    .await;
    let word = word
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .find(|part| part.len() > 20)
        .expect("the link holds a long word")
        .to_owned();
    for weak in ["", "short", "password", "1234567890", "ada@example.test"] {
        let body = json!({"token": word, "email": "ada@example.test", "name": "Ada", "password": weak});
        browser.post("/api/v1/setup", body).await.expect(422).code("invalid");
    }
    let session = browser
        .post("/api/v1/setup", first_owner(&word, "Ada@Example.test"))
        .await
        .expect(201)
        .json();
    assert_eq!(session["user"]["email"], "ada@example.test");
    assert_eq!(session["user"]["role"], "owner");
    browser.get("/api/v1/apps").await.expect(200);
    assert_eq!(browser.get("/api/v1/setup").await.expect(200).json()["claimed"], true);
    let again = panel
        .browser()
        .post("/api/v1/setup", first_owner(&word, "thief@example.test"))
        .await;
    assert!(
        matches!(again.status.as_u16(), 401 | 403 | 409),
        "the link worked twice: {}",
        again.text()
    );
    panel
        .browser()
        .post("/api/v1/session", json!({"email": "thief@example.test", "password": PASSWORD}))
        .await
        .expect(401);
    // After a restart nothing is printed any more.
    panel.stop().await;
    let links = panel.printed().matches("/setup").count();
    panel.start_again().await;
    assert_eq!(panel.printed().matches("/setup").count(), links);
}

/// Many browsers with the right link at the same moment: one wins.
#[tokio::test]
async fn the_setup_link_works_once_under_a_race() {
    let panel = Options::default().unclaimed().start().await;
    let word = panel.setup_word().await;
    let tries = (0..8).map(|number| {
        let (browser, body) = (panel.browser(), first_owner(&word, &format!("racer{number}@example.test")));
        tokio::spawn(async move { browser.post("/api/v1/setup", body).await.status.as_u16() })
    });
    let mut won = 0;
    for one in tries.collect::<Vec<_>>() {
        won += usize::from(one.await.unwrap() == 201);
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn cookies_are_for_browsers() {
    let panel = TestPanel::start().await;
    let browser = panel.browser();
    let reply = browser
        .post("/api/v1/session", json!({"email": OWNER.0, "password": OWNER.1}))
        .await
        .expect(201);
    let lines: Vec<String> = reply
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|line| line.to_str().unwrap().to_owned())
        .collect();
    for name in ["__Host-serverkit_session", "serverkit_refresh"] {
        let line = lines
            .iter()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name} in {lines:?}"));
        for part in ["HttpOnly", "SameSite=Strict", "Secure"] {
            assert!(line.contains(part), "{line} lacks {part}");
        }
    }
    // As the prefix `__Host-` wants it; else browsers do not take it.
    let session = lines.iter().find(|line| line.starts_with("__Host-")).unwrap();
    assert!(session.contains("Path=/;") || session.ends_with("Path=/"), "{session}");
    assert!(!session.to_lowercase().contains("domain="), "{session}");
    assert!(!reply.text().contains(&browser.cookie("serverkit_refresh").unwrap()));
    browser.get("/api/v1/session").await.expect(200);
    // Another site's form has the cookie but not the word.
    browser.set_csrf("");
    browser
        .post("/api/v1/projects", json!({"name": "shop"}))
        .await
        .expect(403)
        .code("forbidden");
    browser.set_csrf("wrong");
    browser
        .post("/api/v1/projects", json!({"name": "shop"}))
        .await
        .expect(403)
        .code("forbidden");
    browser.get("/api/v1/session").await.expect(200);
    browser.post("/api/v1/projects", json!({"name": "shop"})).await.expect(201);
    // A session that was lost comes back by the refresh cookie, once each time.
    let refresh = browser.cookie("serverkit_refresh").unwrap();
    browser.set_cookie("__Host-serverkit_session", None);
    browser.get("/api/v1/apps").await.expect(401).code("unauthenticated");
    browser.post("/api/v1/session/refresh", json!({})).await.expect(200);
    browser.get("/api/v1/apps").await.expect(200);
    assert_ne!(browser.cookie("serverkit_refresh").unwrap(), refresh, "the refresh secret changes");
    // Signing out ends it on the panel, not only in the browser.
    let (session, refresh) = (
        browser.cookie("__Host-serverkit_session").unwrap(),
        browser.cookie("serverkit_refresh").unwrap(),
    );
    browser.delete("/api/v1/session").await.expect(204);
    browser.set_cookie("__Host-serverkit_session", Some(&session));
    browser.set_cookie("serverkit_refresh", Some(&refresh));
    browser.get("/api/v1/apps").await.expect(401);
    browser.post("/api/v1/session/refresh", json!({})).await.expect(401);
}

#[tokio::test]
async fn forged_sessions() {
    let panel = TestPanel::start().await;
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let good = browser.cookie("__Host-serverkit_session").unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    assert_eq!(parts.len(), 3, "a JWT has three parts");
    // {"alg":"none","typ":"JWT"}
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1]);
    let swapped = format!("{}.{}.{}", parts[0], parts[1], parts[2].chars().rev().collect::<String>());
    let foreign = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlIjoib3duZXIifQ.c2lnbmF0dXJl";
    for forged in [
        none.as_str(),
        &swapped,
        foreign,
        "",
        "a.b.c",
        &format!("{}.{}.", parts[0], parts[1]),
    ] {
        browser.set_cookie("__Host-serverkit_session", Some(forged));
        browser.get("/api/v1/apps").await.expect(401).code("unauthenticated");
    }
    for token in ["", "sk_", "sk_wrong", &"x".repeat(10_000), "serverkit"] {
        panel
            .with_token(token)
            .get("/api/v1/apps")
            .await
            .expect(401)
            .code("unauthenticated");
    }
}

#[tokio::test]
async fn wrong_passwords_are_slowed_down() {
    let panel = TestPanel::start().await;
    let guess = async |email: &str| {
        let body = json!({"email": email, "password": "wrong wrong wrong"});
        panel.browser().post("/api/v1/session", body).await
    };
    let known = guess(OWNER.0).await.expect(401);
    let unknown = guess("nobody@example.test").await.expect(401);
    assert_eq!(known.detail(), unknown.detail(), "the answer must not tell who has an account");
    let mut throttled = None;
    for _ in 0..30 {
        let reply = guess(OWNER.0).await;
        if reply.status == 429 {
            throttled = Some(reply.code("throttled"));
            break;
        }
    }
    let reply = throttled.expect("30 wrong passwords are throttled");
    let seconds: u64 = reply.header("retry-after").expect("it says when").parse().unwrap();
    assert!((1..=3600).contains(&seconds));
    // Even the right one must wait: else guessing goes on beside it.
    panel
        .browser()
        .post("/api/v1/session", json!({"email": OWNER.0, "password": OWNER.1}))
        .await
        .expect(429);
    // Those who are in stay in.
    panel.get("/api/v1/apps").await.expect(200);
    let events = panel.list("/api/v1/events/history").await;
    assert!(
        events.iter().any(|event| event["kind"] == "login_failed"),
        "failed sign-ins are in the history"
    );
}

/// Whoever guesses from many addresses slows strangers down, and not those whose browser is known.
/// A wrong password takes the same time and gets the same words for whoever has an account, for who is disabled, for an account of scripts,
/// which has none, and for nobody.
#[tokio::test]
async fn who_has_an_account_is_not_told_by_words_or_time() {
    let panel = TestPanel::start().await;
    let person = |email: &str| json!({"email": email, "name": "Somebody", "role": "viewer", "password": PASSWORD});
    panel.post("/api/v1/users", person("there@example.test")).await.expect(201);
    let gone = panel.post("/api/v1/users", person("gone@example.test")).await.expect(201).json();
    let path = format!("/api/v1/users/{}", gone["id"].as_str().unwrap());
    panel.patch(&path, json!({"disabled": true})).await.expect(200);
    let script = json!({"name": "ci", "role": "viewer"});
    let script = panel.post("/api/v1/service-accounts", script).await.expect(201).json();
    let kinds = [
        "there@example.test",
        "gone@example.test",
        script["email"].as_str().unwrap(),
        "nobody@example.test",
    ];
    // Few enough that none is slowed down.
    let mut times = [const { Vec::new() }; 4];
    let mut words = Vec::new();
    for _ in 0..5 {
        for (times, email) in times.iter_mut().zip(kinds) {
            let wrong = json!({"email": email, "password": "nine loud herons sail"});
            let begun = Instant::now();
            let reply = panel.anonymous().post("/api/v1/session", wrong).await.expect(401);
            times.push(begun.elapsed());
            words.push(reply.detail());
        }
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
    let least = times.map(|times| times.into_iter().min().unwrap().as_secs_f64());
    for (kind, time) in kinds.iter().zip(least) {
        assert!((0.5..2.0).contains(&(time / least[0])), "{kind}: {least:?}");
    }
}

#[tokio::test]
async fn guessing_from_everywhere_locks_no_known_browser_out() {
    let panel = TestPanel::start().await;
    let known = panel.signed_in(OWNER.0, OWNER.1).await;
    let right = json!({"email": OWNER.0, "password": OWNER.1});
    let wrong = json!({"email": OWNER.0, "password": "wrong wrong wrong"});
    // Five are free for each address: one that is refused at once is held by what all of them did.
    let mut held = false;
    for last in 10..40 {
        let stranger = panel.anonymous().from_address([127, 0, 0, last].into());
        let guesses = (0..5).map(|_| stranger.post("/api/v1/session", wrong.clone()));
        let answers = futures::future::join_all(guesses).await;
        held = answers.iter().any(|reply| reply.status == 429);
        if held {
            break;
        }
    }
    assert!(held, "guessing from many addresses is slowed down");
    known.post("/api/v1/session", right).await.expect(201);
    // It is held by its own count alone, and the cookie is good for its own account only.
    let mut refused = false;
    for _ in 0..12 {
        refused |= known.post("/api/v1/session", wrong.clone()).await.status == 429;
    }
    assert!(refused, "a known browser is no way to guess on and on");
}

#[tokio::test]
async fn sessions_end_with_their_reason_to_be() {
    let panel = TestPanel::start().await;
    let body = json!({"email": "ada@example.test", "name": "Ada", "role": "developer", "password": PASSWORD});
    let ada = panel.post("/api/v1/users", body).await.expect(201).json();
    let path = format!("/api/v1/users/{}", ada["id"].as_str().unwrap());
    let browser = panel.signed_in("ada@example.test", PASSWORD).await;
    let made = browser
        .post("/api/v1/tokens", json!({"name": "ci", "scope": "write", "expires_in_days": 1}))
        .await
        .expect(201)
        .json();
    let script = panel.with_token(made["secret"].as_str().unwrap());
    script.get("/api/v1/apps").await.expect(200);
    // A lower role counts at once, for tokens too.
    panel.patch(&path, json!({"role": "viewer"})).await.expect(200);
    script.post("/api/v1/projects", json!({"name": "x"})).await.expect(403);
    browser.post("/api/v1/projects", json!({"name": "x"})).await.expect(403);
    // Being disabled ends both.
    panel.patch(&path, json!({"disabled": true})).await.expect(200);
    script.get("/api/v1/apps").await.expect(401);
    browser.get("/api/v1/apps").await.expect(401);
    browser.post("/api/v1/session/refresh", json!({})).await.expect(401);
    panel.patch(&path, json!({"disabled": false})).await.expect(200);
    // A new password ends the sessions that the old one opened.
    let browser = panel.signed_in("ada@example.test", PASSWORD).await;
    panel
        .patch(&path, json!({"password": "twelve brown kettles boil"}))
        .await
        .expect(200);
    browser.get("/api/v1/apps").await.expect(401);
    panel.delete(&path).await.expect(204);
    script.get("/api/v1/apps").await.expect(401);
}

/// A browser ends all others of its person, and nobody else's.
#[tokio::test]
async fn the_other_sessions_end_together() {
    let panel = TestPanel::start().await;
    let body = json!({"email": "ada@example.test", "name": "Ada", "role": "developer", "password": PASSWORD});
    panel.post("/api/v1/users", body).await.expect(201);
    let adas = panel.signed_in("ada@example.test", PASSWORD).await;
    let (here, there) = (panel.signed_in(OWNER.0, OWNER.1).await, panel.signed_in(OWNER.0, OWNER.1).await);
    here.set_csrf("wrong");
    here.delete("/api/v1/sessions").await.expect(403);
    let csrf = here.get("/api/v1/session").await.expect(200).json()["csrf"]
        .as_str()
        .unwrap()
        .to_owned();
    here.set_csrf(&csrf);
    here.delete("/api/v1/sessions").await.expect(204);
    here.get("/api/v1/apps").await.expect(200);
    adas.get("/api/v1/apps").await.expect(200);
    there.get("/api/v1/apps").await.expect(401);
    there.post("/api/v1/session/refresh", json!({})).await.expect(401);
    assert_eq!(here.list("/api/v1/sessions").await.len(), 1);
    let shown = panel.cli(&["security", "set", "--session-days", "1"]).await.expect(0).stdout;
    assert!(shown.contains("1 days after signing in"), "{shown}");
    panel.cli(&["security", "set", "--session-days", "0"]).await.expect(1);
}

/// Each hash takes 19 MiB: fifty at once must not take a small machine's memory. They come from as many addresses, so that the brake
/// on guessing holds none of them back and all are hashed.
#[tokio::test]
async fn fifty_sign_ins_at_once_take_the_memory_of_two() {
    let panel = TestPanel::start().await;
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", panel.process_id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let browsers: Vec<_> = (101..=150)
        .map(|last| panel.browser().from_address([127, 0, 0, last].into()))
        .collect();
    // With the connections open already, the sign-ins arrive together.
    let opened = browsers.iter().map(|browser| browser.get("/api/v1/setup"));
    for reply in futures::future::join_all(opened).await {
        reply.expect(200);
    }
    panel.signed_in(OWNER.0, OWNER.1).await;
    let before = peak();
    let body = json!({"email": OWNER.0, "password": OWNER.1});
    let tries = browsers.iter().map(|browser| browser.post("/api/v1/session", body.clone()));
    for reply in futures::future::join_all(tries).await {
        reply.expect(201);
    }
    let taken = peak() - before;
    assert!(taken < 150, "{taken} MiB more at the peak");
}

#[tokio::test]
async fn passwords_are_judged_by_how_they_are_guessed() {
    let panel = TestPanel::start().await;
    let nobody = panel.anonymous();
    let ask = async |password: &str, known: Value| {
        let body = json!({"password": password, "known": known});
        nobody.post("/api/v1/password/estimate", body).await.expect(200).json()
    };
    let weak = ask("P@ssword2024", json!([])).await;
    assert_eq!(weak["accepted"], false);
    assert!(weak["why"].as_str().unwrap().contains("too easy to guess"), "{weak}");
    assert_eq!(ask("quillfeatherpemberton", json!([])).await["accepted"], true);
    assert_eq!(
        ask("quillfeatherpemberton", json!(["pemberton.quillfeather@example.test"])).await["accepted"],
        false
    );
    assert_eq!(ask(PASSWORD, json!([])).await["score"], 4);
    nobody
        .post(
            "/api/v1/password/estimate",
            json!({"password": "x", "known": ["a", "b", "c", "d", "e"]}),
        )
        .await
        .expect(422);
    let body = json!({"email": "ada@example.test", "name": "Ada", "role": "developer", "password": "qwertyuiop1"});
    let refused = panel.post("/api/v1/users", body).await.expect(422).text();
    assert!(refused.contains("too easy to guess") && !refused.contains("qwerty"), "{refused}");

    let here = panel.signed_in(OWNER.0, OWNER.1).await;
    let said = panel.cli(&["user", "reset-password", OWNER.0, "--yes"]).await.expect(0).stdout;
    let new = said.lines().next().unwrap();
    here.get("/api/v1/apps").await.expect(401);
    let old = json!({"email": OWNER.0, "password": OWNER.1});
    panel.browser().post("/api/v1/session", old).await.expect(401);
    panel.signed_in(OWNER.0, new).await;
    let entries = panel.list("/api/v1/audit?what=user.changed").await;
    assert_eq!(entries[0]["by_kind"], "machine");
    assert!(!entries[0].to_string().contains(new));
}

#[tokio::test]
async fn there_is_always_an_owner() {
    let panel = TestPanel::start().await;
    let owner = panel.list("/api/v1/users").await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/users/{owner}");
    for change in [json!({"role": "admin"}), json!({"disabled": true})] {
        panel.patch(&path, change).await.expect(409).code("busy");
    }
    panel.delete(&path).await.expect(409).code("busy");
    // An admin makes no owners and touches none.
    let admin = panel.member("admin", "admin").await;
    admin.patch(&path, json!({"role": "viewer"})).await.expect(403);
    admin.patch(&path, json!({"password": PASSWORD})).await.expect(403);
    admin.delete(&path).await.expect(403);
    let body = json!({"email": "new@example.test", "name": "N", "role": "owner", "password": PASSWORD});
    admin.post("/api/v1/users", body).await.expect(403);
}

/// A token reaches no further than the one that made it, nor than its user.
#[tokio::test]
async fn tokens_do_not_grow() {
    let panel = TestPanel::start().await;
    let reader = panel.member("admin", "read").await;
    for scope in ["deploy", "write", "admin"] {
        let body = json!({"name": "more", "scope": scope, "expires_in_days": 1});
        reader.post("/api/v1/tokens", body).await.expect(403).code("forbidden");
    }
    let viewer = panel.member("viewer", "admin").await;
    viewer.post("/api/v1/projects", json!({"name": "x"})).await.expect(403);
    // Others' tokens are not mine to end or see.
    let all = panel.list("/api/v1/tokens").await;
    assert!(viewer.list("/api/v1/tokens").await.len() < all.len());
    let owners = all.iter().find(|token| token["user"].to_string().contains(OWNER.0)).unwrap();
    let path = format!("/api/v1/tokens/{}", owners["id"].as_str().unwrap());
    let reply = viewer.delete(&path).await;
    assert!(matches!(reply.status.as_u16(), 403 | 404), "{}", reply.text());
    assert!(all.iter().all(|token| token["secret"].is_null()), "a list shows no token: {all:?}");
    for days in [json!(0), json!(-1), json!(1_000_000)] {
        let body = json!({"name": "x", "scope": "read", "expires_in_days": days});
        let reply = panel.post("/api/v1/tokens", body).await;
        assert!(matches!(reply.status.as_u16(), 400 | 422), "{days} days: {}", reply.text());
    }
}

/// A clock that is far off: old tokens are refused, and nothing falls over.
#[tokio::test]
async fn a_wrong_clock() {
    let mut panel = TestPanel::start().await;
    panel
        .post(
            "/api/v1/apps",
            json!({"name": "blog", "source": {"kind": "image", "reference": "nginx"}, "deploy": false, "domains": ["blog.test"]}),
        )
        .await
        .expect(201);
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    for shift in ["+3d", "-20y", "+30y"] {
        panel.stop().await;
        panel.start_again_with(|options| options.clock(Some(shift))).await;
        if shift.starts_with('+') {
            panel.get("/api/v1/apps").await.expect(401).code("unauthenticated");
            browser.get("/api/v1/apps").await.expect(401);
        }
        let somebody = panel.signed_in(OWNER.0, OWNER.1).await;
        assert_eq!(somebody.list("/api/v1/apps").await.len(), 1, "with the clock at {shift}");
        somebody
            .post("/api/v1/projects", json!({"name": format!("p{}", &shift[1..])}))
            .await
            .expect(201);
        panel.visit("blog.test", "/").await.expect(503);
    }
    panel.stop().await;
    panel.start_again_with(|options| options.clock(None)).await;
    assert_eq!(panel.list("/api/v1/projects").await.len(), 4);
}

/// What an app answers must not be taken for the panel, and the panel's pages must not be framed.
#[tokio::test]
async fn headers_of_the_panel() {
    let panel = TestPanel::start().await;
    let page = panel.anonymous().get("/").await.expect(200);
    let policy = page.header("content-security-policy").expect("a page has a policy");
    assert!(
        !policy.contains("unsafe-inline") || !policy.contains("script-src 'self' 'unsafe-inline'"),
        "{policy}"
    );
    assert!(
        policy.contains("frame-ancestors 'none'") || page.header("x-frame-options").is_some(),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"));
    let answer = panel.get("/api/v1/apps").await.expect(200);
    assert!(answer.header("cache-control").is_some_and(|value| value.contains("no-store")));
    assert!(answer.header("access-control-allow-origin").is_none());
}

//! What the engine keeps of builds: shown, cut to what may stay, and kept within the budget of the configuration.

use crate::deploy::app_of;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use testkit::{GitFixture, Options, TestPanel};

#[tokio::test]
async fn docker_alone_the_build_cache_is_cut_to_what_may_stay() {
    let panel = Options::docker().config("[builds]\ncache_gib = 9\n").start().await;
    let repository = GitFixture::sample("hello");
    repository.commit(&[("only-here", &"unlike any other\n".repeat(4096))], "something new");
    panel.live_app(app_of("hello", &repository)).await;

    let shown = panel.get("/api/v1/build-cache").await.expect(200).json();
    assert_eq!(shown["limit_bytes"], 9_u64 << 30, "{shown}");
    let bytes = shown["bytes"].as_u64().unwrap();
    assert!(bytes > 65_536 && shown["records"].as_u64().unwrap() > 0, "{shown}");
    let printed = panel.cli(&["build-cache", "show"]).await.expect(0).stdout;
    assert!(printed.contains("9.0 GiB"), "{printed}");

    // What an image has too counts for the engine and not for what is shown: it may have to go before anything that takes room.
    let (mut freed, mut left, mut keep) = (0, bytes, bytes - 1);
    while left >= bytes && keep > bytes / 4 {
        let trim = json!({"keep_bytes": keep});
        let trimmed = panel.post("/api/v1/build-cache/trim", trim).await.expect(200).json();
        freed += trimmed["bytes"].as_u64().unwrap();
        left = panel.get("/api/v1/build-cache").await.expect(200).json()["bytes"].as_u64().unwrap();
        keep -= bytes / 10;
    }
    assert!(freed > 0 && left < bytes, "{left} of {bytes} are left, {freed} came free");

    // What runs is not touched, and what was built last is still there.
    panel.visit("hello.test", "/").await.expect(200);
    let told = panel.get("/api/v1/events/history").await.expect(200).text();
    assert!(told.contains("build_cache_trimmed"), "{told}");
    assert!(
        panel
            .cli(&["build-cache", "trim", "--keep", "lots"])
            .await
            .expect(2)
            .stderr
            .contains("--keep")
    );
}

#[tokio::test]
async fn docker_an_app_has_a_budget_of_its_own() {
    let panel = TestPanel::docker().await;
    let dockerfile_of = |name: &str, letter: char| {
        let repository = GitFixture::of(&[("app.py", "print(1)"), ("words", &letter.to_string().repeat(300_000))]);
        let mut app = app_of(name, &repository);
        // A preset's Dockerfile, whose steps say whose they are; what it installs is different for each app.
        let install = format!("head -c 2000000 /dev/urandom >/root/.cache/pip/{letter} && head -c 1000000 /dev/urandom >/srv/{letter}");
        app["source"]["build"] =
            json!({"preset": "python", "version": "3.11", "install": install, "start": "python3 -m http.server $PORT"});
        (repository, app)
    };
    let (repository, first) = dockerfile_of("first", 'a');
    let (_other, second) = dockerfile_of("second", 'b');
    let id = panel.live_app(first).await["id"].as_str().unwrap().to_owned();
    panel.live_app(second).await;
    let of = async |app: &str| panel.get(&format!("/api/v1/apps/{app}/build-cache")).await.expect(200).json();
    let (mine, theirs) = (of("first").await, of("second").await);
    assert!(
        mine["bytes"].as_u64() >= Some(2_000_000) && theirs["bytes"].as_u64() >= Some(2_000_000),
        "{mine} {theirs}"
    );
    assert!(
        mine["records"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["what"].as_str().unwrap().contains(&id)),
        "{mine}"
    );
    let all = panel.get("/api/v1/build-cache").await.expect(200).json();
    let names: Vec<_> = all["apps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"first") && names.contains(&"second"), "{all}");
    let printed = panel.cli(&["build-cache", "show", "first"]).await.expect(0).stdout;
    assert!(
        printed.contains("as all builds") && printed.contains("/root/.cache/pip"),
        "{printed}"
    );

    // Its own budget is kept after its next build; the other app's is not touched.
    panel.cli(&["app", "update", "first", "--cache-size", "1m"]).await.expect(0);
    repository.commit(&[("words", "other words")], "another version");
    panel.cli(&["deploy", "first", "--wait"]).await.expect(0);
    let cut = of("first").await;
    assert!(cut["bytes"].as_u64() <= Some(1 << 20) && cut["limit_bytes"] == 1 << 20, "{cut}");
    assert_eq!(of("second").await["bytes"], theirs["bytes"]);

    // Cleared by whoever may change the app.
    let viewer = panel.member("viewer", "read").await;
    viewer
        .post("/api/v1/apps/second/build-cache/trim", json!({"keep_bytes": 0}))
        .await
        .expect(403);
    panel.cli(&["build-cache", "trim", "second"]).await.expect(0);
    let left = of("second").await;
    assert_eq!(left["bytes"], 0, "{left}");
    assert!(!left.to_string().contains("cached mount"), "{left}");
    panel.cli(&["app", "update", "first", "--cache-size", "0"]).await.expect(0);
    assert_eq!(of("first").await["limit_bytes"], serde_json::Value::Null);
}

/// What a Dockerfile of one's own keeps in a cache mount is its app's: another app, whoever's it is, neither reads nor writes it, although
/// both call it the same.
#[tokio::test]
async fn docker_a_cache_mount_is_not_shared_with_other_apps() {
    let panel = TestPanel::docker().await;
    // Of this run alone: the engine keeps what it has built.
    let word = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let dockerfile = |turn: &str| {
        format!(
            "FROM tests/http:latest\nENV TURN={turn}\nRUN --mount=type=cache,target=/kept-{word} \
             echo found-$(cat /kept-{word}/by 2>/dev/null)-; echo $TURN >/kept-{word}/by\nEXPOSE 8080\nCMD [\"serve\"]\n"
        )
    };
    let first = GitFixture::of(&[("Dockerfile", &dockerfile("first"))]);
    let second = GitFixture::of(&[("Dockerfile", &dockerfile("second"))]);
    panel.live_app(app_of("first", &first)).await;
    panel.live_app(app_of("second", &second)).await;
    first.commit(&[("Dockerfile", &dockerfile("again"))], "another turn");
    panel.cli(&["deploy", "first", "--wait"]).await.expect(0);
    let log = async |app: &str| panel.build_log(panel.newest(app).await["id"].as_str().unwrap()).await;
    let (of_first, of_second) = (log("first").await, log("second").await);
    assert!(of_first.contains("found-first-"), "its own is kept: {of_first}");
    assert!(of_second.contains("found--"), "{of_second}");
}

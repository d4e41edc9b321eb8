//! What the engine keeps of builds: shown, cut to what may stay, and kept within the budget of the configuration.

use crate::deploy::app_of;
use serde_json::json;
use testkit::{GitFixture, Options};

#[tokio::test]
async fn docker_the_build_cache_is_cut_to_what_may_stay() {
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

    let keep = json!({"keep_bytes": bytes - 1});
    let freed = panel.post("/api/v1/build-cache/trim", keep).await.expect(200).json()["bytes"]
        .as_u64()
        .unwrap();
    assert!(freed > 0);
    let left = panel.get("/api/v1/build-cache").await.expect(200).json()["bytes"].as_u64().unwrap();
    assert!(left < bytes, "{left} of {bytes}");

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

//! schemathesis (PyPI) over a running panel: it makes up requests from openapi.json, right and wrong ones, and holds each
//! answer against the document. No 5xx, and no answer that the document does not know.

use serde_json::json;
use std::process::Command;
use testkit::TestPanel;

/// Pinned: a newer one finds other things on another day.
const VERSION: &str = "4.32.5";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// 503 is how the panel says that something outside, here the engine, does not answer.
const CONFIG: &str = "[checks.not_a_server_error]\nexpected-statuses = [\"2xx\", \"3xx\", \"4xx\", \"503\"]\n";
/// WebSockets and streams never end by themselves. The others could close the panel's port, its API or the test's own account
/// to the test.
const LEFT_OUT: &str = "^(.*_stream|.*_terminal|allow_lists_update|edge_options_update|api_limits_update|token_revoke|token_rotate|user_update|user_delete|security_update|organization_delete|build_cache_trim)$";

/// Runs these phases for this long and panics with what it found.
async fn hold_against_the_document(phases: &str, seconds: u32) {
    let bin = tokio::task::spawn_blocking(|| testkit::python("schemathesis", "schemathesis", VERSION));
    let program = bin.await.expect("Python with schemathesis").join("schemathesis");
    let panel = TestPanel::start().await;
    // It asks more in a second than anybody may.
    panel
        .patch("/api/v1/api-limits", json!({"exempt": ["127.0.0.0/8", "::1/128"]}))
        .await
        .expect(200);
    panel
        .create_app(json!({"name": "blog", "source": {"kind": "image", "reference": "nginx"}, "deploy": false}))
        .await;
    let made = panel
        .post("/api/v1/tokens", json!({"name": "schemathesis", "scope": "admin"}))
        .await
        .expect(201)
        .json();
    let folder = panel.data().join("schemathesis");
    std::fs::create_dir_all(&folder).expect("a folder");
    let document = panel.anonymous().get("/api/openapi.json").await.expect(200).text();
    std::fs::write(folder.join("openapi.json"), document).expect("written");
    std::fs::write(folder.join("schemathesis.toml"), CONFIG).expect("written");
    let mut command = Command::new(program);
    command
        .current_dir(&folder)
        .args(["--config-file", "schemathesis.toml", "run", "openapi.json"])
        .args([
            "--url",
            &format!("https://127.0.0.1:{}/api/v1", panel.panel_port),
            "--tls-verify",
            "false",
        ])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", made["secret"].as_str().expect("a secret")),
        ])
        .args(["--phases", phases, "--max-time", &seconds.to_string(), "--checks", CHECKS])
        .args([
            "--exclude-operation-id-regex",
            LEFT_OUT,
            "--seed",
            "1",
            "--workers",
            "1",
            "--request-timeout",
            "30",
        ])
        .args([
            "--no-shrink",
            "--continue-on-failure",
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
        ]);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("a thread")
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let found: Vec<&str> = said.lines().skip_while(|line| !line.contains("FAILURES")).collect();
    assert!(
        output.status.success(),
        "{}\n{}",
        found.join("\n"),
        said.lines()
            .rev()
            .take(30)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("\n")
    );
    let tested = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Tested:"))
        .expect("it says how many it tested");
    assert!(
        tested.trim().parse::<u32>().expect("a number") > 150,
        "it tested {tested} operations"
    );
    panel.get("/api/v1/apps").await.expect(200);
}

#[tokio::test]
async fn made_up_requests_get_documented_answers() {
    hold_against_the_document("fuzzing", 45).await;
}

#[tokio::test]
#[ignore = "long: tests/run.sh --long"]
async fn every_boundary_gets_a_documented_answer() {
    hold_against_the_document("examples,coverage,fuzzing", 300).await;
}

//! schemathesis (PyPI) over a running panel: it makes up requests from openapi.json, right and wrong ones, and holds each
//! answer against the document. No 5xx, and no answer that the document does not know.

use crate::examples::with_examples;
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Command};
use testkit::TestPanel;

/// Pinned: a newer one finds other things on another day.
const VERSION: &str = "4.32.5";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// 503 is how the panel says that something outside, here the engine, does not answer.
const CONFIG: &str = "[checks.not_a_server_error]\nexpected-statuses = [\"2xx\", \"3xx\", \"4xx\", \"503\"]\n";
/// WebSockets and streams never end by themselves. The others could close the panel's port, its API or the test's own account
/// to the test.
const LEFT_OUT: &str = "^(.*_stream|.*_terminal|allow_lists_update|edge_options_update|api_limits_update|token_revoke|token_rotate|user_update|user_delete|security_update|organization_delete|build_cache_trim)$";

/// So many operations get a 2xx at least. Without examples it were about 114.
const REACHED: usize = 165;
/// So many more may miss it in a run that is short of time.
const LEFT_TO_CHANCE: usize = 25;
/// What gets no 2xx here, and why.
const OUT_OF_REACH: [(&str, &[&str]); 9] = [
    (
        "it is for a browser that has signed in, not for a token",
        &[
            "session_refresh",
            "session_revoke",
            "session_switch",
            "session_confirm",
            "session_confirm_by_passkey",
            "second_factor_begin",
            "second_factor_confirm",
            "second_factor_remove",
            "recovery_codes_renew",
            "passkey_begin",
            "passkey_create",
            "passkey_rename",
            "passkey_remove",
        ],
    ),
    (
        "it takes a word that nobody guesses: a password, a link, an answer of an identity provider or a forge",
        &[
            "setup_claim",
            "session_create",
            "session_create_by_ldap",
            "session_create_by_oidc",
            "session_create_by_passkey",
            "session_create_by_saml",
            "session_begin_by_oidc",
            "session_begin_by_saml",
            "invitation_look",
            "invitation_join",
            "invitation_accept",
            "password_reset",
            "ci_token_create",
            "forge_return",
        ],
    ),
    (
        "it needs a release, which needs an engine",
        &[
            "app_start",
            "app_restart",
            "app_rollback",
            "release_promote",
            "promotion_plan",
            "release_pin",
            "release_unpin",
            "release_diff",
            "job_run",
            "run_create",
            "run_show",
            "run_log",
            "run_cancel",
            "deployment_cancel",
        ],
    ),
    (
        "the engine is asked",
        &[
            "app_purge",
            "build_cache_show",
            "app_build_cache_show",
            "app_build_cache_trim",
            "registry_test",
            "volume_delete",
        ],
    ),
    (
        "a server is asked that is not there: of DNS, mail, builds, a forge or a repository",
        &[
            "dns_setup_show",
            "dns_setup_apply",
            "dns_record_list",
            "dns_record_create",
            "dns_record_update",
            "dns_record_delete",
            "mail_test",
            "password_forgotten",
            "invitation_mail",
            "build_server_test",
            "build_server_trim",
            "forge_test",
            "forge_repositories",
            "forge_branches",
            "source_inspect",
            "webhook_register",
            "deployment_forge_report_again",
        ],
    ),
    (
        "a forge has sent nothing: no delivery, no pull request",
        &[
            "delivery_show",
            "delivery_replay",
            "preview_show",
            "preview_remove",
            "preview_deploy",
            "preview_approve",
            "preview_compare",
        ],
    ),
    (
        "it takes files, keys or texts that are not made up",
        &[
            "certificate_upload",
            "certificate_replace",
            "upload_create",
            "upload_take",
            "catalog_import",
            "catalog_template_put",
            "catalog_template_delete",
            "app_template_plan",
            "app_template_update",
            "app_template_undo",
            "app_first_login",
        ],
    ),
    (
        "what it is about is gone by then, as all that is found is deleted in the end, or is in no state for it",
        &[
            "allow_lists_confirm",
            "allow_lists_revert",
            "app_restore",
            "app_sleep",
            "catalog_install",
            "catalog_source_refresh",
            "certificate_order",
            "certificate_remove",
            "clone_create",
            "clone_show",
            "clone_cancel",
            "domain_remove",
            "domain_rule_order",
            "domain_rule_remove",
            "file_remove",
            "image_watch_check",
            "passkey_ask",
            "provisioning_delete",
            "upload_draft",
            "variable_restore",
        ],
    ),
    (
        "the panel's own organization, machine and first account stay as they are",
        &["organization_delete_plan", "version_upgrade", "user_reset_second_factor"],
    ),
];

/// The operations that were asked, and those that got a 2xx, by what the run recorded (HAR 1.2).
fn reached(document: &Value, recorded: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            if let Some(id) = operation["operationId"].as_str() {
                operations.push((method.to_uppercase(), path, id));
            }
        }
    }
    // A fixed part goes before a place.
    operations.sort_by_key(|(_, path, _)| path.matches('{').count());
    let is_of = |path: &str, asked: &str| {
        path.split('/').count() == asked.split('/').count()
            && path
                .split('/')
                .zip(asked.split('/'))
                .all(|(part, word)| part.starts_with('{') || part == word)
    };
    let (mut asked_at_all, mut reached) = (BTreeSet::new(), BTreeSet::new());
    for entry in recorded["log"]["entries"].as_array().expect("entries") {
        let url = entry["request"]["url"].as_str().expect("an address");
        let asked = url.split_once("/api/v1").map_or("", |(_, path)| path);
        let asked = asked.split(['?', '#']).next().unwrap_or_default();
        let method = entry["request"]["method"].as_str().unwrap_or_default();
        let status = entry["response"]["status"].as_u64().unwrap_or_default();
        let found = operations.iter().find(|(known, path, _)| known == method && is_of(path, asked));
        if let Some((_, _, id)) = found {
            asked_at_all.insert((*id).to_owned());
            if (200..=299).contains(&status) {
                reached.insert((*id).to_owned());
            }
        }
    }
    (asked_at_all, reached)
}

/// Whether enough got through, and what did not is known to be out of reach or left to chance; that is printed.
fn must_reach(document: &Value, recorded: &Value) {
    let (asked, reached) = reached(document, recorded);
    let every: BTreeSet<&str> = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|methods| methods.as_object().expect("methods").values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    let out: BTreeSet<&str> = OUT_OF_REACH.iter().flat_map(|(_, operations)| operations.iter().copied()).collect();
    let gone: Vec<_> = out.difference(&every).collect();
    assert!(gone.is_empty(), "not in the document any more: {gone:?}");
    let left: Vec<_> = asked.difference(&reached).filter(|id| !out.contains(id.as_str())).collect();
    println!("{} operations got a 2xx; not this time: {left:?}", reached.len());
    let is_enough = reached.len() >= REACHED && left.len() <= LEFT_TO_CHANCE;
    assert!(is_enough, "only {} operations got a 2xx, and not {left:?}", reached.len());
}

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
    let made = panel
        .post("/api/v1/tokens", json!({"name": "schemathesis", "scope": "admin"}))
        .await
        .expect(201)
        .json();
    let folder = panel.data().join("schemathesis");
    std::fs::create_dir_all(&folder).expect("a folder");
    let document = panel.anonymous().get("/api/openapi.json").await.expect(200).json();
    let document = with_examples(&panel, document).await;
    std::fs::write(folder.join("openapi.json"), document.to_string()).expect("written");
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
            "--report-har-path",
            "recorded.har",
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
    let recorded = std::fs::read_to_string(folder.join("recorded.har")).expect("it records");
    must_reach(&document, &serde_json::from_str(&recorded).expect("JSON"));
}

#[tokio::test]
async fn made_up_requests_get_documented_answers() {
    hold_against_the_document("examples,fuzzing", 60).await;
}

#[tokio::test]
#[ignore = "long: tests/run.sh --long"]
async fn every_boundary_gets_a_documented_answer() {
    hold_against_the_document("examples,coverage,fuzzing", 300).await;
}

//! 500 requests a second while versions change: none fails.

use crate::deploy::{app_of, text};
use serde_json::json;
use std::time::Duration;
use testkit::{GitFixture, Load, TestPanel};

#[tokio::test]
async fn docker_alone_deployments_and_rollbacks_drop_nothing() {
    change_versions(3, 1).await;
}

#[tokio::test]
#[ignore = "long: tests/run.sh --long"]
async fn docker_alone_20_deployments_and_5_rollbacks_drop_nothing() {
    change_versions(20, 5).await;
}

#[tokio::test]
async fn docker_alone_a_service_that_changes_drops_nothing() {
    let panel = TestPanel::docker().await;
    let file = |words: &str| {
        format!(
            "services:\n  web:\n    image: nginx:1.22\n    restart: always\n    ports: ['8080:80']\n    stop_grace_period: 10s\n    \
             configs: [{{source: page, target: /usr/share/nginx/html/index.html}}]\n  \
             worker: {{image: 'redis:7', restart: always, stop_grace_period: 1s}}\nconfigs: {{page: {{content: '{words}'}}}}\n"
        )
    };
    let body = json!({"name": "duo", "source": {"kind": "compose", "compose": file("0")}, "domains": ["duo.test"]});
    panel.live_app(body).await;
    let load = Load::start(&panel.site("duo.test", "/"), 300);
    for number in 1..4 {
        let source = json!({"source": {"kind": "compose", "compose": file(&number.to_string())}});
        panel.patch("/api/v1/apps/duo", source).await.expect(200);
        let id = panel.deploy("duo").await;
        panel.live(&id).await;
    }
    assert_eq!(panel.visit("duo.test", "/").await.text(), "3");
    // The last old container still drains.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let report = load.finish().await;
    assert!(
        report.per_second > 250.0,
        "only {:.0} requests a second were sent",
        report.per_second
    );
    assert_eq!(report.failed, 0, "{:?}", report.reasons);
}

async fn change_versions(deployments: usize, rollbacks: usize) {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    let mut body = app_of("hello", &repository);
    body["health"]["start_seconds"] = json!(60);
    body["grace_seconds"] = json!(10);
    body["limits"] = json!({"memory_bytes": 268435456, "cpu_millis": 2000, "pids": 4096});
    panel.live_app(body).await;
    let load = Load::start(&panel.site("hello.test", "/"), 500);
    tokio::time::sleep(Duration::from_secs(2)).await;
    for number in 0..deployments {
        repository.commit(&[("version", &number.to_string())], "another");
        repository.edit("Dockerfile", "EXPOSE", &format!("LABEL version={number}\nEXPOSE"));
        let id = panel.deploy("hello").await;
        panel.live(&id).await;
        println!("deployment {number}: {} failed so far", load.failed());
    }
    for number in 0..rollbacks {
        let back = panel.post("/api/v1/apps/hello/rollback", json!({})).await.expect(202).json();
        panel.live(&text(&back, "id")).await;
        println!("rollback {number}: {} failed so far", load.failed());
    }
    // The last old container still drains.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let report = load.finish().await;
    println!("{report:?}");
    assert!(
        report.per_second > 450.0,
        "only {:.0} requests a second were sent",
        report.per_second
    );
    assert_eq!(report.failed, 0, "{:?}", report.reasons);
}

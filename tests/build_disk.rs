//! What a build may take of the disk, and what becomes of one that takes more.

use crate::deploy::{app_of, text};
use serde_json::Value;
use std::time::Duration;
use testkit::{GitFixture, Options, TestPanel, docker, docker_host};

const SOON: Duration = Duration::from_secs(120);

/// Ends when the deployment is over; meanwhile the app `calm` answers. Answers the deployment.
async fn over_beside_calm(panel: &TestPanel, id: &str) -> Value {
    let began = std::time::Instant::now();
    loop {
        let now = panel.deployment(id).await;
        assert_eq!(panel.visit("calm.test", "/").await.expect(200).text(), "hello one");
        if now["cancellable"] == false {
            return now;
        }
        assert!(began.elapsed() < SOON, "{now}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the engine keeps of builds whose steps have this word.
fn kept(word: &str) -> Vec<String> {
    let list = docker(&docker_host(), &["system", "df", "--verbose", "--format", "{{json .BuildCache}}"]).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap_or_else(|error| panic!("{error}: {list}"));
    let records = list.as_array().into_iter().flatten().map(Value::to_string);
    records.filter(|record| record.contains(word)).collect()
}

/// Beside it an app goes on, and the next build is as any other.
#[tokio::test]
async fn docker_alone_a_build_that_fills_the_disk_is_ended() {
    // The engine's disk is shared with whatever else runs on this machine, so the bound is not small.
    let panel = Options::docker().config("[builds]\ndisk_mib = 700\n").start().await;
    let calm = GitFixture::sample("hello");
    panel.live_app(app_of("calm", &calm)).await;
    let word = format!("mark{}", std::process::id());
    let dockerfile = format!(
        "FROM python:3.11-slim\nRUN dd if=/dev/zero of=/{word}-first bs=1M count=300\n\
         RUN dd if=/dev/zero of=/{word}-second bs=1M count=600 && sync && sleep 600\n"
    );
    let greedy = GitFixture::of(&[("Dockerfile", &dockerfile)]);
    panel.create_app(app_of("greedy", &greedy)).await;
    let id = text(&panel.newest("greedy").await, "id");
    let over = over_beside_calm(&panel, &id).await;
    assert_eq!(over["phase"], "failed", "{over}");
    let error = text(&over, "error");
    assert!(
        error.contains("of the server's disk, and one may take 700 MiB") && error.contains("disk_mib"),
        "{error}"
    );
    let thrown = error
        .rsplit_once("thrown away: ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(thrown.is_some_and(|mib| mib >= 300), "the first step's layer: {error}");
    assert_eq!(kept(&word), Vec::<String>::new());
    calm.edit("app.py", "\"one\"", "\"two\"");
    let id = panel.deploy("calm").await;
    panel.live(&id).await;
    assert_eq!(panel.visit("calm.test", "/").await.expect(200).text(), "hello two");
}

/// No disk has as much as is to stay free, so the first look at it ends the build.
#[tokio::test]
async fn docker_alone_a_build_gives_way_to_the_apps_reserve() {
    let panel = Options::docker().config("[builds]\nreserve_disk_mib = 1000000000\n").start().await;
    let slow = GitFixture::of(&[("Dockerfile", "FROM python:3.11-slim\nRUN sleep 600\n")]);
    panel.create_app(app_of("slow", &slow)).await;
    let error = panel.fails(&text(&panel.newest("slow").await, "id")).await;
    assert!(
        error.contains("1000000000 MiB are kept for the apps") && error.contains("reserve_disk_mib"),
        "{error}"
    );
}

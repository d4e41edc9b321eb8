//! Logs that are written, read and followed, in a folder of their own.

use super::*;
use std::time::Duration;
use tempfile::TempDir;
use types::{LogStream, Secret};

fn store() -> (TempDir, LogStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), Redactor::new()).unwrap();
    (dir, store)
}

fn us() -> OrganizationId {
    format!("org_{}", "0".repeat(26)).parse().unwrap()
}

fn line(text: impl Into<String>) -> LogLine {
    LogLine {
        at: Time(1_700_000_000_000),
        stream: LogStream::Stderr,
        text: text.into(),
    }
}

async fn texts(store: &LogStore, name: &str) -> Vec<String> {
    let page = store.read(name, 0, 100_000).await.unwrap();
    page.lines.into_iter().map(|line| line.line.text).collect()
}

#[tokio::test]
async fn what_is_written_is_read() {
    let (_dir, store) = store();
    let writer = store.writer("deployment/dep_1", &us()).await.unwrap();
    for number in 0..2_000 {
        writer.line(line(format!("line {number}"))).await;
    }
    writer.finish().await.unwrap();
    let page = store.read("deployment/dep_1", 10, 5).await.unwrap();
    assert_eq!(
        (page.lines[0].n, page.lines[0].line.text.as_str(), page.next, page.complete),
        (11, "line 10", 15, false)
    );
    assert!(store.read("deployment/dep_1", 2_000, 5).await.unwrap().complete);
    let tail = store.tail("deployment/dep_1", 3).await.unwrap();
    assert_eq!((tail.lines[0].n, tail.next, tail.complete), (1_998, 2_000, false));
    assert_eq!(store.list("").await.unwrap()[0].name, "deployment/dep_1");
}

#[tokio::test]
async fn no_secret_lands_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let redactor = Redactor::new();
    redactor.learn(&us(), &Secret::from("hunter2hunter2"));
    let store = LogStore::open(dir.path(), redactor).unwrap();
    let writer = store.writer("a", &us()).await.unwrap();
    writer.line(line("PASSWORD=hunter2hunter2 aHVudGVyMmh1bnRlcjI=")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let raw = fs::read_to_string(dir.path().join("a/000000000001.log")).unwrap();
    assert!(raw.contains("PASSWORD=•••• ••••") && !raw.contains("hunter2"), "{raw}");
}

#[tokio::test]
async fn followers_see_old_and_new_lines_until_the_end() {
    let (_dir, store) = store();
    let early = store.follow("a", 0);
    let early = tokio::spawn(early.map(|line| line.n).collect::<Vec<_>>());
    let writer = store.writer("a", &us()).await.unwrap();
    writer.line(line("1")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut late = store.follow("a", 0);
    assert_eq!(late.next().await.unwrap().n, 1);
    for number in 2..=5_000 {
        writer.line(line(number.to_string())).await;
    }
    writer.finish().await.unwrap();
    let rest: Vec<Numbered> = late.collect().await;
    assert!(
        rest.iter()
            .zip(2..)
            .all(|(line, number)| line.n == number && line.line.text == number.to_string())
    );
    assert_eq!(rest.len(), 4_999);
    assert_eq!(early.await.unwrap(), (1..=5_000).collect::<Vec<u64>>());
    assert_eq!(store.follow("a", 4_999).count().await, 1);
}

#[tokio::test]
async fn two_writers_share_a_log_and_a_third_comes_later() {
    let (_dir, store) = store();
    let (one, two) = (store.writer("a", &us()).await.unwrap(), store.writer("a", &us()).await.unwrap());
    one.line(line("one")).await;
    two.line(line("two")).await;
    drop((one, two));
    let three = store.writer("a", &us()).await.unwrap();
    three.line(line("three")).await;
    three.finish().await.unwrap();
    three.line(line("too late")).await;
    assert_eq!(texts(&store, "a").await, ["one", "two", "three"]);
}

#[tokio::test]
async fn a_log_that_a_crash_left_is_continued() {
    let (dir, first) = store();
    let writer = first.writer("a", &us()).await.unwrap();
    writer.line(line("before")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut raw = fs::OpenOptions::new()
        .append(true)
        .open(dir.path().join("a/000000000001.log"))
        .unwrap();
    io::Write::write_all(&mut raw, b"2 170000").unwrap();
    let second = LogStore::open(dir.path(), Redactor::new()).unwrap();
    let follower = second.follow("a", 0);
    let writer = second.writer("a", &us()).await.unwrap();
    writer.line(line("after")).await;
    writer.finish().await.unwrap();
    let lines: Vec<String> = follower.map(|line| line.line.text).collect().await;
    assert_eq!(lines, ["before", "after"]);
}

#[tokio::test]
async fn removing_ends_followers_and_writing() {
    let (dir, store) = store();
    let writer = store.writer("app/a/1", &us()).await.unwrap();
    writer.line(line("x")).await;
    let mut follower = store.follow("app/a/1", 0);
    assert!(follower.next().await.is_some());
    store.remove("app/a").await.unwrap();
    assert!(follower.next().await.is_none());
    writer.line(line("y")).await;
    writer.finish().await.unwrap();
    assert!(!dir.path().join("app/a").exists());
    assert!(!store.exists("app/a/1").await.unwrap());
    store.remove("app/a").await.unwrap();
    let again = store.writer("app/a/1", &us()).await.unwrap();
    again.line(line("z")).await;
    again.finish().await.unwrap();
    assert_eq!(texts(&store, "app/a/1").await, ["z"]);
}

#[tokio::test]
async fn names_that_could_escape_are_refused() {
    let (_dir, store) = store();
    let long = "a".repeat(300);
    for name in [
        "",
        "..",
        "../a",
        "a/../b",
        "/etc/passwd",
        "a//b",
        "a.log",
        "a/",
        "a\0",
        "ä",
        "a b",
        "finished",
        "a/b/c/d/e",
        &long,
    ] {
        assert!(matches!(store.writer(name, &us()).await, Err(Error::Invalid { .. })), "{name:?}");
        assert!(
            store.read(name, 0, 1).await.is_err() && store.remove(name).await.is_err(),
            "{name:?}"
        );
        assert_eq!(store.follow(name, 0).count().await, 0, "{name:?}");
    }
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_told_of() {
    let (dir, store) = store();
    let writer = store.writer("a", &us()).await.unwrap();
    fs::create_dir(dir.path().join("a/000000000001.log")).unwrap();
    writer.line(line("lost")).await;
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.to_string(), "while using the log a");
}

//! Servers with data and a protocol of their own: reached through a port of the edge, with the account of the template.

use super::{Installed, speaks};
use serde_json::json;
use testkit::TestPanel;

#[tokio::test]
async fn docker_catalog_postgresql_and_mariadb() {
    let panel = TestPanel::docker().await;
    let app = Installed::new(&panel, "postgresql", json!({"database": "shop"})).await;
    let port = app.open_port(5432).await;
    // A start message of the protocol, version 3.0: it asks for SCRAM-SHA-256.
    let start = b"\0\0\0\x20\0\x03\0\0user\0app\0database\0shop\0\0";
    speaks(port, start, b"SCRAM-SHA-256").await;
    let address = format!("postgres://app:{}@postgresql:5432/shop", app.value("password"));
    let said = app.run(
        "postgres",
        &["psql", "-Atc", "create table t as select 42 as x; select x from t", &address],
    );
    assert!(said.ends_with("42"), "{said}");
    assert!(app.first_login.contains(app.value("password")), "{}", app.first_login);
    app.remove().await;

    let app = Installed::new(&panel, "mariadb", json!({"password": "it's \\ a \"word\" $1"})).await;
    let port = app.open_port(3306).await;
    speaks(port, b"", b"MariaDB").await;
    let password = format!("-p{}", app.value("password"));
    let ask = [
        "mariadb",
        "-h",
        "mariadb",
        "-u",
        "app",
        &password,
        "app",
        "-Ne",
        "create table t (x int); insert t values (42); select x from t",
    ];
    assert_eq!(app.run("mariadb", &ask), "42");
    app.remove().await;
}

#[tokio::test]
async fn docker_catalog_redis_twice_and_valkey() {
    let panel = TestPanel::docker().await;
    let one = Installed::new(&panel, "redis", json!({})).await;
    let two = Installed::new(&panel, "redis", json!({"policy": "allkeys-lru"})).await;
    assert_eq!((one.name.as_str(), two.name.as_str()), ("redis", "redis-2"));
    assert_ne!(one.value("password"), two.value("password"));
    let (first, second) = (one.open_port(6379).await, two.open_port(6379).await);
    for (app, port, mark) in [(&one, first, "first"), (&two, second, "second")] {
        let password = app.value("password");
        let words = format!(
            "*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\nSET mark {mark}\r\nCONFIG GET maxmemory-policy\r\n",
            password.len()
        );
        let said = speaks(port, words.as_bytes(), b"maxmemory-policy\r\n$").await;
        assert!(said.starts_with(b"+OK\r\n+OK\r\n"), "{}", String::from_utf8_lossy(&said));
        speaks(port, b"PING\r\n", b"-NOAUTH").await;
    }
    assert_eq!(two.run("redis", &["redis-cli", "get", "mark"]), "second");
    // The first stays when the second goes, with its data.
    two.remove().await;
    assert_eq!(one.run("redis", &["redis-cli", "get", "mark"]), "first");
    one.remove().await;

    let app = Installed::new(&panel, "valkey", json!({})).await;
    let port = app.open_port(6379).await;
    let password = app.value("password");
    let words = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\nINFO server\r\n", password.len());
    speaks(port, words.as_bytes(), b"valkey_version:").await;
    app.remove().await;
}

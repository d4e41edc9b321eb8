//! Message brokers: the greeting of each protocol, and that a wrong password is refused.

use super::{Installed, speaks};
use serde_json::json;
use testkit::{Socket, TestPanel, free_port};

#[tokio::test]
async fn docker_catalog_rabbitmq_and_nats() {
    let panel = TestPanel::docker().await;
    let app = Installed::new(&panel, "rabbitmq", json!({})).await;
    app.says("/", "RabbitMQ Management").await;
    let signed = app
        .request(reqwest::Method::GET, "/api/overview")
        .basic_auth("app", Some(app.value("password")));
    assert_eq!(app.send(signed).await.expect(200).json()["node"], "rabbit@rabbitmq");
    let wrong = app
        .request(reqwest::Method::GET, "/api/overview")
        .basic_auth("guest", Some("guest"));
    app.send(wrong).await.expect(401);
    let port = app.open_port(5672).await;
    speaks(port, b"AMQP\0\0\x09\x01", b"RabbitMQ").await;
    app.remove().await;

    let app = Installed::new(&panel, "nats", json!({})).await;
    let port = app.open_port(4222).await;
    speaks(port, b"", b"INFO {").await;
    let connect = |password: &str| format!("CONNECT {{\"verbose\":false,\"user\":\"app\",\"pass\":\"{password}\"}}\r\nPING\r\n");
    speaks(port, connect(app.value("password")).as_bytes(), b"\nPONG").await;
    speaks(port, connect("wrong").as_bytes(), b"Authorization Violation").await;
    app.remove().await;
}

/// MQTT 3.1.1, CONNECT with a clean session.
fn connect(user: &str, password: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\xc2\0\x3c".to_vec();
    for field in ["tests", user, password] {
        body.extend(u16::try_from(field.len()).unwrap().to_be_bytes());
        body.extend(field.as_bytes());
    }
    [&[0x10, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

#[tokio::test]
async fn docker_catalog_mosquitto() {
    let panel = TestPanel::docker().await;
    let port = free_port();
    let app = Installed::new(&panel, "mosquitto", json!({"mqtt_port": port.to_string()})).await;
    // CONNACK: taken; not authorized.
    speaks(port, &connect("mqtt", app.value("password")), &[0x20, 2, 0, 0]).await;
    speaks(port, &connect("mqtt", "wrong"), &[0x20, 2, 0, 5]).await;
    // The same over a WebSocket at the domain.
    let address = format!("wss://{}:{}/", app.host(), panel.https_port);
    let Ok(mut socket) = Socket::open(&address, &[("sec-websocket-protocol", "mqtt")]).await else {
        panic!("no WebSocket at {address}")
    };
    socket.send_bytes(&connect("mqtt", app.value("password"))).await;
    assert_eq!(socket.next().await.unwrap().into_data().as_ref(), [0x20, 2, 0, 0]);
    drop(socket);
    app.remove().await;
    // The port is free again.
    std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
}

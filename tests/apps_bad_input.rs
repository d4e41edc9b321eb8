//! What people and scripts send that cannot be used: each gets one clear sentence, and nothing is changed.

use reqwest::Method;
use serde_json::{Value, json};
use std::{io::Read, io::Write, net::TcpStream, process::Command, time::Duration};
use testkit::TestPanel;

/// An app that is never deployed.
fn image_app(name: &str) -> Value {
    json!({"name": name, "source": {"kind": "image", "reference": "nginx:1.22"}, "deploy": false})
}

fn git_app(source: Value) -> Value {
    let mut source = source;
    source["kind"] = "git".into();
    json!({"name": "blog", "source": source, "deploy": false})
}

#[tokio::test]
async fn names() {
    let panel = TestPanel::start().await;
    let long = "a".repeat(300);
    for bad in [
        "",
        "../etc/passwd",
        "..",
        "a/b",
        "a;rm -rf",
        "$(id)",
        "`id`",
        "блог",
        "naïve",
        "Blog",
        "a b",
        "a.b",
        "-a",
        "a-",
        "a\u{0}b",
        "a\nb",
        "👍",
        "a\u{202e}b",
        &long,
    ] {
        let reply = panel.post("/api/v1/apps", image_app(bad)).await;
        let reply = reply.expect(422).code("invalid");
        assert_eq!(reply.json()["field"], "name", "{bad:?}: {}", reply.text());
        for (path, body) in [
            ("/api/v1/projects", json!({"name": bad})),
            ("/api/v1/volumes", json!({"name": bad})),
        ] {
            panel.post(path, body).await.expect(422).code("invalid");
        }
    }
    assert!(panel.list("/api/v1/apps").await.is_empty());
    for good in ["a", "0", "blog-2", &"a".repeat(63)] {
        panel.post("/api/v1/apps", image_app(good)).await.expect(201);
    }
    panel.post("/api/v1/apps", image_app("blog-2")).await.expect(409).code("taken");
}

/// A name in the address of a request is no more trusted than one in a body.
#[tokio::test]
async fn names_in_addresses() {
    let panel = TestPanel::start().await;
    for bad in [
        "nosuch",
        "..%2f..%2fetc%2fpasswd",
        "%24(id)",
        "%00",
        "%D0%B1",
        "a%0ab",
        &"a".repeat(300),
        "app_0",
        "%ff",
    ] {
        for path in [
            format!("/api/v1/apps/{bad}"),
            format!("/api/v1/deployments/{bad}"),
            format!("/api/v1/deployments/{bad}/log"),
            format!("/api/v1/apps/{bad}/variables"),
            format!("/api/v1/servers/{bad}/metrics"),
        ] {
            let reply = panel.get(&path).await;
            assert!(matches!(reply.status.as_u16(), 400 | 404 | 422), "{path} answered {}", reply.status);
            let code = reply.json()["code"].clone();
            assert!(code == "not_found" || code == "invalid", "{path}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn git_sources() {
    let panel = TestPanel::start().await;
    let url = "https://git.example.test/blog.git";
    for bad in [
        json!({"url": ""}),
        json!({"url": "--upload-pack=touch /tmp/owned"}),
        json!({"url": "ext::sh -c touch% /tmp/owned"}),
        json!({"url": "-oProxyCommand=touch:x"}),
        json!({"url": "ftp://git.example.test/blog"}),
        json!({"url": "https://user:word@git.example.test/blog"}),
        json!({"url": "/srv/../etc"}),
        json!({"url": "not an address"}),
        json!({"url": url, "branch": "--upload-pack=touch /tmp/owned"}),
        json!({"url": url, "branch": "-b"}),
        json!({"url": url, "branch": "a..b"}),
        json!({"url": url, "branch": "$(id) x"}),
        json!({"url": url, "branch": "a".repeat(300)}),
        json!({"url": url, "folder": "../.."}),
        json!({"url": url, "folder": "/etc"}),
        json!({"url": url, "dockerfile": "../../etc/passwd"}),
    ] {
        let reply = panel.post("/api/v1/apps", git_app(bad.clone())).await;
        assert_eq!(reply.status, 422, "{bad} answered {}", reply.text());
        reply.code("invalid");
    }
    assert!(panel.list("/api/v1/apps").await.is_empty());
    assert!(!std::path::Path::new("/tmp/owned").exists());
    let made = panel.create_app(git_app(json!({"url": url, "branch": "feature/x"}))).await;
    assert_eq!(made["source"]["branch"], "feature/x");
    // A branch for one deployment is checked like the app's own.
    for bad in ["--upload-pack=x", "-x", "a b", ""] {
        let reply = panel.post("/api/v1/apps/blog/deployments", json!({"reference": bad})).await;
        reply.expect(422).code("invalid");
    }
}

#[tokio::test]
async fn values_of_an_app() {
    let panel = TestPanel::start().await;
    let with = |key: &str, value: Value| {
        let mut body = image_app("blog");
        body[key] = value;
        body
    };
    for bad in [
        with("port", json!(0)),
        with("port", json!(70000)),
        with("port", json!("http")),
        with("port", json!(-1)),
        with("source", json!({"kind": "image", "reference": "Not An Image"})),
        with("source", json!({"kind": "image", "reference": "a;b"})),
        with("source", json!({"kind": "image", "reference": ""})),
        with("source", json!({"kind": "rpm"})),
        with("source", json!(null)),
        with("domains", json!(["*.example.com"])),
        with("domains", json!(["http://a.test"])),
        with("domains", json!(["a b"])),
        with("domains", json!(["-a.test"])),
        with("domains", json!(["a".repeat(300)])),
        with("domains", json!(["../x"])),
        with("limits", json!({"memory_bytes": 1, "cpu_millis": 1000, "pids": 100})),
        with("limits", json!({"memory_bytes": 536870912, "cpu_millis": 0, "pids": 100})),
        with("limits", json!({"memory_bytes": 536870912, "cpu_millis": 1000, "pids": 0})),
        with("limits", json!({"memory_bytes": -5, "cpu_millis": 1000, "pids": 100})),
        with("mounts", json!([{"volume": "data", "path": "data"}])),
        with("mounts", json!([{"volume": "data", "path": "/"}])),
        with("mounts", json!([{"volume": "data", "path": "/a/../b"}])),
        with("mounts", json!([{"volume": "../data", "path": "/data"}])),
        with(
            "mounts",
            json!([{"volume": "a", "path": "/data"}, {"volume": "b", "path": "/data"}]),
        ),
        with("variables", json!([{"key": "A-B", "value": "x"}])),
        with("variables", json!([{"key": "1A", "value": "x"}])),
        with("variables", json!([{"key": "A", "value": "not base64!", "encoding": "base64"}])),
        with("variables", json!([{"key": "A", "value": "a\u{0}b"}])),
        with(
            "health",
            json!({"kind": "http", "path": "no-slash", "interval_seconds": 5, "timeout_seconds": 5, "start_seconds": 60}),
        ),
        with(
            "health",
            json!({"kind": "tcp", "interval_seconds": 0, "timeout_seconds": 5, "start_seconds": 60}),
        ),
        with("project", json!("nosuch")),
    ] {
        let reply = panel.post("/api/v1/apps", bad.clone()).await;
        assert!(
            matches!(reply.status.as_u16(), 400 | 404 | 422),
            "{bad} answered {} {}",
            reply.status,
            reply.text()
        );
        assert!(!reply.detail().is_empty(), "{bad}: {}", reply.text());
    }
    // Nothing of a refused request stays: no app, no volume, no domain.
    assert!(panel.list("/api/v1/apps").await.is_empty());
    assert!(panel.list("/api/v1/domains").await.is_empty());
    assert!(panel.list("/api/v1/volumes").await.is_empty());
}

#[tokio::test]
async fn a_domain_taken() {
    let panel = TestPanel::start().await;
    let mut first = image_app("first");
    first["domains"] = json!(["blog.test"]);
    panel.create_app(first).await;
    panel.create_app(image_app("second")).await;
    let reply = panel.post("/api/v1/apps/second/domains", json!({"host": "BLOG.test."})).await;
    let reply = reply.expect(409).code("taken");
    assert!(reply.detail().contains("first"), "it says by whom: {}", reply.detail());
    let mut third = image_app("third");
    third["domains"] = json!(["blog.test"]);
    panel.post("/api/v1/apps", third).await.expect(409).code("taken");
    let names: Vec<Value> = panel
        .list("/api/v1/apps")
        .await
        .into_iter()
        .map(|app| app["name"].clone())
        .collect();
    assert_eq!(names, [json!("first"), json!("second")], "a refused app is not half made");
    // Deleting frees it.
    panel.delete("/api/v1/apps/first").await.expect(204);
    panel
        .post("/api/v1/apps/second/domains", json!({"host": "blog.test"}))
        .await
        .expect(201);
    // Restoring the first does not take it back.
    panel.post("/api/v1/apps/first/restore", json!({})).await;
    let domains = panel.list("/api/v1/domains").await;
    assert_eq!(domains.len(), 1);
    assert_eq!(domains[0]["app"]["name"], "second");
}

#[tokio::test]
async fn bodies_that_are_no_json() {
    let panel = TestPanel::start().await;
    for (kind, body) in [
        ("application/json", "{"),
        ("application/json", ""),
        ("application/json", "name=blog"),
        ("application/json", "{\"name\": \"blog\","),
        ("application/json", "\u{feff}[]"),
        ("application/json", "null"),
        ("application/json", "[[[[[[[[[[[["),
        ("text/plain", "{}"),
        ("application/x-www-form-urlencoded", "name=blog"),
    ] {
        let request = panel.request(Method::POST, "/api/v1/apps").header("content-type", kind).body(body);
        let reply = panel.send(request).await;
        assert!(
            matches!(reply.status.as_u16(), 400 | 415 | 422),
            "{body:?} answered {}",
            reply.status
        );
        assert!(!reply.detail().is_empty(), "{body:?} has no sentence: {}", reply.text());
        assert!(!reply.json()["code"].is_null(), "{}", reply.text());
    }
    let deep = "[".repeat(100_000);
    let request = panel
        .request(Method::POST, "/api/v1/apps")
        .header("content-type", "application/json")
        .body(deep);
    panel.send(request).await.expect(400).code("invalid");
    let latin = b"{\"name\": \"caf\xe9\"}".to_vec();
    let request = panel
        .request(Method::POST, "/api/v1/apps")
        .header("content-type", "application/json")
        .body(latin);
    panel.send(request).await.expect(400).code("invalid");
    panel.get("/api/v1/apps").await.expect(200);
}

#[tokio::test]
async fn a_body_too_large() {
    let panel = TestPanel::start().await;
    let body = json!({"name": "x".repeat(40 << 20)});
    let request = panel.request(Method::POST, "/api/v1/apps").json(&body);
    // The panel may answer before it has taken all of it, and then close.
    if let Ok(reply) = panel.try_send(request).await {
        reply.expect(413).code("invalid");
    }
    panel.get("/api/v1/apps").await.expect(200);
    assert!(memory_of(panel.process_id()) < 400 << 20, "a large body stays in memory");
}

fn memory_of(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// A client that promises more than it sends, and one that goes away: no thread, no record, no hang is left.
#[tokio::test]
async fn bodies_cut_short() {
    let panel = TestPanel::start().await;
    let token = panel.request(Method::GET, "/api/v1/apps").build().unwrap().headers()["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    for body in [
        "{\"name\": \"blog\", ",
        "{\"name\":\"blog\",\"source\":{\"kind\":\"image\",\"reference\":\"nginx\"},\"deploy\":false}",
    ] {
        let text = format!(
            "POST /api/v1/apps HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len() + 100
        );
        cut_short(panel.panel_port, &text);
    }
    cut_short(panel.panel_port, "POST /api/v1/apps HTT");
    cut_short(panel.panel_port, "\0\0\0\0 / HTTP/9.9\r\n\r\n");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(panel.list("/api/v1/apps").await.is_empty());
}

/// Sends this over TLS (by `openssl`) and closes.
fn cut_short(port: u16, text: &str) {
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-no_ign_eof", "-connect", &format!("127.0.0.1:{port}")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("openssl is installed");
    client.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    client.wait().unwrap();
}

/// Plain HTTP on a TLS port, and other things that are not TLS.
#[tokio::test]
async fn noise_on_the_ports() {
    let panel = TestPanel::start().await;
    for port in [panel.http_port, panel.https_port, panel.panel_port] {
        for noise in [
            &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
            b"\x16\x03\x01\xff\xff\x01",
            &[0xff; 4096],
            b"SSH-2.0-x\r\n",
        ] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            // It may be closed while we still send.
            let _ = stream.write_all(noise);
            let _ = stream.read(&mut [0; 1024]);
        }
    }
    panel.get("/api/v1/apps").await.expect(200);
}

#[tokio::test]
async fn variables_come_out_as_they_went_in() {
    let panel = TestPanel::start().await;
    panel.create_app(image_app("blog")).await;
    let values = [
        ("PLAIN", "value"),
        ("EMPTY", ""),
        ("SPACES", "  both ends  "),
        ("QUOTES", "a 'single' and a \"double\" and a `tick`"),
        ("DOLLAR", "$HOME ${HOME} $(id) \\$x $$"),
        ("LINES", "one\ntwo\r\nthree\n"),
        ("TABS", "\ta\tb\\t\\n"),
        ("HASH", "# not a comment # at all"),
        ("EQUALS", "a=b=c=="),
        ("UNICODE", "žluťoučký 🐎 \u{202e}x\u{0301}"),
        ("BACKSLASH", "\\\\ \\\" \\' \\"),
        ("JSON", "{\"a\": [1, \"two\", null]}"),
        ("CONTROL", "\u{1}\u{1b}[31m\u{7f}"),
        ("LONG", &"x".repeat(60_000)),
    ];
    let set: Vec<Value> = values.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    panel
        .patch("/api/v1/apps/blog/variables", json!({"set": set, "unset": []}))
        .await
        .expect(200);
    // Bytes that are no text fit no environment; a build secret is a file and holds them.
    let bytes = |scope: &str| json!({"set": [{"key": "BYTES", "value": "/wGA/g==", "encoding": "base64", "scope": scope, "secret": true}]});
    for scope in ["run", "both"] {
        panel
            .patch("/api/v1/apps/blog/variables", bytes(scope))
            .await
            .expect(422)
            .code("invalid");
    }
    panel.patch("/api/v1/apps/blog/variables", bytes("build")).await.expect(200);
    let check = async |when: &str| {
        let all = panel.list("/api/v1/apps/blog/variables?reveal=true").await;
        let find = |key: &str| {
            all.iter()
                .find(|variable| variable["key"] == key)
                .unwrap_or_else(|| panic!("{key} is gone {when}"))
        };
        for (key, value) in values {
            assert_eq!(find(key)["value"], value, "{key} {when}");
            assert_eq!(find(key)["encoding"], "utf8");
        }
    };
    check("after setting").await;
    let all = panel.list("/api/v1/apps/blog/variables?reveal=true").await;
    let bytes = all.iter().find(|variable| variable["key"] == "BYTES").unwrap();
    assert_eq!((&bytes["value"], &bytes["encoding"]), (&json!("/wGA/g=="), &json!("base64")));
    // A .env file holds text only, and says so.
    panel.get("/api/v1/apps/blog/variables/export").await.expect(422).code("invalid");
    let bytes = json!({"set": [], "unset": ["BYTES"]});
    panel.patch("/api/v1/apps/blog/variables", bytes).await.expect(200);
    // Out as .env and in again.
    let text = panel.get("/api/v1/apps/blog/variables/export").await.expect(200).text();
    let keys: Vec<&str> = values.iter().map(|(key, _)| *key).collect();
    panel
        .patch("/api/v1/apps/blog/variables", json!({"set": [], "unset": keys}))
        .await
        .expect(200);
    panel
        .post("/api/v1/apps/blog/variables/import", json!({"text": text}))
        .await
        .expect(200);
    check("after export and import").await;
}

#[tokio::test]
async fn secrets_are_masked_unless_asked_for() {
    let panel = TestPanel::start().await;
    panel.create_app(image_app("blog")).await;
    let body = json!({"set": [{"key": "PASSWORD", "value": "rosebud-4711", "secret": true}], "unset": []});
    let answer = panel.patch("/api/v1/apps/blog/variables", body).await.expect(200).text();
    assert!(!answer.contains("rosebud"), "{answer}");
    let masked = panel.list("/api/v1/apps/blog/variables").await;
    assert_eq!(masked[0]["value"], Value::Null);
    let open = panel.list("/api/v1/apps/blog/variables?reveal=true").await;
    assert_eq!(open[0]["value"], "rosebud-4711");
    // Replacing all keeps what is not shown.
    let body = json!({"items": [{"key": "PASSWORD", "value": null, "secret": true}, {"key": "A", "value": "b"}]});
    panel.put("/api/v1/apps/blog/variables", body).await.expect(200);
    let open = panel.list("/api/v1/apps/blog/variables?reveal=true").await;
    assert!(open.iter().any(|variable| variable["value"] == "rosebud-4711"), "{open:?}");
    let viewer = panel.member("viewer", "admin").await;
    viewer.get("/api/v1/apps/blog/variables").await.expect(200);
    viewer
        .get("/api/v1/apps/blog/variables?reveal=true")
        .await
        .expect(403)
        .code("forbidden");
    viewer.get("/api/v1/apps/blog/variables/export").await.expect(403).code("forbidden");
}

#[tokio::test]
async fn a_path_on_this_machine_is_for_administrators() {
    let panel = TestPanel::start().await;
    let developer = panel.member("developer", "admin").await;
    let body = git_app(json!({"url": "/srv/git/blog.git"}));
    developer.post("/api/v1/apps", body.clone()).await.expect(403).code("forbidden");
    developer
        .post("/api/v1/apps", git_app(json!({"url": "file:///srv/git/blog.git"})))
        .await
        .expect(403);
    panel.post("/api/v1/apps", body).await.expect(201);
    // Nor may somebody else point an app there later, or change where an administrator pointed it.
    developer.post("/api/v1/apps", image_app("other")).await.expect(201);
    let source = json!({"source": {"kind": "git", "url": "/etc"}});
    developer.patch("/api/v1/apps/other", source).await.expect(403).code("forbidden");
}

#[tokio::test]
async fn the_same_request_twice_is_one() {
    let panel = TestPanel::start().await;
    let send = async |key: &str, body: Value| {
        let request = panel
            .request(Method::POST, "/api/v1/apps")
            .header("idempotency-key", key)
            .json(&body);
        panel.send(request).await
    };
    let first = send("k1", image_app("blog")).await.expect(201).json();
    let again = send("k1", image_app("blog")).await.expect(201).json();
    assert_eq!(first["id"], again["id"]);
    send("k2", image_app("blog")).await.expect(409).code("taken");
    // Somebody else's key is not mine.
    let other = panel.member("developer", "write").await;
    let request = other
        .request(Method::POST, "/api/v1/apps")
        .header("idempotency-key", "k1")
        .json(&image_app("blog"));
    other.send(request).await.expect(409).code("taken");
}

#[tokio::test]
async fn deleting_is_a_trash_first() {
    let panel = TestPanel::start().await;
    let mut body = image_app("blog");
    body["domains"] = json!(["blog.test"]);
    body["mounts"] = json!([{"volume": "data", "path": "/data"}]);
    panel.create_app(body).await;
    let plan = panel.get("/api/v1/apps/blog/delete-plan").await.expect(200).json();
    assert_eq!(plan["volumes"][0]["kept"], true, "{plan}");
    panel.delete("/api/v1/apps/blog").await.expect(204);
    assert!(panel.list("/api/v1/apps").await.is_empty());
    assert_eq!(panel.list("/api/v1/trash").await.len(), 1);
    // The name is free meanwhile, so restoring must say so.
    panel.create_app(image_app("blog")).await;
    let trashed = panel.list("/api/v1/trash").await[0]["id"].as_str().unwrap().to_owned();
    let reply = panel.post(&format!("/api/v1/apps/{trashed}/restore"), json!({})).await;
    reply.expect(409).code("taken");
    panel.delete("/api/v1/apps/blog").await.expect(204);
    panel.post(&format!("/api/v1/apps/{trashed}/restore"), json!({})).await.expect(200);
    // A volume that something mounts cannot go.
    let volume = panel.list("/api/v1/volumes").await[0]["id"].as_str().unwrap().to_owned();
    panel.delete(&format!("/api/v1/volumes/{volume}")).await.expect(409).code("busy");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let panel = TestPanel::start().await;
    for number in 0..7 {
        panel.create_app(image_app(&format!("app-{number}"))).await;
    }
    let all = panel.list("/api/v1/apps?limit=3").await;
    assert_eq!(all.len(), 7);
    let mut names: Vec<&str> = all.iter().map(|app| app["name"].as_str().unwrap()).collect();
    names.dedup();
    assert_eq!(names.len(), 7, "no app comes twice: {names:?}");
    for bad in ["limit=0", "limit=x", "limit=-1", "cursor=%00", "limit=99999999999999999999"] {
        let reply = panel.get(&format!("/api/v1/apps?{bad}")).await;
        assert!(matches!(reply.status.as_u16(), 200 | 400 | 422), "{bad} answered {}", reply.status);
        assert!(reply.json().is_object());
    }
}

//! Mail, by a real server (aiosmtpd) with STARTTLS or TLS and a login: the test button, forgotten passwords, invitations and
//! notices of security events.

use crate::second_factor::{early_in_a_step, enrol};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use testkit::{Api, OWNER, TestAuthority, TestPanel, eventually, free_port};

const VERSION: &str = "1.4.6";
const SECRET: &str = "the mail server's word";
const NEW: &str = "nine loud herons sail south";

/// A mail server; it stops when this is dropped.
pub struct Post {
    folder: TempDir,
    port: u16,
    security: &'static str,
    authority: String,
    process: Option<tokio::process::Child>,
}

impl Post {
    pub async fn start(security: &'static str) -> Post {
        let folder = tempfile::Builder::new().prefix("sk-mail-").tempdir().expect("a temporary folder");
        let authority = TestAuthority::new();
        let (certificate, key) = authority.issue(&["localhost", "127.0.0.1"], 30);
        fs::write(folder.path().join("certificate.pem"), certificate).expect("written");
        fs::write(folder.path().join("key.pem"), key).expect("written");
        fs::create_dir(folder.path().join("mails")).expect("made");
        let mut post = Post {
            authority: authority.pem(),
            port: free_port(),
            security,
            process: None,
            folder,
        };
        post.run().await;
        post
    }

    async fn run(&mut self) {
        let bin = tokio::task::spawn_blocking(|| testkit::python("smtp-peer", "aiosmtpd", VERSION));
        let python = bin.await.expect("Python with aiosmtpd").join("python3");
        let at = |name: &str| self.folder.path().join(name);
        let process = tokio::process::Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/smtp.py"))
            .args([&self.port.to_string(), self.security])
            .args([at("certificate.pem"), at("key.pem"), at("mails")])
            .env("SMTP_PASSWORD", SECRET)
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        self.process = Some(process);
        let port = self.port;
        eventually("the mail server listens", Duration::from_secs(30), || async move {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
    }

    async fn stop(&mut self) {
        self.process.take().expect("it runs").kill().await.expect("it is ours");
    }

    pub fn wish(&self) -> Value {
        let security = if self.security == "tls" { "tls" } else { "start_tls" };
        json!({"host": "localhost", "port": self.port, "security": security, "user": "panel", "password": SECRET,
               "from": "serverkit <panel@example.test>", "ca_pem": self.authority})
    }

    /// All that came, oldest first.
    pub fn mails(&self) -> Vec<Value> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.folder.path().join("mails"))
            .expect("a folder")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect();
        files.sort();
        let read = |path: &PathBuf| serde_json::from_str(&fs::read_to_string(path).expect("reads")).expect("JSON");
        files.iter().map(read).collect()
    }

    /// Waits for a mail to somebody whose subject has this in it.
    pub async fn mail(&self, to: &str, subject: &str) -> Value {
        let what = format!("a mail to {to} about {subject}");
        eventually(&what, Duration::from_secs(40), || async { self.found(to, subject).pop() }).await
    }

    pub fn found(&self, to: &str, subject: &str) -> Vec<Value> {
        let mut all = self.mails();
        all.retain(|mail| mail["to"] == json!([to]) && mail["subject"].as_str().expect("a subject").contains(subject));
        all
    }
}

/// A job that begins to fail is one mail, however often it fails, and so is that it is well again; then the next failure is another.
#[tokio::test]
async fn docker_a_job_that_begins_to_fail_is_told() {
    let post = Post::start("starttls").await;
    let panel = TestPanel::docker().await;
    panel.put("/api/v1/mail", post.wish()).await.expect(200);
    let health = json!({"kind": "running", "interval_seconds": 1, "timeout_seconds": 2, "start_seconds": 20});
    let source = json!({"kind": "image", "reference": "redis:7"});
    panel
        .live_app(json!({"name": "shop", "source": source, "domains": [], "health": health, "grace_seconds": 1}))
        .await;
    let ends = |code: u32| json!({"command": ["sh", "-c", format!("exit {code}")]});
    let job = json!({"name": "nightly", "command": ["sh", "-c", "exit 3"], "cron": "0 3 * * *"});
    let made = panel.post("/api/v1/apps/shop/jobs", job).await.expect(201).json();
    assert_eq!(made["alert"], true, "{made}");
    let run = async |phase: &str| {
        let begun = panel.post("/api/v1/apps/shop/jobs/nightly/run", json!({})).await.expect(202).json();
        let path = format!("/api/v1/runs/{}", begun["id"].as_str().expect("an id"));
        eventually(&format!("it is {phase}"), Duration::from_secs(40), || async {
            (panel.get(&path).await.expect(200).json()["phase"] == phase).then_some(())
        })
        .await;
    };
    run("failed").await;
    let mail = post.mail(OWNER.0, "A job failed").await;
    let text = mail["text"].as_str().expect("a text");
    assert!(
        text.starts_with("On this panel the job nightly of shop failed: exited with code 3."),
        "{text}"
    );
    run("failed").await;
    panel.patch("/api/v1/apps/shop/jobs/nightly", ends(0)).await.expect(200);
    run("done").await;
    let mail = post.mail(OWNER.0, "A job is well again").await;
    let text = mail["text"].as_str().expect("a text");
    assert!(text.starts_with("On this panel the job nightly of shop went well again."), "{text}");
    run("done").await;
    panel.patch("/api/v1/apps/shop/jobs/nightly", ends(5)).await.expect(200);
    run("failed").await;
    eventually("the second one comes", Duration::from_secs(40), || async {
        let found = post.found(OWNER.0, "A job failed");
        found.last()?["text"].as_str()?.contains("exited with code 5").then_some(())
    })
    .await;
    assert_eq!(post.found(OWNER.0, "A job failed").len(), 2);
    assert_eq!(post.found(OWNER.0, "A job is well again").len(), 1);
    // Nobody wishes to hear of it.
    let quiet = panel.cli(&["job", "update", "shop", "nightly", "--alert", "no"]).await.expect(0);
    assert!(quiet.stdout.contains("nightly"), "{}", quiet.stdout);
    let shown = panel.list("/api/v1/apps/shop/jobs").await.remove(0);
    assert_eq!(shown["alert"], false, "{shown}");
}

/// A panel whose mail goes to this server. Who sets it is the owner.
async fn panel_with(post: &Post) -> TestPanel {
    let panel = TestPanel::start().await;
    let set = panel.put("/api/v1/mail", post.wish()).await.expect(200);
    assert!(!set.text().contains(SECRET), "{}", set.text());
    panel
}

/// What is behind the `#` of the link in a mail.
fn word(mail: &Value) -> String {
    let text = mail["text"].as_str().expect("a text");
    let link = text.split_whitespace().find(|word| word.contains('#'));
    link.unwrap_or_else(|| panic!("no link in {text}"))
        .split('#')
        .nth(1)
        .expect("a word")
        .to_owned()
}

async fn forgot(api: &Api, email: &str) {
    let reply = api.post("/api/v1/password/forgotten", json!({"email": email})).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (204, ""));
}

async fn renew(api: &Api, word: &str, password: &str) -> testkit::Reply {
    api.post("/api/v1/password/reset", json!({"token": word, "password": password}))
        .await
}

#[tokio::test]
async fn a_test_goes_by_either_protection_and_says_what_is_wrong() {
    for security in ["starttls", "tls"] {
        let post = Post::start(security).await;
        let panel = panel_with(&post).await;
        let sent = panel.post("/api/v1/mail/test", json!({})).await.expect(200).json();
        assert_eq!(sent["to"], OWNER.0);
        let mail = post.mail(OWNER.0, "works").await;
        assert_eq!((&mail["tls"], &mail["authenticated"]), (&json!(true), &json!(true)), "{mail}");
        assert_eq!(mail["from"], "panel@example.test");
        assert_eq!(mail["headers"]["auto-submitted"], "auto-generated");
        if security == "tls" {
            continue;
        }
        // The password stays for the same server and user, and goes to nobody else.
        let mut again = post.wish();
        again.as_object_mut().expect("an object").remove("password");
        panel.put("/api/v1/mail", again.clone()).await.expect(200);
        panel.post("/api/v1/mail/test", json!({"to": "ada@example.test"})).await.expect(200);
        again["host"] = json!("127.0.0.1");
        panel.put("/api/v1/mail", again).await.expect(422);
        for (change, says) in [
            (json!({"password": "wrong"}), "does not take this user and password"),
            (json!({"ca_pem": null}), "no safe connection"),
            (json!({"port": free_port()}), "cannot be used for mail"),
        ] {
            let mut wish = post.wish();
            wish.as_object_mut()
                .expect("an object")
                .extend(change.as_object().expect("an object").clone());
            panel.put("/api/v1/mail", wish).await.expect(200);
            let refused = panel.post("/api/v1/mail/test", json!({})).await.expect(503);
            assert!(
                refused.text().contains(says) && !refused.text().contains(SECRET),
                "{}",
                refused.text()
            );
        }
        assert!(!panel.printed().contains(SECRET));
    }
}

#[tokio::test]
async fn only_an_owner_chooses_the_server() {
    let panel = TestPanel::start().await;
    let body = json!({"email": "adm@example.test", "name": "Adm", "role": "admin", "password": OWNER.1});
    panel.post("/api/v1/users", body).await.expect(201);
    let admin = panel.signed_in("adm@example.test", OWNER.1).await;
    let wish = json!({"host": "mail.example.test", "from": "panel@example.test"});
    admin.put("/api/v1/mail", wish.clone()).await.expect(403);
    admin.get("/api/v1/mail").await.expect(200);
    admin.delete("/api/v1/mail").await.expect(403);
    admin.post("/api/v1/mail/test", json!({})).await.expect(409);
    for (change, field) in [
        (json!({"host": "a b"}), "host"),
        (json!({"from": "nobody"}), "from"),
        (json!({"security": "plain", "user": "a", "password": "b"}), "security"),
        (json!({"user": "a"}), "password"),
        (json!({"ca_pem": "x"}), "ca_pem"),
    ] {
        let mut wrong = wish.clone();
        wrong
            .as_object_mut()
            .expect("an object")
            .extend(change.as_object().expect("an object").clone());
        let refused = panel.put("/api/v1/mail", wrong).await.expect(422).json();
        assert!(
            refused["detail"].as_str().expect("words").starts_with(&format!("{field}: ")),
            "{refused}"
        );
    }
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    std::io::Write::write_all(&mut file, SECRET.as_bytes()).expect("written");
    let path = file.path().display().to_string();
    let arguments = [
        "mail",
        "set",
        "127.0.0.1",
        "--from",
        "panel@example.test",
        "--port",
        "1",
        "--user",
        "panel",
        "--password-file",
        &path,
    ];
    panel.cli(&arguments).await.expect(0);
    let shown = panel.cli(&["mail", "show", "--json"]).await.expect(0).json();
    assert_eq!(
        (&shown["server"]["security"], &shown["server"]["has_password"]),
        (&json!("start_tls"), &json!(true))
    );
    panel.cli(&["mail", "remove", "--yes"]).await.expect(0);
    assert_eq!(panel.get("/api/v1/mail").await.expect(200).json()["server"], Value::Null);
    let nobody = panel.anonymous();
    nobody
        .post("/api/v1/password/forgotten", json!({"email": OWNER.0}))
        .await
        .expect(409);
    assert_eq!(nobody.get("/api/v1/setup").await.expect(200).json()["mail"], false);
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_once() {
    let mut post = Post::start("starttls").await;
    let panel = panel_with(&post).await;
    assert_eq!(panel.anonymous().get("/api/v1/setup").await.expect(200).json()["mail"], true);
    let browser = panel.signed_in(OWNER.0, OWNER.1).await;
    let stranger = panel.anonymous();
    // Nobody learns who has an account.
    forgot(&stranger, "nobody@example.test").await;
    forgot(&stranger, OWNER.0).await;
    let link = word(&post.mail(OWNER.0, "new password").await);
    let refused = renew(&stranger, "made-up", NEW).await.expect(403).text();
    renew(&stranger, &link, "qwertyuiop1").await.expect(422);
    renew(&stranger, &link, NEW).await.expect(204);
    assert_eq!(
        renew(&stranger, &link, "ten quiet otters swim north").await.expect(403).json()["detail"],
        serde_json::from_str::<Value>(&refused).expect("JSON")["detail"]
    );
    browser.get("/api/v1/session").await.expect(401);
    let sign_in = |password: &str| json!({"email": OWNER.0, "password": password});
    stranger.post("/api/v1/session", sign_in(OWNER.1)).await.expect(401);
    panel.browser().post("/api/v1/session", sign_in(NEW)).await.expect(201);
    post.mail(OWNER.0, "A new password at").await;
    assert!(post.found("nobody@example.test", "").is_empty());
    let entries = panel.list("/api/v1/audit").await;
    let told: Vec<&str> = entries.iter().filter_map(|entry| entry["what"].as_str()).collect();
    assert!(told.contains(&"password_reset") && told.contains(&"password_forgotten"), "{told:?}");
    for entry in entries {
        assert!(!entry.to_string().contains(&link), "{entry}");
    }

    // A server that is down for a while loses nothing, and neither does a panel that is killed.
    post.stop().await;
    let body = json!({"email": "bob@example.test", "name": "Bob", "role": "viewer", "password": OWNER.1});
    panel.post("/api/v1/users", body).await.expect(201);
    forgot(&stranger, "bob@example.test").await;
    // The answer comes before the account is looked for, and the notice of a new account waits too: so it is this letter that counts.
    eventually("it waits", Duration::from_secs(40), || async {
        let entries = panel.list("/api/v1/audit?what=password_forgotten").await;
        entries.iter().any(|entry| entry["by"] == "bob@example.test").then_some(())
    })
    .await;
    assert!(panel.get("/api/v1/mail").await.expect(200).json()["waiting"].as_u64() > Some(0));
    let mut panel = panel;
    panel.kill();
    post.run().await;
    panel.start_again_with(|options| options.clock(Some("+3m"))).await;
    let link = word(&post.mail("bob@example.test", "new password").await);
    // Half an hour later the link is old.
    panel.stop().await;
    panel.start_again_with(|options| options.clock(Some("+40m"))).await;
    renew(&panel.anonymous(), &link, NEW).await.expect(403);
}

#[tokio::test]
async fn who_asks_too_often_waits_and_who_has_no_password_gets_nothing() {
    let post = Post::start("starttls").await;
    let panel = panel_with(&post).await;
    panel
        .post("/api/v1/service-accounts", json!({"name": "ci", "role": "viewer"}))
        .await
        .expect(201);
    let body = json!({"email": "gone@example.test", "name": "Gone", "role": "viewer", "password": OWNER.1});
    let gone = panel.post("/api/v1/users", body).await.expect(201).json();
    let path = format!("/api/v1/users/{}", gone["id"].as_str().expect("an id"));
    panel.patch(&path, json!({"disabled": true})).await.expect(200);
    let stranger = panel.anonymous();
    forgot(&stranger, "gone@example.test").await;
    // The same account twice within a minute is one mail; who goes on asking waits, for an account or for none.
    for email in [OWNER.0, "nobody@example.test"] {
        let mut refused = false;
        for _ in 0..14 {
            let reply = stranger.post("/api/v1/password/forgotten", json!({"email": email})).await;
            refused = reply.status == 429;
            if refused {
                reply.code("throttled");
                break;
            }
            reply.expect(204);
        }
        assert!(refused, "{email}");
    }
    post.mail(OWNER.0, "new password").await;
    let done = panel.post("/api/v1/mail/test", json!({})).await;
    done.expect(200);
    assert_eq!(post.found(OWNER.0, "new password").len(), 1);
    assert!(post.found("gone@example.test", "").is_empty());
}

#[tokio::test]
async fn an_invitation_goes_by_mail() {
    let post = Post::start("starttls").await;
    let panel = panel_with(&post).await;
    let wish = json!({"email": "bob@example.test", "role": "developer", "mail": true});
    let made = panel.post("/api/v1/invitations", wish).await.expect(201).json();
    let mail = post.mail("bob@example.test", "invitation").await;
    let link = word(&mail);
    assert!(
        !made["link"].as_str().expect("a link").ends_with(&format!("#{link}")),
        "who invites has another one: {mail}"
    );
    let accept = json!({"token": link, "name": "Bob", "password": NEW});
    panel.browser().post("/api/v1/invitation/accept", accept).await.expect(201);
    panel.cli(&["user", "invite", "eve@example.test", "--mail"]).await.expect(0);
    post.mail("eve@example.test", "invitation").await;
    panel.delete("/api/v1/mail").await.expect(204);
    let wish = json!({"email": "ann@example.test", "role": "developer", "mail": true});
    panel.post("/api/v1/invitations", wish.clone()).await.expect(422);
    assert!(
        !panel.get("/api/v1/invitations").await.expect(200).text().contains("ann@"),
        "nothing is half done"
    );
}

/// In another organization than the panel's own a link that was handed on by hand tells nothing of the address, and makes no account
/// with it: what comes by mail does, to whom it belongs.
#[tokio::test]
async fn a_copied_link_has_one_sent_by_mail() {
    let post = Post::start("starttls").await;
    let panel = panel_with(&post).await;
    let body = json!({"email": "bob@example.test", "name": "Bob", "role": "viewer", "password": OWNER.1});
    panel.post("/api/v1/users", body).await.expect(201);
    let body = json!({"email": "head@acme.test", "name": "Head", "role": "member", "password": OWNER.1});
    panel.post("/api/v1/users", body).await.expect(201);
    let wish = json!({"name": "acme", "owner": "head@acme.test"});
    panel.post("/api/v1/organizations", wish).await.expect(201);
    let head = panel.signed_in("head@acme.test", OWNER.1).await;
    head.post("/api/v1/session/switch", json!({"organization": "acme"}))
        .await
        .expect(200);
    let stranger = panel.anonymous();
    let (mut seen, mut words) = (Vec::new(), Vec::new());
    for email in ["bob@example.test", "nobody@example.test"] {
        let wish = json!({"email": email, "role": "developer"});
        let made = head.post("/api/v1/invitations", wish).await.expect(201).json();
        let copied = made["link"].as_str().expect("a link").split('#').nth(1).expect("a word").to_owned();
        let mut shown = stranger
            .post("/api/v1/invitation", json!({"token": copied}))
            .await
            .expect(200)
            .json();
        shown
            .as_object_mut()
            .expect("an object")
            .retain(|name, _| !["email", "expires_at"].contains(&name.as_str()));
        let accept = json!({"token": copied, "name": "Eve", "password": NEW});
        let refused = stranger.post("/api/v1/invitation/accept", accept).await.expect(403).detail();
        let asked = stranger
            .post("/api/v1/invitation/mail", json!({"token": copied}))
            .await
            .expect(204)
            .text();
        stranger.post("/api/v1/invitation/mail", json!({"token": copied})).await.expect(429);
        seen.push((shown, refused, asked));
        words.push((copied, word(&post.mail(email, "invitation").await)));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].0["has_account"], Value::Null);
    let look = async |word: &str| stranger.post("/api/v1/invitation", json!({"token": word})).await.expect(200).json();
    assert_eq!(look(&words[0].1).await["has_account"], true);
    assert_eq!(look(&words[1].1).await["has_account"], false);
    let accept = json!({"token": words[1].1, "name": "New", "password": NEW});
    panel.browser().post("/api/v1/invitation/accept", accept).await.expect(201);
    // Who has an account joins by either.
    let bob = panel.signed_in("bob@example.test", OWNER.1).await;
    bob.post("/api/v1/invitation/join", json!({"token": words[0].0})).await.expect(200);
    stranger.post("/api/v1/invitation", json!({"token": words[0].1})).await.expect(403);
}

#[tokio::test]
async fn people_and_administrators_are_told() {
    let post = Post::start("starttls").await;
    let panel = TestPanel::start().await;
    // What happened before is not told.
    let body = json!({"email": "bob@example.test", "name": "Bob", "role": "developer", "password": OWNER.1});
    panel.post("/api/v1/users", body).await.expect(201);
    panel.signed_in("bob@example.test", OWNER.1).await;
    panel.put("/api/v1/mail", post.wish()).await.expect(200);
    panel.signed_in("bob@example.test", OWNER.1).await;
    let own = post.mail("bob@example.test", "A new browser").await;
    let text = own["text"].as_str().expect("a text");
    assert!(
        text.contains("You signed in with a new browser") && text.contains("From: 127.0.0.1"),
        "{text}"
    );
    let others = post.mail(OWNER.0, "A new browser").await;
    let text = others["text"].as_str().expect("a text");
    assert!(text.contains("bob@example.test signed in with a new browser"), "{text}");
    // What others change at an account is told to its owner; so is what makes it safer, to them alone.
    let users = panel.list("/api/v1/users").await;
    let bob = users.iter().find(|user| user["email"] == "bob@example.test").expect("bob");
    let path = format!("/api/v1/users/{}", bob["id"].as_str().expect("an id"));
    panel.patch(&path, json!({"password": NEW})).await.expect(200);
    let set = post.mail("bob@example.test", "A new password").await;
    let text = set["text"].as_str().expect("a text");
    assert!(
        text.contains("gave bob@example.test a new password") && !text.contains(NEW),
        "{text}"
    );
    let browser = panel.signed_in("bob@example.test", NEW).await;
    early_in_a_step().await;
    enrol(&browser, NEW).await;
    let added = post.mail("bob@example.test", "A new second factor").await;
    assert!(
        added["text"].as_str().expect("a text").starts_with("You set up a second factor."),
        "{added}"
    );
    assert!(post.found(OWNER.0, "A new second factor").is_empty());
    // One wrong password is everyday, five are not.
    let stranger = panel.anonymous();
    for _ in 0..5 {
        let wrong = json!({"email": "bob@example.test", "password": "wrong wrong wrong"});
        stranger.post("/api/v1/session", wrong).await.expect(401);
    }
    let failed = post.mail(OWNER.0, "Failed sign-ins").await;
    assert!(
        failed["text"].as_str().expect("a text").starts_with("5 sign-ins have failed"),
        "{failed}"
    );
    assert_eq!(post.found(OWNER.0, "Failed sign-ins").len(), 1);
    assert!(post.found("bob@example.test", "Failed").is_empty());
    // Nobody wishes for them any more.
    let mut wish = post.wish();
    wish["notices"] = json!(false);
    panel.put("/api/v1/mail", wish).await.expect(200);
}

/// As somebody would change it who has the disk: an entry of the journal, with its checksums made right again.
fn forge_audit(data: &Path, before: &str, after: &str) {
    assert_eq!(before.len(), after.len());
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    let mut changed = 0;
    for file in fs::read_dir(data.join("journal")).expect("a folder") {
        let file = file.expect("a file").path();
        let mut bytes = fs::read(&file).expect("reads");
        let mut frame = bytes.iter().position(|byte| *byte == b'\n').expect("a first line") + 1;
        while frame + 12 <= bytes.len() {
            let end = frame + 12 + number(&bytes, frame + 4);
            // Batches, and in each its steps: the kind, the record's path, its bytes (version, checksum, and so on).
            let mut at = frame + 16;
            for _ in 0..number(&bytes, frame + 12) {
                let steps = number(&bytes, at + 8);
                at += 12;
                for _ in 0..steps {
                    let is_put = bytes[at] == 1;
                    let path = at + 5..at + 5 + number(&bytes, at + 1);
                    at = path.end;
                    if !is_put {
                        continue;
                    }
                    let record = at + 4..at + 4 + number(&bytes, at);
                    at = record.end;
                    let found = bytes[record.clone()]
                        .windows(before.len())
                        .position(|part| part == before.as_bytes());
                    if let Some(found) = found.filter(|_| bytes[path.clone()].starts_with(b"audit/")) {
                        let place = record.start + found;
                        bytes[place..place + after.len()].copy_from_slice(after.as_bytes());
                        let sum = crc32(&[
                            &bytes[path],
                            &bytes[record.start..=record.start],
                            &bytes[record.start + 5..record.end],
                        ]);
                        bytes[record.start + 1..record.start + 5].copy_from_slice(&sum.to_le_bytes());
                        changed += 1;
                    }
                }
            }
            let sum = crc32(&[&bytes[frame + 4..frame + 8], &bytes[frame + 12..end]]);
            bytes[frame + 8..frame + 12].copy_from_slice(&sum.to_le_bytes());
            frame = end;
        }
        fs::write(&file, bytes).expect("written");
    }
    assert_eq!(changed, 1, "one entry names {before}");
    // What is left is built from the journal.
    for folder in ["state", "snapshots"] {
        fs::remove_dir_all(data.join(folder)).expect("removed");
    }
}

/// CRC-32 as in gzip (RFC 1952, section 8).
fn crc32(parts: &[&[u8]]) -> u32 {
    let byte = |sum: u32, byte: &u8| {
        let bit = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
        (0..8).fold(sum ^ u32::from(*byte), bit)
    };
    !parts.iter().flat_map(|part| part.iter()).fold(!0, byte)
}

#[tokio::test]
async fn a_broken_audit_log_is_told() {
    assert_eq!(crc32(&[b"1234", b"56789"]), 0xCBF4_3926);
    let post = Post::start("starttls").await;
    let mut panel = panel_with(&post).await;
    panel.post("/api/v1/projects", json!({"name": "shipyard"})).await.expect(201);
    panel.post("/api/v1/projects", json!({"name": "press"})).await.expect(201);
    panel.cli(&["audit", "verify"]).await.expect(0);
    panel.kill();
    forge_audit(panel.data(), "\"shipyard\"", "\"shapyird\"");
    panel.start_again().await;
    let kinds = || async {
        let events = panel.list("/api/v1/events/history?security=true").await;
        events.iter().any(|event| event["kind"] == "audit_broken").then_some(())
    };
    eventually("the event", Duration::from_secs(40), kinds).await;
    let mail = post.mail(OWNER.0, "The audit log is broken").await;
    assert!(
        mail["text"]
            .as_str()
            .expect("a text")
            .contains("found the chain of the audit log broken"),
        "{mail}"
    );
    panel.cli(&["audit", "verify"]).await.expect(1);
}

//! Single sign-on by SAML 2.0: with SimpleSAMLphp, and with a provider that forges.

use reqwest::Method;
use serde_json::{Value, json};
use std::{fs, path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use testkit::{Api, OWNER, Reply, TestPanel, eventually, reserve_ports};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// As a page of the panel asks.
async fn from_page(panel: &TestPanel, browser: &Api, path: &str, body: Value) -> Reply {
    let request = browser.request(Method::POST, path).header("origin", panel.url()).json(&body);
    browser.send(request).await
}

async fn begin(panel: &TestPanel, browser: &Api, provider: &str) -> String {
    let away = from_page(panel, browser, "/api/v1/session/saml/begin", json!({"provider": provider})).await;
    away.expect(200).json()["url"].as_str().expect("an address").to_owned()
}

/// The form that a provider lets the browser send: from another site, so without the panel's cookies. What `/sso` is opened with.
async fn bring(panel: &TestPanel, consumer: &str, state: &str, answer: &str) -> String {
    let nobody = panel.anonymous();
    let form = [("SAMLResponse", answer), ("RelayState", state)];
    let request = nobody
        .request(Method::POST, consumer)
        .header("origin", "https://id.example.com")
        .form(&form);
    let reply = nobody.send(request).await.expect(303);
    assert!(reply.headers.get("set-cookie").is_none(), "nobody is signed in yet");
    let location = reply.headers["location"].to_str().expect("a text").to_owned();
    location.strip_prefix("/sso?saml=").expect("the panel's page").to_owned()
}

async fn finish(panel: &TestPanel, browser: &Api, landed: &str) -> Reply {
    from_page(panel, browser, "/api/v1/session/saml", json!({"answer": landed})).await
}

fn wish(name: &str, saml: Value) -> Value {
    json!({
        "name": name,
        "saml": saml,
        "groups": [{"group": "dev", "role": "developer"}, {"group": "ops", "role": "admin"}],
        "domains": ["example.com", "example.test"],
    })
}

async fn keep(owner: &Api, body: Value) -> String {
    let made = owner.post("/api/v1/identity-providers", body).await.expect(201).json();
    made["id"].as_str().expect("an id").to_owned()
}

/// SimpleSAMLphp in a folder of its own, behind PHP's own server; it stops when this is dropped.
struct Simple {
    folder: TempDir,
    base: String,
    _process: Child,
}

impl Simple {
    async fn start() -> Simple {
        let folder = tempfile::Builder::new().prefix("sk-saml-").tempdir().expect("a temporary folder");
        let port = reserve_ports(1)[0];
        let base = format!("http://127.0.0.1:{port}/simplesaml");
        let at = |name: &str| folder.path().join(name);
        for name in ["www", "config", "metadata", "cert", "log", "data", "tmp"] {
            fs::create_dir(at(name)).expect("made");
        }
        std::os::unix::fs::symlink("/usr/share/simplesamlphp/www", at("www/simplesaml")).expect("linked");
        let config = format!(
            "<?php $config = ['baseurlpath' => '{base}/', 'certdir' => '{0}/cert/', 'loggingdir' => '{0}/log/', 'datadir' => '{0}/data/', \
             'tempdir' => '{0}/tmp', 'metadatadir' => '{0}/metadata/', 'attributenamemapdir' => '/etc/simplesamlphp/attributemap/', \
             'secretsalt' => 'of-a-test-only', 'auth.adminpassword' => 'of-a-test-only', 'timezone' => 'UTC', \
             'technicalcontact_email' => 'na@example.org', 'logging.handler' => 'file', 'showerrors' => true, 'errorreporting' => false, \
             'enable.saml20-idp' => true, 'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true], \
             'session.cookie.secure' => false, 'session.cookie.samesite' => null, 'session.phpsession.cookiename' => 'SimpleSAML', \
             'session.phpsession.savepath' => '{0}/tmp', 'store.type' => 'phpsession', 'language.default' => 'en', 'theme.use' => 'default', \
             'metadata.sources' => [['type' => 'flatfile'], ['type' => 'xml', 'file' => '{0}/metadata/panel.xml']]];",
            folder.path().display()
        );
        fs::write(at("config/config.php"), config).expect("written");
        fs::write(at("config/authsources.php"), PEOPLE).expect("written");
        let log = fs::File::create(at("log/php.log")).expect("written");
        let process = Command::new("php")
            .args([
                "-d",
                "display_errors=0",
                "-d",
                "opcache.enable=0",
                "-S",
                &format!("127.0.0.1:{port}"),
                "-t",
            ])
            .arg(at("www"))
            .env("SIMPLESAMLPHP_CONFIG_DIR", at("config"))
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("php-cli is installed, and simplesamlphp");
        let simple = Simple {
            folder,
            base,
            _process: process,
        };
        simple.roll("one").await;
        simple.hosted("");
        eventually("SimpleSAMLphp listens", Duration::from_secs(30), || async move {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        simple
    }

    /// A new key and certificate.
    async fn roll(&self, name: &str) {
        let at = |end: &str| self.folder.path().join(format!("cert/idp.{end}"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "30",
                "-subj",
                &format!("/CN={name}"),
                "-keyout",
            ])
            .arg(at("key"))
            .arg("-out")
            .arg(at("crt"))
            .output()
            .await
            .expect("openssl is installed");
        assert!(made.status.success());
    }

    /// How it answers: with what is said more.
    fn hosted(&self, more: &str) {
        let text = format!(
            "<?php $metadata['__DYNAMIC:1__'] = ['host' => '__DEFAULT__', 'privatekey' => 'idp.key', 'certificate' => 'idp.crt', \
             'auth' => 'people', 'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256', {more} 'authproc' => [10 => \
             ['class' => 'saml:AttributeNameID', 'attribute' => 'uid', 'Format' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent']]];"
        );
        // PHP reads it anew at each request.
        fs::write(self.folder.path().join("metadata/saml20-idp-hosted.php"), text).expect("written");
    }

    fn metadata(&self) -> String {
        format!("{}/saml2/idp/metadata.php", self.base)
    }

    /// What a browser does there: signs in, and is given a form.
    async fn walk(&self, url: &str, login: &str) -> (String, String, String) {
        let page = self.curl(&["-L", url]).await;
        let state = field(&page, "AuthState");
        let to = format!("{}/module.php/core/loginuserpass.php", self.base);
        let form = [
            format!("AuthState={state}"),
            format!("username={login}"),
            format!("password={login}s-word"),
        ];
        let mut arguments = vec!["-L", to.as_str()];
        arguments.extend(form.iter().flat_map(|one| ["--data-urlencode", one.as_str()]));
        let page = self.curl(&arguments).await;
        let (_, action) = page.split_once("action=\"").unwrap_or_else(|| panic!("no form: {page}"));
        let action = action.split('"').next().expect("an address").replace("&amp;", "&");
        // Signed in there for this once only.
        fs::remove_file(self.folder.path().join("jar")).expect("there was one");
        (action, field(&page, "RelayState"), field(&page, "SAMLResponse"))
    }

    async fn curl(&self, arguments: &[&str]) -> String {
        let jar = self.folder.path().join("jar");
        let done = Command::new("curl")
            .args(["-s", "-b"])
            .arg(&jar)
            .arg("-c")
            .arg(&jar)
            .args(arguments)
            .output();
        let done = done.await.expect("curl is installed");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }
}

const PEOPLE: &str = "<?php $config = ['admin' => ['core:AdminPassword'], 'people' => ['exampleauth:UserPass', \
    'bob:bobs-word' => ['uid' => ['bob'], 'mail' => ['bob@example.com'], 'displayName' => ['Bob Büilder & <Sons>'], 'groups' => ['dev', 'staff']], \
    'eve:eves-word' => ['uid' => ['eve'], 'mail' => ['eve@example.com'], 'displayName' => ['Eve'], 'groups' => ['guests']]]];";

/// The value of a field in a page.
fn field(page: &str, name: &str) -> String {
    let (_, rest) = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap_or_else(|| panic!("no {name} in {page}"));
    let value = rest.split('"').next().expect("a value");
    value
        .replace("&quot;", "\"")
        .replace("&#039;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[tokio::test]
async fn simplesamlphp_lets_people_in_and_out() {
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let simple = Simple::start().await;
    let provider = keep(&owner, wish("Example", json!({"metadata_url": simple.metadata()}))).await;
    let path = format!("/api/v1/identity-providers/{provider}");
    let shown = owner.get(&path).await.expect(200).json();
    assert_eq!(shown["saml"]["own_metadata"], format!("/saml/{provider}/metadata"), "{shown}");
    assert!(!shown.to_string().contains("\"key\""), "{shown}");
    // It reads the panel's metadata as the panel writes it, and checks the panel's signatures by it.
    let own = panel.anonymous().get(&format!("/saml/{provider}/metadata")).await.expect(200);
    assert_eq!(own.headers["content-type"], "application/samlmetadata+xml");
    let own = own.text();
    fs::write(simple.folder.path().join("metadata/panel.xml"), &own).expect("written");
    let report = owner.post(&format!("{path}/test"), json!({})).await.expect(200).json();
    assert_eq!(report["ok"], true, "{report}");
    let offered = panel.anonymous().get("/api/v1/session/providers").await.expect(200).json();
    assert_eq!(offered["items"][0]["kind"], "saml", "{offered}");

    let sign_in = async |browser: &Api, login: &str| {
        let url = begin(&panel, browser, &provider).await;
        let (consumer, state, answer) = simple.walk(&url, login).await;
        assert_eq!(consumer, format!("{}/saml/{provider}/acs", panel.url()));
        let landed = bring(&panel, &consumer, &state, &answer).await;
        finish(&panel, browser, &landed).await
    };
    let browser = panel.browser();
    let session = sign_in(&browser, "bob").await.expect(201).json();
    assert_eq!(
        (
            session["user"]["email"].as_str(),
            session["user"]["role"].as_str(),
            session["user"]["name"].as_str()
        ),
        (Some("bob@example.com"), Some("developer"), Some("Bob Büilder & <Sons>"))
    );
    browser.get("/api/v1/apps").await.expect(200);
    let refused = sign_in(&panel.browser(), "eve").await.expect(401).json();
    assert!(refused["detail"].as_str().expect("words").contains("groups"), "{refused}");

    // What it signs, and encrypted or not; the same person each time. What the panel's metadata asks for goes before its own
    // settings. Other ciphers than its AES-128-CBC are the forger's.
    let lax = own.replace(" WantAssertionsSigned=\"true\"", "");
    assert_ne!(lax, own);
    fs::write(simple.folder.path().join("metadata/panel.xml"), lax).expect("written");
    for how in [
        "'saml20.sign.response' => true, 'saml20.sign.assertion' => true,",
        "'saml20.sign.response' => true, 'saml20.sign.assertion' => false,",
        "'saml20.sign.response' => false, 'saml20.sign.assertion' => true,",
        "'saml20.sign.response' => false, 'saml20.sign.assertion' => true, 'assertion.encryption' => true,",
        "'saml20.sign.response' => true, 'saml20.sign.assertion' => true, 'assertion.encryption' => true,",
        "'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512',",
    ] {
        simple.hosted(how);
        let reply = sign_in(&panel.browser(), "bob").await;
        assert_eq!(reply.status.as_u16(), 201, "{how}: {}", reply.text());
    }
    assert_eq!(owner.list("/api/v1/users").await.len(), 2);
    simple.hosted("'saml20.sign.response' => false, 'saml20.sign.assertion' => false,");
    let refused = sign_in(&panel.browser(), "bob").await.expect(401).json();
    assert!(refused["detail"].as_str().expect("words").contains("not signed"), "{refused}");
    simple.hosted("'signature.algorithm' => 'http://www.w3.org/2000/09/xmldsig#rsa-sha1',");
    let refused = sign_in(&panel.browser(), "bob").await.expect(401).json();
    assert!(refused["detail"].as_str().expect("words").contains("is not taken"), "{refused}");

    // A key that it rolled is known at once; pasted metadata is as old as it is.
    simple.hosted("");
    let pasted = simple.curl(&[&simple.metadata()]).await;
    simple.roll("two").await;
    sign_in(&panel.browser(), "bob").await.expect(201);
    let before = json!({"metadata": pasted, "email_attribute": "mail", "groups_attribute": "groups", "subject_attribute": "uid"});
    owner.put(&path, wish("Example", before)).await.expect(200);
    browser.get("/api/v1/apps").await.expect(401);
    let refused = sign_in(&panel.browser(), "bob").await.expect(401).json();
    assert!(refused["detail"].as_str().expect("words").contains("keys"), "{refused}");
    let pasted = simple.curl(&[&simple.metadata()]).await;
    let now = json!({"metadata": pasted, "email_attribute": "mail", "groups_attribute": "groups", "subject_attribute": "uid"});
    owner.put(&path, wish("Example", now)).await.expect(200);
    let browser = panel.browser();
    sign_in(&browser, "bob").await.expect(201);
    browser.get("/api/v1/apps").await.expect(200);
    owner.delete(&path).await.expect(204);
    browser.get("/api/v1/apps").await.expect(401);
    panel.anonymous().get(&format!("/saml/{provider}/metadata")).await.expect(404);
}

/// `saml-forger.mjs`; it stops when this is dropped.
struct Forger {
    base: String,
    _process: Child,
}

/// What it lets the browser send.
struct Forged {
    consumer: String,
    state: String,
    answer: String,
}

impl Forger {
    async fn start() -> Forger {
        let mut process = Command::new("node")
            .arg("saml-forger.mjs")
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let base = lines.next_line().await.expect("it talks").expect("it starts");
        Forger { base, _process: process }
    }

    async fn answer(&self, api: &Api, how: &str, url: &str, certificate: &str) -> Forged {
        let nobody = api.anonymous();
        let body = json!({"how": how, "url": url, "certificate": certificate});
        let request = nobody.request(Method::POST, &format!("{}/answer", self.base)).json(&body);
        let told = nobody.send(request).await.expect(200).json();
        assert_eq!(told["tenant"], "1", "the provider's own question stays in the address");
        let text = |name: &str| told[name].as_str().expect("a text").to_owned();
        Forged {
            consumer: text("acs"),
            state: text("RelayState"),
            answer: text("SAMLResponse"),
        }
    }
}

const GOOD: [&str; 8] = [
    "good",
    "both signed",
    "response signed",
    "by a curve",
    "encrypted",
    "encrypted by CBC",
    "named by mail",
    "clocks apart",
];

/// What is wrong, and a word of why.
const BAD: [(&str, &str); 61] = [
    ("wrapping 1", ""),
    ("wrapping 2", ""),
    ("wrapping 3", "more than one assertion"),
    ("wrapping 4", "more than one assertion"),
    ("wrapping 5", ""),
    ("wrapping 6", "more than one assertion"),
    ("wrapping 7", ""),
    ("wrapping 8", "more than one assertion"),
    ("wrapping, the same id", "twice"),
    ("wrapping, two signatures", ""),
    ("two assertions", "more than one assertion"),
    ("unsigned", "not signed"),
    ("signature elsewhere", "not signed"),
    ("changed", "changed"),
    ("other key", "none of the provider's keys"),
    ("none", "not taken"),
    ("empty signature", "keys"),
    ("hmac of the certificate", "not taken"),
    ("sha1", "not taken"),
    ("sha1 digest", "not taken"),
    ("empty reference", "another element"),
    ("reference elsewhere", "another element"),
    ("transform", "transforms"),
    ("xpath", "transforms"),
    ("comment in the name", "comment"),
    ("comment in the mail", "comment"),
    ("instruction in the name", "instruction"),
    ("document type", "document type"),
    ("outside entity", "document type"),
    ("entity bomb", "document type"),
    ("deep", "deep"),
    ("no XML", ""),
    ("audience", "audience"),
    ("no audience", "AudienceRestriction"),
    ("recipient", "Recipient"),
    ("nobody may bear it", "SubjectConfirmation"),
    ("destination", "Destination"),
    ("signed for nobody", "Destination"),
    ("issuer", "Issuer"),
    ("issuer around", "Issuer"),
    ("expired", "any more"),
    ("borne too late", "any more"),
    ("session is over", "any more"),
    ("not yet", "not valid yet"),
    ("unknown condition", "condition"),
    ("nobody signed in", "AuthnStatement"),
    ("unsolicited", "InResponseTo"),
    ("unsolicited inside", "InResponseTo"),
    ("of another request", "InResponseTo"),
    ("of another request inside", "InResponseTo"),
    ("no", "Not today"),
    ("no, with an assertion", "says no"),
    ("no assertion", "no assertion"),
    ("transient", "transient"),
    ("nobody", "NameID"),
    ("another domain", "domain"),
    ("the owner", "owners"),
    ("encrypted, not signed", "not signed"),
    ("encrypted for another", "cannot be read"),
    ("encrypted by PKCS 1", "RSA-OAEP"),
    ("encrypted and beside", "more than one assertion"),
];

/// The panel's certificate in its metadata.
async fn certificate(panel: &TestPanel, provider: &str) -> String {
    let text = panel
        .anonymous()
        .get(&format!("/saml/{provider}/metadata"))
        .await
        .expect(200)
        .text();
    let (_, rest) = text.split_once("<ds:X509Certificate>").expect("a certificate");
    rest.split('<').next().expect("it ends").to_owned()
}

#[tokio::test]
async fn forged_answers_let_nobody_in() {
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let forger = Forger::start().await;
    let provider = keep(&owner, wish("Forger", json!({"metadata_url": format!("{}/metadata", forger.base)}))).await;
    let certificate = certificate(&panel, &provider).await;
    for (how, words) in GOOD
        .map(|how| (how, None))
        .into_iter()
        .chain(BAD.map(|(how, words)| (how, Some(words))))
    {
        let browser = panel.browser();
        let url = begin(&panel, &browser, &provider).await;
        let forged = forger.answer(&owner, how, &url, &certificate).await;
        let landed = bring(&panel, &forged.consumer, &forged.state, &forged.answer).await;
        let reply = finish(&panel, &browser, &landed).await;
        let Some(words) = words else {
            assert_eq!(reply.status.as_u16(), 201, "{how}: {}", reply.text());
            assert_eq!(reply.json()["user"]["email"], "mallory@example.com", "{how}");
            continue;
        };
        assert_eq!(reply.status.as_u16(), 401, "{how}: {}", reply.text());
        assert!(reply.text().contains(words), "{how}: {}", reply.text());
        browser.get("/api/v1/apps").await.expect(401);
    }
    let people = owner.list("/api/v1/users").await;
    assert!(!json!(people).to_string().contains("admin@example.com"), "{people:?}");
}

/// The provider's own session is an hour long there (`SessionNotOnOrAfter`): no renewal takes ours beyond it.
#[tokio::test]
async fn a_session_ends_with_the_one_at_the_provider() {
    let mut panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let forger = Forger::start().await;
    let provider = keep(&owner, wish("Forger", json!({"metadata_url": format!("{}/metadata", forger.base)}))).await;
    let browser = panel.browser();
    let url = begin(&panel, &browser, &provider).await;
    let forged = forger.answer(&owner, "good", &url, "").await;
    let landed = bring(&panel, &forged.consumer, &forged.state, &forged.answer).await;
    finish(&panel, &browser, &landed).await.expect(201);
    for (shift, status) in [("+50m", 200), ("+70m", 401)] {
        panel.stop().await;
        panel.start_again_with(|options| options.clock(Some(shift))).await;
        browser.post("/api/v1/session/refresh", json!({})).await.expect(status);
        owner.post("/api/v1/session/refresh", json!({})).await.expect(200);
    }
}

#[tokio::test]
async fn an_answer_counts_once_and_in_the_browser_that_asked() {
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let forger = Forger::start().await;
    let metadata = json!({"metadata_url": format!("{}/metadata", forger.base)});
    let provider = keep(&owner, wish("Forger", metadata.clone())).await;
    let other = keep(&owner, wish("Other", metadata)).await;
    let browser = panel.browser();
    let answered = async |browser: &Api| {
        let url = begin(&panel, browser, &provider).await;
        forger.answer(&owner, "good", &url, "").await
    };
    let bring_in = async |forged: &Forged| bring(&panel, &forged.consumer, &forged.state, &forged.answer).await;

    // Another browser, to which somebody sent the answer: it signs nobody in, and is used up.
    let forged = answered(&browser).await;
    let landed = bring_in(&forged).await;
    finish(&panel, &panel.browser(), &landed).await.expect(401);
    finish(&panel, &browser, &landed).await.expect(401);
    // A browser that began a sign-in of its own.
    let victim = panel.browser();
    begin(&panel, &victim, &provider).await;
    let landed = bring_in(&answered(&browser).await).await;
    finish(&panel, &victim, &landed).await.expect(401);

    // The same answer twice, and with the word of another sign-in.
    let forged = answered(&browser).await;
    let landed = bring_in(&forged).await;
    finish(&panel, &browser, &landed).await.expect(201);
    finish(&panel, &browser, &landed).await.expect(401);
    assert_eq!(bring_in(&forged).await, "none");
    let next = answered(&browser).await;
    let landed = bring(&panel, &forged.consumer, &next.state, &forged.answer).await;
    let refused = finish(&panel, &browser, &landed).await.expect(401).text();
    assert!(refused.contains("InResponseTo"), "{refused}");

    let next = answered(&browser).await;
    // What nobody asked for, what came to another provider's address, what is no answer, and what is too much.
    for (consumer, state, answer) in [
        (forged.consumer.clone(), "", forged.answer.as_str()),
        (forged.consumer.clone(), "made-up", forged.answer.as_str()),
        (
            forged.consumer.replace(&provider, &other),
            next.state.as_str(),
            forged.answer.as_str(),
        ),
    ] {
        assert_eq!(bring(&panel, &consumer, state, answer).await, "none");
    }
    finish(&panel, &browser, "none").await.expect(401);
    for answer in ["", "&&&", "AAAA", &"A".repeat(800_000)] {
        let next = answered(&browser).await;
        let landed = bring(&panel, &next.consumer, &next.state, answer).await;
        finish(&panel, &browser, &landed).await.expect(401);
    }
    let nobody = panel.anonymous();
    let large = nobody
        .request(Method::POST, &forged.consumer)
        .body("SAMLResponse=".to_owned() + &"A".repeat(2 << 20));
    assert_eq!(nobody.send(large).await.status.as_u16(), 413);
    nobody.get(&forged.consumer).await.expect(404);
    nobody.get("/saml/idp_00000000000000000000000000/metadata").await.expect(404);

    // Turned off between the going and the coming.
    let next = answered(&browser).await;
    let path = format!("/api/v1/identity-providers/{provider}");
    let mut off = wish("Forger", json!({"metadata_url": format!("{}/metadata", forger.base)}));
    off["enabled"] = json!(false);
    owner.put(&path, off).await.expect(200);
    let landed = bring_in(&next).await;
    finish(&panel, &browser, &landed).await.expect(401);
}

#[tokio::test]
async fn settings_are_checked_and_a_test_says_what_is_wrong() {
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let forger = Forger::start().await;
    let at = format!("{}/metadata", forger.base);
    for (saml, words) in [
        (json!({}), "metadata"),
        (json!({"metadata_url": at, "metadata": "<x/>"}), "not both"),
        (json!({"metadata_url": "http://id.example.com/metadata"}), "https"),
        (json!({"metadata_url": "https://user:word@id.example.com/metadata"}), "https"),
        (json!({"metadata": "<x/>"}), "not the metadata"),
        (json!({"metadata": "nothing"}), "metadata"),
        (json!({"metadata": "<!DOCTYPE x><x/>"}), "document type"),
        (json!({"metadata_url": at, "email_attribute": "a\nb"}), "email_attribute"),
        (json!({"metadata_url": at, "authority": "none"}), "authority"),
    ] {
        let reply = owner.post("/api/v1/identity-providers", wish("A", saml.clone())).await.expect(422);
        assert!(reply.text().contains(words), "{saml}: {}", reply.text());
    }
    for (name, saml, words) in [
        ("gone", json!({"metadata_url": "http://127.0.0.1:1/metadata"}), "cannot be used"),
        ("no metadata", json!({"metadata_url": panel.url()}), "metadata"),
        (
            "another",
            json!({"metadata_url": at, "entity_id": "https://other.example.com"}),
            "no identity provider called",
        ),
    ] {
        let id = keep(&owner, wish(name, saml)).await;
        let path = format!("/api/v1/identity-providers/{id}");
        let report = owner.post(&format!("{path}/test"), json!({})).await.expect(200).json();
        assert_eq!(
            (&report["ok"], &report["findings"][0]["what"]),
            (&json!(false), &json!("metadata")),
            "{name}: {report}"
        );
        assert!(report.to_string().contains(words), "{name}: {report}");
        from_page(&panel, &panel.browser(), "/api/v1/session/saml/begin", json!({"provider": id}))
            .await
            .expect(503);
        owner.delete(&path).await.expect(204);
    }

    // The same on the command line, by address and by file.
    let file = panel.data().join("metadata.xml");
    let text = panel.anonymous().get(&at).await.expect(200).text();
    fs::write(&file, text).expect("written");
    let file = file.display().to_string();
    let made = panel
        .cli(&[
            "identity-provider",
            "add-saml",
            "Forger",
            "--metadata-url",
            &at,
            "--group",
            "dev=developer",
        ])
        .await
        .expect(0);
    assert!(made.stdout.contains("/acs"), "{}", made.stdout);
    panel
        .cli(&["identity-provider", "add-saml", "Forger", "--replace", "--metadata-file", &file])
        .await
        .expect(0);
    panel.cli(&["identity-provider", "test", "Forger"]).await.expect(0);
    panel.cli(&["identity-provider", "disable", "Forger"]).await.expect(0);
    let list = panel.cli(&["--json", "identity-provider", "list"]).await.expect(0).json();
    assert_eq!(
        (&list["items"][0]["kind"], &list["items"][0]["enabled"]),
        (&json!("saml"), &json!(false)),
        "{list}"
    );
    panel.cli(&["identity-provider", "add-saml", "X"]).await.expect(2);
}

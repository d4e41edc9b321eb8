//! Signing in by a directory, with a real slapd: over TLS from the start and by StartTLS, with groups, and when somebody is gone.

use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Stdio, time::Duration};
use tempfile::TempDir;
use testkit::{Api, OWNER, Reply, TestAuthority, TestPanel, eventually, reserve_ports};
use tokio::process::{Child, Command};

const ADMIN: (&str, &str) = ("cn=admin,dc=example,dc=com", "the admin's word");

/// A directory in a folder of its own; it stops when this is dropped.
struct Slapd {
    folder: TempDir,
    plain: u16,
    tls: u16,
    authority: String,
    process: Option<Child>,
}

impl Slapd {
    async fn start() -> Slapd {
        let folder = tempfile::Builder::new().prefix("sk-ldap-").tempdir().expect("a temporary folder");
        let ports = reserve_ports(2);
        let authority = TestAuthority::new();
        let (certificate, key) = authority.issue(&["localhost", "127.0.0.1"], 30);
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(at("data")).expect("made");
        for (name, text) in [("certificate.pem", &certificate), ("key.pem", &key), ("ca.pem", &authority.pem())] {
            fs::write(at(name), text).expect("written");
        }
        // Where the machine confines slapd to its own folders, a copy may use these.
        fs::copy("/usr/sbin/slapd", at("slapd")).expect("slapd is installed (Debian package slapd)");
        let config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n\
             modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload memberof\n\
             TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
             database mdb\nsuffix dc=example,dc=com\nrootdn {}\nrootpw \"{}\"\ndirectory {}\noverlay memberof\n\
             access to attrs=userPassword by anonymous auth by * none\naccess to * by users read by anonymous auth\n",
            at("ca.pem"),
            at("certificate.pem"),
            at("key.pem"),
            ADMIN.0,
            ADMIN.1,
            at("data"),
        );
        fs::write(at("slapd.conf"), config).expect("written");
        let mut slapd = Slapd {
            authority: authority.pem(),
            plain: ports[0],
            tls: ports[1],
            process: None,
            folder,
        };
        slapd.run().await;
        slapd.change("ldapadd", PEOPLE).await;
        slapd
    }

    async fn run(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        let process = Command::new(at("slapd"))
            .args(["-d", "0", "-f"])
            .arg(at("slapd.conf"))
            .args(["-h", &format!("ldap://127.0.0.1:{} ldaps://127.0.0.1:{}", self.plain, self.tls)])
            .stdout(Stdio::null())
            .stderr(fs::File::create(at("log")).expect("written"))
            .kill_on_drop(true)
            .spawn()
            .expect("slapd starts");
        self.process = Some(process);
        let port = self.tls;
        eventually("the directory listens", Duration::from_secs(20), || async move {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
    }

    async fn stop(&mut self) {
        self.process.take().expect("it runs").kill().await.expect("it is ours");
    }

    /// Runs `ldapadd` or `ldapmodify`.
    async fn change(&self, tool: &str, ldif: &str) {
        let file: PathBuf = self.folder.path().join("change.ldif");
        fs::write(&file, ldif).expect("written");
        let done = Command::new(tool)
            .args([
                "-x",
                "-H",
                &format!("ldap://127.0.0.1:{}", self.plain),
                "-D",
                ADMIN.0,
                "-w",
                ADMIN.1,
                "-f",
            ])
            .arg(&file)
            .output()
            .await
            .expect("ldap-utils is installed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

const PEOPLE: &str = "\
dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: uid=bob,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: bob
cn: Bob Builder
sn: Builder
mail: bob@example.com
userPassword: bob's word

dn: uid=eve (the second)*,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: eve (the second)*
cn: Eve
sn: Eve
mail: eve@example.com
userPassword: eve's word

dn: uid=nomail,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: nomail
cn: No Mail
sn: Mail
userPassword: nomail's word

dn: cn=dev,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: dev
member: uid=bob,ou=people,dc=example,dc=com
member: uid=eve (the second)*,ou=people,dc=example,dc=com
member: uid=nomail,ou=people,dc=example,dc=com

dn: cn=ops,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: ops
member: cn=admin,dc=example,dc=com
";

fn provider(slapd: &Slapd, name: &str, changes: Value) -> Value {
    let mut ldap = json!({
        "url": format!("ldaps://127.0.0.1:{}", slapd.tls),
        "authority": slapd.authority,
        "bind_dn": ADMIN.0,
        "bind_password": ADMIN.1,
        "base": "ou=people,dc=example,dc=com",
        "group_base": "ou=groups,dc=example,dc=com",
        "group_filter": "(&(objectClass=groupOfNames)(member={dn}))",
    });
    for (name, value) in changes.as_object().expect("an object") {
        ldap[name] = value.clone();
    }
    json!({
        "name": name,
        "ldap": ldap,
        "groups": [{"group": "dev", "role": "developer"}, {"group": "cn=ops,ou=groups,dc=example,dc=com", "role": "admin"}],
    })
}

async fn keep(owner: &Api, body: Value) -> String {
    let made = owner.post("/api/v1/identity-providers", body).await.expect(201).json();
    made["id"].as_str().expect("an id").to_owned()
}

fn sign_in(provider: &str, user: &str, password: &str) -> Value {
    json!({"provider": provider, "user": user, "password": password})
}

/// What was told of this kind.
async fn told(panel: &TestPanel, kind: &str) -> Vec<String> {
    let mut events = panel.list("/api/v1/events/history").await;
    events.retain(|event| event["kind"] == kind);
    let texts = events.iter().map(|event| event["text"].as_str().expect("a text").to_owned());
    texts.collect()
}

async fn enters(browser: &Api, provider: &str, user: &str, password: &str) -> Reply {
    browser.post("/api/v1/session/ldap", sign_in(provider, user, password)).await
}

/// Wrong, unknown, empty, and what would be another filter: all the same.
async fn nobody_else_is_let_in(panel: &TestPanel, id: &str) {
    let mut words = Vec::new();
    for (user, password) in [
        ("bob", "wrong"),
        ("bob", ""),
        ("nobody", "bob's word"),
        ("*", "bob's word"),
        ("b*", "bob's word"),
        ("bob)(uid=*", "bob's word"),
        ("*)(|(uid=*", "bob's word"),
        ("", ""),
        ("bob\\", "bob's word"),
        ("bob\u{0}", "bob's word"),
    ] {
        let reply = enters(&panel.browser(), id, user, password).await;
        words.push((reply.status.as_u16(), reply.json()["detail"].clone()));
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
    assert_eq!(words[0].0, 401);
    // Whoever guards the panel hears of it, as of a wrong password of its own.
    assert_eq!(told(panel, "login_failed").await, ["failed to sign in as bob@example.com"; 2]);
}

/// For this name from here; but those who guess keep nobody out of a browser that they have signed in with before.
async fn guessing_is_slowed_down(panel: &TestPanel, id: &str, known: &Api) {
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(enters(&panel.browser(), id, "victim", "guess").await.status.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let mut status = 0;
    for _ in 0..12 {
        status = enters(&panel.browser(), id, "bob", "guess").await.status.as_u16();
        if status == 429 {
            break;
        }
    }
    assert_eq!(status, 429);
    enters(known, id, "bob", "bob's word").await.expect(201);
}

#[tokio::test]
async fn a_directory_lets_people_in_and_out() {
    let slapd = Slapd::start().await;
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let id = keep(&owner, provider(&slapd, "Directory", json!({}))).await;
    let path = format!("/api/v1/identity-providers/{id}");
    assert!(!owner.get(&path).await.expect(200).text().contains(ADMIN.1));
    let report = owner.post(&format!("{path}/test"), json!({"user": "bob"})).await.expect(200).json();
    assert_eq!(report["ok"], true, "{report}");
    assert!(
        report.to_string().contains("bob@example.com") && report.to_string().contains("cn=dev"),
        "{report}"
    );

    let browser = panel.browser();
    let session = enters(&browser, &id, "bob", "bob's word").await.expect(201).json();
    assert_eq!(
        (session["user"]["email"].as_str(), session["user"]["role"].as_str()),
        (Some("bob@example.com"), Some("developer"))
    );
    assert_eq!(session["user"]["name"], "Bob Builder");
    browser.get("/api/v1/apps").await.expect(200);

    nobody_else_is_let_in(&panel, &id).await;
    // Letters that a filter and a name would read otherwise are the person's own.
    enters(&panel.browser(), &id, "eve (the second)*", "eve's word").await.expect(201);
    enters(&panel.browser(), &id, "nomail", "nomail's word").await.expect(401);

    // Another group, another role at the next sign-in.
    slapd
        .change(
            "ldapmodify",
            "dn: cn=ops,ou=groups,dc=example,dc=com\nchangetype: modify\nadd: member\nmember: uid=bob,ou=people,dc=example,dc=com\n",
        )
        .await;
    let session = enters(&panel.browser(), &id, "bob", "bob's word").await.expect(201).json();
    assert_eq!(session["user"]["role"], "admin");
    assert_eq!(told(&panel, "role_raised").await, ["raised bob@example.com to the role admin"]);

    guessing_is_slowed_down(&panel, &id, &browser).await;

    // Gone there: gone here, when the session is renewed a while later.
    panel.signed_in(OWNER.0, OWNER.1).await.get("/api/v1/apps").await.expect(200);
    owner.delete(&path).await.expect(204);
    browser.get("/api/v1/apps").await.expect(401);
}

#[tokio::test]
async fn by_start_tls_and_member_of_and_with_everything_that_can_be_wrong() {
    let mut slapd = Slapd::start().await;
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    let upgraded = json!({
        "url": format!("ldap://localhost:{}", slapd.plain),
        "start_tls": true,
        "group_base": null,
        "group_filter": null,
        "groups_attribute": "memberOf",
    });
    let id = keep(&owner, provider(&slapd, "StartTLS", upgraded)).await;
    let session = panel
        .browser()
        .post("/api/v1/session/ldap", sign_in(&id, "bob", "bob's word"))
        .await
        .expect(201)
        .json();
    assert_eq!(session["user"]["role"], "developer", "by memberOf");

    for (name, changes, what) in [
        ("unknown authority", json!({"authority": null}), "connection"),
        ("nobody there", json!({"url": "ldaps://127.0.0.1:1"}), "connection"),
        (
            "not TLS",
            json!({"url": format!("ldaps://127.0.0.1:{}", slapd.plain)}),
            "connection",
        ),
        ("wrong password", json!({"bind_password": "guessed"}), "search account"),
        ("wrong account", json!({"bind_dn": "cn=nobody,dc=example,dc=com"}), "search account"),
        ("wrong base", json!({"base": "ou=nowhere,dc=example,dc=com"}), "base"),
        ("nobody may search", json!({"bind_dn": null, "bind_password": ""}), "base"),
        ("wrong filter", json!({"filter": "(mail={user})"}), "person"),
    ] {
        let id = keep(&owner, provider(&slapd, name, changes)).await;
        let path = format!("/api/v1/identity-providers/{id}");
        let report = owner.post(&format!("{path}/test"), json!({"user": "bob"})).await.expect(200).json();
        let findings = report["findings"].as_array().expect("a list");
        let wrong = findings
            .iter()
            .find(|one| one["ok"] == false)
            .unwrap_or_else(|| panic!("{name}: {report}"));
        assert_eq!(wrong["what"], what, "{name}: {report}");
        let reply = panel
            .browser()
            .post("/api/v1/session/ldap", sign_in(&id, "bob", "bob's word"))
            .await;
        assert!(
            matches!(reply.status.as_u16(), 401 | 503),
            "{name}: {} {}",
            reply.status,
            reply.text()
        );
        owner.delete(&path).await.expect(204);
    }

    // A directory that does not answer signs nobody in, and nobody out.
    let browser = panel.browser();
    browser
        .post("/api/v1/session/ldap", sign_in(&id, "bob", "bob's word"))
        .await
        .expect(201);
    slapd.stop().await;
    panel
        .browser()
        .post("/api/v1/session/ldap", sign_in(&id, "bob", "bob's word"))
        .await
        .expect(503);
    browser.post("/api/v1/session/refresh", json!({})).await.expect(200);
    browser.get("/api/v1/apps").await.expect(200);
    // Back, and without them: the next renewal after a minute ends it.
    slapd.run().await;
    slapd
        .change("ldapmodify", "dn: uid=bob,ou=people,dc=example,dc=com\nchangetype: delete\n")
        .await;
    let ended = eventually("the session of somebody who is gone ends", Duration::from_secs(90), || {
        let browser = browser.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let reply = browser.post("/api/v1/session/refresh", json!({})).await;
            (reply.status.as_u16() == 401).then_some(reply)
        }
    })
    .await;
    assert!(ended.text().contains("ended"), "{}", ended.text());
    browser.get("/api/v1/apps").await.expect(401);
    panel.signed_in(OWNER.0, OWNER.1).await.get("/api/v1/apps").await.expect(200);
}

/// Roles that people made, in the whole and in one project, for as long as the directory has somebody in the group.
#[tokio::test]
async fn groups_of_a_directory_give_roles_that_people_made() {
    const OPS: &str = "cn=ops,ou=groups,dc=example,dc=com";
    let slapd = Slapd::start().await;
    let panel = TestPanel::start().await;
    let owner = panel.signed_in(OWNER.0, OWNER.1).await;
    owner.post("/api/v1/projects", json!({"name": "other"})).await.expect(201);
    let projects = owner.list("/api/v1/projects").await;
    let first = projects
        .iter()
        .find(|one| one["name"] != "other")
        .expect("it is there from the start");
    let here = format!("project:{}", first["id"].as_str().expect("an id"));
    let image = json!({"kind": "image", "reference": "nginx"});
    let blog = panel.create_app(json!({"name": "blog", "source": image, "deploy": false})).await;
    let wiki = panel
        .create_app(json!({"name": "wiki", "project": "other", "source": image, "deploy": false}))
        .await;
    let path = |app: &Value| format!("/api/v1/apps/{}", app["id"].as_str().expect("an id"));
    let (blog, wiki) = (path(&blog), path(&wiki));
    owner
        .post("/api/v1/roles", json!({"name": "Builder", "rights": ["configure"]}))
        .await
        .expect(201);
    let mut body = provider(&slapd, "Directory", json!({}));
    body["groups"] = json!([{"group": "dev", "role": "Builder", "place": here}, {"group": OPS, "role": "Builder"}]);
    let id = keep(&owner, body).await;
    let bob = panel.browser();
    let enter = async || {
        let entered = bob.post("/api/v1/session/ldap", sign_in(&id, "bob", "bob's word")).await;
        assert_eq!(entered.expect(201).json()["user"]["role"], "member");
    };
    let change = async |group: &str, how: &str| {
        let member = "member: uid=bob,ou=people,dc=example,dc=com";
        let ldif = format!("dn: {group}\nchangetype: modify\n{how}: member\n{member}\n");
        slapd.change("ldapmodify", &ldif).await;
    };

    // In `dev`, which gives it in one project.
    enter().await;
    bob.patch(&blog, json!({"port": 81})).await.expect(200);
    bob.patch(&wiki, json!({"port": 81})).await.expect(404);
    bob.delete(&blog).await.expect(403);
    assert_eq!(bob.list("/api/v1/apps").await.len(), 1);
    // In `ops` too, which gives it everywhere.
    change(OPS, "add").await;
    enter().await;
    bob.patch(&wiki, json!({"port": 82})).await.expect(200);
    bob.delete(&wiki).await.expect(403);
    assert_eq!(bob.list("/api/v1/apps").await.len(), 2);
    // Not any more: what is left is what `dev` gives.
    change(OPS, "delete").await;
    enter().await;
    bob.patch(&wiki, json!({"port": 83})).await.expect(404);
    bob.patch(&blog, json!({"port": 83})).await.expect(200);
    // In none of them: not let in, and out where he was.
    change("cn=dev,ou=groups,dc=example,dc=com", "delete").await;
    let refused = panel
        .browser()
        .post("/api/v1/session/ldap", sign_in(&id, "bob", "bob's word"))
        .await;
    let words = refused.expect(401).detail();
    assert!(words.contains("none of your groups"), "{words}");
    bob.get("/api/v1/apps").await.expect(401);
}

//! Templates: reading, values, rules, and the published schema.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use types::{Chance, SystemClock, World};

const GOOD: &str = include_str!("../tests/good/template.yaml");
const COMPOSE: &str = include_str!("../tests/good/compose.yaml");

fn good() -> Template {
    read(GOOD).expect("the example is a template")
}

fn findings(template: &str, compose: &str) -> Vec<String> {
    check("good", template, compose, &World::system())
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_example_keeps_all_rules() {
    assert_eq!(findings(GOOD, COMPOSE), [""; 0]);
}

/// The example with one text in place of another breaks this rule.
#[track_caller]
fn breaks(file: &str, from: &str, to: &str, words: &str) {
    let text = if file == "template" { GOOD } else { COMPOSE };
    assert!(text.contains(from), "the example has no `{from}`");
    let changed = text.replacen(from, to, 1);
    let found = match file {
        "template" => findings(&changed, COMPOSE),
        _ => findings(GOOD, &changed),
    };
    assert!(
        found.iter().any(|one| one.contains(words)),
        "`{to}` in place of `{from}`: {words} is not in {found:#?}"
    );
}

#[test]
fn rules_of_the_template() {
    for (from, to, words) in [
        ("schema: 1", "schema: 2", "schema must be 1"),
        ("name: good", "name: bad", "that of its folder"),
        ("name: good", "name: G", "2 to 40"),
        ("version: \"1.2.3-1\"", "version: \"1.2.3\"", "a revision"),
        ("Keeps notes for a team.", "Keeps notes for a team", "full stop"),
        ("text: Go", "text: Good", "one or two letters"),
        ("#336699", "blue", "icon.color"),
        ("categories: [notes]", "categories: [things]", "`things` is not known"),
        ("https://good.example", "http://good.example", "https://"),
        ("memory_mb: 256", "memory_mb: 0", "memory_mb"),
        (
            "memory_mb: 256",
            "memory: 256",
            "template.yaml:14: needs.memory: unknown field `memory`",
        ),
        ("path: /health", "path: health", "main.health"),
        ("service: web, port: 8080", "service: nope, port: 8080", "main.service `nope`"),
        (
            "name: domain, type: domain",
            "name: host, type: domain",
            "first variable must be `domain`",
        ),
        (
            "name: db_password, type: secret",
            "name: dbPassword, type: secret",
            "must be of a-z",
        ),
        ("name: db_password, type: secret", "name: domain, type: secret", "there twice"),
        ("length: 32", "length: 4", "8 to 256"),
        ("length: 32", "default: x", "has no default"),
        ("options: [small, large]", "pattern: x", "options are for enum"),
        ("default: small", "default: medium", "must be one of"),
        (
            "type: boolean, title: Open sign-up, default: false",
            "type: boolean, title: Open sign-up, default: maybe",
            "true or false",
        ),
        ("pattern: \"[a-z]+\"", "pattern: \"[a-\"", "not a regular expression"),
        (
            "name: db_password, type: secret",
            "name: memory_mb, type: secret",
            "may be called `memory_mb`",
        ),
        ("must_accept: true", "must_accept: true, default: true", "said by a person"),
        ("default: small", "generate: false", "generate is for secrets and passwords"),
        ("must_accept: true", "must_accept: true, required: false", "said by a person"),
        ("default: small", "must_accept: true", "must_accept is for boolean"),
        ("Open {{ url }}", "Open {{ url }} {{ memory_mb }}", "which is no variable"),
        (
            "{{ admin_password | bcrypt }}",
            "{{ admin_pasword | bcrypt }}",
            "not there before it",
        ),
        (
            "{{ admin_password | bcrypt }}",
            "{{ admin_password | crypt }}",
            "no function `crypt`",
        ),
        ("Open {{ url }}", "Open {{ adress }}", "which is no variable"),
        ("volume: data", "volume: dat", "no volume `dat`"),
        ("kind: postgres", "kind: files", "must be one of"),
        ("service: db, kind", "service: dba, kind", "no service `dba`"),
        ("service: console", "service: other", "`other` is not in"),
        (
            "name: site, type: text",
            "name: domain_console_9001, type: text",
            "`domain_console_9001` is for the domain of console:9001",
        ),
        ("password: changeme }", "password: \"\" }", "known_account needs a user"),
        ("password: changeme }", "password: other }", "must tell the password"),
        ("command: [good, init", "command: [good, \"{{ nope }}\"", "which is no variable"),
        ("title: \"Site's name\", ", "", "has no title"),
        ("tags: [team]", "tagz: [team]", "unknown field `tagz`"),
    ] {
        breaks("template", from, to, words);
    }
}

#[test]
fn rules_of_the_compose_file() {
    for (from, to, words) in [
        ("good/web:1.2.3", "good/web", "has no tag"),
        ("good/web:1.2.3", "good/web:latest", "tag that moves"),
        ("good/web:1.2.3", "good/web:1", "major version only"),
        (
            "\"{{ db_password }}\"",
            "hunter2-hunter2",
            "compose.yaml:7: `web`: DB_PASSWORD has a fixed value",
        ),
        ("\"{{ admin_hash }}\"", "\"{{ admin }}\"", "`admin` is not a variable"),
        ("\"{{ size }}\"", "small", "`size` is never used"),
        ("memory: 128M", "cpus: '1'", "no memory limit"),
        ("restart: unless-stopped", "restart: 'no'", "must have restart"),
        ("data:/data", "other:/data", "not among the `volumes`"),
        ("data:/data", "/data", "has no name"),
        ("data:/data", "/srv:/data", "`host_paths` is not among"),
        ("\"{{ ssh_port }}:22\"", "\"2222:22\"", "must be a variable of type port"),
        ("\"{{ ssh_port }}:22\"", "\"{{ ssh_port }}:8080\"", "must not be published"),
        (
            "image: postgres:15.8",
            "privileged: true\n    image: postgres:15.8",
            "`privileged` is not among",
        ),
        (
            "image: postgres:15.8",
            "container_name: db\n    image: postgres:15.8",
            "installed twice",
        ),
        ("healthcheck: {test: [CMD, pg_isready, -h, 127.0.0.1]}", "", "no healthcheck"),
        (
            "[CMD, pg_isready, -h, 127.0.0.1]",
            "[CMD-SHELL, pg_isready -U me]",
            "`db`: pg_isready without -h",
        ),
        ("{{ url }}", "{{ url | nope }}", "no function"),
        (
            "{{ size }}",
            "{{ size }} {{ memory_mb * 95% }}",
            "compose.yaml:10: `{{ memory_mb * 95% }}` leaves no room",
        ),
        (
            "{{ size }}",
            "{{ size }} -Xmx64m",
            "compose.yaml:10: `web`: an amount of memory that stays",
        ),
        (
            "mail = ",
            "location / { proxy_pass http://console:9001; }\n      mail = ",
            "`web`: nginx asks for the address of `console` once",
        ),
        (
            "mail = ",
            "location ~ x { fastcgi_pass db; }\n      mail = ",
            "`web`: nginx asks for the address of `db` once",
        ),
        (
            "restart: unless-stopped",
            "restart: unless-stopped\n    command: [cache, --maxmemory, 64mb]",
            "`web`: an amount of memory that stays",
        ),
    ] {
        breaks("compose", from, to, words);
    }
}

/// A name in a variable is asked for again, and other servers than the services do not move with a deployment.
#[test]
fn nginx_may_ask_for_addresses_again() {
    let again = "resolver 127.0.0.11;\n      set $$console console;\n      location / { proxy_pass http://$$console:9001; }";
    let outside = "location /out/ { proxy_pass https://other.example/; }\n      location /own/ { proxy_pass http://127.0.0.1:8080; }";
    for lines in [again, outside] {
        let changed = COMPOSE.replacen("mail = ", &format!("{lines}\n      mail = "), 1);
        assert_ne!(changed, COMPOSE);
        assert_eq!(findings(GOOD, &changed), [""; 0], "{lines}");
    }
}

#[test]
fn values_and_functions() {
    let given = BTreeMap::from([
        ("domain".to_owned(), "a.test".to_owned()),
        ("admin_password".to_owned(), "correct horse".to_owned()),
    ]);
    let values = Values::new(&good(), &given, "good", "https://a.test", "app_1").expect("values");
    let is = |expression: &str| values.evaluate(expression);
    assert_eq!(is("domain"), Ok("a.test".into()));
    assert_eq!(is(" url "), Ok("https://a.test".into()));
    assert_eq!(is("size"), Ok("small".into()));
    assert_eq!(is("'a b' | base64"), Ok("YSBi".into()));
    assert_eq!(is("base64('a b')"), Ok("YSBi".into()));
    assert_eq!(is("'ä/ ?' | urlencode"), Ok("%C3%A4%2F%20%3F".into()));
    assert_eq!(is("\"ABC\" | lower"), Ok("abc".into()));
    assert_eq!(is("'abc' | uuid"), Ok("ba7816bf-8f01-8fea-8141-40de5dae2223".into()));
    assert_eq!(
        is("'' | sha256_hex"),
        Ok("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into())
    );
    assert_eq!(is("lower(base64(domain))"), Ok("ys50zxn0".into()));
    let hash = is("admin_password | bcrypt").expect("a hash");
    assert!(bcrypt::verify("correct horse", &hash).expect("a bcrypt hash"), "{hash}");
    assert_eq!(is("admin_password | bcrypt"), Ok(hash.clone()), "the same each time");
    let other = Values::new(&good(), &given, "good", "https://a.test", "app_2").expect("values");
    assert_ne!(other.evaluate("admin_password | bcrypt"), Ok(hash), "another app has another salt");
    assert!(
        is("admin_password | argon2")
            .expect("a hash")
            .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
    );
    // Header, claims and signature of RFC 7515's kind, checked with another implementation.
    assert_eq!(
        is(r#"jwt_hs256("your-256-bit-secret", '{"sub":"1234567890"}')"#),
        Ok("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U".into())
    );
    assert_eq!(is("'1536' * 67%"), Ok("1029".into()));
    assert_eq!(is("'1023' * 50 % | gib"), Ok("0.4990234375".into()));
    assert_eq!(
        is("'18446744073709551615' * 100%"),
        Ok("184467440737095516".into()),
        "it does not wrap"
    );
    for (expression, words) in [
        ("domain * 50%", "of a whole number"),
        ("'10' * 0%", "only 1% to 100%"),
        ("'10' * 101%", "only 1% to 100%"),
        ("'10' * 50", "only 1% to 100%"),
        ("'10' * half%", "only 1% to 100%"),
        ("'10' * 50% * 50%", "is too much"),
        ("domain | gib", "takes MiB"),
        ("memory_mb", "is for Compose files in which `web` has a memory limit"),
        ("", "a name is missing"),
        ("nope", "not a variable"),
        ("domain |", "a name is missing"),
        ("domain | nope", "no function"),
        ("domain domain", "too much"),
        ("base64(domain", "missing"),
        ("'x", "not closed"),
        ("domain | jwt_hs256", "takes 2 values"),
        ("jwt_hs256(domain, 'x')", "not a JSON object"),
        ("1 + 1", "not a variable"),
    ] {
        let error = is(expression).expect_err(expression);
        assert!(error.contains(words), "{expression}: {error}");
    }
}

fn asked(kind: AskedKind) -> Asked {
    Asked {
        name: "x".into(),
        kind,
        title: None,
        description: None,
        required: None,
        default: None,
        length: None,
        alphabet: None,
        options: vec!["a".into(), "b".into()],
        pattern: Some("[a-z]+".into()),
        must_accept: false,
        generate: None,
    }
}

#[test]
fn what_variables_accept() {
    use AskedKind::{Boolean, Domain, Enum, Mail, Password, Port, Secret, Text};
    for (kind, good, bad) in [
        (Domain, "a.example.com", "a b"),
        (Mail, "a@b.test", "a@"),
        (Port, "8080", "70000"),
        (Port, "1", "0"),
        (Boolean, "true", "yes"),
        (Enum, "a", "c"),
        (Text, "abc", "abc1"),
        (Text, "abc", "ab\nc"),
        (Password, "long enough $\"{{", "short"),
        (Secret, "12345678", "1234567"),
        (Text, "x", "x\0"),
    ] {
        assert_eq!(asked(kind).accepts(good), Ok(()), "{good}");
        assert!(asked(kind).accepts(bad).is_err(), "{bad:?}");
    }
    let licence = Asked {
        must_accept: true,
        ..asked(Boolean)
    };
    assert_eq!(licence.accepts("true"), Ok(()));
    for value in ["", "false", "yes"] {
        assert_eq!(licence.accepts(value), Err("must be accepted: set it to true".into()), "{value:?}");
    }
    assert!(!licence.is_optional());
    assert!(asked(Mail).accepts("").is_err());
    assert_eq!(asked(Secret).accepts(""), Ok(()));
}

/// The example in versions, and its Compose file with their place in it.
fn in_versions(versions: &str) -> Vec<String> {
    let template = GOOD.replacen("variables:\n", &format!("versions:\n{versions}variables:\n"), 1);
    findings(&template, &COMPOSE.replacen("good/web:1.2.3", "good/web:{{ version.tag }}", 1))
}

#[test]
fn versions_keep_all_rules() {
    let two = "  - { name: '2', notes: the newest, set: { tag: 2.0.1 }, takes_over: ['1'] }\n  - { name: '1', set: { tag: 1.2.3 } }\n";
    assert_eq!(in_versions(two), [""; 0]);
    for (from, to, words) in [
        ("name: '1'", "name: '2'", "`2` is there twice"),
        ("name: '1'", "name: '1 0'", "must be 1 to 31 of letters"),
        ("notes: the newest", "notes: ''", "the notes of `2`"),
        (
            "tag: 1.2.3",
            "tag: latest",
            "version 1: `web`: the image good/web:latest has a tag that moves",
        ),
        (
            "tag: 1.2.3",
            "tag: 2.2.3",
            "version 1: the tag of good/web:2.2.3 does not name the version `1`",
        ),
        ("tag: 1.2.3", "tag: 1.2.3, other: x", "`1` must set the same keys"),
        ("tag: 1.2.3", "tag: '{{ domain }}'", "plain text of one line"),
        ("takes_over: ['1']", "takes_over: ['2']", "not from itself"),
        ("tag: 2.0.1", "tag: 2.0.1, other: x", "compose.yaml has no `{{ version.other }}`"),
        ("tag: 2.0.1", "tags: 2.0.1", "uses `{{ version.tag }}`, which versions do not set"),
    ] {
        assert!(two.contains(from), "{from}");
        let found = in_versions(&two.replacen(from, to, 1));
        assert!(found.iter().any(|one| one.contains(words)), "{to}: {words} is not in {found:#?}");
    }
    let without = findings(GOOD, &COMPOSE.replacen("good/web:1.2.3", "good/web:{{ version.tag }}", 1));
    assert!(without.iter().any(|one| one.contains("which versions do not set")), "{without:#?}");
    // What is wrong with all versions is told once.
    let template = GOOD.replacen("variables:\n", &format!("versions:\n{two}variables:\n"), 1);
    let compose =
        COMPOSE
            .replacen("good/web:1.2.3", "good/web:{{ version.tag }}", 1)
            .replacen("good/console:1.2.3", "good/console:latest", 1);
    assert_eq!(
        findings(&template, &compose),
        ["compose.yaml: `console`: the image good/console:latest has a tag that moves"]
    );
    // A catalog of somebody's own: each version must be readable, no more.
    let broken = template.replace("set: { tag: 1.2.3 }", "set: { tags: 1.2.3 }");
    let refused = whole("good", &broken, &compose).expect_err("a version without its tag");
    assert!(refused.iter().any(|one| one.to_string().contains("version.tag")), "{refused:?}");
    assert!(whole("good", &template, &compose).is_ok());
}

/// Bytes that count up: all letters come up, and a test that fails fails again.
struct Counting(std::sync::atomic::AtomicU8);

impl Chance for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

#[test]
fn generated_values_have_their_length_and_letters() {
    let world = World::new(std::sync::Arc::new(SystemClock), std::sync::Arc::new(Counting(0.into())));
    let make = |kind, alphabet, length| {
        generated(
            &Asked {
                alphabet,
                length,
                ..asked(kind)
            },
            &world,
        )
        .expect("generated")
    };
    for length in [8, 9, 31, 64, 255] {
        let hex = make(AskedKind::Secret, Some(Alphabet::Hex), Some(length));
        assert!(hex.len() == length && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hex}");
        let digits = make(AskedKind::Password, Some(Alphabet::Digits), Some(length));
        assert!(
            digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit()),
            "{digits}"
        );
        let base64 = make(AskedKind::Secret, Some(Alphabet::Base64), Some(length));
        use base64::Engine;
        assert!(base64::engine::general_purpose::STANDARD.decode(&base64).is_ok(), "{base64}");
    }
    assert_eq!(make(AskedKind::Secret, None, None).len(), 32);
    assert_eq!(make(AskedKind::Password, None, None).len(), 20);
    assert_eq!(make(AskedKind::Password, Some(Alphabet::Words), Some(4)).split('-').count(), 4);
    assert_eq!(generated(&asked(AskedKind::Text), &world), None);
    // What only somebody else can give is not made up: it is asked for, unless it may be left out.
    let mut given = Asked {
        generate: Some(false),
        ..asked(AskedKind::Password)
    };
    assert_eq!(generated(&given, &world), None);
    assert!(!given.is_optional() && given.is_secret() && given.accepts("").is_err());
    assert_eq!(given.accepts("short"), Ok(()), "its length is not ours to say");
    given.required = Some(false);
    assert!(given.is_optional() && given.accepts("").is_ok());
    assert_ne!(make(AskedKind::Secret, None, None), make(AskedKind::Secret, None, None));
}

#[test]
fn errors_name_their_line() {
    let error = read(&GOOD.replace("port: 8080", "port: many")).expect_err("no number");
    assert_eq!(error.line, 15, "{error}");
    assert!(error.what.starts_with("main.port"), "{error}");
    assert!(read("a: [").is_err());
    assert!(read("").is_err());
}

#[test]
fn what_answers_no_http_asks_for_no_domain() {
    let broker = r##"schema: 1
name: good
title: Broker
version: "1.0-1"
description: "Passes messages on."
details: "A broker for the tests, reached by other apps and by nobody else."
icon: { text: B, color: "#336699" }
categories: [databases]
links: { website: "https://good.example" }
licence: MIT
needs: { memory_mb: 32, disk_mb: 64 }
main: { service: broker, port: 4222, web: false, health: { kind: tcp } }
first_login: "It listens on port 4222."
"##;
    let file = "services:\n  broker:\n    image: broker:1.2\n    restart: always\n    deploy: { resources: { limits: { memory: 64m } } }\n";
    assert_eq!(findings(broker, file), [""; 0]);
    let says = |template: &str, file: &str, words: &str| {
        let found = findings(template, file);
        assert!(found.iter().any(|one| one.contains(words)), "{words} is not in {found:#?}");
    };
    says(&broker.replace("web: false, ", ""), file, "first variable must be `domain`");
    says(&broker.replace("kind: tcp", "kind: http, path: /"), file, "asks by HTTP");
    let asks = format!("{broker}variables: [{{ name: domain, type: domain, title: Domain }}]\n");
    says(&asks, file, "asks for no domain");
    says(&broker.replace("port 4222.", "{{ url }}"), file, "uses `{{ url }}`");
    let used = format!("{file}    environment: {{ URL: \"{{{{ url }}}}\" }}\n");
    says(broker, &used, "`{{ url }}` is empty");
}

#[test]
fn the_size_of_the_main_service_stands_in_its_file() {
    let values = Values::new(&light(), &BTreeMap::new(), "good", "https://a.test", "x").expect("values");
    let part = |text: &str| values.in_file(text).evaluate("memory_mb * 75%");
    let text = COMPOSE.replacen("{{ size }}", "{{ memory_mb }}", 1);
    assert_eq!(part(&text), Ok("96".into()), "75 % of 128");
    assert_eq!(part(&text.replacen("memory: 128M", "memory: 1G", 1)), Ok("768".into()));
    // The limit of another service says nothing of it.
    let refused = part(&text.replacen("memory: 128M", "cpus: '1'", 1)).expect_err("no limit");
    assert!(refused.contains("`web` has a memory limit"), "{refused}");
    // What was installed while a variable could be called so keeps its own.
    let mut old = light();
    old.variables[0].name = "memory_mb".into();
    let given = BTreeMap::from([("memory_mb".to_owned(), "7".to_owned())]);
    let values = Values::new(&old, &given, "good", "https://a.test", "x").expect("values");
    assert_eq!(values.in_file(&text).evaluate("memory_mb"), Ok("7".into()));
}

#[test]
fn the_name_of_the_app_stands_for_itself() {
    let given = BTreeMap::from([("domain".to_owned(), "a.test".to_owned())]);
    let values = Values::new(&light(), &given, "notes-2", "https://a.test", "x").expect("values");
    assert_eq!(
        values.fill("{{ app }}:5432 of {{ url }}").expect("both"),
        "notes-2:5432 of https://a.test"
    );
    let own = GOOD.replacen("name: db_password, type: secret", "name: app, type: secret", 1);
    let found = findings(&own, COMPOSE);
    assert!(found.iter().any(|one| one.contains("`app` is there twice")), "{found:#?}");
    let hint = GOOD.replacen("It is reached through", "Others find it as {{ app }}. It is reached through", 1);
    let found = findings(&hint, COMPOSE);
    assert!(!found.iter().any(|one| one.contains("no variable")), "{found:#?}");
}

/// The schema that is published, for editors and for people who keep a catalog of their own.
#[test]
fn the_schema_is_the_one_checked_in() {
    let schema = schemars::schema_for!(Template);
    let text = format!("{}\n", serde_json::to_string_pretty(&schema).expect("JSON"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/template.schema.json");
    if std::env::var_os("SERVERKIT_BLESS").is_some() {
        std::fs::write(path, &text).expect("written");
    }
    // As values: the order of keys depends on what else is compiled beside it.
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    assert!(value(&kept) == value(&text), "run again with SERVERKIT_BLESS=1 to accept");
}

/// The example without its hash, which would take most of the time.
fn light() -> Template {
    Template {
        derived: Vec::new(),
        ..good()
    }
}

proptest! {
    #[test]
    fn expressions_never_panic(text in "[a-z('\")|, ]{0,30}|.{0,40}") {
        let values = Values::new(&light(), &BTreeMap::new(), "", "", "").expect("values");
        let _ = values.evaluate(&text);
        let _ = values.fill(&text);
    }
    #[test]
    fn any_value_comes_out_of_a_compose_file_as_it_went_in(value in "[^\0]{8,60}") {
        let given = BTreeMap::from([("db_password".to_owned(), value.clone()), ("domain".to_owned(), "a.test".to_owned())]);
        let values = Values::new(&light(), &given, "good", "https://a.test", "x").expect("values");
        let evaluate = |expression: &str| values.evaluate(expression);
        let composed = crate::compose::read(&crate::compose::Ask {
            text: &COMPOSE.replace("{{ admin_hash }}", "x"),
            files: &crate::compose::NoFiles,
            variable: &|_| None,
            template: Some(&evaluate),
            profiles: &[],
        }).expect("a stack");
        let web = composed.stack.service("web").expect("there");
        prop_assert_eq!(web.environment.get("DB_PASSWORD"), Some(&value));
        prop_assert!(web.files[0].content.contains(&value));
    }
}

//! Templates of other panels, and what they become.

use super::*;
use crate::{
    compose::Composed,
    template::{self, AskedKind, Template},
};

mod bent;
mod networks;

const PORTAINER: &str = include_str!("../tests/imports/templates.json");
const CAPROVER: &str = include_str!("../tests/imports/caprover.yaml");
const COOLIFY: &str = include_str!("../tests/imports/coolify.yaml");
const DOKPLOY: &str = include_str!("../tests/imports/docker-compose.yml");
const DOKPLOY_TOML: &str = include_str!("../tests/imports/template.toml");

fn more(pairs: &[(&str, &str)]) -> More {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn one(text: &str, more: &More) -> Imported {
    let mut all = import(None, text, more).unwrap_or_else(|notices| panic!("{notices:#?}"));
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Both texts, read again.
fn read(imported: &Imported) -> (Template, Composed) {
    assert!(imported.is_ready(), "{imported:#?}");
    let template = template::read(&imported.template).unwrap_or_else(|notice| panic!("{notice}\n{}", imported.template));
    let composed = template::composed(&template, &imported.compose).unwrap_or_else(|notices| panic!("{notices:#?}\n{}", imported.compose));
    (template, composed)
}

fn kinds(template: &Template) -> Vec<(&str, AskedKind)> {
    template.variables.iter().map(|one| (one.name.as_str(), one.kind)).collect()
}

#[track_caller]
fn notes(imported: &Imported, words: &[&str]) {
    for words in words {
        assert!(
            imported.notes.iter().any(|note| note.contains(words)),
            "{words} is not in {:#?}",
            imported.notes
        );
    }
}

/// With values, as the panel fills it: the environment of one service.
fn environment(imported: &Imported, service: &str, values: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    let (template, _) = read(imported);
    let given = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let values = template::Values::new(&template, &given, "a", "https://a.example", "test").expect("all is derived");
    let evaluate = |expression: &str| values.evaluate(expression);
    let composed = crate::compose::read(&crate::compose::Ask {
        text: &imported.compose,
        files: &crate::compose::NoFiles,
        variable: &|_| None,
        template: Some(&evaluate),
        profiles: &[],
    });
    composed.expect("read").stack.service(service).expect("there").environment.clone()
}

#[test]
fn formats_are_recognised() {
    let none = More::new();
    for (text, more, expected) in [
        (PORTAINER, &none, Some(Format::Portainer)),
        (
            r#"[{"type": "container", "title": "x", "image": "x"}]"#,
            &none,
            Some(Format::Portainer),
        ),
        (CAPROVER, &none, Some(Format::Caprover)),
        (COOLIFY, &none, Some(Format::Coolify)),
        (DOKPLOY, &more(&[(dokploy::TOML, "")]), Some(Format::Dokploy)),
        (DOKPLOY_TOML, &none, Some(Format::Dokploy)),
        (r#"{"compose": "services: {}", "config": ""}"#, &none, Some(Format::Dokploy)),
        (DOKPLOY, &none, None),
        ("", &none, None),
        ("hello", &none, None),
        ("{}", &none, None),
        ("[1]", &none, None),
    ] {
        assert_eq!(recognised(text, more), expected, "{text}");
    }
    assert!(
        import(None, "services: {}", &none).expect_err("plain")[0]
            .what
            .contains("plain Compose file")
    );
    assert_eq!(
        import(None, "captainVersion: 4\nservices: [", &none).expect_err("broken")[0].line,
        3
    );
}

#[test]
fn portainer() {
    let all = import(None, PORTAINER, &More::new()).expect("read");
    assert_eq!(
        all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["store", "stack", "stack-2", "windows"]
    );
    let (template, composed) = read(&all[0]);
    let service = &composed.stack.services[0];
    assert_eq!(service.image.as_deref(), Some("registry.example.com/example/store:1.4.2"));
    assert_eq!(
        service.command.as_deref().map(|words| words.join(" ")),
        Some("serve --all $x".into())
    );
    assert_eq!((template.main.service.as_str(), template.main.port), ("store", 8080));
    assert_eq!(
        service.ports.iter().map(|port| (port.target, port.published)).collect::<Vec<_>>(),
        [(22, Some(2022))]
    );
    assert_eq!(service.environment["LEVEL"], "info{{x}}");
    assert_eq!(service.environment["MODE"], "b");
    assert_eq!(service.labels.keys().collect::<Vec<_>>(), ["own"]);
    assert_eq!(template.rights, ["docker_socket"]);
    assert_eq!(composed.stack.volumes.len(), 3);
    assert_eq!(
        kinds(&template),
        [
            ("domain", AskedKind::Domain),
            ("mode", AskedKind::Enum),
            ("root_password", AskedKind::Secret),
            ("name", AskedKind::Text),
            ("store_port_22", AskedKind::Port)
        ]
    );
    notes(
        &all[0],
        &[
            "port 443 of `store` is left out",
            "engine's socket",
            "the folder `/opt/conf` of the host becomes",
            "no link",
            "labels of `store`",
        ][..3],
    );
    assert_eq!(
        all[1].fetch,
        ["https://raw.githubusercontent.com/example/stacks/HEAD/a/docker-compose.yml"]
    );
    assert!(all[1].template.is_empty());
    assert!(
        all[2].problems[0].contains("c.yml in https://git.example.com/x/y"),
        "{:?}",
        all[2].problems
    );
    assert_eq!(all[3].problems, ["it is for Windows"]);
}

#[test]
fn a_stack_of_portainer_is_read_when_its_file_is_there() {
    let compose =
        "version: '3'\nservices:\n  web:\n    image: example/web:1.0.1\n    ports: ['80:8000']\n    environment: ['P=${DB_PASSWORD}']\n";
    let at = "https://raw.githubusercontent.com/example/stacks/HEAD/a/docker-compose.yml";
    let all = import(None, PORTAINER, &more(&[(at, compose), ("c.yml", "services: [")])).expect("read");
    let (template, composed) = read(&all[1]);
    assert_eq!((template.main.service.as_str(), template.main.port), ("web", 8000));
    assert_eq!(template.links.source.as_deref(), Some("https://github.com/example/stacks"));
    assert_eq!(composed.stack.services[0].environment["P"], "example1");
    assert!(all[2].problems[0].starts_with("c.yml, line"), "{:?}", all[2].problems);
}

#[test]
fn caprover() {
    let imported = one(CAPROVER, &More::new());
    let (template, composed) = read(&imported);
    assert_eq!(
        (template.name.as_str(), template.title.as_str(), template.version.as_str()),
        ("shop", "Shop", "3.2.1-1")
    );
    assert_eq!(template.description, "Sells what you have.");
    assert_eq!((template.main.service.as_str(), template.main.port), ("shop", 3000));
    assert_eq!(template.also[0].service, "admin");
    assert_eq!(template.links.documentation.as_deref(), Some("https://shop.example/docs"));
    let shop = composed.stack.service("shop").expect("there");
    assert_eq!(shop.image.as_deref(), Some("example/shop:3.2.1"));
    assert_eq!(shop.ports[0].target, 25);
    assert_eq!(shop.labels["shop.on"], "yes");
    assert_eq!(shop.depends_on[0].service, "db");
    let env = environment(
        &imported,
        "shop",
        &[
            ("domain", "a.example"),
            ("db_pass", "p$1"),
            ("admin_domain", "b.example"),
            ("zone", "UTC"),
        ],
    );
    for (name, value) in [
        ("DB", "mysql://root:p$1@db:3306/shop"),
        ("URL", "https://a.example/x"),
        ("HOST", "a.example"),
        ("ADMIN", "https://b.example"),
        ("PRICE", "5$ and {{ more }}"),
        ("NAME", "shop"),
        ("OPEN", "false"),
        ("ZONE", "UTC"),
        ("MODE", "shop"),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
    assert!(
        template
            .first_login
            .as_deref()
            .unwrap_or_default()
            .contains("{{ url }} with {{ db_pass }}"),
        "{:?}",
        template.first_login
    );
    assert!(kinds(&template).contains(&("open", AskedKind::Boolean)));
    assert_eq!(template.backup[0].kind.as_deref(), Some("mariadb"));
    notes(
        &imported,
        &["Version: 3.2.1", "`admin` is a web page too", "port 25 of `shop` becomes a port"],
    );
    let run = CAPROVER.replace("- ENV MODE=shop", "- RUN make");
    assert!(import(None, &run, &More::new()).expect_err("built")[0].what.contains("RUN"));
}

#[test]
fn coolify() {
    let imported = one(COOLIFY, &More::new());
    let (template, composed) = read(&imported);
    assert_eq!(
        (template.name.as_str(), template.description.as_str()),
        ("notes", "Notes for a team.")
    );
    assert_eq!(template.categories, ["development", "documents"]);
    assert_eq!((template.main.service.as_str(), template.main.port), ("notes", 3000));
    assert_eq!((template.also[0].service.as_str(), template.also[0].port), ("console", 9001));
    let notes_service = composed.stack.service("notes").expect("there");
    assert_eq!(notes_service.aliases, ["notes-app"]);
    assert_eq!(notes_service.depends_on.len(), 1);
    assert_eq!(notes_service.mounts.len(), 2);
    let file = &notes_service.files[0];
    assert_eq!((file.path.as_str(), file.mode), ("/start.sh", 0o555));
    assert_eq!(file.content, "#!/bin/sh\necho \"$HOME {{ braces }} example1\"\n");
    let length = |name: &str| template.variables.iter().find(|one| one.name == name).and_then(|one| one.length);
    assert_eq!(
        (length("secret_password"), length("db_password"), length("hex_id")),
        (Some(64), Some(32), Some(64))
    );
    let values = [
        ("domain", "a.example"),
        ("db_password", "pw"),
        ("realbase64_key_seed", "abc"),
        ("app_token", "tok"),
        ("needed", "n"),
    ];
    let env = environment(&imported, "notes", &values);
    for (name, value) in [
        ("PUBLIC_URL", "https://a.example"),
        ("HOST", "a.example"),
        ("KEY", "YWJj"),
        ("DB", "postgres://app:pw@db:5432/notes"),
        ("TELEMETRY", "false"),
        ("WITH", "yes"),
        ("TOKEN", "tok"),
        ("SMTP_PASSWORD", ""),
        ("NEEDED", "n"),
        ("PLAYERS", "16"),
        ("ADMIN_URL", "https://"),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
    assert_eq!(environment(&imported, "db", &values)["SERVICE_USER_DB"], "app");
    assert!(!env.contains_key("SERVICE_URL_NOTES_3000") && !env.contains_key("OTHER"));
    assert_eq!(template.backup[0].kind.as_deref(), Some("postgres"));
    notes(
        &imported,
        &[
            "APP_TOKEN has a fixed value",
            "`notes` waits for `gone`",
            "the folder `./uploads` of the host becomes",
            "`/etc/localtime` of the host",
            "`logging` of `notes`",
            "labels of `notes`",
            "`console` has a domain of its own",
        ],
    );
}

#[test]
fn dokploy() {
    let meta = r#"{"id": "board", "name": "Board", "description": "A board", "tags": ["productivity"], "links": {"github": "https://github.com/example/board"}}"#;
    let imported = one(DOKPLOY, &more(&[(dokploy::TOML, DOKPLOY_TOML), ("meta.json", meta)]));
    let (template, composed) = read(&imported);
    assert_eq!(
        (template.name.as_str(), template.title.as_str(), template.description.as_str()),
        ("board", "Board", "A board.")
    );
    assert_eq!((template.main.service.as_str(), template.main.port), ("board", 8080));
    assert_eq!(template.also[0].port, 8081);
    let board = &composed.stack.services[0];
    assert_eq!(board.files[0].content, "secret = \"example1\"\nprice = \"$5\"\n");
    assert_eq!(board.mounts.len(), 2);
    assert_eq!(board.ports.iter().map(|port| port.target).collect::<Vec<_>>(), [53]);
    let env = environment(
        &imported,
        "board",
        &[
            ("domain", "a.example"),
            ("secret", "s"),
            ("key_seed", "k"),
            ("id_seed", "abc"),
            ("board_domain", "b.example"),
            ("hash", "0f"),
        ],
    );
    for (name, value) in [
        ("URL", "https://a.example"),
        ("BOARD_HOST", "a.example"),
        ("COUNT", "3"),
        ("SECRET", "s"),
        ("HASH", "0f"),
        ("KEY", "aw=="),
        ("ID", "ba7816bf-8f01-8fea-8141-40de5dae2223"),
        ("FULL", "pre-s-post"),
        ("API", "b.example"),
        ("C", ""),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
    assert_eq!(env["TOKEN"].split('.').count(), 3);
    notes(
        &imported,
        &["only the path /api leads to", "the folder `../files/media`", "port 53/udp"],
    );
    // The other way round, and as an export.
    let turned = one(DOKPLOY_TOML, &more(&[("docker-compose.yml", DOKPLOY), ("meta.json", meta)]));
    assert_eq!(turned, imported);
    use base64::Engine;
    let json = serde_json::json!({"compose": DOKPLOY, "config": DOKPLOY_TOML}).to_string();
    let packed = base64::engine::general_purpose::STANDARD.encode(json);
    assert_eq!(one(&packed, &more(&[("meta.json", meta)])), imported);
    let broken = import(None, DOKPLOY, &more(&[(dokploy::TOML, "[variables]\na = \"\\q\" b")])).expect_err("no TOML");
    assert_eq!((broken[0].file.as_str(), broken[0].line), ("template.toml", 2));
}

/// As its templates of Supabase and Valkey are written.
#[test]
fn dokploy_reads_toml_less_strictly() {
    let loose = DOKPLOY_TOML
        .replace("[config]\n", "[config]\nmounts = []\n")
        .replace("price = \"$5\"", "price = \"\\$5\"");
    assert!(loose.parse::<toml::Table>().is_err());
    let imported = one(DOKPLOY, &more(&[(dokploy::TOML, &loose)]));
    let (_, composed) = read(&imported);
    assert_eq!(
        composed.stack.services[0].files[0].content,
        "secret = \"example1\"\nprice = \"\\$5\"\n"
    );
    let turned = one(&loose, &more(&[("docker-compose.yml", DOKPLOY)]));
    assert_eq!(turned, imported);
}

#[test]
fn a_switch_about_passwords_is_not_generated() {
    let text = "services:\n  a:\n    image: example/a:1.0.1\n    environment:\n      - SERVICE_URL_A_80\n      - EMPTY=${ALLOW_EMPTY_PASSWORD:-yes}\n      - LETTERS=${PASSWORDMINCHAR:-8}\n      - PIN=${ADMIN_PASSWORD:-1234}\n      - KEY=${APP_SECRET:-change-me}\n";
    let imported = one(text, &More::new());
    let values = [("domain", "a.example"), ("admin_password", "p"), ("app_secret", "k")];
    let env = environment(&imported, "a", &values);
    for (name, value) in [("EMPTY", "yes"), ("LETTERS", "8"), ("PIN", "p"), ("KEY", "k")] {
        assert_eq!(env[name], value, "{name}");
    }
    notes(&imported, &["ADMIN_PASSWORD has a fixed value", "APP_SECRET has a fixed value"]);
}

#[test]
fn a_long_form_is_not_made_longer() {
    let names: Vec<String> = (0..40).map(|number| format!("      - V{number}=$NAME_{number}\n")).collect();
    let text = format!(
        "services:\n  a:\n    image: example/a:1.0.1\n    environment:\n      - SERVICE_URL_A_80\n      - P=$DB_PASSWORD\n{}",
        names.concat()
    );
    let imported = one(&text, &More::new());
    let (template, composed) = read(&imported);
    assert_eq!(template.variables.len(), 24);
    assert_eq!(composed.stack.services[0].environment.len(), 41);
    notes(&imported, &["NAME_39 is not asked for"]);
}

#[test]
fn what_breaks_a_rule_is_said() {
    let text = "services:\n  a:\n    image: example/a:latest\n    environment: [SERVICE_URL_A_80, DB_PASSWORD=fixed]\n    privileged: true\n    volumes: ['/proc:/host/proc:ro', './x.conf:/x.conf']\n    gpus: all\n";
    let imported = one(text, &More::new());
    let (template, _) = read(&imported);
    assert_eq!(template.rights, ["privileged", "host_paths"]);
    notes(
        &imported,
        &[
            "a tag that moves",
            "DB_PASSWORD has a fixed value",
            "`a` mounts /proc of the host",
            "is privileged",
            "the file `./x.conf`",
            "`gpus` of `a`",
            "links must have",
            "1 GiB of memory",
        ],
    );
}

#[test]
fn what_cannot_be_carried_over_is_refused() {
    for (text, words) in [
        (
            "services:\n  a:\n    build: .\n    environment: [SERVICE_URL_A]\n",
            "built from files",
        ),
        ("services:\n  a:\n    environment: [SERVICE_URL_A]\n", "neither `image`"),
        ("# slogan: x\nservices: {}\n", "no services"),
        ("# slogan: x\nservices: 3\n", "no `services`"),
        ("# slogan: x\nservices:\n  a: 3\n", "not a mapping"),
        ("captainVersion: 4\n", "no `services`"),
    ] {
        let notices = import(None, text, &More::new()).expect_err(text);
        assert!(notices.iter().any(|notice| notice.what.contains(words)), "{text}: {notices:?}");
    }
}

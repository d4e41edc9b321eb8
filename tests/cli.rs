//! The command line as scripts use it: help texts (kept in `cli_help.txt`), exit codes, JSON, local and remote.

use crate::deploy::{app_of, text};
use serde_json::{Value, json};
use std::{fs, path::Path};
use testkit::{GitFixture, OWNER, Options, TestPanel, run_serverkit};

const COMMANDS: [&str; 0] = [];

/// `serverkit --help` and the help of every command below it, compared with the kept text. After a wanted change:
/// `SERVERKIT_UPDATE=1 cargo test -p serverkit-tests help_texts`.
#[tokio::test]
async fn help_texts() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = String::new();
    let mut open: Vec<Vec<String>> = vec![vec![]];
    let _ = COMMANDS;
    while let Some(words) = open.pop() {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        let output = run_serverkit(folder.path(), &[("COLUMNS", "100")], &arguments, "").await.expect(0);
        all.push_str(&format!("$ serverkit {}\n{}\n", arguments.join(" "), output.stdout));
        let commands = output.stdout.split("Commands:\n").nth(1).unwrap_or_default();
        let mut below: Vec<Vec<String>> = commands
            .lines()
            .take_while(|line| line.starts_with("  "))
            .filter(|line| line.chars().nth(2).is_some_and(|letter| letter != ' '))
            .map(|line| [&words[..], &[line.split_whitespace().next().unwrap().to_owned()]].concat())
            .filter(|words| words.last().is_some_and(|word| word != "help"))
            .collect();
        below.reverse();
        open.extend(below);
    }
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("cli_help.txt");
    if std::env::var_os("SERVERKIT_UPDATE").is_some() {
        fs::write(&kept, &all).unwrap();
    }
    let before = fs::read_to_string(&kept).unwrap_or_default();
    assert!(before == all, "the help texts differ from tests/cli_help.txt; is now:\n{all}");
    for promised in [
        "serve",
        "setup",
        "login",
        "token",
        "whoami",
        "app",
        "deploy",
        "deployments",
        "rollback",
        "diff",
        "logs",
        "ssh",
        "open",
        "env",
        "domain",
        "cert",
        "status",
        "doctor",
        "export",
        "completions",
    ] {
        assert!(all.contains(&format!("$ serverkit {promised} --help")), "no command `{promised}`");
    }
}

#[tokio::test]
async fn projects_are_renamed_and_described() {
    let panel = TestPanel::start().await;
    panel.cli(&["project", "create", "shop", "--description", "sells"]).await.expect(0);
    let changed = panel.cli(&["project", "set", "shop", "--rename", "store"]).await.expect(0).stdout;
    assert!(changed.contains("project store is changed"), "{changed}");
    let described = ["project", "set", "store", "--description", "sells more", "--json"];
    let one: Value = serde_json::from_str(&panel.cli(&described).await.expect(0).stdout).unwrap();
    assert_eq!(
        (text(&one, "name"), text(&one, "description")),
        ("store".into(), "sells more".into())
    );
    let listed = panel.cli(&["project", "list"]).await.expect(0).stdout;
    assert!(listed.contains("store") && !listed.contains("shop"), "{listed}");
    panel.cli(&["project", "set", "store", "--rename", "default"]).await.expect(1);
    panel.cli(&["project", "set", "shop", "--rename", "x"]).await.expect(4);
}

#[tokio::test]
async fn exit_codes() {
    let panel = TestPanel::start().await;
    let folder = tempfile::tempdir().unwrap();
    panel.cli(&["status"]).await.expect(0);
    for (arguments, code) in [
        (&["nonsense"][..], 2),
        (&["app", "create"], 2),
        (&["app", "create", "Not A Name", "--image", "nginx"], 1),
        (&["app", "create", "x", "--image", "nginx", "--git", "https://a.test/x.git"], 2),
        (&["app", "show", "nosuch"], 4),
        (&["deployments", "nosuch"], 4),
        (&["logs", "nosuch"], 4),
        (&["env", "list", "nosuch"], 4),
        (&["--no-such-flag"], 2),
    ] {
        let output = panel.cli(arguments).await.expect(code);
        assert!(!output.stderr.trim().is_empty(), "{}: says nothing", output.command);
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    }
    // Nobody there; not signed in; a wrong token.
    let remote = async |url: &str, token: &str, arguments: &[&str]| {
        let variables = [("SERVERKIT_URL", url), ("SERVERKIT_TOKEN", token), ("SERVERKIT_INSECURE", "1")];
        run_serverkit(folder.path(), &variables, arguments, "").await
    };
    remote("https://127.0.0.1:9", "sk_x", &["app", "list"]).await.expect(5);
    remote(&panel.url(), "sk_wrong", &["app", "list"]).await.expect(3);
    let empty = tempfile::tempdir().unwrap();
    let data = empty.path().display().to_string();
    run_serverkit(folder.path(), &[], &["--data", &data, "app", "list"], "")
        .await
        .expect(5);
}

#[tokio::test]
async fn wrong_values_are_called_as_they_were_typed() {
    let panel = TestPanel::start().await;
    let body = json!({"name": "blog", "source": {"kind": "image", "reference": "redis:7"}, "deploy": false});
    panel.create_app(body).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.env");
    fs::write(&file, "GOOD=1\n=\n").unwrap();
    let file = file.display().to_string();
    let (always, of_the_file) = ("* * * * *", format!("{file}: line 2"));
    for (arguments, name) in [
        (
            &["freeze", "add", "x", "--everywhere", "--at", always, "--for", "0h"][..],
            "--for: ",
        ),
        (&["freeze", "add", "x", "--everywhere", "--at", "soon", "--for", "1h"], "--at: "),
        (&["app", "update", "blog", "--memory", "1kb"], "--memory: "),
        (&["app", "hours", "blog", "--start", "soon", "--stop", always], "--start: "),
        (&["token", "create", "x", "--days", "99999999"], "--days: "),
        (&["env", "import", "blog", file.as_str()], of_the_file.as_str()),
    ] {
        let failed = panel.cli(arguments).await.expect(1);
        assert!(failed.stderr.starts_with(&format!("serverkit: {name}")), "{}", failed.stderr);
    }
    // Programs read the API's own name.
    let failed = panel.cli(&["app", "update", "blog", "--memory", "1kb", "--json"]).await.expect(1);
    let told: Value = serde_json::from_str(&failed.stderr).unwrap();
    assert!(text(&told, "detail").starts_with("memory_bytes: "), "{told}");
}

#[tokio::test]
async fn json_is_what_the_api_says() {
    let panel = TestPanel::start().await;
    let made = panel
        .cli(&[
            "--json",
            "app",
            "create",
            "blog",
            "--image",
            "nginx:1.22",
            "--domain",
            "blog.test",
            "--port",
            "80",
        ])
        .await
        .expect(0);
    assert_eq!(made.json()["name"], "blog", "{}", made.stdout);
    let list = panel.cli(&["--json", "app", "list"]).await.expect(0).json();
    let list = list["items"].as_array().or_else(|| list.as_array()).unwrap().clone();
    assert_eq!(list.len(), 1);
    let shown = panel.cli(&["--json", "app", "show", "blog"]).await.expect(0).json();
    assert_eq!(shown["port"], 80);
    assert_eq!(shown["domains"], json!(["blog.test"]));
    for arguments in [
        &["status"][..],
        &["doctor"],
        &["whoami"],
        &["deployments", "blog"],
        &["env", "list", "blog"],
        &["cert", "list"],
        &["token", "list"],
        &["domain", "check", "blog.test"],
    ] {
        let output = panel.cli(&[&["--json"], arguments].concat()).await;
        let _: Value = output.json();
    }
    // A failure is JSON too.
    let failed = panel.cli(&["--json", "app", "show", "nosuch"]).await.expect(4);
    let all = format!("{}{}", failed.stdout, failed.stderr);
    assert!(all.contains("not_found"), "{all}");
}

#[tokio::test]
async fn variables_by_the_command_line() {
    let panel = TestPanel::start().await;
    panel.cli(&["app", "create", "blog", "--image", "nginx:1.22"]).await.expect(0);
    let awkward = "a 'b' \"c\" $HOME $(id) \\ #";
    panel
        .cli(&["env", "set", "blog", &format!("AWKWARD={awkward}"), "A=b=c", "EMPTY="])
        .await
        .expect(0);
    let all = panel.list("/api/v1/apps/blog/variables?reveal=true").await;
    let value = |key: &str| all.iter().find(|one| one["key"] == key).map(|one| text(one, "value"));
    assert_eq!(value("AWKWARD").as_deref(), Some(awkward));
    assert_eq!(value("A").as_deref(), Some("b=c"));
    assert_eq!(value("EMPTY").as_deref(), Some(""));
    let exported = panel.cli(&["env", "export", "blog"]).await.expect(0).stdout;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    fs::write(&file, &exported).unwrap();
    panel.cli(&["env", "unset", "blog", "AWKWARD", "A", "EMPTY"]).await.expect(0);
    assert!(panel.list("/api/v1/apps/blog/variables").await.is_empty());
    // Names that are not there are said, and are a failure where there is nothing else to remove.
    let none = panel.cli(&["env", "unset", "blog", "NOPE"]).await.expect(4);
    assert!(none.stderr.contains("has no variable NOPE") && none.stdout.is_empty(), "{none:?}");
    panel.cli(&["env", "set", "blog", "GOES=1"]).await.expect(0);
    let some = panel.cli(&["env", "unset", "blog", "GOES", "NOPE"]).await.expect(0);
    assert!(some.stderr.contains("has no variable NOPE"), "{some:?}");
    assert!(some.stdout.contains("removed GOES;") && !some.stdout.contains("NOPE"), "{some:?}");
    panel.cli(&["env", "import", "blog", &file.display().to_string()]).await.expect(0);
    let again = panel.list("/api/v1/apps/blog/variables?reveal=true").await;
    assert_eq!(
        again.iter().map(|one| one["value"].clone()).collect::<Vec<_>>(),
        all.iter().map(|one| one["value"].clone()).collect::<Vec<_>>()
    );
}

/// The whole way without a browser: claim on the machine, a token, then from elsewhere.
#[tokio::test]
async fn setup_and_tokens_by_the_command_line() {
    let panel = Options::default().unclaimed().start().await;
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, "short\n").unwrap();
    let file = password.display().to_string();
    panel.cli(&["setup", "--email", OWNER.0, "--password-file", &file]).await.expect(1);
    fs::write(&password, format!("{}\n", OWNER.1)).unwrap();
    panel.cli(&["setup", "--email", OWNER.0, "--password-file", &file]).await.expect(0);
    let again = panel
        .cli(&["setup", "--email", "thief@example.test", "--password-file", &file])
        .await;
    assert_ne!(again.code, 0, "a claimed panel is not claimed again: {}", again.stdout);
    panel.signed_in(OWNER.0, OWNER.1).await.get("/api/v1/apps").await.expect(200);
    let made = panel.cli(&["--json", "token", "create", "ci", "--scope", "write"]).await;
    if made.code == 0 {
        let secret = text(&made.json(), "secret");
        let variables = [
            ("SERVERKIT_URL", panel.url()),
            ("SERVERKIT_TOKEN", secret),
            ("SERVERKIT_INSECURE", "1".to_owned()),
        ];
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        run_serverkit(folder.path(), &variables, &["app", "list"], "").await.expect(0);
        run_serverkit(folder.path(), &variables, &["--json", "doctor"], "").await.expect(3);
    }
}

/// A role says too little of a token that may only look, or only reaches one place.
#[tokio::test]
async fn whoami_tells_what_a_token_is_for() {
    let panel = TestPanel::start().await;
    let (here, url) = (panel.signed_in(OWNER.0, OWNER.1).await, panel.url());
    let folder = tempfile::tempdir().unwrap();
    let whoami = async |wish: Value| {
        let made = here.post("/api/v1/tokens", wish).await.expect(201).json();
        let secret = text(&made, "secret");
        let variables = [
            ("SERVERKIT_URL", url.as_str()),
            ("SERVERKIT_TOKEN", secret.as_str()),
            ("SERVERKIT_INSECURE", "1"),
        ];
        run_serverkit(folder.path(), &variables, &["whoami"], "").await.expect(0).stdout
    };
    let told = whoami(json!({"name": "looks", "scope": "read"})).await;
    assert!(
        told.contains("read, by the token looks") && told.contains("wherever the role reaches"),
        "{told}"
    );
    let told = whoami(json!({"name": "bound", "scope": "deploy", "places": ["project:default"]})).await;
    assert!(
        told.contains("deploy, by the token bound") && told.contains("project default"),
        "{told}"
    );
    let told = panel.cli(&["whoami"]).await.expect(0).stdout;
    assert!(told.contains("Role") && !told.contains("Scopes"), "{told}");
}

/// Where somebody is signed in, seen and ended with their own token.
#[tokio::test]
async fn sessions_and_browsers_by_the_command_line() {
    let panel = TestPanel::start().await;
    let (here, there) = (panel.signed_in(OWNER.0, OWNER.1).await, panel.signed_in(OWNER.0, OWNER.1).await);
    let (folder, url) = (tempfile::tempdir().unwrap(), panel.url());
    let token = async |scope: &str| {
        let made = here.post("/api/v1/tokens", json!({"name": scope, "scope": scope})).await;
        text(&made.expect(201).json(), "secret")
    };
    let (admin, reader) = (token("admin").await, token("read").await);
    let run = async |token: &str, arguments: &[&str]| {
        let variables = [
            ("SERVERKIT_URL", url.as_str()),
            ("SERVERKIT_TOKEN", token),
            ("SERVERKIT_INSECURE", "1"),
        ];
        run_serverkit(folder.path(), &variables, arguments, "").await
    };
    let ids = |listed: &Value| -> Vec<String> { listed["items"].as_array().unwrap().iter().map(|one| text(one, "id")).collect() };

    let listed = run(&reader, &["--json", "session", "list"]).await.expect(0).json();
    assert!(ids(&listed).len() >= 2, "{listed}");
    let shown = run(&reader, &["session", "list"]).await.expect(0).stdout;
    assert!(ids(&listed).iter().all(|id| shown.contains(id)), "{shown}");
    let own = |all: &[Value]| text(all.iter().find(|one| one["current"] == true).expect("its own"), "id");
    let theirs = own(&there.list("/api/v1/sessions").await);
    let browser = own(&there.list("/api/v1/account/devices").await);
    run(&reader, &["session", "end", &theirs, "--yes"]).await.expect(3);
    run(&admin, &["session", "end", &theirs]).await.expect(2);
    there.get("/api/v1/apps").await.expect(200);
    run(&admin, &["session", "end", &theirs, "--yes"]).await.expect(0);
    there.get("/api/v1/apps").await.expect(401);
    run(&admin, &["session", "end", &theirs, "--yes"]).await.expect(4);

    let listed = run(&reader, &["--json", "device", "list"]).await.expect(0).json();
    let known = ids(&listed);
    assert!(run(&reader, &["device", "list"]).await.expect(0).stdout.contains(&browser));
    run(&reader, &["device", "forget", &browser, "--yes"]).await.expect(3);
    run(&admin, &["device", "forget", &browser, "--yes"]).await.expect(0);
    run(&admin, &["device", "forget", &browser, "--yes"]).await.expect(4);
    let left = run(&admin, &["--json", "device", "list"]).await.expect(0).json();
    assert_eq!(ids(&left).len(), known.len() - 1);

    here.get("/api/v1/apps").await.expect(200);
    run(&admin, &["session", "end-others", "--yes"]).await.expect(0);
    here.get("/api/v1/apps").await.expect(401);
    assert_eq!(
        ids(&run(&admin, &["--json", "session", "list"]).await.expect(0).json()),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn completions() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = run_serverkit(folder.path(), &[], &["completions", shell], "").await.expect(0);
        assert!(output.stdout.contains("rollback"), "{shell}");
    }
    run_serverkit(folder.path(), &[], &["completions", "tcsh-ish"], "").await.expect(2);
    let version = run_serverkit(folder.path(), &[], &["--version"], "").await.expect(0);
    assert!(version.stdout.starts_with("serverkit "), "{}", version.stdout);
}

#[tokio::test]
async fn docker_deploy_and_roll_back_by_the_command_line() {
    let panel = TestPanel::docker().await;
    let repository = GitFixture::sample("hello");
    panel.create_app(app_of("hello", &repository)).await;
    let output = panel.cli(&["deploy", "hello", "--wait"]).await.expect(0);
    assert!(output.stdout.contains("live") || output.stderr.contains("live"), "{output:?}");
    assert!(!output.stdout.contains('\u{1b}'), "a pipe gets plain lines");
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");
    repository.edit("app.py", "\"one\"", "\"two\"");
    panel.cli(&["deploy", "hello", "--wait"]).await.expect(0);
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello two");
    let listed = panel.cli(&["deployments", "hello"]).await.expect(0).stdout;
    assert!(listed.contains("live"), "{listed}");
    let back = panel.cli(&["rollback", "hello", "--wait"]).await;
    if back.code == 2 {
        panel.cli(&["rollback", "hello"]).await.expect(0);
        panel.live(&text(&panel.newest("hello").await, "id")).await;
    }
    assert_eq!(panel.visit("hello.test", "/").await.expect(200).text(), "hello one");
    repository.edit("Dockerfile", "EXPOSE", "RUN exit 3\nEXPOSE");
    panel.cli(&["deploy", "hello", "--wait"]).await.expect(1);
    panel.visit("hello.test", "/print?text=to-be-seen").await.expect(200);
    let logs = panel.cli(&["logs", "hello"]).await.expect(0).stdout;
    assert!(logs.contains("to-be-seen"), "{logs}");
    let inside = panel.cli(&["ssh", "hello", "--", "cat", "/etc/debian_version"]).await.expect(0);
    assert!(inside.stdout.starts_with("12"), "{inside:?}");
    panel.cli(&["ssh", "hello", "--", "false"]).await.expect(1);
}

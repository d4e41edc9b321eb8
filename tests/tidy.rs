//! The shape of the code: layers, who may name what, files that say what they are for. ARCHITECTURE.md tells why.

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests lie in the top folder")
        .to_owned()
}

fn workspace() -> Metadata {
    MetadataCommand::new()
        .manifest_path(top().join("Cargo.toml"))
        .other_options(["--offline".to_owned()])
        .no_deps()
        .exec()
        .expect("cargo metadata reads the workspace")
}

/// `store` for the package `serverkit-store`.
fn short(package: &str) -> &str {
    package.strip_prefix("serverkit-").unwrap_or(package)
}

/// The crates bottom-up, as the root manifest lists them.
fn layers(workspace: &Metadata) -> Vec<String> {
    let text = fs::read_to_string(top().join("Cargo.toml")).unwrap();
    let (_, members) = text.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    let folders = members.lines().filter_map(|line| line.split('"').nth(1));
    let named: Vec<String> = folders
        .map(|folder| {
            let manifest = top().join(folder).join("Cargo.toml");
            let package = workspace
                .packages
                .iter()
                .find(|package| package.manifest_path.as_std_path() == manifest);
            short(&package.unwrap_or_else(|| panic!("{folder} is no package")).name).to_owned()
        })
        .collect();
    assert_eq!(named.len(), workspace.workspace_packages().len(), "every member is listed");
    named
}

/// Our own crates that a package uses, and the others; what only its tests use is free.
fn uses(package: &Package) -> (BTreeSet<String>, BTreeSet<String>) {
    let for_tests = |one: &&Dependency| package.name != "serverkit-tests" && one.kind == DependencyKind::Development;
    let (own, foreign): (Vec<_>, Vec<_>) = package
        .dependencies
        .iter()
        .filter(|one| !for_tests(one))
        .partition(|one| one.path.is_some());
    (
        own.into_iter().map(|one| short(&one.name).to_owned()).collect(),
        foreign.into_iter().map(|one| one.name.clone()).collect(),
    )
}

const ADAPTERS: [&str; 10] = [
    "docker",
    "host",
    "edge",
    "acme",
    "source",
    "build",
    "catalog",
    "telemetry",
    "identity",
    "notify",
];

#[test]
fn crates_use_only_those_above_them() {
    let workspace = workspace();
    let layers = layers(&workspace);
    for package in workspace.workspace_packages() {
        let name = short(&package.name);
        let place = layers.iter().position(|layer| layer == name).unwrap();
        let (own, _) = uses(package);
        for used in &own {
            assert!(
                layers[..place].contains(used),
                "`{name}` uses `{used}`, which is not above it in the root manifest"
            );
        }
        let allowed: &[&str] = match name {
            "types" => &[],
            "egress" | "store" | "jobs" => &["types"],
            adapter if ADAPTERS.contains(&adapter) => &["types", "egress"],
            "node" => &["types", "egress", "docker", "host", "edge", "build", "telemetry"],
            "app" => &[
                "types",
                "egress",
                "store",
                "acme",
                "source",
                "build",
                "catalog",
                "telemetry",
                "identity",
                "notify",
                "node",
                "jobs",
            ],
            "api" => &["types", "telemetry", "node", "app"],
            "client" => &["types"],
            // `build` packs a folder as it is uploaded, by the rules by which it is built.
            "cli" => &["types", "client", "catalog", "build"],
            "testkit" => &[],
            "tests" => &["testkit"],
            "fuzz" => &["types", "edge", "acme", "source", "catalog"],
            "serverkit" => continue,
            other => panic!("`{other}` is new: say here what it may use"),
        };
        let more: Vec<&String> = own.iter().filter(|used| !allowed.contains(&used.as_str())).collect();
        assert!(more.is_empty(), "`{name}` may not use {more:?}");
    }
}

/// What only these crates may depend on or name.
const ONLY: &[(&str, &[&str])] = &[
    ("sled", &["store"]),
    ("bollard", &["docker"]),
    ("pingora", &["edge"]),
    ("poem", &["api"]),
    ("poem_openapi", &["api"]),
    ("git2", &["source"]),
    ("ssh2", &["docker", "source"]),
    ("instant_acme", &["acme"]),
    ("hickory_proto", &["acme"]),
    ("psl", &["acme"]),
    ("aws_sigv4", &["acme"]),
    ("argon2", &["identity", "catalog"]),
    ("totp_rs", &["identity"]),
    ("jsonwebtoken", &["identity", "source"]),
    ("webauthn_rs", &["identity"]),
    ("ldap3", &["identity"]),
    ("maxminddb", &["identity"]),
    ("lettre", &["notify"]),
    ("chacha20poly1305", &["store"]),
    ("clap", &["cli", "serverkit"]),
    ("croner", &["app"]),
    ("chrono_tz", &["app"]),
    ("diffy", &["catalog"]),
    ("nixpacks", &["build"]),
    ("progenitor", &["client"]),
    ("rust_embed", &["api"]),
    ("saphyr_parser", &["catalog"]),
];

#[test]
fn only_one_crate_names_each_library() {
    let workspace = workspace();
    for package in workspace.workspace_packages() {
        let name = short(&package.name);
        let (_, foreign) = uses(package);
        for &(library, by) in ONLY {
            let depends = foreign.iter().any(|used| used.replace('-', "_") == library);
            assert!(!depends || by.contains(&name), "`{name}` depends on {library}; only {by:?} may");
        }
    }
    for (path, text) in sources() {
        let owner = path
            .strip_prefix(top())
            .unwrap()
            .components()
            .nth(1)
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        for &(library, by) in ONLY {
            let named = code(&text).any(|line| names(line, library));
            assert!(
                !named || by.contains(&owner.as_str()) || path.ends_with("tests/tidy.rs"),
                "{} names {library}; only {by:?} may",
                path.display()
            );
        }
    }
}

/// `sled::open` or `use sled;`, but not `unassembled::x`.
fn names(line: &str, library: &str) -> bool {
    line.match_indices(library).any(|(place, _)| {
        let before = line[..place].chars().next_back();
        let free = before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_' && letter != '.');
        let rest = &line[place + library.len()..];
        free && (rest.starts_with("::") || line.trim_start().starts_with("use ") && rest.starts_with([';', ' ', ',', '}']))
    })
}

/// Lines without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// All our Rust files with their texts.
fn sources() -> Vec<(PathBuf, String)> {
    let listed = Command::new("git")
        .current_dir(top())
        .args(["ls-files", "-co", "--exclude-standard", "*.rs"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files = listed.lines().map(|file| top().join(file)).filter(|path| path.is_file());
    let all: Vec<(PathBuf, String)> = files
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect();
    assert!(all.len() > 50, "git lists our files");
    all
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources() {
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//! ") && first.len() > 12,
            "{} does not open with what it is for",
            path.display()
        );
    }
}

/// Commands are argument vectors; a shell is for people, inside their containers.
#[test]
fn no_shell() {
    for (path, text) in sources() {
        if path.starts_with(top().join("tests")) {
            continue;
        }
        for shell in ["sh", "bash", "/bin/sh", "/bin/bash", "/usr/bin/env"] {
            let call = format!("Command::new(\"{shell}\")");
            assert!(!text.contains(&call), "{} starts a shell", path.display());
        }
    }
}

/// State is passed: two panels fit in one test.
#[test]
fn no_statics() {
    for (path, text) in sources() {
        if path.starts_with(top().join("tests")) || path.starts_with(top().join("src/testkit")) {
            continue;
        }
        for line in code(&text) {
            let line = line.trim_start();
            let is_static = ["static ", "pub static ", "pub(crate) static "]
                .iter()
                .any(|word| line.starts_with(word));
            let keeps_state = ["Mutex", "RwLock", "OnceLock", "OnceCell", "LazyLock", "Atomic", "static mut"]
                .iter()
                .any(|word| line.contains(word));
            // Without a value it is of a task, inside `task_local!`.
            assert!(!(is_static && keeps_state && line.contains('=')), "{}: {line}", path.display());
        }
    }
}

/// The top folder holds what DESIGN says and nothing else.
#[test]
fn the_top_folder() {
    let known = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "catalog",
        "openapi.json",
        "packaging",
        "src",
        "systemd",
        "tests",
        "ui-dist",
    ];
    let listed = Command::new("git")
        .current_dir(top())
        .args(["ls-files", "-co", "--exclude-standard"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let found: BTreeSet<&str> = listed.lines().map(|path| path.split('/').next().unwrap_or_default()).collect();
    let strange: Vec<&&str> = found
        .iter()
        .filter(|name| !name.starts_with('.') && !known.contains(name))
        .collect();
    assert!(strange.is_empty(), "not of the top folder: {strange:?}");
    for wanted in [
        "ARCHITECTURE.md",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ] {
        assert!(found.contains(wanted), "{wanted} is missing");
    }
}

/// A new endpoint that needs no sign-in cannot slip in: it must be written down.
#[test]
fn open_endpoints() {
    let document = ["src/api/openapi.json", "openapi.json"]
        .map(|path| top().join(path))
        .into_iter()
        .find(|path| path.is_file());
    let text = fs::read_to_string(document.expect("the OpenAPI document is checked in")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut open = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let closed = operation["security"].as_array().is_some_and(|ways| !ways.is_empty());
            if operation["operationId"].is_string() && !closed {
                open.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let kept = fs::read_to_string(top().join("tests/open_endpoints.txt")).unwrap();
    let kept: BTreeSet<String> = kept
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(str::to_owned)
        .collect();
    assert_eq!(open, kept, "tests/open_endpoints.txt lists the operations without `security`");
}

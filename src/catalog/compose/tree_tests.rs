//! Compose files in a work tree: what they name beside them, above them, and outside of it.

use super::*;
use std::{fs, os::unix::fs::PermissionsExt};
use tempfile::TempDir;

const COMPOSE: &str = "include:
  - path: ../shared/db.yaml
services:
  web:
    build: { context: .., dockerfile: docker/Dockerfile, args: [TAG] }
    extends: { file: ../shared/base.yaml, service: base }
    env_file: [./web.env, { path: gone.env, required: false }, { path: raw.env, format: raw }]
    environment: [NAME]
    labels: { own: here }
    label_file: [one.labels, two.labels]
    volumes:
      - ./conf:/etc/web
      - ./run.sh:/run.sh:ro
      - ./data:/data
      - ../shared/x.ini:/x.ini:ro
    configs: [app]
    image: web:${TAG}
configs:
  app: { file: ./app.ini }
";

fn tree(files: &[(&str, &str)]) -> TempDir {
    let top = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = top.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    top
}

fn usual() -> TempDir {
    let top = tree(&[
        ("deploy/compose.yaml", COMPOSE),
        ("deploy/.env", "TAG=3\nNAME=of-the-file\nASKED=file\n"),
        ("deploy/web.env", "A=1\nB=${TAG}\n"),
        ("deploy/raw.env", "C='$TAG'\n"),
        ("deploy/one.labels", "own=file\nlabel=one\n"),
        ("deploy/two.labels", "label=two\n"),
        ("deploy/conf/a.ini", "a"),
        ("deploy/conf/more/b.ini", "b"),
        ("deploy/run.sh", "#!/bin/sh\n"),
        ("deploy/app.ini", "app"),
        (
            "shared/db.yaml",
            "services:\n  db:\n    image: db:${DB_TAG}\n    restart: always\n    env_file: db.env\n    build: ./db\n    volumes: ['./init:/init:ro']\n",
        ),
        ("shared/.env", "DB_TAG=16\nTAG=not-this\n"),
        ("shared/db.env", "USER=ada\n"),
        ("shared/db/Dockerfile", "FROM scratch\n"),
        ("shared/init/one.sql", "select 1;"),
        (
            "shared/base.yaml",
            "services:\n  base:\n    restart: always\n    environment: { BASE: '1' }\n    env_file: base.env\n",
        ),
        ("shared/base.env", "FROM_BASE=yes\nA=base\n"),
        ("shared/x.ini", "x"),
        ("docker/Dockerfile", "FROM scratch\n"),
    ]);
    fs::set_permissions(top.path().join("deploy/run.sh"), fs::Permissions::from_mode(0o755)).expect("set");
    top
}

fn at(top: &TempDir, path: &str) -> Result<Composed, Vec<Notice>> {
    let files = Folder(top.path().to_owned());
    let text = files.read(path).expect("readable").expect("there");
    let outside = |name: &str| (name == "ASKED").then(|| "asked".to_owned());
    let ask = Ask {
        text: &text,
        files: &files,
        variable: &outside,
        template: None,
        profiles: &[],
    };
    read_at(&ask, path)
}

#[test]
fn a_file_in_a_folder_sees_the_whole_tree() {
    let top = usual();
    let composed = at(&top, "deploy/compose.yaml").expect("read");
    let web = composed.stack.service("web").expect("there");
    assert_eq!(web.image.as_deref(), Some("web:3"));
    let build = web.build.as_ref().expect("a build");
    assert_eq!(
        (build.context.as_str(), build.dockerfile.as_deref()),
        ("./", Some("docker/Dockerfile"))
    );
    assert_eq!(build.arguments["TAG"], "3");
    let pairs: Vec<_> = web.environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(
        pairs,
        [
            ("A", "1"),
            ("B", "3"),
            ("BASE", "1"),
            ("C", "'$TAG'"),
            ("FROM_BASE", "yes"),
            ("NAME", "of-the-file")
        ]
    );
    let labels: Vec<_> = web.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("label", "two"), ("own", "here")]);
    let mut files: Vec<_> = web
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.content.as_str(), file.mode))
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            ("/app", "app", 0o444),
            ("/etc/web/a.ini", "a", 0o644),
            ("/etc/web/more/b.ini", "b", 0o644),
            ("/run.sh", "#!/bin/sh\n", 0o755),
            ("/x.ini", "x", 0o644)
        ]
    );
    assert_eq!(web.mounts.len(), 1);
    assert!(
        composed
            .hints
            .iter()
            .any(|hint| hint.line == 14 && hint.what.contains("it is kept as `web-data`")),
        "{:?}",
        composed.hints
    );
    let db = composed.stack.service("db").expect("there");
    assert_eq!((db.image.as_deref(), db.environment["USER"].as_str()), (Some("db:16"), "ada"));
    assert_eq!(db.build.as_ref().map(|build| build.context.as_str()), Some("./shared/db"));
    assert_eq!(db.files[0].path, "/init/one.sql");
}

#[test]
fn what_is_asked_goes_before_the_file() {
    let top = tree(&[
        (
            "compose.yaml",
            "services: {a: {image: 'x:1', restart: always, environment: [ASKED, OTHER]}}",
        ),
        (".env", "ASKED=file\nOTHER=\"${ASKED}!\"\n"),
    ]);
    let a = at(&top, "compose.yaml").expect("read").stack.services.remove(0);
    assert_eq!(
        (a.environment["ASKED"].as_str(), a.environment["OTHER"].as_str()),
        ("asked", "asked!")
    );
}

#[test]
fn an_own_project_folder() {
    let top = tree(&[
        (
            "compose.yaml",
            "include: [{path: [a/one.yaml, b/two.yaml], project_directory: c}]\nservices: {}\n",
        ),
        ("a/one.yaml", "services: {a: {image: 'x:1', restart: always, env_file: a.env}}"),
        ("b/two.yaml", "services: {a: {image: 'x:2'}}"),
        ("c/a.env", "A=${FROM}\n"),
        ("c/.env", "FROM=c\n"),
    ]);
    let composed = at(&top, "compose.yaml").expect("read");
    let a = &composed.stack.services[0];
    assert_eq!(
        (a.image.as_deref(), a.environment.get("A").map(String::as_str)),
        (Some("x:2"), Some(""))
    );
}

#[test]
fn refusals_in_a_tree() {
    let head = "services:\n  web:\n    image: x:1\n    restart: always\n";
    for (keys, line, words) in [
        ("build: gone", 5, "no folder `deploy/gone`"),
        ("build: .", 5, "no `deploy/Dockerfile`"),
        ("build: {context: ., dockerfile: x.docker}", 5, "no `deploy/x.docker`"),
        ("build: {context: .., dockerfile: ../../x}", 5, "leads out"),
        ("build: ../..", 5, "leads out"),
        ("build: https://example.com/x.git", 5, "not an address"),
        ("env_file: gone.env", 5, "there is no file `deploy/gone.env`"),
        ("env_file: ../../x", 5, "leads out"),
        ("env_file: out.env", 5, "leads out of the repository"),
        ("env_file: bad.env", 5, "bad.env, line 2"),
        ("label_file: own.labels", 5, "panel's own"),
        ("volumes: ['../../x:/x']", 5, "leads out"),
        ("volumes: ['./bytes:/x']", 5, "not a text"),
        ("volumes: ['./out.env:/x']", 5, "leads out of the repository"),
        ("extends: {file: gone.yaml, service: a}", 5, "there is no file `deploy/gone.yaml`"),
        ("extends: {file: broken.yaml, service: a}", 0, "is empty"),
    ] {
        let text = format!("{head}    {keys}\n");
        let top = tree(&[
            ("deploy/compose.yaml", &text),
            ("deploy/bad.env", "A=1\nB='x\n"),
            ("deploy/own.labels", "serverkit.app=x\n"),
            ("deploy/broken.yaml", ""),
            ("docker/x", ""),
        ]);
        fs::create_dir(top.path().join("deploy/bytes")).expect("made");
        fs::write(top.path().join("deploy/bytes/b"), [0xff, 0xfe]).expect("written");
        std::os::unix::fs::symlink("/etc/hostname", top.path().join("deploy/out.env")).expect("linked");
        let problems = at(&top, "deploy/compose.yaml").expect_err(keys);
        assert!(
            problems
                .iter()
                .any(|one| (line == 0 || one.line == line) && one.what.contains(words)),
            "{keys}: {words} is not in {problems:?}"
        );
    }
    let top = tree(&[("compose.yaml", "include: [{path: []}]\nservices: {}"), (".env", "A='x")]);
    let problems = at(&top, "compose.yaml").expect_err("broken");
    assert!(
        problems.iter().any(|one| one.what.contains("`include` needs a `path`")),
        "{problems:?}"
    );
    assert!(problems.iter().any(|one| one.what.starts_with(".env, line 1")), "{problems:?}");
}

#[test]
fn folders_that_are_too_large_are_refused() {
    let top = tree(&[(
        "compose.yaml",
        "services: {a: {image: 'x:1', volumes: ['./many:/many', './big:/big']}}",
    )]);
    for folder in ["many", "big"] {
        fs::create_dir(top.path().join(folder)).expect("made");
    }
    for number in 0..501 {
        fs::write(top.path().join(format!("many/{number}")), "").expect("written");
    }
    for number in 0..5 {
        fs::write(top.path().join(format!("big/{number}")), "x".repeat(1 << 20)).expect("written");
    }
    let problems = at(&top, "compose.yaml").expect_err("too much");
    let shown: Vec<&str> = problems.iter().map(|one| one.what.as_str()).collect();
    assert!(shown.iter().any(|what| what.contains("more than 500 files")), "{shown:?}");
    assert!(shown.iter().any(|what| what.contains("more than 4 MiB")), "{shown:?}");
}

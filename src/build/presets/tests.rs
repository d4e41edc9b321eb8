//! Folders, what they are taken for, and the Dockerfiles that follow.

use super::*;
use crate::{recipe::command, testing::folder};
use std::{collections::BTreeMap, path::Path};
use types::BuildWish;

fn recipe(files: &[(&str, &str)], wish: &BuildWish) -> Option<Recipe> {
    Recipe::of(folder(files).path(), wish, &BTreeMap::new()).unwrap()
}

/// Files, what it is taken for, its version, what installs it, what starts it (or what is served).
type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str, Option<&'a str>, &'a str);

/// Holds what is found in folders against what they are.
fn check(rows: &[Row<'_>]) {
    for &(files, framework, version, install, start) in rows {
        let found = recipe(files, &BuildWish::default()).unwrap_or_else(|| panic!("{framework} is not recognised"));
        assert_eq!((found.framework.as_str(), found.version.as_str()), (framework, version));
        assert_eq!(found.install.as_deref(), install, "{framework}");
        let shown = found.start.as_deref().or(found.output.as_deref());
        assert_eq!(shown, Some(start), "{framework}");
        let text = found.dockerfile(&BuildKeys::default());
        assert!(text.contains("\nFROM ") && text.contains("\nEXPOSE "), "{text}");
    }
}

#[test]
fn what_sites_and_folders_of_node_are() {
    check(&[
        (&[("index.html", "")], "static site", "", None, "."),
        (&[("public/index.html", ""), ("README", "")], "static site", "", None, "public"),
        (
            &[
                (
                    "package.json",
                    r#"{"devDependencies":{"vite":"6"},"scripts":{"build":"vite build"}}"#,
                ),
                ("package-lock.json", "{}"),
                ("index.html", ""),
            ],
            "Vite",
            node::VERSION,
            Some("npm ci --include=dev"),
            "dist",
        ),
        (
            &[
                (
                    "package.json",
                    r#"{"dependencies":{"next":"15"},"scripts":{"start":"next start"},"engines":{"node":">=20 <23"}}"#,
                ),
                ("pnpm-lock.yaml", ""),
            ],
            "Next.js",
            "20",
            Some("npm install --global pnpm@10 && pnpm install --frozen-lockfile"),
            "next start -H 0.0.0.0 -p $PORT",
        ),
        (
            &[
                ("package.json", r#"{"dependencies":{"express":"4"},"main":"server.js"}"#),
                ("server.js", ""),
                ("yarn.lock", ""),
                (".nvmrc", "v18"),
            ],
            "Express",
            "18",
            Some("yarn install --frozen-lockfile --production=false"),
            "node server.js",
        ),
        (
            &[
                (
                    "package.json",
                    r#"{"scripts":{"start":"node a.js && node b.js"},"packageManager":"yarn@4.5.1"}"#,
                ),
                ("yarn.lock", ""),
            ],
            "Node",
            node::VERSION,
            Some("npm install --global --force @yarnpkg/cli-dist@4.5.1 && yarn install --immutable"),
            "yarn run start",
        ),
        (
            &[("package.json", r#"{"scripts":{"start":"vite"},"devDependencies":{"vite":"6"}}"#)],
            "Vite",
            node::VERSION,
            Some("npm install --include=dev"),
            "dist",
        ),
        (
            &[("package.json", r#"{"dependencies":{"@docusaurus/core":"3"}}"#)],
            "Docusaurus",
            node::VERSION,
            Some("npm install --include=dev"),
            "build",
        ),
    ]);
}

#[test]
fn what_folders_of_python_are() {
    check(&[
        (
            &[
                ("app.py", "from flask import Flask\napp = Flask(__name__)"),
                ("requirements.txt", "Flask\ngunicorn"),
            ],
            "Flask",
            python::VERSION,
            Some("pip install -r requirements.txt"),
            "gunicorn --bind 0.0.0.0:$PORT --workers 2 --access-logfile - app:app",
        ),
        (
            &[("app/main.py", "api: FastAPI = FastAPI()"), ("requirements.txt", "fastapi")],
            "FastAPI",
            python::VERSION,
            Some("pip install -r requirements.txt uvicorn"),
            "uvicorn --host 0.0.0.0 --port $PORT app.main:api",
        ),
        (
            &[
                ("manage.py", ""),
                ("shop/wsgi.py", ""),
                ("poetry.lock", ""),
                (
                    "pyproject.toml",
                    "[project]\nrequires-python = \">=3.11\"\ndependencies = [\"gunicorn\"]",
                ),
            ],
            "Django",
            "3.11",
            Some("pip install poetry && poetry config virtualenvs.create false && poetry install --only main --no-root"),
            "gunicorn --bind 0.0.0.0:$PORT --workers 2 --access-logfile - shop.wsgi",
        ),
        (
            &[("main.py", "print(1)"), ("uv.lock", ""), ("pyproject.toml", "")],
            "Python",
            python::VERSION,
            Some(
                "pip install uv && uv export --frozen --no-dev --no-emit-project --no-hashes -o /tmp/requirements.txt && pip install -r /tmp/requirements.txt",
            ),
            "python main.py",
        ),
    ]);
}

#[test]
fn what_folders_of_php_and_ruby_are() {
    check(&[
        (&[("index.php", "")], "PHP", php::VERSION, None, "apache2-foreground"),
        (
            &[
                ("composer.json", r#"{"require":{"php":"^8.1","laravel/framework":"11"}}"#),
                ("package.json", "{}"),
                ("public/index.php", ""),
            ],
            "Laravel",
            php::VERSION,
            Some("composer install --no-dev --no-interaction --optimize-autoloader"),
            "apache2-foreground",
        ),
        (
            &[("wp-load.php", ""), ("index.php", "")],
            "WordPress",
            php::VERSION,
            None,
            "apache2-foreground",
        ),
        (
            &[("Gemfile", "gem 'rails'"), (".ruby-version", "3.3.1")],
            "Rails",
            "3.3",
            Some("bundle install --jobs 2"),
            "bundle exec rails server -b 0.0.0.0 -p $PORT",
        ),
        (
            &[("Gemfile", "ruby '3.1'\ngem 'sinatra'\ngem 'puma'"), ("config.ru", "")],
            "Rack",
            "3.1",
            Some("bundle install --jobs 2"),
            "bundle exec puma -b tcp://0.0.0.0:$PORT",
        ),
    ]);
}

#[test]
fn what_folders_that_are_compiled_are() {
    check(&[
        (
            &[("go.mod", "module x\n\ngo 1.22.3\n"), ("main.go", "")],
            "Go",
            "1.22",
            None,
            "/app/app",
        ),
        (
            &[("go.mod", "module x\n"), ("go.sum", ""), ("cmd/web/main.go", "")],
            "Go",
            compiled::GO,
            Some("go mod download"),
            "/app/app",
        ),
        (
            &[("Cargo.toml", "[package]\nname = \"web\"")],
            "Rust",
            compiled::RUST,
            None,
            "/app/app",
        ),
        (
            &[("pom.xml", "<java.version>17</java.version> spring-boot")],
            "Spring Boot",
            "17",
            None,
            "java -XX:MaxRAMPercentage=75 -Dserver.port=$PORT -jar /app/app.jar",
        ),
        (
            &[("Shop.csproj", "<TargetFramework>net8.0</TargetFramework>")],
            ".NET",
            "8.0",
            None,
            "dotnet /app/Shop.dll",
        ),
    ]);
}

#[test]
fn what_nothing_recognises_is_nothing() {
    assert_eq!(recipe(&[("README.md", ""), ("notes.txt", "")], &BuildWish::default()), None);
}

#[test]
fn wishes_go_before_what_is_found() {
    let files = [("package.json", r#"{"scripts":{"build":"x"}}"#), ("server.js", "")];
    let wish = BuildWish {
        version: Some("20".into()),
        install: Some(String::new()),
        start: Some("node server.js --slow".into()),
        packages: Some(vec!["ffmpeg".into()]),
        ..BuildWish::default()
    };
    let keys = BuildKeys {
        arguments: vec!["PUBLIC_URL".into()],
        secrets: vec!["NPM_TOKEN".into()],
        cache: None,
    };
    let text = recipe(&files, &wish).unwrap().dockerfile(&keys);
    for line in [
        "FROM node:20-slim",
        "ARG PUBLIC_URL",
        "ffmpeg",
        "RUN --mount=type=secret,id=NPM_TOKEN export NPM_TOKEN=\"$(cat /run/secrets/NPM_TOKEN)\" && npm run build",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    assert!(!text.contains("npm install"), "{text}");
    assert!(text.contains(&command("node server.js --slow")), "{text}");
    let nothing = BuildWish {
        preset: Some(Preset::Node),
        ..BuildWish::default()
    };
    let error = Recipe::of(folder(&[("x", "")]).path(), &nothing, &BTreeMap::new())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("start: "), "{error}");
}

#[test]
fn a_static_site_has_a_version_where_it_is_built() {
    let wish = BuildWish {
        version: Some("20".into()),
        ..BuildWish::default()
    };
    let plain = recipe(&[("index.html", "")], &wish).unwrap();
    assert_eq!(plain.name(), "static site");
    let built = |version: Option<&str>| BuildWish {
        build: Some("npx pagefind".into()),
        version: version.map(str::to_owned),
        ..BuildWish::default()
    };
    for (wished, has) in [(None, node::VERSION), (Some("20"), "20")] {
        let site = recipe(&[("index.html", "")], &built(wished)).unwrap();
        assert_eq!(site.name(), format!("static site {has}"));
        let text = site.dockerfile(&BuildKeys::default());
        assert!(text.contains(&format!("FROM node:{has}-slim AS build\n")), "{text}");
    }
}

#[test]
fn links_that_lead_out_are_not_read() {
    let dir = folder(&[("x", "")]);
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("index.html")).unwrap();
    assert_eq!(
        Recipe::of(Path::new(dir.path()), &BuildWish::default(), &BTreeMap::new()).unwrap(),
        None
    );
}

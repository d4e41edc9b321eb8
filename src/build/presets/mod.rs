//! What a folder is, and how such a thing is built: one file for each kind.

mod compiled;
mod node;
mod php;
mod python;
mod ruby;
mod sites;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use crate::{
    buildpacks,
    recipe::{BuildKeys, Recipe},
    tree::Tree,
};
pub use sites::fit_version;
use types::Preset;

type Look = fn(&Tree) -> Option<Recipe>;

/// In the order in which they are asked: a Laravel or Django app has a package.json too, and a static page may be anywhere.
const LOOKS: [Look; 11] = [
    php::framework,
    python::look,
    ruby::look,
    compiled::go,
    compiled::rust,
    compiled::java,
    compiled::dotnet,
    node::look,
    php::plain,
    sites::look,
    sites::lone_folder,
];

pub fn detected(tree: &Tree) -> Option<Recipe> {
    LOOKS.iter().find_map(|look| look(tree))
}

/// As what it was wished to be, also when it does not look like that.
pub fn named(tree: &Tree, preset: Preset) -> Option<Recipe> {
    let look =
        |found: Option<Recipe>, name: &str, version: &str| Some(found.unwrap_or_else(|| Recipe::new(preset, name, "chosen", version)));
    match preset {
        // The last two plan by themselves.
        Preset::Dockerfile | Preset::Nixpacks | Preset::Buildpacks => None,
        Preset::Static => Some(
            node::look(tree)
                .filter(|found| found.preset == Preset::Static)
                .or_else(|| sites::look(tree))
                .or_else(|| sites::lone_folder(tree))
                .unwrap_or_else(|| sites::plain(".", "chosen")),
        ),
        Preset::Node => look(node::server(tree), "Node", node::VERSION),
        Preset::Python => look(python::look(tree), "Python", python::VERSION),
        Preset::Php => look(php::framework(tree).or_else(|| php::plain(tree)), "PHP", php::VERSION).map(php::served),
        Preset::Ruby => look(ruby::look(tree), "Ruby", ruby::VERSION),
        Preset::Go => look(compiled::go(tree), "Go", compiled::GO),
        Preset::Rust => look(compiled::rust(tree), "Rust", compiled::RUST),
        Preset::Java => look(compiled::java(tree), "Java", compiled::JAVA),
        Preset::Dotnet => look(compiled::dotnet(tree), ".NET", compiled::DOTNET),
    }
}

pub fn dockerfile(recipe: &Recipe, keys: &BuildKeys) -> String {
    match recipe.preset {
        Preset::Dockerfile | Preset::Nixpacks => String::new(),
        Preset::Buildpacks => buildpacks::dockerfile(recipe, keys),
        Preset::Static => sites::dockerfile(recipe, keys),
        Preset::Node => node::dockerfile(recipe, keys),
        Preset::Python => python::dockerfile(recipe, keys),
        Preset::Php => php::dockerfile(recipe, keys),
        Preset::Ruby => ruby::dockerfile(recipe, keys),
        Preset::Go | Preset::Rust | Preset::Java | Preset::Dotnet => compiled::dockerfile(recipe, keys),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{recipe::command, testing::folder};
    use std::{collections::BTreeMap, path::Path};
    use types::BuildWish;

    fn recipe(files: &[(&str, &str)], wish: &BuildWish) -> Option<Recipe> {
        Recipe::of(folder(files).path(), wish, &BTreeMap::new()).unwrap()
    }

    /// Files, what it is taken for, its version, what installs it, what starts it (or what is served).
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str, Option<&'a str>, &'a str);

    #[test]
    fn what_folders_are() {
        let rows: [Row<'_>; 22] = [
            (&[("index.html", "")], "static site", node::VERSION, None, "."),
            (
                &[("public/index.html", ""), ("README", "")],
                "static site",
                node::VERSION,
                None,
                "public",
            ),
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
        ];
        for (files, framework, version, install, start) in rows {
            let found = recipe(files, &BuildWish::default()).unwrap_or_else(|| panic!("{framework} is not recognised"));
            assert_eq!((found.framework.as_str(), found.version.as_str()), (framework, version));
            assert_eq!(found.install.as_deref(), install, "{framework}");
            let shown = found.start.as_deref().or(found.output.as_deref());
            assert_eq!(shown, Some(start), "{framework}");
            let text = found.dockerfile(&BuildKeys::default());
            assert!(text.contains("\nFROM ") && text.contains("\nEXPOSE "), "{text}");
        }
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
    fn links_that_lead_out_are_not_read() {
        let dir = folder(&[("x", "")]);
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("index.html")).unwrap();
        assert_eq!(
            Recipe::of(Path::new(dir.path()), &BuildWish::default(), &BTreeMap::new()).unwrap(),
            None
        );
    }
}

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

/// The PHP app whose composer.json asks for these extensions.
fn with_extensions(names: &[&str], version: &str) -> Recipe {
    let require: Vec<String> = names.iter().map(|name| format!("\"ext-{name}\": \"*\"")).collect();
    let composer = format!("{{\"require\": {{{}}}}}", require.join(", "));
    let wish = BuildWish {
        version: Some(version.to_owned()),
        ..BuildWish::default()
    };
    recipe(&[("composer.json", composer.as_str())], &wish).unwrap()
}

/// What its Dockerfile does before Apache is set up.
fn first_lines(recipe: &Recipe) -> Vec<String> {
    let text = recipe.dockerfile(&BuildKeys::default());
    let lines = text.lines().skip_while(|line| *line != "WORKDIR /app").skip(1);
    lines.take_while(|line| !line.contains("a2enmod")).map(str::to_owned).collect()
}

fn apt(packages: &str) -> String {
    format!("RUN apt-get update -q && apt-get install -yq --no-install-recommends {packages} && rm -rf /var/lib/apt/lists/*")
}

#[test]
fn each_extension_of_php_is_had_in_its_own_way() {
    let bundled = |names: &str| format!("RUN docker-php-ext-install -j2 {names}");
    let pecl = |name: &str| format!("RUN pecl install {name} && docker-php-ext-enable {name}");
    let gd = "RUN docker-php-ext-configure gd --with-jpeg --with-webp --with-freetype".to_owned();
    let both = "libpng-dev libjpeg-dev libwebp-dev libfreetype6-dev libicu-dev libmemcached-dev zlib1g-dev libssl-dev";
    let rows: [(&[&str], &str, Vec<String>); 11] = [
        (&["redis"], "8.3", vec![pecl("redis")]),
        (&["imagick"], "8.3", vec![apt("libmagickwand-dev"), pecl("imagick")]),
        (&["xsl"], "8.3", vec![apt("libxslt1-dev"), bundled("xsl")]),
        (&["PDO", "json", "mbstring", "zlib"], "8.3", vec![]),
        (
            &["gd", "intl", "memcached", "redis"],
            "8.3",
            vec![apt(both), gd, bundled("gd intl"), pecl("memcached"), pecl("redis")],
        ),
        (&["pdo_pgsql", "pgsql"], "8.3", vec![apt("libpq-dev"), bundled("pdo_pgsql pgsql")]),
        (&["zend-opcache"], "8.4", vec![bundled("opcache")]),
        (&["zend-opcache"], "8.5", vec![]),
        (&["pspell"], "8.3.9", vec![apt("libpspell-dev"), bundled("pspell")]),
        (&["pspell"], "8.4", vec![apt("libpspell-dev"), pecl("pspell")]),
        (&["teapot"], "8.3", vec![bundled("teapot")]),
    ];
    for (names, version, lines) in rows {
        assert_eq!(first_lines(&with_extensions(names, version)), lines, "{names:?} of {version}");
    }
    // What Laravel gets unasked, and what somebody names.
    let laravel = [("composer.json", r#"{"require": {"laravel/framework": "11"}}"#)];
    let usual = vec![apt("libzip-dev libpq-dev"), bundled("pdo_mysql pdo_pgsql bcmath zip")];
    assert_eq!(first_lines(&recipe(&laravel, &BuildWish::default()).unwrap()), usual);
    let wish = BuildWish {
        packages: Some(vec!["apcu".into(), "json".into()]),
        ..BuildWish::default()
    };
    assert_eq!(first_lines(&recipe(&laravel, &wish).unwrap()), [pecl("apcu")]);
}

#[test]
fn extensions_of_php_that_nobody_knows_are_told() {
    assert_eq!(with_extensions(&["redis", "json"], "8.3").why, "composer.json is there");
    let why = with_extensions(&["redis", "teapot"], "8.3").why;
    assert!(
        why.ends_with("unknown extensions, tried with docker-php-ext-install: teapot"),
        "{why}"
    );
    let odd = with_extensions(&["x && reboot"], "8.3");
    assert!(odd.packages.is_empty(), "{:?}", odd.packages);
}

#[test]
fn imap_of_php_has_the_debian_that_has_its_library() {
    for (names, version, image) in [
        (["imap"], "8.3", "php:8.3-apache-bookworm"),
        (["imap"], "8", "php:8-apache-bookworm"),
        (["imap"], "7.4", "php:7.4-apache"),
        (["redis"], "8.3", "php:8.3-apache"),
    ] {
        let text = with_extensions(&names, version).dockerfile(&BuildKeys::default());
        assert!(text.contains(&format!("\nFROM {image}\n")), "{text}");
    }
    let libraries = apt("libc-client2007e-dev libkrb5-dev");
    let install = [
        "docker-php-ext-configure imap --with-kerberos --with-imap-ssl",
        "docker-php-ext-install -j2 imap",
    ];
    let mut lines = vec![libraries.clone()];
    lines.extend(install.map(|command| format!("RUN {command}")));
    assert_eq!(first_lines(&with_extensions(&["imap"], "8.3")), lines);
    let pecl = "RUN pecl install imap && docker-php-ext-enable imap".to_owned();
    assert_eq!(first_lines(&with_extensions(&["imap"], "8.4")), [libraries, pecl]);
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
            "ASPNETCORE_URLS=http://+:$PORT dotnet \"/app/Shop.dll\"",
        ),
    ]);
}

#[test]
fn the_java_that_maven_or_gradle_compiles_for() {
    for (file, text, version) in [
        ("pom.xml", "<properties><java.version>1.8</java.version></properties>", "8"),
        (
            "pom.xml",
            "<maven.compiler.release>${java.version}</maven.compiler.release><release>21</release>",
            "21",
        ),
        ("pom.xml", "<maven.compiler.source>11</maven.compiler.source>", "11"),
        ("pom.xml", "<project/>", compiled::JAVA),
        ("pom.xml", "<release>14</release>", "17"),
        ("pom.xml", "<release>26</release>", "26"),
        ("build.gradle", "sourceCompatibility = 1.7", "8"),
        ("build.gradle", "sourceCompatibility = '1.8'\ntargetCompatibility = '1.8'", "8"),
        ("build.gradle", "java { sourceCompatibility = JavaVersion.VERSION_1_8 }", "8"),
        ("build.gradle", "sourceCompatibility = 17\n", "17"),
        (
            "build.gradle.kts",
            "java { toolchain { languageVersion = JavaLanguageVersion.of(25) } }",
            "25",
        ),
        ("build.gradle.kts", "kotlin { jvmToolchain(17) }", "17"),
    ] {
        assert_eq!(recipe(&[(file, text)], &BuildWish::default()).unwrap().version, version, "{text}");
    }
    for (gradle, version) in [("8.14", "11"), ("9.2.0", "17")] {
        let wrapper = format!("distributionUrl=https\\://services.gradle.org/distributions/gradle-{gradle}-bin.zip");
        let files = [
            ("build.gradle", "sourceCompatibility = 11"),
            ("gradlew", ""),
            ("gradle/wrapper/gradle-wrapper.properties", wrapper.as_str()),
        ];
        assert_eq!(recipe(&files, &BuildWish::default()).unwrap().version, version, "{gradle}");
    }
}

#[test]
fn projects_of_dotnet_and_how_they_are_published() {
    let web = |target: &str| format!("<Project Sdk=\"Microsoft.NET.Sdk.Web\"><PropertyGroup>{target}</PropertyGroup></Project>");
    let (lone, old, several) = (
        web("<TargetFramework>net9.0</TargetFramework>"),
        web("<TargetFramework>netcoreapp3.1</TargetFramework><AssemblyName>harbour</AssemblyName>"),
        web("<TargetFrameworks>net8.0;net10.0;netstandard2.1;net10.0-windows</TargetFrameworks>"),
    );
    let tests = "<PackageReference Include=\"Microsoft.NET.Test.Sdk\" />";
    let library = "<Project Sdk=\"Microsoft.NET.Sdk\"><PropertyGroup><TargetFramework>net8.0</TargetFramework></PropertyGroup></Project>";
    let worker = "<Project Sdk=\"Microsoft.NET.Sdk\"><OutputType>Exe</OutputType></Project>";
    let props = "<Project><PropertyGroup><TargetFrameworks>net8.0;net6.0</TargetFrameworks></PropertyGroup></Project>";
    // They are programs themselves, and name no version where all have one place for them.
    let versions = "<Project><ItemGroup><PackageVersion Include=\"xunit.v3\" Version=\"3.2.0\" /></ItemGroup></Project>";
    let reference = "<ItemGroup><PackageReference Include=\"xunit.v3\" /></ItemGroup>";
    let running_tests = format!("<Project Sdk=\"Microsoft.NET.Sdk\"><OutputType>Exe</OutputType>{reference}</Project>");
    let shared_tests = format!("<Project>{reference}</Project>");
    // Files, framework, version, what publishes it, the program.
    type Way<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str, &'a str, &'a str);
    let ways: [Way<'_>; 8] = [
        (
            &[("Shop.csproj", &lone)],
            "ASP.NET Core",
            "9.0",
            "\"Shop.csproj\" -c Release -o",
            "Shop",
        ),
        (
            &[("Quay.fsproj", &old)],
            "ASP.NET Core",
            "3.1",
            "\"Quay.fsproj\" -c Release -o",
            "harbour",
        ),
        (
            &[("Shop.csproj", &several)],
            "ASP.NET Core",
            "10.0",
            "\"Shop.csproj\" -c Release -f net10.0 -o",
            "Shop",
        ),
        (
            &[
                ("Shop.sln", ""),
                ("src/Core/Core.csproj", library),
                ("src/Shop/Shop.csproj", &lone),
                ("src/A.Tests/A.Tests.csproj", tests),
            ],
            "ASP.NET Core",
            "9.0",
            "\"src/Shop/Shop.csproj\" -c Release -o",
            "Shop",
        ),
        (
            &[
                ("Directory.Build.props", props),
                ("Core/Core.csproj", library),
                ("My Mailer/My Mailer.csproj", worker),
            ],
            ".NET",
            "8.0",
            "\"My Mailer/My Mailer.csproj\" -c Release -f net8.0 -o",
            "My Mailer",
        ),
        (
            &[
                ("Shop.sln", ""),
                ("Directory.Packages.props", versions),
                ("A.Tests/A.Tests.csproj", &running_tests),
                ("Mailer/Mailer.csproj", worker),
            ],
            ".NET",
            dotnet::VERSION,
            "\"Mailer/Mailer.csproj\" -c Release -o",
            "Mailer",
        ),
        (
            &[
                ("Shop.sln", ""),
                ("Directory.Packages.props", versions),
                ("checks/Directory.Build.props", &shared_tests),
                ("checks/A/A.csproj", worker),
                ("mail/Mailer/Mailer.csproj", worker),
            ],
            ".NET",
            dotnet::VERSION,
            "\"mail/Mailer/Mailer.csproj\" -c Release -o",
            "Mailer",
        ),
        (
            &[("Core.csproj", "")],
            ".NET",
            dotnet::VERSION,
            "\"Core.csproj\" -c Release -o",
            "Core",
        ),
    ];
    for (files, framework, version, publish, program) in ways {
        let found = recipe(files, &BuildWish::default()).unwrap();
        assert_eq!(
            (found.framework.as_str(), found.version.as_str()),
            (framework, version),
            "{files:?}"
        );
        assert_eq!(found.build, Some(format!("dotnet publish {publish} /out")));
        assert_eq!(
            found.start,
            Some(format!("ASPNETCORE_URLS=http://+:$PORT dotnet \"/app/{program}.dll\""))
        );
    }
    for files in [
        &[("A.Tests.csproj", tests)][..],
        &[("A.Tests.csproj", running_tests.as_str()), ("Directory.Packages.props", versions)],
        &[("package.json", ""), ("tools/Make/Make.csproj", worker)],
    ] {
        assert_eq!(dotnet::look(&Tree::new(folder(files).path())), None, "{files:?}");
    }
    let lone = recipe(&[("src/Shop/Shop.csproj", &lone), ("README.md", "")], &BuildWish::default()).unwrap();
    assert_eq!(lone.name(), "ASP.NET Core 9.0");
}

/// A start command of somebody's own says nothing of where to listen.
#[test]
fn dotnet_listens_on_the_port_whatever_starts_it() {
    let wish = BuildWish {
        start: Some("dotnet Shop.dll --quiet".into()),
        ..BuildWish::default()
    };
    let found = recipe(&[("Shop.csproj", "")], &wish).unwrap();
    let text = found.dockerfile(&BuildKeys::default());
    let host = format!("\nENV PORT={0} ASPNETCORE_URLS=http://+:{0}\n", found.port);
    assert!(text.contains(&host), "{text}");
    assert!(
        text.contains("dotnet Shop.dll --quiet") && text.matches("ASPNETCORE_URLS").count() == 1,
        "{text}"
    );
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

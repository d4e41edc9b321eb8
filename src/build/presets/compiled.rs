//! Languages whose program is built in one image and runs in a smaller one: Go, Rust, Java, .NET.

use crate::{
    recipe::{BuildKeys, Lines, Recipe},
    tree::{Tree, version_in},
};
use types::Preset;

pub const GO: &str = "1.25";
pub const RUST: &str = "1";
pub const JAVA: &str = "21";
const PLAIN: &str = "debian:bookworm-slim";

pub fn go(tree: &Tree) -> Option<Recipe> {
    if !tree.has("go.mod") {
        return None;
    }
    let module = tree.text("go.mod");
    let mut recipe = Recipe::new(Preset::Go, "Go", "go.mod is there", GO);
    let line = module.lines().find(|line| line.starts_with("go ")).unwrap_or_default();
    if let Some(version) = version_in(line, 2) {
        recipe.version = version;
    }
    let commands = tree.names("cmd");
    let package = match commands.as_slice() {
        [only] if tree.ending(".go").is_empty() => format!("./cmd/{only}"),
        _ => ".".to_owned(),
    };
    recipe.manifests = ["go.mod", "go.sum"]
        .into_iter()
        .filter(|name| tree.has(name))
        .map(str::to_owned)
        .collect();
    recipe.install = tree.has("go.sum").then(|| "go mod download".to_owned());
    recipe.build = Some(format!("CGO_ENABLED=0 go build -ldflags=-s -o /out/app {package}"));
    recipe.start = Some("/app/app".to_owned());
    Some(recipe)
}

pub fn rust(tree: &Tree) -> Option<Recipe> {
    if !tree.has("Cargo.toml") {
        return None;
    }
    let manifest = tree.toml("Cargo.toml");
    let name = |table: Option<&toml::Value>| {
        table
            .and_then(|table| table.get("name"))
            .and_then(|name| name.as_str())
            .map(str::to_owned)
    };
    let bins = manifest
        .get("bin")
        .and_then(|bins| bins.as_array())
        .map(Vec::as_slice)
        .unwrap_or_default();
    let name = name(bins.first()).or_else(|| name(manifest.get("package")));
    let mut recipe = Recipe::new(Preset::Rust, "Rust", "Cargo.toml is there", RUST);
    let chosen = [tree.text("rust-toolchain"), tree.text("rust-toolchain.toml")];
    if let Some(version) = chosen.iter().find_map(|text| version_in(text, 2)) {
        recipe.version = version;
    }
    let locked = if tree.has("Cargo.lock") { " --locked" } else { "" };
    recipe.build = Some(match &name {
        Some(name) => format!("cargo build --release{locked} --bin {name} && mkdir -p /out && cp target/release/{name} /out/app"),
        None => format!(
            "cargo build --release{locked} && mkdir -p /out && find target/release -maxdepth 1 -type f -executable -exec cp {{}} /out/app ';'"
        ),
    });
    recipe.start = Some("/app/app".to_owned());
    Some(recipe)
}

pub fn java(tree: &Tree) -> Option<Recipe> {
    let (why, build, folder) = if tree.has("pom.xml") {
        let maven = if tree.has("mvnw") { "sh ./mvnw" } else { "mvn" };
        ("pom.xml is there", format!("{maven} -B -DskipTests package"), "target")
    } else if tree.first(&["build.gradle", "build.gradle.kts"]).is_some() {
        let gradle = if tree.has("gradlew") { "sh ./gradlew" } else { "gradle" };
        ("build.gradle is there", format!("{gradle} --no-daemon build -x test"), "build/libs")
    } else {
        return None;
    };
    let text = ["pom.xml", "build.gradle", "build.gradle.kts"]
        .map(|name| tree.text(name))
        .join("\n");
    let title = if text.contains("spring-boot") { "Spring Boot" } else { "Java" };
    let mut recipe = Recipe::new(Preset::Java, title, why, JAVA);
    if let Some(version) = java_version(&text) {
        let least = if needs_java_17(tree) { 17 } else { 0 };
        recipe.version = JAVAS
            .iter()
            .find(|known| **known >= version.max(least))
            .unwrap_or(&version)
            .to_string();
    }
    let copy =
        format!("mkdir -p /out && cp \"$(ls -S {folder}/*.jar | grep -v -e -plain -e -sources -e -javadoc | head -n 1)\" /out/app.jar");
    recipe.build = Some(format!("{build} && {copy}"));
    recipe.start = Some("java -XX:MaxRAMPercentage=75 -Dserver.port=$PORT -jar /app/app.jar".to_owned());
    recipe.output = Some(if why.starts_with("pom") { "maven" } else { "gradle" }.to_owned());
    Some(recipe)
}

/// Those that have an image; each compiles for older ones too.
const JAVAS: [u32; 5] = [8, 11, 17, 21, 25];

/// What Maven or Gradle compiles for: 17 of `<java.version>17`, 8 of `1.8` and `VERSION_1_8`.
fn java_version(text: &str) -> Option<u32> {
    let marks = [
        "<java.version>",
        "<maven.compiler.release>",
        "<maven.compiler.source>",
        "<release>",
        "JavaLanguageVersion.of(",
        "jvmToolchain(",
        "sourceCompatibility",
        "JavaVersion.VERSION_",
    ];
    let version = marks.iter().find_map(|mark| {
        let (_, behind) = text.split_once(mark)?;
        let value = behind.split(['<', '\n', ')']).next()?.replace('_', ".");
        version_in(&value, 2).filter(|_| !value.contains('$'))
    })?;
    // The languages before 9 were called 1.5 to 1.8.
    let number = match version.split_once('.') {
        Some(("1", old)) => old,
        Some((new, _)) => new,
        None => &version,
    };
    number.parse().ok()
}

/// Gradle 9 runs on nothing older, whatever it compiles for. What has no wrapper gets Gradle 8.
fn needs_java_17(tree: &Tree) -> bool {
    let wrapper = tree.text("gradle/wrapper/gradle-wrapper.properties");
    let version = wrapper.split_once("gradle-").and_then(|(_, behind)| version_in(behind, 1));
    version
        .and_then(|version| version.parse::<u32>().ok())
        .is_some_and(|version| version >= 9)
}

pub fn dockerfile(recipe: &Recipe, keys: &BuildKeys) -> String {
    let version = &recipe.version;
    let (builder, runner, caches): (String, String, &[&str]) = match recipe.preset {
        Preset::Go => (
            format!("golang:{version}"),
            PLAIN.to_owned(),
            &["/go/pkg/mod", "/root/.cache/go-build"],
        ),
        Preset::Rust => (
            format!("rust:{version}-slim-bookworm"),
            PLAIN.to_owned(),
            &["/usr/local/cargo/registry"],
        ),
        Preset::Java => {
            let tool = match recipe.output.as_deref() {
                Some("gradle") => format!("gradle:8-jdk{version}"),
                _ => format!("maven:3-eclipse-temurin-{version}"),
            };
            (tool, format!("eclipse-temurin:{version}-jre"), &["/root/.m2", "/root/.gradle"])
        }
        _ => (
            format!("mcr.microsoft.com/dotnet/sdk:{version}"),
            format!("mcr.microsoft.com/dotnet/aspnet:{version}"),
            &["/root/.nuget"],
        ),
    };
    let lines = Lines::new(recipe, keys)
        .stage(&builder, Some("build"))
        .packages(&recipe.packages)
        .install(recipe, caches)
        .run(recipe.build.as_deref(), caches)
        .add(format!("FROM {runner}"))
        .add("WORKDIR /app");
    let lines = match recipe.preset {
        // Programs that call others over TLS look for the authorities there.
        Preset::Go | Preset::Rust => lines.add("COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt"),
        _ => lines,
    };
    let host = match recipe.preset {
        // For a start command of somebody's own, too: before .NET 8 its images listen on 80.
        Preset::Dotnet => format!(" ASPNETCORE_URLS=http://+:{}", recipe.port),
        Preset::Rust => " HOST=0.0.0.0".to_owned(),
        _ => String::new(),
    };
    lines
        .add("COPY --from=build /out/ /app/")
        .add(format!("ENV PORT={}{host}", recipe.port))
        .start(recipe)
        .done()
}

//! A plan by Nixpacks, and the Dockerfile that we write by it.
//!
//! Of the crate only the planner is used. It never builds here: its own build runs the `docker` command on the host, gives all variables to
//! the image, and keeps no secret out of it. It follows links, reads files whole and may panic, so it sees a copy of the small files of
//! the source and nothing else.

use crate::recipe::{BuildKeys, Lines, Recipe};
use ::nixpacks::{
    get_providers,
    nixpacks::{
        app::{ASSETS_DIR, App},
        environment::Environment,
        images::DEFAULT_BASE_IMAGE,
        nix::{create_nix_expressions_for_phases, setup_files_for_phases},
        plan::{
            BuildPlan, PlanGenerator,
            generator::{GeneratePlanOptions, NixpacksBuildPlanGenerator},
            phase::{Phase, StartPhase},
        },
    },
};
use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};
use tempfile::TempDir;
use types::{BuildWish, Doing, Error, Preset, RepoPath, Result};

/// Larger ones are empty in what the planner sees: a list of dependencies is smaller.
const LARGEST: u64 = 8 << 20;
/// Files that it sees.
const MOST: usize = 20_000;
/// Variables that steer it begin so.
const PREFIX: &str = "NIXPACKS_";
/// Where the files of its plan lie, from the folder of the app.
const FOLDER: &str = ".nixpacks";

/// What of the plan the Dockerfile is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    base: String,
    phases: Vec<Phase>,
    start: StartPhase,
    variables: BTreeMap<String, String>,
    assets: BTreeMap<String, String>,
    /// Nix expressions, by the name of their file.
    nix: BTreeMap<String, String>,
    /// Files that these need.
    setup_files: Vec<String>,
}

/// `None` when Nixpacks does not know such a folder. `settings`: variables of the build; those that begin with `NIXPACKS_` steer it.
/// Fails with `Invalid` for what it refuses, in its words. Blocks.
pub fn recipe(folder: &Path, wish: &BuildWish, settings: &BTreeMap<String, String>) -> Result<Option<Recipe>> {
    let seen = tempfile::tempdir().doing("making a folder for Nixpacks")?;
    copy_small(folder, &seen)?;
    let environment = Environment::new(steering(wish, settings)?);
    // Anybody's repository reaches code here that unwraps; a panic must not become more than a refusal.
    let planned = catch_unwind(AssertUnwindSafe(|| planned(seen.path(), &environment)));
    let (mut plan, providers) = planned
        .map_err(|_| Error::invalid("preset", "Nixpacks cannot plan this folder: it stopped with a failure of its own"))?
        .map_err(|error| Error::invalid("preset", refusal(&error, seen.path())))?;
    if plan.phases.as_ref().is_none_or(BTreeMap::is_empty) {
        return Ok(None);
    }
    leave_out(&mut plan, wish);
    let phases = plan
        .get_sorted_phases()
        .map_err(|error| Error::invalid("preset", refusal(&error, seen.path())))?;
    let start = plan.start_phase.clone().unwrap_or_default();
    let commands = |name: &str| {
        let of = phases.iter().find(|phase| phase.get_name() == name);
        of.and_then(|phase| phase.cmds.as_ref())
            .filter(|all| !all.is_empty())
            .map(|all| all.join(" && "))
    };
    let why = match fs::exists(folder.join("nixpacks.toml")).unwrap_or(false) || fs::exists(folder.join("nixpacks.json")).unwrap_or(false) {
        true => "a Nixpacks file is there".to_owned(),
        false => format!("Nixpacks takes it for {}", providers.join(", ")),
    };
    let mut recipe = Recipe::new(Preset::Nixpacks, "Nixpacks", &why, "");
    recipe.install = commands("install");
    recipe.build = commands("build");
    recipe.start.clone_from(&start.cmd);
    recipe.packages = phases.iter().flat_map(|phase| phase.apt_pkgs.clone().unwrap_or_default()).collect();
    recipe.nixpacks = Some(Box::new(Planned {
        base: plan.build_image.clone().unwrap_or_else(|| DEFAULT_BASE_IMAGE.to_owned()),
        nix: create_nix_expressions_for_phases(&plan.phases.clone().unwrap_or_default())
            .into_iter()
            .filter(|_| phases.iter().any(Phase::uses_nix))
            .collect(),
        setup_files: setup_files_for_phases(&plan.phases.clone().unwrap_or_default()),
        variables: plan.variables.unwrap_or_default(),
        assets: plan.static_assets.unwrap_or_default(),
        phases,
        start,
    }));
    Ok(Some(recipe))
}

fn planned(folder: &Path, environment: &Environment) -> anyhow::Result<(BuildPlan, Vec<String>)> {
    let app = App::new(&folder.to_string_lossy())?;
    let mut generator = NixpacksBuildPlanGenerator::new(get_providers(), GeneratePlanOptions::default());
    let providers = generator.get_plan_providers(&app, environment)?;
    let (plan, place) = generator.generate_plan(&app, environment)?;
    // It looks into a lone folder where it finds nothing; what is built is the folder that was named.
    Ok(match place.source == app.source {
        true => (plan, providers),
        false => (BuildPlan::default(), Vec::new()),
    })
}

/// Without the place of the copy, which nobody knows.
fn refusal(error: &anyhow::Error, seen: &Path) -> String {
    let words = format!("{error:#}").replace(&format!("{}/", seen.display()), "");
    format!("Nixpacks refuses this folder: {words}")
}

/// What steers the planner: the app's own variables for it, and what is wished.
fn steering(wish: &BuildWish, settings: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let mut steering: BTreeMap<String, String> = settings
        .iter()
        .filter(|(key, _)| key.starts_with(PREFIX))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    // It would open any path.
    if let Some(file) = steering.get("NIXPACKS_CONFIG_FILE") {
        file.parse::<RepoPath>()
            .map_err(|_| Error::invalid("NIXPACKS_CONFIG_FILE", "must be a path in the folder"))?;
    }
    let mut wished = |key: &str, value: Option<&String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            steering.insert(format!("{PREFIX}{key}"), value.clone());
        }
    };
    // Each of its languages has a name of its own for this; those that do not apply are not read.
    for language in [
        "NODE",
        "PYTHON",
        "JDK",
        "RUBY",
        "GO",
        "DENO",
        "CSHARP_SDK",
        "FSHARP_SDK",
        "SWIFT",
        "ZIG",
        "CRYSTAL",
    ] {
        wished(&format!("{language}_VERSION"), wish.version.as_ref());
    }
    wished("INSTALL_CMD", wish.install.as_ref());
    wished("BUILD_CMD", wish.build.as_ref());
    wished("START_CMD", wish.start.as_ref());
    wished("APT_PKGS", wish.packages.as_ref().map(|names| names.join(",")).as_ref());
    Ok(steering)
}

/// An empty command is none.
fn leave_out(plan: &mut BuildPlan, wish: &BuildWish) {
    for (name, command) in [("install", &wish.install), ("build", &wish.build)] {
        if let (Some(""), Some(phase)) = (command.as_deref(), plan.get_phase_mut(name)) {
            phase.cmds = None;
        }
    }
}

/// The small files of `from`; what links lead to in it is copied, what they lead to outside is not there.
fn copy_small(from: &Path, to: &TempDir) -> Result<()> {
    let root = from.canonicalize().doing("opening the folder to plan")?;
    let mut folders = vec![(root.clone(), to.path().to_owned())];
    let mut left = MOST;
    while let Some((from, to)) = folders.pop() {
        for entry in fs::read_dir(&from).doing("reading the folder to plan")? {
            let entry = entry.doing("reading the folder to plan")?;
            let name = entry.file_name();
            let kind = entry.file_type().doing("looking at a file")?;
            let target = to.join(&name);
            if kind.is_dir() {
                if name != ".git" && name != "node_modules" && left > 0 {
                    fs::create_dir(&target).doing("copying a folder to plan")?;
                    folders.push((entry.path(), target));
                }
                continue;
            }
            // Not a folder behind a link: it could be one that is above.
            let Some(path) = entry
                .path()
                .canonicalize()
                .ok()
                .filter(|path| path.starts_with(&root) && path.is_file())
            else {
                continue;
            };
            if left == 0 {
                return Ok(());
            }
            left -= 1;
            match path.metadata().is_ok_and(|facts| facts.len() <= LARGEST) {
                true => fs::copy(&path, &target).map(drop).doing("copying a file to plan")?,
                false => fs::write(&target, "").doing("copying a file to plan")?,
            }
        }
    }
    Ok(())
}

/// As Nixpacks would write it, but for what is secret, which is mounted, and its files, which are in the text: so it can be taken over.
pub fn dockerfile(recipe: &Recipe, planned: &Planned, keys: &BuildKeys) -> String {
    let lines = Lines::new(recipe, keys)
        .add(format!("FROM {}", planned.base))
        .add(r#"ENTRYPOINT ["/bin/bash", "-l", "-c"]"#)
        .add("WORKDIR /app/");
    let lines = copies(lines, &planned.setup_files, None);
    let lines = planned.nix.iter().fold(lines, |lines, (name, text)| {
        let file = format!("{FOLDER}/{name}");
        lines
            .add(written(&file, text))
            .add(format!("RUN nix-env -if {file} && nix-collect-garbage -d"))
    });
    let lines = match recipe.packages.as_slice() {
        [] => lines,
        names => lines.add(format!(
            "RUN sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
            names.join(" ")
        )),
    };
    let lines = planned.assets.iter().fold(lines, |lines, (name, text)| {
        lines.add(written(&format!("{ASSETS_DIR}{}", name.trim_start_matches('/')), text))
    });
    let lines = keys.arguments.iter().fold(lines, |lines, key| lines.add(format!("ARG {key}")));
    let lines = planned
        .variables
        .iter()
        .filter(|(key, _)| !key.starts_with(PREFIX) && !keys.arguments.contains(key))
        .fold(lines, |lines, (key, value)| lines.add(format!("ENV {key}={}", quoted(value))));
    let lines = planned.phases.iter().fold(lines, phase);
    let lines = planned
        .phases
        .iter()
        .filter_map(|phase| phase.paths.as_ref().filter(|paths| !paths.is_empty()))
        .fold(lines, |lines, paths| {
            lines.add(format!("RUN printf '\\nPATH={}:$PATH' >> /root/.profile", paths.join(":")))
        });
    start(lines, recipe, &planned.start).done()
}

fn phase<'k>(lines: Lines<'k>, phase: &Phase) -> Lines<'k> {
    if !phase.runs_docker_commands() {
        return lines;
    }
    let lines = lines.add(format!("# {}", phase.get_name().replace('\n', " ")));
    let lines = match phase.paths.as_deref() {
        Some(paths @ [_, ..]) => lines.add(format!("ENV NIXPACKS_PATH={}:$NIXPACKS_PATH", paths.join(":"))),
        _ => lines,
    };
    let everything = [".".to_owned()];
    let lines = copies(lines, phase.only_include_files.as_deref().unwrap_or(&everything), None);
    let folders: Vec<String> = phase.cache_directories.iter().flatten().map(|folder| in_app(folder)).collect();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let commands = phase.cmds.iter().flatten();
    commands.fold(lines, |lines, command| lines.run(Some(&one_line(command)), &folders))
}

fn start<'k>(lines: Lines<'k>, recipe: &Recipe, start: &StartPhase) -> Lines<'k> {
    let lines = match &start.run_image {
        None => lines.add("COPY . /app"),
        Some(image) => {
            let lines = lines
                .add(format!("FROM {image}"))
                .add(r#"ENTRYPOINT ["/bin/bash", "-l", "-c"]"#)
                .add("WORKDIR /app/")
                .add("COPY --from=0 /etc/ssl/certs /etc/ssl/certs");
            let all = ["/app/".to_owned()];
            copies(lines, start.only_include_files.as_deref().unwrap_or(&all), Some("0"))
        }
    };
    let lines = match &start.user {
        Some(user) => lines.add(format!("RUN useradd -m -s /bin/bash {user}")).add(format!("USER {user}")),
        None => lines,
    };
    let lines = lines
        .add(format!("ENV PORT={}", recipe.port))
        .add(format!("EXPOSE {}", recipe.port));
    match &recipe.start {
        Some(command) => lines.add(format!("CMD {}", serde_json::to_string(&[command]).expect("texts are JSON"))),
        None => lines,
    }
}

fn copies<'k>(lines: Lines<'k>, files: &[String], stage: Option<&str>) -> Lines<'k> {
    files.iter().fold(lines, |lines, file| {
        let place = in_app(file.trim_start_matches("./"));
        lines.add(match stage {
            Some(stage) => format!("COPY --from={stage} {place} {place}"),
            None => format!("COPY {file} {place}"),
        })
    })
}

fn in_app(path: &str) -> String {
    match path.replacen('~', "/root", usize::from(path.starts_with('~'))) {
        path if path.starts_with('/') => path,
        path => format!("/app/{path}"),
    }
}

/// A step that writes a file: in words that people can read and change.
fn written(file: &str, text: &str) -> String {
    let folder = file.rsplit_once('/').map_or(".", |(folder, _)| folder);
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("    '{}' \\\n", line.replace('\'', r"'\''")))
        .collect();
    format!("RUN mkdir -p '{folder}' && printf '%s\\n' \\\n{}    > '{file}'", lines.concat())
}

/// Several lines of one command, which its file may have.
fn one_line(command: &str) -> String {
    command.trim().replace('\n', " \\\n    ")
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', " "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::folder;

    fn text(files: &[(&str, &str)], wish: &BuildWish, settings: &[(&str, &str)]) -> String {
        let settings = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let recipe = recipe(folder(files).path(), wish, &settings).unwrap().unwrap();
        let keys = BuildKeys {
            arguments: vec!["PUBLIC_URL".into()],
            secrets: vec!["NPM_TOKEN".into()],
            cache: Some("app_1".into()),
        };
        recipe.dockerfile(&keys)
    }

    const NODE: &[(&str, &str)] = &[
        (
            "package.json",
            r#"{"scripts":{"build":"tsc","start":"node server.js"},"engines":{"node":"20"}}"#,
        ),
        ("package-lock.json", r#"{"lockfileVersion":3}"#),
        ("server.js", ""),
    ];

    #[test]
    fn a_plan_becomes_a_dockerfile_without_secrets_in_it() {
        let text = text(NODE, &BuildWish::default(), &[]);
        for line in [
            "FROM ghcr.io/railwayapp/nixpacks:",
            "nodejs_20",
            "RUN nix-env -if .nixpacks/nixpkgs",
            "ARG PUBLIC_URL",
            "--mount=type=cache,id=app_1-/root/.npm,target=/root/.npm",
            "--mount=type=secret,id=NPM_TOKEN export NPM_TOKEN=\"$(cat /run/secrets/NPM_TOKEN)\" && npm ci",
            "npm run build",
            "EXPOSE 8080",
            "CMD [\"npm run start\"]",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
        assert!(!text.contains("ENV NPM_TOKEN") && !text.contains("ENV NIXPACKS_METADATA"), "{text}");
    }

    #[test]
    fn many_kinds_are_planned() {
        let samples: [(&[(&str, &str)], &str); 7] = [
            (&[("requirements.txt", "flask"), ("main.py", "")], "pip install -r requirements.txt"),
            (&[("go.mod", "module x\n\ngo 1.22\n"), ("main.go", "package main")], "go build"),
            (
                &[
                    ("Cargo.toml", "[package]\nname = \"web\"\nversion = \"1.0.0\"\n"),
                    ("src/main.rs", ""),
                ],
                "cargo build --release",
            ),
            (&[("mix.exs", ""), ("mix.lock", "")], "mix "),
            (
                &[
                    ("deno.json", r#"{"tasks":{"start":"deno run main.ts"}}"#),
                    ("main.ts", "import 'https://deno.land/x.ts'"),
                ],
                "deno",
            ),
            (&[("index.php", "<?php")], "/assets/"),
            (
                &[("nixpacks.toml", "[phases.build]\ncmds = [\"make\"]\n[start]\ncmd = \"./run\"\n")],
                "RUN --mount=type=secret",
            ),
        ];
        for (files, wanted) in samples {
            let text = text(files, &BuildWish::default(), &[]);
            assert!(text.contains(wanted), "no {wanted} in {text}");
            assert!(text.lines().all(|line| !line.contains('\0')), "{text}");
        }
        for files in [
            [("README.md", ""), ("notes.txt", "")],
            [("README.md", ""), ("web/go.mod", "module x\n")],
        ] {
            let nothing = folder(&files);
            assert_eq!(
                recipe(nothing.path(), &BuildWish::default(), &BTreeMap::new()).unwrap(),
                None,
                "{files:?}"
            );
        }
    }

    #[test]
    fn wishes_and_variables_steer_it() {
        let wish = BuildWish {
            version: Some("18".into()),
            build: Some(String::new()),
            start: Some("node server.js --slow".into()),
            packages: Some(vec!["ffmpeg".into()]),
            ..BuildWish::default()
        };
        let text = text(NODE, &wish, &[("NIXPACKS_INSTALL_CMD", "npm ci --ignore-scripts"), ("OTHER", "x")]);
        for line in ["nodejs_18", "npm ci --ignore-scripts", "CMD [\"node server.js --slow\"]", "ffmpeg"] {
            assert!(text.contains(line), "no {line} in {text}");
        }
        assert!(!text.contains("npm run build") && !text.contains("OTHER"), "{text}");
        let settings = BTreeMap::from([("NIXPACKS_CONFIG_FILE".to_owned(), "/etc/passwd".to_owned())]);
        let refused = recipe(folder(NODE).path(), &BuildWish::default(), &settings)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("NIXPACKS_CONFIG_FILE"), "{refused}");
    }

    #[test]
    fn what_links_lead_to_outside_is_not_seen() {
        let secret = folder(&[("package.json", r#"{"scripts":{"start":"leaked"}}"#)]);
        let dir = folder(&[("requirements.txt", "flask"), ("main.py", "")]);
        std::os::unix::fs::symlink(secret.path().join("package.json"), dir.path().join("package.json")).unwrap();
        std::os::unix::fs::symlink("main.py", dir.path().join("app.py")).unwrap();
        let found = recipe(dir.path(), &BuildWish::default(), &BTreeMap::new()).unwrap().unwrap();
        assert!(found.why.contains("python"), "{}", found.why);
        let to = tempfile::tempdir().unwrap();
        copy_small(dir.path(), &to).unwrap();
        assert!(to.path().join("app.py").is_file() && !to.path().join("package.json").exists());
    }

    #[test]
    fn a_broken_file_is_a_refusal_in_words() {
        let dir = folder(&[("nixpacks.toml", "[phases\n")]);
        let refused = recipe(dir.path(), &BuildWish::default(), &BTreeMap::new()).unwrap_err().to_string();
        assert!(
            refused.contains("Nixpacks refuses") && refused.contains("nixpacks.toml"),
            "{refused}"
        );
        assert!(!refused.contains(&dir.path().display().to_string()), "{refused}");
    }

    #[test]
    fn files_are_written_as_they_are() {
        assert_eq!(
            written("/assets/a b", "it's\n$x"),
            "RUN mkdir -p '/assets' && printf '%s\\n' \\\n    'it'\\''s' \\\n    '$x' \\\n    > '/assets/a b'"
        );
    }
}

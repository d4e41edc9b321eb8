//! What a preset has found out, what somebody wants otherwise, and the Dockerfile that follows from both.

use crate::{
    buildpacks,
    nixpacks::{self, Planned},
    presets,
    tree::Tree,
};
use std::{collections::BTreeMap, path::Path};
use types::{BuildWish, Error, Preset, Result};

/// How to build and run a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub preset: Preset,
    /// What people call it: `Next.js`, `Flask`.
    pub framework: String,
    /// Why it was taken for that: `package.json names next`.
    pub why: String,
    /// Of the language; empty where nothing needs one.
    pub version: String,
    /// Files that `install` needs: copied first, so that it is done again only when one of them changes. Empty: everything.
    pub manifests: Vec<String>,
    /// Debian packages; with PHP, extensions.
    pub packages: Vec<String>,
    pub install: Option<String>,
    pub build: Option<String>,
    pub start: Option<String>,
    /// What is served of a static site.
    pub output: Option<String>,
    pub port: u16,
    /// The image whose buildpacks build it.
    pub builder: Option<String>,
    /// What Nixpacks has planned.
    pub(crate) nixpacks: Option<Box<Planned>>,
}

/// Keys of variables that are there during the build.
#[derive(Debug, Clone, Default)]
pub struct BuildKeys {
    /// As `ARG`.
    pub arguments: Vec<String>,
    /// As mounted secrets.
    pub secrets: Vec<String>,
    /// Whose cache mounts they are: no app finds, or spoils, what another has kept. `None`: of nobody yet.
    pub cache: Option<String>,
}

impl BuildKeys {
    /// Stands behind a command, so that the engine's list of what it keeps of builds says whose it is: older ones do not tell the ids of
    /// cache mounts.
    pub(crate) fn mark(&self) -> String {
        self.cache.as_ref().map(|app| format!(" # {app}")).unwrap_or_default()
    }
}

impl Recipe {
    /// A preset's own, before anything is known.
    pub fn new(preset: Preset, framework: &str, why: &str, version: &str) -> Recipe {
        Recipe {
            preset,
            framework: framework.to_owned(),
            why: why.to_owned(),
            version: version.to_owned(),
            manifests: Vec::new(),
            packages: Vec::new(),
            install: None,
            build: None,
            start: None,
            output: None,
            port: 8080,
            builder: None,
            nixpacks: None,
        }
    }

    /// Finds out how to build `folder`, as far as `wish` does not say it. `None` when nothing is recognised. Fails with
    /// `Invalid` when a preset is wished for that has nothing to start.
    pub fn of(folder: &Path, wish: &BuildWish, settings: &BTreeMap<String, String>) -> Result<Option<Recipe>> {
        let tree = Tree::new(folder);
        // A file that is there for one of them says more than what the rest looks like.
        let is_for_nixpacks = tree.first(&["nixpacks.toml", "nixpacks.json"]).is_some();
        let found = match wish.preset {
            Some(Preset::Buildpacks) => return buildpacks::recipe(&tree, wish).map(Some),
            None if buildpacks::is_described(&tree) => return buildpacks::recipe(&tree, wish).map(Some),
            Some(Preset::Nixpacks) => nixpacks::recipe(folder, wish, settings)?,
            None if is_for_nixpacks => nixpacks::recipe(folder, wish, settings)?,
            Some(preset) => presets::named(&tree, preset),
            None => match presets::detected(&tree) {
                Some(found) => Some(found),
                // It knows languages that our presets do not.
                None => nixpacks::recipe(folder, wish, settings)?,
            },
        };
        if let (None, Some(Preset::Nixpacks)) = (&found, wish.preset) {
            return Err(Error::invalid("preset", "Nixpacks recognises nothing in this folder"));
        }
        let Some(mut recipe) = found else { return Ok(None) };
        recipe.follow(wish);
        if recipe.preset != Preset::Static && recipe.start.is_none() {
            return Err(Error::invalid(
                "start",
                format!(
                    "how to start this {} app could not be found out; give a start command",
                    recipe.framework
                ),
            ));
        }
        Ok(Some(recipe))
    }

    /// `Flask 3.11`, `static site`, `Nixpacks`, `Cloud Native Buildpacks heroku/builder:24`.
    pub fn name(&self) -> String {
        let of = self.builder.as_deref().unwrap_or(&self.version);
        format!("{} {of}", self.framework).trim_end().to_owned()
    }

    /// A framework that answers HTTP; a program in one of the languages alone may do anything.
    pub fn is_web(&self) -> bool {
        if matches!(self.preset, Preset::Nixpacks | Preset::Buildpacks) {
            return false;
        }
        let bare = ["Go", "Rust", "Java", "Maven", "Gradle", ".NET", "Python", "Node", "Node.js", "Ruby"];
        !bare.contains(&self.framework.as_str())
    }

    fn follow(&mut self, wish: &BuildWish) {
        if self.preset == Preset::Nixpacks {
            // It was planned by them.
            return;
        }
        let command = |mine: &mut Option<String>, wished: &Option<String>| {
            if let Some(text) = wished {
                *mine = Some(text.clone()).filter(|text| !text.is_empty());
            }
        };
        if let Some(version) = &wish.version {
            self.version.clone_from(version);
        }
        if let Some(packages) = &wish.packages {
            self.packages.clone_from(packages);
        }
        if wish.install.is_some() {
            // Which files somebody's own command needs, nobody knows.
            self.manifests.clear();
        }
        command(&mut self.install, &wish.install);
        command(&mut self.build, &wish.build);
        command(&mut self.start, &wish.start);
        if let Some(output) = &wish.output {
            self.output = Some(output.to_string());
        }
        if self.preset == Preset::Static {
            presets::fit_version(self);
        }
        if self.preset == Preset::Php {
            presets::name_unknown(self);
        }
    }

    /// The Dockerfile.
    pub fn dockerfile(&self, keys: &BuildKeys) -> String {
        match &self.nixpacks {
            Some(planned) => nixpacks::dockerfile(self, planned, keys),
            None => presets::dockerfile(self, keys),
        }
    }
}

/// What stays out of a build when the repository does not say it.
pub const IGNORED: &str = "\
.git
.github
.gitlab
.env
.env.*
!.env.example
!.env.production
**/.DS_Store
**/node_modules
**/__pycache__
**/.venv
**/venv
**/target
**/.next/cache
**/*.log
";

/// The lines of a Dockerfile, put together.
pub struct Lines<'a> {
    text: String,
    keys: &'a BuildKeys,
}

impl<'a> Lines<'a> {
    pub fn new(recipe: &Recipe, keys: &'a BuildKeys) -> Lines<'a> {
        Lines {
            text: format!(
                "# Written by serverkit for {} ({}). Take it over to change it: then it is used as you leave it.\n",
                recipe.framework, recipe.why
            ),
            keys,
        }
    }
    pub fn add(mut self, line: impl AsRef<str>) -> Self {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
        self
    }
    /// Begins a stage in which variables of the build are there.
    pub fn stage(self, image: &str, name: Option<&str>) -> Self {
        let name = name.map(|name| format!(" AS {name}")).unwrap_or_default();
        let lines = self.add(format!("FROM {image}{name}"));
        let arguments = lines.keys.arguments.clone();
        let lines = arguments.iter().fold(lines, |lines, key| lines.add(format!("ARG {key}")));
        lines.add("WORKDIR /app")
    }
    pub fn packages(self, packages: &[String]) -> Self {
        if packages.is_empty() {
            return self;
        }
        self.add(format!(
            "RUN apt-get update -q && apt-get install -yq --no-install-recommends {} && rm -rf /var/lib/apt/lists/*",
            packages.join(" ")
        ))
    }
    /// A command with the build's secrets and a cache that stays between builds.
    pub fn run(self, command: Option<&str>, cache: &[&str]) -> Self {
        let Some(command) = command else { return self };
        let mut line = "RUN".to_owned();
        for folder in cache {
            let id = self
                .keys
                .cache
                .as_ref()
                .map(|app| format!("id={app}-{folder},"))
                .unwrap_or_default();
            line.push_str(&format!(" --mount=type=cache,{id}target={folder}"));
        }
        for key in &self.keys.secrets {
            line.push_str(&format!(" --mount=type=secret,id={key}"));
        }
        line.push(' ');
        for key in &self.keys.secrets {
            line.push_str(&format!("export {key}=\"$(cat /run/secrets/{key})\" && "));
        }
        line.push_str(command);
        line.push_str(&self.keys.mark());
        self.add(line)
    }
    /// Copies, installs, copies the rest: so that what is installed stays while only the code changes.
    pub fn install(self, recipe: &Recipe, cache: &[&str]) -> Self {
        if recipe.manifests.is_empty() || recipe.install.is_none() {
            return self.add("COPY . .").run(recipe.install.as_deref(), cache);
        }
        self.add(format!("COPY {} ./", recipe.manifests.join(" ")))
            .run(recipe.install.as_deref(), cache)
            .add("COPY . .")
    }
    pub fn start(self, recipe: &Recipe) -> Self {
        let start = recipe.start.as_deref().unwrap_or_default();
        self.add(format!("EXPOSE {}", recipe.port)).add(format!("CMD {}", command(start)))
    }
    pub fn done(self) -> String {
        self.text
    }
}

/// A command line as a Dockerfile has it. The shell makes room for the program where it can, so that signals reach that.
pub fn command(line: &str) -> String {
    let line = making_room(line).unwrap_or_else(|| line.to_owned());
    serde_json::to_string(&["sh", "-c", &line]).expect("texts are JSON")
}

/// Words of the shell itself: there is no such program to make room for.
const BUILTINS: [&str; 9] = ["exec", ".", ":", "!", "eval", "command", "source", "set", "export"];

/// With `exec` before the program, behind the variables that are set for it. `None` where the line is more than one plain command.
fn making_room(line: &str) -> Option<String> {
    if line.contains(['&', '|', ';', '<', '>', '(', '{', '`', '\n']) {
        return None;
    }
    let mut rest = line.trim_start();
    while let Some((word, behind)) = rest.split_once(char::is_whitespace).filter(|(word, _)| sets_variable(word)) {
        // Where a quoted value ends, only a shell knows.
        if word.contains(['"', '\'', '\\']) {
            return None;
        }
        rest = behind.trim_start();
    }
    let program = rest.split(char::is_whitespace).next().unwrap_or_default();
    if program.is_empty() || BUILTINS.contains(&program) || sets_variable(program) {
        return None;
    }
    let before = &line[..line.len() - rest.len()];
    Some(format!("{before}exec {rest}"))
}

/// `KEY=…`, as before a command.
fn sets_variable(word: &str) -> bool {
    let of_name = |letter: char| letter == '_' || letter.is_ascii_alphanumeric();
    word.split_once('=')
        .is_some_and(|(name, _)| !name.starts_with(|first: char| first.is_ascii_digit()) && !name.is_empty() && name.chars().all(of_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_as_a_dockerfile_has_them() {
        assert_eq!(command("node a.js --port $PORT"), r#"["sh","-c","exec node a.js --port $PORT"]"#);
        assert_eq!(command("a && b \"c\""), r#"["sh","-c","a && b \"c\""]"#);
        for (line, expected) in [
            ("A=1 b", "A=1 exec b"),
            ("A=1 B=$C b --d=e", "A=1 B=$C exec b --d=e"),
            (
                "java -Dserver.port=$PORT -jar /app/app.jar",
                "exec java -Dserver.port=$PORT -jar /app/app.jar",
            ),
            ("A=\"1 b\" c", "A=\"1 b\" c"),
            ("A=1 exec b", "A=1 exec b"),
            ("A=1", "A=1"),
            ("A=${A:-b c} d", "A=${A:-b c} d"),
            (". ./start.sh --port=$PORT", ". ./start.sh --port=$PORT"),
            ("a\nb", "a\nb"),
            ("", ""),
        ] {
            assert_eq!(command(line), serde_json::json!(["sh", "-c", expected]).to_string(), "{line}");
        }
    }
}

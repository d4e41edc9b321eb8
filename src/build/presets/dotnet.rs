//! .NET: the project of a folder that runs, published by the SDK. How it is built and run is in `compiled`.

use crate::{
    recipe::Recipe,
    tree::{Tree, version_in},
};
use types::Preset;

/// The newest with long-term support.
pub const VERSION: &str = "10.0";
/// So many folders deep is a project of a solution looked for: `src/Shop/Shop.csproj`.
const DEEP: usize = 2;
/// More projects than a repository has that is one app's.
const MOST: usize = 100;

/// Packages, and an SDK, that only tests are made with, in small letters: whole names and beginnings. One of them brings the others, and which
/// version it has may stand in a `Directory.Packages.props`.
const OF_TESTS: [&str; 6] = [
    "\"microsoft.net.test.sdk\"",
    "\"xunit\"",
    "\"xunit.v3",
    "\"nunit\"",
    "\"mstest",
    "\"tunit",
];

/// What says at the top that it is of .NET.
pub fn look(tree: &Tree) -> Option<Recipe> {
    let is_solution = |name: &String| ends(name, &[".sln", ".slnx"]) || ["Directory.Build.props", "global.json"].contains(&name.as_str());
    let deep = if tree.names(".").iter().any(is_solution) { DEEP } else { 0 };
    within(tree, deep)
}

/// What says nothing at the top, and has a project in a folder. Last of all: else a tool in some folder would say what the whole is.
pub fn below(tree: &Tree) -> Option<Recipe> {
    within(tree, DEEP)
}

fn within(tree: &Tree, deep: usize) -> Option<Recipe> {
    let project = Project::of(tree, deep)?;
    let framework = if project.is_web() { "ASP.NET Core" } else { ".NET" };
    let mut recipe = Recipe::new(Preset::Dotnet, framework, &format!("{} is there", project.path), VERSION);
    let mut named = String::new();
    if let Some((target, of_several)) = project.target(tree) {
        recipe.version = version_in(&target, 2).unwrap_or(recipe.version);
        if of_several {
            named = format!(" -f {target}");
        }
    }
    recipe.build = Some(format!("dotnet publish \"{}\" -c Release{named} -o /out", project.path));
    // By the variable that all versions know and every way to build a host reads; what is no web server has no use for it.
    recipe.start = Some(format!("ASPNETCORE_URLS=http://+:$PORT dotnet \"/app/{}.dll\"", project.assembly()));
    Some(recipe)
}

struct Project {
    /// Within the folder.
    path: String,
    text: String,
}

impl Project {
    /// The one that runs: a web server before another program, one further up before one further down; no tests, and a library only when
    /// there is nothing else.
    fn of(tree: &Tree, deep: usize) -> Option<Project> {
        let mut found: Vec<Project> = paths(tree, deep)
            .into_iter()
            .map(|path| Project {
                text: tree.text(&path),
                path,
            })
            .filter(|project| !project.is_test())
            .collect();
        found.sort_by_key(|project| (!project.is_web(), project.is_among_tests(tree), !project.is_program()));
        found.into_iter().next()
    }
    fn is_web(&self) -> bool {
        self.text.contains("\"Microsoft.NET.Sdk.Web\"")
    }
    fn is_program(&self) -> bool {
        self.text.contains("\"Microsoft.NET.Sdk.Worker\"")
            || self.element("OutputType").is_some_and(|kind| kind.eq_ignore_ascii_case("exe"))
    }
    fn is_test(&self) -> bool {
        names_tests(&self.text)
    }
    /// By what a folder below the top says for all projects in it. That may be under a condition, so such a project is only the last choice.
    fn is_among_tests(&self, tree: &Tree) -> bool {
        let mut folders = self.path.match_indices('/').map(|(at, _)| &self.path[..at]);
        folders.any(|folder| names_tests(&tree.text(&format!("{folder}/Directory.Build.props"))))
    }
    /// What it is built to, without its ending.
    fn assembly(&self) -> String {
        let file = self.path.rsplit('/').next().unwrap_or_default();
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        // What names other properties only MSBuild can say.
        let given = self.element("AssemblyName").filter(|name| !name.contains("$("));
        given.unwrap_or(stem).to_owned()
    }
    /// `net9.0`, `netcoreapp3.1`: of the project, or of what the whole repository sets. Of a list the newest, and `true`: then a build
    /// has to name it, even where it is the only one.
    fn target(&self, tree: &Tree) -> Option<(String, bool)> {
        let shared = tree.text("Directory.Build.props");
        let (given, of_several) = [self.text.as_str(), &shared].into_iter().find_map(|text| {
            let one = element(text, "TargetFramework").map(|one| (one, false));
            one.or_else(|| element(text, "TargetFrameworks").map(|list| (list, true)))
        })?;
        let runs_here = |target: &&str| {
            (target.starts_with("netcoreapp") || target.contains('.')) && !target.contains(['-', '$']) && !target.starts_with("netstandard")
        };
        given
            .split(';')
            .map(str::trim)
            .filter(runs_here)
            .max_by_key(|target| numbers(target))
            .map(|target| (target.to_owned(), of_several))
    }
    fn element(&self, name: &str) -> Option<&str> {
        element(&self.text, name)
    }
}

fn names_tests(text: &str) -> bool {
    let small = text.to_ascii_lowercase();
    OF_TESTS.iter().any(|name| small.contains(name)) || element(text, "IsTestProject").is_some_and(|is| is.eq_ignore_ascii_case("true"))
}

/// The text of the first element with this name. Project files need no more: what stands there under a condition is MSBuild's to decide.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = text.split_once(&format!("<{name}>"))?;
    Some(behind.split_once('<')?.0.trim()).filter(|value| !value.is_empty())
}

fn numbers(target: &str) -> Vec<u32> {
    let version = version_in(target, 2).unwrap_or_default();
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

fn ends(name: &str, of: &[&str]) -> bool {
    of.iter().any(|end| name.ends_with(end))
}

/// Project files down to so many folders below, those further up first, else in the order of their names.
fn paths(tree: &Tree, deep: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut level = vec![String::new()];
    for _ in 0..=deep {
        let mut below = Vec::new();
        for folder in &level {
            for name in tree.names(if folder.is_empty() { "." } else { folder }) {
                let path = if folder.is_empty() {
                    name.clone()
                } else {
                    format!("{folder}/{name}")
                };
                if ends(&name, &[".csproj", ".fsproj", ".vbproj"]) && tree.has(&path) {
                    found.push(path);
                } else if !name.starts_with('.') && tree.has_folder(&path) {
                    below.push(path);
                }
            }
        }
        found.truncate(MOST);
        level = below;
        level.truncate(MOST);
    }
    found
}

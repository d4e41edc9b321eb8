//! Node: servers (Next, Nuxt, Express and whatever has a start script), and sites that a build leaves as files.

use crate::{
    recipe::{BuildKeys, Lines, Recipe},
    tree::{Tree, version_in},
};
use serde_json::Value;
use types::Preset;

/// The version with long support.
pub const VERSION: &str = "22";

/// What a build of these leaves as files, and where. A start script of the app's own goes before.
const SITES: [(&str, &str, &str); 10] = [
    ("vite", "Vite", "dist"),
    ("astro", "Astro", "dist"),
    ("react-scripts", "Create React App", "build"),
    ("@docusaurus/core", "Docusaurus", "build"),
    ("@vue/cli-service", "Vue", "dist"),
    ("gatsby", "Gatsby", "public"),
    ("@11ty/eleventy", "Eleventy", "_site"),
    ("vitepress", "VitePress", ".vitepress/dist"),
    ("parcel", "Parcel", "dist"),
    ("webpack", "webpack", "dist"),
];

/// Servers that are known by name.
const SERVERS: [(&str, &str, &str); 8] = [
    ("next", "Next.js", "next start -H 0.0.0.0 -p $PORT"),
    ("nuxt", "Nuxt", "node .output/server/index.mjs"),
    ("@remix-run/serve", "Remix", "remix-serve build/server/index.js"),
    ("@nestjs/core", "NestJS", "node dist/main.js"),
    ("express", "Express", ""),
    ("fastify", "Fastify", ""),
    ("koa", "Koa", ""),
    ("hono", "Hono", ""),
];

/// The Yarn of today. The images of Node have the old one under the same name, which npm takes over by force only.
const YARN: &str = "@yarnpkg/cli-dist";

struct Package {
    json: Value,
}

impl Package {
    fn of(tree: &Tree) -> Option<Package> {
        tree.has("package.json").then(|| Package {
            json: tree.json("package.json"),
        })
    }
    fn needs(&self, name: &str) -> bool {
        ["dependencies", "devDependencies"]
            .iter()
            .any(|list| self.json[list][name].is_string())
    }
    fn script(&self, name: &str) -> Option<&str> {
        self.json["scripts"][name].as_str().filter(|text| !text.trim().is_empty())
    }
}

pub fn look(tree: &Tree) -> Option<Recipe> {
    let package = Package::of(tree)?;
    let is_server = SERVERS.iter().any(|(name, ..)| package.needs(name));
    let starts = package.script("start").is_some_and(|start| !is_for_developing(start));
    if !is_server
        && !starts
        && let Some((name, title, output)) = SITES.into_iter().find(|(name, ..)| package.needs(name))
    {
        let mut recipe = Recipe::new(Preset::Static, title, &format!("package.json names {name}"), VERSION);
        recipe.output = Some(output.to_owned());
        recipe.port = 80;
        with_tools(&mut recipe, tree, &package);
        return Some(recipe);
    }
    server(tree)
}

/// `vite`, `react-scripts start`: good at the desk only.
fn is_for_developing(start: &str) -> bool {
    let words: Vec<&str> = start.split_whitespace().collect();
    matches!(
        words.as_slice(),
        ["vite", ..]
            | ["react-scripts", "start", ..]
            | ["webpack", "serve", ..]
            | ["astro", "dev", ..]
            | ["docusaurus", "start", ..]
            | ["parcel", ..]
    )
}

pub fn server(tree: &Tree) -> Option<Recipe> {
    let package = Package::of(tree)?;
    let known = SERVERS.into_iter().find(|(name, ..)| package.needs(name));
    let (title, why) = match known {
        Some((name, title, _)) => (title, format!("package.json names {name}")),
        None => ("Node", "package.json is there".to_owned()),
    };
    let mut recipe = Recipe::new(Preset::Node, title, &why, VERSION);
    let manager = with_tools(&mut recipe, tree, &package);
    let own = package
        .script("start")
        .map(|script| match script.contains(['&', '|', ';', '>', '<']) {
            true => format!("{manager} run start"),
            // Without the package manager in between, signals reach the app.
            false => script.to_owned(),
        });
    let known = known.map(|(.., start)| start.to_owned()).filter(|start| !start.is_empty());
    let main = || {
        let main = package.json["main"].as_str().filter(|main| tree.has(main));
        let main = main.or_else(|| tree.first(&["server.js", "index.js", "app.js", "main.js", "src/server.js", "src/index.js"]));
        main.map(|main| format!("node {main}"))
    };
    recipe.start = match recipe.framework.as_str() {
        "Next.js" | "Nuxt" => known.or(own),
        _ => own.or(known).or_else(main),
    };
    Some(recipe)
}

/// Version, package manager, install and build; answers the package manager.
fn with_tools(recipe: &mut Recipe, tree: &Tree, package: &Package) -> &'static str {
    let wanted = [
        package.json["engines"]["node"].as_str().unwrap_or_default().to_owned(),
        tree.text(".nvmrc"),
        tree.text(".node-version"),
    ];
    if let Some(version) = wanted.iter().find_map(|text| version_in(text, 1)) {
        recipe.version = version;
    }
    let pinned = package.json["packageManager"].as_str().unwrap_or_default();
    let at = |name: &str, usual: &str| {
        pinned
            .strip_prefix(&format!("{name}@"))
            .map_or(usual.to_owned(), |version| version.split('+').next().unwrap_or(usual).to_owned())
    };
    let (manager, lock, install) = if tree.has("pnpm-lock.yaml") {
        let install = format!("npm install --global pnpm@{} && pnpm install --frozen-lockfile", at("pnpm", "10"));
        ("pnpm", Some("pnpm-lock.yaml"), install)
    } else if tree.has("yarn.lock") && (tree.has(".yarnrc.yml") || pinned.starts_with("yarn@") && !pinned.starts_with("yarn@1")) {
        let install = format!(
            "npm install --global --force {YARN}@{} && yarn install --immutable",
            at("yarn", "4")
        );
        ("yarn", Some("yarn.lock"), install)
    } else if tree.has("yarn.lock") {
        (
            "yarn",
            Some("yarn.lock"),
            "yarn install --frozen-lockfile --production=false".to_owned(),
        )
    } else if tree.has("package-lock.json") || tree.has("npm-shrinkwrap.json") {
        (
            "npm",
            tree.first(&["package-lock.json", "npm-shrinkwrap.json"]),
            "npm ci --include=dev".to_owned(),
        )
    } else {
        ("npm", None, "npm install --include=dev".to_owned())
    };
    recipe.install = Some(install);
    // Workspaces and scripts of the installation need more than the manifests.
    let alone = package.json["workspaces"].is_null()
        && !tree.has("pnpm-workspace.yaml")
        && ["preinstall", "install", "postinstall", "prepare"]
            .iter()
            .all(|name| package.script(name).is_none())
        && !tree.text("package.json").contains("\"file:");
    if alone {
        let more = tree.first(&[".npmrc"]).into_iter().chain(tree.first(&[".yarnrc.yml"]));
        recipe.manifests = ["package.json"].into_iter().chain(lock).chain(more).map(str::to_owned).collect();
    }
    recipe.build = package.script("build").map(|_| format!("{manager} run build"));
    manager
}

/// More of the environment: by itself Yarn makes no node_modules, and only what it starts finds the packages.
pub fn linker(recipe: &Recipe) -> &'static str {
    match recipe.install.as_ref().is_some_and(|install| install.contains(YARN)) {
        true => " YARN_NODE_LINKER=node-modules",
        false => "",
    }
}

pub fn dockerfile(recipe: &Recipe, keys: &BuildKeys) -> String {
    Lines::new(recipe, keys)
        .stage(&format!("node:{}-slim", recipe.version), None)
        .packages(&recipe.packages)
        .add(format!(
            "ENV PORT={} HOST=0.0.0.0 HOSTNAME=0.0.0.0 PATH=/app/node_modules/.bin:$PATH{}",
            recipe.port,
            linker(recipe)
        ))
        .install(recipe, &["/root/.npm"])
        .add("ENV NODE_ENV=production")
        .run(recipe.build.as_deref(), &[])
        .start(recipe)
        .done()
}

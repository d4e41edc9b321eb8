//! What a folder is, and how such a thing is built: one file for each kind.

mod compiled;
mod dotnet;
mod node;
mod php;
mod php_extensions;
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
pub use php::name_unknown;
pub use sites::fit_version;
use types::Preset;

type Look = fn(&Tree) -> Option<Recipe>;

/// In the order in which they are asked: a Laravel or Django app has a package.json too, and a static page may be anywhere.
const LOOKS: [Look; 12] = [
    php::framework,
    python::look,
    ruby::look,
    compiled::go,
    compiled::rust,
    compiled::java,
    dotnet::look,
    node::look,
    php::plain,
    sites::look,
    sites::lone_folder,
    dotnet::below,
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
        Preset::Dotnet => look(dotnet::look(tree).or_else(|| dotnet::below(tree)), ".NET", dotnet::VERSION),
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

//! Ruby: Rails, and anything that Rack starts.

use crate::{
    recipe::{BuildKeys, Lines, Recipe},
    tree::{Tree, version_in},
};
use types::Preset;

pub const VERSION: &str = "3.4";

pub fn look(tree: &Tree) -> Option<Recipe> {
    if !tree.has("Gemfile") {
        return None;
    }
    let gemfile = tree.text("Gemfile");
    let needs = |name: &str| {
        [format!("gem \"{name}\""), format!("gem '{name}'")]
            .iter()
            .any(|mark| gemfile.contains(mark.as_str()))
    };
    let (title, why, start) = if needs("rails") {
        (
            "Rails",
            "the Gemfile names rails",
            Some("bundle exec rails server -b 0.0.0.0 -p $PORT".to_owned()),
        )
    } else if tree.has("config.ru") {
        let server = if needs("puma") {
            "puma -b tcp://0.0.0.0:$PORT"
        } else {
            "rackup -o 0.0.0.0 -p $PORT"
        };
        ("Rack", "config.ru is there", Some(format!("bundle exec {server}")))
    } else {
        let main = tree.first(&["app.rb", "main.rb", "server.rb"]);
        ("Ruby", "a Gemfile is there", main.map(|main| format!("bundle exec ruby {main}")))
    };
    let mut recipe = Recipe::new(Preset::Ruby, title, why, VERSION);
    recipe.start = start;
    let line = gemfile
        .lines()
        .find(|line| line.trim_start().starts_with("ruby "))
        .unwrap_or_default()
        .to_owned();
    if let Some(version) = [tree.text(".ruby-version"), line].iter().find_map(|text| version_in(text, 2)) {
        recipe.version = version;
    }
    recipe.install = Some("bundle install --jobs 2".to_owned());
    if !gemfile.contains("path:") {
        recipe.manifests = ["Gemfile", "Gemfile.lock"]
            .into_iter()
            .filter(|name| tree.has(name))
            .map(str::to_owned)
            .collect();
    }
    if title == "Rails" && tree.has_folder("app/assets") {
        recipe.build = Some("SECRET_KEY_BASE_DUMMY=1 bundle exec rails assets:precompile".to_owned());
    }
    Some(recipe)
}

pub fn dockerfile(recipe: &Recipe, keys: &BuildKeys) -> String {
    Lines::new(recipe, keys)
        .stage(&format!("ruby:{}", recipe.version), None)
        .packages(&recipe.packages)
        .add(format!(
            "ENV PORT={} RAILS_ENV=production RACK_ENV=production BUNDLE_WITHOUT=development:test RAILS_LOG_TO_STDOUT=1",
            recipe.port
        ))
        .install(recipe, &[])
        .run(recipe.build.as_deref(), &[])
        .start(recipe)
        .done()
}

//! PHP behind Apache: Laravel, Symfony, WordPress and plain pages, with extensions and Composer.

use super::php_extensions::{self, Extensions};
use crate::{
    recipe::{BuildKeys, Lines, Recipe},
    tree::{Tree, version_in},
};
use types::Preset;

pub const VERSION: &str = "8.3";

/// With Composer, or WordPress.
pub fn framework(tree: &Tree) -> Option<Recipe> {
    let is_wordpress = tree.has("wp-config-sample.php") || tree.has("wp-load.php") || tree.has_folder("wp-content");
    if !is_wordpress && !tree.has("composer.json") {
        return None;
    }
    let composer = tree.json("composer.json");
    let needs = |name: &str| composer["require"][name].is_string();
    let (title, why) = match () {
        () if is_wordpress => ("WordPress", "its files are there".to_owned()),
        () if needs("laravel/framework") => ("Laravel", "composer.json names laravel/framework".to_owned()),
        () if needs("symfony/framework-bundle") => ("Symfony", "composer.json names symfony/framework-bundle".to_owned()),
        () => ("PHP", "composer.json is there".to_owned()),
    };
    let mut recipe = Recipe::new(Preset::Php, title, &why, VERSION);
    if let Some(version) = composer["require"]["php"].as_str().and_then(|text| version_in(text, 2)) {
        // `^8.1` is content with the newest 8.
        let newer = version.split('.').next() == VERSION.split('.').next();
        recipe.version = if newer { VERSION.to_owned() } else { version };
    }
    let required = composer["require"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, _)| name.strip_prefix("ext-"));
    recipe.packages = required
        .filter(|name| is_name(name))
        .map(php_extensions::usual_name)
        .filter(|name| !php_extensions::is_always_present(name))
        .collect();
    let usual: &[&str] = match title {
        "WordPress" => &["mysqli", "gd", "intl", "zip", "exif"],
        "Laravel" => &["pdo_mysql", "pdo_pgsql", "bcmath", "zip"],
        _ => &[],
    };
    for name in usual {
        if !recipe.packages.iter().any(|known| known == name) {
            recipe.packages.push((*name).to_owned());
        }
    }
    if tree.has("composer.json") {
        recipe.install = Some("composer install --no-dev --no-interaction --optimize-autoloader".to_owned());
    }
    recipe.output = Some(root(tree).to_owned());
    Some(served(recipe))
}

/// An index.php.
pub fn plain(tree: &Tree) -> Option<Recipe> {
    let index = ["index.php", "public/index.php", "web/index.php"]
        .into_iter()
        .find(|name| tree.has(name))?;
    let mut recipe = Recipe::new(Preset::Php, "PHP", &format!("{index} is there"), VERSION);
    recipe.output = Some(root(tree).to_owned());
    Some(served(recipe))
}

/// Composer takes no others, and it becomes part of a Dockerfile.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

fn root(tree: &Tree) -> &'static str {
    ["public", "web"]
        .into_iter()
        .find(|folder| tree.has(&format!("{folder}/index.php")))
        .unwrap_or(".")
}

/// Apache starts it.
pub fn served(mut recipe: Recipe) -> Recipe {
    recipe.port = 80;
    recipe.start.get_or_insert_with(|| "apache2-foreground".to_owned());
    recipe
}

/// Says beforehand which extensions may not be had.
pub fn name_unknown(recipe: &mut Recipe) {
    let unknown = Extensions::of(&recipe.packages, &recipe.version).unknown;
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        recipe
            .why
            .push_str(&format!("; unknown extensions, tried with docker-php-ext-install: {names}"));
    }
}

pub fn dockerfile(recipe: &Recipe, keys: &BuildKeys) -> String {
    let folder = recipe.output.as_deref().unwrap_or(".");
    let root = match folder {
        "." => "/app".to_owned(),
        folder => format!("/app/{folder}"),
    };
    let extensions = Extensions::of(&recipe.packages, &recipe.version);
    let mut lines = Lines::new(recipe, keys)
        .stage(&extensions.image(&recipe.version), None)
        .packages(&extensions.libraries);
    for command in extensions.commands() {
        lines = lines.add(format!("RUN {command}"));
    }
    lines = lines.add(format!(
        "RUN a2enmod rewrite headers && sed -ri -e 's!/var/www/html!{root}!g' /etc/apache2/sites-available/*.conf \
         && sed -ri -e 's!/var/www/!{root}/!g' -e 's!AllowOverride None!AllowOverride All!g' /etc/apache2/apache2.conf"
    ));
    if recipe.install.as_deref().is_some_and(|install| install.contains("composer")) {
        lines = lines
            .add("COPY --from=composer:2 /usr/bin/composer /usr/local/bin/composer")
            .packages(&["git".to_owned(), "unzip".to_owned()]);
    }
    lines
        .install(recipe, &["/root/.composer/cache"])
        .run(recipe.build.as_deref(), &[])
        .add("RUN chown -R www-data:www-data /app")
        .start(recipe)
        .done()
}

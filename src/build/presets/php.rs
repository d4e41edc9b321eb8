//! PHP behind Apache: Laravel, Symfony, WordPress and plain pages, with extensions and Composer.

use crate::{
    recipe::{BuildKeys, Lines, Recipe},
    tree::{Tree, version_in},
};
use types::Preset;

pub const VERSION: &str = "8.3";

/// Extensions that the image has already.
const BUILT_IN: [&str; 22] = [
    "ctype",
    "curl",
    "date",
    "dom",
    "fileinfo",
    "filter",
    "hash",
    "iconv",
    "json",
    "libxml",
    "mbstring",
    "openssl",
    "pcre",
    "pdo",
    "pdo_sqlite",
    "phar",
    "session",
    "simplexml",
    "sodium",
    "sqlite3",
    "tokenizer",
    "xml",
];

/// What extensions need to be built (Debian packages).
const LIBRARIES: [(&str, &str); 9] = [
    ("gd", "libpng-dev libjpeg-dev libwebp-dev libfreetype6-dev"),
    ("intl", "libicu-dev"),
    ("zip", "libzip-dev"),
    ("pgsql", "libpq-dev"),
    ("pdo_pgsql", "libpq-dev"),
    ("gmp", "libgmp-dev"),
    ("soap", "libxml2-dev"),
    ("ldap", "libldap-dev"),
    ("bz2", "libbz2-dev"),
];

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
        .map(str::to_owned)
        .filter(|name| !BUILT_IN.contains(&name.as_str()))
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

pub fn dockerfile(recipe: &Recipe, keys: &BuildKeys) -> String {
    let folder = recipe.output.as_deref().unwrap_or(".");
    let root = match folder {
        "." => "/app".to_owned(),
        folder => format!("/app/{folder}"),
    };
    let libraries: Vec<String> = LIBRARIES
        .iter()
        .filter(|(name, _)| recipe.packages.iter().any(|package| package == name))
        .flat_map(|(_, libraries)| libraries.split(' '))
        .map(str::to_owned)
        .collect();
    let mut lines = Lines::new(recipe, keys)
        .stage(&format!("php:{}-apache", recipe.version), None)
        .packages(&libraries);
    if recipe.packages.iter().any(|package| package == "gd") {
        lines = lines.add("RUN docker-php-ext-configure gd --with-jpeg --with-webp --with-freetype");
    }
    if !recipe.packages.is_empty() {
        lines = lines.add(format!("RUN docker-php-ext-install -j2 {}", recipe.packages.join(" ")));
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

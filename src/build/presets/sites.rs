//! Static sites: files behind nginx, as they are or as a build with Node leaves them.

use crate::{
    recipe::{BuildKeys, Lines, Recipe},
    tree::Tree,
};
use types::Preset;

const NGINX: &str = "nginx:stable-alpine";

/// An index.html at the top.
pub fn look(tree: &Tree) -> Option<Recipe> {
    tree.has("index.html").then(|| plain(".", "index.html is there"))
}

/// An index.html in a folder that such things are usually in.
pub fn lone_folder(tree: &Tree) -> Option<Recipe> {
    let folder = ["public", "dist", "site", "_site", "docs", "www", "html", "out"]
        .into_iter()
        .find(|folder| tree.has(&format!("{folder}/index.html")))?;
    Some(plain(folder, &format!("{folder}/index.html is there")))
}

pub fn plain(folder: &str, why: &str) -> Recipe {
    Recipe {
        output: Some(folder.to_owned()),
        port: 80,
        ..Recipe::new(Preset::Static, "static site", why, "")
    }
}

/// Files as they are need no Node; what is built does, also when it is only somebody's wish that builds it.
pub fn fit_version(recipe: &mut Recipe) {
    if !is_built(recipe) {
        recipe.version.clear();
    } else if recipe.version.is_empty() {
        super::node::VERSION.clone_into(&mut recipe.version);
    }
}

fn is_built(recipe: &Recipe) -> bool {
    recipe.install.is_some() || recipe.build.is_some()
}

/// Files without a name like theirs are the page itself: apps in the browser have their addresses themselves.
const CONFIGURATION: &str = "server { listen 80; root /usr/share/nginx/html; absolute_redirect off; \
    location / { try_files $uri $uri.html $uri/ FALLBACK; } }";

pub fn dockerfile(recipe: &Recipe, keys: &BuildKeys) -> String {
    let folder = recipe.output.as_deref().unwrap_or(".").trim_end_matches('/');
    let is_built = is_built(recipe);
    let lines = Lines::new(recipe, keys);
    let lines = if is_built {
        lines
            .stage(&format!("node:{}-slim", recipe.version), Some("build"))
            .add(format!(
                "ENV CI=true PATH=/app/node_modules/.bin:$PATH{}",
                super::node::linker(recipe)
            ))
            .packages(&recipe.packages)
            .install(recipe, &["/root/.npm"])
            .run(recipe.build.as_deref(), &[])
    } else {
        lines
    };
    let (fallback, copy) = match is_built {
        true => ("/index.html", format!("COPY --from=build /app/{folder}/ /usr/share/nginx/html/")),
        false => ("=404", format!("COPY {folder}/ /usr/share/nginx/html/")),
    };
    lines
        .add(format!("FROM {NGINX}"))
        .add(format!(
            "RUN rm -rf /usr/share/nginx/html/* && echo '{}' >/etc/nginx/conf.d/default.conf",
            CONFIGURATION.replace("FALLBACK", fallback)
        ))
        .add(copy)
        .add(format!("EXPOSE {}", recipe.port))
        .done()
}

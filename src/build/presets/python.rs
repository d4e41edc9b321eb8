//! Python: Django, Flask, FastAPI and plain programs; pip, Poetry, uv and Pipenv.

use crate::{
    recipe::{BuildKeys, Lines, Recipe},
    tree::{Tree, version_in},
};
use types::Preset;

pub const VERSION: &str = "3.13";

pub fn look(tree: &Tree) -> Option<Recipe> {
    let manifest = tree.first(&["manage.py", "requirements.txt", "pyproject.toml", "Pipfile", "uv.lock", "setup.py"]);
    let manifest = manifest.or_else(|| tree.first(&["app.py", "main.py", "wsgi.py"]))?;
    let needs = needs(tree);
    let (framework, why, start) = program(tree, &needs, manifest);
    let mut recipe = Recipe::new(Preset::Python, framework, &why, VERSION);
    recipe.start = start;
    let pyproject = tree.toml("pyproject.toml");
    let project = pyproject
        .get("project")
        .and_then(|project| project.get("requires-python"))
        .and_then(|text| text.as_str());
    let wanted = [
        tree.text(".python-version"),
        tree.text("runtime.txt"),
        project.unwrap_or_default().to_owned(),
    ];
    if let Some(version) = wanted
        .iter()
        .find_map(|text| version_in(text, 2))
        .filter(|version| version.contains('.'))
    {
        recipe.version = version;
    }
    let server = match recipe.start.clone().as_deref().and_then(|start| start.split_whitespace().next()) {
        Some("gunicorn") if !needs.contains("gunicorn") => Some("gunicorn"),
        Some("uvicorn") if !needs.contains("uvicorn") => Some("uvicorn"),
        _ => None,
    };
    installed(&mut recipe, tree, server);
    if framework == "Django" && settings_have(tree, "STATIC_ROOT") && settings_have(tree, "staticfiles") {
        recipe.build = Some("python manage.py collectstatic --noinput".to_owned());
    }
    Some(recipe)
}

/// All that names what it needs, in small letters.
fn needs(tree: &Tree) -> String {
    ["requirements.txt", "pyproject.toml", "Pipfile", "setup.py"]
        .map(|name| tree.text(name))
        .join("\n")
        .to_lowercase()
}

/// What it is, why, and how it starts.
fn program(tree: &Tree, needs: &str, manifest: &str) -> (&'static str, String, Option<String>) {
    if tree.has("manage.py") {
        let package = tree.names(".").into_iter().find(|name| tree.has(&format!("{name}/wsgi.py")));
        let start = package.map(|name| format!("gunicorn --bind 0.0.0.0:$PORT --workers 2 --access-logfile - {name}.wsgi"));
        return ("Django", "manage.py is there".into(), start);
    }
    let module = |mark: &str| {
        let names = [
            "app.py",
            "main.py",
            "wsgi.py",
            "server.py",
            "api.py",
            "src/app.py",
            "src/main.py",
            "app/main.py",
            "app/__init__.py",
        ];
        names.into_iter().find_map(|name| {
            let text = tree.text(name);
            let line = text
                .lines()
                .find(|line| !line.starts_with([' ', '\t', '#']) && line.contains(mark) && line.contains('='))?;
            let variable = line.split(['=', ':']).next()?.trim().to_owned();
            let module = name.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
            Some(format!("{module}:{variable}"))
        })
    };
    if let Some(target) = module("Flask(") {
        let start = format!("gunicorn --bind 0.0.0.0:$PORT --workers 2 --access-logfile - {target}");
        return ("Flask", "a module makes a Flask app".into(), Some(start));
    }
    if let Some(target) = module("FastAPI(").or_else(|| module("Starlette(")) {
        return (
            "FastAPI",
            "a module makes a FastAPI app".into(),
            Some(format!("uvicorn --host 0.0.0.0 --port $PORT {target}")),
        );
    }
    if needs.contains("streamlit") {
        let main = tree.first(&["streamlit_app.py", "app.py", "main.py"]);
        let start = main.map(|main| format!("streamlit run {main} --server.port $PORT --server.address 0.0.0.0"));
        return ("Streamlit", "its requirements name streamlit".into(), start);
    }
    let main = tree.first(&["main.py", "app.py", "server.py", "run.py", "__main__.py", "bot.py"]);
    ("Python", format!("{manifest} is there"), main.map(|main| format!("python {main}")))
}

/// `server`: what starts it and is not among its requirements.
fn installed(recipe: &mut Recipe, tree: &Tree, server: Option<&str>) {
    let more = |tool: &str| server.map(|server| format!(" && {tool} install {server}")).unwrap_or_default();
    let manifests = |names: &[&str]| {
        // What they name by a path must be there too.
        let alone = !names.first().is_some_and(|name| names_paths(&tree.text(name)));
        let there = names.iter().filter(|name| alone && tree.has(name));
        there.map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    if tree.has("uv.lock") {
        recipe.manifests = manifests(&["pyproject.toml", "uv.lock", "README.md"]);
        recipe.install = Some(format!(
            "pip install uv && uv export --frozen --no-dev --no-emit-project --no-hashes -o /tmp/requirements.txt && pip install -r /tmp/requirements.txt{}",
            more("pip")
        ));
    } else if tree.has("poetry.lock") {
        recipe.manifests = manifests(&["pyproject.toml", "poetry.lock", "README.md"]);
        recipe.install = Some(format!(
            "pip install poetry && poetry config virtualenvs.create false && poetry install --only main --no-root{}",
            more("pip")
        ));
    } else if tree.has("Pipfile.lock") {
        recipe.manifests = manifests(&["Pipfile", "Pipfile.lock"]);
        recipe.install = Some(format!("pip install pipenv && pipenv install --system --deploy{}", more("pip")));
    } else if tree.has("requirements.txt") {
        // Others that it names, and folders of the repository, must be there too.
        let alone = tree
            .text("requirements.txt")
            .lines()
            .all(|line| !line.trim_start().starts_with(['-', '.', '/']));
        recipe.manifests = if alone { manifests(&["requirements.txt"]) } else { Vec::new() };
        let server = server.map(|server| format!(" {server}")).unwrap_or_default();
        recipe.install = Some(format!("pip install -r requirements.txt{server}"));
    } else if tree.has("pyproject.toml") || tree.has("setup.py") {
        recipe.install = Some(format!(
            "pip install .{}",
            server.map(|server| format!(" {server}")).unwrap_or_default()
        ));
    } else {
        recipe.install = server.map(|server| format!("pip install {server}"));
    }
}

fn names_paths(manifest: &str) -> bool {
    let marks = ["path =", "path=", "workspace = true", "file:"];
    marks.iter().any(|mark| manifest.contains(mark))
}

fn settings_have(tree: &Tree, word: &str) -> bool {
    let mut folders = tree.names(".").into_iter().filter(|name| tree.has_folder(name));
    folders.any(|folder| tree.text(&format!("{folder}/settings.py")).contains(word))
}

pub fn dockerfile(recipe: &Recipe, keys: &BuildKeys) -> String {
    Lines::new(recipe, keys)
        .stage(&format!("python:{}-slim", recipe.version), None)
        .packages(&recipe.packages)
        .add(format!(
            "ENV PORT={} PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore",
            recipe.port
        ))
        .install(recipe, &["/root/.cache/pip"])
        .run(recipe.build.as_deref(), &[])
        .start(recipe)
        .done()
}

#[cfg(test)]
mod tests {
    use crate::{recipe::Recipe, testing::folder};
    use std::collections::BTreeMap;
    use types::BuildWish;

    /// They were installed before the rest was there, and what is named by a path was not found.
    #[test]
    fn packages_in_the_repository_are_there_before_the_installation() {
        for (manifest, lock, alone) in [
            ("[project]\nrequires-python = \">=3.11\"", "uv.lock", true),
            ("[tool.uv.sources]\nlib = { path = \"libs/lib\" }", "uv.lock", false),
            ("[tool.uv.sources]\nlib = { workspace = true }", "uv.lock", false),
            ("[tool.poetry.dependencies]\nlib = {path=\"libs/lib\"}", "poetry.lock", false),
        ] {
            let files = [("pyproject.toml", manifest), (lock, ""), ("main.py", "")];
            let found = Recipe::of(folder(&files).path(), &BuildWish::default(), &BTreeMap::new());
            let recipe = found.expect("it is looked at").expect("it is Python");
            assert_eq!(recipe.manifests.contains(&lock.to_owned()), alone, "{manifest}");
        }
    }
}

//! From the Compose file of an app to a stack with this app's values, what it may reach, and its volumes.

use super::compose_of;
use crate::{ground::Ground, variables, volumes::new_volume};
use catalog::{
    compose::{self, Ask, Composed, Files, Folder, NoFiles},
    template::{self, Values},
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};
use types::{
    Action, Actor, App, ComposeSource, Environment, Error, Family, Host, HostRight, Kind, Mount, MountFrom, Notice, RepoPath, Result,
    Secret, Slug, Source, Stack, StackService, StackSetup, TreeStack, Volume, VolumeId,
};

pub(crate) fn text_of(ground: &Ground, source: &ComposeSource) -> Result<String> {
    let open = ground.store.unseal(&source.text)?;
    Ok(String::from_utf8_lossy(open.expose()).into_owned())
}

/// What `$NAME` stands for in this app.
pub(crate) fn values_of(ground: &Ground, app: &App) -> Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for variable in variables::effective(ground, app)? {
        if let Some(text) = variable.value.expose_str() {
            values.insert(variable.key.to_string(), text.to_owned());
        }
    }
    Ok(values)
}

/// What stands for a value that is not shown: a word that is good in most places, in the name of an image too.
const HIDDEN: &str = "hidden";

/// Whether they may see what secret variables of the app are, now: who has to show a second factor first may not yet.
pub(crate) fn reveals(actor: &Actor, app: &App) -> bool {
    let asking = actor.touching(Family::Variables);
    asking.may_in(Action::RevealSecrets, &app.place()).is_ok()
}

/// The same for a look at a file. Whoever looks may have written it, and could read each value by what its place makes of it: so secret ones
/// are hidden from those who may not see them, and all from tokens that are not for variables. Where a secret is a number or one of a few
/// words, a file that is fine looks wrong to them; a deployment takes the real values.
pub(crate) fn values_shown(ground: &Ground, actor: &Actor, app: &App) -> Result<BTreeMap<String, String>> {
    let reads = actor.touching(Family::Variables).is_permitted(Action::View, &app.place());
    let reveals = reveals(actor, app);
    let mut values = BTreeMap::new();
    for variable in variables::effective(ground, app)? {
        let Some(text) = variable.value.expose_str() else { continue };
        let is_shown = reads && (reveals || !variable.secret);
        // Whether there is anything decides what `${NAME:-other}` comes to, and is no secret.
        let text = if is_shown || text.is_empty() { text } else { HIDDEN };
        values.insert(variable.key.to_string(), text.to_owned());
    }
    Ok(values)
}

/// What `{{ name }}` stands for, when the app is from a template.
pub(crate) fn template_values(ground: &Ground, app: &App) -> Result<Option<Values>> {
    template_with(ground, app, values_of(ground, app)?, None)
}

/// The same with variables and a domain that are about to be recorded.
pub(crate) fn template_with(
    ground: &Ground,
    app: &App,
    mut given: BTreeMap<String, String>,
    host: Option<&Host>,
) -> Result<Option<Values>> {
    let Source::Compose(source) = &app.source else { return Ok(None) };
    let Some(installed) = source.template.as_ref() else {
        return Ok(None);
    };
    let template = template::read(&installed.template).map_err(|notice| Error::invalid("template", notice.to_string()))?;
    let domains = ground.store.domains.list()?;
    let main = domains.iter().filter(|domain| domain.app == app.id && domain.service.is_none());
    let primary = main.max_by_key(|domain| domain.primary).map(|domain| domain.host.to_string());
    let primary = host.map(ToString::to_string).or(primary);
    let url = match &primary {
        Some(host) => ground.url_of(host),
        None => String::new(),
    };
    // The domain that leads to it now, whatever was typed when it was installed.
    if let Some(host) = primary {
        given.insert("domain".into(), host);
    }
    let values = Values::new(&template, &given, app.name.as_str(), &url, app.id.as_str()).map_err(|why| Error::invalid("template", why))?;
    Ok(Some(values))
}

pub(crate) fn read(
    text: &str,
    profiles: &[String],
    variables: &BTreeMap<String, String>,
    template: Option<&Values>,
) -> std::result::Result<Composed, Vec<Notice>> {
    let template = template.map(|values| values.in_file(text));
    let evaluate = |expression: &str| match &template {
        Some(values) => values.evaluate(expression),
        None => Err(String::new()),
    };
    compose::read(&Ask {
        text,
        files: &NoFiles,
        variable: &|name| variables.get(name).cloned(),
        template: template.is_some().then_some(&evaluate),
        profiles,
    })
}

/// The Compose file that is meant, as a path from the top of the tree, with its text. Fails with what is there instead.
fn file_of(tree: &Path, folder: &RepoPath, stack: &TreeStack) -> Result<(String, String)> {
    let files = Folder(tree.to_owned());
    let wrong = |why: String| Error::invalid("compose_file", why);
    let top = compose::within("", folder.as_str()).unwrap_or_default();
    let names = match &stack.file {
        Some(file) => vec![file.as_str()],
        None => compose::USUAL_NAMES.to_vec(),
    };
    for name in &names {
        let path = compose::within(&top, name).ok_or_else(|| wrong(format!("`{name}` leads out of the repository")))?;
        match files.read(&path) {
            Ok(Some(text)) => return Ok((path, text)),
            Ok(None) => {}
            Err(why) => return Err(wrong(format!("`{path}`: {why}"))),
        }
    }
    let there = compose_files(tree);
    let there = match there.is_empty() {
        true => String::new(),
        false => format!("; there is `{}`", there.join("`, `")),
    };
    Err(wrong(format!(
        "there is no `{}` in the folder `{folder}`{there}",
        names.join("`, `")
    )))
}

/// Files that look like Compose files, from the top of a tree, with the folders of at most `DEPTH` steps. Blocks.
pub(crate) fn compose_files(tree: &Path) -> Vec<String> {
    let mut found = Vec::new();
    compose_files_below(tree, "", 0, &mut found);
    found
}

const DEPTH: usize = 3;
const MOST_FILES: usize = 50;

fn compose_files_below(folder: &Path, front: &str, depth: usize, found: &mut Vec<String>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(|entry| (entry.path().is_dir(), entry.file_name()));
    for entry in entries {
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
            continue;
        };
        if kind.is_dir() && depth < DEPTH && !name.starts_with('.') && name != "node_modules" {
            compose_files_below(&entry.path(), &format!("{front}{name}/"), depth + 1, found);
        } else if kind.is_file() && is_compose_name(&name) && found.len() < MOST_FILES {
            found.push(format!("{front}{name}"));
        }
    }
}

/// `compose.yaml`, `docker-compose.prod.yml`, …
fn is_compose_name(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    stem.is_some_and(|stem| {
        ["compose", "docker-compose"]
            .iter()
            .any(|usual| stem == *usual || stem.starts_with(&format!("{usual}.")))
    })
}

/// What the Compose file in a tree comes to. `Err` when there is none; inside it, the problems of the one there is. Blocks.
pub(crate) fn read_tree(
    tree: &Path,
    folder: &RepoPath,
    stack: &TreeStack,
    variables: &BTreeMap<String, String>,
) -> Result<(String, std::result::Result<Composed, Vec<Notice>>)> {
    let (path, text) = file_of(tree, folder, stack)?;
    let ask = Ask {
        text: &text,
        files: &Folder(tree.to_owned()),
        variable: &|name| variables.get(name).cloned(),
        template: None,
        profiles: &stack.setup.profiles,
    };
    let mut read = compose::read_at(&ask, &path);
    if let (None, Ok(composed)) = (&stack.file, &mut read) {
        composed.hints.extend(override_hint(tree, &path));
    }
    Ok((path, read))
}

/// Files that `docker compose` puts over the one with a usual name.
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];

/// What lies beside the Compose file at `path` and is not read.
fn override_hint(tree: &Path, path: &str) -> Option<Notice> {
    let folder = tree.join(path);
    let folder = folder.parent()?;
    let name = OVERRIDES.iter().find(|name| folder.join(name).is_file())?;
    Some(Notice {
        line: 0,
        file: String::new(),
        what: format!(
            "`{name}` beside it is not read: it is mostly for working on the services; what should run here belongs into the file itself"
        ),
    })
}

/// The app's file with the app's values of now.
pub(crate) fn compose(ground: &Ground, app: &App) -> Result<Composed> {
    let source = compose_of(app)?;
    let template = template_values(ground, app)?;
    let found = read(
        &text_of(ground, source)?,
        &source.setup.profiles,
        &values_of(ground, app)?,
        template.as_ref(),
    );
    let composed = found.map_err(|problems| refusal_of(ground, app, &problems))?;
    match refused(&source.setup, &composed.rights).first() {
        Some(right) => Err(Error::Forbidden {
            needs: format!("an administrator who saves this file: `{}` {}", right.service, right.what),
        }),
        None => Ok(composed),
    }
}

/// All problems in one message.
pub(crate) fn refusal(problems: &[Notice]) -> Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Error::invalid("compose", lines.join("; "))
}

/// The same of an app's own file: a problem names what is wrong, and that may be the value of a secret variable.
pub(crate) fn refusal_of(ground: &Ground, app: &App, problems: &[Notice]) -> Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let words = lines.join("; ");
    Error::invalid("compose", ground.redactor.redact_for(&app.organization, &words).into_owned())
}

pub(crate) fn right_key(right: &HostRight) -> String {
    format!("{}: {}", right.service, right.what)
}

/// What reaches the host and was not allowed for this app.
pub(crate) fn refused<'r>(setup: &StackSetup, rights: &'r [HostRight]) -> Vec<&'r HostRight> {
    rights
        .iter()
        .filter(|right| !setup.host_allowed.contains(&right_key(right)))
        .collect()
}

/// Checks a new or changed source with the values it will have, records what the actor allows, and gives each of its
/// volumes its place. Answers the volumes that must be made.
pub(crate) fn settle(ground: &Ground, actor: &Actor, app: &mut App, environment: &Environment, composed: &Composed) -> Result<Vec<Volume>> {
    let Some(setup) = app.source.stack_mut() else {
        return Ok(Vec::new());
    };
    if !refused(setup, &composed.rights).is_empty() {
        actor.may(Action::UseHost)?;
    }
    setup.host_allowed = composed.rights.iter().map(right_key).collect();
    place(ground, app, environment, &composed.stack)
}

/// Gives each volume of the stack its place. Answers the volumes that must be made. Fails with `NotFound` for a main service or an
/// external volume that is not there.
pub(crate) fn place(ground: &Ground, app: &mut App, environment: &Environment, stack: &Stack) -> Result<Vec<Volume>> {
    let Some(source) = app.source.stack_mut() else {
        return Ok(Vec::new());
    };
    if let Some(main) = &source.main
        && stack.service(main).is_none()
    {
        return Err(Error::not_found(Kind::Service, main));
    }
    let known = ground.store.volumes.list()?;
    let mut taken: HashSet<String> = known
        .iter()
        .filter(|volume| volume.environment == environment.id)
        .map(|volume| volume.name.to_string())
        .collect();
    let mut made = Vec::new();
    for volume in &stack.volumes {
        if source.volumes.contains_key(&volume.name) {
            continue;
        }
        let id = match &volume.external {
            Some(name) => {
                let found = known
                    .iter()
                    .find(|one| one.environment == environment.id && one.name.as_str() == name);
                found
                    .map(|one| one.id.clone())
                    .ok_or_else(|| Error::not_found(Kind::Volume, name))?
            }
            None => {
                let name = free_name(&app.name, &volume.name, &mut taken)?;
                made.push(new_volume(ground, environment, name));
                made.last().expect("just pushed").id.clone()
            }
        };
        source.volumes.insert(volume.name.clone(), id);
    }
    app.mounts = mounts(stack, &source.volumes)?;
    Ok(made)
}

/// Where each volume is mounted first: what people see of an app's storage.
fn mounts(stack: &Stack, volumes: &BTreeMap<String, VolumeId>) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for (name, id) in volumes {
        let all = stack.services.iter().flat_map(|service| &service.mounts);
        let first = all
            .into_iter()
            .find(|mount| matches!(&mount.from, MountFrom::Volume { name: own } if own == name));
        mounts.push(Mount {
            volume: id.clone(),
            path: first.map_or("/unused", |mount| mount.path.as_str()).parse()?,
            read_only: first.is_some_and(|mount| mount.read_only),
        });
    }
    Ok(mounts)
}

/// `<app>-<volume>` as a name that is free in the environment: another app's data is never taken over.
pub(crate) fn free_name(app: &Slug, volume: &str, taken: &mut HashSet<String>) -> Result<Slug> {
    let clean: String = volume
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let whole: String = format!("{app}-{}", clean.trim_matches('-')).chars().take(56).collect();
    let base = whole.trim_end_matches('-');
    let mut name = base.to_owned();
    let mut number = 1;
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{base}-{number}");
    }
    name.parse()
}

/// Of a file and what is chosen beside it; see [`ComposeSource::hash`].
pub(crate) fn text_hash(text: &Secret, profiles: &[String], main: Option<&str>) -> String {
    let profiles = profiles.join("\n");
    digest(&[text.expose(), profiles.as_bytes(), main.unwrap_or_default().as_bytes()].join(&0))
}

/// Of an app of several services: [`types::ReleaseStack::source`] of what would be deployed now.
pub(crate) fn source_hash(source: &Source) -> Option<String> {
    if let Source::Compose(source) = source {
        return Some(source.hash.clone());
    }
    let tree = source.tree_stack()?;
    let folder = source.buildable().map(|source| source.folder.to_string()).unwrap_or_default();
    let file = tree.file.as_ref().map(ToString::to_string).unwrap_or_default();
    let place = Secret::from(format!("{folder}/{file}"));
    Some(text_hash(&place, &tree.setup.profiles, tree.setup.main.as_deref()))
}

/// SHA-256 in hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The service that domains lead to: the one that is named, else the first that publishes a port, has one, or is last to start.
pub(crate) fn main_of<'s>(stack: &'s Stack, named: Option<&str>) -> Option<&'s StackService> {
    if let Some(name) = named {
        return stack.service(name);
    }
    let lasting = || stack.services.iter().filter(|service| !service.runs_once());
    lasting()
        .find(|service| service.ports.iter().any(|port| port.published.is_some()))
        .or_else(|| lasting().rfind(|service| !service.ports.is_empty()))
        .or_else(|| lasting().next_back())
}

pub(crate) fn port_of(service: &StackService) -> Option<u16> {
    let tcp = || service.ports.iter().filter(|port| port.protocol == types::Transport::Tcp);
    tcp()
        .find(|port| port.published.is_some())
        .or_else(|| tcp().next())
        .map(|port| port.target)
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_volumes_never_take_over_another() {
        let mut taken = HashSet::from(["blog-data".to_owned()]);
        let app: Slug = "blog".parse().expect("a name");
        let mut name = |volume: &str| free_name(&app, volume, &mut taken).expect("a name").to_string();
        assert_eq!(name("data"), "blog-data-2");
        assert_eq!(name("data"), "blog-data-3");
        assert_eq!(name("_My.Files_"), "blog-my-files");
        assert!(name(&"x".repeat(200)).len() <= 63);
    }

    #[test]
    fn the_file_in_a_tree() {
        let top = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = top.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("docker-compose.yml", "services: {a: {image: x:1}}");
        write("deploy/compose.prod.yaml", "services: {b: {image: x:1, env_file: ../all.env}}");
        write("deploy/composer.yml", "no");
        write("all.env", "KEY=value");
        let read = |folder: &str, file: Option<&str>| {
            let stack = TreeStack {
                file: file.map(|file| file.parse().expect("a path")),
                ..TreeStack::default()
            };
            read_tree(top.path(), &folder.parse().expect("a path"), &stack, &BTreeMap::new())
        };
        let (path, composed) = read(".", None).expect("there");
        assert_eq!(
            (path.as_str(), composed.expect("right").stack.services.len()),
            ("docker-compose.yml", 1)
        );
        let (path, composed) = read("deploy", Some("compose.prod.yaml")).expect("there");
        assert_eq!(path, "deploy/compose.prod.yaml");
        assert_eq!(composed.expect("right").stack.services[0].environment["KEY"], "value");
        let missing = read("deploy", None).expect_err("of no usual name").to_string();
        assert!(
            missing.contains("there is `docker-compose.yml`, `deploy/compose.prod.yaml`"),
            "{missing}"
        );
        // What lies over a file with a usual name elsewhere is named, and not read.
        let hints = |folder: &str, file: Option<&str>| read(folder, file).expect("there").1.expect("right").hints;
        let of_it = |hints: Vec<Notice>| hints.into_iter().filter(|hint| hint.what.contains("is not read")).count();
        assert_eq!(of_it(hints(".", None)), 0);
        write("docker-compose.override.yml", "services: {a: {image: y:2}}");
        assert_eq!(of_it(hints(".", None)), 1);
        assert_eq!(of_it(hints("deploy", Some("compose.prod.yaml"))), 0);
        assert_eq!(of_it(hints(".", Some("docker-compose.yml"))), 0, "one that is named stands alone");
        std::os::unix::fs::symlink("/etc/hostname", top.path().join("compose.yaml")).expect("linked");
        let out = read(".", None).expect_err("a link").to_string();
        assert!(out.contains("leads out"), "{out}");
    }

    #[test]
    fn the_main_service() {
        let main = |text: &str| {
            let composed = read(text, &[], &BTreeMap::new(), None).expect("a stack");
            main_of(&composed.stack, None).map(|service| (service.name.clone(), port_of(service)))
        };
        let is = |text: &str, name: &str, port: Option<u16>| assert_eq!(main(text), Some((name.to_owned(), port)), "{text}");
        is("services: {a: {image: x:1}, b: {image: x:1, ports: ['8080:80']}}", "b", Some(80));
        is("services: {a: {image: x:1, expose: [9]}, b: {image: x:1}}", "a", Some(9));
        is("services: {web: {image: x:1, depends_on: [db]}, db: {image: x:1}}", "web", None);
        is(
            "services: {one: {image: x:1, restart: 'no', ports: ['1:1']}, two: {image: x:1}}",
            "two",
            None,
        );
    }
}

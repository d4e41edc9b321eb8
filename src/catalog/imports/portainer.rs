//! Portainer's app templates: `templates.json` with many of them. A container is described in the file itself, a stack lies as a Compose
//! file in a repository or under an address.
//! Source: Portainer's documentation, "App templates: JSON format", versions 2 and 3; before, the file was a bare list and types were words.

use super::{
    Format, Imported, More,
    dollars::literal,
    draft::Draft,
    names, notice, of_file, prose,
    write::{key, list, map, node, text},
};
use crate::{
    template::{AskedKind, is_name},
    yaml::{self, Map, Node, Value},
};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use types::Notice;

/// The list of templates, if the file is of this format.
pub fn templates(json: &Json) -> Option<&Vec<Json>> {
    let list = json.get("templates").unwrap_or(json).as_array()?;
    let fits = |one: &Json| one.get("type").is_some() && (one.get("title").is_some() || one.get("name").is_some());
    list.iter().all(|one| fits(one) || one.get("image").is_some()).then_some(list)
}

pub fn read(text: &str, more: &More) -> Result<Vec<Imported>, Vec<Notice>> {
    let json: Json = serde_json::from_str(text).map_err(|error| vec![notice(line(error.line()), format!("not JSON: {error}"))])?;
    let Some(all) = templates(&json) else {
        return Err(vec![notice(
            0,
            "there are no templates in it: `templates` must be a list, each with a type and a title",
        )]);
    };
    let mut taken = BTreeSet::new();
    let imported = all.iter().map(|one| {
        let imported = template(one, more, &mut taken);
        taken.insert(imported.name.clone());
        imported
    });
    Ok(imported.collect())
}

fn line(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

fn template(one: &Json, more: &More, taken: &mut BTreeSet<String>) -> Imported {
    let said = |name: &str| one.get(name).and_then(Json::as_str).map(str::trim).filter(|text| !text.is_empty());
    let title = said("title").or(said("name")).or(said("image")).unwrap_or("app").to_owned();
    let mut name = prose::slug(&title);
    let base: String = name.chars().take(36).collect();
    let mut number = 1;
    while taken.contains(&name) || !is_name(&name) {
        number += 1;
        name = format!("{base}-{number}");
    }
    let mut draft = Draft::new(&name);
    draft.name = name;
    draft.title = title;
    draft.description = said("description").unwrap_or_default().to_owned();
    draft.details = prose::line(said("note").unwrap_or_default());
    let words = |name: &str| {
        one.get(name)
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .map(str::to_owned)
            .collect()
    };
    draft.categories = words("categories");
    draft.tags = words("categories");
    if said("platform").is_some_and(|platform| platform.eq_ignore_ascii_case("windows")) {
        draft.problem("it is for Windows");
    }
    let given = environment(&mut draft, one);
    let kind = one.get("type").cloned().unwrap_or(Json::from(1));
    match (kind.as_u64(), kind.as_str()) {
        (Some(1), _) | (_, Some("container" | "1")) => container(&mut draft, one, &given),
        (Some(2..=4), _) | (_, Some("stack" | "2" | "3" | "4")) => {
            if let Some(address) = stack(&mut draft, one, more, &given) {
                return Imported {
                    name: draft.name,
                    title: prose::short_title(&draft.title, ""),
                    notes: draft.notes,
                    problems: draft.problems,
                    fetch: vec![address],
                    ..Imported::default()
                };
            }
        }
        _ => draft.problem(format!("its type {kind} is not known: 1 is a container, 2 to 4 are stacks")),
    }
    draft.finish(Format::Portainer)
}

/// What it asks for and sets, by name, in our language.
fn environment(draft: &mut Draft, one: &Json) -> BTreeMap<String, String> {
    let mut given = BTreeMap::new();
    for env in one.get("env").and_then(Json::as_array).into_iter().flatten() {
        let said = |name: &str| match env.get(name)? {
            Json::String(text) => Some(text.clone()),
            Json::Null => None,
            other => Some(other.to_string()),
        };
        let Some(name) = said("name").filter(|name| !name.is_empty()) else {
            continue;
        };
        // `set` is what the first version called a preset.
        let preset = said("set").or_else(|| said("default").filter(|_| env.get("preset").and_then(Json::as_bool) == Some(true)));
        if let Some(value) = preset {
            given.insert(name, literal(&value));
            continue;
        }
        let title = said("label").map(|label| prose::line(&label)).filter(|label| !label.is_empty());
        let description = said("description").map(|text| prose::line(&text)).filter(|text| !text.is_empty());
        let default = said("default").filter(|default| !default.is_empty());
        let options: Vec<(String, bool)> = env
            .get("select")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(|option| {
                Some((
                    option.get("value")?.as_str()?.to_owned(),
                    option.get("default").and_then(Json::as_bool) == Some(true),
                ))
            })
            .collect();
        let shown = match default {
            _ if !options.is_empty() => draft.form.ask(&name, AskedKind::Enum, title.as_deref().unwrap_or(&name), |one| {
                let chosen = options.iter().find(|(_, is_default)| *is_default).unwrap_or(&options[0]);
                one.default = Some(Json::from(chosen.0.as_str()));
                one.options = options.iter().map(|(value, _)| value.clone()).collect();
            }),
            Some(default) => draft.form.ask(&name, AskedKind::Text, title.as_deref().unwrap_or(&name), |one| {
                one.default = Some(Json::from(default))
            }),
            None => draft.form.by_name(&name, title.as_deref(), false),
        };
        if let Some(one) = draft.form.asked.iter_mut().find(|one| format!("{{{{ {} }}}}", one.name) == shown) {
            one.description = description;
        }
        given.insert(name, shown);
    }
    given
}

fn container(draft: &mut Draft, one: &Json, given: &BTreeMap<String, String>) {
    let said = |name: &str| one.get(name).and_then(Json::as_str).map(str::trim).filter(|text| !text.is_empty());
    let Some(image) = said("image") else {
        return draft.problem("it names no image");
    };
    let registry = said("registry")
        .map(|registry| format!("{}/", registry.trim_end_matches('/')))
        .unwrap_or_default();
    let full = format!("{registry}{image}");
    let base = image.rsplit('/').next().unwrap_or(image).split([':', '@']).next().unwrap_or("app");
    let name = prose::slug(base);
    let mut keys: Map = vec![(key("image"), text(literal(&full)))];
    let mut put = |name: &str, node: Node| keys.push((key(name), node));
    if let Some(command) = said("command") {
        put("command", text(literal(command)));
    }
    if let Some(hostname) = said("hostname") {
        put("hostname", text(literal(hostname)));
    }
    let is = |name: &str| one.get(name).and_then(Json::as_bool) == Some(true);
    if is("privileged") {
        put("privileged", super::write::plain(true));
    }
    if is("interactive") {
        put("stdin_open", super::write::plain(true));
        put("tty", super::write::plain(true));
    }
    match said("network") {
        Some(mode @ ("host" | "none")) => put("network_mode", text(mode)),
        Some(other) if other != "bridge" => draft.note(format!(
            "the network `{other}` is left out: apps of one environment find each other by name"
        )),
        _ => {}
    }
    if let Some(policy) = said("restart_policy").filter(|policy| *policy != "always") {
        put("restart", text(policy));
    }
    if !given.is_empty() {
        put(
            "environment",
            node(Value::Map(given.iter().map(|(name, value)| (key(name), text(value))).collect())),
        );
    }
    let strings = |name: &str| one.get(name).and_then(Json::as_array).into_iter().flatten();
    let ports: Vec<Node> = strings("ports").filter_map(Json::as_str).map(|port| text(literal(port))).collect();
    if !ports.is_empty() {
        put("ports", list(ports));
    }
    let mut mounts = Vec::new();
    for volume in strings("volumes") {
        let part = |name: &str| volume.get(name).and_then(Json::as_str);
        let Some(target) = volume.as_str().or_else(|| part("container")) else {
            continue;
        };
        let read_only = volume.get("readonly").and_then(Json::as_bool) == Some(true);
        let mode = if read_only { ":ro" } else { "" };
        let source = part("bind").map(|source| format!("{source}:")).unwrap_or_default();
        mounts.push(text(literal(&format!("{source}{target}{mode}"))));
    }
    if !mounts.is_empty() {
        put("volumes", list(mounts));
    }
    let labels: Vec<(&str, Node)> = strings("labels")
        .filter_map(|label| Some((label.get("name")?.as_str()?, text(literal(label.get("value")?.as_str()?)))))
        .collect();
    if !labels.is_empty() {
        put("labels", map(labels));
    }
    draft.compose = vec![(key("services"), map([(name.as_str(), node(Value::Map(keys)))]))];
}

/// Reads the stack's Compose file; the answer is its address when it is not at hand.
fn stack(draft: &mut Draft, one: &Json, more: &More, given: &BTreeMap<String, String>) -> Option<String> {
    let said = |node: Option<&Json>, name: &str| {
        node?
            .get(name)?
            .as_str()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let repository = one.get("repository");
    let file = said(repository, "stackfile").or_else(|| said(Some(one), "stackfile"));
    let url = said(repository, "url");
    let address = match (&url, &file) {
        (None, Some(file)) if file.starts_with("https://") || file.starts_with("http://") => Some(file.clone()),
        (Some(url), Some(file)) => raw(url, file),
        _ => None,
    };
    draft.links.source = url.as_deref().and_then(prose::https);
    let known = |name: &Option<String>| name.as_ref().and_then(|name| more.get(name));
    let Some(compose) = known(&address).or_else(|| known(&file)) else {
        if address.is_none() {
            draft.problem(match (url, file) {
                (Some(url), Some(file)) => {
                    format!("its Compose file is {file} in {url}, which has no address that is known: give its text under `{file}`")
                }
                _ => "it names no Compose file".to_owned(),
            });
        }
        return address;
    };
    match yaml::parse(compose, 0) {
        Ok(Node {
            value: Value::Map(mut map),
            ..
        }) => {
            names::compose(draft, &mut map, &mut |_, name| given.get(name).cloned());
            draft.compose = map;
        }
        Ok(_) => draft.problem("its Compose file is not a mapping"),
        Err(error) => draft.problem(of_file(file.as_deref().unwrap_or("Compose file"), error).to_string()),
    }
    None
}

/// Where a file of a repository can be read as it is.
fn raw(url: &str, file: &str) -> Option<String> {
    let url = url.trim_end_matches('/').trim_end_matches(".git");
    let file = file.trim_start_matches("./").trim_start_matches('/');
    let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
    let is_clean = |text: &str| !text.contains("..") && !text.contains(|letter: char| letter.is_whitespace() || "?#".contains(letter));
    if !is_clean(path) || !is_clean(file) || path.split('/').count() < 2 {
        return None;
    }
    match host {
        "github.com" if path.split('/').count() == 2 => Some(format!("https://raw.githubusercontent.com/{path}/HEAD/{file}")),
        "gitlab.com" => Some(format!("https://gitlab.com/{path}/-/raw/HEAD/{file}")),
        "codeberg.org" => Some(format!("https://codeberg.org/{path}/raw/HEAD/{file}")),
        _ => None,
    }
}

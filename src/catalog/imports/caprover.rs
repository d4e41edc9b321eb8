//! CapRover's one-click apps: a Compose-like file in which `$$cap_…` stands for values, with a form and hints below `caproverOneClickApp`.
//! Source: CapRover's documentation, "One-Click Apps", and its `captainVersion` 4.

use super::{
    More,
    dollars::literal,
    draft::{Draft, each, flat},
    form::{is_secret, title_of},
    of_file, prose, tidy, web,
    write::{key, list, node, text},
};
use crate::{
    compose::words,
    template::{Alphabet, AskedKind},
    yaml::{self, Map, Node, Value},
};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use types::Notice;

const APP: &str = "$$cap_appname";
const ROOT: &str = "$$cap_root_domain";

/// What is known while one file is read.
struct Reader<'a> {
    draft: &'a mut Draft,
    /// Values of its form, in our language.
    values: BTreeMap<String, String>,
    /// The services as the file calls them, to ours.
    services: BTreeMap<String, String>,
    main: String,
}

pub fn read(text: &str, more: &More) -> Result<Draft, Vec<Notice>> {
    let tree = yaml::parse(text, 0).map_err(|error| vec![error])?;
    let empty = node(Value::Null);
    let about = tree.get("caproverOneClickApp").unwrap_or(&empty);
    let said = |name: &str| about.get(name).and_then(Node::text).unwrap_or_default().to_owned();
    let title = said("displayName");
    let name = more.get("name").cloned().unwrap_or_else(|| prose::slug(&title));
    let mut draft = Draft::new(&name);
    let own = draft.name.clone();
    if !title.is_empty() {
        draft.title = title;
    }
    draft.description = said("description");
    draft.links.documentation = said("documentation").split_whitespace().find_map(prose::https);
    let hints = |name: &str| {
        about
            .get("instructions")
            .and_then(|hints| hints.get(name)?.text())
            .unwrap_or_default()
            .to_owned()
    };
    let (start, end) = (hints("start"), hints("end"));
    let Some(Node {
        value: Value::Map(services),
        ..
    }) = tree.get("services").cloned()
    else {
        return Err(vec![of_file(
            "",
            Notice {
                line: tree.at.line,
                file: String::new(),
                what: "it has no `services`".into(),
            },
        )]);
    };
    let mut reader = Reader {
        values: BTreeMap::new(),
        services: service_names(&services, &own),
        main: String::new(),
        draft: &mut draft,
    };
    reader.main = services
        .iter()
        .find(|(_, one)| is_web(one))
        .map(|(key, _)| key.text.clone())
        .unwrap_or_default();
    reader.form(about, text);
    reader.choose(&services);
    let mut all = Map::new();
    for (name, one) in services {
        let shown = reader.services.get(&name.text).cloned().unwrap_or_default();
        let one = reader.service(&shown, one);
        all.push((key(&shown), one));
    }
    let networks = tree.get("networks").cloned().map(|mut networks| {
        reader.keys(&mut networks);
        reader.renamed(networks)
    });
    let details = reader.filled(&start);
    let login = reader.filled(&end);
    draft.details = details.split("{{").next().unwrap_or_default().trim().to_owned();
    draft.first_login = (!login.trim().is_empty()).then(|| format!("{}\n\nOpen {{{{ url }}}}.", flat(&login).trim()));
    draft.compose = vec![(key("services"), node(Value::Map(all)))];
    if let Some(volumes) = tree.get("volumes").and_then(Node::map) {
        draft.compose.push((key("volumes"), node(Value::Map(volumes.clone()))));
    }
    draft.compose.extend(networks.map(|networks| (key("networks"), networks)));
    Ok(draft)
}

/// `$$cap_appname-db` is `db`; the app itself gets the template's name.
fn service_names(services: &Map, own: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for (key, _) in services {
        let rest = key.text.strip_prefix(APP).map(|rest| rest.trim_start_matches('-'));
        let base = match rest {
            Some("") => own.to_owned(),
            Some(rest) => prose::slug(rest),
            None => prose::slug(&key.text),
        };
        let mut name = base.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            name = format!("{base}-{number}");
        }
        names.insert(key.text.clone(), name);
    }
    names
}

impl Reader<'_> {
    /// The first service that is a web page, and its port; what else is one gets a domain of its own.
    fn choose(&mut self, services: &Map) {
        for (key, one) in services {
            if !is_web(one) {
                continue;
            }
            let said = one
                .get("caproverExtra")
                .and_then(|extra| extra.get("containerHttpPort")?.text())
                .map(|port| self.filled(port));
            let port = said.and_then(|port| port.trim().parse().ok()).unwrap_or(80);
            let name = self.services.get(&key.text).cloned().unwrap_or_default();
            if self.draft.main.is_none() {
                self.draft.main = Some((name, port));
            } else {
                self.draft
                    .note(format!("`{name}` is a web page too: give it a domain of its own if it is needed"));
                self.draft.also.push((name, port));
            }
        }
    }

    /// The variables of the form. What only chooses a version is taken as it is.
    fn form(&mut self, about: &Node, whole: &str) {
        for one in about.get("variables").and_then(Node::list).unwrap_or_default() {
            let said = |name: &str| one.get(name).and_then(Node::text).map(str::to_owned);
            let Some(id) = said("id").filter(|id| id.starts_with("$$") && id.len() > 4) else {
                continue;
            };
            let source = id.trim_start_matches("$$").trim_start_matches("cap_").to_owned();
            let label = said("label").map(|label| prose::line(&label)).filter(|label| !label.is_empty());
            let title = label.unwrap_or_else(|| title_of(&source));
            let default = said("defaultValue").unwrap_or_default();
            let is_fixed = source.to_ascii_lowercase().ends_with("version") || in_image_or_port(whole, &id);
            if is_fixed && !default.is_empty() {
                self.draft.note(format!("{title}: {default}, the default of the source, is taken"));
                self.values.insert(id, literal(&default));
                continue;
            }
            let shown = self.asked(&source, &title, &default, said("validRegex").as_deref());
            let description = said("description")
                .map(|text| prose::line(&text.replace("$$cap_", "")))
                .filter(|text| !text.is_empty());
            if let Some(asked) = self
                .draft
                .form
                .asked
                .iter_mut()
                .find(|asked| format!("{{{{ {} }}}}", asked.name) == shown)
            {
                asked.description = description;
            }
            self.values.insert(id, shown);
        }
    }

    fn asked(&mut self, source: &str, title: &str, default: &str, pattern: Option<&str>) -> String {
        if let Some(length) = generated(default) {
            let shown = self.draft.form.secret(source, length, Alphabet::Hex);
            if let Some(asked) = self
                .draft
                .form
                .asked
                .iter_mut()
                .find(|asked| format!("{{{{ {} }}}}", asked.name) == shown)
            {
                asked.title = Some(title.to_owned());
            }
            return shown;
        }
        if default.contains("$$") {
            let value = self.filled(default);
            return if value.contains("{{") {
                self.draft.form.derive(source, value)
            } else {
                value
            };
        }
        if default.is_empty() && is_secret(source) {
            return self.draft.form.by_name(source, Some(title), false);
        }
        let needed = default.is_empty() && pattern.is_some_and(|pattern| pattern.contains(".{1,}") || pattern.contains(")+$"));
        let pattern = pattern.and_then(|pattern| whole(pattern, default));
        let kind = match default {
            "true" | "false" => AskedKind::Boolean,
            _ => AskedKind::Text,
        };
        self.draft.form.ask(source, kind, title, |one| {
            match default {
                "" => one.required = Some(needed),
                "true" | "false" => one.default = Some(serde_json::Value::Bool(default == "true")),
                _ => one.default = Some(serde_json::Value::from(default)),
            }
            one.pattern = pattern.filter(|_| kind == AskedKind::Text);
        })
    }

    fn service(&mut self, name: &str, mut one: Node) -> Node {
        let at = one.at;
        self.keys(&mut one);
        each(&mut one, &mut |text| *text = self.filled(text));
        let Value::Map(keys) = one.value else {
            return Node { at, value: one.value };
        };
        let mut kept = Map::new();
        for (own, node) in keys {
            match own.text.as_str() {
                "caproverExtra" => {
                    if let Some(lines) = node.get("dockerfileLines").and_then(Node::list) {
                        let lines: Vec<String> = lines.iter().filter_map(|line| line.text().map(str::to_owned)).collect();
                        self.dockerfile(name, &lines, &mut kept);
                    }
                }
                "documentation" => {}
                "depends_on" | "networks" => kept.push((own, self.renamed(node))),
                "environment" => over(&mut kept, node),
                _ => kept.push((own, node)),
            }
        }
        Node {
            at,
            value: Value::Map(kept),
        }
    }

    /// Keys may hold names of the app too; values of the form cannot stand there.
    fn keys(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::List(list) => list.iter_mut().for_each(|node| self.keys(node)),
            Value::Map(map) => {
                for (key, node) in map {
                    if key.text.contains("$$") && !self.services.contains_key(&key.text) {
                        let filled = self.filled(&key.text).replace("$$", "$");
                        if !filled.contains("{{") {
                            key.text = filled;
                        }
                    }
                    self.keys(node);
                }
            }
            _ => {}
        }
    }

    /// A Dockerfile that only changes how an image starts is that image with these settings.
    fn dockerfile(&mut self, name: &str, lines: &[String], kept: &mut Map) {
        let joined = lines.join("\n").replace("\\\n", " ");
        for line in joined
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let rest = rest.trim();
            match word.to_ascii_uppercase().as_str() {
                "FROM" if !kept.iter().any(|(key, _)| key.text == "image") => {
                    let image = rest.split_whitespace().find(|word| !word.starts_with("--")).unwrap_or_default();
                    kept.push((key("image"), text(image)));
                }
                "CMD" | "ENTRYPOINT" => {
                    let own = if word.eq_ignore_ascii_case("CMD") {
                        "command"
                    } else {
                        "entrypoint"
                    };
                    let node = match serde_json::from_str::<Vec<String>>(rest) {
                        Ok(words) => list(words.into_iter().map(text)),
                        Err(_) => list([text("/bin/sh"), text("-c"), text(rest)]),
                    };
                    crate::compose::put(kept, key(own), node);
                }
                "ENV" => self.env(rest, kept),
                "WORKDIR" => crate::compose::put(kept, key("working_dir"), text(rest)),
                "USER" => crate::compose::put(kept, key("user"), text(rest)),
                "EXPOSE" | "LABEL" | "MAINTAINER" | "VOLUME" | "ARG" => {}
                other => {
                    return self.draft.problem(format!(
                        "`{name}` is built from a Dockerfile with {other}, which a template cannot do"
                    ));
                }
            }
        }
    }

    fn env(&mut self, rest: &str, kept: &mut Map) {
        let pairs: Vec<(String, String)> = match words(rest) {
            Ok(words) if words.iter().all(|word| word.contains('=')) => words
                .iter()
                .filter_map(|word| word.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            _ => rest
                .split_once(char::is_whitespace)
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .into_iter()
                .collect(),
        };
        if !kept.iter().any(|(key, node)| key.text == "environment" && node.map().is_some()) {
            kept.insert(0, (key("environment"), node(Value::Map(Map::new()))));
        }
        for (own, node) in kept {
            if let ("environment", Value::Map(map)) = (own.text.as_str(), &mut node.value) {
                for (name, value) in &pairs {
                    if !map.iter().any(|(own, _)| own.text == *name) {
                        map.push((key(name), text(value)));
                    }
                }
            }
        }
    }

    /// Names of services, which are already filled in.
    fn renamed(&self, mut node: Node) -> Node {
        if let Value::Map(map) = &mut node.value {
            for (key, _) in map.iter_mut() {
                key.text = self.services.get(&key.text).cloned().unwrap_or_else(|| key.text.clone());
            }
        }
        node
    }

    /// A text of the file in our language.
    fn filled(&mut self, text: &str) -> String {
        if let Some(name) = self.services.get(text) {
            return name.clone();
        }
        let mut out = text.to_owned();
        // The longest first, since some begin like others. A mark without `$` and braces keeps what is found from being read again.
        let mut marks: Vec<String> = Vec::new();
        let mut mark = |out: &mut String, from: &str, to: String| {
            if !from.is_empty() && out.contains(from) {
                *out = out.replace(from, &format!("\u{1}{}\u{2}", marks.len()));
                marks.push(to);
            }
        };
        let out_text = out.replace(['\u{1}', '\u{2}'], "");
        out = out_text;
        let mut services: Vec<(String, String)> = self.services.iter().map(|(own, name)| (own.clone(), name.clone())).collect();
        services.sort_by_key(|(own, _)| std::cmp::Reverse(own.len()));
        for (own, name) in &services {
            for scheme in ["https://", "http://", ""] {
                let from = format!("{scheme}{own}.{ROOT}");
                if !out.contains(&from) {
                    continue;
                }
                let is_main = *own == self.main || self.main.is_empty();
                let to = match (is_main, scheme) {
                    (true, "") => "{{ domain }}".to_owned(),
                    (true, _) => "{{ url }}".to_owned(),
                    (false, "") => web::further_domain(self.draft, name),
                    (false, _) => format!("https://{}", web::further_domain(self.draft, name)),
                };
                mark(&mut out, &from, to);
            }
            mark(&mut out, &format!("srv-captain--{own}"), name.clone());
        }
        mark(&mut out, &format!("{APP}.{ROOT}"), "{{ domain }}".to_owned());
        let mut values: Vec<(String, String)> = self.values.iter().map(|(id, value)| (id.clone(), value.clone())).collect();
        values.sort_by_key(|(id, _)| std::cmp::Reverse(id.len()));
        for (id, value) in values {
            mark(&mut out, &id, value);
        }
        while let Some((call, length)) = random(&out) {
            let source = format!("random {}", self.draft.form.asked.len());
            let value = self.draft.form.secret(&source, length, Alphabet::Hex);
            let at = out.find(&call).unwrap_or_default();
            out.replace_range(at..at + call.len(), &format!("\u{1}{}\u{2}", marks.len()));
            marks.push(value);
        }
        if out.contains(ROOT) {
            self.draft.note("the root domain of the source is taken as the app's own domain");
            out = out.replace(ROOT, &format!("\u{1}{}\u{2}", marks.len()));
            marks.push("{{ domain }}".to_owned());
        }
        let unknown = Regex::new(r"\$\$cap_([A-Za-z0-9_]+)").expect("a literal pattern");
        while let Some(found) = unknown.captures(&out).filter(|found| &found[1] != "appname") {
            let (whole, name) = (found[0].to_owned(), found[1].to_owned());
            self.draft
                .note(format!("{whole} is not among the variables of the source; the form asks for it"));
            let value = self.draft.form.by_name(&name, None, false);
            out = out.replacen(&whole, &format!("\u{1}{}\u{2}", marks.len()), 1);
            marks.push(value);
        }
        let app = self.draft.name.clone();
        out = out.replace(&format!("srv-captain--{APP}"), &app).replace(APP, &app);
        unmarked(&literal(&out), &marks)
    }
}

/// `environment`, over what a Dockerfile sets.
fn over(kept: &mut Map, node: Node) {
    let node = tidy::environment(node);
    match (kept.iter_mut().find(|(key, _)| key.text == "environment"), &node.value) {
        (
            Some((
                _,
                Node {
                    value: Value::Map(own), ..
                },
            )),
            Value::Map(more),
        ) => {
            for (key, node) in more {
                crate::compose::put(own, key.clone(), node.clone());
            }
        }
        (Some((_, own)), _) => *own = node,
        (None, _) => kept.push((key("environment"), node)),
    }
}

/// CapRover gives every service a domain that does not say no.
fn is_web(one: &Node) -> bool {
    one.get("caproverExtra").and_then(|extra| extra.get("notExposeAsWebApp")?.text()) != Some("true")
}

fn unmarked(text: &str, marks: &[String]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((front, after)) = rest.split_once('\u{1}') {
        out.push_str(front);
        let (number, next) = after.split_once('\u{2}').unwrap_or((after, ""));
        let value = number.parse::<usize>().ok().and_then(|number| marks.get(number));
        let value = value.map(String::as_str).unwrap_or_default();
        if value.starts_with("{{") && out.ends_with('{') {
            out.pop();
            out.push_str("{{ '{' }}");
        }
        out.push_str(value);
        rest = next;
    }
    out.push_str(rest);
    out
}

/// `$$cap_gen_random_hex(16)` in a text, and its number of letters.
fn random(text: &str) -> Option<(String, usize)> {
    const CALL: &str = "$$cap_gen_random_hex(";
    let at = text.find(CALL)?;
    let (number, _) = text[at + CALL.len()..].split_once(')')?;
    Some((format!("{CALL}{number})"), number.trim().parse().unwrap_or(16)))
}

/// The whole default is generated.
fn generated(default: &str) -> Option<usize> {
    let (call, length) = random(default)?;
    (default.trim() == call).then_some(length)
}

/// A regular expression over the whole value, where ours takes it and the default fits.
fn whole(pattern: &str, default: &str) -> Option<String> {
    let inner = pattern.strip_prefix('/')?.strip_suffix('/')?;
    let inner = inner.strip_prefix('^')?.strip_suffix('$')?;
    let regex = Regex::new(&format!("^(?:{inner})$")).ok()?;
    (default.is_empty() || regex.is_match(default)).then(|| inner.to_owned())
}

/// Whether a value is part of an image's name or of a port, which a form of ours does not ask for.
fn in_image_or_port(whole: &str, id: &str) -> bool {
    let mut ports = false;
    whole.lines().any(|line| {
        let trimmed = line.trim_start();
        ports = trimmed.starts_with("ports:") || ports && trimmed.starts_with('-');
        let is_image = trimmed.starts_with("image:") || trimmed.starts_with("- FROM ");
        let is_port = ports || trimmed.starts_with("containerHttpPort:");
        (is_image || is_port) && line.contains(id)
    })
}

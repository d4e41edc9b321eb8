//! Dokploy's templates: `docker-compose.yml`, and a `template.toml` with variables, domains, environment and files, in which `${…}` calls
//! helpers or names a variable.
//! Source: Dokploy's documentation, "Templates", and the guide of its template repository.

use super::{More, dollars::literal, draft::Draft, form::title_of, loose_toml, names, notice, of_file, prose, volumes, web};
use crate::{
    template::{Alphabet, AskedKind},
    yaml::{self, Value},
};
use base64::Engine;
use std::collections::BTreeMap;
use toml::{Table, Value as Toml};
use types::Notice;

pub const TOML: &str = "template.toml";
const COMPOSE: [&str; 4] = ["docker-compose.yml", "docker-compose.yaml", "compose.yaml", "compose.yml"];

/// The two texts of an export: JSON, as such or in base64.
pub fn exported(text: &str) -> Option<(String, String)> {
    let clean: String = text.split_whitespace().collect();
    let json = match text.trim_start().starts_with('{') {
        true => text.as_bytes().to_vec(),
        false => base64::engine::general_purpose::STANDARD.decode(clean).ok()?,
    };
    let json: serde_json::Value = serde_json::from_slice(&json).ok()?;
    let part = |name: &str| json.get(name)?.as_str().map(str::to_owned);
    Some((part("compose")?, part("config")?))
}

/// What is known while one template is read.
struct Reader<'a> {
    variables: &'a Table,
    /// The variable that is the app's domain.
    domain: String,
    /// Texts of variables in our language; those that are being made are here too, empty.
    made: BTreeMap<String, String>,
}

pub fn read(text: &str, more: &More) -> Result<Draft, Vec<Notice>> {
    let (compose, config) = match exported(text) {
        Some(both) => both,
        None => match (more.get(TOML), COMPOSE.iter().find_map(|name| more.get(*name))) {
            (Some(config), _) => (text.to_owned(), config.clone()),
            (None, Some(compose)) => (compose.clone(), text.to_owned()),
            (None, None) => {
                return Err(vec![notice(
                    0,
                    "a template of Dokploy is two files: docker-compose.yml and template.toml; one is missing",
                )]);
            }
        },
    };
    let config = loose_toml::parse(&config).map_err(|error| {
        let line = error
            .span()
            .map_or(0, |span| config[..span.start.min(config.len())].lines().count().max(1));
        vec![of_file(TOML, notice(u32::try_from(line).unwrap_or(0), error.message()))]
    })?;
    let tree = yaml::parse(&compose, 0).map_err(|error| vec![of_file(COMPOSE[0], error)])?;
    let at = tree.at;
    let Value::Map(mut compose) = tree.value else {
        return Err(vec![of_file(COMPOSE[0], notice(at.line, "the file is not a mapping"))]);
    };
    let services = compose
        .iter()
        .find(|(key, _)| key.text == "services")
        .and_then(|(_, node)| node.map());
    let names: Vec<String> = services.into_iter().flatten().map(|(key, _)| key.text.clone()).collect();
    let mut draft = about(more, names.first().map_or("app", String::as_str));
    let nothing = Table::new();
    let table = |name: &str| config.get(name).and_then(Toml::as_table).unwrap_or(&nothing);
    let inner = table("config");
    let mut reader = Reader {
        variables: table("variables"),
        domain: String::new(),
        made: BTreeMap::new(),
    };
    reader.domains(&mut draft, inner);
    for (name, value) in environment(inner) {
        let value = reader.filled(&mut draft, &value);
        draft.env.push((name, value));
    }
    reader.mounts(&mut draft, inner);
    let given: BTreeMap<String, String> = draft.env.iter().cloned().collect();
    names::compose(&mut draft, &mut compose, &mut |_, name| given.get(name).cloned());
    draft.compose = compose;
    Ok(draft)
}

/// What `meta.json` says of it.
fn about(more: &More, first: &str) -> Draft {
    let meta: serde_json::Value = more
        .get("meta.json")
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let said = |name: &str| meta.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let name = more.get("name").cloned().or_else(|| said("id")).unwrap_or_else(|| first.to_owned());
    let mut draft = Draft::new(&name);
    if let Some(title) = said("name") {
        draft.title = title;
    }
    draft.description = said("description").unwrap_or_default();
    let link = |name: &str| meta.get("links").and_then(|links| links.get(name)?.as_str()).and_then(prose::https);
    draft.links.website = link("website");
    draft.links.documentation = link("docs");
    draft.links.source = link("github");
    let tags = meta.get("tags").and_then(|tags| tags.as_array()).into_iter().flatten();
    draft.tags = tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
    draft.categories.clone_from(&draft.tags);
    draft
}

/// `env` as pairs: a table, or a list of `KEY=value` or of small tables.
fn environment(config: &Table) -> Vec<(String, String)> {
    let shown = |value: &Toml| match value {
        Toml::String(text) => text.clone(),
        other => other.to_string(),
    };
    let line = |line: &str| {
        let line = line.trim();
        let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    match config.get("env") {
        Some(Toml::Table(table)) => table.iter().map(|(name, value)| (name.clone(), shown(value))).collect(),
        Some(Toml::Array(list)) => {
            let one = |value: &Toml| match value {
                Toml::String(text) => text.lines().filter_map(line).collect(),
                Toml::Table(table) => table.iter().map(|(name, value)| (name.clone(), shown(value))).collect::<Vec<_>>(),
                _ => Vec::new(),
            };
            list.iter().flat_map(one).collect()
        }
        _ => Vec::new(),
    }
}

impl Reader<'_> {
    /// The first domain is the app's; the others get one each.
    fn domains(&mut self, draft: &mut Draft, config: &Table) {
        let all = config
            .get("domains")
            .and_then(Toml::as_array)
            .into_iter()
            .flatten()
            .filter_map(Toml::as_table);
        for (index, one) in all.enumerate() {
            let text = |name: &str| one.get(name).and_then(Toml::as_str).unwrap_or_default().to_owned();
            let port = one.get("port").and_then(|port| match port {
                Toml::Integer(port) => u16::try_from(*port).ok(),
                other => other.as_str()?.trim().parse().ok(),
            });
            let (service, host, path) = (text("serviceName"), text("host"), text("path"));
            let variable = host
                .strip_prefix("${")
                .and_then(|rest| rest.strip_suffix('}'))
                .unwrap_or_default()
                .to_owned();
            if !path.is_empty() && path != "/" {
                draft.note(format!(
                    "only the path {path} leads to `{service}` in the source; here its domain leads to it whole"
                ));
            }
            if index == 0 {
                self.domain = variable;
                draft.main = Some((service, port.unwrap_or(0)));
            } else if draft.main.as_ref().is_none_or(|main| *main != (service.clone(), port.unwrap_or(0))) {
                draft.note(format!(
                    "`{service}` has a domain of its own in the source: give it one if it is needed"
                ));
                draft.also.push((service.clone(), port.unwrap_or(0)));
                if !variable.is_empty() && variable != self.domain && !self.made.contains_key(&variable) {
                    let value = self.variables.get(&variable).and_then(Toml::as_str).unwrap_or_default();
                    if value == "${domain}" {
                        let shown = web::further_domain(draft, &service);
                        self.made.insert(variable, shown);
                    }
                }
            }
        }
        draft.also.retain(|(_, port)| *port > 0);
    }

    fn mounts(&mut self, draft: &mut Draft, config: &Table) {
        for one in config
            .get("mounts")
            .and_then(Toml::as_array)
            .into_iter()
            .flatten()
            .filter_map(Toml::as_table)
        {
            let text = |name: &str| one.get(name).and_then(Toml::as_str).map(str::to_owned);
            let (Some(path), Some(content)) = (text("filePath"), text("content")) else {
                continue;
            };
            let path = volumes::clean(&path);
            if path.is_empty() || content.trim().is_empty() || path.eq_ignore_ascii_case("readme.md") {
                continue;
            }
            let content = self.filled(draft, &content);
            draft.files.insert(path, content);
        }
    }

    /// A text of `template.toml` in our language.
    fn filled(&mut self, draft: &mut Draft, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((front, after)) = rest.split_once("${") {
            out.push_str(&literal(front));
            let Some((name, next)) = after.split_once('}') else {
                out.push_str(&literal("${"));
                rest = after;
                continue;
            };
            let shown = self.one(draft, name.trim());
            if shown.starts_with("{{") && out.ends_with('{') {
                out.pop();
                out.push_str("{{ '{' }}");
            }
            out.push_str(&shown);
            rest = next;
        }
        out.push_str(&literal(rest));
        out
    }

    /// What `${name}` stands for: one of the variables, or a helper.
    fn one(&mut self, draft: &mut Draft, name: &str) -> String {
        if let Some(made) = self.made.get(name) {
            return made.clone();
        }
        if name == self.domain && !name.is_empty() {
            return "{{ domain }}".to_owned();
        }
        let Some(value) = self.variables.get(name) else {
            return self.helper(draft, name, "");
        };
        let value = match value {
            Toml::String(text) => text.clone(),
            other => other.to_string(),
        };
        // Where variables name each other in a circle, one stands for nothing.
        self.made.insert(name.to_owned(), String::new());
        let whole = value
            .trim()
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
            .filter(|inner| !inner.contains("${") && !inner.contains('}'));
        let shown = match whole {
            Some(inner) if !self.variables.contains_key(inner) => self.helper(draft, inner, name),
            Some(inner) => {
                let inner = inner.to_owned();
                self.one(draft, &inner)
            }
            None => {
                let filled = self.filled(draft, &value);
                if filled.contains("{{") && !filled.contains('$') && filled.lines().count() < 2 {
                    draft.form.derive(name, filled)
                } else {
                    filled
                }
            }
        };
        self.made.insert(name.to_owned(), shown.clone());
        shown
    }

    /// A helper's value; `own` is the variable that it is for, empty inside a text.
    fn helper(&mut self, draft: &mut Draft, call: &str, own: &str) -> String {
        let (name, argument) = call.split_once(':').unwrap_or((call, ""));
        let number = argument.trim().parse::<usize>().ok();
        let source = if own.is_empty() {
            format!("{name} {}", draft.form.asked.len())
        } else {
            own.to_owned()
        };
        match name {
            "domain" if self.domain.is_empty() || own.is_empty() => "{{ domain }}".to_owned(),
            "domain" => web::further_domain(draft, &source),
            "password" => draft.form.secret(&source, number.unwrap_or(16), Alphabet::Alnum),
            "base64" => draft.form.random_base64(&source, number.unwrap_or(32)),
            "hash" => draft.form.secret(&source, number.unwrap_or(8), Alphabet::Hex),
            "uuid" => {
                let seed = draft.form.secret(&format!("{source} seed"), 32, Alphabet::Alnum);
                let seed = seed.trim_matches(['{', '}', ' ']).to_owned();
                draft.form.derive(&source, format!("{{{{ {seed} | uuid }}}}"))
            }
            "jwt" => self.jwt(draft, argument, &source),
            "username" => draft.form.ask(&source, AskedKind::Text, &title_of(&source), |one| {
                one.default = Some(serde_json::Value::from("admin"))
            }),
            "email" => draft
                .form
                .ask(&source, AskedKind::Mail, &title_of(&source), |one| one.required = Some(true)),
            "randomPort" => {
                draft.note(format!("{source} is a port that the form asks for"));
                draft.form.ask(&source, AskedKind::Port, &title_of(&source), |one| {
                    one.default = Some(serde_json::Value::from(20_000))
                })
            }
            "timestamp" | "timestampms" | "timestamps" => match seconds(argument) {
                Some(seconds) if name == "timestamps" => seconds.to_string(),
                Some(seconds) => (seconds * 1000).to_string(),
                None => {
                    draft.note(format!("{source} is the time of the installation in the source, and empty here"));
                    String::new()
                }
            },
            _ => draft.form.by_name(name, None, false),
        }
    }

    /// `jwt:SECRET:CLAIMS` with names of variables, or `jwt:LENGTH` for something random.
    fn jwt(&mut self, draft: &mut Draft, argument: &str, source: &str) -> String {
        let (secret, claims) = argument.split_once(':').unwrap_or((argument, ""));
        if claims.is_empty() {
            let length = argument.trim().parse().unwrap_or(64);
            return draft.form.secret(source, length, Alphabet::Alnum);
        }
        let secret = self.one(draft, secret);
        let claims = match self.variables.contains_key(claims) {
            true => self.one(draft, claims),
            false => literal(claims),
        };
        let name = secret
            .strip_prefix("{{ ")
            .and_then(|rest| rest.strip_suffix(" }}"))
            .filter(|name| !name.contains(['{', '|', '\'']));
        let compact = serde_json::from_str::<serde_json::Value>(&claims)
            .ok()
            .filter(serde_json::Value::is_object)
            .map(|claims| claims.to_string());
        match (name, compact) {
            (Some(name), Some(claims)) if !claims.contains(['\'']) && !claims.contains("}}") => {
                let name = name.to_owned();
                draft.form.derive(source, format!("{{{{ {name} | jwt_hs256('{claims}') }}}}"))
            }
            _ => {
                draft.note(format!(
                    "{source} is a signed token with claims that cannot be made here: give it by hand"
                ));
                draft
                    .form
                    .ask(source, AskedKind::Text, &title_of(source), |one| one.required = Some(true))
            }
        }
    }
}

/// Seconds since 1970 of `2030-01-01T00:00:00Z` or of the day alone.
fn seconds(text: &str) -> Option<i64> {
    let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let mut parts = day.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let time = time.trim_end_matches('Z').split('.').next()?;
    let mut parts = time.split(':').map(|part| part.parse::<i64>().ok());
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let rest = parts.next().flatten().unwrap_or(0);
    if !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || !(0..24).contains(&hours)
        || !(0..60).contains(&minutes)
    {
        return None;
    }
    // Days from the civil calendar, with March as the first month.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hours * 3600 + minutes * 60 + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2030-01-01T00:00:00Z", Some(1_893_456_000)),
            ("2024-02-29", Some(1_709_164_800)),
            ("soon", None),
            ("2024-13-01", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}

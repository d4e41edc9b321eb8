//! Coolify's service templates: a Compose file with facts in comments on its top, and variables named `SERVICE_…` that it fills itself.
//! Source: Coolify's documentation, "Docker Compose" and "Service templates".

use super::{
    More,
    draft::{Draft, each},
    form::title_of,
    names, prose, web,
    write::{key, list, node, text},
};
use crate::{
    template::{Alphabet, AskedKind},
    yaml::{self, Map, Node, Value},
};
use regex::Regex;
use std::collections::BTreeMap;
use types::Notice;

/// Facts that only these comments have.
const FACTS: [&str; 8] = [
    "documentation",
    "slogan",
    "category",
    "tags",
    "logo",
    "port",
    "minversion",
    "ignore",
];

pub fn has_marks(text: &str) -> bool {
    let facts = facts(text);
    facts.contains_key("slogan") || facts.contains_key("documentation") || magic().is_match(text)
}

fn magic() -> Regex {
    Regex::new(r"\bSERVICE_(FQDN|URL|PASSWORD|USER|BASE64|REALBASE64|HEX)_[A-Z0-9]").expect("a literal pattern")
}

/// `# key: value` of the lines before the file begins.
fn facts(text: &str) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let Some(comment) = line.strip_prefix('#') else { break };
        if let Some((name, value)) = comment.split_once(':') {
            let name = name.trim().to_ascii_lowercase();
            if FACTS.contains(&name.as_str()) {
                facts.insert(name, value.trim().trim_matches(['"', '\'']).to_owned());
            }
        }
    }
    facts
}

pub fn read(whole: &str, more: &More) -> Result<Draft, Vec<Notice>> {
    let tree = yaml::parse(whole, 0).map_err(|error| vec![error])?;
    let at = tree.at;
    let Value::Map(mut compose) = tree.value else {
        return Err(vec![super::notice(at.line, "the file is not a mapping")]);
    };
    let facts = facts(whole);
    let services = compose
        .iter()
        .find(|(key, _)| key.text == "services")
        .and_then(|(_, node)| node.map());
    let Some(services) = services else {
        return Err(vec![super::notice(at.line, "it has no `services`")]);
    };
    let port = facts.get("port").and_then(|port| port.trim().parse::<u16>().ok());
    let marks = marks(services);
    let names: Vec<String> = services.iter().map(|(key, _)| key.text.clone()).collect();
    let first = names.first().cloned().unwrap_or_default();
    let name = more
        .get("name")
        .cloned()
        .unwrap_or_else(|| marks.first().map_or(first, |mark| mark.service.clone()));
    let mut draft = Draft::new(&name);
    draft.reasons_are_defaults = true;
    draft.description = facts.get("slogan").cloned().unwrap_or_default();
    let words = |name: &str| {
        facts
            .get(name)
            .map(|list| list.split(',').map(|word| word.trim().to_owned()).collect())
            .unwrap_or_default()
    };
    draft.categories = words("category");
    draft.tags = words("tags");
    draft.links.documentation = facts.get("documentation").and_then(|link| prose::https(link));
    domains(&mut draft, &marks, port);
    unmark(&mut compose);
    inside(&mut compose);
    let main = draft.main.as_ref().map(|(service, _)| upper(service)).unwrap_or_default();
    names::compose(&mut draft, &mut compose, &mut |draft, name| given(draft, name, &main, &names));
    draft.compose = compose;
    Ok(draft)
}

/// A service that says which domain it wants.
struct Mark {
    service: String,
    /// As the variable calls it: the service's name in capitals, or one of its own.
    name: String,
    port: Option<u16>,
}

/// `SERVICE_URL_WEB_3000` and its like in the environments, in order.
fn marks(services: &Map) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for (key, one) in services {
        let Some(environment) = one.get("environment") else { continue };
        let lines: Vec<String> = match &environment.value {
            Value::List(list) => list.iter().filter_map(|node| node.text().map(str::to_owned)).collect(),
            Value::Map(map) => map.iter().map(|(key, _)| key.text.clone()).collect(),
            _ => Vec::new(),
        };
        for line in lines {
            let (own, value) = line.split_once('=').unwrap_or((&line, ""));
            let Some((name, port)) = domain_of(own) else { continue };
            if !value.is_empty() && !value.starts_with('/') {
                continue;
            }
            if !marks.iter().any(|mark| mark.name == name && mark.port == port) {
                marks.push(Mark {
                    service: key.text.clone(),
                    name,
                    port,
                });
            }
        }
    }
    marks
}

/// `SERVICE_FQDN_WEB_3000` is `WEB` and 3000.
fn domain_of(variable: &str) -> Option<(String, Option<u16>)> {
    let rest = variable
        .strip_prefix("SERVICE_FQDN_")
        .or_else(|| variable.strip_prefix("SERVICE_URL_"))?;
    if let Some((name, port)) = rest.rsplit_once('_')
        && let Ok(port) = port.parse::<u16>()
        && !name.is_empty()
    {
        return Some((name.to_owned(), Some(port)));
    }
    (!rest.is_empty()).then(|| (rest.to_owned(), None))
}

/// The first service that wants a domain gets the app's; the others one each.
fn domains(draft: &mut Draft, marks: &[Mark], port: Option<u16>) {
    let Some(first) = marks.first() else { return };
    let own = |mark: &Mark| marks.iter().filter(|one| one.service == mark.service).find_map(|one| one.port);
    draft.main = Some((first.service.clone(), first.port.or_else(|| own(first)).or(port).unwrap_or(0)));
    for mark in &marks[1..] {
        let one = (mark.service.clone(), mark.port.unwrap_or(0));
        if mark.service == first.service && (mark.port.is_none() || mark.port == draft.main.as_ref().map(|(_, port)| *port)) {
            continue;
        }
        if one.1 > 0 && !draft.also.contains(&one) {
            draft.note(format!(
                "port {} of `{}` has a domain of its own in the source: give it one if it is needed",
                one.1, one.0
            ));
            draft.also.push(one);
        }
    }
}

/// Takes the marks themselves out: they tell Coolify something, not the app.
fn unmark(compose: &mut Map) {
    for (_, services) in compose.iter_mut().filter(|(key, _)| key.text == "services") {
        let Value::Map(services) = &mut services.value else { continue };
        for (_, one) in services {
            let Value::Map(keys) = &mut one.value else { continue };
            keys.retain(|(key, _)| key.text != "exclude_from_hc");
            for (_, environment) in keys.iter_mut().filter(|(key, _)| key.text == "environment") {
                match &mut environment.value {
                    Value::List(list) => list.retain(|node| {
                        let line = node.text().unwrap_or_default();
                        let (name, value) = line.split_once('=').unwrap_or((line, ""));
                        domain_of(name).is_none() || !(value.is_empty() || value.starts_with('/'))
                    }),
                    Value::Map(map) => map.retain(|(key, node)| {
                        let value = node.text().unwrap_or_default();
                        domain_of(&key.text).is_none() || !(value.is_empty() || value.starts_with('/'))
                    }),
                    _ => {}
                }
            }
        }
    }
}

/// Coolify gives its names to the containers too, so what a command asks its own environment for is put there.
fn inside(compose: &mut Map) {
    let asked = Regex::new(r"\$\$\{?(SERVICE_[A-Z0-9_]+)").expect("a literal pattern");
    for (_, services) in compose.iter_mut().filter(|(key, _)| key.text == "services") {
        let Value::Map(services) = &mut services.value else { continue };
        for (_, one) in services {
            let mut names = Vec::new();
            each(one, &mut |text| {
                names.extend(asked.captures_iter(text).map(|found| found[1].to_owned()))
            });
            names.sort();
            names.dedup();
            let Value::Map(keys) = &mut one.value else { continue };
            if !names.is_empty() && !keys.iter().any(|(key, _)| key.text == "environment") {
                keys.push((key("environment"), list([])));
            }
            for (_, environment) in keys.iter_mut().filter(|(key, _)| key.text == "environment") {
                match &mut environment.value {
                    Value::List(lines) => {
                        let missing = |name: &&String| {
                            !lines
                                .iter()
                                .any(|line| line.text().is_some_and(|line| line.split('=').next() == Some(name)))
                        };
                        let more: Vec<Node> = names.iter().filter(missing).map(text).collect();
                        lines.extend(more);
                    }
                    Value::Map(map) => {
                        for name in &names {
                            if !map.iter().any(|(key, _)| key.text == *name) {
                                map.push((key(name), node(Value::Null)));
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

fn upper(service: &str) -> String {
    service
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

/// What Coolify puts in for one of its names.
fn given(draft: &mut Draft, name: &str, main: &str, services: &[String]) -> Option<String> {
    if let Some((own, _)) = domain_of(name) {
        let bare = |text: &str| text.replace('_', "");
        let is_main = main.is_empty() || bare(&own) == bare(main) || !services.iter().any(|service| bare(&upper(service)) == bare(&own));
        let is_url = name.starts_with("SERVICE_URL_");
        return Some(match (is_main, is_url) {
            (true, true) => "{{ url }}".to_owned(),
            (true, false) => "{{ domain }}".to_owned(),
            (false, is_url) => {
                let service = services
                    .iter()
                    .find(|service| bare(&upper(service)) == bare(&own))
                    .cloned()
                    .unwrap_or(own);
                let domain = web::further_domain(draft, &service);
                if is_url { format!("https://{domain}") } else { domain }
            }
        });
    }
    let rest = name.strip_prefix("SERVICE_")?;
    let (kind, own) = rest.split_once('_')?;
    let (length, own) = match own.split_once('_') {
        Some((number, own)) if number.len() < 4 => number.parse::<usize>().map_or((None, rest_of(rest)), |number| (Some(number), own)),
        _ => (None, own),
    };
    let source = format!("{} {}", kind.to_ascii_lowercase(), own.to_ascii_lowercase());
    Some(match kind {
        "PASSWORD" | "PASSWORDWITHSYMBOLS" => draft.form.secret(&format!("{own} password"), length.unwrap_or(32), Alphabet::Alnum),
        // Not base64, only letters and digits.
        "BASE64" => draft.form.secret(&source, length.unwrap_or(32), Alphabet::Alnum),
        "REALBASE64" => draft.form.random_base64(&source, length.unwrap_or(32)),
        "HEX" => draft.form.secret(&source, length.unwrap_or(32), Alphabet::Hex),
        "USER" | "LOWERCASEUSER" => {
            let usual = if own.contains("ADMIN") { "admin" } else { "app" };
            draft
                .form
                .ask(&format!("{own} user"), AskedKind::Text, &title_of(&format!("User {own}")), |one| {
                    one.default = Some(serde_json::Value::from(usual));
                })
        }
        "NAME" => services.iter().find(|service| upper(service) == own)?.clone(),
        "SUPABASEANON" | "SUPABASESERVICE" => {
            let role = if kind == "SUPABASEANON" { "anon" } else { "service_role" };
            let secret = draft.form.secret("JWT password", 32, Alphabet::Alnum);
            let secret = secret.trim_matches(['{', '}', ' ']);
            let claims = format!(r#"{{"iss":"supabase","role":"{role}","iat":1700000000,"exp":4850000000}}"#);
            draft.form.derive(&source, format!("{{{{ {secret} | jwt_hs256('{claims}') }}}}"))
        }
        _ => return None,
    })
}

/// What comes after the kind.
fn rest_of(rest: &str) -> &str {
    rest.split_once('_').map_or("", |(_, own)| own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(domain_of("SERVICE_URL_WEB_3000"), Some(("WEB".into(), Some(3000))));
        assert_eq!(domain_of("SERVICE_FQDN_MY_APP"), Some(("MY_APP".into(), None)));
        assert_eq!(domain_of("SERVICE_PASSWORD_X"), None);
        assert_eq!(facts("# slogan: Notes.\n# port: 80\n\nservices:\n# tags: x").len(), 2);
    }

    #[test]
    fn lengths() {
        let mut draft = Draft::new("x");
        for name in [
            "SERVICE_PASSWORD_64_KEY",
            "SERVICE_PASSWORD_DB_MAIN",
            "SERVICE_HEX_128_A",
            "SERVICE_USER_ADMIN",
        ] {
            given(&mut draft, name, "X", &[]).expect("known");
        }
        let shown: Vec<_> = draft.form.asked[1..].iter().map(|one| (one.name.as_str(), one.length)).collect();
        assert_eq!(
            shown,
            [
                ("key_password", Some(64)),
                ("db_main_password", Some(32)),
                ("hex_a", Some(128)),
                ("admin_user", None)
            ]
        );
    }
}

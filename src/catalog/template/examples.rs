//! Reading a template and its Compose file before anybody has given values: with examples in their place.

use super::{
    Asked, AskedKind, Finding, Template,
    check::{COMPOSE, TEMPLATE, names_in},
    is_name, read,
    values::{MEMORY, names_of, of_memory, unknown},
    versions::pick,
};
use crate::{
    compose::{self, Ask, Composed, NoFiles},
    resize,
};
use std::collections::BTreeMap;
use types::Notice;

/// Values as somebody may give them.
pub(super) fn examples(template: &Template, secret: impl Fn(&Asked) -> String) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut port = 20_000;
    for asked in &template.variables {
        let example = match asked.kind {
            AskedKind::Domain => "app.example.com".to_owned(),
            AskedKind::Mail => "ada@example.com".to_owned(),
            AskedKind::Port => {
                port += 1;
                port.to_string()
            }
            AskedKind::Boolean => "true".to_owned(),
            AskedKind::Enum => asked.options.first().cloned().unwrap_or_default(),
            AskedKind::Text => "example".to_owned(),
            AskedKind::Secret | AskedKind::Password if asked.is_generated() => secret(asked),
            AskedKind::Secret | AskedKind::Password => "example1".to_owned(),
        };
        values.insert(asked.name.clone(), asked.default_text().unwrap_or(example));
    }
    values
}

/// The Compose file of a template, of one of its versions where it has some ([`pick`]), with examples for its values. Nothing is hashed,
/// so it is quick.
pub fn composed(template: &Template, text: &str) -> Result<Composed, Vec<Notice>> {
    let mut known = examples(template, |_| "example1".to_owned());
    let domain = known.get("domain").cloned().unwrap_or_else(|| "app.example.com".to_owned());
    known.insert("url".to_owned(), format!("https://{domain}"));
    known.entry("app".to_owned()).or_insert_with(|| template.name.clone());
    known.extend(template.derived.iter().map(|derived| (derived.name.clone(), "example".to_owned())));
    let main = &template.main.service;
    if let Some(mb) = resize::memory_mb(text, main) {
        known.entry(MEMORY.to_owned()).or_insert_with(|| mb.to_string());
    }
    let evaluate = |expression: &str| {
        if let Some(value) = known.get(expression) {
            return Ok(value.clone());
        }
        // A text in quotes is itself.
        let quoted = |quote: char| {
            expression
                .strip_prefix(quote)?
                .strip_suffix(quote)
                .filter(|text| !text.contains(quote))
        };
        if let Some(text) = quoted('\'').or_else(|| quoted('"')) {
            return Ok(text.to_owned());
        }
        let (names, whole) = names_of(expression);
        let of_it = |why: String| format!("{{{{ {expression} }}}}: {why}");
        if let Some(name) = names.iter().find(|name| !known.contains_key(*name)) {
            return Err(of_it(unknown(name, main)));
        }
        match known.get(MEMORY) {
            Some(mb) if !names.is_empty() && names.iter().all(|name| name == MEMORY) => of_memory(expression, mb),
            _ => whole.map(|()| "example".to_owned()),
        }
        .map_err(of_it)
    };
    compose::read(&Ask {
        text,
        files: &NoFiles,
        variable: &|_| None,
        template: Some(&evaluate),
        profiles: &[],
    })
}

/// A template that can be installed, or why it cannot. `folder` is the name it lies under. Rules of [`super::check`] that are only good
/// manners, such as pinned images, are not asked for.
pub fn whole(folder: &str, text: &str, compose: &str) -> Result<Template, Vec<Finding>> {
    let say = |file, line, what: String| Finding { file, line, what };
    let template = read(text).map_err(|notice| vec![say(TEMPLATE, notice.line, notice.what)])?;
    let mut findings = Vec::new();
    if template.schema != 1 {
        findings.push(say(TEMPLATE, 0, "schema must be 1".to_owned()));
    }
    if !is_name(folder) {
        findings.push(say(TEMPLATE, 0, "its folder's name must be 2 to 40 of a-z, 0-9 and -".to_owned()));
    } else if template.name != folder {
        findings.push(say(TEMPLATE, 0, format!("name must be that of its folder, `{folder}`")));
    }
    let mut known: Vec<&str> = vec!["url", "app"];
    known.extend(template.variables.iter().map(|asked| asked.name.as_str()));
    for derived in &template.derived {
        for used in names_in(&derived.value) {
            if !known.contains(&used.as_str()) {
                let what = format!("derived `{}` uses `{used}`, which is not there before it", derived.name);
                findings.push(say(TEMPLATE, 0, what));
            }
        }
        known.push(&derived.name);
    }
    let mut texts: Vec<String> = template.versions.iter().map(|version| pick(compose, Some(version))).collect();
    if texts.is_empty() {
        texts.push(compose.to_owned());
    }
    for text in texts {
        match composed(&template, &text) {
            Ok(composed) if composed.stack.service(&template.main.service).is_none() => {
                let what = format!("main.service `{}` is not in compose.yaml", template.main.service);
                findings.push(say(TEMPLATE, 0, what));
            }
            Ok(_) => {}
            Err(problems) => findings.extend(problems.into_iter().map(|notice| say(COMPOSE, notice.line, notice.what))),
        }
    }
    findings.dedup();
    if findings.is_empty() { Ok(template) } else { Err(findings) }
}

//! `template.yaml` as a text, in the order in which people read it.

use super::write::{key, list, map, plain, text, yaml};
use crate::{
    template::{Alphabet, Also, Asked, AskedKind, Backup, Template},
    yaml::{Map, Node},
};

pub fn write(template: &Template) -> String {
    let mut file = Map::new();
    let mut put = |name: &str, node: Node| file.push((key(name), node));
    put("schema", plain(template.schema));
    for (name, value) in [
        ("name", &template.name),
        ("title", &template.title),
        ("version", &template.version),
        ("description", &template.description),
        ("details", &template.details),
    ] {
        put(name, text(value));
    }
    put(
        "icon",
        map([("text", text(&template.icon.text)), ("color", text(&template.icon.color))]),
    );
    put("categories", list(template.categories.iter().map(text)));
    put("tags", list(template.tags.iter().map(text)));
    let links = [
        ("website", &template.links.website),
        ("documentation", &template.links.documentation),
        ("source", &template.links.source),
    ];
    put(
        "links",
        map(links.into_iter().filter_map(|(name, link)| Some((name, text(link.as_ref()?))))),
    );
    put("licence", text(&template.licence));
    put(
        "needs",
        map([
            ("memory_mb", plain(template.needs.memory_mb)),
            ("disk_mb", plain(template.needs.disk_mb)),
        ]),
    );
    if !template.rights.is_empty() {
        put("rights", list(template.rights.iter().map(text)));
    }
    let health = map([("kind", text("tcp")), ("start_seconds", plain(300))]);
    put(
        "main",
        map([
            ("service", text(&template.main.service)),
            ("port", plain(template.main.port)),
            ("health", health),
        ]),
    );
    if !template.also.is_empty() {
        let one = |also: &Also| {
            map([
                ("service", text(&also.service)),
                ("port", plain(also.port)),
                ("title", text(&also.title)),
            ])
        };
        put("also", list(template.also.iter().map(one)));
    }
    put("variables", list(template.variables.iter().map(variable)));
    if !template.derived.is_empty() {
        put(
            "derived",
            list(
                template
                    .derived
                    .iter()
                    .map(|one| map([("name", text(&one.name)), ("value", text(&one.value))])),
            ),
        );
    }
    if let Some(login) = &template.first_login {
        put("first_login", text(login));
    }
    if !template.backup.is_empty() {
        put("backup", list(template.backup.iter().map(backup)));
    }
    if let Some(differs) = &template.differs {
        put("differs", text(differs));
    }
    yaml(&file)
}

fn backup(backup: &Backup) -> Node {
    let parts = [
        ("volume", &backup.volume),
        ("title", &backup.title),
        ("service", &backup.service),
        ("kind", &backup.kind),
        ("database", &backup.database),
        ("user", &backup.user),
    ];
    map(parts.into_iter().filter_map(|(name, part)| Some((name, text(part.as_ref()?)))))
}

fn variable(asked: &Asked) -> Node {
    let kind = match asked.kind {
        AskedKind::Domain => "domain",
        AskedKind::Secret => "secret",
        AskedKind::Password => "password",
        AskedKind::Mail => "mail",
        AskedKind::Enum => "enum",
        AskedKind::Boolean => "boolean",
        AskedKind::Port => "port",
        AskedKind::Text => "text",
    };
    let alphabet = asked.alphabet.map(|alphabet| match alphabet {
        Alphabet::Alnum => "alnum",
        Alphabet::Hex => "hex",
        Alphabet::Base64 => "base64",
        Alphabet::Digits => "digits",
        Alphabet::Words => "words",
    });
    let default = asked.default.as_ref().map(|default| match default {
        serde_json::Value::String(value) => text(value),
        other => plain(other),
    });
    let parts = [
        ("name", Some(text(&asked.name))),
        ("type", Some(text(kind))),
        ("title", asked.title.as_ref().map(text)),
        ("description", asked.description.as_ref().map(text)),
        ("required", asked.required.map(plain)),
        ("default", default),
        ("length", asked.length.map(plain)),
        ("alphabet", alphabet.map(text)),
        ("options", (!asked.options.is_empty()).then(|| list(asked.options.iter().map(text)))),
        ("pattern", asked.pattern.as_ref().map(text)),
    ];
    map(parts.into_iter().filter_map(|(name, node)| Some((name, node?))))
}

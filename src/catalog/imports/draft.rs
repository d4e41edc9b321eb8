//! What every import comes to: a Compose file in our language with a form beside it, and from there the two texts.

use super::{
    Format, Imported,
    form::{Form, mentions},
    networks, prose, tidy, volumes, web,
    write::{list, map, plain, text, yaml},
};
use crate::{
    compose::Composed,
    expand::{Scope, expand},
    template::{self, Also, Asked, AskedKind, Backup, Health, HealthKind, Icon, Links, Main, Needs, Template},
    yaml::{Map, Node, Value},
};
use std::{cell::RefCell, collections::BTreeMap};
use types::StackService;

/// A template on its way. Texts in `compose` are in our language: `$` as in Compose, `{{ … }}` of the form.
pub struct Draft {
    pub name: String,
    pub title: String,
    pub description: String,
    pub details: String,
    /// Words of the source; those that we know are taken.
    pub categories: Vec<String>,
    pub tags: Vec<String>,
    pub links: Links,
    pub form: Form,
    pub compose: Map,
    /// The service and port that the domain leads to, where the source says so. Port 0: the service's own.
    pub main: Option<(String, u16)>,
    pub also: Vec<(String, u16)>,
    pub first_login: Option<String>,
    /// Files beside the Compose file by their clean path, with contents in our language.
    pub files: BTreeMap<String, String>,
    /// What `.env` holds.
    pub env: Vec<(String, String)>,
    /// In `${NAME:?text}` the text is a default, not a reason.
    pub reasons_are_defaults: bool,
    pub notes: Vec<String>,
    pub problems: Vec<String>,
}

impl Draft {
    pub fn new(name: &str) -> Draft {
        let name = prose::slug(name);
        Draft {
            title: prose::title(&name),
            name,
            description: String::new(),
            details: String::new(),
            categories: Vec::new(),
            tags: Vec::new(),
            links: Links::default(),
            form: Form::new(),
            compose: Map::new(),
            main: None,
            also: Vec::new(),
            first_login: None,
            files: BTreeMap::new(),
            env: Vec::new(),
            reasons_are_defaults: false,
            notes: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub fn note(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.notes.contains(&what) {
            self.notes.push(what);
        }
    }

    pub fn problem(&mut self, what: impl Into<String>) {
        self.problems.push(what.into());
    }

    /// The two texts, once our reader has taken them.
    pub fn finish(mut self, format: Format) -> Imported {
        for (_, node) in &mut self.compose {
            each(node, &mut |text| *text = with_url(text));
        }
        for text in self.files.values_mut().chain(self.env.iter_mut().map(|(_, text)| text)) {
            *text = with_url(text);
        }
        tidy::file(&mut self);
        networks::all(&mut self);
        web::ports(&mut self);
        volumes::all(&mut self);
        tidy::rest(&mut self);
        let compose = yaml(&self.compose);
        let mut template = self.template(format, &compose);
        let mut imported = Imported {
            name: template.name.clone(),
            title: template.title.clone(),
            ..Imported::default()
        };
        let first = template::composed(&template, &compose);
        if self.problems.is_empty() {
            match first {
                Ok(composed) => self.complete(&mut template, &composed),
                Err(problems) => self.problems.extend(problems.into_iter().map(|one| one.what)),
            }
        }
        let written = write(&template);
        if self.problems.is_empty() {
            match template::whole(&template.name, &written, &compose) {
                Ok(_) => {
                    let broken = template::findings(&template.name, &written, &compose);
                    self.notes
                        .extend(broken.into_iter().map(|one| format!("against a rule of catalogs: {}", one.what)));
                    imported.template = written;
                    imported.compose = compose;
                }
                Err(findings) => self.problems.extend(findings.into_iter().map(|one| one.to_string())),
            }
        }
        self.problems.dedup();
        imported.notes = self.notes;
        imported.problems = self.problems;
        imported
    }

    fn template(&mut self, format: Format, compose: &str) -> Template {
        let first_login = self
            .first_login
            .take()
            .map_or_else(|| self.usual_login(), |text| with_url(text.trim()) + "\n");
        self.form.keep(&|name| mentions(compose, name) || mentions(&first_login, name));
        let title = prose::short_title(&self.title, &self.name);
        let (service, port) = self.main.clone().unwrap_or_default();
        let image = tidy::service(&self.compose, &service)
            .and_then(|node| node.get("image")?.text())
            .unwrap_or_default();
        let services = self
            .compose
            .iter()
            .find(|(key, _)| key.text == "services")
            .and_then(|(_, node)| node.map());
        let count = services.map_or(1, |services| services.len().max(1)) as u32;
        let details = prose::unbraced(self.details.trim());
        let (icon, color) = prose::icon(&title);
        Template {
            schema: 1,
            name: self.name.clone(),
            description: prose::sentence(&self.description, &title),
            details: match details.len() {
                40.. => details,
                _ => format!("{title}, as the template for {} sets it up. {details}", format.title())
                    .trim_end()
                    .to_owned(),
            },
            version: prose::version(&flat(image)),
            icon: Icon { text: icon, color },
            categories: self.known_categories(),
            tags: self.short_tags(),
            links: self.links.clone(),
            licence: "unknown".to_owned(),
            needs: Needs {
                memory_mb: 256 * count,
                disk_mb: 1024,
            },
            main: Main {
                web: true,
                service: service.clone(),
                port,
                health: Some(Health {
                    kind: HealthKind::Tcp,
                    path: None,
                    start_seconds: Some(300),
                }),
            },
            versions: Vec::new(),
            also: self.also.iter().filter(|one| **one != (service.clone(), port)).map(also).collect(),
            variables: self.form.asked.clone(),
            derived: self.form.derived.clone(),
            first_login: Some(first_login),
            known_account: None,
            backup: Vec::new(),
            post_install: Vec::new(),
            upgrade_notes: None,
            differs: None,
            rights: Vec::new(),
            title,
        }
    }

    /// Those of ours that it is in.
    fn known_categories(&self) -> Vec<String> {
        let known = self.categories.iter().filter_map(|word| prose::category(word));
        let mut categories: Vec<String> = known.map(str::to_owned).collect();
        categories.sort();
        categories.dedup();
        if categories.is_empty() {
            categories.push("development".to_owned());
        }
        categories
    }

    fn short_tags(&self) -> Vec<String> {
        let lines = self.tags.iter().map(|tag| prose::line(tag).to_ascii_lowercase());
        let mut tags: Vec<String> = lines.filter(|tag| !tag.is_empty()).collect();
        tags.dedup();
        tags.truncate(12);
        tags
    }

    /// Where to go, and with what that was generated.
    fn usual_login(&self) -> String {
        let mut login = "Open {{ url }}.".to_owned();
        let compose = yaml(&self.compose);
        for one in self
            .form
            .asked
            .iter()
            .filter(|one| one.kind == AskedKind::Password && mentions(&compose, &one.name))
        {
            login.push_str(&format!(
                "\n\n- {}: {{{{ {} }}}}",
                one.title.as_deref().unwrap_or(&one.name),
                one.name
            ));
        }
        login
    }

    /// What is only known when the file is read: rights, and what is worth keeping.
    fn complete(&mut self, template: &mut Template, composed: &Composed) {
        for right in &composed.rights {
            if !template.rights.iter().any(|own| own == right.right) {
                template.rights.push(right.right.to_owned());
            }
            self.note(format!("`{}` {}", right.service, right.what));
        }
        let mut dumped = Vec::new();
        for service in &composed.stack.services {
            let Some(backup) = self.dump(service) else { continue };
            dumped.extend(service.mounts.iter().map(|mount| mount.from.clone()));
            template.backup.push(backup);
        }
        for volume in &composed.stack.volumes {
            let from = types::MountFrom::Volume { name: volume.name.clone() };
            if !dumped.contains(&from) {
                template.backup.push(Backup {
                    volume: Some(volume.name.clone()),
                    title: Some(prose::title(&prose::slug(&volume.name))),
                    service: None,
                    kind: None,
                    database: None,
                    user: None,
                });
            }
        }
        let mut differs = "It was imported from the format of another panel.\n".to_owned();
        for note in &self.notes {
            differs.push_str(&format!("- {}\n", prose::unbraced(note)));
        }
        template.differs = Some(differs);
    }

    /// A database that can be dumped, seen from its image and its environment.
    fn dump(&self, service: &StackService) -> Option<Backup> {
        let image = service.image.as_deref()?.split('@').next()?;
        let base = image.rsplit('/').next()?.split(':').next()?;
        let (kind, database, user, usual) = match base {
            "postgres" | "postgis" | "pgvector" | "timescaledb" => {
                ("postgres", ["POSTGRES_DB", "POSTGRES_USER"], "POSTGRES_USER", "postgres")
            }
            "mysql" => ("mysql", ["MYSQL_DATABASE", ""], "MYSQL_USER", "root"),
            "mariadb" => ("mariadb", ["MARIADB_DATABASE", "MYSQL_DATABASE"], "MYSQL_USER", "root"),
            "mongo" => ("mongodb", ["MONGO_INITDB_DATABASE", ""], "MONGO_INITDB_ROOT_USERNAME", "root"),
            _ => return None,
        };
        let written = tidy::service(&self.compose, &service.name)?.get("environment");
        let value = |name: &str| written?.get(name)?.text().map(flat).filter(|value| !value.is_empty());
        let database = database.into_iter().find_map(value);
        // Only PostgreSQL makes a database where none is named.
        let database = database.or_else(|| (kind == "postgres").then(|| value(user).unwrap_or_else(|| usual.to_owned())))?;
        Some(Backup {
            volume: None,
            title: None,
            service: Some(service.name.clone()),
            kind: Some(kind.to_owned()),
            database: Some(database),
            user: value(user).or_else(|| Some(usual.to_owned())),
        })
    }
}

fn also((service, port): &(String, u16)) -> Also {
    Also {
        service: service.clone(),
        port: *port,
        title: format!("{} (port {port})", prose::short_title(&prose::title(service), service)),
    }
}

/// The edge speaks HTTPS, so a domain with a scheme is the app's address. With a port of its own it is something else.
fn with_url(text: &str) -> String {
    const DOMAIN: &str = "{{ domain }}";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(DOMAIN) {
        let (front, after) = (&rest[..at], &rest[at + DOMAIN.len()..]);
        let bare = front
            .strip_suffix("https://")
            .or_else(|| front.strip_suffix("http://"))
            .filter(|_| !after.starts_with(':'));
        match bare {
            Some(bare) => out.push_str(&format!("{bare}{{{{ url }}}}")),
            None => out.push_str(&rest[..at + DOMAIN.len()]),
        }
        rest = after;
    }
    out + rest
}

/// A text of ours with Compose's variables as they are when nobody sets them; `{{ … }}` stays.
pub fn flat(text: &str) -> String {
    let unset = RefCell::default();
    let scope = Scope {
        variable: &|_| None,
        template: None,
        unset: &unset,
    };
    expand(text, &scope).unwrap_or_else(|_| text.to_owned())
}

/// Changes every text of a tree, keys left alone.
pub fn each(node: &mut Node, change: &mut dyn FnMut(&mut String)) {
    match &mut node.value {
        Value::Null => {}
        Value::Text { text, .. } => change(text),
        Value::List(list) => list.iter_mut().for_each(|node| each(node, change)),
        Value::Map(map) => map.iter_mut().for_each(|(_, node)| each(node, change)),
    }
}

/// `template.yaml`, in the order in which people read it.
fn write(template: &Template) -> String {
    let mut file = Map::new();
    let mut put = |name: &str, node: Node| file.push((super::write::key(name), node));
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
    use template::Alphabet;
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

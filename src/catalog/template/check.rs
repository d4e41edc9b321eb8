//! The rules that every template of a catalog keeps: `serverkit catalog check`.

mod compose;
mod facts;
mod stack;
mod variables;
mod versions;

pub(super) use variables::names_in;

use super::{Asked, Template, Version, generated};
use types::World;

/// What breaks a rule, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// `template.yaml` or `compose.yaml`.
    pub file: &'static str,
    /// From 1; 0: the file as a whole.
    pub line: u32,
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what),
            line => write!(f, "{}:{line}: {}", self.file, self.what),
        }
    }
}

pub(super) const TEMPLATE: &str = "template.yaml";
pub(super) const COMPOSE: &str = "compose.yaml";
/// Everything that is wrong with a template; `folder` is the name it lies under.
pub fn check(folder: &str, template: &str, compose: &str, world: &World) -> Vec<Finding> {
    checked(folder, template, compose, &|asked| generated(asked, world).unwrap_or_default())
}

/// The same with secrets that everybody knows, where the world's chance is not at hand.
pub(crate) fn findings(folder: &str, template: &str, compose: &str) -> Vec<Finding> {
    checked(folder, template, compose, &|_| "example1".to_owned())
}

fn checked(folder: &str, template: &str, compose: &str, secret: &dyn Fn(&Asked) -> String) -> Vec<Finding> {
    let template_node = match super::read(template) {
        Ok(template) => template,
        Err(notice) => {
            return vec![Finding {
                file: TEMPLATE,
                line: notice.line,
                what: notice.what,
            }];
        }
    };
    let of = |version| Checker {
        template: &template_node,
        version,
        findings: Vec::new(),
    };
    let mut checker = of(template_node.versions.first());
    checker.facts(folder);
    checker.variables();
    checker.versions(compose);
    checker.compose(compose, secret);
    for version in template_node.versions.iter().skip(1) {
        let mut other = of(Some(version));
        other.compose(compose, secret);
        // What is wrong with all of them is told once.
        other.findings.retain(|finding| !checker.findings.contains(finding));
        for finding in &mut other.findings {
            finding.what = format!("version {}: {}", version.name, finding.what);
        }
        checker.findings.append(&mut other.findings);
    }
    checker.findings.sort();
    checker.findings.dedup();
    checker.findings
}

struct Checker<'a> {
    template: &'a Template,
    /// Of whose Compose file is spoken.
    version: Option<&'a Version>,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn say(&mut self, what: impl Into<String>) {
        self.findings.push(Finding {
            file: TEMPLATE,
            line: 0,
            what: what.into(),
        });
    }
    fn compose_says(&mut self, line: u32, what: impl Into<String>) {
        self.findings.push(Finding {
            file: COMPOSE,
            line,
            what: what.into(),
        });
    }
    fn unless(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.say(what);
        }
    }

    /// What it says of itself.
    fn facts(&mut self, folder: &str) {
        let template = self.template;
        self.unless(template.schema == 1, "schema must be 1");
        self.unless(is_name(&template.name), "name must be 2 to 40 of a-z, 0-9 and -");
        self.unless(template.name == folder, format!("name must be that of its folder, `{folder}`"));
        self.unless(
            !template.title.trim().is_empty() && template.title.len() <= 40,
            "title must have 1 to 40 letters",
        );
        let version = Regex::new(r"^[0-9A-Za-z][0-9A-Za-z.+_-]*-[0-9]+$").expect("a literal pattern");
        self.unless(
            version.is_match(&template.version),
            "version must be the app's version and a revision, such as 6.6.2-1",
        );
        let description = template.description.trim();
        self.unless(
            !description.is_empty() && description.chars().count() <= 140,
            "description must be one sentence of at most 140 letters",
        );
        self.unless(
            description.ends_with('.') && !description.contains('\n'),
            "description must be one sentence with its full stop",
        );
        self.unless(template.details.trim().len() >= 40, "details must say in some sentences what it is");
        self.unless(
            (1..=2).contains(&template.icon.text.chars().count()),
            "icon.text must be one or two letters",
        );
        let color = template.icon.color.strip_prefix('#').unwrap_or_default();
        self.unless(
            color.len() == 6 && color.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "icon.color must be like #21759b",
        );
        self.unless(!template.categories.is_empty(), "categories must name one at least");
        for category in &template.categories {
            self.unless(
                CATEGORIES.contains(&category.as_str()),
                format!("the category `{category}` is not known"),
            );
        }
        self.unless(!template.licence.trim().is_empty(), "licence must be said");
        for link in [&template.links.website, &template.links.documentation, &template.links.source]
            .into_iter()
            .flatten()
        {
            self.unless(
                link.starts_with("https://") && !link.contains(char::is_whitespace),
                format!("`{link}` must be an https:// address"),
            );
        }
        self.unless(
            template.links.website.is_some() || template.links.source.is_some(),
            "links must have the website or the source",
        );
        self.unless(template.needs.memory_mb >= 16, "needs.memory_mb must say what it needs");
        self.unless(template.needs.disk_mb >= 1, "needs.disk_mb must say what it needs");
        if let Some(health) = &template.main.health {
            let path = health.path.as_deref();
            let fits = match health.kind {
                HealthKind::Http => path.is_some_and(|path| path.starts_with('/')),
                HealthKind::Tcp => path.is_none(),
            };
            self.unless(fits, "main.health needs a path that begins with / for http, and none for tcp");
            self.unless(
                template.main.web || health.kind == HealthKind::Tcp,
                "main.health asks by HTTP, and main.web says that it answers none",
            );
        }
        if let Some(KnownAccount { user, password }) = &template.known_account {
            let told = template.first_login.as_deref().unwrap_or_default();
            self.unless(
                !user.is_empty() && !password.is_empty() && told.contains(password.as_str()),
                "known_account needs a user and a password, and first_login must tell the password",
            );
        }
        if !template.rights.is_empty() {
            let reason = template.differs.as_deref().unwrap_or_default().trim().len() >= 20;
            self.unless(reason, "rights are asked for, so differs must say why");
        }
    }

    fn variables(&mut self) {
        let template = self.template;
        let mut seen = BTreeSet::from(["app".to_owned()]);
        if template.main.web {
            seen.insert("url".to_owned());
            let first = template.variables.first();
            self.unless(
                first.is_some_and(|first| first.name == "domain" && first.kind == AskedKind::Domain),
                "the first variable must be `domain` of type domain",
            );
        } else {
            self.unless(
                template.variables.iter().all(|asked| asked.kind != AskedKind::Domain),
                "main.web is false, so nothing leads to it and it asks for no domain",
            );
        }
        for (index, asked) in template.variables.iter().enumerate() {
            let name = &asked.name;
            let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
                && name.len() <= 40;
            self.unless(
                fits,
                format!("the variable `{name}` must be of a-z, 0-9 and _, with a letter first"),
            );
            self.unless(seen.insert(name.clone()), format!("the variable `{name}` is there twice"));
            self.unless(
                name != MEMORY,
                format!("no variable may be called `{name}`: it is the size of the main service"),
            );
            self.unless(
                asked.kind != AskedKind::Domain || index == 0,
                format!("`{name}`: only the first variable may be the domain"),
            );
            self.one_variable(asked);
        }
        for derived in &template.derived {
            let known = seen.clone();
            for used in names_in(&derived.value) {
                self.unless(
                    known.contains(&used),
                    format!("derived `{}` uses `{used}`, which is not there before it", derived.name),
                );
            }
            self.unless(
                seen.insert(derived.name.clone()),
                format!("the name `{}` is there twice", derived.name),
            );
        }
        let texts = [&template.first_login, &template.upgrade_notes, &template.differs];
        for text in texts.into_iter().flatten().chain([&template.details]) {
            for used in names_in(text) {
                self.unless(
                    seen.contains(&used),
                    format!("a text uses `{{{{ {used} }}}}`, which is no variable"),
                );
            }
        }
        for step in &template.post_install {
            self.unless(!step.command.is_empty(), "a step of post_install has no command");
            for used in step.command.iter().flat_map(|word| names_in(word)) {
                self.unless(
                    seen.contains(&used),
                    format!("post_install uses `{{{{ {used} }}}}`, which is no variable"),
                );
            }
        }
    }

    fn one_variable(&mut self, asked: &super::Asked) {
        let name = &asked.name;
        let is_secret = asked.is_secret();
        self.unless(
            is_secret || (asked.length.is_none() && asked.alphabet.is_none()),
            format!("`{name}`: length and alphabet are for secrets and passwords"),
        );
        let is_words = asked.alphabet == Some(super::Alphabet::Words);
        let least = if is_words { 3 } else { 8 };
        self.unless(
            asked.length.is_none_or(|length| (least..=256).contains(&length)),
            format!("`{name}`: length must be {least} to 256"),
        );
        self.unless(
            asked.generate.is_none() || is_secret,
            format!("`{name}`: generate is for secrets and passwords"),
        );
        self.unless(
            asked.generate != Some(false) || (asked.length.is_none() && asked.alphabet.is_none()),
            format!("`{name}`: length and alphabet are for what is generated"),
        );
        self.unless(
            !is_secret || asked.default.is_none(),
            format!("`{name}`: a secret has no default, it is generated"),
        );
        self.unless(
            (asked.kind == AskedKind::Enum) != asked.options.is_empty(),
            format!("`{name}`: options are for enum, and needed there"),
        );
        self.unless(
            asked.pattern.is_none() || asked.kind == AskedKind::Text,
            format!("`{name}`: pattern is for text"),
        );
        self.unless(
            !asked.must_accept || asked.kind == AskedKind::Boolean,
            format!("`{name}`: must_accept is for boolean"),
        );
        self.unless(
            !asked.must_accept || (asked.default.is_none() && asked.required != Some(false)),
            format!("`{name}`: what must be accepted is said by a person, so it has no default and is not left out"),
        );
        if let Some(pattern) = &asked.pattern {
            self.unless(
                Regex::new(pattern).is_ok(),
                format!("`{name}`: the pattern is not a regular expression"),
            );
        }
        self.unless(
            asked.required != Some(true) || asked.default.is_none(),
            format!("`{name}`: what has a default is not required"),
        );
        if let Some(default) = asked.default_text()
            && let Err(why) = asked.accepts(&default)
        {
            self.say(format!("`{name}`: its default {why}"));
        }
        if asked.kind != AskedKind::Domain {
            self.unless(
                asked.title.as_ref().is_some_and(|title| !title.trim().is_empty()),
                format!("`{name}` has no title"),
            );
        }
    }

    /// What there is to choose from.
    fn versions(&mut self, compose: &str) {
        let template = self.template;
        let name = Regex::new(r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,30}$").expect("a literal pattern");
        let key = Regex::new(r"^[a-z][a-z0-9_]{0,30}$").expect("a literal pattern");
        let mut seen = BTreeSet::new();
        let keys = |version: &Version| version.set.keys().cloned().collect::<BTreeSet<_>>();
        let first = template.versions.first().map(keys).unwrap_or_default();
        for version in &template.versions {
            let own = &version.name;
            self.unless(
                name.is_match(own),
                format!("versions: `{own}` must be 1 to 31 of letters, digits, ., +, _ and -"),
            );
            self.unless(seen.insert(own), format!("versions: `{own}` is there twice"));
            let notes = version.notes.as_deref().unwrap_or("said");
            self.unless(
                !notes.trim().is_empty() && notes.chars().count() <= 80 && !notes.contains('\n'),
                format!("versions: the notes of `{own}` must be one line of at most 80 letters"),
            );
            self.unless(
                keys(version) == first,
                format!("versions: `{own}` must set the same keys as the first one"),
            );
            for (set, value) in &version.set {
                self.unless(
                    key.is_match(set),
                    format!("versions: the key `{set}` must be of a-z, 0-9 and _, with a letter first"),
                );
                self.unless(
                    !value.is_empty() && !value.contains(['\n', '{', '}', '$', '"', '\'', '#']),
                    format!("versions: `{set}` of `{own}` must be plain text of one line"),
                );
            }
            self.unless(
                !version.takes_over.contains(own),
                format!("versions: `{own}` takes over from others, not from itself"),
            );
        }
        let used: BTreeSet<&str> = places(compose).into_iter().collect();
        for set in &first {
            self.unless(
                used.contains(set.as_str()),
                format!("versions: compose.yaml has no `{{{{ version.{set} }}}}`"),
            );
        }
        for place in used {
            self.unless(
                first.contains(place),
                format!("compose.yaml uses `{{{{ version.{place} }}}}`, which versions do not set"),
            );
        }
    }

    fn compose(&mut self, text: &str, secret: &dyn Fn(&Asked) -> String) {
        let template = self.template;
        let text = &pick(text, self.version);
        let given = examples(template, secret);
        let domain = given.get("domain").cloned().unwrap_or_default();
        let url = if template.main.web {
            format!("https://{domain}")
        } else {
            String::new()
        };
        let values = match Values::new(template, &given, &template.name, &url, "check") {
            Ok(values) => values.in_file(text),
            Err(why) => return self.say(why),
        };
        let outside = |_: &str| None;
        let evaluate = |expression: &str| values.evaluate(expression);
        let read = compose::read(&Ask {
            text,
            files: &NoFiles,
            variable: &outside,
            template: Some(&evaluate),
            profiles: &[],
        });
        let composed = match read {
            Ok(composed) => composed,
            Err(problems) => {
                for Notice { line, what, .. } in problems {
                    self.compose_says(line, what);
                }
                return;
            }
        };
        for hint in &composed.hints {
            self.compose_says(hint.line, hint.what.clone());
        }
        for right in &composed.rights {
            if !template.rights.iter().any(|own| own == right.right) {
                self.compose_says(
                    right.line,
                    format!(
                        "`{}` {}, and `{}` is not among the template's rights",
                        right.service, right.what, right.right
                    ),
                );
            }
        }
        for right in &template.rights {
            let used = composed.rights.iter().any(|one| one.right == right);
            self.unless(used, format!("the right `{right}` is asked for and not used"));
        }
        self.unused(&values);
        if let Ok(node) = yaml::parse(text, 0) {
            self.raw(&node);
            for (line, what) in memory::findings(&node, &template.main.service) {
                self.compose_says(line, what);
            }
        }
        self.stack(&composed.stack);
    }

    fn unused(&mut self, values: &Values) {
        let template = self.template;
        let mut used: BTreeSet<String> = values.used().into_iter().collect();
        self.unless(
            template.main.web || !used.contains("url"),
            "main.web is false, so `{{ url }}` is empty",
        );
        let texts = template
            .first_login
            .iter()
            .cloned()
            .chain(template.post_install.iter().flat_map(|step| step.command.clone()));
        used.extend(texts.flat_map(|text| names_in(&text)));
        let names = template
            .variables
            .iter()
            .map(|asked| &asked.name)
            .chain(template.derived.iter().map(|derived| &derived.name));
        for name in names {
            self.unless(name == "domain" || used.contains(name), format!("`{name}` is never used"));
        }
    }

    /// What is seen only before values are in place: passwords that are written down, ports that nobody chose.
    fn raw(&mut self, node: &Node) {
        let secret = Regex::new(r"(?i)(passw(or)?d|passwd|_pass$|secret|token|api_?key|private_?key|encryption_?key|signing_?key)")
            .expect("a literal pattern");
        let Some(services) = node.get("services").and_then(Node::map) else {
            return;
        };
        for (name, service) in services {
            for (key, value, line) in environment(service) {
                let is_path_or_switch =
                    key.ends_with("_FILE") || value.starts_with('/') || matches!(value, "" | "true" | "false" | "yes" | "no" | "0" | "1");
                let is_number = value.parse::<f64>().is_ok();
                if secret.is_match(key) && !value.contains("{{") && !is_path_or_switch && !is_number {
                    self.compose_says(line, format!("`{}`: {key} has a fixed value; make it a variable", name.text));
                }
            }
            for port in service.get("ports").and_then(Node::list).unwrap_or_default() {
                let published = port
                    .text()
                    .or_else(|| port.get("published").and_then(Node::text))
                    .unwrap_or_default();
                if !published.contains("{{") {
                    self.compose_says(
                        port.at.line,
                        format!(
                            "`{}`: a port of the server must be a variable of type port; HTTP goes through the edge",
                            name.text
                        ),
                    );
                }
            }
            if service.get("container_name").is_some() {
                self.compose_says(
                    name.at.line,
                    format!("`{}`: container_name keeps it from being installed twice", name.text),
                );
            }
        }
    }

    fn stack(&mut self, stack: &Stack) {
        let template = self.template;
        let waited: BTreeSet<&str> = stack
            .services
            .iter()
            .flat_map(|service| &service.depends_on)
            .filter(|one| one.condition == Condition::Completed)
            .map(|one| one.service.as_str())
            .collect();
        for service in &stack.services {
            let name = &service.name;
            match &service.image {
                Some(image) => {
                    if let Some(why) = not_pinned(image) {
                        self.compose_says(0, format!("`{name}`: the image {image} {why}"));
                    }
                }
                None => self.compose_says(0, format!("`{name}` has no image")),
            }
            if service.build.is_some() {
                self.compose_says(0, format!("`{name}` is built; a template uses images"));
            }
            if service.limits.memory_bytes.is_none() {
                self.compose_says(0, format!("`{name}` has no memory limit (deploy.resources.limits.memory)"));
            }
            let once = waited.contains(name.as_str());
            if !once && service.restart != Restart::Always {
                self.compose_says(0, format!("`{name}` must have restart: unless-stopped"));
            }
            for dependency in &service.depends_on {
                let other = stack.service(&dependency.service);
                let has_check = other.is_some_and(|other| matches!(other.health, StackHealth::Check(_)));
                if dependency.condition == Condition::Healthy && !has_check {
                    self.compose_says(
                        0,
                        format!(
                            "`{name}` waits for `{}` to be healthy, and that has no healthcheck",
                            dependency.service
                        ),
                    );
                }
            }
            for mount in &service.mounts {
                if matches!(&mount.from, MountFrom::Volume { .. }) && mount.path == "/" {
                    self.compose_says(0, format!("`{name}` mounts a volume over everything"));
                }
            }
        }
        self.ports(stack);
        let main = stack.service(&template.main.service);
        self.unless(
            main.is_some(),
            format!("main.service `{}` is not in compose.yaml", template.main.service),
        );
        if let (Some(version), Some(image)) = (self.version, main.and_then(|main| main.image.as_ref()))
            && !stands_in(&version.name, image)
        {
            let own = &version.name;
            self.compose_says(0, format!("the tag of {image} does not name the version `{own}`"));
        }
        self.unless(template.main.port > 0, "main.port must be a port");
        for also in &template.also {
            self.unless(
                stack.service(&also.service).is_some(),
                format!("also: `{}` is not in compose.yaml", also.service),
            );
            let twice = also.service == template.main.service && also.port == template.main.port;
            self.unless(!twice, format!("also: {}:{} is main already", also.service, also.port));
            let own = also.variable();
            let taken = template.variables.iter().any(|asked| asked.name == own);
            self.unless(
                !taken,
                format!("also: the variable `{own}` is for the domain of {}:{}", also.service, also.port),
            );
        }
        for step in &template.post_install {
            self.unless(
                stack.service(&step.service).is_some(),
                format!("post_install: `{}` is not in compose.yaml", step.service),
            );
        }
        self.backups(stack);
    }

    fn ports(&mut self, stack: &Stack) {
        let mut taken = BTreeMap::new();
        for service in &stack.services {
            for port in &service.ports {
                let Some(published) = port.published else { continue };
                if let Some(other) = taken.insert((published, port.protocol), &service.name) {
                    self.compose_says(0, format!("`{}` and `{other}` both want port {published}", service.name));
                }
                if port.target == self.template.main.port && service.name == self.template.main.service {
                    self.compose_says(
                        0,
                        format!(
                            "`{}`: its main port is reached through the edge and must not be published",
                            service.name
                        ),
                    );
                }
            }
        }
    }

    fn backups(&mut self, stack: &Stack) {
        for backup in &self.template.backup {
            match (&backup.volume, &backup.service) {
                (Some(volume), None) => {
                    let there = stack.volumes.iter().any(|own| own.name == *volume);
                    self.unless(there, format!("backup: there is no volume `{volume}`"));
                }
                (None, Some(service)) => {
                    self.unless(stack.service(service).is_some(), format!("backup: there is no service `{service}`"));
                    let known = backup.kind.as_deref().is_some_and(|kind| DUMPS.contains(&kind));
                    self.unless(
                        known,
                        format!("backup: the kind of `{service}` must be one of {}", DUMPS.join(", ")),
                    );
                }
                _ => self.say("backup: each entry names a volume or a service"),
            }
        }
        self.unless(
            stack.volumes.is_empty() || !self.template.backup.is_empty(),
            "it keeps volumes, so backup must name what is worth keeping",
        );
    }
}

/// Names of variables in the `{{ … }}` of a text.
pub(super) fn names_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((expression, next)) = after.split_once("}}") else { break };
        names.extend(derived_from(expression.trim()));
        rest = next;
    }
    names.retain(|name| !FUNCTIONS.iter().any(|(function, _)| function == name));
    names
}

fn environment(service: &Node) -> Vec<(&str, &str, u32)> {
    match service.get("environment").map(|node| &node.value) {
        Some(Value::Map(map)) => map
            .iter()
            .filter_map(|(key, node)| Some((key.text.as_str(), node.text()?, key.at.line)))
            .collect(),
        Some(Value::List(list)) => list
            .iter()
            .filter_map(|node| {
                let (key, value) = node.text()?.split_once('=')?;
                Some((key, value, node.at.line))
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Why an image may be another one tomorrow; `None` when it stays.
fn not_pinned(image: &str) -> Option<&'static str> {
    if image.contains("@sha256:") {
        return None;
    }
    let tag = match image.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => return Some("has no tag"),
    };
    if matches!(tag, "latest" | "stable" | "main" | "master" | "edge" | "nightly" | "dev") || tag.starts_with("latest") {
        return Some("has a tag that moves");
    }
    // 1.2, 2024-05-01, 20240501, v123, a commit: more than a bare major.
    let exact = Regex::new(r"[0-9]+[._-][0-9]+|[0-9]{3,}|[0-9a-f]{7,}").expect("a literal pattern");
    (!exact.is_match(tag)).then_some("is pinned to a major version only, which moves")
}

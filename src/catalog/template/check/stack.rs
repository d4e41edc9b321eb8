//! What a template would run: images that stay what they are, memory, order, ports and what is worth keeping.

use super::Checker;
use crate::template::versions::stands_in;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use types::{Condition, MountFrom, Restart, Stack, StackHealth, StackService};

/// The kinds of database that a dump can be made of.
const DUMPS: [&str; 8] = [
    "postgres",
    "mysql",
    "mariadb",
    "mongodb",
    "redis",
    "sqlite",
    "influxdb",
    "clickhouse",
];

impl Checker<'_> {
    pub(super) fn stack(&mut self, stack: &Stack) {
        let template = self.template;
        let waited: BTreeSet<&str> = stack
            .services
            .iter()
            .flat_map(|service| &service.depends_on)
            .filter(|one| one.condition == Condition::Completed)
            .map(|one| one.service.as_str())
            .collect();
        for service in &stack.services {
            self.service(stack, service, waited.contains(service.name.as_str()));
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
        self.also(stack);
        for step in &template.post_install {
            self.unless(
                stack.service(&step.service).is_some(),
                format!("post_install: `{}` is not in compose.yaml", step.service),
            );
        }
        self.backups(stack);
    }

    /// `ends`: others wait for its end.
    fn service(&mut self, stack: &Stack, service: &StackService, ends: bool) {
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
        if !ends && service.restart != Restart::Always {
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
        if let StackHealth::Check(check) = &service.health
            && asks_socket_only(&check.test)
        {
            self.compose_says(
                0,
                format!("`{name}`: pg_isready without -h asks the socket, where PostgreSQL answers before others can connect; give it -h 127.0.0.1"),
            );
        }
        for other in asked_once(service, stack) {
            self.compose_says(
                0,
                format!("`{name}`: nginx asks for the address of `{other}` once, at its start, and keeps it when `{other}` is replaced; give it a resolver and put the name into a variable"),
            );
        }
        for mount in &service.mounts {
            if matches!(&mount.from, MountFrom::Volume { .. }) && mount.path == "/" {
                self.compose_says(0, format!("`{name}` mounts a volume over everything"));
            }
        }
    }

    fn also(&mut self, stack: &Stack) {
        let template = self.template;
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

/// Services that nginx sends requests to by a name which stands in its file as it is. Where the name is a variable, it asks a `resolver` for it.
/// Source: nginx, `ngx_http_proxy_module`, "proxy_pass".
fn asked_once<'s>(service: &'s StackService, stack: &Stack) -> BTreeSet<&'s str> {
    let pass = Regex::new(r"\b(?:proxy|fastcgi|grpc|scgi|uwsgi)_pass\s+(?:[a-z]+://)?([A-Za-z0-9._-]+)(?::[0-9]+)?[/;]")
        .expect("a literal pattern");
    let files = service.files.iter().flat_map(|file| pass.captures_iter(&file.content));
    files
        .filter_map(|found| found.get(1))
        .map(|name| name.as_str())
        .filter(|name| stack.service(name).is_some())
        .collect()
}

/// The image's first start runs a server on its socket alone while it makes the tables, and stops it again.
/// Source: docker-library/postgres, `docker_temp_server_start`.
fn asks_socket_only(test: &[String]) -> bool {
    let words: Vec<&str> = test.iter().flat_map(|part| part.split_whitespace()).collect();
    let names_host = |word: &&str| word.starts_with("-h") || word.starts_with("--host");
    words.contains(&"pg_isready") && !words.iter().any(names_host)
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

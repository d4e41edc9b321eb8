//! The size of one service in the text of a Compose file, its memory and its cores: changed, and read.
//!
//! The text is changed in place, so that comments, order and `{{ … }}` stay, and a later version of a template merges with it as with
//! anything that people change. What cannot be changed without changing more is left alone: the result is read again and compared.

use crate::{
    compose::memory_bytes,
    yaml::{self, Node},
};
use regex::Regex;
use serde_json::Value;

/// What a service may use. `None`: as its file says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis: Option<u32>,
}

impl Size {
    pub fn is_usual(&self) -> bool {
        *self == Size::default()
    }
}

/// `text` with this size of the service. `None` when its limits cannot be told apart from those of other services.
pub fn resize(text: &str, service: &str, size: Size) -> Option<String> {
    let mut text = text.to_owned();
    if let Some(bytes) = size.memory_bytes {
        let amount = match bytes % (1 << 20) {
            0 => format!("{}M", bytes >> 20),
            _ => bytes.to_string(),
        };
        text = with(&text, service, "memory", &amount)?;
    }
    if let Some(millis) = size.cpu_millis {
        text = with(&text, service, "cpus", &(f64::from(millis) / 1000.0).to_string())?;
    }
    Some(text)
}

/// MiB that the text lets each container of the service use. `None` when it says nothing, or says it by way of a variable.
pub fn memory_mb(text: &str, service: &str) -> Option<u64> {
    let tree = yaml::parse(text, 0).ok()?;
    let own = tree.get("services")?.get(service)?;
    let limit = limits_of(own).and_then(|limits| limits.get("memory"));
    let limit = limit.or_else(|| own.get("mem_limit"))?;
    Some(memory_bytes(limit.text()?).ok()? >> 20)
}

fn limits_of(service: &Node) -> Option<&Node> {
    service.get("deploy")?.get("resources")?.get("limits")
}

/// `text` in which the limit `key` of the service is `value`, and all else is as it was.
fn with(text: &str, service: &str, key: &str, value: &str) -> Option<String> {
    let tree = yaml::parse(text, 0).ok()?;
    let own = tree.get("services")?.get(service)?;
    let candidates = match limits_of(own) {
        Some(limits) => in_limits(text, limits, key, value)?,
        None if own.get("deploy").is_none() => vec![above(text, own, key, value)?],
        None => return None,
    };
    let mut wanted = tree.json();
    wanted["services"][service]["deploy"]["resources"]["limits"][key] = Value::String(value.to_owned());
    let is_wanted = |text: &String| yaml::parse(text, 0).is_ok_and(|tree| tree.json() == wanted);
    candidates.into_iter().find(is_wanted)
}

/// Texts that may have it: the limit replaced where it stands, or written behind another one.
fn in_limits(text: &str, limits: &Node, key: &str, value: &str) -> Option<Vec<String>> {
    let map = limits.map()?;
    let (place, node) = match limits.get(key) {
        Some(node) => (key, node),
        None => map.first().map(|(first, node)| (first.text.as_str(), node))?,
    };
    let is_new = place != key;
    let (before, line, after) = around(text, node.at.line)?;
    let pair = format!(r#"["']?\b{}["']?\s*:\s*("[^"]*"|'[^']*'|[^\s,}}#]+)"#, regex::escape(place));
    let pair = Regex::new(&pair).ok()?;
    let mut candidates = Vec::new();
    for found in pair.captures_iter(line).filter_map(|captures| captures.get(1)) {
        let (front, rest) = (&line[..found.start()], &line[found.end()..]);
        let changed = match is_new {
            false => format!("{front}{}{rest}", written(value)),
            true => format!("{front}{}, {key}: {}{rest}", found.as_str(), written(value)),
        };
        candidates.push(format!("{before}{changed}{after}"));
    }
    if is_new {
        let indent = indent_of(line);
        candidates.push(format!("{before}{line}\n{indent}{key}: {}{after}", written(value)));
    }
    Some(candidates)
}

/// The text with a `deploy` above the first key of a service that has none.
fn above(text: &str, own: &Node, key: &str, value: &str) -> Option<String> {
    let (first, _) = own.map()?.first()?;
    let (before, line, after) = around(text, first.at.line)?;
    let indent = indent_of(line);
    let limits = format!("{{ {key}: {} }}", written(value));
    Some(format!(
        "{before}{indent}deploy: {{ resources: {{ limits: {limits} }} }}\n{line}{after}"
    ))
}

/// What stands before a line, the line without its end, and what stands after it.
fn around(text: &str, line: u32) -> Option<(&str, &str, &str)> {
    let skipped: usize = text
        .split_inclusive('\n')
        .take(usize::try_from(line.checked_sub(1)?).ok()?)
        .map(str::len)
        .sum();
    let (before, rest) = text.split_at(skipped);
    let end = rest.find('\n').unwrap_or(rest.len());
    Some((before, &rest[..end], &rest[end..]))
}

fn indent_of(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// Quoted, where it would be read as a number.
fn written(value: &str) -> String {
    match value.ends_with('M') {
        true => value.to_owned(),
        false => format!("\"{value}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Shelf, template};

    fn check(text: &str, memory_mb: Option<u64>, cpu_millis: Option<u32>, expected: Option<&str>) {
        let size = Size {
            memory_bytes: memory_mb.map(|mb| mb << 20),
            cpu_millis,
        };
        assert_eq!(resize(text, "a", size).as_deref(), expected, "{text}");
    }

    #[test]
    fn only_the_limit_of_the_service_changes() {
        let two = "services:\n  a:\n    image: x:1 # kept\n    deploy: { resources: { limits: { memory: 1G } } }\n  b:\n    image: x:1\n    deploy: { resources: { limits: { memory: 1G } } }\n";
        let larger = two.replacen("memory: 1G", "memory: 2048M", 1);
        check(two, Some(2048), None, Some(&larger));
        let both = two.replacen("memory: 1G", "memory: 2048M, cpus: \"0.5\"", 1);
        check(two, Some(2048), Some(500), Some(&both));
        // A reservation on the same line stays.
        let reserved = "services: {a: {image: x:1, deploy: {resources: {reservations: {memory: 1m}, limits: {memory: 2m}}}}}";
        check(reserved, Some(64), None, Some(&reserved.replace("2m", "64M")));
        let block = "services:\n  a:\n    image: x:1\n    deploy:\n      resources:\n        limits:\n          memory: '64m'\n    restart: always\n";
        let sized = block.replace("'64m'\n", "96M\n          cpus: \"2\"\n");
        check(block, Some(96), Some(2000), Some(&sized));
        let none = "services:\n  a:\n    image: x:1\n    command: ['{{ name }}']\n";
        let said = none.replace("    image", "    deploy: { resources: { limits: { memory: 96M } } }\n    image");
        check(none, Some(96), None, Some(&said));
        check(none, None, None, Some(none));
    }

    #[test]
    fn limits_that_are_shared_are_left_alone() {
        let shared = "x-all: &all\n  resources: { limits: { memory: 1G } }\nservices:\n  a: { image: x:1, deploy: *all }\n  b: { image: x:1, deploy: *all }\n";
        check(shared, Some(96), None, None);
        check("services: {a: {image: x:1}}", Some(96), None, None);
        check("services: {b: {image: x:1}}", Some(96), None, None);
        check("services: [", Some(96), None, None);
    }

    #[test]
    fn the_size_that_a_file_says() {
        let file = |limits: &str| format!("services:\n  a:\n    image: x:1\n    {limits}\n  b: {{ image: x:1, mem_limit: 1g }}\n");
        for (limits, expected) in [
            ("deploy: { resources: { limits: { memory: 1G } } }", Some(1024)),
            ("deploy: { resources: { limits: { memory: 1536M } } }", Some(1536)),
            ("mem_limit: 64m", Some(64)),
            ("deploy: { resources: { limits: { cpus: '1' } } }", None),
            ("deploy: { resources: { limits: { memory: $SIZE } } }", None),
            ("restart: always", None),
        ] {
            assert_eq!(memory_mb(&file(limits), "a"), expected, "{limits}");
        }
        assert_eq!(memory_mb(&file("restart: always"), "b"), Some(1024));
        assert_eq!(memory_mb(&file("restart: always"), "c"), None);
        assert_eq!(memory_mb("services: [", "a"), None);
    }

    /// Amounts that an app is told, in MiB: of a heap, a cache, all of its memory.
    fn told_mb(service: &types::StackService) -> Vec<u64> {
        let mut words: Vec<String> = service.command.clone().unwrap_or_default();
        words.extend(service.environment.iter().map(|(key, value)| format!("{key}={value}")));
        // Of a heap's two figures the upper one counts.
        let figure = r"(?:-Xmx|MaxDirectMemorySize=|heap_max__size=|pagecache_size=|^MEMORY=|^)([0-9]+)(?:m|M|mb)\b";
        let figure = Regex::new(figure).expect("a literal pattern");
        let mut all: Vec<u64> = words
            .iter()
            .flat_map(|word| figure.captures_iter(word))
            .map(|found| found[1].parse().expect("digits"))
            .collect();
        let gib = words.iter().skip_while(|word| *word != "--wiredTigerCacheSizeGB").nth(1);
        all.extend(gib.map(|gib| (gib.parse::<f64>().expect("a number") * 1024.0) as u64));
        all
    }

    #[test]
    fn what_apps_are_told_of_their_memory_follows_their_size() {
        let shelf = Shelf::embedded().expect("the program's own");
        let mut following = Vec::new();
        for entry in shelf.list().filter(|entry| entry.compose.contains("memory_mb")) {
            let (template, main) = (&entry.template, &entry.template.main.service);
            let base = template::pick(&entry.compose, template.versions.first());
            let usual = memory_mb(&base, main).expect("its limit is written down");
            // Down to what the template needs at least, and up.
            let sizes = [
                u64::from(template.needs.memory_mb).min(usual),
                usual / 2,
                usual,
                usual * 2,
                usual * 5 + 1,
            ];
            let sums = sizes.map(|mb| {
                let size = Size {
                    memory_bytes: Some(mb << 20),
                    cpu_millis: None,
                };
                let text = resize(&base, main, size).expect("it comes in sizes");
                let stack = template::composed(template, &text).expect("it is read").stack;
                let told: u64 = told_mb(stack.service(main).expect("there")).iter().sum();
                assert!(told > 0 && told * 10 <= mb * 9, "{}: {told} MiB of {mb}", template.name);
                told
            });
            assert!(sums[1] < sums[2] && sums[2] < sums[3], "{}: {sums:?}", template.name);
            following.push(template.name.as_str());
        }
        let expected = [
            "elasticsearch",
            "kafka",
            "metabase",
            "minecraft",
            "mongodb",
            "neo4j",
            "nexus",
            "opensearch",
            "redis",
            "valkey",
        ];
        assert_eq!(following, expected);
    }

    #[test]
    fn every_template_comes_in_other_sizes() {
        let shelf = Shelf::embedded().expect("the program's own");
        let size = Size {
            memory_bytes: Some(3 << 30),
            cpu_millis: Some(1500),
        };
        for entry in shelf.list() {
            let main = &entry.template.main.service;
            let usual = template::pick(&entry.compose, entry.template.versions.first());
            let text = resize(&usual, main, size).unwrap_or_else(|| panic!("{} has one size only", entry.template.name));
            let composed = template::composed(&entry.template, &text).expect("it is read");
            let limits = composed.stack.service(main).expect("there").limits;
            assert_eq!(
                (limits.memory_bytes, limits.cpu_millis),
                (Some(3 << 30), Some(1500)),
                "{}",
                entry.template.name
            );
        }
    }
}

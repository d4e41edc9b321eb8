//! What schemathesis is given to ask with: `examples.txt`, put into the document as examples, with the ids of things that are there.

use crate::probing::id;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::{Api, TestPanel};

/// What stands in the path, the query and the body of an operation.
#[derive(Default)]
struct Given {
    places: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    body: Option<Value>,
}

/// Ids by name.
type Names = BTreeMap<String, String>;

fn lines() -> impl Iterator<Item = &'static str> {
    let lines = include_str!("examples.txt").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A line with the ids in it.
fn named(line: &str, names: &Names) -> String {
    names
        .iter()
        .fold(line.to_owned(), |line, (name, id)| line.replace(&format!("<{name}>"), id))
}

/// The words of a line, and the JSON at its end.
fn parts(line: &str) -> (Vec<&str>, Option<Value>) {
    let (words, body) = line.find('{').map_or((line, None), |at| (&line[..at], Some(&line[at..])));
    let body = body.map(|body| serde_json::from_str(body).unwrap_or_else(|error| panic!("{line}: {error}")));
    (words.split_whitespace().collect(), body)
}

async fn first(api: &Api, path: &str) -> String {
    id(&api.list(path).await[0])
}

/// Makes one of each thing, and names what is there anyway.
async fn made(panel: &TestPanel) -> Names {
    let mut names = Names::from([("port".to_owned(), testkit::reserve_ports(1)[0].to_string())]);
    for (name, word) in [
        ("organizations", "default"),
        ("catalogs", "zqshelf"),
        ("domains", "zqjournal.test"),
        ("certificates", "zqjournal.test"),
        ("setup", "zqjournal.test"),
        ("zones", "zqzone.test"),
    ] {
        names.insert(name.to_owned(), word.to_owned());
    }
    for line in lines().filter(|line| line.starts_with("seed ")) {
        let line = named(line, &names);
        let (words, body) = parts(&line);
        let reply = panel.post(&format!("/api/v1{}", words[2]), body.expect("a body")).await;
        assert!(reply.status.is_success(), "{line}: {}", reply.text());
        let made = reply.json();
        if let Some(id) = made["id"].as_str() {
            names.entry(words[1].to_owned()).or_insert_with(|| id.to_owned());
        }
        if let Some(environment) = made["environments"][0]["id"].as_str() {
            names.entry("environments".to_owned()).or_insert_with(|| environment.to_owned());
        }
    }
    let invited = json!({"email": "zqguest@example.test", "role": "viewer"});
    let invited = panel.post("/api/v1/invitations", invited).await.expect(201).json();
    names.insert("invitations".to_owned(), id(&invited["invitation"]));
    panel.post("/api/v1/apps/zqjournal/deployments", json!({})).await.expect(202);
    for (name, path) in [
        ("deployments", "/api/v1/apps/zqjournal/deployments"),
        ("volumes", "/api/v1/volumes"),
        ("servers", "/api/v1/servers"),
    ] {
        names.insert(name.to_owned(), first(panel, path).await);
    }
    names
}

fn given(names: &Names) -> BTreeMap<String, Given> {
    let mut all: BTreeMap<String, Given> = BTreeMap::new();
    for line in include_str!("rights.txt").lines().filter(|line| !line.starts_with('#')) {
        if let (words, Some(body)) = parts(line) {
            all.entry(words[0].to_owned()).or_default().body = Some(body);
        }
    }
    for line in lines().filter(|line| !line.starts_with("seed ")) {
        let line = named(line, names);
        let (words, body) = parts(&line);
        let one = all.entry(words[0].to_owned()).or_default();
        one.body = body.or(one.body.take());
        for word in &words[1..] {
            let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("{line}"));
            match name.strip_prefix('?') {
                Some(name) => one.query.insert(name.to_owned(), value.to_owned()),
                None => one.places.insert(name.to_owned(), value.to_owned()),
            };
        }
    }
    all
}

/// The document with examples of things that were made on this panel.
pub async fn with_examples(panel: &TestPanel, mut document: Value) -> Value {
    let names = made(panel).await;
    let given = given(&names);
    let nothing = Given::default();
    for (path, methods) in document["paths"].as_object_mut().expect("paths") {
        let mut places = BTreeMap::new();
        let parts = path.split('/').zip(path.split('/').skip(1));
        for (before, place) in parts.filter(|(_, place)| place.starts_with('{')) {
            places.insert(place.trim_matches(['{', '}']).to_owned(), before.to_owned());
        }
        for operation in methods.as_object_mut().expect("methods").values_mut() {
            let Some(id) = operation["operationId"].as_str().map(str::to_owned) else {
                continue;
            };
            let given = given.get(&id).unwrap_or(&nothing);
            for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap_or_default().to_owned();
                let example = match parameter["in"].as_str() {
                    Some("path") => places.get(&name).map(|before| {
                        let known = given.places.get(before).or_else(|| names.get(before));
                        known.map_or("1", String::as_str).to_owned()
                    }),
                    Some("query") => given.query.get(&name).cloned(),
                    _ => None,
                };
                if let Some(example) = example {
                    parameter["example"] = example.into();
                }
            }
            let contents = operation.get_mut("requestBody").and_then(|body| body["content"].as_object_mut());
            if let (Some(contents), Some(body)) = (contents, &given.body) {
                for (kind, content) in contents {
                    if kind.contains("json") {
                        content["example"] = body.clone();
                    }
                }
            }
        }
    }
    document
}

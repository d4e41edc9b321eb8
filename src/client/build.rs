//! Makes `openapi.json` fit for the generator: streams over WebSocket go, because they are opened by `Client::stream`
//! and the generator cannot have an upgrade and a refusal with a body in one operation; refusals become plain
//! JSON, because it takes `application/problem+json` for bytes; and `Idempotency-Key` is no parameter of the calls,
//! because the client sends one with each POST by itself.

use serde_json::Value;
use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let source = Path::new("../../openapi.json");
    println!("cargo:rerun-if-changed={}", source.display());
    println!("cargo:rerun-if-changed=build.rs");
    let mut document: Value = serde_json::from_str(&fs::read_to_string(source)?)?;
    let paths = document["paths"].as_object_mut().ok_or("openapi.json has no paths")?;
    for operations in paths.values_mut().filter_map(Value::as_object_mut) {
        operations.retain(|_, operation| operation["responses"].get("101").is_none());
        operations.values_mut().for_each(plain_problems);
        operations.values_mut().for_each(own_idempotency);
    }
    paths.retain(|_, operations| operations.as_object().is_some_and(|operations| !operations.is_empty()));
    let target = Path::new(&std::env::var("OUT_DIR")?).join("openapi.json");
    Ok(fs::write(target, document.to_string())?)
}

fn plain_problems(operation: &mut Value) {
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for response in responses.into_iter().flat_map(|responses| responses.values_mut()) {
        if let Some(content) = response.get_mut("content").and_then(Value::as_object_mut)
            && let Some(problem) = content.remove("application/problem+json")
        {
            content.insert("application/json".to_owned(), problem);
        }
    }
}

fn own_idempotency(operation: &mut Value) {
    if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
        parameters.retain(|parameter| parameter["name"] != "Idempotency-Key");
    }
}

//! Packs `catalog/` into one compressed file that the binary carries: JSON, `{"<name>": ["<template.yaml>", "<compose.yaml>"]}`.

use std::{collections::BTreeMap, env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let top = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo says where the crate is")).join("../../catalog");
    println!("cargo::rerun-if-changed={}", top.display());
    let mut packed = BTreeMap::new();
    for entry in fs::read_dir(&top).expect("catalog/ is readable") {
        let folder = entry.expect("catalog/ is readable").path();
        let (template, compose) = (folder.join("template.yaml"), folder.join("compose.yaml"));
        if let (Ok(template), Ok(compose)) = (fs::read_to_string(&template), fs::read_to_string(&compose)) {
            let name = folder
                .file_name()
                .and_then(|name| name.to_str())
                .expect("names are UTF-8")
                .to_owned();
            packed.insert(name, (template, compose));
        }
    }
    let json = serde_json::to_vec(&packed).expect("texts are JSON");
    let compressed = zstd::encode_all(json.as_slice(), 19).expect("memory takes it");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo says where to write")).join("catalog.json.zst");
    fs::write(out, compressed).expect("the output folder is writable");
}

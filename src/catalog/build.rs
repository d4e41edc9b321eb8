//! Packs `catalog/` into one compressed file that the binary carries: JSON, `{"<name>": ["<template.yaml>", "<compose.yaml>"]}`.

use std::{collections::BTreeMap, env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let top = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo says where the crate is")).join("../../catalog");
    println!("cargo::rerun-if-changed={}", top.display());
    let mut packed = BTreeMap::new();
    for entry in fs::read_dir(&top).expect("catalog/ is readable") {
        let folder = entry.expect("catalog/ is readable").path();
        if !folder.is_dir() {
            continue;
        }
        // A template that is half there must not be missing in silence. What else is wrong with one, `catalog check` of the binary tells.
        let read = |file: &str| {
            let path = folder.join(file);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let name = folder.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
        packed.insert(name.to_owned(), (read("template.yaml"), read("compose.yaml")));
    }
    let json = serde_json::to_vec(&packed).expect("texts are JSON");
    let compressed = zstd::encode_all(json.as_slice(), 19).expect("memory takes it");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo says where to write")).join("catalog.json.zst");
    fs::write(out, compressed).expect("the output folder is writable");
}

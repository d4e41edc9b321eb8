//! Makes what a release embeds: the UI's files and the documentation, compressed once, here.
//!
//! A file of text `x` becomes `x.br`, everything else stays as it is. Debug builds read `ui-dist` from disk at
//! each request and make the documentation then, so that there is nothing to build for them.

#[path = "bundle.rs"]
mod bundle;
#[path = "docs.rs"]
#[allow(dead_code)] // the panel itself uses the rest
mod docs;

use serde_json::Value;
use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Not part of the panel: types and notes for those who work on it.
fn is_served(name: &str) -> bool {
    !name.starts_with("types/") && !name.ends_with(".d.ts") && !name.ends_with("README.md")
}

fn main() {
    println!("cargo::rustc-check-cfg=cfg(embedded)");
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    println!("cargo::rustc-cfg=embedded");
    let top = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo says where the crate is")).join("../..");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo says where to write")).join("embedded");
    let _ = fs::remove_dir_all(&out);

    let mut files = Vec::new();
    find(&top.join("ui-dist"), "", &mut files);
    let read = |name: &str| fs::read_to_string(top.join("ui-dist").join(name)).ok();
    let first = bundle::Bundle::read(&read).unwrap_or_else(|why| panic!("ui-dist/{why}"));
    put(&out, bundle::NAME, first.script().as_bytes());
    let page = read(bundle::PAGE).expect("the UI has a page");
    let (page, sheet) = bundle::sheet(&page, &read).unwrap_or_else(|why| panic!("ui-dist/{why}"));
    put(&out, bundle::SHEET, sheet.as_bytes());
    for (name, path) in files {
        match first.stand_in(&name) {
            Some(text) => put(&out, &name, text.as_bytes()),
            None if name == bundle::PAGE => put(&out, &name, page.as_bytes()),
            None => put(&out, &name, &fs::read(&path).expect("a file of the UI is readable")),
        }
    }
    for source in ["ui-dist", "openapi.json", "src/api/bundle.rs", "src/api/docs.rs"] {
        println!("cargo::rerun-if-changed={}", top.join(source).display());
    }
    let text = fs::read(top.join("openapi.json")).expect("openapi.json is checked in");
    let document: Value = serde_json::from_slice(&text).expect("openapi.json is JSON");
    put(&out, "api/openapi.json", document.to_string().as_bytes());
    put(&out, "api/docs.html", docs::reference(&document).as_bytes());
}

/// All files below `folder`, by their name from the top.
fn find(folder: &Path, above: &str, found: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).expect("the UI's folder is readable") {
        let path = entry.expect("the UI's folder is readable").path();
        let own = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
        let name = format!("{above}{own}");
        if path.is_dir() {
            find(&path, &format!("{name}/"), found);
        } else if is_served(&name) {
            found.push((name, path));
        }
    }
}

fn put(out: &Path, name: &str, data: &[u8]) {
    let write = |name: &str, data: &[u8]| {
        let path = out.join(name);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("the output folder is writable");
        fs::write(path, data).expect("the output folder is writable");
    };
    let ending = name.rsplit('.').next().unwrap_or_default();
    if !matches!(ending, "html" | "css" | "js" | "json" | "webmanifest" | "svg" | "md" | "txt") {
        return write(name, data);
    }
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), 64 << 10, 11, 22);
    brotli.write_all(data).expect("memory takes it");
    write(&format!("{name}.br"), &brotli.into_inner());
}

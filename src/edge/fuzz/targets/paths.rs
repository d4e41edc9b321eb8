//! Fuzzes the spelling of paths: a normal path has no way up, and is its own normal path once it is written as an address.
#![no_main]

use libfuzzer_sys::fuzz_target;
use types::{encoded_path, is_below, normal_path};

fuzz_target!(|text: &str| {
    let Some(normal) = normal_path(text) else { return };
    assert!(normal.starts_with('/'));
    assert!(!normal.split('/').any(|part| part == ".." || part == "."));
    assert!(!normal.contains("//") && !normal.contains('\0'));
    assert_eq!(normal_path(&encoded_path(&normal)).as_deref(), Some(&*normal));
    assert!(is_below(&normal, "/"));
});

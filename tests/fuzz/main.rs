//! One target of the library under libFuzzer: the one that `SERVERKIT_FUZZ` names.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let name = std::env::var("SERVERKIT_FUZZ").unwrap_or_default();
    let found = serverkit_fuzz::TARGETS.iter().find(|target| target.name == name);
    let target = found.unwrap_or_else(|| panic!("SERVERKIT_FUZZ names no target: `{name}`"));
    (target.run)(bytes);
});

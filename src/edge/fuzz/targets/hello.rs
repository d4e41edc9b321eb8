//! Fuzzes the reading of names in TLS greetings: whatever was read as a name from the front stays so with more bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serverkit_edge::hello::{Hello, server_name};

fuzz_target!(|bytes: &[u8]| {
    let whole = server_name(bytes);
    for cut in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
        match server_name(&bytes[..cut]) {
            Hello::Partial => {}
            early => assert_eq!(early, whole),
        }
    }
});

//! Fuzzes the reading of PROXY headers: what is read has its size, and reads the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serverkit_edge::proxy_protocol::{header, read};
use types::ProxyVersion;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(told)) = read(bytes) else { return };
    assert!(told.size <= bytes.len());
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let written = header(version, told.between);
        let again = read(&written).expect("our own header").expect("whole");
        assert_eq!(again.size, written.len());
        let plain = |address: std::net::SocketAddr| (address.ip().to_canonical(), address.port());
        if let (Some((from, to)), Some((from_again, to_again))) = (told.between, again.between) {
            assert_eq!((plain(from), plain(to)), (plain(from_again), plain(to_again)));
        }
    }
});

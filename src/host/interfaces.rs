//! Network interfaces: those that lead out, their addresses and their traffic.

use nix::ifaddrs::getifaddrs;
use std::{net::IpAddr, path::Path};

/// Of the interfaces that lead out.
pub fn addresses() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = match getifaddrs() {
        Ok(found) => found
            .filter(|interface| leads_out(&interface.interface_name))
            .filter_map(|interface| {
                let address = interface.address?;
                let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
            })
            .filter(is_of_use)
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "the addresses of this machine cannot be read");
            Vec::new()
        }
    };
    addresses.sort();
    addresses.dedup();
    addresses
}

fn is_of_use(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified(),
    }
}

/// Not loopback, bridges, or the ends of containers' cables; what a bridge carries is counted where it leaves.
fn leads_out(name: &str) -> bool {
    let is_virtual = name == "lo"
        || ["veth", "docker", "br-", "virbr", "ifb", "dummy", "cni", "flannel"]
            .iter()
            .any(|start| name.starts_with(start));
    !is_virtual && !Path::new("/sys/class/net").join(name).join("bridge").exists()
}

/// Bytes in and out over the interfaces that lead out, from the text of `/proc/net/dev`.
pub fn traffic(text: &str) -> (u64, u64) {
    let mut sum = (0, 0);
    for line in text.lines() {
        let Some((name, counters)) = line.split_once(':') else {
            continue;
        };
        let counters: Vec<u64> = counters.split_whitespace().filter_map(|counter| counter.parse().ok()).collect();
        if let (true, [received, _, _, _, _, _, _, _, sent, ..]) = (leads_out(name.trim()), counters.as_slice()) {
            sum.0 += received;
            sum.1 += sent;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leads_out_counts() {
        let text = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0
  ens3: 2000 2 0 0 0 0 0 0 300 1 0 0 0 0 0 0
veth12: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0
docker0: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0
  wg0:7 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0
";
        assert_eq!(traffic(text), (2007, 309));
    }

    #[test]
    fn addresses_can_be_reached_from_elsewhere() {
        for address in addresses() {
            assert!(!address.is_loopback() && !address.is_unspecified(), "{address}");
        }
    }
}

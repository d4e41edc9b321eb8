//! Where the panel connects to when somebody names the address: a repository, a forge, a catalog, a registry.
//!
//! Who runs the panel names any. What others name must lead to the internet: else the panel would be their way to what listens
//! on its machine alone, into the network around it and to a cloud's metadata, and its answers would tell them what is there.
//! It is asked when the address is used, of what its name leads to at that moment, and before anything is connected to: so a refusal
//! takes as long and says the same whether something listens there or not.
//!
//! Where the panel itself goes through a proxy (`https_proxy`), it is the proxy that looks names up, and that must keep the inside
//! out. The proxy may stand inside: the panel reaches it, and nobody else may name it.

mod door;
mod outbound;
mod proxies;
mod resolver;

pub use door::{Door, Leads};
pub use outbound::Outbound;
pub use proxies::Proxies;
pub use resolver::Resolver;

use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use types::{Error, Result};
use url::{Host, Url};

/// How far addresses may lead that somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Egress {
    /// Of those who run the panel.
    Anywhere,
    /// Of everybody else.
    Public(Arc<Bounds>),
}

/// What is special about this machine and its network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounds {
    /// This machine's own public addresses: others reach the ports of the web there, and no more.
    pub own: Vec<IpAddr>,
    /// Inner networks that are open to everybody.
    pub open: Vec<IpNet>,
    /// What the panel's own requests go through.
    pub proxies: Proxies,
    /// Who looks names up.
    pub resolver: Resolver,
}

impl Egress {
    pub fn public(bounds: Bounds) -> Egress {
        Egress::Public(Arc::new(bounds))
    }

    pub fn is_bounded(&self) -> bool {
        *self != Egress::Anywhere
    }

    /// Whether it may be connected to.
    pub fn admits(&self, address: IpAddr, port: u16) -> bool {
        let Egress::Public(bounds) = self else { return true };
        let address = address.to_canonical();
        let is_open = bounds.open.iter().any(|network| network.contains(&address));
        is_open || (is_public(address) && (is_of_the_web(port) || !bounds.own.contains(&address)))
    }

    /// Fails with `Invalid` when it may not be connected to.
    pub fn check(&self, to: SocketAddr) -> Result<()> {
        match self.admits(to.ip(), to.port()) {
            true => Ok(()),
            false => Err(inner(&to.ip().to_string())),
        }
    }

    /// What a host leads to now. Fails with `Invalid` unless all of it may be connected to, with `Unavailable` when the name is not
    /// known. Blocks.
    pub fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let found = self.resolver().addresses(bare(host), port).map_err(|_| unknown(host))?;
        self.checked(host, found)
    }

    /// The same for those who must not block.
    pub async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let found = self.resolver().look_up(bare(host), port).await.map_err(|_| unknown(host))?;
        self.checked(host, found)
    }

    fn resolver(&self) -> &Resolver {
        match self {
            Egress::Anywhere => &Resolver::System,
            Egress::Public(bounds) => &bounds.resolver,
        }
    }

    /// Fails with `Invalid` unless all that `host` leads to may be connected to.
    pub fn check_all(&self, host: &str, mut addresses: impl Iterator<Item = SocketAddr>) -> Result<()> {
        match addresses.all(|address| self.admits(address.ip(), address.port())) {
            true => Ok(()),
            false => Err(inner(host)),
        }
    }

    /// The same for the resolver of requests, which is asked for the proxy's host too. [`Egress::check_written`] refuses the addresses
    /// that name that.
    pub fn check_resolved(&self, host: &str, addresses: impl Iterator<Item = SocketAddr>) -> Result<()> {
        match self.has_proxy(host) {
            true => Ok(()),
            false => self.check_all(host, addresses),
        }
    }

    /// Whether Git asks a proxy of the environment for it. Its name is then the proxy's to look up, and [`Egress::check_written`] all that can be asked here.
    pub fn goes_by_proxy(&self, url: &Url) -> bool {
        matches!(self, Egress::Public(bounds) if bounds.proxies.take(url))
    }

    fn has_proxy(&self, host: &str) -> bool {
        matches!(self, Egress::Public(bounds) if bounds.proxies.have(host))
    }

    fn checked(&self, host: &str, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>> {
        self.check_all(host, addresses.iter().copied())?;
        Ok(addresses)
    }

    /// Fails with `Invalid` when the host is written as an address that may not be connected to, as such a one is never looked up, and when
    /// it is the panel's proxy.
    pub fn check_written(&self, url: &Url) -> Result<()> {
        let host = url.host_str().unwrap_or_default();
        if self.has_proxy(host) {
            return Err(inner(host));
        }
        let port = url.port_or_known_default().unwrap_or(0);
        let address: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) | None => None,
        };
        match address {
            Some(address) if !self.admits(address, port) => Err(inner(&address.to_string())),
            _ => Ok(()),
        }
    }
}

/// Whether the internet routes it. Source: the IANA special-purpose address registries.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => is_public_v4(four),
        IpAddr::V6(six) => is_public_v6(six),
    }
}

fn is_public_v4(four: Ipv4Addr) -> bool {
    let [a, b, c, _] = four.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_for_protocols = (a, b, c) == (192, 0, 0) || (a, b, c) == (192, 88, 99);
    let is_for_measuring = a == 198 && (b == 18 || b == 19);
    !(a == 0
        || a >= 224
        || four.is_private()
        || four.is_loopback()
        || four.is_link_local()
        || four.is_documentation()
        || is_shared
        || is_for_protocols
        || is_for_measuring)
}

/// One that stands for an IPv4 address is as public as that: 6to4 (RFC 3056) and NAT64 (RFC 6052).
fn is_public_v6(six: Ipv6Addr) -> bool {
    let segments = six.segments();
    let four = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0x2002, high, low, ..] => is_public_v4(four(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(four(high, low)),
        // Teredo and what else is for protocols (RFC 2928), documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn is_of_the_web(port: u16) -> bool {
    matches!(port, 80 | 443)
}

/// `[::1]` without its brackets.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn unknown(host: &str) -> Error {
    Error::unavailable(format!("the host {host} is not known: its name cannot be resolved"))
}

fn inner(host: &str) -> Error {
    Error::invalid("address", inner_words(host))
}

fn inner_words(host: &str) -> String {
    format!("{host} leads to an inner address; only whoever runs this panel may use those")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn addresses_of_the_internet() {
        for (text, public) in [
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("172.32.0.1", true),
            ("192.0.1.1", true),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("127.8.9.1", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("192.88.99.1", false),
            ("192.168.1.1", false),
            ("198.19.0.1", false),
            ("203.0.113.9", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2a00::1", true),
            ("2606:4700::1111", true),
            ("::", false),
            ("::1", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("3fff::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("::7f00:1", false),
            ("2002:7f00:1::", false),
            ("2002:808:808::", true),
            ("64:ff9b::a00:1", false),
            ("64:ff9b::808:808", true),
            ("64:ff9b:1::808:808", false),
        ] {
            assert_eq!(is_public(address(text)), public, "{text}");
        }
    }

    #[test]
    fn the_machines_own_addresses_are_of_the_web() {
        let bounded = Egress::public(Bounds {
            own: vec![address("8.8.4.4")],
            open: vec!["10.7.0.0/16".parse().expect("a network")],
            ..Bounds::default()
        });
        for (text, port, admitted) in [
            ("8.8.8.8", 22, true),
            ("8.8.4.4", 443, true),
            ("8.8.4.4", 9100, false),
            ("::ffff:8.8.4.4", 9100, false),
            ("10.7.1.1", 3000, true),
            ("::ffff:10.7.1.1", 3000, true),
            ("10.8.1.1", 80, false),
            ("127.0.0.1", 80, false),
        ] {
            assert_eq!(bounded.admits(address(text), port), admitted, "{text}:{port}");
            assert!(Egress::Anywhere.admits(address(text), port));
        }
    }

    #[test]
    fn what_is_written_as_an_address() {
        let bounded = Egress::public(Bounds::default());
        for (url, admitted) in [
            ("https://8.8.8.8/x", true),
            ("https://example.com/x", true),
            ("http://127.0.0.1:1/", false),
            // As browsers read them (the URL standard, 3.5).
            ("http://2130706433/", false),
            ("http://0x7f.1/", false),
            ("http://[::1]/", false),
            ("http://[::ffff:10.0.0.1]/", false),
        ] {
            let url: Url = url.parse().expect("an address");
            assert_eq!(bounded.check_written(&url).is_ok(), admitted, "{url}");
            assert!(Egress::Anywhere.check_written(&url).is_ok());
        }
    }

    #[test]
    fn the_proxy_is_for_the_panel_alone() {
        let bounded = Egress::public(Bounds {
            proxies: Proxies::of(|name| (name == "https_proxy").then(|| "http://proxy.corp:3128".to_owned())),
            ..Bounds::default()
        });
        let inside = || [SocketAddr::from(([10, 0, 0, 9], 0))].into_iter();
        assert!(bounded.check_resolved("proxy.corp", inside()).is_ok());
        assert!(bounded.check_resolved("other.corp", inside()).is_err());
        assert!(bounded.check_all("proxy.corp", inside()).is_err(), "somebody named it");
        let url = |text: &str| text.parse::<Url>().expect("an address");
        for named in ["http://proxy.corp:3128/", "https://PROXY.corp/"] {
            let refused = bounded.check_written(&url(named)).expect_err(named).to_string();
            assert!(refused.contains("proxy.corp leads to an inner address"), "{refused}");
            assert!(Egress::Anywhere.check_written(&url(named)).is_ok());
        }
        assert!(bounded.goes_by_proxy(&url("https://example.com/x.git")));
        assert!(!bounded.goes_by_proxy(&url("http://example.com/x.git")));
        assert!(!Egress::Anywhere.goes_by_proxy(&url("https://example.com/x.git")));
    }

    #[tokio::test]
    async fn names_lead_where_they_lead() {
        let bounded = Egress::public(Bounds::default());
        let refused = bounded.look_up("localhost", 80).await.expect_err("this machine").to_string();
        assert!(refused.contains("localhost leads to an inner address"), "{refused}");
        assert_eq!(bounded.addresses("localhost", 1).expect_err("this machine").to_string(), refused);
        assert!(Egress::Anywhere.addresses("[::1]", 1).is_ok());
    }
}

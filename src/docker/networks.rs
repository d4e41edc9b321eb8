//! Networks with our own subnets: the engine's own choice of ranges runs out near 30.

use crate::{
    connect::Docker,
    containers::ENVIRONMENT,
    failures::{checked, is_missing, words},
};
use bollard::{
    models::{Ipam, IpamConfig, NetworkCreateRequest},
    query_parameters::{InspectNetworkOptions, ListNetworksOptions},
};
use ipnet::{IpNet, Ipv4Net};
use std::{collections::HashMap, net::Ipv4Addr};
use types::{Error, Kind, NetworkSpec, Result};

impl Docker {
    /// Makes it, or checks that the one with its name has its subnet. Fails with `Taken` when another network has any of
    /// its addresses, be it the engine's or one that this machine has a route to (a VPN, another engine's bridge: packets
    /// for our containers would go there), and with `Invalid` when its own subnet is another one.
    pub async fn network_ensure(&self, spec: &NetworkSpec) -> Result<()> {
        let _alone = self.inner.networks.lock().await;
        if let Some(subnets) = self.network_subnets(&spec.name).await? {
            return match subnets.contains(&spec.subnet) {
                true => Ok(()),
                false => Err(Error::invalid(
                    "network",
                    format!("`{}` has the subnet {}, not {}", spec.name, joined(&subnets), spec.subnet),
                )),
            };
        }
        self.check_overlap(spec).await?;
        // An engine behind a TCP address has other routes than this process.
        let here = self.inner.transport.dial.is_local();
        let routes = if here { routes() } else { String::new() };
        if let Some((interface, route)) = routed_already(&routes, &spec.subnet) {
            return Err(Error::Taken {
                kind: Kind::Network,
                name: spec.subnet.to_string(),
                by: Some(format!("the interface `{interface}` of this machine ({route})")),
            });
        }
        self.client()
            .create_network(request_of(spec))
            .await
            .map(|_| ())
            .map_err(words(format!("making the network `{}` with the subnet {}", spec.name, spec.subnet)))
    }

    async fn network_subnets(&self, name: &str) -> Result<Option<Vec<IpNet>>> {
        match self
            .client()
            .inspect_network(checked(Kind::Network, name)?, None::<InspectNetworkOptions>)
            .await
        {
            Ok(network) => Ok(Some(subnets_of(network.ipam))),
            Err(refusal) if is_missing(&refusal) => Ok(None),
            Err(refusal) => Err(words(format!("looking at the network `{name}`"))(refusal)),
        }
    }

    async fn check_overlap(&self, spec: &NetworkSpec) -> Result<()> {
        let networks = self
            .client()
            .list_networks(None::<ListNetworksOptions>)
            .await
            .map_err(words("listing the networks"))?;
        for network in networks {
            if let Some(subnet) = subnets_of(network.ipam).into_iter().find(|subnet| overlap(subnet, &spec.subnet)) {
                return Err(Error::Taken {
                    kind: Kind::Network,
                    name: spec.subnet.to_string(),
                    by: Some(format!("the Docker network `{}` ({subnet})", network.name.unwrap_or_default())),
                });
            }
        }
        Ok(())
    }

    /// Gone already is fine; `Busy` while containers are on it.
    pub async fn network_remove(&self, name: &str) -> Result<()> {
        match self.client().remove_network(checked(Kind::Network, name)?).await {
            Err(refusal) if is_missing(&refusal) => Ok(()),
            Err(refusal) => Err(words(format!("removing the network `{name}`"))(refusal)),
            Ok(()) => Ok(()),
        }
    }
}

fn request_of(spec: &NetworkSpec) -> NetworkCreateRequest {
    NetworkCreateRequest {
        name: spec.name.clone(),
        driver: Some("bridge".into()),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some(spec.subnet.to_string()),
                ..Default::default()
            }]),
            ..Default::default()
        }),
        options: mtu_below_usual().map(|mtu| HashMap::from([("com.docker.network.driver.mtu".into(), mtu.to_string())])),
        internal: spec.internal.then_some(true),
        labels: Some(HashMap::from([
            ("serverkit.organization".into(), spec.organization.to_string()),
            (ENVIRONMENT.into(), spec.environment.to_string()),
        ])),
        ..Default::default()
    }
}

/// The text of `/proc/net/route`; empty where it cannot be read.
fn routes() -> String {
    std::fs::read_to_string("/proc/net/route").unwrap_or_default()
}

/// One line of `/proc/net/route`. The columns are interface, destination, gateway, flags, use counts, metric and mask;
/// addresses are hexadecimal in the machine's byte order (proc(5), `fib_route_seq_show` in the kernel).
struct Line<'a> {
    interface: &'a str,
    network: Ipv4Net,
    has_gateway: bool,
}

fn lines(routes: &str) -> impl Iterator<Item = Line<'_>> {
    let address = |text: &str| Some(Ipv4Addr::from(u32::from_str_radix(text, 16).ok()?.to_ne_bytes()));
    routes.lines().skip(1).filter_map(move |line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        Some(Line {
            interface: columns.first()?,
            network: Ipv4Net::with_netmask(address(columns.get(1)?)?, address(columns.get(7)?)?).ok()?,
            has_gateway: address(columns.get(2)?)? != Ipv4Addr::UNSPECIFIED,
        })
    })
}

/// Who has addresses of the subnet already. A wide route over a gateway (a cloud's private network, a VPN) may hold ours
/// inside it: the narrower route wins, and nobody there is a neighbour.
fn routed_already<'a>(routes: &'a str, subnet: &IpNet) -> Option<(&'a str, IpNet)> {
    lines(routes)
        .filter(|line| line.network.prefix_len() > 0)
        .filter(|line| !line.has_gateway || line.network.prefix_len() >= subnet.prefix_len())
        .map(|line| (line.interface, IpNet::V4(line.network)))
        .find(|(_, network)| overlap(network, subnet))
}

/// Some providers' networks carry less than the 1500 bytes that the engine takes for granted; then large answers from
/// outside never arrive in a container. What this machine's way out carries is right for its bridges too.
fn mtu_below_usual() -> Option<u32> {
    let routes = routes();
    let way_out = lines(&routes).find(|line| line.network.prefix_len() == 0)?.interface;
    let mtu = std::fs::read_to_string(format!("/sys/class/net/{way_out}/mtu")).ok()?;
    mtu.trim().parse().ok().filter(|mtu| (576..1500).contains(mtu))
}

fn subnets_of(ipam: Option<Ipam>) -> Vec<IpNet> {
    let configs = ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    configs.iter().filter_map(|config| config.subnet.as_deref()?.parse().ok()).collect()
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

fn joined(subnets: &[IpNet]) -> String {
    let texts: Vec<String> = subnets.iter().map(IpNet::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn subnets_overlap() {
        let net = |text: &str| text.parse::<IpNet>().expect("it is a subnet");
        assert!(overlap(&net("10.1.0.0/16"), &net("10.1.4.0/24")));
        assert!(overlap(&net("10.1.4.0/24"), &net("10.1.0.0/16")));
        assert!(!overlap(&net("10.1.4.0/24"), &net("10.1.5.0/24")));
        assert!(!overlap(&net("10.1.4.0/24"), &net("fd00::/64")));
    }

    #[test]
    fn what_this_machine_reaches_already() {
        let line = |interface: &str, network: &str, gateway: &str| {
            let hex = |address: Ipv4Addr| format!("{:08X}", u32::from_ne_bytes(address.octets()));
            let network: Ipv4Net = network.parse().expect("it is a network");
            let gateway = hex(gateway.parse().expect("it is an address"));
            format!(
                "{interface}\t{}\t{gateway}\t0001\t0\t0\t0\t{}\t0\t0\t0",
                hex(network.network()),
                hex(network.netmask())
            )
        };
        let routes = [
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT".to_owned(),
            line("ens3", "0.0.0.0/0", "192.168.2.1"),
            line("br-old", "10.201.3.0/24", "0.0.0.0"),
            line("cloud0", "10.0.0.0/8", "10.0.0.1"),
            line("tun0", "10.201.7.16/28", "10.8.0.1"),
            line("lan0", "10.204.0.0/14", "0.0.0.0"),
        ]
        .join("\n");
        let found = |subnet: &str| {
            let subnet = subnet.parse().expect("it is a subnet");
            routed_already(&routes, &subnet).map(|(interface, network)| format!("{interface} {network}"))
        };
        assert_eq!(found("10.201.3.0/24").as_deref(), Some("br-old 10.201.3.0/24"));
        assert_eq!(found("10.201.0.0/16").as_deref(), Some("br-old 10.201.3.0/24"));
        assert_eq!(found("10.201.7.0/24").as_deref(), Some("tun0 10.201.7.16/28"));
        assert_eq!(found("10.205.1.0/24").as_deref(), Some("lan0 10.204.0.0/14"));
        assert_eq!(
            found("10.201.8.0/24"),
            None,
            "neither the default route nor a cloud's wide one counts"
        );
        assert_eq!(found("fd00::/64"), None);
        assert_eq!(lines("").count(), 0);
        assert_eq!(lines("Iface\tDestination\nbroken\tline\n").count(), 0);
    }

    /// An interface of the machine, as a VPN or another engine has them; it goes with the test.
    struct Interface(&'static str);

    impl Interface {
        fn ip(arguments: &[&str]) {
            let done = std::process::Command::new("ip").args(arguments).status().expect("ip is there");
            assert!(done.success(), "ip {arguments:?}");
        }
    }

    impl Drop for Interface {
        fn drop(&mut self) {
            let _ = std::process::Command::new("ip").args(["link", "del", self.0]).status();
        }
    }

    #[tokio::test]
    async fn docker_network_beside_an_interface() {
        let world = World::new("beside").await;
        let interface = Interface("sk-beside");
        Interface::ip(&["link", "add", interface.0, "type", "bridge"]);
        Interface::ip(&["addr", "add", "10.214.77.1/24", "dev", interface.0]);
        Interface::ip(&["link", "set", interface.0, "up"]);
        let mut spec = world.network.clone();
        spec.name = format!("{}-beside", spec.name);
        spec.subnet = "10.214.77.0/28".parse().expect("it is a subnet");
        let error = world.docker.network_ensure(&spec).await.expect_err("the addresses are in use");
        assert!(
            matches!(&error, Error::Taken { by: Some(by), .. } if by.contains(interface.0)),
            "{error}"
        );
    }

    #[tokio::test]
    async fn docker_network_has_our_subnet() {
        let world = World::new("network").await;
        let spec = world.network.clone();
        world.docker.network_ensure(&spec).await.expect("again is fine");

        let mut other_subnet = spec.clone();
        other_subnet.subnet = "10.213.255.0/28".parse().expect("it is a subnet");
        let error = world.docker.network_ensure(&other_subnet).await.expect_err("it has another subnet");
        assert_eq!(
            error.to_string(),
            format!("network: `{}` has the subnet {}, not 10.213.255.0/28", spec.name, spec.subnet)
        );

        let mut overlapping = spec.clone();
        overlapping.name = format!("{}-other", spec.name);
        let error = world.docker.network_ensure(&overlapping).await.expect_err("the range is taken");
        assert!(
            matches!(&error, Error::Taken { by: Some(by), .. } if by.contains(&spec.name)),
            "{error}"
        );

        let id = world
            .docker
            .container_start(&world.spec("tests/http:latest"))
            .await
            .expect("it starts");
        let error = world.docker.network_remove(&spec.name).await.expect_err("a container is on it");
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        world.docker.container_remove(&id).await.expect("it goes");
        world.docker.network_remove(&spec.name).await.expect("it is free");
        world.docker.network_remove(&spec.name).await.expect("gone already is fine");
    }
}

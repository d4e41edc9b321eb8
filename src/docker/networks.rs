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
use ipnet::IpNet;
use std::collections::HashMap;
use types::{Error, Kind, NetworkSpec, Result};

impl Docker {
    /// Makes it, or checks that the one with its name has its subnet. Fails with `Taken` when another network has any of
    /// its addresses, and with `Invalid` when its own subnet is another one.
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
        labels: Some(HashMap::from([
            ("serverkit.organization".into(), spec.organization.to_string()),
            (ENVIRONMENT.into(), spec.environment.to_string()),
        ])),
        ..Default::default()
    }
}

/// Some providers' networks carry less than the 1500 bytes that the engine takes for granted; then large answers from
/// outside never arrive in a container. What this machine's way out carries is right for its bridges too.
fn mtu_below_usual() -> Option<u32> {
    let routes = std::fs::read_to_string("/proc/net/route").ok()?;
    let mtu = std::fs::read_to_string(format!("/sys/class/net/{}/mtu", way_out(&routes)?)).ok()?;
    mtu.trim().parse().ok().filter(|mtu| (576..1500).contains(mtu))
}

/// The interface of the default route, from the text of `/proc/net/route`: name, destination, gateway, … in columns.
fn way_out(routes: &str) -> Option<&str> {
    routes.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace();
        let (name, destination) = (columns.next()?, columns.next()?);
        (destination == "00000000").then_some(name)
    })
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
    fn the_way_out_is_the_default_route() {
        let routes = "Iface\tDestination\tGateway \tFlags\ndocker0\t000011AC\t00000000\t0001\nens3\t00000000\t0102A8C0\t0003\n";
        assert_eq!(way_out(routes), Some("ens3"));
        assert_eq!(way_out("Iface\tDestination\n"), None);
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

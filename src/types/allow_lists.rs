//! From which addresses people reach the panel, and programs its API. There is one record, or none: everybody does.

use crate::{Error, Result, Time};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Two lists; an empty one lets everybody in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Allowed {
    /// The panel's pages, and all that needs no token: also signing in.
    pub panel: Vec<IpNet>,
    /// Requests that bring an API token, and what comes signed from servers of others: the ID token of a CI's job, a logout by an identity
    /// provider.
    pub api: Vec<IpNet>,
}

/// What is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AllowLists {
    pub allowed: Allowed,
    /// `allowed` has not been confirmed yet.
    pub trial: Option<AllowTrial>,
}

/// A change that is taken back by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowTrial {
    /// What comes back.
    pub before: Allowed,
    /// From then on `before` holds again, whether or not anything has been written.
    pub until: Time,
}

/// What the edge knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PanelGate {
    pub allowed: Allowed,
    /// Some app waits for what forges send to the panel, from wherever.
    pub webhooks: bool,
}

/// Networks in one list.
const MOST: usize = 200;

impl Allowed {
    pub fn panel_admits(&self, address: IpAddr) -> bool {
        admits(&self.panel, address)
    }

    pub fn api_admits(&self, address: IpAddr) -> bool {
        admits(&self.api, address)
    }

    pub fn is_open(&self) -> bool {
        self.panel.is_empty() && self.api.is_empty()
    }

    /// Whether this may keep somebody out that `before` let in.
    pub fn narrows(&self, before: &Allowed) -> bool {
        narrows(&self.panel, &before.panel) || narrows(&self.api, &before.api)
    }

    /// Networks without host bits, each once. Fails with `Invalid` that names the list.
    pub fn checked(self) -> Result<Allowed> {
        Ok(Allowed {
            panel: checked("panel", self.panel)?,
            api: checked("api", self.api)?,
        })
    }
}

impl AllowLists {
    /// What holds now.
    pub fn in_force(&self, now: Time) -> &Allowed {
        match &self.trial {
            Some(trial) if now >= trial.until => &trial.before,
            _ => &self.allowed,
        }
    }
}

impl PanelGate {
    /// Whether a connection to the panel's own port may lead to anything.
    pub fn opens_to(&self, address: IpAddr) -> bool {
        self.webhooks || self.allowed.panel_admits(address) || self.allowed.api_admits(address)
    }
}

fn admits(list: &[IpNet], address: IpAddr) -> bool {
    list.is_empty() || list.iter().any(|net| net.contains(&address.to_canonical()))
}

/// Whether each network of `before` lies in one of `after` is enough to know that nobody is kept out.
fn narrows(after: &[IpNet], before: &[IpNet]) -> bool {
    if after.is_empty() {
        return false;
    }
    before.is_empty() || before.iter().any(|old| !after.iter().any(|new| new.contains(old)))
}

fn checked(field: &str, list: Vec<IpNet>) -> Result<Vec<IpNet>> {
    if list.len() > MOST {
        return Err(Error::invalid(field, format!("at most {MOST} addresses and networks")));
    }
    let mut kept: Vec<IpNet> = Vec::with_capacity(list.len());
    for net in list {
        if let IpNet::V6(six) = net
            && six.network().to_ipv4_mapped().is_some()
        {
            return Err(Error::invalid(field, format!("write `{net}` as an IPv4 network")));
        }
        let net = net.trunc();
        if !kept.contains(&net) {
            kept.push(net);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(nets: &[&str]) -> Vec<IpNet> {
        nets.iter().map(|net| net.parse().expect("a network")).collect()
    }

    #[test]
    fn addresses_of_both_families() {
        let allowed = Allowed {
            panel: list(&["192.0.2.0/24", "2001:db8::/32"]),
            api: Vec::new(),
        };
        for (address, panel) in [
            ("192.0.2.9", true),
            ("::ffff:192.0.2.9", true),
            ("192.0.3.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(allowed.panel_admits(address), panel, "{address}");
            assert!(allowed.api_admits(address), "an empty list keeps nobody out");
        }
    }

    #[test]
    fn what_keeps_somebody_out() {
        for (before, after, keeps_out) in [
            (&[][..], &[][..], false),
            (&[][..], &["192.0.2.0/24"][..], true),
            (&["192.0.2.0/24"][..], &[][..], false),
            (&["192.0.2.0/24"][..], &["192.0.0.0/16"][..], false),
            (&["192.0.2.0/24"][..], &["192.0.2.0/25"][..], true),
            (&["192.0.2.0/24", "2001:db8::/32"][..], &["192.0.2.0/24"][..], true),
        ] {
            let of = |nets: &[&str]| Allowed {
                panel: list(nets),
                api: list(nets),
            };
            assert_eq!(of(after).narrows(&of(before)), keeps_out, "{before:?} to {after:?}");
        }
    }

    #[test]
    fn a_trial_ends_by_the_clock() {
        let open = Allowed::default();
        let closed = Allowed {
            panel: list(&["192.0.2.0/24"]),
            api: Vec::new(),
        };
        let lists = AllowLists {
            allowed: closed.clone(),
            trial: Some(AllowTrial {
                before: open.clone(),
                until: Time(1000),
            }),
        };
        assert_eq!((lists.in_force(Time(999)), lists.in_force(Time(1000))), (&closed, &open));
    }

    #[test]
    fn lists_are_tidied() {
        let allowed = Allowed {
            panel: list(&["192.0.2.7/24", "192.0.2.0/24", "2001:db8::5/32"]),
            api: Vec::new(),
        };
        assert_eq!(allowed.checked().expect("fine").panel, list(&["192.0.2.0/24", "2001:db8::/32"]));
        let mapped = Allowed {
            panel: Vec::new(),
            api: list(&["::ffff:192.0.2.0/120"]),
        };
        assert_eq!(
            mapped.checked().expect_err("never matches").to_string(),
            "api: write `::ffff:192.0.2.0/120` as an IPv4 network"
        );
        let many = (0..=MOST).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256).parse().expect("a network"));
        let many = Allowed {
            panel: many.collect(),
            api: Vec::new(),
        };
        assert!(many.checked().is_err());
    }
}

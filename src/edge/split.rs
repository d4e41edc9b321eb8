//! One of several apps behind a rule: by turns, as the weights say; or always the same one for a client, where the policy
//! asks for that.

use crate::{
    balance::{Asker, Balanced},
    table::{Leads, Serves},
};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use types::Balancing;

pub(crate) struct Split {
    pub parts: Box<[Leads]>,
    /// Where the share of each ends, of `all`.
    ends: Box<[u64]>,
    all: u64,
    /// Shares no factor with `all`, so that each turn comes up once before any does twice.
    stride: u64,
    turn: AtomicU64,
}

impl Split {
    /// What does not run gets nothing while another does. `parts` has at least one with a weight.
    pub(crate) fn new(parts: Vec<(u32, Leads)>) -> Split {
        let runs = |weight: u32, leads: &Leads| weight > 0 && matches!(leads.serves, Serves::App(_) | Serves::Asleep(_));
        let some_run = parts.iter().any(|(weight, leads)| runs(*weight, leads));
        let mut all = 0;
        let ends = parts.iter().map(|(weight, leads)| {
            if !some_run || runs(*weight, leads) {
                all += u64::from(*weight);
            }
            all
        });
        let ends: Box<[u64]> = ends.collect();
        Split {
            stride: stride(all),
            all: all.max(1),
            ends,
            parts: parts.into_iter().map(|(_, leads)| leads).collect(),
            turn: AtomicU64::new(0),
        }
    }

    /// The one that this request goes to. `how`: the policy's way of balancing.
    pub(crate) fn choose(&self, how: Option<&Balancing>, asker: &Asker<'_>) -> &Leads {
        if let Some(Balancing::StickyCookie { name }) = how
            && let Some(found) = self
                .parts
                .iter()
                .find(|part| balanced(part).is_some_and(|one| one.knows(name, asker)))
        {
            return found;
        }
        let place = match how {
            Some(Balancing::ConsistentHash { key }) => asker.hashed(key) % self.all,
            _ => self.turn.fetch_add(1, Relaxed).wrapping_mul(self.stride) % self.all,
        };
        let at = self.ends.iter().position(|end| place < *end).unwrap_or(0);
        &self.parts[at]
    }
}

fn balanced(leads: &Leads) -> Option<&Balanced> {
    match &leads.serves {
        Serves::App(balanced) => Some(balanced),
        _ => None,
    }
}

/// Near the golden section of `all`, so that neighbours are far apart.
fn stride(all: u64) -> u64 {
    let wanted = (all * 618 / 1000).max(1);
    (wanted..=wanted + all).find(|stride| gcd(*stride, all) == 1).unwrap_or(1)
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_comes_up_once_and_neighbours_differ() {
        for all in 1..200 {
            let mut seen: Vec<u64> = (0..all).map(|n| n * stride(all) % all).collect();
            let first: Vec<u64> = seen.iter().take(2).copied().collect();
            seen.sort_unstable();
            assert!(seen.iter().copied().eq(0..all), "{all}");
            assert!(all < 5 || first[0].abs_diff(first[1]) > 1, "{all}: {first:?}");
        }
    }
}

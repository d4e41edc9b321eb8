//! Whether there is room for what a template wants: its name, its ports, and what the server has free.

use super::{Marketplace, Prepared, ports};
use crate::{quotas::bytes, release_ports};
use catalog::template::{KnownAccount, Needs, Template};
use types::{Action, Actor, Error, Kind, MachineSample, Result, Site};

impl Marketplace {
    /// Fails with `Taken` when another app has the name or a port, and with `Forbidden` when the actor may not open ports. The domain was
    /// looked at before, as a value among the others.
    pub(super) fn must_be_possible(&self, actor: &Actor, wanted: &Prepared) -> Result<()> {
        let apps = self.ground.store.apps.list()?;
        let mut others = apps
            .iter()
            .filter(|app| app.environment == wanted.environment && app.trashed_at.is_none());
        if others.any(|app| app.name == wanted.name) {
            return Err(Error::Taken {
                kind: Kind::App,
                name: wanted.name.to_string(),
                by: None,
            });
        }
        let ports = ports(&wanted.composed.stack);
        if !ports.is_empty() {
            // As for every port of the server.
            actor.may(Action::Operate)?;
        }
        for (listen, ..) in ports {
            let taken = |by: &str| Error::Taken {
                kind: Kind::Stream,
                name: listen.to_string(),
                by: Some(by.to_owned()),
            };
            if release_ports::is_the_panels(&self.ground, listen) {
                return Err(taken("the panel itself"));
            }
            if self.ground.store.streams.find(&listen.to_string())?.is_some() {
                return Err(taken("another app"));
            }
        }
        Ok(())
    }

    /// An account that everybody knows, and what the server is short of: nothing is known of that in its first moments, and nothing is
    /// told to who may not see it.
    pub(super) fn warnings(&self, actor: &Actor, template: &Template) -> Vec<String> {
        let mut warnings: Vec<String> = template.known_account.iter().map(open_to_all).collect();
        if let Some(sample) = self.ground.last_sample.load().as_ref()
            && actor.is_permitted(Action::ViewServers, &Site::organization())
        {
            warnings.extend(short(&template.needs, sample));
        }
        warnings
    }
}

fn open_to_all(KnownAccount { user, password }: &KnownAccount) -> String {
    format!("anybody can sign in as `{user}` with the password `{password}` until you change it")
}

fn short(needs: &Needs, sample: &MachineSample) -> Vec<String> {
    let memory = sample.memory_total_bytes.saturating_sub(sample.memory_used_bytes);
    let disk = sample.disk_total_bytes.saturating_sub(sample.disk_used_bytes);
    let of = |what: &str, needed_mb: u32, free: u64| {
        let needed = u64::from(needed_mb) << 20;
        (needed > free).then(|| format!("it needs {} of {what}, and the server has {} free", bytes(needed), bytes(free)))
    };
    [of("memory", needs.memory_mb, memory), of("disk", needs.disk_mb, disk)]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_is_short_of() {
        let sample = MachineSample {
            memory_total_bytes: 4 << 30,
            memory_used_bytes: 3 << 30,
            disk_total_bytes: 20 << 30,
            disk_used_bytes: 10 << 30,
            ..MachineSample::default()
        };
        let of = |memory_mb, disk_mb| short(&Needs { memory_mb, disk_mb }, &sample);
        assert_eq!(of(1024, 10 << 10), Vec::<String>::new());
        let memory = of(2048, 1);
        assert!(memory.len() == 1 && memory[0].contains("of memory"), "{memory:?}");
        assert!(memory[0].contains("2 GiB") && memory[0].contains("1 GiB"), "{memory:?}");
        let both = of(1025, 10_241);
        assert!(both.len() == 2 && both[1].contains("of disk"), "{both:?}");
    }
}

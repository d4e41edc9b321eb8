//! DNS providers: where zones are kept. Each speaks its service's published interface; which one has a zone is found by
//! the longest suffix.

mod cloudflare;
mod digitalocean;
mod hetzner;
mod hook;
mod rest;
mod rfc2136;
mod route53;
mod values;

use egress::Egress;
use std::collections::BTreeMap;
use types::{DnsProviderKind, DnsProviderOptions, DnsRecord, Error, Result, Secret, World};

/// One account at one service.
#[async_trait::async_trait]
pub trait Provider: Send + Sync {
    /// The zones that it has, without the last dot. Fails with `Unavailable` in words, also when the credentials are wrong.
    async fn zones(&self) -> Result<Vec<String>>;
    /// All records of a zone, but those that this panel cannot show. Fails with `Busy` where it cannot list them.
    async fn records(&self, zone: &str) -> Result<Vec<DnsRecord>>;
    /// Adds a record beside those that are there. Its id is of no matter.
    async fn create(&self, zone: &str, record: &DnsRecord) -> Result<()>;
    /// Takes away the record with this id, or, where the id is empty, the one that says the same.
    async fn delete(&self, zone: &str, record: &DnsRecord) -> Result<()>;
    /// Puts `after` in the place of `before`.
    async fn replace(&self, zone: &str, before: &DnsRecord, after: &DnsRecord) -> Result<()> {
        // First away: a CNAME may not stand beside another.
        self.delete(zone, before).await?;
        match self.create(zone, after).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.create(zone, before).await?;
                Err(error)
            }
        }
    }
    /// Whether it can list records; else it is good for proving names only.
    fn lists_records(&self) -> bool {
        true
    }
}

/// What is secret of an account, by the names of [`needs`].
pub type Credentials = BTreeMap<String, Secret>;

/// The credentials that a kind needs, and those that it may have.
pub fn needs(kind: DnsProviderKind) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        DnsProviderKind::Cloudflare | DnsProviderKind::DigitalOcean | DnsProviderKind::Hetzner => (&["token"], &[]),
        DnsProviderKind::Route53 => (&["access_key_id", "secret_access_key"], &["session_token"]),
        DnsProviderKind::Rfc2136 => (&["key"], &[]),
        DnsProviderKind::Webhook => (&[], &["token"]),
        // Any name: they become environment variables of the program.
        DnsProviderKind::Exec => (&[], &[]),
    }
}

/// Opens an account; nothing is asked yet. Fails with `Invalid` when something is missing or cannot be. `egress`: how far an
/// address in the options may lead.
pub fn open(
    kind: DnsProviderKind,
    options: &DnsProviderOptions,
    credentials: &Credentials,
    world: &World,
    egress: &Egress,
) -> Result<Box<dyn Provider>> {
    let (needed, optional) = needs(kind);
    for name in needed {
        if credentials.get(*name).is_none_or(|value| value.expose().is_empty()) {
            return Err(Error::invalid(format!("credentials.{name}"), format!("{} needs it", kind.words())));
        }
    }
    if kind != DnsProviderKind::Exec
        && let Some(strange) = credentials
            .keys()
            .find(|name| !needed.contains(&name.as_str()) && !optional.contains(&name.as_str()))
    {
        let known: Vec<_> = needed.iter().chain(optional).copied().collect();
        return Err(Error::invalid(
            format!("credentials.{strange}"),
            format!("{} does not know it; it knows {}", kind.words(), known.join(", ")),
        ));
    }
    Ok(match kind {
        DnsProviderKind::Cloudflare => Box::new(cloudflare::Cloudflare::open(options, credentials, egress)?),
        DnsProviderKind::DigitalOcean => Box::new(digitalocean::DigitalOcean::open(options, credentials, egress)?),
        DnsProviderKind::Hetzner => Box::new(hetzner::Hetzner::open(options, credentials, egress)?),
        DnsProviderKind::Route53 => Box::new(route53::Route53::open(options, credentials, world, egress)?),
        DnsProviderKind::Rfc2136 => Box::new(rfc2136::Rfc2136::open(options, credentials, world, egress)?),
        DnsProviderKind::Exec => Box::new(hook::Exec::open(options, credentials)?),
        DnsProviderKind::Webhook => Box::new(hook::Webhook::open(options, credentials, egress)?),
    })
}

/// The zone that a name is in: the one with the longest suffix.
pub fn zone_for<'a>(name: &str, zones: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.trim_start_matches("*.");
    zones
        .into_iter()
        .filter(|zone| name == *zone || name.strip_suffix(*zone).is_some_and(|rest| rest.ends_with('.')))
        .max_by_key(|zone| zone.len())
}

/// The part of a name before its zone, as most services want it: `@` for the zone itself.
fn relative(name: &str, zone: &str) -> String {
    match name.strip_suffix(zone).map(|rest| rest.trim_end_matches('.')) {
        Some("") => "@".to_owned(),
        Some(rest) => rest.to_owned(),
        None => name.to_owned(),
    }
}

/// The other way round.
fn absolute(name: &str, zone: &str) -> String {
    match name.trim_end_matches('.') {
        "@" | "" => zone.to_owned(),
        name => format!("{name}.{zone}"),
    }
}

/// The zones in the options, for kinds that cannot list them.
fn given_zones(options: &DnsProviderOptions) -> Result<Vec<String>> {
    let zones: Vec<String> = options
        .zones
        .iter()
        .map(|zone| zone.trim().trim_end_matches('.').to_ascii_lowercase())
        .filter(|zone| !zone.is_empty())
        .collect();
    if zones.is_empty() {
        return Err(Error::invalid("zones", "name the zones that it has, such as example.com"));
    }
    Ok(zones)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_zone_has_a_name() {
        let zones = ["example.com", "dev.example.com", "ample.com"];
        for (name, zone) in [
            ("example.com", Some("example.com")),
            ("www.example.com", Some("example.com")),
            ("a.dev.example.com", Some("dev.example.com")),
            ("*.dev.example.com", Some("dev.example.com")),
            ("xdev.example.com", Some("example.com")),
            ("example.org", None),
        ] {
            assert_eq!(zone_for(name, zones), zone, "{name}");
        }
    }

    #[test]
    fn names_within_a_zone() {
        for (name, short) in [("example.com", "@"), ("www.example.com", "www"), ("_a.b.example.com", "_a.b")] {
            assert_eq!(relative(name, "example.com"), short);
            assert_eq!(absolute(short, "example.com"), name);
        }
    }
}

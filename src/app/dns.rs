//! DNS providers and the records in their zones.

use crate::{
    ground::Ground,
    organizations,
    sight::{of, owned},
};
use acme::providers::{self, Credentials, Provider};
use std::{collections::BTreeMap, sync::Arc};
use store::Stored;
use types::{
    Action, Actor, DnsProvider, DnsProviderId, DnsProviderKind, DnsProviderOptions, DnsProviderTest, DnsRecord, Error, Fact, Kind,
    OrganizationId, Result, Secret, report,
};

/// A provider to add.
#[derive(Debug)]
pub struct NewDnsProvider {
    pub name: String,
    pub kind: DnsProviderKind,
    pub options: DnsProviderOptions,
    pub credentials: Credentials,
}

/// What should change; `None` leaves as it is.
#[derive(Debug, Default)]
pub struct DnsProviderChange {
    pub name: Option<String>,
    pub options: Option<DnsProviderOptions>,
    /// All of them anew.
    pub credentials: Option<Credentials>,
}

#[derive(Debug, Clone)]
pub struct DnsProviderView {
    pub provider: DnsProvider,
    /// The names of its credentials.
    pub credentials: Vec<String>,
    /// Whether it can list records; else it is good for proving names only.
    pub lists_records: bool,
}

#[derive(Debug, Clone)]
pub struct ZoneView {
    pub zone: String,
    pub provider: DnsProvider,
    pub lists_records: bool,
}

#[derive(Clone)]
pub struct DnsService {
    ground: Arc<Ground>,
}

impl DnsService {
    pub(crate) fn new(ground: Arc<Ground>) -> DnsService {
        DnsService { ground }
    }

    /// Of the organization, by age.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<DnsProviderView>> {
        actor.may(Action::View)?;
        of(&self.ground, actor, self.ground.store.dns_providers.list()?)?
            .into_iter()
            .map(|provider| self.view(provider))
            .collect()
    }

    /// Records it and tries it at once; how that went is in its `tested`. Fails with `Invalid` when something is missing,
    /// with `Taken` by its name.
    pub async fn add(&self, actor: &Actor, new: NewDnsProvider) -> Result<DnsProviderView> {
        actor.may(Action::Administer)?;
        may_be(actor, new.kind)?;
        let name = name(&new.name)?;
        let world = &self.ground.world;
        let provider = providers::open(
            new.kind,
            &new.options,
            &new.credentials,
            world,
            &self.ground.egress(&actor.organization)?,
        )?;
        let record = DnsProvider {
            id: world.id(),
            organization: actor.organization.clone(),
            name: name.clone(),
            kind: new.kind,
            options: new.options,
            credentials: self.seal(actor, &new.credentials)?,
            tested: Some(self.try_out(actor, &*provider).await),
            created_at: world.now(),
            updated_at: world.now(),
        };
        let stored = self.ground.store.dns_providers.insert(record).await?;
        self.ground.events.emit(actor, Fact::DnsProviderAdded { name }).await;
        self.ground.wake_certificates();
        self.view(stored.value)
    }

    pub async fn change(&self, actor: &Actor, id: &str, change: DnsProviderChange) -> Result<DnsProviderView> {
        actor.may(Action::Administer)?;
        let mut stored = self.find(actor, id)?;
        may_be(actor, stored.kind)?;
        if let Some(new) = &change.name {
            stored.name = name(new)?;
        }
        let credentials = match change.credentials {
            Some(credentials) => credentials,
            None => self.unseal(&stored)?,
        };
        stored.options = change.options.unwrap_or_else(|| stored.options.clone());
        let provider = providers::open(
            stored.kind,
            &stored.options,
            &credentials,
            &self.ground.world,
            &self.ground.egress(&actor.organization)?,
        )?;
        stored.credentials = self.seal(actor, &credentials)?;
        stored.tested = Some(self.try_out(actor, &*provider).await);
        stored.updated_at = self.ground.world.now();
        let stored = self.ground.store.dns_providers.save(stored).await?;
        let name = stored.name.clone();
        self.ground.events.emit(actor, Fact::DnsProviderChanged { name }).await;
        self.ground.wake_certificates();
        self.view(stored.value)
    }

    /// Asks it for its zones; how that went is in `tested`.
    pub async fn test(&self, actor: &Actor, id: &str) -> Result<DnsProviderView> {
        actor.may(Action::Administer)?;
        let stored = self.find(actor, id)?;
        let tested = match open(&self.ground, &stored) {
            Ok(provider) => self.try_out(actor, &*provider).await,
            Err(error) => self.failed(actor, &error),
        };
        let stored = self
            .ground
            .store
            .dns_providers
            .update(stored.id.as_str(), |provider| {
                provider.tested = Some(tested.clone());
                Ok(())
            })
            .await?;
        self.ground.wake_certificates();
        self.view(stored.value)
    }

    /// Fails with `Busy` while a certificate is renewed through it.
    pub async fn remove(&self, actor: &Actor, id: &str) -> Result<()> {
        actor.may(Action::Administer)?;
        let stored = self.find(actor, id)?;
        let users = self.ground.store.shared_certificates.list()?;
        if let Some(user) = users.iter().find(|shared| shared.provider.as_ref() == Some(&stored.id)) {
            return Err(Error::busy(format!(
                "the certificate for {} is renewed through {}; remove it, or order it anew without naming the provider",
                user.names.first().map(ToString::to_string).unwrap_or_default(),
                stored.name
            )));
        }
        self.ground.store.dns_providers.remove(stored.id.as_str()).await?;
        let name = stored.name.clone();
        self.ground.events.emit(actor, Fact::DnsProviderRemoved { name }).await;
        Ok(())
    }

    /// The zones of all providers, as their last tests found them.
    pub async fn zones(&self, actor: &Actor) -> Result<Vec<ZoneView>> {
        actor.may(Action::View)?;
        let mut zones = Vec::new();
        for provider in of(&self.ground, actor, self.ground.store.dns_providers.list()?)? {
            let lists_records = lists_records(provider.kind);
            for zone in zones_of(&provider) {
                zones.push(ZoneView {
                    zone,
                    provider: provider.clone(),
                    lists_records,
                });
            }
        }
        zones.sort_by(|a, b| a.zone.cmp(&b.zone));
        Ok(zones)
    }

    /// The records of a zone, by name. Fails with `NotFound`, or with `Busy` where the provider cannot list them.
    pub async fn records(&self, actor: &Actor, zone: &str) -> Result<Vec<DnsRecord>> {
        actor.may(Action::View)?;
        let (provider, zone) = self.zone(actor, zone)?;
        let mut records = provider.records(&zone).await?;
        records.sort_by(|a, b| (&a.name, a.kind, &a.value).cmp(&(&b.name, b.kind, &b.value)));
        Ok(records)
    }

    pub async fn record_create(&self, actor: &Actor, zone: &str, record: DnsRecord) -> Result<DnsRecord> {
        actor.may(Action::Administer)?;
        let (provider, zone) = self.zone(actor, zone)?;
        let record = checked(&zone, record)?;
        provider.create(&zone, &record).await?;
        self.changed(actor, &zone, "created", &record).await;
        self.as_it_is(&*provider, &zone, record).await
    }

    pub async fn record_change(&self, actor: &Actor, zone: &str, id: &str, after: DnsRecord) -> Result<DnsRecord> {
        actor.may(Action::Administer)?;
        let (provider, zone) = self.zone(actor, zone)?;
        let after = checked(&zone, after)?;
        let before = record(&*provider, &zone, id).await?;
        provider.replace(&zone, &before, &after).await?;
        self.changed(actor, &zone, "changed", &after).await;
        self.as_it_is(&*provider, &zone, after).await
    }

    pub async fn record_delete(&self, actor: &Actor, zone: &str, id: &str) -> Result<()> {
        actor.may(Action::Administer)?;
        let (provider, zone) = self.zone(actor, zone)?;
        let before = record(&*provider, &zone, id).await?;
        provider.delete(&zone, &before).await?;
        self.changed(actor, &zone, "deleted", &before).await;
        Ok(())
    }

    /// With the id that the provider gave it, where it lists records.
    async fn as_it_is(&self, provider: &dyn Provider, zone: &str, record: DnsRecord) -> Result<DnsRecord> {
        if !provider.lists_records() {
            return Ok(record);
        }
        let all = provider.records(zone).await?;
        let same = |other: &DnsRecord| other.name == record.name && other.kind == record.kind && other.value == record.value;
        Ok(all.into_iter().find(same).unwrap_or(record))
    }

    async fn changed(&self, actor: &Actor, zone: &str, verb: &str, record: &DnsRecord) {
        let fact = Fact::DnsRecordChanged {
            zone: zone.to_owned(),
            what: format!("{verb} {} {}", record.kind, record.name),
        };
        self.ground.events.emit(actor, fact).await;
    }

    fn zone(&self, actor: &Actor, zone: &str) -> Result<(Box<dyn Provider>, String)> {
        let zone = zone.trim().trim_end_matches('.').to_ascii_lowercase();
        let mut providers = of(&self.ground, actor, self.ground.store.dns_providers.list()?)?.into_iter();
        let found = providers.find(|provider| zones_of(provider).contains(&zone));
        let found = found.ok_or_else(|| Error::not_found(Kind::DnsZone, &zone))?;
        Ok((open(&self.ground, &found)?, zone))
    }

    fn find(&self, actor: &Actor, id: &str) -> Result<Stored<DnsProvider>> {
        let store = &self.ground.store.dns_providers;
        let found = match store.claimed(&format!("{}/{id}", actor.organization))? {
            Some(found) => Some(found),
            None => store.find(id)?,
        };
        owned(&self.ground, actor, Action::View, found.clone(), Kind::DnsProvider, id)?;
        found.ok_or_else(|| Error::not_found(Kind::DnsProvider, id))
    }

    fn view(&self, provider: DnsProvider) -> Result<DnsProviderView> {
        Ok(DnsProviderView {
            credentials: unsealed(&self.ground, &provider)?.into_keys().collect(),
            lists_records: lists_records(provider.kind),
            provider,
        })
    }

    async fn try_out(&self, actor: &Actor, provider: &dyn Provider) -> DnsProviderTest {
        match provider.zones().await {
            Ok(mut zones) => {
                zones.sort();
                zones.dedup();
                let error = zones
                    .is_empty()
                    .then(|| "it has no zones that these credentials may see".to_owned());
                DnsProviderTest {
                    at: self.ground.world.now(),
                    zones,
                    error,
                }
            }
            Err(error) => self.failed(actor, &error),
        }
    }

    fn failed(&self, actor: &Actor, error: &Error) -> DnsProviderTest {
        DnsProviderTest {
            at: self.ground.world.now(),
            zones: Vec::new(),
            error: Some(self.ground.redactor.redact_for(&actor.organization, &report(error)).into_owned()),
        }
    }

    fn seal(&self, actor: &Actor, credentials: &Credentials) -> Result<types::Sealed> {
        let texts: BTreeMap<&str, &str> = credentials
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_str().unwrap_or_default()))
            .collect();
        for value in credentials.values() {
            self.ground.redactor.learn(&actor.organization, value);
        }
        let json = serde_json::to_string(&texts).map_err(|error| Error::internal("sealing credentials", error))?;
        self.ground.store.seal(&Secret::from(json))
    }

    fn unseal(&self, provider: &DnsProvider) -> Result<Credentials> {
        unsealed(&self.ground, provider)
    }
}

/// A program runs on the panel's machine, with the panel's own rights.
fn may_be(actor: &Actor, kind: DnsProviderKind) -> Result<()> {
    match kind {
        DnsProviderKind::Exec => actor.may(Action::UseHost),
        _ => Ok(()),
    }
}

fn lists_records(kind: DnsProviderKind) -> bool {
    !matches!(kind, DnsProviderKind::Exec | DnsProviderKind::Webhook)
}

fn name(text: &str) -> Result<String> {
    let text = text.trim();
    match (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(Error::invalid("name", "use 1 to 64 letters")),
    }
}

pub(crate) fn unsealed(ground: &Ground, provider: &DnsProvider) -> Result<Credentials> {
    let json = ground.store.unseal(&provider.credentials)?;
    let texts: BTreeMap<String, String> =
        serde_json::from_slice(json.expose()).map_err(|error| Error::internal("reading credentials", error))?;
    Ok(texts.into_iter().map(|(name, value)| (name, Secret::from(value))).collect())
}

/// Its zones, by its last test that went well or by its options.
fn zones_of(provider: &DnsProvider) -> Vec<String> {
    match &provider.tested {
        Some(test) if !test.zones.is_empty() => test.zones.clone(),
        _ => provider.options.zones.clone(),
    }
}

/// Opens a provider with its credentials. Fails with `Forbidden` for a program of an organization that does not run the panel.
pub(crate) fn open(ground: &Ground, provider: &DnsProvider) -> Result<Box<dyn Provider>> {
    if provider.kind == DnsProviderKind::Exec && !organizations::runs_the_panel(&ground.store, &provider.organization)? {
        let needs = "the organization that runs this panel".into();
        return Err(Error::Forbidden { needs });
    }
    let credentials = unsealed(ground, provider)?;
    for value in credentials.values() {
        ground.redactor.learn(&provider.organization, value);
    }
    let egress = ground.egress(&provider.organization)?;
    providers::open(provider.kind, &provider.options, &credentials, &ground.world, &egress)
}

/// The provider with the zone of a name, and that zone: of all, or of the one that is wished.
pub(crate) fn provider_for(
    ground: &Ground,
    organization: &OrganizationId,
    wished: Option<&DnsProviderId>,
    name: &str,
) -> Result<Option<(DnsProvider, String)>> {
    let mut best: Option<(DnsProvider, String)> = None;
    for provider in ground.store.dns_providers.list()? {
        if provider.organization != *organization || wished.is_some_and(|wished| *wished != provider.id) {
            continue;
        }
        let zones = zones_of(&provider);
        let zone = providers::zone_for(name, zones.iter().map(String::as_str)).map(str::to_owned);
        if let Some(zone) = zone
            && best.as_ref().is_none_or(|(_, other)| zone.len() > other.len())
        {
            best = Some((provider.value, zone));
        }
    }
    Ok(best)
}

async fn record(provider: &dyn Provider, zone: &str, id: &str) -> Result<DnsRecord> {
    let all = provider.records(zone).await?;
    all.into_iter()
        .find(|record| record.id == id)
        .ok_or_else(|| Error::not_found(Kind::DnsRecord, id))
}

/// Names in lower case and within the zone, values of their type.
fn checked(zone: &str, mut record: DnsRecord) -> Result<DnsRecord> {
    let name = record.name.trim().trim_end_matches('.').to_ascii_lowercase();
    record.name = match name.as_str() {
        "" | "@" => zone.to_owned(),
        name if name == zone || name.ends_with(&format!(".{zone}")) => name.to_owned(),
        name => format!("{name}.{zone}"),
    };
    let well_formed = record.name.len() <= 253
        && record.name.split('.').enumerate().all(|(at, label)| {
            let letters = label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            (1..=63).contains(&label.len()) && (letters || (at == 0 && label == "*"))
        });
    if !well_formed {
        return Err(Error::invalid(
            "name",
            "use labels of letters, digits, - and _, such as www or _dmarc",
        ));
    }
    record.value = record.value.trim().to_owned();
    if record.value.is_empty() || record.value.len() > 4096 || record.value.chars().any(char::is_control) {
        return Err(Error::invalid("value", "must be 1 to 4096 letters on one line"));
    }
    let wrong = |why: &str| Err(Error::invalid("value", why));
    match record.kind {
        types::DnsRecordKind::A if record.value.parse::<std::net::Ipv4Addr>().is_err() => {
            return wrong("an A record holds an IPv4 address");
        }
        types::DnsRecordKind::Aaaa if record.value.parse::<std::net::Ipv6Addr>().is_err() => {
            return wrong("an AAAA record holds an IPv6 address");
        }
        types::DnsRecordKind::Cname | types::DnsRecordKind::Ns if record.value.contains(char::is_whitespace) => {
            return wrong("it holds one name");
        }
        _ => {}
    }
    if !(1..=604_800).contains(&record.ttl_seconds) {
        return Err(Error::invalid("ttl_seconds", "must be between 1 and 604800"));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use types::DnsRecordKind;

    #[test]
    fn records_as_people_type_them() {
        for (name, kind, value, expected) in [
            ("www", DnsRecordKind::A, "192.0.2.1", Some("www.example.com")),
            ("@", DnsRecordKind::A, "192.0.2.1", Some("example.com")),
            ("Example.com.", DnsRecordKind::Txt, "x", Some("example.com")),
            ("*.dev", DnsRecordKind::Aaaa, "2001:db8::1", Some("*.dev.example.com")),
            ("_dmarc.example.com", DnsRecordKind::Txt, "v=DMARC1", Some("_dmarc.example.com")),
            ("a b", DnsRecordKind::A, "192.0.2.1", None),
            ("a.*", DnsRecordKind::A, "192.0.2.1", None),
            ("www", DnsRecordKind::A, "2001:db8::1", None),
            ("www", DnsRecordKind::Cname, "a b", None),
            ("www", DnsRecordKind::Txt, "", None),
        ] {
            let record = DnsRecord {
                id: String::new(),
                name: name.into(),
                kind,
                value: value.into(),
                ttl_seconds: 300,
            };
            let made = checked("example.com", record).ok().map(|record| record.name);
            assert_eq!(made.as_deref(), expected, "{name} {kind} {value}");
        }
    }

    /// One that leaves a mark where it ran.
    fn program(mark: &std::path::Path) -> DnsProviderOptions {
        DnsProviderOptions {
            command: ["/bin/sh", "-c", "touch \"$0\"", &mark.display().to_string()]
                .map(str::to_owned)
                .to_vec(),
            zones: vec!["acme.test".into()],
            ..DnsProviderOptions::default()
        }
    }

    #[tokio::test]
    async fn programs_are_run_for_those_who_run_the_panel_alone() {
        let bench = Bench::new().await;
        let acme = bench.stranger("acme").await;
        let dns = DnsService::new(bench.ground.clone());
        let mark = bench.ground.options.data.join("ran");
        let new = || NewDnsProvider {
            name: "own".into(),
            kind: DnsProviderKind::Exec,
            options: program(&mark),
            credentials: Credentials::new(),
        };
        let refused = dns.add(&acme, new()).await;
        assert!(matches!(refused, Err(Error::Forbidden { .. })), "{refused:?}");
        // One that was recorded before this was asked.
        let mut kept = dns.add(&bench.owner, new()).await.expect("its own machine").provider;
        assert!(std::fs::remove_file(&mark).is_ok(), "it was tried at once");
        kept.id = bench.ground.world.id();
        kept.organization = acme.organization.clone();
        let kept = bench.ground.store.dns_providers.insert(kept).await.expect("saved").value;
        let tested = dns.test(&acme, kept.id.as_str()).await.expect("answers").provider.tested;
        let why = tested.and_then(|test| test.error).expect("refused");
        assert!(why.contains("the organization that runs this panel"), "{why}");
        let record = DnsRecord {
            id: String::new(),
            name: "www.acme.test".into(),
            kind: DnsRecordKind::A,
            value: "192.0.2.1".into(),
            ttl_seconds: 60,
        };
        let refused = dns.record_create(&acme, "acme.test", record).await;
        assert!(matches!(refused, Err(Error::Forbidden { .. })), "{refused:?}");
        let changed = dns.change(&acme, kept.id.as_str(), DnsProviderChange::default()).await;
        assert!(matches!(changed, Err(Error::Forbidden { .. })), "{changed:?}");
        assert!(!mark.exists());
    }
}

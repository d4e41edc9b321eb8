//! Whether an order for a certificate would work, and what to set in DNS so that it does.

use crate::{dns, ground::Ground, sight::owned};
use acme::{
    Dns,
    planner::{Forecast, Level, Note, Situation, forecast},
};
use egress::is_public;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use types::{
    Action, Actor, CertificateName, ChallengeKind, DnsProviderId, DnsRecord, DnsRecordKind, Error, Host, Kind, OrganizationId, Result,
    Settings, Site,
};

/// A record that a host needs, and what DNS says now.
#[derive(Debug, Clone)]
pub struct DnsSetupRecord {
    pub kind: DnsRecordKind,
    pub name: String,
    pub value: String,
    /// What is there.
    pub found: Vec<String>,
    pub ok: bool,
}

/// What to set so that a host leads here.
#[derive(Debug, Clone)]
pub struct DnsSetup {
    pub host: String,
    pub records: Vec<DnsSetupRecord>,
    /// Every record is as it should be, and nothing else leads elsewhere.
    pub ok: bool,
    /// One sentence.
    pub detail: String,
    /// The provider that could set them: its name.
    pub provider: Option<String>,
}

/// Names as they were typed, once it is known that whoever typed them may ask.
pub fn certificate_names(texts: &[String]) -> Result<Vec<CertificateName>> {
    let parse = |text: &String| {
        let bad = |_| Error::invalid("names", format!("{text:?} is no domain name such as example.com or *.example.com"));
        text.parse().map_err(bad)
    };
    texts.iter().map(parse).collect()
}

#[derive(Clone)]
pub struct Forecasts {
    ground: Arc<Ground>,
}

impl Forecasts {
    pub(crate) fn new(ground: Arc<Ground>) -> Forecasts {
        Forecasts { ground }
    }

    /// What would happen if a certificate for these names were ordered. No order is sent.
    pub async fn forecast(&self, actor: &Actor, names: &[String], wish: Option<ChallengeKind>) -> Result<Forecast> {
        actor.may_somewhere(Action::View)?;
        let names = certificate_names(names)?;
        if names.is_empty() || names.len() > 100 {
            return Err(Error::invalid("names", "name 1 to 100"));
        }
        let settings = self.ground.settings()?;
        let authority = AuthoritySays::default();
        plan(&self.ground, &settings, &actor.organization, &names, wish, None, &authority).await
    }

    /// The records to set for a host, and which of them are there.
    pub async fn setup(&self, actor: &Actor, host: &str) -> Result<DnsSetup> {
        actor.may_somewhere(Action::View)?;
        let name: CertificateName = host.parse()?;
        let settings = self.ground.settings()?;
        let dns = resolver(&self.ground, &settings);
        let base = name.base();
        // Any name one label below a wildcard shows whether it is there.
        let asked = if name.is_wildcard() {
            format!("serverkit-check.{base}")
        } else {
            base.to_string()
        };
        let mine = public_addresses(&self.ground, &settings);
        let zone = dns.zone_of(base.as_str(), &self.ground.egress(&actor.organization)?).await;
        let found = dns.addresses(&asked, zone.as_ref()).await?;
        let mut records = Vec::new();
        for address in &mine {
            let same_family: Vec<String> = found
                .iter()
                .filter(|other| other.is_ipv4() == address.is_ipv4())
                .map(ToString::to_string)
                .collect();
            records.push(DnsSetupRecord {
                kind: if address.is_ipv4() { DnsRecordKind::A } else { DnsRecordKind::Aaaa },
                name: name.to_string(),
                value: address.to_string(),
                ok: same_family.contains(&address.to_string()),
                found: same_family,
            });
        }
        let strays: Vec<String> = found
            .iter()
            .filter(|address| !mine.contains(address))
            .map(ToString::to_string)
            .collect();
        // One address that leads here is enough: not every server has both families.
        let ok = strays.is_empty() && records.iter().any(|record| record.ok);
        let provider = dns::provider_for(&self.ground, &actor.organization, None, name.as_str())?;
        let detail = if mine.is_empty() {
            "this server's public address is not known: set public_addresses in the settings".to_owned()
        } else if ok {
            format!("{name} leads to this server")
        } else if !strays.is_empty() {
            format!(
                "{name} leads to {}, which is not this server: change or remove these records",
                strays.join(", ")
            )
        } else {
            format!("set one of these records where the zone of {base} is kept; it is looked for again by itself")
        };
        if ok {
            self.look_again(actor, &name).await?;
        }
        Ok(DnsSetup {
            host: name.to_string(),
            records,
            ok,
            detail,
            provider: provider.map(|(provider, _)| provider.name),
        })
    }

    /// Sets the records of [`Forecasts::setup`] through the DNS provider that has the zone. Fails with `NotFound` when
    /// none has it.
    pub async fn apply(&self, actor: &Actor, host: &str) -> Result<DnsSetup> {
        actor.may(Action::Administer)?;
        let name: CertificateName = host.parse()?;
        let found = dns::provider_for(&self.ground, &actor.organization, None, name.as_str())?;
        let (provider, zone) = found.ok_or_else(|| Error::not_found(Kind::DnsZone, name.base()))?;
        let provider = dns::open(&self.ground, &provider)?;
        let mine = public_addresses(&self.ground, &self.ground.settings()?);
        if mine.is_empty() {
            return Err(Error::busy(
                "this server's public address is not known: set public_addresses in the settings",
            ));
        }
        let there: Vec<DnsRecord> = match provider.lists_records() {
            true => provider.records(&zone).await?,
            false => Vec::new(),
        };
        let of_name = |record: &&DnsRecord| {
            record.name == name.as_str() && matches!(record.kind, DnsRecordKind::A | DnsRecordKind::Aaaa | DnsRecordKind::Cname)
        };
        for record in there.iter().filter(of_name) {
            if !mine.iter().any(|address| record.value == address.to_string()) {
                provider.delete(&zone, record).await?;
            }
        }
        for address in &mine {
            if there.iter().filter(of_name).any(|record| record.value == address.to_string()) {
                continue;
            }
            let record = DnsRecord {
                id: String::new(),
                name: name.to_string(),
                kind: if address.is_ipv4() { DnsRecordKind::A } else { DnsRecordKind::Aaaa },
                value: address.to_string(),
                ttl_seconds: 300,
            };
            provider.create(&zone, &record).await?;
        }
        let fact = types::Fact::DnsRecordChanged {
            zone,
            what: format!("pointed {name} to this server"),
        };
        self.ground.events.emit(actor, fact).await;
        self.setup(actor, host).await
    }

    /// Whether they see what it leads to; the panel's own names are for those who run it.
    fn is_theirs(&self, actor: &Actor, name: &CertificateName) -> Result<bool> {
        match self.ground.store.domains.find(name.as_str())? {
            None => Ok(actor.is_permitted(Action::Operate, &Site::organization())),
            found => Ok(owned(&self.ground, actor, Action::View, found, Kind::Domain, name.as_str()).is_ok()),
        }
    }

    /// An order that waited for DNS need not wait any longer; of others nobody hastens one.
    async fn look_again(&self, actor: &Actor, name: &CertificateName) -> Result<()> {
        if !self.is_theirs(actor, name)? {
            return Ok(());
        }
        let store = &self.ground.store.certificates;
        let waits = |certificate: &types::Certificate| certificate.state == types::CertificateState::Waiting;
        if store.find(name.as_str())?.is_some_and(|found| waits(&found)) {
            let now = self.ground.world.now();
            store
                .update(name.as_str(), |certificate| {
                    if waits(certificate) {
                        certificate.next_try_at = Some(now);
                    }
                    Ok(())
                })
                .await?;
            self.ground.wake_certificates();
        }
        Ok(())
    }
}

/// What an authority says of itself.
#[derive(Debug, Default)]
pub(crate) struct AuthoritySays {
    pub caa_identities: Vec<String>,
    pub account: String,
}

/// The name servers of the settings, else of the configuration, else public ones.
pub(crate) fn resolver(ground: &Ground, settings: &Settings) -> Dns {
    Dns::new(servers(ground, settings))
}

fn servers<'a>(ground: &'a Ground, settings: &'a Settings) -> &'a [SocketAddr] {
    match settings.certificates.dns_servers.as_slice() {
        [] => &ground.options.dns_servers,
        given => given,
    }
}

/// Under which the world reaches this server.
pub(crate) fn public_addresses(ground: &Ground, settings: &Settings) -> Vec<IpAddr> {
    let mut addresses = settings.certificates.public_addresses.clone();
    addresses.extend(ground.node.addresses().into_iter().filter(|address| is_public(*address)));
    addresses.sort();
    addresses.dedup();
    addresses
}

/// The directory that orders go to: what was fixed at the start, else the settings', else Let's Encrypt's staging one
/// in place of its real one.
pub(crate) fn directory(ground: &Ground, settings: &Settings) -> url::Url {
    let directory = ground
        .options
        .acme_directory
        .clone()
        .unwrap_or_else(|| settings.acme_directory.clone());
    match directory.as_str() {
        "https://acme-v02.api.letsencrypt.org/directory" if settings.certificates.staging => {
            "https://acme-staging-v02.api.letsencrypt.org/directory"
                .parse()
                .expect("a literal address parses")
        }
        _ => directory,
    }
}

/// Whether the authority is on the internet: one that is not may see another DNS than public resolvers do.
fn is_private(directory: &url::Url) -> bool {
    let host = directory
        .host_str()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => !is_public(address),
        Err(_) => !host.parse::<Host>().is_ok_and(|host| host.is_public()),
    }
}

/// Chooses how to prove these names, and says whether it would work: what was wished, else by HTTP, else by DNS where a
/// provider has the zones.
pub(crate) async fn plan(
    ground: &Ground,
    settings: &Settings,
    organization: &OrganizationId,
    names: &[CertificateName],
    wish: Option<ChallengeKind>,
    provider: Option<&DnsProviderId>,
    authority: &AuthoritySays,
) -> Result<Forecast> {
    let mut providers = Vec::new();
    for name in names {
        providers.push(dns::provider_for(ground, organization, provider, name.as_str())?.map(|(provider, _)| provider.name));
    }
    let wildcard = names.iter().any(CertificateName::is_wildcard);
    let by_dns = providers.iter().all(Option::is_some);
    let tries = match wish.or(settings.certificates.challenge) {
        _ if wildcard => vec![ChallengeKind::Dns],
        Some(wish) => vec![wish],
        None if by_dns => vec![ChallengeKind::Http, ChallengeKind::Dns],
        None => vec![ChallengeKind::Http],
    };
    let blind = servers(ground, settings).is_empty() && is_private(&directory(ground, settings));
    let ours = public_addresses(ground, settings);
    let egress = ground.egress(organization)?;
    let (token, answer) = (ground.world.word(32), ground.world.word(32));
    // Shows whether an address that is not ours leads here all the same.
    let probes = !blind && tries.contains(&ChallengeKind::Http);
    if probes {
        ground.routing.publish_challenge(&token, &answer);
        crate::routing::apply(ground).await?;
    }
    let dns = resolver(ground, settings);
    let mut best: Option<Forecast> = None;
    for challenge in tries {
        let situation = Situation {
            names,
            challenge,
            ours: &ours,
            caa_identities: &authority.caa_identities,
            account: &authority.account,
            http_port: Some(ground.options.http_port),
            https_port: Some(ground.options.https_port),
            probe: probes.then_some((token.as_str(), answer.as_str())),
            egress: &egress,
            providers: &providers,
        };
        let made = if blind && !names.iter().any(|name| !name.base().is_public()) && challenge != ChallengeKind::Dns {
            unseen(names, challenge)
        } else {
            forecast(&dns, &situation).await
        };
        let works = made.problem().is_none();
        if works || best.is_none() {
            best = Some(made);
        }
        if works {
            break;
        }
    }
    if probes {
        ground.routing.withdraw_challenge(&token);
        crate::routing::apply(ground).await?;
    }
    best.ok_or_else(|| Error::invalid("names", "name at least one"))
}

fn unseen(names: &[CertificateName], challenge: ChallengeKind) -> Forecast {
    let note = |name: &CertificateName| Note {
        name: name.clone(),
        level: Level::Unsure,
        words: format!("the certificate authority is in a network of its own, so what DNS tells it of {name} is not known here"),
        next_step: "set dns_servers in the settings to the name servers that it asks".into(),
    };
    Forecast {
        challenge,
        notes: names.iter().map(note).collect(),
        addresses: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Apps, NewApp, testing::Bench};
    use types::{Certificate, CertificateOrigin, CertificateState, Role, Time};

    #[tokio::test]
    async fn nobody_hastens_the_certificate_of_another_organization() {
        let bench = Bench::new().await;
        let certificates = &bench.ground.store.certificates;
        let later = Time(bench.ground.world.now().0 + 3_600_000);
        for host in ["shop.test", "panel.test"] {
            let waits = Certificate {
                host: host.parse().expect("a host"),
                origin: CertificateOrigin::Acme,
                state: CertificateState::Waiting,
                chain_pem: String::new(),
                key: None,
                issuer: String::new(),
                fingerprint: String::new(),
                not_before: None,
                not_after: None,
                challenge: None,
                last_error: None,
                next_step: None,
                failures: 0,
                next_try_at: Some(later),
                renewal: None,
                warned_days: None,
                created_at: later,
                updated_at: later,
            };
            certificates.insert(waits).await.expect("recorded");
        }
        let shop = NewApp {
            domains: Some(vec!["shop.test".parse().expect("a host")]),
            deploy: false,
            ..crate::tests::wish("shop")
        };
        Apps::new(bench.ground.clone()).create(&bench.owner, shop).await.expect("made");
        let viewer = Actor {
            role: Role::Viewer,
            ..bench.owner.clone()
        };
        let stranger = bench.stranger("acme").await;
        let forecasts = Forecasts::new(bench.ground.clone());
        for (actor, host, hastened) in [
            (&stranger, "shop.test", false),
            (&stranger, "panel.test", false),
            (&viewer, "panel.test", false),
            (&viewer, "shop.test", true),
            (&bench.owner, "panel.test", true),
        ] {
            forecasts.look_again(actor, &host.parse().expect("a name")).await.expect("looked");
            let next = certificates.get(host).expect("there").next_try_at;
            assert_eq!(next != Some(later), hastened, "{host} by {actor:?}");
        }
    }

    #[test]
    fn authorities_that_are_not_on_the_internet() {
        for (url, private) in [
            ("https://acme-v02.api.letsencrypt.org/directory", false),
            ("https://localhost:14000/dir", true),
            ("https://ca.internal/acme", true),
            ("https://10.0.0.1/acme", true),
        ] {
            assert_eq!(is_private(&url.parse().expect("an address")), private, "{url}");
        }
    }
}

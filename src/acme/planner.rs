//! Whether an order would work, before one is sent: what DNS says of the names, whether they lead here, and whether CAA
//! records allow the authority. An order that fails costs the domain part of its budget there; a question costs nothing.

use crate::{
    caa::{Asker, Caa, permits},
    dns::{Dns, Zone},
};
use bytes::Bytes;
use egress::Egress;
use hickory_proto::rr::RecordType;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use types::{BoxError, CertificateName, ChallengeKind, Error};

const PATIENCE: Duration = Duration::from_secs(4);

/// An order that is thought about.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    pub names: &'a [CertificateName],
    pub challenge: ChallengeKind,
    /// The addresses under which the world reaches this server; empty when that is not known.
    pub ours: &'a [IpAddr],
    /// What CAA records call the authority; empty when it does not say.
    pub caa_identities: &'a [String],
    /// The account's address; empty when there is none yet.
    pub account: &'a str,
    /// Where the edge serves plain HTTP and TLS.
    pub http_port: Option<u16>,
    pub https_port: Option<u16>,
    /// A token that the edge answers, and the answer: to see whether an address that is not ours leads here all the same.
    pub probe: Option<(&'a str, &'a str)>,
    /// Which addresses may be looked at so, and which name servers asked.
    pub egress: &'a Egress,
    /// For DNS-01: which provider has the zone of each name; `None` where none has.
    pub providers: &'a [Option<String>],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Ok,
    /// It may work, or may not.
    Unsure,
    /// It would fail.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub name: CertificateName,
    pub level: Level,
    /// One sentence.
    pub words: String,
    /// What to do, one sentence; empty when all is well.
    pub next_step: String,
}

/// What would happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    pub challenge: ChallengeKind,
    pub notes: Vec<Note>,
    /// What the names resolve to.
    pub addresses: Vec<IpAddr>,
}

impl Forecast {
    /// The first reason why it would fail.
    pub fn problem(&self) -> Option<&Note> {
        self.notes.iter().find(|note| note.level == Level::Problem)
    }
}

/// Looks at everything that can be looked at without an order.
pub async fn forecast(dns: &Dns, situation: &Situation<'_>) -> Forecast {
    let mut made = Forecast {
        challenge: situation.challenge,
        notes: Vec::new(),
        addresses: Vec::new(),
    };
    for (index, name) in situation.names.iter().enumerate() {
        if !name.base().is_public() {
            made.problem_with(
                name,
                format!("no public certificate authority can know {name}"),
                "nothing: the panel's own authority serves such names",
            );
            continue;
        }
        if name.is_wildcard() && situation.challenge != ChallengeKind::Dns {
            made.problem_with(
                name,
                format!("a wildcard needs the check by DNS, not {}", situation.challenge.name()),
                "add a DNS provider that has the zone: serverkit dns provider add",
            );
            continue;
        }
        let zone = dns.zone_of(name.base().as_str(), situation.egress).await;
        match situation.challenge {
            ChallengeKind::Dns => provider(&mut made, name, situation.providers.get(index).and_then(Option::as_ref)),
            ChallengeKind::Http | ChallengeKind::TlsAlpn => leads_here(&mut made, dns, name, zone.as_ref(), situation).await,
        }
        caa(&mut made, dns, name, zone.as_ref(), situation).await;
    }
    made.addresses.sort();
    made.addresses.dedup();
    made
}

impl Forecast {
    fn say(&mut self, name: &CertificateName, level: Level, words: impl Into<String>, next_step: impl Into<String>) {
        self.notes.push(Note {
            name: name.clone(),
            level,
            words: words.into(),
            next_step: next_step.into(),
        });
    }
    fn problem_with(&mut self, name: &CertificateName, words: impl Into<String>, next_step: impl Into<String>) {
        self.say(name, Level::Problem, words, next_step);
    }
}

fn provider(made: &mut Forecast, name: &CertificateName, provider: Option<&String>) {
    match provider {
        Some(provider) => made.say(name, Level::Ok, format!("the DNS provider {provider} can prove {name}"), ""),
        None => made.problem_with(
            name,
            format!("no DNS provider has the zone of {name}, and only with one it can be proven by DNS"),
            "add the provider where the zone is kept: serverkit dns provider add",
        ),
    }
}

async fn leads_here(made: &mut Forecast, dns: &Dns, name: &CertificateName, zone: Option<&Zone>, situation: &Situation<'_>) {
    let host = name.base();
    let port = match situation.challenge {
        ChallengeKind::TlsAlpn => situation.https_port,
        ChallengeKind::Http | ChallengeKind::Dns => situation.http_port,
    };
    let Some(port) = port else {
        return made.problem_with(
            name,
            format!("this server does not listen for {}", situation.challenge.name()),
            "choose another acme_challenge in the settings, or let the server listen on port 80",
        );
    };
    let mine = match situation.ours {
        [] => String::new(),
        ours => format!(" ({})", list(ours)),
    };
    let addresses = match dns.addresses(host.as_str(), zone).await {
        Ok(addresses) => addresses,
        Err(Error::Unavailable { what, .. }) => {
            return made.say(
                name,
                Level::Unsure,
                format!("DNS could not be asked: {what}"),
                "check dns_servers in the settings",
            );
        }
        Err(error) => return made.say(name, Level::Unsure, format!("DNS could not be asked: {error}"), ""),
    };
    made.addresses.extend(&addresses);
    if addresses.is_empty() {
        return made.problem_with(
            name,
            format!("{host} has no address in DNS"),
            format!("set an A or AAAA record of {host} to this server{mine}"),
        );
    }
    let Strangers { elsewhere, unsure } = strangers(&addresses, host.as_str(), situation).await;
    if !elsewhere.is_empty() {
        return made.problem_with(
            name,
            format!("{host} leads to {}, which is not this server{mine}", list(&elsewhere)),
            format!(
                "point all A and AAAA records of {host} to this server{mine}; if it is reached under another address, set public_addresses"
            ),
        );
    }
    if !unsure.is_empty() {
        return made.say(
            name,
            Level::Unsure,
            format!(
                "{host} leads to {}; whether that is this server cannot be seen from here",
                list(&unsure)
            ),
            "set public_addresses in the settings to the addresses under which the world reaches this server",
        );
    }
    comes_to(made, name, port, situation.challenge);
}

/// Addresses that are not known as this server's.
#[derive(Default)]
struct Strangers {
    elsewhere: Vec<IpAddr>,
    /// They may be this server's all the same.
    unsure: Vec<IpAddr>,
}

async fn strangers(addresses: &[IpAddr], host: &str, situation: &Situation<'_>) -> Strangers {
    let mut found = Strangers::default();
    for address in addresses.iter().copied() {
        if situation.ours.contains(&address) {
            continue;
        }
        // It may be a proxy in front of this server, or address translation.
        match (situation.challenge, situation.probe) {
            (ChallengeKind::Http, Some((token, answer))) if situation.egress.admits(address, 80) => {
                match probe(SocketAddr::new(address, 80), host, token).await {
                    Ok(body) if body.trim() == answer => {}
                    Ok(_) => found.elsewhere.push(address),
                    Err(_) if situation.ours.is_empty() => found.unsure.push(address),
                    Err(_) => found.elsewhere.push(address),
                }
            }
            _ if situation.ours.is_empty() => found.unsure.push(address),
            _ => found.elsewhere.push(address),
        }
    }
    found
}

/// Whether the authority comes to the port at which this server listens.
fn comes_to(made: &mut Forecast, name: &CertificateName, port: u16, challenge: ChallengeKind) {
    let host = name.base();
    let wanted = if challenge == ChallengeKind::TlsAlpn { 443 } else { 80 };
    if port == wanted {
        made.say(name, Level::Ok, format!("{host} leads to this server"), "");
    } else {
        made.say(
            name,
            Level::Unsure,
            format!("{host} leads to this server, which listens on port {port}; the authority comes to port {wanted}"),
            format!("let port {wanted} be forwarded to port {port}, or listen on {wanted}"),
        );
    }
}

/// The records nearest to the name count (RFC 8659, 3).
async fn caa(made: &mut Forecast, dns: &Dns, name: &CertificateName, zone: Option<&Zone>, situation: &Situation<'_>) {
    let base = name.base();
    let mut at = base.as_str();
    while at.contains('.') {
        let inside = zone.filter(|zone| at == zone.name || at.ends_with(&format!(".{}", zone.name)));
        match dns.freshest(at, RecordType::CAA, inside).await {
            Ok(found) => {
                let records: Vec<Caa> = found.records().iter().filter_map(Caa::of).collect();
                if !records.is_empty() {
                    let asker = Asker {
                        identities: situation.caa_identities,
                        account: situation.account,
                        challenge: situation.challenge,
                        wildcard: name.is_wildcard(),
                    };
                    if let Err(why) = permits(&records, asker) {
                        let authority = situation
                            .caa_identities
                            .first()
                            .map_or("the certificate authority in the settings", |name| name);
                        made.problem_with(
                            name,
                            format!("the CAA record of {at} does not allow {authority}: {why}"),
                            format!("add the CAA record `{at} CAA 0 issue \"{authority}\"`, or remove the record"),
                        );
                    }
                    return;
                }
            }
            Err(error) => {
                return made.say(
                    name,
                    Level::Unsure,
                    format!("the CAA record of {at} could not be read: {error}"),
                    "check the name servers of the zone; an authority that cannot read it issues nothing",
                );
            }
        }
        at = at.split_once('.').map_or("", |(_, rest)| rest);
    }
}

/// What a challenge's address answers, at most 1 KiB of it.
async fn probe(server: SocketAddr, host: &str, token: &str) -> Result<String, BoxError> {
    let talk = async {
        let stream = TcpStream::connect(server).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            let _ = connection.await; // the sender learns of its end
        });
        let request = http::Request::builder()
            .uri(format!("/.well-known/acme-challenge/{token}"))
            .header(http::header::HOST, host)
            .body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let body = Limited::new(answer.into_body(), 1024).collect().await?.to_bytes();
        Ok::<_, BoxError>(String::from_utf8_lossy(&body).into_owned())
    };
    timeout(PATIENCE, talk).await.map_err(|_| "it does not answer in time")?
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

//! A name server of one's own, by dynamic updates (RFC 2136) signed with TSIG (RFC 8945): BIND, Knot, PowerDNS, Windows.
//! Records are listed by a zone transfer (AXFR), which the server must allow to the key.

use super::{
    Credentials, Provider, given_zones,
    values::{plain, presented},
};
use crate::dns::{over_tcp, parsed, receive, send};
use base64::{Engine, prelude::BASE64_STANDARD};
use egress::Egress;
use hickory_proto::{
    op::{Message, ResponseCode, update_message},
    rr::{
        Name, RData, Record, RecordSet, RecordType, TSigner,
        rdata::tsig::{TsigAlgorithm, TsigError},
    },
};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use types::{DnsProviderOptions, DnsRecord, DnsRecordKind, Doing, Error, Result, World};

const PATIENCE: Duration = Duration::from_secs(15);
/// Seconds that the clocks may differ, as RFC 8945 recommends.
const FUDGE: u16 = 300;

pub(super) struct Rfc2136 {
    server: SocketAddr,
    zones: Vec<String>,
    signer: TSigner,
    world: World,
}

impl Rfc2136 {
    pub fn open(options: &DnsProviderOptions, credentials: &Credentials, world: &World, egress: &Egress) -> Result<Rfc2136> {
        let bad = Error::invalid;
        let server = options.server.as_deref().unwrap_or_default().trim();
        let server: SocketAddr = server
            .parse()
            .or_else(|_| server.parse().map(|address| SocketAddr::new(address, 53)))
            .map_err(|_| {
                bad(
                    "server",
                    "must be the address of the primary name server, such as 192.0.2.1 or 192.0.2.1:53",
                )
            })?;
        egress.check(server)?;
        let key_name = options.key_name.as_deref().unwrap_or_default();
        let key_name = parsed(key_name).ok().filter(|name| !name.is_root());
        let key_name = key_name.ok_or_else(|| bad("key_name", "must be the name of the TSIG key, as the name server has it"))?;
        let key = credentials.get("key").and_then(|key| key.expose_str()).unwrap_or_default().trim();
        let key = BASE64_STANDARD.decode(key).map_err(|_| {
            bad(
                "credentials.key",
                "must be the secret of the TSIG key in base64, as `tsig-keygen` prints it",
            )
        })?;
        let algorithm = match options.algorithm.as_deref().unwrap_or("hmac-sha256").trim().trim_end_matches('.') {
            "hmac-sha256" => TsigAlgorithm::HmacSha256,
            "hmac-sha384" => TsigAlgorithm::HmacSha384,
            "hmac-sha512" => TsigAlgorithm::HmacSha512,
            _ => return Err(bad("algorithm", "use hmac-sha256, hmac-sha384 or hmac-sha512")),
        };
        Ok(Rfc2136 {
            server,
            zones: given_zones(options)?,
            signer: TSigner::new(key, algorithm, key_name, FUDGE).doing("preparing a TSIG key")?,
            world: world.clone(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.world.now().0 / 1000).unwrap_or(0)
    }

    async fn update(&self, mut message: Message) -> Result<()> {
        let doing = "writing a DNS update";
        let mut verifier = message.finalize(&self.signer, self.now()).doing(doing)?;
        let bytes = message.to_vec().doing(doing)?;
        let answer = over_tcp(self.server, &bytes, PATIENCE).await?;
        let said = Message::from_vec(&answer).map_err(|_| self.nonsense())?;
        if said.response_code != ResponseCode::NoError {
            return Err(self.refused(&said));
        }
        // Only a signed yes is one.
        if let Some(verifier) = &mut verifier {
            verifier.verify(&answer).map_err(|_| self.unsigned())?;
        }
        Ok(())
    }

    /// `NotAuth` has two meanings: a key that is not accepted (RFC 8945, 5.2: the answer's own TSIG record says why, or there is none), and a
    /// zone that the server does not serve (RFC 2136, 3.1.2: the answer is signed as any other).
    fn refused(&self, answer: &Message) -> Error {
        let server = self.server;
        let signed = answer.signature.as_ref().map(|record| &record.data.error);
        Error::unavailable(match (answer.response_code, signed) {
            (ResponseCode::NotAuth, Some(None)) => format!("the name server {server} does not serve this zone: check the zone's name"),
            (ResponseCode::NotAuth, Some(Some(TsigError::BadTime))) => {
                format!("the name server {server} does not accept the time of the signature: check both clocks")
            }
            (ResponseCode::NotAuth, _) => {
                format!("the name server {server} does not accept the key: check its name, secret and algorithm")
            }
            (ResponseCode::Refused, _) => {
                format!("the name server {server} does not allow this to the key: check allow-update (BIND) or acl (Knot)")
            }
            (ResponseCode::NotZone, _) => format!("the name server {server} says that the name is outside of the zone"),
            (code, _) => format!("the name server {server} refuses: {code}"),
        })
    }
    fn nonsense(&self) -> Error {
        Error::unavailable(format!("the name server {} answers what is no DNS message", self.server))
    }
    fn unsigned(&self) -> Error {
        Error::unavailable(format!("the answer of the name server {} is not signed with the key", self.server))
    }

    /// All records of a zone (RFC 5936).
    async fn transfer(&self, zone: &Name) -> Result<Vec<Record>> {
        let doing = "asking for a zone";
        let mut message = update_message::zone_transfer(zone.clone(), None);
        let mut verifier = message.finalize(&self.signer, self.now()).doing(doing)?;
        let bytes = message.to_vec().doing(doing)?;
        let silent = |error: std::io::Error| Error::unavailable_by(format!("the name server {} does not answer", self.server), error);
        let talk = async {
            let mut stream = TcpStream::connect(self.server).await.map_err(silent)?;
            send(&mut stream, &bytes).await.map_err(silent)?;
            let mut records: Vec<Record> = Vec::new();
            let mut ends = 0;
            // It begins and ends with the SOA record.
            while ends < 2 {
                let part = receive(&mut stream).await.map_err(silent)?;
                let answer = Message::from_vec(&part).map_err(|_| self.nonsense())?;
                if answer.response_code != ResponseCode::NoError {
                    return Err(match answer.response_code {
                        ResponseCode::Refused if records.is_empty() => Error::unavailable(format!(
                            "the name server {} does not give the zone to the key: check the key, and allow-transfer (BIND) or acl (Knot)",
                            self.server
                        )),
                        _ => self.refused(&answer),
                    });
                }
                // Servers may leave some messages in the middle unsigned; the first never.
                if let Some(verifier) = &mut verifier
                    && (records.is_empty() || answer.signature.is_some())
                {
                    verifier.verify(&part).map_err(|_| self.unsigned())?;
                }
                if answer.answers.is_empty() {
                    return Err(self.nonsense());
                }
                ends += answer
                    .answers
                    .iter()
                    .filter(|record| record.record_type() == RecordType::SOA)
                    .count();
                records.extend(answer.answers.iter().cloned());
            }
            Ok(records)
        };
        let late = || Error::unavailable(format!("the name server {} does not give the zone in time", self.server));
        timeout(PATIENCE * 2, talk).await.map_err(|_| late())?
    }

    /// Fails with `Invalid` when it is not within the zone, or its value is not one of its type.
    fn set(&self, zone: &str, record: &DnsRecord) -> Result<RecordSet> {
        let kind = wire(record.kind);
        if !parsed(zone)?.zone_of(&parsed(&record.name)?) {
            return Err(Error::invalid("name", format!("{} is not within the zone {zone}", record.name)));
        }
        let data = match record.kind {
            DnsRecordKind::Txt => {
                let bytes = record.value.as_bytes();
                let pieces = bytes.chunks(255).map(<[u8]>::to_vec).collect::<Vec<_>>();
                RData::TXT(hickory_proto::rr::rdata::TXT::from_bytes(
                    pieces.iter().map(Vec::as_slice).collect(),
                ))
            }
            _ => RData::try_from_str(kind, &presented(record))
                .map_err(|_| Error::invalid("value", format!("is not the value of a {} record", record.kind)))?,
        };
        Ok(RecordSet::from(Record::from_rdata(parsed(&record.name)?, record.ttl_seconds, data)))
    }
}

fn wire(kind: DnsRecordKind) -> RecordType {
    match kind {
        DnsRecordKind::A => RecordType::A,
        DnsRecordKind::Aaaa => RecordType::AAAA,
        DnsRecordKind::Caa => RecordType::CAA,
        DnsRecordKind::Cname => RecordType::CNAME,
        DnsRecordKind::Mx => RecordType::MX,
        DnsRecordKind::Ns => RecordType::NS,
        DnsRecordKind::Srv => RecordType::SRV,
        DnsRecordKind::Txt => RecordType::TXT,
    }
}

fn record(record: &Record) -> Option<DnsRecord> {
    let kind = DnsRecordKind::ALL.into_iter().find(|kind| wire(*kind) == record.record_type())?;
    let value = match &record.data {
        RData::CAA(caa) => format!(
            "{} {} \"{}\"",
            if caa.issuer_critical { 128 } else { 0 },
            caa.tag,
            String::from_utf8_lossy(&caa.value)
        ),
        RData::TXT(text) => text.to_string(),
        data => plain(kind, &data.to_string()),
    };
    let name = record.name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    Some(DnsRecord {
        id: format!("{kind} {name} {value}"),
        name,
        kind,
        value,
        ttl_seconds: record.ttl,
    })
}

#[async_trait::async_trait]
impl Provider for Rfc2136 {
    /// The zones of the options; each is asked for, so that a wrong key shows.
    async fn zones(&self) -> Result<Vec<String>> {
        for zone in &self.zones {
            // An update that changes nothing: a prerequisite alone (RFC 2136, 2.4).
            let absent = DnsRecord {
                id: String::new(),
                name: format!("_serverkit-test.{zone}"),
                kind: DnsRecordKind::Txt,
                value: "test".into(),
                ttl_seconds: 60,
            };
            self.update(update_message::delete_by_rdata(self.set(zone, &absent)?, parsed(zone)?, false))
                .await?;
        }
        Ok(self.zones.clone())
    }

    async fn records(&self, zone: &str) -> Result<Vec<DnsRecord>> {
        let all = self.transfer(&parsed(zone)?).await?;
        Ok(all.iter().filter_map(record).collect())
    }

    async fn create(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        self.update(update_message::append(self.set(zone, record)?, parsed(zone)?, false, false))
            .await
    }

    async fn delete(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        self.update(update_message::delete_by_rdata(self.set(zone, record)?, parsed(zone)?, false))
            .await
    }
}

//! Questions to name servers of our choice: to resolvers, and to the servers that are the authority for a zone. A library's
//! resolver asks whom it likes and remembers; whether an order would work depends on what the authority sees now.

use egress::Egress;
use futures::future::{join_all, select_ok};
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use types::{Error, Result};

/// Cloudflare, Google and Quad9: asked when the settings name no others.
const PUBLIC: [&str; 3] = ["1.1.1.1:53", "8.8.8.8:53", "9.9.9.9:53"];
/// For one try; there are two.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Name servers of a zone that are asked.
const AUTHORITIES: usize = 3;

/// What name servers say of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Records(Vec<RData>),
    /// The name is there, but has no records of this type.
    Nothing,
    NoSuchName,
}

impl Found {
    pub fn records(self) -> Vec<RData> {
        match self {
            Found::Records(records) => records,
            Found::Nothing | Found::NoSuchName => Vec::new(),
        }
    }
}

/// The name servers that are asked first.
#[derive(Debug, Clone)]
pub struct Dns {
    resolvers: Vec<SocketAddr>,
}

/// The zone that a name is in, and who is the authority for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Without the last dot.
    pub name: String,
    pub servers: Vec<SocketAddr>,
}

impl Dns {
    /// These, or public resolvers if there are none.
    pub fn new(resolvers: &[SocketAddr]) -> Dns {
        let resolvers = match resolvers {
            [] => PUBLIC.iter().filter_map(|server| server.parse().ok()).collect(),
            given => given.to_vec(),
        };
        Dns { resolvers }
    }

    /// What the first resolver that answers says. Fails with `Unavailable` when none does.
    pub async fn look(&self, name: &str, kind: RecordType) -> Result<Found> {
        let name = parsed(name)?;
        let questions = self.resolvers.iter().map(|server| Box::pin(ask(*server, name.clone(), kind, true)));
        let (answer, _) = select_ok(questions).await?;
        Ok(found(&answer, kind))
    }

    /// A and AAAA records; by the authority's own servers where they answer, else by the resolvers.
    pub async fn addresses(&self, name: &str, zone: Option<&Zone>) -> Result<Vec<IpAddr>> {
        let (four, six) = tokio::join!(
            self.freshest(name, RecordType::A, zone),
            self.freshest(name, RecordType::AAAA, zone)
        );
        let mut addresses: Vec<IpAddr> = Vec::new();
        for found in [four?, six?] {
            addresses.extend(found.records().iter().filter_map(RData::ip_addr));
        }
        addresses.sort();
        addresses.dedup();
        Ok(addresses)
    }

    /// By the authority's own servers, where they answer and the name is no alias; else by the resolvers.
    pub async fn freshest(&self, name: &str, kind: RecordType, zone: Option<&Zone>) -> Result<Found> {
        if let Some(zone) = zone.filter(|zone| !zone.servers.is_empty()) {
            let parsed = parsed(name)?;
            let questions = zone
                .servers
                .iter()
                .map(|server| Box::pin(ask(*server, parsed.clone(), kind, false)));
            if let Ok((answer, _)) = select_ok(questions).await
                && answer.authoritative
                && !answer.answers.iter().any(|record| record.record_type() == RecordType::CNAME)
            {
                return Ok(found(&answer, kind));
            }
        }
        self.look(name, kind).await
    }

    /// Who is the authority for a name; `None` when the resolvers do not say. Of its servers only those to which `egress` may lead: whoever
    /// has a zone says where they are.
    pub async fn zone_of(&self, name: &str, egress: &Egress) -> Option<Zone> {
        let mut at = name.trim_end_matches('.').trim_start_matches("*.");
        while at.contains('.') {
            let servers = self.look(at, RecordType::NS).await.ok()?.records();
            if !servers.is_empty() {
                let names: Vec<String> = servers.iter().filter_map(server_name).take(AUTHORITIES).collect();
                let addresses = join_all(names.iter().map(|name| self.look(name, RecordType::A))).await;
                let servers = addresses
                    .into_iter()
                    .flatten()
                    .flat_map(Found::records)
                    .filter_map(|record| record.ip_addr())
                    .map(|address| SocketAddr::new(address, 53))
                    .filter(|server| egress.admits(server.ip(), server.port()))
                    .take(AUTHORITIES)
                    .collect();
                return Some(Zone {
                    name: at.to_owned(),
                    servers,
                });
            }
            at = at.split_once('.').map_or("", |(_, rest)| rest);
        }
        None
    }

    /// The texts of a TXT record, as each of the zone's servers says it, or as the resolvers do where there are none.
    pub async fn texts(&self, name: &str, zone: Option<&Zone>) -> Result<Vec<Vec<String>>> {
        let parsed = parsed(name)?;
        let servers = zone.map(|zone| zone.servers.as_slice()).unwrap_or_default();
        let answers = join_all(servers.iter().map(|server| ask(*server, parsed.clone(), RecordType::TXT, false))).await;
        let said: Vec<_> = answers
            .iter()
            .flatten()
            .map(|answer| texts_in(&found(answer, RecordType::TXT)))
            .collect();
        if !said.is_empty() {
            return Ok(said);
        }
        Ok(vec![texts_in(&self.look(name, RecordType::TXT).await?)])
    }
}

fn texts_in(found: &Found) -> Vec<String> {
    let Found::Records(records) = found else { return Vec::new() };
    records
        .iter()
        .filter_map(|record| match record {
            RData::TXT(text) => Some(text.to_string()),
            _ => None,
        })
        .collect()
}

fn server_name(record: &RData) -> Option<String> {
    match record {
        RData::NS(server) => Some(server.0.to_utf8()),
        _ => None,
    }
}

pub(crate) fn parsed(name: &str) -> Result<Name> {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).map_err(|_| Error::invalid("name", format!("{name} is not a DNS name")))
}

fn found(answer: &Message, kind: RecordType) -> Found {
    let of_kind = |record: &Record| (record.record_type() == kind).then(|| record.data.clone());
    let records: Vec<_> = answer.answers.iter().filter_map(of_kind).collect();
    match answer.response_code {
        _ if !records.is_empty() => Found::Records(records),
        ResponseCode::NXDomain => Found::NoSuchName,
        _ => Found::Nothing,
    }
}

/// One question to one server, over UDP and, if the answer does not fit, TCP. Fails with `Unavailable` when it does not
/// answer, or answers that it cannot (SERVFAIL, REFUSED).
async fn ask(server: SocketAddr, name: Name, kind: RecordType, recurse: bool) -> Result<Message> {
    let words = format!("{name} {kind}");
    let mut message = Message::query();
    message.metadata.recursion_desired = recurse;
    message.add_query(Query::query(name, kind));
    let answer = exchange(server, &message).await?;
    match answer.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer),
        code => Err(Error::unavailable(format!("the name server {server} answers {code} to {words}"))),
    }
}

async fn exchange(server: SocketAddr, message: &Message) -> Result<Message> {
    let unavailable = |why: String| Error::unavailable(format!("the name server {server} {why}"));
    let bytes = message.to_vec().map_err(|error| unavailable(error.to_string()))?;
    let mut last = unavailable("does not answer".into());
    for _ in 0..2 {
        match timeout(PATIENCE, over_udp(server, &bytes, message.id)).await {
            Ok(Ok(answer)) if answer.truncation => {
                let answer = over_tcp(server, &bytes, PATIENCE * 2).await?;
                return Message::from_vec(&answer).map_err(|error| unavailable(format!("answers nonsense: {error}")));
            }
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = unavailable(format!("does not answer: {error}")),
            Err(_) => {}
        }
    }
    Err(last)
}

async fn over_udp(server: SocketAddr, bytes: &[u8], id: u16) -> std::io::Result<Message> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What does not belong to the question may be somebody's guess.
        if let Ok(answer) = Message::from_vec(&buffer[..length])
            && answer.id == id
            && answer.message_type == MessageType::Response
            && answer.op_code == OpCode::Query
        {
            return Ok(answer);
        }
    }
}

/// One message there, one back (RFC 1035, 4.2.2).
pub(crate) async fn over_tcp(server: SocketAddr, bytes: &[u8], patience: Duration) -> Result<Vec<u8>> {
    let talk = async {
        let mut stream = TcpStream::connect(server).await?;
        send(&mut stream, bytes).await?;
        receive(&mut stream).await
    };
    match timeout(patience, talk).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Error::unavailable(format!(
            "the name server {server} does not answer over TCP: {error}"
        ))),
        Err(_) => Err(Error::unavailable(format!(
            "the name server {server} does not answer over TCP within {} s",
            patience.as_secs()
        ))),
    }
}

pub(crate) async fn send(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(bytes.len()).map_err(|_| std::io::Error::other("the message is too long"))?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await
}

pub(crate) async fn receive(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_zone_without_servers_is_left_to_the_resolvers() {
        let dns = Dns::new(&["127.0.0.1:1".parse().expect("an address")]);
        let zone = Zone {
            name: "example.test".into(),
            servers: Vec::new(),
        };
        let asked = dns.freshest("www.example.test", RecordType::A, Some(&zone)).await;
        assert!(matches!(asked, Err(Error::Unavailable { .. })), "{asked:?}");
    }
}

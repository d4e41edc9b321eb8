//! DNS providers: where zones are kept, and records in them.

use crate::{DnsProviderId, Error, OrganizationId, Result, Sealed, Time};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An account at a DNS service, or a name server of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsProvider {
    pub id: DnsProviderId,
    pub organization: OrganizationId,
    /// What people call it; unique in the organization.
    pub name: String,
    pub kind: DnsProviderKind,
    /// What is not secret, as its kind wants it: JSON.
    pub options: DnsProviderOptions,
    /// The credentials, as its kind wants them: JSON, sealed.
    pub credentials: Sealed,
    /// How the last test went.
    pub tested: Option<DnsProviderTest>,
    pub created_at: Time,
    pub updated_at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsProviderKind {
    Cloudflare,
    Route53,
    DigitalOcean,
    Hetzner,
    /// Dynamic updates (RFC 2136) signed with TSIG (RFC 8945): BIND, Knot, PowerDNS, Windows.
    Rfc2136,
    /// A program on the panel's machine.
    Exec,
    /// An address that is called.
    Webhook,
}

impl DnsProviderKind {
    pub fn words(self) -> &'static str {
        match self {
            DnsProviderKind::Cloudflare => "Cloudflare",
            DnsProviderKind::Route53 => "Route 53",
            DnsProviderKind::DigitalOcean => "DigitalOcean",
            DnsProviderKind::Hetzner => "Hetzner",
            DnsProviderKind::Rfc2136 => "RFC 2136",
            DnsProviderKind::Exec => "exec",
            DnsProviderKind::Webhook => "webhook",
        }
    }
}

/// Which of these a kind uses is its own business; the rest is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DnsProviderOptions {
    /// In place of the service's own address, for compatible services; of a webhook, the address that is called.
    pub endpoint: Option<String>,
    /// RFC 2136: the primary server, `192.0.2.1:53`.
    pub server: Option<String>,
    /// The zones, for kinds that cannot list them.
    pub zones: Vec<String>,
    /// RFC 2136: the name of the key.
    pub key_name: Option<String>,
    /// RFC 2136: `hmac-sha256` and the like.
    pub algorithm: Option<String>,
    /// Exec: the program and its arguments.
    pub command: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsProviderTest {
    pub at: Time,
    /// The zones that it has; empty if it failed.
    pub zones: Vec<String>,
    pub error: Option<String>,
}

/// A record of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    /// What the provider calls it; where it has no ids, one made of what the record says.
    pub id: String,
    /// The whole name, without the last dot.
    pub name: String,
    pub kind: DnsRecordKind,
    /// As in a zone file, without quotes: `192.0.2.1`, `10 mail.example.com`, `0 issue "letsencrypt.org"`.
    pub value: String,
    pub ttl_seconds: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRecordKind {
    A,
    Aaaa,
    Caa,
    Cname,
    Mx,
    Ns,
    Srv,
    Txt,
}

impl DnsRecordKind {
    pub const ALL: [DnsRecordKind; 8] = [
        DnsRecordKind::A,
        DnsRecordKind::Aaaa,
        DnsRecordKind::Caa,
        DnsRecordKind::Cname,
        DnsRecordKind::Mx,
        DnsRecordKind::Ns,
        DnsRecordKind::Srv,
        DnsRecordKind::Txt,
    ];
    pub fn word(self) -> &'static str {
        match self {
            DnsRecordKind::A => "A",
            DnsRecordKind::Aaaa => "AAAA",
            DnsRecordKind::Caa => "CAA",
            DnsRecordKind::Cname => "CNAME",
            DnsRecordKind::Mx => "MX",
            DnsRecordKind::Ns => "NS",
            DnsRecordKind::Srv => "SRV",
            DnsRecordKind::Txt => "TXT",
        }
    }
}

impl fmt::Display for DnsRecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for DnsRecordKind {
    type Err = Error;
    fn from_str(text: &str) -> Result<DnsRecordKind> {
        DnsRecordKind::ALL
            .into_iter()
            .find(|kind| kind.word().eq_ignore_ascii_case(text))
            .ok_or_else(|| Error::invalid("type", "use A, AAAA, CAA, CNAME, MX, NS, SRV or TXT"))
    }
}

//! DNS providers, the records in their zones, and what to set for a domain.

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, created, moment, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use std::collections::HashMap;
use time::OffsetDateTime;
use types::Secret;

/// An account at a DNS service, or a name server of one's own.
#[derive(Debug, Object)]
pub struct DnsProvider {
    pub id: String,
    pub name: String,
    pub kind: DnsProviderKind,
    pub options: DnsProviderOptions,
    /// The names of its credentials. Their values are never shown.
    pub credentials: Vec<String>,
    /// Whether it can list records; else it is good for proving names only.
    pub lists_records: bool,
    /// How the last test went.
    pub tested: Option<DnsProviderTest>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum DnsProviderKind {
    /// Credentials: `token` with Zone:Read and DNS:Edit.
    Cloudflare,
    /// Credentials: `access_key_id`, `secret_access_key`; it may have a `session_token`.
    Route53,
    /// Credentials: `token` with the scopes of domain.
    #[oai(rename = "digitalocean")]
    DigitalOcean,
    /// Credentials: `token` of the Cloud Console, with read and write.
    Hetzner,
    /// Dynamic updates signed with TSIG. Options: `server`, `zones`, `key_name`, `algorithm`; credentials: `key` in base64.
    Rfc2136,
    /// A program on the panel's machine, run as `PROGRAM ARGUMENTS… create|delete ZONE NAME TYPE TTL VALUE` and `… test`.
    /// Options: `command`, `zones`; credentials become its environment variables.
    Exec,
    /// An address that is called with a JSON object. Options: `endpoint`, `zones`; it may have a `token`, sent as bearer.
    Webhook,
}

/// Which of these a kind uses is said there; the rest is left out.
#[derive(Debug, Default, Object)]
#[oai(deny_unknown_fields)]
pub struct DnsProviderOptions {
    /// In place of the service's own address; of a webhook, the address that is called.
    pub endpoint: Option<String>,
    /// RFC 2136: the primary server, such as 192.0.2.1 or 192.0.2.1:53.
    pub server: Option<String>,
    /// The zones, for kinds that cannot list them.
    pub zones: Option<Vec<String>>,
    /// RFC 2136: the name of the key.
    pub key_name: Option<String>,
    /// RFC 2136: `hmac-sha256` (left out), `hmac-sha384` or `hmac-sha512`.
    pub algorithm: Option<String>,
    /// Exec: the program, with its whole path, and its arguments.
    pub command: Option<Vec<String>>,
}

/// How a test of a provider went.
#[derive(Debug, Object)]
pub struct DnsProviderTest {
    pub ok: bool,
    pub at: OffsetDateTime,
    /// The zones that it has.
    pub zones: Vec<String>,
    pub error: Option<String>,
}

/// A provider to add.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct DnsProviderCreate {
    pub name: String,
    pub kind: DnsProviderKind,
    pub options: Option<DnsProviderOptions>,
    /// By name; which ones, its kind says.
    pub credentials: Option<HashMap<String, String>>,
}

/// What to change; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct DnsProviderPatch {
    pub name: Option<String>,
    /// All of them anew.
    pub options: Option<DnsProviderOptions>,
    /// All of them anew.
    pub credentials: Option<HashMap<String, String>>,
}

/// A zone that a provider has.
#[derive(Debug, Object)]
pub struct DnsZone {
    pub name: String,
    pub provider: Named,
    pub lists_records: bool,
}

/// A record of a zone.
#[derive(Debug, Object)]
pub struct DnsRecord {
    /// It may change with what the record says.
    pub id: String,
    /// The whole name.
    pub name: String,
    pub kind: DnsRecordKind,
    /// As in a zone file, texts without quotes.
    pub value: String,
    pub ttl_seconds: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "UPPERCASE")]
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

/// A record as it should be.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct DnsRecordWrite {
    /// The whole name or the part before the zone; `@` for the zone itself.
    pub name: String,
    pub kind: DnsRecordKind,
    /// As in a zone file, texts without quotes: `192.0.2.1`, `10 mail.example.com`, `0 issue "letsencrypt.org"`.
    pub value: String,
    /// Left out: 300.
    pub ttl_seconds: Option<u32>,
}

/// What to set in DNS so that a name leads here.
#[derive(Debug, Object)]
pub struct DnsSetup {
    pub host: String,
    /// Nothing is missing or leads elsewhere. While it is false, it is looked again by itself.
    pub ok: bool,
    /// One sentence.
    pub detail: String,
    /// One of each family that this server has.
    pub records: Vec<DnsSetupRecord>,
    /// The DNS provider that could set them.
    pub provider: Option<String>,
}

/// A record to set, and what is there.
#[derive(Debug, Object)]
pub struct DnsSetupRecord {
    pub name: String,
    pub kind: DnsRecordKind,
    pub value: String,
    pub found: Vec<String>,
    pub ok: bool,
}

macro_rules! both_ways {
    ($wire:ident, $own:path, $($variant:ident),*) => {
        impl From<$own> for $wire {
            fn from(kind: $own) -> $wire {
                match kind { $(<$own>::$variant => $wire::$variant),* }
            }
        }
        impl From<$wire> for $own {
            fn from(kind: $wire) -> $own {
                match kind { $($wire::$variant => <$own>::$variant),* }
            }
        }
    };
}
both_ways!(
    DnsProviderKind,
    types::DnsProviderKind,
    Cloudflare,
    Route53,
    DigitalOcean,
    Hetzner,
    Rfc2136,
    Exec,
    Webhook
);
both_ways!(DnsRecordKind, types::DnsRecordKind, A, Aaaa, Caa, Cname, Mx, Ns, Srv, Txt);

impl From<types::DnsProviderOptions> for DnsProviderOptions {
    fn from(options: types::DnsProviderOptions) -> DnsProviderOptions {
        let filled = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
        DnsProviderOptions {
            endpoint: options.endpoint,
            server: options.server,
            zones: filled(options.zones),
            key_name: options.key_name,
            algorithm: options.algorithm,
            command: filled(options.command),
        }
    }
}

impl From<DnsProviderOptions> for types::DnsProviderOptions {
    fn from(options: DnsProviderOptions) -> types::DnsProviderOptions {
        types::DnsProviderOptions {
            endpoint: options.endpoint,
            server: options.server,
            zones: options.zones.unwrap_or_default(),
            key_name: options.key_name,
            algorithm: options.algorithm,
            command: options.command.unwrap_or_default(),
        }
    }
}

impl From<app::DnsProviderView> for DnsProvider {
    fn from(view: app::DnsProviderView) -> DnsProvider {
        let provider = view.provider;
        DnsProvider {
            id: provider.id.to_string(),
            name: provider.name,
            kind: provider.kind.into(),
            options: provider.options.into(),
            credentials: view.credentials,
            lists_records: view.lists_records,
            tested: provider.tested.map(|test| DnsProviderTest {
                ok: test.error.is_none(),
                at: moment(test.at),
                zones: test.zones,
                error: test.error,
            }),
            created_at: moment(provider.created_at),
            updated_at: moment(provider.updated_at),
        }
    }
}

impl From<app::ZoneView> for DnsZone {
    fn from(view: app::ZoneView) -> DnsZone {
        DnsZone {
            name: view.zone,
            provider: Named::new(view.provider.id, view.provider.name),
            lists_records: view.lists_records,
        }
    }
}

impl From<types::DnsRecord> for DnsRecord {
    fn from(record: types::DnsRecord) -> DnsRecord {
        DnsRecord {
            // Providers' ids may hold anything, and this one stands in paths.
            id: BASE64_URL_SAFE_NO_PAD.encode(&record.id),
            name: record.name,
            kind: record.kind.into(),
            value: record.value,
            ttl_seconds: record.ttl_seconds,
        }
    }
}

impl From<DnsRecordWrite> for types::DnsRecord {
    fn from(record: DnsRecordWrite) -> types::DnsRecord {
        types::DnsRecord {
            id: String::new(),
            name: record.name,
            kind: record.kind.into(),
            value: record.value,
            ttl_seconds: record.ttl_seconds.unwrap_or(300),
        }
    }
}

impl From<app::DnsSetup> for DnsSetup {
    fn from(setup: app::DnsSetup) -> DnsSetup {
        DnsSetup {
            host: setup.host,
            ok: setup.ok,
            detail: setup.detail,
            provider: setup.provider,
            records: setup
                .records
                .into_iter()
                .map(|record| DnsSetupRecord {
                    name: record.name,
                    kind: record.kind.into(),
                    value: record.value,
                    found: record.found,
                    ok: record.ok,
                })
                .collect(),
        }
    }
}

fn credentials(given: HashMap<String, String>) -> app::DnsCredentials {
    given.into_iter().map(|(name, value)| (name, Secret::from(value))).collect()
}

/// The provider's own id.
fn record_id(id: &str) -> types::Result<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(id).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| types::Error::not_found(types::Kind::DnsRecord, id))
}

#[derive(Clone)]
pub(crate) struct DnsApi(pub Panel);

#[OpenApi(tag = "Tag::Dns")]
impl DnsApi {
    /// List DNS providers
    #[oai(path = "/dns/providers", method = "get", operation_id = "dns_provider_list")]
    async fn dns_provider_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<DnsProvider>>> {
        let providers = self.0.dns.list(&who.actor).await?;
        page(providers, cursor.0.as_deref(), limit.0, |view| view.provider.id.to_string())
    }

    /// Add a DNS provider
    ///
    /// It is tried at once: how that went is in `tested`. Needs the role admin.
    #[oai(path = "/dns/providers", method = "post", operation_id = "dns_provider_create")]
    async fn dns_provider_create(&self, who: Signed, body: Json<DnsProviderCreate>) -> Answer<Created<DnsProvider>> {
        let body = body.0;
        let new = app::NewDnsProvider {
            name: body.name,
            kind: body.kind.into(),
            options: body.options.unwrap_or_default().into(),
            credentials: credentials(body.credentials.unwrap_or_default()),
        };
        Ok(created(self.0.dns.add(&who.actor, new).await?))
    }

    /// Change a DNS provider
    ///
    /// It is tried again. Needs the role admin.
    #[oai(path = "/dns/providers/:provider", method = "patch", operation_id = "dns_provider_update")]
    async fn dns_provider_update(
        &self,
        who: Signed,
        /// Id or name.
        provider: Path<String>,
        body: Json<DnsProviderPatch>,
    ) -> Answer<Json<DnsProvider>> {
        let body = body.0;
        let change = app::DnsProviderChange {
            name: body.name,
            options: body.options.map(types::DnsProviderOptions::from),
            credentials: body.credentials.map(credentials),
        };
        Ok(Json(self.0.dns.change(&who.actor, &provider.0, change).await?.into()))
    }

    /// Remove a DNS provider
    ///
    /// Its zones and their records stay as they are. Needs the role admin.
    #[oai(path = "/dns/providers/:provider", method = "delete", operation_id = "dns_provider_delete")]
    async fn dns_provider_delete(
        &self,
        who: Signed,
        /// Id or name.
        provider: Path<String>,
    ) -> Answer<Done> {
        self.0.dns.remove(&who.actor, &provider.0).await?;
        Ok(Done::Done)
    }

    /// Try a DNS provider
    ///
    /// Asks it for its zones. Needs the role admin.
    #[oai(path = "/dns/providers/:provider/test", method = "post", operation_id = "dns_provider_test")]
    async fn dns_provider_test(
        &self,
        who: Signed,
        /// Id or name.
        provider: Path<String>,
    ) -> Answer<Json<DnsProvider>> {
        Ok(Json(self.0.dns.test(&who.actor, &provider.0).await?.into()))
    }

    /// List zones
    ///
    /// Those of all providers, as their last tests found them.
    #[oai(path = "/dns/zones", method = "get", operation_id = "dns_zone_list")]
    async fn dns_zone_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<DnsZone>>> {
        let zones = self.0.dns.zones(&who.actor).await?;
        page(zones, cursor.0.as_deref(), limit.0, |view| {
            format!("{} {}", view.zone, view.provider.id)
        })
    }

    /// List the records of a zone
    #[oai(path = "/dns/zones/:zone/records", method = "get", operation_id = "dns_record_list")]
    async fn dns_record_list(
        &self,
        who: Signed,
        /// Such as example.com.
        zone: Path<String>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<DnsRecord>>> {
        let records = self.0.dns.records(&who.actor, &zone.0).await?;
        page(records, cursor.0.as_deref(), limit.0, |record| record.id.clone())
    }

    /// Add a record to a zone
    ///
    /// Needs the role admin.
    #[oai(path = "/dns/zones/:zone/records", method = "post", operation_id = "dns_record_create")]
    async fn dns_record_create(
        &self,
        who: Signed,
        /// Such as example.com.
        zone: Path<String>,
        body: Json<DnsRecordWrite>,
    ) -> Answer<Created<DnsRecord>> {
        let record = self.0.dns.record_create(&who.actor, &zone.0, body.0.into()).await?;
        Ok(created(record))
    }

    /// Change a record
    ///
    /// Needs the role admin.
    #[oai(path = "/dns/zones/:zone/records/:record", method = "put", operation_id = "dns_record_update")]
    async fn dns_record_update(
        &self,
        who: Signed,
        /// Such as example.com.
        zone: Path<String>,
        /// Its id.
        record: Path<String>,
        body: Json<DnsRecordWrite>,
    ) -> Answer<Json<DnsRecord>> {
        let id = record_id(&record.0).unwrap_or_default();
        let changed = self.0.dns.record_change(&who.actor, &zone.0, &id, body.0.into()).await?;
        Ok(Json(changed.into()))
    }

    /// Delete a record
    ///
    /// Needs the role admin.
    #[oai(path = "/dns/zones/:zone/records/:record", method = "delete", operation_id = "dns_record_delete")]
    async fn dns_record_delete(
        &self,
        who: Signed,
        /// Such as example.com.
        zone: Path<String>,
        /// Its id.
        record: Path<String>,
    ) -> Answer<Done> {
        let id = record_id(&record.0).unwrap_or_default();
        self.0.dns.record_delete(&who.actor, &zone.0, &id).await?;
        Ok(Done::Done)
    }

    /// Show what to set in DNS for a name
    ///
    /// And which of it is there. Once all is, a certificate that waited for it is ordered at once.
    #[oai(path = "/dns/setup/:host", method = "get", operation_id = "dns_setup_show")]
    async fn dns_setup_show(
        &self,
        who: Signed,
        /// Any host or wildcard; it need not be added yet.
        host: Path<String>,
    ) -> Answer<Json<DnsSetup>> {
        Ok(Json(self.0.forecasts.setup(&who.actor, &host.0).await?.into()))
    }

    /// Set in DNS what a name needs
    ///
    /// Through the DNS provider that has the zone; A, AAAA and CNAME records of the name that lead elsewhere are removed.
    /// Needs the role admin.
    #[oai(path = "/dns/setup/:host", method = "post", operation_id = "dns_setup_apply")]
    async fn dns_setup_apply(
        &self,
        who: Signed,
        /// The host or wildcard.
        host: Path<String>,
    ) -> Answer<Json<DnsSetup>> {
        Ok(Json(self.0.forecasts.apply(&who.actor, &host.0).await?.into()))
    }
}

//! Amazon Route 53. Source: docs.aws.amazon.com/Route53/latest/APIReference, version 2013-04-01. The key needs
//! `route53:ListHostedZones`, `ListResourceRecordSets` and `ChangeResourceRecordSets`.

use super::{
    Credentials, Provider,
    rest::{address, client, refused, send},
    values::{plain, presented},
};
use aws_credential_types::Credentials as AwsCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use egress::Egress;
use quick_xml::{de::from_str, escape::escape};
use reqwest::{Client, Method};
use serde::Deserialize;
use std::time::{Duration, UNIX_EPOCH};
use types::{DnsProviderOptions, DnsRecord, DnsRecordKind, Error, Kind, Result, World};
use url::Url;

const NAME: &str = "Route 53";
const VERSION: &str = "2013-04-01";
/// The one region of a service that is everywhere.
const REGION: &str = "us-east-1";

pub(super) struct Route53 {
    client: Client,
    base: Url,
    credentials: AwsCredentials,
    world: World,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Zones {
    hosted_zones: ZoneList,
    #[serde(default)]
    is_truncated: bool,
    next_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ZoneList {
    #[serde(default)]
    hosted_zone: Vec<Zone>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Zone {
    id: String,
    name: String,
    config: Option<ZoneConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ZoneConfig {
    #[serde(default)]
    private_zone: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sets {
    resource_record_sets: SetList,
    #[serde(default)]
    is_truncated: bool,
    next_record_name: Option<String>,
    next_record_type: Option<String>,
    next_record_identifier: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetList {
    #[serde(default)]
    resource_record_set: Vec<Set>,
}

/// All values of a name and type.
#[derive(Deserialize, Clone)]
#[serde(rename_all = "PascalCase")]
struct Set {
    name: String,
    r#type: String,
    #[serde(rename = "TTL")]
    ttl: Option<u32>,
    /// Of several sets for one name, by weight or place: those are left alone.
    set_identifier: Option<String>,
    resource_records: Option<Values>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "PascalCase")]
struct Values {
    #[serde(default)]
    resource_record: Vec<SetValue>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "PascalCase")]
struct SetValue {
    value: String,
}

impl Set {
    fn values(&self) -> Vec<String> {
        let records = self.resource_records.iter().flat_map(|values| &values.resource_record);
        records.map(|record| record.value.clone()).collect()
    }
    fn is_plain(&self) -> bool {
        self.set_identifier.is_none() && self.resource_records.is_some()
    }
}

impl Route53 {
    pub fn open(options: &DnsProviderOptions, credentials: &Credentials, world: &World, egress: &Egress) -> Result<Route53> {
        let text = |name: &str| {
            credentials
                .get(name)
                .and_then(|secret| secret.expose_str())
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let session = Some(text("session_token")).filter(|token| !token.is_empty());
        let base = address(options.endpoint.as_deref().unwrap_or("https://route53.amazonaws.com"))?;
        Ok(Route53 {
            client: client(&base, egress)?,
            base,
            credentials: AwsCredentials::new(text("access_key_id"), text("secret_access_key"), session, None, "serverkit"),
            world: world.clone(),
        })
    }

    /// A signed request (Signature Version 4), and the answer's text.
    async fn ask(&self, method: Method, path: &str, query: &[(&str, &str)], body: String) -> Result<String> {
        let failed = |error: &dyn std::fmt::Display| Error::internal("signing a request to Route 53", error.to_string());
        let mut url = self.base.clone();
        url.set_path(&format!("/{VERSION}{path}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let identity = self.credentials.clone().into();
        let at = u64::try_from(self.world.now().0).unwrap_or(0);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name("route53")
            .time(UNIX_EPOCH + Duration::from_millis(at))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed(&error))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let host = url.port().map_or(host.clone(), |port| format!("{host}:{port}"));
        let headers = [("host", host.as_str())];
        let signable = SignableRequest::new(
            method.as_str(),
            url.as_str(),
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let (instructions, _) = sign(signable.map_err(|error| failed(&error))?, &parameters.into())
            .map_err(|error| failed(&error))?
            .into_parts();
        let mut request = self.client.request(method, url).body(body);
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
        let (status, text) = send(NAME, request).await?;
        if (200..300).contains(&status) {
            return Ok(text);
        }
        let said = text.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
        Err(refused(NAME, status, said.map(|(said, _)| said)))
    }

    async fn list_zones(&self) -> Result<Vec<Zone>> {
        let mut all = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let mut query = vec![("maxitems", "100")];
            query.extend(marker.as_deref().map(|marker| ("marker", marker)));
            let page: Zones = read(&self.ask(Method::GET, "/hostedzone", &query, String::new()).await?)?;
            // Private zones are for networks inside Amazon's.
            all.extend(
                page.hosted_zones
                    .hosted_zone
                    .into_iter()
                    .filter(|zone| !zone.config.as_ref().is_some_and(|config| config.private_zone)),
            );
            match page.next_marker.filter(|_| page.is_truncated) {
                Some(next) => marker = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn zone_id(&self, zone: &str) -> Result<String> {
        let zones = self.list_zones().await?;
        let found = zones.into_iter().find(|other| other.name.trim_end_matches('.') == zone);
        let found = found.ok_or_else(|| Error::not_found(Kind::DnsZone, zone))?;
        Ok(found.id.trim_start_matches("/hostedzone/").to_owned())
    }

    async fn sets(&self, id: &str) -> Result<Vec<Set>> {
        let mut all = Vec::new();
        let mut next: Option<(String, String, Option<String>)> = None;
        loop {
            let mut query = vec![("maxitems", "300")];
            if let Some((name, kind, identifier)) = &next {
                query.extend([("name", name.as_str()), ("type", kind.as_str())]);
                query.extend(identifier.as_deref().map(|identifier| ("identifier", identifier)));
            }
            let page: Sets = read(
                &self
                    .ask(Method::GET, &format!("/hostedzone/{id}/rrset"), &query, String::new())
                    .await?,
            )?;
            all.extend(page.resource_record_sets.resource_record_set);
            next = page
                .next_record_name
                .zip(page.next_record_type)
                .map(|(name, kind)| (name, kind, page.next_record_identifier));
            if !page.is_truncated || next.is_none() {
                return Ok(all);
            }
        }
    }

    /// The set that a record belongs to, if there is one.
    async fn set_of(&self, id: &str, record: &DnsRecord) -> Result<Option<Set>> {
        let found = self
            .sets(id)
            .await?
            .into_iter()
            .find(|set| name_of(set) == record.name && set.r#type == record.kind.word());
        match found {
            Some(set) if !set.is_plain() => Err(Error::busy(format!(
                "{} {} is an alias or one of several weighted sets; change it in the console of Route 53",
                record.name, record.kind
            ))),
            found => Ok(found),
        }
    }

    async fn change(&self, id: &str, action: &str, record: &DnsRecord, ttl: u32, values: &[String]) -> Result<()> {
        let values: String = values
            .iter()
            .map(|value| format!("<ResourceRecord><Value>{}</Value></ResourceRecord>", escape(value)))
            .collect();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/{VERSION}/\"><ChangeBatch><Changes><Change>\
             <Action>{action}</Action><ResourceRecordSet><Name>{}.</Name><Type>{}</Type><TTL>{ttl}</TTL>\
             <ResourceRecords>{values}</ResourceRecords></ResourceRecordSet>\
             </Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>",
            escape(&record.name),
            record.kind
        );
        self.ask(Method::POST, &format!("/hostedzone/{id}/rrset/"), &[], body)
            .await
            .map(drop)
    }
}

fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T> {
    from_str(text).map_err(|error| Error::unavailable(format!("{NAME} does not answer in its XML; is its address right? ({error})")))
}

/// Without the last dot; `*` is written as `\052` there.
fn name_of(set: &Set) -> String {
    set.name.trim_end_matches('.').replace("\\052", "*")
}

#[async_trait::async_trait]
impl Provider for Route53 {
    async fn zones(&self) -> Result<Vec<String>> {
        let zones = self.list_zones().await?;
        Ok(zones.into_iter().map(|zone| zone.name.trim_end_matches('.').to_owned()).collect())
    }

    async fn records(&self, zone: &str) -> Result<Vec<DnsRecord>> {
        let id = self.zone_id(zone).await?;
        let mut records = Vec::new();
        for set in self.sets(&id).await?.into_iter().filter(Set::is_plain) {
            let Ok(kind) = set.r#type.parse::<DnsRecordKind>() else { continue };
            let name = name_of(&set);
            records.extend(set.values().into_iter().map(|value| DnsRecord {
                id: format!("{kind} {name} {value}"),
                name: name.clone(),
                kind,
                value: plain(kind, &value),
                ttl_seconds: set.ttl.unwrap_or(300),
            }));
        }
        Ok(records)
    }

    async fn create(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        let id = self.zone_id(zone).await?;
        let mut values = self.set_of(&id, record).await?.map(|set| set.values()).unwrap_or_default();
        let value = presented(record);
        if !values.contains(&value) {
            values.push(value);
        }
        self.change(&id, "UPSERT", record, record.ttl_seconds, &values).await
    }

    async fn delete(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        let id = self.zone_id(zone).await?;
        let missing = || Error::not_found(Kind::DnsRecord, &record.name);
        let set = self.set_of(&id, record).await?.ok_or_else(missing)?;
        let all = set.values();
        let gone = |value: &String| match record.id.as_str() {
            "" => plain(record.kind, value) == record.value,
            id => format!("{} {} {value}", record.kind, record.name) == id,
        };
        let left: Vec<String> = all.iter().filter(|value| !gone(value)).cloned().collect();
        if left.len() == all.len() {
            return Err(missing());
        }
        let ttl = set.ttl.unwrap_or(300);
        match left.as_slice() {
            [] => self.change(&id, "DELETE", record, ttl, &all).await,
            left => self.change(&id, "UPSERT", record, ttl, left).await,
        }
    }
}

//! DigitalOcean. Source: docs.digitalocean.com/reference/api, version 2. The token needs the scopes domain:read, create, update and delete.

use super::{
    Credentials, Provider, absolute, relative,
    rest::Rest,
    values::{caa, mx, srv},
};
use egress::Egress;
use reqwest::Method;
use serde_json::{Value, json};
use types::{DnsProviderOptions, DnsRecord, DnsRecordKind, Error, Kind, Result};

pub(super) struct DigitalOcean(Rest);

impl DigitalOcean {
    pub fn open(options: &DnsProviderOptions, credentials: &Credentials, egress: &Egress) -> Result<DigitalOcean> {
        let token = credentials.get("token").cloned();
        let usual = "https://api.digitalocean.com/v2";
        Ok(DigitalOcean(Rest::new(
            "DigitalOcean",
            options.endpoint.as_deref(),
            usual,
            token,
            egress,
        )?))
    }

    async fn pages(&self, path: &str, field: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for page in 1..=1000u32 {
            let query = [("per_page", "200".to_owned()), ("page", page.to_string())];
            let answer = self.0.ask(Method::GET, path, &query, None).await?;
            all.extend(answer[field].as_array().cloned().unwrap_or_default());
            if answer["links"]["pages"]["next"].is_null() {
                break;
            }
        }
        Ok(all)
    }

    async fn id_of(&self, zone: &str, record: &DnsRecord) -> Result<String> {
        if !record.id.is_empty() {
            return Ok(record.id.clone());
        }
        let found = self.records(zone).await?.into_iter().find(|other| {
            (other.name.as_str(), other.kind, other.value.as_str()) == (record.name.as_str(), record.kind, record.value.as_str())
        });
        found
            .map(|found| found.id)
            .ok_or_else(|| Error::not_found(Kind::DnsRecord, &record.name))
    }
}

fn body(zone: &str, record: &DnsRecord) -> Result<Value> {
    let dotted = |name: &str| format!("{}.", name.trim_end_matches('.'));
    let mut body = json!({
        "type": record.kind.word(),
        "name": relative(&record.name, zone),
        // Less is not allowed.
        "ttl": record.ttl_seconds.max(30),
    });
    match record.kind {
        DnsRecordKind::Mx => {
            let (preference, host) = mx(&record.value)?;
            body["priority"] = preference.into();
            body["data"] = dotted(&host).into();
        }
        DnsRecordKind::Srv => {
            let (priority, weight, port, target) = srv(&record.value)?;
            body["priority"] = priority.into();
            body["weight"] = weight.into();
            body["port"] = port.into();
            body["data"] = dotted(&target).into();
        }
        DnsRecordKind::Caa => {
            let (flags, tag, value) = caa(&record.value)?;
            body["flags"] = flags.into();
            body["data"] = if tag == "iodef" { value } else { dotted(&value) }.into();
            body["tag"] = tag.into();
        }
        DnsRecordKind::Cname | DnsRecordKind::Ns => body["data"] = dotted(&record.value).into(),
        DnsRecordKind::A | DnsRecordKind::Aaaa | DnsRecordKind::Txt => body["data"] = record.value.clone().into(),
    }
    Ok(body)
}

fn record(zone: &str, json: &Value) -> Option<DnsRecord> {
    let kind: DnsRecordKind = json["type"].as_str()?.parse().ok()?;
    let data = json["data"].as_str()?;
    let number = |field: &str| json[field].as_u64().unwrap_or(0);
    // `@` is the zone itself, in data as in names.
    let host = if data == "@" { zone } else { data.trim_end_matches('.') };
    let value = match kind {
        DnsRecordKind::Mx => format!("{} {host}", number("priority")),
        DnsRecordKind::Srv => format!("{} {} {} {host}", number("priority"), number("weight"), number("port")),
        DnsRecordKind::Caa => format!("{} {} \"{host}\"", number("flags"), json["tag"].as_str()?),
        DnsRecordKind::Cname | DnsRecordKind::Ns => host.to_owned(),
        DnsRecordKind::A | DnsRecordKind::Aaaa | DnsRecordKind::Txt => data.to_owned(),
    };
    Some(DnsRecord {
        id: json["id"].to_string(),
        name: absolute(json["name"].as_str()?, zone),
        kind,
        value,
        ttl_seconds: u32::try_from(number("ttl")).unwrap_or(u32::MAX),
    })
}

#[async_trait::async_trait]
impl Provider for DigitalOcean {
    async fn zones(&self) -> Result<Vec<String>> {
        let domains = self.pages("/domains", "domains").await?;
        Ok(domains
            .iter()
            .filter_map(|domain| domain["name"].as_str().map(str::to_owned))
            .collect())
    }

    async fn records(&self, zone: &str) -> Result<Vec<DnsRecord>> {
        let records = self.pages(&format!("/domains/{zone}/records"), "domain_records").await?;
        Ok(records.iter().filter_map(|json| record(zone, json)).collect())
    }

    async fn create(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        let path = format!("/domains/{zone}/records");
        self.0.ask(Method::POST, &path, &[], Some(&body(zone, record)?)).await.map(drop)
    }

    async fn delete(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        let id = self.id_of(zone, record).await?;
        self.0
            .ask(Method::DELETE, &format!("/domains/{zone}/records/{id}"), &[], None)
            .await
            .map(drop)
    }

    async fn replace(&self, zone: &str, before: &DnsRecord, after: &DnsRecord) -> Result<()> {
        let id = self.id_of(zone, before).await?;
        let path = format!("/domains/{zone}/records/{id}");
        self.0.ask(Method::PUT, &path, &[], Some(&body(zone, after)?)).await.map(drop)
    }
}

//! Hetzner. Source: docs.hetzner.cloud, DNS zones of the Cloud API, version 1 (the older dns.hetzner.com is being shut down).
//! The token needs read and write.

use super::{
    Credentials, Provider, absolute, relative,
    rest::Rest,
    values::{plain, presented},
};
use egress::Egress;
use reqwest::Method;
use serde_json::{Value, json};
use types::{DnsProviderOptions, DnsRecord, DnsRecordKind, Error, Kind, Result};

pub(super) struct Hetzner(Rest);

impl Hetzner {
    pub fn open(options: &DnsProviderOptions, credentials: &Credentials, egress: &Egress) -> Result<Hetzner> {
        let token = credentials.get("token").cloned();
        let usual = "https://api.hetzner.cloud/v1";
        Ok(Hetzner(Rest::new("Hetzner", options.endpoint.as_deref(), usual, token, egress)?))
    }

    async fn pages(&self, path: &str, field: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut page = 1;
        // Never the same page twice, whatever the answer says.
        for _ in 0..1000 {
            let query = [("per_page", "50".to_owned()), ("page", page.to_string())];
            let answer = self.0.ask(Method::GET, path, &query, None).await?;
            all.extend(answer[field].as_array().cloned().unwrap_or_default());
            match answer["meta"]["pagination"]["next_page"].as_u64() {
                Some(next) if next > page => page = next,
                _ => break,
            }
        }
        Ok(all)
    }

    async fn act(&self, zone: &str, record: &DnsRecord, action: &str, mut body: Value) -> Result<()> {
        body["records"] = json!([{"value": presented(record)}]);
        let name = relative(&record.name, zone);
        let path = format!("/zones/{zone}/rrsets/{name}/{}/actions/{action}", record.kind);
        let answer = self.0.ask(Method::POST, &path, &[], Some(&body)).await?;
        match answer["action"]["error"]["message"].as_str() {
            Some(error) => Err(Error::unavailable(format!("Hetzner could not change the record: {error}"))),
            None => Ok(()),
        }
    }
}

/// One set holds all values of a name and type; each is a record here.
fn records(zone: &str, set: &Value) -> Option<Vec<DnsRecord>> {
    let kind: DnsRecordKind = set["type"].as_str()?.parse().ok()?;
    let name = absolute(set["name"].as_str()?, zone);
    let ttl = u32::try_from(set["ttl"].as_u64().unwrap_or(3600)).unwrap_or(u32::MAX);
    let values = set["records"].as_array()?.iter().filter_map(|record| record["value"].as_str());
    Some(
        values
            .map(|value| DnsRecord {
                id: format!("{kind} {name} {value}"),
                name: name.clone(),
                kind,
                value: plain(kind, value),
                ttl_seconds: ttl,
            })
            .collect(),
    )
}

#[async_trait::async_trait]
impl Provider for Hetzner {
    async fn zones(&self) -> Result<Vec<String>> {
        let zones = self.pages("/zones", "zones").await?;
        Ok(zones.iter().filter_map(|zone| zone["name"].as_str().map(str::to_owned)).collect())
    }

    async fn records(&self, zone: &str) -> Result<Vec<DnsRecord>> {
        let sets = self.pages(&format!("/zones/{zone}/rrsets"), "rrsets").await?;
        Ok(sets.iter().filter_map(|set| records(zone, set)).flatten().collect())
    }

    async fn create(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        // Makes the set too, if there is none.
        self.act(zone, record, "add_records", json!({"ttl": record.ttl_seconds.max(60)}))
            .await
    }

    async fn delete(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        let of = self.records(zone).await?.into_iter().find(|other| match record.id.as_str() {
            "" => (other.name.as_str(), other.kind, other.value.as_str()) == (record.name.as_str(), record.kind, record.value.as_str()),
            id => other.id == id,
        });
        let of = of.ok_or_else(|| Error::not_found(Kind::DnsRecord, &record.name))?;
        self.act(zone, &of, "remove_records", json!({})).await
    }
}

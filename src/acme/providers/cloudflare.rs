//! Cloudflare. Source: developers.cloudflare.com/api, version 4. The token needs Zone:Read and DNS:Edit.

use super::{
    Credentials, Provider,
    rest::Rest,
    values::{caa, mx, quoted, srv, unquoted},
};
use egress::Egress;
use reqwest::Method;
use serde_json::{Value, json};
use types::{DnsProviderOptions, DnsRecord, DnsRecordKind, Error, Kind, Result};

pub(super) struct Cloudflare(Rest);

impl Cloudflare {
    pub fn open(options: &DnsProviderOptions, credentials: &Credentials, egress: &Egress) -> Result<Cloudflare> {
        let token = credentials.get("token").cloned();
        let usual = "https://api.cloudflare.com/client/v4";
        Ok(Cloudflare(Rest::new(
            "Cloudflare",
            options.endpoint.as_deref(),
            usual,
            token,
            egress,
        )?))
    }

    async fn pages(&self, path: &str, size: u32) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for page in 1..=1000u32 {
            let query = [("per_page", size.to_string()), ("page", page.to_string())];
            let answer = self.0.ask(Method::GET, path, &query, None).await?;
            all.extend(answer["result"].as_array().cloned().unwrap_or_default());
            if u64::from(page) >= answer["result_info"]["total_pages"].as_u64().unwrap_or(1) {
                break;
            }
        }
        Ok(all)
    }

    async fn zone_id(&self, zone: &str) -> Result<String> {
        let answer = self.0.ask(Method::GET, "/zones", &[("name", zone.to_owned())], None).await?;
        let id = answer["result"][0]["id"].as_str();
        id.map(str::to_owned).ok_or_else(|| Error::not_found(Kind::DnsZone, zone))
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

fn body(record: &DnsRecord) -> Result<Value> {
    // 1 is "automatic"; below 60 nothing else is allowed.
    let ttl = if record.ttl_seconds < 60 { 1 } else { record.ttl_seconds };
    let mut body = json!({"type": record.kind.word(), "name": record.name, "ttl": ttl});
    match record.kind {
        DnsRecordKind::Txt => body["content"] = quoted(&record.value).into(),
        DnsRecordKind::Mx => {
            let (preference, host) = mx(&record.value)?;
            body["priority"] = preference.into();
            body["content"] = host.into();
        }
        DnsRecordKind::Caa => {
            let (flags, tag, value) = caa(&record.value)?;
            body["data"] = json!({"flags": flags, "tag": tag, "value": value});
        }
        DnsRecordKind::Srv => {
            let (priority, weight, port, target) = srv(&record.value)?;
            body["data"] = json!({"priority": priority, "weight": weight, "port": port, "target": target});
        }
        DnsRecordKind::A | DnsRecordKind::Aaaa | DnsRecordKind::Cname | DnsRecordKind::Ns => body["content"] = record.value.clone().into(),
    }
    Ok(body)
}

fn record(json: &Value) -> Option<DnsRecord> {
    let kind: DnsRecordKind = json["type"].as_str()?.parse().ok()?;
    let content = json["content"].as_str()?;
    let value = match kind {
        DnsRecordKind::Txt => unquoted(content),
        DnsRecordKind::Mx => format!("{} {content}", json["priority"].as_u64().unwrap_or(0)),
        DnsRecordKind::Srv => {
            let data = &json["data"];
            let number = |field: &str| data[field].as_u64().unwrap_or(0);
            let target = data["target"].as_str().unwrap_or_default();
            format!("{} {} {} {target}", number("priority"), number("weight"), number("port"))
        }
        DnsRecordKind::A | DnsRecordKind::Aaaa | DnsRecordKind::Caa | DnsRecordKind::Cname | DnsRecordKind::Ns => content.to_owned(),
    };
    Some(DnsRecord {
        id: json["id"].as_str()?.to_owned(),
        name: json["name"].as_str()?.to_owned(),
        kind,
        value,
        ttl_seconds: u32::try_from(json["ttl"].as_u64().unwrap_or(1)).unwrap_or(u32::MAX),
    })
}

#[async_trait::async_trait]
impl Provider for Cloudflare {
    async fn zones(&self) -> Result<Vec<String>> {
        let zones = self.pages("/zones", 50).await?;
        Ok(zones.iter().filter_map(|zone| zone["name"].as_str().map(str::to_owned)).collect())
    }

    async fn records(&self, zone: &str) -> Result<Vec<DnsRecord>> {
        let id = self.zone_id(zone).await?;
        let records = self.pages(&format!("/zones/{id}/dns_records"), 500).await?;
        Ok(records.iter().filter_map(record).collect())
    }

    async fn create(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        let id = self.zone_id(zone).await?;
        let path = format!("/zones/{id}/dns_records");
        self.0.ask(Method::POST, &path, &[], Some(&body(record)?)).await.map(drop)
    }

    async fn delete(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        let (id, of) = (self.zone_id(zone).await?, self.id_of(zone, record).await?);
        self.0
            .ask(Method::DELETE, &format!("/zones/{id}/dns_records/{of}"), &[], None)
            .await
            .map(drop)
    }

    async fn replace(&self, zone: &str, before: &DnsRecord, after: &DnsRecord) -> Result<()> {
        let (id, of) = (self.zone_id(zone).await?, self.id_of(zone, before).await?);
        let path = format!("/zones/{id}/dns_records/{of}");
        self.0.ask(Method::PATCH, &path, &[], Some(&body(after)?)).await.map(drop)
    }
}

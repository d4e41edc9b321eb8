//! `serverkit domain traffic`: who asks a domain for what, and whom its limits refuse just now.

use crate::{
    commands::Context,
    failure::Result,
    output::{Facts, Output, Table, bytes, span},
};
use clap::Args;
use client::types::{EdgeDomain, Frequent, LimitedKey};
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub struct Traffic {
    /// The domain
    host: String,
}

pub async fn run(context: &Context, args: Traffic) -> Result {
    let client = context.panel()?;
    // Whether there is such a domain; one without requests may be in no report.
    let host = client.ask(client.domain_show(&args.host)).await?.value.host;
    let answer = client.ask(client.edge_report()).await?;
    let domain = answer
        .value
        .domains
        .iter()
        .find(|domain| domain.host == host && domain.requests > 0);
    let limited: Vec<&LimitedKey> = answer.value.limited.iter().filter(|key| key.host == host).collect();
    let entries = |list: &str| -> Vec<Value> {
        let all = answer.json[list].as_array().into_iter().flatten();
        all.filter(|one| one["host"] == host.as_str()).cloned().collect()
    };
    let json = json!({"traffic": entries("domains").first(), "limited": entries("limited")});
    context.out.answer(&json, || match domain {
        Some(domain) => words(&context.out, domain, &limited),
        None => format!("nobody has asked for {host} since the edge started"),
    })
}

fn words(out: &Output, domain: &EdgeDomain, limited: &[&LimitedKey]) -> String {
    let millis = |millis: Option<u64>| millis.map(|millis| format!("{millis} ms"));
    let mut facts = Facts::new();
    facts
        .add("Requests", format!("{}, {} under way", domain.requests, domain.active))
        .add("Answers", statuses(&domain.statuses))
        .maybe("Half within", millis(domain.p50_millis))
        .maybe("95 of 100 within", millis(domain.p95_millis))
        .maybe("99 of 100 within", millis(domain.p99_millis))
        .add("Sent", bytes(domain.bytes_out))
        .add("Received", bytes(domain.bytes_in))
        .add("Refused by address", domain.denied.to_string())
        .add(
            "Refused by a limit",
            format!("{}; on trial: {}", domain.limited, domain.would_limit),
        )
        .add(
            "Kept answers",
            format!(
                "{} used, {} of them stale; {} fetched",
                domain.cache_hits, domain.cache_stale, domain.cache_misses
            ),
        );
    let mut text = facts.print(out);
    let mut part = |table: Option<Table>| {
        if let Some(table) = table {
            text.push('\n');
            text.push_str(&table.print(out));
        }
    };
    part(frequent("PATH", &domain.top_paths));
    part(frequent("ADDRESS", &domain.top_addresses));
    part(refused(limited));
    text
}

/// `2xx 90, 4xx 3`
fn statuses(counts: &[u64]) -> String {
    let some = counts.iter().zip(1..).filter(|(count, _)| **count > 0);
    let words: Vec<String> = some.map(|(count, class)| format!("{class}xx {count}")).collect();
    if words.is_empty() {
        "none yet".to_owned()
    } else {
        words.join(", ")
    }
}

fn frequent(heading: &'static str, items: &[Frequent]) -> Option<Table> {
    let mut table = Table::new([heading, "REQUESTS"]);
    for item in items {
        table.row([item.what.clone().into(), item.requests.to_string().into()]);
    }
    (!items.is_empty()).then_some(table)
}

fn refused(keys: &[&LimitedKey]) -> Option<Table> {
    let mut table = Table::new(["LIMIT", "KEY", "REFUSED", "LAST"]);
    for key in keys {
        let trial = if key.dry_run { " (dry run)" } else { "" };
        table.row([
            format!("{}{trial}", key.limit).into(),
            key.key.clone().into(),
            key.refused.to_string().into(),
            format!("{} ago", span(key.seconds_ago)).into(),
        ]);
    }
    (!keys.is_empty()).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_by_class() {
        assert_eq!(statuses(&[0, 90, 0, 3, 1]), "2xx 90, 4xx 3, 5xx 1");
        assert_eq!(statuses(&[0; 5]), "none yet");
    }
}

//! `serverkit status`: everything at a glance.

use crate::{
    apps,
    commands::Context,
    failure::Result,
    output::{Cell, Facts, Output, Tone, bytes, span, tone_of},
};
use client::types::{Overview, Server};

pub async fn status(context: &Context) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.overview()).await?;
    let out = context.out;
    out.answer(&answer.json, || describe(&answer.value, &out))
}

fn describe(overview: &Overview, out: &Output) -> String {
    let mut text = String::new();
    for server in &overview.servers {
        text.push_str(&server_facts(server).print(out));
        text.push('\n');
    }
    for each in &overview.attention {
        let level = each.level.to_string();
        text.push_str(&format!(
            "{} {}\n",
            out.paint(tone_of(&level), &format!("{level}:")),
            crate::output::shown(&each.text)
        ));
    }
    if !overview.attention.is_empty() {
        text.push('\n');
    }
    if overview.apps.is_empty() {
        text.push_str("no apps yet; make one: serverkit app create NAME --git URL\n");
    } else {
        text.push_str(&apps::table(&overview.apps).print(out));
    }
    text
}

fn server_facts(server: &Server) -> Facts {
    let mut facts = Facts::new();
    facts.add(
        "Server",
        format!("{} ({}, {})", server.name, server.facts.os, server.facts.architecture),
    );
    let engine = match (&server.engine.version, &server.engine.why) {
        (Some(version), _) if server.engine.up => Cell::tone(format!("up, {version}"), Tone::Good),
        (_, Some(why)) if !server.engine.up => Cell::tone(format!("down: {why}"), Tone::Bad),
        _ if server.engine.up => Cell::tone("up", Tone::Good),
        _ => Cell::tone("down", Tone::Bad),
    };
    facts.add("Engine", engine);
    if let Some(sample) = &server.sample {
        facts.add(
            "CPU",
            format!("{:.0} % of {} cores, load {:.2}", sample.cpu * 100.0, sample.cores, sample.load_1m),
        );
        facts.add("Memory", share(sample.memory_used_bytes, sample.memory_total_bytes));
        facts.add("Disk", share(sample.disk_used_bytes, sample.disk_total_bytes));
        facts.add("Up for", span(sample.uptime_seconds));
    }
    facts
}

fn share(used: u64, total: u64) -> String {
    format!("{} of {}", bytes(used), bytes(total))
}

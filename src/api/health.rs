//! For machines that watch: whether it lives, whether it serves, and Prometheus' figures.

use crate::{Panel, failures::Answer, signed::Signed};
use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
};
use types::{Actor, EngineStatus, MachineSample};

/// Prometheus' text format, 0.0.4.
pub(crate) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Apps, servers and certificates as figures.
pub(crate) async fn metrics(panel: &Panel, who: &Signed) -> Answer<String> {
    let mut page = Figures::default();
    page.family("serverkit_info", "gauge", "The version that runs.");
    page.figure(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    servers(&mut page, panel, &who.actor).await?;
    apps(&mut page, panel, &who.actor).await?;
    certificates(&mut page, panel, &who.actor).await?;
    Ok(page.text)
}

async fn servers(page: &mut Figures, panel: &Panel, actor: &Actor) -> Answer<()> {
    // Who may not see the machines, learns of their apps all the same.
    let servers = match panel.servers.list(actor).await {
        Err(types::Error::Forbidden { .. }) => Vec::new(),
        found => found?,
    };
    let sampled: Vec<_> = servers
        .iter()
        .filter_map(|view| Some((view.server.name.as_str(), view.sample.as_ref()?)))
        .collect();
    type Read = fn(&MachineSample) -> f64;
    let server_figures: [(&str, &str, Read); 9] = [
        ("cpu_ratio", "Share of all cores in use.", |sample| sample.cpu),
        ("load_1m", "Load average over a minute.", |sample| sample.load_1m),
        ("memory_used_bytes", "Memory in use.", |sample| sample.memory_used_bytes as f64),
        ("memory_total_bytes", "Memory.", |sample| sample.memory_total_bytes as f64),
        ("disk_used_bytes", "Disk in use.", |sample| sample.disk_used_bytes as f64),
        ("disk_total_bytes", "Disk.", |sample| sample.disk_total_bytes as f64),
        ("net_in_bytes_per_second", "Received.", |sample| sample.net_in_per_second),
        ("net_out_bytes_per_second", "Sent.", |sample| sample.net_out_per_second),
        ("panel_memory_bytes", "Memory of serverkit itself.", |sample| {
            sample.panel_memory_bytes as f64
        }),
    ];
    for (name, help, read) in server_figures {
        page.family(&format!("serverkit_server_{name}"), "gauge", help);
        for (server, sample) in &sampled {
            page.figure(&[("server", server)], read(sample));
        }
    }
    page.family("serverkit_engine_up", "gauge", "Whether the container engine answers.");
    for view in &servers {
        let is_up = matches!(view.engine, Some(EngineStatus::Up { .. }));
        page.figure(&[("server", &view.server.name)], u8::from(is_up));
    }
    Ok(())
}

async fn apps(page: &mut Figures, panel: &Panel, actor: &Actor) -> Answer<()> {
    let apps = panel.apps.list(actor, None, None, false).await?;
    let mut states: BTreeMap<&str, u32> = BTreeMap::new();
    for view in &apps {
        *states.entry(view.state.word()).or_default() += 1;
    }
    page.family("serverkit_apps", "gauge", "Apps by state.");
    for (state, number) in states {
        page.figure(&[("state", state)], number);
    }
    let usage: BTreeMap<_, _> = panel
        .servers
        .app_usage(actor)
        .await?
        .into_iter()
        .map(|(id, cpu, memory)| (id, (cpu, memory)))
        .collect();
    let labels = |view: &app::AppView| {
        [
            ("app", view.app.name.to_string()),
            ("project", view.project.name.to_string()),
            ("environment", view.environment.name.to_string()),
        ]
    };
    page.family(
        "serverkit_app_up",
        "gauge",
        "Whether the app runs and is healthy, or sleeps until it is wanted.",
    );
    for view in &apps {
        let up = matches!(view.state, app::AppState::Running | app::AppState::Asleep | app::AppState::Waking);
        page.owned(&labels(view), u8::from(up));
    }
    page.family("serverkit_app_cpu_cores", "gauge", "Cores in use.");
    for view in &apps {
        if let Some((Some(cpu), _)) = usage.get(&view.app.id) {
            page.owned(&labels(view), cpu);
        }
    }
    page.family("serverkit_app_memory_bytes", "gauge", "Memory in use.");
    for view in &apps {
        if let Some((_, Some(memory))) = usage.get(&view.app.id) {
            page.owned(&labels(view), memory);
        }
    }
    Ok(())
}

async fn certificates(page: &mut Figures, panel: &Panel, actor: &Actor) -> Answer<()> {
    page.family(
        "serverkit_certificate_not_after_seconds",
        "gauge",
        "When the certificate ends, in Unix seconds.",
    );
    for certificate in panel.certificates.list(actor).await? {
        if let Some(end) = certificate.certificate.not_after {
            page.figure(&[("host", certificate.id.as_str())], end.0 / 1000);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Figures {
    text: String,
    name: String,
}

impl Figures {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        name.clone_into(&mut self.name);
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
    fn owned(&mut self, labels: &[(&str, String)], value: impl Display) {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.figure(&labels, value);
    }
    fn figure(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                format!("{name}=\"{value}\"")
            })
            .collect();
        let _ = writeln!(self.text, "{}{{{}}} {value}", self.name, labels.join(","));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Figures::default();
        page.family("up", "gauge", "Up.");
        page.figure(&[("app", "a\"b\\c")], 1);
        assert_eq!(page.text, "# HELP up Up.\n# TYPE up gauge\nup{app=\"a\\\"b\\\\c\"} 1\n");
    }
}

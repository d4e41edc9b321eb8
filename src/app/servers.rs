//! Servers: what they are, how they fare, what their doctor says.

use crate::{apps::find_app, ground::Ground, sight::of};
use std::{collections::HashSet, sync::Arc, time::Duration};
use types::{
    Action, Actor, AppId, EngineStatus, Error, Finding, FindingLevel, Kind, MachineFacts, MachineSample, NodeId, NodeRecord, Result, Time,
};

#[derive(Debug, Clone)]
pub struct ServerView {
    pub server: NodeRecord,
    pub facts: MachineFacts,
    /// `None` in the first moments.
    pub engine: Option<EngineStatus>,
    pub sample: Option<MachineSample>,
}

/// Several series over the same times. A value is `None` where nothing was measured.
#[derive(Debug, Clone)]
pub struct Chart {
    pub step: Duration,
    pub times: Vec<Time>,
    pub series: Vec<(&'static str, Vec<Option<f64>>)>,
}

const SERVER_SERIES: [&str; 7] = [
    "cpu",
    "load_1m",
    "memory_used_bytes",
    "disk_used_bytes",
    "net_in",
    "net_out",
    "panel_memory_bytes",
];
const APP_SERIES: [&str; 7] = ["cpu_cores", "memory_bytes", "net_in", "net_out", "requests", "errors", "latency_ms"];

/// Points in a chart.
const POINTS: usize = 180;

#[derive(Clone)]
pub struct Servers {
    ground: Arc<Ground>,
}

impl Servers {
    pub(crate) fn new(ground: Arc<Ground>) -> Servers {
        Servers { ground }
    }

    pub async fn list(&self, actor: &Actor) -> Result<Vec<ServerView>> {
        actor.may(Action::ViewServers)?;
        let ground = &self.ground;
        let view = |server: NodeRecord| ServerView {
            server,
            facts: ground.node.facts(),
            engine: ground.observed.load().engine.clone(),
            sample: (**ground.last_sample.load()).clone(),
        };
        Ok(ground.store.nodes.list()?.into_iter().map(|stored| view(stored.value)).collect())
    }

    /// What the machine was like in the last `span`.
    pub async fn metrics(&self, actor: &Actor, server: &str, span: Duration) -> Result<Chart> {
        actor.may(Action::ViewServers)?;
        let server: NodeId = server.parse().map_err(|_| Error::not_found(Kind::Node, server))?;
        self.ground.store.nodes.get(server.as_str())?;
        self.chart(&format!("server/{server}"), &SERVER_SERIES, span)
    }

    /// What an app was like in the last `span`.
    pub async fn app_metrics(&self, actor: &Actor, app: &str, span: Duration) -> Result<Chart> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        self.chart(&format!("app/{}", app.id), &APP_SERIES, span)
    }

    /// The last measured cores and bytes of each app of the organization; `None` of one that does not run.
    pub async fn app_usage(&self, actor: &Actor) -> Result<Vec<(AppId, Option<f64>, Option<f64>)>> {
        actor.may_somewhere(Action::View)?;
        let observed = self.ground.observed.load_full();
        let running = observed.containers.iter().filter(|container| container.state.is_running());
        let running: HashSet<&AppId> = running.map(|container| &container.owner.app).collect();
        let usage = |app: &AppId| {
            let last = |name: &str| {
                let found = self.ground.metrics.last(&format!("app/{app}/{name}"));
                found.filter(|_| running.contains(app)).map(|(_, value)| value)
            };
            (app.clone(), last("cpu_cores"), last("memory_bytes"))
        };
        let apps = self.ground.store.apps.list()?;
        let seen = of(&self.ground, actor, apps)?;
        Ok(seen
            .iter()
            .filter(|app| app.trashed_at.is_none())
            .map(|app| usage(&app.id))
            .collect())
    }

    /// What is wrong with this machine, and how to mend it.
    pub async fn doctor(&self, actor: &Actor) -> Result<Vec<Finding>> {
        actor.may(Action::Operate)?;
        let settings = self.ground.settings()?;
        let directory = self.ground.options.acme_directory.clone().unwrap_or(settings.acme_directory);
        let mut findings = self.ground.node.doctor(directory.domain()).await;
        findings.extend(self.ground.store.mended().into_iter().map(mended));
        Ok(findings)
    }

    fn chart(&self, prefix: &str, names: &[&'static str], span: Duration) -> Result<Chart> {
        if !(Duration::from_secs(60)..=Duration::from_secs(7 * 86_400)).contains(&span) {
            return Err(Error::invalid("minutes", "must be between 1 and 10080 (7 days)"));
        }
        let to = self.ground.world.now();
        let from = to.minus(span);
        let step = (span / u32::try_from(POINTS).expect("a small number")).max(Duration::from_secs(2));
        let points = usize::try_from(span.as_millis() / step.as_millis())
            .unwrap_or(POINTS)
            .clamp(1, POINTS);
        let times = (0..points)
            .map(|n| from.plus(step * u32::try_from(n).expect("a small number")))
            .collect();
        let series = names
            .iter()
            .map(|name| (*name, self.ground.metrics.range(&format!("{prefix}/{name}"), from, to, points)))
            .collect();
        Ok(Chart { step, times, series })
    }
}

/// Nothing is left to do but to find out why the disk, or whoever copied the folder, harmed the state.
fn mended(summary: String) -> Finding {
    Finding {
        check: "state",
        level: FindingLevel::Warning,
        summary: format!("the state was damaged, and is whole again: {summary}"),
        fix: "dmesg | grep -i error shows whether the disk fails; keep a copy of the panel's folder".into(),
    }
}

pub(crate) fn local(ground: &Ground) -> Result<Option<NodeRecord>> {
    Ok(ground
        .store
        .nodes
        .list()?
        .into_iter()
        .map(|stored| stored.value)
        .find(|server| server.local))
}

/// The panel's own machine has a record, from the first start on.
pub(crate) async fn ensure_local(ground: &Ground) -> Result<()> {
    if local(ground)?.is_none() {
        let name = ground.node.facts().hostname;
        let record = NodeRecord {
            id: ground.world.id(),
            name,
            local: true,
            created_at: ground.world.now(),
        };
        ground.store.nodes.insert(record).await?;
    }
    Ok(())
}

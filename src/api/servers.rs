//! Servers, their measurements and their health.

use crate::{
    Panel,
    answers::{Page, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{Enum, Object, OpenApi, param::Query, payload::Json};

/// A server.
#[derive(Debug, Object)]
pub struct Server {
    pub id: String,
    pub name: String,
    /// The panel's own machine.
    pub local: bool,
    pub facts: ServerFacts,
    pub engine: Engine,
    /// The latest; null before the first.
    pub sample: Option<ServerSample>,
}

/// What does not change while it runs.
#[derive(Debug, Object)]
pub struct ServerFacts {
    pub hostname: String,
    pub os: String,
    pub kernel: String,
    pub architecture: String,
    pub cores: u32,
    pub memory_bytes: u64,
}

/// The container engine.
#[derive(Debug, Object)]
pub struct Engine {
    pub up: bool,
    /// Null while it is down.
    pub version: Option<String>,
    /// Why it is down.
    pub why: Option<String>,
    /// What to do about it.
    pub fix: Option<String>,
}

/// One look at a machine.
#[derive(Debug, Object)]
pub struct ServerSample {
    /// Share of all cores since the last sample, 0 to 1.
    pub cpu: f64,
    pub cores: u32,
    pub load_1m: f64,
    pub memory_used_bytes: u64,
    pub memory_total_bytes: u64,
    pub swap_used_bytes: u64,
    pub swap_total_bytes: u64,
    /// Of the file system that holds the panel's data.
    pub disk_used_bytes: u64,
    pub disk_total_bytes: u64,
    /// Bytes a second since the last sample, over all interfaces but loopback and bridges.
    pub net_in_per_second: f64,
    pub net_out_per_second: f64,
    /// Of the panel's own process.
    pub panel_memory_bytes: u64,
    pub uptime_seconds: u64,
}

/// What was found on the machine.
#[derive(Debug, Object)]
pub struct Doctor {
    pub findings: Vec<Finding>,
}

#[derive(Debug, Object)]
pub struct Finding {
    /// `engine`, `ports`, `disk`, `clock`, `dns`, `memory`.
    pub check: String,
    pub level: FindingLevel,
    /// What was found, one sentence.
    pub summary: String,
    /// What to do; empty when all is well.
    pub fix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum FindingLevel {
    Ok,
    Warning,
    Problem,
}

impl From<app::ServerView> for Server {
    fn from(view: app::ServerView) -> Server {
        Server {
            id: view.server.id.to_string(),
            name: view.server.name,
            local: view.server.local,
            facts: view.facts.into(),
            engine: view.engine.into(),
            sample: view.sample.map(ServerSample::from),
        }
    }
}

impl From<types::MachineFacts> for ServerFacts {
    fn from(facts: types::MachineFacts) -> ServerFacts {
        ServerFacts {
            hostname: facts.hostname,
            os: facts.os,
            kernel: facts.kernel,
            architecture: facts.architecture,
            cores: facts.cores,
            memory_bytes: facts.memory_bytes,
        }
    }
}

impl From<Option<types::EngineStatus>> for Engine {
    fn from(status: Option<types::EngineStatus>) -> Engine {
        let (up, version, why, fix) = match status {
            Some(types::EngineStatus::Up { version, .. }) => (true, Some(version), None, None),
            Some(types::EngineStatus::Down { why, fix }) => (false, None, Some(why), Some(fix)),
            None => (false, None, Some("not asked yet".to_owned()), None),
        };
        Engine { up, version, why, fix }
    }
}

impl From<types::MachineSample> for ServerSample {
    fn from(sample: types::MachineSample) -> ServerSample {
        ServerSample {
            cpu: sample.cpu,
            cores: sample.cores,
            load_1m: sample.load_1m,
            memory_used_bytes: sample.memory_used_bytes,
            memory_total_bytes: sample.memory_total_bytes,
            swap_used_bytes: sample.swap_used_bytes,
            swap_total_bytes: sample.swap_total_bytes,
            disk_used_bytes: sample.disk_used_bytes,
            disk_total_bytes: sample.disk_total_bytes,
            net_in_per_second: sample.net_in_per_second,
            net_out_per_second: sample.net_out_per_second,
            panel_memory_bytes: sample.panel_memory_bytes,
            uptime_seconds: sample.uptime_seconds,
        }
    }
}

impl From<types::Finding> for Finding {
    fn from(finding: types::Finding) -> Finding {
        Finding {
            check: finding.check.to_owned(),
            level: finding.level.into(),
            summary: finding.summary,
            fix: finding.fix,
        }
    }
}

impl From<types::FindingLevel> for FindingLevel {
    fn from(level: types::FindingLevel) -> FindingLevel {
        match level {
            types::FindingLevel::Ok => FindingLevel::Ok,
            types::FindingLevel::Warning => FindingLevel::Warning,
            types::FindingLevel::Problem => FindingLevel::Problem,
        }
    }
}

#[derive(Clone)]
pub(crate) struct ServersApi(pub Panel);

#[OpenApi(tag = "Tag::Servers")]
impl ServersApi {
    /// List servers
    #[oai(path = "/servers", method = "get", operation_id = "server_list")]
    async fn server_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Server>>> {
        let servers = self.0.servers.list(&who.actor).await?;
        page(servers, cursor.0.as_deref(), limit.0, |view| view.server.id.to_string())
    }

    /// Examine the machine
    ///
    /// Engine, ports, disk, clock, DNS, memory; each with what to do. Needs the role admin.
    #[oai(path = "/doctor", method = "get", operation_id = "doctor")]
    async fn doctor(&self, who: Signed) -> Answer<Json<Doctor>> {
        let findings = self.0.servers.doctor(&who.actor).await?;
        Ok(Json(Doctor {
            findings: findings.into_iter().map(Finding::from).collect(),
        }))
    }
}

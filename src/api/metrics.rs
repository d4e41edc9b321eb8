//! Measurements over time, of apps and servers.

use crate::{Panel, failures::Answer, signed::Signed, tags::Tag};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use std::collections::HashMap;
use std::time::Duration;

/// Measurements of an app. Each series has one entry for each time; null where there is none.
#[derive(Debug, Object)]
pub struct AppMetrics {
    /// Between two times.
    pub step_seconds: f64,
    /// Unix seconds.
    pub times: Vec<f64>,
    pub series: AppSeries,
}

#[derive(Debug, Object)]
pub struct AppSeries {
    pub cpu_cores: Vec<Option<f64>>,
    pub memory_bytes: Vec<Option<f64>>,
    /// Bytes a second.
    pub net_in: Vec<Option<f64>>,
    /// Bytes a second.
    pub net_out: Vec<Option<f64>>,
    /// A second.
    pub requests: Vec<Option<f64>>,
    /// Answers 500 to 599, a second.
    pub errors: Vec<Option<f64>>,
    /// Mean time to the last byte.
    pub latency_ms: Vec<Option<f64>>,
}

/// Measurements of a server. Each series has one entry for each time; null where there is none.
#[derive(Debug, Object)]
pub struct ServerMetrics {
    /// Between two times.
    pub step_seconds: f64,
    /// Unix seconds.
    pub times: Vec<f64>,
    pub series: ServerSeries,
}

#[derive(Debug, Object)]
pub struct ServerSeries {
    /// 0 to 1 over all cores.
    pub cpu: Vec<Option<f64>>,
    pub memory_used_bytes: Vec<Option<f64>>,
    pub disk_used_bytes: Vec<Option<f64>>,
    /// Bytes a second.
    pub net_in: Vec<Option<f64>>,
    /// Bytes a second.
    pub net_out: Vec<Option<f64>>,
    pub load_1m: Vec<Option<f64>>,
    pub panel_memory_bytes: Vec<Option<f64>>,
}

/// An hour, unless it is said otherwise.
fn span(minutes: Option<u32>) -> Duration {
    Duration::from_secs(60 * u64::from(minutes.unwrap_or(60)))
}

/// The times of a chart, and its series by name.
struct Chart {
    step_seconds: f64,
    times: Vec<f64>,
    series: HashMap<&'static str, Vec<Option<f64>>>,
}

impl From<app::Chart> for Chart {
    fn from(chart: app::Chart) -> Chart {
        Chart {
            step_seconds: chart.step.as_secs_f64(),
            times: chart.times.iter().map(|time| (time.0 / 1000) as f64).collect(),
            series: chart.series.into_iter().collect(),
        }
    }
}

impl Chart {
    fn take(&mut self, name: &str) -> Vec<Option<f64>> {
        self.series.remove(name).unwrap_or_else(|| vec![None; self.times.len()])
    }
}

#[derive(Clone)]
pub(crate) struct MetricsApi(pub Panel);

#[OpenApi(tag = "Tag::Servers")]
impl MetricsApi {
    /// Measurements of an app
    #[oai(path = "/apps/:app/metrics", method = "get", operation_id = "app_metrics")]
    async fn app_metrics(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// So far back: 1 to 10080; left out: 60.
        minutes: Query<Option<u32>>,
    ) -> Answer<Json<AppMetrics>> {
        let mut chart = Chart::from(self.0.servers.app_metrics(&who.actor, &app.0, span(minutes.0)).await?);
        Ok(Json(AppMetrics {
            step_seconds: chart.step_seconds,
            series: AppSeries {
                cpu_cores: chart.take("cpu_cores"),
                memory_bytes: chart.take("memory_bytes"),
                net_in: chart.take("net_in"),
                net_out: chart.take("net_out"),
                requests: chart.take("requests"),
                errors: chart.take("errors"),
                latency_ms: chart.take("latency_ms"),
            },
            times: chart.times,
        }))
    }

    /// Measurements of a server
    #[oai(path = "/servers/:id/metrics", method = "get", operation_id = "server_metrics")]
    async fn server_metrics(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
        /// So far back: 1 to 10080; left out: 60.
        minutes: Query<Option<u32>>,
    ) -> Answer<Json<ServerMetrics>> {
        let mut chart = Chart::from(self.0.servers.metrics(&who.actor, &id.0, span(minutes.0)).await?);
        Ok(Json(ServerMetrics {
            step_seconds: chart.step_seconds,
            series: ServerSeries {
                cpu: chart.take("cpu"),
                memory_used_bytes: chart.take("memory_used_bytes"),
                disk_used_bytes: chart.take("disk_used_bytes"),
                net_in: chart.take("net_in"),
                net_out: chart.take("net_out"),
                load_1m: chart.take("load_1m"),
                panel_memory_bytes: chart.take("panel_memory_bytes"),
            },
            times: chart.times,
        }))
    }
}

//! Containers that do one thing and end: commands before and after a deployment, jobs. They bear other labels than those of
//! apps, so nobody takes them for a release's container.

use crate::{
    connect::Docker,
    containers::{APP, Refused},
    failures::{checked, is_missing, words},
};
use bollard::{
    models::{ContainerCreateBody, RestartPolicy, RestartPolicyNameEnum},
    query_parameters::{CreateContainerOptionsBuilder, ListContainersOptionsBuilder},
};
use futures::StreamExt;
use std::collections::HashMap;
use tokio::sync::mpsc;
use types::{AppId, ContainerSpec, Error, Kind, LogLine, LogQuery, Result, RunEnd};

/// Whose run it is.
const RUN: &str = "serverkit.run";

impl Docker {
    /// Makes the container, starts it, hands on what it prints, waits for its end and removes it. One with its name that a
    /// crash left is removed first. Dropping the future removes it too.
    pub async fn container_run(&self, spec: &ContainerSpec, lines: &mpsc::Sender<LogLine>) -> Result<RunEnd> {
        self.container_remove(checked(Kind::Container, &spec.name)?).await?;
        let mut body = self.container_body(spec).await?;
        as_a_run(&mut body, spec);
        let options = CreateContainerOptionsBuilder::default().name(&spec.name).build();
        let made = self.client().create_container(Some(options), body).await;
        let id = match made {
            Ok(made) => made.id,
            Err(refusal) => match crate::containers::make_failure(spec, refusal) {
                Refused::Other(error) => return Err(error),
                Refused::NameTaken => return Err(Error::busy(format!("a container named {} is there already", spec.name))),
            },
        };
        let ends = Removed::new(self, id.clone());
        crate::services::furnish(self, &id, spec).await?;
        let started = self.client().start_container(&id, None).await;
        started.map_err(|refusal| crate::containers::start_failure(&spec.name, refusal))?;
        let query = LogQuery {
            follow: true,
            ..LogQuery::default()
        };
        let mut printed = self.container_logs(&id, query);
        while let Some(line) = printed.next().await {
            match line {
                // Nobody listens any more; the run goes on.
                Ok(line) => drop(lines.send(line).await),
                Err(_) => break,
            }
        }
        let end = self.run_end(&id).await?;
        ends.now().await?;
        Ok(end)
    }

    /// Waits for the end: the log may break off before it.
    async fn run_end(&self, id: &str) -> Result<RunEnd> {
        loop {
            let state = match self.client().inspect_container(id, None).await {
                Ok(found) => found.state.unwrap_or_default(),
                Err(refusal) if is_missing(&refusal) => return Err(Error::unavailable("its container is gone; somebody removed it")),
                Err(refusal) => return Err(words("looking at a container")(refusal)),
            };
            if state.running != Some(true) && state.finished_at.is_some() && state.exit_code.is_some() {
                return Ok(RunEnd {
                    code: state.exit_code.unwrap_or(-1),
                    out_of_memory: state.oom_killed == Some(true),
                });
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Removes runs that have ended and that a crash left, of the apps that `is_ours` takes. Answers how many.
    pub async fn runs_remove(&self, is_ours: impl Fn(&AppId) -> bool) -> Result<usize> {
        let filters = HashMap::from([("label", vec![RUN]), ("status", vec!["exited"])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.client().list_containers(Some(options)).await;
        let mut removed = 0;
        for container in found.map_err(words("listing the containers"))? {
            let app = container
                .labels
                .as_ref()
                .and_then(|labels| labels.get(RUN))
                .and_then(|app| app.parse().ok());
            if let (Some(id), Some(app)) = (container.id, app)
                && is_ours(&app)
            {
                self.container_remove(&id).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// It ends once, is found by nobody under the app's name, and does not count as the app's.
fn as_a_run(body: &mut ContainerCreateBody, spec: &ContainerSpec) {
    if let Some(labels) = &mut body.labels {
        labels.remove(APP);
        labels.insert(RUN.to_owned(), spec.owner.app.to_string());
    }
    if let Some(host) = &mut body.host_config {
        host.restart_policy = Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        });
    }
}

/// Removes the container when it goes.
pub(crate) struct Removed {
    docker: Docker,
    id: Option<String>,
}

impl Removed {
    pub(crate) fn new(docker: &Docker, id: String) -> Removed {
        Removed {
            docker: docker.clone(),
            id: Some(id),
        }
    }
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }
    pub(crate) async fn now(mut self) -> Result<()> {
        match self.id.take() {
            Some(id) => self.docker.container_remove(&id).await,
            None => Ok(()),
        }
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        if let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) {
            let docker = self.docker.clone();
            runtime.spawn(async move {
                if let Err(error) = docker.container_remove(&id).await {
                    tracing::warn!("removing a run: {}", types::report(&error));
                }
            });
        }
    }
}

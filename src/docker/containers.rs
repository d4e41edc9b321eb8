//! Containers of apps: what they are made with, and how they are.

#[cfg(test)]
mod tests;

use crate::{
    connect::Docker,
    failures::{self, checked, is_missing, words, words_or_missing},
    services,
};
use bollard::{
    models::{
        ContainerCreateBody, ContainerInspectResponse, ContainerState as EngineState, ContainerStateStatusEnum, EndpointSettings,
        HostConfig, HostConfigLogConfig, Mount, MountType, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{collections::HashMap, net::IpAddr, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use types::{Container, ContainerSpec, ContainerState, Error, Kind, Owner, Result, ServiceMark, Time};

const ORGANIZATION: &str = "serverkit.organization";
pub(crate) const ENVIRONMENT: &str = "serverkit.environment";
pub(crate) const APP: &str = "serverkit.app";
const RELEASE: &str = "serverkit.release";
const ROLE: &str = "serverkit.role";
const SERVICE: &str = "serverkit.service";
const REPLICA: &str = "serverkit.replica";
/// What a service's container is made of, as one number.
const CONFIG: &str = "serverkit.config";
/// The network among possibly several whose address the edge dials.
const NETWORK: &str = "serverkit.network";

impl Docker {
    /// All that bear our labels, running or not, oldest first.
    pub async fn containers(&self) -> Result<Vec<Container>> {
        let filters = HashMap::from([("label", vec![APP])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self
            .client()
            .list_containers(Some(options))
            .await
            .map_err(words("listing the containers"))?;
        let mut containers: Vec<Container> = stream::iter(found.into_iter().filter_map(|container| container.id))
            .map(|id| async move { self.container_find(&id).await })
            .buffer_unordered(8)
            .try_filter_map(|container| async { Ok(container) })
            .try_collect()
            .await?;
        containers.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
        Ok(containers)
    }

    /// By id or name; `None` also for one that is not ours.
    pub async fn container_find(&self, id: &str) -> Result<Option<Container>> {
        let id = checked(Kind::Container, id)?;
        match self.client().inspect_container(id, None).await {
            Ok(found) => Ok(container_of(found)),
            Err(refusal) if is_missing(&refusal) => Ok(None),
            Err(refusal) => Err(words("looking at a container")(refusal)),
        }
    }

    /// Makes and starts it; one that has its name already is only started. Answers the engine's id.
    /// Fails with `NotFound` for a missing image, network or volume, and with `Invalid` when its command cannot run; then
    /// nothing of it is left.
    pub async fn container_start(&self, spec: &ContainerSpec) -> Result<String> {
        let mut made = self.container_make(spec).await;
        // One that never started may lack its files: a crash came between.
        if matches!(made, Err(Refused::NameTaken)) && !spec.files.is_empty() {
            let there = self.container_find(&spec.name).await?;
            if there.is_some_and(|there| there.state == ContainerState::Created) {
                self.container_remove(&spec.name).await?;
                made = self.container_make(spec).await;
            }
        }
        let (id, is_new) = match made {
            Ok(id) => (id, true),
            Err(Refused::NameTaken) => (self.there_already(spec).await?, false),
            Err(Refused::Other(error)) => return Err(error),
        };
        if is_new && let Err(error) = services::furnish(self, &id, spec).await {
            self.container_remove(&id).await?;
            return Err(error);
        }
        let started = self.client().start_container(&id, None).await;
        if let Err(refusal) = started {
            if is_new {
                self.container_remove(&id).await?;
            }
            return Err(start_failure(&spec.name, refusal));
        }
        Ok(id)
    }

    /// The one of ours that has its name. One that never started may lack its further networks: a crash came between.
    async fn there_already(&self, spec: &ContainerSpec) -> Result<String> {
        match self.container_find(&spec.name).await? {
            Some(container) => {
                let has_further = spec.service.as_ref().is_some_and(|service| !service.further.is_empty());
                if has_further && container.state == ContainerState::Created {
                    services::join(self, &container.id, spec).await?;
                }
                Ok(container.id)
            }
            None => Err(Error::Taken {
                kind: Kind::Container,
                name: spec.name.clone(),
                by: Some("something that serverkit did not make".into()),
            }),
        }
    }

    async fn container_make(&self, spec: &ContainerSpec) -> std::result::Result<String, Refused> {
        let body = self.container_body(spec).await?;
        let options = CreateContainerOptionsBuilder::default()
            .name(checked(Kind::Container, &spec.name)?)
            .build();
        match self.client().create_container(Some(options), body).await {
            Ok(made) => Ok(made.id),
            Err(refusal) => Err(make_failure(spec, refusal)),
        }
    }

    /// What is asked of the engine for it.
    pub(crate) async fn container_body(&self, spec: &ContainerSpec) -> Result<ContainerCreateBody> {
        // The engine would make a missing volume, empty: data of another place would seem lost.
        for mount in &spec.mounts {
            if !self.volume_exists(&mount.volume).await? {
                return Err(Error::not_found(Kind::Volume, &mount.volume));
            }
        }
        let cores = self.cores().await?;
        let runs_as_first = self.runs_as_first(&spec.image).await?;
        body_of(spec, cores, !runs_as_first)
    }

    /// The engine refuses to promise more cores than there are.
    async fn cores(&self) -> Result<u32> {
        let info = self.client().info().await.map_err(words("asking the Docker engine for its size"))?;
        Ok(info.ncpu.and_then(|cores| u32::try_from(cores).ok()).unwrap_or(1).max(1))
    }

    /// Images that bring an init of their own want to be process 1 and stop with an error otherwise (s6-overlay, systemd).
    async fn runs_as_first(&self, image: &str) -> Result<bool> {
        let found = self
            .client()
            .inspect_image(checked(Kind::Image, image)?)
            .await
            .map_err(words_or_missing("looking at an image", Kind::Image, image))?;
        let config = found.config.unwrap_or_default();
        let first = config
            .entrypoint
            .into_iter()
            .flatten()
            .chain(config.cmd.into_iter().flatten())
            .next();
        Ok(first.is_some_and(|first| {
            matches!(
                first.as_str(),
                "/init" | "/sbin/init" | "/lib/systemd/systemd" | "/usr/lib/systemd/systemd"
            )
        }))
    }

    /// Sends the image's stop signal and kills what is left after `grace`. Stopped or gone already is fine.
    pub async fn container_stop(&self, id: &str, grace: Duration) -> Result<()> {
        let id = checked(Kind::Container, id)?;
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let client = self.patient(grace + Duration::from_secs(60));
        match client.stop_container(id, Some(options)).await {
            Err(refusal) if !is_missing(&refusal) => Err(words("stopping a container")(refusal)),
            _ => Ok(()),
        }
    }

    /// Removes it, running or not, with its anonymous volumes and never named ones. Gone already is fine.
    pub async fn container_remove(&self, id: &str) -> Result<()> {
        let id = checked(Kind::Container, id)?;
        let options = RemoveContainerOptionsBuilder::default().v(true).force(true).build();
        self.inner.samples.forget(id);
        match self.client().remove_container(id, Some(options)).await {
            Err(refusal) if is_missing(&refusal) || is_under_way(&refusal) => Ok(()),
            Err(refusal) => Err(words("removing a container")(refusal)),
            Ok(()) => Ok(()),
        }
    }
}

pub(crate) enum Refused {
    NameTaken,
    Other(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Other(error)
    }
}

fn is_under_way(refusal: &bollard::errors::Error) -> bool {
    matches!(failures::answer(refusal), Some((409, message)) if message.contains("already in progress"))
}

pub(crate) fn make_failure(spec: &ContainerSpec, refusal: bollard::errors::Error) -> Refused {
    match failures::answer(&refusal) {
        Some((409, message)) if message.contains("is already in use") => Refused::NameTaken,
        Some((404, _)) => Error::not_found(Kind::Image, &spec.image).into(),
        _ => words(format!("making the container `{}`", spec.name))(refusal).into(),
    }
}

pub(crate) fn start_failure(name: &str, refusal: bollard::errors::Error) -> Error {
    let Some((_, message)) = failures::answer(&refusal) else {
        return words(format!("starting the container `{name}`"))(refusal);
    };
    if message.contains("docker-init") {
        return Error::unavailable("the Docker engine has no `docker-init`; install it with: apt-get install -y tini");
    }
    if message.contains("apparmor_parser") || message.contains("unable to apply apparmor profile") {
        return Error::unavailable(
            "Docker starts no container here, because AppArmor is on and its tools are not installed: apt-get install -y apparmor",
        );
    }
    for missing in [
        "executable file not found",
        "no such file or directory",
        "permission denied",
        "is a directory",
    ] {
        if message.contains(missing) && message.contains("exec") {
            let command = message
                .split("exec: \"")
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .unwrap_or("?");
            return Error::invalid("command", format!("`{command}` cannot be run in this image: {missing}"));
        }
    }
    if message.contains("network") && message.contains("not found") {
        return Error::not_found(Kind::Network, failures::plain(message));
    }
    words(format!("starting the container `{name}`"))(refusal)
}

fn body_of(spec: &ContainerSpec, cores: u32, has_init: bool) -> Result<ContainerCreateBody> {
    let endpoint = EndpointSettings {
        aliases: Some(spec.aliases.clone()),
        ..Default::default()
    };
    let mut body = ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: spec.command.clone(),
        env: Some(environment_of(spec)?),
        labels: Some(labels_of(spec)),
        stop_timeout: Some(i64::from(spec.grace_seconds)),
        host_config: Some(host_config_of(spec, cores, has_init)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(spec.network.clone(), endpoint)])),
        }),
        ..Default::default()
    };
    if let Some(service) = &spec.service {
        services::apply(&mut body, service);
    }
    Ok(body)
}

fn host_config_of(spec: &ContainerSpec, cores: u32, has_init: bool) -> HostConfig {
    let memory = i64::try_from(spec.limits.memory_bytes).unwrap_or(i64::MAX);
    let nano_cpus = i64::from(spec.limits.cpu_millis.min(cores.saturating_mul(1000))) * 1_000_000;
    HostConfig {
        network_mode: Some(spec.network.clone()),
        mounts: Some(spec.mounts.iter().map(mount_of).collect()),
        memory: Some(memory),
        // Memory and swap together: none of it is swap.
        memory_swap: Some(memory),
        nano_cpus: Some(nano_cpus),
        pids_limit: Some(i64::from(spec.limits.pids)),
        init: Some(has_init),
        security_opt: Some(vec!["no-new-privileges".into()]),
        // The engine waits 100 ms, 200 ms, … 1 min between two tries, says `restarting` meanwhile, and counts them.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(HashMap::from([("max-size".into(), "10m".into()), ("max-file".into(), "3".into())])),
        }),
        ..Default::default()
    }
}

fn mount_of(mount: &types::MountSpec) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(mount.volume.clone()),
        target: Some(mount.path.clone()),
        read_only: Some(mount.read_only),
        ..Default::default()
    }
}

fn environment_of(spec: &ContainerSpec) -> Result<Vec<String>> {
    let line = |(key, value): &(String, types::Secret)| match value.expose_str() {
        Some(value) if !value.contains('\0') => Ok(format!("{key}={value}")),
        _ => Err(Error::invalid(
            key.clone(),
            "must be UTF-8 text without NUL to become an environment variable",
        )),
    };
    spec.environment.iter().map(line).collect()
}

fn labels_of(spec: &ContainerSpec) -> HashMap<String, String> {
    let mut labels = HashMap::new();
    labels.extend(spec.service.iter().flat_map(|service| service.labels.clone()));
    if let Some(mark) = &spec.owner.service {
        labels.insert(SERVICE.into(), mark.name.clone());
        labels.insert(CONFIG.into(), mark.hash.clone());
    }
    labels.extend([
        (ORGANIZATION.into(), spec.owner.organization.to_string()),
        (ENVIRONMENT.into(), spec.owner.environment.to_string()),
        (APP.into(), spec.owner.app.to_string()),
        (RELEASE.into(), spec.owner.release.to_string()),
        (ROLE.into(), "app".into()),
        (NETWORK.into(), spec.network.clone()),
        (REPLICA.into(), spec.owner.replica.to_string()),
    ]);
    labels
}

/// `None` when its labels are not all there and right: then it is not ours.
fn container_of(found: ContainerInspectResponse) -> Option<Container> {
    let config = found.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let state = found.state.unwrap_or_default();
    let state_now = state_of(&state);
    let network = labels.get(NETWORK);
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let endpoint = network
        .and_then(|network| networks.get(network))
        .or_else(|| networks.values().next());
    let address = endpoint
        .and_then(|endpoint| endpoint.ip_address.as_deref())
        .and_then(|text| text.parse::<IpAddr>().ok())
        // On the host's own network it has no address of its own.
        .or_else(|| networks.contains_key("host").then_some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)))
        .filter(|_| state_now.is_running());
    let health = state.health.as_ref().and_then(services::health_of);
    Some(Container {
        id: found.id?,
        name: found.name?.trim_start_matches('/').to_owned(),
        owner: owner_of(&labels)?,
        image: found.image.unwrap_or_default(),
        address,
        created_at: found.created.map(Time::from_utc).unwrap_or_default(),
        started_at: state.started_at.as_deref().and_then(moment),
        restarts: found.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        state: state_now,
        health,
    })
}

pub(crate) fn owner_of(labels: &HashMap<String, String>) -> Option<Owner> {
    Some(Owner {
        organization: labels.get(ORGANIZATION)?.parse().ok()?,
        environment: labels.get(ENVIRONMENT)?.parse().ok()?,
        app: labels.get(APP)?.parse().ok()?,
        release: labels.get(RELEASE)?.parse().ok()?,
        replica: labels.get(REPLICA).and_then(|text| text.parse().ok()).unwrap_or(0),
        service: labels.get(SERVICE).map(|name| ServiceMark {
            name: name.clone(),
            replica: labels.get(REPLICA).and_then(|text| text.parse().ok()).unwrap_or(0),
            hash: labels.get(CONFIG).cloned().unwrap_or_default(),
        }),
    })
}

fn state_of(state: &EngineState) -> ContainerState {
    let code = state.exit_code.unwrap_or(0);
    let out_of_memory = state.oom_killed.unwrap_or(false);
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED) => ContainerState::Running,
        Some(ContainerStateStatusEnum::RESTARTING) => ContainerState::Restarting { code, out_of_memory },
        Some(ContainerStateStatusEnum::REMOVING) => ContainerState::Removing,
        _ => ContainerState::Exited { code, out_of_memory },
    }
}

/// The engine writes the year 1 for "never".
fn moment(text: &str) -> Option<Time> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    (at.year() > 1).then(|| Time::from_utc(at))
}

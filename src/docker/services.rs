//! What a service of a stack has beyond every app's container: its place in the engine's terms, its files, its further networks.

use crate::{connect::Docker, failures::words};
use bollard::{
    body_full,
    models::{
        ContainerCreateBody, DeviceMapping, EndpointSettings, Health, HealthConfig, HealthStatusEnum, HostConfig, Mount, MountType,
        NetworkConnectRequest, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::UploadToContainerOptionsBuilder,
};
use types::{ContainerSpec, Doing, EngineCheck, EngineHealth, Restart, Result, ServiceSpec, StackFile, StackHealth, StackRuntime};

/// Puts what the service says over what every container gets.
pub(crate) fn apply(body: &mut ContainerCreateBody, service: &ServiceSpec) {
    let runtime = &service.runtime;
    body.entrypoint = service.entrypoint.clone();
    body.user = runtime.user.clone();
    body.working_dir = runtime.working_dir.clone();
    body.hostname = runtime.hostname.clone();
    body.domainname = runtime.domainname.clone();
    body.tty = Some(runtime.tty);
    body.open_stdin = Some(runtime.stdin_open);
    body.stop_signal = runtime.stop_signal.clone();
    body.healthcheck = health_config(&service.health);
    if runtime.host_network {
        body.networking_config = None;
    }
    let host = body.host_config.get_or_insert_default();
    host.restart_policy = Some(restart_policy(service.restart));
    let binds = service.host_paths.iter().map(|(source, target, read_only)| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.clone()),
        target: Some(target.clone()),
        read_only: Some(*read_only),
        ..Default::default()
    });
    host.mounts.get_or_insert_default().extend(binds);
    resources(host, runtime);
    reach(host, runtime);
}

fn resources(host: &mut HostConfig, runtime: &StackRuntime) {
    host.init = runtime.init.or(host.init);
    host.readonly_rootfs = Some(runtime.read_only);
    host.tmpfs = Some(runtime.tmpfs.clone().into_iter().collect());
    host.shm_size = runtime.shm_bytes.and_then(|bytes| i64::try_from(bytes).ok());
    host.sysctls = Some(runtime.sysctls.clone().into_iter().collect());
    let ulimits = runtime.ulimits.iter().map(|(name, soft, hard)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(*soft),
        hard: Some(*hard),
    });
    host.ulimits = Some(ulimits.collect());
    host.cpuset_cpus = runtime.cpuset.clone();
    host.cpu_shares = runtime.cpu_shares;
    host.memory_reservation = runtime.memory_reservation_bytes.and_then(|bytes| i64::try_from(bytes).ok());
    host.oom_score_adj = runtime.oom_score_adj;
    host.group_add = Some(runtime.group_add.clone());
}

/// What it may do, and whom it knows.
fn reach(host: &mut HostConfig, runtime: &StackRuntime) {
    host.cap_add = Some(runtime.cap_add.clone());
    host.cap_drop = Some(runtime.cap_drop.clone());
    host.extra_hosts = Some(runtime.extra_hosts.clone());
    host.dns = Some(runtime.dns.clone());
    host.dns_search = Some(runtime.dns_search.clone());
    host.dns_options = Some(runtime.dns_opt.clone());
    host.privileged = Some(runtime.privileged);
    if runtime.host_network {
        host.network_mode = Some("host".into());
    }
    let shared = |wish: bool| wish.then(|| "host".to_owned());
    host.pid_mode = shared(runtime.host_pid);
    host.ipc_mode = shared(runtime.host_ipc);
    host.userns_mode = shared(runtime.host_users);
    host.devices = Some(runtime.devices.iter().map(|text| device(text)).collect());
    let own = &runtime.security_opt;
    let mut options = own.clone();
    // The rule for every container, unless the service speaks of it.
    if !own.iter().any(|option| option.starts_with("no-new-privileges")) {
        options.push("no-new-privileges".into());
    }
    host.security_opt = Some(options);
}

/// `/dev/a:/dev/b:rwm`; the later parts may be missing.
fn device(text: &str) -> DeviceMapping {
    let mut parts = text.split(':');
    let on_host = parts.next().unwrap_or_default().to_owned();
    let inside = parts.next().map_or_else(|| on_host.clone(), str::to_owned);
    DeviceMapping {
        path_on_host: Some(on_host),
        path_in_container: Some(inside),
        cgroup_permissions: Some(parts.next().unwrap_or("rwm").to_owned()),
    }
}

fn restart_policy(restart: Restart) -> RestartPolicy {
    let (name, times) = match restart {
        Restart::No => (RestartPolicyNameEnum::NO, None),
        Restart::OnFailure { times } => (RestartPolicyNameEnum::ON_FAILURE, times),
        Restart::Always => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
    };
    RestartPolicy {
        name: Some(name),
        maximum_retry_count: times.map(i64::from),
    }
}

fn health_config(health: &StackHealth) -> Option<HealthConfig> {
    match health {
        StackHealth::Image => None,
        StackHealth::Off => Some(HealthConfig {
            test: Some(vec!["NONE".into()]),
            ..Default::default()
        }),
        StackHealth::Check(check) => Some(check_config(check)),
    }
}

/// The engine takes nanoseconds; 0 and nothing are what the image says.
fn check_config(check: &EngineCheck) -> HealthConfig {
    let nanos = |millis: Option<u64>| millis.and_then(|millis| i64::try_from(millis).ok()?.checked_mul(1_000_000));
    HealthConfig {
        test: (!check.test.is_empty()).then(|| check.test.clone()),
        interval: nanos(check.interval_millis),
        timeout: nanos(check.timeout_millis),
        retries: check.retries.map(i64::from),
        start_period: nanos(check.start_millis),
        start_interval: nanos(check.start_interval_millis),
    }
}

pub(crate) fn health_of(health: &Health) -> Option<EngineHealth> {
    match health.status? {
        HealthStatusEnum::STARTING => Some(EngineHealth::Starting),
        HealthStatusEnum::HEALTHY => Some(EngineHealth::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(EngineHealth::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}

/// Between making and starting: its further networks, and its files. What it joins first is said when it is made.
pub(crate) async fn furnish(docker: &Docker, id: &str, spec: &ContainerSpec) -> Result<()> {
    join(docker, id, spec).await?;
    put_files(docker, id, &spec.files).await
}

/// Puts a container that has not started yet on the networks beyond its first; those that it is on already stay as they are.
pub(crate) async fn join(docker: &Docker, id: &str, spec: &ContainerSpec) -> Result<()> {
    let Some(service) = spec.service.as_ref().filter(|service| !service.runtime.host_network) else {
        return Ok(());
    };
    for (network, aliases) in service.further.iter().chain(&service.also) {
        let request = NetworkConnectRequest {
            container: id.to_owned(),
            endpoint_config: Some(EndpointSettings {
                aliases: Some(aliases.clone()),
                ..Default::default()
            }),
        };
        let joined = docker.client().connect_network(network, request).await;
        joined.map_err(words("joining a network"))?;
    }
    Ok(())
}

/// Puts files into a container that has not started yet.
async fn put_files(docker: &Docker, id: &str, files: &[StackFile]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let archive = packed(files)?;
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    let sent = docker
        .client()
        .upload_to_container(id, Some(options), body_full(archive.into()))
        .await;
    sent.map_err(words("putting files into a container"))
}

/// The files as a tar stream from the root.
fn packed(files: &[StackFile]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        let path = file.path.trim_start_matches('/');
        archive
            .append_data(&mut header, path, file.content.as_bytes())
            .doing("packing a file")?;
    }
    archive.into_inner().doing("packing files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_said_in_the_engines_terms() {
        let mut body = ContainerCreateBody {
            host_config: Some(HostConfig {
                init: Some(true),
                mounts: Some(Vec::new()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut service = ServiceSpec {
            entrypoint: Some(vec!["/run".into()]),
            restart: Restart::OnFailure { times: Some(3) },
            health: StackHealth::Check(EngineCheck {
                test: vec!["CMD".into(), "x".into()],
                interval_millis: Some(1500),
                ..EngineCheck::default()
            }),
            host_paths: vec![("/srv".into(), "/data".into(), true)],
            ..ServiceSpec::default()
        };
        service.runtime.devices = vec!["/dev/a".into(), "/dev/b:/dev/c:r".into()];
        service.runtime.ulimits = vec![("nofile".into(), 1, 2)];
        apply(&mut body, &service);
        let host = body.host_config.expect("there");
        assert_eq!(host.init, Some(true), "stays unless said");
        assert_eq!(host.restart_policy.and_then(|policy| policy.maximum_retry_count), Some(3));
        assert_eq!(body.healthcheck.and_then(|check| check.interval), Some(1_500_000_000));
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges".into()]));
        let devices = host.devices.expect("there");
        assert_eq!(devices[0].path_in_container.as_deref(), Some("/dev/a"));
        assert_eq!(devices[1].cgroup_permissions.as_deref(), Some("r"));
        assert_eq!(host.mounts.expect("there")[0].typ, Some(MountType::BIND));
        assert_eq!(host.port_bindings, None, "nothing is published");
    }

    #[test]
    fn files_are_packed_with_their_rights() {
        let file = StackFile {
            path: "/etc/app.ini".into(),
            content: "x".into(),
            mode: 0o440,
            uid: 7,
            gid: 8,
            secret: false,
        };
        let bytes = packed(&[file]).expect("packed");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entry = archive.entries().expect("read").next().expect("one").expect("read");
        let header = entry.header();
        assert_eq!(entry.path().expect("a path").to_str(), Some("etc/app.ini"));
        assert_eq!(
            (header.mode().ok(), header.uid().ok(), header.gid().ok()),
            (Some(0o440), Some(7), Some(8))
        );
    }
}

//! One service of a Compose file, key by key. Every key of the Compose Specification is either read, or named with its
//! line and the reason why not.

use super::{
    build::build,
    checks::health,
    context::Context,
    engine::engine,
    environment::{env_files, label_files},
    hooks::hooks,
    limits, mounts,
    networks::Wish,
    ports::ports,
    relations::relations,
    rights::host,
    values,
};
use crate::yaml::{At, Key, Map, Node};
use types::{PullPolicy, Restart, StackPort, StackService};

/// All keys that a service may have, for hints at what was meant.
const KEYS: [&str; 91] = [
    "annotations",
    "attach",
    "blkio_config",
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "command",
    "configs",
    "container_name",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "credential_spec",
    "depends_on",
    "deploy",
    "develop",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extends",
    "external_links",
    "extra_hosts",
    "gpus",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "isolation",
    "label_file",
    "labels",
    "links",
    "logging",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "models",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "post_start",
    "pre_stop",
    "privileged",
    "profiles",
    "provider",
    "pull_policy",
    "read_only",
    "restart",
    "runtime",
    "scale",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "use_api_socket",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "volumes_from",
    "working_dir",
];

/// What a service says of itself, and what it says of others.
pub struct Read {
    pub service: StackService,
    pub at: At,
    /// Whether `restart` or its like is written.
    pub restart_said: bool,
    pub depends_at: At,
    /// `links`: another service, and under which further name this one finds it.
    pub links: Vec<(String, String, At)>,
    pub networks: Vec<Wish>,
}

pub fn service(context: &Context<'_>, model: &Map, key: &Key, node: &Node) -> Read {
    let mut read = Read {
        service: StackService {
            name: key.text.clone(),
            replicas: 1,
            ..StackService::default()
        },
        at: key.at,
        restart_said: false,
        depends_at: key.at,
        links: Vec::new(),
        networks: Vec::new(),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if key.text.is_empty() || key.text.len() > 63 || !key.text.bytes().all(fits) || !key.text.as_bytes()[0].is_ascii_alphanumeric() {
        context.error(
            key.at,
            format!("`{}` is no name for a service: use up to 63 of a-z, 0-9, -, _ and .", key.text),
        );
    }
    let map = context.map(&key.text, node);
    // `deploy` goes over the older keys that say the same, wherever it stands.
    let is_deploy = |(key, _): &&(Key, Node)| key.text == "deploy";
    for (key, node) in map.iter().filter(|pair| !is_deploy(pair)).chain(map.iter().filter(is_deploy)) {
        let known = image_and_process(context, &mut read, key, node)
            || relations(context, &mut read, key, node)
            || engine(context, &mut read.service, key, node)
            || host(context, &read.service.name, &mut read.service.runtime, key, node)
            || limits::read(context, &mut read, key, node)
            || mounts::read(context, model, &mut read.service, key, node)
            || left_out(context, key, node);
        if !known {
            context.unknown("a service", key, &KEYS);
        }
    }
    env_files(context, &mut read.service, map);
    label_files(context, &mut read.service, map);
    // One that is there and wrong has been told.
    let is_told =
        |(name, node): &(Key, Node)| matches!(name.text.as_str(), "image" | "build") && (!node.is_null() || context.is_wrong(node.at));
    if !map.iter().any(is_told) {
        context.error(key.at, format!("the service `{}` has neither `image` nor `build`", key.text));
    }
    read
}

fn image_and_process(context: &Context<'_>, read: &mut Read, key: &Key, node: &Node) -> bool {
    let service = &mut read.service;
    let name = key.text.as_str();
    match name {
        "image" => {
            let image = context.parsed(name, node, |text| {
                text.parse::<types::ImageRef>().map_err(|error| match error {
                    types::Error::Invalid { why, .. } => why,
                    other => other.to_string(),
                })
            });
            service.image = image.map(|image| image.to_string());
        }
        "build" => service.build = build(context, node),
        "pull_policy" => {
            service.pull = context
                .parsed(name, node, |text| match text {
                    "missing" | "if_not_present" | "build" => Ok(PullPolicy::Missing),
                    "always" => Ok(PullPolicy::Always),
                    "never" => Ok(PullPolicy::Never),
                    other => Err(format!("`{other}` is not supported; use missing, always or never")),
                })
                .unwrap_or_default();
        }
        "command" => service.command = context.command(name, node),
        "entrypoint" => service.entrypoint = context.command(name, node),
        // Read when all is known: what is written here goes over what is in files.
        "environment" | "env_file" | "label_file" => {}
        "healthcheck" => service.health = health(context, node),
        "restart" => {
            read.restart_said = true;
            service.restart = context.parsed(name, node, restart).unwrap_or_default();
        }
        "scale" => service.replicas = limits::replicas(context, name, node),
        "post_start" => service.post_start = hooks(context, &service.name, name, node),
        "pre_stop" => service.pre_stop = hooks(context, &service.name, name, node),
        "stop_grace_period" => service.grace_millis = context.parsed(name, node, values::duration),
        "labels" => {
            for (label, value) in context.pairs(name, node) {
                if label.starts_with("serverkit.") {
                    context.error(node.at, format!("the label `{label}` is the panel's own"));
                }
                service.labels.insert(label, value.unwrap_or_default());
            }
        }
        "ports" => service.ports.extend(ports(context, node)),
        "expose" => {
            for text in context.texts(name, node) {
                match values::ports(&text) {
                    Ok(ports) => service.ports.extend(ports.into_iter().map(|port| StackPort {
                        target: port.target,
                        protocol: port.protocol,
                        published: None,
                    })),
                    Err(why) => context.error(node.at, format!("expose: {why}")),
                }
            }
        }
        "profiles" | "extends" => {}
        _ => return false,
    }
    true
}

fn restart(text: &str) -> Result<Restart, String> {
    match text.split_once(':') {
        Some(("on-failure", times)) => {
            let times = times.parse().map_err(|_| format!("`{times}` is not a number"))?;
            Ok(Restart::OnFailure { times: Some(times) })
        }
        None if text == "on-failure" => Ok(Restart::OnFailure { times: None }),
        None if text == "no" || text == "false" => Ok(Restart::No),
        None if text == "always" || text == "unless-stopped" => Ok(Restart::Always),
        _ => Err(format!("`{text}` is not one of no, always, on-failure and unless-stopped")),
    }
}

/// Known, but not taken: some change nothing that matters, some would be missed.
fn left_out(context: &Context<'_>, key: &Key, node: &Node) -> bool {
    let name = key.text.as_str();
    match name {
        "logging" => context.hint(key.at, "`logging` is left out: the panel keeps and rotates the logs"),
        "annotations" => context.hint(
            key.at,
            "`annotations` is left out: containers get none; what is to be read by others goes into `labels`",
        ),
        "attach" | "develop" => {
            context.hint(
                key.at,
                format!("`{name}` is left out: it is for working on a service, not for running it"),
            );
        }
        "external_links" => context.error(
            key.at,
            "`external_links` is not supported: apps of one environment find each other by name",
        ),
        "volumes_from" => context.error(
            key.at,
            "`volumes_from` is not supported: mount the same named volume in both services",
        ),
        "gpus" | "runtime" => context.error(
            key.at,
            format!("`{name}` is not supported: containers get no graphics processors yet"),
        ),
        "use_api_socket" => context.error(
            key.at,
            "`use_api_socket` is not supported: containers do not get the engine's socket this way",
        ),
        _ => match why_not(name) {
            Some(why) if !node.is_null() => context.error(key.at, format!("`{name}` is not supported: {why}")),
            Some(_) => {}
            None => return false,
        },
    }
    true
}

/// Why a key of the specification is refused.
fn why_not(name: &str) -> Option<&'static str> {
    Some(match name {
        "uts" => "a container has a host name of its own; set it with `hostname`",
        "cgroup" | "cgroup_parent" => "the panel measures and limits each container in a group of its own",
        "blkio_config" => "the panel limits memory, cores and processes, and not the disk",
        "cpu_count" | "cpu_percent" | "credential_spec" | "isolation" => "it is for Windows",
        "cpu_period" | "cpu_quota" => "say it with `cpus`",
        "cpu_rt_period" | "cpu_rt_runtime" => "a container in real time could keep the server from everything else",
        "device_cgroup_rules" => "name the devices under `devices`",
        "mac_address" => "the engine gives the addresses",
        "mem_swappiness" | "memswap_limit" => "how a server swaps is set for all of it; say `mem_limit`",
        "models" => "the panel runs no models of its own; run one as a service",
        "oom_kill_disable" => "a container that is never ended could take the whole server's memory",
        "provider" => "only containers are made from a file",
        "storage_opt" => "the engine's storage does not bound a container; mount a volume",
        _ => return None,
    })
}

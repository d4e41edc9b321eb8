//! One service of a Compose file, key by key. Every key of the Compose Specification is either read, or named with its
//! line and the reason why not.

use super::{
    context::{Context, find},
    env_file, limits,
    load::read_beside,
    mounts, values,
};
use crate::yaml::{At, Key, Map, Node, Value};
use types::{Condition, Dependency, EngineCheck, PullPolicy, Restart, StackBuild, StackHealth, StackPort, StackService};

/// All keys that a service may have, for hints at what was meant.
const KEYS: [&str; 84] = [
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
    pub networks: Vec<(String, At)>,
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
    for (key, node) in map {
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
    if read.service.image.is_none() && read.service.build.is_none() {
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
                text.parse::<types::ImageRef>().map_err(|error| error.to_string())
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
        // Read when the files are known, which it goes over.
        "environment" | "env_file" => {}
        "healthcheck" => service.health = health(context, node),
        "restart" => {
            read.restart_said = true;
            service.restart = context.parsed(name, node, restart).unwrap_or_default();
        }
        "scale" => service.replicas = limits::replicas(context, name, node),
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

fn build(context: &Context<'_>, node: &Node) -> Option<StackBuild> {
    let mut build = StackBuild::default();
    if !context.ask.files.any() {
        context.error(
            node.at,
            "there are no files to build from; take this Compose file from Git, or name an `image`",
        );
        return Some(build);
    }
    if let Some(text) = node.text() {
        build.context = text.to_owned();
    }
    let map = if node.text().is_some() {
        &[][..]
    } else {
        context.map("build", node)
    };
    for (key, node) in map {
        let name = key.text.as_str();
        match name {
            "context" => build.context = context.text(name, node).unwrap_or_default(),
            "dockerfile" => build.dockerfile = context.text(name, node),
            "dockerfile_inline" => build.inline = context.text(name, node),
            "target" => build.target = context.text(name, node),
            "args" => {
                for (key, value) in context.pairs(name, node) {
                    if let Some(value) = value.or_else(|| (context.ask.variable)(&key)) {
                        build.arguments.insert(key, value);
                    }
                }
            }
            "labels" => {
                let pairs = context.pairs(name, node);
                build
                    .labels
                    .extend(pairs.into_iter().map(|(key, value)| (key, value.unwrap_or_default())));
            }
            "cache_from" | "cache_to" | "no_cache" | "pull" | "tags" | "provenance" | "sbom" => {
                context.hint(
                    key.at,
                    format!("`build.{name}` is left out: the panel keeps its own build cache and names"),
                );
            }
            "additional_contexts"
            | "entitlements"
            | "extra_hosts"
            | "isolation"
            | "network"
            | "platforms"
            | "privileged"
            | "secrets"
            | "shm_size"
            | "ssh"
            | "ulimits" => context.error(key.at, format!("`build.{name}` is not supported")),
            _ => context.unknown(
                "`build`",
                key,
                &["context", "dockerfile", "dockerfile_inline", "target", "args", "labels"],
            ),
        }
    }
    if build.context.contains("://") || build.context.starts_with("git@") {
        context.error(node.at, "a build context must be a folder beside the Compose file, not an address");
    } else if super::files::within("", if build.context.is_empty() { "." } else { &build.context }).is_none() {
        context.error(node.at, "the build context leads out of the folder of the Compose file");
    }
    if build.dockerfile.is_some() && build.inline.is_some() {
        context.error(node.at, "`dockerfile` and `dockerfile_inline` exclude each other");
    }
    Some(build)
}

fn health(context: &Context<'_>, node: &Node) -> StackHealth {
    let mut check = EngineCheck::default();
    for (key, node) in context.map("healthcheck", node) {
        let name = key.text.as_str();
        let span = || context.parsed(name, node, values::duration);
        match name {
            "test" => {
                check.test = match &node.value {
                    Value::Text { text, .. } => vec!["CMD-SHELL".into(), text.clone()],
                    _ => context.texts(name, node),
                };
                match check.test.first().map(String::as_str) {
                    Some("NONE") => return StackHealth::Off,
                    Some("CMD") if check.test.len() > 1 => {}
                    Some("CMD-SHELL") if check.test.len() == 2 => {}
                    _ => context.error(
                        node.at,
                        "`test` must be a command line, or a list that begins with CMD, CMD-SHELL or NONE",
                    ),
                }
            }
            "interval" => check.interval_millis = span(),
            "timeout" => check.timeout_millis = span(),
            "start_period" => check.start_millis = span(),
            "start_interval" => check.start_interval_millis = span(),
            "retries" => check.retries = context.number(name, node),
            "disable" => {
                if context.flag(name, node) == Some(true) {
                    return StackHealth::Off;
                }
            }
            _ => context.unknown(
                "`healthcheck`",
                key,
                &[
                    "test",
                    "interval",
                    "timeout",
                    "retries",
                    "start_period",
                    "start_interval",
                    "disable",
                ],
            ),
        }
    }
    StackHealth::Check(check)
}

fn ports(context: &Context<'_>, node: &Node) -> Vec<StackPort> {
    let mut ports = Vec::new();
    for node in context.list("ports", node) {
        let found = match &node.value {
            Value::Map(map) => {
                let text = |key: &str| find(map, key).and_then(|node| context.text(key, node));
                for (key, _) in map {
                    let known = ["name", "target", "published", "protocol", "host_ip", "mode", "app_protocol"];
                    if !known.contains(&key.text.as_str()) {
                        context.unknown("a port", key, &known);
                    }
                }
                let front = text("published").map(|published| format!("{published}:")).unwrap_or_default();
                let protocol = text("protocol").map(|protocol| format!("/{protocol}")).unwrap_or_default();
                values::ports(&format!("{front}{}{protocol}", text("target").unwrap_or_default()))
            }
            _ => values::ports(&context.text("ports", node).unwrap_or_default()),
        };
        match found {
            Ok(found) => {
                for port in found {
                    ports.push(StackPort {
                        target: port.target,
                        protocol: port.protocol,
                        published: port.published,
                    });
                }
            }
            Err(why) => context.error(node.at, format!("ports: {why}")),
        }
    }
    ports
}

fn relations(context: &Context<'_>, read: &mut Read, key: &Key, node: &Node) -> bool {
    let name = key.text.as_str();
    match name {
        "depends_on" => {
            read.depends_at = key.at;
            read.service.depends_on = dependencies(context, node);
        }
        "links" => {
            for text in context.texts(name, node) {
                let (service, alias) = text.split_once(':').unwrap_or((&text, &text));
                read.links.push((service.to_owned(), alias.to_owned(), node.at));
            }
        }
        "container_name" => {
            if let Some(alias) = context.text(name, node) {
                context.hint(
                    key.at,
                    format!("the panel names containers itself; the other services find this one as `{alias}` too"),
                );
                read.service.aliases.push(alias);
            }
        }
        "networks" => networks(context, read, node),
        "network_mode" => match context.text(name, node).as_deref() {
            Some("host") => {
                read.service.runtime.host_network = true;
                context.right(node.at, &read.service.name, "host_network", "uses the network of the host");
            }
            Some("bridge" | "default") => context.hint(
                key.at,
                "`network_mode` is left out: the services of an app share the app's own network",
            ),
            Some(other) => context.error(node.at, format!("`network_mode: {other}` is not supported")),
            None => {}
        },
        _ => return false,
    }
    true
}

fn dependencies(context: &Context<'_>, node: &Node) -> Vec<Dependency> {
    let plain = |service: &str| Dependency {
        service: service.to_owned(),
        condition: Condition::Started,
        restart: false,
        required: true,
    };
    let Value::Map(map) = &node.value else {
        return context.texts("depends_on", node).iter().map(|name| plain(name)).collect();
    };
    let mut all = Vec::new();
    for (service, node) in map {
        let mut one = plain(&service.text);
        for (key, node) in context.map("depends_on", node) {
            let name = key.text.as_str();
            match name {
                "condition" => {
                    let condition = context.parsed(name, node, |text| match text {
                        "service_started" => Ok(Condition::Started),
                        "service_healthy" => Ok(Condition::Healthy),
                        "service_completed_successfully" => Ok(Condition::Completed),
                        other => Err(format!(
                            "`{other}` is not one of service_started, service_healthy and service_completed_successfully"
                        )),
                    });
                    one.condition = condition.unwrap_or(Condition::Started);
                }
                "restart" => one.restart = context.flag(name, node).unwrap_or(false),
                "required" => one.required = context.flag(name, node).unwrap_or(true),
                _ => context.unknown("`depends_on`", key, &["condition", "restart", "required"]),
            }
        }
        all.push(one);
    }
    all
}

fn networks(context: &Context<'_>, read: &mut Read, node: &Node) {
    let Value::Map(map) = &node.value else {
        for name in context.texts("networks", node) {
            read.networks.push((name, node.at));
        }
        return;
    };
    for (network, node) in map {
        read.networks.push((network.text.clone(), network.at));
        for (key, node) in context.map("networks", node) {
            let name = key.text.as_str();
            match name {
                "aliases" => read.service.aliases.extend(context.texts(name, node)),
                "priority" | "gw_priority" | "mac_address" | "link_local_ips" | "driver_opts" | "interface_name" => {
                    context.hint(
                        key.at,
                        format!("`{name}` is left out: the services of an app share the app's own network"),
                    );
                }
                "ipv4_address" | "ipv6_address" => {
                    context.error(
                        key.at,
                        format!("`{name}` is not supported: addresses are given by the panel; use the service's name"),
                    );
                }
                _ => context.unknown("a service's network", key, &["aliases", "priority", "ipv4_address", "ipv6_address"]),
            }
        }
    }
}

/// What the engine takes as it is.
fn engine(context: &Context<'_>, service: &mut StackService, key: &Key, node: &Node) -> bool {
    let runtime = &mut service.runtime;
    let name = key.text.as_str();
    match name {
        "user" => runtime.user = context.text(name, node),
        "group_add" => runtime.group_add = context.texts(name, node),
        "working_dir" => runtime.working_dir = context.text(name, node),
        "hostname" => runtime.hostname = context.text(name, node),
        "domainname" => runtime.domainname = context.text(name, node),
        "init" => runtime.init = context.flag(name, node),
        "tty" => runtime.tty = context.flag(name, node).unwrap_or(false),
        "stdin_open" => runtime.stdin_open = context.flag(name, node).unwrap_or(false),
        "read_only" => runtime.read_only = context.flag(name, node).unwrap_or(false),
        "stop_signal" => runtime.stop_signal = context.text(name, node),
        "sysctls" => {
            for (key, value) in context.pairs(name, node) {
                runtime.sysctls.insert(key, value.unwrap_or_default());
            }
        }
        "cap_drop" => runtime.cap_drop = context.texts(name, node),
        "extra_hosts" => {
            for (host, address) in extra_hosts(context, node) {
                runtime.extra_hosts.push(format!("{host}:{address}"));
            }
        }
        "dns" => runtime.dns = context.texts(name, node),
        "dns_search" => runtime.dns_search = context.texts(name, node),
        "dns_opt" => runtime.dns_opt = context.texts(name, node),
        "platform" => runtime.platform = context.text(name, node),
        "cpuset" => runtime.cpuset = context.text(name, node),
        "cpu_shares" => runtime.cpu_shares = context.number(name, node),
        "oom_score_adj" => runtime.oom_score_adj = context.number(name, node),
        "shm_size" => runtime.shm_bytes = context.parsed(name, node, values::bytes),
        "ulimits" => ulimits(context, runtime, node),
        _ => return false,
    }
    true
}

fn extra_hosts(context: &Context<'_>, node: &Node) -> Vec<(String, String)> {
    let pair = |text: String| match text.split_once('=').or_else(|| text.split_once(':')) {
        Some((host, address)) if !host.is_empty() && !address.is_empty() => {
            Some((host.to_owned(), address.trim_matches(['[', ']']).to_owned()))
        }
        _ => {
            context.error(node.at, format!("extra_hosts: `{text}` is not name=address"));
            None
        }
    };
    match &node.value {
        Value::Map(map) => {
            let one = |(key, node): &(Key, Node)| Some((key.text.clone(), context.text("extra_hosts", node)?));
            map.iter().filter_map(one).collect()
        }
        _ => context.texts("extra_hosts", node).into_iter().filter_map(pair).collect(),
    }
}

fn ulimits(context: &Context<'_>, runtime: &mut types::StackRuntime, node: &Node) {
    for (key, node) in context.map("ulimits", node) {
        let (soft, hard) = match &node.value {
            Value::Map(map) => {
                let number = |name: &str| find(map, name).and_then(|node| context.number::<i64>(name, node));
                (number("soft"), number("hard"))
            }
            _ => {
                let both = context.number::<i64>("ulimits", node);
                (both, both)
            }
        };
        match (soft, hard) {
            (Some(soft), Some(hard)) => runtime.ulimits.push((key.text.clone(), soft, hard)),
            _ => context.error(key.at, format!("the limit `{}` needs a number, or `soft` and `hard`", key.text)),
        }
    }
}

/// Capabilities that reach the host. The others stay within the container.
const HOST_CAPABILITIES: [&str; 14] = [
    "ALL",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_PTRACE",
    "SYS_BOOT",
    "SYS_TIME",
    "NET_ADMIN",
    "BPF",
    "PERFMON",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "SYSLOG",
];

/// What reaches the host; taken, and named as a right.
fn host(context: &Context<'_>, service: &str, runtime: &mut types::StackRuntime, key: &Key, node: &Node) -> bool {
    let name = key.text.as_str();
    let is_host = || context.text(name, node).as_deref() == Some("host");
    match name {
        "privileged" => {
            runtime.privileged = context.flag(name, node).unwrap_or(false);
            if runtime.privileged {
                context.right(
                    node.at,
                    service,
                    "privileged",
                    "is privileged: it can do everything that the host's root can",
                );
            }
        }
        "devices" => {
            for node in context.list(name, node) {
                if let Value::Map(_) = node.value {
                    context.error(node.at, "`devices` takes texts such as /dev/ttyUSB0:/dev/ttyUSB0");
                } else if let Some(device) = context.text(name, node) {
                    context.right(node.at, service, "devices", format!("uses the host's device {device}"));
                    runtime.devices.push(device);
                }
            }
        }
        "cap_add" => {
            for capability in context.texts(name, node) {
                let bare = capability.trim().to_ascii_uppercase().trim_start_matches("CAP_").to_owned();
                if HOST_CAPABILITIES.contains(&bare.as_str()) {
                    context.right(
                        node.at,
                        service,
                        "capabilities",
                        format!("gets the capability {bare}, which reaches the host"),
                    );
                }
                runtime.cap_add.push(bare);
            }
        }
        "security_opt" => {
            runtime.security_opt = context.texts(name, node);
            for option in &runtime.security_opt {
                if !option.starts_with("no-new-privileges") {
                    context.right(
                        node.at,
                        service,
                        "security_options",
                        format!("changes how it is kept apart from the host: {option}"),
                    );
                }
            }
        }
        "pid" | "ipc" | "userns_mode" if is_host() => {
            match name {
                "pid" => runtime.host_pid = true,
                "ipc" => runtime.host_ipc = true,
                _ => runtime.host_users = true,
            }
            context.right(node.at, service, "host_namespaces", format!("shares the host's `{name}`"));
        }
        "pid" | "ipc" | "userns_mode" => {
            let value = context.text(name, node).unwrap_or_default();
            if !(name == "ipc" && (value == "private" || value == "shareable")) {
                context.error(node.at, format!("`{name}: {value}` is not supported"));
            }
        }
        _ => return false,
    }
    true
}

/// Known, but not taken: some change nothing that matters, some would be missed.
fn left_out(context: &Context<'_>, key: &Key, node: &Node) -> bool {
    let name = key.text.as_str();
    match name {
        "logging" => context.hint(key.at, "`logging` is left out: the panel keeps and rotates the logs"),
        "attach" | "annotations" | "develop" => {
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
        "post_start" | "pre_stop" => context.error(
            key.at,
            format!("`{name}` is not supported: put it into the command or the entrypoint"),
        ),
        "uts"
        | "cgroup"
        | "cgroup_parent"
        | "blkio_config"
        | "cpu_count"
        | "cpu_percent"
        | "cpu_period"
        | "cpu_quota"
        | "cpu_rt_period"
        | "cpu_rt_runtime"
        | "credential_spec"
        | "device_cgroup_rules"
        | "isolation"
        | "label_file"
        | "mac_address"
        | "mem_swappiness"
        | "memswap_limit"
        | "models"
        | "oom_kill_disable"
        | "provider"
        | "storage_opt" => {
            if !node.is_null() {
                context.error(key.at, format!("`{name}` is not supported"));
            }
        }
        _ => return false,
    }
    true
}

/// `env_file`, and `environment` over it.
fn env_files(context: &Context<'_>, service: &mut StackService, map: &[(Key, Node)]) {
    if let Some(node) = find(map, "env_file") {
        let entries: Vec<&Node> = node.list().map_or_else(|| vec![node], |list| list.iter().collect());
        for node in entries {
            env_file_of(context, service, node);
        }
    }
    let Some(node) = find(map, "environment") else { return };
    for (key, value) in context.pairs("environment", node) {
        if key.is_empty() || key.contains(['=', '\0']) {
            context.error(node.at, "environment: a name is empty or has a = in it");
            continue;
        }
        // A name alone takes the value that it has outside.
        match value.or_else(|| (context.ask.variable)(&key)) {
            Some(value) => service.environment.insert(key, value),
            None => service.environment.remove(&key),
        };
    }
}

fn env_file_of(context: &Context<'_>, service: &mut StackService, node: &Node) {
    let (path, required, raw) = match &node.value {
        Value::Map(map) => {
            let text = |key: &str| find(map, key).and_then(|node| context.text(key, node));
            let required = find(map, "required")
                .and_then(|node| context.flag("required", node))
                .unwrap_or(true);
            (text("path").unwrap_or_default(), required, text("format").as_deref() == Some("raw"))
        }
        _ => match context.text("env_file", node) {
            Some(path) => (path, true, false),
            None => return,
        },
    };
    if !required {
        let there = super::files::within("", &path).is_some_and(|path| matches!(context.ask.files.read(&path), Ok(Some(_))));
        if !there {
            return;
        }
    }
    let Some(text) = read_beside(context, node.at, "", &path) else {
        return;
    };
    if raw {
        service.environment.extend(env_file::raw(&text));
        return;
    }
    match env_file::parse(&text, context.ask.variable) {
        Ok(pairs) => service.environment.extend(pairs),
        Err((line, why)) => context.error(node.at, format!("{path}, line {line}: {why}")),
    }
}

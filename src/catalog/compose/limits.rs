//! Limits and numbers of a service: `deploy`, and the older keys that say the same.

use super::{context::Context, services::Read, values};
use crate::yaml::{Key, Node};
use types::Restart;

/// More containers of one service are a mistake on one machine.
const MAX_REPLICAS: u32 = 50;

pub fn read(context: &Context<'_>, read: &mut Read, key: &Key, node: &Node) -> bool {
    let limits = &mut read.service.limits;
    let name = key.text.as_str();
    match name {
        "mem_limit" => limits.memory_bytes = memory(context, name, node),
        "cpus" => limits.cpu_millis = context.parsed(name, node, values::cores),
        "pids_limit" => limits.pids = context.number(name, node),
        "mem_reservation" => read.service.runtime.memory_reservation_bytes = context.parsed(name, node, values::bytes),
        "deploy" => deploy(context, read, node),
        _ => return false,
    }
    true
}

fn memory(context: &Context<'_>, name: &str, node: &Node) -> Option<u64> {
    context.parsed(name, node, |text| match values::bytes(text)? {
        // The engine's own lower bound.
        bytes if bytes < 6 << 20 => Err(format!("`{text}` is less than the 6m that a container needs")),
        bytes => Ok(bytes),
    })
}

pub fn replicas(context: &Context<'_>, name: &str, node: &Node) -> u32 {
    let number = context.parsed(name, node, |text| match text.parse::<u32>() {
        Ok(number) if number <= MAX_REPLICAS => Ok(number),
        _ => Err(format!("`{text}` is not a number from 0 to {MAX_REPLICAS}")),
    });
    number.unwrap_or(1)
}

fn deploy(context: &Context<'_>, read: &mut Read, node: &Node) {
    for (key, node) in context.map("deploy", node) {
        let name = key.text.as_str();
        match name {
            "replicas" => read.service.replicas = replicas(context, name, node),
            "resources" => resources(context, read, node),
            "restart_policy" => restart_policy(context, read, node),
            "mode" => match context.text(name, node).as_deref() {
                None | Some("replicated") => {}
                Some(other) => context.error(
                    node.at,
                    format!("`deploy.mode: {other}` is not supported: it is for a swarm; a task that runs once has `restart: \"no\"`"),
                ),
            },
            "labels" | "endpoint_mode" => context.hint(key.at, format!("`deploy.{name}` is left out: it is for a swarm")),
            "update_config" => update_config(context, read, node),
            "rollback_config" => context.hint(
                key.at,
                "`deploy.rollback_config` is left out: the way back is a deployment like any other",
            ),
            "placement" => context.error(key.at, "`deploy.placement` is not supported: a stack runs on one server"),
            _ => context.unknown(
                "`deploy`",
                key,
                &["replicas", "resources", "restart_policy", "update_config", "mode"],
            ),
        }
    }
}

/// Of how a service is updated only the order is its own: one container after the other it is in any case.
fn update_config(context: &Context<'_>, read: &mut Read, node: &Node) {
    for (key, node) in context.map("update_config", node) {
        let name = key.text.as_str();
        match name {
            "order" => match context.text(name, node).as_deref() {
                Some("stop-first") => read.service.stops_first = true,
                None | Some("start-first") => read.service.stops_first = false,
                Some(other) => context.error(node.at, format!("`{other}` is not one of stop-first and start-first")),
            },
            "parallelism" | "delay" | "failure_action" | "monitor" | "max_failure_ratio" => {
                context.hint(key.at, format!("`update_config.{name}` is left out: it is for a swarm"));
            }
            _ => context.unknown("`update_config`", key, &["order"]),
        }
    }
}

fn resources(context: &Context<'_>, read: &mut Read, node: &Node) {
    for (part, node) in context.map("resources", node) {
        match part.text.as_str() {
            "limits" => {
                for (key, node) in context.map("limits", node) {
                    let limits = &mut read.service.limits;
                    match key.text.as_str() {
                        "memory" => limits.memory_bytes = memory(context, "memory", node),
                        "cpus" => limits.cpu_millis = context.parsed("cpus", node, values::cores),
                        "pids" => limits.pids = context.number("pids", node),
                        _ => context.unknown("`limits`", key, &["memory", "cpus", "pids"]),
                    }
                }
            }
            "reservations" => {
                for (key, node) in context.map("reservations", node) {
                    match key.text.as_str() {
                        "memory" => read.service.runtime.memory_reservation_bytes = context.parsed("memory", node, values::bytes),
                        "cpus" => context.hint(key.at, "`reservations.cpus` is left out: the engine reserves no cores"),
                        "devices" | "generic_resources" => {
                            let what = format!(
                                "`reservations.{}` is not supported: containers get no graphics processors yet",
                                key.text
                            );
                            context.error(key.at, what);
                        }
                        _ => context.unknown("`reservations`", key, &["memory", "cpus"]),
                    }
                }
            }
            _ => context.unknown("`resources`", part, &["limits", "reservations"]),
        }
    }
}

fn restart_policy(context: &Context<'_>, read: &mut Read, node: &Node) {
    let (mut condition, mut times) = ("any".to_owned(), None);
    for (key, node) in context.map("restart_policy", node) {
        let name = key.text.as_str();
        match name {
            "condition" => condition = context.text(name, node).unwrap_or_default(),
            "max_attempts" => times = context.number(name, node),
            "delay" | "window" => context.hint(
                key.at,
                format!("`restart_policy.{name}` is left out: the engine waits a little longer each time"),
            ),
            _ => context.unknown("`restart_policy`", key, &["condition", "max_attempts", "delay", "window"]),
        }
    }
    read.restart_said = true;
    read.service.restart = match condition.as_str() {
        "none" | "no" => Restart::No,
        "on-failure" => Restart::OnFailure { times },
        // The words of `restart` stand in many files, and Docker Compose reads them here too.
        "any" | "always" | "unless-stopped" => Restart::Always,
        other => {
            context.error(node.at, format!("`{other}` is not one of none, on-failure and any"));
            Restart::Always
        }
    };
}

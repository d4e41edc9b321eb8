//! Keys of a service that the engine takes as they are.

use super::{
    context::{Context, find},
    values,
};
use crate::yaml::{Key, Node, Value};
use types::StackService;

/// What the engine takes as it is.
pub fn engine(context: &Context<'_>, service: &mut StackService, key: &Key, node: &Node) -> bool {
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

//! Keys of a service that reach the host: taken, and named as rights that only an administrator may give.

use super::context::Context;
use crate::yaml::{Key, Node, Value};

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
pub fn host(context: &Context<'_>, service: &str, runtime: &mut types::StackRuntime, key: &Key, node: &Node) -> bool {
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
                let why = "a container has its own, or with `host` the server's";
                context.error(node.at, format!("`{name}: {value}` is not supported: {why}"));
            }
        }
        _ => return false,
    }
    true
}

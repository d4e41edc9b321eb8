//! `post_start` and `pre_stop` of a service: commands inside its container, once it has started and before it is stopped.

use super::context::Context;
use crate::yaml::Node;
use types::StackHook;

const KEYS: [&str; 5] = ["command", "user", "privileged", "working_dir", "environment"];

pub fn hooks(context: &Context<'_>, service: &str, name: &str, node: &Node) -> Vec<StackHook> {
    let all = context.list(name, node).iter();
    all.map(|node| hook(context, service, name, node)).collect()
}

fn hook(context: &Context<'_>, service: &str, name: &str, node: &Node) -> StackHook {
    let mut hook = StackHook::default();
    for (key, node) in context.map(name, node) {
        match key.text.as_str() {
            "command" => hook.command = context.command("command", node).unwrap_or_default(),
            "user" => hook.user = context.text("user", node),
            "working_dir" => hook.working_dir = context.text("working_dir", node),
            "environment" => {
                for (key, value) in context.pairs("environment", node) {
                    // A name alone takes the value that it has outside.
                    if let Some(value) = value.or_else(|| (context.ask.variable)(&key)) {
                        hook.environment.insert(key, value);
                    }
                }
            }
            "privileged" => {
                hook.privileged = context.flag("privileged", node).unwrap_or(false);
                if hook.privileged {
                    let what = format!("has a `{name}` that is privileged: it can do everything that the host's root can");
                    context.right(node.at, service, "privileged", what);
                }
            }
            _ => context.unknown(&format!("`{name}`"), key, &KEYS),
        }
    }
    if hook.command.is_empty() && !context.is_wrong(node.at) {
        context.error(
            node.at,
            format!("`{name}` needs a `command` for each of its entries, such as `- command: [sh, -c, sync]`"),
        );
    }
    hook
}

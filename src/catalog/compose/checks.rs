//! `healthcheck` of a service.

use super::{context::Context, values};
use crate::yaml::{Node, Value};
use types::{EngineCheck, StackHealth};

pub fn health(context: &Context<'_>, node: &Node) -> StackHealth {
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

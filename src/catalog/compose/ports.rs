//! `ports` of a service, in both of their forms.

use super::{
    context::{Context, find},
    values,
};
use crate::yaml::{Node, Value};
use types::StackPort;

pub fn ports(context: &Context<'_>, node: &Node) -> Vec<StackPort> {
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

//! `ports` of a service, in both of their forms.

use super::{
    context::{Context, find},
    values,
};
use crate::yaml::{Node, Value};
use types::StackPort;

const ON_ALL: &str = "the address of the host is left out: a port is only opened when somebody chooses it, and then on all addresses of the server; \
     who may reach it is set there";

pub fn ports(context: &Context<'_>, node: &Node) -> Vec<StackPort> {
    let mut ports = Vec::new();
    for node in context.list("ports", node) {
        let found = match &node.value {
            Value::Map(map) => {
                let text = |key: &str| find(map, key).and_then(|node| context.text(key, node));
                for (key, _) in map {
                    let known = ["name", "target", "published", "protocol", "host_ip", "mode", "app_protocol"];
                    match key.text.as_str() {
                        "host_ip" => context.hint(key.at, ON_ALL),
                        "app_protocol" => context.hint(
                            key.at,
                            "`app_protocol` is left out: the edge speaks HTTP/1.1 or h2c as the app's domain says",
                        ),
                        name if known.contains(&name) => {}
                        _ => context.unknown("a port", key, &known),
                    }
                }
                let front = text("published").map(|published| format!("{published}:")).unwrap_or_default();
                let protocol = text("protocol").map(|protocol| format!("/{protocol}")).unwrap_or_default();
                values::ports(&format!("{front}{}{protocol}", text("target").unwrap_or_default()))
            }
            _ => {
                let text = context.text("ports", node).unwrap_or_default();
                if text.matches(':').count() > 1 {
                    context.hint(node.at, ON_ALL);
                }
                values::ports(&text)
            }
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

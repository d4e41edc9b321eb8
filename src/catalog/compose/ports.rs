//! `ports` of a service, in both of their forms.

use super::{
    context::{Context, find},
    values,
};
use crate::yaml::{At, Node, Value};
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
                        "mode" if text("mode").as_deref() == Some("host") => context.hint(
                            key.at,
                            "`mode: host` is left out: connections come to the server's ports and are passed on to the containers",
                        ),
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
                if let Some(published) = found.iter().find_map(|port| port.published) {
                    not_published(context, node.at, published);
                }
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

/// Says of a port of the host, the first of its entry, that it is not opened, and what to do instead. What a template publishes is opened
/// when it is installed.
fn not_published(context: &Context<'_>, at: At, published: u16) {
    if context.ask.template.is_none() {
        let what = format!(
            "port {published} of the server is not opened by this file: a domain of the app leads to its services; for what is not HTTP open a port with \
             `serverkit port open`"
        );
        context.hint(at, what);
    }
}

//! What a service says of others: `depends_on`, `links`, and the names under which they find it.

use super::{context::Context, networks, services::Read};
use crate::yaml::{Key, Node, Value};
use types::{Condition, Dependency};

pub fn relations(context: &Context<'_>, read: &mut Read, key: &Key, node: &Node) -> bool {
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
        "networks" => networks::of_service(context, read, node),
        "network_mode" => match context.text(name, node).as_deref() {
            Some("host") => {
                read.service.runtime.host_network = true;
                context.right(node.at, &read.service.name, "host_network", "uses the network of the host");
            }
            Some("bridge" | "default") => context.hint(
                key.at,
                "`network_mode` is left out: a service is on the `networks` that it names, else on the app's own",
            ),
            Some(other) => context.error(
                node.at,
                format!("`network_mode: {other}` is not supported: a service is on `networks`; one with `internal: true` has no way out"),
            ),
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

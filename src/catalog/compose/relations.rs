//! What a service says of others: `depends_on`, `links`, and the names under which they find it.

use super::{context::Context, services::Read};
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
            Some(other) => context.error(
                node.at,
                format!("`network_mode: {other}` is not supported: the services of an app share the app's own network"),
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

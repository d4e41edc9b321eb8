//! Ports: which one the domain leads to, which further ones speak HTTP, and which are ports of the server.

use super::{
    draft::{Draft, flat},
    form::{self, title_of},
    tidy::services,
    write::{list, text},
};
use crate::{
    compose::{Port, short_ports},
    template::AskedKind,
    yaml::{Map, Node, Value},
};
use types::Transport;

/// What is surely not HTTP, although it is TCP. Source: IANA's registry and the projects' own documentation.
const NOT_WEB: [u16; 46] = [
    20, 21, 22, 23, 25, 53, 110, 111, 113, 119, 139, 143, 161, 179, 389, 445, 465, 554, 587, 636, 853, 873, 990, 993, 995, 1433, 1521,
    1883, 2049, 2222, 3306, 3389, 3478, 5432, 5671, 5672, 5900, 6379, 6667, 8883, 9042, 9092, 9300, 11211, 25565, 27017,
];

/// What is HTTP more often than anything else.
fn is_web(port: u16) -> bool {
    matches!(
        port,
        80 | 443 | 81 | 1337 | 2368 | 4000 | 4200 | 4567 | 5000 | 5001 | 5601 | 5678 | 6006 | 7860 | 11434 | 15672 | 19999
    ) || matches!(port, 3000..=3999 | 7000..=7999 | 8000..=8999 | 9000..=9099) && !NOT_WEB.contains(&port)
}

/// A port of a service as the source has it.
struct Found {
    service: String,
    port: Port,
    /// Only the server itself may reach it.
    inner: bool,
}

/// Takes `ports` out of every service, finds the main one, and puts back what must be a port of the server.
pub fn ports(draft: &mut Draft) {
    let mut found = Vec::new();
    let mut compose = std::mem::take(&mut draft.compose);
    for (name, one) in services(&mut compose) {
        let Value::Map(keys) = &mut one.value else { continue };
        if let Some(at) = keys.iter().position(|(key, _)| key.text == "ports") {
            let (_, node) = keys.remove(at);
            let entries = match node.value {
                Value::List(entries) => entries,
                Value::Null => Vec::new(),
                _ => vec![node],
            };
            for entry in entries {
                match read(&entry) {
                    Ok(ports) => found.extend(ports.into_iter().map(|(port, inner)| Found {
                        service: name.text.clone(),
                        port,
                        inner,
                    })),
                    Err(shown) => draft.note(format!("a port of `{}` cannot be read and is left out: {shown}", name.text)),
                }
            }
        }
    }
    draft.compose = compose;
    choose(draft, &found);
    let main = draft.main.clone().unwrap_or_default();
    let mut dropped_tls = Vec::new();
    for one in &found {
        let target = one.port.target;
        let is_tcp = one.port.protocol == Transport::Tcp;
        if (one.service.clone(), target) == main && is_tcp || one.inner || draft.also.contains(&(one.service.clone(), target)) {
            continue;
        }
        if is_tcp && target == 443 {
            dropped_tls.push(format!("`{}`", one.service));
        } else if is_tcp && is_web(target) {
            draft.note(format!(
                "port {target} of `{}` is taken as HTTP: give it a domain of its own if it is needed",
                one.service
            ));
            draft.also.push((one.service.clone(), target));
        } else {
            publish(draft, one);
        }
    }
    if !dropped_tls.is_empty() {
        draft.note(format!(
            "port 443 of {} is left out: certificates are the edge's",
            dropped_tls.join(", ")
        ));
    }
    let there: Vec<String> = services(&mut draft.compose).iter().map(|(key, _)| key.text.clone()).collect();
    draft.also.retain(|(service, port)| there.contains(service) && *port > 0);
    draft.also.dedup();
}

/// The ports of one entry, and whether only the server itself may reach them. `Err`: as it is written.
fn read(entry: &Node) -> Result<Vec<(Port, bool)>, String> {
    let (written, address) = match &entry.value {
        Value::Map(_) => {
            let part = |name: &str| entry.get(name).and_then(Node::text).map(unfilled).unwrap_or_default();
            let front = match part("published") {
                published if published.is_empty() => String::new(),
                published => format!("{published}:"),
            };
            let protocol = match part("protocol") {
                protocol if protocol.is_empty() => String::new(),
                protocol => format!("/{protocol}"),
            };
            (format!("{front}{}{protocol}", part("target")), part("host_ip"))
        }
        _ => {
            let text = unfilled(entry.text().unwrap_or_default());
            let address = if text.matches(':').count() > 1 {
                text.clone()
            } else {
                String::new()
            };
            (text.trim_start_matches(':').to_owned(), address)
        }
    };
    let inner = address.starts_with("127.") || address.starts_with("localhost") || address.starts_with("[::1]");
    let ports = short_ports(&written).map_err(|_| written)?;
    Ok(ports.into_iter().map(|port| (port, inner)).collect())
}

/// As it is when nobody sets anything; what is asked for is not known yet.
fn unfilled(text: &str) -> String {
    let flat = flat(text);
    let mut out = String::new();
    let mut rest = flat.as_str();
    while let Some((front, after)) = rest.split_once("{{") {
        out.push_str(front);
        rest = after.split_once("}}").map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out.trim().to_owned()
}

/// The main service and port: what the source says, or the likeliest.
fn choose(draft: &mut Draft, found: &[Found]) {
    let exposed: Vec<(String, u16)> = services(&mut draft.compose)
        .iter()
        .flat_map(|(name, one)| {
            let ports = one.get("expose").and_then(Node::list).unwrap_or_default();
            let port = |node: &Node| unfilled(node.text()?).split('/').next()?.parse().ok();
            ports
                .iter()
                .filter_map(port)
                .map(|port| (name.text.clone(), port))
                .collect::<Vec<_>>()
        })
        .collect();
    let tcp: Vec<(String, u16)> = found
        .iter()
        .filter(|one| one.port.protocol == Transport::Tcp)
        .map(|one| (one.service.clone(), one.port.target))
        .chain(exposed)
        .collect();
    let names: Vec<String> = services(&mut draft.compose).iter().map(|(key, _)| key.text.clone()).collect();
    if let Some((service, port)) = draft.main.take().filter(|(service, _)| names.contains(service)) {
        if port > 0 {
            draft.main = Some((service, port));
            return;
        }
        let own = tcp.iter().filter(|(own, _)| *own == service);
        let port = own
            .clone()
            .find(|(_, port)| is_web(*port))
            .or(own.clone().next())
            .map(|(_, port)| *port);
        draft.note(match port {
            Some(port) => format!("the domain leads to port {port} of `{service}`: the source names the service, and this is its port"),
            None => format!(
                "the domain leads to port 80 of `{service}`: the source names the service and no port, so change `main` if it is another"
            ),
        });
        draft.main = Some((service, port.unwrap_or(80)));
        return;
    }
    let web = tcp
        .iter()
        .find(|(_, port)| is_web(*port) && *port != 443)
        .or_else(|| tcp.iter().find(|(_, port)| !NOT_WEB.contains(port)));
    if let Some((service, port)) = web {
        draft.note(format!(
            "the domain leads to port {port} of `{service}`, the first that looks like a web page"
        ));
        draft.main = Some((service.clone(), *port));
    } else if let Some((service, port)) = tcp.first() {
        draft.note(format!("nothing looks like a web page; the main port is {port} of `{service}`, which needs a port of the server to be reached from outside"));
        draft.main = Some((service.clone(), *port));
    } else if let Some(service) = names.first() {
        draft.note(format!(
            "the source names no port; 80 of `{service}` is assumed, so change `main` if it is another"
        ));
        draft.main = Some((service.clone(), 80));
    }
}

/// A port of the server, chosen by whoever installs it.
fn publish(draft: &mut Draft, one: &Found) {
    let target = one.port.target;
    let protocol = match one.port.protocol {
        Transport::Udp => "/udp",
        _ => "",
    };
    let source = format!("{} port {target}{protocol}", one.service);
    let title = title_of(&format!("Port {target} of {}", one.service));
    let shown = draft.form.ask(&source, AskedKind::Port, &title, |asked| {
        asked.default = Some(serde_json::Value::from(one.port.published.unwrap_or(target)));
    });
    draft.note(format!(
        "port {target}{protocol} of `{}` becomes a port of the server, which the form asks for",
        one.service
    ));
    let entry = text(format!("{shown}:{target}{protocol}"));
    for (name, node) in services(&mut draft.compose) {
        let Value::Map(keys) = &mut node.value else { continue };
        if name.text == one.service {
            add(keys, entry);
            return;
        }
    }
}

fn add(keys: &mut Map, entry: Node) {
    match keys.iter_mut().find(|(key, _)| key.text == "ports") {
        Some((
            _,
            Node {
                value: Value::List(all), ..
            },
        )) => {
            if !all.iter().any(|old| old.text() == entry.text()) {
                all.push(entry);
            }
        }
        _ => keys.push((super::write::key("ports"), list([entry]))),
    }
}

/// Asks for a further domain, which a template cannot know by itself.
pub fn further_domain(draft: &mut Draft, service: &str) -> String {
    let source = format!("{service} domain");
    if !draft.form.has(&source) {
        draft.note(format!(
            "`{service}` has a domain of its own in the source: give it one in the panel, and its name in the form"
        ));
    }
    let title = form::title_of(&format!("Domain of {service}"));
    draft.form.ask(&source, AskedKind::Text, &title, |one| one.required = Some(false))
}

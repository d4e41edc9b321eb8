//! Domains for the further web ports of a template. Each is asked for beside the template's own variables, under the name that
//! [`Also::variable`] gives, and nothing leads to a port that gets none.

use super::{Marketplace, Prepared, ports};
use crate::{
    domain_claims::{default_host, must_be_free},
    edge::NewStream,
};
use catalog::template::{Also, Template};
use std::collections::BTreeMap;
use types::{Actor, App, AppName, Environment, Error, Host, HostPattern, Result, ServicePort};

/// A further port of a template, and a name that is free for it.
#[derive(Debug, Clone)]
pub struct FurtherPort {
    pub also: Also,
    /// `None`: there is no domain for apps.
    pub suggested: Option<Host>,
}

/// A domain that leads to a further port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FurtherDomain {
    pub host: HostPattern,
    pub place: ServicePort,
}

impl Marketplace {
    /// Each with `NAME-PORT.<apps' domain>`, see [`label`].
    pub(super) fn further_ports(
        &self,
        actor: &Actor,
        template: &Template,
        name: &AppName,
        environment: &Environment,
    ) -> Result<Vec<FurtherPort>> {
        let port = |also: &Also| {
            // A name that is too long for a label has none suggested.
            let suggested = match label(name, also, &template.also).parse::<AppName>() {
                Ok(label) => default_host(&self.ground, actor, &label, environment)?,
                Err(_) => None,
            };
            Ok(FurtherPort {
                also: also.clone(),
                suggested,
            })
        };
        template.also.iter().map(port).collect()
    }

    /// The domains that were typed. Fails with `Taken`, or at the field of what is no domain or was typed twice.
    pub(super) fn further_domains(
        &self,
        actor: &Actor,
        template: &Template,
        values: &BTreeMap<String, String>,
        main: Option<&Host>,
    ) -> Result<Vec<FurtherDomain>> {
        let found = typed(template, values, main)?;
        for further in &found {
            must_be_free(&self.ground, actor, &further.host)?;
        }
        Ok(found)
    }

    /// Opens the ports of the server that it wants, and lets its further domains lead to it.
    pub(super) async fn open_further(&self, actor: &Actor, app: &App, prepared: &Prepared) -> Result<()> {
        for (listen, service, port) in ports(&prepared.composed.stack) {
            self.edge.open(actor, NewStream::published(app, listen, service, port)).await?;
        }
        for FurtherDomain { host, place } in prepared.further.iter().cloned() {
            self.domains.add(actor, app.id.as_str(), host, true, Some(place)).await?;
        }
        Ok(())
    }
}

/// `NAME-PORT`; of a port that another service has before it, `NAME-SERVICE-PORT`.
fn label(name: &AppName, also: &Also, all: &[Also]) -> String {
    let port = also.port;
    match all.iter().take_while(|other| *other != also).any(|other| other.port == port) {
        true => format!("{name}-{}-{port}", also.service),
        false => format!("{name}-{port}"),
    }
}

fn typed(template: &Template, values: &BTreeMap<String, String>, main: Option<&Host>) -> Result<Vec<FurtherDomain>> {
    let mut found: Vec<FurtherDomain> = Vec::new();
    for also in &template.also {
        let name = also.variable();
        let Some(text) = values.get(&name).filter(|text| !text.trim().is_empty()) else {
            continue;
        };
        let host = text.parse::<HostPattern>().map_err(|error| match error {
            Error::Invalid { why, .. } => Error::invalid(&name, why),
            other => other,
        })?;
        if main.is_some_and(|main| host == HostPattern::from(main)) || found.iter().any(|other| other.host == host) {
            return Err(Error::invalid(&name, format!("`{host}` leads to another port of the app already")));
        }
        let place = ServicePort {
            service: also.service.clone(),
            port: also.port,
        };
        found.push(FurtherDomain { host, place });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_services_with_one_port_get_two_names() {
        let also = |service: &str, port| Also {
            service: service.to_owned(),
            port,
            title: "A page".to_owned(),
        };
        let all = [also("web", 80), also("admin", 80), also("admin", 81)];
        let name: AppName = "shop".parse().expect("a name");
        let labels: Vec<String> = all.iter().map(|one| label(&name, one, &all)).collect();
        assert_eq!(labels, ["shop-80", "shop-admin-80", "shop-81"]);
    }

    #[test]
    fn domains_of_further_ports() {
        let text = include_str!("../../../catalog/minio/template.yaml");
        let template = catalog::template::read(text).expect("a template");
        let main: Host = "files.example.com".parse().expect("a host");
        let of = |value: &str| {
            let values = BTreeMap::from([("domain_minio_9001".to_owned(), value.to_owned())]);
            typed(&template, &values, Some(&main))
        };
        assert_eq!(of(" ").expect("none"), []);
        assert_eq!(typed(&template, &BTreeMap::new(), None).expect("none"), []);
        let made = of("Console.example.com").expect("one");
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].host.as_str(), "console.example.com");
        assert_eq!((made[0].place.service.as_str(), made[0].place.port), ("minio", 9001));
        assert!(of("*.files.example.com").is_ok(), "a wildcard is a domain too");
        for (value, words) in [
            ("files.example.com", "another port of the app already"),
            ("no domain", "must be a domain name"),
        ] {
            let error = of(value).expect_err(value);
            assert!(
                matches!(&error, Error::Invalid { field, why } if field == "domain_minio_9001" && why.contains(words)),
                "{error:?}"
            );
        }
    }
}

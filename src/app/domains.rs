//! Domains of apps.

use crate::{
    apps::{find_app, not_trashed},
    domain_claims::{self, Claiming, must_be_free},
    ground::Ground,
    routing,
    serving::Choice,
    sight::{of, owned},
};
use std::{collections::HashMap, net::IpAddr, sync::Arc};
use store::Batch;
use types::{
    Action, Actor, App, AppId, AppName, Certificate, Domain, Error, Fact, Host, HostPattern, Kind, Result, ServicePort, TrafficPolicy,
    report,
};

#[derive(Debug, Clone)]
pub struct DomainView {
    pub domain: Domain,
    pub app_name: AppName,
    pub certificate: Option<Certificate>,
    pub url: String,
}

/// Whether a name leads here.
#[derive(Debug, Clone)]
pub struct DomainCheck {
    pub ok: bool,
    /// What the name resolves to.
    pub addresses: Vec<IpAddr>,
    /// This machine's addresses.
    pub expected: Vec<IpAddr>,
    /// One sentence.
    pub detail: String,
}

#[derive(Clone)]
pub struct Domains {
    ground: Arc<Ground>,
}

impl Domains {
    pub(crate) fn new(ground: Arc<Ground>) -> Domains {
        Domains { ground }
    }

    /// Of one app, or of all apps of the organization, by host.
    pub async fn list(&self, actor: &Actor, app: Option<&str>) -> Result<Vec<DomainView>> {
        actor.may_somewhere(Action::View)?;
        let app = app.map(|app| find_app(&self.ground, actor, Action::View, app)).transpose()?;
        let names: HashMap<AppId, AppName> = self
            .ground
            .store
            .apps
            .list()?
            .into_iter()
            .map(|app| (app.id.clone(), app.name.clone()))
            .collect();
        let choice = Choice::load(&self.ground)?;
        let all = of(&self.ground, actor, self.ground.store.domains.list()?)?
            .into_iter()
            .filter(|domain| app.as_ref().is_none_or(|app| app.id == domain.app))
            .filter_map(|domain| {
                let name = names.get(&domain.app)?.clone();
                Some(self.view(&choice, domain, name))
            });
        Ok(all.collect())
    }

    /// Fails with `Taken` when the host leads somewhere already. A wildcard is never the one that links show.
    /// `place`: a service of the app and its port, where it does not lead to the main one.
    pub async fn add(
        &self,
        actor: &Actor,
        app: &str,
        host: HostPattern,
        force_https: bool,
        place: Option<ServicePort>,
    ) -> Result<DomainView> {
        actor.may_somewhere(Action::Configure)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        not_trashed(&app)?;
        if let Some(place) = &place {
            if place.port == 0 {
                return Err(Error::invalid("service_port", "must be from 1 to 65535"));
            }
            crate::stacks::must_have(&self.ground, &app, &place.service)?;
        }
        let first = place.is_none()
            && !host.is_wildcard()
            && !self
                .ground
                .store
                .domains
                .list()?
                .iter()
                .any(|domain| domain.app == app.id && domain.primary);
        let claiming = domain_claims::gate(&self.ground).await;
        let batch = insert_domain(&claiming, actor, Batch::new(), &app, host.clone(), first, force_https)?;
        self.ground.store.commit(batch).await?;
        drop(claiming);
        if place.is_some() {
            let led = |domain: &mut Domain| {
                domain.service = place.clone();
                Ok(())
            };
            self.ground.store.domains.update(host.as_str(), led).await?;
        }
        self.changed().await;
        self.ground
            .events
            .emit(
                actor,
                Fact::DomainAdded {
                    app: app.id.clone(),
                    host: host.clone(),
                },
            )
            .await;
        let choice = Choice::load(&self.ground)?;
        Ok(self.view(&choice, self.ground.store.domains.get(host.as_str())?.value, app.name.clone()))
    }

    pub async fn remove(&self, actor: &Actor, host: &str) -> Result<()> {
        actor.may_somewhere(Action::Configure)?;
        let store = &self.ground.store;
        let host: HostPattern = host.parse()?;
        let found = store.domains.find(host.as_str())?;
        let domain = owned(&self.ground, actor, Action::Configure, found, Kind::Domain, host.as_str())?;
        let mut batch = Batch::new().remove(&store.domains.get(host.as_str())?);
        let heir = store
            .domains
            .list()?
            .into_iter()
            .find(|other| other.app == domain.app && other.host != domain.host && !other.host.is_wildcard());
        if let (true, Some(mut heir)) = (domain.primary, heir) {
            heir.primary = true;
            batch = batch.save(heir);
        }
        store.commit(batch).await?;
        self.changed().await;
        self.ground.events.emit(actor, Fact::DomainRemoved { app: domain.app, host }).await;
        Ok(())
    }

    /// Resolves the host and compares it with this machine's addresses.
    pub async fn check(&self, actor: &Actor, host: &str) -> Result<DomainCheck> {
        actor.may_somewhere(Action::View)?;
        let pattern: HostPattern = host.parse()?;
        // Any name below a wildcard will do; nobody has this one by accident.
        let host: Host = match pattern.as_str().strip_prefix("*.") {
            Some(parent) => format!("serverkit-check-{}.{parent}", self.ground.world.word(6)).parse()?,
            None => pattern.as_str().parse()?,
        };
        let expected = self.ground.node.addresses();
        let addresses: Vec<IpAddr> = match host.address() {
            Some(address) => vec![address],
            None => match tokio::net::lookup_host((host.as_str(), 443)).await {
                Ok(found) => {
                    let mut found: Vec<_> = found.map(|address| address.ip()).collect();
                    found.sort();
                    found.dedup();
                    found
                }
                Err(_) => Vec::new(),
            },
        };
        let here = |address: &IpAddr| expected.contains(address) || address.is_loopback();
        let (ok, detail) = if host.as_str().ends_with("localhost") {
            (
                true,
                format!("{pattern} leads to the machine that asks (RFC 6761); only browsers on this server find it"),
            )
        } else if addresses.is_empty() && !host.is_public() {
            (
                false,
                format!("{pattern} is not a public name; give it this server's address in your own DNS or hosts file"),
            )
        } else if addresses.is_empty() {
            (
                false,
                format!("{pattern} has no address yet; set an A or AAAA record to this server"),
            )
        } else if addresses.iter().all(here) {
            (true, format!("{pattern} leads to this server"))
        } else {
            let elsewhere: Vec<_> = addresses.iter().filter(|address| !here(address)).map(ToString::to_string).collect();
            (
                false,
                format!(
                    "{pattern} leads to {}, which is not an address of this server (it may be one in front of it)",
                    elsewhere.join(", ")
                ),
            )
        };
        Ok(DomainCheck {
            ok,
            addresses,
            expected,
            detail,
        })
    }

    fn view(&self, choice: &Choice, domain: Domain, app_name: AppName) -> DomainView {
        DomainView {
            url: self.ground.url_of(&domain.host),
            certificate: choice.shown(&domain.host, Some(&domain.organization)).cloned(),
            app_name,
            domain,
        }
    }

    /// Holds when it is answered; if the edge does not take it now, the reconciler goes on trying.
    async fn changed(&self) {
        self.ground.wake_reconcile();
        self.ground.wake_certificates();
        if let Err(error) = routing::apply(&self.ground).await {
            tracing::warn!("routes of domains: {}", report(&error));
        }
    }
}

/// Adds the domain to the batch. Fails with `Taken`, saying by whom, when it leads somewhere already.
pub(crate) fn insert_domain(
    claiming: &Claiming<'_>,
    actor: &Actor,
    batch: Batch,
    app: &App,
    host: HostPattern,
    primary: bool,
    force_https: bool,
) -> Result<Batch> {
    let ground = claiming.ground;
    must_be_free(ground, actor, &host)?;
    Ok(batch.insert(Domain {
        host,
        organization: app.organization.clone(),
        app: app.id.clone(),
        primary,
        force_https,
        created_at: ground.world.now(),
        policy: TrafficPolicy::default(),
        rules: Vec::new(),
        canary: None,
        passthrough: None,
        service: None,
    }))
}

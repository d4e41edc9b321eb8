//! The edge as a whole: what it tells about its work, its options, its kept answers, and ports without HTTP.

use crate::{
    apps::{find_app, not_trashed},
    canaries,
    ground::Ground,
    release_ports, routing,
    sight::{of, owned},
};
use ipnet::IpNet;
use std::{collections::HashSet, sync::Arc};
use types::{
    Action, Actor, App, AppName, EdgeOptions, EdgeReport, Error, Fact, HostPattern, Kind, ProxyVersion, Purge, Result, Stream, StreamPort,
    StreamReport, Transport,
};

/// A port that somebody wants to lead to an app.
#[derive(Debug, Clone)]
pub struct NewStream {
    pub listen: StreamPort,
    /// Id or name.
    pub app: String,
    /// In the app's container.
    pub port: u16,
    /// Which of the app's services; `None`: the main one.
    pub service: Option<String>,
    pub proxy_protocol: Option<ProxyVersion>,
    pub allow: Vec<IpNet>,
    pub max_connections: u32,
}

impl NewStream {
    /// As a Compose file asks for it: to one of the app's services, for everybody.
    pub(crate) fn published(app: &App, listen: StreamPort, service: String, port: u16) -> NewStream {
        NewStream {
            listen,
            app: app.id.to_string(),
            port,
            service: Some(service),
            proxy_protocol: None,
            allow: Vec::new(),
            max_connections: 0,
        }
    }
}

#[derive(Debug, Clone)]
pub struct StreamView {
    pub stream: Stream,
    pub app_name: AppName,
    /// `None`: the edge does not know it yet.
    pub report: Option<StreamReport>,
}

#[derive(Clone)]
pub struct EdgeService {
    ground: Arc<Ground>,
}

impl EdgeService {
    pub(crate) fn new(ground: Arc<Ground>) -> EdgeService {
        EdgeService { ground }
    }

    /// Of the organization's domains and ports; what is the whole server's, administrators see.
    pub async fn report(&self, actor: &Actor) -> Result<EdgeReport> {
        actor.may_somewhere(Action::View)?;
        let store = &self.ground.store;
        let domains = of(&self.ground, actor, store.domains.list()?)?;
        let hosts: HashSet<&HostPattern> = domains.iter().map(|domain| &domain.host).collect();
        let ports: HashSet<StreamPort> = of(&self.ground, actor, store.streams.list()?)?
            .into_iter()
            .map(|stream| stream.listen)
            .collect();
        let mut report = self.ground.node.edge_report().await?;
        report.domains.retain(|domain| hosts.contains(&domain.host));
        report.limited.retain(|limited| hosts.contains(&limited.host));
        report.canaries.retain(|canary| hosts.contains(&canary.host));
        report.streams.retain(|stream| ports.contains(&stream.listen));
        let of_domains = report.canaries.iter().filter(|canary| canary.release.is_none());
        let running: HashSet<HostPattern> = of_domains.map(|canary| canary.host.clone()).collect();
        let failed = domains.iter().filter(|domain| !running.contains(&domain.host));
        report.canaries.extend(failed.filter_map(canaries::failed));
        Ok(report)
    }

    /// Throws kept answers away; answers how many. Of all domains: administrators only.
    pub async fn purge(&self, actor: &Actor, purge: Purge) -> Result<u64> {
        actor.may_somewhere(Action::Configure)?;
        match &purge.host {
            Some(host) => {
                let found = self.ground.store.domains.find(host.as_str())?;
                owned(&self.ground, actor, Action::Configure, found, Kind::Domain, host.as_str())?;
            }
            None => actor.may(Action::Operate)?,
        }
        if purge.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            return Err(Error::invalid("path", "must begin with /"));
        }
        let host = purge.host.clone();
        let answers = self.ground.node.edge_purge(purge).await?;
        self.ground.events.emit(actor, Fact::CachePurged { host, answers }).await;
        Ok(answers)
    }

    pub async fn options(&self, actor: &Actor) -> Result<EdgeOptions> {
        actor.may(Action::Operate)?;
        let found = self.ground.store.edge_options.find(store::EDGE_OPTIONS_KEY)?;
        Ok(found.map(|stored| stored.value).unwrap_or_default())
    }

    /// Fails with `Invalid` when the PROXY protocol is wanted and nobody is trusted to speak it: then nobody could connect.
    pub async fn set_options(&self, actor: &Actor, options: EdgeOptions) -> Result<EdgeOptions> {
        actor.may(Action::Operate)?;
        if options.proxy_protocol && options.trusted_proxies.is_empty() {
            return Err(Error::invalid("proxy_protocol", "name the trusted proxies that speak it first"));
        }
        if options.cache_bytes > 64 << 30 {
            return Err(Error::invalid("cache_bytes", "may be at most 64 GiB"));
        }
        let collection = &self.ground.store.edge_options;
        let before = collection.find(store::EDGE_OPTIONS_KEY)?;
        let fields = differing(&before.as_ref().map(|stored| stored.value.clone()).unwrap_or_default(), &options);
        if fields.is_empty() {
            return Ok(options);
        }
        match before {
            Some(mut stored) => {
                stored.value = options.clone();
                collection.save(stored).await?;
            }
            None => {
                collection.insert(options.clone()).await?;
            }
        }
        self.apply().await?;
        self.ground.events.emit(actor, Fact::EdgeOptionsChanged { fields }).await;
        Ok(options)
    }

    /// Ports that lead to apps, and how they do.
    pub async fn streams(&self, actor: &Actor) -> Result<Vec<StreamView>> {
        actor.may_somewhere(Action::View)?;
        let reports = self.ground.node.edge_report().await?.streams;
        of(&self.ground, actor, self.ground.store.streams.list()?)?
            .into_iter()
            .filter_map(|stream| self.view(stream, &reports).transpose())
            .collect()
    }

    /// For administrators: the port is the whole machine's. Fails with `Taken` when the port leads somewhere already or is the panel's own, with `Busy` when another program has it.
    pub async fn open(&self, actor: &Actor, wish: NewStream) -> Result<StreamView> {
        actor.may(Action::Operate)?;
        let app = find_app(&self.ground, actor, Action::Configure, &wish.app)?;
        not_trashed(&app)?;
        let taken = |by: String| Error::Taken {
            kind: Kind::Stream,
            name: wish.listen.to_string(),
            by: Some(by),
        };
        if wish.port == 0 {
            return Err(Error::invalid("target_port", "must be from 1 to 65535"));
        }
        if wish.proxy_protocol.is_some() && wish.listen.protocol == Transport::Udp {
            return Err(Error::invalid("proxy_protocol", "is for TCP only"));
        }
        if release_ports::is_the_panels(&self.ground, wish.listen) {
            return Err(taken("the panel itself".into()));
        }
        let streams = &self.ground.store.streams;
        if streams.find(&wish.listen.to_string())?.is_some() {
            return Err(taken("an app".into()));
        }
        let stream = Stream {
            listen: wish.listen,
            organization: app.organization.clone(),
            app: app.id.clone(),
            port: wish.port,
            service: wish.service,
            proxy_protocol: wish.proxy_protocol,
            allow: wish.allow,
            max_connections: wish.max_connections,
            created_at: self.ground.world.now(),
        };
        let stream = streams.insert(stream).await?.value;
        self.apply().await?;
        let reports = self.bound(stream.listen).await?;
        let report = reports.iter().find(|report| report.listen == stream.listen);
        if let Some(Err(why)) = report.map(|report| &report.bound) {
            let why = why.clone();
            streams.remove(&stream.listen.to_string()).await?;
            self.apply().await?;
            return Err(Error::busy(format!("{} cannot be opened: {why}", stream.listen)));
        }
        let opened = Fact::PortOpened {
            app: app.id,
            port: stream.listen,
        };
        self.ground.events.emit(actor, opened).await;
        Ok(StreamView {
            stream,
            app_name: app.name,
            report: report.cloned(),
        })
    }

    pub async fn close(&self, actor: &Actor, listen: StreamPort) -> Result<()> {
        actor.may(Action::Operate)?;
        let streams = &self.ground.store.streams;
        let key = listen.to_string();
        let stream = owned(&self.ground, actor, Action::Operate, streams.find(&key)?, Kind::Stream, &key)?;
        streams.remove(&key).await?;
        self.apply().await?;
        let closed = Fact::PortClosed {
            app: stream.app,
            port: listen,
        };
        self.ground.events.emit(actor, closed).await;
        Ok(())
    }

    /// What is recorded is done at once; if the edge does not take it now, the reconciler goes on trying.
    async fn apply(&self) -> Result<()> {
        self.ground.wake_reconcile();
        routing::apply(&self.ground).await
    }

    /// The reports, once this port is among them: ports open a moment after the table is swapped.
    async fn bound(&self, listen: StreamPort) -> Result<Vec<StreamReport>> {
        for _ in 0..20 {
            let reports = self.ground.node.edge_report().await?.streams;
            if reports.iter().any(|report| report.listen == listen) {
                return Ok(reports);
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        Ok(Vec::new())
    }

    fn view(&self, stream: Stream, reports: &[StreamReport]) -> Result<Option<StreamView>> {
        let Some(app) = self.ground.store.apps.find(stream.app.as_str())? else {
            return Ok(None);
        };
        Ok(Some(StreamView {
            report: reports.iter().find(|report| report.listen == stream.listen).cloned(),
            app_name: app.value.name,
            stream,
        }))
    }
}

fn differing(before: &EdgeOptions, after: &EdgeOptions) -> Vec<String> {
    let mut fields = Vec::new();
    let mut note = |name: &str, differs: bool| differs.then(|| fields.push(name.to_owned()));
    note("trusted_proxies", before.trusted_proxies != after.trusted_proxies);
    note("proxy_protocol", before.proxy_protocol != after.proxy_protocol);
    note("cache_bytes", before.cache_bytes != after.cache_bytes);
    note(
        "connections_per_address",
        before.connections_per_address != after.connections_per_address,
    );
    note("http3", before.http3 != after.http3);
    fields
}

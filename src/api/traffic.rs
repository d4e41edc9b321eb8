//! What the edge does with the requests of a domain: policy, rules, canary, passthrough, and why it answers as it does.

mod explain;
mod rules;

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, created, moment, page},
    failures::Answer,
    policies::{ProxyVersion, TrafficPolicy, shown, typed},
    signed::Signed,
    tags::Tag,
};
use explain::{ExplainQuestion, Explanation};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use rules::{HeaderMatch, Rule, RuleOrder, RuleWish};
use time::OffsetDateTime;
use types::{Actor, RequestMatch as Match, RuleAction as Action};

/// A domain with all that the edge does for it.
#[derive(Debug, Object)]
pub struct DomainTraffic {
    pub host: String,
    pub app: Named,
    pub force_https: bool,
    pub policy: TrafficPolicy,
    /// In the order in which they are asked; what none fits goes to `app`.
    pub rules: Vec<Rule>,
    pub canary: Option<Canary>,
    pub passthrough: Option<Passthrough>,
}

/// Another app that gets some of the requests, until it fails too often or is too slow.
#[derive(Debug, Object)]
pub struct Canary {
    /// Its id.
    pub app: String,
    pub percent: u8,
    pub header: Option<HeaderMatch>,
    pub limits: CanaryLimits,
    /// It has failed, and gets nothing until it is set again.
    pub failed: Option<CanaryFailure>,
}

/// How a canary failed.
#[derive(Debug, Object)]
pub struct CanaryFailure {
    pub at: OffsetDateTime,
    /// In words, with the limit that it passed.
    pub why: String,
    /// Since it was set.
    pub requests: u64,
    pub errors: u64,
    pub p95_millis: Option<u64>,
}

/// A canary as it should be.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct CanaryWish {
    /// Id or name; null takes the canary away.
    pub app: Option<String>,
    /// 0 to 100 of a hundred requests; left out: 0.
    pub percent: Option<u8>,
    /// Requests with this header always go to it.
    pub header: Option<HeaderMatch>,
    pub limits: Option<CanaryLimits>,
}

/// When a canary has failed, over its last requests; then all go to the stable app again.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct CanaryLimits {
    /// Nothing is decided on fewer requests than this; left out: 50.
    pub min_requests: Option<u32>,
    /// Answers 500 to 599 and none at all, of a hundred; null: any share.
    pub max_error_percent: Option<u8>,
    /// The time that 95 of 100 answers stay below; null: any.
    pub max_p95_millis: Option<u32>,
}

/// The connection as it came, TLS and all, to the app.
#[derive(Debug, Object)]
pub struct Passthrough {
    /// In the app's container.
    pub port: u16,
    /// Tells the app who the client is.
    pub proxy_protocol: Option<ProxyVersion>,
}

/// Whether TLS is passed on as it came.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct PassthroughWish {
    /// In the app's container; null: TLS ends at the edge.
    pub port: Option<u16>,
    /// Tells the app who the client is.
    pub proxy_protocol: Option<ProxyVersion>,
}

impl From<(types::Domain, types::AppName)> for DomainTraffic {
    fn from((domain, app): (types::Domain, types::AppName)) -> DomainTraffic {
        DomainTraffic {
            host: domain.host.to_string(),
            app: Named::new(domain.app, app),
            force_https: domain.force_https,
            policy: domain.policy.into(),
            rules: domain.rules.into_iter().map(Rule::from).collect(),
            canary: domain.canary.map(Canary::from),
            passthrough: domain.passthrough.map(Passthrough::from),
        }
    }
}

impl From<types::Canary> for Canary {
    fn from(canary: types::Canary) -> Canary {
        Canary {
            app: canary.app.to_string(),
            percent: canary.percent,
            header: canary.header.map(|header| shown(&header)),
            limits: canary.limits.into(),
            failed: canary.failed.map(CanaryFailure::from),
        }
    }
}

impl From<types::CanaryLimits> for CanaryLimits {
    fn from(limits: types::CanaryLimits) -> CanaryLimits {
        CanaryLimits {
            min_requests: Some(limits.min_requests),
            max_error_percent: limits.max_error_percent,
            max_p95_millis: limits.max_p95_millis,
        }
    }
}

impl From<CanaryLimits> for types::CanaryLimits {
    fn from(limits: CanaryLimits) -> types::CanaryLimits {
        let usual = types::CanaryLimits::default();
        types::CanaryLimits {
            min_requests: limits.min_requests.unwrap_or(usual.min_requests),
            max_error_percent: limits.max_error_percent,
            max_p95_millis: limits.max_p95_millis,
        }
    }
}

impl From<types::CanaryFailure> for CanaryFailure {
    fn from(failure: types::CanaryFailure) -> CanaryFailure {
        CanaryFailure {
            at: moment(failure.at),
            why: failure.why,
            requests: failure.requests,
            errors: failure.errors,
            p95_millis: failure.p95_millis,
        }
    }
}

impl From<types::Passthrough> for Passthrough {
    fn from(passthrough: types::Passthrough) -> Passthrough {
        Passthrough {
            port: passthrough.port,
            proxy_protocol: passthrough.proxy_protocol.map(|version| shown(&version)),
        }
    }
}

#[derive(Clone)]
pub(crate) struct TrafficApi(pub Panel);

impl TrafficApi {
    async fn shown(&self, actor: &Actor, host: &str) -> Answer<Json<DomainTraffic>> {
        let domain = self.0.traffic.domain(actor, host).await?;
        let app = self.0.apps.get(actor, domain.app.as_str()).await?;
        Ok(Json((domain, app.app.name).into()))
    }

    /// With the names of apps turned into their ids.
    async fn rule(&self, actor: &Actor, body: RuleWish) -> types::Result<app::RuleWish> {
        let RuleWish {
            name,
            priority,
            matches,
            mut action,
            policy,
            enabled,
        } = body;
        if let Some(app) = &mut action.app {
            *app = self.0.apps.get(actor, app).await?.app.id.to_string();
        }
        for app in action.parts.iter_mut().flatten().filter_map(|part| part.app.as_mut()) {
            *app = self.0.apps.get(actor, app).await?.app.id.to_string();
        }
        Ok(app::RuleWish {
            name,
            priority: priority.unwrap_or(0),
            matches: typed::<Match>(&matches.unwrap_or_default())?,
            action: typed::<Action>(&action)?,
            policy: policy.map(TrafficPolicy::wish).transpose()?,
            enabled: enabled.unwrap_or(true),
        })
    }
}

#[OpenApi(tag = "Tag::Domains")]
impl TrafficApi {
    /// List what the edge does for each domain
    ///
    /// Policies with their rate limits, rules, canaries and TLS passthroughs of all domains.
    #[oai(path = "/traffic", method = "get", operation_id = "domain_traffic_list")]
    async fn domain_traffic_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<DomainTraffic>>> {
        let all = self.0.traffic.list(&who.actor).await?;
        page(all, cursor.0.as_deref(), limit.0, |(domain, _)| domain.host.to_string())
    }

    /// Show what the edge does for a domain
    #[oai(path = "/domains/:host/traffic", method = "get", operation_id = "domain_show")]
    async fn domain_show(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
    ) -> Answer<Json<DomainTraffic>> {
        self.shown(&who.actor, &host.0).await
    }

    /// Show the policy of a domain
    #[oai(path = "/domains/:host/policy", method = "get", operation_id = "domain_policy_show")]
    async fn domain_policy_show(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
    ) -> Answer<Json<TrafficPolicy>> {
        Ok(Json(self.0.traffic.domain(&who.actor, &host.0).await?.policy.into()))
    }

    /// Replace the policy of a domain
    ///
    /// What is left out is off. It is in force when this answers.
    #[oai(path = "/domains/:host/policy", method = "put", operation_id = "domain_policy_replace")]
    async fn domain_policy_replace(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
        body: Json<TrafficPolicy>,
    ) -> Answer<Json<TrafficPolicy>> {
        who.actor.may_somewhere(types::Action::Configure)?;
        let policy = self.0.traffic.set_policy(&who.actor, &host.0, body.0.wish()?).await?;
        Ok(Json(policy.into()))
    }

    /// List the rules of a domain
    ///
    /// In the order in which they are asked.
    #[oai(path = "/domains/:host/rules", method = "get", operation_id = "domain_rule_list")]
    async fn domain_rule_list(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Rule>>> {
        let rules = self.0.traffic.domain(&who.actor, &host.0).await?.rules;
        page(rules, cursor.0.as_deref(), limit.0, |rule| rule.id.to_string())
    }

    /// Add a rule to a domain
    #[oai(path = "/domains/:host/rules", method = "post", operation_id = "domain_rule_add")]
    async fn domain_rule_add(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
        body: Json<RuleWish>,
    ) -> Answer<Created<Rule>> {
        who.actor.may_somewhere(types::Action::Configure)?;
        let wish = self.rule(&who.actor, body.0).await?;
        Ok(created(self.0.traffic.add_rule(&who.actor, &host.0, wish).await?))
    }

    /// Replace a rule
    #[oai(path = "/domains/:host/rules/:rule", method = "put", operation_id = "domain_rule_replace")]
    async fn domain_rule_replace(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
        /// Id or name.
        rule: Path<String>,
        body: Json<RuleWish>,
    ) -> Answer<Json<Rule>> {
        who.actor.may_somewhere(types::Action::Configure)?;
        let wish = self.rule(&who.actor, body.0).await?;
        Ok(Json(self.0.traffic.change_rule(&who.actor, &host.0, &rule.0, wish).await?.into()))
    }

    /// Remove a rule
    #[oai(path = "/domains/:host/rules/:rule", method = "delete", operation_id = "domain_rule_remove")]
    async fn domain_rule_remove(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
        /// Id or name.
        rule: Path<String>,
    ) -> Answer<Done> {
        self.0.traffic.remove_rule(&who.actor, &host.0, &rule.0).await?;
        Ok(Done::Done)
    }

    /// Set the order of a domain's rules
    ///
    /// Gives them new priorities.
    #[oai(path = "/domains/:host/rule-order", method = "put", operation_id = "domain_rule_order")]
    async fn domain_rule_order(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
        body: Json<RuleOrder>,
    ) -> Answer<Json<DomainTraffic>> {
        self.0.traffic.order_rules(&who.actor, &host.0, &body.0.rules).await?;
        self.shown(&who.actor, &host.0).await
    }

    /// Send a share of the requests to another app
    ///
    /// One that fails gets nothing any more, until it is set again: in the same way or another.
    #[oai(path = "/domains/:host/canary", method = "put", operation_id = "domain_canary")]
    async fn domain_canary(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
        body: Json<CanaryWish>,
    ) -> Answer<Json<DomainTraffic>> {
        let CanaryWish {
            app,
            percent,
            header,
            limits,
        } = body.0;
        let header = header.map(|header| typed::<types::HeaderMatch>(&header)).transpose()?;
        let canary = |app| types::Canary {
            app,
            percent: percent.unwrap_or(0),
            header,
            limits: limits.map(types::CanaryLimits::from).unwrap_or_default(),
            since: types::Time::default(),
            failed: None,
        };
        self.0.traffic.set_canary(&who.actor, &host.0, app.as_deref(), canary).await?;
        self.shown(&who.actor, &host.0).await
    }

    /// Let the app end TLS itself
    #[oai(path = "/domains/:host/passthrough", method = "put", operation_id = "domain_passthrough")]
    async fn domain_passthrough(
        &self,
        who: Signed,
        /// The host.
        host: Path<String>,
        body: Json<PassthroughWish>,
    ) -> Answer<Json<DomainTraffic>> {
        let version = body.0.proxy_protocol.map(|version| typed(&version)).transpose()?;
        let passthrough = body.0.port.map(|port| types::Passthrough {
            port,
            proxy_protocol: version,
        });
        self.0.traffic.set_passthrough(&who.actor, &host.0, passthrough).await?;
        self.shown(&who.actor, &host.0).await
    }

    /// Explain which rule answers a request, and why
    #[oai(path = "/domains/explain", method = "post", operation_id = "domain_explain")]
    async fn domain_explain(&self, who: Signed, body: Json<ExplainQuestion>) -> Answer<Json<Explanation>> {
        who.actor.may_somewhere(types::Action::View)?;
        let question = body.0.read()?;
        Ok(Json(self.0.traffic.explain(&who.actor, &question).await?.into()))
    }
}

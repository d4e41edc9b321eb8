//! What the edge does with the requests of a domain: its policy, its rules, its canary, and why a request is answered as it is.

use crate::{
    apps::{find_app, not_trashed},
    ground::Ground,
    routing,
    sight::{of, owned},
};
use std::sync::Arc;
use store::Stored;
use types::{
    Action, Actor, AppId, AppName, Canary, Domain, Error, Explanation, Fact, HostPattern, Kind, Origin, Passthrough, PasswordHash,
    Question, RequestMatch, Result, Rule, RuleAction, RuleId, Secret, TrafficPolicy, in_order,
};

/// A policy, and the passwords that become hashes in it.
#[derive(Debug, Clone, Default)]
pub struct PolicyWish {
    /// With empty hashes for users that get a password, or that keep theirs.
    pub policy: TrafficPolicy,
    /// By user name; `None`: the hash in the policy, or the one from before.
    pub passwords: Vec<(String, Option<Secret>)>,
}

/// A rule as somebody wants it.
#[derive(Debug, Clone)]
pub struct RuleWish {
    pub name: String,
    pub priority: i32,
    pub matches: RequestMatch,
    pub action: RuleAction,
    /// `None`: the domain's.
    pub policy: Option<PolicyWish>,
    pub enabled: bool,
}

#[derive(Clone)]
pub struct Traffic {
    ground: Arc<Ground>,
}

impl Traffic {
    pub(crate) fn new(ground: Arc<Ground>) -> Traffic {
        Traffic { ground }
    }

    /// The domain with its policy, rules, canary and passthrough. The rules are in the order in which they are asked.
    pub async fn domain(&self, actor: &Actor, host: &str) -> Result<Domain> {
        actor.may_somewhere(Action::View)?;
        let mut domain = self.find(actor, Action::View, host)?.value;
        domain.rules = ordered(&domain.rules);
        Ok(domain)
    }

    /// All domains with the names of their apps, by host; each as [`Traffic::domain`].
    pub async fn list(&self, actor: &Actor) -> Result<Vec<(Domain, AppName)>> {
        actor.may_somewhere(Action::View)?;
        let mut all = Vec::new();
        for mut domain in of(&self.ground, actor, self.ground.store.domains.list()?)? {
            let Some(app) = self.ground.store.apps.find(domain.app.as_str())? else {
                continue;
            };
            domain.rules = ordered(&domain.rules);
            all.push((domain, app.value.name));
        }
        Ok(all)
    }

    /// In place of the policy that is there. Who asks other servers at each request must be an administrator, since those
    /// may lie in an inner network.
    pub async fn set_policy(&self, actor: &Actor, host: &str, wish: PolicyWish) -> Result<TrafficPolicy> {
        actor.may_somewhere(Action::Configure)?;
        let mut domain = self.find(actor, Action::Configure, host)?;
        let policy = self.finish(actor, wish, &domain.policy)?;
        let what = changed_fields(&domain.policy, &policy);
        if what.is_empty() {
            return Ok(policy);
        }
        domain.policy = policy.clone();
        self.save(actor, domain, format!("changed {}", what.join(", "))).await?;
        Ok(policy)
    }

    /// Fails with `Taken` when the domain has a rule of this name.
    pub async fn add_rule(&self, actor: &Actor, host: &str, wish: RuleWish) -> Result<Rule> {
        actor.may_somewhere(Action::Configure)?;
        let mut domain = self.find(actor, Action::Configure, host)?;
        let rule = self.rule(actor, &domain, self.ground.world.id(), wish, None)?;
        if domain.rules.len() >= RULES {
            return Err(Error::busy(format!("a domain has at most {RULES} rules")));
        }
        domain.rules.push(rule.clone());
        self.save(actor, domain, format!("added the rule {}", rule.name)).await?;
        Ok(rule)
    }

    /// In place of the rule, which is named by id or name.
    pub async fn change_rule(&self, actor: &Actor, host: &str, called: &str, wish: RuleWish) -> Result<Rule> {
        actor.may_somewhere(Action::Configure)?;
        let mut domain = self.find(actor, Action::Configure, host)?;
        let place = place_of(&domain, called)?;
        let before = domain.rules[place].clone();
        let rule = self.rule(actor, &domain, before.id.clone(), wish, Some(&before))?;
        if rule == before {
            return Ok(rule);
        }
        domain.rules[place] = rule.clone();
        self.save(actor, domain, format!("changed the rule {}", rule.name)).await?;
        Ok(rule)
    }

    pub async fn remove_rule(&self, actor: &Actor, host: &str, called: &str) -> Result<()> {
        actor.may_somewhere(Action::Configure)?;
        let mut domain = self.find(actor, Action::Configure, host)?;
        let place = place_of(&domain, called)?;
        let rule = domain.rules.remove(place);
        self.save(actor, domain, format!("removed the rule {}", rule.name)).await
    }

    /// Gives the rules priorities so that they are asked in this order. Fails with `Invalid` unless each is named once.
    pub async fn order_rules(&self, actor: &Actor, host: &str, order: &[String]) -> Result<Vec<Rule>> {
        actor.may_somewhere(Action::Configure)?;
        let mut domain = self.find(actor, Action::Configure, host)?;
        let mut places = order.iter().map(|called| place_of(&domain, called)).collect::<Result<Vec<_>>>()?;
        let sequence = places.clone();
        places.sort_unstable();
        places.dedup();
        if places.len() != domain.rules.len() || sequence.len() != domain.rules.len() {
            return Err(Error::invalid("rules", "name each rule of the domain once"));
        }
        for (after, place) in sequence.into_iter().rev().enumerate() {
            domain.rules[place].priority = i32::try_from(after + 1).unwrap_or(i32::MAX) * 10;
        }
        let rules = ordered(&domain.rules);
        self.save(actor, domain, "changed the order of the rules".into()).await?;
        Ok(rules)
    }

    /// Sends a share of the requests to another app, or to the domain's own again.
    pub async fn set_canary(&self, actor: &Actor, host: &str, app: Option<&str>, canary: impl FnOnce(AppId) -> Canary) -> Result<Domain> {
        actor.may_somewhere(Action::Configure)?;
        let mut domain = self.find(actor, Action::Configure, host)?;
        let what = match app {
            None => {
                domain.canary = None;
                "removed the canary".to_owned()
            }
            Some(app) => {
                let app = find_app(&self.ground, actor, Action::Configure, app)?;
                not_trashed(&app)?;
                if app.id == domain.app {
                    return Err(Error::invalid("app", "must be another app than the domain's own"));
                }
                // Saving it as it is tries anew, when it has failed.
                let canary = Canary {
                    since: self.ground.world.now(),
                    failed: None,
                    ..canary(app.id)
                };
                let limits = &canary.limits;
                if canary.percent > 100 || limits.max_error_percent.is_some_and(|percent| percent > 100) {
                    return Err(Error::invalid("percent", "must be from 0 to 100"));
                }
                let what = format!("sent {} of 100 requests to {} instead", canary.percent, app.name);
                domain.canary = Some(canary);
                what
            }
        };
        let shown = domain.value.clone();
        self.save(actor, domain, what).await?;
        Ok(shown)
    }

    /// Lets the app end TLS, or the edge again.
    pub async fn set_passthrough(&self, actor: &Actor, host: &str, passthrough: Option<Passthrough>) -> Result<Domain> {
        actor.may_somewhere(Action::Configure)?;
        let mut domain = self.find(actor, Action::Configure, host)?;
        if passthrough.as_ref().is_some_and(|passthrough| passthrough.port == 0) {
            return Err(Error::invalid("port", "must be from 1 to 65535"));
        }
        let what = match passthrough {
            Some(_) => "left TLS to the app",
            None => "ended passing TLS on",
        };
        domain.passthrough = passthrough;
        let shown = domain.value.clone();
        self.save(actor, domain, what.into()).await?;
        Ok(shown)
    }

    /// Which rule answers a request, and why.
    pub async fn explain(&self, actor: &Actor, question: &Question) -> Result<Explanation> {
        actor.may_somewhere(Action::View)?;
        let told = routing::compute(&self.ground, None)?.explain(question);
        if let Some(host) = &told.host
            && let Some(domain) = self.ground.store.domains.find(host.as_str())?
        {
            owned(&self.ground, actor, Action::View, Some(domain), Kind::Domain, host.as_str())?;
        }
        Ok(told)
    }

    fn find(&self, actor: &Actor, action: Action, host: &str) -> Result<Stored<Domain>> {
        let host: HostPattern = host.parse()?;
        let found = self.ground.store.domains.find(host.as_str())?;
        owned(&self.ground, actor, action, found.clone(), Kind::Domain, host.as_str())?;
        found.ok_or_else(|| Error::not_found(Kind::Domain, host))
    }

    fn rule(&self, actor: &Actor, domain: &Domain, id: RuleId, wish: RuleWish, before: Option<&Rule>) -> Result<Rule> {
        if domain.rules.iter().any(|other| other.name == wish.name && other.id != id) {
            return Err(Error::Taken {
                kind: Kind::Rule,
                name: wish.name,
                by: None,
            });
        }
        let known: Vec<&Origin> = before.iter().flat_map(|before| before.action.origins()).collect();
        if wish.action.origins().any(|origin| !known.contains(&origin)) {
            actor.may(Action::Operate)?;
        }
        for app in wish.action.apps() {
            not_trashed(&find_app(&self.ground, actor, Action::Configure, app.as_str())?)?;
        }
        let known: Vec<_> = before.iter().flat_map(|before| before.action.services()).collect();
        for (app, place) in wish
            .action
            .services()
            .filter(|named| !known.contains(named) && !named.1.service.is_empty())
        {
            let app = find_app(&self.ground, actor, Action::Configure, app.unwrap_or(&domain.app).as_str())?;
            crate::stacks::must_have(&self.ground, &app, &place.service)?;
        }
        let own = before.and_then(|before| before.policy.clone()).unwrap_or_default();
        let rule = Rule {
            id,
            name: wish.name,
            priority: wish.priority,
            matches: wish.matches,
            action: wish.action,
            policy: wish.policy.map(|policy| self.finish(actor, policy, &own)).transpose()?,
            enabled: wish.enabled,
        };
        rule.check()?;
        Ok(rule)
    }

    /// Turns passwords into hashes, and checks all of it.
    fn finish(&self, actor: &Actor, wish: PolicyWish, before: &TrafficPolicy) -> Result<TrafficPolicy> {
        let PolicyWish { mut policy, passwords } = wish;
        if policy.forward_auth.is_some() && policy.forward_auth != before.forward_auth {
            actor.may(Action::Operate)?;
        }
        for user in policy.basic_auth.iter_mut().flat_map(|auth| &mut auth.users) {
            let kept = before
                .basic_auth
                .iter()
                .flat_map(|auth| &auth.users)
                .find(|kept| kept.name == user.name);
            let password = passwords.iter().find(|(name, _)| *name == user.name);
            match (password.and_then(|(_, password)| password.as_ref()), kept) {
                (Some(password), _) => {
                    let text = password.expose_str().unwrap_or_default();
                    user.hash = PasswordHash::of(text, self.ground.world.bytes())?;
                }
                (None, Some(kept)) if user.hash.0.is_empty() => user.hash = kept.hash.clone(),
                (None, None) if user.hash.0.is_empty() => {
                    return Err(Error::invalid("basic_auth", format!("{} needs a password or a hash", user.name)));
                }
                (None, _) => {}
            }
        }
        policy.check()?;
        Ok(policy)
    }

    /// Records the domain if the edge takes it.
    async fn save(&self, actor: &Actor, domain: Stored<Domain>, what: String) -> Result<()> {
        routing::try_domain(&self.ground, &domain).await?;
        let (app, host) = (domain.app.clone(), domain.host.clone());
        let saved = self.ground.store.domains.save(domain).await;
        // If it was not saved, or a reconciler came between, this brings the edge to what is recorded.
        let applied = routing::apply(&self.ground).await;
        self.ground.wake_reconcile();
        saved?;
        applied?;
        self.ground.events.emit(actor, Fact::DomainChanged { app, host, what }).await;
        Ok(())
    }
}

/// Rules of one domain.
const RULES: usize = 500;

fn ordered(rules: &[Rule]) -> Vec<Rule> {
    let order = in_order(rules, |rule| (rule.priority, &rule.matches, &rule.id));
    order.into_iter().cloned().collect()
}

fn place_of(domain: &Domain, called: &str) -> Result<usize> {
    let found = domain
        .rules
        .iter()
        .position(|rule| rule.id.as_str() == called || rule.name == called);
    found.ok_or_else(|| Error::not_found(Kind::Rule, called))
}

/// The names of the fields that differ.
fn changed_fields(before: &TrafficPolicy, after: &TrafficPolicy) -> Vec<String> {
    let fields = |policy: &TrafficPolicy| match serde_json::to_value(policy) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let before = fields(before);
    let differs = |(name, value): (String, serde_json::Value)| (before.get(&name) != Some(&value)).then_some(name);
    fields(after).into_iter().filter_map(differs).collect()
}

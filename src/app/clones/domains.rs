//! Domains of a clone: each app's new name, and what belongs to a domain, led to the new apps: its policy, rules and passthrough.

use super::{
    CloneAppWish,
    maker::{Maker, Renamed},
};
use crate::{apps::shared_label, domain_claims::must_be_free};
use std::collections::HashMap;
use types::{Action, App, AppId, Domain, Error, Host, HostPattern, Result, Rule, RuleAction, RuleId};

impl Maker<'_> {
    /// A new name for the app's domain, and one for each of its services that has one. Answers the main one.
    pub fn domains(&mut self, of: &App, wanted: &CloneAppWish, copy: &App) -> Result<Option<Host>> {
        let mut old: Vec<Domain> = self.ground.store.domains.list()?.into_iter().map(|stored| stored.value).collect();
        old.retain(|domain| domain.app == of.id);
        old.sort_by_key(|domain| (!domain.primary, domain.host.is_wildcard()));
        let mut main = None;
        let mut places = Vec::new();
        if old.is_empty() && wanted.domain.is_some() {
            main = self.domain(of, copy, None, wanted.domain.clone())?;
        }
        for domain in &old {
            if places.contains(&domain.service) {
                self.second(domain);
                continue;
            }
            places.push(domain.service.clone());
            let chosen = wanted.domain.clone().filter(|_| domain.service.is_none());
            let made = self.domain(of, copy, Some(domain), chosen)?;
            if domain.service.is_none() {
                main = made;
            }
        }
        if !old.is_empty() {
            let hosts: Vec<String> = old.iter().map(|domain| domain.host.to_string()).collect();
            self.leave(format!("{} of `{}`: domains lead to one app only", hosts.join(", "), of.name));
        }
        Ok(main)
    }

    /// A further name of what has a new one already.
    fn second(&mut self, domain: &Domain) {
        if !domain.rules.is_empty() {
            let names: Vec<&str> = domain.rules.iter().map(|rule| rule.name.as_str()).collect();
            self.leave(format!(
                "the rules of {}, which has no name in the clone: {}",
                domain.host,
                names.join(", ")
            ));
        }
    }

    fn domain(&mut self, of: &App, copy: &App, like: Option<&Domain>, chosen: Option<Host>) -> Result<Option<Host>> {
        let ground = self.ground;
        let place = like.and_then(|domain| domain.service.clone());
        let host = match (chosen, ground.apps_domain()?) {
            (Some(host), _) => host,
            (None, None) => {
                self.leave(format!(
                    "`{}` gets no domain: there is no domain for apps; set one in the settings",
                    of.name
                ));
                return Ok(None);
            }
            (None, Some(domain)) => {
                let service = place.as_ref().map(|place| format!("-{}", place.service)).unwrap_or_default();
                let words = format!("{}{service}-{}", of.name, self.environment.name);
                let name = format!("{}.{domain}", shared_label(ground, &of.organization, &words)?);
                match name.parse() {
                    Ok(host) => host,
                    Err(_) => {
                        let why = format!("`{name}` is too long to be the domain of `{}`; choose one", of.name);
                        self.draft.problems.push(Error::invalid("domain", why));
                        return Ok(None);
                    }
                }
            }
        };
        let pattern: HostPattern = (&host).into();
        if self.draft.domains.iter().any(|domain| domain.host == pattern) {
            return Err(Error::invalid("domain", format!("`{host}` is wanted twice")));
        }
        self.draft.problems.extend(must_be_free(ground, self.actor, &pattern).err());
        self.draft.domains.push(Domain {
            host: pattern.clone(),
            organization: of.organization.clone(),
            app: copy.id.clone(),
            primary: place.is_none(),
            force_https: like.is_none_or(|domain| domain.force_https),
            created_at: ground.world.now(),
            policy: like.map(|domain| domain.policy.clone()).unwrap_or_default(),
            rules: Vec::new(),
            canary: None,
            passthrough: like.and_then(|domain| domain.passthrough.clone()),
            service: place,
        });
        if let Some(like) = like {
            self.renamed.push(Renamed {
                from: like.clone(),
                to: pattern,
            });
        }
        Ok(Some(host))
    }

    /// Once all apps and their new names are known: what leads from a domain to them.
    pub fn lead(&mut self) {
        let renamed = std::mem::take(&mut self.renamed);
        let names: HashMap<&str, &HostPattern> = renamed.iter().map(|one| (one.from.host.as_str(), &one.to)).collect();
        for one in &renamed {
            let (rules, left) = self.rules(&one.from, &names);
            for words in left {
                self.leave(words);
            }
            self.of_the_moment(one);
            let Some(made) = self.draft.domains.iter_mut().find(|domain| domain.host == one.to) else {
                continue;
            };
            made.rules = rules;
            made.policy.maintenance = None;
            let own_name = made.policy.upstream_host.as_ref().and_then(|host| names.get(host.as_str()));
            if let Some(host) = own_name.and_then(|name| name.exact()) {
                made.policy.upstream_host = Some(host);
            }
        }
    }

    fn of_the_moment(&mut self, one: &Renamed) {
        let (from, to) = (&one.from.host, &one.to);
        if one.from.canary.is_some() {
            self.leave(format!(
                "the canary of {from}: it tries one app on the visitors of the moment, and the clone has none yet"
            ));
        }
        if one.from.policy.maintenance.is_some() {
            self.leave(format!("the maintenance page of {from}: {to} is not being worked on"));
        }
        if one.from.passthrough.is_some() {
            let words = format!("TLS of {to} is left to the app, as for {from}: it needs a certificate of its own for that name");
            self.draft.notes.push(words);
        }
    }

    /// The rules of a domain, leading to the new apps and names; and in words those that cannot.
    fn rules(&self, domain: &Domain, names: &HashMap<&str, &HostPattern>) -> (Vec<Rule>, Vec<String>) {
        let twins: HashMap<&AppId, &AppId> = self.draft.apps.iter().map(|(of, copy)| (&of.id, &copy.id)).collect();
        let may_reach_servers = self.actor.may(Action::Operate).is_ok();
        let (mut rules, mut left) = (Vec::new(), Vec::new());
        // Among rules that are alike in all else the older is asked first, so the order of their ids stays.
        let mut old: Vec<&Rule> = domain.rules.iter().collect();
        old.sort_by(|one, other| one.id.cmp(&other.id));
        for rule in old {
            match led(&rule.action, &twins, names, domain, may_reach_servers) {
                Ok(action) => rules.push(Rule { action, ..rule.clone() }),
                Err(why) => left.push(format!("the rule {} of {}: {why}", rule.name, domain.host)),
            }
        }
        let mut ids: Vec<RuleId> = rules.iter().map(|_| self.ground.world.id()).collect();
        ids.sort();
        for (rule, id) in rules.iter_mut().zip(ids) {
            rule.id = id;
        }
        (rules, left)
    }
}

/// The same action in the clone, or why there is none.
fn led(
    action: &RuleAction,
    twins: &HashMap<&AppId, &AppId>,
    names: &HashMap<&str, &HostPattern>,
    domain: &Domain,
    may_reach_servers: bool,
) -> Result<RuleAction, String> {
    if !may_reach_servers && action.origins().next().is_some() {
        return Err("it leads to a server outside of the panel, which only an administrator may say".into());
    }
    let mut action = action.clone();
    let outside = || "it leads to an app that is not in the clone".to_owned();
    let twin = |app: &mut Option<AppId>| -> Result<(), String> {
        if let Some(id) = app {
            *id = (*twins.get(id).ok_or_else(outside)?).clone();
        }
        Ok(())
    };
    match &mut action {
        RuleAction::App { app, .. } => twin(app)?,
        RuleAction::Split { parts, .. } => parts.iter_mut().try_for_each(|part| twin(&mut part.app))?,
        RuleAction::Redirect(redirect) => redirect.to = renamed(&redirect.to, names, domain)?,
        RuleAction::Origin { .. } | RuleAction::Respond { .. } => {}
    }
    Ok(action)
}

/// Where a redirect leads in the clone: to the new name where it led to one that has one.
fn renamed(to: &str, names: &HashMap<&str, &HostPattern>, domain: &Domain) -> Result<String, String> {
    let Some((scheme, rest)) = to.split_once("://") else {
        return Ok(to.to_owned());
    };
    let end = rest.find([':', '/', '?', '#', '{']).unwrap_or(rest.len());
    let (host, behind) = rest.split_at(end);
    let lower = host.to_ascii_lowercase();
    match names.get(lower.as_str()) {
        Some(name) => Ok(format!("{scheme}://{name}{behind}")),
        // `{host}` and `{label}` are of each request, and other hosts are nobody's copy.
        None if host.is_empty() || !is_beside(&lower, domain) => Ok(to.to_owned()),
        None => Err(format!("it leads to {host}, which has no name in the clone")),
    }
}

/// `www.shop.test` beside `shop.test`: names of one site.
fn is_beside(host: &str, domain: &Domain) -> bool {
    let own = domain.host.as_str().trim_start_matches("*.").trim_start_matches("www.");
    host == own || host.strip_suffix(own).is_some_and(|front| front.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{PathChange, Redirect, SplitPart, TrafficPolicy};

    fn id(number: u8) -> AppId {
        format!("app_0000000000000000000000000{number}").parse().expect("an id")
    }

    fn domain(host: &str) -> Domain {
        Domain {
            host: host.parse().expect("a host"),
            organization: "org_00000000000000000000000001".parse().expect("an id"),
            app: id(1),
            primary: true,
            force_https: true,
            created_at: types::Time(0),
            policy: TrafficPolicy::default(),
            rules: Vec::new(),
            canary: None,
            passthrough: None,
            service: None,
        }
    }

    #[test]
    fn redirects_lead_to_the_new_names() {
        let new: HostPattern = "shop-staging.test".parse().expect("a host");
        let names = HashMap::from([("shop.test", &new)]);
        for (to, found) in [
            ("/new", Ok("/new")),
            ("https://shop.test", Ok("https://shop-staging.test")),
            ("https://SHOP.test:8443/a?b", Ok("https://shop-staging.test:8443/a?b")),
            ("http://shop.test{uri}", Ok("http://shop-staging.test{uri}")),
            ("https://{host}/x", Ok("https://{host}/x")),
            ("https://elsewhere.test/x", Ok("https://elsewhere.test/x")),
            ("https://notshop.test/x", Ok("https://notshop.test/x")),
            // It would send those who try staging to production.
            (
                "https://www.shop.test/x",
                Err("it leads to www.shop.test, which has no name in the clone"),
            ),
        ] {
            let expected = found.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(renamed(to, &names, &domain("shop.test")), expected, "{to}");
        }
    }

    #[test]
    fn rules_lead_to_the_new_apps() {
        let (one, two, three) = (id(1), id(2), id(3));
        let twins = HashMap::from([(&one, &two)]);
        let names = HashMap::new();
        let own = domain("shop.test");
        let to = |app: Option<&AppId>| RuleAction::App {
            app: app.cloned(),
            service: None,
            path: PathChange::default(),
        };
        let lead = |action: &RuleAction, may: bool| led(action, &twins, &names, &own, may);
        assert_eq!(lead(&to(None), false), Ok(to(None)));
        assert_eq!(lead(&to(Some(&one)), false), Ok(to(Some(&two))));
        assert!(lead(&to(Some(&three)), true).is_err_and(|why| why.contains("not in the clone")));
        let part = |app: Option<&AppId>| SplitPart {
            weight: 1,
            app: app.cloned(),
            service: None,
            origin: None,
        };
        let split = |apps: [Option<&AppId>; 2]| RuleAction::Split {
            parts: apps.map(part).to_vec(),
            path: PathChange::default(),
        };
        assert_eq!(lead(&split([None, Some(&one)]), false), Ok(split([None, Some(&two)])));
        assert!(lead(&split([Some(&one), Some(&three)]), false).is_err());
        let outer = RuleAction::Origin {
            origin: types::Origin::Socket { path: "/run/x".into() },
            path: PathChange::default(),
        };
        assert_eq!(lead(&outer, true), Ok(outer.clone()));
        assert!(lead(&outer, false).is_err_and(|why| why.contains("administrator")));
        let away = RuleAction::Redirect(Redirect {
            pattern: None,
            to: "/a".into(),
            status: 302,
        });
        assert_eq!(lead(&away, false), Ok(away.clone()));
    }
}

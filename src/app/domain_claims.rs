//! Whether a name may lead to an app: nobody else has it, and it takes nothing from other organizations or from the panel.
//!
//! An exact name goes before a wildcard, and a browser shows cookies to all ports of a host and often to all names below it.
//! So what an organization has covers more than the name itself; [`meet`] says what.

use crate::{apps::shared_label, ground::Ground, organizations};
use acme::budget::is_public_suffix;
use tokio::sync::MutexGuard;
use types::{Action, Actor, AppName, Environment, Error, Host, HostPattern, Kind, OrganizationId, Result, Settings, Site};

/// Held from the look at what is free until what takes it is on disk: of two that come at once, the second sees the first. Who
/// takes the gate of the quotas too takes this one first.
pub(crate) struct Claiming<'a> {
    pub ground: &'a Ground,
    _held: MutexGuard<'a, ()>,
}

pub(crate) async fn gate(ground: &Ground) -> Claiming<'_> {
    let _held = ground.domain_gate.lock().await;
    Claiming { ground, _held }
}

/// Fails with `Taken`, saying by whom, when the host leads somewhere already, or takes what is another organization's or the
/// panel's. Apps of other organizations are not named. Fails with `Invalid` for a wildcard over a suffix of many, `*.co.uk`.
///
/// Without [`gate`] it is a forecast.
pub(crate) fn must_be_free(ground: &Ground, actor: &Actor, host: &HostPattern) -> Result<()> {
    let store = &ground.store;
    let taken = |by: Option<String>| Error::Taken {
        kind: Kind::Domain,
        name: host.to_string(),
        by,
    };
    let of_the_panel = || Err(taken(Some("the panel itself".into())));
    let settings = ground.settings()?;
    if settings
        .panel_domain
        .as_ref()
        .is_some_and(|panel| host.exact().as_ref() == Some(panel))
    {
        return of_the_panel();
    }
    if is_the_machine(ground, &settings, host) && !actor.is_permitted(Action::Operate, &Site::organization()) {
        return of_the_panel();
    }
    let shared = ground.apps_domain()?;
    let runs_the_panel = organizations::runs_the_panel(store, &actor.organization)?;
    if !runs_the_panel && is_the_panels(host, settings.panel_domain.as_ref(), shared.as_ref()) {
        return of_the_panel();
    }
    if !runs_the_panel && host.is_wildcard() && is_public_suffix(&host.base()) {
        let why = format!("`{host}` stands for domains of many; the star needs a domain of your own behind it, such as *.example.com");
        return Err(Error::invalid("host", why));
    }
    if let Some(other) = store.domains.find(host.as_str())? {
        let owner = store.apps.find(other.app.as_str())?;
        let owner = owner.filter(|owner| owner.organization == actor.organization);
        return Err(taken(owner.map(|owner| format!("the app `{}`", owner.name))));
    }
    match meets_others(ground, &actor.organization, host)? {
        true => Err(taken(None)),
        false => Ok(()),
    }
}

/// Whether an app of the organization may have the host back that it had once, whoever asks: by now it may be the panel's.
pub(crate) fn may_return(ground: &Ground, organization: &OrganizationId, host: &HostPattern) -> Result<bool> {
    if !organizations::runs_the_panel(&ground.store, organization)? && is_the_machine(ground, &ground.settings()?, host) {
        return Ok(false);
    }
    match must_be_free(ground, &Actor::system(organization.clone()), host) {
        Ok(()) => Ok(true),
        Err(Error::Taken { .. } | Error::Invalid { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether it takes what is another organization's, or another one's name takes it.
fn meets_others(ground: &Ground, organization: &OrganizationId, host: &HostPattern) -> Result<bool> {
    let shared = ground.apps_domain()?;
    let all = ground.store.domains.list()?;
    let mut theirs = all.iter().filter(|domain| domain.organization != *organization);
    Ok(theirs.any(|domain| meet(host, &domain.host, shared.as_ref())))
}

/// `NAME.<apps' domain>`, or with the environment where that is taken; `None` when there is no such domain, or no such name
/// to be had.
pub(crate) fn default_host(ground: &Ground, actor: &Actor, name: &AppName, environment: &Environment) -> Result<Option<Host>> {
    let Some(domain) = ground.apps_domain()? else { return Ok(None) };
    for words in [name.to_string(), format!("{name}-{}", environment.name)] {
        let label = shared_label(ground, &actor.organization, &words)?;
        let Ok(host) = format!("{label}.{domain}").parse::<Host>() else {
            continue;
        };
        match must_be_free(ground, actor, &(&host).into()) {
            Ok(()) => return Ok(Some(host)),
            Err(Error::Taken { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// People open the panel by these with its port, and their browsers show its cookies to every port.
fn is_the_machine(ground: &Ground, settings: &Settings, host: &HostPattern) -> bool {
    match host.address().map(|address| address.to_canonical()) {
        Some(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || ground.node.addresses().contains(&address)
                || settings.certificates.public_addresses.contains(&address)
        }
        None => host.as_str() == "localhost" || host.as_str().eq_ignore_ascii_case(&ground.node.facts().hostname),
    }
}

/// Whether a name is for the organization that runs the panel: below the panel's own domain, or all of the apps' domain
/// `shared`. Below the apps' domain there are names for everybody, also where that is the panel's or below it.
fn is_the_panels(host: &HostPattern, panel: Option<&Host>, shared: Option<&Host>) -> bool {
    let base = host.base();
    if shared.is_some_and(|shared| base == *shared) {
        return true;
    }
    let Some(panel) = panel else { return false };
    let is_shared = |shared: &Host| is_below(&base, shared) && (shared == panel || is_below(shared, panel));
    (base == *panel || is_below(&base, panel)) && !shared.is_some_and(is_shared)
}

fn is_below(host: &Host, domain: &Host) -> bool {
    host.as_str()
        .strip_suffix(domain.as_str())
        .is_some_and(|front| front.ends_with('.'))
}

/// Whether one of two names, of different organizations, takes what is the other's: a wildcard and a name that it stands for
/// or beside which it stands (`*.example.com` and `example.com`), also as the base of another wildcard. A wildcard over the
/// apps' domain `shared` keeps nobody from a name there.
fn meet(one: &HostPattern, other: &HostPattern, shared: Option<&Host>) -> bool {
    let takes = |wildcard: &HostPattern, name: &HostPattern| {
        let (over, name) = (wildcard.base(), name.base());
        wildcard.is_wildcard() && shared != Some(&over) && (over == name || wildcard.fits(name.as_str()))
    };
    takes(one, other) || takes(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Apps, Domains, NewApp, testing::Bench};
    use types::Role;

    /// Makes an app; answers its names.
    async fn made(bench: &Bench, actor: &Actor, name: &str, domains: Option<&str>) -> Vec<String> {
        let wish = NewApp {
            domains: domains.map(|host| vec![host.parse().expect("a host")]),
            deploy: false,
            ..crate::tests::wish(name)
        };
        let view = Apps::new(bench.ground.clone()).create(actor, wish).await.expect("made");
        view.domains.iter().map(|domain| domain.host.to_string()).collect()
    }

    /// Adds a name to an app; answers why not.
    async fn refusal(bench: &Bench, actor: &Actor, app: &str, name: &str) -> Option<String> {
        let added = Domains::new(bench.ground.clone()).add(actor, app, host(name), true, None).await;
        added.err().map(|error| error.to_string())
    }

    async fn settings(bench: &Bench, change: impl Fn(&mut Settings)) {
        let store = &bench.ground.store;
        let mut settings = bench.ground.settings().expect("settings");
        change(&mut settings);
        match store.settings.list().expect("lists").into_iter().next() {
            Some(mut stored) => {
                stored.value = settings;
                store.settings.save(stored).await.expect("saved");
            }
            None => drop(store.settings.insert(settings).await.expect("saved")),
        }
    }

    #[tokio::test]
    async fn organizations_keep_what_is_below_and_beside_their_names() {
        let bench = Bench::new().await;
        let (owner, acme) = (bench.owner.clone(), bench.stranger("acme").await);
        made(&bench, &owner, "shop", Some("shop.test")).await;
        made(&bench, &acme, "theirs", Some("theirs.test")).await;
        assert_eq!(refusal(&bench, &owner, "shop", "*.shop.test").await, None);
        for name in ["shop.test", "login.shop.test", "*.login.shop.test", "*.shop.test"] {
            let taken = Some(format!("the domain `{name}` is taken"));
            assert_eq!(refusal(&bench, &acme, "theirs", name).await, taken);
        }
        let taken = refusal(&bench, &owner, "shop", "*.theirs.test").await.expect("taken");
        assert!(taken.ends_with("is taken"), "{taken}");
        let suffix = refusal(&bench, &acme, "theirs", "*.co.uk").await.expect("of many");
        assert!(suffix.contains("a domain of your own"), "{suffix}");
        // What is one's own may be divided as one likes.
        assert_eq!(refusal(&bench, &owner, "shop", "login.shop.test").await, None);
        assert_eq!(refusal(&bench, &acme, "theirs", "*.theirs.test").await, None);
        assert_eq!(refusal(&bench, &acme, "theirs", "a.theirs.test").await, None);

        settings(&bench, |settings| {
            settings.panel_domain = Some("panel.test".parse().expect("a host"))
        })
        .await;
        for name in ["panel.test", "x.panel.test", "*.panel.test"] {
            let taken = Some(format!("the domain `{name}` is taken by the panel itself"));
            assert_eq!(refusal(&bench, &acme, "theirs", name).await, taken);
        }
        assert_eq!(refusal(&bench, &owner, "shop", "x.panel.test").await, None);
    }

    #[tokio::test]
    async fn of_names_that_meet_and_come_at_once_one_is_taken() {
        let bench = Bench::new().await;
        let (owner, acme) = (bench.owner.clone(), bench.stranger("acme").await);
        made(&bench, &owner, "shop", Some("shop.test")).await;
        made(&bench, &acme, "theirs", Some("theirs.test")).await;
        for round in 0..10 {
            let (all, one) = (format!("*.r{round}.test"), format!("a.r{round}.test"));
            let (wildcard, exact) = tokio::join!(refusal(&bench, &owner, "shop", &all), refusal(&bench, &acme, "theirs", &one));
            assert!(wildcard.is_some() != exact.is_some(), "{wildcard:?} {exact:?}");
        }
        // An app that is made with the name, too.
        let wish = NewApp {
            domains: Some(vec!["b.last.test".parse().expect("a host")]),
            deploy: false,
            ..crate::tests::wish("second")
        };
        let apps = Apps::new(bench.ground.clone());
        let (wildcard, exact) = tokio::join!(refusal(&bench, &owner, "shop", "*.last.test"), apps.create(&acme, wish));
        assert!(wildcard.is_some() != exact.is_err(), "{wildcard:?} {exact:?}");
    }

    #[tokio::test]
    async fn the_machines_own_names_are_for_those_who_run_the_panel() {
        let bench = Bench::new().await;
        made(&bench, &bench.owner, "shop", Some("shop.test")).await;
        settings(&bench, |settings| {
            settings.certificates.public_addresses = vec!["203.0.113.5".parse().expect("an address")];
        })
        .await;
        let developer = Actor {
            role: Role::Developer,
            ..bench.owner.clone()
        };
        // The fake node is called `test`.
        for name in [
            "127.0.0.1",
            "127.1.2.3",
            "::1",
            "::ffff:203.0.113.5",
            "203.0.113.5",
            "localhost",
            "test",
        ] {
            let refused = refusal(&bench, &developer, "shop", name).await.expect("refused");
            assert!(refused.ends_with("by the panel itself"), "{refused}");
        }
        for name in ["203.0.113.6", "hello.localhost"] {
            assert_eq!(refusal(&bench, &developer, "shop", name).await, None, "{name}");
        }
        assert_eq!(refusal(&bench, &bench.owner, "shop", "203.0.113.5").await, None);
    }

    #[tokio::test]
    async fn automatic_names_tell_nothing_of_other_organizations() {
        let bench = Bench::new().await;
        let (owner, acme, lab) = (bench.owner.clone(), bench.stranger("acme").await, bench.stranger("lab").await);
        // Each is the same whether others have a `blog` or not.
        assert_eq!(made(&bench, &acme, "blog", None).await, ["blog-acme.localhost"]);
        assert_eq!(made(&bench, &owner, "blog", None).await, ["blog.localhost"]);
        assert_eq!(made(&bench, &lab, "blog", None).await, ["blog-lab.localhost"]);
        // A name of one's own that is taken already.
        made(&bench, &lab, "one", Some("wiki-lab.localhost")).await;
        assert_eq!(made(&bench, &lab, "wiki", None).await, ["wiki-production-lab.localhost"]);
        assert_eq!(made(&bench, &lab, &"x".repeat(63), None).await, Vec::<String>::new(), "none fits");

        settings(&bench, |settings| {
            settings.apps_domain = Some("apps.test".parse().expect("a host"));
            settings.panel_domain = Some("panel.apps.test".parse().expect("a host"));
        })
        .await;
        assert_eq!(refusal(&bench, &owner, "blog", "*.apps.test").await, None);
        assert_eq!(made(&bench, &acme, "docs", None).await, ["docs-acme.apps.test"]);
        assert_eq!(
            made(&bench, &owner, "panel", None).await,
            ["panel-production.apps.test"],
            "the panel has the other"
        );
        for name in ["*.apps.test", "apps.test", "x.panel.apps.test"] {
            let refused = refusal(&bench, &acme, "docs", name).await.expect("refused");
            assert!(refused.ends_with("by the panel itself"), "{refused}");
        }
    }

    fn host(text: &str) -> HostPattern {
        text.parse().expect("a name")
    }

    #[test]
    fn names_of_two_organizations_that_meet() {
        let shared: Host = "apps.test".parse().expect("a name");
        for (one, other, expected) in [
            ("*.shop.test", "login.shop.test", true),
            ("*.shop.test", "shop.test", true),
            ("*.shop.test", "*.login.shop.test", true),
            ("*.shop.test", "a.login.shop.test", false),
            ("*.shop.test", "*.a.login.shop.test", false),
            ("*.shop.test", "workshop.test", false),
            ("*.shop.test", "*.test.test", false),
            ("shop.test", "login.shop.test", false),
            ("shop.test", "shop.test.test", false),
            // What the panel gives to everybody.
            ("*.apps.test", "blog-acme.apps.test", false),
            ("*.apps.test", "apps.test", false),
            ("*.blog.apps.test", "blog.apps.test", true),
            ("*.blog.apps.test", "pr-1.blog.apps.test", true),
        ] {
            assert_eq!(meet(&host(one), &host(other), Some(&shared)), expected, "{one} {other}");
            assert_eq!(meet(&host(other), &host(one), Some(&shared)), expected, "{other} {one}");
        }
        assert!(meet(&host("*.apps.test"), &host("blog.apps.test"), None));
    }

    #[test]
    fn names_of_the_panel() {
        for (panel, shared, name, expected) in [
            ("panel.test", None, "x.panel.test", true),
            ("panel.test", None, "a.b.panel.test", true),
            ("panel.test", None, "*.panel.test", true),
            ("panel.test", None, "mypanel.test", false),
            ("panel.test", None, "other.test", false),
            // The setup makes the panel's parent the apps' domain.
            ("panel.apps.test", Some("apps.test"), "blog.apps.test", false),
            ("panel.apps.test", Some("apps.test"), "pr-1.blog.apps.test", false),
            ("panel.apps.test", Some("apps.test"), "x.panel.apps.test", true),
            ("panel.apps.test", Some("apps.test"), "*.apps.test", true),
            ("panel.apps.test", Some("apps.test"), "apps.test", true),
            ("panel.test", Some("apps.panel.test"), "blog.apps.panel.test", false),
            ("panel.test", Some("apps.panel.test"), "blog.panel.test", true),
            ("panel.test", Some("panel.test"), "blog.panel.test", false),
            ("panel.test", Some("panel.test"), "*.panel.test", true),
        ] {
            let panel: Host = panel.parse().expect("a name");
            let shared: Option<Host> = shared.map(|shared| shared.parse().expect("a name"));
            let found = is_the_panels(&host(name), Some(&panel), shared.as_ref());
            assert_eq!(found, expected, "{name} with {panel} and {shared:?}");
        }
    }
}

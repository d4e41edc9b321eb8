//! Networks of a file: who is on which, and with which names there.

use super::*;

fn look(text: &str) -> Result<Composed, Vec<Notice>> {
    read(&Ask {
        text,
        files: &NoFiles,
        variable: &|_| None,
        template: None,
        profiles: &[],
    })
}

fn composed(services: &str, networks: &str) -> Composed {
    let text = format!("services:\n{services}networks: {networks}\n");
    look(&text).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"))
}

/// A service as `name: {…}` with these keys.
fn one(name: &str, keys: &str) -> String {
    format!("  {name}: {{image: 'x:1', restart: always{keys}}}\n")
}

/// `back! (store, deep)`: of the network `back`, which is internal, with its names there.
fn places(composed: &Composed, service: &str) -> Vec<String> {
    let service = composed.stack.service(service).expect("there");
    let said = service.networks.iter().map(|network| {
        let sign = if network.internal { "!" } else { "" };
        match network.aliases.is_empty() {
            true => format!("{}{sign}", network.name),
            false => format!("{}{sign} ({})", network.name, network.aliases.join(", ")),
        }
    });
    said.collect()
}

#[test]
fn segments() {
    let services = [
        one("front", ", networks: [outer]"),
        one(
            "back",
            ", networks: {outer: {aliases: [api]}, inner: {aliases: [worker, api, worker]}}",
        ),
        one("db", ", networks: [inner], container_name: store"),
        one("plain", ""),
    ];
    let composed = composed(&services.concat(), "{outer: {}, inner: {internal: true}, unused: {internal: true}}");
    assert_eq!(places(&composed, "front"), ["outer"]);
    assert_eq!(places(&composed, "back"), ["inner! (api, worker)", "outer (api)"]);
    assert_eq!(places(&composed, "db"), ["inner!"]);
    assert_eq!(places(&composed, "plain"), ["default"], "who names none is on that");
    let aliases = |name: &str| composed.stack.service(name).expect("there").aliases.clone();
    assert_eq!(aliases("db"), ["store"], "a name of the container holds on all of its networks");
    assert!(aliases("back").is_empty(), "its names are each for one network");
    let said: Vec<&str> = composed.hints.iter().map(|hint| hint.what.as_str()).collect();
    assert!(
        said.iter().all(|hint| hint.contains("the panel names containers itself")),
        "nothing of it is taken differently: {said:?}"
    );
}

#[test]
fn where_all_share_a_network_nothing_is_kept_apart() {
    for (keys, networks) in [
        (", networks: [only]", "{only: {}}"),
        (", networks: [default]", "{}"),
        (", networks: {default: {aliases: [also]}}", "{default: {driver: bridge}}"),
        (", networks: {only: {aliases: [also]}}", "{only: {}, unused: {}}"),
        ("", "{unused: {}}"),
    ] {
        let composed = composed(&[one("a", keys), one("b", keys)].concat(), networks);
        for name in ["a", "b"] {
            assert!(places(&composed, name).is_empty(), "{keys}");
            let aliases = &composed.stack.service(name).expect("there").aliases;
            assert_eq!(aliases.len(), usize::from(keys.contains("also")), "{keys}");
        }
    }
    // Without a way out it is another network than the usual one.
    let inside = composed(&one("a", ""), "{default: {internal: true}}");
    assert_eq!(places(&inside, "a"), ["default!"]);
    // On the host's network a service is on no other, and parts nobody.
    let host = composed(&[one("a", ", network_mode: host"), one("b", ", networks: [n]")].concat(), "{n: {}}");
    assert!(places(&host, "a").is_empty() && places(&host, "b").is_empty());
    let host = composed(
        &[one("a", ", network_mode: host"), one("b", ", networks: [n]"), one("c", "")].concat(),
        "{n: {}}",
    );
    assert_eq!((places(&host, "a").len(), places(&host, "b")), (0, vec!["n".to_owned()]));
}

#[test]
fn an_external_network_is_the_apps_default_one() {
    let services = [one("web", ", networks: [proxy, default]"), one("db", "")].concat();
    let usual = composed(&services, "{proxy: {external: true}}");
    assert!(
        places(&usual, "web").is_empty() && places(&usual, "db").is_empty(),
        "nothing is kept apart"
    );
    assert!(usual.hints[0].what.contains("taken as the app's own"), "{:?}", usual.hints);
    // Who met there still does, and who did not does not.
    let services = [
        one("web", ", networks: [proxy]"),
        one("app", ", networks: [proxy, back]"),
        one("db", ", networks: [back]"),
    ];
    let apart = composed(&services.concat(), "{proxy: {external: true}, back: {internal: true}}");
    assert_eq!(places(&apart, "web"), ["default"]);
    assert_eq!(places(&apart, "app"), ["back!", "default"]);
    assert_eq!(places(&apart, "db"), ["back!"]);
}

#[test]
fn one_app_does_not_take_all_addresses() {
    let names: Vec<String> = (0..17).map(|n| format!("n{n}")).collect();
    let declared: Vec<String> = names.iter().map(|name| format!("{name}: {{}}")).collect();
    let file = |most: usize| {
        let services = one("a", &format!(", networks: [{}]", names[..most].join(", ")));
        look(&format!("services:\n{services}networks: {{{}}}\n", declared.join(", ")))
    };
    assert_eq!(file(16).expect("as many as there may be").stack.services[0].networks.len(), 16);
    let told = file(17).expect_err("one more");
    assert!(told[0].what.contains("on 17 networks; an app may have 16"), "{told:?}");
}

#[test]
fn who_links_to_what_it_cannot_find_is_told() {
    let services = |db: &str| [one("web", ", networks: [a], links: [db]"), one("db", db)].concat();
    let hints = |db: &str| composed(&services(db), "{a: {}, b: {}}").hints;
    assert_eq!(hints(", networks: [a, b]"), []);
    let told = hints(", networks: [b]");
    assert!(told[0].line == 2 && told[0].what.contains("share no network"), "{told:?}");
}

#[test]
fn refusals_have_their_line() {
    for (services, networks, line, words) in [
        (one("a", ", networks: [gone]"), "{n: {}}", 2, "`gone` is not among the `networks`"),
        (one("a", ", networks: {n: {}, gone: {}}"), "{n: {}}", 2, "`gone`"),
        (
            one("a", ", network_mode: host, networks: [n]"),
            "{n: {}}",
            2,
            "`network_mode: host` exclude each other",
        ),
        (one("a", ", network_mode: none"), "{}", 2, "`internal: true` has no way out"),
        (one("a", ""), "{n: {driver: macvlan}}", 3, "`macvlan` is not supported"),
        (one("a", ""), "{n: {internal: perhaps}}", 3, "internal: "),
        (one("a", ""), "{n: {unheard_of: 1}}", 3, "no key `unheard_of`"),
        (one("a", ", networks: ['a b']"), "{'a b': {}}", 3, "no name for a network"),
        (
            one("a", ", networks: {n: {ipv4_address: 10.0.0.2}}"),
            "{n: {}}",
            2,
            "addresses are given by the panel",
        ),
    ] {
        let text = format!("services:\n{services}networks: {networks}\n");
        let problems = look(&text).expect_err(&text);
        let found = problems.iter().any(|one| one.line == line && one.what.contains(words));
        assert!(found, "{text}{problems:?}");
    }
}

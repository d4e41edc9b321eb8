//! What becomes of the networks that a template of another panel speaks of.

use super::*;

/// The networks of a service: `back! (store)` for one that is internal, with a name there.
fn places(composed: &Composed, service: &str) -> String {
    let networks = &composed.stack.service(service).expect("there").networks;
    let said = networks.iter().map(|network| {
        let sign = if network.internal { "!" } else { "" };
        match network.aliases.is_empty() {
            true => format!("{}{sign}", network.name),
            false => format!("{}{sign} ({})", network.name, network.aliases.join(", ")),
        }
    });
    said.collect::<Vec<_>>().join(" ")
}

const BACK: &str = ", networks: [back]";
const BOTH: &str = ", networks: [front, back]";
const PROXY: &str = ", networks: [proxy, back]";

/// `web` and `db` are the networks of the two services, as the template has them; `of_web` and `of_db` as the app has them.
#[track_caller]
fn check(web: &str, db: &str, networks: &str, of_web: &str, of_db: &str) -> Imported {
    let text = format!(
        "services:\n  web: {{image: 'example/web:1.0.1', environment: [SERVICE_URL_WEB_80]{web}}}\n  db: {{image: 'example/db:1.0.1'{db}}}\nnetworks: {networks}\n"
    );
    let imported = one(&text, &More::new());
    let (_, composed) = read(&imported);
    assert_eq!(
        (places(&composed, "web").as_str(), places(&composed, "db").as_str()),
        (of_web, of_db),
        "{text}{}",
        imported.compose
    );
    imported
}

#[test]
fn networks_are_kept() {
    for (web, db, networks, of_web, of_db) in [
        ("", "", "{}", "", ""),
        (BACK, BACK, "{back: {driver: bridge}}", "", ""),
        (BACK, BACK, "{back: {internal: true}}", "back!", "back!"),
        ("", "", "{default: {internal: true}}", "default!", "default!"),
        (
            BOTH,
            ", networks: {back: {aliases: [store]}}",
            "{front: {}, back: {internal: 'true'}}",
            "back! front",
            "back! (store)",
        ),
        (
            BOTH,
            ", networks: [back], container_name: store",
            "{front: {}, back: {}}",
            "back front",
            "back (store)",
        ),
    ] {
        let imported = check(web, db, networks, of_web, of_db);
        assert!(!imported.notes.iter().any(|note| note.contains("network")), "{:?}", imported.notes);
    }
}

#[test]
fn a_network_that_is_not_the_apps_own_goes_with_what_nobody_needs() {
    for (web, db, networks, of_web, of_db, words) in [
        (
            PROXY,
            BACK,
            "{proxy: {external: true}, back: {}}",
            "",
            "",
            "the network `proxy` is not the app's own",
        ),
        (
            ", networks: [coolify]",
            "",
            "{coolify: {external: {name: coolify}}}",
            "",
            "",
            "`coolify` is not",
        ),
        (", networks: [dokploy-network]", "", "{}", "", "", "`dokploy-network` is not"),
        (
            ", networks: [captain-overlay-network]",
            BACK,
            "{back: {internal: true}}",
            "default",
            "back!",
            "`captain-overlay-network` is not",
        ),
    ] {
        notes(&check(web, db, networks, of_web, of_db), &[words]);
    }
}

#[test]
fn the_way_out_stays_and_so_does_who_is_met_there_only() {
    for (web, db, networks, of_web, of_db) in [
        (
            PROXY,
            BACK,
            "{proxy: {external: true}, back: {internal: true}}",
            "back! default",
            "back!",
        ),
        (
            ", networks: {proxy: {aliases: [site]}, back: {}}",
            ", networks: [proxy]",
            "{proxy: {external: true}, back: {}}",
            "back (site) default (site)",
            "default",
        ),
    ] {
        let imported = check(web, db, networks, of_web, of_db);
        notes(&imported, &["`web` is on the app's default network instead"]);
    }
}

#[test]
fn what_our_reader_does_not_take_of_networks_is_said() {
    for (web, networks, of_web, words) in [
        (
            ", networks: {back: {ipv4_address: 10.0.0.2, aliases: [api]}}",
            "{back: {}}",
            "back (api)",
            "`ipv4_address` of `web` on the network `back`",
        ),
        (BACK, "{back: {driver: macvlan}}", "back", "`driver` of the network `back`"),
        (
            BACK,
            "{back: {driver_opts: {mtu: 1400}}}",
            "back",
            "`driver_opts` of the network `back`",
        ),
    ] {
        notes(&check(web, "", networks, of_web, "default"), &[words]);
    }
}

#[test]
fn network_modes_that_are_left_out_are_said_with_what_that_means() {
    for (mode, words) in [
        ("none", "a network of its own with `internal: true` keeps it from both"),
        ("'service:web'", "what it sends does not go through `web`"),
        ("'container:tunnel'", "what it sends does not go through `tunnel`"),
        ("macvlan", "`network_mode: macvlan` of `job` is left out: the panel makes"),
    ] {
        let text = format!(
            "services:\n  web: {{image: 'example/web:1.0.1', environment: [SERVICE_URL_WEB_80]}}\n  job: {{image: 'example/job:1.0.1', network_mode: {mode}}}\n"
        );
        let imported = one(&text, &More::new());
        let (_, composed) = read(&imported);
        assert_eq!(places(&composed, "job"), "", "{}", imported.compose);
        notes(&imported, &[words]);
        let said = imported.notes.iter().filter(|note| note.contains("network_mode"));
        assert_eq!(said.count(), 1, "{:?}", imported.notes);
    }
    let usual = "services:\n  web: {image: 'example/web:1.0.1', network_mode: bridge, environment: [SERVICE_URL_WEB_80]}\n";
    let imported = one(usual, &More::new());
    assert!(
        !imported.notes.iter().any(|note| note.contains("network_mode")),
        "{:?}",
        imported.notes
    );
}

#[test]
fn networks_of_caprover_have_the_names_of_the_app() {
    let text = CAPROVER
        .replace(
            "    restart: always\n",
            "    restart: always\n    networks: {$$cap_appname-inner: {aliases: [store]}}\n",
        )
        .replace(
            "    ports: ['2525:25']\n",
            "    ports: ['2525:25']\n    networks: [$$cap_appname-inner, captain-overlay-network]\n",
        )
        .replace(
            "caproverOneClickApp:\n",
            "networks: {$$cap_appname-inner: {internal: true}}\ncaproverOneClickApp:\n",
        );
    let imported = one(&text, &More::new());
    let (_, composed) = read(&imported);
    assert_eq!(places(&composed, "db"), "shop-inner! (store)");
    assert_eq!(places(&composed, "shop"), "default shop-inner!");
    assert_eq!(places(&composed, "admin"), "default");
    notes(
        &imported,
        &[
            "`captain-overlay-network` is not the app's own",
            "`shop` is on the app's default network",
        ],
    );
}

//! One app as facts, in the order in which they are asked for: what it is, what it is made from, how it runs, what is live.

use super::{
    canary,
    show::{source_json, source_text},
};
use crate::{
    deployments,
    output::{Cell, Facts, Output, bytes, tone_of, when},
};
use client::types::{App, HealthKind, Limits, Service};
use serde_json::Value;
use types::{Clock, SystemClock, Time};

/// `services`: those of a Compose app.
pub(super) fn describe(app: &App, services: Option<&[Service]>, out: &Output) -> String {
    let now = SystemClock.now();
    let mut facts = Facts::new();
    facts.add("Name", app.name.clone());
    facts.add("Id", app.id.clone());
    facts.add("State", Cell::state(app.state.to_string()));
    facts.maybe("Why", app.state_detail.clone());
    facts.maybe("Address", app.url.clone());
    facts.add("In", format!("{}, {}", app.project.name, app.environment.name));
    facts.maybe("Stops first", app.stops_first.clone());
    made_from(&mut facts, app);
    facts.maybe("Port", app.port.map(|port| port.to_string()));
    facts.maybe("Command", app.command.as_ref().map(|command| format!("{command:?}")));
    limits(&mut facts, app, services);
    hours_and_sleep(&mut facts, app, now);
    if app.newer_image {
        facts.add("Newer image", format!("yes; see serverkit image-watch show {}", app.name));
    }
    if let Some(freeze) = &app.frozen {
        facts.add("Frozen", format!("until {}: {}", freeze.until, freeze.name));
    }
    runs(&mut facts, app);
    releases(&mut facts, app, now);
    facts.add("Created", when(&app.created_at, now));
    facts.maybe("In the trash", app.trashed_at.as_ref().map(|at| when(at, now)));
    facts.print(out)
}

fn made_from(facts: &mut Facts, app: &App) {
    let source = source_json(app);
    facts.add("Source", source_text(app));
    for (name, key) in [
        ("Folder", "folder"),
        ("Dockerfile", "dockerfile"),
        ("Stage", "target"),
        ("Deploy key", "deploy_key_public"),
    ] {
        let text = source[key].as_str().filter(|text| !matches!(*text, "." | "Dockerfile"));
        facts.maybe(name, text);
    }
    let tree = &source["services"];
    if !tree.is_null() {
        facts.add(
            "Services",
            tree["compose_file"].as_str().unwrap_or("of its Compose file").to_owned(),
        );
        for wanted in tree["host_wanted"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            facts.add(
                "Wants of the host",
                format!("{wanted}; allow it: serverkit app update {} --allow-host \"{wanted}\"", app.name),
            );
        }
    }
    for copy in source["template"]["copies"].as_array().into_iter().flatten() {
        let size = bytes(copy["bytes"].as_u64().unwrap_or(0));
        let name = copy["name"].as_str().unwrap_or_default();
        facts.add("Copy of its data", format!("{name}, {size}: from before the last update"));
    }
}

fn limits(facts: &mut Facts, app: &App, services: Option<&[Service]>) {
    // Each service has its own; the app's are for those whose file says nothing else.
    if services.is_none() {
        facts.add("Limits", limits_text(&app.limits));
    }
    for service in services.unwrap_or_default() {
        let times = if service.replicas == 1 {
            String::new()
        } else {
            format!("{} times ", service.replicas)
        };
        facts.add("Limits", format!("{}: {times}{}", service.name, limits_text(&service.limits)));
        if !service.networks.is_empty() {
            facts.add("Networks", format!("{}: {}", service.name, service.networks.join(", ")));
        }
        for (what, lines) in [("After its start", &service.post_start), ("Before it stops", &service.pre_stop)] {
            for line in lines {
                facts.add(what, format!("{}: {line}", service.name));
            }
        }
    }
}

/// `512 MiB memory, 1 core, 512 processes`
fn limits_text(limits: &Limits) -> String {
    format!(
        "{} memory, {} {}, {} processes",
        bytes(limits.memory_bytes),
        f64::from(limits.cpu_millis) / 1000.0,
        if limits.cpu_millis == 1000 { "core" } else { "cores" },
        limits.pids
    )
}

fn hours_and_sleep(facts: &mut Facts, app: &App, now: Time) {
    if let Some(hours) = &app.hours {
        facts.add(
            "Hours",
            format!("started at `{}`, stopped at `{}` ({})", hours.start, hours.stop, hours.zone),
        );
    }
    if let Some(asleep) = &app.asleep {
        let since = when(&asleep.since, now);
        let how = match (&asleep.waking_since, &asleep.problem) {
            (Some(_), _) => "being woken".to_owned(),
            (None, Some(problem)) => format!("it could not be woken: {problem}"),
            (None, None) => "the next request wakes it".to_owned(),
        };
        facts.add("Asleep", format!("since {since}; {how}"));
    }
    if let Some(minutes) = app.sleep_after_minutes {
        let after = format!("after {minutes} min without a request");
        facts.add(
            "Sleeps",
            match &app.kept_awake {
                Some(why) => format!("{after}; but {why}"),
                None => after,
            },
        );
    }
}

fn runs(facts: &mut Facts, app: &App) {
    if app.replicas > 1 {
        facts.add("Containers", format!("{} of {} run", app.running, app.replicas));
    }
    let health = match &app.health.path {
        Some(path) if matches!(app.health.kind, HealthKind::Http | HealthKind::Web) => format!("{} {path}", app.health.kind),
        _ => app.health.kind.to_string(),
    };
    facts.add("Health check", health);
    facts.maybe("Canary", app.canary.as_ref().map(canary::words));
    for mount in &app.mounts {
        let mode = if mount.read_only { " (read only)" } else { "" };
        facts.add("Volume", format!("{} at {}{mode}", mount.volume.name, mount.path));
    }
    for domain in &app.domains {
        facts.add("Domain", domain.clone());
    }
}

fn releases(facts: &mut Facts, app: &App, now: Time) {
    if let Some(release) = &app.release {
        let commit = release
            .commit
            .as_ref()
            .map(deployments::commit_text)
            .unwrap_or_else(|| release.image_name.clone());
        facts.add(
            "Live",
            format!("release #{}, {commit}, {}", release.number, when(&release.created_at, now)),
        );
        facts.maybe("Digest", release.digest.clone());
    }
    if let Some(deployment) = &app.deployment {
        let phase = deployment.phase.to_string();
        facts.add("Deployment", Cell::tone(format!("#{} {phase}", deployment.number), tone_of(&phase)));
        facts.maybe("Error", deployment.error.clone());
    }
    if app.pending_changes {
        facts.add(
            "Pending",
            format!("changes that are not live; bring them live: serverkit deploy {}", app.name),
        );
    }
}

//! Releases: what was made, what is live, and how two differ.

use crate::{apps::find_app, ground::Ground};
use std::{collections::BTreeMap, sync::Arc};
use types::{Action, Actor, App, AppId, Error, Kind, Phase, Release, ReleaseId, ReleaseVariable, Result, Secret};

#[derive(Debug, Clone)]
pub struct ReleaseView {
    pub release: Release,
    pub live: bool,
    pub mounts: Vec<(types::Mount, types::Volume)>,
}

/// One difference between two releases. A secret shows as `changed`, or as `set` where it is new or gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `image`, `commit`, `port`, `variable KEY`, `mount PATH`, `domain`, `memory`, …
    pub what: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

#[derive(Clone)]
pub struct Releases {
    ground: Arc<Ground>,
}

impl Releases {
    pub(crate) fn new(ground: Arc<Ground>) -> Releases {
        Releases { ground }
    }

    /// Newest first.
    pub async fn list(&self, actor: &Actor, app: &str) -> Result<Vec<ReleaseView>> {
        actor.may(Action::View)?;
        let app = find_app(&self.ground, actor, app)?;
        let releases = releases_of(&self.ground, &app.id)?;
        releases
            .into_iter()
            .rev()
            .map(|release| {
                let mut mounts = Vec::new();
                for mount in &release.mounts {
                    if let Some(volume) = self.ground.store.volumes.find(mount.volume.as_str())? {
                        mounts.push((mount.clone(), volume.value));
                    }
                }
                Ok(ReleaseView {
                    live: app.release.as_ref() == Some(&release.id),
                    mounts,
                    release,
                })
            })
            .collect()
    }

    /// What changed from one to the other; each is the id of a release or deployment, or a number.
    pub async fn diff(&self, actor: &Actor, app: &str, from: &str, to: &str) -> Result<Vec<Difference>> {
        actor.may(Action::View)?;
        let app = find_app(&self.ground, actor, app)?;
        let releases = releases_of(&self.ground, &app.id)?;
        let find = |wanted: &str| {
            let number = wanted.trim_start_matches('#').parse::<u64>().ok();
            releases
                .iter()
                .find(|release| release.id.as_str() == wanted || release.deployment.as_str() == wanted || Some(release.number) == number)
                .ok_or_else(|| Error::not_found(Kind::Release, wanted))
        };
        let (from, to) = (find(from)?, find(to)?);
        let mut differences = differences(from, to);
        if let (Some(from), Some(to)) = (&from.stack, &to.stack) {
            let found = crate::stacks::differences(&self.ground, from, to)?;
            differences.extend(found);
        }
        for (key, a, b) in paired(&from.variables, &to.variables, |variable| variable.key.to_string()) {
            let (before, after) = (self.value(a)?, self.value(b)?);
            if before != after {
                let secret = [a, b].into_iter().flatten().any(|variable| variable.secret);
                let hidden = if before.is_some() && after.is_some() { "changed" } else { "set" };
                let shown = |value: Secret| match secret {
                    true => hidden.to_owned(),
                    false => String::from_utf8_lossy(value.expose()).into_owned(),
                };
                differences.push(Difference {
                    what: format!("variable {key}"),
                    from: before.map(shown),
                    to: after.map(shown),
                });
            }
        }
        Ok(differences)
    }

    fn value(&self, variable: Option<&ReleaseVariable>) -> Result<Option<Secret>> {
        variable.map(|variable| self.ground.store.unseal(&variable.value)).transpose()
    }
}

/// All but the variables.
fn differences(from: &Release, to: &Release) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |what: &str, a: Option<String>, b: Option<String>| {
        if a != b {
            found.push(Difference {
                what: what.to_owned(),
                from: a,
                to: b,
            });
        }
    };
    let commit = |release: &Release| {
        release
            .commit
            .as_ref()
            .map(|commit| format!("{} {}", &commit.id[..commit.id.len().min(10)], commit.subject))
    };
    compare("commit", commit(from), commit(to));
    let upload = |release: &Release| release.upload.as_ref().map(ToString::to_string);
    compare("upload", upload(from), upload(to));
    compare("image", Some(from.image_name.clone()), Some(to.image_name.clone()));
    match (&from.digest, &to.digest) {
        (Some(from), Some(to)) => compare("image digest", Some(from.clone()), Some(to.clone())),
        _ => compare("image id", Some(from.image.clone()), Some(to.image.clone())),
    }
    compare("port", Some(from.port.to_string()), Some(to.port.to_string()));
    compare(
        "command",
        from.command.as_ref().map(|words| words.join(" ")),
        to.command.as_ref().map(|words| words.join(" ")),
    );
    compare(
        "memory",
        Some(format!("{} MiB", from.limits.memory_bytes >> 20)),
        Some(format!("{} MiB", to.limits.memory_bytes >> 20)),
    );
    compare(
        "cpu",
        Some(format!("{} m", from.limits.cpu_millis)),
        Some(format!("{} m", to.limits.cpu_millis)),
    );
    compare("pids", Some(from.limits.pids.to_string()), Some(to.limits.pids.to_string()));
    compare(
        "health check",
        Some(format!("{:?}", from.health.probe)),
        Some(format!("{:?}", to.health.probe)),
    );
    compare(
        "grace period",
        Some(format!("{} s", from.grace_seconds)),
        Some(format!("{} s", to.grace_seconds)),
    );
    compare("domains", Some(from.domains.join(", ")), Some(to.domains.join(", ")));
    let mount = |mount: &types::Mount| format!("{}{}", mount.volume, if mount.read_only { " (read only)" } else { "" });
    for (path, a, b) in paired(&from.mounts, &to.mounts, |mount| mount.path.to_string()) {
        compare(&format!("mount {path}"), a.map(mount), b.map(mount));
    }
    found
}

/// Items of two lists by a key, in the key's order.
fn paired<'a, T>(from: &'a [T], to: &'a [T], key: impl Fn(&T) -> String) -> Vec<(String, Option<&'a T>, Option<&'a T>)> {
    let mut pairs: BTreeMap<String, (Option<&T>, Option<&T>)> = BTreeMap::new();
    for item in from {
        pairs.entry(key(item)).or_default().0 = Some(item);
    }
    for item in to {
        pairs.entry(key(item)).or_default().1 = Some(item);
    }
    pairs.into_iter().map(|(key, (a, b))| (key, a, b)).collect()
}

pub(crate) fn find(ground: &Ground, id: &ReleaseId) -> Result<Option<Release>> {
    Ok(ground.store.releases.claimed(id.as_str())?.map(|stored| stored.value))
}

/// Oldest first.
pub(crate) fn releases_of(ground: &Ground, app: &AppId) -> Result<Vec<Release>> {
    Ok(ground
        .store
        .releases
        .prefix(&format!("{app}/"))?
        .into_iter()
        .map(|stored| stored.value)
        .collect())
}

/// The release that was live before the one that is now, if it is still kept.
pub(crate) fn live_before(ground: &Ground, app: &App) -> Option<ReleaseId> {
    let deployments = ground.store.deployments.prefix(&format!("{}/", app.id)).ok()?;
    deployments
        .iter()
        .rev()
        .filter(|deployment| deployment.phase == Phase::Live)
        .filter_map(|deployment| deployment.release.clone())
        .find(|release| Some(release) != app.release.as_ref() && matches!(find(ground, release), Ok(Some(_))))
}

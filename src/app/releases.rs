//! Releases: what was made, what is live, and how two differ.

mod promotion;

pub use promotion::PromotionPlan;
pub(crate) use promotion::promoted;

use crate::{apps::find_app, ground::Ground, release_ports, release_routes};
use std::{collections::BTreeMap, sync::Arc};
use types::{
    Action, Actor, App, AppId, Error, Fact, Family, Kind, Phase, Release, ReleaseId, ReleaseVariable, Result, Scope, Secret, Source, Upkeep,
};

#[derive(Debug, Clone)]
pub struct ReleaseView {
    pub release: Release,
    pub live: bool,
    /// Where a forge shows its commit.
    pub commit_page: Option<String>,
    pub mounts: Vec<(types::Mount, types::Volume)>,
}

/// One difference between two releases. A secret shows as `changed`, or as `set` where it is new or gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `image`, `commit`, `port`, `variable KEY`, `mount PATH`, `domain`, `memory`, …
    pub what: String,
    pub from: Option<String>,
    pub to: Option<String>,
    /// Where a forge shows them, of a commit.
    pub pages: [Option<String>; 2],
}

impl Difference {
    pub fn new(what: impl Into<String>, from: Option<String>, to: Option<String>) -> Difference {
        Difference {
            what: what.into(),
            from,
            to,
            pages: [None, None],
        }
    }
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
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
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
                    commit_page: commit_page(&app, &release),
                    live: app.release.as_ref() == Some(&release.id),
                    mounts,
                    release,
                })
            })
            .collect()
    }

    /// Keeps a release until it is unpinned.
    pub async fn pin(&self, actor: &Actor, app: &str, release: &str, pinned: bool) -> Result<ReleaseView> {
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Deploy, app)?;
        let found = named(&releases_of(&self.ground, &app.id)?, release)?.id.clone();
        let set = |release: &mut Release| {
            release.pinned = pinned;
            Ok(())
        };
        let stored = self.ground.store.releases.update(&format!("{}/{found}", app.id), set).await?;
        let fact = Fact::ReleasePinned {
            app: app.id.clone(),
            name: app.name.to_string(),
            number: stored.number,
            pinned,
        };
        self.ground.events.emit(actor, fact).await;
        let mut all = self.list(actor, app.id.as_str()).await?.into_iter();
        all.find(|view| view.release.id == found)
            .ok_or_else(|| Error::not_found(Kind::Release, release))
    }

    /// What changed from one to the other; each is the id of a release or deployment, a number, or `live`. `to` is of
    /// `to_app`, when that is given: another app of the project, or an environment with one of the same name.
    pub async fn diff(
        &self,
        actor: &Actor,
        app: &str,
        from: Option<&str>,
        to: Option<&str>,
        to_app: Option<&str>,
    ) -> Result<Vec<Difference>> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let other = match to_app {
            Some(to_app) => other_place(&self.ground, actor, Action::View, &app, to_app)?,
            None => app.clone(),
        };
        // Who may comes before what was asked.
        let from = from.ok_or_else(|| Error::invalid("from", "is missing"))?;
        let to = to.ok_or_else(|| Error::invalid("to", "is missing"))?;
        let find = |app: &App, wanted: &str| {
            let wanted = match (wanted, &app.release) {
                ("live", None) => return Err(Error::busy(format!("nothing of `{}` is live", app.name))),
                ("live", Some(live)) => live.as_str(),
                (wanted, _) => wanted,
            };
            let mut found = named(&releases_of(&self.ground, &app.id)?, wanted)?.clone();
            if app.release.as_ref() == Some(&found.id) {
                keep_up(&self.ground, app, &mut found)?;
            }
            Ok(found)
        };
        let (from, to) = (&find(&app, from)?, &find(&other, to)?);
        let mut differences = differences(from, to);
        if let Some(commit) = differences.iter_mut().find(|one| one.what == "commit") {
            commit.pages = [commit_page(&app, from), commit_page(&other, to)];
        }
        differences.extend(release_routes::route_differences(from, to));
        differences.extend(release_ports::port_differences(from.ports.as_deref(), to.ports.as_deref()));
        differences.extend(self.files(actor, from, to)?);
        if let (Some(from), Some(to)) = (&from.stack, &to.stack) {
            let found = crate::stacks::differences(&self.ground, from, to)?;
            differences.extend(found);
        }
        let reads_values = actor.spans(Scope::Read, Family::Variables).is_ok();
        for (key, a, b) in paired(&from.variables, &to.variables, |variable| variable.key.to_string()) {
            let (before, after) = (self.value(a)?, self.value(b)?);
            if before != after {
                let secret = !reads_values || [a, b].into_iter().flatten().any(|variable| variable.secret);
                let hidden = if before.is_some() && after.is_some() { "changed" } else { "set" };
                let shown = |value: Secret| match secret {
                    true => hidden.to_owned(),
                    false => String::from_utf8_lossy(value.expose()).into_owned(),
                };
                differences.push(Difference::new(format!("variable {key}"), before.map(shown), after.map(shown)));
            }
        }
        Ok(differences)
    }

    /// Files by what they are, not what is in them.
    fn files(&self, actor: &Actor, from: &Release, to: &Release) -> Result<Vec<Difference>> {
        let reads_content = actor.spans(Scope::Read, Family::Apps).is_ok();
        let mut found = Vec::new();
        for (path, a, b) in paired(&from.files, &to.files, |file| file.path.to_string()) {
            let same = match (a, b) {
                (Some(a), Some(b)) => a.mode == b.mode && self.ground.store.unseal(&a.content)? == self.ground.store.unseal(&b.content)?,
                _ => false,
            };
            if !same {
                let words = |file: Option<&types::ConfigFile>| file.map(|file| self.file_words(file, reads_content)).transpose();
                found.push(Difference::new(format!("file {path}"), words(a)?, words(b)?));
            }
        }
        Ok(found)
    }

    fn file_words(&self, file: &types::ConfigFile, reads_content: bool) -> Result<String> {
        let content = self.ground.store.unseal(&file.content)?;
        Ok(
            match content
                .expose_str()
                .filter(|text| reads_content && !file.secret && text.len() <= 2000)
            {
                Some(text) => format!("mode {:o}\n{text}", file.mode),
                None => format!("mode {:o}, changed", file.mode),
            },
        )
    }

    fn value(&self, variable: Option<&ReleaseVariable>) -> Result<Option<Secret>> {
        variable.map(|variable| self.ground.store.unseal(&variable.value)).transpose()
    }
}

/// A difference, where there is one.
fn compared(what: &str, from: Option<String>, to: Option<String>) -> Option<Difference> {
    (from != to).then(|| Difference::new(what, from, to))
}

/// What they were made from.
fn origin_differences(from: &Release, to: &Release) -> Vec<Difference> {
    let commit = |release: &Release| {
        release
            .commit
            .as_ref()
            .map(|commit| format!("{} {}", &commit.id[..commit.id.len().min(10)], commit.subject))
    };
    let upload = |release: &Release| release.upload.as_ref().map(ToString::to_string);
    let found = [
        compared("commit", commit(from), commit(to)),
        compared("upload", upload(from), upload(to)),
    ];
    found.into_iter().flatten().collect()
}

fn image_differences(from: &Release, to: &Release) -> Vec<Difference> {
    let mut found = Vec::new();
    // What is built gets a name of its own for each release, also when the same image came out.
    let is_built = |release: &Release| release.commit.is_some() || release.upload.is_some();
    if from.image != to.image || !(is_built(from) && is_built(to)) {
        found.extend(compared("image", Some(from.image_name.clone()), Some(to.image_name.clone())));
    }
    found.extend(match (&from.digest, &to.digest) {
        (Some(from), Some(to)) => compared("image digest", Some(from.clone()), Some(to.clone())),
        _ => compared("image id", Some(from.image.clone()), Some(to.image.clone())),
    });
    found
}

/// All but the variables.
fn differences(from: &Release, to: &Release) -> Vec<Difference> {
    let mut found = origin_differences(from, to);
    found.extend(image_differences(from, to));
    let mut compare = |what: &str, a: Option<String>, b: Option<String>| found.extend(compared(what, a, b));
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
    compare("health check", Some(health_words(from)), Some(health_words(to)));
    compare(
        "grace period",
        Some(format!("{} s", from.grace_seconds)),
        Some(format!("{} s", to.grace_seconds)),
    );
    if let (Some(from), Some(to)) = (from.replicas, to.replicas) {
        compare("containers", Some(from.to_string()), Some(to.to_string()));
    }
    if let (Some(from), Some(to)) = (&from.upkeep, &to.upkeep) {
        compare("command before it stops", from.before_stop.clone(), to.before_stop.clone());
        compare("restarts", Some(restarts(from)), Some(restarts(to)));
    }
    compare("domains", Some(from.domains.join(", ")), Some(to.domains.join(", ")));
    let mount = |mount: &types::Mount| format!("{}{}", mount.volume, if mount.read_only { " (read only)" } else { "" });
    for (path, a, b) in paired(&from.mounts, &to.mounts, |mount| mount.path.to_string()) {
        compare(&format!("mount {path}"), a.map(mount), b.map(mount));
    }
    found
}

fn restarts(upkeep: &Upkeep) -> String {
    match upkeep.restart_limit {
        0 => "always".into(),
        limit => format!("at most {limit} in a row"),
    }
}

fn health_words(release: &Release) -> String {
    let health = &release.health;
    format!(
        "{}; each {} s, within {} s, {} s to start",
        health.probe.words(release.port),
        health.interval_seconds,
        health.timeout_seconds,
        health.start_seconds
    )
}

fn commit_page(app: &App, release: &Release) -> Option<String> {
    match (&app.source, &release.commit) {
        (Source::Git(git), Some(commit)) => git.url.commit_page(&commit.id),
        _ => None,
    }
}

/// By the id of a release or of the deployment that made it, or by number.
pub(crate) fn named<'r>(releases: &'r [Release], wanted: &str) -> Result<&'r Release> {
    let number = wanted.trim_start_matches('#').parse::<u64>().ok();
    releases
        .iter()
        .find(|release| release.id.as_str() == wanted || release.deployment.as_str() == wanted || Some(release.number) == number)
        .ok_or_else(|| Error::not_found(Kind::Release, wanted))
}

/// Another app of the same project: by id or name, or by an environment in which one has the same name.
pub(crate) fn other_place(ground: &Ground, actor: &Actor, action: Action, from: &App, wanted: &str) -> Result<App> {
    let apps = ground.store.apps.list()?;
    let environments = ground.store.environments.list()?;
    let named = environments
        .iter()
        .find(|one| one.project == from.project && (one.id.as_str() == wanted || one.name.as_str() == wanted));
    let twin = named.and_then(|environment| {
        apps.iter()
            .find(|app| app.environment == environment.id && app.name == from.name && app.trashed_at.is_none())
    });
    let other = match twin {
        Some(twin) => find_app(ground, actor, action, twin.id.as_str())?,
        None => find_app(ground, actor, action, wanted)?,
    };
    if other.id == from.id {
        return Err(Error::invalid("to", "is the same app"));
    }
    if other.project != from.project {
        return Err(Error::invalid("to", format!("`{}` is in another project", other.name)));
    }
    Ok(other)
}

/// Items of two lists by a key, in the key's order.
pub(crate) fn paired<'a, T>(from: &'a [T], to: &'a [T], key: impl Fn(&T) -> String) -> Vec<(String, Option<&'a T>, Option<&'a T>)> {
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

/// Has a release that is live, or was until now, say what is around the app at this moment: what was changed while it served is a part
/// of what the way back to it brings back.
pub(crate) fn keep_up(ground: &Ground, app: &App, release: &mut Release) -> Result<()> {
    release.routes = Some(release_routes::routes_of(ground, &app.id)?);
    release.ports = Some(release_ports::ports_of(ground, &app.id)?);
    release.upkeep = Some(Upkeep::of(app));
    Ok(())
}

/// What is live of an app.
pub(crate) fn live(ground: &Ground, app: &App) -> Result<Option<Release>> {
    match &app.release {
        Some(id) => find(ground, id),
        None => Ok(None),
    }
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

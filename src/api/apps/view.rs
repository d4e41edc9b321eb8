//! An app as it is shown.

use super::{AppCanary, Health, Limits, Mount, Source};
use crate::{
    answers::{Named, count, moment},
    deployments::{Commit, Deployment},
    rights::Right,
};
use poem_openapi::{Enum, Object};
use time::OffsetDateTime;

/// An app, and how it is.
#[derive(Debug, Object)]
pub struct App {
    pub id: String,
    /// Unique in its environment; other apps there reach it under this name.
    pub name: String,
    pub project: Named,
    pub environment: Named,
    pub source: Source,
    /// The port it listens on inside its container; null: the first that its image exposes, else 8080 given as `PORT`.
    pub port: Option<u16>,
    /// Arguments in place of the image's own command.
    pub command: Option<Vec<String>>,
    pub limits: Limits,
    pub health: Health,
    /// A command of a shell in the new image, before it starts: migrations. When it fails, so does the deployment.
    pub before_deploy: Option<String>,
    /// A command of a shell in the new image, once it is live.
    pub after_deploy: Option<String>,
    /// A command of a shell in a container that is about to be stopped, for at most its grace period.
    pub before_stop: Option<String>,
    pub mounts: Vec<Mount>,
    /// From the signal to stop to the kill.
    pub grace_seconds: u32,
    /// A deployment that takes longer fails.
    pub deploy_timeout_seconds: u32,
    /// How a new release is tried beside the live one; null: all requests go to it at once.
    pub canary: Option<AppCanary>,
    /// Releases kept beside the live one.
    pub keep_releases: u32,
    /// They go when they are older than this; null: at any age. The newest of them always stays.
    pub keep_release_days: Option<u32>,
    /// They go when their images together are larger; null: at any size.
    pub keep_release_bytes: Option<u64>,
    /// What the engine may keep of its builds, as far as it can be told; null: as much as all of them may.
    pub build_cache_bytes: Option<u64>,
    /// Where it is built: `here`, `any` (any build server that has a slot), or the name of a build server; null: where the settings of the
    /// panel say.
    pub build_on: Option<String>,
    /// A container that exits this often, never staying up for 5 minutes, is not started again; 0: it always is.
    pub restart_limit: u32,
    /// A release that is not started again so soon after it went live gives way to the one before; 0: never.
    pub rollback_within_minutes: u32,
    /// Containers at a time, between which the edge shares requests out; of an app of several services its file says it.
    pub replicas: u32,
    /// Containers of what is live that run now.
    pub running: u32,
    /// When it is started and stopped by itself.
    pub hours: Option<AppHours>,
    /// It goes to sleep when no request came for so long; null: never.
    pub sleep_after_minutes: Option<u32>,
    /// It sleeps, or is being woken: its containers are started when a request for it comes.
    pub asleep: Option<AppAsleep>,
    /// Why it does not go to sleep, although it may after some time.
    pub kept_awake: Option<String>,
    /// Its registry has a newer image under the tag than runs; see its image watch.
    pub newer_image: bool,
    /// A freeze window that holds now: nothing is deployed.
    pub frozen: Option<AppFreeze>,
    /// What it should be.
    pub desired: Desired,
    /// What it is.
    pub state: AppState,
    /// Why it is so, when there is more to say.
    pub state_detail: Option<String>,
    /// Where it is reached.
    pub url: Option<String>,
    /// Its hosts, the primary one first.
    pub domains: Vec<String>,
    /// What is live.
    pub release: Option<LiveRelease>,
    /// The latest.
    pub deployment: Option<Deployment>,
    /// Its configuration differs from what is live: deploy to bring it there.
    pub pending_changes: bool,
    /// Why a deployment stops the old container before it starts the new one, so that the app does not answer for a moment; null: the
    /// new one takes over while the old one serves. Of an app of several services, those of what is live for which that holds.
    pub stops_first: Option<String>,
    /// Nothing is deployed while it holds; rolling back stays possible.
    pub lock: Option<DeployLock>,
    /// What who asks may do to it: view, deploy, configure, secrets, terminal, delete.
    pub rights: Vec<Right>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    /// In the trash since.
    pub trashed_at: Option<OffsetDateTime>,
}

/// Somebody wants no deployments for a while.
#[derive(Debug, Object)]
pub struct DeployLock {
    pub by: String,
    pub why: String,
    pub at: OffsetDateTime,
    /// It ends by itself then.
    pub until: Option<OffsetDateTime>,
}

impl From<types::DeployLock> for DeployLock {
    fn from(lock: types::DeployLock) -> DeployLock {
        DeployLock {
            by: lock.by,
            why: lock.why,
            at: moment(lock.at),
            until: lock.until.map(moment),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Desired {
    Running,
    Stopped,
}

/// What an app is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum AppState {
    /// Never deployed.
    New,
    /// A deployment is under way and nothing is live yet.
    Deploying,
    Running,
    /// Its container runs but has not passed its first health check.
    Starting,
    Stopped,
    /// It is started when a request comes.
    Asleep,
    /// A request came, and waits until it is started.
    Waking,
    /// It runs but fails its health check.
    Unhealthy,
    /// It keeps exiting.
    Crashing,
    /// Nothing is live, and the last deployment failed.
    Failed,
    /// The engine does not answer.
    Unknown,
}

/// What is live.
#[derive(Debug, Object)]
pub struct LiveRelease {
    pub id: String,
    pub number: u64,
    pub commit: Option<Commit>,
    pub image_name: String,
    /// By what its registry knows it, `name@sha256:…`; null for one that was built here.
    pub digest: Option<String>,
    pub created_at: OffsetDateTime,
    /// The deployment that made it.
    pub deployment: String,
}

/// An app whose containers are stopped until somebody wants it.
#[derive(Debug, Object)]
pub struct AppAsleep {
    pub since: OffsetDateTime,
    pub why: String,
    /// It is being woken since.
    pub waking_since: Option<OffsetDateTime>,
    /// By what.
    pub waking_why: Option<String>,
    /// Why it could not be woken the last time.
    pub problem: Option<String>,
    /// From then on a request tries again.
    pub problem_until: Option<OffsetDateTime>,
}

impl From<types::Asleep> for AppAsleep {
    fn from(asleep: types::Asleep) -> AppAsleep {
        AppAsleep {
            since: moment(asleep.since),
            why: asleep.why,
            waking_since: asleep.waking.as_ref().map(|waking| moment(waking.at)),
            waking_why: asleep.waking.map(|waking| waking.why),
            problem_until: asleep.failed.as_ref().map(|failed| moment(failed.rests_until())),
            problem: asleep.failed.map(|failed| failed.why),
        }
    }
}

/// An app that runs at some hours only. Somebody who starts or stops it is heeded until the next of its times.
#[derive(Debug, Object)]
pub struct AppHours {
    /// When it is started: minute, hour, day of month, month, day of week.
    pub start: String,
    /// When it is stopped.
    pub stop: String,
    /// Such as `Europe/Berlin`.
    pub zone: String,
    pub next_start: Option<OffsetDateTime>,
    pub next_stop: Option<OffsetDateTime>,
}

#[derive(Debug, Object)]
pub struct AppFreeze {
    pub id: String,
    /// Why.
    pub name: String,
    pub until: OffsetDateTime,
}

impl From<app::AppView> for App {
    fn from(view: app::AppView) -> App {
        let app = view.app;
        let name = app.name.clone();
        App {
            id: app.id.to_string(),
            name: app.name.to_string(),
            project: Named::new(view.project.id, view.project.name),
            environment: view.environment.into(),
            source: app.source.into(),
            port: app.port,
            command: app.command,
            limits: app.limits.into(),
            health: app.health.into(),
            before_deploy: app.commands.before,
            after_deploy: app.commands.after,
            before_stop: app.commands.before_stop,
            mounts: view.mounts.into_iter().map(Mount::from).collect(),
            grace_seconds: app.grace_seconds,
            deploy_timeout_seconds: app.deploy_timeout_seconds,
            canary: app.canary.map(AppCanary::from),
            keep_releases: app.keep_releases,
            keep_release_days: app.keep_release_days,
            keep_release_bytes: app.keep_release_bytes,
            build_cache_bytes: app.build_cache_bytes,
            build_on: app.build_on.map(String::from),
            restart_limit: app.restart_limit,
            rollback_within_minutes: app.rollback_within_minutes,
            replicas: app.replicas,
            running: count(view.running),
            hours: app.hours.map(|hours| {
                let (start, stop) = view.next_hours.unwrap_or_default();
                AppHours {
                    start: hours.start,
                    stop: hours.stop,
                    zone: hours.zone,
                    next_start: start.map(moment),
                    next_stop: stop.map(moment),
                }
            }),
            sleep_after_minutes: app.sleep_after_minutes,
            asleep: app.asleep.map(AppAsleep::from),
            kept_awake: view.kept_awake,
            newer_image: view.newer_image,
            frozen: view.frozen.map(|frozen| AppFreeze {
                id: frozen.id.to_string(),
                name: frozen.name,
                until: moment(frozen.until),
            }),
            desired: match app.desired {
                types::DesiredState::Running => Desired::Running,
                types::DesiredState::Stopped => Desired::Stopped,
            },
            state: view.state.into(),
            state_detail: view.state_detail,
            url: view.url,
            domains: view.domains.iter().map(|domain| domain.host.to_string()).collect(),
            release: view.release.map(LiveRelease::from),
            deployment: view.deployment.map(|deployment| {
                Deployment::from(app::DeploymentView {
                    cancellable: !deployment.phase.is_final() && !deployment.cancel_requested,
                    waits: view.waits,
                    app_name: name,
                    deployment,
                })
            }),
            pending_changes: view.pending_changes,
            stops_first: view.stops_first,
            lock: app.lock.map(DeployLock::from),
            rights: view.rights.into_iter().map(Right::from).collect(),
            created_at: moment(app.created_at),
            updated_at: moment(app.updated_at),
            trashed_at: app.trashed_at.map(moment),
        }
    }
}

impl From<app::AppState> for AppState {
    fn from(state: app::AppState) -> AppState {
        match state {
            app::AppState::New => AppState::New,
            app::AppState::Deploying => AppState::Deploying,
            app::AppState::Running => AppState::Running,
            app::AppState::Starting => AppState::Starting,
            app::AppState::Stopped => AppState::Stopped,
            app::AppState::Asleep => AppState::Asleep,
            app::AppState::Waking => AppState::Waking,
            app::AppState::Unhealthy => AppState::Unhealthy,
            app::AppState::Crashing => AppState::Crashing,
            app::AppState::Failed => AppState::Failed,
            app::AppState::Unknown => AppState::Unknown,
        }
    }
}

impl From<types::Release> for LiveRelease {
    fn from(release: types::Release) -> LiveRelease {
        LiveRelease {
            id: release.id.to_string(),
            number: release.number,
            commit: release.commit.map(Commit::from),
            image_name: release.image_name,
            digest: release.digest,
            created_at: moment(release.created_at),
            deployment: release.deployment.to_string(),
        }
    }
}

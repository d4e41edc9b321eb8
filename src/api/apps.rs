//! Apps: where they come from, how they run, the trash.

mod running;
mod source;

pub use running::{Health, HealthInput, Limits, LimitsInput, Mount, MountInput};
pub use source::{Source, SourceInput};

use crate::{
    Panel,
    answers::{Accepted, Created, Done, Named, Page, accepted, count, created, moment, page},
    deployments::{Commit, Deployment},
    failures::Answer,
    signed::Signed,
    tags::Tag,
    variables,
    variables::VariableInput,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
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
    /// new one takes over while the old one serves.
    pub stops_first: Option<String>,
    /// Nothing is deployed while it holds; rolling back stays possible.
    pub lock: Option<DeployLock>,
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

/// Why, and for how long.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct DeployLockCreate {
    /// At most 200 letters.
    #[oai(default)]
    pub why: String,
    /// Left out: until it is unlocked.
    pub minutes: Option<u32>,
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

/// An app to make.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct AppCreate {
    /// 1 to 63 of a-z, 0-9 and -; unique in its environment.
    pub name: String,
    /// Id or name; left out: the first one.
    pub project: Option<String>,
    /// Id or name; left out: the project's first one.
    pub environment: Option<String>,
    pub source: SourceInput,
    pub port: Option<u16>,
    pub command: Option<Vec<String>>,
    /// Hosts; left out: one under the panel's domain for apps, if there is one.
    pub domains: Option<Vec<String>>,
    pub limits: Option<LimitsInput>,
    pub health: Option<HealthInput>,
    pub before_deploy: Option<String>,
    pub after_deploy: Option<String>,
    pub before_stop: Option<String>,
    pub mounts: Option<Vec<MountInput>>,
    pub variables: Option<Vec<VariableInput>>,
    pub grace_seconds: Option<u32>,
    pub deploy_timeout_seconds: Option<u32>,
    /// 1 to 50 containers; left out: 1.
    pub replicas: Option<u32>,
    /// Deploy it at once; left out: true.
    pub deploy: Option<bool>,
}

/// What to change about an app; what is left out stays. It takes effect with the next deployment, except for the name.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct AppPatch {
    pub name: Option<String>,
    /// The whole source, except that `password` and the deploy key stay when left out.
    pub source: Option<SourceInput>,
    /// Null: as the image says.
    pub port: MaybeUndefined<u16>,
    /// Null: as the image says.
    pub command: MaybeUndefined<Vec<String>>,
    pub limits: Option<LimitsInput>,
    pub health: Option<HealthInput>,
    /// Null: none.
    pub before_deploy: MaybeUndefined<String>,
    /// Null: none.
    pub after_deploy: MaybeUndefined<String>,
    /// Null: none. It holds at once.
    pub before_stop: MaybeUndefined<String>,
    /// All of them.
    pub mounts: Option<Vec<MountInput>>,
    pub grace_seconds: Option<u32>,
    pub deploy_timeout_seconds: Option<u32>,
    pub keep_releases: Option<u32>,
    /// Null: at any age.
    pub keep_release_days: MaybeUndefined<u32>,
    /// Null: at any size.
    pub keep_release_bytes: MaybeUndefined<u64>,
    /// Null: as much as all builds may.
    pub build_cache_bytes: MaybeUndefined<u64>,
    /// `here`, `any` or the name of a build server; null: where the settings of the panel say. For those who operate the panel.
    pub build_on: MaybeUndefined<String>,
    /// 0: it is always started again.
    pub restart_limit: Option<u32>,
    /// 1 to 50 containers; at once, without a deployment.
    pub replicas: Option<u32>,
    /// Null: it runs at all hours.
    pub hours: MaybeUndefined<AppHoursInput>,
    /// 1 to 10080; null: it never sleeps. At once, without a deployment.
    pub sleep_after_minutes: MaybeUndefined<u32>,
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
#[oai(deny_unknown_fields)]
pub struct AppHoursInput {
    /// Five fields, such as `0 8 * * MON-FRI`.
    pub start: String,
    pub stop: String,
    /// Left out: UTC.
    pub zone: Option<String>,
}

#[derive(Debug, Object)]
pub struct AppFreeze {
    pub id: String,
    /// Why.
    pub name: String,
    pub until: OffsetDateTime,
}

/// What deleting would do, in objects and bytes. Volumes are kept.
#[derive(Debug, Object)]
pub struct DeletePlan {
    pub containers: Vec<PlannedContainer>,
    pub images: Vec<PlannedImage>,
    pub volumes: Vec<PlannedVolume>,
    pub domains: Vec<String>,
    /// How many releases go.
    pub releases: u64,
    /// What it frees.
    pub bytes: u64,
}

#[derive(Debug, Object)]
pub struct PlannedContainer {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Object)]
pub struct PlannedImage {
    pub name: String,
    pub bytes: u64,
}

#[derive(Debug, Object)]
pub struct PlannedVolume {
    pub name: String,
    /// Null when the engine does not know.
    pub bytes: Option<u64>,
    /// It stays.
    pub kept: bool,
}

/// How far to go.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct AppPurge {
    /// Remove the volumes that only this app mounts too: their data is gone then.
    pub volumes: bool,
}

/// The public half of an app's key.
#[derive(Debug, Object)]
pub struct DeployKey {
    /// In OpenSSH's form; give it to the forge.
    pub public_key: String,
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
            keep_releases: app.keep_releases,
            keep_release_days: app.keep_release_days,
            keep_release_bytes: app.keep_release_bytes,
            build_cache_bytes: app.build_cache_bytes,
            build_on: app.build_on.map(String::from),
            restart_limit: app.restart_limit,
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

impl TryFrom<AppCreate> for app::NewApp {
    type Error = types::Error;

    fn try_from(body: AppCreate) -> types::Result<app::NewApp> {
        let domains: Option<types::Result<Vec<_>>> = body.domains.map(|hosts| hosts.iter().map(|host| host.parse()).collect());
        Ok(app::NewApp {
            name: body.name.parse()?,
            project: body.project,
            environment: body.environment,
            source: body.source.try_into()?,
            port: body.port,
            command: body.command,
            domains: domains.transpose()?,
            limits: body.limits.map(|limits| limits.over(types::Limits::default())).unwrap_or_default(),
            health: body.health.map(|health| health.over(types::HealthCheck::default())).transpose()?,
            commands: types::DeployCommands {
                before: body.before_deploy,
                after: body.after_deploy,
                before_stop: body.before_stop,
            },
            mounts: running::mounts(body.mounts.unwrap_or_default())?,
            variables: variables::changes(body.variables.unwrap_or_default())?,
            grace_seconds: body.grace_seconds,
            deploy_timeout_seconds: body.deploy_timeout_seconds,
            replicas: body.replicas,
            deploy: body.deploy.unwrap_or(true),
        })
    }
}

/// Left out: stays. Null: cleared.
fn wish<T>(value: MaybeUndefined<T>) -> Option<Option<T>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

impl From<app::DeletePlan> for DeletePlan {
    fn from(plan: app::DeletePlan) -> DeletePlan {
        DeletePlan {
            containers: plan
                .containers
                .into_iter()
                .map(|(id, name)| PlannedContainer { id, name })
                .collect(),
            images: plan
                .images
                .into_iter()
                .map(|image| PlannedImage {
                    name: image.name,
                    bytes: image.bytes,
                })
                .collect(),
            volumes: plan
                .volumes
                .into_iter()
                .map(|volume| PlannedVolume {
                    name: volume.name,
                    bytes: Some(volume.bytes),
                    kept: true,
                })
                .collect(),
            domains: plan.domains,
            releases: plan.releases as u64,
            bytes: plan.bytes,
        }
    }
}

#[derive(Clone)]
pub(crate) struct AppsApi(pub Panel);

#[OpenApi(tag = "Tag::Apps")]
impl AppsApi {
    /// List apps
    #[oai(path = "/apps", method = "get", operation_id = "app_list")]
    async fn app_list(
        &self,
        who: Signed,
        /// Only of this project: id or name.
        project: Query<Option<String>>,
        /// Only of this environment: id or name.
        environment: Query<Option<String>>,
        /// Those in the trash instead.
        trashed: Query<Option<bool>>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<App>>> {
        let apps = self
            .0
            .apps
            .list(
                &who.actor,
                project.0.as_deref(),
                environment.0.as_deref(),
                trashed.0.unwrap_or(false),
            )
            .await?;
        page(apps, cursor.0.as_deref(), limit.0, |view| view.app.id.to_string())
    }

    /// Create an app
    ///
    /// Records it and queues its first deployment, unless `deploy` is false.
    #[oai(path = "/apps", method = "post", operation_id = "app_create")]
    async fn app_create(&self, who: Signed, body: Json<AppCreate>) -> Answer<Created<App>> {
        Ok(created(self.0.apps.create(&who.actor, body.0.try_into()?).await?))
    }

    /// Show an app
    #[oai(path = "/apps/:app", method = "get", operation_id = "app_show")]
    async fn app_show(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<App>> {
        Ok(Json(self.0.apps.get(&who.actor, &app.0).await?.into()))
    }

    /// Change an app
    ///
    /// It takes effect with the next deployment.
    #[oai(path = "/apps/:app", method = "patch", operation_id = "app_update")]
    async fn app_update(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<AppPatch>,
    ) -> Answer<Json<App>> {
        let patch = body.0;
        // Limits and health check are changed as a whole, so what is left out is read from what is there.
        let current = match (&patch.limits, &patch.health) {
            (None, None) => None,
            _ => Some(self.0.apps.get(&who.actor, &app.0).await?.app),
        };
        let (limits, health) = current.map(|app| (app.limits, app.health)).unwrap_or_default();
        let change = app::AppChange {
            name: patch.name.map(|name| name.parse()).transpose()?,
            source: patch.source.map(app::NewSource::try_from).transpose()?,
            port: wish(patch.port),
            command: wish(patch.command),
            limits: patch.limits.map(|input| input.over(limits)),
            health: patch.health.map(|input| input.over(health)).transpose()?,
            before_deploy: wish(patch.before_deploy),
            after_deploy: wish(patch.after_deploy),
            before_stop: wish(patch.before_stop),
            mounts: patch.mounts.map(running::mounts).transpose()?,
            grace_seconds: patch.grace_seconds,
            deploy_timeout_seconds: patch.deploy_timeout_seconds,
            keep_releases: patch.keep_releases,
            keep_release_days: wish(patch.keep_release_days),
            keep_release_bytes: wish(patch.keep_release_bytes),
            build_cache_bytes: wish(patch.build_cache_bytes),
            build_on: wish(patch.build_on)
                .map(|place| place.map(|place| place.parse()).transpose())
                .transpose()?,
            restart_limit: patch.restart_limit,
            replicas: patch.replicas,
            sleep_after_minutes: wish(patch.sleep_after_minutes),
            hours: wish(patch.hours).map(|hours| hours.map(|hours| (hours.start, hours.stop, hours.zone.unwrap_or_else(|| "UTC".into())))),
        };
        Ok(Json(self.0.apps.update(&who.actor, &app.0, change).await?.into()))
    }

    /// Lock an app's deployments
    ///
    /// Pushes are kept in the inbox and deploy nothing; rolling back stays possible.
    #[oai(path = "/apps/:app/lock", method = "put", operation_id = "app_lock")]
    async fn app_lock(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<DeployLockCreate>,
    ) -> Answer<Json<App>> {
        let DeployLockCreate { why, minutes } = body.0;
        Ok(Json(self.0.apps.lock(&who.actor, &app.0, why, minutes).await?.into()))
    }

    /// Unlock an app's deployments
    #[oai(path = "/apps/:app/lock", method = "delete", operation_id = "app_unlock")]
    async fn app_unlock(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<App>> {
        Ok(Json(self.0.apps.unlock(&who.actor, &app.0).await?.into()))
    }

    /// Move an app to the trash
    ///
    /// Its containers stop and its domains become free; its volumes stay.
    #[oai(path = "/apps/:app", method = "delete", operation_id = "app_delete")]
    async fn app_delete(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Done> {
        self.0.trash.put(&who.actor, &app.0).await?;
        Ok(Done::Done)
    }

    /// Show what deleting an app would do
    #[oai(path = "/apps/:app/delete-plan", method = "get", operation_id = "app_delete_plan")]
    async fn app_delete_plan(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<DeletePlan>> {
        Ok(Json(self.0.trash.plan(&who.actor, &app.0).await?.into()))
    }

    /// Take an app out of the trash
    #[oai(path = "/apps/:app/restore", method = "post", operation_id = "app_restore")]
    async fn app_restore(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<App>> {
        Ok(Json(self.0.trash.restore(&who.actor, &app.0).await?.into()))
    }

    /// Remove an app for good
    ///
    /// It must be in the trash. Its volumes go only when asked for.
    #[oai(path = "/apps/:app/purge", method = "post", operation_id = "app_purge")]
    async fn app_purge(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<AppPurge>,
    ) -> Answer<Done> {
        self.0.trash.purge(&who.actor, &app.0, body.0.volumes).await?;
        Ok(Done::Done)
    }

    /// Start an app
    #[oai(path = "/apps/:app/start", method = "post", operation_id = "app_start")]
    async fn app_start(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Accepted<App>> {
        Ok(accepted(self.0.apps.start(&who.actor, &app.0).await?))
    }

    /// Stop an app
    ///
    /// It stays stopped, also over a restart of the machine.
    #[oai(path = "/apps/:app/stop", method = "post", operation_id = "app_stop")]
    async fn app_stop(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Accepted<App>> {
        Ok(accepted(self.0.apps.stop(&who.actor, &app.0).await?))
    }

    /// Put an app to sleep
    ///
    /// Before its time; the next request wakes it. It must be allowed to sleep (`sleep_after_minutes`) and not be in use.
    #[oai(path = "/apps/:app/sleep", method = "post", operation_id = "app_sleep")]
    async fn app_sleep(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Accepted<App>> {
        Ok(accepted(self.0.apps.sleep(&who.actor, &app.0).await?))
    }

    /// Restart an app
    #[oai(path = "/apps/:app/restart", method = "post", operation_id = "app_restart")]
    async fn app_restart(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Accepted<App>> {
        Ok(accepted(self.0.apps.restart(&who.actor, &app.0).await?))
    }

    /// Make or renew the deploy key
    ///
    /// The old one, if there was one, is of no use any more.
    #[oai(path = "/apps/:app/deploy-key", method = "post", operation_id = "app_deploy_key")]
    async fn app_deploy_key(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<DeployKey>> {
        let public_key = self.0.apps.renew_deploy_key(&who.actor, &app.0).await?;
        Ok(Json(DeployKey { public_key }))
    }

    /// List the trash
    #[oai(path = "/trash", method = "get", operation_id = "trash_list")]
    async fn trash_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<App>>> {
        let apps = self.0.trash.list(&who.actor).await?;
        page(apps, cursor.0.as_deref(), limit.0, |view| view.app.id.to_string())
    }
}

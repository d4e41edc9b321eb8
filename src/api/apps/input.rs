//! What somebody wants an app to be.

use super::{AppCanaryInput, HealthInput, LimitsInput, MountInput, SourceInput, running};
use crate::{
    answers::wish,
    variables::{self, VariableInput},
};
use poem_openapi::{Object, types::MaybeUndefined};

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
    /// Null: a new release gets all requests at once.
    pub canary: MaybeUndefined<AppCanaryInput>,
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
    /// 0 to 1440; 0: it is never rolled back by itself.
    pub rollback_within_minutes: Option<u32>,
    /// 1 to 50 containers; at once, without a deployment.
    pub replicas: Option<u32>,
    /// Null: it runs at all hours.
    pub hours: MaybeUndefined<AppHoursInput>,
    /// 1 to 10080; null: it never sleeps. At once, without a deployment.
    pub sleep_after_minutes: MaybeUndefined<u32>,
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

impl AppPatch {
    /// With what is there now, for what is changed as a whole.
    pub(super) fn change(self, limits: types::Limits, health: types::HealthCheck) -> types::Result<app::AppChange> {
        Ok(app::AppChange {
            name: self.name.map(|name| name.parse()).transpose()?,
            source: self.source.map(app::NewSource::try_from).transpose()?,
            port: wish(self.port),
            command: wish(self.command),
            limits: self.limits.map(|input| input.over(limits)),
            health: self.health.map(|input| input.over(health)).transpose()?,
            before_deploy: wish(self.before_deploy),
            after_deploy: wish(self.after_deploy),
            before_stop: wish(self.before_stop),
            mounts: self.mounts.map(running::mounts).transpose()?,
            grace_seconds: self.grace_seconds,
            deploy_timeout_seconds: self.deploy_timeout_seconds,
            canary: wish(self.canary).map(|canary| canary.map(types::ReleaseCanary::from)),
            keep_releases: self.keep_releases,
            keep_release_days: wish(self.keep_release_days),
            keep_release_bytes: wish(self.keep_release_bytes),
            build_cache_bytes: wish(self.build_cache_bytes),
            build_on: wish(self.build_on)
                .map(|place| place.map(|place| place.parse()).transpose())
                .transpose()?,
            restart_limit: self.restart_limit,
            rollback_within_minutes: self.rollback_within_minutes,
            replicas: self.replicas,
            sleep_after_minutes: wish(self.sleep_after_minutes),
            hours: wish(self.hours).map(|hours| hours.map(|hours| (hours.start, hours.stop, hours.zone.unwrap_or_else(|| "UTC".into())))),
        })
    }
}

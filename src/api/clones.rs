//! Clones of environments: staging from production, with its data or without.

use crate::{
    Panel,
    answers::{Accepted, Named, Page, accepted, count, moment, page},
    failures::Answer,
    image_watches::OnNewImage,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;
use types::{Error, Result, Secret};

/// An environment to make from another one of its project.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct CloneCreate {
    /// Of the new one: 1 to 63 of a-z, 0-9 and -; unique in the project.
    pub name: String,
    /// Left out: all apps of the environment.
    pub apps: Option<Vec<CloneAppInput>>,
    /// What the new apps that are from Git follow; left out: the same branch.
    pub branch: Option<String>,
    /// Copy what is in the volumes, which takes the right to see secrets; left out: they are empty. Files of a running database are
    /// not of one moment, so whatever mounts them must be stopped, or may be by `stop`.
    pub data: Option<bool>,
    /// Stop the apps that write to the data for as long as the copy takes, and start them again.
    pub stop: Option<bool>,
    /// What becomes of secret variables and files; left out: empty.
    pub secrets: Option<CloneSecrets>,
    /// Values in place of those that variables have.
    pub values: Option<Vec<CloneValueInput>>,
    /// What becomes of jobs; left out: paused.
    pub jobs: Option<CloneJobs>,
    /// What becomes of ports of the server that lead to the apps; left out: closed.
    pub ports: Option<ClonePorts>,
    /// What becomes of repositories whose CI may deploy the apps; left out: none.
    pub ci: Option<CloneCi>,
    /// Deploy the new apps; left out: true.
    pub deploy: Option<bool>,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct CloneAppInput {
    /// Id, or name in the environment.
    pub app: String,
    /// In place of `branch` of all.
    pub branch: Option<String>,
    /// Left out: `NAME-ENVIRONMENT.<domain of apps>`, if the app has a domain.
    pub domain: Option<String>,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct CloneValueInput {
    pub key: String,
    pub value: String,
    /// Name of an app; left out: wherever there is a variable of this key.
    pub app: Option<String>,
}

/// What becomes of secret variables and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CloneSecrets {
    /// They have the same values. This takes the right to see secrets.
    Copy,
    /// They are there without a value.
    Empty,
}

/// What becomes of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CloneJobs {
    /// They are there, and run when somebody switches them on.
    Paused,
    /// As they are.
    Same,
}

/// What becomes of ports of the server that lead to the apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ClonePorts {
    /// None leads to the new apps.
    Closed,
    /// Each gets the next number that is free. Only administrators open ports.
    Other,
}

/// What becomes of repositories whose CI may deploy the apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CloneCi {
    /// Nothing may deploy the new apps from a CI.
    None,
    /// They may deploy the new apps too, through the one who clones.
    Same,
}

/// What a clone would make.
#[derive(Debug, Object)]
pub struct ClonePlan {
    pub from: Named,
    pub name: String,
    pub apps: Vec<ClonePlanApp>,
    /// Variables of the environment itself.
    pub variables: u32,
    /// Secret variables and files, and what becomes of them.
    pub secrets: Vec<CloneSecret>,
    pub volumes: Vec<ClonePlanVolume>,
    /// Apps that are stopped while the data is copied, and started again.
    pub stops: Vec<String>,
    /// What the copies of the data take.
    pub bytes: u64,
    /// What the disk that they lie on has left; null: not known.
    pub free_bytes: Option<u64>,
    /// What to know of what is copied.
    pub notes: Vec<String>,
    /// What is not copied, and why.
    pub left_out: Vec<String>,
    /// Why it cannot be made as things are; empty: it can.
    pub problems: Vec<String>,
}

#[derive(Debug, Object)]
pub struct ClonePlanApp {
    /// The app that it is made from.
    pub from: Named,
    /// Where it comes from, in words.
    pub source: String,
    pub branch: Option<String>,
    /// Its new domains.
    pub domains: Vec<String>,
    /// Rules of its domains, which lead to the new apps.
    pub rules: Vec<ClonePlanRule>,
    /// Ports of the server that lead to the app, and what becomes of them.
    pub ports: Vec<ClonePlanPort>,
    /// Repositories whose CI may deploy the app.
    pub ci: Vec<ClonePlanCi>,
    /// What becomes of newer images of the new app; null: they are not watched for.
    pub image_watch: Option<OnNewImage>,
    pub variables: u32,
    pub files: u32,
    pub jobs: u32,
}

#[derive(Debug, Object)]
pub struct ClonePlanRule {
    /// The new one.
    pub domain: String,
    pub name: String,
}

#[derive(Debug, Object)]
pub struct ClonePlanPort {
    /// As `tcp/5432`.
    pub from: String,
    /// Null: none leads to the new app.
    pub to: Option<String>,
}

#[derive(Debug, Object)]
pub struct ClonePlanCi {
    pub repository: String,
    /// It may deploy the new app too.
    pub trusted: bool,
}

#[derive(Debug, Object)]
pub struct CloneSecret {
    /// Null: the environment's.
    pub app: Option<String>,
    /// Of an app of several services, whose it is.
    pub service: Option<String>,
    /// Its key, or the path of a file.
    pub name: String,
    pub file: bool,
    pub becomes: CloneSecretBecomes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CloneSecretBecomes {
    Copied,
    /// A value was given for it.
    Given,
    /// It is there without a value.
    Empty,
}

#[derive(Debug, Object)]
pub struct ClonePlanVolume {
    pub name: String,
    /// Names of the apps that mount it.
    pub apps: Vec<String>,
    /// What is in it; null: not measured.
    pub bytes: Option<u64>,
    /// The new one has a copy of what is in it.
    pub data: bool,
}

/// An environment that is made from another one, and how far that is.
#[derive(Debug, Object)]
pub struct EnvironmentClone {
    pub id: String,
    pub project: String,
    pub from: Named,
    /// The new environment.
    pub to: Named,
    pub phase: ClonePhase,
    /// How it fares, in words.
    pub why: String,
    /// What was not done, such as an app that could not be deployed.
    pub notes: Vec<String>,
    /// The new apps.
    pub apps: Vec<Named>,
    pub volumes: Vec<CloneVolume>,
    /// What the copies take that are made.
    pub copied_bytes: u64,
    pub steps: Vec<CloneStep>,
    /// It can be taken back as if it had never been.
    pub cancellable: bool,
    pub by: String,
    pub created_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
}

#[derive(Debug, Object)]
pub struct CloneVolume {
    pub name: String,
    /// It gets a copy of the data.
    pub data: bool,
    /// The copy is made.
    pub copied: bool,
    pub bytes: Option<u64>,
}

#[derive(Debug, Object)]
pub struct CloneStep {
    pub phase: ClonePhase,
    pub started_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ClonePhase {
    /// Whatever writes to the data stops.
    Stopping,
    Copying,
    /// What was stopped starts again.
    Starting,
    /// The new apps are deployed: those that need no build first.
    Deploying,
    Done,
    /// All that was made goes, and what was stopped starts again.
    Undoing,
    Failed,
    Cancelled,
}

impl From<types::ClonePhase> for ClonePhase {
    fn from(phase: types::ClonePhase) -> ClonePhase {
        match phase {
            types::ClonePhase::Stopping => ClonePhase::Stopping,
            types::ClonePhase::Copying => ClonePhase::Copying,
            types::ClonePhase::Starting => ClonePhase::Starting,
            types::ClonePhase::Deploying => ClonePhase::Deploying,
            types::ClonePhase::Done => ClonePhase::Done,
            types::ClonePhase::Undoing => ClonePhase::Undoing,
            types::ClonePhase::Failed => ClonePhase::Failed,
            types::ClonePhase::Cancelled => ClonePhase::Cancelled,
        }
    }
}

impl From<types::EnvironmentClone> for EnvironmentClone {
    fn from(clone: types::EnvironmentClone) -> EnvironmentClone {
        let step = |step: &types::CloneStep| CloneStep {
            phase: step.phase.into(),
            started_at: moment(step.started_at),
            finished_at: step.finished_at.map(moment),
        };
        let volume = |volume: &types::ClonedVolume| CloneVolume {
            name: volume.name.to_string(),
            data: volume.data,
            copied: volume.copied,
            bytes: volume.bytes,
        };
        EnvironmentClone {
            id: clone.id.to_string(),
            project: clone.project.to_string(),
            from: Named::new(&clone.from, &clone.from_name),
            to: Named::new(&clone.to, &clone.name),
            phase: clone.phase.into(),
            copied_bytes: clone.copied_bytes(),
            apps: clone.apps.iter().map(|app| Named::new(&app.to, &app.name)).collect(),
            volumes: clone.volumes.iter().map(volume).collect(),
            steps: clone.steps.iter().map(step).collect(),
            cancellable: clone.phase.is_cancellable() && !clone.cancel_requested,
            why: clone.why,
            notes: clone.notes,
            by: clone.by,
            created_at: moment(clone.created_at),
            finished_at: clone.finished_at.map(moment),
        }
    }
}

impl From<app::ClonePlan> for ClonePlan {
    fn from(plan: app::ClonePlan) -> ClonePlan {
        ClonePlan {
            from: Named::new(&plan.from.id, &plan.from.name),
            name: plan.name.to_string(),
            apps: plan.apps.into_iter().map(ClonePlanApp::from).collect(),
            variables: count(plan.variables),
            secrets: plan.secrets.into_iter().map(CloneSecret::from).collect(),
            volumes: plan.volumes.into_iter().map(ClonePlanVolume::from).collect(),
            stops: plan.stops.iter().map(ToString::to_string).collect(),
            bytes: plan.bytes,
            free_bytes: plan.free_bytes,
            notes: plan.notes,
            left_out: plan.left_out,
            problems: plan.problems,
        }
    }
}

impl From<app::PlannedApp> for ClonePlanApp {
    fn from(app: app::PlannedApp) -> ClonePlanApp {
        ClonePlanApp {
            from: Named::new(&app.from, &app.name),
            source: app.source,
            branch: app.branch.map(|branch| branch.as_str().to_owned()),
            domains: app.hosts,
            rules: app.rules.into_iter().map(ClonePlanRule::from).collect(),
            ports: app.ports.into_iter().map(ClonePlanPort::from).collect(),
            ci: app.ci.into_iter().map(ClonePlanCi::from).collect(),
            image_watch: app.image_watch.map(OnNewImage::from),
            variables: count(app.variables),
            files: count(app.files),
            jobs: count(app.jobs),
        }
    }
}

impl From<app::PlannedRule> for ClonePlanRule {
    fn from(rule: app::PlannedRule) -> ClonePlanRule {
        ClonePlanRule {
            domain: rule.domain.to_string(),
            name: rule.name,
        }
    }
}

impl From<app::PlannedPort> for ClonePlanPort {
    fn from(port: app::PlannedPort) -> ClonePlanPort {
        ClonePlanPort {
            from: port.from.to_string(),
            to: port.to.map(|to| to.to_string()),
        }
    }
}

impl From<app::PlannedCi> for ClonePlanCi {
    fn from(ci: app::PlannedCi) -> ClonePlanCi {
        ClonePlanCi {
            repository: ci.repository,
            trusted: ci.trusted,
        }
    }
}

impl From<app::PlannedSecret> for CloneSecret {
    fn from(secret: app::PlannedSecret) -> CloneSecret {
        CloneSecret {
            app: secret.app.map(|app| app.to_string()),
            service: secret.service,
            name: secret.name,
            file: secret.file,
            becomes: match secret.becomes {
                app::SecretBecomes::Copied => CloneSecretBecomes::Copied,
                app::SecretBecomes::Given => CloneSecretBecomes::Given,
                app::SecretBecomes::Empty => CloneSecretBecomes::Empty,
            },
        }
    }
}

impl From<app::PlannedVolume> for ClonePlanVolume {
    fn from(volume: app::PlannedVolume) -> ClonePlanVolume {
        ClonePlanVolume {
            name: volume.name.to_string(),
            apps: volume.apps.iter().map(ToString::to_string).collect(),
            bytes: volume.bytes,
            data: volume.data,
        }
    }
}

/// `None`: left out or empty.
fn parsed<T: std::str::FromStr<Err = Error>>(text: Option<String>) -> Result<Option<T>> {
    text.filter(|text| !text.trim().is_empty()).map(|text| text.parse()).transpose()
}

impl TryFrom<CloneCreate> for app::CloneWish {
    type Error = Error;
    fn try_from(body: CloneCreate) -> Result<app::CloneWish> {
        let app = |input: CloneAppInput| {
            Ok(app::CloneAppWish {
                app: input.app,
                branch: parsed(input.branch)?,
                domain: parsed(input.domain)?,
            })
        };
        let value = |input: CloneValueInput| {
            Ok(app::CloneValue {
                app: parsed(input.app)?,
                key: input.key.parse()?,
                value: Secret::from(input.value),
            })
        };
        let apps = body.apps.map(|apps| apps.into_iter().map(app).collect::<Result<Vec<_>>>());
        Ok(app::CloneWish {
            name: body.name.parse()?,
            apps: apps.transpose()?,
            branch: parsed(body.branch)?,
            data: body.data.unwrap_or(false),
            stop: body.stop.unwrap_or(false),
            secrets: body.secrets == Some(CloneSecrets::Copy),
            values: body.values.unwrap_or_default().into_iter().map(value).collect::<Result<_>>()?,
            jobs: body.jobs == Some(CloneJobs::Same),
            ports: body.ports == Some(ClonePorts::Other),
            ci: body.ci == Some(CloneCi::Same),
            deploy: body.deploy.unwrap_or(true),
        })
    }
}

#[derive(Clone)]
pub(crate) struct ClonesApi(pub Panel);

#[OpenApi(tag = "Tag::Projects")]
impl ClonesApi {
    /// Plan a clone of an environment
    ///
    /// What would be made, how much data would be copied, what is left out and why, and what stands in its way. Nothing is made.
    #[oai(path = "/environments/:id/clone-plan", method = "post", operation_id = "clone_plan")]
    async fn clone_plan(
        &self,
        who: Signed,
        /// The id of the environment to clone.
        id: Path<String>,
        body: Json<CloneCreate>,
    ) -> Answer<Json<ClonePlan>> {
        // Who may is asked before what is wrong with names.
        who.actor.may_somewhere(types::Action::Configure)?;
        let wish = body.0.try_into()?;
        Ok(Json(self.0.clones.plan(&who.actor, &id.0, &wish).await?.into()))
    }

    /// Clone an environment
    ///
    /// Makes a new environment of the project with the apps of this one: their source, variables, files, limits, health checks, the
    /// policies and rules of their domains under new names, jobs, watches over images, and volumes that are empty or have a copy of the
    /// data. It is made as a whole or not at all: when something fails, or it is cancelled, all that was made goes again. Then its apps
    /// are deployed.
    #[oai(path = "/environments/:id/clones", method = "post", operation_id = "clone_create")]
    async fn clone_create(
        &self,
        who: Signed,
        /// The id of the environment to clone.
        id: Path<String>,
        body: Json<CloneCreate>,
    ) -> Answer<Accepted<EnvironmentClone>> {
        who.actor.may_somewhere(types::Action::Configure)?;
        let wish = body.0.try_into()?;
        Ok(accepted(self.0.clones.create(&who.actor, &id.0, &wish).await?))
    }

    /// List clones of environments
    ///
    /// Newest first: those under way, and of each project the last 20 that are over.
    #[oai(path = "/clones", method = "get", operation_id = "clone_list")]
    async fn clone_list(
        &self,
        who: Signed,
        /// Id or name of a project; left out: of all.
        project: Query<Option<String>>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<EnvironmentClone>>> {
        let clones = self.0.clones.list(&who.actor, project.0.as_deref()).await?;
        page(clones, cursor.0.as_deref(), limit.0, |clone| clone.id.to_string())
    }

    /// Show a clone of an environment
    #[oai(path = "/clones/:id", method = "get", operation_id = "clone_show")]
    async fn clone_show(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Json<EnvironmentClone>> {
        Ok(Json(self.0.clones.get(&who.actor, &id.0).await?.into()))
    }

    /// Cancel a clone of an environment
    ///
    /// While the data is copied: all that was made goes, and what was stopped starts again. Fails with `busy` once the new apps are deployed.
    #[oai(path = "/clones/:id/cancel", method = "post", operation_id = "clone_cancel")]
    async fn clone_cancel(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Accepted<EnvironmentClone>> {
        Ok(accepted(self.0.clones.cancel(&who.actor, &id.0).await?))
    }
}

//! Deployments: asking for one, following it, its log.

use crate::{
    Panel,
    answers::{Accepted, Named, Page, accepted, moment, page},
    failures::{Answer, Failure},
    live::Upgrade,
    logs::LogStream,
    signed::Signed,
    tags::Tag,
};
use futures::StreamExt;
use poem::web::websocket::BoxWebSocketUpgraded;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::{Json, PlainText},
    types::ToJSON,
};
use telemetry::Numbered;
use time::OffsetDateTime;

/// The way from a wish to a live release.
#[derive(Debug, Object)]
pub struct Deployment {
    pub id: String,
    pub app: Named,
    /// #1, #2, … within the app.
    pub number: u64,
    pub cause: DeploymentCause,
    /// With the cause `rollback`: the release it goes back to.
    pub rollback_to: Option<String>,
    /// With the cause `rollback`: why the panel went back by itself; null: somebody asked for it.
    pub rollback_why: Option<String>,
    /// With the cause `rollback`: what stays as it is because whoever asked may not change it, in words.
    pub kept: Vec<String>,
    /// With the cause `promotion`: the release whose image it takes.
    pub promoted: Option<String>,
    /// With the cause `push`: what told of it.
    pub delivery: Option<String>,
    /// With the cause `new_image`: what its registry has now.
    pub new_image: Option<String>,
    /// Who asked, in words.
    pub by: String,
    /// What was asked for in place of the app's branch.
    pub reference: Option<String>,
    pub commit: Option<Commit>,
    /// The upload that it builds.
    pub upload: Option<String>,
    /// Of an app from an image: what was asked for in place of its own.
    pub image: Option<String>,
    /// The build server that its builds went to; null: they were made on the server that runs it, or there were none.
    pub built_on: Option<String>,
    pub phase: Phase,
    /// The phases so far, oldest first.
    pub steps: Vec<Step>,
    /// What it makes live.
    pub release: Option<String>,
    /// What was live when it began.
    pub previous: Option<String>,
    /// Why it failed, in one sentence.
    pub error: Option<String>,
    /// It is not over yet.
    pub cancellable: bool,
    /// Of one that has not begun: its place in the queue, and what it waits for.
    pub waits: Option<Waits>,
    pub queued_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
}

/// Why a deployment has not begun yet.
#[derive(Debug, Object)]
pub struct Waits {
    /// Among those of the organization that wait: 1 is the next one.
    pub place: u32,
    /// In words: others are under way, or the server has too little memory free.
    pub why: String,
}

impl From<app::Waits> for Waits {
    fn from(waits: app::Waits) -> Waits {
        Waits {
            place: waits.place,
            why: waits.why,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum DeploymentCause {
    /// Somebody asked for it.
    Manual,
    /// The app's first.
    Created,
    /// Back to a release that was live before.
    Rollback,
    /// Something was pushed.
    Push,
    /// The image of another app's release.
    Promotion,
    /// Its registry has a newer image.
    NewImage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Phase {
    Queued,
    /// The source or the image is brought here.
    Fetching,
    Building,
    /// A container of the new release is made beside the old one.
    Starting,
    /// Its health is checked; the old one still serves.
    Checking,
    /// It serves a share of the requests, beside the old one.
    Trying,
    /// It serves.
    Live,
    Failed,
    Cancelled,
    /// A newer deployment of the same app came before this one began, or while its canary was tried.
    Superseded,
}

#[derive(Debug, Object)]
pub struct Step {
    pub phase: Phase,
    pub started_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
}

/// A commit of the app's repository.
#[derive(Debug, Object)]
pub struct Commit {
    /// 40 hex digits.
    pub id: String,
    /// The first line of the message.
    pub subject: String,
    pub author: String,
    pub at: OffsetDateTime,
}

/// What to deploy.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct DeploymentCreate {
    /// A branch, tag or commit in place of the app's branch.
    pub reference: Option<String>,
    /// An upload of this app, in place of what it is made from otherwise.
    pub upload: Option<String>,
    /// Of an app from an image, for this deployment only: another tag (`v2`), digest (`sha256:…`) or whole reference of its repository.
    pub image: Option<String>,
    /// An administrator's reason to deploy although a freeze window holds; the audit log has it.
    pub anyway: Option<String>,
}

/// A part of a deployment's log.
#[derive(Debug, Object)]
pub struct DeploymentLog {
    pub lines: Vec<DeploymentLine>,
    /// Give it as `after` for what follows.
    pub next: u64,
    /// Nothing more will come.
    pub complete: bool,
}

#[derive(Debug, Object)]
pub struct DeploymentLine {
    /// 1, 2, … within the log.
    pub n: u64,
    pub at: OffsetDateTime,
    pub stream: LogStream,
    /// May hold ANSI colours.
    pub text: String,
    /// Of a search: the step in which it was printed; else null.
    pub step: Option<String>,
}

impl From<types::Commit> for Commit {
    fn from(commit: types::Commit) -> Commit {
        Commit {
            id: commit.id,
            subject: commit.subject,
            author: commit.author,
            at: moment(commit.at),
        }
    }
}

impl From<types::Phase> for Phase {
    fn from(phase: types::Phase) -> Phase {
        match phase {
            types::Phase::Queued => Phase::Queued,
            types::Phase::Fetching => Phase::Fetching,
            types::Phase::Building => Phase::Building,
            types::Phase::Starting => Phase::Starting,
            types::Phase::Checking => Phase::Checking,
            types::Phase::Trying => Phase::Trying,
            types::Phase::Live => Phase::Live,
            types::Phase::Failed => Phase::Failed,
            types::Phase::Cancelled => Phase::Cancelled,
            types::Phase::Superseded => Phase::Superseded,
        }
    }
}

impl From<app::DeploymentView> for Deployment {
    fn from(view: app::DeploymentView) -> Deployment {
        let deployment = view.deployment;
        let (mut promoted, mut new_image, mut unchanged, mut rollback_why) = (None, None, Vec::new(), None);
        let (cause, rollback_to, delivery) = match deployment.cause {
            types::Cause::Manual => (DeploymentCause::Manual, None, None),
            types::Cause::Created => (DeploymentCause::Created, None, None),
            types::Cause::Promotion { release, .. } => {
                promoted = Some(release.to_string());
                (DeploymentCause::Promotion, None, None)
            }
            types::Cause::Rollback { to, kept, why, .. } => {
                (unchanged, rollback_why) = (kept, why);
                (DeploymentCause::Rollback, Some(to.to_string()), None)
            }
            types::Cause::NewImage { image, digest } => {
                new_image = Some(format!("{image}@{digest}"));
                (DeploymentCause::NewImage, None, None)
            }
            types::Cause::Push { delivery } => (DeploymentCause::Push, None, Some(delivery.to_string())),
        };
        Deployment {
            id: deployment.id.to_string(),
            app: Named::new(deployment.app, view.app_name),
            number: deployment.number,
            cause,
            rollback_to,
            rollback_why,
            kept: unchanged,
            promoted,
            delivery,
            new_image,
            by: deployment.by,
            reference: deployment.reference.map(String::from),
            commit: deployment.commit.map(Commit::from),
            upload: deployment.upload.map(String::from),
            image: deployment.image.map(String::from),
            built_on: deployment.built_on.map(String::from),
            phase: deployment.phase.into(),
            steps: deployment.steps.into_iter().map(Step::from).collect(),
            release: deployment.release.map(String::from),
            previous: deployment.previous.map(String::from),
            error: deployment.error,
            cancellable: view.cancellable,
            waits: view.waits.map(Waits::from),
            queued_at: moment(deployment.queued_at),
            finished_at: deployment.finished_at.map(moment),
        }
    }
}

impl From<types::Step> for Step {
    fn from(step: types::Step) -> Step {
        Step {
            phase: step.phase.into(),
            started_at: moment(step.started_at),
            finished_at: step.finished_at.map(moment),
        }
    }
}

impl From<Numbered> for DeploymentLine {
    fn from(numbered: Numbered) -> DeploymentLine {
        DeploymentLine {
            n: numbered.n,
            at: moment(numbered.line.at),
            stream: numbered.line.stream.into(),
            text: numbered.line.text,
            step: None,
        }
    }
}

/// Lines in one part of a log.
const LINES: u32 = 1000;
const LINES_MAX: u32 = 5000;

#[derive(Clone)]
pub(crate) struct DeploymentsApi(pub Panel);

#[OpenApi(tag = "Tag::Deployments")]
impl DeploymentsApi {
    /// List the deployments of an app
    ///
    /// Newest first.
    #[oai(path = "/apps/:app/deployments", method = "get", operation_id = "deployment_list")]
    async fn deployment_list(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Deployment>>> {
        let deployments = self.0.deployments.list(&who.actor, Some(&app.0), false).await?;
        page(deployments, cursor.0.as_deref(), limit.0, |view| view.deployment.id.to_string())
    }

    /// Deploy an app
    #[oai(path = "/apps/:app/deployments", method = "post", operation_id = "deployment_create")]
    async fn deployment_create(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<DeploymentCreate>,
    ) -> Answer<Accepted<Deployment>> {
        let wanted = match (body.0.reference, body.0.upload, body.0.image) {
            (Some(_), Some(_), _) => return Err(Failure::invalid("upload", "goes without a reference")),
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                return Err(Failure::invalid("image", "goes without a reference or an upload"));
            }
            (Some(reference), None, None) => app::Wanted::Reference(reference.parse()?),
            (None, Some(upload), None) => {
                app::Wanted::Upload(upload.parse().map_err(|_| types::Error::not_found(types::Kind::Upload, upload))?)
            }
            (None, None, Some(image)) => app::Wanted::Image(image),
            (None, None, None) => app::Wanted::Usual,
        };
        let deployments = &self.0.deployments;
        let made = match body.0.anyway {
            Some(why) => deployments.create_anyway(&who.actor, &app.0, wanted, &why).await?,
            None => deployments.create(&who.actor, &app.0, wanted).await?,
        };
        Ok(accepted(made))
    }

    /// List all deployments
    ///
    /// Newest first, over all apps.
    #[oai(path = "/deployments", method = "get", operation_id = "deployment_list_all")]
    async fn deployment_list_all(
        &self,
        who: Signed,
        /// Only those that are not over.
        active: Query<Option<bool>>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Deployment>>> {
        let deployments = self.0.deployments.list(&who.actor, None, active.0.unwrap_or(false)).await?;
        page(deployments, cursor.0.as_deref(), limit.0, |view| view.deployment.id.to_string())
    }

    /// Show a deployment
    #[oai(path = "/deployments/:id", method = "get", operation_id = "deployment_show")]
    async fn deployment_show(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Json<Deployment>> {
        Ok(Json(self.0.deployments.get(&who.actor, &id.0).await?.into()))
    }

    /// Cancel a deployment
    ///
    /// What is live stays live.
    #[oai(path = "/deployments/:id/cancel", method = "post", operation_id = "deployment_cancel")]
    async fn deployment_cancel(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Accepted<Deployment>> {
        Ok(accepted(self.0.deployments.cancel(&who.actor, &id.0).await?))
    }

    /// Read the log of a deployment
    #[oai(path = "/deployments/:id/log", method = "get", operation_id = "deployment_log")]
    async fn deployment_log(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
        /// The `n` of the last line seen; left out: from the start.
        after: Query<Option<u64>>,
        /// At most so many lines: 1 to 5000; left out: 1000.
        limit: Query<Option<u32>>,
        /// Only lines that hold this text, in any case of letters; the whole log is looked through, and each line says in which step it
        /// was printed.
        search: Query<Option<String>>,
    ) -> Answer<Json<DeploymentLog>> {
        let limit = limit.0.unwrap_or(LINES);
        if !(1..=LINES_MAX).contains(&limit) {
            return Err(Failure::invalid("limit", format!("must be 1 to {LINES_MAX}")));
        }
        let (after, limit) = (after.0.unwrap_or(0), limit as usize);
        let (page, steps) = match search.0.filter(|text| !text.is_empty()) {
            Some(text) => self.0.deployments.log_search(&who.actor, &id.0, after, limit, &text).await?,
            None => (self.0.deployments.log(&who.actor, &id.0, after, limit).await?, Vec::new()),
        };
        let mut steps = steps.into_iter();
        let line = |numbered: Numbered| DeploymentLine {
            step: steps.next().flatten(),
            ..DeploymentLine::from(numbered)
        };
        Ok(Json(DeploymentLog {
            lines: page.lines.into_iter().map(line).collect(),
            next: page.next,
            complete: page.complete,
        }))
    }

    /// Download the log of a deployment
    #[oai(path = "/deployments/:id/log.txt", method = "get", operation_id = "deployment_log_text")]
    async fn deployment_log_text(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<PlainText<String>> {
        let mut text = String::new();
        let mut after = 0;
        loop {
            let page = self.0.deployments.log(&who.actor, &id.0, after, LINES_MAX as usize).await?;
            if page.lines.is_empty() {
                return Ok(PlainText(text));
            }
            for numbered in page.lines {
                text.push_str(&numbered.line.text);
                text.push('\n');
            }
            after = page.next;
        }
    }

    /// Follow the log of a deployment
    ///
    /// A WebSocket: each frame is a line as JSON (`DeploymentLine`); it closes after the last one.
    #[oai(path = "/deployments/:id/log/stream", method = "get", operation_id = "deployment_log_stream")]
    async fn deployment_log_stream(
        &self,
        who: Signed,
        socket: Upgrade,
        /// Its id.
        id: Path<String>,
        /// The `n` of the last line seen; left out: from the start.
        after: Query<Option<u64>>,
    ) -> Answer<BoxWebSocketUpgraded> {
        let lines = self.0.deployments.follow(&who.actor, &id.0, after.0.unwrap_or(0)).await?;
        let frames = lines.map(|numbered| DeploymentLine::from(numbered).to_json_string());
        Ok(socket.send(Box::pin(who.revoked(self.0.clone())), frames.boxed()))
    }
}

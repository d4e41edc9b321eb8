//! Previews of an app's pull requests, and which are made.

mod rules;

use crate::{
    Panel,
    answers::{Accepted, Done, Named, Page, accepted, count, moment, page},
    deployments::Phase,
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use rules::{PreviewRules, PreviewRulesPatch};
use time::OffsetDateTime;

/// A pull request of an app, and the copy of the app that runs it.
#[derive(Debug, Object)]
pub struct Preview {
    /// Of the request at the forge.
    pub number: u64,
    pub title: String,
    /// The request's page at the forge.
    pub request_url: String,
    pub author: Option<String>,
    /// What is to be merged.
    pub branch: String,
    /// Where to.
    pub base: String,
    /// The newest commit: 40 hex digits, at Bitbucket the first 12.
    pub commit: String,
    /// It comes from another repository: each of its commits must be allowed, and it gets no secrets.
    pub fork: bool,
    /// The repository that it comes from, as the forge names it.
    pub from: Option<String>,
    pub labels: Vec<String>,
    pub state: PreviewState,
    /// How it fares, in words.
    pub why: String,
    /// Why the next step cannot be done; it is tried again.
    pub problem: Option<String>,
    /// Who allowed which commit.
    pub approved_by: Option<String>,
    pub approved_commit: Option<String>,
    /// Where it is.
    pub url: Option<String>,
    pub environment: Option<String>,
    /// The app that was made for it, with its deployments, logs and variables.
    pub app: Option<Named>,
    /// The newest deployment of that app.
    pub deployment: Option<String>,
    pub phase: Option<Phase>,
    /// The commit that was deployed last.
    pub deployed: Option<String>,
    /// It goes after so many days without a push.
    pub days_left: Option<u32>,
    /// Why the comment at the forge could not be written.
    pub comment_problem: Option<String>,
    pub pushed_at: OffsetDateTime,
    pub created_at: OffsetDateTime,
}

/// What should become of a preview, or has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum PreviewState {
    /// From a fork: somebody must allow its newest commit first.
    Waiting,
    /// There are as many as there may be; it follows when one goes.
    Full,
    /// Its labels leave it out.
    LeftOut,
    /// It is to be made or renewed.
    Wanted,
    /// The newest commit was given to the deployer.
    Up,
    /// It is being removed.
    Going,
    Gone,
}

/// Which commit may run.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PreviewApproval {
    /// It must be the newest one, whole: so nobody allows what they have not seen.
    pub commit: String,
}

/// What a look at the forge came to.
#[derive(Debug, Object)]
pub struct PreviewComparison {
    /// Previews that go, since their requests are not open any more.
    pub removed: u32,
}

impl From<types::PreviewState> for PreviewState {
    fn from(state: types::PreviewState) -> PreviewState {
        match state {
            types::PreviewState::Waiting => PreviewState::Waiting,
            types::PreviewState::Full => PreviewState::Full,
            types::PreviewState::LeftOut => PreviewState::LeftOut,
            types::PreviewState::Wanted => PreviewState::Wanted,
            types::PreviewState::Up => PreviewState::Up,
            types::PreviewState::Going => PreviewState::Going,
            types::PreviewState::Gone => PreviewState::Gone,
        }
    }
}

impl From<app::PreviewView> for Preview {
    fn from(view: app::PreviewView) -> Preview {
        let (preview, request) = (view.preview.clone(), view.preview.request);
        let approved = preview.approved;
        Preview {
            number: request.number,
            title: request.title,
            request_url: request.url,
            author: request.author,
            branch: request.branch,
            base: request.base,
            commit: request.head,
            fork: request.fork,
            from: request.from,
            labels: request.labels,
            state: preview.state.into(),
            why: view.words,
            problem: preview.problem,
            approved_by: approved.as_ref().map(|approved| approved.by.clone()),
            approved_commit: approved.map(|approved| approved.commit),
            url: view.url,
            environment: preview.environment.map(|id| id.to_string()),
            app: view.app.map(|app| Named::new(&app.id, &app.name)),
            phase: view.deployment.as_ref().map(|deployment| deployment.phase.into()),
            deployment: view.deployment.map(|deployment| deployment.id.to_string()),
            deployed: preview.deployed,
            days_left: view.days_left,
            comment_problem: preview.tell_problem,
            pushed_at: moment(preview.pushed_at),
            created_at: moment(preview.created_at),
        }
    }
}

#[derive(Clone)]
pub(crate) struct PreviewsApi(pub Panel);

#[OpenApi(tag = "Tag::Previews")]
impl PreviewsApi {
    /// Show which pull requests of an app are previewed
    #[oai(path = "/apps/:app/preview-rules", method = "get", operation_id = "preview_rules_show")]
    async fn preview_rules_show(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<PreviewRules>> {
        Ok(Json(self.0.previews.rules(&who.actor, &app.0).await?.into()))
    }

    /// Change which pull requests of an app are previewed
    ///
    /// It holds for previews that are made from then on. Switched off, all of them go. To switch them on takes the rights to configure
    /// and to deploy in the whole project, since each is an environment of its own there.
    #[oai(path = "/apps/:app/preview-rules", method = "patch", operation_id = "preview_rules_update")]
    async fn preview_rules_update(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<PreviewRulesPatch>,
    ) -> Answer<Json<PreviewRules>> {
        // Who may is asked before what is wrong with names of variables.
        who.actor.may_somewhere(types::Action::Configure)?;
        let change: app::PreviewRulesChange = body.0.try_into()?;
        Ok(Json(self.0.previews.update(&who.actor, &app.0, change).await?.into()))
    }

    /// List an app's previews
    ///
    /// By the number of the request, the newest first.
    #[oai(path = "/apps/:app/previews", method = "get", operation_id = "preview_list")]
    async fn preview_list(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// With those that are gone, of the last 30 days.
        #[oai(default)]
        all: Query<bool>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Preview>>> {
        let previews = self.0.previews.list(&who.actor, &app.0, all.0).await?;
        page(previews, cursor.0.as_deref(), limit.0, |view| {
            view.preview.request.number.to_string()
        })
    }

    /// Show a preview
    #[oai(path = "/apps/:app/previews/:number", method = "get", operation_id = "preview_show")]
    async fn preview_show(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Of the request.
        number: Path<String>,
    ) -> Answer<Json<Preview>> {
        Ok(Json(self.0.previews.get(&who.actor, &app.0, &number.0).await?.into()))
    }

    /// Remove a preview
    ///
    /// With its containers, volumes, network, domain and images. The next push to the request makes it anew.
    #[oai(path = "/apps/:app/previews/:number", method = "delete", operation_id = "preview_remove")]
    async fn preview_remove(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Of the request.
        number: Path<String>,
    ) -> Answer<Done> {
        self.0.previews.remove(&who.actor, &app.0, &number.0).await?;
        Ok(Done::Done)
    }

    /// Make or renew a preview now
    ///
    /// Also in spite of its labels.
    #[oai(path = "/apps/:app/previews/:number/deploy", method = "post", operation_id = "preview_deploy")]
    async fn preview_deploy(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Of the request.
        number: Path<String>,
    ) -> Answer<Accepted<Preview>> {
        Ok(accepted(self.0.previews.deploy(&who.actor, &app.0, &number.0).await?))
    }

    /// Allow a commit of a fork to run
    ///
    /// That one alone; the next push waits again.
    #[oai(path = "/apps/:app/previews/:number/approve", method = "post", operation_id = "preview_approve")]
    async fn preview_approve(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Of the request.
        number: Path<String>,
        body: Json<PreviewApproval>,
    ) -> Answer<Accepted<Preview>> {
        let view = self.0.previews.approve(&who.actor, &app.0, &number.0, &body.0.commit).await?;
        Ok(accepted(view))
    }

    /// Ask the forge which requests are open
    ///
    /// As the panel does each hour by itself: previews of others go.
    #[oai(path = "/apps/:app/preview-comparison", method = "post", operation_id = "preview_compare")]
    async fn preview_compare(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<PreviewComparison>> {
        let removed = count(self.0.previews.compare(&who.actor, &app.0).await?);
        Ok(Json(PreviewComparison { removed }))
    }
}

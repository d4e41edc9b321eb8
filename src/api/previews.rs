//! Previews of an app's pull requests, and which are made.

use crate::{
    Panel,
    answers::{Accepted, Done, Named, Page, accepted, count, moment, page},
    deployments::Phase,
    failures::Answer,
    signed::Signed,
    tags::Tag,
    variables::VariableScope,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use time::OffsetDateTime;
use types::{Error, Result, Secret, VariableKey};

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

/// Which pull requests of an app are previewed, and how.
#[derive(Debug, Object)]
pub struct PreviewRules {
    pub enabled: bool,
    /// Where previews are; `{number}`, `{app}` and `{domain}` (the domain of apps) stand for what they say.
    pub host: String,
    /// Where the preview of #42 would be.
    pub example: Option<String>,
    /// Why that is no name.
    pub host_problem: Option<String>,
    /// Only requests with this label.
    pub only_label: Option<String>,
    /// No request with this label.
    pub never_label: Option<String>,
    /// So many at a time.
    pub most: u32,
    /// One goes after so many days without a push.
    pub days: u32,
    /// Null: as the app has. Of an app of several services it holds for each of them, whatever its file says.
    pub memory_bytes: Option<u64>,
    /// Null: as the app has.
    pub cpu_millis: Option<u32>,
    /// Keys of secret variables that previews get nevertheless; those of forks never do.
    pub secrets: Vec<String>,
    /// In place of the app's own.
    pub variables: Vec<PreviewVariable>,
    /// An app of which each preview gets a copy, under the same name.
    pub database: Option<PreviewDatabase>,
    /// A comment beside each request is kept true.
    pub comment: bool,
    /// The app is from a connected forge: there are comments, and each hour the forge is asked which requests are open.
    pub connected: bool,
    /// There is a webhook, by which requests reach the panel; null: there is none. True: the panel has made it at the forge, which
    /// sends requests too.
    pub webhook: Option<bool>,
    pub compared_at: Option<OffsetDateTime>,
    /// Why the forge could not be asked, or the webhook not be changed there.
    pub problem: Option<String>,
}

/// A variable that previews have.
#[derive(Debug, Object)]
pub struct PreviewVariable {
    pub key: String,
    /// Null for a secret.
    pub value: Option<String>,
    pub scope: VariableScope,
    /// Not for requests from forks.
    pub secret: bool,
}

/// The app that is copied for each preview.
#[derive(Debug, Object)]
pub struct PreviewDatabase {
    pub app: Named,
    pub data: PreviewData,
}

/// What is in the copy of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum PreviewData {
    /// Nothing, and its passwords are new: `${POSTGRES_PASSWORD}` in a variable of previews is the new one.
    Fresh,
    /// What is in its volumes. It must be stopped: the files of a running database are not of one moment. A clone of it without
    /// deployments can be the seed, so that it runs on.
    Copy,
}

/// What is left out stays as it is.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PreviewRulesPatch {
    pub enabled: Option<bool>,
    /// Empty: `pr-{number}.{app}.{domain}`.
    pub host: Option<String>,
    pub only_label: MaybeUndefined<String>,
    pub never_label: MaybeUndefined<String>,
    /// 1 to 100.
    pub most: Option<u32>,
    /// 1 to 365.
    pub days: Option<u32>,
    /// Null: as the app has.
    pub memory_bytes: MaybeUndefined<u64>,
    /// Null: as the app has.
    pub cpu_millis: MaybeUndefined<u32>,
    /// All of them. To add one takes the right to see secrets.
    pub secrets: Option<Vec<String>>,
    /// All of them; a value that is left out stays.
    pub variables: Option<Vec<PreviewVariableInput>>,
    /// Null: none.
    pub database: MaybeUndefined<PreviewDatabaseInput>,
    pub comment: Option<bool>,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PreviewVariableInput {
    pub key: String,
    pub value: Option<String>,
    pub scope: Option<VariableScope>,
    pub secret: Option<bool>,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PreviewDatabaseInput {
    /// Id, or name in the app's own environment.
    pub app: String,
    /// Left out: fresh.
    pub data: Option<PreviewData>,
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

impl From<types::PreviewData> for PreviewData {
    fn from(data: types::PreviewData) -> PreviewData {
        match data {
            types::PreviewData::Fresh => PreviewData::Fresh,
            types::PreviewData::Copy => PreviewData::Copy,
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

impl From<app::PreviewRulesView> for PreviewRules {
    fn from(view: app::PreviewRulesView) -> PreviewRules {
        let rules = view.rules;
        let (example, host_problem) = match view.example {
            Ok(host) => (Some(host.to_string()), None),
            Err(why) => (None, Some(why)),
        };
        let variables = view.variables.into_iter().map(|(variable, value)| PreviewVariable {
            key: variable.key.to_string(),
            value: value.and_then(|value| value.expose_str().map(str::to_owned)),
            scope: variable.scope.into(),
            secret: variable.secret,
        });
        PreviewRules {
            enabled: rules.enabled,
            host: rules.host,
            example,
            host_problem,
            only_label: rules.only_label,
            never_label: rules.never_label,
            most: rules.most,
            days: rules.days,
            memory_bytes: rules.memory_bytes,
            cpu_millis: rules.cpu_millis,
            secrets: rules.secrets.iter().map(ToString::to_string).collect(),
            variables: variables.collect(),
            database: view.database.map(|(app, data)| PreviewDatabase {
                app: Named::new(&app.id, &app.name),
                data: data.into(),
            }),
            comment: rules.comment,
            connected: view.is_connected,
            webhook: view.webhook,
            compared_at: rules.compared_at.map(moment),
            problem: rules.problem,
        }
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

fn key(field: &str, text: &str) -> Result<VariableKey> {
    text.parse().map_err(|error: Error| match error {
        Error::Invalid { why, .. } => Error::invalid(field, format!("`{text}` {why}")),
        error => error,
    })
}

impl TryFrom<PreviewRulesPatch> for app::PreviewRulesChange {
    type Error = Error;
    fn try_from(body: PreviewRulesPatch) -> Result<app::PreviewRulesChange> {
        let secrets = body
            .secrets
            .map(|keys| keys.iter().map(|one| key("secrets", one)).collect::<Result<_>>());
        let variable = |input: PreviewVariableInput| {
            Ok(app::PreviewVariableWish {
                key: key("variables", &input.key)?,
                value: input.value.map(Secret::from),
                scope: input.scope.map(Into::into),
                secret: input.secret,
            })
        };
        let variables = body.variables.map(|inputs| inputs.into_iter().map(variable).collect::<Result<_>>());
        let data = |data: Option<PreviewData>| match data {
            Some(PreviewData::Copy) => types::PreviewData::Copy,
            Some(PreviewData::Fresh) | None => types::PreviewData::Fresh,
        };
        Ok(app::PreviewRulesChange {
            enabled: body.enabled,
            host: body.host,
            only_label: wish(body.only_label),
            never_label: wish(body.never_label),
            most: body.most,
            days: body.days,
            memory_bytes: wish(body.memory_bytes),
            cpu_millis: wish(body.cpu_millis),
            secrets: secrets.transpose()?,
            variables: variables.transpose()?,
            database: wish(body.database).map(|wanted| wanted.map(|wanted| (wanted.app, data(wanted.data)))),
            comment: body.comment,
        })
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

//! Repositories whose CI may deploy an app, and what its jobs change their ID tokens for.

use crate::{
    Panel,
    answers::{Created, Done, created, moment},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use time::OffsetDateTime;

/// Whom an app trusts, and how a job comes in.
#[derive(Debug, Object)]
pub struct CiTrusts {
    /// For whom ID tokens must be made: the panel's own address.
    pub audience: String,
    /// A workflow for GitHub Actions that deploys the app and waits for the outcome, as it can be taken over.
    pub workflow: String,
    /// Oldest first.
    pub items: Vec<CiTrust>,
}

/// A repository whose CI may deploy the app. All that is named must be in the job's ID token.
#[derive(Debug, Object)]
pub struct CiTrust {
    pub id: String,
    /// Who signs.
    pub issuer: String,
    /// Certificates in PEM of an own authority that are believed of the issuer, beside those of the server.
    pub authority: Option<String>,
    /// `owner/name`.
    pub repository: String,
    /// The forge's number of it, known since its first job: another one of the same name is not taken for it.
    pub repository_id: Option<String>,
    pub branches: Vec<String>,
    pub tags: Vec<String>,
    /// The environment of the job.
    pub environment: Option<String>,
    /// The file of the workflow.
    pub workflow: Option<String>,
    /// Through whom it acts, with their present rights; null: they are gone, and so it is of no use.
    pub by: Option<String>,
    pub created_at: OffsetDateTime,
    /// It ends then; null: never.
    pub ends_at: Option<OffsetDateTime>,
    pub last_used_at: Option<OffsetDateTime>,
    /// When the issuer's keys were read last; null: not yet since the panel started.
    pub keys_read_at: Option<OffsetDateTime>,
    /// Why they could not be read at the last try; null: they were.
    pub problem: Option<String>,
}

/// A repository to trust.
///
/// Patterns have `*` (within a part), `**` (any parts), `?`, `[a-z]` and `{a,b}`; `!` in front takes out again. Jobs of pull requests never fit.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct CiTrustCreate {
    /// Left out: `https://token.actions.githubusercontent.com`. `https://gitlab.com`, or the address of an own GitLab.
    pub issuer: Option<String>,
    /// Certificates in PEM of an own authority, for an issuer whose own certificate no public one has signed.
    pub authority: Option<String>,
    /// `owner/name`, at GitLab the project's path.
    pub repository: String,
    /// Patterns of branches; at least one branch or tag must be named.
    #[oai(default)]
    pub branches: Vec<String>,
    /// Patterns of tags.
    #[oai(default)]
    pub tags: Vec<String>,
    /// Only jobs of this environment at the forge.
    pub environment: Option<String>,
    /// Only jobs of this file: `.github/workflows/deploy.yml`.
    pub workflow: Option<String>,
}

/// What a job of a CI brings.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct CiTokenCreate {
    /// Id or name of the app.
    pub app: String,
    /// The job's ID token, made for the panel's own address as the audience.
    pub id_token: String,
}

/// What it gets.
#[derive(Object)]
pub struct CiToken {
    /// `sk_…`: it can deploy this app alone. It is not shown again.
    pub token: String,
    pub expires_at: OffsetDateTime,
    /// The app's id.
    pub app: String,
}

impl From<app::CiTrustView> for CiTrust {
    fn from(view: app::CiTrustView) -> CiTrust {
        let trust = view.trust;
        CiTrust {
            id: trust.id.to_string(),
            issuer: trust.issuer,
            authority: trust.authority,
            repository: trust.repository,
            repository_id: trust.repository_id,
            branches: trust.branches,
            tags: trust.tags,
            environment: trust.environment,
            workflow: trust.workflow,
            by: view.by,
            created_at: moment(trust.created_at),
            ends_at: trust.ends_at.map(moment),
            last_used_at: trust.last_used_at.map(moment),
            keys_read_at: view.keys.read_at.map(moment),
            problem: view.keys.problem,
        }
    }
}

impl From<CiTrustCreate> for app::CiTrustWish {
    fn from(body: CiTrustCreate) -> app::CiTrustWish {
        app::CiTrustWish {
            issuer: body.issuer,
            authority: body.authority,
            repository: body.repository,
            branches: body.branches,
            tags: body.tags,
            environment: body.environment,
            workflow: body.workflow,
        }
    }
}

#[derive(Clone)]
pub(crate) struct CiTrustsApi(pub Panel);

#[OpenApi(tag = "Tag::Tokens")]
impl CiTrustsApi {
    /// List repositories whose CI may deploy an app
    #[oai(path = "/apps/:app/ci-trusts", method = "get", operation_id = "ci_trust_list")]
    async fn ci_trust_list(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<CiTrusts>> {
        let service = &self.0.ci_trusts;
        let items = service.list(&who.actor, &app.0).await?;
        Ok(Json(CiTrusts {
            audience: service.audience()?,
            workflow: service.workflow(&who.actor, &app.0).await?,
            items: items.into_iter().map(CiTrust::from).collect(),
        }))
    }

    /// Let the CI of a repository deploy an app
    ///
    /// Nothing secret lies at the forge: each job changes an ID token, which the forge signs for it, for a token that can deploy this
    /// app for an hour. It acts through who adds it, with their present rights.
    #[oai(path = "/apps/:app/ci-trusts", method = "post", operation_id = "ci_trust_add")]
    async fn ci_trust_add(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<CiTrustCreate>,
    ) -> Answer<Created<CiTrust>> {
        Ok(created(self.0.ci_trusts.add(&who.actor, &app.0, body.0.into()).await?))
    }

    /// Trust a repository no more
    ///
    /// Tokens that its jobs have got end at once.
    #[oai(path = "/apps/:app/ci-trusts/:id", method = "delete", operation_id = "ci_trust_remove")]
    async fn ci_trust_remove(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.ci_trusts.remove(&who.actor, &app.0, &id.0).await?;
        Ok(Done::Done)
    }

    /// Change a job's ID token for an API token
    ///
    /// For jobs of repositories that the app trusts; needs no other proof. Each ID token is changed once. Refusals take a second, whatever
    /// they are for.
    #[oai(path = "/ci/token", method = "post", operation_id = "ci_token_create")]
    async fn ci_token_create(&self, body: Json<CiTokenCreate>) -> Answer<Created<CiToken>> {
        let given = self.0.ci_trusts.exchange(&body.0.app, &body.0.id_token).await?;
        Ok(created(CiToken {
            token: given.secret.expose_str().unwrap_or_default().to_owned(),
            expires_at: moment(given.expires_at),
            app: given.app.id.to_string(),
        }))
    }
}

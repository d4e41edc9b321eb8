//! Releases: what was or is live, going back, and what differs.

use crate::{
    Panel,
    answers::{Accepted, Named, Page, accepted, moment, page},
    apps::{Health, Limits, Mount},
    deployments::{Commit, Deployment},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;

/// Everything that a container of an app is made of, never changed once made.
#[derive(Debug, Object)]
pub struct Release {
    pub id: String,
    pub number: u64,
    /// The deployment that made it.
    pub deployment: String,
    /// The engine's id of the image.
    pub image: String,
    /// What people call it.
    pub image_name: String,
    /// By what its registry knows it, `name@sha256:…`; null for one that was built here.
    pub digest: Option<String>,
    pub commit: Option<Commit>,
    /// Where the forge shows the commit.
    pub commit_page: Option<String>,
    /// The upload that it was built from; kept with it.
    pub upload: Option<String>,
    pub port: u16,
    pub command: Option<Vec<String>>,
    pub mounts: Vec<Mount>,
    pub files: Vec<ReleaseFile>,
    /// The hosts it was made live under.
    pub domains: Vec<String>,
    /// Ports of the server that led to it, such as `tcp/5432`.
    pub ports: Vec<String>,
    pub limits: Limits,
    pub health: Health,
    pub variables: Vec<ReleaseVariable>,
    pub variables_version: u64,
    pub live: bool,
    /// It is kept until it is unpinned.
    pub pinned: bool,
    /// Of its image, with what that shares with others; 0: not known.
    pub bytes: u64,
    pub created_at: OffsetDateTime,
}

#[derive(Debug, Object)]
pub struct ReleaseVariable {
    pub key: String,
    pub secret: bool,
}

/// A configuration file of a release, without what is in it.
#[derive(Debug, Object)]
pub struct ReleaseFile {
    pub path: String,
    /// Permission bits in octal.
    pub mode: String,
    pub secret: bool,
}

/// Where to go back to.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct Rollback {
    /// The id of a release or of the deployment that made it, or its number; left out: what was live before.
    pub to: Option<String>,
    /// Leave domains as they are now, in place of giving them the rules and policies that the release had; left out: false.
    /// Domains that came since always stay. The same holds for ports of the server.
    pub keep_routes: Option<bool>,
}

/// What to bring where.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct Promotion {
    /// An app of the same project, or an environment of it that has an app of the same name.
    pub to: String,
    /// The id of a release or of the deployment that made it, or its number; left out: what is live.
    pub release: Option<String>,
}

/// What a promotion would do. Variables, limits and all but the images are the target's own, and stay.
#[derive(Debug, Object)]
pub struct PromotionPlan {
    pub app: Named,
    pub environment: Named,
    /// The number of the release that would go there.
    pub release: u64,
    /// The number of what is live there; null: it would be the first.
    pub live: Option<u64>,
    /// From what is live there to what would be; empty when nothing is.
    pub changes: Vec<Change>,
    /// In words: why the target may not be the one that is meant, so that a person is to be asked.
    pub warnings: Vec<String>,
}

/// What differs between two releases.
#[derive(Debug, Object)]
pub struct Diff {
    pub changes: Vec<Change>,
}

#[derive(Debug, Object)]
pub struct Change {
    /// Such as `commit`, `port`, `variable DATABASE_URL`.
    pub what: String,
    /// Null: was not there. Secrets show as `changed`.
    pub from: Option<String>,
    /// Null: is gone.
    pub to: Option<String>,
    /// Of a commit: where the forge shows the one before.
    pub from_page: Option<String>,
    /// Of a commit: where the forge shows it.
    pub to_page: Option<String>,
}

impl From<app::ReleaseView> for Release {
    fn from(view: app::ReleaseView) -> Release {
        let release = view.release;
        Release {
            id: release.id.to_string(),
            number: release.number,
            deployment: release.deployment.to_string(),
            image: release.image,
            image_name: release.image_name,
            digest: release.digest,
            commit: release.commit.map(Commit::from),
            commit_page: view.commit_page,
            upload: release.upload.map(String::from),
            port: release.port,
            command: release.command,
            mounts: view.mounts.into_iter().map(Mount::from).collect(),
            files: release.files.into_iter().map(ReleaseFile::from).collect(),
            domains: release.domains,
            ports: release.ports.iter().flatten().map(|port| port.listen.to_string()).collect(),
            limits: release.limits.into(),
            health: release.health.into(),
            variables: release.variables.into_iter().map(ReleaseVariable::from).collect(),
            variables_version: release.variables_version,
            live: view.live,
            pinned: release.pinned,
            bytes: release.bytes,
            created_at: moment(release.created_at),
        }
    }
}

impl From<types::ReleaseVariable> for ReleaseVariable {
    fn from(variable: types::ReleaseVariable) -> ReleaseVariable {
        ReleaseVariable {
            key: variable.key.to_string(),
            secret: variable.secret,
        }
    }
}

impl From<types::ConfigFile> for ReleaseFile {
    fn from(file: types::ConfigFile) -> ReleaseFile {
        ReleaseFile {
            path: file.path.to_string(),
            mode: format!("{:o}", file.mode),
            secret: file.secret,
        }
    }
}

impl From<app::Difference> for Change {
    fn from(difference: app::Difference) -> Change {
        let [from_page, to_page] = difference.pages;
        Change {
            from_page,
            to_page,
            what: difference.what,
            from: difference.from,
            to: difference.to,
        }
    }
}

impl From<app::PromotionPlan> for PromotionPlan {
    fn from(plan: app::PromotionPlan) -> PromotionPlan {
        PromotionPlan {
            app: Named::new(&plan.target.id, &plan.target.name),
            environment: Named::new(&plan.environment.id, &plan.environment.name),
            release: plan.release,
            live: plan.live,
            changes: plan.changes.into_iter().map(Change::from).collect(),
            warnings: plan.warnings,
        }
    }
}

#[derive(Clone)]
pub(crate) struct ReleasesApi(pub Panel);

#[OpenApi(tag = "Tag::Deployments")]
impl ReleasesApi {
    /// List the releases of an app
    ///
    /// Newest first.
    #[oai(path = "/apps/:app/releases", method = "get", operation_id = "release_list")]
    async fn release_list(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Release>>> {
        let releases = self.0.releases.list(&who.actor, &app.0).await?;
        page(releases, cursor.0.as_deref(), limit.0, |view| view.release.id.to_string())
    }

    /// Go back to an earlier release
    ///
    /// All of it: image, variables, files, mounts, routes, limits, health check; ports of the server too where the caller may open them
    /// (the role admin), else these stay as they are. Routes come back where the caller may change domains (a token: the scope write), and
    /// those with forward-auth or an origin that is not there now where they may set those. `kept` in the answer says what stays.
    #[oai(path = "/apps/:app/rollback", method = "post", operation_id = "app_rollback")]
    async fn app_rollback(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<Rollback>,
    ) -> Answer<Accepted<Deployment>> {
        Ok(accepted(
            self.0
                .deployments
                .roll_back(&who.actor, &app.0, body.0.to.as_deref(), body.0.keep_routes.unwrap_or(false))
                .await?,
        ))
    }

    /// Promote a release
    ///
    /// Deploys its image, or those of all its services, as they are, to another app of the project, with that app's own variables, limits and all
    /// else.
    #[oai(path = "/apps/:app/promote", method = "post", operation_id = "release_promote")]
    async fn release_promote(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<Promotion>,
    ) -> Answer<Accepted<Deployment>> {
        let Promotion { to, release } = body.0;
        Ok(accepted(
            self.0.deployments.promote(&who.actor, &app.0, release.as_deref(), &to).await?,
        ))
    }

    /// See what a promotion would do
    ///
    /// What would change in the other app, from what is live there to what would be; nothing is done.
    #[oai(path = "/apps/:app/promotion-plan", method = "get", operation_id = "promotion_plan")]
    async fn promotion_plan(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// The id of a release or of the deployment that made it, or its number; left out: what is live.
        release: Query<Option<String>>,
        /// An app of the same project, or an environment of it that has an app of the same name. Needed.
        to: Query<Option<String>>,
    ) -> Answer<Json<PromotionPlan>> {
        let plan = self
            .0
            .releases
            .promotion(&who.actor, &app.0, release.0.as_deref(), to.0.as_deref())
            .await?;
        Ok(Json(plan.into()))
    }

    /// Pin a release
    ///
    /// It is kept until it is unpinned, whatever its age.
    #[oai(path = "/apps/:app/releases/:release/pin", method = "put", operation_id = "release_pin")]
    async fn release_pin(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// The id of a release or a deployment, or its number.
        release: Path<String>,
    ) -> Answer<Json<Release>> {
        Ok(Json(self.0.releases.pin(&who.actor, &app.0, &release.0, true).await?.into()))
    }

    /// Unpin a release
    #[oai(path = "/apps/:app/releases/:release/pin", method = "delete", operation_id = "release_unpin")]
    async fn release_unpin(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// The id of a release or a deployment, or its number.
        release: Path<String>,
    ) -> Answer<Json<Release>> {
        Ok(Json(self.0.releases.pin(&who.actor, &app.0, &release.0, false).await?.into()))
    }

    /// Compare two releases
    ///
    /// Of one app, or of two of the same project. Values of secrets are never shown.
    #[oai(path = "/apps/:app/diff", method = "get", operation_id = "release_diff")]
    async fn release_diff(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// The id of a release or a deployment, or its number. Needed.
        from: Query<Option<String>>,
        /// The id of a release or a deployment, its number, or `live`. Needed.
        to: Query<Option<String>>,
        /// The app that `to` is of, or an environment of the project that has an app of the same name; left out: the same.
        to_app: Query<Option<String>>,
    ) -> Answer<Json<Diff>> {
        let changes = self
            .0
            .releases
            .diff(&who.actor, &app.0, from.0.as_deref(), to.0.as_deref(), to_app.0.as_deref())
            .await?;
        Ok(Json(Diff {
            changes: changes.into_iter().map(Change::from).collect(),
        }))
    }
}

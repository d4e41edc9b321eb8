//! Apps: where they come from, how they run, the trash.

mod canary;
mod input;
mod removal;
mod running;
mod source;
mod view;

pub use canary::{AppCanary, AppCanaryInput};
pub use input::{AppCreate, AppPatch, DeployLockCreate};
pub use removal::{AppPurge, DeletePlan};
pub use running::{Health, HealthInput, Limits, LimitsInput, Mount, MountInput};
pub use source::{Source, SourceInput};
pub use view::App;

use crate::{
    Panel,
    answers::{Accepted, Created, Done, Page, accepted, created, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};

/// The public half of an app's key.
#[derive(Debug, Object)]
pub struct DeployKey {
    /// In OpenSSH's form; give it to the forge.
    pub public_key: String,
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
        let change = patch.change(limits, health)?;
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

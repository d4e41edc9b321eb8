//! Newer versions of the templates that apps were made from.

use crate::{
    Panel,
    apps::App,
    failures::Answer,
    marketplace::CatalogVariable,
    signed::Signed,
    stacks::{ComposeRight, PlannedService},
    tags::Tag,
};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use std::collections::BTreeMap;

/// How to update an app to another version of its template.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct TemplateUpdate {
    /// Of variables that the new version asks and the old one did not; what is left out is generated or has its default.
    pub values: Option<BTreeMap<String, String>>,
    /// The Compose file to take; left out: what the template changed and what the app changed, together.
    pub compose: Option<String>,
}

/// What an update would do.
#[derive(Debug, Object)]
pub struct TemplateUpdatePlan {
    pub template: String,
    /// The version that the app has.
    pub from: String,
    /// The version that the catalog has.
    pub to: String,
    /// What to know before.
    pub notes: Option<String>,
    /// The app's Compose file as it would be. With conflicts it has marks (`<<<<<<<`) to be settled.
    pub compose: String,
    /// From the app's file to that, as a unified diff.
    pub diff: String,
    /// Lines that the template and the app changed in different ways.
    pub conflicts: Vec<TemplateConflict>,
    /// The app's file was changed since it was installed.
    pub edited: bool,
    /// What the new version asks for the first time.
    pub variables: Vec<CatalogVariable>,
    /// Names of those whose value is made up unless given.
    pub generated: Vec<String>,
    /// Empty while there are conflicts or a value is needed.
    pub services: Vec<PlannedService>,
    /// What reaches the host: only an administrator may take it over.
    pub rights: Vec<ComposeRight>,
}

/// Lines that both changed.
#[derive(Debug, Object)]
pub struct TemplateConflict {
    /// Where its mark stands in `compose`, from 1.
    pub line: u32,
    /// The app's lines.
    pub mine: String,
    /// The template's.
    pub theirs: String,
}

impl From<app::UpdatePlan> for TemplateUpdatePlan {
    fn from(plan: app::UpdatePlan) -> TemplateUpdatePlan {
        let conflict = |conflict: app::Conflict| TemplateConflict {
            line: conflict.line,
            mine: conflict.mine,
            theirs: conflict.theirs,
        };
        TemplateUpdatePlan {
            template: plan.template.to_string(),
            from: plan.from,
            to: plan.to,
            notes: plan.notes,
            compose: plan.text,
            diff: plan.diff,
            conflicts: plan.conflicts.into_iter().map(conflict).collect(),
            edited: plan.edited,
            variables: plan.asks.iter().map(CatalogVariable::from).collect(),
            generated: plan.generated,
            services: plan.services.into_iter().map(PlannedService::from).collect(),
            rights: plan.rights.into_iter().map(ComposeRight::from).collect(),
        }
    }
}

impl From<TemplateUpdate> for app::UpdateWish {
    fn from(body: TemplateUpdate) -> app::UpdateWish {
        app::UpdateWish {
            values: body.values.unwrap_or_default(),
            text: body.compose,
        }
    }
}

#[derive(Clone)]
pub(crate) struct TemplateUpdatesApi(pub Panel);

#[OpenApi(tag = "Tag::Catalog")]
impl TemplateUpdatesApi {
    /// Plan an update of an app's template
    ///
    /// Nothing is changed. Fails with `busy` when the app has the newest version.
    #[oai(path = "/apps/:app/template/plan", method = "post", operation_id = "app_template_plan")]
    async fn app_template_plan(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<TemplateUpdate>,
    ) -> Answer<Json<TemplateUpdatePlan>> {
        let plan = self.0.template_updates.plan(&who.actor, &app.0, body.0.into()).await?;
        Ok(Json(plan.into()))
    }

    /// Update an app to the newest version of its template
    ///
    /// What the template changed and what the app's users changed come together, and the app is deployed. Where both changed
    /// the same lines it fails with `invalid` until `compose` settles it.
    #[oai(path = "/apps/:app/template/update", method = "post", operation_id = "app_template_update")]
    async fn app_template_update(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<TemplateUpdate>,
    ) -> Answer<Json<App>> {
        let view = self.0.template_updates.update(&who.actor, &app.0, body.0.into()).await?;
        Ok(Json(view.into()))
    }

    /// Take the last update of an app's template back
    ///
    /// The app gets the file and version from before, and is deployed. Its data stays as it is now.
    #[oai(path = "/apps/:app/template/undo", method = "post", operation_id = "app_template_undo")]
    async fn app_template_undo(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<App>> {
        Ok(Json(self.0.template_updates.undo(&who.actor, &app.0).await?.into()))
    }
}

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
    /// Another one of the template's versions than the app has, such as `18`; left out: the one that it has.
    pub version: Option<String>,
    /// The Compose file to take; left out: what the template changed and what the app changed, together.
    pub compose: Option<String>,
    /// Update without a copy of the app's data; left out: a copy is made first.
    pub without_copy: Option<bool>,
}

/// Back to what was before an update.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct TemplateUndo {
    /// Also bring the copy of the data back; what was written since stays in volumes of their own. Left out: the data stays as it is.
    pub data: Option<bool>,
}

/// What of an app's data is copied before an update.
#[derive(Debug, Object)]
pub struct DataCopyPlan {
    pub volumes: Vec<DataCopyVolume>,
    pub bytes: u64,
    /// What the disk that they lie on has left; null: not known.
    pub free_bytes: Option<u64>,
    /// Why there is no room for it.
    pub problem: Option<String>,
}

/// A volume of an app.
#[derive(Debug, Object)]
pub struct DataCopyVolume {
    /// As the Compose file calls it.
    pub name: String,
    /// Null: not measured.
    pub bytes: Option<u64>,
}

impl From<app::DataPlan> for DataCopyPlan {
    fn from(plan: app::DataPlan) -> DataCopyPlan {
        DataCopyPlan {
            bytes: plan.bytes(),
            problem: plan.problem(),
            free_bytes: plan.free_bytes,
            volumes: plan
                .volumes
                .into_iter()
                .map(|(name, bytes)| DataCopyVolume { name, bytes })
                .collect(),
        }
    }
}

/// What an update would do.
#[derive(Debug, Object)]
pub struct TemplateUpdatePlan {
    pub template: String,
    /// The version that the app has.
    pub from: String,
    /// The version that the catalog has.
    pub to: String,
    /// Which of the versions that the template offers the app has, such as `17`; null: there was nothing to choose.
    pub from_chosen: Option<String>,
    /// Which it would have; null: there is nothing to choose.
    pub to_chosen: Option<String>,
    /// Which it may have: its own, and those that can go on with its data.
    pub choices: Vec<String>,
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
    /// The copy of the app's data that is made first. What writes to it is stopped for as long as that takes.
    pub data: DataCopyPlan,
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
            from_chosen: plan.from_choice,
            to_chosen: plan.to_choice,
            choices: plan.choices,
            notes: plan.notes,
            compose: plan.text,
            diff: plan.diff,
            conflicts: plan.conflicts.into_iter().map(conflict).collect(),
            edited: plan.edited,
            variables: plan.asks.iter().map(CatalogVariable::from).collect(),
            generated: plan.generated,
            services: plan.services.into_iter().map(PlannedService::from).collect(),
            rights: plan.rights.into_iter().map(ComposeRight::from).collect(),
            data: plan.data.into(),
        }
    }
}

impl From<TemplateUpdate> for app::UpdateWish {
    fn from(body: TemplateUpdate) -> app::UpdateWish {
        app::UpdateWish {
            values: body.values.unwrap_or_default(),
            version: body.version.filter(|version| !version.is_empty()),
            text: body.compose,
            without_copy: body.without_copy.unwrap_or(false),
        }
    }
}

#[derive(Clone)]
pub(crate) struct TemplateUpdatesApi(pub Panel);

#[OpenApi(tag = "Tag::Catalog")]
impl TemplateUpdatesApi {
    /// Plan an update of an app's template
    ///
    /// Nothing is changed. Fails with `busy` when the app has the newest version, and with `invalid` when the template has the app's version
    /// no more.
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
    /// The app gets the file and version from before, and is deployed. With `data` also its data from before.
    #[oai(path = "/apps/:app/template/undo", method = "post", operation_id = "app_template_undo")]
    async fn app_template_undo(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<TemplateUndo>,
    ) -> Answer<Json<App>> {
        let data = body.0.data.unwrap_or(false);
        Ok(Json(self.0.template_updates.undo(&who.actor, &app.0, data).await?.into()))
    }
}

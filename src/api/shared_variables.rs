//! Variables of whoever has some: the organization, a project, an environment, an app, a service.

use crate::{
    Panel,
    answers::{Named, Page, page},
    failures::Answer,
    releases::Change,
    signed::Signed,
    tags::Tag,
    variables::{Variable, VariableImport, VariablePreview, VariableRestore, VariableUpdate, VariableVersion},
};
use poem_openapi::{
    OpenApi,
    param::Query,
    payload::{Json, PlainText},
};

fn named(owner: Option<String>) -> String {
    owner.unwrap_or_else(|| "organization".to_owned())
}

fn all(views: Vec<app::VariableView>) -> Json<Page<Variable>> {
    Json(Page {
        items: views.into_iter().map(Variable::from).collect(),
        next: None,
    })
}

#[derive(Clone)]
pub(crate) struct SharedVariablesApi(pub Panel);

#[OpenApi(tag = "Tag::Variables")]
impl SharedVariablesApi {
    /// List the variables of an owner
    ///
    /// What is in an owner has its variables too, unless something nearer has one of that name: organization, project,
    /// environment, app, service. `${NAME}` in a value stands for another variable, `${APP.NAME}` for one
    /// of another app of the same environment, such as a database; `$${NAME}` for the text itself.
    #[oai(path = "/variables", method = "get", operation_id = "shared_variable_list")]
    async fn shared_variable_list(
        &self,
        who: Signed,
        /// `organization`, `project:NAME`, `environment:PROJECT/NAME`, `app:NAME` or `service:APP/SERVICE`; ids in place of names. Left out: the organization.
        owner: Query<Option<String>>,
        /// What it inherits too, with whose it is.
        inherited: Query<Option<bool>>,
        /// Show secret values too; needs a right of its own and is recorded.
        reveal: Query<Option<bool>>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Variable>>> {
        let (reveal, inherited) = (reveal.0.unwrap_or(false), inherited.0.unwrap_or(false));
        let variables = self.0.variables.list_of(&who.actor, &named(owner.0), reveal, inherited).await?;
        page(variables, cursor.0.as_deref(), limit.0, |view| view.key.to_string())
    }

    /// Set and unset variables of an owner
    ///
    /// All or nothing. Answers all variables of its own.
    #[oai(path = "/variables", method = "patch", operation_id = "shared_variable_update")]
    async fn shared_variable_update(
        &self,
        who: Signed,
        /// `organization`, `project:NAME`, `environment:PROJECT/NAME`, `app:NAME` or `service:APP/SERVICE`. Left out: the organization.
        owner: Query<Option<String>>,
        /// Bring it live at once in every running app that has them.
        deploy: Query<Option<bool>>,
        body: Json<VariableUpdate>,
    ) -> Answer<Json<Page<Variable>>> {
        let deploy = deploy.0.unwrap_or(false);
        Ok(all(self
            .0
            .variables
            .update_of(&who.actor, &named(owner.0), body.0.try_into()?, deploy)
            .await?))
    }

    /// Show what a change of variables would do
    ///
    /// Changes nothing. Fails as the change would: for values that refer to each other in a circle, for one.
    #[oai(path = "/variables/preview", method = "post", operation_id = "shared_variable_preview")]
    async fn shared_variable_preview(
        &self,
        who: Signed,
        /// `organization`, `project:NAME`, `environment:PROJECT/NAME`, `app:NAME` or `service:APP/SERVICE`. Left out: the organization.
        owner: Query<Option<String>>,
        body: Json<VariableUpdate>,
    ) -> Answer<Json<VariablePreview>> {
        let preview = self.0.variables.preview(&who.actor, &named(owner.0), body.0.try_into()?).await?;
        Ok(Json(VariablePreview {
            changes: preview.changes.into_iter().map(Change::from).collect(),
            apps: preview.apps.into_iter().map(|(id, name)| Named::new(id, name)).collect(),
        }))
    }

    /// Import a .env file for an owner
    ///
    /// What it does not name stays. Answers all variables of its own.
    #[oai(path = "/variables/import", method = "post", operation_id = "shared_variable_import")]
    async fn shared_variable_import(
        &self,
        who: Signed,
        /// `organization`, `project:NAME`, `environment:PROJECT/NAME`, `app:NAME` or `service:APP/SERVICE`. Left out: the organization.
        owner: Query<Option<String>>,
        /// Bring it live at once in every running app that has them.
        deploy: Query<Option<bool>>,
        body: Json<VariableImport>,
    ) -> Answer<Json<Page<Variable>>> {
        who.actor.may_somewhere(types::Action::Configure)?;
        let VariableImport { text, secret, scope } = body.0;
        let wish = app::Variables::read_dotenv(&text, scope.map(Into::into), secret)?;
        let deploy = deploy.0.unwrap_or(false);
        Ok(all(self.0.variables.update_of(&who.actor, &named(owner.0), wish, deploy).await?))
    }

    /// Export the variables of an owner as a .env file
    ///
    /// Its own, with the secret values; recorded.
    #[oai(path = "/variables/export", method = "get", operation_id = "shared_variable_export")]
    async fn shared_variable_export(
        &self,
        who: Signed,
        /// `organization`, `project:NAME`, `environment:PROJECT/NAME`, `app:NAME` or `service:APP/SERVICE`. Left out: the organization.
        owner: Query<Option<String>>,
    ) -> Answer<PlainText<String>> {
        Ok(PlainText(self.0.variables.export(&who.actor, &named(owner.0)).await?))
    }

    /// List what variables were
    ///
    /// With who changed them and when, newest first; the last 50 of each.
    #[oai(path = "/variables/history", method = "get", operation_id = "variable_history")]
    async fn variable_history(
        &self,
        who: Signed,
        /// `organization`, `project:NAME`, `environment:PROJECT/NAME`, `app:NAME` or `service:APP/SERVICE`. Left out: the organization.
        owner: Query<Option<String>>,
        /// Of this variable only.
        key: Query<Option<String>>,
        /// Show secret values too; needs a right of its own and is recorded.
        reveal: Query<Option<bool>>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<VariableVersion>>> {
        let key = key.0.map(|key| key.parse()).transpose()?;
        let reveal = reveal.0.unwrap_or(false);
        let versions = self.0.variables.history(&who.actor, &named(owner.0), key.as_ref(), reveal).await?;
        page(versions, cursor.0.as_deref(), limit.0, |version| version.id.to_string())
    }

    /// Make a variable what it was
    ///
    /// Value, scope, whether it is secret; or none, where it was removed. Answers all variables of its own.
    #[oai(path = "/variables/restore", method = "post", operation_id = "variable_restore")]
    async fn variable_restore(
        &self,
        who: Signed,
        /// `organization`, `project:NAME`, `environment:PROJECT/NAME`, `app:NAME` or `service:APP/SERVICE`. Left out: the organization.
        owner: Query<Option<String>>,
        body: Json<VariableRestore>,
    ) -> Answer<Json<Page<Variable>>> {
        Ok(all(self.0.variables.restore(&who.actor, &named(owner.0), &body.0.version).await?))
    }
}

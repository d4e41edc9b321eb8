//! Environment variables: of apps, and of what they are in. Values are bytes: what goes in comes out.

use crate::{
    Panel,
    answers::{Named, Page, moment, page},
    failures::Answer,
    releases::Change,
    signed::Signed,
    tags::Tag,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::{Json, PlainText},
};
use time::OffsetDateTime;
use types::Secret;

/// A variable.
#[derive(Debug, Object)]
pub struct Variable {
    pub key: String,
    /// Null when it is secret and was not revealed.
    pub value: Option<String>,
    pub encoding: Encoding,
    pub scope: VariableScope,
    /// Shown as dots unless somebody with the right asks.
    pub secret: bool,
    /// Whose it is.
    pub level: VariableLevel,
    /// The same in words, such as `project shop`.
    pub from: String,
    /// It is not of the one that was asked for, but of something that it is in.
    pub inherited: bool,
    pub updated_at: OffsetDateTime,
    pub updated_by: String,
}

/// From the farthest to the nearest: the nearer one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum VariableLevel {
    Organization,
    Project,
    Environment,
    App,
    /// One service of an app from a Compose file.
    Service,
}

/// What a variable was at some time.
#[derive(Debug, Object)]
pub struct VariableVersion {
    pub id: String,
    pub key: String,
    /// Null when it was removed, or is secret and was not revealed.
    pub value: Option<String>,
    pub encoding: Encoding,
    /// It was removed then.
    pub removed: bool,
    pub scope: VariableScope,
    pub secret: bool,
    pub at: OffsetDateTime,
    pub by: String,
}

/// What a change would do.
#[derive(Debug, Object)]
pub struct VariablePreview {
    /// By key. Secrets show as `changed`, or as `set` where they are new or gone.
    pub changes: Vec<Change>,
    /// The apps that have them.
    pub apps: Vec<Named>,
}

/// Which old version to make the one that counts.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct VariableRestore {
    pub version: String,
}

/// How `value` holds the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Encoding {
    Utf8,
    /// For values that are not text.
    Base64,
}

/// When a variable is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum VariableScope {
    /// In the container.
    Run,
    /// While the image is built: a build argument, or a build secret if the variable is secret.
    Build,
    Both,
}

/// A variable to set.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct VariableInput {
    /// `[A-Za-z_][A-Za-z0-9_]*`.
    pub key: String,
    /// Null keeps the old value.
    pub value: Option<String>,
    /// Left out: utf8.
    pub encoding: Option<Encoding>,
    /// Left out: as before, else run.
    pub scope: Option<VariableScope>,
    /// Left out: as before, else false.
    pub secret: Option<bool>,
}

/// Some to set, some to remove; the others stay. All or nothing.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct VariableUpdate {
    pub set: Option<Vec<VariableInput>>,
    pub unset: Option<Vec<String>>,
}

/// All of them: what is not named goes.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct VariableReplace {
    pub items: Vec<VariableInput>,
}

/// A `.env` file.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct VariableImport {
    pub text: String,
    /// Mark all of them as secret.
    pub secret: Option<bool>,
    /// Left out: run.
    pub scope: Option<VariableScope>,
}

impl From<app::VariableView> for Variable {
    fn from(view: app::VariableView) -> Variable {
        let (value, encoding) = written(view.value);
        Variable {
            key: view.key.to_string(),
            value,
            encoding,
            scope: view.scope.into(),
            secret: view.secret,
            level: view.level.into(),
            from: view.from,
            inherited: view.inherited,
            updated_at: moment(view.updated_at),
            updated_by: view.updated_by,
        }
    }
}

fn written(value: Option<Secret>) -> (Option<String>, Encoding) {
    match value {
        None => (None, Encoding::Utf8),
        Some(value) => match value.expose_str() {
            Some(text) => (Some(text.to_owned()), Encoding::Utf8),
            None => (Some(BASE64_STANDARD.encode(value.expose())), Encoding::Base64),
        },
    }
}

impl From<types::VariableLevel> for VariableLevel {
    fn from(level: types::VariableLevel) -> VariableLevel {
        match level {
            types::VariableLevel::Organization => VariableLevel::Organization,
            types::VariableLevel::Project => VariableLevel::Project,
            types::VariableLevel::Environment => VariableLevel::Environment,
            types::VariableLevel::App => VariableLevel::App,
            types::VariableLevel::Service => VariableLevel::Service,
        }
    }
}

impl From<app::VersionView> for VariableVersion {
    fn from(view: app::VersionView) -> VariableVersion {
        let (value, encoding) = written(view.value);
        VariableVersion {
            id: view.id.to_string(),
            key: view.key.to_string(),
            value,
            encoding,
            removed: view.removed,
            scope: view.scope.into(),
            secret: view.secret,
            at: moment(view.at),
            by: view.by,
        }
    }
}

impl TryFrom<VariableUpdate> for app::VariableWish {
    type Error = types::Error;

    fn try_from(body: VariableUpdate) -> types::Result<app::VariableWish> {
        let unset: types::Result<Vec<_>> = body.unset.unwrap_or_default().iter().map(|key| key.parse()).collect();
        Ok(app::VariableWish {
            set: changes(body.set.unwrap_or_default())?,
            unset: unset?,
        })
    }
}

impl From<types::VariableScope> for VariableScope {
    fn from(scope: types::VariableScope) -> VariableScope {
        match scope {
            types::VariableScope::Run => VariableScope::Run,
            types::VariableScope::Build => VariableScope::Build,
            types::VariableScope::Both => VariableScope::Both,
        }
    }
}

impl From<VariableScope> for types::VariableScope {
    fn from(scope: VariableScope) -> types::VariableScope {
        match scope {
            VariableScope::Run => types::VariableScope::Run,
            VariableScope::Build => types::VariableScope::Build,
            VariableScope::Both => types::VariableScope::Both,
        }
    }
}

impl TryFrom<VariableInput> for app::VariableChange {
    type Error = types::Error;

    fn try_from(input: VariableInput) -> types::Result<app::VariableChange> {
        let value = match (input.value, input.encoding) {
            (None, _) => None,
            (Some(text), Some(Encoding::Base64)) => {
                let bytes = BASE64_STANDARD
                    .decode(text)
                    .map_err(|_| types::Error::invalid(&input.key, "the value is not base64"))?;
                Some(Secret::new(bytes))
            }
            (Some(text), _) => Some(Secret::from(text)),
        };
        Ok(app::VariableChange {
            key: input.key.parse()?,
            value,
            scope: input.scope.map(Into::into),
            secret: input.secret,
        })
    }
}

/// All of them, or the first that cannot be used.
pub(crate) fn changes(inputs: Vec<VariableInput>) -> types::Result<Vec<app::VariableChange>> {
    inputs.into_iter().map(app::VariableChange::try_from).collect()
}

/// All variables in one part: what changing them answers.
fn whole(views: Vec<app::VariableView>) -> Json<Page<Variable>> {
    Json(Page {
        items: views.into_iter().map(Variable::from).collect(),
        next: None,
    })
}

#[derive(Clone)]
pub(crate) struct VariablesApi(pub Panel);

#[OpenApi(tag = "Tag::Variables")]
impl VariablesApi {
    /// List variables
    #[oai(path = "/apps/:app/variables", method = "get", operation_id = "variable_list")]
    async fn variable_list(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Show secret values too; needs a right of its own and is recorded.
        reveal: Query<Option<bool>>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Variable>>> {
        let variables = self.0.variables.list(&who.actor, &app.0, reveal.0.unwrap_or(false)).await?;
        page(variables, cursor.0.as_deref(), limit.0, |view| view.key.to_string())
    }

    /// Set and unset variables
    ///
    /// All or nothing. Answers all variables.
    #[oai(path = "/apps/:app/variables", method = "patch", operation_id = "variable_update")]
    async fn variable_update(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<VariableUpdate>,
    ) -> Answer<Json<Page<Variable>>> {
        Ok(whole(self.0.variables.update(&who.actor, &app.0, body.0.try_into()?).await?))
    }

    /// Replace all variables
    ///
    /// A value of null keeps the old one. Answers all variables.
    #[oai(path = "/apps/:app/variables", method = "put", operation_id = "variable_replace")]
    async fn variable_replace(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<VariableReplace>,
    ) -> Answer<Json<Page<Variable>>> {
        let items = changes(body.0.items)?;
        Ok(whole(self.0.variables.replace(&who.actor, &app.0, items).await?))
    }

    /// Import a .env file
    ///
    /// What it does not name stays. Answers all variables.
    #[oai(path = "/apps/:app/variables/import", method = "post", operation_id = "variable_import")]
    async fn variable_import(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<VariableImport>,
    ) -> Answer<Json<Page<Variable>>> {
        let VariableImport { text, secret, scope } = body.0;
        who.actor.may_somewhere(types::Action::Configure)?;
        let wish = app::Variables::read_dotenv(&text, scope.map(Into::into), secret)?;
        Ok(whole(self.0.variables.update(&who.actor, &app.0, wish).await?))
    }

    /// Export as a .env file
    ///
    /// With the secret values; recorded.
    #[oai(path = "/apps/:app/variables/export", method = "get", operation_id = "variable_export")]
    async fn variable_export(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<PlainText<String>> {
        Ok(PlainText(self.0.variables.export(&who.actor, &format!("app:{}", app.0)).await?))
    }
}

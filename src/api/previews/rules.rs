//! Which pull requests are previewed and how: the rules as they are shown, and as somebody wants them.

use crate::{
    answers::{Named, moment, wish},
    variables::VariableScope,
};
use poem_openapi::{Enum, Object, types::MaybeUndefined};
use time::OffsetDateTime;
use types::{Error, Result, Secret, VariableKey};

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

impl From<types::PreviewData> for PreviewData {
    fn from(data: types::PreviewData) -> PreviewData {
        match data {
            types::PreviewData::Fresh => PreviewData::Fresh,
            types::PreviewData::Copy => PreviewData::Copy,
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

//! What an administrator may change while the panel runs.

use crate::{
    Panel, apps::App, certificates::Challenge, failures::Answer, projects::Project, signed::Signed, tags::Tag, variables::Variable,
    volumes::Volume,
};
use poem_openapi::{
    Object, OpenApi,
    payload::Json,
    types::{Any, MaybeUndefined, ToJSON},
};
use serde_json::Value;
use serde_json::json;
use std::{net::SocketAddr, str::FromStr};
use url::Url;

/// The panel's settings.
#[derive(Debug, Object)]
pub struct Settings {
    /// Under which the panel is reached beside its port.
    pub panel_domain: Option<String>,
    /// Apps get `NAME.<this>` when they are made.
    pub apps_domain: Option<String>,
    /// The directory of the certificate authority (RFC 8555).
    pub acme_directory: String,
    pub acme_email: Option<String>,
    /// PEM of the authority that signed the ACME server's own certificate, if it is not a public one.
    pub acme_ca_pem: Option<String>,
    /// Deployments that run at once on a server.
    pub deployments_at_once: u32,
    /// Where apps are built that say nothing of it: `here`, `any` (any build server that has a slot), or the name of a build server.
    pub build_on: String,
    /// How long deleted things stay in the trash.
    pub trash_days: u32,
    /// How long the log of a deployment, and of an app, is kept.
    pub log_days: u32,
    /// How names are proven; null: what fits each.
    pub acme_challenge: Option<Challenge>,
    /// Let's Encrypt's staging directory in place of its real one; no browser trusts its certificates.
    pub acme_staging: bool,
    /// For authorities that want an account made beforehand. Its key is not shown.
    pub acme_eab_key_id: Option<String>,
    /// The name servers that are asked whether an order would work, with port; none: public resolvers.
    pub dns_servers: Vec<String>,
    /// Under which the world reaches this server, when its interfaces do not say so.
    pub public_addresses: Vec<String>,
}

/// What to change; what is left out stays, null clears or brings back the usual value.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SettingsPatch {
    pub panel_domain: MaybeUndefined<String>,
    pub apps_domain: MaybeUndefined<String>,
    pub acme_directory: MaybeUndefined<String>,
    pub acme_email: MaybeUndefined<String>,
    pub acme_ca_pem: MaybeUndefined<String>,
    pub deployments_at_once: MaybeUndefined<u32>,
    /// `here`, `any` or the name of a build server.
    pub build_on: MaybeUndefined<String>,
    pub trash_days: MaybeUndefined<u32>,
    pub log_days: MaybeUndefined<u32>,
    /// `http`, `tls_alpn` or `dns`.
    pub acme_challenge: MaybeUndefined<String>,
    pub acme_staging: MaybeUndefined<bool>,
    pub acme_eab_key_id: MaybeUndefined<String>,
    /// In base64url, as the authority gives it.
    pub acme_eab_hmac_key: MaybeUndefined<String>,
    /// `192.0.2.1` or `192.0.2.1:53`.
    pub dns_servers: MaybeUndefined<Vec<String>>,
    pub public_addresses: MaybeUndefined<Vec<String>>,
}

impl From<types::Settings> for Settings {
    fn from(settings: types::Settings) -> Settings {
        Settings {
            panel_domain: settings.panel_domain.map(String::from),
            apps_domain: settings.apps_domain.map(String::from),
            acme_directory: settings.acme_directory.to_string(),
            acme_email: settings.acme_email.map(String::from),
            acme_ca_pem: settings.acme_ca_pem,
            deployments_at_once: settings.deployments_at_once,
            build_on: settings.build_on.to_string(),
            trash_days: settings.trash_days,
            log_days: settings.log_days,
            acme_challenge: settings.certificates.challenge.map(Challenge::from),
            acme_staging: settings.certificates.staging,
            acme_eab_key_id: settings.certificates.external_account.map(|account| account.key_id),
            dns_servers: settings.certificates.dns_servers.iter().map(ToString::to_string).collect(),
            public_addresses: settings.certificates.public_addresses.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<SettingsPatch> for app::SettingsChange {
    type Error = types::Error;

    fn try_from(patch: SettingsPatch) -> types::Result<app::SettingsChange> {
        let usual = types::Settings::default();
        Ok(app::SettingsChange {
            panel_domain: named("panel_domain", patch.panel_domain)?,
            apps_domain: named("apps_domain", patch.apps_domain)?,
            acme_directory: match named::<Url>("acme_directory", patch.acme_directory)? {
                Some(None) => Some(usual.acme_directory),
                change => change.flatten(),
            },
            acme_email: named("acme_email", patch.acme_email)?,
            acme_ca_pem: named("acme_ca_pem", patch.acme_ca_pem)?,
            deployments_at_once: number(patch.deployments_at_once, usual.deployments_at_once),
            build_on: match named::<types::BuildPlace>("build_on", patch.build_on)? {
                Some(None) => Some(usual.build_on),
                change => change.flatten(),
            },
            trash_days: number(patch.trash_days, usual.trash_days),
            log_days: number(patch.log_days, usual.log_days),
            acme_challenge: match named::<String>("acme_challenge", patch.acme_challenge)? {
                Some(Some(word)) => Some(Some(challenge_of(&word)?)),
                Some(None) => Some(None),
                None => None,
            },
            acme_staging: match patch.acme_staging {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(false),
                MaybeUndefined::Value(value) => Some(value),
            },
            acme_eab_key_id: named("acme_eab_key_id", patch.acme_eab_key_id)?,
            acme_eab_hmac_key: named::<String>("acme_eab_hmac_key", patch.acme_eab_hmac_key)?.map(|key| key.map(types::Secret::from)),
            dns_servers: list(
                "dns_servers",
                patch.dns_servers,
                "must be addresses such as 192.0.2.1 or 192.0.2.1:53",
                |text| text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, 53))),
            )?,
            public_addresses: list(
                "public_addresses",
                patch.public_addresses,
                "must be addresses such as 192.0.2.1",
                |text| text.parse().ok(),
            )?,
        })
    }
}

/// Left out: stays. Null or empty: cleared. Else it must be what the field holds.
fn named<T: FromStr<Err: std::fmt::Display>>(field: &str, value: MaybeUndefined<String>) -> types::Result<Option<Option<T>>> {
    match value {
        MaybeUndefined::Undefined => Ok(None),
        MaybeUndefined::Null => Ok(Some(None)),
        MaybeUndefined::Value(text) if text.trim().is_empty() => Ok(Some(None)),
        MaybeUndefined::Value(text) => match text.parse() {
            Ok(value) => Ok(Some(Some(value))),
            Err(error) => {
                let why = error.to_string();
                let why = why.split_once(": ").map_or(why.as_str(), |(_, why)| why);
                Err(types::Error::invalid(field, why))
            }
        },
    }
}

fn challenge_of(word: &str) -> types::Result<types::ChallengeKind> {
    match word {
        "http" => Ok(types::ChallengeKind::Http),
        "tls_alpn" => Ok(types::ChallengeKind::TlsAlpn),
        "dns" => Ok(types::ChallengeKind::Dns),
        _ => Err(types::Error::invalid("acme_challenge", "use http, tls_alpn or dns")),
    }
}

/// Null empties it. At most 16, each parsed.
fn list<T>(field: &str, value: MaybeUndefined<Vec<String>>, why: &str, parse: impl Fn(&str) -> Option<T>) -> types::Result<Option<Vec<T>>> {
    let words = match value {
        MaybeUndefined::Undefined => return Ok(None),
        MaybeUndefined::Null => return Ok(Some(Vec::new())),
        MaybeUndefined::Value(words) => words,
    };
    let parsed: Option<Vec<T>> = words.iter().map(|word| parse(word.trim())).collect();
    match parsed {
        Some(parsed) if parsed.len() <= 16 => Ok(Some(parsed)),
        _ => Err(types::Error::invalid(field, why)),
    }
}

/// Null brings back the usual value.
fn number(value: MaybeUndefined<u32>, usual: u32) -> Option<u32> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(usual),
        MaybeUndefined::Value(value) => Some(value),
    }
}

#[derive(Clone)]
pub(crate) struct SettingsApi(pub Panel);

#[OpenApi(tag = "Tag::Settings")]
impl SettingsApi {
    /// Show the settings
    ///
    /// Needs the role admin.
    #[oai(path = "/settings", method = "get", operation_id = "setting_show")]
    async fn setting_show(&self, who: Signed) -> Answer<Json<Settings>> {
        Ok(Json(self.0.settings.get(&who.actor).await?.into()))
    }

    /// Change settings
    ///
    /// Needs the role admin.
    #[oai(path = "/settings", method = "patch", operation_id = "setting_update")]
    async fn setting_update(&self, who: Signed, body: Json<SettingsPatch>) -> Answer<Json<Settings>> {
        let change = body.0.try_into()?;
        Ok(Json(self.0.settings.update(&who.actor, change).await?.into()))
    }

    /// Export projects, apps and settings
    ///
    /// Settings, projects, volumes and apps with their variables, without secret values: nothing to restore from. Needs the role admin.
    #[oai(path = "/state/export", method = "get", operation_id = "state_export")]
    async fn state_export(&self, who: Signed) -> Answer<Json<Any<Value>>> {
        let actor = &who.actor;
        let settings: Settings = self.0.settings.get(actor).await?.into();
        let mut apps = Vec::new();
        for view in self.0.apps.list(actor, None, None, false).await? {
            let variables = self.0.variables.list(actor, view.app.id.as_str(), false).await?;
            let app = App::from(view);
            let variables: Vec<Variable> = variables.into_iter().map(Variable::from).collect();
            apps.push(json!({
                "id": app.id,
                "name": app.name,
                "project": app.project.to_json(),
                "environment": app.environment.to_json(),
                "source": app.source.to_json(),
                "port": app.port,
                "command": app.command,
                "domains": app.domains,
                "limits": app.limits.to_json(),
                "health": app.health.to_json(),
                "mounts": app.mounts.to_json(),
                "grace_seconds": app.grace_seconds,
                "deploy_timeout_seconds": app.deploy_timeout_seconds,
                "canary": app.canary.to_json(),
                "keep_releases": app.keep_releases,
                "desired": app.desired.to_json(),
                "variables": variables.to_json(),
            }));
        }
        let projects: Vec<Project> = self.0.projects.list(actor).await?.into_iter().map(Project::from).collect();
        let volumes: Vec<Volume> = self.0.volumes.list(actor).await?.into_iter().map(Volume::from).collect();
        Ok(Json(Any(json!({
            "version": env!("CARGO_PKG_VERSION"),
            "settings": settings.to_json(),
            "projects": projects.to_json(),
            "apps": apps,
            "volumes": volumes.to_json(),
        }))))
    }
}

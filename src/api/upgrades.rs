//! The version that runs, and the change to another one.

use crate::{
    Panel,
    answers::{Accepted, accepted, moment},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{Enum, Object, OpenApi, payload::Json};
use time::OffsetDateTime;

/// What runs, and how the last upgrade went.
#[derive(Debug, Object)]
pub struct Version {
    /// Of serverkit.
    pub version: String,
    /// The newest upgrade, if there ever was one.
    pub upgrade: Option<Upgrade>,
}

/// A change of the running program.
#[derive(Debug, Object)]
pub struct Upgrade {
    /// The version that ran.
    pub from: String,
    /// The version that takes over.
    pub to: String,
    pub state: UpgradeState,
    /// Why the version before runs again.
    pub error: Option<String>,
    /// Who asked for it.
    pub by: String,
    pub started_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum UpgradeState {
    /// The new process starts and takes over sockets and state.
    Switching,
    /// It serves; the old one watches it and stands by.
    Watching,
    Done,
    /// The version before runs again; see `error`.
    Failed,
}

/// What should take over.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct UpgradeWish {
    /// A file on the panel's machine; its minisign signature is beside it, as `<path>.minisig`.
    pub path: String,
    /// Take it without a signature. Only root of the machine may say so.
    #[oai(default)]
    pub unsigned: bool,
    /// Also a version that is not newer than the running one.
    #[oai(default)]
    pub any_version: bool,
}

impl From<types::UpgradeState> for UpgradeState {
    fn from(state: types::UpgradeState) -> UpgradeState {
        match state {
            types::UpgradeState::Switching => UpgradeState::Switching,
            types::UpgradeState::Watching => UpgradeState::Watching,
            types::UpgradeState::Done => UpgradeState::Done,
            types::UpgradeState::Failed => UpgradeState::Failed,
        }
    }
}

impl From<types::Upgrade> for Upgrade {
    fn from(upgrade: types::Upgrade) -> Upgrade {
        Upgrade {
            from: upgrade.from,
            to: upgrade.to,
            state: upgrade.state.into(),
            error: upgrade.error,
            by: upgrade.by,
            started_at: moment(upgrade.started_at),
            ended_at: upgrade.ended_at.map(moment),
        }
    }
}

#[derive(Clone)]
pub(crate) struct UpgradesApi(pub Panel);

#[OpenApi(tag = "Tag::Upgrades")]
impl UpgradesApi {
    /// Show the version, and how the last upgrade went
    ///
    /// Needs the role admin.
    #[oai(path = "/version", method = "get", operation_id = "version_show")]
    async fn version_show(&self, who: Signed) -> Answer<Json<Version>> {
        Ok(Json(Version {
            version: app::VERSION.to_owned(),
            upgrade: self.0.upgrades.last(&who.actor).await?.map(Upgrade::from),
        }))
    }

    /// Change to another version of serverkit
    ///
    /// Only on the panel's own machine (`serverkit upgrade` there). The new process takes the listening sockets over, so
    /// nothing is refused meanwhile; the old one stands by and goes on if the new one fails. Ask `version_show` how it
    /// goes on.
    #[oai(path = "/version", method = "post", operation_id = "version_upgrade")]
    async fn version_upgrade(&self, who: Signed, body: Json<UpgradeWish>) -> Answer<Accepted<Upgrade>> {
        let UpgradeWish {
            path,
            unsigned,
            any_version,
        } = body.0;
        let wish = app::UpgradeWish {
            path: path.into(),
            unsigned,
            any_version,
        };
        Ok(accepted(self.0.upgrades.start(&who.actor, wish).await?))
    }
}

//! From which addresses the panel and its API are reached.

use crate::{Panel, answers::moment, edge::networks, failures::Answer, signed::Signed, tags::Tag};
use app::{AllowListsChange, AllowListsView};
use poem_openapi::{Object, OpenApi, payload::Json};
use time::OffsetDateTime;

/// From which addresses the panel and its API are reached. An empty list lets everybody in.
#[derive(Debug, Object)]
pub struct AllowLists {
    /// Addresses or networks from which people reach the panel's pages and sign in.
    pub panel: Vec<String>,
    /// Those from which programs are taken: requests with an API token, jobs of a CI that ask for one, an identity provider's server.
    pub api: Vec<String>,
    /// The lists are in force and will be taken back unless they are confirmed; null: they stay.
    pub trial: Option<AllowTrial>,
    /// The address of this request, as the panel sees it; null: the panel's own machine, which always gets in.
    pub your_address: Option<String>,
}

/// A change that waits to be confirmed.
#[derive(Debug, Object)]
pub struct AllowTrial {
    /// Then it is taken back.
    pub until: OffsetDateTime,
    pub seconds_left: u64,
    /// What comes back.
    pub panel_before: Vec<String>,
    pub api_before: Vec<String>,
}

/// What to change; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct AllowListsPatch {
    pub panel: Option<Vec<String>>,
    pub api: Option<Vec<String>>,
    /// Also when the list does not have the address of this request.
    pub force: Option<bool>,
    /// Minutes until the change is taken back unless it is confirmed, 1 to 60; left out: 5. On the panel's own machine left
    /// out or 0: it stays.
    pub confirm_minutes: Option<u32>,
}

impl From<AllowListsView> for AllowLists {
    fn from(view: AllowListsView) -> AllowLists {
        let words = |list: &[ipnet::IpNet]| list.iter().map(ToString::to_string).collect();
        AllowLists {
            panel: words(&view.allowed.panel),
            api: words(&view.allowed.api),
            trial: view.trial.map(|trial| AllowTrial {
                until: moment(trial.until),
                seconds_left: view.left.as_secs(),
                panel_before: words(&trial.before.panel),
                api_before: words(&trial.before.api),
            }),
            your_address: view.own.map(|address| address.to_string()),
        }
    }
}

#[derive(Clone)]
pub(crate) struct AllowListsApi(pub Panel);

#[OpenApi(tag = "Tag::Edge")]
impl AllowListsApi {
    /// Show from which addresses the panel is reached
    ///
    /// Needs the role admin.
    #[oai(path = "/allow-lists", method = "get", operation_id = "allow_lists_show")]
    async fn allow_lists_show(&self, who: Signed) -> Answer<Json<AllowLists>> {
        Ok(Json(self.0.allow_lists.show(&who.actor)?.into()))
    }

    /// Change from which addresses the panel is reached
    ///
    /// It is in force when this answers. What may keep somebody out is taken back by itself unless it is confirmed in time.
    /// Sites of apps, webhooks and challenges of certificate authorities are not touched. Needs the role admin.
    #[oai(path = "/allow-lists", method = "patch", operation_id = "allow_lists_update")]
    async fn allow_lists_update(&self, who: Signed, body: Json<AllowListsPatch>) -> Answer<Json<AllowLists>> {
        who.actor.may(types::Action::Secure)?;
        let change = AllowListsChange {
            panel: body.0.panel.map(|list| networks("panel", list)).transpose()?,
            api: body.0.api.map(|list| networks("api", list)).transpose()?,
            force: body.0.force.unwrap_or(false),
            confirm_minutes: body.0.confirm_minutes,
        };
        Ok(Json(self.0.allow_lists.update(&who.actor, change).await?.into()))
    }

    /// Confirm a change of the addresses
    ///
    /// From an address that the new lists let in. Needs the role admin.
    #[oai(path = "/allow-lists/confirm", method = "post", operation_id = "allow_lists_confirm")]
    async fn allow_lists_confirm(&self, who: Signed) -> Answer<Json<AllowLists>> {
        Ok(Json(self.0.allow_lists.confirm(&who.actor).await?.into()))
    }

    /// Take a change of the addresses back
    ///
    /// While it waits to be confirmed. Needs the role admin.
    #[oai(path = "/allow-lists/revert", method = "post", operation_id = "allow_lists_revert")]
    async fn allow_lists_revert(&self, who: Signed) -> Answer<Json<AllowLists>> {
        Ok(Json(self.0.allow_lists.revert(&who.actor).await?.into()))
    }
}

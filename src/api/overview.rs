//! The first page's data in one answer.

use crate::{
    Panel,
    answers::count,
    apps::App,
    deployments::Deployment,
    events::Event,
    failures::Answer,
    servers::{FindingLevel, Server},
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{Object, OpenApi, payload::Json};

/// Everything at a glance.
#[derive(Debug, Object)]
pub struct Overview {
    pub servers: Vec<Server>,
    /// What needs somebody, most urgent first.
    pub attention: Vec<Attention>,
    pub apps: Vec<App>,
    /// The latest, at most 10.
    pub deployments: Vec<Deployment>,
    /// The latest, at most 20.
    pub events: Vec<Event>,
    pub counts: Counts,
}

/// Something that needs somebody.
#[derive(Debug, Object)]
pub struct Attention {
    pub level: FindingLevel,
    /// One sentence.
    pub text: String,
    /// Where in the panel it is dealt with.
    pub link: String,
    /// What the link does, as on a button.
    pub action: String,
}

#[derive(Debug, Object)]
pub struct Counts {
    pub apps: u32,
    pub running: u32,
    pub failed: u32,
    pub projects: u32,
}

impl Overview {
    fn shown(panel: &Panel, overview: app::Overview) -> Overview {
        Overview {
            servers: overview.servers.into_iter().map(Server::from).collect(),
            attention: overview.attention.into_iter().map(Attention::from).collect(),
            apps: overview.apps.into_iter().map(App::from).collect(),
            deployments: overview.deployments.into_iter().map(Deployment::from).collect(),
            events: overview.events.into_iter().map(|event| Event::shown(panel, event)).collect(),
            counts: Counts {
                apps: count(overview.counts.apps),
                running: count(overview.counts.running),
                failed: count(overview.counts.failed),
                projects: count(overview.counts.projects),
            },
        }
    }
}

impl From<app::Attention> for Attention {
    fn from(attention: app::Attention) -> Attention {
        Attention {
            level: if attention.problem {
                FindingLevel::Problem
            } else {
                FindingLevel::Warning
            },
            text: attention.text,
            link: attention.link,
            action: attention.action,
        }
    }
}

#[derive(Clone)]
pub(crate) struct OverviewApi(pub Panel);

#[OpenApi(tag = "Tag::Events")]
impl OverviewApi {
    /// Everything at a glance
    #[oai(path = "/overview", method = "get", operation_id = "overview")]
    async fn overview(&self, who: Signed) -> Answer<Json<Overview>> {
        let overview = self.0.overviews.get(&who.actor).await?;
        Ok(Json(Overview::shown(&self.0, overview)))
    }
}

//! Freeze windows: times in which nothing is deployed.

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, created, moment, page},
    failures::{Answer, Failure},
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;
use types::{FreezeWhen, Time};

/// A time, once or again and again, in which pushes wait and people are refused. Rolling back stays possible.
#[derive(Debug, Object)]
pub struct Freeze {
    pub id: String,
    /// Why, in a few words.
    pub name: String,
    /// Null: all of the organization.
    pub environment: Option<Named>,
    /// The environment's project.
    pub project: Option<String>,
    /// Of one that holds once.
    pub from: Option<OffsetDateTime>,
    pub until: Option<OffsetDateTime>,
    /// Of one that begins again and again: minute, hour, day of month, month, day of week.
    pub cron: Option<String>,
    pub zone: Option<String>,
    /// How long it holds each time.
    pub minutes: Option<u32>,
    /// Until when it holds, if it does now.
    pub holds_until: Option<OffsetDateTime>,
    /// When it holds next; null: never again.
    pub next_at: Option<OffsetDateTime>,
    /// Who made it, in words.
    pub by: String,
    pub created_at: OffsetDateTime,
}

/// A window to make: either `from` and `until`, or `cron` and `minutes`.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct FreezeCreate {
    /// Why, in a few words: 1 to 100 letters.
    pub name: String,
    /// In all of the organization; else in one environment. Left out: false.
    pub everywhere: Option<bool>,
    /// Id or name; left out: the first one.
    pub project: Option<String>,
    /// Id or name; left out: the project's first one.
    pub environment: Option<String>,
    pub from: Option<OffsetDateTime>,
    pub until: Option<OffsetDateTime>,
    /// Five fields, such as `0 16 * * FRI`.
    pub cron: Option<String>,
    /// Left out: UTC.
    pub zone: Option<String>,
    /// 1 to 43200: from Friday 16:00 to Monday 8:00 are 3840.
    pub minutes: Option<u32>,
}

impl From<app::FreezeView> for Freeze {
    fn from(view: app::FreezeView) -> Freeze {
        let freeze = view.freeze;
        let (project, environment) = match view.environment {
            Some((environment, project)) => (Some(project), Some(Named::new(environment.id, environment.name))),
            None => (None, None),
        };
        let mut made = Freeze {
            id: freeze.id.to_string(),
            name: freeze.name,
            environment,
            project,
            from: None,
            until: None,
            cron: None,
            zone: None,
            minutes: None,
            holds_until: view.until.map(moment),
            next_at: view.next_at.map(moment),
            by: freeze.created_by,
            created_at: moment(freeze.created_at),
        };
        match freeze.when {
            FreezeWhen::Once { from, until } => (made.from, made.until) = (Some(moment(from)), Some(moment(until))),
            FreezeWhen::Repeated { cron, zone, minutes } => {
                (made.cron, made.zone, made.minutes) = (Some(cron), Some(zone), Some(minutes));
            }
        }
        made
    }
}

impl FreezeCreate {
    /// Who may is asked before what is wrong with the times.
    fn wish(self, who: &Signed) -> Answer<app::FreezeWish> {
        who.actor.may(types::Action::Administer)?;
        Ok(app::FreezeWish {
            when: self.when()?,
            name: self.name,
            everywhere: self.everywhere.unwrap_or(false),
            project: self.project,
            environment: self.environment,
        })
    }
    fn when(&self) -> Answer<FreezeWhen> {
        match (self.from, self.until, &self.cron, self.minutes) {
            (Some(from), Some(until), None, None) => Ok(FreezeWhen::Once {
                from: Time::from_utc(from),
                until: Time::from_utc(until),
            }),
            (None, None, Some(cron), Some(minutes)) => Ok(FreezeWhen::Repeated {
                cron: cron.clone(),
                zone: self.zone.clone().unwrap_or_else(|| "UTC".into()),
                minutes,
            }),
            _ => Err(Failure::invalid("when", "give either `from` and `until`, or `cron` and `minutes`")),
        }
    }
}

#[derive(Clone)]
pub(crate) struct FreezesApi(pub Panel);

#[OpenApi(tag = "Tag::Deployments")]
impl FreezesApi {
    /// List freeze windows
    #[oai(path = "/freezes", method = "get", operation_id = "freeze_list")]
    async fn freeze_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Freeze>>> {
        let freezes = self.0.freezes.list(&who.actor).await?;
        page(freezes, cursor.0.as_deref(), limit.0, |view| view.freeze.id.to_string())
    }

    /// Create a freeze window
    ///
    /// While it holds, pushes are held in the inbox and deployed when it ends, people are refused in words, and an administrator
    /// may deploy anyway with a reason, which the audit log has. Rolling back stays possible.
    #[oai(path = "/freezes", method = "post", operation_id = "freeze_create")]
    async fn freeze_create(&self, who: Signed, body: Json<FreezeCreate>) -> Answer<Created<Freeze>> {
        Ok(created(self.0.freezes.create(&who.actor, body.0.wish(&who)?).await?))
    }

    /// Replace a freeze window
    ///
    /// All of it but who made it. One that holds no more ends at once, and what waited is deployed.
    #[oai(path = "/freezes/:id", method = "put", operation_id = "freeze_replace")]
    async fn freeze_replace(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
        body: Json<FreezeCreate>,
    ) -> Answer<Json<Freeze>> {
        let wish = body.0.wish(&who)?;
        Ok(Json(self.0.freezes.replace(&who.actor, &id.0, wish).await?.into()))
    }

    /// Delete a freeze window
    ///
    /// One that holds ends at once, and what waited is deployed.
    #[oai(path = "/freezes/:id", method = "delete", operation_id = "freeze_delete")]
    async fn freeze_delete(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.freezes.remove(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }
}

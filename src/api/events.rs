//! What happened, and the stream of what is happening.

use crate::{
    Panel, answers,
    answers::{Page, moment},
    failures::{Answer, Failure},
    live::Stop,
    signed::Signed,
    stream,
    tags::Tag,
};
use futures::stream::BoxStream;
use poem::web::Data;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::{
    Object, OpenApi,
    param::{Header, Query},
    payload::{EventStream, Json},
    types::{Any, ToJSON, Type},
};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use time::OffsetDateTime;
use types::report;

/// Something that happened.
#[derive(Debug, Object)]
pub struct Event {
    pub id: String,
    pub at: OffsetDateTime,
    /// Who, in words.
    pub by: String,
    /// What, in one sentence.
    pub text: String,
    /// For programs: `app_created`, `deployment_moved`, …
    pub kind: String,
    /// The app's id, when it is about one.
    pub app: Option<String>,
    /// The deployment's id, when it is about one.
    pub deployment: Option<String>,
    /// From where it was asked, of what concerns people and who gets in; null: from the panel's own machine, or not told.
    pub address: Option<String>,
    /// The country of the address: two letters; null where no database says so.
    pub country: Option<String>,
    /// The details; the fields depend on `kind`.
    pub data: HashMap<String, Any<Value>>,
}

/// One message of the stream.
#[derive(Debug, Clone)]
pub struct Sent(pub poem::web::sse::Event);

/// For the document: the messages are events.
impl Type for Sent {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        Event::name()
    }
    fn schema_ref() -> MetaSchemaRef {
        Event::schema_ref()
    }
    fn register(registry: &mut Registry) {
        Event::register(registry);
    }
    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }
    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for Sent {
    fn to_json(&self) -> Option<Value> {
        None
    }
}

impl Event {
    /// As it is shown to those who are to learn of it.
    pub(crate) fn shown(panel: &Panel, event: types::Event) -> Event {
        // Where somebody was while they worked on an app is not for everybody who sees the app.
        let address = event.address.filter(|_| event.fact.is_about_people());
        let country = address.as_deref().map(|address| panel.security.country(address)).transpose();
        let country = country.unwrap_or_else(|error| {
            tracing::warn!("the country of an event: {}", report(&error));
            None
        });
        let mut data: HashMap<String, Any<Value>> = match serde_json::to_value(&event.fact) {
            Ok(Value::Object(fields)) => fields.into_iter().map(|(name, value)| (name, Any(value))).collect(),
            _ => HashMap::new(),
        };
        data.remove("kind");
        Event {
            id: event.id.to_string(),
            at: moment(event.at),
            by: event.by.to_string(),
            text: event.fact.words(),
            kind: event.fact.kind(),
            app: event.fact.app().map(ToString::to_string),
            deployment: data.get("deployment").and_then(|id| id.0.as_str()).map(str::to_owned),
            address,
            country: country.flatten(),
            data,
        }
    }
}

#[derive(Clone)]
pub(crate) struct EventsApi(pub Panel);

#[OpenApi(tag = "Tag::Events")]
impl EventsApi {
    /// List what happened
    ///
    /// Newest first.
    #[oai(path = "/events/history", method = "get", operation_id = "event_list")]
    async fn event_list(
        &self,
        who: Signed,
        /// Only about this app: id or name.
        app: Query<Option<String>>,
        /// Only what whoever guards the panel should look at: failed sign-ins, new browsers, tokens, rights.
        security: Query<Option<bool>>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Event>>> {
        let limit = limit.0.unwrap_or(answers::LIMIT);
        if !(1..=answers::LIMIT_MAX).contains(&limit) {
            return Err(Failure::invalid("limit", format!("must be 1 to {}", answers::LIMIT_MAX)));
        }
        let limit = limit as usize;
        let app = match &app.0 {
            Some(app) => Some(self.0.apps.get(&who.actor.touching(types::Family::Apps), app).await?.app.id),
            None => None,
        };
        let mut events = {
            let security = security.0.unwrap_or(false);
            self.0
                .events
                .list(&who.actor, app.as_ref(), security, cursor.0.as_deref(), limit + 1)
                .await?
        };
        let more = events.len() > limit;
        events.truncate(limit);
        let next = events.last().filter(|_| more).map(|event| event.id.to_string());
        Ok(Json(Page {
            items: events.into_iter().map(|event| Event::shown(&self.0, event)).collect(),
            next,
        }))
    }

    /// Follow what happens
    ///
    /// Server-sent events. `event:` is the kind, `data:` an `Event`, `id:` its id; with `Last-Event-ID` what was missed comes first. Also `event: metrics` with `{"servers":[{"id","sample"}],"apps":[{"id","cpu_cores","memory_bytes"}]}` each 2 s, and `event: state` with `{"app","state"}` when an app's state changes.
    #[oai(path = "/events", method = "get", operation_id = "event_stream")]
    async fn event_stream(
        &self,
        who: Signed,
        stop: Data<&Stop>,
        /// The id of the last event seen.
        #[oai(name = "Last-Event-ID")]
        last: Header<Option<String>>,
    ) -> Answer<EventStream<BoxStream<'static, Sent>>> {
        who.actor.may_somewhere(types::Action::View)?;
        let messages = stream::messages(self.0.clone(), who, last.0, stop.0.0.clone()).await?;
        Ok(EventStream::new(messages).to_event(|sent| sent.0).keep_alive(stream::PING))
    }
}

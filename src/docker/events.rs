//! The engine's events, over restarts of the engine.

use crate::{connect::Docker, containers::APP};
use bollard::{models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures::{StreamExt, stream, stream::BoxStream};
use std::{collections::HashMap, time::Duration};
use types::EngineEvent;

const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// An engine that says nothing for so long is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(30);
const ACTIONS: [&str; 8] = ["create", "start", "restart", "die", "stop", "oom", "pause", "destroy"];

type Messages = BoxStream<'static, Result<EventMessage, bollard::errors::Error>>;

impl Docker {
    /// What happens to our containers. Begins with `Connected` or `Lost`; after each `Connected` anything may have changed.
    /// Never ends.
    pub fn events(&self) -> BoxStream<'static, EngineEvent> {
        let watch = Watch {
            docker: self.clone(),
            messages: None,
            delay: Duration::ZERO,
            is_told: false,
        };
        stream::unfold(watch, |mut watch| async move { Some((watch.next().await, watch)) }).boxed()
    }

    /// Asks for a sign of life.
    async fn is_there(&self) -> std::result::Result<(), String> {
        match self.status().await {
            types::EngineStatus::Up { .. } => Ok(()),
            types::EngineStatus::Down { why, .. } => Err(why),
        }
    }
}

struct Watch {
    docker: Docker,
    messages: Option<Messages>,
    delay: Duration,
    /// That it is lost was said already.
    is_told: bool,
}

impl Watch {
    async fn next(&mut self) -> EngineEvent {
        loop {
            let event = match self.messages.take() {
                Some(messages) => self.wait(messages).await,
                None => self.connect().await,
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    async fn connect(&mut self) -> Option<EngineEvent> {
        tokio::time::sleep(self.delay).await;
        self.delay = (self.delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY);
        // What happens between this moment and the connection is replayed.
        let since = self.docker.inner.world.now().0 / 1000;
        if let Err(why) = self.docker.is_there().await {
            return self.lost(why);
        }
        let filters = HashMap::from([("type", vec!["container"]), ("label", vec![APP]), ("event", ACTIONS.to_vec())]);
        let options = EventsOptionsBuilder::default().since(&since.to_string()).filters(&filters).build();
        self.messages = Some(self.docker.client().events(Some(options)).boxed());
        self.is_told = false;
        Some(EngineEvent::Connected)
    }

    async fn wait(&mut self, mut messages: Messages) -> Option<EngineEvent> {
        match tokio::time::timeout(SILENCE, messages.next()).await {
            Ok(Some(Ok(message))) => {
                self.delay = Duration::ZERO;
                self.messages = Some(messages);
                event_of(message)
            }
            Ok(Some(Err(refusal))) => self.lost(format!("the connection to the Docker engine broke: {refusal}")),
            Ok(None) => self.lost("the Docker engine closed the connection".into()),
            Err(_) => match self.docker.is_there().await {
                Ok(()) => {
                    self.messages = Some(messages);
                    None
                }
                Err(why) => self.lost(why),
            },
        }
    }

    fn lost(&mut self, why: String) -> Option<EngineEvent> {
        let is_news = !std::mem::replace(&mut self.is_told, true);
        is_news.then_some(EngineEvent::Lost { why })
    }
}

fn event_of(message: EventMessage) -> Option<EngineEvent> {
    let actor = message.actor.unwrap_or_default();
    let app = actor.attributes.as_ref().and_then(|labels| labels.get(APP)?.parse().ok());
    Some(EngineEvent::Container {
        id: actor.id?,
        app,
        action: message.action?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, World};

    async fn next(events: &mut BoxStream<'static, EngineEvent>) -> EngineEvent {
        let waited = tokio::time::timeout(Duration::from_secs(20), events.next()).await;
        waited.expect("an event comes").expect("it never ends")
    }

    #[tokio::test]
    async fn docker_events_tell_of_our_containers() {
        let world = World::new("events").await;
        let mut events = world.docker.events();
        assert_eq!(next(&mut events).await, EngineEvent::Connected);
        let spec = world.spec("tests/http:latest");
        let id = world.docker.container_start(&spec).await.expect("it starts");
        let mut actions = Vec::new();
        while actions.last().is_none_or(|last| last != "start") {
            match next(&mut events).await {
                EngineEvent::Container { id: of, app, action } if of == id => {
                    assert_eq!(app.as_ref(), Some(&spec.owner.app));
                    actions.push(action);
                }
                EngineEvent::Container { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(actions, ["create", "start"]);
    }

    #[tokio::test]
    async fn docker_events_come_back_with_the_engine() {
        let relay = testing::Relay::start().await;
        let docker = relay.docker();
        let mut events = docker.events();
        assert_eq!(next(&mut events).await, EngineEvent::Connected);
        relay.stop().await;
        assert!(matches!(next(&mut events).await, EngineEvent::Lost { .. }));
        assert!(docker.containers().await.is_err(), "the engine is away");
        relay.resume().await;
        assert_eq!(next(&mut events).await, EngineEvent::Connected);
        docker.containers().await.expect("the engine is back");
    }

    #[tokio::test]
    async fn no_engine_is_lost_once() {
        let docker = Docker::at(Some("unix:///nonexistent/docker.sock"), types::World::system()).expect("the address is right");
        let mut events = docker.events();
        assert!(matches!(next(&mut events).await, EngineEvent::Lost { .. }));
        let more = tokio::time::timeout(Duration::from_secs(2), events.next()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

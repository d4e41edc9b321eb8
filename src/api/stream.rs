//! The event stream: what happened since the listener was last here, what happens now, measurements each 2 s, and the
//! states of apps when they change.

use crate::{
    Panel,
    events::{Event, Sent},
    servers::ServerSample,
    signed::Signed,
};
use futures::{StreamExt, stream::BoxStream};
use poem::web::sse;
use poem_openapi::types::ToJSON;
use serde_json::{Value, json};
use std::{collections::HashMap, time::Duration};
use tokio::{
    sync::{
        broadcast::error::RecvError,
        mpsc::{self, Sender},
    },
    time::{MissedTickBehavior, interval},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use types::{Family, Result, report};

/// A sign of life for proxies, when nothing else is sent.
pub(crate) const PING: Duration = Duration::from_secs(15);
/// Between two measurements.
const TICK: Duration = Duration::from_secs(2);
/// Ticks between two looks at whether the listener may still listen.
const RECHECK: u32 = 15;
/// Messages that wait for a slow listener; then it is waited for, and in the end it catches up from the record.
const WAITING: usize = 64;

/// Everything for one listener, until it goes, may no longer listen, or serverkit stops.
pub(crate) async fn messages(panel: Panel, who: Signed, last: Option<String>, stop: CancellationToken) -> Result<BoxStream<'static, Sent>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let listener = Listener {
        live: panel.events.subscribe(),
        last: last.unwrap_or_default(),
        states: HashMap::new(),
        panel,
        who,
        sender,
    };
    tokio::spawn(async move {
        tokio::select! {
            () = listener.run() => {}
            () = stop.cancelled() => {}
        }
    });
    Ok(ReceiverStream::new(receiver).boxed())
}

struct Listener {
    panel: Panel,
    who: Signed,
    live: tokio::sync::broadcast::Receiver<std::sync::Arc<types::Event>>,
    /// The last event sent.
    last: String,
    states: HashMap<String, (&'static str, Option<String>)>,
    sender: Sender<Sent>,
}

/// The listener is gone.
struct Gone;

impl Listener {
    async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0u32;
        if self.send(sse::Event::retry(2000)).await.is_err() || self.catch_up().await.is_err() {
            return;
        }
        let closed = self.sender.clone();
        loop {
            let went_on = tokio::select! {
                event = self.live.recv() => match event {
                    Ok(event) => self.event(&event).await,
                    Err(RecvError::Lagged(_)) => self.catch_up().await,
                    Err(RecvError::Closed) => Err(Gone),
                },
                _ = tick.tick() => {
                    ticks += 1;
                    if ticks.is_multiple_of(RECHECK) && !self.who.still_holds(&self.panel).await {
                        return;
                    }
                    self.measure().await
                }
                () = closed.closed() => return,
            };
            if went_on.is_err() {
                return;
            }
        }
    }

    /// What was recorded after the last event that the listener saw.
    async fn catch_up(&mut self) -> std::result::Result<(), Gone> {
        if self.last.is_empty() {
            return Ok(());
        }
        match self.panel.events.since(&self.who.actor, &self.last).await {
            Ok(missed) => {
                for event in missed {
                    self.event(&event).await?;
                }
            }
            Err(error) => tracing::warn!("event stream: {}", report(&error)),
        }
        Ok(())
    }

    async fn event(&mut self, event: &types::Event) -> std::result::Result<(), Gone> {
        if event.id.as_str() <= self.last.as_str() || !self.panel.events.is_for(&self.who.actor, event) {
            return Ok(());
        }
        self.last = event.id.to_string();
        let event = Event::shown(&self.panel, event.clone());
        let message = sse::Event::message(event.to_json_string()).event_type(event.kind).id(event.id);
        self.send(message).await
    }

    async fn measure(&mut self) -> std::result::Result<(), Gone> {
        match self.metrics().await {
            Ok(data) => self.send(sse::Event::message(data.to_string()).event_type("metrics")).await?,
            Err(error) => tracing::warn!("event stream: {}", report(&error)),
        }
        let apps = self.who.actor.touching(Family::Apps);
        match self.panel.apps.list(&apps, None, None, false).await {
            Ok(apps) => {
                for view in apps {
                    let id = view.app.id.to_string();
                    let state = (view.state.word(), view.state_detail);
                    if self.states.get(&id) != Some(&state) {
                        let data = json!({ "app": id, "state": state.0, "detail": state.1 });
                        self.states.insert(id, state);
                        self.send(sse::Event::message(data.to_string()).event_type("state")).await?;
                    }
                }
            }
            // A token that is for other kinds of things.
            Err(types::Error::Forbidden { .. }) => {}
            Err(error) => tracing::warn!("event stream: {}", report(&error)),
        }
        Ok(())
    }

    async fn metrics(&self) -> Result<Value> {
        let actor = self.who.actor.touching(Family::Servers);
        // Who may not see the machines, learns of their apps all the same.
        let servers = match self.panel.servers.list(&actor).await {
            Err(types::Error::Forbidden { .. }) => Vec::new(),
            found => found?,
        };
        let servers: Vec<Value> = servers
            .into_iter()
            .map(|view| json!({ "id": view.server.id, "sample": view.sample.map(ServerSample::from).to_json() }))
            .collect();
        let usage = match self.panel.servers.app_usage(&actor).await {
            Err(types::Error::Forbidden { .. }) => Vec::new(),
            found => found?,
        };
        let apps: Vec<Value> = usage
            .into_iter()
            .map(|(id, cpu, memory)| json!({ "id": id, "cpu_cores": cpu, "memory_bytes": memory }))
            .collect();
        Ok(json!({ "servers": servers, "apps": apps }))
    }

    async fn send(&self, event: sse::Event) -> std::result::Result<(), Gone> {
        self.sender.send(Sent(event)).await.map_err(|_| Gone)
    }
}

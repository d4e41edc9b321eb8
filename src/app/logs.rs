//! What apps print, and a terminal in their containers.

use crate::{apps::find_app, ground::Ground, sleeping};
use futures::{StreamExt, stream::BoxStream};
use node::Exec;
use std::{sync::Arc, time::Duration};
use types::{Action, Actor, App, Container, Error, ExecSpec, Fact, Kind, LogLine, LogQuery, Result, Time};

/// A line of an app, and the container that printed it.
#[derive(Debug, Clone)]
pub struct AppLine {
    pub line: LogLine,
    pub container: String,
}

/// Lines in one answer.
const MOST: u32 = 50_000;

#[derive(Clone)]
pub struct Logs {
    ground: Arc<Ground>,
}

impl Logs {
    pub(crate) fn new(ground: Arc<Ground>) -> Logs {
        Logs { ground }
    }

    /// The last `tail` lines (1000 unless said) of the app's containers, in order of time; only those with `search` in
    /// them, whatever the case.
    pub async fn read(
        &self,
        actor: &Actor,
        app: &str,
        since: Option<Time>,
        tail: Option<u32>,
        search: Option<&str>,
        service: Option<&str>,
    ) -> Result<Vec<AppLine>> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let tail = tail.unwrap_or(1000).min(MOST);
        let search = search.map(str::to_lowercase);
        // With a search, all lines are looked through.
        let asked = if search.is_some() { None } else { Some(tail) };
        let mut found = Vec::new();
        for container in self.containers(&app, service) {
            let mut lines = self.lines(
                &app,
                &container,
                LogQuery {
                    since,
                    tail: asked,
                    follow: false,
                },
            );
            while let Some(line) = lines.next().await {
                let line = match line {
                    Ok(line) => line,
                    // It went while this read, as the old one does after a deployment.
                    Err(Error::NotFound { kind: Kind::Container, .. }) => break,
                    Err(error) => return Err(error),
                };
                if search.as_ref().is_none_or(|search| line.line.text.to_lowercase().contains(search)) {
                    found.push(line);
                }
                if found.len() > 2 * MOST as usize {
                    found.drain(..MOST as usize);
                }
            }
        }
        found.sort_by_key(|line| line.line.at);
        let over = found.len().saturating_sub(tail as usize);
        found.drain(..over);
        Ok(found)
    }

    /// The last `tail` lines and those to come, also of containers that replace these. Ends when it is dropped.
    pub async fn follow(
        &self,
        actor: &Actor,
        app: &str,
        since: Option<Time>,
        tail: Option<u32>,
        service: Option<String>,
    ) -> Result<BoxStream<'static, AppLine>> {
        actor.may_somewhere(Action::View)?;
        let app = find_app(&self.ground, actor, Action::View, app)?;
        let (sender, receiver) = tokio::sync::mpsc::channel(256);
        tokio::spawn(self.clone().follow_all(
            app,
            service,
            LogQuery {
                since,
                tail: Some(tail.unwrap_or(200).min(MOST)),
                follow: true,
            },
            sender,
        ));
        Ok(tokio_stream::wrappers::ReceiverStream::new(receiver).boxed())
    }

    /// Follows each container of the app as it appears.
    async fn follow_all(self, app: App, service: Option<String>, first: LogQuery, sender: tokio::sync::mpsc::Sender<AppLine>) {
        let mut followed = std::collections::HashSet::new();
        let mut query = first;
        let mut tasks = tokio::task::JoinSet::new();
        while !sender.is_closed() {
            for container in self.containers(&app, service.as_deref()) {
                if followed.insert((container.id.clone(), container.started_at)) {
                    let (mut lines, sender) = (self.lines(&app, &container, query.clone()), sender.clone());
                    tasks.spawn(async move {
                        while let Some(Ok(line)) = lines.next().await {
                            if sender.send(line).await.is_err() {
                                break;
                            }
                        }
                    });
                }
            }
            query = LogQuery {
                since: Some(self.ground.world.now().minus(Duration::from_secs(2))),
                tail: None,
                follow: true,
            };
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = sender.closed() => break,
            }
        }
        tasks.abort_all();
    }

    /// All of the app's, or those of one of its services.
    fn containers(&self, app: &App, service: Option<&str>) -> Vec<Container> {
        let is_asked = |container: &&Container| {
            let own = container.owner.service.as_ref().map(|mark| mark.name.as_str());
            container.owner.app == app.id && service.is_none_or(|service| own == Some(service))
        };
        self.ground.observed.load().containers.iter().filter(is_asked).cloned().collect()
    }

    fn lines(&self, app: &App, container: &Container, query: LogQuery) -> BoxStream<'static, Result<AppLine>> {
        let (name, whose, redactor) = (container.name.clone(), app.organization.clone(), self.ground.redactor.clone());
        let redacted = move |line: Result<LogLine>| {
            line.map(|mut line| {
                line.text = redactor.redact_for(&whose, &line.text).into_owned();
                AppLine {
                    line,
                    container: name.clone(),
                }
            })
        };
        self.ground.node.container_logs(&container.id, query).map(redacted).boxed()
    }

    /// A command in the app's running container: a shell where none is given.
    /// In that of the main service unless one is named.
    pub async fn terminal(
        &self,
        actor: &Actor,
        app: &str,
        service: Option<&str>,
        command: Vec<String>,
        columns: u16,
        rows: u16,
    ) -> Result<Exec> {
        actor.may_somewhere(Action::Terminal)?;
        let app = find_app(&self.ground, actor, Action::Terminal, app)?;
        let live = match &app.release {
            Some(id) => crate::releases::find(&self.ground, id)?,
            None => None,
        };
        let rank = |container: &Container| {
            let live = live.as_ref();
            let serves = live.is_some_and(|release| release.serves_with(container));
            (serves, live.is_some_and(|release| release.owns(container)), container.created_at)
        };
        let container = self
            .containers(&app, service)
            .into_iter()
            .filter(|container| container.state.is_running())
            .max_by_key(rank)
            .ok_or_else(|| match app.asleep {
                Some(_) => Error::busy(format!("`{}` is asleep; start it first", app.name)),
                None => Error::busy(format!("`{}` has no running container", app.name)),
            })?;
        let command = if command.is_empty() {
            SHELL.map(str::to_owned).to_vec()
        } else {
            command
        };
        let spec = ExecSpec {
            tty: true,
            columns: columns.clamp(2, 1000),
            rows: rows.clamp(2, 1000),
            ..ExecSpec::plain(command)
        };
        let mut exec = self.ground.node.exec(&container.id, &spec).await?;
        exec.control = sleeping::while_open(&self.ground, &app.id, exec.control);
        self.ground
            .events
            .emit(
                actor,
                Fact::TerminalOpened {
                    app: app.id,
                    name: app.name.to_string(),
                },
            )
            .await;
        Ok(exec)
    }
}

/// The best shell that the image has. It runs inside the container; nothing of ours goes through a shell.
const SHELL: [&str; 3] = [
    "/bin/sh",
    "-c",
    "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi",
];

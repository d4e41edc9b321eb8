//! From one process to the next, without a connection refused: the old one starts the new one, gives it the listening
//! sockets and, once its own store is closed, the word to go. It stays until the new one has served well for a while,
//! and takes everything back when that one fails.
//!
//! The two talk over a pair of sockets (SOCK_SEQPACKET: one message, one read), which the new process finds as its
//! standard input. In order: `Hello` from the new one, `Go` with the sockets (SCM_RIGHTS, unix(7)) and as many `Flows` as it
//! says from the old one, `Serving` or `Failed` from the new one, `Stay` from the old one before it ends.

use api::Sockets;
use edge::{FlowSocket, Listeners, PortSocket, QuicSocket, SharedSockets};
use rustix::{
    fd::OwnedFd,
    io::{Errno, retry_on_intr},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::process::{Child, Command};
use types::{Doing, Error, Result, StreamPort};

/// Tells a process that it takes over from the one at its standard input.
const TAKES_OVER: &str = "SERVERKIT_TAKES_OVER";
/// Sockets that one message can carry (SCM_MAX_FD of the kernel is 253).
const SOCKETS: usize = 200;
/// For a start until the first word, and for reading the whole state.
const START: Duration = Duration::from_secs(20);
const SERVE: Duration = Duration::from_secs(120);

/// Everything on which a panel listens.
pub struct Listening {
    pub edge: Listeners,
    pub api: Sockets,
    /// What carries no HTTP over TCP. Ports that do not fit into a message are left out: who takes over binds them when they
    /// are free.
    pub shared: SharedSockets,
}

impl Listening {
    /// How many sockets of ports fit beside the others.
    fn room(&self) -> usize {
        let Listeners { http, https, panel } = &self.edge;
        SOCKETS.saturating_sub(http.len() + https.len() + panel.len() + 2 + 2 * self.shared.quic.len())
    }

    fn handles(&self) -> Vec<BorrowedFd<'_>> {
        let edge = [&self.edge.http, &self.edge.https, &self.edge.panel];
        let edge = edge.into_iter().flatten().map(AsFd::as_fd);
        let api = [self.api.panel.as_fd(), self.api.edge.as_fd()];
        let quic = self.shared.quic.iter().flat_map(|one| [one.socket.as_fd(), one.line.as_fd()]);
        let ports = self.shared.ports.iter().take(self.room()).map(|port| port.socket.as_fd());
        edge.chain(api).chain(quic).chain(ports).collect()
    }

    /// What `handles` are, in words.
    fn go(&self) -> Word {
        let Listeners { http, https, panel } = &self.edge;
        Word::Go {
            sockets: [http.len(), https.len(), panel.len()],
            quic: self.shared.quic.iter().map(|one| one.listen).collect(),
            ports: self.shared.ports.iter().take(self.room()).map(|port| port.listen).collect(),
            flows: self.shared.flows.len(),
        }
    }

    /// In the order of `handles`.
    fn of(mut handles: Vec<OwnedFd>, counts: [usize; 3], quic: Vec<SocketAddr>, ports: Vec<StreamPort>) -> Result<Listening> {
        if handles.len() != counts.iter().sum::<usize>() + 2 + 2 * quic.len() + ports.len() {
            return Err(Error::unavailable("the old process passed another number of sockets than it said"));
        }
        let mut take = |count: usize| handles.drain(..count).collect::<Vec<_>>();
        let [http, https, panel] = counts.map(|count| take(count).into_iter().map(Into::into).collect());
        let mut api = take(2).into_iter().map(Into::into);
        let mut pairs = take(2 * quic.len()).into_iter();
        let mut pair = |listen| {
            Some(QuicSocket {
                listen,
                socket: pairs.next()?,
                line: pairs.next()?,
            })
        };
        Ok(Listening {
            edge: Listeners { http, https, panel },
            api: Sockets {
                panel: api.next().expect("there are two"),
                edge: api.next().expect("there are two"),
            },
            shared: SharedSockets {
                quic: quic.into_iter().filter_map(&mut pair).collect(),
                ports: ports
                    .into_iter()
                    .zip(handles)
                    .map(|(listen, socket)| PortSocket { listen, socket })
                    .collect(),
                flows: Vec::new(),
            },
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum Word {
    Hello,
    /// How many of the sockets are for http, https and the panel; the API's two come after them, then two for each of HTTP/3,
    /// then these ports. So many ways of UDP clients follow.
    Go {
        sockets: [usize; 3],
        #[serde(default)]
        quic: Vec<SocketAddr>,
        #[serde(default)]
        ports: Vec<StreamPort>,
        #[serde(default)]
        flows: usize,
    },
    /// A socket for each.
    Flows {
        of: Vec<(StreamPort, SocketAddr)>,
    },
    Serving,
    Failed {
        why: String,
    },
    Stay,
}

/// One end of the pair.
#[derive(Clone)]
struct Line(Arc<OwnedFd>);

impl Line {
    fn send(&self, word: &Word, handles: &[BorrowedFd<'_>]) -> Result<()> {
        let text = serde_json::to_vec(word).expect("a word is JSON");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        set_socket_timeout(&*self.0, Timeout::Send, Some(START)).doing("telling the other process")?;
        if !handles.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(handles)) {
            return Err(Error::invalid("sockets", format!("more than {SOCKETS} cannot be handed over")));
        }
        retry_on_intr(|| sendmsg(&*self.0, &[IoSlice::new(&text)], &mut ancillary, SendFlags::NOSIGNAL))
            .map(drop)
            .doing("telling the other process")
    }

    /// The next word within `limit`; an error when the other process is gone or silent.
    fn receive(&self, limit: Duration) -> Result<(Word, Vec<OwnedFd>)> {
        set_socket_timeout(&*self.0, Timeout::Recv, Some(limit)).doing("listening to the other process")?;
        let mut text = vec![0; 64 << 10];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = retry_on_intr(|| recvmsg(&*self.0, &mut [IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC));
        let length = match received {
            Ok(message) if message.bytes > 0 => message.bytes,
            Ok(_) | Err(Errno::CONNRESET) => return Err(Error::unavailable("the other process ended")),
            Err(Errno::AGAIN) => return Err(Error::unavailable(format!("it said nothing for {} s", limit.as_secs()))),
            Err(error) => return Err(error).doing("listening to the other process"),
        };
        let handles = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(handles) => Some(handles.collect::<Vec<_>>()),
            _ => None,
        });
        let handles = handles.flatten().collect();
        let word = serde_json::from_slice(&text[..length]).doing("understanding the other process")?;
        Ok((word, handles))
    }

    async fn receive_later(&self, limit: Duration) -> Result<(Word, Vec<OwnedFd>)> {
        let line = self.clone();
        tokio::task::spawn_blocking(move || line.receive(limit))
            .await
            .doing("listening to the other process")?
    }
}

/// The process that is to take over, as the old one sees it. It is killed when this is dropped before [`Next::stay`].
pub struct Next {
    line: Line,
    child: Child,
}

impl Next {
    /// Starts `binary` with this process's own arguments and waits for its first word. Nothing has changed until then.
    pub async fn start(binary: &Path) -> Result<Next> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).doing("making a pair of sockets")?;
        let child = Command::new(binary)
            .args(std::env::args_os().skip(1))
            .env(TAKES_OVER, "1")
            // It would keep the watchdog of systemd for this process only.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(theirs))
            .kill_on_drop(true)
            .spawn()
            .doing(format!("starting {}", binary.display()))?;
        let mut next = Next {
            line: Line(Arc::new(ours)),
            child,
        };
        match next.line.receive_later(START).await {
            Ok((Word::Hello, _)) => Ok(next),
            Ok((word, _)) => Err(next.end_because(what_it_said(word)).await),
            Err(error) => Err(next.end_because(error.to_string()).await),
        }
    }

    /// Gives it the sockets and waits until it serves. The store must be closed.
    pub async fn go(&mut self, listening: &Listening) -> Result<()> {
        if let Err(error) = self.give(listening).await {
            return Err(self.end_because(error.to_string()).await);
        }
        match self.line.receive_later(SERVE).await {
            Ok((Word::Serving, _)) => Ok(()),
            Ok((word, _)) => Err(self.end_because(what_it_said(word)).await),
            Err(error) => Err(self.end_because(error.to_string()).await),
        }
    }

    async fn give(&self, listening: &Listening) -> Result<()> {
        self.line.send(&listening.go(), &listening.handles())?;
        let line = self.line.clone();
        let flows = listening.shared.try_clone()?.flows;
        // The other one reads while this writes: only so many messages wait in between.
        let sent = tokio::task::spawn_blocking(move || {
            flows.chunks(SOCKETS).try_for_each(|some| {
                let of = some.iter().map(|flow| (flow.listen, flow.client)).collect();
                let handles: Vec<_> = some.iter().map(|flow| flow.socket.as_fd()).collect();
                line.send(&Word::Flows { of }, &handles)
            })
        });
        sent.await.doing("telling the other process")?
    }

    /// Watches it: for `window` it must run, and `is_well` must say so within three tries.
    pub async fn watch(&mut self, window: Duration, is_well: impl AsyncFn() -> bool) -> Result<()> {
        let end = tokio::time::Instant::now() + window;
        let mut ill = 0;
        while tokio::time::Instant::now() < end {
            tokio::select! {
                _ = self.child.wait() => return Err(self.end_because("it ended".into()).await),
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
            ill = if is_well().await { 0 } else { ill + 1 };
            if ill == 3 {
                return Err(self.end_because("it does not answer".into()).await);
            }
        }
        Ok(())
    }

    /// From now on it is the panel. Its process id.
    pub fn stay(self) -> Result<u32> {
        self.line.send(&Word::Stay, &[])?;
        let id = self.child.id().ok_or_else(|| Error::unavailable("it ended"))?;
        // Its parent is about to end: nobody may kill it with this value.
        std::mem::forget(self.child);
        Ok(id)
    }

    /// Ends it, so that the folder is free, and says why.
    async fn end_because(&mut self, why: String) -> Error {
        let _ = self.child.start_kill();
        let why = match self.child.wait().await {
            Ok(status) if status.code().is_some() => format!("{why} ({status})"),
            _ => why,
        };
        Error::unavailable(format!("the new version did not take over: {why}"))
    }
}

fn what_it_said(word: Word) -> String {
    match word {
        Word::Failed { why } => why,
        word => format!("it said {word:?} out of turn"),
    }
}

/// The process that runs, as the one that takes over sees it.
#[derive(Clone)]
pub struct Before {
    line: Line,
}

impl Before {
    /// `None` in a process that was started in the usual way.
    pub fn here() -> Result<Option<Before>> {
        if std::env::var_os(TAKES_OVER).is_none() {
            return Ok(None);
        }
        let line = std::io::stdin().as_fd().try_clone_to_owned().doing("taking over")?;
        Ok(Some(Before {
            line: Line(Arc::new(line)),
        }))
    }

    /// Says hello and waits for the word to go.
    pub fn take_over(&self) -> Result<Listening> {
        self.line.send(&Word::Hello, &[])?;
        match self.line.receive(SERVE)? {
            (
                Word::Go {
                    sockets,
                    quic,
                    ports,
                    flows,
                },
                handles,
            ) => {
                let mut listening = Listening::of(handles, sockets, quic, ports)?;
                listening.shared.flows = self.flows(flows)?;
                Ok(listening)
            }
            (word, _) => Err(Error::unavailable(what_it_said(word))),
        }
    }

    fn flows(&self, count: usize) -> Result<Vec<FlowSocket>> {
        let mut flows = Vec::with_capacity(count);
        while flows.len() < count {
            match self.line.receive(START)? {
                (Word::Flows { of }, handles) if !of.is_empty() && of.len() == handles.len() => {
                    let both = of.into_iter().zip(handles);
                    flows.extend(both.map(|((listen, client), socket)| FlowSocket { listen, client, socket }));
                }
                (Word::Flows { .. }, _) => return Err(Error::unavailable("the old process passed another number of sockets than it said")),
                (word, _) => return Err(Error::unavailable(what_it_said(word))),
            }
        }
        Ok(flows)
    }

    pub fn failed(&self, error: &Error) {
        // The old process may be gone; then nobody waits for it.
        let _ = self.line.send(&Word::Failed { why: types::report(error) }, &[]);
    }

    pub fn serving(&self) -> Result<()> {
        self.line.send(&Word::Serving, &[])
    }

    /// Waits until the old process goes, however it does.
    pub async fn gone(self) {
        loop {
            match self.line.receive_later(Duration::from_secs(3600)).await {
                Ok((Word::Stay, _)) => return,
                Ok(_) => {}
                Err(error) => return tracing::warn!("the old process went without a word: {error}"),
            }
        }
    }
}

//! The watch over a client's silence.

use futures::task::AtomicWaker;
use std::{
    io,
    sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

/// What a connection is doing, as far as its deadline goes. Swept a few times a second by the worker, so that no
/// request sets a timer for it.
#[derive(Debug)]
pub(crate) struct Watch {
    phase: AtomicU8,
    since: AtomicU64,
    head_bytes: AtomicUsize,
    head_limit: usize,
    over: AtomicU8,
    pub(super) waker: AtomicWaker,
}

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

/// Why a watch ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Idle,
    SlowHead,
    LargeHead,
}

impl Watch {
    pub(crate) fn new(head_limit: usize, now: u64) -> Watch {
        Watch {
            phase: AtomicU8::new(HEAD),
            since: AtomicU64::new(now),
            head_bytes: AtomicUsize::new(0),
            head_limit,
            over: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        }
    }
    /// Waits for a next request, with nothing of it there yet.
    pub(crate) fn idle(&self, now: u64) {
        self.since.store(now, Relaxed);
        self.head_bytes.store(0, Relaxed);
        self.phase.store(IDLE, Relaxed);
    }
    pub(crate) fn busy(&self) {
        self.phase.store(BUSY, Relaxed);
    }
    pub(crate) fn over(&self) -> Option<Over> {
        match self.over.load(Relaxed) {
            1 => Some(Over::Idle),
            2 => Some(Over::SlowHead),
            3 => Some(Over::LargeHead),
            _ => None,
        }
    }
    /// Ends it if its time is up.
    pub(crate) fn sweep(&self, now: u64, keep_alive: Duration, header_timeout: Duration) {
        let silent = Duration::from_millis(now.saturating_sub(self.since.load(Relaxed)));
        match self.phase.load(Relaxed) {
            IDLE if silent > keep_alive => self.end(Over::Idle),
            HEAD if silent > header_timeout => self.end(Over::SlowHead),
            _ => {}
        }
    }
    /// Ends it if nothing of a request has come: the edge is stopping.
    pub(crate) fn end_if_idle(&self) {
        let phase = self.phase.load(Relaxed);
        if phase == IDLE || phase == HEAD && self.head_bytes.load(Relaxed) == 0 {
            self.end(Over::Idle);
        }
    }
    pub(crate) fn end(&self, why: Over) {
        self.over.store(
            match why {
                Over::Idle => 1,
                Over::SlowHead => 2,
                Over::LargeHead => 3,
            },
            Relaxed,
        );
        self.waker.wake();
    }
    pub(super) fn waits_for_head(&self) -> bool {
        self.phase.load(Relaxed) != BUSY
    }
    /// Bytes of a head came. The limit here bounds memory; the exact one is checked on the whole head, which may come
    /// with the start of the body.
    pub(super) fn heard(&self, bytes: usize, now: &dyn Fn() -> u64) -> io::Result<()> {
        if self.phase.load(Relaxed) == IDLE {
            self.since.store(now(), Relaxed);
            self.phase.store(HEAD, Relaxed);
        }
        if self.head_bytes.fetch_add(bytes, Relaxed) + bytes > 2 * self.head_limit + 4096 {
            self.over.store(3, Relaxed);
            return Err(io::Error::other("the head is too large"));
        }
        Ok(())
    }
}

//! The one writer: takes the batches that wait, checks them in order, makes them last with one sync, then answers.

use crate::{
    audit::{self, Chain},
    batch::{Batch, path},
    checks::{Group, put},
    collection::decode,
    directory::{Lock, free_bytes},
    journal::{Entry, Journal, Step},
    recovery::{Recovered, recover},
    sealing::Sealer,
    snapshot,
    state::Tally,
    store::{Core, Tuning},
};
use std::{path::PathBuf, sync::Arc, time::Instant};
use tokio::sync::{mpsc, oneshot};
use types::{AuditAnchor, AuditEntry, Error, Result, World, report};

/// Batches that share one sync at most, so that the first does not wait for ever.
const GROUP: usize = 256;

/// The least room for an attempt to build the state anew.
const REBUILD: u64 = 4 << 20;

pub type Reply<T> = oneshot::Sender<Result<T>>;

pub enum Command {
    /// Answers with the batch's sequence number, which is the revision of what it wrote.
    Commit(Batch, Reply<u64>),
    /// Cuts the audit log up to an entry.
    CutAudit(u64, Reply<u64>),
    Snapshot(Reply<PathBuf>),
    Close(oneshot::Sender<()>),
}

pub struct Writer {
    core: Arc<Core>,
    sealer: Arc<Sealer>,
    tuning: Tuning,
    world: World,
    open: Result<Open, Failed>,
    _lock: Lock,
}

/// Sled failed and could not be built anew yet, for lack of room most likely.
struct Failed {
    why: String,
    tried_at: Instant,
}

struct Open {
    journal: Journal,
    tally: Tally,
    /// Where the next entry of the audit log hangs.
    chain: Chain,
    unsnapped: u64,
    snapshot_bytes: u64,
}

impl Writer {
    pub fn new(core: Arc<Core>, sealer: Arc<Sealer>, recovered: Recovered, lock: Lock, tuning: Tuning, world: World) -> Result<Writer> {
        let mut writer = Writer {
            core,
            sealer,
            tuning,
            world,
            open: Err(Failed {
                why: "it is not open yet".into(),
                tried_at: Instant::now(),
            }),
            _lock: lock,
        };
        writer.install(recovered)?;
        Ok(writer)
    }

    /// Works until told to close, or until nobody is left who could ask.
    pub fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut closed = None;
        while let Some(first) = inbox.blocking_recv() {
            let mut commits = Vec::new();
            let mut others = Vec::new();
            let mut next = Some(first);
            while let Some(command) = next {
                match command {
                    Command::Commit(batch, reply) => commits.push((batch, reply)),
                    other => others.push(other),
                }
                next = if commits.len() < GROUP && others.is_empty() {
                    inbox.try_recv().ok()
                } else {
                    None
                };
            }
            self.commit(commits);
            for command in others {
                match command {
                    // A caller that no longer waits is no concern of ours.
                    Command::CutAudit(through, reply) => drop(reply.send(self.cut_audit(through))),
                    Command::Snapshot(reply) => drop(reply.send(self.snapshot())),
                    Command::Close(reply) => closed = Some(reply),
                    Command::Commit(..) => unreachable!("commits were sorted out above"),
                }
            }
            if closed.is_some() {
                break;
            }
        }
        self.core.close();
        drop(self);
        if let Some(reply) = closed {
            let _ = reply.send(());
        }
    }

    /// Writes an entry that needs no checks: upgraded records, before anybody reads.
    pub fn put(&mut self, steps: Vec<Step>) -> Result<()> {
        let sequence = self.open()?.tally.sequence + 1;
        self.write(vec![Entry { sequence, steps }])
    }

    fn commit(&mut self, commits: Vec<(Batch, Reply<u64>)>) {
        let mut replies = Vec::new();
        let mut entries = Vec::new();
        let mut changes = Vec::new();
        let begun = self
            .open()
            .map(|open| (open.tally.sequence, open.chain.clone()))
            .map_err(|error| report(&error));
        let mut chain = begun.as_ref().ok().map(|(_, chain)| chain.clone());
        let mut group = Group::new(&self.core, &self.sealer, &self.world);
        for (batch, reply) in commits {
            let sequence = match &begun {
                Ok((sequence, _)) => sequence + 1 + entries.len() as u64,
                Err(why) => {
                    let _ = reply.send(Err(Error::unavailable(format!("the state cannot be written: {why}"))));
                    continue;
                }
            };
            match group.check(batch, sequence, chain.as_mut()) {
                Ok((entry, mut made)) => {
                    entries.push(entry);
                    changes.append(&mut made);
                    replies.push((reply, Ok(sequence)));
                }
                Err(error) => replies.push((reply, Err(error))),
            }
        }
        let written = if entries.is_empty() { Ok(()) } else { self.write(entries) };
        let failed = written.err().map(|error| report(&error));
        if failed.is_none() {
            if let (Ok(open), Some(chain)) = (&mut self.open, chain) {
                open.chain = chain;
            }
            for change in changes {
                // Nobody listening is fine.
                let _ = self.core.changes.send(change);
            }
        }
        for (reply, result) in replies {
            let result = match &failed {
                Some(why) => Err(Error::unavailable(why.clone())),
                None => result,
            };
            let _ = reply.send(result);
        }
        self.snapshot_when_due();
    }

    /// Journal, sync, sled, flush. An error means that nothing was changed, except when sled failed and could not be
    /// built anew: then the journal has it, and so will the state once there is room.
    fn write(&mut self, entries: Vec<Entry>) -> Result<()> {
        let last = entries.last().map_or(0, |entry| entry.sequence);
        let full = |dir: &std::path::Path| format!("the disk that holds {} is full: nothing was saved", dir.display());
        if free_bytes(&self.core.dir)? < self.tuning.reserve_bytes {
            return Err(Error::unavailable(full(&self.core.dir)));
        }
        let (core, patience) = (self.core.clone(), self.tuning.patience);
        let open = self.open()?;
        match open.journal.append(&entries) {
            Ok(bytes) => open.unsnapped += bytes,
            Err(error) => {
                let is_full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
                let what = if is_full {
                    full(&core.dir)
                } else {
                    "the journal cannot be written: nothing was saved".into()
                };
                return Err(Error::unavailable_by(what, error));
            }
        }
        let early = core.clone();
        let claim = move |made| early.add_claims(made);
        match core.state()?.apply(entries, open.tally, patience, claim) {
            Ok((tally, gone)) => {
                open.tally = tally;
                core.forget_claims(gone);
                Ok(())
            }
            Err(error) => {
                tracing::error!("the state failed and is built anew: {}", report(&error));
                self.rebuild(error)?;
                match self.open()?.tally.sequence < last {
                    true => Err(Error::unavailable("the state failed")),
                    false => Ok(()),
                }
            }
        }
    }

    /// What is open; after a failure it is built anew, at most every few seconds.
    fn open(&mut self) -> Result<&mut Open> {
        if let Err(failed) = &self.open {
            let why = format!("the state cannot be written: {}", failed.why);
            if failed.tried_at.elapsed() < self.tuning.patience / 4 {
                return Err(Error::unavailable(why));
            }
            self.rebuild(Error::unavailable(failed.why.clone()))?;
        }
        self.open.as_mut().map_err(|failed| Error::unavailable(failed.why.clone()))
    }

    /// Builds the state anew from snapshot and journal; what failed serves readers until then.
    fn rebuild(&mut self, why: Error) -> Result<()> {
        let words = report(&why);
        // Each try leaks what it could not finish, so none is made without hope.
        let needs = self
            .tuning
            .reserve_bytes
            .max(REBUILD + 3 * self.open.as_ref().map_or(0, |open| open.snapshot_bytes));
        let done = match free_bytes(&self.core.dir)? < needs {
            true => Err(Error::unavailable(format!("{words}; the disk is full"))),
            false => recover(
                &self.core.dir,
                &self.tuning,
                &self.world,
                Some(Error::internal("using the state", words)),
            ),
        };
        match done {
            Ok(recovered) => self.install(recovered),
            Err(error) => {
                self.open = Err(Failed {
                    why: report(&error),
                    tried_at: Instant::now(),
                });
                Err(Error::unavailable(format!("the state cannot be written: {}", report(&error))))
            }
        }
    }

    fn install(&mut self, recovered: Recovered) -> Result<()> {
        let chain = Chain::read(&recovered.state)?;
        self.core.install(recovered.state, recovered.claims, recovered.mended);
        self.open = Ok(Open {
            journal: recovered.journal,
            tally: recovered.tally,
            chain,
            unsnapped: recovered.unsnapped,
            snapshot_bytes: recovered.snapshot_bytes,
        });
        Ok(())
    }

    /// The anchor is moved in the batch that cuts.
    fn cut_audit(&mut self, through: u64) -> Result<u64> {
        let now = self.world.now();
        let core = self.core.clone();
        let open = self.open()?;
        let (sequence, mut chain) = (open.tally.sequence + 1, open.chain.clone());
        let mut steps = Vec::new();
        let mut last = None;
        core.read(|state| {
            let from = audit::anchor(state)?.map_or(1, |anchor| anchor.sequence + 1);
            for number in from..=through {
                let path = path::<AuditEntry>(&audit::key(number));
                let Some(bytes) = state.get(&path)? else { break };
                let entry: AuditEntry = decode(&path, &bytes)?.value;
                last = Some((entry.sequence, entry.hash));
                steps.push(Step::Remove { path });
            }
            Ok(())
        })?;
        let Some((through, hash)) = last else { return Ok(0) };
        let count = steps.len() as u64;
        let anchor = AuditAnchor {
            sequence: through,
            hash,
            at: now,
        };
        steps.push(put(&anchor, sequence)?);
        steps.push(put(&chain.cut(count, through, now)?, sequence)?);
        self.write(vec![Entry { sequence, steps }])?;
        self.open()?.chain = chain;
        Ok(count)
    }

    fn snapshot_when_due(&mut self) {
        let Ok(open) = &mut self.open else { return };
        if open.unsnapped < self.tuning.snapshot_bytes.max(2 * open.snapshot_bytes) {
            return;
        }
        if let Err(error) = self.snapshot() {
            tracing::warn!("no snapshot was made, the journal is kept longer: {}", report(&error));
            if let Ok(open) = &mut self.open {
                // Not again at once.
                open.unsnapped /= 2;
            }
        }
    }

    fn snapshot(&mut self) -> Result<PathBuf> {
        let dir = self.core.dir.join("snapshots");
        let core = self.core.clone();
        let open = self.open()?;
        open.journal
            .rotate(open.tally.sequence + 1)
            .map_err(|error| Error::internal("beginning a new part of the journal", error))?;
        let (path, bytes) = core.read(|state| snapshot::write(&dir, state, open.tally.sequence))?;
        open.unsnapped = 0;
        open.snapshot_bytes = bytes;
        let oldest = snapshot::prune(&dir)?;
        open.journal.prune(oldest)?;
        Ok(path)
    }
}

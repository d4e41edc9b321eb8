//! Carries bytes between a local socket and an SSH channel, both ways, in one thread. What is under way is bounded by two
//! buffers, so whoever is slow slows the other down.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{BlockDirections, Channel, Session};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

/// As much as one packet of the channel takes.
const BUFFER: usize = 32 << 10;
/// Silence after which the other machine is asked whether it is there.
const QUIET: Duration = Duration::from_secs(15);

/// Which half left a packet that is sent in part: libssh2 wants the very same call again before any other one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Up,
    Down,
}

struct Buffer {
    bytes: Box<[u8; BUFFER]>,
    from: usize,
    to: usize,
}

impl Buffer {
    fn new() -> Buffer {
        Buffer {
            bytes: Box::new([0; BUFFER]),
            from: 0,
            to: 0,
        }
    }
    fn is_empty(&self) -> bool {
        self.from == self.to
    }
    fn rest(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }
    /// Reads into it while it is empty; `None`: nothing was there yet.
    fn fill(&mut self, from: &mut impl Read) -> io::Result<Option<usize>> {
        let count = waiting(from.read(&mut self.bytes[..]))?;
        (self.from, self.to) = (0, count.unwrap_or(0));
        Ok(count)
    }
    fn drain(&mut self, to: &mut impl Write) -> io::Result<bool> {
        let count = waiting(to.write(self.rest()))?.unwrap_or(0);
        self.from += count;
        Ok(count > 0)
    }
}

fn waiting(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

struct Pump {
    session: Session,
    channel: Channel,
    /// The session's own socket, to wait on.
    far: TcpStream,
    near: UnixStream,
    up: Buffer,
    down: Buffer,
    half: Option<Half>,
    near_ended: bool,
    end_told: bool,
    far_ended: bool,
}

/// Until one of the two is gone. The session does not block, nor does `near`.
pub fn run(session: Session, channel: Channel, far: TcpStream, near: UnixStream) {
    let mut pump = Pump {
        session,
        channel,
        far,
        near,
        up: Buffer::new(),
        down: Buffer::new(),
        half: None,
        near_ended: false,
        end_told: false,
        far_ended: false,
    };
    pump.session.set_keepalive(true, u32::try_from(QUIET.as_secs()).unwrap_or(u32::MAX));
    // Whoever used the stream sees that it ended, and says what they were doing.
    if let Err(error) = pump.carry() {
        tracing::debug!(%error, "a stream through SSH ended");
    }
}

impl Pump {
    fn carry(&mut self) -> io::Result<()> {
        loop {
            let moved = self.move_down()? | self.move_up()?;
            if self.far_ended && self.down.is_empty() {
                return Ok(());
            }
            if !moved && !self.wait()? {
                return Ok(());
            }
        }
    }

    fn move_down(&mut self) -> io::Result<bool> {
        let mut moved = false;
        if self.half != Some(Half::Up) && self.down.is_empty() && !self.far_ended {
            match self.down.fill(&mut self.channel)? {
                Some(0) => self.far_ended = self.channel.eof(),
                read => moved = read.is_some(),
            }
            self.half = self.is_cut().then_some(Half::Down);
        }
        if !self.down.is_empty() {
            moved |= self.down.drain(&mut self.near)?;
        }
        Ok(moved)
    }

    fn move_up(&mut self) -> io::Result<bool> {
        let mut moved = false;
        if self.up.is_empty() && !self.near_ended {
            match self.up.fill(&mut self.near)? {
                Some(0) => self.near_ended = true,
                read => moved = read.is_some(),
            }
        }
        if self.half == Some(Half::Down) {
            return Ok(moved);
        }
        if !self.up.is_empty() {
            moved |= self.up.drain(&mut self.channel)?;
            self.half = self.is_cut().then_some(Half::Up);
        } else if self.near_ended && !self.end_told {
            self.end_told = match self.channel.send_eof() {
                Ok(()) => true,
                Err(error) => waiting(Err(error.into()))?.is_some(),
            };
            self.half = self.is_cut().then_some(Half::Up);
        }
        Ok(moved)
    }

    /// Whether the last call left a packet that is sent in part.
    fn is_cut(&self) -> bool {
        matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both)
    }

    /// Until something can go on. False when nobody is left at this end.
    fn wait(&mut self) -> io::Result<bool> {
        let mut near = PollFlags::empty();
        near.set(PollFlags::IN, self.up.is_empty() && !self.near_ended);
        near.set(PollFlags::OUT, !self.down.is_empty());
        let mut far = PollFlags::empty();
        // What comes while our own reader is slow stays where it is; but room to send is told by what comes.
        far.set(PollFlags::IN, self.down.is_empty() || !self.up.is_empty());
        far.set(PollFlags::OUT, self.half.is_some());
        let mut both = [PollFd::new(&self.near, near), PollFd::new(&self.far, far)];
        let quiet = Timespec {
            tv_sec: i64::try_from(QUIET.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: 0,
        };
        let count = match poll(&mut both, Some(&quiet)) {
            Err(rustix::io::Errno::INTR) => return Ok(true),
            polled => polled?,
        };
        let is_gone = both[0].revents().intersects(PollFlags::HUP | PollFlags::ERR);
        if count == 0 && self.half.is_none() {
            self.session.keepalive_send()?;
        }
        Ok(!is_gone)
    }
}

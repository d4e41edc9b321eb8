//! Which of several upstreams a request goes to, and in which order the others are tried.

use crate::{connection::Guest, upstream::Backend};
use http::{HeaderMap, header};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use types::{Balancing, HashKey};

/// Upstreams, and how one is chosen.
pub(crate) struct Balanced {
    pub backends: Box<[Arc<Backend>]>,
    pub how: Balancing,
    next: AtomicUsize,
}

/// A request, as far as choosing an upstream looks at it.
pub(crate) struct Asker<'a> {
    pub headers: &'a HeaderMap,
    /// The normal path.
    pub path: &'a str,
    pub client: IpAddr,
    /// Milliseconds of [`crate::upstream::clock`].
    pub now: u64,
}

impl Asker<'_> {
    pub(crate) fn hashed(&self, key: &HashKey) -> u64 {
        match key {
            HashKey::Address => hash(&self.client),
            HashKey::Path => hash(&self.path),
            HashKey::Header { name } => hash(&self.headers.get(name.as_str()).map_or(&b""[..], |value| value.as_bytes())),
            HashKey::Cookie { name } => hash(&cookie(self.headers, name).unwrap_or_default()),
        }
    }
}

impl Balanced {
    pub(crate) fn new(backends: Box<[Arc<Backend>]>, how: Balancing) -> Balanced {
        Balanced {
            backends,
            how,
            next: AtomicUsize::new(0),
        }
    }

    /// Where this request begins when nothing of it matters.
    pub(crate) fn turn(&self) -> usize {
        if self.backends.len() == 1 {
            0
        } else {
            self.next.fetch_add(1, Relaxed) % self.backends.len()
        }
    }

    /// Whether the client's cookie of this name brings it to one of these.
    pub(crate) fn knows(&self, name: &str, asker: &Asker<'_>) -> bool {
        let Some(value) = cookie(asker.headers, name) else { return false };
        self.backends
            .iter()
            .any(|backend| mark(backend) == value && backend.is_usable(asker.now))
    }

    /// Where this request begins, by its words.
    pub(crate) fn choose(&self, asker: &Asker<'_>) -> usize {
        let (headers, now) = (asker.headers, asker.now);
        let turn = self.turn();
        if self.backends.len() == 1 {
            return turn;
        }
        match &self.how {
            Balancing::RoundRobin => self.warm(turn, now),
            Balancing::LeastConnections => {
                let count = self.backends.len();
                let load = |n: &usize| {
                    let backend = &self.backends[*n];
                    // A cold one counts as fuller than it is.
                    (backend.active() + 1) * 100 / backend.warmth(now).max(1)
                };
                (0..count)
                    .map(|n| (turn + n) % count)
                    .filter(|n| self.backends[*n].is_usable(now))
                    .min_by_key(load)
                    .unwrap_or(turn)
            }
            Balancing::ConsistentHash { key } => self.rendezvous(asker.hashed(key), now).unwrap_or(turn),
            Balancing::StickyCookie { name } => cookie(headers, name)
                .and_then(|value| {
                    self.backends
                        .iter()
                        .position(|backend| mark(backend) == value && backend.is_usable(now))
                })
                .unwrap_or_else(|| self.warm(turn, now)),
        }
    }

    /// `turn`, or one after it that is usable; one that is warming up is passed over as often as it is cold.
    fn warm(&self, turn: usize, now: u64) -> usize {
        let count = self.backends.len();
        let fits = |n: &usize| {
            let backend = &self.backends[*n];
            let warmth = backend.warmth(now);
            backend.is_usable(now) && (warmth >= 100 || (self.next.load(Relaxed) as u64).wrapping_mul(37) % 100 < warmth)
        };
        (0..count).map(|n| (turn + n) % count).find(fits).unwrap_or(turn)
    }

    /// The usable one with the highest weight for `key` (rendezvous hashing): when one goes, only its keys move.
    fn rendezvous(&self, key: u64, now: u64) -> Option<usize> {
        (0..self.backends.len())
            .filter(|n| self.backends[*n].is_usable(now))
            .max_by_key(|n| hash(&(key, &self.backends[*n].place)))
    }

    /// The cookie that brings a client back to upstream `n`, if it does not have it.
    pub(crate) fn cookie_for(&self, n: usize, headers: &HeaderMap, guest: &Guest) -> Option<String> {
        let Balancing::StickyCookie { name } = &self.how else { return None };
        let value = mark(self.backends.get(n)?);
        let secure = if guest.secure() { "; Secure" } else { "" };
        (cookie(headers, name).as_deref() != Some(&value)).then(|| format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}"))
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What a sticky cookie says of an upstream: not its address.
fn mark(backend: &Backend) -> String {
    format!("{:016x}", hash(&("sticky", &backend.place)))
}

pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.to_owned()))
}

//! Time and chance, passed in: a test brings its own.

use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    pub fn plus(self, span: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
    pub fn minus(self, span: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
    pub fn to_utc(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
    pub fn from_utc(at: OffsetDateTime) -> Time {
        Time(i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX))
    }
}

/// RFC 3339, UTC, with milliseconds where there are any.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_utc().format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    fn now(&self) -> Time;
}

/// Where randomness comes from. It must be fit for secrets.
pub trait Chance: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::from_utc(OffsetDateTime::now_utc())
    }
}

/// The machine's random source.
pub struct SystemChance;

impl Chance for SystemChance {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the kernel's random source answers");
    }
}

/// What a panel takes from outside itself: the time, and chance.
#[derive(Clone)]
pub struct World {
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

impl World {
    pub fn new(clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> World {
        World { clock, chance }
    }
    /// The real one.
    pub fn system() -> World {
        World::new(Arc::new(SystemClock), Arc::new(SystemChance))
    }
    pub fn now(&self) -> Time {
        self.clock.now()
    }
    /// `N` random bytes, fit for keys.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.chance.fill(&mut bytes);
        bytes
    }
    /// A random text of 5 bits a letter in `a-z2-7`: 52 letters for 256 bits.
    pub fn word(&self, letters: usize) -> String {
        let mut bytes = vec![0; letters];
        self.chance.fill(&mut bytes);
        bytes
            .iter()
            .map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte & 31)]))
            .collect()
    }
    /// A new id, sortable by the time it was made.
    pub fn id<T: From<crate::ids::Raw>>(&self) -> T {
        T::from(crate::ids::Raw::new(self.now(), self.bytes()))
    }
    /// A number in `0.0..1.0`, for jitter.
    pub fn share(&self) -> f64 {
        f64::from(u32::from_le_bytes(self.bytes())) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_prints_as_rfc_3339() {
        assert_eq!(Time(1_700_000_000_000).to_string(), "2023-11-14T22:13:20Z");
        assert_eq!(Time(5_000).since(Time(7_000)), Duration::ZERO);
    }
}

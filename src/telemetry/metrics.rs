//! Measurements over time, in memory: what was recorded is averaged into rings of three resolutions.
//!
//! A series takes at most 28 KiB (6,930 values of 4 bytes, allocated as they come) and there are at most
//! [`MOST_SERIES`], so the worst case is known: 112 MiB. A restart begins afresh.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use types::Time;

/// (milliseconds a slot, slots): 2 s for 15 min, 15 s for 6 h, 2 min for 7 days.
const RINGS: [(i64, usize); 3] = [(2_000, 450), (15_000, 1_440), (120_000, 5_040)];
/// Series beyond these are not kept.
pub const MOST_SERIES: usize = 4_096;

/// Named series of figures. Clones share them.
#[derive(Clone, Default)]
pub struct Metrics {
    series: Arc<Mutex<HashMap<String, Series>>>,
}

impl Metrics {
    pub fn new() -> Metrics {
        Metrics::default()
    }

    /// Adds a figure. What is not a finite number is left out. Moments may come late or, after the clock was set, early.
    pub fn record(&self, series: &str, at: Time, value: f64) {
        if !value.is_finite() {
            return;
        }
        let mut all = self.lock();
        if let Some(known) = all.get_mut(series) {
            known.record(at, value);
        } else if all.len() < MOST_SERIES {
            let mut fresh = Series::default();
            fresh.record(at, value);
            all.insert(series.to_owned(), fresh);
        } else {
            tracing::warn!(series, "not kept: there are {MOST_SERIES} series of measurements already");
        }
    }

    /// `points` averages over equal parts of `from..to`, oldest first; `None` where nothing was recorded. Each part comes
    /// from the finest ring that reaches back to it, so one that is shorter than a slot repeats that slot's figure.
    pub fn range(&self, series: &str, from: Time, to: Time, points: usize) -> Vec<Option<f64>> {
        let all = self.lock();
        let span = i128::from(to.0) - i128::from(from.0);
        let Some(known) = all.get(series).filter(|_| span > 0) else {
            return vec![None; points];
        };
        let edge = |index: usize| -> i64 {
            let offset = span * i128::try_from(index).unwrap_or(0) / i128::try_from(points.max(1)).unwrap_or(1);
            i64::try_from(i128::from(from.0) + offset).unwrap_or(to.0)
        };
        (0..points).map(|index| known.average(edge(index), edge(index + 1))).collect()
    }

    /// The figure recorded last, and its moment.
    pub fn last(&self, series: &str) -> Option<(Time, f64)> {
        self.lock().get(series).map(|known| known.last)
    }

    /// Drops every series whose name begins with `prefix`.
    pub fn forget(&self, prefix: &str) {
        self.lock().retain(|name, _| !name.starts_with(prefix));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Series>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Series {
    rings: [Ring; 3],
    last: (Time, f64),
}

impl Default for Series {
    fn default() -> Series {
        Series {
            rings: RINGS.map(|(step, slots)| Ring::new(step, slots)),
            last: (Time(0), 0.0),
        }
    }
}

impl Series {
    fn record(&mut self, at: Time, value: f64) {
        self.last = (at, value);
        for ring in &mut self.rings {
            ring.record(at.0, value);
        }
    }

    /// Over `from..to` in milliseconds.
    fn average(&self, from: i64, to: i64) -> Option<f64> {
        let [.., coarsest] = &self.rings;
        self.rings
            .iter()
            .find(|ring| ring.reaches(from))
            .unwrap_or(coarsest)
            .average(from, to)
    }
}

/// The latest slots of one length; a slot without a figure holds NaN.
struct Ring {
    step: i64,
    most: usize,
    slots: VecDeque<f32>,
    /// The number of the newest slot: its beginning divided by `step`.
    newest: i64,
    /// How many figures the newest slot averages.
    count: u32,
    /// It held older figures once.
    dropped: bool,
}

impl Ring {
    fn new(step: i64, most: usize) -> Ring {
        Ring {
            step,
            most,
            slots: VecDeque::new(),
            newest: 0,
            count: 0,
            dropped: false,
        }
    }

    /// Whether it holds all there ever was from this millisecond on.
    fn reaches(&self, from: i64) -> bool {
        !self.dropped || self.oldest().saturating_mul(self.step) <= from
    }

    fn oldest(&self) -> i64 {
        self.newest - i64::try_from(self.slots.len()).unwrap_or(0) + 1
    }

    fn record(&mut self, at: i64, value: f64) {
        let slot = at.div_euclid(self.step);
        let most = i64::try_from(self.most).unwrap_or(i64::MAX);
        // Further away than a whole ring, in either direction: the clock was set. Begin afresh.
        if self.slots.is_empty() || (i128::from(slot) - i128::from(self.newest)).abs() >= i128::from(most) {
            self.dropped |= !self.slots.is_empty();
            self.slots.clear();
            self.push(value as f32);
            (self.newest, self.count) = (slot, 1);
            return;
        }
        while self.newest < slot {
            self.push(f32::NAN);
            (self.newest, self.count) = (self.newest + 1, 0);
        }
        if slot == self.newest {
            self.count += 1;
            let share = 1.0 / f64::from(self.count);
            let newest = self.slots.back_mut().expect("the ring is not empty");
            *newest = if self.count == 1 {
                value
            } else {
                f64::from(*newest) * (1.0 - share) + value * share
            } as f32;
        } else if let Some(late) = usize::try_from(slot - self.oldest())
            .ok()
            .and_then(|index| self.slots.get_mut(index))
        {
            *late = if late.is_nan() {
                value
            } else {
                f64::midpoint(f64::from(*late), value)
            } as f32;
        }
    }

    /// Grows by an eighth at a time, so that a full ring has no room to spare.
    fn push(&mut self, value: f32) {
        if self.slots.len() == self.most {
            self.slots.pop_front();
            self.dropped = true;
        } else if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact((self.most / 8).min(self.most - self.slots.len()));
        }
        self.slots.push_back(value);
    }

    /// Of the slots that begin in `from..to`, or of the one that `from` lies in.
    fn average(&self, from: i64, to: i64) -> Option<f64> {
        let begin = from.saturating_add(self.step - 1).div_euclid(self.step);
        let end = to.saturating_add(self.step - 1).div_euclid(self.step);
        let (begin, end) = if begin < end {
            (begin, end)
        } else {
            (from.div_euclid(self.step), from.div_euclid(self.step) + 1)
        };
        let index = |slot: i64| {
            usize::try_from(slot.saturating_sub(self.oldest()))
                .unwrap_or(0)
                .min(self.slots.len())
        };
        let (mut sum, mut count) = (0.0, 0_u32);
        for value in self.slots.range(index(begin)..index(end)).filter(|value| !value.is_nan()) {
            sum += f64::from(*value);
            count += 1;
        }
        (count > 0).then(|| sum / f64::from(count))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;
    /// Divisible by every step.
    const START: i64 = 1_700_000_040_000 / 120_000 * 120_000;

    fn check(records: &[(i64, f64)], from: i64, to: i64, expected: &[Option<f64>]) {
        let metrics = Metrics::new();
        for (at, value) in records {
            metrics.record("cpu", Time(START + at), *value);
        }
        assert_eq!(metrics.range("cpu", Time(START + from), Time(START + to), expected.len()), expected);
    }

    #[test]
    fn ranges() {
        check(&[], 0, 10_000, &[None, None]);
        check(
            &[(0, 1.0), (2_000, 3.0), (4_000, 5.0)],
            0,
            6_000,
            &[Some(1.0), Some(3.0), Some(5.0)],
        );
        check(&[(0, 1.0), (2_000, 3.0), (8_000, 5.0)], 0, 12_000, &[Some(2.0), None, Some(5.0)]);
        check(&[(0, 1.0), (500, 2.0), (1_000, 6.0)], 0, 2_000, &[Some(3.0)]);
        check(&[(0, 4.0)], 0, 2_000, &[Some(4.0), Some(4.0)]);
        check(&[(0, 1.0)], -4_000, 2_000, &[None, None, Some(1.0)]);
        check(&[(0, 1.0)], 2_000, 2_000, &[None]);
        check(&[(0, 1.0), (1_000, f64::NAN), (1_500, f64::INFINITY)], 0, 2_000, &[Some(1.0)]);
        check(
            &[(0, 2.0), (4_000, 1.0), (2_000, 3.0), (3_000, 5.0)],
            0,
            6_000,
            &[Some(2.0), Some(4.0), Some(1.0)],
        );
    }

    #[test]
    fn older_parts_come_from_coarser_rings() {
        let metrics = Metrics::new();
        for second in (0..8 * 60 * 60).step_by(2) {
            metrics.record("m", Time(START + second * 1_000), if second < 4 * 60 * 60 { 1.0 } else { 3.0 });
        }
        let hours = metrics.range("m", Time(START), Time(START + 8 * 60 * MINUTE), 8);
        assert_eq!(hours, [1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0].map(Some));
        assert_eq!(metrics.last("m"), Some((Time(START + (8 * 60 * 60 - 2) * 1_000), 3.0)));
    }

    #[test]
    fn after_a_long_silence_the_coarse_rings_still_know() {
        let metrics = Metrics::new();
        metrics.record("m", Time(START), 1.0);
        metrics.record("m", Time(START + 60 * MINUTE), 2.0);
        let hour = metrics.range("m", Time(START), Time(START + 62 * MINUTE), 31);
        assert_eq!((hour[0], hour[15], hour[30]), (Some(1.0), None, Some(2.0)));
    }

    #[test]
    fn a_full_series_takes_what_is_documented() {
        let mut series = Series::default();
        for slot in 0..6_000 {
            series.record(Time(START + slot * 120_000), 1.0);
        }
        for slot in 0..2_000 {
            series.record(Time(START + 6_000 * 120_000 + slot * 2_000), 1.0);
        }
        let values: usize = series.rings.iter().map(|ring| ring.slots.capacity()).sum();
        assert!(values * 4 <= 28 << 10, "{values} values");
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_stop_recording() {
        let metrics = Metrics::new();
        let year = 365 * 24 * 60 * MINUTE;
        metrics.record("m", Time(START + year), 9.0);
        metrics.record("m", Time(START), 1.0);
        metrics.record("m", Time(START + 2_000), 2.0);
        assert_eq!(metrics.range("m", Time(START), Time(START + 4_000), 2), [Some(1.0), Some(2.0)]);
        metrics.record("m", Time(i64::MAX), 1.0);
        metrics.record("m", Time(i64::MIN), 1.0);
        metrics.range("m", Time(i64::MIN), Time(i64::MAX), 3);
    }

    #[test]
    fn forget_takes_the_prefix() {
        let metrics = Metrics::new();
        for name in ["app/a/cpu", "app/a/memory", "app/b/cpu"] {
            metrics.record(name, Time(START), 1.0);
        }
        metrics.forget("app/a/");
        assert_eq!(metrics.last("app/a/cpu"), None);
        assert!(metrics.last("app/b/cpu").is_some());
    }

    #[test]
    fn series_are_bounded() {
        let metrics = Metrics::new();
        for number in 0..=MOST_SERIES {
            metrics.record(&number.to_string(), Time(START), 1.0);
        }
        assert_eq!(metrics.lock().len(), MOST_SERIES);
    }

    proptest! {
        #[test]
        fn averages_lie_between_the_least_and_the_most(
            records in proptest::collection::vec((0_i64..1_000_000_000, -1e6_f64..1e6), 1..200), points in 1_usize..50
        ) {
            let metrics = Metrics::new();
            for (at, value) in &records {
                metrics.record("m", Time(START + at), *value);
            }
            let least = records.iter().map(|(_, value)| *value).fold(f64::MAX, f64::min);
            let most = records.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max);
            let range = metrics.range("m", Time(START), Time(START + 1_000_000_000), points);
            prop_assert_eq!(range.len(), points);
            for value in range.into_iter().flatten() {
                prop_assert!(least - 1.0 <= value && value <= most + 1.0);
            }
        }
    }
}

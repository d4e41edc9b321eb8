//! Starts jobs, repeats them, and stops them between two runs.

use crate::{Job, Status, Wake};
use futures::FutureExt;
use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use types::World;

/// A job that fails waits longer each time, up to this or its own interval.
const LONGEST_DELAY: Duration = Duration::from_secs(600);
/// A job that fails and is woken at once waits a little nevertheless, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Clones share their jobs.
#[derive(Clone)]
pub struct Runner {
    world: World,
    stop: CancellationToken,
    tasks: TaskTracker,
    jobs: Arc<Mutex<Vec<Shared>>>,
}

type Shared = Arc<Mutex<Status>>;

impl Runner {
    /// Jobs begin no further run once `stop` is cancelled; a run that is under way is waited for by [`Runner::join`].
    pub fn new(world: World, stop: CancellationToken) -> Runner {
        Runner {
            world,
            stop,
            tasks: TaskTracker::new(),
            jobs: Arc::default(),
        }
    }

    /// Runs `job` now, after each wake-up, and `every` so often after its last run ended.
    pub fn start(&self, job: impl Job, every: Duration) -> Wake {
        let wake = Wake::new();
        self.start_with(job, every, &wake);
        wake
    }

    /// The same with a bell that was made before.
    pub fn start_with<J: Job>(&self, job: J, every: Duration, wake: &Wake) {
        let status = Arc::new(Mutex::new(Status::new(J::NAME)));
        locked(&self.jobs).push(status.clone());
        self.tasks.spawn(self.clone().repeat(job, every, wake.clone(), status));
    }

    /// Of every job, in the order they were started.
    pub fn status(&self) -> Vec<Status> {
        locked(&self.jobs).iter().map(|status| locked(status).clone()).collect()
    }

    /// Returns once every job has stopped, which they do when `stop` is cancelled.
    pub async fn join(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn repeat<J: Job>(self, mut job: J, every: Duration, wake: Wake, status: Shared) {
        while !self.stop.is_cancelled() {
            self.run_once(&mut job, &status).await;
            let failures = locked(&status).failures_in_row;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep(delay(every, failures)) => {}
                () = async { sleep(pause(failures)).await; wake.rung().await } => {}
            }
        }
    }

    async fn run_once<J: Job>(&self, job: &mut J, status: &Shared) {
        locked(status).begin(self.world.now());
        // After a panic the job may be half changed; but as every run looks afresh, the next one mends that.
        let outcome = match AssertUnwindSafe(job.run()).catch_unwind().await {
            Ok(Ok(report)) => serde_json::to_value(report).map_err(|error| format!("its report is not JSON: {error}")),
            Ok(Err(error)) => Err(types::report(&error)),
            Err(panic) => Err(format!("panicked: {}", words(&*panic))),
        };
        if let Err(error) = &outcome {
            tracing::warn!(job = J::NAME, error, "a job failed");
        }
        locked(status).end(self.world.now(), outcome);
    }
}

/// From the end of a run to the next by itself: doubles with every failure in a row, up to 16 times or ten minutes.
fn delay(every: Duration, failures: u32) -> Duration {
    let grown = every.saturating_mul(1 << failures.saturating_sub(1).min(4));
    grown.min(LONGEST_DELAY.max(every))
}

/// Before a wake-up is heard: nothing after a success, so that failing and waking in turn is no busy loop.
fn pause(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        _ => Duration::from_millis(250)
            .saturating_mul(1 << (failures - 1).min(8))
            .min(LONGEST_PAUSE),
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use serde_json::json;
    use std::sync::atomic::{AtomicU32, Ordering};
    use types::{Error, Result};

    /// Takes `takes` a run and does in run n what `outcome(n)` says.
    struct Counter {
        runs: Arc<AtomicU32>,
        takes: Duration,
        outcome: fn(u32) -> Result<u32>,
    }

    #[async_trait]
    impl Job for Counter {
        const NAME: &'static str = "counter";
        type Report = u32;
        async fn run(&mut self) -> Result<u32> {
            let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
            sleep(self.takes).await;
            (self.outcome)(run)
        }
    }

    struct Bench {
        runner: Runner,
        stop: CancellationToken,
        runs: Arc<AtomicU32>,
        wake: Wake,
    }

    impl Bench {
        /// Every 60 s.
        fn start(takes: Duration, outcome: fn(u32) -> Result<u32>) -> Bench {
            let stop = CancellationToken::new();
            let runner = Runner::new(World::system(), stop.clone());
            let runs = Arc::new(AtomicU32::new(0));
            let job = Counter {
                runs: runs.clone(),
                takes,
                outcome,
            };
            let wake = runner.start(job, Duration::from_secs(60));
            Bench { runner, stop, runs, wake }
        }
        /// Runs begun after so many seconds more.
        async fn after(&self, seconds: u64) -> u32 {
            sleep(Duration::from_secs(seconds)).await;
            self.runs.load(Ordering::SeqCst)
        }
        fn status(&self) -> Status {
            self.runner.status().remove(0)
        }
    }

    const QUICK: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn runs_at_once_and_then_every_so_often() {
        let bench = Bench::start(QUICK, Ok);
        assert_eq!(bench.after(1).await, 1);
        assert_eq!(bench.after(60).await, 2);
        assert_eq!(bench.after(60).await, 3);
        let status = bench.status();
        assert_eq!(
            (status.name, status.runs, status.report, status.running),
            ("counter", 3, json!(3), false)
        );
        assert!(status.last_finished >= status.last_started && status.last_started.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn wake_ups_are_one_run() {
        let bench = Bench::start(Duration::from_secs(5), Ok);
        assert_eq!(bench.after(1).await, 1);
        for _ in 0..10 {
            bench.wake.clone().wake();
        }
        assert!(bench.status().running);
        assert_eq!(bench.after(3).await, 1);
        assert_eq!(bench.after(2).await, 2);
        assert_eq!(bench.after(20).await, 2);
        bench.wake.wake();
        assert_eq!(bench.after(1).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_and_panics_are_told_and_tried_again_later() {
        let bench = Bench::start(QUICK, |run| match run {
            1 => Err(Error::unavailable_by(
                "the engine does not answer",
                std::io::Error::other("refused"),
            )),
            2 => panic!("run {run}"),
            3 => std::panic::panic_any(3),
            _ => Ok(run),
        });
        let mut seen = Vec::new();
        for wait in [1, 60, 120] {
            bench.after(wait).await;
            let status = bench.status();
            seen.push((status.failures_in_row, status.last_error.unwrap()));
        }
        let expected = ["the engine does not answer: refused", "panicked: run 2", "panicked: without words"];
        assert_eq!(
            seen,
            expected
                .map(str::to_owned)
                .into_iter()
                .zip(1..)
                .map(|(text, row)| (row, text))
                .collect::<Vec<_>>()
        );
        assert_eq!(bench.after(239).await, 3);
        assert_eq!(bench.after(2).await, 4);
        let status = bench.status();
        assert_eq!((status.failures_in_row, status.last_error, status.report), (0, None, json!(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_up_after_a_failure_waits_a_little() {
        let bench = Bench::start(QUICK, |_| Err(Error::Cancelled));
        sleep(Duration::from_millis(10)).await;
        bench.wake.wake();
        sleep(Duration::from_millis(200)).await;
        assert_eq!(bench.runs.load(Ordering::SeqCst), 1);
        assert_eq!(bench.after(1).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_waits_for_the_run_under_way() {
        let bench = Bench::start(Duration::from_secs(30), Ok);
        bench.after(1).await;
        bench.stop.cancel();
        bench.wake.wake();
        bench.runner.join().await;
        assert_eq!((bench.status().runs, bench.status().report), (1, json!(1)));
        bench.runner.start(
            Counter {
                runs: bench.runs.clone(),
                takes: QUICK,
                outcome: Ok,
            },
            QUICK,
        );
        assert_eq!(bench.after(5).await, 1);
    }

    #[test]
    fn delays() {
        let minute = Duration::from_secs(60);
        for (every, failures, expected) in [
            (minute, 0, 60),
            (minute, 1, 60),
            (minute, 2, 120),
            (minute, 4, 480),
            (minute, 50, 600),
            (Duration::from_secs(2), 50, 32),
            (Duration::from_secs(3_600), 50, 3_600),
        ] {
            assert_eq!(delay(every, failures), Duration::from_secs(expected), "{every:?} after {failures}");
        }
        assert_eq!(
            (pause(0), pause(1), pause(99)),
            (Duration::ZERO, Duration::from_millis(250), LONGEST_PAUSE)
        );
    }
}

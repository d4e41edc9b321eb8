//! Refusals that come at a moment which says nothing of what was looked at or asked for them.

use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use types::Result;

/// After the question. What is asked for takes less, except of an outside that is slower.
const AFTER: Duration = Duration::from_secs(1);

/// When a question that comes now is refused.
pub(crate) fn moment() -> Instant {
    Instant::now() + AFTER
}

/// The outcome: a success at once, a refusal not before its moment.
pub(crate) async fn at<T>(moment: Instant, outcome: Result<T>) -> Result<T> {
    if outcome.is_err() {
        sleep_until(moment).await;
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Error;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_waits_and_a_success_does_not() {
        let begun = Instant::now();
        assert!(at(moment(), Ok(())).await.is_ok());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let refused_at = moment();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(at(refused_at, Err::<(), _>(Error::Cancelled)).await.is_err());
        assert_eq!(begun.elapsed(), AFTER);
    }
}

//! Waiting on a value instead of sleeping.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(100);

/// Asks until `ask` gives a value; panics with `what` after `limit`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> T {
    eventually_ok(what, limit, || {
        let asked = ask();
        async move { asked.await.ok_or_else(|| "not yet".to_owned()) }
    })
    .await
}

/// Like [`eventually`], for an answer that says why it is not there yet; the last reason is in the panic.
pub async fn eventually_ok<T, F: Future<Output = Result<T, String>>>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        let why = match ask().await {
            Ok(value) => return value,
            Err(why) => why,
        };
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}; last: {why}");
        tokio::time::sleep(PAUSE).await;
    }
}

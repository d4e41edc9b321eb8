//! Waiting for deployments. What builds of the tests install comes from outside, where a name may be unknown for a moment: the one place
//! that makes good for it.

use crate::{panel::TestPanel, polling::eventually_ok};
use serde_json::Value;
use std::time::Duration;

/// What programs print when the resolver asks them to try again: npm and what else runs on Node, the C library's users, apt.
const TRY_AGAIN: [&str; 3] = ["EAI_AGAIN", "Temporary failure in name resolution", "Temporary failure resolving"];

/// Whether a step of a build failed for that.
fn was_without_names(error: &str) -> bool {
    error.starts_with("build: `") && TRY_AGAIN.iter().any(|words| error.contains(words))
}

impl TestPanel {
    /// Waits until a deployment is over, however. One whose build could not look up a name for a moment is asked for once more, and the
    /// answer is what became of that.
    pub async fn over(&self, id: &str, limit: Duration) -> Value {
        let over = self.ended(id, limit).await;
        let error = over["error"].as_str().unwrap_or_default();
        if over["phase"] != "failed" || !was_without_names(error) {
            return over;
        }
        println!("asked for again: {error}");
        let app = over["app"]["id"].as_str().expect("a deployment is of an app");
        self.ended(&self.deploy(app).await, limit).await
    }
    async fn ended(&self, id: &str, limit: Duration) -> Value {
        eventually_ok("the deployment ends", limit, || async {
            let now = self.deployment(id).await;
            match now["phase"].as_str().unwrap_or_default() {
                "live" | "failed" | "cancelled" | "superseded" => Ok(now),
                phase => Err(format!("it is {phase}; its log: {}", self.build_log(id).await)),
            }
        })
        .await
    }
    /// Waits until a deployment is in this phase.
    pub async fn in_phase(&self, id: &str, phase: &str, limit: Duration) -> Value {
        eventually_ok(&format!("the deployment is {phase}"), limit, || async {
            let now = self.deployment(id).await;
            if now["phase"] == phase {
                Ok(now)
            } else {
                Err(format!(
                    "it is {}: {}; its log: {}",
                    now["phase"],
                    now["error"],
                    self.build_log(id).await
                ))
            }
        })
        .await
    }
    /// Waits until a deployment is live; panics with its log if it ends otherwise.
    pub async fn live(&self, id: &str) -> Value {
        let over = self.over(id, Duration::from_secs(180)).await;
        assert!(
            over["phase"] == "live",
            "the deployment is {}: {}\n{}",
            over["phase"],
            over["error"],
            self.build_log(id).await
        );
        over
    }
    /// Waits until a deployment fails; the answer is its error.
    pub async fn fails(&self, id: &str) -> String {
        let over = self.over(id, Duration::from_secs(180)).await;
        assert!(over["phase"] == "failed", "the deployment is {}", over["phase"]);
        let error = over["error"].as_str().unwrap_or_default().to_owned();
        assert!(
            (8..600).contains(&error.len()) && !error.contains('\n'),
            "not one clear sentence: {error:?}"
        );
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_build_that_was_told_to_try_again_is() {
        for (error, expected) in [
            (
                "build: `[2/3] RUN npm ci` failed with exit code 1; last lines: getaddrinfo EAI_AGAIN packages.test",
                true,
            ),
            (
                "build: `[2/3] RUN apt-get update` failed with exit code 100; last lines: Temporary failure resolving 'packages.test'",
                true,
            ),
            (
                "build: `[2/3] RUN npm ci` failed with exit code 1; last lines: getaddrinfo ENOTFOUND packages.test",
                false,
            ),
            ("source: Temporary failure in name resolution", false),
            ("", false),
        ] {
            assert_eq!(was_without_names(error), expected, "{error}");
        }
    }
}

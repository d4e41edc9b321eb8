//! An answer that was given before: the same request with the same `Idempotency-Key` gets it again.

use crate::{Sealed, Time};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Who asked and the key they gave: `<actor>/<key>`.
    pub key: String,
    /// SHA-256 of method, path and body, hex: another request under the same key is an error.
    pub request: String,
    /// `None` while the first request is being worked on.
    pub outcome: Option<AnswerOutcome>,
    pub at: Time,
}

/// What was answered. The body is sealed: it may hold a secret that is shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerOutcome {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Sealed,
}

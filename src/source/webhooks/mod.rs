//! What forges send: who it is from, whether its signature is right, and what was pushed.
//!
//! It works on bytes and headers; addresses, secrets at rest and decisions are others' business. Sources: GitHub's manual
//! ("Validating webhook deliveries", "Webhook events and payloads"), GitLab's ("Webhook events"), Bitbucket Cloud's and Data
//! Center's ("Event payloads"), Gitea's and Forgejo's ("Webhooks").

mod payloads;
mod requests;
mod rules;
mod signatures;

pub use payloads::{What, read};
pub use rules::{Filter, asks_to_skip};
pub use signatures::{Heard, Proof, hear};

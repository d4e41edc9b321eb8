//! Tells people outside of the panel. So far by mail, over SMTP.
//!
//! What is told, to whom and when, is `app`'s business; this crate carries it, and says in words why it could not.

mod smtp;

pub use smtp::{Mail, Server, check_sender, send};

//! Whether a logout token is one for us, of now, by who says so (OpenID Connect Back-Channel Logout 1.0, sections 2.4 and
//! 2.6).

use super::id_token::{self, LEEWAY, Wanted};
use serde_json::Value;
use types::Time;

/// What a logout token is about.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// One without an end is good for so long after it was made, in seconds.
const LASTS: i64 = 120;
/// Bytes of a name in it.
const TEXT: usize = 255;

/// Who is out: a person with all their sessions of this provider, or one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedOut {
    pub subject: Option<String>,
    /// The session's name at the provider (`sid`).
    pub session: Option<String>,
    /// Each token counts once.
    pub id: String,
    /// Until then a copy of it would count.
    pub until: Time,
}

/// What it says, or in a few words why it is not taken. The nonce of `wanted` is not looked at: there must be none.
pub(super) fn check(token: &str, keys: &Value, wanted: &Wanted<'_>) -> Result<LoggedOut, String> {
    let claims = id_token::verified(token, keys)?;
    id_token::check_whose(&claims, &wanted.expected())?;
    let seconds = wanted.now.0 / 1000;
    let number = |name: &str| claims[name].as_f64().map(|value| value as i64);
    let made = number("iat").ok_or("it does not say when it was made")?;
    let end = number("exp").unwrap_or(made.saturating_add(LASTS)).saturating_add(LEEWAY);
    if made > seconds.saturating_add(LEEWAY) || end <= seconds {
        return Err("it is of another time; are both clocks right?".into());
    }
    if !claims["events"][EVENT].is_object() {
        return Err("it is no logout token".into());
    }
    // An ID token has one, so that neither can stand for the other.
    if !claims["nonce"].is_null() {
        return Err("it has a nonce".into());
    }
    let text = |name: &str| match &claims[name] {
        Value::Null => Ok(None),
        Value::String(text) if (1..=TEXT).contains(&text.len()) => Ok(Some(text.clone())),
        _ => Err(format!("its {name} is no name")),
    };
    let told = LoggedOut {
        subject: text("sub")?,
        session: text("sid")?,
        id: text("jti")?.ok_or("it has no name of its own (jti)")?,
        until: Time(end.saturating_mul(1000)),
    };
    match (&told.subject, &told.session) {
        (None, None) => Err("it does not say who is out".into()),
        _ => Ok(told),
    }
}

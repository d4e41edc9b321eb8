//! How strong a password is, while somebody types it.

use crate::{
    Panel,
    failures::{Answer, Failure},
    tags::Tag,
};
use poem_openapi::{Object, OpenApi, payload::Json};
use types::Secret;

/// Bytes of a password that is looked at; the panel takes more, and long ones are strong.
const LONGEST: usize = 1024;

/// A password that somebody thinks of. It is looked at and forgotten.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct PasswordEstimateInput {
    pub password: String,
    /// What others know of the person too, such as the mail address and the name: at most 4.
    #[oai(default)]
    pub known: Vec<String>,
}

/// How long it would stand against guessing.
#[derive(Debug, Object)]
pub struct PasswordEstimate {
    /// 0: none, 1: a thousand guesses, 2: a million, 3: 100 million, 4: 10 billion.
    pub score: u8,
    /// Whether the panel takes it.
    pub accepted: bool,
    /// Why it is not taken, or what weakens it.
    pub why: Option<String>,
    /// What would make it stronger, a sentence each.
    pub suggestions: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct PasswordsApi(pub Panel);

#[OpenApi(tag = "Tag::Sessions")]
impl PasswordsApi {
    /// Estimate a password
    ///
    /// For forms, while somebody types. Needs no sign-in, and keeps nothing.
    #[oai(path = "/password/estimate", method = "post", operation_id = "password_estimate")]
    async fn password_estimate(&self, body: Json<PasswordEstimateInput>) -> Answer<Json<PasswordEstimate>> {
        let PasswordEstimateInput { password, known } = body.0;
        if password.len() > 4 * LONGEST {
            return Err(Failure::invalid("password", "is too long to look at"));
        }
        let found = self.0.users.estimate(&Secret::from(password), known).await?;
        Ok(Json(PasswordEstimate {
            score: found.score,
            accepted: found.refused.is_none(),
            why: found.refused.or(found.warning),
            suggestions: found.suggestions,
        }))
    }
}

//! How strong a password is, while somebody types it; and one that was forgotten.

use crate::{
    Panel,
    answers::Done,
    failures::{Answer, Failure},
    signed::Caller,
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

/// Who forgot a password.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct PasswordForgotten {
    pub email: String,
}

/// A new password in place of a forgotten one.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct PasswordReset {
    /// What is behind the `#` of the link.
    pub token: String,
    /// At least 10 characters, and not easy to guess.
    pub password: String,
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

    /// Ask for a link to replace a forgotten password
    ///
    /// It goes by mail to whoever has an account with a password, whether an identity provider signs them in too or not. The answer is the same
    /// for everybody; it fails with `busy` while the panel sends no mail.
    #[oai(path = "/password/forgotten", method = "post", operation_id = "password_forgotten")]
    async fn password_forgotten(&self, caller: Caller, body: Json<PasswordForgotten>) -> Answer<Done> {
        self.0.password_resets.ask(&body.0.email, &caller.visitor).await?;
        Ok(Done::Done)
    }

    /// Choose a new password by such a link
    ///
    /// The link is void from then on, and all sessions of the person end. Nobody is signed in by it.
    #[oai(path = "/password/reset", method = "post", operation_id = "password_reset")]
    async fn password_reset(&self, caller: Caller, body: Json<PasswordReset>) -> Answer<Done> {
        let password = Secret::from(body.0.password);
        self.0.password_resets.complete(&body.0.token, &password, &caller.visitor).await?;
        Ok(Done::Done)
    }
}

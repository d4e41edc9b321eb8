//! Passkeys of the own account, and signing in with one.

use crate::{
    Panel,
    answers::{Created, Done, Page, created, moment, page},
    failures::Answer,
    sessions::{Confirmation, PasskeyInput, Session, let_in},
    signed::{Caller, Signed},
    tags::Tag,
};
use poem::web::cookie::CookieJar;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Any,
};
use serde_json::Value;
use time::OffsetDateTime;
use types::{Secret, World};

/// A passkey: a key in a phone, a computer or a stick with which one signs in without a password.
#[derive(Debug, Object)]
pub struct Passkey {
    pub id: String,
    pub name: String,
    /// The panel's name that it was made for; it works nowhere else.
    pub host: String,
    pub created_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
}

/// A question for the browser's authenticator.
#[derive(Debug, Object)]
pub struct PasskeyQuestion {
    /// Goes back with the answer, once, within five minutes.
    pub id: String,
    /// For `navigator.credentials`: `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON` of
    /// WebAuthn Level 3.
    pub options: Any<Value>,
}

/// What begins a passkey.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct PasskeyBegin {
    /// The present password; not needed when there is a second factor that was shown lately.
    pub password: Option<String>,
}

/// A new passkey.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct PasskeyCreate {
    /// Of the question.
    pub id: String,
    /// What the browser answered: `RegistrationResponseJSON` of WebAuthn Level 3.
    pub credential: Any<Value>,
    /// What to call it; 1 to 60 characters.
    pub name: String,
}

/// The passkey that was made.
#[derive(Debug, Object)]
pub struct PasskeyCreated {
    pub passkey: Passkey,
    /// Ten, this once, when it is the first second factor of the account; else none.
    pub recovery_codes: Vec<String>,
}

/// Another name.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct PasskeyPatch {
    /// 1 to 60 characters.
    pub name: String,
}

impl From<types::Passkey> for Passkey {
    fn from(passkey: types::Passkey) -> Passkey {
        Passkey {
            id: passkey.id.to_string(),
            name: passkey.name,
            host: passkey.host,
            created_at: moment(passkey.created_at),
            last_used_at: passkey.last_used_at.map(moment),
        }
    }
}

fn question(asked: app::PasskeyQuestion) -> Json<PasskeyQuestion> {
    Json(PasskeyQuestion {
        id: asked.id,
        options: Any(asked.options),
    })
}

#[derive(Clone)]
pub(crate) struct PasskeysApi(pub Panel, pub World);

#[OpenApi(tag = "Tag::Sessions")]
impl PasskeysApi {
    /// Ask for a passkey
    ///
    /// The question that `session_create_by_passkey`, `session_create` and `session_confirm_by_passkey` take the answer to.
    /// Only where the panel has a name: a browser has no passkeys for an address.
    #[oai(path = "/session/passkey/question", method = "post", operation_id = "passkey_ask")]
    async fn passkey_ask(&self, caller: Caller) -> Answer<Json<PasskeyQuestion>> {
        Ok(question(self.0.passkeys.ask(&caller.visitor)?))
    }

    /// Sign in with a passkey
    ///
    /// Sets the session cookies. It counts as both factors: the authenticator has checked that it is its owner.
    #[oai(path = "/session/passkey", method = "post", operation_id = "session_create_by_passkey")]
    async fn session_create_by_passkey(&self, caller: Caller, jar: &CookieJar, body: Json<PasskeyInput>) -> Answer<Created<Session>> {
        let signed = self.0.sessions.create_by_passkey(body.0.into(), &caller.visitor).await?;
        Ok(created(let_in(jar, signed, self.1.now())))
    }

    /// Show the second factor again, with a passkey
    ///
    /// As `session_confirm`.
    #[oai(path = "/session/confirm/passkey", method = "post", operation_id = "session_confirm_by_passkey")]
    async fn session_confirm_by_passkey(&self, who: Signed, caller: Caller, body: Json<PasskeyInput>) -> Answer<Json<Confirmation>> {
        let shown = body.0.into();
        let standing = self.0.second_factors.step_up_by_passkey(&who.known, shown, &caller.visitor).await?;
        Ok(Json(Confirmation {
            confirmed_until: standing.confirmed_until.map(moment),
        }))
    }

    /// List the own passkeys
    #[oai(path = "/account/passkeys", method = "get", operation_id = "passkey_list")]
    async fn passkey_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Passkey>>> {
        let passkeys = self.0.passkeys.list(&who.known)?;
        page(passkeys, cursor.0.as_deref(), limit.0, |one| one.id.to_string())
    }

    /// Begin to make a passkey
    ///
    /// Gives the question that `passkey_create` takes the answer to. Only in a browser, with the password or a second factor
    /// that was shown lately, and only where the panel has a name.
    #[oai(path = "/account/passkeys/question", method = "post", operation_id = "passkey_begin")]
    async fn passkey_begin(&self, who: Signed, caller: Caller, body: Json<PasskeyBegin>) -> Answer<Json<PasskeyQuestion>> {
        let password = body.0.password.map(Secret::from);
        let asked = self.0.passkeys.begin(&who.known, password.as_ref(), &caller.visitor).await?;
        Ok(question(asked))
    }

    /// Keep a new passkey
    ///
    /// From now on the password alone is not enough. When it is the first second factor, the other sessions end, and ten
    /// recovery codes are answered, this once.
    #[oai(path = "/account/passkeys", method = "post", operation_id = "passkey_create")]
    async fn passkey_create(&self, who: Signed, caller: Caller, body: Json<PasskeyCreate>) -> Answer<Created<PasskeyCreated>> {
        let PasskeyCreate { id, credential, name } = body.0;
        let made = app::PasskeyMade {
            id,
            credential: credential.0,
            name,
        };
        let (passkey, codes) = self.0.passkeys.create(&who.known, made, &caller.visitor).await?;
        let text = |secret: &Secret| secret.expose_str().unwrap_or_default().to_owned();
        Ok(created(PasskeyCreated {
            passkey: passkey.into(),
            recovery_codes: codes.iter().map(text).collect(),
        }))
    }

    /// Name a passkey
    #[oai(path = "/account/passkeys/:id", method = "patch", operation_id = "passkey_rename")]
    async fn passkey_rename(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
        body: Json<PasskeyPatch>,
    ) -> Answer<Json<Passkey>> {
        Ok(Json(self.0.passkeys.rename(&who.known, &id.0, &body.0.name).await?.into()))
    }

    /// Remove a passkey
    ///
    /// Nobody gets in with it any more. With the last one the second factor is gone unless there is an authenticator app;
    /// not possible while the policy asks for one.
    #[oai(path = "/account/passkeys/:id", method = "delete", operation_id = "passkey_remove")]
    async fn passkey_remove(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.passkeys.remove(&who.known, &id.0).await?;
        Ok(Done::Done)
    }
}

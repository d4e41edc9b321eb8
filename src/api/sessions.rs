//! Signing in and out, sessions, the own account.

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, created, moment, page},
    failures::{Answer, Code, Failure},
    rights::Right,
    signed::{Caller, DEVICE_COOKIE, REFRESH_COOKIE, REFRESH_PATH, SESSION_COOKIE, Signed},
    tags::Tag,
    tokens::Token,
    users::User,
};
use poem::web::cookie::CookieJar;
use poem::web::cookie::{Cookie, SameSite};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Any,
};
use std::time::Duration;
use time::OffsetDateTime;
use types::Secret;
use types::Time;
use types::Who;
use types::World;

/// Somebody who is signed in.
#[derive(Debug, Object)]
pub struct Session {
    pub user: User,
    /// Send it back as `X-CSRF-Token` with every unsafe request that uses the cookie; empty for tokens and on the machine itself.
    pub csrf: String,
    /// When the session ends unless it is renewed; null for tokens without an end and on the machine itself.
    pub expires_at: Option<OffsetDateTime>,
    /// Until when the session may do what is dangerous without showing the second factor again, or the password; null: it
    /// must, or there is none to show.
    pub confirmed_until: Option<OffsetDateTime>,
    /// Whether it is the password that is shown again: there is one, and no second factor.
    pub confirms_by_password: bool,
    /// When a second factor must be set up; null: there is one, or need not be. After it nothing else is allowed.
    pub second_factor_due_at: Option<OffsetDateTime>,
    /// The organization in which they act.
    pub organization: Named,
    /// What they may do, in the whole or in some place; of a token that is bound to kinds of things, what it may do to all kinds.
    pub rights: Vec<Right>,
    /// What they may do everywhere; what in one place only, the place itself says.
    pub rights_everywhere: Vec<Right>,
    /// With which it is asked; null: a session, or the machine itself.
    pub token: Option<Token>,
}

/// Who wants in.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SessionCreate {
    pub email: String,
    pub password: String,
    /// Of the second factor: six digits of the authenticator app, or a recovery code. Who has one and gives none gets the
    /// failure `second_factor_needed`, and asks again with it.
    pub code: Option<String>,
    /// In place of the code: a passkey of the account.
    pub passkey: Option<PasskeyInput>,
    /// With a code: this browser needs none for 30 days.
    #[oai(default)]
    pub remember: bool,
}

/// A passkey that is shown.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct PasskeyInput {
    /// Of the question (`passkey_ask`).
    pub id: String,
    /// What the browser answered: `AuthenticationResponseJSON` of WebAuthn Level 3.
    pub credential: Any<serde_json::Value>,
}

/// How long the second factor, or the password, counts as shown.
#[derive(Debug, Object)]
pub struct Confirmation {
    pub confirmed_until: Option<OffsetDateTime>,
}

/// A browser that is signed in.
#[derive(Debug, Object)]
pub struct SessionInfo {
    pub id: String,
    /// The address it signed in from.
    pub address: String,
    /// The country of the address: two letters; null where no database says so.
    pub country: Option<String>,
    /// What the browser calls itself.
    pub agent: String,
    pub created_at: OffsetDateTime,
    pub last_used_at: OffsetDateTime,
    /// When it ends unless it is used.
    pub expires_at: OffsetDateTime,
    /// The one that asks.
    pub current: bool,
}

/// What to change about the own account; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct AccountPatch {
    pub name: Option<String>,
    pub password: Option<PasswordChange>,
}

/// A new password; the other sessions end.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct PasswordChange {
    pub current: String,
    pub new: String,
}

impl From<PasskeyInput> for app::PasskeyShown {
    fn from(input: PasskeyInput) -> app::PasskeyShown {
        app::PasskeyShown {
            id: input.id,
            credential: input.credential.0,
        }
    }
}

impl From<app::SessionView> for Session {
    fn from(view: app::SessionView) -> Session {
        Session {
            confirmed_until: view.standing.and_then(|standing| standing.confirmed_until).map(moment),
            confirms_by_password: view.standing.is_some_and(|standing| standing.by_password),
            second_factor_due_at: view.standing.and_then(|standing| standing.due_at).map(moment),
            user: match view.user {
                Some(user) => User::of(user, view.standing.is_some_and(|standing| standing.has_factor)),
                None => User::machine(&view.actor),
            },
            organization: Named::new(view.organization.id, view.organization.name),
            rights: view.actor.rights().into_iter().map(Right::from).collect(),
            rights_everywhere: app::rights_everywhere(&view.actor).into_iter().map(Right::from).collect(),
            token: None,
            csrf: view.csrf,
            expires_at: view.expires_at.map(moment),
        }
    }
}

impl From<app::SessionInfo> for SessionInfo {
    fn from(info: app::SessionInfo) -> SessionInfo {
        SessionInfo {
            id: info.session.id.to_string(),
            address: info.session.address,
            country: info.country,
            agent: info.session.agent,
            created_at: moment(info.session.created_at),
            last_used_at: moment(info.session.last_used_at),
            expires_at: moment(info.ends_at),
            current: info.current,
        }
    }
}

/// Gives the browser its cookies, and answers who it is.
pub(crate) fn let_in(jar: &CookieJar, signed: app::SignedIn, now: Time) -> Session {
    let lifetime = |end: Time| end.since(now);
    let text = |secret: &Secret| secret.expose_str().unwrap_or_default().to_owned();
    jar.add(cookie(SESSION_COOKIE, text(&signed.jwt), "/", lifetime(signed.jwt_expires_at)));
    jar.add(cookie(
        REFRESH_COOKIE,
        text(&signed.refresh),
        REFRESH_PATH,
        lifetime(signed.session.expires_at),
    ));
    if let Some(device) = signed.device {
        jar.add(cookie(DEVICE_COOKIE, text(&device), REFRESH_PATH, app::DEVICE_COOKIE_LASTS));
    }
    Session {
        confirmed_until: signed.standing.confirmed_until.map(moment),
        confirms_by_password: signed.standing.by_password,
        second_factor_due_at: signed.standing.due_at.map(moment),
        organization: Named::new(signed.organization.id, signed.organization.name),
        rights: signed.rights.into_iter().map(Right::from).collect(),
        rights_everywhere: signed.rights_everywhere.into_iter().map(Right::from).collect(),
        token: None,
        user: User::of(signed.user, signed.standing.has_factor),
        csrf: signed.session.csrf,
        expires_at: Some(moment(signed.session.expires_at)),
    }
}

/// For as long as somebody may take at an identity provider.
pub(crate) fn short_cookie(name: &str, value: String) -> Cookie {
    cookie(name, value, REFRESH_PATH, Duration::from_secs(600))
}

/// Takes the cookies away.
fn let_out(jar: &CookieJar) {
    jar.add(cookie(SESSION_COOKIE, String::new(), "/", Duration::ZERO));
    jar.add(cookie(REFRESH_COOKIE, String::new(), REFRESH_PATH, Duration::ZERO));
}

fn cookie(name: &str, value: String, path: &str, lifetime: Duration) -> Cookie {
    let mut cookie = Cookie::new_with_str(name, value);
    cookie.set_path(path);
    cookie.set_http_only(true);
    cookie.set_secure(true);
    cookie.set_same_site(SameSite::Strict);
    cookie.set_max_age(lifetime);
    cookie
}

#[derive(Clone)]
pub(crate) struct SessionsApi(pub Panel, pub World);

#[OpenApi(tag = "Tag::Sessions")]
impl SessionsApi {
    /// Sign in
    ///
    /// Sets the session cookies. Who has a second factor gives its code too.
    #[oai(path = "/session", method = "post", operation_id = "session_create")]
    async fn session_create(&self, caller: Caller, jar: &CookieJar, body: Json<SessionCreate>) -> Answer<Created<Session>> {
        let SessionCreate {
            email,
            password,
            code,
            passkey,
            remember,
        } = body.0;
        let further = app::Further {
            code,
            passkey: passkey.map(Into::into),
            remember,
        };
        let password = Secret::from(password);
        let signed = self.0.sessions.create(&email, &password, &further, &caller.visitor).await?;
        Ok(created(let_in(jar, signed, self.1.now())))
    }

    /// Show who is signed in
    #[oai(path = "/session", method = "get", operation_id = "session_show")]
    async fn session_show(&self, who: Signed) -> Answer<Json<Session>> {
        let token = match &who.actor.who {
            Who::Token { id, .. } => Some(self.0.tokens.get(&who.actor, id)?.into()),
            Who::User { .. } | Who::Machine { .. } | Who::System => None,
        };
        Ok(Json(Session {
            token,
            ..self.0.sessions.show(&who.known)?.into()
        }))
    }

    /// Sign out
    ///
    /// Ends the session and clears the cookies.
    #[oai(path = "/session", method = "delete", operation_id = "session_end")]
    async fn session_end(&self, who: Signed, jar: &CookieJar) -> Answer<Done> {
        self.0.sessions.end(&who.known).await?;
        let_out(jar);
        Ok(Done::Done)
    }

    /// Renew the session
    ///
    /// Needs only the cookie `serverkit_refresh`; sets new ones.
    #[oai(path = "/session/refresh", method = "post", operation_id = "session_refresh")]
    async fn session_refresh(&self, caller: Caller, jar: &CookieJar) -> Answer<Json<Session>> {
        let refresh = jar.get(REFRESH_COOKIE);
        let refresh = refresh.ok_or_else(|| Failure::new(Code::Unauthenticated, "sign in first"))?;
        match self.0.sessions.refresh(refresh.value_str(), &caller.visitor).await {
            Ok(signed) => Ok(Json(let_in(jar, signed, self.1.now()))),
            Err(error) => {
                if matches!(error, types::Error::Unauthenticated { .. }) {
                    let_out(jar);
                }
                Err(error.into())
            }
        }
    }

    /// List the own sessions
    #[oai(path = "/sessions", method = "get", operation_id = "session_list")]
    async fn session_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<SessionInfo>>> {
        let sessions = self.0.sessions.list(&who.known)?;
        page(sessions, cursor.0.as_deref(), limit.0, |info| info.session.id.to_string())
    }

    /// End the other sessions
    ///
    /// All own ones but the one that asks. A token ends all, and needs the scope admin.
    #[oai(path = "/sessions", method = "delete", operation_id = "session_end_others")]
    async fn session_end_others(&self, who: Signed) -> Answer<Done> {
        self.0.sessions.end_others(&who.known).await?;
        Ok(Done::Done)
    }

    /// End a session
    #[oai(path = "/sessions/:id", method = "delete", operation_id = "session_revoke")]
    async fn session_revoke(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.sessions.revoke(&who.known, &id.0).await?;
        Ok(Done::Done)
    }

    /// Change the own account
    #[oai(path = "/account", method = "patch", operation_id = "account_update")]
    async fn account_update(&self, who: Signed, body: Json<AccountPatch>) -> Answer<Json<User>> {
        let AccountPatch { name, password } = body.0;
        let change = app::AccountChange {
            name,
            password: password.map(|change| app::PasswordChange {
                current: Secret::from(change.current),
                new: Secret::from(change.new),
            }),
        };
        Ok(Json(self.0.users.update_account(&who.known, change).await?.into()))
    }
}

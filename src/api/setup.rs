//! The first administrator, through the one-time link that `serve` prints.

use crate::{
    Panel,
    answers::{Created, created},
    failures::Answer,
    sessions::{Session, let_in},
    signed::Caller,
    tags::Tag,
    users::User,
};
use app::NewOwner;
use poem::web::cookie::CookieJar;
use poem_openapi::{Object, OpenApi, payload::Json};
use types::Secret;
use types::World;

/// Whether somebody has this panel already.
#[derive(Debug, Object)]
pub struct SetupState {
    /// There is an administrator: sign in. Else open the one-time link that `serverkit serve` printed.
    pub claimed: bool,
    /// Of serverkit.
    pub version: String,
    /// The panel sends mail: who forgot their password can ask for a link.
    pub mail: bool,
}

/// The first administrator.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SetupClaim {
    /// The word in the one-time link; empty on the machine itself (`serverkit setup`).
    pub token: String,
    pub email: String,
    pub name: String,
    /// At least 10 characters, and not easy to guess.
    pub password: String,
}

#[derive(Clone)]
pub(crate) struct SetupApi(pub Panel, pub World);

#[OpenApi(tag = "Tag::Setup")]
impl SetupApi {
    /// Show whether the panel has an administrator
    #[oai(path = "/setup", method = "get", operation_id = "setup_show")]
    async fn setup_show(&self) -> Answer<Json<SetupState>> {
        Ok(Json(SetupState {
            claimed: self.0.setup.is_claimed()?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mail: self.0.mail.is_on()?,
        }))
    }

    /// Make the first administrator
    ///
    /// Needs the word of the one-time link that `serverkit serve` printed. Signs in and sets the session cookies.
    #[oai(path = "/setup", method = "post", operation_id = "setup_claim")]
    async fn setup_claim(&self, caller: Caller, jar: &CookieJar, body: Json<SetupClaim>) -> Answer<Created<Session>> {
        let SetupClaim {
            token,
            email,
            name,
            password,
        } = body.0;
        let wish = NewOwner {
            email,
            name,
            password: Secret::from(password),
        };
        // Being on the machine is proof enough; the browser there does not come through the socket.
        if let (Some(uid), true) = (caller.machine, token.is_empty()) {
            let user = self.0.setup.claim_on_machine(uid, wish).await?;
            let view = self.0.sessions.show(&self.0.sessions.by_machine(uid)?)?;
            return Ok(created(Session {
                user: User::of(user, false),
                ..Session::from(view)
            }));
        }
        let signed = self.0.setup.claim(&token, wish, &caller.visitor).await?;
        Ok(created(let_in(jar, signed, self.1.now())))
    }
}

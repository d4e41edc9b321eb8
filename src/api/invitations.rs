//! Invitations: made by administrators, accepted by whoever has the link.

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, created, moment, page},
    failures::Answer,
    sessions::{Session, let_in},
    signed::{Caller, Signed},
    tags::Tag,
    users::Role,
};
use poem::web::cookie::CookieJar;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;
use types::{Secret, World};

/// An invitation that was not accepted yet.
#[derive(Debug, Object)]
pub struct Invitation {
    pub id: String,
    /// The address of the account that will be made.
    pub email: String,
    pub role: Role,
    /// Who invited, in words.
    pub by: String,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// Somebody to invite.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct InvitationCreate {
    pub email: String,
    pub role: Role,
    /// Days that the link is good, 1 to 30; left out: 7.
    pub expires_in_days: Option<u32>,
    /// Send a link by mail too, where the panel sends mail; left out: no. It is another one than that in the answer.
    pub mail: Option<bool>,
}

/// A new invitation, with its link for the only time.
#[derive(Debug, Object)]
pub struct InvitationCreated {
    pub invitation: Invitation,
    /// For the invited one, over a safe way: who has it gets in. It is not shown again. In other organizations than the one that runs
    /// the panel it lets an account join that is there; a new one is made by the link that comes by mail, or that an owner of the panel
    /// has made.
    pub link: String,
}

/// The word of a link.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct InvitationLook {
    /// What is behind the `#` of the link.
    pub token: String,
}

/// What a link is for.
#[derive(Debug, Object)]
pub struct InvitationShown {
    pub email: String,
    /// The name of the organization.
    pub organization: String,
    /// The address has an account here: sign in with it and join; else accept makes one. Null: it is not told to who has this link, which
    /// does not show whose the address is. Sign in and join, or have a link sent by mail (`POST /invitation/mail`).
    pub has_account: Option<bool>,
    pub role: Role,
    pub expires_at: OffsetDateTime,
}

/// What the invited one chooses.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct InvitationAccept {
    /// What is behind the `#` of the link.
    pub token: String,
    pub name: String,
    /// At least 10 characters, and not easy to guess.
    pub password: String,
}

impl From<types::Invitation> for Invitation {
    fn from(invitation: types::Invitation) -> Invitation {
        Invitation {
            id: invitation.id.to_string(),
            email: invitation.email.to_string(),
            role: invitation.role.into(),
            by: invitation.by.to_string(),
            created_at: moment(invitation.created_at),
            expires_at: moment(invitation.expires_at),
        }
    }
}

fn link(panel: &str, word: &str) -> String {
    format!("{panel}/invitation#{word}")
}

#[derive(Clone)]
pub(crate) struct InvitationsApi(pub Panel, pub World);

#[OpenApi(tag = "Tag::Users")]
impl InvitationsApi {
    /// List invitations
    ///
    /// Those that are still good. Needs the role admin.
    #[oai(path = "/invitations", method = "get", operation_id = "invitation_list")]
    async fn invitation_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Invitation>>> {
        let all = self.0.invitations.list(&who.actor)?;
        page(all, cursor.0.as_deref(), limit.0, |one: &types::Invitation| one.id.to_string())
    }

    /// Invite somebody
    ///
    /// The answer has a link that is good once; it is sent by mail where that is wished for. Needs the role admin, and owner to invite one.
    #[oai(path = "/invitations", method = "post", operation_id = "invitation_create")]
    async fn invitation_create(&self, who: Signed, body: Json<InvitationCreate>) -> Answer<Created<InvitationCreated>> {
        let InvitationCreate {
            email,
            role,
            expires_in_days,
            mail,
        } = body.0;
        let mail = mail.unwrap_or(false);
        if mail {
            who.actor.may(types::Action::ManageTeam)?;
            self.0.mail.must_send()?;
        }
        let wish = app::NewInvitation {
            email,
            role: role.into(),
            days: expires_in_days,
            mailed: mail,
        };
        let made = self.0.invitations.create(&who.actor, wish).await?;
        let panel = self.0.settings.panel_address()?;
        if let Some(word) = &made.mailed {
            self.0.mail.invite(&made.invitation, &link(&panel, word), &panel).await?;
        }
        Ok(created(InvitationCreated {
            link: link(&panel, &made.word),
            invitation: made.invitation.into(),
        }))
    }

    /// Revoke an invitation
    ///
    /// Its link leads nowhere from then on. Needs the role admin.
    #[oai(path = "/invitations/:id", method = "delete", operation_id = "invitation_revoke")]
    async fn invitation_revoke(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.invitations.revoke(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }

    /// Show what a link is for
    #[oai(path = "/invitation", method = "post", operation_id = "invitation_look")]
    async fn invitation_look(&self, caller: Caller, body: Json<InvitationLook>) -> Answer<Json<InvitationShown>> {
        let found = self.0.invitations.look(&body.0.token, &caller.visitor)?;
        Ok(Json(InvitationShown {
            organization: found.organization.to_string(),
            has_account: found.has_account,
            email: found.invitation.email.to_string(),
            role: found.invitation.role.into(),
            expires_at: moment(found.invitation.expires_at),
        }))
    }

    /// Send a link by mail
    ///
    /// To the address that is invited, by whoever has a link: with the one that comes by mail they make an account. The answer is the same
    /// whether the address has one already.
    #[oai(path = "/invitation/mail", method = "post", operation_id = "invitation_mail")]
    async fn invitation_mail(&self, caller: Caller, body: Json<InvitationLook>) -> Answer<Done> {
        if !self.0.mail.is_on()? {
            Err(types::Error::busy(
                "this panel sends no mail: ask those who run it to make your account",
            ))?;
        }
        let (invitation, word) = self.0.invitations.word_to_mail(&body.0.token, &caller.visitor).await?;
        let panel = self.0.settings.panel_address()?;
        self.0.mail.invite(&invitation, &link(&panel, &word), &panel).await?;
        Ok(Done::Done)
    }

    /// Join an organization by an invitation
    ///
    /// For whoever has an account here with the invited address, signed in with it. The link is void from then on; the
    /// session goes on where it is (see `POST /session/switch`).
    #[oai(path = "/invitation/join", method = "post", operation_id = "invitation_join")]
    async fn invitation_join(&self, who: Signed, body: Json<InvitationLook>) -> Answer<Json<Named>> {
        let joined = self.0.invitations.join(&who.actor, &body.0.token).await?;
        Ok(Json(Named::new(joined.id, joined.name)))
    }

    /// Accept an invitation
    ///
    /// Makes the account, signs in and sets the session cookies. The link is void from then on.
    #[oai(path = "/invitation/accept", method = "post", operation_id = "invitation_accept")]
    async fn invitation_accept(&self, caller: Caller, jar: &CookieJar, body: Json<InvitationAccept>) -> Answer<Created<Session>> {
        let InvitationAccept { token, name, password } = body.0;
        let wish = app::Acceptance {
            name,
            password: Secret::from(password),
        };
        let signed = self.0.invitations.accept(&token, wish, &caller.visitor).await?;
        Ok(created(let_in(jar, signed, self.1.now())))
    }
}

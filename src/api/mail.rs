//! The mail server of the panel.

use crate::{
    Panel,
    answers::{Done, count},
    failures::Answer,
    policies::{shown, typed},
    signed::Signed,
    tags::Tag,
};
use app::{MailView, MailWish};
use poem_openapi::{Enum, Object, OpenApi, payload::Json};
use types::Secret;

/// Through which server the panel sends mail.
#[derive(Debug, Object)]
pub struct Mail {
    /// Null: the panel sends no mail.
    pub server: Option<MailServer>,
    /// Mails that wait to be sent.
    pub waiting: u32,
}

/// A server that takes mail.
#[derive(Debug, Object)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
    pub security: MailSecurity,
    /// Null: it asks for no login.
    pub user: Option<String>,
    /// Whether a password is kept.
    pub has_password: bool,
    /// Whom mails are from.
    pub from: String,
    /// PEM of the authority that signed the server's certificate; null: a public one.
    pub ca_pem: Option<String>,
    /// Whether people and administrators are told what happens: security, quotas, failed canaries and jobs, releases rolled back, newer images.
    pub notices: bool,
}

/// The server to send mail through.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct MailWrite {
    /// A name or an address.
    pub host: String,
    /// Left out: 587 with start_tls, 465 with tls, 25 without.
    pub port: Option<u16>,
    /// Left out: start_tls.
    pub security: Option<MailSecurity>,
    /// Left out: it asks for no login.
    pub user: Option<String>,
    /// Left out: the one that is kept, for the same host and user.
    pub password: Option<String>,
    /// Such as `panel@example.com` or `serverkit <panel@example.com>`.
    pub from: String,
    /// PEM of the authority that signed the server's certificate, if it is not a public one.
    pub ca_pem: Option<String>,
    /// Whether people and administrators are told what happens; left out: yes.
    pub notices: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MailSecurity {
    /// Plain at first, then TLS before anything is said.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// None at all.
    Plain,
}

/// Where a test goes.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct MailTest {
    /// Left out: the own address.
    pub to: Option<String>,
}

/// Where a test went.
#[derive(Debug, Object)]
pub struct MailTested {
    pub to: String,
}

impl From<MailView> for Mail {
    fn from(view: MailView) -> Mail {
        Mail {
            server: view.server.map(|server| MailServer {
                host: server.host,
                port: server.port,
                security: shown(&server.security),
                user: server.user,
                has_password: server.password.is_some(),
                from: server.from,
                ca_pem: server.ca_pem,
                notices: server.notices,
            }),
            waiting: count(view.waiting),
        }
    }
}

fn wish(body: MailWrite) -> types::Result<MailWish> {
    let security = body.security.unwrap_or(MailSecurity::StartTls);
    let usual = match security {
        MailSecurity::StartTls => 587,
        MailSecurity::Tls => 465,
        MailSecurity::Plain => 25,
    };
    Ok(MailWish {
        host: body.host,
        port: body.port.unwrap_or(usual),
        security: typed(&security)?,
        user: body.user.filter(|user| !user.is_empty()),
        password: body.password.filter(|password| !password.is_empty()).map(Secret::from),
        from: body.from,
        ca_pem: body.ca_pem,
        notices: body.notices.unwrap_or(true),
    })
}

#[derive(Clone)]
pub(crate) struct MailApi(pub Panel);

#[OpenApi(tag = "Tag::Settings")]
impl MailApi {
    /// Show the mail server
    ///
    /// Needs the role admin.
    #[oai(path = "/mail", method = "get", operation_id = "mail_show")]
    async fn mail_show(&self, who: Signed) -> Answer<Json<Mail>> {
        Ok(Json(self.0.mail.show(&who.actor)?.into()))
    }

    /// Set the mail server
    ///
    /// Needs the role owner: links with which passwords are replaced go through it.
    #[oai(path = "/mail", method = "put", operation_id = "mail_replace")]
    async fn mail_replace(&self, who: Signed, body: Json<MailWrite>) -> Answer<Json<Mail>> {
        who.actor.may(types::Action::Operate)?;
        who.actor.may(types::Action::ManageOwners)?;
        Ok(Json(self.0.mail.set(&who.actor, wish(body.0)?).await?.into()))
    }

    /// Send no mail any more
    ///
    /// Mails that wait are thrown away. Needs the role owner.
    #[oai(path = "/mail", method = "delete", operation_id = "mail_remove")]
    async fn mail_remove(&self, who: Signed) -> Answer<Done> {
        self.0.mail.remove(&who.actor).await?;
        Ok(Done::Done)
    }

    /// Send a mail to try the server
    ///
    /// It is sent before this answers; fails with `unavailable` in the server's words. Needs the role admin.
    #[oai(path = "/mail/test", method = "post", operation_id = "mail_test")]
    async fn mail_test(&self, who: Signed, body: Json<MailTest>) -> Answer<Json<MailTested>> {
        let to = self.0.mail.test(&who.actor, body.0.to.as_deref()).await?;
        Ok(Json(MailTested { to: to.to_string() }))
    }
}

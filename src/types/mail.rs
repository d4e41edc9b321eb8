//! Mail that the panel sends: through which server, what waits to be sent, and links with which a forgotten password is
//! replaced.

use crate::{Email, Error, LetterId, OrganizationId, Result, Sealed, Time, UserId};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, time::Duration};

/// How the connection to the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailSecurity {
    /// Plain at first, then TLS before anything is said (RFC 3207); usually port 587.
    StartTls,
    /// TLS from the first byte (RFC 8314); usually port 465.
    Tls,
    /// None at all.
    Plain,
}

/// The server that takes the panel's mail. There is one record, or none: the panel sends no mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailServer {
    /// A name or an address.
    pub host: String,
    pub port: u16,
    pub security: MailSecurity,
    /// `None`: it asks for no login.
    pub user: Option<String>,
    pub password: Option<Sealed>,
    /// `panel@example.com` or `serverkit <panel@example.com>`.
    pub from: String,
    /// PEM of the authority that signed the server's certificate, if it is not a public one.
    pub ca_pem: Option<String>,
    /// Whether people and administrators are told what happens.
    pub notices: bool,
}

impl MailServer {
    /// Fails with `Invalid` that names the field. The sender is checked by who sends.
    pub fn check(&self) -> Result<()> {
        let host = self.host.as_str();
        let is_name = !host.is_empty() && host.len() <= 253 && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !is_name && host.parse::<IpAddr>().is_err() {
            return Err(Error::invalid("host", "must be a name such as mail.example.com, or an address"));
        }
        if self.port == 0 {
            return Err(Error::invalid("port", "must be 1 to 65535"));
        }
        if self.user.is_some() != self.password.is_some() {
            return Err(Error::invalid("password", "user and password belong together: give both or none"));
        }
        if self
            .user
            .as_ref()
            .is_some_and(|user| user.len() > 320 || user.chars().any(char::is_control))
        {
            return Err(Error::invalid("user", "must be one line of at most 320 bytes"));
        }
        if self.security == MailSecurity::Plain && self.user.is_some() && !self.is_here() {
            return Err(Error::invalid(
                "security",
                "a password does not travel unprotected: use start_tls or tls",
            ));
        }
        if self.ca_pem.as_ref().is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
            return Err(Error::invalid("ca_pem", "must be a certificate in PEM form"));
        }
        Ok(())
    }

    /// On this machine.
    fn is_here(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// A mail that waits to be sent. It goes with its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    pub id: LetterId,
    pub to: Email,
    pub subject: String,
    /// The text: it may hold a link that lets somebody in.
    pub text: Sealed,
    pub created_at: Time,
    /// After this it is of no use any more.
    pub until: Time,
    pub tries: u32,
    pub next_at: Time,
}

impl Letter {
    /// When it is tried again after one more failure: after one minute, two, four, at most an hour.
    pub fn failed(&mut self, now: Time) {
        let minutes = 1u32 << self.tries.min(6);
        self.tries = self.tries.saturating_add(1);
        self.next_at = now.plus(Duration::from_secs(60) * minutes.min(60));
    }
}

/// A link with which somebody chooses a new password; at most one of a person. Deleting the record voids it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordReset {
    pub user: UserId,
    pub organization: OrganizationId,
    /// SHA-256 of the word in the link, hex.
    pub hash: String,
    pub created_at: Time,
    pub expires_at: Time,
}

/// Up to which event people were told by mail. There is one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeMark {
    /// Of the last event that was looked at: revisions go up at each write.
    pub told: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> MailServer {
        MailServer {
            host: "mail.example.com".into(),
            port: 587,
            security: MailSecurity::StartTls,
            user: Some("panel".into()),
            password: Some(Sealed(String::new())),
            from: "panel@example.com".into(),
            ca_pem: None,
            notices: true,
        }
    }

    #[test]
    fn servers_that_cannot_be() {
        assert!(server().check().is_ok());
        let check = |change: fn(&mut MailServer), field: &str| {
            let mut wrong = server();
            change(&mut wrong);
            let error = wrong.check().expect_err(field).to_string();
            assert!(error.starts_with(&format!("{field}: ")), "{error}");
        };
        check(|one| one.host = "two words".into(), "host");
        check(|one| one.host = String::new(), "host");
        check(|one| one.port = 0, "port");
        check(|one| one.password = None, "password");
        check(|one| one.user = Some("a\r\nb".into()), "user");
        check(|one| one.security = MailSecurity::Plain, "security");
        check(|one| one.ca_pem = Some("x".into()), "ca_pem");
        let mut here = server();
        (here.host, here.security) = ("127.0.0.1".into(), MailSecurity::Plain);
        assert!(here.check().is_ok());
        here.host = "2001:db8::1".into();
        (here.user, here.password) = (None, None);
        assert!(here.check().is_ok());
    }

    #[test]
    fn tries_come_less_and_less_often() {
        let mut letter = Letter {
            id: crate::World::system().id(),
            to: "ada@example.com".parse().expect("an address"),
            subject: String::new(),
            text: Sealed(String::new()),
            created_at: Time(0),
            until: Time(0),
            tries: 0,
            next_at: Time(0),
        };
        let minutes: Vec<i64> = (0..8)
            .map(|_| {
                letter.failed(Time(0));
                letter.next_at.0 / 60_000
            })
            .collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}

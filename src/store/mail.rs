//! How the mail server, letters that wait, and links for new passwords are kept.

use crate::{Audited, Record};
use types::{Kind, Letter, MailServer, NoticeMark, PasswordReset};

/// The keys of the one record each.
pub const MAIL_KEY: &str = "mail";
pub const NOTICE_MARK_KEY: &str = "notices";

impl Record for MailServer {
    const KIND: Kind = Kind::Setting;
    const TREE: &'static str = "mail";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        MAIL_KEY.into()
    }
}

impl Record for Letter {
    const KIND: Kind = Kind::Letter;
    const TREE: &'static str = "letters";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.id.to_string()
    }
}

impl Record for PasswordReset {
    const KIND: Kind = Kind::PasswordReset;
    const TREE: &'static str = "password_resets";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        self.user.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.hash.clone()]
    }
}

impl Record for NoticeMark {
    const KIND: Kind = Kind::Setting;
    const TREE: &'static str = "notice_mark";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        NOTICE_MARK_KEY.into()
    }
}

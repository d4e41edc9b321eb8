//! Accounts for scripts: they have no password and nobody signs in with one, only tokens that administrators make.

use super::{UserView, Users, may_give};
use crate::access::check_person;
use types::{Action, Actor, Error, Result, Role, User};

impl Users {
    /// Adds an account for scripts: it has no password, and administrators make its tokens.
    pub async fn create_service(&self, actor: &Actor, name: &str, role: Role) -> Result<UserView> {
        actor.may(Action::ManageTeam)?;
        if role == Role::Owner {
            return Err(Error::invalid("role", "an owner is somebody who can sign in"));
        }
        may_give(actor, role)?;
        let name = check_person(name)?;
        let plain: String = name
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .take(30)
            .collect();
        let plain = match plain.trim_matches('-') {
            "" => "service",
            plain => plain,
        };
        // RFC 2606: no mail ever goes there.
        let email = format!("{plain}.{}@service.invalid", self.access.world.word(6)).parse()?;
        let user = User {
            service: true,
            ..self.access.account(&actor.organization, email, name, role)
        };
        self.insert(actor, user).await
    }
}

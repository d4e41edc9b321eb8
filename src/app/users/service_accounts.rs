//! Accounts for scripts: they have no password and nobody signs in with one, only tokens that administrators make.

use super::{UserView, Users, may_give};
use crate::access::check_person;
use types::{Action, Actor, Error, Fact, Result, Role, User};

impl Users {
    /// Adds an account for scripts: it has no password, and administrators make its tokens.
    pub async fn create_service(&self, actor: &Actor, name: &str, role: Role) -> Result<UserView> {
        actor.may(Action::ManageTeam)?;
        if role == Role::Owner {
            return Err(Error::invalid("role", "an owner is somebody who can sign in"));
        }
        may_give(actor, role)?;
        let name = check_person(name)?;
        let world = &self.access.world;
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
        let user = User {
            id: world.id(),
            organization: actor.organization.clone(),
            // RFC 2606: no mail ever goes there.
            email: format!("{plain}.{}@service.invalid", world.word(6)).parse()?,
            name,
            role,
            password_hash: String::new(),
            disabled: false,
            created_at: world.now(),
            last_seen_at: None,
            service: true,
        };
        let user = self.access.store.users.insert(user).await?.value;
        let fact = Fact::UserCreated {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.access.events.emit(actor, fact).await;
        self.view(actor, user)
    }
}

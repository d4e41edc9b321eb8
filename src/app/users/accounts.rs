//! The one way in which the record of an account is made, whoever asks for it; what comes with it in the same batch is theirs.

use super::NewUser;
use crate::access::{Access, check_person};
use types::{Email, OrganizationId, Result, Role, User};

impl Access {
    /// An account that no password lets into: of a script, or of somebody whom an identity provider signs in.
    pub(crate) fn account(&self, organization: &OrganizationId, email: Email, name: String, role: Role) -> User {
        User {
            id: self.world.id(),
            organization: organization.clone(),
            email,
            name,
            role,
            password_hash: String::new(),
            disabled: false,
            created_at: self.world.now(),
            last_seen_at: None,
            service: false,
        }
    }

    /// An account with a password of its own. Fails with `Invalid` for an address, a name or a password that cannot be.
    pub(crate) async fn account_with_password(&self, organization: &OrganizationId, wish: &NewUser) -> Result<User> {
        let email: Email = wish.email.parse()?;
        let name = check_person(&wish.name)?;
        self.passwords.check(&wish.password, &email).await?;
        let password_hash = self.passwords.hash(&wish.password).await?;
        Ok(User {
            password_hash,
            ..self.account(organization, email, name, wish.role)
        })
    }
}

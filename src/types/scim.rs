//! People and groups that an identity provider puts in itself: SCIM 2.0 (RFC 7643, RFC 7644).

use crate::{Email, IdentityProviderId, OrganizationId, ScimGroupId, Time, UserId};
use serde::{Deserialize, Serialize};

/// Ends the address of an account whose own one nobody has shown yet; no mail ever goes there (RFC 2606).
pub const SCIM_NOWHERE: &str = "@scim.invalid";

/// That a provider may put people in: what it comes with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioning {
    pub provider: IdentityProviderId,
    pub organization: OrganizationId,
    /// SHA-256 of the whole token, hex.
    pub hash: String,
    /// Its first letters.
    pub hint: String,
    pub created_at: Time,
    pub expires_at: Time,
    pub last_used_at: Option<Time>,
}

/// Somebody whom a provider put in, as it calls them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScimUser {
    pub provider: IdentityProviderId,
    pub organization: OrganizationId,
    /// Whose account it is.
    pub user: UserId,
    pub profile: ScimProfile,
    /// The provider has shut the account; only then may it open it again.
    pub shut: bool,
    /// It took them away: it does not see them any more, and finds them again when it puts them in anew.
    pub gone: bool,
    pub created_at: Time,
    pub changed_at: Time,
}

/// What a provider says of somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScimProfile {
    pub user_name: String,
    pub external_id: Option<String>,
    pub display_name: Option<String>,
    pub formatted: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub emails: Vec<ScimMail>,
    /// `None`: it does not say; the account stays as it is.
    pub active: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScimMail {
    pub value: String,
    /// `work`, `home`, …
    pub kind: Option<String>,
    pub primary: bool,
}

/// A group of a provider; the provider's rules say which role it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScimGroup {
    pub id: ScimGroupId,
    pub provider: IdentityProviderId,
    pub organization: OrganizationId,
    pub name: String,
    pub external_id: Option<String>,
    pub members: Vec<UserId>,
    pub created_at: Time,
    pub changed_at: Time,
}

impl ScimProfile {
    /// The mail address: the primary one, else the first, else the name if it is one.
    pub fn email(&self) -> Option<Email> {
        let listed = self.emails.iter().find(|mail| mail.primary).or(self.emails.first());
        listed.map_or(self.user_name.as_str(), |mail| mail.value.as_str()).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_address_counts() {
        let mail = |value: &str, primary| ScimMail {
            value: value.into(),
            kind: None,
            primary,
        };
        let email = |user_name: &str, emails: Vec<ScimMail>| {
            let profile = ScimProfile {
                user_name: user_name.into(),
                emails,
                ..ScimProfile::default()
            };
            profile.email().map(|email| email.to_string())
        };
        let told = |address: &str| Some(address.to_owned());
        assert_eq!(email("bob", Vec::new()), None);
        assert_eq!(email("Bob@example.com", Vec::new()), told("bob@example.com"));
        let two = vec![mail("a@example.com", false), mail("b@example.com", true)];
        assert_eq!(email("bob@example.com", two), told("b@example.com"));
        assert_eq!(email("bob@example.com", vec![mail("c@example.com", false)]), told("c@example.com"));
        assert_eq!(email("bob@example.com", vec![mail("nowhere", false)]), None);
    }
}

//! Where people are known who sign in without a password of the panel's own: OpenID Connect, SAML, LDAP.

use crate::{GrantedRole, IdentityProviderId, OrganizationId, Role, Sealed, Spot, Time, UserId};
use serde::{Deserialize, Serialize};

/// A provider. Its people are at most admins: owners are the panel's own, so that one always gets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityProvider {
    pub id: IdentityProviderId,
    pub organization: OrganizationId,
    /// What its button says.
    pub name: String,
    /// Nobody signs in by it while it is off, and its sessions have ended.
    pub enabled: bool,
    pub protocol: Protocol,
    /// Mail addresses must end so; empty: any.
    pub domains: Vec<String>,
    /// Whether somebody who was never here gets an account.
    pub provision: bool,
    /// The role of those whom no group gives one; `None`: they are refused.
    pub default_role: Option<Role>,
    /// Roles by group; the highest counts, and what is given beside it adds up.
    pub groups: Vec<GroupRole>,
    pub created_at: Time,
}

/// Who is in the group has the role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRole {
    pub group: String,
    /// In the whole; `Member` where `given` says what they have.
    pub role: Role,
    /// A role that people made, or one in one place only: theirs for as long as they are in the group.
    #[serde(default)]
    pub given: Option<Given>,
}

/// A role in a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    pub role: GrantedRole,
    pub spot: Spot,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Protocol {
    Oidc(OidcSettings),
    Ldap(LdapSettings),
    Saml(SamlSettings),
}

/// See `identity::oidc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcSettings {
    pub issuer: String,
    pub client_id: String,
    /// `None` for a public client.
    pub client_secret: Option<Sealed>,
    /// Beside `openid`.
    pub scopes: Vec<String>,
    pub groups_claim: String,
    /// It checks mail addresses itself and says nothing of it.
    pub trusts_emails: bool,
    /// More authorities to believe, in PEM.
    pub authority: Option<String>,
}

/// See `identity::ldap`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdapSettings {
    pub url: String,
    pub start_tls: bool,
    pub authority: Option<String>,
    pub bind_dn: Option<String>,
    pub bind_password: Option<Sealed>,
    pub base: String,
    pub filter: String,
    pub email_attribute: String,
    pub name_attribute: String,
    pub groups_attribute: Option<String>,
    pub group_base: Option<String>,
    pub group_filter: Option<String>,
}

/// See `identity::saml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamlSettings {
    /// Where the provider's metadata is read at each sign-in; else `metadata` is there.
    pub metadata_url: Option<String>,
    pub metadata: Option<String>,
    /// Which provider, where the metadata tells of several.
    pub entity_id: Option<String>,
    /// The attribute that names people for ever; `None`: the NameID.
    pub subject_attribute: Option<String>,
    /// `None`: what they are usually called.
    pub email_attribute: Option<String>,
    pub name_attribute: Option<String>,
    pub groups_attribute: Option<String>,
    /// More authorities to believe, in PEM.
    pub authority: Option<String>,
    /// The panel's own key for this provider.
    pub key: Sealed,
    /// Its certificate: DER, in base64.
    pub certificate: String,
}

/// That somebody here is somebody there. Deleting it lets them sign in by the provider no more, unless anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalIdentity {
    pub provider: IdentityProviderId,
    /// What the provider knows them by, for ever.
    pub subject: String,
    pub organization: OrganizationId,
    pub user: UserId,
    /// What they typed as their name, to look them up again; of OpenID Connect and SAML there is none.
    pub login: Option<String>,
    pub created_at: Time,
    pub last_used_at: Time,
    /// When the provider was last asked whether they are still there.
    pub checked_at: Time,
    /// What a provider of OpenID Connect is asked with: the refresh token of the last sign-in, or what it gave in its place.
    #[serde(default)]
    pub refresh: Option<Sealed>,
    /// Since when that provider gave no answer; `None`: it gave one the last time.
    #[serde(default)]
    pub unanswered_since: Option<Time>,
    /// Of the groups in the provider's rules those that it told them to be in the last time.
    #[serde(default)]
    pub groups: Vec<String>,
}

impl IdentityProvider {
    /// The role that these groups give; `is` says whether a group of somebody is one that was written here. `None`: refused.
    pub fn role(&self, groups: &[String], is: impl Fn(&str, &str) -> bool) -> Option<Role> {
        let given = self.groups.iter().filter(|rule| groups.iter().any(|group| is(group, &rule.group)));
        given.map(|rule| rule.role).max().or(self.default_role)
    }

    /// Of the groups in its rules those that these are; `is` as in [`IdentityProvider::role`].
    pub fn known_groups(&self, groups: &[String], is: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let met = self.groups.iter().filter(|rule| groups.iter().any(|group| is(group, &rule.group)));
        let mut met: Vec<String> = met.map(|rule| rule.group.clone()).collect();
        met.sort();
        met.dedup();
        met
    }

    /// What is given beside the role to whom it told to be in these groups of its rules.
    pub fn given(&self, groups: &[String]) -> impl Iterator<Item = &Given> {
        let rules = self.groups.iter().filter(|rule| groups.contains(&rule.group));
        rules.filter_map(|rule| rule.given.as_ref())
    }

    /// Whether somebody with this mail address may sign in by it.
    pub fn takes(&self, email: &str) -> bool {
        let domain = email.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
        self.domains.is_empty() || self.domains.iter().any(|one| one.eq_ignore_ascii_case(domain))
    }
}

impl Protocol {
    pub fn word(&self) -> &'static str {
        match self {
            Protocol::Oidc(_) => "oidc",
            Protocol::Ldap(_) => "ldap",
            Protocol::Saml(_) => "saml",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;

    #[test]
    fn the_highest_group_counts_and_domains_are_whole() {
        let world = World::system();
        let rule = |group: &str, role| GroupRole {
            group: group.into(),
            role,
            given: None,
        };
        let mut provider = IdentityProvider {
            id: world.id(),
            organization: world.id(),
            name: "Example".into(),
            enabled: true,
            protocol: Protocol::Oidc(OidcSettings {
                issuer: "https://id.example.com".into(),
                client_id: "panel".into(),
                client_secret: None,
                scopes: Vec::new(),
                groups_claim: "groups".into(),
                trusts_emails: false,
                authority: None,
            }),
            domains: vec!["example.com".into()],
            provision: true,
            default_role: None,
            groups: vec![rule("staff", Role::Viewer), rule("ops", Role::Admin), rule("dev", Role::Developer)],
            created_at: Time(0),
        };
        let role = |provider: &IdentityProvider, groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|one| (*one).to_owned()).collect();
            provider.role(&groups, |group, written| group == written)
        };
        assert_eq!(role(&provider, &["dev", "staff"]), Some(Role::Developer));
        assert_eq!(role(&provider, &["ops", "staff"]), Some(Role::Admin));
        assert_eq!(role(&provider, &["guests"]), None);
        // A rule that gives something elsewhere lets in, and gives no more than that.
        let given = Given {
            role: GrantedRole::Custom(world.id()),
            spot: Spot::Project(world.id()),
        };
        provider.groups.push(GroupRole {
            group: "builders".into(),
            role: Role::Member,
            given: Some(given.clone()),
        });
        assert_eq!(role(&provider, &["builders"]), Some(Role::Member));
        assert_eq!(role(&provider, &["builders", "dev"]), Some(Role::Developer));
        let groups = ["builders".to_owned(), "staff".to_owned(), "guests".to_owned()];
        let known = provider.known_groups(&groups, |group, written| group == written);
        assert_eq!(known, ["builders", "staff"]);
        assert_eq!(provider.given(&known).collect::<Vec<_>>(), [&given]);
        assert_eq!(provider.given(&["staff".to_owned()]).count(), 0);
        provider.default_role = Some(Role::Viewer);
        assert_eq!(role(&provider, &[]), Some(Role::Viewer));
        for (email, takes) in [
            ("a@example.com", true),
            ("a@EXAMPLE.com", true),
            ("a@evil-example.com", false),
            ("a@example.com.evil.net", false),
            ("a@b@example.com", true),
            ("example.com", false),
        ] {
            assert_eq!(provider.takes(email), takes, "{email}");
        }
    }
}

//! Identity providers: which there are, setting them up, and signing in by one.

use crate::{
    Panel,
    answers::{Created, Done, Page, created, moment, page},
    failures::Answer,
    saml::{SamlInput, SamlProvider},
    sessions::{Session, let_in, short_cookie},
    signed::{Caller, SIGN_IN_COOKIE, Signed},
    tags::Tag,
    users::Role,
};
use app::{GroupWish, ProtocolWish, ProviderWish};
use poem::web::cookie::CookieJar;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;
use types::{LdapSettings, Protocol, Secret, World};

/// How a provider is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ProviderKind {
    /// OpenID Connect: the browser goes there and comes back.
    Oidc,
    /// A directory: name and password are typed here.
    Ldap,
    /// SAML 2.0: the browser goes there and comes back.
    Saml,
}

/// A provider that one may sign in by.
#[derive(Debug, Object)]
pub struct OfferedProvider {
    pub id: String,
    pub name: String,
    pub kind: ProviderKind,
}

/// Those that one may sign in by.
#[derive(Debug, Object)]
pub struct OfferedProviders {
    pub items: Vec<OfferedProvider>,
}

/// Whom to go to.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct OidcBegin {
    /// The provider's id.
    pub provider: String,
}

/// Where the browser goes.
#[derive(Debug, Object)]
pub struct OidcAway {
    pub url: String,
}

/// What the browser brought back to the page `/sso`.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct OidcBack {
    pub state: String,
    pub code: String,
    /// If it is there.
    pub iss: Option<String>,
}

/// Name and password of a directory.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct LdapSignIn {
    /// The provider's id.
    pub provider: String,
    pub user: String,
    pub password: String,
}

/// Who is in the group has the role.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct GroupRole {
    /// As the provider writes it; of a directory the whole name or its first part: `cn=ops,ou=groups,dc=example,dc=com` or `ops`.
    pub group: String,
    /// `viewer`, `developer`, `admin`, `member`, or the id or name of a role that people made. One that is gone gives nothing, and
    /// is told by its id.
    pub role: String,
    /// Where they have it: `project:NAME`, `environment:PROJECT/NAME` or `app:NAME`; ids in place of names. Left out: in the whole.
    pub place: Option<String>,
}

/// OpenID Connect.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct OidcInput {
    /// As the provider writes it: `https://id.example.com/realms/team`.
    pub issuer: String,
    pub client_id: String,
    /// Left out, it stays as it was; empty, there is none.
    pub client_secret: Option<String>,
    /// What is asked for beside `openid`; left out: `profile`, `email`, `groups` and `offline_access`. With the last, where the
    /// provider offers it, it is asked every ten minutes whether people are still there.
    pub scopes: Option<Vec<String>>,
    /// The claim with the groups; dots go into objects. Left out: `groups`.
    pub groups_claim: Option<String>,
    /// The provider checks mail addresses itself and says nothing of it.
    #[oai(default)]
    pub trusts_emails: bool,
    /// More authorities to believe: certificates in PEM.
    pub authority: Option<String>,
}

/// LDAP or Active Directory.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct LdapInput {
    /// `ldaps://HOST[:PORT]`, or `ldap://` with `start_tls`.
    pub url: String,
    #[oai(default)]
    pub start_tls: bool,
    /// More authorities to believe: certificates in PEM.
    pub authority: Option<String>,
    /// Who searches; left out, anybody may.
    pub bind_dn: Option<String>,
    /// Left out, it stays as it was; empty, there is none.
    pub bind_password: Option<String>,
    /// Below which people are: `ou=people,dc=example,dc=com`.
    pub base: String,
    /// Finds the one entry of a person by what was typed, `{user}`. Left out: `(&(objectClass=person)(uid={user}))`.
    pub filter: Option<String>,
    /// Left out: `mail`.
    pub email_attribute: Option<String>,
    /// Left out: `cn`.
    pub name_attribute: Option<String>,
    /// The attribute of a person with their groups, such as `memberOf`.
    pub groups_attribute: Option<String>,
    /// Below which groups are; with `group_filter`.
    pub group_base: Option<String>,
    /// Finds the groups of a person by the name of their entry, `{dn}`: `(&(objectClass=groupOfNames)(member={dn}))`.
    pub group_filter: Option<String>,
}

/// A provider as it should be; with `oidc`, `ldap` or `saml`.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct IdentityProviderInput {
    /// What its button says; 1 to 40 characters.
    pub name: String,
    /// Left out: true.
    pub enabled: Option<bool>,
    pub oidc: Option<OidcInput>,
    pub ldap: Option<LdapInput>,
    pub saml: Option<SamlInput>,
    /// Mail addresses must end so; left out or empty: any.
    pub domains: Option<Vec<String>>,
    /// Whether somebody who was never here gets an account. Left out: true.
    pub provision: Option<bool>,
    /// The role of those whom no group gives one; null: they are refused.
    pub default_role: Option<Role>,
    /// Roles by group: of the built-in ones in the whole the highest counts, and others add to it.
    pub groups: Option<Vec<GroupRole>>,
}

/// OpenID Connect, without its secret.
#[derive(Debug, Object)]
pub struct OidcSettings {
    pub issuer: String,
    pub client_id: String,
    pub has_secret: bool,
    pub scopes: Vec<String>,
    pub groups_claim: String,
    pub trusts_emails: bool,
    pub authority: Option<String>,
}

/// A directory, without its password.
#[derive(Debug, Object)]
pub struct LdapProvider {
    pub url: String,
    pub start_tls: bool,
    pub authority: Option<String>,
    pub bind_dn: Option<String>,
    pub has_password: bool,
    pub base: String,
    pub filter: String,
    pub email_attribute: String,
    pub name_attribute: String,
    pub groups_attribute: Option<String>,
    pub group_base: Option<String>,
    pub group_filter: Option<String>,
}

/// Where people are known who sign in without a password of the panel's own.
#[derive(Debug, Object)]
pub struct IdentityProvider {
    pub id: String,
    pub name: String,
    pub enabled: bool,
    pub kind: ProviderKind,
    pub oidc: Option<OidcSettings>,
    pub ldap: Option<LdapProvider>,
    pub saml: Option<SamlProvider>,
    /// Where a provider of OpenID Connect says that somebody has signed out there (back-channel logout), at the address that
    /// the panel is opened by.
    pub logout: Option<String>,
    pub domains: Vec<String>,
    pub provision: bool,
    pub default_role: Option<Role>,
    pub groups: Vec<GroupRole>,
    pub created_at: OffsetDateTime,
}

/// What to try.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ProviderTest {
    /// Somebody to look for in a directory.
    pub user: Option<String>,
}

/// A step of a test.
#[derive(Debug, Object)]
pub struct ProviderFinding {
    pub what: String,
    pub ok: bool,
    /// What was found, or what is wrong.
    pub detail: String,
}

/// What a test found.
#[derive(Debug, Object)]
pub struct ProviderReport {
    /// Nothing is wrong, as far as can be seen without somebody signing in.
    pub ok: bool,
    pub findings: Vec<ProviderFinding>,
}

fn kind(protocol: &Protocol) -> ProviderKind {
    match protocol {
        Protocol::Oidc(_) => ProviderKind::Oidc,
        Protocol::Ldap(_) => ProviderKind::Ldap,
        Protocol::Saml(_) => ProviderKind::Saml,
    }
}

impl From<types::IdentityProvider> for OfferedProvider {
    fn from(provider: types::IdentityProvider) -> OfferedProvider {
        OfferedProvider {
            id: provider.id.to_string(),
            kind: kind(&provider.protocol),
            name: provider.name,
        }
    }
}

impl IdentityProvider {
    /// With its rules as they are written.
    fn of(provider: types::IdentityProvider, rules: Vec<GroupWish>) -> IdentityProvider {
        let kind = kind(&provider.protocol);
        let (mut oidc, mut ldap, mut saml) = (None, None, None);
        match provider.protocol {
            Protocol::Oidc(settings) => oidc = Some(settings.into()),
            Protocol::Ldap(settings) => ldap = Some(settings.into()),
            Protocol::Saml(settings) => saml = Some(SamlProvider::of(&provider.id, settings)),
        }
        let groups = rules.into_iter().map(|rule| GroupRole {
            group: rule.group,
            role: rule.role,
            place: rule.place,
        });
        IdentityProvider {
            id: provider.id.to_string(),
            name: provider.name,
            enabled: provider.enabled,
            kind,
            logout: oidc.is_some().then(|| format!("/oidc/{}/logout", provider.id)),
            oidc,
            ldap,
            saml,
            domains: provider.domains,
            provision: provider.provision,
            default_role: provider.default_role.map(Into::into),
            groups: groups.collect(),
            created_at: moment(provider.created_at),
        }
    }
}

impl From<types::OidcSettings> for OidcSettings {
    fn from(settings: types::OidcSettings) -> OidcSettings {
        OidcSettings {
            issuer: settings.issuer,
            client_id: settings.client_id,
            has_secret: settings.client_secret.is_some(),
            scopes: settings.scopes,
            groups_claim: settings.groups_claim,
            trusts_emails: settings.trusts_emails,
            authority: settings.authority,
        }
    }
}

impl From<LdapSettings> for LdapProvider {
    fn from(settings: LdapSettings) -> LdapProvider {
        LdapProvider {
            url: settings.url,
            start_tls: settings.start_tls,
            authority: settings.authority,
            bind_dn: settings.bind_dn,
            has_password: settings.bind_password.is_some(),
            base: settings.base,
            filter: settings.filter,
            email_attribute: settings.email_attribute,
            name_attribute: settings.name_attribute,
            groups_attribute: settings.groups_attribute,
            group_base: settings.group_base,
            group_filter: settings.group_filter,
        }
    }
}

fn or(given: Option<String>, usual: &str) -> String {
    given.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| usual.to_owned())
}

pub(crate) fn some(given: Option<String>) -> Option<String> {
    given.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl From<OidcInput> for ProtocolWish {
    fn from(input: OidcInput) -> ProtocolWish {
        let usual = || ["profile", "email", "groups", "offline_access"].map(str::to_owned).to_vec();
        ProtocolWish::Oidc {
            issuer: input.issuer,
            client_id: input.client_id,
            client_secret: input.client_secret.map(Secret::from),
            scopes: input.scopes.unwrap_or_else(usual),
            groups_claim: or(input.groups_claim, "groups"),
            trusts_emails: input.trusts_emails,
            authority: some(input.authority),
        }
    }
}

impl From<LdapInput> for ProtocolWish {
    fn from(input: LdapInput) -> ProtocolWish {
        ProtocolWish::Ldap {
            settings: Box::new(LdapSettings {
                url: input.url.trim().to_owned(),
                start_tls: input.start_tls,
                authority: some(input.authority),
                bind_dn: some(input.bind_dn),
                bind_password: None,
                base: input.base.trim().to_owned(),
                filter: or(input.filter, "(&(objectClass=person)(uid={user}))"),
                email_attribute: or(input.email_attribute, "mail"),
                name_attribute: or(input.name_attribute, "cn"),
                groups_attribute: some(input.groups_attribute),
                group_base: some(input.group_base),
                group_filter: some(input.group_filter),
            }),
            bind_password: input.bind_password.map(Secret::from),
        }
    }
}

impl TryFrom<IdentityProviderInput> for ProviderWish {
    type Error = types::Error;
    fn try_from(input: IdentityProviderInput) -> types::Result<ProviderWish> {
        let protocol = match (input.oidc, input.ldap, input.saml) {
            (Some(oidc), None, None) => oidc.into(),
            (None, Some(ldap), None) => ldap.into(),
            (None, None, Some(saml)) => saml.into(),
            _ => return Err(types::Error::invalid("oidc", "`ldap` or `saml` must be there, and one only")),
        };
        let groups = input.groups.unwrap_or_default().into_iter().map(|rule| GroupWish {
            group: rule.group,
            role: rule.role,
            place: some(rule.place).filter(|place| place != "organization"),
        });
        Ok(ProviderWish {
            name: input.name,
            enabled: input.enabled.unwrap_or(true),
            protocol,
            domains: input.domains.unwrap_or_default(),
            provision: input.provision.unwrap_or(true),
            default_role: input.default_role.map(Into::into),
            groups: groups.collect(),
        })
    }
}

#[derive(Clone)]
pub(crate) struct IdentityProvidersApi(pub Panel, pub World);

impl IdentityProvidersApi {
    fn told(&self, provider: types::IdentityProvider) -> types::Result<IdentityProvider> {
        let rules = self.0.identity_providers.rules(&provider)?;
        Ok(IdentityProvider::of(provider, rules))
    }
}

#[OpenApi(tag = "Tag::Sessions")]
impl IdentityProvidersApi {
    /// List the identity providers that one may sign in by
    #[oai(path = "/session/providers", method = "get", operation_id = "provider_offers")]
    async fn provider_offers(&self) -> Answer<Json<OfferedProviders>> {
        let items = self.0.identity_providers.offered()?.into_iter().map(Into::into).collect();
        Ok(Json(OfferedProviders { items }))
    }

    /// Begin to sign in by OpenID Connect
    ///
    /// Gives the address that the browser goes to, and a cookie that it shows when it comes back to the page `/sso`.
    #[oai(path = "/session/oidc/begin", method = "post", operation_id = "session_begin_by_oidc")]
    async fn session_begin_by_oidc(&self, caller: Caller, jar: &CookieJar, body: Json<OidcBegin>) -> Answer<Json<OidcAway>> {
        let (url, cookie) = self.0.sessions.send_away(&body.0.provider, &caller.visitor).await?;
        jar.add(short_cookie(SIGN_IN_COOKIE, cookie.expose_str().unwrap_or_default().to_owned()));
        Ok(Json(OidcAway { url }))
    }

    /// Sign in by OpenID Connect
    ///
    /// With what the browser brought back, within ten minutes and once. Sets the session cookies.
    #[oai(path = "/session/oidc", method = "post", operation_id = "session_create_by_oidc")]
    async fn session_create_by_oidc(&self, caller: Caller, jar: &CookieJar, body: Json<OidcBack>) -> Answer<Created<Session>> {
        let back = app::Back {
            state: body.0.state,
            code: body.0.code,
            issuer: body.0.iss,
            cookie: jar.get(SIGN_IN_COOKIE).map(|cookie| cookie.value_str().to_owned()),
        };
        let signed = self.0.sessions.create_by_oidc(back, &caller.visitor).await?;
        Ok(created(let_in(jar, signed, self.1.now())))
    }

    /// Sign in by a directory
    ///
    /// Sets the session cookies.
    #[oai(path = "/session/ldap", method = "post", operation_id = "session_create_by_ldap")]
    async fn session_create_by_ldap(&self, caller: Caller, jar: &CookieJar, body: Json<LdapSignIn>) -> Answer<Created<Session>> {
        let LdapSignIn { provider, user, password } = body.0;
        let password = Secret::from(password);
        let signed = self.0.sessions.create_by_ldap(&provider, &user, &password, &caller.visitor).await?;
        Ok(created(let_in(jar, signed, self.1.now())))
    }

    /// List identity providers
    ///
    /// Needs the role admin.
    #[oai(path = "/identity-providers", method = "get", operation_id = "identity_provider_list")]
    async fn identity_provider_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<IdentityProvider>>> {
        let all = self.0.identity_providers.list(&who.actor)?;
        let all = all.into_iter().map(|one| self.told(one)).collect::<types::Result<Vec<_>>>()?;
        page(all, cursor.0.as_deref(), limit.0, |one| one.id.clone())
    }

    /// Add an identity provider
    ///
    /// Needs the role admin. Its people are at most admins: owners have a password of the panel's own.
    #[oai(path = "/identity-providers", method = "post", operation_id = "identity_provider_create")]
    async fn identity_provider_create(&self, who: Signed, body: Json<IdentityProviderInput>) -> Answer<Created<IdentityProvider>> {
        let provider = self.0.identity_providers.create(&who.actor, body.0.try_into()?).await?;
        Ok(created(self.told(provider)?))
    }

    /// Show an identity provider
    #[oai(path = "/identity-providers/:id", method = "get", operation_id = "identity_provider_show")]
    async fn identity_provider_show(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Json<IdentityProvider>> {
        Ok(Json(self.told(self.0.identity_providers.get(&who.actor, &id.0)?)?))
    }

    /// Replace the settings of an identity provider
    ///
    /// Turned off, or sent elsewhere, its sessions end.
    #[oai(path = "/identity-providers/:id", method = "put", operation_id = "identity_provider_replace")]
    async fn identity_provider_replace(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
        body: Json<IdentityProviderInput>,
    ) -> Answer<Json<IdentityProvider>> {
        let wish = body.0.try_into()?;
        Ok(Json(self.told(self.0.identity_providers.replace(&who.actor, &id.0, wish).await?)?))
    }

    /// Remove an identity provider
    ///
    /// Its sessions end. The accounts that it made stay.
    #[oai(path = "/identity-providers/:id", method = "delete", operation_id = "identity_provider_delete")]
    async fn identity_provider_delete(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.identity_providers.remove(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }

    /// Test an identity provider
    ///
    /// Tries what can be tried without somebody signing in, and says what is wrong.
    #[oai(path = "/identity-providers/:id/test", method = "post", operation_id = "identity_provider_test")]
    async fn identity_provider_test(
        &self,
        who: Signed,
        caller: Caller,
        /// Its id.
        id: Path<String>,
        body: Json<ProviderTest>,
    ) -> Answer<Json<ProviderReport>> {
        let tried = self
            .0
            .identity_providers
            .test(&who.actor, &id.0, body.0.user.as_deref(), &caller.visitor)
            .await?;
        let findings: Vec<_> = tried
            .into_iter()
            .map(|one| ProviderFinding {
                what: one.what,
                ok: one.ok,
                detail: one.detail,
            })
            .collect();
        Ok(Json(ProviderReport {
            ok: findings.iter().all(|one| one.ok),
            findings,
        }))
    }
}

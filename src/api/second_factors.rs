//! The second factor of the own account, the browsers that are remembered, and the rules of getting in.

use crate::{
    Panel,
    answers::{Done, Page, count, moment, page},
    failures::Answer,
    sessions::Confirmation,
    signed::Signed,
    tags::Tag,
};
use app::{Proof, SecurityChange};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;
use types::{Error, SecondFactorPolicy, Secret};

/// The own second factor.
#[derive(Debug, Object)]
pub struct SecondFactor {
    /// Whether there is one: an authenticator app, or a passkey.
    pub enabled: bool,
    /// Since when there is an authenticator app; null: there is none.
    pub since: Option<OffsetDateTime>,
    /// How many passkeys there are.
    pub passkeys: u32,
    /// Recovery codes that were not used yet.
    pub recovery_codes_left: u32,
    /// Whether the policy of this panel asks for one.
    pub required: bool,
    /// When there must be one; null: there is, or need not be.
    pub due_at: Option<OffsetDateTime>,
}

/// What begins the set-up.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SecondFactorBegin {
    /// The present password.
    pub password: String,
}

/// What an authenticator app is to be told. It is not shown again.
#[derive(Debug, Object)]
pub struct SecondFactorSetUp {
    /// The key in base 32, for typing it in.
    pub key: String,
    /// `otpauth://totp/…`
    pub uri: String,
    /// The same as a QR code: an SVG document.
    pub qr_svg: String,
}

/// A code.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct CodeInput {
    /// Six digits of the authenticator app; where one is set up already, a recovery code too.
    pub code: String,
}

/// What shows that it is still the same person: a code, or of those without a second factor the password. One of the two.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ConfirmInput {
    /// Six digits of the authenticator app, or a recovery code.
    pub code: Option<String>,
    /// The present password; with a second factor it is not taken.
    pub password: Option<String>,
}

/// Ten codes for the day when the phone is gone. Each works once; they are not shown again.
#[derive(Debug, Object)]
pub struct RecoveryCodes {
    pub codes: Vec<String>,
}

/// A browser that was signed in with.
#[derive(Debug, Object)]
pub struct Device {
    pub id: String,
    /// What the browser calls itself.
    pub agent: String,
    /// Where it signed in from last.
    pub address: String,
    pub created_at: OffsetDateTime,
    pub last_used_at: OffsetDateTime,
    /// Until then it needs no code; null: it always does.
    pub trusted_until: Option<OffsetDateTime>,
    /// The one that asks.
    pub current: bool,
}

/// Who must have a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum SecondFactorRule {
    /// Nobody; everybody may.
    Off,
    /// Admins and owners.
    Administrators,
    Everyone,
}

/// The rules of getting in.
#[derive(Debug, Object)]
pub struct Security {
    pub second_factor: SecondFactorRule,
    /// How long those who must have a second factor may go on without one.
    pub grace_days: u32,
    /// Whether tokens of somebody who must have a second factor and has none are refused too.
    pub tokens_bound: bool,
    /// How long entries of the audit log are kept.
    pub audit_days: u32,
    /// Since when the rule asks for what it asks; null while it is off.
    pub since: Option<OffsetDateTime>,
    /// A session that is not used for this long ends.
    pub session_idle_days: u32,
    /// A session ends this long after signing in, used or not.
    pub session_days: u32,
    /// The file on the server, in MaxMind's format, that says in which country an address is; null: none.
    pub countries: Option<String>,
    /// What is wrong with it.
    pub countries_problem: Option<String>,
    /// Whether passwords that leaked are refused: by the list that `passwords.breached` names in the server's configuration.
    pub leaked_passwords_refused: bool,
}

/// What to change; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SecurityPatch {
    pub second_factor: Option<SecondFactorRule>,
    /// 0 to 90.
    pub grace_days: Option<u32>,
    pub tokens_bound: Option<bool>,
    /// 30 to 3650.
    pub audit_days: Option<u32>,
    /// 1 to 90.
    pub session_idle_days: Option<u32>,
    /// 1 to 365.
    pub session_days: Option<u32>,
    /// The whole path of a file on the server, such as `/var/lib/GeoIP/GeoLite2-Country.mmdb`; empty: none. With it, a sign-in
    /// from a country that is new for an account is a security event.
    pub countries: Option<String>,
}

impl From<app::SecondFactorView> for SecondFactor {
    fn from(view: app::SecondFactorView) -> SecondFactor {
        SecondFactor {
            enabled: view.standing.has_factor,
            since: view.since.map(moment),
            passkeys: count(view.passkeys),
            recovery_codes_left: count(view.recovery_codes_left),
            required: view.required,
            due_at: view.standing.due_at.map(moment),
        }
    }
}

impl From<app::DeviceInfo> for Device {
    fn from(info: app::DeviceInfo) -> Device {
        Device {
            id: info.device.id.to_string(),
            agent: info.device.agent,
            address: info.device.address,
            created_at: moment(info.device.created_at),
            last_used_at: moment(info.device.last_used_at),
            trusted_until: info.device.trusted_until.map(moment),
            current: info.current,
        }
    }
}

impl From<SecondFactorPolicy> for SecondFactorRule {
    fn from(policy: SecondFactorPolicy) -> SecondFactorRule {
        match policy {
            SecondFactorPolicy::Off => SecondFactorRule::Off,
            SecondFactorPolicy::Administrators => SecondFactorRule::Administrators,
            SecondFactorPolicy::Everyone => SecondFactorRule::Everyone,
        }
    }
}

impl From<SecondFactorRule> for SecondFactorPolicy {
    fn from(rule: SecondFactorRule) -> SecondFactorPolicy {
        match rule {
            SecondFactorRule::Off => SecondFactorPolicy::Off,
            SecondFactorRule::Administrators => SecondFactorPolicy::Administrators,
            SecondFactorRule::Everyone => SecondFactorPolicy::Everyone,
        }
    }
}

impl Security {
    fn of(security: types::Security, countries_problem: Option<String>, leaked_passwords_refused: bool) -> Security {
        Security {
            since: (security.second_factor != SecondFactorPolicy::Off).then(|| moment(security.since)),
            second_factor: security.second_factor.into(),
            grace_days: security.grace_days,
            tokens_bound: security.tokens_bound,
            audit_days: security.audit_days,
            session_idle_days: security.session_idle_days,
            session_days: security.session_days,
            countries: security.countries.map(|path| path.display().to_string()),
            countries_problem,
            leaked_passwords_refused,
        }
    }
}

fn text(secret: &Secret) -> String {
    secret.expose_str().unwrap_or_default().to_owned()
}

fn codes(codes: &[Secret]) -> Json<RecoveryCodes> {
    Json(RecoveryCodes {
        codes: codes.iter().map(text).collect(),
    })
}

#[derive(Clone)]
pub(crate) struct SecondFactorsApi(pub Panel);

#[OpenApi(tag = "Tag::Sessions")]
impl SecondFactorsApi {
    /// Show the own second factor
    #[oai(path = "/account/second-factor", method = "get", operation_id = "second_factor_show")]
    async fn second_factor_show(&self, who: Signed) -> Answer<Json<SecondFactor>> {
        Ok(Json(self.0.second_factors.get(&who.known)?.into()))
    }

    /// Begin to set up a second factor
    ///
    /// Gives the key for an authenticator app. It counts once a code of it was taken by `second_factor_confirm`, within
    /// an hour. Only in a browser, with the password.
    #[oai(path = "/account/second-factor", method = "post", operation_id = "second_factor_begin")]
    async fn second_factor_begin(&self, who: Signed, body: Json<SecondFactorBegin>) -> Answer<Json<SecondFactorSetUp>> {
        let made = self.0.second_factors.begin(&who.known, &Secret::from(body.0.password)).await?;
        Ok(Json(SecondFactorSetUp {
            key: text(&made.key),
            uri: text(&made.uri),
            qr_svg: text(&made.qr_svg),
        }))
    }

    /// Take the first code
    ///
    /// From now on signing in needs a code. The other sessions end. Answers ten recovery codes, this once.
    #[oai(path = "/account/second-factor/confirm", method = "post", operation_id = "second_factor_confirm")]
    async fn second_factor_confirm(&self, who: Signed, body: Json<CodeInput>) -> Answer<Json<RecoveryCodes>> {
        Ok(codes(&self.0.second_factors.confirm(&who.known, &body.0.code).await?))
    }

    /// Make new recovery codes
    ///
    /// Those before stop working. Who has a passkey and showed it lately may give an empty code.
    #[oai(
        path = "/account/second-factor/recovery-codes",
        method = "post",
        operation_id = "recovery_codes_renew"
    )]
    async fn recovery_codes_renew(&self, who: Signed, body: Json<CodeInput>) -> Answer<Json<RecoveryCodes>> {
        Ok(codes(&self.0.second_factors.renew_codes(&who.known, &body.0.code).await?))
    }

    /// Give the authenticator app up
    ///
    /// Passkeys stay. The other sessions end, and no browser is remembered. Not possible when it is the only second factor
    /// and the policy asks for one.
    #[oai(path = "/account/second-factor/remove", method = "post", operation_id = "second_factor_remove")]
    async fn second_factor_remove(&self, who: Signed, body: Json<CodeInput>) -> Answer<Done> {
        self.0.second_factors.remove(&who.known, &body.0.code).await?;
        Ok(Done::Done)
    }

    /// Show the second factor again
    ///
    /// Or the password, for who has no second factor. For 15 minutes this session may do what is dangerous: open terminals, see
    /// secrets, delete, change people. Signing in with a password counts as showing it.
    #[oai(path = "/session/confirm", method = "post", operation_id = "session_confirm")]
    async fn session_confirm(&self, who: Signed, body: Json<ConfirmInput>) -> Answer<Json<Confirmation>> {
        let proof = match (body.0.code, body.0.password) {
            (Some(code), None) => Proof::Code(code),
            (None, Some(password)) => Proof::Password(Secret::from(password)),
            _ => return Err(Error::invalid("code", "or `password` must be there, and not both").into()),
        };
        let standing = self.0.second_factors.step_up(&who.known, &proof).await?;
        Ok(Json(Confirmation {
            confirmed_until: standing.confirmed_until.map(moment),
        }))
    }

    /// List the browsers that were signed in with
    ///
    /// Those of the own account, newest use first.
    #[oai(path = "/account/devices", method = "get", operation_id = "device_list")]
    async fn device_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Device>>> {
        let devices = self.0.second_factors.devices(&who.known)?;
        page(devices, cursor.0.as_deref(), limit.0, |info| info.device.id.to_string())
    }

    /// Forget a browser
    ///
    /// It needs a code again.
    #[oai(path = "/account/devices/:id", method = "delete", operation_id = "device_forget")]
    async fn device_forget(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.second_factors.forget(&who.known, &id.0).await?;
        Ok(Done::Done)
    }

    /// Take somebody's second factor away
    ///
    /// Their authenticator app and their passkeys, for a phone that is lost. Their sessions end. Needs the role owner; of
    /// whose account is in several organizations, in the one that runs the panel.
    #[oai(path = "/users/:id/second-factor", method = "delete", operation_id = "user_reset_second_factor")]
    async fn user_reset_second_factor(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.second_factors.reset(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }

    /// Show the rules of getting in
    ///
    /// Needs the role admin.
    #[oai(path = "/security", method = "get", operation_id = "security_show")]
    async fn security_show(&self, who: Signed) -> Answer<Json<Security>> {
        let security = self.0.security.get(&who.actor)?;
        let problem = self.0.security.countries_problem(&who.actor)?;
        let leaked = self.0.security.refuses_leaked_passwords(&who.actor)?;
        Ok(Json(Security::of(security, problem, leaked)))
    }

    /// Change the rules of getting in
    ///
    /// Needs the role admin.
    #[oai(path = "/security", method = "patch", operation_id = "security_update")]
    async fn security_update(&self, who: Signed, body: Json<SecurityPatch>) -> Answer<Json<Security>> {
        let SecurityPatch {
            second_factor,
            grace_days,
            tokens_bound,
            audit_days,
            session_idle_days,
            session_days,
            countries,
        } = body.0;
        let change = SecurityChange {
            second_factor: second_factor.map(Into::into),
            grace_days,
            tokens_bound,
            audit_days,
            session_idle_days,
            session_days,
            countries: countries.map(|path| Some(path).filter(|path| !path.is_empty()).map(Into::into)),
        };
        let after = self.0.security.update(&who.actor, change).await?;
        let problem = self.0.security.countries_problem(&who.actor)?;
        let leaked = self.0.security.refuses_leaked_passwords(&who.actor)?;
        Ok(Json(Security::of(after, problem, leaked)))
    }
}

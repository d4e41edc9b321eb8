//! What can go wrong, in words of the domain. Which HTTP status or exit code that is, others decide.

use std::fmt;

/// Any cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
/// The result of everything that serverkit decides or asks for.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds of thing that can be missing or taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Account,
    Answer,
    App,
    Audit,
    Authority,
    BuildServer,
    Catalog,
    Certificate,
    CiTrust,
    Container,
    Delivery,
    Deployment,
    Device,
    DnsProvider,
    DnsRecord,
    DnsZone,
    Domain,
    Environment,
    EnvironmentClone,
    Event,
    Job,
    Run,
    ExternalIdentity,
    IdentityProvider,
    File,
    ForgeConnection,
    ForgeReport,
    Freeze,
    Grant,
    Image,
    ImageWatch,
    Invitation,
    Letter,
    Membership,
    Network,
    Node,
    Operation,
    OrderLog,
    Organization,
    Passkey,
    PasswordReset,
    Preview,
    PreviewRules,
    Project,
    Quota,
    Registry,
    Release,
    Provisioning,
    Role,
    Rule,
    ScimGroup,
    ScimUser,
    SecondFactor,
    Session,
    Service,
    Setting,
    SetupLink,
    Stream,
    Team,
    Template,
    Token,
    Upload,
    User,
    Variable,
    Volume,
    Webhook,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Account => "ACME account",
            Kind::Answer => "answer",
            Kind::App => "app",
            Kind::Audit => "audit entry",
            Kind::Authority => "authority",
            Kind::BuildServer => "build server",
            Kind::Catalog => "catalog",
            Kind::Certificate => "certificate",
            Kind::CiTrust => "trusted repository",
            Kind::Container => "container",
            Kind::Delivery => "delivery",
            Kind::Deployment => "deployment",
            Kind::Device => "remembered browser",
            Kind::DnsProvider => "DNS provider",
            Kind::DnsRecord => "DNS record",
            Kind::DnsZone => "DNS zone",
            Kind::Domain => "domain",
            Kind::Environment => "environment",
            Kind::EnvironmentClone => "clone",
            Kind::Event => "event",
            Kind::ExternalIdentity => "person of an identity provider",
            Kind::IdentityProvider => "identity provider",
            Kind::File => "file",
            Kind::ForgeConnection => "forge",
            Kind::ForgeReport => "report to a forge",
            Kind::Freeze => "freeze window",
            Kind::Job => "job",
            Kind::Run => "run",
            Kind::Grant => "grant",
            Kind::Image => "image",
            Kind::ImageWatch => "watch over images",
            Kind::Invitation => "invitation",
            Kind::Letter => "mail",
            Kind::Membership => "membership",
            Kind::Network => "network",
            Kind::Node => "server",
            Kind::Operation => "operation",
            Kind::OrderLog => "order log",
            Kind::Organization => "organization",
            Kind::Passkey => "passkey",
            Kind::PasswordReset => "link for a new password",
            Kind::Preview => "preview",
            Kind::PreviewRules => "rules of previews",
            Kind::Project => "project",
            Kind::Quota => "quota",
            Kind::Registry => "registry login",
            Kind::Release => "release",
            Kind::Provisioning => "provisioning",
            Kind::Role => "role",
            Kind::Rule => "rule",
            Kind::ScimGroup => "group of an identity provider",
            Kind::ScimUser => "provisioned user",
            Kind::SecondFactor => "second factor",
            Kind::Session => "session",
            Kind::Service => "service",
            Kind::Setting => "setting",
            Kind::SetupLink => "setup link",
            Kind::Stream => "port",
            Kind::Team => "team",
            Kind::Template => "template",
            Kind::Token => "token",
            Kind::Upload => "upload",
            Kind::User => "user",
            Kind::Variable => "variable",
            Kind::Volume => "volume",
            Kind::Webhook => "webhook",
        })
    }
}

/// What went wrong. A variant exists where a caller reacts differently.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing has this name, or the caller may not see it.
    #[error("no {kind} named `{name}`")]
    NotFound { kind: Kind, name: String },
    /// Somebody has it already.
    #[error("the {kind} `{name}` is taken{}", by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default())]
    Taken { kind: Kind, name: String, by: Option<String> },
    /// A value that cannot be used: which one, and what would be right.
    #[error("{field}: {why}")]
    Invalid { field: String, why: String },
    /// The record changed between reading and writing it.
    #[error("{what} was changed by someone else meanwhile; load it again")]
    Stale { what: String },
    /// It exists but cannot do this now.
    #[error("{what}")]
    Busy { what: String },
    /// No or no valid credentials.
    #[error("{why}")]
    Unauthenticated { why: String },
    /// The password is right; a code of the second factor must come with it.
    #[error("a code is needed too: from your authenticator app, or a recovery code")]
    SecondFactorNeeded,
    /// Known, with the right, and with a second factor, or only a password, that was not shown lately: not enough for what is
    /// dangerous.
    #[error("confirm that it is you first: with your second factor, or with your password if you have none")]
    Unconfirmed,
    /// Known, with the right, but without the second factor that the policy asks for.
    #[error("this panel asks for a second factor, and you have none: set one up in your account first")]
    Unenrolled,
    /// Known, but without the right.
    #[error("not allowed: this needs {needs}")]
    Forbidden { needs: String },
    /// Too many tries.
    #[error("too many attempts; try again in {seconds} s")]
    Throttled { seconds: u64 },
    /// Something outside does not answer or refuses: the engine, a Git server, a certificate authority.
    #[error("{what}")]
    Unavailable {
        what: String,
        #[source]
        source: Option<BoxError>,
    },
    /// Somebody asked for it to end.
    #[error("cancelled")]
    Cancelled,
    /// A bug or a broken disk. The caller gets a request id; the log gets the causes.
    #[error("while {doing}")]
    Internal {
        doing: String,
        #[source]
        source: BoxError,
    },
}

impl Error {
    pub fn not_found(kind: Kind, name: impl fmt::Display) -> Error {
        Error::NotFound {
            kind,
            name: name.to_string(),
        }
    }
    pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Error {
        Error::Invalid {
            field: field.into(),
            why: why.into(),
        }
    }
    pub fn busy(what: impl Into<String>) -> Error {
        Error::Busy { what: what.into() }
    }
    pub fn unavailable(what: impl Into<String>) -> Error {
        Error::Unavailable {
            what: what.into(),
            source: None,
        }
    }
    pub fn unavailable_by(what: impl Into<String>, source: impl Into<BoxError>) -> Error {
        Error::Unavailable {
            what: what.into(),
            source: Some(source.into()),
        }
    }
    pub fn internal(doing: impl Into<String>, source: impl Into<BoxError>) -> Error {
        Error::Internal {
            doing: doing.into(),
            source: source.into(),
        }
    }
}

/// Adds what was being done to a foreign error: `file.sync_all().doing("saving the journal")?`.
pub trait Doing<T> {
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<BoxError>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::internal(what, source))
    }
}

/// The error and its causes on one line, for logs and job status.
pub fn report(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line.replace('\n', " ")
}

/// The innermost reason, which is the one that helps where the causes above it only say that a request failed.
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_names_every_cause_once() {
        let error = Error::unavailable_by("the engine does not answer", std::io::Error::other("connection refused"));
        assert_eq!(report(&error), "the engine does not answer: connection refused");
        assert_eq!(innermost(&error), "connection refused");
    }

    #[test]
    fn taken_says_by_whom() {
        let error = Error::Taken {
            kind: Kind::Domain,
            name: "a.test".into(),
            by: Some("app `blog`".into()),
        };
        assert_eq!(error.to_string(), "the domain `a.test` is taken by app `blog`");
    }
}

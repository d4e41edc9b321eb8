//! What happened. Audit, notifications and the panel's live stream read the same ones.

use crate::{
    AppId, DeliveryId, DeploymentId, EventId, Host, HostPattern, OrganizationId, Phase, ProjectId, RunId, RunPhase, StreamPort, Time,
    UserId, Who,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub id: EventId,
    pub organization: OrganizationId,
    pub at: Time,
    pub by: Who,
    pub address: Option<String>,
    pub fact: Fact,
}

/// What happened, in the past tense. The serialized `kind` is what clients and the event stream see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fact {
    PanelClaimed {
        user: UserId,
    },
    SignedIn {
        user: UserId,
    },
    LoginFailed {
        email: String,
    },
    SignedOut {
        user: UserId,
    },
    /// The password was right, the code was not.
    SecondFactorFailed {
        user: UserId,
        email: String,
    },
    SecondFactorAdded {
        user: UserId,
        email: String,
    },
    SecondFactorRemoved {
        user: UserId,
        email: String,
    },
    /// A recovery code let somebody in.
    RecoveryCodeUsed {
        user: UserId,
        email: String,
        left: usize,
    },
    RecoveryCodesRenewed {
        user: UserId,
        email: String,
    },
    PasskeyAdded {
        user: UserId,
        email: String,
        name: String,
    },
    PasskeyRemoved {
        user: UserId,
        email: String,
        name: String,
    },
    /// Somebody asked for a link with which the password is replaced; it was sent.
    PasswordForgotten {
        user: UserId,
        email: String,
    },
    /// By such a link.
    PasswordReset {
        user: UserId,
        email: String,
    },
    DeviceRemembered {
        user: UserId,
        email: String,
    },
    DeviceForgotten {
        user: UserId,
        email: String,
    },
    /// Somebody signed in with a browser that they had not signed in with before.
    NewDevice {
        user: UserId,
        email: String,
        agent: String,
    },
    /// Somebody signed in from a country that they had not signed in from before.
    NewCountry {
        user: UserId,
        email: String,
        /// Two letters (ISO 3166-1).
        country: String,
    },
    SecurityChanged {
        fields: Vec<String>,
    },
    UserCreated {
        user: UserId,
        email: String,
    },
    /// Somebody got an account by signing in by an identity provider.
    UserProvisioned {
        user: UserId,
        email: String,
        provider: String,
    },
    /// A link was made with which somebody can make an account.
    UserInvited {
        email: String,
    },
    InvitationRevoked {
        email: String,
    },
    InvitationAccepted {
        user: UserId,
        email: String,
    },
    UserChanged {
        user: UserId,
        email: String,
    },
    UserRemoved {
        user: UserId,
        email: String,
    },
    TokenCreated {
        name: String,
    },
    TokenRevoked {
        name: String,
    },
    /// It has another secret now.
    TokenRotated {
        name: String,
    },
    /// A role that people made.
    RoleChanged {
        name: String,
        /// `made`, `changed` or `removed`.
        what: String,
    },
    TeamChanged {
        name: String,
        /// `made`, `changed` or `removed`.
        what: String,
    },
    /// `to` got `role` in `place`.
    RightsGranted {
        to: String,
        role: String,
        place: String,
    },
    RightsTaken {
        to: String,
        role: String,
        place: String,
    },
    OrganizationCreated {
        name: String,
    },
    OrganizationRemoved {
        name: String,
    },
    /// Somebody has a higher built-in role than before.
    RoleRaised {
        user: UserId,
        email: String,
        role: String,
    },
    /// The audit log was changed by somebody else than the panel, or the disk.
    AuditBroken {
        why: String,
    },
    OrganizationRenamed {
        name: String,
    },
    /// What an organization or a project may have is another than before.
    QuotaChanged {
        /// `None`: of the whole organization.
        project: Option<ProjectId>,
        /// `the project shop`
        whose: String,
        /// What changed, in words.
        what: Vec<String>,
    },
    /// So much of a quota is used.
    QuotaReached {
        project: Option<ProjectId>,
        whose: String,
        /// `disk`, `traffic` or `builds`.
        of: String,
        /// 80 or 100.
        percent: u8,
        /// `8.1 GiB of 10 GiB`
        used: String,
    },
    ProjectCreated {
        project: ProjectId,
        name: String,
    },
    ProjectChanged {
        project: ProjectId,
        name: String,
    },
    ProjectRemoved {
        project: ProjectId,
        name: String,
    },
    AppCreated {
        app: AppId,
        name: String,
    },
    AppChanged {
        app: AppId,
        name: String,
    },
    /// Started, stopped, or found in another state by the reconciler.
    AppStateChanged {
        app: AppId,
        name: String,
        state: String,
        why: Option<String>,
    },
    AppTrashed {
        app: AppId,
        name: String,
    },
    AppRestored {
        app: AppId,
        name: String,
    },
    AppRemoved {
        app: AppId,
        name: String,
    },
    VariablesChanged {
        app: AppId,
        name: String,
        keys: Vec<String>,
    },
    /// A configuration file of an app came, changed or went.
    FileChanged {
        app: AppId,
        name: String,
        path: String,
    },
    /// Somebody deployed although that was frozen.
    FreezeOverridden {
        app: AppId,
        name: String,
        /// Of the freeze.
        freeze: String,
        why: String,
    },
    /// A freeze came or went.
    FreezeChanged {
        name: String,
        what: String,
    },
    /// A job of an app, or what was run once, did not go well.
    RunFailed {
        app: AppId,
        name: String,
        run: RunId,
        /// The job, or the command.
        what: String,
        why: String,
    },
    /// A run began or ended.
    RunMoved {
        app: AppId,
        name: String,
        run: RunId,
        phase: RunPhase,
    },
    /// A job came, changed or went.
    JobChanged {
        app: AppId,
        name: String,
        job: String,
    },
    /// It is kept until that is taken back.
    ReleasePinned {
        app: AppId,
        name: String,
        number: u64,
        pinned: bool,
    },
    /// Of the organization, a project or an environment.
    SharedVariablesChanged {
        owner: String,
        keys: Vec<String>,
    },
    SharedSecretsRevealed {
        owner: String,
    },
    SecretsRevealed {
        app: AppId,
        name: String,
    },
    TerminalOpened {
        app: AppId,
        name: String,
    },
    DomainAdded {
        app: AppId,
        host: HostPattern,
    },
    DomainRemoved {
        app: AppId,
        host: HostPattern,
    },
    /// Its policy, rules, canary or passthrough.
    DomainChanged {
        app: AppId,
        host: HostPattern,
        /// Such as `changed cors, cache` or `added the rule api`.
        what: String,
    },
    PortOpened {
        app: AppId,
        port: StreamPort,
    },
    PortClosed {
        app: AppId,
        port: StreamPort,
    },
    CachePurged {
        /// `None`: of all domains.
        host: Option<HostPattern>,
        answers: u64,
    },
    BuildCacheTrimmed {
        /// That came free.
        bytes: u64,
        /// Of one app's builds; `None`: of all.
        #[serde(default)]
        app: Option<AppId>,
    },
    EdgeOptionsChanged {
        fields: Vec<String>,
    },
    /// From where people and programs reach the panel.
    AllowListsChanged {
        /// Such as `the panel: 192.0.2.0/24`.
        what: Vec<String>,
        /// Taken back then unless it is confirmed.
        until: Option<Time>,
    },
    AllowListsConfirmed,
    AllowListsReverted {
        why: String,
    },
    /// How often the panel's own API may be asked.
    ApiLimitsChanged {
        /// Names of rules that came, changed or went.
        what: Vec<String>,
    },
    CertificateIssued {
        host: Host,
        issuer: String,
    },
    CertificateFailed {
        host: Host,
        why: String,
    },
    /// It ends in 21, 7 or 2 days, or has ended (0), and no new one is there yet.
    CertificateExpiring {
        host: Host,
        days: u32,
    },
    CertificateUploaded {
        names: Vec<String>,
    },
    CertificateRemoved {
        names: Vec<String>,
    },
    DnsProviderAdded {
        name: String,
    },
    DnsProviderChanged {
        name: String,
    },
    DnsProviderRemoved {
        name: String,
    },
    DnsRecordChanged {
        zone: String,
        /// `create`, `change` or `delete`, and the record in short.
        what: String,
    },
    DeploymentMoved {
        app: AppId,
        name: String,
        deployment: DeploymentId,
        number: u64,
        phase: Phase,
        error: Option<String>,
    },
    /// `why` is `None` when the lock was taken away.
    DeploymentsLocked {
        app: AppId,
        name: String,
        why: Option<String>,
    },
    /// A repository whose CI may deploy it came or went.
    CiTrustChanged {
        app: AppId,
        name: String,
        repository: String,
        /// `added` or `removed`.
        what: String,
    },
    /// A job of a trusted repository's CI got a token for a while.
    CiTokenGiven {
        app: AppId,
        name: String,
        repository: String,
        /// What was built: `refs/heads/main`.
        reference: String,
        /// Where the run is seen, if its forge says so.
        run: Option<String>,
    },
    /// Its registry has another image under the tag than runs.
    NewerImageFound {
        app: AppId,
        name: String,
        image: String,
        digest: String,
    },
    /// Its address, secret, rules or polling.
    WebhookChanged {
        app: AppId,
        name: String,
        /// Such as `changed paths` or `made a new secret`.
        what: String,
    },
    /// Something came to a webhook, and what was decided.
    DeliveryDecided {
        app: AppId,
        name: String,
        delivery: DeliveryId,
        why: String,
    },
    /// A preview of a pull request was made, renewed, allowed or removed.
    PreviewMoved {
        app: AppId,
        name: String,
        /// Of the request.
        number: u64,
        /// Such as `renewed`.
        what: String,
        why: String,
    },
    /// Which pull requests are previewed, and how.
    PreviewRulesChanged {
        app: AppId,
        name: String,
        what: String,
    },
    ForgeConnected {
        name: String,
    },
    ForgeChanged {
        name: String,
        /// Such as `changed the token`.
        what: String,
    },
    ForgeRemoved {
        name: String,
    },
    /// A forge shows what became of a deployment, or could not be told.
    ForgeTold {
        app: AppId,
        name: String,
        deployment: DeploymentId,
        number: u64,
        /// Why not.
        problem: Option<String>,
    },
    RegistryAdded {
        server: String,
    },
    RegistryRemoved {
        server: String,
    },
    CatalogAdded {
        name: String,
    },
    /// Its templates: put in, taken out, or read anew.
    CatalogChanged {
        name: String,
        what: String,
    },
    CatalogRemoved {
        name: String,
    },
    /// To another version of its template; `back`: to the one before.
    TemplateUpdated {
        app: AppId,
        name: String,
        version: String,
        back: bool,
    },
    SettingsChanged {
        fields: Vec<String>,
    },
    EngineLost {
        why: String,
    },
    EngineFound {
        version: String,
    },
}

impl Fact {
    /// The app it is about.
    pub fn app(&self) -> Option<&AppId> {
        match self {
            Fact::AppCreated { app, .. }
            | Fact::ForgeTold { app, .. }
            | Fact::AppChanged { app, .. }
            | Fact::AppStateChanged { app, .. }
            | Fact::AppTrashed { app, .. }
            | Fact::AppRestored { app, .. }
            | Fact::AppRemoved { app, .. }
            | Fact::VariablesChanged { app, .. }
            | Fact::FileChanged { app, .. }
            | Fact::FreezeOverridden { app, .. }
            | Fact::RunFailed { app, .. }
            | Fact::RunMoved { app, .. }
            | Fact::JobChanged { app, .. }
            | Fact::ReleasePinned { app, .. }
            | Fact::SecretsRevealed { app, .. }
            | Fact::TerminalOpened { app, .. }
            | Fact::DomainAdded { app, .. }
            | Fact::DomainRemoved { app, .. }
            | Fact::DomainChanged { app, .. }
            | Fact::PortOpened { app, .. }
            | Fact::PortClosed { app, .. }
            | Fact::DeploymentsLocked { app, .. }
            | Fact::CiTrustChanged { app, .. }
            | Fact::CiTokenGiven { app, .. }
            | Fact::NewerImageFound { app, .. }
            | Fact::WebhookChanged { app, .. }
            | Fact::DeliveryDecided { app, .. }
            | Fact::PreviewMoved { app, .. }
            | Fact::PreviewRulesChanged { app, .. }
            | Fact::TemplateUpdated { app, .. }
            | Fact::DeploymentMoved { app, .. } => Some(app),
            _ => None,
        }
    }

    /// The project it is about, where it is about no app.
    pub fn project(&self) -> Option<&ProjectId> {
        match self {
            Fact::ProjectCreated { project, .. } | Fact::ProjectChanged { project, .. } | Fact::ProjectRemoved { project, .. } => {
                Some(project)
            }
            Fact::QuotaChanged { project, .. } | Fact::QuotaReached { project, .. } => project.as_ref(),
            _ => None,
        }
    }

    /// Whether whoever guards the panel should look at it.
    pub fn is_security(&self) -> bool {
        matches!(
            self,
            Fact::PanelClaimed { .. }
                | Fact::LoginFailed { .. }
                | Fact::SecondFactorFailed { .. }
                | Fact::SecondFactorRemoved { .. }
                | Fact::RecoveryCodeUsed { .. }
                | Fact::NewCountry { .. }
                | Fact::NewDevice { .. }
                | Fact::PasswordReset { .. }
                | Fact::SecurityChanged { .. }
                | Fact::AllowListsChanged { .. }
                | Fact::AllowListsReverted { .. }
                | Fact::UserCreated { .. }
                | Fact::InvitationAccepted { .. }
                | Fact::TokenCreated { .. }
                | Fact::CiTrustChanged { .. }
                | Fact::TokenRotated { .. }
                | Fact::RoleRaised { .. }
                | Fact::OrganizationRemoved { .. }
                | Fact::RoleChanged { .. }
                | Fact::RightsGranted { .. }
                | Fact::AuditBroken { .. }
        )
    }

    /// Whether it is worth keeping. The steps of a deployment are in its own record, deliveries in their inbox; listeners hear of them all the same.
    pub fn is_lasting(&self) -> bool {
        !matches!(
            self,
            Fact::DeploymentMoved {
                phase: Phase::Fetching | Phase::Building | Phase::Starting | Phase::Checking,
                ..
            } | Fact::DeliveryDecided { .. }
                | Fact::RunMoved { .. }
        )
    }

    /// Whether the audit log has it as it is told. Of the others it has the records that changed.
    pub fn is_audited(&self) -> bool {
        matches!(
            self,
            Fact::PanelClaimed { .. }
                | Fact::SignedIn { .. }
                | Fact::LoginFailed { .. }
                | Fact::SignedOut { .. }
                | Fact::SecondFactorFailed { .. }
                | Fact::SecondFactorAdded { .. }
                | Fact::SecondFactorRemoved { .. }
                | Fact::RecoveryCodeUsed { .. }
                | Fact::RecoveryCodesRenewed { .. }
                | Fact::PasskeyAdded { .. }
                | Fact::PasskeyRemoved { .. }
                | Fact::DeviceRemembered { .. }
                | Fact::DeviceForgotten { .. }
                | Fact::NewCountry { .. }
                | Fact::NewDevice { .. }
                | Fact::PasswordForgotten { .. }
                | Fact::PasswordReset { .. }
                | Fact::AuditBroken { .. }
                | Fact::SecretsRevealed { .. }
                | Fact::SharedSecretsRevealed { .. }
                | Fact::TerminalOpened { .. }
                | Fact::ReleasePinned { .. }
                | Fact::CiTokenGiven { .. }
                | Fact::FreezeOverridden { .. }
                | Fact::CachePurged { .. }
                | Fact::BuildCacheTrimmed { .. }
                | Fact::DnsRecordChanged { .. }
        )
    }

    /// One sentence without the subject: "deployed blog #3".
    pub fn words(&self) -> String {
        match self {
            Fact::PanelClaimed { .. } => "claimed this panel".into(),
            Fact::SignedIn { .. } => "signed in".into(),
            Fact::LoginFailed { email } => format!("failed to sign in as {email}"),
            Fact::SignedOut { .. } => "signed out".into(),
            Fact::SecondFactorFailed { email, .. } => format!("gave the right password of {email} and a wrong code"),
            Fact::SecondFactorAdded { .. } => "set up a second factor".into(),
            Fact::SecondFactorRemoved { email, .. } => format!("took the second factor of {email} away"),
            Fact::RecoveryCodeUsed { left, .. } => format!("used a recovery code; {left} are left"),
            Fact::RecoveryCodesRenewed { .. } => "made new recovery codes".into(),
            Fact::PasskeyAdded { name, .. } => format!("added the passkey {name}"),
            Fact::PasskeyRemoved { name, .. } => format!("removed the passkey {name}"),
            Fact::PasswordForgotten { .. } => "asked for a link to choose a new password".into(),
            Fact::PasswordReset { .. } => "chose a new password by a link".into(),
            Fact::DeviceRemembered { .. } => "had a browser remembered".into(),
            Fact::DeviceForgotten { .. } => "had a remembered browser forgotten".into(),
            Fact::NewDevice { .. } => "signed in with a new browser".into(),
            Fact::NewCountry { country, .. } => format!("signed in from a new country: {country}"),
            Fact::SecurityChanged { fields } => format!("changed who gets in: {}", fields.join(", ")),
            Fact::UserCreated { email, .. } => format!("added {email}"),
            Fact::UserProvisioned { provider, .. } => format!("got an account by {provider}"),
            Fact::UserInvited { email } => format!("invited {email}"),
            Fact::InvitationRevoked { email } => format!("revoked the invitation of {email}"),
            Fact::InvitationAccepted { .. } => "accepted an invitation".into(),
            Fact::UserChanged { email, .. } => format!("changed {email}"),
            Fact::UserRemoved { email, .. } => format!("removed {email}"),
            Fact::TokenCreated { name } => format!("made the token {name}"),
            Fact::TokenRevoked { name } => format!("revoked the token {name}"),
            Fact::TokenRotated { name } => format!("gave the token {name} a new secret"),
            Fact::RoleChanged { name, what } => format!("{what} the role {name}"),
            Fact::TeamChanged { name, what } => format!("{what} the team {name}"),
            Fact::RightsGranted { to, role, place } => format!("gave {to} the role {role} in {place}"),
            Fact::RightsTaken { to, role, place } => format!("took the role {role} in {place} from {to}"),
            Fact::RoleRaised { email, role, .. } => format!("raised {email} to the role {role}"),
            Fact::AuditBroken { why } => format!("found the chain of the audit log broken: {why}"),
            Fact::OrganizationCreated { name } => format!("made the organization {name}"),
            Fact::OrganizationRemoved { name } => format!("deleted the organization {name}"),
            Fact::OrganizationRenamed { name } => format!("gave the organization the name {name}"),
            Fact::QuotaChanged { whose, what, .. } => format!("changed the quota of {whose}: {}", what.join(", ")),
            Fact::QuotaReached {
                whose,
                of,
                percent: 100,
                used,
                ..
            } => format!("found the {of} of {whose} used up: {used}"),
            Fact::QuotaReached {
                whose, of, percent, used, ..
            } => format!("found {percent} % of the {of} of {whose} used: {used}"),
            Fact::ProjectCreated { name, .. } => format!("created the project {name}"),
            Fact::ProjectChanged { name, .. } => format!("changed the project {name}"),
            Fact::ProjectRemoved { name, .. } => format!("deleted the project {name}"),
            Fact::AppCreated { name, .. } => format!("created {name}"),
            Fact::AppChanged { name, .. } => format!("changed the configuration of {name}"),
            Fact::AppStateChanged {
                name,
                state,
                why: Some(why),
                ..
            } => format!("{name} is {state}: {why}"),
            Fact::AppStateChanged {
                name, state, why: None, ..
            } => format!("{name} is {state}"),
            Fact::AppTrashed { name, .. } => format!("moved {name} to the trash"),
            Fact::AppRestored { name, .. } => format!("restored {name}"),
            Fact::AppRemoved { name, .. } => format!("deleted {name} for good"),
            Fact::VariablesChanged { name, keys, .. } => format!("changed {} of {name}", keys.join(", ")),
            Fact::FreezeOverridden { name, freeze, why, .. } => format!("deployed {name} in spite of the freeze {freeze}: {why}"),
            Fact::FreezeChanged { name, what } => format!("{what} the freeze {name}"),
            Fact::RunFailed { name, what, why, .. } => format!("{what} of {name} failed: {why}"),
            Fact::RunMoved { name, .. } => format!("a run of {name} moved on"),
            Fact::JobChanged { name, job, .. } => format!("changed the job {job} of {name}"),
            Fact::FileChanged { name, path, .. } => format!("changed the file {path} of {name}"),
            Fact::ReleasePinned {
                name,
                number,
                pinned: true,
                ..
            } => format!("pinned release #{number} of {name}"),
            Fact::ReleasePinned { name, number, .. } => format!("unpinned release #{number} of {name}"),
            Fact::SharedVariablesChanged { owner, keys } => format!("changed {} of {owner}", keys.join(", ")),
            Fact::SharedSecretsRevealed { owner } => format!("looked at the secrets of {owner}"),
            Fact::SecretsRevealed { name, .. } => format!("looked at the secrets of {name}"),
            Fact::TerminalOpened { name, .. } => format!("opened a terminal in {name}"),
            Fact::DomainAdded { host, .. } => format!("added the domain {host}"),
            Fact::DomainRemoved { host, .. } => format!("removed the domain {host}"),
            Fact::DomainChanged { host, what, .. } => format!("{what} of {host}"),
            Fact::PortOpened { port, .. } => format!("opened the port {port}"),
            Fact::PortClosed { port, .. } => format!("closed the port {port}"),
            Fact::CachePurged { host: Some(host), answers } => format!("threw away {answers} kept answers of {host}"),
            Fact::BuildCacheTrimmed { bytes, .. } => format!("freed {} MiB of the build cache", bytes >> 20),
            Fact::CachePurged { host: None, answers } => format!("threw away all {answers} kept answers"),
            Fact::EdgeOptionsChanged { fields } => format!("changed the edge's {}", fields.join(", ")),
            Fact::AllowListsChanged { what, until: None } => format!("changed from where the panel is reached: {}", what.join("; ")),
            Fact::AllowListsChanged { what, until: Some(until) } => {
                format!(
                    "changed from where the panel is reached, until {until} unless confirmed: {}",
                    what.join("; ")
                )
            }
            Fact::AllowListsConfirmed => "confirmed from where the panel is reached".into(),
            Fact::AllowListsReverted { why } => format!("took back from where the panel is reached: {why}"),
            Fact::ApiLimitsChanged { what } => format!("changed the rate limits of the panel's API: {}", what.join(", ")),
            Fact::CertificateIssued { host, issuer } => format!("got a certificate for {host} from {issuer}"),
            Fact::CertificateFailed { host, why } => format!("got no certificate for {host}: {why}"),
            Fact::CertificateExpiring { host, days: 0 } => format!("the certificate of {host} has ended"),
            Fact::CertificateExpiring { host, days } => format!("the certificate of {host} ends within {days} days"),
            Fact::CertificateUploaded { names } => format!("uploaded a certificate for {}", names.join(", ")),
            Fact::CertificateRemoved { names } => format!("removed the certificate for {}", names.join(", ")),
            Fact::DnsProviderAdded { name } => format!("added the DNS provider {name}"),
            Fact::DnsProviderChanged { name } => format!("changed the DNS provider {name}"),
            Fact::DnsProviderRemoved { name } => format!("removed the DNS provider {name}"),
            Fact::DnsRecordChanged { zone, what } => format!("changed the zone {zone}: {what}"),
            Fact::DeploymentMoved {
                name,
                number,
                phase,
                error: Some(error),
                ..
            } => format!("{name} #{number} {}: {error}", phase.word()),
            Fact::DeploymentMoved {
                name,
                number,
                phase,
                error: None,
                ..
            } => format!("{name} #{number} is {}", phase.word()),
            Fact::DeploymentsLocked { name, why: Some(why), .. } if why.is_empty() => format!("locked deployments of {name}"),
            Fact::DeploymentsLocked { name, why: Some(why), .. } => format!("locked deployments of {name}: {why}"),
            Fact::DeploymentsLocked { name, why: None, .. } => format!("unlocked deployments of {name}"),
            Fact::CiTrustChanged {
                name, repository, what, ..
            } => format!("{what} {repository} as a repository whose CI may deploy {name}"),
            Fact::CiTokenGiven {
                name,
                repository,
                reference,
                ..
            } => format!("let the CI of {repository} deploy {name} for {reference}"),
            Fact::NewerImageFound { name, image, .. } => format!("found a newer {image} for {name}"),
            Fact::WebhookChanged { name, what, .. } => format!("{what} of the webhook of {name}"),
            Fact::DeliveryDecided { name, why, .. } => format!("decided on a delivery to {name}: {why}"),
            Fact::ForgeTold {
                name,
                number,
                problem: Some(why),
                ..
            } => format!("could not tell the forge of {name} #{number}: {why}"),
            Fact::ForgeTold { name, number, .. } => format!("told the forge of {name} #{number}"),
            Fact::PreviewMoved {
                name, number, what, why, ..
            } => {
                let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                format!("{what} the preview of #{number} of {name}{why}")
            }
            Fact::PreviewRulesChanged { name, what, .. } => format!("{what} the previews of {name}"),
            Fact::ForgeConnected { name } => format!("connected the forge {name}"),
            Fact::ForgeChanged { name, what } => format!("{what} of the forge {name}"),
            Fact::ForgeRemoved { name } => format!("removed the connection to the forge {name}"),
            Fact::RegistryAdded { server } => format!("kept a login at the registry {server}"),
            Fact::RegistryRemoved { server } => format!("forgot the login at the registry {server}"),
            Fact::CatalogAdded { name } => format!("added the catalog {name}"),
            Fact::CatalogChanged { name, what } => format!("{what} in the catalog {name}"),
            Fact::CatalogRemoved { name } => format!("removed the catalog {name}"),
            Fact::TemplateUpdated {
                name,
                version,
                back: false,
                ..
            } => format!("updated {name} to {version} of its template"),
            Fact::TemplateUpdated { name, version, .. } => format!("took {name} back to {version} of its template"),
            Fact::SettingsChanged { fields } => format!("changed the settings {}", fields.join(", ")),
            Fact::EngineLost { why } => format!("lost the Docker engine: {why}"),
            Fact::EngineFound { version } => format!("reached the Docker engine {version}"),
        }
    }

    /// The serialized `kind`.
    pub fn kind(&self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| Some(value.get("kind")?.as_str()?.to_owned()))
            .unwrap_or_default()
    }
}

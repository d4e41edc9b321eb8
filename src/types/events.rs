//! What happened. Audit, notifications and the panel's live stream read the same ones.

mod about;
mod words;

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
    /// By somebody else: who manages people, or whoever is on the machine.
    PasswordSet {
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
    /// Whom an identity provider says that people are, counts: one came, went or is another now, or its token for putting people in is.
    IdentityProviderChanged {
        name: String,
        /// `added`, `changed`, `turned on`, `turned off`, `removed`, or what was done with its token.
        what: String,
    },
    /// An identity provider does not know somebody any more, or did not say so for too long: what they began by it has ended.
    ProviderSessionsEnded {
        user: UserId,
        email: String,
        provider: String,
        why: String,
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
    /// Nobody used it for a while, or somebody wants it so.
    AppAsleep {
        app: AppId,
        name: String,
        why: String,
    },
    /// `why`: what woke it. `millis`: how long it took.
    AppAwake {
        app: AppId,
        name: String,
        why: String,
        millis: u64,
    },
    /// It is asleep again, and the next request after a pause tries anew.
    WakeFailed {
        app: AppId,
        name: String,
        why: String,
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
    /// A run of a job went well, after one that did not.
    RunRecovered {
        app: AppId,
        name: String,
        run: RunId,
        /// The job.
        what: String,
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
    /// A canary passed a limit; all requests go to the domain's own app again.
    CanaryFailed {
        /// The domain's own.
        app: AppId,
        host: HostPattern,
        /// Of the app that was the canary.
        name: String,
        /// With the limit.
        why: String,
    },
    /// What was live kept exiting soon after it went live, and the release before is live again.
    RolledBack {
        app: AppId,
        name: String,
        /// Of the release.
        number: u64,
        why: String,
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
    /// An environment is made from another one of the project.
    EnvironmentCloned {
        project: ProjectId,
        /// The new one.
        name: String,
        from: String,
        /// `began to make`, `made`, `could not make` or `took back`.
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
    /// A machine that builds for the panel came, was changed or went.
    BuildServerChanged {
        server: String,
        /// Such as `added` or `confirmed the host key of`.
        what: String,
    },
    /// It does not answer, or answers again.
    BuildServerLost {
        server: String,
        why: String,
    },
    BuildServerFound {
        server: String,
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
    /// The serialized `kind`.
    pub fn kind(&self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| Some(value.get("kind")?.as_str()?.to_owned()))
            .unwrap_or_default()
    }
}

//! What happened. Audit, notifications and the panel's live stream read the same ones.

use crate::{AppId, DeploymentId, EventId, Host, OrganizationId, Phase, ProjectId, Time, UserId, Who};
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
    UserCreated {
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
        host: Host,
    },
    DomainRemoved {
        app: AppId,
        host: Host,
    },
    CertificateIssued {
        host: Host,
        issuer: String,
    },
    CertificateFailed {
        host: Host,
        why: String,
    },
    DeploymentMoved {
        app: AppId,
        name: String,
        deployment: DeploymentId,
        number: u64,
        phase: Phase,
        error: Option<String>,
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

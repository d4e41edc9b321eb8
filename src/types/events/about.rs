//! What and whom a fact is about, so who may hear of it, and where it is kept.

use super::Fact;
use crate::{AppId, Family, Phase, ProjectId, UserId};

impl Fact {
    /// The app it is about.
    pub fn app(&self) -> Option<&AppId> {
        match self {
            Fact::AppCreated { app, .. }
            | Fact::ForgeTold { app, .. }
            | Fact::AppChanged { app, .. }
            | Fact::AppStateChanged { app, .. }
            | Fact::AppAsleep { app, .. }
            | Fact::AppAwake { app, .. }
            | Fact::WakeFailed { app, .. }
            | Fact::AppTrashed { app, .. }
            | Fact::AppRestored { app, .. }
            | Fact::AppRemoved { app, .. }
            | Fact::VariablesChanged { app, .. }
            | Fact::FileChanged { app, .. }
            | Fact::FreezeOverridden { app, .. }
            | Fact::RunFailed { app, .. }
            | Fact::RunRecovered { app, .. }
            | Fact::RunMoved { app, .. }
            | Fact::JobChanged { app, .. }
            | Fact::ReleasePinned { app, .. }
            | Fact::SecretsRevealed { app, .. }
            | Fact::TerminalOpened { app, .. }
            | Fact::DomainAdded { app, .. }
            | Fact::DomainRemoved { app, .. }
            | Fact::DomainChanged { app, .. }
            | Fact::CanaryFailed { app, .. }
            | Fact::RolledBack { app, .. }
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
            Fact::EnvironmentCloned { project, .. } => Some(project),
            Fact::QuotaChanged { project, .. } | Fact::QuotaReached { project, .. } => project.as_ref(),
            _ => None,
        }
    }

    /// The person whose account it is about.
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Fact::PanelClaimed { user }
            | Fact::SignedIn { user }
            | Fact::SignedOut { user }
            | Fact::SecondFactorFailed { user, .. }
            | Fact::SecondFactorAdded { user, .. }
            | Fact::SecondFactorRemoved { user, .. }
            | Fact::RecoveryCodeUsed { user, .. }
            | Fact::RecoveryCodesRenewed { user, .. }
            | Fact::PasskeyAdded { user, .. }
            | Fact::PasskeyRemoved { user, .. }
            | Fact::PasswordForgotten { user, .. }
            | Fact::PasswordReset { user, .. }
            | Fact::PasswordSet { user, .. }
            | Fact::DeviceRemembered { user, .. }
            | Fact::DeviceForgotten { user, .. }
            | Fact::NewDevice { user, .. }
            | Fact::NewCountry { user, .. }
            | Fact::UserCreated { user, .. }
            | Fact::UserProvisioned { user, .. }
            | Fact::ProviderSessionsEnded { user, .. }
            | Fact::InvitationAccepted { user, .. }
            | Fact::UserChanged { user, .. }
            | Fact::UserRemoved { user, .. }
            | Fact::RoleRaised { user, .. } => Some(user),
            _ => None,
        }
    }

    /// The kind of things it is about: who may not read those does not learn of it.
    pub fn family(&self) -> Family {
        match self {
            Fact::AppCreated { .. }
            | Fact::AppChanged { .. }
            | Fact::AppStateChanged { .. }
            | Fact::AppAsleep { .. }
            | Fact::AppAwake { .. }
            | Fact::WakeFailed { .. }
            | Fact::AppTrashed { .. }
            | Fact::AppRestored { .. }
            | Fact::AppRemoved { .. }
            | Fact::FileChanged { .. }
            | Fact::DeploymentsLocked { .. } => Family::Apps,
            Fact::AuditBroken { .. } => Family::Audit,
            Fact::CatalogAdded { .. } | Fact::CatalogChanged { .. } | Fact::CatalogRemoved { .. } | Fact::TemplateUpdated { .. } => {
                Family::Catalog
            }
            Fact::CertificateIssued { .. }
            | Fact::CertificateFailed { .. }
            | Fact::CertificateExpiring { .. }
            | Fact::CertificateUploaded { .. }
            | Fact::CertificateRemoved { .. } => Family::Certificates,
            Fact::DeploymentMoved { .. }
            | Fact::RolledBack { .. }
            | Fact::ReleasePinned { .. }
            | Fact::FreezeOverridden { .. }
            | Fact::FreezeChanged { .. } => Family::Deployments,
            Fact::DnsProviderAdded { .. }
            | Fact::DnsProviderChanged { .. }
            | Fact::DnsProviderRemoved { .. }
            | Fact::DnsRecordChanged { .. } => Family::Dns,
            Fact::DomainAdded { .. } | Fact::DomainRemoved { .. } | Fact::DomainChanged { .. } | Fact::CanaryFailed { .. } => {
                Family::Domains
            }
            Fact::PortOpened { .. }
            | Fact::PortClosed { .. }
            | Fact::CachePurged { .. }
            | Fact::EdgeOptionsChanged { .. }
            | Fact::AllowListsChanged { .. }
            | Fact::AllowListsConfirmed
            | Fact::AllowListsReverted { .. }
            | Fact::ApiLimitsChanged { .. } => Family::Edge,
            Fact::ForgeConnected { .. } | Fact::ForgeChanged { .. } | Fact::ForgeRemoved { .. } | Fact::ForgeTold { .. } => Family::Forges,
            Fact::RunFailed { .. } | Fact::RunRecovered { .. } | Fact::RunMoved { .. } | Fact::JobChanged { .. } => Family::Jobs,
            Fact::TerminalOpened { .. } => Family::Logs,
            Fact::PreviewMoved { .. } | Fact::PreviewRulesChanged { .. } => Family::Previews,
            Fact::ProjectCreated { .. }
            | Fact::ProjectChanged { .. }
            | Fact::ProjectRemoved { .. }
            | Fact::EnvironmentCloned { .. }
            | Fact::QuotaChanged { .. }
            | Fact::QuotaReached { .. } => Family::Projects,
            Fact::RegistryAdded { .. } | Fact::RegistryRemoved { .. } | Fact::NewerImageFound { .. } => Family::Registries,
            Fact::BuildCacheTrimmed { .. }
            | Fact::BuildServerChanged { .. }
            | Fact::BuildServerLost { .. }
            | Fact::BuildServerFound { .. }
            | Fact::EngineLost { .. }
            | Fact::EngineFound { .. } => Family::Servers,
            Fact::PanelClaimed { .. }
            | Fact::SignedIn { .. }
            | Fact::SignedOut { .. }
            | Fact::IdentityProviderChanged { .. }
            | Fact::ProviderSessionsEnded { .. }
            | Fact::LoginFailed { .. }
            | Fact::SecondFactorFailed { .. }
            | Fact::SecondFactorAdded { .. }
            | Fact::SecondFactorRemoved { .. }
            | Fact::RecoveryCodeUsed { .. }
            | Fact::RecoveryCodesRenewed { .. }
            | Fact::PasskeyAdded { .. }
            | Fact::PasskeyRemoved { .. }
            | Fact::PasswordForgotten { .. }
            | Fact::PasswordReset { .. }
            | Fact::PasswordSet { .. }
            | Fact::DeviceRemembered { .. }
            | Fact::DeviceForgotten { .. }
            | Fact::NewDevice { .. }
            | Fact::NewCountry { .. }
            | Fact::SecurityChanged { .. } => Family::Sessions,
            Fact::SettingsChanged { .. } => Family::Settings,
            Fact::TokenCreated { .. }
            | Fact::TokenRevoked { .. }
            | Fact::TokenRotated { .. }
            | Fact::CiTrustChanged { .. }
            | Fact::CiTokenGiven { .. } => Family::Tokens,
            Fact::UserCreated { .. }
            | Fact::UserProvisioned { .. }
            | Fact::UserInvited { .. }
            | Fact::InvitationRevoked { .. }
            | Fact::InvitationAccepted { .. }
            | Fact::UserChanged { .. }
            | Fact::UserRemoved { .. }
            | Fact::RoleRaised { .. }
            | Fact::RoleChanged { .. }
            | Fact::TeamChanged { .. }
            | Fact::RightsGranted { .. }
            | Fact::RightsTaken { .. }
            | Fact::OrganizationCreated { .. }
            | Fact::OrganizationRemoved { .. }
            | Fact::OrganizationRenamed { .. } => Family::Users,
            Fact::VariablesChanged { .. }
            | Fact::SharedVariablesChanged { .. }
            | Fact::SharedSecretsRevealed { .. }
            | Fact::SecretsRevealed { .. } => Family::Variables,
            Fact::WebhookChanged { .. } | Fact::DeliveryDecided { .. } => Family::Webhooks,
        }
    }

    /// Whether it tells of people, of what they come in by, or of who gets in: not for everybody who sees the apps.
    pub fn is_about_people(&self) -> bool {
        self.user().is_some()
            || matches!(
                self,
                Fact::LoginFailed { .. }
                    | Fact::UserInvited { .. }
                    | Fact::InvitationRevoked { .. }
                    | Fact::TokenCreated { .. }
                    | Fact::TokenRevoked { .. }
                    | Fact::TokenRotated { .. }
                    | Fact::RoleChanged { .. }
                    | Fact::TeamChanged { .. }
                    | Fact::RightsGranted { .. }
                    | Fact::RightsTaken { .. }
                    | Fact::SecurityChanged { .. }
                    | Fact::IdentityProviderChanged { .. }
                    | Fact::AllowListsChanged { .. }
                    | Fact::AllowListsConfirmed
                    | Fact::AllowListsReverted { .. }
                    | Fact::ApiLimitsChanged { .. }
                    | Fact::AuditBroken { .. }
            )
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
                | Fact::PasswordSet { .. }
                | Fact::ProviderSessionsEnded { .. }
                | Fact::IdentityProviderChanged { .. }
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
                phase: Phase::Fetching | Phase::Building | Phase::Starting | Phase::Checking | Phase::Trying,
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
                | Fact::PasswordSet { .. }
                | Fact::ProviderSessionsEnded { .. }
                | Fact::AuditBroken { .. }
                | Fact::SecretsRevealed { .. }
                | Fact::SharedSecretsRevealed { .. }
                | Fact::TerminalOpened { .. }
                | Fact::ReleasePinned { .. }
                | Fact::CiTokenGiven { .. }
                | Fact::FreezeOverridden { .. }
                | Fact::EnvironmentCloned { .. }
                | Fact::CachePurged { .. }
                | Fact::BuildCacheTrimmed { .. }
                | Fact::DnsRecordChanged { .. }
        )
    }
}

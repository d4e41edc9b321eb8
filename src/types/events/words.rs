//! What happened, in one sentence. One match over all of them, so that the compiler asks for the words of a new one.

use super::Fact;

impl Fact {
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
            Fact::PasswordSet { email, .. } => format!("gave {email} a new password"),
            Fact::DeviceRemembered { .. } => "had a browser remembered".into(),
            Fact::DeviceForgotten { .. } => "had a remembered browser forgotten".into(),
            Fact::NewDevice { .. } => "signed in with a new browser".into(),
            Fact::NewCountry { country, .. } => format!("signed in from a new country: {country}"),
            Fact::SecurityChanged { fields } => format!("changed who gets in: {}", fields.join(", ")),
            Fact::UserCreated { email, .. } => format!("added {email}"),
            Fact::UserProvisioned { provider, .. } => format!("got an account by {provider}"),
            Fact::IdentityProviderChanged { name, what } => format!("{what} the identity provider {name}"),
            Fact::ProviderSessionsEnded { email, provider, why, .. } => format!("signed {email} out, who came by {provider}: {why}"),
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
            Fact::AppAsleep { name, why, .. } => format!("{name} is asleep: {why}"),
            Fact::AppAwake { name, why, .. } => format!("{name} is awake: {why}"),
            Fact::WakeFailed { name, why, .. } => format!("{name} could not be woken: {why}"),
            Fact::AppStateChanged { name, state, why, .. } => {
                format!("{name} {}{}", in_state(state), because(why.as_deref().unwrap_or_default()))
            }
            Fact::AppTrashed { name, .. } => format!("moved {name} to the trash"),
            Fact::AppRestored { name, .. } => format!("restored {name}"),
            Fact::AppRemoved { name, .. } => format!("deleted {name} for good"),
            Fact::VariablesChanged { name, keys, .. } => format!("changed {} of {name}", keys.join(", ")),
            Fact::FreezeOverridden { name, freeze, why, .. } => format!("deployed {name} in spite of the freeze {freeze}: {why}"),
            Fact::FreezeChanged { name, what } => format!("{what} the freeze {name}"),
            Fact::RunFailed { name, what, why, .. } => format!("{what} of {name} failed: {why}"),
            Fact::RunRecovered { name, what, .. } => format!("{what} of {name} went well again"),
            Fact::RunMoved { name, .. } => format!("a run of {name} moved on"),
            Fact::JobChanged { name, job, .. } => format!("changed the job {job} of {name}"),
            Fact::FileChanged { name, path, .. } => format!("changed the file {path} of {name}"),
            Fact::ReleasePinned { name, number, pinned, .. } => {
                format!("{} release #{number} of {name}", if *pinned { "pinned" } else { "unpinned" })
            }
            Fact::SharedVariablesChanged { owner, keys } => format!("changed {} of {owner}", keys.join(", ")),
            Fact::SharedSecretsRevealed { owner } => format!("looked at the secrets of {owner}"),
            Fact::SecretsRevealed { name, .. } => format!("looked at the secrets of {name}"),
            Fact::TerminalOpened { name, .. } => format!("opened a terminal in {name}"),
            Fact::DomainAdded { host, .. } => format!("added the domain {host}"),
            Fact::DomainRemoved { host, .. } => format!("removed the domain {host}"),
            Fact::DomainChanged { host, what, .. } => format!("{what} of {host}"),
            Fact::CanaryFailed { host, name, why, .. } => format!("took {host} back from the canary {name}: {why}"),
            Fact::RolledBack { name, number, why, .. } => format!("rolled {name} back to #{number}: {why}"),
            Fact::PortOpened { port, .. } => format!("opened the port {port}"),
            Fact::PortClosed { port, .. } => format!("closed the port {port}"),
            Fact::BuildCacheTrimmed { bytes, .. } => format!("freed {} MiB of the build cache", bytes >> 20),
            Fact::CachePurged { host: Some(host), answers } => format!("threw away {answers} kept answers of {host}"),
            Fact::CachePurged { host: None, answers } => format!("threw away all {answers} kept answers"),
            Fact::EdgeOptionsChanged { fields } => format!("changed the edge's {}", fields.join(", ")),
            Fact::AllowListsChanged { what, until } => {
                let trial = until.map(|until| format!(", until {until} unless confirmed")).unwrap_or_default();
                format!("changed from where the panel is reached{trial}: {}", what.join("; "))
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
            Fact::DeploymentsLocked { name, why: Some(why), .. } => format!("locked deployments of {name}{}", because(why)),
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
            } => format!("{what} the preview of #{number} of {name}{}", because(why)),
            Fact::EnvironmentCloned { name, from, what, why, .. } => format!("{what} {name} from {from}{}", because(why)),
            Fact::PreviewRulesChanged { name, what, .. } => format!("{what} the previews of {name}"),
            Fact::ForgeConnected { name } => format!("connected the forge {name}"),
            Fact::ForgeChanged { name, what } => format!("{what} of the forge {name}"),
            Fact::ForgeRemoved { name } => format!("removed the connection to the forge {name}"),
            Fact::BuildServerChanged { server, what } => format!("{what} the build server {server}"),
            Fact::BuildServerLost { server, why } => format!("lost the build server {server}: {why}"),
            Fact::BuildServerFound { server } => format!("the build server {server} answers again"),
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
}

/// `: it is full`, or nothing when there is no reason.
fn because(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

fn in_state(state: &str) -> String {
    match state {
        "failed" => "has failed".into(),
        other => format!("is {other}"),
    }
}

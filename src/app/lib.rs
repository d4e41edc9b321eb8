//! The rules of serverkit: one service per noun, each a cheap clone. A service decides and asks the adapters to act;
//! it sees no request and no status code. Every method begins with who may.
//!
//! Desired state is in the store. The loops in `reconcile`, `deployer`, `certifier` and `housekeeping` read what should
//! be and what is, and close the gap; they take no input, so a crash, a reboot and a normal change are the same case.

mod access;
mod allow_lists;
mod api_limits;
mod app_jobs;
mod apps;
mod audit;
mod build_cache;
mod build_servers;
mod builders;
mod canaries;
mod catalog_reading;
mod catalogs;
mod certificates;
mod certifier;
mod challenges;
mod ci_keys;
mod ci_trusts;
mod ci_workflow;
mod clones;
mod containers;
mod copies;
mod countries;
mod crash_loops;
mod crash_rollbacks;
mod cron;
mod data_copies;
mod deployer;
mod deployments;
mod dns;
mod domain_claims;
mod domains;
mod dotenv;
mod drafts;
mod edge;
mod events;
mod files;
mod forecasts;
mod forge_reports;
mod forges;
mod freezes;
mod ground;
mod health;
mod held_pushes;
mod hook_keeper;
mod housekeeping;
mod idempotency;
mod identity_providers;
mod image_watcher;
#[cfg(test)]
mod image_watcher_tests;
mod image_watches;
mod imports;
mod inbox;
mod inside;
mod invitations;
mod job_alerts;
mod job_runs;
#[cfg(test)]
mod job_runs_tests;
mod last_words;
mod logs;
mod mail;
mod marketplace;
mod networks;
mod notices;
mod observed;
mod organization_removal;
mod organizations;
mod overview;
mod passkeys;
mod password_resets;
mod poller;
mod previews;
mod projects;
mod promotions;
#[cfg(test)]
mod push_tests;
mod quotas;
mod reconcile;
mod refusals;
mod registries;
mod release_images;
mod release_ports;
mod release_routes;
mod releases;
mod rights;
mod routing;
mod saml;
mod sampler;
mod scim;
#[cfg(test)]
mod second_factor_tests;
mod second_factors;
mod secrets;
mod security;
mod servers;
mod serving;
mod sessions;
mod settings;
mod setup;
mod shelves;
mod sight;
mod sleeping;
mod sources;
mod stacks;
mod superseding;
mod template_updates;
mod template_versions;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timetable;
mod tokens;
mod traffic;
mod trash;
mod trials;
mod upgrades;
mod uploads;
mod users;
mod variables;
#[cfg(test)]
mod volume_tests;
mod volumes;
mod webhooks;

pub use acme::{
    planner::{Forecast, Level as ForecastLevel, Note as ForecastNote},
    providers::Credentials as DnsCredentials,
};
pub use allow_lists::{AllowListWatch, AllowListsChange, AllowListsService, AllowListsView};
pub use api_limits::{ApiLimitsChange, ApiLimitsService, Asker};
pub use app_jobs::{AppJobs, JobView, JobWish, Once, RunView};
pub use apps::{AppChange, AppView, Apps, MountWish, NewApp, NewSource, TreeWish, VolumeName};
pub use audit::{Audit, AuditPage};
pub use build::Recipe;
pub use build_cache::{AppCacheView, AppShare, BuildCacheView, BuildCaches};
pub use build_servers::{BuildServerChange, BuildServerTest, BuildServerView, BuildServers, NewBuildServer};
/// The words of templates, for who shows them.
pub use catalog::{imports::Format as ImportFormat, merge::Conflict, resize::Size, template};
pub use catalog_reading::CatalogReader;
pub use catalogs::{Catalogs, NewCatalog, NewPlace};
pub use certificates::{Certificates, InventoryEntry, NewOrder, Uploaded};
pub use certifier::Certifier;
pub use ci_keys::CiKeyReader;
pub use ci_trusts::{CiToken, CiTrustView, CiTrustWish, CiTrusts};
pub use clones::{
    CloneAppWish, ClonePlan, CloneValue, CloneWish, Cloner, Clones, PlannedApp, PlannedCi, PlannedPort, PlannedRule, PlannedSecret,
    PlannedVolume, SecretBecomes,
};
pub use data_copies::DataPlan;
pub use deployer::{Deployer, Waits};
pub use deployments::{DeploymentView, Deployments, Wanted};
pub use dns::{DnsProviderChange, DnsProviderView, DnsService, NewDnsProvider, ZoneView};
pub use domains::{DomainCheck, DomainView, Domains};
pub use drafts::UploadDraft;
pub use edge::{EdgeService, NewStream, StreamView};
pub use events::Events;
pub use files::{FileView, FileWish, Files};
pub use forecasts::{DnsSetup, DnsSetupRecord, Forecasts, certificate_names};
pub use forge_reports::ForgeReporter;
pub use forges::{AccessWish, AppPage, AppWish, ForgeChange, Forges, NewForge};
pub use freezes::{FreezeView, FreezeWish, Freezes};
pub use ground::Options;
pub use health::HealthChecker;
pub use hook_keeper::HookKeeper;
pub use housekeeping::Housekeeping;
pub use idempotency::{Answers, Made, Ticket, Turn};
pub use identity::{Finding, Question as PasskeyQuestion};
pub use identity_providers::{GroupWish, IdentityProviders, ProtocolWish, ProviderWish};
pub use image_watcher::ImageWatcher;
pub use image_watches::{ImageWatchView, ImageWatchWish, ImageWatches};
pub use imports::{ImportWish, Imports};
pub use inbox::{Arrival, Inbox};
pub use invitations::{Acceptance, Invitations, Invited, NewInvitation, Shown as InvitationShown};
pub use job_runs::JobRunner;
pub use logs::{AppLine, Logs};
pub use mail::{MailService, MailView, MailWish, Postman};
pub use marketplace::{
    FurtherDomain, FurtherPort, InstallPlan, InstallWish, InstalledView, MainSize, Marketplace, TemplateDetail, TemplateView,
};
pub use notices::Notices;
pub use observed::AppState;
pub use organization_removal::{OrganizationPlan, OrganizationRemoval};
pub use organizations::{OrganizationView, Organizations};
pub use overview::{Attention, Counts, Overview, Overviews};
pub use passkeys::{PasskeyMade, PasskeyShown, Passkeys};
pub use password_resets::PasswordResets;
pub use poller::Poller;
pub use previews::{PreviewRulesChange, PreviewRulesView, PreviewVariableWish, PreviewView, Previewer, Previews};
pub use projects::{EnvironmentView, ProjectView, Projects};
pub use quotas::{BuildFloor, QuotaKeeper, QuotaUse, QuotaView, Quotas};
pub use reconcile::Reconciler;
pub use registries::Registries;
pub use releases::{Difference, PromotionPlan, ReleaseView, Releases};
pub use rights::{GrantView, GrantWish, Rights, RoleChange, RoleView, TeamChange, TeamView};
pub use saml::SamlWish;
pub use sampler::Sampler;
pub use scim::{Provisioner, ProvisioningView, Scim, ScimQuery, shown as scim_shown};
pub use second_factors::{DEVICE as DEVICE_COOKIE_LASTS, DeviceInfo, Proof, SecondFactorView, SecondFactors, SetUp, Standing};
pub use security::{SecurityChange, SecurityService};
pub use servers::{Chart, ServerView, Servers};
pub use sessions::*;
pub use settings::{SettingsChange, SettingsService};
pub use setup::*;
pub use sight::rights_everywhere;
pub use sleeping::Sleeper;
/// Of a forge, as its API tells.
pub use source::forges::{ForgeBranch, Found as ForgeFound, Repository as FoundRepository};
pub use sources::{Inspection, PlanView, Sources};
pub use stacks::{ComposeReport, ServiceView, Stacks};
/// Says for whom something is done, to the audit log; counts what something asks of the store.
pub use store::{Effort, acting, counted};
pub use template_updates::{TemplateUpdates, UpdatePlan, UpdateWish};
pub use timetable::Timetable;
pub use tokens::*;
pub use traffic::{PolicyWish, RuleWish, Traffic};
pub use trash::{DeletePlan, Trash};
pub use upgrades::{UpgradeFiles, UpgradeWish, Upgrades, VERSION};
pub use uploads::Uploads;
pub use users::*;
pub use variables::{VariableChange, VariablePreview, VariableView, VariableWish, Variables, VersionView};
pub use volumes::{VolumeView, Volumes};
pub use webhooks::{PassedTo, WebhookChange, WebhookView, Webhooks};

use access::{Access, identity_parts};
use ground::{Ground, Wakes};
use node::Node;
use shelves::Shelves;
use std::{sync::Arc, time::Duration};
use store::Store;
use telemetry::{LogStore, Metrics, Redactor};
use tokio::sync::mpsc;
use types::{Result, Upgrade, World};

/// What a panel is made of.
pub struct Parts {
    pub store: Store,
    pub world: World,
    pub node: Arc<dyn Node>,
    pub logs: LogStore,
    pub metrics: Metrics,
    pub redactor: Redactor,
    pub options: Options,
    /// Takes orders to change the running program.
    pub upgrades: mpsc::Sender<Upgrade>,
}

impl Parts {
    /// As what all services stand on; and who takes orders to change the program.
    fn laid_out(self) -> (Arc<Ground>, mpsc::Sender<Upgrade>) {
        let Parts {
            store,
            world,
            node,
            logs,
            metrics,
            redactor,
            options,
            upgrades,
        } = self;
        let ground = Ground {
            routing: Default::default(),
            running: Default::default(),
            retiring: Default::default(),
            sleeping: Default::default(),
            forges: Default::default(),
            job_runs: Default::default(),
            registries_asked: Default::default(),
            drafts: Default::default(),
            quota_gate: Default::default(),
            domain_gate: Default::default(),
            observed: Default::default(),
            last_sample: Default::default(),
            wakes: Wakes::default(),
            events: Events::new(store.clone(), world.clone()),
            store,
            world,
            node,
            logs,
            metrics,
            redactor,
            options,
        };
        (Arc::new(ground), upgrades)
    }
}

/// All services of one panel.
#[derive(Clone)]
pub struct Panel {
    pub setup: Setup,
    pub sessions: Sessions,
    pub users: Users,
    pub tokens: Tokens,
    pub rights: Rights,
    pub organizations: Organizations,
    pub organization_removal: OrganizationRemoval,
    pub invitations: Invitations,
    pub second_factors: SecondFactors,
    pub passkeys: Passkeys,
    pub password_resets: PasswordResets,
    pub mail: MailService,
    pub identity_providers: IdentityProviders,
    pub scim: Scim,
    pub security: SecurityService,
    pub projects: Projects,
    pub clones: Clones,
    pub quotas: Quotas,
    pub apps: Apps,
    pub trash: Trash,
    pub variables: Variables,
    pub files: Files,
    pub app_jobs: AppJobs,
    pub freezes: Freezes,
    pub domains: Domains,
    pub traffic: Traffic,
    pub edge: EdgeService,
    pub allow_lists: AllowListsService,
    pub api_limits: ApiLimitsService,
    pub certificates: Certificates,
    pub forecasts: Forecasts,
    pub forges: Forges,
    pub dns: DnsService,
    pub deployments: Deployments,
    pub registries: Registries,
    pub sources: Sources,
    pub image_watches: ImageWatches,
    pub ci_trusts: CiTrusts,
    pub webhooks: Webhooks,
    pub previews: Previews,
    pub inbox: Inbox,
    pub uploads: Uploads,
    pub releases: Releases,
    pub volumes: Volumes,
    pub build_caches: BuildCaches,
    pub build_servers: BuildServers,
    pub servers: Servers,
    pub logs: Logs,
    pub marketplace: Marketplace,
    pub catalogs: Catalogs,
    pub imports: Imports,
    pub template_updates: TemplateUpdates,
    pub events: Events,
    pub audit: Audit,
    pub settings: SettingsService,
    pub stacks: Stacks,
    pub overviews: Overviews,
    pub answers: Answers,
    pub upgrades: Upgrades,
    shelves: Shelves,
    access: Arc<Access>,
    ground: Arc<Ground>,
}

impl Panel {
    /// Puts the services together. Nothing runs yet; see [`Panel::jobs`].
    pub async fn open(parts: Parts) -> Result<Panel> {
        let (ground, upgrades) = parts.laid_out();
        secrets::teach_redactor(&ground)?;
        servers::ensure_local(&ground).await?;
        Panel::standing_on(ground, upgrades)
    }

    fn standing_on(ground: Arc<Ground>, upgrades: mpsc::Sender<Upgrade>) -> Result<Panel> {
        let identity = identity_parts(&ground)?;
        let shelves = Shelves::new(ground.clone());
        Ok(Panel {
            setup: Setup::new(identity.clone()),
            sessions: Sessions::new(identity.clone()),
            users: Users::new(identity.clone()),
            second_factors: SecondFactors::new(identity.clone()),
            passkeys: Passkeys::new(identity.clone()),
            password_resets: PasswordResets::new(identity.clone(), ground.clone()),
            mail: MailService::new(ground.clone()),
            identity_providers: IdentityProviders::new(identity.clone()),
            scim: Scim::new(identity.clone()),
            security: SecurityService::new(identity.clone()),
            invitations: Invitations::new(identity.clone()),
            rights: Rights::new(identity.clone()),
            organizations: Organizations::new(identity.clone()),
            organization_removal: OrganizationRemoval::new(identity.clone(), ground.clone()),
            tokens: Tokens::new(identity.clone()),
            ci_trusts: CiTrusts::new(ground.clone(), identity.clone()),
            access: identity,
            projects: Projects::new(ground.clone()),
            clones: Clones::new(ground.clone()),
            quotas: Quotas::new(ground.clone()),
            apps: Apps::new(ground.clone()),
            trash: Trash::new(ground.clone()),
            variables: Variables::new(ground.clone()),
            files: Files::new(ground.clone()),
            app_jobs: AppJobs::new(ground.clone()),
            freezes: Freezes::new(ground.clone()),
            domains: Domains::new(ground.clone()),
            traffic: Traffic::new(ground.clone()),
            edge: EdgeService::new(ground.clone()),
            allow_lists: AllowListsService::new(ground.clone()),
            api_limits: ApiLimitsService::new(ground.clone())?,
            certificates: Certificates::new(ground.clone()),
            forecasts: Forecasts::new(ground.clone()),
            forges: Forges::new(ground.clone()),
            dns: DnsService::new(ground.clone()),
            deployments: Deployments::new(ground.clone()),
            registries: Registries::new(ground.clone()),
            sources: Sources::new(ground.clone()),
            image_watches: ImageWatches::new(ground.clone()),
            webhooks: Webhooks::new(ground.clone()),
            previews: Previews::new(ground.clone()),
            inbox: Inbox::new(ground.clone()),
            uploads: Uploads::new(ground.clone()),
            releases: Releases::new(ground.clone()),
            volumes: Volumes::new(ground.clone()),
            servers: Servers::new(ground.clone()),
            build_caches: BuildCaches::new(ground.clone()),
            build_servers: BuildServers::new(ground.clone()),
            logs: Logs::new(ground.clone()),
            marketplace: Marketplace::new(ground.clone(), shelves.clone()),
            catalogs: Catalogs::new(ground.clone(), shelves.clone()),
            template_updates: TemplateUpdates::new(ground.clone(), shelves.clone()),
            imports: Imports::new(ground.clone()),
            shelves,
            audit: Audit::new(ground.store.clone()),
            settings: SettingsService::new(ground.clone()),
            stacks: Stacks::new(ground.clone()),
            overviews: Overviews::new(ground.clone()),
            answers: Answers::new(ground.store.clone(), ground.world.clone()),
            upgrades: Upgrades::new(ground.clone(), upgrades),
            events: ground.events.clone(),
            ground,
        })
    }

    /// The loops that keep things as they should be, and what wakes some of them; `serverkit` starts each with its own
    /// interval.
    pub fn jobs(&self) -> PanelJobs {
        let ground = &self.ground;
        PanelJobs {
            reconciler: Reconciler::new(ground.clone()),
            reconcile: ground.wakes.reconcile.clone(),
            deployer: Deployer::new(ground.clone()),
            deploy: ground.wakes.deploy.clone(),
            certifier: Certifier::new(ground.clone()),
            certify: ground.wakes.certificates.clone(),
            allow_lists: AllowListWatch(self.allow_lists.clone()),
            health: HealthChecker::new(ground.clone()),
            sampler: Sampler::new(ground.clone()),
            forge_reporter: ForgeReporter::new(ground.clone()),
            forge_reports: ground.wakes.forge_reports.clone(),
            poller: Poller::new(ground.clone()),
            hook_keeper: HookKeeper::new(ground.clone()),
            hooks: ground.wakes.hooks.clone(),
            image_watcher: ImageWatcher::new(ground.clone()),
            ci_key_reader: CiKeyReader::new(ground.clone(), &self.ci_trusts),
            ci_keys: ground.wakes.ci_keys.clone(),
            quota_keeper: QuotaKeeper::new(ground.clone()),
            quotas: ground.wakes.quotas.clone(),
            previewer: Previewer::new(ground.clone()),
            previews: ground.wakes.previews.clone(),
            cloner: Cloner::new(ground.clone()),
            clones: ground.wakes.clones.clone(),
            catalogs: CatalogReader::new(ground.clone(), self.shelves.clone()),
            notices: Notices::new(self.access.clone(), ground.clone()),
            postman: Postman::new(ground.clone()),
            post: ground.wakes.mail.clone(),
            housekeeping: Housekeeping::new(ground.clone()),
            job_runner: JobRunner::new(ground.clone()),
            timetable: Timetable::new(ground.clone()),
            provider_asker: ProviderAsker::new(self.sessions.clone()),
            sleeper: Sleeper::new(ground.clone()),
        }
    }

    /// Gives the edge its configuration in the first moments after a start: from the store, and from the engine if it
    /// answers soon.
    pub async fn route_now(&self) -> Result<()> {
        match tokio::time::timeout(Duration::from_secs(1), containers::look(&self.ground)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!("the first look at the engine: {}", types::report(&error)),
            Err(_) => tracing::warn!("the engine is slow to answer; routes follow when it does"),
        }
        routing::apply(&self.ground).await
    }

    /// Listens for ever: to the engine, waking the reconciler on what concerns us, and to the edge, waking apps that sleep and keeping
    /// which canaries failed.
    pub async fn watch(&self) {
        let ground = || self.ground.clone();
        tokio::join!(
            reconcile::watch_engine(ground()),
            sleeping::listen(ground()),
            canaries::watch(ground())
        );
    }

    /// Ends running deployments' work so that it can go on at the next start; waits at most `limit`.
    pub async fn stop(&self, limit: Duration) {
        deployer::stop(&self.ground, limit).await;
    }
}

/// See [`Panel::jobs`].
pub struct PanelJobs {
    pub reconciler: Reconciler,
    pub reconcile: jobs::Wake,
    pub deployer: Deployer,
    pub deploy: jobs::Wake,
    pub certifier: Certifier,
    pub certify: jobs::Wake,
    pub allow_lists: AllowListWatch,
    pub health: HealthChecker,
    pub sampler: Sampler,
    pub forge_reporter: ForgeReporter,
    pub forge_reports: jobs::Wake,
    pub poller: Poller,
    pub hook_keeper: HookKeeper,
    pub hooks: jobs::Wake,
    pub image_watcher: ImageWatcher,
    pub ci_key_reader: CiKeyReader,
    pub ci_keys: jobs::Wake,
    pub quota_keeper: QuotaKeeper,
    pub quotas: jobs::Wake,
    pub previewer: Previewer,
    pub previews: jobs::Wake,
    pub cloner: Cloner,
    pub clones: jobs::Wake,
    pub catalogs: CatalogReader,
    pub notices: Notices,
    pub postman: Postman,
    pub post: jobs::Wake,
    pub housekeeping: Housekeeping,
    pub job_runner: JobRunner,
    pub timetable: Timetable,
    pub provider_asker: ProviderAsker,
    pub sleeper: Sleeper,
}

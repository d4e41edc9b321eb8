//! The words of serverkit: ids, validated names, records, events and errors.
//!
//! Nothing here does I/O. Records are plain data; how they are kept on disk is `store`'s business, how they
//! look as JSON on the wire is `api`'s. Time and chance come in through [`World`].

mod actors;
mod allow_lists;
mod answers;
mod api_limits;
mod app_jobs;
mod apps;
mod audit;
mod builds;
mod catalogs;
mod certificates;
mod containers;
mod deployments;
mod dns;
mod domains;
mod edge;
mod edge_options;
mod edge_report;
mod errors;
mod events;
mod explain;
mod files;
mod forges;
mod freezes;
mod identity_providers;
mod ids;
mod image_watches;
mod invitations;
mod machines;
mod mail;
mod matches;
mod names;
mod networks;
mod passkeys;
mod path_changes;
mod paths;
mod policies;
mod redirects;
mod registries;
mod releases;
mod rights;
mod rules;
mod second_factors;
mod secret;
mod settings;
mod stacks;
mod streams;
mod tenancy;
mod upgrades;
mod uploads;
mod users;
mod variables;
mod volumes;
mod webhooks;
mod world;

pub use actors::{Action, Actor, Assurance, Held, Scope, Scopes, Who};
pub use allow_lists::{AllowLists, AllowTrial, Allowed, PanelGate};
pub use answers::{Answer, AnswerOutcome};
pub use api_limits::{ApiCaller, ApiClass, ApiLimit, ApiLimited, ApiLimits};
pub use app_jobs::{AppJob, JobRun, Overlap, RunPhase};
pub use apps::{
    App, BeforeUpdate, ComposeSource, DeployLock, DesiredState, GitSource, Halt, HealthCheck, Hours, Installed, Limits, Mount, Probe,
    STEADY, Source, StackSetup, TreeStack, VolumeCopy, restart_limit,
};
pub use audit::{
    Asker, AuditAnchor, AuditChange, AuditEntry, AuditField, AuditQuery, AuditReport, AuditVerb, FIRST_HASH, canonical, word_of,
};
pub use builds::{BuildCache, BuildWish, Buildable, DeployCommands, Preset};
pub use catalogs::{Catalog, CatalogPlace, CatalogReading, CatalogTexts, TemplateName};
pub use certificates::*;
pub use containers::*;
pub use deployments::{Cause, Commit, Deployment, Phase, Step};
pub use dns::*;
pub use domains::{Canary, CanaryLimits, Domain, Passthrough, ServicePort};
pub use edge::*;
pub use edge_options::EdgeOptions;
pub use edge_report::*;
pub use errors::{BoxError, Doing, Error, Kind, Result, report};
pub use events::{Event, Fact};
pub use explain::{Explanation, Question, Step as ExplainStep};
pub use files::ConfigFile;
pub use forges::*;
pub use freezes::{Freeze, FreezeWhen, Frozen};
pub use identity_providers::*;
pub use ids::*;
pub use image_watches::{DeployWindow, ImageWatch, OnNewImage, WatchedImage};
pub use invitations::Invitation;
pub use machines::*;
pub use mail::{Letter, MailSecurity, MailServer, NoticeMark, PasswordReset};
pub use matches::*;
pub use names::*;
pub use networks::Network;
pub use passkeys::Passkey;
pub use path_changes::*;
pub use paths::{encoded_path, is_below, normal_path};
pub use policies::*;
pub use redirects::*;
pub use registries::{Registry, RegistryServer};
pub use releases::{Release, ReleaseService, ReleaseStack, ReleaseVariable};
pub use rights::{CustomRole, Grant, GrantedRole, Grantee, Membership, Site, Spot, Team};
pub use rules::*;
pub use second_factors::{Device, SecondFactor, SecondFactorPolicy, Security};
pub use secret::{Sealed, Secret};
pub use settings::{CertificateSettings, ExternalAccount, Settings};
pub use stacks::*;
pub use streams::{Stream, StreamPort, Transport};
pub use tenancy::{Environment, Organization, Project};
pub use upgrades::{Upgrade, UpgradeState};
pub use uploads::{Upload, UploadSource};
pub use users::{ApiToken, ReplacedSecret, Role, Session, SetupLink, User};
pub use variables::{Variable, VariableLevel, VariableOwner, VariableScope, VariableVersion};
pub use volumes::Volume;
pub use webhooks::{Decision, Delivery, Forge, Push, PushRules, Reference, Webhook};
pub use world::{Chance, Clock, SystemChance, SystemClock, Time, World};

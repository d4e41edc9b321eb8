//! The words of serverkit: ids, validated names, records, events and errors.
//!
//! Nothing here does I/O. Records are plain data; how they are kept on disk is `store`'s business, how they
//! look as JSON on the wire is `api`'s. Time and chance come in through [`World`].

mod actors;
mod answers;
mod apps;
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
mod ids;
mod machines;
mod names;
mod networks;
mod paths;
mod policies;
mod releases;
mod rules;
mod secret;
mod settings;
mod streams;
mod tenancy;
mod upgrades;
mod users;
mod variables;
mod volumes;
mod world;

pub use actors::{Action, Actor, Scope, Who};
pub use answers::{Answer, AnswerOutcome};
pub use apps::{App, DesiredState, GitSource, HealthCheck, Limits, Mount, Probe, Source};
pub use certificates::*;
pub use containers::*;
pub use deployments::{Cause, Commit, Deployment, Phase, Step};
pub use dns::*;
pub use domains::{Canary, CanaryLimits, Domain, Passthrough};
pub use edge::*;
pub use edge_options::EdgeOptions;
pub use edge_report::*;
pub use errors::{BoxError, Doing, Error, Kind, Result, report};
pub use events::{Event, Fact};
pub use explain::{Explanation, Question, Step as ExplainStep};
pub use ids::*;
pub use machines::*;
pub use names::*;
pub use networks::Network;
pub use paths::{encoded_path, is_below, normal_path};
pub use policies::*;
pub use releases::{Release, ReleaseVariable};
pub use rules::*;
pub use secret::{Sealed, Secret};
pub use settings::{CertificateSettings, ExternalAccount, Settings};
pub use streams::{Stream, StreamPort, Transport};
pub use tenancy::{Environment, Organization, Project};
pub use upgrades::{Upgrade, UpgradeState};
pub use users::{ApiToken, Role, Session, SetupLink, User};
pub use variables::{Variable, VariableScope};
pub use volumes::Volume;
pub use world::{Chance, Clock, SystemChance, SystemClock, Time, World};

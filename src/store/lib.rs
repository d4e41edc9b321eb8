//! State: typed collections of records on disk, and nothing acknowledged that could be lost.
//!
//! A [`Batch`] of changes goes to one writer thread. It checks the batch (compare-and-swap on revisions, unique
//! claims), appends it to the journal, syncs, applies it to sled, flushes, and only then answers. Batches that wait
//! at the same time share one sync. Reads go to sled and see whole batches that are on disk.
//!
//! Nobody but `state.rs` names sled. If it does not open, or a record in it does not verify, it is moved aside and
//! built again from the newest snapshot and the journal. In one directory:
//!
//!     lock           held by the one process that has it open
//!     format         which version wrote it
//!     master.key     opens what is sealed; mode 0600
//!     state/         sled
//!     journal/       committed batches, in segments named after their first sequence number
//!     snapshots/     all records at one sequence number; the newest two
//!     before-upgrade.snapshot   all records as the version before left them

#[macro_use]
mod record;

mod audit;
mod backwards;
mod batch;
mod checks;
mod codec;
mod collection;
mod directory;
mod effort;
mod envelope;
mod journal;
mod recovery;
mod return_point;
mod sealing;
mod snapshot;
mod state;
mod store;
mod writer;

mod allow_lists;
mod answers;
mod api_limits;
mod app_jobs;
mod apps;
mod build_servers;
mod catalogs;
mod certificates;
mod ci_trusts;
mod clones;
mod countries;
mod deployments;
mod dns;
mod domains;
mod edge_options;
mod events;
mod forges;
mod freezes;
mod identity_providers;
mod image_watches;
mod invitations;
mod mail;
mod networks;
mod nodes;
mod passkeys;
mod previews;
mod quotas;
mod registries;
mod releases;
mod rights;
mod scim;
mod second_factors;
mod settings;
mod streams;
mod tenancy;
mod uploads;
mod users;
mod variables;
mod volumes;
mod webhooks;

#[cfg(test)]
mod tests;

pub use allow_lists::ALLOW_LISTS_KEY;
pub use api_limits::API_LIMITS_KEY;
pub use audit::{Audited, Told, acting};
pub use batch::Batch;
pub use certificates::AUTHORITY_KEY;
pub use collection::{Collection, Stored};
pub use edge_options::EDGE_OPTIONS_KEY;
pub use effort::{Effort, counted};
pub use mail::{MAIL_KEY, NOTICE_MARK_KEY};
pub use record::{Never, Record, is_newer};
pub use return_point::ReturnPoint;
pub use second_factors::SECURITY_KEY;
pub use settings::SETTINGS_KEY;
pub use store::{Change, Store};
pub use users::SETUP_KEY;

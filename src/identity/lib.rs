//! What proves who somebody is: passwords, second factors, passkeys, identity providers, signed sessions, tokens, and a
//! brake on guessing.
//!
//! Nothing here knows the store: `app` keeps the records and decides. Time and chance come in through `World`.

mod breached;
mod countries;
mod external;
pub mod ldap;
pub mod oidc;
pub mod passkeys;
mod passwords;
mod pending;
pub mod recovery;
pub mod saml;
mod signer;
mod strength;
mod throttle;
pub mod token;
pub mod totp;
mod web;
mod workloads;

pub use breached::Breached;
pub use countries::{Countries, check_countries};
pub use external::{Finding, Person, check_authority};
pub use passkeys::{Ceremonies, Question, Site};
pub use passwords::Passwords;
pub use pending::Pending;
pub use signer::{Claims, Signer};
pub use strength::{Strength, check_strength, estimate};
pub use throttle::{Attempt, Throttle};
pub use workloads::{KeyState, Workload, WorkloadIssuer, Workloads, checked_issuer, claimed};

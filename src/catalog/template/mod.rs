//! Templates: an app of the catalog as two files, `template.yaml` (what it is, what it asks) and `compose.yaml` (what runs).

mod check;
mod examples;
mod generate;
mod hashes;
mod memory;
mod read;
mod schema;
mod values;
mod versions;

pub(crate) use check::findings;
pub use check::{Finding, check};
pub use examples::{composed, whole};
pub use generate::generated;
pub use read::{is_name, read};
pub use schema::*;
pub use values::{Values, derived_from};
pub use versions::pick;

#[cfg(test)]
mod tests;

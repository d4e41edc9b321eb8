//! Compose files and templates: from what a person wrote to a [`types::Stack`] that can be deployed.
//!
//! Deploying it is `app`'s business, and this crate speaks to nobody: files beside a Compose file come in through
//! [`compose::Files`], values through closures, randomness through [`types::World`].

pub mod compose;
mod expand;
pub mod imports;
pub mod index;
pub mod merge;
pub mod resize;
mod shelf;
pub mod template;
mod yaml;

pub use shelf::{Broken, Entry, Shelf, Texts, check_all, texts_of_tree};

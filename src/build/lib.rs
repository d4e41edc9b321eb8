//! From a source tree to what a build needs: which folder, which Dockerfile, and the context as a tar stream.
//!
//! A folder without a Dockerfile is looked at, and gets one that fits: [`Recipe`], by our own presets, by Nixpacks' plan or for the lifecycle of
//! Cloud Native Buildpacks.
//!
//! It follows `docker build`: the same `.dockerignore` rules, symbolic links sent as links. Sending the context to an
//! engine and building is `docker`'s business.

mod buildpacks;
mod ignore;
mod nixpacks;
mod pack;
mod parcel;
mod plan;
mod presets;
mod recipe;
#[cfg(test)]
mod testing;
mod tree;

pub use buildpacks::arguments as builder_arguments;
pub use pack::pack;
pub use parcel::{Parcel, parcel};
pub use plan::Plan;
pub use recipe::{BuildKeys, Recipe};

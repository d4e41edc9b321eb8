//! The store as a whole, on real files.

mod audit;
mod claims;
mod crashes;
mod damage;
mod effort;
mod kit;
mod limits;
mod model;
mod races;
mod upgrades;

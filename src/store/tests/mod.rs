//! The store as a whole, on real files.

mod crashes;
mod damage;
mod kit;
mod limits;
mod model;
mod races;
mod upgrades;

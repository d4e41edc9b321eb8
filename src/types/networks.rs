//! The network of an environment. Subnets come from one range of ours, because an engine's defaults run out near 30.

use crate::EnvironmentId;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub environment: EnvironmentId,
    /// What the engine calls it.
    pub name: String,
    /// No other network of ours has it.
    pub subnet: IpNet,
}

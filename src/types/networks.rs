//! The network of an environment. Subnets come from one range of ours, because an engine's defaults run out near 30.

use crate::{AppId, EnvironmentId};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub environment: EnvironmentId,
    /// The network of one app's services; `None`: that of the environment.
    #[serde(default)]
    pub app: Option<AppId>,
    /// What the engine calls it.
    pub name: String,
    /// No other network of ours has it.
    pub subnet: IpNet,
}

//! Networks of environments and of apps. Subnets come from one range of ours, because an engine's defaults run out near 30.

use crate::{AppId, EnvironmentId};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub environment: EnvironmentId,
    /// The network of one app's services; `None`: that of the environment.
    #[serde(default)]
    pub app: Option<AppId>,
    /// Which of the networks of the app's Compose file; `None`: the one that its services share when the file keeps none apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<Segment>,
    /// What the engine calls it.
    pub name: String,
    /// No other network of ours has it.
    pub subnet: IpNet,
}

/// A network of a Compose file. One that became internal is another one: the engine cannot change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    pub name: String,
    pub internal: bool,
}

//! Ports of the server that lead to an app without HTTP: TCP connections and UDP datagrams.

use crate::{AppId, OrganizationId, ProxyVersion, Time};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// One port. Unique over the whole server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    pub listen: StreamPort,
    pub organization: OrganizationId,
    pub app: AppId,
    /// In the app's container.
    pub port: u16,
    /// Which service's container; `None`: the main one.
    #[serde(default)]
    pub service: Option<String>,
    /// For TCP only.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Empty: everybody.
    pub allow: Vec<IpNet>,
    /// At once, over all clients; 0: as many as the machine can.
    pub max_connections: u32,
    pub created_at: Time,
}

/// Written as `tcp/5432`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamPort {
    pub protocol: Transport,
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    Tcp,
    Udp,
}

impl fmt::Display for StreamPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        write!(f, "{protocol}/{}", self.port)
    }
}

impl FromStr for StreamPort {
    type Err = crate::Error;
    fn from_str(text: &str) -> Result<StreamPort, crate::Error> {
        let invalid = || crate::Error::invalid("port", "must be like tcp/5432 or udp/53");
        let (protocol, port) = text.split_once('/').ok_or_else(invalid)?;
        let protocol = match protocol {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => return Err(invalid()),
        };
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(invalid)?;
        Ok(StreamPort { protocol, port })
    }
}

impl TryFrom<String> for StreamPort {
    type Error = crate::Error;
    fn try_from(text: String) -> Result<StreamPort, crate::Error> {
        text.parse()
    }
}

impl From<StreamPort> for String {
    fn from(port: StreamPort) -> String {
        port.to_string()
    }
}

//! What an administrator may say about the whole edge while it runs. There is one record.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EdgeOptions {
    /// Proxies in front of this server, such as a CDN: from these, and only these, `X-Forwarded-For` and
    /// `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Trusted proxies begin each connection with the PROXY protocol (v1 or v2); one that does not is refused.
    pub proxy_protocol: bool,
    /// HTTP/3 on the UDP ports of the same numbers as the HTTPS ports; answers tell clients of it (`Alt-Svc`).
    pub http3: bool,
    /// Memory for kept answers, over all domains.
    pub cache_bytes: u64,
    /// Connections that one address (IPv6: one /64) may have open; 0: any number. Trusted proxies have no cap.
    pub connections_per_address: u32,
}

impl Default for EdgeOptions {
    fn default() -> EdgeOptions {
        EdgeOptions {
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            http3: false,
            cache_bytes: 128 << 20,
            connections_per_address: 1024,
        }
    }
}

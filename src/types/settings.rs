//! What an administrator may change while the panel runs. There is one record.

use crate::{BuildPlace, ChallengeKind, Email, Host, Sealed};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use url::Url;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Under which the panel is reached beside its port.
    pub panel_domain: Option<Host>,
    /// Apps get `NAME.<this>` when they are made.
    pub apps_domain: Option<Host>,
    pub acme_directory: Url,
    pub acme_email: Option<Email>,
    /// PEM of the authority that signed the ACME server's own certificate, if it is not a public one.
    pub acme_ca_pem: Option<String>,
    /// Deployments that run at once on a server.
    pub deployments_at_once: u32,
    /// Where apps are built that say nothing of it.
    #[serde(default)]
    pub build_on: BuildPlace,
    /// How long deleted things stay in the trash.
    pub trash_days: u32,
    /// How long the log of a deployment, and of an app, is kept.
    pub log_days: u32,
    pub certificates: CertificateSettings,
}

/// How certificates are ordered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CertificateSettings {
    /// How names are proven; `None`: what fits each.
    pub challenge: Option<ChallengeKind>,
    /// Let's Encrypt's staging directory in place of its real one: no limits to speak of, and no browser trusts it.
    pub staging: bool,
    /// For authorities that want an account made beforehand (RFC 8555, 7.3.4).
    pub external_account: Option<ExternalAccount>,
    /// The name servers that are asked whether an order would work; none: public resolvers.
    pub dns_servers: Vec<SocketAddr>,
    /// Under which the world reaches this server, when its interfaces do not say so (behind address translation).
    pub public_addresses: Vec<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalAccount {
    pub key_id: String,
    /// The key as the authority gives it: base64url.
    pub hmac_key: Sealed,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            panel_domain: None,
            apps_domain: None,
            acme_directory: "https://acme-v02.api.letsencrypt.org/directory"
                .parse()
                .expect("a literal address parses"),
            acme_email: None,
            acme_ca_pem: None,
            deployments_at_once: 2,
            build_on: BuildPlace::Here,
            trash_days: 7,
            log_days: 30,
            certificates: CertificateSettings::default(),
        }
    }
}

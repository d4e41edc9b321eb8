//! What an administrator may change while the panel runs. There is one record.

use crate::{Email, Host};
use serde::{Deserialize, Serialize};
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
    /// How long deleted things stay in the trash.
    pub trash_days: u32,
    /// How long the log of a deployment, and of an app, is kept.
    pub log_days: u32,
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
            trash_days: 7,
            log_days: 30,
        }
    }
}

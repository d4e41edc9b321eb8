//! A domain: a host, or all hosts below one, that leads to an app. Unique over the whole panel.

use crate::{AppId, HeaderMatch, HostPattern, OrganizationId, ProxyVersion, Rule, Time, TrafficPolicy};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// `blog.example.com`, or `*.example.com` for every name with one label more.
    pub host: HostPattern,
    pub organization: OrganizationId,
    pub app: AppId,
    /// The one that links show. Never a wildcard.
    pub primary: bool,
    /// Plain HTTP is sent to HTTPS.
    pub force_https: bool,
    pub created_at: Time,
    pub policy: TrafficPolicy,
    /// Asked in the order of [`crate::in_order`]; what none fits goes to `app`.
    pub rules: Vec<Rule>,
    /// A share of the requests for another app, to try it.
    pub canary: Option<Canary>,
    /// TLS is not ended here but by the app; rules and policy then do not apply.
    pub passthrough: Option<Passthrough>,
    /// Another service of the app than its main one, and a port of it. `None`: the app's own.
    #[serde(default)]
    pub service: Option<ServicePort>,
}

/// A port of one service of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    pub service: String,
    pub port: u16,
}

impl Domain {
    /// Whether some of its requests go to this app.
    pub fn leads_to(&self, app: &AppId) -> bool {
        self.app == *app
            || self.rules.iter().any(|rule| rule.action.apps().any(|named| named == app))
            || self.canary.as_ref().is_some_and(|canary| canary.app == *app)
    }
}

/// Another app that gets some of the requests until it fails too often or is too slow; then all go back by
/// themselves, and stay back until somebody sets it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Of the same organization.
    pub app: AppId,
    /// 0 to 100 of a hundred requests.
    pub percent: u8,
    /// Requests with this header always go to it.
    pub header: Option<HeaderMatch>,
    pub limits: CanaryLimits,
    /// When somebody set it: setting it again is another try.
    #[serde(default)]
    pub since: Time,
    /// It gets nothing any more.
    #[serde(default)]
    pub failed: Option<CanaryFailure>,
}

/// That a canary has failed, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryFailure {
    pub at: Time,
    /// `7 of 100 requests failed, and 5 may`
    pub why: String,
    /// Since it was set.
    pub requests: u64,
    pub errors: u64,
    pub p95_millis: Option<u64>,
}

impl Canary {
    /// Whether it is the same try, however it went since.
    pub fn is_same_try(&self, other: &Canary) -> bool {
        let plain = |canary: &Canary| Canary {
            failed: None,
            ..canary.clone()
        };
        plain(self) == plain(other)
    }
}

/// When a canary has failed, over its last requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CanaryLimits {
    /// Nothing is decided on fewer requests than this.
    pub min_requests: u32,
    /// Answers 500 to 599 and none at all, of a hundred; `None`: any share.
    pub max_error_percent: Option<u8>,
    /// The time that 95 of 100 answers stay below; `None`: any.
    pub max_p95_millis: Option<u32>,
}

impl Default for CanaryLimits {
    fn default() -> CanaryLimits {
        CanaryLimits {
            min_requests: 50,
            max_error_percent: Some(5),
            max_p95_millis: None,
        }
    }
}

/// The connection as it came, TLS and all, to the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passthrough {
    /// In the app's container.
    pub port: u16,
    /// Tells the app who the client is.
    pub proxy_protocol: Option<ProxyVersion>,
}

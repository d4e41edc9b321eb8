//! How a new release of an app is tried before all requests go to it.

use crate::traffic::CanaryLimits;
use poem_openapi::Object;

/// How a new release is tried on some requests of all domains, beside the one that is live, before it goes live.
#[derive(Debug, Object)]
pub struct AppCanary {
    /// Requests of a hundred.
    pub percent: u8,
    /// For so long it has to do well.
    pub seconds: u32,
    /// Over the requests to all domains together.
    pub limits: CanaryLimits,
}

/// How new releases are to be tried.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct AppCanaryInput {
    /// 1 to 50 of a hundred requests.
    pub percent: u8,
    /// 1 to 86400.
    pub seconds: u32,
    /// Left out: more than 5 errors of 100, decided on 50 requests or more.
    pub limits: Option<CanaryLimits>,
}

impl From<types::ReleaseCanary> for AppCanary {
    fn from(canary: types::ReleaseCanary) -> AppCanary {
        AppCanary {
            percent: canary.percent,
            seconds: canary.seconds,
            limits: canary.limits.into(),
        }
    }
}

impl From<AppCanaryInput> for types::ReleaseCanary {
    fn from(input: AppCanaryInput) -> types::ReleaseCanary {
        types::ReleaseCanary {
            percent: input.percent,
            seconds: input.seconds,
            limits: input.limits.map(types::CanaryLimits::from).unwrap_or_default(),
        }
    }
}

//! What is to be done with a request, and within which bounds.

use crate::{headers::Caller, policy::Policy, table::Serves, worker::Worker};
use http::{HeaderName, HeaderValue};
use std::time::Duration;

/// Bounds of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub body_bytes: u64,
    pub response_timeout: Duration,
    pub idle_timeout: Duration,
}

/// What is to be done with a request.
pub(crate) struct Errand<'a> {
    pub serves: &'a Serves,
    /// As the client wrote it.
    pub host: &'a HeaderValue,
    /// In its place, for the upstream.
    pub upstream_host: Option<&'a HeaderValue>,
    pub caller: &'a Caller,
    /// In place of the request's path and query.
    pub path: Option<&'a str>,
    /// What was taken off the path.
    pub prefix: Option<&'a str>,
    /// In place of the client's own headers.
    pub more: &'a [(HeaderName, HeaderValue)],
    /// The answer may be kept: it must be whole and in no coding.
    pub for_cache: bool,
    /// Asks whether a kept answer still holds.
    pub validators: Vec<(HeaderName, HeaderValue)>,
    /// The upstream to begin with.
    pub first: Option<usize>,
    pub limits: Limits,
    pub(super) retries: u32,
    pub(super) on_unavailable: bool,
    pub(super) ejection: Option<&'a types::Ejection>,
}

impl<'a> Errand<'a> {
    pub(crate) fn new(worker: &Worker, serves: &'a Serves, host: &'a HeaderValue, caller: &'a Caller) -> Errand<'a> {
        let limits = &worker.shared.limits;
        Errand {
            serves,
            host,
            upstream_host: None,
            caller,
            path: None,
            prefix: None,
            more: &[],
            for_cache: false,
            validators: Vec::new(),
            first: None,
            limits: Limits {
                body_bytes: limits.body_bytes,
                response_timeout: limits.response_timeout,
                idle_timeout: limits.idle_timeout,
            },
            retries: 0,
            on_unavailable: false,
            ejection: None,
        }
    }

    pub(crate) fn obey(&mut self, policy: &'a Policy) {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let limits = &policy.raw.limits;
        self.limits = Limits {
            body_bytes: limits.body_bytes.unwrap_or(self.limits.body_bytes),
            response_timeout: limits.response_seconds.map_or(self.limits.response_timeout, seconds),
            idle_timeout: limits.idle_seconds.map_or(self.limits.idle_timeout, seconds),
        };
        self.upstream_host = policy.upstream_host.as_ref();
        self.retries = policy.raw.retries.attempts;
        self.on_unavailable = policy.raw.retries.on_unavailable;
        self.ejection = policy.raw.ejection.as_ref();
    }
}

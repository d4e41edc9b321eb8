//! What a policy may not say; each failure is `Invalid` and names the field of the policy.

use super::{ActiveHealth, Balancing, BasicAuth, Cors, ErrorPage, HashKey, HealthProbe, RateLimit, ResponseHeaders, TrafficPolicy};
use crate::{Error, HeaderField, Result};
use url::Url;

impl TrafficPolicy {
    /// Fails with `Invalid` that names the field.
    pub fn check(&self) -> Result<()> {
        self.rate_limits.iter().try_for_each(rate_limit)?;
        self.basic_auth.iter().try_for_each(basic_auth)?;
        if let Some(auth) = &self.forward_auth
            && !matches!(auth.url.scheme(), "http" | "https")
        {
            return bad("forward_auth", "the address must begin with http:// or https://");
        }
        self.cors.iter().try_for_each(cors)?;
        response_headers(&self.response_headers)?;
        self.error_pages.iter().try_for_each(error_page)?;
        if let Some(maintenance) = &self.maintenance
            && maintenance.message.len() > 4096
        {
            return bad("maintenance", "the message may have at most 4096 bytes");
        }
        self.active_health.iter().try_for_each(active_health)?;
        if let Some(ejection) = &self.ejection
            && (ejection.failures == 0 || ejection.seconds == 0 || ejection.max_percent > 100)
        {
            return bad("ejection", "failures and seconds must be at least 1, and max_percent at most 100");
        }
        if self.retries.attempts > 10 {
            return bad("retries", "at most 10 attempts");
        }
        if let Some(cache) = &self.cache
            && (cache.max_bytes == 0 || cache.max_object_bytes == 0)
        {
            return bad("cache", "max_bytes and max_object_bytes must be at least 1");
        }
        if self.bandwidth == Some(0) {
            return bad("bandwidth", "must be at least 1 byte a second");
        }
        balancing(&self.balancing)
    }
}

fn bad<T>(field: &str, why: &str) -> Result<T> {
    Err(Error::invalid(field, why))
}

fn rate_limit(limit: &RateLimit) -> Result<()> {
    if limit.requests == 0 || limit.period_seconds == 0 {
        return bad("rate_limits", "requests and period_seconds must be at least 1");
    }
    if limit.requests > 1_000_000 || limit.period_seconds > 86_400 || limit.burst > 1_000_000 {
        return bad(
            "rate_limits",
            "at most 1,000,000 requests, a period of one day, and a burst of 1,000,000",
        );
    }
    Ok(())
}

fn basic_auth(auth: &BasicAuth) -> Result<()> {
    if auth.users.is_empty() {
        return bad("basic_auth", "name at least one user");
    }
    for user in &auth.users {
        if user.name.is_empty() || user.name.contains(':') || user.name.chars().any(char::is_control) {
            return bad("basic_auth", "a user name is not empty and has no colon");
        }
        if user.hash.parts().is_none() {
            return bad(
                "basic_auth",
                "a hash must be bcrypt as htpasswd -B writes it ($2y$…), with a cost of at most 14",
            );
        }
    }
    header_value("basic_auth", &auth.realm)
}

fn cors(cors: &Cors) -> Result<()> {
    for origin in &cors.origins {
        header_value("cors", origin)?;
        let is_origin = origin == "*"
            || origin.parse::<Url>().is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && !origin.ends_with('/') && url.path() == "/" && url.query().is_none()
            });
        if !is_origin {
            return bad("cors", "an origin is `*` or like https://app.example.com, without a path");
        }
    }
    if cors.credentials && cors.origins.iter().any(|origin| origin == "*") {
        return bad("cors", "credentials cannot be allowed for every origin; name the origins");
    }
    cors.methods.iter().try_for_each(|method| check_method("cors", method))
}

fn response_headers(headers: &ResponseHeaders) -> Result<()> {
    for value in headers.set.values().chain(&headers.content_security_policy) {
        header_value("response_headers", value)?;
    }
    let framing = |name: &&HeaderField| {
        matches!(
            name.as_str(),
            "content-length" | "transfer-encoding" | "connection" | "upgrade" | "trailer"
        )
    };
    match headers.set.keys().chain(&headers.remove).find(framing) {
        Some(name) => bad(
            "response_headers",
            &format!("{name} belongs to the connection and cannot be changed"),
        ),
        None => Ok(()),
    }
}

fn error_page(page: &ErrorPage) -> Result<()> {
    if page.body.len() > 256 << 10 {
        return bad("error_pages", "a page may have at most 256 KiB");
    }
    if page.statuses.is_empty() || page.statuses.iter().any(|status| !(400..600).contains(status)) {
        return bad("error_pages", "a page is for statuses from 400 to 599");
    }
    Ok(())
}

fn active_health(health: &ActiveHealth) -> Result<()> {
    if health.interval_seconds == 0 || health.timeout_seconds == 0 || health.healthy_after == 0 || health.unhealthy_after == 0 {
        return bad("active_health", "every number must be at least 1");
    }
    if let HealthProbe::Http { path, .. } = &health.probe
        && (!path.starts_with('/') || path.bytes().any(|byte| !(0x21..0x7f).contains(&byte)))
    {
        return bad("active_health", "a path begins with / and has no spaces");
    }
    Ok(())
}

fn balancing(balancing: &Balancing) -> Result<()> {
    if let Balancing::StickyCookie { name }
    | Balancing::ConsistentHash {
        key: HashKey::Cookie { name },
    } = balancing
        && name.parse::<HeaderField>().is_err()
    {
        return bad("balancing", "a cookie's name is made of letters, digits and -_.");
    }
    Ok(())
}

/// A method as a request names it (RFC 9110, 9.1).
pub(crate) fn check_method(field: &str, method: &str) -> Result<()> {
    let fits = !method.is_empty() && method.len() <= 32 && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    if fits {
        Ok(())
    } else {
        bad(field, "a method is written like GET or POST")
    }
}

fn header_value(field: &str, value: &str) -> Result<()> {
    if value.len() <= 8192 && value.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte)) {
        Ok(())
    } else {
        bad(field, "a header's value is printable ASCII of at most 8192 bytes")
    }
}

//! Who may reach the panel itself, by address: asked before TLS where no request could be let through, and of every request
//! before anything behind the edge sees it. Sites of apps, challenges of certificate authorities and what forges send are
//! not asked.

use http::{HeaderMap, Method, header};
use std::net::IpAddr;
use types::PanelGate;

/// Operations that let somebody in: they look at no token, so a made-up one must not choose the list for them.
const DOORS: [&str; 4] = ["/api/v1/session", "/api/v1/setup", "/api/v1/invitation", "/api/v1/password"];

/// `path` is the one in the request, as it was written.
pub(crate) fn admits(gate: &PanelGate, address: IpAddr, method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let allowed = &gate.allowed;
    if allowed.is_open() || is_hook(path) {
        return true;
    }
    if is_signed(method, path) {
        return allowed.api_admits(address);
    }
    let by_token = headers.contains_key(header::AUTHORIZATION);
    if !by_token {
        return allowed.panel_admits(address);
    }
    allowed.api_admits(address) && (is_for_programs(method, path) || allowed.panel_admits(address))
}

/// What a forge sends to: one key behind `/hooks/`, and nothing that somebody could read as another path.
fn is_hook(path: &str) -> bool {
    path.strip_prefix("/hooks/").is_some_and(is_plain)
}

/// What the servers of others send without a token of ours, since what they send is signed: a job of a CI, which asks for one, and an
/// identity provider that says that somebody has signed out there. They are programs, whose addresses are not those of people.
fn is_signed(method: &Method, path: &str) -> bool {
    let provider = path.strip_prefix("/oidc/").and_then(|rest| rest.strip_suffix("/logout"));
    *method == Method::POST && (path == "/api/v1/ci/token" || provider.is_some_and(is_plain))
}

fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_for_programs(method: &Method, path: &str) -> bool {
    let is_door = *method == Method::POST && DOORS.iter().any(|door| path.starts_with(door));
    let is_api = path.starts_with("/api/") || path.starts_with("/scim/v2/") || path == "/metrics";
    is_api && !is_door
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Allowed;

    #[test]
    fn by_way_and_address() {
        let gate = PanelGate {
            allowed: Allowed {
                panel: vec!["10.1.0.0/16".parse().expect("a network")],
                api: vec!["10.2.0.0/16".parse().expect("a network")],
            },
            webhooks: true,
        };
        let check = |address: &str, method: &str, path: &str, token: bool, passes: bool| {
            let mut headers = HeaderMap::new();
            if token {
                headers.insert(header::AUTHORIZATION, "Bearer x".parse().expect("a value"));
            }
            let method = method.parse().expect("a method");
            let address = address.parse().expect("an address");
            let found = admits(&gate, address, &method, path, &headers);
            assert_eq!(found, passes, "{address} {method} {path} token: {token}");
        };
        let (panel, api, neither) = ("10.1.0.1", "10.2.0.1", "10.3.0.1");
        for path in ["/", "/api/v1/apps", "/api/v1/events", "/health", "/metrics", "/invitation"] {
            check(panel, "GET", path, false, true);
            check(api, "GET", path, false, false);
            check(neither, "GET", path, false, false);
            check(neither, "GET", path, true, false);
            check(panel, "GET", path, true, false);
        }
        for path in ["/api/v1/apps", "/api/v1/session", "/metrics", "/scim/v2/Users"] {
            check(api, "GET", path, true, true);
        }
        // Pages are no API, and a made-up token opens no door.
        for path in ["/", "/scim", "/scim/v1/Users", "/scim/v2"] {
            check(api, "GET", path, true, false);
        }
        check(neither, "POST", "/scim/v2/Users", true, false);
        check(api, "POST", "/scim/v2/Users", false, false);
        for path in [
            "/api/v1/session",
            "/api/v1/session/passkey",
            "/api/v1/setup",
            "/api/v1/invitation/accept",
        ] {
            check(api, "POST", path, true, false);
            check(api, "POST", path, false, false);
        }
        for address in [panel, api, neither] {
            check(address, "POST", "/hooks/abc234", false, true);
        }
        // What is signed comes from programs, by whose list it goes; with a made-up token too.
        for path in ["/api/v1/ci/token", "/oidc/idp_0123/logout"] {
            for token in [false, true] {
                check(api, "POST", path, token, true);
                check(panel, "POST", path, token, false);
                check(neither, "POST", path, token, false);
            }
            check(api, "GET", path, false, false);
        }
        for path in [
            "/oidc//logout",
            "/oidc/../api/v1/session/logout",
            "/oidc/a/b/logout",
            "/oidc/a/logout/",
            "/api/v1/ci/token/x",
        ] {
            check(api, "POST", path, false, false);
        }
        for path in [
            "/hooks/",
            "/hooks/../api/v1/apps",
            "/hooks/%2e%2e/x",
            "/hooks/a/b",
            "/hooksx",
            "//hooks/a",
        ] {
            check(neither, "POST", path, false, false);
        }
    }
}

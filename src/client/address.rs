//! Where a panel is, and how to prove to it who asks.

use crate::Failure;
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};
use types::Secret;
use url::Url;

/// Where a panel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Its socket on this machine, `DATA/panel.sock`. It knows who asks by the peer credentials.
    Socket(PathBuf),
    /// Anywhere, e.g. `https://panel.example.com:9443`.
    Web { url: Url, trust: Trust },
}

/// Which certificates are believed, beside those that this machine trusts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// PEM of further authorities: the panel's own.
    pub authority_pem: Option<String>,
    /// Believe any certificate. Somebody on the way can then read and change everything.
    pub insecure: bool,
}

impl Address {
    /// Reads an address as people type it: `panel.example.com`, `https://panel.example.com:9443/`. Without a scheme it is
    /// https. Plain http is refused unless it stays on this machine, because the token would travel readably.
    pub fn web(text: &str, trust: Trust) -> Result<Address, Failure> {
        let wrong = |why: &str| Failure::Invalid(format!("`{text}` is not the address of a panel: {why}"));
        let text = text.trim().trim_end_matches('/');
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let mut url: Url = full.parse().map_err(|_| wrong("give it as https://panel.example.com:9443"))?;
        let local = match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(wrong("it names no host")),
        };
        match url.scheme() {
            "https" => {}
            "http" if local => {}
            "http" => return Err(wrong("plain http would show your token to everybody on the way; use https")),
            _ => return Err(wrong("it must begin with https://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("leave the user and the password out; use a token"));
        }
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        Ok(Address::Web { url, trust })
    }

    /// The address that requests begin with, without a slash at the end.
    pub(crate) fn base(&self) -> String {
        match self {
            Address::Socket(_) => "http://localhost".to_owned(),
            Address::Web { url, .. } => url.as_str().trim_end_matches('/').to_owned(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Socket(path) => write!(f, "{}", path.display()),
            Address::Web { .. } => f.write_str(&self.base()),
        }
    }
}

/// How to prove who asks.
#[derive(Debug, Clone, Default)]
pub enum Login {
    /// Not at all, or by being on the same machine.
    #[default]
    None,
    /// An API token, `sk_…`.
    Token(Secret),
    /// A session, as browsers have it: the `Cookie` header and the word against forged requests.
    Session { cookie: Secret, csrf: String },
}

impl Login {
    /// The headers that carry it.
    pub(crate) fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        match self {
            Login::None => {}
            Login::Token(token) => {
                headers.insert(AUTHORIZATION, hidden("token", &[b"Bearer ", token.expose()].concat())?);
            }
            Login::Session { cookie, csrf } => {
                headers.insert(COOKIE, hidden("cookie", cookie.expose())?);
                headers.insert(HeaderName::from_static("x-csrf-token"), hidden("session", csrf.as_bytes())?);
            }
        }
        Ok(headers)
    }
}

fn hidden(what: &str, bytes: &[u8]) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_bytes(bytes)
        .map_err(|_| Failure::Invalid(format!("the {what} holds characters that no {what} has; copy it again")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a [`crate::Client`] holds beside its HTTP client: enough to open streams of the same kind.
#[derive(Clone)]
pub struct Link {
    pub(crate) address: Address,
    pub(crate) login: Login,
    pub(crate) tls: Arc<rustls::ClientConfig>,
}

impl Link {
    pub(crate) fn new(address: Address, login: Login) -> Result<Link, Failure> {
        let tls = match &address {
            Address::Socket(_) => crate::trust::configure(&Trust::default(), false)?,
            Address::Web { url, trust } => crate::trust::configure(trust, url.scheme() == "https")?,
        };
        Ok(Link { address, login, tls })
    }
    pub fn address(&self) -> &Address {
        &self.address
    }
    /// The HTTP client for it.
    pub(crate) fn http(&self) -> Result<reqwest::Client, Failure> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("serverkit/", env!("CARGO_PKG_VERSION")))
            .default_headers(self.login.headers()?)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(120))
            .tls_backend_preconfigured((*self.tls).clone());
        if let Address::Socket(path) = &self.address {
            builder = builder.unix_socket(path.clone()).no_proxy();
        }
        builder
            .build()
            .map_err(|error| Failure::Invalid(format!("cannot make an HTTP client: {}", types::report(&error))))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.address)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_type_them() {
        for (typed, expected) in [
            ("panel.example.com", Some("https://panel.example.com")),
            (" https://panel.example.com:9443/ ", Some("https://panel.example.com:9443")),
            ("https://panel.example.com/apps/blog?x=1#y", Some("https://panel.example.com")),
            ("http://127.0.0.1:8444", Some("http://127.0.0.1:8444")),
            ("http://[::1]:8444", Some("http://[::1]:8444")),
            ("http://panel.localhost:1", Some("http://panel.localhost:1")),
            ("http://panel.example.com", None),
            ("https://ada:secret@panel.example.com", None),
            ("ftp://panel.example.com", None),
            ("", None),
            ("a b", None),
        ] {
            let read = Address::web(typed, Trust::default()).ok().map(|address| address.to_string());
            assert_eq!(read.as_deref(), expected, "{typed}");
        }
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let login = Login::Token(Secret::from("sk_very_secret"));
        let address = Address::Socket("/x".into());
        let link = Link::new(address, login).expect("a socket needs no certificates");
        let headers = link.login.headers().expect("the token is plain letters");
        assert!(!format!("{link:?}{headers:?}").contains("very_secret"));
    }
}

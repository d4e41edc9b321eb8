//! One server: connecting, signing in, checking who it is.

use crate::{Login, failures, progress::Lines, references::Offer, target::Target};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use egress::{Door, Egress, Leads};
use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, Direction, ErrorClass, ErrorCode, FetchOptions, ProxyOptions, Remote,
    RemoteCallbacks, RemoteConnection, RemoteRedirect, Repository, cert::Cert,
};
use std::cell::RefCell;
use tokio_util::sync::CancellationToken;
use types::{Doing, Error, GitUrl, Result};
use url::Url;

/// How a server is reached, and what was seen on the way.
pub struct Access<'a> {
    pub url: &'a GitUrl,
    pub target: Target,
    login: &'a Login,
    /// The host key that must be met; `None`: whichever comes.
    pinned: Option<&'a str>,
    pub work: &'a Work,
    seen: RefCell<Seen>,
    /// Within bounds: what libgit2 connects to in place of the server.
    door: RefCell<Option<Door>>,
}

/// The job that a connection is for.
pub struct Work {
    pub cancel: CancellationToken,
    pub lines: RefCell<Lines>,
    /// How far its addresses may lead.
    pub egress: Egress,
}

/// What libgit2's errors alone do not tell.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// `SHA256:…` as OpenSSH writes it.
    pub host_key: Option<String>,
    pub host_key_differs: bool,
    /// Asked for a login on this connection.
    pub asked: bool,
    /// The login was given and not taken.
    pub refused: bool,
    /// Where the login was asked for and withheld: another server than the one that it is for.
    pub elsewhere: Option<String>,
}

impl<'a> Access<'a> {
    pub fn new(url: &'a GitUrl, login: &'a Login, pinned: Option<&'a str>, work: &'a Work) -> Result<Access<'a>> {
        Ok(Access {
            url,
            target: Target::of(url)?,
            login,
            pinned,
            work,
            seen: RefCell::default(),
            door: RefCell::default(),
        })
    }

    pub fn host_key(&self) -> Option<String> {
        self.seen.borrow().host_key.clone()
    }

    /// The repository's server as a remote of `here`. Within bounds it sends us on to no other host.
    pub fn remote<'r>(&self, here: &'r Repository) -> Result<Remote<'r>> {
        let address = match self.door()? {
            Some(door) => self.target.behind(self.url, door)?,
            // As it was read here, so that nothing in it is read in another way there.
            None => match &self.target {
                Target::Web(url) => url.as_str().to_owned(),
                Target::Path(_) | Target::Ssh { .. } => self.url.as_str().to_owned(),
            },
        };
        let remote = || {
            if self.work.egress.is_bounded() {
                here.config()?.set_bool("http.followRedirects", false)?;
            }
            here.remote_anonymous(&address)
        };
        remote().map_err(|error| self.explain(&error))
    }

    /// The port of the door that leads to the server, which is opened at first. libgit2 looks names up and connects by itself, and a name
    /// that was looked at may mean something else by then. `None` without bounds, and where a proxy of the environment is asked.
    fn door(&self) -> Result<Option<u16>> {
        let egress = &self.work.egress;
        if let Some(door) = self.door.borrow().as_ref() {
            return Ok(Some(door.port()));
        }
        let leads = match &self.target {
            _ if !egress.is_bounded() => return Ok(None),
            Target::Path(_) => return Ok(None),
            Target::Web(url) if egress.goes_by_proxy(url) => return Ok(None),
            Target::Web(url) => {
                let host = url.host_str().unwrap_or_default().to_owned();
                match url.scheme() {
                    "https" => Leads::Tunnels {
                        host,
                        port: url.port_or_known_default().unwrap_or(443),
                    },
                    _ => Leads::Web {
                        host,
                        port: url.port_or_known_default().unwrap_or(80),
                    },
                }
            }
            Target::Ssh { host, port, .. } => Leads::Server {
                host: host.clone(),
                port: *port,
            },
        };
        let door = Door::open(egress, leads).doing("opening a way to a Git server")?;
        Ok(Some(self.door.borrow_mut().insert(door).port()))
    }

    pub fn connect<'r, 'c>(&'c self, remote: &'c mut Remote<'r>) -> Result<RemoteConnection<'r, 'c, 'c>> {
        *self.seen.borrow_mut() = Seen::default();
        self.target.check(&self.work.egress)?;
        let connected = remote.connect_auth(Direction::Fetch, Some(self.callbacks()), Some(self.proxy()));
        connected.map_err(|error| self.explain(&error))
    }

    /// Options for a download: `depth` commits of each line of history, 0 for all.
    pub fn options(&self, depth: i32) -> FetchOptions<'_> {
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(self.callbacks())
            .proxy_options(self.proxy())
            .download_tags(AutotagOption::None)
            .follow_redirects(match self.work.egress.is_bounded() {
                true => RemoteRedirect::None,
                false => RemoteRedirect::Initial,
            })
            .depth(depth);
        options
    }

    /// The failure in one sentence.
    pub fn explain(&self, error: &git2::Error) -> Error {
        if self.work.cancel.is_cancelled() {
            return Error::Cancelled;
        }
        if let Some(why) = self.door.borrow().as_ref().and_then(Door::failure) {
            return why;
        }
        failures::explain(error, self.url, &self.target, self.login, self.pinned, &self.seen.borrow())
    }

    fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks
            .credentials(|url, user, allowed| self.sign_in(url, user, allowed))
            .certificate_check(|certificate, _| self.check_host(certificate))
            .sideband_progress(|bytes| {
                self.work.lines.borrow_mut().heard(bytes);
                !self.work.cancel.is_cancelled()
            })
            .transfer_progress(|progress| {
                self.work.lines.borrow_mut().transferred(&progress);
                !self.work.cancel.is_cancelled()
            });
        callbacks
    }

    /// Called by libgit2 when the server wants to know who we are, again and again until it is content.
    fn sign_in(&self, asking: &str, user: Option<&str>, allowed: CredentialType) -> Result<Cred, git2::Error> {
        let user = user.unwrap_or("git");
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(user);
        }
        let mut seen = self.seen.borrow_mut();
        if !self.is_for(asking) {
            seen.elsewhere = Some(
                Url::parse(asking)
                    .ok()
                    .and_then(|url| url.host_str().map(str::to_owned))
                    .unwrap_or_default(),
            );
            return Err(declined());
        }
        seen.refused = seen.asked;
        seen.asked = true;
        match self.login {
            Login::Password { user, password } if !seen.refused && allowed.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                Cred::userpass_plaintext(user, password.expose_str().ok_or_else(declined)?)
            }
            Login::Key { private } if !seen.refused && allowed.intersects(CredentialType::SSH_MEMORY | CredentialType::SSH_KEY) => {
                Cred::ssh_key_from_memory(user, None, private.expose_str().ok_or_else(declined)?, None)
            }
            _ => Err(declined()),
        }
    }

    /// What `http_proxy`, `https_proxy` and `no_proxy` say. Where a door is open, it is the proxy for TLS, and nothing else is one.
    fn proxy(&self) -> ProxyOptions<'static> {
        let mut proxy = ProxyOptions::new();
        match (&self.target, self.door.borrow().as_ref()) {
            (Target::Web(url), Some(door)) if url.scheme() == "https" => {
                proxy.url(&format!("http://127.0.0.1:{}", door.port()));
            }
            (_, Some(_)) => {}
            (_, None) => {
                proxy.auto();
            }
        }
        proxy
    }

    /// A web server may send us on to another one, which must not get the login; its own https may. Behind a door there is one server.
    fn is_for(&self, asking: &str) -> bool {
        let door = self.door.borrow().as_ref().map(Door::port);
        match (&self.target, Url::parse(asking)) {
            (Target::Web(own), Ok(asking)) if own.scheme() == "http" && door.is_some() => {
                asking.scheme() == "http" && asking.host_str() == Some("127.0.0.1") && asking.port_or_known_default() == door
            }
            (Target::Web(own), Ok(asking)) => {
                let same = own.scheme() == asking.scheme() && own.port_or_known_default() == asking.port_or_known_default();
                let safer = asking.scheme() == "https" && asking.port_or_known_default() == Some(443);
                own.host_str() == asking.host_str() && (same || safer)
            }
            (Target::Web(_), Err(_)) => false,
            _ => true,
        }
    }

    /// Host keys are ours to judge: what is pinned, or the first that comes. Certificates are OpenSSL's.
    fn check_host(&self, certificate: &Cert<'_>) -> Result<CertificateCheckStatus, git2::Error> {
        let Some(key) = certificate.as_hostkey() else {
            return Ok(CertificateCheckStatus::CertificatePassthrough);
        };
        let hash = key.hash_sha256().ok_or_else(declined)?;
        let found = format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(hash));
        let differs = self.pinned.is_some_and(|pinned| bare(pinned) != bare(&found));
        let mut seen = self.seen.borrow_mut();
        (seen.host_key, seen.host_key_differs) = (Some(found), differs);
        if differs {
            Err(declined())
        } else {
            Ok(CertificateCheckStatus::CertificateOk)
        }
    }
}

/// A host key without the words and marks that writers differ in.
fn bare(key: &str) -> &str {
    key.trim().trim_start_matches("SHA256:").trim_end_matches('=')
}

fn declined() -> git2::Error {
    git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, "declined")
}

/// Everything that a server offers.
pub fn offers(connection: &RemoteConnection<'_, '_, '_>) -> Result<Vec<Offer>, git2::Error> {
    let heads = connection.list()?.iter();
    let offers = heads.map(|head| Offer {
        name: head.name().to_owned(),
        id: head.oid(),
        points_to: head.symref_target().map(str::to_owned),
    });
    Ok(offers.collect())
}

//! What went wrong, in one sentence that says what to do. libgit2 tells much of it only in its messages' words.

use crate::{Login, remote::Seen, setup::SILENCE, target::Target};
use git2::{ErrorClass, ErrorCode};
use std::io;
use types::{Error, GitUrl};

pub fn explain(error: &git2::Error, url: &GitUrl, target: &Target, login: &Login, pinned: Option<&str>, seen: &Seen) -> Error {
    let place = target.place();
    if let (true, Some(pinned), Some(found)) = (seen.host_key_differs, pinned, &seen.host_key) {
        return host_key_changed(&place, pinned, found);
    }
    if let Some(host) = &seen.elsewhere {
        return Error::invalid(
            "git",
            format!("{url} sends us on to {host}, which wants a login; use the address there"),
        );
    }
    if seen.refused || error.code() == ErrorCode::Auth {
        return refused(url, target, login, seen);
    }
    let text = error.message();
    let has = |words: &str| text.to_lowercase().contains(words);
    if has("no space left") {
        return full();
    }
    if has("cannot redirect from") {
        return Error::invalid("git", format!("{url} sends us on to another server; use the address there"));
    }
    if has("failed to resolve") {
        return Error::unavailable(format!("the host of {url} is not known: its name cannot be resolved"));
    }
    if has("refused") && matches!(error.class(), ErrorClass::Os | ErrorClass::Net) {
        return Error::unavailable(format!(
            "{place} refuses the connection: nothing listens there, or a firewall is in the way"
        ));
    }
    if error.code() == ErrorCode::Timeout || has("timed out") || has("timeout") {
        return Error::unavailable(format!("{place} does not answer ({} s)", SILENCE.as_secs()));
    }
    if error.class() == ErrorClass::Ssl || error.code() == ErrorCode::Certificate {
        return Error::unavailable_by(format!("the certificate of {place} is not trusted here"), Words(text.to_owned()));
    }
    if has("http status code: 404")
        || has("http status code: 403")
        || has("not found")
        || has("does not appear to be a git")
        || has("does not exist")
    {
        return not_found(url, login);
    }
    if has("content-type") || has("http status code: 400") || has("invalid response") {
        return Error::invalid("git", format!("{url}: there is no Git repository at this address"));
    }
    Error::unavailable_by(format!("{url} cannot be fetched"), Words(text.to_owned()))
}

/// libgit2's own words, as a cause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Words(String);

fn refused(url: &GitUrl, target: &Target, login: &Login, seen: &Seen) -> Error {
    let place = target.place();
    match (login, target) {
        (Login::None, Target::Ssh { .. }) => Error::invalid("git", format!("{url}: {place} wants a deploy key")),
        (Login::None, _) => Error::invalid("git", format!("{url}: not found, or it needs a login")),
        (Login::Password { .. }, _) if seen.refused => Error::invalid(
            "password",
            format!("{place} does not take this user name and password or token for {url}"),
        ),
        (Login::Key { .. }, _) if seen.refused => key_refused(&place),
        (Login::Key { .. }, Target::Web(_)) => Error::invalid(
            "deploy_key",
            format!("{url}: a deploy key is for ssh; use the repository's ssh address"),
        ),
        (Login::Password { .. }, _) => Error::invalid("password", format!("{place} takes no password; use a deploy key")),
        (Login::Key { .. }, _) => Error::invalid("deploy_key", format!("{place} takes no key")),
    }
}

pub fn host_key_changed(place: &str, pinned: &str, found: &str) -> Error {
    Error::unavailable(format!(
        "the host key of {place} changed: it was {pinned} and is {found} now; if that is right, forget the old key, else somebody is in between"
    ))
}

pub fn key_refused(place: &str) -> Error {
    Error::invalid(
        "deploy_key",
        format!("{place} does not take the deploy key; add its public half to the repository"),
    )
}

fn not_found(url: &GitUrl, login: &Login) -> Error {
    let why = match login {
        Login::None => "not found, or it needs a login",
        _ => "not found, or this login may not read it",
    };
    Error::invalid("git", format!("{url}: {why}"))
}

pub fn full() -> Error {
    Error::unavailable("the disk is full; free some room and try again")
}

/// Of work on this machine's disk.
pub fn local(doing: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(),
        _ => Error::internal(doing, error),
    }
}

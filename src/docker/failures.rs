//! The engine's refusals in the words of `types::Error`.

use bollard::errors::Error as Refusal;
use std::io;
use types::{Error, Kind};

/// The status and the engine's own words, when it answered.
pub fn answer(refusal: &Refusal) -> Option<(u16, &str)> {
    match refusal {
        Refusal::DockerResponseServerError { status_code, message } => Some((*status_code, message)),
        Refusal::DockerStreamError { error } => Some((500, error)),
        _ => None,
    }
}

pub fn is_missing(refusal: &Refusal) -> bool {
    matches!(answer(refusal), Some((404, _)))
}

/// Turns what came of `doing` ("starting the container `x`") into our words.
pub fn words(doing: impl AsRef<str>) -> impl FnOnce(Refusal) -> Error {
    move |refusal| {
        let doing = doing.as_ref();
        match &refusal {
            Refusal::DockerResponseServerError { status_code, message } => {
                let what = format!("{doing}: {}", plain(message));
                match status_code {
                    400 => Error::invalid("container", what),
                    403 | 409 => Error::busy(what),
                    _ => Error::unavailable(what),
                }
            }
            Refusal::DockerStreamError { error } => Error::unavailable(format!("{doing}: {}", plain(error))),
            Refusal::RequestTimeoutError => Error::unavailable(format!("{doing}: the Docker engine does not answer")),
            Refusal::IOError { err } => unreached(err),
            _ => Error::unavailable_by(format!("{doing}: the connection to the Docker engine broke"), refusal),
        }
    }
}

/// Like [`words`], but 404 says that the thing is missing.
pub fn words_or_missing(doing: impl AsRef<str>, kind: Kind, name: impl AsRef<str>) -> impl FnOnce(Refusal) -> Error {
    move |refusal| match is_missing(&refusal) {
        true => Error::not_found(kind, name.as_ref()),
        false => words(doing)(refusal),
    }
}

/// The engine cannot be reached at all.
pub fn unreached(cause: &io::Error) -> Error {
    Error::unavailable(match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "the Docker engine is not running".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to speak to the Docker engine".to_owned(),
        _ => format!("the Docker engine cannot be reached: {cause}"),
    })
}

/// One line, without the engine's habit of saying who said it.
pub fn plain(message: &str) -> String {
    let mut message = message.trim();
    for prefix in ["Error response from daemon: ", "rpc error: code = Unknown desc = ", "error: "] {
        message = message.strip_prefix(prefix).unwrap_or(message);
    }
    message.trim_end_matches(": unknown").replace(['\n', '\r'], " ")
}

/// Guards a name that becomes part of a request's path.
pub fn checked(kind: Kind, name: &str) -> types::Result<&str> {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/@-".contains(&byte);
    let is_safe = !name.is_empty()
        && name.len() <= 512
        && name.bytes().all(letters)
        && !name.split('/').any(|part| part.is_empty() || part == ".." || part == ".");
    match is_safe {
        true => Ok(name),
        false => Err(Error::not_found(kind, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_change_the_path() {
        for good in [
            "serverkit-blog-1",
            "sha256:0a1b",
            "registry.test:5000/team/app@sha256:00",
            "debian:bookworm-slim",
        ] {
            assert!(checked(Kind::Image, good).is_ok(), "{good}");
        }
        for bad in ["", "../x", "a/../b", "a?b", "a#b", "a b", "/a", "a//b", "a%2e", "ü"] {
            assert!(checked(Kind::Image, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn refusals_become_words() {
        let refusal = |status_code, message: &str| Refusal::DockerResponseServerError {
            status_code,
            message: message.into(),
        };
        assert!(matches!(words("x")(refusal(409, "in use")), Error::Busy { what } if what == "x: in use"));
        assert!(matches!(
            words_or_missing("x", Kind::Volume, "v")(refusal(404, "no such volume")),
            Error::NotFound { .. }
        ));
        assert_eq!(plain("Error response from daemon: OCI failed: unknown\n"), "OCI failed");
        assert_eq!(
            unreached(&io::ErrorKind::NotFound.into()).to_string(),
            "the Docker engine is not running"
        );
    }
}

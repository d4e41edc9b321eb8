//! One command on the server that a repository is fetched from by ssh, which libgit2 does not run.
//!
//! By the same libssh2 that libgit2 brings, with the same key, and only where the very host key is met that the fetch met.

use crate::{Login, failures, target::Target};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use egress::Egress;
use ssh2::{ErrorCode, HashType, Session};
use std::{io::Read, net::TcpStream, time::Duration};
use types::{Error, Result};

const CONNECTING: Duration = Duration::from_secs(10);
/// For each of its answers.
const SILENCE: Duration = Duration::from_secs(30);
/// Of what it prints.
const LONGEST: u64 = 1 << 20;
/// `LIBSSH2_ERROR_AUTHENTICATION_FAILED` and `LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED`.
const REFUSED: [i32; 2] = [-18, -19];

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub printed: String,
    pub complained: String,
}

/// Runs it as the user that the address names. `host_key`: the one that the fetch met (`SHA256:…`).
pub fn run(target: &Target, login: &Login, host_key: Option<&str>, egress: &Egress, command: &str) -> Result<Ended> {
    let Target::Ssh { user, host, port, .. } = target else {
        return Err(Error::internal("running a command by ssh", "the address is none of ssh"));
    };
    let place = target.place();
    let failed = |error: ssh2::Error| Error::unavailable_by(format!("{place} does not answer by ssh"), error);
    let mut session = Session::new().map_err(failed)?;
    session.set_timeout(u32::try_from(SILENCE.as_millis()).unwrap_or(u32::MAX));
    session.set_tcp_stream(connected(host, *port, egress, &place)?);
    session.handshake().map_err(failed)?;
    let found = session
        .host_key_hash(HashType::Sha256)
        .map(|hash| BASE64_STANDARD_NO_PAD.encode(hash));
    let found = format!("SHA256:{}", found.unwrap_or_default());
    match host_key {
        Some(met) if met == found => {}
        met => return Err(failures::host_key_changed(&place, met.unwrap_or("none"), &found)),
    }
    let Login::Key { private } = login else {
        return Err(Error::invalid("git", format!("{place} wants a deploy key")));
    };
    let signed_in = session.userauth_pubkey_memory(user, None, private.expose_str().unwrap_or_default(), None);
    signed_in.map_err(|error| match error.code() {
        ErrorCode::Session(code) if REFUSED.contains(&code) => failures::key_refused(&place),
        _ => failed(error),
    })?;
    let mut channel = session.channel_session().map_err(failed)?;
    channel.exec(command).map_err(failed)?;
    let silent = |error| Error::unavailable_by(format!("{place} does not answer by ssh"), error);
    let (mut printed, mut complained) = (Vec::new(), Vec::new());
    (&mut channel).take(LONGEST).read_to_end(&mut printed).map_err(silent)?;
    channel.stderr().take(LONGEST).read_to_end(&mut complained).map_err(silent)?;
    channel.close().and_then(|()| channel.wait_close()).map_err(failed)?;
    Ok(Ended {
        code: channel.exit_status().map_err(failed)?,
        printed: String::from_utf8_lossy(&printed).into_owned(),
        complained: String::from_utf8_lossy(&complained).into_owned(),
    })
}

/// The first of its addresses that takes the connection.
fn connected(host: &str, port: u16, egress: &Egress, place: &str) -> Result<TcpStream> {
    let mut last = None;
    for address in egress.addresses(host, port)? {
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => Error::unavailable_by(format!("{place} takes no connection"), error),
        None => Error::unavailable(format!("the host {host} has no address")),
    })
}

/// A word as the shell of the server takes it, in the marks that Git itself uses.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''").replace('!', "'\\!'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one() {
        for (word, expected) in [
            ("/ada/blog.git", "'/ada/blog.git'"),
            ("a b; rm", "'a b; rm'"),
            ("it's", "'it'\\''s'"),
            ("wow!", "'wow'\\!''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}

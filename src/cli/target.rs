//! Which panel a command goes to.

use crate::{
    commands::Globals,
    config::{Config, Panel},
    failure::{Failure, Result},
};
use client::{Address, Client, Login, Trust};
use std::{
    fs,
    path::{Path, PathBuf},
};
use types::Secret;

/// Where a panel keeps its data unless told otherwise.
pub const DATA: &str = "/var/lib/serverkit";
/// Where `serve --dev` keeps it.
pub const DEV_DATA: &str = ".serverkit";
/// The panel's socket in its data folder.
pub const SOCKET: &str = "panel.sock";

/// The panel that flags, environment and logins point to.
pub fn connect(globals: &Globals) -> Result<Client> {
    let token = std::env::var("SERVERKIT_TOKEN").ok().filter(|token| !token.is_empty());
    let config = || Config::read(&Config::path()?);
    let (address, login) = choose(globals, token.map(Secret::from), config, Path::new(DEV_DATA))?;
    Ok(Client::connect(address, login)?)
}

/// In this order: `--socket`, `--data`, `--url` or `SERVERKIT_URL`, a panel that runs in `dev_data`, the last login,
/// the usual data folder.
fn choose(globals: &Globals, token: Option<Secret>, config: impl Fn() -> Result<Config>, dev_data: &Path) -> Result<(Address, Login)> {
    if let Some(socket) = local(globals, dev_data) {
        return Ok((Address::Socket(socket), Login::None));
    }
    // With everything given, a missing home folder or a broken file is no obstacle.
    let known = match (&globals.url, &token) {
        (Some(_), Some(_)) => config().unwrap_or_default(),
        _ => config()?,
    };
    let Some(url) = globals.url.clone().or_else(|| known.current.clone()) else {
        return Ok((Address::Socket(Path::new(DATA).join(SOCKET)), Login::None));
    };
    let plain = Address::web(&url, Trust::default())?.to_string();
    let panel = known.panels.get(&plain).cloned().unwrap_or_default();
    let address = Address::web(&url, trust(globals, &panel)?)?;
    let token = token.or_else(|| (!panel.token.is_empty()).then(|| Secret::from(panel.token.clone())));
    let token = token.ok_or_else(|| {
        Failure::denied(format!("you are not signed in to {plain}")).hint(format!("run `serverkit login {plain}`, or set SERVERKIT_TOKEN"))
    })?;
    Ok((address, Login::Token(token)))
}

/// The socket, if a panel on this machine is meant.
fn local(globals: &Globals, dev_data: &Path) -> Option<PathBuf> {
    if let Some(socket) = &globals.socket {
        return Some(socket.clone());
    }
    if let Some(data) = &globals.data {
        return Some(data.join(SOCKET));
    }
    let dev = dev_data.join(SOCKET);
    (globals.url.is_none() && dev.exists()).then_some(dev)
}

/// The socket of a panel on this machine, for what can only be done there.
pub fn local_only(globals: &Globals) -> Result<Client> {
    let socket = local(globals, Path::new(DEV_DATA)).unwrap_or_else(|| Path::new(DATA).join(SOCKET));
    Ok(Client::connect(Address::Socket(socket), Login::None)?)
}

/// The data folder of that panel.
pub fn data(globals: &Globals) -> PathBuf {
    let socket = local(globals, Path::new(DEV_DATA));
    let folder = socket.and_then(|socket| socket.parent().map(Path::to_owned));
    folder.unwrap_or_else(|| DATA.into())
}

/// What the flags say, else what was remembered of the panel.
pub fn trust(globals: &Globals, panel: &Panel) -> Result<Trust> {
    let authority_pem = match &globals.ca {
        Some(path) => Some(fs::read_to_string(path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?),
        None => panel.authority.clone(),
    };
    Ok(Trust {
        authority_pem,
        insecure: globals.insecure || (panel.insecure && globals.ca.is_none()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::failure::Code;

    fn remembered() -> Result<Config> {
        let mut config = Config {
            current: Some("https://a.test".into()),
            ..Config::default()
        };
        let panel = Panel {
            token: "sk_a".into(),
            ..Panel::default()
        };
        config.panels.insert("https://a.test".into(), panel);
        Ok(config)
    }

    fn chosen(globals: &Globals, token: Option<&str>, config: impl Fn() -> Result<Config>, dev: &Path) -> Result<(String, bool)> {
        let (address, login) = choose(globals, token.map(Secret::from), config, dev)?;
        Ok((address.to_string(), matches!(login, Login::Token(_))))
    }

    #[test]
    fn flags_before_environment_before_logins() {
        let empty = || Ok(Config::default());
        let absent = Path::new("/absent");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(SOCKET), "").unwrap();
        let dev = folder.path().join(SOCKET).display().to_string();
        let usual = Globals::default();
        let socket = Globals {
            socket: Some("/x.sock".into()),
            url: Some("https://b.test".into()),
            ..Globals::default()
        };
        let data = Globals {
            data: Some("/d".into()),
            ..Globals::default()
        };
        let url = Globals {
            url: Some("a.test/".into()),
            ..Globals::default()
        };
        assert_eq!(chosen(&socket, None, remembered, absent), Ok(("/x.sock".into(), false)));
        assert_eq!(chosen(&data, None, remembered, absent), Ok(("/d/panel.sock".into(), false)));
        assert_eq!(chosen(&usual, None, remembered, folder.path()), Ok((dev, false)));
        assert_eq!(chosen(&url, None, remembered, folder.path()), Ok(("https://a.test".into(), true)));
        assert_eq!(chosen(&url, Some("sk_b"), empty, absent), Ok(("https://a.test".into(), true)));
        assert_eq!(chosen(&usual, None, remembered, absent), Ok(("https://a.test".into(), true)));
        assert_eq!(
            chosen(&usual, None, empty, absent),
            Ok(("/var/lib/serverkit/panel.sock".into(), false))
        );
        assert_eq!(chosen(&url, None, empty, absent).unwrap_err().code, Code::Denied);
    }

    #[test]
    fn a_given_authority_comes_before_remembered_carelessness() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        fs::write(&path, "pem").unwrap();
        let panel = Panel {
            insecure: true,
            ..Panel::default()
        };
        let globals = Globals {
            ca: Some(path),
            ..Globals::default()
        };
        let trust = trust(&globals, &panel).unwrap();
        assert_eq!((trust.insecure, trust.authority_pem.as_deref()), (false, Some("pem")));
    }
}

//! From one version of the program to another: what may take over, and how the last time went.
//!
//! A binary is copied first and then judged, so that what was checked is what runs. It must bear a signature of the
//! release key (minisign, Ed25519), and be newer. The change of processes itself is the binary's own business
//! (`serverkit`'s `handover`); it gets an [`Upgrade`] to carry out.

use crate::ground::Ground;
use minisign_verify::{PublicKey, Signature};
use semver::Version;
use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{process::Command, sync::mpsc};
use types::{Action, Actor, Doing, Error, Result, Upgrade, UpgradeState, Who};

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What should take over.
#[derive(Debug, Clone)]
pub struct UpgradeWish {
    /// A file on the panel's machine; its signature is beside it, as `FILE.minisig`.
    pub path: PathBuf,
    /// Take it without a signature. Only root of the machine may say so.
    pub unsigned: bool,
    /// Also a version that is not newer.
    pub any_version: bool,
}

/// Where upgrades leave their files.
#[derive(Debug, Clone)]
pub struct UpgradeFiles {
    data: PathBuf,
}

impl UpgradeFiles {
    pub fn new(data: &Path) -> UpgradeFiles {
        UpgradeFiles { data: data.to_owned() }
    }
    fn binaries(&self) -> PathBuf {
        self.data.join("binaries")
    }
    fn last(&self) -> PathBuf {
        self.data.join("upgrade.json")
    }

    /// The newest upgrade, if there ever was one.
    pub fn read(&self) -> Result<Option<Upgrade>> {
        match fs::read(self.last()) {
            Ok(bytes) => serde_json::from_slice(&bytes).doing("reading upgrade.json").map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).doing("reading upgrade.json"),
        }
    }

    /// Replaces the file whole.
    pub fn write(&self, upgrade: &Upgrade) -> Result<()> {
        let next = self.data.join("upgrade.json.next");
        let text = serde_json::to_vec_pretty(upgrade).expect("an upgrade is JSON");
        fs::write(&next, text).doing("writing upgrade.json")?;
        fs::rename(&next, self.last()).doing("writing upgrade.json")
    }

    /// The program that should run in place of one of version `own`: what the last upgrade left, if that is newer.
    pub fn successor(&self, own: &str) -> Option<PathBuf> {
        let done = self.read().ok()?.filter(|upgrade| upgrade.state == UpgradeState::Done)?;
        let newer = Version::parse(&done.to).ok()? > Version::parse(own).ok()?;
        (newer && done.binary.is_file()).then_some(done.binary)
    }

    /// Removes the programs that were refused or failed: all but the one that runs and the one that the next start runs.
    fn tidy_failed(&self) {
        let own = std::env::current_exe().unwrap_or_default();
        let next = self.read().ok().flatten().filter(|last| last.state == UpgradeState::Done);
        let next = next.map(|last| last.binary).unwrap_or_default();
        self.tidy(&[&own, &next]);
    }

    /// Removes all programs but these two.
    pub fn tidy(&self, keep: &[&Path]) {
        for entry in fs::read_dir(self.binaries()).into_iter().flatten().flatten() {
            if !keep.contains(&entry.path().as_path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[derive(Clone)]
pub struct Upgrades {
    ground: Arc<Ground>,
    orders: mpsc::Sender<Upgrade>,
    files: UpgradeFiles,
}

impl Upgrades {
    pub(crate) fn new(ground: Arc<Ground>, orders: mpsc::Sender<Upgrade>) -> Upgrades {
        let files = UpgradeFiles::new(&ground.options.data);
        Upgrades { ground, orders, files }
    }

    /// The newest one, if there ever was one.
    pub async fn last(&self, actor: &Actor) -> Result<Option<Upgrade>> {
        actor.may(Action::Operate)?;
        self.files.read()
    }

    /// Checks the binary and orders the change. Fails with `Invalid` when the binary cannot be taken, with `Busy` while
    /// another upgrade is under way.
    pub async fn start(&self, actor: &Actor, wish: UpgradeWish) -> Result<Upgrade> {
        actor.may(Action::Operate)?;
        let Who::Machine { uid } = actor.who else {
            return Err(Error::Forbidden {
                needs: "root on the panel's own machine: `serverkit upgrade` there".into(),
            });
        };
        if wish.unsigned && uid != 0 {
            return Err(Error::Forbidden {
                needs: "root, for a program without a signature".into(),
            });
        }
        if let Some(last) = self.files.read()?.filter(|last| last.ended_at.is_none()) {
            return Err(Error::busy(format!("the upgrade to {} is under way", last.to)));
        }
        self.files.tidy_failed();
        let binary = self.take(&wish).await?;
        let to = version_of(&binary).await?;
        let newer = Version::parse(&to).ok() > Version::parse(VERSION).ok();
        if !newer && !wish.any_version {
            return Err(Error::invalid("path", format!("it is version {to}, and {VERSION} runs already")));
        }
        let upgrade = Upgrade {
            from: VERSION.into(),
            to,
            binary,
            state: UpgradeState::Switching,
            error: None,
            by: actor.who.to_string(),
            started_at: self.ground.world.now(),
            ended_at: None,
        };
        self.ground.store.snapshot().await?;
        self.files.write(&upgrade)?;
        self.orders
            .try_send(upgrade.clone())
            .map_err(|_| Error::busy("another upgrade is under way"))?;
        Ok(upgrade)
    }

    /// Our own copy, checked.
    async fn take(&self, wish: &UpgradeWish) -> Result<PathBuf> {
        let (path, key, unsigned) = (wish.path.clone(), self.ground.options.release_key.clone(), wish.unsigned);
        let folder = self.files.binaries();
        let name = format!("serverkit-{}", self.ground.world.word(12));
        tokio::task::spawn_blocking(move || {
            let bytes = read(&path, "path")?;
            if !unsigned {
                let signature = read(&with_suffix(&path, ".minisig"), "signature")?;
                verify(&bytes, &signature, key.as_deref())?;
            }
            fs::create_dir_all(&folder).doing("making the folder of programs")?;
            let binary = folder.join(name);
            fs::write(&binary, bytes).doing("copying the program")?;
            fs::set_permissions(&binary, fs::Permissions::from_mode(0o700)).doing("copying the program")?;
            Ok(binary)
        })
        .await
        .doing("copying the program")?
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn read(path: &Path, field: &str) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::invalid(field, format!("cannot read {}: {error}", path.display())))
}

/// Checks a minisign signature (the format of the `minisign` command) over the whole file. Answers its trusted comment, which is
/// signed too.
pub(crate) fn verify(bytes: &[u8], signature: &[u8], key: Option<&str>) -> Result<String> {
    let wrong = |why: String| Error::invalid("signature", why);
    let key = key.ok_or_else(|| wrong("this program knows no release key; set `upgrade.key`, or take it unsigned as root".into()))?;
    let key = PublicKey::from_base64(key).map_err(|error| wrong(format!("the release key cannot be used: {error}")))?;
    let text = String::from_utf8_lossy(signature);
    let signature = Signature::decode(&text).map_err(|error| wrong(format!("it is no minisign signature: {error}")))?;
    key.verify(bytes, &signature, false)
        .map_err(|_| wrong("it is not that of the release key over this file".into()))?;
    Ok(signature.trusted_comment().to_owned())
}

/// What `PROGRAM --version` says after the name.
async fn version_of(binary: &Path) -> Result<String> {
    let run = Command::new(binary)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let wrong = |why: &str| Error::invalid("path", format!("it is no serverkit for this machine: {why}"));
    let output = tokio::time::timeout(Duration::from_secs(10), run)
        .await
        .map_err(|_| wrong("`--version` does not end"))?
        .map_err(|error| wrong(&error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let version = text.strip_prefix("serverkit ").unwrap_or_default();
    match Version::parse(version) {
        Ok(version) if output.status.success() => Ok(version.to_string()),
        _ => Err(wrong(&format!("`--version` says {text:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::World;

    fn upgrade(to: &str, binary: &Path, state: UpgradeState) -> Upgrade {
        Upgrade {
            from: "0.1.0".into(),
            to: to.into(),
            binary: binary.into(),
            state,
            error: None,
            by: "root on this machine".into(),
            started_at: World::system().now(),
            ended_at: None,
        }
    }

    #[test]
    fn only_a_newer_program_that_proved_itself_takes_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = UpgradeFiles::new(folder.path());
        assert_eq!(files.read().expect("none is fine"), None);
        assert_eq!(files.successor("0.1.0"), None);
        let binary = folder.path().join("new");
        fs::write(&binary, "x").expect("written");
        for (to, state, own, expected) in [
            ("0.2.0", UpgradeState::Done, "0.1.0", true),
            ("0.10.0", UpgradeState::Done, "0.9.0", true),
            ("0.2.0", UpgradeState::Done, "0.2.0", false),
            ("0.2.0", UpgradeState::Done, "0.3.0", false),
            ("0.2.0", UpgradeState::Watching, "0.1.0", false),
            ("0.2.0", UpgradeState::Failed, "0.1.0", false),
        ] {
            files.write(&upgrade(to, &binary, state)).expect("written");
            assert_eq!(files.successor(own).is_some(), expected, "{to} {state:?} for {own}");
        }
        files
            .write(&upgrade("0.2.0", Path::new("/nowhere"), UpgradeState::Done))
            .expect("written");
        assert_eq!(files.successor("0.1.0"), None, "a program that is gone");
    }

    #[test]
    fn signatures() {
        // Made with `minisign -S -m file` over the three bytes "new".
        let keys = minisign::KeyPair::generate_unencrypted_keypair().expect("keys");
        let signed = minisign::sign(None, &keys.sk, &b"new"[..], None, None).expect("signed").to_string();
        let key = keys.pk.to_base64();
        verify(b"new", signed.as_bytes(), Some(&key)).expect("it is right");
        let why = |result: Result<String>| result.expect_err("it is wrong").to_string();
        assert!(why(verify(b"New", signed.as_bytes(), Some(&key))).contains("not that of the release key"));
        let other = minisign::KeyPair::generate_unencrypted_keypair().expect("keys").pk.to_base64();
        assert!(why(verify(b"new", signed.as_bytes(), Some(&other))).contains("not that of the release key"));
        assert!(why(verify(b"new", b"hello", Some(&key))).contains("no minisign signature"));
        assert!(why(verify(b"new", signed.as_bytes(), None)).contains("knows no release key"));
    }
}

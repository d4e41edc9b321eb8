//! `serverkit upgrade`: another version takes over, without a request lost.

use crate::{
    commands::Context,
    failure::{Failure, Result},
    output::{Output, bytes},
    target,
};
use clap::Args;
use client::{
    Client,
    types::{UpgradeState, UpgradeWish, Version},
};
use futures::StreamExt;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Where releases are, unless told otherwise.
const RELEASE: &str = "https://github.com/serverkit/serverkit/releases/latest/download";
/// Longer than any watch over a new version that makes sense.
const PATIENCE: Duration = Duration::from_secs(900);

#[derive(Debug, Args)]
pub struct Upgrade {
    /// This program in place of the newest release; its signature is FILE.minisig
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where the release is downloaded from
    #[arg(long, value_name = "URL", env = "RELEASE_URL", default_value = RELEASE, conflicts_with = "binary")]
    from: String,
    /// Take a program that nobody signed; for one of your own making, as root
    #[arg(long)]
    unsigned: bool,
    /// Take also a version that is not newer; it runs until the next start
    #[arg(long)]
    any_version: bool,
    /// Only say which version runs, and how the last upgrade went
    #[arg(long)]
    status: bool,
}

/// Fails when the version before runs again.
pub async fn run(context: &Context, args: Upgrade) -> Result {
    let client = target::local_only(&context.globals)?;
    let before = client.ask(client.version_show()).await?;
    if args.status {
        return context.out.answer(&before.json, || describe(&before.value));
    }
    // In the panel's own folder: it may not see this user's files.
    let folder = target::data(&context.globals);
    let staged = Staged::new(&folder)?;
    match &args.binary {
        Some(binary) => staged.copy(binary, args.unsigned)?,
        None => staged.download(&args.from, args.unsigned, &context.out).await?,
    }
    let wish = UpgradeWish {
        path: staged.program().display().to_string(),
        unsigned: Some(args.unsigned),
        any_version: Some(args.any_version),
    };
    let started = client.ask(client.version_upgrade(&wish)).await?;
    context.out.note(format!("{} → {}", started.value.from, started.value.to));
    drop(staged);
    let ended = follow(&client, &started.value.started_at, &context.out).await?;
    let upgrade = ended.value.upgrade.as_ref().expect("it was just followed to its end");
    if upgrade.state == UpgradeState::Failed {
        let why = upgrade.error.clone().unwrap_or_default();
        return Err(Failure::failed(format!("{} goes on: {why}", upgrade.from)).hint("nothing was lost; the log of the panel says more"));
    }
    context.out.answer(&ended.json, || format!("{} runs", upgrade.to))
}

/// Asks until the upgrade that began at `started_at` has ended. Between the two processes nobody answers for a moment.
async fn follow(client: &Client, started_at: &str, out: &Output) -> Result<client::Answer<Version>> {
    let begun = Instant::now();
    let mut said = None;
    loop {
        match client.ask(client.version_show()).await {
            Ok(answer) => {
                let Some(upgrade) = answer.value.upgrade.as_ref().filter(|upgrade| upgrade.started_at == started_at) else {
                    return Err(Failure::failed("another upgrade has begun since"));
                };
                if upgrade.ended_at.is_some() {
                    return Ok(answer);
                }
                if said != Some(upgrade.state) {
                    out.note(match upgrade.state {
                        UpgradeState::Watching => "it serves; the version before stands by for a while …",
                        _ => "the new version starts …",
                    });
                    said = Some(upgrade.state);
                }
            }
            Err(error) if begun.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => {}
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::failed("it does not end; the log of the panel says more"));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn describe(version: &Version) -> String {
    let mut text = format!("{} runs", version.version);
    if let Some(upgrade) = &version.upgrade {
        text.push_str(&format!(
            "\nlast upgrade: {} → {}, {}{}",
            upgrade.from,
            upgrade.to,
            upgrade.state,
            upgrade.error.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
        ));
    }
    text
}

/// A folder for the program and its signature, below the panel's; it goes when this is dropped.
struct Staged(PathBuf);

impl Staged {
    fn new(data: &Path) -> Result<Staged> {
        let folder = data.join(format!("upgrade-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| {
            Failure::failed(format!("cannot make {}: {error}", folder.display()))
                .hint("run this on the panel's machine, as root or the panel's user")
        })?;
        Ok(Staged(folder))
    }
    fn program(&self) -> PathBuf {
        self.0.join("serverkit")
    }
    fn signature(&self) -> PathBuf {
        self.0.join("serverkit.minisig")
    }

    fn copy(&self, binary: &Path, unsigned: bool) -> Result {
        let mut signature = binary.as_os_str().to_owned();
        signature.push(".minisig");
        let mut files = vec![(binary.to_owned(), self.program())];
        if !unsigned {
            files.push((signature.into(), self.signature()));
        }
        for (from, to) in files {
            fs::copy(&from, &to).map_err(|error| Failure::usage(format!("cannot read {}: {error}", from.display())))?;
        }
        self.readable()
    }

    async fn download(&self, release: &str, unsigned: bool, out: &Output) -> Result {
        let name = format!("serverkit-{}-linux", std::env::consts::ARCH);
        let release = release.trim_end_matches('/');
        let size = fetch(&format!("{release}/{name}"), &self.program()).await?;
        out.note(format!("downloaded {name}, {}", bytes(size)));
        if !unsigned {
            fetch(&format!("{release}/{name}.minisig"), &self.signature()).await?;
        }
        self.readable()
    }

    /// For the panel's user, whoever that is.
    fn readable(&self) -> Result {
        use std::os::unix::fs::PermissionsExt;
        for (path, mode) in [(self.0.clone(), 0o755), (self.program(), 0o644), (self.signature(), 0o644)] {
            if path.exists() {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                    .map_err(|error| Failure::failed(format!("cannot prepare {}: {error}", path.display())))?;
            }
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Downloads a file; returns its bytes' count.
async fn fetch(url: &str, to: &Path) -> Result<u64> {
    let failed = |why: String| Failure::failed(format!("cannot download {url}: {why}"));
    let answer = reqwest::get(url).await.and_then(reqwest::Response::error_for_status);
    let mut parts = answer.map_err(|error| failed(error.without_url().to_string()))?.bytes_stream();
    let mut file = fs::File::create(to).map_err(|error| failed(error.to_string()))?;
    let mut size = 0;
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| failed(error.without_url().to_string()))?;
        file.write_all(&part).map_err(|error| failed(error.to_string()))?;
        size += part.len() as u64;
    }
    Ok(size)
}

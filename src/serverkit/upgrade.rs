//! The change of versions, from both sides: letting the next one serve and going on when it fails; taking over and settling in.

use crate::{
    config::Config,
    handover::{Before, Listening, Next},
};
use api::Sockets;
use app::{UpgradeFiles, VERSION};
use edge::Edge;
use std::{
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use store::{ReturnPoint, Store};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};
use types::{Doing, Error, Result, Upgrade, UpgradeState, World, report};

/// Runs the program that the last upgrade left in the data folder, if it is newer than this one: the service manager
/// starts the one that was installed. Returns if there is none, or if it cannot be run.
pub fn become_successor(data: &Path) {
    const ONCE: &str = "SERVERKIT_SUCCESSOR";
    if std::env::var_os(ONCE).is_some() {
        return;
    }
    let Some(binary) = UpgradeFiles::new(data).successor(VERSION) else {
        return;
    };
    let me = rustix::process::geteuid().as_raw();
    if !binary.metadata().is_ok_and(|file| file.uid() == me || file.uid() == 0) {
        return tracing::warn!("{} belongs to somebody else and is not run", binary.display());
    }
    let error = std::process::Command::new(&binary)
        .args(std::env::args_os().skip(1))
        .env(ONCE, "1")
        .exec();
    tracing::error!("{} cannot be run, so {VERSION} goes on: {error}", binary.display());
}

/// Opens the state. For a version that comes back: the one that failed may still be dying, and may have left what this one
/// cannot read; then it is as it was when this version let go of it.
pub async fn open_store(data: &Path, world: &World, patience: Duration, back: Option<&Arc<ReturnPoint>>) -> Result<Store> {
    let begun = Instant::now();
    let mut restored = false;
    loop {
        let (dir, theirs) = (data.to_owned(), world.clone());
        let opened = tokio::task::spawn_blocking(move || Store::open(&dir, theirs)).await;
        match (opened.doing("opening the state")?, back) {
            (Err(Error::Busy { .. }), _) if begun.elapsed() < patience => tokio::time::sleep(Duration::from_millis(100)).await,
            // Whatever else is wrong, such as a full disk, is not mended by another state.
            (Err(error), Some(back)) if !restored && store::is_newer(&error) => {
                restored = true;
                restore(&error, back.clone(), world.clone()).await?;
            }
            (opened, _) => return opened,
        }
    }
}

async fn restore(why: &Error, back: Arc<ReturnPoint>, world: World) -> Result<()> {
    let restored = tokio::task::spawn_blocking(move || back.restore(&world)).await;
    let aside: Vec<String> = restored
        .doing("going back to the state of before")??
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    tracing::error!(
        "the state is as it was before the upgrade, since {VERSION} cannot use what the other version left ({}); that is kept in {}",
        report(why),
        aside.join(", ")
    );
    Ok(())
}

/// Lets the next version serve and stands by until it has done so for a while. Its process id.
pub async fn hand_over(config: &Config, mut next: Next, listening: &Listening, edge: &Arc<Edge>) -> Result<u32> {
    next.go(listening).await?;
    let (edge, drain) = (edge.clone(), config.drain);
    let drained = tokio::spawn(async move { edge.leave(drain).await });
    let socket = Sockets::paths(&config.data).0;
    next.watch(config.upgrade_window, async || is_ready(&socket).await).await?;
    let process = next.stay()?;
    drained.await.doing("ending connections")?;
    Ok(process)
}

/// Whether a panel at this socket says that it is ready.
async fn is_ready(socket: &Path) -> bool {
    let ask = async {
        let mut stream = UnixStream::connect(socket).await.ok()?;
        stream.write_all(b"GET /ready HTTP/1.0\r\nhost: panel\r\n\r\n").await.ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.ok()?;
        answer.ends_with(b" 200").then_some(())
    };
    matches!(tokio::time::timeout(Duration::from_secs(3), ask).await, Ok(Some(())))
}

/// In the version that took over: it is on trial until the one before goes.
pub async fn settle(before: Before, files: UpgradeFiles, world: World) {
    let record = |state| match files.read() {
        Ok(Some(mut upgrade)) => {
            upgrade.state = state;
            upgrade.ended_at = (state == UpgradeState::Done).then(|| world.now());
            if let Err(error) = files.write(&upgrade) {
                tracing::error!("{}", report(&error));
            }
            Some(upgrade)
        }
        Ok(None) => None,
        Err(error) => {
            tracing::error!("{}", report(&error));
            None
        }
    };
    record(UpgradeState::Watching);
    if let Err(error) = before.serving() {
        tracing::warn!("the version before does not listen: {error}");
    }
    before.gone().await;
    if let Some(upgrade) = record(UpgradeState::Done) {
        tracing::info!("version {} has taken over from {}", upgrade.to, upgrade.from);
        let own = std::env::current_exe().unwrap_or_default();
        files.tidy(&[&upgrade.binary, &own]);
    }
}

/// What a crash in the middle of an upgrade left.
pub fn close_interrupted(files: &UpgradeFiles, world: &World) -> Result<()> {
    match files.read()? {
        Some(upgrade) if upgrade.ended_at.is_none() => {
            let error = Error::unavailable("the process ended in the middle of it");
            failed(files, upgrade, &error, world)
        }
        _ => Ok(()),
    }
}

pub fn failed(files: &UpgradeFiles, mut upgrade: Upgrade, error: &Error, world: &World) -> Result<()> {
    tracing::error!("{VERSION} goes on: {}", report(error));
    upgrade.state = UpgradeState::Failed;
    upgrade.error = Some(report(error));
    upgrade.ended_at = Some(world.now());
    files.write(&upgrade)
}

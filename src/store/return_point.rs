//! A way back for an upgrade: the state as one version left it, for when the next one leaves what that version cannot read.

use crate::{
    Store,
    directory::{self, sync_dir, write_whole},
    recovery::move_aside,
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use types::{Doing, Result, World};

const KEPT_AS: &str = "before-upgrade.snapshot";

/// Made when nothing writes any more. The snapshot stays in the directory until the next upgrade.
#[derive(Debug)]
pub struct ReturnPoint {
    dir: PathBuf,
    /// The name under which snapshots are found.
    name: String,
    format: Vec<u8>,
}

impl Store {
    /// Writes all records to a snapshot that no later version removes.
    pub async fn return_point(&self) -> Result<ReturnPoint> {
        let snapshot = self.snapshot().await?;
        let dir = self.dir().to_owned();
        let kept = dir.join(KEPT_AS);
        let doing = "keeping the state of before";
        if kept.exists() {
            fs::remove_file(&kept).doing(doing)?;
        }
        fs::hard_link(&snapshot, &kept).doing(doing)?;
        sync_dir(&dir)?;
        let name = snapshot.file_name().expect("a snapshot is a file").to_string_lossy().into_owned();
        let format = fs::read(dir.join("format")).doing(doing)?;
        Ok(ReturnPoint { dir, name, format })
    }
}

impl ReturnPoint {
    /// Puts the directory back to it; what another version wrote since is moved aside. Answers where to. Blocks. Fails with
    /// `Busy` while a process still has the directory.
    pub fn restore(&self, world: &World) -> Result<Vec<PathBuf>> {
        let _lock = directory::lock(&self.dir)?;
        // The state goes last: until then another start finds it and refuses it, and never an empty folder.
        let mut aside = Vec::new();
        for folder in ["journal", "snapshots"] {
            let folder = self.dir.join(folder);
            aside.push(move_aside(&folder, world)?);
            fs::create_dir(&folder).doing("making the state's folders")?;
        }
        let snapshots = self.dir.join("snapshots");
        fs::copy(self.dir.join(KEPT_AS), snapshots.join(&self.name)).doing("bringing the snapshot back")?;
        fs::File::open(snapshots.join(&self.name))
            .and_then(|file| file.sync_all())
            .doing("bringing the snapshot back")?;
        sync_dir(&snapshots)?;
        aside.push(move_aside(&self.dir.join("state"), world)?);
        write_whole(Path::new(&self.dir.join("format")), &self.format, 0o600)?;
        Ok(aside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Organization, OrganizationId};

    #[tokio::test]
    async fn what_was_there_is_there_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let world = World::system();
        let id: OrganizationId = world.id();
        let store = Store::open(folder.path(), world.clone()).expect("it opens");
        let record = |name: &str| Organization {
            id: id.clone(),
            name: name.parse().expect("a name"),
            created_at: world.now(),
            hosts: false,
            removing: false,
        };
        store.organizations.insert(record("before")).await.expect("written");
        let back = store.return_point().await.expect("a way back");
        store.close().await;
        drop(store);
        fs::write(folder.path().join("format"), r#"{"format":999}"#).expect("written");
        let refused = Store::open(folder.path(), world.clone()).err().expect("it is newer");
        assert!(crate::is_newer(&refused), "{refused}");
        assert!(!crate::is_newer(&types::Error::internal(
            "opening",
            std::io::Error::other("no space left on device")
        )));
        assert_eq!(back.restore(&world).expect("restored").len(), 3);
        let store = Store::open(folder.path(), world.clone()).expect("it opens again");
        assert_eq!(
            store.organizations.get(id.as_str()).expect("it is there").name.to_string(),
            "before"
        );
    }
}

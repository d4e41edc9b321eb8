//! Source that somebody uploaded: an archive that is kept as it came.

use crate::{AppId, BuildWish, OrganizationId, RepoPath, Time, TreeStack, UploadId};
use serde::{Deserialize, Serialize};

/// One upload. The archive itself is a file of the panel, named by the id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    pub id: UploadId,
    pub organization: OrganizationId,
    pub app: AppId,
    /// Of the archive: SHA-256 in hex.
    pub digest: String,
    /// Of the archive.
    pub bytes: u64,
    /// Files and links in it, and their bytes.
    pub files: u64,
    pub unpacked_bytes: u64,
    /// Everything lies in one folder, and that folder is the top.
    pub strip_top: bool,
    pub at: Time,
    /// In words.
    pub by: String,
}

/// An app without a repository: what it is built from is uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadSource {
    /// The folder that is the build context.
    pub folder: RepoPath,
    /// The Dockerfile, from the folder.
    pub dockerfile: RepoPath,
    /// The stage to build; `None`: the last.
    pub target: Option<String>,
    /// How an image is made of it.
    pub build: BuildWish,
    /// Its services, where it is not built into one image.
    #[serde(default)]
    pub compose: Option<TreeStack>,
    /// What the next deployment builds; `None`: nothing was uploaded yet.
    pub newest: Option<UploadId>,
}

impl Upload {
    /// `upload 4f2a91c0de (12 files)`
    pub fn words(&self) -> String {
        format!("upload {} ({} files)", &self.digest[..self.digest.len().min(10)], self.files)
    }
}

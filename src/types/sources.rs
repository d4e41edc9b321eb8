//! Where an app comes from: a repository, an image, an upload, or a Compose file, perhaps of a template.

use crate::{BuildWish, Buildable, ForgeRepository, GitRef, GitUrl, ImageRef, RepoPath, Sealed, StreamPort, Time, UploadSource, VolumeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

// There is one in an app, so the room that an image leaves unused does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Source {
    Git(GitSource),
    Image { reference: ImageRef },
    Compose(ComposeSource),
    Upload(UploadSource),
}

impl Source {
    /// Of an app of several services; `None`: it is one container.
    pub fn stack(&self) -> Option<&StackSetup> {
        match self {
            Source::Compose(source) => Some(&source.setup),
            _ => self.tree_stack().map(|tree| &tree.setup),
        }
    }
    pub fn stack_mut(&mut self) -> Option<&mut StackSetup> {
        match self {
            Source::Compose(source) => Some(&mut source.setup),
            _ => self.tree_stack_mut().map(|tree| &mut tree.setup),
        }
    }
    /// Of an app whose Compose file lies in a repository or in what is uploaded.
    pub fn tree_stack(&self) -> Option<&TreeStack> {
        match self {
            Source::Git(git) => git.compose.as_ref(),
            Source::Upload(upload) => upload.compose.as_ref(),
            Source::Image { .. } | Source::Compose(_) => None,
        }
    }
    pub fn tree_stack_mut(&mut self) -> Option<&mut TreeStack> {
        match self {
            Source::Git(git) => git.compose.as_mut(),
            Source::Upload(upload) => upload.compose.as_mut(),
            Source::Image { .. } | Source::Compose(_) => None,
        }
    }
    /// What of a source tree is built; `None` for what is not built from one.
    pub fn buildable(&self) -> Option<Buildable> {
        match self {
            Source::Git(git) => Some(git.buildable()),
            Source::Upload(upload) => Some(Buildable {
                folder: upload.folder.clone(),
                dockerfile: upload.dockerfile.clone(),
                target: upload.target.clone(),
                wish: upload.build.clone(),
            }),
            Source::Image { .. } | Source::Compose(_) => None,
        }
    }
}

/// Several services from one Compose file. The app's port is that of `main`; its variables are what `$NAME` and `{{ name }}`
/// in the file stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposeSource {
    /// The file as it was written. Sealed, since people write passwords into it.
    pub text: Sealed,
    /// Of the text: says whether two are the same without opening them. SHA-256 in hex.
    pub hash: String,
    #[serde(flatten)]
    pub setup: StackSetup,
    pub template: Option<Installed>,
}

/// What is chosen of an app's services, and what stays the same over its deployments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackSetup {
    /// Services of these profiles run too.
    pub profiles: Vec<String>,
    /// The service that domains lead to; `None`: the first one with a port.
    pub main: Option<String>,
    /// Which volume of the panel each of the file's is. Fixed when it is made.
    pub volumes: BTreeMap<String, VolumeId>,
    /// What reaches the host and was allowed by an administrator, in words: it must be the very same to be deployed.
    pub host_allowed: Vec<String>,
}

/// A Compose file in a source tree. It is read at each deployment, with the files beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeStack {
    /// From the folder of the source; `None`: the first of the usual names that is there.
    pub file: Option<RepoPath>,
    #[serde(flatten)]
    pub setup: StackSetup,
    /// What reaches the host in what was to be deployed last, and is not allowed yet.
    pub host_wanted: Vec<String>,
}

/// From which template of the catalog it was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    pub name: String,
    pub version: String,
    /// Which of the versions that the template offers, such as `17`. `None`: there was nothing to choose.
    #[serde(default)]
    pub choice: Option<String>,
    /// `template.yaml` and `compose.yaml` of that version: what the user's changes are told from.
    pub template: String,
    pub compose: String,
    /// The hint for the first sign-in has been read.
    pub greeted: bool,
    /// The steps after the first deployment are done.
    pub prepared: bool,
    /// What it was before its last update, for the way back.
    #[serde(default)]
    pub before: Option<Box<BeforeUpdate>>,
    /// Volumes of the app that nothing mounts any more, since an update was taken back: what was written until then, or copies that the way
    /// back left. They stay until the app is purged with its volumes.
    #[serde(default)]
    pub detached: Vec<VolumeId>,
}

impl Installed {
    /// Volumes that are the app's and that it does not mount: copies from before its last update, and what taking one back left.
    pub fn volumes_apart(&self) -> Vec<VolumeId> {
        let before = self.before.as_deref();
        let copies = before.into_iter().flat_map(|before| before.copies.iter().map(|copy| &copy.volume));
        let stale = before.into_iter().flat_map(|before| &before.stale);
        copies.chain(stale).chain(&self.detached).cloned().collect()
    }
}

/// An app's file and template before an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeforeUpdate {
    pub version: String,
    #[serde(default)]
    pub choice: Option<String>,
    pub template: String,
    pub compose: String,
    /// The app's own file, with its user's changes.
    pub text: Sealed,
    pub main: Option<String>,
    /// Ports of the server that the update opened.
    #[serde(default)]
    pub opened: Vec<StreamPort>,
    /// The app's data of before it.
    #[serde(default)]
    pub copies: Vec<VolumeCopy>,
    /// The copies are still to be made, by the deployment of the update.
    #[serde(default)]
    pub copy_wanted: bool,
    /// Copies of an update before; they go when those of this one are made.
    #[serde(default)]
    pub stale: Vec<VolumeId>,
    pub updated_at: Time,
}

/// A volume as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeCopy {
    /// Under which the file speaks of it.
    pub name: String,
    pub volume: VolumeId,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitSource {
    pub url: GitUrl,
    /// `None`: the repository's default branch.
    pub branch: Option<GitRef>,
    /// The folder that is the build context.
    pub folder: RepoPath,
    /// The Dockerfile, from the folder.
    pub dockerfile: RepoPath,
    /// The stage to build; `None`: the last.
    pub target: Option<String>,
    pub submodules: bool,
    /// How an image is made of it.
    #[serde(default)]
    pub build: BuildWish,
    /// Its services, where it is not built into one image.
    #[serde(default)]
    pub compose: Option<TreeStack>,
    /// User name and password or token for http(s).
    pub user: Option<String>,
    pub password: Option<Sealed>,
    /// The panel's own key for this app (OpenSSH format), and its public half to give to the forge.
    pub deploy_key: Option<Sealed>,
    pub deploy_key_public: Option<String>,
    /// The SSH host key seen first (SHA-256, base64), which must stay.
    pub host_key: Option<String>,
    /// Where it was found: its connection lets the panel in.
    #[serde(default)]
    pub forge: Option<ForgeRepository>,
}

impl GitSource {
    pub fn buildable(&self) -> Buildable {
        Buildable {
            folder: self.folder.clone(),
            dockerfile: self.dockerfile.clone(),
            target: self.target.clone(),
            wish: self.build.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn volumes_that_updates_left_are_the_apps_still() {
        let id = |number: u8| format!("vol_{number:026}");
        // As it was recorded before anything could be detached.
        let mut old = json!({
            "name": "wiki", "version": "2.0-1", "template": "", "compose": "", "greeted": true, "prepared": true,
            "before": {
                "version": "1.0-1", "template": "", "compose": "", "text": "x", "main": null, "updated_at": 0,
                "copies": [{"name": "data", "volume": id(1), "bytes": 7}], "stale": [id(2)],
            },
        });
        let apart = |value: &serde_json::Value| {
            let installed: Installed = serde_json::from_value(value.clone()).expect("a record");
            installed.volumes_apart().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(apart(&old), [id(1), id(2)]);
        old["detached"] = json!([id(3)]);
        assert_eq!(apart(&old), [id(1), id(2), id(3)]);
        old["before"] = json!(null);
        assert_eq!(apart(&old), [id(3)]);
    }
}

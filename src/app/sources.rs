//! A look into a repository, or into what was uploaded, before or beside deploying it: its branches and folders, and how it
//! would be built.

use crate::{
    apps::{NewSource, find_app, new_source},
    deployments::git_login,
    ground::Ground,
    stacks::{self, ComposeReport},
    uploads,
};
use build::{BuildKeys, Plan, Recipe};
use egress::Egress;
use source::{Branch, Fetch};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::{Action, Actor, App, Buildable, Commit, Error, GitSource, Limits, Result, Source, UploadId};

/// Somebody waits for the answer.
const LOOKING: Duration = Duration::from_secs(120);
/// Folders named, and how deep.
const FOLDERS: usize = 200;
const DEPTH: usize = 3;

/// What was seen.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// `None` of what was uploaded.
    pub commit: Option<Commit>,
    pub branches: Vec<Branch>,
    /// From the top; `.` first.
    pub folders: Vec<String>,
    /// How it would be built, else why not; `None`: its services are, each in its own way.
    pub plan: Option<Result<PlanView, String>>,
    /// Files that look like Compose files, from the top.
    pub compose_files: Vec<String>,
    /// Of an app of several services: the file, and what it comes to with the app's variables.
    pub compose: Option<(String, ComposeReport)>,
}

#[derive(Debug, Clone)]
pub struct PlanView {
    /// `None`: by the repository's own Dockerfile.
    pub recipe: Option<Recipe>,
    /// The text of the Dockerfile.
    pub dockerfile: String,
}

#[derive(Clone)]
pub struct Sources {
    ground: Arc<Ground>,
}

impl Sources {
    pub(crate) fn new(ground: Arc<Ground>) -> Sources {
        Sources { ground }
    }

    /// Fetches what `wish` names and looks at it; with `app`, by the login that is kept for that. Fails as a deployment would.
    /// With `upload`, a draft of the actor's or an upload of the app's, that is looked at instead.
    pub async fn inspect(&self, actor: &Actor, app: Option<&str>, wish: Option<NewSource>, upload: Option<&str>) -> Result<Inspection> {
        actor.may_somewhere(Action::Configure)?;
        let app = app.map(|app| find_app(&self.ground, actor, Action::Configure, app)).transpose()?;
        let values = app.as_ref().map(|app| stacks::values_shown(&self.ground, actor, app)).transpose()?;
        let archive = upload.map(|upload| self.archive(actor, app.as_ref(), upload)).transpose()?;
        let old = app.as_ref().map(|app| app.source.clone());
        let source = match (wish, old) {
            (Some(wish), old) => new_source(&self.ground, actor, wish, old.as_ref())?,
            (None, Some(old)) => old,
            (None, None) => return Err(Error::invalid("source", "is missing; or name an app")),
        };
        let values = values.unwrap_or_default();
        let archive = match (&source, archive, app) {
            (Source::Git(_) | Source::Upload(_), Some(archive), _) => Some(archive),
            (Source::Upload(own), None, Some(app)) => match &own.newest {
                Some(newest) => Some(uploads::find(&self.ground, &app, newest).map(|upload| (upload.id, upload.strip_top))?),
                None => return Err(Error::busy("nothing was uploaded yet")),
            },
            (Source::Upload(_), None, None) => return Err(Error::invalid("upload", "is missing")),
            _ => None,
        };
        if let Some((id, strip_top)) = archive {
            return self.look_into_upload(&id, strip_top, source, values).await;
        }
        let Source::Git(git) = source else {
            return Err(Error::invalid("source", "only a repository or an upload can be looked into"));
        };
        let egress = self.ground.egress(&actor.organization)?;
        let looking = tokio::time::timeout(LOOKING, self.look(&git, values, egress));
        looking.await.unwrap_or_else(|_| {
            Err(Error::unavailable(format!(
                "{} did not answer within {} s",
                git.url,
                LOOKING.as_secs()
            )))
        })
    }

    /// The id of what was uploaded, and whether its one folder is the top.
    fn archive(&self, actor: &Actor, app: Option<&App>, upload: &str) -> Result<(UploadId, bool)> {
        let draft = self.ground.drafts.find(actor, upload, self.ground.world.now());
        match (draft, app, upload.parse()) {
            (Ok(draft), ..) => Ok((draft.id, draft.strip_top)),
            (Err(_), Some(app), Ok(id)) => uploads::find(&self.ground, app, &id).map(|upload| (upload.id, upload.strip_top)),
            (Err(error), ..) => Err(error),
        }
    }

    fn look_folder(&self) -> PathBuf {
        // Begins like what a fetch leaves behind, so that it is swept like that after a crash.
        let name = format!(".fetch-look-{}", self.ground.world.word(12));
        self.ground.options.data.join("work").join(name)
    }

    async fn look_into_upload(
        &self,
        id: &UploadId,
        strip_top: bool,
        source: Source,
        values: BTreeMap<String, String>,
    ) -> Result<Inspection> {
        let folder = self.look_folder();
        let _gone = Gone(folder.clone());
        uploads::unpack_archive(&self.ground, id, strip_top, folder.clone()).await?;
        let seen = tokio::task::spawn_blocking(move || inspected(&folder, &source, None, Vec::new(), &values)).await;
        seen.map_err(|error| Error::internal("looking into an upload", error))
    }

    async fn look(&self, git: &GitSource, values: BTreeMap<String, String>, egress: Egress) -> Result<Inspection> {
        let login = git_login(&self.ground, git).await?;
        let branches = source::branches(&git.url, &login, git.host_key.as_deref(), egress.clone()).await?;
        let folder = self.look_folder();
        let _gone = Gone(folder.clone());
        let cancel = CancellationToken::new();
        let _stop_with_us = cancel.clone().drop_guard();
        let fetch = Fetch {
            url: git.url.clone(),
            reference: git.branch.clone(),
            login,
            submodules: false,
            lfs: false,
            host_key: git.host_key.clone(),
            egress,
            into: folder.clone(),
        };
        let (words, _nobody) = mpsc::channel(64);
        let fetched = source::fetch(fetch, words, cancel).await?;
        let source = Source::Git(git.clone());
        let commit = Some(fetched.commit);
        let seen = tokio::task::spawn_blocking(move || inspected(&folder, &source, commit, branches, &values)).await;
        seen.map_err(|error| Error::internal("looking into a repository", error))
    }
}

/// Removes the folder when it goes.
pub(crate) struct Gone(pub PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        let folder = self.0.clone();
        // Whoever waits for the answer need not wait for this.
        std::thread::spawn(move || drop(std::fs::remove_dir_all(folder)));
    }
}

fn inspected(
    folder: &Path,
    source: &Source,
    commit: Option<Commit>,
    branches: Vec<Branch>,
    values: &BTreeMap<String, String>,
) -> Inspection {
    let (plan, compose) = match (source.buildable(), source.tree_stack()) {
        (None, _) => (Some(Err("it is not built from source".to_owned())), None),
        (Some(built), None) => (Some(plan(folder, &built)), None),
        (Some(built), Some(stack)) => match stacks::read_tree(folder, &built.folder, stack, values) {
            Err(error) => (Some(Err(types::report(&error))), None),
            Ok((path, read)) => {
                let report = ComposeReport::of(read, stack.setup.main.as_deref(), &Limits::default());
                (None, Some((path, report)))
            }
        },
    };
    Inspection {
        commit,
        branches,
        folders: folders(folder),
        plan,
        compose_files: stacks::compose_files(folder),
        compose,
    }
}

fn plan(folder: &Path, built: &Buildable) -> Result<PlanView, String> {
    let view = || {
        let plan = Plan::of(folder, built, &BTreeMap::new())?;
        let dockerfile = plan.text(&BuildKeys::default())?;
        Ok(PlanView {
            recipe: plan.recipe,
            dockerfile,
        })
    };
    view().map_err(|error: Error| types::report(&error))
}

fn folders(root: &Path) -> Vec<String> {
    let mut found = vec![".".to_owned()];
    below(root, root, DEPTH, &mut found);
    found
}

fn below(root: &Path, folder: &Path, depth: usize, found: &mut Vec<String>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || name.starts_with('.') || name == "node_modules" || name == "vendor" || found.len() >= FOLDERS {
            continue;
        }
        found.extend(entry.path().strip_prefix(root).ok().map(|path| path.to_string_lossy().into_owned()));
        if depth > 1 {
            below(root, &entry.path(), depth - 1, found);
        }
    }
}

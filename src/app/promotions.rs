//! Whether a release can be made live in another app of its project: of an app of several services each service needs its image, and
//! the Compose file is the other app's own.

use crate::{ground::Ground, stacks};
use types::{App, Commit, Error, Release, ReleaseService, ReleaseStack, Result, Source, UploadId};

/// Fails with `Invalid`, in words, when it is known already that it cannot.
pub(crate) fn must_fit(ground: &Ground, release: &Release, target: &App) -> Result<()> {
    let Some(live) = &release.stack else {
        return match target.source.stack() {
            None => Ok(()),
            Some(_) => Err(refused(format!(
                "release #{} is one container, and `{}` has several services",
                release.number, target.name
            ))),
        };
    };
    match &target.source {
        source if source.stack().is_none() => Err(refused(format!(
            "release #{} has several services, and `{}` is one container",
            release.number, target.name
        ))),
        Source::Git(_) => commit_of(target, release).map(drop),
        Source::Upload(_) => upload_of(target, release).map(drop),
        Source::Compose(_) | Source::Image { .. } => {
            let stack = stacks::compose(ground, target)?.stack;
            let mut services = stack.services.iter();
            services.try_for_each(|service| counterpart(release, live, &service.name).map(drop))
        }
    }
}

/// What a release has of the service. Fails with `Invalid` when it has none of this name.
pub(crate) fn counterpart<'r>(release: &Release, live: &'r ReleaseStack, service: &str) -> Result<&'r ReleaseService> {
    let found = live.services.iter().find(|one| one.name == service);
    found.ok_or_else(|| {
        refused(format!(
            "release #{} has no service `{service}`, so there is no image for it",
            release.number
        ))
    })
}

/// The commit that has the target's file. Fails with `Invalid` when the release was made from none.
pub(crate) fn commit_of<'r>(target: &App, release: &'r Release) -> Result<&'r Commit> {
    release.commit.as_ref().ok_or_else(|| {
        refused(format!(
            "the Compose file of `{}` is in its repository, and release #{} was made from no commit",
            target.name, release.number
        ))
    })
}

/// The upload that has the target's file. Fails with `Invalid` when the release was made from none.
pub(crate) fn upload_of<'r>(target: &App, release: &'r Release) -> Result<&'r UploadId> {
    release.upload.as_ref().ok_or_else(|| {
        refused(format!(
            "the Compose file of `{}` is in what is uploaded, and release #{} was made from no upload",
            target.name, release.number
        ))
    })
}

fn refused(why: String) -> Error {
    Error::invalid("to", why)
}

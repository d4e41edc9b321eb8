//! What a promotion would change in the other app, before it is done: its images, and what these were made from.

use super::{Difference, Releases, commit_page, image_differences, live, named, origin_differences, other_place, releases_of};
use crate::{apps::find_app, ground::Ground, promotions, stacks};
use std::collections::BTreeSet;
use types::{Action, Actor, App, Environment, Error, Release, ReleaseStack, Result, Source};

#[derive(Debug, Clone)]
pub struct PromotionPlan {
    /// Where the release goes.
    pub target: App,
    pub environment: Environment,
    /// The number of the release that goes there.
    pub release: u64,
    /// That of what is live there; `None`: it would be its first.
    pub live: Option<u64>,
    /// From what is live there to what would be. Empty when nothing is.
    pub changes: Vec<Difference>,
    /// Why the target may not be the one that is meant.
    pub warnings: Vec<String>,
}

impl Releases {
    /// What [`crate::Deployments::promote`] would do with the same.
    pub async fn promotion(&self, actor: &Actor, app: &str, release: Option<&str>, to: Option<&str>) -> Result<PromotionPlan> {
        actor.may_somewhere(Action::Deploy)?;
        let ground = &self.ground;
        let from = find_app(ground, actor, Action::View, app)?;
        // Who may comes before what was asked.
        let to = to.ok_or_else(|| Error::invalid("to", "is missing"))?;
        let release = promoted(ground, &from, release)?;
        let target = other_place(ground, actor, Action::Deploy, &from, to)?;
        promotions::must_fit(ground, &release, &target)?;
        let environment = ground.store.environments.get(target.environment.as_str())?.value;
        let there = live(ground, &target)?;
        let changes = match &there {
            Some(there) => changes(ground, [&target, &from], there, &release)?,
            None => Vec::new(),
        };
        Ok(PromotionPlan {
            warnings: warnings(&from, &target, &environment),
            release: release.number,
            live: there.map(|there| there.number),
            environment,
            target,
            changes,
        })
    }
}

/// The release that a promotion takes: the live one, unless another is named.
pub(crate) fn promoted(ground: &Ground, from: &App, wanted: Option<&str>) -> Result<Release> {
    let releases = releases_of(ground, &from.id)?;
    match (wanted, &from.release) {
        (Some(wanted), _) => named(&releases, wanted).cloned(),
        (None, Some(live)) => named(&releases, live.as_str()).cloned(),
        (None, None) => Err(Error::busy(format!("`{}` has no live release to promote", from.name))),
    }
}

/// `apps`: those that `there` and `release` are of.
fn changes(ground: &Ground, apps: [&App; 2], there: &Release, release: &Release) -> Result<Vec<Difference>> {
    let [target, from] = apps;
    let mut found = origin_differences(there, release);
    if let Some(commit) = found.iter_mut().find(|one| one.what == "commit") {
        commit.pages = [commit_page(target, there), commit_page(from, release)];
    }
    match &release.stack {
        Some(stack) => {
            let running = there.stack.as_ref().map_or(&[][..], |stack| stack.services.as_slice());
            let wanted = services(ground, target, stack)?;
            found.extend(stacks::image_differences(running, &stack.services, &wanted));
        }
        None => found.extend(image_differences(there, release)),
    }
    Ok(found)
}

/// The services that there would be. A file among the source comes along with the commit or the upload.
fn services(ground: &Ground, target: &App, promoted: &ReleaseStack) -> Result<BTreeSet<String>> {
    if target.source.tree_stack().is_some() {
        return Ok(promoted.services.iter().map(|service| service.name.clone()).collect());
    }
    let stack = stacks::compose(ground, target)?.stack;
    Ok(stack.services.into_iter().map(|service| service.name).collect())
}

/// Apps of one name in several environments are the same one to people; what has another name may have been meant as an environment.
fn warnings(from: &App, target: &App, environment: &Environment) -> Vec<String> {
    if from.name == target.name {
        return Vec::new();
    }
    let mut found = vec![format!(
        "`{}` in {} is another app than `{}`",
        target.name, environment.name, from.name
    )];
    if let Some([here, there]) = source_words(&from.source, &target.source) {
        found.push(format!("`{}` is made from {there}, `{}` from {here}", target.name, from.name));
    }
    found
}

/// What the two are made from, unless that is the same.
fn source_words(from: &Source, to: &Source) -> Option<[String; 2]> {
    match (from, to) {
        (Source::Git(a), Source::Git(b)) => (a.url != b.url).then(|| ["a repository".to_owned(), "another repository".to_owned()]),
        (Source::Image { reference: a }, Source::Image { reference: b }) if a.repository() == b.repository() => None,
        (Source::Compose(_), Source::Compose(_)) | (Source::Upload(_), Source::Upload(_)) => None,
        _ => Some([kind_words(from), kind_words(to)]),
    }
}

fn kind_words(source: &Source) -> String {
    match source {
        Source::Git(_) => "a repository".to_owned(),
        Source::Image { reference } => format!("the image {}", reference.repository()),
        Source::Compose(_) => "a Compose file".to_owned(),
        Source::Upload(_) => "what is uploaded".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn other_images_are_told_apart_and_other_tags_are_not() {
        let image = |reference: &str| Source::Image {
            reference: reference.parse().unwrap(),
        };
        assert_eq!(source_words(&image("site:3"), &image("site:2")), None);
        assert_eq!(
            source_words(&image("ghcr.io/team/site:3"), &image("redis:7")),
            Some(["the image ghcr.io/team/site".to_owned(), "the image redis".to_owned()])
        );
    }
}

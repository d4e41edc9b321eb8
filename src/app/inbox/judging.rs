//! What is decided of a delivery: by the app's branch, the webhook's rules, the commit and the files, by locks and freezes.

use super::{Saying, Verdict, overtaken};
use crate::{
    deployments::{self, git_login},
    freezes,
    ground::Ground,
    previews,
    webhooks::same_repository,
};
use source::{
    Compare, Tip,
    webhooks::{Filter, asks_to_skip},
};
use std::{sync::Arc, time::Duration};
use types::{App, Decision, Delivery, Error, Forge, GitRef, GitSource, Push, Reference, Result, Source, Webhook, report};

/// Forges wait ten seconds for an answer.
const COMPARING: Duration = Duration::from_secs(8);

/// What to do with a delivery, and why.
pub(super) async fn decide(ground: &Arc<Ground>, app: &App, delivery: &Delivery, saying: &Saying, by: &str) -> Result<Verdict> {
    let (webhook, push) = match saying {
        Saying::Clear(decision, why) => return Ok(Verdict::new(*decision, why)),
        Saying::Push(webhook, push) => (webhook, push),
        Saying::Request(request) => {
            let by = match &request.author {
                Some(who) => format!("{who} ({by})"),
                None => by.to_owned(),
            };
            let judged = previews::judge(ground, app, request, &by)?;
            return Ok(Verdict {
                preview: judged.keep,
                ..Verdict::new(judged.decision, judged.why)
            });
        }
    };
    let mut verdict = judge_one(ground, app, webhook, (**push).clone()).await?;
    if verdict.decision == Decision::BranchFilter
        && let Some(passed) = pass_on(ground, app, webhook, (**push).clone()).await?
    {
        verdict = passed;
    }
    if verdict.deploy.is_none() {
        return Ok(verdict);
    }
    let other = match &verdict.to {
        Some(other) => Some(ground.store.apps.get(other.as_str())?.value),
        None => None,
    };
    let target = other.as_ref().unwrap_or(app);
    let now = ground.world.now();
    let instead = |decision, why: String, push| Verdict {
        push,
        ..Verdict::new(decision, why)
    };
    // Who asks for an old one again wants just that, and polling finds the newest only.
    if delivery.replay_of.is_none()
        && delivery.forge != Forge::Poll
        && let Some(late) = overtaken::judge(ground, delivery, target, push).await?
    {
        return Ok(instead(late.decision, late.why, verdict.push));
    }
    if let Some(lock) = target.locked(now) {
        let why = format!("ignored: {}; replay it when they are unlocked", lock.words());
        return Ok(instead(Decision::Locked, why, verdict.push));
    }
    if let Some(frozen) = freezes::frozen(&ground.store, &target.organization, &target.environment, now)? {
        let why = format!("held: {}; deployed when that ends", frozen.words());
        return Ok(instead(Decision::Held, why, verdict.push));
    }
    Ok(verdict)
}

/// Which app a push to the webhook of `app` is for.
pub(crate) fn target(ground: &Ground, app: &App, webhook: &Webhook, push: &Push) -> Result<App> {
    if let Source::Git(git) = &app.source
        && refused_by_name(git, webhook, push)?.is_some_and(|verdict| verdict.decision == Decision::BranchFilter)
        && let Some(other) = follower(ground, app, webhook, push)?
    {
        return Ok(other);
    }
    Ok(app.clone())
}

/// The app in another environment that a webhook passes a push on to: the one that follows its branch.
pub(crate) fn follower(ground: &Ground, app: &App, webhook: &Webhook, push: &Push) -> Result<Option<App>> {
    let Some(Reference::Branch(name)) = &push.reference else {
        return Ok(None);
    };
    for id in &webhook.passes_to {
        let Some(other) = ground.store.apps.find(id.as_str())? else {
            continue;
        };
        let Source::Git(git) = &other.source else { continue };
        let is_its = git.branch.as_ref().map(GitRef::as_str) == Some(name.as_str());
        if is_its && other.trashed_at.is_none() && same_repository(app, &other) {
            return Ok(Some(other.value));
        }
    }
    Ok(None)
}

/// What the app that a push is passed on to makes of it. Its branch alone says which pushes are its own; files are watched as
/// for the app that the webhook is of.
async fn pass_on(ground: &Arc<Ground>, app: &App, webhook: &Webhook, mut push: Push) -> Result<Option<Verdict>> {
    let Some(other) = follower(ground, app, webhook, &push)? else {
        return Ok(None);
    };
    let verdict = judge_content(ground, &other, webhook, &mut push).await?;
    let environment = ground.store.environments.get(other.environment.as_str())?.value.name;
    Ok(Some(Verdict {
        why: format!("{} in {environment}", verdict.why),
        push: Some(push),
        to: Some(other.id),
        ..verdict
    }))
}

async fn judge_one(ground: &Arc<Ground>, app: &App, webhook: &Webhook, mut push: Push) -> Result<Verdict> {
    let verdict = match &app.source {
        Source::Image { .. } if push.reference.is_some() => Verdict::new(
            Decision::OtherEvent,
            "ignored: the app is from an image, so pushes to a repository mean nothing to it",
        ),
        Source::Image { reference } => deploy(None, format!("deploying {reference}")),
        Source::Compose(_) => deploy(None, "deploying its services".to_owned()),
        Source::Upload(_) => Verdict::new(
            Decision::OtherEvent,
            "ignored: the app is made from what is uploaded, so pushes mean nothing to it",
        ),
        Source::Git(git) => {
            if git.branch.is_none() && webhook.rules.branches.is_empty() && push.default_branch.is_none() {
                push.default_branch = default_branch(ground, app, git).await;
            }
            match refused_by_name(git, webhook, &push)? {
                Some(verdict) => verdict,
                None => judge_content(ground, app, webhook, &mut push).await?,
            }
        }
    };
    Ok(Verdict {
        push: Some(push),
        ..verdict
    })
}

fn deploy(reference: Option<GitRef>, why: String) -> Verdict {
    Verdict {
        deploy: Some(reference),
        ..Verdict::new(Decision::Deployed, why)
    }
}

/// By its branch or tag.
pub(crate) fn refused_by_name(git: &GitSource, webhook: &Webhook, push: &Push) -> Result<Option<Verdict>> {
    let rules = &webhook.rules;
    let Some(reference) = &push.reference else { return Ok(None) };
    let no = |decision, why: String| Ok(Some(Verdict::new(decision, format!("ignored: {why}"))));
    if push.deleted {
        return no(Decision::Deleted, format!("the {} was deleted", reference.words()));
    }
    match reference {
        Reference::Tag(name) if rules.tags.is_empty() => {
            no(Decision::TagFilter, format!("tag filter; {name} is a tag, and no tags deploy"))
        }
        Reference::Tag(name) if !Filter::of_names("tags", &rules.tags)?.takes(name) => no(
            Decision::TagFilter,
            format!("tag filter; {name} does not fit {}", rules.tags.join(", ")),
        ),
        Reference::Branch(name) if !rules.branches.is_empty() => match Filter::of_names("branches", &rules.branches)?.takes(name) {
            true => Ok(None),
            false => no(
                Decision::BranchFilter,
                format!("branch filter; {name} does not fit {}", rules.branches.join(", ")),
            ),
        },
        Reference::Branch(name) => match git.branch.as_ref().map(GitRef::as_str).or(push.default_branch.as_deref()) {
            Some(own) if own == name => Ok(None),
            Some(own) => no(Decision::BranchFilter, format!("branch filter; {name} is not {own}")),
            None => Ok(Some(Verdict::new(
                Decision::Failed,
                format!(
                    "not decided: the repository did not say whether {name} is its default branch; name the app's branch in its settings"
                ),
            ))),
        },
        Reference::Tag(_) => Ok(None),
    }
}

/// As the repository itself says.
async fn default_branch(ground: &Ground, app: &App, git: &GitSource) -> Option<String> {
    let tip = tips_of(ground, app, git).await?.into_iter().find(|tip| tip.default)?;
    tip.reference.strip_prefix("refs/heads/").map(str::to_owned)
}

/// Its branches and tags; `None`: it does not answer in time.
pub(super) async fn tips_of(ground: &Ground, app: &App, git: &GitSource) -> Option<Vec<Tip>> {
    let egress = ground.egress(&app.organization).ok()?;
    let login = git_login(ground, git).await.ok()?;
    let tips = tokio::time::timeout(COMPARING, source::tips(&git.url, &login, git.host_key.as_deref(), egress));
    tips.await.ok()?.ok()
}

/// By its commit and files.
async fn judge_content(ground: &Arc<Ground>, app: &App, webhook: &Webhook, push: &mut Push) -> Result<Verdict> {
    if let Some(after) = &push.after
        && let Some(verdict) = unchanged(ground, app, after)?
    {
        return Ok(verdict);
    }
    if asks_to_skip(&push.message) {
        return Ok(Verdict::new(Decision::SkippedByCommit, "ignored: the commit says [skip deploy]"));
    }
    let mut unsure = String::new();
    if !webhook.rules.paths.is_empty() {
        if push.files.is_none() {
            match changed_files(ground, app, push).await {
                Ok(files) => push.files = files,
                Err(error) => unsure = format!(" (which files changed could not be found out: {})", report(&error)),
            }
        }
        let filter = Filter::of_paths("paths", &webhook.rules.paths)?;
        if let Some(files) = &push.files
            && !files.iter().any(|file| filter.takes(file))
        {
            return Ok(Verdict::new(
                Decision::PathFilter,
                format!("ignored: path filter; changed {}", summary(files)),
            ));
        }
    }
    let what = match (&push.after, &push.reference) {
        (Some(commit), Some(reference)) => format!("{} of {}", &commit[..10], reference.words()),
        (Some(commit), None) => commit[..10].to_owned(),
        (None, Some(reference)) => reference.words(),
        (None, None) => "the newest commit".to_owned(),
    };
    let wanted = push.after.as_deref().or(push.reference.as_ref().map(Reference::name));
    let reference = wanted.map(str::parse).transpose()?;
    Ok(deploy(reference, format!("deploying {what}{unsure}")))
}

/// One that is live, or on its way there, is not deployed again by a push: two branches at one commit, or a webhook and
/// polling for the same push.
fn unchanged(ground: &Ground, app: &App, after: &str) -> Result<Option<Verdict>> {
    let Some(id) = &app.last_deployment else { return Ok(None) };
    let Some(last) = deployments::find(ground, id)? else {
        return Ok(None);
    };
    let its = last.reference.as_ref().is_some_and(|reference| reference.as_str() == after);
    let its = its || last.commit.as_ref().is_some_and(|commit| commit.id == after);
    let wanted = !last.phase.is_final() || last.phase == types::Phase::Live;
    Ok((its && wanted).then(|| {
        Verdict::new(
            Decision::Unchanged,
            format!("ignored: {} is deployed already as #{}", &after[..10], last.number),
        )
    }))
}

/// Asks the repository. `None`: the branch is new, so all of it counts.
async fn changed_files(ground: &Ground, app: &App, push: &mut Push) -> Result<Option<Vec<String>>> {
    let (Source::Git(git), Some(after)) = (&app.source, push.after.clone()) else {
        return Ok(None);
    };
    if push.before.is_none() {
        return Ok(None);
    }
    let compare = source::compare(Compare {
        url: git.url.clone(),
        login: git_login(ground, git).await?,
        host_key: git.host_key.clone(),
        egress: ground.egress(&app.organization)?,
        before: push.before.clone(),
        after,
    });
    let slow = |_| Error::unavailable("the repository did not answer in time");
    Ok(tokio::time::timeout(COMPARING, compare).await.map_err(slow)??.files)
}

/// `only docs/`, `README.md and 3 more`.
fn summary(files: &[String]) -> String {
    let top: std::collections::BTreeSet<String> = files
        .iter()
        .map(|file| {
            file.split_once('/')
                .map_or_else(|| file.clone(), |(folder, _)| format!("{folder}/"))
        })
        .collect();
    let names: Vec<&str> = top.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] => "nothing".into(),
        [one] => format!("only {one}"),
        [rest @ .., last] if rest.len() < 4 => format!("only {} and {last}", rest.join(", ")),
        names => format!("only {} and {} more", names[..3].join(", "), names.len() - 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        for (files, expected) in [
            (&["docs/a", "docs/b/c"][..], "only docs/"),
            (&["README.md"], "only README.md"),
            (&["a/x", "b", "c"], "only a/, b and c"),
            (&["a", "b", "c", "d", "e", "f"], "only a, b, c and 3 more"),
            (&[], "nothing"),
        ] {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            assert_eq!(summary(&files), expected);
        }
    }
}

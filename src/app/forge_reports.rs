//! Tells forges what becomes of their commits: a state beside the commit, and at GitHub and GitLab a deployment. A report is written down
//! in the same batch as the deployment's phase, and told by a job of its own: so no deployment waits for a forge, and none
//! is forgotten over a restart.

use crate::{
    apps::is_active,
    deployments,
    forges::{access, connection_of, repository_of},
    ground::Ground,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use source::forges::{ForgeApi, Status};
use std::{sync::Arc, time::Duration};
use store::{Batch, Stored};
use types::{
    Actor, App, Cause, CommitState, Deployment, DeploymentId, Error, Fact, ForgeReport, Phase, RepositoryPath, Result, Source, report,
};

/// Forges that are asked at the same time.
const AT_ONCE: usize = 8;
/// A forge that does not answer must not keep the others waiting.
const TELLING: Duration = Duration::from_secs(45);

/// See the module.
pub struct ForgeReporter {
    ground: Arc<Ground>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct ForgeReporterReport {
    pub told: usize,
    pub problems: Vec<String>,
}

impl ForgeReporter {
    pub(crate) fn new(ground: Arc<Ground>) -> ForgeReporter {
        ForgeReporter { ground }
    }
}

/// Adds to a batch what a forge is to be told of this deployment, as it is now. The caller wakes the reporter.
pub(crate) fn note(ground: &Ground, app: &App, deployment: &Deployment, batch: Batch) -> Result<Batch> {
    let Some(repository) = repository_of(app) else {
        return Ok(batch);
    };
    // One that failed before it had its source is shown beside what its branch has; the forge is asked for that when it is told.
    let commit = match commit_of(deployment) {
        Some(commit) => commit,
        None if deployment.phase == Phase::Failed && branch_of(app, deployment).is_some() => String::new(),
        None => return Ok(batch),
    };
    let now = ground.world.now();
    if let Some(mut known) = ground.store.forge_reports.find(deployment.id.as_str())? {
        let is_news = known.told != Some(state_of(deployment.phase));
        if !is_news || known.next_at.is_some_and(|next| next <= now) {
            return Ok(batch);
        }
        // News are worth a try at once.
        known.next_at = Some(now);
        known.updated_at = now;
        return Ok(batch.save(known));
    }
    let (place, production) = place_of(ground, app)?;
    Ok(batch.insert(ForgeReport {
        organization: app.organization.clone(),
        app: app.id.clone(),
        deployment: deployment.id.clone(),
        repository: repository.clone(),
        commit,
        place,
        production,
        told: None,
        record: None,
        failures: 0,
        problem: None,
        next_at: Some(now),
        created_at: now,
        updated_at: now,
    }))
}

/// Removes what was told of a deployment that goes.
pub(crate) fn forget(ground: &Ground, deployment: &DeploymentId, batch: Batch) -> Result<Batch> {
    let known = ground.store.forge_reports.find(deployment.as_str())?;
    Ok(known.iter().fold(batch, Batch::remove))
}

/// The commit that is deployed, or the one that is asked for and not fetched yet.
fn commit_of(deployment: &Deployment) -> Option<String> {
    if let Some(commit) = &deployment.commit {
        return Some(commit.id.clone());
    }
    let asked = deployment.reference.as_ref()?.as_str();
    is_commit(asked).then(|| asked.to_lowercase())
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The branch or tag that is deployed: in full where it was pushed, as somebody has written it, or the app's own. `None`: the
/// repository's default branch.
fn reference_of(ground: &Ground, app: &App, deployment: &Deployment) -> Result<Option<String>> {
    if let Cause::Push { delivery } = &deployment.cause
        && let Some(delivery) = ground.store.deliveries.claimed(delivery.as_str())?
        && let Some(pushed) = delivery.push.as_ref().and_then(|push| push.reference.as_ref())
    {
        return Ok(Some(pushed.full()));
    }
    let asked = deployment.reference.as_ref().filter(|asked| !is_commit(asked.as_str()));
    let own = match &app.source {
        Source::Git(git) => git.branch.as_ref(),
        _ => None,
    };
    Ok(asked.or(own).map(|named| named.as_str().to_owned()))
}

/// The branch that was to be deployed, by name. What goes back or is promoted has nothing to do with it.
fn branch_of(app: &App, deployment: &Deployment) -> Option<String> {
    let (Source::Git(git), Cause::Manual | Cause::Created | Cause::Push { .. }) = (&app.source, &deployment.cause) else {
        return None;
    };
    let wanted = deployment.reference.as_ref().or(git.branch.as_ref())?;
    Some(wanted.as_str().trim_start_matches("refs/heads/").to_owned())
}

/// The commit that a branch has at the forge now.
async fn tip_of(api: &ForgeApi, path: &RepositoryPath, branch: Option<String>) -> Result<String> {
    let gone = || Error::busy("there is no commit to show it beside: the branch is not at the forge");
    let branch = branch.ok_or_else(gone)?;
    let found = api.branches(path, &branch).await?.items;
    let tip = found.into_iter().find(|one| one.name == branch);
    tip.map(|one| one.commit).ok_or_else(gone)
}

/// `production/blog`; with the project in front where the organization has several.
fn place_of(ground: &Ground, app: &App) -> Result<(String, bool)> {
    let environment = ground.store.environments.get(app.environment.as_str())?.value.name;
    let projects = ground.store.projects.list()?;
    let own: Vec<_> = projects.iter().filter(|project| project.organization == app.organization).collect();
    let project = own.iter().find(|project| project.id == app.project).filter(|_| own.len() > 1);
    let front = project.map(|project| format!("{}/", project.name)).unwrap_or_default();
    Ok((format!("{front}{environment}/{}", app.name), environment.as_str() == "production"))
}

fn state_of(phase: Phase) -> CommitState {
    match phase {
        Phase::Live => CommitState::Success,
        Phase::Failed => CommitState::Failure,
        Phase::Cancelled | Phase::Superseded => CommitState::Cancelled,
        Phase::Queued | Phase::Fetching | Phase::Building | Phase::Starting | Phase::Checking | Phase::Trying => CommitState::Pending,
    }
}

#[async_trait]
impl jobs::Job for ForgeReporter {
    const NAME: &'static str = "forge_reports";
    type Report = ForgeReporterReport;

    async fn run(&mut self) -> Result<ForgeReporterReport> {
        let ground = &self.ground;
        let now = ground.world.now();
        let mut due = Vec::new();
        for stored in ground.store.forge_reports.list()? {
            if stored.next_at.is_some_and(|next| next <= now) {
                due.push(stored);
            }
        }
        let told = stream::iter(due).map(|stored| tell(ground, stored)).buffer_unordered(AT_ONCE);
        let outcomes: Vec<_> = told.collect().await;
        let mut done = ForgeReporterReport::default();
        for outcome in outcomes {
            match outcome? {
                None => done.told += 1,
                Some(problem) => done.problems.push(problem),
            }
        }
        Ok(done)
    }
}

/// Tells one, and writes down what came of it. `Some`: why it was not told.
async fn tell(ground: &Arc<Ground>, stored: Stored<ForgeReport>) -> Result<Option<String>> {
    let key = stored.deployment.to_string();
    let (Some(deployment), Some(app)) = (
        deployments::find(ground, &stored.deployment)?,
        ground.store.apps.find(stored.app.as_str())?,
    ) else {
        match ground.store.commit(Batch::new().remove(&stored)).await {
            // Somebody touched it just now: next time.
            Err(Error::Stale { .. }) => return Ok(None),
            other => other?,
        }
        return Ok(None);
    };
    let state = state_of(deployment.phase);
    let (mut record, mut commit) = (stored.record.clone(), stored.commit.clone());
    let telling = tokio::time::timeout(TELLING, say(ground, &app, &deployment, &stored, state, &mut record, &mut commit));
    let said = telling
        .await
        .unwrap_or_else(|_| Err(Error::unavailable("the forge did not answer in time")));
    let problem = said
        .err()
        .map(|error| ground.redactor.redact_for(&app.organization, &report(&error)).into_owned());
    let now = ground.world.now();
    let note = |known: &mut ForgeReport| {
        known.record.clone_from(&record);
        known.commit.clone_from(&commit);
        known.problem.clone_from(&problem);
        known.updated_at = now;
        if problem.is_some() {
            known.failures += 1;
            known.next_at = (known.failures < ForgeReport::TRIES).then(|| now.plus(ForgeReport::pause(known.failures)));
        } else {
            known.failures = 0;
            known.told = Some(state);
            known.next_at = None;
        }
        Ok(())
    };
    match ground.store.forge_reports.update(&key, note).await {
        Err(Error::NotFound { .. }) => {}
        other => drop(other?),
    }
    // The deployment may have moved on meanwhile, and its own note was lost in this one.
    if problem.is_none() && !state.is_final() {
        catch_up(ground, &key, state).await?;
    }
    let fact = Fact::ForgeTold {
        app: app.id.clone(),
        name: app.name.to_string(),
        deployment: deployment.id.clone(),
        number: deployment.number,
        problem: problem.clone(),
    };
    ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
    Ok(problem.map(|why| format!("{} #{}: {why}", app.name, deployment.number)))
}

/// Asks for another turn if the deployment is not any more what was told.
async fn catch_up(ground: &Ground, key: &str, told: CommitState) -> Result<()> {
    let Some(stored) = ground.store.forge_reports.find(key)? else {
        return Ok(());
    };
    let Some(deployment) = deployments::find(ground, &stored.deployment)? else {
        return Ok(());
    };
    if state_of(deployment.phase) == told || stored.next_at.is_some() {
        return Ok(());
    }
    let now = ground.world.now();
    let again = |known: &mut ForgeReport| {
        known.next_at = Some(now);
        Ok(())
    };
    ground.store.forge_reports.update(key, again).await?;
    ground.wakes.forge_reports.wake();
    Ok(())
}

async fn say(
    ground: &Ground,
    app: &App,
    deployment: &Deployment,
    known: &ForgeReport,
    state: CommitState,
    record: &mut Option<String>,
    commit: &mut String,
) -> Result<()> {
    let connection = connection_of(ground, &known.repository)?;
    let path = &known.repository.path;
    let api = access::api(ground, &connection, path).await?;
    let context = format!("serverkit/{}", known.place);
    let link = format!("{}/deployments/{}", ground.panel_address()?, deployment.id);
    let words = words(ground, app, deployment);
    let site = site_of(ground, app)?;
    let reference = reference_of(ground, app, deployment)?;
    let status = Status {
        state,
        context: &context,
        words: &words,
        link: &link,
        environment: &known.place,
        reference: reference.as_deref(),
        site: site.as_deref(),
        production: known.production,
        number: deployment.number,
    };
    if commit.is_empty() {
        *commit = tip_of(&api, path, branch_of(app, deployment)).await?;
    }
    api.tell(path, commit, &status).await?;
    let made = api.record(path, commit, record.as_deref(), &status).await?;
    if made.is_some() {
        *record = made;
    }
    Ok(())
}

/// `#4 is live`; why it failed is said on the panel only, since forges show this to whoever sees the commit.
fn words(ground: &Ground, app: &App, deployment: &Deployment) -> String {
    let number = deployment.number;
    let took = deployment.finished_at.map(|end| end.since(deployment.queued_at).as_secs());
    let took = took.map(|seconds| format!(" after {seconds} s")).unwrap_or_default();
    let text = match deployment.phase {
        Phase::Live => format!("{} #{number} is live{took}", app.name),
        Phase::Failed => format!("{} #{number} failed{took}", app.name),
        Phase::Cancelled => format!("{} #{number} was cancelled", app.name),
        Phase::Superseded => format!("{} #{number} gave way to a newer one", app.name),
        phase if is_active(phase) => format!("{} #{number} is {}", app.name, phase.word()),
        phase => format!("{} #{number}: {}", app.name, phase.word()),
    };
    ground.redactor.redact_for(&app.organization, &text).into_owned()
}

/// Where the app serves: its first domain.
fn site_of(ground: &Ground, app: &App) -> Result<Option<String>> {
    let domains = ground.store.domains.list()?;
    let mut own: Vec<_> = domains.iter().filter(|domain| domain.app == app.id).collect();
    own.sort_by_key(|domain| !domain.primary);
    Ok(own.first().map(|domain| ground.url_of(&domain.host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_as_forges_see_them() {
        for (phase, state) in [
            (Phase::Queued, CommitState::Pending),
            (Phase::Checking, CommitState::Pending),
            (Phase::Trying, CommitState::Pending),
            (Phase::Live, CommitState::Success),
            (Phase::Failed, CommitState::Failure),
            (Phase::Superseded, CommitState::Cancelled),
        ] {
            assert_eq!(state_of(phase), state);
            assert_eq!(state.is_final(), phase.is_final());
        }
    }
}

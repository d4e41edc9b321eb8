//! The one comment beside a pull request that says where its preview is and how it fares. It is written anew in place.

use super::{deployment_of, short_of};
use crate::{
    apps::is_active,
    forges::{access, connection_of, repository_of},
    ground::Ground,
};
use std::time::Duration;
use store::Stored;
use types::{App, Deployment, Error, ForgeReport, Phase, Preview, PreviewRules, PreviewState, Result, report};

/// A forge that does not answer must not keep the others waiting.
const TELLING: Duration = Duration::from_secs(30);

/// Writes the comment if it does not say what is so. `Some`: why it could not be.
pub(crate) async fn tell(ground: &Ground, rules: &PreviewRules, of: &App, stored: &Stored<Preview>) -> Result<Option<String>> {
    let now = ground.world.now();
    let (Some(repository), true) = (repository_of(of), rules.comment) else {
        return Ok(None);
    };
    let text = text(ground, of, stored, deployment_of(ground, stored)?.as_ref())?;
    let Some(text) = text.filter(|text| stored.told.as_ref() != Some(text)) else {
        return Ok(None);
    };
    if stored.tell_at.is_some_and(|at| now < at) || stored.tell_failures >= ForgeReport::TRIES {
        return Ok(None);
    }
    let writing = async {
        let connection = connection_of(ground, repository)?;
        let api = access::api(ground, &connection, &repository.path).await?;
        let known = stored.comment.as_deref();
        api.comment_save(&repository.path, stored.request.number, known, &text).await
    };
    let slow = |_| Err(Error::unavailable("the forge did not answer in time"));
    let written = tokio::time::timeout(TELLING, writing).await.unwrap_or_else(slow);
    let problem = written
        .as_ref()
        .err()
        .map(|error| ground.redactor.redact_for(&of.organization, &report(error)).into_owned());
    let note = |preview: &mut Preview| {
        preview.tell_problem.clone_from(&problem);
        match &written {
            Ok(id) => {
                preview.comment = Some(id.clone());
                preview.told = Some(text.clone());
                preview.tell_failures = 0;
                preview.tell_at = None;
            }
            Err(_) => {
                preview.tell_failures += 1;
                preview.tell_at = Some(now.plus(ForgeReport::pause(preview.tell_failures)));
            }
        }
        Ok(())
    };
    match ground.store.previews.update(&store::Record::key(&stored.value), note).await {
        Err(Error::NotFound { .. }) => {}
        other => drop(other?),
    }
    Ok(problem)
}

/// `None`: there is nothing to say, as of a request that its labels leave out. Why something failed is said on the panel only,
/// since everybody who sees the request reads this.
fn text(ground: &Ground, of: &App, preview: &Preview, deployment: Option<&Deployment>) -> Result<Option<String>> {
    let unsaid = preview.comment.is_none() && matches!(preview.state, PreviewState::LeftOut | PreviewState::Going | PreviewState::Gone);
    if unsaid {
        return Ok(None);
    }
    let state = state_words(preview, deployment);
    let mut lines = vec![
        format!("**Preview of {}**: {state}", of.name),
        String::new(),
        "| | |".to_owned(),
        "| --- | --- |".to_owned(),
    ];
    if let Some(host) = &preview.host {
        lines.push(format!("| Address | {} |", ground.url_of(host)));
    }
    let shown = match preview.deployed.as_deref().filter(|_| preview.host.is_some()) {
        Some(deployed) => short_of(deployed),
        None => preview.request.short(),
    };
    lines.push(format!("| Commit | `{shown}` |"));
    if let Some(deployment) = deployment {
        let panel = ground.panel_address()?;
        lines.push(format!(
            "| Deployment | [#{}]({panel}/deployments/{}) |",
            deployment.number, deployment.id
        ));
    }
    Ok(Some(ground.redactor.redact_for(&of.organization, &lines.join("\n")).into_owned()))
}

/// How it fares, in a few words that everybody may read.
pub(crate) fn state_words(preview: &Preview, deployment: Option<&Deployment>) -> String {
    let short = preview.request.short();
    let runs = match preview.environment {
        Some(_) => "; what was allowed before still runs",
        None => "",
    };
    match (preview.state, deployment.map(|deployment| deployment.phase)) {
        (PreviewState::Waiting, _) => format!("`{short}` comes from a fork and waits until somebody allows it on the panel{runs}"),
        (PreviewState::Full, _) => "waits for room: there are as many previews as there may be".to_owned(),
        (PreviewState::LeftOut, _) => "not made, because of the labels".to_owned(),
        (PreviewState::Wanted, _) => format!("`{short}` is being prepared"),
        (PreviewState::Going, _) => "is being removed".to_owned(),
        (PreviewState::Gone, _) => "removed".to_owned(),
        (PreviewState::Up, Some(Phase::Live)) => "live".to_owned(),
        (PreviewState::Up, Some(Phase::Failed)) => "the deployment failed".to_owned(),
        (PreviewState::Up, Some(Phase::Cancelled | Phase::Superseded)) => "the deployment was cancelled".to_owned(),
        (PreviewState::Up, Some(phase)) if is_active(phase) => format!("`{short}` is on its way"),
        (PreviewState::Up, _) => "is being prepared".to_owned(),
    }
}

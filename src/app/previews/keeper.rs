//! Keeps previews as they should be: makes, renews and removes them, asks forges which requests are still open, and keeps the
//! comments true.

use super::{comments, gone_of, making, others_of};
use crate::{
    forges::{access, connection_of, repository_of},
    ground::Ground,
};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use store::{Batch, Record, Stored};
use types::{Actor, App, Error, Fact, Preview, PreviewRules, PreviewState, Result, report};

/// Between two looks at what is open.
const COMPARING: Duration = Duration::from_secs(3600);
/// Of one look.
const ASKING: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// The record of one that is gone is kept so long: it knows the comment, if the request is opened again.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// See the module.
pub struct Previewer {
    ground: Arc<Ground>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct PreviewerReport {
    pub made: Vec<String>,
    pub removed: Vec<String>,
    pub problems: Vec<String>,
}

impl Previewer {
    pub(crate) fn new(ground: Arc<Ground>) -> Previewer {
        Previewer { ground }
    }

    async fn turn(&self, key: &str, done: &mut PreviewerReport) -> Result<()> {
        let ground = &self.ground;
        let Some(stored) = ground.store.previews.find(key)? else {
            return Ok(());
        };
        let rules = ground.store.preview_rules.find(stored.of.as_str())?.map(|rules| rules.value);
        let of = ground.store.apps.find(stored.of.as_str())?.map(|of| of.value);
        let called = called(of.as_ref(), &stored);
        if let Some(why) = over(ground, rules.as_ref(), of.as_ref(), &stored)? {
            send_away(ground, &stored, why).await?;
        } else if stored.state == PreviewState::Full
            && let Some(rules) = &rules
            && others_of(ground, &stored)? < rules.most as usize
        {
            want(ground, &stored).await?;
        }
        let Some(stored) = ground.store.previews.find(key)? else {
            return Ok(());
        };
        match (stored.state, &rules, &of) {
            (PreviewState::Wanted, Some(rules), Some(of)) => self.make(rules, of, stored, &called, done).await?,
            (PreviewState::Going, ..) => self.remove(of.as_ref(), stored, &called, done).await?,
            (PreviewState::Gone, ..) if of.is_none() || rules.is_none() || ground.world.now().since(stored.updated_at) > KEPT => {
                return ground.store.commit(Batch::new().remove(&stored)).await;
            }
            _ => {}
        }
        if let (Some(rules), Some(of), Some(stored)) = (&rules, &of, ground.store.previews.find(key)?)
            && let Some(problem) = comments::tell(ground, rules, of, &stored).await?
        {
            done.problems.push(format!("the comment of {called}: {problem}"));
        }
        Ok(())
    }

    async fn make(&self, rules: &PreviewRules, of: &App, stored: Stored<Preview>, called: &str, done: &mut PreviewerReport) -> Result<()> {
        let ground = &self.ground;
        let (key, request) = (stored.value.key(), stored.request.clone());
        let is_new = stored.environment.is_none();
        let why = match making::advance(ground, rules, of, stored).await {
            Ok(making::Step::Made | making::Step::Cleared) => {
                // The next step follows at once.
                ground.wakes.previews.wake();
                None
            }
            Ok(making::Step::Deployed) => {
                done.made.push(called.to_owned());
                emit(ground, of, request.number, "deployed", request.short().to_owned()).await;
                None
            }
            Ok(making::Step::Waits(why)) => Some(why),
            // Somebody changed it just now: the next turn decides.
            Err(Error::Stale { .. }) => return Ok(()),
            Err(error) => {
                let why = ground.redactor.redact_for(&rules.organization, &report(&error)).into_owned();
                done.problems.push(format!("{called}: {why}"));
                Some(why)
            }
        };
        if is_new && why.is_none() {
            emit(ground, of, request.number, "made", String::new()).await;
        }
        set_problem(ground, &key, why).await
    }

    async fn remove(&self, of: Option<&App>, stored: Stored<Preview>, called: &str, done: &mut PreviewerReport) -> Result<()> {
        let ground = &self.ground;
        let (key, number, why) = (stored.value.key(), stored.request.number, stored.why.clone());
        let whose = stored.organization.clone();
        match making::remove(ground, stored).await {
            Ok(true) => {
                done.removed.push(called.to_owned());
                if let Some(of) = of {
                    emit(ground, of, number, "removed", why).await;
                }
                Ok(())
            }
            Ok(false) | Err(Error::Stale { .. }) => Ok(()),
            Err(error) => {
                let why = ground.redactor.redact_for(&whose, &report(&error)).into_owned();
                done.problems.push(format!("removing {called}: {why}"));
                set_problem(ground, &key, Some(why)).await
            }
        }
    }
}

/// `the preview of #7 of blog`
fn called(of: Option<&App>, preview: &Preview) -> String {
    let name = of.map_or_else(|| preview.of.to_string(), |of| of.name.to_string());
    format!("the preview of #{} of {name}", preview.request.number)
}

async fn emit(ground: &Ground, of: &App, number: u64, what: &str, why: String) {
    let fact = Fact::PreviewMoved {
        app: of.id.clone(),
        name: of.name.to_string(),
        number,
        what: what.to_owned(),
        why,
    };
    ground.events.emit(&Actor::system(of.organization.clone()), fact).await;
}

async fn set_problem(ground: &Ground, key: &str, problem: Option<String>) -> Result<()> {
    if ground.store.previews.find(key)?.is_none_or(|stored| stored.problem == problem) {
        return Ok(());
    }
    let set = |preview: &mut Preview| {
        preview.problem.clone_from(&problem);
        Ok(())
    };
    ground.store.previews.update(key, set).await.map(drop)
}

/// Why one is to go, if it is.
fn over(ground: &Ground, rules: Option<&PreviewRules>, of: Option<&App>, preview: &Preview) -> Result<Option<String>> {
    if matches!(preview.state, PreviewState::Going | PreviewState::Gone) {
        return Ok(None);
    }
    let (Some(rules), Some(of)) = (rules.filter(|rules| rules.enabled), of) else {
        return Ok(Some("previews were switched off".into()));
    };
    if of.trashed_at.is_some() {
        return Ok(Some(format!("{} is in the trash", of.name)));
    }
    if preview.takes_place() && ground.world.now().since(preview.pushed_at) > DAY * rules.days {
        return Ok(Some(format!("nothing was pushed for {} days", rules.days)));
    }
    if preview.state == PreviewState::Up
        && let Some(id) = &preview.app
        && ground.store.apps.find(id.as_str())?.is_none_or(|app| app.trashed_at.is_some())
    {
        return Ok(Some("its app was deleted".into()));
    }
    Ok(None)
}

async fn send_away(ground: &Ground, preview: &Preview, why: String) -> Result<()> {
    let state = preview.state;
    let away = |preview: &mut Preview| {
        if preview.state == state {
            preview.state = PreviewState::Going;
            preview.why.clone_from(&why);
        }
        Ok(())
    };
    ground.store.previews.update(&preview.key(), away).await.map(drop)
}

/// There is room again.
async fn want(ground: &Ground, preview: &Preview) -> Result<()> {
    let why = format!("making a preview of #{}: there is room again", preview.request.number);
    let wanted = |preview: &mut Preview| {
        if preview.state == PreviewState::Full {
            preview.state = PreviewState::Wanted;
            preview.why.clone_from(&why);
        }
        Ok(())
    };
    ground.store.previews.update(&preview.key(), wanted).await.map(drop)
}

/// Asks the forge which requests of an app are open, and sends away the previews of others. Answers how many.
pub(crate) async fn compare(ground: &Ground, of: &App) -> Result<usize> {
    let began = ground.world.now();
    let repository = repository_of(of)
        .ok_or_else(|| Error::busy("the app is not from a connected forge, so nobody can be asked which requests are open"))?;
    let asking = async {
        let connection = connection_of(ground, repository)?;
        let api = access::api(ground, &connection, &repository.path).await?;
        api.open_requests(&repository.path).await
    };
    let slow = |_| Err(Error::unavailable("the forge did not answer in time"));
    let open = tokio::time::timeout(ASKING, asking).await.unwrap_or_else(slow);
    let problem = open
        .as_ref()
        .err()
        .map(|error| ground.redactor.redact_for(&of.organization, &report(error)).into_owned());
    let note = |rules: &mut PreviewRules| {
        rules.compared_at = Some(began);
        rules.problem.clone_from(&problem);
        Ok(())
    };
    match ground.store.preview_rules.update(of.id.as_str(), note).await {
        Err(Error::NotFound { .. }) => {}
        other => drop(other?),
    }
    let open = open?;
    let mut sent = 0;
    for preview in gone_of(ground, &of.id, &open.items)? {
        // One that came while the forge was asked is not in its answer, and of what was cut off nothing is known.
        if open.more || preview.pushed_at >= began {
            continue;
        }
        let why = format!("#{} is not open at the forge any more", preview.request.number);
        send_away(ground, &preview, why).await?;
        sent += 1;
    }
    if sent > 0 {
        ground.wakes.previews.wake();
    }
    Ok(sent)
}

#[async_trait]
impl jobs::Job for Previewer {
    const NAME: &'static str = "previews";
    type Report = PreviewerReport;

    async fn run(&mut self) -> Result<PreviewerReport> {
        let ground = self.ground.clone();
        let mut done = PreviewerReport::default();
        for rules in ground.store.preview_rules.list()? {
            let now = ground.world.now();
            let is_due = rules.compared_at.is_none_or(|at| now.since(at) >= COMPARING);
            let Some(of) = ground.store.apps.find(rules.app.as_str())?.filter(|_| rules.enabled && is_due) else {
                continue;
            };
            if repository_of(&of).is_some()
                && let Err(error) = compare(&ground, &of).await
            {
                done.problems.push(format!("{}: {}", of.name, report(&error)));
            }
        }
        let mut all: Vec<Stored<Preview>> = ground.store.previews.list()?;
        // Those that go make room, and those that came first get it.
        all.sort_by_key(|preview| (preview.state != PreviewState::Going, preview.created_at));
        for preview in all {
            let key = preview.value.key();
            if let Err(error) = self.turn(&key, &mut done).await {
                done.problems.push(format!("{key}: {}", report(&error)));
            }
        }
        Ok(done)
    }
}

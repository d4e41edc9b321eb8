//! When people are told of a job: when it begins to fail, and when it is well again. One letter for each change.

use crate::{ground::Ground, job_runs::of_app};
use types::{AppId, JobRun, Result, RunId, RunPhase};

/// Whether this run, which has ended, is where its job began to fail or recovered, and the job is to be told of.
pub(crate) fn is_told(ground: &Ground, app: &AppId, run: &RunId) -> Result<bool> {
    let runs = of_app(ground, app)?;
    let Some(run) = runs.iter().find(|one| one.id == *run) else {
        return Ok(false);
    };
    let Some(job) = &run.job else { return Ok(false) };
    let wanted = ground.store.app_jobs.find(&format!("{app}/{job}"))?.is_some_and(|job| job.alert);
    Ok(wanted && is_change(&runs, run))
}

/// Whether a run of a job that went well follows one that did not.
pub(crate) fn recovers(ground: &Ground, run: &JobRun) -> Result<bool> {
    if run.job.is_none() || run.phase != RunPhase::Done {
        return Ok(false);
    }
    Ok(is_change(&of_app(ground, &run.app)?, run))
}

/// Whether it ended other than the one that ended before it. A job that never ran was well.
fn is_change(runs: &[JobRun], run: &JobRun) -> bool {
    // Runs may overlap, so it is their ends that follow each other. What was cancelled or left out tells nothing.
    let ends = |one: &JobRun| (one.finished_at, one.id.to_string());
    let tells = |one: &&JobRun| one.job == run.job && (one.phase.is_bad() || one.phase == RunPhase::Done) && ends(one) < ends(run);
    let before = runs.iter().filter(tells).max_by_key(|one| ends(one));
    before.is_some_and(|one| one.phase.is_bad()) != run.phase.is_bad()
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{JobId, OrganizationId, ReleaseId, Time, World};

    #[test]
    fn each_change_is_one() {
        use RunPhase::{Cancelled, Done, Failed, Lost, Missed, Skipped, TimedOut};
        let world = World::system();
        let (organization, app, job, release) = (world.id(), world.id(), world.id(), world.id());
        let run = |(at, phase): (usize, &RunPhase)| JobRun {
            id: world.id(),
            organization: OrganizationId::clone(&organization),
            app: AppId::clone(&app),
            job: Some(JobId::clone(&job)),
            name: None,
            release: ReleaseId::clone(&release),
            command: Vec::new(),
            service: None,
            limit_seconds: 1,
            attached: false,
            by: String::new(),
            phase: *phase,
            code: None,
            error: None,
            started_at: Time(0),
            // The first to begin is not the first to end.
            finished_at: Some(Time(if at == 0 { 3 } else { at as i64 * 2 })),
        };
        let phases = [Failed, Done, Failed, TimedOut, Cancelled, Skipped, Done, Done, Missed, Lost];
        let runs: Vec<JobRun> = phases.iter().enumerate().map(run).collect();
        let changes: Vec<usize> = (0..runs.len())
            .filter(|at| !matches!(runs[*at].phase, Cancelled | Skipped))
            .filter(|at| is_change(&runs, &runs[*at]))
            .collect();
        // 1 (well from the start) ends before 0, with which it begins to fail; 6 recovers; 8 begins anew.
        assert_eq!(changes, [0, 6, 8]);
    }
}

//! What is due, missed, left out and waited for, on an engine that does as it is told.

use crate::{
    AppJobs, Apps, Deployer, JobRunner, JobWish, Reconciler,
    job_runs::{going, of_app},
    testing::Bench,
    tests::wish,
};
use jobs::Job;
use std::time::Duration;
use types::{AppJob, Overlap, RunPhase, Time};

async fn live(bench: &Bench) {
    Apps::new(bench.ground.clone())
        .create(&bench.owner, wish("blog"))
        .await
        .expect("made");
    while bench.ground.store.apps.list().expect("lists")[0].release.is_none() {
        Deployer::new(bench.ground.clone()).run().await.expect("runs");
        Reconciler::new(bench.ground.clone()).run().await.expect("runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn job(bench: &Bench, overlap: Overlap, catch_up: bool) -> AppJob {
    let wish = JobWish {
        name: "tidy".parse().expect("a name"),
        command: vec!["tidy".into()],
        service: None,
        cron: "0 * * * *".into(),
        zone: "UTC".into(),
        limit_seconds: 600,
        overlap,
        catch_up,
        enabled: true,
        alert: true,
    };
    let jobs = AppJobs::new(bench.ground.clone());
    jobs.create(&bench.owner, "blog", wish).await.expect("made").job
}

/// Makes it due since so long, and lets the runner turn once.
async fn due(bench: &Bench, job: &AppJob, ago: Duration) {
    let at = bench.ground.world.now().minus(ago);
    let set = |job: &mut AppJob| {
        job.next_at = Some(at);
        Ok(())
    };
    let key = store::Record::key(job);
    bench.ground.store.app_jobs.update(&key, set).await.expect("saved");
    turn(bench).await;
}

async fn turn(bench: &Bench) {
    JobRunner::new(bench.ground.clone()).run().await.expect("runs");
}

/// The phases of the runs, oldest first, once as many are under way as said.
async fn phases(bench: &Bench, job: &AppJob, under_way: usize) -> Vec<RunPhase> {
    for _ in 0..500 {
        if going(&bench.ground, &job.app).expect("lists").len() == under_way {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let all = of_app(&bench.ground, &job.app).expect("lists");
    all.into_iter().map(|run| run.phase).collect()
}

#[tokio::test]
async fn what_is_due_runs_once() {
    let bench = Bench::new().await;
    live(&bench).await;
    let job = job(&bench, Overlap::Skip, false).await;
    turn(&bench).await;
    assert_eq!(phases(&bench, &job, 0).await, []);
    due(&bench, &job, Duration::from_secs(1)).await;
    turn(&bench).await;
    assert_eq!(phases(&bench, &job, 0).await, [RunPhase::Done]);
    let stored = bench.ground.store.app_jobs.get(&store::Record::key(&job)).expect("there");
    assert!(stored.next_at.is_some_and(|at| at > bench.ground.world.now()));
    // Of an app that is stopped, nothing runs.
    Apps::new(bench.ground.clone()).stop(&bench.owner, "blog").await.expect("stopped");
    due(&bench, &job, Duration::from_secs(1)).await;
    assert_eq!(phases(&bench, &job, 0).await, [RunPhase::Done]);
}

#[tokio::test]
async fn a_run_brings_an_image_back_that_is_gone() {
    let gone = "the image nginx:1 in release #1 is gone from this server";
    for (digest, phase, error) in [
        (Some("sha256:aaaa"), RunPhase::Done, None),
        (None, RunPhase::Failed, Some(gone.to_owned())),
    ] {
        let bench = Bench::new().await;
        bench.node.orders.lock().expect("test").digest = digest.map(str::to_owned);
        live(&bench).await;
        let job = job(&bench, Overlap::Skip, false).await;
        bench.node.orders.lock().expect("test").gone.insert("sha256:nginx:1".into());
        due(&bench, &job, Duration::from_secs(1)).await;
        assert_eq!(phases(&bench, &job, 0).await, [phase]);
        let run = of_app(&bench.ground, &job.app).expect("lists").pop().expect("one");
        assert_eq!(run.error, error);
    }
}

#[tokio::test]
async fn what_was_missed_is_said() {
    let bench = Bench::new().await;
    live(&bench).await;
    let job = job(&bench, Overlap::Skip, false).await;
    due(&bench, &job, Duration::from_secs(3 * 3600)).await;
    assert_eq!(phases(&bench, &job, 0).await, [RunPhase::Missed]);
    let run = of_app(&bench.ground, &job.app).expect("lists").pop().expect("one");
    let why = run.error.expect("words");
    assert!(
        why.starts_with("it was time 3 times from ") || why.starts_with("it was time 4 times from "),
        "{why}"
    );
    let jobs = AppJobs::new(bench.ground.clone());
    let catch_up = |old| Ok(JobWish { catch_up: true, ..old });
    jobs.update(&bench.owner, "blog", "tidy", catch_up).await.expect("changed");
    due(&bench, &job, Duration::from_secs(3 * 3600)).await;
    assert_eq!(phases(&bench, &job, 0).await, [RunPhase::Missed, RunPhase::Done]);
    let run = of_app(&bench.ground, &job.app).expect("lists").pop().expect("one");
    assert!(run.by.starts_with("its schedule, made up for "), "{}", run.by);
}

#[tokio::test]
async fn runs_that_overlap() {
    let second = Duration::from_secs(1);
    for (overlap, first, then) in [
        (
            Overlap::Skip,
            vec![RunPhase::Running, RunPhase::Skipped],
            vec![RunPhase::Cancelled, RunPhase::Skipped],
        ),
        (Overlap::Beside, vec![RunPhase::Running; 2], vec![RunPhase::Cancelled; 2]),
        (
            Overlap::Queue,
            vec![RunPhase::Running],
            vec![RunPhase::Cancelled, RunPhase::Running],
        ),
    ] {
        let bench = Bench::new().await;
        live(&bench).await;
        bench.node.orders.lock().expect("test").hang = true;
        let job = job(&bench, overlap, false).await;
        due(&bench, &job, second).await;
        due(&bench, &job, second).await;
        let under_way = first.iter().filter(|phase| !phase.is_final()).count();
        assert_eq!(phases(&bench, &job, under_way).await, first, "{overlap:?}");
        if overlap == Overlap::Queue {
            // A third one finds that one waits.
            due(&bench, &job, second).await;
            assert_eq!(phases(&bench, &job, 1).await, [RunPhase::Running, RunPhase::Skipped]);
        }
        crate::job_runs::end_all(&bench.ground, &job.app).expect("ends");
        phases(&bench, &job, 0).await;
        turn(&bench).await;
        let left = then.iter().filter(|phase| !phase.is_final()).count();
        let mut found = phases(&bench, &job, left).await;
        found.retain(|phase| overlap != Overlap::Queue || *phase != RunPhase::Skipped);
        assert_eq!(found, then, "{overlap:?}");
    }
    let bench = Bench::new().await;
    live(&bench).await;
    bench.node.orders.lock().expect("test").hang = true;
    let job = job(&bench, Overlap::Replace, false).await;
    due(&bench, &job, second).await;
    due(&bench, &job, second).await;
    assert_eq!(phases(&bench, &job, 0).await, [RunPhase::Cancelled]);
    turn(&bench).await;
    assert_eq!(phases(&bench, &job, 1).await, [RunPhase::Cancelled, RunPhase::Running]);
}

#[tokio::test]
async fn nobody_runs_one_twice() {
    let bench = Bench::new().await;
    live(&bench).await;
    bench.node.orders.lock().expect("test").hang = true;
    let made = job(&bench, Overlap::Skip, false).await;
    let jobs = AppJobs::new(bench.ground.clone());
    jobs.run_job(&bench.owner, "blog", "tidy").await.expect("runs");
    let again = jobs.run_job(&bench.owner, "blog", "tidy").await.expect_err("it runs");
    assert_eq!(again.to_string(), "tidy runs already; wait for its end, or end it first");
    // What a crash leaves is closed in words.
    let bench = bench.again().await;
    turn(&bench).await;
    assert_eq!(phases(&bench, &made, 0).await, [RunPhase::Lost]);
    assert!(made.created_at > Time(0));
}

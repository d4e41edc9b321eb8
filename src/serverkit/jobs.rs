//! All that happens again and again, on one screen. Each job reads what should be and what is, and closes the gap.

use app::Panel;
use jobs::Runner;
use std::time::Duration;

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// Starts every job: the interval is how long it rests when nobody wakes it.
pub fn start(runner: &Runner, panel: &Panel) {
    let jobs = panel.jobs();
    runner.start_with(jobs.reconciler, seconds(60), &jobs.reconcile); // containers and routes as they should be
    runner.start_with(jobs.deployer, seconds(60), &jobs.deploy); // the queue of deployments
    runner.start_with(jobs.certifier, seconds(600), &jobs.certify); // ordering and renewing
    runner.start(jobs.allow_lists, seconds(1)); // takes back changes of the allow-lists that nobody confirmed
    runner.start(jobs.health, seconds(1)); // checks of live apps, each at its own interval
    runner.start(jobs.sampler, seconds(2)); // machine, containers, traffic
    runner.start_with(jobs.forge_reporter, seconds(5), &jobs.forge_reports); // states beside commits, at forges
    runner.start(jobs.poller, seconds(5)); // repositories whose forge cannot send, each at its own interval
    runner.start_with(jobs.hook_keeper, seconds(60), &jobs.hooks); // webhooks at forges send to where the panel is
    runner.start(jobs.image_watcher, seconds(15)); // newer images at registries, each at its own interval
    runner.start_with(jobs.ci_key_reader, seconds(30), &jobs.ci_keys); // keys of issuers whose CI jobs may deploy
    runner.start_with(jobs.quota_keeper, seconds(60), &jobs.quotas); // disk and traffic that quotas count
    runner.start_with(jobs.previewer, seconds(5), &jobs.previews); // previews of pull requests, and their comments
    runner.start_with(jobs.cloner, seconds(2), &jobs.clones); // environments that are made from others
    runner.start(jobs.job_runner, seconds(1)); // commands of apps that are due
    runner.start(jobs.timetable, seconds(5)); // apps that have hours, pushes that a freeze held
    runner.start(jobs.sleeper, seconds(5)); // apps that nobody uses go to sleep
    runner.start(jobs.catalogs, seconds(300)); // catalogs of others, each every few hours
    runner.start(jobs.notices, seconds(5)); // mails about security events
    runner.start_with(jobs.postman, seconds(30), &jobs.post); // mails that wait to be sent
    runner.start(jobs.provider_asker, seconds(60)); // whether people are still there, at providers of OpenID Connect
    runner.start(jobs.housekeeping, seconds(3600)); // trash, old releases, logs, events
}

//! Apps that sleep: put to sleep when nobody has used them for a while, and woken by a request, by somebody, or by a job.
//!
//! What should be is in the app's record (`App::asleep`), so a crash, a reboot and a restart of the panel change nothing. An
//! app that is being woken is still asleep for the edge, which holds its requests until the same check that a start has to
//! pass went well. Only what the edge passes on to an app's containers counts as use.

use crate::{
    apps::{find_app, is_active, not_trashed},
    containers, deployments,
    ground::Ground,
    job_runs, releases, routing,
};
use async_trait::async_trait;
use futures::StreamExt;
use node::ExecControl;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;
use types::{
    Action, Actor, App, AppId, Asleep, Container, ContainerState, DesiredState, Domain, EngineHealth, Error, Fact, FailedWake, Probe,
    Release, Result, RuleAction, Stream, Target, Time, UpstreamUse, Waking, report,
};

/// A stack has this long to start, or longer when its health check says so.
const STACK_START: u32 = 120;
/// A request that was given the old route in the moment of the swap has begun by then.
const SETTLE: Duration = Duration::from_millis(300);
/// The edge waits so much longer than a start may take: the route comes a moment later.
const MARGIN: Duration = Duration::from_secs(5);
/// The longest pause between two looks at an app that is being woken.
const PAUSE: Duration = Duration::from_millis(500);

/// Apps with which something is being done in this process.
#[derive(Default)]
pub(crate) struct Sleeping {
    /// Their containers are being stopped.
    lying_down: Mutex<HashSet<AppId>>,
    /// They are being woken.
    waking: Mutex<HashSet<AppId>>,
    /// Terminals that are open in them.
    terminals: Mutex<HashMap<AppId, usize>>,
}

impl Sleeping {
    fn is_lying_down(&self, app: &AppId) -> bool {
        self.lying_down.lock().expect("no panic while held").contains(app)
    }
    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        let busy = |set: &Mutex<HashSet<AppId>>| !set.lock().expect("no panic while held").is_empty();
        !busy(&self.lying_down) && !busy(&self.waking)
    }
}

/// A terminal in an app, which keeps it awake.
struct Terminal {
    ground: Arc<Ground>,
    app: AppId,
    control: Box<dyn ExecControl>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut open = self.ground.sleeping.terminals.lock().expect("no panic while held");
        if let Some(number) = open.get_mut(&self.app) {
            *number -= 1;
            if *number == 0 {
                open.remove(&self.app);
            }
        }
    }
}

#[async_trait]
impl ExecControl for Terminal {
    async fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        self.control.resize(columns, rows).await
    }
    async fn exit_code(&self) -> Result<Option<i64>> {
        self.control.exit_code().await
    }
}

/// The same control; as long as it is there, the app is in use.
pub(crate) fn while_open(ground: &Arc<Ground>, app: &AppId, control: Box<dyn ExecControl>) -> Box<dyn ExecControl> {
    let mut open = ground.sleeping.terminals.lock().expect("no panic while held");
    *open.entry(app.clone()).or_default() += 1;
    Box::new(Terminal {
        ground: ground.clone(),
        app: app.clone(),
        control,
    })
}

/// Where its requests go while it sleeps or is being woken: they wait, unless waking it has failed a moment ago.
pub(crate) fn target(asleep: &Asleep, release: &Release, now: Time) -> Target {
    match &asleep.failed {
        Some(failed) if asleep.waking.is_none() && now < failed.rests_until() => Target::Down {
            why: format!("it was asleep and could not be woken: {}", failed.why),
        },
        _ => Target::Asleep {
            wait: start_limit(release) + MARGIN,
        },
    }
}

/// How long a release may take from its start until it is well.
fn start_limit(release: &Release) -> Duration {
    let own = release.health.start_seconds;
    let seconds = if release.stack.is_some() { own.max(STACK_START) } else { own };
    Duration::from_secs(seconds.into())
}

/// What leads to apps, for those who look at many of them.
pub(crate) struct Ways {
    domains: Vec<Domain>,
    streams: Vec<Stream>,
}

impl Ways {
    pub fn of(ground: &Ground) -> Result<Ways> {
        Ok(Ways {
            domains: ground.store.domains.list()?.into_iter().map(|one| one.value).collect(),
            streams: ground.store.streams.list()?.into_iter().map(|one| one.value).collect(),
        })
    }

    /// Why the app may not sleep, as it is set up; `None`: it may.
    pub fn keep_awake(&self, app: &App) -> Option<String> {
        if let Some(stream) = self.streams.iter().find(|stream| stream.app == app.id) {
            return Some(format!(
                "port {} of the server leads to it, and only HTTP can wake it",
                stream.listen
            ));
        }
        if let Some(domain) = self.domains.iter().find(|one| one.app == app.id && one.passthrough.is_some()) {
            return Some(format!(
                "TLS of {} is passed on to it unopened, and only HTTP can wake it",
                domain.host
            ));
        }
        for domain in &self.domains {
            match &domain.canary {
                Some(_) if domain.app == app.id => return Some(format!("a canary at {} is under way", domain.host)),
                // Whose domain that is, is not for everybody who sees this app.
                Some(canary) if canary.app == app.id => return Some("it is the canary of another app".into()),
                _ => {}
            }
        }
        let leads = |domain: &Domain| {
            let mut rules = domain.rules.iter().filter(|rule| rule.enabled);
            domain.app == app.id || rules.any(|rule| names(&rule.action, &app.id))
        };
        match self.domains.iter().any(leads) {
            true => None,
            false => Some("no domain leads to it, so no request could wake it".into()),
        }
    }
}

fn names(action: &RuleAction, app: &AppId) -> bool {
    action.apps().any(|named| named == app)
}

/// Why it is not put to sleep now although it is set up so that it may.
fn is_busy(ground: &Ground, app: &App) -> Result<Option<String>> {
    if app.desired == DesiredState::Stopped || app.release.is_none() {
        return Ok(Some("it does not run".into()));
    }
    if app.halted.as_ref().is_some_and(|halt| Some(&halt.release) == app.release.as_ref()) {
        return Ok(Some("it was given up on, which has to be seen".into()));
    }
    let last = app.last_deployment.as_ref().map(|id| deployments::find(ground, id)).transpose()?;
    if last.flatten().is_some_and(|last| is_active(last.phase)) {
        return Ok(Some("a deployment is under way".into()));
    }
    if ground.sleeping.terminals.lock().expect("no panic while held").contains_key(&app.id) {
        return Ok(Some("a terminal is open in it".into()));
    }
    if app.source.stack().is_some() && !job_runs::going(ground, &app.id)?.is_empty() {
        return Ok(Some("a job is under way, which may need its services".into()));
    }
    Ok(None)
}

/// What is under way to the containers of an app.
async fn active(ground: &Ground, containers: &[Container]) -> Result<u32> {
    let uses = ground.node.edge_uses().await?;
    let own = |one: &&UpstreamUse| {
        containers
            .iter()
            .any(|container| container.address == Some(one.upstream.address.ip()))
    };
    Ok(uses.iter().filter(own).map(|one| one.active).sum())
}

/// Puts an app to sleep at once, because somebody asks. Fails with `Busy` when it may not sleep, or is in use.
pub(crate) async fn put_to_sleep(ground: &Arc<Ground>, actor: &Actor, wanted: &str) -> Result<AppId> {
    actor.may_somewhere(Action::Deploy)?;
    let app = find_app(ground, actor, Action::Deploy, wanted)?;
    not_trashed(&app)?;
    if app.sleeps() {
        return Ok(app.id);
    }
    let stays = |why: String| Error::busy(format!("`{}` stays awake: {why}", app.name));
    if app.sleep_after_minutes.is_none() {
        return Err(stays("it is not allowed to sleep; say after how many minutes it may".into()));
    }
    if let Some(why) = Ways::of(ground)?.keep_awake(&app).or(is_busy(ground, &app)?) {
        return Err(stays(why));
    }
    if app.asleep.is_some() {
        return Err(stays("it is being woken".into()));
    }
    let own: Vec<Container> = of_app(ground, &app.id);
    match active(ground, &own).await? {
        0 => {}
        number => return Err(stays(format!("{number} requests or WebSockets are under way"))),
    }
    lay(ground, &app, format!("{} put it to sleep", actor.who), actor).await?;
    Ok(app.id)
}

/// As they were seen last.
fn of_app(ground: &Ground, app: &AppId) -> Vec<Container> {
    let observed = ground.observed.load();
    observed.containers.iter().filter(|one| one.owner.app == *app).cloned().collect()
}

/// Records that it is asleep; the edge holds its requests from then on, and the reconciler stops its containers.
async fn lay(ground: &Arc<Ground>, app: &App, why: String, actor: &Actor) -> Result<()> {
    let since = ground.world.now();
    let set = |now: &mut App| {
        // Whoever deployed, started or stopped it meanwhile is heeded.
        if now.last_deployment != app.last_deployment || now.desired != app.desired || now.asleep.is_some() || now.trashed_at.is_some() {
            return Err(Error::busy(format!("`{}` was changed just now; try again", app.name)));
        }
        now.asleep = Some(Asleep {
            since,
            why: why.clone(),
            waking: None,
            failed: None,
        });
        Ok(())
    };
    ground.store.apps.update(app.id.as_str(), set).await?;
    let (app, name) = (app.id.clone(), app.name.to_string());
    ground.events.emit(actor, Fact::AppAsleep { app, name, why }).await;
    ground.wake_reconcile();
    routing::apply(ground).await
}

/// Stops the containers of apps that sleep, beside what else happens: the reconciler asks at each turn.
pub(crate) fn lie_down(ground: &Arc<Ground>, app: &App, containers: Vec<Container>) {
    if !ground
        .sleeping
        .lying_down
        .lock()
        .expect("no panic while held")
        .insert(app.id.clone())
    {
        return;
    }
    let (ground, app) = (ground.clone(), app.clone());
    tokio::spawn(async move {
        if let Err(error) = stop_all(&ground, &app, containers).await {
            tracing::warn!("putting {} to sleep: {}", app.name, report(&error));
        }
        ground.sleeping.lying_down.lock().expect("no panic while held").remove(&app.id);
        ground.wake_reconcile();
    });
}

async fn stop_all(ground: &Arc<Ground>, app: &App, mut containers: Vec<Container>) -> Result<()> {
    tokio::time::sleep(SETTLE).await;
    if active(ground, &containers).await? > 0 {
        // Requests that came in the moment between the last look and the new route.
        return wake(ground, &app.id, "it was in use again").await;
    }
    // Who wakes it records that first and then waits for us: so either we see it, or it does.
    if !ground.store.apps.find(app.id.as_str())?.is_some_and(|app| app.sleeps()) {
        return Ok(());
    }
    let release = app.release.as_ref().map(|id| releases::find(ground, id)).transpose()?.flatten();
    let order = |container: &Container| {
        let stack = release.as_ref().and_then(|release| release.stack.as_ref());
        let mark = container.owner.service.as_ref();
        let place = stack
            .zip(mark)
            .and_then(|(stack, mark)| stack.services.iter().position(|one| one.name == mark.name));
        std::cmp::Reverse(place)
    };
    containers.sort_by_key(order);
    for container in &containers {
        let grace = Duration::from_secs(app.grace_seconds.into());
        ground.node.container_stop(&container.id, grace).await?;
        // What its last check said is of no use when it is started again.
        containers::mark(ground, &container.id, Some("it was asleep".into()));
    }
    Ok(())
}

/// Sees to it that it wakes, as a request does: not again at once after a failure, nor one that should not run at all.
pub(crate) async fn wake(ground: &Arc<Ground>, id: &AppId, why: &str) -> Result<()> {
    begin(ground, id, why, false).await
}

/// The same because somebody wants it, who need not wait after a failure.
pub(crate) async fn wake_now(ground: &Arc<Ground>, id: &AppId, why: &str) -> Result<()> {
    begin(ground, id, why, true).await
}

async fn begin(ground: &Arc<Ground>, id: &AppId, why: &str, at_once: bool) -> Result<()> {
    let now = ground.world.now();
    let may = |app: &App| {
        let rests = |asleep: &Asleep| !at_once && asleep.failed.as_ref().is_some_and(|failed| now < failed.rests_until());
        app.desired == DesiredState::Running
            && app.trashed_at.is_none()
            && app.asleep.as_ref().is_some_and(|asleep| asleep.waking.is_some() || !rests(asleep))
    };
    // A wish for one that went, is awake or is not to run is no failure.
    let Some(app) = ground.store.apps.find(id.as_str())?.filter(|app| may(app)) else {
        return Ok(());
    };
    if app.sleeps() {
        let set = |app: &mut App| {
            if may(app)
                && let Some(asleep) = &mut app.asleep
                && asleep.waking.is_none()
            {
                asleep.waking = Some(Waking {
                    at: now,
                    why: why.to_owned(),
                });
                app.halted = None;
            }
            Ok(())
        };
        ground.store.apps.update(id.as_str(), set).await?;
    }
    go_on(ground, id);
    Ok(())
}

/// Waits until it is awake, for who needs its containers. Fails with `Unavailable` when it does not wake.
pub(crate) async fn awake(ground: &Arc<Ground>, id: &AppId, why: &str) -> Result<()> {
    wake_now(ground, id, why).await?;
    loop {
        let asleep = ground.store.apps.find(id.as_str())?.and_then(|app| app.value.asleep);
        match asleep {
            None => return Ok(()),
            Some(Asleep { waking: Some(_), .. }) => tokio::time::sleep(PAUSE).await,
            Some(Asleep { failed, .. }) => {
                let why = failed.map_or_else(|| "it was put to sleep again".into(), |failed| failed.why);
                return Err(Error::unavailable(format!("its app could not be woken: {why}")));
            }
        }
    }
}

/// Follows an app that is recorded as being woken, unless that is done already: also after a crash.
fn go_on(ground: &Arc<Ground>, id: &AppId) {
    if !ground.sleeping.waking.lock().expect("no panic while held").insert(id.clone()) {
        return;
    }
    let (ground, id) = (ground.clone(), id.clone());
    tokio::spawn(async move {
        if let Err(error) = carry_out(&ground, &id).await {
            tracing::warn!("waking {id}: {}", report(&error));
        }
        ground.sleeping.waking.lock().expect("no panic while held").remove(&id);
        ground.wake_reconcile();
    });
}

/// Why an app is not awake yet.
enum NotYet {
    Wait(String),
    Never(String),
}

async fn carry_out(ground: &Arc<Ground>, id: &AppId) -> Result<()> {
    while ground.sleeping.is_lying_down(id) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ground.wake_reconcile();
    let (began, mut pause) = (Instant::now(), Duration::from_millis(50));
    let mut up_since = None;
    loop {
        let Some(app) = ground.store.apps.find(id.as_str())?.map(|stored| stored.value) else {
            return Ok(());
        };
        let waking = app.asleep.as_ref().and_then(|asleep| asleep.waking.clone());
        // Somebody stopped or deployed it meanwhile.
        let (Some(waking), true) = (waking, app.should_run()) else {
            return Ok(());
        };
        let release = app.release.as_ref().map(|id| releases::find(ground, id)).transpose()?.flatten();
        let Some(release) = release else { return Ok(()) };
        let limit = start_limit(&release);
        let why = match is_ready(ground, &app, &release, &mut up_since).await {
            Ok(()) => return is_awake(ground, &app, &waking).await,
            Err(NotYet::Never(why)) => return failed(ground, &app, why).await,
            Err(NotYet::Wait(why)) => why,
        };
        if began.elapsed() > limit {
            let problem = ground.observed.load().problems.get(id).cloned();
            let why = format!("not healthy after {} s: {}", limit.as_secs(), problem.unwrap_or(why));
            return failed(ground, &app, why).await;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE);
    }
}

/// Whether its containers are as they should be, and the one that domains lead to passes the health check. Of several that
/// are the same, one is enough. `up_since`: when it was first seen to run.
async fn is_ready(ground: &Ground, app: &App, release: &Release, up_since: &mut Option<Instant>) -> std::result::Result<(), NotYet> {
    let seen = ground.node.containers().await.map_err(|error| NotYet::Wait(report(&error)))?;
    if let Some(why) = services_wait(release, &seen) {
        return Err(NotYet::Wait(why));
    }
    let serving = |one: &&Container| release.serves_with(one) && release.wants(one, app.replicas);
    let mut last = NotYet::Wait("its container is being started".into());
    for container in seen.iter().filter(serving) {
        match &container.state {
            ContainerState::Restarting { .. } if release.stack.is_none() => {
                return Err(NotYet::Never(format!("the container {}", container.state.words())));
            }
            ContainerState::Running if container.restarts > 0 && release.stack.is_none() => {
                return Err(NotYet::Never("the container exited at once and was started again".into()));
            }
            ContainerState::Running => match probe(ground, release, container, up_since).await {
                Ok(()) => return Ok(()),
                Err(error) => last = NotYet::Wait(report(&error)),
            },
            _ => {}
        }
    }
    Err(last)
}

async fn probe(ground: &Ground, release: &Release, container: &Container, up_since: &mut Option<Instant>) -> Result<()> {
    let up_since = up_since.get_or_insert_with(Instant::now);
    if release.health.probe == Probe::Running {
        // Long enough to see a process that exits at once.
        return match up_since.elapsed() > Duration::from_secs(3) {
            true => Ok(()),
            false => Err(Error::unavailable("just started")),
        };
    }
    let address = container.address;
    let address = address.ok_or_else(|| Error::unavailable("the container has no address yet"))?;
    let timeout = Duration::from_secs(release.health.timeout_seconds.into());
    ground.node.probe(address, release.port, &release.health.probe, timeout).await?;
    containers::mark(ground, &container.id, None);
    Ok(())
}

/// The first service of a stack that is not up; `None` for one container, too.
fn services_wait(release: &Release, seen: &[Container]) -> Option<String> {
    let services = release.stack.iter().flat_map(|stack| &stack.services);
    for service in services.filter(|service| !service.once) {
        for replica in 0..service.replicas {
            let mark = |one: &&Container| {
                let mark = one.owner.service.as_ref();
                release.owns(one) && mark.is_some_and(|mark| mark.name == service.name && mark.replica == replica)
            };
            let well = seen.iter().find(mark).is_some_and(|one| {
                let ill = matches!(one.health, Some(EngineHealth::Starting | EngineHealth::Unhealthy));
                one.state.is_running() && !ill
            });
            if !well {
                return Some(format!("`{}` is not up", service.name));
            }
        }
    }
    None
}

async fn is_awake(ground: &Arc<Ground>, app: &App, waking: &Waking) -> Result<()> {
    containers::look(ground).await?;
    let set = |app: &mut App| {
        // Unless it was stopped, or sleeps again, meanwhile.
        if app.asleep.as_ref().is_some_and(|asleep| asleep.waking.is_some()) {
            app.asleep = None;
        }
        Ok(())
    };
    ground.store.apps.update(app.id.as_str(), set).await?;
    let took = ground.world.now().since(waking.at);
    let fact = Fact::AppAwake {
        app: app.id.clone(),
        name: app.name.to_string(),
        why: waking.why.clone(),
        millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    };
    let routed = routing::apply(ground).await;
    ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
    routed
}

async fn failed(ground: &Arc<Ground>, app: &App, why: String) -> Result<()> {
    let at = ground.world.now();
    let set = |app: &mut App| {
        if let Some(asleep) = &mut app.asleep
            && asleep.waking.take().is_some()
        {
            let tries = asleep.failed.as_ref().map_or(0, |failed| failed.tries).saturating_add(1);
            asleep.failed = Some(FailedWake {
                at,
                why: why.clone(),
                tries,
            });
        }
        Ok(())
    };
    ground.store.apps.update(app.id.as_str(), set).await?;
    let fact = Fact::WakeFailed {
        app: app.id.clone(),
        name: app.name.to_string(),
        why: why.clone(),
    };
    let routed = routing::apply(ground).await;
    ground.events.emit(&Actor::system(app.organization.clone()), fact).await;
    routed
}

/// Listens to the edge for ever: each app that it has requests for is woken.
pub(crate) async fn listen(ground: Arc<Ground>) {
    let mut wanted = ground.node.edge_wanted();
    while let Some(app) = wanted.next().await {
        if let Err(error) = wake(&ground, &app, "a request").await {
            tracing::warn!("waking {app}: {}", report(&error));
        }
    }
}

/// Puts to sleep what nobody has used for as long as it says. When an app was used last is known since this process began:
/// so after a start of the panel each has its whole time again.
pub struct Sleeper {
    ground: Arc<Ground>,
    used: HashMap<AppId, Used>,
}

/// When an app was used last, and what the edge had counted then.
struct Used {
    begun: u64,
    at: Time,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct SleeperReport {
    pub asleep: Vec<String>,
    pub woken: Vec<String>,
    pub problems: Vec<String>,
}

impl Sleeper {
    pub(crate) fn new(ground: Arc<Ground>) -> Sleeper {
        Sleeper {
            ground,
            used: HashMap::new(),
        }
    }

    /// One that sleeps: what was begun goes on, and what may sleep no more is woken.
    async fn tend(&self, app: &App, asleep: &Asleep, ways: &Ways, report_: &mut SleeperReport) -> Result<()> {
        if asleep.waking.is_some() {
            go_on(&self.ground, &app.id);
            return Ok(());
        }
        let now = self.ground.world.now();
        if let Some(failed) = &asleep.failed
            && now >= failed.rests_until()
            && now.since(failed.rests_until()) < Duration::from_secs(60)
        {
            // So that the edge lets requests try it again.
            routing::apply(&self.ground).await?;
        }
        let unset = || app.sleep_after_minutes.is_none().then(|| "it may sleep no more".to_owned());
        if let Some(why) = ways.keep_awake(app).or_else(unset) {
            report_.woken.push(app.name.to_string());
            wake(&self.ground, &app.id, &why).await?;
        }
        Ok(())
    }

    /// One that is awake: how long nobody has used it, and whether that is enough.
    async fn consider(&mut self, app: &App, minutes: u32, uses: &[UpstreamUse], ways: &Ways, report_: &mut SleeperReport) -> Result<()> {
        let ground = self.ground.clone();
        let own = of_app(&ground, &app.id);
        let is_its = |one: &&UpstreamUse| own.iter().any(|container| container.address == Some(one.upstream.address.ip()));
        let (mut begun, mut active) = (0_u64, 0);
        for one in uses.iter().filter(is_its) {
            begun = begun.wrapping_add(u64::from(one.begun));
            active += one.active;
        }
        let now = ground.world.now();
        let stays = ways.keep_awake(app).is_some() || is_busy(&ground, app)?.is_some();
        let fresh = || Used { begun, at: now };
        let used = self.used.entry(app.id.clone()).or_insert_with(fresh);
        if active > 0 || used.begun != begun || stays || used.at > now {
            *used = fresh();
        }
        if now.since(used.at) < Duration::from_secs(u64::from(minutes) * 60) {
            return Ok(());
        }
        self.used.remove(&app.id);
        let why = match minutes {
            1 => "nobody used it for a minute".to_owned(),
            several => format!("nobody used it for {several} minutes"),
        };
        lay(&ground, app, why, &Actor::system(app.organization.clone())).await?;
        report_.asleep.push(app.name.to_string());
        Ok(())
    }
}

#[async_trait]
impl jobs::Job for Sleeper {
    const NAME: &'static str = "sleeper";
    type Report = SleeperReport;

    async fn run(&mut self) -> Result<SleeperReport> {
        let mut report_ = SleeperReport::default();
        let apps: Vec<App> = self.ground.store.apps.list()?.into_iter().map(|stored| stored.value).collect();
        let concerns = |app: &&App| app.trashed_at.is_none() && (app.sleep_after_minutes.is_some() || app.asleep.is_some());
        let apps: Vec<&App> = apps.iter().filter(concerns).collect();
        self.used.retain(|id, _| apps.iter().any(|app| app.id == *id));
        if apps.is_empty() {
            return Ok(report_);
        }
        let (uses, ways) = (self.ground.node.edge_uses().await?, Ways::of(&self.ground)?);
        for app in apps {
            let done = match (&app.asleep, app.sleep_after_minutes) {
                (Some(asleep), _) => {
                    self.used.remove(&app.id);
                    self.tend(app, asleep, &ways, &mut report_).await
                }
                (None, Some(minutes)) => self.consider(app, minutes, &uses, &ways, &mut report_).await,
                (None, None) => Ok(()),
            };
            if let Err(error) = done {
                report_.problems.push(format!("{}: {}", app.name, report(&error)));
            }
        }
        Ok(report_)
    }
}

//! The turn that looks for what nobody uses.

use super::{
    lying_down::lay,
    of_app,
    reasons::{Ways, is_busy},
    waking::{go_on, wake},
};
use crate::{ground::Ground, routing};
use async_trait::async_trait;
use std::{collections::HashMap, sync::Arc, time::Duration};
use types::{Actor, App, AppId, Asleep, Result, Time, UpstreamUse, report};

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

//! Another version of an app's template: what the template changed and what its user changed come together, and the way back.

use crate::{
    apps::{AppView, Apps, find_app, not_trashed, settled},
    data_copies::{self, DataPlan},
    deployments::{self, Wanted},
    edge::{EdgeService, NewStream},
    ground::Ground,
    marketplace::{health, ports, value_of},
    quotas,
    shelves::Shelves,
    stacks::{self, ServiceView, compose_of},
    template_versions::{choices, chosen},
    variables::{VariableChange, sealed_variable, variables_of},
};
use catalog::{
    merge::{self, Conflict},
    template::{self, Asked, AskedKind, Template},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::Batch;
use types::{
    Action, Actor, App, BeforeUpdate, Cause, ComposeSource, Error, Fact, HostRight, Installed, Kind, Result, Secret, Source, StreamPort,
    TemplateName, VariableScope, VolumeId,
};

/// A deployment that waits or moves on meanwhile makes what was read old; then all of it is looked at anew.
const TRIES: usize = 5;

/// What should be updated, and how.
#[derive(Debug, Clone, Default)]
pub struct UpdateWish {
    /// Of variables that the new version asks and the old one did not.
    pub values: BTreeMap<String, String>,
    /// Another one of the versions that the template offers than the app has.
    pub version: Option<String>,
    /// The file to take in place of the merged one: with conflicts settled.
    pub text: Option<String>,
    /// Do without a copy of the data.
    pub without_copy: bool,
}

/// What an update would do.
#[derive(Debug, Clone)]
pub struct UpdatePlan {
    pub template: TemplateName,
    pub from: String,
    pub to: String,
    /// Which of the versions that the template offers the app has, and which it would have.
    pub from_choice: Option<String>,
    pub to_choice: Option<String>,
    /// Those that it may have.
    pub choices: Vec<String>,
    /// What to know before.
    pub notes: Option<String>,
    /// The app's file as it would be; with marks where both changed the same lines.
    pub text: String,
    /// From the app's file to `text`, as a unified diff.
    pub diff: String,
    pub conflicts: Vec<Conflict>,
    /// The app's file differs from the template that it came from.
    pub edited: bool,
    /// What the new version asks for the first time.
    pub asks: Vec<Asked>,
    /// Names of those of them that are made up unless given.
    pub generated: Vec<String>,
    /// None while there are conflicts, or a value is needed.
    pub services: Vec<ServiceView>,
    pub rights: Vec<HostRight>,
    /// What is copied before.
    pub data: DataPlan,
}

#[derive(Clone)]
pub struct TemplateUpdates {
    ground: Arc<Ground>,
    apps: Apps,
    edge: EdgeService,
    shelves: Shelves,
}

/// An app and the template that it would have.
struct Step {
    app: App,
    installed: Installed,
    name: TemplateName,
    old: Template,
    new: Arc<catalog::Entry>,
    choice: Option<String>,
    /// The new template's file of that version.
    theirs: String,
}

impl TemplateUpdates {
    pub(crate) fn new(ground: Arc<Ground>, shelves: Shelves) -> TemplateUpdates {
        TemplateUpdates {
            apps: Apps::new(ground.clone()),
            edge: EdgeService::new(ground.clone()),
            shelves,
            ground,
        }
    }

    /// What updating would do; nothing is changed. Fails with `Busy` when there is no other version.
    pub async fn plan(&self, actor: &Actor, app: &str, wish: UpdateWish) -> Result<UpdatePlan> {
        actor.may_somewhere(Action::Configure)?;
        let step = self.step(actor, Action::Configure, app, wish.version.as_deref())?;
        let mine = stacks::text_of(&self.ground, compose_of(&step.app)?)?;
        let merged = merge::merge(&step.installed.compose, &mine, &step.theirs);
        let text = wish.text.clone().unwrap_or(merged.text);
        let conflicts = if wish.text.is_some() { Vec::new() } else { merged.conflicts };
        let (changes, generated) = self.new_variables(&step, &wish.values, false)?;
        let (mut services, mut rights) = (Vec::new(), Vec::new());
        if conflicts.is_empty() {
            let mut changed = step.app.clone();
            self.apply_to(&mut changed, &step, &text)?;
            let values = stacks::values_shown(&self.ground, actor, &step.app)?;
            // A value that is needed and not given yet keeps the file from being read; the plan is still worth showing.
            if let Ok(composed) = self.composed(&changed, values, &changes) {
                let main = compose_of(&changed)?.setup.main.clone();
                let view = |service: &types::StackService| ServiceView::new(service, None, main.as_deref(), &changed.limits);
                services = composed.stack.services.iter().map(view).collect();
                stacks::hide(&self.ground, actor, &mut services);
                rights = composed.rights;
            }
        }
        Ok(UpdatePlan {
            from: step.installed.version.clone(),
            to: step.new.template.version.clone(),
            from_choice: step.installed.choice.clone(),
            to_choice: step.choice.clone(),
            choices: choices(&step.installed, &step.old, &step.new.template),
            notes: step.new.template.upgrade_notes.clone(),
            diff: merge::diff(&mine, &text),
            edited: mine != step.installed.compose,
            asks: asks(&step).cloned().collect(),
            template: step.name.clone(),
            text,
            conflicts,
            generated,
            services,
            rights,
            data: data_copies::plan(&self.ground, &step.app).await?,
        })
    }

    /// Takes the new version over and asks for a deployment. Fails with `Invalid { field: "text" }` while both changed the
    /// same lines and nobody settled it, and with the value that is needed.
    pub async fn update(&self, actor: &Actor, app: &str, wish: UpdateWish) -> Result<AppView> {
        let mut tries = 0;
        loop {
            match self.update_once(actor, app, wish.clone()).await {
                Err(Error::Stale { .. }) if tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    async fn update_once(&self, actor: &Actor, app: &str, wish: UpdateWish) -> Result<AppView> {
        actor.may_somewhere(Action::Configure)?;
        actor.may_somewhere(Action::Deploy)?;
        let step = self.step(actor, Action::Configure, app, wish.version.as_deref())?;
        actor.may_in(Action::Deploy, &step.app.place())?;
        deployments::must_be_unlocked(&self.ground, &step.app)?;
        let text = match wish.text {
            Some(text) => text,
            None => {
                let mine = stacks::text_of(&self.ground, compose_of(&step.app)?)?;
                let merged = merge::merge(&step.installed.compose, &mine, &step.theirs);
                if let Some(first) = merged.conflicts.first() {
                    return Err(Error::invalid(
                        "text",
                        format!(
                            "{} and the app changed the same lines (the first is line {}); settle it in the file that the plan shows",
                            step.new.template.version, first.line
                        ),
                    ));
                }
                merged.text
            }
        };
        let (changes, _) = self.new_variables(&step, &wish.values, true)?;
        let data = data_copies::plan(&self.ground, &step.app).await?;
        let copy_wanted = !wish.without_copy && !data.volumes.is_empty();
        if let (true, Some(why)) = (copy_wanted, data.problem()) {
            return Err(Error::busy(why));
        }
        let ground = &self.ground;
        let mut stored = ground.store.apps.get(step.app.id.as_str())?;
        let mut before = BeforeUpdate {
            version: step.installed.version.clone(),
            choice: step.installed.choice.clone(),
            template: step.installed.template.clone(),
            compose: step.installed.compose.clone(),
            text: compose_of(&stored)?.text.clone(),
            main: compose_of(&stored)?.setup.main.clone(),
            opened: Vec::new(),
            copies: Vec::new(),
            copy_wanted,
            stale: stale(&step.installed),
            updated_at: ground.world.now(),
        };
        self.apply_to(&mut stored.value, &step, &text)?;
        let wanted = self.ports_to_open(actor, &stored, &changes)?;
        before.opened = wanted.iter().map(|(listen, ..)| *listen).collect();
        let opened = before.opened.clone();
        if let Source::Compose(source) = &mut stored.source
            && let Some(installed) = &mut source.template
        {
            installed.before = Some(Box::new(before));
        }
        let environment = ground.store.environments.get(stored.environment.as_str())?.value;
        let mut batch = Batch::new();
        for volume in settled(ground, actor, &mut stored.value, &environment, &changes, None)? {
            batch = batch.insert(volume);
        }
        let places = BTreeSet::from([environment.id.clone()]);
        for change in changes {
            batch = batch.insert(sealed_variable(
                ground,
                actor,
                types::VariableOwner::App(stored.id.clone()),
                &places,
                change,
            )?);
        }
        // Before anything of the app is changed: a port that cannot be had leaves it as it was.
        self.open(actor, &step.app, wanted).await?;
        if let Err(error) = self.commit(actor, stored, batch, false).await {
            self.close(actor, &opened).await?;
            return Err(error);
        }
        self.apps.get(actor, step.app.id.as_str()).await
    }

    /// All of these ports, or none of them.
    async fn open(&self, actor: &Actor, app: &App, wanted: Vec<(StreamPort, String, u16)>) -> Result<()> {
        let mut opened = Vec::new();
        for (listen, service, port) in wanted {
            let wish = NewStream::published(app, listen, service, port);
            if let Err(error) = self.edge.open(actor, wish).await {
                self.close(actor, &opened).await?;
                return Err(error);
            }
            opened.push(listen);
        }
        Ok(())
    }

    async fn close(&self, actor: &Actor, opened: &[StreamPort]) -> Result<()> {
        for listen in opened {
            self.edge.close(actor, *listen).await?;
        }
        Ok(())
    }

    /// Ports that the last update opened and that lead to the app still.
    fn opened_by(&self, app: &App, before: &BeforeUpdate) -> Result<Vec<StreamPort>> {
        let mut still = Vec::new();
        for listen in &before.opened {
            if self
                .ground
                .store
                .streams
                .find(&listen.to_string())?
                .is_some_and(|stream| stream.app == app.id)
            {
                still.push(*listen);
            }
        }
        Ok(still)
    }

    /// Takes the app back to the file and the version that it had before its last update, and asks for a deployment. `data`: also to the
    /// copy of its data; what was written since stays in volumes of their own. Without it the data is what it is now, and the copy stays
    /// as volumes that nobody mounts. Fails with `Busy` when it was never updated, or has no copy.
    pub async fn undo(&self, actor: &Actor, app: &str, data: bool) -> Result<AppView> {
        let mut tries = 0;
        loop {
            match self.undo_once(actor, app, data).await {
                Err(Error::Stale { .. }) if tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    async fn undo_once(&self, actor: &Actor, app: &str, data: bool) -> Result<AppView> {
        actor.may_somewhere(Action::Configure)?;
        actor.may_somewhere(Action::Deploy)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        actor.may_in(Action::Deploy, &app.place())?;
        not_trashed(&app)?;
        deployments::must_be_unlocked(&self.ground, &app)?;
        let ground = &self.ground;
        let mut stored = ground.store.apps.get(app.id.as_str())?;
        let never = || Error::busy(format!("`{}` has no update to take back", app.name));
        let mut source = compose_of(&stored)?.clone();
        let installed = source.template.as_mut().ok_or_else(never)?;
        let before = installed.before.take().ok_or_else(never)?;
        let opened = self.opened_by(&app, &before)?;
        if !opened.is_empty() {
            // As for every port of the server.
            actor.may(Action::Administer)?;
        }
        let newer = template::read(&installed.template).ok();
        installed.version = before.version;
        installed.choice = before.choice;
        installed.template = before.template;
        installed.compose = before.compose;
        let older = template::read(&installed.template).map_err(|notice| Error::invalid("template", notice.to_string()))?;
        let text = ground.store.unseal(&before.text)?;
        // What was only begun is of no use to anybody.
        let partial = if before.copy_wanted { before.copies.clone() } else { Vec::new() };
        let mut detached = before.stale.clone();
        if data {
            if before.copies.is_empty() || before.copy_wanted {
                return Err(Error::busy(format!(
                    "there is no copy of the data of `{}` from before its update",
                    app.name
                )));
            }
            data_copies::must_be_there(ground, &before.copies)?;
            for copy in before.copies {
                detached.extend(source.setup.volumes.insert(copy.name, copy.volume));
            }
        } else if !before.copy_wanted {
            detached.extend(before.copies.into_iter().map(|copy| copy.volume));
        }
        if let Some(installed) = source.template.as_mut() {
            installed.detached.extend(detached);
        }
        source.setup.main = before.main;
        source.text = before.text;
        source.hash = stacks::text_hash(&text, &source.setup.profiles, source.setup.main.as_deref());
        stored.source = Source::Compose(source);
        if let Some(newer) = newer {
            follow_main(&mut stored.value, &newer, &older);
        }
        let environment = ground.store.environments.get(stored.environment.as_str())?.value;
        let mut batch = Batch::new();
        for volume in settled(ground, actor, &mut stored.value, &environment, &[], None)? {
            batch = batch.insert(volume);
        }
        self.commit(actor, stored, batch, true).await?;
        self.close(actor, &opened).await?;
        for copy in partial {
            data_copies::remove(ground, &copy.volume).await;
        }
        self.apps.get(actor, app.id.as_str()).await
    }

    async fn commit(&self, actor: &Actor, mut stored: store::Stored<App>, batch: Batch, back: bool) -> Result<()> {
        let ground = &self.ground;
        stored.updated_at = ground.world.now();
        let _gate = quotas::gate(ground).await;
        let before = ground.store.apps.get(stored.id.as_str())?;
        quotas::must_fit(ground, Some(&before), &stored)?;
        quotas::may_deploy(ground, &stored, &Cause::Manual)?;
        let batch = deployments::queue(
            ground,
            actor.who.to_string(),
            &mut stored.value,
            Cause::Manual,
            Wanted::Usual,
            batch,
        )?;
        let version = compose_of(&stored)?.template.as_ref().map(|installed| installed.version.clone());
        let fact = Fact::TemplateUpdated {
            app: stored.id.clone(),
            name: stored.name.to_string(),
            version: version.unwrap_or_default(),
            back,
        };
        ground.store.commit(batch.save(stored)).await?;
        ground.events.emit(actor, fact).await;
        ground.wake_deploy();
        Ok(())
    }

    fn step(&self, actor: &Actor, action: Action, app: &str, wished: Option<&str>) -> Result<Step> {
        let app = find_app(&self.ground, actor, action, app)?;
        not_trashed(&app)?;
        let installed = compose_of(&app)?.template.clone();
        let installed = installed.ok_or_else(|| Error::busy(format!("`{}` is not from the catalog", app.name)))?;
        let name: TemplateName = installed.name.parse()?;
        let new = self.shelves.entry(actor, &name)?;
        let newest = || Error::busy(format!("`{}` has the newest version, {}", app.name, installed.version));
        let is_newest = new.template.version == installed.version;
        if is_newest && wished.is_none() {
            return Err(newest());
        }
        let old = template::read(&installed.template).map_err(|notice| Error::invalid("template", notice.to_string()))?;
        let version = chosen(&installed, &old, &new.template, wished)?;
        let choice = version.map(|version| version.name.clone());
        if is_newest && choice == installed.choice {
            return Err(newest());
        }
        Ok(Step {
            theirs: template::pick(&new.compose, version),
            choice,
            old,
            app,
            installed,
            name,
            new,
        })
    }

    /// The app with `text` and the new template.
    fn apply_to(&self, app: &mut App, step: &Step, text: &str) -> Result<()> {
        let mut source: ComposeSource = compose_of(app)?.clone();
        if source.setup.main.as_deref() == Some(step.old.main.service.as_str()) {
            source.setup.main = Some(step.new.template.main.service.clone());
        }
        let secret = Secret::from(text.to_owned());
        source.hash = stacks::text_hash(&secret, &source.setup.profiles, source.setup.main.as_deref());
        source.text = self.ground.store.seal(&secret)?;
        if let Some(installed) = &mut source.template {
            installed.version = step.new.template.version.clone();
            installed.choice = step.choice.clone();
            installed.template = step.new.text.clone();
            installed.compose = step.theirs.clone();
        }
        app.source = Source::Compose(source);
        follow_main(app, &step.old, &step.new.template);
        Ok(())
    }

    /// With these values of variables, and with those that change.
    fn composed(&self, app: &App, mut values: BTreeMap<String, String>, changes: &[VariableChange]) -> Result<catalog::compose::Composed> {
        for change in changes {
            if let Some(text) = change.value.as_ref().and_then(|value| value.expose_str()) {
                values.insert(change.key.to_string(), text.to_owned());
            }
        }
        let template = stacks::template_with(&self.ground, app, values.clone(), None)?;
        let source = compose_of(app)?;
        let text = stacks::text_of(&self.ground, source)?;
        stacks::read(&text, &source.setup.profiles, &values, template.as_ref())
            .map_err(|problems| stacks::refusal_of(&self.ground, app, &problems))
    }

    /// Variables that the new version asks first. `strict`: each value must fit.
    fn new_variables(&self, step: &Step, given: &BTreeMap<String, String>, strict: bool) -> Result<(Vec<VariableChange>, Vec<String>)> {
        let known: BTreeSet<String> = variables_of(&self.ground, &step.app.id)?
            .iter()
            .map(|variable| variable.key.to_string())
            .collect();
        let asked: Vec<&Asked> = asks(step).filter(|asked| !known.contains(&asked.name)).collect();
        if let Some(unknown) = given.keys().find(|name| !asked.iter().any(|asked| asked.name == **name)) {
            return Err(Error::invalid(
                unknown,
                "is not asked by the new version; change the app's variables for others",
            ));
        }
        let mut changes = Vec::new();
        let mut made = Vec::new();
        for asked in asked {
            let (value, generated) = value_of(&self.ground, asked, given.get(&asked.name));
            if generated {
                made.push(asked.name.clone());
            }
            if let (Err(why), true) = (asked.accepts(&value), strict) {
                return Err(Error::invalid(&asked.name, why));
            }
            changes.push(VariableChange {
                key: asked.name.parse()?,
                value: Some(Secret::from(value)),
                scope: Some(VariableScope::Run),
                secret: Some(asked.is_secret()),
            });
        }
        Ok((changes, made))
    }

    /// Ports of the server that the new version wants beside those that the app has.
    fn ports_to_open(&self, actor: &Actor, app: &App, changes: &[VariableChange]) -> Result<Vec<(StreamPort, String, u16)>> {
        let mut missing = Vec::new();
        let values = stacks::values_of(&self.ground, app)?;
        for (listen, service, port) in ports(&self.composed(app, values, changes)?.stack) {
            match self.ground.store.streams.find(&listen.to_string())? {
                Some(stream) if stream.app == app.id => {}
                Some(_) => {
                    return Err(Error::Taken {
                        kind: Kind::Stream,
                        name: listen.to_string(),
                        by: Some("another app".into()),
                    });
                }
                None => missing.push((listen, service, port)),
            }
        }
        if !missing.is_empty() {
            // As for every port of the server.
            actor.may(Action::Operate)?;
        }
        Ok(missing)
    }
}

/// Copies of the update before this one, which had the way back until now.
fn stale(installed: &Installed) -> Vec<VolumeId> {
    let before = installed.before.as_deref();
    let copies = before
        .iter()
        .flat_map(|before| before.copies.iter().map(|copy| copy.volume.clone()));
    copies.chain(before.iter().flat_map(|before| before.stale.clone())).collect()
}

/// Port and health check go with the template, unless somebody set others.
fn follow_main(app: &mut App, old: &Template, new: &Template) {
    if app.port == Some(old.main.port) {
        app.port = Some(new.main.port);
    }
    if app.health == health(old.main.health.as_ref()) {
        app.health = health(new.main.health.as_ref());
    }
}

/// What the new version asks and the old one did not. The domain is the app's own business.
fn asks(step: &Step) -> impl Iterator<Item = &Asked> {
    let fresh = |asked: &&Asked| asked.kind != AskedKind::Domain && !step.old.variables.iter().any(|old| old.name == asked.name);
    step.new.template.variables.iter().filter(fresh)
}

//! What a clone would make: records, and nothing of it recorded.

use super::{CloneAppWish, CloneValue, CloneWish, PlannedApp, PlannedCi, PlannedPort, PlannedRule, PlannedSecret, maker::Maker};
use crate::{copies::Twins, ground::Ground, projects, variables::own_variables};
use std::collections::BTreeSet;
use store::{Batch, Stored};
use types::{
    Actor, App, AppId, AppJob, AppName, CiTrust, Domain, Environment, EnvironmentClone, Error, ImageWatch, Kind, Result, Source, Stream,
    Upload, UploadId, Variable, VariableOwner, Volume, Webhook,
};

pub(super) struct Draft {
    pub environment: Environment,
    /// The app, and the one that is made from it.
    pub apps: Vec<(App, App)>,
    pub volumes: Vec<(Volume, Volume)>,
    /// Those of a Compose file that its app has none of yet.
    pub fresh: Vec<Volume>,
    pub variables: Vec<Variable>,
    pub secrets: Vec<PlannedSecret>,
    pub jobs: Vec<AppJob>,
    pub domains: Vec<Domain>,
    pub uploads: Vec<(UploadId, Upload)>,
    /// Those that pass pushes on to the new apps.
    pub webhooks: Vec<Stored<Webhook>>,
    pub streams: Vec<Stream>,
    pub trusts: Vec<CiTrust>,
    pub watches: Vec<ImageWatch>,
    /// Ports of the apps, each with the new app, and what becomes of them.
    pub ports: Vec<(AppId, PlannedPort)>,
    pub ci: Vec<(AppId, PlannedCi)>,
    /// What to know of what is copied.
    pub notes: Vec<String>,
    pub left_out: Vec<String>,
    pub problems: Vec<Error>,
}

/// Fails for a wish that can mean nothing; what stands in its way as things are is among its problems.
pub(super) fn draft(ground: &Ground, actor: &Actor, from: &Environment, wish: &CloneWish) -> Result<Draft> {
    let environment = Environment {
        id: ground.world.id(),
        organization: from.organization.clone(),
        project: from.project.clone(),
        name: wish.name.clone(),
        created_at: ground.world.now(),
    };
    let chosen = chosen(ground, from, wish)?;
    must_be_known(ground, from, &chosen, &wish.values)?;
    let mut maker = Maker {
        ground,
        actor,
        wish,
        from,
        environment: &environment,
        renamed: Vec::new(),
        draft: Draft::of(environment.clone()),
    };
    let taken = projects::environments_of(ground, &from.project)?;
    if taken.iter().any(|one| one.name == wish.name) {
        maker.draft.problems.push(Error::Taken {
            kind: Kind::Environment,
            name: wish.name.to_string(),
            by: None,
        });
    }
    // Two that read one volume would take each other's hands off it.
    let under_way = |clone: &&Stored<EnvironmentClone>| clone.from == from.id && clone.copies_data() && !clone.phase.is_final();
    if let Some(other) = ground.store.clones.list()?.iter().find(under_way).filter(|_| wish.data) {
        let why = format!(
            "the data of `{}` is being copied to `{}`; wait until that is over",
            from.name, other.name
        );
        maker.draft.problems.push(Error::busy(why));
    }
    let shared = VariableOwner::Environment(from.id.clone());
    maker.variables(&shared, VariableOwner::Environment(environment.id.clone()), None)?;
    let mut twins = Twins::new(ground, &environment);
    for (of, wanted) in &chosen {
        maker.app(of, wanted, &mut twins)?;
    }
    maker.lead();
    maker.draft.volumes = twins.made;
    maker.unmounted(&chosen)?;
    maker.freezes()?;
    Ok(maker.draft)
}

/// Those that are wanted, by name. Fails with `NotFound` for one that is not there, with `Busy` when there is none.
fn chosen(ground: &Ground, from: &Environment, wish: &CloneWish) -> Result<Vec<(App, CloneAppWish)>> {
    let mut all: Vec<App> = ground.store.apps.list()?.into_iter().map(|stored| stored.value).collect();
    all.retain(|app| app.environment == from.id && app.trashed_at.is_none());
    all.sort_by(|a, b| a.name.cmp(&b.name));
    if all.is_empty() {
        return Err(Error::busy(format!("`{}` has no apps, so there is nothing to clone", from.name)));
    }
    let plain = |app: &App| CloneAppWish {
        app: app.id.to_string(),
        branch: None,
        domain: None,
    };
    let Some(wanted) = &wish.apps else {
        return Ok(all.into_iter().map(|app| (app.clone(), plain(&app))).collect());
    };
    if wanted.is_empty() {
        return Err(Error::invalid("apps", "must name an app; leave it out for all of them"));
    }
    let mut found: Vec<(App, CloneAppWish)> = Vec::new();
    for one in wanted {
        let is_it = |app: &&App| app.id.as_str() == one.app || app.name.as_str() == one.app;
        let app = all.iter().find(is_it).ok_or_else(|| Error::not_found(Kind::App, &one.app))?;
        if found.iter().any(|(known, _)| known.id == app.id) {
            return Err(Error::invalid("apps", format!("`{}` is named twice", app.name)));
        }
        if one.branch.is_some() && !matches!(app.source, Source::Git(_)) {
            return Err(Error::invalid(
                "branch",
                format!("`{}` is not from Git, so it follows no branch", app.name),
            ));
        }
        found.push((app.clone(), one.clone()));
    }
    Ok(found)
}

/// Fails with `Invalid` for a value of a variable that is nowhere in it.
fn must_be_known(ground: &Ground, from: &Environment, chosen: &[(App, CloneAppWish)], values: &[CloneValue]) -> Result<()> {
    let mut known: BTreeSet<(Option<AppName>, String)> = BTreeSet::new();
    for variable in own_variables(ground, &VariableOwner::Environment(from.id.clone()))? {
        known.insert((None, variable.key.to_string()));
    }
    for (app, _) in chosen {
        for variable in ground.store.variables.prefix(app.id.as_str())? {
            known.insert((Some(app.name.clone()), variable.key.to_string()));
        }
    }
    for value in values {
        let fits = |(app, key): &(Option<AppName>, String)| key == value.key.as_str() && (value.app.is_none() || *app == value.app);
        if !known.iter().any(fits) {
            let place = value.app.as_ref().map_or_else(|| from.name.to_string(), ToString::to_string);
            return Err(Error::invalid(value.key.as_str(), format!("is no variable of `{place}`")));
        }
    }
    Ok(())
}

impl Draft {
    fn of(environment: Environment) -> Draft {
        Draft {
            environment,
            apps: Vec::new(),
            volumes: Vec::new(),
            fresh: Vec::new(),
            variables: Vec::new(),
            secrets: Vec::new(),
            jobs: Vec::new(),
            domains: Vec::new(),
            uploads: Vec::new(),
            webhooks: Vec::new(),
            streams: Vec::new(),
            trusts: Vec::new(),
            watches: Vec::new(),
            ports: Vec::new(),
            ci: Vec::new(),
            notes: Vec::new(),
            left_out: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub fn own_variables(&self) -> usize {
        let shared = |variable: &&Variable| matches!(variable.owner, VariableOwner::Environment(_));
        self.variables.iter().filter(shared).count()
    }

    pub fn planned_apps(&self) -> Vec<PlannedApp> {
        let planned = |(of, copy): &(App, App)| PlannedApp {
            from: of.id.clone(),
            name: copy.name.clone(),
            source: source_words(&copy.source),
            branch: match &copy.source {
                Source::Git(git) => git.branch.clone(),
                _ => None,
            },
            hosts: self.domains_of(copy).map(|domain| domain.host.to_string()).collect(),
            rules: self
                .domains_of(copy)
                .flat_map(|domain| {
                    domain.rules.iter().map(|rule| PlannedRule {
                        domain: domain.host.clone(),
                        name: rule.name.clone(),
                    })
                })
                .collect(),
            ports: of_app(&self.ports, copy),
            ci: of_app(&self.ci, copy),
            image_watch: self.watches.iter().find(|watch| watch.app == copy.id).map(|watch| watch.on_new),
            variables: self.variables.iter().filter(|variable| is_of(&variable.owner, copy)).count(),
            files: copy.files.len(),
            jobs: self.jobs.iter().filter(|job| job.app == copy.id).count(),
        };
        self.apps.iter().map(planned).collect()
    }

    fn domains_of(&self, copy: &App) -> impl Iterator<Item = &Domain> {
        self.domains.iter().filter(|domain| domain.app == copy.id)
    }

    /// All of it, in one step.
    pub fn into_batch(self) -> Batch {
        let mut batch = Batch::new().insert(self.environment);
        for volume in self.volumes.into_iter().map(|(_, new)| new).chain(self.fresh) {
            batch = batch.insert(volume);
        }
        for variable in self.variables {
            batch = batch.insert(variable);
        }
        for domain in self.domains {
            batch = batch.insert(domain);
        }
        for job in self.jobs {
            batch = batch.insert(job);
        }
        for (_, upload) in self.uploads {
            batch = batch.insert(upload);
        }
        for webhook in self.webhooks {
            batch = batch.save(webhook);
        }
        for stream in self.streams {
            batch = batch.insert(stream);
        }
        for trust in self.trusts {
            batch = batch.insert(trust);
        }
        for watch in self.watches {
            batch = batch.insert(watch);
        }
        for (_, app) in self.apps {
            batch = batch.insert(app);
        }
        batch
    }
}

fn of_app<T: Clone>(all: &[(AppId, T)], copy: &App) -> Vec<T> {
    let own = all.iter().filter(|(app, _)| *app == copy.id);
    own.map(|(_, one)| one.clone()).collect()
}

fn is_of(owner: &VariableOwner, app: &App) -> bool {
    match owner {
        VariableOwner::App(id) | VariableOwner::Service { app: id, .. } => *id == app.id,
        _ => false,
    }
}

fn source_words(source: &Source) -> String {
    match source {
        Source::Git(git) => git.url.to_string(),
        Source::Image { reference } => reference.to_string(),
        Source::Compose(source) => match &source.template {
            Some(installed) => format!("template {}", installed.name),
            None => "Compose file".into(),
        },
        Source::Upload(_) => "upload".into(),
    }
}

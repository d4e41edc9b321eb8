//! What a clone would make: records, and nothing of it recorded.

use super::{PlannedApp, PlannedCi, PlannedPort, PlannedRule, PlannedSecret};
use store::{Batch, Stored};
use types::{
    App, AppId, AppJob, CiTrust, Domain, Environment, Error, ImageWatch, Source, Stream, Upload, UploadId, Variable, VariableOwner, Volume,
    Webhook,
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

impl Draft {
    /// With nothing in it yet.
    pub fn of(environment: Environment) -> Draft {
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

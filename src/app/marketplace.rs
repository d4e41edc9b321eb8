//! The marketplace: templates of the catalog, and apps made from them.

mod further;
mod room;

use crate::{
    apps::{AppView, Apps, NewApp, NewSource, checked_limits, find_app},
    domain_claims::{default_host, must_be_free},
    domains::Domains,
    edge::EdgeService,
    ground::Ground,
    projects::find_environment,
    shelves::Shelves,
    stacks::{self, ServiceView, compose_of},
    template_versions::main_image,
    trash::Trash,
    variables::VariableChange,
};
use catalog::{
    Entry,
    compose::Composed,
    resize::{Size, resize},
    template::{Also, Asked, AskedKind, Health, HealthKind, Template, Values, Version, generated, pick},
};
pub use further::{FurtherDomain, FurtherPort};
use std::{collections::BTreeMap, sync::Arc};
use types::{
    Action, Actor, AppName, EnvironmentId, Error, Family, HealthCheck, Host, HostPattern, HostRight, Installed, Kind, Limits, Probe,
    Result, Scope, Secret, Slug, Stack, StreamPort, TemplateName, VariableScope,
};

/// A template to choose from.
#[derive(Debug, Clone)]
pub struct TemplateView {
    pub name: TemplateName,
    pub entry: Arc<Entry>,
    /// Apps of the organization that were made from it.
    pub installed: Vec<InstalledView>,
}

/// An app that was made from a template.
#[derive(Debug, Clone)]
pub struct InstalledView {
    pub app: AppName,
    /// Of the template.
    pub version: String,
    /// Which of the versions that the template offers.
    pub choice: Option<String>,
}

/// Everything about one template.
#[derive(Debug, Clone)]
pub struct TemplateDetail {
    pub view: TemplateView,
    /// Of the usual version, as are the services.
    pub compose: String,
    /// What there is to choose from, the usual one first, and the image of the main service.
    pub versions: Vec<(Version, String)>,
    pub services: Vec<ServiceView>,
    /// Further web ports, each of which may get a domain.
    pub further: Vec<FurtherPort>,
    /// A name that is free.
    pub suggested: AppName,
    /// Under which it would be reached unless another is given.
    pub domain: Option<Host>,
    pub size: MainSize,
}

/// What to install, and how. Names of values are those of the template's variables, and of its further ports.
#[derive(Debug, Clone)]
pub struct InstallWish {
    pub template: String,
    /// `None`: the template's, with a number where it is taken.
    pub name: Option<AppName>,
    pub project: Option<String>,
    pub environment: Option<String>,
    pub values: BTreeMap<String, String>,
    /// Of those that the template offers; `None`: the first one.
    pub version: Option<String>,
    /// Of the main service, where it should differ from the template's.
    pub size: Size,
}

/// How large the main service of a template is.
#[derive(Debug, Clone)]
pub struct MainSize {
    pub service: String,
    /// Unless something else is wished for.
    pub usual: Limits,
    /// Its share of what the template needs; less is refused.
    pub least_memory_bytes: u64,
}

/// What installing would do.
#[derive(Debug, Clone)]
pub struct InstallPlan {
    pub name: AppName,
    /// Which of the versions that the template offers.
    pub choice: Option<String>,
    pub domain: Option<Host>,
    pub further: Vec<FurtherDomain>,
    pub services: Vec<ServiceView>,
    pub volumes: Vec<String>,
    /// Of the file, and whether each is internal; none when all services share one.
    pub networks: BTreeMap<String, bool>,
    /// Ports of the server that are opened, and to which service and port they lead.
    pub ports: Vec<(StreamPort, String, u16)>,
    /// Variables whose value is made up.
    pub generated: Vec<String>,
    /// The sum of what its services may use.
    pub memory_bytes: u64,
    /// What reaches the host: an administrator must install it.
    pub rights: Vec<HostRight>,
    /// An account that everybody knows, and where the server has less free than the template needs, for who may see the server.
    pub warnings: Vec<String>,
}

#[derive(Clone)]
pub struct Marketplace {
    ground: Arc<Ground>,
    apps: Apps,
    domains: Domains,
    edge: EdgeService,
    trash: Trash,
    shelves: Shelves,
}

/// A wish with every value in it, and what its file comes to.
struct Prepared {
    called: TemplateName,
    name: AppName,
    host: Option<Host>,
    further: Vec<FurtherDomain>,
    environment: EnvironmentId,
    entry: Arc<Entry>,
    values: BTreeMap<String, String>,
    generated: Vec<String>,
    choice: Option<String>,
    /// The template's file of that version.
    base: String,
    /// The same with the size that was wished for.
    text: String,
    composed: Composed,
}

impl Marketplace {
    pub(crate) fn new(ground: Arc<Ground>, shelves: Shelves) -> Marketplace {
        Marketplace {
            apps: Apps::new(ground.clone()),
            domains: Domains::new(ground.clone()),
            edge: EdgeService::new(ground.clone()),
            trash: Trash::new(ground.clone()),
            shelves,
            ground,
        }
    }

    /// All templates, by name: the program's own, then those of other catalogs.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<TemplateView>> {
        actor.may_somewhere(Action::View)?;
        self.shelves.ready().await?;
        let mut installed = self.installed(actor)?;
        let view = |(name, entry): (TemplateName, Arc<Entry>)| TemplateView {
            installed: installed.remove(&name.to_string()).unwrap_or_default(),
            entry,
            name,
        };
        Ok(self.shelves.all(actor)?.into_iter().map(view).collect())
    }

    /// Apps by their template, those in the trash left out.
    fn installed(&self, actor: &Actor) -> Result<BTreeMap<String, Vec<InstalledView>>> {
        let mut found: BTreeMap<String, Vec<InstalledView>> = BTreeMap::new();
        for app in self.ground.store.apps.list()? {
            let is_mine = app.organization == actor.organization && actor.is_permitted(Action::View, &app.place());
            if !is_mine || app.trashed_at.is_some() {
                continue;
            }
            if let types::Source::Compose(source) = &app.source
                && let Some(template) = &source.template
            {
                let entry = found.entry(template.name.clone()).or_default();
                entry.push(InstalledView {
                    app: app.name.clone(),
                    version: template.version.clone(),
                    choice: template.choice.clone(),
                });
            }
        }
        Ok(found)
    }

    pub async fn get(&self, actor: &Actor, name: &str) -> Result<TemplateDetail> {
        actor.may_somewhere(Action::View)?;
        self.shelves.ready().await?;
        let name: TemplateName = name.parse()?;
        let entry = self.shelves.entry(actor, &name)?;
        let installed = self.installed(actor)?.remove(&name.to_string()).unwrap_or_default();
        let environment = find_environment(&self.ground, actor, Action::View, None, None)?;
        let suggested = self.free_name(actor, &entry.template.name)?;
        let domain = match entry.template.main.web {
            true => default_host(&self.ground, actor, &suggested, &environment)?,
            false => None,
        };
        let wish = InstallWish {
            template: name.to_string(),
            name: Some(suggested.clone()),
            project: None,
            environment: None,
            values: examples(&entry.template),
            version: None,
            size: Size::default(),
        };
        // A pattern may ask for more than an example can know.
        let prepared = self.prepare(actor, Action::View, wish, false)?;
        let further = self.further_ports(actor, &entry.template, &suggested, &environment)?;
        Ok(TemplateDetail {
            further,
            services: services(&prepared),
            size: main_size(&entry.template, &prepared.composed.stack)?,
            versions: versions(&entry),
            compose: prepared.base,
            view: TemplateView { name, entry, installed },
            suggested,
            domain,
        })
    }

    /// What installing would do. Fails as that would, with what does not fit, is taken or may not be done.
    pub async fn plan(&self, actor: &Actor, wish: InstallWish) -> Result<InstallPlan> {
        actor.may_somewhere(Action::Configure)?;
        let prepared = self.prepare(actor, Action::Configure, wish, true)?;
        self.must_be_possible(actor, &prepared)?;
        let warnings = self.warnings(actor, &prepared.entry.template);
        let stack = &prepared.composed.stack;
        let usual = Limits::default();
        let memory = |service: &types::StackService| service.limits.or(&usual).memory_bytes * u64::from(service.replicas);
        Ok(InstallPlan {
            services: services(&prepared),
            volumes: stack.volumes.iter().map(|volume| volume.name.clone()).collect(),
            networks: networks(stack),
            ports: ports(stack),
            memory_bytes: stack.services.iter().map(memory).sum(),
            rights: prepared.composed.rights.clone(),
            choice: prepared.choice,
            name: prepared.name,
            domain: prepared.host,
            further: prepared.further,
            generated: prepared.generated,
            warnings,
        })
    }

    /// Makes the app and asks for its first deployment.
    pub async fn install(&self, actor: &Actor, wish: InstallWish) -> Result<AppView> {
        actor.may_somewhere(Action::Configure)?;
        let (project, environment) = (wish.project.clone(), wish.environment.clone());
        let prepared = self.prepare(actor, Action::Configure, wish, true)?;
        // Before anything is made.
        self.must_be_possible(actor, &prepared)?;
        let view = self.apps.create(actor, new_app(&prepared, project, environment)?).await?;
        if let Err(error) = self.open_further(actor, &view.app, &prepared).await {
            // Half an app helps nobody: it goes to the trash, and the reason is told.
            self.trash.put(actor, view.app.id.as_str()).await?;
            return Err(error);
        }
        match prepared.further.is_empty() {
            true => Ok(view),
            // With the domains that came behind it.
            false => self.apps.get(actor, view.app.id.as_str()).await,
        }
    }

    /// What to know for the first sign-in. It is told once: passwords are in it.
    pub async fn first_login(&self, actor: &Actor, app: &str) -> Result<String> {
        actor.may_somewhere(Action::RevealSecrets)?;
        let app = find_app(&self.ground, actor, Action::RevealSecrets, app)?;
        actor.spans(Scope::Secrets, Family::Variables)?;
        let installed = compose_of(&app)?.template.clone();
        let installed = installed.ok_or_else(|| Error::busy(format!("`{}` is not from the catalog", app.name)))?;
        if installed.greeted {
            return Err(Error::busy("it was shown already; the values are among the app's variables"));
        }
        let template = catalog::template::read(&installed.template).map_err(|notice| Error::invalid("template", notice.to_string()))?;
        let text = match (template.first_login, stacks::template_values(&self.ground, &app)?) {
            (Some(text), Some(values)) => values.fill(&text).map_err(|why| Error::invalid("template", why))?,
            _ => String::new(),
        };
        let greeted = |app: &mut types::App| {
            if let types::Source::Compose(source) = &mut app.source
                && let Some(installed) = &mut source.template
            {
                installed.greeted = true;
            }
            Ok(())
        };
        self.ground.store.apps.update(app.id.as_str(), greeted).await?;
        let fact = types::Fact::SecretsRevealed {
            app: app.id,
            name: app.name.to_string(),
        };
        self.ground.events.emit(actor, fact).await;
        Ok(text)
    }

    /// `wordpress`, or `wordpress-2` where that is taken.
    fn free_name(&self, actor: &Actor, base: &str) -> Result<AppName> {
        let apps = self.ground.store.apps.list()?;
        let taken = |name: &str| {
            let own = |app: &&store::Stored<types::App>| app.organization == actor.organization && app.trashed_at.is_none();
            apps.iter().filter(own).any(|app| app.name.as_str() == name)
        };
        let mut name = base.to_owned();
        let mut number = 1;
        while taken(&name) {
            number += 1;
            name = format!("{base}-{number}");
        }
        name.parse()
    }

    /// `strict`: every value must fit; else only the file is asked for.
    fn prepare(&self, actor: &Actor, action: Action, wish: InstallWish, strict: bool) -> Result<Prepared> {
        let called: TemplateName = wish.template.parse()?;
        let entry = self.shelves.entry(actor, &called)?;
        let template = &entry.template;
        let environment = find_environment(&self.ground, actor, action, wish.project.as_deref(), wish.environment.as_deref())?;
        let name: Slug = match wish.name {
            Some(name) => name,
            None => self.free_name(actor, &template.name)?,
        };
        let mut names: Vec<String> = template.variables.iter().map(|asked| asked.name.clone()).collect();
        names.extend(template.also.iter().map(Also::variable));
        if let Some(unknown) = wish.values.keys().find(|name| !names.contains(name)) {
            let why = format!("`{}` has no such variable, only {}", template.name, names.join(", "));
            return Err(Error::invalid(unknown, why));
        }
        let mut values = BTreeMap::new();
        let mut made = Vec::new();
        let mut host = None;
        for asked in &template.variables {
            let typed = wish.values.get(&asked.name);
            let value = match asked.kind {
                AskedKind::Domain if typed.is_none_or(String::is_empty) => {
                    let usual = default_host(&self.ground, actor, &name, &environment)?;
                    usual.map(|host| host.to_string()).unwrap_or_default()
                }
                _ => {
                    let (value, is_made) = value_of(&self.ground, asked, typed);
                    if is_made {
                        made.push(asked.name.clone());
                    }
                    value
                }
            };
            if let (Err(why), true) = (asked.accepts(&value), strict) {
                return Err(Error::invalid(&asked.name, why));
            }
            if asked.kind == AskedKind::Domain {
                let wanted = value.parse::<Host>()?;
                if strict {
                    must_be_free(&self.ground, actor, &HostPattern::from(&wanted))?;
                }
                host = Some(wanted);
            }
            values.insert(asked.name.clone(), value);
        }
        let further = self.further_domains(actor, template, &wish.values, host.as_ref())?;
        let url = host.as_ref().map(|host| self.ground.url_of(host)).unwrap_or_default();
        let filled = Values::new(template, &values, name.as_str(), &url, "plan").map_err(|why| Error::invalid("template", why))?;
        let read = |text: &str| stacks::read(text, &[], &BTreeMap::new(), Some(&filled)).map_err(|problems| stacks::refusal(&problems));
        let version = template
            .version(wish.version.as_deref())
            .map_err(|why| Error::invalid("version", why))?;
        let choice = version.map(|version| version.name.clone());
        let base = pick(&entry.compose, version);
        let mut composed = read(&base)?;
        let mut text = base.clone();
        if !wish.size.is_usual() {
            text = sized(template, &base, &composed.stack, wish.size)?;
            composed = read(&text)?;
        }
        Ok(Prepared {
            called,
            name,
            host,
            further,
            environment: environment.id,
            entry,
            values,
            generated: made,
            choice,
            base,
            text,
            composed,
        })
    }
}

/// What a variable gets: what was typed, else something made up (then also `true`), else its default.
pub(crate) fn value_of(ground: &Ground, asked: &Asked, typed: Option<&String>) -> (String, bool) {
    if let Some(typed) = typed.filter(|typed| !typed.is_empty()) {
        return (typed.clone(), false);
    }
    match generated(asked, &ground.world) {
        Some(value) => (value, true),
        None => (asked.default_text().unwrap_or_default(), false),
    }
}

/// Values for a look at a template before anything is typed.
fn examples(template: &Template) -> BTreeMap<String, String> {
    let example = |kind: AskedKind| match kind {
        AskedKind::Domain => Some("app.example.com"),
        AskedKind::Mail => Some("you@example.com"),
        AskedKind::Port => Some("20000"),
        AskedKind::Boolean => Some("false"),
        AskedKind::Enum | AskedKind::Text | AskedKind::Secret | AskedKind::Password => None,
    };
    let needed = template.variables.iter().filter(|asked| !asked.is_optional());
    needed
        .filter_map(|asked| {
            let value = example(asked.kind).map(str::to_owned).or_else(|| asked.options.first().cloned());
            Some((asked.name.clone(), value.or_else(|| Some("example".to_owned()))?))
        })
        .collect()
}

/// How large the main service is, and how small it may be: its part of all memory, of the least that the template needs.
fn main_size(template: &Template, stack: &Stack) -> Result<MainSize> {
    let usual = Limits::default();
    let main = stack.service(&template.main.service);
    let main = main.ok_or_else(|| Error::not_found(Kind::Service, &template.main.service))?;
    let memory = |service: &types::StackService| service.limits.or(&usual).memory_bytes;
    let all: u64 = stack.services.iter().map(memory).sum();
    let needed = (u64::from(template.needs.memory_mb) << 20).min(all);
    let share = u128::from(memory(main)) * u128::from(needed) / u128::from(all.max(1));
    // In whole MiB, so that it can be said and typed.
    let least = u64::try_from(share).unwrap_or(u64::MAX).div_ceil(1 << 20) << 20;
    Ok(MainSize {
        service: main.name.clone(),
        usual: main.limits.or(&usual),
        least_memory_bytes: least.clamp(6 << 20, memory(main).max(6 << 20)),
    })
}

/// The template's file with this size of its main service. Fails with the limit that does not fit.
fn sized(template: &Template, text: &str, stack: &Stack, size: Size) -> Result<String> {
    let main = main_size(template, stack)?;
    let least = main.least_memory_bytes;
    if size.memory_bytes.is_some_and(|bytes| bytes < least) {
        return Err(Error::invalid(
            "limits.memory_bytes",
            format!("`{}` needs {} MiB of memory at least", main.service, least >> 20),
        ));
    }
    let wanted = Limits {
        memory_bytes: size.memory_bytes.unwrap_or(main.usual.memory_bytes),
        cpu_millis: size.cpu_millis.unwrap_or(main.usual.cpu_millis),
        pids: main.usual.pids,
    };
    checked_limits(wanted)?;
    resize(text, &main.service, size).ok_or_else(|| {
        let why = format!(
            "the file of this template gives `{}` no limits of its own; install it, then change its Compose file",
            main.service
        );
        Error::invalid("limits", why)
    })
}

/// The versions of a template, with the image of the main service.
fn versions(entry: &Entry) -> Vec<(Version, String)> {
    let view = |version: &Version| {
        let image = main_image(&entry.template, &pick(&entry.compose, Some(version)));
        (version.clone(), image.unwrap_or_default())
    };
    entry.template.versions.iter().map(view).collect()
}

fn services(prepared: &Prepared) -> Vec<ServiceView> {
    let (main, usual) = (prepared.entry.template.main.service.as_str(), Limits::default());
    let view = |service: &types::StackService| ServiceView::new(service, None, Some(main), &usual);
    prepared.composed.stack.services.iter().map(view).collect()
}

/// Ports of the server that its services want, and to which service and port they lead.
pub(crate) fn ports(stack: &Stack) -> Vec<(StreamPort, String, u16)> {
    let mut ports = Vec::new();
    for service in &stack.services {
        for port in &service.ports {
            if let Some(published) = port.published {
                let listen = StreamPort {
                    protocol: port.protocol,
                    port: published,
                };
                ports.push((listen, service.name.clone(), port.target));
            }
        }
    }
    ports
}

/// The networks of its file, and whether each is internal.
fn networks(stack: &Stack) -> BTreeMap<String, bool> {
    let all = stack.services.iter().flat_map(|service| &service.networks);
    all.map(|network| (network.name.clone(), network.internal)).collect()
}

fn new_app(prepared: &Prepared, project: Option<String>, environment: Option<String>) -> Result<NewApp> {
    let template = &prepared.entry.template;
    let mut variables = Vec::new();
    for asked in &template.variables {
        variables.push(VariableChange {
            key: asked.name.parse()?,
            value: Some(Secret::from(prepared.values.get(&asked.name).cloned().unwrap_or_default())),
            scope: Some(VariableScope::Run),
            secret: Some(asked.is_secret()),
        });
    }
    Ok(NewApp {
        replicas: None,
        commands: types::DeployCommands::default(),
        name: prepared.name.clone(),
        project,
        environment,
        source: NewSource::Compose {
            text: Secret::from(prepared.text.clone()),
            profiles: Vec::new(),
            main: Some(template.main.service.clone()),
            template: Some(Box::new(Installed {
                name: prepared.called.to_string(),
                version: template.version.clone(),
                choice: prepared.choice.clone(),
                template: prepared.entry.text.clone(),
                compose: prepared.base.clone(),
                greeted: template.first_login.is_none(),
                prepared: template.post_install.is_empty(),
                before: None,
                detached: Vec::new(),
            })),
        },
        port: Some(template.main.port),
        command: None,
        // Left open, an app gets the usual one: one that answers no HTTP gets none.
        domains: match (&prepared.host, template.main.web) {
            (None, true) => None,
            (host, _) => Some(host.iter().cloned().collect()),
        },
        limits: Limits::default(),
        health: Some(health(template.main.health.as_ref())),
        mounts: Vec::new(),
        variables,
        grace_seconds: None,
        deploy_timeout_seconds: None,
        deploy: true,
    })
}

/// How the edge checks the main service.
pub(crate) fn health(health: Option<&Health>) -> HealthCheck {
    // Databases are made and filled at the first start.
    let usual = HealthCheck {
        start_seconds: 180,
        ..HealthCheck::default()
    };
    let Some(health) = health else { return usual };
    let probe = match (health.kind, &health.path) {
        (HealthKind::Http, Some(path)) => Probe::Http { path: path.clone() },
        _ => Probe::Tcp,
    };
    HealthCheck {
        probe,
        start_seconds: health.start_seconds.unwrap_or(180),
        ..usual
    }
}

//! The steps of a deployment when the app has several services: images, services in order, health of all of them.
//!
//! A service that did not change keeps its container. One that did starts beside the old container, unless both would
//! write to the same volume: then the old one stops first. Which it is, the log says before.

use super::{
    starting::ended_words,
    step::{Made, Next, Step},
};
use crate::{
    containers::{look, stop_drained},
    data_copies, inside, previews, quotas, registries,
    release_images::ReleaseImage,
    releases, secrets, stacks, variables,
};
use catalog::compose::{Composed, Files, Folder, within};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
    time::Duration,
};
use store::Batch;
use types::{
    BuildWish, Buildable, Cause, ComposeSource, Container, ContainerState, Doing, EngineHealth, Error, ExecSpec, Image, MountFrom, Phase,
    Preset, Probe, PullPolicy, Release, ReleaseService, ReleaseStack, RepoPath, Result, Stack, StackBuild, StackHealth, StackService,
    TreeStack, report,
};

const PAUSE: Duration = Duration::from_millis(300);

impl Step<'_> {
    /// Reads the file with the values of now, and brings the images here.
    pub(super) async fn fetch_stack(&self, source: &ComposeSource) -> Result<Next> {
        let composed = stacks::compose(self.ground, self.app)?;
        secrets::learn_stack(self.ground, &self.app.organization, &composed.stack);
        for hint in &composed.hints {
            self.log.note(format!("compose: {hint}")).await;
        }
        let stack = self.as_preview(self.with_variables(composed.stack)?).await?;
        quotas::admit_stack(self.ground, &self.app.id, stack.demand(&self.app.limits)).await?;
        let mut images: BTreeMap<String, Image> = BTreeMap::new();
        self.pull(&stack, &mut images).await?;
        self.stack_released(source.hash.clone(), stack, &images)
    }

    /// Reads the Compose file of the tree that was fetched, builds what its services are built from, and brings the other images.
    pub(super) async fn build_stack(&self, tree: &Path, folder: &RepoPath, stack: &TreeStack) -> Result<Next> {
        let composed = self.read_tree(tree, folder, stack).await?;
        self.settle_tree(&composed).await?;
        secrets::learn_stack(self.ground, &self.app.organization, &composed.stack);
        let mut stack = self.as_preview(self.with_variables(composed.stack)?).await?;
        quotas::admit_stack(self.ground, &self.app.id, stack.demand(&self.app.limits)).await?;
        let mut images: BTreeMap<String, Image> = BTreeMap::new();
        // Services that are built from the same have one image.
        let mut built: Vec<(StackBuild, String)> = Vec::new();
        for service in &mut stack.services {
            let Some(build) = service.build.take() else { continue };
            let found = built.iter().find(|(known, _)| *known == build).map(|(_, tag)| tag.clone());
            let tag = match found {
                Some(tag) => tag,
                None => {
                    let mut tag = self.tag(&service.name);
                    if images.contains_key(&tag) {
                        tag = self.tag(&format!("{}-{}", service.name, images.len()));
                    }
                    let image = self.service_built(&service.name, &build, tree, &tag).await?;
                    images.insert(tag.clone(), image);
                    built.push((build, tag.clone()));
                    tag
                }
            };
            service.image = Some(tag);
        }
        self.pull(&stack, &mut images).await?;
        let hash = stacks::source_hash(&self.app.source).unwrap_or_default();
        self.stack_released(hash, stack, &images)
    }

    /// In a preview no service may use more than its rules say, whatever the file says.
    pub(super) async fn as_preview(&self, mut stack: Stack) -> Result<Stack> {
        if let Some(most) = previews::service_limits(self.ground, self.app)? {
            for name in stack.hold_to(&most, &self.app.limits) {
                self.log.note(format!("{name}: held to the limits of previews")).await;
            }
        }
        Ok(stack)
    }

    pub(super) async fn read_tree(&self, tree: &Path, folder: &RepoPath, stack: &TreeStack) -> Result<Composed> {
        let values = stacks::values_of(self.ground, self.app)?;
        let (tree, folder, stack) = (tree.to_owned(), folder.clone(), stack.clone());
        let read = tokio::task::spawn_blocking(move || stacks::read_tree(&tree, &folder, &stack, &values)).await;
        let (path, composed) = read.doing("reading a Compose file")??;
        self.log.note(format!("services of {path}")).await;
        let composed = composed.map_err(|problems| stacks::refusal(&problems))?;
        for hint in &composed.hints {
            self.log.note(format!("compose: {hint}")).await;
        }
        Ok(composed)
    }

    /// Gives new volumes their place. Fails with `Forbidden` for what reaches the host and is not allowed; that is noted at the app, so that
    /// an administrator can allow it.
    pub(super) async fn settle_tree(&self, composed: &Composed) -> Result<()> {
        let store = &self.ground.store;
        loop {
            let mut stored = store.apps.get(self.app.id.as_str())?;
            let before = stored.value.clone();
            let environment = store.environments.get(stored.environment.as_str())?.value;
            let Some(tree) = stored.source.tree_stack_mut() else {
                return Err(Error::busy("the source of the app was changed meanwhile; deploy again"));
            };
            let refused: Vec<String> = stacks::refused(&tree.setup, &composed.rights)
                .into_iter()
                .map(stacks::right_key)
                .collect();
            tree.host_wanted.clone_from(&refused);
            let made = match refused.is_empty() {
                true => stacks::place(self.ground, &mut stored.value, &environment, &composed.stack)?,
                false => Vec::new(),
            };
            if stored.value != before {
                let batch = made.into_iter().fold(Batch::new(), Batch::insert);
                match store.commit(batch.save(stored)).await {
                    Err(Error::Stale { .. }) => continue,
                    other => other?,
                }
            }
            return match refused.is_empty() {
                true => Ok(()),
                false => Err(Error::Forbidden {
                    needs: format!("an administrator who allows it: {}", refused.join("; ")),
                }),
            };
        }
    }

    async fn service_built(&self, name: &str, build: &StackBuild, tree: &Path, tag: &str) -> Result<Image> {
        let place = if build.context.is_empty() { "." } else { &build.context };
        self.log.note(format!("{name}: building from {place}")).await;
        let source = buildable(build, tree)?;
        self.image_built(tree, &source, build.arguments.clone(), tag)
            .await
            .map(|(image, _)| image)
            .map_err(|error| match error {
                Error::Invalid { field, why } => Error::Invalid {
                    field,
                    why: format!("`{name}`: {why}"),
                },
                other => other,
            })
    }

    /// The services with the variables that are theirs alone.
    pub(super) fn with_variables(&self, mut stack: Stack) -> Result<Stack> {
        for service in &mut stack.services {
            for variable in variables::of_service(self.ground, self.app, &service.name)? {
                if let (true, Some(text)) = (variable.scope.at_run(), variable.value.expose_str()) {
                    service.environment.insert(variable.key.to_string(), text.to_owned());
                }
            }
        }
        Ok(stack)
    }

    /// Brings the images that are not among `images` yet.
    async fn pull(&self, stack: &Stack, images: &mut BTreeMap<String, Image>) -> Result<()> {
        for service in &stack.services {
            let reference = service.image.clone().unwrap_or_default();
            if let Entry::Vacant(place) = images.entry(reference) {
                let image = self.service_image(service, place.key()).await?;
                place.insert(image);
            }
        }
        Ok(())
    }

    async fn service_image(&self, service: &StackService, reference: &str) -> Result<Image> {
        let node = &self.ground.node;
        self.log.note(format!("{}: getting the image {reference}", service.name)).await;
        let way = registries::way_to(self.ground, &self.app.organization, reference).await?;
        let moved = matches!(self.deployment.cause, Cause::NewImage { .. });
        let policy = match service.pull {
            PullPolicy::Missing if moved => PullPolicy::Always,
            said => said,
        };
        node.image_pull(reference, way.login.as_ref(), policy, &way.egress, &self.log.lines())
            .await
            .map_err(|error| match error {
                Error::NotFound { .. } if policy == PullPolicy::Never => error,
                error => Error::unavailable_by(format!("the image {reference} of `{}`", service.name), error),
            })
    }

    /// The release of these services with these images.
    pub(super) fn stack_released(&self, source: String, stack: Stack, images: &BTreeMap<String, Image>) -> Result<Next> {
        let app = self.ground.store.apps.get(self.app.id.as_str())?.value;
        let setup = app.source.stack().cloned().unwrap_or_default();
        let main = stacks::main_of(&stack, setup.main.as_deref()).ok_or_else(|| Error::invalid("compose", "no service stays running"))?;
        let (main_name, main_port) = (main.name.clone(), stacks::port_of(main));
        let image_of = |service: &StackService| images.get(service.image.as_deref().unwrap_or_default());
        let main_image = image_of(main).cloned().ok_or_else(|| Error::busy("its image is gone"))?;
        let mut services: Vec<ReleaseService> = Vec::new();
        for service in &stack.services {
            let image = image_of(service).ok_or_else(|| Error::busy("its image is gone"))?;
            // What is restarted with another one is another container when that one is.
            let followed = service.depends_on.iter().filter(|one| one.restart);
            let mut others: Vec<String> = followed
                .filter_map(|one| services.iter().find(|made| made.name == one.service))
                .map(|made| made.hash.clone())
                .collect();
            // Without networks all services meet other apps, whichever is the main one.
            if !service.networks.is_empty() && service.meets_other_apps(&main_name) {
                others.push("meets other apps".into());
            }
            services.push(ReleaseService {
                name: service.name.clone(),
                image: image.id.clone(),
                image_name: service.image.clone().unwrap_or_default(),
                digest: image.digest.clone(),
                replicas: service.replicas,
                hash: stacks::hash_of(service, &image.id, &app, &setup.volumes, &others.join(" "))?,
                once: service.runs_once(),
                stops_first: service.why_stop_first(),
            });
        }
        let port = app.port.or(main_port);
        let image_name = services
            .iter()
            .find(|service| service.name == main_name)
            .map(|service| service.image_name.clone());
        let probe = self.app.health.probe.settled(false);
        let mut next = self.released(main_image, image_name.unwrap_or_default(), probe)?;
        if let Some(Made::Release(release)) = &mut next.live {
            release.port = port.unwrap_or(release.port);
            release.mounts = Vec::new();
            release.stack = Some(ReleaseStack {
                sealed: stacks::seal(self.ground, &stack)?,
                source,
                main: main_name,
                services,
                volumes: setup.volumes,
                demand: Some(stack.demand(&app.limits)),
            });
        }
        Ok(next)
    }

    /// Starts every service that is not there yet, in order, each when what it waits for is so.
    pub(super) async fn start_stack(&self, release: &Release, live: &ReleaseStack) -> Result<Next> {
        let stack = stacks::open(self.ground, live)?;
        self.keep_data(release).await?;
        let seen = look(self.ground).await?;
        for service in &stack.services {
            let why = service.why_stop_first();
            if let Some(why) = why.filter(|_| !self.others(release, service, &seen).is_empty()) {
                let words = format!(
                    "{}: changed; the old container stops before the new one starts: {why}",
                    service.name
                );
                self.log.note(words).await;
            }
        }
        for service in &stack.services {
            self.wait_for(release, service).await?;
            if service.name == live.main {
                self.before_main(release, &live.main).await?;
            }
            let replicas = live
                .services
                .iter()
                .find(|made| made.name == service.name)
                .map_or(0, |made| made.replicas);
            for replica in 0..replicas {
                self.start_service(release, service, replica).await?;
            }
        }
        Ok(Next::to(Phase::Checking))
    }

    /// Runs the app's own command before a deployment, once what its main service waits for is there, such as a database.
    async fn before_main(&self, release: &Release, main: &str) -> Result<()> {
        let (Some(command), false) = (&self.app.commands.before, self.is_rollback()) else {
            return Ok(());
        };
        self.log.note(format!("before `{main}` starts: {command}")).await;
        let end = self.run_once(release, command, "before").await?;
        match end.code == 0 && !end.out_of_memory {
            true => Ok(()),
            false => Err(Error::invalid(
                "before_deploy",
                format!("`{command}` {}; `{main}` was not started", ended_words(end, release)),
            )),
        }
    }

    /// Before an update of the template runs on the app's data: stops what may write to it, and copies it.
    async fn keep_data(&self, release: &Release) -> Result<()> {
        let app = self.ground.store.apps.get(self.app.id.as_str())?.value;
        if self.is_rollback() || data_copies::wanted(&app).is_none() {
            return Ok(());
        }
        let live = app
            .release
            .as_ref()
            .map(|id| releases::find(self.ground, id))
            .transpose()?
            .flatten();
        let live = live
            .and_then(|release| release.stack)
            .map(|live| stacks::open(self.ground, &live))
            .transpose()?;
        let mounts = |name: &str| {
            let service = live.as_ref().and_then(|stack| stack.service(name));
            service.is_none_or(|service| service.mounts.iter().any(|mount| matches!(mount.from, MountFrom::Volume { .. })))
        };
        for container in look(self.ground).await? {
            let writes = container.owner.service.as_ref().is_none_or(|mark| mounts(&mark.name));
            if container.owner.app == app.id && container.state.is_running() && writes {
                self.log
                    .note(format!("stopping {}, so that its data can be copied", container.name))
                    .await;
                let grace = Duration::from_secs(app.grace_seconds.into());
                stop_drained(self.ground, &container, grace).await?;
            }
        }
        for copy in data_copies::make(self.ground, &app, release).await? {
            let words = format!("copied the volume {}: {} KiB, for the way back", copy.name, copy.bytes >> 10);
            self.log.note(words).await;
        }
        Ok(())
    }

    /// Running containers of the same service that are made of something else.
    fn others(&self, release: &Release, service: &StackService, seen: &[Container]) -> Vec<Container> {
        let is_other = |container: &&Container| {
            let mark = container.owner.service.as_ref();
            container.owner.app == self.app.id
                && mark.is_none_or(|mark| mark.name == service.name)
                && !release.owns(container)
                && container.state.is_running()
        };
        seen.iter().filter(is_other).cloned().collect()
    }

    async fn start_service(&self, release: &Release, service: &StackService, replica: u32) -> Result<()> {
        let live = release.stack.as_ref();
        let made = live.and_then(|live| live.services.iter().find(|made| made.name == service.name));
        if let Some(made) = made {
            // Who goes back soon finds its container on its way out: one that still drains stays, one that is removed is waited for.
            let name = stacks::container_name(self.app, made, replica);
            self.ground.retiring.take_back_named(&name).await;
        }
        let seen = look(self.ground).await?;
        let is_it = |container: &&Container| {
            let mark = container.owner.service.as_ref();
            release.owns(container) && mark.is_some_and(|mark| mark.name == service.name && mark.replica == replica)
        };
        if seen.iter().find(is_it).is_some_and(|container| stacks::is_fine(service, container)) {
            self.log.note(format!("{}: unchanged, its container stays", service.name)).await;
            return Ok(());
        }
        if let Some(made) = made.filter(|made| made.digest.is_some()) {
            // Before anything stops: it may have to come from its registry again, which takes a while, or fails.
            let image = ReleaseImage::of_service(release, made, service.pull);
            image.bring(self.ground, &self.app.organization, &self.log.lines()).await?;
        }
        if service.why_stop_first().is_some() {
            for old in self.others(release, service, &seen) {
                self.log.note(format!("{}: stopping the old container", service.name)).await;
                let grace = Duration::from_secs(stacks::grace_of(service, self.app).into());
                stop_drained(self.ground, &old, grace).await?;
            }
        }
        self.log.note(format!("{}: starting", service.name)).await;
        let container = stacks::bring_up(self.ground, self.app, release, service, replica)
            .await
            .map_err(|error| Error::unavailable_by(format!("the service `{}`", service.name), error))?;
        if service.post_start.is_empty() {
            return Ok(());
        }
        self.log
            .note(format!("{}: running what it does after its start", service.name))
            .await;
        stacks::after_start(self.ground, service, &container, Some(&self.log.lines())).await
    }

    /// Until what the service depends on is so. The deployment's own limit ends it.
    async fn wait_for(&self, release: &Release, service: &StackService) -> Result<()> {
        let mut told = false;
        loop {
            let seen = self.ground.node.containers().await?;
            let mut open = Vec::new();
            for one in &service.depends_on {
                match stacks::is_met(release, one, &seen) {
                    Ok(true) => {}
                    Ok(false) => open.push(one.service.as_str()),
                    Err(why) if one.required => {
                        return Err(Error::unavailable(format!("`{}` cannot start: {why}", service.name)));
                    }
                    Err(why) => self.log.note(format!("{}: going on without it: {why}", service.name)).await,
                }
            }
            if open.is_empty() {
                return Ok(());
            }
            if !told {
                told = true;
                self.log.note(format!("{}: waiting for {}", service.name, open.join(", "))).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Until every service is as it should be; the main one also answers from outside.
    pub(super) async fn check_stack(&self, release: &Release, live: &ReleaseStack) -> Result<Next> {
        let stack = stacks::open(self.ground, live)?;
        let began = tokio::time::Instant::now();
        let own = Duration::from_secs(release.health.start_seconds.into());
        let limit = stack.services.iter().filter_map(longest).max().unwrap_or_default().max(own);
        loop {
            let seen = self.ground.node.containers().await?;
            let mut open = Vec::new();
            for service in &stack.services {
                let replicas = live
                    .services
                    .iter()
                    .find(|made| made.name == service.name)
                    .map_or(0, |made| made.replicas);
                for replica in 0..replicas {
                    open.extend(self.why_not(release, service, replica, &seen, began).await?);
                }
            }
            if open.is_empty() {
                self.log
                    .note(format!("all services are up after {:.1} s", began.elapsed().as_secs_f64()))
                    .await;
                self.prepare(release).await?;
                return Ok(Next {
                    live: Some(Made::Live(release.id.clone())),
                    ..Next::to(Phase::Live)
                });
            }
            if began.elapsed() > limit {
                return Err(Error::unavailable(format!(
                    "not healthy after {} s: {}",
                    limit.as_secs(),
                    open.join("; ")
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Why a container is not ready yet; `Err` when it will not be.
    async fn why_not(
        &self,
        release: &Release,
        service: &StackService,
        replica: u32,
        seen: &[Container],
        began: tokio::time::Instant,
    ) -> Result<Option<String>> {
        let name = &service.name;
        let is_it = |container: &&Container| {
            let mark = container.owner.service.as_ref();
            release.owns(container) && mark.is_some_and(|mark| mark.name == *name && mark.replica == replica)
        };
        let Some(container) = seen.iter().find(is_it) else {
            return Err(Error::unavailable(format!("the container of `{name}` is gone")));
        };
        let once = service.runs_once();
        match &container.state {
            ContainerState::Exited { code: 0, .. } if once => return Ok(None),
            ContainerState::Running if once => {
                return Ok((began.elapsed() < Duration::from_secs(2)).then(|| format!("`{name}` still works")));
            }
            ContainerState::Running if container.restarts > 0 && container.started_at.is_some() && self.is_new(release, container) => {
                return Err(Error::unavailable(format!("`{name}` exited and was started again")));
            }
            ContainerState::Running => {}
            ContainerState::Exited { .. } | ContainerState::Restarting { .. } => {
                return Err(Error::unavailable(format!("`{name}` {}", container.state.words())));
            }
            state => return Ok(Some(format!("`{name}` is {}", state.words()))),
        }
        match container.health {
            Some(EngineHealth::Unhealthy) => return Err(Error::unavailable(format!("`{name}` is unhealthy: its health check fails"))),
            Some(EngineHealth::Starting) => return Ok(Some(format!("`{name}` is not healthy yet"))),
            _ => {}
        }
        if !release.serves_with(container) {
            return Ok(None);
        }
        if release.health.probe == Probe::Running {
            return Ok((began.elapsed() < Duration::from_secs(3)).then(|| format!("`{name}` just started")));
        }
        let probed = self.probe(release, container, began).await;
        Ok(probed.err().map(|error| format!("`{name}`: {}", report(&error))))
    }

    /// Whether this deployment made it; the restarts of one that was kept are history.
    fn is_new(&self, release: &Release, container: &Container) -> bool {
        container.owner.release == release.id
    }

    /// Runs what a template asks for once, inside the app's containers.
    async fn prepare(&self, release: &Release) -> Result<()> {
        let app = self.ground.store.apps.get(self.app.id.as_str())?.value;
        let types::Source::Compose(source) = &app.source else {
            return Ok(());
        };
        let Some(installed) = source.template.as_ref().filter(|installed| !installed.prepared) else {
            return Ok(());
        };
        let template = catalog::template::read(&installed.template).map_err(|notice| Error::invalid("template", notice.to_string()))?;
        if let Some(values) = stacks::template_values(self.ground, &app)? {
            for step in &template.post_install {
                self.log.note(step.title.clone().unwrap_or_else(|| step.command.join(" "))).await;
                let words = step.command.iter().map(|word| values.fill(word));
                let command = words
                    .collect::<std::result::Result<Vec<_>, _>>()
                    .map_err(|why| Error::invalid("post_install", why))?;
                self.run_inside(release, &step.service, command).await?;
            }
        }
        let done = |app: &mut types::App| {
            if let types::Source::Compose(source) = &mut app.source
                && let Some(installed) = &mut source.template
            {
                installed.prepared = true;
            }
            Ok(())
        };
        self.ground.store.apps.update(app.id.as_str(), done).await?;
        Ok(())
    }

    async fn run_inside(&self, release: &Release, service: &str, command: Vec<String>) -> Result<()> {
        let seen = self.ground.node.containers().await?;
        let is_it =
            |container: &&Container| release.owns(container) && container.owner.service.as_ref().is_some_and(|mark| mark.name == service);
        let container = seen
            .iter()
            .find(is_it)
            .ok_or_else(|| Error::not_found(types::Kind::Service, service))?;
        let ran = inside::run(self.ground, &container.id, &ExecSpec::plain(command), Some(&self.log.lines())).await;
        ran.map_err(|error| Error::unavailable_by(format!("a step after the start in `{service}`"), error))
    }
}

/// How a service's `build` is done. A Dockerfile outside of the context is taken over by its text.
fn buildable(build: &StackBuild, tree: &Path) -> Result<Buildable> {
    let out = || Error::invalid("compose", "the build context leads out of the repository");
    let folder = within("", &build.context).ok_or_else(out)?;
    let name = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    let path = within(&folder, name).ok_or_else(out)?;
    let inside = match folder.as_str() {
        "" => Some(path.as_str()),
        folder => path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
    };
    let own = match (&build.inline, inside) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(_)) => None,
        (None, None) => {
            let read = Folder(tree.to_owned())
                .read(&path)
                .map_err(|why| Error::invalid("dockerfile", why))?;
            Some(read.ok_or_else(|| Error::invalid("dockerfile", format!("there is no `{path}`")))?)
        }
    };
    Ok(Buildable {
        folder: folder.parse()?,
        dockerfile: inside.unwrap_or("Dockerfile").parse()?,
        target: build.target.clone(),
        wish: BuildWish {
            preset: Some(Preset::Dockerfile),
            dockerfile: own,
            ..BuildWish::default()
        },
    })
}

/// How long a service's own check may take until it has decided.
fn longest(service: &StackService) -> Option<Duration> {
    match &service.health {
        StackHealth::Check(check) => Some(check.longest() + Duration::from_secs(5)),
        StackHealth::Image | StackHealth::Off => None,
    }
}

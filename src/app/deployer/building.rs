//! From what was fetched to an image and the release of it.

use super::{
    step::{Made, Next, Step},
    work_folder,
};
use crate::{
    build_cache,
    builders::{self, Engine, Place},
    containers::tail,
    ground::Ground,
    registries, release_ports, release_routes,
    variables::effective,
};
use std::collections::BTreeMap;
use types::{BuildSpec, Buildable, Error, Image, Phase, Probe, Release, ReleaseVariable, Result, report};

impl Step<'_> {
    pub(super) async fn build(&self) -> Result<Next> {
        let Some(source) = self.app.source.buildable() else {
            return Ok(Next::to(Phase::Fetching));
        };
        let folder = work_folder(self.ground, &self.deployment.id);
        if !folder.exists() {
            return Ok(Next::to(Phase::Fetching));
        }
        if let Some(tree) = self.app.source.tree_stack() {
            return self.build_stack(&folder, &source.folder, tree).await;
        }
        let tag = self.tag("");
        let (image, web) = self.image_built(&folder, &source, BTreeMap::new(), &tag).await?;
        self.released(image, tag, self.app.health.probe.settled(web))
    }

    /// `serverkit/blog-1a2b3c4d:7`, for a service `serverkit/blog-1a2b3c4d-web:7`.
    pub(super) fn tag(&self, service: &str) -> String {
        let clean = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name = format!("{}-{}-{service}", self.app.name, tail(self.app.id.as_str(), 8));
        let name: String = name.chars().map(clean).collect();
        format!("serverkit/{}:{}", name.trim_end_matches('-'), self.deployment.number)
    }

    /// Builds what `source` names in the tree, with the app's variables for builds; `given` goes before those. Answers also
    /// whether it is known to serve pages.
    pub(super) async fn image_built(
        &self,
        tree: &std::path::Path,
        source: &Buildable,
        given: BTreeMap<String, String>,
        tag: &str,
    ) -> Result<(Image, bool)> {
        let (mut arguments, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        for variable in effective(self.ground, self.app)?
            .into_iter()
            .filter(|variable| variable.scope.at_build())
        {
            let value = variable.value;
            match value.expose_str() {
                Some(text) if !variable.secret => {
                    arguments.insert(variable.key.to_string(), text.to_owned());
                }
                _ => {
                    secrets.insert(variable.key.to_string(), value);
                }
            }
        }
        secrets.retain(|key, _| !given.contains_key(key));
        arguments.extend(given);
        let keys = build::BuildKeys {
            arguments: arguments.keys().cloned().collect(),
            secrets: secrets.keys().cloned().collect(),
            cache: Some(self.app.id.to_string()),
        };
        let engine = self.engine().await?;
        let plan = self.plan(tree, source, keys, &arguments).await?;
        if let Some(builder) = &plan.builder {
            arguments.extend(self.builder_arguments(&engine, builder).await?);
        }
        // BuildKit's word for whose cache mounts are: those of people's own Dockerfiles have ids that others write too, and what
        // one app puts there is not for another, of another organization at that.
        arguments.insert("BUILDKIT_CACHE_MOUNT_NS".into(), self.app.id.to_string());
        let web = plan.recipe.as_ref().is_some_and(build::Recipe::is_web);
        let spec = BuildSpec {
            tag: tag.to_owned(),
            owner_app: self.app.id.clone(),
            context: plan.context,
            dockerfile: plan.dockerfile.clone(),
            target: source.target.clone(),
            arguments,
            secrets,
            logins: registries::logins(self.ground, &self.app.organization)?,
            labels: BTreeMap::from([
                ("serverkit.organization".into(), self.app.organization.to_string()),
                ("serverkit.app".into(), self.app.id.to_string()),
            ]),
        };
        self.log.note(format!("building {} as {tag}", plan.dockerfile)).await;
        let built = engine.image_build(&spec, &self.log.lines()).await;
        // A build that failed leaves its steps too.
        self.cut_cache(&engine).await;
        Ok((built?, web))
    }

    /// What an engine elsewhere keeps of all builds is cut while the deployment goes on.
    async fn cut_cache(&self, engine: &Engine<'_>) {
        if let Err(error) = build_cache::keep_app_within(engine, self.app).await {
            tracing::warn!("the build cache of {}: {}", self.app.name, report(&error));
        }
        if let Engine::There { server, .. } = engine {
            let (ground, name) = (self.ground.clone(), server.name.clone());
            tokio::spawn(async move {
                if let Err(error) = builders::keep_within(&ground, &name, None).await {
                    tracing::warn!("the build cache of the build server {name}: {}", report(&error));
                }
            });
        }
    }

    /// The engine that builds for this deployment. Where any build server will do, one that does not answer is passed over.
    async fn engine(&self) -> Result<Engine<'_>> {
        let ground: &Ground = self.ground;
        let mut tried = Vec::new();
        loop {
            let name = match ground.running.place(&self.deployment.id) {
                None | Some(Place::Here) => return Ok(Engine::Here(ground)),
                Some(Place::Nowhere(why)) => return Err(Error::busy(why)),
                Some(Place::There(name)) => name,
            };
            let error = match builders::open(ground, &name).await {
                Ok(engine) => {
                    if let Some(words) = engine.words() {
                        self.log.note(words).await;
                    }
                    return Ok(engine);
                }
                Err(error) => error,
            };
            tried.push(name);
            let Some(next) = builders::another(ground, self.app, &tried)? else {
                return Err(error);
            };
            self.log.note(report(&error)).await;
            ground.running.move_to(&self.deployment.id, next);
        }
    }

    /// Finds out how to build, and writes the Dockerfile where there is none.
    pub(super) async fn plan(
        &self,
        folder: &std::path::Path,
        source: &Buildable,
        keys: build::BuildKeys,
        settings: &BTreeMap<String, String>,
    ) -> Result<build::Plan> {
        let (folder, source, settings) = (folder.to_owned(), source.clone(), settings.clone());
        let planned = tokio::task::spawn_blocking(move || {
            let plan = build::Plan::of(&folder, &source, &settings)?;
            plan.write(&keys)?;
            Ok(plan)
        });
        let plan: build::Plan = planned.await.map_err(|error| Error::internal("planning a build", error))??;
        if let Some(recipe) = &plan.recipe {
            self.log
                .note(format!("no Dockerfile: building it as {} ({})", recipe.name(), recipe.why))
                .await;
            for (what, command) in [("install", &recipe.install), ("build", &recipe.build), ("start", &recipe.start)] {
                if let Some(command) = command {
                    self.log.note(format!("{what}: {command}")).await;
                }
            }
        }
        Ok(plan)
    }

    /// Gets the image that has the buildpacks; answers what its build is to be told.
    pub(super) async fn builder_arguments(&self, engine: &Engine<'_>, builder: &str) -> Result<BTreeMap<String, String>> {
        let log = &self.log.lines();
        let way = registries::way_to(self.ground, &self.app.organization, builder).await?;
        self.log.note(format!("getting the builder {builder}")).await;
        let image = engine.image_pull(builder, &way, log).await?;
        let arguments = build::builder_arguments(builder, &engine.image_labels(&image.id).await?)?;
        let words: Vec<String> = arguments.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.log.note(format!("its lifecycle: {}", words.join(", "))).await;
        Ok(arguments)
    }

    /// Makes the release of this image with the app's configuration of now.
    pub(super) fn released(&self, image: Image, image_name: String, probe: Probe) -> Result<Next> {
        let ground = self.ground;
        let app = ground.store.apps.get(self.app.id.as_str())?.value;
        let mut variables = Vec::new();
        for variable in effective(ground, &app)?.into_iter().filter(|variable| variable.scope.at_run()) {
            variables.push(ReleaseVariable {
                value: match variable.sealed {
                    Some(sealed) => sealed,
                    None => ground.store.seal(&variable.value)?,
                },
                key: variable.key,
                secret: variable.secret,
            });
        }
        let routes = release_routes::routes_of(ground, &app.id)?;
        let release = Release {
            id: ground.world.id(),
            organization: app.organization.clone(),
            app: app.id.clone(),
            deployment: self.deployment.id.clone(),
            number: self.deployment.number,
            port: app.port.or_else(|| image.ports.first().copied()).unwrap_or(8080),
            image: image.id,
            digest: image.digest,
            image_name,
            commit: self.deployment.commit.clone(),
            upload: self.deployment.upload.clone(),
            variables,
            variables_version: app.variables_version,
            command: app.command.clone(),
            mounts: app.mounts.clone(),
            files: app.files.clone(),
            domains: routes.iter().map(|domain| domain.host.to_string()).collect(),
            routes: Some(routes),
            ports: Some(release_ports::ports_of(ground, &app.id)?),
            limits: app.limits.clone(),
            health: types::HealthCheck {
                probe,
                ..app.health.clone()
            },
            grace_seconds: app.grace_seconds,
            created_at: ground.world.now(),
            bytes: image.bytes,
            pinned: false,
            replicas: app.source.stack().is_none().then_some(app.replicas),
            upkeep: Some(types::Upkeep::of(&app)),
            stack: None,
        };
        let id = release.id.clone();
        Ok(Next {
            release: Some(id),
            live: Some(Made::Release(Box::new(release))),
            ..Next::to(Phase::Starting)
        })
    }
}

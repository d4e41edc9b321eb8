//! Webhooks of apps: their address, secret, rules and polling. What comes in is decided in `inbox`.

use crate::{
    apps::{find_app, not_trashed},
    forges::{access, connection_of, repository_of},
    ground::Ground,
    previews,
    releases::other_place,
};
use source::webhooks::Filter;
use std::{collections::BTreeMap, sync::Arc};
use store::Stored;
use types::{
    Action, Actor, App, AppId, Environment, Error, Fact, Family, ForgeRepository, GitRef, Kind, PushRules, RegisteredHook, Result, Scope,
    Secret, Source, Webhook, report,
};

/// Letters of 5 bits: 160 bits in an address, 200 in a secret.
const KEY: usize = 32;
const SECRET: usize = 40;
/// Polling more often would annoy forges.
const POLL_SECONDS: std::ops::RangeInclusive<u32> = 15..=86_400;

/// A webhook to look at.
#[derive(Debug, Clone)]
pub struct WebhookView {
    pub webhook: Webhook,
    /// Where forges send to.
    pub url: String,
    /// The address has a name that public certificates exist for; else forges must be told not to check.
    pub is_public: bool,
    /// Where else its pushes go, by branch.
    pub passes_to: Vec<PassedTo>,
    /// `None` unless asked for.
    pub secret: Option<Secret>,
}

/// An app in another environment that is deployed by pushes to its branch.
#[derive(Debug, Clone)]
pub struct PassedTo {
    pub app: App,
    pub environment: Environment,
    pub branch: Option<GitRef>,
}

/// What should change; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    pub enabled: Option<bool>,
    pub branches: Option<Vec<String>>,
    pub tags: Option<Vec<String>>,
    pub paths: Option<Vec<String>>,
    pub poll_seconds: Option<Option<u32>>,
    /// Environments in which the app of the same name is deployed by pushes to its branch.
    pub environments: Option<Vec<String>>,
    /// In place of the secret that was made: for forges that bring their own.
    pub secret: Option<Secret>,
}

impl WebhookChange {
    /// Whether more may be deployed after it, or by whoever made it: who knows the secret signs pushes.
    fn deploys(&self) -> bool {
        let lists = [&self.branches, &self.tags, &self.paths, &self.environments];
        self.enabled == Some(true)
            || self.poll_seconds.flatten().is_some()
            || self.secret.is_some()
            || lists.iter().any(|list| list.is_some())
    }
}

#[derive(Clone)]
pub struct Webhooks {
    ground: Arc<Ground>,
}

impl Webhooks {
    pub(crate) fn new(ground: Arc<Ground>) -> Webhooks {
        Webhooks { ground }
    }

    /// The app's webhook; `None` if it has none yet. `reveal` needs the right to see secrets, and is recorded.
    pub async fn find(&self, actor: &Actor, app: &str, reveal: bool) -> Result<Option<WebhookView>> {
        actor.may_somewhere(Action::View)?;
        let action = if reveal { Action::RevealSecrets } else { Action::View };
        let app = find_app(&self.ground, actor, action, app)?;
        let Some(stored) = self.ground.store.webhooks.find(app.id.as_str())? else {
            return Ok(None);
        };
        if reveal {
            let fact = Fact::SecretsRevealed {
                app: app.id.clone(),
                name: app.name.to_string(),
            };
            self.ground.events.emit(actor, fact).await;
        }
        self.view(stored.value, reveal).map(Some)
    }

    /// Changes the app's webhook; makes one first if there is none. Fails with `Invalid` for a pattern that is none. What makes it deploy
    /// takes a token that is for deployments too.
    pub async fn update(&self, actor: &Actor, app: &str, change: WebhookChange) -> Result<WebhookView> {
        actor.may_somewhere(Action::Configure)?;
        let ground = &self.ground;
        let app = find_app(ground, actor, Action::Configure, app)?;
        if change.deploys() {
            actor.spans(Scope::Deploy, Family::Deployments)?;
        }
        not_trashed(&app)?;
        loop {
            let known = ground.store.webhooks.find(app.id.as_str())?;
            let before = match &known {
                Some(stored) => stored.value.clone(),
                None => self.fresh(&app)?,
            };
            let mut webhook = before.clone();
            let changed = self.apply(actor, &app, &change, &mut webhook)?;
            let is_changed = webhook != before;
            // What is refused above leaves nothing behind, so a first one is made only now.
            let saved = match known {
                Some(stored) if !is_changed => Ok(stored),
                Some(mut stored) => {
                    stored.value = webhook;
                    ground.store.webhooks.save(stored).await
                }
                None => self.begin(webhook).await,
            };
            let stored = match saved {
                // Somebody else, or a look at the repository, was faster: once more, over what is there now.
                Err(Error::Taken { .. } | Error::Stale { .. }) => continue,
                saved => saved?,
            };
            if is_changed {
                self.tell(actor, &app, format!("changed {}", changed.join(", "))).await;
            }
            return self.view(stored.value, false);
        }
    }

    /// Puts the change into the webhook; answers what it is about.
    fn apply(&self, actor: &Actor, app: &App, change: &WebhookChange, webhook: &mut Webhook) -> Result<Vec<&'static str>> {
        let mut changed = Vec::new();
        let rules = &mut webhook.rules;
        for (field, wanted, list) in [
            ("branches", &change.branches, &mut rules.branches),
            ("tags", &change.tags, &mut rules.tags),
            ("paths", &change.paths, &mut rules.paths),
        ] {
            if let Some(wanted) = wanted {
                let wanted: Vec<String> = wanted
                    .iter()
                    .map(|text| text.trim().to_owned())
                    .filter(|text| !text.is_empty())
                    .collect();
                match field {
                    "paths" => Filter::of_paths(field, &wanted)?,
                    _ => Filter::of_names(field, &wanted)?,
                };
                *list = wanted;
                changed.push(field);
            }
        }
        if let Some(enabled) = change.enabled {
            webhook.enabled = enabled;
            changed.push(if enabled { "on" } else { "off" });
        }
        if let Some(wanted) = change.poll_seconds {
            let polled_before = webhook.poll_seconds.is_some();
            webhook.poll_seconds = checked_poll(app, wanted)?;
            if !polled_before {
                webhook.look_anew();
            }
            webhook.poll_error = None;
            changed.push("polling");
        }
        if let Some(wanted) = &change.environments {
            webhook.passes_to = wanted
                .iter()
                .map(|wanted| passed_to(&self.ground, actor, app, wanted))
                .collect::<Result<_>>()?;
            changed.push("environments");
        }
        if let Some(secret) = &change.secret {
            webhook.secret = self.seal(app, secret)?;
            changed.push("secret");
        }
        Ok(changed)
    }

    /// A new address and a new secret; the old ones stop to work at once. The answer shows the secret.
    pub async fn rotate(&self, actor: &Actor, app: &str) -> Result<WebhookView> {
        actor.may_somewhere(Action::Configure)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        // Who knows the secret signs pushes.
        actor.spans(Scope::Deploy, Family::Deployments)?;
        not_trashed(&app)?;
        self.existing_or_new(&app).await?;
        let key = self.ground.world.word(KEY);
        let secret = Secret::from(self.ground.world.word(SECRET));
        let sealed = self.seal(&app, &secret)?;
        let renew = |webhook: &mut Webhook| {
            webhook.key.clone_from(&key);
            webhook.secret = sealed.clone();
            Ok(())
        };
        let mut stored = self.ground.store.webhooks.update(app.id.as_str(), renew).await?;
        self.tell(actor, &app, "made a new address and secret".into()).await;
        if let Some(registered) = stored.registered.clone() {
            stored = register_at(&self.ground, stored, registered.repository).await?;
        }
        self.view(stored.value, true)
    }

    /// Takes the address away. The inbox stays.
    pub async fn remove(&self, actor: &Actor, app: &str) -> Result<()> {
        actor.may_somewhere(Action::Configure)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        let registered = self
            .ground
            .store
            .webhooks
            .find(app.id.as_str())?
            .and_then(|stored| stored.value.registered);
        match self.ground.store.webhooks.remove(app.id.as_str()).await {
            Err(Error::NotFound { .. }) => return Err(Error::not_found(Kind::Webhook, &app.name)),
            other => other?,
        }
        let mut what = "took away the address".to_owned();
        if let Some(registered) = registered
            && let Err(error) = unregister(&self.ground, &registered).await
        {
            what = format!(
                "{what}; the forge still has it: {}",
                self.ground.redactor.redact_for(&app.organization, &report(&error))
            );
        }
        self.tell(actor, &app, what).await;
        Ok(())
    }

    /// Makes the webhook at the forge that the app is from; one that sends here already is changed. Fails with `Busy` for an app
    /// that is not from a connected forge.
    pub async fn register(&self, actor: &Actor, app: &str) -> Result<WebhookView> {
        actor.may_somewhere(Action::Configure)?;
        let app = find_app(&self.ground, actor, Action::Configure, app)?;
        not_trashed(&app)?;
        let repository = repository_of(&app).cloned().ok_or_else(|| {
            Error::busy("the app is not from a connected forge: choose its repository there, or give the address to the forge yourself")
        })?;
        let stored = self.existing_or_new(&app).await?;
        if let Some(old) = &stored.registered
            && old.repository != repository
            && let Err(error) = unregister(&self.ground, old).await
        {
            tracing::warn!("the webhook of {} at {}: {}", app.name, old.repository.path, report(&error));
        }
        let stored = register_at(&self.ground, stored, repository).await?;
        self.tell(actor, &app, "made it at the forge".into()).await;
        self.view(stored.value, false)
    }

    /// Whether something is listening at this address: only then a large body is read.
    pub fn knows(&self, key: &str) -> bool {
        matches!(self.ground.store.webhooks.claimed(key), Ok(Some(_)))
    }

    async fn existing_or_new(&self, app: &App) -> Result<Stored<Webhook>> {
        let webhooks = &self.ground.store.webhooks;
        if let Some(stored) = webhooks.find(app.id.as_str())? {
            return Ok(stored);
        }
        match self.begin(self.fresh(app)?).await {
            // Somebody else made it just now.
            Err(Error::Taken { .. }) => webhooks.get(app.id.as_str()),
            made => made,
        }
    }

    /// One with a new address and a new secret, not kept yet.
    fn fresh(&self, app: &App) -> Result<Webhook> {
        let ground = &self.ground;
        let secret = Secret::from(ground.world.word(SECRET));
        Ok(Webhook {
            organization: app.organization.clone(),
            app: app.id.clone(),
            key: ground.world.word(KEY),
            secret: self.seal(app, &secret)?,
            enabled: true,
            rules: PushRules::default(),
            poll_seconds: None,
            seen: BTreeMap::new(),
            looked: false,
            poll_error: None,
            passes_to: Vec::new(),
            registered: None,
            created_at: ground.world.now(),
        })
    }

    async fn begin(&self, webhook: Webhook) -> Result<Stored<Webhook>> {
        let made = self.ground.store.webhooks.insert(webhook).await?;
        // The panel's own port is closed to strangers only while no forge sends there.
        self.ground.wake_reconcile();
        Ok(made)
    }

    fn seal(&self, app: &App, secret: &Secret) -> Result<types::Sealed> {
        if !(8..=1024).contains(&secret.expose().len()) || secret.expose_str().is_none() {
            return Err(Error::invalid("secret", "must be 8 to 1024 bytes of text"));
        }
        self.ground.redactor.learn(&app.organization, secret);
        self.ground.store.seal(secret)
    }

    async fn tell(&self, actor: &Actor, app: &App, what: String) {
        let fact = Fact::WebhookChanged {
            app: app.id.clone(),
            name: app.name.to_string(),
            what,
        };
        self.ground.events.emit(actor, fact).await;
    }

    fn view(&self, webhook: Webhook, reveal: bool) -> Result<WebhookView> {
        let ground = &self.ground;
        let panel = ground.settings()?.panel_domain;
        let secret = if reveal {
            Some(ground.store.unseal(&webhook.secret)?)
        } else {
            None
        };
        let mut passes_to = Vec::new();
        for id in &webhook.passes_to {
            let Some(app) = ground.store.apps.find(id.as_str())? else {
                continue;
            };
            let Source::Git(git) = &app.source else { continue };
            passes_to.push(PassedTo {
                environment: ground.store.environments.get(app.environment.as_str())?.value,
                branch: git.branch.clone(),
                app: app.value,
            });
        }
        Ok(WebhookView {
            passes_to,
            url: url_of(ground, &webhook)?,
            is_public: panel.is_some_and(|host| host.is_public()),
            secret,
            webhook,
        })
    }
}

/// Where forges send to.
fn url_of(ground: &Ground, webhook: &Webhook) -> Result<String> {
    Ok(format!("{}/hooks/{}", ground.panel_address()?, webhook.key))
}

/// Whether what the panel has made at a forge sends to where nobody listens any more. Without a domain the panel is reached by one of the
/// machine's addresses, and which of them is first is no wish of anybody.
pub(crate) fn is_elsewhere(ground: &Ground, webhook: &Webhook) -> Result<bool> {
    let Some(registered) = &webhook.registered else {
        return Ok(false);
    };
    Ok(match ground.settings()?.panel_domain {
        Some(_) => registered.url != url_of(ground, webhook)?,
        None => !registered.url.ends_with(&webhook.key),
    })
}

/// Has the forge send to where the panel is now.
pub(crate) async fn register_anew(ground: &Ground, stored: Stored<Webhook>) -> Result<()> {
    match stored.registered.clone() {
        Some(registered) => register_at(ground, stored, registered.repository).await.map(drop),
        None => Ok(()),
    }
}

async fn register_at(ground: &Ground, stored: Stored<Webhook>, repository: ForgeRepository) -> Result<Stored<Webhook>> {
    let url = url_of(ground, &stored)?;
    let secret = ground.store.unseal(&stored.secret)?;
    let connection = connection_of(ground, &repository)?;
    let api = access::api(ground, &connection, &repository.path).await?;
    let rules = ground.store.preview_rules.find(stored.app.as_str())?;
    let requests = rules.is_some_and(|rules| rules.enabled);
    let known = stored.registered.as_ref().filter(|known| known.repository == repository);
    let hook = api
        .hook_save(&repository.path, known.map(|known| known.hook.as_str()), &url, &secret, requests)
        .await?;
    let registered = RegisteredHook {
        repository,
        hook,
        url,
        at: ground.world.now(),
    };
    let note = |webhook: &mut Webhook| {
        webhook.registered = Some(registered.clone());
        Ok(())
    };
    ground.store.webhooks.update(stored.app.as_str(), note).await
}

/// Takes it away at the forge.
pub(crate) async fn unregister(ground: &Ground, registered: &RegisteredHook) -> Result<()> {
    let connection = connection_of(ground, &registered.repository)?;
    let path = &registered.repository.path;
    access::api(ground, &connection, path)
        .await?
        .hook_remove(path, &registered.hook)
        .await
}

/// The app that is meant by another environment. Whoever passes pushes on to it must be able to deploy it.
fn passed_to(ground: &Ground, actor: &Actor, app: &App, wanted: &str) -> Result<AppId> {
    let other = other_place(ground, actor, Action::Deploy, app, wanted)?;
    let wrong = |why: String| Error::invalid("environments", why);
    if previews::of_environment(ground, &other.environment)?.is_some() {
        return Err(wrong(format!("`{wanted}` is a preview, and its pull request renews it")));
    }
    if !same_repository(app, &other) {
        return Err(wrong(format!("`{wanted}` has its {} from another repository", other.name)));
    }
    let (Source::Git(own), Source::Git(others)) = (&app.source, &other.source) else {
        return Err(wrong("only apps from Git have branches".into()));
    };
    match &others.branch {
        None => Err(wrong(format!(
            "name the branch of {} in `{wanted}` first, in its settings",
            other.name
        ))),
        Some(branch) if own.branch.as_ref() == Some(branch) => Err(wrong(format!(
            "`{wanted}` follows {} as this app does; give one of them another branch",
            branch.as_str()
        ))),
        Some(_) => Ok(other.id),
    }
}

/// Whether two apps are made from one repository, so that what is pushed for one may be for the other.
pub(crate) fn same_repository(a: &App, b: &App) -> bool {
    match (&a.source, &b.source) {
        (Source::Git(a), Source::Git(b)) => match (&a.forge, &b.forge) {
            (Some(a), Some(b)) => a == b,
            _ => a.url == b.url,
        },
        _ => false,
    }
}

fn checked_poll(app: &App, wanted: Option<u32>) -> Result<Option<u32>> {
    let Some(seconds) = wanted else { return Ok(None) };
    if !matches!(app.source, Source::Git(_)) {
        return Err(Error::invalid("poll_seconds", "only an app from Git has a repository to ask"));
    }
    if !POLL_SECONDS.contains(&seconds) {
        let (least, most) = (POLL_SECONDS.start(), POLL_SECONDS.end());
        return Err(Error::invalid("poll_seconds", format!("must be between {least} and {most}")));
    }
    Ok(Some(seconds))
}

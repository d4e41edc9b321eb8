//! Connections to forges: made, tested, looked through for repositories. How the panel gets in is in `access`, what needs a
//! browser at the forge in `browser`; what forges are told of deployments is in `forge_reports`.

pub(crate) mod access;
mod browser;

pub use browser::{AppPage, AppWish};

use crate::{
    access::Visitor,
    ground::Ground,
    sight::{of, owned},
};
use source::forges::{AppKey, ForgeBranch, Found, Repository};
use std::sync::Arc;
use store::Stored;
use types::{
    Action, Actor, App, Error, Fact, Forge, ForgeAccess, ForgeConnection, ForgeId, ForgeRepository, ForgeUrl, Kind, RepositoryPath, Result,
    Sealed, Secret, Source,
};

/// A connection to make.
#[derive(Debug, Clone)]
pub struct NewForge {
    pub name: String,
    pub forge: Forge,
    /// `None`: the public one of this forge.
    pub url: Option<ForgeUrl>,
    pub owner: Option<String>,
    pub access: AccessWish,
}

/// How to get in.
#[derive(Debug, Clone)]
pub enum AccessWish {
    Token { user: Option<String>, token: Secret },
    Oauth { client_id: String, client_secret: Secret },
    App { app_id: u64, private_key: Secret },
}

/// What should change; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct ForgeChange {
    pub name: Option<String>,
    pub owner: Option<Option<String>>,
    pub user: Option<Option<String>>,
    /// The token, the client's secret or the App's private key, whichever it has.
    pub secret: Option<Secret>,
}

#[derive(Clone)]
pub struct Forges {
    ground: Arc<Ground>,
}

impl Forges {
    pub(crate) fn new(ground: Arc<Ground>) -> Forges {
        Forges { ground }
    }

    /// By name. What is secret stays sealed.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<ForgeConnection>> {
        actor.may(Action::View)?;
        let mut found = of(&self.ground, actor, self.ground.store.forges.list()?)?;
        found.sort_by_key(|one| one.name.to_lowercase());
        Ok(found)
    }

    /// Keeps a connection, and asks the forge at once unless somebody has to allow it there first. Fails with `Invalid` when the
    /// forge does not take it, with `Taken` when the name is.
    pub async fn create(&self, actor: &Actor, wish: NewForge) -> Result<ForgeConnection> {
        actor.may(Action::Administer)?;
        self.keep(actor, wish, true).await
    }

    /// Keeps it; unless it `must_work`, also when the forge cannot be asked just now.
    async fn keep(&self, actor: &Actor, wish: NewForge, must_work: bool) -> Result<ForgeConnection> {
        let ground = &self.ground;
        let access = match wish.access {
            AccessWish::Oauth { .. } if wish.forge == Forge::BitbucketDataCenter => {
                return Err(Error::invalid(
                    "client_id",
                    "Bitbucket Data Center is connected by an HTTP access token",
                ));
            }
            AccessWish::Token { user, token } => ForgeAccess::Token {
                user: checked_user(user)?,
                token: self.seal(actor, "token", &token)?,
            },
            AccessWish::Oauth { client_id, client_secret } => ForgeAccess::Oauth {
                client_id: checked_line("client_id", client_id)?,
                client_secret: self.seal(actor, "client_secret", &client_secret)?,
                grant: None,
            },
            AccessWish::App { .. } if wish.forge != Forge::Github => {
                return Err(Error::invalid("app_id", "only GitHub has Apps; connect by a token or by OAuth"));
            }
            AccessWish::App { app_id, private_key } => ForgeAccess::App {
                app_id,
                slug: String::new(),
                private_key: self.seal(actor, "private_key", &private_key)?,
            },
        };
        let url = match wish.url.or_else(|| ForgeUrl::usual(wish.forge)) {
            Some(url) => url,
            None => return Err(Error::invalid("url", "is missing: where is it?")),
        };
        let owner = checked_owner(wish.owner)?;
        if wish.forge == Forge::Bitbucket && owner.is_none() {
            return Err(Error::invalid(
                "owner",
                "is missing: Bitbucket needs the workspace that the repositories are in",
            ));
        }
        check_account(wish.forge, &access)?;
        let mut connection = ForgeConnection {
            id: ground.world.id(),
            organization: actor.organization.clone(),
            name: checked_name(wish.name)?,
            forge: wish.forge,
            url,
            owner,
            access,
            account: None,
            checked_at: None,
            problem: None,
            created_at: ground.world.now(),
        };
        if !matches!(connection.access, ForgeAccess::Oauth { .. }) {
            match access::account(ground, &connection).await {
                Ok(account) => found(&mut connection, &account),
                Err(error) if must_work => return Err(error),
                Err(error) => {
                    connection.problem = Some(ground.redactor.redact_for(&actor.organization, &types::report(&error)).into_owned())
                }
            }
            connection.checked_at = Some(ground.world.now());
        }
        let connection = ground.store.forges.insert(connection).await?.value;
        let name = connection.name.clone();
        ground.events.emit(actor, Fact::ForgeConnected { name }).await;
        Ok(connection)
    }

    /// By id or name. Another secret is tried at the forge before it is kept.
    pub async fn update(&self, actor: &Actor, called: &str, change: ForgeChange) -> Result<ForgeConnection> {
        actor.may(Action::Administer)?;
        let ground = &self.ground;
        let mut stored = self.stored(actor, called)?;
        let before = stored.value.clone();
        let mut changed = Vec::new();
        if let Some(name) = change.name {
            stored.name = checked_name(name)?;
            changed.push("name");
        }
        if let Some(owner) = change.owner {
            stored.owner = checked_owner(owner)?;
            changed.push("owner");
        }
        if let (Some(user), ForgeAccess::Token { user: kept, .. }) = (change.user, &mut stored.value.access) {
            *kept = checked_user(user)?;
            changed.push("user");
        }
        check_account(stored.forge, &stored.access)?;
        if let Some(secret) = change.secret {
            let sealed = self.seal(actor, "secret", &secret)?;
            *secret_of(&mut stored.value.access) = sealed;
            changed.push("secret");
        }
        if stored.value == before {
            return Ok(before);
        }
        if stored.access != before.access && !matches!(stored.access, ForgeAccess::Oauth { .. }) {
            ground.forges.forget(&stored.id);
            let account = access::account(ground, &stored).await?;
            found(&mut stored.value, &account);
            stored.value.checked_at = Some(ground.world.now());
            stored.value.problem = None;
        }
        let stored = ground.store.forges.save(stored).await?;
        ground.forges.forget(&stored.id);
        let fact = Fact::ForgeChanged {
            name: stored.name.clone(),
            what: format!("changed {}", changed.join(", ")),
        };
        ground.events.emit(actor, fact).await;
        Ok(stored.value)
    }

    /// Fails with `Busy`, naming the apps, while apps are from it.
    pub async fn remove(&self, actor: &Actor, called: &str) -> Result<()> {
        actor.may(Action::Administer)?;
        let ground = &self.ground;
        let stored = self.stored(actor, called)?;
        let apps = ground.store.apps.list()?;
        let used: Vec<String> = apps
            .iter()
            .filter(|app| repository_of(app).is_some_and(|repository| repository.connection == stored.id))
            .map(|app| app.name.to_string())
            .collect();
        if !used.is_empty() {
            return Err(Error::busy(format!(
                "apps are made from it: {}; give them another source, or delete them first",
                used.join(", ")
            )));
        }
        ground.store.forges.remove(stored.id.as_str()).await?;
        ground.forges.forget(&stored.id);
        let name = stored.name.clone();
        ground.events.emit(actor, Fact::ForgeRemoved { name }).await;
        Ok(())
    }

    /// Asks the forge as whom it knows the panel, and keeps what it says. Fails in words when it does not.
    pub async fn test(&self, actor: &Actor, called: &str) -> Result<ForgeConnection> {
        actor.may(Action::Administer)?;
        let connection = self.stored(actor, called)?.value;
        self.checked(&connection).await
    }

    /// Those whose name has `search` in it, at most 100.
    pub async fn repositories(&self, actor: &Actor, called: &str, search: &str) -> Result<Found<Repository>> {
        actor.may(Action::Configure)?;
        let connection = find(&self.ground, actor, called)?;
        access::repositories(&self.ground, &connection, search).await
    }

    /// Branches of a repository whose name has `search` in it, at most 100.
    pub async fn branches(&self, actor: &Actor, called: &str, path: &str, search: &str) -> Result<Found<ForgeBranch>> {
        actor.may(Action::Configure)?;
        let connection = find(&self.ground, actor, called)?;
        let path: RepositoryPath = path.parse()?;
        let api = access::api(&self.ground, &connection, &path).await?;
        api.branches(&path, search).await
    }

    /// Where the browser goes to allow it, with OAuth; it comes back to the page `/forges/back`.
    pub async fn authorize(&self, actor: &Actor, called: &str, visitor: &Visitor) -> Result<String> {
        actor.may(Action::Administer)?;
        let connection = self.stored(actor, called)?.value;
        browser::authorize(&self.ground, actor, &connection, visitor)
    }

    /// What a page posts to GitHub so that it makes an App for this panel.
    pub async fn app_page(&self, actor: &Actor, wish: AppWish, visitor: &Visitor) -> Result<AppPage> {
        actor.may(Action::Administer)?;
        let wish = AppWish {
            name: checked_name(wish.name)?,
            owner: checked_owner(wish.owner)?,
            ..wish
        };
        // Before GitHub makes it: its key is given out once.
        if self.is_taken(actor, &wish.name)? {
            return Err(Error::invalid("name", format!("another connection is called `{}`", wish.name)));
        }
        browser::app_page(&self.ground, actor, wish, visitor)
    }

    /// What the browser brought back from the forge: finishes what was begun by the same person within ten minutes, once.
    pub async fn come_back(&self, actor: &Actor, state: &str, code: &str) -> Result<ForgeConnection> {
        actor.may(Action::Administer)?;
        let ground = &self.ground;
        match browser::come_back(ground, actor, state, code).await? {
            browser::Back::Granted(connection, grant) => {
                let allow = |connection: &mut ForgeConnection| {
                    if let ForgeAccess::Oauth { grant: kept, .. } = &mut connection.access {
                        *kept = Some(grant.clone());
                    }
                    Ok(())
                };
                let stored = ground.store.forges.update(connection.as_str(), allow).await?.value;
                ground.forges.forget(&stored.id);
                let fact = Fact::ForgeChanged {
                    name: stored.name.clone(),
                    what: "allowed the connection".into(),
                };
                ground.events.emit(actor, fact).await;
                self.checked(&stored).await
            }
            browser::Back::Made(mut wish) => {
                let name = wish.name.clone();
                // Somebody took the name meanwhile. The App is there, and its key is not given out again.
                for number in 2.. {
                    if !self.is_taken(actor, &wish.name)? {
                        break;
                    }
                    wish.name = format!("{name} {number}");
                }
                self.keep(actor, *wish, false).await
            }
        }
    }

    fn is_taken(&self, actor: &Actor, name: &str) -> Result<bool> {
        let claim = format!("{}/{}", actor.organization, name.to_lowercase());
        Ok(self.ground.store.forges.claimed(&claim)?.is_some())
    }

    async fn checked(&self, connection: &ForgeConnection) -> Result<ForgeConnection> {
        let ground = &self.ground;
        let outcome = access::account(ground, connection).await;
        let now = ground.world.now();
        let problem = outcome.as_ref().err().map(|error| {
            ground
                .redactor
                .redact_for(&connection.organization, &types::report(error))
                .into_owned()
        });
        let account = outcome.as_ref().ok().cloned();
        let note = |connection: &mut ForgeConnection| {
            connection.checked_at = Some(now);
            connection.problem.clone_from(&problem);
            if let Some(account) = &account {
                found(connection, account);
            }
            Ok(())
        };
        let saved = ground.store.forges.update(connection.id.as_str(), note).await?;
        outcome.map(|_| saved.value)
    }

    fn stored(&self, actor: &Actor, called: &str) -> Result<Stored<ForgeConnection>> {
        let found = find(&self.ground, actor, called)?;
        self.ground.store.forges.get(found.id.as_str())
    }

    fn seal(&self, actor: &Actor, field: &str, secret: &Secret) -> Result<Sealed> {
        if secret
            .expose_str()
            .is_none_or(|text| text.trim().is_empty() || text.len() > 64 << 10)
        {
            return Err(Error::invalid(field.to_owned(), "must be between 1 byte and 64 KiB of text"));
        }
        self.ground.redactor.learn(&actor.organization, secret);
        self.ground.store.seal(secret)
    }
}

/// By id or name.
pub(crate) fn find(ground: &Ground, actor: &Actor, called: &str) -> Result<ForgeConnection> {
    let store = &ground.store;
    let by_name = store.forges.claimed(&format!("{}/{}", actor.organization, called.to_lowercase()))?;
    let found = match by_name {
        Some(found) => Some(found),
        None => store.forges.find(called)?,
    };
    owned(ground, actor, Action::View, found, Kind::ForgeConnection, called)
}

/// The repository that an app is from, if that is at a connected forge.
pub(crate) fn repository_of(app: &App) -> Option<&ForgeRepository> {
    match &app.source {
        Source::Git(git) => git.forge.as_ref(),
        _ => None,
    }
}

/// Whether a connection is for a repository: it is, unless it is to another owner's.
pub(crate) fn check_owner(connection: &ForgeConnection, path: &RepositoryPath) -> Result<()> {
    let Some(wanted) = &connection.owner else { return Ok(()) };
    let (owner, wanted) = (path.owner().to_lowercase(), wanted.to_lowercase());
    if owner == wanted || owner.starts_with(&format!("{wanted}/")) {
        return Ok(());
    }
    Err(Error::invalid(
        "repository",
        format!("`{path}` is not of {wanted}, whose repositories {} is for", connection.name),
    ))
}

/// Whether the connection is to be taken for this repository of an app of its organization.
pub(crate) fn connection_of(ground: &Ground, repository: &ForgeRepository) -> Result<ForgeConnection> {
    let found = ground.store.forges.find(repository.connection.as_str())?;
    let connection = found
        .ok_or_else(|| Error::busy("the connection to its forge is gone; choose another source"))?
        .value;
    check_owner(&connection, &repository.path)?;
    Ok(connection)
}

/// Notes as whom the forge knows the panel.
fn found(connection: &mut ForgeConnection, account: &str) {
    if let ForgeAccess::App { slug, .. } = &mut connection.access {
        account.clone_into(slug);
    }
    connection.account = Some(account.to_owned());
}

fn secret_of(access: &mut ForgeAccess) -> &mut Sealed {
    match access {
        ForgeAccess::Token { token, .. } => token,
        ForgeAccess::Oauth { client_secret, .. } => client_secret,
        ForgeAccess::App { private_key, .. } => private_key,
    }
}

/// The App and its key, if it is one.
pub(crate) fn app_key(ground: &Ground, connection: &ForgeConnection) -> Result<Option<AppKey>> {
    match &connection.access {
        ForgeAccess::App { app_id, private_key, .. } => Ok(Some(AppKey {
            app_id: *app_id,
            private_key: ground.store.unseal(private_key)?,
            url: connection.url.clone(),
            egress: ground.egress(&connection.organization)?,
        })),
        _ => Ok(None),
    }
}

/// So that no log shows what is kept of connections.
pub(crate) fn teach_redactor(ground: &Ground) -> Result<()> {
    for connection in ground.store.forges.list()? {
        let (whose, mut access) = (connection.value.organization, connection.value.access);
        if let ForgeAccess::Oauth { grant: Some(grant), .. } = &access {
            ground.redactor.learn(&whose, &ground.store.unseal(&grant.access)?);
            if let Some(refresh) = &grant.refresh {
                ground.redactor.learn(&whose, &ground.store.unseal(refresh)?);
            }
        }
        ground.redactor.learn(&whose, &ground.store.unseal(secret_of(&mut access))?);
    }
    Ok(())
}

fn checked_line(field: &str, text: String) -> Result<String> {
    let text = text.trim().to_owned();
    if text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
        return Err(Error::invalid(field.to_owned(), "must be 1 to 200 characters on one line"));
    }
    Ok(text)
}

fn checked_name(name: String) -> Result<String> {
    let name = checked_line("name", name)?;
    // It would be taken for an id, or for a part of a path.
    if name.parse::<ForgeId>().is_ok() || name.contains('/') {
        return Err(Error::invalid("name", "must not look like an id, and has no `/`"));
    }
    Ok(name)
}

fn checked_user(user: Option<String>) -> Result<Option<String>> {
    match user {
        Some(user) if user.contains(':') => Err(Error::invalid("user", "must be a name or mail address without `:`")),
        Some(user) => checked_line("user", user).map(Some),
        None => Ok(None),
    }
}

/// Git gets into Bitbucket Data Center by the account's name and its token; those of projects and repositories, which belong to
/// no account, it takes from no Git that asks by name and password.
fn check_account(forge: Forge, access: &ForgeAccess) -> Result<()> {
    match access {
        ForgeAccess::Token { user: None, .. } if forge == Forge::BitbucketDataCenter => Err(Error::invalid(
            "user",
            "is missing: Bitbucket Data Center takes a token for Git only with the name of its account",
        )),
        _ => Ok(()),
    }
}

fn checked_owner(owner: Option<String>) -> Result<Option<String>> {
    let Some(owner) = owner
        .map(|owner| owner.trim().trim_matches('/').to_owned())
        .filter(|owner| !owner.is_empty())
    else {
        return Ok(None);
    };
    // As the first parts of a repository.
    match format!("{owner}/x").parse::<RepositoryPath>() {
        Ok(_) => Ok(Some(owner)),
        Err(_) => Err(Error::invalid(
            "owner",
            "must be an organization, group, workspace or project as the forge writes it",
        )),
    }
}

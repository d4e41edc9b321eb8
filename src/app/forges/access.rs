//! How the panel gets into a connected forge: by a token that is kept, by one of OAuth that is renewed before it ends, or by
//! one of a GitHub App's installation, which is kept in memory until it ends.

use super::{app_key, connection_of};
use crate::ground::Ground;
use source::{
    Login,
    forges::{AppKey, ForgeApi, Found, OauthClient, Proof, Repository, SHOWN, git_user},
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use types::{
    Error, ForgeAccess, ForgeConnection, ForgeId, ForgeRepository, OauthGrant, OrganizationId, RepositoryPath, Result, Secret, Time,
};

/// A token that ends sooner than this is renewed first: what it is for takes a while.
const SPARE: Duration = Duration::from_secs(300);

/// What is remembered of connections while the panel runs.
#[derive(Default)]
pub(crate) struct Known {
    inner: Mutex<Inner>,
    /// A refresh token is good once, so one at a time renews.
    renewing: tokio::sync::Mutex<()>,
    pub(super) pending: super::browser::Pending,
}

#[derive(Default)]
struct Inner {
    /// By connection and installation: the token, and when it ends.
    tokens: HashMap<(ForgeId, u64), (Secret, Time)>,
    /// Which installation a repository belongs to.
    installations: HashMap<(ForgeId, RepositoryPath), u64>,
}

impl Known {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// What was known of a connection that changed or failed.
    pub fn forget(&self, id: &ForgeId) {
        let mut inner = self.inner();
        inner.tokens.retain(|(connection, _), _| connection != id);
        inner.installations.retain(|(connection, _), _| connection != id);
    }
}

/// The forge's API, for one repository.
pub(crate) async fn api(ground: &Ground, connection: &ForgeConnection, path: &RepositoryPath) -> Result<ForgeApi> {
    super::check_owner(connection, path)?;
    let proof = match app_key(ground, connection)? {
        None => proof(ground, connection).await?,
        Some(key) => Proof::Bearer(repository_token(ground, connection, &key, path).await?),
    };
    let is_app = matches!(connection.access, ForgeAccess::App { .. });
    open(ground, connection, proof, is_app)
}

fn open(ground: &Ground, connection: &ForgeConnection, proof: Proof, is_app: bool) -> Result<ForgeApi> {
    let egress = ground.egress(&connection.organization)?;
    ForgeApi::new(
        connection.forge,
        &connection.url,
        connection.owner.as_deref(),
        proof,
        is_app,
        &egress,
    )
}

/// How libgit2 gets into a repository.
pub(crate) async fn login(ground: &Ground, repository: &ForgeRepository) -> Result<Login> {
    let connection = connection_of(ground, repository)?;
    let user = git_user(connection.forge).to_owned();
    if let Some(key) = app_key(ground, &connection)? {
        let password = repository_token(ground, &connection, &key, &repository.path).await?;
        return Ok(Login::Password { user, password });
    }
    Ok(match (proof(ground, &connection).await?, &connection.access) {
        (Proof::Bearer(password), _) => Login::Password { user, password },
        (Proof::Account { user, token }, _) => Login::Password { user, password: token },
        // Bitbucket takes an API token with this name, whoever's it is.
        (Proof::Basic { password, .. }, _) => Login::Password {
            user: "x-bitbucket-api-token-auth".to_owned(),
            password,
        },
    })
}

/// As whom the forge knows the panel.
pub(crate) async fn account(ground: &Ground, connection: &ForgeConnection) -> Result<String> {
    if let Some(key) = app_key(ground, connection)? {
        return key.slug(ground.world.now()).await;
    }
    let proof = proof(ground, connection).await?;
    let api = open(ground, connection, proof, false)?;
    api.account().await
}

/// What it may read; of a GitHub App what all its installations may.
pub(crate) async fn repositories(ground: &Ground, connection: &ForgeConnection, search: &str) -> Result<Found<Repository>> {
    let make = |proof, is_app| open(ground, connection, proof, is_app);
    let Some(key) = app_key(ground, connection)? else {
        return make(proof(ground, connection).await?, false)?.repositories(search).await;
    };
    let mut all = Found {
        items: Vec::new(),
        more: false,
    };
    let installations = key.installations(ground.world.now()).await?;
    let is_wanted = |account: &str| connection.owner.as_ref().is_none_or(|owner| owner.eq_ignore_ascii_case(account));
    for installation in installations.iter().filter(|one| is_wanted(&one.account)) {
        let token = installation_token(ground, connection, &key, installation.id).await?;
        let found = make(Proof::Bearer(token), true)?.repositories(search).await?;
        all.items.extend(found.items);
        all.more |= found.more;
        if all.items.len() > SHOWN {
            all.more = true;
            all.items.truncate(SHOWN);
            break;
        }
    }
    Ok(all)
}

/// Of a connection that is not a GitHub App.
async fn proof(ground: &Ground, connection: &ForgeConnection) -> Result<Proof> {
    match &connection.access {
        ForgeAccess::Token { user: Some(user), token } if connection.forge == types::Forge::Bitbucket => Ok(Proof::Basic {
            user: user.clone(),
            password: ground.store.unseal(token)?,
        }),
        ForgeAccess::Token { user: Some(user), token } if connection.forge == types::Forge::BitbucketDataCenter => Ok(Proof::Account {
            user: user.clone(),
            token: ground.store.unseal(token)?,
        }),
        ForgeAccess::Token { token, .. } => Ok(Proof::Bearer(ground.store.unseal(token)?)),
        ForgeAccess::Oauth { .. } => access_token(ground, connection).await.map(Proof::Bearer),
        ForgeAccess::App { .. } => Err(Error::busy("an App gets in by its installations")),
    }
}

/// Of OAuth; renewed if it is about to end.
async fn access_token(ground: &Ground, connection: &ForgeConnection) -> Result<Secret> {
    let now = ground.world.now();
    let is_good = |grant: &OauthGrant| grant.expires_at.is_none_or(|end| now.plus(SPARE) < end) || grant.refresh.is_none();
    let grant = allowed(connection)?;
    if is_good(&grant) {
        return ground.store.unseal(&grant.access);
    }
    let _turn = ground.forges.renewing.lock().await;
    // Somebody else may have renewed it while this waited.
    let current = ground.store.forges.get(connection.id.as_str())?.value;
    let grant = allowed(&current)?;
    if is_good(&grant) {
        return ground.store.unseal(&grant.access);
    }
    let (Some(client), Some(refresh)) = (client(ground, &current)?, &grant.refresh) else {
        return ground.store.unseal(&grant.access);
    };
    let granted = client.refresh(&ground.store.unseal(refresh)?).await?;
    let renewed = sealed(ground, &connection.organization, granted, grant.refresh.clone())?;
    let keep = |connection: &mut ForgeConnection| {
        if let ForgeAccess::Oauth { grant, .. } = &mut connection.access {
            *grant = Some(renewed.clone());
        }
        Ok(())
    };
    ground.store.forges.update(connection.id.as_str(), keep).await?;
    ground.store.unseal(&renewed.access)
}

fn allowed(connection: &ForgeConnection) -> Result<OauthGrant> {
    match &connection.access {
        ForgeAccess::Oauth { grant: Some(grant), .. } => Ok(grant.clone()),
        _ => Err(Error::busy(format!(
            "nobody has allowed {} at {} yet: open the forges in the panel and allow it",
            connection.name,
            connection.url.host()
        ))),
    }
}

/// What the forge gave, as it is kept. Without a new refresh token the old one stays good.
pub(super) fn sealed(
    ground: &Ground,
    whose: &OrganizationId,
    granted: source::forges::Granted,
    old: Option<types::Sealed>,
) -> Result<OauthGrant> {
    let seal = |secret: &Secret| {
        ground.redactor.learn(whose, secret);
        ground.store.seal(secret)
    };
    Ok(OauthGrant {
        access: seal(&granted.access)?,
        refresh: match &granted.refresh {
            Some(refresh) => Some(seal(refresh)?),
            None => old,
        },
        expires_at: granted.lasts.map(|lasts| ground.world.now().plus(lasts)),
    })
}

/// The application that was registered at the forge, for OAuth.
pub(super) fn client(ground: &Ground, connection: &ForgeConnection) -> Result<Option<OauthClient>> {
    match &connection.access {
        ForgeAccess::Oauth {
            client_id, client_secret, ..
        } => Ok(Some(OauthClient {
            forge: connection.forge,
            url: connection.url.clone(),
            client_id: client_id.clone(),
            client_secret: ground.store.unseal(client_secret)?,
            egress: ground.egress(&connection.organization)?,
        })),
        _ => Ok(None),
    }
}

async fn repository_token(ground: &Ground, connection: &ForgeConnection, key: &AppKey, path: &RepositoryPath) -> Result<Secret> {
    let place = (connection.id.clone(), path.clone());
    let known = ground.forges.inner().installations.get(&place).copied();
    let installation = match known {
        Some(known) => known,
        None => {
            let found = key.installation_of(path, ground.world.now()).await?.id;
            ground.forges.inner().installations.insert(place, found);
            found
        }
    };
    let token = installation_token(ground, connection, key, installation).await;
    if token.is_err() {
        // It may be installed anew by now.
        ground.forges.forget(&connection.id);
    }
    token
}

async fn installation_token(ground: &Ground, connection: &ForgeConnection, key: &AppKey, installation: u64) -> Result<Secret> {
    let now = ground.world.now();
    let place = (connection.id.clone(), installation);
    let known = ground.forges.inner().tokens.get(&place).cloned();
    if let Some((token, end)) = known
        && now.plus(SPARE) < end
    {
        return Ok(token);
    }
    let (token, end) = key.installation_token(installation, now).await?;
    ground.redactor.learn(&connection.organization, &token);
    ground.forges.inner().tokens.insert(place, (token.clone(), end));
    Ok(token)
}

//! Connections to forges, their repositories, and what forges were told of deployments.

use crate::{
    Panel,
    answers::{Created, Done, Page, created, moment, page},
    failures::Answer,
    signed::{Caller, Signed},
    tags::Tag,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use time::OffsetDateTime;
use types::{Error, Secret};

/// A way into a forge. What is secret is never shown.
#[derive(Debug, Object)]
pub struct ForgeConnection {
    pub id: String,
    pub name: String,
    pub kind: ForgeKind,
    /// Where people see it: `https://github.com`.
    pub url: String,
    /// Only repositories of this organization, group or workspace.
    pub owner: Option<String>,
    pub access: ForgeAccess,
    /// With a token: the account's mail address, where the forge needs it.
    pub user: Option<String>,
    /// With OAuth: the application's id.
    pub client_id: Option<String>,
    /// With a GitHub App: its id.
    pub app_id: Option<u64>,
    /// With a GitHub App: where it is installed for more accounts and repositories.
    pub install_url: Option<String>,
    /// It can be used; false while nobody has allowed it at the forge.
    pub allowed: bool,
    /// As whom the panel was known there at the last test.
    pub account: Option<String>,
    pub checked_at: Option<OffsetDateTime>,
    /// Why the last test failed.
    pub problem: Option<String>,
    pub created_at: OffsetDateTime,
}

/// What a forge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ForgeKind {
    /// github.com, or GitHub Enterprise Server.
    Github,
    Gitlab,
    /// Bitbucket Cloud.
    Bitbucket,
    BitbucketDataCenter,
    /// Gitea or Forgejo.
    Gitea,
}

/// How the panel gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ForgeAccess {
    /// An access token of an account.
    Token,
    /// An application that somebody allows at the forge.
    Oauth,
    /// A GitHub App.
    App,
}

/// A connection to make: with `token`, with `client_id` and `client_secret`, or at GitHub with `app_id` and `private_key`.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct ForgeCreate {
    pub name: String,
    pub kind: ForgeKind,
    /// Left out: the public one of this kind. Below it, the API is looked for where such forges have it.
    pub url: Option<String>,
    /// Only repositories of this organization, group, workspace or project. Bitbucket Cloud needs it.
    pub owner: Option<String>,
    /// With Bitbucket's API tokens: the account's mail address. With tokens of Bitbucket Data Center: its name.
    pub user: Option<String>,
    pub token: Option<String>,
    /// Of an OAuth application; its address to come back to is the panel's, with `/forges/back` behind it.
    pub client_id: Option<String>,
    pub client_secret: Option<String>,
    pub app_id: Option<u64>,
    /// In PEM.
    pub private_key: Option<String>,
}

/// What is left out stays as it is.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct ForgePatch {
    pub name: Option<String>,
    pub owner: MaybeUndefined<String>,
    pub user: MaybeUndefined<String>,
    /// The token, the client's secret or the App's private key, whichever it has. It is tried at the forge first.
    pub secret: Option<String>,
}

/// A GitHub App to make.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct ForgeAppWish {
    /// Of the connection, and of the App: at most 34 characters, and no other App's at GitHub.
    pub name: String,
    /// Left out: github.com.
    pub url: Option<String>,
    /// The organization that it is made in; left out: your own account.
    pub owner: Option<String>,
}

/// What a page posts to GitHub so that it makes an App.
#[derive(Debug, Object)]
pub struct ForgeAppPage {
    /// Where to.
    pub url: String,
    /// The value of the one field, `manifest`.
    pub manifest: String,
}

/// Where the browser goes.
#[derive(Debug, Object)]
pub struct ForgeAway {
    pub url: String,
}

/// What the browser brought back from a forge to the page `/forges/back`.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ForgeBack {
    pub state: String,
    pub code: String,
}

/// Repositories that a connection may read, those that changed last first where the forge knows.
#[derive(Debug, Object)]
pub struct ForgeRepositories {
    /// At most 100.
    pub items: Vec<ForgeRepository>,
    /// There are more: search for them.
    pub more: bool,
}

#[derive(Debug, Object)]
pub struct ForgeRepository {
    /// `owner/name`
    pub path: String,
    pub clone_url: String,
    pub default_branch: Option<String>,
    pub private: bool,
    pub description: String,
}

/// Branches of a repository.
#[derive(Debug, Object)]
pub struct ForgeBranches {
    /// At most 100.
    pub items: Vec<ForgeBranch>,
    /// There are more: search for them.
    pub more: bool,
}

#[derive(Debug, Object)]
pub struct ForgeBranch {
    pub name: String,
    /// 40 hex digits.
    pub commit: String,
}

/// What the app's forge was told of a deployment.
#[derive(Debug, Object)]
pub struct ForgeReports {
    /// None: the app is from no connected forge, or there was no commit yet.
    pub report: Option<ForgeReport>,
}

#[derive(Debug, Object)]
pub struct ForgeReport {
    /// The connection.
    pub forge: String,
    /// `owner/name`
    pub repository: String,
    /// Empty: it failed before it had its source, and the forge is still to be asked which commit the branch has.
    pub commit: String,
    /// As the forge shows it, behind `serverkit/`.
    pub place: String,
    /// What the forge knows; null: nothing yet.
    pub told: Option<CommitState>,
    /// How often in a row it could not be told.
    pub failures: u32,
    /// Why not, the last time.
    pub problem: Option<String>,
    /// When it is told next; null: there is nothing to tell, or it was given up.
    pub next_at: Option<OffsetDateTime>,
    pub updated_at: OffsetDateTime,
}

/// What a forge shows beside a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CommitState {
    Pending,
    Success,
    Failure,
    /// Somebody ended it, or a newer one came before.
    Cancelled,
}

impl From<types::CommitState> for CommitState {
    fn from(state: types::CommitState) -> CommitState {
        match state {
            types::CommitState::Pending => CommitState::Pending,
            types::CommitState::Success => CommitState::Success,
            types::CommitState::Failure => CommitState::Failure,
            types::CommitState::Cancelled => CommitState::Cancelled,
        }
    }
}

impl From<types::Forge> for ForgeKind {
    fn from(forge: types::Forge) -> ForgeKind {
        match forge {
            types::Forge::Github => ForgeKind::Github,
            types::Forge::Gitlab => ForgeKind::Gitlab,
            types::Forge::Bitbucket => ForgeKind::Bitbucket,
            types::Forge::BitbucketDataCenter => ForgeKind::BitbucketDataCenter,
            types::Forge::Gitea | types::Forge::Generic | types::Forge::Poll => ForgeKind::Gitea,
        }
    }
}

impl From<ForgeKind> for types::Forge {
    fn from(kind: ForgeKind) -> types::Forge {
        match kind {
            ForgeKind::Github => types::Forge::Github,
            ForgeKind::Gitlab => types::Forge::Gitlab,
            ForgeKind::Bitbucket => types::Forge::Bitbucket,
            ForgeKind::BitbucketDataCenter => types::Forge::BitbucketDataCenter,
            ForgeKind::Gitea => types::Forge::Gitea,
        }
    }
}

impl From<types::ForgeConnection> for ForgeConnection {
    fn from(one: types::ForgeConnection) -> ForgeConnection {
        let mut view = ForgeConnection {
            id: one.id.to_string(),
            name: one.name,
            kind: one.forge.into(),
            url: one.url.to_string(),
            owner: one.owner,
            access: ForgeAccess::Token,
            user: None,
            client_id: None,
            app_id: None,
            install_url: None,
            allowed: true,
            account: one.account,
            checked_at: one.checked_at.map(moment),
            problem: one.problem,
            created_at: moment(one.created_at),
        };
        match one.access {
            types::ForgeAccess::Token { user, .. } => view.user = user,
            types::ForgeAccess::Oauth { client_id, grant, .. } => {
                view.access = ForgeAccess::Oauth;
                view.client_id = Some(client_id);
                view.allowed = grant.is_some();
            }
            types::ForgeAccess::App { app_id, slug, .. } => {
                view.access = ForgeAccess::App;
                view.app_id = Some(app_id);
                // GitHub Enterprise Server has its Apps at another address than github.com.
                let folder = if one.url.host() == "github.com" { "apps" } else { "github-apps" };
                view.install_url = Some(one.url.join(&format!("{folder}/{slug}/installations/new")).into());
            }
        }
        view
    }
}

impl From<types::ForgeReport> for ForgeReport {
    fn from(report: types::ForgeReport) -> ForgeReport {
        ForgeReport {
            forge: report.repository.connection.to_string(),
            repository: report.repository.path.to_string(),
            commit: report.commit,
            place: report.place,
            told: report.told.map(CommitState::from),
            failures: report.failures,
            problem: report.problem,
            next_at: report.next_at.map(moment),
            updated_at: moment(report.updated_at),
        }
    }
}

impl TryFrom<ForgeCreate> for app::NewForge {
    type Error = Error;

    fn try_from(wish: ForgeCreate) -> types::Result<app::NewForge> {
        let some = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let access = match (some(wish.token), some(wish.client_id), wish.app_id) {
            (Some(token), None, None) => app::AccessWish::Token {
                user: some(wish.user),
                token: Secret::from(token.trim().to_owned()),
            },
            (None, Some(client_id), None) => app::AccessWish::Oauth {
                client_id,
                client_secret: secret("client_secret", wish.client_secret)?,
            },
            (None, None, Some(app_id)) => app::AccessWish::App {
                app_id,
                private_key: secret("private_key", wish.private_key)?,
            },
            (None, None, None) => return Err(Error::invalid("token", "is missing; or give an OAuth application or a GitHub App")),
            _ => return Err(Error::invalid("token", "goes not with another way in: choose one")),
        };
        Ok(app::NewForge {
            name: wish.name,
            forge: wish.kind.into(),
            url: some(wish.url).map(|url| url.parse()).transpose()?,
            owner: some(wish.owner),
            access,
        })
    }
}

fn secret(field: &str, text: Option<String>) -> types::Result<Secret> {
    let text = text.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| Error::invalid(field.to_owned(), "is missing"))?;
    Ok(Secret::from(text.trim().to_owned()))
}

/// `None`: not said; `Some(None)`: null.
fn changed(field: MaybeUndefined<String>) -> Option<Option<String>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(text) => Some(Some(text).filter(|text| !text.trim().is_empty())),
    }
}

#[derive(Clone)]
pub(crate) struct ForgesApi(pub Panel);

#[OpenApi(tag = "Tag::Forges")]
impl ForgesApi {
    /// List connections to forges
    #[oai(path = "/forges", method = "get", operation_id = "forge_list")]
    async fn forge_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<ForgeConnection>>> {
        let all = self.0.forges.list(&who.actor).await?;
        page(all, cursor.0.as_deref(), limit.0, |one| one.id.to_string())
    }

    /// Connect a forge
    ///
    /// The forge is asked first whether it takes the token or App. With OAuth somebody has to allow it there afterwards:
    /// `forge_authorize` says where.
    #[oai(path = "/forges", method = "post", operation_id = "forge_create")]
    async fn forge_create(&self, who: Signed, body: Json<ForgeCreate>) -> Answer<Created<ForgeConnection>> {
        let made = self.0.forges.create(&who.actor, body.0.try_into()?).await?;
        Ok(created(made))
    }

    /// Change a connection to a forge
    #[oai(path = "/forges/:id", method = "patch", operation_id = "forge_update")]
    async fn forge_update(
        &self,
        who: Signed,
        /// Its id or name.
        id: Path<String>,
        body: Json<ForgePatch>,
    ) -> Answer<Json<ForgeConnection>> {
        let change = app::ForgeChange {
            name: body.0.name,
            owner: changed(body.0.owner),
            user: changed(body.0.user),
            secret: body.0.secret.map(|text| Secret::from(text.trim().to_owned())),
        };
        let saved = self.0.forges.update(&who.actor, &id.0, change).await?;
        Ok(Json(saved.into()))
    }

    /// Forget a connection to a forge
    ///
    /// Fails with `busy` while apps are made from it. At the forge nothing is changed: take the token, application or App away
    /// there too.
    #[oai(path = "/forges/:id", method = "delete", operation_id = "forge_delete")]
    async fn forge_delete(
        &self,
        who: Signed,
        /// Its id or name.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.forges.remove(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }

    /// Try a connection at its forge
    ///
    /// Answers as whom the forge knows the panel. Fails with `invalid` when it does not take the credentials, and with
    /// `unavailable` when it cannot be asked.
    #[oai(path = "/forges/:id/test", method = "post", operation_id = "forge_test")]
    async fn forge_test(
        &self,
        who: Signed,
        /// Its id or name.
        id: Path<String>,
    ) -> Answer<Json<ForgeConnection>> {
        let checked = self.0.forges.test(&who.actor, &id.0).await?;
        Ok(Json(checked.into()))
    }

    /// List repositories at a forge
    #[oai(path = "/forges/:id/repositories", method = "get", operation_id = "forge_repositories")]
    async fn forge_repositories(
        &self,
        who: Signed,
        /// Its id or name.
        id: Path<String>,
        /// What their names have in them.
        search: Query<Option<String>>,
    ) -> Answer<Json<ForgeRepositories>> {
        let search = search_text(search.0)?;
        let found = self.0.forges.repositories(&who.actor, &id.0, &search).await?;
        let items = found.items.into_iter().map(|one| ForgeRepository {
            path: one.path.to_string(),
            clone_url: one.clone_url,
            default_branch: one.default_branch,
            private: one.private,
            description: one.description,
        });
        Ok(Json(ForgeRepositories {
            items: items.collect(),
            more: found.more,
        }))
    }

    /// List branches of a repository at a forge
    #[oai(path = "/forges/:id/branches", method = "get", operation_id = "forge_branches")]
    async fn forge_branches(
        &self,
        who: Signed,
        /// Its id or name.
        id: Path<String>,
        /// `owner/name`
        repository: Query<Option<String>>,
        /// What their names have in them.
        search: Query<Option<String>>,
    ) -> Answer<Json<ForgeBranches>> {
        let search = search_text(search.0)?;
        let repository = repository.0.unwrap_or_default();
        let found = self.0.forges.branches(&who.actor, &id.0, &repository, &search).await?;
        let items = found.items.into_iter().map(|one| ForgeBranch {
            name: one.name,
            commit: one.commit,
        });
        Ok(Json(ForgeBranches {
            items: items.collect(),
            more: found.more,
        }))
    }

    /// Begin to allow a connection by OAuth
    ///
    /// Gives the address that the browser goes to. The forge sends it back to the page `/forges/back`.
    #[oai(path = "/forges/:id/authorize", method = "post", operation_id = "forge_authorize")]
    async fn forge_authorize(
        &self,
        who: Signed,
        caller: Caller,
        /// Its id or name.
        id: Path<String>,
    ) -> Answer<Json<ForgeAway>> {
        let url = self.0.forges.authorize(&who.actor, &id.0, &caller.visitor).await?;
        Ok(Json(ForgeAway { url }))
    }

    /// Begin to make a GitHub App
    ///
    /// A page posts the answer to GitHub, which asks the person and sends the browser back to the page `/forges/back`.
    #[oai(path = "/forge-apps", method = "post", operation_id = "forge_app_begin")]
    async fn forge_app_begin(&self, who: Signed, caller: Caller, body: Json<ForgeAppWish>) -> Answer<Json<ForgeAppPage>> {
        let some = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let wish = app::AppWish {
            name: body.0.name,
            url: some(body.0.url).map(|url| url.parse()).transpose()?,
            owner: some(body.0.owner),
        };
        let begun = self.0.forges.app_page(&who.actor, wish, &caller.visitor).await?;
        Ok(Json(ForgeAppPage {
            url: begun.url,
            manifest: begun.manifest,
        }))
    }

    /// Finish what was begun at a forge
    ///
    /// With what the browser brought back to the page `/forges/back`: within ten minutes, once, and by who began it.
    #[oai(path = "/forge-returns", method = "post", operation_id = "forge_return")]
    async fn forge_return(&self, who: Signed, body: Json<ForgeBack>) -> Answer<Json<ForgeConnection>> {
        let made = self.0.forges.come_back(&who.actor, &body.0.state, &body.0.code).await?;
        Ok(Json(made.into()))
    }

    /// Show what a forge was told of a deployment
    #[oai(path = "/deployments/:id/forge-report", method = "get", operation_id = "deployment_forge_report")]
    async fn deployment_forge_report(&self, who: Signed, id: Path<String>) -> Answer<Json<ForgeReports>> {
        let report = self.0.deployments.forge_report(&who.actor, &id.0).await?;
        Ok(Json(ForgeReports {
            report: report.map(ForgeReport::from),
        }))
    }

    /// Tell a forge of a deployment again
    #[oai(
        path = "/deployments/:id/forge-report",
        method = "post",
        operation_id = "deployment_forge_report_again"
    )]
    async fn deployment_forge_report_again(&self, who: Signed, id: Path<String>) -> Answer<Json<ForgeReports>> {
        let report = self.0.deployments.report_again(&who.actor, &id.0).await?;
        Ok(Json(ForgeReports {
            report: Some(report.into()),
        }))
    }
}

fn search_text(text: Option<String>) -> types::Result<String> {
    let text = text.unwrap_or_default();
    if text.len() > 200 || text.chars().any(char::is_control) {
        return Err(Error::invalid("search", "must be at most 200 characters on one line"));
    }
    Ok(text)
}

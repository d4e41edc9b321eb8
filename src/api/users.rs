//! People and their roles.

use crate::{
    Panel,
    answers::{Created, Done, Page, created, moment, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use app::{NewUser, UserChange};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;
use types::Secret;

/// A person.
#[derive(Debug, Clone, Object)]
pub struct User {
    pub id: String,
    pub email: String,
    pub name: String,
    pub role: Role,
    /// May not sign in.
    pub disabled: bool,
    /// Has a second factor.
    pub second_factor: bool,
    pub created_at: OffsetDateTime,
    pub last_seen_at: Option<OffsetDateTime>,
    /// Nobody: an account for scripts, without a password.
    pub service: bool,
    /// The account belongs to another organization; only the role is of this one.
    pub guest: bool,
}

/// An account for scripts to add.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct ServiceAccountCreate {
    pub name: String,
    pub role: Role,
}

/// What a person may do; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Role {
    /// Only what is granted.
    Member,
    /// See.
    Viewer,
    /// Create, change, deploy and delete apps.
    Developer,
    /// People, settings and servers too.
    Admin,
    /// Everything, also who is an owner.
    Owner,
}

/// A person to add.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct UserCreate {
    pub email: String,
    pub name: String,
    pub role: Role,
    /// At least 10 characters, and not easy to guess.
    pub password: String,
}

/// What to change about a person; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct UserPatch {
    pub name: Option<String>,
    pub role: Option<Role>,
    pub disabled: Option<bool>,
    /// A new password; it ends the person's sessions.
    pub password: Option<String>,
}

impl User {
    /// Somebody on the machine itself, who has no record.
    pub(crate) fn machine(actor: &types::Actor) -> User {
        User {
            id: String::new(),
            email: String::new(),
            name: actor.who.to_string(),
            role: actor.role.into(),
            disabled: false,
            second_factor: false,
            created_at: OffsetDateTime::UNIX_EPOCH,
            last_seen_at: None,
            service: false,
            guest: false,
        }
    }
}

impl From<app::UserView> for User {
    fn from(view: app::UserView) -> User {
        User {
            guest: view.guest,
            ..User::of(view.user, view.second_factor)
        }
    }
}

impl User {
    pub(crate) fn of(user: types::User, second_factor: bool) -> User {
        User {
            second_factor,
            id: user.id.to_string(),
            email: user.email.to_string(),
            name: user.name,
            role: user.role.into(),
            disabled: user.disabled,
            created_at: moment(user.created_at),
            last_seen_at: user.last_seen_at.map(moment),
            service: user.service,
            guest: false,
        }
    }
}

impl From<types::Role> for Role {
    fn from(role: types::Role) -> Role {
        match role {
            types::Role::Member => Role::Member,
            types::Role::Viewer => Role::Viewer,
            types::Role::Developer => Role::Developer,
            types::Role::Admin => Role::Admin,
            types::Role::Owner => Role::Owner,
        }
    }
}

impl From<Role> for types::Role {
    fn from(role: Role) -> types::Role {
        match role {
            Role::Member => types::Role::Member,
            Role::Viewer => types::Role::Viewer,
            Role::Developer => types::Role::Developer,
            Role::Admin => types::Role::Admin,
            Role::Owner => types::Role::Owner,
        }
    }
}

#[derive(Clone)]
pub(crate) struct UsersApi(pub Panel);

#[OpenApi(tag = "Tag::Users")]
impl UsersApi {
    /// List people
    ///
    /// Needs the role admin.
    #[oai(path = "/users", method = "get", operation_id = "user_list")]
    async fn user_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<User>>> {
        let users = self.0.users.list(&who.actor)?;
        page(users, cursor.0.as_deref(), limit.0, |view| view.user.id.to_string())
    }

    /// Add somebody
    ///
    /// Needs the role admin; owner, to add an owner.
    #[oai(path = "/users", method = "post", operation_id = "user_create")]
    async fn user_create(&self, who: Signed, body: Json<UserCreate>) -> Answer<Created<User>> {
        let UserCreate {
            email,
            name,
            role,
            password,
        } = body.0;
        let wish = NewUser {
            email,
            name,
            role: role.into(),
            password: Secret::from(password),
        };
        Ok(created(self.0.users.create(&who.actor, wish).await?))
    }

    /// Add a service account
    ///
    /// For scripts: it has no password, and its tokens are made with `user` in `POST /tokens`. It is changed and removed like
    /// a person. Needs the right to manage people.
    #[oai(path = "/service-accounts", method = "post", operation_id = "service_account_create")]
    async fn service_account_create(&self, who: Signed, body: Json<ServiceAccountCreate>) -> Answer<Created<User>> {
        let ServiceAccountCreate { name, role } = body.0;
        Ok(created(self.0.users.create_service(&who.actor, &name, role.into()).await?))
    }

    /// Change somebody
    ///
    /// Needs the role admin; owner, to make an owner or stop one being one. Whose account is in several organizations gets a password from
    /// owners of the one that runs the panel only.
    #[oai(path = "/users/:id", method = "patch", operation_id = "user_update")]
    async fn user_update(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
        body: Json<UserPatch>,
    ) -> Answer<Json<User>> {
        let UserPatch {
            name,
            role,
            disabled,
            password,
        } = body.0;
        let change = UserChange {
            name,
            role: role.map(Into::into),
            disabled,
            password: password.map(Secret::from),
        };
        Ok(Json(self.0.users.update(&who.actor, &id.0, change).await?.into()))
    }

    /// Remove somebody
    ///
    /// Ends their sessions and tokens. Needs the role admin.
    #[oai(path = "/users/:id", method = "delete", operation_id = "user_delete")]
    async fn user_delete(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.users.remove(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }
}

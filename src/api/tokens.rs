//! API tokens for scripts.

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, created, moment, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use app::{Lasts, NewToken};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use time::OffsetDateTime;

/// A token; its secret was shown once.
#[derive(Debug, Object)]
pub struct Token {
    pub id: String,
    pub name: String,
    /// Its first letters.
    pub hint: String,
    pub scope: Scope,
    /// Whose it is: id and mail address.
    pub user: Named,
    pub created_at: OffsetDateTime,
    /// Null: never.
    pub expires_at: Option<OffsetDateTime>,
    pub last_used_at: Option<OffsetDateTime>,
}

/// How far a token reaches; each includes the ones before it. The role of its owner still bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Scope {
    /// See.
    Read,
    /// Deploy, roll back, start and stop too.
    Deploy,
    /// Create, change and delete too.
    Write,
    /// All that the person may do.
    Admin,
}

/// A token to make.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct TokenCreate {
    pub name: String,
    pub scope: Scope,
    /// Days until it ends; left out: 90; null: never.
    pub expires_in_days: MaybeUndefined<u32>,
}

/// A new token, with its secret for the only time.
#[derive(Debug, Object)]
pub struct TokenCreated {
    pub token: Token,
    /// `sk_…`; it is not shown again.
    pub secret: String,
}

impl From<types::Scope> for Scope {
    fn from(scope: types::Scope) -> Scope {
        match scope {
            types::Scope::Read => Scope::Read,
            types::Scope::Deploy => Scope::Deploy,
            types::Scope::Write => Scope::Write,
            types::Scope::Admin => Scope::Admin,
        }
    }
}

impl From<Scope> for types::Scope {
    fn from(scope: Scope) -> types::Scope {
        match scope {
            Scope::Read => types::Scope::Read,
            Scope::Deploy => types::Scope::Deploy,
            Scope::Write => types::Scope::Write,
            Scope::Admin => types::Scope::Admin,
        }
    }
}

impl From<app::TokenView> for Token {
    fn from(view: app::TokenView) -> Token {
        Token {
            id: view.token.id.to_string(),
            name: view.token.name,
            hint: view.token.hint,
            scope: view.token.scope.into(),
            user: Named::new(view.user.id, view.user.email),
            created_at: moment(view.token.created_at),
            expires_at: view.token.expires_at.map(moment),
            last_used_at: view.token.last_used_at.map(moment),
        }
    }
}

#[derive(Clone)]
pub(crate) struct TokensApi(pub Panel);

#[OpenApi(tag = "Tag::Tokens")]
impl TokensApi {
    /// List tokens
    ///
    /// The own ones; for admins all.
    #[oai(path = "/tokens", method = "get", operation_id = "token_list")]
    async fn token_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Token>>> {
        let tokens = self.0.tokens.list(&who.actor)?;
        page(tokens, cursor.0.as_deref(), limit.0, |view| view.token.id.to_string())
    }

    /// Make a token
    ///
    /// The secret is in this answer only.
    #[oai(path = "/tokens", method = "post", operation_id = "token_create")]
    async fn token_create(&self, who: Signed, body: Json<TokenCreate>) -> Answer<Created<TokenCreated>> {
        let TokenCreate {
            name,
            scope,
            expires_in_days,
        } = body.0;
        let wish = NewToken {
            name,
            scope: scope.into(),
            lasts: match expires_in_days {
                MaybeUndefined::Undefined => Lasts::Default,
                MaybeUndefined::Null => Lasts::ForEver,
                MaybeUndefined::Value(days) => Lasts::Days(days),
            },
        };
        let (token, secret) = self.0.tokens.create(&who.actor, wish).await?;
        Ok(created(TokenCreated {
            token: token.into(),
            secret: secret.expose_str().unwrap_or_default().to_owned(),
        }))
    }

    /// Revoke a token
    #[oai(path = "/tokens/:id", method = "delete", operation_id = "token_revoke")]
    async fn token_revoke(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.tokens.revoke(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }
}

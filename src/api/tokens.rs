//! API tokens for scripts.

use crate::{
    Panel,
    answers::{Created, Done, Named, Page, created, moment, page},
    failures::{Answer, Failure},
    signed::Signed,
    tags::Tag,
};
use app::{Lasts, NewToken};
use ipnet::IpNet;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use std::net::IpAddr;
use time::OffsetDateTime;
use types::{BoundScope, Scopes};

/// A token; its secret was shown once.
#[derive(Debug, Object)]
pub struct Token {
    pub id: String,
    pub name: String,
    /// Its first letters.
    pub hint: String,
    /// What it is for: verbs for all kinds of things, such as `read`, then those for one kind, such as `jobs:read`.
    pub scopes: Vec<String>,
    /// Where it is of use, each as it is written and in words; null: wherever its owner may.
    pub places: Option<Vec<Named>>,
    /// Where it may come from; empty: from anywhere.
    pub networks: Vec<String>,
    /// Whose it is: id and mail address.
    pub user: Named,
    pub created_at: OffsetDateTime,
    /// Null: never.
    pub expires_at: Option<OffsetDateTime>,
    pub last_used_at: Option<OffsetDateTime>,
    pub last_used_address: Option<String>,
    /// Until when the secret before is good too.
    pub old_secret_until: Option<OffsetDateTime>,
}

/// What a token is for. The rights of its owner still bound it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Scope {
    /// See.
    Read,
    /// Deploy, roll back, start and stop.
    Deploy,
    /// Create, change and delete.
    Write,
    /// Reveal secrets.
    Secrets,
    /// Open terminals.
    Terminal,
    /// All that the person may do.
    Admin,
}

/// A token to make.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct TokenCreate {
    pub name: String,
    /// The short way: read, deploy, write and admin each include the ones before, and write includes secrets and terminal.
    pub scope: Option<Scope>,
    /// In place of `scope`: exactly these, and read. A verb is for all kinds of things; with a kind before it, as in `apps:deploy` or
    /// `jobs:read`, it is for that kind alone: the chapters of this document in small letters. `admin` is of no kind.
    pub scopes: Option<Vec<String>>,
    /// Where it is of use: `project:NAME`, `environment:PROJECT/NAME`, `app:NAME`, or ids in place of names. Left out:
    /// wherever its owner may.
    pub places: Option<Vec<String>>,
    /// Where it may come from: addresses, or networks such as `10.0.0.0/8`. Left out: from anywhere.
    pub networks: Option<Vec<String>>,
    /// Days until it ends; left out: 90; null: never.
    pub expires_in_days: MaybeUndefined<u32>,
    /// The id of a service account, whose it is to be. Needs the right to manage people.
    pub user: Option<String>,
}

/// Another secret for a token.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct TokenRotate {
    /// How long the old secret is good too, 0 to 43200; left out: 60.
    pub grace_minutes: Option<u32>,
}

/// A new token, with its secret for the only time.
#[derive(Debug, Object)]
pub struct TokenCreated {
    pub token: Token,
    /// `sk_…`; it is not shown again.
    pub secret: String,
}

impl From<Scope> for types::Scope {
    fn from(scope: Scope) -> types::Scope {
        match scope {
            Scope::Read => types::Scope::Read,
            Scope::Deploy => types::Scope::Deploy,
            Scope::Write => types::Scope::Write,
            Scope::Secrets => types::Scope::Secrets,
            Scope::Terminal => types::Scope::Terminal,
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
            scopes: view.token.scopes.iter().map(|scope| scope.to_string()).collect(),
            places: view
                .places
                .map(|places| places.into_iter().map(|(id, name)| Named { id, name }).collect()),
            networks: view.token.networks.iter().map(ToString::to_string).collect(),
            user: Named::new(view.user.id, view.user.email),
            created_at: moment(view.token.created_at),
            expires_at: view.token.expires_at.map(moment),
            last_used_at: view.token.last_used_at.map(moment),
            last_used_address: view.token.last_used_address,
            old_secret_until: view.token.replaced.map(|replaced| moment(replaced.until)),
        }
    }
}

/// Verbs, and verbs of a kind.
fn read_scopes(texts: &[String]) -> Answer<Scopes> {
    let read = |text: &String| text.trim().parse::<BoundScope>().map_err(|why| Failure::invalid("scopes", why));
    Ok(Scopes::of(texts.iter().map(read).collect::<Answer<Vec<_>>>()?))
}

/// Networks, or single addresses.
fn read_networks(texts: Vec<String>) -> Answer<Vec<IpNet>> {
    let read = |text: String| {
        let text = text.trim();
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.ok_or_else(|| Failure::invalid("networks", format!("`{text}` is no address or network, such as 10.0.0.0/8")))
    };
    texts.into_iter().map(read).collect()
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
            scopes,
            places,
            networks,
            expires_in_days,
            user,
        } = body.0;
        let wish = NewToken {
            name,
            scopes: match (scope, scopes) {
                (Some(scope), None) => Scopes::up_to(scope.into()),
                (None, Some(scopes)) => read_scopes(&scopes)?,
                (None, None) => return Err(Failure::invalid("scope", "is missing; or name `scopes`")),
                (Some(_), Some(_)) => return Err(Failure::invalid("scopes", "cannot be with `scope`: name one of them")),
            },
            places,
            networks: read_networks(networks.unwrap_or_default())?,
            user,
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

    /// Give a token another secret
    ///
    /// It stays what it is: the old secret goes on for a while, so that there is time to put the new one in its place. A
    /// token may do this to itself.
    #[oai(path = "/tokens/:id/rotate", method = "post", operation_id = "token_rotate")]
    async fn token_rotate(
        &self,
        who: Signed,
        /// Its id.
        id: Path<String>,
        body: Json<TokenRotate>,
    ) -> Answer<Json<TokenCreated>> {
        let minutes = body.0.grace_minutes.unwrap_or(60);
        let (token, secret) = self.0.tokens.rotate(&who.actor, &id.0, minutes).await?;
        Ok(Json(TokenCreated {
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

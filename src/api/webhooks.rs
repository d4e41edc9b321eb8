//! Webhooks of apps, and the inbox of what came to them.

use crate::{
    Panel,
    answers::{Accepted, Done, Named, Page, accepted, moment, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use time::OffsetDateTime;
use types::Secret;

/// How pushes reach an app.
#[derive(Debug, Object)]
pub struct Webhook {
    /// Where the forge sends to; null: the app has no address yet, and a change makes one.
    pub url: Option<String>,
    /// The address has a name that public certificates exist for; else the forge must be told not to check the certificate.
    pub is_public: bool,
    /// What the forge signs with, if it was asked for; `Secret` at GitHub, Bitbucket and Gitea, `Secret token` at GitLab.
    pub secret: Option<String>,
    /// What comes while it is off is kept in the inbox and deploys nothing.
    pub enabled: bool,
    /// Patterns of branches that deploy; none: the app's own branch.
    pub branches: Vec<String>,
    /// Patterns of tags that deploy; none: no tags.
    pub tags: Vec<String>,
    /// Patterns of files of which a push must change one; none: any. A folder stands for what is in it, `!` takes out again.
    pub paths: Vec<String>,
    /// The panel asks the repository itself this often; null: never.
    pub poll_seconds: Option<u32>,
    /// Why the repository could not be asked the last time.
    pub poll_error: Option<String>,
    /// Other environments whose app of the same name is deployed by pushes to its branch.
    pub environments: Vec<WebhookEnvironment>,
    /// The panel has made it at the forge itself, in this repository.
    pub registered: Option<String>,
    pub created_at: Option<OffsetDateTime>,
}

/// Where else pushes go.
#[derive(Debug, Object)]
pub struct WebhookEnvironment {
    pub environment: Named,
    pub app: Named,
    /// Pushes to it deploy there.
    pub branch: Option<String>,
}

/// What is left out stays as it is.
///
/// Patterns have `*` (within a part), `**` (any parts), `?`, `[a-z]` and `{a,b}`; `!` in front takes out again, and the last that fits decides.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct WebhookPatch {
    pub enabled: Option<bool>,
    pub branches: Option<Vec<String>>,
    pub tags: Option<Vec<String>>,
    pub paths: Option<Vec<String>>,
    /// 15 to 86400; null: never.
    pub poll_seconds: MaybeUndefined<u32>,
    /// Names or ids of environments of the project: the app of the same name there, from the same repository, is deployed by pushes
    /// to its branch. To deploy it must be allowed to you.
    pub environments: Option<Vec<String>>,
    /// In place of the secret that was made: 8 to 1024 bytes.
    pub secret: Option<String>,
}

/// Something that came to a webhook, and what was decided.
#[derive(Debug, Object)]
pub struct Delivery {
    pub id: String,
    pub at: OffsetDateTime,
    pub forge: Forge,
    /// What the forge calls this delivery.
    pub forge_id: Option<String>,
    /// The forge's word for what happened.
    pub event: String,
    /// What was pushed, if it was that.
    pub push: Option<Push>,
    /// Of the body.
    pub bytes: u64,
    /// Where it came from.
    pub address: Option<String>,
    pub decision: Decision,
    /// The decision in words.
    pub why: String,
    /// What it has led to.
    pub deployment: Option<String>,
    /// It is another look at this one.
    pub replay_of: Option<String>,
    /// It can be decided on again, by the rules of now.
    pub can_replay: bool,
}

/// A branch or tag that moved.
#[derive(Debug, Object)]
pub struct Push {
    /// `refs/heads/main`; null: not said.
    pub reference: Option<String>,
    pub before: Option<String>,
    pub after: Option<String>,
    /// Of the newest commit.
    pub message: String,
    /// Who pushed.
    pub by: Option<String>,
    /// At most 100 of the files that changed; null: not said.
    pub files: Option<Vec<String>>,
    /// How many files changed.
    pub file_count: Option<u32>,
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Forge {
    Github,
    Gitlab,
    Bitbucket,
    /// Gitea, Forgejo and Gogs.
    Gitea,
    /// Anything that signs with HMAC-SHA256.
    Generic,
    /// The panel asked the repository.
    Poll,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Decision {
    /// A deployment was queued.
    Deployed,
    /// The forge only wanted to know whether somebody is there.
    Ping,
    /// Its signature is wrong or missing.
    BadSignature,
    /// It is signed, but cannot be read.
    Unreadable,
    /// It came before and has led to a deployment.
    Repeated,
    /// The webhook is off.
    Disabled,
    /// The app is in the trash.
    Trashed,
    /// Something that does not deploy.
    OtherEvent,
    BranchFilter,
    TagFilter,
    PathFilter,
    /// The branch or tag is gone.
    Deleted,
    /// The commit asks for it: `[skip deploy]`.
    SkippedByCommit,
    /// The commit is deployed already.
    Unchanged,
    /// Somebody has locked the app's deployments.
    Locked,
    /// A freeze window holds; it is decided on anew when that ends.
    Held,
    /// It was held, and decided on anew when the freeze ended.
    Released,
    /// A preview of a pull request is made.
    PreviewMade,
    /// A preview gets the newest commit.
    PreviewRenewed,
    /// A preview goes.
    PreviewRemoved,
    /// A pull request from a fork waits for somebody who allows it.
    PreviewWaits,
    /// There are as many previews as there may be.
    PreviewFull,
    /// The labels of a pull request leave it out.
    PreviewLeftOut,
    /// It could not be decided.
    Failed,
}

impl From<types::Decision> for Decision {
    fn from(decision: types::Decision) -> Decision {
        match decision {
            types::Decision::Deployed => Decision::Deployed,
            types::Decision::Ping => Decision::Ping,
            types::Decision::BadSignature => Decision::BadSignature,
            types::Decision::Unreadable => Decision::Unreadable,
            types::Decision::Repeated => Decision::Repeated,
            types::Decision::Disabled => Decision::Disabled,
            types::Decision::Trashed => Decision::Trashed,
            types::Decision::OtherEvent => Decision::OtherEvent,
            types::Decision::BranchFilter => Decision::BranchFilter,
            types::Decision::TagFilter => Decision::TagFilter,
            types::Decision::PathFilter => Decision::PathFilter,
            types::Decision::Deleted => Decision::Deleted,
            types::Decision::SkippedByCommit => Decision::SkippedByCommit,
            types::Decision::Unchanged => Decision::Unchanged,
            types::Decision::Locked => Decision::Locked,
            types::Decision::Held => Decision::Held,
            types::Decision::Released => Decision::Released,
            types::Decision::PreviewMade => Decision::PreviewMade,
            types::Decision::PreviewRenewed => Decision::PreviewRenewed,
            types::Decision::PreviewRemoved => Decision::PreviewRemoved,
            types::Decision::PreviewWaits => Decision::PreviewWaits,
            types::Decision::PreviewFull => Decision::PreviewFull,
            types::Decision::PreviewLeftOut => Decision::PreviewLeftOut,
            types::Decision::Failed => Decision::Failed,
        }
    }
}

impl From<types::Forge> for Forge {
    fn from(forge: types::Forge) -> Forge {
        match forge {
            types::Forge::Github => Forge::Github,
            types::Forge::Gitlab => Forge::Gitlab,
            types::Forge::Bitbucket | types::Forge::BitbucketDataCenter => Forge::Bitbucket,
            types::Forge::Gitea => Forge::Gitea,
            types::Forge::Generic => Forge::Generic,
            types::Forge::Poll => Forge::Poll,
        }
    }
}

/// Files shown of a push.
const FILES: usize = 100;

impl From<types::Push> for Push {
    fn from(push: types::Push) -> Push {
        Push {
            reference: push.reference.map(|reference| reference.full()),
            before: push.before,
            after: push.after,
            message: push.message,
            by: push.by,
            file_count: push.files.as_ref().map(|files| crate::answers::count(files.len())),
            files: push.files.map(|files| files.into_iter().take(FILES).collect()),
        }
    }
}

impl From<types::Delivery> for Delivery {
    fn from(delivery: types::Delivery) -> Delivery {
        Delivery {
            id: delivery.id.to_string(),
            at: moment(delivery.at),
            forge: delivery.forge.into(),
            forge_id: delivery.forge_id,
            event: delivery.event,
            can_replay: delivery.push.is_some() && !delivery.decision.is_refused(),
            push: delivery.push.map(Push::from),
            bytes: delivery.bytes,
            address: delivery.address,
            decision: delivery.decision.into(),
            why: delivery.why,
            deployment: delivery.deployment.map(|id| id.to_string()),
            replay_of: delivery.replay_of.map(|id| id.to_string()),
        }
    }
}

impl From<app::WebhookView> for Webhook {
    fn from(view: app::WebhookView) -> Webhook {
        let webhook = view.webhook;
        Webhook {
            url: Some(view.url),
            is_public: view.is_public,
            secret: view.secret.and_then(|secret| secret.expose_str().map(str::to_owned)),
            enabled: webhook.enabled,
            branches: webhook.rules.branches,
            tags: webhook.rules.tags,
            paths: webhook.rules.paths,
            poll_seconds: webhook.poll_seconds,
            poll_error: webhook.poll_error,
            environments: view.passes_to.into_iter().map(WebhookEnvironment::from).collect(),
            registered: webhook.registered.map(|hook| hook.repository.path.to_string()),
            created_at: Some(moment(webhook.created_at)),
        }
    }
}

impl From<app::PassedTo> for WebhookEnvironment {
    fn from(to: app::PassedTo) -> WebhookEnvironment {
        WebhookEnvironment {
            environment: Named::new(&to.environment.id, &to.environment.name),
            app: Named::new(&to.app.id, &to.app.name),
            branch: to.branch.map(String::from),
        }
    }
}

/// Before there is one.
fn none() -> Webhook {
    Webhook {
        url: None,
        is_public: false,
        secret: None,
        enabled: false,
        branches: Vec::new(),
        tags: Vec::new(),
        paths: Vec::new(),
        poll_seconds: None,
        poll_error: None,
        environments: Vec::new(),
        registered: None,
        created_at: None,
    }
}

#[derive(Clone)]
pub(crate) struct WebhooksApi(pub Panel);

#[OpenApi(tag = "Tag::Webhooks")]
impl WebhooksApi {
    /// Show an app's webhook
    ///
    /// `reveal` shows the secret too; that is recorded.
    #[oai(path = "/apps/:app/webhook", method = "get", operation_id = "webhook_show")]
    async fn webhook_show(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// Show the secret.
        #[oai(default)]
        reveal: Query<bool>,
    ) -> Answer<Json<Webhook>> {
        let found = self.0.webhooks.find(&who.actor, &app.0, reveal.0).await?;
        Ok(Json(found.map_or_else(none, Webhook::from)))
    }

    /// Change an app's webhook
    ///
    /// The first change, also an empty one, makes its address and secret.
    #[oai(path = "/apps/:app/webhook", method = "patch", operation_id = "webhook_update")]
    async fn webhook_update(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        body: Json<WebhookPatch>,
    ) -> Answer<Json<Webhook>> {
        let body = body.0;
        let change = app::WebhookChange {
            enabled: body.enabled,
            branches: body.branches,
            tags: body.tags,
            paths: body.paths,
            poll_seconds: match body.poll_seconds {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(seconds) => Some(Some(seconds)),
            },
            environments: body.environments,
            secret: body.secret.map(Secret::from),
        };
        Ok(Json(self.0.webhooks.update(&who.actor, &app.0, change).await?.into()))
    }

    /// Take an app's webhook away
    ///
    /// Its address leads nowhere from now on; the inbox stays.
    #[oai(path = "/apps/:app/webhook", method = "delete", operation_id = "webhook_remove")]
    async fn webhook_remove(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Done> {
        self.0.webhooks.remove(&who.actor, &app.0).await?;
        Ok(Done::Done)
    }

    /// Make an app's webhook at its forge
    ///
    /// For an app from a connected forge: the panel gives the address and the secret to the forge itself. Again, it mends what
    /// somebody changed there.
    #[oai(path = "/apps/:app/webhook/register", method = "post", operation_id = "webhook_register")]
    async fn webhook_register(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<Webhook>> {
        Ok(Json(self.0.webhooks.register(&who.actor, &app.0).await?.into()))
    }

    /// Make a new address and secret
    ///
    /// The old ones stop to work at once. The answer shows the secret.
    #[oai(path = "/apps/:app/webhook/rotate", method = "post", operation_id = "webhook_rotate")]
    async fn webhook_rotate(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
    ) -> Answer<Json<Webhook>> {
        Ok(Json(self.0.webhooks.rotate(&who.actor, &app.0).await?.into()))
    }

    /// List what came to an app's webhook
    ///
    /// Newest first: the last 200, and the last 50 that were not signed rightly.
    #[oai(path = "/apps/:app/deliveries", method = "get", operation_id = "delivery_list")]
    async fn delivery_list(
        &self,
        who: Signed,
        /// Id or name.
        app: Path<String>,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Delivery>>> {
        let deliveries = self.0.inbox.list(&who.actor, &app.0).await?;
        page(deliveries, cursor.0.as_deref(), limit.0, |delivery| delivery.id.to_string())
    }

    /// Show a delivery
    #[oai(path = "/deliveries/:id", method = "get", operation_id = "delivery_show")]
    async fn delivery_show(&self, who: Signed, id: Path<String>) -> Answer<Json<Delivery>> {
        Ok(Json(self.0.inbox.get(&who.actor, &id.0).await?.into()))
    }

    /// Decide on a delivery again
    ///
    /// By the rules of now. The answer is a new delivery in the inbox.
    #[oai(path = "/deliveries/:id/replay", method = "post", operation_id = "delivery_replay")]
    async fn delivery_replay(&self, who: Signed, id: Path<String>) -> Answer<Accepted<Delivery>> {
        Ok(accepted(self.0.inbox.replay(&who.actor, &id.0).await?))
    }
}

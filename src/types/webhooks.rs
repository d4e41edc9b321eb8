//! Webhooks: an address of its own for each app, rules for which pushes deploy, and an inbox of everything that came, each
//! with what was decided and why.

use crate::{AppId, DeliveryId, DeploymentId, OrganizationId, RegisteredHook, Sealed, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How pushes reach an app. There is at most one for each app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub organization: OrganizationId,
    pub app: AppId,
    /// The last part of its address, which nobody can guess.
    pub key: String,
    /// What deliveries are signed with.
    pub secret: Sealed,
    /// What comes while it is off is kept in the inbox and deploys nothing.
    pub enabled: bool,
    pub rules: PushRules,
    /// Ask the repository itself this often, for forges that cannot reach the panel; `None`: never.
    pub poll_seconds: Option<u32>,
    /// Branches and tags (`refs/…`) and the commits that were seen there last.
    pub seen: BTreeMap<String, String>,
    /// Polling has looked once, maybe at an empty repository: what is not in `seen` is new.
    #[serde(default)]
    pub looked: bool,
    /// Why the repository could not be asked the last time.
    pub poll_error: Option<String>,
    /// Apps in other environments of its project that are from the same repository: pushes to their branches deploy them.
    #[serde(default)]
    pub passes_to: Vec<AppId>,
    /// What the panel has made at the forge itself.
    #[serde(default)]
    pub registered: Option<RegisteredHook>,
    pub created_at: Time,
}

impl Webhook {
    /// Whether polling knows what was there before. Older records do not say that it has looked, only what it saw.
    pub fn has_looked(&self) -> bool {
        self.looked || !self.seen.is_empty()
    }

    /// Polling begins with its next look, which deploys nothing.
    pub fn look_anew(&mut self) {
        self.seen.clear();
        self.looked = false;
        self.poll_error = None;
    }
}

/// Which pushes deploy. Patterns have `*` (within a part), `**` (any parts), `?`, `[a-z]` and `{a,b}`; `!` in front takes
/// out again, and the last that fits decides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PushRules {
    /// None: the app's own branch.
    pub branches: Vec<String>,
    /// None: no tags.
    pub tags: Vec<String>,
    /// Of files that a push must change; a folder stands for what is in it. None: any.
    pub paths: Vec<String>,
}

/// Something that came to a webhook. Of several pushes in one delivery each has its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub organization: OrganizationId,
    pub app: AppId,
    pub at: Time,
    pub forge: Forge,
    /// What the forge calls this delivery.
    pub forge_id: Option<String>,
    /// Which of the pushes in the forge's delivery it is, from 0.
    #[serde(default)]
    pub part: u32,
    /// It is the one that stands for `forge_id`: another with the same is a repetition.
    pub holds_id: bool,
    /// The forge's word for what happened, such as `push` or `Tag Push Hook`.
    pub event: String,
    /// What was pushed, if it was that and could be read.
    pub push: Option<Push>,
    /// Of the body.
    pub bytes: u64,
    /// Where it came from.
    pub address: Option<String>,
    pub decision: Decision,
    /// The decision in words.
    pub why: String,
    pub deployment: Option<DeploymentId>,
    /// Somebody asked for it to be looked at again.
    pub replay_of: Option<DeliveryId>,
}

impl Delivery {
    /// What stands for it as the forge calls it: only one holds it.
    pub fn forge_claim(&self) -> Option<String> {
        let (app, id) = (&self.app, self.forge_id.as_ref()?);
        Some(match self.part {
            0 => format!("{app}/{id}"),
            part => format!("{app}/{id}/{part}"),
        })
    }
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forge {
    Github,
    Gitlab,
    Bitbucket,
    /// As a connection; what it sends to webhooks is [`Forge::Bitbucket`]'s.
    BitbucketDataCenter,
    /// Gitea, Forgejo and Gogs.
    Gitea,
    /// Anything that signs with HMAC.
    Generic,
    /// Nobody: the panel asked the repository.
    Poll,
}

impl Forge {
    pub fn name(self) -> &'static str {
        match self {
            Forge::Github => "GitHub",
            Forge::Gitlab => "GitLab",
            Forge::Bitbucket => "Bitbucket",
            Forge::BitbucketDataCenter => "Bitbucket Data Center",
            Forge::Gitea => "Gitea",
            Forge::Generic => "webhook",
            Forge::Poll => "polling",
        }
    }
}

/// A branch or tag that moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// `None`: not said; the app's own branch is meant.
    pub reference: Option<Reference>,
    /// The repository's default branch, if that was said.
    pub default_branch: Option<String>,
    /// 40 hex digits; `None`: it is new, or not said.
    pub before: Option<String>,
    /// 40 hex digits; `None` with `deleted`, or not said.
    pub after: Option<String>,
    pub deleted: bool,
    /// The message of the newest commit.
    pub message: String,
    /// Who pushed.
    pub by: Option<String>,
    /// The files that changed; `None`: not said, or not all of them.
    pub files: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "name")]
pub enum Reference {
    Branch(String),
    Tag(String),
}

impl Reference {
    /// Of `refs/heads/…` and `refs/tags/…`.
    pub fn of(full: &str) -> Option<Reference> {
        match (full.strip_prefix("refs/heads/"), full.strip_prefix("refs/tags/")) {
            (Some(name), _) => Some(Reference::Branch(name.to_owned())),
            (_, Some(name)) => Some(Reference::Tag(name.to_owned())),
            _ => None,
        }
    }
    pub fn full(&self) -> String {
        match self {
            Reference::Branch(name) => format!("refs/heads/{name}"),
            Reference::Tag(name) => format!("refs/tags/{name}"),
        }
    }
    pub fn name(&self) -> &str {
        match self {
            Reference::Branch(name) | Reference::Tag(name) => name,
        }
    }
    /// `branch main`, `tag v1`.
    pub fn words(&self) -> String {
        match self {
            Reference::Branch(name) => format!("branch {name}"),
            Reference::Tag(name) => format!("tag {name}"),
        }
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// A deployment was queued.
    Deployed,
    /// The forge only wanted to know whether somebody is there.
    Ping,
    /// The signature is wrong or missing; nothing in it was believed.
    BadSignature,
    /// It is signed, but cannot be read.
    Unreadable,
    /// It came before and has led to a deployment.
    Repeated,
    /// The webhook is off.
    Disabled,
    /// The app is in the trash.
    Trashed,
    /// Something that does not deploy: an issue, a star, a pull request.
    OtherEvent,
    BranchFilter,
    TagFilter,
    PathFilter,
    /// The branch or tag is gone.
    Deleted,
    /// The commit asks for it: `[skip deploy]`.
    SkippedByCommit,
    /// The commit, or one that has followed it, is live, or on its way, already.
    Unchanged,
    /// Somebody has locked the app's deployments.
    Locked,
    /// It waits for the end of a freeze.
    Held,
    /// It waited, and was decided on anew when the freeze ended.
    Released,
    /// A preview of a pull request is to be made.
    PreviewMade,
    /// A preview gets the newest commit.
    PreviewRenewed,
    /// A preview is to be removed.
    PreviewRemoved,
    /// A pull request from a fork waits for somebody who allows it.
    PreviewWaits,
    /// There are as many previews as there may be.
    PreviewFull,
    /// The labels of a pull request leave it out.
    PreviewLeftOut,
    /// It should deploy and cannot.
    Failed,
}

impl Decision {
    /// It was not proven to come from who knows the secret.
    pub fn is_refused(self) -> bool {
        self == Decision::BadSignature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for full in ["refs/heads/main", "refs/heads/a/b", "refs/tags/v1"] {
            assert_eq!(Reference::of(full).expect("it is one").full(), full);
        }
        assert_eq!(Reference::of("refs/pull/1/head"), None);
        assert_eq!(Reference::of("main"), None);
    }
}

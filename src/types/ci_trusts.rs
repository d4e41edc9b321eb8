//! Repositories whose CI may deploy an app, without a secret that is kept there.

use crate::{AppId, CiTrustId, OrganizationId, Time, TokenId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an ID token of a job must say, so that it is changed for a token with which the app is deployed. All that is named must fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiTrust {
    pub id: CiTrustId,
    pub organization: OrganizationId,
    pub app: AppId,
    /// Whose tokens act through it, with their present rights: who made it.
    pub user: UserId,
    /// Who signs: `https://token.actions.githubusercontent.com`.
    pub issuer: String,
    /// Certificates in PEM of an own authority by which the issuer is believed to be itself, beside those of this machine.
    #[serde(default)]
    pub authority: Option<String>,
    /// `owner/name`.
    pub repository: String,
    /// The forge's own number of the repository, as the first job said: one of the same name that somebody makes later is another.
    pub repository_id: Option<String>,
    /// Patterns of branches and of tags; jobs of neither, such as those of pull requests, never fit.
    pub branches: Vec<String>,
    pub tags: Vec<String>,
    /// The environment of the job at the forge.
    pub environment: Option<String>,
    /// The file of the workflow, `.github/workflows/deploy.yml`.
    pub workflow: Option<String>,
    pub created_at: Time,
    /// It ends by itself then, as the token with which it was made; `None`: never.
    pub ends_at: Option<Time>,
    pub last_used_at: Option<Time>,
    /// ID tokens that were changed already and could still come again, by the SHA-256 of their id.
    pub used: BTreeMap<String, CiUse>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiUse {
    /// Both the ID token and what was given for it are over then.
    pub until: Time,
    /// What was given.
    pub token: TokenId,
}

//! `serverkit identity-provider add-saml`: single sign-on by SAML 2.0.

use crate::{
    failure::Result,
    identity_providers::{Common, text},
};
use clap::Args;
use client::types::{SamlInput, SamlProvider};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct AddSaml {
    #[command(flatten)]
    common: Common,
    /// Where the provider's metadata is; it is read at each sign-in, so keys may be rolled over
    #[arg(
        long,
        value_name = "URL",
        required_unless_present = "metadata_file",
        conflicts_with = "metadata_file"
    )]
    metadata_url: Option<String>,
    /// File with the provider's metadata
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Which provider, where the metadata tells of several
    #[arg(long, value_name = "ID")]
    entity_id: Option<String>,
    /// Attribute that names people for ever; without it the NameID
    #[arg(long, value_name = "NAME")]
    subject_attribute: Option<String>,
    /// Attribute with the mail address; without it mail and its like
    #[arg(long, value_name = "NAME")]
    email_attribute: Option<String>,
    /// Attribute with the name; without it displayName and its like
    #[arg(long, value_name = "NAME")]
    name_attribute: Option<String>,
    /// Attribute with the groups; without it groups and its like
    #[arg(long, value_name = "NAME")]
    groups_attribute: Option<String>,
}

/// What is the same for all kinds, and the rest.
pub fn input(args: AddSaml) -> Result<(Common, SamlInput)> {
    let saml = SamlInput {
        metadata_url: args.metadata_url,
        metadata: text(args.metadata_file.as_ref())?,
        entity_id: args.entity_id,
        subject_attribute: args.subject_attribute,
        email_attribute: args.email_attribute,
        name_attribute: args.name_attribute,
        groups_attribute: args.groups_attribute,
        authority: text(args.common.authority_file.as_ref())?,
    };
    Ok((args.common, saml))
}

/// The same once more.
pub fn again(now: SamlProvider) -> SamlInput {
    SamlInput {
        metadata_url: now.metadata_url,
        metadata: now.metadata,
        entity_id: now.entity_id,
        subject_attribute: now.subject_attribute,
        email_attribute: now.email_attribute,
        name_attribute: now.name_attribute,
        groups_attribute: now.groups_attribute,
        authority: now.authority,
    }
}

/// Where its metadata comes from.
pub fn at(now: &SamlProvider) -> String {
    let given = now.metadata_url.clone().or_else(|| now.entity_id.clone());
    given.unwrap_or_else(|| "metadata that was pasted".to_owned())
}

/// What the provider must be told.
pub fn register(now: &SamlProvider) -> String {
    format!(
        "register the panel there: its metadata and entity ID are https://YOUR-PANEL{}, its assertion consumer is https://YOUR-PANEL{}",
        now.own_metadata, now.consumer
    )
}

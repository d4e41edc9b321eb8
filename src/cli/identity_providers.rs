//! `serverkit identity-provider …`: single sign-on by OpenID Connect, SAML and LDAP.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::Table,
    saml::{self, AddSaml},
};
use clap::{Args, Subcommand};
use client::{
    Client,
    types::{
        GroupRole, IdentityProvider, IdentityProviderInput, LdapInput, LdapProvider, OidcInput, OidcSettings, ProviderTest,
        ProvisioningRenew, Role, SamlInput,
    },
};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List identity providers
    #[command(visible_alias = "ls")]
    List,
    /// Sign people in by OpenID Connect; register https://YOUR-PANEL/sso there as the address to come back to
    AddOidc(AddOidc),
    /// Sign people in by LDAP or Active Directory
    AddLdap(Box<AddLdap>),
    /// Sign people in by SAML 2.0; register https://YOUR-PANEL/saml/ID/metadata there, as it says afterwards
    AddSaml(Box<AddSaml>),
    /// Try a provider, and say what is wrong
    Test(Test),
    /// Let people sign in by it again
    Enable(Named),
    /// Let nobody sign in by it, and end its sessions
    Disable(Named),
    /// Let a provider put people and groups in itself (SCIM 2.0), or give it another token, which is shown once
    Provision(Provision),
    /// Let a provider put nobody in any more; whom it put in stays as they are
    Unprovision(Named),
    /// Remove a provider: its sessions end, the accounts that it made stay
    #[command(visible_alias = "rm")]
    Remove(Named),
}

/// What is the same for all kinds.
#[derive(Debug, Args)]
pub struct Common {
    /// What its button says
    pub name: String,
    /// Put it in the place of the one with this name; secrets that are not given stay
    #[arg(long)]
    pub replace: bool,
    /// Who is in the group has the role, also one that people made, or in one place: ops=admin, web=builders@project:shop; the highest
    /// counts; as often as needed
    #[arg(long = "group", value_name = "GROUP=ROLE[@PLACE]", value_parser = rule)]
    groups: Vec<GroupRole>,
    /// Role of those whom no group gives one; without it they are refused
    #[arg(long, value_name = "ROLE", value_parser = role)]
    default_role: Option<Role>,
    /// Only mail addresses of this domain; as often as needed
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Make no accounts: only those who have one may sign in
    #[arg(long)]
    no_accounts: bool,
    /// File with more authorities to believe, in PEM
    #[arg(long, value_name = "FILE")]
    pub authority_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct AddOidc {
    #[command(flatten)]
    common: Common,
    /// The provider's address, exactly as it calls itself
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// What the panel is called there
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// File with the client's secret; - for standard input; without it, a public client
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// What to ask for beside openid; without it profile, email, groups, offline_access
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The claim with the groups; dots go into objects; without it groups
    #[arg(long, value_name = "CLAIM")]
    groups_claim: Option<String>,
    /// The provider checks mail addresses itself and says nothing of it
    #[arg(long)]
    trust_emails: bool,
}

#[derive(Debug, Args)]
pub struct AddLdap {
    #[command(flatten)]
    common: Common,
    /// ldaps://HOST, or ldap://HOST with --start-tls
    #[arg(long)]
    url: String,
    /// Begin TLS on an ldap:// connection
    #[arg(long)]
    start_tls: bool,
    /// Who searches; without it, anybody may
    #[arg(long, value_name = "DN", requires = "bind_password_file")]
    bind_dn: Option<String>,
    /// File with the password of who searches; - for standard input
    #[arg(long, value_name = "FILE")]
    bind_password_file: Option<PathBuf>,
    /// Below which people are
    #[arg(long, value_name = "DN")]
    base: String,
    /// Finds the one entry of a person by what was typed, {user}
    #[arg(long)]
    filter: Option<String>,
    /// Attribute with the mail address; without it mail
    #[arg(long, value_name = "NAME")]
    email_attribute: Option<String>,
    /// Attribute with the name; without it cn
    #[arg(long, value_name = "NAME")]
    name_attribute: Option<String>,
    /// Attribute of a person with their groups, such as memberOf
    #[arg(long, value_name = "NAME")]
    groups_attribute: Option<String>,
    /// Below which groups are
    #[arg(long, value_name = "DN", requires = "group_filter")]
    group_base: Option<String>,
    /// Finds the groups of a person by the name of their entry, {dn}
    #[arg(long, value_name = "FILTER", requires = "group_base")]
    group_filter: Option<String>,
}

#[derive(Debug, Args)]
pub struct Test {
    /// Name or id of the provider
    provider: String,
    /// Somebody to look for in a directory
    #[arg(long)]
    user: Option<String>,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Name or id of the provider
    provider: String,
}

#[derive(Debug, Args)]
pub struct Provision {
    /// Name or id of the provider
    provider: String,
    /// How long the token is good, 1 to 1095
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    days: u32,
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|_| "use viewer, developer or admin".to_owned())
}

fn rule(text: &str) -> Result<GroupRole, String> {
    // A directory's names have = in them: the last one stands before the role.
    let (group, given) = text.rsplit_once('=').ok_or("use GROUP=ROLE or GROUP=ROLE@PLACE")?;
    let (role, place) = match given.rsplit_once('@') {
        Some((role, place)) => (role, Some(place.to_owned())),
        None => (given, None),
    };
    Ok(GroupRole {
        group: group.to_owned(),
        role: role.to_owned(),
        place,
    })
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    match command {
        Command::List => list(context, &client).await,
        Command::AddOidc(args) => {
            let oidc = OidcInput {
                issuer: args.issuer,
                client_id: args.client_id,
                client_secret: secret(args.client_secret_file.as_ref())?,
                scopes: Some(args.scopes).filter(|scopes| !scopes.is_empty()),
                groups_claim: args.groups_claim,
                trusts_emails: Some(args.trust_emails),
                authority: text(args.common.authority_file.as_ref())?,
            };
            let replace = args.common.replace;
            keep(context, &client, replace, input(args.common, Some(oidc), None, None)).await
        }
        Command::AddLdap(args) => {
            let ldap = LdapInput {
                url: args.url,
                start_tls: Some(args.start_tls),
                authority: text(args.common.authority_file.as_ref())?,
                bind_dn: args.bind_dn,
                bind_password: secret(args.bind_password_file.as_ref())?,
                base: args.base,
                filter: args.filter,
                email_attribute: args.email_attribute,
                name_attribute: args.name_attribute,
                groups_attribute: args.groups_attribute,
                group_base: args.group_base,
                group_filter: args.group_filter,
            };
            let replace = args.common.replace;
            keep(context, &client, replace, input(args.common, None, Some(ldap), None)).await
        }
        Command::AddSaml(args) => {
            let (common, saml) = saml::input(*args)?;
            let replace = common.replace;
            keep(context, &client, replace, input(common, None, None, Some(saml))).await
        }
        Command::Test(args) => test(context, &client, args).await,
        Command::Enable(args) => turn(context, &client, &args.provider, true).await,
        Command::Disable(args) => turn(context, &client, &args.provider, false).await,
        Command::Provision(args) => provision(context, &client, args).await,
        Command::Unprovision(args) => {
            let one = find(&client, &args.provider).await?;
            let question = format!("{} can put nobody in any more, and take nobody away", one.name);
            ask::confirm(&question, context.globals.yes)?;
            let done = client.ask(client.provisioning_delete(&one.id)).await?;
            context.out.answer(&done.json, || format!("{} puts nobody in any more", one.name))
        }
        Command::Remove(args) => {
            let one = find(&client, &args.provider).await?;
            let question = format!("This removes {} and ends the sessions that began by it", one.name);
            ask::confirm(&question, context.globals.yes)?;
            let done = client.ask(client.identity_provider_delete(&one.id)).await?;
            context.out.answer(&done.json, || format!("{} is removed", one.name))
        }
    }
}

async fn provision(context: &Context, client: &Client, args: Provision) -> Result {
    let one = find(client, &args.provider).await?;
    let body = ProvisioningRenew {
        expires_in_days: Some(args.days),
    };
    let made = client.ask(client.provisioning_renew(&one.id, &body)).await?;
    context.out.answer(&made.json, || {
        format!(
            "tell {} the address https://YOUR-PANEL{} and this token, which is good for {} days and not shown again:\n{}",
            one.name, made.value.provisioning.path, args.days, made.value.token
        )
    })
}

fn input(common: Common, oidc: Option<OidcInput>, ldap: Option<LdapInput>, saml: Option<SamlInput>) -> IdentityProviderInput {
    IdentityProviderInput {
        name: common.name,
        enabled: Some(true),
        oidc,
        ldap,
        saml,
        domains: Some(common.domains),
        provision: Some(!common.no_accounts),
        default_role: common.default_role,
        groups: Some(common.groups),
    }
}

async fn keep(context: &Context, client: &Client, replace: bool, input: IdentityProviderInput) -> Result {
    let answer = match replace {
        true => {
            let before = find(client, &input.name).await?;
            client.ask(client.identity_provider_replace(&before.id, &input)).await?
        }
        false => client.ask(client.identity_provider_create(&input)).await?,
    };
    context.out.answer(&answer.json, || {
        let name = &answer.value.name;
        let told = format!("people may sign in by {name}; see what it says: serverkit identity-provider test \"{name}\"");
        match (&answer.value.saml, &answer.value.logout) {
            (Some(saml), _) => format!("{told}\n{}", saml::register(saml)),
            (None, Some(logout)) => format!("{told}\nwhere it offers back-channel logout, register: https://YOUR-PANEL{logout}"),
            (None, None) => told,
        }
    })
}

async fn all(client: &Client) -> Result<lists::Listed<IdentityProvider>> {
    lists::all(async |cursor| client.ask(client.identity_provider_list(cursor, lists::LIMIT)).await).await
}

async fn find(client: &Client, called: &str) -> Result<IdentityProvider> {
    let found = all(client).await?.items.into_iter();
    let mut found = found.filter(|one| one.id == called || one.name.eq_ignore_ascii_case(called));
    found
        .next()
        .ok_or_else(|| Failure::not_found(format!("no identity provider named `{called}`")).hint("see: serverkit identity-provider list"))
}

async fn list(context: &Context, client: &Client) -> Result {
    let found = all(client).await?;
    let none = "no identity providers; add one: serverkit identity-provider add-oidc --help";
    context.out.list(&found.json, none, || {
        let mut table = Table::new(["ID", "NAME", "KIND", "AT", "STATE", "ROLES"]);
        for one in &found.items {
            let at = one.oidc.as_ref().map(|oidc| oidc.issuer.clone());
            let at = at.or_else(|| one.ldap.as_ref().map(|ldap| ldap.url.clone()));
            let at = at.or_else(|| one.saml.as_ref().map(saml::at));
            let place = |rule: &GroupRole| rule.place.as_ref().map(|place| format!("@{place}")).unwrap_or_default();
            let rules = one.groups.iter();
            let mut roles: Vec<String> = rules.map(|rule| format!("{}={}{}", rule.group, rule.role, place(rule))).collect();
            roles.extend(one.default_role.map(|role| format!("others {role}")));
            table.row([
                one.id.clone().into(),
                one.name.clone().into(),
                one.kind.to_string().into(),
                at.unwrap_or_default().into(),
                if one.enabled { "on" } else { "off" }.into(),
                roles.join(", ").into(),
            ]);
        }
        table
    })
}

async fn test(context: &Context, client: &Client, args: Test) -> Result {
    let one = find(client, &args.provider).await?;
    let body = ProviderTest { user: args.user };
    let answer = client.ask(client.identity_provider_test(&one.id, &body)).await?;
    context.out.answer(&answer.json, || {
        let lines = answer.value.findings.iter().map(|finding| {
            let mark = if finding.ok { "ok   " } else { "WRONG" };
            format!("{mark} {}: {}", finding.what, finding.detail)
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    match answer.value.ok {
        true => Ok(()),
        false => Err(Failure::failed(format!("something is wrong with {}", one.name))),
    }
}

/// Turns it on or off, as it is otherwise.
async fn turn(context: &Context, client: &Client, called: &str, enabled: bool) -> Result {
    let one = find(client, called).await?;
    let input = IdentityProviderInput {
        name: one.name,
        enabled: Some(enabled),
        oidc: one.oidc.map(oidc),
        ldap: one.ldap.map(ldap),
        saml: one.saml.map(saml::again),
        domains: Some(one.domains),
        provision: Some(one.provision),
        default_role: one.default_role,
        groups: Some(one.groups),
    };
    let answer = client.ask(client.identity_provider_replace(&one.id, &input)).await?;
    context.out.answer(&answer.json, || match enabled {
        true => format!("people may sign in by {}", answer.value.name),
        false => format!("nobody may sign in by {}, and its sessions have ended", answer.value.name),
    })
}

fn oidc(now: OidcSettings) -> OidcInput {
    OidcInput {
        issuer: now.issuer,
        client_id: now.client_id,
        client_secret: None,
        scopes: Some(now.scopes),
        groups_claim: Some(now.groups_claim),
        trusts_emails: Some(now.trusts_emails),
        authority: now.authority,
    }
}

fn ldap(now: LdapProvider) -> LdapInput {
    LdapInput {
        url: now.url,
        start_tls: Some(now.start_tls),
        authority: now.authority,
        bind_dn: now.bind_dn,
        bind_password: None,
        base: now.base,
        filter: Some(now.filter),
        email_attribute: Some(now.email_attribute),
        name_attribute: Some(now.name_attribute),
        groups_attribute: now.groups_attribute,
        group_base: now.group_base,
        group_filter: now.group_filter,
    }
}

fn secret(file: Option<&PathBuf>) -> Result<Option<String>> {
    let Some(path) = file else { return Ok(None) };
    let secret = ask::secret_file(path)?;
    let text = secret.expose_str().map(str::to_owned);
    text.map(Some).ok_or_else(|| Failure::usage("the secret is not text in UTF-8"))
}

pub fn text(file: Option<&PathBuf>) -> Result<Option<String>> {
    let Some(path) = file else { return Ok(None) };
    let read = std::fs::read_to_string(path);
    read.map(Some)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
}

//! What is to show in no log. Whoever takes a secret in tells the redactor at once; here it is told all of them again, when the
//! panel starts.
//!
//! Nothing is unlearnt while it runs: what was changed or removed is in containers of kept releases still, and in what those print.

use crate::{dns, forges, ground::Ground, organizations, previews, stacks};
use std::collections::HashSet;
use store::MAIL_KEY;
use types::{CatalogPlace, ConfigFile, OrganizationId, Protocol, Release, Result, Sealed, Secret, Source, Stack, report};

/// Tells the redactor every secret there is, and whose it is.
pub(crate) fn teach_redactor(ground: &Ground) -> Result<()> {
    teach_variables(ground)?;
    teach_apps(ground)?;
    teach_releases(ground)?;
    forges::teach_redactor(ground)?;
    previews::teach_redactor(ground)?;
    for webhook in ground.store.webhooks.list()? {
        learn(ground, &webhook.organization, &webhook.secret)?;
    }
    for registry in ground.store.registries.list()? {
        learn(ground, &registry.organization, &registry.password)?;
    }
    for provider in ground.store.dns_providers.list()? {
        for value in dns::unsealed(ground, &provider)?.values() {
            ground.redactor.learn(&provider.organization, value);
        }
    }
    for catalog in ground.store.catalogs.list()? {
        if let CatalogPlace::Git {
            password: Some(password), ..
        } = &catalog.place
        {
            learn(ground, &catalog.organization, password)?;
        }
    }
    teach_own(ground)
}

/// Of a stack, as it was read: the contents of its secrets.
pub(crate) fn learn_stack(ground: &Ground, whose: &OrganizationId, stack: &Stack) {
    let files = stack.services.iter().flat_map(|service| &service.files);
    for file in files.filter(|file| file.secret) {
        ground.redactor.learn(whose, &Secret::from(file.content.clone()));
    }
}

fn learn(ground: &Ground, whose: &OrganizationId, sealed: &Sealed) -> Result<()> {
    ground.redactor.learn(whose, &ground.store.unseal(sealed)?);
    Ok(())
}

fn teach_variables(ground: &Ground) -> Result<()> {
    for variable in ground.store.variables.list()?.iter().filter(|variable| variable.secret) {
        learn(ground, &variable.organization, &variable.value.value)?;
    }
    for version in ground.store.variable_versions.list()?.iter().filter(|version| version.secret) {
        if let Some(sealed) = &version.value.value {
            learn(ground, &version.organization, sealed)?;
        }
    }
    Ok(())
}

fn teach_apps(ground: &Ground) -> Result<()> {
    for app in ground.store.apps.list()? {
        teach_files(ground, &app.organization, &app.files)?;
        if let Source::Git(git) = &app.source {
            for sealed in git.password.iter().chain(&git.deploy_key) {
                learn(ground, &app.organization, sealed)?;
            }
        }
    }
    Ok(())
}

fn teach_files(ground: &Ground, whose: &OrganizationId, files: &[ConfigFile]) -> Result<()> {
    files
        .iter()
        .filter(|file| file.secret)
        .try_for_each(|file| learn(ground, whose, &file.content))
}

/// What runs is made of a release, and has what was secret when that was made.
fn teach_releases(ground: &Ground) -> Result<()> {
    // Releases have most of it from the one before, sealed as it was there.
    let mut seen = HashSet::new();
    for release in ground.store.releases.list()? {
        let Release {
            id,
            organization,
            variables,
            files,
            stack,
            ..
        } = release.value;
        let variables = variables.into_iter().filter(|one| one.secret).map(|one| one.value);
        let files = files.into_iter().filter(|one| one.secret).map(|one| one.content);
        for sealed in variables.chain(files) {
            if seen.insert(sealed.0.clone()) {
                learn(ground, &organization, &sealed)?;
            }
        }
        match stack.map(|live| stacks::open(ground, &live)).transpose() {
            Ok(stack) => stack.iter().for_each(|stack| learn_stack(ground, &organization, stack)),
            // The panel starts without; what is wrong with the release is said where it is used.
            Err(error) => tracing::warn!("what is secret in the release {id} is unknown: {}", report(&error)),
        }
    }
    Ok(())
}

/// What identity providers know the panel by.
fn teach_providers(ground: &Ground) -> Result<()> {
    for provider in ground.store.identity_providers.list()? {
        let secret = match &provider.protocol {
            Protocol::Oidc(settings) => settings.client_secret.as_ref(),
            Protocol::Ldap(settings) => settings.bind_password.as_ref(),
            Protocol::Saml(settings) => {
                ground.redactor.learn_own(&ground.store.unseal(&settings.key)?);
                None
            }
        };
        if let Some(secret) = secret {
            learn(ground, &provider.organization, secret)?;
        }
    }
    Ok(())
}

/// Of the panel. The password of its mail server is somebody's choice, so it may be a word that others write or guess: only those who
/// run the panel are spared it.
fn teach_own(ground: &Ground) -> Result<()> {
    teach_providers(ground)?;
    for server in ground.store.build_servers.list()? {
        ground.redactor.learn_own(&ground.store.unseal(&server.private_key)?);
    }
    let settings = ground.settings()?;
    if let Some(account) = &settings.certificates.external_account {
        ground.redactor.learn_own(&ground.store.unseal(&account.hmac_key)?);
    }
    let mail = ground.store.mail.find(MAIL_KEY)?;
    if let (Some(host), Some(password)) = (
        organizations::host(&ground.store)?,
        mail.as_ref().and_then(|mail| mail.password.as_ref()),
    ) {
        learn(ground, &host.id, password)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Apps, Deployments, FileWish, Files, IdentityProviders, MailService, MailWish, NewApp, NewSource, ProtocolWish, ProviderWish,
        Wanted,
        access::identity_parts,
        testing::Bench,
        tests::{settle, wish},
    };
    use types::{Catalog, DnsProvider, DnsProviderKind, LdapSettings, MailSecurity};

    const MAIL: &str = "mail-canary-heron";
    const DNS: &str = "dns-canary-otter";
    const CATALOG: &str = "catalog-canary-ibis";
    const CLIENT: &str = "client-canary-crane";
    const BIND: &str = "bind-canary-egret";
    const OLD_FILE: &str = "file-canary-before";
    const NEW_FILE: &str = "file-canary-after";

    fn sealed(bench: &Bench, text: &str) -> Sealed {
        bench.ground.store.seal(&Secret::from(text)).expect("sealed")
    }

    async fn mail(bench: &Bench) {
        let wish = MailWish {
            host: "127.0.0.1".into(),
            port: 25,
            security: MailSecurity::Plain,
            user: Some("panel".into()),
            password: Some(MAIL.into()),
            from: "panel@example.com".into(),
            ca_pem: None,
            notices: false,
        };
        MailService::new(bench.ground.clone()).set(&bench.owner, wish).await.expect("set");
    }

    /// A provider and a catalog, without asking anybody whether their credentials are good.
    async fn places(bench: &Bench) {
        let (ground, now) = (&bench.ground, bench.ground.world.now());
        let provider = DnsProvider {
            id: ground.world.id(),
            organization: bench.owner.organization.clone(),
            name: "dns".into(),
            kind: DnsProviderKind::Cloudflare,
            options: Default::default(),
            credentials: sealed(bench, &format!(r#"{{"token":"{DNS}"}}"#)),
            tested: None,
            created_at: now,
            updated_at: now,
        };
        ground.store.dns_providers.insert(provider).await.expect("kept");
        let catalog = Catalog {
            id: ground.world.id(),
            organization: bench.owner.organization.clone(),
            name: "ours".parse().expect("a name"),
            place: CatalogPlace::Git {
                url: "https://git.example.com/templates.git".parse().expect("an address"),
                branch: None,
                folder: ".".parse().expect("a path"),
                user: Some("ada".into()),
                password: Some(sealed(bench, CATALOG)),
            },
            key: None,
            read: None,
            problem: None,
            looked_at: None,
            created_at: now,
        };
        ground.store.catalogs.insert(catalog).await.expect("kept");
    }

    /// Where people sign in elsewhere, by OpenID Connect and by LDAP.
    async fn providers(bench: &Bench) {
        let all = IdentityProviders::new(identity_parts(&bench.ground).expect("opens"));
        let oidc = ProtocolWish::Oidc {
            issuer: "https://id.example.com".into(),
            client_id: "panel".into(),
            client_secret: Some(CLIENT.into()),
            scopes: vec!["email".into()],
            groups_claim: "groups".into(),
            trusts_emails: false,
            authority: None,
        };
        let settings = LdapSettings {
            url: "ldaps://ldap.example.com".into(),
            start_tls: false,
            authority: None,
            bind_dn: Some("cn=panel,dc=example,dc=com".into()),
            bind_password: None,
            base: "dc=example,dc=com".into(),
            filter: "(uid={user})".into(),
            email_attribute: "mail".into(),
            name_attribute: "cn".into(),
            groups_attribute: None,
            group_base: None,
            group_filter: None,
        };
        let ldap = ProtocolWish::Ldap {
            settings: Box::new(settings),
            bind_password: Some(BIND.into()),
        };
        for (name, protocol) in [("Directory", ldap), ("Elsewhere", oidc)] {
            let wish = ProviderWish {
                name: name.into(),
                enabled: true,
                protocol,
                domains: Vec::new(),
                provision: false,
                default_role: None,
                groups: Vec::new(),
            };
            all.create(&bench.owner, wish).await.expect("made");
        }
    }

    /// Its container has the file as it was before.
    async fn changed_since_the_deployment(bench: &Bench) {
        let apps = Apps::new(bench.ground.clone());
        apps.create(
            &bench.owner,
            NewApp {
                deploy: false,
                ..wish("blog")
            },
        )
        .await
        .expect("made");
        let file = |content: &str| FileWish {
            path: "/etc/word".parse().expect("a path"),
            content: Some(content.into()),
            mode: None,
            secret: Some(true),
        };
        let files = Files::new(bench.ground.clone());
        files.put(&bench.owner, "blog", file(OLD_FILE)).await.expect("put");
        let deployments = Deployments::new(bench.ground.clone());
        deployments.create(&bench.owner, "blog", Wanted::Usual).await.expect("queued");
        let done = settle(bench, "blog").await;
        assert!(done.1.is_none(), "{done:?}");
        files.put(&bench.owner, "blog", file(NEW_FILE)).await.expect("put");
    }

    /// An app that comes by ssh; a line of the key that the panel made for it.
    async fn deploy_key(bench: &Bench) -> String {
        let source = NewSource::Git {
            url: Some("git@git.example.com:ada/site.git".parse().expect("an address")),
            forge: None,
            branch: None,
            folder: ".".parse().expect("a path"),
            dockerfile: "Dockerfile".parse().expect("a path"),
            target: None,
            submodules: false,
            build: None,
            compose: None,
            user: None,
            password: None,
            deploy_key: true,
        };
        let new = NewApp {
            source,
            deploy: false,
            ..wish("site")
        };
        Apps::new(bench.ground.clone()).create(&bench.owner, new).await.expect("made");
        let apps = bench.ground.store.apps.list().expect("lists");
        let git = apps.iter().find_map(|app| match &app.source {
            Source::Git(git) => git.deploy_key.clone(),
            _ => None,
        });
        let key = bench.ground.store.unseal(&git.expect("it has a key")).expect("opens");
        // The first lines are the same in every key.
        let text = key.expose_str().expect("text");
        text.lines().nth(3).expect("a line of the key itself").to_owned()
    }

    #[tokio::test]
    async fn what_is_secret_is_known_again_after_a_start() {
        let bench = Bench::new().await;
        mail(&bench).await;
        places(&bench).await;
        providers(&bench).await;
        changed_since_the_deployment(&bench).await;
        let key = deploy_key(&bench).await;
        let whose = bench.owner.organization.clone();
        for made in [key.as_str(), CLIENT, BIND] {
            assert_eq!(bench.ground.redactor.redact_for(&whose, made), "••••", "taught when it was made");
        }
        let bench = bench.again().await;
        let redactor = &bench.ground.redactor;
        let all = [MAIL, DNS, CATALOG, CLIENT, BIND, OLD_FILE, NEW_FILE, key.as_str()];
        for secret in all {
            assert_eq!(redactor.redact(secret), secret, "nothing is known yet");
        }
        teach_redactor(&bench.ground).expect("taught");
        let other: OrganizationId = bench.ground.world.id();
        for secret in all {
            assert_eq!(redactor.redact_for(&whose, secret), "••••", "{secret}");
            assert_eq!(redactor.redact(secret), "••••", "{secret}");
            assert_eq!(
                redactor.redact_for(&other, secret),
                secret,
                "another organization is told nothing of it"
            );
        }
    }
}

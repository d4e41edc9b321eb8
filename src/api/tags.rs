//! The chapters of the documentation.

use poem_openapi::Tags;

#[derive(Tags)]
pub enum Tag {
    /// The first administrator of a fresh panel.
    Setup,
    /// Signing in and out, sessions, the own account.
    Sessions,
    /// People and their roles.
    Users,
    /// API tokens for scripts.
    Tokens,
    /// Projects and their environments.
    Projects,
    /// Apps: where they come from, how they run, the trash.
    Apps,
    /// Compose files, the services they make, and the catalog of apps.
    Catalog,
    /// Environment variables of apps, and of what they are in.
    Variables,
    /// Hosts that lead to apps.
    Domains,
    /// What stands before the apps as a whole: its work, its options, ports without HTTP.
    Edge,
    /// TLS certificates.
    Certificates,
    /// DNS providers and the records in their zones.
    Dns,
    /// Deployments, their logs, releases and rollback.
    Deployments,
    /// Volumes: data that outlives containers.
    Volumes,
    /// Pushes that deploy: webhooks, their rules, and the inbox of what came.
    Webhooks,
    /// Pull requests that run: each in an environment of its own while it is open.
    Previews,
    /// Connections to GitHub, GitLab, Bitbucket, Gitea and Forgejo: repositories, and what is shown beside commits.
    Forges,
    /// Logins at registries of private images.
    Registries,
    /// Commands that run in apps, at times or once.
    Jobs,
    /// What apps print, and terminals into them.
    Logs,
    /// Servers, their measurements and their health.
    Servers,
    /// What happened and what is happening.
    Events,
    /// Who changed what: an entry for each change, chained so that none can be altered unseen.
    Audit,
    /// What an administrator may change while the panel runs.
    Settings,
    /// The version that runs, and the change to another one.
    Upgrades,
}

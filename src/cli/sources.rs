//! `serverkit app inspect`, and how a repository is to be built.

use crate::{
    apps,
    commands::Context,
    failure::{Failure, Result},
    output::Facts,
    uploads,
};
use clap::Args;
use client::{
    Client,
    types::{BuildInput, ComposeNotice, Inspection, Preset, SourceInput, SourceInspect, SourceKind},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// How to build what has no Dockerfile. What is left out is found out from the repository.
#[derive(Debug, Args)]
#[group(skip)]
pub struct BuildArgs {
    /// What builds it: dockerfile, static, node, python, php, ruby, go, rust, java, dotnet, nixpacks or buildpacks; '' to find out
    #[arg(long, value_name = "PRESET", conflicts_with = "image")]
    preset: Option<String>,
    /// The version of the language, such as 3.11
    #[arg(long, value_name = "VERSION", conflicts_with = "image")]
    language_version: Option<String>,
    /// A Debian package to have, or with PHP an extension; may be given several times
    #[arg(long = "package", value_name = "NAME", conflicts_with = "image")]
    packages: Vec<String>,
    /// The command that installs what it needs; '' for none
    #[arg(long, value_name = "COMMAND", conflicts_with = "image")]
    install_command: Option<String>,
    /// The command that builds it; '' for none
    #[arg(long, value_name = "COMMAND", conflicts_with = "image")]
    build_command: Option<String>,
    /// The command that starts it
    #[arg(long, value_name = "COMMAND", conflicts_with = "image")]
    start_command: Option<String>,
    /// The folder that a static site or PHP serves
    #[arg(long, value_name = "PATH", conflicts_with = "image")]
    output: Option<String>,
    /// A file with a Dockerfile of your own, in place of what the repository has; '' to do without
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    own_dockerfile: Option<PathBuf>,
    /// The image whose buildpacks build it; '' for the usual one
    #[arg(long, value_name = "IMAGE", conflicts_with = "image")]
    builder: Option<String>,
}

impl BuildArgs {
    pub fn is_empty(&self) -> bool {
        let texts = [
            &self.preset,
            &self.language_version,
            &self.install_command,
            &self.build_command,
            &self.start_command,
            &self.output,
            &self.builder,
        ];
        texts.iter().all(|text| text.is_none()) && self.packages.is_empty() && self.own_dockerfile.is_none()
    }

    /// What was given, and the rest from `old` (the API's `Build`).
    pub fn input(&self, old: Option<&Value>) -> Result<Option<BuildInput>> {
        if self.is_empty() && old.is_none() {
            return Ok(None);
        }
        let before = |key: &str| old.and_then(|old| old[key].as_str()).map(str::to_owned);
        let preset = match &self.preset {
            Some(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            None => before("preset"),
        };
        let preset = preset.map(|text| text.parse::<Preset>()).transpose();
        let dockerfile_text = match &self.own_dockerfile {
            Some(path) if path.as_os_str().is_empty() => None,
            Some(path) => {
                Some(fs::read_to_string(path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?)
            }
            None => before("dockerfile_text"),
        };
        let packages = old.and_then(|old| serde_json::from_value(old["packages"].clone()).ok()).flatten();
        Ok(Some(BuildInput {
            preset: preset.map_err(|_| Failure::usage("no such preset").hint("see: serverkit app create --help"))?,
            version: self.language_version.clone().or_else(|| before("version")),
            packages: if self.packages.is_empty() {
                packages
            } else {
                Some(self.packages.clone())
            },
            install: self.install_command.clone().or_else(|| before("install")),
            build: self.build_command.clone().or_else(|| before("build")),
            start: self.start_command.clone().or_else(|| before("start")),
            output: self.output.clone().or_else(|| before("output")),
            dockerfile_text,
            builder: self.builder.clone().or_else(|| before("builder")),
        }))
    }
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// Name or id of an app, or the address of a repository
    #[arg(required_unless_present = "from")]
    what: Option<String>,
    /// Look into a folder or an archive of this machine, which is uploaded for that; with an app as that would build it
    #[arg(long, value_name = "PATH", conflicts_with = "branch")]
    from: Option<PathBuf>,
    /// The branch to look at; without it the app's, or the default one
    #[arg(long, short = 'b')]
    branch: Option<String>,
    /// The folder to look at
    #[arg(long, value_name = "PATH")]
    folder: Option<String>,
    /// Look at the services of its Compose file, seen from the folder; without PATH of compose.yaml or what else is usual
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "")]
    compose_file: Option<String>,
    /// Print the Dockerfile alone
    #[arg(long)]
    dockerfile: bool,
}

pub async fn inspect(context: &Context, args: Inspect) -> Result {
    let client = context.panel()?;
    let body = match &args.from {
        Some(from) => in_upload(context, &client, &args, from).await?,
        None => in_repository(&client, &args).await?,
    };
    let answer = client.ask(client.source_inspect(&body)).await?;
    let seen = &answer.value;
    if let (true, Some(plan), false) = (args.dockerfile, &seen.plan, context.out.json) {
        return context.out.line(plan.dockerfile.trim_end());
    }
    context.out.answer(&answer.json, || words(context, seen))
}

async fn in_repository(client: &Client, args: &Inspect) -> Result<SourceInspect> {
    let what = args.what.clone().unwrap_or_default();
    let is_address = what.contains([':', '/']);
    let is_own = args.branch.is_none() && args.folder.is_none() && args.compose_file.is_none();
    let source = (is_address || !is_own).then(|| SourceInput {
        url: Some(what.clone()),
        branch: args.branch.clone(),
        folder: args.folder.clone(),
        compose_file: args.compose_file.clone(),
        ..apps::nothing(SourceKind::Git)
    });
    let mut body = SourceInspect {
        app: None,
        source,
        upload: None,
    };
    if !is_address {
        if let Some(source) = &mut body.source {
            let app = client.ask(client.app_show(&what)).await?;
            let own = &app.json["source"];
            let text = |key: &str| own[key].as_str().map(str::to_owned);
            source.forge = text("forge");
            source.repository = text("repository");
            source.url = text("url").filter(|_| source.forge.is_none());
            if source.compose_file.is_none() && !own["services"].is_null() {
                source.compose_file = Some(own["services"]["compose_file"].as_str().unwrap_or_default().to_owned());
            }
        }
        body.app = Some(what);
    }
    Ok(body)
}

/// Uploads it to be looked at. An app's own settings hold where no flag says otherwise.
async fn in_upload(context: &Context, client: &Client, args: &Inspect, from: &Path) -> Result<SourceInspect> {
    let draft = uploads::send_draft(context, client, from).await?;
    let is_own = args.what.is_some() && args.folder.is_none() && args.compose_file.is_none();
    let source = (!is_own).then(|| SourceInput {
        folder: args.folder.clone(),
        compose_file: args.compose_file.clone(),
        ..apps::nothing(SourceKind::Upload)
    });
    Ok(SourceInspect {
        app: args.what.clone(),
        source,
        upload: Some(draft.value.id),
    })
}

/// Tells on the way how what was uploaded would be built. Fails when it could not be.
pub async fn show_plan(context: &Context, client: &Client, draft: &str, source: &SourceInput) -> Result {
    let body = SourceInspect {
        app: None,
        source: Some(source.clone()),
        upload: Some(draft.to_owned()),
    };
    let answer = client.ask(client.source_inspect(&body)).await?;
    if let Some(problem) = &answer.value.problem {
        return Err(Failure::failed(format!("it could not be built, so nothing is made: {problem}"))
            .hint("look at it with serverkit app inspect --from PATH; --folder, --preset and the other flags of app create say how to build it"));
    }
    context.out.note(words(context, &answer.value));
    Ok(())
}

fn words(context: &Context, seen: &Inspection) -> String {
    let mut facts = Facts::new();
    if let Some(commit) = &seen.commit {
        facts.add("Commit", format!("{} {}", &commit.id[..commit.id.len().min(10)], commit.subject));
        let branches: Vec<&str> = seen.branches.iter().map(|branch| branch.name.as_str()).collect();
        facts.add("Branches", branches.join(", "));
    }
    facts.maybe("Problem", seen.problem.clone());
    if !seen.compose_files.is_empty() {
        facts.add("Compose files", seen.compose_files.join(", "));
    }
    if let Some(services) = &seen.services {
        let place = |notice: &ComposeNotice| match notice.line {
            0 => notice.what.clone(),
            line => format!("line {line}: {}", notice.what),
        };
        facts.add("Services of", services.compose_file.clone());
        for problem in &services.report.problems {
            facts.add("Problem", place(problem));
        }
        for service in &services.report.services {
            let image = if service.image.is_empty() {
                "built from the source"
            } else {
                &service.image
            };
            let main = if service.main { " (main)" } else { "" };
            facts.add("Service", format!("{}{main}: {image}", service.name));
        }
        for hint in &services.report.hints {
            facts.add("Hint", place(hint));
        }
        for right in &services.report.rights {
            facts.add("Reaches the host", format!("{} {}", right.service, right.what));
        }
    }
    if let Some(plan) = &seen.plan {
        facts
            .add(
                "Built as",
                format!(
                    "{}{} ({})",
                    plan.framework,
                    plan.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default(),
                    plan.why
                ),
            )
            .maybe("Builder", plan.builder.clone())
            .maybe("Install", plan.install.clone())
            .maybe("Build", plan.build.clone())
            .maybe("Start", plan.start.clone())
            .maybe("Serves", plan.output.clone())
            .maybe("Port", plan.port.map(|port| port.to_string()));
    }
    facts.print(&context.out)
}

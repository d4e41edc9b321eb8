//! `serverkit catalog update`: an app to the newest version of its template, and back.

use crate::{
    commands::Context,
    deployments,
    failure::{Failure, Result},
    output::{Facts, Output, bytes},
    variables,
};
use clap::Args;
use client::types::{App, TemplateUndo, TemplateUpdate, TemplateUpdatePlan};
use std::{collections::HashMap, fs, io::Read, path::PathBuf};

#[derive(Debug, Args)]
pub struct Update {
    /// The app (name or id)
    app: String,
    /// A value that the new version asks: KEY=VALUE, KEY@FILE, or KEY=- for standard input; may be given several times
    #[arg(long = "set", short = 's', value_name = "KEY=VALUE", value_parser = variables::assignment)]
    set: Vec<variables::Assignment>,
    /// Move to another one of the template's versions that can go on with the data, such as 18; without it the app keeps its own
    #[arg(long, value_name = "NAME")]
    version: Option<String>,
    /// The Compose file to take, with conflicts settled; - for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only say what would change
    #[arg(long, conflicts_with_all = ["wait", "undo"])]
    plan: bool,
    /// With --plan: print the Compose file as it would be, to be edited and given to --file
    #[arg(long, requires = "plan")]
    compose: bool,
    /// Update without a copy of the app's data; else one is made first, for the way back
    #[arg(long, conflicts_with = "undo")]
    no_copy: bool,
    /// Take the last update back; the data stays as it is now
    #[arg(long, conflicts_with_all = ["set", "file", "version"])]
    undo: bool,
    /// With --undo: bring the data from before back too; what was written since stays in volumes of their own
    #[arg(long, requires = "undo")]
    with_data: bool,
    /// Wait until it is live, showing the log
    #[arg(long)]
    wait: bool,
}

pub async fn run(context: &Context, args: Update) -> Result {
    let client = context.panel()?;
    if args.undo {
        let body = TemplateUndo {
            data: args.with_data.then_some(true),
        };
        let app = client.ask(client.app_template_undo(&args.app, &body)).await?;
        return finish(context, &args, &app.value, &app.json).await;
    }
    let mut values = HashMap::new();
    for input in variables::read(args.set.clone(), false, None)? {
        values.insert(input.key, input.value.unwrap_or_default());
    }
    let body = TemplateUpdate {
        values: Some(values),
        version: args.version.clone(),
        compose: args.file.as_ref().map(read).transpose()?,
        without_copy: args.no_copy.then_some(true),
    };
    if args.plan {
        let plan = client.ask(client.app_template_plan(&args.app, &body)).await?;
        return context.out.answer(&plan.json, || match args.compose {
            true => plan.value.compose.clone(),
            false => words(&plan.value, &context.out),
        });
    }
    let app = client.ask(client.app_template_update(&args.app, &body)).await?;
    finish(context, &args, &app.value, &app.json).await
}

fn read(path: &PathBuf) -> Result<String> {
    let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        return Ok(text);
    }
    fs::read_to_string(path).map_err(failed)
}

async fn finish(context: &Context, args: &Update, app: &App, json: &serde_json::Value) -> Result {
    if let (true, Some(deployment)) = (args.wait, &app.deployment) {
        let client = context.panel()?;
        return deployments::follow(context, &client, &deployment.id).await;
    }
    context.out.answer(json, || {
        let name = &app.name;
        let follow = format!("follow it: serverkit logs {name} --build");
        match args.undo {
            // What was taken back is the newest version still, and nothing is left to take back.
            true => format!("{name} goes back\n{follow}\nforward again: serverkit catalog update {name}"),
            false => format!("{name} is being updated\n{follow}\ntake it back: serverkit catalog update {name} --undo"),
        }
    })
}

fn words(plan: &TemplateUpdatePlan, out: &Output) -> String {
    let mut facts = Facts::new();
    facts.add("Template", plan.template.clone());
    let told = |chosen: &Option<String>, version: &str| match chosen {
        Some(chosen) => format!("{chosen} ({version})"),
        None => version.to_owned(),
    };
    facts.add("From", told(&plan.from_chosen, &plan.from));
    facts.add("To", told(&plan.to_chosen, &plan.to));
    let others = plan.choices.iter().filter(|name| Some(*name) != plan.to_chosen.as_ref()).cloned();
    let others: Vec<String> = others.collect();
    facts.maybe("Or", (!others.is_empty()).then(|| format!("--version {}", others.join(", "))));
    for variable in &plan.variables {
        let made = if plan.generated.contains(&variable.name) {
            " (made up)"
        } else {
            ""
        };
        facts.add("Asks", format!("{}: {}{made}", variable.name, variable.title));
    }
    for volume in &plan.data.volumes {
        let size = volume.bytes.map(bytes).unwrap_or_default();
        facts.add("Copied before", format!("{} {size}", volume.name));
    }
    facts.maybe("No room", plan.data.problem.clone());
    for right in &plan.rights {
        facts.add("Right", format!("{} {}", right.service, right.what));
    }
    let mut text = facts.print(out);
    if let Some(notes) = &plan.notes {
        text.push_str(&format!("\n{}\n", notes.trim()));
    }
    for conflict in &plan.conflicts {
        text.push_str(&format!(
            "\nline {}: the app and the template changed the same lines; settle it: --plan --compose, then --file\n",
            conflict.line
        ));
    }
    text.push('\n');
    text.push_str(if plan.diff.is_empty() {
        "the file stays as it is\n"
    } else {
        &plan.diff
    });
    text
}

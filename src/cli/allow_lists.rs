//! `serverkit security allow-list …`: from which addresses the panel and its API are reached.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    output::{Facts, Output, span},
    spans,
};
use clap::{Args, Subcommand};
use client::types::{AllowLists, AllowListsPatch};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show from which addresses the panel and its API are reached
    Show,
    /// Let only some addresses in: to the panel, to the API by token, or both
    ///
    /// Sites of apps, webhooks and challenges of certificate authorities are not touched, and this command on the panel's own
    /// machine always gets in. From elsewhere the change is taken back by itself unless it is confirmed in time.
    Set(Set),
    /// Keep a change that waits to be confirmed; from an address that it lets in
    Confirm,
    /// Take a change back that waits to be confirmed
    Revert,
    /// Let everybody in again
    Clear,
}

#[derive(Debug, Args)]
pub struct Set {
    /// An address or network from which people reach the panel; may be given several times; all of them
    #[arg(long, value_name = "NETWORK")]
    panel: Vec<String>,
    /// An address or network from which programs are taken: requests with an API token, jobs of a CI, an identity provider's server; may be given several times; all of them
    #[arg(long, value_name = "NETWORK")]
    api: Vec<String>,
    /// Also when your own address is not in it
    #[arg(long)]
    force: bool,
    /// When the change is taken back unless it is confirmed, 1m to 60m [default: 5m; on the panel's own machine: never]
    #[arg(long, value_name = "TIME", value_parser = spans::seconds)]
    confirm_within: Option<u32>,
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let out = context.out;
    let answer = match command {
        Command::Show => client.ask(client.allow_lists_show()).await?,
        Command::Set(args) => client.ask(client.allow_lists_update(&wish(args)?)).await?,
        Command::Confirm => client.ask(client.allow_lists_confirm()).await?,
        Command::Revert => client.ask(client.allow_lists_revert()).await?,
        Command::Clear => {
            ask::confirm("every address will reach the panel and its API", context.globals.yes)?;
            let open = AllowListsPatch {
                panel: Some(Vec::new()),
                api: Some(Vec::new()),
                force: None,
                confirm_minutes: None,
            };
            client.ask(client.allow_lists_update(&open)).await?
        }
    };
    out.answer(&answer.json, || shown(&out, &answer.value))
}

fn wish(args: Set) -> Result<AllowListsPatch> {
    if args.panel.is_empty() && args.api.is_empty() {
        return Err(Failure::usage("name the addresses: --panel NETWORK, --api NETWORK")
            .hint("to let everybody in again: serverkit security allow-list clear"));
    }
    if args.confirm_within.is_some_and(|seconds| seconds % 60 != 0) {
        return Err(Failure::usage("--confirm-within counts whole minutes, such as 10m"));
    }
    let named = |list: Vec<String>| (!list.is_empty()).then_some(list);
    Ok(AllowListsPatch {
        panel: named(args.panel),
        api: named(args.api),
        force: Some(args.force),
        confirm_minutes: args.confirm_within.map(|seconds| seconds / 60),
    })
}

fn shown(out: &Output, lists: &AllowLists) -> String {
    let words = |list: &[String]| match list {
        [] => "everybody".to_owned(),
        list => list.join(", "),
    };
    let mut facts = Facts::new();
    facts.add("Panel", words(&lists.panel));
    facts.add("API by token", words(&lists.api));
    facts.maybe("Your address", lists.your_address.clone());
    let mut text = facts.print(out);
    if let Some(trial) = &lists.trial {
        text.push_str(&format!(
            "\nTaken back in {} unless it is confirmed: serverkit security allow-list confirm\nBefore: the panel {}; the API {}\n",
            span(trial.seconds_left),
            words(&trial.panel_before),
            words(&trial.api_before),
        ));
    }
    text
}

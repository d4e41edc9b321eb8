//! `serverkit build-cache …`: what the engine keeps of builds.

use crate::{
    commands::Context,
    failure::Result,
    output::{Facts, bytes},
    spans,
};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// How much there is, and how much there may be
    Show,
    /// Throw away what was not used for the longest time; without a cache the next build of an app begins anew
    Trim {
        /// What may stay, such as 2g; left out: nothing
        #[arg(long, value_name = "SIZE", value_parser = spans::memory)]
        keep: Option<u64>,
    },
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let out = context.out;
    match command {
        Command::Show => {
            let answer = client.ask(client.build_cache_show()).await?;
            let cache = &answer.value;
            out.answer(&answer.json, || {
                let mut facts = Facts::new();
                facts.add("records", cache.records.to_string());
                facts.add("size", bytes(cache.bytes));
                facts.add("at most", bytes(cache.limit_bytes));
                facts.print(&out)
            })
        }
        Command::Trim { keep } => {
            let body = client::types::BuildCacheTrim {
                keep_bytes: keep.unwrap_or(0),
            };
            let answer = client.ask(client.build_cache_trim(&body)).await?;
            let freed = bytes(answer.value.bytes);
            out.answer(&answer.json, || format!("{freed} came free"))
        }
    }
}

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
    Show {
        /// Id or name of an app: what is kept of its builds, as far as it can be told
        app: Option<String>,
    },
    /// Throw away what was not used for the longest time; without a cache the next build of an app begins anew
    Trim {
        /// Id or name of an app, of whose builds it is
        app: Option<String>,
        /// What may stay, such as 2g; left out: nothing
        #[arg(long, value_name = "SIZE", value_parser = spans::memory)]
        keep: Option<u64>,
    },
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let out = context.out;
    match command {
        Command::Show { app: Some(app) } => show_app(context, &app).await,
        Command::Show { app: None } => {
            let answer = client.ask(client.build_cache_show()).await?;
            let cache = &answer.value;
            out.answer(&answer.json, || {
                let mut facts = Facts::new();
                facts.add("records", cache.records.to_string());
                facts.add("size", bytes(cache.bytes));
                facts.add("at most", bytes(cache.limit_bytes));
                for share in &cache.apps {
                    facts.add("of", format!("{}: {}", share.name, bytes(share.bytes)));
                }
                facts.print(&out)
            })
        }
        Command::Trim { app, keep } => {
            let body = client::types::BuildCacheTrim {
                keep_bytes: keep.unwrap_or(0),
            };
            let answer = match &app {
                Some(app) => client.ask(client.app_build_cache_trim(app, &body)).await?,
                None => client.ask(client.build_cache_trim(&body)).await?,
            };
            let freed = bytes(answer.value.bytes);
            out.answer(&answer.json, || format!("{freed} came free"))
        }
    }
}

async fn show_app(context: &Context, app: &str) -> Result {
    let client = context.panel()?;
    let out = context.out;
    let answer = client.ask(client.app_build_cache_show(app)).await?;
    let cache = &answer.value;
    out.answer(&answer.json, || {
        let mut facts = Facts::new();
        facts.add("size", bytes(cache.bytes));
        facts.add("at most", cache.limit_bytes.map_or_else(|| "as all builds".to_owned(), bytes));
        for record in &cache.records {
            facts.add("kept", format!("{}: {}", bytes(record.bytes), record.what));
        }
        facts.print(&out)
    })
}

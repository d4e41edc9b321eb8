//! `serverkit cert …`.

use crate::{
    commands::Context,
    failure::Result,
    lists,
    output::{Cell, Table, when},
};
use clap::{Args, Subcommand};
use client::types::{Certificate, CertificateOrigin};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List certificates
    #[command(visible_alias = "ls")]
    List,
    /// Renew the certificate of a domain now
    Renew(Renew),
    /// Print the panel's own authority (PEM)
    ///
    /// It signs the certificates of names that no public authority knows, such as blog.test. Trust it on a machine,
    /// and such names open there without a warning; or give it to `serverkit login --ca`.
    Authority,
}

#[derive(Debug, Args)]
pub struct Renew {
    /// The domain
    host: String,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::List => list(context).await,
        Command::Renew(args) => {
            let client = context.panel()?;
            let answer = client.ask(client.certificate_renew(&args.host)).await?;
            context.out.answer(&answer.json, || {
                format!("the certificate of {} is being renewed; see: serverkit cert list", args.host)
            })
        }
        Command::Authority => {
            let client = context.panel()?;
            let stream = client.ask(client.certificate_authority()).await?.value;
            let pem = client.read(stream).await?;
            if context.out.json {
                return context.out.value(&serde_json::json!({ "pem": String::from_utf8_lossy(&pem) }));
            }
            context.out.bytes(&pem)
        }
    }
}

async fn list(context: &Context) -> Result {
    let client = context.panel()?;
    let certificates = lists::all::<Certificate, _>(async |cursor| client.ask(client.certificate_list(cursor, lists::LIMIT)).await).await?;
    context
        .out
        .list(&certificates.json, "no certificates yet; they come with the first domain", || {
            let mut table = Table::new(["DOMAIN", "STATE", "UNTIL", "ISSUER", "NEXT TRY", "ERROR"]);
            let now = SystemClock.now();
            for certificate in &certificates.items {
                let issuer = match certificate.origin {
                    CertificateOrigin::Own => format!("{} (own)", certificate.issuer),
                    CertificateOrigin::Acme => certificate.issuer.clone(),
                    CertificateOrigin::Uploaded => format!("{} (uploaded)", certificate.issuer),
                };
                let moment = |at: &Option<String>| at.as_deref().map(|at| when(at, now)).unwrap_or_default();
                table.row([
                    certificate.host.clone().into(),
                    Cell::state(certificate.state.to_string()),
                    moment(&certificate.not_after).into(),
                    issuer.into(),
                    moment(&certificate.next_try_at).into(),
                    certificate.last_error.clone().unwrap_or_default().into(),
                ]);
            }
            table
        })
}

//! `serverkit cert …`.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Cell, Table, Tone, when},
};
use clap::{Args, Subcommand, ValueEnum};
use client::types::{Certificate, CertificateNoteLevel, CertificateOrigin, Challenge};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use types::{Clock, SystemClock};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List certificates
    #[command(visible_alias = "ls")]
    List,
    /// Order a certificate for names of your choice: several in one, or a wildcard
    ///
    /// It serves every host that it covers, and is renewed by itself. A domain of an app needs no order.
    Order(Order),
    /// Say whether an order would work; the exit code is 1 if it would not
    ///
    /// Looks at A, AAAA and CAA records, at the authority's own name servers where they answer. Nothing is ordered.
    Forecast(Forecast),
    /// Renew a certificate now
    Renew(Renew),
    /// Use a certificate of your own: it is checked, and serves every host that it covers
    Upload(Upload),
    /// Remove an ordered or uploaded certificate; what it serves gets others
    #[command(visible_alias = "rm")]
    Remove(Remove),
    /// Print the panel's own authority (PEM)
    ///
    /// It signs the certificates of names that no public authority knows, such as blog.test. Trust it on a machine,
    /// and such names open there without a warning; or give it to `serverkit login --ca`.
    Authority,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum How {
    Http,
    TlsAlpn,
    Dns,
}

impl How {
    fn wire(self) -> Challenge {
        match self {
            How::Http => Challenge::Http,
            How::TlsAlpn => Challenge::TlsAlpn,
            How::Dns => Challenge::Dns,
        }
    }
}

#[derive(Debug, Args)]
pub struct Order {
    /// The names, such as example.com '*.example.com'
    #[arg(required = true)]
    names: Vec<String>,
    /// How to prove them [default: what fits]
    #[arg(long, value_name = "HOW")]
    challenge: Option<How>,
    /// The DNS provider, by name or id [default: whichever has the zone]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
}

#[derive(Debug, Args)]
pub struct Forecast {
    /// The names
    #[arg(required = true)]
    names: Vec<String>,
    /// How to prove them [default: what fits]
    #[arg(long, value_name = "HOW")]
    challenge: Option<How>,
}

#[derive(Debug, Args)]
pub struct Renew {
    /// The domain, or the id of an ordered one
    host: String,
}

#[derive(Debug, Args)]
pub struct Upload {
    /// The certificate and those that issued it, in PEM
    #[arg(long, value_name = "FILE")]
    chain: PathBuf,
    /// Its private key in PEM, without a passphrase
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Put it in the place of this one
    #[arg(long, value_name = "ID")]
    replace: Option<String>,
}

#[derive(Debug, Args)]
pub struct Remove {
    /// Its id; see: serverkit cert list
    id: String,
}

/// A body of a call from JSON. What the API's document does not allow is a fault of this program.
pub(crate) fn body<T: DeserializeOwned>(json: Value) -> Result<T> {
    serde_json::from_value(json).map_err(|error| Failure::failed(format!("the request could not be written: {error}")))
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::List => list(context).await,
        Command::Order(args) => order(context, args).await,
        Command::Forecast(args) => forecast(context, args).await,
        Command::Upload(args) => upload(context, args).await,
        Command::Remove(args) => {
            ask::confirm(
                &format!("This removes the certificate {}; what it serves gets others", args.id),
                context.globals.yes,
            )?;
            let client = context.panel()?;
            let done = client.ask(client.certificate_remove(&args.id)).await?;
            context.out.answer(&done.json, || format!("{} is removed", args.id))
        }
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
                return context.out.value(&json!({ "pem": String::from_utf8_lossy(&pem) }));
            }
            context.out.bytes(&pem)
        }
    }
}

async fn order(context: &Context, args: Order) -> Result {
    let client = context.panel()?;
    let mut json = json!({ "names": args.names });
    if let Some(how) = args.challenge {
        json["challenge"] = how.wire().to_string().into();
    }
    if let Some(provider) = args.provider {
        json["provider"] = provider.into();
    }
    let answer = client.ask(client.certificate_order(&body(json)?)).await?;
    context.out.answer(&answer.json, || {
        format!(
            "{} is ordered for {}; see: serverkit cert list",
            answer.value.id,
            answer.value.names.join(", ")
        )
    })
}

async fn forecast(context: &Context, args: Forecast) -> Result {
    let client = context.panel()?;
    let names = args.names.join(",");
    let answer = client
        .ask(client.certificate_forecast(args.challenge.map(How::wire), Some(&names)))
        .await?;
    let forecast = &answer.value;
    context.out.answer(&answer.json, || {
        let mut lines = Vec::new();
        for note in &forecast.notes {
            let (tone, word) = match note.level {
                CertificateNoteLevel::Ok => (Tone::Good, "ok"),
                CertificateNoteLevel::Unsure => (Tone::Warn, "unsure"),
                CertificateNoteLevel::Problem => (Tone::Bad, "problem"),
            };
            lines.push(format!("{}  {}", context.out.paint(tone, word), note.words));
            if !note.next_step.is_empty() {
                lines.push(format!("    {}", note.next_step));
            }
        }
        lines.push(match forecast.ok {
            true => format!("an order would be proven by {}", forecast.challenge),
            false => "an order would fail, so none would be sent".to_owned(),
        });
        lines.join("\n")
    })?;
    if forecast.ok { Ok(()) } else { Err(Failure::exit(1)) }
}

async fn upload(context: &Context, args: Upload) -> Result {
    let read =
        |path: &PathBuf| fs::read_to_string(path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())));
    let json = json!({ "chain_pem": read(&args.chain)?, "key_pem": read(&args.key)? });
    let client = context.panel()?;
    let answer = match &args.replace {
        Some(id) => client.ask(client.certificate_replace(id, &body(json)?)).await?,
        None => client.ask(client.certificate_upload(&body(json)?)).await?,
    };
    for remark in &answer.value.remarks {
        context.out.note(remark);
    }
    context.out.answer(&answer.json, || {
        let certificate = &answer.value.certificate;
        let serves = match certificate.serves.as_slice() {
            [] => "no domain of an app".to_owned(),
            serves => serves.join(", "),
        };
        format!("{} is for {} and serves {serves}", certificate.id, certificate.names.join(", "))
    })
}

async fn list(context: &Context) -> Result {
    let client = context.panel()?;
    let certificates = lists::all::<Certificate, _>(async |cursor| client.ask(client.certificate_list(cursor, lists::LIMIT)).await).await?;
    context
        .out
        .list(&certificates.json, "no certificates yet; they come with the first domain", || {
            let mut table = Table::new(["ID", "NAMES", "STATE", "UNTIL", "ISSUER", "NEXT TRY", "ERROR"]);
            let now = SystemClock.now();
            for certificate in &certificates.items {
                let issuer = match certificate.origin {
                    CertificateOrigin::Own => format!("{} (own)", certificate.issuer),
                    CertificateOrigin::Acme => certificate.issuer.clone(),
                    CertificateOrigin::Uploaded => format!("{} (uploaded)", certificate.issuer),
                };
                let moment = |at: &Option<String>| at.as_deref().map(|at| when(at, now)).unwrap_or_default();
                let error = match (&certificate.last_error, &certificate.next_step) {
                    (Some(error), Some(step)) => format!("{error}; {step}"),
                    (Some(error), None) => error.clone(),
                    (None, _) => String::new(),
                };
                table.row([
                    certificate.id.clone().into(),
                    certificate.names.join(", ").into(),
                    Cell::state(certificate.state.to_string()),
                    moment(&certificate.not_after).into(),
                    issuer.into(),
                    moment(&certificate.next_try_at).into(),
                    error.into(),
                ]);
            }
            table
        })
}

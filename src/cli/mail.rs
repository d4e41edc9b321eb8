//! `serverkit mail …`: the server through which the panel sends mail.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    output::{Facts, Output},
};
use clap::{Args, Subcommand};
use client::types::{Mail, MailSecurity, MailTest, MailWrite};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the mail server
    Show,
    /// Set the mail server: for forgotten passwords, invitations and notices
    Set(Set),
    /// Send a mail to try the server
    Test(Test),
    /// Send no mail any more
    Remove,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name or address of the server
    host: String,
    /// Whom mails are from, such as panel@example.com
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// The port [default: 587 with start_tls, 465 with tls, 25 with plain]
    #[arg(long)]
    port: Option<u16>,
    /// How the connection is protected: start_tls, tls or plain [default: start_tls]
    #[arg(long, value_name = "HOW", value_parser = security)]
    security: Option<MailSecurity>,
    /// The name to log in with; without it there is no login
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A file with the password; without it the one that is kept, or it is asked for
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// A file with the certificate of the authority that signed the server's, if it is not a public one
    #[arg(long, value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// Whether people and administrators are told of security, quotas, failures and newer images
    #[arg(long, value_name = "BOOL")]
    notices: Option<bool>,
}

#[derive(Debug, Args)]
pub struct Test {
    /// Where to; without it to your own address
    to: Option<String>,
}

fn security(text: &str) -> Result<MailSecurity, String> {
    text.parse().map_err(|_| "use start_tls, tls or plain".to_owned())
}

pub async fn run(context: &Context, command: Command) -> Result {
    let client = context.panel()?;
    let out = context.out;
    match command {
        Command::Show => {
            let answer = client.ask(client.mail_show()).await?;
            out.answer(&answer.json, || shown(&out, &answer.value))
        }
        Command::Set(args) => {
            let now = client.ask(client.mail_show()).await?.value;
            let body = wish(args, &now)?;
            let answer = client.ask(client.mail_replace(&body)).await?;
            out.answer(&answer.json, || shown(&out, &answer.value))
        }
        Command::Test(args) => {
            let answer = client.ask(client.mail_test(&MailTest { to: args.to })).await?;
            out.answer(&answer.json, || format!("a mail went to {}", answer.value.to))
        }
        Command::Remove => {
            ask::confirm(
                "the panel will send no mail: no new passwords, invitations and notices by mail",
                context.globals.yes,
            )?;
            let done = client.ask(client.mail_remove()).await?;
            out.answer(&done.json, || "the panel sends no mail any more".to_owned())
        }
    }
}

fn wish(args: Set, now: &Mail) -> Result<MailWrite> {
    let is_kept = now
        .server
        .as_ref()
        .is_some_and(|server| server.has_password && server.host == args.host.to_lowercase() && server.user == args.user);
    let password = match (&args.user, &args.password_file) {
        (None, _) => None,
        (Some(_), Some(file)) => Some(ask::secret_file(file)?),
        (Some(_), None) if is_kept => None,
        (Some(_), None) if ask::is_possible() => Some(ask::secret("Password")?),
        (Some(_), None) => return Err(Failure::usage("give the password in a file: --password-file FILE")),
    };
    Ok(MailWrite {
        host: args.host,
        port: args.port,
        security: args.security,
        user: args.user,
        password: password.map(|secret| secret.expose_str().unwrap_or_default().to_owned()),
        from: args.from,
        ca_pem: args.server_ca.map(|path| ask::text_file(&path)).transpose()?,
        notices: args.notices.or(now.server.as_ref().map(|server| server.notices)),
    })
}

fn shown(out: &Output, mail: &Mail) -> String {
    let Some(server) = &mail.server else {
        return "the panel sends no mail; set a server: serverkit mail set HOST --from ADDRESS".to_owned();
    };
    let mut facts = Facts::new();
    facts.add("Server", format!("{}:{} ({})", server.host, server.port, server.security));
    facts.add("Login", server.user.clone().unwrap_or_else(|| "none".into()));
    facts.add("From", server.from.clone());
    facts.add("Notices", if server.notices { "sent" } else { "none" });
    facts.add("Waiting", mail.waiting.to_string());
    facts.print(out)
}

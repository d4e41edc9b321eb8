//! `serverkit setup`, `login`, `logout` and `whoami`.

use crate::{
    ask,
    commands::Context,
    config::{Config, Panel},
    failure::{Code, Failure, Result},
    output::Facts,
    target, tokens, users,
};
use clap::Args;
use client::{
    Address, Answer, Client, Login as Credentials, Trust,
    types::{Session, SessionCreate, SetupClaim},
};
use serde_json::json;
use std::path::PathBuf;
use types::Secret;

#[derive(Debug, Args)]
pub struct Setup {
    /// Mail address of the administrator
    #[arg(long)]
    email: String,
    /// File with the password; - for standard input; without it, you are asked
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// What to call the administrator; without it the part of the address before the @
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Args)]
pub struct Login {
    /// Address of the panel, such as https://panel.example.com:9443
    address: String,
    /// File with an API token; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "email")]
    token_file: Option<PathBuf>,
    /// Sign in with mail address and password; a token is made from it, and only that is kept
    #[arg(long)]
    email: Option<String>,
    /// File with the password; - for standard input; without it, you are asked
    #[arg(long, value_name = "FILE", requires = "email")]
    password_file: Option<PathBuf>,
    /// The code of the second factor, for accounts that have one; without it, you are asked
    #[arg(long, requires = "email")]
    code: Option<String>,
}

#[derive(Debug, Args)]
pub struct Logout {
    /// Address of the panel; without it the one of the last login
    address: Option<String>,
}

/// Makes the first administrator over the socket. Being root, or the user that runs the panel, is the proof.
pub async fn setup(context: &Context, args: Setup) -> Result {
    let client = target::local_only(&context.globals)?;
    if client.ask(client.setup_show()).await?.value.claimed {
        return Err(Failure::failed("this panel has an administrator already")
            .hint("sign in in the browser, or add people: serverkit user create EMAIL"));
    }
    let body = SetupClaim {
        token: String::new(),
        name: args.name.unwrap_or_else(|| users::name_from(&args.email)),
        email: args.email,
        password: users::password(args.password_file.as_ref())?,
    };
    let answer = client.ask(client.setup_claim(&body)).await?;
    context.out.answer(&answer.json, || {
        format!(
            "{} is the administrator; sign in in the browser with mail address and password",
            answer.value.user.email
        )
    })
}

pub async fn login(context: &Context, args: Login) -> Result {
    let trust = target::trust(&context.globals, &Panel::default())?;
    let address = Address::web(&args.address, trust.clone())?;
    // Who is at the address, before anything secret goes there.
    let open = Client::connect(address.clone(), Credentials::None)?;
    open.ask(open.setup_show()).await?;
    let token = match (&args.token_file, &args.email) {
        (Some(path), _) => ask::secret_file(path)?,
        (None, Some(email)) => from_password(&address, email, args.password_file.as_ref(), args.code).await?,
        (None, None) if ask::is_possible() => ask_for_token(&address).await?,
        (None, None) => {
            return Err(Failure::usage("nobody is there to ask for a token").hint("give --token-file FILE, or - for standard input"));
        }
    };
    let client = Client::connect(address.clone(), Credentials::Token(token.clone()))?;
    let answer = client.ask(client.session_show()).await?;
    remember(&address, trust, &token)?;
    context
        .out
        .answer(&answer.json, || format!("signed in to {address} as {}", answer.value.user.email))
}

/// A token typed in, or one made with mail address and password.
async fn ask_for_token(address: &Address) -> Result<Secret> {
    let token = ask::secret("API token (leave empty to sign in with mail address and password)")?;
    if !token.expose().is_empty() {
        return Ok(token);
    }
    from_password(address, &ask::text("Mail address")?, None, None).await
}

/// Signs in, makes a token of the name of this machine, and signs out again.
async fn from_password(address: &Address, email: &str, file: Option<&PathBuf>, code: Option<String>) -> Result<Secret> {
    let secret = match file {
        Some(path) => ask::secret_file(path)?,
        None => ask::secret("Password")?,
    };
    let password = secret
        .expose_str()
        .ok_or_else(|| Failure::usage("the password is not text in UTF-8"))?;
    let open = Client::connect(address.clone(), Credentials::None)?;
    let mut body = SessionCreate {
        email: email.to_owned(),
        password: password.to_owned(),
        code,
        passkey: None,
        remember: None,
    };
    let mut answer = open.ask(open.session_create(&body)).await;
    if body.code.is_none() && needs_code(&answer) && ask::is_possible() {
        body.code = Some(ask::text("Code of the authenticator app, or a recovery code")?);
        answer = open.ask(open.session_create(&body)).await;
    }
    let needs_code = needs_code(&answer);
    let session = answer.map_err(|error| {
        let mut failure = Failure::from(error);
        if needs_code {
            failure.hint = Some("give it with --code".to_owned());
        } else if failure.code == Code::Denied {
            failure.hint = Some("check mail address and password, and the code if the account has a second factor".to_owned());
        }
        failure
    })?;
    let signed = Client::connect(
        address.clone(),
        Credentials::Session {
            cookie: cookies(&session),
            csrf: session.value.csrf.clone(),
        },
    )?;
    let body = tokens::body(&format!("cli on {}", hostname()), ("scope", json!("admin")), None);
    let token = signed.ask(signed.token_create(&body)).await?.value;
    signed.ask(signed.session_end()).await?;
    Ok(Secret::from(token.secret))
}

fn needs_code(answer: &Result<Answer<Session>, client::Failure>) -> bool {
    matches!(answer, Err(client::Failure::Refused(problem)) if problem.code == "second_factor_needed")
}

/// The `Cookie` header that answers the `Set-Cookie` headers of a sign-in.
fn cookies(session: &Answer<Session>) -> Secret {
    let pairs: Vec<&[u8]> = session
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|cookie| cookie.as_bytes().split(|byte| *byte == b';').next())
        .collect();
    Secret::new(pairs.join(b"; ".as_slice()))
}

fn hostname() -> String {
    // A token's name has at most 60 letters.
    let name: String = rustix::system::uname().nodename().to_string_lossy().chars().take(50).collect();
    if name.is_empty() { "a machine".to_owned() } else { name }
}

fn remember(address: &Address, trust: Trust, token: &Secret) -> Result {
    let token = token.expose_str().ok_or_else(|| Failure::usage("the token is not text"))?;
    let path = Config::path()?;
    let mut config = Config::read(&path)?;
    config.current = Some(address.to_string());
    let panel = Panel {
        token: token.trim().to_owned(),
        authority: trust.authority_pem,
        insecure: trust.insecure,
    };
    config.panels.insert(address.to_string(), panel);
    config.write(&path)
}

pub async fn logout(context: &Context, args: Logout) -> Result {
    let path = Config::path()?;
    let mut config = Config::read(&path)?;
    let called = match args.address.or_else(|| config.current.clone()) {
        Some(called) => Address::web(&called, Trust::default())?.to_string(),
        None => return Err(Failure::failed("you are signed in nowhere")),
    };
    let Some(panel) = config.panels.remove(&called) else {
        return Err(Failure::not_found(format!("you are not signed in to {called}")));
    };
    let address = Address::web(&called, target::trust(&context.globals, &panel)?)?;
    let revoked = revoke(address, &panel.token).await;
    if config.current.as_deref() == Some(called.as_str()) {
        config.current = config.panels.keys().next().cloned();
    }
    config.write(&path)?;
    if let Err(failure) = revoked {
        context
            .out
            .note(format!("the token is forgotten here, but was not revoked: {}", failure.sentence));
    }
    context
        .out
        .answer(&json!({ "panel": called }), || format!("signed out of {called}"))
}

/// Revokes the token with itself. One that the panel does not know any more is revoked already.
async fn revoke(address: Address, token: &str) -> Result {
    let client = Client::connect(address, Credentials::Token(Secret::from(token)))?;
    let list = match client.ask(client.token_list(None, crate::lists::LIMIT)).await {
        Ok(answer) => answer.value,
        Err(client::Failure::Refused(problem)) if problem.code == "unauthenticated" => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mine = list
        .items
        .iter()
        .find(|each| !each.hint.is_empty() && token.starts_with(each.hint.trim_end_matches('…')));
    match mine {
        Some(mine) => client.ask(client.token_revoke(&mine.id)).await.map(|_| ()).map_err(Failure::from),
        None => Err(Failure::failed("it is not in the list of tokens")),
    }
}

pub async fn whoami(context: &Context) -> Result {
    let client = context.panel()?;
    let answer = client.ask(client.session_show()).await?;
    let out = context.out;
    out.answer(&answer.json, || {
        let user = &answer.value.user;
        let mut facts = Facts::new();
        facts.add("Panel", client.address().to_string());
        if user.email.is_empty() {
            facts.add("You", user.name.clone());
        } else {
            facts.add("You", format!("{} ({})", user.name, user.email));
        }
        facts.add("Role", user.role.to_string());
        if let Some(token) = &answer.value.token {
            let scopes: Vec<String> = token.scopes.iter().map(ToString::to_string).collect();
            let places = token
                .places
                .as_ref()
                .map(|places| places.iter().map(|place| place.name.as_str()).collect::<Vec<_>>());
            facts.add("Scopes", format!("{}, by the token {}", scopes.join(", "), token.name));
            facts.add(
                "Places",
                places.map_or("wherever the role reaches".to_owned(), |places| places.join(", ")),
            );
        }
        facts.maybe("Until", answer.value.expires_at.clone());
        facts.print(&out)
    })
}

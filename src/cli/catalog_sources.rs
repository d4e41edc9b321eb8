//! `serverkit catalog source …`: catalogs beside the one that comes with the program, and what is put into them.

use crate::{
    ask,
    commands::Context,
    failure::{Failure, Result},
    lists,
    output::{Facts, Table},
};
use clap::{ArgGroup, Args, Subcommand};
use client::types::{Catalog, CatalogCreate, CatalogFiles, CatalogKind};
use std::{
    fs,
    path::{Path, PathBuf},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a catalog: from Git, from the web, or an empty one of your own
    ///
    /// With a key only what its publisher signed is taken: index.json must have its signature (minisign) beside it.
    Add(Add),
    /// List catalogs
    #[command(visible_alias = "ls")]
    List,
    /// Read a catalog now; it happens by itself every few hours
    Refresh(Named),
    /// Remove a catalog; apps that were installed from it stay
    #[command(visible_alias = "rm")]
    Remove(Named),
    /// Put the template of a folder into a catalog of your own
    Put(Put),
    /// Take a template out of a catalog of your own
    Take(Take),
    /// Write the index.json of a folder of templates, to be signed and published with them
    Index(Index),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("place").required(true).args(["git", "web", "own"]))]
pub struct Add {
    /// Its name, which stands before the names of its templates
    name: String,
    /// The https address of a repository with a folder for each template
    #[arg(long, value_name = "URL")]
    git: Option<String>,
    /// The address of an index.json with the templates beside it
    #[arg(long, value_name = "URL")]
    web: Option<String>,
    /// An empty one, to be filled by hand
    #[arg(long)]
    own: bool,
    /// Branch, tag or commit of the repository; without it the default branch
    #[arg(long, requires = "git")]
    branch: Option<String>,
    /// Folder of the repository
    #[arg(long, requires = "git")]
    folder: Option<String>,
    /// User of a private repository
    #[arg(long, requires = "git")]
    user: Option<String>,
    /// File with the password or token; - for standard input
    #[arg(long, value_name = "FILE", requires = "git")]
    password_file: Option<PathBuf>,
    /// The publisher's public key (minisign, one line)
    #[arg(long)]
    key: Option<String>,
}

#[derive(Debug, Args)]
pub struct Named {
    /// Its name
    name: String,
}

#[derive(Debug, Args)]
pub struct Put {
    /// The catalog's name
    catalog: String,
    /// A folder with template.yaml and compose.yaml; its name is the template's
    folder: PathBuf,
}

#[derive(Debug, Args)]
pub struct Take {
    /// The catalog's name
    catalog: String,
    /// The template's name
    template: String,
}

#[derive(Debug, Args)]
pub struct Index {
    /// A folder with one folder for each template
    folder: PathBuf,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Add(args) => add(context, args).await,
        Command::List => list(context).await,
        Command::Refresh(args) => {
            let client = context.panel()?;
            let answer = client.ask(client.catalog_source_refresh(&args.name)).await?;
            context.out.answer(&answer.json, || words(&answer.value))
        }
        Command::Remove(args) => {
            let client = context.panel()?;
            let done = client.ask(client.catalog_source_delete(&args.name)).await?;
            context.out.answer(&done.json, || format!("{} is removed", args.name))
        }
        Command::Put(args) => put(context, &args.catalog, &args.folder).await,
        Command::Take(args) => {
            let client = context.panel()?;
            let done = client.ask(client.catalog_template_delete(&args.catalog, &args.template)).await?;
            context
                .out
                .answer(&done.json, || format!("{} is out of {}", args.template, args.catalog))
        }
        Command::Index(args) => index(context, &args.folder),
    }
}

async fn add(context: &Context, args: Add) -> Result {
    let password = args.password_file.as_deref().map(ask::secret_file).transpose()?;
    let password = password.map(|password| {
        let text = password.expose_str().map(str::to_owned);
        text.ok_or_else(|| Failure::usage("the password is not text in UTF-8"))
    });
    let kind = match (&args.git, &args.web) {
        (Some(_), _) => CatalogKind::Git,
        (_, Some(_)) => CatalogKind::Web,
        _ => CatalogKind::Own,
    };
    let body = CatalogCreate {
        name: args.name,
        kind,
        url: args.git.or(args.web),
        branch: args.branch,
        folder: args.folder,
        user: args.user,
        password: password.transpose()?,
        key: args.key,
    };
    let client = context.panel()?;
    let answer = client.ask(client.catalog_source_create(&body)).await?;
    context.out.answer(&answer.json, || words(&answer.value))
}

fn words(catalog: &Catalog) -> String {
    let mut text = format!("{} has {} templates", catalog.name, catalog.templates);
    for left in &catalog.left_out {
        text.push_str(&format!("\n{} is left out: {}", left.name, left.why));
    }
    text
}

async fn list(context: &Context) -> Result {
    let client = context.panel()?;
    let catalogs = lists::all::<Catalog, _>(async |cursor| client.ask(client.catalog_source_list(cursor, lists::LIMIT)).await).await?;
    let empty = "no catalogs but the program's own. Add one: serverkit catalog source add NAME --git URL";
    context.out.list(&catalogs.json, empty, || {
        let mut table = Table::new(["NAME", "FROM", "TEMPLATES", "PROBLEM"]);
        for catalog in &catalogs.items {
            table.row([
                catalog.name.clone().into(),
                catalog.url.clone().unwrap_or_else(|| "filled by hand".into()).into(),
                catalog.templates.to_string().into(),
                catalog.problem.clone().unwrap_or_default().into(),
            ]);
        }
        table
    })
}

async fn put(context: &Context, catalog: &str, folder: &Path) -> Result {
    let folder = folder
        .canonicalize()
        .map_err(|error| Failure::usage(format!("{}: {error}", folder.display())))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let read = |file: &str| {
        let path = folder.join(file);
        fs::read_to_string(&path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
    };
    let body = CatalogFiles {
        template: read("template.yaml")?,
        compose: read("compose.yaml")?,
    };
    let client = context.panel()?;
    let done = client.ask(client.catalog_template_put(catalog, &name, &body)).await?;
    context.out.answer(&done.json, || {
        format!("{catalog}:{name} can be installed: serverkit catalog install {catalog}:{name}")
    })
}

/// Needs no panel.
fn index(context: &Context, folder: &Path) -> Result {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(error.to_string());
    let (texts, broken) = ::catalog::texts_of_tree(folder).map_err(|error| failed(&error))?;
    if let Some((name, findings)) = broken.first_key_value() {
        let why = findings.first().map(ToString::to_string).unwrap_or_default();
        return Err(Failure::failed(format!("{name}/{why}")));
    }
    let index = ::catalog::index::Index::of(&texts).map_err(|error| failed(&error))?;
    let path = folder.join("index.json");
    fs::write(&path, index.json()).map_err(|error| failed(&format!("{}: {error}", path.display())))?;
    let json = serde_json::json!({ "index": path, "templates": texts.len() });
    context.out.answer(&json, || {
        let mut facts = Facts::new();
        facts.add("Index", path.display().to_string());
        facts.add("Templates", texts.len().to_string());
        facts.add("Sign it", format!("minisign -S -m {}", path.display()));
        facts.print(&context.out)
    })
}

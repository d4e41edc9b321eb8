//! `serverkit catalog import`: templates of other panels.

use crate::{
    commands::Context,
    failure::{Failure, Result},
};
use clap::{Args, ValueEnum};
use client::types::{CatalogFiles, CatalogFormat, CatalogImport, ImportedTemplate};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub struct Import {
    /// The file or its address: templates.json of Portainer, a one-click app of CapRover, a Compose file of Coolify, template.toml of Dokploy
    #[arg(value_name = "FILE|URL")]
    file: String,
    /// Files that belong to it, such as the docker-compose.yml of Dokploy; or ADDRESS=FILE for what lies elsewhere
    more: Vec<String>,
    /// Of which panel it is; without it, it is recognised
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Let the panel get what it needs from elsewhere
    #[arg(long)]
    fetch: bool,
    /// Put what comes out into this catalog of your own
    #[arg(long, value_name = "CATALOG")]
    into: Option<String>,
    /// Write what comes out into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "into")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Portainer,
    Caprover,
    Coolify,
    Dokploy,
}

pub async fn run(context: &Context, args: Import) -> Result {
    let mut files = HashMap::new();
    for more in &args.more {
        let (name, path) = match more.split_once('=') {
            Some((address, path)) => (address.to_owned(), Path::new(path)),
            None => {
                let path = Path::new(more);
                (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path)
            }
        };
        files.insert(name, read(path)?);
    }
    let is_address = args.file.starts_with("https://") || args.file.starts_with("http://");
    let body = CatalogImport {
        format: args.format.map(|format| match format {
            Format::Portainer => CatalogFormat::Portainer,
            Format::Caprover => CatalogFormat::Caprover,
            Format::Coolify => CatalogFormat::Coolify,
            Format::Dokploy => CatalogFormat::Dokploy,
        }),
        text: if is_address { None } else { Some(read(Path::new(&args.file))?) },
        url: is_address.then(|| args.file.clone()),
        files: Some(files),
        fetch: args.fetch.then_some(true),
    };
    let client = context.panel()?;
    let named = |refused: client::Failure| Failure::from(refused).calling("text", &args.file).calling("url", &args.file);
    let answer = client.ask(client.catalog_import(&body)).await.map_err(named)?;
    let ready = |one: &&ImportedTemplate| one.fetch.is_empty() && one.problems.is_empty();
    for one in answer.value.templates.iter().filter(ready) {
        if let Some(catalog) = &args.into {
            let files = CatalogFiles {
                template: one.template.clone(),
                compose: one.compose.clone(),
            };
            client.ask(client.catalog_template_put(catalog, &one.name, &files)).await?;
        }
        if let Some(out) = &args.out {
            write(&out.join(&one.name), &one.template, &one.compose)?;
        }
    }
    context.out.answer(&answer.json, || {
        let mut text = String::new();
        for one in &answer.value.templates {
            text.push_str(&format!("{}: {}\n", one.name, one.title));
            one.notes.iter().for_each(|note| text.push_str(&format!("  {note}\n")));
            one.problems
                .iter()
                .for_each(|why| text.push_str(&format!("  cannot be carried over: {why}\n")));
            one.fetch
                .iter()
                .for_each(|address| text.push_str(&format!("  needs {address}: add --fetch, or download it and add {address}=FILE\n")));
        }
        if args.into.is_none() && args.out.is_none() {
            text.push_str("nothing is kept: give --into CATALOG or --out DIR\n");
        }
        text
    })
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn write(folder: &Path, template: &str, compose: &str) -> Result {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    fs::write(folder.join("template.yaml"), template).map_err(failed)?;
    fs::write(folder.join("compose.yaml"), compose).map_err(failed)
}

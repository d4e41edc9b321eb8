//! Templates of other panels, as ours: Portainer, CapRover, Coolify and Dokploy.
//!
//! Each format becomes a [`draft::Draft`], a Compose file in our own language with a form beside it; what all have in common is done there.
//! Nothing is left out in silence: what differs from the source, and which rules of a catalog it breaks, is said in words.

mod caprover;
mod coolify;
mod dokploy;
mod dollars;
mod draft;
mod form;
mod loose_toml;
mod names;
mod networks;
mod portainer;
mod prose;
mod tidy;
mod volumes;
mod web;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use types::Notice;

/// Whose template it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `templates.json` of version 2 or 3, or the list that came before.
    Portainer,
    /// A one-click app: YAML with `captainVersion`.
    Caprover,
    /// A Compose file with `# documentation:` and its like on top and `SERVICE_…` variables.
    Coolify,
    /// `docker-compose.yml` and `template.toml`, or both as its export has them: JSON with `compose` and `config`, as such or in base64.
    Dokploy,
}

impl Format {
    pub fn title(self) -> &'static str {
        match self {
            Format::Portainer => "Portainer",
            Format::Caprover => "CapRover",
            Format::Coolify => "Coolify",
            Format::Dokploy => "Dokploy",
        }
    }
}

/// One template, or why it is none yet: it can be used when `fetch` and `problems` are empty, and only then it has texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// A template's name: 2 to 40 of a-z, 0-9 and -.
    pub name: String,
    pub title: String,
    /// `template.yaml`; our reader takes it.
    pub template: String,
    /// `compose.yaml`; our reader takes it, with this template.
    pub compose: String,
    /// What differs from the source, what is guessed, and which rules of a catalog it breaks.
    pub notes: Vec<String>,
    /// Addresses whose texts it needs: import again with these in `more`.
    pub fetch: Vec<String>,
    /// What keeps it from being carried over.
    pub problems: Vec<String>,
}

impl Imported {
    pub fn is_ready(&self) -> bool {
        self.fetch.is_empty() && self.problems.is_empty()
    }
}

/// Further texts, by the name of their file or by their address. Under `name`: what the template is to be called.
pub type More = BTreeMap<String, String>;

/// Reads templates of another panel. `format` is seen from the text when it is not given. A file with one template that cannot be
/// carried over is an `Err`; of a file with many, each says for itself.
pub fn import(format: Option<Format>, text: &str, more: &More) -> Result<Vec<Imported>, Vec<Notice>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(format) = format.or_else(|| recognised(text, more)) else {
        return Err(vec![notice(
            0,
            "this is no template of Portainer, CapRover, Coolify or Dokploy; a plain Compose file can be deployed as it is",
        )]);
    };
    let mut all = match format {
        Format::Portainer => portainer::read(text, more)?,
        Format::Caprover => vec![caprover::read(text, more)?.finish(format)],
        Format::Coolify => vec![coolify::read(text, more)?.finish(format)],
        Format::Dokploy => vec![dokploy::read(text, more)?.finish(format)],
    };
    if let [one] = all.as_mut_slice()
        && !one.problems.is_empty()
    {
        return Err(one.problems.drain(..).map(|what| notice(0, what)).collect());
    }
    Ok(all)
}

/// Whose template a text is, by marks that only one of them has.
fn recognised(text: &str, more: &More) -> Option<Format> {
    if more.contains_key(dokploy::TOML) || dokploy::exported(text).is_some() {
        return Some(Format::Dokploy);
    }
    if text.trim_start().starts_with(['{', '['])
        && let Ok(json) = serde_json::from_str::<serde_json::Value>(text)
    {
        return portainer::templates(&json).is_some().then_some(Format::Portainer);
    }
    let is_toml = || {
        let table = loose_toml::parse(text).ok()?;
        Some(table.contains_key("config") || table.contains_key("variables"))
    };
    if is_toml() == Some(true) {
        return Some(Format::Dokploy);
    }
    let has_key = |key: &str| text.lines().any(|line| line.starts_with(key));
    if has_key("captainVersion:") || has_key("caproverOneClickApp:") {
        return Some(Format::Caprover);
    }
    (has_key("services:") && coolify::has_marks(text)).then_some(Format::Coolify)
}

fn notice(line: u32, what: impl Into<String>) -> Notice {
    Notice {
        line,
        file: String::new(),
        what: what.into(),
    }
}

/// The same notice, of this file.
fn of_file(file: &str, notice: Notice) -> Notice {
    Notice {
        file: file.to_owned(),
        ..notice
    }
}

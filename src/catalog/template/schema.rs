//! The shape of `template.yaml`. `template.schema.json` beside the crate is the same as JSON Schema, for editors.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// JSON Schema of `template.yaml`, as a text: what is published, and what a test compares with [`Template`].
pub const SCHEMA: &str = include_str!("../template.schema.json");

/// The same as a value.
pub fn schema() -> serde_json::Value {
    serde_json::from_str(SCHEMA).expect("a test reads it")
}

/// Where apps are sorted in. In the order of the alphabet.
pub const CATEGORIES: [&str; 29] = [
    "ai",
    "analytics",
    "automation",
    "backup",
    "business",
    "chat",
    "cms",
    "communication",
    "databases",
    "design",
    "development",
    "documents",
    "ecommerce",
    "finance",
    "games",
    "home",
    "identity",
    "learning",
    "mail",
    "media",
    "monitoring",
    "networking",
    "notes",
    "photos",
    "productivity",
    "search",
    "security",
    "social",
    "storage",
];

/// An app of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The version of this format: 1.
    pub schema: u32,
    /// The folder's name: 2 to 40 of a-z, 0-9 and -.
    pub name: String,
    pub title: String,
    /// The version of what is installed, then the template's own revision: `6.6.2-1`.
    pub version: String,
    /// One sentence of at most 140 letters.
    pub description: String,
    /// What it is and for whom: paragraphs and lists.
    pub details: String,
    pub icon: Icon,
    pub categories: Vec<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub links: Links,
    /// Of the app itself: an SPDX expression, `proprietary` or `source-available`.
    pub licence: String,
    pub needs: Needs,
    pub main: Main,
    /// Versions of the app to choose from, the usual one first. None: there is one only.
    #[serde(default)]
    pub versions: Vec<Version>,
    /// Further web ports, each of which may get a domain of its own.
    #[serde(default)]
    pub also: Vec<Also>,
    /// What is asked, in the order of the form.
    #[serde(default)]
    pub variables: Vec<Asked>,
    /// What is computed from them.
    #[serde(default)]
    pub derived: Vec<Derived>,
    /// Shown once, after the first deployment; may use `{{ … }}`, also `{{ app }}`, the app's name.
    #[serde(default)]
    pub first_login: Option<String>,
    /// An account that it comes with and everybody knows: whoever installs it is warned before.
    #[serde(default)]
    pub known_account: Option<KnownAccount>,
    /// What is worth backing up.
    #[serde(default)]
    pub backup: Vec<Backup>,
    /// Run once in the app's containers, when all of them are healthy for the first time.
    #[serde(default)]
    pub post_install: Vec<PostInstall>,
    /// What to know before an update.
    #[serde(default)]
    pub upgrade_notes: Option<String>,
    /// What differs from how the project itself sets it up.
    #[serde(default)]
    pub differs: Option<String>,
    /// Rights on the host that it cannot do without, such as `docker_socket`; `differs` says why.
    #[serde(default)]
    pub rights: Vec<String>,
}

/// A drawn monogram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Icon {
    /// One or two letters.
    pub text: String,
    /// `#rrggbb`.
    pub color: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    pub website: Option<String>,
    pub documentation: Option<String>,
    pub source: Option<String>,
}

/// A version of the app, chosen when it is installed and kept by updates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Such as `17`: it stays when 17.4 becomes 17.5, and stands in the tag of the main service's image.
    pub name: String,
    /// Who should take it, or how long it is supported: a few words.
    #[serde(default)]
    pub notes: Option<String>,
    /// What stands for each `{{ version.KEY }}` of the Compose file. All versions set the same keys.
    pub set: BTreeMap<String, String>,
    /// Versions whose data it can go on with, so that an installed app may be moved from them to this one.
    #[serde(default)]
    pub takes_over: Vec<String>,
}

/// The least that it runs with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Needs {
    pub memory_mb: u32,
    pub disk_mb: u32,
}

/// What the domain leads to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Main {
    pub service: String,
    /// In the container.
    pub port: u16,
    /// It answers HTTP, so a domain leads to it. `false` for databases and brokers: other apps reach them by the app's name.
    #[serde(default = "yes")]
    pub web: bool,
    /// `None`: the port takes connections.
    #[serde(default)]
    pub health: Option<Health>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Health {
    pub kind: HealthKind,
    /// For `http`: `GET` of this path answers 200 to 399.
    #[serde(default)]
    pub path: Option<String>,
    /// How long it may take to come up; 60 unless given.
    #[serde(default)]
    pub start_seconds: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthKind {
    Http,
    Tcp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Also {
    pub service: String,
    pub port: u16,
    pub title: String,
}

impl Also {
    /// By which name its domain is asked for, beside the template's variables: `domain_minio_9001`.
    pub fn variable(&self) -> String {
        let service = self.service.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
        format!("domain_{service}_{}", self.port)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KnownAccount {
    pub user: String,
    pub password: String,
}

/// A variable of the form. What does not belong to its type must be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// As `{{ name }}`: a-z, 0-9 and _, with a letter first.
    pub name: String,
    #[serde(rename = "type")]
    pub kind: AskedKind,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// A value has to be given.
    #[serde(default)]
    pub required: Option<bool>,
    /// A text, number or boolean.
    #[serde(default)]
    pub default: Option<serde_json::Value>,
    /// Of a `secret` or a generated `password`: how many letters, 8 to 256; of `base64` a multiple of 4.
    #[serde(default)]
    pub length: Option<usize>,
    #[serde(default)]
    pub alphabet: Option<Alphabet>,
    /// Of a `secret` or `password`: `false` where it cannot be made up, such as that of a mail account. With `required: false` it may stay empty then.
    #[serde(default)]
    pub generate: Option<bool>,
    /// Of an `enum`.
    #[serde(default)]
    pub options: Vec<String>,
    /// Of a `text`: a regular expression that the whole value fits.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Of a `boolean`: only `true` will do, as for a licence, and a person has to say it.
    #[serde(default)]
    pub must_accept: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AskedKind {
    /// A host; also gives `{{ url }}`.
    Domain,
    /// Generated unless given; never shown by itself.
    Secret,
    /// Generated unless typed; shown once.
    Password,
    Mail,
    Enum,
    Boolean,
    /// A port of the server or a number of a port elsewhere.
    Port,
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Alphabet {
    /// A-Z, a-z, 0-9.
    Alnum,
    Hex,
    Base64,
    Digits,
    /// Words that are easy to type; `length` is their number.
    Words,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Derived {
    pub name: String,
    /// With `{{ … }}` of what comes before it.
    pub value: String,
}

/// A volume to keep, or a database to dump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Backup {
    #[serde(default)]
    pub volume: Option<String>,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub service: Option<String>,
    /// `postgres`, `mysql`, `mariadb`, `mongodb`, `redis`, …
    #[serde(default)]
    pub kind: Option<String>,
    #[serde(default)]
    pub database: Option<String>,
    #[serde(default)]
    pub user: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PostInstall {
    pub service: String,
    /// An argument vector; may use `{{ … }}`.
    pub command: Vec<String>,
    #[serde(default)]
    pub title: Option<String>,
}

//! Where an app comes from, as the wire writes it.

use crate::sources::{Build, BuildInput};
use poem_openapi::{Enum, Object, Union};
use types::{Error, Secret};

// There is one in an app, so the room that an image leaves unused does not matter.
#[allow(clippy::large_enum_variant)]
/// Where an app comes from.
#[derive(Debug, Union)]
#[oai(discriminator_name = "kind", one_of)]
pub enum Source {
    #[oai(mapping = "git")]
    Git(GitSource),
    #[oai(mapping = "image")]
    Image(ImageSource),
    #[oai(mapping = "compose")]
    Compose(ComposeSource),
    #[oai(mapping = "upload")]
    Upload(UploadSource),
}

/// Source that is uploaded: an archive at a time.
#[derive(Debug, Object)]
pub struct UploadSource {
    /// The folder that is the build context; `.` is the top.
    pub folder: String,
    /// The Dockerfile, from the folder.
    pub dockerfile: String,
    /// The stage to build; null: the last.
    pub target: Option<String>,
    /// What was wished of the build; what is null is found out from the source.
    pub build: Build,
    /// Its services, where it is not built into one image.
    pub services: Option<TreeServices>,
    /// What the next deployment builds; null: nothing was uploaded yet.
    pub newest: Option<String>,
}

/// Several services from a Compose file. Its text is at `/apps/{app}/compose`.
#[derive(Debug, Object)]
pub struct ComposeSource {
    /// Services of these profiles run too.
    pub profiles: Vec<String>,
    /// The service that domains lead to; null: the first one with a port.
    pub main_service: Option<String>,
    /// The template of the catalog that it was made from.
    pub template: Option<InstalledTemplate>,
}

/// Services from a Compose file among the source. It is read at each deployment.
#[derive(Debug, Object)]
pub struct TreeServices {
    /// From the folder; null: the first of the usual names that is there.
    pub compose_file: Option<String>,
    /// Services of these profiles run too.
    pub profiles: Vec<String>,
    /// The service that domains lead to; null: the first one with a port.
    pub main_service: Option<String>,
    /// What may reach the host.
    pub allow_host: Vec<String>,
    /// What reaches the host in what was to be deployed last, and must be allowed first.
    pub host_wanted: Vec<String>,
}

/// A template that an app was made from.
#[derive(Debug, Object)]
pub struct InstalledTemplate {
    pub name: String,
    pub version: String,
    /// Which of the versions that the template offers, such as `17`; null: there was nothing to choose.
    pub chosen: Option<String>,
    /// The version that it had before its last update, which can be taken back.
    pub before: Option<String>,
    /// Which of the template's versions it was before that update.
    pub before_chosen: Option<String>,
    /// Copies of the app's data from before that update.
    pub copies: Vec<DataCopy>,
    /// There is a hint for the first sign-in that nobody has seen.
    pub first_login: bool,
}

/// A volume as it was before an update.
#[derive(Debug, Object)]
pub struct DataCopy {
    /// As the Compose file calls it.
    pub name: String,
    /// Its id: it is a volume like any other.
    pub volume: String,
    pub bytes: u64,
}

/// A repository.
#[derive(Debug, Object)]
pub struct GitSource {
    pub url: String,
    /// Null: the repository's default branch.
    pub branch: Option<String>,
    /// The folder that is the build context; `.` is the top.
    pub folder: String,
    /// The Dockerfile, from the folder.
    pub dockerfile: String,
    /// The stage to build; null: the last.
    pub target: Option<String>,
    /// Fetch submodules too.
    pub submodules: bool,
    /// What was wished of the build; what is null is found out from the repository.
    pub build: Build,
    /// Its services, where it is not built into one image.
    pub services: Option<TreeServices>,
    /// The user name for http(s).
    pub user: Option<String>,
    /// A password or access token is kept for it.
    pub has_password: bool,
    /// The public half of the panel's key for this app: give it to the forge as a deploy key.
    pub deploy_key_public: Option<String>,
    /// The connection to the forge that it is from.
    pub forge: Option<String>,
    /// `owner/name` there.
    pub repository: Option<String>,
}

/// An image from a registry.
#[derive(Debug, Object)]
pub struct ImageSource {
    /// Such as `nginx:1.27`.
    pub reference: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum SourceKind {
    Git,
    Image,
    Compose,
    Upload,
}

/// Where an app is to come from. With `git`: `url` and what else it needs; with `image`: `reference`; with `compose`: the
/// text of a Compose file; with `upload`: how to build what is uploaded later.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SourceInput {
    pub kind: SourceKind,
    /// `https://`, `http://`, `ssh://`, `git@host:path`, or (administrators only) a path on the panel's machine.
    pub url: Option<String>,
    /// In place of `url`: the id or name of a connection to a forge, which lets the panel in.
    pub forge: Option<String>,
    /// With `forge`: `owner/name` there.
    pub repository: Option<String>,
    /// Null: the repository's default branch.
    pub branch: Option<String>,
    /// The build context; left out: the top.
    pub folder: Option<String>,
    /// From the folder; left out: `Dockerfile`.
    pub dockerfile: Option<String>,
    /// The stage to build; null: the last.
    pub target: Option<String>,
    pub submodules: Option<bool>,
    /// How to build it; left out in a change: as it was.
    pub build: Option<BuildInput>,
    /// The user name for http(s).
    pub user: Option<String>,
    /// A password or access token; sealed, never shown again. Left out in a change: the old one stays.
    pub password: Option<String>,
    /// Make a key for this app; its public half is in the answer.
    pub deploy_key: Option<bool>,
    /// The image, such as `nginx:1.27`.
    pub reference: Option<String>,
    /// The Compose file; sealed.
    pub compose: Option<String>,
    /// With `git` and `upload`: its services are in this Compose file, from the folder; empty: in the one that has a usual name. Left out: it
    /// is built into one image.
    pub compose_file: Option<String>,
    /// What its services may have of the host, in the words of a deployment that was refused for it; an administrator must say so. Left out
    /// in a change: as it was.
    pub allow_host: Option<Vec<String>>,
    /// Services of these profiles run too; `*`: of all.
    pub profiles: Option<Vec<String>>,
    /// The service that domains lead to; left out: the first one with a port.
    pub main_service: Option<String>,
}

impl From<types::TreeStack> for TreeServices {
    fn from(tree: types::TreeStack) -> TreeServices {
        TreeServices {
            compose_file: tree.file.map(|file| file.to_string()),
            profiles: tree.setup.profiles,
            main_service: tree.setup.main,
            allow_host: tree.setup.host_allowed,
            host_wanted: tree.host_wanted,
        }
    }
}

impl From<types::Source> for Source {
    fn from(source: types::Source) -> Source {
        match source {
            types::Source::Git(git) => Source::Git(GitSource {
                url: git.url.to_string(),
                branch: git.branch.map(String::from),
                folder: git.folder.to_string(),
                dockerfile: git.dockerfile.to_string(),
                target: git.target,
                submodules: git.submodules,
                build: git.build.into(),
                services: git.compose.map(TreeServices::from),
                user: git.user,
                has_password: git.password.is_some(),
                deploy_key_public: git.deploy_key_public,
                forge: git.forge.as_ref().map(|forge| forge.connection.to_string()),
                repository: git.forge.map(|forge| forge.path.to_string()),
            }),
            types::Source::Image { reference } => Source::Image(ImageSource {
                reference: reference.to_string(),
            }),
            types::Source::Upload(source) => Source::Upload(UploadSource {
                folder: source.folder.to_string(),
                dockerfile: source.dockerfile.to_string(),
                target: source.target,
                build: source.build.into(),
                services: source.compose.map(TreeServices::from),
                newest: source.newest.map(String::from),
            }),
            types::Source::Compose(source) => Source::Compose(ComposeSource {
                profiles: source.setup.profiles,
                main_service: source.setup.main,
                template: source.template.map(|template| InstalledTemplate {
                    name: template.name,
                    version: template.version,
                    chosen: template.choice,
                    copies: copies_of(template.before.as_deref()),
                    before_chosen: template.before.as_ref().and_then(|before| before.choice.clone()),
                    before: template.before.map(|before| before.version),
                    first_login: !template.greeted,
                }),
            }),
        }
    }
}

/// Those that are there whole.
fn copies_of(before: Option<&types::BeforeUpdate>) -> Vec<DataCopy> {
    let made = before.filter(|before| !before.copy_wanted);
    let copies = made.into_iter().flat_map(|before| &before.copies);
    let shown = copies.map(|copy| DataCopy {
        name: copy.name.clone(),
        volume: copy.volume.to_string(),
        bytes: copy.bytes,
    });
    shown.collect()
}

impl TryFrom<SourceInput> for app::NewSource {
    type Error = types::Error;

    fn try_from(input: SourceInput) -> types::Result<app::NewSource> {
        let path = |text: Option<String>, usual: &str| text.unwrap_or_else(|| usual.to_owned()).parse();
        let main = input.main_service.filter(|name| !name.is_empty());
        let profiles = input.profiles.unwrap_or_default();
        let compose = match input.compose_file {
            None => None,
            Some(file) => Some(app::TreeWish {
                file: Some(file).filter(|file| !file.is_empty()).map(|file| file.parse()).transpose()?,
                profiles: profiles.clone(),
                main: main.clone(),
                host_allowed: input.allow_host,
            }),
        };
        match input.kind {
            SourceKind::Git => Ok(app::NewSource::Git {
                url: input.url.filter(|url| !url.is_empty()).map(|url| url.parse()).transpose()?,
                forge: match (input.forge.filter(|forge| !forge.is_empty()), input.repository) {
                    (None, _) => None,
                    (Some(forge), Some(path)) => Some((forge, path.parse()?)),
                    (Some(_), None) => return Err(Error::invalid("source.repository", "is missing")),
                },
                branch: input
                    .branch
                    .filter(|branch| !branch.is_empty())
                    .map(|branch| branch.parse())
                    .transpose()?,
                folder: path(input.folder, ".")?,
                dockerfile: path(input.dockerfile, "Dockerfile")?,
                target: input.target.filter(|target| !target.is_empty()),
                submodules: input.submodules.unwrap_or(false),
                build: input.build.map(types::BuildWish::try_from).transpose()?,
                compose,
                user: input.user.filter(|user| !user.is_empty()),
                password: input.password.filter(|password| !password.is_empty()).map(Secret::from),
                deploy_key: input.deploy_key.unwrap_or(false),
            }),
            SourceKind::Image => Ok(app::NewSource::Image {
                reference: input
                    .reference
                    .ok_or_else(|| Error::invalid("source.reference", "is missing"))?
                    .parse()?,
            }),
            SourceKind::Upload => Ok(app::NewSource::Upload {
                folder: path(input.folder, ".")?,
                dockerfile: path(input.dockerfile, "Dockerfile")?,
                target: input.target.filter(|target| !target.is_empty()),
                build: input.build.map(types::BuildWish::try_from).transpose()?,
                compose,
            }),
            SourceKind::Compose => Ok(app::NewSource::Compose {
                text: Secret::from(input.compose.ok_or_else(|| Error::invalid("source.compose", "is missing"))?),
                profiles,
                main,
                template: None,
            }),
        }
    }
}

//! How a repository is built, and a look into it beforehand.

use crate::{Panel, apps::SourceInput, deployments::Commit, failures::Answer, signed::Signed, stacks::ComposeReport, tags::Tag};
use poem_openapi::{Enum, Object, OpenApi, payload::Json};

/// Who knows how to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Preset {
    /// The repository's own Dockerfile.
    Dockerfile,
    /// Files as they are, or as a build leaves them, behind nginx.
    Static,
    Node,
    Python,
    Php,
    Ruby,
    Go,
    Rust,
    Java,
    Dotnet,
    /// A plan by Nixpacks, whose base images it is built on.
    Nixpacks,
    /// Cloud Native Buildpacks, by the lifecycle of a builder's image.
    Buildpacks,
}

/// What was wished of a build; what is null is found out from the repository.
#[derive(Debug, Object)]
pub struct Build {
    pub preset: Option<Preset>,
    /// Of the language, such as `3.11`.
    pub version: Option<String>,
    /// Debian packages; with PHP, extensions.
    pub packages: Option<Vec<String>>,
    /// A command of a shell in the image that is built; empty: none.
    pub install: Option<String>,
    pub build: Option<String>,
    pub start: Option<String>,
    /// What a static site serves, from the folder.
    pub output: Option<String>,
    /// A Dockerfile in place of the one that the preset would write.
    pub dockerfile_text: Option<String>,
    /// The image whose buildpacks build it.
    pub builder: Option<String>,
}

/// How to build. What is left out is found out from the repository.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct BuildInput {
    /// Left out: the repository's Dockerfile if there is one, else what it looks like.
    pub preset: Option<Preset>,
    /// Of the language, such as `3.11`.
    pub version: Option<String>,
    /// Debian packages; with PHP, extensions.
    pub packages: Option<Vec<String>>,
    /// A command of a shell in the image that is built; empty: none.
    pub install: Option<String>,
    pub build: Option<String>,
    pub start: Option<String>,
    /// What a static site serves, from the folder.
    pub output: Option<String>,
    /// A Dockerfile in place of the one that the preset would write.
    pub dockerfile_text: Option<String>,
    /// The image whose buildpacks build it; left out: the one that `project.toml` names, else paketobuildpacks/builder-jammy-base.
    pub builder: Option<String>,
}

/// What to look into.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SourceInspect {
    /// Left out: the app's own.
    pub source: Option<SourceInput>,
    /// Id or name of an app, whose login is used where none is given.
    pub app: Option<String>,
    /// Look into this in place of a repository: the id of an upload that was sent to be looked at, or of one of the app's.
    pub upload: Option<String>,
}

/// What was seen in a repository or an upload.
#[derive(Debug, Object)]
pub struct Inspection {
    /// The newest of the branch; null for what was uploaded.
    pub commit: Option<Commit>,
    pub branches: Vec<Branch>,
    /// Folders that an app may be in; `.` is the top.
    pub folders: Vec<String>,
    /// How it would be built; null for an app of several services.
    pub plan: Option<BuildPlan>,
    /// Why it could not be built.
    pub problem: Option<String>,
    /// Files that look like Compose files, from the top.
    pub compose_files: Vec<String>,
    /// Of an app of several services: what they come to.
    pub services: Option<InspectedServices>,
}

/// What a Compose file in a repository comes to.
#[derive(Debug, Object)]
pub struct InspectedServices {
    /// From the top.
    pub compose_file: String,
    pub report: ComposeReport,
}

#[derive(Debug, Object)]
pub struct Branch {
    pub name: String,
    /// 40 hex digits.
    pub commit: String,
    /// What is taken when no branch is named.
    pub default: bool,
}

/// How it would be built.
#[derive(Debug, Object)]
pub struct BuildPlan {
    pub preset: Preset,
    /// What people call it: `Flask`, `Next.js`.
    pub framework: String,
    /// Why it was taken for that.
    pub why: String,
    pub version: Option<String>,
    pub packages: Vec<String>,
    pub install: Option<String>,
    pub build: Option<String>,
    pub start: Option<String>,
    pub output: Option<String>,
    /// On which it listens.
    pub port: Option<u16>,
    /// The image whose buildpacks build it.
    pub builder: Option<String>,
    /// What is built: take it over as `dockerfile_text` to change it.
    pub dockerfile: String,
}

macro_rules! presets {
    ($($name:ident),*) => {
        impl From<types::Preset> for Preset {
            fn from(preset: types::Preset) -> Preset {
                match preset { $(types::Preset::$name => Preset::$name),* }
            }
        }
        impl From<Preset> for types::Preset {
            fn from(preset: Preset) -> types::Preset {
                match preset { $(Preset::$name => types::Preset::$name),* }
            }
        }
    };
}
presets!(
    Dockerfile, Static, Node, Python, Php, Ruby, Go, Rust, Java, Dotnet, Nixpacks, Buildpacks
);

impl From<types::BuildWish> for Build {
    fn from(wish: types::BuildWish) -> Build {
        Build {
            preset: wish.preset.map(Preset::from),
            version: wish.version,
            packages: wish.packages,
            install: wish.install,
            build: wish.build,
            start: wish.start,
            output: wish.output.map(|path| path.to_string()),
            dockerfile_text: wish.dockerfile,
            builder: wish.builder.map(|image| image.to_string()),
        }
    }
}

impl TryFrom<BuildInput> for types::BuildWish {
    type Error = types::Error;

    fn try_from(input: BuildInput) -> types::Result<types::BuildWish> {
        types::BuildWish {
            preset: input.preset.map(types::Preset::from),
            version: input.version.filter(|text| !text.is_empty()),
            packages: input.packages,
            install: input.install,
            build: input.build,
            start: input.start,
            output: input.output.filter(|text| !text.is_empty()).map(|text| text.parse()).transpose()?,
            dockerfile: input.dockerfile_text.filter(|text| !text.is_empty()),
            builder: input.builder.filter(|text| !text.is_empty()).map(|text| text.parse()).transpose()?,
        }
        .checked()
    }
}

impl From<app::PlanView> for BuildPlan {
    fn from(view: app::PlanView) -> BuildPlan {
        let dockerfile = view.dockerfile;
        match view.recipe {
            Some(recipe) => BuildPlan {
                preset: recipe.preset.into(),
                framework: recipe.framework,
                why: recipe.why,
                version: Some(recipe.version).filter(|version| !version.is_empty()),
                packages: recipe.packages,
                install: recipe.install,
                build: recipe.build,
                start: recipe.start,
                output: recipe.output,
                port: Some(recipe.port),
                builder: recipe.builder,
                dockerfile,
            },
            None => BuildPlan {
                preset: Preset::Dockerfile,
                framework: "Dockerfile".into(),
                why: "there is a Dockerfile".into(),
                version: None,
                packages: Vec::new(),
                install: None,
                build: None,
                start: None,
                output: None,
                port: None,
                builder: None,
                dockerfile,
            },
        }
    }
}

impl From<app::Inspection> for Inspection {
    fn from(seen: app::Inspection) -> Inspection {
        let (plan, problem) = match seen.plan {
            Some(Ok(plan)) => (Some(plan.into()), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        Inspection {
            commit: seen.commit.map(Commit::from),
            branches: seen
                .branches
                .into_iter()
                .map(|branch| Branch {
                    name: branch.name,
                    commit: branch.commit,
                    default: branch.default,
                })
                .collect(),
            folders: seen.folders,
            plan,
            problem,
            compose_files: seen.compose_files,
            services: seen.compose.map(|(compose_file, report)| InspectedServices {
                compose_file,
                report: report.into(),
            }),
        }
    }
}

#[derive(Clone)]
pub(crate) struct SourcesApi(pub Panel);

#[OpenApi(tag = "Tag::Apps")]
impl SourcesApi {
    /// Look into a repository or an upload
    ///
    /// Its branches and folders, what it looks like, and the Dockerfile that it would be built by. Nothing is changed.
    #[oai(path = "/sources/inspect", method = "post", operation_id = "source_inspect")]
    async fn source_inspect(&self, who: Signed, body: Json<SourceInspect>) -> Answer<Json<Inspection>> {
        let source = body.0.source.map(app::NewSource::try_from).transpose()?;
        let (app, upload) = (body.0.app.as_deref(), body.0.upload.as_deref());
        let seen = self.0.sources.inspect(&who.actor, app, source, upload).await?;
        Ok(Json(seen.into()))
    }
}

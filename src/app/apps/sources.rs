//! Where an app comes from: from the wish to what is kept, with secrets sealed.

use super::{NewSource, TreeWish};
use crate::{forges, ground::Ground, stacks, variables::VariableChange};
use types::{
    Action, Actor, App, BuildWish, ComposeSource, Environment, Error, Forge, ForgeRepository, GitSource, GitUrl, Host, OrganizationId,
    RepoPath, RepositoryPath, Result, Sealed, Secret, Source, StackSetup, TreeStack, UploadSource, Volume,
};

/// The source to keep. Secrets that the wish leaves out are taken from `old`, if it is of the same host.
pub(crate) fn new_source(ground: &Ground, actor: &Actor, wish: NewSource, old: Option<&Source>) -> Result<Source> {
    match wish {
        NewSource::Git { .. } => git_source(ground, actor, wish, old).map(Source::Git),
        NewSource::Image { reference } => Ok(Source::Image { reference }),
        NewSource::Upload {
            folder,
            dockerfile,
            target,
            build,
            compose,
        } => {
            let compose = tree_stack(actor, compose, old)?;
            upload_source(folder, dockerfile, target, build, compose, old)
        }
        NewSource::Compose { .. } => compose_source(ground, wish, old),
    }
}

fn git_source(ground: &Ground, actor: &Actor, wish: NewSource, old: Option<&Source>) -> Result<GitSource> {
    let NewSource::Git {
        url,
        branch,
        folder,
        dockerfile,
        target,
        submodules,
        build,
        compose,
        user,
        password,
        deploy_key,
        forge,
    } = wish
    else {
        return Err(Error::invalid("source", "is no repository"));
    };
    let (url, forge) = match forge {
        Some((called, path)) => at_forge(ground, actor, &called, path).map(|(url, forge)| (url, Some(forge)))?,
        None => (by_address(actor, url)?, None),
    };
    let compose = tree_stack(actor, compose, old)?;
    let old = match old {
        Some(Source::Git(git)) if forge.is_some() || same_host(&git.url, &url) => Some(git),
        _ => None,
    };
    let way = match forge {
        Some(_) => WayIn::default(),
        None => way_in(ground, &actor.organization, &url, user, password, deploy_key, old)?,
    };
    Ok(GitSource {
        url,
        branch,
        folder,
        dockerfile,
        target: checked_stage(target)?,
        submodules,
        build: match build {
            Some(build) => build.checked()?,
            None => old.map(|old| old.build.clone()).unwrap_or_default(),
        },
        compose,
        user: way.user,
        password: way.password,
        deploy_key: way.deploy_key,
        deploy_key_public: way.deploy_key_public,
        host_key: way.host_key,
        forge,
    })
}

fn by_address(actor: &Actor, url: Option<GitUrl>) -> Result<GitUrl> {
    let url = url.ok_or_else(|| Error::invalid("source.url", "is missing; or name a forge and a repository there"))?;
    if url.is_local() {
        actor.may(Action::UseLocalPaths)?;
    }
    Ok(url)
}

/// How to get into a repository that is named by its address; at a forge its connection is the way.
#[derive(Default)]
struct WayIn {
    user: Option<String>,
    password: Option<Sealed>,
    deploy_key: Option<Sealed>,
    deploy_key_public: Option<String>,
    host_key: Option<String>,
}

/// What the wish leaves out is taken from `old`, which is of the same host.
fn way_in(
    ground: &Ground,
    whose: &OrganizationId,
    url: &GitUrl,
    user: Option<String>,
    password: Option<Secret>,
    wants_key: bool,
    old: Option<&GitSource>,
) -> Result<WayIn> {
    let password = match password {
        Some(password) => {
            ground.redactor.learn(whose, &password);
            Some(ground.store.seal(&password)?)
        }
        None => old.filter(|old| old.user == user).and_then(|old| old.password.clone()),
    };
    let (deploy_key, deploy_key_public) = match old.and_then(|old| Some((old.deploy_key.clone()?, old.deploy_key_public.clone()?))) {
        Some((private, public)) => (Some(private), Some(public)),
        None if wants_key || url.is_ssh() => {
            let (private, public) = deploy_key(ground, whose, url.as_str())?;
            (Some(private), Some(public))
        }
        None => (None, None),
    };
    Ok(WayIn {
        user,
        password,
        deploy_key,
        deploy_key_public,
        host_key: old.and_then(|old| old.host_key.clone()),
    })
}

/// The repository, and its address: always below the forge's own, since the connection's token goes there.
fn at_forge(ground: &Ground, actor: &Actor, called: &str, path: RepositoryPath) -> Result<(GitUrl, ForgeRepository)> {
    let connection = forges::find(ground, actor, called)?;
    forges::check_owner(&connection, &path)?;
    let bare = path.as_str().strip_suffix(".git").unwrap_or(path.as_str());
    let below = if connection.forge == Forge::BitbucketDataCenter {
        "scm/"
    } else {
        ""
    };
    let url = format!("{}/{below}{bare}.git", connection.url).parse()?;
    let repository = ForgeRepository {
        connection: connection.id,
        path,
    };
    Ok((url, repository))
}

fn checked_stage(target: Option<String>) -> Result<Option<String>> {
    let bad = |target: &String| target.is_empty() || target.len() > 128 || target.chars().any(|c| c.is_whitespace() || c.is_control());
    if target.as_ref().is_some_and(bad) {
        return Err(Error::invalid("target", "must be the name of a build stage"));
    }
    Ok(target)
}

/// Services of the source tree. Volumes and what is allowed stay with the app; to allow more takes an administrator.
fn tree_stack(actor: &Actor, wish: Option<TreeWish>, old: Option<&Source>) -> Result<Option<TreeStack>> {
    let before = old.map(Source::stack);
    if before.is_some_and(|before| before.is_some() != wish.is_some()) {
        return Err(Error::invalid(
            "compose_file",
            "an app of one container stays one, and one of several services too; make a new app",
        ));
    }
    let Some(wish) = wish else { return Ok(None) };
    let before = before.flatten().cloned().unwrap_or_default();
    let allowed = wish.host_allowed.unwrap_or_else(|| before.host_allowed.clone());
    if allowed.len() > 100 || allowed.iter().any(|right| right.len() > 1000) {
        return Err(Error::invalid(
            "allow_host",
            "must be what a deployment was refused for, in its words",
        ));
    }
    if allowed.iter().any(|right| !before.host_allowed.contains(right)) {
        actor.may(Action::UseHost)?;
    }
    let wanted = old.and_then(|old| old.tree_stack()).map(|tree| tree.host_wanted.clone());
    Ok(Some(TreeStack {
        file: wish.file,
        host_wanted: wanted
            .unwrap_or_default()
            .into_iter()
            .filter(|right| !allowed.contains(right))
            .collect(),
        setup: StackSetup {
            profiles: checked_profiles(wish.profiles)?,
            main: wish.main,
            volumes: before.volumes,
            host_allowed: allowed,
        },
    }))
}

fn checked_profiles(profiles: Vec<String>) -> Result<Vec<String>> {
    let bad = |profile: &String| profile.is_empty() || profile.len() > 100 || profile.chars().any(char::is_control);
    if profiles.len() > 50 || profiles.iter().any(bad) {
        return Err(Error::invalid("profiles", "must be names of profiles"));
    }
    Ok(profiles)
}

/// What was uploaded stays when it is to be built in another way.
fn upload_source(
    folder: RepoPath,
    dockerfile: RepoPath,
    target: Option<String>,
    build: Option<BuildWish>,
    compose: Option<TreeStack>,
    old: Option<&Source>,
) -> Result<Source> {
    let old = match old {
        Some(Source::Upload(old)) => Some(old),
        _ => None,
    };
    Ok(Source::Upload(UploadSource {
        folder,
        dockerfile,
        target: checked_stage(target)?,
        build: match build {
            Some(build) => build.checked()?,
            None => old.map(|old| old.build.clone()).unwrap_or_default(),
        },
        compose,
        newest: old.and_then(|old| old.newest.clone()),
    }))
}

/// Volumes, rights and the template stay with the app when its file is another.
fn compose_source(ground: &Ground, wish: NewSource, old: Option<&Source>) -> Result<Source> {
    let NewSource::Compose {
        text,
        profiles,
        main,
        template,
    } = wish
    else {
        return Err(Error::invalid("source", "is of no kind that is known"));
    };
    let old = match old.map(|old| (old, old.stack())) {
        Some((old, Some(setup))) => Some((old, setup)),
        Some((_, None)) => {
            return Err(Error::invalid(
                "source",
                "an app of one container stays one; make a new app from the Compose file",
            ));
        }
        None => None,
    };
    let kept = old.and_then(|(old, _)| match old {
        Source::Compose(old) => old.template.clone(),
        _ => None,
    });
    let setup = old.map(|(_, setup)| setup.clone()).unwrap_or_default();
    let profiles = checked_profiles(profiles)?;
    Ok(Source::Compose(ComposeSource {
        hash: stacks::text_hash(&text, &profiles, main.as_deref()),
        text: ground.store.seal(&text)?,
        setup: StackSetup { profiles, main, ..setup },
        template: template.map(|template| *template).or(kept),
    }))
}

/// Reads a Compose app with the values that it will have, and settles its volumes and rights. Answers the volumes to make.
pub(crate) fn settled(
    ground: &Ground,
    actor: &Actor,
    app: &mut App,
    environment: &Environment,
    changes: &[VariableChange],
    host: Option<&Host>,
) -> Result<Vec<Volume>> {
    let Source::Compose(source) = &app.source else {
        return Ok(Vec::new());
    };
    let mut values = stacks::values_of(ground, app)?;
    for change in changes {
        if let Some(text) = change.value.as_ref().and_then(|value| value.expose_str()) {
            values.insert(change.key.to_string(), text.to_owned());
        }
    }
    let template = stacks::template_with(ground, app, values.clone(), host)?;
    let text = stacks::text_of(ground, source)?;
    let composed = stacks::read(&text, &source.setup.profiles, &values, template.as_ref())
        .map_err(|problems| stacks::refusal_of(ground, app, &problems))?;
    app.demand = Some(composed.stack.demand(&app.limits));
    stacks::settle(ground, actor, app, environment, &composed)
}

fn same_host(a: &GitUrl, b: &GitUrl) -> bool {
    let host = |url: &GitUrl| {
        let text = url.as_str();
        match text.split_once("://") {
            Some((_, rest)) => rest.split('/').next().unwrap_or_default().to_owned(),
            None => text.split(':').next().unwrap_or_default().to_owned(),
        }
    };
    host(a) == host(b)
}

pub(super) fn deploy_key(ground: &Ground, whose: &OrganizationId, comment: impl std::fmt::Display) -> Result<(types::Sealed, String)> {
    let key = source::DeployKey::generate(&ground.world, &format!("serverkit {comment}"))?;
    ground.redactor.learn(whose, &key.private);
    Ok((ground.store.seal(&key.private)?, key.public))
}

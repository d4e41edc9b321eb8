//! Where an app comes from: from the wish to what is kept, with secrets sealed.

use super::NewSource;
use crate::{ground::Ground, stacks, variables::VariableChange};
use types::{
    Action, Actor, App, BuildWish, ComposeSource, Environment, Error, GitSource, GitUrl, Host, RepoPath, Result, Source, UploadSource,
    Volume,
};

/// The source to keep. Secrets that the wish leaves out are taken from `old`, if it is of the same host.
pub(crate) fn new_source(ground: &Ground, actor: &Actor, wish: NewSource, old: Option<&Source>) -> Result<Source> {
    let NewSource::Git {
        url,
        branch,
        folder,
        dockerfile,
        target,
        submodules,
        build,
        user,
        password,
        deploy_key: key,
    } = wish
    else {
        return match wish {
            NewSource::Image { reference } => Ok(Source::Image { reference }),
            NewSource::Upload {
                folder,
                dockerfile,
                target,
                build,
            } => upload_source(folder, dockerfile, target, build, old),
            other => compose_source(ground, other, old),
        };
    };
    if url.is_local() {
        actor.may(Action::UseLocalPaths)?;
    }
    let target = checked_stage(target)?;
    let old = match old {
        Some(Source::Git(git)) if same_host(&git.url, &url) => Some(git),
        _ => None,
    };
    let password = match password {
        Some(password) => {
            ground.redactor.learn(&password);
            Some(ground.store.seal(&password)?)
        }
        None => old.filter(|old| old.user == user).and_then(|old| old.password.clone()),
    };
    let (deploy_key, deploy_key_public) = match old.and_then(|old| Some((old.deploy_key.clone()?, old.deploy_key_public.clone()?))) {
        Some((private, public)) => (Some(private), Some(public)),
        None if key || url.is_ssh() => {
            let (private, public) = self::deploy_key(ground, url.as_str())?;
            (Some(private), Some(public))
        }
        None => (None, None),
    };
    let build = match build {
        Some(build) => build.checked()?,
        None => old.map(|old| old.build.clone()).unwrap_or_default(),
    };
    let host_key = old.and_then(|old| old.host_key.clone());
    Ok(Source::Git(GitSource {
        url,
        branch,
        folder,
        dockerfile,
        target,
        submodules,
        build,
        user,
        password,
        deploy_key,
        deploy_key_public,
        host_key,
    }))
}

fn checked_stage(target: Option<String>) -> Result<Option<String>> {
    let bad = |target: &String| target.is_empty() || target.len() > 128 || target.chars().any(|c| c.is_whitespace() || c.is_control());
    if target.as_ref().is_some_and(bad) {
        return Err(Error::invalid("target", "must be the name of a build stage"));
    }
    Ok(target)
}

/// What was uploaded stays when it is to be built in another way.
fn upload_source(
    folder: RepoPath,
    dockerfile: RepoPath,
    target: Option<String>,
    build: Option<BuildWish>,
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
    let old = match old {
        Some(Source::Compose(old)) => Some(old),
        Some(_) => {
            return Err(Error::invalid(
                "source",
                "an app of one container stays one; make a new app from the Compose file",
            ));
        }
        None => None,
    };
    let bad = |profile: &String| profile.is_empty() || profile.len() > 100 || profile.chars().any(char::is_control);
    if profiles.len() > 50 || profiles.iter().any(bad) {
        return Err(Error::invalid("profiles", "must be names of profiles"));
    }
    Ok(Source::Compose(ComposeSource {
        hash: stacks::text_hash(&text, &profiles, main.as_deref()),
        text: ground.store.seal(&text)?,
        profiles,
        main,
        volumes: old.map(|old| old.volumes.clone()).unwrap_or_default(),
        host_allowed: old.map(|old| old.host_allowed.clone()).unwrap_or_default(),
        template: template
            .map(|template| *template)
            .or_else(|| old.and_then(|old| old.template.clone())),
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
    let composed = stacks::read(&text, &source.profiles, &values, template.as_ref()).map_err(|problems| stacks::refusal(&problems))?;
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

pub(super) fn deploy_key(ground: &Ground, comment: impl std::fmt::Display) -> Result<(types::Sealed, String)> {
    let key = source::DeployKey::generate(&ground.world, &format!("serverkit {comment}"))?;
    Ok((ground.store.seal(&key.private)?, key.public))
}

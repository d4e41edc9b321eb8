//! From a wish to a draft: what is chosen, whether it can mean anything, and what stands in its way.

use super::{CloneAppWish, CloneValue, CloneWish, draft::Draft, maker::Maker};
use crate::{copies::Twins, ground::Ground, projects, variables::own_variables};
use std::collections::BTreeSet;
use store::Stored;
use types::{Actor, App, AppName, Environment, EnvironmentClone, Error, Kind, Result, Source, VariableOwner};

/// Fails for a wish that can mean nothing; what stands in its way as things are is among its problems.
pub(super) fn draft(ground: &Ground, actor: &Actor, from: &Environment, wish: &CloneWish) -> Result<Draft> {
    let environment = Environment {
        id: ground.world.id(),
        organization: from.organization.clone(),
        project: from.project.clone(),
        name: wish.name.clone(),
        created_at: ground.world.now(),
    };
    let chosen = chosen(ground, from, wish)?;
    must_be_known(ground, from, &chosen, &wish.values)?;
    let mut maker = Maker {
        ground,
        actor,
        wish,
        from,
        environment: &environment,
        renamed: Vec::new(),
        draft: Draft::of(environment.clone()),
    };
    let taken = projects::environments_of(ground, &from.project)?;
    if taken.iter().any(|one| one.name == wish.name) {
        maker.draft.problems.push(Error::Taken {
            kind: Kind::Environment,
            name: wish.name.to_string(),
            by: None,
        });
    }
    // Two that read one volume would take each other's hands off it.
    let under_way = |clone: &&Stored<EnvironmentClone>| clone.from == from.id && clone.copies_data() && !clone.phase.is_final();
    if let Some(other) = ground.store.clones.list()?.iter().find(under_way).filter(|_| wish.data) {
        let why = format!(
            "the data of `{}` is being copied to `{}`; wait until that is over",
            from.name, other.name
        );
        maker.draft.problems.push(Error::busy(why));
    }
    let shared = VariableOwner::Environment(from.id.clone());
    maker.variables(&shared, VariableOwner::Environment(environment.id.clone()), None)?;
    let mut twins = Twins::new(ground, &environment);
    for (of, wanted) in &chosen {
        maker.app(of, wanted, &mut twins)?;
    }
    maker.lead();
    maker.draft.volumes = twins.made;
    maker.unmounted(&chosen)?;
    maker.freezes()?;
    Ok(maker.draft)
}

/// Those that are wanted, by name. Fails with `NotFound` for one that is not there, with `Busy` when there is none.
fn chosen(ground: &Ground, from: &Environment, wish: &CloneWish) -> Result<Vec<(App, CloneAppWish)>> {
    let mut all: Vec<App> = ground.store.apps.list()?.into_iter().map(|stored| stored.value).collect();
    all.retain(|app| app.environment == from.id && app.trashed_at.is_none());
    all.sort_by(|a, b| a.name.cmp(&b.name));
    if all.is_empty() {
        return Err(Error::busy(format!("`{}` has no apps, so there is nothing to clone", from.name)));
    }
    let plain = |app: &App| CloneAppWish {
        app: app.id.to_string(),
        branch: None,
        domain: None,
    };
    let Some(wanted) = &wish.apps else {
        return Ok(all.into_iter().map(|app| (app.clone(), plain(&app))).collect());
    };
    if wanted.is_empty() {
        return Err(Error::invalid("apps", "must name an app; leave it out for all of them"));
    }
    let mut found: Vec<(App, CloneAppWish)> = Vec::new();
    for one in wanted {
        let is_it = |app: &&App| app.id.as_str() == one.app || app.name.as_str() == one.app;
        let app = all.iter().find(is_it).ok_or_else(|| Error::not_found(Kind::App, &one.app))?;
        if found.iter().any(|(known, _)| known.id == app.id) {
            return Err(Error::invalid("apps", format!("`{}` is named twice", app.name)));
        }
        if one.branch.is_some() && !matches!(app.source, Source::Git(_)) {
            return Err(Error::invalid(
                "branch",
                format!("`{}` is not from Git, so it follows no branch", app.name),
            ));
        }
        found.push((app.clone(), one.clone()));
    }
    Ok(found)
}

/// Fails with `Invalid` for a value of a variable that is nowhere in it.
fn must_be_known(ground: &Ground, from: &Environment, chosen: &[(App, CloneAppWish)], values: &[CloneValue]) -> Result<()> {
    let mut known: BTreeSet<(Option<AppName>, String)> = BTreeSet::new();
    for variable in own_variables(ground, &VariableOwner::Environment(from.id.clone()))? {
        known.insert((None, variable.key.to_string()));
    }
    for (app, _) in chosen {
        for variable in ground.store.variables.prefix(app.id.as_str())? {
            known.insert((Some(app.name.clone()), variable.key.to_string()));
        }
    }
    for value in values {
        let fits = |(app, key): &(Option<AppName>, String)| key == value.key.as_str() && (value.app.is_none() || *app == value.app);
        if !known.iter().any(fits) {
            let place = value.app.as_ref().map_or_else(|| from.name.to_string(), ToString::to_string);
            return Err(Error::invalid(value.key.as_str(), format!("is no variable of `{place}`")));
        }
    }
    Ok(())
}

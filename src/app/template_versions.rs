//! Which of the versions that a template offers an app gets, and keeps: updates never move an app to another one by themselves.

use catalog::template::{self, Template, Version};
use types::{Error, Installed, Result};

/// The version that an update leads to: the one that the app has, unless another one is wished for that can go on with its data. `None`:
/// there is nothing to choose. Fails when the new template has the app's version no more, and with a wish that cannot be.
pub(crate) fn chosen<'a>(installed: &Installed, old: &Template, new: &'a Template, wished: Option<&str>) -> Result<Option<&'a Version>> {
    if let Some(name) = wished {
        let version = new.version(Some(name)).map_err(|why| Error::invalid("version", why))?;
        let had = had(installed, old, new);
        return match (version, had) {
            (Some(version), Some(had)) if !goes_on(version, &had) => Err(Error::invalid(
                "version",
                format!("{name} cannot go on with the data of {had}; install it beside, and move the data by a dump"),
            )),
            (version, _) => Ok(version),
        };
    }
    if new.versions.is_empty() && installed.choice.is_none() {
        return Ok(None);
    }
    let Some(had) = had(installed, old, new) else {
        return Err(Error::invalid(
            "version",
            format!(
                "{} {} has versions to choose from, and it is not known which of them this app is; name it: {}",
                new.title,
                new.version,
                new.version_names()
            ),
        ));
    };
    match new.versions.iter().find(|version| version.name == had) {
        Some(version) => Ok(Some(version)),
        None => Err(Error::invalid("version", gone(new, &had))),
    }
}

/// Versions that an app with this one may have with the new template: its own first, then those that can go on with its data.
pub(crate) fn choices(installed: &Installed, old: &Template, new: &Template) -> Vec<String> {
    let had = had(installed, old, new);
    let fits = |version: &&Version| had.as_ref().is_none_or(|had| goes_on(version, had));
    let mut names: Vec<String> = new.versions.iter().filter(fits).map(|version| version.name.clone()).collect();
    names.sort_by_key(|name| Some(name) != had.as_ref());
    names
}

/// The version that the app has. Before there was something to choose, its image tells.
fn had(installed: &Installed, old: &Template, new: &Template) -> Option<String> {
    if installed.choice.is_some() {
        return installed.choice.clone();
    }
    let image = main_image(old, &installed.compose)?;
    new.version_of(&image).map(|version| version.name.clone())
}

/// The image of the main service, in a Compose file of the template.
pub(crate) fn main_image(template: &Template, compose: &str) -> Option<String> {
    let composed = template::composed(template, compose).ok()?;
    composed.stack.service(&template.main.service)?.image.clone()
}

fn goes_on(version: &Version, had: &str) -> bool {
    version.name == had || version.takes_over.iter().any(|name| name == had)
}

/// In words: the new template has the app's version no more.
fn gone(new: &Template, had: &str) -> String {
    let (title, to) = (&new.title, &new.version);
    let after: Vec<&str> = new
        .versions
        .iter()
        .filter(|version| goes_on(version, had))
        .map(|version| version.name.as_str())
        .collect();
    match after.is_empty() {
        true => format!(
            "this app is version {had}, which {title} {to} has no more, and none of its versions can go on with the data; it stays as it is"
        ),
        false => format!(
            "this app is version {had}, which {title} {to} has no more; it stays as it is, or goes on as {}",
            after.join(" or ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "schema: 1
name: db
title: Db
version: '3.1-1'
description: A database.
details: A database for tests of versions.
icon: { text: D, color: '#336699' }
categories: [databases]
licence: MIT
needs: { memory_mb: 32, disk_mb: 64 }
main: { service: db, port: 5432, web: false }
";

    fn template(versions: &str) -> Template {
        template::read(&format!("{TEMPLATE}{versions}")).expect("a template")
    }

    /// Installed with `choice`, or with this image and no choice.
    fn installed(choice: Option<&str>, image: &str) -> Installed {
        Installed {
            name: "db".into(),
            version: "3.0-1".into(),
            choice: choice.map(str::to_owned),
            template: TEMPLATE.into(),
            compose: format!("services: {{ db: {{ image: '{image}' }} }}"),
            greeted: true,
            prepared: true,
            before: None,
            detached: Vec::new(),
        }
    }

    #[test]
    fn an_app_keeps_its_version() {
        let plain = template("");
        let new =
            template("versions:\n- { name: '3', set: { tag: '3.1' }, takes_over: ['2', '1'] }\n- { name: '2', set: { tag: '2.9' } }\n");
        let one = template("versions:\n- { name: '4', set: { tag: '4.1' } }\n");
        for (choice, image, to, wished, expected) in [
            (None, "db:2.8", &plain, None, Ok(None)),
            (Some("2"), "db:2.8", &new, None, Ok(Some("2"))),
            // From before there was a choice.
            (None, "db:2.8", &new, None, Ok(Some("2"))),
            (None, "db:mine", &new, None, Err("name it: 3, 2")),
            (None, "db:mine", &new, Some("2"), Ok(Some("2"))),
            (Some("2"), "db:2.8", &new, Some("3"), Ok(Some("3"))),
            (Some("3"), "db:3.0", &new, Some("2"), Err("cannot go on with the data of 3")),
            (Some("3"), "db:3.0", &new, Some("7"), Err("must be one of 3, 2")),
            // The new template has it no more.
            (Some("1"), "db:1.8", &new, None, Err("it stays as it is, or goes on as 3")),
            (Some("1"), "db:1.8", &new, Some("3"), Ok(Some("3"))),
            (Some("3"), "db:3.0", &one, None, Err("none of its versions can go on with the data")),
            (Some("3"), "db:3.0", &plain, None, Err("has no more")),
            (None, "db:3.0", &plain, Some("3"), Err("comes in one version only")),
        ] {
            let found = chosen(&installed(choice, image), &plain, to, wished);
            match (found, expected) {
                (Ok(version), Ok(expected)) => assert_eq!(version.map(|version| version.name.as_str()), expected),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{words} is not in {error}"),
                (found, expected) => panic!("{choice:?} {image} {wished:?}: {found:?}, not {expected:?}"),
            }
        }
        assert_eq!(choices(&installed(Some("2"), "db:2.8"), &plain, &new), ["2", "3"]);
        assert_eq!(choices(&installed(None, "db:mine"), &plain, &new), ["3", "2"]);
        assert_eq!(choices(&installed(None, "db:2.8"), &plain, &plain), [""; 0]);
    }
}

//! Which commit a branch, tag or commit id means, among what a server offers.

use git2::Oid;
use types::{Error, GitRef, Result};

/// Similar names in an error.
const MOST_SIMILAR: usize = 5;
const HEADS: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";
/// Behind a tag with a message: the commit that it is for.
const PEELED: &str = "^{}";

/// What a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub name: String,
    pub id: Oid,
    /// Of `HEAD`: the branch that it is.
    pub points_to: Option<String>,
}

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A reference that is offered, and its commit.
    Offered { name: String, commit: Oid },
    /// A whole commit id that is not at the tip of anything.
    Id(Oid),
    /// The beginning of a commit id.
    ShortId(String),
}

/// Finds `reference`: a whole commit id before a branch before a tag before the beginning of a commit id; without one, the default branch.
pub fn choose(offers: &[Offer], reference: Option<&GitRef>) -> Result<Wanted> {
    let find = |name: &str| offers.iter().find(|offer| offer.name == name);
    let Some(reference) = reference.map(GitRef::as_str).filter(|text| *text != "HEAD") else {
        return choose_default(offers);
    };
    let is_hex = reference.bytes().all(|byte| byte.is_ascii_hexdigit());
    // As in Git, 40 digits are a commit even if something is called so: a pinned commit must not become a branch.
    if let (true, 40, Ok(id)) = (is_hex, reference.len(), Oid::from_str(reference)) {
        let tip = offers.iter().find(|offer| offer.id == id && !offer.name.ends_with(PEELED));
        return Ok(tip.map_or(Wanted::Id(id), |offer| Wanted::Offered {
            name: offer.name.clone(),
            commit: id,
        }));
    }
    for name in [format!("{HEADS}{reference}"), format!("{TAGS}{reference}"), reference.to_owned()] {
        if let Some(offer) = find(&name) {
            let commit = find(&format!("{name}{PEELED}")).unwrap_or(offer).id;
            return Ok(Wanted::Offered { name, commit });
        }
    }
    if is_hex && (7..40).contains(&reference.len()) {
        return Ok(Wanted::ShortId(reference.to_lowercase()));
    }
    Err(missing(offers, reference))
}

fn choose_default(offers: &[Offer]) -> Result<Wanted> {
    let offered = |offer: &Offer| Wanted::Offered {
        name: offer.name.clone(),
        commit: offer.id,
    };
    if let Some(offer) = default_branch(offers).and_then(|name| offers.iter().find(|offer| offer.name == name)) {
        return Ok(offered(offer));
    }
    if let Some(head) = offers.iter().find(|offer| offer.name == "HEAD") {
        return Ok(offered(head));
    }
    let names = branches(offers).map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    Err(Error::invalid(
        "branch",
        format!("the repository has no default branch; choose one of {}", quoted(&names)),
    ))
}

/// The full name of the branch that `HEAD` is. Old servers do not say, so it is the likeliest with the same commit.
pub fn default_branch(offers: &[Offer]) -> Option<String> {
    let head = offers.iter().find(|offer| offer.name == "HEAD")?;
    if let Some(name) = &head.points_to {
        return Some(name.clone());
    }
    let same: Vec<&str> = branches(offers).filter(|(_, id)| *id == head.id).map(|(name, _)| name).collect();
    let likely = ["main", "master"].into_iter().find(|name| same.contains(name));
    likely.or_else(|| same.first().copied()).map(|name| format!("{HEADS}{name}"))
}

/// Every branch and its commit.
pub fn branches(offers: &[Offer]) -> impl Iterator<Item = (&str, Oid)> {
    offers.iter().filter_map(|offer| Some((offer.name.strip_prefix(HEADS)?, offer.id)))
}

/// The error for a name that is not there, with the names that it might have meant.
pub fn missing(offers: &[Offer], reference: &str) -> Error {
    let mut names: Vec<(f64, String)> = offers
        .iter()
        .filter_map(|offer| offer.name.strip_prefix(HEADS).or_else(|| offer.name.strip_prefix(TAGS)))
        .filter(|name| !name.ends_with(PEELED))
        .map(|name| {
            (
                strsim::jaro_winkler(&name.to_lowercase(), &reference.to_lowercase()),
                name.to_owned(),
            )
        })
        .collect();
    names.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    names.dedup_by(|one, other| one.1 == other.1);
    let few = names.len() <= MOST_SIMILAR;
    let similar: Vec<String> = names
        .into_iter()
        .filter(|(likeness, _)| few || *likeness > 0.7)
        .map(|(_, name)| name)
        .take(MOST_SIMILAR)
        .collect();
    let hint = match (similar.is_empty(), few) {
        (true, _) => String::new(),
        (false, true) => format!("; there is {}", quoted(&similar)),
        (false, false) => format!("; similar: {}", quoted(&similar)),
    };
    Error::invalid(
        "branch",
        format!("there is no branch, tag or commit `{reference}` in the repository{hint}"),
    )
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn id(digit: char) -> Oid {
        Oid::from_str(&digit.to_string().repeat(40)).unwrap()
    }

    fn offers(list: &[(&str, char)]) -> Vec<Offer> {
        list.iter()
            .map(|(name, digit)| Offer {
                name: (*name).to_owned(),
                id: id(*digit),
                points_to: None,
            })
            .collect()
    }

    fn check(list: &[(&str, char)], reference: Option<&str>, expected: Result<(&str, char), &str>) {
        let reference = reference.map(|text| text.parse().unwrap());
        match (choose(&offers(list), reference.as_ref()), expected) {
            (Ok(Wanted::Offered { name, commit }), Ok(expected)) => assert_eq!((name.as_str(), commit), (expected.0, id(expected.1))),
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn names() {
        let list = [
            ("HEAD", 'a'),
            ("refs/heads/dev", 'b'),
            ("refs/heads/main", 'a'),
            ("refs/heads/v1", 'c'),
            ("refs/pull/1/head", '9'),
            ("refs/tags/v1", 'd'),
            ("refs/tags/v2", 'e'),
            ("refs/tags/v2^{}", 'f'),
        ];
        check(&list, None, Ok(("refs/heads/main", 'a')));
        check(&list, Some("HEAD"), Ok(("refs/heads/main", 'a')));
        check(&list, Some("dev"), Ok(("refs/heads/dev", 'b')));
        check(&list, Some("v1"), Ok(("refs/heads/v1", 'c')));
        check(&list, Some("v2"), Ok(("refs/tags/v2", 'f')));
        check(&list, Some("refs/tags/v1"), Ok(("refs/tags/v1", 'd')));
        check(&list, Some("refs/pull/1/head"), Ok(("refs/pull/1/head", '9')));
        check(&list, Some(&"b".repeat(40)), Ok(("refs/heads/dev", 'b')));
        let whole = choose(&offers(&list), Some(&"1".repeat(40).parse().unwrap())).unwrap();
        assert_eq!(whole, Wanted::Id(id('1')));
        let short = choose(&offers(&list), Some(&"ABCDEF1".parse().unwrap())).unwrap();
        assert_eq!(short, Wanted::ShortId("abcdef1".into()));
        check(
            &list,
            Some("devel"),
            Err("branch: there is no branch, tag or commit `devel` in the repository; there is `dev`, `main`, `v1`, `v2`"),
        );
    }

    #[test]
    fn similar_names_of_many() {
        let many = [
            "main",
            "master",
            "feature/login",
            "feature/logout",
            "release-1",
            "release-2",
            "hotfix",
        ];
        let names: Vec<String> = many.iter().map(|name| format!("refs/heads/{name}")).collect();
        let list: Vec<(&str, char)> = names.iter().map(|name| (name.as_str(), 'a')).collect();
        check(
            &list,
            Some("feature/logon"),
            Err("branch: there is no branch, tag or commit `feature/logon` in the repository; similar: `feature/login`, `feature/logout`"),
        );
        check(
            &list,
            Some("zzz"),
            Err("branch: there is no branch, tag or commit `zzz` in the repository"),
        );
    }

    #[test]
    fn default_branches() {
        check(
            &[("HEAD", 'a'), ("refs/heads/a", 'a'), ("refs/heads/master", 'a')],
            None,
            Ok(("refs/heads/master", 'a')),
        );
        check(&[("HEAD", 'a'), ("refs/heads/b", 'b')], None, Ok(("HEAD", 'a')));
        check(
            &[("refs/heads/b", 'b'), ("refs/heads/c", 'c')],
            None,
            Err("branch: the repository has no default branch; choose one of `b`, `c`"),
        );
    }
}

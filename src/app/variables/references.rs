//! `${NAME}` in a value stands for another variable, `${APP.NAME}` for one of another app in the same environment.
//!
//! A name that is not there is left as it is written, so that values which merely look like references stay byte for
//! byte. `$${NAME}` is `${NAME}` itself, where there is such a name. A variable that names itself means the one that it
//! takes the place of, from farther away: `PATHS=${PATHS}:/more`. Other apps are only referred to by values whose writer was
//! allowed to see their secrets ([`Given::refers`]).

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};
use types::{AppName, Error, Result, VariableKey};

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// `None`: bytes that are no text. They stand for themselves and cannot be named.
    pub text: Option<String>,
    pub secret: bool,
    /// Other apps that it may refer to.
    pub refers: Vec<AppName>,
}

/// A value with what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// `None`: as it was written.
    pub text: Option<String>,
    /// It is, or something in it is.
    pub secret: bool,
    /// What is written in it like a reference and stays, because there is no such variable, with why.
    pub missing: Vec<String>,
}

/// What was written, by name.
pub(crate) type Level = BTreeMap<VariableKey, Given>;

/// What another app of the environment has, from the nearest to the farthest. `None`: there is none of that name.
pub(crate) type Others<'a> = &'a dyn Fn(&AppName) -> Result<Option<Vec<Level>>>;

/// More than this no container could start with.
const LONGEST: usize = 120 << 10;

/// What stands between `${` and `}`.
enum Name {
    Own(VariableKey),
    Of(AppName, VariableKey),
}

impl Name {
    fn read(text: &str) -> Option<Name> {
        match text.rsplit_once('.') {
            Some((app, key)) => Some(Name::Of(app.parse().ok()?, key.parse().ok()?)),
            None => Some(Name::Own(text.parse().ok()?)),
        }
    }

    /// Which apps a value may refer to is settled when it is set.
    fn why_missing(&self, refers: &[AppName]) -> &'static str {
        match self {
            Name::Of(app, _) if !refers.contains(app) => "which was not there when it was set",
            _ => "which is not there",
        }
    }
}

/// Other apps that a value names.
pub(crate) fn apps_named(text: &str) -> BTreeSet<AppName> {
    let parts = text.split("${").skip(1);
    let named = parts.filter_map(|part| Name::read(part.split_once('}')?.0));
    let of = named.filter_map(|name| match name {
        Name::Of(app, _) => Some(app),
        Name::Own(_) => None,
    });
    of.collect()
}

/// Everything that the app `own` is to have, resolved; `levels` from the nearest to the farthest. Fails with `Invalid` for values
/// that refer to each other in a circle, or grow too long.
pub(crate) fn resolve(own: &AppName, levels: &[&Level], others: Others<'_>) -> Result<BTreeMap<VariableKey, Resolved>> {
    let mut resolver = Resolver {
        spaces: vec![Space {
            app: own.clone(),
            levels: levels.iter().map(|level| Cow::Borrowed(*level)).collect(),
        }],
        others,
        known: HashMap::new(),
        under_way: Vec::new(),
    };
    let mut all = BTreeMap::new();
    for key in levels.iter().flat_map(|level| level.keys()) {
        if !all.contains_key(key)
            && let Some(resolved) = resolver.value(0, key, 0)?
        {
            all.insert(key.clone(), resolved);
        }
    }
    Ok(all)
}

/// What one app has.
struct Space<'a> {
    app: AppName,
    levels: Vec<Cow<'a, Level>>,
}

/// A variable: in which space, its name, at which level.
type Place = (usize, VariableKey, usize);

struct Resolver<'a> {
    /// The first is of the app that is resolved.
    spaces: Vec<Space<'a>>,
    others: Others<'a>,
    known: HashMap<Place, Resolved>,
    under_way: Vec<Place>,
}

impl Resolver<'_> {
    /// The value of a name, from a level on.
    fn value(&mut self, space: usize, key: &VariableKey, from: usize) -> Result<Option<Resolved>> {
        let levels = &self.spaces[space].levels;
        let found = (from..levels.len()).find_map(|at| Some((at, levels[at].get(key)?)));
        let Some((at, given)) = found else { return Ok(None) };
        let place = (space, key.clone(), at);
        if let Some(resolved) = self.known.get(&place) {
            return Ok(Some(resolved.clone()));
        }
        if let Some(begin) = self.under_way.iter().position(|one| *one == place) {
            let names: Vec<String> = self.under_way[begin..].iter().chain([&place]).map(|one| self.words(one)).collect();
            return Err(Error::invalid(
                key.as_str(),
                format!("refers to itself in a circle: {}", names.join(" → ")),
            ));
        }
        let resolved = match given.text.as_ref().is_some_and(|text| text.contains("${")) {
            true => {
                let given = given.clone();
                self.under_way.push(place.clone());
                let filled = self.filled(&place, given)?;
                self.under_way.pop();
                filled
            }
            false => Resolved {
                text: None,
                secret: given.secret,
                missing: Vec::new(),
            },
        };
        self.known.insert(place, resolved.clone());
        Ok(Some(resolved))
    }

    fn words(&self, (space, key, _): &Place) -> String {
        match space {
            0 => key.to_string(),
            other => format!("{}.{key}", self.spaces[*other].app),
        }
    }

    fn filled(&mut self, place: &Place, given: Given) -> Result<Resolved> {
        let text = given.text.unwrap_or_default();
        let mut secret = given.secret;
        let mut missing = Vec::new();
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(begin) = rest.find("${") {
            let (before, after) = rest.split_at(begin);
            let name = after[2..]
                .split_once('}')
                .and_then(|(name, _)| Some((name.len() + 3, Name::read(name)?)));
            let Some((whole, name)) = name else {
                out.push_str(before);
                out.push_str("${");
                rest = &after[2..];
                continue;
            };
            let why = name.why_missing(&given.refers);
            match (before.strip_suffix('$'), self.meant(place, name, &given.refers)?) {
                (Some(before), Some(_)) => {
                    out.push_str(before);
                    out.push_str(&after[..whole]);
                }
                (None, Some((space, key, from))) => {
                    out.push_str(before);
                    let other = self.value(space, &key, from)?;
                    secret |= other.as_ref().is_some_and(|other| other.secret);
                    out.push_str(&self.text_of(space, &key, from, other)?);
                }
                (escaped, None) => {
                    if escaped.is_none() && self.looks_meant(&after[2..whole - 1]) {
                        missing.push(format!("{}, {why}", &after[..whole]));
                    }
                    out.push_str(before);
                    out.push_str(&after[..whole]);
                }
            }
            if out.len() > LONGEST {
                return Err(Error::invalid(
                    place.1.as_str(),
                    format!("is longer than {} KiB with what it refers to", LONGEST >> 10),
                ));
            }
            rest = &after[whole..];
        }
        out.push_str(rest);
        Ok(Resolved {
            text: Some(out),
            secret,
            missing,
        })
    }

    /// Whether somebody most likely meant a variable by a name that there is none of: variables are written in capitals, or it is one
    /// but for those. The rest may well be of a text with places of its own, such as `${user.name}` in a template.
    fn looks_meant(&self, name: &str) -> bool {
        let key = name.rsplit_once('.').map_or(name, |(_, key)| key);
        let mut all = self.spaces.iter().flat_map(|space| &space.levels).flat_map(|level| level.keys());
        !key.bytes().any(|byte| byte.is_ascii_lowercase()) || all.any(|known| known.as_str().eq_ignore_ascii_case(key))
    }

    /// Which variable a name in the value of another one means, and from which level on it is looked for. `None`: there is none.
    fn meant(&mut self, (space, own, at): &Place, name: Name, refers: &[AppName]) -> Result<Option<Place>> {
        let (space, key, from) = match name {
            // Itself is what it takes the place of.
            Name::Own(key) if key == *own => (*space, key, at + 1),
            Name::Own(key) => (*space, key, 0),
            Name::Of(app, key) => match self.space_of(&app, refers)? {
                Some(space) => (space, key, 0),
                None => return Ok(None),
            },
        };
        let levels = &self.spaces[space].levels;
        let is_there = levels[from.min(levels.len())..].iter().any(|level| level.contains_key(&key));
        Ok(is_there.then_some((space, key, from)))
    }

    fn space_of(&mut self, app: &AppName, refers: &[AppName]) -> Result<Option<usize>> {
        if !refers.contains(app) {
            return Ok(None);
        }
        if let Some(known) = self.spaces.iter().position(|space| space.app == *app) {
            return Ok(Some(known));
        }
        let Some(levels) = (self.others)(app)? else { return Ok(None) };
        self.spaces.push(Space {
            app: app.clone(),
            levels: levels.into_iter().map(Cow::Owned).collect(),
        });
        Ok(Some(self.spaces.len() - 1))
    }

    fn text_of(&self, space: usize, name: &VariableKey, from: usize, resolved: Option<Resolved>) -> Result<String> {
        if let Some(text) = resolved.and_then(|resolved| resolved.text) {
            return Ok(text);
        }
        let given = self.spaces[space].levels[from..].iter().find_map(|level| level.get(name));
        given
            .and_then(|given| given.text.clone())
            .ok_or_else(|| Error::invalid(name.as_str(), "is not text, so nothing can refer to it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(pairs: &[(&str, &str)]) -> Level {
        let given = |text: &str| Given {
            text: Some(text.trim_start_matches("secret:").to_owned()),
            secret: text.starts_with("secret:"),
            refers: ["db", "app", "cache"].map(|name| name.parse().expect("a name")).to_vec(),
        };
        pairs
            .iter()
            .map(|(key, text)| (key.parse().expect("a name"), given(text)))
            .collect()
    }

    fn name(text: &str) -> AppName {
        text.parse().expect("a name")
    }

    /// The value of `A` of `app` beside two other apps, one of which is `hidden` from it.
    fn beside(own: &[(&str, &str)]) -> Result<(String, bool)> {
        let shared = level(&[("SHARED", "${db.USER}-of-all")]);
        let others = |app: &AppName| {
            Ok(match app.as_str() {
                "db" => Some(vec![
                    level(&[
                        ("USER", "ada"),
                        ("PASSWORD", "secret:x${SALT}"),
                        ("SALT", "y"),
                        ("BACK", "${app.A}"),
                    ]),
                    shared.clone(),
                ]),
                "cache" => Some(vec![level(&[("URL", "redis://${db.USER}@cache")]), shared.clone()]),
                "hidden" => Some(vec![level(&[("KEY", "secret:z")])]),
                _ => None,
            })
        };
        let levels = [level(own), shared.clone()];
        let key = "A".parse().expect("a name");
        let resolved = resolve(&name("app"), &levels.iter().collect::<Vec<_>>(), &others)?
            .remove(&key)
            .expect("it is there");
        let written = levels[0][&key].text.clone();
        Ok((resolved.text.or(written).unwrap_or_default(), resolved.secret))
    }

    #[test]
    fn variables_of_other_apps() {
        for (written, expected, secret) in [
            ("pg://${db.USER}:${db.PASSWORD}@db", "pg://ada:xy@db", true),
            ("${cache.URL}/0", "redis://ada@cache/0", false),
            ("${SHARED} ${db.SHARED}", "ada-of-all ada-of-all", false),
            ("${app.B}", "own", false),
            // What is not there, and what nobody may refer to, stays as it is written.
            (
                "${db.NONE} ${none.USER} ${hidden.KEY} ${db.} ${.USER}",
                "${db.NONE} ${none.USER} ${hidden.KEY} ${db.} ${.USER}",
                false,
            ),
            ("$${db.USER} $${db.NONE}", "${db.USER} $${db.NONE}", false),
        ] {
            let found = beside(&[("A", written), ("B", "own")]).expect("no circle");
            assert_eq!(found, (expected.to_owned(), secret), "{written}");
        }
        let why = beside(&[("A", "${db.BACK}")]).expect_err("a circle").to_string();
        assert!(why.contains("A → db.BACK → A"), "{why}");
        let named: Vec<String> = apps_named("${db.A} $${x-1.B} ${C} ${Bad.D} ${e.1} ${db.F}")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(named, ["db", "x-1"]);
    }

    /// The value of `A`, and whether it is secret.
    fn value(levels: &[&[(&str, &str)]]) -> Result<(String, bool)> {
        let levels: Vec<Level> = levels.iter().map(|pairs| level(pairs)).collect();
        let levels: Vec<&Level> = levels.iter().collect();
        let key = "A".parse().expect("a name");
        let resolved = resolve(&name("app"), &levels, &|_| Ok(None))?.remove(&key).expect("it is there");
        let written = levels.iter().find_map(|level| level.get(&key)).and_then(|given| given.text.clone());
        Ok((resolved.text.or(written).unwrap_or_default(), resolved.secret))
    }

    #[test]
    fn references_are_replaced() {
        for (levels, expected) in [
            (&[&[("A", "x${B}y${B}"), ("B", "1")][..]][..], "x1y1"),
            (&[&[("A", "${B}"), ("B", "${C}!"), ("C", "deep")]], "deep!"),
            // The nearer one, also for what is farther away.
            (&[&[("B", "near")], &[("A", "${B}"), ("B", "far")]], "near"),
            // Itself: what it takes the place of.
            (&[&[("A", "${A}:/more")], &[("A", "/usr")]], "/usr:/more"),
            (&[&[("A", "${A}3")], &[("A", "${A}2")], &[("A", "1")]], "123"),
            // What is no reference stays.
            (
                &[&[("A", "${MISSING} $B ${} ${1} ${B ${b-c} $"), ("B", "1")]],
                "${MISSING} $B ${} ${1} ${B ${b-c} $",
            ),
            (&[&[("A", "$${B} $${MISSING} $$${B}"), ("B", "1")]], "${B} $${MISSING} $${B}"),
            (&[&[("A", "${A}")]], "${A}"),
            (&[&[("A", "ž${B}🐎"), ("B", "\n\"'`")]], "ž\n\"'`🐎"),
        ] {
            assert_eq!(value(levels).expect("no circle").0, expected, "{levels:?}");
        }
    }

    #[test]
    fn names_that_are_not_there_are_noted() {
        let missing = |written: &str| {
            let levels = [level(&[("A", written), ("B", "1"), ("lower", "2")])];
            let others = |app: &AppName| Ok((app.as_str() == "db").then(|| vec![level(&[("USER", "ada")])]));
            let key = "A".parse().expect("a name");
            let mut all = resolve(&name("app"), &levels.iter().collect::<Vec<_>>(), &others).expect("no circle");
            all.remove(&key).expect("it is there").missing
        };
        for (written, noted) in [
            ("${NOPE}", "${NOPE}, which is not there"),
            ("pg://${db.NOPE}@db", "${db.NOPE}, which is not there"),
            ("${A}:/more", "${A}, which is not there"),
            ("${gone.USER}", "${gone.USER}, which was not there when it was set"),
            // But for capitals.
            ("${b} ${B}", "${b}, which is not there"),
            ("${db.user}", "${db.user}, which is not there"),
        ] {
            assert_eq!(missing(written), [noted], "{written}");
        }
        for fine in [
            "${B} ${db.USER} $NOPE",
            "$${NOPE}",
            "${1} ${} ${b-c} ${B:-x} ${",
            "${user.name} ${item}",
            "plain",
        ] {
            assert!(missing(fine).is_empty(), "{fine}");
        }
        assert_eq!(missing("${X}${Y}").len(), 2);
    }

    #[test]
    fn what_holds_a_secret_is_one() {
        assert!(value(&[&[("A", "${B}"), ("B", "${C}"), ("C", "secret:x")]]).expect("no circle").1);
        assert!(!value(&[&[("A", "$${C}"), ("C", "secret:x")]]).expect("no circle").1);
        assert!(value(&[&[("A", "secret:x")]]).expect("no circle").1);
    }

    #[test]
    fn circles_are_named() {
        let why = |levels: &[&[(&str, &str)]]| value(levels).expect_err("a circle").to_string();
        assert_eq!(
            why(&[&[("A", "${B}"), ("B", "${A}")]]),
            "A: refers to itself in a circle: A → B → A"
        );
        assert!(why(&[&[("A", "${B}"), ("B", "${C}"), ("C", "${B}")]]).contains("B → C → B"));
        assert!(why(&[&[("A", "${B}")], &[("B", "${A}"), ("A", "1")]]).contains("A → B → A"));
    }

    #[test]
    fn what_grows_without_end_ends() {
        let text: String = "x".repeat(1000);
        let ten = |name: &str| format!("${{{name}}}").repeat(10);
        let (a, b, c) = (ten("B"), ten("C"), ten("D"));
        let why = value(&[&[("A", &a), ("B", &b), ("C", &c), ("D", &text)]]).expect_err("a megabyte");
        assert!(why.to_string().contains("longer than 120 KiB"), "{why}");
    }
}

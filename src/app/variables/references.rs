//! `${NAME}` in a value stands for another variable.
//!
//! A name that is not there is left as it is written, so that values which merely look like references stay byte for
//! byte. `$${NAME}` is `${NAME}` itself, where there is such a name. A variable that names itself means the one that it
//! takes the place of, from farther away: `PATHS=${PATHS}:/more`.

use std::collections::{BTreeMap, HashMap};
use types::{Error, Result, VariableKey};

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// `None`: bytes that are no text. They stand for themselves and cannot be named.
    pub text: Option<String>,
    pub secret: bool,
}

/// A value with what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// `None`: as it was written.
    pub text: Option<String>,
    /// It is, or something in it is.
    pub secret: bool,
}

/// What was written, by name.
pub(crate) type Level = BTreeMap<VariableKey, Given>;

/// More than this no container could start with.
const LONGEST: usize = 120 << 10;

/// Everything that is to be had, resolved; `levels` from the nearest to the farthest. Fails with `Invalid` for values
/// that refer to each other in a circle, or grow too long.
pub(crate) fn resolve(levels: &[&Level]) -> Result<BTreeMap<VariableKey, Resolved>> {
    let mut resolver = Resolver {
        levels,
        known: HashMap::new(),
        under_way: Vec::new(),
    };
    let mut all = BTreeMap::new();
    for key in levels.iter().flat_map(|level| level.keys()) {
        if !all.contains_key(key)
            && let Some(resolved) = resolver.value(key, 0)?
        {
            all.insert(key.clone(), resolved);
        }
    }
    Ok(all)
}

struct Resolver<'a> {
    levels: &'a [&'a Level],
    known: HashMap<(VariableKey, usize), Resolved>,
    under_way: Vec<(VariableKey, usize)>,
}

impl Resolver<'_> {
    /// The value of a name, from a level on.
    fn value(&mut self, key: &VariableKey, from: usize) -> Result<Option<Resolved>> {
        let found = (from..self.levels.len()).find_map(|at| Some((at, self.levels[at].get(key)?)));
        let Some((at, given)) = found else { return Ok(None) };
        let place = (key.clone(), at);
        if let Some(resolved) = self.known.get(&place) {
            return Ok(Some(resolved.clone()));
        }
        if let Some(begin) = self.under_way.iter().position(|one| *one == place) {
            let names: Vec<&str> = self.under_way[begin..]
                .iter()
                .map(|(key, _)| key.as_str())
                .chain([key.as_str()])
                .collect();
            return Err(Error::invalid(
                key.as_str(),
                format!("refers to itself in a circle: {}", names.join(" → ")),
            ));
        }
        let resolved = match &given.text {
            Some(text) if text.contains("${") => {
                self.under_way.push(place.clone());
                let filled = self.filled(key, at, text, given.secret)?;
                self.under_way.pop();
                filled
            }
            _ => Resolved {
                text: None,
                secret: given.secret,
            },
        };
        self.known.insert(place, resolved.clone());
        Ok(Some(resolved))
    }

    fn filled(&mut self, key: &VariableKey, at: usize, text: &str, mut secret: bool) -> Result<Resolved> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(begin) = rest.find("${") {
            let (before, after) = rest.split_at(begin);
            let name = after[2..].split_once('}').and_then(|(name, _)| name.parse::<VariableKey>().ok());
            let Some(name) = name else {
                out.push_str(before);
                out.push_str("${");
                rest = &after[2..];
                continue;
            };
            let whole = name.as_str().len() + 3;
            // Itself is what it takes the place of.
            let from = if name == *key { at + 1 } else { 0 };
            let is_known = self.levels[from.min(self.levels.len())..]
                .iter()
                .any(|level| level.contains_key(&name));
            match before.strip_suffix('$') {
                Some(before) if is_known => {
                    out.push_str(before);
                    out.push_str(&after[..whole]);
                }
                _ if is_known => {
                    out.push_str(before);
                    let other = self.value(&name, from)?;
                    secret |= other.as_ref().is_some_and(|other| other.secret);
                    out.push_str(&self.text_of(&name, from, other)?);
                }
                _ => {
                    out.push_str(before);
                    out.push_str(&after[..whole]);
                }
            }
            if out.len() > LONGEST {
                return Err(Error::invalid(
                    key.as_str(),
                    format!("is longer than {} KiB with what it refers to", LONGEST >> 10),
                ));
            }
            rest = &after[whole..];
        }
        out.push_str(rest);
        Ok(Resolved { text: Some(out), secret })
    }

    fn text_of(&self, name: &VariableKey, from: usize, resolved: Option<Resolved>) -> Result<String> {
        if let Some(text) = resolved.and_then(|resolved| resolved.text) {
            return Ok(text);
        }
        let given = self.levels[from..].iter().find_map(|level| level.get(name));
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
        };
        pairs
            .iter()
            .map(|(key, text)| (key.parse().expect("a name"), given(text)))
            .collect()
    }

    /// The value of `A`, and whether it is secret.
    fn value(levels: &[&[(&str, &str)]]) -> Result<(String, bool)> {
        let levels: Vec<Level> = levels.iter().map(|pairs| level(pairs)).collect();
        let levels: Vec<&Level> = levels.iter().collect();
        let key = "A".parse().expect("a name");
        let resolved = resolve(&levels)?.remove(&key).expect("it is there");
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

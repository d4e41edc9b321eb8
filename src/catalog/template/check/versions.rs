//! The versions that a template offers, and their places in its Compose file.

use super::Checker;
use crate::template::{Version, versions::places};
use regex::Regex;
use std::collections::BTreeSet;

impl Checker<'_> {
    /// What there is to choose from.
    pub(super) fn versions(&mut self, compose: &str) {
        let template = self.template;
        let name = Regex::new(r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,30}$").expect("a literal pattern");
        let key = Regex::new(r"^[a-z][a-z0-9_]{0,30}$").expect("a literal pattern");
        let mut seen = BTreeSet::new();
        let keys = |version: &Version| version.set.keys().cloned().collect::<BTreeSet<_>>();
        let first = template.versions.first().map(keys).unwrap_or_default();
        for version in &template.versions {
            let own = &version.name;
            self.unless(
                name.is_match(own),
                format!("versions: `{own}` must be 1 to 31 of letters, digits, ., +, _ and -"),
            );
            self.unless(seen.insert(own), format!("versions: `{own}` is there twice"));
            let notes = version.notes.as_deref().unwrap_or("said");
            self.unless(
                !notes.trim().is_empty() && notes.chars().count() <= 80 && !notes.contains('\n'),
                format!("versions: the notes of `{own}` must be one line of at most 80 letters"),
            );
            self.unless(
                keys(version) == first,
                format!("versions: `{own}` must set the same keys as the first one"),
            );
            for (set, value) in &version.set {
                self.unless(
                    key.is_match(set),
                    format!("versions: the key `{set}` must be of a-z, 0-9 and _, with a letter first"),
                );
                self.unless(
                    !value.is_empty() && !value.contains(['\n', '{', '}', '$', '"', '\'', '#']),
                    format!("versions: `{set}` of `{own}` must be plain text of one line"),
                );
            }
            self.unless(
                !version.takes_over.contains(own),
                format!("versions: `{own}` takes over from others, not from itself"),
            );
        }
        let used: BTreeSet<&str> = places(compose).into_iter().collect();
        for set in &first {
            self.unless(
                used.contains(set.as_str()),
                format!("versions: compose.yaml has no `{{{{ version.{set} }}}}`"),
            );
        }
        for place in used {
            self.unless(
                first.contains(place),
                format!("compose.yaml uses `{{{{ version.{place} }}}}`, which versions do not set"),
            );
        }
    }
}

//! Patterns for branches, tags and paths.

use globset::{GlobBuilder, GlobMatcher};
use types::{Error, Result};

/// More than this no person keeps in view.
const MOST: usize = 100;
const LONGEST: usize = 500;

/// A list of patterns, of which the last that fits a name decides.
#[derive(Debug)]
pub struct Filter {
    /// Whether it takes in, and what.
    patterns: Vec<(bool, GlobMatcher)>,
    /// What holds for a name that nothing fits.
    otherwise: bool,
}

impl Filter {
    /// For names of branches and tags.
    pub fn of_names(field: &str, patterns: &[String]) -> Result<Filter> {
        Filter::parse(field, patterns, |text| vec![text.to_owned()])
    }

    /// For files: a folder stands for everything in it.
    pub fn of_paths(field: &str, patterns: &[String]) -> Result<Filter> {
        Filter::parse(field, patterns, |text| {
            let text = text.strip_prefix("./").unwrap_or(text).trim_start_matches('/');
            match text.strip_suffix('/') {
                Some(folder) => vec![format!("{folder}/**")],
                None => vec![text.to_owned(), format!("{text}/**")],
            }
        })
    }

    fn parse(field: &str, patterns: &[String], spell: impl Fn(&str) -> Vec<String>) -> Result<Filter> {
        if patterns.len() > MOST {
            return Err(Error::invalid(field, format!("at most {MOST} patterns")));
        }
        let mut parsed = Vec::new();
        for pattern in patterns {
            let text = pattern.trim();
            let (takes, text) = text.strip_prefix('!').map_or((true, text), |rest| (false, rest.trim()));
            if text.is_empty() || text.len() > LONGEST {
                return Err(Error::invalid(
                    field,
                    format!("`{pattern}` is no pattern: it is empty or longer than {LONGEST} bytes"),
                ));
            }
            for text in spell(text) {
                let glob = GlobBuilder::new(&text).literal_separator(true).backslash_escape(true).build();
                let glob = glob.map_err(|error| Error::invalid(field, format!("`{pattern}` is no pattern: {}", error.kind())))?;
                parsed.push((takes, glob.compile_matcher()));
            }
        }
        // A list that begins by taking out means everything else.
        let otherwise = parsed.first().is_none_or(|(takes, _)| !takes);
        Ok(Filter {
            patterns: parsed,
            otherwise,
        })
    }

    pub fn takes(&self, name: &str) -> bool {
        let decides = self.patterns.iter().rev().find(|(_, glob)| glob.is_match(name));
        decides.map_or(self.otherwise, |(takes, _)| *takes)
    }
}

/// Whether a commit's message says that it should not be deployed.
pub fn asks_to_skip(message: &str) -> bool {
    let message = message.to_lowercase();
    ["[skip deploy]", "[deploy skip]", "[no deploy]", "[skip serverkit]"]
        .iter()
        .any(|mark| message.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn branches() {
        for (patterns, takes, not) in [
            (&["main"][..], &["main"][..], &["mai", "main2", "x/main"][..]),
            (&["release/*"], &["release/1"], &["release", "release/1/2"]),
            (&["release/**"], &["release/1", "release/1/2"], &["main"]),
            (&["*", "!wip-*"], &["main", "dev"], &["wip-x", "a/b"]),
            (&["!dev"], &["main", "a/b"], &["dev"]),
            (&["v[0-9]*.{0,1}"], &["v1.0", "v12.1"], &["v1.2", "x"]),
        ] {
            let filter = Filter::of_names("branches", &texts(patterns)).expect("patterns");
            takes.iter().for_each(|name| assert!(filter.takes(name), "{patterns:?} {name}"));
            not.iter().for_each(|name| assert!(!filter.takes(name), "{patterns:?} {name}"));
        }
    }

    #[test]
    fn paths() {
        for (patterns, takes, not) in [
            (
                &["services/web"][..],
                &["services/web/a/b.js", "services/web"][..],
                &["services/webs/a", "web/a"][..],
            ),
            (&["/services/web/"], &["services/web/a"], &["services/web2/a"]),
            (&["**/*.rs"], &["a.rs", "x/y/b.rs"], &["a.rsx"]),
            (
                &["src", "!src/docs", "src/docs/keep.md"],
                &["src/a", "src/docs/keep.md"],
                &["src/docs/x", "README"],
            ),
            (&["!docs", "!*.md"], &["src/a", "a/b.md"], &["docs/x", "README.md"]),
            (&["packages/{ui,api}"], &["packages/ui/x"], &["packages/db/x"]),
        ] {
            let filter = Filter::of_paths("paths", &texts(patterns)).expect("patterns");
            takes.iter().for_each(|name| assert!(filter.takes(name), "{patterns:?} {name}"));
            not.iter().for_each(|name| assert!(!filter.takes(name), "{patterns:?} {name}"));
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for pattern in ["", "!", " ", "[", "{a", "a[z-a]"] {
            let error = Filter::of_paths("paths", &texts(&[pattern])).expect_err(pattern).to_string();
            assert!(error.starts_with("paths: ") && error.contains("is no pattern"), "{error}");
        }
        assert!(Filter::of_names("tags", &vec!["a".to_owned(); 101]).is_err());
    }

    #[test]
    fn marks_in_messages() {
        assert!(asks_to_skip("Fix words\n\n[Skip Deploy]") && !asks_to_skip("skip deploy"));
    }
}

//! Which requests a rule is for.

use crate::{Error, HeaderField, Result, is_below, policies::check_method};
use serde::{Deserialize, Serialize};

/// All of it must fit. The default fits every request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestMatch {
    pub path: PathMatch,
    /// Any of these; empty: every method.
    pub methods: Vec<String>,
    /// All of these.
    pub headers: Vec<HeaderMatch>,
}

/// Compared with the path as [`crate::normal_path`] makes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "path")]
pub enum PathMatch {
    #[default]
    Any,
    /// `/api` is for `/api` and all below it, not for `/apix`.
    Prefix(String),
    Exact(String),
}

impl PathMatch {
    /// What is more exact weighs more.
    pub(crate) fn weight(&self) -> (bool, usize) {
        match self {
            PathMatch::Any => (false, 0),
            PathMatch::Prefix(path) => (false, path.trim_end_matches('/').len()),
            PathMatch::Exact(path) => (true, path.len()),
        }
    }
    pub fn fits(&self, path: &str) -> bool {
        match self {
            PathMatch::Any => true,
            PathMatch::Prefix(prefix) => is_below(path, prefix),
            PathMatch::Exact(exact) => path == exact,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    pub name: HeaderField,
    pub test: HeaderTest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "value")]
pub enum HeaderTest {
    Present,
    Absent,
    Equals(String),
    Contains(String),
}

impl HeaderTest {
    /// Over all values that the request has under this name.
    pub fn fits<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> bool {
        match self {
            HeaderTest::Present => values.next().is_some(),
            HeaderTest::Absent => values.next().is_none(),
            HeaderTest::Equals(wanted) => values.any(|value| value == wanted.as_bytes()),
            HeaderTest::Contains(wanted) => {
                wanted.is_empty() || values.any(|value| value.windows(wanted.len()).any(|part| part == wanted.as_bytes()))
            }
        }
    }
}

/// What rules look at. `path` is a normal one.
pub trait Asked {
    fn method(&self) -> &str;
    fn path(&self) -> &str;
    /// All values under a name in lower case.
    fn values<'a>(&'a self, name: &'a str) -> Box<dyn Iterator<Item = &'a [u8]> + 'a>;
}

impl RequestMatch {
    pub(crate) fn check(&self) -> Result<()> {
        if let PathMatch::Prefix(path) | PathMatch::Exact(path) = &self.path
            && (crate::normal_path(path).as_deref() != Some(path.as_str()) || path.len() > 2048)
        {
            return Err(Error::invalid(
                "path",
                "must begin with / and be written plainly: without %, //, . and .. parts, or a query",
            ));
        }
        self.methods.iter().try_for_each(|method| check_method("methods", method))
    }

    /// The first part that does not fit, in words; `None`: all of it does.
    pub fn why_not(&self, asked: &impl Asked) -> Option<String> {
        if !self.path.fits(asked.path()) {
            return Some(match &self.path {
                PathMatch::Prefix(prefix) => format!("the path {} is not below {prefix}", asked.path()),
                PathMatch::Exact(exact) => format!("the path {} is not {exact}", asked.path()),
                PathMatch::Any => "it fits every path".to_owned(),
            });
        }
        if !self.fits_method(asked.method()) {
            return Some(format!("the method {} is not {}", asked.method(), self.methods.join(" or ")));
        }
        let missed = self
            .headers
            .iter()
            .find(|header| !header.test.fits(asked.values(header.name.as_str())))?;
        let name = &missed.name;
        Some(match &missed.test {
            HeaderTest::Present => format!("there is no header {name}"),
            HeaderTest::Absent => format!("there is a header {name}"),
            HeaderTest::Equals(value) => format!("the header {name} is not `{value}`"),
            HeaderTest::Contains(value) => format!("the header {name} does not contain `{value}`"),
        })
    }

    pub fn fits(&self, asked: &impl Asked) -> bool {
        self.path.fits(asked.path())
            && self.fits_method(asked.method())
            && self
                .headers
                .iter()
                .all(|header| header.test.fits(asked.values(header.name.as_str())))
    }

    fn fits_method(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|wanted| wanted == method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request(&'static str, &'static str, Vec<(&'static str, &'static str)>);
    impl Asked for Request {
        fn method(&self) -> &str {
            self.0
        }
        fn path(&self) -> &str {
            self.1
        }
        fn values<'a>(&'a self, name: &'a str) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
            Box::new(self.2.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value.as_bytes()))
        }
    }

    #[test]
    fn every_part_must_fit_and_the_first_that_does_not_is_named() {
        let matches: RequestMatch = serde_json::from_str(
            r#"{"path":{"kind":"prefix","path":"/api"},"methods":["GET","POST"],
                "headers":[{"name":"X-Beta","test":{"kind":"equals","value":"1"}},{"name":"x-old","test":{"kind":"absent"}}]}"#,
        )
        .expect("well-formed");
        let why = |method, path, headers: &[(&'static str, &'static str)]| {
            let request = Request(method, path, headers.to_vec());
            let why = matches.why_not(&request);
            assert_eq!(why.is_none(), matches.fits(&request));
            why.unwrap_or_default()
        };
        assert_eq!(why("GET", "/api/x", &[("x-beta", "1")]), "");
        assert_eq!(why("GET", "/apix", &[]), "the path /apix is not below /api");
        assert_eq!(why("PUT", "/api", &[]), "the method PUT is not GET or POST");
        assert_eq!(why("GET", "/api", &[("x-beta", "2")]), "the header x-beta is not `1`");
        assert_eq!(why("GET", "/api", &[("x-beta", "1"), ("x-old", "")]), "there is a header x-old");
        assert!(RequestMatch::default().fits(&Request("TRACE", "/", vec![])));
    }
}

//! Paths that apps get in place of those that were asked for.

use crate::{Error, Result, encoded_path, is_below, redirects::pattern};
use regex::Regex;
use serde::{Deserialize, Serialize};

/// What an app gets in place of the request's path. The query stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PathChange {
    /// Taken off the front, at the border of a segment; the app is told in `X-Forwarded-Prefix`.
    pub strip_prefix: Option<String>,
    /// Then replaced.
    pub rewrite: Option<Rewrite>,
}

/// A pattern (syntax of the `regex` crate) over a path, and what takes its place: `$1` or `${name}` are its captures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    pub pattern: String,
    pub to: String,
}

impl PathChange {
    pub fn is_none(&self) -> bool {
        *self == PathChange::default()
    }
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(prefix) = &self.strip_prefix
            && crate::normal_path(prefix).as_deref() != Some(prefix.as_str())
        {
            return Err(Error::invalid("strip_prefix", "must begin with / and be written plainly"));
        }
        if let Some(rewrite) = &self.rewrite {
            pattern("rewrite", &rewrite.pattern)?;
            if !rewrite.to.starts_with('/') {
                return Err(Error::invalid("rewrite", "must begin with /"));
            }
        }
        Ok(())
    }
}

/// A change of paths, ready to be used.
#[derive(Debug, Clone, Default)]
pub struct CompiledPathChange {
    pub strip_prefix: Option<String>,
    rewrite: Option<(Regex, String)>,
}

impl PathChange {
    /// Fails with `Invalid`.
    pub fn compile(&self) -> Result<CompiledPathChange> {
        self.check()?;
        let rewrite = match &self.rewrite {
            Some(rewrite) => Some((pattern("rewrite", &rewrite.pattern)?, rewrite.to.clone())),
            None => None,
        };
        Ok(CompiledPathChange {
            strip_prefix: self.strip_prefix.as_deref().map(|prefix| prefix.trim_end_matches('/').to_owned()),
            rewrite,
        })
    }
}

impl CompiledPathChange {
    /// Path and query as the app gets them. `uri` is what came, `path` its normal path.
    pub fn apply(&self, uri: &str, path: &str) -> String {
        let (raw, query) = uri.split_at(uri.find('?').unwrap_or(uri.len()));
        let mut changed = match &self.strip_prefix {
            // As it was written, if nothing was spelled otherwise; else the normal path.
            Some(prefix) => match (raw.strip_prefix(prefix.as_str()), raw == path) {
                (Some(rest), true) if rest.is_empty() || rest.starts_with('/') => rest.to_owned(),
                _ if is_below(path, prefix) => encoded_path(path.strip_prefix(prefix.as_str()).unwrap_or(path)),
                _ => raw.to_owned(),
            },
            None => raw.to_owned(),
        };
        if !changed.starts_with('/') {
            changed.insert(0, '/');
        }
        if let Some((pattern, to)) = &self.rewrite {
            let normal = crate::normal_path(&changed).unwrap_or_default();
            if pattern.is_match(&normal) {
                changed = encoded_path(&pattern.replace(&normal, to.as_str()));
            }
        }
        format!("{changed}{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_paths() {
        let change = |strip: Option<&str>, rewrite: Option<(&str, &str)>| {
            let change = PathChange {
                strip_prefix: strip.map(str::to_owned),
                rewrite: rewrite.map(|(pattern, to)| Rewrite {
                    pattern: pattern.to_owned(),
                    to: to.to_owned(),
                }),
            };
            let compiled = change.compile().expect("fits");
            move |uri: &str| compiled.apply(uri, &crate::normal_path(uri).expect("a path"))
        };
        let strip = change(Some("/api"), None);
        for (uri, changed) in [
            ("/api", "/"),
            ("/api?x", "/?x"),
            ("/api/a%20b?c=/d", "/a%20b?c=/d"),
            ("/x/../api/b", "/b"),
            ("/apix", "/apix"),
            ("/%61pi//b", "/b"),
        ] {
            assert_eq!(strip(uri), changed, "{uri}");
        }
        let rewrite = change(Some("/v1"), Some(("^/users/(\\d+)$", "/user?id=$1")));
        assert_eq!(rewrite("/v1/users/7?a"), "/user%3Fid=7?a");
        assert_eq!(rewrite("/v1/other"), "/other");
    }
}

//! Redirects: where a client is sent, and that no request can choose the host.

use crate::{Error, HostPattern, Place, Result, Sends, encoded_path};
use regex::Regex;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// Over the normal path; a request whose path does not fit is left to the next rule. `None`: every path.
    #[serde(default)]
    pub pattern: Option<String>,
    /// An address or a path. `$1` and `${name}` are captures; `{host}` the request's host, `{label}` what stands for the
    /// `*` of a wildcard, `{path}` the path, `{query}` the query with its `?`, `{uri}` path and query as they came.
    pub to: String,
    /// 301, 302, 307 or 308.
    pub status: u16,
}

/// A redirect, ready to be used.
#[derive(Debug, Clone)]
pub struct CompiledRedirect {
    pattern: Option<Regex>,
    to: String,
    pub status: u16,
}

/// Patterns are compiled at most this large, so that none takes the machine's memory.
const PATTERN_BYTES: usize = 1 << 20;

/// Fails with `Invalid` in `field`.
pub fn pattern(field: &str, text: &str) -> Result<Regex> {
    regex::RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| Error::invalid(field, format!("the pattern cannot be used: {}", last_line(&error.to_string()))))
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

impl Redirect {
    /// Fails with `Invalid`, also when a request could choose the host that it leads to.
    pub fn compile(&self) -> Result<CompiledRedirect> {
        let bad = |why: &str| Err(Error::invalid("redirect", why));
        if !matches!(self.status, 301 | 302 | 307 | 308) {
            return bad("the status must be 301, 302, 307 or 308");
        }
        if self.to.is_empty() || self.to.len() > 2048 || self.to.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
            return bad("the address must be printable ASCII without spaces");
        }
        match self.to.split_once("://") {
            Some(("http" | "https", rest)) => {
                let end = ["/", "?", "#", "{uri}", "{path}", "{query}"]
                    .iter()
                    .filter_map(|end| rest.find(end))
                    .min();
                let authority = &rest[..end.unwrap_or(rest.len())];
                let literal = authority.replace("{host}", "h").replace("{label}", "l");
                if literal.is_empty()
                    || !literal
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
                {
                    return bad("the host must be fixed, or {host}, or with {label}: no capture may choose it");
                }
            }
            Some(_) => return bad("the address must begin with http://, https:// or /"),
            None => {
                let begins = ["/", "{uri}", "{path}"].iter().any(|begin| self.to.starts_with(begin));
                if !begins || self.to.starts_with("//") {
                    return bad("the address must begin with http://, https:// or one /");
                }
            }
        }
        Ok(CompiledRedirect {
            pattern: self.pattern.as_deref().map(|text| pattern("redirect", text)).transpose()?,
            to: self.to.clone(),
            status: self.status,
        })
    }
}

impl CompiledRedirect {
    pub fn sends(&self, place: &Place<'_>) -> Sends {
        let to = self.location(place.host, place.pattern, place.uri, place.path);
        to.map_or(Sends::Past, Sends::Elsewhere)
    }

    /// Where a request goes; `None`: its path does not fit the pattern. `uri` is path and query as they came, `path` the
    /// normal one, `host` without a port, `pattern` the host pattern that the rule is under.
    pub fn location(&self, host: &str, pattern: &HostPattern, uri: &str, path: &str) -> Option<String> {
        let captures = match &self.pattern {
            Some(pattern) => Some(pattern.captures(path)?),
            None => None,
        };
        let query = uri.find('?').map_or("", |at| &uri[at..]);
        let mut out = String::with_capacity(self.to.len() + uri.len());
        let mut rest = self.to.as_str();
        while let Some(at) = rest.find(['{', '$']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let known = [
                ("{host}", host),
                ("{label}", pattern.label_of(host).unwrap_or_default()),
                ("{query}", query),
                ("{uri}", uri),
            ]
            .into_iter()
            .find(|(name, _)| rest.starts_with(name));
            if let Some((name, value)) = known {
                out.push_str(value);
                rest = &rest[name.len()..];
            } else if let Some(after) = rest.strip_prefix("{path}") {
                out.push_str(&encoded_path(path));
                rest = after;
            } else if let (Some(captures), Some((value, after))) = (&captures, capture(rest)) {
                let group = value.parse().map_or_else(|_| captures.name(value), |n: usize| captures.get(n));
                out.push_str(&encoded_path(group.map_or("", |group| group.as_str())));
                rest = after;
            } else {
                out.push_str(&rest[..1]);
                rest = &rest[1..];
            }
        }
        out.push_str(rest);
        // `//evil.test` and `/\evil.test` would be another host.
        if out.starts_with('/') {
            let path = out.trim_start_matches(['/', '\\']);
            out = format!("/{path}");
        }
        Some(out)
    }
}

/// The name of a capture at the front of `text`, and what comes after: `$1`, `$name` or `${name}`.
fn capture(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('$')?;
    if let Some(rest) = rest.strip_prefix('{') {
        return rest.split_once('}');
    }
    let end = if rest.starts_with(|c: char| c.is_ascii_digit()) {
        rest.find(|c: char| !c.is_ascii_digit())
    } else {
        rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
    };
    let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
    (!name.is_empty()).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects() {
        let host: HostPattern = "*.old.test".parse().expect("a pattern");
        let to = |pattern: Option<&str>, to: &str, uri: &str| {
            let redirect = Redirect {
                pattern: pattern.map(str::to_owned),
                to: to.to_owned(),
                status: 308,
            };
            let path = crate::normal_path(uri).expect("a path").into_owned();
            redirect
                .compile()
                .map(|compiled| compiled.location("a.old.test", &host, uri, &path))
        };
        for (pattern, template, uri, location) in [
            (None, "https://new.test{uri}", "/a%20b?c", Some("https://new.test/a%20b?c")),
            (
                None,
                "https://{label}.new.test/x{query}",
                "/a?b=1",
                Some("https://a.new.test/x?b=1"),
            ),
            (None, "https://www.{host}{path}", "/a//b?c", Some("https://www.a.old.test/a/b")),
            (
                Some("^/blog/(\\d+)/(?<slug>.*)$"),
                "/posts/${slug}-$1",
                "/blog/7/x y",
                Some("/posts/x%20y-7"),
            ),
            (Some("^/blog/"), "/posts", "/other", None),
            (Some("(.*)"), "$1", "/x", None), // refused below
            (None, "{uri}", "//evil.test/x", Some("/evil.test/x")),
            (Some("^/go/(.*)"), "/$1", "/go/\\evil.test", Some("/%5Cevil.test")),
            (
                Some("(?s)^/a(.*)"),
                "https://new.test/$1",
                "/a\r\nSet-Cookie: x",
                Some("https://new.test/%0D%0ASet-Cookie:%20x"),
            ),
        ] {
            match to(pattern, template, uri) {
                Ok(found) => assert_eq!(found.as_deref(), location, "{template}"),
                Err(_) => assert_eq!(template, "$1"),
            }
        }
        for template in [
            "https://new.test$1",
            "https://$1/",
            "//evil.test",
            "$1",
            "javascript:alert(1)",
            "https://{path}",
            "ftp://a/",
        ] {
            assert!(to(Some("(.*)"), template, "/x").is_err(), "{template}");
        }
        assert!(to(Some("("), "/x", "/").is_err());
    }
}

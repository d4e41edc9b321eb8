//! What stands for something else in a text: `$NAME` and `${…}` of Compose, and `{{ … }}` of a template.
//!
//! Both are found in one pass over a scalar that is already YAML, so that no value needs escaping and none is read twice:
//! a password with `$`, `"` or `{{` in it comes out as it went in.
//! Source: the Compose Specification, "Interpolation".

use std::cell::RefCell;

/// What stands between `{{` and `}}`, to its value; `Err` in words.
pub type Evaluate<'a> = dyn Fn(&str) -> Result<String, String> + 'a;

/// What names stand for.
pub struct Scope<'a> {
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// What is between `{{` and `}}`; `None`: braces mean nothing here.
    pub template: Option<&'a Evaluate<'a>>,
    /// Names that are not set and have no default; they came out empty.
    pub unset: &'a RefCell<Vec<String>>,
}

/// `text` with everything in place, or what is wrong in words.
pub fn expand(text: &str, scope: &Scope<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '{']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let end = closing(after).ok_or_else(|| format!("`{}` has no closing }}", shown(rest)))?;
            out.push_str(&braced(&after[..end], scope)?);
            rest = &after[end + 1..];
        } else if let Some(after) = rest.strip_prefix('$') {
            let length = name_length(after);
            // What cannot be a name leaves the sign as it is.
            match length {
                0 => out.push('$'),
                _ => out.push_str(&plain(&after[..length], scope)),
            }
            rest = &after[length..];
        } else if let (Some(template), Some(after)) = (scope.template, rest.strip_prefix("{{")) {
            let end = after.find("}}").ok_or_else(|| format!("`{}` has no closing }}}}", shown(rest)))?;
            out.push_str(&template(after[..end].trim())?);
            rest = &after[end + 2..];
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Only the `{{ … }}` of `text`; a dollar is a dollar.
pub fn fill(text: &str, template: &Evaluate<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        out.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let end = after
            .find("}}")
            .ok_or_else(|| format!("`{}` has no closing }}}}", shown(&rest[at..])))?;
        out.push_str(&template(after[..end].trim())?);
        rest = &after[end + 2..];
    }
    out.push_str(rest);
    Ok(out)
}

fn plain(name: &str, scope: &Scope<'_>) -> String {
    (scope.variable)(name).unwrap_or_else(|| {
        scope.unset.borrow_mut().push(name.to_owned());
        String::new()
    })
}

/// What is between `${` and `}`.
fn braced(inner: &str, scope: &Scope<'_>) -> Result<String, String> {
    let length = name_length(inner);
    let (name, rest) = inner.split_at(length);
    if name.is_empty() {
        return Err(format!("`${{{}}}` names no variable", shown(inner)));
    }
    if rest.is_empty() {
        return Ok(plain(name, scope));
    }
    let value = (scope.variable)(name);
    let (filled, sign, word) = match rest.strip_prefix(':') {
        Some(rest) => (value.clone().filter(|value| !value.is_empty()), rest.chars().next(), rest.get(1..)),
        None => (value.clone(), rest.chars().next(), rest.get(1..)),
    };
    let word = word.unwrap_or_default();
    match sign {
        Some('-') => filled.map_or_else(|| expand(word, scope), Ok),
        Some('+') => filled.map_or_else(|| Ok(String::new()), |_| expand(word, scope)),
        Some('?') => filled.map_or_else(
            || {
                let why = expand(word, scope)?;
                Err(match why.trim() {
                    "" => format!("the variable {name} must be set"),
                    why => format!("the variable {name} must be set: {why}"),
                })
            },
            Ok,
        ),
        _ => Err(format!(
            "`${{{}}}`: after the name only :-, -, :?, ?, :+ or + may follow",
            shown(inner)
        )),
    }
}

/// Where the brace that closes a `${` is; inner `${…}`, `{…}` and `{{…}}` are passed over.
pub fn closing(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("$$") {
            at += 2;
        } else if let Some(end) = rest.strip_prefix("{{").and_then(|inner| inner.find("}}")) {
            at += end + 4;
        } else if rest.starts_with('{') {
            depth += 1;
            at += 1;
        } else if rest.starts_with('}') {
            if depth == 0 {
                return Some(at);
            }
            depth -= 1;
            at += 1;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

/// Letters of the name at the front: `[A-Za-z_][A-Za-z0-9_]*`.
pub fn name_length(text: &str) -> usize {
    let fits = |(at, byte): (usize, u8)| byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit());
    text.bytes().enumerate().take_while(|one| fits(*one)).count()
}

/// The first letters, for messages: what follows may be long, or a secret.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(12).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "A" => Some("a".into()),
            "B_2" => Some("b".into()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("$A ${A} {{ x }}".into()),
            _ => None,
        }
    }

    fn expanded(text: &str) -> Result<String, String> {
        let unset = RefCell::new(Vec::new());
        let template = |inner: &str| match inner {
            "x" => Ok("$1 \"{{ x }}\"".to_owned()),
            other => Err(format!("`{other}` is not a variable")),
        };
        expand(
            text,
            &Scope {
                variable: &variable,
                template: Some(&template),
                unset: &unset,
            },
        )
    }

    #[test]
    fn values() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$A", "a"),
            ("${A}", "a"),
            ("$A$B_2", "ab"),
            ("$B_2x", ""),
            ("${B_2}x", "bx"),
            ("$A-$A", "a-a"),
            ("$$A", "$A"),
            ("$$$A", "$a"),
            ("$$$$", "$$"),
            ("$${A}", "${A}"),
            ("pre${A}post", "preapost"),
            ("$UNSET", ""),
            ("${UNSET}", ""),
            ("${UNSET:-d}", "d"),
            ("${UNSET-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${A:-d}", "a"),
            ("${A-d}", "a"),
            ("${UNSET:-}", ""),
            ("${UNSET-}", ""),
            ("${UNSET:+r}", ""),
            ("${UNSET+r}", ""),
            ("${EMPTY:+r}", ""),
            ("${EMPTY+r}", "r"),
            ("${A:+r}", "r"),
            ("${A+r}", "r"),
            ("${A:?no}", "a"),
            ("${A?no}", "a"),
            ("${EMPTY?no}", ""),
            ("${UNSET:-${A}}", "a"),
            ("${UNSET:-${ALSO:-$A}}", "a"),
            ("${UNSET:-x${A}y${B_2}z}", "xaybz"),
            ("${A:+${B_2}}", "b"),
            ("${UNSET:-a:b-c?d+e}", "a:b-c?d+e"),
            ("${UNSET:-http://x/?a=b}", "http://x/?a=b"),
            ("${UNSET:-$$5}", "$5"),
            ("${UNSET:-{}}", "{}"),
            ("${A:-{}}", "a"),
            ("${UNSET:-{\"k\":{\"l\":1}}}.", "{\"k\":{\"l\":1}}."),
            ("${A-{\"k\":1}}.", "a."),
            ("$", "$"),
            ("a$", "a$"),
            ("$}", "$}"),
            ("$1", "$1"),
            ("$-", "$-"),
            ("$ A", "$ A"),
            ("$(date) $?", "$(date) $?"),
            ("${UNSET:-ü}", "ü"),
            ("${DOLLAR}", "$A ${A} {{ x }}"),
            ("{{ x }}", "$1 \"{{ x }}\""),
            ("{{x}}-$A", "$1 \"{{ x }}\"-a"),
            ("${UNSET:-{{ x }}}", "$1 \"{{ x }}\""),
            ("{a}", "{a}"),
            ("{", "{"),
            ("}}", "}}"),
        ] {
            assert_eq!(expanded(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn refusals() {
        for (text, words) in [
            ("${", "no closing"),
            ("${A", "no closing"),
            ("${A:-${B}", "no closing"),
            ("${A:-{}", "no closing"),
            ("${}", "names no variable"),
            ("${1A}", "names no variable"),
            ("${ A }", "names no variable"),
            ("${A!x}", "after the name"),
            ("${A:}", "after the name"),
            ("${A:=x}", "after the name"),
            ("${UNSET:?}", "UNSET must be set"),
            ("${UNSET?}", "UNSET must be set"),
            ("${UNSET:?say $A}", "UNSET must be set: say a"),
            ("${EMPTY:?no}", "EMPTY must be set: no"),
            ("{{ y }}", "`y` is not a variable"),
            ("{{ x", "no closing"),
        ] {
            let error = expanded(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn names_that_are_not_set_are_told() {
        let unset = RefCell::new(Vec::new());
        let scope = Scope {
            variable: &variable,
            template: None,
            unset: &unset,
        };
        assert_eq!(expand("$X ${Y:-1} ${Z} {{ x }}", &scope), Ok(" 1  {{ x }}".to_owned()));
        assert_eq!(*unset.borrow(), ["X", "Z"]);
    }

    proptest! {
        #[test]
        fn any_text_comes_to_an_end(text in "[${}:A-B?+{} -]{0,40}|.{0,60}") {
            let _ = expanded(&text);
        }
        #[test]
        fn doubled_dollars_come_out_as_written(text in "[^{}]{0,60}") {
            prop_assert_eq!(expanded(&text.replace('$', "$$")), Ok(text));
        }
    }
}

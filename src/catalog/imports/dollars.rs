//! From Compose's language to a template's: `$NAME` is asked about one by one, and `{{` of a text is kept from meaning something.

use crate::expand::{closing, name_length};

/// `$NAME` or `${NAME…}`.
pub struct Found<'a> {
    pub name: &'a str,
    /// ``, `:-`, `-`, `:?`, `?`, `:+` or `+`.
    pub sign: &'a str,
    /// After the sign, as it is written.
    pub word: &'a str,
}

/// A text in which nothing means anything to Compose or to a template.
pub fn literal(text: &str) -> String {
    braces(&text.replace('$', "$$"))
}

/// `{{` as an expression that comes to itself.
pub fn braces(text: &str) -> String {
    text.replace("{{", "{{ '{{' }}")
}

/// A Compose text with what `answer` puts in place of its variables, in our language. `None`: it stays, and its word is looked at.
/// A `$` that means nothing is kept.
pub fn rewrite(text: &str, answer: &mut dyn FnMut(&Found<'_>) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&braces(&rest[..at]));
        let after = &rest[at + 1..];
        rest = after;
        if let Some(next) = after.strip_prefix('$') {
            out.push_str("$$");
            rest = next;
        } else if let Some((found, next)) = after.strip_prefix('{').and_then(braced) {
            match answer(&found) {
                Some(text) => push(&mut out, &text),
                None => {
                    let word = rewrite(found.word, answer);
                    out.push_str(&format!("${{{}{}{word}}}", found.name, found.sign));
                }
            }
            rest = next;
        } else if name_length(after) > 0 {
            let (name, next) = after.split_at(name_length(after));
            let found = Found { name, sign: "", word: "" };
            push(&mut out, &answer(&found).unwrap_or_else(|| format!("${{{name}}}")));
            rest = next;
        } else {
            out.push_str("$$");
        }
    }
    out.push_str(&braces(rest));
    out
}

/// Adds text of our language. A brace right before `{{` would become a part of it.
fn push(out: &mut String, text: &str) {
    if text.starts_with("{{") && out.ends_with('{') {
        out.pop();
        out.push_str("{{ '{' }}");
    }
    out.push_str(text);
}

/// What follows `${`, and what comes after its `}`.
fn braced(after: &str) -> Option<(Found<'_>, &str)> {
    let end = closing(after)?;
    let (inner, next) = (&after[..end], &after[end + 1..]);
    let (name, rest) = inner.split_at(name_length(inner));
    let sign = [":-", ":?", ":+", "-", "?", "+"].into_iter().find(|sign| rest.starts_with(sign));
    let sign = if rest.is_empty() { "" } else { sign? };
    let word = &rest[sign.len()..];
    (!name.is_empty()).then_some((Found { name, sign, word }, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts() {
        let known = |text: &str| rewrite(text, &mut |found| (found.name == "A").then(|| "{{ a }}".to_owned()));
        for (text, expected) in [
            ("plain", "plain"),
            ("$A-${A}", "{{ a }}-{{ a }}"),
            ("${A:-x}", "{{ a }}"),
            ("$B ${B}", "${B} ${B}"),
            ("${B:-$A}", "${B:-{{ a }}}"),
            ("${B:-${C:-${A}}}", "${B:-${C:-{{ a }}}}"),
            ("$$A", "$$A"),
            ("$(date) $1 $", "$$(date) $$1 $$"),
            ("${", "$${"),
            ("${B!x}", "$${B!x}"),
            ("{$A}", "{{ '{' }}{{ a }}}"),
            ("{{ .Name }}", "{{ '{{' }} .Name }}"),
        ] {
            assert_eq!(known(text), expected, "{text}");
        }
        assert_eq!(literal("$A {{x}} ${B:-1}"), "$$A {{ '{{' }}x}} $${B:-1}");
    }

    proptest! {
        #[test]
        fn a_literal_comes_out_as_it_went_in(text in "[${}A-B:' -]{0,30}|.{0,40}") {
            let unset = std::cell::RefCell::default();
            let evaluate = |inner: &str| match inner {
                "'{{'" => Ok("{{".to_owned()),
                other => Err(other.to_owned()),
            };
            let scope = crate::expand::Scope { variable: &|_| None, template: Some(&evaluate), unset: &unset };
            prop_assert_eq!(crate::expand::expand(&literal(&text), &scope), Ok(text));
        }
        #[test]
        fn nothing_panics(text in "[${}A-B:?+-]{0,30}|.{0,40}") {
            let _ = rewrite(&text, &mut |found| (found.name == "A").then(String::new));
        }
    }
}

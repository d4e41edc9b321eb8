//! `.dockerignore`: which paths of a context stay at home.
//!
//! Source: Docker's manual, "Build context", `.dockerignore` files, and the behaviour of the engine's own matcher. Patterns
//! are read from top to bottom and the last that matches a path, or a folder above it, decides; `!` makes an exception.
//! `*` and `?` stop at `/`, `**` does not. As in BuildKit, and unlike in the builder before it, an exception with
//! wildcards also holds inside ignored folders.

use regex::Regex;
use types::{Error, Result};

/// The patterns of one file, in order.
pub struct Ignore {
    patterns: Vec<Pattern>,
}

struct Pattern {
    /// Cleaned, without the `!`.
    text: String,
    is_exception: bool,
    rule: Rule,
}

enum Rule {
    Exactly(String),
    BeginsWith(String),
    EndsWith(String),
    Matches(Regex),
}

/// For each pattern whether it matches a path or a folder above it.
#[derive(Clone)]
pub struct Matched(Vec<bool>);

impl Ignore {
    /// Fails with `Invalid` for a pattern that is none, naming it.
    pub fn parse(text: &str) -> Result<Ignore> {
        let mut patterns = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            patterns.push(Pattern::parse(line.trim())?);
        }
        Ok(Ignore { patterns })
    }

    /// For the top of the context.
    pub fn nothing(&self) -> Matched {
        Matched(vec![false; self.patterns.len()])
    }

    /// What matches `path`, given what matches the folder that it is in.
    pub fn matches(&self, path: &str, above: &Matched) -> Matched {
        let patterns = self.patterns.iter().zip(&above.0);
        Matched(patterns.map(|(pattern, above)| *above || pattern.rule.matches(path)).collect())
    }

    pub fn ignores(&self, matched: &Matched) -> bool {
        let last = matched.0.iter().rposition(|matched| *matched);
        last.is_some_and(|index| !self.patterns[index].is_exception)
    }

    /// Whether some exception might match below an ignored folder, so that it must be looked through.
    pub fn may_keep_below(&self, folder: &str) -> bool {
        let below = format!("{folder}/");
        self.patterns.iter().filter(|pattern| pattern.is_exception).any(|pattern| {
            let plain = pattern.text.trim_end_matches("/**").trim_end_matches("/*");
            plain.contains(['*', '?', '[', '\\']) || format!("{plain}/").starts_with(&below)
        })
    }
}

impl Pattern {
    fn parse(line: &str) -> Result<Pattern> {
        let (is_exception, text) = match line.strip_prefix('!') {
            Some(text) => (true, text.trim()),
            None => (false, line),
        };
        if text.is_empty() {
            return Err(invalid(line, "an exception needs a pattern"));
        }
        let text = clean(text);
        let rule = Rule::parse(&text).map_err(|why| invalid(line, why))?;
        Ok(Pattern { text, is_exception, rule })
    }
}

fn invalid(line: &str, why: &str) -> Error {
    Error::invalid(".dockerignore", format!("`{line}` is not a pattern: {why}"))
}

/// Without `.`, empty parts, parts undone by `..`, and slashes at either end.
fn clean(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if text.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Rule {
    fn parse(text: &str) -> Result<Rule, &'static str> {
        let is_plain = |text: &str| !text.contains(['*', '?', '[', ']', '\\']);
        if is_plain(text) {
            return Ok(Rule::Exactly(text.to_owned()));
        }
        if let Some(front) = text.strip_suffix("/**").filter(|front| is_plain(front)) {
            return Ok(Rule::BeginsWith(format!("{front}/")));
        }
        // `**x` is any path that ends so, even in mid-name; `**/x` only whole names.
        if let Some(end) = text.strip_prefix("**").filter(|end| is_plain(end) && !end.starts_with('/')) {
            return Ok(Rule::EndsWith(end.to_owned()));
        }
        Regex::new(&expression(text)?).map(Rule::Matches).map_err(|_| "it is too long")
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Rule::Exactly(text) => path == text,
            Rule::BeginsWith(front) => path.starts_with(front),
            Rule::EndsWith(end) => path.ends_with(end),
            Rule::Matches(expression) => expression.is_match(path),
        }
    }
}

/// The pattern as a regular expression.
fn expression(text: &str) -> Result<String, &'static str> {
    let mut out = String::from("(?s)^");
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.next_if_eq(&'*').is_some() => {
                letters.next_if_eq(&'/');
                out.push_str(if letters.peek().is_some() { "(.*/)?" } else { ".*" });
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => class(&mut letters, &mut out)?,
            '\\' => push(&mut out, letters.next().ok_or("a backslash ends it")?),
            letter => push(&mut out, letter),
        }
    }
    out.push('$');
    Ok(out)
}

/// `[a-z]` or `[^a-z]`, from behind the bracket. As in Go's `filepath.Match`.
fn class(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Result<(), &'static str> {
    out.push('[');
    if letters.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut is_first = true;
    while is_first || letters.next_if_eq(&']').is_none() {
        is_first = false;
        let first = class_letter(letters)?;
        push(out, first);
        if letters.next_if_eq(&'-').is_some() {
            let last = class_letter(letters)?;
            if last < first {
                return Err("a range runs backwards");
            }
            out.push('-');
            push(out, last);
        }
    }
    out.push(']');
    Ok(())
}

fn class_letter(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, &'static str> {
    match letters.next() {
        None => Err("a bracket is not closed"),
        Some('-' | ']') => Err("- and ] in brackets need a backslash"),
        Some('\\') => letters.next().ok_or("a backslash ends it"),
        Some(letter) => Ok(letter),
    }
}

/// A letter that stands for itself.
fn push(out: &mut String, letter: char) {
    out.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4])));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Whether `path` stays at home, folder by folder as the walk asks.
    fn ignored(patterns: &str, path: &str) -> bool {
        let ignore = Ignore::parse(patterns).unwrap();
        let mut matched = ignore.nothing();
        for (index, _) in path.match_indices('/') {
            matched = ignore.matches(&path[..index], &matched);
        }
        ignore.ignores(&ignore.matches(path, &matched))
    }

    fn check(patterns: &str, stays: &[&str], goes: &[&str]) {
        for path in stays {
            assert!(ignored(patterns, path), "{patterns:?} must ignore {path}");
        }
        for path in goes {
            assert!(!ignored(patterns, path), "{patterns:?} must send {path}");
        }
    }

    #[test]
    fn the_examples_of_the_manual() {
        check(
            "# comment\n*/temp*",
            &["somedir/temporary.txt", "somedir/temp"],
            &["temp", "a/b/temp", "# comment"],
        );
        check("*/*/temp*", &["somedir/subdir/temporary.txt"], &["somedir/temp"]);
        check("temp?", &["tempa", "tempb", "tempa/x"], &["temp", "tempab", "a/tempa"]);
        check("**/*.go", &["a.go", "a/b.go", "a/b/c.go"], &["a.gox"]);
        check("*.md\n!README.md", &["a.md", "b.md"], &["README.md", "docs/a.md"]);
        check(
            "*.md\n!README*.md\nREADME-secret.md",
            &["a.md", "README-secret.md"],
            &["README.md", "README-x.md"],
        );
        check("*.md\nREADME-secret.md\n!README*.md", &["a.md"], &["README-secret.md", "README.md"]);
        check("/foo/bar\nfoo/../baz/", &["foo/bar", "baz", "baz/x"], &["foo", "foo/barn"]);
        check(".", &[], &["a", "a/b"]);
        check("*\n!src", &["a", "docs/x"], &["src", "src/a/b"]);
    }

    #[test]
    fn wildcards() {
        check("**", &["a", "a/b"], &[]);
        check("**/", &["a", "a/b"], &[]);
        check("dir/**", &["dir/a", "dir/a/b"], &["dir", "dira"]);
        check("**/dir", &["dir", "a/dir", "a/b/dir/x"], &["adir"]);
        check("**/dir/**", &["dir/a", "a/dir/b"], &["dir"]);
        check("**file", &["file", "a/file", "a/myfile"], &["filed"]);
        check("a**/*.txt", &["a/f.txt", "a/b/f.txt"], &["b/f.txt"]);
        check("a/*.txt", &["a/f.txt"], &["a/b/f.txt"]);
        check("**/node_modules\n", &["node_modules/x", "web/node_modules/y"], &["my_node_modules"]);
        check("*", &["ä", ".git", "a/b/c"], &[]);
        check("a?c", &["abc", "a€c"], &["a/c", "ac"]);
    }

    #[test]
    fn brackets_and_escapes() {
        check("a[b-d]e", &["abe", "ace"], &["aae", "ae"]);
        check("a[^b-d]e", &["aze"], &["ace"]);
        check("[a\\]&&b~~]x", &["]x", "&x", "~x", "ax"], &["cx"]);
        check("a\\*b\n\\!c", &["a*b", "!c"], &["axb"]);
        check("a.b+(c)|{d}$^", &["a.b+(c)|{d}$^"], &["axb+(c)|{d}$^"]);
    }

    #[test]
    fn order_and_whitespace() {
        check("!a\na", &["a"], &[]);
        check("  docs  \n\n\t! docs/README.md \r\n", &["docs/a"], &["docs/README.md"]);
        check("\u{feff}a", &["a"], &[]);
        check(
            "docs/*\n!docs/README.md",
            &["docs/a", "docs/a/README.md"],
            &["docs", "docs/README.md"],
        );
        check("**\n!util/web\nutil/web/foo", &["util/a", "util/web/foo"], &["util/web/bar"]);
        check("", &[], &["a"]);
    }

    #[test]
    fn what_is_no_pattern() {
        for pattern in ["!", "[", "a[", "[^bc", "[]a]", "[-]", "[x-]", "[z-a]", "a*\\"] {
            let error = Ignore::parse(pattern).err().expect(pattern).to_string();
            assert!(
                error.starts_with(&format!(".dockerignore: `{pattern}` is not a pattern: ")),
                "{error}"
            );
        }
    }

    #[test]
    fn folders_that_must_be_looked_through() {
        for (patterns, folder, expected) in [
            ("a", "a", false),
            ("a\n!a/b", "a", true),
            ("a\n!a/b", "a/c", false),
            ("a\n!a/b/*", "a/b", true),
            ("a\n!ab", "a", false),
            ("a\n!**/keep", "a", true),
        ] {
            assert_eq!(
                Ignore::parse(patterns).unwrap().may_keep_below(folder),
                expected,
                "{patterns:?} {folder}"
            );
        }
    }
}

//! The `.env` form of variables: what is printed is read back to the same characters.
//!
//! Read: `KEY=value`, `export KEY=value`, `# comments`; single quotes take everything as it is, double quotes know
//! `\n \r \t \\ \" \$`, both may span lines; no variable is expanded. Printed: bare where that is safe, else single
//! quotes, else double quotes.

use types::{Error, Result, VariableKey};

/// Fails with `Invalid`, naming the line.
pub fn parse(text: &str) -> Result<Vec<(VariableKey, String)>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut pairs: Vec<(VariableKey, String)> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let number = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let wrong = |why: &str| Error::invalid("text", format!("line {number}: {why}"));
        let line_end = rest.find('\n').unwrap_or(rest.len());
        let line = rest[..line_end].trim();
        if line.is_empty() || line.starts_with('#') {
            rest = rest.get(line_end + 1..).unwrap_or_default();
            continue;
        }
        let equals = rest[..line_end].find('=').ok_or_else(|| wrong("there is no `=`"))?;
        let name = rest[..equals].trim();
        let name = name.strip_prefix("export ").map_or(name, str::trim);
        let key: VariableKey = name
            .parse()
            .map_err(|_| wrong(&format!("`{name}` is not a name: use letters, digits and _")))?;
        let after = rest[equals + 1..].trim_start_matches([' ', '\t']);
        let (value, left) = match after.chars().next() {
            Some('\'') => single(&after[1..]).ok_or_else(|| wrong("the single quote is not closed"))?,
            Some('"') => double(&after[1..]).ok_or_else(|| wrong("the double quote is not closed"))?,
            _ => bare(after),
        };
        let left_end = left.find('\n').unwrap_or(left.len());
        let tail = left[..left_end].trim();
        if !tail.is_empty() && !tail.starts_with('#') {
            return Err(wrong("there is something behind the closing quote"));
        }
        rest = left.get(left_end + 1..).unwrap_or_default();
        pairs.retain(|(other, _)| *other != key);
        pairs.push((key, value));
    }
    Ok(pairs)
}

fn single(text: &str) -> Option<(String, &str)> {
    let end = text.find('\'')?;
    Some((text[..end].to_owned(), &text[end + 1..]))
}

fn double(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                c @ ('\\' | '"' | '$') => value.push(c),
                c => {
                    value.push('\\');
                    value.push(c);
                }
            },
            c => value.push(c),
        }
    }
    None
}

/// Up to the end of the line, or to a `#` behind white space.
fn bare(text: &str) -> (String, &str) {
    let end = text.find('\n').unwrap_or(text.len());
    let line = &text[..end];
    let comment = line
        .char_indices()
        .find(|(at, c)| *c == '#' && (*at == 0 || line[..*at].ends_with([' ', '\t'])))
        .map(|(at, _)| at);
    (line[..comment.unwrap_or(line.len())].trim().to_owned(), &text[end..])
}

pub fn print(pairs: &[(VariableKey, String)]) -> String {
    pairs.iter().map(|(key, value)| format!("{key}={}\n", quoted(value))).collect()
}

fn quoted(value: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if value.chars().all(safe) {
        value.to_owned()
    } else if !value.contains(['\'', '\r', '\n']) {
        format!("'{value}'")
    } else {
        let mut text = String::from("\"");
        for c in value.chars() {
            match c {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\\' | '"' | '$' => {
                    text.push('\\');
                    text.push(c);
                }
                c => text.push(c),
            }
        }
        text + "\""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let pairs = parse(text).expect("parses");
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, expected, "{text:?}");
    }

    #[test]
    fn reads_what_people_write() {
        check(
            "A=1\nB = two words # note\n\n# no\nexport C='a#b'",
            &[("A", "1"), ("B", "two words"), ("C", "a#b")],
        );
        check("A=\"x\\ny\"\r\nB='x\ny'\r\n", &[("A", "x\ny"), ("B", "x\ny")]);
        check("A=a#b\nB=\nC=#c", &[("A", "a#b"), ("B", ""), ("C", "")]);
        check("A=1\nA=2", &[("A", "2")]);
        check("URL=postgres://u:p@h/d?x=$HOME", &[("URL", "postgres://u:p@h/d?x=$HOME")]);
    }

    #[test]
    fn names_the_line() {
        for (text, line) in [
            ("A=1\nnonsense", "line 2"),
            ("A='open", "line 1"),
            ("\n\n1A=x", "line 3"),
            ("A=\"x\" y", "line 1"),
        ] {
            let error = parse(text).expect_err("is refused").to_string();
            assert!(error.contains(line), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_character_comes_back(values in proptest::collection::vec("[^\0]*", 0..8)) {
            let pairs: Vec<(VariableKey, String)> =
                values.into_iter().enumerate().map(|(n, value)| (format!("K{n}").parse().expect("a key"), value)).collect();
            prop_assert_eq!(parse(&print(&pairs)).expect("own text parses"), pairs);
        }
    }
}

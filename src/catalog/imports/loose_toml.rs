//! TOML as Dokploy's own reader takes it. It is less strict in two ways, and templates rely on both: a backslash before a letter that means
//! nothing with it stays a backslash, and `mounts = []` may stand before `[[config.mounts]]`.

use toml::Table;

/// The text as it is; where that is no TOML, with both set right. Fails with what is wrong with the text as it is.
pub fn parse(text: &str) -> Result<Table, toml::de::Error> {
    text.parse()
        .or_else(|error| without_empty_lists(&with_backslashes(text)).parse().map_err(|_| error))
}

/// What opens and closes a text, the long ones first.
const QUOTES: [&str; 4] = ["\"\"\"", "'''", "\"", "'"];

/// Backslashes that mean nothing, written as TOML writes a backslash.
fn with_backslashes(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut within: Option<&str> = None;
    while let Some(first) = rest.chars().next() {
        let length = match within {
            None if first == '#' => rest.find('\n').unwrap_or(rest.len()),
            None => match QUOTES.into_iter().find(|quotes| rest.starts_with(quotes)) {
                Some(quotes) => {
                    within = Some(quotes);
                    quotes.len()
                }
                None => first.len_utf8(),
            },
            Some(quotes) if rest.starts_with(quotes) => {
                within = None;
                quotes.len()
            }
            // Only the long ones go on there.
            Some(quotes) if first == '\n' && quotes.len() == 1 => {
                within = None;
                1
            }
            Some(quotes) if first == '\\' && quotes.starts_with('"') => match rest[1..].chars().next() {
                Some(next) if "btnfrexuU\"\\ \t\r\n".contains(next) => 1 + next.len_utf8(),
                _ => {
                    out.push('\\');
                    1
                }
            },
            Some(_) => first.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// Empty lists that tables are put into further down; lines keep their numbers.
fn without_empty_lists(text: &str) -> String {
    let is_filled = |name: &str| text.contains(&format!(".{name}]]")) || text.contains(&format!("[[{name}]]"));
    let lines = text.split('\n').map(|line| match line.split_once('=') {
        Some((name, value)) if value.trim() == "[]" && is_filled(name.trim()) => "",
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let table = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(table, expected.parse::<Table>().expect("TOML"), "{text}");
    }

    #[test]
    fn what_its_reader_takes() {
        check("a = \"\\$5 \\\"\\n\"", "a = '''\\$5 \"\n'''");
        check("a = \"\"\"\nx=\"\\$(y)\" \\\\ \\\n  z\"\"\"\n", "a = 'x=\"\\$(y)\" \\ z'");
        check("# it's \\q\na = 'b\\q' # \"\nb = \"\\q\"", "a = 'b\\q'\nb = '\\q'");
        check(
            "[c]\nm = []\nn = []\n[[c.m]]\nk = 1\n[[c.m]]\nk = 2",
            "[c]\nn = []\nm = [{k = 1}, {k = 2}]",
        );
    }

    #[test]
    fn what_is_wrong_is_said_of_the_text_as_it_is() {
        for text in ["a = \"\\q", "a = \"\\q\" b", "a = 1\na = 2", "[a", "é = \"\\"] {
            assert_eq!(parse(text), text.parse::<Table>(), "{text}");
        }
    }
}

//! What two people made of one text, as one text again: a person's changes to an installed app, and the catalog's newer
//! version of it.
//!
//! diffy does the comparing, line by line (Myers). Where both changed the same lines, both stand in the result between marks as Git
//! writes them, and reading a file with such marks is refused until a person has settled them: [`unsettled`].

use diffy::{ConflictStyle, DiffOptions, MergeOptions};

/// What a mark of a conflict begins with, seven times, at the beginning of a line.
const MARKS: [char; 4] = ['<', '|', '=', '>'];
const MARK_LENGTH: usize = 7;

/// A text in which both changes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// With conflicts it has their marks in it. Lines end with `\n` only, the last one too.
    pub text: String,
    pub conflicts: Vec<Conflict>,
}

/// A place that both changed, each in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Of its first mark, from 1.
    pub line: u32,
    /// The lines as one side has them; empty: that side took them out.
    pub mine: String,
    pub theirs: String,
}

/// Changes from `base` to `mine`, and those from `base` to `theirs`, in one text.
pub fn merge(base: &str, mine: &str, theirs: &str) -> Merged {
    let (base, mine, theirs) = (tidy(base), tidy(mine), tidy(theirs));
    // Marks that no line of the texts looks like.
    let length = [&base, &mine, &theirs].into_iter().map(|text| longest_run(text)).max().unwrap_or(0);
    let length = (length + 1).max(MARK_LENGTH);
    let merged = MergeOptions::new()
        .set_conflict_style(ConflictStyle::Merge)
        .set_conflict_marker_length(length)
        .merge(&base, &mine, &theirs);
    match merged {
        Ok(text) => Merged {
            text,
            conflicts: Vec::new(),
        },
        Err(text) => marked(&text, length),
    }
}

/// The same text with the marks that a person knows, and what lies between them.
fn marked(text: &str, length: usize) -> Merged {
    let is_mark = |line: &str, mark: char| {
        let run = line.chars().take_while(|letter| *letter == mark).count();
        run == length
    };
    let mark = |mark: char| mark.to_string().repeat(MARK_LENGTH);
    let mut out = String::with_capacity(text.len());
    let mut conflicts: Vec<Conflict> = Vec::new();
    // Inside a conflict: whether the other side's lines have begun.
    let mut inside = None;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        match (inside, conflicts.last_mut()) {
            (None, _) if is_mark(line, '<') => {
                conflicts.push(Conflict {
                    line: number,
                    mine: String::new(),
                    theirs: String::new(),
                });
                inside = Some(false);
                out.push_str(&format!("{} mine\n", mark('<')));
            }
            (Some(false), _) if is_mark(line, '=') => {
                inside = Some(true);
                out.push_str(&format!("{}\n", mark('=')));
            }
            (Some(true), _) if is_mark(line, '>') => {
                inside = None;
                out.push_str(&format!("{} theirs\n", mark('>')));
            }
            (Some(is_theirs), Some(conflict)) => {
                let side = if is_theirs { &mut conflict.theirs } else { &mut conflict.mine };
                side.push_str(line);
                out.push_str(line);
            }
            _ => out.push_str(line),
        }
    }
    Merged { text: out, conflicts }
}

/// What changed from `old` to `new`, in the unified format with three lines around; empty when nothing did.
pub fn diff(old: &str, new: &str) -> String {
    let (old, new) = (tidy(old), tidy(new));
    if old == new {
        return String::new();
    }
    DiffOptions::new()
        .set_original_filename("old")
        .set_modified_filename("new")
        .create_patch(&old, &new)
        .to_string()
}

/// The line of the first mark of a conflict that nobody has settled. Between marks nothing is YAML, so this is asked
/// before a file is read.
pub fn unsettled(text: &str) -> Option<u32> {
    let mark = |line: &str| {
        let first = line.chars().next().filter(|first| MARKS.contains(first))?;
        let rest = line.trim_start_matches(first);
        let is_mark = line.len() - rest.len() == MARK_LENGTH && (rest.is_empty() || rest.starts_with(' '));
        is_mark.then_some(first)
    };
    let marks: Vec<(u32, char)> = (1..)
        .zip(text.lines())
        .filter_map(|(number, line)| Some((number, mark(line)?)))
        .collect();
    // A row of = or | alone may be part of a text; with its fellows it is not.
    let is_conflict = marks.iter().any(|(_, mark)| matches!(mark, '<' | '>'));
    marks.first().filter(|_| is_conflict).map(|(number, _)| *number)
}

/// Line ends of one kind, and one at the end: forms and editors change them, and that is no change to a file.
fn tidy(text: &str) -> String {
    let mut text = text.replace("\r\n", "\n");
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// The longest run of a mark's letter at the beginning of a line.
fn longest_run(text: &str) -> usize {
    let run = |line: &str| {
        let first = line.chars().next().filter(|first| MARKS.contains(first))?;
        Some(line.len() - line.trim_start_matches(first).len())
    };
    text.lines().filter_map(run).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASE: &str = "services:\n  web:\n    image: web:1.0.0\n    restart: always\n    environment:\n      A: \"1\"\n    volumes:\n      - data:/data\nvolumes:\n  data: {}\n";

    #[test]
    fn changes_of_both_come_together() {
        let mine = BASE.replace("A: \"1\"", "A: \"2\"\n      B: mine");
        let theirs = BASE.replace("web:1.0.0", "web:2.0.0");
        let merged = merge(BASE, &mine, &theirs);
        assert_eq!(merged.conflicts, []);
        assert_eq!(merged.text, mine.replace("web:1.0.0", "web:2.0.0"));
        assert_eq!(unsettled(&merged.text), None);
    }

    #[test]
    fn the_same_change_is_no_conflict() {
        let both = BASE.replace("web:1.0.0", "web:2.0.0");
        assert_eq!(merge(BASE, &both, &both).text, both);
        let merged = merge(BASE, &both, &both.replace("A: \"1\"", "A: \"3\""));
        assert_eq!((merged.text, merged.conflicts.len()), (both.replace("A: \"1\"", "A: \"3\""), 0));
    }

    #[test]
    fn a_conflict_has_its_line_and_both_sides() {
        let mine = BASE.replace("web:1.0.0", "mine:1.0.0");
        let theirs = BASE.replace("web:1.0.0", "web:2.0.0").replace("data:/data", "data:/srv");
        let merged = merge(BASE, &mine, &theirs);
        let expected = Conflict {
            line: 3,
            mine: "    image: mine:1.0.0\n".into(),
            theirs: "    image: web:2.0.0\n".into(),
        };
        assert_eq!(merged.conflicts, [expected]);
        assert_eq!(
            merged.text,
            "services:\n  web:\n<<<<<<< mine\n    image: mine:1.0.0\n=======\n    image: web:2.0.0\n>>>>>>> theirs\n    restart: always\n    environment:\n      A: \"1\"\n    volumes:\n      - data:/srv\nvolumes:\n  data: {}\n"
        );
        assert_eq!(unsettled(&merged.text), Some(3));
    }

    #[test]
    fn what_one_took_out_and_the_other_changed_is_a_conflict() {
        let mine = BASE.replace("    image: web:1.0.0\n", "");
        let merged = merge(BASE, &mine, &BASE.replace("web:1.0.0", "web:2.0.0"));
        assert_eq!((merged.conflicts.len(), merged.conflicts[0].mine.as_str()), (1, ""));
    }

    #[test]
    fn line_ends_are_no_change() {
        let mine = BASE.trim_end().replace('\n', "\r\n");
        let theirs = BASE.replace("data: {}", "data: {}\n  more: {}");
        assert_eq!(
            merge(BASE, &mine, &theirs),
            Merged {
                text: theirs,
                conflicts: Vec::new()
            }
        );
        assert_eq!(diff(BASE, &mine), "");
    }

    #[test]
    fn marks_in_the_texts_are_not_taken_for_our_own() {
        let base = "a\n=======\n<<<<<<< ours\nb\n";
        let merged = merge(base, &base.replace('b', "mine\n======="), &base.replace('b', "theirs"));
        assert_eq!(merged.conflicts.len(), 1);
        assert_eq!(
            (merged.conflicts[0].line, merged.conflicts[0].mine.as_str()),
            (4, "mine\n=======\n")
        );
    }

    #[test]
    fn differences() {
        let new = BASE.replace("web:1.0.0", "web:2.0.0");
        let shown = diff(BASE, &new);
        assert!(shown.starts_with("--- old\n+++ new\n@@ -1,6 +1,6 @@\n services:\n"), "{shown}");
        assert!(shown.contains("\n-    image: web:1.0.0\n+    image: web:2.0.0\n"), "{shown}");
        assert_eq!(diff("", "a"), "--- old\n+++ new\n@@ -0,0 +1 @@\n+a\n");
    }

    #[test]
    fn rows_of_signs_are_no_conflict() {
        for text in [
            "",
            "=======\n",
            "a: |\n  <<<<<<< x\n",
            "<<<<<<<<\n",
            "<<: *a\n",
            ">\n",
            "<<<<<<<x\n",
        ] {
            assert_eq!(unsettled(text), None, "{text}");
        }
        for (text, line) in [
            ("a\n>>>>>>> theirs", 2),
            ("=======\n>>>>>>> x", 1),
            ("a\r\n<<<<<<< HEAD\r\n", 2),
            ("<<<<<<<", 1),
        ] {
            assert_eq!(unsettled(text), Some(line), "{text}");
        }
    }

    /// Short texts of few different lines, so that they meet; marks among them.
    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec("a|b|c|d|  x: 1|=======|<<<<<<< ours|>>>>>>> theirs|", 0..12).prop_map(|lines| tidy(&lines.join("\n")))
    }

    proptest! {
        #[test]
        fn who_alone_changed_something_gets_it(base in text(), other in text()) {
            prop_assert_eq!(merge(&base, &other, &base).text, other.clone());
            prop_assert_eq!(merge(&base, &base, &other).text, other.clone());
            prop_assert_eq!(merge(&base, &other, &other), Merged { text: other, conflicts: Vec::new() });
        }
        #[test]
        fn conflicts_are_told_where_they_are(base in text(), mine in text(), theirs in text()) {
            let merged = merge(&base, &mine, &theirs);
            let lines: Vec<&str> = merged.text.lines().collect();
            for conflict in &merged.conflicts {
                prop_assert_eq!(lines[conflict.line as usize - 1], "<<<<<<< mine");
                prop_assert!(mine.contains(&conflict.mine) && theirs.contains(&conflict.theirs));
            }
            prop_assert!(merged.conflicts.is_empty() || unsettled(&merged.text).is_some());
        }
        #[test]
        fn nothing_panics(base in ".{0,60}", mine in "(?s).{0,60}", theirs in "(?s).{0,60}") {
            let merged = merge(&base, &mine, &theirs);
            let _ = (diff(&mine, &merged.text), unsettled(&merged.text));
        }
        #[test]
        fn a_difference_leads_from_the_old_to_the_new(old in text(), new in text()) {
            let shown = diff(&old, &new);
            if old == new {
                prop_assert_eq!(shown, "");
            } else {
                let patch = diffy::Patch::from_str(&shown).expect("a patch");
                prop_assert_eq!(diffy::apply(&old, &patch).expect("it fits"), new);
            }
        }
    }
}

//! Variables of a Compose file from another panel: what the panel gives, what a person is asked for, and what keeps its default.

use super::{
    dollars::{Found, literal, rewrite},
    draft::{Draft, each},
    form::{is_foreign, is_secret, is_setting},
};
use crate::{
    template::AskedKind,
    yaml::{Map, Node, Value},
};

/// A form with more questions than this is no help; what may stay empty is left to the app's variables.
const MANY: usize = 24;

/// What the other panel puts in for a name, in our language; may ask for more.
pub type Given<'a> = dyn FnMut(&mut Draft, &str) -> Option<String> + 'a;

/// Every text of a Compose file in our language. `content` of a mount is written as it is, but for names that the panel gives.
pub fn compose(draft: &mut Draft, map: &mut Map, given: &mut Given<'_>) {
    for (_, node) in map {
        walk(draft, node, given);
    }
}

fn walk(draft: &mut Draft, node: &mut Node, given: &mut Given<'_>) {
    match &mut node.value {
        Value::Null => {}
        Value::Text { text, .. } => *text = one(draft, text, given),
        Value::List(list) => list.iter_mut().for_each(|node| walk(draft, node, given)),
        Value::Map(map) => {
            let is_mount = map.iter().any(|(key, _)| key.text == "target") && map.iter().any(|(key, _)| key.text == "source");
            for (key, node) in map {
                if is_mount && key.text == "content" {
                    each(node, &mut |text| *text = content(draft, text, given));
                } else if key.text == "environment" {
                    environment(draft, node, given);
                } else {
                    walk(draft, node, given);
                }
            }
        }
    }
}

/// Names without a value get what the panel gives; the others are left to the app's variables.
fn environment(draft: &mut Draft, node: &mut Node, given: &mut Given<'_>) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, node) in map {
                match (node.is_null(), node.is_null().then(|| given(draft, &key.text)).flatten()) {
                    (true, Some(value)) => node.value = super::write::text(value).value,
                    (true, None) => {}
                    (false, _) => walk(draft, node, given),
                }
            }
        }
        Value::List(list) => {
            for node in list {
                let name = node.text().filter(|line| !line.contains('=')).map(str::to_owned);
                match name.and_then(|name| Some(format!("{name}={}", given(draft, name.trim())?))) {
                    Some(line) => node.value = super::write::text(line).value,
                    None => walk(draft, node, given),
                }
            }
        }
        _ => walk(draft, node, given),
    }
}

/// One text of a Compose file.
pub fn one(draft: &mut Draft, text: &str, given: &mut Given<'_>) -> String {
    rewrite(text, &mut |found| answer(draft, found, given))
}

fn answer(draft: &mut Draft, found: &Found<'_>, given: &mut Given<'_>) -> Option<String> {
    let has_default = matches!(found.sign, ":-" | "-");
    if let Some(value) = given(draft, found.name) {
        let instead = matches!(found.sign, ":+" | "+");
        let is_empty = value.is_empty() && found.sign == ":-";
        return Some(if instead || is_empty {
            one(draft, found.word, given)
        } else {
            value
        });
    }
    let name = found.name;
    if has_default && is_secret(name) && !is_foreign(name) && !is_setting(name, found.word) {
        if !found.word.is_empty() {
            draft.note(format!("{name} has a fixed value in the source; here it is generated"));
        }
        return Some(draft.form.by_name(name, None, false));
    }
    if draft.reasons_are_defaults && found.sign.ends_with('?') && !found.word.is_empty() && !found.word.contains('$') {
        let shown = draft.form.by_name(name, None, true);
        let own = draft.form.asked.iter_mut().find(|one| format!("{{{{ {} }}}}", one.name) == shown);
        if let Some(one) = own.filter(|one| one.kind == AskedKind::Text) {
            one.default = Some(found.word.into());
            one.required = None;
        }
        return Some(shown);
    }
    match found.sign {
        "" if draft.form.asked.len() >= MANY && !draft.form.has(name) && (!is_secret(name) || is_foreign(name)) => {
            draft.note(format!(
                "{name} is not asked for, the form is long already; it can be set as a variable of the app"
            ));
            Some(format!("${{{name}:-}}"))
        }
        "" => Some(draft.form.by_name(name, None, false)),
        ":?" | "?" => Some(draft.form.by_name(name, None, true)),
        _ => None,
    }
}

/// A file's content, in which a `$` means nothing unless the panel gives the name.
fn content(draft: &mut Draft, text: &str, given: &mut Given<'_>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&literal(&rest[..at]));
        let after = &rest[at + 1..];
        let (name, next) = match after.strip_prefix('{') {
            Some(inner) => {
                let name = &inner[..crate::expand::name_length(inner)];
                (name, inner[name.len()..].strip_prefix('}'))
            }
            None => {
                let name = &after[..crate::expand::name_length(after)];
                (name, Some(&after[name.len()..]))
            }
        };
        match (next, (!name.is_empty()).then(|| given(draft, name)).flatten()) {
            (Some(next), Some(value)) => {
                out.push_str(&value);
                rest = next;
            }
            _ => {
                out.push_str("$$");
                rest = after;
            }
        }
    }
    out.push_str(&literal(rest));
    out
}

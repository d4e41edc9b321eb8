//! Changes of SCIM resources (RFC 7644, section 3.5.2), with the liberties that Entra and Okta take: operations in capital
//! letters, paths as the names of values, and texts for booleans (see `people.rs`).

use super::filter::{Filter, field, path};
use serde_json::{Map, Value, json};
use types::{Error, Result};

/// Operations of one request.
const MOST: usize = 1000;
/// What a resource has; anything else a provider tells is let be.
const KNOWN: [&str; 15] = [
    "userName",
    "externalId",
    "displayName",
    "name",
    "formatted",
    "familyName",
    "givenName",
    "emails",
    "active",
    "members",
    "value",
    "type",
    "primary",
    "display",
    "$ref",
];
const FIXED: [&str; 4] = ["id", "meta", "schemas", "groups"];

/// Where an operation goes: `emails[type eq "work"].value`.
struct Target {
    names: Vec<String>,
    which: Option<Filter>,
    part: Option<String>,
}

/// The resource, changed as `request` says. Fails with `Invalid` for `path`, `value`, `mutability` or `noTarget`.
pub(super) fn apply(resource: &mut Value, request: &Value) -> Result<()> {
    let operations = field(request, "Operations").and_then(Value::as_array);
    let operations = operations.ok_or_else(|| Error::invalid("syntax", "there are no Operations"))?;
    if operations.is_empty() || operations.len() > MOST {
        return Err(Error::invalid("syntax", format!("there must be 1 to {MOST} Operations")));
    }
    for operation in operations {
        let op = field(operation, "op").and_then(Value::as_str).unwrap_or_default().to_lowercase();
        let value = field(operation, "value").cloned();
        let at = field(operation, "path").and_then(Value::as_str).filter(|at| !at.trim().is_empty());
        match (op.as_str(), at, value) {
            ("add" | "replace", Some(at), Some(value)) => set(resource, &target(at)?, value, op == "add")?,
            ("add" | "replace", None, Some(Value::Object(values))) => {
                // Okta tells the id once more.
                let open = |at: &String| !FIXED.iter().any(|fixed| at.eq_ignore_ascii_case(fixed));
                for (at, value) in values.into_iter().filter(|(at, _)| open(at)) {
                    set(resource, &target(&at)?, value, op == "add")?;
                }
            }
            ("add" | "replace", ..) => return Err(Error::invalid("value", "is missing")),
            ("remove", Some(at), value) => remove(resource, &target(at)?, value)?,
            ("remove", None, _) => return Err(Error::invalid("noTarget", "`remove` needs a path")),
            _ => return Err(Error::invalid("syntax", "an operation is none of add, replace and remove")),
        }
    }
    Ok(())
}

fn target(text: &str) -> Result<Target> {
    let text = text.trim();
    let wrong = || Error::invalid("path", format!("`{}` cannot be read", text.chars().take(100).collect::<String>()));
    let (head, which, part) = match text.split_once('[') {
        None => (text, None, None),
        Some((head, rest)) => {
            let (inner, tail) = rest.rsplit_once(']').ok_or_else(wrong)?;
            let part = match tail.strip_prefix('.') {
                Some(part) if !part.is_empty() => Some(part.to_owned()),
                None if tail.is_empty() => None,
                _ => return Err(wrong()),
            };
            (head, Some(Filter::read(inner).map_err(|_| wrong())?), part)
        }
    };
    // Another schema's: it is let be, whatever its names are.
    let names = if head.starts_with("urn:") && path(head).concat() == head.replace('.', "") {
        vec![head.to_owned()]
    } else {
        path(head)
    };
    if names.iter().any(String::is_empty) || names.len() > 2 {
        return Err(wrong());
    }
    if FIXED.iter().any(|fixed| names[0].eq_ignore_ascii_case(fixed)) {
        return Err(Error::invalid("mutability", format!("`{}` cannot be changed", names[0])));
    }
    Ok(Target { names, which, part })
}

/// The name as this resource writes it; `None`: it has nothing of that name.
fn known(name: &str) -> Option<&'static str> {
    KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made one")
}

fn set(resource: &mut Value, target: &Target, value: Value, adds: bool) -> Result<()> {
    let mut place = resource;
    for (at, name) in target.names.iter().enumerate() {
        let Some(name) = known(name) else { return Ok(()) };
        if at > 0
            && let Value::Array(all) = place
        {
            // Of several values, each.
            for one in all {
                object(one).insert(name.to_owned(), value.clone());
            }
            return Ok(());
        }
        place = object(place).entry(name).or_insert(Value::Null);
    }
    let Some(which) = &target.which else {
        put(place, value, adds);
        return Ok(());
    };
    if !place.is_array() {
        *place = json!([]);
    }
    let all = place.as_array_mut().expect("it was made one");
    if !all.iter().any(|one| which.is(one)) {
        // Entra adds an address by saying which it would replace.
        let wants = which
            .wants()
            .ok_or_else(|| Error::invalid("noTarget", "nothing is as the path says"))?;
        all.push(Value::Object(wants.into_iter().collect()));
    }
    for one in all.iter_mut().filter(|one| which.is(one)) {
        match &target.part {
            Some(part) => {
                if let Some(part) = known(part) {
                    object(one).insert(part.to_owned(), value.clone());
                }
            }
            None => put(one, value.clone(), true),
        }
    }
    Ok(())
}

fn put(place: &mut Value, value: Value, adds: bool) {
    match (place, value) {
        (Value::Array(all), Value::Array(more)) if adds => {
            for one in more {
                add(all, one);
            }
        }
        (Value::Array(all), one) if adds => add(all, one),
        (Value::Object(fields), Value::Object(more)) => {
            for (name, value) in more {
                if let Some(name) = known(&name) {
                    fields.insert(name.to_owned(), value);
                }
            }
        }
        (place, value) => *place = value,
    }
}

/// Once: what is there with the same value is there already.
fn add(all: &mut Vec<Value>, one: Value) {
    let same = |other: &Value| *other == one || (field(&one, "value").is_some() && field(other, "value") == field(&one, "value"));
    if !all.iter().any(same) {
        all.push(one);
    }
}

fn remove(resource: &mut Value, target: &Target, value: Option<Value>) -> Result<()> {
    let Some((last, above)) = target.names.split_last() else {
        return Ok(());
    };
    let mut place = resource;
    for name in above {
        let Some(name) = known(name) else { return Ok(()) };
        let Some(inner) = place.get_mut(name) else { return Ok(()) };
        place = inner;
    }
    let (Some(name), Some(fields)) = (known(last), place.as_object_mut()) else {
        return Ok(());
    };
    let gone = value.as_ref().and_then(Value::as_array).filter(|gone| !gone.is_empty());
    if target.which.is_none() && gone.is_none() {
        fields.remove(name);
        return Ok(());
    }
    let Some(Value::Array(all)) = fields.get_mut(name) else {
        return Ok(());
    };
    match (&target.which, target.part.as_deref().and_then(known)) {
        (Some(which), Some(part)) => {
            for one in all.iter_mut().filter(|one| which.is(one)) {
                object(one).remove(part);
            }
        }
        (Some(which), None) => all.retain(|one| !which.is(one)),
        // Entra names what is to go in the value.
        (None, _) => {
            let goes = |one: &Value| {
                gone.into_iter()
                    .flatten()
                    .any(|other| field(other, "value").is_some() && field(other, "value") == field(one, "value"))
            };
            all.retain(|one| !goes(one));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: Value, operations: Value, after: Value) {
        let mut resource = before;
        apply(&mut resource, &json!({"Operations": operations})).expect("applied");
        assert_eq!(resource, after, "{operations}");
    }

    #[test]
    fn as_providers_write_them() {
        let group = || json!({"displayName": "Dev", "members": [{"value": "1"}, {"value": "2"}]});
        // RFC 7644, section 3.5.2.
        check(
            group(),
            json!([{"op": "add", "path": "members", "value": [{"display": "B", "value": "2"}, {"value": "3"}]}]),
            json!({"displayName": "Dev", "members": [{"value": "1"}, {"value": "2"}, {"value": "3"}]}),
        );
        check(
            group(),
            json!([{"op": "remove", "path": "members[value eq \"2\"]"}]),
            json!({"displayName": "Dev", "members": [{"value": "1"}]}),
        );
        check(group(), json!([{"op": "remove", "path": "members"}]), json!({"displayName": "Dev"}));
        check(
            group(),
            json!([{"op": "replace", "path": "members", "value": [{"value": "9"}]}]),
            json!({"displayName": "Dev", "members": [{"value": "9"}]}),
        );
        // Entra.
        check(
            group(),
            json!([{"op": "Remove", "path": "members", "value": [{"value": "1"}]}]),
            json!({"displayName": "Dev", "members": [{"value": "2"}]}),
        );
        check(
            group(),
            json!([{"op": "Replace", "path": "displayName", "value": "Ops"}]),
            json!({"displayName": "Ops", "members": [{"value": "1"}, {"value": "2"}]}),
        );
        let person = || json!({"userName": "a", "active": true, "emails": [{"type": "work", "value": "a@example.com"}]});
        check(
            person(),
            json!([{"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "b@example.com"}, {"op": "Replace", "path": "name.familyName", "value": "B"}]),
            json!({"userName": "a", "active": true, "emails": [{"type": "work", "value": "b@example.com"}], "name": {"familyName": "B"}}),
        );
        check(
            person(),
            json!([{"op": "replace", "path": "emails.value", "value": "b@example.com"}]),
            json!({"userName": "a", "active": true, "emails": [{"type": "work", "value": "b@example.com"}]}),
        );
        check(
            json!({}),
            json!([{"op": "Add", "path": "emails[type eq \"work\"].value", "value": "b@example.com"}]),
            json!({"emails": [{"type": "work", "value": "b@example.com"}]}),
        );
        check(
            person(),
            json!([{"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "X"}]),
            person(),
        );
        check(
            person(),
            json!([{"op": "replace", "value": {"active": "False", "name.givenName": "A"}}]),
            json!({"userName": "a", "active": "False", "emails": [{"type": "work", "value": "a@example.com"}], "name": {"givenName": "A"}}),
        );
        // Okta.
        check(
            person(),
            json!([{"op": "replace", "value": {"active": false}}]),
            json!({"userName": "a", "active": false, "emails": [{"type": "work", "value": "a@example.com"}]}),
        );
        check(
            group(),
            json!([{"op": "replace", "value": {"id": "x", "displayName": "Ops"}}]),
            json!({"displayName": "Ops", "members": [{"value": "1"}, {"value": "2"}]}),
        );
        for (operations, word) in [
            (json!([]), "syntax"),
            (json!([{"op": "move", "path": "a"}]), "syntax"),
            (json!([{"op": "remove"}]), "noTarget"),
            (json!([{"op": "replace", "path": "id", "value": "x"}]), "mutability"),
            (json!([{"op": "replace", "path": "members[value eq", "value": "x"}]), "path"),
            (
                json!([{"op": "replace", "path": "members[value sw \"z\"].display", "value": "x"}]),
                "noTarget",
            ),
            (json!([{"op": "add", "path": "members"}]), "value"),
        ] {
            let why = apply(&mut group(), &json!({"Operations": operations}))
                .expect_err("refused")
                .to_string();
            assert!(why.starts_with(word), "{operations}: {why}");
        }
    }
}

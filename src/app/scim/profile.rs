//! What a resource says of somebody, read and written.

use super::{filter::field, text};
use serde_json::{Map, Value, json};
use types::{Error, Result, ScimMail, ScimProfile};

/// Addresses of one.
const MAILS: usize = 20;

/// Who comes without a word on it is active.
pub(super) fn read(resource: &Value) -> Result<ScimProfile> {
    let user_name = text(resource, "userName")?.ok_or_else(|| Error::invalid("userName", "is needed"))?;
    let empty = Value::Null;
    let name = field(resource, "name").unwrap_or(&empty);
    let mut emails: Vec<ScimMail> = match field(resource, "emails") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(all)) if all.len() <= MAILS => all.iter().filter_map(|one| mail(one).transpose()).collect::<Result<_>>()?,
        Some(_) => return Err(Error::invalid("emails", format!("must be a list of at most {MAILS}"))),
    };
    // There is one at most (RFC 7643, section 2.4): the last that was said.
    let last = emails.iter().rposition(|mail| mail.primary);
    for (at, mail) in emails.iter_mut().enumerate() {
        mail.primary &= Some(at) == last;
    }
    Ok(ScimProfile {
        user_name,
        external_id: text(resource, "externalId")?,
        display_name: text(resource, "displayName")?,
        formatted: text(name, "formatted")?,
        given_name: text(name, "givenName")?,
        family_name: text(name, "familyName")?,
        emails,
        active: Some(truth(resource, "active")?.unwrap_or(true)),
    })
}

pub(super) fn says_nothing_of_active(resource: &Value) -> bool {
    field(resource, "active").is_none_or(Value::is_null)
}

fn mail(one: &Value) -> Result<Option<ScimMail>> {
    let Some(value) = text(one, "value")? else { return Ok(None) };
    Ok(Some(ScimMail {
        value,
        kind: text(one, "type")?,
        primary: truth(one, "primary")?.unwrap_or(false),
    }))
}

/// Entra writes `"False"`.
fn truth(resource: &Value, name: &str) -> Result<Option<bool>> {
    match field(resource, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(is)) => Ok(Some(*is)),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(_) => Err(Error::invalid(name, "must be true or false")),
    }
}

/// A profile as a resource has it.
pub(super) fn written(profile: &ScimProfile) -> Value {
    let mut fields = Map::new();
    let put = |fields: &mut Map<String, Value>, name: &str, value: &Option<String>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), json!(value));
        }
    };
    fields.insert("userName".into(), json!(profile.user_name));
    put(&mut fields, "externalId", &profile.external_id);
    put(&mut fields, "displayName", &profile.display_name);
    let mut name = Map::new();
    put(&mut name, "formatted", &profile.formatted);
    put(&mut name, "givenName", &profile.given_name);
    put(&mut name, "familyName", &profile.family_name);
    if !name.is_empty() {
        fields.insert("name".into(), Value::Object(name));
    }
    if !profile.emails.is_empty() {
        let mails = profile.emails.iter().map(|mail| {
            let mut one = Map::new();
            one.insert("value".into(), json!(mail.value));
            put(&mut one, "type", &mail.kind);
            one.insert("primary".into(), json!(mail.primary));
            Value::Object(one)
        });
        fields.insert("emails".into(), mails.collect());
    }
    if let Some(active) = profile.active {
        fields.insert("active".into(), json!(active));
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written() {
        let resource = json!({
            "userName": "bob", "externalId": "x", "displayName": "Bob", "name": {"formatted": "Bob B", "givenName": "Bob", "familyName": "B"},
            "emails": [{"value": "a@example.com", "type": "work", "primary": false}, {"value": "b@example.com", "primary": true}], "active": false,
        });
        assert_eq!(written(&read(&resource).expect("reads")), resource);
        assert_eq!(read(&json!({"USERNAME": "bob"})).expect("reads").active, Some(true));
        let two = json!({"userName": "b", "emails": [{"value": "a", "primary": "True"}, {"value": "b", "primary": true}, {"value": ""}]});
        let primary: Vec<bool> = read(&two).expect("reads").emails.iter().map(|mail| mail.primary).collect();
        assert_eq!(primary, [false, true]);
        for wrong in [
            json!({}),
            json!({"userName": " "}),
            json!({"userName": 1}),
            json!({"userName": "x".repeat(300)}),
            json!({"userName": "a", "active": "yes"}),
            json!({"userName": "a", "emails": "b@example.com"}),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}

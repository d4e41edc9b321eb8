//! What a provider answers by way of the browser: whether it counts, and whom it names (SAML Profiles, section 4.1.4.3).
//!
//! An answer counts once: its request's id is a word that is given out once, and forgotten when the answer to it comes. So
//! there is no list of assertions that were seen.

use super::{
    Peer, SAML, SAMLP, Started, encryption,
    metadata::time,
    signature::is_signed,
    xml::{Comments, Element, Scope, XML, parse},
};
use crate::external::Person;
use std::{collections::HashSet, time::Duration};
use types::Time;

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
const MAIL: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
/// How far the clocks may be apart.
const SKEW: Duration = Duration::from_secs(60);
const GROUPS: usize = 2000;

/// What attributes are called where nobody said otherwise: plainly, by X.500 (eduPerson and its like), by Microsoft.
const USUAL_MAIL: [&str; 4] = [
    "mail",
    "email",
    "urn:oid:0.9.2342.19200300.100.1.3",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
];
const USUAL_NAME: [&str; 7] = [
    "displayName",
    "name",
    "cn",
    "urn:oid:2.16.840.1.113730.3.1.241",
    "urn:oid:2.5.4.3",
    "http://schemas.microsoft.com/identity/claims/displayname",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
];
const USUAL_GROUPS: [&str; 5] = [
    "groups",
    "memberOf",
    "urn:oid:1.3.6.1.4.1.5923.1.5.1.1",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
    "http://schemas.xmlsoap.org/claims/Group",
];

/// The person, if everything is as it must be.
pub(super) fn check(peer: &Peer, started: &Started, text: &str, now: Time) -> Result<Person, String> {
    let response = parse(text, Comments::Refused, &Scope::new())?;
    if !response.is(SAMLP, "Response") {
        return Err("it is no Response".into());
    }
    let mut ids = HashSet::new();
    unique(&response, &mut ids)?;
    envelope(&response, started)?;
    let is_whole_signed = is_signed(&response, &started.provider.certificates)?;
    if is_whole_signed && response.attribute("Destination").is_none() {
        return Err("it is signed and does not say whom it is for (Destination)".into());
    }
    let assertions = count(&response, "Assertion");
    let encrypted: Vec<&Element> = response.all(SAML, "EncryptedAssertion").collect();
    let opened;
    let assertion = match (assertions, encrypted.as_slice()) {
        (1, []) => response.one(SAML, "Assertion")?,
        (0, [hidden]) => {
            opened = encryption::assertion(hidden, &peer.key)?;
            if count(&opened, "Assertion") != 1 {
                return Err("it has more than one assertion".into());
            }
            unique(&opened, &mut ids)?;
            &opened
        }
        (0, []) => return Err("it has no assertion".into()),
        _ => return Err("it has more than one assertion".into()),
    };
    let is_assertion_signed = is_signed(assertion, &started.provider.certificates)?;
    if !is_whole_signed && !is_assertion_signed {
        return Err("it is not signed".into());
    }
    let until = standing(assertion, started, now)?;
    let mut person = person(peer, assertion)?;
    person.until = until;
    Ok(person)
}

/// Ids name one element each, so that nothing means two.
fn unique<'a>(root: &'a Element, ids: &mut HashSet<&'a str>) -> Result<(), String> {
    let mut is_twice = false;
    root.visit(&mut |element| {
        for one in &element.attributes {
            let is_id = one.local.eq_ignore_ascii_case("id") && (one.namespace.is_empty() || one.namespace == XML);
            is_twice |= is_id && !ids.insert(&one.value);
        }
    });
    match is_twice {
        true => Err("an ID is there twice".into()),
        false => Ok(()),
    }
}

/// Anywhere in it.
fn count(root: &Element, local: &str) -> usize {
    let mut found = 0;
    root.visit(&mut |element| found += usize::from(element.is(SAML, local)));
    found
}

/// What stands around the assertion.
fn envelope(response: &Element, started: &Started) -> Result<(), String> {
    if response.attribute("Version") != Some("2.0") {
        return Err("it is not SAML 2.0".into());
    }
    if response.attribute("InResponseTo") != Some(&started.request) {
        return Err("it does not answer this sign-in (InResponseTo)".into());
    }
    if response.attribute("Destination").is_some_and(|to| to != started.place.consumer) {
        return Err("it is for another address (Destination)".into());
    }
    if let Some(issuer) = response.at_most_one(SAML, "Issuer")? {
        is_from(issuer, started)?;
    }
    let status = response.one(SAMLP, "Status")?;
    let code = status.one(SAMLP, "StatusCode")?;
    if code.attribute("Value") != Some(SUCCESS) {
        let inner = code.all(SAMLP, "StatusCode").next().unwrap_or(code);
        let word = inner
            .attribute("Value")
            .unwrap_or_default()
            .rsplit(':')
            .next()
            .unwrap_or_default()
            .to_owned();
        let message = status.all(SAMLP, "StatusMessage").next().and_then(|message| message.text().ok());
        let said: String = format!("{word} {}", message.unwrap_or_default());
        let said: String = said.chars().filter(|letter| !letter.is_control()).take(200).collect();
        return Err(format!("the provider says no: {}", said.trim()));
    }
    Ok(())
}

fn is_from(issuer: &Element, started: &Started) -> Result<(), String> {
    match issuer.text()? == started.provider.entity_id {
        true => Ok(()),
        false => Err("it is from another provider (Issuer)".into()),
    }
}

/// Whether an assertion is for this sign-in, here and now; and when the session there ends, if it says so.
fn standing(assertion: &Element, started: &Started, now: Time) -> Result<Option<Time>, String> {
    if assertion.attribute("Version") != Some("2.0") {
        return Err("the assertion is not SAML 2.0".into());
    }
    is_from(assertion.one(SAML, "Issuer")?, started)?;
    let subject = assertion.one(SAML, "Subject")?;
    let mut why = "nobody may bear it (SubjectConfirmation)".to_owned();
    let is_confirmed = subject
        .all(SAML, "SubjectConfirmation")
        .any(|one| confirmed(one, started, now).map_err(|error| why = error).is_ok());
    if !is_confirmed {
        return Err(why);
    }
    conditions(assertion.one(SAML, "Conditions")?, started, now)?;
    let statement = assertion
        .all(SAML, "AuthnStatement")
        .next()
        .ok_or("nobody signed in (AuthnStatement)")?;
    over(statement, "SessionNotOnOrAfter", now)?;
    // Of several, the first to end; by our clock it may be that much later.
    let statements = assertion.all(SAML, "AuthnStatement");
    let ends = statements.filter_map(|one| time(one.attribute("SessionNotOnOrAfter")?));
    Ok(ends.min().map(|end| end.plus(SKEW)))
}

fn confirmed(confirmation: &Element, started: &Started, now: Time) -> Result<(), String> {
    if confirmation.attribute("Method") != Some(BEARER) {
        return Err("nobody may bear it (SubjectConfirmation)".into());
    }
    let data = confirmation.one(SAML, "SubjectConfirmationData")?;
    if data.attribute("Recipient") != Some(&started.place.consumer) {
        return Err("it is for another address (Recipient)".into());
    }
    if data.attribute("InResponseTo") != Some(&started.request) {
        return Err("it does not answer this sign-in (InResponseTo)".into());
    }
    if data.attribute("NotOnOrAfter").is_none() {
        return Err("it does not say until when it may be borne (NotOnOrAfter)".into());
    }
    early(data, now)?;
    over(data, "NotOnOrAfter", now)
}

fn conditions(conditions: &Element, started: &Started, now: Time) -> Result<(), String> {
    early(conditions, now)?;
    over(conditions, "NotOnOrAfter", now)?;
    let mut is_for_us = false;
    for condition in conditions.elements() {
        if !(condition.namespace == SAML && matches!(condition.local.as_str(), "AudienceRestriction" | "OneTimeUse" | "ProxyRestriction")) {
            return Err(format!("it has a condition that is not known here: {}", condition.local));
        }
        if condition.local == "AudienceRestriction" {
            let mut audiences = condition.all(SAML, "Audience");
            if !audiences.any(|one| one.text() == Ok(&started.place.entity_id)) {
                return Err("it is for another audience".into());
            }
            is_for_us = true;
        }
    }
    match is_for_us {
        true => Ok(()),
        false => Err("it does not say whom it is for (AudienceRestriction)".into()),
    }
}

fn early(element: &Element, now: Time) -> Result<(), String> {
    let Some(text) = element.attribute("NotBefore") else {
        return Ok(());
    };
    match time(text) {
        Some(from) if from <= now.plus(SKEW) => Ok(()),
        _ => Err("it is not valid yet (NotBefore); are both clocks right?".into()),
    }
}

fn over(element: &Element, name: &str, now: Time) -> Result<(), String> {
    let Some(text) = element.attribute(name) else { return Ok(()) };
    match time(text) {
        Some(until) if now.minus(SKEW) < until => Ok(()),
        _ => Err(format!("it is not valid any more ({name}); are both clocks right?")),
    }
}

fn person(peer: &Peer, assertion: &Element) -> Result<Person, String> {
    let values = |named: Option<&str>, usual: &[&str]| match named {
        Some(name) => attribute(assertion, name),
        None => {
            let mut found = usual.iter().map(|name| attribute(assertion, name));
            found.find(|values| !values.is_empty()).unwrap_or_default()
        }
    };
    let first = |named: Option<&str>, usual: &[&str]| values(named, usual).into_iter().next();
    let id = assertion.one(SAML, "Subject")?.at_most_one(SAML, "NameID")?;
    let format = id.and_then(|id| id.attribute("Format")).unwrap_or_default();
    let named = id.map(Element::text).transpose()?.unwrap_or_default().to_owned();
    let subject = match peer.subject_attribute.as_deref() {
        Some(name) => first(Some(name), &[]).unwrap_or_default(),
        None if format == TRANSIENT => {
            return Err(
                "it names people anew each time (a transient NameID); let it send a persistent one, or set which attribute names them"
                    .into(),
            );
        }
        None => named.clone(),
    };
    if subject.is_empty() || subject.len() > 255 {
        return Err("it does not say who it is (NameID)".into());
    }
    let mail = first(peer.email_attribute.as_deref(), &USUAL_MAIL);
    let email = mail.or_else(|| (format == MAIL && peer.email_attribute.is_none()).then_some(named));
    let mut groups = values(peer.groups_attribute.as_deref(), &USUAL_GROUPS);
    groups.truncate(GROUPS);
    Ok(Person {
        subject,
        // Who set the provider up believes what it signs.
        email_verified: email.is_some(),
        email,
        name: first(peer.name_attribute.as_deref(), &USUAL_NAME),
        groups,
        session: None,
        until: None,
        refresh: None,
    })
}

/// The values of an attribute, by its name or its friendly name.
fn attribute(assertion: &Element, name: &str) -> Vec<String> {
    let all = || {
        let statements = assertion.all(SAML, "AttributeStatement");
        statements.flat_map(|statement| statement.all(SAML, "Attribute"))
    };
    let by = |key: &str| {
        let named: Vec<_> = all().filter(|one| one.attribute(key) == Some(name)).collect();
        let values = named.into_iter().flat_map(|one| one.all(SAML, "AttributeValue"));
        let texts = values.filter_map(|value| value.text().ok()).filter(|text| !text.is_empty());
        texts.map(str::to_owned).collect::<Vec<_>>()
    };
    let named = by("Name");
    if named.is_empty() { by("FriendlyName") } else { named }
}

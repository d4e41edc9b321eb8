//! What people and forges upload: deliveries of webhooks, Compose files, templates, certificates, rules.

use catalog::{
    compose::{self, Ask, NoFiles},
    template,
};
use source::webhooks::{Filter, Proof, What, asks_to_skip, hear, read};
use std::collections::HashMap;
use types::{Rule, Secret, TrafficPolicy, World};

const SECRET: &str = "a secret that no input contains: 5f1c9a";

/// Headers, an empty line, the body. Who does not know the secret is never believed.
pub(crate) fn webhooks(bytes: &[u8]) {
    let split = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match split {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &[][..]),
    };
    let Ok(head) = std::str::from_utf8(head) else { return };
    let headers: HashMap<String, &str> = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()))
        .collect();
    let heard = hear(|name| headers.get(name).copied(), body, &Secret::from(SECRET));
    assert_ne!(heard.proof, Proof::Right, "{head}");
    assert!(!heard.event.chars().any(char::is_control));
    let kind = headers.get("content-type").copied().unwrap_or("application/json");
    if let Ok(What::Pushes(pushes)) = read(&heard, kind, body) {
        assert!(!pushes.is_empty());
    }
    if let Ok(text) = std::str::from_utf8(body) {
        asks_to_skip(text);
        let patterns: Vec<String> = text.lines().take(5).map(str::to_owned).collect();
        for filter in [Filter::of_names("branches", &patterns), Filter::of_paths("paths", &patterns)]
            .into_iter()
            .flatten()
        {
            filter.takes(head);
        }
    }
}

/// Whatever is wrong with a file is told, and one that is taken has services.
pub(crate) fn compose(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let variable = |name: &str| name.len().is_multiple_of(2).then(|| name.to_lowercase());
    let ask = Ask {
        text,
        files: &NoFiles,
        variable: &variable,
        template: None,
        profiles: &[],
    };
    match compose::read(&ask) {
        Ok(composed) => assert!(!composed.stack.services.is_empty()),
        Err(problems) => assert!(!problems.is_empty()),
    }
}

pub(crate) fn templates(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = template::read(text);
    template::derived_from(text);
}

/// Chain and key in one text. None is taken that a fuzzer could make up.
pub(crate) fn certificates(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert!(acme::check_upload(text, &Secret::from(text), World::system().now()).is_err());
}

/// Bodies of the API that become rules and policies.
pub(crate) fn rules(bytes: &[u8]) {
    if let Ok(policy) = serde_json::from_slice::<TrafficPolicy>(bytes) {
        let _ = policy.check();
    }
    let Ok(rule) = serde_json::from_slice::<Rule>(bytes) else { return };
    if rule.check().is_ok() {
        let again = serde_json::to_vec(&rule).expect("a rule is JSON");
        assert_eq!(serde_json::from_slice::<Rule>(&again).ok().as_ref(), Some(&rule));
    }
}

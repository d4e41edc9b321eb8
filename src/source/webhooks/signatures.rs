//! Who sent a delivery, and whether it is who knows the secret.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use types::{Forge, Secret};

/// Longer ids and events are cut: they are for people to read and to compare.
const WORD: usize = 200;

/// The outside of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub forge: Forge,
    /// The forge's id of this delivery, which stays when it sends it again.
    pub id: Option<String>,
    /// The forge's word for what happened.
    pub event: String,
    pub proof: Proof,
}

/// What the signature says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    Right,
    Wrong,
    /// There is none.
    Missing,
}

/// Looks at the headers of a delivery and at its signature over `body`. `header` finds a header by its name in small letters.
pub fn hear<'a>(header: impl Fn(&str) -> Option<&'a str>, body: &[u8], secret: &Secret) -> Heard {
    let first = |names: &[&str]| names.iter().find_map(|name| header(name)).filter(|text| !text.is_empty());
    let cut = |text: &str| text.chars().filter(|letter| !letter.is_control()).take(WORD).collect::<String>();
    let signed = |names: &[&str]| first(names).map_or(Proof::Missing, |given| signature(given, body, secret));
    // Gitea and Forgejo send GitHub's headers too, so they are asked for first.
    let (forge, id, event, proof) = if let Some(event) = first(&["x-forgejo-event", "x-gitea-event", "x-gogs-event"]) {
        let id = first(&["x-forgejo-delivery", "x-gitea-delivery", "x-gogs-delivery"]);
        let names = [
            "x-forgejo-signature",
            "x-gitea-signature",
            "x-gogs-signature",
            "x-hub-signature-256",
        ];
        (Forge::Gitea, id, event, signed(&names))
    } else if let Some(event) = first(&["x-github-event"]) {
        (
            Forge::Github,
            first(&["x-github-delivery"]),
            event,
            signed(&["x-hub-signature-256"]),
        )
    } else if let Some(event) = first(&["x-gitlab-event"]) {
        let proof = first(&["x-gitlab-token"]).map_or(Proof::Missing, |given| of(same(given.as_bytes(), secret.expose())));
        (Forge::Gitlab, first(&["idempotency-key", "x-gitlab-event-uuid"]), event, proof)
    } else if let Some(event) = first(&["x-event-key"]) {
        // Data Center sends no id for a repeated try; Cloud's stays the same over its tries.
        (
            Forge::Bitbucket,
            first(&["x-request-uuid", "x-request-id"]),
            event,
            signed(&["x-hub-signature"]),
        )
    } else {
        let id = first(&["x-delivery-id", "idempotency-key"]);
        let event = first(&["x-event"]).unwrap_or("deploy");
        (Forge::Generic, id, event, signed(&["x-signature-256", "x-hub-signature-256"]))
    };
    Heard {
        forge,
        id: id.map(cut),
        event: cut(event),
        proof,
    }
}

/// `sha256=<hex>` or `<hex>` of HMAC-SHA256 over the body, compared in constant time.
fn signature(given: &str, body: &[u8], secret: &Secret) -> Proof {
    let given = given.trim();
    let Some(given) = unhex(given.strip_prefix("sha256=").unwrap_or(given)) else {
        return Proof::Wrong;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose()).expect("HMAC takes keys of any length");
    mac.update(body);
    of(mac.verify_slice(&given).is_ok())
}

/// Takes as long for a wrong guess that begins right as for any other of its length.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    given.ct_eq(wanted).into()
}

fn of(right: bool) -> Proof {
    if right { Proof::Right } else { Proof::Wrong }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(headers: &[(&str, &str)], body: &[u8]) -> Heard {
        let find = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        hear(find, body, &Secret::from("It's a Secret to Everybody"))
    }

    #[test]
    fn the_example_of_githubs_manual() {
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        for (signature, proof) in [
            (right, Proof::Right),
            (&right.to_uppercase().replace("SHA256", "sha256"), Proof::Right),
            (&right.replace("757107", "757108"), Proof::Wrong),
            (&right[..60], Proof::Wrong),
            ("sha256=", Proof::Wrong),
            ("sha256=zz", Proof::Wrong),
            ("sha256=é1", Proof::Wrong),
        ] {
            let heard = heard(
                &[
                    ("x-github-event", "push"),
                    ("x-github-delivery", "1-2"),
                    ("x-hub-signature-256", signature),
                ],
                b"Hello, World!",
            );
            assert_eq!(
                (heard.forge, heard.id.as_deref(), heard.proof),
                (Forge::Github, Some("1-2"), proof),
                "{signature}"
            );
        }
        let old = heard(&[("x-github-event", "push"), ("x-hub-signature", "sha1=00")], b"Hello, World!");
        assert_eq!(old.proof, Proof::Missing, "SHA-1 is not looked at");
    }

    #[test]
    fn who_it_is_from() {
        for (headers, forge, event) in [
            (&[("x-gitea-event", "push"), ("x-github-event", "push")][..], Forge::Gitea, "push"),
            (
                &[("x-forgejo-event", "push"), ("x-gitea-event", "push"), ("x-github-event", "push")],
                Forge::Gitea,
                "push",
            ),
            (
                &[("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "x")],
                Forge::Gitlab,
                "Push Hook",
            ),
            (&[("x-event-key", "repo:push")], Forge::Bitbucket, "repo:push"),
            (&[], Forge::Generic, "deploy"),
        ] {
            let heard = heard(headers, b"");
            assert_eq!((heard.forge, heard.event.as_str()), (forge, event));
            assert_ne!(heard.proof, Proof::Right);
        }
        let token = [("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "It's a Secret to Everybody")];
        assert_eq!(heard(&token, b"").proof, Proof::Right);
    }
}

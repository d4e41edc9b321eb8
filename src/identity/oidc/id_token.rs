//! Whether an ID token is one for us, of now, by who says so (OpenID Connect Core 1.0, section 3.1.3.7).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde_json::Value;
use types::Time;

/// How far the provider's clock may be from ours, in seconds.
pub(super) const LEEWAY: i64 = 60;
/// Only signatures that nobody can make who knows the public key.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

pub(super) struct Wanted<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    pub now: Time,
}

impl Wanted<'_> {
    pub fn expected(&self) -> Expected<'_> {
        Expected {
            issuer: self.issuer,
            audience: self.client_id,
            now: self.now,
        }
    }
}

/// The claims, or in a few words why it is not taken. `keys` is a JWK set (RFC 7517).
pub(super) fn check(token: &str, keys: &Value, wanted: &Wanted<'_>) -> Result<Value, String> {
    let claims = signed_for(token, keys, &wanted.expected())?;
    if wanted.nonce.is_empty() || claims["nonce"] != wanted.nonce {
        return Err("the ID token belongs to another sign-in".into());
    }
    Ok(claims)
}

/// For whom a token must be, whatever it is for.
pub(crate) struct Expected<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
    pub now: Time,
}

/// The claims of a token that its issuer signed for us and that is good now; else in a few words why it is not taken.
pub(crate) fn signed_for(token: &str, keys: &Value, expected: &Expected<'_>) -> Result<Value, String> {
    let claims = verified(token, keys)?;
    check_good(&claims, expected)?;
    Ok(claims)
}

/// That it is by this issuer, for us, and of now: what can be said of it before anybody has looked at its signature.
pub(crate) fn check_good(claims: &Value, expected: &Expected<'_>) -> Result<(), String> {
    let seconds = expected.now.0 / 1000;
    let number = |name: &str| claims[name].as_f64().map(|value| value as i64);
    check_whose(claims, expected)?;
    if number("exp").is_none_or(|end| end.saturating_add(LEEWAY) <= seconds) {
        return Err("the ID token has expired; are both clocks right?".into());
    }
    let is_early = |name: &str| number(name).is_some_and(|begin| begin > seconds.saturating_add(LEEWAY));
    if is_early("nbf") || is_early("iat") || number("iat").is_none() {
        return Err("the ID token is of another time; are both clocks right?".into());
    }
    Ok(())
}

/// That it is by this issuer, for us.
pub(super) fn check_whose(claims: &Value, expected: &Expected<'_>) -> Result<(), String> {
    if claims["iss"] != expected.issuer {
        return Err("the ID token is by another issuer".into());
    }
    let audience = match &claims["aud"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audience.contains(&expected.audience) {
        return Err("the ID token is for another client".into());
    }
    if (audience.len() > 1 || !claims["azp"].is_null()) && claims["azp"] != expected.audience {
        return Err("the ID token was made for another client".into());
    }
    Ok(())
}

/// How many keys of a set can check a signature.
pub(super) fn usable(keys: &Value) -> usize {
    public(keys).count()
}

pub(super) fn verified(token: &str, keys: &Value) -> Result<Value, String> {
    let other = || "the ID token is not signed as it must be".to_owned();
    let header: Value = token
        .split('.')
        .next()
        .and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(other)?;
    // Extensions that must be understood (RFC 7515, section 4.1.11): none are.
    if !header["crit"].is_null() {
        return Err(other());
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| other())?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(other());
    }
    let fitting = |key: &Jwk| header.kid.is_none() || key.common.key_id.is_none() || key.common.key_id == header.kid;
    let mut rules = Validation::new(header.alg);
    // The rest is looked at by `check`, with the panel's clock.
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules.required_spec_claims.clear();
    public(keys)
        .filter(|key| fitting(key) && fits(&key.algorithm, header.alg))
        .filter_map(|key| DecodingKey::from_jwk(&key).ok())
        .find_map(|key| jsonwebtoken::decode::<Value>(token, &key, &rules).ok())
        .map(|decoded| decoded.claims)
        .ok_or_else(|| "the ID token is not signed by the provider".to_owned())
}

/// The public keys for signatures; others in the set are passed over, whatever they are.
fn public(keys: &Value) -> impl Iterator<Item = Jwk> {
    let all = keys["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parsed = all.iter().filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
    parsed.filter(|key| {
        let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
        signs && !matches!(key.algorithm, AlgorithmParameters::OctetKey(_))
    })
}

/// Whether a key is of the kind that the algorithm needs: no key is ever used for what it was not made for.
fn fits(key: &AlgorithmParameters, algorithm: Algorithm) -> bool {
    match (key, algorithm) {
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => key.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => key.curve == EllipticCurve::Ed25519,
        (AlgorithmParameters::RSA(_), Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA) => false,
        (AlgorithmParameters::RSA(_), _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{
        SigningKey,
        pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding},
    };
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    struct Issuer {
        key: SigningKey,
    }

    impl Issuer {
        fn new(seed: u8) -> Issuer {
            Issuer {
                key: SigningKey::from_bytes(&[seed; 32]),
            }
        }
        fn public(&self) -> String {
            BASE64_URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes())
        }
        fn keys(&self) -> Value {
            json!({"keys": [
                {"kty": "weird"},
                {"kty": "oct", "k": "c2VjcmV0", "kid": "one"},
                {"kty": "OKP", "crv": "Ed25519", "x": self.public(), "kid": "enc", "use": "enc"},
                {"kty": "OKP", "crv": "Ed25519", "x": self.public(), "kid": "one", "use": "sig", "alg": "EdDSA"},
            ]})
        }
        fn sign(&self, claims: &Value, kid: Option<&str>) -> String {
            let mut header = Header::new(Algorithm::EdDSA);
            header.kid = kid.map(str::to_owned);
            let pem = self.key.to_pkcs8_pem(LineEnding::LF).expect("PEM");
            encode(&header, claims, &EncodingKey::from_ed_pem(pem.as_bytes()).expect("a key")).expect("signed")
        }
    }

    fn claims() -> Value {
        json!({"iss": "https://id.example.com", "aud": "panel", "sub": "1", "nonce": "n", "iat": NOW - 5, "exp": NOW + 300})
    }

    fn wanted() -> Wanted<'static> {
        Wanted {
            issuer: "https://id.example.com",
            client_id: "panel",
            nonce: "n",
            now: Time(NOW * 1000),
        }
    }

    fn with(changes: Value) -> Value {
        let mut all = claims();
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => drop(all.as_object_mut().expect("an object").remove(name)),
                value => all[name] = value.clone(),
            }
        }
        all
    }

    #[test]
    fn what_every_claim_must_be() {
        let issuer = Issuer::new(1);
        for (changes, expected) in [
            (json!({}), ""),
            (json!({"aud": ["panel"]}), ""),
            (json!({"aud": ["panel", "other"], "azp": "panel"}), ""),
            (json!({"exp": NOW - 59}), ""),
            (json!({"iat": NOW + 59}), ""),
            (json!({"iss": "https://id.example.com/"}), "another issuer"),
            (json!({"iss": null}), "another issuer"),
            (json!({"aud": "other"}), "another client"),
            (json!({"aud": []}), "another client"),
            (json!({"aud": null}), "another client"),
            (json!({"aud": ["panel", "other"]}), "another client"),
            (json!({"azp": "other"}), "another client"),
            (json!({"exp": NOW - 60}), "expired"),
            (json!({"exp": null}), "expired"),
            (json!({"exp": "soon"}), "expired"),
            (json!({"iat": null}), "another time"),
            (json!({"iat": NOW + 61}), "another time"),
            (json!({"nbf": NOW + 61}), "another time"),
            (json!({"nonce": "m"}), "another sign-in"),
            (json!({"nonce": null}), "another sign-in"),
            (json!({"nonce": ["n"]}), "another sign-in"),
        ] {
            let found = check(&issuer.sign(&with(changes.clone()), Some("one")), &issuer.keys(), &wanted());
            match expected {
                "" => assert!(found.is_ok(), "{changes}: {found:?}"),
                words => assert!(found.expect_err("refused").contains(words), "{changes}"),
            }
        }
        let nothing = Wanted { nonce: "", ..wanted() };
        assert!(check(&issuer.sign(&with(json!({"nonce": ""})), None), &issuer.keys(), &nothing).is_err());
    }

    #[test]
    fn only_the_providers_own_signature_counts() {
        let (issuer, thief) = (Issuer::new(1), Issuer::new(2));
        let keys = issuer.keys();
        let good = issuer.sign(&claims(), Some("one"));
        assert!(check(&good, &keys, &wanted()).is_ok());
        assert!(check(&issuer.sign(&claims(), None), &keys, &wanted()).is_ok(), "one key, no name");
        let parts: Vec<&str> = good.split('.').collect();
        let encoded = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let body = encoded(&claims());
        // The public key as the secret of an HMAC, in each form that it has.
        let confused = |secret: &[u8]| {
            let mut header = Header::new(Algorithm::HS256);
            header.kid = Some("one".into());
            encode(&header, &claims(), &EncodingKey::from_secret(secret)).expect("signed")
        };
        let raw = issuer.key.verifying_key().to_bytes();
        for (what, token) in [
            ("another's key", thief.sign(&claims(), Some("one"))),
            ("a key for encryption", issuer.sign(&claims(), Some("enc"))),
            ("an unknown key", issuer.sign(&claims(), Some("two"))),
            ("alg none", format!("{}.{body}.", encoded(&json!({"alg": "none"})))),
            ("alg None", format!("{}.{body}.", encoded(&json!({"alg": "None", "kid": "one"})))),
            ("no alg", format!("{}.{body}.{}", encoded(&json!({})), parts[2])),
            ("the signature cut off", format!("{}.{}.", parts[0], parts[1])),
            (
                "other claims",
                format!("{}.{}.{}", parts[0], encoded(&with(json!({"sub": "2"}))), parts[2]),
            ),
            ("the raw key as a secret", confused(&raw)),
            ("its text as a secret", confused(issuer.public().as_bytes())),
            ("the set's own secret", confused(b"secret")),
            (
                "another algorithm",
                format!("{}.{}.{}", encoded(&json!({"alg": "RS256", "kid": "one"})), parts[1], parts[2]),
            ),
            (
                "an extension",
                format!(
                    "{}.{}.{}",
                    encoded(&json!({"alg": "EdDSA", "kid": "one", "crit": ["b64"], "b64": false})),
                    parts[1],
                    parts[2]
                ),
            ),
            ("nothing", String::new()),
            ("a word", "word".into()),
            ("too many parts", format!("{good}.x")),
        ] {
            assert!(check(&token, &keys, &wanted()).is_err(), "{what}");
        }
        for none in [json!({}), json!({"keys": []}), json!({"keys": "x"}), thief.keys(), Value::Null] {
            assert!(check(&good, &none, &wanted()).is_err(), "{none}");
        }
        assert_eq!((usable(&keys), usable(&json!({}))), (1, 0));
    }
}

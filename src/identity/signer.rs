//! Signed sessions: a JWT (RFC 7519) with EdDSA (RFC 8037) and nothing else, so that "none" and key mix-ups fail.

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};
use types::{Doing, Error, OrganizationId, Result, Role, Secret, SessionId, Time, UserId, World};
use zeroize::Zeroizing;

/// Who a session is, as the cookie says. Whether the session still stands, the caller asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub session: SessionId,
    pub user: UserId,
    pub organization: OrganizationId,
    /// As it was when signed; the user's record knows the present one.
    pub role: Role,
    /// Whole seconds.
    pub expires: Time,
}

/// The claims as they are in the JWT.
#[derive(Serialize, Deserialize)]
struct Wire {
    sid: SessionId,
    sub: UserId,
    org: OrganizationId,
    role: Role,
    /// Seconds since 1970.
    exp: i64,
}

/// Signs and checks with one key.
pub struct Signer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    world: World,
}

impl Signer {
    /// The key in the file (PKCS #8, PEM), or a new one in a new file of mode 0600. Fails with `Unavailable` when
    /// others may read it.
    pub fn load_or_create(path: &Path, world: World) -> Result<Signer> {
        let name = path.display();
        if !path.exists() {
            let part = path.with_extension("part");
            let doing = || format!("writing {name}");
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&part)
                .doing(doing())?;
            file.write_all(Signer::create(&world)?.expose()).doing(doing())?;
            file.sync_all().doing(doing())?;
            fs::rename(&part, path).doing(doing())?;
        }
        let mode = fs::metadata(path).doing(format!("reading {name}"))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::unavailable(format!(
                "{name} may be read or changed by others (mode {mode:o}); run: chmod 600 {name}"
            )));
        }
        let pem = Secret::new(fs::read(path).doing(format!("reading {name}"))?);
        Signer::load(&pem, world).map_err(|_| Error::unavailable(format!("{name} is damaged; remove it, and everybody signs in anew")))
    }

    /// A new key (PKCS #8, PEM).
    pub fn create(world: &World) -> Result<Secret> {
        let key = SigningKey::from_bytes(&Zeroizing::new(world.bytes()));
        let pem = key.to_pkcs8_pem(LineEnding::LF).doing("writing a signing key")?;
        Ok(Secret::new(pem.as_bytes()))
    }

    pub fn load(pem: &Secret, world: World) -> Result<Signer> {
        let doing = "reading the signing key";
        let key = SigningKey::from_pkcs8_pem(pem.expose_str().unwrap_or_default()).doing(doing)?;
        Ok(Signer {
            encoding: EncodingKey::from_ed_pem(pem.expose()).doing(doing)?,
            decoding: DecodingKey::from_ed_der(key.verifying_key().as_bytes()),
            world,
        })
    }

    pub fn jwt(&self, claims: &Claims) -> Result<Secret> {
        let wire = Wire {
            sid: claims.session.clone(),
            sub: claims.user.clone(),
            org: claims.organization.clone(),
            role: claims.role,
            exp: claims.expires.0 / 1000,
        };
        let text = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &wire, &self.encoding).doing("signing a session")?;
        Ok(text.into())
    }

    /// Fails with `Unauthenticated` unless it is signed by this key and has not expired.
    pub fn check(&self, jwt: &str) -> Result<Claims> {
        let mut rules = Validation::new(Algorithm::EdDSA);
        // The time is the world's, not the library's.
        rules.validate_exp = false;
        let wire = jsonwebtoken::decode::<Wire>(jwt, &self.decoding, &rules)
            .map_err(|_| Error::Unauthenticated {
                why: "the session is not valid; sign in again".into(),
            })?
            .claims;
        let expires = Time(wire.exp.saturating_mul(1000));
        if self.world.now() >= expires {
            return Err(Error::Unauthenticated {
                why: "the session has expired; renew it or sign in again".into(),
            });
        }
        Ok(Claims {
            session: wire.sid,
            user: wire.sub,
            organization: wire.org,
            role: wire.role,
            expires,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn claims(world: &World, expires: Time) -> Claims {
        Claims {
            session: world.id(),
            user: world.id(),
            organization: world.id(),
            role: Role::Developer,
            expires: Time(expires.0 / 1000 * 1000),
        }
    }

    #[test]
    fn only_what_it_signed_and_only_in_time() {
        let (dir, world) = (tempfile::tempdir().expect("a temp dir"), World::system());
        let path = dir.path().join("session.key");
        let signer = Signer::load_or_create(&path, world.clone()).expect("made");
        let claims = claims(&world, world.now().plus(Duration::from_secs(600)));
        let jwt = signer.jwt(&claims).expect("signed");
        let jwt = jwt.expose_str().expect("text");
        assert_eq!(signer.check(jwt).expect("valid"), claims);
        let again = Signer::load_or_create(&path, world.clone()).expect("read back");
        assert_eq!(again.check(jwt).expect("valid after a restart"), claims);

        let other = Signer::load(&Signer::create(&world).expect("made"), world.clone()).expect("loads");
        assert!(other.check(jwt).is_err(), "another key");
        let parts: Vec<&str> = jwt.split('.').collect();
        // {"alg":"none"}, {"typ":"JWT","alg":"HS256"}
        for head in ["eyJhbGciOiJub25lIn0", "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9"] {
            assert!(signer.check(&format!("{head}.{}.{}", parts[1], parts[2])).is_err());
            assert!(signer.check(&format!("{head}.{}.", parts[1])).is_err());
        }
        for wrong in ["", ".", "..", "a.b.c", &jwt[..jwt.len() - 3], &format!("{jwt}x")] {
            assert!(matches!(signer.check(wrong), Err(Error::Unauthenticated { .. })), "{wrong:?}");
        }
        let old = super::tests::claims(&world, world.now().minus(Duration::from_secs(2)));
        let error = signer
            .check(signer.jwt(&old).expect("signed").expose_str().expect("text"))
            .expect_err("too old");
        assert!(error.to_string().contains("expired"), "{error}");
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_damaged_is_refused() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("session.key");
        Signer::load_or_create(&path, World::system()).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
        let error = Signer::load_or_create(&path, World::system()).err().expect("refused").to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
        fs::write(&path, "nonsense").expect("written");
        let error = Signer::load_or_create(&path, World::system()).err().expect("refused").to_string();
        assert!(error.contains("damaged") && !error.contains("nonsense"), "{error}");
    }
}

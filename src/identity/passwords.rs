//! Passwords: Argon2id with the parameters that OWASP recommends (19 MiB, 2 passes, 1 lane), two at a time.

use crate::common::COMMON;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version, password_hash::SaltString};
use std::sync::Arc;
use tokio::sync::Semaphore;
use types::{Doing, Email, Error, Result, Secret, World};

/// Hashes that are worked on at once: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
const SHORTEST: usize = 10;
/// Bytes; more is somebody's attempt to keep us busy.
const LONGEST: usize = 1024;
const SALT_BYTES: usize = 16;

/// Verified in place of the hash of an unknown user, so that both take as long. No password has it.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2VydmVya2l0LW5vYm9keQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies, off the async threads.
#[derive(Clone)]
pub struct Passwords {
    world: World,
    slots: Arc<Semaphore>,
}

impl Passwords {
    pub fn new(world: World) -> Passwords {
        Passwords {
            world,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The PHC string to keep. What may be a password is [`check_strength`]'s business.
    pub async fn hash(&self, password: &Secret) -> Result<String> {
        let salt = SaltString::encode_b64(&self.world.bytes::<SALT_BYTES>())
            .map_err(|error| Error::internal("making a salt", error.to_string()))?;
        let password = password.clone();
        self.work(move || {
            let hash = argon2().hash_password(password.expose(), &salt);
            hash.map(|hash| hash.to_string())
                .map_err(|error| Error::internal("hashing a password", error.to_string()))
        })
        .await?
    }

    /// Whether it is the password behind `hash`. `None` is an unknown user: false, after the same time.
    pub async fn verify(&self, password: &Secret, hash: Option<&str>) -> Result<bool> {
        let (password, is_known, hash) = (password.clone(), hash.is_some(), hash.unwrap_or(NOBODY).to_owned());
        self.work(move || {
            if password.expose().len() > LONGEST {
                return false;
            }
            let fits = PasswordHash::new(&hash).is_ok_and(|hash| argon2().verify_password(password.expose(), &hash).is_ok());
            fits && is_known
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let slot = self.slots.clone().acquire_owned().await.doing("waiting to hash a password")?;
        tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        })
        .await
        .doing("hashing a password")
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(19 * 1024, 2, 1, None).expect("fixed parameters are valid"),
    )
}

/// Fails with `Invalid`, saying why, when it is short, absurdly long, the mail address, or what everybody tries first.
pub fn check_strength(password: &Secret, email: &Email) -> Result<()> {
    let invalid = |why: &str| Err(Error::invalid("password", why));
    let Some(text) = password.expose_str() else {
        return invalid("must be text");
    };
    if text.chars().count() < SHORTEST {
        return invalid("must have at least 10 characters");
    }
    if text.len() > LONGEST {
        return invalid("must have at most 1024 bytes");
    }
    let lower = text.trim().to_lowercase();
    let name = email.as_str().split('@').next().unwrap_or_default();
    if lower == email.as_str() || lower == name {
        return invalid("must not be the mail address");
    }
    if is_common(&lower) {
        return invalid("is among the passwords that are tried first; choose another");
    }
    Ok(())
}

/// In the list, one piece over and over (`aaaaaaaaaa`, `abcabcabcabc`), or a run of neighbours (`1234567890`, `abcdefghij`).
fn is_common(lower: &str) -> bool {
    let letters: Vec<char> = lower.chars().collect();
    let repeats = (1..=4).any(|size| letters.len() >= 2 * size && (size..letters.len()).all(|at| letters[at] == letters[at - size]));
    let run = |step: i64| {
        letters
            .windows(2)
            .filter(|pair| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0])) != step)
            .count()
            <= 1
    };
    COMMON.contains(&lower) || repeats || run(1) || run(-1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::new(World::system());
        let hash = passwords.hash(&"correct horse".into()).await.expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash(&"correct horse".into()).await.expect("hashed"), "salted");
        assert!(passwords.verify(&"correct horse".into(), Some(&hash)).await.expect("done"));
        for wrong in ["correct hors", "", "correct horse "] {
            assert!(!passwords.verify(&wrong.into(), Some(&hash)).await.expect("done"), "{wrong:?}");
        }
        assert!(!passwords.verify(&"correct horse".into(), Some("no hash")).await.expect("done"));
        assert!(!passwords.verify(&"correct horse".into(), None).await.expect("done"));
        let binary = Secret::new([0xff, 0, 7]);
        let hash = passwords.hash(&binary).await.expect("hashed");
        assert!(passwords.verify(&binary, Some(&hash)).await.expect("done"));
    }

    #[tokio::test]
    async fn an_unknown_user_takes_as_long() {
        PasswordHash::new(NOBODY).expect("well formed");
        let passwords = Passwords::new(World::system());
        let hash = passwords.hash(&"correct horse".into()).await.expect("hashed");
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..7 {
            for (index, hash) in [Some(hash.as_str()), None].into_iter().enumerate() {
                let begun = Instant::now();
                passwords.verify(&"wrong password".into(), hash).await.expect("done");
                times[index].push(begun.elapsed());
            }
        }
        let [known, unknown] = times.map(|mut times| {
            times.sort();
            times[0].as_secs_f64()
        });
        assert!((0.3..3.0).contains(&(unknown / known)), "{known} s and {unknown} s");
    }

    #[test]
    fn weak_passwords_are_refused() {
        let email = "ada.lovelace@example.com".parse().expect("an address");
        for (password, why) in [
            ("", "at least 10"),
            ("ninechars", "at least 10"),
            ("ada.lovelace@example.com", "mail address"),
            ("Ada.Lovelace", "mail address"),
            ("password123", "tried first"),
            ("Qwertyuiop", "tried first"),
            ("1234567890", "tried first"),
            ("0987654321", "tried first"),
            ("aaaaaaaaaaaa", "tried first"),
            ("abcabcabcabc", "tried first"),
            ("abcdefghijklm", "tried first"),
        ] {
            let error = check_strength(&password.into(), &email).expect_err(password).to_string();
            assert!(error.contains(why), "{password}: {error}");
        }
        assert!(check_strength(&"x".repeat(2000).into(), &email).is_err());
        assert!(check_strength(&Secret::new([0xff; 20]), &email).is_err());
        for good in ["correct horse battery", "пароль-длинный", "🦀🦞🐢🐙🦑🐬🐳🦈🐟🐡", "Tr0ub4dor&3x"] {
            check_strength(&good.into(), &email).expect(good);
        }
    }
}

//! Passwords: Argon2id with the parameters that OWASP recommends (19 MiB, 2 passes, 1 lane), two at a time.

use crate::{
    breached::Breached,
    strength::{LONGEST, Strength, check_strength, estimate},
};
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version, password_hash::SaltString};
use std::sync::Arc;
use tokio::sync::Semaphore;
use types::{Doing, Email, Error, Result, Secret, World};

/// Hashes that are worked on at once: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
const SALT_BYTES: usize = 16;
const LEAKED: &str = "has leaked somewhere, and is among those that are tried first; choose another";

/// Verified in place of the hash of an unknown user, so that both take as long. No password has it.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2VydmVya2l0LW5vYm9keQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies, off the async threads.
#[derive(Clone)]
pub struct Passwords {
    world: World,
    slots: Arc<Semaphore>,
    /// Strangers may ask for estimates: one at a time, and never in the way of hashes.
    estimates: Arc<Semaphore>,
    /// Those that nobody may choose.
    breached: Option<Breached>,
}

impl Passwords {
    pub fn new(world: World) -> Passwords {
        Passwords {
            world,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            estimates: Arc::new(Semaphore::new(1)),
            breached: None,
        }
    }

    /// From then on passwords in this list are refused.
    pub fn against(self, breached: Option<Breached>) -> Passwords {
        Passwords { breached, ..self }
    }

    /// Whether there is such a list.
    pub fn refuses_leaked(&self) -> bool {
        self.breached.is_some()
    }

    /// Fails with `Invalid`, saying why, when somebody with this address may not choose it. A list that cannot be read
    /// refuses nobody.
    pub async fn check(&self, password: &Secret, email: &Email) -> Result<()> {
        check_strength(password, email)?;
        match self.has_leaked(password).await? {
            true => Err(Error::invalid("password", LEAKED)),
            false => Ok(()),
        }
    }

    async fn has_leaked(&self, password: &Secret) -> Result<bool> {
        let Some(breached) = self.breached.clone() else { return Ok(false) };
        let password = password.clone();
        let found = tokio::task::spawn_blocking(move || breached.has(&password)).await;
        Ok(found.doing("looking through leaked passwords")?.unwrap_or_else(|error| {
            tracing::warn!("the list of leaked passwords cannot be read: {error}");
            false
        }))
    }

    /// The PHC string to keep. What may be a password is [`crate::check_strength`]'s business.
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

    /// Whether it is the password behind `hash`. `None` is an unknown user, an empty one somebody who has no password: false, after
    /// the same time.
    pub async fn verify(&self, password: &Secret, hash: Option<&str>) -> Result<bool> {
        let hash = hash.filter(|hash| !hash.is_empty());
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

    /// [`crate::estimate`], off the async threads.
    pub async fn estimate(&self, password: &Secret, known: Vec<String>) -> Result<Strength> {
        let _slot = self.estimates.acquire().await.doing("waiting to look at a password")?;
        let text = password.clone();
        let found = tokio::task::spawn_blocking(move || estimate(&text, &known.iter().map(String::as_str).collect::<Vec<_>>()));
        let mut strength = found.await.doing("looking at a password")?;
        if strength.refused.is_none() && self.has_leaked(password).await? {
            strength.refused = Some(LEAKED.into());
        }
        Ok(strength)
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

    #[tokio::test]
    async fn hashes_wait_for_their_turn() {
        let passwords = Passwords::new(World::system());
        let hash = passwords.hash(&"correct horse".into()).await.expect("hashed");
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (passwords, hash) = (passwords.clone(), hash.clone());
                tokio::spawn(async move { passwords.verify(&"correct horse".into(), Some(&hash)).await })
            })
            .collect();
        let mut most = 0;
        while tasks.iter().any(|task| !task.is_finished()) {
            most = most.max(AT_ONCE - passwords.slots.available_permits());
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        for task in tasks {
            assert!(task.await.expect("no panic").expect("done"));
        }
        assert_eq!((most, passwords.slots.available_permits()), (AT_ONCE, AT_ONCE));
    }
}

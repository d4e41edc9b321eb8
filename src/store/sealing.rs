//! Sealing of secrets with XChaCha20-Poly1305 under a master key that lies in a file of its own.

use crate::directory::write_whole;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce, aead::Aead};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};
use types::{Doing, Error, Result, Sealed, Secret, World};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Seals and opens. The cipher wipes its key when it goes.
pub struct Sealer {
    cipher: XChaCha20Poly1305,
}

impl Sealer {
    /// The key in the file, or a new one in a new file of mode 0600.
    pub fn load_or_create(path: &Path, world: &World) -> Result<Sealer> {
        if !path.exists() {
            let key = Zeroizing::new(world.bytes::<KEY_BYTES>());
            let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(STANDARD.encode(key.as_slice()))));
            write_whole(path, text.as_bytes(), 0o600)?;
        }
        Sealer::load(path)
    }

    /// Fails with `Unavailable` when it is missing, others may read it, or it is no key.
    pub fn load(path: &Path) -> Result<Sealer> {
        let name = path.display();
        let facts = match fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::unavailable(format!(
                    "{name} is missing: without it the secrets in this state cannot be opened; put it back from a backup"
                )));
            }
            facts => facts.doing(format!("reading {name}"))?,
        };
        let mode = facts.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::unavailable(format!(
                "{name} may be read or changed by others (mode {mode:o}); run: chmod 600 {name}"
            )));
        }
        let text = Zeroizing::new(fs::read(path).doing(format!("reading {name}"))?);
        let key = Zeroizing::new(STANDARD.decode(text.trim_ascii()).unwrap_or_default());
        if key.len() != KEY_BYTES {
            return Err(Error::unavailable(format!("{name} is damaged; put it back from a backup")));
        }
        Ok(Sealer {
            cipher: XChaCha20Poly1305::new(Key::from_slice(&key)),
        })
    }

    /// Nonce and ciphertext, in base64. The same secret gives another text each time.
    pub fn seal(&self, secret: &Secret, world: &World) -> Result<Sealed> {
        let nonce = world.bytes::<NONCE_BYTES>();
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), secret.expose())
            .map_err(|_| Error::internal("sealing a secret", "it is too long"))?;
        Ok(Sealed(STANDARD.encode([nonce.as_slice(), &sealed].concat())))
    }

    /// Fails with `Internal` when it was sealed under another key or was changed.
    pub fn unseal(&self, sealed: &Sealed) -> Result<Secret> {
        let refused = || Error::internal("opening a sealed value", "it was sealed under another master key, or it is damaged");
        let bytes = STANDARD.decode(&sealed.0).map_err(|_| refused())?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(refused)?;
        let open = self.cipher.decrypt(XNonce::from_slice(nonce), ciphertext).map_err(|_| refused())?;
        Ok(Secret::new(open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let world = World::system();
        let path = dir.path().join("master.key");
        let sealer = Sealer::load_or_create(&path, &world).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        for value in [&b""[..], b"hunter2", &[0, 255, 10, 13], &[7; 100_000]] {
            let sealed = sealer.seal(&Secret::new(value), &world).expect("sealed");
            assert_eq!(sealer.unseal(&sealed).expect("opened").expose(), value);
            assert_ne!(
                sealed,
                sealer.seal(&Secret::new(value), &world).expect("sealed"),
                "another nonce each time"
            );
            let mut bytes = STANDARD.decode(&sealed.0).expect("base64");
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            assert!(sealer.unseal(&Sealed(STANDARD.encode(bytes))).is_err());
        }
        let again = Sealer::load(&path).expect("read back");
        let sealed = sealer.seal(&"x".into(), &world).expect("sealed");
        assert_eq!(again.unseal(&sealed).expect("the same key"), Secret::from("x"));
        for text in ["", "!", "aGVsbG8="] {
            assert!(again.unseal(&Sealed(text.into())).is_err(), "{text:?}");
        }
        let other = Sealer::load_or_create(&dir.path().join("other.key"), &world).expect("made");
        let error = other.unseal(&sealed).expect_err("another key");
        assert!(types::report(&error).contains("another master key"), "{}", types::report(&error));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("master.key");
        Sealer::load_or_create(&path, &World::system()).expect("made");
        for mode in [0o640, 0o604, 0o644, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
            let error = Sealer::load(&path).err().expect("refused").to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("changed");
        Sealer::load(&path).expect("narrower is fine");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
        fs::write(&path, "short").expect("written");
        assert!(Sealer::load(&path).is_err());
    }
}

//! A key pair for one repository: the private half stays here, the public half goes to the forge.

use ssh_key::{
    LineEnding, PrivateKey,
    private::{Ed25519Keypair, KeypairData},
};
use types::{Doing, Result, Secret, World};

/// Ed25519, in OpenSSH's formats.
#[derive(Debug, Clone)]
pub struct DeployKey {
    /// PEM, without a passphrase.
    pub private: Secret,
    /// One line: `ssh-ed25519 AAAA… comment`.
    pub public: String,
}

impl DeployKey {
    /// A new pair. `comment` tells people what the key is for; letters that would break the line are left out.
    pub fn generate(world: &World, comment: &str) -> Result<DeployKey> {
        let comment: String = comment.chars().filter(|letter| !letter.is_control()).take(100).collect();
        let pair = Ed25519Keypair::from_seed(&world.bytes());
        let key = PrivateKey::new(KeypairData::from(pair), comment).doing("making a deploy key")?;
        Ok(DeployKey {
            private: Secret::new(key.to_openssh(LineEnding::LF).doing("writing a deploy key")?.as_bytes()),
            public: key.public_key().to_openssh().doing("writing a deploy key")?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_openssh_reads() {
        let key = DeployKey::generate(&World::system(), "blog\n on panel").unwrap();
        assert!(
            key.public.starts_with("ssh-ed25519 AAAA") && key.public.ends_with(" blog on panel"),
            "{}",
            key.public
        );
        let private = PrivateKey::from_openssh(key.private.expose()).unwrap();
        assert_eq!(private.public_key().to_openssh().unwrap(), key.public);
        assert_ne!(DeployKey::generate(&World::system(), "").unwrap().public, key.public);
    }
}

//! Ids: a prefix that says what it is, then 26 letters that sort by the time of making
//! (Crockford's base 32 of 48 bits of milliseconds and 80 random bits, as in the ULID specification), in lower case.

use crate::{Error, Time};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The letters behind the prefix.
pub struct Raw(String);

impl Raw {
    pub(crate) fn new(at: Time, random: [u8; 10]) -> Raw {
        let mut bits = u128::from(u64::try_from(at.0).unwrap_or(0) & 0xffff_ffff_ffff) << 80;
        for (index, byte) in random.iter().enumerate() {
            bits |= u128::from(*byte) << (8 * (9 - index));
        }
        Raw((0..26)
            .rev()
            .map(|place| char::from(ALPHABET[((bits >> (5 * place)) & 31) as usize]))
            .collect())
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub const PREFIX: &'static str = $prefix;
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<Raw> for $name {
            fn from(raw: Raw) -> Self {
                $name(format!(concat!($prefix, "_{}"), raw.0))
            }
        }
        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                let letters = text.strip_prefix(concat!($prefix, "_"));
                if letters.is_some_and(|letters| letters.len() == 26 && letters.bytes().all(|byte| ALPHABET.contains(&byte))) {
                    Ok($name(text.to_owned()))
                } else {
                    Err(Error::invalid("id", concat!("must be `", $prefix, "_` and 26 letters or digits")))
                }
            }
        }
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    OrganizationId = "org";
    DeviceId = "dev";
    ProjectId = "prj";
    EnvironmentId = "env";
    AppId = "app";
    ReleaseId = "rel";
    DeploymentId = "dep";
    FreezeId = "frz";
    CiTrustId = "cit";
    CloneId = "cln";
    JobId = "job";
    RunId = "run";
    VolumeId = "vol";
    UserId = "usr";
    SessionId = "ses";
    InvitationId = "inv";
    LetterId = "let";
    PasskeyId = "pky";
    IdentityProviderId = "idp";
    ScimGroupId = "sgr";
    TokenId = "tok";
    NodeId = "srv";
    EventId = "evt";
    RuleId = "rul";
    CertificateId = "crt";
    DnsProviderId = "dns";
    RegistryId = "reg";
    BuildServerId = "bld";
    ForgeId = "frg";
    DeliveryId = "dlv";
    UploadId = "upl";
    CatalogId = "cat";
    VersionId = "ver";
    CustomRoleId = "rol";
    TeamId = "tea";
    GrantId = "gra";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;

    #[test]
    fn ids_parse_what_they_print() {
        let id: AppId = World::system().id();
        assert_eq!(id.to_string().parse::<AppId>().expect("own text parses"), id);
        for wrong in [
            "",
            "app_",
            "dep_01hf3z6yk5e3q0000000000000",
            "app_01hf3z6yk5e3q000000000000U",
            "app_../../etc/passwd00000000",
        ] {
            assert!(wrong.parse::<AppId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ids_sort_by_time() {
        let early = AppId::from(Raw::new(Time(1_000), [255; 10]));
        let late = AppId::from(Raw::new(Time(2_000), [0; 10]));
        assert!(early < late);
    }
}

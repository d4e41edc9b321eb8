//! How the settings are kept: one record.

use crate::Record;
use types::{Kind, Settings};

/// The key of the one record of settings.
pub const SETTINGS_KEY: &str = "settings";

impl Record for Settings {
    const KIND: Kind = Kind::Setting;
    const TREE: &'static str = "settings";
    const VERSION: u8 = 2;
    type Previous = v1::Settings;
    fn upgrade(previous: v1::Settings) -> Settings {
        Settings {
            panel_domain: previous.panel_domain,
            apps_domain: previous.apps_domain,
            acme_directory: previous.acme_directory,
            acme_email: previous.acme_email,
            acme_ca_pem: previous.acme_ca_pem,
            deployments_at_once: previous.deployments_at_once,
            build_on: types::BuildPlace::Here,
            trash_days: previous.trash_days,
            log_days: previous.log_days,
            certificates: types::CertificateSettings::default(),
        }
    }
    fn key(&self) -> String {
        SETTINGS_KEY.into()
    }
}

/// Before there was more to say of certificates.
mod v1 {
    use crate::Record;
    use serde::{Deserialize, Serialize};
    use types::{Email, Host, Kind};

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Settings {
        pub panel_domain: Option<Host>,
        pub apps_domain: Option<Host>,
        pub acme_directory: url::Url,
        pub acme_email: Option<Email>,
        pub acme_ca_pem: Option<String>,
        pub deployments_at_once: u32,
        pub trash_days: u32,
        pub log_days: u32,
    }

    impl Record for Settings {
        const KIND: Kind = Kind::Setting;
        const TREE: &'static str = "settings";
        const VERSION: u8 = 1;
        first_version!();
        fn key(&self) -> String {
            super::SETTINGS_KEY.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decode;

    #[test]
    fn settings_of_version_1_are_read() {
        let old = br#"{"panel_domain":null,"apps_domain":"apps.example.com","acme_directory":"https://a.example/dir","acme_email":null,
            "acme_ca_pem":null,"deployments_at_once":3,"trash_days":7,"log_days":30}"#;
        let read: Settings = decode(1, old).expect("it is read");
        assert_eq!(read.deployments_at_once, 3);
        assert_eq!(read.certificates, types::CertificateSettings::default());
    }
}

//! How domains are kept: a host, or a wildcard, belongs to one app in the whole panel.

use crate::Record;
use types::{Domain, Kind};

impl Record for Domain {
    const KIND: Kind = Kind::Domain;
    const TREE: &'static str = "domains";
    const VERSION: u8 = 3;
    type Previous = v2::Domain;
    fn upgrade(previous: v2::Domain) -> Domain {
        previous.0
    }
    fn key(&self) -> String {
        self.host.to_string()
    }
}

mod v2 {
    //! Before rules could lead to several by weight. All that it could say reads as it did; a program that knows no more than
    //! this must not touch what is written now.

    use super::v1;
    use crate::Record;
    use serde::{Deserialize, Serialize};
    use types::{Kind, TrafficPolicy};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(transparent)]
    pub struct Domain(pub types::Domain);

    impl Record for Domain {
        const KIND: Kind = Kind::Domain;
        const TREE: &'static str = "domains";
        const VERSION: u8 = 2;
        type Previous = v1::Domain;
        fn upgrade(previous: v1::Domain) -> Domain {
            Domain(types::Domain {
                host: previous.host.into(),
                organization: previous.organization,
                app: previous.app,
                primary: previous.primary,
                force_https: previous.force_https,
                created_at: previous.created_at,
                policy: TrafficPolicy::default(),
                rules: Vec::new(),
                canary: None,
                passthrough: None,
                service: None,
            })
        }
        fn key(&self) -> String {
            self.0.host.to_string()
        }
    }
}

mod v1 {
    //! Before domains had rules and policies.

    use crate::Record;
    use serde::{Deserialize, Serialize};
    use types::{AppId, Host, Kind, OrganizationId, Time};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Domain {
        pub host: Host,
        pub organization: OrganizationId,
        pub app: AppId,
        pub primary: bool,
        pub force_https: bool,
        pub created_at: Time,
    }

    impl Record for Domain {
        const KIND: Kind = Kind::Domain;
        const TREE: &'static str = "domains";
        const VERSION: u8 = 1;
        first_version!();
        fn key(&self) -> String {
            self.host.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decode;

    fn old(more: &str) -> String {
        let at = serde_json::to_string(&types::Time(0)).expect("a time");
        format!(
            r#"{{"host":"blog.test","organization":"org_00000000000000000000000000","app":"app_00000000000000000000000000",
            "primary":true,"force_https":false,"created_at":{at}{more}}}"#
        )
    }

    #[test]
    fn a_domain_of_version_1_is_read() {
        let domain: Domain = decode(1, old("").as_bytes()).expect("read");
        assert_eq!(
            (domain.host.as_str(), domain.primary, domain.force_https),
            ("blog.test", true, false)
        );
        assert!(domain.policy.is_plain() && domain.rules.is_empty());
    }

    #[test]
    fn a_domain_of_version_2_keeps_its_rules() {
        let more = r#","policy":{"compression":true},"rules":[{"id":"rul_00000000000000000000000000","name":"api","matches":{},
            "action":{"kind":"app"}}],"canary":null,"passthrough":null"#;
        let domain: Domain = decode(2, old(more).as_bytes()).expect("read");
        assert!(domain.policy.compression && domain.rules.len() == 1);
        let now = serde_json::to_vec(&domain).expect("JSON");
        assert_eq!(decode::<Domain>(3, &now).expect("read"), domain);
        assert!(decode::<Domain>(4, &now).is_err(), "from a newer program");
    }
}

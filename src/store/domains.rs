//! How domains are kept: a host, or a wildcard, belongs to one app in the whole panel.

use crate::Record;
use types::{Domain, Kind, TrafficPolicy};

impl Record for Domain {
    const KIND: Kind = Kind::Domain;
    const TREE: &'static str = "domains";
    const VERSION: u8 = 2;
    type Previous = v1::Domain;
    fn upgrade(previous: v1::Domain) -> Domain {
        Domain {
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
        }
    }
    fn key(&self) -> String {
        self.host.to_string()
    }
}

mod v1 {
    //! Before domains had rules and policies.

    use crate::{Never, Record};
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
        type Previous = Never;
        fn upgrade(previous: Never) -> Domain {
            match previous {}
        }
        fn key(&self) -> String {
            self.host.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decode;

    #[test]
    fn a_domain_of_version_1_is_read() {
        let old = br#"{"host":"blog.test","organization":"org_00000000000000000000000000","app":"app_00000000000000000000000000",
            "primary":true,"force_https":false,"created_at":0}"#;
        let old: serde_json::Value = serde_json::from_slice(old).expect("JSON");
        let mut old = old;
        old["created_at"] = serde_json::to_value(types::Time(0)).expect("a time");
        let domain: Domain = decode(1, old.to_string().as_bytes()).expect("read");
        assert_eq!(
            (domain.host.as_str(), domain.primary, domain.force_https),
            ("blog.test", true, false)
        );
        assert!(domain.policy.is_plain() && domain.rules.is_empty());
    }
}

//! How variables and what they were are kept: by owner and name.

use crate::{Audited, Record};
use types::{Kind, Variable, VariableVersion};

impl Record for Variable {
    const KIND: Kind = Kind::Variable;
    const TREE: &'static str = "variables";
    const VERSION: u8 = 2;
    const AUDIT: Audited = Audited {
        quiet: &["updated_at", "updated_by"],
        ..Audited::ALWAYS
    };
    type Previous = v1::Variable;
    fn upgrade(previous: v1::Variable) -> Variable {
        Variable {
            organization: previous.organization,
            owner: types::VariableOwner::App(previous.app),
            key: previous.key,
            value: previous.value,
            scope: previous.scope,
            secret: previous.secret,
            refers: Vec::new(),
            updated_at: previous.updated_at,
            updated_by: previous.updated_by,
        }
    }
    fn key(&self) -> String {
        format!("{}/{}", self.owner, self.key)
    }
    fn name(&self) -> String {
        self.key.to_string()
    }
}

impl Record for VariableVersion {
    const KIND: Kind = Kind::Variable;
    const TREE: &'static str = "variable_versions";
    const VERSION: u8 = 1;
    // The change of the variable itself is told.
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        format!("{}/{}/{}", self.owner, self.key, self.id)
    }
    fn name(&self) -> String {
        self.key.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}

mod v1 {
    //! Before anything but apps had variables.

    use crate::Record;
    use serde::{Deserialize, Serialize};
    use types::{AppId, Kind, OrganizationId, Sealed, Time, VariableKey, VariableScope};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Variable {
        pub organization: OrganizationId,
        pub app: AppId,
        pub key: VariableKey,
        pub value: Sealed,
        pub scope: VariableScope,
        pub secret: bool,
        pub updated_at: Time,
        pub updated_by: String,
    }

    impl Record for Variable {
        const KIND: Kind = Kind::Variable;
        const TREE: &'static str = "variables";
        const VERSION: u8 = 1;
        first_version!();
        fn key(&self) -> String {
            format!("{}/{}", self.app, self.key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decode;

    #[test]
    fn a_variable_of_version_1_is_read() {
        let sealed = serde_json::to_value(types::Sealed("x".into())).expect("it is written");
        let old = serde_json::json!({
            "organization": "org_00000000000000000000000000", "app": "app_00000000000000000000000000", "key": "A", "value": sealed,
            "scope": "run", "secret": true, "updated_at": 0, "updated_by": "ada"
        });
        let variable: Variable = decode(1, old.to_string().as_bytes()).expect("read");
        assert_eq!(Record::key(&variable), "app_00000000000000000000000000/A");
    }
}

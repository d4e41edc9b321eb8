//! How variables are kept: by app and name.

use crate::{Audited, Never, Record};
use types::{Kind, Variable};

impl Record for Variable {
    const KIND: Kind = Kind::Variable;
    const TREE: &'static str = "variables";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["updated_at", "updated_by"],
        ..Audited::ALWAYS
    };
    type Previous = Never;
    fn upgrade(previous: Never) -> Variable {
        match previous {}
    }
    fn key(&self) -> String {
        format!("{}/{}", self.app, self.key)
    }
    fn name(&self) -> String {
        self.key.to_string()
    }
}

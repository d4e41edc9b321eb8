//! How previews are kept, and which requests are previewed. A preview is found by the environment that was made for it.

use crate::{Audited, Record, Told};
use types::{Kind, Preview, PreviewRules};

impl Record for PreviewRules {
    const KIND: Kind = Kind::PreviewRules;
    const TREE: &'static str = "preview_rules";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["compared_at", "problem", "updated_at"],
        ..Audited::ALWAYS
    };
    first_version!();
    fn key(&self) -> String {
        self.app.to_string()
    }
}

impl Record for Preview {
    const KIND: Kind = Kind::Preview;
    const TREE: &'static str = "previews";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["told", "tell_at", "tell_failures", "tell_problem", "updated_at"],
        ..Audited::when(Told::ByPeople)
    };
    first_version!();
    fn key(&self) -> String {
        format!("{}/{:010}", self.of, self.request.number)
    }
    fn name(&self) -> String {
        format!("#{}", self.request.number)
    }
    fn claims(&self) -> Vec<String> {
        self.environment.iter().map(ToString::to_string).collect()
    }
}

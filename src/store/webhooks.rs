//! How webhooks and what came to them are kept. A webhook is found by the key in its address; a forge's id of a delivery
//! belongs to one record of an app, or to one for each push in it.

use crate::{Audited, Record};
use types::{Delivery, Kind, Webhook};

impl Record for Webhook {
    const KIND: Kind = Kind::Webhook;
    const TREE: &'static str = "webhooks";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        hidden: &["key"],
        quiet: &["seen", "looked", "poll_error"],
        ..Audited::ALWAYS
    };
    first_version!();
    fn key(&self) -> String {
        self.app.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.key.clone()]
    }
}

impl Record for Delivery {
    const KIND: Kind = Kind::Delivery;
    const TREE: &'static str = "deliveries";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited::NEVER;
    first_version!();
    fn key(&self) -> String {
        format!("{}/{}", self.app, self.id)
    }
    fn name(&self) -> String {
        self.id.to_string()
    }
    fn claims(&self) -> Vec<String> {
        let held = self.forge_claim().filter(|_| self.holds_id);
        [Some(self.id.to_string()), held].into_iter().flatten().collect()
    }
}

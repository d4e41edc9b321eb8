//! How it is kept what becomes of newer images. Asking registries changes the record all the time, which nobody did.

use crate::{Audited, Record};
use types::{ImageWatch, Kind};

impl Record for ImageWatch {
    const KIND: Kind = Kind::ImageWatch;
    const TREE: &'static str = "image_watches";
    const VERSION: u8 = 1;
    const AUDIT: Audited = Audited {
        quiet: &["images", "waiting"],
        ..Audited::ALWAYS
    };
    first_version!();
    fn key(&self) -> String {
        self.app.to_string()
    }
}

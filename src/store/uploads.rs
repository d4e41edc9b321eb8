//! How uploads are kept: by app, so that one app's are next to each other; the id alone is a claim.

use crate::Record;
use types::{Kind, Upload};

impl Record for Upload {
    const KIND: Kind = Kind::Upload;
    const TREE: &'static str = "uploads";
    const VERSION: u8 = 1;
    first_version!();
    fn key(&self) -> String {
        format!("{}/{}", self.app, self.id)
    }
    fn name(&self) -> String {
        self.id.to_string()
    }
    fn claims(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}

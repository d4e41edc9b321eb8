//! How deployments are kept: by app, so that one app's are next to each other; the id alone is a claim.

use crate::{Audited, Record, Told};
use types::{Deployment, Kind};

impl Record for Deployment {
    const KIND: Kind = Kind::Deployment;
    const TREE: &'static str = "deployments";
    const VERSION: u8 = 3;
    const AUDIT: Audited = Audited::when(Told::Made);
    type Previous = v2::Deployment;
    fn upgrade(previous: v2::Deployment) -> Deployment {
        previous.0
    }
    fn key(&self) -> String {
        format!("{}/{}", self.app, self.id)
    }
    fn name(&self) -> String {
        self.id.to_string()
    }
    fn told(&self) -> String {
        format!("#{} ({})", self.number, self.cause.word())
    }
    fn claims(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}

read_as_the_next! {
    /// Before a promotion was a cause.
    mod v2: Deployment, 2, after v1;
    /// Before pushes were a cause.
    mod v1: Deployment, 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decode;

    #[test]
    fn a_deployment_of_version_1_is_read() {
        let old = serde_json::json!({
            "id": "dep_00000000000000000000000000", "organization": "org_00000000000000000000000000", "app": "app_00000000000000000000000000",
            "number": 3, "cause": {"kind": "manual"}, "by": "ada", "reference": null, "commit": null, "phase": "live",
            "steps": [{"phase": "live", "started_at": 1, "finished_at": 1}], "release": null, "previous": null, "error": null,
            "cancel_requested": false, "queued_at": 0, "finished_at": 1
        });
        let deployment: Deployment = decode(1, old.to_string().as_bytes()).expect("read");
        assert_eq!((deployment.number, deployment.phase), (3, types::Phase::Live));
    }
}

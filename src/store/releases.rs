//! How releases are kept: by app, so that one app's are next to each other; the id alone is a claim.

use crate::{Audited, Record};
use types::{Kind, Release};

impl Record for Release {
    const KIND: Kind = Kind::Release;
    const TREE: &'static str = "releases";
    const VERSION: u8 = 3;
    const AUDIT: Audited = Audited::NEVER;
    type Previous = v2::Release;
    fn upgrade(previous: v2::Release) -> Release {
        previous.0
    }
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

mod v2 {
    //! Before releases kept files and routes, and had checks that are made up from how they were built; else the same.

    use super::v1;
    use crate::Record;
    use serde::{Deserialize, Serialize};
    use types::Kind;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(transparent)]
    pub struct Release(pub types::Release);

    impl Record for Release {
        const KIND: Kind = Kind::Release;
        const TREE: &'static str = "releases";
        const VERSION: u8 = 2;
        type Previous = v1::Release;
        fn upgrade(previous: v1::Release) -> Release {
            Release(super::from_v1(previous))
        }
        fn key(&self) -> String {
            format!("{}/{}", self.0.app, self.0.id)
        }
    }
}

fn from_v1(previous: v1::Release) -> Release {
    Release {
        id: previous.id,
        organization: previous.organization,
        app: previous.app,
        deployment: previous.deployment,
        number: previous.number,
        image: previous.image,
        image_name: previous.image_name,
        digest: None,
        commit: previous.commit,
        upload: None,
        variables: previous.variables,
        variables_version: previous.variables_version,
        port: previous.port,
        command: previous.command,
        mounts: previous.mounts,
        files: Vec::new(),
        domains: previous.domains,
        routes: None,
        ports: None,
        limits: previous.limits,
        health: previous.health,
        grace_seconds: previous.grace_seconds,
        created_at: previous.created_at,
        bytes: 0,
        pinned: false,
        replicas: None,
        upkeep: None,
        stack: None,
    }
}

mod v1 {
    //! Before releases kept the digest of a pulled image.

    use crate::Record;
    use serde::{Deserialize, Serialize};
    use types::{AppId, Commit, DeploymentId, HealthCheck, Kind, Limits, Mount, OrganizationId, ReleaseId, ReleaseVariable, Time};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Release {
        pub id: ReleaseId,
        pub organization: OrganizationId,
        pub app: AppId,
        pub deployment: DeploymentId,
        pub number: u64,
        pub image: String,
        pub image_name: String,
        pub commit: Option<Commit>,
        pub variables: Vec<ReleaseVariable>,
        pub variables_version: u64,
        pub port: u16,
        pub command: Option<Vec<String>>,
        pub mounts: Vec<Mount>,
        pub domains: Vec<String>,
        pub limits: Limits,
        pub health: HealthCheck,
        pub grace_seconds: u32,
        pub created_at: Time,
    }

    impl Record for Release {
        const KIND: Kind = Kind::Release;
        const TREE: &'static str = "releases";
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decode;

    #[test]
    fn a_release_of_version_1_is_read() {
        let old = v1::Release {
            id: "rel_00000000000000000000000000".parse().expect("an id"),
            organization: "org_00000000000000000000000000".parse().expect("an id"),
            app: "app_00000000000000000000000000".parse().expect("an id"),
            deployment: "dep_00000000000000000000000000".parse().expect("an id"),
            number: 3,
            image: "sha256:1".into(),
            image_name: "nginx:1".into(),
            commit: None,
            variables: Vec::new(),
            variables_version: 1,
            port: 80,
            command: None,
            mounts: Vec::new(),
            domains: Vec::new(),
            limits: types::Limits::default(),
            health: types::HealthCheck::default(),
            grace_seconds: 10,
            created_at: types::Time(0),
        };
        let bytes = serde_json::to_vec(&old).expect("it is written");
        let release: Release = decode(1, &bytes).expect("read");
        assert_eq!((release.number, release.image_name.as_str(), release.digest), (3, "nginx:1", None));
    }
}

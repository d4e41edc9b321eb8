//! How apps are kept: a name is free again once its app is in the trash.

use crate::{Audited, Record};
use types::{App, Kind};

impl Record for App {
    const KIND: Kind = Kind::App;
    const TREE: &'static str = "apps";
    const VERSION: u8 = 5;
    const AUDIT: Audited = Audited {
        quiet: &[
            "updated_at",
            "deployments",
            "last_deployment",
            "variables_version",
            "halted",
            "asleep",
            "demand",
        ],
        ..Audited::ALWAYS
    };
    type Previous = v4::App;
    fn upgrade(previous: v4::App) -> App {
        previous.0
    }
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
    fn claims(&self) -> Vec<String> {
        if self.trashed_at.is_some() {
            return Vec::new();
        }
        vec![format!("{}/{}", self.environment, self.name)]
    }
}

read_as_the_next! {
    /// Before several services could be given up on at a time.
    mod v4: App, 4, after v3;
    /// Before a source tree could have a Compose file, and apps files and health checks that are made up from how they are
    /// built.
    mod v3: App, 3, after v2;
    /// Before apps could be made from what is uploaded.
    mod v2: App, 2, after v1;
    /// Before apps had commands around a deployment and wishes for a build, which are none where they are missing.
    mod v1: App, 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decode;

    #[test]
    fn an_app_of_version_1_is_read() {
        let old = serde_json::json!({
            "id": "app_00000000000000000000000000", "organization": "org_00000000000000000000000000",
            "project": "prj_00000000000000000000000000", "environment": "env_00000000000000000000000000", "name": "blog",
            "source": {"kind": "git", "url": "https://a.test/b.git", "branch": null, "folder": ".", "dockerfile": "Dockerfile", "target": null,
                "submodules": false, "user": null, "password": null, "deploy_key": null, "deploy_key_public": null, "host_key": null},
            "port": null, "command": null, "limits": {"memory_bytes": 1, "cpu_millis": 1, "pids": 1},
            "health": {"probe": {"kind": "tcp"}, "interval_seconds": 5, "timeout_seconds": 5, "start_seconds": 60}, "mounts": [],
            "grace_seconds": 15, "deploy_timeout_seconds": 1800, "keep_releases": 5, "desired": "running", "release": null,
            "last_deployment": null, "deployments": 0, "variables_version": 0, "created_at": 0, "updated_at": 0, "trashed_at": null
        });
        let app: App = decode(1, old.to_string().as_bytes()).expect("read");
        assert_eq!((app.name.as_str(), &app.commands), ("blog", &types::DeployCommands::default()));
        assert_eq!((app.restart_limit, app.files.len(), app.health.probe), (10, 0, types::Probe::Tcp));
    }

    #[test]
    fn an_app_of_services_of_version_3_is_read() {
        let old = serde_json::json!({
            "id": "app_00000000000000000000000000", "organization": "org_00000000000000000000000000",
            "project": "prj_00000000000000000000000000", "environment": "env_00000000000000000000000000", "name": "shop",
            "source": {"kind": "compose", "text": "x", "hash": "00", "profiles": ["debug"], "main": "web",
                "volumes": {"data": "vol_00000000000000000000000000"}, "host_allowed": [], "template": null},
            "port": null, "command": null, "limits": {"memory_bytes": 1, "cpu_millis": 1, "pids": 1},
            "health": {"probe": {"kind": "tcp"}, "interval_seconds": 5, "timeout_seconds": 5, "start_seconds": 60}, "mounts": [],
            "grace_seconds": 15, "deploy_timeout_seconds": 1800, "keep_releases": 5, "desired": "running", "release": null,
            "last_deployment": null, "deployments": 0, "variables_version": 0, "created_at": 0, "updated_at": 0, "trashed_at": null
        });
        let app: App = decode(3, old.to_string().as_bytes()).expect("read");
        let setup = app.source.stack().expect("services");
        assert_eq!(
            (setup.main.as_deref(), setup.volumes.len(), setup.profiles.len()),
            (Some("web"), 1, 1)
        );
        let written = serde_json::to_value(&app.source).expect("written");
        assert_eq!(written["main"], "web", "beside the text, as ever");
    }

    #[test]
    fn what_an_app_of_version_4_was_given_up_on_is_read() {
        let halt = serde_json::json!({"release": "rel_00000000000000000000000000", "service": "db", "why": "exited with code 3", "restarts": 10, "at": 0});
        for (halted, expected) in [(serde_json::json!(null), 0), (halt, 1)] {
            let old = serde_json::json!({
                "id": "app_00000000000000000000000000", "organization": "org_00000000000000000000000000",
                "project": "prj_00000000000000000000000000", "environment": "env_00000000000000000000000000", "name": "shop",
                "source": {"kind": "image", "reference": "nginx"}, "halted": halted,
                "port": null, "command": null, "limits": {"memory_bytes": 1, "cpu_millis": 1, "pids": 1},
                "health": {"probe": {"kind": "tcp"}, "interval_seconds": 5, "timeout_seconds": 5, "start_seconds": 60}, "mounts": [],
                "grace_seconds": 15, "deploy_timeout_seconds": 1800, "keep_releases": 5, "desired": "running", "release": null,
                "last_deployment": null, "deployments": 0, "variables_version": 0, "created_at": 0, "updated_at": 0, "trashed_at": null
            });
            let app: App = decode(4, old.to_string().as_bytes()).expect("read");
            assert_eq!(app.halted.len(), expected);
            assert!(
                app.halted
                    .iter()
                    .all(|halt| halt.words() == "db: exited with code 3; not started again after 10 restarts")
            );
            let written = serde_json::to_vec(&app).expect("written");
            assert_eq!(decode::<App>(5, &written).expect("read"), app);
        }
    }
}

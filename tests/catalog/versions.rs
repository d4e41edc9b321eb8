//! Versions that a template offers, on images that truly are these versions: chosen, gone on from one to the next with its data, and back.

use super::{Installed, SOON};
use crate::deploy::text;
use serde_json::json;
use testkit::{TestPanel, docker, docker_host, eventually};

impl Installed<'_> {
    /// What the engine says of the one container that it has.
    fn inspected(&self, service: &str, format: &str) -> String {
        let found = self.containers(service);
        let [container] = &found[..] else {
            panic!("not one container of {service}: {found:?}")
        };
        docker(&docker_host(), &["inspect", "--format", format, container]).unwrap()
    }

    /// Waits until a deployment's old container is gone.
    async fn is_one(&self, service: &str) {
        let one = || async { (self.containers(service).len() == 1).then_some(()) };
        eventually(&format!("{} has one container", self.name), SOON, one).await;
    }

    async fn update_plan(&self, version: &str) -> testkit::Reply {
        let path = format!("/api/v1/apps/{}/template/plan", self.id);
        self.panel.post(&path, json!({"version": version})).await
    }

    /// Its Compose file as it is now.
    async fn file(&self) -> String {
        let file = self.panel.get(&format!("/api/v1/apps/{}/compose", self.id)).await;
        text(&file.expect(200).json(), "compose")
    }
}

const IMAGE: &str = "{{.Image}}";

/// Containers are made of an image's id, so that a tag that moves changes nothing.
fn id_of(image: &str) -> String {
    docker(&docker_host(), &["image", "inspect", "--format", "{{.Id}}", image]).unwrap()
}

#[tokio::test]
async fn docker_catalog_mariadb_goes_from_one_series_to_the_next_and_back() {
    let panel = TestPanel::docker().await;
    let app = Installed::of_version(&panel, "mariadb", Some("10.11"), json!({})).await;
    assert_eq!(app.inspected("mariadb", IMAGE), id_of("mariadb:10.11.18"));
    let password = format!("-p{}", app.value("password"));
    let ask = |words: &str| {
        app.run(
            "mariadb",
            &["mariadb", "-h", "mariadb", "-u", "app", &password, "app", "-Ne", words],
        )
    };
    let series = || ask("select version()").split('.').take(2).collect::<Vec<_>>().join(".");
    assert_eq!(series(), "10.11");
    ask("create table fish (name text); insert fish values ('pike')");

    // Somebody gives it less memory; that stays over the update.
    let mine = app.file().await.replace("memory: 1G", "memory: 700M");
    assert!(mine.contains("memory: 700M") && mine.contains("image: mariadb:10.11.18"), "{mine}");
    let edited = json!({"source": {"kind": "compose", "compose": mine, "main_service": "mariadb"}});
    panel.patch(&format!("/api/v1/apps/{}", app.id), edited).await.expect(200);

    let plan = app.update_plan("11.8").await.expect(200).json();
    assert_eq!(
        (&plan["from_chosen"], &plan["to_chosen"]),
        (&json!("10.11"), &json!("11.8")),
        "{plan}"
    );
    let diff = text(&plan, "diff");
    assert!(
        diff.contains("-    image: mariadb:10.11.18") && diff.contains("+    image: mariadb:11.8.8"),
        "{diff}"
    );
    assert_eq!(plan["data"]["volumes"][0]["name"], "data", "{plan}");
    let output = panel.cli(&["catalog", "update", "mariadb", "--version", "11.8", "--wait"]).await;
    assert!(output.code == 0 && output.stdout.contains("copied the volume data"), "{output:?}");
    app.is_one("mariadb").await;
    assert_eq!(
        (app.inspected("mariadb", IMAGE), series()),
        (id_of("mariadb:11.8.8"), "11.8".into())
    );
    assert_eq!(ask("select name from fish"), "pike", "the next series has the data");
    let tables = app.run("mariadb", &["cat", "/var/lib/mysql/mariadb_upgrade_info"]);
    assert!(
        tables.starts_with("11.8."),
        "the server's own tables are of the next series too: {tables}"
    );
    assert_eq!(app.inspected("mariadb", "{{.HostConfig.Memory}}"), (700 << 20).to_string());
    let down = app.update_plan("10.11").await.expect(422).text();
    assert!(down.contains("10.11 cannot go on with the data of 11.8"), "{down}");
    ask("insert fish values ('perch')");

    // The older series has what was there before the newer one touched it.
    let output = panel
        .cli(&["catalog", "update", "mariadb", "--undo", "--with-data", "--wait"])
        .await;
    assert_eq!(output.code, 0, "{output:?}");
    app.is_one("mariadb").await;
    assert_eq!(
        (app.inspected("mariadb", IMAGE), series()),
        (id_of("mariadb:10.11.18"), "10.11".into())
    );
    assert_eq!(ask("select name from fish"), "pike");
    let shown = panel.get("/api/v1/apps/mariadb").await.expect(200).json();
    assert_eq!(shown["source"]["template"]["chosen"], "10.11", "{shown}");
    assert_eq!(app.file().await, mine);
    // Twice a container was stopped on purpose, which is no crash.
    let told = panel.list("/api/v1/events/history").await;
    assert!(!told.iter().any(|event| text(event, "text").contains("crashing")), "{told:?}");
    app.remove().await;
}

#[tokio::test]
async fn docker_catalog_postgresql_15_has_its_own_image_and_place_for_the_data() {
    let panel = TestPanel::docker().await;
    let app = Installed::of_version(&panel, "postgresql", Some("15"), json!({})).await;
    let address = format!("postgres://app:{}@postgresql:5432/app", app.value("password"));
    let said = app.run("postgres", &["psql", "-Atc", "show server_version", &address]);
    assert!(said.starts_with("15."), "{said}");
    assert_eq!(app.inspected("postgres", IMAGE), id_of("postgres:15.19"));
    assert_eq!(
        app.inspected("postgres", "{{range .Mounts}}{{.Destination}}{{end}}"),
        "/var/lib/postgresql/data"
    );
    // Its files are of this version only, and that is said before anything is touched.
    let refused = app.update_plan("16").await.expect(422).text();
    assert!(
        refused.contains("16 cannot go on with the data of 15; install it beside, and move the data by a dump"),
        "{refused}"
    );
    app.remove().await;
}

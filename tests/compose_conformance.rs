//! The samples of the Compose Specification's own conformance tests (the repository compose-spec/conformance-tests): each is deployed as
//! it is, and asked what their `compliance_test.go` asks. `tests/run.sh conformance DIR` runs this on a checkout; none of its files is
//! ours. What their images do, `peers/conformance` does.
//!
//! Three things are asked of the panel the way a person would, since it does them its own way and says so when it reads the files:
//! - No file opens a port of the server. What speaks HTTP has a domain, and the UDP port of one sample is opened as any port is.
//! - What does not say `restart` is kept running, so the client stays once it has told its name.
//! - `version` means nothing.

use crate::{buildpacks::make, compose::containers, deploy::text, ports::udp_client};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use testkit::{TestPanel, docker, docker_host, eventually, eventually_ok, free_port};

const SOON: Duration = Duration::from_secs(60);

/// All samples that there are, and so all that are asked something below.
const SAMPLES: [&str; 8] = [
    "different_networks",
    "scaling",
    "simple_configfile",
    "simple_lifecycle",
    "simple_network",
    "simple_secretfile",
    "simple_volume",
    "udp_port",
];

/// The folders with a Compose file below `tests` of the checkout.
fn samples(checkout: &Path) -> BTreeMap<String, PathBuf> {
    let folder = checkout.join("tests");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let folders = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("compose.yaml").is_file());
    folders
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect()
}

/// A sample that is live, under a name and a domain of its own.
struct Sample<'p> {
    panel: &'p TestPanel,
    app: String,
    host: String,
    id: String,
}

impl Sample<'_> {
    async fn deploy<'p>(panel: &'p TestPanel, sample: &str, folder: &Path) -> Sample<'p> {
        let app = sample.replace('_', "-");
        let host = format!("{app}.test");
        let from = folder.to_str().unwrap();
        let made = [
            "app",
            "create",
            &app,
            "--from",
            from,
            "--compose-file",
            "compose.yaml",
            "--domain",
            &host,
        ];
        let how = ["--health", "running", "--grace", "2s", "--wait"];
        panel.cli(&[&made[..], &how].concat()).await.expect(0);
        let id = text(&panel.get(&format!("/api/v1/apps/{app}")).await.expect(200).json(), "id");
        Sample { panel, app, host, id }
    }

    /// What a page says, or what it said in place of that.
    async fn says(&self, page: &str, status: u16, wanted: &str) -> Result<(), String> {
        let reply = self.panel.visit(&self.host, page).await;
        let said: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        match reply.status == status && said == json!({"response": wanted}) {
            true => Ok(()),
            false => Err(format!("{}{page} said {} {}", self.host, reply.status, reply.text())),
        }
    }

    async fn will_say(&self, page: &str, status: u16, wanted: &str) {
        eventually_ok(&format!("{}{page} says {wanted:?}", self.host), SOON, || {
            self.says(page, status, wanted)
        })
        .await;
    }

    /// Containers of a service that run.
    fn running(&self, service: &str) -> usize {
        let is_it = |(name, _, state): &&(String, String, String)| name == service && state == "running";
        containers(&self.id).iter().filter(is_it).count()
    }

    async fn is_as_specified(&self, sample: &str) {
        const TARGET: &str = "/ping?address=target:8080/ping";
        match sample {
            "simple_lifecycle" => assert_eq!(self.running("test1"), 1),
            "simple_network" => {
                self.will_say(TARGET, 200, "PONG FROM TARGET").await;
                let nobody = "/ping?address=notatarget:8080/ping";
                self.will_say(nobody, 400, "Could not reach address: notatarget:8080/ping").await;
            }
            "different_networks" => {
                self.will_say("/ping", 200, "PONG FROM TARGET").await;
                assert_eq!(self.running("target"), 1);
                self.will_say(TARGET, 400, "Could not reach address: target:8080/ping").await;
            }
            "simple_volume" => self.will_say("/volumefile?filename=test_volume.txt", 200, "MYVOLUME").await,
            "simple_secretfile" => self.will_say("/volumefile?filename=test_secret.txt", 200, "MYSECRET").await,
            "simple_configfile" => self.will_say("/volumefile?filename=test_config.txt", 200, "MYCONFIG").await,
            "udp_port" => self.hears_by_udp().await,
            "scaling" => {
                self.will_say("/scalechecker", 200, "3").await;
                assert_eq!((self.running("client"), self.running("server")), (3, 1));
            }
            other => panic!("nothing is asked of the sample {other}"),
        }
    }

    async fn hears_by_udp(&self) {
        let listen = format!("udp/{}", free_port());
        let wish = json!({"listen": listen, "app": self.app, "target_port": 10001});
        self.panel.post("/api/v1/ports", wish).await.expect(201);
        let client = udp_client(listen[4..].parse().unwrap()).await;
        // A datagram may be lost, and comes later than it is sent.
        eventually_ok("the datagram is heard", SOON, || async {
            client
                .send(br#"{"request":"myUdpvalue"}"#)
                .await
                .map_err(|error| error.to_string())?;
            self.says("/udp", 200, "myUdpvalue").await
        })
        .await;
        self.panel.cli(&["--yes", "port", "close", &listen]).await.expect(0);
    }

    /// Takes it away with all that it had.
    async fn remove(self) {
        self.panel.delete(&format!("/api/v1/apps/{}", self.app)).await.expect(204);
        eventually("its containers stop", SOON, || async {
            containers(&self.id).is_empty().then_some(())
        })
        .await;
        let purge = format!("/api/v1/apps/{}/purge", self.id);
        self.panel.post(&purge, json!({"volumes": true})).await.expect(204);
        let bare = self.id.split_once('_').unwrap().1;
        for kind in ["network", "volume"] {
            let names = docker(&docker_host(), &[kind, "ls", "--format", "{{.Name}}"]).unwrap();
            assert!(!names.contains(bare), "a {kind} is left: {names}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a checkout of compose-spec/conformance-tests: tests/run.sh conformance DIR"]
async fn docker_samples_of_the_specification() {
    let checkout =
        std::env::var("SERVERKIT_CONFORMANCE").expect("SERVERKIT_CONFORMANCE names the checkout; tests/run.sh conformance DIR sets it");
    let samples = samples(Path::new(&checkout));
    let names: Vec<&str> = samples.keys().map(String::as_str).collect();
    assert_eq!(
        names, SAMPLES,
        "the samples in {checkout} are others than those that are asked something here"
    );
    for program in ["server", "client"] {
        let image = format!("composespec/conformance-tests-{program}");
        make("conformance", &["--target", program, "-t", &image]);
    }
    let panel = TestPanel::docker().await;
    for (name, folder) in &samples {
        let sample = Sample::deploy(&panel, name, folder).await;
        sample.is_as_specified(name).await;
        sample.remove().await;
    }
}

//! Builds by the engine's BuildKit: `POST /build?version=2` with a session of our own.
//!
//! The context goes to the engine as it is read, so its size does not matter here. Dropping the future closes the
//! connection, which makes the engine cancel the build.

use crate::{connect::Docker, containers::APP, failures::words, progress::Progress, session::Session};
use bollard::{
    BollardRequest, body_try_stream,
    models::{BuildInfo, BuildInfoAux},
};
use bytes::Bytes;
use futures::Stream;
use http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::{collections::BTreeMap, io};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead},
    sync::mpsc,
};
use tokio_util::io::{ReaderStream, StreamReader};
use types::{BuildSpec, Error, Image, Kind, LogLine, Result};

/// Bytes of the context that are read at a time.
const CHUNK: usize = 64 << 10;

impl Docker {
    /// Builds `context`, a tar of `spec.context`, and leaves the image on the engine under `spec.tag`.
    /// Fails with `Invalid { field: "build" }` when the Dockerfile or one of its steps is to blame.
    pub async fn image_build(
        &self,
        spec: &BuildSpec,
        context: impl AsyncRead + Send + 'static,
        lines: &mpsc::Sender<LogLine>,
    ) -> Result<Image> {
        let doing = "building the image";
        let session = Session::open(&self.inner.transport, spec.secrets.clone(), spec.logins.clone(), &self.inner.world).await?;
        let request = request_of(spec, &session.id, ReaderStream::with_capacity(context, CHUNK))?;
        let answer = self.inner.transport.call(request).await.map_err(words(doing))?;
        let id = self.follow(answer.into_body(), lines).await?;
        let found = self.image_find(id.as_deref().unwrap_or(&spec.tag)).await?;
        found.ok_or_else(|| Error::not_found(Kind::Image, &spec.tag))
    }

    /// Passes on what the build prints; answers the image's id.
    async fn follow(&self, body: Incoming, lines: &mpsc::Sender<LogLine>) -> Result<Option<String>> {
        let mut messages = StreamReader::new(body.into_data_stream().map_err_io()).lines();
        let mut progress = Progress::default();
        let mut id = None;
        loop {
            let message = messages.next_line().await;
            let broke = |error| Error::unavailable_by("the connection to the Docker engine broke while it was building", error);
            let Some(message) = message.map_err(broke)? else {
                return Ok(id);
            };
            let Ok(message) = serde_json::from_str::<BuildInfo>(&message) else {
                continue;
            };
            if let Some(error) = message.error_detail.and_then(|detail| detail.message) {
                return Err(progress.failure(&error));
            }
            match message.aux {
                Some(BuildInfoAux::Default(image)) => id = image.id.or(id),
                Some(BuildInfoAux::BuildKit(status)) => {
                    for line in progress.take(status, self.inner.world.now()) {
                        let _ = lines.send(line).await;
                    }
                }
                None => {}
            }
        }
    }
}

/// A body's failure as an I/O failure, which is what readers speak.
trait MapErrIo: Sized {
    fn map_err_io(self) -> impl Stream<Item = io::Result<Bytes>> + Unpin;
}

impl MapErrIo for http_body_util::BodyDataStream<Incoming> {
    fn map_err_io(self) -> impl Stream<Item = io::Result<Bytes>> + Unpin {
        futures::TryStreamExt::map_err(self, io::Error::other)
    }
}

fn request_of(spec: &BuildSpec, session: &str, context: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Result<BollardRequest> {
    let mut labels = spec.labels.clone();
    labels.insert(APP.to_owned(), spec.owner_app.to_string());
    let json = |map: &BTreeMap<String, String>| serde_json::to_string(map).expect("a map of texts is JSON");
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("version", "2")
        .append_pair("session", session)
        .append_pair("t", &spec.tag)
        .append_pair("dockerfile", &spec.dockerfile)
        .append_pair("buildargs", &json(&spec.arguments))
        .append_pair("labels", &json(&labels))
        .append_pair("rm", "1");
    if let Some(target) = &spec.target {
        query.append_pair("target", target);
    }
    Request::post(format!("http://engine/build?{}", query.finish()))
        .header(header::CONTENT_TYPE, "application/x-tar")
        .body(body_try_stream(context))
        .map_err(|error| words("building the image")(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, World};
    use std::{path::PathBuf, time::Duration};
    use types::{LogStream, Secret};

    fn context(files: &[(&str, &str)]) -> std::io::Cursor<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, path, text.as_bytes()).expect("it fits in memory");
        }
        std::io::Cursor::new(tar.into_inner().expect("it fits in memory"))
    }

    fn spec(world: &World) -> BuildSpec {
        BuildSpec {
            tag: format!("{}:1", world.name),
            owner_app: types::World::system().id(),
            context: PathBuf::from("/nonexistent"),
            dockerfile: "Dockerfile".into(),
            target: None,
            arguments: BTreeMap::new(),
            secrets: BTreeMap::new(),
            logins: Vec::new(),
            labels: BTreeMap::from([("serverkit.test".into(), world.name.clone())]),
        }
    }

    async fn build(world: &World, spec: &BuildSpec, files: &[(&str, &str)]) -> (Result<Image>, Vec<LogLine>) {
        let (lines, mut said) = mpsc::channel(10_000);
        let built = world.docker.image_build(spec, context(files), &lines).await;
        drop(lines);
        let mut log = Vec::new();
        while let Some(line) = said.recv().await {
            log.push(line);
        }
        (built, log)
    }

    fn texts(log: &[LogLine]) -> String {
        log.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    #[tokio::test]
    async fn docker_build_has_arguments_labels_and_a_log() {
        let world = World::new("build").await;
        let mut spec = spec(&world);
        let value = "a 'b' \"c\" $D & e=f/ü";
        spec.arguments.insert("VALUE".into(), value.into());
        spec.labels.insert("serverkit.release".into(), "r1".into());
        spec.dockerfile = "docker/App.Dockerfile".into();
        let page = world.name.as_str();
        let file = "FROM tests/http:latest\nARG VALUE\nENV KEPT=$VALUE\nCOPY page.html /page.html\nRUN echo to-out; echo to-err >&2\nEXPOSE 9000 8081/tcp 53/udp\n";
        let (built, log) = build(&world, &spec, &[("docker/App.Dockerfile", file), ("page.html", page)]).await;
        let image = built.unwrap_or_else(|error| panic!("{error}\n{}", texts(&log)));
        assert_eq!(image.ports, [8080, 8081, 9000]);
        assert_eq!(
            world.docker.image_find(&spec.tag).await.expect("the engine answers"),
            Some(image.clone())
        );
        let text = texts(&log);
        assert!(text.contains("RUN echo to-out") && text.contains("done in "), "{text}");
        assert!(
            log.iter()
                .any(|line| line.text == "to-out" && line.stream == LogStream::Stdout && line.at.0 > 0),
            "{text}"
        );
        assert!(
            log.iter().any(|line| line.text == "to-err" && line.stream == LogStream::Stderr),
            "{text}"
        );
        let labels = world
            .docker
            .client()
            .inspect_image(&image.id)
            .await
            .expect("it is there")
            .config
            .and_then(|config| config.labels);
        let labels = labels.expect("it has labels");
        assert_eq!(labels.get("serverkit.release").map(String::as_str), Some("r1"));
        assert_eq!(labels.get(APP), Some(&spec.owner_app.to_string()));

        let id = world.docker.container_start(&world.spec(&image.id)).await.expect("it starts");
        assert_eq!(
            testing::run(&world.docker, &id, &["sh", "-c", "cat /page.html; printf %s \"$KEPT\""]).await,
            format!("{page}{value}")
        );

        let (again, log) = build(&world, &spec, &[("docker/App.Dockerfile", file), ("page.html", page)]).await;
        assert_eq!(again.expect("it builds").id, image.id, "nothing changed");
        assert!(texts(&log).contains("cached"), "{}", texts(&log));
    }

    #[tokio::test]
    async fn docker_build_secrets_stay_out_of_the_image() {
        let world = World::new("secret").await;
        let mut spec = spec(&world);
        let bytes: Vec<u8> = (0..=255).collect();
        spec.secrets.insert("KEY".into(), Secret::new(bytes));
        let file = "FROM tests/http:latest\nRUN --mount=type=secret,id=KEY,required=true cp /run/secrets/KEY /tmp/x && md5sum </tmp/x >/sum && rm /tmp/x\nRUN test ! -e /run/secrets/KEY\n";
        let (built, log) = build(&world, &spec, &[("Dockerfile", file)]).await;
        let image = built.unwrap_or_else(|error| panic!("{error}\n{}", texts(&log)));
        let id = world.docker.container_start(&world.spec(&image.id)).await.expect("it starts");
        assert!(
            testing::run(&world.docker, &id, &["cat", "/sum"])
                .await
                .starts_with("e2c865db4162bed963bfaa9ef6ac18f0")
        );

        spec.secrets.clear();
        let changed = file.replace("md5sum", "sha1sum");
        let (built, _) = build(&world, &spec, &[("Dockerfile", &changed)]).await;
        let error = built.expect_err("the secret is required").to_string();
        assert!(error.contains("KEY"), "{error}");
    }

    #[tokio::test]
    async fn docker_build_cache_mounts_last() {
        let world = World::new("cache").await;
        let spec = spec(&world);
        let file = |step: &str| {
            format!(
                "FROM tests/http:latest\nRUN --mount=type=cache,id={},target=/cache {step}\n",
                world.name
            )
        };
        let (built, log) = build(&world, &spec, &[("Dockerfile", &file("echo kept >/cache/file"))]).await;
        built.unwrap_or_else(|error| panic!("{error}\n{}", texts(&log)));
        let (built, log) = build(&world, &spec, &[("Dockerfile", &file("cat /cache/file"))]).await;
        built.unwrap_or_else(|error| panic!("{error}\n{}", texts(&log)));
        assert!(log.iter().any(|line| line.text == "kept"), "{}", texts(&log));
    }

    #[tokio::test]
    async fn docker_build_failures_are_words() {
        let world = World::new("fails").await;
        let spec = spec(&world);
        let fails = async |file: &str, expected: &str| {
            let (built, _) = build(&world, &spec, &[("Dockerfile", file)]).await;
            let error = built.expect_err(file);
            assert!(error.to_string().contains(expected), "{error}");
            error
        };
        let error = fails(
            "FROM tests/http:latest\nRUN echo the reason >&2; exit 3\n",
            "failed with exit code 3; last lines:\nthe reason",
        )
        .await;
        assert!(matches!(error, Error::Invalid { field, .. } if field == "build"));
        fails("FROM tests/http:latest\nRUUN x\n", "unknown instruction: RUUN").await;
        fails("FROM tests/http:latest\nCOPY none /\n", "none").await;
        fails(
            "FROM 127.0.0.1:1/none:1\n",
            "the registry of `127.0.0.1:1/none:1` cannot be reached: connection refused",
        )
        .await;
        let (built, _) = build(&world, &spec, &[("other", "x")]).await;
        assert_eq!(
            built.expect_err("no Dockerfile").to_string(),
            "build: there is no such Dockerfile in the build context"
        );
        let mut of_stage = spec.clone();
        of_stage.target = Some("none".into());
        let (built, _) = build(&world, &of_stage, &[("Dockerfile", "FROM tests/http:latest\n")]).await;
        assert!(built.expect_err("no such stage").to_string().contains("none"));
    }

    #[tokio::test]
    async fn docker_build_takes_the_stage() {
        let world = World::new("stage").await;
        let mut spec = spec(&world);
        spec.target = Some("first".into());
        let file = "FROM tests/http:latest AS first\nEXPOSE 7001\nFROM tests/http:latest\nRUN exit 1\n";
        let (built, log) = build(&world, &spec, &[("Dockerfile", file)]).await;
        assert_eq!(built.unwrap_or_else(|error| panic!("{error}\n{}", texts(&log))).ports, [7001, 8080]);
    }

    #[tokio::test]
    async fn docker_build_is_cancelled_when_dropped() {
        let world = World::new("cancel").await;
        let spec = spec(&world);
        let mark = format!("sleep 47{}", std::process::id());
        let file = format!("FROM tests/http:latest\nRUN echo begun && {mark}\n");
        let (lines, mut said) = mpsc::channel(100);
        let docker = world.docker.clone();
        let building = tokio::spawn(async move { docker.image_build(&spec, context(&[("Dockerfile", &file)]), &lines).await });
        while said.recv().await.expect("it goes on").text != "begun" {}
        let mark = mark.as_str();
        testing::eventually("it sleeps", || async move { testing::has_process(mark) }).await;
        building.abort();
        testing::eventually("it is killed", || async move { !testing::has_process(mark) }).await;
    }

    #[tokio::test]
    async fn docker_build_streams_a_large_context() {
        let world = World::new("large").await;
        let spec = spec(&world);
        let size = 300 << 20;
        let mut header = tar::Header::new_gnu();
        header.set_path("large").expect("it is short");
        header.set_mode(0o644);
        header.set_size(size);
        header.set_cksum();
        let mut small = context(&[("Dockerfile", "FROM tests/http:latest\nCOPY large /large\n")]).into_inner();
        small.truncate(small.len() - 1024);
        let zeros = tokio::io::AsyncReadExt::take(tokio::io::repeat(7), size);
        let start = std::io::Cursor::new([small, header.as_bytes().to_vec()].concat());
        let context = tokio::io::AsyncReadExt::chain(tokio::io::AsyncReadExt::chain(start, zeros), std::io::Cursor::new(vec![0; 1024]));
        let (lines, _said) = mpsc::channel(1000);
        let before = testing::peak_memory();
        world.docker.image_build(&spec, context, &lines).await.expect("it builds");
        let grown = testing::peak_memory() - before;
        assert!(grown < 100 << 20, "{} MiB", grown >> 20);
        tokio::time::sleep(Duration::ZERO).await;
    }
}

//! Images: what they declare, and bringing them from a registry.

use crate::{
    connect::Docker,
    failures::{self, checked, is_missing, words, words_or_missing},
    held::{Held, digest_of_held, is_held},
};
use bollard::{
    auth::DockerCredentials,
    models::{CreateImageInfo, ImageInspect, ProgressDetail},
    query_parameters::{CreateImageOptionsBuilder, RemoveImageOptionsBuilder},
};
use egress::Egress;
use futures::StreamExt;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use types::{Error, Image, Kind, LogLine, LogStream, PullPolicy, RegistryLogin, Result, report};

/// A registry may be slow to say its first word.
const PULL_PATIENCE: Duration = Duration::from_secs(600);
/// Between two lines about bytes.
const PROGRESS_EVERY: Duration = Duration::from_secs(3);

impl Docker {
    /// By id or reference.
    pub async fn image_find(&self, reference: &str) -> Result<Option<Image>> {
        match self.client().inspect_image(checked(Kind::Image, reference)?).await {
            Ok(found) => Ok(image_of(found, reference)),
            Err(refusal) if is_missing(&refusal) => Ok(None),
            Err(refusal) => Err(words(format!("looking at the image `{reference}`"))(refusal)),
        }
    }

    /// What it is labelled with. Fails with `NotFound`.
    pub async fn image_labels(&self, reference: &str) -> Result<BTreeMap<String, String>> {
        let found = self.client().inspect_image(checked(Kind::Image, reference)?).await;
        let found = found.map_err(words_or_missing("looking at an image", Kind::Image, reference))?;
        let labels = found.config.and_then(|config| config.labels);
        Ok(labels.unwrap_or_default().into_iter().collect())
    }

    /// Pulls it unless the engine has it. `Always` asks the registry even then, unless the image was built or loaded here or the
    /// reference says which one it is (a digest); what is here is used while the registry cannot be reached or has none.
    /// What needs the login is kept apart from what others may use (`held.rs`).
    /// Fails with `NotFound`, with `Unauthenticated` when the registry wants another login, and with `Unavailable`.
    /// `egress`: of whom it is for; the engine goes by no such bounds, so what it says of other addresses is not told.
    pub async fn image_pull(
        &self,
        reference: &str,
        login: Option<&RegistryLogin>,
        policy: PullPolicy,
        egress: &Egress,
        lines: &mpsc::Sender<LogLine>,
    ) -> Result<Image> {
        let held = login.map(|login| Held::new(login, reference));
        let present = match &held {
            Some(held) => self.held_find(held).await?,
            None => None,
        };
        let present = match present {
            Some(image) => Some(image),
            None => self.image_find(reference).await?,
        };
        let moves = |image: &Image| image.digest.is_some() && !reference.contains('@');
        let may_stay = |image: &&Image| policy != PullPolicy::Always || !moves(image);
        if let Some(image) = present.as_ref().filter(may_stay) {
            self.note(lines, format!("{reference} is here already")).await;
            return Ok(image.clone());
        }
        if policy == PullPolicy::Never {
            return Err(Error::not_found(Kind::Image, reference));
        }
        let brought = match &held {
            Some(held) => self.held_pull(held, egress, lines).await,
            None => self.brought(reference, lines).await,
        };
        let brought = match brought {
            Err(error) if egress.is_bounded() => Err(self.failed_outside(reference, login, egress, error).await),
            brought => brought,
        };
        match (brought, present) {
            (Ok(image), _) => Ok(image),
            (Err(error), Some(image)) if may_use_what_is_here(&error, login) => {
                self.note(lines, format!("{error}; using {reference} as it is here")).await;
                Ok(image)
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn brought(&self, reference: &str, lines: &mpsc::Sender<LogLine>) -> Result<Image> {
        self.pull(reference, None, lines).await?;
        let found = self.image_find(reference).await?;
        found.ok_or_else(|| Error::not_found(Kind::Image, reference))
    }

    pub(crate) async fn pull(&self, reference: &str, login: Option<&RegistryLogin>, lines: &mpsc::Sender<LogLine>) -> Result<()> {
        let (name, tag) = name_and_tag(reference);
        let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
        let client = self.patient(PULL_PATIENCE);
        let mut messages = client.create_image(Some(options), None, login.map(credentials_of).transpose()?);
        let mut layers = Layers::default();
        while let Some(message) = messages.next().await {
            let message = message.map_err(|refusal| pull_failure(reference, login, refusal))?;
            if let Some(line) = layers.line(message) {
                self.line(lines, LogStream::Stdout, line).await;
            }
        }
        Ok(())
    }

    /// Whether the registry takes this login. Fails with `Invalid { field: "password" }` when not, and with `Unavailable` when
    /// it cannot be asked. `egress`: as in [`Docker::image_pull`]; who has bounds is told the same of both, since the engine may have been sent inside.
    pub async fn registry_check(&self, login: &RegistryLogin, egress: &Egress) -> Result<()> {
        let checked = self.checked_by_engine(login).await;
        checked.map_err(|error| match egress.is_bounded() {
            true => {
                let server = &login.server;
                tracing::info!("the registry {server}: {}", report(&error));
                Error::invalid(
                    "password",
                    format!("the registry {server} cannot be used with this user and password"),
                )
            }
            false => error,
        })
    }

    async fn checked_by_engine(&self, login: &RegistryLogin) -> Result<()> {
        let server = &login.server;
        let body = serde_json::json!({
            "username": login.user,
            "password": password_of(login)?,
            "serveraddress": server.address(),
        });
        let request = http::Request::post("http://engine/auth")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(bollard::body_full(body.to_string().into()))
            .map_err(|error| words("asking a registry")(error.into()))?;
        let Err(refusal) = self.inner.transport.call_soon(request).await else {
            return Ok(());
        };
        let Some((status, message)) = failures::answer(&refusal) else {
            return Err(words(format!("asking the registry {server}"))(refusal));
        };
        Err(match registry_failure(server.as_str(), status, message) {
            Some(Error::Unauthenticated { .. }) => {
                Error::invalid("password", format!("the registry {server} does not take this user and password"))
            }
            Some(error @ Error::Unavailable { .. }) => error,
            _ if status == 401 || message.contains("401") => {
                Error::invalid("password", format!("the registry {server} does not take this user and password"))
            }
            _ => Error::unavailable(format!("asking the registry {server}: {}", failures::plain(message))),
        })
    }

    /// Takes the names off and deletes what no other image needs. Gone already is fine; `Busy` while a container has it.
    pub async fn image_remove(&self, id: &str) -> Result<()> {
        // Several names of one id need force; containers, running or not, still keep it.
        let id = checked(Kind::Image, id)?;
        let is_id = id.starts_with("sha256:");
        if is_id && self.has_containers(id).await? {
            return Err(Error::busy(format!("removing the image `{id}`: a container uses it")));
        }
        let options = RemoveImageOptionsBuilder::default().force(is_id).build();
        match self.client().remove_image(id, Some(options), None).await {
            Err(refusal) if is_missing(&refusal) => Ok(()),
            Err(refusal) => Err(words(format!("removing the image `{id}`"))(refusal)),
            Ok(_) => Ok(()),
        }
    }

    async fn has_containers(&self, image: &str) -> Result<bool> {
        let filters = std::collections::HashMap::from([("ancestor", vec![image])]);
        let options = bollard::query_parameters::ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        match self.client().list_containers(Some(options)).await {
            Ok(containers) => Ok(!containers.is_empty()),
            Err(refusal) if is_missing(&refusal) => Ok(false),
            Err(refusal) => Err(words("listing the containers of an image")(refusal)),
        }
    }

    /// A line in serverkit's own words. Nobody listening is fine.
    pub(crate) async fn note(&self, lines: &mpsc::Sender<LogLine>, text: String) {
        self.line(lines, LogStream::Note, text).await;
    }

    pub(crate) async fn line(&self, lines: &mpsc::Sender<LogLine>, stream: LogStream, text: String) {
        let at = self.inner.world.now();
        let _ = lines.send(LogLine { at, stream, text }).await;
    }
}

/// For those who may not go everywhere: they are told that it failed, and the panel's own journal why.
pub(crate) fn of_outside(egress: &Egress, reference: &str, error: Error) -> Error {
    match error {
        Error::Unavailable { .. } if egress.is_bounded() => {
            tracing::info!("the registry of {reference}: {}", report(&error));
            Error::unavailable(format!("the registry of `{reference}` could not be used"))
        }
        error => error,
    }
}

/// The registry is away, or knows nothing of an image that was made here. One that refuses a login which we were given has the
/// word: else a wrong password would go unseen, and an old image would run.
fn may_use_what_is_here(error: &Error, login: Option<&RegistryLogin>) -> bool {
    match error {
        Error::Unavailable { .. } | Error::Throttled { .. } | Error::NotFound { .. } => true,
        Error::Unauthenticated { .. } => login.is_none(),
        _ => false,
    }
}

fn image_of(found: ImageInspect, reference: &str) -> Option<Image> {
    let held = found.repo_tags.unwrap_or_default();
    let held = held.iter().filter(|tag| !is_held(reference) || same_repository(tag, reference));
    let held = held.filter_map(|tag| digest_of_held(tag)).next();
    let digest = match is_held(reference) {
        true => held,
        false => digest_of(&found.repo_digests.unwrap_or_default(), reference).or_else(|| held.filter(|_| is_id(reference))),
    };
    let exposed = found.config.and_then(|config| config.exposed_ports).unwrap_or_default();
    let mut ports: Vec<u16> = exposed.iter().filter_map(|port| tcp_port(port)).collect();
    ports.sort_unstable();
    ports.dedup();
    Some(Image {
        id: found.id?,
        digest,
        ports,
        bytes: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
    })
}

fn is_id(reference: &str) -> bool {
    reference.starts_with("sha256:")
}

fn same_repository(one: &str, other: &str) -> bool {
    name_and_tag(one).0 == name_and_tag(other).0
}

/// The one of this name: an image may have been pulled from several places, under a digest at each. The engine lists names
/// as people write them, so `nginx`, never `docker.io/library/nginx`; asked by id, any will do.
fn digest_of(digests: &[String], reference: &str) -> Option<String> {
    if is_id(reference) {
        return digests.iter().find(|digest| !is_held(digest)).cloned();
    }
    let name = name_and_tag(reference).0;
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let of_name = |digest: &&String| digest.split_once('@').is_some_and(|(theirs, _)| theirs == name);
    digests.iter().find(of_name).cloned()
}

/// `80/tcp` or `80`; `53/udp` is none.
fn tcp_port(text: &str) -> Option<u16> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    port.parse().ok().filter(|port| *port > 0 && protocol == "tcp")
}

/// The engine takes a missing tag for "all tags".
pub(crate) fn name_and_tag(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, digest);
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

pub(crate) fn password_of(login: &RegistryLogin) -> Result<&str> {
    let password = login.password.expose_str();
    password.ok_or_else(|| Error::invalid("password", "the registry's password must be UTF-8 text"))
}

pub(crate) fn credentials_of(login: &RegistryLogin) -> Result<DockerCredentials> {
    Ok(DockerCredentials {
        username: Some(login.user.clone()),
        password: Some(password_of(login)?.to_owned()),
        serveraddress: Some(login.server.address().to_owned()),
        ..Default::default()
    })
}

fn pull_failure(reference: &str, login: Option<&RegistryLogin>, refusal: bollard::errors::Error) -> Error {
    let Some((status, message)) = failures::answer(&refusal) else {
        return words(format!("pulling `{reference}`"))(refusal);
    };
    match (registry_failure(reference, status, message), login) {
        (Some(Error::Unauthenticated { .. }), Some(login)) => Error::Unauthenticated {
            why: format!(
                "the registry {} does not let `{}` pull `{reference}`: the password is wrong, the image does not exist, or it is not theirs to see",
                login.server, login.user
            ),
        },
        (Some(error), _) => error,
        (None, _) => {
            let message = failures::plain(message);
            Error::unavailable(format!("pulling `{reference}`: {message}"))
        }
    }
}

/// What a registry's refusal means, also when BuildKit reports it; `None` when it is about something else.
pub(crate) fn registry_failure(reference: &str, status: u16, message: &str) -> Option<Error> {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&[
        "unauthorized",
        "pull access denied",
        "denied:",
        "no basic auth credentials",
        "authentication required",
        "insufficient_scope",
        "401 Unauthorized",
        "403 Forbidden",
    ]) {
        return Some(Error::Unauthenticated {
            why: format!(
                "the registry does not let us pull `{reference}`: the image does not exist, or it needs a user and password (serverkit registry add)"
            ),
        });
    }
    if says(&["manifest unknown", "not found", "name unknown", "repository name not known"]) || status == 404 {
        return Some(Error::not_found(Kind::Image, reference));
    }
    if says(&["no space left on device"]) {
        return Some(Error::unavailable(format!("the disk is full; there is no room for `{reference}`")));
    }
    let silent = [
        "dial tcp",
        "lookup ",
        "no such host",
        "connection refused",
        "i/o timeout",
        "Client.Timeout",
        "TLS handshake",
        "no route to host",
        "network is unreachable",
        "server misbehaving",
        "EOF",
    ];
    says(&silent).then(|| {
        let why = message.rsplit(": ").next().unwrap_or(message).trim();
        Error::unavailable(format!("the registry of `{reference}` cannot be reached: {why}"))
    })
}

/// What was said of each layer, to say only what is new.
#[derive(Default)]
struct Layers {
    bytes: BTreeMap<String, (i64, i64)>,
    told_at: Option<Instant>,
}

impl Layers {
    fn line(&mut self, message: CreateImageInfo) -> Option<String> {
        let status = message.status?;
        match (message.id, message.progress_detail) {
            (
                Some(layer),
                Some(ProgressDetail {
                    current: Some(current),
                    total,
                    ..
                }),
            ) if status == "Downloading" => {
                self.bytes.insert(layer, (current, total.unwrap_or(current)));
                self.bytes_line()
            }
            (Some(_), Some(ProgressDetail { current: Some(_), .. })) => None,
            (Some(layer), _) if ["Pulling fs layer", "Waiting", "Verifying Checksum"].contains(&status.as_str()) => {
                tracing::trace!(layer, status);
                None
            }
            (Some(layer), _) => Some(format!("{layer}: {status}")),
            (None, _) => Some(status),
        }
    }

    fn bytes_line(&mut self) -> Option<String> {
        if self.told_at.is_some_and(|told| told.elapsed() < PROGRESS_EVERY) {
            return None;
        }
        self.told_at = Some(Instant::now());
        let sum = |pick: fn(&(i64, i64)) -> i64| self.bytes.values().map(pick).sum::<i64>() as f64 / 1e6;
        Some(format!("downloaded {:.1} of {:.1} MB", sum(|of| of.0), sum(|of| of.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn references_are_split() {
        for (reference, expected) in [
            ("nginx", ("nginx", "latest")),
            ("nginx:1.22", ("nginx", "1.22")),
            ("registry.test:5000/team/app", ("registry.test:5000/team/app", "latest")),
            ("registry.test:5000/team/app:v1", ("registry.test:5000/team/app", "v1")),
            ("nginx@sha256:00ff", ("nginx", "sha256:00ff")),
        ] {
            assert_eq!(name_and_tag(reference), expected);
        }
    }

    #[test]
    fn ports_are_read() {
        assert_eq!(tcp_port("80/tcp"), Some(80));
        assert_eq!(tcp_port("8080"), Some(8080));
        assert_eq!(tcp_port("53/udp"), None);
        assert_eq!(tcp_port("x/tcp"), None);
    }

    #[test]
    fn refusals_of_registries_are_told_apart() {
        let check = |status, message: &str, expected: &str| {
            let error = registry_failure("app:1", status, message).expect("it is about the registry");
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(
            404,
            "manifest for app:1 not found: manifest unknown: manifest unknown",
            "no image named `app:1`",
        );
        check(
            404,
            "pull access denied for app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
            "does not let us pull",
        );
        check(
            500,
            "Get \"https://r.test/v2/\": unauthorized: incorrect username or password",
            "does not let us pull",
        );
        check(
            500,
            "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
            "cannot be reached: no such host",
        );
        check(
            500,
            "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
            "cannot be reached: connection refused",
        );
        check(
            500,
            "pulling from host r.test:5000 failed with status code [manifests 1]: 401 Unauthorized",
            "does not let us pull",
        );
        check(500, "write /var/lib/docker/tmp/x: no space left on device", "disk is full");
        assert!(registry_failure("app:1", 500, "the moon is full").is_none());
    }

    #[tokio::test]
    async fn docker_images_say_their_ports() {
        let docker = testing::docker();
        let image = docker
            .image_find("nginx:1.22")
            .await
            .expect("the engine answers")
            .expect("tests/images made it");
        assert_eq!(image.ports, [80]);
        assert!(image.id.starts_with("sha256:") && image.bytes > 1_000_000);
        assert_eq!(docker.image_find("no-such-image:1").await.expect("the engine answers"), None);
        assert!(docker.image_find("../containers/x").await.is_err());
    }

    #[tokio::test]
    async fn docker_pull_without_a_registry() {
        let docker = testing::docker();
        let (lines, mut said) = mpsc::channel(100);
        let image = docker
            .image_pull("nginx:1.22", None, PullPolicy::Missing, &Egress::Anywhere, &lines)
            .await
            .expect("it is here");
        assert_eq!(image.ports, [80]);
        assert!(said.recv().await.expect("a note").text.contains("here already"));

        let error = docker
            .image_pull("127.0.0.1:1/none:1", None, PullPolicy::Missing, &Egress::Anywhere, &lines)
            .await
            .expect_err("nothing listens there");
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("cannot be reached: connection refused"), "{error}");

        // Present, but its registry is away.
        let tag = bollard::query_parameters::TagImageOptionsBuilder::default()
            .repo("127.0.0.1:1/there")
            .tag("1")
            .build();
        docker
            .client()
            .tag_image("tests/http:latest", Some(tag))
            .await
            .expect("it is tagged");
        let tagged = docker
            .image_pull("127.0.0.1:1/there:1", None, PullPolicy::Always, &Egress::Anywhere, &lines)
            .await;
        assert_eq!(tagged.expect("its registry is not asked: it was made here").digest, None);
        docker.image_remove("127.0.0.1:1/there:1").await.expect("the name goes");
        assert!(docker.image_find("tests/http:latest").await.expect("the engine answers").is_some());
        docker.image_remove("127.0.0.1:1/there:1").await.expect("gone already is fine");
    }
}

//! Images that were pulled with a login, each under a name that only the login's owner knows.
//!
//! To the engine a name is a name: whoever says `FROM registry.example.com/team/private` in a build, or starts a container of it, gets
//! what is there, no matter who brought it. So an image that a login was needed for is pulled by its digest, named after the login's id
//! (80 random bits that no other organization is told), and its registry's name is taken off again.

use crate::{
    connect::Docker,
    failures::{checked, words},
    images::name_and_tag,
};
use bollard::query_parameters::TagImageOptionsBuilder;
use egress::Egress;
use tokio::sync::mpsc;
use types::{Error, Image, Kind, LogLine, RegistryLogin, RegistryServer, Result};

/// No registry can be there (RFC 6761, section 6.4).
const HOST: &str = "held.serverkit.invalid";
/// Two pulls of one image at a time take the name away from each other.
const TRIES: u32 = 5;

pub(crate) struct Held<'a> {
    login: &'a RegistryLogin,
    reference: &'a str,
    repository: String,
    /// As its registry calls it, without tag.
    name: &'a str,
}

impl<'a> Held<'a> {
    pub fn new(login: &'a RegistryLogin, reference: &'a str) -> Held<'a> {
        let (name, _) = name_and_tag(reference);
        let server = RegistryServer::of(reference);
        let path = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
            _ => name,
        };
        let path = path.strip_prefix("library/").unwrap_or(path);
        // Neither host names nor ports have two underscores, and components of a name may.
        let host = server.as_str().replace(':', "__");
        Held {
            login,
            reference,
            repository: format!("{HOST}/{}/{host}/{path}", login.id),
            name,
        }
    }

    fn under(&self, tag_or_digest: &str) -> String {
        format!("{}:{}", self.repository, tag_of(tag_or_digest))
    }
}

/// What a digest is as a tag.
fn tag_of(tag_or_digest: &str) -> String {
    tag_or_digest.replace(':', "-")
}

/// `registry.example.com/team/web@sha256:…` of the name under which such an image is held, if it is one with the digest.
pub(crate) fn digest_of_held(tag: &str) -> Option<String> {
    let (_login, place) = tag.strip_prefix(HOST)?.strip_prefix('/')?.split_once('/')?;
    let (place, digest) = place.rsplit_once(":sha256-")?;
    let (host, path) = place.split_once('/')?;
    let name = match host {
        "docker.io" => path.to_owned(),
        host => format!("{}/{path}", host.replace("__", ":")),
    };
    Some(format!("{name}@sha256:{digest}"))
}

pub(crate) fn is_held(name: &str) -> bool {
    name.starts_with(HOST)
}

impl Docker {
    /// What this login brought under this name.
    pub(crate) async fn held_find(&self, held: &Held<'_>) -> Result<Option<Image>> {
        self.image_find(&held.under(name_and_tag(held.reference).1)).await
    }

    /// Brings what its registry has under this name now; only the layers that are not here. Fails like [`Docker::image_pull`].
    pub(crate) async fn held_pull(&self, held: &Held<'_>, egress: &Egress, lines: &mpsc::Sender<LogLine>) -> Result<Image> {
        let (name, tag) = name_and_tag(held.reference);
        let digest = match held.reference.contains('@') {
            true => tag.to_owned(),
            false => self.image_digest(held.reference, Some(held.login), egress).await?,
        };
        let found = match self.image_find(&held.under(&digest)).await? {
            Some(image) => {
                self.note(lines, format!("{name} at {digest} is here already")).await;
                image
            }
            None => self.held_brought(held, &digest, lines).await?,
        };
        self.name_held(held, &found.id, tag).await?;
        let as_held = self.image_find(&held.under(&digest)).await?;
        as_held.ok_or_else(|| Error::not_found(Kind::Image, held.reference))
    }

    async fn held_brought(&self, held: &Held<'_>, digest: &str, lines: &mpsc::Sender<LogLine>) -> Result<Image> {
        let exact = format!("{}@{digest}", held.name);
        for _ in 0..TRIES {
            // Somebody got it without a login: it is nobody's secret, and stays where it is.
            let is_public = self.image_find(&exact).await?.is_some();
            self.pull(&exact, Some(held.login), lines).await?;
            let Some(image) = self.image_find(&exact).await? else {
                continue;
            };
            self.name_held(held, &image.id, digest).await?;
            if !is_public {
                self.image_remove(&exact).await?;
            }
            return Ok(image);
        }
        Err(Error::busy(format!("others are pulling `{}` at the same time", held.reference)))
    }

    async fn name_held(&self, held: &Held<'_>, image: &str, tag_or_digest: &str) -> Result<()> {
        let tag = tag_of(tag_or_digest);
        let options = TagImageOptionsBuilder::default().repo(&held.repository).tag(&tag).build();
        let named = self.client().tag_image(checked(Kind::Image, image)?, Some(options)).await;
        named.map_err(words(format!("naming the image `{}`", held.reference)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Secret, World};

    #[test]
    fn names_that_lead_back() {
        let digest = format!("sha256:{}", "5".repeat(64));
        for (reference, server, name) in [
            ("nginx:1", "docker.io", "nginx"),
            ("docker.io/library/nginx", "docker.io", "nginx"),
            ("index.docker.io/ada/web:2", "docker.io", "ada/web"),
            ("127.0.0.1:5000/team/web:1", "127.0.0.1:5000", "127.0.0.1:5000/team/web"),
            ("ghcr.io/Ada/web", "ghcr.io", "ghcr.io/Ada/web"),
        ] {
            let login = RegistryLogin {
                id: World::system().id(),
                server: server.parse().expect("it is a server"),
                user: "ada".into(),
                password: Secret::from("x"),
            };
            let held = Held::new(&login, reference);
            let at = held.under(&digest);
            assert!(is_held(&at) && at.contains(login.id.as_str()), "{at}");
            assert_eq!(digest_of_held(&at), Some(format!("{name}@{digest}")));
            assert_eq!(digest_of_held(&held.under("1")), None);
        }
        assert_eq!(digest_of_held("nginx:1"), None);
    }
}

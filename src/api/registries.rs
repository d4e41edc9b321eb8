//! Logins at registries of images.

use crate::{
    Panel,
    answers::{Created, Done, Page, created, moment, page},
    failures::Answer,
    signed::Signed,
    tags::Tag,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use time::OffsetDateTime;
use types::Secret;

/// A login at a registry. Its password is never shown.
#[derive(Debug, Object)]
pub struct Registry {
    pub id: String,
    /// Its host, as it stands before the first `/` of an image: `ghcr.io`.
    pub server: String,
    pub user: String,
    pub created_at: OffsetDateTime,
}

/// A login to keep; it takes the place of the one for the same server.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RegistryCreate {
    /// `ghcr.io`, `registry.example.com:5000`, `docker.io`.
    pub server: String,
    pub user: String,
    /// A password, or better a token that may only pull.
    pub password: String,
    /// Keep it without asking the registry first whether it is right.
    #[oai(default)]
    pub unchecked: bool,
}

impl From<types::Registry> for Registry {
    fn from(registry: types::Registry) -> Registry {
        Registry {
            id: registry.id.to_string(),
            server: registry.server.to_string(),
            user: registry.user,
            created_at: moment(registry.created_at),
        }
    }
}

#[derive(Clone)]
pub(crate) struct RegistriesApi(pub Panel);

#[OpenApi(tag = "Tag::Registries")]
impl RegistriesApi {
    /// List logins at registries
    #[oai(path = "/registries", method = "get", operation_id = "registry_list")]
    async fn registry_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<Registry>>> {
        let registries = self.0.registries.list(&who.actor).await?;
        page(registries, cursor.0.as_deref(), limit.0, |registry| registry.id.to_string())
    }

    /// Keep a login at a registry
    ///
    /// Apps from images of this registry are pulled with it, and builds use it for their base images. The registry is asked
    /// first whether it takes it.
    #[oai(path = "/registries", method = "post", operation_id = "registry_create")]
    async fn registry_create(&self, who: Signed, body: Json<RegistryCreate>) -> Answer<Created<Registry>> {
        let RegistryCreate {
            server,
            user,
            password,
            unchecked,
        } = body.0;
        let registry = self
            .0
            .registries
            .add(&who.actor, server.parse()?, user, Secret::from(password), unchecked)
            .await?;
        Ok(created(registry))
    }

    /// Try a login at its registry
    ///
    /// Fails with `invalid` when the registry does not take it, and with `unavailable` when it cannot be asked.
    #[oai(path = "/registries/:id/test", method = "post", operation_id = "registry_test")]
    async fn registry_test(
        &self,
        who: Signed,
        /// Its id or server.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.registries.test(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }

    /// Forget a login at a registry
    #[oai(path = "/registries/:id", method = "delete", operation_id = "registry_delete")]
    async fn registry_delete(
        &self,
        who: Signed,
        /// Its id or server.
        id: Path<String>,
    ) -> Answer<Done> {
        self.0.registries.remove(&who.actor, &id.0).await?;
        Ok(Done::Done)
    }
}

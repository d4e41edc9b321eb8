//! Machines that build for the panel.

use crate::{
    Panel,
    answers::{Created, Done, Page, created, moment, page},
    build_cache::{BuildCacheTrim, BuildCacheTrimmed},
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

/// A machine with Docker and an sshd that builds for the panel and runs nothing of it.
#[derive(Debug, Object)]
pub struct BuildServer {
    pub id: String,
    /// It never changes: apps and settings name it.
    pub name: String,
    /// A name or an address.
    pub host: String,
    pub port: u16,
    pub user: String,
    /// The engine's socket there.
    pub socket: String,
    /// Builds at once.
    pub slots: u32,
    /// What its engine may keep of builds; what is over goes after each build, the longest unused first.
    pub cache_bytes: u64,
    pub enabled: bool,
    /// One line for `authorized_keys` of the user there.
    pub public_key: String,
    /// The key that the host must show, as `ssh-keygen -lf` prints it; null until it is confirmed.
    pub host_key: Option<String>,
    /// Why nothing is built there now; null: it is ready.
    pub unready: Option<String>,
    /// What its engine said last; null until a test succeeded.
    pub engine: Option<BuildServerEngine>,
    /// What its engine keeps of builds; null: not known.
    pub cache_used_bytes: Option<u64>,
    /// When it answered last.
    pub seen_at: Option<OffsetDateTime>,
    /// When a build was made there last.
    pub used_at: Option<OffsetDateTime>,
    /// Why the last try failed; null when it did not.
    pub problem: Option<String>,
    /// Builds that are under way there.
    pub building: u32,
    /// Names of the apps that say that they are built there.
    pub apps: Vec<String>,
    pub created_at: OffsetDateTime,
}

/// The engine of a build server and its machine.
#[derive(Debug, Object)]
pub struct BuildServerEngine {
    /// Docker's.
    pub version: String,
    /// `linux/amd64`; it must be that of the server that runs the apps.
    pub platform: String,
    pub cpus: u64,
    pub memory_bytes: u64,
}

/// A build server to add.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct BuildServerCreate {
    /// Small letters, digits and `-`.
    pub name: String,
    /// A name or an address.
    pub host: String,
    /// 22 unless given.
    pub port: Option<u16>,
    /// Who may use Docker there; `root` unless given.
    pub user: Option<String>,
    /// `/var/run/docker.sock` unless given.
    pub socket: Option<String>,
    /// Builds at once: 1 to 64; 1 unless given.
    pub slots: Option<u32>,
    /// What its engine may keep of builds; 10 GiB unless given.
    pub cache_bytes: Option<u64>,
    /// The key of the host, where it is known already.
    pub host_key: Option<String>,
}

/// What to change; what is left out stays. With another host or port its key must be confirmed anew.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct BuildServerPatch {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub socket: Option<String>,
    pub slots: Option<u32>,
    pub cache_bytes: Option<u64>,
    /// False: nothing new is built there.
    pub enabled: Option<bool>,
    /// Confirms this key.
    pub host_key: Option<String>,
}

/// What came of a test that did not fail.
#[derive(Debug, Object)]
pub struct BuildServerTest {
    /// The key that the host shows, or that was confirmed and met.
    pub host_key: String,
    /// False: nobody has signed in yet. Compare the key with what `ssh-keygen -lf` prints on the machine itself, and confirm it.
    pub confirmed: bool,
    pub server: BuildServer,
}

impl From<app::BuildServerView> for BuildServer {
    fn from(view: app::BuildServerView) -> BuildServer {
        let server = view.server;
        BuildServer {
            unready: server.unready(),
            id: server.id.to_string(),
            name: server.name.to_string(),
            host: server.at.host,
            port: server.at.port,
            user: server.at.user,
            socket: server.at.socket,
            slots: server.slots,
            cache_bytes: server.cache_bytes,
            enabled: server.enabled,
            public_key: server.public_key,
            host_key: server.host_key,
            engine: server.seen.engine.map(BuildServerEngine::from),
            cache_used_bytes: server.seen.cache_bytes,
            seen_at: server.seen.at.map(moment),
            used_at: server.seen.used_at.map(moment),
            problem: server.seen.problem,
            building: view.building,
            apps: view.apps,
            created_at: moment(server.created_at),
        }
    }
}

impl From<types::EngineFacts> for BuildServerEngine {
    fn from(facts: types::EngineFacts) -> BuildServerEngine {
        BuildServerEngine {
            platform: facts.platform(),
            version: facts.version,
            cpus: facts.cpus,
            memory_bytes: facts.memory_bytes,
        }
    }
}

#[derive(Clone)]
pub(crate) struct BuildServersApi(pub Panel);

#[OpenApi(tag = "Tag::Servers")]
impl BuildServersApi {
    /// List build servers
    #[oai(path = "/build-servers", method = "get", operation_id = "build_server_list")]
    async fn build_server_list(
        &self,
        who: Signed,
        /// The `next` of the part before.
        cursor: Query<Option<String>>,
        /// Items in one part: 1 to 500; left out: 100.
        limit: Query<Option<u32>>,
    ) -> Answer<Json<Page<BuildServer>>> {
        let servers = self.0.build_servers.list(&who.actor).await?;
        page(servers, cursor.0.as_deref(), limit.0, |view| view.server.id.to_string())
    }

    /// Add a build server
    ///
    /// A machine with Docker and an sshd; nothing is installed there and no port of its engine is open. It gets a key pair of its own,
    /// whose public half belongs into `authorized_keys` of the user there. Test it then, and confirm the key that the host shows.
    /// The limits of builds on memory and processors hold on the panel's own server only: the Engine API takes none for builds.
    #[oai(path = "/build-servers", method = "post", operation_id = "build_server_create")]
    async fn build_server_create(&self, who: Signed, body: Json<BuildServerCreate>) -> Answer<Created<BuildServer>> {
        let wish = body.0;
        let wish = app::NewBuildServer {
            name: wish.name.parse()?,
            host: wish.host,
            port: wish.port,
            user: wish.user,
            socket: wish.socket,
            slots: wish.slots,
            cache_bytes: wish.cache_bytes,
            host_key: wish.host_key,
        };
        Ok(created(self.0.build_servers.add(&who.actor, wish).await?))
    }

    /// Show a build server
    #[oai(path = "/build-servers/:server", method = "get", operation_id = "build_server_show")]
    async fn build_server_show(
        &self,
        who: Signed,
        /// Its id or name.
        server: Path<String>,
    ) -> Answer<Json<BuildServer>> {
        Ok(Json(self.0.build_servers.get(&who.actor, &server.0).await?.into()))
    }

    /// Change a build server
    #[oai(path = "/build-servers/:server", method = "patch", operation_id = "build_server_update")]
    async fn build_server_update(
        &self,
        who: Signed,
        /// Its id or name.
        server: Path<String>,
        body: Json<BuildServerPatch>,
    ) -> Answer<Json<BuildServer>> {
        let patch = body.0;
        let change = app::BuildServerChange {
            host: patch.host,
            port: patch.port,
            user: patch.user,
            socket: patch.socket,
            slots: patch.slots,
            cache_bytes: patch.cache_bytes,
            enabled: patch.enabled,
            host_key: patch.host_key,
        };
        Ok(Json(self.0.build_servers.update(&who.actor, &server.0, change).await?.into()))
    }

    /// Test a build server
    ///
    /// While its host key is not confirmed, it is only asked for. Then the panel signs in and asks the engine what it is. Fails with
    /// `unavailable` or `busy`, in words, when it cannot be used.
    #[oai(path = "/build-servers/:server/test", method = "post", operation_id = "build_server_test")]
    async fn build_server_test(
        &self,
        who: Signed,
        /// Its id or name.
        server: Path<String>,
    ) -> Answer<Json<BuildServerTest>> {
        let test = self.0.build_servers.test(&who.actor, &server.0).await?;
        Ok(Json(BuildServerTest {
            host_key: test.host_key,
            confirmed: test.confirmed,
            server: test.view.into(),
        }))
    }

    /// Cut the build cache of a build server
    ///
    /// What was not used for the longest time goes first, and nothing that a build uses just now.
    #[oai(path = "/build-servers/:server/trim", method = "post", operation_id = "build_server_trim")]
    async fn build_server_trim(
        &self,
        who: Signed,
        /// Its id or name.
        server: Path<String>,
        body: Json<BuildCacheTrim>,
    ) -> Answer<Json<BuildCacheTrimmed>> {
        let bytes = self.0.build_servers.trim(&who.actor, &server.0, body.0.keep_bytes).await?;
        Ok(Json(BuildCacheTrimmed { bytes }))
    }

    /// Remove a build server
    ///
    /// Its keys are forgotten. Fails with `busy` while apps or the settings name it, or something is built there.
    #[oai(path = "/build-servers/:server", method = "delete", operation_id = "build_server_delete")]
    async fn build_server_delete(
        &self,
        who: Signed,
        /// Its id or name.
        server: Path<String>,
    ) -> Answer<Done> {
        self.0.build_servers.remove(&who.actor, &server.0).await?;
        Ok(Done::Done)
    }
}

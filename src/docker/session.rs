//! BuildKit's session: while a build runs, the engine calls back over a hijacked connection and asks us for secrets, and
//! for logins at the registries of base images.
//!
//! bollard opens such sessions only with credentials and, for builds whose whole context is in memory, with secrets from
//! files or the environment. This one hands secrets out of memory and leaves the context to a stream.

use crate::{failures::words, images::password_of, transport::Transport};
use bollard::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest, GetTokenAuthorityResponse,
    VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
    auth_server::{Auth, AuthServer},
};
use bollard::{
    body_full,
    health::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    moby::buildkit::secrets::v1::{
        GetSecretRequest, GetSecretResponse,
        secrets_server::{Secrets, SecretsServer},
    },
};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::{Request, header};
use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    service::TowerToHyperService,
};
use std::collections::BTreeMap;
use tokio::task::JoinHandle;
use tonic::{Response, Status, service::Routes};
use types::{RegistryLogin, RegistryServer, Result, Secret, World};

/// What the engine may call; it asks nothing that was not announced.
const METHODS: [&str; 2] = ["/moby.buildkit.secrets.v1.Secrets/GetSecret", "/moby.filesync.v1.Auth/Credentials"];

/// An open session. It ends when dropped.
pub struct Session {
    pub id: String,
    serving: JoinHandle<()>,
}

impl Session {
    pub async fn open(
        transport: &Transport,
        secrets: BTreeMap<String, Secret>,
        logins: Vec<RegistryLogin>,
        world: &World,
    ) -> Result<Session> {
        let doing = "opening a build session";
        let id = world.word(25);
        let mut request = Request::post("http://engine/session")
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "serverkit");
        for method in METHODS {
            request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let request = request.body(body_full(Bytes::new())).map_err(|error| words(doing)(error.into()))?;
        let answer = transport.call_soon(request).await.map_err(words(doing))?;
        let upgraded = hyper::upgrade::on(answer).await.map_err(|error| words(doing)(error.into()))?;

        let routes = Routes::new(SecretsServer::new(Keys(secrets)))
            .add_service(AuthServer::new(Logins(logins)))
            .add_service(HealthServer::new(Alive));
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .serve_connection(upgraded, TowerToHyperService::new(routes.prepare()));
        let serving = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a build session ended");
            }
        });
        Ok(Session { id, serving })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Keys(BTreeMap<String, Secret>);

#[tonic::async_trait]
impl Secrets for Keys {
    async fn get_secret(&self, request: tonic::Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        match self.0.get(id) {
            Some(secret) => Ok(Response::new(GetSecretResponse {
                data: secret.expose().to_vec(),
            })),
            None => Err(Status::not_found(format!("there is no build secret `{id}`"))),
        }
    }
}

struct Logins(Vec<RegistryLogin>);

/// Asking for tokens is left to the engine, with what it gets here: it does so where the other calls are not there.
fn not_ours<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("only credentials are handed out"))
}

#[tonic::async_trait]
impl Auth for Logins {
    /// Nothing means: without a login.
    async fn credentials(&self, request: tonic::Request<CredentialsRequest>) -> Result<Response<CredentialsResponse>, Status> {
        let asked = request.get_ref().host.parse::<RegistryServer>().ok();
        let login = self.0.iter().find(|login| Some(&login.server) == asked.as_ref());
        Ok(Response::new(match login {
            Some(login) => CredentialsResponse {
                username: login.user.clone(),
                secret: password_of(login)
                    .map_err(|error| Status::invalid_argument(error.to_string()))?
                    .to_owned(),
            },
            None => CredentialsResponse::default(),
        }))
    }
    async fn fetch_token(&self, _: tonic::Request<FetchTokenRequest>) -> Result<Response<FetchTokenResponse>, Status> {
        not_ours()
    }
    async fn get_token_authority(
        &self,
        _: tonic::Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        not_ours()
    }
    async fn verify_token_authority(
        &self,
        _: tonic::Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        not_ours()
    }
}

/// The engine drops a session that does not say that it is well.
struct Alive;

fn serving() -> HealthCheckResponse {
    HealthCheckResponse {
        status: ServingStatus::Serving.into(),
    }
}

#[tonic::async_trait]
impl Health for Alive {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: tonic::Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(serving()))
    }

    async fn list(&self, _: tonic::Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Ok(Response::new(HealthListResponse {
            statuses: [(String::new(), serving())].into(),
        }))
    }

    async fn watch(&self, _: tonic::Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(stream::iter([Ok(serving())]).chain(stream::pending()).boxed()))
    }
}

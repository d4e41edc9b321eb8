//! BuildKit's session: while a build runs, the engine calls back over a hijacked connection and asks us for secrets.
//!
//! bollard opens such sessions only with credentials and, for builds whose whole context is in memory, with secrets from
//! files or the environment. This one hands secrets out of memory and leaves the context to a stream.

use crate::{failures::words, transport::Transport};
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
use types::{Result, Secret, World};

/// What the engine may call; it asks nothing that was not announced.
const METHODS: [&str; 1] = ["/moby.buildkit.secrets.v1.Secrets/GetSecret"];

/// An open session. It ends when dropped.
pub struct Session {
    pub id: String,
    serving: JoinHandle<()>,
}

impl Session {
    pub async fn open(transport: &Transport, secrets: BTreeMap<String, Secret>, world: &World) -> Result<Session> {
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

        let routes = Routes::new(SecretsServer::new(Keys(secrets))).add_service(HealthServer::new(Alive));
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

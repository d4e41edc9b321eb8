//! Active health checks: one thread of the edge asks the upstreams of the table, each when it is due.

use crate::{fetch::fetch, forward::Failure, table::Table, upstream::Backend, worker::Worker};
use bytes::Bytes;
use http::{HeaderValue, header};
use pingora::http::RequestHeader;
use std::{sync::Arc, time::Duration};
use types::{ActiveHealth, HealthProbe};

/// An upstream and how it is asked.
pub(crate) struct Watched {
    pub backend: Arc<Backend>,
    pub health: ActiveHealth,
    /// For the `Host` header.
    pub host: HeaderValue,
}

/// Asks those that are due.
pub(crate) fn turn(worker: &Arc<Worker>, table: &Table) {
    for (index, watched) in table.watched.iter().enumerate() {
        if !watched.backend.is_check_due(worker.now(), watched.health.interval_seconds) {
            continue;
        }
        let (worker, all) = (worker.clone(), table.watched.clone());
        tokio::spawn(async move {
            let Watched { backend, health, host } = &all[index];
            let limit = Duration::from_secs(health.timeout_seconds.into());
            let result = match tokio::time::timeout(limit, ask(&worker, backend, health, host)).await {
                Ok(result) => result,
                Err(_) => Err(format!("no answer within {} s", health.timeout_seconds)),
            };
            backend.checked(result, health.healthy_after, health.unhealthy_after, worker.now());
        });
    }
}

async fn ask(worker: &Worker, backend: &Backend, health: &ActiveHealth, host: &HeaderValue) -> Result<(), String> {
    match &health.probe {
        HealthProbe::Tcp => backend
            .connect(None)
            .await
            .map(drop)
            .map_err(|error| format!("no connection: {error}")),
        HealthProbe::Http { path, status } => {
            let mut request = RequestHeader::build("GET", path.as_bytes(), None).map_err(|_| "the path cannot be asked for".to_owned())?;
            for (name, value) in [
                (header::HOST, host.clone()),
                (header::USER_AGENT, HeaderValue::from_static("serverkit-health")),
                (header::CONNECTION, HeaderValue::from_static("close")),
            ] {
                let _ = request.insert_header(name, value);
            }
            let whole = Duration::from_secs(health.timeout_seconds.into());
            let answered = match fetch(worker, backend, Box::new(request), 1 << 20, whole).await {
                Ok((head, _)) => head.status.as_u16(),
                // The head was read; that is enough.
                Err(Failure::BodyTooLarge) => 200,
                Err(Failure::Refused) => return Err("no connection".into()),
                Err(_) => return Err("no proper answer".into()),
            };
            let well = status.map_or((200..400).contains(&answered), |wanted| answered == wanted);
            if well { Ok(()) } else { Err(format!("{path} answers {answered}")) }
        }
        HealthProbe::Grpc { service } => grpc(backend, service).await,
    }
}

/// `grpc.health.v1.Health/Check`. Source: grpc's `doc/health-checking.md`.
async fn grpc(backend: &Backend, service: &str) -> Result<(), String> {
    let wrong = |what: &'static str| move |error: h2::Error| format!("{what}: {error}");
    let connection = backend.connect(None).await.map_err(|error| format!("no connection: {error}"))?;
    let (sender, connection) = h2::client::handshake(connection).await.map_err(wrong("no HTTP/2"))?;
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    let result = async {
        let mut sender = sender.ready().await.map_err(wrong("no HTTP/2"))?;
        let request = http::Request::post(format!("http://{}/grpc.health.v1.Health/Check", backend.place))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .map_err(|error| error.to_string())?;
        let (answer, mut body) = sender.send_request(request, false).map_err(wrong("no request"))?;
        // HealthCheckRequest: field 1, the service, as a length-prefixed string.
        let mut message = Vec::new();
        if !service.is_empty() {
            message.push(0x0a);
            message.push(u8::try_from(service.len().min(127)).expect("at most 127"));
            message.extend_from_slice(&service.as_bytes()[..service.len().min(127)]);
        }
        let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap_or(0)];
        frame.extend_from_slice(&message);
        body.send_data(Bytes::from(frame), true).map_err(wrong("no request"))?;
        let answer = answer.await.map_err(wrong("no answer"))?;
        let mut data = Vec::new();
        let mut body = answer.into_body();
        while let Some(piece) = body.data().await {
            let piece = piece.map_err(wrong("no answer"))?;
            let _ = body.flow_control().release_capacity(piece.len());
            data.extend_from_slice(&piece);
            if data.len() > 4096 {
                return Err("too long an answer".to_owned());
            }
        }
        // HealthCheckResponse: field 1, the status; 1 is SERVING.
        match data.get(5..) {
            Some([0x08, 1, ..]) => Ok(()),
            Some([0x08, status, ..]) => Err(format!("its status is {status}, not SERVING")),
            _ => Err("it says no status".to_owned()),
        }
    }
    .await;
    driver.abort();
    result
}

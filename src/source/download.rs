//! A file from the web, no larger than said.

use egress::{Egress, Outbound};
use std::time::Duration;
use types::{Error, Result, innermost};
use url::Url;

const CONNECTING: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(60);

/// Reads files from one place over connections that are kept.
#[derive(Debug, Clone)]
pub struct Downloads {
    client: Outbound,
}

impl Downloads {
    /// `egress`: how far the addresses may lead.
    pub fn new(egress: &Egress) -> Result<Downloads> {
        let prepare = || {
            Ok(reqwest::Client::builder()
                .connect_timeout(CONNECTING)
                .timeout(LONGEST)
                .user_agent(concat!("serverkit/", env!("CARGO_PKG_VERSION"))))
        };
        let client = Outbound::new(egress, true, prepare)?;
        Ok(Downloads { client })
    }

    /// Fails with `NotFound`-like words when it is not there, with `Invalid` when it is larger than `most` bytes.
    pub async fn get(&self, url: &Url, most: usize) -> Result<Vec<u8>> {
        let unavailable = |why: String| Error::unavailable(format!("{url} cannot be read: {why}"));
        let mut answer = self
            .client
            .to(url)?
            .get(url.clone())
            .send()
            .await
            .map_err(|error| unavailable(innermost(&error)))?;
        if !answer.status().is_success() {
            return Err(unavailable(format!("it answers {}", answer.status())));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| unavailable(innermost(&error)))? {
            if bytes.len() + chunk.len() > most {
                return Err(Error::invalid("url", format!("{url} is larger than {} KiB", most >> 10)));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

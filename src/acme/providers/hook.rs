//! Providers that this panel does not know: a program on its machine, or an address that is called. They create and delete
//! records; they do not list them.

use super::{
    Credentials, Provider, given_zones,
    rest::{address, client, refused, send},
};
use egress::Egress;
use reqwest::Client;
use serde_json::{Value, json};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};
use types::{DnsProviderOptions, DnsRecord, Error, Result, Secret};
use url::Url;

const PATIENCE: Duration = Duration::from_secs(120);

/// `PROGRAM ARGUMENTS… create|delete ZONE NAME TYPE TTL VALUE`, and `… test`. Credentials are its environment variables, and
/// it has no others but PATH. It is done when it ends with 0; what it prints last tells why it did not.
pub(super) struct Exec {
    command: Vec<String>,
    zones: Vec<String>,
    credentials: Credentials,
}

impl Exec {
    pub fn open(options: &DnsProviderOptions, credentials: &Credentials) -> Result<Exec> {
        let program = options.command.first().map(Path::new);
        if !program.is_some_and(Path::is_absolute) {
            return Err(Error::invalid(
                "command",
                "must begin with the whole path of a program, such as /usr/local/bin/dns-hook",
            ));
        }
        if let Some(bad) = credentials.keys().find(|name| name.parse::<types::VariableKey>().is_err()) {
            return Err(Error::invalid(
                format!("credentials.{bad}"),
                "becomes an environment variable: use letters, digits and _",
            ));
        }
        Ok(Exec {
            command: options.command.clone(),
            zones: given_zones(options)?,
            credentials: credentials.clone(),
        })
    }

    async fn run(&self, arguments: &[&str]) -> Result<()> {
        let program = &self.command[0];
        let failed = |why: String| Error::unavailable(format!("the program {program} {why}"));
        let mut command = Command::new(program);
        command
            .args(&self.command[1..])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for (name, value) in &self.credentials {
            command.env(name, value.expose_str().unwrap_or_default());
        }
        let ended = timeout(PATIENCE, command.output()).await;
        let output = ended
            .map_err(|_| failed(format!("does not end within {} s", PATIENCE.as_secs())))?
            .map_err(|error| failed(format!("cannot be started: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let printed = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        let printed = String::from_utf8_lossy(printed);
        let last = printed
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("it printed nothing");
        let last: String = self.hidden(last).chars().take(300).collect();
        Err(failed(format!("fails ({}): {last}", output.status)))
    }

    /// Without credentials that the program printed.
    fn hidden(&self, line: &str) -> String {
        let texts = self
            .credentials
            .values()
            .filter_map(Secret::expose_str)
            .filter(|text| text.len() >= 4);
        texts.fold(line.to_owned(), |line, text| line.replace(text, "••••"))
    }

    async fn change(&self, verb: &str, zone: &str, record: &DnsRecord) -> Result<()> {
        let ttl = record.ttl_seconds.to_string();
        self.run(&[verb, zone, &record.name, record.kind.word(), &ttl, &record.value]).await
    }
}

#[async_trait::async_trait]
impl Provider for Exec {
    async fn zones(&self) -> Result<Vec<String>> {
        self.run(&["test"]).await?;
        Ok(self.zones.clone())
    }
    async fn records(&self, _: &str) -> Result<Vec<DnsRecord>> {
        Err(Error::busy("a program creates and deletes records, but does not list them"))
    }
    async fn create(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        self.change("create", zone, record).await
    }
    async fn delete(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        self.change("delete", zone, record).await
    }
    fn lists_records(&self) -> bool {
        false
    }
}

/// `POST` with `{"action": "create" | "delete" | "test", "zone", "name", "type", "ttl_seconds", "value"}`, and the token as
/// bearer. It is done when the answer is 200 to 299.
pub(super) struct Webhook {
    client: Client,
    url: Url,
    token: Option<Secret>,
    zones: Vec<String>,
}

impl Webhook {
    pub fn open(options: &DnsProviderOptions, credentials: &Credentials, egress: &Egress) -> Result<Webhook> {
        let endpoint = options.endpoint.as_deref();
        let url = address(endpoint.ok_or_else(|| Error::invalid("endpoint", "must be the address that is called"))?)?;
        Ok(Webhook {
            client: client(&url, egress)?,
            url,
            token: credentials.get("token").cloned(),
            zones: given_zones(options)?,
        })
    }

    async fn call(&self, body: &Value) -> Result<()> {
        let mut request = self.client.post(self.url.clone()).json(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_str().unwrap_or_default());
        }
        let (status, text) = send("the webhook", request).await?;
        if (200..300).contains(&status) {
            return Ok(());
        }
        let said: String = text.lines().next().unwrap_or_default().chars().take(300).collect();
        Err(refused("the webhook", status, Some(said.as_str()).filter(|said| !said.is_empty())))
    }

    async fn change(&self, action: &str, zone: &str, record: &DnsRecord) -> Result<()> {
        self.call(&json!({
            "action": action,
            "zone": zone,
            "name": record.name,
            "type": record.kind.word(),
            "ttl_seconds": record.ttl_seconds,
            "value": record.value,
        }))
        .await
    }
}

#[async_trait::async_trait]
impl Provider for Webhook {
    async fn zones(&self) -> Result<Vec<String>> {
        self.call(&json!({"action": "test"})).await?;
        Ok(self.zones.clone())
    }
    async fn records(&self, _: &str) -> Result<Vec<DnsRecord>> {
        Err(Error::busy("a webhook creates and deletes records, but does not list them"))
    }
    async fn create(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        self.change("create", zone, record).await
    }
    async fn delete(&self, zone: &str, record: &DnsRecord) -> Result<()> {
        self.change("delete", zone, record).await
    }
    fn lists_records(&self) -> bool {
        false
    }
}

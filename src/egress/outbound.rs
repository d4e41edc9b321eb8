//! Requests over HTTP that go only where they may.

use crate::{Egress, inner_words, is_of_the_web};
use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::{Attempt, Policy},
};
use std::sync::Arc;
use types::{Error, Result};
use url::Url;

/// As browsers do.
const REDIRECTIONS: usize = 10;

/// Clients for addresses that somebody named. Of a name all addresses must be admitted, and one of those is connected to.
#[derive(Debug, Clone)]
pub struct Outbound {
    egress: Egress,
    /// For the ports of the web.
    web: Client,
    /// For all others. A resolver is not told for which port it is asked.
    other: Client,
}

impl Outbound {
    /// `prepare` says all but where to: it is asked twice. `follows`: redirections, to where they may lead.
    pub fn new(egress: &Egress, follows: bool, prepare: impl Fn() -> Result<ClientBuilder>) -> Result<Outbound> {
        let build = |builder: ClientBuilder| builder.build().map_err(|error| Error::internal("preparing requests", error));
        let policy = |for_web| match (follows, egress) {
            (false, _) => Policy::none(),
            (true, Egress::Anywhere) => Policy::limited(REDIRECTIONS),
            (true, Egress::Public(_)) => following(egress.clone(), for_web),
        };
        let client = |for_web: bool| {
            let builder = prepare()?.redirect(policy(for_web));
            build(match egress {
                Egress::Anywhere => builder,
                // What the port is does not matter further: the machine's own addresses are open for those of the web alone.
                Egress::Public(_) => builder.dns_resolver(Arc::new(Names {
                    egress: egress.clone(),
                    port: if for_web { 443 } else { 0 },
                })),
            })
        };
        let web = client(true)?;
        let other = match egress {
            Egress::Anywhere => web.clone(),
            Egress::Public(_) => client(false)?,
        };
        Ok(Outbound {
            egress: egress.clone(),
            web,
            other,
        })
    }

    /// The client to ask this address with. Fails with `Invalid` when it may not be asked.
    pub fn to(&self, url: &Url) -> Result<&Client> {
        self.egress.check_written(url)?;
        Ok(match url.port_or_known_default().is_some_and(is_of_the_web) {
            true => &self.web,
            false => &self.other,
        })
    }
}

/// From the web to the web; from another port also within itself.
fn following(egress: Egress, for_web: bool) -> Policy {
    Policy::custom(move |attempt: Attempt<'_>| {
        let to = attempt.url();
        if attempt.previous().len() > REDIRECTIONS {
            return attempt.error("it redirects without end");
        }
        if egress.check_written(to).is_err() {
            let words = inner_words(to.host_str().unwrap_or_default());
            return attempt.error(words);
        }
        if for_web && !to.port_or_known_default().is_some_and(is_of_the_web) {
            return attempt.error("it redirects to another port");
        }
        attempt.follow()
    })
}

/// Looks names up, and gives none of the addresses where one is not admitted. The proxy's are.
struct Names {
    egress: Egress,
    port: u16,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (egress, port) = (self.egress.clone(), self.port);
        Box::pin(async move {
            let found = egress.resolver().look_up(name.as_str(), 0).await?;
            egress.check_resolved(name.as_str(), found.iter().map(|address| (address.ip(), port).into()))?;
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bounds, Proxies};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    fn outbound(bounds: Bounds) -> Outbound {
        let prepare = || Ok(Client::builder().no_proxy());
        Outbound::new(&Egress::public(bounds), true, prepare).expect("built")
    }

    /// Answers requests for `example.com` as a proxy does, on the port that it returns. `/away` leads to another port there.
    async fn proxy() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let asked = String::from_utf8_lossy(&request[..length]).into_owned();
                let head = match asked.split(' ').nth(1) {
                    Some("http://example.com/") => "200 OK",
                    Some("http://example.com/away") => "302 Found\r\nlocation: http://example.com:8443/",
                    _ => "404 Not Found",
                };
                let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn a_proxy_inside_is_reached_and_not_named() {
        let at = format!("http://localhost:{}", proxy().await);
        let bounds = Bounds {
            proxies: Proxies::of(|name| (name == "http_proxy").then(|| at.clone())),
            ..Bounds::default()
        };
        let prepare = || Ok(Client::builder().proxy(reqwest::Proxy::all(at.as_str()).expect("an address")));
        let outbound = Outbound::new(&Egress::public(bounds), true, prepare).expect("built");
        let outside: Url = "http://example.com/".parse().expect("an address");
        let client = outbound.to(&outside).expect("admitted");
        let answer = client.get(outside).send().await.expect("by the proxy");
        assert_eq!(answer.status().as_u16(), 200);
        let named = why(&outbound, &at).await;
        assert!(named.contains("localhost leads to an inner address"), "{named}");
        let strayed = why(&outbound, "http://example.com/away").await;
        assert!(strayed.contains("redirects to another port"), "{strayed}");
    }

    async fn why(outbound: &Outbound, url: &str) -> String {
        let url: Url = url.parse().expect("an address");
        let client = match outbound.to(&url) {
            Ok(client) => client,
            Err(refused) => return refused.to_string(),
        };
        let failed = client.get(url).send().await.expect_err("not to be had");
        types::innermost(&failed)
    }

    #[tokio::test]
    async fn inner_places_are_not_asked_and_answer_alike() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let open = listener.local_addr().expect("bound").port();
        let bounded = outbound(Bounds::default());
        for host in ["127.0.0.1", "localhost"] {
            let of_open = why(&bounded, &format!("http://{host}:{open}/")).await;
            assert!(of_open.contains("leads to an inner address"), "{of_open}");
            assert_eq!(why(&bounded, &format!("http://{host}:1/")).await, of_open);
        }
        let nobody = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
        assert!(nobody.is_err(), "it was connected to");
    }

    #[tokio::test]
    async fn redirections_are_not_followed_inside() {
        let listener = TcpListener::bind("127.0.0.2:0").await.expect("a port");
        let at = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let answer = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let open = Bounds {
            open: vec!["127.0.0.2/32".parse().expect("a network")],
            ..Bounds::default()
        };
        let refused = why(&outbound(open), &format!("http://{at}/")).await;
        assert!(refused.contains("127.0.0.1 leads to an inner address"), "{refused}");
    }
}

//! Do names resolve? Without that no certificate, no clone and no pull works.

use hickory_resolver::{
    Resolver, TokioResolver,
    net::{NetError, runtime::TokioRuntimeProvider},
};
use std::time::Duration;
use types::{Finding, FindingLevel};

const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the machine's own name servers for `name`.
pub async fn finding(name: &str) -> Finding {
    let resolver = Resolver::builder(TokioRuntimeProvider::default()).and_then(|builder| builder.build());
    match resolver {
        Ok(resolver) => ask(&resolver, name).await,
        Err(error) => {
            tracing::debug!("making a resolver: {error}");
            warning("/etc/resolv.conf names no name server that can be asked".into())
        }
    }
}

async fn ask(resolver: &TokioResolver, name: &str) -> Finding {
    match tokio::time::timeout(PATIENCE, resolver.lookup_ip(format!("{name}."))).await {
        Ok(Ok(found)) if found.iter().next().is_some() => Finding {
            check: "dns",
            level: FindingLevel::Ok,
            summary: format!("names resolve ({name})"),
            fix: String::new(),
        },
        Ok(Ok(_)) => warning(format!("{name} has no address")),
        Ok(Err(error)) => {
            tracing::debug!("resolving {name}: {error}");
            warning(format!("{name} does not resolve: {}", why(&error)))
        }
        Err(_) => warning(format!(
            "{name} does not resolve: no name server answers within {} s",
            PATIENCE.as_secs()
        )),
    }
}

/// In words; the resolver's own name the parts of a query.
fn why(error: &NetError) -> &'static str {
    match error {
        NetError::Timeout => "no name server answers in time",
        error if error.is_nx_domain() => "the name servers say that there is no such name",
        error if error.is_no_records_found() => "the name servers know no address of it",
        NetError::NoConnections | NetError::Io(_) => "the name servers in /etc/resolv.conf cannot be reached",
        _ => "the name servers in /etc/resolv.conf give no usable answer",
    }
}

fn warning(summary: String) -> Finding {
    Finding {
        check: "dns",
        level: FindingLevel::Warning,
        summary,
        fix: "check /etc/resolv.conf and the firewall; to try a public one: echo 'nameserver 9.9.9.9' >> /etc/resolv.conf".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use std::time::Instant;

    #[tokio::test]
    async fn a_silent_server_is_a_warning_and_no_hang() {
        let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
        let address = silent.local_addr().expect("it is bound");
        let mut connection = ConnectionConfig::udp();
        connection.port = address.port();
        let server = NameServerConfig::new(address.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, vec![], vec![server]);
        let resolver = Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            .build()
            .expect("it is right");
        let begun = Instant::now();
        let finding = ask(&resolver, "acme.test").await;
        assert_eq!(finding.level, FindingLevel::Warning);
        let expected = "acme.test does not resolve: no name server answers";
        assert!(finding.summary.starts_with(expected), "{}", finding.summary);
        assert!(begun.elapsed() < PATIENCE + Duration::from_secs(1));
    }

    #[test]
    fn failures_are_plain_words() {
        let refused = NetError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(why(&refused), "the name servers in /etc/resolv.conf cannot be reached");
        assert_eq!(why(&NetError::Timeout), "no name server answers in time");
        assert!(!why(&NetError::from("a detail of the protocol")).contains("protocol"));
    }

    #[tokio::test]
    async fn localhost_resolves() {
        assert_eq!(finding("localhost").await.level, FindingLevel::Ok);
    }
}

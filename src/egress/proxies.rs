//! The proxy that the panel itself goes through, as its environment says.

use ipnet::IpNet;
use std::{collections::BTreeSet, net::IpAddr};
use url::Url;

/// What `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say, in small letters and in capital ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    /// Of all of them, as the libraries do not agree on which counts.
    hosts: BTreeSet<String>,
    /// Whether libgit2 asks for TLS through one. It does not know `all_proxy`, and connects by itself for plain HTTP whatever is set.
    https: bool,
    /// Names, and ends of names, that are asked directly.
    direct: Vec<String>,
}

impl Proxies {
    pub fn of_environment() -> Proxies {
        Proxies::of(|name| std::env::var_os(name).map(|text| text.to_string_lossy().into_owned()))
    }

    /// `variable` gives one of the environment.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Proxies {
        let both = |name: &str| [variable(name), variable(&name.to_ascii_uppercase())];
        let hosts = |name: &str| {
            both(name)
                .into_iter()
                .flatten()
                .filter_map(|text| host_of(&text))
                .collect::<Vec<_>>()
        };
        // The first that is there counts, be it empty.
        let is_set = |name: &str| both(name).into_iter().flatten().next().is_some_and(|text| host_of(&text).is_some());
        let excepted = both("no_proxy").into_iter().flatten().collect::<Vec<_>>().join(",");
        Proxies {
            hosts: ["http_proxy", "https_proxy", "all_proxy"].into_iter().flat_map(hosts).collect(),
            https: is_set("https_proxy"),
            direct: excepted.split(',').filter_map(name_of).collect(),
        }
    }

    /// Whether it is the host of one of them.
    pub(crate) fn have(&self, host: &str) -> bool {
        self.hosts.contains(&host.to_ascii_lowercase())
    }

    /// Whether libgit2 asks one of them for `url`. In doubt it does not.
    pub(crate) fn take(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        self.https && url.scheme() == "https" && !self.direct.iter().any(|end| host.ends_with(end.as_str()))
    }
}

/// The host in `http://user:password@host:3128`; the scheme may be left out.
fn host_of(text: &str) -> Option<String> {
    let text = text.trim();
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("http://{text}")),
    };
    Some(url.ok()?.host_str()?.to_ascii_lowercase())
}

/// The name in an entry of `no_proxy`; empty for `*`, which is the end of every name. Addresses are none.
fn name_of(entry: &str) -> Option<String> {
    let entry = entry.trim();
    if entry.is_empty() || entry.parse::<IpAddr>().is_ok() || entry.parse::<IpNet>().is_ok() {
        return None;
    }
    let name = entry.trim_start_matches(['*', '.']);
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    Some(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::of(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn hosts_of_all_variables() {
        let named = proxies(&[
            ("http_proxy", "http://ada:secret@One.corp:3128/"),
            ("HTTPS_PROXY", "two.corp:3128"),
            ("all_proxy", "socks5://Three.corp:1080"),
            ("ALL_PROXY", ""),
            ("no_proxy", "four.corp"),
        ]);
        for (host, is_one) in [
            ("one.corp", true),
            ("ONE.corp", true),
            ("two.corp", true),
            ("three.corp", true),
            ("four.corp", false),
            ("one.corp.", false),
            ("x.one.corp", false),
            ("ada", false),
            ("", false),
        ] {
            assert_eq!(named.have(host), is_one, "{host}");
        }
        assert!(!format!("{named:?}").contains("secret"));
        assert_eq!(proxies(&[]), Proxies::default());
    }

    #[test]
    fn what_git_asks_a_proxy_for() {
        let set = ("https_proxy", "http://proxy.corp:3128");
        for (variables, url, taken) in [
            (vec![set], "https://example.com/x.git", true),
            (vec![set], "http://example.com/x.git", false),
            (vec![("http_proxy", "http://proxy.corp:3128")], "http://example.com/x.git", false),
            (vec![set], "ssh://example.com/x.git", false),
            (vec![("HTTPS_PROXY", "proxy.corp:3128")], "https://example.com/", true),
            (
                vec![("https_proxy", ""), ("HTTPS_PROXY", "proxy.corp")],
                "https://example.com/",
                false,
            ),
            (vec![("all_proxy", "http://proxy.corp:3128")], "https://example.com/", false),
            (vec![set, ("no_proxy", "*")], "https://example.com/", false),
            (vec![set, ("no_proxy", "x.org, .Inner.corp:443")], "https://git.inner.corp/", false),
            (vec![set, ("NO_PROXY", "*.inner.corp")], "https://inner.corp/", false),
            (
                vec![set, ("no_proxy", "inner.corp"), ("NO_PROXY", "x.org")],
                "https://inner.corp/",
                false,
            ),
            (
                vec![set, ("no_proxy", "localhost,127.0.0.1,::1,10.0.0.0/8,,")],
                "https://example.com/",
                true,
            ),
        ] {
            let url: Url = url.parse().expect("an address");
            assert_eq!(proxies(&variables).take(&url), taken, "{variables:?} {url}");
        }
    }
}

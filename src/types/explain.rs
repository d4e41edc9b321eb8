//! "Why this?": which part of a configuration answers a request, and why not another. Pure, and over the same matching as
//! the edge's own.

use crate::{
    Asked, EdgeAction, EdgeConfig, EdgeRule, HostPattern, Origin, PathChange, Place, RequestMatch, Route, RuleId, Ruled, Sends, Target,
    TrafficPolicy, answering, in_order, normal_path,
};
use std::net::IpAddr;
use url::{Host as UrlHost, Url};

/// A request that somebody might make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// `https://blog.example.com/api?x=1`
    pub url: Url,
    /// In capitals.
    pub method: String,
    /// Names in any case.
    pub headers: Vec<(String, String)>,
    /// Who asks; `None`: nobody in particular, and then address lists are not looked at.
    pub client: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The entry of the table that the host led to.
    pub host: Option<HostPattern>,
    /// The rule that answers; `None`: the domain's own app, or none was reached.
    pub rule: Option<RuleId>,
    /// What the client gets, in one sentence.
    pub answer: String,
    /// Everything that was asked on the way, in order.
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `host`, `https`, `address`, `rule NAME`, …
    pub what: String,
    /// Whether this decided the answer.
    pub decides: bool,
    /// In words.
    pub why: String,
}

/// The route for a host, exact before wildcard. Lower case, without port and last dot.
pub fn route_of<'a>(config: &'a EdgeConfig, host: &str) -> Option<(&'a HostPattern, &'a Route)> {
    let find = |text: &str| config.routes.get_key_value(&text.parse::<HostPattern>().ok()?);
    let exact = find(host);
    exact.or_else(|| find(&format!("*.{}", host.split_once('.')?.1)))
}

struct Asking<'a> {
    question: &'a Question,
    path: &'a str,
    headers: Vec<(String, &'a [u8])>,
}

impl Asked for Asking<'_> {
    fn method(&self) -> &str {
        &self.question.method
    }
    fn path(&self) -> &str {
        self.path
    }
    fn values<'a>(&'a self, name: &'a str) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
        Box::new(self.headers.iter().filter(move |(own, _)| own == name).map(|(_, value)| *value))
    }
}

impl EdgeConfig {
    /// Which part of this answers, and why.
    pub fn explain(&self, question: &Question) -> Explanation {
        let mut told = Explanation {
            host: None,
            rule: None,
            answer: String::new(),
            steps: Vec::new(),
        };
        told.answer = self.walk(question, &mut told);
        if let Some(last) = told.steps.last_mut() {
            last.decides = true;
        }
        told
    }

    fn walk(&self, question: &Question, told: &mut Explanation) -> String {
        let Some(host) = question.url.host().map(|host| match host {
            UrlHost::Domain(name) => name.trim_end_matches('.').to_owned(),
            UrlHost::Ipv4(address) => address.to_string(),
            UrlHost::Ipv6(address) => address.to_string(),
        }) else {
            told.note("host", "the address names no host");
            return "400: the request names no host".into();
        };
        if let Some(answer) = question
            .url
            .path()
            .strip_prefix("/.well-known/acme-challenge/")
            .and_then(|token| self.challenges.get(token))
        {
            told.note("challenge", "a certificate authority asks for this path");
            return format!("200: the answer to the challenge ({} bytes)", answer.len());
        }
        let secure = question.url.scheme() == "https";
        if secure && let Some((pattern, through)) = self.passthrough.iter().find(|(pattern, _)| pattern.fits(&host)) {
            told.host = Some(pattern.clone());
            told.note("passthrough", format!("TLS for {pattern} is not ended here"));
            return format!("the connection is passed on to {}", through.name);
        }
        let Some((pattern, route)) = route_of(self, &host) else {
            told.note("host", format!("neither {host} nor a wildcard above it is in the table"));
            return format!("404: no site on this server answers to {host}");
        };
        told.host = Some(pattern.clone());
        told.note(
            "host",
            if pattern.is_wildcard() {
                format!("{host} is not in the table, but {pattern} is")
            } else {
                format!("{pattern} is in the table")
            },
        );
        if !secure && route.force_https {
            told.note("https", "plain HTTP is sent to HTTPS for this domain");
            return format!("308: to https://{host}{}", question.url.path());
        }
        let Some(path) = normal_path(question.url.path()) else {
            told.note("path", "the path climbs above the root");
            return "400: the path is not one that a site can have".into();
        };
        let asking = Asking {
            question,
            path: &path,
            headers: question
                .headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes()))
                .collect(),
        };
        let query = question.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let place = Place {
            host: &host,
            pattern,
            uri: &format!("{}{query}", question.url.path()),
            path: &path,
        };
        answer_of(route, &asking, &place, told)
    }
}

/// What a route answers.
fn answer_of(route: &Route, asking: &Asking<'_>, place: &Place<'_>, told: &mut Explanation) -> String {
    let rules = in_order(&route.rules, |rule| (rule.priority, &rule.matches, &rule.id));
    let chosen = answering(rules, asking, place, |rule| {
        let why = rule.matches.why_not(asking);
        let why = why.unwrap_or_else(|| format!("the path {} does not fit its pattern", place.path));
        told.note(format!("rule {}", rule.name), why);
    });
    let mut policy = route.policy.as_deref();
    if let Some((rule, _)) = &chosen {
        told.note(format!("rule {}", rule.name), "all of it fits");
        told.rule = Some(rule.id.clone());
        policy = rule.policy.as_deref().or(policy);
    }
    if let Some(refusal) = policy.and_then(|policy| refused(policy, asking.question, told)) {
        return refusal;
    }
    match chosen {
        Some((rule, location)) => done_by(&rule.action, location, place, told),
        None => by_the_app(route, asking, told),
    }
}

/// What a rule that fits does.
fn done_by(action: &EdgeAction, location: Option<String>, place: &Place<'_>, told: &mut Explanation) -> String {
    let changed = |change: &PathChange| {
        let written = place.uri.split('?').next().unwrap_or_default();
        let given = change.compile().map(|change| change.apply(written, place.path)).ok();
        let changed = given.filter(|given| given != written);
        changed.map(|path| format!(", which sees {path}")).unwrap_or_default()
    };
    match action {
        EdgeAction::Redirect(redirect) => format!("{}: to {}", redirect.status, location.unwrap_or_default()),
        EdgeAction::Respond { status, content_type, .. } => format!("{status}: a fixed answer ({content_type})"),
        EdgeAction::Serve { name, target, path, .. } => format!("{}{}", served(name, target), changed(path)),
        EdgeAction::Split { parts, path } => {
            let all: u64 = parts.iter().map(|part| u64::from(part.weight)).sum();
            for part in parts {
                let answer = served(&part.name, &part.target);
                told.note(
                    format!("part {}", part.name),
                    format!("{} of {all} requests: {answer}", part.weight),
                );
            }
            let names: Vec<&str> = parts.iter().filter(|part| part.weight > 0).map(|part| part.name.as_str()).collect();
            format!("one of {} answers, by weight{}", names.join(", "), changed(path))
        }
    }
}

/// What no rule answers.
fn by_the_app(route: &Route, asking: &Asking<'_>, told: &mut Explanation) -> String {
    if let Some(canary) = &route.canary {
        if let Some(header) = &canary.header
            && header.test.fits(asking.values(header.name.as_str()))
        {
            told.note("canary", format!("the header {} asks for {}", header.name, canary.name));
            return served(&canary.name, &canary.target);
        }
        told.note("canary", format!("{} of 100 requests go to {}", canary.percent, canary.name));
    }
    told.note("app", format!("no rule answers, so {} does", route.name));
    served(&route.name, &route.target)
}

impl Ruled for EdgeRule {
    fn matches(&self) -> &RequestMatch {
        &self.matches
    }
    fn sends(&self, place: &Place<'_>) -> Sends {
        match &self.action {
            EdgeAction::Redirect(redirect) => redirect.compile().map_or(Sends::Past, |redirect| redirect.sends(place)),
            _ => Sends::Nowhere,
        }
    }
}

impl Explanation {
    fn note(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.steps.push(Step {
            what: what.into(),
            decides: false,
            why: why.into(),
        });
    }
}

/// What the policy refuses before anything is passed on, as far as the question tells.
fn refused(policy: &TrafficPolicy, question: &Question, told: &mut Explanation) -> Option<String> {
    if let Some(client) = question.client {
        if let Some(net) = policy.access.deny.iter().find(|net| net.contains(&client)) {
            told.note("address", format!("{client} is in {net}, which is denied"));
            return Some("403: this address may not come".into());
        }
        if !policy.access.allow.is_empty() && !policy.access.allow.iter().any(|net| net.contains(&client)) {
            told.note("address", format!("{client} is not among those allowed"));
            return Some("403: this address may not come".into());
        }
    }
    if let Some(maintenance) = &policy.maintenance {
        let exempt = question
            .client
            .is_some_and(|client| maintenance.allow.iter().any(|net| net.contains(&client)));
        if !exempt {
            told.note("maintenance", "the maintenance page is on");
            return Some("503: the maintenance page".into());
        }
    }
    let authorized = question.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    if policy.basic_auth.is_some() && !authorized {
        told.note("basic auth", "a user name and a password are needed");
        return Some("401: the browser asks for a user name and a password".into());
    }
    None
}

fn served(name: &str, target: &Target) -> String {
    match target {
        Target::Upstreams(upstreams) if upstreams.len() == 1 => format!("{name} answers, at {}", upstreams[0].address),
        Target::Upstreams(upstreams) => format!("{name} answers, one of its {} replicas", upstreams.len()),
        Target::Origin(Origin::Host { host, port }) => format!("{host} answers, at port {port}"),
        Target::Origin(Origin::Socket { path }) => format!("{} answers", path.display()),
        Target::Panel => "the panel answers".into(),
        Target::Starting => format!("503: {name} is starting"),
        Target::Asleep { .. } => format!("{name} is asleep: the request wakes it, waits and is answered then"),
        Target::Down { why } => format!("503: {name} is not running: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EdgeOptions, Redirect, Upstream};

    fn config() -> EdgeConfig {
        let to = |port| {
            Target::Upstreams(vec![Upstream {
                address: ([10, 0, 0, 1], port).into(),
            }])
        };
        let rule = |id: &str, name: &str, matches: &str, action| EdgeRule {
            id: format!("rul_0000000000000000000000000{id}").parse().expect("an id"),
            name: name.into(),
            priority: 0,
            matches: serde_json::from_str::<RequestMatch>(matches).expect("a match"),
            action,
            policy: None,
        };
        let mut blog = Route::plain(None, "blog", true, to(80));
        blog.rules = vec![
            rule(
                "1",
                "api",
                r#"{"path":{"kind":"prefix","path":"/api"},"methods":["GET"]}"#,
                EdgeAction::Serve {
                    app: None,
                    name: "api".into(),
                    target: to(81),
                    path: crate::PathChange {
                        strip_prefix: Some("/api".into()),
                        rewrite: None,
                    },
                },
            ),
            rule(
                "2",
                "old",
                "{}",
                EdgeAction::Redirect(Redirect {
                    pattern: Some("^/old/(.*)".into()),
                    to: "/new/$1".into(),
                    status: 301,
                }),
            ),
        ];
        EdgeConfig {
            routes: [
                ("blog.test".parse().expect("host"), blog),
                (
                    "*.test".replace("*.", "*.x.").parse().expect("host"),
                    Route::plain(None, "any", false, Target::Starting),
                ),
            ]
            .into(),
            options: EdgeOptions::default(),
            ..EdgeConfig::default()
        }
    }

    #[test]
    fn each_answer_has_its_reason() {
        let config = config();
        let ask = |method: &str, url: &str| {
            config.explain(&Question {
                url: url.parse().expect("a URL"),
                method: method.into(),
                headers: vec![],
                client: None,
            })
        };
        for (method, url, answer, last) in [
            (
                "GET",
                "https://blog.test/",
                "blog answers, at 10.0.0.1:80",
                "no rule answers, so blog does",
            ),
            (
                "GET",
                "http://blog.test/x",
                "308: to https://blog.test/x",
                "plain HTTP is sent to HTTPS for this domain",
            ),
            (
                "GET",
                "https://blog.test/api/a",
                "api answers, at 10.0.0.1:81, which sees /a",
                "all of it fits",
            ),
            (
                "GET",
                "https://blog.test/%61pi/a",
                "api answers, at 10.0.0.1:81, which sees /a",
                "all of it fits",
            ),
            (
                "POST",
                "https://blog.test/api/a",
                "blog answers, at 10.0.0.1:80",
                "no rule answers, so blog does",
            ),
            ("GET", "https://blog.test/old/a?b", "301: to /new/a", "all of it fits"),
            ("GET", "https://a.x.test/", "503: any is starting", "no rule answers, so any does"),
            (
                "GET",
                "https://a.b.x.test/",
                "404: no site on this server answers to a.b.x.test",
                "neither a.b.x.test nor a wildcard above it is in the table",
            ),
        ] {
            let told = ask(method, url);
            assert_eq!(told.answer, answer, "{url}: {told:?}");
            let step = told.steps.last().expect("at least one");
            assert!(step.decides && step.why == last, "{url}: {step:?}");
        }
        let told = ask("POST", "https://blog.test/api/a");
        assert_eq!(told.steps[1].why, "the method POST is not GET");
        assert_eq!(told.rule, None);
    }
}

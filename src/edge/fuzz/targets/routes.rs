//! Fuzzes route matching and redirects: no request makes them panic, or leads to a host that no rule names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use types::{EdgeAction, EdgeConfig, EdgeRule, HostPattern, Question, Redirect, RequestMatch, Route, Target, normal_path};

fn redirect(pattern: Option<&str>, to: &str) -> Redirect {
    Redirect {
        pattern: pattern.map(str::to_owned),
        to: to.to_owned(),
        status: 308,
    }
}

fn config() -> EdgeConfig {
    let mut route = Route::plain(None, "blog", false, Target::Starting);
    let rule = |n: u32, matches: &str, to: Redirect| EdgeRule {
        id: format!("rul_{n:026}").parse().expect("an id"),
        name: n.to_string(),
        priority: 0,
        matches: serde_json::from_str::<RequestMatch>(matches).expect("a match"),
        action: EdgeAction::Redirect(to),
        policy: None,
    };
    route.rules = vec![
        rule(1, r#"{"path":{"kind":"prefix","path":"/a"}}"#, redirect(None, "{path}")),
        rule(2, r#"{"path":{"kind":"exact","path":"/b"}}"#, redirect(Some("(.*)"), "/$1")),
        rule(3, "{}", redirect(Some("^/c/(?<rest>.*)$"), "https://c.test/${rest}")),
    ];
    EdgeConfig {
        routes: [("*.example.test".parse().expect("a host"), route)].into(),
        ..EdgeConfig::default()
    }
}

fuzz_target!(|input: (&str, &str)| {
    let (uri, host) = input;
    if let Ok(url) = format!("http://{host}.example.test{uri}").parse() {
        config().explain(&Question {
            url,
            method: "GET".into(),
            headers: vec![],
            client: None,
        });
    }
    let Some(path) = normal_path(uri) else { return };
    let pattern: HostPattern = "*.example.test".parse().expect("a host");
    for (pattern_text, to, begins) in [
        (None, "{path}", "/"),
        (None, "{uri}", "/"),
        (Some("^(.*)$"), "/x$1", "/x"),
        (Some("^/(.*)$"), "/$1", "/"),
        (Some("^/(.*)$"), "https://new.test/$1", "https://new.test/"),
    ] {
        // An address in a request begins with a slash.
        if !uri.starts_with('/') {
            continue;
        }
        let compiled = redirect(pattern_text, to).compile().expect("it can be used");
        if let Some(location) = compiled.location("a.example.test", &pattern, uri, &path) {
            assert!(location.starts_with(begins), "{location}");
            assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{location}");
        }
    }
});

//! Spellings of paths and names, and where rules lead.

use types::{
    EdgeAction, EdgeConfig, EdgeRule, HeaderField, Host, HostPattern, Question, Redirect, RequestMatch, Route, StreamPort, Target,
    encoded_path, is_below, normal_path,
};

/// A normal path has no way up, and is its own normal path once it is written as an address.
pub(crate) fn paths(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(normal) = normal_path(text) else { return };
    assert!(normal.starts_with('/'));
    assert!(!normal.split('/').any(|part| part == ".." || part == "."));
    assert!(!normal.contains("//") && !normal.contains('\0'));
    assert_eq!(normal_path(&encoded_path(&normal)).as_deref(), Some(&*normal));
    assert!(is_below(&normal, "/"));
}

/// A name that is taken is written and read as the same.
pub(crate) fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(host) = text.parse::<Host>() {
        assert_eq!(host.as_str().parse::<Host>().ok().as_ref(), Some(&host));
    }
    if let Ok(pattern) = text.parse::<HostPattern>() {
        assert_eq!(pattern.as_str().parse::<HostPattern>().ok().as_ref(), Some(&pattern));
        assert!(pattern.is_wildcard() || pattern.fits(pattern.as_str()), "{pattern}");
    }
    if let Ok(port) = text.parse::<StreamPort>() {
        assert_eq!(port.to_string().parse::<StreamPort>().ok(), Some(port));
    }
    if let Ok(field) = text.parse::<HeaderField>() {
        assert!(http::HeaderName::from_bytes(field.as_str().as_bytes()).is_ok(), "{field}");
    }
}

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

/// The first line is a label below `example.test`, the second an address in a request. No request makes route matching
/// panic, or leads to a host that no rule names.
pub(crate) fn routes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (label, uri) = text.split_once('\n').unwrap_or(("a", text));
    if let Ok(url) = format!("http://{label}.example.test{uri}").parse() {
        config().explain(&Question {
            url,
            method: "GET".into(),
            headers: vec![],
            client: None,
        });
    }
    // An address in a request begins with a slash.
    let Some(path) = normal_path(uri).filter(|_| uri.starts_with('/')) else {
        return;
    };
    let pattern: HostPattern = "*.example.test".parse().expect("a host");
    for (over, to, begins) in [
        (None, "{path}", "/"),
        (None, "{uri}", "/"),
        (Some("(?s)^(.*)$"), "/x$1", "/x"),
        (Some("(?s)^/(.*)$"), "/$1", "/"),
        (Some("(?s)^/(.*)$"), "https://new.test/$1", "https://new.test/"),
    ] {
        let compiled = redirect(over, to).compile().expect("it can be used");
        if let Some(location) = compiled.location("a.example.test", &pattern, uri, &path) {
            assert!(location.starts_with(begins), "{location}");
            assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{location}");
        }
    }
}

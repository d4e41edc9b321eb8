//! Of which kind the things of an operation are, for tokens whose scopes are bound to kinds.
//!
//! This is the one place that asks: every route is wrapped, and what is behind it gets an actor whose scopes count for that kind. Services go on
//! asking [`Actor::may`](types::Actor::may); those whose work touches things of another kind ask for that kind too.

use crate::{
    failures::Answer,
    signed::{Identity, Signed},
    ui,
};
use poem::{
    Endpoint, EndpointExt, Request,
    endpoint::{BoxEndpoint, make},
    http::Method,
};
use serde::{Deserialize, de::IgnoredAny};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};
use types::Family;

/// Operations that show or make things of several kinds: only what a token has for all kinds counts there.
const SEVERAL: [&str; 7] = [
    "app_template_undo",
    "app_template_update",
    "catalog_install",
    "clone_create",
    "clone_plan",
    "overview",
    "preview_rules_update",
];

/// What each token may ask of itself, whatever it is for: who it is, another secret, its end. The services look whose it is.
const OWN: [&str; 3] = ["session_show", "token_revoke", "token_rotate"];

/// All routes of the API, by method and path.
pub(crate) type Routes = HashMap<String, HashMap<Method, BoxEndpoint<'static>>>;

/// What the document says of the operations: read when the first token that is bound to kinds comes, since most panels have none.
#[derive(Default)]
struct Kinds(OnceLock<HashMap<String, Operation>>);

#[derive(Deserialize)]
struct Document {
    paths: HashMap<String, HashMap<String, Operation>>,
}

#[derive(Deserialize)]
struct Operation {
    #[serde(rename = "operationId")]
    id: String,
    tags: Vec<String>,
    /// Empty for what is open to everybody.
    security: Vec<IgnoredAny>,
}

impl Kinds {
    fn find(&self, key: &str) -> Option<&Operation> {
        self.0.get_or_init(|| read(&ui::openapi_text())).get(key)
    }
}

fn read(document: &[u8]) -> HashMap<String, Operation> {
    let document: Document = serde_json::from_slice(document).expect("the document has operations");
    let paths = document.paths.into_iter();
    paths
        .flat_map(|(path, methods)| methods.into_iter().map(move |(method, operation)| (key(&method, &path), operation)))
        .collect()
}

/// A method and a path without what its parts are called: `/apps/:param0` of a route is `/apps/{app}` of the document.
fn key(method: &str, path: &str) -> String {
    let parts = path.split('/').map(|part| match part.starts_with([':', '{']) {
        true => "{}",
        false => part,
    });
    format!("{} {}", method.to_lowercase(), parts.collect::<Vec<_>>().join("/"))
}

impl Operation {
    /// Its kind; `None` when only scopes for all kinds count.
    fn family(&self) -> Option<Family> {
        let is_several = SEVERAL.contains(&self.id.as_str()) || self.id == "session_show";
        self.tags.first().filter(|_| !is_several)?.to_lowercase().parse().ok()
    }
    fn is_for_all(&self) -> bool {
        self.security.is_empty() || OWN.contains(&self.id.as_str())
    }
}

/// Puts the question of the kind before each route.
pub(crate) fn bound(routes: Routes) -> Routes {
    let kinds = Arc::new(Kinds::default());
    let routes = routes.into_iter().map(|(path, methods)| {
        let wrap = |(method, inner): (Method, BoxEndpoint<'static>)| {
            let outer = asked(kinds.clone(), key(method.as_str(), &path), inner);
            (method, outer)
        };
        let methods: HashMap<_, _> = methods.into_iter().map(wrap).collect();
        (path, methods)
    });
    routes.collect()
}

fn asked(kinds: Arc<Kinds>, key: String, inner: BoxEndpoint<'static>) -> BoxEndpoint<'static> {
    let inner = Arc::new(inner);
    make(move |mut request: Request| {
        let narrowed = narrowed(&kinds, &key, &request);
        let inner = inner.clone();
        async move {
            if let Some(who) = narrowed? {
                request.set_data(Identity(Ok(who)));
            }
            inner.call(request).await
        }
    })
    .boxed()
}

/// Who asks, by what their token is for of these things; `None`: as they came. Fails with `Forbidden` for a token that has nothing here.
fn narrowed(kinds: &Kinds, key: &str, request: &Request) -> Answer<Option<Signed>> {
    let Ok(mut who) = Signed::of(request) else { return Ok(None) };
    if !who.actor.scopes.is_bound() {
        return Ok(None);
    }
    let operation = kinds.find(key);
    let about = operation.and_then(Operation::family);
    who.actor.about = about;
    who.known.actor.about = about;
    if !operation.is_some_and(Operation::is_for_all) {
        who.actor.sees_kind()?;
    }
    Ok(Some(who))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_operation_is_of_one_kind() {
        let operations = read(crate::document::made().as_bytes());
        let mut used = BTreeSet::new();
        for (key, operation) in &operations {
            if operation.security.is_empty() {
                continue;
            }
            assert_eq!(operation.tags.len(), 1, "{key}: its tag is its kind");
            let kind = operation.tags[0].to_lowercase().parse::<Family>();
            used.insert(kind.unwrap_or_else(|why| panic!("{key} ({}): {why}", operation.id)));
        }
        assert_eq!(used, BTreeSet::from(Family::ALL), "a kind without operations is no kind");
        for id in SEVERAL.iter().chain(&OWN) {
            assert!(operations.values().any(|operation| operation.id == *id), "{id} is gone");
        }
    }

    #[test]
    fn a_route_is_found_in_the_document() {
        assert_eq!(key("GET", "/apps/:param0/jobs/:param1"), key("get", "/apps/{app}/jobs/{job}"));
        assert_ne!(key("GET", "/domains/:param0"), key("GET", "/domains/explain"));
    }
}

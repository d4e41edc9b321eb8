//! The OpenAPI document, made from the handlers; `openapi.json` at the top of the repository is this, checked in.
//!
//! A release carries that file, and not what it was made with: [`Served`] keeps the handlers' descriptions out of the running panel, and the
//! linker leaves them out (poem-openapi's `meta` and `register` of every type are some megabytes).

use crate::{failures::Code, kinds, ui};
use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    LicenseObject, OpenApi, OpenApiService,
    registry::{MetaApi, Registry},
};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    marker::PhantomData,
};

const ABOUT: &str = "Everything the panel and the command line do, they do through this API.

**Signing in.** Browsers hold the cookie `__Host-serverkit_session`, good for 10 minutes and renewed with `POST /session/refresh`; unsafe requests then need `X-CSRF-Token`. Scripts send `Authorization: Bearer sk_…`. On the panel's machine the socket `panel.sock` in the data folder knows root and the server's own user.

**Failures** are RFC 9457 problems (`application/problem+json`); programs look at `code`, people at `detail`.

**Lists** come in parts: `items`, and `next` as the `cursor` of the part behind.

**Repeating.** With the header `Idempotency-Key` a POST that is sent again within 24 hours gets the first answer.

**Live data.** `GET /events` is a stream of server-sent events; the operations whose names end in `stream`, and `app_terminal`, are WebSockets.

Outside this document: `GET /health` and `GET /ready`, `GET /metrics` for Prometheus (with a token), and `POST /hooks/{key}`, the address of an app's webhook (`webhook_show`): what comes there is proven by its signature, at most 25 MiB, and answered with what was decided. A script's own body may hold `ref`, `commit`, `message`, `by` and `files`, or the forges' `before`, `after` and `commits`. A SAML provider knows two addresses more, named in its settings: the panel's metadata and where browsers bring answers. SCIM 2.0 is at `/scim/v2`, for the token of an identity provider and with SCIM's own errors, and an OpenID Connect provider tells `POST /oidc/{id}/logout` who signed out.";

/// Operations that are described but not served.
struct Described<T>(PhantomData<T>);

impl<T: OpenApi> OpenApi for Described<T> {
    fn meta() -> Vec<MetaApi> {
        T::meta()
    }
    fn register(registry: &mut Registry) {
        T::register(registry);
    }
    fn add_routes(self, _routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// Operations that are served but not described. poem-openapi would only look for an operation id that is there twice, which a test does.
pub(crate) struct Served<T>(pub T);

impl<T: OpenApi> OpenApi for Served<T> {
    fn meta() -> Vec<MetaApi> {
        Vec::new()
    }
    fn register(_registry: &mut Registry) {}
    fn add_routes(self, routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {
        let mut own = kinds::Routes::new();
        self.0.add_routes(&mut own);
        routes.extend(kinds::bound(own));
    }
}

pub(crate) fn service<T: OpenApi>(operations: T) -> OpenApiService<T, ()> {
    OpenApiService::new(operations, "serverkit", env!("CARGO_PKG_VERSION"))
        .description(ABOUT)
        .license(LicenseObject::new("MIT").url("https://opensource.org/license/mit"))
        .server("/api/v1")
}

/// The document as pretty JSON with a newline at its end: what a release carries, else what the handlers say.
pub fn document() -> String {
    pretty(&ui::openapi())
}

fn pretty(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(document).expect("a value is JSON");
    text.push('\n');
    text
}

/// The same, made from the handlers. Not for a release.
pub(crate) fn made() -> String {
    let spec = service(Described(PhantomData::<crate::Operations>)).spec();
    let mut document: Value = serde_json::from_str(&spec).expect("poem-openapi writes JSON");
    rename(&mut document);
    finish(&mut document);
    pretty(&document)
}

/// poem-openapi names `Page<App>` `Page_App`: here it is `AppPage`. A variant of a union, `Source_GitSource`, becomes `SourceGitSource`.
fn rename(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(name, value)| (schema_name(&name), value))
                .collect();
            fields.values_mut().for_each(rename);
        }
        Value::Array(items) => items.iter_mut().for_each(rename),
        Value::String(text) if text.starts_with("#/components/schemas/") => {
            let name = schema_name(&text["#/components/schemas/".len()..]);
            *text = format!("#/components/schemas/{name}");
        }
        _ => {}
    }
}

fn schema_name(name: &str) -> String {
    match name.split_once('_') {
        Some(("Page", item)) => format!("{item}Page"),
        Some((union, variant)) if name.starts_with(char::is_uppercase) && variant.starts_with(char::is_uppercase) => {
            format!("{union}{variant}")
        }
        _ => name.to_owned(),
    }
}

/// What poem-openapi does not say: which values may be null, that answers hold all their fields, `Idempotency-Key`.
fn finish(document: &mut Value) {
    let mut asked = BTreeSet::new();
    if let Some(paths) = document["paths"].as_object() {
        for operation in paths.values().filter_map(Value::as_object).flat_map(Map::values) {
            references(&operation["requestBody"], &document["components"]["schemas"], &mut asked);
        }
    }
    let schemas = document["components"]["schemas"].as_object_mut().expect("there are schemas");
    let kinds: Kinds = schemas
        .iter()
        .map(|(name, schema)| (name.clone(), schema["type"].clone()))
        .collect();
    for (name, schema) in schemas.iter_mut() {
        let is_answer = !asked.contains(name);
        finish_schema(name, schema, is_answer, &kinds);
    }
    schemas["Code"]["description"] = json!(Code::ALL.map(|code| format!("`{}`: {}", code.word(), code.meaning())).join("\n\n"));
    let paths = document["paths"].as_object_mut().expect("there are paths");
    for operations in paths.values_mut().filter_map(Value::as_object_mut) {
        for (method, operation) in operations.iter_mut() {
            finish_operation(method, operation);
        }
    }
}

/// The names of all schemas that `value` leads to.
fn references(value: &Value, schemas: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
                && found.insert(name.to_owned())
            {
                references(&schemas[name], schemas, found);
            }
            fields.values().for_each(|value| references(value, schemas, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, schemas, found)),
        _ => {}
    }
}

/// The `type` of each schema.
type Kinds = HashMap<String, Value>;

fn finish_schema(name: &str, schema: &mut Value, is_answer: bool, kinds: &Kinds) {
    let required: BTreeSet<String> = strings(&schema["required"]);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (property, value) in properties.iter_mut() {
            if name.ends_with("Series") {
                value["items"]["nullable"] = json!(true);
            } else if !required.contains(property) {
                *value = nullable(value.take(), kinds);
            }
            // The description stands beside the `allOf` too.
            if let Some(all) = value.get_mut("allOf").and_then(Value::as_array_mut) {
                all.retain(|part| part.get("$ref").is_some());
            }
        }
        // Requests with unknown fields are refused; answers have all their fields.
        match is_answer {
            true => schema["required"] = properties_of(schema),
            false => schema["additionalProperties"] = json!(false),
        }
    }
}

fn properties_of(schema: &Value) -> Value {
    schema["properties"]
        .as_object()
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

fn strings(value: &Value) -> BTreeSet<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// OpenAPI 3.0: nothing beside `$ref` counts, so it goes into an `allOf`; and `nullable` needs a `type` beside it.
fn nullable(mut schema: Value, kinds: &Kinds) -> Value {
    if schema.get("$ref").is_some() {
        schema = json!({ "allOf": [schema] });
    }
    let target = schema["allOf"][0]["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    if let Some(kind) = target.and_then(|name| kinds.get(name)) {
        schema["type"] = kind.clone();
    }
    schema["nullable"] = json!(true);
    schema
}

fn finish_operation(method: &str, operation: &mut Value) {
    let is_open = operation.get("security").is_none();
    if is_open {
        operation["security"] = json!([]);
    }
    // Who is not known yet has no answers kept.
    if method == "post" && !is_open {
        let parameter = json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "Any text of up to 255 letters. The same request with the same key within 24 hours gets the first answer instead of being done again.",
            "schema": { "type": "string", "maxLength": 255 },
        });
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(parameter),
            None => operation["parameters"] = json!([parameter]),
        }
    }
    if let Some(body) = operation.get_mut("requestBody") {
        plain_json(body);
    }
    if let Some(responses) = operation["responses"].as_object_mut() {
        for (status, response) in responses.iter_mut() {
            plain_json(response);
            if response["description"].as_str().is_none_or(str::is_empty) {
                response["description"] = json!(match status.as_str() {
                    "101" => "The connection becomes a WebSocket.",
                    "201" => "Made.",
                    "202" => "Begun; the record shows how it goes on.",
                    "204" => "Done.",
                    _ => "The answer.",
                });
            }
        }
    }
}

/// Generators know `application/json` best without its charset.
fn plain_json(holder: &mut Value) {
    if let Some(content) = holder.get_mut("content").and_then(Value::as_object_mut)
        && let Some(schema) = content.remove("application/json; charset=utf-8")
    {
        content.insert("application/json".to_owned(), schema);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `SERVERKIT_BLESS=1` writes it anew.
    #[test]
    fn openapi_json_is_what_the_handlers_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.json");
        if std::env::var_os("SERVERKIT_BLESS").is_some() {
            std::fs::write(&path, made()).expect("the repository is writable");
        }
        let kept = std::fs::read_to_string(&path).expect("openapi.json is checked in");
        assert!(kept == made(), "openapi.json is old: run this test with SERVERKIT_BLESS=1");
    }

    /// Everything else needs somebody who is signed in.
    #[test]
    fn few_operations_are_open() {
        let document: Value = serde_json::from_str(&document()).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let mut open: Vec<&str> = paths
            .values()
            .flat_map(|path| path.as_object().expect("operations").values())
            .filter(|operation| operation["security"].as_array().is_none_or(Vec::is_empty))
            .map(|operation| operation["operationId"].as_str().expect("an id"))
            .collect();
        open.sort_unstable();
        let expected = [
            "catalog_schema",
            "ci_token_create",
            "invitation_accept",
            "invitation_look",
            "invitation_mail",
            "passkey_ask",
            "password_estimate",
            "password_forgotten",
            "password_reset",
            "provider_offers",
            "session_begin_by_oidc",
            "session_begin_by_saml",
            "session_create",
            "session_create_by_ldap",
            "session_create_by_oidc",
            "session_create_by_passkey",
            "session_create_by_saml",
            "session_refresh",
            "setup_claim",
            "setup_show",
        ];
        assert_eq!(open, expected);
    }

    #[test]
    fn operation_ids_are_unique() {
        let document: Value = serde_json::from_str(&document()).expect("JSON");
        let mut seen = BTreeSet::new();
        for path in document["paths"].as_object().expect("paths").values() {
            for operation in path.as_object().expect("operations").values() {
                assert!(seen.insert(operation["operationId"].as_str().expect("an id").to_owned()));
            }
        }
    }
}

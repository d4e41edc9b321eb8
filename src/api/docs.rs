//! The documentation at `/api/docs`: plain pages made from the OpenAPI document. They need no script and no network.
//!
//! `build.rs` reads this file too: a release embeds the finished page.

use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt::Write};

pub(crate) const STYLE: &str = include_str!("docs.css");

const BRAND: &str = r#"<a class="brand" href="/"><img src="/icon.svg" width="24" height="24" alt="">serverkit</a>"#;

/// The whole reference on one page.
pub(crate) fn reference(document: &Value) -> String {
    let mut body = String::new();
    let info = &document["info"];
    let _ = write!(
        body,
        "<h1>The API of serverkit <small>{}</small></h1>{}<p><a href=\"/api/openapi.json\">openapi.json</a> · <a href=\"/api/docs/errors\">Failures</a></p>",
        escape(text(&info["version"])),
        paragraphs(text(&info["description"])),
    );
    let base = text(&document["servers"][0]["url"]);
    for tag in list(&document["tags"]) {
        let name = text(&tag["name"]);
        let _ = write!(
            body,
            "<h2 id=\"{0}\">{0}</h2>{1}",
            escape(name),
            paragraphs(text(&tag["description"]))
        );
        for (path, method, operation) in operations(document) {
            if list(&operation["tags"]).iter().any(|tag| tag == name) {
                write_operation(&mut body, document, &format!("{base}{path}"), method, operation);
            }
        }
    }
    let _ = write!(body, "<h2 id=\"schemas\">Shapes</h2>");
    for (name, schema) in fields(&document["components"]["schemas"]) {
        write_schema(&mut body, name, schema);
    }
    let links: String = list(&document["tags"])
        .iter()
        .map(|tag| format!("<a href=\"#{0}\">{0}</a>", escape(text(&tag["name"]))))
        .collect();
    page(
        "API",
        &format!("<nav>{BRAND}{links}<a href=\"#schemas\">Shapes</a></nav><main>{body}</main>"),
    )
}

/// What each failure's code means: its word, its title, its meaning.
pub(crate) fn errors<'a>(codes: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> String {
    let mut body = String::from("<h1>Failures</h1><p>Every failure is a problem by RFC 9457 whose <code>type</code> leads here.</p><dl>");
    for (word, title, meaning) in codes {
        let _ = write!(
            body,
            "<dt id=\"{word}\"><code>{word}</code> {}</dt><dd>{}</dd>",
            escape(title),
            prose(meaning)
        );
    }
    page(
        "Failures",
        &format!("<nav>{BRAND}<a href=\"/api/docs\">API</a></nav><main>{body}</dl></main>"),
    )
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} · serverkit</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" href=\"/icon.svg\">\
         <link rel=\"stylesheet\" href=\"/styles/tokens.css\"><link rel=\"stylesheet\" href=\"/api/docs/style.css\"></head>\
         <body>{body}</body></html>"
    )
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    fields(&document["paths"]).flat_map(|(path, methods)| fields(methods).map(move |(method, operation)| (path, method, operation)))
}

fn write_operation(body: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let id = text(&operation["operationId"]);
    let is_open = list(&operation["security"]).is_empty();
    let _ = write!(
        body,
        "<section id=\"{id}\"><h3><a href=\"#{id}\">{}</a></h3><p class=\"call\"><b class=\"{method}\">{}</b> <code>{}</code>{}</p>{}",
        escape(text(&operation["summary"])),
        method.to_uppercase(),
        escape(path),
        if is_open { " <em>open</em>" } else { "" },
        paragraphs(text(&operation["description"])),
    );
    let parameters: Vec<&Value> = list(&operation["parameters"]).iter().collect();
    if !parameters.is_empty() {
        body.push_str("<table><tbody>");
        for parameter in parameters {
            let needed = if parameter["required"] == true { "" } else { "?" };
            let _ = write!(
                body,
                "<tr><th><code>{}{needed}</code></th><td>{} in {}</td><td>{}</td></tr>",
                escape(text(&parameter["name"])),
                kind(&parameter["schema"]),
                escape(text(&parameter["in"])),
                prose(text(&parameter["description"])),
            );
        }
        body.push_str("</tbody></table>");
    }
    if let Some(schema) = content(&operation["requestBody"]) {
        let _ = write!(body, "<h4>Body: {}</h4>", kind(schema));
        write_properties(body, resolve(document, schema));
    }
    for (status, response) in fields(&operation["responses"]) {
        if status.starts_with(['1', '2']) {
            let what = content(response).map(kind).unwrap_or_default();
            let _ = write!(
                body,
                "<h4>{status}: {}</h4>",
                if what.is_empty() {
                    prose(text(&response["description"]))
                } else {
                    what
                }
            );
        }
    }
    let failures: BTreeSet<&str> = fields(&operation["responses"])
        .map(|(status, _)| status)
        .filter(|status| status.starts_with(['4', '5']))
        .collect();
    let failures: Vec<&str> = failures.into_iter().collect();
    let _ = write!(
        body,
        "<p class=\"failures\">Failures: {} (<a href=\"#schema-Problem\">Problem</a>)</p></section>",
        failures.join(", ")
    );
}

fn write_schema(body: &mut String, name: &str, schema: &Value) {
    let _ = write!(
        body,
        "<section id=\"schema-{0}\"><h3><a href=\"#schema-{0}\">{0}</a></h3>{1}",
        escape(name),
        paragraphs(text(&schema["description"]))
    );
    let words: Vec<String> = list(&schema["enum"])
        .iter()
        .map(|word| format!("<code>{}</code>", escape(text(word))))
        .collect();
    let parts: Vec<String> = list(&schema["oneOf"]).iter().chain(list(&schema["allOf"])).map(kind).collect();
    if !words.is_empty() {
        let _ = write!(body, "<p>One of {}.</p>", words.join(" "));
    }
    if !parts.is_empty() {
        let joint = if schema["oneOf"].is_array() { " or " } else { " with " };
        let _ = write!(body, "<p>{}</p>", parts.join(joint));
    }
    write_properties(body, schema);
    body.push_str("</section>");
}

fn write_properties(body: &mut String, schema: &Value) {
    let required: Vec<&str> = list(&schema["required"]).iter().map(text).collect();
    let mut properties = fields(&schema["properties"]).peekable();
    if properties.peek().is_none() {
        return;
    }
    body.push_str("<table><tbody>");
    for (name, property) in properties {
        let _ = write!(
            body,
            "<tr><th><code>{}{}</code></th><td>{}{}</td><td>{}</td></tr>",
            escape(name),
            if required.contains(&name) { "" } else { "?" },
            kind(property),
            if property["nullable"] == true { " or null" } else { "" },
            prose(text(&property["description"])),
        );
    }
    body.push_str("</tbody></table>");
}

/// What a schema is, in a word, with a link where it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escape(name));
    }
    if let Some(part) = list(&schema["allOf"]).first() {
        return kind(part);
    }
    match (text(&schema["type"]), text(&schema["format"])) {
        ("array", _) => format!("list of {}", kind(&schema["items"])),
        ("string", "date-time") => "time".to_owned(),
        ("string", _) => match list(&schema["enum"]).first() {
            Some(word) => format!("<code>{}</code>", escape(text(word))),
            None => "text".to_owned(),
        },
        ("boolean", _) => "yes or no".to_owned(),
        ("object", _) => "object".to_owned(),
        ("", _) => "anything".to_owned(),
        (kind, _) => escape(kind),
    }
}

fn content(holder: &Value) -> Option<&Value> {
    fields(&holder["content"]).next().map(|(_, media)| &media["schema"])
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        Some(name) => &document["components"]["schemas"][name],
        None => schema,
    }
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flat_map(Map::iter)
        .map(|(name, value)| (name.as_str(), value))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn paragraphs(text: &str) -> String {
    let one = |part: &str| format!("<p>{}</p>", prose(part));
    text.split("\n\n").filter(|part| !part.trim().is_empty()).map(one).collect()
}

/// Escaped, with `code` and **bold**.
fn prose(text: &str) -> String {
    let text = escape(text);
    let code: String = alternate(&text, "`", "<code>", "</code>");
    alternate(&code, "**", "<strong>", "</strong>")
}

fn alternate(text: &str, mark: &str, open: &str, close: &str) -> String {
    let mut parts = text.split(mark);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        result.push_str(if index % 2 == 0 { open } else { close });
        result.push_str(part);
    }
    result
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_names_every_operation_and_shape() {
        let document: Value = serde_json::from_str(&crate::document()).expect("the document is JSON");
        let page = reference(&document);
        for (_, _, operation) in operations(&document) {
            let id = text(&operation["operationId"]);
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
        for (name, _) in fields(&document["components"]["schemas"]) {
            assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
        }
        assert!(!page.contains("<script"));
    }

    #[test]
    fn prose_is_escaped() {
        assert_eq!(prose("**a** `<b>` & c"), "<strong>a</strong> <code>&lt;b&gt;</code> &amp; c");
    }
}

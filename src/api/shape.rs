//! Why a body does not have its shape, field by field. poem-openapi names types and quotes values; people want to know
//! which field, and the value may be secret. So what it refused is looked at again, by the document's schemas.

use crate::{failures::FieldError, ui};
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// The schemas of the document: read when the first body is refused, since most panels never need them.
#[derive(Default)]
pub(crate) struct Schemas(OnceLock<Value>);

impl Schemas {
    pub fn get(&self) -> &Value {
        self.0.get_or_init(|| ui::openapi()["components"]["schemas"].take())
    }
}

/// What is wrong with `value` by the one of the document's schemas with this name; empty when nothing is.
pub(crate) fn faults(schemas: &Value, name: &str, value: &Value) -> Vec<FieldError> {
    let mut faults = Faults {
        schemas,
        found: Vec::new(),
    };
    faults.look(&faults.schemas[name], value, String::new());
    faults.found
}

struct Faults<'a> {
    schemas: &'a Value,
    found: Vec<FieldError>,
}

impl<'a> Faults<'a> {
    fn look(&mut self, schema: &'a Value, value: &Value, place: String) {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return self.look(&self.schemas[name], value, place);
        }
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        if let Some(part) = schema["allOf"].get(0) {
            return self.look(part, value, place);
        }
        match (schema["type"].as_str(), value) {
            (Some("object"), Value::Object(fields)) => self.fields(schema, fields, &place),
            (Some("array"), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.look(&schema["items"], item, format!("{place}[{index}]"));
                }
            }
            (Some("string"), Value::String(text)) => self.word(schema, text, place),
            (Some("integer"), Value::Number(number)) => self.number(schema, number, place),
            (Some("boolean"), Value::Bool(_)) | (Some("number"), Value::Number(_)) | (None, _) => {}
            (Some(kind), _) => self.add(place, kind_words(kind)),
        }
    }

    fn fields(&mut self, schema: &'a Value, fields: &Map<String, Value>, place: &str) {
        let path = |name: &str| {
            if place.is_empty() {
                name.to_owned()
            } else {
                format!("{place}.{name}")
            }
        };
        let required: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for name in required {
            if fields
                .get(name)
                .is_none_or(|value| value.is_null() && schema["properties"][name]["nullable"] != true)
            {
                self.add(path(name), "is missing".to_owned());
            }
        }
        for (name, value) in fields {
            match schema["properties"].get(name) {
                Some(_) if value.is_null() && self.found.iter().any(|fault| fault.field == path(name)) => {}
                Some(property) => self.look(property, value, path(name)),
                None if schema["additionalProperties"] == false => self.add(path(name), "is not a known field".to_owned()),
                None => {}
            }
        }
    }

    fn word(&mut self, schema: &Value, text: &str, place: String) {
        let words: Vec<&str> = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !words.is_empty() && !words.contains(&text) {
            self.add(place, format!("must be one of {}", words.join(", ")));
        }
    }

    fn number(&mut self, schema: &Value, number: &serde_json::Number, place: String) {
        let most = match schema["format"].as_str() {
            Some("uint16") => u64::from(u16::MAX),
            Some("uint32") => u64::from(u32::MAX),
            _ => i64::MAX as u64,
        };
        if number.as_u64().is_none_or(|number| number > most) {
            self.add(place, format!("must be a whole number from 0 to {most}"));
        }
    }

    fn add(&mut self, field: String, message: String) {
        self.found.push(FieldError { field, message });
    }
}

fn kind_words(kind: &str) -> String {
    let word = match kind {
        "object" => "an object",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number",
        "boolean" => "true or false",
        kind => kind,
    };
    format!("must be {word}")
}

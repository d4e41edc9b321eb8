//! Lists come in parts; commands show them whole.

use crate::failure::{Failure, Result};
use client::Answer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Items in one part: the most that the API gives.
pub const LIMIT: Option<u32> = Some(500);

/// A whole list.
pub struct Listed<T> {
    pub items: Vec<T>,
    /// `{"items": […], "next": null}` as the API has it.
    pub json: Value,
}

/// Asks for part after part until the list is whole. `part` gets the cursor.
pub async fn all<T: DeserializeOwned, P>(part: impl AsyncFn(Option<&str>) -> Result<Answer<P>, client::Failure>) -> Result<Listed<T>> {
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut answer = part(cursor.as_deref()).await?.json;
        if let Some(Value::Array(more)) = answer.get_mut("items").map(Value::take) {
            items.extend(more);
        }
        let next = answer["next"].as_str().map(str::to_owned);
        if next.is_none() || next == cursor {
            break;
        }
        cursor = next;
    }
    listed(items)
}

fn listed<T: DeserializeOwned>(items: Vec<Value>) -> Result<Listed<T>> {
    let json = json!({ "items": items, "next": null });
    let items = serde_json::from_value(Value::Array(items)).map_err(|error| Failure::from(client::Failure::Odd(error.to_string())))?;
    Ok(Listed { items, json })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn parts_become_one_list() {
        let parts = async |cursor: Option<&str>| {
            let json = match cursor {
                None => json!({"items": ["a", "b"], "next": "x"}),
                Some("x") => json!({"items": ["c"], "next": null}),
                Some(other) => panic!("{other}"),
            };
            Ok(Answer {
                value: (),
                json,
                headers: Default::default(),
            })
        };
        let list = all::<String, ()>(parts).await.unwrap();
        assert_eq!(list.items, ["a", "b", "c"]);
        assert_eq!(list.json, json!({"items": ["a", "b", "c"], "next": null}));
    }
}

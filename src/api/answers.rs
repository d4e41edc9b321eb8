//! Shapes that answers share: lists by page, names with ids, and what creating, accepting and removing answer.

use crate::failures::{Answer, Failure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use poem_openapi::{
    ApiResponse, Object,
    payload::Json,
    types::{MaybeUndefined, ParseFromJSON, ToJSON, Type},
};
use std::fmt::Display;
use time::OffsetDateTime;
use types::Time;

/// A part of a list.
#[derive(Debug, Object)]
pub struct Page<T: ParseFromJSON + ToJSON + Type> {
    pub items: Vec<T>,
    /// Give it as `cursor` for the part behind this one; null at the end.
    pub next: Option<String>,
}

pub const LIMIT: u32 = 100;
pub const LIMIT_MAX: u32 = 500;

/// Cuts the part that was asked for out of a whole list. The cursor holds the key of the last item seen and its
/// place, so that a list that changes meanwhile goes on near where it was.
pub fn page<T, U>(all: Vec<T>, cursor: Option<&str>, limit: Option<u32>, key: impl Fn(&T) -> String) -> Answer<Json<Page<U>>>
where
    U: ParseFromJSON + ToJSON + Type + From<T>,
{
    let limit = limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Failure::invalid("limit", format!("must be 1 to {LIMIT_MAX}")));
    }
    let start = match cursor {
        None => 0,
        Some(cursor) => {
            let (place, last) = read_cursor(cursor)?;
            match all.iter().position(|item| key(item) == last) {
                Some(found) => found + 1,
                // It went meanwhile: what followed it has moved up by one.
                None => place.saturating_sub(1).min(all.len()),
            }
        }
    };
    let end = all.len().min(start + limit as usize);
    let next = (end < all.len()).then(|| BASE64_URL_SAFE_NO_PAD.encode(format!("{end}:{}", key(&all[end - 1]))));
    let items = all.into_iter().skip(start).take(end - start).map(U::from).collect();
    Ok(Json(Page { items, next }))
}

fn read_cursor(cursor: &str) -> Answer<(usize, String)> {
    let wrong = || Failure::invalid("cursor", "must be the `next` of an answer before");
    let text = BASE64_URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(wrong)?;
    let (place, key) = text.split_once(':').ok_or_else(wrong)?;
    Ok((place.parse().map_err(|_| wrong())?, key.to_owned()))
}

/// A moment as the wire writes it.
pub fn moment(time: Time) -> OffsetDateTime {
    time.to_utc()
}

/// Something else, by id and name.
#[derive(Debug, Clone, Object)]
pub struct Named {
    pub id: String,
    pub name: String,
}

impl Named {
    pub fn new(id: impl Display, name: impl Display) -> Named {
        Named {
            id: id.to_string(),
            name: name.to_string(),
        }
    }
}

/// How many, as the wire writes it.
pub fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// 201 with the new record.
#[derive(ApiResponse)]
pub enum Created<T: ToJSON + Type> {
    /// Made.
    #[oai(status = 201)]
    Created(Json<T>),
}

/// 202 with the record that shows how it goes on.
#[derive(ApiResponse)]
pub enum Accepted<T: ToJSON + Type> {
    /// Begun; the record shows how it goes on.
    #[oai(status = 202)]
    Accepted(Json<T>),
}

/// 204.
#[derive(ApiResponse)]
pub enum Done {
    /// Done.
    #[oai(status = 204)]
    Done,
}

pub fn created<T: ToJSON + Type>(value: impl Into<T>) -> Created<T> {
    Created::Created(Json(value.into()))
}

pub fn accepted<T: ToJSON + Type>(value: impl Into<T>) -> Accepted<T> {
    Accepted::Accepted(Json(value.into()))
}

/// What a patch says of one field. Left out: stays. Null: cleared.
pub fn wish<T>(value: MaybeUndefined<T>) -> Option<Option<T>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cut(all: &[&str], cursor: Option<&str>, limit: u32) -> (Vec<String>, Option<String>) {
        let all = all.iter().map(|text| (*text).to_owned()).collect();
        let Json(page): Json<Page<String>> = page(all, cursor, Some(limit), |text: &String| text.clone()).unwrap();
        (page.items, page.next)
    }

    #[test]
    fn pages_cover_a_list_once() {
        let all = ["a", "b", "c", "d", "e"];
        let (first, next) = cut(&all, None, 2);
        let (second, next) = cut(&all, next.as_deref(), 2);
        let (third, end) = cut(&all, next.as_deref(), 2);
        assert_eq!([first, second, third].concat(), all);
        assert_eq!(end, None);
    }

    #[test]
    fn a_page_goes_on_after_its_last_item_went() {
        let (_, next) = cut(&["a", "b", "c", "d"], None, 2);
        assert_eq!(cut(&["a", "c", "d"], next.as_deref(), 2).0, ["c", "d"]);
        assert_eq!(cut(&["0", "a", "b", "c"], next.as_deref(), 2).0, ["c"]);
        assert_eq!(cut(&[], next.as_deref(), 2), (vec![], None));
    }

    #[test]
    fn wrong_limits_and_cursors_are_refused() {
        for (cursor, limit) in [(None, 0), (None, 501), (Some("%%"), 10), (Some("YWJj"), 10)] {
            let answer: Answer<Json<Page<String>>> = page(vec!["a".to_owned()], cursor, Some(limit), |text: &String| text.clone());
            assert_eq!(answer.err().unwrap().status().as_u16(), 422);
        }
    }
}

//! Pages: a query over entries, and the cursor that goes on where a page ended.
//!
//! A cursor is a place in an order, not a number of entries: whatever is written meanwhile, what comes after it is what
//! comes after it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{
    filter::Filter,
    json::Json,
    sort::{Rank, Sort},
};
use crate::{
    error::{Error, Result},
    key::Key,
};

/// Which entries, in which order, and which part of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Which entries.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// At most so many; 0 is none.
    pub limit: Option<usize>,
    /// Without the first so many, counted after the cursor if there is one.
    pub offset: usize,
    /// Only what comes after this place.
    pub after: Option<Cursor>,
}

impl Query {
    /// What `filter` lets through, in the order of keys.
    pub fn new(filter: Filter) -> Self {
        Self { filter, sort: Sort::by_key(), limit: None, offset: 0, after: None }
    }

    /// In this order.
    #[must_use]
    pub fn sort(mut self, sort: Sort) -> Self {
        self.sort = sort;
        self
    }

    /// At most so many; 0 is none.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Without the first so many.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Only what comes after the page that ended with `cursor`; the sort has to be the same.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// The place to go on after, if one is given.
    ///
    /// # Errors
    /// `Invalid` when the cursor comes from a query with another sort.
    pub(crate) fn start(&self) -> Result<Option<Rank>> {
        self.after.as_ref().map(|cursor| cursor.rank(&self.sort)).transpose()
    }
}

impl From<Filter> for Query {
    fn from(filter: Filter) -> Self {
        Self::new(filter)
    }
}

/// The place where a page ended, as opaque text.
///
/// It holds the key and the values sorted by of the last entry, so it says no more than the page did; and whoever makes one
/// up gets a page that begins elsewhere, and no more than the handle sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The sort that it is a place in.
    sort: String,
    key: Key,
    values: Vec<Option<Json>>,
}

/// The first byte of every cursor, so that its form can change.
const FORM: u8 = 1;

impl Cursor {
    /// The longest cursor that is read, in bytes.
    pub const MAX_BYTES: usize = 16 * 1024 * 1024;

    pub(crate) fn new(sort: &Sort, rank: &Rank) -> Self {
        let values = rank.slots.iter().map(|slot| slot.value().cloned()).collect();
        Self { sort: sort.to_string(), key: rank.key.clone(), values }
    }

    fn rank(&self, sort: &Sort) -> Result<Rank> {
        if self.sort != sort.to_string() || self.values.len() != sort.parts().len() {
            let message = "the cursor belongs to another sort: what goes on has to be sorted as what it goes on from";
            return Err(Error::invalid(message));
        }
        Ok(sort.place(self.values.iter().cloned(), self.key.clone()))
    }

    /// `None` when the bytes are no cursor.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let Json::Array(parts) = Json::parse(bytes.strip_prefix(&[FORM])?).ok()? else { return None };
        let [Json::Text(sort), Json::Text(key), Json::Array(values)] = <[Json; 3]>::try_from(parts).ok()? else {
            return None;
        };
        let value = |value: Json| match value {
            Json::Null => Some(None),
            Json::Text(text) => Json::parse(text.as_bytes()).ok().map(Some),
            _ => None,
        };
        let values = values.into_iter().map(value).collect::<Option<Vec<_>>>()?;
        Some(Self { sort, key: Key::new(key).ok()?, values })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each value as text of its own: it may be as deep as JSON gets.
        let value = |value: &Option<Json>| value.as_ref().map_or(Json::Null, |value| Json::Text(value.to_string()));
        let values = Json::Array(self.values.iter().map(value).collect());
        let parts = Json::Array(vec![Json::Text(self.sort.clone()), Json::Text(self.key.as_str().to_owned()), values]);
        let mut bytes = vec![FORM];
        bytes.extend_from_slice(parts.to_string().as_bytes());
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > Self::MAX_BYTES {
            return Err(Error::limit(format!("a cursor of {} bytes is too long: at most {}", text.len(), Self::MAX_BYTES)));
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        bytes.and_then(|bytes| Self::decode(&bytes)).ok_or_else(|| {
            Error::invalid("this is no cursor: a cursor is the text that came with the page before, unchanged")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sort::Slot, *};
    use crate::error::ErrorKind;

    fn cursor() -> (Sort, Cursor) {
        let sort = Sort::by_key().descending("age").and_then(|sort| sort.ascending("\"a b\"")).expect("a sort");
        let slots = vec![Slot::of(Json::parse(b"[1.5,{\"a\":null}]").ok(), true), Slot::Missing];
        let cursor = Cursor::new(&sort, &Rank { slots, key: Key::new("k\u{1f980}").expect("valid") });
        (sort, cursor)
    }

    #[test]
    fn a_cursor_reads_back() {
        let (sort, cursor) = cursor();
        let read: Cursor = cursor.to_string().parse().expect("a cursor");
        assert_eq!(read, cursor);
        assert_eq!(read.rank(&sort).map(|rank| Cursor::new(&sort, &rank)).ok(), Some(cursor));
    }

    #[test]
    fn a_bad_cursor_is_refused() {
        let (sort, cursor) = cursor();
        let shorter = Sort::by_key().descending("age").expect("a sort");
        let upwards = Sort::by_key().ascending("age").and_then(|sort| sort.ascending("\"a b\"")).expect("a sort");
        for other in [shorter, upwards] {
            assert_eq!(cursor.rank(&other).map_err(|error| error.kind()), Err(ErrorKind::Invalid), "{other}");
        }
        assert!(cursor.rank(&sort).is_ok());

        let text = cursor.to_string();
        let made_up = |json: &str| BASE64_URL_SAFE_NO_PAD.encode([&[FORM], json.as_bytes()].concat());
        let cut = text[..text.len() - 2].to_owned();
        for bad in [
            String::new(),
            "a".into(),
            format!("{text}="),
            format!(" {text}"),
            cut,
            made_up("[]"),
            made_up(r#"["","",[]]"#),
            made_up(r#"["","k",[1]]"#),
            made_up(r#"["","k",["]"]]"#),
            made_up(r#"["","k",[],0]"#),
            made_up(&"[".repeat(100_000)),
        ] {
            let read = bad.parse::<Cursor>().map_err(|error| error.kind());
            assert_eq!(read, Err(ErrorKind::Invalid), "{bad}");
        }
    }
}

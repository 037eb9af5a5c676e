//! A value that a path reaches, looked at where it stands: scalars at once, arrays and objects only when they have to be.

use std::{borrow::Cow, cmp::Ordering};

use super::{
    evaluate::visible,
    json::Json,
    number::Number,
    path::{Path, Root},
    scan,
};
use crate::entry::Entry;

/// A value, as far as it was looked at.
#[derive(Debug)]
pub(crate) enum Sight<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    /// The text of an array.
    Array(&'a [u8]),
    /// The text of an object.
    Object(&'a [u8]),
}

/// Shows `visit` everything that `path` reaches in `entry`, in order, until it answers true. Whether it did.
pub(crate) fn each<'a>(entry: &'a Entry, path: &Path, visit: &mut dyn FnMut(Sight<'a>) -> bool) -> bool {
    let text = match path.root() {
        Root::Key => return visit(Sight::Text(Cow::Borrowed(entry.address.key.as_str()))),
        Root::Version => return visit(Sight::Number(entry.version.get().into())),
        Root::Created => return visit(Sight::Text(Cow::Owned(entry.created_at.to_string()))),
        Root::Updated => return visit(Sight::Text(Cow::Owned(entry.updated_at.to_string()))),
        Root::Metadata => Some(entry.metadata.as_str().as_bytes()),
        Root::Value => visible(&entry.value),
    };
    text.is_some_and(|text| scan::reach(text, path.steps(), &mut |raw| Sight::of(raw).is_some_and(&mut *visit)))
}

/// Shows `visit` every text at and below what `path` reaches in `entry`, in order.
pub(crate) fn texts(entry: &Entry, path: &Path, visit: &mut dyn FnMut(&str)) {
    each(entry, path, &mut |sight| {
        match sight {
            Sight::Text(text) => visit(&text),
            Sight::Array(raw) | Sight::Object(raw) => scan::texts(raw, &mut |inside| {
                if let Some(text) = scan::unescape(inside) {
                    visit(&text);
                }
            }),
            Sight::Null | Sight::Bool(_) | Sight::Number(_) => {}
        }
        false
    });
}

impl<'a> Sight<'a> {
    /// The value that `raw` is the text of; `None` where it was damaged.
    pub(super) fn of(raw: &'a [u8]) -> Option<Self> {
        Some(match raw.first()? {
            b'"' => Self::Text(scan::unescape(raw.get(1..raw.len() - 1)?)?),
            b'[' => Self::Array(raw),
            b'{' => Self::Object(raw),
            b'n' => Self::Null,
            b't' => Self::Bool(true),
            b'f' => Self::Bool(false),
            _ => Self::Number(Number::parse(std::str::from_utf8(raw).ok()?)?),
        })
    }

    /// The value as a tree; `None` where it was damaged.
    pub(crate) fn read(self) -> Option<Json> {
        Some(match self {
            Self::Null => Json::Null,
            Self::Bool(bool) => Json::Bool(bool),
            Self::Number(number) => Json::Number(number),
            Self::Text(text) => Json::Text(text.into_owned()),
            Self::Array(raw) | Self::Object(raw) => Json::read(raw)?,
        })
    }

    /// Whether it is the same value as `other`; nothing nested is read unless both are.
    pub(super) fn is(&self, other: &Json) -> bool {
        match (self, other) {
            (Self::Null, Json::Null) => true,
            (Self::Bool(value), Json::Bool(other)) => value == other,
            (Self::Number(value), Json::Number(other)) => value == other,
            (Self::Text(value), Json::Text(other)) => value == other,
            (Self::Array(raw), Json::Array(_)) | (Self::Object(raw), Json::Object(_)) => {
                Json::read(raw).is_some_and(|value| value == *other)
            }
            _ => false,
        }
    }

    /// How it compares with `other`, where one can be larger than the other.
    pub(super) fn order(&self, other: &Json) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(value), Json::Number(other)) => Some(value.cmp(other)),
            (Self::Text(value), Json::Text(other)) => Some((**value).cmp(other)),
            _ => None,
        }
    }

    /// Whether it is among `others`, which are sorted.
    pub(super) fn is_among(&self, others: &[Json]) -> bool {
        let compare = |other: &Json| match (self, other) {
            (Self::Number(value), Json::Number(other)) => other.cmp(value),
            (Self::Text(value), Json::Text(other)) => (**other).cmp(value),
            (Self::Null, Json::Null) => Ordering::Equal,
            (Self::Bool(value), Json::Bool(other)) => other.cmp(value),
            _ => rank(other).cmp(&self.rank()),
        };
        match self {
            Self::Array(raw) | Self::Object(raw) => {
                Json::read(raw).is_some_and(|value| others.binary_search(&value).is_ok())
            }
            _ => others.binary_search_by(compare).is_ok(),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
        }
    }
}

fn rank(json: &Json) -> u8 {
    match json {
        Json::Null => 0,
        Json::Bool(_) => 1,
        Json::Number(_) => 2,
        Json::Text(_) => 3,
        Json::Array(_) => 4,
        Json::Object(_) => 5,
    }
}

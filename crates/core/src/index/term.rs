//! Terms: values as bytes whose order is the order of the values.
//!
//! | value | bytes |
//! | --- | --- |
//! | null, false, true | `10`, `20`, `21` |
//! | number | `30`, the nearest f64 in eight bytes that sort, and in two bytes how far the number is from it |
//! | text | `40`, its bytes, `00`; a NUL in it is `00 ff` |
//! | array | `50`, its elements, `00` |
//! | object | `60`, of each field in the order of names the name as a text and the value, `00` |
//! | missing | `f0` |
//!
//! Each of them ends by itself, so the terms of several paths are just written one after the other.

use std::collections::BTreeSet;

use tinyvec::TinyVec;

use super::Index;
use crate::{
    entry::Entry,
    error::{Error, Result},
    query::{Json, Number, Path, Sight, each},
};

pub(super) const NULL: u8 = 0x10;
const FALSE: u8 = 0x20;
const TRUE: u8 = 0x21;
pub(super) const NUMBER: u8 = 0x30;
pub(super) const TEXT: u8 = 0x40;
const ARRAY: u8 = 0x50;
const OBJECT: u8 = 0x60;
pub(super) const MISSING: u8 = 0xf0;
/// Below everything that a value begins with.
const END: u8 = 0x00;
/// Above it.
pub(super) const NUL: u8 = 0xff;

/// What an entry has at the paths of an index, as bytes in the order of the values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(TinyVec<[u8; Self::BYTES_INSIDE]>);

impl Term {
    /// The longest term, in bytes.
    pub const BYTES_MAX: usize = 1024;

    /// Terms are made by the row; those of numbers and short texts need no memory of their own.
    const BYTES_INSIDE: usize = 22;

    /// The term that was stored as `bytes`.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self(TinyVec::from(bytes.as_ref()))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a longer one may have been cut to it.
    pub fn is_cut(&self) -> bool {
        self.0.len() == Self::BYTES_MAX
    }

    pub(super) fn cut(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(Self::BYTES_MAX);
        Self::from_bytes(bytes)
    }
}

/// The terms of `entry` in `index`.
pub(super) fn terms(index: &Index, entry: &Entry) -> Result<Vec<Term>> {
    // What several paths reach stands side by side; that of the one with `[]` is one of several.
    let mut terms = BTreeSet::from([Vec::new()]);
    for path in index.paths() {
        let parts = parts(path, entry);
        let joined = |term: &[u8], part: &[u8]| {
            // A long value times many others would be very much; what is cut anyway is cut at once.
            let mut bytes = [term, part].concat();
            bytes.truncate(Term::BYTES_MAX);
            bytes
        };
        terms = terms.iter().flat_map(|term| parts.iter().map(move |part| joined(term, part))).collect();
        if terms.len() > Index::TERMS_MAX {
            let (key, most) = (&entry.address, Index::TERMS_MAX);
            let message = format!("the key {key} has more than {most} different values for the {index:#}");
            return Err(Error::limit(message));
        }
    }
    Ok(terms.into_iter().map(Term::cut).collect())
}

/// Whether `terms` are of an `entry` that a unique `index` can tell from others.
pub(super) fn are_whole(index: &Index, entry: &Entry, terms: &[Term]) -> Result<()> {
    if !index.is_unique() || !terms.iter().any(Term::is_cut) {
        return Ok(());
    }
    let key = &entry.address;
    let message = format!("the key {key} has a value that is too long for the {index:#}, which has to tell them apart");
    Err(Error::limit(message))
}

/// Whether something is missing in a term of `index`; what is, is not compared for uniqueness.
pub(super) fn is_partial(index: &Index, term: &Term) -> bool {
    let mut rest = term.as_bytes();
    index.paths().iter().any(|_| {
        let missing = rest.first() == Some(&MISSING);
        rest = skip(rest);
        missing
    })
}

/// The first value of `bytes`, and what stands behind it.
pub(super) fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len() - skip(bytes).len())
}

/// What stands behind the first value of `bytes`; where that was cut, nothing.
fn skip(bytes: &[u8]) -> &[u8] {
    let Some((tag, mut rest)) = bytes.split_first() else { return bytes };
    match *tag {
        NUMBER => rest.get(10..).unwrap_or_default(),
        TEXT => {
            let ends = |at: &usize| rest[*at] == END && rest.get(at + 1) != Some(&NUL);
            (0..rest.len()).find(ends).map_or(&[], |at| &rest[at + 1..])
        }
        // A field is a text and a value.
        ARRAY | OBJECT => {
            while rest.first().is_some_and(|tag| *tag != END) {
                rest = skip(rest);
            }
            rest.get(1..).unwrap_or_default()
        }
        _ => rest,
    }
}

/// What `path` reaches in `entry`, each as bytes; one that says so where it is nothing.
fn parts(path: &Path, entry: &Entry) -> BTreeSet<Vec<u8>> {
    let mut parts = BTreeSet::new();
    each(entry, path, &mut |sight| {
        let mut bytes = Vec::new();
        if look(&mut bytes, sight).is_some() {
            parts.insert(bytes);
        }
        parts.len() > Index::TERMS_MAX
    });
    if parts.is_empty() {
        parts.insert(vec![MISSING]);
    }
    parts
}

/// Writes what is looked at, unless it was damaged.
fn look(bytes: &mut Vec<u8>, sight: Sight<'_>) -> Option<()> {
    match sight {
        Sight::Null => bytes.push(NULL),
        Sight::Bool(bool) => bytes.push(if bool { TRUE } else { FALSE }),
        Sight::Number(value) => number(bytes, value),
        Sight::Text(value) => text(bytes, &value),
        nested => json(bytes, &nested.read()?),
    }
    Some(())
}

/// A value as bytes, or that there is none.
pub(super) fn value(value: Option<&Json>) -> Vec<u8> {
    let mut bytes = Vec::new();
    match value {
        Some(value) => json(&mut bytes, value),
        None => bytes.push(MISSING),
    }
    bytes
}

/// Writes a value.
pub(super) fn json(bytes: &mut Vec<u8>, value: &Json) {
    match value {
        Json::Null => bytes.push(NULL),
        Json::Bool(bool) => bytes.push(if *bool { TRUE } else { FALSE }),
        Json::Number(value) => number(bytes, *value),
        Json::Text(value) => text(bytes, value),
        Json::Array(items) => {
            bytes.push(ARRAY);
            items.iter().for_each(|item| json(bytes, item));
            bytes.push(END);
        }
        Json::Object(fields) => {
            bytes.push(OBJECT);
            for (name, value) in fields {
                text(bytes, name);
                json(bytes, value);
            }
            bytes.push(END);
        }
    }
}

fn number(bytes: &mut Vec<u8>, value: Number) {
    let float = value.as_f64();
    // The two zeros are one number.
    let bits = if float == 0.0 { 0 } else { float.to_bits() };
    let sorted = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    // An f64 tells whole numbers of 64 bits apart to within 1024.
    let rest = value.as_whole().map_or(0, |whole| whole - float as i128);
    let rest = u16::try_from(rest + 0x8000).expect("a whole number is near its nearest f64");
    bytes.push(NUMBER);
    bytes.extend_from_slice(&sorted.to_be_bytes());
    bytes.extend_from_slice(&rest.to_be_bytes());
}

pub(super) fn text(bytes: &mut Vec<u8>, value: &str) {
    beginning(bytes, value);
    bytes.push(END);
}

/// Writes what every text begins with that begins with `value`.
pub(super) fn beginning(bytes: &mut Vec<u8>, value: &str) {
    bytes.push(TEXT);
    for byte in value.bytes() {
        bytes.push(byte);
        if byte == END {
            bytes.push(NUL);
        }
    }
}

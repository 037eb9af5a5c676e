//! Rows to entries and back.
//!
//! The columns of an entry stand in the same order everywhere: version, revision, created_at, updated_at, expires_at,
//! json, encodings, metadata, value.

use bytes::Bytes;
use larder_core::{
    Address, ChangeKind, ContentKind, Encodings, Entry, Error, Key, Metadata, Namespace, Result, Revision, Timestamp, Value,
    Version,
};
use rusqlite::{
    Row,
    types::{ToSqlOutput, ValueRef},
};

use crate::{
    error::{corrupt, explain},
    shelf::Shelf,
};

/// The columns of an entry in the table `entries`.
pub(crate) const ENTRY: &str = "version, revision, created_at, updated_at, expires_at, json, encodings, metadata, value";

/// The same without the value, for decisions that do not look at it.
pub(crate) const HEADER: &str = "version, revision, created_at, updated_at, expires_at, json, encodings, metadata, x''";

/// The entry that begins at column `first`, or `None` where that is NULL.
pub(crate) fn entry(row: &Row<'_>, first: usize, address: impl FnOnce() -> Result<Address>) -> Result<Option<Entry>> {
    read(row, first, Bytes::copy_from_slice, address)
}

/// As [`entry`], for pages of them.
pub(crate) fn entry_on(
    shelf: &mut Shelf,
    row: &Row<'_>,
    first: usize,
    address: impl FnOnce() -> Result<Address>,
) -> Result<Option<Entry>> {
    read(row, first, |bytes| shelf.put(bytes), address)
}

fn read(
    row: &Row<'_>,
    first: usize,
    mut copy: impl FnMut(&[u8]) -> Bytes,
    address: impl FnOnce() -> Result<Address>,
) -> Result<Option<Entry>> {
    let Some(version) = optional(row, first)? else { return Ok(None) };
    let kind = if number(row, first + 5)? == 0 { ContentKind::Opaque } else { ContentKind::Json };
    let encodings = match cell(row, first + 6)? {
        ValueRef::Null => Encodings::default(),
        other => text(other)?.parse().map_err(|_| corrupt("an entry has encodings that cannot be read"))?,
    };
    let metadata = match cell(row, first + 7)? {
        ValueRef::Null => Metadata::default(),
        ValueRef::Text(text) => Metadata::from_stored(copy(text))
            .map_err(|error| corrupt("an entry has metadata that cannot be read").caused_by(error))?,
        _ => return Err(corrupt("an entry has metadata that is no text")),
    };
    let bytes = match cell(row, first + 8)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => copy(bytes),
        _ => return Err(corrupt("an entry has no value")),
    };
    Ok(Some(Entry {
        address: address()?,
        value: Value::from_stored(bytes, kind, encodings),
        version: Version::new(version.cast_unsigned()),
        revision: Revision::new(number(row, first + 1)?.cast_unsigned()),
        created_at: Timestamp::from_millis_saturating(number(row, first + 2)?),
        updated_at: Timestamp::from_millis_saturating(number(row, first + 3)?),
        expires_at: optional(row, first + 4)?.map(Timestamp::from_millis_saturating),
        metadata,
    }))
}

/// The address in the columns `first` and the next, sharing the namespace with the row before where it is the same.
pub(crate) fn address_like(row: &Row<'_>, first: usize, last: &mut Option<Namespace>) -> Result<Address> {
    let name = text(cell(row, first)?)?;
    let namespace = match last {
        Some(namespace) if namespace.as_str() == name => namespace.clone(),
        _ => last.insert(Namespace::new(name).map_err(damaged)?).clone(),
    };
    Ok(Address::new(namespace, Key::new(text(cell(row, first + 1)?)?).map_err(damaged)?))
}

/// The key in this column.
pub(crate) fn key(row: &Row<'_>, column: usize) -> Result<Key> {
    Key::new(text(cell(row, column)?)?).map_err(damaged)
}

/// The name in this column, not looked at yet.
pub(crate) fn name<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str> {
    text(cell(row, column)?)
}

/// The names in the columns `first` and the next: a namespace and a key, not looked at yet.
pub(crate) fn names<'a>(row: &'a Row<'_>, first: usize) -> Result<(&'a str, &'a str)> {
    Ok((name(row, first)?, name(row, first + 1)?))
}

/// The bytes in this column.
pub(crate) fn bytes<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8]> {
    cell(row, column)?.as_bytes().map_err(|_| corrupt("there are no bytes where some should be"))
}

/// The namespace in this column.
pub(crate) fn namespace(row: &Row<'_>, column: usize) -> Result<Namespace> {
    Namespace::new(text(cell(row, column)?)?).map_err(damaged)
}

/// The kind of change in this column.
pub(crate) fn kind(row: &Row<'_>, column: usize) -> Result<ChangeKind> {
    ChangeKind::parse(text(cell(row, column)?)?).ok_or_else(|| corrupt("a change is of no known kind"))
}

fn damaged(error: Error) -> Error {
    corrupt("it holds a name that nobody can have stored").caused_by(error)
}

fn text(cell: ValueRef<'_>) -> Result<&str> {
    cell.as_str().map_err(|_| corrupt("a text is not a text"))
}

fn cell<'a>(row: &'a Row<'_>, column: usize) -> Result<ValueRef<'a>> {
    row.get_ref(column).map_err(explain)
}

/// The number in a column that has one.
pub(crate) fn number(row: &Row<'_>, column: usize) -> Result<i64> {
    row.get(column).map_err(explain)
}

/// The number in a column that may be NULL.
pub(crate) fn optional(row: &Row<'_>, column: usize) -> Result<Option<i64>> {
    row.get(column).map_err(explain)
}

/// The value as a parameter: plain JSON as TEXT, so that people and SQL can read it, all else as BLOB.
pub(crate) fn value(value: &Value) -> ToSqlOutput<'_> {
    let plain_json = value.kind() == ContentKind::Json && value.encodings().is_empty();
    ToSqlOutput::Borrowed(if plain_json { ValueRef::Text(value.bytes()) } else { ValueRef::Blob(value.bytes()) })
}

/// The encodings as a parameter; none is NULL.
pub(crate) fn encodings(value: &Value) -> Option<String> {
    (!value.encodings().is_empty()).then(|| value.encodings().to_string())
}

/// The metadata as a parameter; none is NULL.
pub(crate) fn metadata(metadata: &Metadata) -> Option<&str> {
    (!metadata.is_empty()).then(|| metadata.as_str())
}

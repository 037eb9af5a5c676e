//! Rows to entries and back.
//!
//! The columns of an entry stand in the same order everywhere: version, revision, created_at, updated_at, expires_at,
//! json, encodings, metadata, value.

use bytes::Bytes;
use larder_core::{
    Address, ChangeKind, ContentKind, Encodings, Entry, Error, Key, Metadata, Namespace, Result, Revision, Timestamp, Value,
    Version,
};
use tokio_postgres::{Row, types::FromSql};

use crate::error::corrupt;

/// The cell in this column.
pub(crate) fn cell<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T> {
    row.try_get(column).map_err(|error| corrupt("a column is not what it should be").caused_by(error.to_string()))
}

/// The number in a column that has one.
pub(crate) fn number(row: &Row, column: usize) -> Result<i64> {
    cell(row, column)
}

/// The number in this column as one that is never below zero.
pub(crate) fn unsigned(row: &Row, column: usize) -> Result<u64> {
    number(row, column).map(i64::cast_unsigned)
}

/// The revision in this column.
pub(crate) fn revision(row: &Row, column: usize) -> Result<Revision> {
    unsigned(row, column).map(Revision::new)
}

/// The entry that begins at column `first`, or `None` where that is NULL.
pub(crate) fn entry(row: &Row, first: usize, address: impl FnOnce() -> Result<Address>) -> Result<Option<Entry>> {
    let Some(version) = cell::<Option<i64>>(row, first)? else { return Ok(None) };
    let kind = if cell(row, first + 5)? { ContentKind::Json } else { ContentKind::Opaque };
    let encodings = match cell::<Option<&str>>(row, first + 6)? {
        None => Encodings::default(),
        Some(text) => text.parse().map_err(|_| corrupt("an entry has encodings that cannot be read"))?,
    };
    let metadata = match cell::<Option<&str>>(row, first + 7)? {
        None => Metadata::default(),
        Some(text) => Metadata::from_stored(Bytes::copy_from_slice(text.as_bytes()))
            .map_err(|error| corrupt("an entry has metadata that cannot be read").caused_by(error))?,
    };
    // Where a decision does not look at the value it is not fetched.
    let bytes = cell::<Option<&[u8]>>(row, first + 8)?.map_or_else(Bytes::new, Bytes::copy_from_slice);
    Ok(Some(Entry {
        address: address()?,
        value: Value::from_stored(bytes, kind, encodings),
        version: Version::new(version.cast_unsigned()),
        revision: revision(row, first + 1)?,
        created_at: Timestamp::from_millis_saturating(number(row, first + 2)?),
        updated_at: Timestamp::from_millis_saturating(number(row, first + 3)?),
        expires_at: cell::<Option<i64>>(row, first + 4)?.map(Timestamp::from_millis_saturating),
        metadata,
    }))
}

/// The address in the columns `first` and the next, sharing the namespace with the row before where it is the same.
pub(crate) fn address_like(row: &Row, first: usize, last: &mut Option<Namespace>) -> Result<Address> {
    let name: &str = cell(row, first)?;
    let namespace = match last {
        Some(namespace) if namespace.as_str() == name => namespace.clone(),
        _ => last.insert(Namespace::new(name).map_err(damaged)?).clone(),
    };
    Ok(Address::new(namespace, Key::new(cell::<&str>(row, first + 1)?).map_err(damaged)?))
}

/// The namespace in this column.
pub(crate) fn namespace(row: &Row, column: usize) -> Result<Namespace> {
    Namespace::new(cell::<&str>(row, column)?).map_err(damaged)
}

/// The kind of change in this column.
pub(crate) fn kind(row: &Row, column: usize) -> Result<ChangeKind> {
    ChangeKind::parse(cell(row, column)?).ok_or_else(|| corrupt("a change is of no known kind"))
}

fn damaged(error: Error) -> Error {
    corrupt("they hold a name that nobody can have stored").caused_by(error)
}

/// A number of ours as PostgreSQL counts; what is beyond its numbers is its last one.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

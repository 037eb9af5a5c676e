//! The driver alone: the same rows in the same tables, written as one would by hand.

use std::path::Path;

use rusqlite::{Connection, Row, Transaction, params};

/// A connection to a new file with the same tables and the same durability.
pub(crate) fn create(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.execute_batch(larder_sqlite::SCHEMA)?;
    connection.execute("INSERT INTO store VALUES (1, 'raw', 0, 0, 0, 0, 0, 0, 0, 0, NULL, 3, 0)", [])?;
    settings(&connection)?;
    Ok(connection)
}

/// A connection to an existing file.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    settings(&connection)?;
    Ok(connection)
}

fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -16 * 1024)?;
    Ok(())
}

/// Writes one entry with its log row: what every set leaves behind.
pub(crate) fn set(transaction: &Transaction<'_>, revision: u32, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO log (place, revision, at, kind, namespace, key) VALUES (?1, ?1, 0, 'created', 'default', ?2)",
        )?
        .execute(params![revision, key])?;
    transaction
        .prepare_cached(
            "INSERT INTO entries VALUES (NULL, 'default', ?1, 1, ?2, 0, 0, NULL, 0, NULL, NULL, ?3) \
             ON CONFLICT DO UPDATE SET version = version + 1, revision = ?2, value = ?3",
        )?
        .execute(params![key, revision, value])?;
    Ok(())
}

/// Writes what every commit leaves behind.
pub(crate) fn commit(transaction: &Transaction<'_>, revision: u32) -> rusqlite::Result<()> {
    let id = (u128::from(revision) << 64).to_be_bytes();
    transaction.prepare_cached("INSERT INTO commits VALUES (?1, ?2, '[[1,0]]')")?.execute(params![id, revision])?;
    Ok(())
}

/// Writes what every transaction leaves behind.
pub(crate) fn head(transaction: &Transaction<'_>, revision: u32) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE store SET revision = ?1, entries = ?1, bytes = ?1, changes = ?1, log_bytes = ?1")?
        .execute(params![revision])?;
    Ok(())
}

/// The whole log, in order.
pub(crate) const LOG: &str = "SELECT place, revision, at, kind, namespace, key, version, written, created_at, updated_at, \
    expires_at, json, encodings, metadata, value FROM log ORDER BY place";

/// A row of the log with every column copied out of SQLite, as whoever passes it on needs it; one side of a change.
#[derive(Debug)]
#[expect(dead_code, reason = "what counts is that it was read")]
pub(crate) struct LogRow {
    place: i64,
    revision: i64,
    at: i64,
    kind: String,
    namespace: String,
    key: String,
    version: Option<i64>,
    written: Option<i64>,
    created_at: Option<i64>,
    updated_at: Option<i64>,
    expires_at: Option<i64>,
    json: Option<i64>,
    encodings: Option<String>,
    metadata: Option<String>,
    value: Option<Vec<u8>>,
}

impl LogRow {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            place: row.get(0)?,
            revision: row.get(1)?,
            at: row.get(2)?,
            kind: row.get(3)?,
            namespace: row.get(4)?,
            key: row.get(5)?,
            version: row.get(6)?,
            written: row.get(7)?,
            created_at: row.get(8)?,
            updated_at: row.get(9)?,
            expires_at: row.get(10)?,
            json: row.get(11)?,
            encodings: row.get(12)?,
            metadata: row.get(13)?,
            value: row.get(14)?,
        })
    }
}

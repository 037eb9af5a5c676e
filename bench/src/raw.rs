//! The driver alone: the same rows in the same tables, written as one would by hand.

use std::path::Path;

use rusqlite::{Connection, Transaction, params};

/// A connection to a new file with the same tables and the same durability.
pub(crate) fn create(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.execute_batch(larder_sqlite::SCHEMA)?;
    connection.execute("INSERT INTO store VALUES (1, 'raw', 0, 0, 0, 0, 0, 0, 0, 0, NULL)", [])?;
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

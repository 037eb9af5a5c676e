//! Indexes come and go: created, built step by step beside commits that keep them already, dropped, and removed.
//!
//! Every step is a transaction of its own, and the file says how far the last one came. So it does not matter who makes the
//! next step, or how many try to.

use larder_core::{
    Address, Entry, Index, Namespace, Result, Timestamp,
    index::{self, IndexId, IndexState, IndexStatus, Term},
};
use rusqlite::{Connection, Params};

use crate::{
    error::{corrupt, explain},
    head::Head,
    kept::{self, number},
    read::PAGE_BYTES_MAX,
    row::{self, ENTRY},
};

/// With so many new rows a step ends early: an entry can have many terms.
const STEP_ROWS: usize = 8192;

pub(crate) fn create(connection: &Connection, head: &mut Head, namespace: &Namespace, index: &Index) -> Result<IndexStatus> {
    const CREATE: &str = "INSERT INTO indexes (namespace, definition, state, entries) VALUES (?1, ?2, 'building', 0)";
    if let Some(there) = index::existing(&kept::list(connection, Some(namespace))?, index)? {
        return Ok(there.clone());
    }
    let definition = serde_json::to_string(index).expect("a definition is plain JSON");
    run(connection, CREATE, (namespace.as_str(), definition))?;
    head.change_indexes();
    let id = IndexId(connection.last_insert_rowid().cast_unsigned());
    let state = IndexState::Building { through: None, entries: 0 };
    Ok(IndexStatus { id, namespace: namespace.clone(), index: index.clone(), state })
}

/// From here on the index is no longer kept; whether it was.
pub(crate) fn drop(connection: &Connection, head: &mut Head, id: IndexId) -> Result<bool> {
    const DROP: &str = "UPDATE indexes SET state = 'dropped', through = NULL WHERE id = ?1 AND state <> 'dropped'";
    let dropped = run(connection, DROP, [number(id)])? > 0;
    if dropped {
        head.change_indexes();
    }
    Ok(dropped)
}

/// The next step. The inner error says why the index could not be built; it is then dropped.
pub(crate) fn advance(
    connection: &Connection,
    head: &mut Head,
    id: IndexId,
    limit: usize,
    now: Timestamp,
) -> Result<Result<Option<IndexStatus>>> {
    let Some(status) = kept::find(connection, id)? else { return Ok(Ok(None)) };
    let limit = limit.max(1);
    match &status.state {
        IndexState::Ready => Ok(Ok(Some(status))),
        IndexState::Building { through, entries } => {
            let from = through.as_ref().map_or("", |key| key.as_str());
            match build(connection, &status, from, limit, now)? {
                Ok((looked_at, last)) => {
                    move_on(connection, &status, entries + looked_at, last).map(|status| Ok(Some(status)))
                }
                Err(refusal) => {
                    self::drop(connection, head, id)?;
                    Ok(Err(refusal.engine("sqlite")))
                }
            }
        }
        IndexState::Dropped => Ok(Ok(remove(connection, id, limit)?.then_some(status))),
    }
}

/// Takes the entries behind the key `from` into the index, at most `limit` of them, and answers how many they were and the
/// last of them, if there may be more behind it.
fn build(
    connection: &Connection,
    status: &IndexStatus,
    from: &str,
    limit: usize,
    now: Timestamp,
) -> Result<Result<(u64, Option<Address>)>> {
    let sql = format!("SELECT namespace, key, {ENTRY}, id FROM entries WHERE namespace = ?1 AND key > ?2 ORDER BY key");
    let mut statement = connection.prepare_cached(&sql).map_err(explain)?;
    let mut rows = statement.query((status.namespace.as_str(), from)).map_err(explain)?;
    let (mut entries, mut bytes, mut added, mut namespace) = (0, 0, 0, None);
    while let Some(row) = rows.next().map_err(explain)? {
        let address = row::address_like(row, 0, &mut namespace)?;
        let entry = row::entry(row, 2, || Ok(address))?.ok_or_else(|| corrupt("an entry has no version"))?;
        let mut answered = true;
        let holders = |term: &Term| kept::holders(connection, status.id, term).inspect_err(|_| answered = false);
        let terms = match index::build(&status.index, &entry, now, holders) {
            Ok(terms) => terms,
            Err(refusal) if answered => return Ok(Err(refusal)),
            Err(error) => return Err(error),
        };
        kept::add(connection, status.id, &terms, entry.address.key.as_str(), row::number(row, 11)?)?;
        entries += 1;
        bytes += Entry::bytes(&entry);
        added += terms.len();
        if entries == limit as u64 || bytes >= PAGE_BYTES_MAX || added >= STEP_ROWS {
            return Ok(Ok((entries, Some(entry.address))));
        }
    }
    Ok(Ok((entries, None)))
}

/// Writes down how far the building is; without a `last` entry it is done.
fn move_on(connection: &Connection, status: &IndexStatus, entries: u64, last: Option<Address>) -> Result<IndexStatus> {
    const MOVE: &str = "UPDATE indexes SET state = ?2, through = ?3, entries = ?4 WHERE id = ?1";
    let through = last.map(|last| last.key);
    let name = if through.is_some() { "building" } else { "ready" };
    let key = through.as_ref().map(|key| key.as_str());
    run(connection, MOVE, (number(status.id), name, key, entries.cast_signed()))?;
    let state = match through {
        Some(key) => IndexState::Building { through: Some(key), entries },
        None => IndexState::Ready,
    };
    Ok(IndexStatus { state, ..status.clone() })
}

/// Removes some rows of an index that was dropped, and at last the index; whether something of it is left.
fn remove(connection: &Connection, id: IndexId, limit: usize) -> Result<bool> {
    // The first of those that stay.
    const EDGE: &str = "SELECT term, key FROM terms WHERE index_id = ?1 ORDER BY term, key LIMIT 1 OFFSET ?2";
    const SOME: &str = "DELETE FROM terms WHERE index_id = ?1 AND (term, key) < (?2, ?3)";
    let limit = limit.min(STEP_ROWS) as i64;
    let mut statement = connection.prepare_cached(EDGE).map_err(explain)?;
    let mut rows = statement.query((number(id), limit)).map_err(explain)?;
    if let Some(row) = rows.next().map_err(explain)? {
        let (term, key): (Vec<u8>, String) = row.get(0).and_then(|term| Ok((term, row.get(1)?))).map_err(explain)?;
        run(connection, SOME, (number(id), term, key))?;
        return Ok(true);
    }
    run(connection, "DELETE FROM terms WHERE index_id = ?1", [number(id)])?;
    run(connection, "DELETE FROM indexes WHERE id = ?1", [number(id)])?;
    Ok(false)
}

fn run(connection: &Connection, sql: &str, parameters: impl Params) -> Result<usize> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters)).map_err(explain)
}

//! The log: read with both sides of every change, and trimmed.

use larder_core::{
    Address, Change, ChangeKind, Changes, ChangesQuery, CommitId, Entry, Error, LogOrder, Result, Revision, Timestamp, Trim,
    Trimmed,
};
use rusqlite::{Connection, OptionalExtension, ToSql};

use crate::{
    apply::PLACES,
    error::{corrupt, explain},
    read::{PAGE_BYTES_MAX, one_moment, within_any},
    row::{self, ENTRY},
};

/// The columns of an entry in the table `log`.
const BEFORE: &str = "version, written, created_at, updated_at, expires_at, json, encodings, metadata, value";

/// How many rows one step of trimming deletes at most, so that commits get their turn in between.
const TRIM_ROWS: u64 = 2000;
/// How many pages one step gives back to the file system at most.
const VACUUM_PAGES: u32 = 1000;
/// With fewer free pages than this a trim is done: commits in between leave some, and would keep it busy for ever.
const FREE_PAGES_FEW: u32 = 64;

pub(crate) fn changes(connection: &Connection, query: &ChangesQuery) -> Result<Changes> {
    query.verify().map_err(|error| error.engine("sqlite"))?;
    one_moment(connection, |connection| {
        let (lineage, head, oldest): (i64, i64, i64) = connection
            .prepare_cached("SELECT lineage, revision, oldest FROM store")
            .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))
            .map_err(explain)?;
        let after = i64::try_from(query.after.get()).unwrap_or(i64::MAX);
        if lineage.cast_unsigned() != query.lineage.get() || after < oldest || after > head {
            return Err(Error::trimmed(Revision::new(oldest.cast_unsigned())).engine("sqlite"));
        }
        let (condition, edges) = within_any(&query.ranges, 3);
        // One key is found by the index of keys. Of a wider range too much may be there to be sorted by place for every
        // page, so the log is read in its own order: the plus keeps SQLite from thinking otherwise.
        let one_key = matches!(&query.ranges[..], [range] if range.is_one_key());
        let condition = if one_key { condition } else { format!("+({condition})") };
        let (order, before, rest) = match query.order {
            LogOrder::OldestFirst => ("", None, head),
            LogOrder::NewestFirst { before } => (" DESC", before, after),
        };
        let sql = format!(
            "SELECT revision, place, at, kind, namespace, key, {BEFORE} FROM log \
             WHERE place >= ?1 AND place < ?2 AND {condition} ORDER BY place{order}"
        );
        let mut statement = connection.prepare_cached(&sql).map_err(explain)?;
        let first = (after + 1).saturating_mul(PLACES);
        let end = before.map_or(i64::MAX, |before| i64::try_from(before.get()).unwrap_or(i64::MAX).saturating_mul(PLACES));
        let mut parameters: Vec<&dyn ToSql> = vec![&first, &end];
        parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
        let mut rows = statement.query(&*parameters).map_err(explain)?;

        let head = Revision::new(head.cast_unsigned());
        let mut found = Changes { changes: Vec::new(), through: Revision::new(rest.cast_unsigned()), head };
        let mut namespace = None;
        let mut bytes = 0;
        while let Some(row) = rows.next().map_err(explain)? {
            let revision = Revision::new(row::number(row, 0)?.cast_unsigned());
            if (found.changes.len() >= query.limit.max(1) || bytes >= PAGE_BYTES_MAX)
                && let Some(last) = found.changes.last()
                && last.revision != revision
            {
                found.through = last.revision;
                break;
            }
            let address = row::address_like(row, 4, &mut namespace)?;
            let kind: String = row.get(3).map_err(explain)?;
            let change = Change {
                revision,
                at: Timestamp::from_millis_saturating(row::number(row, 2)?),
                kind: ChangeKind::parse(&kind).ok_or_else(|| corrupt("a change is of no known kind"))?,
                before: row::entry(row, 6, || Ok(address.clone()))?,
                after: after_change(connection, &address, row::number(row, 1)?)?,
                address,
            };
            bytes += change.before.iter().chain(&change.after).map(Entry::bytes).sum::<u64>();
            found.changes.push(change);
        }
        Ok(found)
    })
}

/// What the entry was after a change: what it was before its next change, or what it is.
fn after_change(connection: &Connection, address: &Address, place: i64) -> Result<Option<Entry>> {
    let own = || Ok(address.clone());
    let sql = format!("SELECT {BEFORE} FROM log WHERE namespace = ?1 AND key = ?2 AND place > ?3 ORDER BY place LIMIT 1");
    let mut next = connection.prepare_cached(&sql).map_err(explain)?;
    let mut rows = next.query((address.namespace.as_str(), address.key.as_str(), place)).map_err(explain)?;
    if let Some(row) = rows.next().map_err(explain)? {
        return row::entry(row, 0, own);
    }
    let sql = format!("SELECT {ENTRY} FROM entries WHERE namespace = ?1 AND key = ?2");
    let mut current = connection.prepare_cached(&sql).map_err(explain)?;
    let mut rows = current.query((address.namespace.as_str(), address.key.as_str())).map_err(explain)?;
    rows.next().map_err(explain)?.map_or(Ok(None), |row| row::entry(row, 0, own))
}

/// One step of a trim.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) trimmed: Trimmed,
    /// Whether there is nothing left to do.
    pub(crate) done: bool,
}

/// Deletes some of what `trim` says, in a transaction of its own, or gives some free pages back to the file system.
pub(crate) fn trim_step(connection: &mut Connection, trim: Trim) -> Result<Step> {
    let through = i64::try_from(trim.through.get()).unwrap_or(i64::MAX);
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(explain)?;
    let run =
        |sql: &str, parameters: &[&dyn ToSql]| transaction.execute(sql, parameters).map(|rows| rows as u64).map_err(explain);
    // Ids made later than any that is known here are never forgotten, or a clock that ran ahead could lock everyone out.
    let newest: Option<[u8; 16]> = transaction
        .query_row("SELECT id FROM commits ORDER BY id DESC LIMIT 1", [], |row| row.get(0))
        .optional()
        .map_err(explain)?;
    let ids_before = newest.map_or(Timestamp::EPOCH, |id| trim.ids_before.min(CommitId::from_bytes(id).made_at()));
    // First of all nobody may rely any more on what is about to go.
    run(
        "UPDATE store SET oldest = max(oldest, min(?1, revision)), ids_since = max(ids_since, ?2)",
        &[&through, &ids_before.as_millis()],
    )?;
    let end = through.saturating_add(1).saturating_mul(PLACES);
    let bytes: i64 = transaction
        .query_row(
            "SELECT coalesce(sum(octet_length(key) + coalesce(octet_length(value), 0) + coalesce(octet_length(metadata), 0)), 0) \
             FROM (SELECT key, value, metadata FROM log WHERE place < ?1 ORDER BY place LIMIT ?2)",
            (end, TRIM_ROWS.cast_signed()),
            |row| row.get(0),
        )
        .map_err(explain)?;
    let changes = run(
        "DELETE FROM log WHERE place IN (SELECT place FROM log WHERE place < ?1 ORDER BY place LIMIT ?2)",
        &[&end, &TRIM_ROWS.cast_signed()],
    )?;
    run("UPDATE store SET changes = changes - ?1, log_bytes = log_bytes - ?2", &[&changes.cast_signed(), &bytes])?;
    // An id begins with its time, so ids made before a moment are smaller than the first one made at it.
    let first_kept = CommitId::new(ids_before, 0);
    let ids = run(
        "DELETE FROM commits WHERE id IN (SELECT id FROM commits WHERE id < ?1 ORDER BY id LIMIT ?2)",
        &[&first_kept.as_bytes(), &TRIM_ROWS.cast_signed()],
    )?;
    let oldest: i64 = transaction.query_row("SELECT oldest FROM store", [], |row| row.get(0)).map_err(explain)?;
    transaction.commit().map_err(explain)?;

    let done = changes == 0 && ids == 0 && give_back(connection)?;
    if done {
        // The file itself becomes shorter only when the write-ahead log has gone into it. A reader may prevent that for
        // now; nobody waits for it, and the next checkpoint does it.
        let timeout: i64 = connection.pragma_query_value(None, "busy_timeout", |row| row.get(0)).map_err(explain)?;
        connection.pragma_update(None, "busy_timeout", 0).map_err(explain)?;
        let checkpoint = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        connection.pragma_update(None, "busy_timeout", timeout).map_err(explain)?;
        checkpoint.map_err(explain)?;
    }
    Ok(Step { trimmed: Trimmed { oldest: Revision::new(oldest.cast_unsigned()), changes, ids }, done })
}

/// Gives some free pages back to the file system; `true` when hardly any are left, or none can be given back.
fn give_back(connection: &Connection) -> Result<bool> {
    let free = || connection.pragma_query_value(None, "freelist_count", |row| row.get::<_, u32>(0)).map_err(explain);
    let before = free()?;
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})")).map_err(explain)?;
    let mut rows = vacuum.query([]).map_err(explain)?;
    // Every page is a step of its own, although none of them answers anything.
    while rows.next().map_err(explain)?.is_some() {}
    let after = free()?;
    // In a file that somebody has set to another `auto_vacuum` nothing happens.
    Ok(after < FREE_PAGES_FEW || after >= before)
}

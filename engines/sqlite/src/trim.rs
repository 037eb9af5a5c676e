//! Trimming: old changes and old ids go, step by step, and so does the space they took.

use std::collections::BTreeMap;

use larder_core::{CommitId, Namespace, Result, Revision, Timestamp, Trim, Trimmed};
use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, TransactionBehavior};

use crate::{apply::PLACES, checkpoint::Progress, error::explain, head::Head};

/// How many rows one step looks at and deletes at most, so that commits get their turn in between.
const TRIM_ROWS: u64 = 2000;
/// How many pages one step gives back to the file system at most.
const VACUUM_PAGES: u32 = 1000;
/// With fewer free pages than this a trim is done: commits in between leave some, and would keep it busy for ever.
const FREE_PAGES_FEW: u32 = 64;

/// What is left to do of a trim.
#[derive(Debug)]
pub(crate) struct Task {
    trim: Trim,
    /// From which key and place on to look at the changes of a namespace.
    from: (String, i64),
}

impl Task {
    pub(crate) fn new(trim: Trim) -> Self {
        Self { trim, from: (String::new(), 0) }
    }
}

/// One step of a trim.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) trimmed: Trimmed,
    /// Until there is nothing left to do.
    pub(crate) next: Option<Task>,
}

/// Deletes some of what `task` says, in a transaction of its own, or gives some free pages back to the file system.
pub(crate) fn step(connection: &mut Connection, progress: &Progress, task: Task) -> Result<Step> {
    let Task { trim, mut from } = task;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
    // Whether we may write at all.
    Head::read(&transaction)?;
    let (trimmed, all) = match &trim.namespace {
        None => everywhere(&transaction, &trim)?,
        Some(namespace) => in_namespace(&transaction, namespace, &trim, &mut from)?,
    };
    transaction.commit().map_err(explain)?;
    if all && give_back(connection)? {
        progress.in_turn(|| shorten(connection))?;
        return Ok(Step { trimmed, next: None });
    }
    // What was the head at the first step stays the end, whatever is committed meanwhile.
    let trim = Trim { through: trim.through.min(trimmed.oldest), ..trim };
    Ok(Step { trimmed, next: Some(Task { trim, from }) })
}

/// Forgets some changes of every namespace, and some ids; says whether there was nothing to forget.
fn everywhere(transaction: &Transaction<'_>, trim: &Trim) -> Result<(Trimmed, bool)> {
    let through = signed(trim.through);
    // Ids made later than any that is known here are never forgotten, or a clock that ran ahead could lock everyone out.
    let newest: Option<[u8; 16]> = transaction
        .query_row("SELECT id FROM commits ORDER BY id DESC LIMIT 1", [], |row| row.get(0))
        .optional()
        .map_err(explain)?;
    let ids_before = newest.map_or(Timestamp::EPOCH, |id| trim.ids_before.min(CommitId::from_bytes(id).made_at()));
    // First of all nobody may rely any more on what is about to go.
    run(
        transaction,
        "UPDATE store SET oldest = max(oldest, min(?1, revision)), ids_from = max(ids_from, ?2)",
        &[&through, &ids_before.as_millis()],
    )?;
    let oldest: i64 = transaction.query_row("SELECT oldest FROM store", [], |row| row.get(0)).map_err(explain)?;
    // A namespace that was trimmed by itself less far than all is one like the others again.
    const EMPTY: &str = "DELETE FROM namespaces WHERE oldest > 0 AND oldest <= ?1 AND entries = 0 AND log_bytes = 0";
    run(transaction, EMPTY, &[&oldest])?;
    run(transaction, "UPDATE namespaces SET oldest = 0 WHERE oldest > 0 AND oldest <= ?1", &[&oldest])?;

    let mut forgotten = Forgotten::default();
    let outdated = "place IN (SELECT place FROM log WHERE place < ?1 ORDER BY place LIMIT ?2)";
    forgotten.delete(transaction, outdated, &[&after(through), &TRIM_ROWS.cast_signed()])?;
    let changes = forgotten.count_off(transaction)?;
    // An id begins with its time, so ids made before a moment are smaller than the first one made at it.
    let first_kept = CommitId::new(ids_before, 0);
    let ids = run(
        transaction,
        "DELETE FROM commits WHERE id IN (SELECT id FROM commits WHERE id < ?1 ORDER BY id LIMIT ?2)",
        &[&first_kept.as_bytes(), &TRIM_ROWS.cast_signed()],
    )?;
    Ok((Trimmed { oldest: Revision::new(oldest.cast_unsigned()), changes, ids }, changes == 0 && ids == 0))
}

/// Looks at some changes of `namespace` in the order of keys, the only one in which they stand together, and forgets those
/// that are old; says whether these were the last, or else moves `from` on.
fn in_namespace(
    transaction: &Transaction<'_>,
    namespace: &Namespace,
    trim: &Trim,
    from: &mut (String, i64),
) -> Result<(Trimmed, bool)> {
    let namespace = namespace.as_str();
    let (head, oldest): (i64, i64) = transaction
        .query_row("SELECT revision, oldest FROM store", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(explain)?;
    let through = signed(trim.through).min(head);
    if through > oldest {
        // First of all nobody may rely any more on what is about to go.
        const RAISE: &str = "INSERT INTO namespaces VALUES (?1, 0, 0, 0, ?2) \
            ON CONFLICT (namespace) DO UPDATE SET oldest = max(namespaces.oldest, ?2)";
        run(transaction, RAISE, &[&namespace, &through])?;
    }
    let own: Option<i64> = transaction
        .query_row("SELECT oldest FROM namespaces WHERE namespace = ?1", [namespace], |row| row.get(0))
        .optional()
        .map_err(explain)?;
    let oldest = Revision::new(own.unwrap_or(0).max(oldest).cast_unsigned());

    const HERE: &str = "SELECT key, place FROM log WHERE namespace = ?1 AND key = ?2 AND place >= ?3 \
        UNION ALL SELECT key, place FROM log WHERE namespace = ?1 AND key > ?2 ORDER BY key, place LIMIT ?4";
    let limit = TRIM_ROWS.cast_signed() + 1;
    let mut statement = transaction.prepare_cached(HERE).map_err(explain)?;
    let here = statement
        .query_map((namespace, &from.0, from.1, limit), |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(String, i64)>>>)
        .map_err(explain)?;
    let (here, next) = match here.split_last() {
        Some((next, here)) if here.len() as u64 == TRIM_ROWS => (here, Some(next)),
        _ => (&here[..], None),
    };
    let mut forgotten = Forgotten::default();
    for (_, place) in here.iter().filter(|(_, place)| *place < after(through)) {
        forgotten.delete(transaction, "place = ?1", &[place])?;
    }
    let changes = forgotten.count_off(transaction)?;
    if let Some(next) = next {
        from.clone_from(next);
    }
    Ok((Trimmed { oldest, changes, ids: 0 }, next.is_none()))
}

/// The changes that a step has forgotten, and the bytes they took, by namespace.
#[derive(Debug, Default)]
struct Forgotten {
    changes: u64,
    bytes: BTreeMap<String, i64>,
}

impl Forgotten {
    /// Deletes `which` rows of the log.
    fn delete(&mut self, transaction: &Transaction<'_>, which: &str, parameters: &[&dyn ToSql]) -> Result<()> {
        let sql = format!(
            "DELETE FROM log WHERE {which} RETURNING namespace, \
             octet_length(key) + coalesce(octet_length(value), 0) + coalesce(octet_length(metadata), 0)"
        );
        let mut statement = transaction.prepare_cached(&sql).map_err(explain)?;
        let mut rows = statement.query(parameters).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            let (namespace, bytes): (String, i64) = row.get(0).and_then(|name| Ok((name, row.get(1)?))).map_err(explain)?;
            self.changes += 1;
            *self.bytes.entry(namespace).or_default() += bytes;
        }
        Ok(())
    }

    /// Counts them off what the store and its namespaces take, and answers how many they were.
    fn count_off(&self, transaction: &Transaction<'_>) -> Result<u64> {
        const STORE: &str = "UPDATE store SET changes = changes - ?1, log_bytes = log_bytes - ?2";
        const NAMESPACE: &str = "UPDATE namespaces SET log_bytes = log_bytes - ?2 WHERE namespace = ?1";
        const EMPTY: &str = "DELETE FROM namespaces WHERE namespace = ?1 AND entries = 0 AND log_bytes = 0 AND oldest = 0";
        if self.changes > 0 {
            run(transaction, STORE, &[&self.changes.cast_signed(), &self.bytes.values().sum::<i64>()])?;
        }
        for (namespace, bytes) in &self.bytes {
            run(transaction, NAMESPACE, &[namespace, bytes])?;
            run(transaction, EMPTY, &[namespace])?;
        }
        Ok(self.changes)
    }
}

fn run(transaction: &Transaction<'_>, sql: &str, parameters: &[&dyn ToSql]) -> Result<u64> {
    let mut statement = transaction.prepare_cached(sql).map_err(explain)?;
    statement.execute(parameters).map(|rows| rows as u64).map_err(explain)
}

fn signed(revision: Revision) -> i64 {
    i64::try_from(revision.get()).unwrap_or(i64::MAX)
}

/// The first place after those of the commit that took `revision`.
fn after(revision: i64) -> i64 {
    revision.saturating_add(1).saturating_mul(PLACES)
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

/// Makes the file itself shorter, which happens only when the write-ahead log has gone into it. A reader may prevent that
/// for now; nobody waits for it, and the next checkpoint does it.
fn shorten(connection: &Connection) -> Result<()> {
    let timeout: i64 = connection.pragma_query_value(None, "busy_timeout", |row| row.get(0)).map_err(explain)?;
    connection.pragma_update(None, "busy_timeout", 0).map_err(explain)?;
    let checkpoint = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    connection.pragma_update(None, "busy_timeout", timeout).map_err(explain)?;
    checkpoint.map_err(explain)
}

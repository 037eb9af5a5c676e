//! Commits: decided against the file, then applied to it, inside a transaction that somebody else began.

use std::collections::{BTreeMap, btree_map::Entry as Slot};

use larder_core::{
    Address, ChangeKind, Check, Commit, CommitId, Conflict, ContentKind, Entry, Error, Expected, Found, Namespace, Outcome,
    Part, Range, Receipt, Result, Revision, Timestamp, Usage, Version, Written,
    decide::{self, Effect, Store},
    engine::Resolution,
    index::Keeping,
};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, ToSql, params};

use crate::{
    engine::LIMITS,
    error::{corrupt, explain},
    head::{Head, oldest_of},
    kept::{self, Kept},
    read::{in_log, within},
    row::{self, ENTRY, HEADER},
};

/// How many changes a commit has room for in the log: a write makes two at most, when it meets an expired entry.
pub(crate) const PLACES: i64 = 8192;
const _: () = assert!(PLACES as usize >= 2 * LIMITS.commit_writes);

/// A write, decided: what it meets and what it does.
struct Decided {
    stored: Option<Stored>,
    effect: Effect,
}

/// What the namespaces that a commit writes to take before and after it.
type Usages<'a> = BTreeMap<&'a Namespace, (Usage, Usage)>;

/// An entry as it is stored, expired or not; its value only where the decision looks at it.
struct Stored {
    id: i64,
    entry: Entry,
    bytes: u64,
}

/// Decides `commit` and, if nothing speaks against it, applies it.
///
/// The inner result is the answer to the caller: refusals and conflicts leave the file as it was. The outer error is
/// SQLite's own, after which the commit may be half applied: the transaction has to be rolled back.
pub(crate) fn commit(connection: &Connection, head: &mut Head, kept: &Kept, commit: &Commit) -> Result<Result<Outcome>> {
    let remembered = if head.is_new(connection, commit.id)? { None } else { remembered(connection, commit.id)? };
    match remembered {
        Some(Resolution::Committed(receipt)) => return Ok(Ok(Outcome::Committed(receipt))),
        Some(_) => return Ok(Err(Error::fenced(commit.id).engine("sqlite"))),
        None if commit.id.made_at().as_millis() < head.ids_from() => {
            return Ok(Err(Error::forgotten(commit.id).engine("sqlite")));
        }
        None => {}
    }
    for (index, check) in commit.checks.iter().enumerate() {
        if let Some(conflict) = refute(connection, head, index, check, commit.now)? {
            return Ok(Ok(Outcome::Conflicted(conflict)));
        }
    }
    let revision = Revision::new(head.revision().cast_unsigned()).next();
    let mut usages = Usages::new();
    let mut decided = Vec::with_capacity(commit.writes.len());
    for (index, write) in commit.writes.iter().enumerate() {
        // What it had in indexes has to go.
        let value = decide::write_needs_value(&write.action) || !kept.of(&write.address.namespace).is_empty();
        let stored = stored(connection, &write.address, value)?;
        match decide::write(commit, index, stored.as_ref().map(|stored| &stored.entry), revision) {
            Ok(Ok(effect)) => {
                let Address { namespace, key } = &write.address;
                let (_, usage) = match usages.entry(namespace) {
                    Slot::Occupied(counted) => counted.into_mut(),
                    Slot::Vacant(slot) => slot.insert([head.usage(connection, namespace)?; 2].into()),
                };
                effect.count(usage, key.len(), stored.as_ref().map(|stored| stored.bytes));
                decided.push(Decided { stored, effect });
            }
            Ok(Err(conflict)) => return Ok(Ok(Outcome::Conflicted(conflict))),
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
    let keeping = match keeping(kept, commit, &decided) {
        Ok(keeping) => keeping,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Some(conflict) = keeping.conflict(|status, term| kept::holders(connection, status.id, term))? {
        return Ok(Ok(Outcome::Conflicted(conflict)));
    }
    if let Some(conflict) = exceeded(commit, &usages) {
        return Ok(Ok(Outcome::Conflicted(conflict)));
    }
    let works = keeping.works();

    // Nothing below can be refused.
    for (namespace, (_, after)) in usages {
        head.count(namespace, after);
    }
    let mut ordinal = 0;
    let (mut writes, mut ids) = (Vec::with_capacity(decided.len()), BTreeMap::new());
    for (write, Decided { stored, effect }) in commit.writes.iter().zip(decided) {
        let mut log = |kind: ChangeKind, before: Option<&Stored>| {
            let place = (revision, ordinal);
            ordinal += 1;
            append(connection, place, commit.now, kind, &write.address, before.map(|before| before.id))
        };
        if effect.expired {
            log(ChangeKind::Expired, stored.as_ref())?;
        }
        if let Some(kind) = effect.change {
            log(kind, stored.as_ref().filter(|_| !effect.expired))?;
        }
        writes.push(effect.written);
        let id = apply(connection, &write.address, stored.as_ref(), effect.store)?;
        if !works.is_empty() {
            ids.extend(id.map(|id| (&write.address, id)));
        }
    }
    kept::apply(connection, works, &ids)?;
    if ordinal > 0 {
        head.advance(revision, ordinal);
    }
    let receipt = Receipt { revision: Revision::new(head.revision().cast_unsigned()), writes };
    remember(connection, commit.id, &receipt)?;
    head.remember(commit.id);
    Ok(Ok(Outcome::Committed(receipt)))
}

fn prepare<'a>(connection: &'a Connection, sql: &str) -> Result<CachedStatement<'a>> {
    connection.prepare_cached(sql).map_err(explain)
}

fn run(connection: &Connection, sql: &str, parameters: impl Params) -> Result<()> {
    prepare(connection, sql)?.execute(parameters).map(|_| ()).map_err(explain)
}

fn stored(connection: &Connection, address: &Address, value: bool) -> Result<Option<Stored>> {
    let columns = if value { ENTRY } else { HEADER };
    let sql = format!("SELECT {columns}, octet_length(value), id FROM entries WHERE namespace = ?1 AND key = ?2");
    let mut statement = prepare(connection, &sql)?;
    let mut rows = statement.query((address.namespace.as_str(), address.key.as_str())).map_err(explain)?;
    let Some(row) = rows.next().map_err(explain)? else { return Ok(None) };
    let entry = row::entry(row, 0, || Ok(address.clone()))?.ok_or_else(|| corrupt("an entry has no version"))?;
    let bytes = row::number(row, 9)?.cast_unsigned() + (address.key.len() + entry.metadata.len()) as u64;
    Ok(Some(Stored { id: row::number(row, 10)?, entry, bytes }))
}

/// What `commit` does to indexes.
fn keeping<'a>(kept: &'a Kept, commit: &'a Commit, decided: &[Decided]) -> Result<Keeping<'a>> {
    let mut keeping = Keeping::new(commit);
    for (index, (write, Decided { stored, effect })) in commit.writes.iter().zip(decided).enumerate() {
        let indexes = kept.of(&write.address.namespace);
        let after = match &effect.store {
            Store::Put(entry) => Some(&**entry),
            Store::Remove => None,
            Store::Keep => continue,
        };
        if !indexes.is_empty() {
            keeping.write(index, indexes, stored.as_ref().map(|stored| &stored.entry), after)?;
        }
    }
    Ok(keeping)
}

/// Why `check` does not hold, if it does not.
fn refute(
    connection: &Connection,
    head: &mut Head,
    index: usize,
    check: &Check,
    now: Timestamp,
) -> Result<Option<Conflict>> {
    let part = Part::Check(index);
    match check {
        Check::Key { address, condition } => {
            // In a namespace that holds nothing there is nothing to look for: what every commit checks about being deleted
            // costs a group of them one question.
            let stored = match head.usage(connection, &address.namespace)?.entries {
                0 => None,
                _ => stored(connection, address, decide::check_needs_value(condition))?,
            };
            Ok(decide::check(condition, stored.as_ref().map(|stored| &stored.entry), now)
                .err()
                .map(|(expected, found)| Conflict { part, address: Some(address.clone()), expected, found }))
        }
        Check::Unchanged { range, since, read_at } => {
            let found = changed(connection, head, range, *since, *read_at, now)?;
            Ok(found.map(|found| Conflict { part, address: None, expected: Expected::Unchanged(*since), found }))
        }
        // Decided after the writes.
        Check::Quota { .. } => Ok(None),
    }
}

/// Which quota `commit` would exceed, if there is one.
fn exceeded(commit: &Commit, usages: &Usages<'_>) -> Option<Conflict> {
    for (index, check) in commit.checks.iter().enumerate() {
        let Check::Quota { namespace, quota } = check else { continue };
        // What a commit does not write to does not grow by it.
        let Some((before, after)) = usages.get(namespace) else { continue };
        if let Err((expected, found)) = decide::quota(quota, *before, *after) {
            return Some(Conflict { part: Part::Check(index), address: None, expected, found });
        }
    }
    None
}

fn changed(
    connection: &Connection,
    head: &Head,
    range: &Range,
    since: Revision,
    read_at: Timestamp,
    now: Timestamp,
) -> Result<Option<Found>> {
    let at = i64::try_from(since.get()).unwrap_or(i64::MAX);
    if at > head.revision() {
        return Ok(Some(Found::Head(Revision::new(head.revision().cast_unsigned()))));
    }
    let oldest = oldest_of(connection, head.oldest(), std::slice::from_ref(range))?;
    if at < oldest {
        return Ok(Some(Found::Trimmed(Revision::new(oldest.cast_unsigned()))));
    }
    let (condition, edges) = within(range, 3);
    let first = |sql: &str, a: i64, b: i64| {
        let mut parameters: Vec<&dyn ToSql> = vec![&a, &b];
        parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
        let mut statement = prepare(connection, sql)?;
        statement.query_row(&*parameters, |row| row.get::<_, i64>(0)).optional().map_err(explain)
    };
    let (in_log, _) = in_log(std::slice::from_ref(range), 3);
    let sql = format!("SELECT revision FROM log WHERE place >= ?1 AND ?2 = 0 AND {in_log} ORDER BY place LIMIT 1");
    if let Some(revision) = first(&sql, (at + 1).saturating_mul(PLACES), 0)? {
        return Ok(Some(Found::Changed(Revision::new(revision.cast_unsigned()))));
    }
    let sql = format!("SELECT 1 FROM entries WHERE expires_at > ?1 AND expires_at <= ?2 AND {condition} LIMIT 1");
    let (earlier, later) = (now.min(read_at), now.max(read_at));
    Ok(first(&sql, earlier.as_millis(), later.as_millis())?.map(|_| Found::Expired))
}

/// Appends a change to the log, with the entry stored under the id `before` as it is at this moment.
fn append(
    connection: &Connection,
    (revision, ordinal): (Revision, i64),
    at: Timestamp,
    kind: ChangeKind,
    address: &Address,
    before: Option<i64>,
) -> Result<()> {
    const CREATED: &str = "INSERT INTO log (place, revision, at, kind, namespace, key) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    const OTHER: &str = "INSERT INTO log SELECT ?1, ?2, ?3, ?4, namespace, key, version, revision, created_at, updated_at, \
        expires_at, json, encodings, metadata, value FROM entries WHERE id = ?5";
    let revision = revision.get().cast_signed();
    let place = revision * PLACES + ordinal;
    match before {
        None => {
            let (namespace, key) = (address.namespace.as_str(), address.key.as_str());
            run(connection, CREATED, (place, revision, at.as_millis(), kind.as_str(), namespace, key))
        }
        Some(id) => run(connection, OTHER, (place, revision, at.as_millis(), kind.as_str(), id)),
    }
}

/// Stores or removes an entry, and answers under which id it is stored then.
fn apply(connection: &Connection, address: &Address, stored: Option<&Stored>, store: Store) -> Result<Option<i64>> {
    const INSERT: &str = "INSERT INTO entries (version, revision, created_at, updated_at, expires_at, json, encodings, metadata, \
        value, namespace, key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    const UPDATE: &str = "UPDATE entries SET version = ?1, revision = ?2, created_at = ?3, updated_at = ?4, expires_at = ?5, \
        json = ?6, encodings = ?7, metadata = ?8, value = ?9 WHERE id = ?10";
    match store {
        Store::Keep => Ok(None),
        Store::Put(entry) => {
            let (encodings, value) = (row::encodings(&entry.value), row::value(&entry.value));
            let (version, revision) = (entry.version.get().cast_signed(), entry.revision.get().cast_signed());
            let expires_at = entry.expires_at.map(Timestamp::as_millis);
            let json = entry.value.kind() == ContentKind::Json;
            let metadata = row::metadata(&entry.metadata);
            let (created_at, updated_at) = (entry.created_at.as_millis(), entry.updated_at.as_millis());
            let (namespace, key) = (address.namespace.as_str(), address.key.as_str());
            match stored {
                Some(Stored { id, .. }) => {
                    run(
                        connection,
                        UPDATE,
                        params![version, revision, created_at, updated_at, expires_at, json, encodings, metadata, value, id],
                    )?;
                    Ok(Some(*id))
                }
                None => {
                    run(
                        connection,
                        INSERT,
                        params![
                            version, revision, created_at, updated_at, expires_at, json, encodings, metadata, value,
                            namespace, key
                        ],
                    )?;
                    Ok(Some(connection.last_insert_rowid()))
                }
            }
        }
        Store::Remove => {
            let id = stored.map(|stored| stored.id);
            run(connection, "DELETE FROM entries WHERE id = ?1", [id])?;
            Ok(None)
        }
    }
}

/// What is remembered of `id`.
pub(crate) fn remembered(connection: &Connection, id: CommitId) -> Result<Option<Resolution>> {
    let mut statement = prepare(connection, "SELECT revision, receipt FROM commits WHERE id = ?1")?;
    let mut rows = statement.query([id.as_bytes()]).map_err(explain)?;
    let Some(row) = rows.next().map_err(explain)? else { return Ok(None) };
    let Some(receipt) = row.get::<_, Option<String>>(1).map_err(explain)? else { return Ok(Some(Resolution::Never)) };
    let writes: Vec<(u64, u8, Option<i64>)> = receipt_rows(&receipt).ok_or_else(|| corrupt("a receipt cannot be read"))?;
    let written = |(version, existed, number)| Written { version: Version::new(version), existed: existed != 0, number };
    let revision = Revision::new(row::number(row, 0)?.cast_unsigned());
    Ok(Some(Resolution::Committed(Receipt { revision, writes: writes.into_iter().map(written).collect() })))
}

fn receipt_rows(receipt: &str) -> Option<Vec<(u64, u8, Option<i64>)>> {
    let rows: Vec<Vec<i64>> = serde_json::from_str(receipt).ok()?;
    rows.into_iter()
        .map(|row| match *row {
            [version, existed] => Some((version.cast_unsigned(), u8::from(existed != 0), None)),
            [version, existed, number] => Some((version.cast_unsigned(), u8::from(existed != 0), Some(number))),
            _ => None,
        })
        .collect()
}

fn remember(connection: &Connection, id: CommitId, receipt: &Receipt) -> Result<()> {
    use std::fmt::Write as _;
    let mut text = String::from("[");
    for (index, written) in receipt.writes.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}[{},{}", written.version, u8::from(written.existed));
        if let Some(number) = written.number {
            let _ = write!(text, ",{number}");
        }
        text.push(']');
    }
    text.push(']');
    let revision = receipt.revision.get().cast_signed();
    run(connection, "INSERT INTO commits (id, revision, receipt) VALUES (?1, ?2, ?3)", (id.as_bytes(), revision, text))
}

/// Makes sure that the commit `id`, of which nothing is remembered, never happens.
pub(crate) fn fence(connection: &Connection, head: &Head, id: CommitId) -> Result<Resolution> {
    if id.made_at().as_millis() < head.ids_from() {
        return Ok(Resolution::Forgotten);
    }
    run(connection, "INSERT INTO commits (id, revision, receipt) VALUES (?1, ?2, NULL)", (id.as_bytes(), head.revision()))?;
    Ok(Resolution::Never)
}

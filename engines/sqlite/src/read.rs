//! Queries: get, scan, list, count, status, each as of one moment.

use std::fmt::Write as _;

use larder_core::{
    Address, Entry, Lineage, Range, Result, Revision, Snapshot, StoreId, Timestamp,
    engine::{EngineStatus, Page, Scan},
};
use rusqlite::{Connection, Row, ToSql};

use crate::{
    error::{corrupt, explain},
    row::{self, ENTRY},
    shelf::Shelf,
};

/// A page ends early when it holds this many bytes.
pub(crate) const PAGE_BYTES_MAX: u64 = 8 << 20;

/// Runs `read` in a read transaction: every query in it sees the same moment.
pub(crate) fn one_moment<T>(connection: &Connection, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(explain)?;
    let answer = read(connection);
    if !connection.is_autocommit() {
        // Nothing was written, so there is nothing that ending could lose. After some errors SQLite has ended it itself.
        let ended = connection.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([])).map_err(explain);
        return answer.and_then(|answer| ended.map(|_| answer));
    }
    answer
}

pub(crate) fn head(connection: &Connection) -> Result<Revision> {
    let mut statement = connection.prepare_cached("SELECT revision FROM store").map_err(explain)?;
    let revision: i64 = statement.query_row([], |row| row.get(0)).map_err(explain)?;
    Ok(Revision::new(revision.cast_unsigned()))
}

pub(crate) fn get(connection: &Connection, addresses: &[Address], now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
    // A single statement is a moment of its own; its row is there whether the entry is or not.
    let one = |address: &Address| -> Result<(Revision, Option<Entry>)> {
        const GET: &str = "SELECT store.revision, version, entries.revision, created_at, updated_at, expires_at, json, encodings, \
            metadata, value FROM store LEFT JOIN entries ON namespace = ?1 AND key = ?2";
        let mut statement = connection.prepare_cached(GET).map_err(explain)?;
        let mut rows = statement.query((address.namespace.as_str(), address.key.as_str())).map_err(explain)?;
        let row = rows.next().map_err(explain)?.ok_or_else(|| corrupt("the table store is empty"))?;
        let entry = row::entry(row, 1, || Ok(address.clone()))?.filter(|entry| !entry.is_expired(now));
        Ok((Revision::new(row::number(row, 0)?.cast_unsigned()), entry))
    };
    if let [address] = addresses {
        let (revision, entry) = one(address)?;
        return Ok(Snapshot { revision, value: vec![entry] });
    }
    one_moment(connection, |connection| {
        let value = addresses.iter().map(|address| one(address).map(|(_, entry)| entry)).collect::<Result<_>>()?;
        Ok(Snapshot { revision: head(connection)?, value })
    })
}

/// A condition for the rows of a range, and its parameters, numbered from `first`.
pub(crate) fn within(range: &Range, first: usize) -> (String, Vec<String>) {
    condition(range, ["namespace", "key"], first)
}

/// As [`within`], where the namespace and the key are told by these expressions.
fn condition(range: &Range, [namespace, key]: [&str; 2], first: usize) -> (String, Vec<String>) {
    let (a, b, c, d) = (first, first + 1, first + 2, first + 3);
    let own = |text: &str| text.to_owned();
    let start = range.start();
    if range.is_one_key() {
        return (format!("{namespace} = ?{a} AND {key} = ?{b}"), vec![own(&start.namespace), own(&start.key)]);
    }
    // With the namespace fixed SQLite reads the index from the first key to the last; else it compares row values.
    match (range.within_namespace(), range.end()) {
        (Some((name, from, Some(to))), _) => {
            (format!("{namespace} = ?{a} AND {key} >= ?{b} AND {key} < ?{c}"), vec![own(name), own(from), own(to)])
        }
        (Some((name, from, None)), _) => (format!("{namespace} = ?{a} AND {key} >= ?{b}"), vec![own(name), own(from)]),
        (None, Some(end)) => (
            format!("({namespace}, {key}) >= (?{a}, ?{b}) AND ({namespace}, {key}) < (?{c}, ?{d})"),
            vec![own(&start.namespace), own(&start.key), own(&end.namespace), own(&end.key)],
        ),
        (None, None) => (format!("({namespace}, {key}) >= (?{a}, ?{b})"), vec![own(&start.namespace), own(&start.key)]),
    }
}

pub(crate) fn scan(connection: &Connection, scan: &Scan) -> Result<Snapshot<Page<Entry>>> {
    let mut shelf = Shelf::default();
    page(connection, scan, ENTRY, |row, address| {
        let entry = row::entry_on(&mut shelf, row, 2, || Ok(address))?.ok_or_else(|| corrupt("an entry has no version"))?;
        let bytes = entry.bytes();
        Ok((entry, bytes))
    })
}

pub(crate) fn list(connection: &Connection, scan: &Scan) -> Result<Snapshot<Page<Address>>> {
    page(connection, scan, "NULL", |_, address| Ok((address, 0)))
}

fn page<T>(
    connection: &Connection,
    scan: &Scan,
    columns: &str,
    mut item: impl FnMut(&Row<'_>, Address) -> Result<(T, u64)>,
) -> Result<Snapshot<Page<T>>> {
    if scan.limit == 0 {
        // Who asks for nothing asks for the revision, and whoever watches does so all the time.
        return Ok(Snapshot { revision: head(connection)?, value: Page { items: Vec::new(), more: false } });
    }
    let (condition, edges) = within(&scan.range, 3);
    let order = if scan.reverse { "namespace DESC, key DESC" } else { "namespace, key" };
    one_moment(connection, |connection| {
        let revision = head(connection)?;
        let live = live(connection, scan.now)?;
        let sql = format!("SELECT namespace, key, {columns} FROM entries WHERE {condition}{live} ORDER BY {order} LIMIT ?2");
        let mut statement = connection.prepare_cached(&sql).map_err(explain)?;
        let now = scan.now.as_millis();
        // One more than asked for tells whether there is more.
        let limit = i64::try_from(scan.limit).unwrap_or(i64::MAX).saturating_add(1);
        let mut parameters: Vec<&dyn ToSql> = vec![&now, &limit];
        parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
        let mut rows = statement.query(&*parameters).map_err(explain)?;
        let mut page = Page { items: Vec::new(), more: false };
        let mut bytes = 0;
        let mut namespace = None;
        while let Some(row) = rows.next().map_err(explain)? {
            if page.items.len() == scan.limit || bytes >= PAGE_BYTES_MAX {
                page.more = !page.items.is_empty();
                break;
            }
            let address = row::address_like(row, 0, &mut namespace)?;
            let (item, item_bytes) = item(row, address)?;
            page.items.push(item);
            bytes += item_bytes;
        }
        Ok(Snapshot { revision, value: page })
    })
}

/// The condition that sorts out what has expired, if anything has; the moment is parameter 1.
///
/// Mostly nothing has, and then the index of keys alone answers what is asked of keys alone.
pub(crate) fn live(connection: &Connection, now: Timestamp) -> Result<&'static str> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM entries WHERE expires_at <= ?1)").map_err(explain)?;
    let expired = statement.query_row([now.as_millis()], |row| row.get(0)).map_err(explain)?;
    Ok(if expired { " AND (expires_at IS NULL OR expires_at > ?1)" } else { "" })
}

pub(crate) fn count(connection: &Connection, range: &Range, now: Timestamp) -> Result<Snapshot<u64>> {
    let (condition, edges) = within(range, 2);
    one_moment(connection, |connection| {
        let sql = format!("SELECT count(*) FROM entries WHERE {condition}{}", live(connection, now)?);
        let mut statement = connection.prepare_cached(&sql).map_err(explain)?;
        let now = now.as_millis();
        let mut parameters: Vec<&dyn ToSql> = vec![&now];
        parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
        let count: i64 = statement.query_row(&*parameters, |row| row.get(0)).map_err(explain)?;
        Ok(Snapshot { revision: head(connection)?, value: count.cast_unsigned() })
    })
}

pub(crate) fn expired(connection: &Connection, now: Timestamp, limit: usize) -> Result<Vec<Address>> {
    let sql = "SELECT namespace, key FROM entries WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).map_err(explain)?;
    let mut rows = statement.query((now.as_millis(), i64::try_from(limit).unwrap_or(i64::MAX))).map_err(explain)?;
    let (mut found, mut namespace) = (Vec::new(), None);
    while let Some(row) = rows.next().map_err(explain)? {
        found.push(row::address_like(row, 0, &mut namespace)?);
    }
    Ok(found)
}

pub(crate) fn status(connection: &Connection, now: Timestamp) -> Result<EngineStatus> {
    one_moment(connection, |connection| {
        let expired = "SELECT count(*), coalesce(sum(octet_length(key) + octet_length(value) + coalesce(octet_length(metadata), 0)), 0) \
            FROM entries WHERE expires_at <= ?1";
        let (gone, gone_bytes): (i64, i64) =
            connection.query_row(expired, [now.as_millis()], |row| Ok((row.get(0)?, row.get(1)?))).map_err(explain)?;
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).map_err(explain)?;
        let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(explain)?;
        let sql = "SELECT store_id, lineage, revision, entries, bytes, oldest, changes, log_bytes FROM store";
        let mut statement = connection.prepare_cached(sql).map_err(explain)?;
        let mut rows = statement.query([]).map_err(explain)?;
        let row = rows.next().map_err(explain)?.ok_or_else(|| corrupt("the table store is empty"))?;
        let store: String = row.get(0).map_err(explain)?;
        let unsigned = |column| row::number(row, column).map(i64::cast_unsigned);
        Ok(EngineStatus {
            store: store.parse::<StoreId>().map_err(|_| corrupt("its identity cannot be read"))?,
            lineage: Lineage::new(unsigned(1)?),
            revision: Revision::new(unsigned(2)?),
            entries: unsigned(3)?.saturating_sub(gone.cast_unsigned()),
            bytes: unsigned(4)?.saturating_sub(gone_bytes.cast_unsigned()),
            size: Some((pages * page_bytes).cast_unsigned()),
            oldest: Revision::new(unsigned(5)?),
            changes: unsigned(6)?,
            log_bytes: unsigned(7)?,
        })
    })
}

/// A condition for the rows in any of `ranges`, and its parameters, numbered from `first`.
pub(crate) fn within_any(ranges: &[Range], first: usize) -> (String, Vec<String>) {
    any(ranges, ["namespace", "key"], first)
}

/// As [`within_any`], for a question to the log that is answered in the order of places.
///
/// One key has an index in that order. Of a wider range too much may be there to be sorted for every page, so the log is
/// read in its own order: the pluses keep SQLite from thinking otherwise.
pub(crate) fn in_log(ranges: &[Range], first: usize) -> (String, Vec<String>) {
    match ranges {
        [range] if range.is_one_key() => within(range, first),
        _ => any(ranges, ["+namespace", "+key"], first),
    }
}

fn any(ranges: &[Range], names: [&str; 2], first: usize) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut edges = Vec::new();
    for range in ranges {
        let (part, part_edges) = condition(range, names, first + edges.len());
        let joint = if text.is_empty() { "" } else { " OR " };
        write!(text, "{joint}({part})").expect("writing to a String does not fail");
        edges.extend(part_edges);
    }
    if text.is_empty() { ("TRUE".to_owned(), edges) } else { (format!("({text})"), edges) }
}

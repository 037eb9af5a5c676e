//! Push-down: filters answered where the rows are.
//!
//! A call looks at a bounded piece of the range: its end is found along the index of keys, then SQL sorts out within it.

use larder_core::{
    Address, BoxFuture, Entry, Filter, Range, Result, Snapshot,
    engine::{Filtered, Pushdown, Scan},
    query::{Condition, Fit, Matcher},
};
use rusqlite::{Connection, ErrorCode, ToSql};

use crate::{
    condition::{self, Sql},
    engine::SqliteEngine,
    error::{corrupt, explain},
    read::{self, PAGE_BYTES_MAX, head, live, one_moment, within},
    row::{self, ENTRY},
    shelf::Shelf,
};

/// How many rows a call looks at: some for each item that is wanted, between these bounds.
const ROWS_PER_ITEM: usize = 2;
const ROWS_MIN: usize = 512;
const ROWS_MAX: usize = 8192;

impl Pushdown for SqliteEngine {
    fn fit(&self, condition: &Condition) -> Fit {
        condition::fit(condition)
    }

    fn filter(&self, scan: Scan, filter: Filter) -> BoxFuture<'_, Result<Snapshot<Filtered>>> {
        self.readers.read(false, move |connection| filtered(connection, &scan, &filter))
    }
}

fn filtered(connection: &Connection, scan: &Scan, filter: &Filter) -> Result<Snapshot<Filtered>> {
    // Parameters 1 and 2 are the clock and a number, and a range has at most four.
    let answer = match Sql::of(filter, 7) {
        Some(sql) => one_moment(connection, |connection| {
            let revision = head(connection)?;
            Ok(by_sql(connection, scan, &sql)?.map(|value| Snapshot { revision, value }))
        })?,
        None => None,
    };
    answer.map_or_else(|| by_scan(connection, scan, filter), Ok)
}

/// A page of the range, of which SQL lets some through; `None` where SQLite cannot read what is stored.
fn by_sql(connection: &Connection, scan: &Scan, sql: &Sql) -> Result<Option<Filtered>> {
    let (limit, live) = (scan.limit.max(1), live(connection, scan.now)?);
    let rows = limit.saturating_mul(ROWS_PER_ITEM).clamp(ROWS_MIN, ROWS_MAX);
    let end = row_at(connection, scan, live, rows)?;
    let piece = end.as_ref().map_or_else(|| scan.range.clone(), |end| upto(scan, end));

    let (condition, edges) = within(&piece, 3);
    let order = if scan.reverse { "namespace DESC, key DESC" } else { "namespace, key" };
    let text = format!(
        "SELECT namespace, key, {ENTRY} FROM entries WHERE {condition}{live} AND {} ORDER BY {order} LIMIT ?2",
        sql.text
    );
    let mut statement = connection.prepare_cached(&text).map_err(explain)?;
    let names = [&scan.now.as_millis() as &dyn ToSql, &i64::try_from(limit).unwrap_or(i64::MAX)];
    let ranges = edges.iter().map(|edge| edge as &dyn ToSql);
    let numbered = names.into_iter().chain(ranges).enumerate().map(|(index, value)| (index + 1, value));
    let values = sql.parameters.iter().enumerate().map(|(index, value)| (index + 7, value as &dyn ToSql));
    for (index, value) in numbered.chain(values) {
        statement.raw_bind_parameter(index, value).map_err(explain)?;
    }
    let mut found = statement.raw_query();
    let (mut items, mut bytes, mut namespace, mut full) = (Vec::<Entry>::new(), 0, None, false);
    let mut shelf = Shelf::default();
    while !full {
        let row = match found.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            // The JSON of a row was damaged, and SQLite says no more of the others.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => return Ok(None),
            Err(error) => return Err(explain(error)),
        };
        let address = row::address_like(row, 0, &mut namespace)?;
        let entry = row::entry_on(&mut shelf, row, 2, || Ok(address))?.ok_or_else(|| corrupt("an entry has no version"))?;
        bytes += entry.bytes();
        items.push(entry);
        full = items.len() == limit || bytes >= PAGE_BYTES_MAX;
    }
    drop(found);
    drop(statement);

    let through = if full { items.last().map(|last| last.address.clone()) } else { end };
    let examined = match &through {
        Some(last) if full => rows_in(connection, scan, live, &upto(scan, last))?,
        Some(_) => rows as u64,
        None => rows_in(connection, scan, live, &piece)?,
    };
    Ok(Some(Filtered { items, examined, through }))
}

/// The part of the range up to `last`, and with it.
fn upto(scan: &Scan, last: &Address) -> Range {
    if scan.reverse { scan.range.clone().from(last) } else { scan.range.clone().through(last) }
}

/// The address of the row with this number, counted from 1, if there are so many.
fn row_at(connection: &Connection, scan: &Scan, live: &str, number: usize) -> Result<Option<Address>> {
    let (condition, edges) = within(&scan.range, 3);
    let order = if scan.reverse { "namespace DESC, key DESC" } else { "namespace, key" };
    let text = format!("SELECT namespace, key FROM entries WHERE {condition}{live} ORDER BY {order} LIMIT 1 OFFSET ?2");
    let mut statement = connection.prepare_cached(&text).map_err(explain)?;
    let (now, offset) = (scan.now.as_millis(), i64::try_from(number - 1).unwrap_or(i64::MAX));
    let mut parameters: Vec<&dyn ToSql> = vec![&now, &offset];
    parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
    let mut rows = statement.query(&*parameters).map_err(explain)?;
    let Some(row) = rows.next().map_err(explain)? else { return Ok(None) };
    row::address_like(row, 0, &mut None).map(Some)
}

fn rows_in(connection: &Connection, scan: &Scan, live: &str, range: &Range) -> Result<u64> {
    let (condition, edges) = within(range, 2);
    let text = format!("SELECT count(*) FROM entries WHERE {condition}{live}");
    let mut statement = connection.prepare_cached(&text).map_err(explain)?;
    let now = scan.now.as_millis();
    let mut parameters: Vec<&dyn ToSql> = vec![&now];
    parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
    let count: i64 = statement.query_row(&*parameters, |row| row.get(0)).map_err(explain)?;
    Ok(count.cast_unsigned())
}

/// The same without SQL, for filters of a size that it does not take, and for what it cannot read.
fn by_scan(connection: &Connection, scan: &Scan, filter: &Filter) -> Result<Snapshot<Filtered>> {
    let matcher = Matcher::new(filter)?;
    let scan = Scan { limit: scan.limit.max(1), ..scan.clone() };
    let Snapshot { revision, value: mut page } = read::scan(connection, &scan)?;
    let through = page.items.last().filter(|_| page.more).map(|last| last.address.clone());
    let examined = page.items.len() as u64;
    page.items.retain(|entry| matcher.matches(entry));
    Ok(Snapshot { revision, value: Filtered { items: page.items, examined, through } })
}

#[cfg(test)]
mod tests {
    use larder_core::{Namespace, Timestamp};

    use super::*;

    /// Bytes might be a binary form of JSON to SQLite, or none, and then it would say nothing of the others.
    #[test]
    fn what_is_opaque_is_not_read_as_json() {
        let file = Connection::open_in_memory().expect("opens");
        file.execute_batch(crate::SCHEMA).expect("the schema is good SQL");
        for (key, json, value) in [("a", 1, "'{\"n\":1}'"), ("b", 0, "x'ff'"), ("c", 0, "CAST('{\"n\":1}' AS BLOB)")] {
            let text = format!(
                "INSERT INTO entries (namespace, key, version, revision, created_at, updated_at, json, value) \
                 VALUES ('default', '{key}', 1, 1, 0, 0, {json}, {value})"
            );
            file.execute(&text, []).expect("writes");
        }
        let range = Range::namespace(&Namespace::default());
        let scan = Scan { range, reverse: false, limit: 9, now: Timestamp::EPOCH };
        for text in ["n = 1", "n > 0", "n exists", "tags[] = \"x\" or n = 1"] {
            let sql = Sql::of(&Filter::parse(text).expect("a filter"), 7).expect("it is small");
            let found = by_sql(&file, &scan, &sql).expect("answers").expect("SQLite can read what is stored");
            let keys: Vec<&str> = found.items.iter().map(|entry| entry.address.key.as_str()).collect();
            assert_eq!((keys, found.examined, found.through), (vec!["a"], 3, None), "{text}");
        }
    }
}

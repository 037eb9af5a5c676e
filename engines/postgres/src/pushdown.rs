//! Push-down: filters answered at the server, so that what they do not let through never goes over the line.
//!
//! A call looks at a bounded piece of the range, in one statement that reads it once in the order of its index.

use larder_core::{
    Address, BoxFuture, Entry, ErrorKind, Filter, Result, Snapshot,
    engine::{Filtered, Pushdown, Scan},
    query::{Condition, Fit, Matcher},
};
use tokio_postgres::types::ToSql;

use crate::{
    condition::{self, Sql},
    engine::PostgresEngine,
    error::corrupt,
    range::within,
    read::{self, BYTES, ENTRY, LIVE, PAGE_BYTES_MAX, parameters},
    readers::Readers,
    row::{self, cell, number, unsigned},
};

/// How many rows a call looks at: some for each item that is wanted, between these bounds.
const ROWS_PER_ITEM: usize = 8;
const ROWS_MIN: usize = 512;
const ROWS_MAX: usize = 8192;

impl Pushdown for PostgresEngine {
    fn fit(&self, condition: &Condition) -> Fit {
        condition::fit(condition)
    }

    fn filter(&self, scan: Scan, filter: Filter) -> BoxFuture<'_, Result<Snapshot<Filtered>>> {
        Box::pin(async move {
            // The clock, two numbers, and at most four parameters of a range come first.
            if let Some(sql) = Sql::of(&filter, 8) {
                match by_sql(&self.readers, &scan, &sql).await {
                    // JSON that the server cannot read, such as a number with more digits than it takes: it says nothing of
                    // the others then.
                    Err(error) if [ErrorKind::Unsupported, ErrorKind::Limit].contains(&error.kind()) => {}
                    answer => return answer,
                }
            }
            by_scan(&self.readers, &scan, &filter).await
        })
    }
}

/// A page of the range, of which SQL lets some through.
async fn by_sql(readers: &Readers, scan: &Scan, sql: &Sql) -> Result<Snapshot<Filtered>> {
    let limit = scan.limit.max(1);
    let rows = limit.saturating_mul(ROWS_PER_ITEM).clamp(ROWS_MIN, ROWS_MAX);
    let (condition, mut edges) = within(&scan.range, 4);
    let own = edges.len();
    // The filter's parameters have numbers of their own, so that its text depends on its shape alone.
    edges.resize(4, String::new());
    let unused: Vec<String> = (own..4).map(|index| format!("${}::text IS NOT NULL", index + 4)).collect();
    let unused = if unused.is_empty() { "TRUE".to_owned() } else { unused.join(" AND ") };
    let order = if scan.reverse { "namespace DESC, key DESC" } else { "namespace, key" };
    let piece = format!("FROM entries WHERE {LIVE} AND {condition} AND {unused} ORDER BY {order}");
    let text = format!(
        "SELECT store.revision, passed.*, ended.namespace, ended.key, (SELECT count(*) FROM (SELECT 1 {piece} LIMIT $2) AS rows) \
         FROM store LEFT JOIN LATERAL (SELECT namespace, key {piece} LIMIT 1 OFFSET $2::bigint - 1) AS ended ON TRUE \
         LEFT JOIN LATERAL (SELECT namespace, key, {ENTRY}, place, running FROM \
         (SELECT *, {BYTES} AS bytes, sum({BYTES}) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS running FROM \
         (SELECT *, row_number() OVER (ORDER BY {order}) AS place FROM (SELECT * {piece} LIMIT $2) AS piece) AS looked \
         WHERE {filter}) AS passing WHERE running - bytes < {PAGE_BYTES_MAX} ORDER BY {order} LIMIT $3) AS passed ON TRUE",
        filter = sql.text
    );
    let (now, looked, most) = (scan.now.as_millis(), row::signed(rows as u64), row::signed(limit as u64));
    let mut given = parameters(&[&now, &looked, &most], &edges);
    given.extend(sql.parameters.iter().map(|value| &**value as &(dyn ToSql + Sync)));
    let found = readers.ask(false, &text, &given).await?;
    let first = found.first().ok_or_else(|| corrupt("the table store is empty"))?;
    let (mut items, mut namespace, mut last) = (Vec::<Entry>::new(), None, None);
    for row in &found {
        if cell::<Option<&str>>(row, 1)?.is_none() {
            break;
        }
        let address = row::address_like(row, 1, &mut namespace)?;
        let entry = row::entry(row, 3, || Ok(address))?.ok_or_else(|| corrupt("an entry has no version"))?;
        items.push(entry);
        last = Some((number(row, 12)?, cell::<Option<i64>>(row, 13)?.unwrap_or(0)));
    }
    let end = match cell::<Option<&str>>(first, 14)? {
        Some(_) => Some(row::address_like(first, 14, &mut namespace)?),
        None => None,
    };
    let full = |(_, bytes): &(i64, i64)| items.len() == limit || *bytes >= PAGE_BYTES_MAX;
    let (examined, through): (u64, Option<Address>) = match last.filter(full) {
        Some((place, _)) => (place.cast_unsigned(), items.last().map(|last| last.address.clone())),
        None => (unsigned(first, 16)?, end),
    };
    Ok(Snapshot { revision: row::revision(first, 0)?, value: Filtered { items, examined, through } })
}

/// The same without SQL, for filters of a size that it does not take, and for what it cannot read.
async fn by_scan(readers: &Readers, scan: &Scan, filter: &Filter) -> Result<Snapshot<Filtered>> {
    let matcher = Matcher::new(filter)?;
    let scan = Scan { limit: scan.limit.max(1), ..scan.clone() };
    let Snapshot { revision, value: mut page } = read::scan(readers, scan).await?;
    let through = page.items.last().filter(|_| page.more).map(|last| last.address.clone());
    let examined = page.items.len() as u64;
    page.items.retain(|entry| matcher.matches(entry));
    Ok(Snapshot { revision, value: Filtered { items: page.items, examined, through } })
}

//! Questions of one statement: get, scan, list, count, usage, expired, status, each as of one moment.

use larder_core::{
    Address, Entry, Lineage, Namespace, Range, Result, Revision, Snapshot, StoreId, Timestamp, Usage,
    engine::{EngineStatus, Page, Scan},
};
use tokio_postgres::{Row, types::ToSql};

use crate::{
    error::corrupt,
    range::within,
    readers::Readers,
    row::{self, cell, number, unsigned},
};

/// A page ends early when it holds this many bytes.
pub(crate) const PAGE_BYTES_MAX: i64 = 8 << 20;

/// Questions of up to this many rows count as small.
const SMALL: usize = 128;

/// The columns of an entry in the table `entries`.
pub(crate) const ENTRY: &str = "version, revision, created_at, updated_at, expires_at, json, encodings, metadata, value";

/// The bytes of an entry, its key included, without looking at them.
pub(crate) const BYTES: &str = "octet_length(key) + coalesce(octet_length(value), 0) + coalesce(octet_length(metadata), 0)";

/// The condition that sorts out what has expired at the moment in parameter 1.
pub(crate) const LIVE: &str = "(expires_at IS NULL OR expires_at > $1)";

/// Parameters: those that are always there, then the bounds of ranges.
pub(crate) fn parameters<'a>(first: &[&'a (dyn ToSql + Sync)], edges: &'a [String]) -> Vec<&'a (dyn ToSql + Sync)> {
    first.iter().copied().chain(edges.iter().map(|edge| edge as &(dyn ToSql + Sync))).collect()
}

/// What every statement answers at least one row of, because it begins at the row of the store.
fn first(rows: &[Row]) -> Result<&Row> {
    rows.first().ok_or_else(|| corrupt("the table store is empty"))
}

pub(crate) async fn get(readers: &Readers, addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
    let live = |entry: Option<Entry>| entry.filter(|entry| !entry.is_expired(now));
    if let [address] = &addresses[..] {
        const ONE: &str = "SELECT store.revision, version, entries.revision, created_at, updated_at, expires_at, json, encodings, \
            metadata, value FROM store LEFT JOIN entries ON namespace = $1 AND key = $2";
        let rows = readers.ask(true, ONE, &[&address.namespace.as_str(), &address.key.as_str()]).await?;
        let row = first(&rows)?;
        let entry = live(row::entry(row, 1, || Ok(address.clone()))?);
        return Ok(Snapshot { revision: row::revision(row, 0)?, value: vec![entry] });
    }
    const MANY: &str = "SELECT store.revision, asked.place, version, entries.revision, created_at, updated_at, expires_at, json, \
        encodings, metadata, value FROM store LEFT JOIN (unnest($1::text[], $2::text[]) WITH ORDINALITY \
        AS asked (asked_namespace, asked_key, place) JOIN entries ON namespace = asked_namespace AND key = asked_key) ON TRUE";
    let namespaces: Vec<&str> = addresses.iter().map(|address| address.namespace.as_str()).collect();
    let keys: Vec<&str> = addresses.iter().map(|address| address.key.as_str()).collect();
    let rows = readers.ask(addresses.len() <= SMALL, MANY, &[&namespaces, &keys]).await?;
    let mut value = vec![None; addresses.len()];
    for row in &rows {
        let Some(place) = cell::<Option<i64>>(row, 1)? else { continue };
        let index = usize::try_from(place - 1).ok().filter(|index| *index < value.len());
        let index = index.ok_or_else(|| corrupt("an answer is to no question"))?;
        value[index] = live(row::entry(row, 2, || Ok(addresses[index].clone()))?);
    }
    Ok(Snapshot { revision: row::revision(first(&rows)?, 0)?, value })
}

pub(crate) async fn scan(readers: &Readers, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
    // The running sum looks at no value, only at how long each is.
    let entries = |condition: &str, order: &str| {
        format!(
            "SELECT namespace, key, {ENTRY}, running FROM (SELECT *, sum({BYTES}) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) \
             AS running, {BYTES} AS bytes FROM entries WHERE {LIVE} AND {condition} ORDER BY {order} LIMIT $2) AS found \
             WHERE running - bytes < {PAGE_BYTES_MAX}"
        )
    };
    page(readers, &scan, entries, |row, address| {
        let entry = row::entry(row, 3, || Ok(address))?.ok_or_else(|| corrupt("an entry has no version"))?;
        Ok((entry, cell::<Option<i64>>(row, 12)?.unwrap_or(0)))
    })
    .await
}

pub(crate) async fn list(readers: &Readers, scan: Scan) -> Result<Snapshot<Page<Address>>> {
    let keys = |condition: &str, order: &str| {
        format!("SELECT namespace, key FROM entries WHERE {LIVE} AND {condition} ORDER BY {order} LIMIT $2")
    };
    page(readers, &scan, keys, |_, address| Ok((address, 0))).await
}

/// One page of what `question` answers in this order, with the bytes that were met so far.
async fn page<T>(
    readers: &Readers,
    scan: &Scan,
    question: impl Fn(&str, &str) -> String,
    item: impl Fn(&Row, Address) -> Result<(T, i64)>,
) -> Result<Snapshot<Page<T>>> {
    if scan.limit == 0 {
        // Who asks for nothing asks for the revision, and whoever watches does so all the time.
        let rows = readers.ask(true, "SELECT revision FROM store", &[]).await?;
        return Ok(Snapshot { revision: row::revision(first(&rows)?, 0)?, value: Page { items: Vec::new(), more: false } });
    }
    let (condition, edges) = within(&scan.range, 3);
    let order = if scan.reverse { "namespace DESC, key DESC" } else { "namespace, key" };
    let question = question(&condition, order);
    let sql = format!("SELECT store.revision, page.* FROM store LEFT JOIN LATERAL ({question}) AS page ON TRUE");
    // One more than asked for tells whether there is more.
    let (now, limit) = (scan.now.as_millis(), row::signed(scan.limit as u64).saturating_add(1));
    let rows = readers.ask(scan.limit <= SMALL, &sql, &parameters(&[&now, &limit], &edges)).await?;
    let mut found = Page { items: Vec::new(), more: false };
    let mut namespace = None;
    for row in &rows {
        if cell::<Option<&str>>(row, 1)?.is_none() {
            break;
        }
        if found.items.len() == scan.limit {
            found.more = true;
            break;
        }
        let (item, bytes) = item(row, row::address_like(row, 1, &mut namespace)?)?;
        found.items.push(item);
        found.more = bytes >= PAGE_BYTES_MAX;
    }
    Ok(Snapshot { revision: row::revision(first(&rows)?, 0)?, value: found })
}

pub(crate) async fn count(readers: &Readers, range: Range, now: Timestamp) -> Result<Snapshot<u64>> {
    let (condition, edges) = within(&range, 2);
    let sql = format!("SELECT revision, (SELECT count(*) FROM entries WHERE {LIVE} AND {condition}) FROM store");
    let rows = readers.ask(false, &sql, &parameters(&[&now.as_millis()], &edges)).await?;
    let row = first(&rows)?;
    Ok(Snapshot { revision: row::revision(row, 0)?, value: unsigned(row, 1)? })
}

pub(crate) async fn usage(readers: &Readers, namespace: Namespace) -> Result<Snapshot<Usage>> {
    const SQL: &str = "SELECT revision, coalesce(namespaces.entries, 0), coalesce(namespaces.bytes, 0), \
        coalesce(namespaces.log_bytes, 0) FROM store LEFT JOIN namespaces ON namespace = $1";
    let rows = readers.ask(true, SQL, &[&namespace.as_str()]).await?;
    let row = first(&rows)?;
    Ok(Snapshot { revision: row::revision(row, 0)?, value: usage_at(row, 1)? })
}

/// What a namespace takes, from this column on.
pub(crate) fn usage_at(row: &Row, first: usize) -> Result<Usage> {
    Ok(Usage { entries: unsigned(row, first)?, bytes: unsigned(row, first + 1)?, log_bytes: unsigned(row, first + 2)? })
}

pub(crate) async fn expired(readers: &Readers, now: Timestamp, limit: usize) -> Result<Vec<Address>> {
    const SQL: &str = "SELECT namespace, key FROM entries WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2";
    let rows = readers.ask(limit <= SMALL, SQL, &[&now.as_millis(), &row::signed(limit as u64)]).await?;
    let mut namespace = None;
    rows.iter().map(|row| row::address_like(row, 0, &mut namespace)).collect()
}

pub(crate) async fn status(readers: &Readers, now: Timestamp) -> Result<EngineStatus> {
    let sql = format!(
        "SELECT store_id, lineage, revision, entries - gone, bytes - gone_bytes, oldest, changes, log_bytes, \
         (SELECT sum(pg_total_relation_size(name::regclass))::bigint \
         FROM unnest(ARRAY['store', 'entries', 'log', 'namespaces', 'commits', 'indexes', 'terms', 'larder_format']) AS name) \
         FROM store, (SELECT count(*) AS gone, coalesce(sum({BYTES}), 0)::bigint AS gone_bytes \
         FROM entries WHERE expires_at <= $1) AS expired"
    );
    let rows = readers.ask(false, &sql, &[&now.as_millis()]).await?;
    let row = first(&rows)?;
    Ok(EngineStatus {
        store: cell::<&str>(row, 0)?.parse::<StoreId>().map_err(|_| corrupt("the identity of the store cannot be read"))?,
        lineage: Lineage::new(unsigned(row, 1)?),
        revision: Revision::new(unsigned(row, 2)?),
        entries: unsigned(row, 3)?,
        bytes: unsigned(row, 4)?,
        oldest: Revision::new(unsigned(row, 5)?),
        changes: unsigned(row, 6)?,
        log_bytes: unsigned(row, 7)?,
        size: Some(number(row, 8)?.cast_unsigned()),
    })
}

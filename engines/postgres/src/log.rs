//! The log: read with both sides of every change.

use std::sync::Arc;

use futures_util::future::join;
use larder_core::{Change, Changes, ChangesQuery, Error, Lineage, LogOrder, Namespace, Range, Result, Revision, Timestamp};
use tokio_postgres::Row;

use crate::{
    error::Attempt,
    range::{within, within_any},
    read::{PAGE_BYTES_MAX, parameters},
    readers::{BEGIN, END, Readers},
    row::{self, cell, number, signed},
    session::Session,
};

/// How many changes a commit has room for in the log: a write makes two at most, when it meets an expired entry.
pub(crate) const PLACES: i64 = 8192;
const _: () = assert!(PLACES as usize >= 2 * crate::engine::LIMITS.commit_writes);

/// How many changes a page of the log holds at most, unless a single commit made more.
const PAGE_CHANGES_MAX: usize = 4096;

/// What has happened in the last so many revisions is looked through as a whole, whatever is asked about.
const TAIL_FEW: i64 = 256;

/// So many changes in the log are found by their keys and sorted, rather than looked for among those of everybody else.
const FEW: i64 = 1000;

pub(crate) async fn changes(readers: &Arc<Readers>, query: ChangesQuery) -> Result<Changes> {
    query.verify().map_err(|error| error.engine("postgres"))?;
    let query = Arc::new(query);
    readers.one_moment(move |session| look(session, query.clone())).await
}

async fn look(session: Arc<Session>, query: Arc<ChangesQuery>) -> Attempt<Changes> {
    let ranges = (!query.gaps).then_some(&*query.ranges);
    let reached = begin(&session, query.lineage, query.after, ranges).await?;
    let found = match reached {
        Ok(reached) => read(&session, &query, reached).await.map(Ok)?,
        Err(refusal) => Err(refusal.into()),
    };
    session.run(END).await?;
    found
}

/// Where the log stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    pub(crate) head: i64,
    /// The first place after the revision that was asked about.
    pub(crate) first: i64,
    /// Whether hardly anything has happened since, as for a moment that was chosen just now.
    pub(crate) is_short: bool,
}

/// Begins a transaction and looks where the log stands, if it tells everything about `ranges` after the revision `after` of
/// `lineage`, or everything but for gaps when no ranges are given.
pub(crate) async fn begin(
    session: &Session,
    lineage: Lineage,
    after: Revision,
    ranges: Option<&[Range]>,
) -> Attempt<Result<Reached>> {
    const STORE: &str = "SELECT lineage, revision, oldest FROM store";
    session.prepare(&[STORE, FLOORS]).await?;
    let asked = join(session.row(STORE, &[]), session.query(FLOORS, &[]));
    let (began, (store, floors)) = join(session.run(BEGIN), asked).await;
    began?;
    let store = store?;
    let (own, head, oldest) = (row::unsigned(&store, 0)?, number(&store, 1)?, number(&store, 2)?);
    let floors = Floors::read(&floors?)?;
    let oldest = ranges.map_or(oldest, |ranges| floors.oldest_of(oldest, ranges));
    let after = signed(after.get());
    if own != lineage.get() || after < oldest || after > head {
        return Ok(Err(Error::trimmed(Revision::new(oldest.cast_unsigned())).engine("postgres")));
    }
    let first = after.saturating_add(1).saturating_mul(PLACES);
    Ok(Ok(Reached { head, first, is_short: head - after <= TAIL_FEW }))
}

/// The namespaces that were trimmed by themselves.
pub(crate) const FLOORS: &str = "SELECT namespace, oldest FROM namespaces WHERE oldest > 0";

/// How far back the log tells of namespaces that were trimmed by themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Floors(Vec<(Namespace, i64)>);

impl Floors {
    pub(crate) fn read(rows: &[Row]) -> Result<Self> {
        rows.iter().map(|row| Ok((row::namespace(row, 0)?, number(row, 1)?))).collect::<Result<_>>().map(Self)
    }

    /// From which revision on the log tells everything about `ranges`, of which none means all; `store` is from where on it
    /// tells everything about namespaces that were not trimmed by themselves.
    pub(crate) fn oldest_of(&self, store: i64, ranges: &[Range]) -> i64 {
        let asked = |namespace| ranges.is_empty() || ranges.iter().any(|range| range.meets(namespace));
        let trimmed = self.0.iter().filter(|(namespace, oldest)| *oldest > store && asked(namespace));
        trimmed.map(|(_, oldest)| *oldest).fold(store, i64::max)
    }
}

async fn read(session: &Session, query: &ChangesQuery, reached: Reached) -> Attempt<Changes> {
    let (direction, before, rest) = match query.order {
        LogOrder::OldestFirst => ("", None, reached.head),
        LogOrder::NewestFirst { before } => (" DESC", before, signed(query.after.get())),
    };
    let head = Revision::new(reached.head.cast_unsigned());
    let mut found = Changes { changes: Vec::new(), through: Revision::new(rest.cast_unsigned()), head };
    let end = before.map_or(i64::MAX, |before| signed(before.get()).saturating_mul(PLACES));
    let one_key = matches!(&query.ranges[..], [range] if range.is_one_key());
    let few = !one_key && !query.ranges.is_empty() && !reached.is_short && is_few(session, &query.ranges).await?;
    let (places, edges) = if few { by_keys(&query.ranges) } else { in_order(&query.ranges) };

    // Weighed first, so that what is too much for a page stays where it is.
    let limit = query.limit.clamp(1, PAGE_CHANGES_MAX);
    let weigh = format!(
        "SELECT found.place, {} FROM ({places} ORDER BY place{direction} LIMIT $3) AS found JOIN log AS change USING (place) {AFTER} \
         ORDER BY found.place{direction}",
        weight()
    );
    let most = signed(limit as u64);
    let weighed = session.query(&weigh, &parameters(&[&reached.first, &end, &most], &edges)).await?;
    let Some(last) = last_of_page(&weighed, limit)? else { return Ok(found) };
    if last.more {
        found.through = Revision::new(last.revision.cast_unsigned());
    }
    let (from, end) = match query.order {
        LogOrder::OldestFirst => (reached.first, last.revision.saturating_add(1).saturating_mul(PLACES)),
        LogOrder::NewestFirst { .. } => (last.revision.saturating_mul(PLACES).max(reached.first), end),
    };
    let fetch = format!(
        "SELECT found.place, change.at, change.kind, change.namespace, change.key, {}, next.place, {}, {} FROM ({places} LIMIT $3) AS found \
         JOIN log AS change USING (place) {AFTER} ORDER BY found.place{direction}",
        entry_of("change"),
        entry_of("next"),
        entry_of("present")
    );
    let rows = session.query(&fetch, &parameters(&[&from, &end, &i64::MAX], &edges)).await?;
    let mut namespace = None;
    for row in &rows {
        let address = row::address_like(row, 3, &mut namespace)?;
        let after = if cell::<Option<i64>>(row, 14)?.is_some() { 15 } else { 24 };
        found.changes.push(Change {
            revision: Revision::new((number(row, 0)? / PLACES).cast_unsigned()),
            at: Timestamp::from_millis_saturating(number(row, 1)?),
            kind: row::kind(row, 2)?,
            before: row::entry(row, 5, || Ok(address.clone()))?,
            after: row::entry(row, after, || Ok(address.clone()))?,
            address,
        });
    }
    Ok(found)
}

/// Where a page ends.
struct Last {
    /// The last commit of the page, which is told whole.
    revision: i64,
    /// Whether there may be more behind it.
    more: bool,
}

/// The last commit of a page, of which every change has been weighed up to the limit.
fn last_of_page(weighed: &[Row], limit: usize) -> Result<Option<Last>> {
    let (mut bytes, mut last) = (0, None);
    for row in weighed {
        let revision = number(row, 0)? / PLACES;
        if let Some(last) = last.filter(|last| *last != revision && bytes >= PAGE_BYTES_MAX) {
            return Ok(Some(Last { revision: last, more: true }));
        }
        bytes += number(row, 1)?;
        last = Some(revision);
    }
    Ok(last.map(|revision| Last { revision, more: weighed.len() >= limit }))
}

/// What each change made of its entry: what was before the next change of the same key, or else what is there now.
const AFTER: &str = "LEFT JOIN LATERAL (SELECT * FROM log WHERE namespace = change.namespace AND key = change.key \
    AND place > change.place ORDER BY place LIMIT 1) AS next ON TRUE \
    LEFT JOIN entries AS present ON next.place IS NULL AND present.namespace = change.namespace AND present.key = change.key";

/// The columns of an entry in this table.
pub(crate) fn entry_of(table: &str) -> String {
    let columns =
        ["version", "revision", "created_at", "updated_at", "expires_at", "json", "encodings", "metadata", "value"];
    columns.map(|column| format!("{table}.{column}")).join(", ")
}

/// The bytes of both sides of a change, without looking at them.
fn weight() -> String {
    let sides = ["change", "next", "present"]
        .map(|side| format!("coalesce(octet_length({side}.value), 0) + coalesce(octet_length({side}.metadata), 0)"));
    format!("(octet_length(change.key) + {})::bigint", sides.join(" + "))
}

/// The places of `ranges` from that in parameter 1 to that in parameter 2, found in the order of the log or, where it is one
/// key, in the index of keys, which has the same order.
fn in_order(ranges: &[Range]) -> (String, Vec<String>) {
    let (condition, edges) = within_any(ranges, 4);
    let condition = match ranges {
        [range] if range.is_one_key() => condition,
        _ => beside_the_index(&condition),
    };
    (format!("SELECT place FROM log WHERE place >= $1 AND place < $2 AND {condition}"), edges)
}

/// The same condition in a form for which there is no index, so that the log is read in its own order: of a wider range too
/// much may be there to be sorted for every page.
pub(crate) fn beside_the_index(condition: &str) -> String {
    condition.replace("namespace", "(namespace || '')").replace("key", "(key || '')")
}

/// The same, found by their keys.
fn by_keys(ranges: &[Range]) -> (String, Vec<String>) {
    let (each, edges) = each_by_keys(ranges, 4, "place");
    // Materialised, or the planner would read the log in its own order after all.
    let sql = format!(
        "SELECT place FROM (WITH few AS MATERIALIZED ({}) SELECT place FROM few) AS few WHERE place >= $1 AND place < $2",
        each.join(" UNION ")
    );
    (sql, edges)
}

fn each_by_keys(ranges: &[Range], first: usize, columns: &str) -> (Vec<String>, Vec<String>) {
    let mut edges = Vec::new();
    let each = ranges.iter().map(|range| {
        let (condition, own) = within(range, first + edges.len());
        edges.extend(own);
        format!("(SELECT {columns} FROM log WHERE {condition} ORDER BY namespace, key)")
    });
    (each.collect(), edges)
}

/// Whether the log holds hardly anything of `ranges`.
async fn is_few(session: &Session, ranges: &[Range]) -> Attempt<bool> {
    let (each, edges) = each_by_keys(ranges, 2, "1");
    let sql = format!("SELECT count(*) FROM ({} LIMIT $1) AS found", each.join(" UNION ALL "));
    let row = session.row(&sql, &parameters(&[&(FEW + 1)], &edges)).await?;
    Ok(number(&row, 0)? <= FEW)
}

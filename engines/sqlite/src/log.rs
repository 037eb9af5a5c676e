//! The log: read with both sides of every change.

use larder_core::{Change, Changes, ChangesQuery, Entry, Error, Lineage, LogOrder, Range, Result, Revision, Timestamp};
use rusqlite::{Connection, ToSql};

use crate::{
    apply::PLACES,
    error::explain,
    head::oldest_of,
    read::{PAGE_BYTES_MAX, in_log, one_moment, within_any},
    row,
    sides::Sides,
};

/// The columns of an entry in the table `log`.
pub(crate) const BEFORE: &str = "version, written, created_at, updated_at, expires_at, json, encodings, metadata, value";

pub(crate) fn changes(connection: &Connection, query: &ChangesQuery) -> Result<Changes> {
    query.verify().map_err(|error| error.engine("sqlite"))?;
    one_moment(connection, |connection| {
        let ranges = (!query.gaps).then_some(&*query.ranges);
        let (head, first) = reached(connection, query.lineage, query.after, ranges)?;
        let (condition, edges) = within_any(&query.ranges, 3);
        let one_key = matches!(&query.ranges[..], [range] if range.is_one_key());
        let condition = in_log(one_key, &condition);
        let (order, before, rest) = match query.order {
            LogOrder::OldestFirst => ("", None, head),
            LogOrder::NewestFirst { before } => (" DESC", before, query.after.get().cast_signed()),
        };
        let sql = format!(
            "SELECT revision, place, at, kind, namespace, key, {BEFORE} FROM log \
             WHERE place >= ?1 AND place < ?2 AND {condition} ORDER BY place{order}"
        );
        let mut statement = connection.prepare_cached(&sql).map_err(explain)?;
        let end = before.map_or(i64::MAX, |before| i64::try_from(before.get()).unwrap_or(i64::MAX).saturating_mul(PLACES));
        let mut parameters: Vec<&dyn ToSql> = vec![&first, &end];
        parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
        let mut rows = statement.query(&*parameters).map_err(explain)?;

        let head = Revision::new(head.cast_unsigned());
        let mut found = Changes { changes: Vec::new(), through: Revision::new(rest.cast_unsigned()), head };
        let mut sides = Sides::new(query.order == LogOrder::OldestFirst);
        let mut namespace = None;
        let mut bytes = 0;
        let mut ended = true;
        while let Some(row) = rows.next().map_err(explain)? {
            let revision = Revision::new(row::number(row, 0)?.cast_unsigned());
            if (found.changes.len() >= query.limit.max(1) || bytes >= PAGE_BYTES_MAX)
                && let Some(last) = found.changes.last()
                && last.revision != revision
            {
                found.through = last.revision;
                ended = false;
                break;
            }
            let address = row::address_like(row, 4, &mut namespace)?;
            let change = Change {
                revision,
                at: Timestamp::from_millis_saturating(row::number(row, 2)?),
                kind: row::kind(row, 3)?,
                before: row::entry(row, 6, || Ok(address.clone()))?,
                after: None,
                address,
            };
            // What it became is mostly about as large, and comes beside it.
            bytes += 2 * change.before.as_ref().map_or(0, Entry::bytes);
            sides.join(&mut found.changes, change, row::number(row, 1)?);
        }
        sides.complete(connection, &mut found, ended)?;
        Ok(found)
    })
}

/// The head, and the first place after the revision `after` of `lineage`, if the log tells everything about `ranges` from
/// there on, or everything but for gaps when no ranges are given.
pub(crate) fn reached(
    connection: &Connection,
    lineage: Lineage,
    after: Revision,
    ranges: Option<&[Range]>,
) -> Result<(i64, i64)> {
    let (own, head, oldest): (i64, i64, i64) = connection
        .prepare_cached("SELECT lineage, revision, oldest FROM store")
        .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))
        .map_err(explain)?;
    let oldest = ranges.map_or(Ok(oldest), |ranges| oldest_of(connection, oldest, ranges))?;
    let after = i64::try_from(after.get()).unwrap_or(i64::MAX);
    if own.cast_unsigned() != lineage.get() || after < oldest || after > head {
        return Err(Error::trimmed(Revision::new(oldest.cast_unsigned())).engine("sqlite"));
    }
    Ok((head, (after + 1).saturating_mul(PLACES)))
}

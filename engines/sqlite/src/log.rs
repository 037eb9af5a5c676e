//! The log: read with both sides of every change.

use larder_core::{Change, Changes, ChangesQuery, Error, Lineage, LogOrder, Range, Result, Revision, Timestamp};
use rusqlite::{Connection, ToSql};

use crate::{
    apply::PLACES,
    error::explain,
    head::oldest_of,
    read::{PAGE_BYTES_MAX, in_log, one_moment, within_any},
    row,
    shelf::Shelf,
    sides::Sides,
    undo::is_short,
};

/// The columns of an entry in the table `log`.
pub(crate) const BEFORE: &str = "version, written, created_at, updated_at, expires_at, json, encodings, metadata, value";

pub(crate) fn changes(connection: &Connection, query: &ChangesQuery) -> Result<Changes> {
    query.verify().map_err(|error| error.engine("sqlite"))?;
    one_moment(connection, |connection| {
        let ranges = (!query.gaps).then_some(&*query.ranges);
        let (head, first) = reached(connection, query.lineage, query.after, ranges)?;
        let one_key = matches!(&query.ranges[..], [range] if range.is_one_key());
        let few = !one_key && !query.ranges.is_empty() && !is_short(connection, first)? && is_few(connection, query)?;
        let (order, before, rest) = match query.order {
            LogOrder::OldestFirst => ("", None, head),
            LogOrder::NewestFirst { before } => (" DESC", before, query.after.get().cast_signed()),
        };
        let end = before.map(|before| i64::try_from(before.get()).unwrap_or(i64::MAX).saturating_mul(PLACES));
        // SQLite compares every row with the end, so there is one only where something stands behind it.
        let bounded = end.is_some();
        let (within, sql): (fn(&_, _) -> _, fn(&_, _, &_) -> _) =
            if few { (within_any, sql_for_few) } else { (in_log, sql_in_order) };
        let (condition, edges) = within(&query.ranges[..], if bounded { 3 } else { 2 });
        let sql = sql(&condition, bounded, order);
        let mut statement = connection.prepare_cached(&sql).map_err(explain)?;
        let mut parameters: Vec<&dyn ToSql> = vec![&first];
        parameters.extend(end.iter().map(|end| end as &dyn ToSql));
        parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
        let mut rows = statement.query(&*parameters).map_err(explain)?;

        let head = Revision::new(head.cast_unsigned());
        let mut found = Changes { changes: Vec::new(), through: Revision::new(rest.cast_unsigned()), head };
        let mut sides = Sides::new(query.order == LogOrder::OldestFirst);
        let (mut namespace, mut shelf) = (None, Shelf::default());
        let mut ended = true;
        while let Some(row) = rows.next().map_err(explain)? {
            let place = row::number(row, 0)?;
            let revision = Revision::new((place / PLACES).cast_unsigned());
            if ended
                && (found.changes.len() >= query.limit.max(1) || sides.bytes() >= PAGE_BYTES_MAX)
                && let Some(last) = found.changes.last()
                && last.revision != revision
            {
                found.through = last.revision;
                ended = false;
            }
            if !ended && !sides.look_ahead() {
                break;
            }
            let names = row::names(row, 3)?;
            if !ended {
                sides.meet_ahead(&mut found.changes, names, |address| row::entry_on(&mut shelf, row, 5, || Ok(address)))?;
                continue;
            }
            let index = found.changes.len();
            let neighbour = sides.meet(names, index);
            let address = match neighbour {
                Some(neighbour) => found.changes[neighbour].address.clone(),
                None => {
                    let address = row::address_like(row, 3, &mut namespace)?;
                    sides.meet_first(&address, index);
                    address
                }
            };
            let change = Change {
                revision,
                at: Timestamp::from_millis_saturating(row::number(row, 1)?),
                kind: row::kind(row, 2)?,
                before: row::entry_on(&mut shelf, row, 5, || Ok(address.clone()))?,
                after: None,
                address,
            };
            sides.join(&mut found.changes, change, neighbour, place);
        }
        sides.complete(connection, &mut found, ended)?;
        Ok(found)
    })
}

/// What is read of a change: its place, which tells its revision, when, what, where, and the entry before it.
const CHANGE: &str = "place, at, kind, namespace, key";

/// The changes from the place in parameter 1 on, and before that in parameter 2 if they are bounded, found in the order of
/// the log.
fn sql_in_order(condition: &str, bounded: bool, order: &str) -> String {
    let end = if bounded { " AND place < ?2" } else { "" };
    format!("SELECT {CHANGE}, {BEFORE} FROM log WHERE place >= ?1{end} AND {condition} ORDER BY place{order}")
}

/// The same, found by their keys; only their places are sorted. A cross join is one that SQLite does not turn round.
fn sql_for_few(condition: &str, bounded: bool, order: &str) -> String {
    let end = if bounded { " AND +place < ?2" } else { "" };
    let places =
        format!("SELECT place AS found FROM log WHERE +place >= ?1{end} AND {condition} ORDER BY place{order} LIMIT -1");
    format!("SELECT {CHANGE}, {BEFORE} FROM ({places}) CROSS JOIN log ON place = found")
}

/// So many changes in the log are found by their keys and sorted, rather than looked for among those of everybody else.
const FEW: i64 = 1000;

/// Whether the log holds hardly anything of the ranges of `query`.
fn is_few(connection: &Connection, query: &ChangesQuery) -> Result<bool> {
    let (condition, edges) = within_any(&query.ranges, 2);
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM log WHERE {condition} LIMIT ?1)");
    let mut statement = connection.prepare_cached(&sql).map_err(explain)?;
    let limit = FEW + 1;
    let mut parameters: Vec<&dyn ToSql> = vec![&limit];
    parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
    let count: i64 = statement.query_row(&*parameters, |row| row.get(0)).map_err(explain)?;
    Ok(count <= FEW)
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

#[cfg(test)]
mod tests {
    use larder_core::Namespace;

    use super::*;

    fn empty() -> Connection {
        let connection = Connection::open_in_memory().and_then(|file| file.execute_batch(crate::SCHEMA).map(|()| file));
        connection.expect("the schema is good SQL")
    }

    fn space(name: &str) -> Namespace {
        Namespace::new(name).expect("a good name")
    }

    #[test]
    fn few_changes_are_found_by_their_keys_and_sorted_by_their_places_alone() {
        let connection = empty();
        let ranges = [Range::namespace(&space("b")), Range::prefix(&space("a"), "k")];
        for ranges in [&ranges[..1], &ranges[..]] {
            for (order, bounded) in [("", false), (" DESC", false), (" DESC", true)] {
                let (condition, _) = within_any(ranges, 2 + usize::from(bounded));
                let sql = format!("EXPLAIN QUERY PLAN {}", sql_for_few(&condition, bounded, order));
                let mut statement = connection.prepare(&sql).expect("the query is good SQL");
                let steps = statement.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>();
                let plan = steps.expect("there is a plan").join("; ");
                assert!(plan.contains("INDEX log_by_key") && !plan.contains("SCAN log"), "{ranges:?}: {plan}");
                assert!(plan.ends_with("SEARCH log USING INTEGER PRIMARY KEY (rowid=?)"), "{ranges:?}: {plan}");
            }
        }
    }

    #[test]
    fn every_way_tells_the_same() {
        let connection = empty();
        for place in 0..900_usize {
            let (namespace, key) = (["a", "b", "z"][place % 3], format!("k{:03}", place * 7 % 100));
            let sql = "INSERT INTO log (place, revision, at, kind, namespace, key) VALUES (?1, 0, 0, 'created', ?2, ?3)";
            connection.execute(sql, (place as i64, namespace, &key)).expect("writes");
        }
        // Two of them overlap: what is in both is told once.
        let ranges = [Range::prefix(&space("b"), "k01"), Range::prefix(&space("b"), "k0"), Range::namespace(&space("a"))];
        for ranges in [&ranges[..1], &ranges[..]] {
            for (order, bounded) in [("", false), (" DESC", false), (" DESC", true)] {
                let first = 2 + usize::from(bounded);
                let (few, edges) = within_any(ranges, first);
                let places = |sql: &str| -> Vec<i64> {
                    let bounds = &[100_i64, 800_i64][..1 + usize::from(bounded)];
                    let mut parameters: Vec<&dyn ToSql> = bounds.iter().map(|bound| bound as &dyn ToSql).collect();
                    parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
                    let mut statement = connection.prepare(sql).expect("the query is good SQL");
                    let found = statement.query_map(&*parameters, |row| row.get(0)).expect("runs");
                    found.collect::<Result<_, _>>().expect("reads")
                };
                let told = places(&sql_in_order(&in_log(ranges, first).0, bounded, order));
                assert!(told.len() > 10 && told.is_sorted_by(|one, next| (one < next) == order.is_empty()));
                assert_eq!(told.iter().all(|place| *place < 800), bounded, "{ranges:?}{order}");
                assert_eq!(places(&sql_for_few(&few, bounded, order)), told, "{ranges:?}{order}");
            }
        }
    }

    #[test]
    fn few_is_what_the_ranges_hold_however_long_the_log_is() {
        let connection = empty();
        for place in 0..FEW * 2 + 1 {
            let namespace = if place % 2 == 0 { "many" } else { "few" };
            let sql = "INSERT INTO log (place, revision, at, kind, namespace, key) VALUES (?1, 0, 0, 'created', ?2, 'k')";
            connection.execute(sql, (place, namespace)).expect("writes");
        }
        let few = |name: &str| {
            let query = ChangesQuery::after(Lineage::ZERO, Revision::ZERO);
            is_few(&connection, &ChangesQuery { ranges: vec![Range::namespace(&space(name))], ..query })
        };
        assert_eq!((few("few").ok(), few("many").ok(), few("none").ok()), (Some(true), Some(false), Some(true)));
    }
}

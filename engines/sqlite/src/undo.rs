//! Undoing: what the addresses of a range were at a past revision, where they have changed since.

use larder_core::{Address, Entry, Key, Namespace, Result, Revision, Snapshot, Undo, Undone, engine::Page};
use rusqlite::{Connection, ToSql};

use crate::{
    apply::PLACES,
    error::explain,
    log::{self, BEFORE},
    read::{PAGE_BYTES_MAX, one_moment, within},
    row,
};

pub(crate) fn undo(connection: &Connection, undo: &Undo) -> Result<Snapshot<Page<Undone>>> {
    if undo.range.is_one_key()
        && undo.limit > 0
        && let Some((namespace, key, _)) = undo.range.within_namespace()
        && let Some(page) = one_key(connection, undo, namespace, key)?
    {
        return Ok(page);
    }
    one_moment(connection, |connection| {
        let ranges = std::slice::from_ref(&undo.range);
        let (head, first) = log::reached(connection, undo.lineage, undo.after, Some(ranges))?;
        let revision = Revision::new(head.cast_unsigned());
        // One more than asked for tells whether there is more.
        let limit = i64::try_from(undo.limit).unwrap_or(i64::MAX).saturating_add(1);
        let (condition, edges) = within(&undo.range, 3);
        let way = match undo.range.is_one_key() {
            true => Way::OneKey,
            false if is_short(connection, first)? => Way::Tail,
            false => Way::Keys,
        };
        let sql = query(way, undo.reverse, &condition);
        let mut statement = connection.prepare_cached(&sql).map_err(explain)?;
        let mut parameters: Vec<&dyn ToSql> = vec![&first, &limit];
        parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
        let mut rows = statement.query(&*parameters).map_err(explain)?;

        let mut page = Page { items: Vec::new(), more: false };
        let (mut bytes, mut namespace) = (0, None);
        while let Some(row) = rows.next().map_err(explain)? {
            if page.items.len() == undo.limit || bytes >= PAGE_BYTES_MAX {
                page.more = !page.items.is_empty();
                break;
            }
            let address = row::address_like(row, 0, &mut namespace)?;
            let entry = row::entry(row, 2, || Ok(address.clone()))?;
            bytes += entry.as_ref().map_or(0, Entry::bytes);
            page.items.push(Undone { address, entry });
        }
        Ok(Snapshot { revision, value: page })
    })
}

/// One key alone, in a single statement, which is a moment of its own; `None` where more has to be asked.
fn one_key(connection: &Connection, undo: &Undo, namespace: &str, key: &str) -> Result<Option<Snapshot<Page<Undone>>>> {
    let sql = format!(
        "SELECT store.lineage, store.revision, max(store.oldest, coalesce((SELECT max(oldest) FROM namespaces WHERE oldest > 0), 0)), \
         log.place, {BEFORE} FROM store LEFT JOIN log ON place = \
         (SELECT place FROM log WHERE namespace = ?1 AND key = ?2 AND place >= ?3 ORDER BY place LIMIT 1)"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(explain)?;
    let after = i64::try_from(undo.after.get()).unwrap_or(i64::MAX);
    let first = after.saturating_add(1).saturating_mul(PLACES);
    let mut rows = statement.query((namespace, key, first)).map_err(explain)?;
    let Some(row) = rows.next().map_err(explain)? else { return Ok(None) };
    let (lineage, head) = (row::number(row, 0)?.cast_unsigned(), row::number(row, 1)?);
    // Whether that is so for this very namespace is asked elsewhere.
    if lineage != undo.lineage.get() || after > head || after < row::number(row, 2)? {
        return Ok(None);
    }
    let mut page = Page { items: Vec::new(), more: false };
    if row::optional(row, 3)?.is_some() {
        let address = Address::new(Namespace::new(namespace)?, Key::new(key)?);
        let entry = row::entry(row, 4, || Ok(address.clone()))?;
        page.items.push(Undone { address, entry });
    }
    Ok(Some(Snapshot { revision: Revision::new(head.cast_unsigned()), value: page }))
}

/// So many changes are looked through for those of a range, rather than all that the log tells of the range.
const TAIL_FEW: i64 = 256;

/// Whether hardly anything has happened from the place `first` on, as for a moment that was chosen just now.
pub(crate) fn is_short(connection: &Connection, first: i64) -> Result<bool> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM log WHERE place >= ?1 LIMIT ?2)";
    let mut statement = connection.prepare_cached(sql).map_err(explain)?;
    let count: i64 = statement.query_row((first, TAIL_FEW + 1), |row| row.get(0)).map_err(explain)?;
    Ok(count <= TAIL_FEW)
}

/// How the first change of each address is found.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// By the index of keys, where there is only one.
    OneKey,
    /// Among everything that has happened since, sorted.
    Tail,
    /// Along the index of keys, in its order.
    Keys,
}

/// The first change of each address from the place in parameter 1 on; parameter 2 is how many.
fn query(way: Way, reverse: bool, condition: &str) -> String {
    let order = if reverse { "namespace DESC, key DESC" } else { "namespace, key" };
    let firsts = match way {
        Way::OneKey => {
            return format!(
                "SELECT namespace, key, {BEFORE} FROM log WHERE {condition} AND place >= ?1 ORDER BY place LIMIT min(?2, 1)"
            );
        }
        // The plus keeps SQLite from another way than the one that was chosen.
        Way::Tail => format!(
            "SELECT min(place) AS first, +namespace AS namespace, +key AS key FROM log \
             WHERE place >= ?1 AND +({condition}) GROUP BY 2, 3 ORDER BY {order} LIMIT ?2"
        ),
        Way::Keys => format!(
            "SELECT min(place) AS first FROM log WHERE {condition} AND +place >= ?1 \
             GROUP BY namespace, key ORDER BY {order} LIMIT ?2"
        ),
    };
    // A row is looked at only for the first change of each key. A cross join is one that SQLite does not turn round.
    format!("SELECT log.namespace, log.key, {BEFORE} FROM ({firsts}) CROSS JOIN log ON place = first")
}

#[cfg(test)]
mod tests {
    use larder_core::{Namespace, Range};

    use super::*;

    fn empty() -> Connection {
        let connection = Connection::open_in_memory().and_then(|file| file.execute_batch(crate::SCHEMA).map(|()| file));
        connection.expect("the schema is good SQL")
    }

    /// What SQLite says that it will do.
    fn plan(way: Way, range: &Range, reverse: bool) -> String {
        let connection = empty();
        let sql = format!("EXPLAIN QUERY PLAN {}", query(way, reverse, &within(range, 3).0));
        let mut statement = connection.prepare(&sql).expect("the query is good SQL");
        let steps = statement.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>();
        steps.expect("there is a plan").join("; ")
    }

    #[test]
    fn nothing_is_sorted_that_grows_with_the_log() {
        let namespace = Namespace::default();
        for range in [Range::all(), Range::after_namespace(&namespace), Range::namespace(&namespace), Range::reserved()] {
            for reverse in [false, true] {
                let keys = plan(Way::Keys, &range, reverse);
                assert!(
                    keys.contains("SEARCH log USING COVERING INDEX log_by_key") && !keys.contains("TEMP B-TREE"),
                    "{range:?}: {keys}"
                );
                let tail = plan(Way::Tail, &range, reverse);
                assert!(tail.contains("SEARCH log USING INTEGER PRIMARY KEY (rowid>?)"), "{range:?}: {tail}");
            }
        }
    }

    #[test]
    fn every_way_finds_the_same() {
        let connection = empty();
        // The keys of three namespaces change in turn, in another order each time round.
        for place in 0..900_usize {
            let (namespace, key) = (["a", "default", "z"][place % 3], format!("k{:03}", place * 7 % 100));
            let sql = "INSERT INTO log (place, revision, at, kind, namespace, key) VALUES (?1, 0, 0, 'created', ?2, ?3)";
            connection.execute(sql, (place as i64, namespace, &key)).expect("writes");
        }
        let first = |way, range: &Range, reverse, limit: i64, from: i64| -> Vec<(String, String)> {
            let (condition, edges) = within(range, 3);
            let sql = query(way, reverse, &condition).replace(BEFORE, "place || ''");
            let mut parameters: Vec<&dyn ToSql> = vec![&from, &limit];
            parameters.extend(edges.iter().map(|edge| edge as &dyn ToSql));
            let mut statement = connection.prepare(&sql).expect("the query is good SQL");
            let found = statement.query_map(&*parameters, |row| Ok((row.get(1)?, row.get(2)?))).expect("runs");
            found.collect::<Result<_, _>>().expect("reads")
        };
        let namespace = Namespace::default();
        for range in [Range::all(), Range::namespace(&namespace), Range::prefix(&namespace, "k01"), Range::reserved()] {
            for (reverse, limit, from) in [(false, 900, 0), (true, 900, 500), (false, 7, 850), (true, 7, 0)] {
                let keys = first(Way::Keys, &range, reverse, limit, from);
                assert_eq!(first(Way::Tail, &range, reverse, limit, from), keys, "{range:?} from {from}");
                assert_eq!(keys.is_empty(), range == Range::reserved());
            }
        }
    }
}

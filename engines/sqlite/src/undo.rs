//! Undoing: what the addresses of a range were at a past revision, where they have changed since.

use larder_core::{Entry, Result, Revision, Snapshot, Undo, Undone, engine::Page};
use rusqlite::{Connection, ToSql};

use crate::{
    error::explain,
    log::{self, BEFORE},
    read::{PAGE_BYTES_MAX, one_moment, within},
    row,
};

pub(crate) fn undo(connection: &Connection, undo: &Undo) -> Result<Snapshot<Page<Undone>>> {
    one_moment(connection, |connection| {
        let ranges = std::slice::from_ref(&undo.range);
        let (head, first) = log::reached(connection, undo.lineage, undo.after, Some(ranges))?;
        let revision = Revision::new(head.cast_unsigned());
        // One more than asked for tells whether there is more.
        let limit = i64::try_from(undo.limit).unwrap_or(i64::MAX).saturating_add(1);
        let (condition, edges) = within(&undo.range, 3);
        let sql = query(undo.range.is_one_key(), undo.reverse, &condition);
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

/// The first change of each address from the place in parameter 1 on; parameter 2 is how many.
fn query(one_key: bool, reverse: bool, condition: &str) -> String {
    if one_key {
        return format!(
            "SELECT namespace, key, {BEFORE} FROM log WHERE {condition} AND place >= ?1 ORDER BY place LIMIT min(?2, 1)"
        );
    }
    // The places come from the index of keys, in its order, and a row is looked at only for the first of each key. A cross
    // join is one that SQLite does not turn round.
    let order = if reverse { "namespace DESC, key DESC" } else { "namespace, key" };
    format!(
        "SELECT namespace, key, {BEFORE} FROM ( \
             SELECT min(place) AS first FROM log WHERE {condition} AND +place >= ?1 GROUP BY namespace, key ORDER BY {order} LIMIT ?2 \
         ) CROSS JOIN log ON place = first"
    )
}
